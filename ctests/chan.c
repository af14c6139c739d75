/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* Channels: each of Go's rules by itself; and no value is lost or comes twice, whichever threads send, receive, time
 * out or close. */
#include "gs.h"
#include "objects.h"

/* ---- one G ---- */

static void first_in_first_out(void) {
  for (size_t cap = 1; cap <= 5; cap++) {
    gmx_chan *c = chan_of(sizeof(uint64_t), cap);
    uint64_t in = 0, out = 0, v;
    for (int round = 0; round < 20; round++) {
      for (size_t i = 0; i < cap; i++) {
        CHECK_OK(gmx_chan_send(c, &in));
        in++;
        CHECK_EQ(gmx_chan_len(c), i + 1);
      }
      CHECK_STATUS(gmx_chan_try_send(c, &in), GMX_EAGAIN);
      CHECK_STATUS(gmx_chan_send_timeout(c, &in, 0), GMX_ETIMEDOUT);
      CHECK_STATUS(gmx_chan_send_timeout(c, &in, 1000), GMX_ETIMEDOUT);
      size_t take = round % 2 ? cap : (cap + 1) / 2;
      for (size_t i = 0; i < take; i++) {
        CHECK_OK(gmx_chan_recv(c, &v));
        CHECK_EQ(v, out++);
      }
      for (size_t i = take; i < cap; i++) {
        CHECK_OK(gmx_chan_try_recv(c, &v));
        CHECK_EQ(v, out++);
      }
      v = 77;
      CHECK_STATUS(gmx_chan_try_recv(c, &v), GMX_EAGAIN);
      CHECK_STATUS(gmx_chan_recv_timeout(c, &v, 0), GMX_ETIMEDOUT);
      CHECK_STATUS(gmx_chan_recv_timeout(c, &v, 1000), GMX_ETIMEDOUT);
      CHECK_EQ(v, 77);
    }
    CHECK_OK(gmx_chan_free(c));
  }
}

static void values_of_any_size(void) {
  unsigned char in[3][300], out[302];
  for (size_t size = 0; size <= 300; size += size < 40 ? 1 : 13) {
    gmx_chan *c = chan_of(size, 2);
    for (int k = 0; k < 3; k++)
      for (size_t i = 0; i < size; i++) in[k][i] = (unsigned char)(i * 7 + size + (size_t)k * 31);
    CHECK_OK(gmx_chan_send(c, in[0]));
    CHECK_OK(gmx_chan_send(c, size ? in[1] : NULL));
    for (int k = 0; k < 3; k++) {
      memset(out, 0xee, sizeof out);
      CHECK_OK(gmx_chan_recv(c, out + 1));
      CHECK(out[0] == 0xee && out[1 + size] == 0xee);
      CHECK(memcmp(out + 1, in[k], size) == 0);
      if (k == 0) CHECK_OK(gmx_chan_send(c, in[2]));
    }
    CHECK_OK(gmx_chan_send(c, in[0]));
    CHECK_OK(gmx_chan_recv(c, NULL)); /* dropped */
    CHECK_EQ(gmx_chan_len(c), 0);
    CHECK_OK(gmx_chan_close(c));
    memset(out, 0xee, sizeof out);
    CHECK_STATUS(gmx_chan_recv(c, out + 1), GMX_ECLOSED);
    for (size_t i = 0; i < size; i++) CHECK(out[1 + i] == 0);
    CHECK(out[0] == 0xee && out[1 + size] == 0xee);
    CHECK_OK(gmx_chan_free(c));
  }
}

static void closed_channels(void) {
  gmx_chan *c = chan_of(sizeof(int), 3);
  int v;
  for (v = 1; v <= 2; v++) CHECK_OK(gmx_chan_send(c, &v));
  CHECK(!gmx_chan_is_closed(c));
  CHECK_OK(gmx_chan_close(c));
  CHECK(gmx_chan_is_closed(c));
  CHECK_STATUS(gmx_chan_close(c), GMX_ECLOSED);
  CHECK_STATUS(gmx_chan_send(c, &v), GMX_ECLOSED);
  CHECK_STATUS(gmx_chan_try_send(c, &v), GMX_ECLOSED);
  CHECK_STATUS(gmx_chan_send_timeout(c, &v, 5), GMX_ECLOSED);
  CHECK_STATUS(gmx_chan_send_timeout(c, &v, 0), GMX_ECLOSED);
  CHECK_EQ(gmx_chan_len(c), 2);
  CHECK_OK(gmx_chan_recv(c, &v));
  CHECK_EQ(v, 1);
  CHECK_OK(gmx_chan_try_recv(c, &v));
  CHECK_EQ(v, 2);
  for (int i = 0; i < 4; i++) {
    v = 9;
    gmx_status s = i == 0 ? gmx_chan_recv(c, &v) : i == 1 ? gmx_chan_try_recv(c, &v) : gmx_chan_recv_timeout(c, &v, i == 2 ? 0 : 5);
    CHECK_STATUS(s, GMX_ECLOSED);
    CHECK_EQ(v, 0);
  }
  CHECK_STATUS(gmx_chan_recv(c, NULL), GMX_ECLOSED);
  CHECK_OK(gmx_chan_free(c));
}

static void null_channels(void) {
  int v = 5;
  CHECK_STATUS(gmx_chan_try_send(NULL, &v), GMX_EAGAIN);
  CHECK_STATUS(gmx_chan_try_recv(NULL, &v), GMX_EAGAIN);
  CHECK_STATUS(gmx_chan_send_timeout(NULL, &v, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_chan_recv_timeout(NULL, &v, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_chan_send_timeout(NULL, &v, 100000), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_chan_recv_timeout(NULL, &v, 100000), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_chan_close(NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_free(NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_ref(NULL), GMX_EINVAL);
  CHECK_EQ(gmx_chan_len(NULL), 0);
  CHECK_EQ(gmx_chan_cap(NULL), 0);
  CHECK(!gmx_chan_is_closed(NULL));
  CHECK_STATUS(gmx_chan_waiters(NULL, NULL, NULL), GMX_EINVAL);
  CHECK_EQ(v, 5);
}

static void wrong_calls_change_nothing(void) {
  gmx_chan *c = (gmx_chan *)&c, *same = c;
  CHECK_STATUS(gmx_chan_new(8, SIZE_MAX / 8 + 1, &c), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_new(SIZE_MAX, 2, &c), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_new(1, SIZE_MAX - 1, &c), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_new(1, SIZE_MAX / 4, &c), GMX_ENOMEM);
  CHECK_STATUS(gmx_chan_new(1, 1, NULL), GMX_EINVAL);
  CHECK(c == same);
  c = chan_of(SIZE_MAX, 0); /* nothing is ever stored in it */
  CHECK_OK(gmx_chan_free(c));
  c = chan_of(0, SIZE_MAX);
  for (int i = 0; i < 100; i++) CHECK_OK(gmx_chan_send(c, NULL));
  CHECK_EQ(gmx_chan_len(c), 100);
  CHECK_OK(gmx_chan_free(c));
  c = chan_of(4, 1);
  CHECK_STATUS(gmx_chan_send(c, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_try_send(c, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_send_timeout(c, NULL, 5), GMX_EINVAL);
  CHECK_EQ(gmx_chan_len(c), 0);
  gmx_chan *crooked = (gmx_chan *)((char *)c + 8);
  int v = 3;
  CHECK_STATUS(gmx_chan_send(crooked, &v), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_close(crooked), GMX_EINVAL);
  size_t many = 99;
  CHECK_STATUS(gmx_chan_waiters(crooked, &many, &many), GMX_EINVAL);
  CHECK_OK(gmx_chan_close(c));
  CHECK(!gmx_chan_is_closed(crooked));
  CHECK_OK(gmx_chan_free(c));
  /* memory that is not a channel is refused */
  static _Alignas(64) char zeros[256];
  CHECK_STATUS(gmx_chan_send((gmx_chan *)zeros, &v), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_try_recv((gmx_chan *)zeros, &v), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_free((gmx_chan *)zeros), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_waiters((gmx_chan *)zeros, &many, &many), GMX_EINVAL);
  memset(zeros, 0xff, sizeof zeros);
  CHECK(!gmx_chan_is_closed((gmx_chan *)zeros));
  CHECK_EQ(many, 99);
}

/* ---- waiters are served in turn ---- */

struct waiter {
  gmx_chan *c;
  uint64_t value;
  int64_t timeout;
  gmx_status status;
  uint64_t *order, turn;
};

static void receives(void *arg) {
  struct waiter *w = arg;
  store(&w->status, gmx_chan_recv_timeout(w->c, &w->value, w->timeout));
  if (w->order) store(&w->turn, bump(w->order));
}
static void sends(void *arg) {
  struct waiter *w = arg;
  store(&w->status, gmx_chan_send_timeout(w->c, &w->value, w->timeout));
}

static void receivers_are_served_in_turn(void) {
  enum { GS = 20 };
  struct waiter w[GS];
  gmx_g gs[GS];
  for (size_t cap = 0; cap < 3; cap++) {
    gmx_chan *c = chan_of(8, cap);
    for (int i = 0; i < GS; i++) {
      w[i] = (struct waiter){c, 1000, i % 2 ? GMX_FOREVER : 30000 * MS, 1, NULL, 0};
      gs[i] = go_joinable(receives, &w[i]);
      spin_until(waiting("chan receive") == i + 1);
    }
    for (uint64_t i = 0; i < GS; i++) CHECK_OK(i % 3 ? gmx_chan_send(c, &i) : gmx_chan_try_send(c, &i));
    CHECK_EQ(gmx_chan_len(c), 0);
    for (int i = 0; i < GS; i++) {
      join(gs[i]);
      CHECK_OK(w[i].status);
      CHECK_EQ(w[i].value, i);
    }
    CHECK_OK(gmx_chan_free(c));
  }
}

static void senders_are_served_in_turn(void) {
  enum { GS = 20 };
  struct waiter w[GS];
  gmx_g gs[GS];
  for (size_t cap = 0; cap < 3; cap++) {
    gmx_chan *c = chan_of(8, cap);
    for (uint64_t i = 0; i < cap; i++) CHECK_OK(gmx_chan_send(c, &i));
    for (int i = 0; i < GS; i++) {
      w[i] = (struct waiter){c, cap + (uint64_t)i, i % 2 ? GMX_FOREVER : 30000 * MS, 1, NULL, 0};
      gs[i] = go_joinable(sends, &w[i]);
      spin_until(waiting("chan send") == i + 1);
    }
    for (uint64_t i = 0, v; i < GS + cap; i++) {
      CHECK_OK(i % 3 ? gmx_chan_recv(c, &v) : gmx_chan_try_recv(c, &v));
      CHECK_EQ(v, i);
    }
    for (int i = 0; i < GS; i++) {
      join(gs[i]);
      CHECK_OK(w[i].status);
    }
    CHECK_OK(gmx_chan_free(c));
  }
}

/* Whether the first n are in the queue, except those that have timed out. The calls that have not returned are counted
 * first: such a call may time out before the waiters are counted, but not the other way round. */
static bool all_wait(struct waiter *w, int n, const char *reason) {
  int out = 0;
  for (int i = 0; i < n; i++) out += load(&w[i].status) == 1;
  return waiting(reason) == out;
}

/* The waiters in the middle of the queue time out; the others keep their places. */
static void a_waiter_that_gives_up_is_passed_over(void) {
  enum { GS = 12 };
  struct waiter w[GS];
  gmx_g gs[GS];
  for (int sending = 0; sending < 2; sending++) {
    gmx_chan *c = chan_of(8, 0);
    for (int i = 0; i < GS; i++) {
      w[i] = (struct waiter){c, (uint64_t)i, i % 3 == 1 ? 30 * MS : GMX_FOREVER, 1, NULL, 0};
      gs[i] = go_joinable(sending ? sends : receives, &w[i]);
      spin_until(all_wait(w, i + 1, sending ? "chan send" : "chan receive"));
    }
    for (int i = 1; i < GS; i += 3) {
      join(gs[i]);
      CHECK_STATUS(w[i].status, GMX_ETIMEDOUT);
    }
    CHECK_EQ(waiting(sending ? "chan send" : "chan receive"), GS - GS / 3);
    for (uint64_t i = 0; i < GS; i++) {
      uint64_t v = i + 100;
      if (i % 3 == 1) continue;
      if (sending) {
        CHECK_OK(gmx_chan_recv(c, &v));
      } else {
        CHECK_OK(gmx_chan_send(c, &v));
      }
      join(gs[i]);
      CHECK_OK(w[i].status);
    }
    CHECK_OK(gmx_chan_free(c));
  }
}

static void close_tells_all(void) {
  enum { GS = 10 };
  struct waiter w[GS];
  gmx_g gs[GS];
  for (int sending = 0; sending < 2; sending++) {
    gmx_chan *c = chan_of(8, sending ? 1 : 0);
    uint64_t first = 42, v = 0;
    if (sending) CHECK_OK(gmx_chan_send(c, &first));
    for (int i = 0; i < GS; i++) {
      w[i] = (struct waiter){c, 5, i % 2 ? GMX_FOREVER : 30000 * MS, 1, NULL, 0};
      gs[i] = go_joinable(sending ? sends : receives, &w[i]);
    }
    spin_until(waiting(sending ? "chan send" : "chan receive") == GS);
    CHECK_STATUS(gmx_chan_free(c), GMX_EBUSY);
    CHECK_OK(gmx_chan_close(c));
    for (int i = 0; i < GS; i++) {
      join(gs[i]);
      CHECK_STATUS(w[i].status, GMX_ECLOSED);
      if (!sending) CHECK_EQ(w[i].value, 0);
    }
    if (sending) {
      CHECK_OK(gmx_chan_recv(c, &v)); /* no value of the waiters is in it */
      CHECK_EQ(v, first);
    }
    CHECK_STATUS(gmx_chan_recv(c, &v), GMX_ECLOSED);
    CHECK_OK(gmx_chan_free(c));
  }
}

static void the_last_reference_frees(void) {
  gmx_chan *c = chan_of(8, 0);
  CHECK_OK(gmx_chan_ref(c));
  struct waiter w = {c, 0, GMX_FOREVER, 1, NULL, 0};
  gmx_g g = go_joinable(receives, &w);
  spin_until(waiting("chan receive") == 1);
  CHECK_OK(gmx_chan_free(c)); /* not the last one */
  CHECK_STATUS(gmx_chan_free(c), GMX_EBUSY);
  CHECK_STATUS(gmx_chan_free(c), GMX_EBUSY);
  uint64_t v = 8;
  CHECK_OK(gmx_chan_send(c, &v));
  join(g);
  CHECK_EQ(w.value, 8);
  CHECK_OK(gmx_chan_free(c));
}

/* ---- how many wait ---- */

static bool there_wait(gmx_chan *c, size_t senders, size_t receivers) {
  size_t sending = 1000, receiving = 1000, again = 1000;
  CHECK_OK(gmx_chan_waiters(c, &sending, &receiving));
  CHECK_OK(gmx_chan_waiters(c, NULL, NULL));
  CHECK_OK(gmx_chan_waiters(c, NULL, &again));
  CHECK_CMP(again, <, 1000);
  return sending == senders && receiving == receivers;
}

static void waiters_are_counted(void) {
  enum { GS = 5 };
  struct waiter w[GS];
  gmx_g gs[GS];
  for (int sending = 0; sending < 2; sending++) {
    gmx_chan *c = chan_of(8, 0);
    CHECK(there_wait(c, 0, 0));
    for (size_t i = 0; i < GS; i++) {
      w[i] = (struct waiter){c, i, i % 2 ? GMX_FOREVER : 30000 * MS, 1, NULL, 0};
      gs[i] = go_joinable(sending ? sends : receives, &w[i]);
      spin_until(there_wait(c, sending ? i + 1 : 0, sending ? 0 : i + 1));
    }
    for (size_t i = 0; i < GS; i++) { /* a served waiter no longer counts, whether or not it has run */
      uint64_t v = i;
      CHECK_OK(sending ? gmx_chan_try_recv(c, &v) : gmx_chan_try_send(c, &v));
      CHECK(there_wait(c, sending ? GS - 1 - i : 0, sending ? 0 : GS - 1 - i));
    }
    join_all(gs, GS);
    CHECK_OK(gmx_chan_free(c));
  }
}

struct picker {
  gmx_chan *a, *b;
  gmx_cancel token;
  gmx_status status;
};
static void picks(void *arg) {
  struct picker *p = arg;
  uint64_t out = 1, in = 0;
  gmx_select_case cases[] = {GMX_RECV(p->a, &in), GMX_SEND(p->a, &out), GMX_RECV(p->a, NULL), GMX_SEND(p->b, &out)};
  CHECK_OK(gmx_cancel_use(p->token, NULL));
  gmx_status s = gmx_select(cases, 4, GMX_FOREVER, NULL);
  CHECK_OK(gmx_cancel_use(0, NULL));
  store(&p->status, s);
}
/* In a stopped world a G whose wait has ended cannot remove its record yet: it does not count as a waiter all the
 * same. */
static void a_select_counts_for_each_case(void) {
  struct picker p = {chan_of(8, 0), chan_of(8, 0), 0, 1};
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &p.token));
  gmx_g g = go_joinable(picks, &p);
  spin_until(there_wait(p.b, 1, 0));
  CHECK(there_wait(p.a, 1, 2));
  CHECK_OK(gmx_stop_the_world("count"));
  CHECK(there_wait(p.a, 1, 2) && there_wait(p.b, 1, 0));
  CHECK_OK(gmx_cancel_now(p.token));
  CHECK_EQ(load(&p.status), 1);
  CHECK(there_wait(p.a, 0, 0) && there_wait(p.b, 0, 0));
  CHECK_STATUS(gmx_chan_free(p.a), GMX_EBUSY);
  CHECK_OK(gmx_start_the_world());
  join(g);
  CHECK_STATUS(p.status, GMX_ECANCELED);
  CHECK_OK(gmx_cancel_free(p.token));
  CHECK_OK(gmx_chan_free(p.a));
  CHECK_OK(gmx_chan_free(p.b));
}

/* ---- other contexts ---- */

static void from_barriers(void *arg) {
  gmx_chan *c = arg;
  uint64_t v = 1;
  CHECK_STATUS(gmx_chan_send(c, &v), GMX_ENOTG);
  CHECK_STATUS(gmx_chan_recv_timeout(c, &v, 0), GMX_ENOTG);
  CHECK_OK(gmx_chan_try_send(c, &v));
}
static void the_scheduler_may_try(void) {
  enum { GS = 6 };
  gmx_chan *c = chan_of(8, 100);
  struct waiter w[GS];
  gmx_g gs[GS];
  for (int i = 0; i < GS; i++) {
    w[i] = (struct waiter){c, 0, GMX_FOREVER, 1, NULL, 0};
    gs[i] = go_joinable(receives, &w[i]);
  }
  spin_until(waiting("chan receive") == GS);
  for (int i = 0; i < GS / 3; i++) CHECK_OK(gmx_for_each_p(from_barriers, c));
  join_all(gs, GS);
  CHECK_EQ(gmx_chan_len(c), 0);
  CHECK_OK(gmx_stop_the_world("try"));
  uint64_t v = 4;
  CHECK_STATUS(gmx_chan_try_recv(c, &v), GMX_EAGAIN);
  CHECK_OK(gmx_chan_try_send(c, &v));
  CHECK_OK(gmx_start_the_world());
  CHECK_OK(gmx_chan_close(c));
  CHECK_OK(gmx_chan_free(c));
}

static void in_a_syscall(void *arg) {
  gmx_chan *c = arg;
  int v = 0;
  CHECK_OK(gmx_enter_syscall());
  CHECK_STATUS(gmx_chan_send(c, &v), GMX_EINSYSCALL);
  CHECK_STATUS(gmx_chan_recv(c, &v), GMX_EINSYSCALL);
  CHECK_OK(gmx_chan_try_send(c, &v));
  CHECK_OK(gmx_chan_try_recv(c, &v));
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_pin());
  CHECK_STATUS(gmx_chan_recv(c, &v), GMX_ENOTG);
  CHECK_OK(gmx_unpin());
}
static void syscalls_may_only_try(void) {
  gmx_chan *c = chan_of(sizeof(int), 1);
  on_g(in_a_syscall, c);
  CHECK_OK(gmx_chan_free(c));
}

/* ---- everybody at once ---- */

enum { SENDERS = 6, RECEIVERS = 6, ROUNDS = 2000 };
struct traffic {
  gmx_chan *c;
  int64_t timeout;
  int rounds;
  uint64_t next, sent, received, sum_sent, sum_received, gave_up;
  uint8_t *seen;
};

static void keeps_sending(void *arg) {
  struct traffic *t = arg;
  for (int i = 0; i < t->rounds; i++) {
    uint64_t v = bump(&t->next);
    gmx_status s = t->timeout < 0    ? gmx_chan_send(t->c, &v)
                   : i % 4 == 3 ? gmx_chan_try_send(t->c, &v)
                                : gmx_chan_send_timeout(t->c, &v, t->timeout * (i % 5));
    if (s == GMX_OK) {
      bump(&t->sent);
      __atomic_fetch_add(&t->sum_sent, v, __ATOMIC_RELAXED);
      CHECK((__atomic_fetch_add(&t->seen[v], 1, __ATOMIC_RELAXED) & 1) == 0);
    } else if (s == GMX_ECLOSED) {
      return;
    } else {
      CHECK(s == GMX_ETIMEDOUT || s == GMX_EAGAIN);
      bump(&t->gave_up);
    }
  }
}
static void keeps_receiving(void *arg) {
  struct traffic *t = arg;
  for (int i = 0;; i++) {
    uint64_t v = ~0ull;
    gmx_status s = t->timeout < 0    ? gmx_chan_recv(t->c, &v)
                   : i % 4 == 1 ? gmx_chan_try_recv(t->c, &v)
                                : gmx_chan_recv_timeout(t->c, &v, t->timeout * (i % 3));
    if (s == GMX_ECLOSED) {
      CHECK_EQ(v, 0);
      return;
    }
    if (s == GMX_OK) {
      bump(&t->received);
      __atomic_fetch_add(&t->sum_received, v, __ATOMIC_RELAXED);
      CHECK((__atomic_fetch_add(&t->seen[v], 2, __ATOMIC_RELAXED) & 2) == 0); /* once only */
    } else {
      CHECK(s == GMX_ETIMEDOUT || s == GMX_EAGAIN);
      CHECK_EQ(v, ~0ull);
      if (i % 16 == 0) check_pause();
    }
  }
}

static void *as_thread_send(void *arg) { return keeps_sending(arg), NULL; }
static void *as_thread_receive(void *arg) { return keeps_receiving(arg), NULL; }

/* close_early: closes while all senders and receivers work. Each value that was sent before is received all the
 * same. */
static void traffic(size_t cap, int64_t timeout, bool close_early) {
  struct traffic t = {.c = chan_of(8, cap), .timeout = timeout, .rounds = ROUNDS / (cap == 0 ? 2 : 1)};
  t.seen = calloc((SENDERS + 1) * ROUNDS + 1, 1);
  gmx_g out[SENDERS], in[RECEIVERS];
  for (int i = 0; i < RECEIVERS; i++) in[i] = go_joinable(keeps_receiving, &t);
  for (int i = 0; i < SENDERS; i++) out[i] = go_joinable(keeps_sending, &t);
  pthread_t receiver = thread_start(as_thread_receive, &t), sender = thread_start(as_thread_send, &t);
  if (close_early) {
    spin_until(load(&t.received) > ROUNDS / 2);
    CHECK_OK(gmx_chan_close(t.c));
  }
  join_all(out, SENDERS);
  thread_join(sender);
  if (!close_early) CHECK_OK(gmx_chan_close(t.c));
  join_all(in, RECEIVERS);
  thread_join(receiver);
  CHECK_EQ(t.sent, t.received);
  CHECK_EQ(t.sum_sent, t.sum_received);
  for (uint64_t i = 0; i < t.next; i++) CHECK(t.seen[i] == 0 || t.seen[i] == 3);
  check_say("  cap %zu: %" PRIu64 " sent, %" PRIu64 " gave up", cap, t.sent, t.gave_up);
  CHECK_OK(gmx_chan_free(t.c));
  free(t.seen);
}

static void nothing_is_lost_or_doubled(void) {
  for (size_t cap = 0; cap < 4; cap++) traffic(cap, GMX_FOREVER, false);
  traffic(100, GMX_FOREVER, false);
}
static void not_when_some_give_up(void) {
  for (size_t cap = 0; cap < 3; cap++) traffic(cap, 3000, false);
}
static void not_when_it_is_closed(void) {
  for (size_t cap = 0; cap < 3; cap++) {
    traffic(cap, GMX_FOREVER, true);
    traffic(cap, 3000, true);
  }
}

/* ---- what Go programs do ---- */

struct sieve {
  gmx_chan *from, *to;
  int prime;
};
static void filter(void *arg) {
  struct sieve *s = arg;
  int v;
  while (gmx_chan_recv(s->from, &v) == GMX_OK)
    if (v % s->prime != 0 && gmx_chan_send(s->to, &v) != GMX_OK) break;
  gmx_chan_close(s->to);
}
static void generate(void *arg) {
  struct sieve *s = arg;
  for (int v = 2; v < 800; v++) CHECK_OK(gmx_chan_send(s->to, &v));
  CHECK_OK(gmx_chan_close(s->to));
}
static void prime_sieve(void *unused) {
  (void)unused;
  struct sieve all[140] = {{NULL, chan_of(sizeof(int), 0), 1}};
  gmx_g gs[140];
  int n = 0, p;
  gs[0] = go_joinable(generate, &all[0]);
  while (gmx_chan_recv(all[n].to, &p) == GMX_OK) {
    n++;
    all[n] = (struct sieve){all[n - 1].to, chan_of(sizeof(int), 0), p};
    gs[n] = go_joinable(filter, &all[n]);
  }
  CHECK_EQ(n, 139);
  CHECK_EQ(all[139].prime, 797);
  join_all(gs, n + 1);
  for (int i = 0; i <= n; i++) CHECK_OK(gmx_chan_free(all[i].to));
}
static void primes(void) { on_g(prime_sieve, NULL); }

int main(void) {
  RUN(first_in_first_out);
  RUN(values_of_any_size);
  RUN(closed_channels);
  RUN(null_channels);
  RUN(wrong_calls_change_nothing);
  RUN(receivers_are_served_in_turn);
  RUN(senders_are_served_in_turn);
  RUN(a_waiter_that_gives_up_is_passed_over);
  RUN(close_tells_all);
  RUN(the_last_reference_frees);
  RUN(waiters_are_counted);
  RUN(a_select_counts_for_each_case);
  RUN(the_scheduler_may_try);
  RUN(syscalls_may_only_try);
  RUN(nothing_is_lost_or_doubled);
  RUN(not_when_some_give_up);
  RUN(not_when_it_is_closed);
  RUN(primes);
  RUN(ends_clean);
  return 0;
}
