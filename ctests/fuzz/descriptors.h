/* Descriptors, and the calls that wait for them: handles that are open, closed by another actor or never were, with
 * right and with wrong arguments. What is written to an eventfd is read as often; what an actor writes to a pair of its
 * own comes out; a handle that was closed stays closed; and no descriptor is left at the end. */
#ifndef GOMAX_FUZZ_DESCRIPTORS_H
#define GOMAX_FUZZ_DESCRIPTORS_H

#include "goroutines.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define FDS 24

static atomic_ullong fds[FDS]; /* handles, open or closed */
static atomic_ullong counter;     /* of an eventfd that counts */
static atomic_llong rung, heard;
static atomic_uint port; /* of some listener */

/* What the system may say of a call that does not fit its descriptor, or whose other end is gone. */
#define IO_ERRORS                                                                                                    \
  GMX_EBADF, GMX_EPIPE, GMX_EINVAL, GMX_EMSGSIZE, -ECONNRESET, -ENOTSOCK, -ESPIPE, -ENOTCONN, -EDESTADDRREQ, -EISDIR, \
      -EOPNOTSUPP, -EAFNOSUPPORT, -EISCONN, -ECONNREFUSED, -EPROTOTYPE, -ECONNABORTED, -EALREADY, -EADDRNOTAVAIL, -EFBIG

static gmx_status some(gmx_status s) { return s > 0 ? GMX_OK : s; }
/* A call that never waits. */
#define NEVER_WAITS(a, expr, ...) MAY(a, some(expr), GMX_OK, GMX_ENOMEM, DOWN(a), __VA_ARGS__)
#define TRANSFERS(a, expr) WAITS(a, some(expr), GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a), IO_ERRORS)
/* A call by a handle that names nothing. */
#define IS_STALE(a, expr) WAITS_ON(a, expr, GMX_EBADF, GMX_ENOMEM, DOWN(a))

/* Also one that never was. */
static gmx_poll descriptor(actor *a) {
  gmx_poll p = (gmx_poll)atomic_load(&fds[rnd(a, FDS)]);
  switch (rnd(a, 16)) {
    case 0: return 0;
    case 1: return next_random(&a->seed);
    case 2: return p ^ UINT64_C(1) << (48 + rnd(a, 16)); /* no other one that is open */
    case 3: return (gmx_poll)atomic_load(&counter);
    default: return p;
  }
}

/* ---- the life of a handle ---- */

/* Closes a handle that is the caller's alone. False: not here. */
static bool closes_own(actor *a, gmx_poll p) {
  gmx_status s = gmx_close(p);
  WAITS_ON(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
  if (s == GMX_OK && may_wait(a) == GMX_OK) IS_STALE(a, gmx_close(p));
  return s == GMX_OK;
}

/* Puts a new handle where others find it, and closes the one that was there. */
static void keeps(actor *a, gmx_poll p) {
  atomic_ullong *place = &fds[rnd(a, FDS)];
  gmx_poll before = (gmx_poll)atomic_exchange(place, p);
  if (before == 0) return;
  gmx_status s = gmx_close(before);
  WAITS_ON(a, s, GMX_OK, GMX_EBADF, GMX_ENOMEM, DOWN(a));
  unsigned long long now = p;
  if (s == GMX_OK || s == GMX_EBADF) return;
  /* It is still open, and needs a place. */
  while (!atomic_compare_exchange_weak(place, &now, before)) continue;
  if (now && now != before) atomic_store(&fds[rnd(a, FDS)], now);
}

static int raw(actor *a, int fd[2]) {
  fd[1] = -1;
  switch (rnd(a, 7)) {
    case 0: return pipe2(fd, O_CLOEXEC | (one_in(a, 2) ? O_NONBLOCK : 0));
    case 1: return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fd);
    case 2: return socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fd);
    case 3: return (fd[0] = eventfd((unsigned)rnd(a, 3), EFD_CLOEXEC | EFD_SEMAPHORE)) < 0 ? -1 : 0;
    case 4: return (fd[0] = memfd_create("fuzz", MFD_CLOEXEC)) < 0 ? -1 : 0;
    default: return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd);
  }
}

static void opens(actor *a) {
  int fd[2];
  gmx_poll p = 77;
  CHECK_EQ(raw(a, fd), 0);
  uint32_t flags = one_in(a, 8) ? (uint32_t)next_random(&a->seed) : one_in(a, 4) ? GMX_ACCEPT_PATIENT : 0;
  bool wrong = (flags & ~(uint32_t)(GMX_POLL_BORROW | GMX_ACCEPT_PATIENT)) != 0;
  if (flags & GMX_POLL_BORROW) flags &= ~(uint32_t)GMX_POLL_BORROW; /* the descriptor would have no owner */
  for (int i = 0; i < 2 && fd[i] >= 0; i++) {
    gmx_status s = gmx_poll_open(fd[i], flags, &p);
    if (wrong) IS(a, s, GMX_EINVAL);
    else MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
    if ((s == GMX_OK) != (p != 77)) LOST(a, "a handle is %#" PRIx64 ", and %s", p, gmx_err_name(s));
    if (s == GMX_OK) keeps(a, p);
    else CHECK(close(fd[i]) == 0);
    p = 77;
  }
  if (!one_in(a, 6)) return;
  MAY(a, gmx_poll_open(-1 - (int32_t)rnd(a, 9), 0, &p), GMX_EBADF, GMX_ENOMEM, DOWN(a));
  IS(a, gmx_poll_open(0, 0, NULL), GMX_EINVAL);
  IS(a, gmx_poll_open(0, 4, &p), GMX_EINVAL);
}

static void closes(actor *a) {
  gmx_poll p = descriptor(a);
  int32_t fd = -1;
  if (p == atomic_load(&counter)) return;
  if (one_in(a, 3)) {
    gmx_status s = gmx_poll_release(p, &fd);
    WAITS_ON(a, s, GMX_OK, GMX_EBADF, GMX_ENOMEM, DOWN(a));
    if ((s == GMX_OK) != (fd >= 0)) LOST(a, "released: %d, and %s", (int)fd, gmx_err_name(s));
    if (fd >= 0) CHECK(close(fd) == 0);
    if (s != GMX_OK) return;
  } else {
    gmx_status s = gmx_close(p);
    WAITS_ON(a, s, GMX_OK, GMX_EBADF, GMX_ENOMEM, DOWN(a));
    if (s != GMX_OK) return;
  }
  char byte;
  IS_STALE(a, gmx_close(p));
  IS_STALE(a, gmx_read(p, &byte, 1, GMX_FOREVER));
  MAY(a, gmx_poll_fd(p), GMX_EBADF, GMX_ENOMEM, DOWN(a));
}

/* ---- calls ---- */

static void transfers(actor *a) {
  gmx_poll p = descriptor(a);
  char bytes[900];
  size_t n = rnd(a, sizeof bytes), half = rnd(a, n + 1), done = ~(size_t)0;
  struct iovec v[] = {{bytes, half}, {bytes + half, n - half}}, parts[] = {{bytes, n}};
  struct msghdr msg = {.msg_iov = parts, .msg_iovlen = 1};
  struct mmsghdr many[] = {{.msg_hdr = msg}, {.msg_hdr = msg}};
  struct sockaddr_storage from;
  uint32_t len = sizeof from;
  int64_t t = one_in(a, 4) ? -wait_for(a) : wait_for(a);
  memset(bytes, 0, sizeof bytes);
  bytes[0] = (char)(n >= 8); /* of an eventfd: 1, or as many bytes as it refuses */
  if (p == atomic_load(&counter)) return;
  switch (rnd(a, 16)) {
    case 0: TRANSFERS(a, gmx_read(p, bytes, n, t)); break;
    case 1: TRANSFERS(a, gmx_readv(p, v, 2, t)); break;
    case 2: {
      gmx_status s = gmx_read_full(p, bytes, n, t, &done);
      TRANSFERS(a, s);
      if (s == GMX_OK && done != n) LOST(a, "all of %zu bytes are %zu", n, done);
      break;
    }
    case 3:
    case 4: {
      gmx_status s = one_in(a, 2) ? gmx_write(p, bytes, n, t, &done) : gmx_writev(p, v, 2, t, &done);
      TRANSFERS(a, s);
      if (s == GMX_OK && done != n) LOST(a, "all of %zu bytes are %zu", n, done);
      break;
    }
    case 5: TRANSFERS(a, gmx_recv(p, bytes, n, one_in(a, 4) ? MSG_PEEK : 0, t)); break;
    case 6: TRANSFERS(a, gmx_send(p, bytes, n, 0, t)); break;
    case 7: TRANSFERS(a, gmx_recvmsg(p, &msg, 0, t)); break;
    case 8: TRANSFERS(a, gmx_sendmsg(p, &msg, 0, t)); break;
    case 9: TRANSFERS(a, gmx_recvfrom(p, bytes, n, 0, NULL, NULL, t)); break;
    case 10: TRANSFERS(a, gmx_recvfrom(p, bytes, n, 0, (struct sockaddr *)&from, &len, t)); break;
    case 11: TRANSFERS(a, gmx_sendto(p, bytes, n, 0, NULL, 0, t)); break;
    case 12: TRANSFERS(a, gmx_recvmmsg(p, many, rnd(a, 3), 0, t)); break;
    case 13: TRANSFERS(a, gmx_sendmmsg(p, many, rnd(a, 3), 0, t)); break;
    case 14: {
      int32_t mine[2] = {one_in(a, 8) ? -1 : 2, 2};
      TRANSFERS(a, gmx_send_fds(p, mine, 1 + rnd(a, 2), bytes, n ? n : 1, t));
      break;
    }
    default: {
      int32_t theirs[2];
      size_t room = rnd(a, 3);
      gmx_status s = gmx_recv_fds(p, theirs, &room, bytes, n ? n : 1, t);
      TRANSFERS(a, s);
      if (s > 0)
        for (size_t i = 0; i < room; i++) CHECK(close(theirs[i]) == 0);
    }
  }
}

static void wrong_transfers(actor *a) {
  gmx_poll p = descriptor(a), q = 0;
  char byte;
  int32_t fd = 2;
  uint32_t ready;
  size_t n = 1, done;
  struct iovec v = {&byte, 1};
  struct sockaddr_in at;
  memset(&at, 0, sizeof at);
  switch (rnd(a, 4)) {
    case 0:
      IS(a, gmx_read(p, NULL, 1, 0), GMX_EINVAL);
      IS(a, gmx_read_full(p, NULL, 1, 0, &done), GMX_EINVAL);
      IS(a, gmx_write(p, NULL, 1, 0, &done), GMX_EINVAL);
      IS(a, gmx_readv(p, NULL, 1, 0), GMX_EINVAL);
      IS(a, gmx_readv(p, &v, -1, 0), GMX_EINVAL);
      IS(a, gmx_writev(p, NULL, 1, 0, &done), GMX_EINVAL);
      IS(a, gmx_writev(p, &v, INT32_MIN, 0, NULL), GMX_EINVAL);
      break;
    case 1:
      IS(a, gmx_recv(p, NULL, 1, 0, 0), GMX_EINVAL);
      IS(a, gmx_send(p, NULL, 1, 0, 0), GMX_EINVAL);
      IS(a, gmx_recvmsg(p, NULL, 0, 0), GMX_EINVAL);
      IS(a, gmx_sendmsg(p, NULL, 0, 0), GMX_EINVAL);
      IS(a, gmx_recvfrom(p, &byte, 1, 0, (struct sockaddr *)&at, NULL, 0), GMX_EINVAL);
      IS(a, gmx_sendto(p, NULL, 1, 0, NULL, 0, 0), GMX_EINVAL);
      IS(a, gmx_recvmmsg(p, NULL, 1, 0, 0), GMX_EINVAL);
      IS(a, gmx_sendmmsg(p, NULL, 1, 0, 0), GMX_EINVAL);
      break;
    case 2:
      IS(a, gmx_send_fds(p, NULL, 1, &byte, 1, 0), GMX_EINVAL);
      IS(a, gmx_send_fds(p, &fd, 254, &byte, 1, 0), GMX_EINVAL);
      IS(a, gmx_send_fds(p, &fd, 1, &byte, 0, 0), GMX_EINVAL);
      IS(a, gmx_recv_fds(p, NULL, &n, &byte, 1, 0), GMX_EINVAL);
      IS(a, gmx_recv_fds(p, &fd, NULL, &byte, 1, 0), GMX_EINVAL);
      IS(a, gmx_recv_fds(p, &fd, &n, &byte, 0, 0), GMX_EINVAL);
      IS(a, gmx_poll_many(NULL, 1, 0), GMX_EINVAL);
      break;
    default:
      IS(a, gmx_poll_wait(p, 0, 0, &ready), GMX_EINVAL);
      IS(a, gmx_poll_wait(p, GMX_POLL_HUP, 0, &ready), GMX_EINVAL);
      IS(a, gmx_poll_wait(p, GMX_POLL_IN, 0, NULL), GMX_EINVAL);
      IS(a, gmx_wait_fd(0, 2, 0, &ready), GMX_EINVAL);
      IS(a, gmx_wait_fd(0, GMX_POLL_IN, 0, NULL), GMX_EINVAL);
      IS(a, gmx_poll_set_deadline(p, 0, 0), GMX_EINVAL);
      IS(a, gmx_poll_set_deadline(p, 2, 0), GMX_EINVAL);
      IS(a, gmx_poll_release(p, NULL), GMX_EINVAL);
      IS(a, gmx_accept(p, NULL, NULL, NULL, 0), GMX_EINVAL);
      IS(a, gmx_accept(p, &q, (struct sockaddr *)&at, NULL, 0), GMX_EINVAL);
      IS(a, gmx_connect(p, NULL, sizeof at, 0), GMX_EINVAL);
  }
}

static void waits_ready(actor *a) {
  uint32_t events = 1 + (uint32_t)rnd(a, 3), ready = 0;
  events = (events & 1 ? GMX_POLL_IN : 0) | (events & 2 ? GMX_POLL_OUT : 0);
  gmx_poll p = descriptor(a);
  gmx_status s;
  switch (rnd(a, 5)) {
    case 0: {
      int fd = one_in(a, 4) ? -1 : eventfd((unsigned)rnd(a, 2), EFD_CLOEXEC);
      s = gmx_wait_fd(fd, events, wait_for(a), &ready);
      WAITS(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_EBADF, GMX_ENOMEM, DOWN(a));
      if (fd >= 0 && s == GMX_EBADF) LOST(a, "a descriptor that is open is none");
      if (fd >= 0) CHECK(close(fd) == 0);
      break;
    }
    case 1: {
      int fd[2];
      CHECK(pipe2(fd, O_CLOEXEC) == 0);
      struct pollfd all[] = {{fd[0], POLLIN, 1}, {-1, POLLIN, 1}, {fd[1], one_in(a, 2) ? POLLOUT : POLLIN, 1}, {fd[0], POLLIN, 1}};
      size_t n = rnd(a, 5);
      s = gmx_poll_many(all, n, wait_for(a));
      WAITS(a, some(s), GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
      if (s == 0 || s > 1) LOST(a, "%d of %zu descriptors are ready", (int)s, n);
      CHECK(close(fd[0]) == 0 && close(fd[1]) == 0);
      return;
    }
    case 2: {
      static const int64_t moments[] = {0, -1, INT64_MIN, INT64_MAX, INT64_MAX - 1};
      int64_t when = one_in(a, 2) ? GMX_FOREVER : one_in(a, 3) ? moments[rnd(a, 5)] : gmx_now() + wait_for(a);
      if (p == atomic_load(&counter)) return;
      MAY(a, gmx_poll_set_deadline(p, events, when), GMX_OK, GMX_EBADF, GMX_ENOMEM, DOWN(a));
      return;
    }
    default:
      s = gmx_poll_wait(p, events, wait_for(a), &ready);
      WAITS(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_EBADF, GMX_ENOMEM, DOWN(a));
  }
  if ((s == GMX_OK) != (ready != 0)) LOST(a, "a wait is %s, and the events %#x", gmx_err_name(s), ready);
}

/* ---- connections ---- */

static void listens(actor *a) {
  gmx_listen_opts o;
  struct sockaddr_in at;
  socklen_t size = sizeof at;
  memset(&o, 0, sizeof o);
  o.struct_size = one_in(a, 6) ? rnd(a, 9) : sizeof o;
  if (o.struct_size && o.struct_size < 8) {
    IS(a, gmx_listen_tcp("127.0.0.1", "0", &o, (gmx_poll *)&o), GMX_EINVAL);
    return;
  }
  o.flags = one_in(a, 4) ? (uint32_t)rnd(a, 64) : 0;
  gmx_poll p = 0;
  gmx_status s;
  char name[40];
  snprintf(name, sizeof name, "@gomax-fuzz-%d-%d", (int)getpid(), (int)rnd(a, 3));
  switch (rnd(a, 6)) {
    case 0: s = gmx_udp_open("127.0.0.1", "0", &o, &p); goto waits;
    case 1:
      s = gmx_listen_unix(name, &o, &p);
      MAY(a, s, GMX_OK, GMX_EINVAL, -EADDRINUSE, GMX_ENOMEM, DOWN(a));
      break;
    case 2:
      IS(a, gmx_listen_inherit(rnd(a, 9), &p), -ENOENT);
      IS(a, gmx_listen_tcp("127.0.0.1", NULL, NULL, &p), GMX_EINVAL);
      IS(a, gmx_listen_tcp("127.0.0.1", "0", NULL, NULL), GMX_EINVAL);
      IS(a, gmx_udp_open("127.0.0.1", "0", NULL, NULL), GMX_EINVAL);
      IS(a, gmx_listen_unix(NULL, NULL, &p), GMX_EINVAL);
      IS(a, gmx_listen_inherit(0, NULL), GMX_EINVAL);
      return;
    default: s = gmx_listen_tcp("127.0.0.1", "0", &o, &p);
    waits:
      /* musl has no EAI_ADDRFAMILY. */
      if (s != GMX_EINVAL) WAITS(a, s, GMX_OK, -EADDRNOTAVAIL, GMX_EAI_ADDRFAMILY, GMX_EAI_NONAME, GMX_ENOMEM, DOWN(a));
      if (s == GMX_OK && getsockname(gmx_poll_fd(p), (struct sockaddr *)&at, &size) == 0 && at.sin_family == AF_INET)
        atomic_store(&port, ntohs(at.sin_port));
  }
  if ((s == GMX_OK) != (p != 0)) LOST(a, "a listener is %#" PRIx64 ", and %s", p, gmx_err_name(s));
  if (p) keeps(a, p);
}

static void connects(actor *a) {
  struct sockaddr_in at;
  uint32_t len = sizeof at;
  gmx_poll p = descriptor(a), made = 0;
  gmx_status s;
  char number[8], name[40];
  memset(&at, 0, sizeof at);
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  at.sin_port = htons((uint16_t)atomic_load(&port));
  snprintf(number, sizeof number, "%u", atomic_load(&port));
  snprintf(name, sizeof name, "@gomax-fuzz-%d-%d", (int)getpid(), (int)rnd(a, 3));
  if (p == atomic_load(&counter)) return;
  switch (rnd(a, 8)) {
    case 0:
    case 1:
    case 2: s = gmx_accept(p, &made, NULL, NULL, 0); TRANSFERS(a, s); break;
    case 3: s = gmx_accept(p, &made, (struct sockaddr *)&at, &len, wait_for(a)); TRANSFERS(a, s); break;
    case 4: s = gmx_connect(p, (struct sockaddr *)&at, one_in(a, 4) ? (uint32_t)rnd(a, 200) : sizeof at, wait_for(a)); TRANSFERS(a, s); return;
    case 5: NEVER_WAITS(a, gmx_poll_shutdown(p, (int32_t)rnd(a, 4)), IO_ERRORS); return;
    case 6:
      IS(a, gmx_dial("tcp", "127.0.0.1", number, NULL, 0, NULL), GMX_EINVAL);
      IS(a, gmx_dial("carrier pigeon", "127.0.0.1", number, NULL, 0, &made), GMX_EINVAL);
      IS(a, gmx_dial("unix", NULL, NULL, NULL, 0, &made), GMX_EINVAL);
      return;
    default:
      if (one_in(a, 3)) s = gmx_dial("unix", name, NULL, NULL, wait_for(a), &made);
      else s = gmx_dial(one_in(a, 4) ? "udp" : "tcp", "127.0.0.1", number, NULL, wait_for(a), &made);
      WAITS(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_EAGAIN, GMX_ENOMEM, DOWN(a), IO_ERRORS);
  }
  if ((s == GMX_OK) != (made != 0)) LOST(a, "a connection is %#" PRIx64 ", and %s", made, gmx_err_name(s));
  if (made) keeps(a, made);
}

static atomic_int questions;

static void names(actor *a) {
  struct addrinfo *list = NULL, wrong;
  memset(&wrong, 0, sizeof wrong);
  wrong.ai_family = one_in(a, 2) ? AF_INET : 12345;
  if (one_in(a, 4)) IS(a, gmx_getaddrinfo("127.0.0.1", NULL, NULL, NULL, 0), GMX_EINVAL);
  bool number = !one_in(a, 8) || atomic_load(&questions) > 6;
  atomic_fetch_add(&questions, !number);
  gmx_status s = gmx_getaddrinfo(number ? one_in(a, 4) ? NULL : "127.0.0.1" : "localhost", one_in(a, 4) ? NULL : "80",
                                 one_in(a, 3) ? &wrong : NULL, &list, wait_for(a));
  WAITS(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_EAI_NONAME, GMX_EAI_FAMILY, GMX_EAI_SERVICE, GMX_ENOMEM, DOWN(a));
  if ((s == GMX_OK) != (list != NULL)) LOST(a, "a list of addresses is %p, and %s", (void *)list, gmx_err_name(s));
  if (list) freeaddrinfo(list);
  atomic_fetch_sub(&questions, !number);
}

/* ---- of which the effects are known ---- */

/* Each unit that was written to the eventfd is read once. */
static void counts_events(actor *a) {
  gmx_poll p = (gmx_poll)atomic_load(&counter);
  uint64_t n = 1 + rnd(a, 3);
  size_t done = 0;
  gmx_status s;
  if (one_in(a, 2)) {
    atomic_fetch_add(&rung, (long long)n);
    s = gmx_write(p, &n, sizeof n, wait_for(a), &done);
    WAITS(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a)); /* it may wait for its turn */
    if (s != GMX_OK) atomic_fetch_sub(&rung, (long long)n);
  } else {
    s = gmx_read(p, &n, sizeof n, wait_for(a));
    WAITS(a, some(s), GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
    if (s > 0) {
      if (s != sizeof n || n != 1) LOST(a, "%d bytes of an eventfd, and %" PRIu64, (int)s, n);
      atomic_fetch_add(&heard, 1);
    }
  }
}

/* No other actor knows this pair. */
static void my_own_pair(actor *a) {
  if (!a->g || a->sched || may_wait(a) != GMX_OK) return; /* the runtime stays up */
  int fd[2];
  gmx_poll p[2] = {0, 0};
  char out[600], in[600];
  size_t n = 1 + rnd(a, sizeof out), done = 0, got = 0;
  gmx_status s;
  CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
  for (int i = 0; i < 2; i++) MAY(a, gmx_poll_open(fd[i], 0, &p[i]), GMX_OK, GMX_ENOMEM);
  if (p[0] && p[1]) {
    for (size_t i = 0; i < n; i++) out[i] = (char)next_random(&a->seed);
    IS(a, gmx_poll_fd(p[0]), fd[0]);
    s = gmx_write(p[1], out, n, GMX_FOREVER, &done);
    MAY(a, s, GMX_OK, CANCELED(a));
    if ((s == GMX_OK) != (done == n)) LOST(a, "%zu of %zu bytes, and %s", done, n, gmx_err_name(s));
    while (got < done) {
      s = gmx_read(p[0], in + got, done - got, GMX_FOREVER);
      MAY(a, some(s), GMX_OK, CANCELED(a));
      if (s == 0) LOST(a, "the end after %zu of %zu bytes", got, done);
      if (s < 0) break;
      got += (size_t)s;
    }
    if (memcmp(in, out, got) != 0) LOST(a, "other bytes");
    if (got == done) {
      uint32_t ready = 0;
      MAY(a, gmx_read(p[0], in, 1, 0), GMX_ETIMEDOUT, CANCELED(a));
      IS(a, gmx_poll_set_deadline(p[1], GMX_POLL_OUT, 0), GMX_OK);
      MAY(a, gmx_write(p[1], out, 1, GMX_FOREVER, &done), GMX_ETIMEDOUT, CANCELED(a));
      IS(a, gmx_poll_set_deadline(p[1], GMX_POLL_OUT, GMX_FOREVER), GMX_OK);
      IS(a, gmx_poll_shutdown(p[1], SHUT_WR), GMX_OK);
      MAY(a, gmx_read(p[0], in, 1, GMX_FOREVER), 0, CANCELED(a));
      MAY(a, gmx_write(p[1], out, 1, GMX_FOREVER, &done), GMX_EPIPE, CANCELED(a));
      MAY(a, gmx_poll_wait(p[0], GMX_POLL_IN, GMX_FOREVER, &ready), GMX_OK, CANCELED(a));
    }
  }
  for (int i = 0; i < 2; i++)
    if (p[i]) CHECK(closes_own(a, p[i]));
    else CHECK(close(fd[i]) == 0);
}

static void descriptors(actor *a) {
  switch (rnd(a, 16)) {
    case 0:
    case 1: opens(a); break;
    case 2: closes(a); break;
    case 3: wrong_transfers(a); break;
    case 4: waits_ready(a); break;
    case 5: one_in(a, 3) ? listens(a) : connects(a); break;
    case 6: names(a); break;
    case 7: my_own_pair(a); break;
    case 8:
    case 9: counts_events(a); break;
    case 10: NEVER_WAITS(a, gmx_poll_fd(descriptor(a)), GMX_EBADF); break;
    default: transfers(a);
  }
}

/* ---- of a program ---- */

static void descriptors_begin(void) {
  gmx_poll p = 0;
  CHECK_OK(gmx_poll_open(eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC), 0, &p));
  atomic_store(&counter, p);
}

/* When no other actor is left. */
static void descriptors_end(actor *a) {
  uint64_t n;
  gmx_poll p = (gmx_poll)atomic_load(&counter);
  while (gmx_read(p, &n, sizeof n, 0) > 0) atomic_fetch_add(&heard, 1);
  if (atomic_load(&rung) != atomic_load(&heard)) LOST(a, "%lld were written, and %lld read", (long long)rung, (long long)heard);
  IS(a, gmx_close(p), GMX_OK);
  for (int i = 0; i < FDS; i++) {
    p = (gmx_poll)atomic_exchange(&fds[i], 0);
    if (p) MAY(a, gmx_close(p), GMX_OK, GMX_EBADF);
  }
}

#endif /* GOMAX_FUZZ_DESCRIPTORS_H */
