/* timeout: 120 */
/* The host unmaps its own object as soon as the last user has returned: no other caller, still inside its call, may
 * touch the object, whether one thread waits or many do. If all waiters are known to be in the queue, the first waiter
 * to return may unmap it. */
#include "gs.h"
#include <malloc.h>
#include <stdatomic.h>
#include <sys/mman.h>

enum { USERS = 4, ROUNDS = 3000 };

/* A page of its own for each round. */
static void *page(void) {
  void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(p != MAP_FAILED);
  return p;
}

static void unmap(void *p) { CHECK_EQ(munmap(p, 4096), 0); }

/* A round: so many Gs do `use`, all at once. */
struct round {
  void *object;
  void (*use)(struct round *, int);
  atomic_int next, begun, counted, back;
  gmx_waitgroup ended;
};

static void user(void *arg) {
  struct round *r = arg;
  int i = atomic_fetch_add(&r->next, 1);
  atomic_fetch_add(&r->begun, 1);
  for (int n = 0; n < 1000 && atomic_load(&r->begun) < USERS; n++) gmx_safepoint();
  r->use(r, i);
  CHECK_OK(gmx_waitgroup_done(&r->ended));
}

/* Other threads wait again and again in the part of the wait table that the object's waiters share, so that its lock is
 * held more often than not: each waker of the object has to wait for that lock. */
enum { PARTS = 251, CROWD = 4 };
static uint32_t crowd_words[PARTS][2];
static atomic_uintptr_t crowded;

static void *crowd(void *arg) {
  (void)arg;
  for (uintptr_t at; (at = atomic_load(&crowded)) != 1;) {
    uintptr_t first = (uintptr_t)crowd_words >> 3, i = ((at >> 3) + PARTS - first % PARTS) % PARTS;
    CHECK_STATUS(gmx_sema_acquire_timeout(crowd_words[i], 1000), GMX_ETIMEDOUT);
    sched_yield(); /* so short a wait need not sleep, and in a real-time class others would never run */
  }
  return NULL;
}

/* Where in the object its waiters wait. */
static size_t wait_offset;

static void barrier_user(struct round *r, int i);

static void play(void (*use)(struct round *, int), int rounds) {
  for (int n = 0; n < rounds; n++) {
    struct round r;
    memset(&r, 0, sizeof r);
    r.use = use;
    r.object = page();
    if (use == barrier_user) *(gmx_barrier *)r.object = (gmx_barrier)GMX_BARRIER_INIT(USERS);
    atomic_store(&crowded, (uintptr_t)r.object + wait_offset);
    CHECK_OK(gmx_waitgroup_add(&r.ended, USERS));
    for (int i = 0; i < USERS; i++) go(user, &r);
    CHECK_OK(gmx_waitgroup_wait(&r.ended));
  }
}

/* ---- locks: the last to have it sees that all others have had it ---- */

static void mutex_user(struct round *r, int i) {
  gmx_mutex *m = r->object;
  (void)i;
  CHECK_OK(gmx_mutex_lock(m));
  int last = atomic_fetch_add(&r->counted, 1) == USERS - 1;
  CHECK_OK(gmx_mutex_unlock(m));
  if (last) unmap(m);
}
static void mutexes(void) { play(mutex_user, ROUNDS); }

/* Readers and writers. Only a writer can know that it is the last. The first thread may time out, and comes again. */
static void rwmutex_user(struct round *r, int i) {
  gmx_rwmutex *rw = r->object;
  if (i % 2) {
    if (gmx_rwmutex_rlock_timeout(rw, i == 1 ? 1000 : GMX_FOREVER) != GMX_OK) CHECK_OK(gmx_rwmutex_rlock(rw));
    atomic_fetch_add(&r->counted, 1);
    CHECK_OK(gmx_rwmutex_runlock(rw));
    return;
  }
  for (;;) {
    if (gmx_rwmutex_lock_timeout(rw, i == 0 ? 1000 : GMX_FOREVER) != GMX_OK) CHECK_OK(gmx_rwmutex_lock(rw));
    int readers = atomic_load(&r->counted) >= USERS / 2;
    int last = readers && atomic_fetch_add(&r->back, 1) == USERS / 2 - 1;
    CHECK_OK(gmx_rwmutex_unlock(rw));
    if (last) unmap(rw);
    if (readers) return;
    CHECK_OK(gmx_yield());
  }
}
static void rwmutexes(void) {
  wait_offset = offsetof(gmx_rwmutex, state);
  play(rwmutex_user, ROUNDS);
  wait_offset = 0;
}

/* ---- a semaphore: the taker of the last permit ---- */

static void sema_user(struct round *r, int i) {
  uint32_t *s = r->object;
  if (i % 2) {
    CHECK_OK(gmx_sema_release(s));
  } else {
    CHECK_OK(gmx_sema_acquire(s));
    if (atomic_fetch_add(&r->counted, 1) == USERS / 2 - 1) unmap(s);
  }
}
static void semas(void) { play(sema_user, ROUNDS); }

/* ---- a condition: the last to hold its mutex ---- */

struct told {
  gmx_mutex m;
  gmx_cond c;
  int there, left;
};

static void cond_user(struct round *r, int i) {
  struct told *t = r->object;
  CHECK_OK(gmx_mutex_lock(&t->m));
  if (i == 0) {
    t->there = 1;
    CHECK_OK(gmx_cond_broadcast(&t->c));
  }
  while (!t->there) CHECK_OK(gmx_cond_wait(&t->c, &t->m));
  int last = ++t->left == USERS;
  CHECK_OK(gmx_mutex_unlock(&t->m));
  if (last) unmap(t);
}
static void conds(void) {
  play(cond_user, ROUNDS);
  wait_offset = offsetof(struct told, c);
  play(cond_user, ROUNDS);
  wait_offset = 0;
}

/* ---- wait groups: the last waiter ---- */

static void group_user(struct round *r, int i) {
  gmx_waitgroup *wg = r->object;
  if (i == 0) {
    CHECK_OK(gmx_waitgroup_add(wg, 2));
    atomic_store(&r->counted, 1);
    CHECK_OK(gmx_waitgroup_done(wg));
    CHECK_OK(gmx_waitgroup_done(wg));
    return;
  }
  spin_until(atomic_load(&r->counted));
  CHECK_OK(gmx_waitgroup_wait(wg));
  if (atomic_fetch_add(&r->back, 1) == USERS - 2) unmap(wg);
}
static void groups(void) { play(group_user, ROUNDS); }

/* ---- barriers: the first one back, since all have arrived and none looks at it again. One gives up, and comes again
 * ---- */

static void barrier_user(struct round *r, int i) {
  gmx_barrier *b = r->object;
  if (i > 0) {
    CHECK_OK(gmx_barrier_wait(b, NULL));
  } else if (gmx_barrier_wait_timeout(b, 1000, NULL) != GMX_OK) {
    CHECK_OK(gmx_barrier_wait(b, NULL));
  }
  if (atomic_fetch_add(&r->back, 1) == 0) unmap(b);
}
static void barriers(void) { play(barrier_user, ROUNDS); }

/* ---- a channel: a receiver that has got the value, or the end. Its memory is a mapping of its own ---- */

static void chan_user(struct round *r, int i) {
  static const uint64_t value = 7;
  uint64_t got = 0;
  if (i > 1) return;
  gmx_chan *c = *(gmx_chan **)r->object;
  if (i == 0) {
    CHECK_OK(gmx_chan_send(c, &value));
  } else {
    CHECK_OK(gmx_chan_recv(c, &got));
    CHECK_EQ(got, value);
    CHECK_OK(gmx_chan_free(c));
    unmap(r->object);
  }
}
static void chans(void) {
#ifndef __SANITIZE_ADDRESS__ /* that one knows itself what was freed */
  CHECK(mallopt(M_MMAP_THRESHOLD, 64 << 10) == 1);
#endif
  for (int n = 0; n < ROUNDS; n++) {
    struct round r;
    memset(&r, 0, sizeof r);
    r.use = chan_user;
    r.object = page();
    CHECK_OK(gmx_chan_new(8, n % 2 ? 16 << 10 : 0, r.object));
    CHECK_OK(gmx_waitgroup_add(&r.ended, USERS));
    for (int i = 0; i < USERS; i++) go(user, &r);
    CHECK_OK(gmx_waitgroup_wait(&r.ended));
  }
}

/* ---- one P: all waiters are known to be in the queue ---- */

static atomic_int came, back;
static uint32_t all_back;

/* All that have arrived are in the queue, since there is one P and no slice ends. */
static void wait_for(int n) { spin_until(atomic_load(&came) == n); }

static int is_first(void) { return atomic_fetch_add(&back, 1) == 0; }

static void group_waiter(void *arg) {
  gmx_waitgroup *wg = arg;
  atomic_fetch_add(&came, 1);
  CHECK_OK(gmx_waitgroup_wait_timeout(wg, 30 * SECOND));
  if (is_first()) unmap(wg);
  release(&all_back, 1);
}
static void first_of_group_unmaps(void) {
  for (int n = 0; n < 500; n++) {
    gmx_waitgroup *wg = page();
    came = back = 0;
    CHECK_OK(gmx_waitgroup_add(wg, 1 + n % 2));
    for (int i = 0; i < USERS; i++) go(group_waiter, wg);
    wait_for(USERS);
    CHECK_OK(gmx_waitgroup_add(wg, -1 - n % 2));
    acquire(&all_back, USERS);
  }
}

/* The first one back begins a round that ends when the others are back. */
static void again_waiter(void *arg) {
  gmx_waitgroup *wg = arg;
  atomic_fetch_add(&came, 1);
  CHECK_OK(gmx_waitgroup_wait_timeout(wg, 30 * SECOND));
  if (!is_first()) return release(&all_back, 1);
  CHECK_OK(gmx_waitgroup_add(wg, 1));
  acquire(&all_back, USERS - 1);
  CHECK_STATUS(gmx_waitgroup_wait_timeout(wg, 0), GMX_ETIMEDOUT);
  CHECK_OK(gmx_waitgroup_done(wg));
  CHECK_OK(gmx_waitgroup_wait(wg));
  atomic_fetch_add(&back, 1);
}
static void first_of_group_begins_again(void) {
  gmx_waitgroup wg;
  memset(&wg, 0, sizeof wg);
  for (int n = 0; n < 500; n++) {
    came = back = 0;
    CHECK_OK(gmx_waitgroup_add(&wg, 1));
    for (int i = 0; i < USERS; i++) go(again_waiter, &wg);
    wait_for(USERS);
    CHECK_OK(gmx_waitgroup_done(&wg));
    spin_until(atomic_load(&back) == USERS + 1);
  }
}

static void meets(void *arg) {
  gmx_barrier *b = arg;
  atomic_fetch_add(&came, 1);
  CHECK_OK(gmx_barrier_wait(b, NULL));
  if (is_first()) unmap(b);
  release(&all_back, 1);
}
static void first_of_barrier_unmaps(void) {
  for (int n = 0; n < 500; n++) {
    gmx_barrier *b = page();
    *b = (gmx_barrier)GMX_BARRIER_INIT(USERS);
    came = back = 0;
    for (int i = 0; i < USERS; i++) go(meets, b);
    acquire(&all_back, USERS);
  }
}

static void once_fn(void *arg) {
  (void)arg;
  wait_for(USERS);
}
static void once_user(void *arg) {
  gmx_once *once = arg;
  atomic_fetch_add(&came, 1);
  CHECK_OK(gmx_once_do(once, once_fn, NULL));
  if (is_first()) unmap(once);
  release(&all_back, 1);
}
static void first_of_once_unmaps(void) {
  for (int n = 0; n < 500; n++) {
    gmx_once *once = page();
    came = back = 0;
    for (int i = 0; i < USERS; i++) go(once_user, once);
    acquire(&all_back, USERS);
  }
}

int main(void) {
  pthread_t threads[CROWD];
  start_runtime(3, 0);
  for (int i = 0; i < CROWD; i++) threads[i] = thread_start(crowd, NULL);
  RUN_G(mutexes);
  RUN_G(rwmutexes);
  RUN_G(semas);
  RUN_G(conds);
  RUN_G(groups);
  RUN_G(barriers);
  RUN_G(chans);
  atomic_store(&crowded, 1);
  join_threads(threads, CROWD);
  end_runtime();
  start_runtime(1, NO_SLICES);
  RUN_G(first_of_group_unmaps);
  RUN_G(first_of_group_begins_again);
  RUN_G(first_of_barrier_unmaps);
  RUN_G(first_of_once_unmaps);
  end_runtime();
  return 0;
}
