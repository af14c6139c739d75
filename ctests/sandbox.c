/* A host that forbids all calls of the system but a list, once the runtime has started: whatever the library does from then on
 * gets along with the calls that SECURITY.md lists (tests/sources.rs compares). */
/* timeout: 120 */
#define _GNU_SOURCE 1
#include "child.h"
#include "gs.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#if defined __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#else
#define ARCH AUDIT_ARCH_AARCH64
#endif

#define LIST                                                                                                          \
  X(brk) X(clone) X(clone3) X(close) X(exit) X(exit_group) X(fstat) X(futex) X(getdents64) X(getrandom) X(gettid)     \
  X(madvise) X(membarrier) X(mincore) X(mmap) X(mprotect) X(mremap) X(munmap) X(newfstatat) X(openat) X(ppoll)        \
  X(prctl) X(prlimit64) X(process_madvise) X(pwritev2) X(read) X(restart_syscall) X(rseq) X(rt_sigaction)             \
  X(rt_sigpending) X(rt_sigprocmask) X(rt_sigreturn) X(rt_sigtimedwait) X(sched_getaffinity) X(sched_yield)           \
  X(set_robust_list) X(sigaltstack) X(sysinfo) X(write)

static void is_not_in_the_list(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)context;
  char text[64] = "system call 0000 is not in the list\n";
  for (int i = 15, n = info->si_syscall; i > 11; i--, n /= 10) text[i] = (char)('0' + n % 10);
  if (write(2, text, strlen(text)) < 0) _exit(3);
  _exit(2);
}

static void allow_the_list(void) {
  struct sigaction act = {.sa_sigaction = is_not_in_the_list, .sa_flags = SA_SIGINFO};
  CHECK(sigaction(SIGSYS, &act, NULL) == 0);
  static const long list[] = {
#define X(name) SYS_##name,
      LIST
#ifdef SYS_poll
      SYS_poll,
#endif
#undef X
  };
  enum { N = sizeof list / sizeof *list };
  struct sock_filter f[N + 6] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
  };
  for (int i = 0; i < N; i++)
    f[4 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)list[i], (uint8_t)(N - i), 0);
  f[4 + N] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP);
  f[5 + N] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {.len = N + 6, .filter = f};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) _exit(77);
}

/* ---- what a program does ---- */

static gmx_chan *values;
static uint32_t turn;

static void sends(void *arg) {
  CHECK_OK(gmx_sleep(1 + (int64_t)(intptr_t)arg % MS));
  int v = 1;
  CHECK_OK(gmx_chan_send(values, &v));
}

static void blocks(void *arg) {
  (void)arg;
  CHECK_OK(gmx_enter_syscall_blocking());
  sched_yield();
  CHECK_OK(gmx_exit_syscall());
}

static void comes_back(void *arg) { CHECK_OK(gmx_sema_release(arg)); }

static void *thread_of_the_host(void *arg) {
  CHECK_OK(gmx_attach_thread());
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_detach_thread());
  CHECK_OK(gmx_callback(comes_back, &turn));
  return arg;
}

static void counts(void *arg) { atomic_fetch_add((atomic_int *)arg, 1); }

static void joins(void *thread) { thread_join(*(pthread_t *)thread); }

static void nothing(void *arg) { (void)arg; }

static void works(void *arg) {
  (void)arg;
  enum { N = 2000 };
  CHECK_OK(gmx_chan_new(sizeof(int), 4, &values));
  for (int i = 0; i < N; i++) go(sends, (void *)(intptr_t)(i * 1000));
  for (int i = 0, v; i < N; i++) CHECK_OK(gmx_chan_recv(values, &v));
  for (size_t size = 16 << 10; size <= 4 << 20; size *= 4) {
    gmx_spawn_opts o = {.struct_size = sizeof o, .stack_size = size, .flags = GMX_SPAWN_JOINABLE | GMX_SPAWN_WIPE};
    gmx_g g;
    CHECK_OK(gmx_spawn_with(&o, blocks, NULL, &g));
    join(g);
  }
  CHECK_OK(gmx_blocking(nothing, NULL));
  pthread_t t = thread_start(thread_of_the_host, NULL);
  acquire(&turn, 1);
  CHECK_OK(gmx_blocking(joins, &t));
  atomic_int n = 0;
  CHECK_OK(gmx_for_each_p(counts, &n));
  CHECK_EQ(atomic_load(&n), gmx_gomaxprocs(0));
  CHECK_CMP(gmx_gomaxprocs(9), >=, 1);
  CHECK_OK(gmx_stop_the_world("sandbox"));
  CHECK_OK(gmx_start_the_world());
  CHECK_OK(gmx_write_heap_dump(1));
  CHECK_OK(gmx_release_memory());
  CHECK_OK(gmx_chan_free(values));
  CHECK_OK(gmx_sleep(1200 * MS)); /* the machine is looked at once a second */
}

static void waits_forever(void *arg) { (void)gmx_park(NULL, NULL, arg); }

static void in_the_sandbox(void *arg) {
  unsetenv("GMX_MAXPROCS");
  CHECK_OK(gmx_init(NULL));
  allow_the_list();
  CHECK_OK(gmx_main(works, NULL));
  if (arg) CHECK_STATUS(gmx_main(waits_forever, "the end"), GMX_EDEADLK); /* threads are counted, a report is written */
  else CHECK_OK(gmx_shutdown(60000 * MS));
}

static void runs(void *arg) {
  static child c;
  child_run(&c, 100, in_the_sandbox, arg);
  if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == 77) {
    check_say("  no filter can be installed here");
    exit(77);
  }
  if (c.status != 0) FAIL("status %#x; it said: %s", (unsigned)c.status, c.text);
}

static void a_program_runs_and_shuts_down(void) { runs(NULL); }
static void a_deadlock_is_told(void) { runs(&turn); }

int main(void) {
  RUN(a_program_runs_and_shuts_down);
  RUN(a_deadlock_is_told);
  return 0;
}
