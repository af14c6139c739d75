/* timeout: 120 */
/* env: GMXDEBUG=guard=mprotect */
/* GMX_CONFIG_GUARD_REQUIRED: where guards are mappings and run out, a spawn is refused and changes nothing. */
#include "child.h"
#include "gs.h"

static uint32_t gate;
static int guards;

static void waits(void *arg) { CHECK_OK(gmx_sema_acquire(arg)); }

static uint64_t spawned(void) { return sched_stats().spawned; }

static void every_spawn_is_refused(void) {
  int64_t gs = gmx_num_g();
  uint64_t before = spawned();
  for (int i = 0; i < 100; i++) CHECK_STATUS(gmx_spawn(waits, &gate), GMX_ENOMEM);
  for (size_t size = 0; size <= (1 << 20); size += 256 << 10) {
    for (uint32_t flags = 0; flags < 8; flags++) {
      gmx_spawn_opts opts = {.struct_size = sizeof opts, .stack_size = size, .flags = flags};
      gmx_g g = 4711;
      CHECK_STATUS(gmx_spawn_with(&opts, waits, &gate, &g), GMX_ENOMEM);
      CHECK_EQ(g, 4711);
    }
  }
  CHECK_EQ(gmx_num_g(), gs);
  CHECK_EQ(spawned(), before);
}

static void *every_spawn_is_refused_to_a_thread(void *arg) {
  every_spawn_is_refused();
  return arg;
}

static void some_spawns(void) {
  go(waits, &gate);
  release(&gate, 1);
}

static void guards_run_out(void) {
  int n = 0;
  gmx_status s;
  while ((s = gmx_spawn(waits, &gate)) == GMX_OK) CHECK_CMP(++n, <, guards); /* this G has one */
  CHECK_STATUS(s, GMX_ENOMEM);
  CHECK_CMP(n, >, guards - 100);
  every_spawn_is_refused();
  CHECK_OK(gmx_enter_syscall_blocking());
  thread_join(thread_start(every_spawn_is_refused_to_a_thread, NULL));
  CHECK_OK(gmx_exit_syscall());
  CHECK_EQ(mem_stats().guard_kind, 2);
  CHECK_EQ(mem_stats().stacks_unguarded, 0);
  /* One G ends, and another can begin. */
  int64_t gs = gmx_num_g();
  release(&gate, 1);
  spin_until(gmx_num_g() == gs - 1);
  spin_until(gmx_spawn(waits, &gate) == GMX_OK);
  CHECK_STATUS(gmx_spawn(waits, &gate), GMX_ENOMEM);
  release(&gate, n);
  spin_until(gmx_num_g() == 1);
  go(waits, &gate);
  release(&gate, 1);
}

static void start(uint32_t flags, gmx_status want) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.flags = flags;
  config.maxprocs = 1; /* a G that is spawned without a stack gets none by the way */
  CHECK_STATUS(gmx_init(&config), want);
}

static void both_flags_are_none(void) { start(GMX_CONFIG_GUARD_REQUIRED | GMX_CONFIG_GUARD_OPTIONAL, GMX_EINVAL); }

/* The environment takes no guard away. */
static void without_guards(void *arg) {
  (void)arg;
  setenv("GMXDEBUG", "guard=none", 1);
  start(GMX_CONFIG_GUARD_REQUIRED, GMX_OK);
  CHECK_CMP(mem_stats().guard_kind, !=, 0);
  end_runtime();
}

static void the_environment_takes_none_away(void) {
  RUN_CHILD(60, without_guards, NULL);
}

/* They cannot be required once there are stacks without one. */
static void too_late(void) {
  start(0, GMX_OK);
  for (int i = 0; i <= guards; i++) CHECK_OK(gmx_spawn(waits, &gate));
  spin_until(mem_stats().stacks_unguarded > 0);
  release(&gate, guards + 1);
  end_runtime();
  start(GMX_CONFIG_GUARD_REQUIRED, GMX_ENOMEM);
  start(GMX_CONFIG_GUARD_OPTIONAL, GMX_OK);
}

int main(void) {
  long most = mappings_allowed();
  guards = (int)(most / 8);
  if (most > 500000) SKIP("%ld mappings are allowed: too many to use them up", most);
  RUN(the_environment_takes_none_away);
  RUN(both_flags_are_none);
  start(0, GMX_OK);
  RUN_G(some_spawns); /* the state of an earlier runtime lets no spawn pass */
  end_runtime();
  start(GMX_CONFIG_GUARD_REQUIRED, GMX_OK);
  RUN_G(guards_run_out);
  end_runtime();
  RUN(too_late);
  end_runtime();
  return 0;
}
