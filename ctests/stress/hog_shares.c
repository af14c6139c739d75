/* Two hogs on one P for GMX_STRESS minutes: each gets 40 to 60 % of the turns, and 30 to 70 % of the CPU time, which
 * depends on what else the machine does; and both together use no more than the one CPU that a P stands for. */
#include "../beside.h"

enum { HOGS = 2 };
static int over, whose = -1;
static long turns[HOGS];
static int64_t used[HOGS];

static int64_t clock_at(clockid_t clock) {
  struct timespec t;
  CHECK(clock_gettime(clock, &t) == 0);
  return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

/* A turn: the other one has run since the last. */
static void counts_its_turns(void *arg) {
  int me = (int)(intptr_t)arg;
  int64_t before = clock_at(CLOCK_THREAD_CPUTIME_ID);
  while (!load(&over)) {
    if (load(&whose) == me) continue;
    store(&whose, me);
    turns[me]++;
  }
  used[me] = clock_at(CLOCK_THREAD_CPUTIME_ID) - before;
}

static void two_hogs_get_equal_shares(void) {
  const char *minutes = getenv("GMX_STRESS");
  int64_t begin = check_now(), end = begin + (int64_t)((minutes ? atof(minutes) : 1) * 60e9);
  gmx_g hogs[HOGS];
  for (int i = 0; i < HOGS; i++) hogs[i] = go_joinable(counts_its_turns, (void *)(intptr_t)i);
  while (check_now() < end) thread_nap(10 * MS);
  store(&over, 1);
  join_all(hogs, HOGS);
  int64_t took = check_now() - begin, cpu = used[0] + used[1];
  long all = turns[0] + turns[1];
  check_say("  turns %ld and %ld, CPU time %" PRId64 " and %" PRId64 " ms in %" PRId64 " ms", turns[0], turns[1],
            used[0] / MS, used[1] / MS, took / MS);
  for (int i = 0; i < HOGS; i++) {
    CHECK_CMP(10 * turns[i], >=, 4 * all);
    CHECK_CMP(10 * used[i], >=, 3 * cpu);
  }
  CHECK_CMP(100 * cpu, <=, 105 * took);
}

int main(void) {
  const char *minutes = getenv("GMX_STRESS");
  check_limit += (int)(60 * (minutes ? atof(minutes) : 1));
  start_runtime(1, 0);
  RUN(two_hogs_get_equal_shares);
  ends_clean();
  return 0;
}
