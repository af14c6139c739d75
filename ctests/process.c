/* timeout: 180 */
/* Child processes: what they begin with, how they end, which callers learn of it, and what is left. */
#include "processes.h"

#include <sys/stat.h>

/* ---- the end ---- */

static void ends(void *arg) {
  (void)arg;
  EXITED(child_end_of(child_of("exit 0")), 0);
  EXITED(child_end_of(child_of("exit 42")), 42);
  EXITED(child_end_of(child_of("exit 255")), 255);
  KILLED(child_end_of(child_of("kill -9 $$")), SIGKILL);
  KILLED(child_end_of(child_of("kill -TERM $$")), SIGTERM);
  gmx_poll in;
  int status = 77;
  gmx_process p = child_that_waits(&in);
  pid_t pid = gmx_process_pid(p);
  CHECK_STATUS(gmx_process_wait(p, &status, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_process_wait(p, &status, -1), GMX_ETIMEDOUT);
  int64_t begin = check_now();
  CHECK_STATUS(gmx_process_wait(p, &status, 20 * MS), GMX_ETIMEDOUT);
  CHECK_CMP(check_now() - begin, >=, 20 * MS);
  CHECK_EQ(status, 77);
  CHECK_OK(gmx_process_kill(p, 0));
  CHECK_STATUS(gmx_process_kill(p, 1000), GMX_EINVAL);
  CHECK_OK(gmx_process_kill(p, SIGKILL));
  KILLED(child_wait(p), SIGKILL);
  KILLED(child_wait(p), SIGKILL); /* it stays */
  CHECK(is_reaped(pid));
  CHECK_STATUS(gmx_process_kill(p, SIGKILL), -ESRCH);
  CHECK_EQ(gmx_process_pid(p), pid);
  CHECK_OK(gmx_process_release(p));
  CHECK_STATUS(gmx_process_release(p), GMX_ESTALE);
  CHECK_STATUS(gmx_process_wait(p, &status, GMX_FOREVER), GMX_ESTALE);
  CHECK_STATUS(gmx_process_kill(p, SIGKILL), GMX_ESTALE);
  CHECK_STATUS(gmx_process_pid(p), GMX_ESTALE);
  CHECK_STATUS(gmx_process_pidfd(p), GMX_ESTALE);
  close_fd(in);
}

static void at_each_place(void) {
  for (enum place place = 0; place < PLACES; place++) {
    struct placed at;
    place_start(&at, place, ends, NULL);
    place_join(&at);
  }
}

/* ---- several callers ---- */

static void waits_for(void *arg) { EXITED(child_wait(*(gmx_process *)arg), 3); }

static void all_waiters_get_the_status(void) {
  for (int round = 0; round < 20; round++) {
    enum { GS = 8, EACH = 3 };
    gmx_g gs[GS];
    struct placed at[PLACES];
    gmx_poll in;
    gmx_process p = child_that_waits(&in);
    for (int i = 0; i < GS; i++) gs[i] = go_joinable(waits_for, &p);
    for (enum place place = 0; place < PLACES; place++) place_start(&at[place], place, waits_for, &p);
    if (round % 2) spin_until(waiting("IO wait") >= GS);
    close_fd(in);
    join_all(gs, GS);
    for (enum place place = 0; place < PLACES; place++) place_join(&at[place]);
    CHECK_OK(gmx_process_release(p));
  }
}

static void is_released(void *arg) {
  int status;
  CHECK_STATUS(gmx_process_wait(*(gmx_process *)arg, &status, GMX_FOREVER), GMX_ESTALE);
}
static void a_release_ends_the_waits(void) {
  gmx_poll in;
  gmx_process p = child_that_waits(&in);
  pid_t pid = gmx_process_pid(p);
  gmx_g gs[4];
  pthread_t thread;
  for (int i = 0; i < 4; i++) gs[i] = go_joinable(is_released, &p);
  struct thread_call call = {is_released, &p};
  thread = thread_start(thread_calls, &call);
  spin_until(waiting("IO wait") >= 4);
  CHECK_OK(gmx_process_release(p));
  join_all(gs, 4);
  thread_join(thread);
  CHECK(!is_reaped(pid));
  close_fd(in);
  spin_until(is_reaped(pid));
}

static void is_canceled(void *arg) {
  int status;
  CHECK_STATUS(gmx_process_wait(*(gmx_process *)arg, &status, GMX_FOREVER), GMX_ECANCELED);
}
static void a_token_ends_a_wait(void) {
  gmx_poll in;
  gmx_process p = child_that_waits(&in);
  gmx_g g = go_with("waits", GMX_SPAWN_JOINABLE | GMX_SPAWN_CANCELLABLE, is_canceled, &p);
  spin_until(waiting("IO wait") == 1);
  CHECK_OK(gmx_cancel_g(g, GMX_ECANCELED));
  join(g);
  close_fd(in);
  EXITED(child_end_of(p), 3);
}

/* ---- pipes ---- */

static void echo_through_pipes(void) {
  char *argv[4], text[64];
  gmx_process_opts opts = shell("exec cat", argv);
  gmx_poll in, out;
  pipe_at(&opts, 0, &in);
  pipe_at(&opts, 1, &out);
  gmx_process p = spawned(&opts);
  for (int i = 0; i < 100; i++) {
    int n = snprintf(text, sizeof text, "line %d", i);
    CHECK_OK(gmx_write(in, text, (size_t)n, GMX_FOREVER, NULL));
    char back[64] = "";
    for (int got = 0; got < n;) {
      gmx_status more = gmx_read(out, back + got, (size_t)(n - got), GMX_FOREVER);
      CHECK_CMP(more, >, 0);
      got += more;
    }
    CHECK_STR(back, text);
  }
  close_fd(in);
  CHECK_EQ(gmx_read(out, text, sizeof text, GMX_FOREVER), 0);
  close_fd(out);
  EXITED(child_end_of(p), 0);
}

enum { BIG = 4 << 20 };
static void feeds_much(void *arg) {
  gmx_poll in = *(gmx_poll *)arg;
  char *bytes = malloc(BIG);
  CHECK(bytes != NULL);
  for (int i = 0; i < BIG; i++) bytes[i] = (char)(i * 7 + i / 251);
  size_t done;
  CHECK_OK(gmx_write(in, bytes, BIG, GMX_FOREVER, &done));
  CHECK_EQ(done, BIG);
  close_fd(in);
  free(bytes);
}
static void much_through_pipes(void) {
  char *argv[4];
  gmx_process_opts opts = shell("exec cat", argv);
  gmx_poll in, out;
  pipe_at(&opts, 0, &in);
  pipe_at(&opts, 1, &out);
  gmx_process p = spawned(&opts);
  gmx_g g = go_joinable(feeds_much, &in);
  char *back = malloc(BIG + 1);
  CHECK(back != NULL);
  CHECK_EQ(read_all(out, back, BIG + 1), BIG);
  for (int i = 0; i < BIG; i++) CHECK_EQ(back[i], (char)(i * 7 + i / 251));
  free(back);
  join(g);
  EXITED(child_end_of(p), 0);
}

static void a_child_that_reads_nothing(void) {
  char *argv[4];
  gmx_process_opts opts = shell("exec <&-; exit 0", argv);
  gmx_poll in;
  pipe_at(&opts, 0, &in);
  gmx_process p = spawned(&opts);
  EXITED(child_end_of(p), 0);
  CHECK_STATUS(gmx_write(in, "x", 1, GMX_FOREVER, NULL), GMX_EPIPE);
  close_fd(in);
}

/* ---- what a child begins with ---- */

static void the_ends_of_a_child_wait(void) {
  char *argv[4], text[4096];
  gmx_process_opts opts = shell("exec cat /proc/self/fdinfo/0 /proc/self/fdinfo/1", argv);
  gmx_poll in;
  pipe_at(&opts, 0, &in);
  CHECK_CMP(output_of(&opts, text, sizeof text), >, 0);
  close_fd(in);
  int seen = 0;
  for (const char *at = text; (at = strstr(at, "flags:")) != NULL; at++, seen++)
    CHECK(!(strtoul(at + 6, NULL, 8) & O_NONBLOCK));
  CHECK_EQ(seen, 2);
}

/* Except what the host has not made with O_CLOEXEC, and what ls has opened itself. */
static void no_other_descriptor(void) {
  char *argv[4], text[4096];
  gmx_poll more[4];
  for (int i = 0; i < 4; i += 2) {
    int fd[2];
    fds_of(fd, i ? PIPE : TCP);
    more[i] = own_fd(fd[0]);
    more[i + 1] = own_fd(fd[1]);
  }
  CHECK_CMP(gmx_host_fd(), >=, 0);
  int want = 4, n = 0;
  for (int fd = 3; fd < 4096; fd++) {
    int flags = fcntl(fd, F_GETFD);
    want += flags >= 0 && !(flags & FD_CLOEXEC);
  }
  gmx_process_opts opts = shell("exec ls /proc/self/fd", argv);
  output_of(&opts, text, sizeof text);
  for (const char *at = text; *at; at++) n += *at == '\n';
  CHECK_EQ(n, want);
  for (int i = 0; i < 4; i++) close_fd(more[i]);
}

static void signals_are_at_their_defaults(void) {
  void (*before)(int) = signal(SIGPIPE, SIG_IGN);
  bool foreign = gmx_goid() == 0; /* a goroutine may come back on another thread */
  sigset_t all, old;
  sigfillset(&all);
  if (foreign) CHECK(pthread_sigmask(SIG_BLOCK, &all, &old) == 0);
  says("grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\t'", "SigBlk:0000000000000000\nSigIgn:0000000000000000\n");
  if (foreign) CHECK(pthread_sigmask(SIG_SETMASK, &old, NULL) == 0);
  signal(SIGPIPE, before);
}

static void where_and_with_what(void) {
  char *argv[4], text[4096];
  char *env[] = {(char *)"A=one", (char *)"B=two", NULL};
  gmx_process_opts opts = shell("echo $A $B; pwd", argv);
  opts.envp = env;
  opts.cwd = "/usr";
  output_of(&opts, text, sizeof text);
  CHECK_STR(text, "one two\n/usr\n");
  CHECK(setenv("GMX_TEST_PASSED_ON", "yes", 1) == 0);
  says("echo $GMX_TEST_PASSED_ON", "yes\n");
  CHECK(unsetenv("GMX_TEST_PASSED_ON") == 0);
  opts = (gmx_process_opts){.path = "true", .flags = GMX_PROCESS_SEARCH};
  EXITED(child_end_of(spawned(&opts)), 0);
  opts.flags = 0;
  gmx_process p = 7;
  CHECK_STATUS(gmx_spawn_process(&opts, &p), -ENOENT);
  CHECK_EQ(p, 7);
}

static void descriptors_of_the_host(void) {
  char *argv[4], text[4096];
  gmx_process_opts opts = shell("echo out; echo error >&2", argv);
  int a[2], b[2];
  fds_of(a, PIPE);
  fds_of(b, PIPE);
  opts.stdio[0].kind = GMX_STDIO_NULL;
  opts.stdio[1] = (gmx_process_stdio){GMX_STDIO_FD, a[1], NULL};
  opts.stdio[2] = (gmx_process_stdio){GMX_STDIO_FD, b[1], NULL};
  EXITED(child_end_of(spawned(&opts)), 0);
  take(a[0], text, 4);
  CHECK(memcmp(text, "out\n", 4) == 0);
  take(b[0], text, 6);
  CHECK(memcmp(text, "error\n", 6) == 0);
  /* both to one place, in the order in which they were written */
  opts.stdio[2].kind = GMX_STDIO_OUTPUT;
  EXITED(child_end_of(spawned(&opts)), 0);
  take(a[0], text, 10);
  CHECK(memcmp(text, "out\nerror\n", 10) == 0);
  /* each is the other's: neither may be overwritten before it is copied */
  int out = dup(1), error = dup(2);
  CHECK(dup2(a[1], 1) == 1 && dup2(b[1], 2) == 2);
  opts.stdio[1] = (gmx_process_stdio){GMX_STDIO_FD, 2, NULL};
  opts.stdio[2] = (gmx_process_stdio){GMX_STDIO_FD, 1, NULL};
  EXITED(child_end_of(spawned(&opts)), 0);
  CHECK(dup2(out, 1) == 1 && dup2(error, 2) == 2);
  take(b[0], text, 4);
  CHECK(memcmp(text, "out\n", 4) == 0);
  take(a[0], text, 6);
  CHECK(memcmp(text, "error\n", 6) == 0);
  opts.stdio[1].fd = -1;
  gmx_process p;
  CHECK_STATUS(gmx_spawn_process(&opts, &p), GMX_EBADF);
  for (int i = 0; i < 2; i++) close(a[i]), close(b[i]);
  close(out), close(error);
}

/* The host has closed its own 0, 1 and 2, so that pipes get these numbers. */
static void a_host_without_descriptors(void) {
  int kept[3];
  char *argv[4], text[16] = "";
  gmx_poll in, out;
  for (int fd = 0; fd < 3; fd++) {
    CHECK_CMP(kept[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10), >=, 10);
    close(fd);
  }
  gmx_process_opts opts = shell("exec cat", argv);
  pipe_at(&opts, 0, &in);
  pipe_at(&opts, 1, &out);
  opts.stdio[2].kind = GMX_STDIO_NULL;
  gmx_process p = 0;
  gmx_status begun = gmx_spawn_process(&opts, &p);
  for (int fd = 0; fd < 3; fd++) dup2(kept[fd], fd), close(kept[fd]);
  CHECK_OK(begun);
  CHECK_OK(gmx_write(in, "x", 1, GMX_FOREVER, NULL));
  close_fd(in);
  CHECK_EQ(read_all(out, text, sizeof text), 1);
  EXITED(child_end_of(p), 0);
}

static void groups_and_sessions(void) {
  static const struct {
    uint32_t flags;
    bool group, session;
  } rows[] = {{0, false, false}, {GMX_PROCESS_GROUP, true, false}, {GMX_PROCESS_SESSION, true, true}};
  for (int i = 0; i < 3; i++) {
    char *argv[4], text[256];
    gmx_process_opts opts = shell("echo $$ $(cut -d' ' -f5,6 /proc/$$/stat)", argv);
    opts.flags = rows[i].flags;
    output_of(&opts, text, sizeof text);
    int pid, group, session;
    CHECK_EQ(sscanf(text, "%d %d %d", &pid, &group, &session), 3);
    CHECK_EQ(group, rows[i].group ? pid : getpgrp());
    CHECK_EQ(session, rows[i].session ? pid : getsid(0));
  }
}

/* ---- what cannot be started ---- */

static void what_cannot_be_started(void) {
  char *argv[4];
  gmx_process p = 7;
  gmx_poll in = 7;
  long before = open_fds();
  gmx_process_opts opts = shell("true", argv);
  pipe_at(&opts, 0, &in);
  opts.path = "/nowhere/to/be/found";
  CHECK_STATUS(gmx_spawn_process(&opts, &p), -ENOENT);
  opts.path = "/";
  CHECK_STATUS(gmx_spawn_process(&opts, &p), -EACCES);
  opts.path = "/bin/sh";
  opts.cwd = "/nowhere";
  CHECK_STATUS(gmx_spawn_process(&opts, &p), -ENOENT);
  opts.cwd = NULL;
  struct rlimit limit, old;
  CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0);
  limit = old;
  for (int room = 0; room < 3; room++) { /* for none, for one pipe, for its copy */
    int next = dup(0);
    close(next);
    limit.rlim_cur = (rlim_t)(next + room);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    gmx_status s = gmx_spawn_process(&opts, &p);
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    if (s == GMX_OK) { /* a pidfd is all that was lacking */
      close_fd(in);
      int status = child_wait(p);
      CHECK(WIFEXITED(status));
      CHECK_OK(gmx_process_release(p));
      p = in = 7;
    } else CHECK_STATUS(s, -EMFILE);
  }
  CHECK_EQ(p, 7);
  CHECK_EQ(in, 7);
  CHECK_EQ(open_fds(), before);
}

static void wrong_calls(void) {
  char *argv[4];
  gmx_process p = 7;
  gmx_poll pipe;
  int status = 7;
  gmx_process_opts opts = shell("true", argv), good = opts;
  CHECK_STATUS(gmx_spawn_process(NULL, &p), GMX_EINVAL);
  CHECK_STATUS(gmx_spawn_process(&opts, NULL), GMX_EINVAL);
  opts.path = NULL;
  CHECK_STATUS(gmx_spawn_process(&opts, &p), GMX_EINVAL);
  opts = good, opts.flags = 8;
  CHECK_STATUS(gmx_spawn_process(&opts, &p), GMX_EINVAL);
  opts = good, opts.flags = GMX_PROCESS_GROUP | GMX_PROCESS_SESSION;
  CHECK_STATUS(gmx_spawn_process(&opts, &p), GMX_EINVAL);
  opts = good, opts.stdio[0].kind = 5;
  CHECK_STATUS(gmx_spawn_process(&opts, &p), GMX_EINVAL);
  opts = good, opts.stdio[1].kind = GMX_STDIO_PIPE;
  CHECK_STATUS(gmx_spawn_process(&opts, &p), GMX_EINVAL);
  opts = good, pipe_at(&opts, 0, &pipe), opts.stdio[1].kind = GMX_STDIO_OUTPUT;
  CHECK_STATUS(gmx_spawn_process(&opts, &p), GMX_EINVAL);
  opts = good, opts.struct_size = 1;
  CHECK_STATUS(gmx_spawn_process(&opts, &p), GMX_EINVAL);
  CHECK_EQ(p, 7);
  CHECK_STATUS(gmx_process_wait(0, &status, GMX_FOREVER), GMX_ESTALE);
  CHECK_STATUS(gmx_process_wait(UINT64_MAX, &status, GMX_FOREVER), GMX_ESTALE);
  CHECK_STATUS(gmx_process_wait(0, NULL, GMX_FOREVER), GMX_EINVAL);
  CHECK_STATUS(gmx_process_kill(0, 9), GMX_ESTALE);
  CHECK_STATUS(gmx_process_release(0), GMX_ESTALE);
  CHECK_EQ(status, 7);
}

/* ---- many ---- */

static void one_of_many(void *arg) {
  char script[32], text[32], want[32], *argv[4];
  int number = (int)(intptr_t)arg;
  snprintf(script, sizeof script, "echo %d; exit %d", number, number % 200);
  snprintf(want, sizeof want, "%d\n", number);
  gmx_process_opts opts = shell(script, argv);
  gmx_poll out;
  pipe_at(&opts, 1, &out);
  gmx_process p = spawned(&opts);
  read_all(out, text, sizeof text);
  CHECK_STR(text, want);
  EXITED(child_end_of(p), number % 200);
}

static void many_at_once(void) {
  enum { AT_ONCE = 32, ROUNDS = 4 };
  for (int round = 0; round < ROUNDS; round++) {
    gmx_g gs[AT_ONCE];
    for (int i = 0; i < AT_ONCE; i++) gs[i] = go_joinable(one_of_many, (void *)(intptr_t)(round * AT_ONCE + i));
    join_all(gs, AT_ONCE);
  }
}

/* A child keeps no thread while it is waited for. */
static void no_thread_for_a_child(void) {
  enum { N = 64 };
  gmx_process p[N];
  gmx_poll in[N];
  gmx_g gs[N];
  for (int i = 0; i < N; i++) p[i] = child_that_waits(&in[i]);
  int before = count_threads();
  for (int i = 0; i < N; i++) gs[i] = go_joinable(waits_for, &p[i]);
  spin_until(waiting("IO wait") == N);
  CHECK_CMP(count_threads(), <=, before + 2);
  for (int i = 0; i < N; i++) close_fd(in[i]);
  join_all(gs, N);
  for (int i = 0; i < N; i++) CHECK_OK(gmx_process_release(p[i]));
}

static void pidfds(void) {
  gmx_poll in;
  gmx_process p = child_that_waits(&in);
  int fd = gmx_process_pidfd(p);
  if (fd == GMX_ENOTSUP) {
    check_say("no pidfds here");
  } else {
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    CHECK(!is_ready(fd, POLLIN));
    close_fd(in);
    spin_until(is_ready(fd, POLLIN));
    in = 0;
  }
  if (in) close_fd(in);
  EXITED(child_end_of(p), 3);
}

/* ---- children that outlive their handles ---- */

static void reaped_when_they_end(void) {
  enum { N = 20 };
  gmx_poll in[N];
  pid_t pid[N];
  for (int i = 0; i < N; i++) {
    gmx_process p = child_that_waits(&in[i]);
    pid[i] = gmx_process_pid(p);
    CHECK_OK(gmx_process_release(p));
  }
  for (int i = 0; i < N; i++) {
    CHECK_EQ(kill(pid[i], 0), 0);
    close_fd(in[i]);
  }
  for (int i = 0; i < N; i++) spin_until(is_reaped(pid[i]));
  /* at the same time */
  for (int i = 0; i < 100; i++) {
    gmx_process p = child_of("exit 0");
    pid[0] = gmx_process_pid(p);
    CHECK_OK(gmx_process_release(p));
    spin_until(is_reaped(pid[0]));
  }
}

/* A child that ends while the runtime is down is reaped when it begins again. */
static void reaped_after_a_shutdown(void) {
  int wait;
  gmx_poll in;
  gmx_process p = child_that_waits(&in), kept = child_of("exit 5");
  pid_t pid = gmx_process_pid(p);
  CHECK_OK(gmx_process_release(p));
  CHECK_OK(gmx_poll_release(in, &wait));
  spin_until(gmx_num_g() == 0);
  end_runtime();
  CHECK_CMP(gmx_process_pid(kept), >, 0);
  CHECK(close(wait) == 0);
  siginfo_t info = {0};
  while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0) CHECK_EQ(errno, EINTR);
  start_runtime(2, 0);
  spin_until(is_reaped(pid));
  EXITED(child_end_of(kept), 5);
}

/* A released child that runs is no goroutine. */
static void a_shutdown_waits_for_no_child(void) {
  gmx_poll in;
  gmx_process p = child_that_waits(&in);
  pid_t pid = gmx_process_pid(p);
  CHECK_OK(gmx_process_release(p));
  spin_until(gmx_num_g() == 0);
  end_runtime();
  start_runtime(2, 0);
  close_fd(in);
  spin_until(is_reaped(pid));
}

/* ---- the host's children ---- */

static int host_children;
static void on_sigchld(int sig) {
  (void)sig;
  bump(&host_children);
}

static void the_hosts_own_children(void) {
  struct sigaction act = {.sa_handler = on_sigchld, .sa_flags = SA_RESTART}, old, now;
  CHECK(sigaction(SIGCHLD, &act, &old) == 0);
  pid_t own = fork();
  CHECK_CMP(own, >=, 0);
  if (own == 0) _exit(9);
  EXITED(child_end_of(child_of("exit 1")), 1);
  int status;
  while (waitpid(own, &status, 0) != own) CHECK_EQ(errno, EINTR);
  EXITED(status, 9);
  spin_until(load(&host_children) >= 1);
  CHECK(sigaction(SIGCHLD, &old, &now) == 0);
  CHECK(now.sa_handler == on_sigchld);
}

static void a_host_that_ignores_sigchld(void) {
  struct sigaction act = {.sa_handler = SIG_IGN}, old;
  int status = 7;
  CHECK(sigaction(SIGCHLD, &act, &old) == 0);
  gmx_poll in;
  gmx_process p = child_that_waits(&in);
  CHECK_STATUS(gmx_process_wait(p, &status, MS), GMX_ETIMEDOUT);
  close_fd(in);
  CHECK_STATUS(gmx_process_wait(p, &status, GMX_FOREVER), -ECHILD);
  CHECK_STATUS(gmx_process_wait(p, &status, 0), -ECHILD);
  CHECK_EQ(status, 7);
  CHECK_STATUS(gmx_process_kill(p, SIGKILL), -ESRCH);
  CHECK_OK(gmx_process_release(p));
  CHECK(sigaction(SIGCHLD, &old, NULL) == 0);
}

static void a_host_that_waits_for_any(void) {
  int status, told = 0;
  gmx_process p = child_of("exit 4");
  pid_t pid = gmx_process_pid(p);
  while (waitpid(-1, &status, 0) != pid) CHECK_EQ(errno, EINTR);
  EXITED(status, 4);
  CHECK_STATUS(gmx_process_wait(p, &told, GMX_FOREVER), -ECHILD);
  CHECK_OK(gmx_process_release(p));
}

/* ---- a child of fork has none ---- */

static void handles_in_a_child_of_fork(void) {
  gmx_poll in;
  gmx_process p = child_that_waits(&in), forgotten = child_that_waits(&in);
  pid_t pid = fork();
  CHECK_CMP(pid, >=, 0);
  if (pid == 0) {
    int status;
    CHECK_STATUS(gmx_process_wait(p, &status, GMX_FOREVER), GMX_ESTALE);
    CHECK_STATUS(gmx_process_kill(p, SIGKILL), GMX_ESTALE);
    EXITED(child_end_of(child_of("exit 6")), 6);
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  EXITED(status, 0);
  CHECK_OK(gmx_process_kill(p, SIGTERM));
  KILLED(child_end_of(p), SIGTERM);
  CHECK_OK(gmx_process_kill(forgotten, SIGTERM));
  KILLED(child_end_of(forgotten), SIGTERM);
}

int main(void) {
  /* without a runtime, which begins with the first call */
  RUN(wrong_calls);
  RUN(handles_in_a_child_of_fork);
  end_runtime();
  start_runtime(2, 0);
  EXITED(child_end_of(child_of("exit 0")), 0);
  long before = open_fds();
  RUN(at_each_place);
  RUN(all_waiters_get_the_status);
  RUN(a_release_ends_the_waits);
  RUN(a_token_ends_a_wait);
  RUN_G(echo_through_pipes);
  RUN_G(much_through_pipes);
  RUN(much_through_pipes);
  RUN_G(a_child_that_reads_nothing);
  RUN_G(the_ends_of_a_child_wait);
  RUN(no_other_descriptor);
  RUN_G(signals_are_at_their_defaults);
  RUN(signals_are_at_their_defaults);
  RUN_G(where_and_with_what);
  RUN(descriptors_of_the_host);
  RUN(a_host_without_descriptors);
  RUN(groups_and_sessions);
  RUN(what_cannot_be_started);
  RUN_G(many_at_once);
  RUN(no_thread_for_a_child);
  RUN(pidfds);
  RUN(reaped_when_they_end);
  RUN(reaped_after_a_shutdown);
  RUN(a_shutdown_waits_for_no_child);
  RUN(the_hosts_own_children);
  RUN(a_host_that_ignores_sigchld);
  RUN(a_host_that_waits_for_any);
  CHECK_EQ(open_fds(), before + 1); /* gmx_host_fd */
  ends_clean();
  return 0;
}
