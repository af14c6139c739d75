/* The library never waits for the malloc of its host: workers and the watchdog call it never, not even through the C
 * library, and the code of the library never calls it on any thread once the runtime is up. This program has a malloc
 * of its own, which keeps count of such calls. (The template thread makes threads, for which the C library allocates.)
 * */
/* timeout: 180 */
/* flags: -ldl */
#define _GNU_SOURCE 1
#include "gs.h"
#include "objects.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>

/* ---- a malloc that counts ---- */

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static atomic_bool watched;
static uintptr_t lo, hi; /* the library's code */
enum { BY_CODE, BY_WORKER, BY_WATCHDOG, KINDS };
static const char *const kinds[] = {"by the library's code", "on a worker", "on the watchdog"};
static atomic_long calls[KINDS];
static _Atomic uintptr_t first[KINDS]; /* the caller of the first one */
static atomic_long mine;               /* by this program, on its own threads */

static void seen(int kind, uintptr_t caller) {
  if (atomic_fetch_add(&calls[kind], 1) == 0) atomic_store(&first[kind], caller);
}

static void allocates(void *from) {
  if (!atomic_load(&watched)) return;
  uintptr_t caller = (uintptr_t)from;
  char name[16] = "";
  syscall(SYS_prctl, PR_GET_NAME, name, 0, 0, 0);
  if (caller >= lo && caller < hi) seen(BY_CODE, caller);
  if (strcmp(name, "gomax") == 0) seen(BY_WORKER, caller);
  else if (strcmp(name, "gomax-sysmon") == 0) seen(BY_WATCHDOG, caller);
  else atomic_fetch_add(&mine, 1);
}
#define COUNTED allocates(__builtin_return_address(0))

/* Otherwise the caller would be that of the function of this program which calls them. */
void *malloc(size_t n) __attribute__((noinline));
void free(void *p) __attribute__((noinline));

void *malloc(size_t n) { return COUNTED, __libc_malloc(n); }
void *calloc(size_t n, size_t each) { return COUNTED, __libc_calloc(n, each); }
void *realloc(void *p, size_t n) { return COUNTED, __libc_realloc(p, n); }
void *memalign(size_t align, size_t n) { return COUNTED, __libc_memalign(align, n); }
void *aligned_alloc(size_t align, size_t n) { return COUNTED, __libc_memalign(align, n); }
int posix_memalign(void **p, size_t align, size_t n) {
  COUNTED;
  *p = __libc_memalign(align, n);
  return *p ? 0 : ENOMEM;
}
/* It takes the locks of malloc as well. */
void free(void *p) {
  if (p) COUNTED;
  __libc_free(p);
}

static int find(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size;
  (void)arg;
  if (!strstr(info->dlpi_name, "libgomax.so")) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    if (p->p_type != PT_LOAD || !(p->p_flags & PF_X)) continue;
    lo = info->dlpi_addr + p->p_vaddr;
    hi = lo + p->p_memsz;
  }
  return 1;
}

static void none_was_called(int from, int to) {
  for (int k = from; k <= to; k++) {
    Dl_info of = {0};
    uintptr_t at = atomic_load(&first[k]);
    if (atomic_load(&calls[k]) != 0 && dladdr((void *)at, &of))
      check_say("  %s: %ld calls, the first from %s+%#lx (%s)", kinds[k], atomic_load(&calls[k]), of.dli_fname,
                (unsigned long)(at - (uintptr_t)of.dli_fbase), of.dli_sname ? of.dli_sname : "?");
    CHECK_EQ(atomic_load(&calls[k]), 0);
  }
}

/* As RUN, but the test is the main G, and the next one is not begun if malloc was called. */
#define RUN_WATCHED(test)           \
  do {                              \
    atomic_store(&watched, true);   \
    RUN_G(test);                    \
    none_was_called(0, KINDS - 1);  \
    atomic_store(&watched, false);  \
  } while (0)

/* It is seen at all, on each kind of thread: otherwise this program would pass whatever the library does. */
static void allocates_once(void *arg) {
  void *volatile block = malloc((size_t)(uintptr_t)arg);
  free(block);
  __asm__ volatile("" ::: "memory"); /* no jump to free: its caller would seem to be the library */
}
static void calls_are_seen(void) {
  atomic_store(&watched, true);
  on_g(allocates_once, (void *)24);
  CHECK_CMP(atomic_load(&calls[BY_WORKER]), >=, 2);
  none_was_called(BY_CODE, BY_CODE);
  CHECK(lo != 0);
  long before = atomic_load(&mine);
  allocates_once((void *)24);
  CHECK_CMP(atomic_load(&mine), >=, before + 2);
  atomic_store(&watched, false);
  for (int k = 0; k < KINDS; k++) atomic_store(&calls[k], 0);
}

/* ---- Gs, threads, Ps ---- */

enum { MANY = 3000 };
static uint32_t gate;
static gmx_waitgroup all;

static void waits_at_gate(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sema_acquire(&gate));
  CHECK_OK(gmx_waitgroup_done(&all));
}
static void blocks(void *arg) {
  (void)arg;
  CHECK_OK(gmx_enter_syscall_blocking());
  thread_nap(5 * MS);
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_lock_os_thread());
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_unlock_os_thread());
  CHECK_OK(gmx_waitgroup_done(&all));
}
static void goroutines(void) {
  CHECK_OK(gmx_waitgroup_add(&all, MANY));
  for (int i = 0; i < MANY; i++) go(waits_at_gate, NULL);
  CHECK_OK(gmx_yield());
  release(&gate, MANY);
  CHECK_OK(gmx_waitgroup_wait(&all));
}
static void threads(void) {
  CHECK_OK(gmx_waitgroup_add(&all, 12));
  for (int i = 0; i < 12; i++) go(blocks, NULL);
  CHECK_OK(gmx_waitgroup_wait(&all));
}
static void processors(void) {
  CHECK_CMP(gmx_gomaxprocs(70), >=, 1);
  goroutines();
  CHECK_OK(gmx_for_each_p(nothing, NULL));
  CHECK_EQ(gmx_gomaxprocs(3), 70);
  CHECK_OK(gmx_stop_the_world("no malloc"));
  CHECK_OK(gmx_start_the_world());
}

/* ---- keys ---- */

static gmx_key key;
static void sets_its_key(void *arg) {
  CHECK_OK(gmx_key_set(key, arg));
  CHECK_OK(gmx_sema_acquire(&gate));
  CHECK(gmx_key_get(key) == arg);
  CHECK_OK(gmx_waitgroup_done(&all));
}
static void keys(void) {
  gmx_p_key of_p;
  CHECK_OK(gmx_key_create(NULL, &key));
  CHECK_OK(gmx_p_key_create(&of_p));
  CHECK_OK(gmx_waitgroup_add(&all, 500));
  for (int i = 0; i < 500; i++) go(sets_its_key, &all);
  CHECK_OK(gmx_yield());
  release(&gate, 500);
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_OK(gmx_key_delete(key));
  CHECK_OK(gmx_p_key_delete(of_p));
}

/* ---- channels ---- */

static void sends(void *c) {
  char value[4096] = {0};
  CHECK_OK(gmx_chan_send(c, value));
}
static void of_size(size_t size, size_t cap) {
  gmx_chan *c = chan_of(size, cap);
  char value[4096];
  gmx_g g = go_joinable(sends, c);
  CHECK_OK(gmx_chan_recv(c, value));
  join(g);
  CHECK_OK(gmx_chan_free(c));
}
static void channels(void) {
  static const size_t sizes[] = {1, 8, 24, 64, 100, 1000, 4096};
  static const size_t caps[] = {0, 1, 7, 100, 3000};
  static gmx_chan *some[600];
  for (int i = 0; i < 600; i++) some[i] = chan_of(8, (size_t)i);
  for (int i = 0; i < 600; i++) CHECK_OK(gmx_chan_free(some[i]));
  for (int round = 0; round < 3; round++)
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
      for (size_t j = 0; j < sizeof caps / sizeof *caps; j++) of_size(sizes[i], caps[j]);
  gmx_chan *c = chan_of(8, GMX_UNBOUNDED);
  for (uint64_t v = 0; v < 100000; v++) CHECK_OK(gmx_chan_send(c, &v));
  for (uint64_t v = 0, got; v < 100000; v++) {
    CHECK_OK(gmx_chan_recv(c, &got));
    CHECK_EQ(got, v);
  }
  CHECK_OK(gmx_chan_free(c));
  gmx_chan *never = chan_of(8, 0);
  uint64_t v = 0;
  gmx_select_case cases[] = {GMX_RECV(never, &v), GMX_RECV(never, &v)};
  size_t chosen;
  CHECK_STATUS(gmx_select(cases, 2, MS, &chosen), GMX_ETIMEDOUT);
  CHECK_OK(gmx_chan_free(never));
}

/* ---- timers ---- */

static void sleeps(void *arg) {
  CHECK_OK(gmx_sleep((int64_t)(uintptr_t)arg));
  CHECK_OK(gmx_waitgroup_done(&all));
}
static void timers(void) {
  static gmx_timer some[MANY];
  static gmx_chan *of[MANY];
  for (int i = 0; i < MANY; i++) CHECK_OK(gmx_timer_new(HOUR, 0, &some[i], &of[i]));
  for (int i = 0; i < MANY; i++) {
    timer_free(some[i]);
    CHECK_OK(gmx_chan_free(of[i]));
  }
  gmx_chan *after;
  CHECK_OK(gmx_after(MS, &after));
  CHECK_OK(gmx_chan_recv(after, NULL));
  CHECK_OK(gmx_chan_free(after));
  gmx_timer calls_back;
  CHECK_OK(gmx_waitgroup_add(&all, MANY + 1));
  CHECK_OK(gmx_after_func(MS, sleeps, NULL, &calls_back));
  for (int i = 0; i < MANY; i++) go(sleeps, (void *)(uintptr_t)(MS + i));
  CHECK_OK(gmx_waitgroup_wait(&all));
  timer_free(calls_back);
}

/* ---- tokens, scopes, classes ---- */

static void tokens(void) {
  static gmx_cancel some[MANY];
  static gmx_cancel_hook hooks[MANY];
  for (int i = 0; i < MANY; i++) some[i] = new_token(i % 3 ? some[i / 2] : 0, i % 2 ? HOUR : GMX_FOREVER);
  for (int i = 0; i < MANY; i++) CHECK_OK(gmx_cancel_after(some[i], nothing, NULL, &hooks[i]));
  for (int i = 0; i < 100; i++) {
    gmx_chan *done;
    CHECK_OK(gmx_cancel_chan(some[i], &done));
    CHECK_OK(gmx_chan_free(done));
  }
  for (int i = 0; i < MANY; i += 2) CHECK_OK(gmx_cancel_now(some[i]));
  for (int i = MANY; i-- > 0;) {
    bool stopped;
    gmx_cancel_hook_stop(hooks[i], &stopped);
    CHECK_OK(gmx_cancel_free(some[i]));
  }
}

static gmx_status child(void *arg) {
  (void)arg;
  return gmx_yield();
}
static void scopes(void) {
  static gmx_scope some[500];
  for (int i = 0; i < 500; i++) {
    CHECK_OK(gmx_scope_new(i % 2 ? HOUR : GMX_FOREVER, &some[i]));
    for (int k = 0; k < 3; k++) CHECK_OK(gmx_scope_spawn(some[i], child, NULL));
  }
  for (int i = 0; i < 500; i++) {
    gmx_status result;
    CHECK_OK(gmx_scope_leave(some[i], GMX_FOREVER, &result));
    CHECK_OK(result);
  }
}
static void classes(void) {
  gmx_class some[200];
  for (int i = 0; i < 200; i++) CHECK_OK(gmx_class_new(2, "class", &some[i]));
  CHECK_OK(gmx_blocking_in(some[0], nothing, NULL, GMX_FOREVER));
  for (int i = 0; i < 200; i++) CHECK_OK(gmx_class_free(some[i]));
}

/* ---- locks, and the rest ---- */

static gmx_mutex mutex;
static gmx_cond cond;
static gmx_rwmutex rw;
static bool open_now;

static void waits_for_all(void *arg) {
  (void)arg;
  CHECK_OK(gmx_rwmutex_rlock(&rw));
  CHECK_OK(gmx_rwmutex_runlock(&rw));
  CHECK_OK(gmx_mutex_lock(&mutex));
  while (!open_now) CHECK_OK(gmx_cond_wait_timeout(&cond, &mutex, HOUR));
  CHECK_OK(gmx_mutex_unlock(&mutex));
  CHECK_OK(gmx_waitgroup_done(&all));
}
static void locks(void) {
  CHECK_OK(gmx_rwmutex_lock(&rw));
  CHECK_OK(gmx_waitgroup_add(&all, 500));
  for (int i = 0; i < 500; i++) go(waits_for_all, NULL);
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_rwmutex_unlock(&rw));
  CHECK_OK(gmx_sleep(MS));
  CHECK_OK(gmx_mutex_lock(&mutex));
  open_now = true;
  CHECK_OK(gmx_cond_broadcast(&cond));
  CHECK_OK(gmx_mutex_unlock(&mutex));
  CHECK_OK(gmx_waitgroup_wait(&all));
}

static void part(void *sum, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; i++) __atomic_fetch_add((int64_t *)sum, i, __ATOMIC_RELAXED);
}
static void loops(void) {
  for (int round = 0; round < 200; round++) {
    int64_t sum = 0;
    CHECK_OK(gmx_parallel_for(64, 1, part, &sum));
    CHECK_EQ(sum, 64 * 63 / 2);
  }
}

static void comes_and_goes(void *arg) {
  gmx_coro back = *(gmx_coro *)arg;
  CHECK_OK(gmx_coro_switch(back));
}
static void coroutines(void) {
  for (int i = 0; i < 100; i++) {
    gmx_coro co;
    CHECK_OK(gmx_coro_new(comes_and_goes, &co, NULL, &co));
    CHECK_OK(gmx_coro_switch(co));
    CHECK_STATUS(gmx_coro_switch(co), GMX_ECLOSED); /* it has ended */
  }
}

static void reports(void) {
  int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  CHECK(null >= 0);
  CHECK_OK(gmx_write_heap_dump(null));
  close(null);
  mem_stats();
  sched_stats();
  CHECK_CMP(gmx_num_cpu(), >=, 1);
  CHECK_OK(gmx_release_memory());
  CHECK_OK(gmx_set_default_gomaxprocs());
}

/* Longer than the second after which the template thread looks at the machine, with traces all the while. */
static void a_second_passes(void) {
  for (int i = 0; i < 12; i++) CHECK_OK(gmx_sleep(100 * MS));
}

int main(void) {
  setenv("GMXDEBUG", "schedtrace=500,scheddetail=1", 1);
  dl_iterate_phdr(find, NULL);
  start_runtime(3, 0);
  RUN(calls_are_seen);
  RUN_WATCHED(channels);
  RUN_WATCHED(keys);
  RUN_WATCHED(timers);
  RUN_WATCHED(goroutines);
  RUN_WATCHED(threads);
  RUN_WATCHED(processors);
  RUN_WATCHED(tokens);
  RUN_WATCHED(scopes);
  RUN_WATCHED(classes);
  RUN_WATCHED(locks);
  RUN_WATCHED(loops);
  RUN_WATCHED(coroutines);
  RUN_WATCHED(reports);
  RUN_WATCHED(a_second_passes);
  RUN(ends_clean);
  return 0;
}
