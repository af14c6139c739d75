/* Examples of the manual: connections. */
#include <gomax.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void serve(void *arg) {
  gmx_poll conn = (gmx_poll)(uintptr_t)arg;
  char text[16];
  gmx_status n;
  size_t got = 0;
  while ((n = gmx_read(conn, text + got, sizeof text - got, GMX_FOREVER)) > 0) got += (size_t)n;
  if (n == 0) n = gmx_write(conn, text, got, GMX_FOREVER, NULL); // the whole request
  gmx_close(conn);
}

/* example: gmx_accept */
#include <netinet/in.h>

// A goroutine for each connection, until the listener is closed.
static gmx_status accept_all(gmx_poll listener, struct sockaddr_in *last) {
  for (;;) {
    gmx_poll conn;
    socklen_t len = sizeof *last; // the address may be left out: NULL, NULL
    gmx_status status =
        gmx_accept(listener, &conn, (struct sockaddr *)last, &len, GMX_FOREVER);
    if (status != GMX_OK) return status; // GMX_EBADF: closed; -EMFILE: no descriptors
    if (gmx_spawn(serve, (void *)(uintptr_t)conn) != GMX_OK) gmx_close(conn);
  }
}
/* end */

/* example: gmx_connect */
#include <netinet/in.h>

// Connects from an address of the caller's choice; gmx_dial is shorter without one.
static gmx_status connect_from(const struct sockaddr_in *from,
                               const struct sockaddr_in *to, gmx_poll *conn) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  gmx_status status = gmx_poll_open(fd, 0, conn);
  if (status != GMX_OK) {
    close(fd); // the handle would have closed it
    return status;
  }
  status = bind(fd, (const struct sockaddr *)from, sizeof *from) == 0 ? GMX_OK : -errno;
  if (status == GMX_OK)
    status = gmx_connect(*conn, (const struct sockaddr *)to, sizeof *to, 5000000000);
  if (status != GMX_OK) gmx_close(*conn); // it might still connect later
  return status;
}
/* end */

/* example: gmx_poll_shutdown */
#include <sys/socket.h>

// Sends a request whose end is the end of the data, and reads the answer.
static gmx_status ask(gmx_poll conn, const char *text, char *answer, size_t room) {
  gmx_status status = gmx_write(conn, text, strlen(text), 5000000000, NULL);
  if (status == GMX_OK) status = gmx_poll_shutdown(conn, SHUT_WR); // still reads
  size_t n = 0;
  while (status >= 0 && n < room) {
    status = gmx_read(conn, answer + n, room - n, 5000000000);
    if (status == 0) return (gmx_status)n;
    if (status > 0) n += (size_t)status;
  }
  return status < 0 ? status : GMX_EMSGSIZE;
}
/* end */

static struct sockaddr_in peer;
static void accepts(void *listener) { assert(accept_all(*(gmx_poll *)listener, &peer) == GMX_EBADF); }

static void all(void *arg) {
  (void)arg;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  gmx_poll listener, conn;
  struct sockaddr_in from = {.sin_family = AF_INET}, to;
  socklen_t len = sizeof to;
  char answer[16];
  inet_pton(AF_INET, "127.0.0.2", &from.sin_addr);
  assert(gmx_listen_tcp("127.0.0.1", "0", NULL, &listener) == GMX_OK);
  assert(getsockname(gmx_poll_fd(listener), (struct sockaddr *)&to, &len) == 0);
  assert(gmx_waitgroup_go(&group, accepts, &listener) == GMX_OK);
  assert(connect_from(&from, &to, &conn) == GMX_OK);
  assert(ask(conn, "hello", answer, sizeof answer) == 5 && memcmp(answer, "hello", 5) == 0);
  gmx_close(conn);
  gmx_close(listener);
  gmx_waitgroup_wait(&group);
  assert(peer.sin_addr.s_addr == from.sin_addr.s_addr);
  assert(connect_from(&from, &to, &conn) == -ECONNREFUSED);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
