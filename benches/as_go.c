/*
 * The benchmarks of Go's own packages runtime (channels, select, the semaphore table), sync and time, as they are
 * there, except for parts that only a garbage collector needs. For a benchmark that Go runs in parallel there is a G
 * for each P, or ten. The same in Go: peers/go/as_go.go.
 */
#include "bench.h"

#include <stdatomic.h>
#include <stdlib.h>

/* ---- in parallel ---- */

static void (*share)(long);
static long share_n;

static void one_of_all(void *wg) {
  share(share_n);
  done(wg);
}

/* n times, by as many Gs */
static void by(long gs, void (*body)(long)) {
  share = body;
  share_n = n / gs;
  must(gmx_waitgroup_add(&group, (int32_t)gs));
  start();
  for (long i = 0; i < gs; i++) must(gmx_spawn(one_of_all, &group));
  must(gmx_waitgroup_wait(&group));
  report_each((double)(share_n * gs));
}

/* a chain of multiplications, which no compiler shortens */
static void work(long times) {
  uint32_t foo = 1;
  for (long i = 0; i < times; i++) foo = foo * 1664525 + 1013904223;
  if (foo == 42) exit(1);
}

/* ---- channels ---- */

static gmx_chan *c1, *c2, *c3, *c4;
static int64_t zero;

static gmx_chan *full(gmx_chan *c, long count) {
  for (long i = 0; i < count; i++) must(gmx_chan_send(c, &zero));
  return c;
}

static void go_(void (*f)(void *), void *arg) { must(gmx_spawn(f, arg)); }

static void would_block(gmx_status status) {
  if (status != GMX_EAGAIN) wrong(status, "a try");
}
static void nonblock(long times) {
  int64_t v = 0;
  for (long i = 0; i < times; i++) {
    would_block(gmx_chan_try_recv(c1, &v));
    would_block(gmx_chan_try_send(c2, &v));
    would_block(gmx_chan_try_recv(c3, &v));
    would_block(gmx_chan_try_send(c4, &v));
  }
}
static void select_nonblock(void) {
  c1 = chan_of(8, 0), c2 = chan_of(8, 0), c3 = chan_of(8, 1), c4 = full(chan_of(8, 1), 1);
  by(procs, nonblock);
}

static void offers(void *unused) {
  (void)unused;
  int64_t v = 0;
  gmx_select_case cases[] = {{.chan = c1, .elem = &v, .op = GMX_CASE_SEND}, {.chan = c2, .elem = &v, .op = GMX_CASE_SEND},
                             {.chan = c3, .elem = &v, .op = GMX_CASE_SEND}, {.chan = c4, .elem = &v}};
  size_t chosen;
  do must(gmx_select(cases, 4, GMX_FOREVER, &chosen));
  while (chosen != 3);
}
static void takes(long times) {
  int64_t v;
  gmx_select_case cases[] = {{.chan = c1, .elem = &v}, {.chan = c2, .elem = &v}, {.chan = c3, .elem = &v}};
  go_(offers, NULL);
  for (long i = 0; i < times; i++) must(gmx_select(cases, 3, GMX_FOREVER, NULL));
}
static void select_sync_contended(void) {
  c1 = chan_of(8, 0), c2 = chan_of(8, 0), c3 = chan_of(8, 0), c4 = chan_of(8, 0);
  by(procs, takes);
}

static void moves(long times) {
  int64_t v;
  size_t chosen;
  gmx_select_case cases[] = {{.chan = c1, .elem = &v}, {.chan = c2, .elem = &v}};
  full(c1, 1);
  for (long i = 0; i < times; i++) {
    must(gmx_select(cases, 2, GMX_FOREVER, &chosen));
    must(gmx_chan_send(chosen == 0 ? c2 : c1, &v));
  }
}
static void select_async_contended(void) {
  c1 = chan_of(8, (size_t)procs), c2 = chan_of(8, (size_t)procs);
  by(procs, moves);
}

static void fills_and_empties(long times) {
  int64_t v = 0;
  for (long i = 0; i < times; i += 100) {
    for (int k = 0; k < 100; k++) must(gmx_chan_send(c1, &v));
    for (int k = 0; k < 100; k++) must(gmx_chan_recv(c1, &v));
  }
}
static void chan_contended(void) {
  c1 = chan_of(8, 100 * (size_t)procs);
  by(procs, fills_and_empties);
}

/* two Gs and one channel, each sends and receives in turn */
static void begins(long times) {
  int64_t v = 0;
  for (long i = 0; i < times; i++) {
    must(gmx_chan_send(c1, &v));
    work(m - 1);
    must(gmx_chan_recv(c1, &v));
    work(m - 1);
  }
}
static void answers(void *unused) {
  int64_t v;
  (void)unused;
  for (long i = 0; i < n; i++) {
    must(gmx_chan_recv(c1, &v));
    work(m - 1);
    must(gmx_chan_send(c1, &v));
    work(m - 1);
  }
}
static void chan_sync(void) {
  c1 = chan_of(8, 0);
  go_(answers, NULL);
  by(1, begins);
}

/* as many producers and consumers as Ps, each works for a while between; capacity M - 1 */
static void consumes(void *unused) {
  int64_t v;
  (void)unused;
  for (;;) {
    must(gmx_chan_recv(c1, &v));
    if (v == 0) break;
    work(100);
  }
  done(&group);
}
static void produces(long times) {
  int64_t v = 1;
  must(gmx_waitgroup_add(&group, 1));
  go_(consumes, NULL);
  for (long i = 0; i < times; i++) {
    work(100);
    must(gmx_chan_send(c1, &v));
  }
  must(gmx_chan_send(c1, &zero));
}
static void chan_prod_cons_work(void) {
  c1 = chan_of(8, (size_t)m - 1);
  by(procs, produces);
}

static void select_consumes(void *timer) {
  int64_t v, at;
  size_t chosen;
  gmx_select_case cases[] = {{.chan = c1, .elem = &v}, {.chan = timer, .elem = &at}, {.chan = c2, .elem = &at}};
  for (;;) {
    must(gmx_select(cases, 3, GMX_FOREVER, &chosen));
    if (chosen == 0 && v == 0) break;
    work(100);
  }
  done(&group);
}
static void select_produces(long times) {
  int64_t v = 1, at;
  gmx_timer t1, t2;
  gmx_chan *hour1, *hour2;
  must(gmx_timer_new(3600000000000, 0, &t1, &hour1));
  must(gmx_timer_new(3600000000000, 0, &t2, &hour2));
  gmx_select_case cases[] = {{.chan = c1, .elem = &v, .op = GMX_CASE_SEND}, {.chan = hour1, .elem = &at},
                             {.chan = c2, .elem = &at}};
  must(gmx_waitgroup_add(&group, 1));
  go_(select_consumes, hour2);
  for (long i = 0; i < times; i++) {
    work(100);
    must(gmx_select(cases, 3, GMX_FOREVER, NULL));
  }
  must(gmx_chan_send(c1, &zero));
}
static void select_prod_cons(void) {
  c1 = chan_of(8, 128), c2 = chan_of(8, 0);
  by(procs, select_produces);
}

static void receives(long times) {
  for (long i = 0; i < times; i++) must(gmx_chan_recv(c1, NULL));
}
static void chan_recv_closed(void) {
  c1 = full(chan_of(0, (size_t)n), n);
  must(gmx_chan_close(c1));
  by(1, receives);
}

static void creates(long times) {
  int64_t v = 0;
  for (long i = 0; i < times; i++) {
    gmx_chan *c = chan_of(8, 1);
    must(gmx_chan_send(c, &v));
    must(gmx_chan_recv(c, &v));
    must(gmx_chan_free(c));
  }
}
static void chan_creation(void) { by(procs, creates); }

static void takes_and_gives(long times) {
  for (long i = 0; i < times; i++) {
    must(gmx_chan_send(c1, NULL));
    must(gmx_chan_recv(c1, NULL));
  }
}
static void chan_sem(void) {
  c1 = chan_of(0, (size_t)procs);
  by(procs, takes_and_gives);
}

enum { POPULAR = 1000 };
static gmx_chan *own[POPULAR];
static void waits_for_two(void *own_chan) {
  bool v;
  gmx_select_case cases[] = {{.chan = c1, .elem = &v}, {.chan = own_chan, .elem = &v}};
  for (long i = 0; i < n; i++) must(gmx_select(cases, 2, GMX_FOREVER, NULL));
  done(&group);
}
static void chan_popular(void) {
  c1 = chan_of(1, 0);
  must(gmx_waitgroup_add(&group, POPULAR));
  for (int i = 0; i < POPULAR; i++) go_(waits_for_two, own[i] = chan_of(1, 0));
  bool v = true;
  start();
  for (long i = 0; i < n; i++)
    for (int k = 0; k < POPULAR; k++) must(gmx_chan_send(own[k], &v));
  must(gmx_waitgroup_wait(&group));
  report_each((double)n * POPULAR);
}

static void finds_closed(long times) {
  for (long i = 0; i < times; i++)
    if (gmx_chan_try_recv(c1, NULL) != GMX_ECLOSED) exit(1);
}
static void chan_closed(void) {
  c1 = chan_of(0, 0);
  must(gmx_chan_close(c1));
  by(procs, finds_closed);
}

/* ---- sync ---- */

struct padded {
  gmx_mutex mutex;
  gmx_rwmutex rw;
  gmx_waitgroup wg;
  uint32_t sema;
  char pad[128];
};
static struct padded shared;
static long working;

static void locks(long times) {
  for (long i = 0; i < times; i++) {
    must(gmx_mutex_lock(&shared.mutex));
    must(gmx_mutex_unlock(&shared.mutex));
    if (working) work(100);
  }
}
static void mutex_parallel(void) { by(procs, locks); }
static void mutex_slack(void) { by(10 * procs, locks); }
static void mutex_work(void) { working = 1, by(procs, locks); }
static void mutex_work_slack(void) { working = 1, by(10 * procs, locks); }

static uint64_t acc0, acc1;
static void accounts(void) {
  must(gmx_mutex_lock(&shared.mutex));
  acc0 -= 100, acc1 += 100;
  must(gmx_mutex_unlock(&shared.mutex));
}
static void touches(volatile uint64_t *data, long words) {
  for (long k = 0; k < words; k += 4) data[k]++;
}
static void sends_one(void *c) { must(gmx_chan_send(c, &zero)); }

static void no_spin(long times) {
  volatile uint64_t *data = array(4 << 10, sizeof *data);
  int64_t v;
  gmx_chan *c = chan_of(8, 0);
  for (long i = 0; i < times; i++) {
    if (i % 4 == 0) {
      accounts();
    } else {
      touches(data, 4 << 10);
      go_(sends_one, c);
      must(gmx_chan_recv(c, &v));
    }
  }
}
static void mutex_no_spin(void) { by(4 * procs, no_spin); }

static void spin(long times) {
  volatile uint64_t *data = array(16 << 10, sizeof *data);
  for (long i = 0; i < times; i++) {
    accounts();
    touches(data, 16 << 10);
  }
}
static void mutex_spin(void) { by(procs, spin); }

static void reads_and_writes_alone(long times) {
  struct padded mine = {0};
  for (long i = 0; i < times; i++) {
    must(gmx_rwmutex_rlock(&mine.rw));
    must(gmx_rwmutex_rlock(&mine.rw));
    must(gmx_rwmutex_runlock(&mine.rw));
    must(gmx_rwmutex_runlock(&mine.rw));
    must(gmx_rwmutex_lock(&mine.rw));
    must(gmx_rwmutex_unlock(&mine.rw));
  }
}
static void rwmutex_uncontended(void) { by(procs, reads_and_writes_alone); }

static void reads_mostly(long times) { /* one of M writes */
  for (long i = 1; i <= times; i++) {
    if (i % m == 0) {
      must(gmx_rwmutex_lock(&shared.rw));
      must(gmx_rwmutex_unlock(&shared.rw));
    } else {
      must(gmx_rwmutex_rlock(&shared.rw));
      if (working) work(100);
      must(gmx_rwmutex_runlock(&shared.rw));
    }
  }
}
static void rwmutex_write(void) { by(procs, reads_mostly); }
static void rwmutex_work_write(void) { working = 1, by(procs, reads_mostly); }

static void hammers(long times) {
  for (long i = 0; i < times; i++) {
    must(gmx_sema_acquire(&shared.sema));
    must(gmx_sema_release(&shared.sema));
  }
}
static void sema_hammer(void) { /* by M */
  shared.sema = 1;
  by(m, hammers);
}

/* n Gs wait at m words of the same root of either's table, and are woken, again and again */
enum { COLLISIONS = 20 };
static uint32_t *words;
static atomic_long waiting;
static atomic_bool last_round;
static void waits_at(void *word) {
  do {
    atomic_fetch_add(&waiting, 1);
    must(gmx_sema_acquire(word));
  } while (!last_round);
  done(&group);
}
static void sema_collision(void) {
  enum { STRIDE = 251 * 8 / sizeof *words };
  words = array((size_t)m * STRIDE, sizeof *words);
  must(gmx_waitgroup_add(&group, (int32_t)n));
  for (long i = 0; i < n; i++) go_(waits_at, &words[i % m * STRIDE]);
  for (int k = 0; k <= COLLISIONS; k++) {
    while (atomic_load(&waiting) < n) must(gmx_yield());
    if (k == 0) start();
    if (k == COLLISIONS) last_round = true;
    atomic_store(&waiting, 0);
    for (long i = 0; i < n; i++) must(gmx_sema_release(&words[i % m * STRIDE]));
  }
  must(gmx_waitgroup_wait(&group));
  report_each((double)n * (COLLISIONS + 1));
}

static gmx_cond cond;
static long at = 0;
static void cond_player(void *unused) { /* the last of a round wakes the others */
  (void)unused;
  for (long i = 0; i < n; i++) {
    must(gmx_mutex_lock(&shared.mutex));
    if (at == -1) {
      must(gmx_mutex_unlock(&shared.mutex));
      break;
    }
    if (++at == m + 1) {
      at = 0;
      must(gmx_cond_broadcast(&cond));
    } else {
      must(gmx_cond_wait(&cond, &shared.mutex));
    }
    must(gmx_mutex_unlock(&shared.mutex));
  }
  must(gmx_mutex_lock(&shared.mutex));
  at = -1;
  must(gmx_cond_broadcast(&cond));
  must(gmx_mutex_unlock(&shared.mutex));
  done(&group);
}
static void cond_rounds(void) {
  must(gmx_waitgroup_add(&group, (int32_t)m + 1));
  start();
  for (long i = 0; i <= m; i++) go_(cond_player, NULL);
  must(gmx_waitgroup_wait(&group));
  report_each((double)n);
}

static void counts_alone(long times) {
  struct padded mine = {0};
  for (long i = 0; i < times; i++) {
    must(gmx_waitgroup_add(&mine.wg, 1));
    must(gmx_waitgroup_done(&mine.wg));
    must(gmx_waitgroup_wait(&mine.wg));
  }
}
static void waitgroup_uncontended(void) { by(procs, counts_alone); }

static void adds_and_is_done(long times) {
  for (long i = 0; i < times; i++) {
    must(gmx_waitgroup_add(&shared.wg, 1));
    must(gmx_waitgroup_done(&shared.wg));
  }
}
static void waitgroup_add_done(void) { by(procs, adds_and_is_done); }

static void waits_for_none(long times) {
  for (long i = 0; i < times; i++) must(gmx_waitgroup_wait(&shared.wg));
}
static void waitgroup_wait(void) { by(procs, waits_for_none); }

static void waits_for_one(long times) {
  for (long i = 0; i < times; i++) {
    gmx_waitgroup wg = {0};
    must(gmx_waitgroup_add(&wg, 1));
    go_(done, &wg);
    must(gmx_waitgroup_wait(&wg));
  }
}
static void waitgroup_actually_wait(void) { by(procs, waits_for_one); }

/* ---- time; beside M timers that do not fire ---- */

static const int64_t HOUR = INT64_C(3600000000000);

static void others(void) {
  gmx_timer t;
  for (long i = 1; i < m; i++) must(gmx_after_func(HOUR, nothing, NULL, &t));
}

struct chain {
  long left;
  uint32_t over;
};
static void next_of_chain(void *arg) {
  struct chain *c = arg;
  if (--c->left >= 0) must(gmx_after_func(0, next_of_chain, c, NULL));
  else must(gmx_sema_release(&c->over));
}
static void chains(long times) {
  for (long i = 0; i < times; i += 1000) {
    struct chain c = {1000, 0};
    must(gmx_after_func(0, next_of_chain, &c, NULL));
    must(gmx_sema_acquire(&c.over));
  }
}
static void after_func_chain(void) { others(), by(procs, chains); }

static void afters(long times) {
  for (long i = 0; i < times; i++) {
    gmx_timer t;
    gmx_chan *c;
    int64_t when;
    must(gmx_timer_new(1, 0, &t, &c));
    must(gmx_chan_recv(c, &when));
    must(gmx_timer_free(t, NULL));
    must(gmx_chan_free(c));
  }
}
static void timer_after(void) { others(), by(procs, afters); }

static void chan_timers(long times) {
  for (long i = 0; i < times; i++) {
    gmx_timer t;
    gmx_chan *c;
    must(gmx_timer_new(1000000000, 0, &t, &c));
    must(gmx_timer_free(t, NULL));
    must(gmx_chan_free(c));
  }
}
static void timer_stop_chan(void) { others(), by(procs, chan_timers); }

static void all_at_once(long times) {
  for (long i = 0; i < times; i += 1000) {
    gmx_waitgroup wg = {0};
    must(gmx_waitgroup_add(&wg, 1000));
    for (int k = 0; k < 1000; k++) must(gmx_after_func(0, done, &wg, NULL));
    must(gmx_waitgroup_wait(&wg));
  }
}
static void after_func_at_once(void) { others(), by(procs, all_at_once); }

static void thousands(long times) {
  gmx_timer *t = array(1000, sizeof *t);
  for (long i = 0; i < times; i += 1000) {
    for (int k = 0; k < 1000; k++) must(gmx_after_func(HOUR, nothing, NULL, &t[k]));
    for (int k = 0; k < 1000; k++) must(gmx_timer_free(t[k], NULL));
  }
}
static void timer_start_stop_1000(void) { others(), by(procs, thousands); }

static void resets(long times) {
  gmx_timer t;
  gmx_chan *c;
  must(gmx_timer_new(HOUR, 0, &t, &c));
  for (long i = 0; i < times; i++) must(gmx_timer_reset(t, HOUR, 0, NULL));
}
static void timer_reset_chan(void) { others(), by(procs, resets); }

static void sleeps(void *wg) {
  must(gmx_sleep(1));
  done(wg);
}
static void sleepers(long times) {
  for (long i = 0; i < times; i += 1000) {
    gmx_waitgroup wg = {0};
    must(gmx_waitgroup_add(&wg, 1000));
    for (int k = 0; k < 1000; k++) go_(sleeps, &wg);
    must(gmx_waitgroup_wait(&wg));
  }
}
static void sleep_1000(void) { others(), by(procs, sleepers); }

static void tickers(long times) {
  for (long i = 0; i < times; i++) {
    gmx_timer t;
    gmx_chan *c;
    must(gmx_ticker_new(HOUR, &t, &c));
    must(gmx_ticker_reset(t, 2 * HOUR, NULL));
    must(gmx_timer_free(t, NULL));
    must(gmx_chan_free(c));
  }
}
static void ticker_start_stop(void) { others(), by(procs, tickers); }

const struct bench go_suite[] = {
    {"select_nonblock", select_nonblock, false, "N times four that do not wait, on every P"},
    {"select_sync_contended", select_sync_contended, false, "N values by selects of 3 and of 4, no buffer"},
    {"select_async_contended", select_async_contended, false, "N selects of 2 and sends, on every P"},
    {"select_prod_cons", select_prod_cons, false, "N values by selects of 3, with work between, on every P"},
    {"chan_contended", chan_contended, false, "2 N operations at one channel, 100 at a time, on every P"},
    {"chan_sync", chan_sync, false, "N round trips through one channel, M - 1 rounds of work between"},
    {"chan_prod_cons_work", chan_prod_cons_work, false, "N values with work between, on every P; room for M - 1"},
    {"chan_recv_closed", chan_recv_closed, false, "N values of a closed channel"},
    {"chan_creation", chan_creation, false, "N channels, on every P"},
    {"chan_sem", chan_sem, false, "N times send and receive, on every P"},
    {"chan_popular", chan_popular, false, "1000 N values, 1000 Gs wait at one channel each, and at one of all"},
    {"chan_closed", chan_closed, false, "N looks at a closed channel, on every P"},
    {"mutex_parallel", mutex_parallel, false, "N times, on every P"},
    {"mutex_slack", mutex_slack, false, "N times, ten Gs for each P"},
    {"mutex_work", mutex_work, false, "N times with work between, on every P"},
    {"mutex_work_slack", mutex_work_slack, false, "N times with work between, ten Gs for each P"},
    {"mutex_no_spin", mutex_no_spin, false, "N times, four Gs for each P, seldom locked"},
    {"mutex_spin", mutex_spin, false, "N times with much work between, on every P"},
    {"rwmutex_uncontended", rwmutex_uncontended, false, "N times two readers and a writer, on every P"},
    {"rwmutex_write", rwmutex_write, false, "N times, one of M writes, on every P"},
    {"rwmutex_work_write", rwmutex_work_write, false, "N times, one of M writes, readers work, on every P"},
    {"sema_hammer", sema_hammer, false, "N times acquire and release, by M Gs"},
    {"sema_collision", sema_collision, false, "N Gs wait at M words that collide"},
    {"cond_rounds", cond_rounds, false, "N rounds of M waiters"},
    {"waitgroup_uncontended", waitgroup_uncontended, false, "N times add, done, wait, on every P"},
    {"waitgroup_add_done", waitgroup_add_done, false, "N times, on every P"},
    {"waitgroup_wait", waitgroup_wait, false, "N times for nothing, on every P"},
    {"waitgroup_actually_wait", waitgroup_actually_wait, false, "N times for a fresh G, on every P"},
    {"after_func_chain", after_func_chain, false, "N functions after no time, one after the other, beside M - 1 timers"},
    {"after_func_at_once", after_func_at_once, false, "N functions after no time, 1000 at once"},
    {"timer_after", timer_after, false, "N times out of a channel after 1 ns"},
    {"timer_stop_chan", timer_stop_chan, false, "N timers with a channel, stopped"},
    {"timer_start_stop_1000", timer_start_stop_1000, false, "N timers, 1000 at once"},
    {"timer_reset_chan", timer_reset_chan, false, "N resets of one with a channel"},
    {"sleep_1000", sleep_1000, false, "N sleeps of 1 ns, 1000 at once"},
    {"ticker_start_stop", ticker_start_stop, false, "N tickers, set once more and stopped"},
    {0},
};
