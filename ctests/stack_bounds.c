/* timeout: 60 */
/* env: GMX_MAXPROCS=2 */
/*
 * The bounds of the stack that a caller runs on: right to the byte in every context, and refused on a stack that is
 * neither the goroutine's nor the thread's.
 */
#include "gs.h"

#include <sys/wait.h>
#include <ucontext.h>

struct bounds {
  char *lo, *hi;
};

static struct bounds mine(void) {
  struct bounds b = {0};
  void *lo, *hi;
  errno = 4711;
  CHECK_OK(gmx_stack_bounds(&lo, &hi));
  CHECK_EQ(errno, 4711);
  b.lo = lo, b.hi = hi;
  char *here = __builtin_frame_address(0);
  CHECK(b.lo < here && here < b.hi);
  return b;
}

static struct bounds of_thread(void) {
  pthread_attr_t attr;
  void *lo;
  size_t size;
  CHECK_EQ(pthread_getattr_np(pthread_self(), &attr), 0);
  CHECK_EQ(pthread_attr_getstack(&attr, &lo, &size), 0);
  CHECK_EQ(pthread_attr_destroy(&attr), 0);
  return (struct bounds){lo, (char *)lo + size};
}

static void are_of_this_thread(void *arg) {
  struct bounds b = mine(), t = of_thread();
  (void)arg;
  CHECK_EQ(b.lo, t.lo);
  CHECK_EQ(b.hi, t.hi);
}

/* ---- Gs ---- */

static void seen(void *arg, const gmx_g_info *info) {
  struct bounds *b = arg;
  if (info->g == gmx_self()) b->lo = info->stack_lo, b->hi = info->stack_hi;
}

/* Whether a write there ends the process. */
static int faults(char *at) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    signal(SIGSEGV, SIG_DFL);
    *(volatile char *)at = 1;
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  return WIFSIGNALED(status);
}

static void a_g(void *arg) {
  size_t size = *(size_t *)arg;
  struct bounds b = mine(), world = {0};
  CHECK_CMP(b.hi - b.lo, >=, (int64_t)size);
  CHECK_CMP(b.hi - (char *)__builtin_frame_address(0), <, 8192); /* it has only begun */
  CHECK_OK(gmx_stop_the_world("bounds"));
  CHECK_OK(gmx_for_each_g(seen, &world));
  CHECK_OK(gmx_start_the_world());
  CHECK(world.lo == b.lo && world.hi == b.hi);
  CHECK(!faults(b.lo) && faults(b.lo - 1));
  for (int i = 0; i < 100; i++) CHECK_OK(gmx_yield()); /* it keeps its stack, whichever thread it runs on */
  CHECK_OK(gmx_enter_syscall_blocking());
  struct bounds in = mine();
  CHECK_OK(gmx_exit_syscall());
  CHECK(mine().lo == b.lo && in.lo == b.lo && in.hi == b.hi);
}

static void gs_of_all_sizes(void) {
  static size_t sizes[] = {1, 16 << 10, 100000, 256 << 10, 3 << 20};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = GMX_SPAWN_JOINABLE, .stack_size = sizes[i]};
    gmx_g g;
    CHECK_OK(gmx_spawn_with(&opts, a_g, &sizes[i], &g));
    join(g);
  }
}

/* ---- threads ---- */

static void *foreign(void *arg) {
  (void)arg;
  are_of_this_thread(NULL);
  CHECK_OK(gmx_callback(are_of_this_thread, NULL));
  CHECK_OK(gmx_attach_thread());
  are_of_this_thread(NULL);
  CHECK_OK(gmx_yield());
  are_of_this_thread(NULL);
  CHECK_OK(gmx_detach_thread());
  are_of_this_thread(NULL);
  return NULL;
}

/* Threads one after another, each with another stack: the library keeps no bounds of a thread that has ended. */
static void threads_of_the_host(void) {
  foreign(NULL); /* the main thread */
  for (int i = 0; i < 8; i++) {
    pthread_attr_t attr;
    pthread_t thread;
    CHECK_EQ(pthread_attr_init(&attr), 0);
    CHECK_EQ(pthread_attr_setstacksize(&attr, (size_t)(256 << 10) << i % 4), 0);
    CHECK_EQ(pthread_create(&thread, &attr, foreign, NULL), 0);
    thread_join(thread);
  }
}

static uint32_t threads_seen;
static void on_each_p(void *arg) {
  (void)arg;
  mine(); /* the caller's goroutine's for its own P, the thread's for others */
  bump(&threads_seen);
}
static bool in_a_commit(void *arg, gmx_g g) {
  (void)g;
  are_of_this_thread(arg);
  bump(&threads_seen);
  return false;
}
static void on_the_schedulers_stack(void *arg) {
  (void)arg;
  CHECK_OK(gmx_for_each_p(on_each_p, NULL));
  CHECK_OK(gmx_park(in_a_commit, NULL, NULL));
  CHECK_EQ(load(&threads_seen), 3);
}

/* ---- other stacks ---- */

static ucontext_t back, other;
static void are_unknown(void) {
  void *lo = &back, *hi = &other;
  CHECK_STATUS(gmx_stack_bounds(&lo, &hi), GMX_ENOTSUP);
  CHECK(lo == &back && hi == &other); /* an error changes nothing */
}

/* musl has none of these. */
#pragma weak getcontext
#pragma weak makecontext
#pragma weak swapcontext

static void a_coroutine_of_the_host(void *arg) {
  if (getcontext == NULL) {
    check_say("no getcontext");
    return;
  }
  static char room[2][65536];
  CHECK_EQ(getcontext(&other), 0);
  other.uc_stack.ss_sp = room[arg != NULL];
  other.uc_stack.ss_size = sizeof room[0];
  other.uc_link = &back;
  makecontext(&other, are_unknown, 0);
  CHECK_EQ(swapcontext(&back, &other), 0);
  mine();
}

static void a_child_of_fork(void *arg) {
  (void)arg;
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    are_unknown();
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

static void stacks_that_are_not_the_librarys(void) {
  a_coroutine_of_the_host(NULL);
  on_g(a_coroutine_of_the_host, &back);
  on_g(a_child_of_fork, NULL);
}

static void before_the_runtime(void) {
  are_of_this_thread(NULL);
  CHECK_STATUS(gmx_stack_bounds(NULL, NULL), GMX_EINVAL);
  CHECK_EQ(gmx_num_g(), 0);
}

int main(void) {
  RUN(before_the_runtime);
  RUN(gs_of_all_sizes);
  RUN(threads_of_the_host);
  on_g(on_the_schedulers_stack, NULL);
  RUN(stacks_that_are_not_the_librarys);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  are_of_this_thread(NULL);
  return 0;
}
