/* timeout: 120 */
/* env: GMX_MAXPROCS=1 */
/* flags: -Wl,-z,now */
/*
 * The library uses no more of a goroutine's stack than gmx_spawn_opts.stack_size promises in the header. A G with the
 * smallest stack paints it, makes each call, and looks how far down the paint is gone. Another G only yields, while the
 * Gs around it make the same calls: the library's work for a G that has left runs on the stack of the next G.
 */
#include "gs.h"
#include "objects.h"

#include <dlfcn.h>
#include <fcntl.h>

/* The limit in the header for the library that ships; and the limit for a G that makes Ps. */
enum { MOST = 2048, MOST_OF_PS = 8192 };
/* How many times as much a library without optimization may use. */
enum { UNOPTIMIZED = 8 };

enum { PAINT = 0xc5, RED_ZONE = 256 };

/* ---- paint ---- */

struct painted {
  unsigned char *lo, *top;
};

static __attribute__((__noinline__)) struct painted paint(void) {
  void *lo, *hi;
  CHECK_OK(gmx_stack_bounds(&lo, &hi));
  unsigned char *top = (unsigned char *)__builtin_frame_address(0) - RED_ZONE;
  for (volatile unsigned char *p = lo; p < top; p++) *p = PAINT;
  return (struct painted){lo, top};
}

/* How far below the painter's frame something has written. */
static __attribute__((__noinline__)) int64_t used(struct painted at) {
  unsigned char *p = at.lo;
  while (p < at.top && *p == PAINT) p++;
  return at.top - p + RED_ZONE;
}

/* ---- each call ---- */

static uint32_t hold, sema_0, sema_1 = 1, a_futex;
static gmx_mutex mutex;
static gmx_rwmutex rw;
static gmx_cond cond;
static gmx_waitgroup wg;
static gmx_chan *chan, *full;
static gmx_key key;
static gmx_p_key p_key;
static int dev_null;

static void bumps(void *arg) { bump((uint32_t *)arg); }
static gmx_status succeeds(void *arg) {
  (void)arg;
  return GMX_OK;
}
static void counts(void *arg, const gmx_g_info *info) { *(int *)arg += info->g != 0; }
static bool readies(void *arg, gmx_g g) {
  (void)arg;
  CHECK_OK(gmx_ready(g));
  return true;
}

static void c_spawn(void) { CHECK_OK(gmx_spawn(nothing, NULL)); }
static void c_spawn_many(void) {
  for (int i = 0; i < 5000; i++) CHECK_OK(gmx_spawn(nothing, NULL));
  for (int i = 0; i < 100; i++) CHECK_OK(gmx_yield());
}
static void sleeps(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sleep(1000000));
}
static void c_spawn_many_at_once(void) {
  static const size_t sizes[] = {0, 1, 60000, 1 << 20};
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .name = "many"};
  for (int i = 0; i < 400; i++) {
    opts.stack_size = sizes[i % 4];
    CHECK_OK(gmx_spawn_with(&opts, sleeps, NULL, NULL));
  }
  CHECK_OK(gmx_sleep(3000000));
}
static void acquires(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sema_acquire(&hold));
}
static void c_join(void) {
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = GMX_SPAWN_JOINABLE};
  gmx_g g;
  CHECK_OK(gmx_spawn_with(&opts, nothing, NULL, &g));
  CHECK_OK(gmx_join(g, GMX_FOREVER));
  CHECK_OK(gmx_spawn_with(&opts, acquires, NULL, &g));
  CHECK_STATUS(gmx_join(g, 1000), GMX_ETIMEDOUT);
  CHECK_OK(gmx_sema_release(&hold));
  CHECK_OK(gmx_join(g, GMX_FOREVER));
}
static void c_child_first(void) {
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = GMX_SPAWN_JOINABLE | GMX_SPAWN_CHILD_FIRST, .stack_size = 1};
  gmx_g g;
  CHECK_OK(gmx_spawn_with(&opts, nothing, NULL, &g));
  CHECK_OK(gmx_join(g, GMX_FOREVER));
}
static void c_yield(void) { CHECK_OK(gmx_yield()); }
static void c_park(void) { CHECK_OK(gmx_park(readies, NULL, "test")); }
static void c_sleep(void) { CHECK_OK(gmx_sleep(100000)); }
static void c_sema(void) {
  CHECK_STATUS(gmx_sema_acquire_timeout(&sema_0, 100000), GMX_ETIMEDOUT);
  CHECK_OK(gmx_sema_acquire(&sema_1));
  CHECK_OK(gmx_sema_release(&sema_1));
}
static void holds_both(void *arg) {
  CHECK_OK(gmx_mutex_lock(&mutex));
  CHECK_OK(gmx_rwmutex_lock(&rw));
  CHECK_OK(gmx_sema_acquire(&hold));
  CHECK_OK(gmx_rwmutex_unlock(&rw));
  CHECK_OK(gmx_mutex_unlock(&mutex));
  (void)arg;
}
static void held_elsewhere(void) {
  CHECK_OK(gmx_spawn(holds_both, NULL));
  spin_until(waiting("semacquire") == 1);
}
static void c_mutex(void) {
  held_elsewhere();
  CHECK_STATUS(gmx_mutex_lock_timeout(&mutex, 1000), GMX_ETIMEDOUT);
  CHECK_OK(gmx_sema_release(&hold));
  CHECK_OK(gmx_mutex_lock(&mutex));
  CHECK_OK(gmx_mutex_unlock(&mutex));
}
static void c_rwmutex(void) {
  held_elsewhere();
  CHECK_STATUS(gmx_rwmutex_rlock_timeout(&rw, 1000), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_rwmutex_lock_timeout(&rw, 1000), GMX_ETIMEDOUT);
  CHECK_OK(gmx_sema_release(&hold));
  CHECK_OK(gmx_rwmutex_rlock(&rw));
  CHECK_OK(gmx_rwmutex_runlock(&rw));
  CHECK_OK(gmx_rwmutex_lock(&rw));
  CHECK_OK(gmx_rwmutex_unlock(&rw));
}
static void signals(void *arg) {
  (void)arg;
  CHECK_OK(gmx_cond_broadcast(&cond));
}
static void c_cond(void) {
  CHECK_OK(gmx_mutex_lock(&mutex));
  CHECK_STATUS(gmx_cond_wait_timeout(&cond, &mutex, 1000), GMX_ETIMEDOUT);
  CHECK_OK(gmx_spawn(signals, NULL));
  CHECK_OK(gmx_cond_wait(&cond, &mutex));
  CHECK_OK(gmx_mutex_unlock(&mutex));
}
static void c_waitgroup(void) {
  CHECK_OK(gmx_waitgroup_add(&wg, 1));
  CHECK_STATUS(gmx_waitgroup_wait_timeout(&wg, 1000), GMX_ETIMEDOUT);
  CHECK_OK(gmx_waitgroup_done(&wg));
  CHECK_OK(gmx_waitgroup_wait(&wg));
}
static void c_barrier(void) {
  static gmx_barrier two = GMX_BARRIER_INIT(2), one = GMX_BARRIER_INIT(1);
  CHECK_STATUS(gmx_barrier_wait_timeout(&two, 1000, NULL), GMX_ETIMEDOUT);
  CHECK_OK(gmx_barrier_wait(&one, NULL));
}
static void c_once(void) {
  gmx_once once = {0};
  CHECK_OK(gmx_once_do(&once, nothing, NULL));
}
static void receives(void *arg) {
  int v;
  CHECK_OK(gmx_chan_recv(arg, &v));
}
static void c_chan(void) {
  int v = 1;
  gmx_chan *c;
  CHECK_OK(gmx_chan_new(sizeof v, 0, &c));
  CHECK_STATUS(gmx_chan_recv_timeout(c, &v, 1000), GMX_ETIMEDOUT);
  CHECK_OK(gmx_spawn(receives, c));
  CHECK_OK(gmx_chan_send(c, &v));
  CHECK_OK(gmx_chan_close(c));
  CHECK_OK(gmx_chan_free(c));
}
/* As many cases as a program may well have. */
static void c_select(void) {
  static gmx_select_case cases[64]; /* the caller's own, and not on the stack that is measured */
  static int v[64];
  for (int i = 0; i < 64; i++)
    cases[i] = (gmx_select_case){.chan = i & 1 ? chan : full, .elem = &v[i], .op = i & 1 ? GMX_CASE_RECV : GMX_CASE_SEND};
  CHECK_STATUS(gmx_select(cases, 64, 100000, NULL), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_select(cases, 64, 0, NULL), GMX_ETIMEDOUT);
}
static void c_timers(void) {
  static uint32_t fired;
  gmx_timer t;
  gmx_chan *c;
  int64_t v;
  CHECK_OK(gmx_after_func(1000, bumps, &fired, &t));
  CHECK_OK(gmx_sleep(200000));
  CHECK_CMP(timer_free(t), >=, GMX_OK);
  CHECK_OK(gmx_ticker_new(50000, &t, &c));
  CHECK_OK(gmx_chan_recv(c, &v));
  CHECK_CMP(timer_free(t), >=, GMX_OK);
  CHECK_OK(gmx_chan_free(c));
}
static void c_scope(void) {
  gmx_scope s;
  CHECK_OK(gmx_scope_new(1000000000, &s));
  CHECK_OK(gmx_scope_spawn(s, succeeds, NULL));
  CHECK_OK(gmx_scope_cancel(s));
  CHECK_OK(gmx_scope_leave(s, GMX_FOREVER, NULL));
}
static void c_cancel(void) {
  gmx_cancel c, before;
  CHECK_OK(gmx_cancel_new(0, 100000, &c));
  CHECK_OK(gmx_cancel_use(c, &before));
  gmx_status s = gmx_sema_acquire(&sema_0);
  CHECK_STATUS(s, GMX_ECANCELED);
  CHECK_OK(gmx_cancel_use(before, NULL));
  CHECK_OK(gmx_cancel_free(c));
}
static void c_syscall(void) {
  CHECK_OK(gmx_enter_syscall());
  usleep(1000); /* its P is taken */
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_enter_syscall_blocking());
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_blocking(nothing, NULL));
  CHECK_OK(gmx_callback(nothing, NULL));
}
static void c_lock_thread(void) {
  CHECK_OK(gmx_lock_os_thread());
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_sleep(1000));
  CHECK_OK(gmx_unlock_os_thread());
}
static void c_keys(void) {
  CHECK_OK(gmx_key_set(key, &key));
  CHECK_OK(gmx_key_set(key, NULL));
  CHECK_CMP(gmx_pin(), >=, 0);
  CHECK_OK(gmx_p_set(p_key, &key));
  CHECK(gmx_p_get(p_key) == &key);
  CHECK_OK(gmx_unpin());
}
static void c_world(void) {
  int n = 0;
  CHECK_OK(gmx_stop_the_world("test"));
  CHECK_OK(gmx_for_each_g(counts, &n));
  CHECK_OK(gmx_start_the_world());
  CHECK_OK(gmx_for_each_p(bumps, &a_futex));
}
static void c_resize(void) {
  CHECK_EQ(gmx_gomaxprocs(40), 1);
  CHECK_EQ(gmx_gomaxprocs(1), 40);
}
static void c_stats(void) {
  static gmx_sched_stats sched = {.struct_size = sizeof sched};
  static gmx_mem_stats mem = {.struct_size = sizeof mem};
  CHECK_OK(gmx_read_sched_stats(&sched));
  CHECK_OK(gmx_read_mem_stats(&mem));
  CHECK_CMP(gmx_num_g(), >=, 1);
}
static void c_release(void) { CHECK_OK(gmx_release_memory()); }
static gmx_status takes_text(void *arg, const char *text, size_t n) {
  (void)arg, (void)text;
  return n > 0 ? GMX_OK : GMX_EPIPE;
}
static void c_dump(void) {
  CHECK_OK(gmx_write_heap_dump(dev_null));
  for (uint32_t flags = 0; flags < 4; flags++) CHECK_OK(gmx_dump_goroutines(takes_text, NULL, flags));
}
static void c_metrics(void) {
  static uint64_t buckets[GMX_METRIC_BUCKETS];
  static gmx_metric m[] = {{.name = "gomax_timer_lateness_seconds", .buckets = buckets}, {.name = "gomax_procs"}};
  CHECK_OK(gmx_metrics_read(m, 2));
  CHECK_OK(gmx_metrics_text(takes_text, NULL));
}

static const struct {
  const char *name;
  void (*f)(void);
  int most;
} calls[] = {
    {"nothing", c_yield, MOST},
    {"gmx_spawn", c_spawn, MOST},
    {"gmx_spawn, many", c_spawn_many, MOST},
    {"gmx_spawn, many at once", c_spawn_many_at_once, MOST},
    {"gmx_join", c_join, MOST},
    {"GMX_SPAWN_CHILD_FIRST", c_child_first, MOST},
    {"gmx_yield", c_yield, MOST},
    {"gmx_park", c_park, MOST},
    {"gmx_sleep", c_sleep, MOST},
    {"gmx_sema", c_sema, MOST},
    {"gmx_mutex", c_mutex, MOST},
    {"gmx_rwmutex", c_rwmutex, MOST},
    {"gmx_cond", c_cond, MOST},
    {"gmx_waitgroup", c_waitgroup, MOST},
    {"gmx_barrier", c_barrier, MOST},
    {"gmx_once", c_once, MOST},
    {"gmx_chan", c_chan, MOST},
    {"gmx_select", c_select, MOST},
    {"timers", c_timers, MOST},
    {"gmx_scope", c_scope, MOST},
    {"gmx_cancel", c_cancel, MOST},
    {"syscalls", c_syscall, MOST},
    {"gmx_lock_os_thread", c_lock_thread, MOST},
    {"keys", c_keys, MOST},
    {"the world", c_world, MOST},
    {"gmx_gomaxprocs", c_resize, MOST_OF_PS},
    {"stats", c_stats, MOST},
    {"metrics", c_metrics, MOST},
    {"gmx_release_memory", c_release, MOST},
    {"gmx_write_heap_dump", c_dump, MOST},
};
enum { CALLS = sizeof calls / sizeof *calls };

/* ---- the painter makes them ---- */

static int64_t by_call[CALLS], around[CALLS];

static void makes_each(void *arg) {
  (void)arg;
  for (int i = 0; i < CALLS; i++) {
    struct painted at = paint();
    calls[i].f();
    by_call[i] = used(at);
  }
}

/* ---- it only yields, and others make them ---- */

static uint32_t call, turn, over;

static void only_yields(void *arg) {
  (void)arg;
  uint32_t n = 0; /* not what `turn` is now: the others may have had theirs already */
  while (!load(&over)) {
    struct painted at = paint();
    while (load(&turn) == n && !load(&over)) CHECK_OK(gmx_yield());
    around[load(&call)] = used(at);
    n = bump(&turn) + 1;
  }
}

static void others_make_each(void *arg) {
  (void)arg;
  for (int i = 0; i < CALLS; i++) {
    store(&call, (uint32_t)i);
    calls[i].f();
    for (int k = 0; k < 3; k++) CHECK_OK(gmx_yield());
    uint32_t n = bump(&turn) + 1;
    while (load(&turn) == n) CHECK_OK(gmx_yield());
  }
  store(&over, 1);
}

static gmx_g start_with(size_t stack_size, void (*fn)(void *)) {
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = GMX_SPAWN_JOINABLE, .stack_size = stack_size};
  gmx_g g;
  CHECK_OK(gmx_spawn_with(&opts, fn, NULL, &g));
  return g;
}

static void each_call(void) {
  Dl_info library;
  CHECK(dladdr((void *)(intptr_t)gmx_yield, &library) != 0);
  int factor = strstr(library.dli_fname, "/debug/") ? UNOPTIMIZED : 1;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  factor = 2 * UNOPTIMIZED; /* with the frames of the sanitizer */
#endif
  size_t stack_size = factor == 1 ? 1 : 65536; /* 1: the smallest there is */
  join(start_with(stack_size, makes_each));
  gmx_g yields = start_with(stack_size, only_yields);
  join(start_with(0, others_make_each));
  join(yields);
  int64_t most = 0;
  int bad = 0;
  for (int i = 0; i < CALLS; i++) {
    check_say("  %-26s %6" PRId64 " bytes by the caller, %6" PRId64 " by one beside it", calls[i].name, by_call[i], around[i]);
    if (by_call[i] > factor * calls[i].most || around[i] > factor * MOST) bad++;
    if (by_call[i] > most) most = by_call[i];
    if (around[i] > most) most = around[i];
  }
  check_say("  most: %" PRId64, most);
  CHECK_EQ(bad, 0);
}

int main(void) {
  dev_null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  CHECK_OK(gmx_key_create(NULL, &key));
  CHECK_OK(gmx_p_key_create(&p_key));
  CHECK_OK(gmx_chan_new(sizeof(int), 0, &chan));
  CHECK_OK(gmx_chan_new(sizeof(int), 0, &full));
  RUN(each_call);
  CHECK_OK(gmx_chan_free(chan));
  CHECK_OK(gmx_chan_free(full));
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  return 0;
}
