/* gmx_lock_os_thread: the G runs on its thread only, and the thread runs its G only, until the last unlock or the end
 * of the G. */
#include "gs.h"

#include <stdatomic.h>

static gmx_waitgroup all;
static atomic_int quit;

/* ---- whose thread is it ---- */

static atomic_ullong owner_of[1 << 22]; /* by thread id: the goid that has it locked */

static void others_run(void *arg) {
  (void)arg;
  while (!atomic_load(&quit)) {
    int tid = thread_id();
    uint64_t owner = atomic_load(&owner_of[tid]);
    if (owner != 0) FAIL("G %llu runs on the thread of G %llu", (unsigned long long)gmx_goid(), (unsigned long long)owner);
    CHECK_OK(gmx_yield());
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void others_start(int n) {
  atomic_store(&quit, 0);
  CHECK_OK(gmx_waitgroup_add(&all, n));
  for (int i = 0; i < n; i++) go(others_run, NULL);
}

static void others_end(void) {
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
}

static int lock(void) {
  CHECK_OK(gmx_lock_os_thread());
  int tid = thread_id();
  CHECK_EQ(atomic_exchange(&owner_of[tid], gmx_goid()), 0);
  return tid;
}

static void unlock(int tid) {
  CHECK_EQ(thread_id(), tid);
  CHECK_EQ(atomic_exchange(&owner_of[tid], 0), gmx_goid());
  CHECK_OK(gmx_unlock_os_thread());
}

static bool readies_at_once(void *arg, gmx_g g) {
  (void)arg;
  CHECK_OK(gmx_ready(g));
  return true;
}

static uint32_t here[8], there[8];

static void stays_on_its_thread(void *arg) {
  uintptr_t id = (uintptr_t)arg;
  for (int round = 0; round < 5; round++) {
    int tid = lock();
    for (int i = 0; i < 20; i++) {
      CHECK_OK(gmx_yield());
      CHECK_EQ(thread_id(), tid);
      CHECK_OK(gmx_sleep(20000));
      CHECK_EQ(thread_id(), tid);
      CHECK_OK(gmx_park(readies_at_once, NULL, NULL));
      CHECK_EQ(thread_id(), tid);
      CHECK_OK(gmx_enter_syscall());
      thread_nap(20000);
      CHECK_OK(gmx_exit_syscall());
      CHECK_EQ(thread_id(), tid);
      CHECK_OK(gmx_enter_syscall_blocking());
      CHECK_OK(gmx_exit_syscall());
      CHECK_EQ(thread_id(), tid);
      gmx_safepoint();
      CHECK_EQ(thread_id(), tid);
      /* two locked Gs wake each other */
      release(&there[id], 1);
      acquire(&here[id], 1);
      CHECK_EQ(thread_id(), tid);
      join(go_with("child", GMX_SPAWN_JOINABLE, nothing, NULL));
      CHECK_EQ(thread_id(), tid);
      join(go_with("first", GMX_SPAWN_JOINABLE | GMX_SPAWN_CHILD_FIRST, nothing, NULL));
      CHECK_EQ(thread_id(), tid);
      CHECK_OK(gmx_for_each_p(nothing, NULL));
      CHECK_EQ(thread_id(), tid);
    }
    unlock(tid);
    CHECK_OK(gmx_yield());
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void its_partner(void *arg) {
  uintptr_t id = (uintptr_t)arg;
  int tid = id % 2 ? lock() : 0;
  for (int i = 0; i < 5 * 20; i++) {
    acquire(&there[id], 1);
    if (tid) CHECK_EQ(thread_id(), tid);
    release(&here[id], 1);
  }
  if (tid) unlock(tid);
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void a_locked_g_stays_and_others_stay_away(void) {
  others_start(6);
  CHECK_OK(gmx_waitgroup_add(&all, 16));
  for (uintptr_t i = 0; i < 8; i++) {
    go(stays_on_its_thread, (void *)i);
    go(its_partner, (void *)i);
  }
  /* locked Gs under stops and barriers */
  for (int i = 0; i < 50; i++) {
    CHECK_CMP(gmx_gomaxprocs(1 + i % 5), >=, 1);
    CHECK_OK(gmx_stop_the_world("locked"));
    CHECK_OK(gmx_start_the_world());
    CHECK_OK(gmx_sleep(MS));
  }
  others_end();
}

/* ---- nesting ---- */

static void locks_nest(void) {
  others_start(3);
  int tid = lock();
  CHECK_OK(gmx_lock_os_thread());
  CHECK_OK(gmx_lock_os_thread());
  CHECK_OK(gmx_unlock_os_thread());
  CHECK_OK(gmx_unlock_os_thread());
  for (int i = 0; i < 50; i++) {
    CHECK_OK(gmx_yield());
    CHECK_EQ(thread_id(), tid); /* still locked once */
    CHECK_OK(gmx_sleep(10000));
    CHECK_EQ(thread_id(), tid);
  }
  unlock(tid);
  CHECK_STATUS(gmx_unlock_os_thread(), GMX_EPERM);
  others_end();
}

static void a_plain_thread_cannot(void) {
  CHECK_STATUS(gmx_lock_os_thread(), GMX_ENOTG);
  CHECK_STATUS(gmx_unlock_os_thread(), GMX_ENOTG);
}

/* ---- ends locked ---- */

static void ends_locked(void *arg) {
  *(int *)arg = thread_id();
  CHECK_OK(gmx_lock_os_thread());
  CHECK_OK(gmx_lock_os_thread());
}

static void ends_locked_by_goexit(void *arg) {
  ends_locked(arg);
  CHECK_OK(gmx_yield());
  gmx_goexit();
  FAIL("came back");
}

static void the_thread_of_a_g_that_ends_locked_ends(void) {
  for (int i = 0; i < 20; i++) {
    int tid = 0;
    join(go_with("ends locked", GMX_SPAWN_JOINABLE, i % 2 ? ends_locked : ends_locked_by_goexit, &tid));
    CHECK_CMP(tid, >, 0);
    spin_until(thread_state(tid) == 0);
    others_start(3);
    CHECK_OK(gmx_sleep(MS / 10));
    others_end();
  }
}

static void main_ends_locked(void *arg) { ends_locked(arg); }

static void a_main_g_that_ends_locked(void) {
  int tid = 0;
  CHECK_OK(gmx_main(main_ends_locked, &tid));
  CHECK(tid != 0 && tid != thread_id());
  spin_until(thread_state(tid) == 0);
}

/* ---- what a locked thread was made to be is not inherited ---- */

static cpu_set_t everywhere;
static atomic_int checked;

static void is_on_a_clean_thread(void *arg) {
  (void)arg;
  cpu_set_t mine;
  sigset_t blocked;
  CHECK(sched_getaffinity(0, sizeof mine, &mine) == 0);
  CHECK(CPU_EQUAL(&mine, &everywhere));
  CHECK(pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0);
  CHECK_EQ(sigismember(&blocked, SIGUSR1), 0); /* the mask of the main thread */
  CHECK_EQ(sigismember(&blocked, SIGSEGV), 0);
  atomic_fetch_add(&checked, 1);
  CHECK_OK(gmx_enter_syscall_blocking());
  spin_until(atomic_load(&checked) == 20); /* keeps the thread, so the next needs another */
  CHECK_OK(gmx_exit_syscall());
}

static void new_threads_do_not_inherit_from_a_locked_one(void) {
  CHECK(sched_getaffinity(0, sizeof everywhere, &everywhere) == 0);
  CHECK_CMP(gmx_gomaxprocs(4), >=, 1);
  CHECK_OK(gmx_lock_os_thread());
  int first = 0;
  while (!CPU_ISSET(first, &everywhere)) first++;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(first, &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
  sigset_t mask, was;
  sigfillset(&mask);
  CHECK(pthread_sigmask(SIG_SETMASK, &mask, &was) == 0);
  gmx_g gs[20];
  for (int i = 0; i < 20; i++) gs[i] = go_with("clean", GMX_SPAWN_JOINABLE, is_on_a_clean_thread, NULL);
  join_all(gs, 20);
  CHECK(pthread_sigmask(SIG_SETMASK, &was, NULL) == 0);
  /* ends locked: the thread is spoilt */
}

static void with_procs(int n) {
  check_say("%d Ps", n);
  start_runtime(n, MS);
  RUN(a_plain_thread_cannot);
  RUN_G(a_locked_g_stays_and_others_stay_away);
  RUN_G(locks_nest);
  RUN_G(the_thread_of_a_g_that_ends_locked_ends);
  RUN(a_main_g_that_ends_locked);
  end_runtime();
}

int main(void) {
  with_procs(1);
  with_procs(2);
  with_procs(8);
  start_runtime(2, 0);
  RUN_G(new_threads_do_not_inherit_from_a_locked_one);
  end_runtime();
  return 0;
}
