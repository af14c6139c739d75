/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* gmx_mutex: one owner at a time, a G or a foreign thread; and no waiter waits forever. */
#include "gs.h"

static const gmx_mutex unlocked;

/* ---- exclusion ---- */

struct shared {
  gmx_mutex mutex;
  int64_t count; /* plain: the mutex is what makes it right */
  int inside, rounds;
};

static void enter(struct shared *s) {
  CHECK_EQ(bump(&s->inside), 0);
  s->count++;
  __atomic_fetch_sub(&s->inside, 1, __ATOMIC_ACQ_REL);
}

static void counts(void *arg) {
  struct shared *s = arg;
  for (int i = 0; i < s->rounds; i++) {
    switch (i % 4) {
      case 0:
        CHECK_OK(gmx_mutex_lock(&s->mutex));
        break;
      case 1:
        while (gmx_mutex_try_lock(&s->mutex) == GMX_EBUSY) CHECK_OK(gmx_yield());
        break;
      case 2:
        CHECK_OK(gmx_mutex_lock_timeout(&s->mutex, GMX_FOREVER));
        break;
      default:
        while (gmx_mutex_lock_timeout(&s->mutex, 20000) == GMX_ETIMEDOUT) {
        }
    }
    enter(s);
    if (i % 16 == 0) CHECK_OK(gmx_yield()); /* the owner may give way, and move to another thread */
    CHECK_OK(gmx_mutex_unlock(&s->mutex));
  }
}
static void *counts_as_thread(void *arg) {
  counts(arg);
  return NULL;
}
static void *counts_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  counts(arg);
  CHECK_OK(gmx_detach_thread());
  return NULL;
}
static void *counts_in_callback(void *arg) {
  CHECK_OK(gmx_callback(counts, arg));
  return NULL;
}

static void gs_and_threads_exclude_each_other(void) {
  enum { GS = 12, ROUNDS = 2000 };
  struct shared s = {unlocked, 0, 0, ROUNDS};
  gmx_g gs[GS];
  pthread_t threads[6];
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(counts, &s);
  for (int i = 0; i < 6; i++)
    threads[i] = thread_start(i < 3 ? counts_as_thread : i < 5 ? counts_attached : counts_in_callback, &s);
  join_all(gs, GS);
  join_threads(threads, 6);
  CHECK_EQ(s.count, (GS + 6) * ROUNDS);
  CHECK_OK(gmx_mutex_try_lock(&s.mutex));
  CHECK_OK(gmx_mutex_unlock(&s.mutex));
}

/* ---- owners ---- */

struct owner {
  gmx_mutex *mutex;
  gmx_g where;
};

static void is_not_the_owner(void *arg) {
  gmx_mutex *m = arg, before = *m;
  CHECK_STATUS(gmx_mutex_unlock(m), GMX_EPERM);
  CHECK_STATUS(gmx_mutex_try_lock(m), GMX_EBUSY);
  CHECK(memcmp(&before, m, sizeof before) == 0);
  CHECK_STATUS(gmx_mutex_lock_timeout(m, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_mutex_lock_timeout(m, 1000000), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_mutex_unlock(m), GMX_EPERM);
}
static void is_not_the_owner_in_callback(void *arg) { CHECK_OK(gmx_callback(is_not_the_owner, arg)); }

static void is_the_owner(gmx_mutex *m) {
  gmx_mutex before = *m;
  CHECK_STATUS(gmx_mutex_lock(m), GMX_EDEADLK);
  CHECK_STATUS(gmx_mutex_lock_timeout(m, GMX_FOREVER), GMX_EDEADLK);
  CHECK_STATUS(gmx_mutex_try_lock(m), GMX_EBUSY);
  CHECK(memcmp(&before, m, sizeof before) == 0);
}

static void owns(void *arg) {
  struct owner *o = arg;
  CHECK_STATUS(gmx_mutex_unlock(o->mutex), GMX_EPERM);
  CHECK_OK(gmx_mutex_lock(o->mutex));
  is_the_owner(o->mutex);
  park_at(&o->where);
  is_the_owner(o->mutex); /* still, on whatever thread it now is */
  CHECK_OK(gmx_mutex_unlock(o->mutex));
  CHECK_STATUS(gmx_mutex_unlock(o->mutex), GMX_EPERM);
}

static void a_g_owns_it(void) {
  gmx_mutex m = unlocked;
  struct owner o = {&m, 0};
  gmx_g g = go_joinable(owns, &o);
  spin_until(load(&o.where) != 0);
  on_g(is_not_the_owner, &m);
  on_thread(is_not_the_owner, &m);
  on_thread(is_not_the_owner_in_callback, &m);
  is_not_the_owner(&m);
  CHECK_OK(gmx_ready(g));
  join(g);
}

static void a_foreign_thread_owns_it(void) {
  gmx_mutex m = unlocked;
  CHECK_OK(gmx_mutex_lock(&m));
  is_the_owner(&m);
  on_g(is_not_the_owner, &m);
  on_thread(is_not_the_owner, &m);
  CHECK_OK(gmx_mutex_unlock(&m));
  CHECK_STATUS(gmx_mutex_unlock(&m), GMX_EPERM);
}

static void locks_and_ends(void *arg) { CHECK_OK(gmx_mutex_lock(arg)); }

/* The mutex stays locked. A later G or thread, which may reuse the owner's identity, does not count as its owner. */
static void an_owner_that_ends(void) {
  gmx_mutex m = unlocked;
  on_g(locks_and_ends, &m);
  for (int i = 0; i < 100; i++) on_g(is_not_the_owner, &m);
  on_thread(is_not_the_owner, &m);
  gmx_mutex of_thread = unlocked;
  on_thread(locks_and_ends, &of_thread);
  for (int i = 0; i < 20; i++) on_thread(is_not_the_owner, &of_thread);
  on_g(is_not_the_owner, &of_thread);
}

/* ---- no waiter starves ---- */

struct greed {
  gmx_mutex mutex;
  int got;
};

static void is_greedy(void *arg) {
  struct greed *g = arg;
  while (!load(&g->got)) {
    CHECK_OK(gmx_mutex_lock(&g->mutex));
    CHECK_OK(gmx_mutex_unlock(&g->mutex));
  }
}
static void *is_greedy_as_thread(void *arg) {
  is_greedy(arg);
  return NULL;
}
static void wants_once(void *arg) {
  struct greed *g = arg;
  CHECK_OK(gmx_mutex_lock(&g->mutex));
  store(&g->got, 1);
  CHECK_OK(gmx_mutex_unlock(&g->mutex));
}

/* Threads that unlock only to lock again cannot keep a waiter out forever: the test ends. */
static void greed_does_not_starve(void) {
  for (int i = 0; i < 20; i++) {
    struct greed g = {unlocked, 0};
    gmx_g a = go_joinable(is_greedy, &g), b = go_joinable(is_greedy, &g);
    pthread_t t = thread_start(is_greedy_as_thread, &g);
    if (i % 2) on_g(wants_once, &g);
    else on_thread(wants_once, &g);
    join(a);
    join(b);
    thread_join(t);
  }
}

static void locks_once(void *arg) {
  CHECK_OK(gmx_mutex_lock(arg));
  CHECK_OK(gmx_mutex_unlock(arg));
}

/* With one P, the waiter cannot run until the owner yields. It is woken once and finds the mutex taken again; the next
 * unlock hands the mutex over before the waiter runs. */
static void hands_it_over(void *arg) {
  gmx_mutex m = unlocked;
  CHECK_OK(gmx_mutex_lock(&m));
  gmx_g g = go_joinable(locks_once, &m);
  spin_until(count_waiting() == 1);
  CHECK_OK(gmx_sleep(3000000));
  CHECK_OK(gmx_mutex_unlock(&m));
  CHECK_EQ(count_waiting(), 0);
  CHECK_OK(gmx_mutex_try_lock(&m));
  spin_until(count_waiting() == 1);
  CHECK_OK(gmx_mutex_unlock(&m));
  CHECK_STATUS(gmx_mutex_try_lock(&m), GMX_EBUSY);
  CHECK_OK(gmx_mutex_lock(&m));
  CHECK_OK(gmx_mutex_unlock(&m));
  join(g);
  bump((int *)arg);
}

/* A waiter that has waited for more than a millisecond is overtaken once more at most. */
static void a_long_wait_is_served_in_turn(void) {
  int done = 0;
  CHECK_EQ(gmx_gomaxprocs(1), 3);
  for (int i = 0; i < 20; i++) on_g(hands_it_over, &done);
  CHECK_EQ(gmx_gomaxprocs(3), 1);
  CHECK_EQ(done, 20);
}

/* ---- time-outs ---- */

struct crowd {
  gmx_mutex mutex;
  int waiting, timed_out, locked;
  int64_t timeout;
};

static void waits_a_little(void *arg) {
  struct crowd *c = arg;
  bump(&c->waiting);
  gmx_status s = gmx_mutex_lock_timeout(&c->mutex, c->timeout);
  if (s == GMX_ETIMEDOUT) {
    bump(&c->timed_out);
    return;
  }
  CHECK_OK(s);
  bump(&c->locked);
  CHECK_OK(gmx_mutex_unlock(&c->mutex));
}

/* The mutex is unlocked while some waiters time out: no waiter hangs, and the mutex ends unlocked. */
static void unlock_races_time_outs(void) {
  enum { GS = 10 };
  int both = 0;
  for (int round = 0; round < 300; round++) {
    struct crowd c = {unlocked, 0, 0, 0, 1000 * (round % 50)};
    gmx_g gs[GS];
    CHECK_OK(gmx_mutex_lock(&c.mutex));
    for (int i = 0; i < GS; i++) gs[i] = go_joinable(waits_a_little, &c);
    spin_until(load(&c.waiting) == GS);
    CHECK_OK(gmx_mutex_unlock(&c.mutex));
    join_all(gs, GS);
    CHECK_EQ(c.timed_out + c.locked, GS);
    both += c.timed_out && c.locked;
    CHECK_OK(gmx_mutex_try_lock(&c.mutex));
    CHECK_OK(gmx_mutex_unlock(&c.mutex));
  }
  check_say("in %d of 300 rounds some timed out and some locked", both);
}

static void a_long_time_out_is_no_short_one(void) {
  struct crowd c = {unlocked, 0, 0, 0, INT64_MAX};
  CHECK_OK(gmx_mutex_lock(&c.mutex));
  gmx_g g = go_joinable(waits_a_little, &c);
  spin_until(load(&c.waiting) == 1);
  CHECK_OK(gmx_sleep(20000000));
  CHECK_EQ(load(&c.timed_out), 0);
  CHECK_OK(gmx_mutex_unlock(&c.mutex));
  join(g);
  CHECK_EQ(c.locked, 1);
}

int main(void) {
  RUN(gs_and_threads_exclude_each_other);
  RUN(a_g_owns_it);
  RUN(a_foreign_thread_owns_it);
  RUN(an_owner_that_ends);
  RUN(greed_does_not_starve);
  RUN(a_long_wait_is_served_in_turn);
  RUN(unlock_races_time_outs);
  RUN(a_long_time_out_is_no_short_one);
  RUN(ends_clean);
  return 0;
}
