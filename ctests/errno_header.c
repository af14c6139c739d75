/* env: GMX_MAXPROCS=3 */
/*
 * With gomax_errno.h a function may read errno before and after a call that migrates. All code here is in one function,
 * so that the compiler may keep the address of errno; without the header this test reads the errno of other threads.
 */
#include "gs.h"

#include <gomax_errno.h>
#include <sys/syscall.h>

enum { GS = 12 };
static int64_t moves, stop;

static void looks_on_both_sides(void *arg) {
  int id = *(int *)arg;
  for (int i = 0; i < 200 || !load(&stop); i++) {
    long thread = syscall(SYS_gettid);
    errno = id;
    CHECK_OK(i % 3 ? gmx_yield() : gmx_sleep(1000));
    CHECK_EQ(errno, id);
    if (i % 2) CHECK_OK(gmx_enter_syscall_blocking());
    CHECK(close(-1) < 0); /* fails on the thread where the goroutine is by now */
    if (i % 2) CHECK_OK(gmx_exit_syscall());
    CHECK_EQ(errno, EBADF);
    errno = 0;
    if (syscall(SYS_gettid) != thread) __atomic_fetch_add(&moves, 1, __ATOMIC_RELAXED);
  }
}

static void a_function_that_moves(void) {
  int ids[GS];
  gmx_g gs[GS];
  for (int i = 0; i < GS; i++) {
    ids[i] = 1000 + i;
    gs[i] = go_joinable(looks_on_both_sides, &ids[i]);
  }
  spin_until(__atomic_load_n(&moves, __ATOMIC_RELAXED) > 200); /* otherwise nothing is shown */
  store(&stop, 1);
  join_all(gs, GS);
}

int main(void) {
  RUN(a_function_that_moves);
  RUN(ends_clean);
  return 0;
}
