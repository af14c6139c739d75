/* What is reported of a stop of the world that times out, and of one, or of a barrier, that waits for long: which
 * goroutine holds it up, and what to do. */
/* timeout: 180 */
/* flags: -rdynamic */
#include "child.h"
#include "gs.h"

#include <stdatomic.h>

static atomic_int told, runs;
static char last[1 << 14];

static void hears(void *arg, const char *text, size_t len) {
  (void)arg;
  char all[sizeof last];
  size_t n = len < sizeof all - 1 ? len : sizeof all - 1;
  memcpy(all, text, n);
  all[n] = 0;
  if (!strstr(all, "world")) return; /* what computes for long is reported, too */
  memcpy(last, all, sizeof all);
  atomic_fetch_add(&told, 1);
}

static void said(const char *words) {
  if (!strstr(last, words)) FAIL("\"%s\" is not in the report: %s", words, last);
}

static void start(uint32_t flags) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = 2;
  config.report = hears;
  config.flags = flags;
  CHECK_OK(gmx_init(&config));
}

void computes_until_it_is_told_of(void *arg) { /* not static: its name is in the report */
  (void)arg;
  atomic_store(&runs, 1);
  while (!atomic_load(&told)) {
  }
}

static gmx_g one_computes(void) {
  gmx_g g = go_with("busy", GMX_SPAWN_JOINABLE, computes_until_it_is_told_of, NULL);
  spin_until(atomic_load(&runs));
  return g;
}

static void names_it(void) {
  said(": goroutine ");
  said(" \"busy\" in computes_until_it_is_told_of (");
  said(") [running");
  said("  A goroutine stops at its next call of the library: gmx_safepoint in loops, gmx_blocking around calls that block\n");
}

static void stop_in_vain(void *arg) {
  start(*(const uint32_t *)arg);
  gmx_g g = one_computes();
  CHECK_STATUS(gmx_stop_the_world_timeout("for a\ntest", 50 * MS), GMX_ETIMEDOUT);
  CHECK_EQ(atomic_load(&told), 1);
  said("libgomax: stop-the-world (for a\\ntest) timed out after ");
  said(" ms: goroutines that did not reach a safe point: 1\n");
  names_it();
  join(g);
  end_runtime();
}

static void stop_for_long(void *arg) {
  start(*(const uint32_t *)arg);
  gmx_g g = one_computes();
  CHECK_OK(gmx_stop_the_world("for a test"));
  CHECK_OK(gmx_start_the_world());
  CHECK_EQ(atomic_load(&told), 1);
  said("libgomax: a stop of the world or gmx_for_each_p has waited for ");
  names_it();
  join(g);
  end_runtime();
}

static void for_a_p(void *arg) { (void)arg; }

static void barrier_for_long(void *arg) {
  start(*(const uint32_t *)arg);
  gmx_g g = one_computes();
  CHECK_OK(gmx_for_each_p(for_a_p, NULL));
  CHECK_EQ(atomic_load(&told), 1);
  said("libgomax: a stop of the world or gmx_for_each_p has waited for ");
  names_it();
  join(g);
  end_runtime();
}

static const uint32_t on = 0, off = GMX_CONFIG_PREEMPT_OFF;

static void a_stop_that_times_out(void) {
  RUN_CHILD(60, stop_in_vain, (void *)&on);
  RUN_CHILD(60, stop_in_vain, (void *)&off);
}

static void a_stop_that_takes_long(void) {
  RUN_CHILD(60, stop_for_long, (void *)&on);
  RUN_CHILD(60, stop_for_long, (void *)&off);
}

/* Otherwise the P is taken. */
static void a_barrier_that_takes_long(void) {
  RUN_CHILD(60, barrier_for_long, (void *)&off);
}

int main(void) {
  RUN(a_stop_that_times_out);
  RUN(a_stop_that_takes_long);
  RUN(a_barrier_that_takes_long);
  return 0;
}
