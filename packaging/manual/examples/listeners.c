/* Examples of the manual: listeners. */
#include <gomax.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* example: gmx_listen_tcp */
static gmx_status listen_web(const char *port, gmx_poll *listener) {
  gmx_listen_opts opts = GMX_LISTEN_OPTS_INIT;
  opts.flags = GMX_ACCEPT_PATIENT; // without descriptors it waits, and does not fail
  gmx_status status = gmx_listen_tcp(NULL, port, &opts, listener); // IPv4 and IPv6
  if (status == -EADDRINUSE) fprintf(stderr, "another server has port %s\n", port);
  return status;
}
/* end */

/* example: gmx_udp_open */
#include <netinet/in.h>

// A socket for datagrams at a free port of this machine; which one?
static int open_any_port(gmx_poll *socket) {
  struct sockaddr_in at;
  socklen_t len = sizeof at;
  gmx_status status = gmx_udp_open("127.0.0.1", "0", NULL, socket);
  if (status != GMX_OK) return status;
  if (getsockname(gmx_poll_fd(*socket), (struct sockaddr *)&at, &len) == 0)
    return ntohs(at.sin_port);
  gmx_close(*socket);
  return GMX_EBADF;
}
/* end */

/* example: gmx_listen_unix */
static gmx_status listen_local(const char *path, gmx_poll *listener) {
  gmx_listen_opts opts = GMX_LISTEN_OPTS_INIT;
  opts.flags = GMX_LISTEN_UNLINK; // the file that a crashed server has left is removed
  gmx_status status = gmx_listen_unix(path, &opts, listener);
  if (status == -EADDRINUSE) fprintf(stderr, "a server answers at %s\n", path);
  return status;
}

static void stop_local(const char *path, gmx_poll listener) {
  if (unlink(path) != 0) perror(path); // gmx_close leaves the file
  gmx_close(listener);
}
/* end */

/* example: gmx_listen_inherit */
// The socket of systemd, if there is one; otherwise a socket of this process.
static gmx_status listen_somehow(const char *port, gmx_poll *listener) {
  gmx_status status = gmx_listen_inherit(0, listener);
  if (status == -ENOENT) return gmx_listen_tcp(NULL, port, NULL, listener);
  unsetenv("LISTEN_PID"); // not for programs that this one starts
  unsetenv("LISTEN_FDS");
  return status;
}
/* end */

static void all(void *arg) {
  (void)arg;
  char port[8];
  gmx_poll one, two;
  int n = open_any_port(&one);
  assert(n > 0 && gmx_close(one) == GMX_OK);
  assert(listen_somehow("0", &one) == GMX_OK);
  struct sockaddr_storage at;
  socklen_t len = sizeof at;
  assert(getsockname(gmx_poll_fd(one), (struct sockaddr *)&at, &len) == 0);
  snprintf(port, sizeof port, "%d", ntohs(((struct sockaddr_in6 *)&at)->sin6_port)); // as in IPv4
  assert(listen_web(port, &two) == -EADDRINUSE && gmx_close(one) == GMX_OK);
  assert(listen_web(port, &two) == GMX_OK && gmx_close(two) == GMX_OK);

  assert(listen_local("listen.tmp", &one) == GMX_OK && listen_local("listen.tmp", &two) == -EADDRINUSE);
  assert(gmx_close(one) == GMX_OK && access("listen.tmp", F_OK) == 0);
  assert(listen_local("listen.tmp", &one) == GMX_OK);
  stop_local("listen.tmp", one);
  assert(access("listen.tmp", F_OK) != 0);
}

static void inherits(void *arg) {
  (void)arg;
  char pid[16];
  gmx_poll one;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  if (fd != 3) assert(dup2(fd, 3) == 3 && close(fd) == 0); // the first one of the protocol
  assert(listen(3, 1) == 0);
  snprintf(pid, sizeof pid, "%d", getpid());
  setenv("LISTEN_PID", pid, 1);
  setenv("LISTEN_FDS", "1", 1);
  assert(listen_somehow("0", &one) == GMX_OK && gmx_poll_fd(one) == 3 && !getenv("LISTEN_FDS"));
  assert(gmx_close(one) == GMX_OK);
}

int main(void) {
  close(3); // so that the library does not have it
  int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (fd != 3) assert(dup2(fd, 3) == 3 && close(fd) == 0);
  assert(gmx_main(all, NULL) == GMX_OK);
  close(3);
  assert(gmx_main(inherits, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
