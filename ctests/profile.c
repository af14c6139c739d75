/* timeout: 60 */
/* env: GMX_MAXPROCS=2 */
/*
 * A profiler by signals sees what goroutines do: SIGPROF reaches the worker that computes, on the stack of its
 * goroutine.
 */
#include "gs.h"

#include <sys/time.h>

static char *lo, *hi;
static uint32_t on_the_g, elsewhere, stop;

static void sample(int number) {
  char *here = __builtin_frame_address(0);
  (void)number;
  bump(here >= lo && here < hi ? &on_the_g : &elsewhere);
}

static void computes(void *arg) {
  void *from, *to;
  CHECK_OK(gmx_stack_bounds(&from, &to));
  lo = from;
  store(&hi, (char *)to);
  while (!load(&stop)) {
  }
  (void)arg;
}

static void samples_come_to_gs(void) {
  struct sigaction action;
  struct itimerval every = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
  memset(&action, 0, sizeof action);
  action.sa_handler = sample;
  action.sa_flags = SA_RESTART;
  CHECK_EQ(sigaction(SIGPROF, &action, NULL), 0);
  gmx_g g = go_joinable(computes, NULL);
  spin_until(load(&hi) != NULL);
  CHECK_EQ(setitimer(ITIMER_PROF, &every, NULL), 0);
  spin_until(load(&on_the_g) >= 20);
  CHECK_EQ(setitimer(ITIMER_PROF, &never, NULL), 0);
  store(&stop, 1);
  join(g);
  check_say("  %u samples on the goroutine, %u elsewhere", load(&on_the_g), load(&elsewhere));
}

int main(void) {
  CHECK_EQ(gmx_num_g(), 0); /* the runtime is up */
  RUN(samples_come_to_gs);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  return 0;
}
