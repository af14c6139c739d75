/* Examples of the manual: reading and writing. */
#include <gomax.h>

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* example: gmx_read gmx_write */
// Sends back what comes, until the client closes, or is silent or deaf for a minute.
static gmx_status echo(gmx_poll conn) {
  char text[4096];
  gmx_status n, status = GMX_OK;
  while (status == GMX_OK && (n = gmx_read(conn, text, sizeof text, 60000000000)) != 0)
    status = n < 0 ? n : gmx_write(conn, text, (size_t)n, 60000000000, NULL); // all of it
  return status;
}
/* end */

/* example: gmx_read_full */
// A message is its length, as four bytes, and its bytes.
static gmx_status read_message(gmx_poll conn, char *to, size_t room, size_t *n) {
  unsigned char head[4];
  size_t done;
  gmx_status status = gmx_read_full(conn, head, sizeof head, GMX_FOREVER, &done);
  if (status == GMX_EPIPE && done == 0) return GMX_ECLOSED; // ends between messages
  if (status != GMX_OK) return status;
  *n = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
  if (*n > room) return GMX_EMSGSIZE; // before its bytes: the peer may be hostile
  return gmx_read_full(conn, to, *n, 10000000000, NULL); // GMX_EPIPE: half a message
}
/* end */

/* example: gmx_writev */
#include <sys/uio.h>

// Head and body go out together, in one packet if they fit, and are not copied.
static gmx_status write_message(gmx_poll conn, void *body, size_t n) {
  unsigned char head[4] = {(unsigned char)(n >> 24), (unsigned char)(n >> 16),
                           (unsigned char)(n >> 8), (unsigned char)n};
  struct iovec parts[] = {{head, sizeof head}, {body, n}};
  size_t done;
  gmx_status status = gmx_writev(conn, parts, 2, 10000000000, &done);
  if (status != GMX_OK && done > 0) // the peer has a part: nothing else may follow it
    (void)gmx_poll_shutdown(conn, SHUT_WR);
  return status;
}
/* end */

/* example: gmx_readv */
#include <sys/uio.h>

// A ring has its room in up to two places; one call fills both.
struct ring {
  char bytes[64];
  size_t begin, n;
};

static gmx_status ring_fill(struct ring *r, gmx_poll from, int64_t timeout) {
  size_t end = (r->begin + r->n) % sizeof r->bytes, room = sizeof r->bytes - r->n;
  size_t first = sizeof r->bytes - end < room ? sizeof r->bytes - end : room;
  struct iovec parts[] = {{r->bytes + end, first}, {r->bytes, room - first}};
  if (room == 0) return GMX_EBUSY; // 0 bytes would look as the end does
  gmx_status got = gmx_readv(from, parts, 2, timeout); // fewer than room, if fewer came
  if (got > 0) r->n += (size_t)got;
  return got;
}
/* end */

/* example: gmx_recv */
#include <sys/socket.h>

// Looks at the first byte without taking it: the handler will read it again.
static bool speaks_tls(gmx_poll conn) {
  unsigned char first;
  gmx_status n = gmx_recv(conn, &first, 1, MSG_PEEK, 5000000000);
  return n == 1 && first == 22; // a handshake; 0: closed, below 0: an error
}
/* end */

/* example: gmx_send */
#include <sys/socket.h>

// Sends as much as there is room for, and does not wait. The caller keeps the rest.
static gmx_status send_some(gmx_poll conn, const char *text, size_t n) {
  gmx_status sent = gmx_send(conn, text, n, 0, 0); // gmx_write would send all
  return sent == GMX_ETIMEDOUT ? 0 : sent;         // no room at all
}
/* end */

/* example: gmx_recvmsg */
#include <sys/socket.h>

// A datagram that is longer than the buffer is cut; msg_flags tell it.
static gmx_status recv_whole(gmx_poll socket, void *to, size_t room) {
  struct iovec part = {to, room};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  gmx_status n = gmx_recvmsg(socket, &message, 0, GMX_FOREVER);
  return n >= 0 && message.msg_flags & MSG_TRUNC ? GMX_EMSGSIZE : n;
}
/* end */

/* example: gmx_sendmsg */
#include <sys/socket.h>

// One datagram from two places, to an address that is not the connected one.
static gmx_status send_tagged(gmx_poll socket, char tag, void *body, size_t n,
                              struct sockaddr_storage *to, socklen_t len) {
  struct iovec parts[] = {{&tag, 1}, {body, n}};
  struct msghdr message = {
      .msg_name = to, .msg_namelen = len, .msg_iov = parts, .msg_iovlen = 2};
  return gmx_sendmsg(socket, &message, 0, 1000000000);
}
/* end */

/* example: gmx_recvfrom gmx_sendto */
#include <sys/socket.h>

// Answers each datagram where it came from; ends when the socket is closed.
static gmx_status pong(gmx_poll socket) {
  char text[1500];
  struct sockaddr_storage from;
  struct sockaddr *address = (struct sockaddr *)&from;
  for (;;) {
    socklen_t len = sizeof from; // in: the room; out: the length of the address
    gmx_status n = gmx_recvfrom(socket, text, sizeof text, 0, address, &len, GMX_FOREVER);
    if (n >= 0) n = gmx_sendto(socket, text, (size_t)n, 0, address, len, 1000000000);
    if (n == GMX_EBADF || n == GMX_ECANCELED) return n; // other errors concern one peer
  }
}
/* end */

static void two(int type, gmx_poll *one, gmx_poll *other) {
  int fds[2];
  assert(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) == 0);
  assert(gmx_poll_open(fds[0], 0, one) == GMX_OK && gmx_poll_open(fds[1], 0, other) == GMX_OK);
}

static void echoes(void *conn) { assert(echo(*(gmx_poll *)conn) == GMX_OK); }
static void pongs(void *socket) { assert(pong(*(gmx_poll *)socket) == GMX_EBADF); }

static void all(void *arg) {
  (void)arg;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  gmx_poll a, b;
  char text[100];
  size_t n;
  two(SOCK_STREAM, &a, &b);
  assert(gmx_waitgroup_go(&group, echoes, &a) == GMX_OK);
  assert(gmx_write(b, "hello", 5, GMX_FOREVER, NULL) == GMX_OK);
  assert(gmx_read_full(b, text, 5, GMX_FOREVER, NULL) == GMX_OK && memcmp(text, "hello", 5) == 0);
  gmx_close(b);
  gmx_waitgroup_wait(&group);
  gmx_close(a);

  static char body[] = "body";
  two(SOCK_STREAM, &a, &b);
  assert(write_message(a, body, 4) == GMX_OK && read_message(b, text, sizeof text, &n) == GMX_OK);
  assert(n == 4 && memcmp(text, "body", 4) == 0);
  assert(write_message(a, body, 4) == GMX_OK && read_message(b, text, 3, &n) == GMX_EMSGSIZE);
  assert(!speaks_tls(b) && gmx_read(b, text, 100, 0) == 4);
  text[0] = 22;
  assert(send_some(a, text, 1) == 1 && speaks_tls(b) && speaks_tls(b));
  assert(gmx_poll_shutdown(a, SHUT_WR) == GMX_OK && gmx_read(b, text, 100, 0) == 1);
  assert(read_message(b, text, sizeof text, &n) == GMX_ECLOSED);
  char *much = calloc(1, 1 << 22);
  assert(send_some(b, much, 1 << 22) > 0 && send_some(b, much, 1) == 0);
  free(much);
  gmx_close(a);
  gmx_close(b);
  assert(write_message(b, body, 4) == GMX_EBADF);

  struct ring ring = {.begin = 60, .n = 1};
  two(SOCK_STREAM, &a, &b);
  assert(gmx_write(a, "12345", 5, 0, NULL) == GMX_OK && ring_fill(&ring, b, GMX_FOREVER) == 5 && ring.n == 6);
  assert(memcmp(ring.bytes + 61, "123", 3) == 0 && memcmp(ring.bytes, "45", 2) == 0);
  assert(gmx_write(a, ring.bytes, 60, 0, NULL) == GMX_OK && ring_fill(&ring, b, 0) == 58);
  assert(ring_fill(&ring, b, 0) == GMX_EBUSY);
  gmx_close(a);
  gmx_close(b);

  struct sockaddr_storage to;
  socklen_t len = sizeof to;
  gmx_poll server;
  assert(gmx_udp_open("127.0.0.1", "0", NULL, &server) == GMX_OK);
  assert(gmx_udp_open("127.0.0.1", "0", NULL, &a) == GMX_OK);
  assert(getsockname(gmx_poll_fd(server), (struct sockaddr *)&to, &len) == 0);
  assert(gmx_waitgroup_go(&group, pongs, &server) == GMX_OK);
  assert(send_tagged(a, '!', body, 4, &to, len) == 5);
  assert(recv_whole(a, text, sizeof text) == 5 && memcmp(text, "!body", 5) == 0);
  assert(send_tagged(a, '!', body, 4, &to, len) == 5 && recv_whole(a, text, 4) == GMX_EMSGSIZE);
  gmx_close(server);
  gmx_waitgroup_wait(&group);
  gmx_close(a);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
