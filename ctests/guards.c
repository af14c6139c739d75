/* timeout: 120 */
/* env: GMXDEBUG=guard=mprotect */
/* Where guards are mappings of their own, the system may run out of them: the library counts the stacks without a guard
 * and reports the first. */
#include "gs.h"

static uint32_t reports, gate;
static char said[512];

static void report(void *arg, const char *text, size_t len) {
  (void)arg;
  if (bump(&reports) == 0) memcpy(said, text, len < sizeof said ? len : sizeof said - 1);
}

static gmx_waitgroup here, all;

static void waits(void *arg) {
  (void)arg;
  CHECK_OK(gmx_waitgroup_done(&here));
  CHECK_OK(gmx_sema_acquire(&gate));
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void have(int n) {
  CHECK_OK(gmx_waitgroup_add(&here, n));
  CHECK_OK(gmx_waitgroup_add(&all, n));
  for (int i = 0; i < n; i++) CHECK_OK(gmx_spawn(waits, NULL));
  CHECK_OK(gmx_waitgroup_wait(&here));
}

static void stacks_without_a_guard(void) {
  long most = mappings_allowed();
  int guards = (int)(most / 8); /* two mappings each, and a quarter of all */
  if (most > 500000) SKIP("%ld mappings are allowed: too many to use them up", most);
  have(guards / 2);
  CHECK_EQ(mem_stats().guard_kind, 2);
  CHECK_EQ(mem_stats().stacks_unguarded, 0);
  CHECK_EQ(load(&reports), 0);
  have(guards);
  CHECK_CMP(mem_stats().stacks_unguarded, >, 0);
  CHECK_CMP(mem_stats().stacks_unguarded, <, guards + 100);
  spin_until(load(&reports) == 1);
  CHECK(strstr(said, "no guard") != NULL && strchr(said, '\n') != NULL);
  have(500);
  spin_until(mem_stats().stacks_unguarded >= (uint64_t)guards / 2 + 400);
  for (int i = 0; i < guards / 2 + guards + 500; i++) CHECK_OK(gmx_sema_release(&gate));
  CHECK_OK(gmx_waitgroup_wait(&all));
}

int main(void) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.report = report;
  CHECK_OK(gmx_init(&config));
  RUN(stacks_without_a_guard);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  CHECK_EQ(load(&reports), 1); /* once, and not again */
  return 0;
}
