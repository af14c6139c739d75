/* What the caller has set is kept: O_NONBLOCK, MSG_DONTWAIT, timeouts of sockets and of calls; tokens end waits. */
#include "shim.h"

#include <sys/select.h>
#include <sys/un.h>
#include <sys/uio.h>
#include <sys/wait.h>

static int fd[2];
static char bytes[1 << 20];

/* ---- O_NONBLOCK ---- */

static void a_nonblocking_descriptor_never_waits(void) {
  struct sockaddr_in at;
  for (enum pair_kind kind = PIPE; kind < PAIR_KINDS; kind++) {
    shim_pair(fd, kind);
    for (int i = 0; i < 2; i++) CHECK(fcntl(fd[i], F_SETFL, fcntl(fd[i], F_GETFL) | O_NONBLOCK) == 0);
    struct iovec v = {bytes, sizeof bytes};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    CHECK_FAILS(read(fd[0], bytes, 4), EAGAIN);
    CHECK_FAILS(readv(fd[0], &v, 1), EAGAIN);
    if (kind != PIPE) {
      CHECK_FAILS(recv(fd[0], bytes, 4, 0), EAGAIN);
      CHECK_FAILS(recv(fd[0], bytes, 4, MSG_WAITALL), EAGAIN);
      CHECK_FAILS(recvmsg(fd[0], &msg, 0), EAGAIN);
      while (send(fd[1], bytes, sizeof bytes, 0) > 0) {
      }
      CHECK_EQ(last_errno(), EAGAIN);
      CHECK_FAILS(sendmsg(fd[1], &msg, 0), EAGAIN);
    }
    while (write(fd[1], bytes, sizeof bytes) > 0) {
    }
    CHECK_EQ(last_errno(), EAGAIN);
    CHECK_FAILS(writev(fd[1], &v, 1), EAGAIN);
    close(fd[0]);
    close(fd[1]);
  }
  int l = listener(&at, 1);
  CHECK(fcntl(l, F_SETFL, fcntl(l, F_GETFL) | O_NONBLOCK) == 0);
  CHECK_FAILS(accept(l, NULL, NULL), EAGAIN);
  close(l);
}

static void a_flag_of_the_call_counts_as_well(void) {
  shim_pair(fd, UNIX);
  CHECK_FAILS(recv(fd[0], bytes, 4, MSG_DONTWAIT), EAGAIN);
  CHECK_FAILS(recvfrom(fd[0], bytes, 4, MSG_DONTWAIT, NULL, NULL), EAGAIN);
  while (send(fd[1], bytes, sizeof bytes, MSG_DONTWAIT) > 0) {
  }
  CHECK_EQ(last_errno(), EAGAIN);
  close(fd[0]);
  close(fd[1]);
}

/* ---- timeouts ---- */

static void timeout(int s, int option, long ms) {
  struct timeval t = {ms / 1000, ms % 1000 * 1000};
  CHECK(setsockopt(s, SOL_SOCKET, option, &t, sizeof t) == 0);
}

static void timeouts_of_sockets_are_kept(void) {
  for (enum pair_kind kind = UNIX; kind < PAIR_KINDS; kind++) {
    shim_pair(fd, kind);
    timeout(fd[0], SO_RCVTIMEO, 20);
    timeout(fd[1], SO_SNDTIMEO, 20);
    int64_t begin = check_now();
    CHECK_FAILS(recv(fd[0], bytes, 4, 0), EAGAIN);
    CHECK_FAILS(read(fd[0], bytes, 4), EAGAIN);
    CHECK_CMP(check_now() - begin, >=, 40 * MS);
    ssize_t n, sent = 0;
    while ((n = send(fd[1], bytes, sizeof bytes, 0)) > 0) sent += n;
    CHECK_EQ(n, -1);
    CHECK_EQ(last_errno(), EAGAIN);
    /* The part that went counts. */
    ssize_t back = 0;
    while (back < sent) {
      n = recv(fd[0], bytes, sizeof bytes, 0);
      CHECK_CMP(n, >, 0);
      back += n;
    }
    CHECK_EQ(back, sent);
    CHECK_FAILS(recv(fd[0], bytes, 1, 0), EAGAIN);
    CHECK_EQ(write(fd[1], "ab", 2), 2);
    CHECK_EQ(recv(fd[0], bytes, 4, MSG_WAITALL), 2);
    close(fd[0]);
    close(fd[1]);
  }
}

static void timeouts_of_calls_are_kept(void) {
  shim_pair(fd, UNIX);
  struct pollfd f = {fd[0], POLLIN, 7};
  int64_t begin = check_now();
  CHECK_EQ(poll(&f, 1, 0), 0);
  CHECK_EQ(poll(&f, 1, 20), 0);
  CHECK_EQ(f.revents, 0);
  struct timespec t = {0, 20000000};
  CHECK_EQ(ppoll(&f, 1, &t, NULL), 0);
  CHECK_EQ(t.tv_nsec, 20000000);
  CHECK_EQ(poll(NULL, 0, 20), 0);
  fd_set in;
  FD_ZERO(&in);
  FD_SET(fd[0], &in);
  struct timeval left = {0, 20000};
  CHECK_EQ(select(fd[0] + 1, &in, NULL, NULL, &left), 0);
  CHECK(!FD_ISSET(fd[0], &in));
  CHECK_EQ(left.tv_sec * 1000000 + left.tv_usec, 0);
  CHECK_EQ(pselect(0, NULL, NULL, NULL, &t, NULL), 0);
  CHECK_CMP(check_now() - begin, >=, 100 * MS);
  /* What is wrong is wrong. */
  t.tv_nsec = -1;
  CHECK_FAILS(ppoll(&f, 1, &t, NULL), EINVAL);
  struct pollfd *volatile nowhere = (struct pollfd *)8;
  CHECK_FAILS(poll(nowhere, 1, 20), EFAULT);
  f.fd = 1 << 20;
  CHECK_EQ(poll(&f, 1, -1), 1);
  CHECK_EQ(f.revents, POLLNVAL);
  FD_ZERO(&in);
  close(fd[1]);
  FD_SET(fd[1], &in);
  CHECK_FAILS(select(fd[1] + 1, &in, NULL, NULL, NULL), EBADF);
  FD_ZERO(&in);
  FD_SET(1000, &in); /* beyond the table of descriptors: the system does not look there */
  CHECK_EQ(select(1001, &in, NULL, NULL, &(struct timeval){0, 1000}), 0);
  CHECK_FAILS(select(-1, NULL, NULL, NULL, NULL), EINVAL);
  CHECK_FAILS(recv(1 << 20, bytes, 1, 0), EBADF);
  CHECK_FAILS(read(1 << 20, bytes, 1), EBADF);
  CHECK_FAILS(write(1 << 20, bytes, 1), EBADF);
  int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  CHECK_FAILS(recv(null, bytes, 1, 0), ENOTSOCK);
  CHECK_EQ(read(null, bytes, 1), 0);
  close(null);
  close(fd[0]);
}

/* ---- the end of the other end ---- */

static void ends_are_told(void) {
  shim_pair(fd, UNIX);
  close(fd[1]);
  CHECK_EQ(recv(fd[0], bytes, 4, 0), 0);
  CHECK_EQ(read(fd[0], bytes, 4), 0);
  CHECK_FAILS(send(fd[0], bytes, 4, MSG_NOSIGNAL), EPIPE);
  close(fd[0]);
  shim_pair(fd, PIPE);
  close(fd[1]);
  CHECK_EQ(read(fd[0], bytes, 4), 0);
  close(fd[0]);
  shim_pair(fd, PIPE);
  close(fd[0]);
  signal(SIGPIPE, SIG_IGN);
  CHECK_FAILS(write(fd[1], bytes, sizeof bytes), EPIPE);
  close(fd[1]);
}

/* ---- messages keep their borders ---- */

static void sends_two(void *unused) {
  (void)unused;
  CHECK_EQ(send(fd[1], "first", 5, 0), 5);
  CHECK_EQ(send(fd[1], "", 0, 0), 0);
  CHECK_EQ(send(fd[1], "third", 5, 0), 5);
}

static void datagrams_come_one_by_one(void) {
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fd) == 0);
  gmx_g g = go_joinable(sends_two, NULL);
  CHECK_EQ(recv(fd[0], bytes, sizeof bytes, 0), 5);
  CHECK_EQ(read(fd[0], bytes, sizeof bytes), 0);
  CHECK_EQ(recv(fd[0], bytes, 2, MSG_TRUNC), 5);
  join(g);
  close(fd[0]);
  close(fd[1]);
}

/* A queue that is full is full for one receiver: poll does not tell. */
static void drains(void *queue) {
  for (int i = 0; i < 100; i++) CHECK_EQ(recv(*(int *)queue, bytes, 4, 0), 1);
}
static void fills(void *to) {
  int s = new_socket(AF_UNIX, SOCK_DGRAM);
  for (int i = 0; i < 100; i++) CHECK_EQ(sendto(s, "x", 1, 0, to, sizeof(struct sockaddr_un)), 1);
  close(s);
}
static void a_full_queue_of_a_receiver(void) {
  struct sockaddr_un at = {.sun_family = AF_UNIX};
  snprintf(at.sun_path + 1, sizeof at.sun_path - 1, "gomax-%d", getpid());
  int s = new_socket(AF_UNIX, SOCK_DGRAM);
  CHECK(bind(s, (struct sockaddr *)&at, sizeof at) == 0);
  gmx_g f = go_joinable(fills, &at), d = go_joinable(drains, &s);
  join(f);
  join(d);
  close(s);
}

/* ---- tokens ---- */

static void is_canceled(void *token) {
  gmx_cancel before;
  struct pollfd f = {fd[0], POLLIN, 0};
  CHECK_OK(gmx_cancel_use(*(gmx_cancel *)token, &before));
  CHECK_FAILS(recv(fd[0], bytes, 4, 0), ECANCELED);
  CHECK_FAILS(poll(&f, 1, -1), ECANCELED);
  CHECK_FAILS(usleep(1000), ECANCELED);
  CHECK_EQ(sleep(100), 99);
  CHECK_OK(gmx_cancel_use(before, &before));
}

static void a_token_ends_waits(void) {
  gmx_cancel token = new_token(0, GMX_FOREVER);
  shim_pair(fd, UNIX);
  gmx_g g = go_joinable(is_canceled, &token);
  when_waiting(1);
  CHECK_OK(gmx_cancel_now(token));
  join(g);
  gmx_cancel_free(token);
  close(fd[0]);
  close(fd[1]);
}

/* ---- children ---- */

static void a_child_of_fork_begins_without(void) {
  shim_pair(fd, UNIX);
  pid_t child = fork();
  if (child == 0) {
    char c;
    ssize_t n = recv(fd[0], &c, 1, 0);
    close(fd[0]);
    _exit(n == 1 ? 0 : 1);
  }
  CHECK_EQ(write(fd[1], "x", 1), 1);
  int how;
  CHECK_EQ(waitpid(child, &how, 0), child);
  CHECK_EQ(how, 0);
  close(fd[0]);
  close(fd[1]);
}

static void wrong_groups_are_refused(void) {
  CHECK_STATUS(gmx_posix_enable(64), GMX_EINVAL);
  CHECK_STATUS(gmx_posix_release(), GMX_EPERM);
}

int main(void) {
  for (int procs = 0; procs <= 4; procs += 4) {
    if (procs) begin_shared(procs);
    else begin_parked();
    RUN_G(a_nonblocking_descriptor_never_waits);
    RUN_G(a_flag_of_the_call_counts_as_well);
    RUN_G(timeouts_of_sockets_are_kept);
    RUN_G(timeouts_of_calls_are_kept);
    RUN_G(ends_are_told);
    RUN_G(datagrams_come_one_by_one);
    RUN_G(a_full_queue_of_a_receiver);
    RUN_G(a_token_ends_waits);
    RUN_G(a_child_of_fork_begins_without);
    RUN_G(wrong_groups_are_refused);
    end_all();
  }
  return 0;
}
