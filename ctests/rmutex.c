/* timeout: 60 */
/* Recursive mutexes: depth, owners of every kind, and wrong calls. */
#include "gs.h"

#define FOREVER INT64_MAX

static gmx_rmutex m;
static uint64_t guarded;

static void others_are_refused(void *arg) {
  (void)arg;
  CHECK_STATUS(gmx_rmutex_try_lock(&m), GMX_EBUSY);
  CHECK_STATUS(gmx_rmutex_unlock(&m), GMX_EPERM);
  CHECK_STATUS(gmx_rmutex_lock(&m, 1000000), GMX_ETIMEDOUT);
}

static void depth(void) {
  CHECK_STATUS(gmx_rmutex_unlock(&m), GMX_EPERM);
  for (int i = 0; i < 100; i++) {
    CHECK_OK(i % 2 ? gmx_rmutex_try_lock(&m) : gmx_rmutex_lock(&m, FOREVER));
    if (i % 50 == 0) {
      on_g(others_are_refused, NULL);
      on_thread(others_are_refused, NULL);
    }
  }
  for (int i = 0; i < 100; i++) {
    CHECK_STATUS(gmx_mutex_try_lock(&m.mutex), GMX_EBUSY);
    CHECK_OK(gmx_rmutex_unlock(&m));
  }
  CHECK_STATUS(gmx_rmutex_unlock(&m), GMX_EPERM);
  CHECK_EQ(m.again, 0);
}

static void add(int levels) {
  CHECK_OK(gmx_rmutex_lock(&m, FOREVER));
  if (levels > 0) add(levels - 1);
  guarded++;
  if (levels == 1) gmx_yield();
  CHECK_OK(gmx_rmutex_unlock(&m));
}

static void add_often(void *arg) {
  (void)arg;
  for (int i = 0; i < 500; i++) add(i % 4);
}

static void *add_often_thread(void *arg) { return add_often(arg), NULL; }

static void exclusion(void) {
  enum { GS = 4, THREADS = 2 };
  gmx_g g[GS];
  pthread_t t[THREADS];
  for (int i = 0; i < GS; i++) g[i] = go_joinable(add_often, NULL);
  for (int i = 0; i < THREADS; i++) t[i] = thread_start(add_often_thread, NULL);
  join_all(g, GS);
  join_threads(t, THREADS);
  CHECK_EQ(guarded, (GS + THREADS) * 125 * (1 + 2 + 3 + 4));
}

static void wrong_calls(void) {
  CHECK_STATUS(gmx_rmutex_lock(NULL, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_rmutex_try_lock(NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_rmutex_unlock(NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_rmutex_lock((gmx_rmutex *)((char *)&m + 1), 0), GMX_EINVAL);
  m.again = UINT64_MAX; /* as many locks as can be counted */
  CHECK_OK(gmx_rmutex_lock(&m, FOREVER));
  CHECK_STATUS(gmx_rmutex_lock(&m, FOREVER), GMX_EBUSY);
  m.again = 0;
  CHECK_OK(gmx_rmutex_unlock(&m));
}

static void inside(void *arg) {
  (void)arg;
  RUN(depth);
  RUN(wrong_calls);
}

int main(void) {
  start_runtime(3, SECOND / 100);
  CHECK_OK(gmx_main(inside, NULL));
  RUN(depth);
  RUN(exclusion);
  RUN(wrong_calls);
  ends_clean();
  return 0;
}
