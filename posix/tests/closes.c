/* close, dup2 and dup3 end the waits for the number that they close, with EBADF; other numbers are left alone. */
#include "shim.h"

enum how { CLOSE, DUP2, DUP3, HOWS };
static int fd[2], other, bad;
static enum pair_kind kind;
static struct sockaddr_in at;

static void waits_in_recv(void *unused) {
  char c;
  (void)unused;
  CHECK_FAILS(recv(fd[0], &c, 1, 0), EBADF);
  bump(&bad);
}
static void waits_in_read(void *unused) {
  char c;
  (void)unused;
  CHECK_FAILS(read(fd[0], &c, 1), EBADF);
  bump(&bad);
}
static void waits_in_send(void *unused) {
  static char much[4 << 20];
  (void)unused;
  while (send(fd[0], much, sizeof much, 0) > 0) {
  }
  /* A send of which a part has gone tells that part, and the next one is made on what is there now. */
  CHECK(last_errno() == EBADF || last_errno() == ENOTSOCK);
  bump(&bad);
}
static void waits_in_accept(void *unused) {
  (void)unused;
  CHECK_FAILS(accept(fd[0], NULL, NULL), EBADF);
  bump(&bad);
}

static void ends(enum how how) {
  if (how == CLOSE) CHECK_EQ(close(fd[0]), 0);
  if (how == DUP2) CHECK_EQ(dup2(other, fd[0]), fd[0]);
  if (how == DUP3) CHECK_EQ(dup3(other, fd[0], O_CLOEXEC), fd[0]);
}
static void ends_by(void *how) { ends(*(enum how *)how); }
static void host_ends(void *how) { on_thread(ends_by, how); }

static void each_way_ends(void (*waits)(void *)) {
  enum { N = 40 };
  gmx_g gs[N];
  other = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (enum how how = CLOSE; how < HOWS; how++) {
    for (int host = 0; host < 2; host++) {
      if (waits == waits_in_accept) fd[0] = listener(&at, 1), fd[1] = -1;
      else shim_pair(fd, kind);
      store(&bad, 0);
      for (int i = 0; i < N; i++) gs[i] = go_joinable(waits, NULL);
      when_waiting(N);
      CHECK_EQ(load(&bad), 0);
      if (host) CHECK_OK(gmx_blocking(host_ends, &how)); /* close waits until the waits have ended: the P is theirs */
      else ends(how);
      join_all(gs, N);
      CHECK_EQ(load(&bad), N);
      if (how != CLOSE) CHECK_EQ(close(fd[0]), 0);
      if (fd[1] >= 0) CHECK_EQ(close(fd[1]), 0);
    }
  }
  close(other);
}

static void readers_end(void) {
  for (kind = PIPE; kind < PAIR_KINDS; kind++) {
    if (kind != PIPE) each_way_ends(waits_in_recv);
    each_way_ends(waits_in_read);
  }
}
static void writers_end(void) {
  kind = UNIX;
  each_way_ends(waits_in_send);
}
static void acceptors_end(void) { each_way_ends(waits_in_accept); }

static void gets_x(void *from) {
  char c = 0;
  CHECK_EQ(recv(*(int *)from, &c, 1, 0), 1);
  CHECK_EQ(c, 'x');
}

/* 64 numbers further stands in the same list. */
static void other_numbers_wait_on(void) {
  int two[2], far;
  shim_pair(fd, UNIX);
  CHECK_CMP(far = fcntl(fd[0], F_DUPFD_CLOEXEC, fd[0] + 64), ==, fd[0] + 64);
  shim_pair(two, UNIX);
  gmx_g a = go_joinable(gets_x, &two[0]), b = go_joinable(waits_in_recv, NULL), c = go_joinable(gets_x, &far);
  when_waiting(3);
  store(&bad, 0);
  CHECK_EQ(close(fd[0]), 0);
  join(b);
  CHECK_EQ(load(&bad), 1);
  CHECK_EQ(dup2(two[0], two[0]), two[0]);
  CHECK_FAILS(dup2(1 << 20, two[0]), EBADF);
  CHECK_FAILS(dup3(two[0], two[0], 0), EINVAL);
  when_waiting(2);
  CHECK_EQ(write(two[1], "x", 1), 1);
  CHECK_EQ(write(fd[1], "x", 1), 1);
  join(a);
  join(c);
  close(far);
  close(fd[1]);
  close(two[0]);
  close(two[1]);
  CHECK_FAILS(close(far), EBADF);
}

/* A number that is used again at once: its new waiter is not the old one. */
static void numbers_are_used_again(void) {
  for (int i = 0; i < 2000; i++) {
    shim_pair(fd, UNIX);
    int now = fd[0];
    store(&bad, 0);
    gmx_g g = go_joinable(waits_in_recv, NULL);
    when_waiting(1);
    CHECK_EQ(close(fd[0]), 0);
    CHECK_EQ(close(fd[1]), 0);
    join(g);
    int next[2];
    shim_pair(next, UNIX);
    gmx_g h = go_joinable(gets_x, &next[0]);
    if (i == 0) CHECK_EQ(next[0], now);
    when_waiting(1);
    CHECK_EQ(write(next[1], "x", 1), 1);
    join(h);
    CHECK_EQ(close(next[0]), 0);
    CHECK_EQ(close(next[1]), 0);
  }
}

int main(void) {
  for (int procs = 0; procs <= 4; procs += 4) {
    if (procs) begin_shared(procs);
    else begin_parked();
    RUN_G(readers_end);
    RUN_G(writers_end);
    RUN_G(acceptors_end);
    RUN_G(other_numbers_wait_on);
    RUN_G(numbers_are_used_again);
    end_all();
  }
  return 0;
}
