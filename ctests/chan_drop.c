/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* gmx_chan_close_drop: receivers are told of the close at once, and the caller drops each value left in the channel,
 * once. */
#include "gs.h"
#include "objects.h"

struct dropped {
  uint64_t values[64], n;
};
static void keeps(void *arg, void *elem) {
  struct dropped *d = arg;
  CHECK_CMP(d->n, <, 64);
  memcpy(&d->values[d->n++], elem, sizeof(uint64_t));
}
static void is_not_called(void *arg, void *elem) {
  (void)arg;
  (void)elem;
  FAIL("a value was dropped, and there was none");
}

/* From each place of the ring on, with each number of values in it. */
static void the_oldest_first(void) {
  for (size_t cap = 0; cap < 6; cap++) {
    for (size_t before = 0; before <= cap; before++) {
      for (size_t n = 0; n <= cap; n++) {
        gmx_chan *c = chan_of(8, cap);
        struct dropped d = {{0}, 0};
        uint64_t v;
        for (v = 0; v < before; v++) {
          uint64_t w;
          CHECK_OK(gmx_chan_send(c, &v));
          CHECK_OK(gmx_chan_recv(c, &w));
        }
        for (v = 100; v < 100 + n; v++) CHECK_OK(gmx_chan_send(c, &v));
        CHECK_OK(gmx_chan_close_drop(c, keeps, &d));
        CHECK_EQ(d.n, n);
        for (size_t i = 0; i < n; i++) CHECK_EQ(d.values[i], 100 + i);
        CHECK(gmx_chan_is_closed(c));
        CHECK_EQ(gmx_chan_len(c), 0);
        CHECK_STATUS(gmx_chan_try_send(c, &v), GMX_ECLOSED);
        v = 9;
        CHECK_STATUS(gmx_chan_recv(c, &v), GMX_ECLOSED);
        CHECK_EQ(v, 0);
        CHECK_STATUS(gmx_chan_close(c), GMX_ECLOSED);
        CHECK_OK(gmx_chan_close_drop(c, is_not_called, NULL));
        CHECK_OK(gmx_chan_free(c));
      }
    }
  }
}

static void values_of_any_size(void) {
  gmx_chan *c = chan_of(0, SIZE_MAX);
  struct dropped d = {{0}, 0};
  for (int i = 0; i < 5; i++) CHECK_OK(gmx_chan_send(c, NULL));
  CHECK_OK(gmx_chan_close_drop(c, NULL, NULL));
  CHECK_EQ(gmx_chan_len(c), 0);
  CHECK_OK(gmx_chan_free(c));
  c = chan_of(24, 3);
  uint64_t v[3] = {0, 1, 2};
  for (; v[0] < 3; v[0]++) CHECK_OK(gmx_chan_send(c, v));
  CHECK_OK(gmx_chan_close_drop(c, keeps, &d));
  CHECK(d.n == 3 && d.values[0] == 0 && d.values[2] == 2);
  CHECK_OK(gmx_chan_free(c));
}

/* After a plain close, the values that are left are dropped all the same. */
static void closed_already(void) {
  gmx_chan *c = chan_of(8, 3);
  struct dropped d = {{0}, 0};
  for (uint64_t v = 1; v <= 3; v++) CHECK_OK(gmx_chan_send(c, &v));
  CHECK_OK(gmx_chan_close(c));
  CHECK_EQ(gmx_chan_len(c), 3);
  CHECK_OK(gmx_chan_close_drop(c, keeps, &d));
  CHECK(d.n == 3 && d.values[0] == 1);
  CHECK_STATUS(gmx_chan_try_recv(c, NULL), GMX_ECLOSED);
  CHECK_OK(gmx_chan_free(c));
}

static void wrong_calls(void) {
  static _Alignas(64) char zeros[256];
  gmx_chan *c = chan_of(8, 1);
  uint64_t v = 1;
  CHECK_OK(gmx_chan_send(c, &v));
  CHECK_STATUS(gmx_chan_close_drop(NULL, is_not_called, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_close_drop((gmx_chan *)zeros, is_not_called, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_close_drop((gmx_chan *)((char *)c + 8), is_not_called, NULL), GMX_EINVAL);
  CHECK(!gmx_chan_is_closed(c) && gmx_chan_len(c) == 1);
  CHECK_OK(gmx_chan_free(c));
}

/* ---- those that wait ---- */

struct waiter {
  gmx_chan *c;
  uint64_t value;
  gmx_status status;
};
static void receives(void *arg) {
  struct waiter *w = arg;
  store(&w->status, gmx_chan_recv(w->c, &w->value));
}
static void sends(void *arg) {
  struct waiter *w = arg;
  store(&w->status, gmx_chan_send(w->c, &w->value));
}

static bool there_wait(gmx_chan *c, size_t senders, size_t receivers) {
  size_t sending, receiving;
  CHECK_OK(gmx_chan_waiters(c, &sending, &receiving));
  return sending == senders && receiving == receivers;
}

static void senders_keep_their_values(void) {
  enum { GS = 5 };
  for (size_t cap = 0; cap < 3; cap++) {
    struct waiter w[GS];
    gmx_g gs[GS];
    gmx_chan *c = chan_of(8, cap);
    struct dropped d = {{0}, 0};
    for (uint64_t v = 0; v < cap; v++) CHECK_OK(gmx_chan_send(c, &v));
    for (uint64_t i = 0; i < GS; i++) {
      w[i] = (struct waiter){c, 50 + i, 1};
      gs[i] = go_joinable(sends, &w[i]);
    }
    spin_until(there_wait(c, GS, 0));
    CHECK_OK(gmx_chan_close_drop(c, keeps, &d));
    CHECK_EQ(d.n, cap);
    for (uint64_t i = 0; i < GS; i++) {
      join(gs[i]);
      CHECK_STATUS(w[i].status, GMX_ECLOSED);
      CHECK_EQ(w[i].value, 50 + i);
    }
    CHECK_OK(gmx_chan_free(c));
  }
}

static void receivers_are_told(void) {
  enum { GS = 4 };
  struct waiter w[GS];
  gmx_g gs[GS];
  gmx_chan *c = chan_of(8, 2);
  for (int i = 0; i < GS; i++) {
    w[i] = (struct waiter){c, 7, 1};
    gs[i] = go_joinable(receives, &w[i]);
  }
  spin_until(there_wait(c, 0, GS));
  CHECK_OK(gmx_chan_close_drop(c, is_not_called, NULL));
  for (int i = 0; i < GS; i++) {
    join(gs[i]);
    CHECK_STATUS(w[i].status, GMX_ECLOSED);
    CHECK_EQ(w[i].value, 0);
  }
  CHECK_OK(gmx_chan_free(c));
}

/* ---- what drop may do ---- */

/* It uses the channel, waits, and lets another goroutine use the channel meanwhile. */
static void uses_the_channel(void *arg, void *elem) {
  gmx_chan *c = *(gmx_chan **)arg;
  struct waiter w = {c, 7, 1};
  uint64_t v = 3;
  CHECK_OK(gmx_yield());
  on_g(receives, &w);
  CHECK_STATUS(w.status, GMX_ECLOSED);
  CHECK_STATUS(gmx_chan_send(c, &v), GMX_ECLOSED);
  CHECK_EQ(gmx_chan_len(c), 0);
  CHECK_OK(gmx_chan_close_drop(c, is_not_called, NULL));
  memcpy(&v, elem, sizeof v);
  CHECK(v == 11 || v == 12);
}
static void closes(void *arg) {
  gmx_chan *c = *(gmx_chan **)arg;
  CHECK_OK(gmx_chan_close_drop(c, uses_the_channel, arg));
}
static void drop_may_do_anything(void) {
  gmx_chan *c = chan_of(8, 2);
  uint64_t v;
  for (v = 11; v <= 12; v++) CHECK_OK(gmx_chan_send(c, &v));
  on_g(closes, &c);
  CHECK_OK(gmx_chan_free(c));
}

static void ends_the_goroutine(void *arg, void *elem) {
  (void)elem;
  bump((int *)arg);
  gmx_goexit();
}
struct ending {
  gmx_chan *c;
  int drops;
};
static void closes_and_ends(void *arg) {
  struct ending *e = arg;
  gmx_chan_close_drop(e->c, ends_the_goroutine, &e->drops);
  FAIL("drop did not return");
}
static void drop_need_not_return(void) {
  struct ending e = {chan_of(8, 2), 0};
  uint64_t v = 1;
  CHECK_OK(gmx_chan_send(e.c, &v));
  CHECK_OK(gmx_chan_send(e.c, &v));
  on_g(closes_and_ends, &e);
  CHECK_EQ(e.drops, 1);
  CHECK_STATUS(gmx_chan_recv(e.c, NULL), GMX_ECLOSED);
  CHECK_OK(gmx_chan_free(e.c));
}

/* ---- everybody at once: each value is received, dropped or refused ---- */

enum { SENDERS = 5, RECEIVERS = 3, CLOSERS = 3, EACH = 3000 };
struct traffic {
  gmx_chan *c;
  uint64_t next, received, dropped, refused, closed;
  unsigned char *seen;
};
static void ends_once(struct traffic *t, char *value) {
  long v = atol(value);
  CHECK(bump(&t->seen[v]) == 0);
  free(value);
}
static void send_owned(void *arg) {
  struct traffic *t = arg;
  for (int i = 0; i < EACH; i++) {
    char *value = malloc(24);
    CHECK(value != NULL);
    snprintf(value, 24, "%" PRIu64, bump(&t->next));
    gmx_status s = i % 3 == 0 ? gmx_chan_try_send(t->c, &value) : gmx_chan_send(t->c, &value);
    if (s == GMX_OK) continue;
    CHECK(s == GMX_ECLOSED || s == GMX_EAGAIN);
    ends_once(t, value);
    bump(&t->refused);
    if (s == GMX_ECLOSED) return;
  }
}
static void receive_owned(void *arg) {
  struct traffic *t = arg;
  char *value;
  gmx_status s;
  while ((s = gmx_chan_recv(t->c, &value)) == GMX_OK) {
    ends_once(t, value);
    bump(&t->received);
  }
  CHECK_STATUS(s, GMX_ECLOSED);
}
static void drops_owned(void *arg, void *elem) {
  struct traffic *t = arg;
  ends_once(t, *(char **)elem);
  bump(&t->dropped);
}
static void close_owned(void *arg) {
  struct traffic *t = arg;
  if (bump(&t->closed) == 1) gmx_chan_close(t->c);
  CHECK_OK(gmx_chan_close_drop(t->c, drops_owned, t));
}
static void each_value_ends_once(void) {
  uint64_t dropped = 0;
  for (int round = 0; round < 40; round++) {
    struct traffic t = {.c = chan_of(sizeof(char *), (size_t)round % 8)};
    gmx_g gs[SENDERS + RECEIVERS + CLOSERS];
    int n = 0;
    t.seen = calloc(SENDERS * EACH, 1);
    CHECK(t.seen != NULL);
    for (int i = 0; i < RECEIVERS; i++) gs[n++] = go_joinable(receive_owned, &t);
    for (int i = 0; i < SENDERS; i++) gs[n++] = go_joinable(send_owned, &t);
    uint64_t some = (uint64_t)round * 20;
    spin_until(load(&t.received) >= some);
    for (int i = 0; i < CLOSERS; i++) gs[n++] = go_joinable(close_owned, &t);
    join_all(gs, n);
    CHECK_EQ(t.received + t.dropped + t.refused, t.next);
    dropped += t.dropped;
    CHECK_OK(gmx_chan_free(t.c));
    free(t.seen);
  }
  check_say("  %" PRIu64 " were dropped", dropped);
}

int main(void) {
  RUN(the_oldest_first);
  RUN(values_of_any_size);
  RUN(closed_already);
  RUN(wrong_calls);
  RUN(senders_keep_their_values);
  RUN(receivers_are_told);
  RUN(drop_may_do_anything);
  RUN(drop_need_not_return);
  RUN(each_value_ends_once);
  RUN(ends_clean);
  return 0;
}
