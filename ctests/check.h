/*
 * Checks, for all C tests. A test is a program: main calls RUN(test) for each of its functions and returns 0.
 *
 *   CHECK CHECK_EQ CHECK_CMP CHECK_STR CHECK_STATUS CHECK_OK   end the program unless what they say is so
 *   FAIL SKIP check_say                                        end it, leave it out, print a line
 *   RUN                                                        runs a function by its name, under a watchdog
 *   check_now MS SECOND HOUR                                   the clock of the tests, in nanoseconds
 *   spin_until                                                 waits without the library under test
 *
 * The other headers here: gs.h (the runtime and its Gs), thread.h (threads of the host), objects.h (channels, tokens,
 * timers), shared.h (words that threads share), seed.h (random numbers), stats.h (what the library tells about itself),
 * usage.h (what the process uses), child.h (a forked child), beside.h (what moves beside Gs that compute), ratchets.h
 * (what may not grow), unbounded.h (channels without a bound), faults.h (calls that fail).
 *
 * Every check works on any stack and thread: it writes with write(2) and leaves with _exit(1), so that neither a half
 * stopped scheduler nor an atexit handler can turn a failure into a hang.
 */
#ifndef GOMAX_CHECK_H
#define GOMAX_CHECK_H

#include <gomax.h>

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define CHECK_UNUSED __attribute__((__unused__))

/* ---- saying things ---- */

/* One write for each message, so that messages of several threads do not mix. Longer ones are cut. */
__attribute__((__format__(__printf__, 1, 2))) CHECK_UNUSED static void check_say(const char *format, ...) {
  char text[512];
  va_list args;
  va_start(args, format);
  int n = vsnprintf(text, sizeof text - 1, format, args);
  va_end(args);
  if (n < 0) n = 0;
  if (n > (int)sizeof text - 2) n = (int)sizeof text - 2;
  text[n] = '\n';
  if (write(2, text, (size_t)n + 1) < 0) _exit(1);
}

#define FAIL(...) (check_say("%s:%d: in %s:", __FILE__, __LINE__, __func__), check_say("  " __VA_ARGS__), _exit(1))
#define SKIP(...) (check_say(__VA_ARGS__), _exit(77))

/* ---- checks ---- */

#define CHECK(cond)                                 \
  do {                                              \
    if (!(cond)) FAIL("CHECK(%s) is false", #cond); \
  } while (0)

/* For integers and pointers. Each side is evaluated once. */
#define CHECK_EQ(a, b) CHECK_CMP(a, ==, b)
#define CHECK_CMP(a, op, b)                                                                         \
  do {                                                                                              \
    int64_t check_a = (int64_t)(a), check_b = (int64_t)(b);                                         \
    if (!(check_a op check_b))                                                                      \
      FAIL("%s %s %s, but they are %" PRId64 " and %" PRId64, #a, #op, #b, check_a, check_b); \
  } while (0)

#define CHECK_STR(a, b)                                                                        \
  do {                                                                                         \
    const char *check_a = (a), *check_b = (b);                                                 \
    if (!check_a || !check_b || strcmp(check_a, check_b) != 0)                                 \
      FAIL("%s is \"%s\", not \"%s\"", #a, check_a ? check_a : "NULL", check_b ? check_b : "NULL"); \
  } while (0)

#define CHECK_STATUS(expr, want)                                                                                 \
  do {                                                                                                           \
    gmx_status check_got = (gmx_status)(expr), check_want = (want);                                              \
    if (check_got != check_want)                                                                                 \
      FAIL("%s is %s (%d), not %s (%d)", #expr, gmx_err_name(check_got), (int)check_got, gmx_err_name(check_want), \
           (int)check_want);                                                                                     \
  } while (0)

#define CHECK_OK(expr) CHECK_STATUS(expr, GMX_OK)

/* ---- the clock ---- */

#define MS INT64_C(1000000)
#define SECOND INT64_C(1000000000)
#define HOUR (3600 * SECOND)

CHECK_UNUSED static int64_t check_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

/* ---- tests and their watchdog ---- */

static volatile const char *check_running = "main";

#define RUN(test)                                                      \
  do {                                                                 \
    check_running = #test;                                             \
    int64_t check_begin = check_now();                                 \
    test();                                                            \
    check_say("%s: %" PRId64 " ms", #test, (check_now() - check_begin) / 1000000); \
  } while (0)

CHECK_UNUSED static void check_alarm(int number) {
  static const char text[] = "watchdog: still running: ";
  const char *name = (const char *)check_running;
  (void)number;
  if (write(2, text, sizeof text - 1) < 0 || write(2, name, strlen(name)) < 0 || write(2, "\n", 1) < 0) _exit(1);
  abort();
}

/* Seconds that this program may take; GMX_TEST_TIMEOUT says. */
static int check_limit CHECK_UNUSED = 60;

/* Runs before main. The test runner has its own limit and shows every thread when it is reached; this one, somewhat
 * later, is for programs that are run by hand. */
__attribute__((__constructor__)) CHECK_UNUSED static void check_start(void) {
  const char *limit = getenv("GMX_TEST_TIMEOUT");
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = check_alarm;
  sigaction(SIGALRM, &action, NULL);
  if (limit && atoi(limit) > 0) check_limit = atoi(limit);
  alarm((unsigned)check_limit + 90);
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* the runner's gdb is a sibling */
}

/* ---- waiting without the library under test ---- */

/* Yields on a G and naps on a thread, so that a waiting thread does not take the CPU from the threads it waits for. */
CHECK_UNUSED static void check_pause(void) {
  if (gmx_goid() == 0 || gmx_yield() < 0) {
    struct timespec nap = {0, 50000};
    nanosleep(&nap, NULL);
  }
}

/* Waits until cond is true; fails loudly shortly before the program's time is up. */
#define spin_until(cond)                                                                   \
  do {                                                                                     \
    int64_t check_end = check_now() + check_limit * INT64_C(830000000);                    \
    while (!(cond)) {                                                                      \
      if (check_now() > check_end) FAIL("waited in vain for %s", #cond);                   \
      check_pause();                                                                       \
    }                                                                                      \
  } while (0)

#endif /* GOMAX_CHECK_H */
