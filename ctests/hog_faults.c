/* timeout: 120 */
/* flags: -ldl */
/* The system refuses what the library needs to hold a thread: timers, the clock of a thread, a fence on all CPUs, a
 * handler, a stack for the handler, a new thread. Hogs lose their Ps all the same, by the ways that are left, and the
 * statistics say by which. And a process without hogs asks for nothing of all that. */
#include "faults.h"
#include "beside.h"

#include <limits.h>

static void refuse(int kind) { fault_arm(kind, 0, LONG_MAX); } /* from now on */
static void refuse_nothing(void) { fault_arm(-1, 0, 0); }

static int over;

static void computes(void *arg) {
  (void)arg;
  while (!load(&over)) continue;
}

/* How the P of a hog is to be taken. */
enum way { SILENTLY, BY_HOLDING_THE_THREAD };

/* Hogs compute until their Ps were taken so often in that way, and others moved. Returns what the library did. */
static gmx_sched_stats others_move(enum way way) {
  enum { HOGS = 3, OFTEN = 5 };
  gmx_g hogs[HOGS];
  gmx_sched_stats before = sched_stats(), now;
  store(&over, 0);
  for (int i = 0; i < HOGS; i++) hogs[i] = go_joinable(computes, NULL);
  beside_start();
  do {
    check_pause();
    now = sched_stats();
  } while ((way == SILENTLY ? now.taken - before.taken : now.seized - before.seized) < OFTEN || !moved());
  store(&over, 1);
  join_all(hogs, HOGS);
  beside_end();
  now = sched_stats();
  CHECK_EQ(now.held, 0);
  now.taken -= before.taken;
  now.seized -= before.seized;
  now.nudges -= before.nudges;
  return now;
}

/* The library tries, is refused, and the others move nevertheless. */
static gmx_sched_stats others_move_without(int kind, bool from_the_start, enum way way) {
  long before = load(&fault_failed);
  if (from_the_start) refuse(kind);
  start_runtime(1, MS);
  refuse(kind);
  gmx_sched_stats stats = others_move(way);
  CHECK_CMP(load(&fault_failed), >, before);
  refuse_nothing();
  ends_clean();
  return stats;
}

/* ---- without the signal a P is taken, and no thread is held ---- */

static void without_timers(void) {
  gmx_sched_stats stats = others_move_without(FAULT_timer_create, true, SILENTLY);
  CHECK_EQ(stats.nudges, 0);
}

static void without_a_handler(void) {
  gmx_sched_stats stats = others_move_without(FAULT_sigaction, true, SILENTLY);
  CHECK_EQ(stats.nudges, 0);
}

/* As with a limit of pending signals (RLIMIT_SIGPENDING). */
static void without_timers_later(void) {
  others_move_without(FAULT_timer_create, false, SILENTLY);
}

static void with_timers_that_cannot_be_armed(void) {
  others_move_without(FAULT_timer_settime, false, SILENTLY);
}

/* ---- the rest ---- */

/* A thread of which the library does not know whether it computes counts as asleep: its P is taken. */
static void without_the_clock_of_a_thread(void) {
  gmx_sched_stats stats = others_move_without(FAULT_cpu_clock, false, SILENTLY);
  CHECK_EQ(stats.nudges, 0);
}

static void without_alternate_stacks(void) { others_move_without(FAULT_sigaltstack, true, BY_HOLDING_THE_THREAD); }

/* SEIZE-G1: nothing is taken without the fence. A thread that computes gives its P away itself. */
static int is_inside;
static void is_inside_until_it_is_refused(void *arg) {
  long before = *(long *)arg;
  CHECK_OK(gmx_enter_syscall());
  store(&is_inside, 1);
  while (load(&fault_failed) == before) continue;
  CHECK_OK(gmx_exit_syscall());
}

static void does_nothing(void *arg) { (void)arg; }

static void without_a_fence(void) {
  long before = load(&fault_failed);
  start_runtime(1, MS);
  refuse(FAULT_membarrier);
  gmx_g g = go_joinable(is_inside_until_it_is_refused, &before);
  spin_until(load(&is_inside));
  CHECK_OK(gmx_for_each_p(does_nothing, NULL)); /* it needs the fence, and finds that there is none any more */
  join(g);
  gmx_sched_stats stats = others_move(BY_HOLDING_THE_THREAD);
  CHECK_EQ(stats.taken, 0);
  refuse_nothing();
  ends_clean();
}

/* ---- nothing to hold ---- */

static void waits_for_a_word(void *c) {
  int n = 0;
  CHECK_OK(gmx_chan_recv(c, &n));
  CHECK_EQ(n, 1);
}

static void sleeps(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sleep(100 * MS));
  CHECK_OK(gmx_enter_syscall());
  thread_nap(50 * MS);
  CHECK_OK(gmx_exit_syscall());
}

static long timers(void) { return load(&fault_calls[FAULT_timer_create]) + load(&fault_calls[FAULT_timer_settime]); }

/* A G that waits in a channel, one in a bracketed call, one asleep: no timer of the system is made or armed. */
static void an_idle_process_arms_no_timer(void) {
  int n = 1;
  start_runtime(2, MS);
  gmx_chan *c = chan_of(sizeof n, 0);
  gmx_sched_stats before = sched_stats();
  long calls = timers();
  gmx_g receiver = go_joinable(waits_for_a_word, c), asleep = go_joinable(sleeps, NULL);
  thread_nap(200 * MS);
  gmx_sched_stats now = sched_stats();
  CHECK_EQ(now.nudges, before.nudges);
  CHECK_EQ(now.seized, before.seized);
  CHECK_EQ(timers(), calls);
  CHECK_OK(gmx_chan_send(c, &n));
  join(receiver);
  join(asleep);
  CHECK_OK(gmx_chan_free(c));
  ends_clean();
}

/* ---- no new thread ---- */

static void *allows_threads_later(void *arg) {
  long before = *(long *)arg;
  spin_until(load(&fault_failed) >= before + 3);
  refuse_nothing();
  return NULL;
}

/* There is no thread for the P of a hog: the hog keeps it, and the library tries again until there is one. */
static void without_a_thread_for_a_while(void) {
  start_runtime(1, MS);
  long before = load(&fault_failed);
  pthread_t later = thread_start(allows_threads_later, &before);
  refuse(FAULT_pthread_create);
  others_move(BY_HOLDING_THE_THREAD);
  thread_join(later);
  CHECK_CMP(load(&fault_failed), >=, before + 3);
  ends_clean();
}

int main(void) {
  if (fault_lo == 0) SKIP("the library's code is not to be found");
  RUN(without_timers);
  RUN(without_a_handler);
  RUN(without_timers_later);
  RUN(with_timers_that_cannot_be_armed);
  RUN(without_the_clock_of_a_thread);
  RUN(without_alternate_stacks);
  RUN(an_idle_process_arms_no_timer);
  RUN(without_a_thread_for_a_while);
  RUN(without_a_fence); /* the last: the library does not ask again in this process */
  return 0;
}
