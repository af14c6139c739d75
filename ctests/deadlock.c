/* gmx_main returns GMX_EDEADLK, and the report says who waits where, when nothing can ever run again; and only then. */
/* timeout: 120 */
#include "child.h"
#include "gs.h"

static uint32_t left_sema, right_sema, main_sema;
static gmx_mutex one, two;
static gmx_waitgroup wg;
static atomic_int reached;

/* ---- those that are stuck ---- */

static void waits_on(void *arg) {
  atomic_fetch_add(&reached, 1);
  CHECK_OK(gmx_sema_acquire(arg));
  FAIL("woken by nobody");
}

static void two_wait_for_ever(void *arg) {
  (void)arg;
  go_with("left hand", 0, waits_on, &left_sema);
  go_with("right hand", 0, waits_on, &right_sema);
  CHECK_OK(gmx_waitgroup_add(&wg, 2));
  CHECK_OK(gmx_waitgroup_wait(&wg));
  FAIL("woken by nobody");
}

static void main_waits(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sema_acquire(&main_sema));
  FAIL("woken by nobody");
}

static void main_parks(void *arg) {
  (void)arg;
  CHECK_OK(gmx_park(NULL, NULL, "for nobody at all"));
  FAIL("woken by nobody");
}

static void main_joins(void *arg) {
  (void)arg;
  join(go_with("stuck child", GMX_SPAWN_JOINABLE, waits_on, &left_sema));
  FAIL("woken by nobody");
}

static void locks_two_then_one(void *arg) {
  (void)arg;
  CHECK_OK(gmx_mutex_lock(&two));
  atomic_store(&reached, 1);
  CHECK_OK(gmx_mutex_lock(&one));
  FAIL("got a mutex that is held for ever");
}

static void mutexes_cross(void *arg) {
  (void)arg;
  CHECK_OK(gmx_mutex_lock(&one));
  go_with("other order", 0, locks_two_then_one, NULL);
  spin_until(atomic_load(&reached));
  CHECK_OK(gmx_mutex_lock(&two));
  FAIL("got a mutex that is held for ever");
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

static void locked_main_waits(void *arg) {
  CHECK_OK(gmx_lock_os_thread());
  main_waits(arg);
}

static void ends(void *arg) { (void)arg; }

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

/* Each time one moment short of a deadlock: the one that is about to wake the other is the only one awake. */
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
    STUCK(two_wait_for_ever, "deadlock", "left hand", "right hand", "semacquire", "wait group"),
    STUCK(main_waits, "deadlock", "semacquire"),
    STUCK(main_parks, "deadlock", "for nobody at all"),
    STUCK(main_joins, "deadlock", "stuck child", "semacquire", "join"),
    STUCK(mutexes_cross, "deadlock", "other order", "mutex"),
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

/* The host's own report function, and a host that goes on: it knows better, and lets those who waited go. */
static void goes_on(void *arg) {
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

static void a_host_may_go_on(void) {
  static child done;
  child_run(&done, 60, goes_on, NULL);
  CHILD_OK(&done);
  if (strstr(done.text, "deadlock")) CHILD_FAIL(&done, "the host's report function was passed by");
}

int main(void) {
  RUN(each_case);
  RUN(a_host_may_go_on);
  return 0;
}
