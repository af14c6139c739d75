/* timeout: 120 */
/* Connections: connect and accept, and what the system tells of peers, datagrams and passed descriptors. */
#include "fds.h"
#include "seed.h"

#include <sys/mman.h>
#include <sys/stat.h>

/* ---- connect ---- */

static gmx_status connects_to(gmx_poll p, const struct sockaddr_in *at, int64_t timeout) {
  return gmx_connect(p, (const struct sockaddr *)at, sizeof *at, timeout);
}

/* An address at which no socket listens. */
static struct sockaddr_in no_listener(void) {
  struct sockaddr_in at;
  CHECK(close(listener(&at, 1)) == 0);
  return at;
}

static void connects_somewhere(void *arg) {
  const struct sockaddr_in *open_ = arg;
  struct sockaddr_in closed = no_listener(), peer;
  socklen_t size = sizeof peer;
  gmx_poll p = own_fd(new_socket(AF_INET, SOCK_STREAM));
  CHECK_STATUS(connects_to(p, &closed, GMX_FOREVER), -ECONNREFUSED);
  close_fd(p);
  p = own_fd(new_socket(AF_INET, SOCK_STREAM));
  CHECK_OK(connects_to(p, open_, GMX_FOREVER));
  CHECK(getpeername(gmx_poll_fd(p), (struct sockaddr *)&peer, &size) == 0); /* it is there, not only under way */
  CHECK_EQ(peer.sin_port, open_->sin_port);
  CHECK_OK(connects_to(p, open_, GMX_FOREVER)); /* it is connected */
  CHECK_OK(gmx_write(p, "x", 1, GMX_FOREVER, NULL));
  close_fd(p);
}

static void a_connection_is_there_or_refused(void) {
  struct sockaddr_in at;
  int l = listener(&at, 64);
  for (int i = 0; i < 40; i++) {
    char byte = 0;
    struct placed placed;
    place_start(&placed, i % PLACES, connects_somewhere, &at);
    place_join(&placed);
    int fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
    CHECK_CMP(fd, >=, 0);
    take(fd, &byte, 1);
    CHECK_EQ(byte, 'x');
    CHECK(close(fd) == 0);
  }
  CHECK(close(l) == 0);
}

/* The system refuses it in the call itself: TCP has no broadcast. */
static void an_attempt_that_fails_at_once_tells_why(void) {
  struct sockaddr_in at;
  memset(&at, 0, sizeof at);
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_BROADCAST);
  at.sin_port = htons(9);
  int fd = new_socket(AF_INET, SOCK_STREAM);
  CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) != 0);
  gmx_status want = -errno;
  CHECK(close(fd) == 0);
  gmx_poll p = 0;
  CHECK_STATUS(gmx_dial("tcp", "255.255.255.255", "9", NULL, GMX_FOREVER, &p), want);
  CHECK_EQ(p, 0);
}

/* Refused and successful attempts at once, on numbers that are used again at once: an event of a refused one
 * must not end the wait of another before its connection is there. */
struct dialer {
  uint64_t seed;
  struct sockaddr_in open_, closed;
};
static void dials(void *arg) {
  struct dialer *d = arg;
  for (int i = 0; i < 300; i++) {
    bool works = random_below(&d->seed, 2);
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    gmx_poll p = own_fd(new_socket(AF_INET, SOCK_STREAM));
    CHECK_STATUS(connects_to(p, works ? &d->open_ : &d->closed, GMX_FOREVER), works ? GMX_OK : -ECONNREFUSED);
    if (works) {
      CHECK(getpeername(gmx_poll_fd(p), (struct sockaddr *)&peer, &size) == 0);
      close_by_reset(fcntl(gmx_poll_fd(p), F_DUPFD_CLOEXEC, 0));
    }
    close_fd(p);
  }
}

static void takes_and_drops(void *arg) {
  gmx_poll l = *(gmx_poll *)arg, p;
  for (gmx_status status; (status = gmx_accept(l, &p, NULL, NULL, GMX_FOREVER)) != GMX_EBADF;) {
    CHECK_OK(status);
    close_fd(p);
  }
}

static void refused_attempts_disturb_no_others(void) {
  enum { DIALERS = 6 };
  struct dialer d[DIALERS];
  gmx_g g[DIALERS + 1];
  struct sockaddr_in at;
  gmx_poll l = own_fd(listener(&at, 128));
  struct sockaddr_in closed = no_listener();
  g[DIALERS] = go_joinable(takes_and_drops, &l);
  for (int i = 0; i < DIALERS; i++) {
    d[i] = (struct dialer){(uint64_t)check_now() + (uint64_t)i, at, closed};
    g[i] = go_joinable(dials, &d[i]);
  }
  join_all(g, DIALERS);
  close_fd(l);
  join(g[DIALERS]);
}

/* A listener whose queue is full does not answer. */
static void connects_without_an_answer(void *arg) {
  struct sockaddr_in *at = arg;
  for (int how = 0; how < 4; how++) {
    gmx_poll p = own_fd(new_socket(AF_INET, SOCK_STREAM));
    gmx_cancel token = how == 1 ? new_token(0, 5 * MS) : 0;
    if (token) CHECK_OK(gmx_cancel_use(token, NULL));
    if (how == 2) CHECK_OK(gmx_poll_set_deadline(p, GMX_POLL_OUT, gmx_now() + 5 * MS));
    gmx_status status = connects_to(p, at, how == 0 ? 5 * MS : how == 3 ? 0 : GMX_FOREVER);
    CHECK_STATUS(status, how == 1 ? GMX_ECANCELED : GMX_ETIMEDOUT);
    if (token) {
      CHECK_OK(gmx_cancel_use(0, NULL));
      CHECK_OK(gmx_cancel_free(token));
    }
    close_fd(p);
  }
}

struct connecter {
  gmx_poll p;
  struct sockaddr_in at;
  gmx_status status;
};
static void connects_until_closed(void *arg) {
  struct connecter *c = arg;
  c->status = connects_to(c->p, &c->at, GMX_FOREVER);
}

static void an_attempt_without_an_answer_ends(void) {
  struct sockaddr_in at;
  int l = listener(&at, 0), waiting_[16], n = 0;
  for (;; n++) { /* until the queue is full */
    CHECK_CMP(n, <, 16);
    waiting_[n] = new_socket(AF_INET, SOCK_STREAM);
    CHECK(fcntl(waiting_[n], F_SETFL, O_NONBLOCK) == 0);
    CHECK(connect(waiting_[n], (struct sockaddr *)&at, sizeof at) == 0 || errno == EINPROGRESS);
    struct pollfd f = {waiting_[n], POLLOUT, 0};
    if (poll(&f, 1, 30) == 0) break;
  }
  long before = open_fds();
  struct placed placed;
  place_start(&placed, ON_G, connects_without_an_answer, &at);
  place_join(&placed);
  place_start(&placed, ON_ATTACHED, connects_without_an_answer, &at);
  place_join(&placed);
  for (int place = 0; place < PLACES; place++) {
    struct connecter c = {own_fd(new_socket(AF_INET, SOCK_STREAM)), at, 0};
    place_start(&placed, place, connects_until_closed, &c);
    if (place == ON_G) spin_until(count_waiting() == 1);
    CHECK_OK(gmx_close(c.p));
    place_join(&placed);
    CHECK_STATUS(c.status, GMX_EBADF);
  }
  CHECK_EQ(open_fds(), before);
  for (int i = 0; i <= n; i++) CHECK(close(waiting_[i]) == 0);
  CHECK(close(l) == 0);
}

/* ---- accept ---- */

static void an_accepted_descriptor_is_as_told(void) {
  struct sockaddr_in at, peer, me;
  gmx_poll l = own_fd(listener(&at, 8)), p = 0;
  for (int i = 0; i < 4; i++) {
    socklen_t size = sizeof peer, my_size = sizeof me;
    int fd = connect_to(&at);
    CHECK(getsockname(fd, (struct sockaddr *)&me, &my_size) == 0);
    if (i % 2) CHECK_OK(gmx_accept(l, &p, (struct sockaddr *)&peer, &size, GMX_FOREVER));
    else CHECK_OK(gmx_accept(l, &p, NULL, NULL, 0));
    int got = gmx_poll_fd(p);
    CHECK_CMP(got, >=, 0);
    CHECK(fcntl(got, F_GETFD) & FD_CLOEXEC);
    CHECK_EQ(fcntl(got, F_GETFL) & O_NONBLOCK, 0);
    if (i % 2) {
      CHECK_EQ(size, sizeof peer);
      CHECK_EQ(peer.sin_port, me.sin_port);
    }
    feed(fd, "x", 1);
    char byte = 0;
    CHECK_EQ(gmx_read(p, &byte, 1, GMX_FOREVER), 1);
    CHECK(close(fd) == 0);
    CHECK_EQ(gmx_read(p, &byte, 1, GMX_FOREVER), 0);
    close_fd(p);
    CHECK(!is_open(got));
  }
  CHECK_STATUS(gmx_accept(l, NULL, NULL, NULL, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_accept(l, &p, NULL, NULL, 0), GMX_ETIMEDOUT);
  close_fd(l);
  struct pair pair = pair_of(TCP);
  CHECK_STATUS(gmx_accept(pair.p[0], &p, NULL, NULL, GMX_FOREVER), GMX_EINVAL); /* as the system says */
  pair_close(&pair);
}

enum { ACCEPTORS = 100, CALLERS = 400 };
static int accepted, seen[CALLERS];

static void accepts(void *arg) {
  gmx_poll l = *(gmx_poll *)arg, p;
  for (gmx_status status; (status = gmx_accept(l, &p, NULL, NULL, GMX_FOREVER)) != GMX_EBADF;) {
    int number = -1;
    CHECK_OK(status);
    CHECK_EQ(gmx_read(p, &number, sizeof number, GMX_FOREVER), sizeof number);
    CHECK(number >= 0 && number < CALLERS);
    bump(&seen[number]);
    bump(&accepted);
    close_fd(p);
  }
}

/* With more acceptors than connections at a time. Then the listener is closed under those that are left. */
static void each_connection_is_accepted_once(void) {
  for (int own = 0; own < 2; own++) {
    struct sockaddr_in at;
    int fd = listener(&at, CALLERS);
    gmx_poll l = own ? own_fd(fd) : borrow_fd(fd);
    gmx_g g[ACCEPTORS];
    memset(seen, 0, sizeof seen);
    store(&accepted, 0);
    for (int i = 0; i < ACCEPTORS; i++) g[i] = go_joinable(accepts, &l);
    for (int i = 0; i < CALLERS; i++) {
      int c = connect_to(&at);
      feed(c, &i, sizeof i);
      CHECK(close(c) == 0);
      if (i % 50 == 0) spin_until(load(&accepted) == i + 1);
    }
    spin_until(load(&accepted) == CALLERS);
    for (int i = 0; i < CALLERS; i++) CHECK_EQ(seen[i], 1);
    if (!own) CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    CHECK_OK(gmx_close(l));
    join_all(g, ACCEPTORS);
    CHECK_EQ(is_open(fd), !own);
    if (!own) CHECK(close(fd) == 0);
  }
}

static void a_connection_that_was_reset_before_is_left_out(void) {
  struct sockaddr_in at;
  gmx_poll l = own_fd(listener(&at, 16));
  for (int i = 0; i < 20; i++) {
    gmx_poll p = 0;
    char byte = 0;
    close_by_reset(connect_to(&at));
    int fd = connect_to(&at);
    feed(fd, "x", 1);
    /* Linux hands over a connection that was reset; other systems may leave it out. */
    gmx_status n = -1;
    for (int tries = 0; tries < 2 && n != 1; tries++) {
      if (p) close_fd(p);
      CHECK_OK(gmx_accept(l, &p, NULL, NULL, GMX_FOREVER));
      n = gmx_read(p, &byte, 1, GMX_FOREVER);
      CHECK(n == 1 || n == -ECONNRESET || n == 0);
    }
    CHECK_EQ(n, 1);
    close_fd(p);
    CHECK(close(fd) == 0);
  }
  close_fd(l);
}

static void a_closed_listener_resets_its_queue(void) {
  struct sockaddr_in at;
  int fd[4];
  gmx_poll l = own_fd(listener(&at, 16));
  for (int i = 0; i < 4; i++) fd[i] = connect_to(&at);
  close_fd(l);
  for (int i = 0; i < 4; i++) {
    char byte;
    spin_until(is_ready(fd[i], POLLIN));
    ssize_t n = read(fd[i], &byte, 1);
    CHECK(n == 0 || (n < 0 && errno == ECONNRESET));
    CHECK(close(fd[i]) == 0);
  }
}

/* There is no descriptor for the connection. It stays in the queue, and a later call has it. */
static void without_descriptors_accept_says_so(void) {
  struct sockaddr_in at;
  gmx_poll l = own_fd(listener(&at, 16)), p = 0;
  int c = connect_to(&at);
  fds_left(0);
  for (int i = 0; i < 20; i++) CHECK_STATUS(gmx_accept(l, &p, NULL, NULL, GMX_FOREVER), -EMFILE);
  fds_again();
  CHECK_OK(gmx_accept(l, &p, NULL, NULL, GMX_FOREVER));
  CHECK_OK(gmx_write(p, "x", 1, GMX_FOREVER, NULL));
  char byte = 0;
  take(c, &byte, 1);
  close_fd(p);
  close_fd(l);
  CHECK(close(c) == 0);
}

struct patient {
  gmx_poll l, p;
  gmx_status status;
};
static void accepts_patiently(void *arg) {
  struct patient *x = arg;
  x->status = gmx_accept(x->l, &x->p, NULL, NULL, GMX_FOREVER);
}

/* A patient accept waits for a descriptor, as long as it may; and for no longer than there is none. */
static void a_patient_accept_waits_for_a_descriptor(void) {
  struct sockaddr_in at;
  struct patient x = {fd_with(listener(&at, 16), GMX_ACCEPT_PATIENT), 0, 0};
  int c = connect_to(&at);
  CHECK_STATUS(gmx_poll_set_deadline(x.l, GMX_POLL_IN, gmx_now() - 1), GMX_OK);
  CHECK_STATUS(gmx_accept(x.l, &x.p, NULL, NULL, GMX_FOREVER), GMX_ETIMEDOUT);
  CHECK_OK(gmx_poll_set_deadline(x.l, GMX_POLL_IN, GMX_FOREVER));
  fds_left(0);
  CHECK_STATUS(gmx_accept(x.l, &x.p, NULL, NULL, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_accept(x.l, &x.p, NULL, NULL, 2 * MS), GMX_ETIMEDOUT); /* in the first pause */
  CHECK_STATUS(gmx_accept(x.l, &x.p, NULL, NULL, 20 * MS), GMX_ETIMEDOUT);
  CHECK_OK(gmx_poll_set_deadline(x.l, GMX_POLL_IN, gmx_now() + 7 * MS));
  CHECK_STATUS(gmx_accept(x.l, &x.p, NULL, NULL, GMX_FOREVER), GMX_ETIMEDOUT);
  CHECK_OK(gmx_poll_set_deadline(x.l, GMX_POLL_IN, GMX_FOREVER));
  gmx_cancel token = new_token(0, 7 * MS);
  CHECK_OK(gmx_cancel_use(token, NULL));
  CHECK_STATUS(gmx_accept(x.l, &x.p, NULL, NULL, GMX_FOREVER), GMX_ECANCELED);
  CHECK_OK(gmx_cancel_use(0, NULL));
  CHECK_OK(gmx_cancel_free(token));
  for (int place = 0; place < PLACES; place++) {
    struct placed placed;
    place_start(&placed, place, accepts_patiently, &x);
    if (place == ON_G) spin_until(g_waits(placed.g));
    fds_again();
    place_join(&placed);
    CHECK_OK(x.status);
    close_fd(x.p);
    CHECK(close(c) == 0);
    c = connect_to(&at);
    fds_left(0);
  }
  struct placed placed;
  place_start(&placed, ON_G, accepts_patiently, &x);
  spin_until(g_waits(placed.g));
  close_fd(x.l);
  place_join(&placed);
  CHECK_STATUS(x.status, GMX_EBADF);
  fds_again();
  CHECK(close(c) == 0);
}

/* ---- clients and servers ---- */

struct exchange {
  struct sockaddr_in at;
  gmx_poll l;
  int answers;
};
static void answers_all(void *arg) {
  gmx_poll p = (gmx_poll)(uintptr_t)arg;
  char text[64];
  gmx_status n;
  while ((n = gmx_read(p, text, sizeof text, GMX_FOREVER)) > 0) CHECK_OK(gmx_write(p, text, (size_t)n, GMX_FOREVER, NULL));
  CHECK_EQ(n, 0);
  close_fd(p);
}
static void serves(void *arg) {
  struct exchange *x = arg;
  gmx_poll p;
  while (gmx_accept(x->l, &p, NULL, NULL, GMX_FOREVER) == GMX_OK) go(answers_all, (void *)(uintptr_t)p);
}
static void asks(void *arg) {
  struct exchange *x = arg;
  gmx_poll p = own_fd(new_socket(AF_INET, SOCK_STREAM));
  CHECK_OK(connects_to(p, &x->at, GMX_FOREVER));
  for (int i = 0; i < 20; i++) {
    int n = -1;
    CHECK_OK(gmx_write(p, &i, sizeof i, GMX_FOREVER, NULL));
    CHECK_EQ(gmx_read(p, &n, sizeof n, GMX_FOREVER), sizeof n);
    CHECK_EQ(n, i);
    bump(&x->answers);
  }
  close_fd(p);
}

static void clients_are_answered(void) {
  enum { CLIENTS = 200 };
  struct exchange x;
  gmx_g g[CLIENTS];
  long before = open_fds();
  memset(&x, 0, sizeof x);
  x.l = own_fd(listener(&x.at, CLIENTS));
  gmx_g server = go_joinable(serves, &x);
  for (int i = 0; i < CLIENTS; i++) g[i] = go_joinable(asks, &x);
  join_all(g, CLIENTS);
  CHECK_EQ(load(&x.answers), CLIENTS * 20);
  close_fd(x.l);
  join(server);
  spin_until(open_fds() <= before); /* the servers of single connections end by themselves */
}

/* ---- unix sockets ---- */

static void unix_sockets_have_names_and_credentials(void) {
  for (int type = 0; type < 2; type++) {
    struct sockaddr_un at;
    struct ucred peer;
    socklen_t size = sizeof peer, len;
    memset(&at, 0, sizeof at);
    at.sun_family = AF_UNIX;
    int n = snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "gomax-fd-net-%d-%d", (int)getpid(), type); /* abstract */
    len = (socklen_t)offsetof(struct sockaddr_un, sun_path) + 1 + (socklen_t)n;
    int fd = new_socket(AF_UNIX, type ? SOCK_SEQPACKET : SOCK_STREAM);
    CHECK(bind(fd, (struct sockaddr *)&at, len) == 0 && listen(fd, 4) == 0);
    gmx_poll l = own_fd(fd), p = 0, c = own_fd(new_socket(AF_UNIX, type ? SOCK_SEQPACKET : SOCK_STREAM));
    CHECK_OK(gmx_connect(c, (struct sockaddr *)&at, len, GMX_FOREVER));
    CHECK_OK(gmx_accept(l, &p, NULL, NULL, GMX_FOREVER));
    CHECK(getsockopt(gmx_poll_fd(p), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0);
    CHECK_EQ(peer.pid, getpid());
    char text[8];
    CHECK_OK(gmx_write(c, "ab", 2, GMX_FOREVER, NULL));
    CHECK_OK(gmx_write(c, "cde", 3, GMX_FOREVER, NULL));
    CHECK_EQ(gmx_read(p, text, sizeof text, GMX_FOREVER), type ? 2 : 5);
    close_fd(l);
    gmx_poll late = own_fd(new_socket(AF_UNIX, type ? SOCK_SEQPACKET : SOCK_STREAM));
    CHECK_STATUS(gmx_connect(late, (struct sockaddr *)&at, len, GMX_FOREVER), -ECONNREFUSED);
    close_fd(late);
    close_fd(c);
    close_fd(p);
  }
}

static gmx_status sends_fds(gmx_poll p, const int *fds, int n) {
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(8 * sizeof(int))];
  } control;
  struct iovec v = {(void *)"x", 1};
  struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control};
  msg.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
  memset(&control, 0, sizeof control);
  control.head.cmsg_level = SOL_SOCKET;
  control.head.cmsg_type = SCM_RIGHTS;
  control.head.cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
  memcpy(CMSG_DATA(&control.head), fds, (size_t)n * sizeof(int));
  return gmx_sendmsg(p, &msg, 0, GMX_FOREVER);
}

static void passed_descriptors_are_closed_by_exec(void) {
  struct pair pair = pair_of(UNIX);
  int fds[3], got[3];
  for (int i = 0; i < 3; i++) CHECK_CMP(fds[i] = memfd_create("passed", 0), >=, 0);
  CHECK_EQ(sends_fds(pair.p[0], fds, 3), 1);
  union {
    struct cmsghdr head;
    char room[CMSG_SPACE(3 * sizeof(int))];
  } control;
  char byte = 0;
  struct iovec v = {&byte, 1};
  struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  CHECK_EQ(gmx_recvmsg(pair.p[1], &msg, 0, GMX_FOREVER), 1);
  CHECK_EQ(control.head.cmsg_len, CMSG_LEN(3 * sizeof(int)));
  memcpy(got, CMSG_DATA(&control.head), sizeof got);
  for (int i = 0; i < 3; i++) {
    struct stat a, b;
    CHECK(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
    CHECK(fstat(got[i], &a) == 0 && fstat(fds[i], &b) == 0 && a.st_ino == b.st_ino);
    CHECK(close(got[i]) == 0);
  }
  /* There is room for one: the system says so, and the others are not open. */
  long before = open_fds();
  CHECK_EQ(sends_fds(pair.p[0], fds, 3), 1);
  msg.msg_controllen = CMSG_LEN(sizeof(int));
  CHECK_EQ(gmx_recvmsg(pair.p[1], &msg, 0, GMX_FOREVER), 1);
  CHECK(msg.msg_flags & MSG_CTRUNC);
  size_t here = control.head.cmsg_len > CMSG_LEN(0) ? (control.head.cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
  CHECK_EQ(open_fds() - before, here);
  memcpy(got, CMSG_DATA(&control.head), here * sizeof(int));
  for (size_t i = 0; i < here; i++) CHECK(close(got[i]) == 0);
  for (int i = 0; i < 3; i++) CHECK(close(fds[i]) == 0);
  pair_close(&pair);
}

/* ---- datagrams of UDP ---- */

static void datagrams_have_addresses(void) {
  struct sockaddr_in at[2], from;
  gmx_poll p[2];
  char text[16];
  for (int i = 0; i < 2; i++) {
    socklen_t size = sizeof at[i];
    int fd = new_socket(AF_INET, SOCK_DGRAM);
    memset(&at[i], 0, sizeof at[i]);
    at[i].sin_family = AF_INET;
    at[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(bind(fd, (struct sockaddr *)&at[i], size) == 0 && getsockname(fd, (struct sockaddr *)&at[i], &size) == 0);
    p[i] = own_fd(fd);
  }
  for (int i = 0; i < 6; i++) {
    socklen_t size = sizeof from;
    CHECK_EQ(gmx_sendto(p[0], "words", (size_t)i, 0, (struct sockaddr *)&at[1], sizeof at[1], GMX_FOREVER), i);
    CHECK_EQ(gmx_recvfrom(p[1], text, sizeof text, 0, (struct sockaddr *)&from, &size, GMX_FOREVER), i);
    CHECK_EQ(size, sizeof from);
    CHECK_EQ(from.sin_port, at[0].sin_port);
    CHECK(memcmp(text, "words", (size_t)i) == 0);
  }
  /* A refusal is told once. */
  close_fd(p[1]);
  CHECK_OK(gmx_connect(p[0], (struct sockaddr *)&at[1], sizeof at[1], GMX_FOREVER));
  CHECK_EQ(gmx_send(p[0], "x", 1, 0, GMX_FOREVER), 1);
  CHECK_STATUS(gmx_recv(p[0], text, sizeof text, 0, GMX_FOREVER), -ECONNREFUSED);
  CHECK_STATUS(gmx_recv(p[0], text, sizeof text, 0, 0), GMX_ETIMEDOUT);
  close_fd(p[0]);
}

int main(void) {
  CHECK(more_fds(1000));
  start_runtime(1, 0);
  WITH_SOME_PS {
    RUN_G(a_connection_is_there_or_refused);
    RUN_G(an_attempt_that_fails_at_once_tells_why);
    RUN_G(refused_attempts_disturb_no_others);
    RUN_G(an_attempt_without_an_answer_ends);
    RUN_G(an_accepted_descriptor_is_as_told);
    RUN_G(each_connection_is_accepted_once);
    RUN_G(a_connection_that_was_reset_before_is_left_out);
    RUN_G(a_closed_listener_resets_its_queue);
    RUN_G(without_descriptors_accept_says_so);
    RUN_G(a_patient_accept_waits_for_a_descriptor);
    RUN_G(clients_are_answered);
    RUN_G(unix_sockets_have_names_and_credentials);
    RUN_G(passed_descriptors_are_closed_by_exec);
    RUN_G(datagrams_have_addresses);
  }
  ends_clean();
  return 0;
}
