/* release: with assertions it takes a minute, and asks about amounts */
/* timeout: 180 */
/* env: GMX_MAXPROCS=4 */
/*
 * The memory of a load spike goes back to the system: by itself after a while without use, or at once when the program
 * asks for it. A load that comes in pulses keeps its stacks.
 */
#include "gs.h"

enum { DEEP = 44 * 1024, PAGE = 4096 }; /* of the 60 KiB of one size; a debug build takes 13 of them */

/* ---- a spike: n Gs at once, each with DEEP bytes of its stack in use ---- */

static gmx_waitgroup here, all;
static uint32_t gate;

static void deep(void *arg) {
  char block[DEEP];
  memset(block, 7, sizeof block);
  __asm__ volatile("" ::"r"(block) : "memory");
  (void)arg;
  CHECK_OK(gmx_waitgroup_done(&here));
  CHECK_OK(gmx_sema_acquire(&gate));
  CHECK_OK(gmx_waitgroup_done(&all));
}

/* Resident at the peak. */
static int64_t spike(int n, size_t stack_size) {
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .stack_size = stack_size};
  CHECK_OK(gmx_waitgroup_add(&here, n));
  CHECK_OK(gmx_waitgroup_add(&all, n));
  for (int i = 0; i < n; i++) CHECK_OK(gmx_spawn_with(&opts, deep, NULL, NULL));
  CHECK_OK(gmx_waitgroup_wait(&here));
  int64_t peak = resident();
  for (int i = 0; i < n; i++) CHECK_OK(gmx_sema_release(&gate));
  CHECK_OK(gmx_waitgroup_wait(&all));
  spin_until(gmx_num_g() == (gmx_goid() ? 1 : 0));
  return peak;
}

/* ---- by itself ---- */

/* Stacks of each size, and of the default size, which Ps cache. */
static void a_spike_goes_back_by_itself(void) {
  static const size_t sizes[] = {0, 60 << 10, 1 << 20};
  int64_t first = resident(), peak = 0;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    int64_t at = spike(1500, sizes[i]);
    if (at > peak) peak = at;
  }
  gmx_mem_stats before = mem_stats();
  CHECK_CMP(peak - first, >, 1500 * DEEP);
  CHECK_CMP(before.stacks_warm, >=, 3 * 1500);
  spin_until(resident() - first < (peak - first) / 10);
  /* 1 MiB of each size stays */
  spin_until(mem_stats().stacks_warm <= 4 + 16 + 1);
  /* the address space stays (the last batch may still be on its way back) */
  spin_until(mem_stats().stacks_released - before.stacks_released >= 3 * 1500 - 21);
  spin_until(mem_stats().stacks_cached >= before.stacks_cached);
}

/* ---- while the program works ---- */

static uint32_t stop;

static void works(void *arg) {
  while (!load(&stop)) CHECK_OK(gmx_yield());
  CHECK_OK(gmx_waitgroup_done(arg));
}

/* On Ps that never idle, which keep their cached stacks. */
static void a_spike_goes_back_beside_work(void) {
  gmx_waitgroup workers = {0};
  store(&stop, 0);
  CHECK_OK(gmx_release_memory());
  int64_t first = resident();
  int64_t peak = spike(2000, 0);
  CHECK_OK(gmx_waitgroup_add(&workers, 8));
  for (int i = 0; i < 8; i++) CHECK_OK(gmx_spawn(works, &workers));
  spin_until(resident() - first < (peak - first) / 10);
  spin_until(mem_stats().stacks_warm <= 4);
  store(&stop, 1);
  CHECK_OK(gmx_waitgroup_wait(&workers));
}

/* ---- pulses ---- */

/* Three pulses a second for nine seconds, far longer than unused stacks are kept: the stacks that the pulses need stay,
 * and the stacks of a larger spike before go. */
static void pulses_keep_their_stacks(void) {
  enum { PULSE = 300, PULSES = 27 };
  CHECK_OK(gmx_release_memory());
  int64_t first = resident(), before = usage_now().ru_minflt;
  int64_t peak = spike(10 * PULSE, 0);
  int64_t of_spike = usage_now().ru_minflt - before;
  CHECK_CMP(of_spike, >=, 10 * PULSE * (DEEP / PAGE));
  before = usage_now().ru_minflt;
  for (int i = 0; i < PULSES; i++) {
    usleep(333000);
    spike(PULSE, 0);
  }
  int64_t of_pulses = usage_now().ru_minflt - before;
  /* Each pulse, if it had to fault its stacks in, would cost a tenth of the spike. */
  check_say("  faults: %" PRId64 " by the spike, %" PRId64 " by %d pulses", of_spike, of_pulses, PULSES);
  const char *host = getenv("GMX_HOST");
  if (host && strcmp(host, "forks") == 0)
    check_say("  left out: after each fork every page faults again");
  else
    CHECK_CMP(of_pulses, <, of_spike / 10 / 2);
  spin_until((spike(PULSE, 0), resident() - first < (peak - first) / 3));
}

/* ---- at once ---- */

static void releases(void *arg) {
  (void)arg;
  CHECK_OK(gmx_release_memory());
}

static void in_a_stopped_world(void *arg) {
  (void)arg;
  CHECK_OK(gmx_stop_the_world("memory"));
  CHECK_OK(gmx_release_memory());
  CHECK_OK(gmx_start_the_world());
}

static void pinned(void *arg) {
  (void)arg;
  CHECK_CMP(gmx_pin(), >=, 0);
  CHECK_OK(gmx_release_memory());
  CHECK_OK(gmx_unpin());
}

static void on_a_g(void (*f)(void *)) { join(go_joinable(f, NULL)); }
static void from_a_thread(void (*f)(void *)) { f(NULL); }

static int idle_ps(void) { return sched_stats().idleprocs; }

static void all_at_once(void) {
  static const struct {
    void (*where)(void (*)(void *));
    void (*how)(void *);
  } ways[] = {{from_a_thread, releases}, {on_a_g, releases}, {on_a_g, in_a_stopped_world}, {on_a_g, pinned}};
  CHECK_OK(gmx_release_memory());
  int64_t first = resident();
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    int64_t peak = spike(2000, 0);
    CHECK_CMP(resident() - first, >, (peak - first) / 2);
    spin_until(idle_ps() == 4);
    ways[i].where(ways[i].how);
    CHECK_CMP(resident() - first, <, (peak - first) / 5);
    gmx_mem_stats stats = mem_stats();
    CHECK_CMP(stats.stacks_warm, <=, 4 * 64);
  }
}

static void without_a_runtime(void) {
  CHECK_OK(gmx_release_memory());
  CHECK_EQ(gmx_num_g(), 0);
}

int main(void) {
  RUN(without_a_runtime);
  RUN(all_at_once);
  RUN(a_spike_goes_back_by_itself);
  RUN(a_spike_goes_back_beside_work);
  RUN(pulses_keep_their_stacks);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  CHECK_OK(gmx_release_memory());
  return 0;
}
