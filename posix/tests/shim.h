/*
 * Programs that are linked with libgomax_posix.
 *
 *   begin_parked begin_shared end_all   a runtime in which only a park lets another G run; one with many Ps; their end
 *   when_waiting check_few_threads      waits until so many Gs wait for descriptors; no thread waits with them
 *   shim_pair                           two connected ends, without handles
 *   last_errno                          errno, in a function of its own
 */
#ifndef GOMAX_SHIM_H
#define GOMAX_SHIM_H

#include <gomax_posix.h>

#define RUNTIME_FLAGS shim_flags
static uint32_t shim_flags;

#include "fds.h"

/* The headers above check errno of each call of libgomax; these tests do not make such calls with one. */
#undef gmx_close
#undef gmx_read
#undef gmx_write

/* One P, which no slice takes away: a call that blocks its thread and keeps the P hangs the test. */
CHECK_UNUSED static void begin_parked(void) {
  shim_flags = GMX_CONFIG_PREEMPT_OFF;
  start_runtime(1, NO_SLICES);
  CHECK_OK(gmx_posix_enable(GMX_POSIX_ALL));
}

CHECK_UNUSED static void begin_shared(int procs) {
  shim_flags = 0;
  start_runtime(procs, 0);
  CHECK_OK(gmx_posix_enable(GMX_POSIX_ALL));
}

CHECK_UNUSED static void end_all(void) {
  CHECK_OK(gmx_posix_enable(0));
  ends_clean();
}

/* There are no more than two threads more. With slices there may be: a G that computes when its slice ends keeps its
 * thread, and on a loaded machine many do. */
CHECK_UNUSED static void check_few_threads(int before) {
  if (shim_flags & GMX_CONFIG_PREEMPT_OFF) CHECK_CMP(count_threads(), <=, before + 2);
}

CHECK_UNUSED static void when_waiting(uint64_t n) { spin_until((uint64_t)sched_stats().io_waiting >= n); }

CHECK_UNUSED static void shim_pair(int fd[2], enum pair_kind kind) { fds_of(fd, kind); }

/* A function of its own: the compiler may keep the place of errno over a call that migrates. */
__attribute__((__noinline__)) CHECK_UNUSED static int last_errno(void) { return errno; }
__attribute__((__noinline__)) CHECK_UNUSED static void set_errno(int e) { errno = e; }

#define CHECK_FAILS(call, error)                                                                  \
  do {                                                                                            \
    int64_t check_result = (int64_t)(call);                                                       \
    int check_error = last_errno();                                                               \
    if (check_result != -1 || check_error != (error))                                             \
      FAIL("%s is %d, errno %s, not -1, errno %s", #call, (int)check_result,                      \
           strerrorname_np(check_error), strerrorname_np(error));                                 \
  } while (0)

#endif /* GOMAX_SHIM_H */
