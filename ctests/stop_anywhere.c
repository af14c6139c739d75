/* The stop of the world that holds Gs where they compute: none of their words moves while it lasts, their registers are
 * shown, and all continue as if nothing had been. What cannot be held makes the stop time out, by name. */
#include "beside.h"

#include <errno.h>
#include <fcntl.h>

/* ---- hogs ---- */

enum { HOGS = 3 };
static long steps[HOGS];
static int quit;
static gmx_g hogs[HOGS];

static void computes(void *arg) {
  long *mine = arg;
  while (!load(&quit)) store(mine, *mine + 1);
}

/* Nearly always within a call that is no safe point. */
static void calls_the_library(void *arg) {
  long *mine = arg;
  while (!load(&quit)) {
    for (int i = 0; i < 1000; i++) CHECK(gmx_self() != 0);
    store(mine, *mine + 1);
  }
}

static void all_move(int n) {
  for (int i = 0; i < n; i++) {
    long before = load(&steps[i]);
    spin_until(load(&steps[i]) != before);
  }
}

static void begin(int n, void (*fn)(void *)) {
  store(&quit, 0);
  for (int i = 0; i < n; i++) hogs[i] = go_with("a hog", GMX_SPAWN_JOINABLE, fn, &steps[i]);
  all_move(n);
}

static void end(int n) {
  store(&quit, 1);
  join_all(hogs, n);
}

/* ---- the stop ---- */

static char report_text[1 << 14];
static size_t report_len;

static void keep_report(void *arg, const char *text, size_t len) {
  (void)arg;
  if (len > sizeof report_text - 1 - report_len) len = sizeof report_text - 1 - report_len;
  memcpy(report_text + report_len, text, len);
  report_len += len;
  report_text[report_len] = 0;
}

static gmx_status stop_within(const char *reason, int64_t timeout) {
  gmx_stop_opts opts = GMX_STOP_OPTS_INIT;
  opts.flags = GMX_STOP_ANYWHERE;
  opts.reason = reason;
  opts.timeout = timeout;
  return gmx_stop_the_world_with(&opts);
}

static void stop(void) { CHECK_OK(stop_within("test", 0)); }
static void start(void) { CHECK_OK(gmx_start_the_world()); }

static void is_late(const char *name) {
  report_len = 0;
  report_text[0] = 0;
  CHECK_STATUS(stop_within("impatient", 60 * MS), GMX_ETIMEDOUT);
  if (!strstr(report_text, "impatient") || !strstr(report_text, name)) FAIL("reported: %s", report_text);
  CHECK_STATUS(gmx_start_the_world(), GMX_EPERM);
}

/* A thread of the host, which no stop stops. It lets others have its CPU. */
enum { BEATS = 10 };
static long beats, wanted;
static void *beat(void *arg) {
  for (;;) {
    spin_until(load(&wanted) != beats);
    if (load(&wanted) < 0) return arg;
    for (; beats != load(&wanted); sched_yield()) store(&beats, beats + 1);
  }
}

/* The caller has stopped the world, and the steps that it sees are those of `seen` for as long as others move on. */
static void nothing_moves(const long *seen, int n) {
  store(&wanted, load(&beats) + BEATS);
  for (; load(&beats) != wanted; sched_yield()) /* as a thread of the same CPU may beat */
    for (int i = 0; i < n; i++) CHECK_EQ(load(&steps[i]), seen[i]);
}

static void stands_still(int n) {
  long seen[HOGS];
  for (int i = 0; i < n; i++) seen[i] = load(&steps[i]);
  nothing_moves(seen, n);
}

/* ---- what gmx_for_each_g shows ---- */

static struct look {
  uintptr_t wanted;            /* a word */
  int held, on_stack, in_regs; /* how many hogs are held; where the word was found */
} look;

static int found(const void *lo, const void *hi) {
  int n = 0;
  for (uintptr_t at = ((uintptr_t)lo + 7) & ~(uintptr_t)7; at + 8 <= (uintptr_t)hi; at += 8)
    n += *(const uintptr_t *)at == look.wanted;
  return n;
}

static void look_at(void *arg, const gmx_g_info *g) {
  (void)arg;
  CHECK((g->status == GMX_G_HELD) == (g->regs_lo != NULL) && (g->regs_lo != NULL) == (g->regs_hi != NULL));
  if (strcmp(g->name, "a hog") != 0) return;
  CHECK(g->stack_lo <= g->sp && g->sp <= g->stack_hi);
  CHECK(g->status == GMX_G_HELD || g->status == GMX_G_RUNNABLE);
  if (g->status == GMX_G_HELD) {
    look.held++;
    CHECK_CMP((char *)g->regs_hi - (char *)g->regs_lo, >, 256);
    CHECK_CMP((char *)g->regs_hi - (char *)g->regs_lo, <, 1 << 20);
    look.in_regs += found(g->regs_lo, g->regs_hi);
  }
  look.on_stack += found(g->sp, g->stack_hi);
}

static void look_for(uintptr_t wanted) {
  memset(&look, 0, sizeof look);
  look.wanted = wanted;
  CHECK_OK(gmx_for_each_g(look_at, NULL));
}

/* ---- hogs are held, and continue ---- */

/* With more hogs than Ps the threads of some are held before the stop begins. After a call that needs the Ps all run
 * without a P for a while. */
static void stops(void *count) {
  int n = (int)(intptr_t)count;
  for (int i = 0; i < 6; i++) {
    if (i % 3 == 1) CHECK_CMP(mem_stats().g_live, >=, n);
    stop();
    stands_still(n);
    look_for(1);
    CHECK_EQ(look.held, n);
    start();
    all_move(n);
  }
}

static void hogs_are_held(void) {
  for (int procs = 1; procs <= 2; procs++) {
    CHECK_CMP(gmx_gomaxprocs(procs), >, 0);
    for (int n = 1; n <= HOGS; n++) {
      begin(n, computes);
      stops((void *)(intptr_t)n);
      on_g(stops, (void *)(intptr_t)n);
      end(n);
    }
  }
}

static void hogs_in_calls_stop(void) {
  begin(HOGS, calls_the_library);
  for (int i = 0; i < 6; i++) {
    stop();
    stands_still(HOGS);
    look_for(1);
    start();
    all_move(HOGS);
  }
  end(HOGS);
}

/* ---- registers ---- */

#define MASK 0x5a5a5a5a5a5a5a5aul
static uintptr_t object[2];

/* Each has the address of the object in one place only, while it counts, and leaves it nowhere. */
#if defined(__x86_64__)
#define COUNTS(begin)                                                                                        \
  __asm__ volatile("movq %[secret], %%r12\n\txorq %[mask], %%r12\n\t" begin                                  \
                   "1:\n\tincq (%[mine])\n\tcmpl $0, (%[quit])\n\tje 1b\n\txorl %%r12d, %%r12d\n\tpxor %%xmm7, %%xmm7\n\t" \
                   :                                                                                         \
                   : [secret] "r"((uintptr_t)object ^ MASK), [mask] "r"(MASK), [mine] "r"(arg), [quit] "r"(&quit) \
                   : "r12", "xmm7", "memory", "cc")
static void in_a_register(void *arg) { COUNTS(""); }
static void in_a_vector(void *arg) { COUNTS("movq %%r12, %%xmm7\n\txorl %%r12d, %%r12d\n\t"); }
static void in_the_red_zone(void *arg) { COUNTS("movq %%r12, -128(%%rsp)\n\txorl %%r12d, %%r12d\n\t"); }
#elif defined(__aarch64__)
#define COUNTS(begin)                                                                                        \
  __asm__ volatile("eor x20, %[secret], %[mask]\n\t" begin                                                   \
                   "1:\n\tldr x9, [%[mine]]\n\tadd x9, x9, #1\n\tstr x9, [%[mine]]\n\tldr w9, [%[quit]]\n\t"   \
                   "cbz w9, 1b\n\tmov x20, #0\n\tfmov d7, xzr\n\t"                                            \
                   :                                                                                         \
                   : [secret] "r"((uintptr_t)object ^ MASK), [mask] "r"(MASK), [mine] "r"(arg), [quit] "r"(&quit) \
                   : "x9", "x20", "v7", "memory", "cc")
static void in_a_register(void *arg) { COUNTS(""); }
static void in_a_vector(void *arg) { COUNTS("fmov d7, x20\n\tmov x20, #0\n\t"); }
#endif

static void shows(void (*fn)(void *), bool in_regs) {
  begin(1, fn);
  stop();
  look_for((uintptr_t)object);
  CHECK_EQ(look.held, 1);
  CHECK((in_regs ? look.in_regs : look.on_stack) == 1);
  CHECK((in_regs ? look.on_stack : look.in_regs) == 0);
  start();
  end(1);
}

static void registers_are_shown(void) {
  shows(in_a_register, true);
  shows(in_a_vector, true);
#ifdef __x86_64__
  shows(in_the_red_zone, false);
#endif
}

/* A hog that is held in a handler of the host, on the stack of signals: its registers are those of the handler and
 * those that the handler has interrupted, and its stack is shown as a whole. */
static pthread_t in_thread;
static int in_handler;

static void tells_its_thread(void *arg) {
  in_thread = pthread_self();
  in_a_register(arg);
}

static void computes_in_a_handler(int number) {
  (void)number;
  store(&in_handler, 1);
  while (!load(&quit)) {
  }
}

static void registers_under_a_handler_are_shown(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = computes_in_a_handler;
  action.sa_flags = SA_ONSTACK;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  begin(1, tells_its_thread);
  CHECK(pthread_kill(in_thread, SIGUSR1) == 0);
  spin_until(load(&in_handler));
  stop();
  look_for((uintptr_t)object);
  CHECK_EQ(look.held, 1);
  CHECK_CMP(look.in_regs, >=, 1);
  start();
  end(1);
}

/* ---- the state of a thread ---- */

static void keeps_its_state(void *arg) {
  long *mine = arg;
  int id = thread_id();
  sigset_t before, after;
  CHECK(pthread_sigmask(SIG_SETMASK, NULL, &before) == 0);
  errno = 77;
  while (!load(&quit)) store(mine, *mine + 1);
  CHECK_EQ(errno, 77);
  CHECK_EQ(thread_id(), id);
  CHECK(pthread_sigmask(SIG_SETMASK, NULL, &after) == 0);
  for (int i = 1; i < NSIG; i++) CHECK_EQ(sigismember(&before, i), sigismember(&after, i));
}

static void state_is_kept(void) {
  begin(HOGS, keeps_its_state);
  for (int i = 0; i < 10; i++) {
    stop();
    start();
    all_move(HOGS);
  }
  end(HOGS);
}

/* ---- what is late ---- */

static int let_go;
static long late_steps;

static void counts_until_let_go(void) {
  while (!load(&let_go)) store(&late_steps, late_steps + 1);
}

static void blocks_signals(void *unused) {
  sigset_t all, before;
  (void)unused;
  sigfillset(&all);
  CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
  counts_until_let_go();
  CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
  while (!load(&quit)) store(&late_steps, late_steps + 1);
}

static void is_pinned(void *unused) {
  (void)unused;
  CHECK_CMP(gmx_pin(), >=, 0);
  counts_until_let_go();
  CHECK_OK(gmx_unpin());
  while (!load(&quit)) store(&late_steps, late_steps + 1);
}

static void is_not_preempted(void *unused) {
  (void)unused;
  counts_until_let_go();
  CHECK_CMP(gmx_now(), >, 0);
  CHECK_OK(gmx_yield());
}

static int fds[2];
static void sleeps(void *unused) {
  char byte = 0;
  (void)unused;
  store(&late_steps, late_steps + 1);
  CHECK_EQ(read(fds[0], &byte, 1), 1);
  while (!load(&quit)) store(&late_steps, late_steps + 1);
}

static void late_until(uint32_t flags, void (*fn)(void *), void (*lets_go)(void)) {
  store(&let_go, 0);
  store(&late_steps, 0);
  begin(1, computes);
  gmx_g g = go_with("the late one", GMX_SPAWN_JOINABLE | flags, fn, NULL);
  spin_until(load(&late_steps) > 0);
  gmx_stop_opts past = GMX_STOP_OPTS_INIT;
  past.flags = GMX_STOP_ANYWHERE;
  past.timeout = -1; /* it tries once; what can be held might be held already, and then it would not be in vain */
  for (int i = 0; i < 3; i++) {
    CHECK_STATUS(gmx_stop_the_world_with(&past), GMX_ETIMEDOUT);
    is_late("the late one");
    all_move(1);
  }
  lets_go();
  stop();
  long seen = load(&late_steps);
  stands_still(1);
  CHECK_EQ(load(&late_steps), seen);
  start();
  all_move(1);
  end(1);
  join(g);
}

static void lets_it_go(void) { store(&let_go, 1); }
static void writes_a_byte(void) { CHECK_EQ(write(fds[1], "x", 1), 1); }

static void what_cannot_be_held_is_late(void) {
  CHECK_CMP(gmx_gomaxprocs(2), >, 0);
  late_until(0, blocks_signals, lets_it_go);
  late_until(0, is_pinned, lets_it_go);
  late_until(GMX_SPAWN_NO_PREEMPT, is_not_preempted, lets_it_go);
  CHECK(pipe2(fds, O_CLOEXEC) == 0);
  late_until(0, sleeps, writes_a_byte);
  CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}

/* ---- a stop without a limit lets the world run ---- */

static int stopping;

/* It hears of the stop, and then sees hogs move: the stop lets them, or has yet to begin. */
static void *writes_later(void *arg) {
  spin_until(load(&stopping));
  for (int i = 0; i < 3; i++) all_move(1);
  writes_a_byte();
  return arg;
}

static void a_sleeper_wakes(void) {
  CHECK(pipe2(fds, O_CLOEXEC) == 0);
  store(&late_steps, 0);
  store(&stopping, 0);
  begin(1, computes);
  gmx_g g = go_joinable(sleeps, NULL);
  spin_until(load(&late_steps) > 0);
  pthread_t writer = thread_start(writes_later, NULL);
  store(&stopping, 1);
  stop();
  long seen = load(&late_steps);
  stands_still(1);
  CHECK_EQ(load(&late_steps), seen);
  start();
  thread_join(writer);
  end(1);
  join(g);
  CHECK(close(fds[0]) == 0 && close(fds[1]) == 0);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile long work;

static void fights_for_a_lock(void *arg) {
  long *mine = arg;
  while (!load(&quit)) {
    CHECK(pthread_mutex_lock(&lock) == 0);
    for (int i = 0; i < 300; i++) work++;
    CHECK(pthread_mutex_unlock(&lock) == 0);
    for (volatile int i = 0; i < 2000; i++) {
    }
    store(mine, *mine + 1);
  }
}

static void locks_of_the_host_come_free(void) {
  for (int procs = 1; procs <= 2; procs++) {
    CHECK_CMP(gmx_gomaxprocs(procs), >, 0);
    begin(HOGS, fights_for_a_lock);
    for (int i = 0; i < 5; i++) {
      stop();
      stands_still(HOGS);
      start();
      all_move(HOGS);
    }
    end(HOGS);
  }
}

/* ---- where nothing can be held ---- */

static void wrong_options_are_refused(void) {
  gmx_stop_opts opts = GMX_STOP_OPTS_INIT;
  opts.flags = 1u << 31;
  CHECK_STATUS(gmx_stop_the_world_with(&opts), GMX_EINVAL);
  opts.flags = GMX_STOP_ANYWHERE;
  opts.reserved = 1;
  CHECK_STATUS(gmx_stop_the_world_with(&opts), GMX_EINVAL);
  CHECK_OK(gmx_stop_the_world_with(NULL));
  start();
}

static void begin_runtime(uint32_t flags) {
  gmx_config config = GMX_CONFIG_INIT;
  config.maxprocs = 1;
  config.flags = flags;
  config.report = keep_report;
  CHECK_OK(gmx_init(&config));
}

static void nothing_is_held(uint32_t flags) {
  begin_runtime(flags);
  CHECK_STATUS(stop_within("in vain", 0), GMX_ENOTSUP);
  CHECK_STATUS(gmx_start_the_world(), GMX_EPERM);
  CHECK_OK(gmx_stop_the_world_with(NULL));
  start();
  end_runtime();
}

int main(void) {
  nothing_is_held(GMX_CONFIG_PREEMPT_NO_SIGNAL);
  nothing_is_held(GMX_CONFIG_PREEMPT_OFF);
  begin_runtime(RUNTIME_FLAGS);
  gmx_status status = stop_within("can it be done", 0);
  if (status == GMX_ENOTSUP) SKIP("the system has no timers that hold a thread");
  CHECK_OK(status);
  start();
  pthread_t host = thread_start(beat, NULL);
  RUN(hogs_are_held);
  RUN(hogs_in_calls_stop);
  RUN(registers_are_shown);
  RUN(registers_under_a_handler_are_shown);
  RUN(state_is_kept);
  RUN(what_cannot_be_held_is_late);
  RUN(a_sleeper_wakes);
  RUN(locks_of_the_host_come_free);
  RUN(wrong_options_are_refused);
  store(&wanted, -1);
  thread_join(host);
  ends_clean();
  return 0;
}
