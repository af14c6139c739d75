/*
 * The runtime and its Gs.
 *
 *   start_runtime end_runtime as_main RUN_G ends_clean   begin it with so many Ps, end it, run a test as the main G
 *   go go_with go_joinable join join_all on_g            spawn a G, by itself or to be joined
 *   nothing add_one                                      the shortest functions of Gs
 *   acquire release                                      so many times
 *   park_at wake_at                                      park a G where another thread finds its handle
 *   waiting count_waiting                                which Gs wait
 */
#ifndef GOMAX_GS_H
#define GOMAX_GS_H

#include "check.h"
#include "shared.h"
#include "stats.h"
#include "thread.h"

/* ---- the runtime ---- */

/* A slice that never ends keeps the order of Gs free of the machine's load. */
#define NO_SLICES (INT64_C(1) << 60)

/* gmx_config.flags of start_runtime; a test may define others before. */
#ifndef RUNTIME_FLAGS
#define RUNTIME_FLAGS 0
#endif

CHECK_UNUSED static void start_runtime(int procs, int64_t slice_ns) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = procs;
  config.slice_ns = slice_ns;
  config.flags = RUNTIME_FLAGS;
  CHECK_OK(gmx_init(&config));
}

CHECK_UNUSED static void end_runtime(void) { CHECK_OK(gmx_shutdown(30 * SECOND)); }

CHECK_UNUSED static void gs_calls(void *arg) { (*(void (**)(void))arg)(); }

/* Runs fn as the main G. */
CHECK_UNUSED static void as_main(void (*fn)(void)) { CHECK_OK(gmx_main(gs_calls, &fn)); }

/* As RUN, but the test is the main G. */
#define RUN_G(test)                                                                \
  do {                                                                             \
    check_running = #test;                                                         \
    int64_t check_begin = check_now();                                             \
    as_main(test);                                                                 \
    check_say("%s: %" PRId64 " ms", #test, (check_now() - check_begin) / 1000000); \
  } while (0)

/* The last test of a program: called by the only thread of the host that is left. */
CHECK_UNUSED static void ends_clean(void) {
  spin_until(gmx_num_g() == 0);
  end_runtime();
  await_threads(1);
}

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

/* A G that must be joined. */
CHECK_UNUSED static gmx_g go_joinable(void (*fn)(void *), void *arg) {
  return go_with(NULL, GMX_SPAWN_JOINABLE, fn, arg);
}

CHECK_UNUSED static void join(gmx_g g) { CHECK_OK(gmx_join(g, GMX_FOREVER)); }

CHECK_UNUSED static void join_all(const gmx_g *gs, long n) {
  for (long i = 0; i < n; i++) join(gs[i]);
}

/* The shortest Gs. */
CHECK_UNUSED static void nothing(void *unused) { (void)unused; }
CHECK_UNUSED static void add_one(void *count) { bump((int *)count); }

/* Runs fn on a new G and waits for its end. */
CHECK_UNUSED static void on_g(void (*fn)(void *), void *arg) { join(go_joinable(fn, arg)); }

/* ---- semaphores ---- */

CHECK_UNUSED static void acquire(uint32_t *sema, int n) {
  for (int i = 0; i < n; i++) CHECK_OK(gmx_sema_acquire(sema));
}

CHECK_UNUSED static void release(uint32_t *sema, int n) {
  for (int i = 0; i < n; i++) CHECK_OK(gmx_sema_release(sema));
}

/* ---- parked Gs ---- */

/* A commit for gmx_park that tells the handle of the parked G and so that it is parked. */
CHECK_UNUSED static bool tell_parked(void *arg, gmx_g g) {
  store((gmx_g *)arg, g);
  return true;
}

/* Writes the handle of the caller to *where, and parks until another thread readies it. */
CHECK_UNUSED static void park_at(gmx_g *where) { CHECK_OK(gmx_park(tell_parked, where, "test")); }

/* Readies the G that parks, or soon will, at *where. */
CHECK_UNUSED static void wake_at(gmx_g *where) {
  spin_until(load(where) != 0);
  CHECK_OK(gmx_ready(load(where)));
}

/* ---- which G waits for what ---- */

struct gs_count {
  const char *reason;
  int n;
};

CHECK_UNUSED static void gs_count_one(void *arg, const gmx_g_info *info) {
  struct gs_count *count = (struct gs_count *)arg;
  if (info->status == GMX_G_WAITING && info->wait_reason && strcmp(info->wait_reason, count->reason) == 0) count->n++;
}

/* How many Gs wait for this reason. */
CHECK_UNUSED static int waiting(const char *reason) {
  struct gs_count count = {reason, 0};
  CHECK_OK(gmx_stop_the_world("count"));
  CHECK_OK(gmx_for_each_g(gs_count_one, &count));
  CHECK_OK(gmx_start_the_world());
  return count.n;
}

/* The number of waiting Gs, each in its queue. It counts in a stopped world: at any other time a G that is on its way
 * into its queue counts too, and a later G may get there before it. */
CHECK_UNUSED static int64_t count_waiting(void) {
  CHECK_OK(gmx_stop_the_world("count"));
  gmx_sched_stats stats = sched_stats();
  CHECK_OK(gmx_start_the_world());
  return stats.g_waiting;
}

#endif /* GOMAX_GS_H */
