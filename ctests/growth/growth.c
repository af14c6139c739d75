/*
 * The cost of one operation beside N objects that merely exist:  growth CROWD N
 *
 * Makes the crowd, then does each operation many times and prints `OPERATION cost`. Under valgrind's callgrind the cost
 * is instructions, which callgrind writes down itself at each CALLGRIND_DUMP_STATS_AT; otherwise it is nanoseconds of
 * CPU time of the process. ci/growth.py runs it with several N and fits a power law.
 *
 * There is one P, except with the crowd of Ps, so that nothing depends on how threads meet.
 */
#include "../gs.h"
#include "../objects.h"

#if __has_include(<valgrind/callgrind.h>)
#include <stdatomic.h>
#include <valgrind/callgrind.h>
#else
#define RUNNING_ON_VALGRIND 0
#define CALLGRIND_ZERO_STATS
#define CALLGRIND_DUMP_STATS_AT(name)
#endif

/* ---- crowds ---- */

static uint32_t gate, *gates;
static gmx_chan *never;
static atomic_long arrived;

static void parks(void *arg) {
  atomic_fetch_add(&arrived, 1);
  acquire(arg, 1);
}
static void receives(void *arg) {
  (void)arg;
  char byte;
  atomic_fetch_add(&arrived, 1);
  CHECK_OK(gmx_chan_recv(never, &byte));
}
static void sleeps(void *arg) {
  (void)arg;
  atomic_fetch_add(&arrived, 1);
  CHECK_OK(gmx_sleep(HOUR));
}

static void spawn_all(long n, void (*fn)(void *), void *arg) {
  for (long i = 0; i < n; i++) go(fn, arg);
  while (atomic_load(&arrived) < n) CHECK_OK(gmx_yield());
}

static void parked(long n) { spawn_all(n, parks, &gate); }
static void on_a_channel(long n) {
  CHECK_OK(gmx_chan_new(1, 0, &never));
  spawn_all(n, receives, NULL);
}
static void sleeping(long n) { spawn_all(n, sleeps, NULL); }
static void elsewhere(long n) {
  gates = calloc((size_t)n, sizeof *gates);
  CHECK(gates != NULL);
  for (long i = 0; i < n; i++) go(parks, &gates[i]);
  while (atomic_load(&arrived) < n) CHECK_OK(gmx_yield());
}
static void timers(long n) {
  gmx_timer t;
  for (long i = 0; i < n; i++) CHECK_OK(gmx_after_func(HOUR + i * MS, nothing, NULL, &t));
}
static void channels(long n) {
  gmx_chan *c;
  for (long i = 0; i < n; i++) CHECK_OK(gmx_chan_new(8, 4, &c));
}
static void tokens(long n) {
  gmx_cancel root, t;
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &root));
  for (long i = 0; i < n; i++) CHECK_OK(gmx_cancel_new(i % 2 ? root : 0, i % 4 ? -1 : HOUR, &t));
}
static void keys(long n) {
  gmx_key k;
  for (long i = 0; i < n; i++) {
    CHECK_OK(gmx_key_create(nothing, &k));
    CHECK_OK(gmx_key_set(k, &gate));
  }
}
static void *waits_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  CHECK_OK(gmx_enter_syscall_blocking());
  atomic_fetch_add(&arrived, 1);
  for (;;) pause();
  return arg;
}
static void *was_inside(void *arg) {
  CHECK_OK(gmx_callback(nothing, NULL));
  atomic_fetch_add(&arrived, 1);
  for (;;) pause();
  return arg;
}
static void threads(long n, void *(*fn)(void *)) {
  CHECK_OK(gmx_enter_syscall_blocking());
  for (long i = 0; i < n; i++) thread_start(fn, NULL);
  spin_until(atomic_load(&arrived) == n);
  CHECK_OK(gmx_exit_syscall());
}
static void attached(long n) { threads(n, waits_attached); }
static void known(long n) { threads(n, was_inside); }
static void ps(long n) { CHECK_CMP(gmx_gomaxprocs((int32_t)n), >=, 1); }

static const struct {
  const char *name;
  void (*make)(long n);
} CROWDS[] = {
    {"parked", parked}, {"receiving", on_a_channel}, {"sleeping", sleeping}, {"elsewhere", elsewhere},
    {"timers", timers}, {"channels", channels},      {"tokens", tokens},     {"keys", keys},
    {"attached", attached}, {"known", known},        {"ps", ps},
};

/* ---- operations, each n times ---- */

static gmx_chan *there, *back, *room;
static uint32_t ping, pong, sema;
static gmx_mutex mutex;
static gmx_rwmutex rwmutex;
static gmx_cond cond;
static gmx_waitgroup group;
static gmx_key key;
static int turn;

static void spawn_join(long n) {
  for (long i = 0; i < n; i++) join(go_with("short", GMX_SPAWN_JOINABLE, nothing, NULL));
}
static atomic_long ran;
static void runs(void *arg) {
  (void)arg;
  atomic_fetch_add(&ran, 1);
}
static void spawn_many(long n) {
  atomic_store(&ran, 0);
  for (long i = 0; i < n; i++) go(runs, NULL);
  while (atomic_load(&ran) < n) CHECK_OK(gmx_yield());
}
static void yield(long n) {
  for (long i = 0; i < n; i++) CHECK_OK(gmx_yield());
}

static void echoes(void *arg) {
  char byte;
  for (long n = (long)(intptr_t)arg; n > 0; n--) {
    CHECK_OK(gmx_chan_recv(there, &byte));
    CHECK_OK(gmx_chan_send(back, &byte));
  }
}
static void ping_pong(long n) {
  char byte = 1;
  go(echoes, (void *)(intptr_t)n);
  for (long i = 0; i < n; i++) {
    CHECK_OK(gmx_chan_send(there, &byte));
    CHECK_OK(gmx_chan_recv(back, &byte));
  }
}
static void buffered(long n) {
  char byte = 1;
  for (long i = 0; i < n; i++) {
    CHECK_OK(gmx_chan_send(room, &byte));
    CHECK_OK(gmx_chan_recv(room, &byte));
  }
}
static void chan_make(long n) {
  gmx_chan *c;
  for (long i = 0; i < n; i++) {
    CHECK_OK(gmx_chan_new(8, 1, &c));
    CHECK_OK(gmx_chan_free(c));
  }
}
static void selects(long n) {
  char byte = 1;
  gmx_select_case cases[3] = {{.chan = there, .op = GMX_CASE_RECV}, {.chan = back, .op = GMX_CASE_RECV}, {.chan = room, .elem = &byte, .op = GMX_CASE_RECV}};
  for (long i = 0; i < n; i++) {
    CHECK_OK(gmx_chan_send(room, &byte));
    CHECK_OK(gmx_select(cases, 3, GMX_FOREVER, NULL));
  }
}
static void sends_later(void *arg) {
  char byte = 1;
  for (long n = (long)(intptr_t)arg; n > 0; n--) CHECK_OK(gmx_chan_send(there, &byte));
}
static void select_waits(long n) {
  char byte;
  gmx_select_case cases[2] = {{.chan = there, .elem = &byte, .op = GMX_CASE_RECV}, {.chan = back, .elem = &byte, .op = GMX_CASE_RECV}};
  go(sends_later, (void *)(intptr_t)n);
  for (long i = 0; i < n; i++) CHECK_OK(gmx_select(cases, 2, GMX_FOREVER, NULL));
}
static void semaphore(long n) {
  for (long i = 0; i < n; i++) {
    release(&sema, 1);
    acquire(&sema, 1);
  }
}
static void answers(void *arg) {
  for (long n = (long)(intptr_t)arg; n > 0; n--) {
    acquire(&ping, 1);
    release(&pong, 1);
  }
}
static void hand_off(long n) {
  go(answers, (void *)(intptr_t)n);
  for (long i = 0; i < n; i++) {
    release(&ping, 1);
    acquire(&pong, 1);
  }
}
static void times_out(long n) {
  for (long i = 0; i < n; i++) CHECK_STATUS(gmx_sema_acquire_timeout(&sema, 1), GMX_ETIMEDOUT);
}
static void locks(long n) {
  for (long i = 0; i < n; i++) {
    CHECK_OK(gmx_mutex_lock(&mutex));
    CHECK_OK(gmx_mutex_unlock(&mutex));
    CHECK_OK(gmx_rwmutex_rlock(&rwmutex));
    CHECK_OK(gmx_rwmutex_runlock(&rwmutex));
  }
}
static void takes_turns(void *arg) {
  CHECK_OK(gmx_mutex_lock(&mutex));
  for (long n = (long)(intptr_t)arg; n > 0; n--) {
    while (turn != -1) CHECK_OK(gmx_cond_wait(&cond, &mutex));
    turn = -2;
    CHECK_OK(gmx_cond_broadcast(&cond));
  }
  CHECK_OK(gmx_mutex_unlock(&mutex));
}
static void condition(long n) {
  turn = -2;
  go(takes_turns, (void *)(intptr_t)n);
  CHECK_OK(gmx_mutex_lock(&mutex));
  for (long i = 0; i < n; i++) {
    turn = -1;
    CHECK_OK(gmx_cond_broadcast(&cond));
    while (turn != -2) CHECK_OK(gmx_cond_wait(&cond, &mutex));
  }
  CHECK_OK(gmx_mutex_unlock(&mutex));
}
static void is_done(void *arg) { CHECK_OK(gmx_waitgroup_done(arg)); }
static void waits_for_group(long n) {
  for (long i = 0; i < n; i++) {
    CHECK_OK(gmx_waitgroup_add(&group, 1));
    go(is_done, &group);
    CHECK_OK(gmx_waitgroup_wait(&group));
  }
}
static void naps(long n) {
  for (long i = 0; i < n; i++) CHECK_OK(gmx_sleep(1));
}
static void arms(long n) {
  gmx_timer t;
  CHECK_OK(gmx_after_func(GMX_FOREVER, nothing, NULL, &t));
  for (long i = 0; i < n; i++) {
    CHECK_CMP(timer_reset(t, 2 * HOUR, 0), >=, 0);
    CHECK_EQ(timer_stop(t), 1);
  }
  CHECK_CMP(timer_free(t), >=, 0);
}
static void fires(long n) {
  for (long i = 0; i < n; i++) {
    gmx_timer t;
    gmx_chan *c;
    int64_t at;
    CHECK_OK(gmx_timer_new(0, 0, &t, &c));
    CHECK_OK(gmx_chan_recv(c, &at));
    CHECK_CMP(timer_free(t), >=, 0);
    CHECK_OK(gmx_chan_free(c));
  }
}
static void cancels(long n) {
  for (long i = 0; i < n; i++) {
    gmx_cancel t, above;
    CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &t));
    CHECK_OK(gmx_cancel_use(t, &above));
    CHECK_OK(gmx_cancel_now(t));
    CHECK_STATUS(gmx_sema_acquire(&sema), GMX_ECANCELED);
    CHECK_OK(gmx_cancel_use(above, NULL));
    CHECK_OK(gmx_cancel_free(t));
  }
}
static gmx_status ok(void *arg) {
  (void)arg;
  return GMX_OK;
}
static void scopes(long n) {
  for (long i = 0; i < n; i++) {
    gmx_scope s;
    CHECK_OK(gmx_scope_new(HOUR, &s));
    CHECK_OK(gmx_scope_spawn(s, ok, NULL));
    CHECK_OK(gmx_scope_leave(s, GMX_FOREVER, NULL));
  }
}
static void locals(long n) {
  for (long i = 0; i < n; i++) {
    CHECK_OK(gmx_key_set(key, &key));
    CHECK(gmx_key_get(key) == &key);
  }
  CHECK_OK(gmx_key_set(key, NULL));
}
static void brackets(long n) {
  for (long i = 0; i < n; i++) {
    CHECK_OK(gmx_enter_syscall());
    CHECK_OK(gmx_exit_syscall());
  }
}
static void gives_p_away(long n) {
  for (long i = 0; i < n; i++) {
    CHECK_OK(gmx_enter_syscall_blocking());
    CHECK_OK(gmx_exit_syscall());
  }
}
static void stops(long n) {
  for (long i = 0; i < n; i++) {
    CHECK_OK(gmx_stop_the_world("growth"));
    CHECK_OK(gmx_start_the_world());
  }
}
static void barriers(long n) {
  for (long i = 0; i < n; i++) CHECK_OK(gmx_for_each_p(nothing, NULL));
}
static void counts(long n) {
  for (long i = 0; i < n; i++) CHECK_CMP(gmx_num_g(), >, 0);
}

/* The work of a foreign thread; the main G is in a syscall meanwhile, or waits for the thread. */
static void (*volatile errand)(long);
static long errand_n;
static pthread_mutex_t errand_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t errand_there = PTHREAD_COND_INITIALIZER;
static uint32_t errand_done;

static void *runs_errands(void *arg) {
  pthread_mutex_lock(&errand_lock);
  for (;;) {
    while (!errand) pthread_cond_wait(&errand_there, &errand_lock);
    errand(errand_n);
    errand = NULL;
    release(&errand_done, 1);
  }
  return arg;
}
static void send_thread(void (*fn)(long), long n) {
  pthread_mutex_lock(&errand_lock);
  errand_n = n;
  errand = fn;
  pthread_cond_signal(&errand_there);
  pthread_mutex_unlock(&errand_lock);
}
static void calls_back(long n) {
  for (long i = 0; i < n; i++) CHECK_OK(gmx_callback(nothing, NULL));
}
static void callbacks(long n) {
  send_thread(calls_back, n);
  acquire(&errand_done, 1);
}
/* Each value finds every P idle and leaves it idle, so gmx_main looks for a deadlock each time. */
static void sends_slowly(long n) {
  char byte = 1;
  for (long i = 0; i < n; i++) {
    thread_nap(2 * MS);
    CHECK_OK(gmx_chan_send(there, &byte));
    CHECK_OK(gmx_chan_recv(back, &byte));
  }
}
static void goes_idle(long n) {
  char byte;
  send_thread(sends_slowly, n);
  for (long i = 0; i < n; i++) {
    CHECK_OK(gmx_chan_recv(there, &byte));
    CHECK_OK(gmx_chan_send(back, &byte));
  }
  acquire(&errand_done, 1);
}

/* The cheapest of several rounds counts: in the others a thread was woken needlessly, or the watchdog ran. */
static const struct {
  const char *name;
  void (*run)(long n);
  int times;  /* in each round; twenty times as often for CPU time */
  int rounds; /* more than one where threads meet, and so counts differ */
} OPERATIONS[] = {
    {"spawn+join", spawn_join, 200, 1},     {"spawn", spawn_many, 200, 1},
    {"yield", yield, 400, 1},              {"ping-pong", ping_pong, 200, 1},
    {"buffered", buffered, 400, 1},        {"chan new+free", chan_make, 200, 1},
    {"select", selects, 200, 1},            {"select waits", select_waits, 200, 1},
    {"sema", semaphore, 400, 1},           {"sema hand-off", hand_off, 200, 1},
    {"sema timeout", times_out, 200, 1},    {"locks", locks, 400, 1},
    {"condition", condition, 200, 1},       {"wait group", waits_for_group, 200, 1},
    {"sleep", naps, 200, 1},                {"timer set+stop", arms, 200, 1},
    {"timer fires", fires, 200, 1},         {"cancel", cancels, 200, 1},
    {"scope", scopes, 200, 1},              {"keys", locals, 400, 1},
    {"bracket", brackets, 400, 1},         {"P given away", gives_p_away, 50, 7},
    {"stop+start", stops, 50, 1},          {"for each P", barriers, 50, 1},
    {"num_g", counts, 400, 1},             {"callback", callbacks, 50, 5},
    {"idle", goes_idle, 10, 5},
};

static const char *crowd;
static long size;

static void all(void) {
  size_t i = 0;
  CHECK_OK(gmx_chan_new(1, 0, &there));
  CHECK_OK(gmx_chan_new(1, 0, &back));
  CHECK_OK(gmx_chan_new(1, 1, &room));
  CHECK_OK(gmx_key_create(NULL, &key));
  thread_start(runs_errands, NULL);
  while (i < sizeof CROWDS / sizeof *CROWDS && strcmp(CROWDS[i].name, crowd) != 0) i++;
  if (i == sizeof CROWDS / sizeof *CROWDS) FAIL("no such crowd: %s", crowd);
  CROWDS[i].make(size);
  for (i = 0; i < sizeof OPERATIONS / sizeof *OPERATIONS; i++) {
    long n = OPERATIONS[i].times;
    if (!RUNNING_ON_VALGRIND && n >= 100) n *= 20;
    OPERATIONS[i].run(n); /* caches, stacks, memory */
    int64_t least = INT64_MAX;
    int rounds = RUNNING_ON_VALGRIND ? OPERATIONS[i].rounds : 7;
    for (int round = 0; round < rounds; round++) {
      if (RUNNING_ON_VALGRIND) {
        CALLGRIND_ZERO_STATS;
        OPERATIONS[i].run(n);
        CALLGRIND_DUMP_STATS_AT(OPERATIONS[i].name);
      } else {
        int64_t begin = cpu_now();
        OPERATIONS[i].run(n);
        int64_t ns = cpu_now() - begin;
        if (ns < least) least = ns;
      }
    }
    if (!RUNNING_ON_VALGRIND) printf("%s\t%.1f\n", OPERATIONS[i].name, (double)least / (double)n);
    fflush(stdout);
  }
  _exit(0);
}

int main(int argc, char **argv) {
  if (argc != 3) FAIL("growth CROWD N");
  crowd = argv[1];
  size = atol(argv[2]);
  check_limit = 600;
  alarm(600);
  start_runtime(1, NO_SLICES);
  RUN_G(all);
  return 1;
}
