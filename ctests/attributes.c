/* The threads of the library, and the processes that a G starts, have the attributes of the main thread: signal mask,
 * CPU affinity, scheduling class, nice value. It does not matter which thread called the library first. */
#include "child.h"
#include "gs.h"

#include <sched.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>

extern char **environ;

/* ---- what a thread has ---- */

typedef struct attributes {
  uint64_t blocked;
  uint64_t cpus[16];
  int class, nice;
} attributes;

/* musl's sched_getscheduler and sched_setscheduler refuse. */
static int class_of(int tid) { return (int)syscall(SYS_sched_getscheduler, tid); }

static attributes of_this_thread(void) {
  attributes a;
  memset(&a, 0, sizeof a);
  sigset_t set;
  CHECK(pthread_sigmask(SIG_BLOCK, NULL, &set) == 0);
  for (int sig = 1; sig <= 64; sig++)
    if (sigismember(&set, sig) == 1) a.blocked |= UINT64_C(1) << (sig - 1);
  CHECK(sched_getaffinity(0, sizeof a.cpus, (cpu_set_t *)a.cpus) == 0);
  a.class = class_of(0);
  errno = 0;
  a.nice = getpriority(PRIO_PROCESS, 0);
  CHECK(errno == 0);
  return a;
}

static void to_text(const attributes *a, char *text, size_t room) {
  int n = snprintf(text, room, "%llx %d %d", (unsigned long long)a->blocked, a->class, a->nice);
  for (int i = 0; i < 16; i++) n += snprintf(text + n, room - (size_t)n, " %llx", (unsigned long long)a->cpus[i]);
}

static char wanted[512]; /* the attributes of the main thread */

/* ---- processes that a G starts ---- */

/* This program executes itself again, with the attributes that it should find. */
static int started(const char *should) {
  attributes a = of_this_thread();
  char is[512];
  to_text(&a, is, sizeof is);
  if (strcmp(is, should) == 0) return 0;
  check_say("started with %s, not %s", is, should);
  return 1;
}

static void ended_well(int status, const char *how) {
  if (status != 0) FAIL("%s: wait status %#x", how, status);
}

static void starts_processes(void *arg) {
  char self[512] = "", command[1100]; /* behind the link is valgrind, for those that are started under it */
  CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
  char *args[] = {"attributes", wanted, NULL};
  pid_t pid;
  int status;
  (void)arg;
  CHECK(posix_spawn(&pid, self, NULL, NULL, args, environ) == 0);
  CHECK(waitpid(pid, &status, 0) == pid);
  ended_well(status, "posix_spawn");

  CHECK((pid = fork()) >= 0);
  if (pid == 0) {
    execv(self, args);
    _exit(3);
  }
  CHECK(waitpid(pid, &status, 0) == pid);
  ended_well(status, "fork and exec");

  snprintf(command, sizeof command, "exec '%s' '%s'", self, wanted);
  FILE *f = popen(command, "r");
  CHECK(f != NULL);
  ended_well(pclose(f), "popen");
  ended_well(system(command), "system");
}

static void on_several_threads(void *arg) {
  gmx_g all[4];
  for (int i = 0; i < 4; i++) all[i] = go_with("starts", GMX_SPAWN_JOINABLE, starts_processes, arg);
  join_all(all, 4);
}

/* ---- threads ---- */

/* The affinity and the class of each thread of the process, except the main thread and `except`. */
static void every_thread_is_like_the_main_one(int except) {
  attributes main_has = {0};
  CHECK(sched_getaffinity(getpid(), sizeof main_has.cpus, (cpu_set_t *)main_has.cpus) == 0);
  int seen = 0, ids[MOST_THREADS];
  for (int i = thread_ids(ids) - 1; i >= 0; i--) {
    int tid = ids[i];
    if (tid == getpid() || tid == except) continue;
    attributes a = {0};
    CHECK(sched_getaffinity(tid, sizeof a.cpus, (cpu_set_t *)a.cpus) == 0);
    CHECK(memcmp(a.cpus, main_has.cpus, sizeof a.cpus) == 0);
    CHECK_EQ(class_of(tid), class_of(getpid()));
    CHECK_EQ(getpriority(PRIO_PROCESS, (id_t)tid), getpriority(PRIO_PROCESS, (id_t)getpid()));
    seen++;
  }
  CHECK_CMP(seen, >=, 2); /* the watchdog and a worker at least */
}

static int odd_thread;

static void needs_more_threads(void *arg) {
  CHECK_OK(gmx_enter_syscall_blocking());
  thread_nap(20 * MS);
  CHECK_OK(gmx_exit_syscall());
  (void)arg;
}

static void looks(void *arg) {
  (void)arg;
  attributes a = of_this_thread();
  char is[512];
  to_text(&a, is, sizeof is);
  CHECK_STR(is, wanted);
  for (int i = 0; i < 5; i++) go(needs_more_threads, NULL);
  CHECK_OK(gmx_sleep(5 * MS));
  every_thread_is_like_the_main_one(odd_thread);
  starts_processes(NULL);
}

/* A thread with other attributes is the first to call the library. */
static void *calls_first(void *arg) {
  odd_thread = thread_id();
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(__builtin_ctzll(of_this_thread().cpus[0]), &one);
  CHECK(sched_setaffinity(0, sizeof one, &one) == 0);
  struct sched_param zero = {0};
  CHECK(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &zero) == 0);
  /* A lower nice value needs a right: without it there is no way back. */
  if (geteuid() == 0) CHECK(setpriority(PRIO_PROCESS, 0, 5) == 0);
  sigset_t all;
  sigfillset(&all);
  CHECK(pthread_sigmask(SIG_SETMASK, &all, NULL) == 0);
  CHECK_OK(gmx_main(looks, NULL));
  int cpus = 0;
  attributes main_has = {0};
  CHECK(sched_getaffinity(getpid(), sizeof main_has.cpus, (cpu_set_t *)main_has.cpus) == 0);
  for (int i = 0; i < 16; i++) cpus += __builtin_popcountll(main_has.cpus[i]);
  if (cpus > 1) CHECK_CMP(gmx_gomaxprocs(0), >, 1);
  CHECK_EQ(gmx_num_cpu(), gmx_gomaxprocs(0));
  return arg;
}

static void remember(void) {
  attributes a = of_this_thread();
  to_text(&a, wanted, sizeof wanted);
}

static void the_main_thread_is_first(void *arg) {
  (void)arg;
  remember();
  CHECK_OK(gmx_main(on_several_threads, NULL));
  end_runtime();
}

static void an_odd_thread_is_first(void *arg) {
  (void)arg;
  unsetenv("GMX_MAXPROCS");
  remember();
  thread_join(thread_start(calls_first, NULL));
  end_runtime();
}

/* The main thread blocks signals, as one does whose signals a thread of its own waits for. */
static void the_main_thread_blocks_some(void *arg) {
  (void)arg;
  sigset_t some;
  sigemptyset(&some);
  sigaddset(&some, SIGUSR1);
  sigaddset(&some, SIGTERM);
  CHECK(pthread_sigmask(SIG_BLOCK, &some, NULL) == 0);
  remember();
  thread_join(thread_start(calls_first, NULL));
  end_runtime();
}

/* ---- signals ---- */

static atomic_int handled;
static void handler(int sig) {
  (void)sig;
  atomic_fetch_add(&handled, 1);
}

/* The handler of a signal that a G raises runs on its thread, and waits of the library continue. */
static void raises(void *arg) {
  (void)arg;
  for (int i = 0; i < 1000; i++) {
    int before = atomic_load(&handled);
    CHECK(raise(SIGUSR1) == 0);
    CHECK_EQ(atomic_load(&handled), before + 1);
    CHECK_OK(gmx_yield());
  }
}

static atomic_int stop_signals;
static void *sends(void *arg) {
  for (int i = 0; !atomic_load(&stop_signals); i++) {
    CHECK(kill(getpid(), SIGUSR1) == 0);
    thread_nap(50000);
  }
  return arg;
}

static void waits_under_fire(void *arg) {
  static uint32_t never;
  (void)arg;
  for (int i = 0; i < 100; i++) {
    CHECK_OK(gmx_sleep(100000));
    CHECK_STATUS(gmx_sema_acquire_timeout(&never, 100000), GMX_ETIMEDOUT);
  }
}

static void signals_reach_gs(void *arg) {
  (void)arg;
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
  start_runtime(4, 0);
  CHECK_OK(gmx_main(raises, NULL));
  /* The main thread blocks it: the workers have to take it. */
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  CHECK(pthread_sigmask(SIG_BLOCK, &usr1, NULL) == 0);
  pthread_t t = thread_start(sends, NULL);
  CHECK_OK(gmx_main(waits_under_fire, NULL));
  atomic_store(&stop_signals, 1);
  thread_join(t);
  CHECK_CMP(atomic_load(&handled), >, 1000);
  end_runtime();
}

static void main_first(void) { RUN_CHILD(60, the_main_thread_is_first, NULL); }
static void odd_first(void) { RUN_CHILD(60, an_odd_thread_is_first, NULL); }
static void main_blocks_some(void) { RUN_CHILD(60, the_main_thread_blocks_some, NULL); }
static void signals(void) { RUN_CHILD(60, signals_reach_gs, NULL); }

int main(int argc, char **argv) {
  if (argc > 1) return started(argv[1]);
  RUN(main_first);
  RUN(odd_first);
  RUN(main_blocks_some);
  RUN(signals);
  return 0;
}
