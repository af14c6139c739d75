/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* Select: one ready case is chosen, each as often as the others; and no value is lost or comes twice. */
#include "gs.h"
#include "objects.h"

static gmx_select_case recv_from(gmx_chan *c, void *to) {
  gmx_select_case one;
  memset(&one, 0xdb, sizeof one); /* the words of the library need not be zero */
  one.chan = c;
  one.elem = to;
  one.op = GMX_CASE_RECV;
  return one;
}
static gmx_select_case send_to(gmx_chan *c, void *from) {
  gmx_select_case one = recv_from(c, from);
  one.op = GMX_CASE_SEND;
  return one;
}

static void takes_what_is_ready(void) {
  gmx_chan *a = chan_of(8, 1), *b = chan_of(8, 1);
  uint64_t v = 7, x = 0, y = 0;
  size_t chosen = 99;
  gmx_select_case cases[3] = {recv_from(a, &x), recv_from(NULL, &x), recv_from(b, &y)};
  CHECK_STATUS(gmx_select(cases, 3, 0, &chosen), GMX_ETIMEDOUT);
  CHECK_EQ(chosen, 3);
  chosen = 99;
  CHECK_STATUS(gmx_select(cases, 3, MS, &chosen), GMX_ETIMEDOUT);
  CHECK_EQ(chosen, 3);
  CHECK_OK(gmx_chan_send(b, &v));
  CHECK_OK(gmx_select(cases, 3, GMX_FOREVER, &chosen));
  CHECK_EQ(chosen, 2);
  CHECK(x == 0 && y == 7);
  CHECK_OK(gmx_chan_send(a, &v));
  CHECK_OK(gmx_select(cases, 3, 0, &chosen));
  CHECK_EQ(chosen, 0);
  CHECK_EQ(x, 7);
  gmx_select_case out[2] = {send_to(a, &v), send_to(b, &v)};
  CHECK_OK(gmx_select(out, 2, 0, NULL));
  CHECK_OK(gmx_select(out, 2, 0, NULL));
  CHECK_STATUS(gmx_select(out, 2, 0, NULL), GMX_ETIMEDOUT);
  CHECK_EQ(gmx_chan_len(a) + gmx_chan_len(b), 2);
  /* one case is the plain call */
  CHECK_OK(gmx_select(cases, 1, GMX_FOREVER, &chosen));
  CHECK_EQ(chosen, 0);
  CHECK_STATUS(gmx_select(cases, 1, 0, &chosen), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_select(cases, 1, 1000, &chosen), GMX_ETIMEDOUT);
  /* closed */
  CHECK_OK(gmx_chan_close(a));
  x = 3;
  CHECK_STATUS(gmx_select(cases, 1, GMX_FOREVER, &chosen), GMX_ECLOSED);
  CHECK_EQ(x, 0);
  x = 3;
  CHECK_STATUS(gmx_select(cases, 2, GMX_FOREVER, &chosen), GMX_ECLOSED);
  CHECK(chosen == 0 && x == 0);
  chosen = 9;
  CHECK_STATUS(gmx_select(out, 2, GMX_FOREVER, &chosen), GMX_ECLOSED);
  CHECK_EQ(chosen, 0);
  CHECK_OK(gmx_chan_free(a));
  CHECK_OK(gmx_chan_free(b));
}

static void without_a_case(void) {
  gmx_select_case none[2] = {recv_from(NULL, NULL), send_to(NULL, NULL)};
  CHECK_STATUS(gmx_select(NULL, 0, 0, NULL), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_select(NULL, 0, MS, NULL), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_select(none, 1, 0, NULL), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_select(none, 2, 0, NULL), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_select(none, 1, MS, NULL), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_select(none, 2, MS, NULL), GMX_ETIMEDOUT);
}
static void without_a_case_on_a_g(void *unused) {
  (void)unused;
  without_a_case();
  takes_what_is_ready();
}
static void on_gs_too(void) { on_g(without_a_case_on_a_g, NULL); }

static void wrong_calls_change_nothing(void) {
  gmx_chan *a = chan_of(8, 1);
  uint64_t v = 1;
  size_t chosen = 5;
  static _Alignas(64) char zeros[256];
  gmx_select_case cases[2] = {recv_from(a, &v), send_to(a, &v)}, bad[] = {send_to(a, NULL), recv_from((gmx_chan *)zeros, &v), recv_from(a, &v)};
  bad[2].op = 4;
  CHECK_STATUS(gmx_select(NULL, 1, 0, &chosen), GMX_EINVAL);
  CHECK_EQ(chosen, 1);
  CHECK_STATUS(gmx_select((gmx_select_case *)((char *)cases + 4), 1, 0, &chosen), GMX_EINVAL);
  CHECK_STATUS(gmx_select(cases, SIZE_MAX, 0, &chosen), GMX_EINVAL);
  CHECK(chosen == SIZE_MAX);
  for (int i = 0; i < 3; i++) {
    cases[0] = bad[i];
    CHECK_STATUS(gmx_select(cases, 2, 0, &chosen), GMX_EINVAL);
    CHECK_STATUS(gmx_select(cases, 1, GMX_FOREVER, &chosen), GMX_EINVAL);
  }
  CHECK(chosen == 1 && v == 1 && gmx_chan_len(a) == 0);
  CHECK_OK(gmx_chan_free(a));
}

/* Of k ready cases each is taken about once in k times: the limit of chi square is a value that chance would exceed
 * less than once in a billion runs. */
static void ready_cases_are_equal(void) {
  enum { MOST = 9, ROUNDS = 20000 };
  gmx_chan *c[MOST];
  uint64_t v = 1;
  gmx_select_case cases[MOST + 2];
  for (int k = 2; k <= MOST; k++) {
    long times[MOST + 2] = {0};
    for (int i = 0; i < k; i++) {
      c[i] = chan_of(8, 2);
      CHECK_OK(gmx_chan_send(c[i], &v));
      cases[i] = i % 2 ? send_to(c[i], &v) : recv_from(c[i], &v);
    }
    cases[k] = recv_from(NULL, &v);
    size_t chosen;
    for (int i = 0; i < ROUNDS; i++) {
      CHECK_OK(gmx_select(cases, (size_t)k + 1, i % 2 ? GMX_FOREVER : 0, &chosen));
      times[chosen]++;
      if (cases[chosen].op == GMX_CASE_SEND) CHECK_OK(gmx_chan_recv(c[chosen], &v));
      else CHECK_OK(gmx_chan_send(c[chosen], &v));
    }
    double chi = 0, want = (double)ROUNDS / k;
    for (int i = 0; i < k; i++) chi += ((double)times[i] - want) * ((double)times[i] - want) / want;
    CHECK_EQ(times[k], 0);
    if (chi > 70) FAIL("%d cases: chi square is %f", k, chi);
    for (int i = 0; i < k; i++) CHECK_OK(gmx_chan_free(c[i]));
  }
}

/* ---- waiting ---- */

struct pick {
  gmx_select_case *cases;
  size_t n, chosen;
  int64_t timeout;
  gmx_status status;
};
static void picks(void *arg) {
  struct pick *p = arg;
  store(&p->status, gmx_select(p->cases, p->n, p->timeout, &p->chosen));
}
static void *picks_as_thread(void *arg) { return picks(arg), NULL; }

static void waits_for_the_first(void) {
  enum { N = 70 }; /* more than any array on a stack that one would think of */
  gmx_chan *c[N];
  gmx_select_case cases[2 * N];
  uint64_t in[N], out[N];
  for (int i = 0; i < N; i++) c[i] = chan_of(8, 0);
  for (int turn = 0; turn < 3 * N; turn++) {
    int which = turn % N, kind = turn / N; /* served by a sender, by a receiver, by a close */
    for (int i = 0; i < N; i++) {
      in[i] = 1000, out[i] = (uint64_t)i;
      cases[2 * i] = recv_from(c[i], &in[i]);
      cases[2 * i + 1] = send_to(c[i], &out[i]);
    }
    struct pick p = {cases, 2 * N, 999, turn % 2 ? GMX_FOREVER : 30000 * MS, 1};
    pthread_t thread;
    gmx_g g = 0;
    if (turn % 5 == 0) thread = thread_start(picks_as_thread, &p);
    else g = go_joinable(picks, &p);
    if (g) { /* (a thread that waits as one is no goroutine, and not counted; it may come later than its partner) */
      spin_until(waiting("select") == 1);
      CHECK_STATUS(gmx_chan_free(c[(turn * 7) % N]), GMX_EBUSY);
    }
    uint64_t v = 5000;
    if (kind == 0) CHECK_OK(gmx_chan_send(c[which], &v));
    if (kind == 1) CHECK_OK(gmx_chan_recv(c[which], &v));
    if (kind == 2) CHECK_OK(gmx_chan_close(c[which]));
    if (turn % 5 == 0) thread_join(thread);
    else join(g);
    CHECK_STATUS(p.status, kind == 2 ? GMX_ECLOSED : GMX_OK);
    CHECK_EQ(p.chosen / 2, which);
    if (kind == 0) CHECK(p.chosen % 2 == 0 && in[which] == 5000);
    if (kind == 1) CHECK(p.chosen % 2 == 1 && v == (uint64_t)which);
    for (int i = 0; i < N; i++) CHECK(i == which || in[i] == 1000);
    if (kind == 2) { /* no waiter is left in it: it can be freed */
      CHECK_OK(gmx_chan_free(c[which]));
      c[which] = chan_of(8, 0);
    }
  }
  for (int i = 0; i < N; i++) CHECK_OK(gmx_chan_free(c[i]));
}

/* One channel in several cases of a select that has to wait: a partner takes each of them as often, on either side. */
enum { SAME = 5, SAME_ROUNDS = 6000 };
static void meets_each(void *arg) {
  gmx_chan *c = arg;
  uint64_t v = 1;
  for (int i = 0; i < SAME_ROUNDS; i++) { /* refused until the select waits */
    while ((i % 2 ? gmx_chan_try_send(c, &v) : gmx_chan_try_recv(c, &v)) == GMX_EAGAIN) check_pause();
  }
}
static void cases_of_one_channel_are_equal(void) {
  static const int sends[SAME] = {1, 0, 1, 1, 0};
  gmx_chan *c = chan_of(8, 0), *never = chan_of(8, 0);
  gmx_select_case cases[SAME + 1];
  uint64_t v = 1;
  long times[SAME + 1] = {0};
  gmx_g g = go_joinable(meets_each, c);
  for (int i = 0; i < SAME_ROUNDS; i++) {
    size_t chosen;
    for (int k = 0; k < SAME; k++) cases[k] = sends[k] ? send_to(c, &v) : recv_from(c, &v);
    cases[SAME] = recv_from(never, &v);
    CHECK_OK(gmx_select(cases, SAME + 1, GMX_FOREVER, &chosen));
    CHECK_EQ(sends[chosen], i % 2 == 0);
    times[chosen]++;
  }
  join(g);
  double chi = 0;
  for (int k = 0; k < SAME; k++) {
    double want = SAME_ROUNDS / 2.0 / (sends[k] ? 3 : 2);
    chi += ((double)times[k] - want) * ((double)times[k] - want) / want;
  }
  if (chi > 50) FAIL("%ld %ld %ld %ld %ld", times[0], times[1], times[2], times[3], times[4]);
  CHECK_OK(gmx_chan_free(c));
  CHECK_OK(gmx_chan_free(never));
}
static void cases_of_one_channel(void *unused) {
  (void)unused;
  cases_of_one_channel_are_equal();
}
static void one_channel_in_several_cases(void) {
  on_g(cases_of_one_channel, NULL);
  cases_of_one_channel_are_equal();
}

static void gives_up_everywhere(void) {
  gmx_chan *a = chan_of(8, 0), *b = chan_of(8, 0);
  uint64_t v = 1;
  gmx_select_case cases[3] = {recv_from(a, &v), send_to(b, &v), recv_from(b, &v)};
  struct pick p = {cases, 3, 99, 20 * MS, 1};
  gmx_g g = go_joinable(picks, &p);
  join(g);
  CHECK_STATUS(p.status, GMX_ETIMEDOUT);
  CHECK_EQ(p.chosen, 3);
  CHECK_STATUS(gmx_chan_try_send(a, &v), GMX_EAGAIN);
  CHECK_STATUS(gmx_chan_try_recv(b, &v), GMX_EAGAIN);
  CHECK_OK(gmx_chan_free(a));
  CHECK_OK(gmx_chan_free(b));
}

/* A select waits in the same queue as plain sends and receives. */
static void one_line(void) {
  enum { GS = 9 };
  gmx_chan *a = chan_of(8, 0), *b = chan_of(8, 0);
  uint64_t got[GS] = {0};
  gmx_select_case cases[GS][2];
  struct pick p[GS];
  gmx_g g[GS];
  for (int i = 0; i < GS; i++) {
    cases[i][0] = recv_from(i % 2 ? a : b, &got[i]);
    cases[i][1] = recv_from(i % 2 ? b : a, &got[i]);
    if (i % 3 == 2) cases[i][i % 2] = recv_from(NULL, NULL); /* only a */
    p[i] = (struct pick){cases[i], 2, 9, i % 4 == 1 ? 30000 * MS : GMX_FOREVER, 1};
    g[i] = go_joinable(picks, &p[i]);
    spin_until(waiting("select") == i + 1);
  }
  for (uint64_t i = 0; i < GS; i++) {
    uint64_t v = i + 1;
    CHECK_OK(gmx_chan_send(a, &v));
    join(g[i]);
    CHECK_EQ(got[i], i + 1);
  }
  CHECK_OK(gmx_chan_free(a));
  CHECK_OK(gmx_chan_free(b));
}

static void tries_in_callback(void *arg) {
  gmx_chan *a = arg;
  uint64_t v = 3;
  gmx_select_case cases[2] = {send_to(a, &v), recv_from(NULL, NULL)};
  CHECK_STATUS(gmx_select(cases, 2, GMX_FOREVER, NULL), GMX_ENOTG);
  CHECK_STATUS(gmx_select(cases, 2, MS, NULL), GMX_ENOTG);
  CHECK_OK(gmx_select(cases, 2, 0, NULL));
}
static void the_scheduler_may_try(void) {
  gmx_chan *a = chan_of(8, 10000);
  CHECK_OK(gmx_for_each_p(tries_in_callback, a));
  CHECK(gmx_chan_len(a) > 0);
  CHECK_OK(gmx_chan_free(a));
}

/* ---- everybody at once ---- */

enum { CHANS = 4, PLAYERS = 8, TURNS = 3000 };
struct game {
  gmx_chan *c[CHANS];
  uint64_t sent, received, sum_sent, sum_received, timed_out, next;
  bool over;
};
static void plays(void *arg) {
  struct game *g = arg;
  uint64_t random = bump(&g->next) * 77777 + 1;
  for (int i = 0; i < TURNS && !load(&g->over); i++) {
    gmx_select_case cases[2 * CHANS];
    uint64_t in[2 * CHANS], out[2 * CHANS];
    size_t n = 0, chosen = 0;
    for (int k = 0; k < 2 * CHANS; k++) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      uint64_t r = random >> 33;
      if (r % 3 == 0) continue;
      in[n] = 0;
      out[n] = r % 1000000 + 1;
      gmx_chan *c = r % 11 == 0 ? NULL : g->c[r / 16 % CHANS];
      cases[n] = r / 8 % 2 ? send_to(c, &out[n]) : recv_from(c, &in[n]);
      n++;
    }
    gmx_status s = gmx_select(cases, n, (int64_t)(random >> 40) % 4 * 2000, &chosen);
    if (s == GMX_OK) {
      if (cases[chosen].op == GMX_CASE_SEND) {
        bump(&g->sent);
        __atomic_fetch_add(&g->sum_sent, out[chosen], __ATOMIC_RELAXED);
      } else {
        CHECK(in[chosen] != 0);
        bump(&g->received);
        __atomic_fetch_add(&g->sum_received, in[chosen], __ATOMIC_RELAXED);
      }
      for (size_t k = 0; k < n; k++) CHECK(k == chosen || in[k] == 0); /* nothing came where nothing was chosen */
    } else if (s == GMX_ECLOSED) {
      CHECK_EQ(in[chosen], 0);
    } else {
      CHECK_STATUS(s, GMX_ETIMEDOUT);
      bump(&g->timed_out);
      if (i % 64 == 0) check_pause();
    }
  }
}
static void *plays_as_thread(void *arg) { return plays(arg), NULL; }

static void play(bool closes) {
  struct game g = {.next = 1};
  gmx_g gs[PLAYERS];
  pthread_t threads[2];
  for (int i = 0; i < CHANS; i++) g.c[i] = chan_of(8, (size_t)i / 2);
  for (int i = 0; i < PLAYERS; i++) gs[i] = go_joinable(plays, &g);
  for (int i = 0; i < 2; i++) threads[i] = thread_start(plays_as_thread, &g);
  if (closes) {
    spin_until(load(&g.received) > TURNS / 4);
    for (int i = 0; i < CHANS; i++) CHECK_OK(gmx_chan_close(g.c[i]));
    store(&g.over, true);
  }
  join_all(gs, PLAYERS);
  join_threads(threads, 2);
  for (int i = 0; i < CHANS; i++) {
    uint64_t v;
    while (gmx_chan_try_recv(g.c[i], &v) == GMX_OK) g.received++, g.sum_received += v;
    CHECK_OK(gmx_chan_free(g.c[i]));
  }
  CHECK_EQ(g.sent, g.received);
  CHECK_EQ(g.sum_sent, g.sum_received);
  check_say("  %" PRIu64 " sent, %" PRIu64 " gave up", g.sent, g.timed_out);
}
static void nothing_is_lost_or_doubled(void) { play(false); }
static void not_when_they_are_closed(void) { play(true); }

/* A G passes a value between two channels, and puts it into the one before it takes it from the other: a select over
 * both always finds it. The select takes it out and puts it back at once, and the passer waits for it meanwhile. */
struct pass {
  gmx_chan *a, *b;
  bool over;
};
static void passes(void *arg) {
  struct pass *p = arg;
  uint64_t v = 1;
  for (int i = 0; i < 20000; i++) {
    gmx_chan *from = i % 2 ? p->b : p->a, *to = i % 2 ? p->a : p->b;
    CHECK_OK(gmx_chan_send(to, &v));
    CHECK_OK(gmx_chan_recv(from, &v));
    if (i % 64 == 0) gmx_yield();
  }
  store(&p->over, true);
}
static void default_means_none_was_ready(void) {
  struct pass p = {chan_of(8, 1), chan_of(8, 1), false};
  uint64_t v = 1;
  CHECK_OK(gmx_chan_send(p.a, &v));
  gmx_g g = go_joinable(passes, &p);
  while (!load(&p.over)) {
    size_t chosen = 9;
    gmx_select_case look[2] = {recv_from(p.a, &v), recv_from(p.b, &v)};
    gmx_status s = gmx_select(look, 2, 0, &chosen);
    CHECK_OK(s);
    CHECK_OK(gmx_chan_send(chosen ? p.b : p.a, &v));
  }
  join(g);
  CHECK_OK(gmx_chan_free(p.a));
  CHECK_OK(gmx_chan_free(p.b));
}

int main(void) {
  RUN(takes_what_is_ready);
  RUN(without_a_case);
  RUN(on_gs_too);
  RUN(wrong_calls_change_nothing);
  RUN(one_channel_in_several_cases);
  RUN(ready_cases_are_equal);
  RUN(waits_for_the_first);
  RUN(gives_up_everywhere);
  RUN(one_line);
  RUN(the_scheduler_may_try);
  RUN(nothing_is_lost_or_doubled);
  RUN(not_when_they_are_closed);
  RUN(default_means_none_was_ready);
  RUN(ends_clean);
  return 0;
}
