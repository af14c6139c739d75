/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* gmx_rwmutex: readers together, a writer alone; the order of readers and writers; and a waiter that times out or is
 * canceled delays no other. */
#include "gs.h"

static const gmx_rwmutex unlocked;

/* ---- exclusion ---- */

struct shared {
  gmx_rwmutex rw;
  int64_t count; /* plain: the lock is what makes it right */
  int readers, writers, rounds, seen_together;
};

static void reads(struct shared *s) {
  int together = bump(&s->readers) + 1;
  CHECK_EQ(load(&s->writers), 0);
  if (together > 1) store(&s->seen_together, 1);
  int64_t before = s->count;
  if (gmx_goid() % 4 == 0) (void)gmx_yield();
  CHECK_EQ(s->count, before);
  __atomic_fetch_sub(&s->readers, 1, __ATOMIC_ACQ_REL);
  CHECK_OK(gmx_rwmutex_runlock(&s->rw));
}
static void writes(struct shared *s) {
  CHECK_EQ(bump(&s->writers), 0);
  CHECK_EQ(load(&s->readers), 0);
  s->count++;
  __atomic_fetch_sub(&s->writers, 1, __ATOMIC_ACQ_REL);
  CHECK_OK(gmx_rwmutex_unlock(&s->rw));
}

static void counts(void *arg) {
  struct shared *s = arg;
  gmx_cancel c = 0;
  for (int i = 0; i < s->rounds; i++) {
    switch (i % 8) {
      case 0:
        CHECK_OK(gmx_rwmutex_lock(&s->rw));
        writes(s);
        break;
      case 1:
        while (gmx_rwmutex_try_lock(&s->rw) == GMX_EBUSY) CHECK_OK(gmx_yield());
        writes(s);
        break;
      case 2:
        while (gmx_rwmutex_lock_timeout(&s->rw, 20000) == GMX_ETIMEDOUT) {
        }
        writes(s);
        break;
      case 3:
        while (gmx_rwmutex_rlock_timeout(&s->rw, 20000) == GMX_ETIMEDOUT) {
        }
        reads(s);
        break;
      case 4:
        while (gmx_rwmutex_try_rlock(&s->rw) == GMX_EBUSY) CHECK_OK(gmx_yield());
        reads(s);
        break;
      case 5: /* a writer or a reader that may be canceled */
        CHECK_OK(gmx_cancel_new(0, 20000, &c));
        CHECK_OK(gmx_cancel_use(c, NULL));
        CHECK_OK(gmx_cancel_free(c));
        gmx_cancel_locks(true);
        if (i % 16 == 5) {
          if (gmx_rwmutex_lock(&s->rw) == GMX_OK) writes(s);
        } else if (gmx_rwmutex_rlock(&s->rw) == GMX_OK) {
          reads(s);
        }
        CHECK_OK(gmx_cancel_use(0, NULL));
        break;
      default:
        CHECK_OK(gmx_rwmutex_rlock(&s->rw));
        reads(s);
    }
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

static void readers_together_writers_alone(void) {
  enum { GS = 12, THREADS = 4 };
  struct shared s = {unlocked, 0, 0, 0, 2000, 0};
  gmx_g gs[GS];
  pthread_t threads[THREADS];
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(counts, &s);
  for (int i = 0; i < THREADS; i++) threads[i] = thread_start(i % 2 ? counts_as_thread : counts_attached, &s);
  join_all(gs, GS);
  join_threads(threads, THREADS);
  CHECK_CMP(s.count, >=, (GS + THREADS) * (int64_t)s.rounds / 8 * 3);
  CHECK(s.seen_together);
  CHECK_OK(gmx_rwmutex_try_lock(&s.rw));
  CHECK_OK(gmx_rwmutex_unlock(&s.rw));
}

/* ---- the order of readers and writers, on one P ---- */

static char order[64];
static int ordered;
static void note(char c) { order[__atomic_fetch_add(&ordered, 1, __ATOMIC_ACQ_REL)] = c; }

struct one {
  gmx_rwmutex *rw;
  char name;
  uint32_t *go;
};

static void a_reader(void *arg) {
  struct one *o = arg;
  CHECK_OK(gmx_rwmutex_rlock(o->rw));
  note(o->name);
  if (o->go) CHECK_OK(gmx_sema_acquire(o->go));
  CHECK_OK(gmx_rwmutex_runlock(o->rw));
}
static void a_writer(void *arg) {
  struct one *o = arg;
  CHECK_OK(gmx_rwmutex_lock(o->rw));
  note(o->name);
  if (o->go) CHECK_OK(gmx_sema_acquire(o->go));
  CHECK_OK(gmx_rwmutex_unlock(o->rw));
}

static void start_and_wait(gmx_g *g, void (*fn)(void *), struct one *o, int64_t n) {
  *g = go_joinable(fn, o);
  spin_until(count_waiting() == n);
}

static void order_of_waiters(void *unused) {
  (void)unused;
  gmx_rwmutex rw = unlocked;
  uint32_t held = 0, first = 0;
  gmx_g g[8];
  struct one r1 = {&rw, '1', &held}, w = {&rw, 'w', &first}, r2 = {&rw, '2', NULL}, r3 = {&rw, '3', NULL},
             v = {&rw, 'v', NULL};
  ordered = 0;
  start_and_wait(&g[0], a_reader, &r1, 1); /* inside */
  start_and_wait(&g[1], a_writer, &w, 2);  /* waits for it */
  CHECK_STATUS(gmx_rwmutex_try_rlock(&rw), GMX_EBUSY); /* and keeps new readers out */
  CHECK_STATUS(gmx_rwmutex_rlock_timeout(&rw, MS), GMX_ETIMEDOUT);
  start_and_wait(&g[2], a_writer, &v, 3);
  start_and_wait(&g[3], a_reader, &r2, 4);
  start_and_wait(&g[4], a_reader, &r3, 5);
  CHECK_OK(gmx_sema_release(&held));
  spin_until(load(&ordered) == 2); /* the writer is inside now */
  CHECK_OK(gmx_sema_release(&first));
  join_all(g, 5);
  CHECK_EQ(ordered, 5);
  CHECK_EQ(order[0], '1');
  CHECK_EQ(order[1], 'w');
  CHECK(order[2] != 'v' && order[3] != 'v'); /* the readers that waited before the next writer */
  CHECK_EQ(order[4], 'v');
}

/* A writer that times out lets the readers in that it has kept out. */
static void a_writer_gives_up(void *arg) {
  gmx_rwmutex rw = unlocked;
  uint32_t held = 0;
  gmx_g g[3];
  struct one r1 = {&rw, '1', &held}, r2 = {&rw, '2', NULL}, r3 = {&rw, '3', NULL};
  ordered = 0;
  start_and_wait(&g[0], a_reader, &r1, 1);
  gmx_cancel c;
  CHECK_OK(gmx_cancel_new(0, arg ? 20 * MS : GMX_FOREVER, &c));
  CHECK_OK(gmx_cancel_use(c, NULL));
  gmx_cancel_locks(true);
  CHECK_STATUS(gmx_rwmutex_lock_timeout(&rw, arg ? GMX_FOREVER : 20 * MS), arg ? GMX_ECANCELED : GMX_ETIMEDOUT);
  CHECK_OK(gmx_cancel_use(0, NULL));
  CHECK_OK(gmx_cancel_free(c));
  g[1] = go_joinable(a_reader, &r2);
  join(g[1]);
  CHECK_OK(gmx_rwmutex_try_rlock(&rw));
  CHECK_OK(gmx_rwmutex_runlock(&rw));
  CHECK_OK(gmx_sema_release(&held));
  join(g[0]);
  g[2] = go_joinable(a_reader, &r3);
  join(g[2]);
  CHECK_OK(gmx_rwmutex_try_lock(&rw));
  CHECK_OK(gmx_rwmutex_unlock(&rw));
}

static void kept_out(void *arg) {
  struct one *o = arg;
  CHECK_OK(gmx_rwmutex_rlock_timeout(o->rw, 3600000 * MS));
  note(o->name);
  CHECK_OK(gmx_rwmutex_runlock(o->rw));
}
static void waits_in_vain(void *arg) {
  struct one *o = arg;
  CHECK_STATUS(gmx_rwmutex_lock_timeout(o->rw, 30 * MS), GMX_ETIMEDOUT);
  note(o->name);
}
static void those_kept_out_go_on(void *unused) {
  (void)unused;
  gmx_rwmutex rw = unlocked;
  uint32_t held = 0;
  gmx_g g[3];
  struct one r1 = {&rw, '1', &held}, w = {&rw, 'w', NULL}, r2 = {&rw, '2', NULL};
  ordered = 0;
  start_and_wait(&g[0], a_reader, &r1, 1);
  start_and_wait(&g[1], waits_in_vain, &w, 2);
  g[2] = go_joinable(kept_out, &r2);
  join(g[2]); /* while the first reader is still inside */
  join(g[1]);
  CHECK_OK(gmx_sema_release(&held));
  join(g[0]);
}

static void order_on_one_p(void) {
  CHECK_EQ(gmx_gomaxprocs(1), 3);
  for (int i = 0; i < 10; i++) {
    on_g(order_of_waiters, NULL);
    on_g(a_writer_gives_up, NULL);
    on_g(a_writer_gives_up, &i);
    on_g(those_kept_out_go_on, NULL);
  }
  CHECK_EQ(gmx_gomaxprocs(3), 1);
}

/* ---- neither readers nor writers starve ---- */

struct flood {
  gmx_rwmutex rw;
  int done;
};
static void reads_on(void *arg) {
  struct flood *f = arg;
  while (!load(&f->done)) {
    CHECK_OK(gmx_rwmutex_rlock(&f->rw));
    (void)gmx_yield();
    CHECK_OK(gmx_rwmutex_runlock(&f->rw));
  }
}
static void writes_on(void *arg) {
  struct flood *f = arg;
  while (!load(&f->done)) {
    CHECK_OK(gmx_rwmutex_lock(&f->rw));
    CHECK_OK(gmx_rwmutex_unlock(&f->rw));
  }
}
static void writes_once(void *arg) {
  struct flood *f = arg;
  CHECK_OK(gmx_rwmutex_lock(&f->rw));
  store(&f->done, 1);
  CHECK_OK(gmx_rwmutex_unlock(&f->rw));
}
static void reads_once(void *arg) {
  struct flood *f = arg;
  CHECK_OK(gmx_rwmutex_rlock(&f->rw));
  store(&f->done, 1);
  CHECK_OK(gmx_rwmutex_runlock(&f->rw));
}
static void floods_end(void) {
  for (int i = 0; i < 40; i++) {
    struct flood f = {unlocked, 0};
    gmx_g gs[6];
    for (int k = 0; k < 6; k++) gs[k] = go_joinable(i % 2 ? reads_on : writes_on, &f);
    if (i % 4 < 2) on_g(i % 2 ? writes_once : reads_once, &f);
    else on_thread(i % 2 ? writes_once : reads_once, &f);
    join_all(gs, 6);
  }
}

/* ---- wrong calls ---- */

static void is_not_the_writer(void *arg) {
  gmx_rwmutex *rw = arg, before = *rw;
  CHECK_STATUS(gmx_rwmutex_unlock(rw), GMX_EPERM);
  CHECK_STATUS(gmx_rwmutex_runlock(rw), GMX_EPERM);
  CHECK_STATUS(gmx_rwmutex_try_lock(rw), GMX_EBUSY);
  CHECK_STATUS(gmx_rwmutex_try_rlock(rw), GMX_EBUSY);
  CHECK(memcmp(&before, rw, sizeof before) == 0);
  CHECK_STATUS(gmx_rwmutex_lock_timeout(rw, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_rwmutex_rlock_timeout(rw, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_rwmutex_lock_timeout(rw, MS), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_rwmutex_rlock_timeout(rw, MS), GMX_ETIMEDOUT);
}

static void is_the_writer(gmx_rwmutex *rw) {
  gmx_rwmutex before = *rw;
  CHECK_STATUS(gmx_rwmutex_lock(rw), GMX_EDEADLK);
  CHECK_STATUS(gmx_rwmutex_rlock(rw), GMX_EDEADLK);
  CHECK_STATUS(gmx_rwmutex_runlock(rw), GMX_EPERM);
  CHECK(memcmp(&before, rw, sizeof before) == 0);
  on_g(is_not_the_writer, rw);
  on_thread(is_not_the_writer, rw);
  CHECK_OK(gmx_rwmutex_unlock(rw));
  CHECK_STATUS(gmx_rwmutex_unlock(rw), GMX_EPERM);
}

static void writes_and_is_wrong(void *arg) {
  gmx_rwmutex *rw = arg;
  CHECK_STATUS(gmx_rwmutex_unlock(rw), GMX_EPERM);
  CHECK_STATUS(gmx_rwmutex_runlock(rw), GMX_EPERM);
  CHECK_OK(gmx_rwmutex_lock(rw));
  is_the_writer(rw);
  CHECK_OK(gmx_rwmutex_rlock(rw));
  CHECK_OK(gmx_rwmutex_rlock(rw));
  CHECK_STATUS(gmx_rwmutex_unlock(rw), GMX_EPERM);
  CHECK_STATUS(gmx_rwmutex_lock_timeout(rw, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_rwmutex_try_lock(rw), GMX_EBUSY);
  CHECK_OK(gmx_rwmutex_runlock(rw));
  CHECK_OK(gmx_rwmutex_runlock(rw));
  CHECK_STATUS(gmx_rwmutex_runlock(rw), GMX_EPERM);
}

/* a writer that has waited for readers takes the lock in another way than a writer that finds it free */
static void has_waited(void *rw) {
  CHECK_OK(gmx_rwmutex_lock(rw));
  is_the_writer(rw);
}
static void *has_waited_as_thread(void *rw) {
  has_waited(rw);
  return NULL;
}
static void waits_and_is_wrong(void *arg) {
  gmx_rwmutex *rw = arg;
  CHECK_OK(gmx_rwmutex_rlock(rw));
  gmx_g g = go_joinable(has_waited, rw);
  spin_until(gmx_rwmutex_try_rlock(rw) == GMX_EBUSY || gmx_rwmutex_runlock(rw) != GMX_OK);
  CHECK_OK(gmx_rwmutex_runlock(rw));
  join(g);

  CHECK_OK(gmx_rwmutex_rlock(rw));
  pthread_t t = thread_start(has_waited_as_thread, rw);
  spin_until(gmx_rwmutex_try_rlock(rw) == GMX_EBUSY || gmx_rwmutex_runlock(rw) != GMX_OK);
  CHECK_OK(gmx_rwmutex_runlock(rw));
  thread_join(t);
}

static void wrong_calls(void) {
  gmx_rwmutex rw = unlocked;
  on_g(writes_and_is_wrong, &rw);
  on_thread(writes_and_is_wrong, &rw);
  writes_and_is_wrong(&rw);
  on_g(waits_and_is_wrong, &rw);
  gmx_rwmutex *odd = (gmx_rwmutex *)((char *)&rw + 1);
  gmx_status (*const calls[])(gmx_rwmutex *) = {gmx_rwmutex_lock,  gmx_rwmutex_try_lock,  gmx_rwmutex_unlock,
                                                gmx_rwmutex_rlock, gmx_rwmutex_try_rlock, gmx_rwmutex_runlock};
  for (int i = 0; i < 6; i++) {
    CHECK_STATUS(calls[i](NULL), GMX_EINVAL);
    CHECK_STATUS(calls[i](odd), GMX_EINVAL);
  }
  CHECK_STATUS(gmx_rwmutex_lock_timeout(NULL, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_rwmutex_rlock_timeout(NULL, 0), GMX_EINVAL);
}

int main(void) {
  RUN(wrong_calls);
  RUN(order_on_one_p);
  RUN(readers_together_writers_alone);
  RUN(floods_end);
  RUN(ends_clean);
  return 0;
}
