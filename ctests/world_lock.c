/* LEGACY-S3 (src/models/legacy.rs): a goroutine or a foreign thread that needs the world's lock waits for it as a
 * goroutine, without a P. A caller that cannot wait (a scheduler's callback, a pinned goroutine, a goroutine in a
 * syscall) gets an error and does not hang. */
/* timeout: 120 */
#include "gs.h"
#include "seed.h"

#include <fcntl.h>
#include <stdatomic.h>

static atomic_int quit;
static gmx_waitgroup all;
static int nowhere;
static atomic_long syscalls;

static void sits_in_syscalls(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg + 1;
  while (!atomic_load(&quit)) {
    CHECK_OK(gmx_enter_syscall());
    thread_nap((int64_t)(next_random(&seed) % 60000));
    CHECK_OK(gmx_exit_syscall());
    atomic_fetch_add(&syscalls, 1);
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void reads_stats(void) {
  gmx_mem_stats m = mem_stats();
  CHECK_CMP(m.g_live, >=, 1);
  CHECK_CMP(m.p_total, >=, 1);
  CHECK_CMP(m.m_total, >=, 1);
  CHECK_CMP(m.stacks_reserved_bytes, >=, m.stacks_inuse_bytes);
}

static void contends(int rounds, uint64_t seed) {
  for (int i = 0; i < rounds; i++) {
    switch (next_random(&seed) % 6) {
      case 0: CHECK_CMP(gmx_gomaxprocs(1 + (int32_t)(next_random(&seed) % 16)), >=, 1); break;
      case 1: reads_stats(); break;
      case 2: CHECK_OK(gmx_write_heap_dump(nowhere)); break;
      case 3:
        CHECK_OK(gmx_stop_the_world("world_lock"));
        CHECK_OK(gmx_start_the_world());
        break;
      case 4:
        CHECK_OK(gmx_stop_the_world_timeout("world_lock", 60 * SECOND));
        CHECK_OK(gmx_start_the_world());
        break;
      default: CHECK_OK(gmx_set_default_gomaxprocs());
    }
  }
}

static void contends_as_g(void *arg) {
  contends(30, (uint64_t)(uintptr_t)arg);
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void *contends_as_thread(void *arg) {
  contends(30, (uint64_t)(uintptr_t)arg);
  return NULL;
}

static void callback(void *arg) { contends(30, (uint64_t)(uintptr_t)arg); }

static void *contends_in_a_callback(void *arg) {
  CHECK_OK(gmx_callback(callback, arg));
  return NULL;
}

static void many_contend(void) {
  enum { GS = 20, THREADS = 6, SITTERS = 4 };
  pthread_t threads[THREADS];
  atomic_store(&quit, 0);
  CHECK_OK(gmx_waitgroup_add(&all, SITTERS));
  for (uintptr_t i = 0; i < SITTERS; i++) go(sits_in_syscalls, (void *)i);
  for (uintptr_t i = 0; i < THREADS; i++)
    threads[i] = thread_start(i % 2 ? contends_as_thread : contends_in_a_callback, (void *)(100 + i));
  CHECK_OK(gmx_waitgroup_add(&all, GS));
  for (uintptr_t i = 1; i <= GS; i++) go(contends_as_g, (void *)i);
  CHECK_OK(gmx_enter_syscall());
  join_threads(threads, THREADS);
  CHECK_OK(gmx_exit_syscall());
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_CMP(atomic_load(&syscalls), >, 0);
}

/* ---- callers that cannot wait ---- */

static uint32_t sema;
static gmx_mutex mutex;
static gmx_waitgroup never;
static gmx_g stopped_g;
static atomic_int checked;

static bool vetoes(void *arg, gmx_g g) {
  (void)arg;
  (void)g;
  return false;
}

static void cannot_wait(gmx_status want) {
  gmx_mem_stats m;
  memset(&m, 0, sizeof m);
  m.struct_size = sizeof m;
  CHECK_STATUS(gmx_gomaxprocs(3), want);
  CHECK_STATUS(gmx_set_default_gomaxprocs(), want);
  CHECK_STATUS(gmx_read_mem_stats(&m), want);
  CHECK_STATUS(gmx_write_heap_dump(nowhere), want);
  CHECK_STATUS(gmx_stop_the_world("not here"), want);
  CHECK_STATUS(gmx_stop_the_world_timeout("not here", 0), want);
  CHECK_STATUS(gmx_for_each_p(nothing, NULL), want);
  CHECK_STATUS(gmx_join(stopped_g, 0), want);
  CHECK_STATUS(gmx_yield(), want);
  CHECK_STATUS(gmx_park(vetoes, NULL, "not here"), want);
  CHECK_STATUS(gmx_sema_acquire(&sema), want);
  CHECK_STATUS(gmx_sema_acquire_timeout(&sema, 0), want);
  CHECK_STATUS(gmx_mutex_lock(&mutex), want);
  CHECK_STATUS(gmx_mutex_lock_timeout(&mutex, 0), want);
  CHECK_STATUS(gmx_waitgroup_wait(&never), want);
  CHECK_STATUS(gmx_waitgroup_wait_timeout(&never, 0), want);
  CHECK_STATUS(gmx_sleep(MS), want);
  CHECK_STATUS(gmx_start_the_world(), GMX_EPERM);
  /* queries and releases never wait */
  CHECK_CMP(gmx_gomaxprocs(0), ==, 4);
  CHECK_CMP(gmx_num_g(), >=, 1);
  CHECK_STATUS(gmx_sema_try_acquire(&sema), GMX_EAGAIN);
  CHECK_OK(gmx_waitgroup_add(&never, 1));
  CHECK_OK(gmx_waitgroup_done(&never));
  atomic_fetch_add(&checked, 1);
}

static void in_barrier(void *arg) {
  (void)arg;
  cannot_wait(GMX_ENOTG);
}

static bool in_commit(void *arg, gmx_g g) {
  CHECK(g != 0);
  cannot_wait(GMX_ENOTG);
  return arg != NULL; /* a veto: continues at once */
}

static bool readies_itself(void *arg, gmx_g g) {
  (void)arg;
  cannot_wait(GMX_ENOTG);
  CHECK_OK(gmx_ready(g));
  return true;
}

static void scheduler_callbacks_get_an_error(void) {
  CHECK_CMP(gmx_gomaxprocs(4), >=, 1);
  stopped_g = gmx_self();
  CHECK_OK(gmx_waitgroup_add(&never, 1));
  atomic_store(&checked, 0);
  CHECK_OK(gmx_for_each_p(in_barrier, NULL));
  CHECK_EQ(atomic_load(&checked), 4);
  CHECK_OK(gmx_park(in_commit, NULL, "veto"));
  CHECK_EQ(atomic_load(&checked), 5);
  CHECK_OK(gmx_park(readies_itself, NULL, "itself"));
  CHECK_EQ(atomic_load(&checked), 6);

  CHECK_CMP(gmx_pin(), >=, 0);
  cannot_wait(GMX_ENOTG);
  CHECK_STATUS(gmx_enter_syscall(), GMX_ENOTG);
  CHECK_OK(gmx_unpin());
  CHECK_STATUS(gmx_unpin(), GMX_EPERM);

  CHECK_OK(gmx_enter_syscall());
  cannot_wait(GMX_EINSYSCALL);
  CHECK_STATUS(gmx_enter_syscall(), GMX_EINSYSCALL);
  CHECK_STATUS(gmx_enter_syscall_blocking(), GMX_EINSYSCALL);
  CHECK_OK(gmx_exit_syscall());
  CHECK_STATUS(gmx_exit_syscall(), GMX_EPERM);
  CHECK_OK(gmx_waitgroup_done(&never));
}

/* While others hold the world's lock nearly all the time. */
static void errors_under_contention(void) {
  CHECK_OK(gmx_waitgroup_add(&never, 1));
  for (int i = 0; i < 100; i++) {
    CHECK_OK(gmx_for_each_p(in_barrier, NULL));
    CHECK_OK(gmx_park(in_commit, NULL, "veto"));
    CHECK_OK(gmx_park(readies_itself, NULL, "itself"));
  }
  CHECK_OK(gmx_waitgroup_done(&never));
}

static atomic_int stopping;

static void stops_until_quit(void *arg) {
  (void)arg;
  while (!atomic_load(&quit)) {
    CHECK_OK(gmx_stop_the_world("contention"));
    CHECK_OK(gmx_start_the_world());
    atomic_fetch_add(&stopping, 1);
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void scheduler_callbacks_get_an_error_under_contention(void) {
  atomic_store(&quit, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 3));
  for (int i = 0; i < 3; i++) go(stops_until_quit, NULL);
  errors_under_contention();
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_CMP(atomic_load(&stopping), >, 0);
}

int main(void) {
  nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  CHECK(nowhere >= 0);
  start_runtime(4, 0);
  RUN_G(many_contend);
  RUN_G(scheduler_callbacks_get_an_error);
  RUN_G(scheduler_callbacks_get_an_error_under_contention);
  end_runtime();
  close(nowhere);
  return 0;
}
