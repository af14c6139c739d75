/* LEGACY-S5 (src/models/legacy.rs): stop-the-world, the ragged barrier and syscalls run against each other for a long
 * time, with few and with many Ps. A thread that enters a syscall late must not take the request of a stop for that of
 * a barrier, or the other way round.
 *
 *   stop_barrier_syscall [seconds [rounds [ps]]]
 *
 * runs at least `seconds` and at least `rounds` rounds with each number of Ps, or with `ps` alone. A round is one stop
 * or one barrier. ctests/stress/stop_barrier_syscall.c runs the same for GMX_STRESS minutes in all. */
#include "gs.h"
#include "seed.h"

#include <stdatomic.h>

#ifndef RACE_SECONDS
#define RACE_SECONDS 0.8
#endif

#define MOST_PS 1024
#define WORKERS 6
static int ps; /* of this run */
static atomic_int quit;
static gmx_waitgroup all;
static atomic_long stops, barriers, syscalls;

static atomic_int outside; /* how many have stopped the world: at most one */
static atomic_long moves;  /* of Gs that hold a P: none in a stopped world */

/* Enters and exits as fast as it can, so that many stops and barriers meet a thread on its way; but in bursts, with
 * rests between: more busy threads than CPUs would only measure how the system schedules them. */
static void works(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg + 1;
  while (!atomic_load_explicit(&quit, memory_order_relaxed)) {
    int n = 1 + (int)(next_random(&seed) % 64);
    for (int i = 0; i < n; i++) {
      atomic_fetch_add_explicit(&moves, 1, memory_order_relaxed);
      CHECK_OK(i % 4 ? gmx_enter_syscall() : gmx_enter_syscall_blocking());
      CHECK_OK(gmx_exit_syscall());
    }
    atomic_fetch_add_explicit(&syscalls, n, memory_order_relaxed);
    switch (next_random(&seed) % 4) {
      case 0: CHECK_OK(gmx_yield()); break;
      case 1: /* a real one */
        CHECK_OK(gmx_enter_syscall());
        thread_nap((int64_t)(next_random(&seed) % 100000));
        CHECK_OK(gmx_exit_syscall());
        break;
      default: CHECK_OK(gmx_sleep((int64_t)(next_random(&seed) % 200000)));
    }
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void stops_once(void) {
  CHECK_OK(gmx_stop_the_world("stop_barrier_syscall"));
  CHECK_EQ(atomic_fetch_add(&outside, 1), 0);
  long before = atomic_load(&moves);
  for (int i = 0; i < 100; i++) __asm__ volatile("" ::: "memory");
  CHECK_EQ(atomic_load(&moves), before);
  CHECK_EQ(atomic_fetch_sub(&outside, 1), 1);
  CHECK_OK(gmx_start_the_world());
  atomic_fetch_add(&stops, 1);
}

typedef struct seen {
  atomic_int times[MOST_PS];
} seen;

static void counts(void *arg) {
  int32_t p = gmx_pin();
  CHECK(p >= 0 && p < ps);
  CHECK_EQ(atomic_load(&outside), 0);
  CHECK_EQ(atomic_fetch_add(&((seen *)arg)->times[p], 1), 0);
  gmx_unpin();
}

static void barrier_once(void) {
  seen s;
  memset(&s, 0, sizeof s.times[0] * (size_t)ps);
  CHECK_OK(gmx_for_each_p(counts, &s));
  for (int p = 0; p < ps; p++) CHECK_EQ(atomic_load(&s.times[p]), 1);
  atomic_fetch_add(&barriers, 1);
}

static void rounds(uintptr_t id) {
  while (!atomic_load(&quit)) {
    if (id % 2) stops_once();
    else barrier_once();
  }
}

static void rounds_as_g(void *arg) {
  rounds((uintptr_t)arg);
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void *rounds_as_thread(void *arg) {
  rounds((uintptr_t)arg);
  return NULL;
}

static void *rounds_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  rounds((uintptr_t)arg);
  CHECK_OK(gmx_detach_thread());
  return NULL;
}

static double least_seconds;
static long least_rounds;

static long rounds_so_far(void) { return atomic_load(&stops) + atomic_load(&barriers); }

static void races(void) {
  int64_t begin = check_now(), end = begin + (int64_t)(least_seconds * 1e9), said = begin;
  pthread_t threads[4];
  atomic_store(&quit, 0);
  atomic_store(&stops, 0);
  atomic_store(&barriers, 0);
  atomic_store(&syscalls, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 2 + WORKERS));
  for (uintptr_t i = 0; i < 2; i++) go(rounds_as_g, (void *)i);
  for (uintptr_t i = 0; i < WORKERS; i++) go(works, (void *)i);
  for (uintptr_t i = 0; i < 4; i++) threads[i] = thread_start(i / 2 ? rounds_attached : rounds_as_thread, (void *)i);
  long last = 0;
  int64_t moved = begin;
  while (check_now() < end || rounds_so_far() < least_rounds) {
    CHECK_OK(gmx_sleep(100 * MS));
    /* none of the kinds stands still */
    long now = rounds_so_far();
    if (now != last) moved = check_now(), last = now;
    CHECK_CMP(check_now() - moved, <, 60 * SECOND);
    if (check_now() - said >= 60 * SECOND) {
      said = check_now();
      check_say("  %4d Ps: %ld rounds after %" PRId64 " s", ps, last, (said - begin) / SECOND);
    }
  }
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_OK(gmx_enter_syscall());
  join_threads(threads, 4);
  CHECK_OK(gmx_exit_syscall());
  long stopped = atomic_load(&stops), served = atomic_load(&barriers);
  double seconds = (double)(check_now() - begin) / 1e9;
  check_say("  %4d Ps: %ld rounds (%ld stops, %ld barriers), %ld syscalls in %.0f s: %.0f rounds/s", ps, stopped + served,
            stopped, served, atomic_load(&syscalls), seconds, (double)(stopped + served) / seconds);
  CHECK_CMP(stopped, >, 0);
  CHECK_CMP(served, >, 0);
}

int main(int argc, char **argv) {
  static const int numbers[] = {1, 2, 7, 96, MOST_PS};
  least_seconds = argc > 1 ? atof(argv[1]) : RACE_SECONDS;
  least_rounds = argc > 2 ? atol(argv[2]) : 0;
  if (argc > 1) alarm(0);
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    ps = numbers[i];
    if (argc > 3 && atoi(argv[3]) != ps) continue;
    start_runtime(ps, 0);
    RUN_G(races);
    end_runtime();
  }
  return 0;
}
