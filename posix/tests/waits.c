/* Each function parks its G: on one P, without slices, the G that makes the event can run only if the P is free. */
#include "shim.h"

#include <netdb.h>
#include <poll.h>
#include <sys/select.h>
#include <sys/uio.h>

int __poll_chk(struct pollfd *, nfds_t, int, size_t);
int __ppoll_chk(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *, size_t);
ssize_t __read_chk(int, void *, size_t, size_t);
ssize_t __recv_chk(int, void *, size_t, size_t, int);
ssize_t __recvfrom_chk(int, void *, size_t, size_t, int, struct sockaddr *, socklen_t *);

/* ---- readers: each gets one byte from a pair of one kind ---- */

static int fd[2];
static char got[4];

static ssize_t by_recv(void) { return recv(fd[0], got, sizeof got, 0); }
static ssize_t by_recv_all(void) { return recv(fd[0], got, 1, MSG_WAITALL); }
static ssize_t by_recv_chk(void) { return __recv_chk(fd[0], got, 4, sizeof got, 0); }
static ssize_t by_recvfrom(void) { return recvfrom(fd[0], got, sizeof got, 0, NULL, NULL); }
static ssize_t by_recvfrom_chk(void) { return __recvfrom_chk(fd[0], got, 4, sizeof got, 0, NULL, NULL); }
static ssize_t by_recvmsg(void) {
  struct iovec v = {got, sizeof got};
  struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
  return recvmsg(fd[0], &msg, 0);
}
static ssize_t by_read(void) { return read(fd[0], got, sizeof got); }
static ssize_t by_read_chk(void) { return __read_chk(fd[0], got, 4, sizeof got); }
static ssize_t by_readv(void) {
  struct iovec v[2] = {{got, 1}, {got + 1, 3}};
  return readv(fd[0], v, 2);
}
static ssize_t after(int ready, bool is_in) {
  CHECK_EQ(ready, 1);
  CHECK(is_in);
  return recv(fd[0], got, sizeof got, MSG_DONTWAIT);
}
static ssize_t by_poll(void) {
  struct pollfd f = {fd[0], POLLIN, 0};
  int n = poll(&f, 1, -1);
  return after(n, f.revents == POLLIN);
}
static ssize_t by_poll_chk(void) {
  struct pollfd f = {fd[0], POLLIN, 0};
  int n = __poll_chk(&f, 1, 1000000, sizeof f);
  return after(n, f.revents == POLLIN);
}
static ssize_t by_ppoll(void) {
  struct pollfd f[2] = {{-1, POLLIN, 7}, {fd[0], POLLIN, 0}};
  struct timespec hour = {3600, 0};
  int n = ppoll(f, 2, &hour, NULL);
  CHECK_EQ(f[0].revents, 0);
  return after(n, f[1].revents == POLLIN);
}
static ssize_t by_ppoll_chk(void) {
  struct pollfd f = {fd[0], POLLIN, 0};
  int n = __ppoll_chk(&f, 1, NULL, NULL, sizeof f);
  return after(n, f.revents == POLLIN);
}
static ssize_t by_ppoll_mask(void) {
  struct pollfd f = {fd[0], POLLIN, 0};
  sigset_t none;
  sigemptyset(&none);
  int n = ppoll(&f, 1, NULL, &none);
  return after(n, f.revents == POLLIN);
}
static ssize_t by_select(void) {
  fd_set in, out;
  struct timeval hour = {3600, 0};
  FD_ZERO(&in);
  FD_ZERO(&out);
  FD_SET(fd[0], &in);
  int n = select(fd[0] + 1, &in, &out, NULL, &hour);
  CHECK(hour.tv_sec < 3600);
  return after(n, FD_ISSET(fd[0], &in));
}
static ssize_t by_pselect(void) {
  fd_set in;
  FD_ZERO(&in);
  FD_SET(fd[0], &in);
  int n = pselect(fd[0] + 1, &in, NULL, NULL, NULL, NULL);
  return after(n, FD_ISSET(fd[0], &in));
}

struct reader {
  const char *name;
  ssize_t (*call)(void);
  bool pipes;
  bool parks; /* or takes its thread, without the P */
};
static const struct reader readers[] = {
    {"recv", by_recv, false, true},
    {"recv all", by_recv_all, false, true},
    {"recv_chk", by_recv_chk, false, true},
    {"recvfrom", by_recvfrom, false, true},
    {"recvfrom_chk", by_recvfrom_chk, false, true},
    {"recvmsg", by_recvmsg, false, true},
    {"read", by_read, true, true},
    {"read_chk", by_read_chk, true, true},
    {"readv", by_readv, true, true},
    {"poll", by_poll, false, true},
    {"poll_chk", by_poll_chk, false, true},
    {"ppoll", by_ppoll, false, true},
    {"ppoll_chk", by_ppoll_chk, false, true},
    {"ppoll with a mask", by_ppoll_mask, false, false},
    {"select", by_select, false, true},
    {"pselect", by_pselect, false, true},
};
static const struct reader *reader;
static int done;

static void reads(void *unused) {
  (void)unused;
  set_errno(4321);
  ssize_t n = reader->call();
  if (n != 1 || got[0] != 'x') FAIL("%s: %d", reader->name, (int)n);
  CHECK_EQ(last_errno(), 4321);
  store(&done, 1);
}

static void each_reader_parks(void) {
  for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
    for (enum pair_kind kind = PIPE; kind < PAIR_KINDS; kind++) {
      reader = &readers[i];
      if (kind == PIPE && !reader->pipes) continue;
      shim_pair(fd, kind);
      int flags = fcntl(fd[0], F_GETFL);
      store(&done, 0);
      got[0] = 0;
      gmx_g g = go_joinable(reads, NULL);
      if (reader->parks) {
        when_waiting(1);
      }
      CHECK_EQ(load(&done), 0);
      CHECK_EQ(write(fd[1], "x", 1), 1);
      join(g);
      CHECK_EQ(fcntl(fd[0], F_GETFL), flags);
      close(fd[0]);
      close(fd[1]);
    }
  }
}

/* ---- writers: each sends more than there is room for, and the reader gets all of it ---- */

enum { MUCH = 3 << 20, THIRD = MUCH / 3 };
static char *bytes;

static ssize_t by_send(void) { return send(fd[1], bytes, MUCH, 0); }
static ssize_t by_sendto(void) { return sendto(fd[1], bytes, MUCH, 0, NULL, 0); }
static ssize_t by_write(void) { return write(fd[1], bytes, MUCH); }
static ssize_t by_writev(void) {
  struct iovec v[4] = {{bytes, THIRD}, {NULL, 0}, {bytes + THIRD, THIRD}, {bytes + 2 * THIRD, THIRD}};
  return writev(fd[1], v, 4);
}
static ssize_t by_sendmsg(void) {
  struct iovec v[3] = {{bytes, 1}, {bytes + 1, THIRD}, {bytes + 1 + THIRD, MUCH - 1 - THIRD}};
  struct msghdr msg = {.msg_iov = v, .msg_iovlen = 3};
  return sendmsg(fd[1], &msg, 0);
}
static ssize_t by_poll_out(void) {
  for (ssize_t sent = 0; sent < MUCH;) {
    struct pollfd f = {fd[1], POLLOUT, 0};
    CHECK_EQ(poll(&f, 1, -1), 1);
    ssize_t n = send(fd[1], bytes + sent, (size_t)(MUCH - sent), MSG_DONTWAIT);
    CHECK_CMP(n, >, 0);
    sent += n;
  }
  return MUCH;
}
static const struct reader writers[] = {
    {"send", by_send, false, true},   {"sendto", by_sendto, false, true}, {"sendmsg", by_sendmsg, false, true},
    {"write", by_write, true, true},  {"writev", by_writev, true, true},  {"poll out", by_poll_out, false, true},
};

static void writes(void *unused) {
  (void)unused;
  ssize_t n = reader->call();
  if (n != MUCH) FAIL("%s: %d", reader->name, (int)n);
  store(&done, 1);
}

static void each_writer_parks(void) {
  char *back = malloc(MUCH);
  bytes = malloc(MUCH);
  CHECK(back && bytes);
  for (int i = 0; i < MUCH; i++) bytes[i] = (char)(i * 7 + i / 1000);
  for (size_t i = 0; i < sizeof writers / sizeof *writers; i++) {
    for (enum pair_kind kind = PIPE; kind < PAIR_KINDS; kind++) {
      reader = &writers[i];
      if (kind == PIPE && !reader->pipes) continue;
      shim_pair(fd, kind);
      int room = 1 << 16; /* TCP would make more */
      if (kind == TCP) CHECK(setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof room) == 0);
      if (kind == TCP) CHECK(setsockopt(fd[0], SOL_SOCKET, SO_RCVBUF, &room, sizeof room) == 0);
      store(&done, 0);
      gmx_g g = go_joinable(writes, NULL);
      when_waiting(1);
      CHECK_EQ(load(&done), 0);
      memset(back, 0, MUCH);
      for (ssize_t n = 0, more; n < MUCH; n += more) {
        more = read(fd[0], back + n, (size_t)(MUCH - n));
        CHECK_CMP(more, >, 0);
      }
      join(g);
      CHECK(memcmp(back, bytes, MUCH) == 0);
      close(fd[0]);
      close(fd[1]);
    }
  }
  free(back);
  free(bytes);
}

/* ---- connections ---- */

static int l;
static struct sockaddr_in at;

static void takes_one(void *with4) {
  struct sockaddr_in peer;
  socklen_t size = sizeof peer;
  int c = with4 ? accept4(l, (struct sockaddr *)&peer, &size, SOCK_CLOEXEC | SOCK_NONBLOCK)
                : accept(l, (struct sockaddr *)&peer, &size);
  CHECK_CMP(c, >=, 0);
  CHECK_EQ(size, sizeof peer);
  CHECK_EQ(!!(fcntl(c, F_GETFL) & O_NONBLOCK), with4 != NULL);
  CHECK_EQ(!!(fcntl(c, F_GETFD) & FD_CLOEXEC), with4 != NULL);
  close(c);
  bump(&done);
}

static void dials(void *unused) {
  int c = connect_to(&at);
  (void)unused;
  CHECK_EQ(fcntl(c, F_GETFL) & O_NONBLOCK, 0);
  close(c);
}

static void many_accept(void) {
  enum { N = 20 };
  gmx_g gs[N];
  l = listener(&at, 64);
  store(&done, 0);
  for (int i = 0; i < N; i++) gs[i] = go_joinable(takes_one, i % 2 ? &l : NULL);
  when_waiting(N);
  for (int i = 0; i < N; i++) on_g(dials, NULL);
  join_all(gs, N);
  CHECK_EQ(load(&done), N);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  CHECK_FAILS(accept(null, NULL, NULL), ENOTSOCK);
  close(null);
  close(l);
  CHECK_FAILS(accept(l, NULL, NULL), EBADF);
}

static void connect_is_refused(void) {
  l = listener(&at, 1);
  close(l);
  int c = new_socket(AF_INET, SOCK_STREAM);
  CHECK_FAILS(connect(c, (struct sockaddr *)&at, sizeof at), ECONNREFUSED);
  close(c);
}

/* ---- time and names ---- */

static gmx_cancel token;

static void sleeps(void *kind) {
  struct timespec hour = {3600, 0}, left, then;
  gmx_cancel before;
  CHECK(clock_gettime(CLOCK_MONOTONIC, &then) == 0);
  then.tv_sec += 3600;
  CHECK_OK(gmx_cancel_use(token, &before));
  switch ((int)(intptr_t)kind) {
    case 0: CHECK_FAILS(nanosleep(&hour, &left), ECANCELED); break;
    case 1: CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, 0, &hour, NULL), ECANCELED); break;
    case 2: CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &then, NULL), ECANCELED); break;
    case 3: CHECK_FAILS(usleep(3600000000u), ECANCELED); break;
    default: CHECK_CMP(sleep(3600), >, 0); break;
  }
  CHECK_OK(gmx_cancel_use(before, &before));
}

static void sleepers_park(void) {
  gmx_g gs[5];
  token = new_token(0, GMX_FOREVER);
  for (int i = 0; i < 5; i++) gs[i] = go_joinable(sleeps, (void *)(intptr_t)i);
  spin_until(waiting("sleep") == 5);
  CHECK_OK(gmx_cancel_now(token));
  join_all(gs, 5);
  CHECK_OK(gmx_cancel_free(token));
}

static void sleeps_last_as_long_as_they_should(void) {
  struct timespec t = {0, 5000000}, left;
  int64_t begin = check_now();
  CHECK_EQ(nanosleep(&t, &left), 0);
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, NULL), 0);
  CHECK_EQ(usleep(5000), 0);
  CHECK_CMP(check_now() - begin, >=, 15 * MS);
  CHECK(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
  t.tv_sec++;
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
  CHECK_CMP(check_now(), >=, (int64_t)t.tv_sec * SECOND + t.tv_nsec);
  CHECK_EQ(sleep(0), 0);
  CHECK_EQ(usleep(1), 0);
  struct timespec wrong = {0, 1000000000};
  CHECK_FAILS(nanosleep(&wrong, NULL), EINVAL);
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &wrong, NULL), EINVAL);
  struct timespec now;
  CHECK(clock_gettime(CLOCK_REALTIME, &now) == 0);
  CHECK_EQ(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &now, NULL), 0);
}

static void looks_up(void *name) {
  struct addrinfo *list = NULL, hints = {.ai_socktype = SOCK_STREAM};
  int e = getaddrinfo(name, "80", &hints, &list);
  if (e != 0) FAIL("%s: %s", (const char *)name, gai_strerror(e));
  CHECK(list != NULL && list->ai_addr != NULL);
  freeaddrinfo(list);
}

static void names_are_looked_up(void) {
  gmx_g gs[10];
  for (int i = 0; i < 10; i++) gs[i] = go_joinable(looks_up, i % 2 ? "localhost" : "127.0.0.1");
  join_all(gs, 10);
  struct addrinfo *list = NULL, hints = {.ai_flags = AI_NUMERICHOST};
  CHECK_EQ(getaddrinfo("no number", NULL, &hints, &list), EAI_NONAME);
  CHECK_EQ(getaddrinfo("localhost", "no such service", NULL, &list), EAI_SERVICE);
  CHECK_EQ(getaddrinfo(NULL, NULL, NULL, &list), EAI_NONAME);
}

/* ---- many ---- */

enum { MANY = 1000 };
static int ends[MANY][2];

static void reads_own(void *index) {
  char c[2];
  intptr_t i = (intptr_t)index;
  CHECK_EQ(recv(ends[i][0], c, sizeof c, 0), 1);
  CHECK_EQ(c[0], (char)i);
  bump(&done);
}

static void a_thousand_wait_on_few_threads(void) {
  gmx_g gs[MANY];
  int before = count_threads();
  store(&done, 0);
  for (intptr_t i = 0; i < MANY; i++) {
    shim_pair(ends[i], UNIX);
    gs[i] = go_joinable(reads_own, (void *)i);
  }
  when_waiting(MANY);
  check_few_threads(before);
  for (intptr_t i = 0; i < MANY; i++) {
    char c = (char)i;
    CHECK_EQ(write(ends[i][1], &c, 1), 1);
  }
  join_all(gs, MANY);
  CHECK_EQ(load(&done), MANY);
  for (int i = 0; i < MANY; i++) {
    close(ends[i][0]);
    close(ends[i][1]);
  }
}

int main(void) {
  if (!more_fds(2100)) SKIP("no 2100 descriptors");
  begin_parked();
  RUN_G(each_reader_parks);
  RUN_G(each_writer_parks);
  RUN_G(many_accept);
  RUN_G(connect_is_refused);
  RUN_G(sleepers_park);
  RUN_G(sleeps_last_as_long_as_they_should);
  RUN_G(names_are_looked_up);
  RUN_G(a_thousand_wait_on_few_threads);
  end_all();
  begin_shared(4);
  RUN_G(each_reader_parks);
  RUN_G(each_writer_parks);
  RUN_G(many_accept);
  RUN_G(names_are_looked_up);
  RUN_G(a_thousand_wait_on_few_threads);
  end_all();
  return 0;
}
