/* gmx_for_each_p: the function runs once for every P, and no other thread uses that P meanwhile (LEGACY-S2). */
/* timeout: 120 */
#include "gs.h"
#include "seed.h"

#include <stdatomic.h>

#define MOST 64
static atomic_int quit;
static gmx_waitgroup all;

/* ---- one call ---- */

typedef struct call {
  atomic_int times[MOST];
} call;

static atomic_int in_fn[MOST];

static int32_t enter_fn(void) {
  int32_t p = gmx_pin();
  CHECK(p >= 0 && p < MOST);
  CHECK_EQ(atomic_fetch_add(&in_fn[p], 1), 0);
  return p;
}

static void leave_fn(int32_t p) {
  CHECK_EQ(atomic_fetch_sub(&in_fn[p], 1), 1);
  gmx_unpin();
}

static void counts(void *arg) {
  int32_t p = enter_fn();
  atomic_fetch_add(&((call *)arg)->times[p], 1);
  leave_fn(p);
}

static void one_barrier(void) {
  call c;
  memset(&c, 0, sizeof c);
  CHECK_OK(gmx_for_each_p(counts, &c));
  int n = 0;
  for (int p = 0; p < MOST; p++) {
    CHECK_CMP(atomic_load(&c.times[p]), <=, 1);
    n += atomic_load(&c.times[p]);
  }
  /* the function has run on every P below the number of Ps, and on no other */
  CHECK_CMP(n, >=, 1);
  for (int p = 0; p < n; p++) CHECK_EQ(atomic_load(&c.times[p]), 1);
}

static void barriers(int rounds) {
  for (int i = 0; i < rounds; i++) one_barrier();
}

static void idle_ps_are_served(void) {
  int32_t procs = gmx_gomaxprocs(0);
  for (int i = 0; i < 200; i++) {
    call c;
    memset(&c, 0, sizeof c);
    CHECK_OK(gmx_for_each_p(counts, &c));
    for (int p = 0; p < MOST; p++) CHECK_EQ(atomic_load(&c.times[p]), p < procs);
  }
  CHECK_STATUS(gmx_for_each_p(NULL, NULL), GMX_EINVAL);
}

/* ---- Ps in every state, counters that only the barrier reads ---- */

static gmx_p_key key;
static long slots[MOST][16]; /* one line of memory each */
static atomic_long counted;
static long merged;

static void make_slot(void *arg) {
  int32_t p = enter_fn();
  (void)arg;
  slots[p][0] = 0;
  CHECK_OK(gmx_p_set(key, slots[p]));
  leave_fn(p);
}

/* Plain reads and writes on both sides: a barrier that did not keep the P's owner away would lose counts. */
static void count_here(void) {
  int32_t p = gmx_pin();
  CHECK_CMP(p, >=, 0);
  long *slot = gmx_p_get(key);
  CHECK(slot == slots[p]);
  long n = *(volatile long *)slot;
  for (int i = 0; i < 20; i++) __asm__ volatile("" ::: "memory");
  *(volatile long *)slot = n + 1;
  CHECK_OK(gmx_unpin());
  atomic_fetch_add(&counted, 1);
}

static void merge(void *arg) {
  int32_t p = enter_fn();
  long *slot = gmx_p_get(key);
  CHECK(slot == slots[p]);
  __atomic_fetch_add((long *)arg, *slot, __ATOMIC_RELAXED);
  *slot = 0;
  leave_fn(p);
}

static void works(void *arg) {
  uintptr_t id = (uintptr_t)arg;
  uint64_t seed = id + 1;
  while (!atomic_load(&quit)) {
    count_here();
    switch (id % 5) {
      case 0: CHECK_OK(gmx_yield()); break;
      case 1: gmx_safepoint(); break;
      case 2:
        CHECK_OK(gmx_enter_syscall());
        if (next_random(&seed) % 8 == 0) thread_nap(50000);
        CHECK_OK(gmx_exit_syscall());
        break;
      case 3: CHECK_OK(gmx_sleep((int64_t)(next_random(&seed) % 100000))); break;
      default:
        CHECK_OK(gmx_enter_syscall_blocking());
        CHECK_OK(gmx_exit_syscall());
    }
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void merges(int rounds) {
  long before = merged;
  for (int i = 0; i < rounds; i++) CHECK_OK(gmx_for_each_p(merge, &merged));
  CHECK_CMP(merged, >=, before);
}

static void counters_are_merged_while_everything_runs(void) {
  atomic_store(&quit, 0);
  atomic_store(&counted, 0);
  merged = 0;
  CHECK_OK(gmx_p_key_create(&key));
  CHECK_OK(gmx_for_each_p(make_slot, NULL));
  CHECK_OK(gmx_waitgroup_add(&all, 15));
  for (uintptr_t i = 0; i < 15; i++) go(works, (void *)i);
  for (int i = 0; i < 10; i++) {
    merges(5);
    barriers(5);
    CHECK_OK(gmx_yield());
  }
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
  merges(1);
  CHECK_CMP(atomic_load(&counted), >, 0);
  CHECK_EQ(merged, atomic_load(&counted));
  CHECK_OK(gmx_p_key_delete(key));
}

/* ---- callers of every kind, at once ---- */

static void calls_as_g(void *arg) {
  barriers((int)(intptr_t)arg);
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void *calls_as_thread(void *arg) {
  barriers((int)(intptr_t)arg);
  return NULL;
}

static void *calls_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  barriers((int)(intptr_t)arg);
  CHECK_OK(gmx_detach_thread());
  return NULL;
}

static void callback(void *arg) { barriers((int)(intptr_t)arg); }

static void *calls_in_a_callback(void *arg) {
  CHECK_OK(gmx_callback(callback, arg));
  return NULL;
}

static void *(*const kinds[])(void *) = {calls_as_thread, calls_attached, calls_in_a_callback};

static void many_call_at_once(void) {
  pthread_t threads[9];
  CHECK_OK(gmx_waitgroup_add(&all, 6));
  for (int i = 0; i < 6; i++) go(calls_as_g, (void *)50);
  for (int i = 0; i < 9; i++) threads[i] = thread_start(kinds[i % 3], (void *)50);
  CHECK_OK(gmx_enter_syscall());
  join_threads(threads, 9);
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_waitgroup_wait(&all));
}

static void many_call_while_everything_runs_and_the_number_changes(void) {
  int32_t procs = gmx_gomaxprocs(0);
  atomic_store(&quit, 0);
  CHECK_OK(gmx_p_key_create(&key));
  CHECK_EQ(gmx_gomaxprocs(MOST), procs);
  CHECK_OK(gmx_for_each_p(make_slot, NULL)); /* for all that will ever be there */
  CHECK_OK(gmx_waitgroup_add(&all, 10 + 3));
  for (uintptr_t i = 0; i < 10; i++) go(works, (void *)i);
  for (int i = 0; i < 3; i++) go(calls_as_g, (void *)20);
  pthread_t t = thread_start(calls_attached, (void *)20);
  for (int i = 0; i < 40; i++) CHECK_CMP(gmx_gomaxprocs(1 + i * 7 % MOST), >=, 1);
  CHECK_OK(gmx_enter_syscall());
  thread_join(t);
  CHECK_OK(gmx_exit_syscall());
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_CMP(gmx_gomaxprocs(procs), >=, 1);
  CHECK_OK(gmx_p_key_delete(key));
}

/* ---- what the function may do ---- */

static atomic_int ran, woken;
static uint32_t bell;
static gmx_g parked[MOST];
static atomic_int parked_count;

static void runs(void *arg) {
  (void)arg;
  atomic_fetch_add(&ran, 1);
}

static bool publish(void *arg, gmx_g g) {
  parked[(uintptr_t)arg] = g;
  atomic_fetch_add(&parked_count, 1);
  return true;
}

static void parks(void *arg) {
  CHECK_OK(gmx_park(publish, arg, "for the barrier"));
  atomic_fetch_add(&woken, 1);
}

static void waits_for_bell(void *arg) {
  (void)arg;
  acquire(&bell, 1);
  atomic_fetch_add(&woken, 1);
}

static void makes_work(void *arg) {
  int32_t p = enter_fn();
  (void)arg;
  go(runs, NULL);
  go_with("from the barrier", GMX_SPAWN_CHILD_FIRST, runs, NULL); /* no parent is left behind: it runs as any other G */
  CHECK_OK(gmx_ready(parked[p]));
  CHECK_OK(gmx_sema_release(&bell));
  CHECK_STATUS(gmx_yield(), GMX_ENOTG);
  CHECK_STATUS(gmx_sema_acquire(&bell), GMX_ENOTG);
  CHECK_STATUS(gmx_for_each_p(runs, NULL), GMX_ENOTG);
  CHECK_STATUS(gmx_stop_the_world("in a barrier"), GMX_ENOTG);
  CHECK_STATUS(gmx_enter_syscall(), GMX_ENOTG);
  gmx_safepoint();
  leave_fn(p);
}

static void makes_work_as_thread(void) {
  CHECK_OK(gmx_for_each_p(makes_work, NULL));
}

static void *foreign_makes_work(void *arg) {
  makes_work_as_thread();
  return arg;
}

static void the_function_may_make_work(void) {
  int32_t procs = gmx_gomaxprocs(0);
  for (int round = 0; round < 20; round++) {
    atomic_store(&ran, 0);
    atomic_store(&woken, 0);
    atomic_store(&parked_count, 0);
    for (uintptr_t i = 0; i < (uintptr_t)procs; i++) {
      go(parks, (void *)i);
      go(waits_for_bell, NULL);
    }
    spin_until(atomic_load(&parked_count) == procs);
    if (round % 2) {
      makes_work_as_thread();
    } else {
      pthread_t t = thread_start(foreign_makes_work, NULL);
      CHECK_OK(gmx_enter_syscall());
      thread_join(t);
      CHECK_OK(gmx_exit_syscall());
    }
    spin_until(atomic_load(&ran) == 2 * procs && atomic_load(&woken) == 2 * procs);
  }
}

/* Wakes that only the function does must not be forgotten, when all threads sleep. */
static void work_from_the_function_wakes_idle_ps(void) {
  for (int round = 0; round < 100; round++) {
    atomic_store(&ran, 0);
    atomic_store(&woken, 0);
    atomic_store(&parked_count, 0);
    int32_t procs = gmx_gomaxprocs(0);
    for (uintptr_t i = 0; i < (uintptr_t)procs; i++) {
      go(parks, (void *)i);
      go(waits_for_bell, NULL);
    }
    spin_until(atomic_load(&parked_count) == procs);
    makes_work_as_thread(); /* this thread has no P, and does nothing afterwards but nap */
    spin_until(atomic_load(&ran) == 2 * procs && atomic_load(&woken) == 2 * procs);
  }
}

static void with_procs(int n) {
  check_say("%d Ps", n);
  start_runtime(n, MS);
  RUN_G(idle_ps_are_served);
  RUN_G(counters_are_merged_while_everything_runs);
  RUN_G(many_call_at_once);
  RUN_G(the_function_may_make_work);
  RUN(work_from_the_function_wakes_idle_ps);
  RUN_G(many_call_while_everything_runs_and_the_number_changes);
  end_runtime();
}

int main(void) {
  with_procs(1);
  with_procs(2);
  with_procs(16);
  return 0;
}
