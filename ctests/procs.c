/* gmx_gomaxprocs: any number of Ps, at any time, and no G or timer is lost in a change (LEGACY-S1). */
/* timeout: 180 */
#include "child.h"
#include "gs.h"
#include "seed.h"

#include <limits.h>
#include <stdatomic.h>

static atomic_int quit;
static gmx_waitgroup all;

static void set_procs(int32_t n) {
  int32_t before = gmx_gomaxprocs(0);
  CHECK_EQ(gmx_gomaxprocs(n), before);
  CHECK_EQ(gmx_gomaxprocs(0), n);
  CHECK_EQ(gmx_gomaxprocs(-5), n);
  CHECK_CMP(gmx_p_count(), >=, n);
}

/* ---- 10,000 Gs ---- */

#ifdef __SANITIZE_THREAD__
#define GS 6000 /* ThreadSanitizer knows 8128 threads at a time */
#else
#define GS 10000
#endif
static long rounds_of[GS];

static void runs_and_waits(void *arg) {
  uintptr_t id = (uintptr_t)arg;
  uint64_t seed = id + 1;
  do {
    int64_t begin = gmx_now(), ns = (int64_t)(next_random(&seed) % (uint64_t)(300 * MS));
    switch (id % 3) {
      case 0: /* runs, then rests */
        for (int i = 0; i < 10; i++) CHECK_OK(gmx_yield());
        CHECK_OK(gmx_sleep(300 * MS));
        break;
      case 1: /* sleeps */
        CHECK_OK(gmx_sleep(ns));
        CHECK_CMP(gmx_now() - begin, >=, ns);
        break;
      default: /* sits in a syscall, the thread with it now and then */
        CHECK_OK(gmx_enter_syscall());
        if (ns % 16 == 0) thread_nap(MS / 10);
        CHECK_OK(gmx_exit_syscall());
        CHECK_OK(gmx_sleep(ns));
    }
    rounds_of[id]++;
  } while (!atomic_load(&quit));
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void procs_change_under_ten_thousand_gs(void) {
  static const int32_t counts[] = {1, 10000, 1, 2, 3, 64, 1, 1000, 999, 7, 10000, 5000, 1, 96, 2, 1024, 1, 8};
  atomic_store(&quit, 0);
  CHECK_OK(gmx_waitgroup_add(&all, GS));
  for (uintptr_t i = 0; i < GS; i++) go(runs_and_waits, (void *)i);
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
    set_procs(counts[i]);
    CHECK_OK(gmx_sleep(5 * MS));
  }
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
  for (int i = 0; i < GS; i++) CHECK_CMP(rounds_of[i], >, 0);
}

/* ---- LEGACY-S1: sysmon, which retakes Ps from syscalls, reads allp without a P ---- */

static atomic_long in_and_out;

static void sits_in_syscalls(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg + 1;
  while (!atomic_load(&quit)) {
    CHECK_OK(gmx_enter_syscall());
    thread_nap((int64_t)(next_random(&seed) % 400000)); /* about as long as until it is noticed */
    CHECK_OK(gmx_exit_syscall());
    atomic_fetch_add(&in_and_out, 1);
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void procs_change_while_syscalls_lose_theirs(void) {
  uint64_t seed = 1;
  atomic_store(&quit, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 20));
  for (uintptr_t i = 0; i < 20; i++) go(sits_in_syscalls, (void *)i);
  for (int i = 0; i < 100; i++) {
    set_procs(1 + (int32_t)(next_random(&seed) % 64));
    long before = atomic_load(&in_and_out);
    spin_until(atomic_load(&in_and_out) != before); /* each number of Ps gets its work done */
  }
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
}

/* ---- P-local slots ---- */

static gmx_p_key key;

static void set_slot(void *arg) {
  int32_t p = gmx_pin();
  CHECK_CMP(p, >=, 0);
  CHECK_OK(gmx_p_set(key, (void *)((uintptr_t)arg + (uintptr_t)p)));
  gmx_unpin();
}

static void check_slot(void *arg) {
  int32_t p = gmx_pin();
  CHECK_EQ(gmx_p_get(key), (uintptr_t)arg + (uintptr_t)p);
  gmx_unpin();
}

static void slots_survive_their_ps(void) {
  CHECK_OK(gmx_p_key_create(&key));
  set_procs(16);
  CHECK_OK(gmx_for_each_p(set_slot, (void *)1000));
  set_procs(2);
  for (int32_t p = 0; p < 16; p++) CHECK_EQ(gmx_p_get_of(key, p), 1000 + p);
  CHECK_OK(gmx_for_each_p(set_slot, (void *)2000));
  for (int32_t p = 0; p < 16; p++) CHECK_EQ(gmx_p_get_of(key, p), (p < 2 ? 2000 : 1000) + p);
  CHECK(gmx_p_get_of(key, INT32_MAX) == NULL);
  CHECK(gmx_p_get_of(key, -1) == NULL);
  CHECK_CMP(gmx_p_count(), >=, 16);
  set_procs(1);
  set_procs(16);
  for (int32_t p = 0; p < 16; p++) CHECK_EQ(gmx_p_get_of(key, p), (p < 2 ? 2000 : 1000) + p);
  CHECK_OK(gmx_for_each_p(set_slot, (void *)3000));
  CHECK_OK(gmx_for_each_p(check_slot, (void *)3000));
  CHECK_OK(gmx_p_key_delete(key));
}

/* ---- which callers may ---- */

static void *foreign_sets(void *arg) {
  for (int i = 0; i < 50; i++) {
    int32_t was = gmx_gomaxprocs(1 + i % 9);
    CHECK(was >= 1 && was <= 9);
  }
  return arg;
}

static void sets_as_a_g(void *arg) {
  (void)arg;
  foreign_sets(NULL);
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void sets_attached(void *arg) { foreign_sets(arg); }

static void *callback_sets(void *arg) {
  CHECK_OK(gmx_callback(sets_attached, arg));
  return arg;
}

static void many_change_it_at_once(void) {
  set_procs(1);
  pthread_t a = thread_start(foreign_sets, NULL), b = thread_start(callback_sets, NULL);
  CHECK_OK(gmx_waitgroup_add(&all, 4));
  for (int i = 0; i < 4; i++) go(sets_as_a_g, NULL);
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_OK(gmx_enter_syscall());
  thread_join(a);
  thread_join(b);
  CHECK_STATUS(gmx_gomaxprocs(3), GMX_EINSYSCALL);
  CHECK_CMP(gmx_gomaxprocs(0), >=, 1); /* only asks */
  CHECK_OK(gmx_exit_syscall());
  set_procs(2);
}

/* ---- absurd ---- */

static atomic_int beats;

static void beats_until_quit(void *arg) {
  (void)arg;
  while (!atomic_load(&quit)) {
    atomic_fetch_add(&beats, 1);
    CHECK_OK(gmx_yield());
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void asks_for_too_much(void) {
  set_procs(3);
  atomic_store(&quit, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 1));
  go(beats_until_quit, NULL);
  static const int32_t counts[] = {INT32_MAX, INT32_MAX - 1, 1 << 30, 1 << 28};
  long before = usage_now().ru_maxrss;
  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
    CHECK_STATUS(gmx_gomaxprocs(counts[i]), GMX_ENOMEM);
    CHECK_EQ(gmx_gomaxprocs(0), 3);
    int was = atomic_load(&beats);
    spin_until(atomic_load(&beats) != was);
  }
  /* it must not be the system's last page that says so */
  CHECK_CMP(usage_now().ru_maxrss - before, <, 1 << 20);
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
  set_procs(4);
}

static void absurd_child(void *arg) {
  (void)arg;
  /* a library that takes what it gets must not take the machine with it */
  struct rlimit some = {INT64_C(3) << 30, INT64_C(3) << 30};
  CHECK(setrlimit(RLIMIT_AS, &some) == 0);
  start_runtime(0, 0);
  RUN_G(asks_for_too_much);
  end_runtime();
}

static void absurd_counts_change_nothing(void) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  check_say("left out: a sanitizer's shadow needs more address space");
  return;
#endif
  RUN_CHILD(100, absurd_child, NULL);
}

/* ---- the default ---- */

typedef struct env_case {
  const char *env;
  int32_t config, want; /* want 0: the machine's default */
} env_case;

static void env_child(void *arg) {
  const env_case *e = arg;
  if (e->env) setenv("GMX_MAXPROCS", e->env, 1);
  else unsetenv("GMX_MAXPROCS");
  if (e->config) start_runtime(e->config, 0);
  int32_t machine = gmx_num_cpu();
  CHECK_CMP(machine, >=, 1);
  CHECK_EQ(gmx_gomaxprocs(0), e->want ? e->want : machine);
  set_procs(7);
  CHECK_OK(gmx_set_default_gomaxprocs());
  CHECK_EQ(gmx_gomaxprocs(0), machine); /* not the environment's: as in Go */
  CHECK_EQ(gmx_gomaxprocs(5), machine);
  CHECK_EQ(gmx_num_cpu(), machine);
  end_runtime();
}

static void environment_and_config_decide_the_default(void) {
  static const env_case cases[] = {
      {NULL, 0, 0}, {"3", 0, 3},  {"1", 0, 1}, {"3", 6, 6}, {NULL, 6, 6},
      {"", 0, 0},   {"-3", 0, 0}, {"0", 0, 0}, {"many", 0, 0},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    static child c;
    child_run(&c, 60, env_child, (void *)&cases[i]);
    if (c.status) check_say("GMX_MAXPROCS=%s", cases[i].env ? cases[i].env : "(unset)");
    CHILD_OK(&c);
  }
}

int main(void) {
  RUN(environment_and_config_decide_the_default);
  RUN(absurd_counts_change_nothing);
  start_runtime(1, 0);
  RUN_G(procs_change_under_ten_thousand_gs);
  RUN_G(procs_change_while_syscalls_lose_theirs);
  RUN_G(slots_survive_their_ps);
  RUN_G(many_change_it_at_once);
  end_runtime();
  return 0;
}
