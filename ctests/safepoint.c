/* gmx_safepoint in loops that call nothing else, and the state that it must leave alone. */
/* timeout: 120 */
#include "gs.h"

#include <stdatomic.h>

static atomic_int quit, running;
static gmx_waitgroup all;

static void loops(void *arg) {
  (void)arg;
  atomic_fetch_add(&running, 1);
  while (!atomic_load_explicit(&quit, memory_order_relaxed)) gmx_safepoint();
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void loops_start(int n) {
  atomic_store(&quit, 0);
  atomic_store(&running, 0);
  CHECK_OK(gmx_waitgroup_add(&all, n));
  for (int i = 0; i < n; i++) go(loops, NULL);
}

static void loops_end(void) {
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
}

/* More loops than Ps: each loop gets its turn, and so do stops, barriers and resizes. */
static void loops_give_way(void) {
  int32_t procs = gmx_gomaxprocs(0);
  loops_start(procs + 2);
  spin_until(atomic_load(&running) == procs + 2);
  loops_end();
}

static atomic_int served;

static void counts(void *arg) {
  (void)arg;
  atomic_fetch_add(&served, 1);
}

static void loops_come_to_barriers_and_stops(void) {
  int32_t procs = gmx_gomaxprocs(0);
  loops_start(procs - 1); /* this G has a P of its own */
  spin_until(atomic_load(&running) == procs - 1);
  for (int i = 0; i < 200; i++) {
    atomic_store(&served, 0);
    CHECK_OK(gmx_for_each_p(counts, NULL));
    CHECK_EQ(atomic_load(&served), procs);
    CHECK_OK(gmx_stop_the_world("safe points"));
    CHECK_OK(gmx_start_the_world());
  }
  for (int i = 1; i < 30; i++) {
    CHECK_CMP(gmx_gomaxprocs(i), >=, 1);
    CHECK_CMP(gmx_gomaxprocs(procs), ==, i);
  }
  loops_end();
}

/* Any thread may poll anywhere: without a G and a P the poll does nothing. */
static void *polls(void *arg) {
  for (int i = 0; i < 20000; i++) gmx_safepoint();
  return arg;
}

static atomic_int polled;

static void polls_in_barrier(void *arg) {
  (void)arg;
  polls(NULL);
  atomic_fetch_add(&polled, 1);
}

static bool polls_in_commit(void *arg, gmx_g g) {
  (void)arg;
  polls(NULL);
  CHECK_OK(gmx_ready(g));
  return true;
}

static void *polls_attached(void *arg) {
  polls(NULL);
  CHECK_OK(gmx_attach_thread());
  uint64_t id = gmx_goid();
  int tid = thread_id();
  polls(NULL);
  CHECK_EQ(gmx_goid(), id);
  CHECK_EQ(thread_id(), tid);
  CHECK_OK(gmx_detach_thread());
  polls(NULL);
  return arg;
}

static void polling_is_allowed_everywhere(void) {
  loops_start(3); /* so that there is something asked for now and then */
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) threads[i] = thread_start(i % 2 ? polls : polls_attached, NULL);
  for (int i = 0; i < 5; i++) {
    atomic_store(&polled, 0);
    CHECK_OK(gmx_for_each_p(polls_in_barrier, NULL));
    CHECK_EQ(atomic_load(&polled), gmx_gomaxprocs(0));
    CHECK_OK(gmx_park(polls_in_commit, NULL, NULL));

    CHECK_OK(gmx_enter_syscall());
    polls(NULL);
    CHECK_STATUS(gmx_yield(), GMX_EINSYSCALL); /* still in it */
    CHECK_OK(gmx_exit_syscall());

    int32_t p = gmx_pin();
    CHECK_CMP(p, >=, 0);
    int tid = thread_id();
    polls(NULL);
    CHECK_EQ(thread_id(), tid);
    CHECK_EQ(gmx_pin(), p); /* a pinned G stays, whatever is asked for */
    CHECK_OK(gmx_unpin());
    CHECK_OK(gmx_unpin());

    CHECK_OK(gmx_stop_the_world("polls"));
    polls(NULL);
    CHECK_OK(gmx_start_the_world());
  }
  CHECK_OK(gmx_enter_syscall());
  join_threads(threads, 4);
  CHECK_OK(gmx_exit_syscall());
  loops_end();
}

/* A request that came while the G was pinned is served as soon as the G has unpinned. */
static void a_pinned_g_holds_the_world_up_only_so_long(void) {
  for (int i = 0; i < 20; i++) {
    CHECK_CMP(gmx_pin(), >=, 0);
    CHECK_STATUS(gmx_stop_the_world("pinned"), GMX_ENOTG);
    CHECK_STATUS(gmx_for_each_p(counts, NULL), GMX_ENOTG);
    CHECK_OK(gmx_unpin());
    CHECK_OK(gmx_stop_the_world("not pinned"));
    CHECK_OK(gmx_start_the_world());
  }
}

static atomic_int pinned, let_go;

static void stays_pinned(void *arg) {
  (void)arg;
  CHECK_CMP(gmx_pin(), >=, 0);
  atomic_store(&pinned, 1);
  while (!atomic_load(&let_go)) gmx_safepoint();
  CHECK_OK(gmx_unpin());
  while (!atomic_load(&quit)) gmx_safepoint();
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void a_stop_waits_for_a_pinned_g(void) {
  for (int i = 0; i < 10; i++) {
    atomic_store(&quit, 0);
    atomic_store(&pinned, 0);
    atomic_store(&let_go, 0);
    CHECK_OK(gmx_waitgroup_add(&all, 1));
    go(stays_pinned, NULL);
    spin_until(atomic_load(&pinned));
    CHECK_STATUS(gmx_stop_the_world_timeout("in vain", 5 * MS), GMX_ETIMEDOUT);
    atomic_store(&let_go, 1);
    CHECK_OK(gmx_stop_the_world_timeout("now", 60 * SECOND));
    CHECK_OK(gmx_start_the_world());
    loops_end();
  }
}

/* A poll costs one load when no request is pending: the word goes back to zero. */
static void the_word_is_zero_at_rest(void) {
  loops_start(2);
  CHECK_OK(gmx_stop_the_world("rest"));
  CHECK_OK(gmx_start_the_world());
  loops_end();
  spin_until(__atomic_load_n(&gmx_poll_word, __ATOMIC_RELAXED) == 0);
}

static void quiet(void *arg, const char *text, size_t len) {
  (void)arg;
  CHECK(text != NULL && len > 0);
}

static void with_procs(int n) {
  check_say("%d Ps", n);
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = n;
  config.slice_ns = MS;
  config.report = quiet;
  CHECK_OK(gmx_init(&config));
  RUN_G(loops_give_way);
  RUN_G(loops_come_to_barriers_and_stops);
  RUN_G(polling_is_allowed_everywhere);
  RUN_G(a_pinned_g_holds_the_world_up_only_so_long);
  if (n > 1) RUN_G(a_stop_waits_for_a_pinned_g);
  RUN(the_word_is_zero_at_rest);
  end_runtime();
}

int main(void) {
  with_procs(1);
  with_procs(2);
  with_procs(8);
  return 0;
}
