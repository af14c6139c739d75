/* A process whose Gs have all ended costs nothing: in ten seconds it uses no CPU time. */
/* release: it asks what an idle process costs, as it ships */
#include "gs.h"

static gmx_waitgroup all;

static void sleeps(void *arg) {
  CHECK_OK(gmx_sleep((int64_t)(intptr_t)arg));
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void sits(void *arg) {
  (void)arg;
  CHECK_OK(gmx_enter_syscall());
  thread_nap(MS);
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void is_called_back(void *arg) {
  (void)arg;
  CHECK_OK(gmx_yield());
}

static void *calls_back(void *arg) {
  CHECK_OK(gmx_callback(is_called_back, NULL));
  return arg;
}

/* Everything that could leave a thread behind that looks again and again. */
static void everything_was_in_use(void) {
  uint32_t sema = 0;
  CHECK_OK(gmx_waitgroup_add(&all, 2000));
  for (int i = 0; i < 1000; i++) {
    go(sleeps, (void *)(intptr_t)(i * 10000));
    go(sits, NULL);
  }
  for (int n = 1; n <= 64; n *= 2) CHECK_CMP(gmx_gomaxprocs(n), >=, 1);
  CHECK_STATUS(gmx_sema_acquire_timeout(&sema, MS), GMX_ETIMEDOUT);
  /* a timer that was called off, with its time hours away */
  CHECK_OK(gmx_sema_release(&sema));
  CHECK_OK(gmx_sema_acquire_timeout(&sema, 3600 * SECOND));
  CHECK_OK(gmx_stop_the_world("idle"));
  CHECK_OK(gmx_start_the_world());
  pthread_t t = thread_start(calls_back, NULL);
  CHECK_OK(gmx_enter_syscall());
  thread_join(t);
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_waitgroup_wait(&all));
}

static void is_idle(void) {
  thread_nap(20 * SECOND); /* also the memory of unused stacks has gone back by then */
  long naps = usage_now().ru_nvcsw;
  int64_t cpu = cpu_now();
  thread_nap(3 * SECOND);
  cpu = cpu_now() - cpu;
  naps = usage_now().ru_nvcsw - naps;
  check_say("  %" PRId64 " us of CPU and %ld waits in 3 s", cpu / 1000, naps);
  /* the two calls and the nap of this thread are in there */
  CHECK_CMP(cpu, <, MS);
}

static void still_works(void *arg) { CHECK_OK(gmx_sema_release(arg)); }

static void wakes_up_again(void) {
  uint32_t sema = 0;
  go(still_works, &sema);
  acquire(&sema, 1);
}

int main(void) {
  start_runtime(2, 0);
  RUN_G(everything_was_in_use);
  RUN(is_idle);
  RUN(wakes_up_again);
  end_runtime();
  return 0;
}
