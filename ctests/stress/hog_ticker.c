/* A G that a timer readies goes before Gs that have never run, also if all of these compute: it has a turn between the
 * first slices of two of them. Otherwise it waited for the first slice of each. On a busy machine that may be so once
 * in a while, so most rounds count, for GMX_STRESS minutes. */
#include "../gs.h"
#include "../objects.h"

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

static bool runs_between_the_first_slices(void) {
  store(&over, 0);
  store(&begun, 0);
  store(&ticks, 0);
  gmx_g ticker = go_joinable(ticks_on, NULL), hogs[HOGS];
  for (int i = 0; i < HOGS; i++) hogs[i] = go_joinable(computes, NULL);
  spin_until(load(&begun) == HOGS);
  store(&over, 1);
  join(ticker);
  join_all(hogs, HOGS);
  return ticks_before[HOGS - 1] >= HOGS / 2;
}

static void a_ticker_runs_between_the_first_slices(void) {
  const char *minutes = getenv("GMX_STRESS");
  int rounds = 0, good = 0;
  for (int64_t end = check_now() + (int64_t)((minutes ? atof(minutes) : 1) * 60e9); rounds < 10 || check_now() < end;) {
    rounds++;
    good += runs_between_the_first_slices();
  }
  check_say("  %d of %d rounds", good, rounds);
  CHECK_CMP(2 * good, >, rounds);
}

int main(void) {
  const char *minutes = getenv("GMX_STRESS");
  check_limit += (int)(60 * (minutes ? atof(minutes) : 1));
  start_runtime(1, MS);
  RUN(a_ticker_runs_between_the_first_slices);
  ends_clean();
  return 0;
}
