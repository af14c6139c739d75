/* A host holds a resource of which a process has one: the lock of the loader, the lock of malloc, a full pipe behind
 * stderr. The scheduler continues meanwhile: it takes the P of the blocking call, and other Gs run. */
/* flags: -ldl */
#define _GNU_SOURCE 1
#include "child.h"
#include "gs.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/stat.h>

/* ---- malloc with a lock that the host keeps ---- */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static volatile bool malloc_is_held;
static atomic_int waits_for_malloc;

static void pass(void) {
  if (!__atomic_load_n(&malloc_is_held, __ATOMIC_ACQUIRE)) return;
  atomic_fetch_add(&waits_for_malloc, 1);
  while (__atomic_load_n(&malloc_is_held, __ATOMIC_ACQUIRE)) thread_nap(MS / 10);
}
void *malloc(size_t n) {
  pass();
  return __libc_malloc(n);
}
void *calloc(size_t n, size_t each) {
  pass();
  return __libc_calloc(n, each);
}
void *realloc(void *p, size_t n) {
  pass();
  return __libc_realloc(p, n);
}
void *aligned_alloc(size_t align, size_t n) {
  pass();
  return __libc_memalign(align, n);
}
int posix_memalign(void **p, size_t align, size_t n) {
  pass();
  *p = __libc_memalign(align, n);
  return *p ? 0 : ENOMEM;
}
void free(void *p) {
  pass();
  __libc_free(p);
}

/* ---- a G in a blocking call, and another that has to run meanwhile ---- */

static uint32_t turn;
static atomic_bool ran;

static void runs_meanwhile(void *arg) {
  (void)arg;
  acquire(&turn, 1);
  atomic_store(&ran, true);
}

/* With one P. True if the other G ran before the call was over. */
static bool others_run(void) {
  atomic_store(&ran, false);
  release(&turn, 1);
  CHECK_OK(gmx_enter_syscall());
  for (int64_t until = check_now() + 20 * SECOND; !atomic_load(&ran) && check_now() < until;) thread_nap(MS);
  bool seen = atomic_load(&ran);
  CHECK_OK(gmx_exit_syscall());
  return seen;
}

static void blocks(void *arg) {
  CHECK_OK(gmx_enter_syscall_blocking());
  thread_nap(20 * MS);
  CHECK_OK(gmx_exit_syscall());
  (void)arg;
}

/* The C library makes none while its locks are held; those that are there must do. */
static void makes_threads(void) {
  gmx_g some[3];
  for (int i = 0; i < 3; i++) some[i] = go_with("blocks", GMX_SPAWN_JOINABLE, blocks, NULL);
  join_all(some, 3);
}

static void starts_the_other(void) {
  go(runs_meanwhile, NULL);
  CHECK_OK(gmx_yield()); /* it waits for its turn now */
}

/* ---- the loader ---- */

static char fifo[64];
static atomic_int loader_tid;

/* dlopen opens its file under the loader's lock, and the open of a FIFO waits for a thread at the other end. */
static void *is_in_dlopen(void *arg) {
  atomic_store(&loader_tid, thread_id());
  CHECK(dlopen(fifo, RTLD_NOW) == NULL);
  return arg;
}

static void in_the_loader(void *arg) {
  (void)arg;
  snprintf(fifo, sizeof fifo, "/tmp/gomax-fifo-%d", (int)getpid());
  CHECK(mkfifo(fifo, 0600) == 0);
  makes_threads();
  starts_the_other();
  pthread_t t = thread_start(is_in_dlopen, NULL);
  for (int seen = 0, tid; seen < 20; thread_nap(MS))
    seen = (tid = atomic_load(&loader_tid)) != 0 && thread_state(tid) == 'S' ? seen + 1 : 0;
  /* The library's work of once a second falls into this time; the G keeps its P, so the watchdog is awake. */
  for (int64_t until = check_now() + 1500 * MS; check_now() < until;) thread_nap(MS);
  bool went_on = others_run();
  int fd = open(fifo, O_WRONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  close(fd);
  thread_join(t);
  unlink(fifo);
  CHECK(went_on);
}

static void beside_a_thread_in_the_loader(void *arg) {
  (void)arg;
  start_runtime(1, 0);
  CHECK_OK(gmx_main(in_the_loader, NULL));
  end_runtime();
}

/* ---- malloc ---- */

static void in_malloc(void *arg) {
  (void)arg;
  makes_threads();
  __atomic_store_n(&malloc_is_held, true, __ATOMIC_RELEASE);
  bool went_on = true;
  for (int i = 0; i < 20; i++) { /* traces are written meanwhile */
    go(runs_meanwhile, NULL);
    CHECK_OK(gmx_yield());
    went_on = others_run() && went_on;
  }
  bool waited = atomic_load(&waits_for_malloc) != 0;
  __atomic_store_n(&malloc_is_held, false, __ATOMIC_RELEASE);
  CHECK(went_on);
  CHECK(!waited);
}

static void beside_a_thread_in_malloc(void *arg) {
  (void)arg;
  setenv("GMXDEBUG", "schedtrace=1", 1);
  start_runtime(1, 0);
  CHECK_OK(gmx_main(in_malloc, NULL));
  end_runtime();
}

/* ---- stderr ---- */

static int full_pipe(void) {
  int p[2];
  CHECK(pipe2(p, O_CLOEXEC) == 0);
  fcntl(p[1], F_SETPIPE_SZ, 4096);
  dup2(p[1], 2);
  close(p[1]);
  return p[0];
}

static void traces_without_a_reader(void *arg) {
  (void)arg;
  starts_the_other();
  CHECK_OK(gmx_sleep(300 * MS)); /* long enough to fill the pipe by far, and for a watchdog to be stuck */
  _exit(others_run() ? 40 : 41);
}

static void beside_a_full_pipe(void *arg) {
  (void)arg;
  setenv("GMXDEBUG", "schedtrace=1,scheddetail=1", 1);
  full_pipe();
  start_runtime(1, 0);
  CHECK_OK(gmx_main(traces_without_a_reader, NULL));
}

static void does_nothing(void *arg) { (void)arg; }

/* The end comes in time, and the library reports the number of dropped lines as soon as there is a reader. */
static void ends_beside_a_full_pipe(void *arg) {
  (void)arg;
  static char text[1 << 16];
  setenv("GMXDEBUG", "schedtrace=1", 1);
  int from = full_pipe();
  start_runtime(1, 0);
  CHECK_OK(gmx_main(does_nothing, NULL));
  thread_nap(300 * MS);
  fcntl(from, F_SETFL, O_NONBLOCK);
  ssize_t n = read(from, text, sizeof text - 1);
  for (int64_t until = check_now() + 20 * SECOND; check_now() < until && !strstr(text, "lines could not be written");) {
    thread_nap(MS);
    n = read(from, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
  }
  if (!strstr(text, "lines could not be written")) _exit(41);
  thread_nap(300 * MS);
  _exit(gmx_shutdown(20 * SECOND) == GMX_OK ? 40 : 42);
}

static void never_comes(void *arg) {
  uint32_t never = 0;
  CHECK_OK(gmx_sema_acquire(&never));
  (void)arg;
}

/* A report must not end the host by SIGPIPE, nor leave one for later. */
static void reports_to_a_closed_pipe(void *arg) {
  (void)arg;
  close(full_pipe());
  if (gmx_main(never_comes, NULL) != GMX_EDEADLK) _exit(41);
  sigset_t pending;
  sigpending(&pending);
  _exit(sigismember(&pending, SIGPIPE) ? 42 : 40);
}

/* ---- */

static void in_a_child(void (*fn)(void *), int status) {
  static child c;
  child_run(&c, 60, fn, NULL);
  if (!WIFEXITED(c.status) || WEXITSTATUS(c.status) != status) CHILD_FAIL(&c, "the child above failed");
}

static void loader(void) { in_a_child(beside_a_thread_in_the_loader, 0); }
static void memory(void) { in_a_child(beside_a_thread_in_malloc, 0); }
static void pipes(void) { in_a_child(beside_a_full_pipe, 40); }
static void ends(void) { in_a_child(ends_beside_a_full_pipe, 40); }
static void closed(void) { in_a_child(reports_to_a_closed_pipe, 40); }

int main(void) {
  RUN(loader);
  RUN(memory);
  RUN(pipes);
  RUN(ends);
  RUN(closed);
  return 0;
}
