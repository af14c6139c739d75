/* Reports, dumps and traces show the names that the host gives. A name forges nothing there: no line, no end of a
 * quote, no escape sequence of a terminal. */
#include "child.h"
#include "gs.h"

#include <stdatomic.h>

/* 31 bytes at most are kept of a name. */
#define EVIL "x\" [\nend\r\033[2J\x9b\xe2\x80\xae\x7f\\"
#define EVIL_SHOWN "x\\\" [\\nend\\r\\u{1b}[2J\\x9b\\u{202e}\\u{7f}\\\\"

static void parks_for_good(void *arg) {
  (void)arg;
  CHECK_OK(gmx_park(NULL, NULL, EVIL));
}

static gmx_g evil;

static void start_evil(void) { evil = go_with(EVIL, GMX_SPAWN_JOINABLE, parks_for_good, NULL); }

static void waits_for_it(void *arg) {
  (void)arg;
  start_evil();
  join(evil);
}

static void deadlocks(void *arg) {
  (void)arg;
  start_runtime(2, 0);
  CHECK_STATUS(gmx_main(waits_for_it, NULL), GMX_EDEADLK);
}

static void dumps(void *arg) {
  (void)arg;
  start_evil();
  do CHECK_OK(gmx_yield());
  while (sched_stats().g_waiting < 1);
  CHECK_OK(gmx_write_heap_dump(2));
  CHECK_OK(gmx_ready(evil));
  join(evil);
}

static void writes_a_dump(void *arg) {
  (void)arg;
  setenv("GMXDEBUG", "schedtrace=1,scheddetail=1", 1);
  start_runtime(2, 0);
  CHECK_OK(gmx_main(dumps, NULL));
  end_runtime();
}

static atomic_int running, let_go;

static void never_polls(void *arg) {
  (void)arg;
  atomic_store(&running, 1);
  while (!atomic_load(&let_go)) sched_yield();
}

static void stop_in_vain(void *arg) {
  (void)arg;
  gmx_g g = go_with(EVIL, GMX_SPAWN_JOINABLE, never_polls, NULL);
  spin_until(atomic_load(&running));
  CHECK_STATUS(gmx_stop_the_world_timeout(EVIL, 20 * MS), GMX_ETIMEDOUT);
  atomic_store(&let_go, 1);
  join(g);
}

static void stops_in_vain(void *arg) {
  (void)arg;
  start_runtime(2, 0);
  CHECK_OK(gmx_main(stop_in_vain, NULL));
  end_runtime();
}

/* Runs fn in a child, whose words have the name in its harmless form `times` times at least, and nothing that could be
 * taken for the host's own. */
static void check_words(void (*fn)(void *), int times) {
  static child c;
  child_run(&c, 60, fn, NULL);
  int n = 0;
  for (const char *p = strstr(c.text, EVIL_SHOWN); p; p = strstr(p + 1, EVIL_SHOWN)) n++;
  if (n < times) CHILD_FAIL(&c, "the child above has the name %d times, not %d", n, times);
  for (const char *p = c.text; *p; p++)
    if ((*p < ' ' && *p != '\n') || *p == 0x7f) CHILD_FAIL(&c, "the child above wrote byte %#x", *p & 0xff);
  if (strstr(c.text, "\nend\r") || strstr(c.text, EVIL)) CHILD_FAIL(&c, "a name forged a line");
}

static void in_a_deadlock_report(void) {
#ifdef __SANITIZE_THREAD__
  check_say("left out: ThreadSanitizer has a thread of its own, which might call in");
  return;
#endif
  check_words(deadlocks, 2);
}
static void in_a_dump_and_traces(void) { check_words(writes_a_dump, 2); }
static void in_the_report_of_a_late_stop(void) { check_words(stops_in_vain, 2); }

/* ---- where things are: only if that is asked for ---- */

static gmx_chan *twice, *once;
static atomic_int receivers;

static void receives(void *c) {
  atomic_fetch_add(&receivers, 1);
  CHECK_OK(gmx_chan_recv(c, NULL));
}
static void waits_with_three(void *unused) {
  (void)unused;
  CHECK_OK(gmx_chan_new(0, 0, &twice));
  CHECK_OK(gmx_chan_new(0, 0, &once));
  fprintf(stderr, "twice=%p once=%p\n", (void *)twice, (void *)once);
  go_with("first", 0, receives, twice);
  go_with("second", 0, receives, twice);
  gmx_g third = go_with("third", GMX_SPAWN_JOINABLE, receives, once);
  while (atomic_load(&receivers) < 3) CHECK_OK(gmx_yield());
  CHECK_OK(gmx_write_heap_dump(2));
  join(third);
}
static void waits_in_a_process(void *flags) {
  gmx_config config = GMX_CONFIG_INIT;
  config.maxprocs = 1;
  config.flags = *(uint32_t *)flags;
  CHECK_OK(gmx_init(&config));
  CHECK_STATUS(gmx_main(waits_with_three, NULL), GMX_EDEADLK);
}

/* The word behind ", chan " in the line of a name, in the report of a deadlock. */
static const char *channel_told(const char *text, const char *name, char word[32]) {
  char quoted[32];
  snprintf(quoted, sizeof quoted, "\"%s\" [chan receive", name);
  for (const char *line = text; (line = strstr(line, quoted)) != NULL; line++) {
    const char *end = strchr(line, '\n'), *chan = strstr(line, ", chan ");
    if (chan && chan < end && sscanf(chan, ", chan %31[^ ,\n]", word) == 1) return word;
  }
  FAIL("no line of %s says at which channel it waits: %s", name, text);
}

static void reports_tell_no_addresses(void) {
#ifdef __SANITIZE_THREAD__
  check_say("left out: ThreadSanitizer has a thread of its own, which might call in");
  return;
#endif
  static child c;
  for (uint32_t flags = 0;; flags = GMX_CONFIG_ADDRESSES) {
    char first[32], second[32], third[32], where[32];
    void *at[2];
    child_run(&c, 60, waits_in_a_process, &flags);
    CHECK(sscanf(c.text, "twice=%p once=%p", &at[0], &at[1]) == 2);
    CHECK_STR(channel_told(c.text, "first", first), channel_told(c.text, "second", second));
    CHECK(strcmp(first, channel_told(c.text, "third", third)) != 0);
    snprintf(where, sizeof where, "%p", at[0]);
    if (flags) {
      CHECK_STR(first, where);
      CHECK(strstr(c.text, " sp=0x") != NULL);
      return;
    }
    /* an offset in a file is short */
    for (const char *p = strchr(c.text, '\n'); (p = strstr(p, "0x")) != NULL; p++)
      if (strspn(p + 2, "0123456789abcdef") > 8) CHILD_FAIL(&c, "it tells an address: %.20s", p);
  }
}

int main(void) {
  RUN(reports_tell_no_addresses);
  RUN(in_a_deadlock_report);
  RUN(in_a_dump_and_traces);
  RUN(in_the_report_of_a_late_stop);
  return 0;
}
