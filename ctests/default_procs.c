/* The default number of Ps is the number of CPUs that this process may use at that moment. */
/* timeout: 120 */
#include "child.h"
#include "gs.h"

#include <stdatomic.h>

static cpu_set_t allowed;

static void allow(int cpus) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (int i = 0; i < CPU_SETSIZE && cpus > 0; i++)
    if (CPU_ISSET(i, &allowed)) CPU_SET(i, &set), cpus--;
  /* all threads, as taskset -a does */
  int ids[MOST_THREADS];
  for (int i = thread_ids(ids) - 1; i >= 0; i--)
    if (sched_setaffinity(ids[i], sizeof set, &set) != 0) CHECK_EQ(errno, ESRCH);
}

static void is_one(void *arg) {
  (void)arg;
  CHECK_EQ(gmx_gomaxprocs(0), 1);
  CHECK_EQ(gmx_num_cpu(), 1);
}

static void one_cpu(void *arg) {
  unsetenv("GMX_MAXPROCS");
  (void)arg;
  allow(1);
  CHECK_EQ(gmx_num_cpu(), 1);
  CHECK_OK(gmx_main(is_one, NULL));
  end_runtime();
}

static void all_cpus(void *arg) {
  unsetenv("GMX_MAXPROCS");
  (void)arg;
  int32_t n = gmx_num_cpu();
  CHECK(n >= 1 && n <= CPU_COUNT(&allowed)); /* less where a cgroup says so */
  CHECK_EQ(gmx_gomaxprocs(0), n);
  end_runtime();
}

static void environment_wins(void *arg) {
  setenv("GMX_MAXPROCS", "5", 1);
  (void)arg;
  allow(1);
  CHECK_EQ(gmx_gomaxprocs(0), 5);
  CHECK_EQ(gmx_num_cpu(), 1);
  CHECK_OK(gmx_set_default_gomaxprocs());
  CHECK_EQ(gmx_gomaxprocs(0), 1);
  end_runtime();
}

static atomic_int quit;

static void keeps_sysmon_awake(void *arg) {
  (void)arg;
  while (!atomic_load(&quit)) CHECK_OK(gmx_sleep(MS));
}

static void follows(void *arg) {
  unsetenv("GMX_MAXPROCS");
  (void)arg;
  int32_t n = gmx_num_cpu();
  CHECK_EQ(gmx_gomaxprocs(0), n);
  go(keeps_sysmon_awake, NULL);
  allow(1);
  spin_until(gmx_gomaxprocs(0) == 1);
  allow(CPU_SETSIZE);
  spin_until(gmx_gomaxprocs(0) == n);

  /* set by hand: it stays so, whatever happens to the machine */
  CHECK_EQ(gmx_gomaxprocs(n + 3), n);
  allow(1);
  spin_until(gmx_num_cpu() == 1);
  thread_nap(3 * SECOND);
  CHECK_EQ(gmx_gomaxprocs(0), n + 3);

  /* until it may follow again */
  CHECK_OK(gmx_set_default_gomaxprocs());
  CHECK_EQ(gmx_gomaxprocs(0), 1);
  allow(CPU_SETSIZE);
  spin_until(gmx_gomaxprocs(0) == n);
  atomic_store(&quit, 1);
  end_runtime();
}

/* ---- a change of the CPUs that the library notices by itself ---- */

static atomic_int told, beats;

static void hears(void *arg, const char *text, size_t len) {
  (void)arg;
  if (memmem(text, len, "gomaxprocs stays at", 19)) atomic_fetch_add(&told, 1);
  if (!memmem(text, len, "\"computes\"", 10)) FAIL("the report does not name the goroutine: %.*s", (int)len, text);
}

static void beat(void *arg) {
  (void)arg;
  while (!atomic_load(&quit)) {
    CHECK_OK(gmx_sleep(MS));
    atomic_fetch_add(&beats, 1);
  }
}

/* C code without safe points: it computes until the library has reported that the change is put off, and other Gs have
 * run. */
static void compute(void *arg) {
  (void)arg;
  while (atomic_load(&told) == 0) {
  }
  int seen = atomic_load(&beats);
  while (atomic_load(&beats) < seen + 2500) { /* two tries more */
  }
  CHECK_EQ(atomic_load(&told), 1);
}

static void is_put_off(void *arg) {
  (void)arg;
  unsetenv("GMX_MAXPROCS");
  /* Otherwise the library takes the P from the G that computes, and the change is not put off. */
  setenv("GMXDEBUG", "preempt=0", 1);
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.report = hears;
  CHECK_OK(gmx_init(&config));
  int32_t n = gmx_gomaxprocs(0);
  go(beat, NULL);
  gmx_g g = go_with("computes", GMX_SPAWN_JOINABLE, compute, NULL);
  spin_until(atomic_load(&beats) > 10);
  allow(1);
  CHECK_OK(gmx_join(g, GMX_FOREVER)); /* the others stood still for good, were they stopped until it polls */
  spin_until(gmx_gomaxprocs(0) == 1);
  CHECK_CMP(n, >, 1);
  atomic_store(&quit, 1);
  end_runtime();
}

static void affinity_decides(void) {
  RUN_CHILD(100, one_cpu, NULL);
  RUN_CHILD(100, all_cpus, NULL);
}

static void the_environment_wins(void) { RUN_CHILD(100, environment_wins, NULL); }

static void the_default_follows_the_machine(void) {
  if (CPU_COUNT(&allowed) == 1) check_say("  with one CPU there is nothing to follow");
  RUN_CHILD(100, follows, NULL);
}

static void a_change_waits_for_goroutines_that_do_not_poll(void) {
  if (CPU_COUNT(&allowed) == 1 || gmx_num_cpu() == 1) check_say("  with one CPU there is nothing to follow");
  else RUN_CHILD(100, is_put_off, NULL);
}

int main(void) {
  CHECK(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
  RUN(affinity_decides);
  RUN(the_environment_wins);
  RUN(the_default_follows_the_machine);
  RUN(a_change_waits_for_goroutines_that_do_not_poll);
  return 0;
}
