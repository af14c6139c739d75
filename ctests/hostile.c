/*
 * The library continues while its host stands still: a thread sits in the loader, another holds the lock of malloc, no
 * thread reads the pipe behind stderr, more threads than Ps are in callbacks, the process forks while the runtime
 * begins and ends.
 *
 * Each test holds such a resource for as long as it runs, and waits for events that need the watchdog, a wake or a new
 * thread. If one of these waits for the resource, the test hangs.
 */
/* timeout: 120 */
/* flags: -ldl */
#include "gs.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- malloc with a lock ---- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

static pthread_mutex_t heap = PTHREAD_MUTEX_INITIALIZER;

#define LOCKED(type, call)    \
  pthread_mutex_lock(&heap);  \
  type result = call;         \
  pthread_mutex_unlock(&heap); \
  return result

void *malloc(size_t n) { LOCKED(void *, __libc_malloc(n)); }
void *calloc(size_t n, size_t size) { LOCKED(void *, __libc_calloc(n, size)); }
void *realloc(void *p, size_t n) { LOCKED(void *, __libc_realloc(p, n)); }
void *memalign(size_t align, size_t n) { LOCKED(void *, __libc_memalign(align, n)); }
void *aligned_alloc(size_t align, size_t n) { LOCKED(void *, __libc_memalign(align, n)); }
int posix_memalign(void **out, size_t align, size_t n) { return (*out = memalign(align, n)) ? 0 : ENOMEM; }
void free(void *p) {
  pthread_mutex_lock(&heap);
  __libc_free(p);
  pthread_mutex_unlock(&heap);
}

static void heap_lock(void) { pthread_mutex_lock(&heap); }
static void heap_unlock(void) { pthread_mutex_unlock(&heap); }

/* ---- what must go on ---- */

static gmx_chan *there, *back;
static uint32_t sema;
static atomic_int flag;
static sem_t outside; /* a wait that the library knows nothing of */

static void sets_flag(void *arg) {
  (void)arg;
  atomic_store(&flag, 1);
}

static void slice_ends(void) {
  atomic_store(&flag, 0);
  for (int i = 0; i < 4; i++) go(sets_flag, NULL); /* behind one that polls and does not yield */
  while (!atomic_load(&flag)) gmx_safepoint();
}

static void posts(void *arg) {
  (void)arg;
  CHECK(sem_post(&outside) == 0);
}

static void is_retaken(void) {
  go(posts, NULL);
  CHECK_OK(gmx_enter_syscall());
  while (sem_wait(&outside) != 0) CHECK_EQ(errno, EINTR);
  CHECK_OK(gmx_exit_syscall());
}

static void timer_comes(void) {
  CHECK_OK(gmx_sleep(MS));
  CHECK_STATUS(gmx_sema_acquire_timeout(&sema, MS), GMX_ETIMEDOUT);
}

static void echoes(void *arg) {
  char byte;
  (void)arg;
  CHECK_OK(gmx_chan_recv(there, &byte));
  CHECK_OK(gmx_chan_send(back, &byte));
}

static void wakes_come(void) {
  char byte = 1;
  go(echoes, NULL);
  CHECK_OK(gmx_chan_send(there, &byte));
  CHECK_OK(gmx_chan_recv(back, &byte));
}

static void counts(void *arg) { atomic_fetch_add((atomic_int *)arg, 1); }

static void world_stops(void) {
  atomic_int ps = 0;
  CHECK_OK(gmx_stop_the_world("hostile"));
  CHECK_OK(gmx_start_the_world());
  CHECK_OK(gmx_for_each_p(counts, &ps));
  CHECK_CMP(atomic_load(&ps), >=, 1);
}

/* Threads for all that `life` blocks and hands on, and memory for what it makes: they stay. */
static atomic_int blocked;

static void keeps_a_thread(void *arg) {
  CHECK_OK(gmx_enter_syscall_blocking());
  atomic_fetch_add(&blocked, 1);
  while (sem_wait(&outside) != 0) CHECK_EQ(errno, EINTR);
  CHECK_OK(gmx_exit_syscall());
  release(arg, 1);
}

static void life(void);
static void life_before(void) {
  enum { THREADS = 8 };
  uint32_t done = 0;
  atomic_store(&blocked, 0);
  for (int i = 0; i < THREADS; i++) go(keeps_a_thread, &done);
  while (atomic_load(&blocked) < THREADS) CHECK_OK(gmx_yield());
  for (int i = 0; i < THREADS; i++) posts(NULL);
  acquire(&done, THREADS);
  life();
}

/* With memory and threads that the runtime already has. */
static void life(void) {
  for (int i = 0; i < 3; i++) {
    slice_ends();
    is_retaken();
    timer_comes();
    wakes_come();
    world_stops();
  }
}

static void blocks(void *arg) {
  CHECK_OK(gmx_enter_syscall());
  while (sem_wait(&outside) != 0) CHECK_EQ(errno, EINTR);
  CHECK_OK(gmx_exit_syscall());
  release(arg, 1);
}

static void *calls_back(void *arg) {
  CHECK_OK(gmx_callback(counts, arg));
  return NULL;
}

/* With more threads, of the library and of the host, and with a runtime that begins and ends. */
static void more_life(void) {
  uint32_t done = 0;
  atomic_int calls = 0;
  for (int i = 0; i < 12; i++) go(blocks, &done);
  for (int i = 0; i < 12; i++) go(posts, NULL);
  acquire(&done, 12);
  pthread_t t = thread_start(calls_back, &calls);
  CHECK_OK(gmx_enter_syscall());
  thread_join(t);
  CHECK_OK(gmx_exit_syscall());
  CHECK_EQ(atomic_load(&calls), 1);
  CHECK_CMP(gmx_gomaxprocs(gmx_gomaxprocs(0) + 5), >=, 1);
}

static void begin(int procs) {
  start_runtime(procs, MS);
  CHECK_OK(gmx_chan_new(1, 0, &there));
  CHECK_OK(gmx_chan_new(1, 0, &back));
}
static void end(void) {
  CHECK_OK(gmx_chan_free(there));
  CHECK_OK(gmx_chan_free(back));
  end_runtime();
}
/* ---- a thread sits in the loader ---- */

static char fifo[64];

static void *sits_in_loader(void *arg) {
  CHECK(dlopen(fifo, RTLD_NOW) == NULL); /* opens it for reading, which takes a writer */
  return arg;
}

static void lives_beside_a_loader(void) {
  life_before(); /* in this state of the loader no thread can be made, by any library */
  snprintf(fifo, sizeof fifo, "/tmp/gomax-hostile-%d", (int)getpid());
  unlink(fifo);
  CHECK(mkfifo(fifo, 0600) == 0);
  pthread_t t = thread_start(sits_in_loader, NULL);
  thread_nap(50 * MS); /* if it is not there yet, the test is only easier */
  life();
  int fd = open(fifo, O_WRONLY | O_CLOEXEC);
  CHECK(fd >= 0 && close(fd) == 0);
  CHECK_OK(gmx_enter_syscall_blocking());
  thread_join(t);
  CHECK_OK(gmx_exit_syscall());
  unlink(fifo);
}
static void beside_a_loader(void) {
  for (int procs = 1; procs <= 3; procs++) {
    begin(procs);
    as_main(lives_beside_a_loader);
    end();
  }
}

/* ---- a thread holds the lock of malloc ---- */

static atomic_int held;
static sem_t give_heap;

static void *holds_heap(void *arg) {
  pthread_mutex_lock(&heap);
  atomic_store(&held, 1);
  while (sem_wait(&give_heap) != 0) {
  }
  atomic_store(&held, 0);
  pthread_mutex_unlock(&heap);
  return arg;
}
static pthread_t heap_take(void) {
  pthread_t t = thread_start(holds_heap, NULL);
  spin_until(atomic_load(&held));
  return t;
}

static void lives_without_malloc(void) {
  life_before();
  pthread_t t = heap_take();
  life();
  CHECK(sem_post(&give_heap) == 0);
  thread_join(t);
}
static void beside_a_malloc(void) {
  for (int procs = 1; procs <= 3; procs++) {
    begin(procs);
    as_main(lives_without_malloc);
    end();
  }
}

/* The watchdog takes a P from a syscall, and no thread is left to run it. A thread costs memory, which does not come;
 * but slices end on the other P. */
static atomic_int inside;

static void sits_outside(void *arg) {
  CHECK_OK(gmx_enter_syscall());
  atomic_store(&inside, 1);
  while (sem_wait(&outside) != 0) CHECK_EQ(errno, EINTR);
  CHECK_OK(gmx_exit_syscall());
  release(arg, 1);
}
static void watchdog_needs_a_thread(void) {
  uint32_t done = 0;
  atomic_store(&inside, 0);
  go(sits_outside, &done);
  while (!atomic_load(&inside)) gmx_safepoint(); /* the other G runs on the other P, on the last thread */
  pthread_t t = heap_take();
  for (int i = 0; i < 20; i++) slice_ends();
  CHECK(sem_post(&give_heap) == 0);
  thread_join(t);
  posts(NULL);
  acquire(&done, 1);
}
static void watchdog_does_not_wait_for_threads(void) {
  for (int i = 0; i < 5; i++) {
    begin(2);
    as_main(watchdog_needs_a_thread);
    end();
  }
}

/* ---- no thread reads stderr ---- */

static void in_full_pipe(void *arg) {
  (void)arg;
  thread_nap(300 * MS); /* the trace fills the pipe */
  life();
  more_life();
}

static void with_a_full_pipe(void) {
  int p[2];
  CHECK(pipe(p) == 0);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    alarm((unsigned)check_limit);
    fcntl(p[1], F_SETPIPE_SZ, 4096);
    dup2(p[1], 2);
    setenv("GMXDEBUG", "schedtrace=1,scheddetail=1", 1);
    begin(2);
    CHECK_OK(gmx_main(in_full_pipe, NULL));
    _exit(0);
  }
  close(p[1]);
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  if (status != 0) {
    char text[4096];
    ssize_t n = read(p[0], text, sizeof text);
    if (n > 0 && write(2, text, (size_t)n) < 0) check_say("no text");
    FAIL("with a stderr that no process reads the child's wait status is %#x", (unsigned)status);
  }
  close(p[0]);
}

/* ---- more threads than Ps ---- */

static gmx_waitgroup all;
static uint32_t token;

static void visits(void *arg) {
  uintptr_t id = (uintptr_t)arg;
  for (int i = 0; i < 30; i++) {
    switch ((id + (uintptr_t)i) % 5) {
      case 0: CHECK_OK(gmx_yield()); break;
      case 1: CHECK_OK(gmx_sleep(MS / 10)); break;
      case 2:
        acquire(&token, 1);
        CHECK_OK(gmx_yield());
        release(&token, 1);
        break;
      case 3:
        CHECK_OK(gmx_enter_syscall());
        thread_nap(MS / 10);
        CHECK_OK(gmx_exit_syscall());
        break;
      default:
        for (int64_t until = check_now() + MS; check_now() < until;) gmx_safepoint();
    }
  }
}
static void *is_a_visitor(void *arg) {
  for (int i = 0; i < 5; i++) CHECK_OK(gmx_callback(visits, (void *)((uintptr_t)arg + (uintptr_t)i)));
  return NULL;
}
static void works(void *arg) {
  visits(arg);
  CHECK_OK(gmx_waitgroup_done(&all));
}
static void more_threads_than_ps(void) {
  pthread_t t[24];
  begin(2);
  release(&token, 1);
  CHECK_OK(gmx_waitgroup_add(&all, 6));
  for (uintptr_t i = 0; i < 24; i++) t[i] = thread_start(is_a_visitor, (void *)i);
  for (uintptr_t i = 0; i < 6; i++) go(works, (void *)i);
  CHECK_OK(gmx_waitgroup_wait(&all));
  join_threads(t, 24);
  acquire(&token, 1);
  end();
}

/* ---- forks, while another thread begins and ends the runtime ---- */

static atomic_int quit;

static void *begins_and_ends(void *arg) {
  while (!atomic_load(&quit)) {
    uint32_t done = 0;
    CHECK_OK(gmx_spawn(counts, arg));
    CHECK_STATUS(gmx_sema_acquire_timeout(&done, 1000), GMX_ETIMEDOUT);
    CHECK_OK(gmx_shutdown(30 * SECOND));
  }
  return NULL;
}
static void forks_beside_a_beginning(void) {
  atomic_int n = 0;
  atomic_store(&quit, 0);
  pthread_t t = thread_start(begins_and_ends, &n);
  for (int i = 0; i < 200; i++) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      alarm(30);
      atomic_int here = 0;
      uint32_t never = 0;
      CHECK_OK(gmx_spawn(counts, &here));
      CHECK_STATUS(gmx_sema_acquire_timeout(&never, 1000), GMX_ETIMEDOUT);
      spin_until(atomic_load(&here) == 1);
      CHECK_OK(gmx_shutdown(30 * SECOND));
      _exit(0);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (status != 0) FAIL("child %d has the wait status %#x", i, (unsigned)status);
  }
  atomic_store(&quit, 1);
  thread_join(t);
}

int main(int argc, char **argv) {
  CHECK(sem_init(&outside, 0, 0) == 0 && sem_init(&give_heap, 0, 0) == 0);
  CHECK(pthread_atfork(heap_lock, heap_unlock, heap_unlock) == 0);
#define WANTED(test) \
  if (argc < 2 || strcmp(argv[1], #test) == 0) RUN(test)
  WANTED(beside_a_loader);
  WANTED(beside_a_malloc);
  WANTED(watchdog_does_not_wait_for_threads);
  WANTED(with_a_full_pipe);
  WANTED(more_threads_than_ps);
  WANTED(forks_beside_a_beginning);
  return 0;
}
