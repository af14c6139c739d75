/* What the library says of Gs that compute: each is named once in a report, dumps show what is held and what runs
 * without a P. And the signal that holds threads may be another one. */
#include "beside.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* ---- reports ---- */

static char said[1 << 16];
static int said_len; /* written by the template thread */

static void keep(void *arg, const char *text, size_t len) {
  (void)arg;
  int at = load(&said_len);
  CHECK_CMP((size_t)at + len, <, sizeof said);
  memcpy(said + at, text, len);
  store(&said_len, at + (int)len);
}

static int times(const char *text, int len, const char *words) {
  int n = 0;
  size_t size = strlen(words);
  for (int i = 0; i + (int)size <= len; i++) n += memcmp(text + i, words, size) == 0;
  return n;
}

static int over;
static void computes(void *arg) {
  (void)arg;
  while (!load(&over)) continue;
}

static bool both_are_named(void) {
  int len = load(&said_len);
  return times(said, len, "\"first\" computes without a call") > 0 &&
         times(said, len, "\"second\" computes without a call") > 0;
}

static void start_with_reports(int sig) {
  gmx_config config = GMX_CONFIG_INIT;
  config.maxprocs = 1;
  config.slice_ns = MS;
  config.report = keep;
  config.preempt_signal = sig;
  CHECK_OK(gmx_init(&config));
}

static void each_hog_is_named_once(void) {
  start_with_reports(0);
  store(&over, 0);
  gmx_g g[] = {go_with("first", GMX_SPAWN_JOINABLE, computes, NULL), go_with("second", GMX_SPAWN_JOINABLE, computes, NULL)};
  spin_until(both_are_named());
  uint64_t before = sched_stats().nudges;
  spin_until(sched_stats().nudges > before + 50);
  store(&over, 1);
  join_all(g, 2);
  end_runtime();
  int len = load(&said_len);
  CHECK_EQ(times(said, len, "computes without a call"), 2);
  CHECK_EQ(times(said, len, "slices were taken from it in"), 2);
  CHECK(both_are_named());
}

/* ---- dumps ---- */

static int dump(int fd, char *text, size_t size) {
  CHECK(ftruncate(fd, 0) == 0);
  CHECK(lseek(fd, 0, SEEK_SET) == 0);
  CHECK_OK(gmx_write_heap_dump(fd));
  ssize_t n = pread(fd, text, size, 0);
  CHECK_CMP(n, >, 0);
  return (int)n;
}

/* A dump takes the P of a hog, which then runs without one; another hog waits, and is held. */
static void dumps_show_what_is_held(void) {
  start_with_reports(0);
  store(&over, 0);
  gmx_g g[] = {go_with("first", GMX_SPAWN_JOINABLE, computes, NULL), go_with("second", GMX_SPAWN_JOINABLE, computes, NULL)};
  static char text[1 << 16];
  int fd = memfd_create("dump", 0);
  CHECK_CMP(fd, >=, 0);
  for (bool held = false, out = false; !held || !out;) {
    int len = dump(fd, text, sizeof text);
    held |= times(text, len, "[held]") > 0 && times(text, len, " held\n") > 0;
    out |= times(text, len, "[running without a P]") > 0 && times(text, len, " without-p\n") > 0;
    CHECK_EQ(times(text, len, "locked to its thread"), 0);
  }
  store(&over, 1);
  join_all(g, 2);
  close(fd);
  end_runtime();
}

/* ---- another signal ---- */

static int handled;
static void on_signal(int sig) {
  (void)sig;
  bump(&handled);
}

static void takes_turns(void *arg) {
  (void)arg;
  for (swap_begin(); swap_on();) continue;
}

static void the_signal_may_be_another_one(void) {
  int other = SIGRTMIN + 3;
  struct sigaction action, now;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  CHECK(sigaction(other, &action, NULL) == 0);
  start_with_reports(other);
  CHECK(sigaction(SIGURG, NULL, &now) == 0 && now.sa_handler == SIG_DFL);
  uint64_t seized = sched_stats().seized;
  swap_start(2, 50, 0);
  gmx_g g[] = {go_joinable(takes_turns, NULL), go_joinable(takes_turns, NULL)};
  join_all(g, 2);
  swap_end();
  CHECK_CMP(sched_stats().seized, >, seized);
  CHECK_EQ(load(&handled), 0);
  thread_raise(other);
  CHECK_EQ(load(&handled), 1);
  end_runtime();
  CHECK(sigaction(other, NULL, &now) == 0 && now.sa_handler == on_signal);
}

static void not_every_signal_serves(void) {
  int wrong[] = {-1, 65, SIGKILL, SIGSTOP, SIGSEGV, SIGABRT, SIGCHLD, 32, 33};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    gmx_config config = GMX_CONFIG_INIT;
    config.preempt_signal = wrong[i];
    CHECK_EQ(gmx_init(&config), GMX_EINVAL);
  }
}

/* A signal of the host whose default ends the process still does so. */
static void has_its_default(void *arg) {
  (void)arg;
  start_with_reports(SIGUSR2);
  thread_raise(SIGUSR2);
  abort();
}

static void defaults_stay(void) {
  pid_t child = fork();
  CHECK_CMP(child, >=, 0);
  if (child == 0) {
    has_its_default(NULL);
    _exit(1);
  }
  int status;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR2);
}

int main(void) {
  RUN(defaults_stay);
  RUN(not_every_signal_serves);
  RUN(each_hog_is_named_once);
  RUN(dumps_show_what_is_held);
  RUN(the_signal_may_be_another_one);
  return 0;
}
