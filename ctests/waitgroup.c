/* env: GMX_MAXPROCS=3 */
/* Wait groups: waiters continue when, and only when, the count is zero; and the count is never negative. */
#include "gs.h"
#include <sys/mman.h>

struct group {
  gmx_waitgroup wg;
  int waiting, passed, timed_out, done;
  int64_t timeout;
};

static void waits(void *arg) {
  struct group *g = arg;
  bump(&g->waiting);
  CHECK_OK(gmx_waitgroup_wait(&g->wg));
  CHECK_EQ(load(&g->done), 1);
  bump(&g->passed);
}
static void *waits_as_thread(void *arg) {
  waits(arg);
  return NULL;
}

static void zero_does_not_wait(void) {
  gmx_waitgroup wg = {0};
  CHECK_OK(gmx_waitgroup_wait(&wg));
  CHECK_OK(gmx_waitgroup_wait_timeout(&wg, 0));
  CHECK_OK(gmx_waitgroup_add(&wg, 0));
  CHECK_OK(gmx_waitgroup_wait(&wg));
  CHECK_OK(gmx_waitgroup_add(&wg, 3));
  CHECK_STATUS(gmx_waitgroup_wait_timeout(&wg, 0), GMX_ETIMEDOUT);
  CHECK_OK(gmx_waitgroup_add(&wg, -3));
  CHECK_OK(gmx_waitgroup_wait(&wg));
}

static void never_below_zero(void) {
  gmx_waitgroup wg, before;
  memset(&wg, 0, sizeof wg);
  before = wg;
  CHECK_STATUS(gmx_waitgroup_done(&wg), GMX_EINVAL);
  CHECK_STATUS(gmx_waitgroup_add(&wg, -1), GMX_EINVAL);
  CHECK_STATUS(gmx_waitgroup_add(&wg, INT32_MIN), GMX_EINVAL);
  CHECK(memcmp(&wg, &before, sizeof wg) == 0);
  CHECK_OK(gmx_waitgroup_add(&wg, 2));
  before = wg;
  CHECK_STATUS(gmx_waitgroup_add(&wg, -3), GMX_EINVAL);
  CHECK(memcmp(&wg, &before, sizeof wg) == 0);
  CHECK_OK(gmx_waitgroup_add(&wg, INT32_MAX - 2));
  before = wg;
  CHECK_STATUS(gmx_waitgroup_add(&wg, 1), GMX_EINVAL); /* nor beyond what it counts */
  CHECK(memcmp(&wg, &before, sizeof wg) == 0);
  CHECK_OK(gmx_waitgroup_add(&wg, -INT32_MAX));
  CHECK_OK(gmx_waitgroup_wait(&wg));
}

/* A refused call wakes no waiter. */
static void refused_with_waiters(void) {
  struct group g;
  memset(&g, 0, sizeof g);
  CHECK_OK(gmx_waitgroup_add(&g.wg, 1));
  gmx_g waiter = go_joinable(waits, &g);
  pthread_t thread = thread_start(waits_as_thread, &g);
  spin_until(load(&g.waiting) == 2);
  CHECK_STATUS(gmx_waitgroup_add(&g.wg, -2), GMX_EINVAL);
  store(&g.done, 1);
  CHECK_OK(gmx_waitgroup_done(&g.wg));
  join(waiter);
  thread_join(thread);
  CHECK_EQ(g.passed, 2);
}

static void does_its_part(void *arg) {
  struct group *g = arg;
  for (int i = 0; i < 3; i++) CHECK_OK(gmx_yield());
  bump(&g->passed);
  CHECK_OK(gmx_waitgroup_done(&g->wg));
}
static void *does_its_part_as_thread(void *arg) {
  does_its_part(arg);
  return NULL;
}

static void waits_for_gs_and_threads(void) {
  enum { GS = 200, THREADS = 4 };
  for (int round = 0; round < 20; round++) {
    struct group g;
    pthread_t threads[THREADS];
    memset(&g, 0, sizeof g);
    CHECK_OK(gmx_waitgroup_add(&g.wg, GS + THREADS));
    for (int i = 0; i < GS; i++) CHECK_OK(gmx_spawn(does_its_part, &g));
    for (int i = 0; i < THREADS; i++) threads[i] = thread_start(does_its_part_as_thread, &g);
    CHECK_OK(gmx_waitgroup_wait(&g.wg));
    CHECK_EQ(load(&g.passed), GS + THREADS);
    join_threads(threads, THREADS);
  }
}

static void many_waiters_all_go(void) {
  enum { GS = 100, THREADS = 4 };
  struct group g;
  gmx_g gs[GS];
  pthread_t threads[THREADS];
  memset(&g, 0, sizeof g);
  CHECK_OK(gmx_waitgroup_add(&g.wg, 1));
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(waits, &g);
  for (int i = 0; i < THREADS; i++) threads[i] = thread_start(waits_as_thread, &g);
  spin_until(load(&g.waiting) == GS + THREADS);
  store(&g.done, 1);
  CHECK_OK(gmx_waitgroup_done(&g.wg));
  join_all(gs, GS);
  join_threads(threads, THREADS);
  CHECK_EQ(g.passed, GS + THREADS);
}

/* The same group round after round: each waiter is let go by its own round's end. */
static void used_again_and_again(void) {
  struct group g;
  memset(&g, 0, sizeof g);
  for (int i = 0; i < 2000; i++) {
    CHECK_OK(gmx_waitgroup_add(&g.wg, 2));
    CHECK_OK(gmx_spawn(does_its_part, &g));
    CHECK_OK(gmx_spawn(does_its_part, &g));
    CHECK_OK(gmx_waitgroup_wait(&g.wg));
    CHECK_EQ(load(&g.passed), 2 * (i + 1));
  }
}
static void used_again_on_a_g(void *arg) {
  (void)arg;
  used_again_and_again();
}
static void used_again_by_a_g(void) { on_g(used_again_on_a_g, NULL); }

static void waits_a_little(void *arg) {
  struct group *g = arg;
  bump(&g->waiting);
  gmx_status s = gmx_waitgroup_wait_timeout(&g->wg, g->timeout);
  if (s == GMX_ETIMEDOUT) {
    bump(&g->timed_out);
    return;
  }
  CHECK_OK(s);
  CHECK_EQ(load(&g->done), 1);
  bump(&g->passed);
}

static void done_races_time_outs(void) {
  enum { GS = 10 };
  for (int round = 0; round < 300; round++) {
    struct group g;
    gmx_g gs[GS];
    memset(&g, 0, sizeof g);
    g.timeout = 1000 * (round % 50);
    CHECK_OK(gmx_waitgroup_add(&g.wg, 1));
    for (int i = 0; i < GS; i++) gs[i] = go_joinable(waits_a_little, &g);
    spin_until(load(&g.waiting) == GS);
    store(&g.done, 1);
    CHECK_OK(gmx_waitgroup_done(&g.wg));
    join_all(gs, GS);
    CHECK_EQ(g.passed + g.timed_out, GS);
    CHECK_OK(gmx_waitgroup_wait_timeout(&g.wg, 0));
  }
}

static void a_long_time_out_is_no_short_one(void) {
  struct group g;
  memset(&g, 0, sizeof g);
  g.timeout = INT64_MAX;
  CHECK_OK(gmx_waitgroup_add(&g.wg, 1));
  gmx_g waiter = go_joinable(waits_a_little, &g);
  spin_until(load(&g.waiting) == 1);
  CHECK_OK(gmx_sleep(20000000));
  CHECK_EQ(load(&g.timed_out), 0);
  store(&g.done, 1);
  CHECK_OK(gmx_waitgroup_done(&g.wg));
  join(waiter);
  CHECK_EQ(g.passed, 1);
}

/* The memory of the group goes as soon as the count is zero: a late access faults. The waiter has timed out before, so
 * that the queue is empty, and looks again and again. */
struct fleeting {
  gmx_waitgroup *wg;
  int waited;
};

static void *does_one_late(void *arg) {
  struct fleeting *f = arg;
  spin_until(load(&f->waited));
  CHECK_OK(gmx_waitgroup_done(f->wg));
  return NULL;
}

static void memory_goes_with_the_wait(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  for (int round = 0; round < 1000; round++) {
    struct fleeting f = {0};
    f.wg = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(f.wg != MAP_FAILED);
    CHECK_OK(gmx_waitgroup_add(f.wg, 1));
    pthread_t thread = thread_start(does_one_late, &f);
    CHECK_STATUS(gmx_waitgroup_wait_timeout(f.wg, 1), GMX_ETIMEDOUT);
    store(&f.waited, 1);
    for (;;) {
      gmx_status s = gmx_waitgroup_wait_timeout(f.wg, 0);
      if (s == GMX_OK) break;
      CHECK_STATUS(s, GMX_ETIMEDOUT);
      sched_yield(); /* in a real-time class on one CPU the other thread would never run */
    }
    CHECK(munmap(f.wg, page) == 0);
    thread_join(thread);
  }
}

/* Several calls at once, some of them wrong: as many succeed as the count allows. */
enum { RACERS = 4, TIMES = 20000 };

static void *adds_and_does(void *arg) {
  gmx_waitgroup *wg = arg;
  for (int i = 0; i < TIMES; i++) {
    CHECK_OK(gmx_waitgroup_add(wg, 1));
    CHECK_OK(gmx_waitgroup_done(wg));
  }
  return NULL;
}

static void *does_too_often(void *arg) {
  gmx_waitgroup *wg = arg;
  intptr_t right = 0;
  for (int i = 0; i < TIMES; i++) {
    gmx_status s = gmx_waitgroup_done(wg);
    if (s == GMX_OK) right++;
    else CHECK_STATUS(s, GMX_EINVAL);
  }
  return (void *)right;
}

static void wrong_calls_beside_right_ones(void) {
  gmx_waitgroup wg = {0};
  pthread_t right[RACERS], wrong[RACERS];
  void *n;
  /* the count covers the right calls at any time, whatever the wrong calls do */
  int32_t room = RACERS * TIMES;
  CHECK_OK(gmx_waitgroup_add(&wg, room));
  for (int i = 0; i < RACERS; i++) {
    right[i] = thread_start(adds_and_does, &wg);
    wrong[i] = thread_start(does_too_often, &wg);
  }
  for (int i = 0; i < RACERS; i++) {
    thread_join(right[i]);
    CHECK_EQ(pthread_join(wrong[i], &n), 0);
    room -= (int32_t)(intptr_t)n;
  }
  CHECK_EQ(room, 0);
  CHECK_OK(gmx_waitgroup_wait_timeout(&wg, 0));
  for (int i = 0; i < RACERS; i++) wrong[i] = thread_start(does_too_often, &wg);
  for (int i = 0; i < RACERS; i++) {
    CHECK_EQ(pthread_join(wrong[i], &n), 0);
    CHECK(n == NULL);
  }
  CHECK_OK(gmx_waitgroup_wait_timeout(&wg, 0));
}

/* Also near the largest count, no call sees the change of a refused call. */
static void *adds_at_the_top(void *arg) {
  for (int i = 0; i < TIMES; i++) CHECK_STATUS(gmx_waitgroup_add(arg, 1 + i % 4096), GMX_EINVAL);
  return NULL;
}

static void wrong_calls_at_the_top(void) {
  gmx_waitgroup wg = {0};
  pthread_t threads[RACERS];
  CHECK_OK(gmx_waitgroup_add(&wg, INT32_MAX));
  for (int i = 0; i < RACERS; i++) threads[i] = thread_start(adds_at_the_top, &wg);
  join_threads(threads, RACERS);
  CHECK_OK(gmx_waitgroup_add(&wg, -INT32_MAX));
  CHECK_OK(gmx_waitgroup_wait_timeout(&wg, 0));
}

static void does_one(void *arg) { CHECK_OK(gmx_waitgroup_done(arg)); }

static void the_scheduler_may_add_and_do(void) {
  gmx_waitgroup wg = {0};
  int32_t procs = gmx_gomaxprocs(0);
  CHECK_OK(gmx_waitgroup_add(&wg, procs));
  CHECK_OK(gmx_for_each_p(does_one, &wg));
  CHECK_OK(gmx_waitgroup_wait_timeout(&wg, 0));
}

int main(void) {
  RUN(zero_does_not_wait);
  RUN(never_below_zero);
  RUN(refused_with_waiters);
  RUN(waits_for_gs_and_threads);
  RUN(many_waiters_all_go);
  RUN(used_again_and_again);
  RUN(used_again_by_a_g);
  RUN(done_races_time_outs);
  RUN(a_long_time_out_is_no_short_one);
  RUN(memory_goes_with_the_wait);
  RUN(wrong_calls_beside_right_ones);
  RUN(wrong_calls_at_the_top);
  RUN(the_scheduler_may_add_and_do);
  RUN(ends_clean);
  return 0;
}
