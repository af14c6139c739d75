/* errno of a call that parked and failed is right on the thread where the call returns; and in a function that keeps
 * the address of errno over the call, if the G is held or tied to its thread. `posix/errno_check.py` tells the two
 * functions apart (ci/posix.sh). */
#include "shim.h"

#include <sys/time.h>

enum { GS = 64, MIGRATIONS = 10000, ROUNDS = 50 };

/* As the compiler likes: it asks for the address once. */
__attribute__((__noinline__)) int keeps_address(int fd, char *c) {
  errno = 0;
  ssize_t n = recv(fd, c, 1, 0);
  return n < 0 ? errno : 0;
}

/* errno is asked for in another function, after the call. */
__attribute__((__noinline__)) int asks_again(int fd, char *c) {
  set_errno(0);
  ssize_t n = recv(fd, c, 1, 0);
  return n < 0 ? last_errno() : 0;
}

static int pairs[GS][2], migrations;

/* Each thread has another errno, which is none of these. */
static void spoil(intptr_t i) { set_errno(5000 + (int)i); }

static void migrates(void *index) {
  intptr_t i = (intptr_t)index;
  char c;
  while (load(&migrations) < MIGRATIONS) {
    int before = thread_id();
    CHECK_EQ(asks_again(pairs[i][0], &c), EAGAIN);
    if (thread_id() != before) bump(&migrations);
    spoil(i);
    CHECK_OK(gmx_yield());
  }
}
static void is_tied(void *index) {
  intptr_t i = (intptr_t)index;
  char c;
  for (int round = 0; round < ROUNDS; round++) {
    if (i % 2) CHECK_OK(gmx_posix_hold());
    else CHECK_OK(gmx_lock_os_thread());
    CHECK_EQ(keeps_address(pairs[i][0], &c), EAGAIN);
    CHECK_EQ(asks_again(pairs[i][0], &c), EAGAIN);
    if (i % 2) CHECK_OK(gmx_posix_release());
    else CHECK_OK(gmx_unlock_os_thread());
    spoil(i);
    CHECK_OK(gmx_yield());
  }
}

static void on_all(void (*fn)(void *)) {
  gmx_g gs[GS];
  for (intptr_t i = 0; i < GS; i++) gs[i] = go_joinable(fn, (void *)i);
  join_all(gs, GS);
}
static void errno_is_right_after_a_migration(void) { on_all(migrates); }
static void errno_is_right_without_one(void) { on_all(is_tied); }

int main(void) {
  struct timeval ms = {0, 1000};
  for (int i = 0; i < GS; i++) {
    shim_pair(pairs[i], UNIX);
    CHECK(setsockopt(pairs[i][0], SOL_SOCKET, SO_RCVTIMEO, &ms, sizeof ms) == 0);
  }
  begin_shared(4);
  RUN_G(errno_is_right_after_a_migration);
  RUN_G(errno_is_right_without_one);
  end_all();
  return 0;
}
