/* timeout: 120 */
/* A thread that is held where it computes may have a lock of the host, and the owners of all Ps may wait for that lock
 * in code that keeps its P. Then the held thread continues without a P: before that, its G does not unlock. */
#include "beside.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

static pthread_mutex_t lock;
static int locked, let_go; /* the lock is taken; its owner may unlock it */
static int waits, passed;
static uint64_t bailed; /* before */

static bool one_was_let_go(void) { return sched_stats().bailed > bailed; }

/* ---- the owner of the lock ---- */

static void computes_until_let_go(void *arg) {
  (void)arg;
  CHECK(pthread_mutex_lock(&lock) == 0);
  store(&locked, 1);
  while (!load(&let_go)) continue;
  for (int64_t end = check_now() + 20 * MS; check_now() < end;) continue; /* not held again before it unlocks */
  CHECK(pthread_mutex_unlock(&lock) == 0);
}

static void *sees_it_let_go(void *arg) {
  spin_until(one_was_let_go());
  store(&let_go, 1);
  return arg;
}

/* ---- what keeps a P and waits for the lock ---- */

static void lock_it(void) {
  bump(&waits);
  CHECK(pthread_mutex_lock(&lock) == 0);
  bump(&passed);
  CHECK(pthread_mutex_unlock(&lock) == 0);
}

static void is_pinned(void *arg) {
  (void)arg;
  CHECK_CMP(gmx_pin(), >=, 0);
  lock_it();
  CHECK_OK(gmx_unpin());
}

static void without_preemption(void *arg) {
  (void)arg;
  lock_it();
}

static void of_a_barrier(void *arg) {
  (void)arg;
  lock_it();
}
static void calls_a_barrier(void *arg) {
  (void)arg;
  CHECK_OK(gmx_for_each_p(of_a_barrier, NULL));
}

static bool refuses(void *arg, gmx_g self) {
  (void)arg, (void)self;
  lock_it();
  return false;
}
static void parks(void *arg) {
  (void)arg;
  CHECK_OK(gmx_park(refuses, NULL, NULL));
}

/* ---- all of them ---- */

static gmx_g owner;
static pthread_t sees;

static void start(int procs) {
  start_runtime(procs, 2 * MS);
  CHECK(pthread_mutex_init(&lock, NULL) == 0);
  store(&locked, 0);
  store(&let_go, 0);
  store(&waits, 0);
  store(&passed, 0);
  bailed = sched_stats().bailed;
}

static void begin(int procs) {
  start(procs);
  sees = thread_start(sees_it_let_go, NULL);
  owner = go_joinable(computes_until_let_go, NULL);
  spin_until(load(&locked));
}

static void end(int passes) {
  join(owner);
  thread_join(sees);
  CHECK_EQ(load(&passed), passes);
  CHECK(pthread_mutex_destroy(&lock) == 0);
  ends_clean();
}

/* As many as there are Ps, or a single one that keeps them all. */
static void with(int procs, void (*keeps)(void *), uint32_t flags, int gs, int passes) {
  gmx_g all[4];
  begin(procs);
  for (int i = 0; i < gs; i++) all[i] = go_with("", GMX_SPAWN_JOINABLE | flags, keeps, NULL);
  join_all(all, gs);
  end(passes);
}

static void on_1_2_and_4_ps(void (*keeps)(void *), uint32_t flags) {
  for (int procs = 1; procs <= 4; procs *= 2) with(procs, keeps, flags, procs, procs);
}

static void pinned_gs_wait_for_a_held_one(void) { on_1_2_and_4_ps(is_pinned, 0); }
static void gs_without_preemption_do(void) { on_1_2_and_4_ps(without_preemption, GMX_SPAWN_NO_PREEMPT); }
static void commits_do(void) { on_1_2_and_4_ps(parks, 0); }

static void the_function_of_a_barrier_does(void) {
  for (int procs = 1; procs <= 4; procs *= 2) {
    with(procs, calls_a_barrier, 0, 1, procs);
    begin(procs);
    calls_a_barrier(NULL); /* on a thread without a P */
    end(procs);
  }
}

/* Each of two kinds on a P. */
static void two_kinds_do(void) {
  begin(2);
  gmx_g all[2] = {go_joinable(is_pinned, NULL), go_joinable(calls_a_barrier, NULL)};
  join_all(all, 2);
  end(3);
}

/* ---- and meanwhile ---- */

/* The Ps that the resize has stopped are no use to the held thread, and it waits for the last one. */
static void a_resize_waits_for_a_pinned_g_that_does(void) {
  for (int procs = 1; procs <= 4; procs *= 2) {
    begin(procs);
    gmx_g one = go_joinable(is_pinned, NULL);
    spin_until(load(&waits) == 1);
    CHECK_EQ(gmx_gomaxprocs(procs + 1), procs);
    join(one);
    end(1);
  }
}

/* It stops what was let go, too, and lets it run until the pinned Gs are at calls. */
static void a_stop_anywhere_waits_for_pinned_gs_that_do(void) {
  for (int procs = 1; procs <= 2; procs++) {
    gmx_g all[2];
    begin(procs);
    for (int i = 0; i < procs; i++) all[i] = go_joinable(is_pinned, NULL);
    spin_until(load(&waits) == procs);
    gmx_stop_opts opts = {.struct_size = sizeof opts, .flags = GMX_STOP_ANYWHERE};
    CHECK_OK(gmx_stop_the_world_with(&opts));
    CHECK_EQ(load(&passed), procs);
    CHECK_OK(gmx_start_the_world());
    join_all(all, procs);
    end(procs);
  }
}

/* ---- and afterwards ---- */

static int over;

static void computes_on(void *arg) {
  computes_until_let_go(arg);
  while (!load(&over)) continue;
}

static void is_pinned_while_the_other_is_held(void *arg) {
  (void)arg;
  CHECK_CMP(gmx_pin(), >=, 0);
  while (!load(&over)) continue;
  CHECK_OK(gmx_unpin());
}

/* It computes beside the owner of the only P, but not for good. */
static void a_thread_that_was_let_go_is_held_again(void) {
  start(1);
  store(&over, 0);
  gmx_g computes = go_joinable(computes_on, NULL);
  spin_until(load(&locked));
  gmx_g all[2] = {go_joinable(is_pinned, NULL), go_joinable(is_pinned_while_the_other_is_held, NULL)};
  spin_until(one_was_let_go());
  uint64_t before = sched_stats().seized;
  store(&let_go, 1);
  spin_until(sched_stats().seized > before);
  store(&over, 1);
  join(computes);
  join_all(all, 2);
  CHECK(pthread_mutex_destroy(&lock) == 0);
  ends_clean();
}

/* ---- malloc's lock ---- */

static void allocate(void) {
  void *at = malloc(5000); /* too large for the caches of the thread */
  CHECK(at != NULL);
  *(volatile char *)at = 1;
  free(at);
}

static void allocates(void *arg) {
  (void)arg;
  while (!load(&over)) allocate();
}

/* Until so many threads were held beside it. */
static void allocates_pinned(void *held) {
  for (uint64_t before = sched_stats().seized; sched_stats().seized - before < *(uint64_t *)held;) {
    CHECK_CMP(gmx_pin(), >=, 0);
    for (int i = 0; i < 100; i++) allocate();
    CHECK_OK(gmx_unpin());
    CHECK_OK(gmx_yield());
  }
  store(&over, 1);
}

static void pinned_gs_allocate_beside_others(void) {
  uint64_t held = 30;
  for (int procs = 1; procs <= 2; procs++) {
    gmx_g all[4];
    start_runtime(procs, MS);
    gmx_sched_stats before = sched_stats();
    store(&over, 0);
    for (int i = 0; i < procs + 2; i++) all[i] = go_joinable(i == 0 ? allocates_pinned : allocates, &held);
    join_all(all, procs + 2);
    check_say("  %d Ps: %" PRIu64 " let go", procs, sched_stats().bailed - before.bailed);
    ends_clean();
  }
}

/* ---- a barrier whose function needs what the code has that it would interrupt ---- */

static __thread volatile int in_the_middle;
static int interrupted;

static void computes_in_the_middle(void *arg) {
  (void)arg;
  in_the_middle = 1;
  while (!load(&over)) continue;
  in_the_middle = 0;
}

static void looks(void *arg) {
  (void)arg;
  if (in_the_middle) bump(&interrupted);
}

static void the_function_of_a_barrier_runs_on_no_held_thread(void) {
  enum { HOGS = 4 };
  gmx_g hogs[HOGS];
  start_runtime(2, 100000);
  store(&over, 0);
  store(&interrupted, 0);
  for (int i = 0; i < HOGS; i++) hogs[i] = go_joinable(computes_in_the_middle, NULL);
  int64_t barriers = 0;
  for (uint64_t before = sched_stats().seized; sched_stats().seized - before < 20; barriers++)
    CHECK_OK(gmx_for_each_p(looks, NULL));
  store(&over, 1);
  join_all(hogs, HOGS);
  CHECK_EQ(load(&interrupted), 0);
  check_say("  %" PRId64 " barriers", barriers);
  ends_clean();
}

int main(void) {
#if defined __GLIBC__ && !defined __SANITIZE_ADDRESS__ /* which has a malloc of its own */
  CHECK_EQ(mallopt(M_ARENA_MAX, 1), 1); /* so that all threads have one lock */
#endif
  RUN(pinned_gs_wait_for_a_held_one);
  RUN(gs_without_preemption_do);
  RUN(commits_do);
  RUN(the_function_of_a_barrier_does);
  RUN(two_kinds_do);
  RUN(a_resize_waits_for_a_pinned_g_that_does);
  RUN(a_stop_anywhere_waits_for_pinned_gs_that_do);
  RUN(a_thread_that_was_let_go_is_held_again);
  RUN(pinned_gs_allocate_beside_others);
  RUN(the_function_of_a_barrier_runs_on_no_held_thread);
  return 0;
}
