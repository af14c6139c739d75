/* Examples of the manual: many messages, and descriptors in messages. */
#include <gomax.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int lengths;
static void handle(const char *datagram, size_t n) { lengths += datagram ? (int)n : 0; }

/* example: gmx_recvmmsg */
#include <sys/socket.h>

enum { MANY = 32 };

// One call of the system for all datagrams that are there, and at least one.
static gmx_status recv_many(gmx_poll socket, int64_t timeout) {
  char text[MANY][1500];
  struct iovec part[MANY];
  struct mmsghdr messages[MANY] = {0};
  for (int i = 0; i < MANY; i++) {
    part[i] = (struct iovec){text[i], sizeof text[i]};
    messages[i].msg_hdr.msg_iov = &part[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  gmx_status n = gmx_recvmmsg(socket, messages, MANY, 0, timeout);
  for (int i = 0; i < n; i++) handle(text[i], messages[i].msg_len);
  return n;
}
/* end */

/* example: gmx_sendmmsg */
#include <sys/socket.h>

// Sends each line as a datagram; one call may not send them all.
static gmx_status send_lines(gmx_poll socket, char *const *lines, size_t n) {
  struct iovec part[16];
  struct mmsghdr messages[16] = {0};
  if (n > 16) return GMX_EINVAL;
  for (size_t i = 0; i < n; i++) {
    part[i] = (struct iovec){lines[i], strlen(lines[i])};
    messages[i].msg_hdr.msg_iov = &part[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  for (size_t sent = 0; sent < n;) {
    gmx_status now = gmx_sendmmsg(socket, messages + sent, n - sent, 0, 1000000000);
    if (now < 0) return now;
    sent += (size_t)now;
  }
  return GMX_OK;
}
/* end */

/* example: gmx_send_fds gmx_recv_fds */
// A process with rights opens a file, and gives it to one that may not.
static gmx_status give_file(gmx_poll to, const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  gmx_status n = gmx_send_fds(to, &fd, 1, "f", 1, 1000000000); // at least one byte
  close(fd); // the other process has its own
  return n < 0 ? n : GMX_OK;
}

static int take_file(gmx_poll from) {
  int fd;
  size_t n = 1; // in: the room; out: how many came
  char kind;
  gmx_status got = gmx_recv_fds(from, &fd, &n, &kind, 1, GMX_FOREVER);
  if (got < 0) return got;            // GMX_EMSGSIZE: more than one; all are closed
  return n == 1 ? fd : got == 0 ? GMX_EPIPE : GMX_EINVAL; // bytes without a descriptor
}
/* end */

static void all(void *arg) {
  (void)arg;
  int fds[2];
  gmx_poll a, b;
  char *lines[] = {"one", "three", "five"}, text[3];
  assert(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) == 0);
  assert(gmx_poll_open(fds[0], 0, &a) == GMX_OK && gmx_poll_open(fds[1], 0, &b) == GMX_OK);
  assert(send_lines(a, lines, 3) == GMX_OK && recv_many(b, GMX_FOREVER) == 3 && lengths == 12);
  assert(recv_many(b, 0) == GMX_ETIMEDOUT);
  gmx_close(a);
  gmx_close(b);

  int file = open("fds.tmp", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  assert(file >= 0 && write(file, "abc", 3) == 3 && close(file) == 0);
  assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  assert(gmx_poll_open(fds[0], 0, &a) == GMX_OK && gmx_poll_open(fds[1], 0, &b) == GMX_OK);
  assert(give_file(a, "/nowhere/at/all") == -ENOENT && give_file(a, "fds.tmp") == GMX_OK);
  int fd = take_file(b);
  assert(fd >= 0 && read(fd, text, 3) == 3 && memcmp(text, "abc", 3) == 0 && close(fd) == 0);
  assert(gmx_write(a, "x", 1, 0, NULL) == GMX_OK && take_file(b) == GMX_EINVAL);
  gmx_close(a);
  assert(take_file(b) == GMX_EPIPE && gmx_close(b) == GMX_OK && unlink("fds.tmp") == 0);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
