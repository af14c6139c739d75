/*
 * For tests of events that end a process, or of the state that a process starts with: a forked child whose output is
 * caught. RUN_CHILD runs a function in a child that must end well; child_start, child_read, child_end and child_run are
 * its parts, CHILD_OK, CHILD_SAID and CHILD_FAIL the checks, and count_in counts a word in what it said.
 *
 * A test forks before the library runs, unless the fork itself is the subject. The child executes no program, so that
 * this works under emulators, and as another user that cannot read the program. */
#ifndef GOMAX_CHILD_H
#define GOMAX_CHILD_H

#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>

typedef struct child {
  pid_t pid;
  int in, out; /* its stdin; its stdout and stderr */
  int status;  /* as of waitpid */
  size_t len;
  char text[1 << 17]; /* what it said, and a NUL */
} child;

CHECK_UNUSED static void child_start(child *c, void (*fn)(void *), void *arg) {
  int in[2], out[2];
  CHECK(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
  memset(c, 0, sizeof *c);
  c->pid = fork();
  CHECK(c->pid >= 0);
  if (c->pid == 0) {
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    /* This is the main thread now, whose class all threads of the library get. Of a real-time class, on one CPU, a G
     * that computes would leave none to the watchdog. */
    struct sched_param normal;
    memset(&normal, 0, sizeof normal);
    sched_setscheduler(0, SCHED_OTHER, &normal);
    dup2(in[0], 0);
    dup2(out[1], 1);
    dup2(out[1], 2);
    close(in[1]);
    close(out[0]);
    alarm(300);
    fn(arg);
    _exit(0);
  }
  close(in[0]);
  close(out[1]);
  c->in = in[1];
  c->out = out[0];
}

/* Waits for more words. False at their end. */
CHECK_UNUSED static bool child_read(child *c, int64_t deadline) {
  for (;;) {
    struct pollfd p = {c->out, POLLIN, 0};
    int64_t left = deadline - check_now();
    if (left <= 0) {
      char gdb[128];
      snprintf(gdb, sizeof gdb, "timeout -k 5 60 gdb --nx --batch -p %d -ex 'thread apply all bt 20' 1>&2 2>/dev/null",
               (int)c->pid);
      if (write(2, c->text, c->len) < 0 || system(gdb) < 0) check_say("no backtrace");
      kill(c->pid, SIGKILL);
      FAIL("a child process hangs; above is what it said, and its threads");
    }
    int n = poll(&p, 1, (int)(left / 1000000) + 1);
    if (n < 0 && errno != EINTR) FAIL("poll: %s", strerror(errno));
    if (n <= 0) continue;
    char more[4096];
    ssize_t got = read(c->out, more, sizeof more);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    size_t room = sizeof c->text - 1 - c->len;
    size_t keep = (size_t)got < room ? (size_t)got : room;
    memcpy(c->text + c->len, more, keep);
    c->len += keep;
    c->text[c->len] = 0;
    return true;
  }
}

CHECK_UNUSED static void child_end(child *c, int seconds) {
  int64_t deadline = check_now() + seconds * INT64_C(1000000000);
  while (child_read(c, deadline)) {
  }
  close(c->in);
  close(c->out);
  CHECK(waitpid(c->pid, &c->status, 0) == c->pid);
}

/* Runs fn in a child to its end, however that looks. */
CHECK_UNUSED static void child_run(child *c, int seconds, void (*fn)(void *), void *arg) {
  child_start(c, fn, arg);
  child_end(c, seconds);
}

#define CHILD_FAIL(c, ...) \
  (write(2, (c)->text, (c)->len) < 0 ? _exit(1) : (void)0, check_say("child's wait status is %#x", (c)->status), FAIL(__VA_ARGS__))

#define CHILD_OK(c)                                                \
  do {                                                             \
    if ((c)->status != 0) CHILD_FAIL(c, "the child above failed"); \
  } while (0)

#define CHILD_SAID(c, words)                                                                  \
  do {                                                                                        \
    if (!strstr((c)->text, words)) CHILD_FAIL(c, "the child above did not say \"%s\"", words); \
  } while (0)

/* As RUN, but fn(arg) runs in a child, which must end well within so many seconds. */
#define RUN_CHILD(seconds, fn, arg)           \
  do {                                        \
    static child run_child;                   \
    child_run(&run_child, seconds, fn, arg);  \
    CHILD_OK(&run_child);                     \
  } while (0)

/* How often a text has a word. */
CHECK_UNUSED static int count_in(const char *text, const char *word) {
  int n = 0;
  for (const char *at = text; (at = strstr(at, word)) != NULL; at++) n++;
  return n;
}

#endif /* GOMAX_CHILD_H */
