/* Examples of the manual: processes. */
#include <gomax.h>

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

/* example: gmx_spawn_process gmx_process_wait gmx_process_release */
#include <sys/wait.h>

// What a command of the shell prints, as popen would read it; no thread waits.
static gmx_status output_of(char *command, char *to, size_t room, int *exit_status) {
  char *argv[] = {"sh", "-c", command, NULL};
  gmx_poll out;
  gmx_process shell;
  gmx_process_opts opts = {.path = "/bin/sh", .argv = argv};
  opts.stdio[0] = (gmx_process_stdio){.kind = GMX_STDIO_NULL};
  opts.stdio[1] = (gmx_process_stdio){.kind = GMX_STDIO_PIPE, .pipe = &out};
  gmx_status n, status = gmx_spawn_process(&opts, &shell);
  if (status != GMX_OK) return status; // -ENOENT and so on: nothing is left of it
  size_t got = 0;
  do {
    n = gmx_read(out, to + got, room - 1 - got, GMX_FOREVER);
    if (n > 0) got += (size_t)n;
  } while (n > 0 && got < room - 1);
  to[got] = 0;
  gmx_close(out);
  status = gmx_process_wait(shell, exit_status, GMX_FOREVER);
  gmx_process_release(shell); // the handle, not the process
  return n < 0 ? n : status;
}
/* end */

/* example: gmx_process_kill */
#include <signal.h>

// Ends a child: first it may clean up, then it must go.
static gmx_status stop(gmx_process child, int64_t patience, int *status) {
  gmx_process_kill(child, SIGTERM); // never another process that got its number
  gmx_status waited = gmx_process_wait(child, status, patience);
  if (waited != GMX_ETIMEDOUT) return waited;
  gmx_process_kill(child, SIGKILL);
  return gmx_process_wait(child, status, GMX_FOREVER);
}
/* end */

/* example: gmx_process_pid */
// A group of its own: the signal reaches the children of the child as well.
static gmx_status interrupt_group(gmx_process leader) { // of GMX_PROCESS_GROUP
  gmx_status pid = gmx_process_pid(leader); // stays its own until a wait told its end
  if (pid < 0) return pid;                  // GMX_ESTALE
  return kill(-pid, SIGINT) == 0 ? GMX_OK : -errno;
}
/* end */

/* example: gmx_process_pidfd */
#include <poll.h>

// Waits for the end of a child, or for a descriptor. Which one was it?
static int ended_or_readable(gmx_process child, int fd, int64_t timeout) {
  int ended = gmx_process_pidfd(child); // the library's: not to be closed
  if (ended < 0) return ended;          // GMX_ENOTSUP
  struct pollfd fds[] = {{ended, POLLIN, 0}, {fd, POLLIN, 0}};
  gmx_status n = gmx_poll_many(fds, 2, timeout);
  if (n < 0) return n;
  return fds[0].revents ? ended : fd;
}
/* end */

static gmx_process start(char *command, gmx_poll *in, gmx_poll *out) {
  char *argv[] = {"sh", "-c", command, NULL};
  gmx_process child;
  gmx_process_opts opts = {.path = "sh", .argv = argv, .flags = GMX_PROCESS_SEARCH | GMX_PROCESS_GROUP};
  opts.stdio[0] = (gmx_process_stdio){.kind = GMX_STDIO_PIPE, .pipe = in};
  opts.stdio[1] = (gmx_process_stdio){.kind = GMX_STDIO_PIPE, .pipe = out};
  assert(gmx_spawn_process(&opts, &child) == GMX_OK);
  return child;
}

static void all(void *arg) {
  (void)arg;
  char text[20];
  int status, fd;
  gmx_poll in, out;
  static char greets[] = "echo hello; exit 3", fails[] = "exit 0";
  static char deaf[] = "trap '' TERM; echo ready; read end", waits[] = "echo ready; read end";
  assert(output_of(greets, text, sizeof text, &status) == GMX_OK && strcmp(text, "hello\n") == 0);
  assert(WIFEXITED(status) && WEXITSTATUS(status) == 3);
  assert(output_of(fails, text, sizeof text, &status) == GMX_OK && status == 0 && !text[0]);

  gmx_process child = start(deaf, &in, &out);
  assert(gmx_read_full(out, text, 6, GMX_FOREVER, NULL) == GMX_OK);
  assert(stop(child, 0, &status) == GMX_OK && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  gmx_process_release(child);
  gmx_close(in);
  gmx_close(out);

  child = start(waits, &in, &out);
  fd = gmx_poll_fd(out);
  assert(ended_or_readable(child, fd, GMX_FOREVER) == fd);
  assert(gmx_read_full(out, text, 6, GMX_FOREVER, NULL) == GMX_OK);
  assert(ended_or_readable(child, fd, 0) == GMX_ETIMEDOUT && interrupt_group(child) == GMX_OK);
  assert(ended_or_readable(child, -1, GMX_FOREVER) >= 0);
  assert(gmx_process_wait(child, &status, GMX_FOREVER) == GMX_OK && WTERMSIG(status) == SIGINT);
  gmx_process_release(child);
  assert(interrupt_group(child) == GMX_ESTALE);
  gmx_close(in);
  gmx_close(out);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
