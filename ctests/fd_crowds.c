/* timeout: 150 */
/* Many connections, and peers that misbehave: ten thousand that are open at a time, a storm of resets, readers that
 * never read, and a host that lowers the limit of its descriptors. */
#include "fds.h"
#include "seed.h"

/* ---- ten thousand connections ---- */

#ifdef __SANITIZE_THREAD__
#define MANY 3000 /* for ThreadSanitizer each G is a thread, of which it knows 8128 */
#else
#define MANY 10000
#endif
static struct held {
  struct pair pair;
  gmx_g g;
} many[MANY];
static int waits, answered;

static void answers(void *arg) {
  struct held *h = (struct held *)arg;
  char byte = 0;
  bump(&waits);
  CHECK_EQ(gmx_read(h->pair.p[0], &byte, 1, GMX_FOREVER), 1);
  CHECK_OK(gmx_write(h->pair.p[0], &byte, 1, GMX_FOREVER, NULL));
  bump(&answered);
  CHECK_EQ(gmx_read(h->pair.p[0], &byte, 1, GMX_FOREVER), -ECONNRESET);
}

/* Of TCP, with a G for each. As many as there may be descriptors. */
static void ten_thousand_connections_are_open_at_a_time(void) {
  struct rlimit limit;
  more_fds(2 * MANY + 200);
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  int n = limit.rlim_cur >= 2 * MANY + 200 ? MANY : (int)(limit.rlim_cur - 200) / 2;
  struct sockaddr_in at;
  gmx_poll l = own_fd(listener(&at, 4096));
  long before = open_fds();
  waits = answered = 0;
  for (int i = 0; i < n; i++) {
    many[i].pair.fd[1] = connect_to(&at);
    many[i].pair.p[1] = 0;
    CHECK_OK(gmx_accept(l, &many[i].pair.p[0], NULL, NULL, GMX_FOREVER));
    many[i].g = go_joinable(answers, &many[i]);
  }
  spin_until(load(&waits) == n);
  for (int i = 0; i < n; i++) feed(many[i].pair.fd[1], &(char){(char)i}, 1);
  for (int i = 0; i < n; i++) {
    char byte = 1;
    take(many[i].pair.fd[1], &byte, 1);
    CHECK_EQ(byte, (char)i);
    close_by_reset(many[i].pair.fd[1]); /* its port is free at once */
    many[i].pair.fd[1] = -1;
  }
  spin_until(load(&answered) == n); /* the last ones may have written, and not counted yet */
  check_say("  %d connections", n);
  for (int i = 0; i < n; i++) {
    join(many[i].g);
    close_fd(many[i].pair.p[0]);
  }
  /* The library keeps its own. */
  CHECK_CMP(open_fds(), <=, before + 4);
  close_fd(l);
}

/* ---- resets ---- */

struct side {
  gmx_poll p;
  bool writes;
  gmx_status status;
  gmx_g g;
};

static void uses_until_the_end(void *arg) {
  struct side *s = (struct side *)arg;
  static const char bytes[4096];
  char got[4096];
  do s->status = s->writes ? gmx_write(s->p, bytes, sizeof bytes, GMX_FOREVER, NULL) : gmx_read(s->p, got, sizeof got, GMX_FOREVER);
  while (s->status > 0 || (s->writes && s->status == GMX_OK));
}

/* Each side of each connection ends by the reset, and is closed. */
static void a_storm_of_resets_ends_all_calls(void) {
  enum { CONNECTIONS = 64, ROUNDS = 5 };
  static struct side sides[CONNECTIONS][2];
  uint64_t seed = (uint64_t)check_now();
  struct sockaddr_in at;
  gmx_poll l = own_fd(listener(&at, CONNECTIONS));
  for (int round = 0; round < ROUNDS; round++) {
    int far[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++) {
      gmx_poll p;
      far[i] = connect_to(&at);
      CHECK_OK(gmx_accept(l, &p, NULL, NULL, GMX_FOREVER));
      for (int k = 0; k < 2; k++) {
        sides[i][k].p = p;
        sides[i][k].writes = k;
        sides[i][k].g = go_joinable(uses_until_the_end, &sides[i][k]);
      }
      if (random_below(&seed, 2)) feed(far[i], "hello", 5);
      if (random_below(&seed, 4) == 0) CHECK_OK(gmx_yield());
    }
    for (int i = 0; i < CONNECTIONS; i++) {
      char some[1000];
      if (random_below(&seed, 2)) recv(far[i], some, sizeof some, MSG_DONTWAIT);
      close_by_reset(far[i]);
      if (random_below(&seed, 8) == 0) CHECK_OK(gmx_sleep(10000));
    }
    for (int i = 0; i < CONNECTIONS; i++) {
      for (int k = 0; k < 2; k++) {
        join(sides[i][k].g);
        gmx_status s = sides[i][k].status;
        /* The system tells of a reset once; then there is nothing to read, and nowhere to write to. */
        if (s != -ECONNRESET) CHECK_STATUS(s, k ? GMX_EPIPE : GMX_OK);
      }
      close_fd(sides[i][0].p);
    }
  }
  close_fd(l);
}

/* ---- peers that never read ---- */

struct speaker {
  struct pair pair;
  size_t done;
  gmx_status status;
  gmx_g g;
};

static void speaks(void *arg) {
  static const char much[8 << 20];
  struct speaker *s = (struct speaker *)arg;
  s->status = gmx_write(s->pair.p[0], much, sizeof much, GMX_FOREVER, &s->done);
}

static bool all_have_no_room(struct speaker *s, int n) {
  for (int i = 0; i < n; i++)
    if (!g_waits(s[i].g)) return false;
  return true;
}

/* Their writers wait, others go on, and a deadline ends each write with as many bytes as are in the system. */
static void peers_that_never_read_hold_only_their_writers(void) {
  enum { SPEAKERS = 40 };
  static struct speaker all[SPEAKERS];
  for (int i = 0; i < SPEAKERS; i++) {
    all[i].pair = pair_of(UNIX);
    all[i].g = go_joinable(speaks, &all[i]);
  }
  spin_until(all_have_no_room(all, SPEAKERS));
  struct pair echo = pair_of(TCP);
  for (int i = 0; i < 100; i++) {
    char byte = 0;
    CHECK_OK(gmx_write(echo.p[0], "e", 1, GMX_FOREVER, NULL));
    CHECK_EQ(gmx_read(echo.p[1], &byte, 1, GMX_FOREVER), 1);
  }
  pair_close(&echo);
  for (int i = 0; i < SPEAKERS; i++) {
    CHECK_OK(gmx_poll_set_deadline(all[i].pair.p[0], GMX_POLL_OUT, 0));
    join(all[i].g);
    CHECK_STATUS(all[i].status, GMX_ETIMEDOUT);
    CHECK_EQ(drain(all[i].pair.fd[1]), all[i].done);
    pair_close(&all[i].pair);
  }
}

/* ---- a lower limit ---- */

/* What is open works on, and what is new is refused until the limit is as before. */
static void a_lowered_limit_leaves_what_is_open(void) {
  struct pair pair = pair_of(TCP);
  struct sockaddr_in at;
  gmx_poll l = own_fd(listener(&at, 8)), conn = 0, p = 0;
  int client = connect_to(&at);
  char byte = 0;
  fds_none();
  CHECK_OK(gmx_write(pair.p[0], "x", 1, GMX_FOREVER, NULL));
  CHECK_EQ(gmx_read(pair.p[1], &byte, 1, GMX_FOREVER), 1);
  CHECK_STATUS(gmx_read(pair.p[1], &byte, 1, MS), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_accept(l, &conn, NULL, NULL, GMX_FOREVER), -EMFILE);
  CHECK_STATUS(gmx_listen_tcp("127.0.0.1", "0", NULL, &p), -EMFILE);
  CHECK_STATUS(gmx_dial("udp", "127.0.0.1", "9", NULL, GMX_FOREVER, &p), -EMFILE);
  CHECK(conn == 0 && p == 0);
  fds_again();
  CHECK_OK(gmx_accept(l, &conn, NULL, NULL, GMX_FOREVER));
  feed(client, "y", 1);
  CHECK_EQ(gmx_read(conn, &byte, 1, GMX_FOREVER), 1);
  close_fd(conn);
  close_fd(l);
  CHECK(close(client) == 0);
  pair_close(&pair);
}

/* ---- waits that do not spin ---- */

/* A writer without room beside a peer that writes no more, a reader without data, and a G that selects from a ticker:
 * only the ticks make Gs move. */
static void only_events_make_gs_move(void) {
  struct pair full = pair_of(TCP), empty = pair_of(UNIX);
  gmx_timer ticker;
  gmx_chan *ticks, *nothing_comes = chan_of(1, 0);
  CHECK(shutdown(full.fd[1], SHUT_WR) == 0);
  struct side writer = {.p = full.p[0], .writes = true}, reader = {.p = empty.p[0]};
  /* It writes until there is no room: the system makes more for TCP, and as much as it likes. */
  writer.g = go_joinable(uses_until_the_end, &writer);
  reader.g = go_joinable(uses_until_the_end, &reader);
  spin_until(g_waits(writer.g) && g_waits(reader.g));
  CHECK_OK(gmx_ticker_new(10 * MS, &ticker, &ticks));
  uint64_t before = sched_stats().switches;
  for (int i = 0; i < 20; i++) {
    int64_t when;
    char byte;
    size_t chosen = 9;
    gmx_select_case cases[] = {GMX_RECV(ticks, &when), GMX_RECV(nothing_comes, &byte)};
    CHECK_OK(gmx_select(cases, 2, GMX_FOREVER, &chosen));
    CHECK_EQ(chosen, 0);
  }
  CHECK_CMP(sched_stats().switches - before, <, 200);
  CHECK_EQ(timer_free(ticker), 1);
  CHECK_OK(gmx_chan_free(ticks));
  CHECK_OK(gmx_chan_free(nothing_comes));
  pair_close(&full);
  pair_close(&empty);
  join(writer.g);
  join(reader.g);
  CHECK_STATUS(writer.status, GMX_EBADF);
  CHECK_STATUS(reader.status, GMX_EBADF);
}

int main(void) {
  RUN_G(a_lowered_limit_leaves_what_is_open);
  RUN_G(a_storm_of_resets_ends_all_calls);
  RUN_G(peers_that_never_read_hold_only_their_writers);
  RUN_G(only_events_make_gs_move);
  RUN_G(ten_thousand_connections_are_open_at_a_time);
  ends_clean();
  return 0;
}
