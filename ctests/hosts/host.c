/*
 * A hostile host for the C test that it loads:  host KIND TEST.so
 *
 * constructor  the test runs in the constructor of its library, under the lock of the loader
 * loader       beside a thread that sits in a constructor and holds the lock of the loader
 * malloc       beside a thread that holds the lock of malloc for half of the time
 * forks        beside a thread that forks as fast as it can
 * thread       on a thread that has one CPU, a real-time class and all signals blocked
 *
 * Exits with the status of the test. GMX_TEST_THREADS tells the test how many threads belong to the host.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DIE(...) (fprintf(stderr, "host: " __VA_ARGS__), fputc('\n', stderr), _exit(1))

typedef int test_fn(int argc, char **argv);

int (*host_constructor)(test_fn *fn); /* ctests/hosts/hosted.c reads it */

static const char *path;
static int status = 1;

static void nap(long ns) {
  struct timespec t = {0, ns};
  nanosleep(&t, NULL);
}

static pthread_t start(void *(*fn)(void *)) {
  pthread_t t;
  int error = pthread_create(&t, NULL, fn, NULL);
  if (error) DIE("pthread_create: %s", strerror(error));
  return t;
}

static int call(test_fn *test) {
  char *argv[] = {(char *)path, NULL};
  return status = test(1, argv);
}

static test_fn *load(void) {
  void *lib = dlopen(path, RTLD_NOW);
  if (!lib) DIE("%s", dlerror());
  test_fn *test;
  *(void **)&test = dlsym(lib, "main");
  if (!test) DIE("%s", dlerror());
  return test;
}

/* ---- malloc with a lock ---- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

static bool locks;
static pthread_mutex_t heap = PTHREAD_MUTEX_INITIALIZER;

static void heap_lock(void) {
  if (__atomic_load_n(&locks, __ATOMIC_ACQUIRE)) pthread_mutex_lock(&heap);
}
static void heap_unlock(void) {
  if (__atomic_load_n(&locks, __ATOMIC_ACQUIRE)) pthread_mutex_unlock(&heap);
}

#define LOCKED(type, call) \
  heap_lock();             \
  type result = call;      \
  heap_unlock();           \
  return result

void *malloc(size_t n) { LOCKED(void *, __libc_malloc(n)); }
void *calloc(size_t n, size_t size) { LOCKED(void *, __libc_calloc(n, size)); }
void *realloc(void *p, size_t n) { LOCKED(void *, __libc_realloc(p, n)); }
void *memalign(size_t align, size_t n) { LOCKED(void *, __libc_memalign(align, n)); }
void *aligned_alloc(size_t align, size_t n) { LOCKED(void *, __libc_memalign(align, n)); }
int posix_memalign(void **out, size_t align, size_t n) {
  void *p = memalign(align, n);
  if (!p) return ENOMEM;
  *out = p;
  return 0;
}
void free(void *p) {
  heap_lock();
  __libc_free(p);
  heap_unlock();
}

static void *holds_heap(void *unused) {
  while (!unused) {
    pthread_mutex_lock(&heap);
    nap(10000000);
    pthread_mutex_unlock(&heap);
    nap(10000000);
  }
  return NULL;
}

/* ---- the others ---- */

static bool sits;

static int never_returns(test_fn *unused) {
  __atomic_store_n(&sits, true, __ATOMIC_RELEASE);
  while (unused) pause();
  return 0;
}

/* Loads a copy of the test, whose constructor does not return. */
static void *sits_in_loader(void *unused) {
  char name[] = "/tmp/gomax-host-XXXXXX", block[1 << 16];
  int from = open(path, O_RDONLY | O_CLOEXEC), to = mkstemp(name);
  if (from < 0 || to < 0) DIE("a copy of %s: %s", path, strerror(errno));
  for (ssize_t n; (n = read(from, block, sizeof block)) > 0;)
    if (write(to, block, (size_t)n) != n) DIE("a copy of %s: %s", path, strerror(errno));
  close(from);
  close(to);
  host_constructor = never_returns;
  dlopen(name, RTLD_NOW);
  DIE("the thread left the loader: %s", dlerror());
  return unused;
}

static void take_loader(void) {
  start(sits_in_loader);
  while (!__atomic_load_n(&sits, __ATOMIC_ACQUIRE)) nap(1000000);
}

static void *forks(void *unused) {
  while (!unused) {
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    if (pid < 0) DIE("fork: %s", strerror(errno));
    int how = 0;
    if (waitpid(pid, &how, 0) != pid || how != 0) DIE("a child that only leaves has the wait status %#x", (unsigned)how);
  }
  return NULL;
}

static void *calls_hampered(void *test) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  if (sched_setaffinity(0, sizeof one, &one) != 0) DIE("sched_setaffinity: %s", strerror(errno));
  /* a thread of this class that never waits would take its CPU from all others: SIGXCPU ends the test before */
  struct rlimit most_rt = {20000000, 25000000}; /* microseconds */
  if (setrlimit(RLIMIT_RTTIME, &most_rt) != 0) DIE("RLIMIT_RTTIME: %s", strerror(errno));
  struct sched_param low = {.sched_priority = 1};
  if (sched_setscheduler(0, SCHED_FIFO, &low) != 0) fprintf(stderr, "host: no SCHED_FIFO: %s\n", strerror(errno));
  sigset_t most;
  sigfillset(&most);
  /* the faults of a test cannot be blocked, and the alarm is its watchdog */
  for (const int *s = (const int[]){SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGALRM, 0}; *s; s++) sigdelset(&most, *s);
  pthread_sigmask(SIG_SETMASK, &most, NULL);
  call((test_fn *)test);
  return NULL;
}

/* The host's threads beside the thread of the test. A child of fork has none of them. */
static char threads[] = "GMX_TEST_THREADS=1";

static void has_no_thread(void) { threads[sizeof threads - 2] = '0'; }

int main(int argc, char **argv) {
  if (argc != 3) DIE("host KIND TEST.so");
  const char *kind = argv[1];
  path = argv[2];
  /* A second arena, of a thread of the host, would serve a child's threads too, and grow by mprotect: sandbox.c */
  mallopt(M_ARENA_MAX, 1);
  bool is_constructor = strcmp(kind, "constructor") == 0;
  putenv(threads);
  pthread_atfork(NULL, NULL, has_no_thread);
  if (is_constructor) has_no_thread();
  if (is_constructor) {
    host_constructor = call;
    load();
  } else if (strcmp(kind, "loader") == 0) {
    test_fn *test = load();
    take_loader();
    call(test);
  } else if (strcmp(kind, "malloc") == 0) {
    test_fn *test = load();
    pthread_atfork(heap_lock, heap_unlock, heap_unlock);
    __atomic_store_n(&locks, true, __ATOMIC_RELEASE);
    start(holds_heap);
    call(test);
  } else if (strcmp(kind, "forks") == 0) {
    test_fn *test = load();
    start(forks);
    call(test);
  } else if (strcmp(kind, "thread") == 0) {
    test_fn *test = load();
    pthread_t t;
    if (pthread_create(&t, NULL, calls_hampered, (void *)test) != 0) DIE("pthread_create");
    pthread_join(t, NULL);
  } else {
    DIE("no such kind: %s", kind);
  }
  fflush(NULL);
  _exit(status); /* what exit runs may want the loader */
}
