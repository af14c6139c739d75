/* timeout: 120 */
/* gmx_wait_on_address and gmx_wake_address: sizes, order, ends of a wait, wrong calls, and a lock made of them. */
#include "gs.h"

union word {
  uint8_t b[8];
  uint16_t h[4];
  uint32_t w[2];
  uint64_t d;
};

static union word word __attribute__((aligned(8)));
static gmx_mutex beside; /* of the library, at an address where others wait */

struct waiter {
  const void *addr;
  size_t size;
  int *order;
  int came; /* its place in the order */
};

static void wait_once(void *arg) {
  struct waiter *w = arg;
  uint64_t zero = 0;
  CHECK_OK(gmx_wait_on_address(w->addr, &zero, w->size, GMX_FOREVER));
  w->came = __atomic_add_fetch(w->order, 1, __ATOMIC_RELAXED); /* two that are woken may run at once */
}

/* Each size, each place in the word; a wake at the neighbouring address wakes no waiter. */
static void sizes(void) {
  for (size_t size = 1; size <= 8; size *= 2) {
    for (size_t at = 0; at < 8; at += size) {
      int order = 0;
      struct waiter w = {&word.b[at], size, &order, 0};
      memset(&word, 0, sizeof word);
      gmx_g g = go_joinable(wait_once, &w);
      spin_until(waiting("address") == 1);
      for (size_t other = 0; other < 8; other++)
        if (other != at) CHECK_EQ(gmx_wake_address(&word.b[other], GMX_WAKE_ALL), 0);
      CHECK_EQ(w.came, 0);
      CHECK_EQ(gmx_wake_address(&word.b[at], 1), 1);
      join(g);
      uint64_t one = 1;
      CHECK_STATUS(gmx_wait_on_address(&word.b[at], &one, size, GMX_FOREVER), GMX_EAGAIN); /* it differs */
    }
  }
}

static void in_order(void) {
  enum { N = 5 };
  struct waiter w[N];
  gmx_g g[N];
  int order = 0;
  memset(&word, 0, sizeof word);
  for (int i = 0; i < N; i++) {
    w[i] = (struct waiter){&word.w[0], 4, &order, 0};
    g[i] = go_joinable(wait_once, &w[i]);
    spin_until(waiting("address") == i + 1);
  }
  CHECK_EQ(gmx_wake_address(&word.w[0], 0), 0);
  CHECK_EQ(gmx_wake_address(&word.w[0], 2), 2);
  join(g[0]);
  join(g[1]);
  CHECK(w[0].came != 0 && w[1].came != 0 && w[2].came + w[3].came + w[4].came == 0);
  CHECK_EQ(gmx_wake_address(&word.w[0], GMX_WAKE_ALL), 3);
  for (int i = 2; i < N; i++) join(g[i]);
  CHECK_EQ(gmx_wake_address(&word.w[0], GMX_WAKE_ALL), 0);
}

/* A waiter at an address and a waiter of a lock at the same address do not wake each other. */
static void locks_there(void *arg) {
  (void)arg;
  CHECK_OK(gmx_mutex_lock(&beside));
  CHECK_OK(gmx_mutex_unlock(&beside));
}

static void apart_from_locks(void) {
  CHECK_OK(gmx_mutex_lock(&beside));
  gmx_g g = go_joinable(locks_there, NULL);
  spin_until(waiting("mutex lock") == 1);
  CHECK_EQ(gmx_wake_address(&beside, GMX_WAKE_ALL), 0);
  CHECK_OK(gmx_mutex_unlock(&beside));
  join(g);
}

static void canceled_wait(void *arg) {
  gmx_cancel *c = arg;
  gmx_cancel before;
  uint64_t zero = 0;
  CHECK_OK(gmx_cancel_use(*c, &before));
  CHECK_STATUS(gmx_wait_on_address(&word.d, &zero, 8, GMX_FOREVER), GMX_ECANCELED);
  CHECK_STATUS(gmx_wait_on_address(&word.d, &zero, 8, GMX_FOREVER), GMX_ECANCELED); /* not even begun */
  CHECK_OK(gmx_cancel_use(before, &before));
}

static void ends(void) {
  uint64_t zero = 0;
  gmx_cancel c;
  memset(&word, 0, sizeof word);
  CHECK_STATUS(gmx_wait_on_address(&word.d, &zero, 8, 1000000), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_wait_on_address(&word.d, &zero, 8, 0), GMX_ETIMEDOUT);
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &c));
  gmx_g g = go_joinable(canceled_wait, &c);
  spin_until(waiting("address") == 1);
  CHECK_OK(gmx_cancel_now(c));
  join(g);
  CHECK_OK(gmx_cancel_free(c));
  CHECK_EQ(gmx_wake_address(&word.d, GMX_WAKE_ALL), 0);
}

static void wrong_calls(void) {
  uint64_t zero = 0;
  CHECK_STATUS(gmx_wait_on_address(NULL, &zero, 4, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_wait_on_address(&word, NULL, 4, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_wait_on_address(&word, &zero, 0, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_wait_on_address(&word, &zero, 3, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_wait_on_address(&word, &zero, 16, 0), GMX_EINVAL);
  for (size_t size = 2; size <= 8; size *= 2)
    CHECK_STATUS(gmx_wait_on_address(&word.b[size / 2], &zero, size, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_wake_address(NULL, 1), GMX_EINVAL);
}

/* ---- a lock like glibc's: 0 free, 1 taken, 2 taken and a thread may wait ---- */

static uint32_t lock_word;
static uint64_t guarded;
static int turns;

static void lock(void) {
  uint32_t seen = 0;
  if (__atomic_compare_exchange_n(&lock_word, &seen, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return;
  while (__atomic_exchange_n(&lock_word, 2, __ATOMIC_ACQUIRE) != 0) {
    uint32_t two = 2;
    gmx_status s = gmx_wait_on_address(&lock_word, &two, sizeof two, GMX_FOREVER);
    CHECK(s == GMX_OK || s == GMX_EAGAIN);
  }
}

static void unlock(void) {
  if (__atomic_exchange_n(&lock_word, 0, __ATOMIC_RELEASE) == 2) CHECK(gmx_wake_address(&lock_word, 1) >= 0);
}

static void lock_often(void *arg) {
  (void)arg;
  for (int i = 0; i < turns; i++) {
    lock();
    guarded++;
    if (i % 7 == 0) gmx_yield();
    unlock();
  }
}

static void *lock_often_thread(void *arg) { return lock_often(arg), NULL; }

/* No wake is lost, between Gs, and between them and threads. */
static void futex_lock(void) {
  enum { GS = 4, THREADS = 2 };
  gmx_g g[GS];
  pthread_t t[THREADS];
  turns = 3000;
  for (int i = 0; i < GS; i++) g[i] = go_joinable(lock_often, NULL);
  for (int i = 0; i < THREADS; i++) t[i] = thread_start(lock_often_thread, NULL);
  join_all(g, GS);
  join_threads(t, THREADS);
  CHECK_EQ(guarded, (GS + THREADS) * 3000);
}

/* A foreign thread waits as a G does. */
static void on_threads(void) {
  int order = 0;
  memset(&word, 0, sizeof word);
  struct waiter w = {&word, 8, &order, 0};
  struct thread_call call = {wait_once, &w};
  pthread_t thread = thread_start(thread_calls, &call);
  spin_until(gmx_wake_address(&word, 1) == 1);
  thread_join(thread);
  CHECK_EQ(w.came, 1);
}

static void inside(void *arg) {
  (void)arg;
  RUN(sizes);
  RUN(in_order);
  RUN(apart_from_locks);
  RUN(ends);
  RUN(wrong_calls);
}

int main(void) {
  start_runtime(3, SECOND / 100);
  CHECK_OK(gmx_main(inside, NULL));
  RUN(futex_lock);
  RUN(on_threads);
  RUN(wrong_calls);
  ends_clean();
  return 0;
}
