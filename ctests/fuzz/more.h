/* What no other file here has: recursive mutexes, classes of calls, waits on addresses, coroutines, cleanups, hooks of
 * tokens, shields, and the short calls that ask or only make something. */
#ifndef GOMAX_FUZZ_MORE_H
#define GOMAX_FUZZ_MORE_H

#include "cancels.h"
#include "descriptors.h"
#include "locks.h"

/* ---- one owner, and turns ---- */

static gmx_rmutex rmutexes[MUTEXES];
static atomic_ullong class_now;
static atomic_int in_class;

static void recursive(actor *a) {
  gmx_rmutex *m = &rmutexes[any_mutex(a)];
  switch (rnd(a, 5)) {
    case 0: MAY(a, gmx_rmutex_try_lock(m), GMX_OK, GMX_EBUSY, GMX_ENOMEM, DOWN(a)); break;
    case 1: WAITS_ON(a, gmx_rmutex_lock(m, wait_for(a)), GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a)); break;
    case 2:
      IS(a, gmx_rmutex_lock(NULL, 0), GMX_EINVAL);
      IS(a, gmx_rmutex_try_lock((gmx_rmutex *)((char *)m + 1)), GMX_EINVAL);
      IS(a, gmx_rmutex_unlock(NULL), GMX_EINVAL);
      if (gmx_rmutex_waiters(m) + gmx_mutex_waiters(&mutexes[any_mutex(a)]) + gmx_rwmutex_waiters(&rwmutexes[any_mutex(a)]) > 3 * MUTEXES * 8)
        LOST(a, "more waiters than actors");
      break;
    default: MAY(a, gmx_rmutex_unlock(m), GMX_OK, GMX_EPERM, GMX_ENOMEM, DOWN(a));
  }
}

static void in_its_turn(void *arg) {
  actor *a = arg;
  if (atomic_fetch_add(&in_class, 1) >= 2) LOST(a, "more calls of a class than its limit");
  thread_nap((int64_t)rnd(a, 20000));
  atomic_fetch_sub(&in_class, 1);
}

/* The class of all actors is made once and stays; each of the others is its maker's. */
static void classes(actor *a) {
  gmx_class c = (gmx_class)atomic_load(&class_now), made = 0;
  gmx_status s;
  switch (rnd(a, 5)) {
    case 0:
      s = gmx_class_new(1, one_in(a, 2) ? "fuzz" : NULL, &made);
      MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
      if (s != GMX_OK) break;
      do s = gmx_class_free(made);
      while (s == GMX_ESHUTDOWN || s == GMX_ENOMEM);
      IS(a, s, GMX_OK);
      break;
    case 1:
      IS(a, gmx_class_new(0, NULL, &made), GMX_EINVAL);
      IS(a, gmx_class_new(1, NULL, NULL), GMX_EINVAL);
      IS(a, gmx_blocking_in(c, NULL, a, 0), GMX_EINVAL);
      MAY(a, gmx_class_free(next_random(&a->seed)), GMX_ESTALE, GMX_ENOMEM, DOWN(a));
      break;
    case 2: WAITS(a, gmx_blocking_in(next_random(&a->seed), in_its_turn, a, wait_for(a)), GMX_ESTALE, GMX_ENOMEM, DOWN(a)); break;
    default: WAITS(a, gmx_blocking_in(c, in_its_turn, a, wait_for(a)), GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
  }
}

static uint32_t words[4];

static void addresses(actor *a) {
  uint32_t *w = &words[rnd(a, 4)], now = __atomic_load_n(w, __ATOMIC_RELAXED), other = now + 1;
  switch (rnd(a, 5)) {
    case 0:
      __atomic_fetch_add(w, 1, __ATOMIC_RELAXED);
      NEVER_WAITS(a, gmx_wake_address(w, one_in(a, 2) ? 1 : UINT32_MAX), GMX_OK);
      break;
    case 1: WAITS(a, gmx_wait_on_address(w, &other, 4, wait_for(a)), GMX_EAGAIN, GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a)); break;
    case 2:
      IS(a, gmx_wait_on_address(NULL, &now, 4, 0), GMX_EINVAL);
      IS(a, gmx_wait_on_address(w, NULL, 4, 0), GMX_EINVAL);
      IS(a, gmx_wait_on_address(w, &now, 3, 0), GMX_EINVAL);
      IS(a, gmx_wait_on_address((char *)w + 1, &now, 4, 0), GMX_EINVAL);
      break;
    default: WAITS(a, gmx_wait_on_address(w, &now, 4, wait_for(a)), GMX_OK, GMX_EAGAIN, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
  }
}

/* ---- coroutines ---- */

static void counts_up(void *arg) {
  int *n = arg;
  do ++*n;
  while (gmx_coro_switch(gmx_self()) == GMX_OK);
  *n = -*n;
}

/* No other actor knows this coroutine. */
static void my_own_coro(actor *a) {
  gmx_coro co = 0;
  int n = 0, times = 0;
  if (one_in(a, 8)) {
    IS(a, gmx_coro_new(NULL, &n, NULL, &co), GMX_EINVAL);
    IS(a, gmx_coro_new(counts_up, &n, NULL, NULL), GMX_EINVAL);
    WAITS_ON(a, gmx_coro_switch(next_random(&a->seed)), GMX_ESTALE, GMX_ENOMEM, DOWN(a));
    WAITS_ON(a, gmx_coro_free(next_random(&a->seed)), GMX_ESTALE, GMX_ENOMEM, DOWN(a));
  }
  if (!a->g || a->sched || may_wait(a) != GMX_OK || crowded()) return;
  gmx_status s = gmx_coro_new(counts_up, &n, NULL, &co);
  MAY(a, s, GMX_OK, GMX_ENOMEM);
  if (s != GMX_OK) return;
  for (uint64_t k = rnd(a, 5); k > 0; k--) {
    IS(a, gmx_coro_switch(co), GMX_OK);
    if (n != ++times) LOST(a, "%d switches, and %d steps", times, n);
  }
  IS(a, gmx_coro_free(co), GMX_OK);
  if (n != -times) LOST(a, "after %d steps it ends with %d", times, n);
  IS(a, gmx_coro_switch(co), GMX_ESTALE);
}

/* ---- a G's own, and many at once ---- */

static void adds_one(void *n) { ++*(int *)n; }

static void cleanups(actor *a) {
  gmx_cleanup one, two;
  int n = 0;
  IS(a, gmx_cleanup_push(NULL, adds_one, &n), GMX_EINVAL);
  IS(a, gmx_cleanup_push(&one, NULL, &n), GMX_EINVAL);
  IS(a, gmx_cleanup_pop(NULL, true), GMX_EINVAL);
  if (!a->g || a->sched) {
    MAY(a, gmx_cleanup_push(&one, adds_one, &n), GMX_ENOTG, GMX_ENOMEM, DOWN(a));
    return;
  }
  IS(a, gmx_cleanup_push(&one, adds_one, &n), GMX_OK);
  IS(a, gmx_cleanup_push(&two, adds_one, &n), GMX_OK);
  IS(a, gmx_cleanup_pop(&one, true), GMX_EPERM);
  IS(a, gmx_cleanup_pop(&two, false), GMX_OK);
  IS(a, gmx_cleanup_pop(&one, true), GMX_OK);
  if (n != 1) LOST(a, "a cleanup was called %d times", n);
}

static void in_range(void *arg, int64_t begin, int64_t end) {
  atomic_fetch_add((atomic_llong *)arg, end - begin);
}

static void ranges(actor *a) {
  atomic_llong all = 0;
  int64_t n = (int64_t)rnd(a, 300);
  IS(a, gmx_parallel_for(n, 0, NULL, &all), GMX_EINVAL);
  IS(a, gmx_parallel_for(-1, 0, in_range, &all), GMX_EINVAL);
  gmx_status s = gmx_parallel_for(n, (int64_t)rnd(a, 9), in_range, &all);
  WAITS(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
  if (s == GMX_OK ? all != n : all > n) LOST(a, "%lld of %lld numbers", (long long)all, (long long)n);
}

static atomic_llong copies_began, copies_ended;

static void has_copy(void *arg) {
  CHECK_EQ(*(uint64_t *)arg, UINT64_C(0x1234567890));
  atomic_fetch_add(&copies_ended, 1);
}
static void is_counted(void *arg) { atomic_fetch_add((atomic_llong *)arg, 1); }

static void spawns_more(actor *a) {
  uint64_t bytes = UINT64_C(0x1234567890);
  IS(a, gmx_spawn_copy(NULL, &bytes, sizeof bytes), GMX_EINVAL);
  IS(a, gmx_spawn_copy(has_copy, NULL, 1), GMX_EINVAL);
  IS(a, gmx_waitgroup_go(NULL, is_counted, a), GMX_EINVAL);
  if (crowded()) return;
  atomic_fetch_add(&copies_began, 1);
  gmx_status s = gmx_spawn_copy(has_copy, &bytes, sizeof bytes);
  MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
  if (s != GMX_OK) atomic_fetch_sub(&copies_began, 1);
  if (!a->g || a->sched || may_wait(a) != GMX_OK) return;
  gmx_waitgroup mine = GMX_WAITGROUP_INIT;
  atomic_llong ended = 0;
  long long n = 0;
  for (uint64_t k = rnd(a, 3); k > 0; k--) {
    s = gmx_waitgroup_go(&mine, is_counted, &ended);
    MAY(a, s, GMX_OK, GMX_ENOMEM);
    n += s == GMX_OK;
  }
  IS(a, gmx_waitgroup_wait(&mine), GMX_OK);
  if (ended != n) LOST(a, "%lld of %lld ended", (long long)ended, n);
}

/* ---- tokens ---- */

static atomic_llong hooks_made, hooks_stopped, hooks_ran;

static void hooked(void *arg) {
  CHECK(arg == &hooks_ran);
  atomic_fetch_add(&hooks_ran, 1);
}

static void hooks(actor *a) {
  gmx_cancel_hook hook = 0;
  gmx_cancel t = 0;
  gmx_chan *c = NULL;
  bool stopped = false;
  int64_t deadline = 0;
  IS(a, gmx_cancel_after(token(a), NULL, a, &hook), GMX_EINVAL);
  IS(a, gmx_cancel_chan(token(a), NULL), GMX_EINVAL);
  IS(a, gmx_cancel_deadline(token(a), NULL), GMX_EINVAL);
  IS(a, gmx_cancel_now_because(token(a), 0), GMX_EINVAL);
  MAY(a, gmx_cancel_deadline(token(a), &deadline), GMX_OK, GMX_ESTALE, GMX_ENOMEM, DOWN(a));
  MAY(a, gmx_cancel_chan(~token(a), &c), GMX_ESTALE, GMX_ENOMEM, DOWN(a));
  MAY(a, gmx_cancel_hook_stop(next_random(&a->seed), &stopped), GMX_ESTALE, GMX_ENOMEM, DOWN(a));
  if (!a->g || a->sched || crowded()) return; /* the runtime stays up */
  gmx_status s = gmx_cancel_new(0, GMX_FOREVER, &t);
  MAY(a, s, GMX_OK, GMX_ENOMEM);
  if (s != GMX_OK) return;
  atomic_fetch_add(&hooks_made, 1);
  s = gmx_cancel_after(t, hooked, &hooks_ran, &hook);
  MAY(a, s, GMX_OK, GMX_ENOMEM);
  if (s != GMX_OK) atomic_fetch_sub(&hooks_made, 1);
  MAY(a, gmx_cancel_chan(t, &c), GMX_OK, GMX_ENOMEM);
  if (c) IS(a, gmx_chan_try_recv(c, NULL), GMX_EAGAIN);
  if (one_in(a, 2)) {
    IS(a, gmx_cancel_now_because(t, -4321), GMX_OK);
    IS(a, reason_of(t), -4321);
    if (c) IS(a, gmx_chan_try_recv(c, NULL), GMX_ECLOSED);
  }
  if (s == GMX_OK) {
    IS(a, gmx_cancel_hook_stop(hook, &stopped), GMX_OK);
    atomic_fetch_add(&hooks_stopped, stopped);
    IS(a, gmx_cancel_hook_stop(hook, &stopped), GMX_ESTALE);
  }
  IS(a, gmx_cancel_free(t), GMX_OK);
  if (c) IS(a, gmx_chan_free(c), GMX_OK);
}

/* Within a shield a canceled token ends no wait. */
static void shields(actor *a) {
  if (!a->g || a->sched) {
    if (!may_use(a)) MAY(a, gmx_cancel_shield(), GMX_ENOTG, GMX_ENOMEM, DOWN(a));
    return;
  }
  IS(a, gmx_cancel_shield(), GMX_OK);
  gmx_status want = may_wait(a);
  if (want == GMX_OK) MAY(a, gmx_sleep(1), GMX_OK, GMX_ENOMEM);
  else IS(a, gmx_sleep(1), want);
  IS(a, gmx_cancel_unshield(), GMX_OK);
  IS(a, gmx_cancel_unshield(), GMX_EPERM);
  bool before = gmx_cancel_locks(false);
  if (gmx_cancel_locks(before)) LOST(a, "a setting of its own is another");
}

/* ---- short ones ---- */

static void asks(actor *a) {
  void *lo = NULL, *hi = NULL;
  gmx_chan *c = NULL;
  gmx_stop_opts o;
  gmx_scope_end end;
  int64_t at = gmx_deadline(wait_for(a));
  memset(&o, 0, sizeof o);
  memset(&end, 0, sizeof end);
  if (at < 0 || gmx_deadline(GMX_FOREVER) != GMX_FOREVER || gmx_time_left(GMX_FOREVER) != GMX_FOREVER || gmx_time_left(at) > 400000)
    LOST(a, "a deadline is %" PRId64, at);
  switch (rnd(a, 6)) {
    case 0:
      IS(a, gmx_stack_bounds(NULL, &hi), GMX_EINVAL);
      MAY(a, gmx_stack_bounds(&lo, &hi), GMX_OK, GMX_ENOTSUP);
      if (hi != NULL && ((char *)&lo < (char *)lo || (char *)&lo >= (char *)hi)) LOST(a, "it is not on its stack");
      break;
    case 1:
      if (gmx_preempt_word() == NULL) LOST(a, "no word");
      MAY(a, gmx_release_memory(), GMX_OK, GMX_ENOMEM, DOWN(a));
      break;
    case 2:
      if (__atomic_load_n(&gmx_poll_word, __ATOMIC_RELAXED)) gmx_poll_slow(); /* a plain load in code with polls */
      gmx_poll_slow_tied();
      break;
    case 3:
      IS(a, gmx_after(1, NULL), GMX_EINVAL);
      IS(a, gmx_chan_new_refs(1, 1, 0, &c), GMX_EINVAL);
      if (gmx_chan_new_refs(8, 1, 2, &c) != GMX_OK) break;
      IS(a, gmx_chan_free(c), GMX_OK);
      IS(a, gmx_chan_free(c), GMX_OK);
      break;
    case 4: {
      gmx_status s = gmx_after(moment(a), &c);
      MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
      if (s != GMX_OK) break;
      do s = gmx_chan_free(c);
      while (s == GMX_ENOMEM || s == GMX_ESHUTDOWN);
      IS(a, s, GMX_OK);
      break;
    }
    default:
      o.struct_size = sizeof o;
      o.flags = 1u << 20;
      IS(a, gmx_stop_the_world_with(&o), GMX_EINVAL);
      IS(a, gmx_scope_leave_why(next_random(&a->seed), 0, NULL), GMX_EINVAL);
      end.struct_size = sizeof end;
      WAITS_ON(a, gmx_scope_leave_why(next_random(&a->seed), 0, &end), GMX_ESTALE, GMX_ENOMEM, DOWN(a));
      if (gmx_cond_waiters(&brackets[0].cond) > 1000) LOST(a, "more waiters than actors");
      gmx_barrier none = GMX_BARRIER_INIT(2);
      if (gmx_barrier_waiters(&none) != 0) LOST(a, "a barrier that no actor knows has waiters");
  }
}

static void more(actor *a) {
  switch (rnd(a, 12)) {
    case 0:
    case 1: recursive(a); break;
    case 2: classes(a); break;
    case 3: addresses(a); break;
    case 4: my_own_coro(a); break;
    case 5: cleanups(a); break;
    case 6: ranges(a); break;
    case 7: spawns_more(a); break;
    case 8: hooks(a); break;
    case 9: shields(a); break;
    default: asks(a);
  }
}

/* ---- of a program ---- */

static void more_begin(void) {
  gmx_class c = 0;
  CHECK_OK(gmx_class_new(2, "of all actors", &c));
  atomic_store(&class_now, c);
}

/* When no other actor is left. */
static void more_end(actor *a) {
  if (copies_began != copies_ended) LOST(a, "%lld began with a copy, and %lld ended", (long long)copies_began, (long long)copies_ended);
  if (hooks_ran > hooks_made - hooks_stopped) LOST(a, "a hook ran that was stopped");
  IS(a, gmx_class_free((gmx_class)atomic_load(&class_now)), GMX_OK);
}

#endif /* GOMAX_FUZZ_MORE_H */
