/* Without memory for a stack, or without a further thread, Gs wait until one is free, spawns return a status, and the
 * program ends in order. */
/* timeout: 120 */
#include "child.h"
#include "gs.h"
#include "seed.h"

#include <stdatomic.h>

static atomic_long ended;
static gmx_waitgroup all;

/* ---- no memory ---- */

static void uses_some_stack(void *arg) {
  volatile char some[20000];
  (void)arg;
  for (size_t i = 0; i < sizeof some; i += 1000) some[i] = 1;
  CHECK_OK(gmx_yield());
  gmx_status slept = gmx_sleep(MS);
  CHECK(slept == GMX_OK || slept == GMX_ENOMEM); /* no memory for the timer is a status */
  CHECK_EQ(some[sizeof some - 1000], 1);
  atomic_fetch_add(&ended, 1);
}

#define TRIES 5000

static long spawns_until_refused(size_t stack) {
  gmx_spawn_opts o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o;
  o.stack_size = stack;
  long accepted = 0, refused = 0;
  for (int i = 0; i < TRIES; i++) {
    gmx_status s = gmx_spawn_with(&o, uses_some_stack, NULL, NULL);
    if (s == GMX_OK) accepted++;
    else {
      CHECK(s == GMX_ENOMEM || s == GMX_EAGAIN);
      refused++;
    }
  }
  check_say("  stack size %zu: %ld spawned, %ld refused", stack, accepted, refused);
  return accepted;
}

static void little_memory(void *arg) {
  uint64_t room = *(const uint64_t *)arg;
  start_runtime(2, 0);
  CHECK_OK(gmx_spawn(uses_some_stack, NULL)); /* it runs before the walls close in */
  spin_until(atomic_load(&ended) == 1);
  leave_only(room);
  long want = 1;
  for (int round = 0; round < 3; round++) {
    want += spawns_until_refused(0);
    want += spawns_until_refused(1 << 20);
    spin_until(atomic_load(&ended) == want);
    spin_until(gmx_num_g() == 0);
  }
  CHECK_CMP(want, >, 100); /* they were not simply all refused */

  /* and when there is memory again all waiting Gs run */
  leave_all();
  for (int i = 0; i < 1000; i++) CHECK_OK(gmx_spawn(uses_some_stack, NULL));
  spin_until(atomic_load(&ended) == want + 1000);
  end_runtime();
}

static void gs_wait_for_memory(void) {
  static const uint64_t rooms[] = {64 << 20, 16 << 20, 8 << 20, 1 << 20, 0};
  static child c;
  for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
    child_run(&c, 60, little_memory, (void *)&rooms[i]);
    if (c.status) check_say("room for %llu bytes", (unsigned long long)rooms[i]);
    CHILD_OK(&c);
  }
}

/* From the first call on: either the runtime starts, or it says why not. */
static void starts_with_little(void *arg) {
  leave_only((int64_t)*(const uint64_t *)arg);
  gmx_status s = gmx_init(NULL);
  if (s != GMX_OK) {
    CHECK(s == GMX_ENOMEM || s == GMX_EAGAIN);
    check_say("  says %s", gmx_err_name(s));
    return;
  }
  long want = spawns_until_refused(0);
  spin_until(atomic_load(&ended) == want);
  end_runtime();
}

static void a_start_without_memory_is_an_error(void) {
  static const uint64_t rooms[] = {64 << 20, 16 << 20, 4 << 20, 1 << 20, 100 << 10, 0};
  static child c;
  for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++) {
    child_run(&c, 60, starts_with_little, (void *)&rooms[i]);
    if (c.status) check_say("room for %llu bytes", (unsigned long long)rooms[i]);
    CHILD_OK(&c);
  }
}

/* ---- no thread ---- */

static void blocks_a_while(void *arg) {
  (void)arg;
  for (int i = 0; i < 3; i++) {
    CHECK_OK(gmx_enter_syscall_blocking());
    thread_nap(MS);
    CHECK_OK(gmx_exit_syscall());
    CHECK_OK(gmx_enter_syscall());
    thread_nap(MS);
    CHECK_OK(gmx_exit_syscall());
    CHECK_OK(gmx_yield());
  }
  atomic_fetch_add(&ended, 1);
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void computes(void *arg) {
  (void)arg;
  for (int i = 0; i < 100; i++) {
    gmx_safepoint();
    CHECK_OK(gmx_yield());
  }
  atomic_fetch_add(&ended, 1);
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void locks_its_thread(void *arg) {
  (void)arg;
  CHECK_OK(gmx_lock_os_thread());
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_sleep(MS));
  CHECK_OK(gmx_unlock_os_thread());
  atomic_fetch_add(&ended, 1);
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void is_called_back(void *arg) {
  (void)arg;
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_sleep(MS));
}

static void needs_threads(void *arg) {
  (void)arg;
  atomic_store(&ended, 0);
  for (int round = 0; round < 5; round++) {
    CHECK_OK(gmx_waitgroup_add(&all, 60));
    for (int i = 0; i < 20; i++) {
      go(blocks_a_while, NULL);
      go(computes, NULL);
      go(locks_its_thread, NULL);
    }
    CHECK_CMP(gmx_gomaxprocs(2 + round * 3), >=, 1);
    CHECK_OK(gmx_for_each_p(nothing, NULL));
    CHECK_OK(gmx_stop_the_world("with few threads"));
    CHECK_OK(gmx_start_the_world());
    CHECK_OK(gmx_waitgroup_wait(&all));
  }
  CHECK_EQ(atomic_load(&ended), 300);
}

static void few_threads_by_config(void *arg) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.max_threads = (int32_t)(intptr_t)arg;
  config.maxprocs = 8;
  CHECK_OK(gmx_init(&config));
  CHECK_OK(gmx_main(needs_threads, NULL));
  /* the workers, this one, the watchdog, and the template thread */
  CHECK_CMP(count_entries("/proc/self/task"), <=, (intptr_t)arg + 3);
  CHECK_OK(gmx_callback(is_called_back, NULL));
  end_runtime();
}

static void leave_threads(intptr_t n) {
  if (geteuid() != 0) return; /* other processes of this user would count */
  /* root is exempt; a user of which there is no other process */
  id_t user = 100000 + (id_t)getpid();
  CHECK(setresgid(user, user, user) == 0);
  CHECK(setresuid(user, user, user) == 0);
  struct rlimit few = {(rlim_t)n, (rlim_t)n};
  CHECK(setrlimit(RLIMIT_NPROC, &few) == 0);
}

static void few_threads_by_the_system(void *arg) {
  leave_threads((intptr_t)arg);
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = 8;
  gmx_status s = gmx_init(&config);
  if (s != GMX_OK) {
    CHECK_STATUS(s, GMX_EAGAIN); /* not even the first */
    check_say("  says %s", gmx_err_name(s));
    return;
  }
  CHECK_OK(gmx_main(needs_threads, NULL));
  check_say("  %ld threads", count_entries("/proc/self/task"));
  CHECK_OK(gmx_callback(is_called_back, NULL));
  end_runtime();
}

/* Another process of the same user has now two of them, now none: the same call fails and succeeds in turn. */
static pid_t comes_and_goes(void) {
  pid_t parent = getpid(), pid = fork();
  CHECK(pid >= 0);
  if (pid != 0) return pid;
  uint64_t seed = 5;
  close(0), close(1), close(2);
  while (getppid() == parent) {
    pid_t some[2];
    for (int i = 0; i < 2; i++) {
      some[i] = fork();
      if (some[i] == 0) {
        thread_nap((int64_t)(next_random(&seed) % (uint64_t)(3 * MS)));
        _exit(0);
      }
    }
    for (int i = 0; i < 2; i++)
      if (some[i] > 0) waitpid(some[i], NULL, 0);
    thread_nap((int64_t)(next_random(&seed) % (uint64_t)(3 * MS)));
  }
  _exit(0);
}

static void threads_that_others_take(void *arg) {
  leave_threads((intptr_t)arg);
  pid_t other = comes_and_goes();
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = 8;
  gmx_status s = gmx_init(&config);
  if (s != GMX_OK) {
    CHECK_STATUS(s, GMX_EAGAIN);
  } else {
    for (int i = 0; i < 3; i++) CHECK_OK(gmx_main(needs_threads, NULL));
    end_runtime();
  }
  kill(other, SIGKILL);
  CHECK(waitpid(other, NULL, 0) == other);
}

static void gs_wait_for_threads(void) {
  static child c;
  for (intptr_t n = 1; n <= 4; n++) {
    child_run(&c, 60, few_threads_by_config, (void *)n);
    if (c.status) check_say("max_threads = %d", (int)n);
    CHILD_OK(&c);
  }
  for (intptr_t n = 1; n <= 6; n++) {
    child_run(&c, 60, few_threads_by_the_system, (void *)n);
    if (c.status) check_say("RLIMIT_NPROC = %d", (int)n);
    CHILD_OK(&c);
    child_run(&c, 60, threads_that_others_take, (void *)(n + 2));
    if (c.status) check_say("RLIMIT_NPROC = %d, shared", (int)n + 2);
    CHILD_OK(&c);
  }
}

int main(void) {
  RUN(gs_wait_for_threads);
  RUN(gs_wait_for_memory);
  RUN(a_start_without_memory_is_an_error);
  return 0;
}
