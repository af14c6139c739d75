/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* The cases of a select that wait until a channel is ready, and take nothing. */
#include "gs.h"
#include "objects.h"

static void put(gmx_chan *c, uint64_t v) { CHECK_OK(gmx_chan_try_send(c, &v)); }
static uint64_t taken(gmx_chan *c) {
  uint64_t v = 77;
  CHECK_OK(gmx_chan_try_recv(c, &v));
  return v;
}

/* A ready case among cases that are never ready, or alone. */
static gmx_status is_ready(gmx_chan *c, uint32_t op, int64_t timeout, bool alone) {
  gmx_select_case cases[3];
  size_t chosen = 99;
  memset(cases, 0, sizeof cases);
  cases[1].chan = c;
  cases[1].op = op;
  gmx_status s = alone ? gmx_select(&cases[1], 1, timeout, &chosen) : gmx_select(cases, 3, timeout, &chosen);
  if (s == GMX_OK) CHECK_EQ(chosen, alone ? 0 : 1);
  return s;
}
static void ready(gmx_chan *c, bool receives, bool sends) {
  const size_t len = gmx_chan_len(c);
  for (int i = 0; i < 4; i++) {
    const bool alone = i & 1;
    const int64_t timeout = i & 2 ? 1000 : 0;
    CHECK_STATUS(is_ready(c, GMX_CASE_RECV_READY, timeout, alone), receives ? GMX_OK : GMX_ETIMEDOUT);
    CHECK_STATUS(is_ready(c, GMX_CASE_SEND_READY, timeout, alone), sends ? GMX_OK : GMX_ETIMEDOUT);
  }
  CHECK_EQ(gmx_chan_len(c), len); /* nothing came of it */
}

/* ---- as the channel stands ---- */

static void as_it_stands(void *unused) {
  (void)unused;
  gmx_chan *c = chan_of(sizeof(uint64_t), 2);
  ready(c, false, true);
  put(c, 1);
  ready(c, true, true);
  put(c, 2);
  ready(c, true, false);
  CHECK_EQ(taken(c), 1);
  ready(c, true, true);
  CHECK_OK(gmx_chan_close(c));
  ready(c, true, true);
  CHECK_EQ(taken(c), 2);
  ready(c, true, true);
  CHECK_OK(gmx_chan_free(c));

  c = chan_of(sizeof(uint64_t), 0);
  ready(c, false, false);
  CHECK_OK(gmx_chan_close(c));
  ready(c, true, true);
  CHECK_OK(gmx_chan_free(c));

  c = chan_of(sizeof(uint64_t), GMX_UNBOUNDED);
  ready(c, false, true);
  for (uint64_t v = 0; v < 300; v++) put(c, v);
  ready(c, true, true);
  CHECK_OK(gmx_chan_free(c));

  gmx_timer t;
  int64_t at;
  CHECK_OK(gmx_timer_new(1000, 0, &t, &c)); /* a value that is due comes of the look */
  CHECK_OK(is_ready(c, GMX_CASE_RECV_READY, GMX_FOREVER, true));
  CHECK_OK(gmx_chan_try_recv(c, &at));
  CHECK_OK(gmx_timer_free(t, NULL));
  CHECK_OK(gmx_chan_free(c));
}
static void wrong_calls(void) {
  gmx_chan *c = chan_of(sizeof(uint64_t), 1);
  gmx_select_case cases[] = {GMX_RECV_READY(c), GMX_SEND_READY(NULL)};
  CHECK_STATUS(gmx_select(cases, 2, 0, NULL), GMX_ETIMEDOUT);
  cases[1].op = 4;
  CHECK_STATUS(gmx_select(cases, 2, 0, NULL), GMX_EINVAL);
  cases[1].op = UINT32_MAX;
  CHECK_STATUS(gmx_select(cases, 2, 0, NULL), GMX_EINVAL);
  CHECK_OK(gmx_chan_free(c));
}
static void tells_how_it_stands(void) { on_g(as_it_stands, NULL); }

/* ---- watchers that wait ---- */

/* A G that watches `c`, and receives from `sign` in the same select. No value comes there, so a receiver that waits at
 * `sign` tells the test that the watch has begun. */
struct watcher {
  gmx_chan *c, *sign;
  uint32_t op;
  int64_t timeout;
  gmx_cancel token;
  gmx_status status;
  size_t chosen;
};
static void watches(void *arg) {
  struct watcher *w = arg;
  gmx_select_case cases[2];
  memset(cases, 0, sizeof cases);
  cases[0].chan = w->c;
  cases[0].op = w->op;
  cases[1].chan = w->sign;
  if (w->token) CHECK_OK(gmx_cancel_use(w->token, NULL));
  w->status = gmx_select(cases, 2, w->timeout, &w->chosen);
}
static size_t receivers(gmx_chan *c) {
  size_t n;
  CHECK_OK(gmx_chan_waiters(c, NULL, &n));
  return n;
}
static size_t senders(gmx_chan *c) {
  size_t n;
  CHECK_OK(gmx_chan_waiters(c, &n, NULL));
  return n;
}
struct one {
  gmx_chan *c, *never;
  uint64_t value;
  gmx_status status;
  int way;
};
static gmx_status by_select(struct one *o, uint32_t op) {
  gmx_select_case cases[2];
  memset(cases, 0, sizeof cases);
  cases[o->way - 1].chan = o->c;
  cases[o->way - 1].op = op;
  cases[o->way - 1].elem = &o->value;
  cases[2 - o->way].chan = o->never;
  return gmx_select(cases, 2, GMX_FOREVER, NULL);
}
static void sends(void *arg) {
  struct one *o = arg;
  o->status = o->way == 0 ? gmx_chan_send(o->c, &o->value) : by_select(o, GMX_CASE_SEND);
}
static void receives(void *arg) {
  struct one *o = arg;
  o->status = o->way == 0 ? gmx_chan_recv(o->c, &o->value) : by_select(o, GMX_CASE_RECV);
}

enum { GS = 4 };
struct crowd {
  struct watcher w[GS];
  gmx_g gs[GS];
  gmx_chan *sign;
};
static void gather(struct crowd *all, gmx_chan *c, uint32_t op) {
  memset(all, 0, sizeof *all);
  all->sign = chan_of(sizeof(uint64_t), 0);
  for (size_t i = 0; i < GS; i++) {
    all->w[i] = (struct watcher){c, all->sign, op, GMX_FOREVER, 0, 1, 99};
    all->gs[i] = go_joinable(watches, &all->w[i]);
  }
  spin_until(receivers(all->sign) == GS);
}
/* All have been told, and each that its case was chosen. */
static void told(struct crowd *all) {
  for (int i = 0; i < GS; i++) {
    join(all->gs[i]);
    CHECK_OK(all->w[i].status);
    CHECK_EQ(all->w[i].chosen, 0);
  }
  CHECK_OK(gmx_chan_free(all->sign));
}

static void a_value_comes(void) {
  for (int kind = 0; kind < 3; kind++) {
    gmx_chan *c = chan_of(sizeof(uint64_t), kind == 0 ? 1 : kind == 1 ? 5 : GMX_UNBOUNDED);
    struct crowd all;
    for (uint64_t v = 1; v <= 300; v += 100) {
      gather(&all, c, GMX_CASE_RECV_READY);
      CHECK(receivers(c) == 0 && senders(c) == 0);
      put(c, v);
      told(&all);
      CHECK_EQ(taken(c), v);
    }
    CHECK_OK(gmx_chan_free(c));
  }
}
static void a_place_comes_free(void) {
  for (size_t cap = 1; cap < 4; cap++) {
    gmx_chan *c = chan_of(sizeof(uint64_t), cap);
    struct crowd all;
    for (uint64_t v = 0; v < cap; v++) put(c, v);
    gather(&all, c, GMX_CASE_SEND_READY);
    CHECK_EQ(taken(c), 0);
    told(&all);
    CHECK_EQ(gmx_chan_len(c), cap - 1);
    CHECK_OK(gmx_chan_free(c));
  }
}
/* A channel without room is ready for a receiver if a sender waits, and the other way round. */
static void one_queues(void) {
  for (int way = 0; way < 3; way++) {
    gmx_chan *c = chan_of(sizeof(uint64_t), 0), *never = chan_of(sizeof(uint64_t), 0);
    struct crowd all;
    struct one o = {c, never, 5, 1, way};
    gather(&all, c, GMX_CASE_RECV_READY);
    gmx_g g = go_joinable(sends, &o);
    told(&all);
    CHECK_EQ(senders(c), 1);
    CHECK_EQ(taken(c), 5);
    join(g);
    CHECK_OK(o.status);
    o = (struct one){c, never, 0, 1, way};
    gather(&all, c, GMX_CASE_SEND_READY);
    g = go_joinable(receives, &o);
    told(&all);
    CHECK_EQ(receivers(c), 1);
    put(c, 6);
    join(g);
    CHECK_OK(o.status);
    CHECK_EQ(o.value, 6);
    CHECK_OK(gmx_chan_free(c));
    CHECK_OK(gmx_chan_free(never));
  }
}
static void it_is_closed(void) {
  for (int i = 0; i < 6; i++) {
    gmx_chan *c = chan_of(sizeof(uint64_t), (size_t)(i % 2));
    struct crowd all, more;
    bool both = c && gmx_chan_cap(c) == 0;
    gather(&all, c, GMX_CASE_RECV_READY);
    if (both) gather(&more, c, GMX_CASE_SEND_READY);
    CHECK_OK(i < 4 ? gmx_chan_close(c) : gmx_chan_close_drop(c, NULL, NULL));
    told(&all);
    if (both) told(&more);
    CHECK_OK(gmx_chan_free(c));
  }
}

/* A value goes to a receiver, and no watcher hears of it. */
static void receivers_come_first(void) {
  gmx_chan *c = chan_of(sizeof(uint64_t), 1), *never = chan_of(sizeof(uint64_t), 0);
  struct crowd all;
  for (int way = 0; way < 3; way++) {
    struct one o = {c, never, 0, 1, way};
    gather(&all, c, GMX_CASE_RECV_READY);
    gmx_g g = go_joinable(receives, &o); /* behind the watchers */
    spin_until(receivers(c) == 1);
    put(c, 9);
    join(g);
    CHECK(o.status == GMX_OK && o.value == 9);
    CHECK_EQ(receivers(all.sign), GS);
    put(c, 10);
    told(&all);
    CHECK_EQ(taken(c), 10);
  }
  CHECK_OK(gmx_chan_free(c));
  CHECK_OK(gmx_chan_free(never));
}

/* ... and whose wait ends otherwise leaves nothing behind. */
static void they_give_up(void) {
  gmx_chan *c = chan_of(sizeof(uint64_t), 1), *sign = chan_of(sizeof(uint64_t), 0);
  uint64_t v = 1;
  CHECK_STATUS(is_ready(c, GMX_CASE_RECV_READY, 2000000, false), GMX_ETIMEDOUT);
  struct watcher w = {c, sign, GMX_CASE_RECV_READY, GMX_FOREVER, 0, 1, 99};
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &w.token));
  gmx_g g = go_joinable(watches, &w);
  spin_until(receivers(sign) == 1);
  CHECK_STATUS(gmx_chan_free(c), GMX_EBUSY);
  CHECK_OK(gmx_cancel_now(w.token));
  join(g);
  CHECK_STATUS(w.status, GMX_ECANCELED);
  CHECK_EQ(w.chosen, 2);
  w = (struct watcher){c, sign, GMX_CASE_RECV_READY, GMX_FOREVER, 0, 1, 99};
  g = go_joinable(watches, &w);
  spin_until(receivers(sign) == 1);
  CHECK_OK(gmx_chan_send(sign, &v)); /* another case */
  join(g);
  CHECK_OK(w.status);
  CHECK_EQ(w.chosen, 1);
  put(c, 1); /* the sender finds no watcher */
  CHECK_OK(gmx_chan_free(c));
  CHECK_OK(gmx_chan_free(sign));
}

/* A select that sends and watches at one channel without room is not its own partner, and tells others of itself. */
static void not_its_own_partner(void) {
  gmx_chan *c = chan_of(sizeof(uint64_t), 0);
  for (int order = 0; order < 2; order++) {
    uint64_t v = 3;
    gmx_select_case cases[2];
    memset(cases, 0, sizeof cases);
    cases[0].chan = cases[1].chan = c;
    cases[order].op = GMX_CASE_SEND;
    cases[order].elem = &v;
    cases[1 - order].op = GMX_CASE_RECV_READY;
    size_t chosen;
    CHECK_STATUS(gmx_select(cases, 2, 1000000, &chosen), GMX_ETIMEDOUT);
    cases[order].op = GMX_CASE_RECV;
    cases[1 - order].op = GMX_CASE_SEND_READY;
    CHECK_STATUS(gmx_select(cases, 2, 1000000, &chosen), GMX_ETIMEDOUT);
  }
  CHECK_OK(gmx_chan_free(c));
}

/* ---- traffic: no watcher sleeps beside a channel that is ready ---- */

enum { SENDERS = 3, RECEIVERS = 3, EACH = 4000 };
struct traffic {
  gmx_chan *c;
  bool senders_watch, receivers_watch;
  uint64_t sending, sum_in, sum_out, received, number, in_vain;
};
static gmx_status watch(gmx_chan *c, uint32_t op) {
  gmx_select_case cases[2];
  memset(cases, 0, sizeof cases);
  cases[0].chan = c;
  cases[0].op = op;
  return gmx_select(cases, 2, GMX_FOREVER, NULL);
}
static void sends_many(void *arg) {
  struct traffic *t = arg;
  uint64_t sum = 0, me = bump(&t->number);
  for (uint64_t i = 1; i <= EACH; i++) {
    uint64_t v = i * SENDERS + me;
    if (t->senders_watch && (i + me) % 4) {
      gmx_status s;
      do {
        CHECK_OK(watch(t->c, GMX_CASE_SEND_READY));
        s = gmx_chan_try_send(t->c, &v);
        if (s == GMX_EAGAIN) bump(&t->in_vain);
      } while (s == GMX_EAGAIN);
      CHECK_OK(s);
    } else {
      CHECK_OK(gmx_chan_send(t->c, &v));
    }
    sum += v;
  }
  __atomic_fetch_add(&t->sum_in, sum, __ATOMIC_ACQ_REL);
  if (__atomic_sub_fetch(&t->sending, 1, __ATOMIC_ACQ_REL) == 0) CHECK_OK(gmx_chan_close(t->c));
}
static void receives_many(void *arg) {
  struct traffic *t = arg;
  uint64_t sum = 0, n = 0, v;
  for (;;) {
    gmx_status s;
    if (t->receivers_watch) {
      CHECK_OK(watch(t->c, GMX_CASE_RECV_READY));
      s = gmx_chan_try_recv(t->c, &v);
    } else {
      s = gmx_chan_recv(t->c, &v);
    }
    if (s == GMX_ECLOSED) break;
    if (s == GMX_EAGAIN) {
      bump(&t->in_vain);
      continue;
    }
    CHECK_OK(s);
    sum += v;
    n++;
  }
  __atomic_fetch_add(&t->sum_out, sum, __ATOMIC_ACQ_REL);
  __atomic_fetch_add(&t->received, n, __ATOMIC_ACQ_REL);
}
static void traffic(void) {
  static const size_t caps[] = {0, 1, 2, 50, GMX_UNBOUNDED};
  uint64_t in_vain = 0;
  for (size_t k = 0; k < sizeof caps / sizeof *caps; k++) {
    for (int watchers = 1; watchers < 4; watchers++) {
      if (caps[k] == 0 && watchers == 3) continue; /* watchers do not meet */
      struct traffic t = {.c = chan_of(sizeof(uint64_t), caps[k]), .senders_watch = watchers & 1, .receivers_watch = watchers & 2, .sending = SENDERS};
      gmx_g gs[SENDERS + RECEIVERS];
      for (int i = 0; i < SENDERS + RECEIVERS; i++) gs[i] = go_joinable(i < SENDERS ? sends_many : receives_many, &t);
      join_all(gs, SENDERS + RECEIVERS);
      CHECK_EQ(t.received, SENDERS * EACH);
      CHECK_EQ(t.sum_in, t.sum_out);
      in_vain += t.in_vain;
      CHECK_OK(gmx_chan_free(t.c));
    }
  }
  check_say("  another was faster %" PRIu64 " times", in_vain);
}

/* ---- a receiver that has got its value elsewhere ---- */

static void receives_either(void *arg) {
  gmx_chan **c = arg;
  gmx_select_case cases[] = {GMX_RECV(c[0], NULL), GMX_RECV(c[1], NULL)};
  size_t chosen;
  CHECK_OK(gmx_select(cases, 2, GMX_FOREVER, &chosen));
  CHECK_EQ(chosen, 0);
}
/* Until the G runs, its record stands in the queue of the other channel, but is no partner there any more. */
static void gets_it_elsewhere(void *unused) {
  (void)unused;
  gmx_chan *c[2] = {chan_of(sizeof(uint64_t), 0), chan_of(sizeof(uint64_t), 0)};
  gmx_g g = go_joinable(receives_either, c);
  size_t n = 0;
  while (n == 0) {
    CHECK_OK(gmx_yield());
    CHECK_OK(gmx_chan_waiters(c[1], NULL, &n));
  }
  CHECK_OK(is_ready(c[1], GMX_CASE_SEND_READY, 0, false));
  put(c[0], 1);
  CHECK_STATUS(is_ready(c[1], GMX_CASE_SEND_READY, 0, false), GMX_ETIMEDOUT);
  join(g);
  CHECK_OK(gmx_chan_free(c[0]));
  CHECK_OK(gmx_chan_free(c[1]));
}
/* On one P, so that it does not run between. */
static void one_that_has_its_value_is_no_partner(void) {
  CHECK(gmx_gomaxprocs(1) > 0);
  on_g(gets_it_elsewhere, NULL);
  CHECK(gmx_gomaxprocs(3) > 0);
}

int main(void) {
  RUN(tells_how_it_stands);
  RUN(one_that_has_its_value_is_no_partner);
  RUN(wrong_calls);
  RUN(a_value_comes);
  RUN(a_place_comes_free);
  RUN(one_queues);
  RUN(it_is_closed);
  RUN(receivers_come_first);
  RUN(they_give_up);
  RUN(not_its_own_partner);
  RUN(traffic);
  RUN(ends_clean);
  return 0;
}
