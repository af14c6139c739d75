/* Examples of the manual: names. */
#include <gomax.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* example: gmx_getaddrinfo */
#include <netdb.h>

// Writes the first address of a host, as a number.
static gmx_status first_address(const char *host, char *to, size_t size) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
  gmx_status status = gmx_getaddrinfo(host, NULL, &hints, &list, 5000000000);
  if (status == GMX_EAI_NONAME) snprintf(to, size, "there is no %s", host);
  if (status != GMX_OK) return status; // GMX_EAI_AGAIN: the server does not answer
  int error = getnameinfo(list->ai_addr, list->ai_addrlen, to, (socklen_t)size, NULL, 0,
                          NI_NUMERICHOST);
  freeaddrinfo(list); // the list is the caller's, as that of getaddrinfo
  return error == 0 ? GMX_OK : GMX_EINVAL;
}
/* end */

/* example: gmx_dial */
// Connects to the first of a name's addresses that answers, and says hello.
static gmx_status greet(const char *host, const char *port, int64_t timeout) {
  gmx_poll conn;
  int64_t end = gmx_deadline(timeout);
  gmx_status status = gmx_dial("tcp", host, port, NULL, timeout, &conn);
  if (status != GMX_OK) {
    fprintf(stderr, "%s port %s: %s\n", host, port, gmx_strerror(status));
    return status; // of the name, GMX_EAI_*; or of the first address, -ECONNREFUSED
  }
  status = gmx_write(conn, "hello\n", 6, gmx_time_left(end), NULL);
  gmx_close(conn);
  return status;
}
/* end */

static void all(void *arg) {
  (void)arg;
  char text[64], port[8];
  assert(first_address("127.0.0.1", text, sizeof text) == GMX_OK && strcmp(text, "127.0.0.1") == 0);
  assert(first_address("localhost", text, sizeof text) == GMX_OK);
  assert(strcmp(text, "127.0.0.1") == 0 || strcmp(text, "::1") == 0);

  struct sockaddr_storage at;
  socklen_t len = sizeof at;
  gmx_poll listener, conn;
  assert(gmx_listen_tcp("127.0.0.1", "0", NULL, &listener) == GMX_OK);
  assert(getsockname(gmx_poll_fd(listener), (struct sockaddr *)&at, &len) == 0);
  assert(getnameinfo((struct sockaddr *)&at, len, NULL, 0, port, sizeof port, NI_NUMERICSERV) == 0);
  assert(greet("localhost", port, 10000000000) == GMX_OK);
  assert(gmx_accept(listener, &conn, NULL, NULL, GMX_FOREVER) == GMX_OK);
  assert(gmx_read_full(conn, text, 6, GMX_FOREVER, NULL) == GMX_OK && memcmp(text, "hello\n", 6) == 0);
  gmx_close(conn);
  gmx_close(listener);
  assert(greet("127.0.0.1", port, 10000000000) == -ECONNREFUSED);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
