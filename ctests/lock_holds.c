/* The time for which the library's shared locks are held does not grow with the number of Gs. It is counted in steps
 * (elements of lists and tables that the holder looks at), which debug builds of the library report with
 * GMXDEBUG=locks=1. With another build there is nothing to compare. */
/* timeout: 240 */
#include "child.h"
#include "gs.h"

#include <stdatomic.h>

static gmx_chan *never, *in, *out;
static int gs;
static atomic_int began;
static atomic_bool over;
static gmx_waitgroup all;

static void waits_for_good(void *arg) {
  long v;
  atomic_fetch_add(&began, 1);
  CHECK_STATUS(gmx_chan_recv(arg, &v), GMX_ECLOSED);
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void echoes(void *arg) {
  long v;
  (void)arg;
  while (gmx_chan_recv(in, &v) == GMX_OK) CHECK_OK(gmx_chan_send(out, &v));
}

static void yields(void *arg) {
  (void)arg;
  for (int i = 0; i < 3; i++) CHECK_OK(gmx_yield());
  CHECK_OK(gmx_waitgroup_done(&all));
}

/* Holds up its thread while many are queued: with so few threads theirs has none. */
static void locked_among_many(void *arg) {
  (void)arg;
  CHECK_OK(gmx_lock_os_thread());
  for (int i = 0; i < 20; i++) {
    CHECK_OK(gmx_yield());
    CHECK_OK(gmx_enter_syscall_blocking());
    CHECK_OK(gmx_exit_syscall());
  }
  CHECK_OK(gmx_unlock_os_thread());
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void *asks(void *arg) {
  for (long i = 0; i < 100; i++) {
    long v = i;
    CHECK_OK(gmx_chan_send(in, &v));
    CHECK_OK(gmx_chan_recv(out, &v));
    CHECK_EQ(v, i);
    thread_nap(100000); /* everything goes idle, and gmx_main looks for a deadlock */
  }
  CHECK_OK(gmx_chan_close(in));
  atomic_store(&over, true);
  return arg;
}

static void works(void *arg) {
  (void)arg;
  CHECK_OK(gmx_waitgroup_add(&all, gs));
  for (int i = 0; i < gs; i++) go(waits_for_good, never);
  while (atomic_load(&began) < gs) CHECK_OK(gmx_yield());
  pthread_t t = thread_start(asks, NULL);
  go(echoes, NULL);
  while (!atomic_load(&over)) CHECK_OK(gmx_sema_acquire_timeout(&(uint32_t){0}, MS) == GMX_ETIMEDOUT ? GMX_OK : -1);
  thread_join(t);

  for (int i = 0; i < 10; i++) {
    CHECK_OK(gmx_stop_the_world("for the count"));
    CHECK_OK(gmx_start_the_world());
    CHECK_OK(gmx_for_each_p(nothing, NULL));
  }
  CHECK_OK(gmx_waitgroup_add(&all, gs + 3));
  for (int i = 0; i < 3; i++) go(locked_among_many, NULL);
  for (int i = 0; i < gs; i++) go(yields, NULL);
  CHECK_OK(gmx_chan_close(never));
  CHECK_OK(gmx_waitgroup_wait(&all));
}

static void counts(void *arg) {
  gs = *(const int *)arg;
  setenv("GMXDEBUG", "locks=1", 1);
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = 4;
  config.max_threads = 3;
  CHECK_OK(gmx_init(&config));
  CHECK_OK(gmx_chan_new(sizeof(long), 0, &never));
  CHECK_OK(gmx_chan_new(sizeof(long), 0, &in));
  CHECK_OK(gmx_chan_new(sizeof(long), 0, &out));
  CHECK_OK(gmx_main(works, NULL));
  end_runtime();
}

static const char *const locks[] = {"Sched", "GlobalQ", "Allg", "Allm", "StackWait"};
enum { LOCKS = sizeof locks / sizeof locks[0] };

/* -1: the library did not report it. */
static void steps_with(int n, long steps[LOCKS]) {
  static child c;
  child_run(&c, 100, counts, &n);
  CHILD_OK(&c);
  for (int i = 0; i < LOCKS; i++) {
    char words[64];
    snprintf(words, sizeof words, "lock %s: held ", locks[i]);
    char *at = strstr(c.text, words);
    steps[i] = -1;
    if (at && sscanf(at + strlen(words), "%*d times, at most %ld steps", &steps[i]) != 1) CHILD_FAIL(&c, "%s", words);
    if (at) check_say("  %d Gs: %.*s", n, (int)strcspn(at, "\n"), at);
  }
}

static void holds_do_not_grow_with_gs(void) {
  long few[LOCKS], many[LOCKS];
  steps_with(100, few);
  if (few[0] < 0) {
    check_say("  this build of the library does not count");
    return;
  }
  steps_with(10000, many);
  /* A batch of Gs is moved at once, at most. */
  for (int i = 0; i < LOCKS; i++) CHECK_CMP(many[i], <=, few[i] < 256 ? 256 : few[i]);
}

int main(void) {
  RUN(holds_do_not_grow_with_gs);
  return 0;
}
