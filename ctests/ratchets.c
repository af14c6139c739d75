/* An operation that is repeated takes no more of the process the second time: memory, threads, descriptors,
 * mappings. */
/* timeout: 120 */
#include "objects.h"
#include "ratchets.h"

#ifndef CYCLES
#define CYCLES 20
#endif

static gmx_waitgroup all;
static uint32_t gate;

static void yields(void *arg) {
  (void)arg;
  CHECK_OK(gmx_yield());
}

/* ---- the runtime itself ---- */

static void little_work(void) {
  for (int i = 0; i < 50; i++) go(yields, NULL);
  CHECK_OK(gmx_sleep(MS));
}
static void begins_and_ends(void) {
  start_runtime(4, 0);
  as_main(little_work);
  end_runtime();
}
static void forks(void) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    begins_and_ends();
    _exit(0);
  }
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
}

/* ---- threads of the host ---- */

static void *attaches(void *arg) {
  for (int i = 0; i < 10; i++) {
    CHECK_OK(gmx_attach_thread());
    CHECK_OK(gmx_yield());
    CHECK_OK(gmx_detach_thread());
  }
  return arg;
}
static void *ends_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  CHECK_OK(gmx_yield());
  return arg;
}
static void *ends_known(void *arg) {
  CHECK_OK(gmx_callback(yields, NULL));
  CHECK_STATUS(gmx_sema_acquire_timeout(&gate, 1000), GMX_ETIMEDOUT);
  return arg;
}
static void eight(void *(*fn)(void *)) {
  pthread_t t[8];
  for (int i = 0; i < 8; i++) t[i] = thread_start(fn, NULL);
  join_threads(t, 8);
}
static void threads_attach(void) { eight(attaches); }
static void threads_end_attached(void) { eight(ends_attached); }
static void threads_end_known(void) { eight(ends_known); }

/* ---- Gs ---- */

static void is_deep(void *arg) {
  char block[64 * 1024];
  memset(block, 7, sizeof block);
  __asm__ volatile("" : : "r"(block) : "memory");
  CHECK_OK(gmx_sema_acquire(arg));
  CHECK_OK(gmx_waitgroup_done(&all));
}
enum { SPIKE = 500 };
static void many_at_once(void) {
  CHECK_OK(gmx_waitgroup_add(&all, SPIKE));
  for (int i = 0; i < SPIKE; i++) go(is_deep, &gate);
  CHECK_OK(gmx_yield());
  release(&gate, SPIKE);
  CHECK_OK(gmx_waitgroup_wait(&all));
}
static void spike(void) { as_main(many_at_once); }

static void blocks(void *arg) {
  (void)arg;
  CHECK_OK(gmx_enter_syscall_blocking());
  thread_nap(MS);
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_waitgroup_done(&all));
}
static void block_at_once(void) {
  CHECK_OK(gmx_waitgroup_add(&all, 20));
  for (int i = 0; i < 20; i++) go(blocks, NULL);
  CHECK_OK(gmx_waitgroup_wait(&all));
}
static void blocking_calls(void) { as_main(block_at_once); }

static void joined_and_named(void) {
  for (int i = 0; i < 200; i++) join(go_with("short", GMX_SPAWN_JOINABLE, nothing, NULL));
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .stack_size = 100000};
  for (int i = 0; i < 50; i++) CHECK_OK(gmx_spawn_with(&opts, yields, NULL, NULL));
  CHECK_OK(gmx_sleep(MS));
}
static void spawns(void) { as_main(joined_and_named); }

static void locked(void *arg) {
  (void)arg;
  CHECK_OK(gmx_lock_os_thread());
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_waitgroup_done(&all)); /* it ends locked, and its thread with it */
}
static void lock_threads(void) {
  CHECK_OK(gmx_waitgroup_add(&all, 10));
  for (int i = 0; i < 10; i++) go(locked, NULL);
  CHECK_OK(gmx_waitgroup_wait(&all));
}
static void locked_threads(void) { as_main(lock_threads); }

/* ---- objects ---- */

static void make_timers(void) {
  enum { N = 300 };
  gmx_timer t[N];
  gmx_chan *c;
  int64_t at;
  for (int i = 0; i < N; i++) CHECK_OK(gmx_after_func(i % 2 ? MS : 3600 * SECOND, nothing, NULL, &t[i]));
  for (int i = 0; i < N; i++) CHECK_OK(gmx_after_func(i * 1000, nothing, NULL, NULL));
  for (int i = 0; i < N; i++) {
    CHECK_OK(gmx_after(i % 3 == 0 ? 3600 * SECOND : i % 3 == 1 ? 20000 : 0, &c));
    if (i % 6 == 1) CHECK_OK(gmx_chan_recv(c, &at));
    CHECK_OK(gmx_chan_free(c));
  }
  for (int i = 0; i < 20; i++) {
    gmx_timer ticker;
    CHECK_OK(gmx_ticker_new(MS / 10, &ticker, &c));
    CHECK_OK(gmx_chan_recv(c, &at));
    CHECK_CMP(timer_free(ticker), >=, 0);
    CHECK_OK(gmx_chan_free(c));
  }
  for (int i = 0; i < N; i++) CHECK_CMP(timer_free(t[i]), >=, 0);
}
static void timers(void) { as_main(make_timers); }

static gmx_status times_out(void *arg) {
  CHECK_STATUS(gmx_sema_acquire_timeout(arg, 1000), GMX_ETIMEDOUT);
  return GMX_OK;
}
static void make_objects(void) {
  for (int i = 0; i < 100; i++) {
    gmx_chan *c;
    gmx_cancel up, down;
    gmx_scope s;
    gmx_key k;
    CHECK_OK(gmx_chan_new(100, 10, &c));
    CHECK_OK(gmx_chan_send(c, memset((char[100]){0}, 1, 100)));
    CHECK_OK(gmx_chan_free(c)); /* with a value in it */
    CHECK_OK(gmx_cancel_new(0, 3600 * SECOND, &up));
    CHECK_OK(gmx_cancel_new(up, GMX_FOREVER, &down));
    if (i % 2) CHECK_OK(gmx_cancel_now(up));
    CHECK_OK(gmx_cancel_free(up));
    CHECK_OK(gmx_cancel_free(down));
    CHECK_OK(gmx_scope_new(SECOND * 3600, &s));
    CHECK_OK(gmx_scope_spawn(s, times_out, &gate));
    CHECK_OK(gmx_scope_leave(s, GMX_FOREVER, NULL));
    CHECK_OK(gmx_key_create(NULL, &k));
    CHECK_OK(gmx_key_set(k, &k));
    CHECK_OK(gmx_key_delete(k));
  }
}
static void objects(void) { as_main(make_objects); }

static void count_up_and_down(void) {
  for (int n = 1; n <= 64; n *= 2) CHECK_CMP(gmx_gomaxprocs(n), >=, 1);
  for (int n = 64; n >= 2; n /= 2) CHECK_CMP(gmx_gomaxprocs(n), >=, 1);
}
static void resizes(void) { as_main(count_up_and_down); }

static void dump(void) {
  int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  CHECK_OK(gmx_write_heap_dump(fd));
  CHECK(close(fd) == 0);
  mem_stats();
}
static void dumps(void) {
  for (int i = 0; i < 30; i++) dump();
}

/* After a minute without load the memory of the load has gone back by itself. */
static void quiet_minute(const has *before) {
#ifdef QUIET_SECONDS
  thread_nap(QUIET_SECONDS * SECOND);
  has now = ratchet_look();
  check_say("  after a quiet minute: resident %ld KiB, was %ld before the load", now.resident, before->resident);
  CHECK_CMP(now.resident, <=, before->resident + 16 * 1024);
#else
  (void)before;
#endif
}

static has at_first;
static bool guards_are_mappings;

static void by_itself(void) {
  RATCHET(begins_and_ends, CYCLES);
  RATCHET(forks, CYCLES);
}
static void within_one_runtime(void) {
  start_runtime(4, 0);
  has before = ratchet_look();
  RATCHET(threads_attach, CYCLES);
  RATCHET(threads_end_attached, CYCLES);
  RATCHET(threads_end_known, CYCLES);
  RATCHET(spike, CYCLES);
  RATCHET(blocking_calls, CYCLES);
  RATCHET(spawns, CYCLES);
  RATCHET(locked_threads, CYCLES);
  RATCHET(timers, CYCLES);
  RATCHET(objects, CYCLES);
  RATCHET(resizes, CYCLES);
  RATCHET(dumps, CYCLES);
  quiet_minute(&before);
  guards_are_mappings = mem_stats().guard_kind == 2;
  end_runtime();
}
/*
 * The end leaves no more than the end of the first runtime left: its tables, the memory that malloc keeps, and the
 * places of stacks.
 */
static void nothing_is_left(void) {
  has now = ratchet_quiet();
  check_say("  in the end: resident %ld %ld KiB, malloc %ld %ld KiB, threads %ld %ld, descriptors %ld %ld, mappings %ld %ld",
            at_first.resident, now.resident, at_first.heap, now.heap, at_first.threads, now.threads, at_first.descriptors,
            now.descriptors, at_first.mappings, now.mappings);
  CHECK_EQ(now.threads, at_first.threads);
  CHECK_EQ(now.descriptors, at_first.descriptors);
  CHECK_CMP(now.mappings, <=, at_first.mappings + 150 + (guards_are_mappings ? 3 * SPIKE : 0));
  CHECK_CMP(now.resident, <=, at_first.resident + 16384);
  CHECK_CMP(now.heap, <=, at_first.heap + 4096);
}

int main(void) {
  at_first = ratchet_look();
  RUN(by_itself);
  RUN(within_one_runtime);
  RUN(nothing_is_left);
  return 0;
}
