/* Helpers of the programs about Gs, Ps and the world. */
#ifndef GOMAX_GS_H
#define GOMAX_GS_H

#include "check.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)

/* ---- the runtime ---- */

/* A slice that never ends keeps the order of Gs free of the machine's load. */
#define NO_SLICES (INT64_C(1) << 60)

CHECK_UNUSED static void gs_start(int procs, int64_t slice_ns) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = procs;
  config.slice_ns = slice_ns;
  CHECK_OK(gmx_init(&config));
}

CHECK_UNUSED static void gs_finish(void) { CHECK_OK(gmx_shutdown(30 * SECOND)); }

CHECK_UNUSED static void gs_call(void *arg) { (*(void (**)(void))arg)(); }

/* As RUN, but the test is the main G. */
#define RUN_G(test)                                                                \
  do {                                                                             \
    void (*gs_test)(void) = test;                                                  \
    check_running = #test;                                                         \
    int64_t check_begin = check_now();                                             \
    CHECK_OK(gmx_main(gs_call, &gs_test));                                         \
    check_say("%s: %" PRId64 " ms", #test, (check_now() - check_begin) / 1000000); \
  } while (0)

/* ---- Gs ---- */

CHECK_UNUSED static void go(void (*fn)(void *), void *arg) { CHECK_OK(gmx_spawn(fn, arg)); }

CHECK_UNUSED static gmx_g go_with(const char *name, uint32_t flags, void (*fn)(void *), void *arg) {
  gmx_spawn_opts opts;
  memset(&opts, 0, sizeof opts);
  opts.struct_size = sizeof opts;
  opts.flags = flags;
  opts.name = name;
  gmx_g g = 0;
  CHECK_OK(gmx_spawn_with(&opts, fn, arg, &g));
  CHECK(g != 0);
  return g;
}

CHECK_UNUSED static void join(gmx_g g) { CHECK_OK(gmx_join(g, GMX_FOREVER)); }

CHECK_UNUSED static void acquire(uint32_t *sema, int n) {
  for (int i = 0; i < n; i++) CHECK_OK(gmx_sema_acquire(sema));
}

CHECK_UNUSED static void release(uint32_t *sema, int n) {
  for (int i = 0; i < n; i++) CHECK_OK(gmx_sema_release(sema));
}

/* ---- the system ---- */

CHECK_UNUSED static int gs_tid(void) { return (int)syscall(SYS_gettid); }

/* Blocks the thread, as code does that knows nothing of Gs. */
CHECK_UNUSED static void thread_nap(int64_t ns) {
  struct timespec t = {(time_t)(ns / SECOND), (long)(ns % SECOND)};
  while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR) {
  }
}

/* xorshift64*: small, and each G has its own. */
CHECK_UNUSED static uint64_t gs_random(uint64_t *state) {
  uint64_t x = *state ? *state : 88172645463325252u;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return x * 2685821657736338717u;
}

#endif /* GOMAX_GS_H */
