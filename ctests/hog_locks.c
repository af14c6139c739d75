/* timeout: 60 */
/* A thread that is held in the middle of its G may have a lock of the host, and the owners of all Ps may wait for that
 * lock in code that keeps its P: then the held thread continues without a P. */
#include "beside.h"

#include <pthread.h>

static pthread_mutex_t lock;
static int locked, waits, passed;

static void lock_it(void) {
  bump(&waits);
  CHECK(pthread_mutex_lock(&lock) == 0);
  bump(&passed);
  CHECK(pthread_mutex_unlock(&lock) == 0);
}

/* Has the lock, computes until the others wait for it, and is held meanwhile: another G wants its P. */
static void computes_with_the_lock(void *arg) {
  int others = *(int *)arg;
  CHECK(pthread_mutex_lock(&lock) == 0);
  store(&locked, 1);
  while (load(&waits) < others) continue;
  for (int64_t end = check_now() + 30 * MS; check_now() < end;) continue; /* the signal comes to code that runs */
  CHECK(pthread_mutex_unlock(&lock) == 0);
}

static void pinned(void *arg) {
  (void)arg;
  CHECK_CMP(gmx_pin(), >=, 0);
  lock_it();
  CHECK_OK(gmx_unpin());
}

static void without_preemption(void *arg) {
  (void)arg;
  lock_it();
}

static void of_a_barrier(void *arg) {
  (void)arg;
  lock_it();
}
static void calls_a_barrier(void *arg) {
  (void)arg;
  CHECK_OK(gmx_for_each_p(of_a_barrier, NULL));
}

static bool refuses(void *arg, gmx_g self) {
  (void)arg, (void)self;
  lock_it();
  return false;
}
static void parks(void *arg) {
  (void)arg;
  CHECK_OK(gmx_park(refuses, NULL, NULL));
}

static void with(int procs, void (*keeps)(void *), uint32_t flags, int gs) {
  int others = gs; /* those that wait at a time: one thread may run the function of a barrier for all Ps */
  gmx_g all[4];
  start_runtime(procs, 2 * MS);
  CHECK(pthread_mutex_init(&lock, NULL) == 0);
  store(&locked, 0);
  store(&waits, 0);
  store(&passed, 0);
  gmx_g holder = go_joinable(computes_with_the_lock, &others);
  spin_until(load(&locked));
  for (int i = 0; i < gs; i++) {
    gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = GMX_SPAWN_JOINABLE | flags};
    CHECK_OK(gmx_spawn_with(&opts, keeps, NULL, &all[i]));
  }
  join(holder);
  join_all(all, gs);
  CHECK_EQ(load(&passed), keeps == calls_a_barrier ? procs : gs);
  CHECK(pthread_mutex_destroy(&lock) == 0);
  end_runtime();
}

static void pinned_gs_wait_for_it(void) { with(1, pinned, 0, 1), with(2, pinned, 0, 2), with(4, pinned, 0, 4); }
static void gs_that_keep_their_ps_do(void) {
  with(1, without_preemption, GMX_SPAWN_NO_PREEMPT, 1);
  with(2, without_preemption, GMX_SPAWN_NO_PREEMPT, 2);
}
static void the_function_of_a_barrier_does(void) { with(1, calls_a_barrier, 0, 1), with(2, calls_a_barrier, 0, 1); }
static void a_commit_does(void) { with(1, parks, 0, 1), with(2, parks, 0, 2); }

int main(void) {
  RUN(pinned_gs_wait_for_it);
  RUN(gs_that_keep_their_ps_do);
  RUN(the_function_of_a_barrier_does);
  RUN(a_commit_does);
  return 0;
}
