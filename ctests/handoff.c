/* gmx_sema_release_handoff: the order in which Gs run, and the owner of the permit. */
#include "gs.h"

#include <stdatomic.h>

static uint32_t sema, done;
static int logged[64];
static atomic_int nlogged;

static void log_id(int id) { logged[atomic_fetch_add(&nlogged, 1)] = id; }
static void log_arg(void *arg) { log_id((int)(intptr_t)arg); }

static void takes_and_logs(void *arg) {
  CHECK_OK(gmx_sema_acquire(&sema));
  log_arg(arg);
  release(&done, 1);
}
static void takes_and_logs_locked(void *arg) {
  CHECK_OK(gmx_lock_os_thread());
  takes_and_logs(arg);
  CHECK_OK(gmx_unlock_os_thread());
}
static void *takes_as_thread(void *arg) {
  takes_and_logs(arg);
  return NULL;
}

/* G 1 waits, then G 2; in the queue of the P stand 11 and 12, and 13 is to run next. */
static void line_up(void (*first)(void *)) {
  atomic_store(&nlogged, 0);
  go(first, (void *)1);
  spin_until(gmx_sema_waiters(&sema) == 1);
  go(takes_and_logs, (void *)2);
  spin_until(gmx_sema_waiters(&sema) == 2);
  go_with(NULL, GMX_SPAWN_LAST, log_arg, (void *)11);
  go_with(NULL, GMX_SPAWN_LAST, log_arg, (void *)12);
  go(log_arg, (void *)13);
  CHECK_EQ(nlogged, 0);
}
static void clear_up(void) {
  release(&sema, 1);
  acquire(&done, 2);
  CHECK_EQ(sema, 0);
  CHECK_EQ(gmx_sema_waiters(&sema), 0);
}
static void logged_is(int n, const int *ids) {
  CHECK_EQ(nlogged, n);
  for (int i = 0; i < n; i++) CHECK_EQ(logged[i], ids[i]);
}

/* ---- one P, and slices without an end ---- */

static void a_release_keeps_the_p(void) {
  line_up(takes_and_logs);
  release(&sema, 1);
  log_id(0);
  CHECK_OK(gmx_yield());
  logged_is(5, (int[]){0, 1, 11, 12, 13});
  clear_up();
}

/* The order of runs: the first waiter, the Gs in the queue, the G that was in runnext, the caller, as after Go's
 * readyWithTime and goyield. */
static void the_first_waiter_runs_at_once(void) {
  line_up(takes_and_logs);
  CHECK_OK(gmx_sema_release_handoff(&sema));
  log_id(0);
  logged_is(5, (int[]){1, 11, 12, 13, 0});
  CHECK_EQ(gmx_sema_waiters(&sema), 1);
  CHECK_EQ(sema, 0);
  clear_up();
}

static void also_one_that_has_a_thread_to_itself(void) {
  line_up(takes_and_logs_locked);
  CHECK_OK(gmx_sema_release_handoff(&sema));
  log_id(0);
  logged_is(5, (int[]){1, 11, 12, 13, 0});
  clear_up();
}

static void without_a_waiter_it_is_a_release(void) {
  uint32_t full = UINT32_MAX - 1;
  atomic_store(&nlogged, 0);
  go(log_arg, (void *)11);
  for (uint32_t i = 1; i < 100; i++) {
    CHECK_OK(gmx_sema_release_handoff(&sema));
    CHECK_EQ(sema, i);
  }
  sema = 0;
  CHECK_OK(gmx_sema_release_handoff(&full));
  CHECK_STATUS(gmx_sema_release_handoff(&full), GMX_EBUSY);
  CHECK_EQ(full, UINT32_MAX);
  CHECK_EQ(nlogged, 0);
  CHECK_OK(gmx_yield());
  CHECK_EQ(nlogged, 1);
}

static void wrong_pointers(void) {
  uint32_t words[2] = {0};
  CHECK_STATUS(gmx_sema_release_handoff(NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_sema_release_handoff((void *)((char *)words + 1)), GMX_EINVAL);
  CHECK_EQ(words[0] + words[1], 0);
}

/* No newcomer takes the permit from the waiter that was handed it, though the waiter has not run yet. */
static void none_takes_the_permit_away(void) {
  line_up(takes_and_logs);
  CHECK_CMP(gmx_pin(), >=, 0);
  CHECK_OK(gmx_sema_release_handoff(&sema));
  log_id(0);
  CHECK_STATUS(gmx_sema_try_acquire(&sema), GMX_EAGAIN);
  CHECK_EQ(gmx_sema_waiters(&sema), 1);
  CHECK_OK(gmx_unpin());
  CHECK_OK(gmx_yield());
  logged_is(5, (int[]){0, 1, 11, 12, 13});
  /* a plain release leaves the permit to the first comer */
  release(&sema, 1);
  CHECK_OK(gmx_sema_try_acquire(&sema));
  clear_up();
}

static void in_a_syscall(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sema_release_handoff(&sema));
  CHECK_STATUS(gmx_sema_try_acquire(&sema), GMX_EAGAIN);
}
static void callers_that_may_not_leave(void) {
  line_up(takes_and_logs);
  CHECK_OK(gmx_stop_the_world("hand over"));
  in_a_syscall(NULL);
  CHECK_EQ(nlogged, 0);
  CHECK_OK(gmx_start_the_world());
  acquire(&done, 1);
  CHECK_EQ(logged[0], 1);
  CHECK_OK(gmx_enter_syscall());
  in_a_syscall(NULL);
  CHECK_OK(gmx_exit_syscall());
  acquire(&done, 1);
  line_up(takes_and_logs);
  CHECK_OK(gmx_for_each_p(in_a_syscall, NULL));
  clear_up();
}

static void *releases_as_thread(void *arg) {
  in_a_syscall(arg);
  return NULL;
}
static void a_thread_hands_the_permit_over(void) {
  line_up(takes_and_logs);
  thread_join(thread_start(releases_as_thread, NULL)); /* this G keeps the P meanwhile */
  CHECK_EQ(nlogged, 0);
  CHECK_EQ(gmx_sema_waiters(&sema), 1);
  clear_up();
  CHECK_EQ(nlogged, 5);
}

/* A waiting thread cannot use the P: the caller keeps it. */
static void a_thread_gets_the_permit(void) {
  atomic_store(&nlogged, 0);
  pthread_t thread = thread_start(takes_as_thread, (void *)1);
  spin_until(gmx_sema_waiters(&sema) == 1);
  go(log_arg, (void *)11);
  CHECK_OK(gmx_sema_release_handoff(&sema));
  CHECK_STATUS(gmx_sema_try_acquire(&sema), GMX_EAGAIN);
  thread_join(thread);
  logged_is(1, (int[]){1});
  acquire(&done, 1);
  CHECK_OK(gmx_yield());
  CHECK_EQ(nlogged, 2);
}

/* While others wait, no G has two turns in a row. */
enum { GS = 5, TURNS = 100 };
static int turns[GS * TURNS], nturns, had_to_wait;
static void takes_turns(void *arg) {
  int me = (int)(intptr_t)arg, next_is_anothers = 0;
  for (int i = 0; i < TURNS; i++) {
    CHECK_OK(gmx_sema_acquire(&sema));
    if (next_is_anothers) CHECK(turns[nturns - 1] != me);
    turns[nturns++] = me;
    next_is_anothers = gmx_sema_waiters(&sema) > 0;
    had_to_wait += next_is_anothers;
    CHECK_OK(gmx_sema_release_handoff(&sema));
  }
  release(&done, 1);
}
static void turns_go_round(void) {
  nturns = had_to_wait = 0;
  for (int i = 0; i < GS; i++) {
    go(takes_turns, (void *)(intptr_t)i);
    spin_until(gmx_sema_waiters(&sema) == (uint32_t)i + 1);
  }
  CHECK_OK(gmx_sema_release_handoff(&sema));
  acquire(&done, GS);
  check_say("  %d of %d turns were waited for", had_to_wait, GS * TURNS);
  CHECK_EQ(nturns, GS * TURNS);
  CHECK_OK(gmx_sema_acquire(&sema));
}

/* ---- with slices ---- */

static uint32_t ping, pong;
static atomic_int quit;
static void pings(void *arg) {
  (void)arg;
  while (!atomic_load(&quit)) {
    CHECK_OK(gmx_sema_release_handoff(&pong));
    CHECK_OK(gmx_sema_acquire(&ping));
  }
  CHECK_OK(gmx_sema_release_handoff(&pong));
  release(&done, 1);
}
static void pongs(void *arg) {
  (void)arg;
  do {
    CHECK_OK(gmx_sema_acquire(&pong));
    CHECK_OK(gmx_sema_release_handoff(&ping));
  } while (!atomic_load(&quit));
  release(&done, 1);
}
/* A pair that hands the P to and fro shares one slice: a third has its turn. */
static void a_pair_does_not_starve_a_third(void) {
  go(pings, NULL);
  go(pongs, NULL);
  for (int i = 0; i < 5; i++) CHECK_OK(gmx_yield());
  atomic_store(&quit, 1);
  acquire(&done, 2);
}

/* ---- Go's own test of its rule, on several Ps ---- */

static atomic_int first, stop;
static void keeps_a_p_busy(void *arg) {
  while (!atomic_load(&stop)) CHECK_OK(gmx_yield());
  CHECK_OK(gmx_waitgroup_done(arg));
}
static void takes_and_tells(void *arg) {
  int none = 0;
  CHECK_OK(gmx_sema_acquire(&sema));
  atomic_compare_exchange_strong(&first, &none, 1);
  CHECK_OK(gmx_sema_release_handoff(&sema));
  atomic_store(&stop, 1);
  CHECK_OK(gmx_waitgroup_done(arg));
}
static int is_direct(void) {
  gmx_waitgroup all = {0};
  int none = 0, procs = gmx_gomaxprocs(0);
  atomic_store(&first, 0);
  atomic_store(&stop, 0);
  CHECK_OK(gmx_waitgroup_add(&all, procs + 1));
  for (int i = 0; i < procs; i++) go(keeps_a_p_busy, &all);
  go(takes_and_tells, &all);
  while (gmx_sema_waiters(&sema) == 0) CHECK_OK(gmx_yield());
  CHECK_OK(gmx_sema_release_handoff(&sema));
  atomic_compare_exchange_strong(&first, &none, 2);
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_OK(gmx_sema_acquire(&sema));
  return atomic_load(&first) == 1;
}
enum { ITERATIONS = 1000 };
static int direct(void) {
  int n = 0;
  for (int i = 0; i < ITERATIONS; i++) n += is_direct();
  check_say("  %d of %d were direct", n, ITERATIONS);
  return n;
}
static void each_is_direct(void) { CHECK_EQ(direct(), ITERATIONS); }
/* Another P may steal the waiter before the caller has left its own: Go asks for two thirds. */
static void most_are_direct(void) { CHECK_CMP(direct(), >=, ITERATIONS * 2 / 3); }

int main(void) {
  start_runtime(1, NO_SLICES);
  RUN(wrong_pointers);
  RUN_G(a_release_keeps_the_p);
  RUN_G(the_first_waiter_runs_at_once);
  RUN_G(also_one_that_has_a_thread_to_itself);
  RUN_G(without_a_waiter_it_is_a_release);
  RUN_G(none_takes_the_permit_away);
  RUN_G(callers_that_may_not_leave);
  RUN_G(a_thread_hands_the_permit_over);
  RUN_G(a_thread_gets_the_permit);
  RUN_G(turns_go_round);
  RUN_G(each_is_direct);
  end_runtime();
  start_runtime(1, MS);
  RUN_G(a_pair_does_not_starve_a_third);
  end_runtime();
  start_runtime(2, 0);
  RUN_G(most_are_direct);
  end_runtime();
  return 0;
}
