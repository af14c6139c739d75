/* Sleeps that end while Ps go idle and busy, on many Ps. LEGACY-S4: no thread asks for the next timer while it holds
 * the scheduler's lock. Otherwise a timer that readies a G and the look of an idle P at the timers wait for each
 * other. */
/* release: with assertions it takes a minute, and asks about amounts */
/* timeout: 120 */
#include "gs.h"
#include "objects.h"
#include "seed.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static gmx_waitgroup all;
static atomic_long sleeps, wakes;

static void sleep_at_least(int64_t ns) {
  int64_t begin = gmx_now();
  CHECK_OK(gmx_sleep(ns));
  CHECK_CMP(gmx_now() - begin, >=, ns);
  atomic_fetch_add(&sleeps, 1);
}

/* ---- one that sleeps wakes one that waits ---- */

#define PAIRS 200
#define ROUNDS 50
static uint32_t doorbells[PAIRS];

static void sleeps_and_rings(void *arg) {
  size_t id = (size_t)(uintptr_t)arg;
  uint64_t seed = id + 1;
  for (int i = 0; i < ROUNDS; i++) {
    sleep_at_least((int64_t)(next_random(&seed) % 300000));
    release(&doorbells[id], 1);
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void answers(void *arg) {
  size_t id = (size_t)(uintptr_t)arg;
  for (int i = 0; i < ROUNDS; i++) {
    acquire(&doorbells[id], 1);
    atomic_fetch_add(&wakes, 1);
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void timers_ready_gs_while_ps_idle(void) {
  atomic_store(&wakes, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 2 * PAIRS));
  for (uintptr_t i = 0; i < PAIRS; i++) {
    go(answers, (void *)i);
    go(sleeps_and_rings, (void *)i);
  }
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_EQ(atomic_load(&wakes), PAIRS * ROUNDS);
}

/* ---- waits that time out, and waits whose timers are called off ---- */

static void gives_up_or_gets(void *arg) {
  size_t id = (size_t)(uintptr_t)arg;
  uint64_t seed = id + 7;
  long got = 0;
  for (int i = 0; i < ROUNDS; i++) {
    int64_t ns = (int64_t)(next_random(&seed) % 200000), begin = gmx_now();
    gmx_status s = gmx_sema_acquire_timeout(&doorbells[id], ns);
    if (s == GMX_OK) got++;
    else {
      CHECK_STATUS(s, GMX_ETIMEDOUT);
      CHECK_CMP(gmx_now() - begin, >=, ns);
    }
  }
  /* each release that was not taken yet is still there: none is lost between a time-out and a release */
  for (; got < ROUNDS; got++) acquire(&doorbells[id], 1);
  atomic_fetch_add(&wakes, got);
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void timers_are_called_off_on_many_ps(void) {
  atomic_store(&wakes, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 2 * PAIRS));
  for (uintptr_t i = 0; i < PAIRS; i++) {
    go(gives_up_or_gets, (void *)i);
    go(sleeps_and_rings, (void *)i);
  }
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_EQ(atomic_load(&wakes), PAIRS * ROUNDS);
  for (int i = 0; i < PAIRS; i++) CHECK_EQ(doorbells[i], 0);
}

/* ---- many ---- */

static void sleeps_thrice(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg + 3;
  for (int i = 0; i < 3; i++) sleep_at_least((int64_t)(next_random(&seed) % (uint64_t)(50 * MS)));
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void ten_thousand_sleep(void) {
  atomic_store(&sleeps, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 10000));
  for (uintptr_t i = 0; i < 10000; i++) go(sleeps_thrice, (void *)i);
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_EQ(atomic_load(&sleeps), 30000);
}

/* ---- the timers of Ps that go ---- */

static void timers_outlive_their_ps(void) {
  atomic_store(&sleeps, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 2000));
  int32_t was = gmx_gomaxprocs(0);
  for (uintptr_t i = 0; i < 2000; i++) {
    go(sleeps_thrice, (void *)i);
    if (i % 100 == 99) CHECK_CMP(gmx_gomaxprocs(i % 200 == 99 ? 1 : was), >=, 1);
  }
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_EQ(atomic_load(&sleeps), 6000);
  CHECK_CMP(gmx_gomaxprocs(was), >=, 1);
}

/* ---- timers that are armed while every P is kept from the idle list ---- */

static uint32_t late_bell;

static void rings_late_bell(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sema_release(&late_bell));
}

/* Keeps a thread asleep until much later than the timers below. */
static void waits_for_late_bell(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sema_acquire_timeout(&late_bell, 25 * SECOND));
}

static void arms(void *arg) { CHECK_OK(gmx_after_func(100 * MS, rings_late_bell, arg, NULL)); }

static atomic_int armed;

static void arms_once(void *arg) {
  if (atomic_fetch_add(&armed, 1) == 0) arms(arg);
}

static void sleeper_is_told_after_a_stop_and_a_barrier(void) {
  for (int i = 0; i < 4; i++) {
    atomic_store(&armed, 0);
    gmx_g g = go_with("late", GMX_SPAWN_JOINABLE, waits_for_late_bell, NULL);
    thread_nap(i / 2 * 50 * MS); /* most times it waits by then, and all are idle; if not, the round shows less */
    if (i % 2) {
      CHECK_OK(gmx_stop_the_world("arms"));
      arms(NULL);
      CHECK_OK(gmx_start_the_world());
    } else {
      CHECK_OK(gmx_for_each_p(arms_once, NULL));
    }
    join(g);
  }
}

/* ---- everybody may sleep ---- */

static void sleeps_attached(void *arg) {
  (void)arg;
  for (int i = 0; i < 20; i++) sleep_at_least(MS / 10);
}

static void *sleeps_foreign(void *arg) {
  sleeps_attached(arg); /* as a thread */
  CHECK_OK(gmx_callback(sleeps_attached, arg));
  CHECK_OK(gmx_attach_thread());
  sleeps_attached(arg);
  CHECK_OK(gmx_detach_thread());
  return arg;
}

static void threads_sleep_too(void) {
  pthread_t threads[8];
  for (int i = 0; i < 8; i++) threads[i] = thread_start(sleeps_foreign, NULL);
  CHECK_OK(gmx_enter_syscall());
  join_threads(threads, 8);
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_sleep(0));
  CHECK_OK(gmx_sleep(-1));
}

static void with_procs(int n) {
  check_say("%d Ps", n);
  start_runtime(n, 0);
  RUN_G(timers_ready_gs_while_ps_idle);
  RUN_G(timers_are_called_off_on_many_ps);
  RUN_G(ten_thousand_sleep);
  RUN_G(timers_outlive_their_ps);
  RUN_G(threads_sleep_too);
  RUN(sleeper_is_told_after_a_stop_and_a_barrier);
  end_runtime();
}

/* ---- which thread is told of a timer ---- */

/* Whether the system has put every thread but the caller's to sleep. An idle one that still waits for a CPU is not. */
static bool others_sleep(void) {
  int ids[MOST_THREADS];
  for (int i = thread_ids(ids) - 1; i >= 0; i--) {
    char state = thread_state(ids[i]);
    if (ids[i] != thread_id() && state != 0 && state != 'S') return false;
  }
  return true;
}

/* Computes until the other P is idle, and its thread asleep. */
static void compute_until_quiet(void) {
  int64_t end = check_now() + check_limit * INT64_C(830000000);
  for (int quiet = 0; quiet < 50 || !others_sleep();) {
    gmx_sched_stats s = sched_stats();
    quiet = s.idleprocs == 1 && s.spinning == 0 ? quiet + 1 : 0;
    if (check_now() > end) FAIL("it does not get quiet");
    thread_nap(10000);
  }
}

static void fires(void *arg) { (void)arg; }

/* The G that arms the timer continues to compute, and a P is idle: before the call returns, the library wakes a thread
 * to be the timer waiter. (Otherwise sysmon would find the timer, milliseconds late.) Each timer is
 * earlier than the timers before, however long a round takes. */
static void a_timer_of_a_g_that_runs_on_is_told_at_once(void) {
  enum { N = 30 };
  int told = 0;
  int64_t latest = gmx_now() + HOUR;
  for (int i = 0; i < N; i++) {
    gmx_timer t = 0;
    gmx_chan *c = NULL;
    compute_until_quiet();
    uint64_t before = sched_stats().wakes;
    int64_t left = latest - i * SECOND - gmx_now();
    if (i % 3 == 0) CHECK_OK(gmx_after_func(left, fires, NULL, &t));
    if (i % 3 == 1) CHECK_OK(gmx_timer_new(left, 0, &t, &c));
    if (i % 3 == 2) CHECK_OK(gmx_ticker_new(left, &t, &c));
    told += sched_stats().wakes > before;
    CHECK_CMP(timer_free(t), >=, 0);
    if (c) CHECK_OK(gmx_chan_free(c));
  }
  check_say("  of %d of %d timers a thread was told", told, N);
  CHECK_CMP(told, >=, N * 2 / 3);
}

/* A G that sleeps leaves its P idle, and the thread of that P becomes the timer waiter: no other thread is woken
 * for it. After the firing one thread is woken to look for more. */
static void a_sleep_tells_no_other_thread(void) {
  enum { N = 100 };
  uint64_t before = sched_stats().wakes;
  for (int i = 0; i < N; i++) CHECK_OK(gmx_sleep(MS / 2));
  long woken = (long)(sched_stats().wakes - before);
  check_say("  %ld wakes for %d sleeps", woken, N);
  CHECK_CMP(woken, <=, N + N / 3);
}

static void told(void) {
  start_runtime(2, 0);
  RUN_G(a_timer_of_a_g_that_runs_on_is_told_at_once);
  RUN_G(a_sleep_tells_no_other_thread);
  end_runtime();
}

/* ---- many that are due at once ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MANY = 20000, TRIES = 10 }; /* each makes a G, which is dear there */
#else
enum { MANY = 200000, TRIES = 10 };
#endif
static atomic_int armed, stopped_at;
static uint64_t spawned_before;

static void *stops_when_they_fire(void *arg) {
  while (!atomic_load(&armed)) sched_yield();
  while (sched_stats().spawned < spawned_before + 100) continue;
  CHECK_OK(gmx_stop_the_world("beside timers"));
  atomic_store(&stopped_at, (int)(sched_stats().spawned - spawned_before));
  CHECK_OK(gmx_start_the_world());
  return arg;
}

/* Counts how many timers, each of which makes a G, fire before a stop takes effect. If all are due before the last is
 * armed, all fire: the next try leaves more time. */
static int fired_before_a_stop(void) {
  static int64_t ahead = 5 * SECOND;
  atomic_store(&armed, 0);
  spawned_before = sched_stats().spawned;
  pthread_t t = thread_start(stops_when_they_fire, NULL);
  int64_t due = gmx_now() + ahead;
  for (int i = 0; i < MANY; i++) {
    int64_t left = due - gmx_now();
    CHECK_OK(gmx_after_func(left > 0 ? left : 0, fires, NULL, NULL));
  }
  bool late = gmx_now() >= due;
  if (late) ahead *= 2;
  atomic_store(&armed, 1);
  while (gmx_now() < due) thread_nap(MS);
  while (sched_stats().spawned < spawned_before + MANY) CHECK_OK(gmx_yield());
  spin_until(gmx_num_g() == 1); /* they have also run */
  thread_join(t);
  return late ? MANY : atomic_load(&stopped_at);
}

/* The scheduler looks at requests and at Gs between timers. (The stopper may lose its CPU meanwhile: once is
 * enough.) */
static void a_stop_comes_between_timers(void) {
  int least = MANY;
  for (int i = 0; i < TRIES && least >= MANY / 2; i++) least = fired_before_a_stop();
  check_say("  %d of %d had fired", least, MANY);
  CHECK_CMP(least, <, MANY / 2);
}

static void due_at_once(void) {
  start_runtime(1, 0);
  RUN_G(a_stop_comes_between_timers);
  end_runtime();
}

int main(void) {
  due_at_once();
  told();
  with_procs(1);
  with_procs(2);
  with_procs(96);
  with_procs(1024);
  return 0;
}
