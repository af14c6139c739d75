/* flags: -ldl */
/* timeout: 120 */
/* From which Gs the P is taken although they do not poll, and from which it is not: pinned Gs, locked Gs, threads of
 * the host; what else a process does meanwhile: fork, signals of its own with the same number; and the settings of
 * GMXDEBUG. */
#include "beside.h"
#include "child.h"

#include <dlfcn.h>
#include <errno.h>
#include <spawn.h>
#include <sys/wait.h>

/* As many slices as would have been enough. */
#define CHANCE (100 * MS)

/* ---- pinned ---- */

static int began, unpinned, began_too_early;

static void begins(void *arg) {
  (void)arg;
  if (!load(&unpinned)) store(&began_too_early, 1);
  store(&began, 1);
}

static void keeps_its_p_while_pinned(void *arg) {
  for (int i = 0; i < 3; i++) {
    store(&began, 0);
    store(&unpinned, 0);
    CHECK_EQ(gmx_pin(), 0);
    if (i == 1) CHECK_EQ(gmx_pin(), 0);
    go(begins, NULL);
    burn_cpu(CHANCE);
    thread_nap(20 * MS); /* nor while it sleeps */
    if (i == 1) {
      CHECK_OK(gmx_unpin());
      burn_cpu(CHANCE);
    }
    CHECK_EQ(load(&began), 0);
    store(&unpinned, 1);
    CHECK_OK(gmx_unpin());
    while (!load(&began)) continue; /* and is a hog again */
    CHECK_EQ(load(&began_too_early), 0);
  }
  (void)arg;
}

static void a_pinned_g_keeps_its_p(void) { on_g(keeps_its_p_while_pinned, NULL); }

/* ---- Gs that are tied to their threads ---- */

static void computes_on_one_thread(void) {
  int tid = thread_id();
  pthread_t self = pthread_self();
  beside_start();
  while (!moved()) CHECK(pthread_equal(self, pthread_self()));
  CHECK_EQ(thread_id(), tid);
  CHECK_OK(gmx_yield());
  CHECK_EQ(thread_id(), tid);
  beside_end();
  CHECK_EQ(thread_id(), tid);
}

static void is_locked(void *arg) {
  (void)arg;
  CHECK_OK(gmx_lock_os_thread());
  computes_on_one_thread();
  CHECK_OK(gmx_unlock_os_thread());
  CHECK_STATUS(gmx_unlock_os_thread(), GMX_EPERM);
}

static void ends_locked(void *arg) {
  (void)arg;
  CHECK_OK(gmx_lock_os_thread());
  computes_on_one_thread();
}

static void locked_gs_lose_their_p_and_stay_on_their_threads(void) {
  on_g(is_locked, NULL);
  on_g(ends_locked, NULL);
  on_g(is_locked, NULL);
}

static void is_called_back(void *tid) {
  CHECK_EQ(thread_id(), *(int *)tid);
  computes_on_one_thread();
}

static void *calls_back(void *arg) {
  int tid = thread_id();
  for (int i = 0; i < 2; i++) CHECK_OK(gmx_callback(is_called_back, &tid));
  CHECK(gmx_self() == 0);
  return arg;
}

static void *attaches(void *arg) {
  CHECK_OK(gmx_attach_thread());
  computes_on_one_thread();
  CHECK_OK(gmx_detach_thread());
  return arg;
}

static void threads_of_the_host_lose_their_p(void) {
  thread_join(thread_start(calls_back, NULL));
  thread_join(thread_start(attaches, NULL));
}

/* ---- hogs that make processes, and load code ---- */

extern char **environ;

static int wait_for(pid_t pid) {
  int status = -1;
  CHECK_CMP(pid, >, 0);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status));
  return WEXITSTATUS(status);
}

static void forks(void *arg) {
  (void)arg;
  beside_start();
  while (!moved()) {
    pid_t pid = fork();
    if (pid == 0) _exit(errno == EINTR ? 1 : 3);
    CHECK_EQ(wait_for(pid), 3);
  }
  beside_end();
}

/* A child that computes has none of the timers of its parent. */
static void forks_hogs(void *arg) {
  (void)arg;
  beside_start();
  while (!moved()) {
    pid_t pid = fork();
    if (pid == 0) {
      burn_cpu(5 * MS);
      _exit(3);
    }
    CHECK_EQ(wait_for(pid), 3);
  }
  beside_end();
}

static void vforks(void *arg) {
  (void)arg;
  beside_start();
  while (!moved()) {
    pid_t pid = vfork();
    if (pid == 0) _exit(3);
    CHECK_EQ(wait_for(pid), 3);
  }
  beside_end();
}

/* The program is there, or not: the call makes the same child for the rest. */
static void spawns_processes(void *arg) {
  (void)arg;
  char *argv[] = {(char *)"true", NULL};
  beside_start();
  while (!moved()) {
    pid_t pid = 0;
    int error = posix_spawnp(&pid, "true", NULL, NULL, argv, environ);
    if (error == 0) {
      CHECK_EQ(wait_for(pid), 0);
    } else {
      CHECK_EQ(error, ENOENT);
    }
  }
  beside_end();
}

static void loads_code(void *arg) {
  (void)arg;
  beside_start();
  while (!moved()) {
    void *library = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    double (*cosine)(double);
    *(void **)&cosine = dlsym(library, "cos");
    CHECK(cosine != NULL && cosine(0) == 1);
    CHECK_EQ(dlclose(library), 0);
  }
  beside_end();
}

static void hogs_make_processes_and_load_code(void) {
  on_g(forks, NULL);
  on_g(forks_hogs, NULL);
  on_g(vforks, NULL);
  on_g(spawns_processes, NULL);
  on_g(loads_code, NULL);
}

/* ---- the host's own signals of that number; each in a process of its own ---- */

static int handled, strange;
static bool tells_the_sender;

static void on_signal_with_info(int sig, siginfo_t *info, void *context) {
  (void)context;
  if (sig != SIGURG || (info->si_code != SI_USER && info->si_code != SI_TKILL)) bump(&strange);
  bump(&handled);
}

static void on_signal(int sig) {
  if (sig != SIGURG) bump(&strange);
  bump(&handled);
}

static void set_handler(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  if (tells_the_sender) {
    action.sa_sigaction = on_signal_with_info;
    action.sa_flags = SA_SIGINFO;
  } else {
    action.sa_handler = on_signal;
  }
  CHECK(sigaction(SIGURG, &action, NULL) == 0);
}

static void raises(void *arg) {
  int *raised = arg;
  swap_begin();
  while (swap_on()) {
    CHECK(raise(SIGURG) == 0);
    bump(raised);
    for (volatile int i = 0; i < 1000000; i++) continue;
  }
}

static void computes(void *arg) {
  (void)arg;
  swap_begin();
  while (swap_on()) continue;
}

static void signals_of_the_host(void *arg) {
  tells_the_sender = *(bool *)arg;
  set_handler();
  start_runtime(1, MS);
  int sent = 0;
  swap_start(2, 50, 0);
  gmx_g g = go_joinable(raises, &sent), h = go_joinable(computes, NULL);
  join(g);
  join(h);
  swap_end();
  CHECK_EQ(load(&handled), load(&sent));
  for (int i = 0; i < 20; i++) { /* to the process: any thread */
    CHECK(kill(getpid(), SIGURG) == 0);
    sent++;
    spin_until(load(&handled) == sent);
  }
  CHECK_EQ(load(&strange), 0);
  end_runtime();
  thread_raise(SIGURG);
  CHECK_EQ(load(&handled), sent + 1);
  struct sigaction now;
  CHECK(sigaction(SIGURG, NULL, &now) == 0);
  CHECK(tells_the_sender ? now.sa_sigaction == on_signal_with_info : now.sa_handler == on_signal);
}

static void the_host_gets_its_own_signals_and_no_others(void) {
  for (int i = 0; i < 2; i++) {
    bool info = i == 0;
    RUN_CHILD(60, signals_of_the_host, &info);
  }
}

/* A handler that the host installs while the library runs takes the signals of both: the Ps are taken without them. */
static void on_any_signal(int sig) { (void)sig; }

static void handler_comes_later(void *arg) {
  (void)arg;
  start_runtime(1, 0);
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_any_signal;
  action.sa_flags = SA_RESTART;
  CHECK(sigaction(SIGURG, &action, NULL) == 0);
  on_g(is_locked, NULL);
  struct sigaction now;
  end_runtime();
  CHECK(sigaction(SIGURG, NULL, &now) == 0);
  CHECK(now.sa_handler == on_any_signal);
}

static void a_handler_of_the_host_may_come_later(void) { RUN_CHILD(60, handler_comes_later, NULL); }

/* ---- GMXDEBUG; each in a process of its own ---- */

static int finished, began_before;
static void sees_it_finished(void *arg) {
  if (!load(&finished)) store(&began_before, 1);
  store((int *)arg, 1);
}

static void is_not_interrupted(void *arg) {
  (void)arg;
  int ran = 0;
  store(&finished, 0);
  go(sees_it_finished, &ran);
  burn_cpu(CHANCE);
  thread_nap(20 * MS);
  CHECK_EQ(load(&ran), 0);
  store(&finished, 1);
  spin_until(load(&ran));
  CHECK_EQ(load(&began_before), 0);
}

static void no_preemption(void *arg) {
  struct sigaction now;
  (void)arg;
  setenv("GMXDEBUG", "preempt=0", 1);
  start_runtime(1, MS);
  on_g(is_not_interrupted, NULL);
  CHECK(sigaction(SIGURG, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
  ends_clean();
}

static void loops(void *arg) {
  (void)arg;
  while (!moved()) continue;
}

static void no_signals(void *arg) {
  struct sigaction now;
  (void)arg;
  setenv("GMXDEBUG", "preempt=nosignal", 1);
  start_runtime(1, 0);
  gmx_g g[3];
  beside_start();
  for (int i = 0; i < 3; i++) g[i] = go_joinable(loops, NULL);
  join_all(g, 3);
  beside_end();
  CHECK(sigaction(SIGURG, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
  ends_clean();
}

static void settings_turn_it_off(void) {
  RUN_CHILD(60, no_preemption, NULL);
  RUN_CHILD(60, no_signals, NULL);
}

int main(void) {
  RUN(the_host_gets_its_own_signals_and_no_others);
  RUN(a_handler_of_the_host_may_come_later);
  RUN(settings_turn_it_off);
  start_runtime(1, 0);
  RUN(a_pinned_g_keeps_its_p);
  RUN(locked_gs_lose_their_p_and_stay_on_their_threads);
  RUN(threads_of_the_host_lose_their_p);
  RUN(hogs_make_processes_and_load_code);
  ends_clean();
  return 0;
}
