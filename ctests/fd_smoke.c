/* Descriptors: the first look at reads, writes, accepts, connects and closes, on one P and more. */
/* timeout: 60 */
#define _GNU_SOURCE 1
#include "gs.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

static gmx_poll opened(int fd) {
  gmx_poll p = 0;
  CHECK_OK(gmx_poll_open(fd, 0, &p));
  CHECK(p != 0);
  return p;
}

static void pair(int type, gmx_poll ends[2]) {
  int fds[2];
  CHECK_EQ(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds), 0);
  for (int i = 0; i < 2; i++) ends[i] = opened(fds[i]);
}

/* ---- two Gs and a pair ---- */

static void answers(void *arg) {
  gmx_poll p = *(gmx_poll *)arg;
  char c;
  while (gmx_read(p, &c, 1, GMX_FOREVER) == 1) {
    c++;
    CHECK_OK(gmx_write(p, &c, 1, GMX_FOREVER, NULL));
  }
  CHECK_OK(gmx_close(p));
}

static void ping_pong(void) {
  gmx_poll ends[2];
  pair(SOCK_STREAM, ends);
  gmx_g g = go_joinable(answers, &ends[1]);
  for (int i = 0; i < 10000; i++) {
    char c = (char)(i % 100), got = 0;
    size_t done = 0;
    CHECK_OK(gmx_write(ends[0], &c, 1, SECOND * 10, &done));
    CHECK_EQ(done, 1);
    CHECK_EQ(gmx_read(ends[0], &got, 1, SECOND * 10), 1);
    CHECK_EQ(got, c + 1);
  }
  CHECK_OK(gmx_close(ends[0]));
  join(g);
}

/* ---- an echo of 1 MiB ---- */

enum { MEG = 1 << 20 };

static void echoes(void *arg) {
  gmx_poll p = *(gmx_poll *)arg;
  static char buf[5000];
  for (gmx_status n; (n = gmx_read(p, buf, sizeof buf, GMX_FOREVER)) != 0;) {
    CHECK_CMP(n, >, 0);
    CHECK_OK(gmx_write(p, buf, (size_t)n, GMX_FOREVER, NULL));
  }
  CHECK_OK(gmx_close(p));
}

static char sent[MEG], came[MEG];

static void sends_all(void *arg) {
  gmx_poll p = *(gmx_poll *)arg;
  size_t done = 0;
  struct iovec parts[3] = {{sent, 7}, {sent + 7, MEG / 2}, {sent + 7 + MEG / 2, MEG - MEG / 2 - 7}};
  CHECK_OK(gmx_writev(p, parts, 3, GMX_FOREVER, &done));
  CHECK_EQ(done, MEG);
}

static void echo_over(gmx_poll near, gmx_poll far) {
  for (int i = 0; i < MEG; i++) sent[i] = (char)(i * 7 + i / 251);
  memset(came, 0, MEG);
  gmx_g echo = go_joinable(echoes, &far), sender = go_joinable(sends_all, &near);
  for (size_t n = 0; n < MEG;) {
    struct iovec parts[2] = {{came + n, (MEG - n + 1) / 2}, {came + n + (MEG - n + 1) / 2, (MEG - n) / 2}};
    gmx_status r = gmx_readv(near, parts, 2, 10 * SECOND);
    CHECK_CMP(r, >, 0);
    n += (size_t)r;
  }
  CHECK_EQ(memcmp(sent, came, MEG), 0);
  join(sender);
  CHECK_OK(gmx_poll_shutdown(near, SHUT_WR));
  join(echo);
  CHECK_OK(gmx_close(near));
}

static void big_echo(void) {
  gmx_poll ends[2];
  pair(SOCK_STREAM, ends);
  echo_over(ends[0], ends[1]);
}

/* ---- connections ---- */

struct listening {
  gmx_poll listener, taken;
};

static void accepts(void *arg) {
  struct listening *l = arg;
  struct sockaddr_in from;
  socklen_t len = sizeof from;
  CHECK_OK(gmx_accept(l->listener, &l->taken, (struct sockaddr *)&from, &len, 10 * SECOND));
  CHECK_EQ(len, sizeof from);
  CHECK_EQ(from.sin_family, AF_INET);
}

static gmx_poll listener(struct sockaddr_in *addr, uint32_t flags, int *number) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  memset(addr, 0, sizeof *addr);
  addr->sin_family = AF_INET;
  addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t len = sizeof *addr;
  CHECK_EQ(bind(fd, (struct sockaddr *)addr, len), 0);
  CHECK_EQ(listen(fd, 8), 0);
  CHECK_EQ(getsockname(fd, (struct sockaddr *)addr, &len), 0);
  gmx_poll p = 0;
  CHECK_OK(gmx_poll_open(fd, flags, &p));
  *number = fd;
  return p;
}

static void connections(uint32_t flags) {
  struct sockaddr_in addr;
  int number;
  struct listening l = {listener(&addr, flags, &number), 0};
  gmx_g g = go_joinable(accepts, &l);
  CHECK_OK(gmx_yield());
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  gmx_poll conn = 0;
  CHECK_OK(gmx_poll_open(fd, flags, &conn));
  CHECK_OK(gmx_connect(conn, (struct sockaddr *)&addr, sizeof addr, 10 * SECOND));
  CHECK_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, flags ? 0 : O_NONBLOCK);
  join(g);
  CHECK_EQ(fcntl(gmx_poll_fd(l.taken), F_GETFL) & O_NONBLOCK, 0);
  CHECK_EQ(fcntl(gmx_poll_fd(l.taken), F_GETFD), FD_CLOEXEC);
  echo_over(conn, l.taken);
  CHECK_OK(gmx_close(l.listener));
  if (flags) {
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(close(number), 0);
  }
  CHECK_EQ(fcntl(fd, F_GETFD), -1);
  CHECK_EQ(fcntl(number, F_GETFD), -1);
}

static void own_connections(void) { connections(0); }
static void borrowed_connections(void) { connections(GMX_POLL_BORROW); }

static void refused(void) {
  struct sockaddr_in addr;
  int number;
  CHECK_OK(gmx_close(listener(&addr, 0, &number)));
  gmx_poll conn = opened(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK_STATUS(gmx_connect(conn, (struct sockaddr *)&addr, sizeof addr, 10 * SECOND), -ECONNREFUSED);
  CHECK_OK(gmx_close(conn));
}

/* ---- ends of waits ---- */

struct waiting_call {
  gmx_poll p;
  gmx_status read, write, ready;
};

static char plenty[8 << 20];

static void reads(void *arg) {
  struct waiting_call *w = arg;
  char c;
  store(&w->read, gmx_read(w->p, &c, 1, GMX_FOREVER));
}

static void writes(void *arg) {
  struct waiting_call *w = arg;
  w->write = gmx_write(w->p, plenty, sizeof plenty, GMX_FOREVER, NULL);
}

static void waits(void *arg) {
  struct waiting_call *w = arg;
  uint32_t ready;
  w->ready = gmx_poll_wait(w->p, GMX_POLL_IN, GMX_FOREVER, &ready);
}

static void close_wakes(void) {
  gmx_poll ends[2];
  pair(SOCK_STREAM, ends);
  struct waiting_call w[2] = {{ends[0], 1, 1, 1}, {ends[0], 1, 1, 1}};
  gmx_g gs[6];
  for (int i = 0; i < 2; i++) {
    gs[3 * i] = go_joinable(reads, &w[i]);
    gs[3 * i + 1] = go_joinable(writes, &w[i]);
    gs[3 * i + 2] = go_joinable(waits, &w[i]);
  }
  while (count_waiting() < 6) CHECK_OK(gmx_yield());
  CHECK_OK(gmx_close(ends[0]));
  join_all(gs, 6);
  for (int i = 0; i < 2; i++) {
    CHECK_STATUS(w[i].read, GMX_EBADF);
    CHECK_STATUS(w[i].write, GMX_EBADF);
    CHECK_STATUS(w[i].ready, GMX_EBADF);
  }
  CHECK_STATUS(gmx_close(ends[0]), GMX_EBADF);
  CHECK_OK(gmx_close(ends[1]));
}

static void timeouts(void) {
  gmx_poll ends[2];
  pair(SOCK_STREAM, ends);
  char c;
  CHECK_STATUS(gmx_read(ends[0], &c, 1, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_read(ends[0], &c, 1, -5), GMX_ETIMEDOUT);
  int64_t begin = check_now();
  CHECK_STATUS(gmx_read(ends[0], &c, 1, 20 * MS), GMX_ETIMEDOUT);
  CHECK_CMP(check_now() - begin, >=, 20 * MS);
  size_t done = 0;
  CHECK_STATUS(gmx_write(ends[0], plenty, sizeof plenty, 20 * MS, &done), GMX_ETIMEDOUT);
  CHECK(done > 0 && done < sizeof plenty);
  CHECK_OK(gmx_write(ends[1], "x", 1, 0, NULL));
  CHECK_OK(gmx_poll_set_deadline(ends[0], GMX_POLL_IN, gmx_now() - 1));
  CHECK_STATUS(gmx_read(ends[0], &c, 1, GMX_FOREVER), GMX_ETIMEDOUT);
  CHECK_OK(gmx_poll_set_deadline(ends[0], GMX_POLL_IN, GMX_FOREVER));
  CHECK_EQ(gmx_read(ends[0], &c, 1, GMX_FOREVER), 1);
  struct waiting_call w = {ends[0], 1, 1, 1};
  gmx_g g = go_joinable(reads, &w);
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_poll_set_deadline(ends[0], GMX_POLL_IN, gmx_now() + HOUR));
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_poll_set_deadline(ends[0], GMX_POLL_IN, 1));
  join(g);
  CHECK_STATUS(w.read, GMX_ETIMEDOUT);
  for (int i = 0; i < 2; i++) CHECK_OK(gmx_close(ends[i]));
}

/* Two readers, of which one waits for its turn, when their deadline is moved. */
static void moved_deadline(void) {
  for (bool early = false; !early;) {
    gmx_poll ends[2];
    pair(SOCK_STREAM, ends);
    struct waiting_call w[2] = {{ends[0], 0, 0, 0}, {ends[0], 0, 0, 0}};
    int64_t at = gmx_now() + 100 * MS;
    CHECK_OK(gmx_poll_set_deadline(ends[0], GMX_POLL_IN, at));
    gmx_g gs[2];
    for (int i = 0; i < 2; i++) gs[i] = go_joinable(reads, &w[i]);
    while (count_waiting() < 2 && gmx_now() < at) CHECK_OK(gmx_yield());
    CHECK_OK(gmx_poll_set_deadline(ends[0], GMX_POLL_IN, GMX_FOREVER));
    early = gmx_now() < at;
    CHECK_OK(gmx_sleep(at + MS - gmx_now()));
    CHECK_OK(gmx_write(ends[1], "xy", 2, GMX_FOREVER, NULL));
    join_all(gs, 2);
    for (int i = 0; i < 2 && early; i++) CHECK_EQ(w[i].read, 1);
    for (int i = 0; i < 2; i++) CHECK_OK(gmx_close(ends[i]));
  }
}

/* ---- other kinds ---- */

static void readiness(void) {
  gmx_poll ends[2];
  pair(SOCK_STREAM, ends);
  uint32_t ready = 0;
  CHECK_OK(gmx_poll_wait(ends[0], GMX_POLL_IN | GMX_POLL_OUT, GMX_FOREVER, &ready));
  CHECK_EQ(ready, GMX_POLL_OUT);
  CHECK_STATUS(gmx_poll_wait(ends[0], GMX_POLL_IN, 5 * MS, &ready), GMX_ETIMEDOUT);
  /* two that wait for one number */
  struct waiting_call w = {ends[0], 1, 1, 1};
  gmx_g g = go_joinable(waits, &w);
  CHECK_OK(gmx_yield());
  CHECK_STATUS(gmx_wait_fd(gmx_poll_fd(ends[0]), GMX_POLL_IN, 5 * MS, &ready), GMX_ETIMEDOUT);
  CHECK_OK(gmx_close(ends[1]));
  join(g);
  CHECK_OK(w.ready);
  CHECK_OK(gmx_wait_fd(gmx_poll_fd(ends[0]), GMX_POLL_IN, GMX_FOREVER, &ready));
  CHECK_EQ(ready, GMX_POLL_IN | GMX_POLL_RDHUP | GMX_POLL_HUP);
  CHECK_OK(gmx_close(ends[0]));
}

static void datagrams(void) {
  gmx_poll ends[2];
  pair(SOCK_DGRAM, ends);
  char buf[8];
  CHECK_EQ(gmx_send(ends[0], "", 0, 0, GMX_FOREVER), 0);
  CHECK_EQ(gmx_send(ends[0], "abc", 3, 0, GMX_FOREVER), 3);
  CHECK_EQ(gmx_recv(ends[1], buf, sizeof buf, 0, GMX_FOREVER), 0);
  CHECK_EQ(gmx_read(ends[1], buf, sizeof buf, GMX_FOREVER), 3);
  CHECK_STATUS(gmx_recv(ends[1], buf, sizeof buf, 0, 0), GMX_ETIMEDOUT);
  for (int i = 0; i < 2; i++) CHECK_OK(gmx_close(ends[i]));
}

static void pipes(uint32_t flags) {
  int fds[2];
  CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
  gmx_poll ends[2];
  for (int i = 0; i < 2; i++) CHECK_OK(gmx_poll_open(fds[i], flags, &ends[i]));
  char c = 0;
  CHECK_STATUS(gmx_read(ends[0], &c, 1, 1 * MS), GMX_ETIMEDOUT);
  size_t done;
  CHECK_STATUS(gmx_write(ends[1], plenty, sizeof plenty, 1 * MS, &done), GMX_ETIMEDOUT);
  while (done > 0) {
    gmx_status n = gmx_read(ends[0], came, sizeof came, GMX_FOREVER);
    CHECK_CMP(n, >, 0);
    done -= (size_t)n;
  }
  struct waiting_call w = {ends[0], 1, 1, 1};
  gmx_g g = go_joinable(reads, &w);
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_close(ends[1]));
  if (flags) {
    CHECK_EQ(fcntl(fds[1], F_GETFL) & O_NONBLOCK, 0);
    CHECK_EQ(close(fds[1]), 0);
  }
  join(g);
  CHECK_EQ(w.read, 0);
  CHECK_OK(gmx_close(ends[0]));
  if (flags) CHECK_EQ(close(fds[0]), 0);
}

/* A full pipe whose reader leaves has an error, and nothing else. */
static void broken_pipe(void) {
  int fds[2];
  CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
  gmx_poll to = opened(fds[1]);
  struct waiting_call w = {to, 1, 1, 1};
  gmx_g g = go_joinable(writes, &w);
  CHECK_OK(gmx_sleep(MS));
  CHECK_EQ(close(fds[0]), 0);
  join(g);
  CHECK_STATUS(w.write, GMX_EPIPE);
  CHECK_OK(gmx_close(to));
}

static void own_pipes(void) { pipes(0); }
static void borrowed_pipes(void) { pipes(GMX_POLL_BORROW); }

static void files(void) {
  static const char *names[] = {"/dev/null", "/proc/self/exe", "/"};
  for (int i = 0; i < 3; i++) {
    gmx_poll p = opened(open(names[i], O_RDONLY | O_CLOEXEC));
    uint32_t ready = 0;
    CHECK_OK(gmx_poll_wait(p, GMX_POLL_IN, GMX_FOREVER, &ready));
    char c[4];
    gmx_status n = gmx_read(p, c, 4, GMX_FOREVER);
    CHECK_EQ(n, i == 0 ? 0 : i == 1 ? 4 : -EISDIR);
    int fd = -1;
    CHECK_OK(gmx_poll_release(p, &fd));
    CHECK_EQ(close(fd), 0);
  }
}

/* What a short read says of the rest: nothing is left, or the read ended at a border. */

static int with_a_descriptor(gmx_poll p, char *text, size_t n) {
  union {
    char room[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control = {{0}};
  struct iovec v = {text, n};
  struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
  head->cmsg_level = SOL_SOCKET, head->cmsg_type = SCM_RIGHTS, head->cmsg_len = CMSG_LEN(sizeof(int));
  int fd = gmx_poll_fd(p);
  memcpy(CMSG_DATA(head), &fd, sizeof fd);
  return gmx_sendmsg(p, &msg, 0, GMX_FOREVER);
}

static void borders(void) {
  gmx_poll ends[2];
  pair(SOCK_STREAM, ends);
  char buf[16];
  CHECK_STATUS(gmx_read(ends[0], buf, sizeof buf, 1), GMX_ETIMEDOUT); /* from here on it is watched */
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(with_a_descriptor(ends[1], "ab", 2), 2);
    CHECK_EQ(with_a_descriptor(ends[1], "cd", 2), 2);
    CHECK_OK(gmx_write(ends[1], "ef", 2, GMX_FOREVER, NULL));
    for (int rest = 6; rest > 0;) {
      gmx_status n = gmx_read(ends[0], buf, sizeof buf, 10 * SECOND);
      CHECK_CMP(n, >, 0);
      rest -= n;
    }
  }
  CHECK_OK(gmx_close(ends[1]));
  CHECK_EQ(gmx_read(ends[0], buf, sizeof buf, 10 * SECOND), 0);
  CHECK_EQ(gmx_read(ends[0], buf, sizeof buf, 10 * SECOND), 0);
  CHECK_OK(gmx_close(ends[0]));
}

static void urgent_data(void) {
  struct sockaddr_in addr;
  int number;
  struct listening l = {listener(&addr, 0, &number), 0};
  gmx_g g = go_joinable(accepts, &l);
  gmx_poll conn = opened(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  CHECK_OK(gmx_connect(conn, (struct sockaddr *)&addr, sizeof addr, 10 * SECOND));
  join(g);
  char buf[16];
  CHECK_STATUS(gmx_read(l.taken, buf, sizeof buf, 1), GMX_ETIMEDOUT);
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(gmx_send(conn, "ab!", 3, MSG_OOB, GMX_FOREVER), 3);
    CHECK_OK(gmx_write(conn, "cd", 2, GMX_FOREVER, NULL));
    for (int rest = 4; rest > 0;) {
      gmx_status n = gmx_read(l.taken, buf, sizeof buf, 10 * SECOND);
      CHECK_CMP(n, >, 0);
      rest -= n;
    }
  }
  CHECK_OK(gmx_write(conn, "x", 1, GMX_FOREVER, NULL));
  CHECK_OK(gmx_close(conn));
  CHECK_EQ(gmx_read(l.taken, buf, sizeof buf, 10 * SECOND), 1);
  CHECK_EQ(gmx_read(l.taken, buf, sizeof buf, 10 * SECOND), 0);
  CHECK_OK(gmx_close(l.taken));
  CHECK_OK(gmx_close(l.listener));
}

static void no_listener(void) {
  gmx_poll ends[2], conn;
  pair(SOCK_STREAM, ends);
  CHECK_STATUS(gmx_accept(ends[0], &conn, NULL, NULL, GMX_FOREVER), -EINVAL);
  gmx_poll borrowed;
  CHECK_OK(gmx_poll_open(gmx_poll_fd(ends[0]), GMX_POLL_BORROW, &borrowed));
  CHECK_STATUS(gmx_accept(borrowed, &conn, NULL, NULL, GMX_FOREVER), -EINVAL);
  CHECK_OK(gmx_close(borrowed));
  for (int i = 0; i < 2; i++) CHECK_OK(gmx_close(ends[i]));
}

/* A terminal cannot be read without waiting while it waits, and its flags are shared. */
static void terminals(void) {
  int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0) return;
  CHECK(grantpt(master) == 0 && unlockpt(master) == 0);
  int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
  CHECK(slave >= 0);
  gmx_poll tty, other;
  CHECK_OK(gmx_poll_open(slave, GMX_POLL_BORROW, &tty));
  CHECK_OK(gmx_poll_open(master, GMX_POLL_BORROW, &other));
  struct waiting_call w = {tty, 1, 1, 1};
  gmx_g g = go_joinable(reads, &w);
  CHECK_OK(gmx_yield());
  CHECK_EQ(load(&w.read), 1);
  CHECK_OK(gmx_write(other, "yes\n", 4, GMX_FOREVER, NULL));
  join(g);
  CHECK_EQ(w.read, 1);
  size_t done;
  CHECK_OK(gmx_write(tty, plenty, 2000, 10 * SECOND, &done));
  CHECK_EQ(done, 2000);
  CHECK_EQ(fcntl(slave, F_GETFL) & O_NONBLOCK, 0);
  CHECK_OK(gmx_close(tty));
  CHECK_OK(gmx_close(other));
  CHECK_EQ(close(slave), 0);
  CHECK_EQ(close(master), 0);
}

static void everything(void) {
  errno = 77;
  RUN(ping_pong);
  RUN(big_echo);
  RUN(own_connections);
  RUN(borrowed_connections);
  RUN(refused);
  RUN(close_wakes);
  RUN(timeouts);
  RUN(moved_deadline);
  RUN(readiness);
  RUN(datagrams);
  RUN(own_pipes);
  RUN(borrowed_pipes);
  RUN(broken_pipe);
  RUN(files);
  RUN(borders);
  RUN(urgent_data);
  RUN(no_listener);
  RUN(terminals);
}

/* ---- fork ---- */

/* How many descriptors are epolls. */
static int epolls(void) {
  int n = 0;
  for (int fd = 0; fd < 1024; fd++) {
    char path[64], name[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(path, name, sizeof name - 1);
    if (len < 0) continue;
    name[len] = 0;
    if (strcmp(name, "anon_inode:[eventpoll]") == 0) n++;
  }
  return n;
}

static void one_byte(gmx_poll ends[2]) {
  char c = 0;
  CHECK_STATUS(gmx_read(ends[0], &c, 1, 1), GMX_ETIMEDOUT); /* from here on it is watched */
  struct waiting_call w = {ends[0], 0, 0, 0};
  gmx_g g = go_joinable(reads, &w);
  CHECK_OK(gmx_sleep(MS));
  CHECK_OK(gmx_write(ends[1], "x", 1, GMX_FOREVER, NULL));
  join(g);
  CHECK_EQ(w.read, 1);
}

/* The child has copies of the descriptors and no handles; what it does changes nothing for the parent. */
static void fork_with_handles(void) {
  gmx_poll ends[2];
  pair(SOCK_STREAM, ends);
  one_byte(ends);
  CHECK_EQ(epolls(), 1);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    alarm(30);
    CHECK_EQ(epolls(), 0);
    char c;
    CHECK_STATUS(gmx_read(ends[0], &c, 1, GMX_FOREVER), GMX_EBADF);
    CHECK_STATUS(gmx_close(ends[0]), GMX_EBADF);
    gmx_poll own[2];
    pair(SOCK_STREAM, own);
    one_byte(own);
    CHECK_EQ(epolls(), 1);
    _exit(0);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
  one_byte(ends);
  for (int i = 0; i < 2; i++) CHECK_OK(gmx_close(ends[i]));
}

static void attached(void *arg) {
  (void)arg;
  CHECK_OK(gmx_attach_thread());
  everything();
  CHECK_OK(gmx_detach_thread());
}

static void on_a_thread(void *arg) {
  (void)arg;
  everything();
}

int main(void) {
  start_runtime(1, 0);
  as_main(everything);
  CHECK_CMP(gmx_gomaxprocs(4), >=, 0);
  as_main(everything);
  on_thread(on_a_thread, NULL);
  on_thread(attached, NULL);
  RUN(fork_with_handles);
  ends_clean();
  return 0;
}
