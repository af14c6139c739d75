/* timeout: 120 */
/* Calls of the system that a signal may interrupt, in Gs that compute between them and share a P, so that the library
 * takes it again and again: no call returns EINTR, and no sleep ends early. */
#include "beside.h"

#include <errno.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/time.h>

/* ctests/stress/hog_eintr.c takes longer. */
#ifndef EINTR_SECONDS
#define EINTR_SECONDS 0
#endif
#define SWITCHES 30

#define NAP (300 * INT64_C(1000))

static int64_t clock_at(clockid_t clock) {
  struct timespec t;
  CHECK(clock_gettime(clock, &t) == 0);
  return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static struct timespec time_of(int64_t ns) { return (struct timespec){(time_t)(ns / SECOND), (long)(ns % SECOND)}; }

/* ---- the calls: each of them as one hog makes it ---- */

struct sources {
  int pipe[2], sockets[2], epoll, semaphores, messages;
  sem_t sem;
  uint32_t word;
  aio_context_t aio;
  bool has_aio; /* not every kernel has it */
};

static void want(const char *name, bool good) {
  if (!good) FAIL("%s: %s", name, strerror(errno));
}

static void sleeps(const char *name, bool good, int64_t begin, int64_t least) {
  want(name, good);
  int64_t took = clock_at(CLOCK_MONOTONIC) - begin;
  if (took < least) FAIL("%s returned after %" PRId64 " ns, not %" PRId64, name, took, least);
}

static void calls_nanosleep(struct sources *s) {
  (void)s;
  struct timespec t = time_of(NAP);
  int64_t begin = clock_at(CLOCK_MONOTONIC);
  sleeps("nanosleep", nanosleep(&t, NULL) == 0, begin, NAP);
}
static void calls_usleep(struct sources *s) {
  (void)s;
  int64_t begin = clock_at(CLOCK_MONOTONIC);
  sleeps("usleep", usleep(NAP / 1000) == 0, begin, NAP);
}
static void calls_poll(struct sources *s) {
  struct pollfd p = {s->sockets[0], POLLIN, 0};
  int64_t begin = clock_at(CLOCK_MONOTONIC);
  sleeps("poll", poll(&p, 1, 1) == 0, begin, MS);
}
static void calls_ppoll(struct sources *s) {
  struct pollfd p = {s->sockets[0], POLLIN, 0};
  struct timespec t = time_of(NAP);
  sigset_t none;
  CHECK(sigemptyset(&none) == 0);
  int64_t begin = clock_at(CLOCK_MONOTONIC);
  sleeps("ppoll", ppoll(&p, 1, &t, &none) == 0, begin, NAP);
}
static void calls_epoll_wait(struct sources *s) {
  struct epoll_event event;
  int64_t begin = clock_at(CLOCK_MONOTONIC);
  sleeps("epoll_wait", epoll_wait(s->epoll, &event, 1, 1) == 0, begin, MS);
}
static void calls_select(struct sources *s) {
  struct timeval t = {0, NAP / 1000};
  fd_set set;
  FD_ZERO(&set);
  FD_SET(s->sockets[0], &set);
  int64_t begin = clock_at(CLOCK_MONOTONIC);
  sleeps("select", select(s->sockets[0] + 1, &set, NULL, NULL, &t) == 0, begin, NAP);
}
static void calls_semtimedop(struct sources *s) {
  struct sembuf take = {0, -1, 0};
  struct timespec t = time_of(NAP);
  if (s->semaphores < 0) return;
  int r = semtimedop(s->semaphores, &take, 1, &t);
  want("semtimedop", r == -1 && errno == EAGAIN);
}
/* A thread of the host sends. */
static void calls_msgrcv(struct sources *s) {
  struct {
    long type;
    char text[8];
  } message;
  if (s->messages < 0) return;
  want("msgrcv", msgrcv(s->messages, &message, sizeof message.text, 0, 0) == sizeof message.text);
}
static void calls_read(struct sources *s) {
  char byte;
  want("read", read(s->pipe[0], &byte, 1) == 1);
}
static void calls_recv(struct sources *s) {
  char byte;
  ssize_t n = recv(s->sockets[0], &byte, 1, 0);
  want("recv", n == -1 && errno == EAGAIN);
}
static void calls_sem_timedwait(struct sources *s) {
  int64_t until = clock_at(CLOCK_REALTIME) + NAP;
  struct timespec t = time_of(until);
  int r = sem_timedwait(&s->sem, &t);
  want("sem_timedwait", r == -1 && errno == ETIMEDOUT);
}
static void calls_futex(struct sources *s) {
  struct timespec t = time_of(NAP);
  int64_t begin = clock_at(CLOCK_MONOTONIC);
  long r = syscall(SYS_futex, &s->word, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
  sleeps("futex", r == -1 && errno == ETIMEDOUT, begin, NAP);
}
/* Nothing was submitted. */
static void calls_io_getevents(struct sources *s) {
  struct io_event event;
  struct timespec t = time_of(NAP);
  if (!s->has_aio) return;
  int64_t begin = clock_at(CLOCK_MONOTONIC);
  sleeps("io_getevents", syscall(SYS_io_getevents, s->aio, 1L, 1L, &event, &t) == 0, begin, NAP);
}
/* A thread that is nearly always in the kernel, on its way to sleep. */
enum { MANY = 500 };
static void calls_poll_with_many(struct sources *s) {
  struct pollfd p[MANY];
  for (int i = 0; i < MANY; i++) p[i] = (struct pollfd){s->sockets[0], POLLIN, 0};
  want("poll of many", poll(p, MANY, 0) == 0);
  want("poll of many", poll(p, MANY, 1) == 0);
}

static void (*const calls[])(struct sources *) = {
    calls_nanosleep, calls_usleep,     calls_poll,          calls_ppoll, calls_epoll_wait,
    calls_select,    calls_semtimedop, calls_msgrcv,        calls_read,  calls_recv,
    calls_sem_timedwait, calls_futex,  calls_io_getevents, calls_poll_with_many,
};
#define CALLS (sizeof calls / sizeof *calls)
static long made[CALLS];

/* ---- what they wait for ---- */

static void sources_open(struct sources *s) {
  struct timeval t = {0, 1000};
  struct epoll_event event = {.events = EPOLLIN};
  memset(s, 0, sizeof *s);
  CHECK(pipe(s->pipe) == 0);
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, s->sockets) == 0);
  CHECK(setsockopt(s->sockets[0], SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t) == 0);
  CHECK_CMP(s->epoll = epoll_create1(0), >=, 0);
  CHECK(epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->sockets[0], &event) == 0);
  CHECK(sem_init(&s->sem, 0, 0) == 0);
  s->has_aio = syscall(SYS_io_setup, 1L, &s->aio) == 0;
  if (!s->has_aio) CHECK(errno == ENOSYS || errno == EPERM || errno == EAGAIN);
  s->semaphores = semget(IPC_PRIVATE, 1, 0600);
  s->messages = msgget(IPC_PRIVATE, 0600);
  if (s->semaphores < 0 || s->messages < 0) check_say("  not all of System V's calls: %s", strerror(errno));
  if (!s->has_aio) check_say("  no io_getevents here");
}

static void sources_close(struct sources *s) {
  if (s->semaphores >= 0) CHECK(semctl(s->semaphores, 0, IPC_RMID) == 0);
  if (s->messages >= 0) CHECK(msgctl(s->messages, IPC_RMID, NULL) == 0);
  if (s->has_aio) CHECK(syscall(SYS_io_destroy, s->aio) == 0);
  const int fds[] = {s->pipe[0], s->pipe[1], s->sockets[0], s->sockets[1], s->epoll};
  for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) CHECK(close(fds[i]) == 0);
}

static int fed_out;
static void *feeds(void *arg) {
  struct sources *s = arg;
  struct {
    long type;
    char text[8];
  } message = {1, "message"};
  while (!load(&fed_out)) {
    thread_nap(NAP);
    /* without a wait: a full queue has enough */
    if (s->messages >= 0 && msgsnd(s->messages, &message, sizeof message.text, IPC_NOWAIT) != 0)
      CHECK_EQ(errno, EAGAIN);
    struct pollfd room = {s->pipe[1], POLLOUT, 0};
    if (poll(&room, 1, 0) == 1) CHECK_EQ(write(s->pipe[1], "x", 1), 1);
  }
  return NULL;
}

/* ---- hogs ---- */

static void computes_and_calls(void *arg) {
  struct sources *s = arg;
  swap_begin();
  for (size_t i = 0; swap_on(); i = (i + 1) % CALLS) {
    for (int64_t end = check_now() + 20000; check_now() < end;) continue;
    calls[i](s);
    bump(&made[i]);
  }
}

static void computes(void *arg) {
  (void)arg;
  swap_begin();
  while (swap_on()) continue;
}

static void no_call_is_interrupted(void) {
  static struct sources sources[2];
  pthread_t feeders[2];
  gmx_g g[3];
  store(&fed_out, 0);
  swap_start(3, SWITCHES, check_now() + (int64_t)(EINTR_SECONDS * 1e9));
  for (int i = 0; i < 2; i++) {
    sources_open(&sources[i]);
    feeders[i] = thread_start(feeds, &sources[i]);
    g[i] = go_joinable(computes_and_calls, &sources[i]);
  }
  g[2] = go_joinable(computes, NULL);
  join_all(g, 3);
  store(&fed_out, 1);
  for (int i = 0; i < 2; i++) {
    thread_join(feeders[i]);
    sources_close(&sources[i]);
  }
  swap_end();
  long least = made[0];
  for (size_t i = 1; i < CALLS; i++) least = made[i] < least ? made[i] : least;
  check_say("  each call %ld times", least);
}

int main(void) {
  check_limit += (int)EINTR_SECONDS; /* for spin_until */
  start_runtime(1, MS);
  RUN(no_call_is_interrupted);
  ends_clean();
  return 0;
}
