/* The whole interface in random order, with right and with wrong arguments, from every context and from contexts within
 * contexts: Gs, attached threads, foreign threads, syscalls, callbacks, the function of a barrier, the commit of a
 * park, a stopped world, the destructor of a key. Each call returns one of the statuses that its context allows, no
 * call hangs, and each runtime comes to its end.
 *
 *   fuzz [seed [seconds]]          or GMX_SEED=seed
 *
 * ctests/stress/fuzz.c runs the same for GMX_STRESS minutes. A seed fixes the programs, not how their threads meet.
 * Each program runs in a child process with a time limit. ctests/fuzz/ holds the calls, a file for each subject, each
 * with its oracles. */
/* timeout: 120 */
#include "child.h"
#include "fuzz/cancels.h"
#include "fuzz/chans.h"
#include "fuzz/descriptors.h"
#include "fuzz/files.h"
#include "fuzz/locks.h"
#include "fuzz/more.h"
#include "fuzz/outside.h"
#include "fuzz/runtime.h"
#include "fuzz/timers.h"

#include <stdatomic.h>

#ifndef FUZZ_SECONDS
#define FUZZ_SECONDS (getenv("GMX_SEED") ? 0 : 5.0) /* a seed by itself is one program */
#endif

static void step(actor *a) {
  if (where(a) == ON_G) atomic_fetch_add(&moves, 1);
  switch (rnd(a, 42)) {
    case 0: stop(a); break;
    case 1:
    case 2: start(a); break;
    case 3: barrier(a); break;
    case 4: pin(a); break;
    case 5:
    case 6: unpin(a); break;
    case 7: enter_syscall(a); break;
    case 8:
    case 9: exit_syscall(a); break;
    case 10: one_in(a, 2) ? attach(a) : detach_thread(a); break;
    case 11: goexit(a); break;
    case 12: callback(a); break;
    case 13: blocking(a); break;
    case 14: park(a); break;
    case 15: spawn(a); break;
    case 16: one_in(a, 3) ? runtime(a) : others(a); break;
    case 17: one_in(a, 2) ? locals(a) : others(a); break;
    case 18: processors(a); break;
    case 19: semaphores(a); break;
    case 20: one_in(a, 2) ? locks(a) : one_in(a, 3) ? barriers(a) : wait_groups(a); break;
    case 21: inside(a); break;
    case 22: one_in(a, 2) ? rw_locks(a) : once_only(a); break;
    case 23: bracketed(a); break;
    case 24:
    case 25:
    case 26: channels(a); break;
    case 27:
    case 28: timers(a); break;
    case 29: scoped(a); break;
    case 30:
    case 31:
    case 32:
    case 33: descriptors(a); break;
    case 34:
    case 35: files(a); break;
    case 36: outside(a); break;
    case 37:
    case 38: more(a); break;
    default: cancellation(a);
  }
  if (where(a) == ON_G) atomic_fetch_add(&moves, 1);
}

/* ---- threads ---- */

static void *as_thread(void *arg) {
  actor a;
  memset(&a, 0, sizeof a);
  a.seed = (uintptr_t)arg;
  acts(&a);
  if (one_in(&a, 2)) tidy(&a);
  if (one_in(&a, 2) && a.attached && !a.sched) detach_thread(&a);
  unpins(&a); /* the end of the thread ends the rest */
  starts(&a);
  return NULL;
}

/* One after the other, so that ends of threads are as many as beginnings. */
static void *threads(void *arg) {
  uint64_t seed = (uintptr_t)arg;
  while (!atomic_load(&quit)) thread_join(thread_start(as_thread, (void *)(uintptr_t)next_random(&seed)));
  atomic_fetch_add(&gone, 1);
  return NULL;
}

/* Ends each wait of the actors in the end. */
static void help(actor *a) {
  for (int i = 0; i < SEMAS; i++) {
    gmx_sema_release(&semas[i]);
    gmx_sema_release(&semas[i]);
  }
  for (int i = 0; i < GROUPS; i++)
    while (gmx_waitgroup_done(&groups[i]) == GMX_OK) {
    }
  for (int i = 0; i < HANDLES; i++) {
    gmx_g g = (gmx_g)atomic_load(&handles[i]), p = (gmx_g)atomic_load(&parked[i]);
    if (g) gmx_ready(g);
    if (p != 0 && p != CLAIMED) gmx_ready(p);
  }
  for (int i = 0; i < BRACKETS; i++) gmx_cond_broadcast(&brackets[i].cond);
  atomic_fetch_add(&mutex_at, 1);
  help_channels(a);
}

static void program(void *arg) {
  actor a;
  memset(&a, 0, sizeof a);
  a.seed = the_seed = *(uint64_t *)arg;
  for (int i = 0; i < 4; i++) next_random(&a.seed);
  actor helper = a; /* its random choices depend on the time */
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = 1 + (int32_t)rnd(&a, FEW_PS);
  config.slice_ns = (int64_t)(10000u << rnd(&a, 11));
  few_threads = one_in(&a, 4);
  if (few_threads) config.max_threads = 2 + (int32_t)rnd(&a, 6);
  CHECK_OK(gmx_init(&config));
  descriptors_begin();
  files_begin();
  outside_begin();
  more_begin();
  int n_gs = 1 + (int)rnd(&a, 20), n_threads = (int)rnd(&a, 5);
  int64_t end = check_now() + (int64_t)(10 + rnd(&a, 150)) * MS;
  atomic_store(&actors, n_gs + n_threads);
  pthread_t t[5];
  for (int i = 0; i < n_gs; i++) CHECK_OK(gmx_spawn(as_g, (void *)(uintptr_t)next_random(&a.seed)));
  for (int i = 0; i < n_threads; i++) t[i] = thread_start(threads, (void *)(uintptr_t)next_random(&a.seed));
  while (check_now() < end) {
    help(&helper);
    thread_nap(MS / 2);
    /* new threads replace those that have ended */
    while (alive() < n_gs + n_threads) {
      atomic_fetch_add(&actors, 1);
      gmx_status s = gmx_spawn(as_g, (void *)(uintptr_t)next_random(&a.seed));
      if (s == GMX_OK) continue;
      CHECK_STATUS(s, GMX_ESHUTDOWN); /* by a thread of ours */
      atomic_fetch_add(&gone, 1);
    }
  }
  atomic_store(&quit, 1);
  end = check_now() + 20 * SECOND;
  while (alive() != 0 || gmx_num_g() != 0 || !timers_are_done()) {
    help(&helper);
    free_timers(&helper);
    thread_nap(MS / 2);
    if (check_now() > end) {
      check_say("GMX_SEED=%" PRIu64 ": %ld actors and %" PRId64 " Gs have not ended", the_seed, alive(), gmx_num_g());
      gmx_write_heap_dump(2);
      pause();
    }
  }
  join_threads(t, n_threads);
  for (int i = 0; i < MOST_PS; i++) CHECK_EQ(atomic_load(&pinned[i]), 0);
  CHECK_EQ(atomic_load(&worlds), 0);
  help_channels(&helper);
  CHECK_EQ(atomic_load(&channels_made), atomic_load(&channels_gone));
  free_timers(&helper);
  check_timers(&helper);
  free_cancels(&helper);
  descriptors_end(&helper);
  files_end();
  outside_end(&helper);
  more_end(&helper);
  while (mem_stats().stacks_inuse != 0) continue; /* the last G may not have left its stack yet */
  ends_clean();
}

int main(int argc, char **argv) {
  static child c;
  nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  CHECK(nowhere >= 0);
  const char *asked = argc > 1 ? argv[1] : getenv("GMX_SEED");
  uint64_t seed = asked ? strtoull(asked, NULL, 10) : (uint64_t)check_now();
  double seconds = argc > 2 ? atof(argv[2]) : argc > 1 ? 0 : FUZZ_SECONDS;
  alarm(0);
  int64_t end = check_now() + (int64_t)(seconds * 1e9);
  long programs = 0;
  do {
    the_seed = seed;
    child_run(&c, 60, program, &seed);
    if (c.status) CHILD_FAIL(&c, "GMX_SEED=%" PRIu64, seed);
    programs++;
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
  } while (check_now() < end);
  check_say("%ld programs from seed %s", programs, asked ? asked : "of the clock");
  close(nowhere);
  return 0;
}
