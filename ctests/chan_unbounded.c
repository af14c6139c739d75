/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* Channels without a bound: sends never wait; otherwise they follow the rules of other channels. (Their memory:
 * chan_memory.c.) */
#include "unbounded.h"

struct wide {
  _Alignas(64) unsigned char bytes[4096];
};
static void look_at_alignment(void *arg, void *elem) {
  CHECK_EQ((uintptr_t)elem % *(size_t *)arg, 0);
}
static void values_of_any_size(void) {
  static const size_t sizes[] = {1, 2, 3, 7, 8, 24, 64, 96, 100, 192, 500, 512, 1000, 1024, 4096};
  static struct wide v, w;
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    size_t size = sizes[k], sent = 0, received = 0, align = size & (~size + 1);
    if (align > 64) align = 64;
    gmx_chan *c = unbounded(size);
    for (int round = 0; round < 300; round++) {
      for (int i = 0; i < round % 7 + 1; i++) {
        memset(v.bytes, (int)(++sent % 251), size);
        CHECK_OK(gmx_chan_try_send(c, v.bytes));
      }
      for (int i = 0; i < round % 5 + 1 && received < sent; i++) {
        memset(w.bytes, 0, size + 0);
        memset(v.bytes, (int)(++received % 251), size);
        CHECK_OK(gmx_chan_try_recv(c, w.bytes));
        CHECK(memcmp(v.bytes, w.bytes, size) == 0);
      }
      CHECK_EQ(gmx_chan_len(c), sent - received);
    }
    CHECK_CMP(sent, >, received);
    CHECK_OK(gmx_chan_close_drop(c, look_at_alignment, &align));
    CHECK_OK(gmx_chan_free(c));
  }
  gmx_chan *c = unbounded(0);
  for (int i = 0; i < 1000; i++) CHECK_OK(gmx_chan_send(c, NULL));
  for (int i = 0; i < 1000; i++) CHECK_OK(gmx_chan_try_recv(c, NULL));
  CHECK_STATUS(gmx_chan_try_recv(c, NULL), GMX_EAGAIN);
  CHECK_OK(gmx_chan_free(c));
  CHECK_STATUS(gmx_chan_new(SIZE_MAX, GMX_UNBOUNDED, &c), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_new(SIZE_MAX / 2, GMX_UNBOUNDED, &c), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_new(8, GMX_UNBOUNDED - 1, &c), GMX_EINVAL);
}

/* ---- the end ---- */

/* Each number of values, in segments of which the first has lost some. */
static void closes_with_values_left(void) {
  for (uint64_t n = 0; n < 400; n = n * 3 / 2 + 1) {
    for (uint64_t before = 0; before <= n; before += before / 2 + 1) {
      for (int drops = 0; drops < 3; drops++) {
        gmx_chan *c = unbounded(8);
        struct dropped d = {before, 0};
        uint64_t v, w;
        for (v = 0; v < n; v++) CHECK_OK(gmx_chan_send(c, &v));
        for (v = 0; v < before; v++) CHECK_OK(gmx_chan_recv(c, &w));
        if (drops < 2) CHECK_OK(gmx_chan_close(c));
        CHECK_EQ(gmx_chan_len(c), n - before);
        if (drops > 0) {
          CHECK_OK(gmx_chan_close_drop(c, comes_in_order, &d));
          CHECK_EQ(d.n, n - before);
        } else {
          for (v = before; v < n; v++) {
            CHECK_OK(gmx_chan_recv(c, &w));
            CHECK_EQ(w, v);
          }
        }
        CHECK_EQ(gmx_chan_len(c), 0);
        w = 7;
        CHECK_STATUS(gmx_chan_recv(c, &w), GMX_ECLOSED);
        CHECK_EQ(w, 0);
        CHECK_STATUS(gmx_chan_send(c, &w), GMX_ECLOSED);
        CHECK_OK(gmx_chan_free(c));
      }
    }
  }
}

/* ---- those that wait, and select ---- */

struct waiter {
  gmx_chan *c;
  uint64_t value;
  gmx_status status;
};
static void receives(void *arg) {
  struct waiter *w = arg;
  store(&w->status, gmx_chan_recv(w->c, &w->value));
}
static bool there_wait(gmx_chan *c, size_t receivers) {
  size_t sending, receiving;
  CHECK_OK(gmx_chan_waiters(c, &sending, &receiving));
  CHECK_EQ(sending, 0);
  return receiving == receivers;
}

static void receivers_wait(void) {
  gmx_chan *c = unbounded(8);
  struct waiter w[3];
  gmx_g gs[3];
  for (uint64_t i = 0; i < 3; i++) {
    w[i] = (struct waiter){c, 7, 1};
    gs[i] = go_joinable(receives, &w[i]);
    spin_until(there_wait(c, i + 1));
  }
  CHECK_STATUS(gmx_chan_free(c), GMX_EBUSY);
  for (uint64_t v = 100; v < 102; v++) CHECK_OK(gmx_chan_send(c, &v));
  for (int i = 0; i < 2; i++) {
    join(gs[i]);
    CHECK_OK(w[i].status);
    CHECK_EQ(w[i].value, 100 + (uint64_t)i);
  }
  CHECK_EQ(gmx_chan_len(c), 0);
  CHECK_OK(gmx_chan_close(c));
  join(gs[2]);
  CHECK_STATUS(w[2].status, GMX_ECLOSED);
  CHECK_EQ(w[2].value, 0);
  CHECK_OK(gmx_chan_free(c));
}

/* A send case is always ready: a select chooses it as often as any other ready case. */
static void selects_may_send(void) {
  gmx_chan *c = unbounded(8), *full = NULL;
  uint64_t v = 0, sent = 0;
  size_t chosen;
  CHECK_OK(gmx_chan_new(8, 2000, &full));
  for (int i = 0; i < 2000; i++) CHECK_OK(gmx_chan_send(full, &v));
  for (int i = 0; i < 2000; i++) {
    v = sent;
    CHECK_OK(select_send(c, full, &v, i % 2 ? 0 : GMX_FOREVER, &chosen));
    sent += chosen == 1;
  }
  CHECK(sent > 700 && sent < 1300);
  CHECK_EQ(gmx_chan_len(c), sent);
  CHECK_EQ(gmx_chan_len(full), sent);
  for (uint64_t i = 0; i < sent; i++) {
    CHECK_OK(select_send(NULL, c, NULL, 0, &chosen));
    CHECK_EQ(chosen, 0);
  }
  CHECK_STATUS(select_send(NULL, c, NULL, 0, &chosen), GMX_ETIMEDOUT);
  CHECK_OK(gmx_chan_close(c));
  CHECK_STATUS(select_send(c, NULL, &v, GMX_FOREVER, &chosen), GMX_ECLOSED);
  CHECK_EQ(chosen, 1);
  CHECK_OK(gmx_chan_free(c));
  CHECK_OK(gmx_chan_free(full));
}

/* ---- many at once ---- */

enum { SENDERS = 4, RECEIVERS = 2, EACH = 30000 };
struct traffic {
  gmx_chan *c;
  int64_t last[RECEIVERS][SENDERS];
  uint64_t sent, sum_in, sum_out, received, number, receiver;
};
static void sends_many(void *arg) {
  struct traffic *t = arg;
  uint64_t me = bump(&t->number), sum = 0;
  for (uint64_t i = 0; i < EACH; i++) {
    uint64_t v = me << 32 | i;
    size_t chosen;
    switch (i % 3) {
      case 0: CHECK_OK(gmx_chan_send(t->c, &v)); break;
      case 1: CHECK_OK(gmx_chan_try_send(t->c, &v)); break;
      default: CHECK_OK(select_send(t->c, NULL, &v, GMX_FOREVER, &chosen));
    }
    sum += v;
  }
  __atomic_fetch_add(&t->sum_in, sum, __ATOMIC_ACQ_REL);
  if (bump(&t->sent) == SENDERS - 1) CHECK_OK(gmx_chan_close(t->c));
}
static void receives_many(void *arg) {
  struct traffic *t = arg;
  int64_t *last = t->last[bump(&t->receiver)];
  uint64_t v, sum = 0, n = 0;
  for (; gmx_chan_recv(t->c, &v) == GMX_OK; n++) {
    CHECK_CMP((int64_t)(uint32_t)v, >, last[v >> 32]);
    last[v >> 32] = (int64_t)(uint32_t)v;
    sum += v;
  }
  __atomic_fetch_add(&t->sum_out, sum, __ATOMIC_ACQ_REL);
  __atomic_fetch_add(&t->received, n, __ATOMIC_ACQ_REL);
}
static void each_comes_once_and_in_order(void) {
  for (int round = 0; round < 5; round++) {
    struct traffic t = {.c = unbounded(8)};
    gmx_g gs[SENDERS + RECEIVERS];
    memset(t.last, 0xff, sizeof t.last);
    for (int i = 0; i < SENDERS + RECEIVERS; i++) gs[i] = go_joinable(i < SENDERS ? sends_many : receives_many, &t);
    join_all(gs, SENDERS + RECEIVERS);
    CHECK_EQ(t.received, SENDERS * EACH);
    CHECK_EQ(t.sum_in, t.sum_out);
    CHECK_OK(gmx_chan_free(t.c));
  }
}

int main(void) {
  RUN(values_of_any_size);
  RUN(closes_with_values_left);
  RUN(receivers_wait);
  RUN(selects_may_send);
  RUN(each_comes_once_and_in_order);
  RUN(ends_clean);
  return 0;
}
