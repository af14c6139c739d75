/* timeout: 120 */
/* Child processes where the system refuses: no more processes, no pidfds, no descriptors. The program stands before the
 * C library in the order of symbol lookup. */
#include "processes.h"

#include <dlfcn.h>
#include <spawn.h>
#include <sys/syscall.h>

static int no_process, no_pidfd;
static int refused;

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                char *const argv[], char *const envp[]) {
  if (load(&no_process)) return bump(&refused), EAGAIN;
  __typeof__(&posix_spawn) next = (__typeof__(&posix_spawn))dlsym(RTLD_NEXT, "posix_spawn");
  return next(pid, path, actions, attributes, argv, envp);
}

long syscall(long number, ...) {
  static long (*next)(long, ...);
  va_list args;
  long a[6];
  va_start(args, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(args, long);
  va_end(args);
  if (number == SYS_pidfd_open && load(&no_pidfd)) return bump(&refused), errno = load(&no_pidfd), -1;
  if (!__atomic_load_n(&next, __ATOMIC_RELAXED)) {
    void *found = dlsym(RTLD_NEXT, "syscall");
    __atomic_store_n(&next, (long (*)(long, ...))found, __ATOMIC_RELAXED);
  }
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void no_more_processes(void) {
  gmx_poll in = 7, out = 7;
  gmx_process p = 7;
  char *argv[4];
  gmx_process_opts opts = shell("exec cat", argv);
  pipe_at(&opts, 0, &in);
  pipe_at(&opts, 1, &out);
  says("echo text", "text\n"); /* what is made once is made */
  long before = open_fds();
  store(&refused, 0);
  store(&no_process, 1);
  for (int i = 0; i < 100; i++) CHECK_STATUS(gmx_spawn_process(&opts, &p), GMX_EAGAIN);
  store(&no_process, 0);
  if (load(&refused) == 0) SKIP("the calls of the library cannot be intercepted here");
  CHECK_EQ(p, 7);
  CHECK(in == 7 && out == 7);
  CHECK_EQ(open_fds(), before);
  EXITED(child_end_of(child_of("exit 1")), 1);
}

/* Each way without pidfds does what the way with them does, except a release of a child that runs. */
static void exits_with_3(void *arg) { EXITED(child_wait(*(gmx_process *)arg), 3); }
static void is_canceled(void *arg) {
  int status;
  CHECK_STATUS(gmx_process_wait(*(gmx_process *)arg, &status, GMX_FOREVER), GMX_ECANCELED);
}
static void without_pidfds(void) {
  for (int round = 0; round < 2; round++) {
    store(&no_pidfd, round ? EMFILE : ENOSYS);
    EXITED(child_end_of(child_of("exit 42")), 42);
    KILLED(child_end_of(child_of("kill -9 $$")), SIGKILL);
    says("echo text", "text\n");
    gmx_poll in;
    gmx_process p = child_that_waits(&in);
    pid_t pid = gmx_process_pid(p);
    int status;
    CHECK_STATUS(gmx_process_pidfd(p), GMX_ENOTSUP);
    CHECK_STATUS(gmx_process_wait(p, &status, 0), GMX_ETIMEDOUT);
    int64_t begin = check_now();
    CHECK_STATUS(gmx_process_wait(p, &status, 50 * MS), GMX_ETIMEDOUT);
    CHECK_CMP(check_now() - begin, >=, 50 * MS);
    CHECK_STATUS(gmx_process_release(p), GMX_EBUSY);
    gmx_g canceled = go_with("waits", GMX_SPAWN_JOINABLE | GMX_SPAWN_CANCELLABLE, is_canceled, &p);
    CHECK_OK(gmx_cancel_g(canceled, GMX_ECANCELED));
    join(canceled);
    gmx_g gs[4];
    struct placed at[PLACES];
    for (int i = 0; i < 4; i++) gs[i] = go_joinable(exits_with_3, &p);
    for (enum place place = 0; place < PLACES; place++) place_start(&at[place], place, exits_with_3, &p);
    close_fd(in);
    join_all(gs, 4);
    for (enum place place = 0; place < PLACES; place++) place_join(&at[place]);
    CHECK(is_reaped(pid));
    CHECK_STATUS(gmx_process_kill(p, SIGKILL), -ESRCH);
    CHECK_OK(gmx_process_release(p));
    p = child_that_waits(&in);
    CHECK_OK(gmx_process_kill(p, SIGTERM));
    KILLED(child_end_of(p), SIGTERM);
    close_fd(in);
  }
  store(&no_pidfd, 0);
}

int main(void) {
  start_runtime(2, 0);
  RUN(no_more_processes);
  RUN(without_pidfds);
  RUN_G(without_pidfds);
  ends_clean();
  return 0;
}
