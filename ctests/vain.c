/* timeout: 120 */
/* Calls that fail or change nothing, in loops that never wait. With one P and slices that never end, only these calls
 * can let other Gs run, and answer a stop of the world. */
#include "gs.h"

#include <stdatomic.h>

/* The objects at which the calls fail or change nothing. */
static gmx_mutex held, own;
static gmx_cond cond;
static gmx_rwmutex written;
static gmx_waitgroup open_group;
static gmx_once running;
static gmx_chan *none, *full, *closed;
static gmx_scope scope;
static gmx_g holder_g;
static uint32_t zero, begin, let_go;
static uint64_t value;
static gmx_cancel canceled;

/* ---- the calls ---- */

static gmx_status try_lock(void) { return gmx_mutex_try_lock(&held); }
static gmx_status lock(void) { return gmx_mutex_lock(&held); }
static gmx_status lock_for_no_time(void) { return gmx_mutex_lock_timeout(&held, 0); }
static gmx_status try_wlock(void) { return gmx_rwmutex_try_lock(&written); }
static gmx_status try_rlock(void) { return gmx_rwmutex_try_rlock(&written); }
static gmx_status wlock(void) { return gmx_rwmutex_lock(&written); }
static gmx_status wlock_for_no_time(void) { return gmx_rwmutex_lock_timeout(&written, 0); }
static gmx_status rlock(void) { return gmx_rwmutex_rlock(&written); }
static gmx_status rlock_for_no_time(void) { return gmx_rwmutex_rlock_timeout(&written, 0); }
static gmx_status try_sema(void) { return gmx_sema_try_acquire(&zero); }
static gmx_status sema(void) { return gmx_sema_acquire(&zero); }
static gmx_status sema_for_no_time(void) { return gmx_sema_acquire_timeout(&zero, 0); }
static gmx_status group(void) { return gmx_waitgroup_wait(&open_group); }
static gmx_status group_for_no_time(void) { return gmx_waitgroup_wait_timeout(&open_group, 0); }
static gmx_barrier meeting = GMX_BARRIER_INIT(2);
static gmx_status barrier(void) { return gmx_barrier_wait(&meeting, NULL); }
static gmx_status barrier_for_no_time(void) { return gmx_barrier_wait_timeout(&meeting, 0, NULL); }
static gmx_status once(void) { return gmx_once_do(&running, nothing, NULL); }
static gmx_status once_for_no_time(void) { return gmx_once_do_timeout(&running, nothing, NULL, 0); }
static gmx_status join_it(void) { return gmx_join(holder_g, GMX_FOREVER); }
static gmx_status join_for_no_time(void) { return gmx_join(holder_g, 0); }
static gmx_status leave_for_no_time(void) { return gmx_scope_leave(scope, 0, NULL); }
static gmx_status try_recv(void) { return gmx_chan_try_recv(none, &value); }
static gmx_status recv(void) { return gmx_chan_recv(none, &value); }
static gmx_status recv_for_no_time(void) { return gmx_chan_recv_timeout(none, &value, 0); }
static gmx_status try_send(void) { return gmx_chan_try_send(full, &value); }
static gmx_status send_it(void) { return gmx_chan_send(full, &value); }
static gmx_status send_for_no_time(void) { return gmx_chan_send_timeout(full, &value, 0); }
static gmx_status recv_closed(void) { return gmx_chan_recv(closed, &value); }
static gmx_status try_recv_closed(void) { return gmx_chan_try_recv(closed, &value); }
static gmx_status send_closed(void) { return gmx_chan_send(closed, &value); }
static gmx_status try_null(void) { return gmx_chan_try_recv(NULL, &value); }
static gmx_status null_for_no_time(void) { return gmx_chan_send_timeout(NULL, &value, 0); }
static gmx_status select_of(gmx_chan *from, gmx_chan *to, int64_t timeout) {
  gmx_select_case cases[2];
  memset(cases, 0, sizeof cases);
  cases[0].chan = from;
  cases[0].op = GMX_CASE_RECV;
  cases[1].chan = to;
  cases[1].elem = &value;
  cases[1].op = GMX_CASE_SEND;
  return gmx_select(cases, 2, timeout, NULL);
}
static gmx_status select_one(void) { return select_of(none, full, GMX_FOREVER); }
static gmx_status select_for_no_time(void) { return select_of(none, full, 0); }
static gmx_status select_closed(void) { return select_of(closed, full, GMX_FOREVER); }
static gmx_status select_none(void) { return gmx_select(NULL, 0, 0, NULL); }
static gmx_status sleeps(void) { return gmx_sleep(3600 * SECOND); }
static gmx_status cond_wait(void) { return gmx_cond_wait(&cond, &own); }
static gmx_status cond_for_no_time(void) { return gmx_cond_wait_timeout(&cond, &own, 0); }
static bool refuses(void *arg, gmx_g g) { return arg == NULL && g == 0; }
static gmx_status park_refused(void) { return gmx_park(refuses, NULL, NULL); }
static bool readies(void *arg, gmx_g g) {
  (void)arg;
  CHECK_OK(gmx_ready(g));
  return true;
}
static gmx_status park_ready(void) { return gmx_park(readies, NULL, NULL); }

/* The calls that a canceled token ends come first. */
static const struct call {
  const char *name;
  gmx_status (*f)(void);
  gmx_status status;
} calls[] = {
#define CALL(f, status) {#f, f, status}
    CALL(lock, GMX_ECANCELED),
    CALL(wlock, GMX_ECANCELED),
    CALL(rlock, GMX_ECANCELED),
    CALL(sema, GMX_ECANCELED),
    CALL(group, GMX_ECANCELED),
    CALL(barrier, GMX_ECANCELED),
    CALL(once, GMX_ECANCELED),
    CALL(join_it, GMX_ECANCELED),
    CALL(recv, GMX_ECANCELED),
    CALL(send_it, GMX_ECANCELED),
    CALL(select_one, GMX_ECANCELED),
    CALL(sleeps, GMX_ECANCELED),
    CALL(cond_wait, GMX_ECANCELED),
    CALL(cond_for_no_time, GMX_ETIMEDOUT),
    CALL(try_lock, GMX_EBUSY),
    CALL(lock_for_no_time, GMX_ETIMEDOUT),
    CALL(try_wlock, GMX_EBUSY),
    CALL(try_rlock, GMX_EBUSY),
    CALL(wlock_for_no_time, GMX_ETIMEDOUT),
    CALL(rlock_for_no_time, GMX_ETIMEDOUT),
    CALL(try_sema, GMX_EAGAIN),
    CALL(sema_for_no_time, GMX_ETIMEDOUT),
    CALL(group_for_no_time, GMX_ETIMEDOUT),
    CALL(barrier_for_no_time, GMX_ETIMEDOUT),
    CALL(once_for_no_time, GMX_ETIMEDOUT),
    CALL(join_for_no_time, GMX_ETIMEDOUT),
    CALL(leave_for_no_time, GMX_ETIMEDOUT),
    CALL(try_recv, GMX_EAGAIN),
    CALL(recv_for_no_time, GMX_ETIMEDOUT),
    CALL(try_send, GMX_EAGAIN),
    CALL(send_for_no_time, GMX_ETIMEDOUT),
    CALL(recv_closed, GMX_ECLOSED),
    CALL(try_recv_closed, GMX_ECLOSED),
    CALL(send_closed, GMX_ECLOSED),
    CALL(try_null, GMX_EAGAIN),
    CALL(null_for_no_time, GMX_ETIMEDOUT),
    CALL(select_for_no_time, GMX_ETIMEDOUT),
    CALL(select_closed, GMX_ECLOSED),
    CALL(select_none, GMX_ETIMEDOUT),
    CALL(park_refused, GMX_OK),
    CALL(park_ready, GMX_OK),
};
enum { CALLS = sizeof calls / sizeof *calls, MOST = 100000 };

/* (Waits for locks and for the ends of goroutines end only if the program has asked for that.) */
static void use_token(const struct call *c, gmx_cancel token) {
  if (c->status != GMX_ECANCELED) return;
  CHECK_OK(gmx_cancel_use(token, NULL));
  gmx_cancel_locks(token != 0);
}
static int needs_own(const struct call *c) { return c->f == cond_wait || c->f == cond_for_no_time; }

/* ---- what they come to nothing at ---- */

static void runs_long(void *arg) {
  (void)arg;
  release(&begin, 1);
  acquire(&let_go, 1);
}
static void holder(void *arg) {
  (void)arg;
  CHECK_OK(gmx_mutex_lock(&held));
  CHECK_OK(gmx_rwmutex_lock(&written));
  CHECK_OK(gmx_once_do(&running, runs_long, NULL));
  CHECK_OK(gmx_rwmutex_unlock(&written));
  CHECK_OK(gmx_mutex_unlock(&held));
}
static gmx_status child(void *arg) {
  (void)arg;
  return gmx_sema_acquire(&let_go);
}

static void set_up(void) {
  memset(&running, 0, sizeof running);
  CHECK_OK(gmx_waitgroup_add(&open_group, 1));
  CHECK_OK(gmx_chan_new(8, 0, &none));
  CHECK_OK(gmx_chan_new(8, 1, &full));
  CHECK_OK(gmx_chan_send(full, &value));
  CHECK_OK(gmx_chan_new(8, 1, &closed));
  CHECK_OK(gmx_chan_close(closed));
  CHECK_OK(gmx_cancel_new(0, 0, &canceled));
  CHECK_OK(gmx_scope_new(GMX_FOREVER, &scope));
  CHECK_OK(gmx_scope_spawn(scope, child, NULL));
  holder_g = go_with("holder", GMX_SPAWN_JOINABLE, holder, NULL);
  acquire(&begin, 1);
}

static void tear_down(void) {
  release(&let_go, 2);
  join(holder_g);
  CHECK_OK(gmx_scope_leave(scope, GMX_FOREVER, NULL));
  CHECK_OK(gmx_cancel_free(canceled));
  CHECK_OK(gmx_chan_free(none));
  CHECK_OK(gmx_chan_free(full));
  CHECK_OK(gmx_chan_free(closed));
  CHECK_OK(gmx_waitgroup_done(&open_group));
}

/* ---- loops ---- */

static atomic_int over, turns;

static void ends_it(void *arg) {
  (void)arg;
  atomic_store(&over, 1);
}

static void turn(const struct call *c) {
  CHECK_STATUS(c->f(), c->status);
  atomic_fetch_add(&turns, 1);
}

static void loop(const struct call *c, int spawns) {
  atomic_store(&over, 0);
  use_token(c, canceled);
  if (needs_own(c)) CHECK_OK(gmx_mutex_lock(&own));
  if (spawns) go(ends_it, NULL);
  for (int n = 0; !atomic_load(&over); n++) {
    turn(c);
    if (spawns && n > MOST) FAIL("%s: no other goroutine runs", c->name);
  }
  if (needs_own(c)) CHECK_OK(gmx_mutex_unlock(&own));
  use_token(c, 0);
}

static void others_run(void) {
  set_up();
  for (int i = 0; i < CALLS; i++) loop(&calls[i], 1);
  tear_down();
}

/* A loop that only ends when another G has locked the mutex that the loop uses. */
static void sets_it(void *arg) {
  (void)arg;
  CHECK_OK(gmx_mutex_lock(&own));
  atomic_store(&over, 1);
  CHECK_OK(gmx_cond_broadcast(&cond));
  CHECK_OK(gmx_mutex_unlock(&own));
}
static void the_mutex_of_a_refused_wait_is_free(void) {
  for (int late = 0; late < 2; late++) {
    for (int i = 0; i < 100; i++) {
      gmx_cancel c;
      atomic_store(&over, 0);
      CHECK_OK(gmx_cancel_new(0, 0, &c));
      CHECK_OK(gmx_cancel_use(c, NULL));
      CHECK_OK(gmx_cancel_free(c));
      CHECK_OK(gmx_mutex_lock(&own));
      go(sets_it, NULL);
      for (int n = 0; !atomic_load(&over); n++) {
        CHECK_STATUS(late ? gmx_cond_wait_timeout(&cond, &own, 0) : gmx_cond_wait(&cond, &own), GMX_ECANCELED);
        if (n > MOST) FAIL("the mutex is never free");
      }
      CHECK_OK(gmx_mutex_unlock(&own));
      CHECK_OK(gmx_cancel_use(0, NULL));
    }
  }
}

/* Each loop by itself, and a thread that stops the world. */
static const struct call *now_loops;
static void loops_alone(void *arg) {
  (void)arg;
  loop(now_loops, 0);
  release(&begin, 1);
}
static void start(void *arg) {
  (void)arg;
  set_up();
}
static void finish(void *arg) {
  (void)arg;
  tear_down();
}
static void stops_get_through(void) {
  CHECK_OK(gmx_main(start, NULL));
  for (int i = 0; i < CALLS; i++) {
    now_loops = &calls[i];
    atomic_store(&turns, 0);
    go(loops_alone, NULL);
    spin_until(atomic_load(&turns) > 0);
    gmx_status s = gmx_stop_the_world_timeout("vain", 10 * SECOND);
    if (s != GMX_OK) FAIL("%s: a stop waits in vain", calls[i].name);
    int seen = atomic_load(&turns);
    CHECK_OK(gmx_start_the_world());
    spin_until(atomic_load(&turns) > seen);
    atomic_store(&over, 1);
    acquire(&begin, 1);
  }
  CHECK_OK(gmx_main(finish, NULL));
}

/* ---- what is asked of a P is served by the next call ---- */

static atomic_int asked_for, stands_by;
static void counts_ps(void *arg) {
  (void)arg;
  atomic_fetch_add(&asked_for, 1);
}
/* Its own P comes first, and the others have been asked by then. */
static void asks(void *arg) {
  (void)arg;
  spin_until(atomic_load(&stands_by));
  CHECK_OK(gmx_for_each_p(counts_ps, NULL));
  release(&begin, 1);
}
/* Without a call of the library: spin_until yields. */
static int comes_to(int n) {
  for (int64_t end = check_now() + 20 * SECOND; atomic_load(&asked_for) < n;) {
    if (check_now() > end) return 0;
    sched_yield();
  }
  return 1;
}
static void the_first_call_serves(void) {
  set_up();
  for (int i = 0; i < CALLS; i++) {
    const struct call *c = &calls[i];
    use_token(c, canceled);
    if (needs_own(c)) CHECK_OK(gmx_mutex_lock(&own));
    atomic_store(&asked_for, 0);
    atomic_store(&stands_by, 0);
    go(asks, NULL);
    atomic_store(&stands_by, 1);
    CHECK(comes_to(1));
    CHECK_STATUS(c->f(), c->status);
    /* The call may have moved this G to the other P while its old one answers. */
    if (!comes_to(2)) FAIL("%s: its P was asked, and does not answer", c->name);
    if (needs_own(c)) CHECK_OK(gmx_mutex_unlock(&own));
    use_token(c, 0);
    acquire(&begin, 1);
  }
  tear_down();
}

/* ---- uncontended lock and unlock alone: other Gs run when the slice is over, and a stop gets through ---- */

static gmx_mutex lone, outer;
static gmx_rwmutex lone_rw;
static void locks(void *arg) {
  int how = *(int *)arg;
  CHECK_OK(gmx_mutex_lock(&outer)); /* held throughout */
  for (int n = 0; !atomic_load(&over); n++) {
    if (how) {
      CHECK_OK(gmx_rwmutex_lock(&lone_rw));
      CHECK_OK(gmx_rwmutex_unlock(&lone_rw));
    } else {
      CHECK_OK(gmx_mutex_lock(&lone));
      CHECK_OK(gmx_mutex_unlock(&lone));
    }
    atomic_fetch_add(&turns, 1);
  }
  CHECK_OK(gmx_mutex_unlock(&outer));
  release(&begin, 1);
}
static void lock_and_unlock_alone(void) {
  for (int how = 0; how < 2; how++) {
    for (int stop = 0; stop < 2; stop++) {
      atomic_store(&over, 0);
      atomic_store(&turns, 0);
      go(locks, &how);
      spin_until(atomic_load(&turns) > 0);
      if (stop) {
        CHECK_OK(gmx_stop_the_world_timeout("locks", 20 * SECOND));
        CHECK_OK(gmx_start_the_world());
        atomic_store(&over, 1);
      } else {
        go(ends_it, NULL);
      }
      CHECK_OK(gmx_sema_acquire_timeout(&begin, 40 * SECOND));
    }
  }
}

/* ---- contexts where no other G may run ---- */

static int tries(void) {
  for (int i = 0; i < 1000; i++) {
    CHECK_STATUS(try_lock(), GMX_EBUSY);
    CHECK_STATUS(try_wlock(), GMX_EBUSY);
    CHECK_STATUS(try_rlock(), GMX_EBUSY);
    CHECK_STATUS(try_sema(), GMX_EAGAIN);
    CHECK_STATUS(try_recv(), GMX_EAGAIN);
    CHECK_STATUS(try_send(), GMX_EAGAIN);
    CHECK_STATUS(try_recv_closed(), GMX_ECLOSED);
    CHECK_STATUS(select_for_no_time(), GMX_ETIMEDOUT);
  }
  return 1;
}
static void tries_for_p(void *arg) { *(int *)arg = tries(); }
static bool tries_in_commit(void *arg, gmx_g g) {
  (void)g;
  *(int *)arg = tries();
  return false;
}

/* With one P no other G has run meanwhile. */
static void no_g_runs_where_none_may(void) {
  int done = 0;
  set_up();
  atomic_store(&over, 0);
  go(ends_it, NULL);
  CHECK_EQ(gmx_pin(), 0);
  tries();
  CHECK_OK(gmx_unpin());
  CHECK_EQ(atomic_load(&over), 0);
  CHECK_OK(gmx_stop_the_world("vain"));
  tries();
  CHECK_EQ(atomic_load(&over), 0);
  CHECK_OK(gmx_start_the_world());
  CHECK_OK(gmx_enter_syscall());
  tries();
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_for_each_p(tries_for_p, &done));
  CHECK_EQ(done, 1);
  done = 0;
  CHECK_OK(gmx_park(tries_in_commit, &done, NULL));
  CHECK_EQ(done, 1);
  spin_until(atomic_load(&over));
  tear_down();
}

static void *tries_as_thread(void *arg) {
  (void)arg;
  tries();
  return NULL;
}
static void threads_try(void) {
  CHECK_OK(gmx_main(start, NULL));
  thread_join(thread_start(tries_as_thread, NULL));
  CHECK_OK(gmx_attach_thread());
  tries();
  CHECK_OK(gmx_detach_thread());
  CHECK_OK(gmx_main(finish, NULL));
}

int main(void) {
  start_runtime(1, NO_SLICES);
  RUN_G(others_run);
  RUN_G(the_mutex_of_a_refused_wait_is_free);
  RUN_G(no_g_runs_where_none_may);
  RUN(stops_get_through);
  RUN(threads_try);
  end_runtime();
  start_runtime(1, MS);
  RUN(lock_and_unlock_alone);
  end_runtime();
  start_runtime(2, NO_SLICES);
  RUN_G(the_first_call_serves);
  end_runtime();
  return 0;
}
