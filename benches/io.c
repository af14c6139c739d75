/*
 * Descriptors, files, processes and names: what a server does for each request, and beside it. Both ends of each case
 * are in this process; benches/net.py measures servers with clients of their own. The same in Go: peers/go/io.go.
 */
#include "bench.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALL = 32, MESSAGE = 64, BLOCK = 4096, FILE_SIZE = 64 << 20 };
static const int64_t LATER = 10ll * 1000000000;

static void system_must(int fine, const char *call) {
  if (fine) return;
  perror(call);
  _exit(1);
}

static gmx_poll handle_of(int fd) {
  gmx_poll p;
  must(gmx_poll_open(fd, 0, &p));
  return p;
}

/* ---- there and back ---- */

struct ends {
  gmx_poll in, out;
  int64_t timeout;
};

static void echoes(void *arg) {
  struct ends *e = arg;
  char text[SMALL];
  while (must(gmx_read(e->in, text, SMALL, e->timeout)) > 0) must(gmx_write(e->out, text, SMALL, e->timeout, NULL));
}

static void there_and_back(struct ends *here, struct ends *there) {
  char text[SMALL] = {0};
  must(gmx_spawn(echoes, there));
  start();
  for (long i = 0; i < n; i++) {
    must(gmx_write(here->out, text, SMALL, here->timeout, NULL));
    must(gmx_read(here->in, text, SMALL, here->timeout));
  }
  report_each((double)n);
}

static void pipe_pingpong(void) {
  static struct ends here, there;
  int to[2], back[2];
  system_must(pipe(to) == 0 && pipe(back) == 0, "pipe");
  here = (struct ends){handle_of(back[0]), handle_of(to[1]), GMX_FOREVER};
  there = (struct ends){handle_of(to[0]), handle_of(back[1]), GMX_FOREVER};
  there_and_back(&here, &there);
}

static void unix_pingpong_for(int64_t timeout) {
  static struct ends here, there;
  int fd[2];
  system_must(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0, "socketpair");
  here.in = here.out = handle_of(fd[0]);
  there.in = there.out = handle_of(fd[1]);
  here.timeout = there.timeout = timeout;
  there_and_back(&here, &there);
}
static void unix_pingpong(void) { unix_pingpong_for(GMX_FOREVER); }
static void unix_pingpong_timeout(void) { unix_pingpong_for(LATER); }

/* ---- a deadline that is moved before each read, and never comes ---- */

static void set_deadline(void) {
  int fd[2];
  system_must(socketpair(AF_UNIX, SOCK_STREAM, 0, fd) == 0, "socketpair");
  gmx_poll p = handle_of(fd[0]);
  start();
  for (long i = 0; i < n; i++) must(gmx_poll_set_deadline(p, GMX_POLL_IN, gmx_now() + LATER));
  report_each((double)n);
}

/* ---- connections that last for one echo ---- */

static struct sockaddr_in at;

static void serves(void *arg) {
  gmx_poll p = (gmx_poll)(uintptr_t)arg;
  char text[SMALL];
  while (gmx_read(p, text, SMALL, GMX_FOREVER) > 0) must(gmx_write(p, text, SMALL, GMX_FOREVER, NULL));
  must(gmx_close(p)); /* behind a reset */
}

static void accepts(void *arg) {
  gmx_poll l = (gmx_poll)(uintptr_t)arg, p;
  for (;;) {
    must(gmx_accept(l, &p, NULL, NULL, GMX_FOREVER));
    must(gmx_spawn(serves, (void *)(uintptr_t)p));
  }
}

static gmx_poll connected(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  system_must(fd >= 0, "socket");
  /* No port waits for stray segments. */
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
  gmx_poll p = handle_of(fd);
  must(gmx_connect(p, (struct sockaddr *)&at, sizeof at, GMX_FOREVER));
  return p;
}

static void listens(void (*each)(void *)) {
  gmx_poll l;
  socklen_t size = sizeof at;
  must(gmx_listen_tcp("127.0.0.1", "0", NULL, &l));
  system_must(getsockname(gmx_poll_fd(l), (struct sockaddr *)&at, &size) == 0, "getsockname");
  must(gmx_spawn(each, (void *)(uintptr_t)l));
}

static void clients(void *arg) {
  char text[SMALL] = {0};
  for (long i = 0; i < n / m; i++) {
    gmx_poll p = connected();
    must(gmx_write(p, text, SMALL, GMX_FOREVER, NULL));
    must(gmx_read(p, text, SMALL, GMX_FOREVER));
    must(gmx_close(p));
  }
  done(arg);
}

static void shared_by(void (*body)(void *)) {
  must(gmx_waitgroup_add(&group, (int32_t)m));
  start();
  for (long i = 0; i < m; i++) must(gmx_spawn(body, &group));
  must(gmx_waitgroup_wait(&group));
  report_each((double)(n / m * m));
}

static void connect_echo_close(void) {
  listens(accepts);
  shared_by(clients);
}

/* ---- datagrams ---- */

static void returns_datagrams(void *arg) {
  gmx_poll p = (gmx_poll)(uintptr_t)arg;
  char text[MESSAGE];
  struct sockaddr_in from;
  for (;;) {
    uint32_t size = sizeof from;
    must(gmx_recvfrom(p, text, MESSAGE, 0, (struct sockaddr *)&from, &size, GMX_FOREVER));
    must(gmx_sendto(p, text, MESSAGE, 0, (struct sockaddr *)&from, size, GMX_FOREVER));
  }
}

static void udp_pingpong(void) {
  gmx_poll here, there;
  socklen_t size = sizeof at;
  char text[MESSAGE] = {0};
  must(gmx_udp_open("127.0.0.1", "0", NULL, &here));
  must(gmx_udp_open("127.0.0.1", "0", NULL, &there));
  system_must(getsockname(gmx_poll_fd(there), (struct sockaddr *)&at, &size) == 0, "getsockname");
  must(gmx_spawn(returns_datagrams, (void *)(uintptr_t)there));
  start();
  for (long i = 0; i < n; i++) {
    must(gmx_sendto(here, text, MESSAGE, 0, (struct sockaddr *)&at, size, GMX_FOREVER));
    must(gmx_recv(here, text, MESSAGE, 0, GMX_FOREVER));
  }
  report_each((double)n);
}

/* ---- files ---- */

static gmx_poll file_of(size_t bytes) {
  char path[] = "/tmp/gmxbench.XXXXXX";
  int fd = mkstemp(path);
  system_must(fd >= 0 && unlink(path) == 0, path);
  char *block = array(1, 1 << 20);
  for (size_t i = 0; i < bytes >> 20; i++) system_must(write(fd, block, 1 << 20) == 1 << 20, "write");
  free(block);
  return handle_of(fd);
}

static void pread_cached(void) {
  gmx_poll p = file_of(FILE_SIZE);
  char *block = array(1, BLOCK);
  uint32_t at_block = 1;
  start();
  for (long i = 0; i < n; i++) {
    at_block = at_block * 1664525 + 1013904223;
    must(gmx_pread(p, block, BLOCK, (int64_t)(at_block % (FILE_SIZE / BLOCK)) * BLOCK));
  }
  report_each((double)n);
}

static void drops_all(void *arg) {
  gmx_poll l = (gmx_poll)(uintptr_t)arg, p;
  char *block = array(1, 1 << 18);
  must(gmx_accept(l, &p, NULL, NULL, GMX_FOREVER));
  while (must(gmx_read(p, block, 1 << 18, GMX_FOREVER)) > 0) continue;
}

static void file_to_socket(void) {
  gmx_poll f = file_of(1 << 20);
  listens(drops_all);
  gmx_poll p = connected();
  start();
  for (long i = 0; i < n; i++) {
    uint64_t went = 0;
    system_must(lseek(gmx_poll_fd(f), 0, SEEK_SET) == 0, "lseek");
    must(gmx_copy(f, p, 1 << 20, &went, GMX_FOREVER));
    if (went != 1 << 20) wrong(GMX_EINVAL, "a short copy");
  }
  report_each((double)n);
}

/* ---- processes and names ---- */

static void spawns(void *arg) {
  for (long i = 0; i < n / m; i++) {
    gmx_process_opts opts = {.struct_size = sizeof opts, .path = "/bin/true"};
    gmx_process child;
    int32_t status;
    must(gmx_spawn_process(&opts, &child));
    must(gmx_process_wait(child, &status, GMX_FOREVER));
    must(gmx_process_release(child));
    if (status != 0) wrong(GMX_EINVAL, "/bin/true");
  }
  done(arg);
}

static void looks_up(void *arg) {
  for (long i = 0; i < n / m; i++) {
    struct addrinfo *list, hints = {.ai_socktype = SOCK_STREAM};
    must(gmx_getaddrinfo("localhost", NULL, &hints, &list, GMX_FOREVER));
    freeaddrinfo(list);
  }
  done(arg);
}

static void spawn_true(void) { shared_by(spawns); }
static void look_up_localhost(void) { shared_by(looks_up); }

const struct bench io_suite[] = {
    {"pipe_pingpong", pipe_pingpong, false, "N round trips by two pipes"},
    {"unix_pingpong", unix_pingpong, false, "N round trips by a Unix socket"},
    {"unix_pingpong_timeout", unix_pingpong_timeout, false, "N round trips, each call with a timeout"},
    {"set_deadline", set_deadline, false, "N deadlines that never come"},
    {"connect_echo_close", connect_echo_close, false, "N connections of TCP, M at a time, an echo each"},
    {"udp_pingpong", udp_pingpong, false, "N datagrams there and back"},
    {"pread_cached", pread_cached, false, "N blocks of 4 KiB of a file in memory"},
    {"file_to_socket", file_to_socket, false, "N times 1 MiB of a file in memory"},
    {"spawn_true", spawn_true, false, "N processes, M at a time"},
    {"look_up_localhost", look_up_localhost, false, "N names, by M Gs"},
    {0},
};
