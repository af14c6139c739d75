/* timeout: 180 */
/* env: GMX_MAXPROCS=3 */
/* gmx_timer: it fires when it is due, and no earlier firing arrives after a stop or a reset. */
#include "gs.h"
#include "objects.h"

static int fired;
static void fires(void *arg) {
  (void)arg;
  bump(&fired);
}

static gmx_timer func_timer(int64_t delay, void (*fn)(void *), void *arg) {
  gmx_timer t = 0;
  CHECK_OK(gmx_after_func(delay, fn, arg, &t));
  CHECK(t != 0);
  return t;
}

struct channel_timer {
  gmx_timer t;
  gmx_chan *c;
};
static struct channel_timer chan_timer(int64_t delay, int64_t period) {
  struct channel_timer t = {0, NULL};
  CHECK_OK(gmx_timer_new(delay, period, &t.t, &t.c));
  CHECK(t.t != 0 && t.c != NULL);
  return t;
}
static void chan_timer_free(struct channel_timer *t) {
  CHECK_CMP(timer_free(t->t), >=, 0);
  CHECK_OK(gmx_chan_free(t->c));
}

/* ---- firing ---- */

static void on_time(void *unused) {
  (void)unused;
  int64_t begin = gmx_now(), at = 0;
  store(&fired, 0);
  gmx_timer f = func_timer(2 * MS, fires, NULL);
  struct channel_timer t = chan_timer(3 * MS, 0);
  CHECK_OK(gmx_chan_recv(t.c, &at));
  CHECK_CMP(at, >=, begin + 3 * MS);
  CHECK_CMP(at, <=, gmx_now());
  spin_until(load(&fired) == 1);
  CHECK_EQ(timer_stop(f), 0); /* it has begun */
  CHECK_EQ(timer_stop(t.t), 0); /* it was received */
  CHECK_EQ(timer_reset(f, 0, 0), 0);
  CHECK_EQ(timer_reset(t.t, 0, 0), 0);
  CHECK_OK(gmx_chan_recv(t.c, &at));
  spin_until(load(&fired) == 2);
  CHECK_EQ(timer_free(f), 0);
  chan_timer_free(&t);
  CHECK_OK(gmx_after_func(0, fires, NULL, NULL));
  CHECK_OK(gmx_after_func(MS, fires, NULL, NULL));
  spin_until(load(&fired) == 4);
}
static void on_time_everywhere(void) {
  on_g(on_time, NULL);
  on_thread(on_time, NULL);
  on_time(NULL);
}

/* Set in another order. (Two threads may fire them, so times that they send may be out of order; the heap is not:
 * `against_a_list` in src/gmp/timers.rs.) */
static void any_order(void *unused) {
  (void)unused;
  enum { N = 50 };
  struct channel_timer t[N];
  int64_t due[N], at;
  for (int i = N - 1; i >= 0; i--) {
    due[i] = gmx_now() + (i + 1) * MS;
    t[i] = chan_timer((i + 1) * MS, 0);
  }
  for (int i = 0; i < N; i++) {
    CHECK_OK(gmx_chan_recv(t[i].c, &at));
    CHECK_CMP(at, >=, due[i]);
    chan_timer_free(&t[i]);
  }
}
static void none_before_its_time(void) { on_g(any_order, NULL); }

/* ---- stop and reset ---- */

static void not_any_more(void *arg) {
  (void)arg;
  FAIL("a function began that had been stopped");
}

/* On one P, the goroutine of a timer that fires together with a sleeper's deadline runs after the sleeper. The sleeper
 * stops it in time, unless the slice ends just then. */
static void stopped_in_time(void *unused) {
  (void)unused;
  int in_time = 0;
  for (int i = 0; i < 200; i++) {
    store(&fired, 0);
    gmx_timer f = func_timer(20000, fires, NULL);
    int64_t until = gmx_now() + 20000;
    while (gmx_now() < until) {
    }
    CHECK_OK(gmx_sleep(1));
    gmx_status s = i % 3 == 0 ? timer_free(f) : i % 3 == 1 ? timer_stop(f) : timer_reset(f, HOUR, 0);
    CHECK_OK(gmx_sleep(1000));
    CHECK_EQ(s + load(&fired), 1);
    in_time += s;
    if (i % 3) CHECK_EQ(timer_free(f), i % 3 == 2);
  }
  check_say("%d of 200 were stopped between firing and beginning", in_time);
  CHECK(in_time > 0);
}

static void no_stale_time(void *unused) {
  (void)unused;
  struct channel_timer t = chan_timer(GMX_FOREVER, 0);
  int64_t at = 0;
  CHECK_STATUS(gmx_chan_try_recv(t.c, &at), GMX_EAGAIN);
  for (int i = 0; i < 300; i++) {
    CHECK_EQ(timer_reset(t.t, i % 3 ? 20000 : 0, i % 2 ? 30000 : 0), 0);
    if (i % 3 == 0) CHECK_OK(gmx_sleep(50000));
    gmx_status s = timer_stop(t.t);
    if (i % 3 == 0 || i % 2) CHECK_EQ(s, 1); /* sent and not received, or periodic */
    CHECK_EQ(gmx_chan_len(t.c), 0);
    CHECK_STATUS(gmx_chan_try_recv(t.c, &at), GMX_EAGAIN);
    CHECK_EQ(timer_stop(t.t), 0);
    int64_t begin = gmx_now();
    CHECK_EQ(timer_reset(t.t, 10000, 0), 0);
    CHECK_EQ(timer_reset(t.t, 30000, 0), 1);
    CHECK_OK(gmx_chan_recv(t.c, &at));
    CHECK_CMP(at, >=, begin + 30000);
  }
  chan_timer_free(&t);
}

static void nothing_of_before(void) {
  CHECK_EQ(gmx_gomaxprocs(1), 3);
  on_g(stopped_in_time, NULL);
  CHECK_EQ(gmx_gomaxprocs(3), 1);
  on_g(no_stale_time, NULL);
  on_thread(no_stale_time, NULL);
}

/* Several stop and reset one timer while it fires on other Ps. Each arm has a number; what begins has the last one that
 * was armed when it began. */
struct duel {
  gmx_timer t;
  int armed, began, prevented;
  bool quiet;
};
static void begins(void *arg) {
  struct duel *d = arg;
  CHECK(!load(&d->quiet));
  bump(&d->began);
}
static void one_duel(void *arg) {
  (void)arg;
  struct duel d = {0, 0, 0, 0, false};
  uint64_t r = (uint64_t)gmx_goid() * 7919 + 1;
  d.t = func_timer(GMX_FOREVER, begins, &d);
  for (int i = 0; i < 3000; i++) {
    r = r * 6364136223846793005u + 1442695040888963407u;
    gmx_status s = (r >> 33) % 4 == 0 ? timer_stop(d.t) : timer_reset(d.t, (int64_t)(r >> 40) % 3000, 0);
    CHECK_CMP(s, >=, 0);
    d.prevented += s;
    d.armed += (r >> 33) % 4 != 0;
    if ((r >> 50) % 4 == 0) CHECK_OK(gmx_yield());
    if ((r >> 50) % 64 == 1) CHECK_OK(gmx_sleep(5000));
  }
  d.prevented += timer_stop(d.t);
  spin_until(load(&d.began) + d.prevented >= d.armed); /* a function that was not prevented may not have begun yet */
  store(&d.quiet, true);                               /* a function that begins now begins too late */
  CHECK_OK(gmx_sleep(3 * MS));
  CHECK_EQ(load(&d.began) + d.prevented, d.armed); /* each arm fired, or was prevented: once */
  CHECK_EQ(timer_free(d.t), 0);
}
static void each_arm_fires_or_is_prevented(void) {
  gmx_g g[6];
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 6; i++) g[i] = go_joinable(one_duel, NULL);
    if (round == 1)
      for (int i = 0; i < 60; i++) CHECK(gmx_gomaxprocs(1 + i % 4) > 0);
    on_thread(one_duel, NULL);
    join_all(g, 6);
  }
  CHECK(gmx_gomaxprocs(3) > 0);
}

/* ---- again and again ---- */

static void ticks(void *unused) {
  (void)unused;
  struct channel_timer t = {0, NULL};
  int64_t at, first = 0, last = 0;
  CHECK_STATUS(gmx_ticker_new(0, &t.t, &t.c), GMX_EINVAL);
  CHECK_STATUS(gmx_ticker_new(-1, &t.t, &t.c), GMX_EINVAL);
  int64_t begin = gmx_now();
  CHECK_OK(gmx_ticker_new(MS, &t.t, &t.c));
  for (int i = 0; i < 20; i++) {
    CHECK_OK(gmx_chan_recv(t.c, &at));
    if (i == 0) first = at;
    CHECK_CMP(at, >, last);
    last = at;
  }
  CHECK_CMP(first, >=, begin + MS);
  CHECK_CMP(last, >=, begin + 20 * MS); /* the k-th not before its time */
  spin_until(gmx_chan_len(t.c) == 1);
  int64_t there = gmx_now();
  CHECK_OK(gmx_sleep(20 * MS)); /* a slow receiver: the channel holds one, the others are lost */
  CHECK_EQ(gmx_chan_len(t.c), 1);
  CHECK_OK(gmx_chan_recv(t.c, &at));
  CHECK_CMP(at, <=, there); /* the oldest time */
  CHECK_STATUS(ticker_reset(t.t, 0), GMX_EINVAL);
  CHECK_CMP(ticker_reset(t.t, HOUR), ==, 1);
  CHECK_STATUS(gmx_chan_recv_timeout(t.c, &at, 5 * MS), GMX_ETIMEDOUT);
  CHECK_EQ(timer_free(t.t), 1);
  CHECK_STATUS(gmx_chan_recv_timeout(t.c, &at, MS), GMX_ETIMEDOUT);
  CHECK_OK(gmx_chan_free(t.c));

  store(&fired, 0);
  gmx_timer f = func_timer(GMX_FOREVER, fires, NULL);
  CHECK_EQ(timer_reset(f, 0, MS / 2), 0);
  spin_until(load(&fired) >= 10);
  CHECK_EQ(timer_stop(f), 1);
  int seen = load(&fired);
  CHECK_OK(gmx_sleep(3 * MS));
  CHECK_CMP(load(&fired), <=, seen + 1); /* perhaps a function that had begun */
  CHECK_EQ(timer_free(f), 0);
}
static void tickers(void) {
  on_g(ticks, NULL);
  on_thread(ticks, NULL);
}

/* ---- between the firing and the beginning of its function ---- */

/* On one P, a G that spins keeps the timers waiting until several are due, and the G readied last runs first. */
static int64_t spins_until;
static void spins(void *arg) {
  (void)arg;
  while (gmx_now() < spins_until) continue;
}

static void wakes_when_it_has_fired(void) {
  spins_until = gmx_now() + MS;
  CHECK_OK(gmx_spawn(spins, NULL));
  CHECK_OK(gmx_sleep(MS / 2));
}

static void on_one_p(void *unused) {
  (void)unused;
  int prevented = 0;
  for (int i = 0; i < 50; i++) {
    store(&fired, 0);
    gmx_timer f = func_timer(MS / 4, fires, NULL);
    wakes_when_it_has_fired();
    gmx_status was = timer_stop(f);
    prevented += was;
    CHECK_EQ(load(&fired), !was); /* has begun, or never does */
    CHECK_OK(gmx_sleep(MS / 4));
    CHECK_EQ(load(&fired), !was);
    CHECK_EQ(timer_reset(f, MS / 4, MS / 4), 0);
    wakes_when_it_has_fired();
    CHECK_EQ(timer_reset(f, HOUR, 0), 1);
    int seen = load(&fired);
    CHECK_OK(gmx_sleep(MS / 4));
    CHECK_EQ(load(&fired), seen);
    CHECK_EQ(timer_free(f), 1);
  }
  check_say("  %d of 50 had fired and not begun", prevented);
}

/* A ticker does not make up for missed ticks. */
enum { PERIOD = 1 };
static int64_t missed_until;
static void is_seldom_enough(void *arg) {
  (void)arg;
  int n = load(&fired) + 1;
  /* beside: one that had fired before, one for all that was missed, and the next one */
  int64_t since = load(&missed_until);
  if (since) CHECK_CMP(n, <=, (gmx_now() - since) / (PERIOD * MS) + 3);
  store(&fired, n);
}

static void missed(void *unused) {
  (void)unused;
  store(&missed_until, 0);
  gmx_timer f = func_timer(GMX_FOREVER, is_seldom_enough, NULL);
  CHECK_EQ(timer_reset(f, 0, PERIOD * MS), 0);
  CHECK_OK(gmx_sleep(PERIOD * MS));
  spins_until = gmx_now() + 30 * PERIOD * MS;
  spins(NULL);
  store(&fired, 0);
  store(&missed_until, gmx_now());
  spin_until(load(&fired) >= 10);
  CHECK_EQ(timer_free(f), 1);
}

/* A period that is shorter than its firing: the timer must skip the missed firings at once, not one by one. */
static void shorter_than_a_firing(void *unused) {
  (void)unused;
  store(&fired, 0);
  gmx_timer f = func_timer(GMX_FOREVER, fires, NULL);
  CHECK_EQ(timer_reset(f, 0, 1), 0);
  spin_until(load(&fired) >= 10);
  CHECK_EQ(timer_free(f), 1);
}

/* Several tickers fire whenever the P looks for work, and each function is displaced by the next one. A ticker whose
 * function has not begun makes no second goroutine for it. */
enum { TICKERS = 8 };
static int gs_before, most_gs, in_function;
static void counts_gs(void *arg) {
  __atomic_fetch_add(&in_function, 1, __ATOMIC_SEQ_CST);
  /* Those that lost the P in this function do not count; the few that lost it just before or behind do. */
  int gs = (int)gmx_num_g() - gs_before - load(&in_function);
  CHECK_CMP(gs, <=, 2 * TICKERS);
  if (gs > most_gs) most_gs = gs; /* one P: one at a time */
  bump((int *)arg);
  __atomic_fetch_sub(&in_function, 1, __ATOMIC_SEQ_CST);
}

static void one_at_a_time(void *unused) {
  (void)unused;
  static int ran[TICKERS];
  gmx_timer f[TICKERS];
  gs_before = (int)gmx_num_g();
  for (int i = 0; i < TICKERS; i++) {
    f[i] = func_timer(GMX_FOREVER, counts_gs, &ran[i]);
    CHECK_EQ(timer_reset(f[i], 0, 1), 0);
  }
  for (int i = 0; i < TICKERS; i++) spin_until(load(&ran[i]) >= 10);
  for (int i = 0; i < TICKERS; i++) CHECK_CMP(timer_free(f[i]), >=, 0);
  check_say("  %d goroutines for %d tickers", most_gs, TICKERS);
}

/* ---- a receiver sees a due timer at once, though no thread has fired it: on one P none does while the G polls ---- */

static gmx_status looks(gmx_chan *c, int64_t *at, int how) {
  gmx_select_case cases[2];
  gmx_status s;
  memset(cases, 0, sizeof cases);
  cases[0].chan = cases[1].chan = c;
  cases[0].elem = cases[1].elem = at;
  switch (how) {
    case 0: return gmx_chan_try_recv(c, at);
    case 1: s = gmx_chan_recv_timeout(c, at, 0); break;
    case 2: s = gmx_select(cases, 1, 0, NULL); break;
    default: s = gmx_select(cases, 2, 0, NULL);
  }
  return s == GMX_ETIMEDOUT ? GMX_EAGAIN : s;
}

static void due_is_seen(void *arg) {
  int64_t at;
  for (int i = 0; i < 400; i++) {
    int64_t before = gmx_now();
    struct channel_timer t = chan_timer(i % 3 ? 0 : GMX_FOREVER, 0);
    if (i % 3 == 0) CHECK_EQ(timer_reset(t.t, 0, 0), 0);
    CHECK_OK(looks(t.c, &at, i % 4));
    CHECK_CMP(at, >=, before);
    CHECK_STATUS(looks(t.c, &at, i % 4), GMX_EAGAIN);
    CHECK_EQ(timer_stop(t.t), 0); /* it has fired */
    CHECK_EQ(timer_reset(t.t, HOUR, 0), 0);
    CHECK_STATUS(looks(t.c, &at, i % 4), GMX_EAGAIN);
    CHECK_EQ(timer_stop(t.t), 1);
    chan_timer_free(&t);
  }
  /* no look that begins behind the time comes to nothing */
  for (int how = 0; how < 4; how++) {
    struct channel_timer t = chan_timer(5 * MS, 5 * MS);
    int64_t due = gmx_now() + 5 * MS;
    for (int n = 0; n < 3; n++) {
      int64_t before = gmx_now();
      while (looks(t.c, &at, how) != GMX_OK) {
        CHECK_CMP(before, <, due);
        before = gmx_now();
      }
      due = gmx_now() + 5 * MS; /* some may have been lost */
    }
    chan_timer_free(&t);
  }
  if (arg) store((int *)arg, 1);
}

/* Several poll one ticker: each time comes once, and not too often. */
struct polled {
  struct channel_timer t;
  int got, over;
};
static void polls(void *arg) {
  struct polled *p = arg;
  int64_t at;
  for (int n = 0; !load(&p->over); n++)
    if (looks(p->t.c, &at, n % 4) == GMX_OK) bump(&p->got);
}
static void one_ticker_for_all(void) {
  struct polled p = {chan_timer(0, MS / 10), 0, 0};
  int64_t begun = gmx_now();
  gmx_g gs[3];
  for (int i = 0; i < 3; i++) gs[i] = go_joinable(polls, &p);
  spin_until(load(&p.got) > 2000);
  store(&p.over, 1);
  join_all(gs, 3);
  CHECK_CMP(p.got, <=, (gmx_now() - begun) / (MS / 10) + 1);
  chan_timer_free(&p.t);
}

static void what_is_due_is_seen(void) {
  int done = 0;
  CHECK(gmx_gomaxprocs(1) > 0);
  on_g(due_is_seen, NULL);
  CHECK(gmx_gomaxprocs(3) > 0);
  on_g(due_is_seen, NULL);
  due_is_seen(&done); /* as a thread */
  CHECK_EQ(done, 1);
  one_ticker_for_all();
}

/* A time that the clock never reaches is valid all the same. */
static void never_is_a_time(void) {
  int64_t at;
  struct channel_timer t = chan_timer(GMX_FOREVER - 1, 0);
  CHECK_EQ(timer_stop(t.t), 1);
  CHECK_EQ(timer_reset(t.t, 0, INT64_MAX), 0);
  CHECK_OK(gmx_chan_recv(t.c, &at));
  CHECK_EQ(timer_reset(t.t, 0, INT64_MAX), 1);
  CHECK_OK(gmx_chan_recv(t.c, &at));
  CHECK_EQ(timer_stop(t.t), 1);
  CHECK_EQ(timer_stop(t.t), 0);
  chan_timer_free(&t);
  gmx_timer f = func_timer(GMX_FOREVER, fires, NULL); /* not before it is set */
  CHECK_EQ(timer_reset(f, GMX_FOREVER - 1, INT64_MAX), 0);
  CHECK_EQ(timer_free(f), 1);
  /* and others are not held up by it */
  f = func_timer(GMX_FOREVER - 1, fires, NULL);
  CHECK_OK(gmx_sleep(MS));
  CHECK_EQ(timer_free(f), 1);
}
static void beyond_all_times(void *unused) {
  (void)unused;
  never_is_a_time();
}
static void times_beyond_all(void) {
  on_g(beyond_all_times, NULL);
  never_is_a_time();
}

/* A timer whose delay has passed long ago fires at once, and its period begins then: missed firings do not come. */
static void delays_that_have_passed(void) {
  static const int64_t delays[] = {0, -1, -HOUR, -INT64_MAX, INT64_MIN};
  for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
    struct channel_timer t;
    int64_t at;
    CHECK_OK(gmx_timer_new(delays[i], HOUR, &t.t, &t.c));
    CHECK_OK(gmx_chan_recv(t.c, &at));
    CHECK_STATUS(gmx_chan_recv_timeout(t.c, &at, 5 * MS), GMX_ETIMEDOUT);
    CHECK_EQ(timer_reset(t.t, delays[i], HOUR), 1);
    CHECK_OK(gmx_chan_recv(t.c, &at));
    CHECK_STATUS(gmx_chan_recv_timeout(t.c, &at, 5 * MS), GMX_ETIMEDOUT);
    chan_timer_free(&t);
  }
}

static void functions_on_one_p(void) {
  CHECK(gmx_gomaxprocs(1) > 0);
  on_g(on_one_p, NULL);
  on_g(missed, NULL);
  on_g(shorter_than_a_firing, NULL);
  on_g(one_at_a_time, NULL);
  CHECK(gmx_gomaxprocs(3) > 0);
}

/* ---- many ---- */

static void counts(void *arg) { bump((int *)arg); }

static void a_million(void *unused) {
  (void)unused;
  enum { N = 1000000 };
  static gmx_timer t[N];
  int count = 0, stopped = 0;
  int n = getenv("GMX_TIMEOUT_SCALE") ? N / 20 : N; /* under a tool that makes all slower */
  for (int i = 0; i < n; i++) t[i] = func_timer(i % 2 ? HOUR + i : (int64_t)(i % 1000) * 1000, counts, &count);
  for (int i = 0; i < n; i++)
    if (i % 2) stopped += timer_free(t[i]);
  CHECK_EQ(stopped, n / 2);
  spin_until(load(&count) == n / 2);
  for (int i = 0; i < n; i += 2) CHECK_EQ(timer_free(t[i]), 0);
}
static void a_million_timers(void) { on_g(a_million, NULL); }

/* A stopped or reset timer leaves nothing behind. */
static void resets_do_not_pile_up(void *unused) {
  (void)unused;
  enum { N = 1000 };
  gmx_timer t[N];
  int64_t before = 0;
  for (int i = 0; i < N; i++) t[i] = func_timer(HOUR, not_any_more, NULL);
  for (int round = 0; round < 1000; round++) {
    for (int i = 0; i < N; i++) {
      if (round % 3 == 0) CHECK_EQ(timer_stop(t[i]), 1);
      CHECK_EQ(timer_reset(t[i], HOUR + (round * 7919 + i) % 100000, 0), round % 3 != 0);
    }
    if (round == 200) before = resident();
  }
  CHECK_CMP(resident(), <, before + (8000 << 10)); /* a million resets would be 16 MB of entries */
  for (int i = 0; i < N; i++) CHECK_EQ(timer_free(t[i]), 1);
}
static void nothing_piles_up(void) { on_g(resets_do_not_pile_up, NULL); }

/* ---- handles ---- */

static void wrong_calls(void) {
  gmx_timer t = 7;
  gmx_chan *c = NULL;
  CHECK_STATUS(gmx_after_func(0, NULL, NULL, &t), GMX_EINVAL);
  CHECK_STATUS(gmx_after_func(GMX_FOREVER, fires, NULL, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_timer_new(0, 0, NULL, &c), GMX_EINVAL);
  CHECK_STATUS(gmx_timer_new(0, 0, &t, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_timer_new(0, -1, &t, &c), GMX_EINVAL);
  CHECK_EQ(t, 7);
  for (int i = 0; i < 3; i++) {
    gmx_timer bad = i == 0 ? 0 : i == 1 ? ~(gmx_timer)0 : t;
    if (i == 2) {
      bad = func_timer(HOUR, fires, NULL);
      CHECK_EQ(timer_free(bad), 1);
    }
    CHECK_STATUS(timer_stop(bad), GMX_ESTALE);
    CHECK_STATUS(timer_reset(bad, 0, 0), GMX_ESTALE);
    CHECK_STATUS(timer_reset(bad, 0, -1), GMX_EINVAL);
    CHECK_STATUS(timer_free(bad), GMX_ESTALE);
  }
  struct channel_timer ct = chan_timer(HOUR, 0);
  CHECK_OK(gmx_chan_close(ct.c)); /* closed by the host: the timer's sends fail silently */
  CHECK_EQ(timer_reset(ct.t, 0, 0), 1);
  CHECK_OK(gmx_sleep(MS));
  chan_timer_free(&ct);
}

struct self_free {
  gmx_timer t;
  int done;
};
static void frees_itself(void *arg) {
  struct self_free *s = arg;
  while (load(&s->t) == 0) CHECK_OK(gmx_yield());
  CHECK_EQ(timer_free(s->t), 0);
  store(&s->done, 1);
}
static void from_within(void) {
  for (int i = 0; i < 50; i++) {
    struct self_free s = {0, 0};
    gmx_timer t = func_timer(0, frees_itself, &s);
    store(&s.t, t);
    spin_until(load(&s.done));
  }
}

/* The end of the runtime is the end of what is armed, not of the handles. */
static void an_end_and_a_beginning(void) {
  spin_until(gmx_num_g() == 0);
  gmx_timer t = func_timer(1000 * MS, not_any_more, NULL); /* time enough for the end */
  CHECK_OK(gmx_after_func(1000 * MS, not_any_more, NULL, NULL));
  CHECK_OK(gmx_shutdown(30000 * MS));
  CHECK_OK(gmx_init(NULL));
  CHECK_OK(gmx_sleep(1200 * MS));
  CHECK_EQ(timer_stop(t), 0);
  CHECK_EQ(timer_free(t), 0);
}

int main(void) {
  RUN(wrong_calls);
  RUN(on_time_everywhere);
  RUN(none_before_its_time);
  RUN(nothing_of_before);
  RUN(each_arm_fires_or_is_prevented);
  RUN(tickers);
  RUN(from_within);
  RUN(functions_on_one_p);
  RUN(what_is_due_is_seen);
  RUN(times_beyond_all);
  RUN(delays_that_have_passed);
  RUN(nothing_piles_up);
  RUN(a_million_timers);
  RUN(an_end_and_a_beginning);
  RUN(ends_clean);
  return 0;
}
