/* timeout: 120 */
/* Fifty hogs in malloc and free, on one P and on two: with the C library's malloc, which has many locks, and with a
 * malloc that has one lock for all threads, as a library that LD_PRELOAD names may have. A hog is held with such a lock
 * all the time. Beside them Gs are spawned that need more memory, threads start, and the library needs more threads. */
#include "beside.h"
#include "seed.h"

/* ---- a malloc with one lock, in the place of the C library's for the whole process ---- */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static bool one_lock; /* changed while one thread runs */
static pthread_mutex_t malloc_lock = PTHREAD_MUTEX_INITIALIZER;
static long locked_calls; /* under the lock */

static void lock_malloc(void) {
  if (!load(&one_lock)) return;
  pthread_mutex_lock(&malloc_lock);
  locked_calls++;
}

static void unlock_malloc(void) {
  if (load(&one_lock)) pthread_mutex_unlock(&malloc_lock);
}

#define LOCKED(call)     \
  lock_malloc();         \
  void *at = call;       \
  unlock_malloc();       \
  return at

void *malloc(size_t n) { LOCKED(__libc_malloc(n)); }
void *calloc(size_t n, size_t each) { LOCKED(__libc_calloc(n, each)); }
void *realloc(void *old, size_t n) { LOCKED(__libc_realloc(old, n)); }
void *memalign(size_t align, size_t n) { LOCKED(__libc_memalign(align, n)); }
void *aligned_alloc(size_t align, size_t n) { LOCKED(__libc_memalign(align, n)); }
int posix_memalign(void **out, size_t align, size_t n) {
  *out = memalign(align, n);
  return *out ? 0 : 12;
}
void free(void *at) {
  lock_malloc();
  __libc_free(at);
  unlock_malloc();
}

/* ---- what moves beside the hogs ---- */

static struct {
  int threads;        /* of the host, which have begun and ended */
  int grown, blocked; /* rounds of spawns, and of blocking calls */
  int over;
} others;

static void *allocates_once(void *arg) {
  char *text = malloc(100);
  CHECK(text != NULL);
  snprintf(text, 100, "%p", arg);
  free(text);
  return arg;
}

static void *starts_threads(void *arg) {
  while (!load(&others.over)) {
    CHECK(thread_join(thread_start(allocates_once, &others)) == &others);
    bump(&others.threads);
  }
  return arg;
}

/* More Gs at a time than there were before: each round needs more memory. */
static void spawns_more_and_more(void *arg) {
  (void)arg;
  for (int n = 100; !load(&others.over); n += 100) {
    int begun = 0;
    gmx_g *gs = malloc((size_t)n * sizeof *gs);
    CHECK(gs != NULL);
    for (int i = 0; i < n; i++) gs[i] = go_joinable(add_one, &begun);
    join_all(gs, n);
    CHECK_EQ(load(&begun), n);
    free(gs);
    bump(&others.grown);
  }
}

static void sleeps(void *arg) {
  thread_nap(MS);
  bump((int *)arg);
}

static void blocks(void *arg) { CHECK_OK(gmx_blocking(sleeps, arg)); }

/* Each call needs a thread of its own. */
static void blocks_many_times(void *arg) {
  (void)arg;
  while (!load(&others.over)) {
    enum { N = 10 };
    gmx_g gs[N];
    int slept = 0;
    for (int i = 0; i < N; i++) gs[i] = go_joinable(blocks, &slept);
    join_all(gs, N);
    CHECK_EQ(load(&slept), N);
    bump(&others.blocked);
  }
}

static bool all_moved(void) {
  return moved() && load(&others.threads) >= BESIDE_ENOUGH && load(&others.grown) >= BESIDE_ENOUGH &&
         load(&others.blocked) >= BESIDE_ENOUGH;
}

/* ---- hogs ---- */

enum { HOGS = 50, BLOCKS = 16 };
static int begun;

static void allocates(void *arg) {
  int me = (int)(intptr_t)arg;
  uint64_t seed = (uint64_t)me + 1;
  bump(&begun);
  while (!all_moved() || load(&begun) < HOGS) {
    unsigned char *at[BLOCKS];
    size_t sizes[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
      sizes[i] = 16 + random_below(&seed, i ? 3000 : 200000);
      CHECK((at[i] = malloc(sizes[i])) != NULL);
      at[i][0] = at[i][sizes[i] - 1] = (unsigned char)(me + i);
    }
    CHECK((at[1] = realloc(at[1], 4 * sizes[1])) != NULL);
    for (int i = 0; i < BLOCKS; i++) {
      CHECK_EQ(at[i][0], (unsigned char)(me + i));
      CHECK_EQ(at[i][sizes[i] - 1], (unsigned char)(me + i));
      free(at[i]);
    }
  }
}

static void hogs_allocate(int ps, bool global) {
  gmx_g hogs[HOGS], grows, blocked;
  int64_t begin = check_now();
  start_runtime(ps, MS);
  store(&one_lock, global);
  locked_calls = 0;
  memset(&others, 0, sizeof others);
  store(&begun, 0);
  beside_start();
  pthread_t starter = thread_start(starts_threads, NULL);
  grows = go_joinable(spawns_more_and_more, NULL);
  blocked = go_joinable(blocks_many_times, NULL);
  for (int i = 0; i < HOGS; i++) hogs[i] = go_joinable(allocates, (void *)(intptr_t)i);
  join_all(hogs, HOGS);
  store(&others.over, 1);
  join(grows);
  join(blocked);
  thread_join(starter);
  beside_end();
  gmx_sched_stats stats = sched_stats();
  CHECK_CMP(stats.seized + stats.taken, >, 0);
  ends_clean();
  store(&one_lock, false);
  if (global) CHECK_CMP(locked_calls, >, 2 * HOGS * BLOCKS);
  check_say("  %d Ps, %s: %" PRId64 " ms; %" PRIu64 " held, %" PRIu64 " taken", ps, global ? "one lock" : "many locks",
            (check_now() - begin) / MS, stats.seized, stats.taken);
}

static void many_locks_on_one_p(void) { hogs_allocate(1, false); }
static void many_locks_on_two_ps(void) { hogs_allocate(2, false); }
static void one_lock_on_one_p(void) { hogs_allocate(1, true); }
static void one_lock_on_two_ps(void) { hogs_allocate(2, true); }

int main(void) {
  RUN(many_locks_on_one_p);
  RUN(many_locks_on_two_ps);
  RUN(one_lock_on_one_p);
  RUN(one_lock_on_two_ps);
  return 0;
}
