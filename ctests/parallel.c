/* timeout: 180 */
/* gmx_parallel_for: each number once, nested, from every context, canceled; an idle P gets a part. */
#include "gs.h"

enum { N = 20000 };
static uint8_t seen[N];
static int64_t longest, calls;

static void mark(void *arg, int64_t begin, int64_t end) {
  (void)arg;
  CHECK(0 <= begin && begin < end && end <= N);
  CHECK(gmx_self() != 0);
  __atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED);
  int64_t before = __atomic_load_n(&longest, __ATOMIC_RELAXED);
  while (end - begin > before &&
         !__atomic_compare_exchange_n(&longest, &before, end - begin, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  for (int64_t i = begin; i < end; i++) __atomic_fetch_add(&seen[i], 1, __ATOMIC_RELAXED);
}

static void once_each(int64_t n, int64_t grain) {
  memset(seen, 0, sizeof seen);
  longest = calls = 0;
  CHECK_OK(gmx_parallel_for(n, grain, mark, NULL));
  for (int64_t i = 0; i < N; i++) CHECK_EQ(seen[i], i < n);
  if (grain > 0) {
    CHECK_CMP(longest, <=, grain);
    CHECK_CMP(calls, >=, (n + grain - 1) / grain);
  }
}

static void sizes(void) {
  static const int64_t ns[] = {0, 1, 2, 3, 7, 8, 9, 100, 4095, N};
  static const int64_t grains[] = {0, 1, 2, 3, 64, N, INT64_MAX};
  for (size_t i = 0; i < sizeof ns / sizeof *ns; i++)
    for (size_t j = 0; j < sizeof grains / sizeof *grains; j++) once_each(ns[i], grains[j]);
}

static void no_range(void *arg, int64_t begin, int64_t end) { (void)arg, (void)begin, (void)end; }

static void wrong_calls(void) {
  CHECK_STATUS(gmx_parallel_for(1, 1, NULL, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_parallel_for(-1, 1, no_range, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_parallel_for(1, -1, no_range, NULL), GMX_EINVAL);
  CHECK_OK(gmx_parallel_for(0, 0, no_range, NULL));
}

/* ---- nested ---- */

static uint64_t cells;

static void inner(void *arg, int64_t begin, int64_t end) {
  (void)arg;
  if (begin % 5 == 0) gmx_yield();
  __atomic_fetch_add(&cells, (uint64_t)(end - begin), __ATOMIC_RELAXED);
}
static void outer(void *arg, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) CHECK_OK(gmx_parallel_for(50, i % 4, inner, arg));
}

static void nested(void) {
  cells = 0;
  CHECK_OK(gmx_parallel_for(200, 1, outer, NULL));
  CHECK_EQ(cells, 200 * 50);
}

/* ---- parts for others ---- */

static int here;

/* Two at once: neither call returns before the other has begun. */
static void meet(void *arg, int64_t begin, int64_t end) {
  (void)arg;
  CHECK_EQ(end, begin + 1);
  bump(&here);
  while (load(&here) < 2) gmx_safepoint();
}

static void two_at_once(void) {
  for (int i = 0; i < 50; i++) {
    store(&here, 0);
    CHECK_OK(gmx_parallel_for(2, 1, meet, NULL));
    CHECK_EQ(here, 2);
  }
}

/* A range that is not cut at the beginning is cut when a P has nothing to do: another goroutine gets a part. Until then
 * each number takes a while, so the result does not depend on how soon that is. */
static int shared;
static uint64_t whose;

static void until_it_is_shared(void *arg, int64_t begin, int64_t end) {
  (void)arg;
  if (begin == 0) __atomic_store_n(&whose, gmx_goid(), __ATOMIC_RELAXED);
  else if (gmx_goid() != __atomic_load_n(&whose, __ATOMIC_RELAXED)) store(&shared, 1);
  for (int64_t i = begin; i < end && !load(&shared); i++) {
    int64_t t = check_now();
    while (check_now() - t < 20000) {
    }
  }
}

static void cut_later(void) {
  store(&shared, 0);
  CHECK_OK(gmx_parallel_for(1000000, 1, until_it_is_shared, NULL)); /* 20 s alone */
  CHECK_EQ(load(&shared), 1);
}

/* ---- cancellation, ends ---- */

static int ran;

static void cancels(void *arg, int64_t begin, int64_t end) {
  (void)begin, (void)end;
  bump(&ran);
  CHECK_OK(gmx_cancel_now(*(gmx_cancel *)arg));
  CHECK_STATUS(gmx_sleep(10 * SECOND), GMX_ECANCELED);
}

static void canceled(void) {
  gmx_cancel c, before;
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &c));
  CHECK_OK(gmx_cancel_use(c, &before));
  ran = 0;
  CHECK_STATUS(gmx_parallel_for(1000000, 1, cancels, &c), GMX_ECANCELED);
  CHECK_CMP(ran, <, 1000); /* at most one batch for each worker */
  CHECK_OK(gmx_cancel_use(before, &before));
  CHECK_OK(gmx_cancel_free(c));
}

/* A part runs under the caller's token. */
static uint32_t never;
static void waits_forever(void *arg, int64_t begin, int64_t end) {
  (void)end;
  if (begin == 0) {
    spin_until(load(&here) == 1);
    CHECK_OK(gmx_cancel_now(*(gmx_cancel *)arg));
  } else {
    store(&here, 1);
    CHECK_STATUS(gmx_sema_acquire(&never), GMX_ECANCELED);
  }
}

static void token_of_the_caller(void) {
  gmx_cancel c, before;
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &c));
  CHECK_OK(gmx_cancel_use(c, &before));
  store(&here, 0);
  CHECK_OK(gmx_parallel_for(2, 1, waits_forever, &c)); /* all were called */
  CHECK_OK(gmx_cancel_use(before, &before));
  CHECK_OK(gmx_cancel_free(c));
}

static void exits(void *arg, int64_t begin, int64_t end) {
  (void)arg, (void)begin, (void)end;
  CHECK_STATUS(gmx_goexit(), GMX_EPERM);
}

static void no_goexit(void) { CHECK_OK(gmx_parallel_for(16, 1, exits, NULL)); }

static void all(void *arg) {
  (void)arg;
  RUN(sizes);
  RUN(nested);
  RUN(two_at_once);
  RUN(cut_later);
  RUN(canceled);
  RUN(token_of_the_caller);
  RUN(no_goexit);
  RUN(wrong_calls);
}

static void attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  all(arg);
  CHECK_OK(gmx_detach_thread());
}

static void locked(void *arg) {
  CHECK_OK(gmx_lock_os_thread());
  all(arg);
  CHECK_OK(gmx_unlock_os_thread());
}

static void foreign(void *arg) {
  (void)arg;
  RUN(sizes);
  RUN(nested);
  RUN(two_at_once);
  RUN(no_goexit);
  RUN(wrong_calls);
}

static void one_p(void *arg) {
  (void)arg;
  int32_t procs = gmx_gomaxprocs(1);
  RUN(sizes);
  RUN(nested);
  RUN(canceled);
  CHECK_EQ(gmx_gomaxprocs(procs), 1);
}

int main(void) {
  start_runtime(3, SECOND / 100);
  CHECK_OK(gmx_main(all, NULL));
  on_g(locked, NULL);
  on_thread(attached, NULL);
  on_thread(foreign, NULL);
  on_g(one_p, NULL);
  ends_clean();
  return 0;
}
