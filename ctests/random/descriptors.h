/* What actors do with descriptors of their own, and with a few that all of them use: an eventfd whose count comes back,
 * a listener that is replaced now and then, copies from one descriptor to another, and names. */
#ifndef GOMAX_RANDOM_DESCRIPTORS_H
#define GOMAX_RANDOM_DESCRIPTORS_H

#include "../files.h"
#include "actor.h"

#include <netdb.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

/* ---- an eventfd, without a handle ---- */

static int bell;
static atomic_llong rung, heard;

static void rings(actor *a) {
  uint64_t n = 1 + rnd(a, 3);
  CHECK_EQ(write(bell, &n, sizeof n), sizeof n);
  atomic_fetch_add(&rung, (long long)n);
}

/* A function of its own: see FDS_ERRNO. */
__attribute__((__noinline__)) static void hears_one(void) {
  uint64_t n = 0;
  ssize_t got = read(bell, &n, sizeof n);
  if (got < 0) {
    CHECK_EQ(errno, EAGAIN);
    return;
  }
  CHECK_EQ(n, 1);
  atomic_fetch_add(&heard, 1);
}

/* Beside a pipe of its own. */
static void hears(actor *a) {
  under token = {0, 0};
  uint32_t ready = 0;
  gmx_status s;
  if (rnd(a, 3) == 0) {
    token = token_begins(a);
    s = gmx_wait_fd(bell, GMX_POLL_IN, (int64_t)rnd(a, 200000), &ready);
    if (s == GMX_OK) CHECK(ready & GMX_POLL_IN);
  } else {
    int fd[2];
    fds_of(fd, PIPE);
    bool has = rnd(a, 2);
    if (has) feed(fd[1], "x", 1);
    struct pollfd all[] = {{bell, POLLIN, 0}, {-1, POLLIN, 7}, {fd[0], POLLIN, 0}, {fd[1], has ? 0 : POLLIN, 0}};
    token = token_begins(a);
    s = gmx_poll_many(all, 4, (int64_t)rnd(a, 200000));
    int n = 0;
    for (int i = 0; i < 4; i++) n += all[i].revents != 0;
    if (s >= 0) CHECK_EQ(n, s);
    if (s >= 0 && has) CHECK(all[2].revents & POLLIN);
    CHECK_EQ(all[1].revents, 0);
    CHECK(!has || s != GMX_ETIMEDOUT);
    CHECK(close(fd[0]) == 0 && close(fd[1]) == 0);
    if (s > 0) s = GMX_OK;
  }
  token_ends(token);
  if (s != GMX_OK && !(s == GMX_ECANCELED && token.token)) CHECK_STATUS(s, GMX_ETIMEDOUT);
  hears_one();
}

/* ---- a listener ---- */

static atomic_ullong listener_now; /* its handle */
static atomic_uint port_now;
static atomic_llong asked, answered;

static void listener_replace(void) {
  struct sockaddr_in at;
  socklen_t size = sizeof at;
  gmx_listen_opts o;
  memset(&o, 0, sizeof o);
  gmx_poll l = 0;
  CHECK_OK(gmx_listen_tcp("127.0.0.1", "0", &o, &l));
  CHECK(getsockname(gmx_poll_fd(l), (struct sockaddr *)&at, &size) == 0);
  atomic_store(&port_now, ntohs(at.sin_port));
  l = (gmx_poll)atomic_exchange(&listener_now, l);
  if (l) CHECK_OK(gmx_close(l));
}

static void answers(actor *a) {
  gmx_poll l = (gmx_poll)atomic_load(&listener_now), conn = 0;
  under token = token_begins(a);
  struct sockaddr_in at;
  uint32_t size = sizeof at;
  gmx_status s = gmx_accept(l, &conn, (struct sockaddr *)&at, &size, (int64_t)rnd(a, 300000));
  token_ends(token);
  if (s != GMX_OK) {
    CHECK(s == GMX_ETIMEDOUT || (s == GMX_EBADF && l != atomic_load(&listener_now)) || (s == GMX_ECANCELED && token.token));
    return;
  }
  CHECK(size == sizeof at && at.sin_family == AF_INET && at.sin_port != 0);
  uint64_t ticket = 0;
  size_t done = 0;
  s = gmx_read_full(conn, &ticket, sizeof ticket, 5 * MS, &done);
  if (s == GMX_OK) {
    ticket = ticket * 3 + 1;
    s = gmx_write(conn, &ticket, sizeof ticket, 5 * MS, &done);
    CHECK(s == GMX_OK || s == GMX_EPIPE || s == -ECONNRESET);
    if (s == GMX_OK) atomic_fetch_add(&answered, 1);
  } else {
    CHECK(s == GMX_ETIMEDOUT || s == GMX_EPIPE || s == -ECONNRESET);
  }
  close_fd(conn);
}

static void asks(actor *a) {
  struct sockaddr_in at;
  memset(&at, 0, sizeof at);
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons((uint16_t)atomic_load(&port_now));
  gmx_poll conn = 0;
  under token = token_begins(a);
  int64_t timeout = (int64_t)rnd(a, 2 * MS);
  gmx_status s;
  if (rnd(a, 2)) {
    char port[8];
    snprintf(port, sizeof port, "%d", ntohs(at.sin_port));
    s = gmx_dial("tcp", "127.0.0.1", port, NULL, timeout, &conn);
    if (s != GMX_OK) CHECK_EQ(conn, 0);
  } else {
    conn = own_fd(new_socket(AF_INET, SOCK_STREAM));
    s = gmx_connect(conn, (const struct sockaddr *)&at, sizeof at, timeout);
  }
  if (s == GMX_OK) {
    uint64_t ticket = rnd(a, UINT64_C(1) << 40), mine = ticket;
    size_t done = 0;
    s = gmx_write(conn, &ticket, sizeof ticket, timeout, &done);
    if (s == GMX_OK) s = gmx_read_full(conn, &ticket, sizeof ticket, timeout, &done);
    if (s == GMX_OK) {
      CHECK_EQ(ticket, mine * 3 + 1);
      atomic_fetch_add(&asked, 1);
    }
  }
  token_ends(token);
  bool may = s == GMX_OK || s == GMX_ETIMEDOUT || (s == GMX_ECANCELED && token.token) || s == -ECONNREFUSED ||
             s == -ECONNRESET || s == GMX_EPIPE || s == -EADDRNOTAVAIL; /* the listener was replaced; no port is free */
  if (!may) FAIL("a question to the listener ends with %s", gmx_err_name(s));
  if (conn == 0) return;
  struct linger now = {1, 0}; /* its port is free at once */
  CHECK(setsockopt(gmx_poll_fd(conn), SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
  close_fd(conn);
}

/* ---- a copy from one pair to another, or from or to a file ---- */

static void copies(actor *a) {
  struct pair from = {{-1, -1}, {0, 0}}, to;
  enum { ROOM = 4000 };
  unsigned char bytes[ROOM], got[ROOM];
  size_t n = rnd(a, ROOM), all = 0;
  uint64_t done = ~(uint64_t)0;
  bool from_file = rnd(a, 4) == 0, ends = rnd(a, 2);
  fill_random(bytes, n, a->seed);
  to = pair_of((enum pair_kind)rnd(a, PAIR_KINDS));
  if (from_file) {
    from.p[0] = own_fd(memfd_create("random", MFD_CLOEXEC));
    CHECK_EQ(pwrite(gmx_poll_fd(from.p[0]), bytes, n, 0), n);
    ends = true;
  } else {
    from = pair_of((enum pair_kind)rnd(a, PAIR_KINDS));
    feed(from.fd[1], bytes, n);
    if (ends) close_fd(from.p[1]);
  }
  under token = token_begins(a);
  int64_t timeout = (int64_t)rnd(a, 300000) - 1;
  gmx_status s = gmx_copy(from.p[0], to.p[1], ends && rnd(a, 2) ? UINT64_MAX : n, &done, timeout);
  token_ends(token);
  CHECK_CMP(done, <=, n);
  if (s == GMX_OK) CHECK_EQ(done, n);
  else CHECK(s == GMX_ETIMEDOUT || (s == GMX_ECANCELED && token.token));
  close_fd(to.p[1]);
  for (gmx_status more; (more = gmx_read(to.p[0], got + all, ROOM - all, 5 * SECOND)) != 0; all += (size_t)more) CHECK_CMP(more, >, 0);
  CHECK_EQ(all, done);
  same_bytes(got, bytes, all);
  close_fd(to.p[0]);
  close_fd(from.p[0]);
  if (!ends) close_fd(from.p[1]);
}

/* ---- names ---- */

static atomic_int askers;

static void looks_up(actor *a) {
  struct addrinfo *list = NULL;
  bool number = rnd(a, 4);
  if (!number && atomic_fetch_add(&askers, 1) > 8) number = true, atomic_fetch_sub(&askers, 1);
  under token = token_begins(a);
  int64_t timeout = rnd(a, 2) ? (int64_t)rnd(a, MS) : 10 * SECOND;
  gmx_status s = gmx_getaddrinfo(number ? "127.0.0.1" : "localhost", rnd(a, 2) ? "80" : NULL, NULL, &list, timeout);
  token_ends(token);
  if (s == GMX_OK) {
    CHECK(list != NULL && list->ai_addr != NULL);
    freeaddrinfo(list);
  } else {
    CHECK(list == NULL && !number);
    CHECK(s == GMX_ETIMEDOUT || (s == GMX_ECANCELED && token.token));
  }
  if (!number) atomic_fetch_sub(&askers, 1);
}

/* ---- of a round ---- */

static void descriptors_begin(void) {
  CHECK_CMP(bell = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC), >=, 0);
  atomic_store(&rung, 0);
  atomic_store(&heard, 0);
  atomic_store(&asked, 0);
  atomic_store(&answered, 0);
  atomic_store(&listener_now, 0);
  listener_replace();
}

static void descriptors_end(void) {
  uint64_t n;
  while (read(bell, &n, sizeof n) > 0) atomic_fetch_add(&heard, (long long)n);
  CHECK_EQ(heard, rung);
  CHECK(close(bell) == 0);
  CHECK_CMP(asked, <=, answered);
  close_fd((gmx_poll)atomic_load(&listener_now));
}

#endif /* GOMAX_RANDOM_DESCRIPTORS_H */
