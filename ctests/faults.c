/* The system refuses: for each n, the n-th call that the library makes of mmap, malloc, pthread_create and the others
 * fails, while a program uses most of the interface. Whichever call fails, each function of the library returns GMX_OK
 * or the status for that, works when it is called again, and the program comes to its end.
 *
 * ctests/stress/faults.c takes every n; this program takes the first of each and a sample of the rest. */
/* timeout: 240 */
/* flags: -ldl */
#include "child.h"
#include "faults.h"
#include "gs.h"

#include <limits.h>
#include <stdatomic.h>

#ifndef FAULTS_FIRST
#define FAULTS_FIRST 12 /* so many of each are tried one by one */
#endif

/* ---- what may come of a call ---- */

static bool refused(gmx_status s) { return s == GMX_ENOMEM || s == GMX_EAGAIN; }

/* The call works in the end. One system call fails, or a few in a row: the library may need several things at once, but
 * it must not be refused forever. */
#define MUST(expr)                                                                                     \
  do {                                                                                                 \
    gmx_status must_got;                                                                               \
    int must_tries = 0;                                                                                \
    while ((must_got = (expr)) != GMX_OK) {                                                            \
      if (!refused(must_got) || atomic_load(&fault_failed) == 0 || ++must_tries > 20)                  \
        FAIL("%s is %s (%d) at try %d", #expr, gmx_err_name(must_got), (int)must_got, must_tries + 1); \
    }                                                                                                  \
  } while (0)

/* As MUST, for a call that returns a number: returns the first result that is not a refusal. */
static int32_t number(int32_t (*call)(int32_t), int32_t arg) {
  for (int tries = 0;; tries++) {
    int32_t n = call(arg);
    if (n >= 0) return n;
    if (!refused(n) || atomic_load(&fault_failed) == 0 || tries > 20)
      FAIL("a number is %s (%d)", gmx_err_name(n), (int)n);
  }
}

/* ---- Gs ---- */

static gmx_key key;
static atomic_int destroyed, values_set;
static uint32_t gate, both;
static gmx_mutex mutex;
static gmx_waitgroup all;
static long guarded;
static int nowhere;

static void destroys(void *value) {
  CHECK_EQ((uintptr_t)value, 7);
  atomic_fetch_add(&destroyed, 1);
}

static gmx_g spawn(uint32_t flags, size_t stack, const char *name, void (*fn)(void *), void *arg) {
  gmx_spawn_opts o;
  gmx_g g = 0;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o;
  o.flags = flags;
  o.stack_size = stack;
  o.name = name;
  MUST(gmx_spawn_with(&o, fn, arg, &g));
  CHECK(g != 0);
  return g;
}

static void locked_sum(void *arg) {
  (void)arg;
  MUST(gmx_mutex_lock_timeout(&mutex, 20 * SECOND));
  long n = guarded;
  CHECK_OK(gmx_yield());
  guarded = n + 1;
  CHECK_OK(gmx_mutex_unlock(&mutex));
}

static void through_gate(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sema_acquire(&gate));
  CHECK_OK(gmx_sema_release(&both));
}

static void sleeps(void *arg) {
  MUST(gmx_sleep((int64_t)(uintptr_t)arg * 1000));
  CHECK_OK(gmx_sema_release(&both));
}

static bool tell(void *arg, gmx_g g) {
  atomic_store((atomic_ullong *)arg, g);
  return true;
}

static void parks(void *arg) { CHECK_OK(gmx_park(tell, arg, "until it is readied")); }

static void naps(void *arg) {
  (void)arg;
  thread_nap(50000);
}

static void deep(void *arg) {
  volatile char some[12000];
  for (size_t i = 0; i < sizeof some; i += 512) some[i] = 1;
  MUST(gmx_key_set(key, (void *)7));
  atomic_fetch_add(&values_set, 1);
  CHECK_EQ((uintptr_t)gmx_key_get(key), 7);
  CHECK_OK(gmx_lock_os_thread());
  int tid = thread_id();
  CHECK_OK(gmx_enter_syscall());
  CHECK_OK(gmx_callback(locked_sum, NULL));
  thread_nap(30000);
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_yield());
  CHECK_EQ(thread_id(), tid);
  CHECK_OK(gmx_unlock_os_thread());
  CHECK_OK(gmx_blocking(naps, NULL));
  CHECK_EQ(some[512], 1);
  if (arg) gmx_goexit();
}

#define CROWD 900 /* more stacks than a page has room for */

static void crowd(void) {
  for (int i = 0; i < CROWD; i++) MUST(gmx_spawn(i % 3 ? through_gate : sleeps, (void *)(uintptr_t)(100 + i % 7)));
  for (int i = 0; i < CROWD; i++)
    if (i % 3) CHECK_OK(gmx_sema_release(&gate));
  for (int i = 0; i < CROWD; i++) MUST(gmx_sema_acquire_timeout(&both, 20 * SECOND));
  CHECK_EQ(gate, 0);
  CHECK_EQ(both, 0);
}

/* ---- the world ---- */

static atomic_int passed;

static void passes(void *arg) {
  (void)arg;
  CHECK(gmx_pin() >= 0);
  CHECK_OK(gmx_unpin());
  atomic_fetch_add(&passed, 1);
}

static void looks(void *arg, const gmx_g_info *info) {
  (*(int *)arg)++;
  CHECK(info->g != 0);
}

static void world(void) {
  static const int32_t numbers[] = {1, 40, 2, 9, 4};
  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    int32_t before = gmx_gomaxprocs(0);
    CHECK_EQ(number(gmx_gomaxprocs, numbers[i]), before);
    CHECK_EQ(gmx_gomaxprocs(0), numbers[i]);
    atomic_store(&passed, 0);
    MUST(gmx_for_each_p(passes, NULL));
    CHECK_EQ(atomic_load(&passed), numbers[i]);
  }
  int seen = 0;
  MUST(gmx_stop_the_world("faults"));
  CHECK_OK(gmx_for_each_g(looks, &seen));
  CHECK_CMP(seen, >, 0);
  CHECK_OK(gmx_start_the_world());
  MUST(gmx_stop_the_world_timeout("faults", 20 * SECOND));
  CHECK_OK(gmx_start_the_world());
}

static void inside(void) {
  gmx_mem_stats m;
  gmx_sched_stats s;
  memset(&m, 0, sizeof m);
  memset(&s, 0, sizeof s);
  m.struct_size = sizeof m;
  s.struct_size = sizeof s;
  MUST(gmx_read_mem_stats(&m));
  MUST(gmx_read_sched_stats(&s));
  for (int tries = 0;; tries++) {
    gmx_status dumped = gmx_write_heap_dump(nowhere);
    if (dumped == GMX_OK) break;
    CHECK(refused(dumped) || dumped == -EIO);
    CHECK_CMP(tries, <, 20);
  }
}

/* A pipe that is full, and does not block. */
static void *reads(void *fd) {
  char some[4096];
  while (read((int)(intptr_t)fd, some, sizeof some) > 0) {
  }
  return NULL;
}

static void into_a_full_pipe(void) {
  int fds[2];
  CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
  CHECK_EQ(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
  while (write(fds[1], "x", 1) == 1) {
  }
  pthread_t reader = thread_start(reads, (void *)(intptr_t)fds[0]);
  gmx_status dumped;
  while ((dumped = gmx_write_heap_dump(fds[1])) != GMX_OK)
    CHECK((refused(dumped) || dumped == -EIO) && atomic_load(&fault_failed) > 0);
  close(fds[1]);
  thread_join(reader);
  close(fds[0]);
}

static void main_g(void *arg) {
  (void)arg;
  MUST(gmx_key_create(destroys, &key));
  gmx_g gs[8];
  for (size_t i = 0; i < 8; i++)
    gs[i] = spawn(GMX_SPAWN_JOINABLE | (i % 3 == 1 ? GMX_SPAWN_CHILD_FIRST : 0), i % 2 ? (size_t)20000 << i : 0, "deep", deep,
                  i == 3 ? &gs : NULL);
  for (size_t i = 0; i < 7; i++) MUST(gmx_join(gs[i], 20 * SECOND));
  CHECK_OK(gmx_detach(gs[7]));
  crowd();
  world();
  inside();
  atomic_ullong parked = 0;
  gmx_g g = spawn(GMX_SPAWN_JOINABLE, 0, NULL, parks, &parked);
  CHECK_STATUS(gmx_join(g, 1000), GMX_ETIMEDOUT);
  spin_until(atomic_load(&parked) != 0);
  CHECK_OK(gmx_ready((gmx_g)atomic_load(&parked)));
  CHECK_OK(gmx_join(g, GMX_FOREVER));
  gmx_p_key p_key;
  MUST(gmx_p_key_create(&p_key));
  CHECK_CMP(gmx_pin(), >=, 0);
  CHECK_OK(gmx_p_set(p_key, &p_key));
  CHECK(gmx_p_get(p_key) == &p_key);
  CHECK_OK(gmx_unpin());
  CHECK_OK(gmx_p_key_delete(p_key));
  spin_until(gmx_num_g() == 1); /* the one that was let go */
  CHECK_OK(gmx_key_delete(key));
}

/* ---- threads of the host ---- */

static void as_g(void *arg) {
  CHECK(gmx_goid() != 0);
  locked_sum(arg);
  MUST(gmx_sleep(1000));
}

static void *thread(void *arg) {
  /* the first call makes the thread known, or says why not */
  switch ((uintptr_t)arg) {
    case 0: MUST(gmx_attach_thread()); break;
    case 1: MUST(gmx_callback(as_g, NULL)); break;
    case 2: MUST(gmx_sema_release(&gate)); break;
    case 3: MUST(gmx_sleep(1000)); break;
    case 4: MUST(gmx_spawn(through_gate, NULL)); break;
    case 5: MUST(gmx_stop_the_world("a thread")); break;
    case 6: MUST(gmx_mutex_lock(&mutex)); break;
    default: MUST(gmx_waitgroup_done(&all));
  }
  switch ((uintptr_t)arg) {
    case 0:
      MUST(gmx_sleep(1000));
      CHECK_OK(gmx_detach_thread());
      break;
    case 5: CHECK_OK(gmx_start_the_world()); break;
    case 6: CHECK_OK(gmx_mutex_unlock(&mutex)); break;
    default: break;
  }
  MUST(gmx_callback(as_g, NULL));
  return NULL;
}

static void threads(void) {
  pthread_t t[8];
  MUST(gmx_waitgroup_add(&all, 1));
  for (uintptr_t i = 0; i < 8; i++) t[i] = thread_start(thread, (void *)i);
  MUST(gmx_waitgroup_wait_timeout(&all, 20 * SECOND));
  MUST(gmx_sema_acquire_timeout(&both, 20 * SECOND));
  join_threads(t, 8);
}

/* ---- reports ---- */

static atomic_int reports;

static void report(void *arg, const char *text, size_t len) {
  (void)arg;
  (void)text;
  (void)len;
  atomic_fetch_add(&reports, 1);
}

static void waits_forever(void *arg) { parks(arg); }

/* The library reports the deadlock, or has no memory for the report, and the runtime continues. Without /proc the
 * library cannot know whether a thread is left that could end the deadlock, and reports nothing. */
static void deadlock(void) {
  atomic_ullong parked = 0;
  gmx_status s;
  while (refused(s = gmx_main(waits_forever, &parked))) CHECK_CMP(atomic_load(&fault_failed), >, 0);
  CHECK_STATUS(s, GMX_EDEADLK);
  CHECK_OK(gmx_ready((gmx_g)atomic_load(&parked)));
}

/* ---- a program ---- */

#define FOREVER LONG_MAX

static long *counts; /* shared with the parent */

static void end(int rounds) {
  for (int k = 0; k < FAULT_KINDS; k++) counts[k] = atomic_load(&fault_calls[k]);
  CHECK_EQ(guarded, rounds * (8 + 8 + 1));
  CHECK_EQ(atomic_load(&destroyed), atomic_load(&values_set));
}

static void program(void *arg) {
  (void)arg;
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.report = report;
  MUST(gmx_init(&config));
  CHECK_STATUS(gmx_init(&config), GMX_EBUSY);
  MUST(gmx_main(main_g, NULL));
  threads();
  into_a_full_pipe();

  if (fault_many != FOREVER || (fault_kind != FAULT_open && fault_kind != FAULT_getdents64)) deadlock();
  MUST(gmx_set_default_gomaxprocs());
  CHECK_OK(gmx_shutdown(20 * SECOND));

  /* and once more, begun by whatever comes first */
  MUST(gmx_spawn(through_gate, NULL));
  CHECK_OK(gmx_sema_release(&gate));
  MUST(gmx_sema_acquire_timeout(&both, 20 * SECOND));
  MUST(gmx_main(main_g, NULL));
  threads();
  CHECK_OK(gmx_shutdown(20 * SECOND));
  CHECK_EQ(gmx_num_g(), 0);
  end(2);
}

/* ---- every place ---- */

static child c;

static long run(int kind, long first, long many) {
  fault_arm(kind, first, many);
  child_run(&c, 60, program, NULL);
  if (c.status) CHILD_FAIL(&c, "GMX_FAULT=%s:%ld:%ld", fault_names[kind], first, many);
  return 1;
}

/* Whether a system call may fail from then on: the library continues without it, with the resources that it has. */
static bool may_fail_forever(int kind) {
  switch (kind) {
    case FAULT_munmap:
    case FAULT_madvise:
    case FAULT_process_madvise:
    case FAULT_mprotect:
    case FAULT_sigaltstack:
    case FAULT_sigaction:
    case FAULT_open:
    case FAULT_read:
    case FAULT_getdents64:
    case FAULT_timer_create:
    case FAULT_timer_settime:
    case FAULT_membarrier:
    case FAULT_cpu_clock:
    case FAULT_sched_getaffinity:
    case FAULT_dlopen:
    case FAULT_prctl: return true;
    default: return false;
  }
}

/* The next place to try: each of the first ones, then fewer and fewer. */
static long after(long n) { return n < FAULTS_FIRST ? n + 1 : n + n / 3; }

int main(int argc, char **argv) {
  alarm(0);
  nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  CHECK(nowhere >= 0);
  if (fault_lo == 0) SKIP("the library's code is not to be found");
  size_t size = sizeof *counts * FAULT_KINDS;
  counts = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  CHECK(counts != MAP_FAILED);

  long places[FAULT_KINDS], tried = 0;
  if (fault_kind >= 0) { /* GMX_FAULT says which one */
    program(NULL);
    return 0;
  }
  child_run(&c, 60, program, NULL);
  CHILD_OK(&c);
  memcpy(places, counts, size);
  for (int k = 0; k < FAULT_KINDS; k++) {
    if (argc > 1 && strcmp(argv[1], fault_names[k]) != 0) continue;
    int64_t begin = check_now();
    long n = 0;
    for (long at = 1; at <= places[k]; at = after(at)) n += run(k, at, 1);
    /* a few failures in a row, and a system that refuses from then on */
    for (long at = 1; at <= places[k]; at = after(after(at) * 2)) n += run(k, at, 3);
    if (may_fail_forever(k)) n += run(k, 1, FOREVER);
    /* three threads: the template thread, sysmon and one worker */
    if (k == FAULT_pthread_create || k == FAULT_pthread_attr_init) n += run(k, 4, places[k] / 2 - 3);
    check_say("%-20s %6ld calls, %5ld programs, %6" PRId64 " ms", fault_names[k], places[k], n,
              (check_now() - begin) / MS);
    tried += n;
  }
  check_say("%ld programs", tried);
  return 0;
}
