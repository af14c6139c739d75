/* timeout: 120 */
/* Many hogs on one P, more hogs than threads may be made, and runtimes that end and begin again beside hogs that have
 * just ended. */
#include "beside.h"

/* ctests/stress/hog_many.c has more. */
#ifndef HOGS
#define HOGS 60
#define ROUNDS 30
#endif

/* ---- turns ---- */

static int here;
enum { QUEUED = 3 };

static void computes_until_all_are_here(void *arg) {
  (void)arg;
  bump(&here);
  while (load(&here) < QUEUED) continue;
}

static void queues_them(void *unused) {
  (void)unused;
  gmx_g g[QUEUED];
  for (int i = 0; i < QUEUED; i++) g[i] = go_joinable(computes_until_all_are_here, NULL);
  join_all(g, QUEUED);
}

/* The slices are so short that each turn of a hog is longer than the three after which a hog goes first. Those in the
 * queue of its P have turns all the same. */
static void a_queue_moves_beside_long_turns(void) {
  start_runtime(1, MS / 10);
  store(&here, 0);
  on_g(queues_them, NULL);
  end_runtime();
}

/* ---- a thread for each hog ---- */

static int begun;

/* No hog ends before the last one has begun: so each of them was held in between. */
static void computes_until_all_have_begun(void *arg) {
  (void)arg;
  bump(&begun);
  while (load(&begun) < HOGS || !moved()) continue;
}

static void each_of_many_hogs_runs(void) {
  static gmx_g hogs[HOGS];
  start_runtime(1, MS);
  store(&begun, 0);
  beside_start();
  for (int i = 0; i < HOGS; i++) hogs[i] = go_joinable(computes_until_all_have_begun, NULL);
  spin_until(load(&begun) == HOGS);
  CHECK_CMP(count_threads(), <=, HOGS + HOGS / 2); /* one each, those beside them, and a reserve now and then */
  join_all(hogs, HOGS);
  beside_end();
  ends_clean();
}

/* ---- fewer threads than hogs ---- */

enum { THREADS = HOGS / 6 };

/* It uses several slices. Then it ends, and its thread runs another G. */
static void computes_for_a_while(void *arg) {
  burn_cpu(3 * MS);
  bump((int *)arg);
}

static void more_hogs_than_threads_run_in_turn(void) {
  static gmx_g hogs[HOGS];
  gmx_config config = GMX_CONFIG_INIT;
  config.maxprocs = 1;
  config.slice_ns = MS;
  config.max_threads = THREADS;
  CHECK_OK(gmx_init(&config));
  int ended = 0;
  beside_start();
  for (int i = 0; i < HOGS; i++) hogs[i] = go_joinable(computes_for_a_while, &ended);
  join_all(hogs, HOGS);
  CHECK_EQ(load(&ended), HOGS);
  spin_until(moved());
  CHECK_CMP(count_threads(), <=, THREADS + 5);
  beside_end();
  ends_clean();
}

/* ---- the end of a runtime ---- */

static int over;

static void computes(void *arg) {
  bump((int *)arg);
  while (!load(&over)) continue;
}

/* The hogs end while the shutdown waits for them. Timers of their threads may still fire then. */
static void a_runtime_begins_again_after_hogs(void) {
  for (int round = 0; round < ROUNDS; round++) {
    int count = 0;
    uint64_t taken = 0;
    store(&over, 0);
    start_runtime(1 + round % 2, MS);
    gmx_sched_stats before = sched_stats();
    for (int i = 0; i < 4; i++) go(computes, &count);
    spin_until((taken = sched_stats().seized + sched_stats().taken) - before.seized - before.taken >= 4);
    store(&over, 1);
    end_runtime();
    CHECK_EQ(load(&count), 4);
    CHECK_EQ(gmx_num_g(), 0);
  }
  await_threads(1);
}

int main(void) {
  RUN(a_queue_moves_beside_long_turns);
  RUN(each_of_many_hogs_runs);
  RUN(more_hogs_than_threads_run_in_turn);
  RUN(a_runtime_begins_again_after_hogs);
  return 0;
}
