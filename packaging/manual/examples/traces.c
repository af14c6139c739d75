/* Examples of the manual: traces. */
#include <gomax.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* example: gmx_trace_start gmx_trace_stop */
// A trace of one piece of work. The tool gomax-trace reads the file.
static gmx_status traced(void (*work)(void), const char *path) {
  gmx_trace_opts opts = GMX_TRACE_OPTS_INIT;
  opts.ring_bytes = 4 << 20; // 131,072 records of each thread
  gmx_status status = gmx_trace_start(&opts);
  if (status != GMX_OK) return status;
  work();
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  status = gmx_trace_stop(fd); // with -1 it ends without a file
  if (fd >= 0) close(fd);
  return status;
}
/* end */

/* example: gmx_trace_snapshot */
// The program records all the time. After a request that took too long the file shows what
// came before.
static void look_back(int64_t began, int64_t limit, const char *path) {
  if (gmx_now() - began < limit) return;
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (gmx_trace_snapshot(fd) != GMX_OK) unlink(path);
  close(fd);
}
/* end */

/* example: gmx_trace_task_begin gmx_trace_task_end gmx_trace_region_begin gmx_trace_region_end */
// A request shows in the trace with its parts, whatever goroutines they run on.
struct part { uint64_t request; const char *name; void (*work)(void); };

static void do_part(void *arg) {
  struct part *part = arg;
  gmx_trace_region_begin(part->request, part->name);
  part->work();
  gmx_trace_region_end();
}

static void serve(struct part *parts, int n) {
  uint64_t request;
  gmx_trace_task_begin("request", 0, &request);
  gmx_waitgroup all = GMX_WAITGROUP_INIT;
  for (int i = 0; i < n; i++) {
    parts[i].request = request;
    if (gmx_waitgroup_go(&all, do_part, &parts[i]) != GMX_OK) do_part(&parts[i]);
  }
  gmx_waitgroup_wait(&all);
  gmx_trace_task_end(request);
}
/* end */

/* example: gmx_trace_log gmx_trace_is_on */
// A line for each thousandth row; nothing is formatted while no trace is on.
static void note(uint64_t task, long rows) {
  if (rows % 1000 != 0 || !gmx_trace_is_on()) return;
  char line[40];
  snprintf(line, sizeof line, "%ld rows", rows);
  gmx_trace_log(task, line);
}
/* end */

static void nothing(void *arg) { (void)arg; }

static void some(void) {
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  for (int i = 0; i < 100; i++) assert(gmx_waitgroup_go(&group, nothing, NULL) == GMX_OK);
  gmx_waitgroup_wait(&group);
}

static void check(const char *path) {
  char head[8];
  struct stat file;
  int fd = open(path, O_RDONLY);
  assert(fd >= 0 && read(fd, head, 8) == 8 && memcmp(head, "gmxtrace", 8) == 0);
  assert(fstat(fd, &file) == 0 && file.st_size > 300 * 32);
  close(fd);
  unlink(path);
}

static void all(void *arg) {
  (void)arg;
  char path[] = "/tmp/traces-XXXXXX";
  int fd = mkstemp(path);
  assert(fd >= 0);
  close(fd);
  assert(traced(some, path) == GMX_OK);
  check(path);
  assert(gmx_trace_start(NULL) == GMX_OK);
  some();
  look_back(gmx_now() - 2, 1, path);
  check(path);
  struct part parts[] = {{.name = "read", .work = some}, {.name = "write", .work = some}};
  serve(parts, 2);
  note(parts[0].request, 1000);
  assert(gmx_trace_stop(-1) == GMX_OK);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
