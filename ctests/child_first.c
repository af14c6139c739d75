/* timeout: 120 */
/* GMX_SPAWN_CHILD_FIRST: the child begins before its parent continues. */
#include "child.h"
#include "gs.h"

#include <stdatomic.h>

static atomic_int begun;

static void begins(void *arg) {
  (void)arg;
  atomic_fetch_add(&begun, 1);
}

/* A child whose P is taken from it has begun as well; but it would not have counted yet when its parent continues. */
enum { FIRST = GMX_SPAWN_CHILD_FIRST | GMX_SPAWN_NO_PREEMPT };

static bool child_was_first(void) {
  int before = atomic_load(&begun);
  go_with(NULL, FIRST, begins, NULL);
  return atomic_load(&begun) == before + 1;
}

/* ---- on one P, always ---- */

static void always(void) {
  for (int i = 0; i < 10000; i++) CHECK(child_was_first());
}

/* The slice of the parent is over and its preemption is requested: the child still runs first. */
static void when_the_slice_is_over(void) {
  for (int i = 0; i < 20; i++) {
    for (int64_t end = check_now() + 25 * MS; check_now() < end;) continue;
    CHECK(child_was_first());
  }
}

static int depth_reached;

/* More nested parents than a P keeps for itself. */
static void goes_deeper(void *arg) {
  int depth = (int)(intptr_t)arg;
  CHECK_EQ(depth_reached, depth);
  depth_reached = depth + 1;
  if (depth == 300) return;
  gmx_g g = go_with(NULL, GMX_SPAWN_JOINABLE | FIRST, goes_deeper, (void *)(intptr_t)(depth + 1));
  CHECK_EQ(depth_reached, 301);
  join(g);
}

static void however_deep(void) {
  depth_reached = 0;
  goes_deeper((void *)0);
}

static atomic_int stopping;

static void *stops(void *arg) {
  for (int i = 0; i < 20; i++) {
    atomic_store(&stopping, 1);
    CHECK_OK(gmx_stop_the_world_timeout("child first", 30 * SECOND));
    atomic_store(&stopping, 0);
    CHECK_OK(gmx_start_the_world());
    thread_nap(MS);
  }
  return arg;
}

/* A stop of the world waits for this P: the child still runs first. */
static atomic_int stops_done;
static void *stops_and_says(void *arg) {
  stops(arg);
  atomic_store(&stops_done, 1);
  return NULL;
}

static void beside_stops(void) {
  atomic_store(&stops_done, 0);
  pthread_t t = thread_start(stops_and_says, NULL);
  int asked = 0;
  while (!atomic_load(&stops_done)) {
    for (int i = 0; i < 1000 && !atomic_load(&stopping); i++) continue;
    asked += atomic_load(&stopping);
    CHECK(child_was_first());
    CHECK_OK(gmx_yield());
  }
  thread_join(t);
  check_say("  %d spawns while a stop was asked for", asked);
}

/* ---- the first spawn of a process, with idle Ps ---- */

static bool was_first;
static void first_spawn(void *arg) {
  (void)arg;
  was_first = child_was_first();
}

static void in_a_process(void *arg) {
  (void)arg;
  start_runtime(2, 0);
  CHECK_OK(gmx_main(first_spawn, NULL));
  _exit(was_first ? 0 : 3);
}

/* Another P may steal the parent as soon as the child has begun, and then both run at the same time. The start of a
 * thread for it takes longer than the first line of the child, unless the machine takes the CPU away just there. */
static void in_new_processes(void) {
  enum { N = 40 };
  static child c;
  int parent_first = 0;
  for (int i = 0; i < N; i++) {
    child_run(&c, 30, in_a_process, NULL);
    CHECK(WIFEXITED(c.status) && (WEXITSTATUS(c.status) == 0 || WEXITSTATUS(c.status) == 3));
    parent_first += WEXITSTATUS(c.status) == 3;
  }
  check_say("  in %d of %d processes the parent was first", parent_first, N);
  CHECK_CMP(parent_first, <=, N / 5);
}

/* ---- with idle Ps and searchers ---- */

static void with_idle_ps(void) {
  enum { N = 2000 };
  int parent_first = 0;
  for (int i = 0; i < N; i++) parent_first += !child_was_first();
  check_say("  in %d of %d spawns the parent was first", parent_first, N);
  CHECK_CMP(parent_first, <=, N / 5);
}

int main(void) {
  RUN(in_new_processes);
  start_runtime(1, 0);
  RUN_G(always);
  RUN_G(when_the_slice_is_over);
  RUN_G(however_deep);
  RUN_G(beside_stops);
  end_runtime();
  start_runtime(2, 0);
  RUN_G(with_idle_ps);
  end_runtime();
  return 0;
}
