/* timeout: 60 */
/* env: GMX_MAXPROCS=3 */
/* Channels and selects under tokens: a wait ends by the token, and no value is lost or comes twice. */
#include "gs.h"
#include "objects.h"

struct under {
  gmx_cancel token;
  gmx_chan *c, *d;
  int kind;
  gmx_status status;
};

static gmx_status waits(struct under *u, int64_t timeout, uint64_t *v) {
  gmx_select_case cases[3];
  memset(cases, 0, sizeof cases);
  cases[0].chan = u->c;
  cases[1].chan = u->d;
  cases[0].elem = cases[1].elem = v;
  switch (u->kind) {
    case 0: return gmx_chan_recv_timeout(u->c, v, timeout);
    case 1: return gmx_chan_send_timeout(u->c, v, timeout);
    case 2: return gmx_select(cases, 2, timeout, NULL);
    case 3: return gmx_chan_recv_timeout(NULL, v, timeout);
    default: return gmx_select(NULL, 0, timeout, NULL);
  }
}

static void waits_under(void *arg) {
  struct under *u = arg;
  uint64_t v = 9;
  CHECK_OK(gmx_cancel_use(u->token, NULL));
  gmx_status s = waits(u, GMX_FOREVER, &v);
  CHECK_EQ(v, 9);
  CHECK_STATUS(waits(u, INT64_C(30000000000), &v), s); /* it stays canceled */
  CHECK_OK(gmx_cancel_use(0, NULL));
  store(&u->status, s);
}

static void a_token_ends_each_wait(void) {
  static const char *const reasons[] = {"chan receive", "chan send", "select", "chan receive (nil chan)", "select (no cases)"};
  for (int kind = 0; kind < 5; kind++) {
    struct under u = {0, chan_of(8, 0), chan_of(8, 0), kind, 1};
    CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &u.token));
    gmx_g g = go_joinable(waits_under, &u);
    spin_until(waiting(reasons[kind]) == 1);
    CHECK_OK(gmx_cancel_now(u.token));
    join(g);
    CHECK_STATUS(u.status, GMX_ECANCELED);
    CHECK_OK(gmx_cancel_free(u.token));
    CHECK_OK(gmx_chan_free(u.c)); /* no waiter is left in it */
    CHECK_OK(gmx_chan_free(u.d));
  }
}

/* The token of many Gs is canceled at any moment of their waits, while partners come and deadlines pass. */
enum { GS = 6, ROUNDS = 1500 };
struct storm {
  gmx_chan *c, *d;
  uint64_t sent, received, canceled, next;
  bool over;
};
static void storms(void *arg) {
  struct storm *t = arg;
  uint64_t random = bump(&t->next) * 99991 + 7;
  for (int i = 0; i < ROUNDS; i++) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    uint64_t v = 0, out = random >> 40 | 1;
    gmx_select_case cases[2];
    memset(cases, 0, sizeof cases);
    size_t chosen = 9;
    int64_t timeout = random >> 33 & 1 ? 20000 : 500000;
    gmx_cancel token;
    gmx_status s;
    CHECK_OK(gmx_cancel_new(0, random >> 34 & 1 ? GMX_FOREVER : (int64_t)(random >> 50), &token));
    CHECK_OK(gmx_cancel_use(token, NULL));
    bool send = false;
    switch (random >> 36 & 3) {
      case 0: s = gmx_chan_recv_timeout(t->c, &v, timeout); break;
      case 1: s = gmx_chan_send_timeout(t->d, &out, timeout), send = true; break;
      default:
        cases[0].chan = t->d, cases[0].elem = &v;
        cases[1].chan = t->c, cases[1].elem = &out, cases[1].op = GMX_CASE_SEND;
        s = gmx_select(cases, 2, timeout, &chosen);
        send = chosen == 1;
    }
    CHECK_OK(gmx_cancel_use(0, NULL));
    CHECK_OK(gmx_cancel_free(token));
    if (s == GMX_OK && send) __atomic_fetch_add(&t->sent, out, __ATOMIC_RELAXED);
    else if (s == GMX_OK) __atomic_fetch_add(&t->received, v, __ATOMIC_RELAXED);
    else if (s == GMX_ECANCELED) bump(&t->canceled);
    else CHECK_STATUS(s, GMX_ETIMEDOUT);
    if (s != GMX_OK) CHECK_EQ(v, 0);
  }
}
static void *storms_as_thread(void *arg) { return storms(arg), NULL; }

static void nothing_is_lost_or_doubled(void) {
  for (size_t cap = 0; cap < 2; cap++) {
    struct storm t = {.c = chan_of(8, cap), .d = chan_of(8, cap), .next = 1};
    gmx_g gs[GS];
    pthread_t thread = thread_start(storms_as_thread, &t);
    for (int i = 0; i < GS; i++) gs[i] = go_joinable(storms, &t);
    join_all(gs, GS);
    thread_join(thread);
    uint64_t v;
    while (gmx_chan_try_recv(t.c, &v) == GMX_OK || gmx_chan_try_recv(t.d, &v) == GMX_OK) t.received += v;
    CHECK_EQ(t.sent, t.received);
    check_say("  cap %zu: %" PRIu64 " canceled", cap, t.canceled);
    CHECK_OK(gmx_chan_free(t.c));
    CHECK_OK(gmx_chan_free(t.d));
  }
}

int main(void) {
  RUN(a_token_ends_each_wait);
  RUN(nothing_is_lost_or_doubled);
  RUN(ends_clean);
  return 0;
}
