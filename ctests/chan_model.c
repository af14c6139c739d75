/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* Channels against a model. Random programs of one G, for which the model knows every status beforehand; and random
 * programs of several Gs and threads, after which each value must have come once and in order. GMX_SEED repeats a
 * program, but not how the threads of the second kind meet. */
#include "gs.h"

#define US INT64_C(1000)
#define SECONDS 2

struct random {
  uint64_t state;
};
static uint32_t below(struct random *r, uint32_t n) { /* xorshift64* */
  r->state ^= r->state >> 12;
  r->state ^= r->state << 25;
  r->state ^= r->state >> 27;
  return (uint32_t)((r->state * UINT64_C(2685821657736338717)) >> 33) % n;
}

static uint64_t seed;

static void for_some_time(void (*program)(void *)) {
  const char *given = getenv("GMX_SEED");
  int64_t end = gmx_now() + SECONDS * INT64_C(1000000000);
  seed = given ? strtoull(given, NULL, 10) : (uint64_t)gmx_now() >> 8 | 1;
  int programs = 0;
  do {
    struct random r = {seed * UINT64_C(0x9e3779b97f4a7c15) | 1};
    program(&r);
    programs++;
    seed++;
  } while (!given && gmx_now() < end);
  check_say("  %d programs", programs);
}
#undef FAIL
#define FAIL(...) \
  (check_say("%s:%d: in %s, GMX_SEED=%" PRIu64 ":", __FILE__, __LINE__, __func__, seed), check_say("  " __VA_ARGS__), _exit(1))

/* ---- one G: it runs alone, so every status is known ---- */

enum { CHANS = 3, MOST = 5, PROGRAM = 300 };

struct modelled {
  gmx_chan *c;
  size_t cap, len;
  bool closed;
  uint64_t values[PROGRAM]; /* room for all that a channel without a bound may hold */
};

static bool sends(const struct modelled *m) { return m->closed || m->len < m->cap; }
static bool receives(const struct modelled *m) { return m->closed || m->len > 0; }

static gmx_status model_send(struct modelled *m, uint64_t v) {
  if (m->closed) return GMX_ECLOSED;
  m->values[m->len++] = v;
  return GMX_OK;
}
static gmx_status model_recv(struct modelled *m, uint64_t *v) {
  *v = 0;
  if (m->len == 0) return GMX_ECLOSED;
  *v = m->values[0];
  memmove(m->values, m->values + 1, --m->len * sizeof *m->values);
  return GMX_OK;
}

/* a call that would wait forever gets a deadline, or is not made */
static void one_send(struct random *r, struct modelled *m, uint64_t v) {
  bool may = sends(m);
  gmx_status want = may ? model_send(m, v) : GMX_EAGAIN;
  switch (below(r, 3)) {
    case 0:
      CHECK_STATUS(gmx_chan_try_send(m->c, &v), want);
      break;
    case 1:
      CHECK_STATUS(gmx_chan_send_timeout(m->c, &v, below(r, 2) ? 0 : US), may ? want : GMX_ETIMEDOUT);
      break;
    default:
      CHECK_STATUS(may ? gmx_chan_send(m->c, &v) : gmx_chan_try_send(m->c, &v), want);
  }
}

static void one_recv(struct random *r, struct modelled *m) {
  bool may = receives(m);
  uint64_t got = 77, expected = 77;
  gmx_status want = may ? model_recv(m, &expected) : GMX_EAGAIN;
  switch (below(r, 3)) {
    case 0:
      CHECK_STATUS(gmx_chan_try_recv(m->c, &got), want);
      break;
    case 1:
      CHECK_STATUS(gmx_chan_recv_timeout(m->c, &got, below(r, 2) ? 0 : US), may ? want : GMX_ETIMEDOUT);
      break;
    default:
      CHECK_STATUS(may ? gmx_chan_recv(m->c, &got) : gmx_chan_try_recv(m->c, &got), want);
  }
  CHECK_EQ(got, expected); /* untouched, if it said to wait */
}

static void one_select(struct random *r, struct modelled *all, uint64_t v) {
  enum { CASES = 4 };
  gmx_select_case cases[CASES];
  struct modelled *of[CASES];
  uint64_t elems[CASES];
  bool any = false;
  memset(cases, 0, sizeof cases);
  uint32_t n = below(r, CASES) + 1;
  for (uint32_t i = 0; i < n; i++) {
    of[i] = below(r, 8) ? &all[below(r, CHANS)] : NULL;
    elems[i] = v;
    cases[i].chan = of[i] ? of[i]->c : NULL;
    cases[i].elem = &elems[i];
    cases[i].op = below(r, 2) ? GMX_CASE_SEND : GMX_CASE_RECV;
    any |= of[i] && (cases[i].op == GMX_CASE_SEND ? sends(of[i]) : receives(of[i]));
  }
  size_t chosen = 99;
  const int64_t timeouts[] = {-1, 0, US, GMX_FOREVER};
  int64_t timeout = timeouts[below(r, any ? 4 : 3)];
  gmx_status got = gmx_select(cases, n, timeout, &chosen);
  if (!any) {
    CHECK_STATUS(got, GMX_ETIMEDOUT);
    CHECK_EQ(chosen, n);
    return;
  }
  CHECK_CMP(chosen, <, n);
  struct modelled *m = of[chosen];
  CHECK(m != NULL);
  if (cases[chosen].op == GMX_CASE_SEND) {
    CHECK(sends(m)); /* the select chose a ready case */
    CHECK_STATUS(got, model_send(m, v));
  } else {
    uint64_t expected;
    CHECK(receives(m));
    CHECK_STATUS(got, model_recv(m, &expected));
    CHECK_EQ(elems[chosen], expected);
  }
}

static void program_of_one(void *arg) {
  struct random *r = arg;
  struct modelled all[CHANS];
  memset(all, 0, sizeof all);
  for (int i = 0; i < CHANS; i++) {
    all[i].cap = below(r, MOST + 2);
    if (all[i].cap > MOST) all[i].cap = GMX_UNBOUNDED;
    CHECK_OK(gmx_chan_new(sizeof(uint64_t), all[i].cap, &all[i].c));
  }
  for (uint64_t v = 1; v <= PROGRAM; v++) {
    struct modelled *m = &all[below(r, CHANS)];
    uint32_t what = below(r, 80);
    if (what == 0) {
      CHECK_STATUS(gmx_chan_close(m->c), m->closed ? GMX_ECLOSED : GMX_OK);
      m->closed = true;
    } else if (what < 30) {
      one_send(r, m, v);
    } else if (what < 55) {
      one_recv(r, m);
    } else {
      one_select(r, all, v);
    }
    for (int i = 0; i < CHANS; i++) {
      CHECK_EQ(gmx_chan_len(all[i].c), all[i].len);
      CHECK_EQ(gmx_chan_cap(all[i].c), all[i].cap);
    }
  }
  for (int i = 0; i < CHANS; i++) CHECK_OK(gmx_chan_free(all[i].c));
}

static void one_g(void *unused) {
  (void)unused;
  for_some_time(program_of_one);
}

/* ---- several Gs and threads: each value comes once, and the values of one sender come in order ---- */

enum { SENDERS = 4, RECEIVERS = 4, VALUES = 200 };

struct value { /* more than a word, so that a torn one is seen */
  uint64_t sender, number, sum;
};

struct program {
  gmx_chan *c, *never;
  size_t cap;
  uint32_t senders, receivers;
  int closes_early; /* while there are senders */
  int sent[SENDERS]; /* how many; written by its sender at its end */
  int received[SENDERS][VALUES];
  int sending;
};
static struct program p;

struct actor {
  struct random r;
  uint64_t number;
};

/* Sends or receives in one of several ways. Returns GMX_OK, GMX_ECLOSED, or a status that means that no value moved. */
static gmx_status somehow(struct random *r, uint32_t op, struct value *v) {
  gmx_select_case cases[3];
  size_t chosen = 99;
  uint64_t nothing;
  gmx_status s;
  gmx_cancel token;
  memset(cases, 0, sizeof cases);
  bool send = op == GMX_CASE_SEND;
  uint32_t way = below(r, 8);
  switch (way) {
    case 0:
      s = send ? gmx_chan_try_send(p.c, v) : gmx_chan_try_recv(p.c, v);
      if (s == GMX_EAGAIN) CHECK_OK(gmx_yield());
      return s;
    case 1:
      return send ? gmx_chan_send_timeout(p.c, v, below(r, 50) * US) : gmx_chan_recv_timeout(p.c, v, below(r, 50) * US);
    case 2: /* perhaps canceled meanwhile */
      CHECK_OK(gmx_cancel_new(0, below(r, 50) * US, &token));
      CHECK_OK(gmx_cancel_use(token, NULL));
      s = send ? gmx_chan_send(p.c, v) : gmx_chan_recv(p.c, v);
      CHECK_OK(gmx_cancel_use(0, NULL));
      CHECK_OK(gmx_cancel_free(token));
      return s;
    case 3:
    case 4:
    case 5: /* the channel in one or two of three cases */
      for (uint32_t i = 0; i < 3; i++) {
        bool ours = i == way - 3 || below(r, 3) == 0;
        cases[i].chan = ours ? p.c : p.never;
        cases[i].elem = ours ? (void *)v : (void *)&nothing;
        cases[i].op = ours ? op : GMX_CASE_RECV;
      }
      s = gmx_select(cases, 3, below(r, 2) ? GMX_FOREVER : (int64_t)below(r, 50) * US, &chosen);
      if (s == GMX_OK || s == GMX_ECLOSED) CHECK(cases[chosen].chan == p.c);
      else CHECK_EQ(chosen, 3);
      return s;
    default:
      return send ? gmx_chan_send(p.c, v) : gmx_chan_recv(p.c, v);
  }
}

static bool in_vain(gmx_status s) { return s == GMX_EAGAIN || s == GMX_ETIMEDOUT || s == GMX_ECANCELED; }

static void sender(void *arg) {
  struct actor *a = arg;
  int n = 0;
  while (n < VALUES) {
    struct value v = {a->number, (uint64_t)n, 0};
    v.sum = ~(v.sender ^ v.number);
    gmx_status s = somehow(&a->r, GMX_CASE_SEND, &v);
    if (s == GMX_ECLOSED) {
      CHECK(p.closes_early);
      break;
    }
    if (s == GMX_OK) n++;
    else CHECK(in_vain(s));
  }
  store(&p.sent[a->number], n);
  if (__atomic_sub_fetch(&p.sending, 1, __ATOMIC_ACQ_REL) == 0 && !p.closes_early) CHECK_OK(gmx_chan_close(p.c));
}

static void receiver(void *arg) {
  struct actor *a = arg;
  int64_t last[SENDERS] = {-1, -1, -1, -1};
  for (;;) {
    struct value v = {7, 7, 7};
    gmx_status s = somehow(&a->r, GMX_CASE_RECV, &v);
    size_t len = gmx_chan_len(p.c);
    CHECK(len <= p.cap);
    if (s == GMX_ECLOSED) {
      CHECK(v.sender == 0 && v.number == 0 && v.sum == 0);
      return;
    }
    if (in_vain(s)) continue;
    CHECK_OK(s);
    CHECK(v.sender < p.senders && v.number < VALUES && v.sum == ~(v.sender ^ v.number));
    CHECK_EQ(bump(&p.received[v.sender][v.number]), 0);
    CHECK_CMP((int64_t)v.number, >, last[v.sender]);
    if (p.receivers == 1) CHECK_EQ((int64_t)v.number, last[v.sender] + 1);
    last[v.sender] = (int64_t)v.number;
  }
}

static void *sender_thread(void *arg) {
  sender(arg);
  return NULL;
}
static void *receiver_thread(void *arg) {
  receiver(arg);
  return NULL;
}

static void program_of_several(void *arg) {
  static const size_t caps[] = {0, 0, 1, 2, 7, 64, GMX_UNBOUNDED};
  struct random *r = arg;
  struct actor actors[SENDERS + RECEIVERS];
  gmx_g gs[SENDERS + RECEIVERS] = {0};
  pthread_t threads[SENDERS + RECEIVERS];
  memset(&p, 0, sizeof p);
  p.cap = caps[below(r, sizeof caps / sizeof *caps)];
  p.senders = below(r, SENDERS) + 1;
  p.receivers = below(r, RECEIVERS) + 1;
  p.closes_early = below(r, 3) == 0;
  p.sending = (int)p.senders;
  CHECK_OK(gmx_chan_new(sizeof(struct value), p.cap, &p.c));
  CHECK_OK(gmx_chan_new(sizeof(uint64_t), 0, &p.never));
  uint32_t n = p.senders + p.receivers;
  for (uint32_t i = 0; i < n; i++) {
    bool sends_values = i < p.senders;
    actors[i] = (struct actor){{r->state + UINT64_C(0x9e3779b97f4a7c15) * (i + 1)}, sends_values ? i : i - p.senders};
    if (below(r, 6) == 0) threads[i] = thread_start(sends_values ? sender_thread : receiver_thread, &actors[i]);
    else gs[i] = go_joinable(sends_values ? sender : receiver, &actors[i]);
  }
  if (p.closes_early) {
    CHECK_OK(gmx_sleep(below(r, 300) * US));
    CHECK_OK(gmx_chan_close(p.c));
    CHECK_STATUS(gmx_chan_close(p.c), GMX_ECLOSED);
  }
  for (uint32_t i = 0; i < n; i++)
    if (gs[i]) join(gs[i]);
    else thread_join(threads[i]);
  for (uint32_t i = 0; i < p.senders; i++)
    for (int k = 0; k < VALUES; k++) CHECK_EQ(p.received[i][k], k < p.sent[i]);
  CHECK_EQ(gmx_chan_len(p.c), 0);
  CHECK_OK(gmx_chan_free(p.c));
  CHECK_OK(gmx_chan_free(p.never));
}

static void a_program_of_one(void) { on_g(one_g, NULL); }
static void programs_of_several(void) { for_some_time(program_of_several); }

int main(void) {
  RUN(a_program_of_one);
  RUN(programs_of_several);
  CHECK_OK(gmx_shutdown(30 * INT64_C(1000000000)));
  return 0;
}
