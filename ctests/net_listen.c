/* timeout: 120 */
/* Listeners that the library makes: addresses, options, files of Unix sockets, sockets from the starter. */
#include "child.h"
#include "fds.h"

#include <arpa/inet.h>
#include <sys/stat.h>

static void close_by_exec_and_not_waiting(gmx_poll p) {
  int fd = gmx_poll_fd(p);
  CHECK_CMP(fd, >=, 0);
  CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static int option(gmx_poll p, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  CHECK(getsockopt(gmx_poll_fd(p), level, name, &value, &size) == 0);
  return value;
}

static struct sockaddr_storage address_of(gmx_poll p) {
  struct sockaddr_storage at;
  socklen_t size = sizeof at;
  memset(&at, 0, sizeof at);
  CHECK(getsockname(gmx_poll_fd(p), (struct sockaddr *)&at, &size) == 0);
  return at;
}

static in_port_t port_of(gmx_poll p) {
  struct sockaddr_storage at = address_of(p);
  return at.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&at)->sin6_port : ((struct sockaddr_in *)&at)->sin_port;
}

/* A client of the system, which need not wait. -1: refused. */
static int calls(int family, in_port_t port) {
  struct sockaddr_in4_or_6 {
    union {
      struct sockaddr_in v4;
      struct sockaddr_in6 v6;
    } u;
  } at;
  memset(&at, 0, sizeof at);
  socklen_t size = family == AF_INET ? sizeof at.u.v4 : sizeof at.u.v6;
  if (family == AF_INET) at.u.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  else at.u.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&at, size) != 0) {
    CHECK(close(fd) == 0);
    return -1;
  }
  return fd;
}

static bool has_ipv6(void) {
  struct sockaddr_in6 at = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool has = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0;
  if (fd >= 0) CHECK(close(fd) == 0);
  return has;
}

static void takes_one(gmx_poll l, int client) {
  gmx_poll p = 0;
  char byte = 0;
  CHECK_CMP(client, >=, 0);
  CHECK_OK(gmx_accept(l, &p, NULL, NULL, GMX_FOREVER));
  feed(client, "x", 1);
  CHECK_EQ(gmx_read(p, &byte, 1, GMX_FOREVER), 1);
  close_fd(p);
  CHECK(close(client) == 0);
}

/* ---- TCP ---- */

static void listens(void *unused) {
  (void)unused;
  gmx_poll l = 0, second = 0;
  CHECK_OK(gmx_listen_tcp("127.0.0.1", "0", NULL, &l)); /* the library has descriptors of its own now */
  close_fd(l);
  long before = open_fds();
  CHECK_OK(gmx_listen_tcp("127.0.0.1", "0", NULL, &l));
  close_by_exec_and_not_waiting(l);
  CHECK_EQ(option(l, SOL_SOCKET, SO_REUSEADDR), 1);
  CHECK_EQ(option(l, SOL_SOCKET, SO_ACCEPTCONN), 1);
  takes_one(l, calls(AF_INET, port_of(l)));
  /* The same port again. */
  char port[8];
  snprintf(port, sizeof port, "%d", ntohs(port_of(l)));
  CHECK_STATUS(gmx_listen_tcp("127.0.0.1", port, NULL, &second), -EADDRINUSE);
  CHECK_STATUS(gmx_listen_tcp(NULL, port, NULL, &second), -EADDRINUSE);
  close_fd(l);
  CHECK_OK(gmx_listen_tcp("127.0.0.1", port, NULL, &l));
  close_fd(l);
  CHECK_STATUS(gmx_listen_tcp("192.0.2.1", port, NULL, &l), -EADDRNOTAVAIL);
  CHECK_STATUS(gmx_listen_tcp("127.0.0.1", port, &(gmx_listen_opts){.backlog = -1}, &l), GMX_EINVAL);
  CHECK_STATUS(gmx_listen_tcp("127.0.0.1", port, &(gmx_listen_opts){.flags = GMX_LISTEN_UNLINK}, &l), GMX_EINVAL);
  CHECK_STATUS(gmx_listen_tcp("127.0.0.1", port, &(gmx_listen_opts){.timeout = -1}, &l), GMX_EINVAL);
  CHECK_OK(gmx_listen_tcp("localhost", "0", NULL, &l));
  close_fd(l);
  CHECK_EQ(open_fds(), before);
}

static void listens_everywhere(void) {
  for (int place = 0; place < PLACES; place++) {
    struct placed placed;
    place_start(&placed, place, listens, NULL);
    place_join(&placed);
  }
}

/* All addresses: of both families if the system has both, or of one. */
static void all_addresses_are_those_of_both_families(void) {
  bool v6 = has_ipv6();
  gmx_poll l = 0;
  CHECK_OK(gmx_listen_tcp(NULL, "0", NULL, &l));
  takes_one(l, calls(AF_INET, port_of(l)));
  if (v6) {
    CHECK_EQ(address_of(l).ss_family, AF_INET6);
    CHECK_EQ(option(l, IPPROTO_IPV6, IPV6_V6ONLY), 0);
    takes_one(l, calls(AF_INET6, port_of(l)));
    close_fd(l);
    gmx_listen_opts only = {.flags = GMX_LISTEN_V6ONLY};
    CHECK_OK(gmx_listen_tcp(NULL, "0", &only, &l));
    CHECK_EQ(option(l, IPPROTO_IPV6, IPV6_V6ONLY), 1);
    takes_one(l, calls(AF_INET6, port_of(l)));
    CHECK_EQ(calls(AF_INET, port_of(l)), -1);
  } else check_say("  there is no IPv6 here");
  close_fd(l);
}

static void several_listeners_have_one_port(void) {
  gmx_listen_opts opts = {.flags = GMX_LISTEN_REUSEPORT | GMX_ACCEPT_PATIENT, .backlog = 3};
  gmx_poll l[3];
  char port[8] = "0";
  for (int i = 0; i < 3; i++) {
    CHECK_OK(gmx_listen_tcp("127.0.0.1", port, &opts, &l[i]));
    CHECK_EQ(option(l[i], SOL_SOCKET, SO_REUSEPORT), 1);
    snprintf(port, sizeof port, "%d", ntohs(port_of(l[i])));
  }
  for (int i = 0; i < 3; i++) close_fd(l[i]);
}

/* ---- UDP ---- */

static void datagrams_come_to_an_address(void) {
  gmx_poll p[2];
  char text[4];
  CHECK_OK(gmx_udp_open(NULL, "0", NULL, &p[0]));
  CHECK_OK(gmx_udp_open("127.0.0.1", "0", NULL, &p[1]));
  close_by_exec_and_not_waiting(p[0]);
  CHECK_EQ(option(p[0], SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
  CHECK_EQ(option(p[0], SOL_SOCKET, SO_REUSEADDR), 0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = port_of(p[0]), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  CHECK_EQ(gmx_sendto(p[1], "abc", 3, 0, (struct sockaddr *)&to, sizeof to, GMX_FOREVER), 3);
  CHECK_EQ(gmx_recv(p[0], text, sizeof text, 0, GMX_FOREVER), 3);
  char port[8];
  snprintf(port, sizeof port, "%d", ntohs(port_of(p[1])));
  gmx_poll second;
  CHECK_STATUS(gmx_udp_open("127.0.0.1", port, NULL, &second), -EADDRINUSE);
  close_fd(p[0]);
  close_fd(p[1]);
}

/* ---- unix ---- */

static int calls_unix(const char *path) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  size_t n = strlen(path);
  memcpy(at.sun_path, path, n);
  if (path[0] == '@') at.sun_path[0] = 0;
  else n++;
  int fd = new_socket(AF_UNIX, SOCK_STREAM);
  if (connect(fd, (struct sockaddr *)&at, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) != 0) {
    CHECK(close(fd) == 0);
    return -1;
  }
  return fd;
}

static void unix_listeners_have_paths_and_names(void) {
  char path[64], name[64], at_file[64], long_[200];
  gmx_listen_opts opts = {.flags = GMX_LISTEN_UNLINK | GMX_ACCEPT_PATIENT};
  gmx_poll l, second;
  struct stat is;
  snprintf(path, sizeof path, "/tmp/gomax-net-listen-%d", (int)getpid());
  snprintf(name, sizeof name, "@gomax-net-listen-%d", (int)getpid());
  snprintf(at_file, sizeof at_file, "/tmp/gomax-net-file-%d", (int)getpid());
  long before = open_fds();
  CHECK_OK(gmx_listen_unix(name, NULL, &l));
  close_by_exec_and_not_waiting(l);
  takes_one(l, calls_unix(name));
  CHECK_STATUS(gmx_listen_unix(name, &opts, &second), -EADDRINUSE);
  close_fd(l);
  CHECK_OK(gmx_listen_unix(name, NULL, &l)); /* there is no file to be in the way */
  close_fd(l);
  for (int i = 0; i < 2; i++) {
    CHECK_OK(gmx_listen_unix(path, i ? &opts : NULL, &l));
    takes_one(l, calls_unix(path));
    CHECK_STATUS(gmx_listen_unix(path, NULL, &second), -EADDRINUSE);
    CHECK_STATUS(gmx_listen_unix(path, &opts, &second), -EADDRINUSE); /* it answers: that was a connection */
    char none;
    CHECK_OK(gmx_accept(l, &second, NULL, NULL, GMX_FOREVER));
    CHECK_EQ(gmx_read(second, &none, 1, GMX_FOREVER), 0);
    close_fd(second);
    takes_one(l, calls_unix(path));
    close_fd(l);
    CHECK_EQ(calls_unix(path), -1);
    CHECK_STATUS(gmx_listen_unix(path, NULL, &second), -EADDRINUSE);
  }
  CHECK(unlink(path) == 0);
  /* Other files stay. */
  int file = open(at_file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  CHECK(file >= 0 && close(file) == 0);
  CHECK_STATUS(gmx_listen_unix(at_file, &opts, &second), -EADDRINUSE);
  CHECK(stat(at_file, &is) == 0 && S_ISREG(is.st_mode));
  CHECK(unlink(at_file) == 0);
  CHECK_STATUS(gmx_listen_unix("/no/such/directory", &opts, &second), -ENOENT);
  memset(long_, 'x', sizeof long_);
  for (size_t n = 106; n < 110; n++) {
    long_[0] = '@';
    long_[n] = 0;
    if (n > 107) CHECK_STATUS(gmx_listen_unix(long_, NULL, &l), -ENAMETOOLONG);
    else {
      CHECK_OK(gmx_listen_unix(long_, NULL, &l));
      takes_one(l, calls_unix(long_));
      close_fd(l);
    }
    long_[n] = 'x';
  }
  CHECK_EQ(open_fds(), before);
}

/* ---- from the starter ---- */

static void inherits(void *unused) {
  (void)unused;
  gmx_poll p = 0;
  struct sockaddr_in at;
  char number[16];
  snprintf(number, sizeof number, "%d", (int)getpid());
  int fd = listener(&at, 4), spare = dup(fd);
  CHECK(fd >= 0 && spare >= 0);
  CHECK(dup2(spare, 3) == 3 && dup2(spare, 4) == 4); /* not closed by exec */
  CHECK_STATUS(gmx_listen_inherit(0, &p), -ENOENT);
  CHECK(setenv("LISTEN_FDS", "2", 1) == 0);
  CHECK_STATUS(gmx_listen_inherit(0, &p), -ENOENT);
  CHECK(setenv("LISTEN_PID", "1", 1) == 0);
  CHECK_STATUS(gmx_listen_inherit(0, &p), -ENOENT);
  CHECK(setenv("LISTEN_PID", number, 1) == 0);
  CHECK_STATUS(gmx_listen_inherit(2, &p), -ENOENT);
  CHECK_STATUS(gmx_listen_inherit(SIZE_MAX, &p), -ENOENT);
  CHECK_STATUS(gmx_listen_inherit(0, NULL), GMX_EINVAL);
  CHECK(fcntl(4, F_GETFD) == 0);
  CHECK_OK(gmx_listen_inherit(1, &p));
  CHECK_EQ(gmx_poll_fd(p), 4);
  CHECK(fcntl(4, F_GETFD) & FD_CLOEXEC);
  CHECK_STR(getenv("LISTEN_FDS"), "2");
  int c = connect_to(&at);
  takes_one(p, c);
  close_fd(p);
  CHECK_STATUS(gmx_listen_inherit(1, &p), GMX_EBADF);
  CHECK(setenv("LISTEN_FDS", "two", 1) == 0);
  CHECK_STATUS(gmx_listen_inherit(0, &p), -ENOENT);
}

static void in_a_child(void *unused) {
  (void)unused;
  start_runtime(1, 0);
  CHECK_OK(gmx_main(inherits, NULL));
  end_runtime();
}

static void sockets_come_from_the_starter(void) {
  static child c;
  child_run(&c, 60, in_a_child, NULL);
  if (c.status != 0) FAIL("status %#x; it said: %s", (unsigned)c.status, c.text);
}

/* ---- without descriptors ---- */

static void without_descriptors_they_say_so(void) {
  gmx_poll p = 0;
  CHECK_OK(gmx_listen_tcp("127.0.0.1", "0", NULL, &p)); /* the library has its own */
  close_fd(p);
  long before = open_fds();
  fds_left(0);
  CHECK_STATUS(gmx_listen_tcp("127.0.0.1", "0", NULL, &p), -EMFILE);
  CHECK_STATUS(gmx_listen_unix("@gomax", NULL, &p), -EMFILE);
  CHECK_STATUS(gmx_udp_open("127.0.0.1", "0", NULL, &p), -EMFILE);
  CHECK_STATUS(gmx_dial("tcp", "127.0.0.1", "1", NULL, GMX_FOREVER, &p), -EMFILE);
  CHECK_STATUS(gmx_dial("unix", "@gomax", NULL, NULL, GMX_FOREVER, &p), -EMFILE);
  fds_again();
  CHECK_EQ(open_fds(), before);
}

int main(void) {
  RUN(sockets_come_from_the_starter);
  CHECK(more_fds(1000));
  start_runtime(1, 0);
  WITH_SOME_PS {
    RUN_G(listens_everywhere);
    RUN_G(all_addresses_are_those_of_both_families);
    RUN_G(several_listeners_have_one_port);
    RUN_G(datagrams_come_to_an_address);
    RUN_G(unix_listeners_have_paths_and_names);
    RUN_G(without_descriptors_they_say_so);
  }
  ends_clean();
  return 0;
}
