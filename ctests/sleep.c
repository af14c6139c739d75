/* timeout: 120 */
/* Sleeping and the clock: no sleep is too short, of a G or of a thread. On a shared machine no test can say what is too
 * long. */
#include "gs.h"

static int64_t newest; /* the latest time that any caller has seen */

static void reads_the_clock(void *arg) {
  (void)arg;
  for (int i = 0; i < 20000; i++) {
    int64_t seen = load(&newest), now = gmx_now();
    CHECK_CMP(now, >=, seen);
    store(&newest, now);
    if (i % 100 == 0) CHECK_OK(gmx_yield());
  }
}

/* Also for callers on different threads. */
static void the_clock_never_goes_back(void) {
  gmx_g a = go_joinable(reads_the_clock, NULL), b = go_joinable(reads_the_clock, NULL);
  on_thread(reads_the_clock, NULL);
  join(a);
  join(b);
  int64_t before = check_now(), now = gmx_now(), after = check_now();
  CHECK(before <= now && now <= after); /* CLOCK_MONOTONIC, so that hosts can mix them */
}

static void sleeps(void *arg) {
  int64_t want = *(int64_t *)arg, begin = gmx_now();
  CHECK_OK(gmx_sleep(want));
  CHECK_CMP(gmx_now() - begin, >=, want);
}
static void sleeps_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  sleeps(arg);
  CHECK_OK(gmx_detach_thread());
}
static void sleeps_in_callback(void *arg) { CHECK_OK(gmx_callback(sleeps, arg)); }
static void sleeps_locked(void *arg) {
  CHECK_OK(gmx_lock_os_thread());
  pthread_t thread = pthread_self();
  sleeps(arg);
  CHECK(pthread_equal(thread, pthread_self()));
  CHECK_OK(gmx_unlock_os_thread());
}

static void never_too_short(void) {
  static const int64_t times[] = {-5, 0, 1, 999, 1000, 100000, MS, 3 * MS + 1, 20 * MS};
  for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
    int64_t want = times[i];
    on_g(sleeps, &want);
    on_g(sleeps_locked, &want);
    on_thread(sleeps, &want);
    on_thread(sleeps_attached, &want);
    on_thread(sleeps_in_callback, &want);
  }
}

static void many_sleepers(void) {
  enum { GS = 5000 };
  static int64_t want[GS];
  static gmx_g gs[GS];
  for (int i = 0; i < GS; i++) {
    want[i] = (int64_t)(i * 7919 % 50000) * 1000;
    gs[i] = go_joinable(sleeps, &want[i]);
  }
  join_all(gs, GS);
}

/* Several waits until one point in time. A time in the past ends the wait at once, also if it is long ago or the
 * difference does not fit. */
static void deadlines(void) {
  static const int64_t past[] = {0, -1, -1000 * MS, INT64_MIN};
  gmx_chan *c;
  CHECK_OK(gmx_chan_new(0, 0, &c));
  for (int i = 0; i < 4; i++) {
    CHECK_EQ(gmx_time_left(gmx_deadline(past[i])), 0);
    CHECK_EQ(gmx_time_left(past[i]), 0);
    CHECK_STATUS(gmx_chan_recv_timeout(c, NULL, past[i]), GMX_ETIMEDOUT);
  }
  CHECK_EQ(gmx_deadline(GMX_FOREVER), GMX_FOREVER);
  CHECK_EQ(gmx_deadline(GMX_FOREVER - 1), GMX_FOREVER);
  CHECK_EQ(gmx_time_left(GMX_FOREVER), GMX_FOREVER);
  int64_t end = gmx_deadline(3600000 * MS), left = gmx_time_left(end);
  CHECK_CMP(left, <=, 3600000 * MS);
  CHECK_CMP(left, >, 0);
  CHECK_CMP(gmx_time_left(end), <=, left);
  end = gmx_deadline(MS);
  int rounds = 0;
  while (gmx_chan_recv_timeout(c, NULL, gmx_time_left(end)) != GMX_ETIMEDOUT) rounds++;
  CHECK_EQ(rounds, 0);
  CHECK_CMP(gmx_now(), >=, end);
  CHECK_EQ(gmx_time_left(end), 0);
  CHECK_OK(gmx_chan_free(c));
}

static int turn;

static void counts_turns(void *arg) {
  for (int i = 0; i < 100; i++) {
    bump(&turn);
    CHECK_OK(gmx_sleep(*(int64_t *)arg));
  }
}

/* With one P: if a sleep of length 0 did not yield, the first G would count to its end alone. */
static void a_sleep_of_nothing_yields(void) {
  static const int64_t nothing[] = {0, -1, INT64_MIN};
  int32_t procs = gmx_gomaxprocs(1);
  for (int i = 0; i < 3; i++) {
    int64_t ns = nothing[i];
    store(&turn, 0);
    gmx_g a = go_joinable(counts_turns, &ns), b = go_joinable(counts_turns, &ns);
    join(a);
    join(b);
    CHECK_EQ(turn, 200);
  }
  gmx_gomaxprocs(procs);
}

/* The library's threads may ask the system to wake them on time, but threads and processes that the host starts from
 * there must not inherit that. */
static void has_the_slack_of_the_host(void *arg) {
  for (int i = 0; i < 10; i++) {
    CHECK_OK(gmx_sleep(MS / 10));
    CHECK_EQ(prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), *(int *)arg);
  }
}
static void threads_keep_the_slack_of_their_timers(void) {
  int slack = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
  gmx_g gs[20];
  for (int i = 0; i < 20; i++) gs[i] = go_joinable(has_the_slack_of_the_host, &slack);
  join_all(gs, 20);
  on_thread(has_the_slack_of_the_host, &slack);
}

static int woken, asleep;

static void sleeps_forever(void *arg) {
  bump(&asleep);
  CHECK_OK(gmx_sleep(*(int64_t *)arg));
  bump(&woken);
}

/* The end of such a sleep lies beyond the range of the clock; it must not wrap into the past. The last test: its Gs
 * stay. */
static void forever_does_not_wrap(void) {
  static int64_t ever[] = {INT64_MAX, INT64_MAX - 1, INT64_MAX / 2};
  for (int i = 0; i < 3; i++) CHECK_OK(gmx_spawn(sleeps_forever, &ever[i]));
  spin_until(load(&asleep) == 3);
  int64_t want = 50 * MS;
  on_g(sleeps, &want);
  CHECK_EQ(load(&woken), 0);
  CHECK_STATUS(gmx_shutdown(MS), GMX_ETIMEDOUT);
}

int main(void) {
  RUN(the_clock_never_goes_back);
  RUN(never_too_short);
  RUN(deadlines);
  RUN(many_sleepers);
  RUN(a_sleep_of_nothing_yields);
  RUN(threads_keep_the_slack_of_their_timers);
  RUN(forever_does_not_wrap);
  return 0;
}
