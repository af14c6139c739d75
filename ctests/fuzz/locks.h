/* Semaphores, locks, condition variables, wait groups, onces.
 *
 * Some objects are used at random and left in any state. Others are used correctly, and their oracles hold: a mutex has
 * one holder, a writer is alone. Since the holder of a random object may be anywhere, an actor waits for such an object
 * with a limit, or where help() ends the wait. */
#ifndef GOMAX_FUZZ_LOCKS_H
#define GOMAX_FUZZ_LOCKS_H

#include "contexts.h"

#define SEMAS 6
#define MUTEXES 64
#define GROUPS 3
#define BRACKETS 3
#define ONCES 4096

static uint32_t semas[SEMAS + 1];
static gmx_mutex mutexes[MUTEXES];
static gmx_rwmutex rwmutexes[MUTEXES];
static atomic_uint mutex_at; /* the mutexes before this one are left to their holders */
static gmx_waitgroup groups[GROUPS];

static uint32_t *sema(actor *a) { return &semas[rnd(a, SEMAS)]; }
static size_t any_mutex(actor *a) { return (atomic_load(&mutex_at) + rnd(a, 3)) % MUTEXES; }
static gmx_waitgroup *group(actor *a) { return &groups[rnd(a, GROUPS)]; }

static void semaphores(actor *a) {
  uint32_t *s = sema(a);
  switch (rnd(a, 7)) {
    case 0: MAY(a, gmx_sema_try_acquire(s), GMX_OK, GMX_EAGAIN, DOWN(a)); break;
    case 1: WAITS(a, gmx_sema_acquire(s), GMX_OK, DOWN(a)); break;
    case 2:
    case 3: WAITS(a, gmx_sema_acquire_timeout(s, wait_for(a)), GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a)); break;
    case 4: {
      uint32_t full = UINT32_MAX;
      MAY(a, gmx_sema_release(&full), GMX_EBUSY, DOWN(a));
      if (gmx_sema_waiters(&full) != 0 || gmx_sema_waiters(s) > alive()) LOST(a, "more waiters than actors");
      MAY(a, gmx_sema_release(NULL), GMX_EINVAL);
      MAY(a, gmx_sema_acquire((uint32_t *)((char *)semas + 1)), GMX_EINVAL);
      MAY(a, gmx_sema_try_acquire(NULL), GMX_EINVAL);
      MAY(a, gmx_sema_acquire_timeout(NULL, GMX_FOREVER), GMX_EINVAL);
      break;
    }
    case 5: MAY(a, gmx_sema_release_handoff(s), GMX_OK, GMX_ENOMEM, DOWN(a)); break;
    default: MAY(a, gmx_sema_release(s), GMX_OK, GMX_ENOMEM, DOWN(a));
  }
}

static void locks(actor *a) {
  gmx_mutex *m = &mutexes[any_mutex(a)];
  switch (rnd(a, 6)) {
    case 0: MAY(a, gmx_mutex_try_lock(m), GMX_OK, GMX_EBUSY, DOWN(a)); break;
    case 1:
    case 2: WAITS(a, gmx_mutex_lock_timeout(m, wait_for(a)), GMX_OK, GMX_ETIMEDOUT, GMX_EDEADLK, GMX_ENOMEM, DOWN(a)); break;
    case 3:
      IS(a, gmx_mutex_lock(NULL), GMX_EINVAL);
      IS(a, gmx_mutex_unlock((gmx_mutex *)((char *)m + 1)), GMX_EINVAL);
      break;
    default: MAY(a, gmx_mutex_unlock(m), GMX_OK, GMX_EPERM, DOWN(a));
  }
}

static void wait_groups(actor *a) {
  gmx_waitgroup *w = group(a);
  switch (rnd(a, 6)) {
    case 0: MAY(a, gmx_waitgroup_add(w, (int32_t)rnd(a, 9) - 4), GMX_OK, GMX_EINVAL, GMX_ENOMEM, DOWN(a)); break;
    case 1: MAY(a, gmx_waitgroup_done(w), GMX_OK, GMX_EINVAL, GMX_ENOMEM, DOWN(a)); break;
    case 2: WAITS(a, gmx_waitgroup_wait(w), GMX_OK, DOWN(a)); break;
    case 3:
      MAY(a, gmx_waitgroup_add(w, INT_MIN), GMX_EINVAL, DOWN(a));
      IS(a, gmx_waitgroup_wait(NULL), GMX_EINVAL);
      IS(a, gmx_waitgroup_add(NULL, 1), GMX_EINVAL);
      break;
    default: WAITS(a, gmx_waitgroup_wait_timeout(w, wait_for(a)), GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
  }
}

static void rw_locks(actor *a) {
  gmx_rwmutex *m = &rwmutexes[any_mutex(a)];
  switch (rnd(a, 9)) {
    case 0: MAY(a, gmx_rwmutex_try_lock(m), GMX_OK, GMX_EBUSY, DOWN(a)); break;
    case 1: MAY(a, gmx_rwmutex_try_rlock(m), GMX_OK, GMX_EBUSY, DOWN(a)); break;
    case 2: WAITS(a, gmx_rwmutex_lock_timeout(m, wait_for(a)), GMX_OK, GMX_ETIMEDOUT, GMX_EDEADLK, GMX_ENOMEM, DOWN(a)); break;
    case 3: WAITS(a, gmx_rwmutex_rlock_timeout(m, wait_for(a)), GMX_OK, GMX_ETIMEDOUT, GMX_EDEADLK, GMX_ENOMEM, DOWN(a)); break;
    case 4: {
      gmx_rwmutex *odd = (gmx_rwmutex *)((char *)m + 1);
      IS(a, gmx_rwmutex_lock(NULL), GMX_EINVAL);
      IS(a, gmx_rwmutex_rlock(odd), GMX_EINVAL);
      IS(a, gmx_rwmutex_unlock(odd), GMX_EINVAL);
      IS(a, gmx_rwmutex_runlock(NULL), GMX_EINVAL);
      break;
    }
    case 5:
    case 6: MAY(a, gmx_rwmutex_runlock(m), GMX_OK, GMX_EPERM, DOWN(a)); break;
    default: MAY(a, gmx_rwmutex_unlock(m), GMX_OK, GMX_EPERM, DOWN(a));
  }
}

/* Used at random: the last arrival ends a round. */
static gmx_barrier meetings[GROUPS] = {GMX_BARRIER_INIT(1), GMX_BARRIER_INIT(2), GMX_BARRIER_INIT(3)};

static void barriers(actor *a) {
  gmx_barrier *b = &meetings[rnd(a, GROUPS)], none = GMX_BARRIER_INIT(0);
  bool serial;
  switch (rnd(a, 6)) {
    case 0: WAITS(a, gmx_barrier_wait_timeout(b, moment(a) - 100000, &serial), GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a)); break;
    case 1:
      IS(a, gmx_barrier_wait(NULL, &serial), GMX_EINVAL);
      IS(a, gmx_barrier_wait((gmx_barrier *)((char *)b + 1), &serial), GMX_EINVAL);
      WAITS_ON(a, gmx_barrier_wait(&none, NULL), GMX_EINVAL, DOWN(a));
      break;
    default: WAITS(a, gmx_barrier_wait_timeout(b, wait_for(a), &serial), GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
  }
}

/* ---- used correctly ---- */

/* Locks, and the numbers of threads inside: holders of the mutex, readers, writers. */
typedef struct bracket {
  gmx_mutex mutex;
  gmx_rwmutex rw;
  gmx_cond cond;
  atomic_int in_mutex, readers, writers;
  long plain, counted; /* written with the mutex only; in a world where both grow they are the same */
} bracket;

static bracket brackets[BRACKETS];

/* Calls that a holder of the lock may make without losing it. */
static void inside_a_lock(actor *a) {
  for (uint64_t n = rnd(a, 20); n > 0; n--) gmx_safepoint();
  if (one_in(a, 3)) WAITS_ON(a, gmx_yield(), GMX_OK, DOWN(a));
}

static void enters(actor *a, bracket *b) {
  if (atomic_fetch_add(&b->in_mutex, 1) != 0) LOST(a, "two have a mutex");
  if (b->plain != b->counted) LOST(a, "a mutex that guards nothing");
  b->plain++;
}

static void leaves(actor *a, bracket *b) {
  b->counted++;
  if (atomic_fetch_sub(&b->in_mutex, 1) != 1) LOST(a, "the mutex is not locked");
}

static void condition(actor *a, bracket *b) {
  gmx_status s;
  switch (rnd(a, 5)) {
    case 0: MAY(a, gmx_cond_signal(&b->cond), GMX_OK, DOWN(a)); break;
    case 1: MAY(a, gmx_cond_broadcast(&b->cond), GMX_OK, DOWN(a)); break;
    case 2: {
      gmx_cond copy = b->cond;
      if (one_in(a, 2)) MAY(a, gmx_cond_signal(&copy), GMX_OK, GMX_EINVAL, DOWN(a));
      IS(a, gmx_cond_signal(NULL), GMX_EINVAL);
      IS(a, gmx_cond_wait((gmx_cond *)((char *)&b->cond + 1), &b->mutex), GMX_EINVAL);
      IS(a, gmx_cond_wait(&b->cond, NULL), GMX_EINVAL);
      break;
    }
    default:
      leaves(a, b);
      s = one_in(a, 4) ? gmx_cond_wait(&b->cond, &b->mutex) : gmx_cond_wait_timeout(&b->cond, &b->mutex, wait_for(a));
      WAITS(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
      enters(a, b);
  }
}

static void with_mutex(actor *a, bracket *b) {
  gmx_status s;
  if (one_in(a, 2)) {
    s = gmx_mutex_try_lock(&b->mutex);
    MAY(a, s, GMX_OK, GMX_EBUSY, DOWN(a));
  } else {
    s = gmx_mutex_lock_timeout(&b->mutex, one_in(a, 3) ? -1 : wait_for(a));
    WAITS(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
  }
  if (s != GMX_OK) {
    if (one_in(a, 4)) WAITS(a, gmx_cond_wait(&b->cond, &b->mutex), GMX_EPERM, DOWN(a));
    return;
  }
  enters(a, b);
  inside_a_lock(a);
  if (one_in(a, 2)) condition(a, b);
  IS(a, gmx_mutex_try_lock(&b->mutex), GMX_EBUSY);
  leaves(a, b);
  IS(a, gmx_mutex_unlock(&b->mutex), GMX_OK);
}

static void as_writer(actor *a, bracket *b) {
  gmx_status s;
  if (one_in(a, 2)) {
    s = gmx_rwmutex_try_lock(&b->rw);
    MAY(a, s, GMX_OK, GMX_EBUSY, DOWN(a));
  } else {
    s = gmx_rwmutex_lock_timeout(&b->rw, one_in(a, 3) ? -1 : wait_for(a));
    WAITS(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
  }
  if (s != GMX_OK) return;
  if (atomic_fetch_add(&b->writers, 1) != 0 || atomic_load(&b->readers) != 0) LOST(a, "a writer is not alone");
  inside_a_lock(a);
  IS(a, gmx_rwmutex_try_rlock(&b->rw), GMX_EBUSY);
  if (atomic_fetch_sub(&b->writers, 1) != 1 || atomic_load(&b->readers) != 0) LOST(a, "a writer was not alone");
  IS(a, gmx_rwmutex_unlock(&b->rw), GMX_OK);
}

static void as_reader(actor *a, bracket *b) {
  gmx_status s;
  if (one_in(a, 2)) {
    s = gmx_rwmutex_try_rlock(&b->rw);
    MAY(a, s, GMX_OK, GMX_EBUSY, DOWN(a));
  } else {
    s = gmx_rwmutex_rlock_timeout(&b->rw, one_in(a, 3) ? -1 : wait_for(a));
    WAITS(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
  }
  if (s != GMX_OK) return;
  atomic_fetch_add(&b->readers, 1);
  if (atomic_load(&b->writers) != 0) LOST(a, "a reader beside a writer");
  inside_a_lock(a);
  if (atomic_load(&b->writers) != 0) LOST(a, "a writer beside a reader");
  IS(a, gmx_rwmutex_try_lock(&b->rw), GMX_EBUSY);
  atomic_fetch_sub(&b->readers, 1);
  IS(a, gmx_rwmutex_runlock(&b->rw), GMX_OK);
}

static void bracketed(actor *a) {
  bracket *b = &brackets[rnd(a, BRACKETS)];
  switch (rnd(a, 4)) {
    case 0: as_writer(a, b); break;
    case 1: as_reader(a, b); break;
    default: with_mutex(a, b);
  }
}

/* ---- once ---- */

typedef struct once {
  gmx_once once;
  atomic_int times;
  atomic_bool known; /* an actor was told that it is done */
} once;

static once onces[ONCES];
static atomic_uint once_at;

typedef struct once_call {
  once *o;
  actor *a;
} once_call;

static void does_once(void *arg) {
  once_call *c = arg;
  if (atomic_fetch_add(&c->o->times, 1) != 0) LOST(c->a, "done twice");
  c->a->onces++;
  if (one_in(c->a, 2)) IS(c->a, gmx_once_do(&c->o->once, does_once, arg), GMX_EDEADLK);
  steps(c->a, 3);
  c->a->onces--;
}

static void not_again(void *arg) { LOST((actor *)arg, "done again"); }
static void counts(void *arg) { ++*(int *)arg; }

static void once_only(actor *a) {
  unsigned at = atomic_load(&once_at);
  if (one_in(a, 4) && at < ONCES - 3) atomic_store(&once_at, at + 1);
  once *o = &onces[at + rnd(a, 3)];
  once_call c = {o, a};
  gmx_status s, want = may_wait(a);
  switch (rnd(a, 6)) {
    case 0:
      IS(a, gmx_once_do(NULL, does_once, &c), GMX_EINVAL);
      IS(a, gmx_once_do(&o->once, NULL, &c), GMX_EINVAL);
      IS(a, gmx_once_do((gmx_once *)((char *)o + 1), does_once, &c), GMX_EINVAL);
      break;
    case 1: {
      gmx_once mine;
      int times = 0;
      memset(&mine, 0, sizeof mine);
      if (want == GMX_OK) {
        s = gmx_once_do(&mine, counts, &times);
        MAY(a, s, GMX_OK, DOWN(a));
        if (s != GMX_OK) break;
        IS(a, gmx_once_do(&mine, not_again, a), GMX_OK);
        if (times != 1) LOST(a, "done %d times", times);
      } else {
        IS(a, gmx_once_do(&mine, not_again, a), want);
      }
      break;
    }
    default:
      if (a->depth > 4) break;
      if (atomic_load(&o->known)) {
        IS(a, gmx_once_do(&o->once, not_again, a), GMX_OK);
        break;
      }
      s = gmx_once_do_timeout(&o->once, does_once, &c, wait_for(a));
      if (want != GMX_OK) MAY(a, s, want, GMX_OK);
      else MAY(a, s, GMX_OK, GMX_ETIMEDOUT, a->onces ? GMX_EDEADLK : GMX_OK, GMX_ENOMEM, CANCELED(a), DOWN(a));
      if (s != GMX_OK) break;
      if (atomic_load(&o->times) != 1) LOST(a, "done %d times", atomic_load(&o->times));
      atomic_store(&o->known, true);
  }
}

#endif /* GOMAX_FUZZ_LOCKS_H */
