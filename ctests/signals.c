/* The signals of faults belong to the host: its handlers run on the stack, as often and with the arguments that they
 * asked for, beside the library's own handler. */
/* flags: -ldl */
#include "child.h"
#include "gs.h"

#include <assert.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

/* The faults are the subject: the sanitizer leaves them alone. */
#ifdef __SANITIZE_ADDRESS__
const char *__asan_default_options(void) { return "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0"; }
#endif

static char *trap;

static void map_trap(void) {
  trap = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(trap != MAP_FAILED);
}

static void set_handler(int sig, void (*f)(int, siginfo_t *, void *), int flags) {
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_sigaction = f;
  a.sa_flags = SA_SIGINFO | flags;
  CHECK(sigaction(sig, &a, NULL) == 0);
}

static void open_trap(void) { CHECK(mprotect(trap, 4096, PROT_READ | PROT_WRITE) == 0); }
static void close_trap(void) { CHECK(mprotect(trap, 4096, PROT_NONE) == 0); }
/* ---- where ---- */

/* Enough for the signal frame of any processor and a small handler. */
static char alternate[64 << 10];
static bool on_alternate(void) {
  char here;
  return &here >= alternate && &here < alternate + sizeof alternate;
}
static void use_alternate(void) {
  stack_t st = {.ss_sp = alternate, .ss_size = sizeof alternate};
  CHECK(sigaltstack(&st, NULL) == 0);
}

static volatile int handled, where;
static sigjmp_buf out;

static void on_fault(int sig, siginfo_t *info, void *context) {
  (void)context;
  CHECK(sig == SIGSEGV && info->si_addr == trap);
  handled++;
  where = on_alternate();
  open_trap();
}

static void on_user(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)info, (void)context;
  char room[4096];
  CHECK(on_alternate());
  memset(room, 0xa5, sizeof room);
  __asm__ volatile("" : : "r"(room) : "memory"); /* this overwrites the frame of another signal there */
}

/* Another signal comes while the handler runs, and uses the alternate stack from its end on. */
static void on_fault_with_another(int sig, siginfo_t *info, void *context) {
  CHECK(raise(SIGUSR1) == 0);
  on_fault(sig, info, context);
  CHECK(raise(SIGUSR1) == 0);
}

static void on_fault_jumps(int sig, siginfo_t *info, void *context) {
  on_fault(sig, info, context);
  siglongjmp(out, 1);
}

/* A write to the trap between values in as many registers as the compiler uses. */
__attribute__((__noinline__)) static void faults(void) {
  double d[16];
  long n[16];
  volatile double seed = 1.5;
  volatile long one = 1;
  for (int i = 0; i < 16; i++) d[i] = seed * i, n[i] = one * i * 7919;
  close_trap();
  double a = d[1], b = d[2], c = d[3], e = d[4];
  long j = n[1], k = n[2], l = n[3], m = n[4];
  *(volatile char *)trap = 1;
  CHECK(a == 1.5 && b == 3 && c == 4.5 && e == 6 && j == 7919 && k == 2 * 7919 && l == 3 * 7919 && m == 4 * 7919);
  for (int i = 0; i < 16; i++) CHECK(d[i] == seed * i && n[i] == one * i * 7919);
}

static void faults_many_times(void (*f)(int, siginfo_t *, void *), int flags, int alt) {
  set_handler(SIGSEGV, f, flags);
  start_runtime(2, 0);
  for (int i = 1; i <= 100; i++) {
    where = -1;
    int before = handled;
    if (sigsetjmp(out, 1) == 0) faults();
    CHECK_EQ(handled, before + 1);
    CHECK_EQ(where, alt);
  }
  CHECK_OK(gmx_callback(nothing, NULL)); /* a thread that is known is still the host's */
  faults();
  end_runtime();
}

static void the_handler_runs_where_it_asked_to(void) {
  map_trap();
  use_alternate();
  set_handler(SIGUSR1, on_user, SA_ONSTACK);
  set_handler(SIGSEGV, on_fault, 0);
  faults(); /* as it is without the library */
  CHECK(handled == 1 && where == 0);
  faults_many_times(on_fault, 0, 0);
  faults_many_times(on_fault_with_another, 0, 0);
  faults_many_times(on_fault, SA_ONSTACK, 1);
  faults_many_times(on_fault, SA_NODEFER, 0);
}

static void the_handler_may_jump_out(void) {
  map_trap();
  use_alternate();
  set_handler(SIGSEGV, on_fault_jumps, 0);
  start_runtime(2, 0);
  for (int i = 0; i < 1000; i++) {
    if (sigsetjmp(out, 1) == 0) faults();
    CHECK(handled == i + 1 && where == 0);
  }
  end_runtime();
}

/* A thread without an alternate stack; and a G, whose handler runs on an alternate stack of the library's. */
static void faults_in_a_g(void *arg) {
  (void)arg;
  faults();
}

static void other_threads_work_too(void) {
  map_trap();
  set_handler(SIGSEGV, on_fault, 0);
  start_runtime(2, 0);
  faults();
  for (int i = 0; i < 10; i++) join(go_with("faults", GMX_SPAWN_JOINABLE, faults_in_a_g, NULL));
  CHECK_EQ(handled, 11);
  end_runtime();
}

/* ---- with what ---- */

static volatile int ran;
static void counts(int sig, siginfo_t *info, void *context) {
  (void)info, (void)context;
  sigset_t now;
  CHECK(pthread_sigmask(SIG_SETMASK, NULL, &now) == 0);
  CHECK(sigismember(&now, SIGUSR2) == 1 && sigismember(&now, sig) == 0 && sigismember(&now, SIGUSR1) == 0);
  ran++;
}

static void mask_and_flags_are_the_hosts(void) {
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_sigaction = counts;
  a.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaddset(&a.sa_mask, SIGUSR2);
  CHECK(sigaction(SIGSEGV, &a, NULL) == 0);
  CHECK(sigaction(SIGBUS, &a, NULL) == 0);
  start_runtime(2, 0);
  CHECK(raise(SIGSEGV) == 0 && raise(SIGBUS) == 0);
  CHECK_EQ(ran, 2);
  end_runtime();
}

static void once(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)info, (void)context;
  check_say("once");
}

static void a_handler_that_resets_itself(void) {
  set_handler(SIGSEGV, once, SA_RESETHAND);
  start_runtime(2, 0);
  raise(SIGSEGV);
  end_runtime();
  start_runtime(2, 0);
  raise(SIGSEGV);
}

static void *sends(void *arg) {
  thread_nap(20 * MS);
  pthread_kill(*(pthread_t *)arg, SIGSEGV);
  thread_nap(20 * MS);
  CHECK(write(*((int *)arg + 4), "x", 1) == 1);
  return NULL;
}

/* A signal that is sent and ignored interrupts no call. */
static void what_is_ignored_is_ignored(void) {
  struct {
    pthread_t self;
    int pad[2], to;
  } arg = {pthread_self(), {0, 0}, 0};
  int fd[2];
  char c;
  CHECK(pipe(fd) == 0);
  arg.to = fd[1];
  signal(SIGSEGV, SIG_IGN);
  start_runtime(2, 0);
  pthread_t t = thread_start(sends, &arg);
  CHECK_EQ(read(fd[0], &c, 1), 1);
  thread_join(t);
  end_runtime();
}

/* ---- circles ---- */

/* A crash reporter: reports, then calls the handler that was installed before it. */
static struct sigaction before;
static void reports(int sig, siginfo_t *info, void *context) {
  check_say("report");
  if (before.sa_flags & SA_SIGINFO)
    before.sa_sigaction(sig, info, context);
  else if (before.sa_handler == SIG_DFL)
    signal(sig, SIG_DFL);
  else
    before.sa_handler(sig);
}

static void reporter(void) {
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_sigaction = reports;
  a.sa_flags = SA_SIGINFO | SA_ONSTACK;
  CHECK(sigaction(SIGSEGV, &a, &before) == 0);
}

__attribute__((__noinline__, __noclone__)) static void write_null(void *arg) { *(volatile char *)arg = 1; }
static void *volatile null_page = (void *)8;
#define DIES write_null(null_page)

static void after_a_restart(void *arg) {
  (void)arg;
  start_runtime(2, 0);
  reporter();
  end_runtime();
  start_runtime(2, 0);
  DIES;
}

static void after_restarts_and_on_a_g(void *arg) {
  (void)arg;
  for (int i = 0; i < 5; i++) {
    start_runtime(2, 0);
    if (i == 2) reporter();
    end_runtime();
  }
  start_runtime(2, 0);
  join(go_with("dies", GMX_SPAWN_JOINABLE, write_null, (void *)8));
}

static void in_a_child_of_fork(void *arg) {
  (void)arg;
  start_runtime(2, 0);
  reporter();
  pid_t pid = fork();
  if (pid == 0) {
    start_runtime(2, 0);
    DIES;
  }
  int status;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  raise(SIGKILL);
}

/* A handler from before the library that is installed again: it and the library's handler would each call the other. */
static void one_that_comes_again(void *arg) {
  (void)arg;
  reporter();
  start_runtime(2, 0);
  reporter();
  DIES;
}

static void there_before(void *arg) {
  (void)arg;
  reporter();
  for (int i = 0; i < 3; i++) {
    start_runtime(2, 0);
    end_runtime();
  }
  start_runtime(2, 0);
  DIES;
}

static child c;

static void a_fault_is_told_once(void) {
  void (*const cases[])(void *) = {after_a_restart, after_restarts_and_on_a_g, in_a_child_of_fork, one_that_comes_again, there_before};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
#ifdef __SANITIZE_ADDRESS__ /* a child of fork may find a lock of the sanitizer taken, for good */
    if (cases[i] == in_a_child_of_fork) continue;
#endif
    child_run(&c, 60, cases[i], NULL);
    int sig = cases[i] == in_a_child_of_fork ? SIGKILL : SIGSEGV;
    if (!WIFSIGNALED(c.status) || WTERMSIG(c.status) != sig) CHILD_FAIL(&c, "case %zu did not die of the fault", i);
    if (count_in(c.text, "report") != 1) CHILD_FAIL(&c, "case %zu: reported %d times", i, count_in(c.text, "report"));
    if (cases[i] == after_restarts_and_on_a_g) CHILD_SAID(&c, "SIGSEGV in goroutine");
  }
}

/* ---- faults that are no accesses, and aborts ---- */

static void aborts(void *arg) {
  (void)arg;
  abort();
}

static void asserts(void *arg) {
  const char *nothing = arg;
  assert(nothing != NULL);
}

static void comes_to_no_instruction(void *arg) {
  (void)arg;
#if defined __x86_64__
  __asm__ volatile("ud2");
#elif defined __aarch64__
  __asm__ volatile(".inst 0");
#else
#error "an instruction that does not exist"
#endif
}

#ifdef __x86_64__ /* elsewhere a division by zero has a result */
static void divides(void *arg) {
  int by = (int)(intptr_t)arg, rest = 0, result = 1;
  __asm__ volatile("idivl %2" : "+a"(result), "+d"(rest) : "r"(by)); /* compilers know what 1 / x can be */
}
#endif

/* What a process sends may hit any thread, and says nothing about the G that runs there. */
static void is_sent_an_abort(void *arg) {
  (void)arg;
  kill(getpid(), SIGABRT);
  for (;;) gmx_safepoint();
}

typedef struct end_case {
  void (*body)(void *);
  int sig;
  const char *words;
} end_case;

static void on_a_g(void *arg) {
  start_runtime(2, 0);
  join(go_with("ends", GMX_SPAWN_JOINABLE, ((end_case *)arg)->body, NULL));
}

static void on_a_thread(void *arg) {
  start_runtime(2, 0);
  ((end_case *)arg)->body(NULL);
}

static void hosts_last_word(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)info, (void)context;
  check_say("the host's");
  _exit(0);
}

static void where_the_host_handles_it(void *arg) {
  set_handler(((end_case *)arg)->sig, hosts_last_word, SA_ONSTACK);
  on_a_g(arg);
}

static void each_names_its_g(void) {
  static const end_case cases[] = {
      {aborts, SIGABRT, "libgomax: SIGABRT in goroutine"},
      {asserts, SIGABRT, "libgomax: SIGABRT in goroutine"},
      {comes_to_no_instruction, SIGILL, "libgomax: SIGILL in goroutine"},
#ifdef __x86_64__
      {divides, SIGFPE, "libgomax: SIGFPE in goroutine"},
#endif
      {is_sent_an_abort, SIGABRT, NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    child_run(&c, 60, on_a_g, (void *)&cases[i]);
    if (!WIFSIGNALED(c.status) || WTERMSIG(c.status) != cases[i].sig) CHILD_FAIL(&c, "case %zu ended otherwise", i);
    CHECK_EQ(count_in(c.text, "libgomax"), cases[i].words ? 1 : 0);
    if (!cases[i].words) continue;
    CHILD_SAID(&c, cases[i].words);
    CHILD_SAID(&c, "\"ends\"");
    if (cases[i].body == asserts) CHILD_SAID(&c, "nothing != NULL");

    child_run(&c, 60, on_a_thread, (void *)&cases[i]);
    if (!WIFSIGNALED(c.status) || WTERMSIG(c.status) != cases[i].sig) CHILD_FAIL(&c, "case %zu ended otherwise", i);
    if (count_in(c.text, "libgomax")) CHILD_FAIL(&c, "case %zu: no G is there to be named", i);

    child_run(&c, 60, where_the_host_handles_it, (void *)&cases[i]);
    CHILD_OK(&c);
    CHECK_EQ(count_in(c.text, "the host's"), 1);
    if (count_in(c.text, "libgomax")) CHILD_FAIL(&c, "case %zu: the host handled it, and there were words", i);
  }
}

/* ---- left alone ---- */

static const int handled_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define FOR_HANDLED(s) for (const int *s = handled_signals; s < handled_signals + sizeof handled_signals / sizeof(int); s++)


static bool is_default(int sig) {
  struct sigaction a;
  CHECK(sigaction(sig, NULL, &a) == 0);
  return !(a.sa_flags & SA_SIGINFO) && a.sa_handler == SIG_DFL;
}

static void a_flag_leaves_the_signals_alone(void *arg) {
  (void)arg;
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.flags = 1u << 31;
  CHECK_STATUS(gmx_init(&config), GMX_EINVAL);
  config.flags = GMX_CONFIG_NO_SIGSEGV;
  CHECK_OK(gmx_init(&config));
  FOR_HANDLED(s) CHECK(is_default(*s));
  end_runtime();
  start_runtime(2, 0);
  FOR_HANDLED(s) CHECK(!is_default(*s));
  end_runtime();
  FOR_HANDLED(s) CHECK(is_default(*s));
}

static void so_does_the_environment(void *arg) {
  (void)arg;
  setenv("GMXDEBUG", "sigsegv=0", 1);
  start_runtime(2, 0);
  FOR_HANDLED(s) CHECK(is_default(*s));
  end_runtime();
}

/* A host that recovers from its faults gets no report of them. */
static void recovers_in_a_g(void *arg) {
  (void)arg;
  other_threads_work_too();
}

static void call(void *fn) { (*(void (**)(void))fn)(); }
#define IN_CHILD(fn)                     \
  do {                                   \
    void (*in_child)(void) = fn;         \
    child_run(&c, 60, call, &in_child);  \
    CHILD_OK(&c);                        \
  } while (0)

int main(void) {
  IN_CHILD(the_handler_runs_where_it_asked_to);
  IN_CHILD(the_handler_may_jump_out);
  IN_CHILD(other_threads_work_too);
  IN_CHILD(mask_and_flags_are_the_hosts);
  IN_CHILD(what_is_ignored_is_ignored);

  void (*resets)(void) = a_handler_that_resets_itself;
  child_run(&c, 60, call, &resets);
  if (!WIFSIGNALED(c.status) || WTERMSIG(c.status) != SIGSEGV) CHILD_FAIL(&c, "it should have died by the second one");
  CHECK_EQ(count_in(c.text, "once"), 1);

  RUN(a_fault_is_told_once);
  RUN(each_names_its_g);

  child_run(&c, 60, a_flag_leaves_the_signals_alone, NULL);
  CHILD_OK(&c);
  child_run(&c, 60, so_does_the_environment, NULL);
  CHILD_OK(&c);
  child_run(&c, 60, recovers_in_a_g, NULL);
  CHILD_OK(&c);
  if (count_in(c.text, "libgomax")) CHILD_FAIL(&c, "the host handled it, and there were words");
  return 0;
}
