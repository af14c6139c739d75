/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* A pinned G stays on its P, alone there, until it unpins. */
#include "gs.h"

/* ---- per-P counters without atomics ---- */

enum { MOST = 64, GS = 12, ROUNDS = 20000 };
static struct {
  volatile int64_t count;
  char pad[56];
} counters[MOST];
static int stop;

static void counts(void *arg) {
  (void)arg;
  for (int i = 0; i < ROUNDS; i++) {
    int32_t p = gmx_pin();
    CHECK(p >= 0 && p < MOST);
    int64_t count = counters[p].count;
    if (i % 32 == 0) {
      gmx_safepoint(); /* must not let another G onto this P */
      CHECK_EQ(gmx_pin(), p);
      CHECK_OK(gmx_unpin());
    }
    counters[p].count = count + 1;
    CHECK_OK(gmx_unpin());
    if (i % 64 == 0) CHECK_OK(gmx_yield());
    gmx_safepoint();
  }
}
static void counts_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  counts(arg);
  CHECK_OK(gmx_detach_thread());
}
static void *attached_thread(void *arg) {
  counts_attached(arg);
  return NULL;
}

static void disturbs(void *arg) {
  (void)arg;
  for (int i = 0; !load(&stop); i++) {
    CHECK(gmx_gomaxprocs(1 + i % 7) > 0);
    CHECK_OK(gmx_for_each_p(nothing, NULL));
    CHECK_OK(gmx_stop_the_world("pin"));
    CHECK_OK(gmx_start_the_world());
    CHECK_OK(gmx_sleep(100000));
  }
}

static void counters_need_no_atomics(void) {
  gmx_g gs[GS], disturber;
  store(&stop, 0);
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(counts, NULL);
  pthread_t thread = thread_start(attached_thread, NULL);
  disturber = go_joinable(disturbs, NULL);
  join_all(gs, GS);
  thread_join(thread);
  store(&stop, 1);
  join(disturber);
  int64_t sum = 0;
  for (int i = 0; i < MOST; i++) sum += counters[i].count;
  CHECK_EQ(sum, (GS + 1) * ROUNDS);
  CHECK(gmx_gomaxprocs(3) > 0);
}

/* ---- alone on its P ---- */

static int other_ran, seen_while_pinned;

static void other(void *arg) {
  (void)arg;
  store(&other_ran, 1);
}

static void stays_over_its_slice(void *arg) {
  (void)arg;
  CHECK_EQ(gmx_pin(), 0);
  CHECK_OK(gmx_spawn(other, NULL));
  for (int64_t end = check_now() + 60 * MS; check_now() < end;) gmx_safepoint();
  CHECK_STATUS(gmx_yield(), GMX_ENOTG);
  store(&seen_while_pinned, load(&other_ran));
  CHECK_OK(gmx_unpin());
  spin_until(load(&other_ran));
}

/* One P, a slice long over, another G waiting: the other G does not run until the unpin. */
static void no_preemption_while_pinned(void) {
  CHECK(gmx_gomaxprocs(1) > 0);
  for (int i = 0; i < 5; i++) {
    store(&other_ran, 0);
    store(&seen_while_pinned, 0);
    on_g(stays_over_its_slice, NULL);
    CHECK_EQ(seen_while_pinned, 0);
  }
  CHECK_EQ(gmx_gomaxprocs(3), 1);
}

/* ---- against the world ---- */

static int pinned_now;

static void pins_and_unpins(void *arg) {
  (void)arg;
  while (!load(&stop)) {
    CHECK(gmx_pin() >= 0);
    bump(&pinned_now);
    for (int i = 0; i < 200; i++) gmx_safepoint();
    __atomic_fetch_sub(&pinned_now, 1, __ATOMIC_ACQ_REL);
    CHECK_OK(gmx_unpin());
    gmx_safepoint();
  }
}

static void the_world_stops_between_pins(void) {
  gmx_g gs[4];
  store(&stop, 0);
  for (int i = 0; i < 4; i++) gs[i] = go_joinable(pins_and_unpins, NULL);
  for (int i = 0; i < 300; i++) {
    CHECK_OK(gmx_stop_the_world("pin"));
    CHECK_EQ(load(&pinned_now), 0);
    CHECK_OK(gmx_start_the_world());
    CHECK_OK(gmx_yield());
  }
  store(&stop, 1);
  join_all(gs, 4);
}

/* ---- nesting ---- */

static void nests(void *arg) {
  (void)arg;
  CHECK_STATUS(gmx_unpin(), GMX_EPERM);
  int32_t p = gmx_pin();
  for (int i = 0; i < 1000; i++) CHECK_EQ(gmx_pin(), p);
  for (int i = 0; i < 1000; i++) {
    CHECK_OK(gmx_unpin());
    CHECK_STATUS(gmx_yield(), GMX_ENOTG);
    CHECK_STATUS(gmx_enter_syscall(), GMX_ENOTG);
  }
  CHECK_OK(gmx_unpin());
  CHECK_STATUS(gmx_unpin(), GMX_EPERM);
  CHECK_OK(gmx_yield());
}
static void pins_nest(void) { on_g(nests, NULL); }

static int which[MOST];

static void notes_p(void *arg) {
  (void)arg;
  int32_t p = gmx_pin();
  CHECK(p >= 0 && p < MOST);
  bump(&which[p]);
  CHECK_EQ(gmx_pin(), p);
  CHECK_OK(gmx_unpin());
  CHECK_OK(gmx_unpin());
}

static void the_barrier_tells_its_p(void) {
  for (int n = 1; n <= 9; n += 2) {
    CHECK(gmx_gomaxprocs(n) > 0);
    memset(which, 0, sizeof which);
    CHECK_OK(gmx_for_each_p(notes_p, NULL));
    for (int p = 0; p < MOST; p++) CHECK_EQ(which[p], p < n);
  }
  CHECK_EQ(gmx_gomaxprocs(3), 9);
}

static void not_for_plain_threads(void) {
  CHECK_STATUS(gmx_pin(), GMX_ENOTG);
  CHECK_STATUS(gmx_unpin(), GMX_EPERM);
}

int main(void) {
  RUN(counters_need_no_atomics);
  RUN(no_preemption_while_pinned);
  RUN(the_world_stops_between_pins);
  RUN(pins_nest);
  RUN(the_barrier_tells_its_p);
  RUN(not_for_plain_threads);
  RUN(ends_clean);
  return 0;
}
