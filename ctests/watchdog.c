/* The watchdog sleeps while no P is used, and is awake again as soon as one is. */
#include "gs.h"

#include <stdatomic.h>

static atomic_int quit;
static gmx_waitgroup all;

static void polls_until_quit(void *arg) {
  (void)arg;
  while (!atomic_load(&quit)) gmx_safepoint();
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void quits(void *arg) {
  (void)arg;
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_done(&all));
}

/* Long enough for it to fall asleep, most times; if it did not, the round shows nothing. */
static void lets_it_fall_asleep(void) { thread_nap(60 * MS); }

enum { ROUNDS = 10 };

/* On one P only the watchdog ends the slice of a loop that polls. */
static void a_spawn_calls_it(void) {
  for (int i = 0; i < ROUNDS; i++) {
    atomic_store(&quit, 0);
    CHECK_OK(gmx_waitgroup_add(&all, 2));
    lets_it_fall_asleep();
    go(polls_until_quit, NULL);
    go(quits, NULL);
    CHECK_OK(gmx_waitgroup_wait(&all));
  }
}

static void a_start_of_the_world_calls_it(void) {
  for (int i = 0; i < ROUNDS; i++) {
    atomic_store(&quit, 0);
    CHECK_OK(gmx_waitgroup_add(&all, 2));
    go(polls_until_quit, NULL);
    CHECK_OK(gmx_stop_the_world("watchdog"));
    go(quits, NULL);
    lets_it_fall_asleep();
    CHECK_OK(gmx_start_the_world());
    CHECK_OK(gmx_waitgroup_wait(&all));
  }
}

static atomic_int slept;

static void sleeps_a_little(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sleep(MS));
  atomic_store(&slept, 1);
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void sits_until_it_has_slept(void *arg) {
  (void)arg;
  go(sleeps_a_little, NULL);
  CHECK_OK(gmx_yield()); /* it sleeps */
  CHECK_OK(gmx_enter_syscall());
  spin_until(atomic_load(&slept));
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_waitgroup_done(&all));
}

/* The P with the timer is in a syscall that lasts until it has fired. */
static void a_timer_of_a_p_in_a_syscall_fires(void) {
  for (int i = 0; i < ROUNDS; i++) {
    atomic_store(&slept, 0);
    CHECK_OK(gmx_waitgroup_add(&all, 2));
    lets_it_fall_asleep();
    go(sits_until_it_has_slept, NULL);
    CHECK_OK(gmx_waitgroup_wait(&all));
  }
}

int main(void) {
  start_runtime(1, 0);
  RUN(a_spawn_calls_it);
  RUN(a_start_of_the_world_calls_it);
  RUN(a_timer_of_a_p_in_a_syscall_fires);
  end_runtime();
  return 0;
}
