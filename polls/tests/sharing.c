/* Gs that compute with polls, and what shares the Ps with them: other Gs, timers, stops, barriers, resizes, dumps. No P
 * is taken from code of the host, so only the polls of the hogs let the others move. Each hog computes until the others
 * have moved so many times: where a poll is missing, the test waits in vain. */
#define _GNU_SOURCE /* memfd_create */
#define RUNTIME_FLAGS GMX_CONFIG_PREEMPT_OFF
#include "../../ctests/beside.h"
#include "hogs.h"

#include <sys/mman.h>

/* ---- hogs as Gs ---- */

enum { HUNDRED = 100, MOST = 1000 };
static struct run {
  struct hog hog;
  void (*f)(struct hog *);
  gmx_g g;
} runs[MOST];
static int hogs;

static void computes(void *arg) {
  struct run *r = (struct run *)arg;
  r->f(&r->hog);
}

static bool all_have_run(void) {
  for (int i = 0; i < hogs; i++)
    if (runs[i].hog.turns == 0) return false;
  return true;
}

static void begin(int n, void (*f)(struct hog *)) {
  memset(runs, 0, sizeof runs);
  hogs = n;
  for (int i = 0; i < n; i++) {
    runs[i].f = f;
    runs[i].g = go_with("a hog", GMX_SPAWN_JOINABLE, computes, &runs[i]);
  }
  spin_until(all_have_run());
}

static void end(void) {
  for (int i = 0; i < hogs; i++) runs[i].hog.end = 1;
  for (int i = 0; i < hogs; i++) join(runs[i].g);
}

static uint64_t all_turns(void) {
  uint64_t turns = 0;
  for (int i = 0; i < hogs; i++) turns += runs[i].hog.turns;
  return turns;
}

static void a_hog_moves(void) {
  uint64_t before = all_turns();
  spin_until(all_turns() != before);
}

/* ---- others on the only P ---- */

static void others_move_beside(int n, void (*f)(struct hog *)) {
  begin(n, f);
  beside_start();
  spin_until(moved());
  a_hog_moves();
  end();
  beside_end();
}

static void (*const KINDS[])(struct hog *) = {hog_loop, hog_nested, hog_jumps, hog_recursion, hog_by_pointer, hog_tied};

static void others_move_beside_one(void) {
  for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) others_move_beside(1, KINDS[i]);
}

static void others_move_beside_six(void) {
  for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) others_move_beside(6, KINDS[i]);
}

static void a_g_that_has_ended_is_joined(void) {
  begin(1, hog_loop);
  int ran = 0;
  gmx_g g = go_joinable(add_one, &ran);
  spin_until(load(&ran));
  CHECK_OK(gmx_join(g, 20 * SECOND));
  end();
}

/* Each ends when both have followed the other 30 times. */
static void two_share_a_p(void) {
  struct turns turns = {.of = {0, 0}, .whose = -1, .wanted = 30};
  struct taker takers[] = {{&turns, 0}, {&turns, 1}};
  gmx_g a = go_joinable(hog_takes_turns, &takers[0]), b = go_joinable(hog_takes_turns, &takers[1]);
  join(a);
  join(b);
  CHECK_CMP(turns.of[0], >=, 30);
  CHECK_CMP(turns.of[1], >=, 30);
}

/* Where polls alone end slices, a G that leaves its P leaves its thread too. */
static void a_thousand_share_a_p(void) {
  begin(MOST, hog_loop);
  beside_start();
  spin_until(moved());
  CHECK_CMP(count_threads(), <, 32);
  end();
  beside_end();
}

/* ---- what needs the Ps ---- */

static void counts_p(void *count) {
  CHECK_CMP(gmx_pin(), >=, 0);
  bump((int *)count);
  CHECK_OK(gmx_unpin());
}

static void dumps(void) {
  char text[1 << 16];
  int fd = memfd_create("dump", MFD_CLOEXEC);
  CHECK_CMP(fd, >=, 0);
  CHECK_OK(gmx_write_heap_dump(fd));
  ssize_t n = pread(fd, text, sizeof text - 1, 0);
  CHECK_CMP(n, >, 0);
  text[n] = 0;
  CHECK(strstr(text, "a hog") != NULL);
  CHECK(close(fd) == 0);
}

static void stops(void) {
  CHECK_OK(gmx_stop_the_world("polls"));
  uint64_t turns = all_turns();
  thread_nap(MS);
  CHECK_EQ(all_turns(), turns);
  CHECK_OK(gmx_start_the_world());
}

static void needs_the_ps(void *unused) {
  (void)unused;
  for (int n = 1; n <= 8; n *= 2) {
    int ps = 0;
    CHECK_CMP(gmx_gomaxprocs(n), >, 0);
    CHECK_EQ(gmx_gomaxprocs(0), n);
    a_hog_moves();
    CHECK_OK(gmx_for_each_p(counts_p, &ps));
    CHECK_EQ(load(&ps), n);
    a_hog_moves();
    CHECK_CMP(mem_stats().g_live, >=, HUNDRED);
    a_hog_moves();
    dumps();
    a_hog_moves();
    stops();
    a_hog_moves();
  }
}

static void what_needs_the_ps_gets_them_from_a_hundred(void) {
  begin(HUNDRED, hog_loop);
  needs_the_ps(NULL);
  on_g(needs_the_ps, NULL);
  end();
  CHECK_EQ(gmx_gomaxprocs(1), 8);
}

int main(void) {
  start_runtime(1, MS);
  RUN(others_move_beside_one);
  RUN(others_move_beside_six);
  RUN(a_g_that_has_ended_is_joined);
  RUN(two_share_a_p);
  RUN(a_thousand_share_a_p);
  RUN(what_needs_the_ps_gets_them_from_a_hundred);
  ends_clean();
  return 0;
}
