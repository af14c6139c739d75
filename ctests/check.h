/*
 * Shared by all C tests. A test is a program: main calls RUN(test) for each of its functions and returns 0.
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

/* ---- tests and their watchdog ---- */

static volatile const char *check_running = "main";

#define RUN(test)                                                      \
  do {                                                                 \
    check_running = #test;                                             \
    int64_t check_begin = check_now();                                 \
    test();                                                            \
    check_say("%s: %" PRId64 " ms", #test, (check_now() - check_begin) / 1000000); \
  } while (0)

CHECK_UNUSED static int64_t check_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

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

/* ---- timers: 1 if the call prevented a firing, 0 if not, or an error ---- */

CHECK_UNUSED static gmx_status prevented(gmx_status s, bool stopped) { return s == GMX_OK ? stopped : s; }
CHECK_UNUSED static gmx_status timer_stop(gmx_timer t) {
  bool stopped = false;
  gmx_status s = gmx_timer_stop(t, &stopped);
  return prevented(s, stopped);
}
CHECK_UNUSED static gmx_status timer_free(gmx_timer t) {
  bool stopped = false;
  gmx_status s = gmx_timer_free(t, &stopped);
  return prevented(s, stopped);
}
CHECK_UNUSED static gmx_status timer_reset(gmx_timer t, int64_t delay, int64_t period) {
  bool stopped = false;
  gmx_status s = gmx_timer_reset(t, delay, period, &stopped);
  return prevented(s, stopped);
}
CHECK_UNUSED static gmx_status ticker_reset(gmx_timer t, int64_t period) {
  bool stopped = false;
  gmx_status s = gmx_ticker_reset(t, period, &stopped);
  return prevented(s, stopped);
}

/* ---- foreign threads ---- */

CHECK_UNUSED static pthread_t thread_start(void *(*fn)(void *), void *arg) {
  pthread_t thread;
  int error = pthread_create(&thread, NULL, fn, arg);
  if (error) FAIL("pthread_create: %s", strerror(error));
  return thread;
}

CHECK_UNUSED static void *thread_join(pthread_t thread) {
  void *result = NULL;
  int error = pthread_join(thread, &result);
  if (error) FAIL("pthread_join: %s", strerror(error));
  return result;
}

/* ---- tokens ---- */

/* Why a token is canceled, or why the reason cannot be told. */
CHECK_UNUSED static gmx_status reason_of(gmx_cancel token) {
  gmx_status reason = GMX_OK, status = gmx_cancel_reason(token, &reason);
  return status == GMX_OK ? reason : status;
}

#endif /* GOMAX_CHECK_H */
