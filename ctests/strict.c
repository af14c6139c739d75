/* GMXDEBUG=strict reports calls that use the interface in a wrong way, and nothing else. That every function takes part
 * is in contexts.c. */
/* flags: -rdynamic */
/* env: GMXDEBUG=strict=1 */
#include "child.h"
#include "gs.h"

#include <stdatomic.h>
#include <sys/syscall.h>

static gmx_mutex mutex;

static void strict(const char *value) {
  char text[32];
  snprintf(text, sizeof text, "strict=%s", value);
  setenv("GMXDEBUG", text, 1);
}

/* ---- what a report says ---- */

void unlocks_what_it_has_not(void *arg) { /* not static: its name is in the report */
  (void)arg;
  printf("thread %d\n", (int)syscall(SYS_gettid));
  fflush(stdout);
  CHECK_STATUS(gmx_mutex_unlock(&mutex), GMX_EPERM);
  CHECK_STATUS(gmx_mutex_unlock(&mutex), GMX_EPERM);
  CHECK_STATUS(gmx_mutex_unlock(NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_exit_syscall(), GMX_EPERM);
}

static void a_named_one(void *arg) {
  strict(arg);
  start_runtime(2, 0);
  for (int i = 0; i < 2; i++) join(go_with("writer", GMX_SPAWN_JOINABLE, unlocks_what_it_has_not, NULL));
  end_runtime();
}

static void a_report_names_function_status_reason_goroutine_thread_and_page(void) {
  static child c;
  child_run(&c, 60, a_named_one, "1");
  CHILD_OK(&c);
  int thread = 0;
  char by[160];
  const char *line = strstr(c.text, "thread ");
  if (!line || sscanf(line, "thread %d", &thread) != 1) CHILD_FAIL(&c, "no thread");
  CHILD_SAID(&c, "libgomax: wrong call: gmx_mutex_unlock returns GMX_EPERM (not permitted): "
                 "if it is not locked, or locked by another\n  by goroutine ");
  CHILD_SAID(&c, "wrong call: gmx_mutex_unlock returns GMX_EINVAL (invalid argument): if m is NULL or not aligned\n");
  CHILD_SAID(&c, "wrong call: gmx_exit_syscall returns GMX_EPERM (not permitted): without an enter\n");
  snprintf(by, sizeof by, " \"writer\", thread %d; see: man 3 gmx_mutex_unlock\n", thread);
  CHILD_SAID(&c, by);
  CHILD_SAID(&c, "; see: man 3 gmx_exit_syscall\n");
  CHECK_EQ(count_in(c.text, "wrong call"), 3); /* each kind once */
}

static void off_says_nothing(void) {
  static child c;
  child_run(&c, 60, a_named_one, "0");
  CHILD_OK(&c);
  CHECK(!strstr(c.text, "libgomax"));
}

/* ---- places ---- */

static bool waits_in_a_commit(void *arg, gmx_g g) {
  (void)arg, (void)g;
  CHECK_STATUS(gmx_sleep(1), GMX_ENOTG);
  return false;
}

static void commits(void *arg) {
  (void)arg;
  CHECK_OK(gmx_park(waits_in_a_commit, NULL, "commit"));
  CHECK_OK(gmx_enter_syscall());
  CHECK_STATUS(gmx_yield(), GMX_EINSYSCALL);
  CHECK_OK(gmx_exit_syscall());
}

static void in_all_places(void *arg) {
  (void)arg;
  CHECK_STATUS(gmx_spawn(NULL, NULL), GMX_EINVAL); /* before there is a runtime */
  CHECK_OK(gmx_init(NULL));
  CHECK_STATUS(gmx_pin(), GMX_ENOTG);
  join(go_joinable(commits, NULL));
  end_runtime();
  CHECK_STATUS(gmx_mutex_lock(NULL), GMX_EINVAL); /* and behind one */
}

static void places(void) {
  static child c;
  child_run(&c, 60, in_all_places, NULL);
  CHILD_OK(&c);
  /* the child has another stderr than the process when the library was loaded */
  CHILD_SAID(&c, "libgomax: 2 lines could not be written\n");
  CHILD_SAID(&c, "gmx_pin returns GMX_ENOTG (not on a goroutine, or where it cannot wait): without a P\n"
                 "  by a thread that is on no goroutine, thread ");
  CHILD_SAID(&c, "gmx_sleep returns GMX_ENOTG (not on a goroutine, or where it cannot wait); "
                 "may be called from: G, attached thread, foreign thread\n  by a callback of the scheduler, thread ");
  CHILD_SAID(&c, "gmx_yield returns GMX_EINSYSCALL (between gmx_enter_syscall and gmx_exit_syscall); may be called from: ");
  CHILD_SAID(&c, "gmx_mutex_lock returns GMX_EINVAL");
}

/* ---- strict=2 ---- */

static void many_wrong(void *arg) {
  (void)arg;
  for (;;) CHECK_STATUS(gmx_mutex_unlock(&mutex), GMX_EPERM);
}

static void two_at_a_time(void *arg) {
  strict(arg);
  start_runtime(2, 0);
  go(many_wrong, NULL);
  join(go_joinable(many_wrong, NULL));
}

static void the_first_one_aborts(void) {
  static child c;
  child_run(&c, 60, two_at_a_time, "2");
  if (!WIFSIGNALED(c.status) || WTERMSIG(c.status) != SIGABRT) CHILD_FAIL(&c, "it should have died by SIGABRT");
  CHECK_EQ(count_in(c.text, "libgomax: wrong call: gmx_mutex_unlock returns GMX_EPERM"), 1);
}

/* ---- calls that are not wrong: each of them would abort ---- */

static void nothing_to_do(void *arg) { (void)arg; }
static void leaves_the_syscall(void *arg) {
  (void)arg;
  CHECK_OK(gmx_exit_syscall());
}
static gmx_poll shut;
static atomic_int reads;

static void reads_until_it_is_closed(void *arg) {
  char c;
  (void)arg;
  atomic_store(&reads, 1);
  CHECK_STATUS(gmx_read(shut, &c, 1, GMX_FOREVER), GMX_EBADF);
}

static void *frees_memory(void *arg) {
  CHECK_OK(gmx_release_memory());
  gmx_poll_slow_tied();
  return arg;
}

static void right_calls(void *arg) {
  gmx_chan *chan, *none = NULL;
  uint32_t sema = 0;
  uint64_t v = 1;
  size_t chosen;
  int fds[2];
  (void)arg;
  CHECK_OK(gmx_mutex_lock(&mutex));
  CHECK_STATUS(gmx_mutex_try_lock(&mutex), GMX_EBUSY);
  CHECK_OK(gmx_mutex_unlock(&mutex));
  CHECK_STATUS(gmx_sema_try_acquire(&sema), GMX_EAGAIN);
  CHECK_STATUS(gmx_sema_acquire_timeout(&sema, 1), GMX_ETIMEDOUT);
  CHECK_OK(gmx_chan_new(sizeof v, 1, &chan));
  CHECK_STATUS(gmx_chan_try_recv(chan, &v), GMX_EAGAIN);
  gmx_select_case one = {chan, &v, GMX_CASE_RECV, 0, {0}};
  CHECK_STATUS(gmx_select(&one, 1, 0, &chosen), GMX_ETIMEDOUT);
  CHECK_OK(gmx_chan_close(chan));
  CHECK_STATUS(gmx_chan_send(chan, &v), GMX_ECLOSED);
  CHECK(!gmx_chan_is_closed(none));
  CHECK_OK(gmx_chan_free(chan));
  /* another one may just have ended */
  gmx_g g = go_with("cancellable", GMX_SPAWN_JOINABLE | GMX_SPAWN_CANCELLABLE, nothing_to_do, NULL);
  join(g);
  CHECK_STATUS(gmx_ready(g), GMX_ESTALE);
  CHECK_STATUS(gmx_cancel_g(g, GMX_ECANCELED), GMX_ESTALE);
  CHECK_STATUS(gmx_ready(gmx_self()), GMX_EPERM);
  gmx_cancel token;
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &token));
  CHECK_OK(gmx_cancel_free(token));
  CHECK(gmx_cancel_is_canceled(token));
  /* a call of the library's own that does not work here */
  CHECK_OK(gmx_blocking(leaves_the_syscall, NULL));
  CHECK_OK(gmx_enter_syscall());
  CHECK_OK(gmx_release_memory());
  CHECK_OK(gmx_exit_syscall());
  thread_join(thread_start(frees_memory, NULL));
  /* a handle that is closed while others wait; an error of the system */
  CHECK(pipe2(fds, O_CLOEXEC) == 0);
  CHECK_OK(gmx_poll_open(fds[0], 0, &shut));
  g = go_joinable(reads_until_it_is_closed, NULL);
  spin_until(atomic_load(&reads));
  while (waiting("IO wait: read") == 0) CHECK_OK(gmx_yield());
  CHECK_OK(gmx_close(shut));
  join(g);
  close(fds[1]);
  gmx_poll file;
  CHECK_STATUS(gmx_open("/nowhere/at/all", O_RDONLY, 0, &file), -ENOENT);
  CHECK_OK(gmx_open("/", O_RDONLY, 0, &file));
  CHECK_STATUS(gmx_ftruncate(file, 0), GMX_EINVAL); /* as the system says */
  CHECK_OK(gmx_close(file));
}

CHECK_UNUSED static void waits_for_nothing(void *arg) {
  uint32_t sema = 0;
  (void)arg;
  CHECK_OK(gmx_sema_acquire(&sema));
}

static void all_right(void *arg) {
  strict(arg);
  start_runtime(2, 0);
  CHECK_OK(gmx_main(right_calls, NULL));
  CHECK_STATUS(gmx_init(NULL), GMX_EBUSY);
#ifndef __SANITIZE_THREAD__ /* it has a thread of its own, which might call in: so there is no deadlock */
  CHECK_STATUS(gmx_main(waits_for_nothing, NULL), GMX_EDEADLK); /* which is reported as such */
#endif
}

static void what_a_right_program_may_get_is_not_reported(void) {
  static child c;
  child_run(&c, 60, all_right, "2");
  CHILD_OK(&c);
  CHECK_EQ(count_in(c.text, "wrong call"), 0);
}

int main(void) {
  RUN(a_report_names_function_status_reason_goroutine_thread_and_page);
  RUN(off_says_nothing);
  RUN(places);
  RUN(the_first_one_aborts);
  RUN(what_a_right_program_may_get_is_not_reported);
  return 0;
}
