/* timeout: 120 */
/* flags: -lm */
/* Gs that compute and do not wait: hogs. Beside them, on the same Ps, the others get their turns, and what needs the
 * Ps gets these. Each hog ends only when it has seen the others move. */
#include "beside.h"
#include "seed.h"

#include <errno.h>
#include <fenv.h>
#include <locale.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/syscall.h>

/* ---- the host's code ---- */

static void loops(int me) {
  (void)me;
  while (!moved()) continue;
}

static void looks_at_its_thread(int me) {
  int tid = thread_id();
  while (!moved()) {
    errno = 1000 + me;
    for (int i = 0; i < 1000 && !moved(); i++) continue;
    CHECK_EQ(errno, 1000 + me);
    CHECK_EQ(thread_id(), tid);
  }
}

static void rounds(int me) {
  int mode = me % 2 ? FE_UPWARD : FE_DOWNWARD, before = fegetround();
  volatile double x = 1, y = 3;
  CHECK(fesetround(mode) == 0);
  double third = x / y;
  while (!moved()) {
    CHECK(x / y == third);
    CHECK_EQ(fegetround(), mode);
  }
  CHECK(fesetround(before) == 0);
}

static void allocates(int me) {
  uint64_t seed = (uint64_t)me + 1;
  while (!moved()) {
    unsigned char *blocks[16];
    size_t sizes[16];
    for (int i = 0; i < 16; i++) {
      sizes[i] = 16 + random_below(&seed, 3000);
      CHECK((blocks[i] = malloc(sizes[i])) != NULL);
      blocks[i][0] = blocks[i][sizes[i] - 1] = (unsigned char)(me + i);
    }
    for (int i = 0; i < 16; i++) {
      CHECK_EQ(blocks[i][0], (unsigned char)(me + i));
      CHECK_EQ(blocks[i][sizes[i] - 1], (unsigned char)(me + i));
      free(blocks[i]);
    }
  }
}

static FILE *file;
#define LINE "hog %d writes %s %g\n"

CHECK_UNUSED static void prints(int me) {
  while (!moved()) CHECK_CMP(fprintf(file, LINE, me, "a line that stays whole", 1.5), >, 0);
}

static void asks_the_environment(int me) {
  (void)me;
  while (!moved()) {
    char *end;
    CHECK(getenv("PATH") != NULL);
    CHECK(setlocale(LC_ALL, NULL) != NULL);
    CHECK(strtod("1.25e3x", &end) == 1250 && *end == 'x');
  }
}

/* By number: no server is asked. */
static void resolves(int me) {
  struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_family = AF_INET}, *found;
  char host[32];
  snprintf(host, sizeof host, "127.0.0.%d", me + 1);
  while (!moved()) {
    CHECK_EQ(getaddrinfo(host, "80", &hints, &found), 0);
    const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)found->ai_addr;
    CHECK_EQ(ntohl(in->sin_addr.s_addr), 0x7f000001 + me);
    CHECK_EQ(ntohs(in->sin_port), 80);
    freeaddrinfo(found);
  }
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_spinlock_t spinlock;
static long guarded; /* by the lock of the test */

static void adds_slowly(void) {
  long n = *(volatile long *)&guarded;
  for (volatile int i = 0; i < 100; i++) continue;
  *(volatile long *)&guarded = n + 1;
}

static void locks_a_mutex(int me) {
  (void)me;
  while (!moved()) {
    CHECK(pthread_mutex_lock(&mutex) == 0);
    long n = guarded;
    adds_slowly();
    CHECK_EQ(guarded, n + 1);
    CHECK(pthread_mutex_unlock(&mutex) == 0);
  }
}

static void locks_a_spinlock(int me) {
  (void)me;
  while (!moved()) {
    CHECK(pthread_spin_lock(&spinlock) == 0);
    long n = guarded;
    adds_slowly();
    CHECK_EQ(guarded, n + 1);
    CHECK(pthread_spin_unlock(&spinlock) == 0);
  }
}

static void blocks_signals(int me) {
  (void)me;
  sigset_t all, before, now;
  CHECK(sigfillset(&all) == 0);
  while (!moved()) {
    CHECK(pthread_sigmask(SIG_BLOCK, &all, &before) == 0);
    for (int i = 0; i < 3000000 && !moved(); i++) continue;
    CHECK(pthread_sigmask(SIG_SETMASK, &before, &now) == 0);
    CHECK(sigismember(&now, SIGUSR1) && !sigismember(&before, SIGUSR1));
  }
}

static void calls_the_system(int me) {
  (void)me;
  while (!moved()) CHECK_EQ(syscall(SYS_getppid), getppid());
}

/* ---- the library's code: nearly always within one of its calls ---- */

static gmx_chan *chan;
static gmx_mutex lock;
static gmx_rwmutex rwlock;
static gmx_waitgroup group;
static gmx_cond cond;
static gmx_once once;
static gmx_key key;
static uint32_t sema;
static gmx_timer timer;
static int started, ended;

static void now_(void) { CHECK_CMP(gmx_now(), >, 0); }
static void self(void) { CHECK(gmx_self() != 0); }
static void goid(void) { CHECK(gmx_goid() != 0); }
static void num_g(void) { CHECK_CMP(gmx_num_g(), >, 0); }
static void preempt_word(void) { CHECK(gmx_preempt_word() != NULL); }
static void gomaxprocs(void) { CHECK_EQ(gmx_gomaxprocs(0), 1); }
static void stack_bounds(void) {
  void *lo, *hi;
  CHECK_OK(gmx_stack_bounds(&lo, &hi));
  CHECK(lo < (void *)&lo && (void *)&lo < hi);
}
static void key_value(void) {
  CHECK_OK(gmx_key_set(key, &key));
  CHECK(gmx_key_get(key) == &key);
}
static void chan_len(void) { CHECK_EQ(gmx_chan_len(chan), 1); }
static void chan_try(void) {
  int n = 0;
  CHECK_STATUS(gmx_chan_try_send(chan, &n), GMX_EAGAIN);
}
static void select_0(void) {
  int n = 0;
  size_t chosen;
  gmx_select_case cases[] = {GMX_SEND(chan, &n)};
  CHECK_STATUS(gmx_select(cases, 1, 0, &chosen), GMX_ETIMEDOUT);
}
static void mutex_pair(void) {
  CHECK_OK(gmx_mutex_lock(&lock));
  CHECK_OK(gmx_mutex_unlock(&lock));
}
static void rwmutex_pair(void) {
  CHECK_OK(gmx_rwmutex_rlock(&rwlock));
  CHECK_OK(gmx_rwmutex_runlock(&rwlock));
}
static void sema_pair(void) {
  CHECK_OK(gmx_sema_release(&sema));
  CHECK_OK(gmx_sema_try_acquire(&sema));
}
static void group_pair(void) {
  CHECK_OK(gmx_waitgroup_add(&group, 1));
  CHECK_OK(gmx_waitgroup_done(&group));
}
static void signal_(void) { CHECK_OK(gmx_cond_signal(&cond)); }
static void once_do(void) { CHECK_OK(gmx_once_do(&once, nothing, NULL)); }
static void reset(void) { CHECK_CMP(timer_reset(timer, HOUR, 0), >=, 0); }
static void token(void) { CHECK_OK(gmx_cancel_free(new_token(0, GMX_FOREVER))); }
static void pin_pair(void) {
  CHECK_EQ(gmx_pin(), 0);
  CHECK_OK(gmx_unpin());
}
static void syscall_pair(void) {
  CHECK_OK(gmx_enter_syscall());
  CHECK_OK(gmx_exit_syscall());
}
static void thread_pair(void) {
  CHECK_OK(gmx_lock_os_thread());
  CHECK_OK(gmx_unlock_os_thread());
}
static void numbers(void) { CHECK_EQ(sched_stats().gomaxprocs, 1); }
static void spawn(void) {
  if (started - load(&ended) >= 1000) return; /* it computes until they have run */
  started++;
  go(add_one, &ended);
}

static const struct call {
  const char *name;
  void (*fn)(void);
} calls[] = {
    {"gmx_now", now_},
    {"gmx_self", self},
    {"gmx_goid", goid},
    {"gmx_num_g", num_g},
    {"gmx_preempt_word", preempt_word},
    {"gmx_gomaxprocs(0)", gomaxprocs},
    {"gmx_stack_bounds", stack_bounds},
    {"gmx_key_set, gmx_key_get", key_value},
    {"gmx_chan_len", chan_len},
    {"gmx_chan_try_send", chan_try},
    {"gmx_select that only looks", select_0},
    {"a pair of gmx_mutex", mutex_pair},
    {"a pair of gmx_rwmutex", rwmutex_pair},
    {"a pair of gmx_sema", sema_pair},
    {"a pair of gmx_waitgroup", group_pair},
    {"gmx_cond_signal", signal_},
    {"gmx_once_do", once_do},
    {"gmx_timer_reset", reset},
    {"gmx_cancel_new, gmx_cancel_free", token},
    {"gmx_pin, gmx_unpin", pin_pair},
    {"gmx_enter_syscall, gmx_exit_syscall", syscall_pair},
    {"gmx_lock_os_thread, gmx_unlock_os_thread", thread_pair},
    {"gmx_read_sched_stats", numbers},
    {"gmx_spawn", spawn},
};
static const struct call *called;

static void calls_the_library(int me) {
  (void)me;
  while (!moved()) called->fn();
}

/* ---- one P ---- */

struct hog {
  void (*fn)(int);
  int me;
};

static void computes_as(void *arg) {
  struct hog *hog = arg;
  hog->fn(hog->me);
}

enum { MOST_HOGS = 6 };
static void beside_hogs(const char *name, void (*fn)(int), int n) {
  struct hog hogs[MOST_HOGS];
  gmx_g g[MOST_HOGS];
  check_running = name;
  beside_start();
  for (int i = 0; i < n; i++) {
    hogs[i].fn = fn;
    hogs[i].me = i;
    g[i] = go_with(name, GMX_SPAWN_JOINABLE, computes_as, &hogs[i]);
  }
  join_all(g, n);
  beside_end();
}

static void others_move_beside_the_code_of_the_host(void) {
  static const struct kind {
    const char *name;
    void (*fn)(int);
    int n;
  } kinds[] = {
      {"loops", loops, 1},
      {"many loop", loops, MOST_HOGS},
      {"look at their threads", looks_at_its_thread, 3},
      {"round up or down", rounds, 3},
      {"allocate", allocates, MOST_HOGS},
#ifndef __SANITIZE_THREAD__ /* does not know the lock of a FILE, under which the C library frees the text's memory */
      {"print to one file", prints, MOST_HOGS},
#endif
      {"ask the environment", asks_the_environment, MOST_HOGS},
      {"resolve addresses", resolves, 3},
      {"lock one mutex", locks_a_mutex, MOST_HOGS},
      {"lock one spinlock", locks_a_spinlock, MOST_HOGS},
      {"block signals", blocks_signals, 2},
      {"call the system", calls_the_system, 2},
  };
  char *text;
  size_t size;
  CHECK((file = open_memstream(&text, &size)) != NULL);
  CHECK(pthread_spin_init(&spinlock, PTHREAD_PROCESS_PRIVATE) == 0);
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    int64_t begin = check_now();
    beside_hogs(kinds[i].name, kinds[i].fn, kinds[i].n);
    check_say("  %s: %" PRId64 " ms", kinds[i].name, (check_now() - begin) / MS);
  }
  CHECK(fclose(file) == 0);
  for (char *line = text, *next; *line; line = next) {
    char want[100];
    int me = -1;
    CHECK((next = strchr(line, '\n')) != NULL);
    next++;
    if (strncmp(line, "hog ", 4) == 0) me = atoi(line + 4);
    snprintf(want, sizeof want, LINE, me, "a line that stays whole", 1.5);
    CHECK(strlen(want) == (size_t)(next - line) && strncmp(line, want, strlen(want)) == 0);
  }
  free(text);
}

static void others_move_beside_calls_of_the_library(void) {
  int n = 1;
  chan = chan_of(sizeof n, 1);
  CHECK_OK(gmx_chan_send(chan, &n));
  CHECK_OK(gmx_key_create(NULL, &key));
  CHECK_OK(gmx_after_func(HOUR, nothing, NULL, &timer));
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    called = &calls[i];
    int64_t begin = check_now();
    beside_hogs(called->name, calls_the_library, 1);
    check_say("  %s: %" PRId64 " ms", called->name, (check_now() - begin) / MS);
  }
  spin_until(load(&ended) == started);
  CHECK_EQ(timer_free(timer), 1);
  CHECK_OK(gmx_key_delete(key));
  CHECK_OK(gmx_chan_free(chan));
}

/* ---- hogs beside hogs ---- */

static int whose, turns[2];

/* Another hog has been here since the caller's last look. */
static void takes_turns(void *arg) {
  int me = (int)(intptr_t)arg;
  while (load(&turns[0]) < 30 || load(&turns[1]) < 30) {
    if (load(&whose) == me) continue;
    store(&whose, me);
    bump(&turns[me]);
  }
}

static void two_hogs_share_a_p(void) {
  store(&whose, -1);
  gmx_g a = go_joinable(takes_turns, (void *)0), b = go_joinable(takes_turns, (void *)1);
  join(a);
  join(b);
}

#define HUNDRED 100
static long steps[HUNDRED];
static int quit;

static void computes(void *arg) {
  long *mine = arg;
  while (!load(&quit)) store(mine, *mine + 1);
}

static bool any_above(const long *before) {
  for (int i = 0; i < HUNDRED; i++)
    if (load(&steps[i]) > before[i]) return true;
  return false;
}

static void a_hog_moves(void) {
  long before[HUNDRED];
  for (int i = 0; i < HUNDRED; i++) before[i] = load(&steps[i]);
  spin_until(any_above(before));
}

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
  CHECK(strstr(text, "a hundredth") != NULL);
  CHECK(close(fd) == 0);
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
  }
}

static void what_needs_the_ps_gets_them_from_a_hundred_hogs(void) {
  gmx_g g[HUNDRED];
  memset(steps, 0, sizeof steps);
  store(&quit, 0);
  for (int i = 0; i < HUNDRED; i++) g[i] = go_with("a hundredth", GMX_SPAWN_JOINABLE, computes, &steps[i]);
  needs_the_ps(NULL);
  on_g(needs_the_ps, NULL);
  for (int i = 0; i < HUNDRED; i++) spin_until(load(&steps[i]) > 0);
  store(&quit, 1);
  join_all(g, HUNDRED);
  CHECK_EQ(gmx_gomaxprocs(1), 8);
}

/* ---- the exact stop ---- */

static char report_text[1 << 16];
static size_t report_len;

static void keep_report(void *arg, const char *text, size_t len) {
  (void)arg;
  if (len > sizeof report_text - 1 - report_len) len = sizeof report_text - 1 - report_len;
  memcpy(report_text + report_len, text, len);
  report_len += len;
  report_text[report_len] = 0;
}

static int polls;
static long step;

static void computes_and_may_poll(void *arg) {
  (void)arg;
  while (!load(&quit)) {
    for (int i = 0; i < 100000; i++) bump(&step);
    if (load(&polls)) gmx_safepoint();
  }
}

static void steps_on(void) {
  long before = load(&step);
  spin_until(load(&step) > before);
}

/* The caller has stopped the world. */
static void stands_still(void) {
  long before = load(&step);
  thread_nap(MS);
  CHECK_EQ(load(&step), before);
  CHECK_OK(gmx_start_the_world());
  steps_on();
}

/* It succeeds only if the threads of all hogs are held just then. */
static bool stops_in_vain(void) {
  report_len = 0;
  report_text[0] = 0;
  gmx_status status = gmx_stop_the_world_timeout("impatient", 20 * MS);
  if (status == GMX_OK) {
    stands_still();
    return false;
  }
  CHECK_STATUS(status, GMX_ETIMEDOUT);
  if (!strstr(report_text, "a deaf one") || !strstr(report_text, "impatient")) FAIL("reported: %s", report_text);
  CHECK_STATUS(gmx_start_the_world(), GMX_EPERM);
  return true;
}

static void stops(void *unused) {
  (void)unused;
  for (int n = 0; n < 3;) {
    int ran = 0;
    n += stops_in_vain();
    steps_on();
    go(add_one, &ran);
    spin_until(load(&ran));
  }
  store(&polls, 1);
  for (int i = 0; i < 10; i++) {
    CHECK_OK(gmx_stop_the_world("patient"));
    stands_still();
  }
  store(&polls, 0);
}

/* ---- and of code that has no P ---- */

static int pipe_ends[2], begun;

static void sleeps_and_computes(void *arg) {
  char c;
  store(&begun, 1);
  CHECK_EQ(read(pipe_ends[0], &c, 1), 1);
  computes_and_may_poll(arg);
}

static void times_out(const char *name) {
  report_len = 0;
  report_text[0] = 0;
  CHECK_STATUS(gmx_stop_the_world_timeout("hasty", 20 * MS), GMX_ETIMEDOUT);
  if (!strstr(report_text, name) || !strstr(report_text, "hasty")) FAIL("reported: %s", report_text);
}

/* Another G runs on the only P, so that was taken from the sleeper. It is not at a call, and has no P: a stop waits for
 * it all the same. */
static void sleeper_loses_its_p(void *unused) {
  (void)unused;
  int ran = 0;
  store(&quit, 0);
  store(&begun, 0);
  gmx_g g = go_with("a sleeper", GMX_SPAWN_JOINABLE, sleeps_and_computes, NULL);
  spin_until(load(&begun));
  go(add_one, &ran);
  spin_until(load(&ran));
  times_out("a sleeper");
  CHECK_EQ(write(pipe_ends[1], "x", 1), 1);
  steps_on();
  times_out("a sleeper");
  store(&polls, 1);
  CHECK_OK(gmx_stop_the_world("patient"));
  stands_still();
  store(&polls, 0);
  store(&quit, 1);
  join(g);
}

static void a_stop_waits_for_code_that_sleeps(void) {
  CHECK(pipe(pipe_ends) == 0);
  sleeper_loses_its_p(NULL);
  on_g(sleeper_loses_its_p, NULL);
  CHECK(close(pipe_ends[0]) == 0 && close(pipe_ends[1]) == 0);
}

/* With more hogs than Ps the threads of some are held when the stop begins. */
static void a_stop_waits_for_a_safe_point(void) {
  for (int n = 1; n <= 3; n += 2) {
    gmx_g g[3];
    store(&quit, 0);
    for (int i = 0; i < n; i++) g[i] = go_with("a deaf one", GMX_SPAWN_JOINABLE, computes_and_may_poll, NULL);
    steps_on();
    stops(NULL);
    on_g(stops, NULL);
    store(&quit, 1);
    join_all(g, n);
  }
}

int main(void) {
  gmx_config config = GMX_CONFIG_INIT;
  config.maxprocs = 1;
  config.slice_ns = MS;
  config.report = keep_report;
  CHECK_OK(gmx_init(&config));
  RUN_G(others_move_beside_the_code_of_the_host);
  RUN_G(others_move_beside_calls_of_the_library);
  RUN_G(two_hogs_share_a_p);
  RUN(what_needs_the_ps_gets_them_from_a_hundred_hogs);
  RUN(a_stop_waits_for_code_that_sleeps);
  RUN(a_stop_waits_for_a_safe_point);
  ends_clean();
  return 0;
}
