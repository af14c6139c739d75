/* The number of waiters of a semaphore, a lock or a condition. With one P and slices without an end, a G that the
 * caller lets run has begun to wait when the caller runs again. */
#include "gs.h"

#include <stdatomic.h>
#include <sys/mman.h>

enum { GS = 7 };

static uint32_t sema, other, done;

static void starts_nothing(void) {
  static gmx_mutex m;
  CHECK_EQ(gmx_sema_waiters(&sema), 0);
  CHECK_EQ(gmx_mutex_waiters(&m), 0);
  CHECK_EQ(gmx_num_g(), 0);
  await_threads(1);
}

static void wrong_pointers(void) {
  uint64_t words[8] = {0};
  void *odd = (char *)words + 1;
  CHECK_EQ(gmx_sema_waiters(NULL), 0);
  CHECK_EQ(gmx_mutex_waiters(NULL), 0);
  CHECK_EQ(gmx_rmutex_waiters(NULL), 0);
  CHECK_EQ(gmx_rwmutex_waiters(NULL), 0);
  CHECK_EQ(gmx_cond_waiters(NULL), 0);
  CHECK_EQ(gmx_sema_waiters(odd), 0);
  CHECK_EQ(gmx_mutex_waiters(odd), 0);
  CHECK_EQ(gmx_rmutex_waiters(odd), 0);
  CHECK_EQ(gmx_rwmutex_waiters(odd), 0);
  CHECK_EQ(gmx_cond_waiters(odd), 0);
}

/* ---- semaphores ---- */

static void takes(void *arg) {
  CHECK_OK(gmx_sema_acquire(arg));
  release(&done, 1);
}
static void *takes_as_thread(void *arg) {
  takes(arg);
  return NULL;
}

static void each_that_waits_counts(void) {
  for (uint32_t i = 0; i < GS; i++) {
    CHECK_EQ(gmx_sema_waiters(&sema), i);
    go(takes, &sema);
    CHECK_EQ(gmx_sema_waiters(&sema), i); /* it has not run yet */
    CHECK_OK(gmx_yield());
    CHECK_EQ(gmx_sema_waiters(&sema), i + 1);
  }
  CHECK_EQ(waiting("semacquire"), GS);
  pthread_t thread = thread_start(takes_as_thread, &sema);
  spin_until(gmx_sema_waiters(&sema) == GS + 1);
  for (uint32_t i = 0; i < GS; i++) {
    release(&sema, 1);
    CHECK_EQ(gmx_sema_waiters(&sema), GS - i); /* woken; it has not run yet */
  }
  acquire(&done, GS);
  CHECK_EQ(gmx_sema_waiters(&sema), 1);
  release(&sema, 1);
  acquire(&done, 1);
  thread_join(thread);
  CHECK_EQ(gmx_sema_waiters(&sema), 0);
  CHECK_EQ(sema, 0);
}

/* Addresses that share a lock of the wait table, and a tree: every 251st. */
static void only_its_own_count(void) {
  static uint32_t words[2 * 251 * 40];
  uint32_t *at[20];
  for (int i = 0; i < 20; i++) {
    at[i] = &words[2 * 251 * 2 * i];
    for (int k = 0; k <= i % 3; k++) go(takes, at[i]);
  }
  spin_until(waiting("semacquire") == 7 * 1 + 7 * 2 + 6 * 3);
  for (int i = 0; i < 20; i++) {
    CHECK_EQ(gmx_sema_waiters(at[i]), i % 3 + 1);
    CHECK_EQ(gmx_sema_waiters(at[i] + 1), 0);
    CHECK_EQ(gmx_sema_waiters(at[i] + 2 * 251), 0);
  }
  for (int i = 0; i < 20; i++) {
    release(at[i], i % 3 + 1);
    acquire(&done, i % 3 + 1);
    CHECK_EQ(gmx_sema_waiters(at[i]), 0);
    if (i < 19) CHECK_EQ(gmx_sema_waiters(at[i + 1]), (i + 1) % 3 + 1);
  }
}

static void gives_up(void *arg) {
  CHECK_STATUS(gmx_sema_acquire_timeout(&sema, *(int64_t *)arg), GMX_ETIMEDOUT);
  release(&done, 1);
}
static void is_canceled(void *arg) {
  CHECK_OK(gmx_cancel_use(*(gmx_cancel *)arg, NULL));
  CHECK_STATUS(gmx_sema_acquire(&sema), GMX_ECANCELED);
  release(&done, 1);
}

static void one_that_gives_up_counts_no_more(void) {
  int64_t soon = MS, past = 0, begin;
  gmx_cancel token;
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &token));
  go(takes, &sema);
  CHECK_OK(gmx_yield());
  go(is_canceled, &token);
  CHECK_OK(gmx_yield());
  go(gives_up, &past);
  acquire(&done, 1);
  CHECK_EQ(gmx_sema_waiters(&sema), 2);
  begin = gmx_now();
  go(gives_up, &soon);
  CHECK_OK(gmx_yield());
  uint32_t waiters = gmx_sema_waiters(&sema);
  if (gmx_now() - begin < soon) CHECK_EQ(waiters, 3); /* it cannot have given up yet */
  acquire(&done, 1);
  CHECK_EQ(gmx_sema_waiters(&sema), 2);
  CHECK_OK(gmx_cancel_now(token));
  CHECK_EQ(gmx_sema_waiters(&sema), 1);
  release(&sema, 1);
  acquire(&done, 2);
  CHECK_EQ(gmx_sema_waiters(&sema), 0);
  CHECK_OK(gmx_cancel_free(token));
}

/* If two kinds of wait use one word, the waiters of each kind are counted apart. */
static void waits_for_change(void *arg) {
  uint32_t zero = 0;
  CHECK_OK(gmx_wait_on_address(arg, &zero, sizeof zero, GMX_FOREVER));
  release(&done, 1);
}
static void another_kind_is_not_counted(void) {
  go(waits_for_change, &other);
  CHECK_OK(gmx_yield());
  CHECK_EQ(waiting("address"), 1);
  CHECK_EQ(gmx_sema_waiters(&other), 0);
  CHECK_EQ(gmx_wake_address(&other, 1), 1);
  acquire(&done, 1);
}

static void memory_may_be_gone(void) {
  void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED);
  CHECK_EQ(munmap(page, 4096), 0);
  CHECK_EQ(gmx_sema_waiters(page), 0);
  CHECK_EQ(gmx_mutex_waiters(page), 0);
  CHECK_EQ(gmx_rmutex_waiters(page), 0);
  CHECK_EQ(gmx_rwmutex_waiters(page), 0);
  CHECK_EQ(gmx_cond_waiters(page), 0);
}

/* ---- locks ---- */

static gmx_mutex mutex;
static gmx_rmutex rmutex;
static gmx_rwmutex rw;

static void locks(void *arg) {
  (void)arg;
  CHECK_OK(gmx_mutex_lock(&mutex));
  CHECK_OK(gmx_mutex_unlock(&mutex));
  release(&done, 1);
}
static void lockers(void) {
  CHECK_OK(gmx_mutex_lock(&mutex));
  for (uint32_t i = 1; i <= GS; i++) {
    go(locks, NULL);
    CHECK_OK(gmx_yield());
    CHECK_EQ(gmx_mutex_waiters(&mutex), i);
  }
  CHECK_STATUS(gmx_mutex_lock(&mutex), GMX_EDEADLK);
  CHECK_EQ(gmx_mutex_waiters(&mutex), GS);
  CHECK_OK(gmx_mutex_unlock(&mutex));
  CHECK_EQ(gmx_mutex_waiters(&mutex), GS - 1); /* one waiter is awake */
  acquire(&done, GS);
  CHECK_EQ(gmx_mutex_waiters(&mutex), 0);
}

static void locks_again(void *arg) {
  (void)arg;
  CHECK_OK(gmx_rmutex_lock(&rmutex, GMX_FOREVER));
  CHECK_OK(gmx_rmutex_unlock(&rmutex));
  release(&done, 1);
}
static void lockers_of_a_recursive_mutex(void) {
  CHECK_OK(gmx_rmutex_lock(&rmutex, GMX_FOREVER));
  CHECK_OK(gmx_rmutex_lock(&rmutex, GMX_FOREVER));
  for (uint32_t i = 1; i <= GS; i++) {
    go(locks_again, NULL);
    CHECK_OK(gmx_yield());
    CHECK_EQ(gmx_rmutex_waiters(&rmutex), i);
  }
  CHECK_OK(gmx_rmutex_unlock(&rmutex));
  CHECK_EQ(gmx_rmutex_waiters(&rmutex), GS);
  CHECK_OK(gmx_rmutex_unlock(&rmutex));
  acquire(&done, GS);
  CHECK_EQ(gmx_rmutex_waiters(&rmutex), 0);
}

static void reads(void *arg) {
  (void)arg;
  CHECK_OK(gmx_rwmutex_rlock(&rw));
  CHECK_OK(gmx_rwmutex_runlock(&rw));
  release(&done, 1);
}
static void writes(void *arg) {
  (void)arg;
  CHECK_OK(gmx_rwmutex_lock(&rw));
  CHECK_OK(gmx_rwmutex_unlock(&rw));
  release(&done, 1);
}
/* The first writer waits for the reader inside, the second for the first, readers for both. */
static void readers_and_writers(void) {
  CHECK_OK(gmx_rwmutex_rlock(&rw));
  for (uint32_t i = 1; i <= GS; i++) {
    go(i == 1 || i == 4 ? writes : reads, NULL);
    CHECK_OK(gmx_yield());
    CHECK_EQ(gmx_rwmutex_waiters(&rw), i);
  }
  CHECK_EQ(gmx_mutex_waiters(&rw.writers), 1);
  CHECK_OK(gmx_rwmutex_runlock(&rw));
  acquire(&done, GS);
  CHECK_EQ(gmx_rwmutex_waiters(&rw), 0);
}

/* ---- conditions ---- */

static gmx_cond cond;
static void waits_for_signal(void *arg) {
  (void)arg;
  CHECK_OK(gmx_mutex_lock(&mutex));
  CHECK_OK(gmx_cond_wait(&cond, &mutex));
  CHECK_OK(gmx_mutex_unlock(&mutex));
  release(&done, 1);
}
static void *waits_for_signal_as_thread(void *arg) {
  waits_for_signal(arg);
  return NULL;
}
static void waiters_for_a_signal(void) {
  pthread_t threads[2];
  for (uint32_t i = 1; i <= GS; i++) {
    go(waits_for_signal, NULL);
    CHECK_OK(gmx_yield());
    CHECK_EQ(gmx_cond_waiters(&cond), i);
  }
  for (int i = 0; i < 2; i++) threads[i] = thread_start(waits_for_signal_as_thread, NULL);
  spin_until(gmx_cond_waiters(&cond) == GS + 2);
  CHECK_OK(gmx_cond_signal(&cond));
  CHECK_EQ(gmx_cond_waiters(&cond), GS + 1);
  acquire(&done, 1);
  CHECK_OK(gmx_mutex_lock(&mutex));
  CHECK_OK(gmx_cond_broadcast(&cond));
  CHECK_EQ(gmx_cond_waiters(&cond), 0); /* they wait for the mutex, or will */
  CHECK_OK(gmx_mutex_unlock(&mutex));
  acquire(&done, GS + 1);
  join_threads(threads, 2);
}

/* A waiter counts before it unlocks the mutex: a holder of the mutex sees all earlier holders that wait. */
static atomic_int have_locked;
static void counts_itself(void *arg) {
  (void)arg;
  CHECK_OK(gmx_mutex_lock(&mutex));
  atomic_fetch_add(&have_locked, 1);
  CHECK_OK(gmx_cond_wait(&cond, &mutex));
  CHECK_OK(gmx_mutex_unlock(&mutex));
  release(&done, 1);
}
static void with_the_mutex_none_is_missed(void) {
  enum { MANY = 300 };
  atomic_store(&have_locked, 0);
  for (int i = 0; i < MANY; i++) go(counts_itself, NULL);
  for (int all = 0; !all;) {
    CHECK_OK(gmx_mutex_lock(&mutex));
    CHECK_EQ(gmx_cond_waiters(&cond), atomic_load(&have_locked));
    all = atomic_load(&have_locked) == MANY;
    CHECK_OK(gmx_mutex_unlock(&mutex));
    CHECK_OK(gmx_yield());
  }
  CHECK_OK(gmx_cond_broadcast(&cond));
  acquire(&done, MANY);
}

int main(void) {
  RUN(starts_nothing);
  start_runtime(1, NO_SLICES);
  RUN(wrong_pointers);
  RUN(memory_may_be_gone);
  RUN_G(each_that_waits_counts);
  RUN_G(only_its_own_count);
  RUN_G(one_that_gives_up_counts_no_more);
  RUN_G(another_kind_is_not_counted);
  RUN_G(lockers);
  RUN_G(lockers_of_a_recursive_mutex);
  RUN_G(readers_and_writers);
  RUN_G(waiters_for_a_signal);
  end_runtime();
  start_runtime(4, 0);
  RUN_G(with_the_mutex_none_is_missed);
  end_runtime();
  RUN(starts_nothing);
  return 0;
}
