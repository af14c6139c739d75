/* Handles are closed, and their numbers used again, under readers, writers and waiters that still have the old ones. */
/* timeout: 120 */
#define _GNU_SOURCE 1
#include "gs.h"

#include <errno.h>
#include <sys/socket.h>

enum { SLOTS = 8, USERS = 20, CLOSERS = 3, ROUNDS = 2000 };

static gmx_poll slots[SLOTS];
static int closers, over;
static long outcomes[3]; /* closed, timed out, done */
static long opened, closed;

static gmx_poll swap(unsigned at, gmx_poll p) { return __atomic_exchange_n(&slots[at % SLOTS], p, __ATOMIC_ACQ_REL); }

/* One of those that close a handle at the same time succeeds. */
static void closes_one(gmx_poll p) {
  gmx_status s = gmx_close(p);
  if (s == GMX_OK) bump(&closed);
  else CHECK_STATUS(s, GMX_EBADF);
  CHECK_STATUS(gmx_close(p), GMX_EBADF);
}

static void use(unsigned *turn) {
  unsigned i = ++*turn;
  gmx_poll p = load(&slots[i * 2654435761u / 7 % SLOTS]);
  char buf[64] = {0};
  uint32_t ready;
  gmx_status s = 0;
  if (i % 100 == 0) closes_one(p);
  switch (i % 7) {
    case 0: s = gmx_read(p, buf, sizeof buf, MS); break;
    case 1: s = gmx_write(p, buf, 10, MS, NULL); break;
    case 2: s = gmx_poll_wait(p, GMX_POLL_IN, MS, &ready); break;
    case 3: s = gmx_poll_set_deadline(p, GMX_POLL_IN | GMX_POLL_OUT, i % 3 ? gmx_now() + MS / 100 : GMX_FOREVER); break;
    case 4: s = gmx_read(p, buf, 5, GMX_FOREVER); break;
    case 5: s = gmx_recv(p, buf, 1, 0, 0); break;
    case 6: s = gmx_poll_fd(p); break;
  }
  if (s == GMX_EBADF) bump(&outcomes[0]);
  else if (s == GMX_ETIMEDOUT) bump(&outcomes[1]);
  else if (s >= 0 || s == GMX_EPIPE || s == -ECONNRESET) bump(&outcomes[2]);
  else FAIL("%s (%d)", gmx_err_name(s), s);
}

static void uses(void *arg) {
  for (unsigned turn = (unsigned)(uintptr_t)arg; !load(&over);) use(&turn);
}

static void *uses_as_a_thread(void *arg) {
  uses(arg);
  return arg;
}

static void closes(void *arg) {
  unsigned turn = (unsigned)(uintptr_t)arg;
  for (int i = 0; i < ROUNDS; i++, turn++) {
    int fds[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    for (int k = 0; k < 2; k++) {
      gmx_poll p;
      CHECK_OK(gmx_poll_open(fds[k], 0, &p));
      bump(&opened);
      gmx_poll old = swap(turn + (unsigned)k, p);
      if (old) closes_one(old);
    }
    CHECK_OK(gmx_yield());
  }
  if (bump(&closers) + 1 == CLOSERS) store(&over, 1);
}

/* A reader without a timeout waits until its handle is closed. */
static void closes_the_rest(void) {
  for (unsigned i = 0; i < SLOTS; i++) {
    gmx_poll old = swap(i, 0);
    if (old) closes_one(old);
  }
}

static void race(void) {
  closers = over = 0;
  gmx_g gs[USERS + CLOSERS];
  int n = 0;
  for (; n < USERS; n++) gs[n] = go_joinable(uses, (void *)(uintptr_t)n);
  for (; n < USERS + CLOSERS; n++) gs[n] = go_joinable(closes, (void *)(uintptr_t)n);
  pthread_t threads[2] = {thread_start(uses_as_a_thread, (void *)5), thread_start(uses_as_a_thread, (void *)9)};
  while (!load(&over)) CHECK_OK(gmx_sleep(MS));
  closes_the_rest();
  join_all(gs, n);
  for (int i = 0; i < 2; i++) thread_join(threads[i]);
  check_say("  closed %ld, timed out %ld, done %ld", outcomes[0], outcomes[1], outcomes[2]);
  CHECK_EQ(opened, closed);
  CHECK(outcomes[0] > 0 && outcomes[1] > 0 && outcomes[2] > 0);
}

int main(void) {
  static const int procs[] = {1, 2, 16};
  for (int i = 0; i < 3; i++) {
    start_runtime(procs[i], 0);
    RUN_G(race);
    end_runtime();
  }
  return 0;
}
