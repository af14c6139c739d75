/* timeout: 120 */
/* What a host does to a whole process: it is stopped and continued while deadlines pass, and it closes all descriptors
 * that it did not open. */
#include "child.h"
#include "fds.h"

#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- stopped and continued ---- */

enum { WAITERS = 32 };
static int waits, timed_out, fired, ready_pipe[2];

static void waits_in_vain(void *arg) {
  struct pair *pair = (struct pair *)arg;
  char byte = 0;
  bump(&waits);
  CHECK_STATUS(gmx_read(pair->p[0], &byte, 1, 300 * MS), GMX_ETIMEDOUT);
  bump(&timed_out);
  CHECK_EQ(gmx_read(pair->p[0], &byte, 1, GMX_FOREVER), 1); /* no timeout is left over */
}

static void has_deadlines(void) {
  static struct pair pairs[WAITERS];
  gmx_g gs[WAITERS];
  for (int i = 0; i < WAITERS; i++) {
    pairs[i] = pair_of((enum pair_kind)(i % PAIR_KINDS));
    gs[i] = go_joinable(waits_in_vain, &pairs[i]);
    CHECK_OK(gmx_after_func(300 * MS, add_one, &fired, NULL));
  }
  spin_until(load(&waits) == WAITERS);
  feed(ready_pipe[1], "r", 1);
  spin_until(load(&timed_out) == WAITERS && load(&fired) == WAITERS);
  for (int i = 0; i < WAITERS; i++) feed(pairs[i].fd[1], "x", 1);
  join_all(gs, WAITERS);
  for (int i = 0; i < WAITERS; i++) pair_close(&pairs[i]);
  CHECK_CMP(load(&fired), ==, WAITERS);
}

/* The deadlines pass while the process stands still. */
static void each_deadline_fires_once_after_a_stop(void) {
  char byte;
  int status;
  CHECK(pipe2(ready_pipe, O_CLOEXEC) == 0);
  pid_t child = fork();
  CHECK_CMP(child, >=, 0);
  if (child == 0) {
    as_main(has_deadlines);
    ends_clean();
    _exit(0);
  }
  CHECK_EQ(read(ready_pipe[0], &byte, 1), 1);
  CHECK(kill(child, SIGSTOP) == 0);
  CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
  CHECK(WIFSTOPPED(status));
  thread_nap(600 * MS);
  CHECK(kill(child, SIGCONT) == 0);
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK_EQ(status, 0);
  CHECK(close(ready_pipe[0]) == 0 && close(ready_pipe[1]) == 0);
}

/* ---- all descriptors are closed ---- */

static void reads_what_is_closed(void *arg) {
  char byte;
  bump(&waits);
  CHECK_STATUS(gmx_read(((struct pair *)arg)->p[0], &byte, 1, GMX_FOREVER), GMX_EBADF);
}

/* Also those of the library. Each wait ends, each old handle says so, and new descriptors work. */
static void closes_all(void) {
  static struct pair pairs[WAITERS];
  gmx_g gs[WAITERS];
  char byte = 0;
  waits = 0;
  CHECK_CMP(gmx_host_fd(), >, 2);
  for (int i = 0; i < WAITERS; i++) {
    pairs[i] = pair_of((enum pair_kind)(i % PAIR_KINDS));
    gs[i] = go_joinable(reads_what_is_closed, &pairs[i]);
  }
  for (int i = 0; i < WAITERS; i++) spin_until(g_waits(gs[i]));
  CHECK(syscall(SYS_close_range, 3, ~0u, 0) == 0);
  join_all(gs, WAITERS);
  for (int i = 0; i < WAITERS; i++) {
    CHECK_STATUS(gmx_read(pairs[i].p[0], &byte, 1, GMX_FOREVER), GMX_EBADF);
    CHECK_STATUS(gmx_write(pairs[i].p[1], &byte, 1, GMX_FOREVER, NULL), GMX_EBADF);
  }
  struct pair new = pair_of(TCP);
  CHECK_STATUS(gmx_read(new.p[0], &byte, 1, MS), GMX_ETIMEDOUT);
  feed(new.fd[1], "x", 1);
  CHECK_EQ(gmx_read(new.p[0], &byte, 1, GMX_FOREVER), 1);
  pair_close(&new);
}

static void in_a_child(void *unused) {
  (void)unused;
  as_main(closes_all);
  ends_clean();
}

static void a_host_may_close_all_descriptors(void) {
  static child c;
  child_run(&c, 60, in_a_child, NULL);
  CHILD_OK(&c);
}

int main(void) {
  RUN(each_deadline_fires_once_after_a_stop);
  RUN(a_host_may_close_all_descriptors);
  return 0;
}
