/* A G that a timer readies goes before Gs that have never run, also if all of these compute: it has a turn between the
 * first slices of two of them. Otherwise it waited for the first slice of each. */
#include "gs.h"
#include "objects.h"

enum { HOGS = 40 };
static int ticks, begun, over;
static int ticks_before[HOGS];

static void ticks_on(void *arg) {
  (void)arg;
  while (!load(&over)) {
    CHECK_OK(gmx_sleep(MS));
    bump(&ticks);
  }
}

static void computes(void *arg) {
  (void)arg;
  store(&ticks_before[__atomic_fetch_add(&begun, 1, __ATOMIC_SEQ_CST)], load(&ticks));
  while (!load(&over)) continue;
}

static void a_ticker_runs_between_the_first_slices(void) {
  gmx_g ticker = go_joinable(ticks_on, NULL), hogs[HOGS];
  for (int i = 0; i < HOGS; i++) hogs[i] = go_joinable(computes, NULL);
  spin_until(load(&begun) == HOGS);
  store(&over, 1);
  join(ticker);
  join_all(hogs, HOGS);
  CHECK_CMP(ticks_before[HOGS - 1], >=, HOGS / 2);
}

int main(void) {
  start_runtime(1, MS);
  RUN(a_ticker_runs_between_the_first_slices);
  ends_clean();
  return 0;
}
