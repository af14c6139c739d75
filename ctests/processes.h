/*
 * Child processes: child_of starts a program of the shell, child_wait waits for its end; EXITED and KILLED say how it
 * ended. output_of is what a program writes.
 */
#ifndef GOMAX_PROCESSES_H
#define GOMAX_PROCESSES_H

#include "fds.h"

#include <sys/wait.h>

/* As the status of an end that waitpid tells: the system's macros read their argument more than once. */
#define EXITED(status, code) CHECK_EQ(status, (code) << 8)
#define KILLED(status, sig) CHECK_EQ((status) & 0x7f, sig)

CHECK_UNUSED static gmx_process_opts shell(const char *script, char *argv[4]) {
  gmx_process_opts opts;
  memset(&opts, 0, sizeof opts);
  opts.struct_size = sizeof opts;
  opts.path = "/bin/sh";
  argv[0] = (char *)"sh";
  argv[1] = (char *)"-c";
  argv[2] = (char *)script;
  argv[3] = NULL;
  opts.argv = argv;
  return opts;
}

CHECK_UNUSED static void pipe_at(gmx_process_opts *opts, int fd, gmx_poll *pipe) {
  opts->stdio[fd].kind = GMX_STDIO_PIPE;
  opts->stdio[fd].pipe = pipe;
}

CHECK_UNUSED static gmx_process spawned(const gmx_process_opts *opts) {
  gmx_process p = 0;
  CHECK_OK(gmx_spawn_process(opts, &p));
  CHECK(p != 0);
  CHECK_CMP(gmx_process_pid(p), >, 1);
  return p;
}

CHECK_UNUSED static gmx_process child_of(const char *script) {
  char *argv[4];
  gmx_process_opts opts = shell(script, argv);
  return spawned(&opts);
}

/* A child that ends when *in is closed. */
CHECK_UNUSED static gmx_process child_that_waits(gmx_poll *in) {
  char *argv[4];
  gmx_process_opts opts = shell("read line; exit 3", argv);
  pipe_at(&opts, 0, in);
  return spawned(&opts);
}

CHECK_UNUSED static int child_wait(gmx_process p) {
  int status = -1;
  CHECK_OK(gmx_process_wait(p, &status, GMX_FOREVER));
  return status;
}

CHECK_UNUSED static int child_end_of(gmx_process p) {
  int status = child_wait(p);
  CHECK_OK(gmx_process_release(p));
  return status;
}

/* All that comes from a pipe, with a NUL behind it. */
CHECK_UNUSED static size_t read_all(gmx_poll from, char *to, size_t room) {
  size_t all = 0;
  for (gmx_status n; (n = gmx_read(from, to + all, room - 1 - all, GMX_FOREVER)) != 0; all += (size_t)n) CHECK_CMP(n, >, 0);
  to[all] = 0;
  close_fd(from);
  return all;
}

CHECK_UNUSED static size_t output_of(gmx_process_opts *opts, char *to, size_t room) {
  gmx_poll out = 0;
  pipe_at(opts, 1, &out);
  gmx_process p = spawned(opts);
  size_t n = read_all(out, to, room);
  EXITED(child_end_of(p), 0);
  return n;
}

CHECK_UNUSED static void says(const char *script, const char *want) {
  char text[4096], *argv[4];
  gmx_process_opts opts = shell(script, argv);
  output_of(&opts, text, sizeof text);
  CHECK_STR(text, want);
}

CHECK_UNUSED static bool is_reaped(pid_t pid) { return kill(pid, 0) != 0 && errno == ESRCH; }

#endif /* GOMAX_PROCESSES_H */
