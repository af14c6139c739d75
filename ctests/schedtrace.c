/* GMXDEBUG=schedtrace prints Go's lines; scheddetail prints the Ps, Ms and Gs below them. */
#include "child.h"
#include "gs.h"
#include "seed.h"

static gmx_waitgroup all;

static void waits_for_the_end(void *arg) {
  uint32_t *sema = arg;
  CHECK_OK(gmx_sema_acquire(sema));
  CHECK_OK(gmx_waitgroup_done(&all));
}

static uint32_t end;

static void *ends_with_stdin(void *arg) {
  char c;
  ssize_t n = read(0, &c, 1);
  CHECK(n == 0 || n == 1);
  release(&end, 6);
  return arg;
}

static void busy(void *arg) {
  (void)arg;
  pthread_t t = thread_start(ends_with_stdin, NULL);
  CHECK_OK(gmx_waitgroup_add(&all, 5));
  for (int i = 0; i < 5; i++) go_with("waits", 0, waits_for_the_end, &end);
  uint64_t seed = 1;
  while (gmx_sema_try_acquire(&end) == GMX_EAGAIN) {
    CHECK_OK(gmx_sleep((int64_t)(next_random(&seed) % (uint64_t)MS)));
    CHECK_OK(gmx_yield());
  }
  CHECK_OK(gmx_waitgroup_wait(&all));
  thread_join(t);
}

static void traced(void *arg) {
  setenv("GMXDEBUG", arg, 1);
  start_runtime(3, 0);
  CHECK_OK(gmx_main(busy, NULL));
  end_runtime();
}

/* The number behind key= in a line. */
static long field(child *c, const char *line, const char *key) {
  char word[64];
  snprintf(word, sizeof word, " %s=", key);
  const char *end_of_line = strchr(line, '\n'), *p = strstr(line, word);
  if (!p || p > end_of_line) CHILD_FAIL(c, "no %s= in: %.*s", key, (int)(end_of_line - line), line);
  char *rest;
  long n = strtol(p + strlen(word), &rest, 10);
  if (rest == p + strlen(word)) CHILD_FAIL(c, "no number behind %s= in: %.*s", key, (int)(end_of_line - line), line);
  return n;
}

static void check_line(child *c, const char *line, bool detail, long *last_ms) {
  long ms, procs;
  char colon;
  if (sscanf(line, "SCHED %ldms%c", &ms, &colon) != 2 || colon != ':')
    CHILD_FAIL(c, "not Go's format: %.60s", line);
  CHECK_CMP(ms, >=, *last_ms);
  *last_ms = ms;
  CHECK_EQ(procs = field(c, line, "gomaxprocs"), 3);
  long idle = field(c, line, "idleprocs");
  CHECK(idle >= 0 && idle <= procs);
  long threads = field(c, line, "threads");
  CHECK_CMP(threads, >=, 1);
  CHECK(field(c, line, "spinningthreads") >= 0);
  CHECK(field(c, line, "needspinning") >= 0);
  CHECK(field(c, line, "idlethreads") >= 0 && field(c, line, "idlethreads") <= threads);
  CHECK(field(c, line, "runqueue") >= 0);
  if (detail) return;
  const char *end_of_line = strchr(line, '\n'), *open = strchr(line, '[');
  if (!open || open > end_of_line) CHILD_FAIL(c, "no [ in: %.*s", (int)(end_of_line - line), line);
  /* a length for each P */
  int lengths = 0;
  char *p = (char *)open + 1;
  for (;;) {
    while (*p == ' ') p++;
    if (*p == ']') break;
    char *rest;
    long n = strtol(p, &rest, 10);
    if (rest == p || n < 0) CHILD_FAIL(c, "not a length: %.20s", p);
    lengths++;
    p = rest;
  }
  CHECK_EQ(lengths, 3);
}

static void run_traced(child *c, const char *debug, int lines, const char *word) {
  child_start(c, traced, (void *)debug);
  int64_t deadline = check_now() + 60 * SECOND;
  while (count_in(c->text, "SCHED ") < lines || !strstr(c->text, word))
    if (!child_read(c, deadline)) CHILD_FAIL(c, "the child ended too soon");
  CHECK_EQ(write(c->in, "x", 1), 1);
  child_end(c, 60);
  CHILD_OK(c);
}

static void check_lines(child *c, bool detail) {
  long last = -1;
  int lines = 0;
  for (const char *p = strstr(c->text, "SCHED "); p && strchr(p, '\n'); p = strstr(p + 1, "SCHED ")) {
    CHECK(p == c->text || p[-1] == '\n'); /* lines of several threads do not mix */
    check_line(c, p, detail, &last);
    lines++;
  }
  CHECK_CMP(lines, >=, 5);
  CHECK_CMP(last, >, 0);
}

static void schedtrace_is_gos(void) {
  static child c;
  run_traced(&c, "schedtrace=10", 5, "");
  check_lines(&c, false);
  if (strstr(c.text, "  P0:")) CHILD_FAIL(&c, "details without a request for them");
}

static void scheddetail_lists_everything(void) {
  static child c;
  run_traced(&c, "schedtrace=10,scheddetail=1", 5, "(semacquire)");
  check_lines(&c, true);
  for (int p = 0; p < 3; p++) {
    char word[16];
    snprintf(word, sizeof word, "\n  P%d: ", p);
    CHILD_SAID(&c, word);
  }
  CHILD_SAID(&c, "status=");
  CHILD_SAID(&c, "schedtick=");
  CHILD_SAID(&c, "\n  M");
  CHILD_SAID(&c, "curg=");
  CHILD_SAID(&c, "\n  G");
  CHILD_SAID(&c, "(semacquire)");
}

static void says_nothing(void *arg) {
  setenv("GMXDEBUG", arg, 1);
  start_runtime(2, 0);
  uint32_t sema = 0;
  CHECK_STATUS(gmx_sema_acquire_timeout(&sema, 50 * MS), GMX_ETIMEDOUT);
  end_runtime();
}

/* Unknown words, or none: no lines and no harm. */
static void other_words_are_harmless(void) {
  static const char *const words[] = {"", ",", "schedtrace", "schedtrace=", "schedtrace=0", "schedtrace=-5", "nonsense=1,=,=3"};
  static child c;
  for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
    child_run(&c, 60, says_nothing, (void *)words[i]);
    CHILD_OK(&c);
    if (strstr(c.text, "SCHED")) CHILD_FAIL(&c, "GMXDEBUG=%s traced", words[i]);
  }
}

int main(void) {
  RUN(schedtrace_is_gos);
  RUN(scheddetail_lists_everything);
  RUN(other_words_are_harmless);
  return 0;
}
