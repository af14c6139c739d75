/* A stack overflow is reported with the name of its G, and ends the process; any other fault goes to the host. */
#include "child.h"
#include "gs.h"

#include <stdatomic.h>
#include <sys/mman.h>

static gmx_spawn_opts opts(const char *name, size_t stack) {
  gmx_spawn_opts o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o;
  o.flags = GMX_SPAWN_JOINABLE;
  o.name = name;
  o.stack_size = stack;
  return o;
}

__attribute__((__noinline__)) static int deeper(volatile char *above, int n) {
  volatile char frame[256];
  frame[0] = (char)(above[0] + 1);
  return n == 0 ? frame[0] : deeper(frame, n - 1) + frame[0];
}

static atomic_ullong goid;

static void recurses(void *arg) {
  volatile char first = 0;
  atomic_store(&goid, gmx_goid());
  check_say("goid=%llu", (unsigned long long)gmx_goid());
  deeper(&first, (int)(intptr_t)arg);
}

#define WITHOUT_END ((void *)(intptr_t)INT32_MAX)

typedef struct stack_case {
  const char *name;
  size_t stack;
} stack_case;

static void overflows(void *arg) {
  const stack_case *c = arg;
  gmx_spawn_opts o = opts(c->name, c->name ? c->stack : 0);
  gmx_g g;
  start_runtime(2, 0);
  CHECK_OK(gmx_spawn_with(&o, recurses, WITHOUT_END, &g));
  join(g);
  FAIL("the recursion has ended");
}

static void check_overflow(child *c, const char *name, size_t stack) {
  char words[64];
  if (!WIFSIGNALED(c->status) || WTERMSIG(c->status) != SIGSEGV) CHILD_FAIL(c, "it should have died by SIGSEGV");
  CHILD_SAID(c, "overflow");
  if (name) CHILD_SAID(c, name);
  const char *id = strstr(c->text, "goid=");
  CHECK(id != NULL);
  snprintf(words, sizeof words, "goroutine %d", atoi(id + 5));
  CHILD_SAID(c, words);
  const char *size = strstr(c->text, "stack of ");
  if (!size) CHILD_FAIL(c, "it did not say the stack's size");
  CHECK_EQ((size_t)atol(size + 9), stack);
  CHILD_SAID(c, name ? "raise gmx_spawn_opts.stack_size;" : "raise gmx_config.stack_size");
}

static void an_overflow_names_its_g(void) {
  static const stack_case cases[] = {{"too deep", 64 << 10}, {"deep", 1 << 20}, {"odd", 100000}, {NULL, 256 << 10}};
  static child c;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    child_run(&c, 60, overflows, (void *)&cases[i]);
    check_overflow(&c, cases[i].name, cases[i].stack);
  }
  /* a name forges no line */
  child_run(&c, 60, overflows, &(stack_case){"x\"\nend\033[2J", 64 << 10});
  check_overflow(&c, "\"x\\\"\\nend\\u{1b}[2J\"", 64 << 10);
}

/* A frame larger than the guards of most others, of which only the far end is used. */
static void jumps(void *arg) {
  void *lo, *hi;
  (void)arg;
  check_say("goid=%llu", (unsigned long long)gmx_goid());
  CHECK_OK(gmx_stack_bounds(&lo, &hi));
  ((volatile char *)lo)[-(60 << 10)] = 1;
  _exit(1);
}

static void jumps_in_a_child(void *arg) {
  stack_case *one = arg;
  start_runtime(1, 0);
  gmx_spawn_opts o = opts(one->name, one->stack);
  o.flags = GMX_SPAWN_JOINABLE;
  gmx_g g;
  CHECK_OK(gmx_spawn_with(&o, jumps, NULL, &g));
  join(g);
}

static void a_large_frame_meets_the_guard(void) {
  static const stack_case cases[] = {{"jumps", 16 << 10}, {"jumps far", 256 << 10}};
  static child c;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    child_run(&c, 60, jumps_in_a_child, (void *)&cases[i]);
    check_overflow(&c, cases[i].name, cases[i].stack);
  }
}

/* The requested size is usable: a G that uses all of its stack except the last 12 KiB ends well. */
static void uses_its_stack(void *arg) {
  size_t size = (size_t)(uintptr_t)arg;
  volatile char *all = __builtin_alloca(size - (12 << 10));
  for (size_t i = 0; i < size - (12 << 10); i += 512) all[i] = 1;
}

static void a_stack_has_the_size_that_was_asked_for(void) {
  static const size_t sizes[] = {16 << 10, 20 << 10, 64 << 10, 100 << 10, 256 << 10, 1 << 20, 8 << 20};
  start_runtime(2, 0);
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    gmx_spawn_opts o = opts("big", sizes[i]);
    gmx_g g;
    CHECK_OK(gmx_spawn_with(&o, uses_its_stack, (void *)sizes[i], &g));
    join(g);
  }
  gmx_spawn_opts o = opts("huge", (size_t)2 << 30);
  CHECK_STATUS(gmx_spawn_with(&o, uses_its_stack, NULL, NULL), GMX_EINVAL);
  end_runtime();
}

/* ---- the host's own faults ---- */

static char *trap;
static long page;
static atomic_int handled;

static void hosts_handler(int number, siginfo_t *info, void *context) {
  (void)context;
  if (number != SIGSEGV || (char *)info->si_addr < trap || (char *)info->si_addr >= trap + page) _exit(3);
  atomic_fetch_add(&handled, 1);
  if (mprotect(trap, (size_t)page, PROT_READ | PROT_WRITE) != 0) _exit(4);
}

static void set_hosts_handler(int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = hosts_handler;
  action.sa_flags = SA_SIGINFO | flags;
  CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
}

static void faults_once(void *arg) {
  int before = atomic_load(&handled);
  (void)arg;
  CHECK(mprotect(trap, (size_t)page, PROT_NONE) == 0);
  *(volatile char *)trap = 1;
  CHECK_EQ(atomic_load(&handled), before + 1);
}

static void *faults_as_thread(void *arg) {
  faults_once(arg);
  CHECK_OK(gmx_callback(faults_once, arg));
  return arg;
}

static void faults_everywhere(void) {
  join(go_with("faults", GMX_SPAWN_JOINABLE, faults_once, NULL));
  thread_join(thread_start(faults_as_thread, NULL));
  faults_once(NULL);
}

static void map_trap(void) {
  page = sysconf(_SC_PAGESIZE);
  trap = mmap(NULL, (size_t)page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(trap != MAP_FAILED);
}

static void handler_before(void *arg) {
  (void)arg;
  map_trap();
  set_hosts_handler(SA_ONSTACK);
  start_runtime(2, 0);
  for (int i = 0; i < 3; i++) faults_everywhere();
  end_runtime();
  faults_once(NULL); /* the library is gone, the handler is not */
  CHECK_EQ(atomic_load(&handled), 13);
}

static void handler_after(void *arg) {
  (void)arg;
  map_trap();
  start_runtime(2, 0);
  set_hosts_handler(SA_ONSTACK);
  for (int i = 0; i < 3; i++) faults_everywhere();
  end_runtime();
  faults_once(NULL);
  CHECK_EQ(atomic_load(&handled), 13);
}

/* With a handler of the host's, the report of an overflow comes before the host's handler. */
static void host_sees_overflow(int number, siginfo_t *info, void *context) {
  (void)number;
  (void)info;
  (void)context;
  static const char words[] = "host's handler\n";
  if (write(2, words, sizeof words - 1) < 0) _exit(5);
  signal(SIGSEGV, SIG_DFL);
}

static void overflow_with_handler(void *arg) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = host_sees_overflow;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
  overflows(arg);
}

static void null_write(void *arg) { *(volatile char *)arg = 1; }

static void other_fault(void *arg) {
  (void)arg;
  start_runtime(2, 0);
  join(go_with("null", GMX_SPAWN_JOINABLE, null_write, (void *)8));
  FAIL("wrote to address 8");
}

static void faults_of_the_host_are_the_hosts(void) {
  static child c;
  child_run(&c, 60, handler_before, NULL);
  CHILD_OK(&c);
  child_run(&c, 60, handler_after, NULL);
  CHILD_OK(&c);

  static const stack_case deep = {"too deep", 64 << 10};
  child_run(&c, 60, overflow_with_handler, (void *)&deep);
  check_overflow(&c, "too deep", 64 << 10);
  CHILD_SAID(&c, "host's handler");

  child_run(&c, 60, other_fault, NULL);
  if (!WIFSIGNALED(c.status) || WTERMSIG(c.status) != SIGSEGV) CHILD_FAIL(&c, "it should have died by SIGSEGV");
  if (strstr(c.text, "overflow")) CHILD_FAIL(&c, "that was no overflow");
  CHILD_SAID(&c, "libgomax: SIGSEGV in goroutine");
  CHILD_SAID(&c, "\"null\" (fault at 0x8)");
}

int main(void) {
  RUN(an_overflow_names_its_g);
  RUN(a_large_frame_meets_the_guard);
  RUN(faults_of_the_host_are_the_hosts);
  RUN(a_stack_has_the_size_that_was_asked_for);
  return 0;
}
