/* Stop-the-world: no other G moves until the start, whichever thread stops the world; and what a collector sees of a
 * stopped G. */
#include "gs.h"

#include <stdatomic.h>

static atomic_int quit;
static gmx_waitgroup all, stoppers;

/* ---- Gs that are busy in every way ---- */

#define WORKERS 8
typedef struct worker {
  atomic_long steps;
  uint32_t sema;
} __attribute__((__aligned__(64))) worker;
static worker workers[WORKERS];

static void works(void *arg) {
  size_t id = (size_t)(uintptr_t)arg;
  worker *w = &workers[id], *next = &workers[id ^ 1];
  while (!atomic_load(&quit)) {
    atomic_fetch_add(&w->steps, 1);
    switch (id / 2) {
      case 0: CHECK_OK(gmx_yield()); break;
      case 1: gmx_safepoint(); break; /* a pure loop */
      case 2:
        CHECK_OK(gmx_enter_syscall());
        sched_yield();
        CHECK_OK(gmx_exit_syscall());
        break;
      default: /* two that wake each other */
        release(&next->sema, 1);
        acquire(&w->sema, 1);
    }
  }
  if (id / 2 == 3) release(&next->sema, 1);
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void workers_start(void) {
  atomic_store(&quit, 0);
  memset(workers, 0, sizeof workers);
  CHECK_OK(gmx_waitgroup_add(&all, WORKERS));
  for (uintptr_t i = 0; i < WORKERS; i++) go(works, (void *)i);
}

static void workers_end(void) {
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
}

/* The caller has stopped the world. */
static void no_g_moves(void) {
  long steps[WORKERS];
  for (int i = 0; i < WORKERS; i++) steps[i] = atomic_load(&workers[i].steps);
  for (int i = 0; i < 20; i++) sched_yield();
  thread_nap(MS / 5);
  for (int i = 0; i < WORKERS; i++) CHECK_EQ(atomic_load(&workers[i].steps), steps[i]);
}

static void everybody_moves(void) {
  long steps[WORKERS];
  for (int i = 0; i < WORKERS; i++) steps[i] = atomic_load(&workers[i].steps);
  int64_t end = check_now() + 30 * SECOND;
  for (int i = 0; i < WORKERS; i++) {
    while (atomic_load(&workers[i].steps) == steps[i]) {
      if (check_now() > end) {
        gmx_write_heap_dump(2);
        FAIL("worker %d did not move for 30 s", i);
      }
      check_pause();
    }
  }
}

/* ---- the stoppers ---- */

static atomic_int inside;

static void stops(int rounds) {
  for (int i = 0; i < rounds; i++) {
    CHECK_OK(i % 2 ? gmx_stop_the_world("a test") : gmx_stop_the_world_timeout("a test", 60 * SECOND));
    CHECK_EQ(atomic_fetch_add(&inside, 1), 0);
    no_g_moves();
    CHECK_EQ(atomic_fetch_sub(&inside, 1), 1);
    CHECK_OK(gmx_start_the_world());
  }
  everybody_moves();
}

static void stops_as_g(void *arg) {
  stops((int)(intptr_t)arg);
  CHECK_OK(gmx_waitgroup_done(&stoppers));
}

static void *stops_as_thread(void *arg) {
  stops((int)(intptr_t)arg);
  return NULL;
}

static void *stops_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  stops((int)(intptr_t)arg);
  CHECK_OK(gmx_detach_thread());
  return NULL;
}

static void callback(void *arg) { stops((int)(intptr_t)arg); }

static void *stops_in_a_callback(void *arg) {
  CHECK_OK(gmx_callback(callback, arg));
  CHECK_OK(gmx_callback(callback, (void *)1));
  return NULL;
}

static void *(*const kinds[])(void *) = {stops_as_thread, stops_attached, stops_in_a_callback};

static void each_kind_stops(void) {
  workers_start();
  stops(8);
  for (int i = 0; i < 3; i++) {
    pthread_t t = thread_start(kinds[i], (void *)8);
    CHECK_OK(gmx_enter_syscall());
    thread_join(t);
    CHECK_OK(gmx_exit_syscall());
  }
  workers_end();
}

static void many_stop_at_once(void) {
  workers_start();
  pthread_t threads[9];
  CHECK_OK(gmx_waitgroup_add(&stoppers, 6));
  for (int i = 0; i < 6; i++) go(stops_as_g, (void *)4);
  for (int i = 0; i < 9; i++) threads[i] = thread_start(kinds[i % 3], (void *)4);
  CHECK_OK(gmx_enter_syscall());
  join_threads(threads, 9);
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_waitgroup_wait(&stoppers)); /* they want to see the workers move */
  workers_end();
}

/* ---- what may be done in a stopped world, and by whom ---- */

static atomic_int ran;

static void runs(void *arg) {
  (void)arg;
  atomic_fetch_add(&ran, 1);
}

static void sees_nothing(void *arg, const gmx_g_info *info) {
  (void)arg;
  (void)info;
}

static void *not_the_stopper(void *arg) {
  CHECK_STATUS(gmx_start_the_world(), GMX_EPERM);
  CHECK_STATUS(gmx_for_each_g(sees_nothing, NULL), GMX_EPERM);
  CHECK_STATUS(gmx_stop_the_world_timeout("meanwhile", MS), GMX_ETIMEDOUT); /* waits its turn in vain */
  return arg;
}

static void a_stopped_world_has_rules(void) {
  uint32_t sema = 0;
  atomic_store(&ran, 0);
  CHECK_STATUS(gmx_start_the_world(), GMX_EPERM);
  CHECK_STATUS(gmx_for_each_g(sees_nothing, NULL), GMX_EPERM);
  CHECK_OK(gmx_stop_the_world("rules"));
  CHECK_STATUS(gmx_stop_the_world("again"), GMX_ENOTG);
  CHECK_STATUS(gmx_stop_the_world_timeout("again", 0), GMX_ENOTG);
  CHECK_STATUS(gmx_for_each_p(nothing, NULL), GMX_ENOTG);
  CHECK_STATUS(gmx_gomaxprocs(3), GMX_ENOTG);
  CHECK_CMP(gmx_gomaxprocs(0), >=, 1);
  CHECK_STATUS(gmx_yield(), GMX_ENOTG);
  CHECK_STATUS(gmx_sleep(1), GMX_ENOTG);
  CHECK_STATUS(gmx_sema_acquire(&sema), GMX_ENOTG);
  CHECK_STATUS(gmx_sema_try_acquire(&sema), GMX_EAGAIN);
  CHECK_STATUS(gmx_enter_syscall(), GMX_ENOTG);
  CHECK_OK(gmx_sema_release(&sema));
  for (int i = 0; i < 100; i++) go(runs, NULL);
  CHECK_OK(gmx_for_each_g(sees_nothing, NULL));
  CHECK_STATUS(gmx_for_each_g(NULL, NULL), GMX_EINVAL);
  thread_join(thread_start(not_the_stopper, NULL));
  gmx_safepoint();
  CHECK_EQ(atomic_load(&ran), 0);
  CHECK_OK(gmx_start_the_world());
  CHECK_STATUS(gmx_start_the_world(), GMX_EPERM);
  CHECK_OK(gmx_sema_acquire(&sema));
  spin_until(atomic_load(&ran) == 100);
}

/* ---- a G that never comes ---- */

static atomic_int running, let_go;
static char report_text[1 << 16];
static atomic_size_t report_len;

static void keep_report(void *arg, const char *text, size_t len) {
  CHECK(arg == report_text);
  CHECK_STATUS(gmx_ready(0), GMX_ESTALE);
  uint32_t permits = 0;
  CHECK_OK(gmx_sema_release(&permits));
  size_t at = atomic_load(&report_len);
  if (len > sizeof report_text - 1 - at) len = sizeof report_text - 1 - at;
  memcpy(report_text + at, text, len);
  report_text[at + len] = 0;
  atomic_store(&report_len, at + len);
}

static atomic_ullong deaf_goid;

static void never_polls(void *arg) {
  (void)arg;
  atomic_store(&deaf_goid, gmx_goid());
  atomic_store(&running, 1);
  while (!atomic_load(&let_go)) sched_yield();
}

static void times_out(void) {
  char id[32];
  atomic_store(&report_len, 0);
  CHECK_STATUS(gmx_stop_the_world_timeout("impatient", 20 * MS), GMX_ETIMEDOUT);
  CHECK(strstr(report_text, "deaf ear"));
  snprintf(id, sizeof id, "%llu", (unsigned long long)atomic_load(&deaf_goid));
  CHECK(strstr(report_text, id));
  CHECK(strstr(report_text, "impatient"));
  CHECK_STATUS(gmx_start_the_world(), GMX_EPERM);
}

static void *times_out_as_thread(void *arg) {
  times_out();
  return arg;
}

static void one_that_never_polls_is_named(void) {
  atomic_store(&running, 0);
  atomic_store(&let_go, 0);
  gmx_g g = go_with("deaf ear", GMX_SPAWN_JOINABLE, never_polls, NULL);
  spin_until(atomic_load(&running));
  for (int i = 0; i < 5; i++) {
    times_out();
    /* the world runs: barriers and the other work of Ps continue */
    atomic_store(&ran, 0);
    for (int j = 0; j < 10; j++) go(runs, NULL);
    spin_until(atomic_load(&ran) == 10);
    pthread_t t = thread_start(times_out_as_thread, NULL);
    CHECK_OK(gmx_enter_syscall());
    thread_join(t);
    CHECK_OK(gmx_exit_syscall());
  }
  atomic_store(&let_go, 1);
  join(g);
  CHECK_OK(gmx_stop_the_world_timeout("patient", 60 * SECOND));
  CHECK_OK(gmx_start_the_world());
}

/* ---- what a collector sees ---- */

#define PARKED 100
#define HIDE UINT64_C(0x5a5a5a5a5a5a5a5a)
static gmx_g parked[PARKED], idle_g, syscall_g, looper_g;
static uint64_t hidden[PARKED + 2]; /* the pointer that each G has on its stack, in disguise */
static uint32_t park_on;
static atomic_int parked_count, in_syscall, looping;
static int leave_syscall[2];

static bool publish(void *arg, gmx_g g) {
  CHECK_EQ(parked[(uintptr_t)arg], g);
  atomic_fetch_add(&parked_count, 1);
  return true;
}

/* Uses what is live in locals after a wait: the compiler keeps it in a register that calls leave alone, or on the
 * stack. */
__attribute__((__noinline__)) static void keeps_a_pointer_and_parks(size_t id) {
  uint64_t pointer = (uint64_t)(uintptr_t)malloc(16);
  __asm__ volatile("" : "+r"(pointer));
  hidden[id] = pointer ^ HIDE;
  if (id % 2) {
    CHECK_OK(gmx_park(publish, (void *)id, "for the collector"));
  } else {
    atomic_fetch_add(&parked_count, 1);
    acquire(&park_on, 1);
  }
  __asm__ volatile("" : "+r"(pointer));
  CHECK_EQ(pointer ^ HIDE, hidden[id]);
  free((void *)(uintptr_t)pointer);
}

static void parks(void *arg) {
  keeps_a_pointer_and_parks((size_t)(uintptr_t)arg);
}

static void *kept_at; /* a thread in a syscall uses the stack below it: words there may hold anything */
static void reads(void *arg) {
  volatile uint64_t kept; /* registers belong to the thread now: the collector sees only the stack */
  uint64_t pointer = (uint64_t)(uintptr_t)malloc(16);
  __asm__ volatile("" : "+r"(pointer));
  hidden[PARKED] = pointer ^ HIDE;
  kept = pointer;
  kept_at = (void *)&kept;
  CHECK_OK(gmx_enter_syscall());
  atomic_store(&in_syscall, 1);
  char c;
  ssize_t n = read(leave_syscall[0], &c, 1);
  CHECK_OK(gmx_exit_syscall());
  CHECK_EQ(n, 1);
  free((void *)(uintptr_t)kept);
  (void)arg;
}

static void loops(void *arg) {
  uint64_t pointer = (uint64_t)(uintptr_t)malloc(16);
  __asm__ volatile("" : "+r"(pointer));
  hidden[PARKED + 1] = pointer ^ HIDE;
  atomic_store(&looping, 1);
  while (!atomic_load(&quit)) gmx_safepoint();
  __asm__ volatile("" : "+r"(pointer));
  free((void *)(uintptr_t)pointer);
  (void)arg;
}

static struct {
  int total, parked, idle, syscall, loop, self, waiting_reason;
  gmx_g handles[PARKED + 64];
  bool found[PARKED + 2];
} saw;

static bool on_stack(const gmx_g_info *info, const void *from, uint64_t pointer) {
  CHECK(info->sp <= from && from < info->stack_hi);
  for (const uint64_t *p = from; p < (uint64_t *)info->stack_hi; p++)
    if (*p == pointer) return true;
  return false;
}

static void look(void *arg, const gmx_g_info *info) {
  CHECK(arg == &saw);
  CHECK_CMP(info->struct_size, >=, sizeof *info);
  CHECK(info->g != 0 && info->goid != 0);
  for (int i = 0; i < saw.total; i++) CHECK(saw.handles[i] != info->g); /* each once */
  CHECK_CMP(saw.total, <, PARKED + 64);
  saw.handles[saw.total++] = info->g;
  if (info->stack_lo) CHECK(info->stack_lo < info->stack_hi);
  if (info->stack_lo && info->g != gmx_self()) {
    CHECK(info->sp >= info->stack_lo && info->sp <= info->stack_hi);
    CHECK_EQ((uintptr_t)info->sp % sizeof(void *), 0);
  }
  if (info->g == idle_g) {
    saw.idle++;
    CHECK(info->stack_lo == NULL && info->stack_hi == NULL && info->sp == NULL);
    CHECK(info->fn == runs);
    return;
  }
  if (info->g == syscall_g) {
    saw.syscall++;
    CHECK(info->sp != NULL);
    CHECK_CMP(info->thread, >, 0);
    saw.found[PARKED] = on_stack(info, kept_at, hidden[PARKED] ^ HIDE);
    return;
  }
  if (info->g == looper_g) {
    saw.loop++;
    CHECK(info->sp != NULL);
    saw.found[PARKED + 1] = on_stack(info, info->sp, hidden[PARKED + 1] ^ HIDE);
    return;
  }
  if (info->g == gmx_self()) saw.self++;
  for (uintptr_t i = 0; i < PARKED; i++) {
    if (info->g != parked[i]) continue;
    char name[32];
    snprintf(name, sizeof name, "parked %d", (int)i);
    CHECK_STR(info->name, name);
    CHECK(info->fn == parks && info->arg == (void *)i);
    CHECK(info->sp != NULL);
    CHECK_CMP((char *)info->stack_hi - (char *)info->stack_lo, >=, 200 << 10);
    CHECK(info->wait_reason != NULL);
    if (i % 2) CHECK_STR(info->wait_reason, "for the collector");
    CHECK(info->since_ns > 0 && info->since_ns <= gmx_now());
    saw.parked++;
    saw.found[i] = on_stack(info, info->sp, hidden[i] ^ HIDE);
    return;
  }
}

static void see_all(void) {
  memset(&saw, 0, sizeof saw);
  CHECK_OK(gmx_stop_the_world("collect"));
  idle_g = go_with("idle", 0, runs, NULL); /* never ran: has no stack */
  int64_t live = gmx_num_g();
  CHECK_OK(gmx_for_each_g(look, &saw));
  CHECK_OK(gmx_start_the_world());
  CHECK_EQ(saw.parked, PARKED);
  CHECK_EQ(saw.idle, 1);
  CHECK_EQ(saw.syscall, 1);
  CHECK_EQ(saw.loop, 1);
  CHECK_CMP(saw.total, >=, live);
  for (int i = 0; i < PARKED + 2; i++)
    if (!saw.found[i]) FAIL("the pointer of number %d is not on its stack", i);
}

/* The start of a G's wait is right even if all was idle for long before, and the watchdog asleep. */
static uint32_t may_continue, waits_now;
static gmx_g late_g;
static int64_t late_since;
static void waits_late(void *arg) {
  (void)arg;
  acquire(&waits_now, 1);
  acquire(&may_continue, 1);
}
static void finds_late(void *arg, const gmx_g_info *info) {
  (void)arg;
  if (info->g == late_g) late_since = info->since_ns;
}
static void waits_are_as_long_as_they_are(void) {
  for (int i = 0; i < 2; i++) {
    late_g = go_with("late", GMX_SPAWN_JOINABLE, waits_late, NULL);
    thread_nap(SECOND); /* all is idle, and sysmon asleep */
    int64_t woken = gmx_now();
    release(&waits_now, 1);
    for (late_since = 0; late_since == 0;) { /* until it waits again */
      thread_nap(MS);
      CHECK_OK(gmx_stop_the_world("look"));
      CHECK_OK(gmx_for_each_g(finds_late, NULL));
      CHECK_OK(gmx_start_the_world());
    }
    CHECK_CMP(late_since, >, woken - SECOND / 2);
    CHECK_CMP(late_since, <=, gmx_now());
    release(&may_continue, 1);
    join(late_g);
  }
}

static void *sees_all_as_thread(void *arg) {
  see_all();
  CHECK_EQ(saw.self, 0);
  return arg;
}

static void a_collector_sees_every_g_and_its_stack(void) {
  atomic_store(&quit, 0);
  atomic_store(&parked_count, 0);
  atomic_store(&in_syscall, 0);
  atomic_store(&looping, 0);
  CHECK(pipe(leave_syscall) == 0);
  CHECK_OK(gmx_stop_the_world("so that none runs before its handle is known"));
  for (uintptr_t i = 0; i < PARKED; i++) {
    char name[32];
    snprintf(name, sizeof name, "parked %d", (int)i);
    parked[i] = go_with(name, GMX_SPAWN_JOINABLE, parks, (void *)i);
  }
  syscall_g = go_with("reads", GMX_SPAWN_JOINABLE, reads, NULL);
  looper_g = go_with("loops", GMX_SPAWN_JOINABLE, loops, NULL);
  CHECK_OK(gmx_start_the_world());
  spin_until(atomic_load(&parked_count) == PARKED && atomic_load(&in_syscall) && atomic_load(&looping));
  /* half of them have counted themselves before they wait */
  spin_until(gmx_sema_waiters(&park_on) == PARKED / 2);
  for (int i = 0; i < 3; i++) {
    see_all();
    CHECK_EQ(saw.self, 1);
  }
  pthread_t t = thread_start(sees_all_as_thread, NULL);
  CHECK_OK(gmx_enter_syscall());
  thread_join(t);
  CHECK_OK(gmx_exit_syscall());

  atomic_store(&quit, 1);
  CHECK_EQ(write(leave_syscall[1], "x", 1), 1);
  for (int i = 0; i < PARKED; i++) {
    if (i % 2) CHECK_OK(gmx_ready(parked[i]));
    else release(&park_on, 1);
  }
  join_all(parked, PARKED);
  join(syscall_g);
  join(looper_g);
  close(leave_syscall[0]);
  close(leave_syscall[1]);
}

static void with_procs(int n) {
  check_say("%d Ps", n);
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = n;
  config.slice_ns = MS; /* with a P for all of them, each hog costs a stopper a slice */
  config.report = keep_report;
  config.report_arg = report_text;
  CHECK_OK(gmx_init(&config));
  RUN_G(each_kind_stops);
  RUN_G(many_stop_at_once);
  RUN_G(a_stopped_world_has_rules);
  if (n > 1) RUN_G(one_that_never_polls_is_named);
  RUN_G(a_collector_sees_every_g_and_its_stack);
  RUN(waits_are_as_long_as_they_are);
  end_runtime();
}

int main(void) {
  with_procs(1);
  with_procs(2);
  with_procs(16);
  return 0;
}
