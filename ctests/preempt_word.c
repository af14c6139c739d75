/* timeout: 120 */
/* Code that polls only the word of its goroutine, or a flag of its own that the preemption callback sets: its slices
 * end, and stops and barriers get through. Also the callbacks for the start and the end of threads. */
#include "gs.h"

enum { PS = 2, LOOPS = 5 };

static gmx_waitgroup all;
static int quit, running, turns[LOOPS], told, outside;

/* ---- a flag of the host's ---- */

struct interpreter {
  gmx_g g;
  int flag;
};
static struct interpreter interpreters[LOOPS];
static int misses; /* so many calls come before the interpreter is ready to be told */

static void tells(void *arg, gmx_g g) {
  CHECK(arg == interpreters);
  if (load(&misses) > 0 && __atomic_fetch_sub(&misses, 1, __ATOMIC_SEQ_CST) > 0) return;
  if (gmx_self() != 0) bump(&outside); /* a callback of the scheduler, which is on no goroutine */
  bump(&told);
  CHECK_STATUS(gmx_yield(), GMX_ENOTG);
  CHECK_STATUS(gmx_ready(0), GMX_ESTALE);
  uint32_t permits = 0;
  CHECK_OK(gmx_sema_release(&permits));
  for (int i = 0; i < LOOPS; i++) {
    if (load(&interpreters[i].g) == g) store(&interpreters[i].flag, 1);
  }
}

static void looks_at_its_flag(void *arg) {
  struct interpreter *mine = arg;
  store(&mine->g, gmx_self());
  bump(&running);
  while (!load(&quit)) {
    if (!load(&mine->flag)) continue;
    store(&mine->flag, 0);
    turns[mine - interpreters]++;
    CHECK_OK(gmx_safepoint_slow());
  }
  store(&mine->g, 0);
}

/* ---- the word ---- */

static void looks_at_its_word(void *arg) {
  int i = (int)((struct interpreter *)arg - interpreters);
  const volatile uint32_t *asked = gmx_preempt_word();
  bump(&running);
  while (!load(&quit)) {
    if (!__atomic_load_n(asked, __ATOMIC_RELAXED)) continue;
    turns[i]++;
    CHECK_OK(gmx_safepoint_slow());
    CHECK(gmx_preempt_word() == asked);
  }
}

/* ---- what they must not hold up ---- */

static int served;
static void counts(void *arg) {
  (void)arg;
  bump(&served);
}

static void loops(void (*fn)(void *)) {
  quit = running = 0;
  for (int i = 0; i < LOOPS; i++) {
    turns[i] = 0;
    CHECK_OK(gmx_waitgroup_go(&all, fn, &interpreters[i]));
  }
  spin_until(load(&running) == LOOPS); /* more than there are Ps: each begins when another's slice is over */
  for (int i = 0; i < 30; i++) {
    CHECK_OK(gmx_stop_the_world("test"));
    CHECK_OK(gmx_start_the_world());
    store(&served, 0);
    CHECK_OK(gmx_for_each_p(counts, NULL));
    CHECK_EQ(load(&served), PS);
  }
  CHECK_EQ(gmx_gomaxprocs(1), PS);
  CHECK_EQ(gmx_gomaxprocs(PS), 1);
  store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
  int n = 0;
  for (int i = 0; i < LOOPS; i++) n += turns[i];
  CHECK_CMP(n, >, 0);
}

static void the_word(void) { loops(looks_at_its_word); }

static void a_flag_of_the_host(void) {
  loops(looks_at_its_flag);
  CHECK_CMP(load(&told), >, 0);
  CHECK_EQ(load(&outside), 0);
}

/* A stop without a time limit asks once, and the host misses that: the library tells it again. */
static void a_call_that_is_missed_comes_again(void) {
  quit = running = 0;
  CHECK_OK(gmx_waitgroup_go(&all, looks_at_its_flag, &interpreters[0]));
  spin_until(load(&running) == 1);
  for (int i = 0; i < 3; i++) {
    store(&misses, 2);
    CHECK_OK(gmx_stop_the_world("test"));
    CHECK_OK(gmx_start_the_world());
    store(&misses, 2);
    store(&served, 0);
    CHECK_OK(gmx_for_each_p(counts, NULL));
    CHECK_EQ(load(&served), PS);
  }
  store(&misses, 0);
  store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
}

/* The stopper tells the others in the middle of its call: what the host's function calls leaves that call alone. */
static void stops_and_resizes(void *arg) {
  (void)arg;
  for (int i = 0; i < 20; i++) {
    CHECK_OK(gmx_stop_the_world("by a goroutine"));
    CHECK_OK(gmx_start_the_world());
    CHECK_OK(gmx_for_each_p(counts, NULL));
    CHECK_EQ(gmx_gomaxprocs(PS + 1), PS);
    CHECK_EQ(gmx_gomaxprocs(PS), PS + 1);
  }
}

static void a_goroutine_that_stops_tells(void) {
  quit = running = 0;
  for (int i = 0; i < LOOPS; i++) CHECK_OK(gmx_waitgroup_go(&all, looks_at_its_flag, &interpreters[i]));
  spin_until(load(&running) == LOOPS);
  join(go_joinable(stops_and_resizes, NULL));
  store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
}

static void where_no_goroutine_is(void) {
  const uint32_t *word = gmx_preempt_word();
  CHECK(word != NULL && *word == 0);
  CHECK_OK(gmx_attach_thread());
  CHECK(gmx_preempt_word() != word);
  CHECK_EQ(__atomic_load_n(gmx_preempt_word(), __ATOMIC_RELAXED), 0);
  CHECK_OK(gmx_detach_thread());
  CHECK(gmx_preempt_word() == word);
}

/* ---- threads ---- */

static int started, ended, hold = 1;
static __thread int here;

static void thread_starts(void *arg) {
  CHECK(arg == interpreters);
  CHECK_EQ(gmx_self(), 0);
  CHECK_EQ(here, 0);
  here = 1;
  pthread_setname_np(pthread_self(), "of the host");
  /* The first two threads wait here. No other thread waits, not even for their Ps. */
  if (bump(&started) < 2) spin_until(!load(&hold));
}
static void thread_ends(void *arg) {
  CHECK(arg == interpreters);
  CHECK_EQ(here, 1);
  bump(&ended);
}

static void sees_its_thread(void *arg) {
  char name[16];
  CHECK_EQ(here, 1);
  CHECK_EQ(pthread_getname_np(pthread_self(), name, sizeof name), 0);
  CHECK_STR(name, "of the host");
  bump((int *)arg);
}

static void each_thread_is_told(void) {
  static int seen;
  CHECK_OK(gmx_waitgroup_go(&all, sees_its_thread, &seen));
  CHECK_OK(gmx_waitgroup_wait(&all)); /* by another thread: the first ones wait */
  CHECK_CMP(load(&started), >=, 3);
  CHECK_OK(gmx_stop_the_world("test"));
  CHECK_OK(gmx_start_the_world());
  store(&hold, 0);
  for (int i = 0; i < 50; i++) CHECK_OK(gmx_waitgroup_go(&all, sees_its_thread, &seen));
  CHECK_OK(gmx_waitgroup_wait(&all));
}

static void ends_its_thread(void *arg) {
  (void)arg;
  CHECK_OK(gmx_lock_os_thread());
}
static void a_thread_that_ends_early_is_told(void) {
  int before = load(&ended);
  CHECK_OK(gmx_waitgroup_go(&all, ends_its_thread, NULL));
  CHECK_OK(gmx_waitgroup_wait(&all));
  spin_until(load(&ended) == before + 1);
}

static void as_many_as_began(void) {
  spin_until(gmx_num_g() == 0);
  CHECK_OK(gmx_shutdown(INT64_C(30000000000)));
  CHECK_EQ(load(&started), load(&ended));
}

int main(void) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = PS;
  config.slice_ns = 2000000;
  config.on_preempt = tells;
  config.on_thread_start = thread_starts;
  config.on_thread_end = thread_ends;
  config.on_arg = interpreters;
  CHECK_OK(gmx_init(&config));
  RUN(each_thread_is_told);
  RUN(the_word);
  RUN(a_flag_of_the_host);
  RUN(a_call_that_is_missed_comes_again);
  RUN(a_goroutine_that_stops_tells);
  RUN(where_no_goroutine_is);
  RUN(a_thread_that_ends_early_is_told);
  RUN(as_many_as_began);
  RUN(ends_clean);
  return 0;
}
