/* gmx_main returns GMX_EDEADLK, and the report names each goroutine and where it waits, when no goroutine can ever run
 * again, and only then. */
/* timeout: 240 */
/* flags: -rdynamic */
#include "child.h"
#include "gs.h"
#include "seed.h"

#include <stdatomic.h>

static uint32_t left_sema, right_sema, main_sema;
static gmx_mutex one, two;
static gmx_waitgroup wg;
static atomic_int reached;

/* ---- those that are stuck ---- */

static void waits_on(void *arg) {
  atomic_fetch_add(&reached, 1);
  CHECK_OK(gmx_sema_acquire(arg));
  FAIL("woken without a call that wakes it");
}

static void two_wait_forever(void *arg) {
  (void)arg;
  go_with("left hand", 0, waits_on, &left_sema);
  go_with("right hand", 0, waits_on, &right_sema);
  CHECK_OK(gmx_waitgroup_add(&wg, 2));
  CHECK_OK(gmx_waitgroup_wait(&wg));
  FAIL("woken without a call that wakes it");
}

static void main_waits(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sema_acquire(&main_sema));
  FAIL("woken without a call that wakes it");
}

static void main_parks(void *arg) {
  (void)arg;
  CHECK_OK(gmx_park(NULL, NULL, "for no thread at all"));
  FAIL("woken without a call that wakes it");
}

static void main_joins(void *arg) {
  (void)arg;
  join(go_with("stuck child", GMX_SPAWN_JOINABLE, waits_on, &left_sema));
  FAIL("woken without a call that wakes it");
}

static void locks_two_then_one(void *arg) {
  (void)arg;
  CHECK_OK(gmx_mutex_lock(&two));
  atomic_store(&reached, 1);
  CHECK_OK(gmx_mutex_lock(&one));
  FAIL("got a mutex that is held forever");
}

static void mutexes_cross(void *arg) {
  (void)arg;
  CHECK_OK(gmx_mutex_lock(&one));
  go_with("other order", 0, locks_two_then_one, NULL);
  spin_until(atomic_load(&reached));
  CHECK_OK(gmx_mutex_lock(&two));
  FAIL("got a mutex that is held forever");
}

static void stuck_after_work(void *arg) {
  (void)arg;
  for (int i = 0; i < 20; i++) {
    CHECK_OK(gmx_sleep(MS / 10));
    CHECK_OK(gmx_enter_syscall());
    thread_nap(MS / 10);
    CHECK_OK(gmx_exit_syscall());
    CHECK_CMP(gmx_gomaxprocs(1 + i % 8), >=, 1);
    CHECK_OK(gmx_stop_the_world("before it is stuck"));
    CHECK_OK(gmx_start_the_world());
  }
  main_waits(NULL);
}

static void ends(void *arg) { (void)arg; }

static void locked_main_waits(void *arg) {
  CHECK_OK(gmx_lock_os_thread());
  main_waits(arg);
}

static gmx_chan *never;

static void receives(void *arg) {
  long v;
  CHECK_OK(gmx_chan_recv(arg, &v));
  FAIL("woken without a call that wakes it");
}

static void no_g_sends(void *arg) {
  CHECK_OK(gmx_chan_new(sizeof(long), 0, &never));
  go_with("hears nothing", 0, receives, never);
  main_waits(arg);
}

static gmx_rwmutex rw;

static void wants_to_write(void *arg) {
  (void)arg;
  CHECK_OK(gmx_rwmutex_lock(&rw));
  FAIL("got an rwmutex that is held forever");
}

static void a_writer_keeps_it(void *arg) {
  CHECK_OK(gmx_rwmutex_lock(&rw));
  go_with("other writer", 0, wants_to_write, NULL);
  main_waits(arg);
}

static void locks_and_ends(void *arg) {
  (void)arg;
  CHECK_OK(gmx_mutex_lock(&one));
}

static void the_owner_has_ended(void *arg) {
  (void)arg;
  join(go_with("owner", GMX_SPAWN_JOINABLE, locks_and_ends, NULL));
  CHECK_OK(gmx_mutex_lock(&one));
  FAIL("got a mutex that is held forever");
}

static void *waits_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  atomic_fetch_add(&reached, 1);
  waits_on(arg);
  return NULL;
}

static void *waits_in_a_callback(void *arg) {
  CHECK_OK(gmx_callback(waits_on, arg));
  return NULL;
}

static void *waits_as_a_thread(void *arg) {
  waits_on(arg);
  return NULL;
}

/* Threads of every kind wait beside the main G: none of them can wake it. */
static void threads_wait_too(void *arg) {
  static void *(*const kinds[])(void *) = {waits_attached, waits_in_a_callback, waits_as_a_thread};
  for (int i = 0; i < 3; i++) CHECK(pthread_detach(thread_start(kinds[i], &left_sema)) == 0);
  while (atomic_load(&reached) < 4) CHECK_OK(gmx_sleep(MS));
  main_waits(arg);
}

static void locks_then_waits(void *arg) {
  CHECK_OK(gmx_lock_os_thread());
  waits_on(arg);
}

static void zombies_and_locked_gs(void *arg) {
  for (int i = 0; i < 3; i++) go_with("zombie", GMX_SPAWN_JOINABLE, ends, NULL);
  for (int i = 0; i < 3; i++) go_with("locked", 0, locks_then_waits, &left_sema);
  while (atomic_load(&reached) < 3) CHECK_OK(gmx_sleep(MS));
  main_waits(arg);
}

/* The last thing that happens is the end of a thread of the library. */
static void ends_locked(void *arg) {
  (void)arg;
  CHECK_OK(gmx_lock_os_thread());
  CHECK_OK(gmx_sleep(MS));
}

static void a_locked_g_ended_last(void *arg) {
  go(ends_locked, NULL);
  main_waits(arg);
}

static void a_thousand_ended_before(void *arg) {
  for (int i = 0; i < 1000; i++) go(ends, NULL);
  main_waits(arg);
}

/* ---- those that only look stuck ---- */

static void releases_main(void *arg) {
  CHECK_OK(gmx_sleep((int64_t)(intptr_t)arg));
  release(&main_sema, 1);
}

static void a_timer_pends(void *arg) {
  (void)arg;
  go(releases_main, (void *)(intptr_t)(300 * MS));
  acquire(&main_sema, 1);
}

static void a_time_out_pends(void *arg) {
  (void)arg;
  CHECK_STATUS(gmx_sema_acquire_timeout(&main_sema, 300 * MS), GMX_ETIMEDOUT);
}

static void releases_main_after_a_syscall(void *arg) {
  (void)arg;
  CHECK_OK(gmx_enter_syscall());
  thread_nap(300 * MS);
  CHECK_OK(gmx_exit_syscall());
  release(&main_sema, 1);
}

static void a_g_is_in_a_syscall(void *arg) {
  (void)arg;
  go(releases_main_after_a_syscall, NULL);
  acquire(&main_sema, 1);
}

static void releases_main_from_a_syscall(void *arg) {
  (void)arg;
  CHECK_OK(gmx_enter_syscall_blocking());
  thread_nap(300 * MS);
  release(&main_sema, 1);
  CHECK_OK(gmx_exit_syscall());
}

static void a_g_in_a_syscall_releases(void *arg) {
  (void)arg;
  go(releases_main_from_a_syscall, NULL);
  acquire(&main_sema, 1);
}

static void *releases_later(void *arg) {
  thread_nap(300 * MS);
  release(&main_sema, 1);
  return arg;
}

static pthread_t foreign;

static void a_foreign_thread_is_there(void *arg) {
  (void)arg;
  foreign = thread_start(releases_later, NULL);
  acquire(&main_sema, 1);
}

static void *releases_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  CHECK_OK(gmx_enter_syscall());
  thread_nap(300 * MS);
  CHECK_OK(gmx_exit_syscall());
  release(&main_sema, 1);
  CHECK_OK(gmx_detach_thread());
  return arg;
}

static void an_attached_thread_is_there(void *arg) {
  (void)arg;
  foreign = thread_start(releases_attached, NULL);
  acquire(&main_sema, 1);
}

static void *waits_then_releases(void *arg) {
  CHECK_STATUS(gmx_sema_acquire_timeout(&left_sema, 300 * MS), GMX_ETIMEDOUT);
  release(&main_sema, 1);
  return arg;
}

static void a_foreign_thread_waits_inside(void *arg) {
  (void)arg;
  foreign = thread_start(waits_then_releases, NULL);
  acquire(&main_sema, 1);
}

static void detaches_then_releases(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sleep(MS));
}

static void *calls_back_then_releases(void *arg) {
  CHECK_OK(gmx_callback(detaches_then_releases, NULL));
  thread_nap(300 * MS); /* known to the library, but free to do as it likes */
  release(&main_sema, 1);
  return arg;
}

static void a_thread_was_called_back(void *arg) {
  (void)arg;
  foreign = thread_start(calls_back_then_releases, NULL);
  acquire(&main_sema, 1);
}

static void hands_over(void *arg) {
  (void)arg;
  for (int i = 0; i < 2000; i++) {
    acquire(&left_sema, 1);
    release(&right_sema, 1);
  }
}

/* Each time one step short of a deadlock: the only awake G is about to wake the other. */
static void two_hand_over(void *arg) {
  (void)arg;
  gmx_g g = go_with("hands over", GMX_SPAWN_JOINABLE, hands_over, NULL);
  for (int i = 0; i < 2000; i++) {
    release(&left_sema, 1);
    acquire(&right_sema, 1);
    if (i % 16 == 0) CHECK_OK(gmx_sleep(20000));
    if (i % 16 == 8) {
      CHECK_OK(gmx_enter_syscall_blocking());
      CHECK_OK(gmx_exit_syscall());
    }
  }
  join(g);
}

/* ---- running them ---- */

typedef struct deadlock_case {
  const char *name;
  void (*fn)(void *);
  gmx_status want;
  const char *said[5];
} deadlock_case;

#define STUCK(fn, ...) {#fn, fn, GMX_EDEADLK, {__VA_ARGS__}}
#define FINE(fn) {#fn, fn, GMX_OK, {NULL}}

static const deadlock_case cases[] = {
    STUCK(two_wait_forever, "deadlock", "left hand", "right hand", "semacquire", "wait group"),
    STUCK(main_waits, "deadlock", "semacquire"),
    STUCK(main_parks, "deadlock", "for no thread at all"),
    STUCK(main_joins, "deadlock", "stuck child", "semacquire", "join", ", for goroutine "),
    STUCK(mutexes_cross, "deadlock", "other order", "mutex", ", held by goroutine "),
    STUCK(no_g_sends, "deadlock", "hears nothing", "chan receive", ", chan #"),
    STUCK(a_writer_keeps_it, "deadlock", "other writer", ", held by goroutine "),
    STUCK(the_owner_has_ended, "deadlock", "mutex lock", ", which has ended"),
    STUCK(threads_wait_too, "deadlock", "thread of the host", "semacquire"),
    STUCK(zombies_and_locked_gs, "deadlock", "locked to its thread", "semacquire"),
    STUCK(a_locked_g_ended_last, "deadlock", "semacquire"),
    STUCK(stuck_after_work, "deadlock", "semacquire"),
    STUCK(locked_main_waits, "deadlock", "semacquire"),
    STUCK(a_thousand_ended_before, "deadlock", "semacquire"),
    FINE(a_timer_pends),
    FINE(a_time_out_pends),
    FINE(a_g_is_in_a_syscall),
    FINE(a_g_in_a_syscall_releases),
    FINE(a_foreign_thread_is_there),
    FINE(an_attached_thread_is_there),
    FINE(a_foreign_thread_waits_inside),
    FINE(a_thread_was_called_back),
    FINE(two_hand_over),
};

static void runs_case(void *arg) {
  const deadlock_case *c = arg;
  CHECK_STATUS(gmx_main(c->fn, NULL), c->want);
  if (foreign) thread_join(foreign);
}

static void contains_report(const deadlock_case *c, child *done) {
  for (int i = 0; i < 5 && c->said[i]; i++) {
    const char *p = strcasestr(done->text, c->said[i]);
    if (!p) CHILD_FAIL(done, "%s: the child above did not say \"%s\"", c->name, c->said[i]);
  }
  if (c->want == GMX_OK && strcasestr(done->text, "deadlock")) CHILD_FAIL(done, "%s: a false alarm", c->name);
}

static void each_case(void) {
  static child done;
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    for (int procs = 1; procs <= 4; procs += 3) {
      char number[8];
      snprintf(number, sizeof number, "%d", procs);
      setenv("GMX_MAXPROCS", number, 1);
      child_run(&done, 60, runs_case, (void *)&cases[i]);
      if (done.status) CHILD_FAIL(&done, "%s with %d Ps", cases[i].name, procs);
      contains_report(&cases[i], &done);
    }
  }
}

/* ---- afterwards ---- */

static atomic_int report_calls;

static void counts_reports(void *arg, const char *text, size_t len) {
  CHECK(arg == &report_calls);
  CHECK(len > 0 && memchr(text, 0, len) == NULL);
  atomic_fetch_add(&report_calls, 1);
}

static void releases_left(void *arg) {
  (void)arg;
  release(&left_sema, 1);
}

static void waits_for_left(void *arg) {
  (void)arg;
  acquire(&left_sema, 1);
  atomic_fetch_add(&reached, 1);
}

/* A host with a report function of its own continues after the deadlock: it readies the waiting goroutines itself. */
static void continues(void *arg) {
  (void)arg;
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.report = counts_reports;
  config.report_arg = &report_calls;
  CHECK_OK(gmx_init(&config));
  CHECK_STATUS(gmx_main(waits_for_left, NULL), GMX_EDEADLK);
  CHECK_CMP(atomic_load(&report_calls), >=, 1);
  CHECK_EQ(atomic_load(&reached), 0);
  go(releases_left, NULL);
  spin_until(atomic_load(&reached) == 1);
  CHECK_OK(gmx_main(ends, NULL));
  CHECK_OK(gmx_shutdown(30 * SECOND));
}

static void a_host_may_continue(void) {
  static child done;
  child_run(&done, 60, continues, NULL);
  CHILD_OK(&done);
  if (strstr(done.text, "deadlock")) CHILD_FAIL(&done, "the host's report function was passed by");
}

/* ---- the functions are named ---- */

__attribute__((__visibility__("default"))) void has_a_name_for_the_loader(void *arg) { main_waits(arg); }

static void functions_are_named(void) {
  static child done;
  static const deadlock_case c = {"named", has_a_name_for_the_loader, GMX_EDEADLK, {NULL}};
  child_run(&done, 60, runs_case, (void *)&c);
  CHILD_OK(&done);
  CHILD_SAID(&done, " in has_a_name_for_the_loader (");
  CHILD_SAID(&done, "+0x");
}

/* ---- programs without gmx_main ---- */

static const char *needed[4];

/* The host's function runs on a thread that the library made for it: all others wait. */
static void hears(void *arg, const char *text, size_t len) {
  (void)arg;
  for (int i = 0; i < 4 && needed[i]; i++)
    if (!memmem(text, len, needed[i], strlen(needed[i]))) FAIL("\"%s\" is not in %.*s", needed[i], (int)len, text);
  _exit(0);
}

static gmx_g stuck;

static void in_a_wait_group(void) {
  CHECK_OK(gmx_waitgroup_add(&wg, 1));
  CHECK_OK(gmx_waitgroup_wait(&wg));
}
static void in_a_join(void) { CHECK_OK(gmx_join(stuck, GMX_FOREVER)); }
static void in_a_receive(void) { receives(never); }
static void in_a_shutdown(void) { CHECK_OK(gmx_shutdown(GMX_FOREVER)); }
static void *waits_beside(void *arg) {
  waits_on(&left_sema);
  return arg;
}
static void with_another_thread(void) {
  thread_start(waits_beside, NULL);
  in_a_join();
}
static void *ends_soon(void *arg) {
  thread_nap(1500 * MS);
  return arg;
}
/* A thread that the library does not know: while it exists it might wake any goroutine. */
static void after_an_unknown_thread(void) {
  CHECK(pthread_detach(thread_start(ends_soon, NULL)) == 0);
  in_a_wait_group();
}

static void plain_main(void *arg) {
  void (*waits)(void);
  memcpy(&waits, arg, sizeof waits);
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.report = hears;
  CHECK_OK(gmx_init(&config));
  needed[0] = "deadlock";
  needed[1] = "\"stuck\" [semacquire";
  needed[2] = waits == in_a_shutdown ? NULL : "thread of the host";
  CHECK_OK(gmx_chan_new(sizeof(long), 0, &never));
  stuck = go_with("stuck", GMX_SPAWN_JOINABLE, waits_on, &left_sema);
  waits();
  FAIL("woken without a call that wakes it");
}

static void a_plain_main_is_told(void) {
  static void (*const all[])(void) = {in_a_wait_group, in_a_join,           in_a_receive,
                                      in_a_shutdown,   with_another_thread, after_an_unknown_thread};
  static child done;
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    child_run(&done, 30, plain_main, (void *)&all[i]);
    if (done.status) CHILD_FAIL(&done, "case %d", (int)i);
  }
}

static void says_so(void *arg, const char *text, size_t len) {
  (void)arg;
  FAIL("a false alarm: %.*s", (int)len, text);
}

static void *releases_late(void *arg) {
  thread_nap(2500 * MS);
  release(&main_sema, 1);
  thread_nap(1500 * MS); /* it outlives what it released */
  return arg;
}

/* No deadlock, though all Gs wait: an unknown thread, a timer, or a G in a syscall may wake one. */
static void plain_main_continues(void *arg) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.report = says_so;
  CHECK_OK(gmx_init(&config));
  int kind = *(const int *)arg;
  pthread_t t = 0;
  if (kind == 0) t = thread_start(releases_late, NULL);
  if (kind == 1) go(releases_main, (void *)(intptr_t)(2500 * MS));
  if (kind == 2) go(releases_main_after_a_syscall, NULL);
  acquire(&main_sema, 1);
  if (t) thread_join(t);
  end_runtime();
}

static void a_plain_main_is_not_told_too_soon(void) {
  static child done;
  for (int kind = 0; kind < 3; kind++) {
    child_run(&done, 30, plain_main_continues, &kind);
    if (done.status) CHILD_FAIL(&done, "kind %d", kind);
  }
}

/* ---- two mains at once ---- */

static void lets_the_other_go(void *arg) {
  (void)arg;
  acquire(&left_sema, 1);
}

static void *second_main(void *arg) {
  uint64_t seed = 7;
  for (int i = 0; i < 300; i++) {
    CHECK_OK(gmx_main(ends, NULL));
    if (i % 3 == 0) thread_nap((int64_t)(next_random(&seed) % (uint64_t)MS));
    release(&left_sema, 1); /* between two mains this thread is outside, and may do anything */
  }
  return arg;
}

static void one_main_waits_for_the_other(void *arg) {
  (void)arg;
  pthread_t t = thread_start(second_main, NULL);
  for (int i = 0; i < 300; i++) CHECK_OK(gmx_main(lets_the_other_go, NULL));
  thread_join(t);
  end_runtime();
}

static void a_main_that_is_about_to_return_is_no_deadlock(void) {
  RUN_CHILD(60, one_main_waits_for_the_other, NULL);
}

int main(void) {
  RUN(each_case);
  RUN(functions_are_named);
  RUN(a_plain_main_is_told);
  RUN(a_plain_main_is_not_told_too_soon);
  RUN(a_main_that_is_about_to_return_is_no_deadlock);
  RUN(a_host_may_continue);
  return 0;
}
