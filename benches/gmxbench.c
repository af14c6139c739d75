/*
 * gmxbench: one case a run, so that each starts in a fresh process. benches/run.py runs them, in turn with the peers.
 *
 *     gmxbench CASE PROCS N [M]     runs CASE on PROCS Ps and prints key=value pairs
 *     gmxbench --list               the cases, with what N and M are
 *
 * It knows nothing of the library but gomax.h. A case is named after the path that it measures; ns is the time of one
 * operation, ms that of the whole. peers/go has the same cases under the same names.
 */
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

long n, m;
int procs;

int32_t wrong(int32_t status, const char *call) {
  fprintf(stderr, "gmxbench: %s: %s\n", call, gmx_err_name(status));
  _exit(1);
}

void *array(size_t count, size_t size) {
  void *memory = calloc(count, size);
  if (memory) return memory;
  fputs("gmxbench: out of memory\n", stderr);
  _exit(1);
}

/* ---- the reports of a case ---- */

static double cpu_ns(void) {
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  return 1e9 * (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e3 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static long status_kb(const char *key) {
  char line[256];
  long value = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f))
    if (strncmp(line, key, strlen(key)) == 0) value = atol(line + strlen(key) + 1);
  if (f) fclose(f);
  return value;
}

static int64_t begin;
static double cpu_begin;

void start(void) {
  cpu_begin = cpu_ns();
  begin = gmx_now();
}

/* also the CPU time of all threads: on a busy machine it can still be compared */
void report_each(double operations) {
  double ns = (double)(gmx_now() - begin) / operations, cpu = (cpu_ns() - cpu_begin) / operations;
  printf("ns=%.2f cpu_ns=%.2f rss_mb=%ld\n", ns, cpu, status_kb("VmHWM") / 1024);
}

static void report_whole(void) {
  double ms = (double)(gmx_now() - begin) / 1e6, cpu = (cpu_ns() - cpu_begin) / 1e6;
  printf("ms=%.3f cpu_ms=%.1f rss_mb=%ld threads=%ld\n", ms, cpu, status_kb("VmHWM") / 1024, status_kb("Threads"));
}

static int ascending(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

/* for latencies, whose mean would show the worst of them only */
static void report_median(int64_t *ns, long count) {
  qsort(ns, (size_t)count, sizeof *ns, ascending);
  printf("ns=%ld p99_ns=%ld max_ns=%ld\n", (long)ns[count / 2], (long)ns[count * 99 / 100], (long)ns[count - 1]);
}

/* ---- yield ---- */

gmx_waitgroup group;

void done(void *wg) { must(gmx_waitgroup_done(wg)); }

static void yielder(void *arg) {
  for (long i = n / m; i; i--) must(gmx_yield());
  done(arg);
}

static void yield(void) {
  must(gmx_waitgroup_add(&group, (int32_t)m));
  start();
  for (long i = 0; i < m; i++) must(gmx_spawn(yielder, &group));
  must(gmx_waitgroup_wait(&group));
  report_each((double)(n / m * m));
}

/* ---- spawn, run, end ---- */

static void spawn_batches(void) {
  start();
  for (long k = 0; k < n / m; k++) {
    must(gmx_waitgroup_add(&group, (int32_t)m));
    for (long i = 0; i < m; i++) must(gmx_spawn(done, &group));
    must(gmx_waitgroup_wait(&group));
  }
  report_each((double)(n / m * m));
}

void nothing(void *unused) { (void)unused; }

static void spawn_join(void) {
  gmx_spawn_opts joinable = {.struct_size = sizeof joinable, .flags = GMX_SPAWN_JOINABLE};
  start();
  for (long i = 0; i < n; i++) {
    gmx_g g;
    must(gmx_spawn_with(&joinable, nothing, NULL, &g));
    must(gmx_join(g, GMX_FOREVER));
  }
  report_each((double)n);
}

/* ---- trees of Gs ---- */

static gmx_spawn_opts tree = {.struct_size = sizeof(gmx_spawn_opts)};

struct node {
  gmx_waitgroup *up;
  _Atomic int64_t *out;
  int64_t first, size;
};

static void skynet_node(void *arg) {
  struct node self = *(struct node *)arg;
  if (self.size == 1) {
    atomic_fetch_add_explicit(self.out, self.first, memory_order_relaxed);
  } else {
    gmx_waitgroup children = {0};
    _Atomic int64_t sum = 0;
    struct node child[10];
    must(gmx_waitgroup_add(&children, 10));
    for (int i = 0; i < 10; i++) {
      child[i] = (struct node){&children, &sum, self.first + i * (self.size / 10), self.size / 10};
      must(gmx_spawn_with(&tree, skynet_node, &child[i], NULL));
    }
    must(gmx_waitgroup_wait(&children));
    atomic_fetch_add_explicit(self.out, sum, memory_order_relaxed);
  }
  must(gmx_waitgroup_done(self.up));
}

static void skynet(void) {
  long power = n;
  while (power % 10 == 0) power /= 10;
  if (power != 1) fputs("gmxbench: N is no power of ten\n", stderr), _exit(2);
  _Atomic int64_t sum = 0;
  struct node root = {&group, &sum, 0, n};
  must(gmx_waitgroup_add(&group, 1));
  start();
  must(gmx_spawn_with(&tree, skynet_node, &root, NULL));
  must(gmx_waitgroup_wait(&group));
  report_whole();
  if (sum != (int64_t)n * (n - 1) / 2) fputs("gmxbench: wrong sum\n", stderr), _exit(1);
}

struct fib {
  gmx_waitgroup *up;
  long n, result;
};

static long fib_of(long k);
static void fib_node(void *arg) {
  struct fib *self = arg;
  self->result = fib_of(self->n);
  must(gmx_waitgroup_done(self->up));
}

static long fib_of(long k) {
  if (k < 2) return k;
  gmx_waitgroup wg = {0};
  struct fib left = {&wg, k - 1, 0};
  must(gmx_waitgroup_add(&wg, 1));
  must(gmx_spawn_with(&tree, fib_node, &left, NULL));
  long right = fib_of(k - 2);
  must(gmx_waitgroup_wait(&wg));
  return left.result + right;
}

static void fib(void) {
  long a = 0, b = 1;
  for (long i = 0; i < n; i++) {
    long next = a + b;
    a = b;
    b = next;
  }
  start();
  if (fib_of(n) != a) fputs("gmxbench: wrong number\n", stderr), _exit(1);
  report_whole();
}

static void skynet_child_first(void) {
  tree.flags = GMX_SPAWN_CHILD_FIRST;
  skynet();
}

static void fib_child_first(void) {
  tree.flags = GMX_SPAWN_CHILD_FIRST;
  fib();
}

/* ---- semaphore and mutex ---- */

static uint32_t ping, pong;
static bool lock_partner;

static void partner(void *unused) {
  (void)unused;
  if (lock_partner) must(gmx_lock_os_thread());
  for (long i = 0; i < n; i++) {
    must(gmx_sema_acquire(&ping));
    must(gmx_sema_release(&pong));
  }
}

static void sema_pingpong(void) {
  must(gmx_spawn(partner, NULL));
  start();
  for (long i = 0; i < n; i++) {
    must(gmx_sema_release(&ping));
    must(gmx_sema_acquire(&pong));
  }
  report_each((double)n);
}

static void locked_thread_pingpong(void) {
  lock_partner = true;
  sema_pingpong();
}

static gmx_mutex mutex;
static long guarded;

static void locker(void *arg) {
  for (long i = 0; i < m; i++) {
    must(gmx_mutex_lock(&mutex));
    guarded++;
    must(gmx_mutex_unlock(&mutex));
  }
  done(arg);
}

static void mutex_contended(void) {
  must(gmx_waitgroup_add(&group, (int32_t)n));
  start();
  for (long i = 0; i < n; i++) must(gmx_spawn(locker, &group));
  must(gmx_waitgroup_wait(&group));
  report_each((double)n * (double)m);
  if (guarded != n * m) fputs("gmxbench: the mutex does not exclude\n", stderr), _exit(1);
}

/* ---- syscalls ---- */

static void syscall_bracket(void) {
  start();
  for (long i = 0; i < n; i++) {
    must(gmx_enter_syscall());
    must(gmx_exit_syscall());
  }
  report_each((double)n);
}

static void syscall_getppid(void) {
  start();
  for (long i = 0; i < n; i++) {
    must(gmx_enter_syscall());
    syscall(SYS_getppid);
    must(gmx_exit_syscall());
  }
  report_each((double)n);
}

static void block_10ms(void *arg) {
  for (long i = 0; i < m; i++) {
    struct timespec t = {0, 10000000};
    must(gmx_enter_syscall());
    syscall(SYS_nanosleep, &t, NULL);
    must(gmx_exit_syscall());
  }
  done(arg);
}

static void syscall_blocking(void) {
  must(gmx_waitgroup_add(&group, (int32_t)n));
  start();
  for (long i = 0; i < n; i++) must(gmx_spawn(block_10ms, &group));
  must(gmx_waitgroup_wait(&group));
  report_whole();
}

/* With one P the spawned G can run only after the P has been taken from the blocking call, which ends when that G
 * writes. */
static int ends[2];
static int64_t ran_at;

static void write_end(void *unused) {
  (void)unused;
  ran_at = gmx_now();
  if (write(ends[1], "", 1) != 1) _exit(1);
}

static void handoff(gmx_status (*enter)(void)) {
  int64_t *taken = array((size_t)n, sizeof *taken);
  if (pipe(ends) != 0) _exit(1);
  for (long i = 0; i < n; i++) {
    char byte;
    must(gmx_spawn(write_end, NULL));
    int64_t left_at = gmx_now();
    must(enter());
    ssize_t got = read(ends[0], &byte, 1);
    must(gmx_exit_syscall());
    if (got != 1) _exit(1);
    taken[i] = ran_at - left_at;
  }
  report_median(taken, n);
}

static void handoff_retaken(void) { handoff(gmx_enter_syscall); }
static void handoff_at_once(void) { handoff(gmx_enter_syscall_blocking); }

/* ---- foreign threads ---- */

static void callback_known_thread(void) {
  must(gmx_callback(nothing, NULL));
  start();
  for (long i = 0; i < n; i++) must(gmx_callback(nothing, NULL));
  report_each((double)n);
}

static void attach_detach(void) {
  start();
  for (long i = 0; i < n; i++) {
    must(gmx_attach_thread());
    must(gmx_detach_thread());
  }
  report_each((double)n);
}

static void *fresh_thread(void *took) {
  int64_t t = gmx_now();
  if (took) {
    must(gmx_callback(nothing, NULL));
    *(int64_t *)took = gmx_now() - t;
  }
  return NULL;
}

static void callback_first(void) {
  int64_t *took = array((size_t)n, sizeof *took), with = 0, without = 0;
  for (long i = 0; i < 2 * n; i++) {
    pthread_t thread;
    int64_t t = gmx_now();
    if (pthread_create(&thread, NULL, fresh_thread, i % 2 ? &took[i / 2] : NULL) != 0) _exit(1);
    pthread_join(thread, NULL);
    *(i % 2 ? &with : &without) += gmx_now() - t;
  }
  printf("thread_ns=%ld ", (long)((with - without) / n)); /* with the extra cost of the thread's end */
  report_median(took, n);
}

/* ---- the other locks: as the benchmarks of Go's own package sync ---- */

static void mutex_uncontended(void) {
  start();
  for (long i = 0; i < n; i++) {
    must(gmx_mutex_lock(&mutex));
    must(gmx_mutex_unlock(&mutex));
  }
  report_each((double)n);
}

static gmx_rwmutex rwmutex;

static void rlock_uncontended(void) {
  start();
  for (long i = 0; i < n; i++) {
    must(gmx_rwmutex_rlock(&rwmutex));
    must(gmx_rwmutex_runlock(&rwmutex));
  }
  report_each((double)n);
}

static void reader_writer(void *arg) { /* every hundredth writes */
  for (long i = 0; i < m; i++) {
    if (i % 100 == 0) {
      must(gmx_rwmutex_lock(&rwmutex));
      guarded++;
      must(gmx_rwmutex_unlock(&rwmutex));
    } else {
      must(gmx_rwmutex_rlock(&rwmutex));
      if (guarded < 0) _exit(1);
      must(gmx_rwmutex_runlock(&rwmutex));
    }
  }
  done(arg);
}

static void rwmutex_read_mostly(void) {
  must(gmx_waitgroup_add(&group, (int32_t)n));
  start();
  for (long i = 0; i < n; i++) must(gmx_spawn(reader_writer, &group));
  must(gmx_waitgroup_wait(&group));
  report_each((double)n * (double)m);
}

static gmx_cond cond;
static long turn;

static void cond_player(void *arg) { /* as BenchmarkCond: each wakes all others, and waits */
  (void)arg;
  must(gmx_mutex_lock(&mutex));
  while (turn < n) {
    turn++;
    must(gmx_cond_broadcast(&cond));
    if (turn < n) must(gmx_cond_wait(&cond, &mutex));
  }
  must(gmx_mutex_unlock(&mutex));
  done(&group);
}

static void cond_broadcast(void) {
  must(gmx_waitgroup_add(&group, (int32_t)m));
  start();
  for (long i = 0; i < m; i++) must(gmx_spawn(cond_player, (void *)i));
  must(gmx_waitgroup_wait(&group));
  report_each((double)n);
}

static bool pinged;

static void cond_partner(void *unused) {
  (void)unused;
  must(gmx_mutex_lock(&mutex));
  for (long i = 0; i < n; i++) {
    while (!pinged) must(gmx_cond_wait(&cond, &mutex));
    pinged = false;
    must(gmx_cond_signal(&cond));
  }
  must(gmx_mutex_unlock(&mutex));
}

static void cond_pingpong(void) {
  must(gmx_spawn(cond_partner, NULL));
  must(gmx_mutex_lock(&mutex));
  start();
  for (long i = 0; i < n; i++) {
    pinged = true;
    must(gmx_cond_signal(&cond));
    while (pinged) must(gmx_cond_wait(&cond, &mutex));
  }
  must(gmx_mutex_unlock(&mutex));
  report_each((double)n);
}

static gmx_once once;

static void once_fast(void) {
  start();
  for (long i = 0; i < n; i++) must(gmx_once_do(&once, nothing, NULL));
  report_each((double)n);
}

/* ---- timers: as the benchmarks of Go's own package time ---- */

static const int64_t HOUR = INT64_C(3600000000000);

static void timer_start_stop(void) { /* beside M others */
  gmx_timer t;
  for (long i = 0; i < m; i++) must(gmx_after_func(HOUR, nothing, NULL, &t));
  start();
  for (long i = 0; i < n; i++) {
    must(gmx_after_func(HOUR, nothing, NULL, &t));
    must(gmx_timer_free(t, NULL));
  }
  report_each((double)n);
}

static void timer_reset(void) {
  gmx_timer *t = array((size_t)m, sizeof *t);
  for (long i = 0; i < m; i++) must(gmx_after_func(HOUR, nothing, NULL, &t[i]));
  start();
  for (long i = 0; i < n; i++) must(gmx_timer_reset(t[i % m], HOUR + i % 1000, 0, NULL));
  report_each((double)n);
}

static uint64_t mix(uint64_t i);

static atomic_long left;
static uint32_t all_fired;

static void timer_fires(void *unused) {
  (void)unused;
  if (atomic_fetch_sub(&left, 1) == 1) must(gmx_sema_release(&all_fired));
}

static void timers_fire(void) { /* N functions, at 1 to M milliseconds */
  gmx_timer *t = array((size_t)n, sizeof *t);
  left = n;
  start();
  for (long i = 0; i < n; i++)
    must(gmx_after_func((int64_t)(mix((uint64_t)i) % (uint64_t)m + 1) * 1000000, timer_fires, NULL, &t[i]));
  must(gmx_sema_acquire(&all_fired));
  for (long i = 0; i < n; i++) must(gmx_timer_free(t[i], NULL));
  report_whole();
}

static void timers_stopped(void) { /* N that never fire */
  gmx_timer *t = array((size_t)n, sizeof *t);
  start();
  for (long i = 0; i < n; i++) must(gmx_after_func(HOUR + (int64_t)(mix((uint64_t)i) % 1000000), nothing, NULL, &t[i]));
  for (long i = 0; i < n; i++) must(gmx_timer_free(t[i], NULL));
  report_each((double)n);
}

static void ticker(void) { /* N ticks, one every M microseconds */
  gmx_timer t;
  gmx_chan *c;
  int64_t at;
  must(gmx_ticker_new(m * 1000, &t, &c));
  start();
  for (long i = 0; i < n; i++) must(gmx_chan_recv(c, &at));
  report_each((double)n);
}

static void sleep_short(void) { /* N sleeps of M microseconds */
  int64_t *took = array((size_t)n, sizeof *took);
  for (long i = 0; i < n; i++) {
    int64_t t = gmx_now();
    must(gmx_sleep(m * 1000));
    took[i] = gmx_now() - t;
  }
  report_median(took, n);
}

/* ---- sleeping and waiting in numbers ---- */

static int64_t *late;

static uint64_t mix(uint64_t i) { /* splitmix64; the peers use the same, so that all sleep alike */
  uint64_t z = i * UINT64_C(0x9e3779b97f4a7c15) + UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static void sleeper(void *arg) {
  long i = (long)arg;
  int64_t ns = (int64_t)(mix((uint64_t)i) % 1000 + 1) * 1000000, t = gmx_now();
  must(gmx_sleep(ns));
  late[i] = gmx_now() - t - ns;
  done(&group);
}

static void sleep_storm(void) {
  late = array((size_t)n, sizeof *late);
  must(gmx_waitgroup_add(&group, (int32_t)n));
  start();
  for (long i = 0; i < n; i++) must(gmx_spawn(sleeper, (void *)i));
  must(gmx_waitgroup_wait(&group));
  double ms = (double)(gmx_now() - begin) / 1e6, cpu = cpu_ns() - cpu_begin;
  qsort(late, (size_t)n, sizeof *late, ascending);
  printf("ms=%.1f cpu_ms=%.1f p50_us=%.1f p99_us=%.1f rss_mb=%ld\n", ms, cpu / 1e6, (double)late[n / 2] / 1e3,
         (double)late[n * 99 / 100] / 1e3, status_kb("VmHWM") / 1024);
  if (late[0] < 0) fputs("gmxbench: woken too early\n", stderr), _exit(1);
}

static uint32_t gate, all_started;
static long to_start;
static atomic_long started;

static void waiter(void *unused) {
  (void)unused;
  if (atomic_fetch_add(&started, 1) + 1 == to_start) must(gmx_sema_release(&all_started));
  must(gmx_sema_acquire(&gate));
}

static void park_so_many(long gs) {
  to_start = gs;
  for (long i = 0; i < gs; i++) must(gmx_spawn(waiter, NULL));
  must(gmx_sema_acquire(&all_started));
}

static void parked(void) {
  long before = status_kb("VmRSS");
  start();
  park_so_many(n);
  double ns = (double)(gmx_now() - begin) / (double)n, cpu = (cpu_ns() - cpu_begin) / (double)n;
  printf("ns=%.1f cpu_ns=%.1f rss_b=%.0f\n", ns, cpu, 1024 * (double)(status_kb("VmRSS") - before) / (double)n);
}

/* ---- the stacks of Gs ---- */

static gmx_status takes_text(void *bytes, const char *text, size_t size) {
  (void)text;
  *(size_t *)bytes = size;
  return GMX_OK;
}

static void dump(uint32_t flags) {
  size_t bytes = 0;
  park_so_many(m);
  start();
  for (long i = 0; i < n; i++) must(gmx_dump_goroutines(takes_text, &bytes, flags));
  double ns = (double)(gmx_now() - begin) / (double)n, cpu = (cpu_ns() - cpu_begin) / (double)n;
  printf("ns=%.0f cpu_ns=%.0f text_kb=%zu rss_mb=%ld\n", ns, cpu, bytes / 1024, status_kb("VmHWM") / 1024);
}

static void dump_goroutines(void) { dump(0); }
static void dump_goroutines_json(void) { dump(GMX_DUMP_JSON); }
static void dump_goroutines_groups(void) { dump(GMX_DUMP_GROUPS); }

/* ---- the world, barriers, numbers of Ps ---- */

static void stop_start_world(void) {
  start();
  for (long i = 0; i < n; i++) {
    must(gmx_stop_the_world("bench"));
    must(gmx_start_the_world());
  }
  report_each((double)n);
}

static void for_each_p(void) {
  start();
  for (long i = 0; i < n; i++) must(gmx_for_each_p(nothing, NULL));
  report_each((double)n);
}

/* the same while another G computes */
static atomic_bool computing, enough;

static void compute(void *unused) {
  (void)unused;
  computing = true;
  while (!atomic_load_explicit(&enough, memory_order_relaxed)) gmx_safepoint();
}

static void with_a_busy_p(void (*body)(void)) {
  must(gmx_spawn(compute, NULL));
  while (!computing) must(gmx_yield());
  body();
  enough = true;
}

static void stop_start_busy_world(void) { with_a_busy_p(stop_start_world); }
static void for_each_busy_p(void) { with_a_busy_p(for_each_p); }

static void gomaxprocs(void) {
  start();
  for (long i = 0; i < n; i++) must(gmx_gomaxprocs(i % 2 ? procs : (int32_t)m));
  report_each((double)n);
}

static void read_mem_stats(void) {
  gmx_mem_stats stats = {.struct_size = sizeof stats};
  start();
  for (long i = 0; i < n; i++) must(gmx_read_mem_stats(&stats));
  report_each((double)n);
}

static void idle_cpu(void) {
  must(gmx_waitgroup_add(&group, 1000));
  for (int i = 0; i < 1000; i++) must(gmx_spawn(done, &group)); /* every thread has worked before */
  must(gmx_waitgroup_wait(&group));
  must(gmx_sleep(100000000));
  start();
  must(gmx_sleep(n * 1000000));
  printf("us_per_s=%.1f\n", (cpu_ns() - cpu_begin) / 1e3 / ((double)(gmx_now() - begin) / 1e9));
}

static void pin_unpin(void) {
  start();
  for (long i = 0; i < n; i++) {
    must(gmx_pin());
    must(gmx_unpin());
  }
  report_each((double)n);
}

/* ---- channels: as the benchmarks of Go's own package runtime ---- */

gmx_chan *chan_of(size_t size, size_t capacity) {
  gmx_chan *c;
  must(gmx_chan_new(size, capacity, &c));
  return c;
}

static gmx_chan *chan_to, *chan_back;

static void chan_echo(void *unused) {
  (void)unused;
  for (long i = 0; i < n; i++) {
    int64_t v;
    must(gmx_chan_recv(chan_to, &v));
    must(gmx_chan_send(chan_back, &v));
  }
}

static void chan_pingpong_of(size_t capacity) {
  chan_to = chan_of(sizeof(int64_t), capacity);
  chan_back = chan_of(sizeof(int64_t), capacity);
  must(gmx_spawn(chan_echo, NULL));
  start();
  for (int64_t i = 0; i < n; i++) {
    int64_t v = i;
    must(gmx_chan_send(chan_to, &v));
    must(gmx_chan_recv(chan_back, &v));
  }
  report_each((double)n);
}

static void chan_pingpong(void) { chan_pingpong_of(0); }
static void chan_pingpong_buffered(void) { chan_pingpong_of(1); }

static void chan_producer(void *unused) {
  (void)unused;
  for (int64_t i = 0; i < n; i++) must(gmx_chan_send(chan_to, &i));
  must(gmx_chan_close(chan_to));
}

static void chan_prod_cons(void) {
  int64_t v, sum = 0;
  chan_to = chan_of(sizeof v, (size_t)m - 1); /* M 1 is no buffer */
  start();
  must(gmx_spawn(chan_producer, NULL));
  while (gmx_chan_recv(chan_to, &v) == GMX_OK) sum += v;
  report_each((double)n);
  if (sum != (int64_t)n * (n - 1) / 2) fputs("gmxbench: wrong sum\n", stderr), _exit(1);
}

static void chan_fan_producer(void *unused) {
  (void)unused;
  for (int64_t i = 0; i < n / m; i++) must(gmx_chan_send(chan_to, &i));
}

static void chan_fan_in(void) {
  int64_t v;
  chan_to = chan_of(sizeof v, 0);
  start();
  for (long i = 0; i < m; i++) must(gmx_spawn(chan_fan_producer, NULL));
  for (long i = 0; i < n / m * m; i++) must(gmx_chan_recv(chan_to, &v));
  report_each((double)(n / m * m));
}

static void chan_try_recv(void) {
  int64_t v;
  chan_to = chan_of(sizeof v, 0);
  start();
  for (long i = 0; i < n; i++)
    if (gmx_chan_try_recv(chan_to, &v) != GMX_EAGAIN) _exit(1);
  report_each((double)n);
}

static void chan_uncontended(void) {
  int64_t v = 0;
  chan_to = chan_of(sizeof v, (size_t)m);
  start();
  for (long i = 0; i < n / m; i++) {
    for (long k = 0; k < m; k++) must(gmx_chan_send(chan_to, &v));
    for (long k = 0; k < m; k++) must(gmx_chan_recv(chan_to, &v));
  }
  report_each((double)(n / m * m));
}

static void chan_select_uncontended(void) {
  int64_t v = 1;
  gmx_chan *a = chan_of(sizeof v, 1), *b = chan_of(sizeof v, 1);
  gmx_select_case cases[] = {{.chan = a, .elem = &v}, {.chan = b, .elem = &v}};
  size_t chosen;
  must(gmx_chan_send(a, &v));
  start();
  for (long i = 0; i < n; i++) {
    must(gmx_select(cases, 2, GMX_FOREVER, &chosen));
    must(gmx_chan_send(chosen == 0 ? b : a, &v));
  }
  report_each((double)n);
}

static void chan_select_default(void) {
  int64_t v = 1;
  gmx_select_case cases[] = {{.chan = chan_of(sizeof v, 1), .elem = &v}, {.chan = chan_of(sizeof v, 1), .elem = &v}};
  start();
  for (long i = 0; i < n; i++)
    if (gmx_select(cases, 2, 0, NULL) != GMX_ETIMEDOUT) _exit(1);
  report_each((double)n);
}

/* both sides select between the channel and one on which nothing ever comes */
static void chan_select_producer(void *unused) {
  (void)unused;
  int64_t v;
  gmx_select_case cases[] = {{.chan = chan_to, .elem = &v, .op = GMX_CASE_SEND}, {.chan = chan_back, .elem = &v}};
  for (v = 0; v < n; v++) must(gmx_select(cases, 2, GMX_FOREVER, NULL));
}

static void chan_select_prod_cons(void) {
  int64_t v;
  size_t chosen;
  chan_to = chan_of(sizeof v, (size_t)m - 1);
  chan_back = chan_of(sizeof v, 0);
  gmx_select_case cases[] = {{.chan = chan_to, .elem = &v}, {.chan = chan_back, .elem = &v}};
  must(gmx_spawn(chan_select_producer, NULL));
  start();
  for (int64_t i = 0; i < n; i++) {
    must(gmx_select(cases, 2, GMX_FOREVER, &chosen));
    if (v != i || chosen != 0) fputs("gmxbench: wrong value\n", stderr), _exit(1);
  }
  report_each((double)n);
}

/* ---- main ---- */

static const struct bench cases[] = {
    {"yield", yield, false, "N yields by M Gs"},
    {"spawn_batches", spawn_batches, false, "N Gs, M at a time"},
    {"spawn_join", spawn_join, false, "N Gs, one at a time"},
    {"skynet", skynet, false, "N leaves, a power of ten; parent first, as Go does"},
    {"skynet_child_first", skynet_child_first, false, "N leaves"},
    {"fib", fib, false, "fib(N), a G at every node"},
    {"fib_child_first", fib_child_first, false, "fib(N)"},
    {"sema_pingpong", sema_pingpong, false, "N round trips"},
    {"locked_thread_pingpong", locked_thread_pingpong, false, "N round trips with a G that is locked to its thread"},
    {"mutex_uncontended", mutex_uncontended, false, "N times lock and unlock"},
    {"rlock_uncontended", rlock_uncontended, false, "N times read lock and unlock"},
    {"rwmutex_read_mostly", rwmutex_read_mostly, false, "N Gs, each M times lock and unlock, every hundredth to write"},
    {"cond_broadcast", cond_broadcast, false, "N broadcasts to M Gs"},
    {"cond_pingpong", cond_pingpong, false, "N round trips"},
    {"once_fast", once_fast, false, "N times"},
    {"timer_start_stop", timer_start_stop, false, "N times, beside M timers"},
    {"timer_reset", timer_reset, false, "N resets of M timers"},
    {"timers_fire", timers_fire, false, "N timers at 1 to M ms"},
    {"timers_stopped", timers_stopped, false, "N timers that are stopped"},
    {"ticker", ticker, false, "N ticks, one every M us"},
    {"sleep_short", sleep_short, false, "N sleeps of M us"},
    {"mutex_contended", mutex_contended, false, "N Gs, each M times lock and unlock"},
    {"chan_pingpong", chan_pingpong, false, "N round trips, two channels without buffer"},
    {"chan_pingpong_buffered", chan_pingpong_buffered, false, "N round trips, two channels with room for one"},
    {"chan_prod_cons", chan_prod_cons, false, "N values from a G to another, room for M - 1"},
    {"chan_fan_in", chan_fan_in, false, "N values from M Gs to one"},
    {"chan_try_recv", chan_try_recv, false, "N times from an empty channel"},
    {"chan_uncontended", chan_uncontended, false, "N values sent and received by one G, M at a time"},
    {"chan_select_uncontended", chan_select_uncontended, false, "N times one of two that is ready, and a send"},
    {"chan_select_default", chan_select_default, false, "N times two that are not ready"},
    {"chan_select_prod_cons", chan_select_prod_cons, false, "N values, both sides select; room for M - 1"},
    {"syscall_bracket", syscall_bracket, false, "N times enter and exit"},
    {"syscall_getppid", syscall_getppid, false, "N times enter, getppid, exit"},
    {"syscall_blocking", syscall_blocking, false, "N Gs, each M times 10 ms"},
    {"handoff_retaken", handoff_retaken, false, "N blocking calls with a G waiting for the P"},
    {"handoff_at_once", handoff_at_once, false, "N calls that say that they will block"},
    {"callback_known_thread", callback_known_thread, true, "N callbacks"},
    {"callback_first", callback_first, true, "N threads, one callback each"},
    {"attach_detach", attach_detach, true, "N times"},
    {"sleep_storm", sleep_storm, false, "N Gs sleep 1 to 1000 ms"},
    {"parked", parked, false, "N Gs wait at a semaphore"},
    {"dump_goroutines", dump_goroutines, false, "N times, M parked Gs"},
    {"dump_goroutines_json", dump_goroutines_json, false, "N times, M parked Gs"},
    {"dump_goroutines_groups", dump_goroutines_groups, false, "N times, M parked Gs"},
    {"stop_start_world", stop_start_world, false, "N times, other Ps idle"},
    {"stop_start_busy_world", stop_start_busy_world, false, "N times, one other P busy"},
    {"for_each_p", for_each_p, false, "N times, other Ps idle"},
    {"for_each_busy_p", for_each_busy_p, false, "N times, one other P busy"},
    {"gomaxprocs", gomaxprocs, false, "N changes between PROCS and M"},
    {"read_mem_stats", read_mem_stats, false, "N times"},
    {"idle_cpu", idle_cpu, false, "N milliseconds"},
    {"pin_unpin", pin_unpin, false, "N times"},
    {0},
};
static const struct bench *const tables[] = {cases, go_suite, io_suite};

static void run(void *body) {
  (*(void (*const *)(void))body)();
  fflush(stdout);
  _exit(0); /* the leftovers of a case, such as a million parked Gs, need not be freed */
}

static const struct bench *find(const char *name) {
  for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
    for (const struct bench *b = tables[t]; b->name; b++)
      if (strcmp(name, b->name) == 0) return b;
  return NULL;
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "--list") == 0) {
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
      for (const struct bench *b = tables[t]; b->name; b++) printf("%-24s %s\n", b->name, b->parameters);
    return 0;
  }
  const struct bench *b = argc >= 4 ? find(argv[1]) : NULL;
  if (b) {
    procs = atoi(argv[2]);
    n = atol(argv[3]);
    m = argc > 4 ? atol(argv[4]) : 1;
  }
  if (!b || procs < 1 || n < 1 || m < 1) {
    fputs("usage: gmxbench CASE PROCS N [M], or gmxbench --list\n", stderr);
    return 2;
  }
  gmx_config config;
  must(gmx_config_default(&config));
  config.maxprocs = procs;
  must(gmx_init(&config));
  if (b->on_thread) run((void *)&b->body);
  must(gmx_main(run, (void *)&b->body));
}
