/*
 * What is to move beside Gs that compute: hogs. A hog ends only when it has seen the others move, so that a P that is
 * never taken from it hangs the test.
 *
 *   beside_start beside_end    a G that yields, a timer, and a thread of the host that spawns, until the end
 *   moved                      whether each of them has moved a few times; only loads, as a hog needs
 *   burn_cpu                   computes for so much CPU time
 *   swap_start swap_begin swap_on swap_end    hogs that compute until their Ps were taken so many times
 */
#ifndef GOMAX_BESIDE_H
#define GOMAX_BESIDE_H

#include "gs.h"
#include "objects.h"

/* ---- what moves beside hogs ---- */

#define BESIDE_ENOUGH 3
static struct {
  int turns, ticks, spawned; /* how often each has moved */
  int over;
  gmx_g yields;
  gmx_timer timer;
  pthread_t host;
} beside;

CHECK_UNUSED static bool moved(void) {
  return load(&beside.turns) >= BESIDE_ENOUGH && load(&beside.ticks) >= BESIDE_ENOUGH &&
         load(&beside.spawned) >= BESIDE_ENOUGH;
}

CHECK_UNUSED static void beside_yields(void *arg) {
  (void)arg;
  while (!load(&beside.over)) {
    bump(&beside.turns);
    CHECK_OK(gmx_yield());
  }
}

CHECK_UNUSED static void *beside_spawns(void *arg) {
  for (int n = 1; !load(&beside.over); n++) {
    go(add_one, &beside.spawned);
    spin_until(load(&beside.spawned) == n);
  }
  return arg;
}

CHECK_UNUSED static void beside_start(void) {
  memset(&beside, 0, sizeof beside);
  beside.yields = go_joinable(beside_yields, NULL);
  CHECK_OK(gmx_after_func(GMX_FOREVER, add_one, &beside.ticks, &beside.timer));
  CHECK_EQ(ticker_reset(beside.timer, MS), 0);
  beside.host = thread_start(beside_spawns, NULL);
}

/* The hogs have ended. */
CHECK_UNUSED static void beside_end(void) {
  store(&beside.over, 1);
  thread_join(beside.host);
  join(beside.yields);
  CHECK_CMP(timer_free(beside.timer), >=, 0);
}

/* ---- for a while ---- */

/* A chance for what must not happen: it is no failure if it does not come. */
CHECK_UNUSED static void burn_cpu(int64_t ns) {
  struct timespec t;
  CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
  for (int64_t end = (int64_t)t.tv_sec * SECOND + t.tv_nsec + ns; (int64_t)t.tv_sec * SECOND + t.tv_nsec < end;)
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
}

/* ---- hogs that take turns ---- */

static struct {
  int hogs, started; /* how many there are, and how many have begun */
  int over;
  uint64_t wanted;
  int64_t until;
  pthread_t watch;
} swaps;

/* A G that calls nothing is entered again only when it was held, and its P is handed on only when it was taken. */
CHECK_UNUSED static uint64_t swaps_until_now(void) {
  gmx_sched_stats stats = sched_stats();
  return stats.switches + stats.handoffs;
}

CHECK_UNUSED static void *swap_watches(void *arg) {
  spin_until(load(&swaps.started) == swaps.hogs);
  uint64_t before = swaps_until_now();
  spin_until(swaps_until_now() - before >= swaps.wanted && check_now() >= swaps.until);
  store(&swaps.over, 1);
  return arg;
}

/* From now on a thread of the host watches the switches. */
CHECK_UNUSED static void swap_start(int hogs, uint64_t wanted, int64_t until) {
  memset(&swaps, 0, sizeof swaps);
  swaps.hogs = hogs;
  swaps.wanted = wanted;
  swaps.until = until;
  swaps.watch = thread_start(swap_watches, NULL);
}

/* Whether a hog is to compute on: `for (swap_begin(); swap_on();)`. */
CHECK_UNUSED static void swap_begin(void) { bump(&swaps.started); }
CHECK_UNUSED static bool swap_on(void) { return !load(&swaps.over); }

/* The hogs have ended. */
CHECK_UNUSED static void swap_end(void) { thread_join(swaps.watch); }

#endif /* GOMAX_BESIDE_H */
