/* Examples of the manual: descriptors. */
#include <gomax.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* example: gmx_poll_open gmx_close */
// Reads what a program writes into a pipe, and no thread waits for that meanwhile.
static gmx_status read_pipe(int fd, char *to, size_t room, size_t *n) {
  gmx_poll pipe;
  gmx_status status = gmx_poll_open(fd, 0, &pipe); // fd belongs to the handle now
  if (status != GMX_OK) return status;             // and here still to the caller
  for (*n = 0; *n < room; *n += (size_t)status) {
    status = gmx_read(pipe, to + *n, room - *n, GMX_FOREVER);
    if (status <= 0) break; // 0: the end
  }
  gmx_close(pipe); // fd as well
  return status < 0 ? status : GMX_OK;
}
/* end */

/* example: gmx_poll_fd */
#include <netinet/tcp.h>

// For what the library has no call for. The number is good until gmx_close.
static gmx_status send_at_once(gmx_poll conn) {
  int on = 1, fd = gmx_poll_fd(conn);
  if (fd < 0) return fd; // GMX_EBADF
  return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 ? GMX_OK : -errno;
}
/* end */

// Stands for a library with calls of its own, such as one for TLS.
enum { LIB_OK, LIB_WANT_READ, LIB_FAILED };
static int lib_read(int fd, char *to) {
  ssize_t n = recv(fd, to, 1, MSG_DONTWAIT);
  return n == 1 ? LIB_OK : n < 0 && errno == EAGAIN ? LIB_WANT_READ : LIB_FAILED;
}

/* example: gmx_poll_wait */
// A library reads the socket itself, and says when it would have to wait.
static gmx_status lib_read_wait(gmx_poll conn, char *to, int64_t timeout) {
  int64_t end = gmx_deadline(timeout);
  for (;;) {
    int got = lib_read(gmx_poll_fd(conn), to); // does not block
    if (got != LIB_WANT_READ) return got == LIB_OK ? GMX_OK : GMX_EPIPE;
    uint32_t ready; // the goroutine parks here, and not in the library
    gmx_status status = gmx_poll_wait(conn, GMX_POLL_IN, gmx_time_left(end), &ready);
    if (status != GMX_OK) return status;
  }
}
/* end */

/* example: gmx_poll_set_deadline */
// Reads a line. A client may pause for 10 s, and all in all take no longer than limit.
static gmx_status read_line(gmx_poll conn, char *to, size_t room, int64_t limit) {
  gmx_status status = gmx_poll_set_deadline(conn, GMX_POLL_IN, gmx_deadline(limit));
  for (char last = 0; status >= 0 && last != '\n' && room > 0; room--) {
    status = gmx_read(conn, &last, 1, 10000000000);
    if (status == 0) status = GMX_EPIPE; // the end
    *to++ = last;
  }
  if (status < 0) return status; // GMX_ETIMEDOUT, by either limit
  return gmx_poll_set_deadline(conn, GMX_POLL_IN, GMX_FOREVER);
}
/* end */

/* example: gmx_poll_release */
// Hands a connection over to code that reads it with a thread of its own.
static int give_away(gmx_poll conn) {
  int fd;
  gmx_status status = gmx_poll_release(conn, &fd); // waits here return GMX_EBADF
  if (status != GMX_OK) return status;
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK); // which gmx_poll_open had set
  return fd;
}
/* end */

/* example: gmx_wait_fd */
#include <gomax_errno.h> // after a wait the usual errno may be that of another thread

// Waits for an eventfd of another library, which closes it itself.
static gmx_status next_event(int fd, uint64_t *count, int64_t timeout) {
  uint32_t ready;
  gmx_status status = gmx_wait_fd(fd, GMX_POLL_IN, timeout, &ready);
  if (status != GMX_OK) return status;
  return read(fd, count, sizeof *count) == sizeof *count ? GMX_OK : -errno;
}
/* end */

/* example: gmx_poll_many */
#include <poll.h>

// Waits for either side of a connection that is passed on. Which one has something?
static int readable_side(int client, int server, int64_t timeout) {
  struct pollfd side[2] = {{client, POLLIN, 0}, {server, POLLIN, 0}};
  gmx_status n = gmx_poll_many(side, 2, timeout);
  if (n < 0) return n; // GMX_ETIMEDOUT
  return side[0].revents ? client : server; // POLLHUP and POLLERR too: read tells
}
/* end */

static void all(void *arg) {
  (void)arg;
  int fds[2];
  char text[20] = "";
  size_t n;
  gmx_poll p, q;
  assert(pipe2(fds, O_CLOEXEC) == 0 && write(fds[1], "hello", 5) == 5 && close(fds[1]) == 0);
  assert(read_pipe(fds[0], text, sizeof text, &n) == GMX_OK && n == 5 && memcmp(text, "hello", 5) == 0);

  int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 0;
  socklen_t len = sizeof on;
  assert(gmx_poll_open(tcp, 0, &p) == GMX_OK && send_at_once(p) == GMX_OK);
  assert(getsockopt(tcp, IPPROTO_TCP, TCP_NODELAY, &on, &len) == 0 && on != 0);
  assert(gmx_close(p) == GMX_OK && send_at_once(p) == GMX_EBADF);

  assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  assert(gmx_poll_open(fds[0], 0, &p) == GMX_OK && gmx_poll_open(fds[1], 0, &q) == GMX_OK);
  assert(lib_read_wait(p, text, 0) == GMX_ETIMEDOUT && readable_side(fds[0], fds[1], 0) == GMX_ETIMEDOUT);
  assert(gmx_write(q, "x", 1, 0, NULL) == GMX_OK && readable_side(fds[0], fds[1], GMX_FOREVER) == fds[0]);
  assert(lib_read_wait(p, text, GMX_FOREVER) == GMX_OK && text[0] == 'x');
  assert(gmx_write(q, "ab", 2, 0, NULL) == GMX_OK);
  assert(read_line(p, text, sizeof text, 1000000) == GMX_ETIMEDOUT);
  assert(gmx_write(q, "cd\n", 3, 0, NULL) == GMX_OK);
  assert(read_line(p, text, sizeof text, GMX_FOREVER) == GMX_OK && memcmp(text, "cd\n", 3) == 0);

  int fd = give_away(p);
  assert(fd == fds[0] && (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0 && give_away(p) == GMX_EBADF);
  close(fd);
  gmx_close(q);

  uint64_t count = 0;
  int event = eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC);
  assert(next_event(event, &count, GMX_FOREVER) == GMX_OK && count == 3);
  assert(next_event(event, &count, 0) == GMX_ETIMEDOUT && close(event) == 0);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
