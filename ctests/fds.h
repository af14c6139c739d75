/*
 * Descriptors, and the calls that wait for them.
 *
 *   own_fd borrow_fd close_fd             a handle of a descriptor, and its end
 *   fd_shutdown                           shutdown(2) by a handle
 *   pair_of pair_close PAIR_KINDS         two connected ends: a pipe, a unix socket, TCP
 *   feed take drain fill                  the far end, by calls of the system that do not wait
 *   listener connect_to                   sockets of TCP on the loopback device
 *   WITH_SOME_PS                          runs tests with few Ps and with many
 *   open_fds more_fds fds_left fds_none   how many descriptors there are; how many there may be
 *   places place_start place_join         a function on a G, on a thread of the host, attached, in a callback
 *   fd_calls                              each call that waits, with what it waits for
 *
 * Each call of the interface here also checks that errno of the caller is what it was.
 */
#ifndef GOMAX_FDS_H
#define GOMAX_FDS_H

#include "gs.h"
#include "objects.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

/* ---- errno ---- */

/* Functions of their own: a compiler may keep the place of errno over a call after which the thread is another. */
#define FDS_ERRNO 4321
__attribute__((__noinline__)) CHECK_UNUSED static void errno_set(void) { errno = FDS_ERRNO; }
__attribute__((__noinline__)) CHECK_UNUSED static gmx_status errno_kept(gmx_status status, const char *call) {
  if (errno != FDS_ERRNO) FAIL("%s has set errno to %d (%s)", call, errno, gmx_err_name(status));
  return status;
}

/* A macro is not expanded again within itself. */
#define KEEPS_ERRNO(call, ...) (errno_set(), errno_kept(call(__VA_ARGS__), #call))
#define gmx_poll_open(...) KEEPS_ERRNO(gmx_poll_open, __VA_ARGS__)
#define gmx_poll_fd(...) KEEPS_ERRNO(gmx_poll_fd, __VA_ARGS__)
#define gmx_poll_wait(...) KEEPS_ERRNO(gmx_poll_wait, __VA_ARGS__)
#define gmx_poll_set_deadline(...) KEEPS_ERRNO(gmx_poll_set_deadline, __VA_ARGS__)
#define gmx_poll_release(...) KEEPS_ERRNO(gmx_poll_release, __VA_ARGS__)
#define gmx_close(...) KEEPS_ERRNO(gmx_close, __VA_ARGS__)
#define gmx_wait_fd(...) KEEPS_ERRNO(gmx_wait_fd, __VA_ARGS__)
#define gmx_read(...) KEEPS_ERRNO(gmx_read, __VA_ARGS__)
#define gmx_write(...) KEEPS_ERRNO(gmx_write, __VA_ARGS__)
#define gmx_readv(...) KEEPS_ERRNO(gmx_readv, __VA_ARGS__)
#define gmx_writev(...) KEEPS_ERRNO(gmx_writev, __VA_ARGS__)
#define gmx_recv(...) KEEPS_ERRNO(gmx_recv, __VA_ARGS__)
#define gmx_send(...) KEEPS_ERRNO(gmx_send, __VA_ARGS__)
#define gmx_recvmsg(...) KEEPS_ERRNO(gmx_recvmsg, __VA_ARGS__)
#define gmx_sendmsg(...) KEEPS_ERRNO(gmx_sendmsg, __VA_ARGS__)
#define gmx_recvfrom(...) KEEPS_ERRNO(gmx_recvfrom, __VA_ARGS__)
#define gmx_sendto(...) KEEPS_ERRNO(gmx_sendto, __VA_ARGS__)
#define gmx_read_full(...) KEEPS_ERRNO(gmx_read_full, __VA_ARGS__)
#define gmx_recvmmsg(...) KEEPS_ERRNO(gmx_recvmmsg, __VA_ARGS__)
#define gmx_sendmmsg(...) KEEPS_ERRNO(gmx_sendmmsg, __VA_ARGS__)
#define gmx_send_fds(...) KEEPS_ERRNO(gmx_send_fds, __VA_ARGS__)
#define gmx_recv_fds(...) KEEPS_ERRNO(gmx_recv_fds, __VA_ARGS__)
#define gmx_poll_many(...) KEEPS_ERRNO(gmx_poll_many, __VA_ARGS__)
#define gmx_listen_tcp(...) KEEPS_ERRNO(gmx_listen_tcp, __VA_ARGS__)
#define gmx_listen_unix(...) KEEPS_ERRNO(gmx_listen_unix, __VA_ARGS__)
#define gmx_listen_inherit(...) KEEPS_ERRNO(gmx_listen_inherit, __VA_ARGS__)
#define gmx_udp_open(...) KEEPS_ERRNO(gmx_udp_open, __VA_ARGS__)
#define gmx_getaddrinfo(...) KEEPS_ERRNO(gmx_getaddrinfo, __VA_ARGS__)
#define gmx_dial(...) KEEPS_ERRNO(gmx_dial, __VA_ARGS__)
#define gmx_connect(...) KEEPS_ERRNO(gmx_connect, __VA_ARGS__)
#define gmx_accept(...) KEEPS_ERRNO(gmx_accept, __VA_ARGS__)
#define fd_shutdown(...) KEEPS_ERRNO(gmx_poll_shutdown, __VA_ARGS__)

/* ---- Ps ---- */

CHECK_UNUSED static bool ps_of_turn(int turn) {
  static const int procs[] = {1, 2, 64};
  if (turn == sizeof procs / sizeof *procs) return false;
  CHECK_CMP(gmx_gomaxprocs(procs[turn]), >, 0);
  return true;
}

/* Runs what follows with 1, 2 and 64 Ps. */
#define WITH_SOME_PS for (int ps_turn = 0; ps_of_turn(ps_turn); ps_turn++)

/* ---- handles ---- */

#define FD_BOTH (GMX_POLL_IN | GMX_POLL_OUT)

CHECK_UNUSED static gmx_poll fd_with(int fd, uint32_t flags) {
  gmx_poll p = 0;
  CHECK_CMP(fd, >=, 0);
  CHECK_OK(gmx_poll_open(fd, flags, &p));
  CHECK(p != 0);
  CHECK_EQ(gmx_poll_fd(p), fd);
  return p;
}
CHECK_UNUSED static gmx_poll own_fd(int fd) { return fd_with(fd, 0); }
CHECK_UNUSED static gmx_poll borrow_fd(int fd) { return fd_with(fd, GMX_POLL_BORROW); }
CHECK_UNUSED static void close_fd(gmx_poll p) { CHECK_OK(gmx_close(p)); }

CHECK_UNUSED static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }
CHECK_UNUSED static long open_fds(void) { return count_entries("/proc/self/fd"); }

/* As many descriptors as the system allows. True: at least so many. */
CHECK_UNUSED static bool more_fds(rlim_t n) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  return limit.rlim_cur >= n;
}

/* Until fds_again the system gives at most so many descriptors more. */
CHECK_UNUSED static struct rlimit fds_before;
CHECK_UNUSED static void fds_left(int more) {
  CHECK(getrlimit(RLIMIT_NOFILE, &fds_before) == 0);
  int next = dup(0);
  CHECK_CMP(next, >=, 0);
  CHECK(close(next) == 0);
  struct rlimit few = {(rlim_t)(next + more), fds_before.rlim_max};
  CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
}
/* Until fds_again the system gives no descriptor, whichever numbers are free. */
CHECK_UNUSED static void fds_none(void) {
  CHECK(getrlimit(RLIMIT_NOFILE, &fds_before) == 0);
  struct rlimit none = {0, fds_before.rlim_max};
  CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
}
CHECK_UNUSED static void fds_again(void) { CHECK(setrlimit(RLIMIT_NOFILE, &fds_before) == 0); }

/* ---- sockets of TCP on the loopback device ---- */

CHECK_UNUSED static int new_socket(int domain, int type) {
  int fd = socket(domain, type | SOCK_CLOEXEC, 0);
  CHECK_CMP(fd, >=, 0);
  return fd;
}

CHECK_UNUSED static int listener(struct sockaddr_in *at, int backlog) {
  socklen_t size = sizeof *at;
  int fd = new_socket(AF_INET, SOCK_STREAM);
  memset(at, 0, sizeof *at);
  at->sin_family = AF_INET;
  at->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK(bind(fd, (struct sockaddr *)at, size) == 0 && listen(fd, backlog) == 0);
  CHECK(getsockname(fd, (struct sockaddr *)at, &size) == 0);
  return fd;
}

/* The backlog has room, so it does not wait. */
CHECK_UNUSED static int connect_to(const struct sockaddr_in *at) {
  int fd = new_socket(AF_INET, SOCK_STREAM);
  if (connect(fd, (const struct sockaddr *)at, sizeof *at) != 0) FAIL("connect: %s", strerror(errno));
  return fd;
}

/* What a peer gets whose process was killed. */
CHECK_UNUSED static void close_by_reset(int fd) {
  struct linger now = {1, 0};
  CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
  CHECK(close(fd) == 0);
}

/* ---- two connected ends ---- */

enum pair_kind { PIPE, UNIX, TCP, PAIR_KINDS };
CHECK_UNUSED static const char *const pair_names[] = {"pipe", "unix", "tcp"};

/* Of a pipe, fd[0] is the reading end. */
struct pair {
  int fd[2];
  gmx_poll p[2]; /* 0: there is no handle, fd is closed by pair_close */
};

CHECK_UNUSED static void fds_of(int fd[2], enum pair_kind kind) {
  if (kind == PIPE) CHECK(pipe2(fd, O_CLOEXEC) == 0);
  if (kind == UNIX) CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
  if (kind == TCP) {
    struct sockaddr_in at;
    int l = listener(&at, 1);
    fd[0] = connect_to(&at);
    CHECK_CMP(fd[1] = accept4(l, NULL, NULL, SOCK_CLOEXEC), >=, 0);
    CHECK(close(l) == 0);
  }
}

CHECK_UNUSED static struct pair pair_of(enum pair_kind kind) {
  struct pair pair;
  fds_of(pair.fd, kind);
  for (int i = 0; i < 2; i++) pair.p[i] = own_fd(pair.fd[i]);
  return pair;
}

CHECK_UNUSED static void pair_close(struct pair *pair) {
  for (int i = 0; i < 2; i++) {
    if (pair->p[i]) close_fd(pair->p[i]);
    else if (pair->fd[i] >= 0) CHECK(close(pair->fd[i]) == 0);
    pair->p[i] = 0;
    pair->fd[i] = -1;
  }
}

/* ---- the far end, which the library need not know ---- */

CHECK_UNUSED static bool is_ready(int fd, short events) {
  struct pollfd f = {fd, events, 0};
  return poll(&f, 1, 0) == 1 && (f.revents & events);
}

CHECK_UNUSED static void feed(int fd, const void *bytes, size_t n) { CHECK_EQ(write(fd, bytes, n), n); }

/* Waits for the bytes. */
CHECK_UNUSED static void take(int fd, void *bytes, size_t n) {
  for (size_t got = 0; got < n;) {
    spin_until(is_ready(fd, POLLIN));
    ssize_t more = read(fd, (char *)bytes + got, n - got);
    CHECK_CMP(more, >, 0);
    got += (size_t)more;
  }
}

/* Reads what there is; how much it was. */
CHECK_UNUSED static size_t drain(int fd) {
  static __thread char dropped[1 << 16];
  size_t all = 0;
  while (is_ready(fd, POLLIN)) {
    ssize_t n = read(fd, dropped, sizeof dropped);
    if (n <= 0) break;
    all += (size_t)n;
  }
  return all;
}

/* Writes until there is no room. The system may move bytes on meanwhile, so the second look comes later. */
CHECK_UNUSED static size_t fill(int fd) {
  static const char filling[1 << 12];
  size_t all = 0;
  int flags = fcntl(fd, F_GETFL), full = 0;
  CHECK(fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
  for (size_t piece = sizeof filling; full < 3;) {
    ssize_t n = write(fd, filling, piece);
    if (n > 0) all += (size_t)n, full = 0;
    else if (piece > 1) piece = 1;
    else full++, thread_nap(MS);
  }
  CHECK(fcntl(fd, F_SETFL, flags) == 0);
  return all;
}

/* ---- where a call is made ---- */

enum place { ON_G, ON_THREAD, ON_ATTACHED, IN_CALLBACK, PLACES };
CHECK_UNUSED static const char *const place_names[] = {"on a G", "on a thread", "on an attached thread", "in a callback"};

struct placed {
  void (*fn)(void *);
  void *arg;
  enum place place;
  gmx_g g;
  pthread_t thread;
};

CHECK_UNUSED static void place_callback(void *arg) {
  struct placed *at = (struct placed *)arg;
  at->fn(at->arg);
}

CHECK_UNUSED static void *place_thread(void *arg) {
  struct placed *at = (struct placed *)arg;
  if (at->place == IN_CALLBACK) CHECK_OK(gmx_callback(place_callback, at));
  else {
    if (at->place == ON_ATTACHED) CHECK_OK(gmx_attach_thread());
    at->fn(at->arg);
    if (at->place == ON_ATTACHED) CHECK_OK(gmx_detach_thread());
  }
  return NULL;
}

CHECK_UNUSED static void place_start(struct placed *at, enum place place, void (*fn)(void *), void *arg) {
  at->fn = fn;
  at->arg = arg;
  at->place = place;
  if (place == ON_G) at->g = go_joinable(fn, arg);
  else at->thread = thread_start(place_thread, at);
}

CHECK_UNUSED static void place_join(struct placed *at) {
  if (at->place == ON_G) join(at->g);
  else thread_join(at->thread);
}

/* ---- each call that waits ---- */

/* A connection, or a listener, in the state in which the call has to wait. */
struct fd_state {
  gmx_poll p;      /* the call's */
  int far;         /* the other end */
  gmx_poll result; /* accept's */
  struct sockaddr_in at;
};

struct fd_call {
  const char *name;
  uint32_t direction; /* GMX_POLL_IN or GMX_POLL_OUT */
  gmx_status wants;   /* what it returns after its event */
  void (*open)(struct fd_state *);
  gmx_status (*call)(struct fd_state *, int64_t timeout);
  void (*event)(struct fd_state *);
};

CHECK_UNUSED static void open_empty(struct fd_state *s) {
  int fd[2];
  fds_of(fd, UNIX);
  s->p = own_fd(fd[0]);
  s->far = fd[1];
}
CHECK_UNUSED static void open_full(struct fd_state *s) {
  int fd[2];
  fds_of(fd, UNIX);
  fill(fd[0]);
  s->p = own_fd(fd[0]);
  s->far = fd[1];
}
CHECK_UNUSED static void open_empty_pipe(struct fd_state *s) {
  int fd[2];
  fds_of(fd, PIPE);
  s->p = own_fd(fd[0]);
  s->far = fd[1];
}
CHECK_UNUSED static void open_full_pipe(struct fd_state *s) {
  int fd[2];
  fds_of(fd, PIPE);
  fill(fd[1]);
  s->p = own_fd(fd[1]);
  s->far = fd[0];
}
CHECK_UNUSED static void open_listener(struct fd_state *s) {
  s->p = own_fd(listener(&s->at, 8));
  s->far = -1;
}
CHECK_UNUSED static void comes(struct fd_state *s) { feed(s->far, "x", 1); }
CHECK_UNUSED static void leaves(struct fd_state *s) { CHECK_CMP(drain(s->far), >, 0); }
CHECK_UNUSED static void connects(struct fd_state *s) { s->far = connect_to(&s->at); }

CHECK_UNUSED static gmx_status x_came(gmx_status n, char byte) {
  if (n == 1) CHECK_EQ(byte, 'x');
  return n;
}
CHECK_UNUSED static gmx_status calls_read(struct fd_state *s, int64_t timeout) {
  char byte = 0;
  gmx_status n = gmx_read(s->p, &byte, 1, timeout);
  return x_came(n, byte);
}
CHECK_UNUSED static gmx_status calls_readv(struct fd_state *s, int64_t timeout) {
  char byte = 0, more;
  struct iovec v[] = {{&more, 0}, {&byte, 1}};
  gmx_status n = gmx_readv(s->p, v, 2, timeout);
  return x_came(n, byte);
}
CHECK_UNUSED static gmx_status calls_recv(struct fd_state *s, int64_t timeout) {
  char byte = 0;
  gmx_status n = gmx_recv(s->p, &byte, 1, 0, timeout);
  return x_came(n, byte);
}
CHECK_UNUSED static gmx_status calls_recvfrom(struct fd_state *s, int64_t timeout) {
  char byte = 0;
  gmx_status n = gmx_recvfrom(s->p, &byte, 1, 0, NULL, NULL, timeout);
  return x_came(n, byte);
}
CHECK_UNUSED static gmx_status calls_recvmsg(struct fd_state *s, int64_t timeout) {
  char byte = 0;
  struct iovec v = {&byte, 1};
  struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
  gmx_status n = gmx_recvmsg(s->p, &msg, 0, timeout);
  return x_came(n, byte);
}
CHECK_UNUSED static gmx_status calls_wait_in(struct fd_state *s, int64_t timeout) {
  uint32_t ready = 0;
  gmx_status status = gmx_poll_wait(s->p, GMX_POLL_IN, timeout, &ready);
  if (status == GMX_OK) CHECK(ready & (GMX_POLL_IN | GMX_POLL_HUP));
  return status;
}
CHECK_UNUSED static gmx_status calls_write(struct fd_state *s, int64_t timeout) {
  size_t done = ~(size_t)0;
  gmx_status status = gmx_write(s->p, "x", 1, timeout, &done);
  if (status != GMX_EBADF) CHECK_EQ(done, status == GMX_OK);
  return status;
}
CHECK_UNUSED static gmx_status calls_writev(struct fd_state *s, int64_t timeout) {
  struct iovec v[] = {{(void *)"", 0}, {(void *)"x", 1}};
  size_t done = ~(size_t)0;
  gmx_status status = gmx_writev(s->p, v, 2, timeout, &done);
  if (status != GMX_EBADF) CHECK_EQ(done, status == GMX_OK);
  return status;
}
CHECK_UNUSED static gmx_status calls_send(struct fd_state *s, int64_t timeout) {
  return gmx_send(s->p, "x", 1, 0, timeout);
}
CHECK_UNUSED static gmx_status calls_sendto(struct fd_state *s, int64_t timeout) {
  return gmx_sendto(s->p, "x", 1, 0, NULL, 0, timeout);
}
CHECK_UNUSED static gmx_status calls_sendmsg(struct fd_state *s, int64_t timeout) {
  struct iovec v = {(void *)"x", 1};
  struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
  return gmx_sendmsg(s->p, &msg, 0, timeout);
}
CHECK_UNUSED static gmx_status calls_read_full(struct fd_state *s, int64_t timeout) {
  char byte = 0;
  size_t done = 9;
  gmx_status status = gmx_read_full(s->p, &byte, 1, timeout, &done);
  CHECK_EQ(done, status == GMX_OK);
  return x_came(status == GMX_OK ? 1 : status, byte);
}
CHECK_UNUSED static gmx_status calls_recvmmsg(struct fd_state *s, int64_t timeout) {
  char byte = 0;
  struct iovec v = {&byte, 1};
  struct mmsghdr msg = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
  gmx_status n = gmx_recvmmsg(s->p, &msg, 1, 0, timeout);
  return x_came(n, byte);
}
CHECK_UNUSED static gmx_status calls_recv_fds(struct fd_state *s, int64_t timeout) {
  char byte = 0;
  int fd;
  size_t fds = 1;
  gmx_status n = gmx_recv_fds(s->p, &fd, &fds, &byte, 1, timeout);
  CHECK_EQ(fds, n != 1);
  return x_came(n, byte);
}
CHECK_UNUSED static gmx_status calls_sendmmsg(struct fd_state *s, int64_t timeout) {
  struct iovec v = {(void *)"x", 1};
  struct mmsghdr msg = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
  return gmx_sendmmsg(s->p, &msg, 1, 0, timeout);
}
CHECK_UNUSED static gmx_status calls_send_fds(struct fd_state *s, int64_t timeout) {
  return gmx_send_fds(s->p, &s->far, 1, "x", 1, timeout);
}
CHECK_UNUSED static gmx_status calls_wait_out(struct fd_state *s, int64_t timeout) {
  uint32_t ready = 0;
  gmx_status status = gmx_poll_wait(s->p, GMX_POLL_OUT, timeout, &ready);
  if (status == GMX_OK) CHECK(ready & GMX_POLL_OUT);
  return status;
}
CHECK_UNUSED static gmx_status calls_accept(struct fd_state *s, int64_t timeout) {
  return gmx_accept(s->p, &s->result, NULL, NULL, timeout);
}

static const struct fd_call fd_calls[] = {
    {"read", GMX_POLL_IN, 1, open_empty, calls_read, comes},
    {"read of a pipe", GMX_POLL_IN, 1, open_empty_pipe, calls_read, comes},
    {"readv", GMX_POLL_IN, 1, open_empty, calls_readv, comes},
    {"readv of a pipe", GMX_POLL_IN, 1, open_empty_pipe, calls_readv, comes},
    {"recv", GMX_POLL_IN, 1, open_empty, calls_recv, comes},
    {"recvfrom", GMX_POLL_IN, 1, open_empty, calls_recvfrom, comes},
    {"recvmsg", GMX_POLL_IN, 1, open_empty, calls_recvmsg, comes},
    {"wait for IN", GMX_POLL_IN, GMX_OK, open_empty, calls_wait_in, comes},
    {"accept", GMX_POLL_IN, GMX_OK, open_listener, calls_accept, connects},
    {"write", GMX_POLL_OUT, GMX_OK, open_full, calls_write, leaves},
    {"write to a pipe", GMX_POLL_OUT, GMX_OK, open_full_pipe, calls_write, leaves},
    {"writev", GMX_POLL_OUT, GMX_OK, open_full, calls_writev, leaves},
    {"writev to a pipe", GMX_POLL_OUT, GMX_OK, open_full_pipe, calls_writev, leaves},
    {"send", GMX_POLL_OUT, 1, open_full, calls_send, leaves},
    {"sendto", GMX_POLL_OUT, 1, open_full, calls_sendto, leaves},
    {"sendmsg", GMX_POLL_OUT, 1, open_full, calls_sendmsg, leaves},
    {"read_full", GMX_POLL_IN, 1, open_empty, calls_read_full, comes},
    {"read_full of a pipe", GMX_POLL_IN, 1, open_empty_pipe, calls_read_full, comes},
    {"recvmmsg", GMX_POLL_IN, 1, open_empty, calls_recvmmsg, comes},
    {"recv_fds", GMX_POLL_IN, 1, open_empty, calls_recv_fds, comes},
    {"sendmmsg", GMX_POLL_OUT, 1, open_full, calls_sendmmsg, leaves},
    {"send_fds", GMX_POLL_OUT, 1, open_full, calls_send_fds, leaves},
    {"wait for OUT", GMX_POLL_OUT, GMX_OK, open_full, calls_wait_out, leaves},
};
enum { FD_CALLS = sizeof fd_calls / sizeof *fd_calls };

CHECK_UNUSED static void state_open(struct fd_state *s, const struct fd_call *call) {
  memset(s, 0, sizeof *s);
  call->open(s);
}

/* A handle that is closed already is told by p == 0. */
CHECK_UNUSED static void state_close(struct fd_state *s) {
  if (s->p) close_fd(s->p);
  if (s->far >= 0) CHECK(close(s->far) == 0);
  if (s->result) close_fd(s->result);
}

/* ---- a call that waits somewhere ---- */

struct fd_waiter {
  const struct fd_call *call;
  struct fd_state *state;
  int64_t timeout;
  gmx_cancel token; /* 0: none */
  gmx_status status;
  int begun, done, thread;
  struct placed placed;
};

CHECK_UNUSED static void waits_for_fd(void *arg) {
  struct fd_waiter *w = (struct fd_waiter *)arg;
  gmx_cancel before;
  if (w->token) CHECK_OK(gmx_cancel_use(w->token, &before));
  store(&w->thread, thread_id());
  store(&w->begun, 1);
  gmx_status status = w->call->call(w->state, w->timeout);
  store(&w->status, status);
  store(&w->done, 1);
  if (w->token) CHECK_OK(gmx_cancel_use(before, NULL));
}

struct fd_looks_for {
  gmx_g g;
  bool waits;
};

CHECK_UNUSED static void fd_is_it(void *arg, const gmx_g_info *info) {
  struct fd_looks_for *look = (struct fd_looks_for *)arg;
  if (info->g == look->g) look->waits = info->status == GMX_G_WAITING;
}

/* Whether this G waits, for whatever it is. */
CHECK_UNUSED static bool g_waits(gmx_g g) {
  struct fd_looks_for look = {g, false};
  CHECK_OK(gmx_stop_the_world("look"));
  CHECK_OK(gmx_for_each_g(fd_is_it, &look));
  CHECK_OK(gmx_start_the_world());
  return look.waits;
}

/* Begins the call, and returns when it waits: of a G that is exact. A thread has at least begun; no test here depends
 * on more, since each is right too if the call comes after the event. */
CHECK_UNUSED static void wait_start(struct fd_waiter *w, enum place place, const struct fd_call *call, struct fd_state *s,
                                    int64_t timeout, gmx_cancel token) {
  memset(w, 0, sizeof *w);
  w->call = call;
  w->state = s;
  w->timeout = timeout;
  w->token = token;
  place_start(&w->placed, place, waits_for_fd, w);
  spin_until(load(&w->begun));
  if (place == ON_G) spin_until(load(&w->done) || g_waits(w->placed.g));
  else if (place == ON_THREAD) spin_until(load(&w->done) || thread_state(load(&w->thread)) == 'S');
}

CHECK_UNUSED static gmx_status wait_end(struct fd_waiter *w) {
  place_join(&w->placed);
  CHECK(w->done);
  return w->status;
}

#endif /* GOMAX_FDS_H */
