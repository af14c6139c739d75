/* timeout: 120 */
/* poll(2) for Gs: one wait for many descriptors, with the results of poll(2). */
#include "fds.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

/* ---- the results ---- */

/* For each kind of state, what the library says is what poll(2) says, in revents and in the count. */
static void the_results_are_those_of_poll(void) {
  enum { N = 12 };
  struct pair unix_ = pair_of(UNIX), tcp = pair_of(TCP), half = pair_of(TCP), gone = pair_of(UNIX);
  int pipe_[2], broken[2], file = memfd_create("file", MFD_CLOEXEC);
  fds_of(pipe_, PIPE);
  fds_of(broken, PIPE);
  CHECK(close(broken[0]) == 0);
  feed(unix_.fd[1], "x", 1);
  CHECK(shutdown(half.fd[1], SHUT_WR) == 0);
  spin_until(is_ready(half.fd[0], POLLIN));
  close_fd(gone.p[1]);
  gone.p[1] = 0, gone.fd[1] = -1;
  const int numbers[N] = {unix_.fd[0], unix_.fd[1], tcp.fd[0],  tcp.fd[1], half.fd[0], gone.fd[0],
                          pipe_[0],    pipe_[1],    broken[1], file,      -1,         1000000};
  const short events[] = {0,
                          POLLIN,
                          POLLOUT,
                          POLLIN | POLLOUT | POLLPRI,
                          POLLRDNORM | POLLWRNORM,
                          POLLRDHUP,
                          POLLIN | POLLRDHUP | POLLRDBAND | POLLWRBAND};
  for (int first = 0; first < N; first++)
    for (int n = 0; first + n <= N; n++)
      for (size_t e = 0; e < sizeof events / sizeof *events; e++) {
        struct pollfd want[N], got[N];
        for (int i = 0; i < n; i++) want[i] = got[i] = (struct pollfd){numbers[first + i], events[e], 0x55};
        int ready = poll(want, (nfds_t)n, 0);
        CHECK_STATUS(gmx_poll_many(got, (size_t)n, 0), ready ? ready : GMX_ETIMEDOUT);
        for (int i = 0; i < n; i++) CHECK_EQ(got[i].revents, want[i].revents);
        if (ready || n > 2) continue;
        CHECK_STATUS(gmx_poll_many(got, (size_t)n, 10000), GMX_ETIMEDOUT);
        for (int i = 0; i < n; i++) CHECK_EQ(got[i].revents, 0);
      }
  CHECK(close(pipe_[0]) == 0 && close(pipe_[1]) == 0 && close(broken[1]) == 0 && close(file) == 0);
  pair_close(&unix_), pair_close(&tcp), pair_close(&half), pair_close(&gone);
}

/* ---- a wait in each place ---- */

enum { CROWD = 1000 };

struct crowd {
  int near[CROWD], far[CROWD], n;
  int64_t timeout;
  gmx_cancel token;
  int begun, done;
  gmx_status status;
  int which; /* the entry that was ready */
};

static void crowd_open(struct crowd *c, int n) {
  memset(c, 0, sizeof *c);
  c->n = n;
  c->timeout = GMX_FOREVER;
  for (int i = 0; i < n; i++) {
    int fd[2];
    fds_of(fd, i % 3 == 1 ? PIPE : UNIX);
    c->near[i] = fd[0];
    c->far[i] = fd[1];
  }
}

static void crowd_close(struct crowd *c) {
  for (int i = 0; i < c->n; i++) CHECK(close(c->near[i]) == 0 && close(c->far[i]) == 0);
}

static void polls(void *arg) {
  struct crowd *c = arg;
  struct pollfd fds[CROWD];
  gmx_cancel before;
  for (int i = 0; i < c->n; i++) fds[i] = (struct pollfd){c->near[i], POLLIN, 0};
  if (c->token) CHECK_OK(gmx_cancel_use(c->token, &before));
  store(&c->begun, 1);
  c->status = gmx_poll_many(fds, (size_t)c->n, c->timeout);
  if (c->token) CHECK_OK(gmx_cancel_use(before, NULL));
  c->which = -1;
  if (c->status >= 0)
    for (int i = 0; i < c->n; i++)
      if (fds[i].revents) {
        CHECK_EQ(c->which, -1);
        CHECK_EQ(fds[i].revents, POLLIN);
        c->which = i;
      }
  store(&c->done, 1);
}

/* It waits: on a G that is seen, elsewhere it has at least begun. */
static void begins(struct crowd *c, struct placed *placed, int place) {
  store(&c->begun, 0);
  store(&c->done, 0);
  place_start(placed, place, polls, c);
  spin_until(load(&c->begun));
  if (place == ON_G) spin_until(g_waits(placed->g));
  CHECK(!load(&c->done));
}

static void one_of_many_is_found(void) {
  static struct crowd c;
  static const int sizes[] = {1, 2, 7, CROWD};
  for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++) {
    crowd_open(&c, sizes[size]);
    long before = open_fds();
    for (int place = 0; place < PLACES; place++) {
      struct placed placed;
      int which = (place + 1) * 293 % c.n;
      char byte;
      begins(&c, &placed, place);
      feed(c.far[which], "x", 1);
      place_join(&placed);
      CHECK_EQ(c.status, 1);
      CHECK_EQ(c.which, which);
      take(c.near[which], &byte, 1);
      c.timeout = MS;
      place_start(&placed, place, polls, &c);
      place_join(&placed);
      CHECK_STATUS(c.status, GMX_ETIMEDOUT);
      c.timeout = GMX_FOREVER;
      CHECK_EQ(open_fds(), before);
    }
    crowd_close(&c);
  }
}

static void a_token_ends_the_wait(void) {
  static struct crowd c;
  crowd_open(&c, 20);
  long before = open_fds();
  for (int place = 0; place < PLACES; place += ON_ATTACHED) { /* where a token can be used */
    struct placed placed;
    c.token = new_token(0, GMX_FOREVER);
    begins(&c, &placed, place);
    CHECK_OK(gmx_cancel_now(c.token));
    place_join(&placed);
    CHECK_STATUS(c.status, GMX_ECANCELED);
    place_start(&placed, place, polls, &c);
    place_join(&placed);
    CHECK_STATUS(c.status, GMX_ECANCELED);
    CHECK_OK(gmx_cancel_free(c.token));
    CHECK_EQ(open_fds(), before);
  }
  crowd_close(&c);
}

static void without_entries_it_waits(void) {
  struct pollfd none[2] = {{-1, POLLIN, 7}, {-5, POLLOUT, 7}};
  int64_t begin = gmx_now();
  CHECK_STATUS(gmx_poll_many(NULL, 0, 5 * MS), GMX_ETIMEDOUT);
  CHECK_CMP(gmx_now() - begin, >=, 5 * MS);
  begin = gmx_now();
  CHECK_STATUS(gmx_poll_many(none, 2, 5 * MS), GMX_ETIMEDOUT);
  CHECK_CMP(gmx_now() - begin, >=, 5 * MS);
  CHECK(none[0].revents == 0 && none[1].revents == 0);
  CHECK_STATUS(gmx_poll_many(NULL, 1, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_poll_many(NULL, 0, 0), GMX_ETIMEDOUT);
}

/* ---- the same descriptor in several hands ---- */

struct sharer {
  int fd, events, n, begun;
  gmx_status status;
};

static void polls_the_same(void *arg) {
  struct sharer *s = arg;
  struct pollfd fds[4];
  for (int i = 0; i < s->n; i++) fds[i] = (struct pollfd){s->fd, (short)s->events, 0};
  s->status = gmx_poll_many(fds, (size_t)s->n, GMX_FOREVER);
  for (int i = 0; i < s->n; i++) CHECK_EQ(fds[i].revents, s->events);
}

/* Several Gs wait for one number, which also has a handle with a reader, and one names it in several entries. */
static void one_number_may_be_waited_for_often(void) {
  enum { SHARERS = 6 };
  struct pair pair = pair_of(UNIX);
  struct sharer s[SHARERS];
  gmx_g g[SHARERS];
  uint32_t ready;
  CHECK_STATUS(gmx_poll_wait(pair.p[0], GMX_POLL_IN, MS, &ready), GMX_ETIMEDOUT);
  long before = open_fds();
  for (int i = 0; i < SHARERS; i++) {
    s[i] = (struct sharer){pair.fd[0], POLLIN, i % 4 + 1, 0, 0};
    g[i] = go_joinable(polls_the_same, &s[i]);
    spin_until(g_waits(g[i]));
  }
  CHECK_STATUS(gmx_poll_wait(pair.p[0], GMX_POLL_IN, MS, &ready), GMX_ETIMEDOUT);
  feed(pair.fd[1], "x", 1);
  join_all(g, SHARERS);
  for (int i = 0; i < SHARERS; i++) CHECK_EQ(s[i].status, s[i].n);
  CHECK_EQ(open_fds(), before);
  char byte;
  CHECK_EQ(gmx_read(pair.p[0], &byte, 1, GMX_FOREVER), 1);
  pair_close(&pair);
}

/* An entry that asks for reading is not ended by what can be written, and one that was ready before is not missed. */
static void other_events_do_not_end_the_wait(void) {
  struct pair pair = pair_of(TCP);
  struct pollfd at = {pair.fd[0], POLLIN, 0};
  CHECK_STATUS(gmx_poll_many(&at, 1, 5 * MS), GMX_ETIMEDOUT); /* it could be written to */
  at.events = POLLPRI;
  feed(pair.fd[1], "x", 1);
  CHECK_STATUS(gmx_poll_many(&at, 1, 5 * MS), GMX_ETIMEDOUT);
  at.events = 0;
  CHECK_STATUS(gmx_poll_many(&at, 1, 5 * MS), GMX_ETIMEDOUT);
  at.events = POLLPRI | POLLIN;
  CHECK_EQ(gmx_poll_many(&at, 1, GMX_FOREVER), 1);
  CHECK_EQ(at.revents, POLLIN);
  pair_close(&pair);
}

/* ---- many rounds ---- */

struct rounds {
  int ping, pong, n;
};

static void answers(void *arg) {
  struct rounds *r = arg;
  for (int i = 0; i < r->n; i++) {
    struct pollfd at[2] = {{r->pong, POLLIN, 0}, {r->ping, POLLIN, 0}};
    uint64_t v;
    CHECK_EQ(gmx_poll_many(at, 2, GMX_FOREVER), 1);
    CHECK_EQ(at[1].revents, POLLIN);
    CHECK_EQ(read(r->ping, &v, 8), 8);
    feed(r->pong, &v, 8);
    struct pollfd taken = {r->pong, POLLIN, 0};
    while (gmx_poll_many(&taken, 1, 0) == 1) CHECK_OK(gmx_yield());
  }
}

/* Each event ends a wait. */
static void no_event_is_lost(void) {
  enum { PAIRS = 4, ROUNDS = 200 };
  struct rounds r[PAIRS];
  gmx_g g[PAIRS];
  for (int i = 0; i < PAIRS; i++) {
    r[i] = (struct rounds){eventfd(0, EFD_CLOEXEC), eventfd(0, EFD_CLOEXEC), ROUNDS};
    CHECK(r[i].ping >= 0 && r[i].pong >= 0);
    g[i] = go_joinable(answers, &r[i]);
  }
  for (int round = 0; round < ROUNDS; round++)
    for (int i = 0; i < PAIRS; i++) {
      uint64_t v = 1;
      struct pollfd at = {r[i].pong, POLLIN, 0};
      feed(r[i].ping, &v, 8);
      CHECK_EQ(gmx_poll_many(&at, 1, GMX_FOREVER), 1);
      CHECK_EQ(read(r[i].pong, &v, 8), 8);
      CHECK_EQ(v, 1);
    }
  join_all(g, PAIRS);
  for (int i = 0; i < PAIRS; i++) CHECK(close(r[i].ping) == 0 && close(r[i].pong) == 0);
}

/* ---- signals ---- */

static int signals, looks_over;
static pthread_t looker;

static void counts_signal(int number) {
  (void)number;
  bump(&signals);
}

static void *sends_signals(void *unused) {
  while (!load(&looks_over)) {
    CHECK(pthread_kill(looker, SIGUSR1) == 0);
    sched_yield();
  }
  return unused;
}

/* The system ends even a look without a wait when a signal comes. That does not say that nothing is ready. */
static void *looks_among_signals(void *fd) {
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &one, NULL) == 0); /* a worker made this thread */
  looker = pthread_self();
  pthread_t sender = thread_start(sends_signals, NULL);
  for (int begin = load(&signals); load(&signals) - begin < 200;) {
    struct pollfd at = {*(int *)fd, POLLIN, 0};
    uint32_t ready = 0;
    CHECK_OK(gmx_wait_fd(at.fd, GMX_POLL_IN, 0, &ready));
    CHECK_EQ(gmx_poll_many(&at, 1, 0), 1);
  }
  store(&looks_over, 1);
  thread_join(sender);
  return NULL;
}

static void signals_hide_nothing(void) {
  struct sigaction act, before;
  int fd[2];
  memset(&act, 0, sizeof act);
  act.sa_handler = counts_signal;
  CHECK(sigaction(SIGUSR1, &act, &before) == 0);
  fds_of(fd, PIPE);
  feed(fd[1], "x", 1);
  store(&looks_over, 0);
  thread_join(thread_start(looks_among_signals, &fd[0]));
  CHECK(sigaction(SIGUSR1, &before, NULL) == 0);
  CHECK(close(fd[0]) == 0 && close(fd[1]) == 0);
}

/* There is no descriptor for a second watch of one number: a status, and nothing is left behind. */
static void without_descriptors_it_says_so(void) {
  int fd[2];
  fds_of(fd, UNIX);
  struct pollfd at[2] = {{fd[0], POLLIN, 0}, {fd[0], POLLIN, 0}};
  CHECK_STATUS(gmx_poll_many(at, 2, MS), GMX_ETIMEDOUT);
  long before = open_fds();
  fds_left(0);
  CHECK_STATUS(gmx_poll_many(at, 2, GMX_FOREVER), -EMFILE);
  CHECK_STATUS(gmx_poll_many(at, 1, MS), GMX_ETIMEDOUT);
  fds_again();
  CHECK_EQ(open_fds(), before);
  CHECK_STATUS(gmx_poll_many(at, 2, MS), GMX_ETIMEDOUT);
  CHECK(close(fd[0]) == 0 && close(fd[1]) == 0);
}

struct other_name {
  struct pollfd fd;
  gmx_status status;
};

static void waits_by_another_name(void *arg) {
  struct other_name *o = (struct other_name *)arg;
  o->status = gmx_poll_many(&o->fd, 1, GMX_FOREVER);
}

/* POLLRDNORM and POLLWRNORM say what POLLIN and POLLOUT say. */
static void events_have_other_names(void) {
  for (int out = 0; out < 2; out++) {
    int fd[2];
    fds_of(fd, UNIX);
    struct other_name o = {{fd[0], out ? POLLWRNORM : POLLRDNORM, 0}, 0};
    if (out) fill(fd[0]);
    gmx_g g = go_joinable(waits_by_another_name, &o);
    spin_until(g_waits(g));
    if (out) CHECK_CMP(drain(fd[1]), >, 0);
    else feed(fd[1], "x", 1);
    join(g);
    CHECK_STATUS(o.status, 1);
    CHECK_EQ(o.fd.revents, o.fd.events);
    CHECK(close(fd[0]) == 0 && close(fd[1]) == 0);
  }
}

int main(void) {
  CHECK(more_fds(4000));
  start_runtime(1, 0);
  WITH_SOME_PS {
    RUN_G(the_results_are_those_of_poll);
    RUN_G(one_of_many_is_found);
    RUN_G(a_token_ends_the_wait);
    RUN_G(without_entries_it_waits);
    RUN_G(one_number_may_be_waited_for_often);
    RUN_G(other_events_do_not_end_the_wait);
    RUN_G(events_have_other_names);
    RUN_G(no_event_is_lost);
    RUN_G(signals_hide_nothing);
    RUN_G(without_descriptors_it_says_so);
  }
  ends_clean();
  return 0;
}
