/* A host closes descriptor 2. The next file that it opens gets that number, and the library must write no report into
 * it. */
#include "child.h"
#include "gs.h"

#include <sys/stat.h>

static off_t length(int fd) {
  struct stat s;
  CHECK(fstat(fd, &s) == 0);
  return s.st_size;
}

static void waits_forever(void *arg) { CHECK_OK(gmx_park(NULL, NULL, arg)); }

static void a_deadlock_is_reported(void) {
  CHECK_STATUS(gmx_main(waits_forever, "nothing"), GMX_EDEADLK);
}

static void the_host_reuses_the_number(void *arg) {
  (void)arg;
  int reports = dup(2);
  CHECK_OK(gmx_init(NULL));

  char path[] = "/tmp/gomax-stderr-XXXXXX";
  int file = mkstemp(path);
  CHECK(file > 2 && unlink(path) == 0);
  CHECK(close(2) == 0);
  CHECK(dup(file) == 2); /* a database */
  a_deadlock_is_reported();
  off_t written = length(file);

  /* the host opens it again: the rest is told, and how much is missing */
  CHECK(dup2(reports, 2) == 2);
  a_deadlock_is_reported();
  if (written != 0) FAIL("%ld bytes of reports were written into a file of the host", (long)written);
}

static void no_report_goes_into_a_file_of_the_host(void) {
  static child c;
  child_run(&c, 100, the_host_reuses_the_number, NULL);
  CHECK_EQ(c.status, 0);
  CHECK(strstr(c.text, "lines could not be written"));
  CHECK(strstr(c.text, "all goroutines are asleep"));
}

static void starts_with_none(void *arg) {
  (void)arg;
  CHECK(close(2) == 0);
  CHECK_OK(gmx_init(NULL));
  char path[] = "/tmp/gomax-stderr-XXXXXX";
  int file = mkstemp(path);
  CHECK(file == 2 && unlink(path) == 0);
  a_deadlock_is_reported();
  _exit(length(file) == 0 ? 0 : 1);
}

static void nor_where_there_was_none_at_the_start(void) {
  static child c;
  child_run(&c, 100, starts_with_none, NULL);
  CHECK_EQ(c.status, 0);
}

int main(void) {
  RUN(no_report_goes_into_a_file_of_the_host);
  RUN(nor_where_there_was_none_at_the_start);
  return 0;
}
