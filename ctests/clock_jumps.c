/* flags: -rdynamic */
/* The clock on the wall is set, far forward and back, all the time: nothing ends too early, and nothing hangs. The
 * program's own functions stand in front of those of the C library, for the library as well. */
#include "fds.h"

#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

static int asked;

static int64_t wall_jumps(void) {
  static const int64_t jumps[] = {0, 1000000000, -1000000000, 3600, -3600, 1, -1};
  int n = __atomic_fetch_add(&asked, 1, __ATOMIC_RELAXED);
  return jumps[(unsigned)n % (sizeof jumps / sizeof jumps[0])];
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  int result = (int)syscall(SYS_clock_gettime, clock, at);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI))
    at->tv_sec += wall_jumps();
  return result;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
  (void)zone;
  struct timespec now;
  int result = clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec, at->tv_usec = now.tv_nsec / 1000;
  return result;
}

time_t time(time_t *at) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec;
  return now.tv_sec;
}

#define WAIT (5 * MS)

/* `call` returns `status`, and not before its time. */
#define LASTS(call, status)                             \
  do {                                                  \
    int64_t before = check_now();                       \
    CHECK_STATUS(call, status);                         \
    CHECK_CMP(check_now() - before, >=, WAIT);          \
  } while (0)

static void *waits_of_every_kind(void *unused) {
  (void)unused;
  char byte;
  struct pair pair = pair_of(UNIX);
  uint32_t ready, sema = 0;
  gmx_chan *c = NULL;
  CHECK_OK(gmx_chan_new(1, 0, &c));
  for (int i = 0; i < 20; i++) {
    LASTS(gmx_sleep(WAIT), GMX_OK);
    LASTS(gmx_sema_acquire_timeout(&sema, WAIT), GMX_ETIMEDOUT);
    LASTS(gmx_chan_recv_timeout(c, &byte, WAIT), GMX_ETIMEDOUT);
    LASTS(gmx_read(pair.p[0], &byte, 1, WAIT), GMX_ETIMEDOUT);
    LASTS(gmx_wait_fd(gmx_poll_fd(pair.p[0]), GMX_POLL_IN, WAIT, &ready), GMX_ETIMEDOUT);
    int64_t begin = check_now();
    CHECK_OK(gmx_poll_set_deadline(pair.p[0], GMX_POLL_IN, gmx_now() + WAIT));
    CHECK_STATUS(gmx_read(pair.p[0], &byte, 1, GMX_FOREVER), GMX_ETIMEDOUT);
    CHECK_CMP(check_now() - begin, >=, WAIT);
    CHECK_OK(gmx_poll_set_deadline(pair.p[0], GMX_POLL_IN, GMX_FOREVER));
  }
  CHECK_OK(gmx_chan_free(c));
  pair_close(&pair);
  return NULL;
}

static void a_ticker_ticks(void) {
  gmx_timer t = 0;
  gmx_chan *c = NULL;
  int64_t at, begin = gmx_now();
  CHECK_OK(gmx_timer_new(MS, MS, &t, &c));
  for (int i = 1; i <= 20; i++) {
    CHECK_OK(gmx_chan_recv(c, &at));
    CHECK_CMP(at, >=, begin + i * MS);
  }
  CHECK_CMP(timer_free(t), >=, 0);
  CHECK_OK(gmx_chan_free(c));
}

static void on_gs(void) {
  waits_of_every_kind(NULL);
  a_ticker_ticks();
}

static void on_threads_of_the_host(void) {
  pthread_t t[3];
  for (int i = 0; i < 3; i++) t[i] = thread_start(waits_of_every_kind, NULL);
  for (int i = 0; i < 3; i++) thread_join(t[i]);
}

int main(void) {
  start_runtime(2, MS);
  RUN_G(on_gs);
  RUN(on_threads_of_the_host);
  ends_clean();
  start_runtime(2, MS); /* the end waits for threads */
  RUN_G(on_gs);
  ends_clean();
  CHECK_CMP(asked, >, 0); /* the library, or the C library for it, has asked the jumping clock */
  return 0;
}
