/* timeout: 120 */
/* The runtime's start and end, and Gs that end within a bracket (a syscall, a pin, a locked thread) that they should
 * have closed. */
#include "gs.h"

static void parks(void *arg) { park_at((gmx_g *)arg); }

static void starts(int32_t procs) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = procs;
  CHECK_OK(gmx_init(&config));
  CHECK_EQ(gmx_gomaxprocs(0), procs);
}

static void nothing_runs(void) { await_threads(1); }

/* ---- start ---- */

static void before_the_start(void) {
  CHECK_OK(gmx_shutdown(0));
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  CHECK_EQ(gmx_self(), 0);
  CHECK_EQ(gmx_goid(), 0);
  CHECK_EQ(gmx_num_g(), 0);
  CHECK_EQ(gmx_p_count(), 0);
  CHECK(gmx_num_cpu() >= 1);
  CHECK(gmx_now() > 0);
  gmx_safepoint();
  nothing_runs();
  /* the first call may be a wrong one */
  gmx_status (*const wrong[])(void) = {gmx_unpin, gmx_exit_syscall, gmx_detach_thread, gmx_start_the_world, gmx_goexit};
  for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    CHECK_STATUS(wrong[i](), GMX_EPERM);
    CHECK_OK(gmx_shutdown(GMX_FOREVER));
    nothing_runs();
  }
}

static void is_refused(const gmx_config *config) {
  CHECK_STATUS(gmx_init(config), GMX_EINVAL);
  nothing_runs();
}

/* Every field at its ends: a runtime that begins also works, and ends. */
static int has_run;
static void computes(void *arg) {
  (void)arg;
  for (int64_t end = check_now() + 20000000; check_now() < end;) gmx_safepoint();
}
static void runs(void *arg) {
  (void)arg;
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_sleep(1000));
  bump(&has_run);
}
static void works(void *arg) {
  uint32_t sema = 0;
  (void)arg;
  for (int i = 0; i < 20; i++) CHECK_OK(gmx_spawn(runs, NULL));
  CHECK_STATUS(gmx_sema_acquire_timeout(&sema, 1000), GMX_ETIMEDOUT);
  spin_until(load(&has_run) == 20);
  CHECK_OK(gmx_stop_the_world("ends"));
  CHECK_OK(gmx_start_the_world());
}
static void begins_and_works(const gmx_config *config, const char *field, int64_t value) {
  gmx_status s = gmx_init(config);
  if (s == GMX_ENOMEM || s == GMX_EAGAIN) return nothing_runs();
  if (s != GMX_OK) FAIL("%s = %" PRId64 ": %s", field, value, gmx_err_name(s));
  store(&has_run, 0);
  CHECK_OK(gmx_main(works, NULL));
  /* A G that does not yield shows what a slice of this length does to others: sysmon has looked a few times. */
  gmx_sched_stats before = sched_stats();
  CHECK_OK(gmx_main(computes, NULL));
  gmx_sched_stats after = sched_stats();
  if (strcmp(field, "slice_ns") == 0 && value > INT64_C(1) << 40) CHECK_EQ(after.preempts, before.preempts);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  nothing_runs();
}
static void fields_at_their_ends(void) {
  gmx_config config, good;
  CHECK_OK(gmx_config_default(&good));
  const int64_t most_stack = INT64_C(1) << 30;
#define ENDS(field, most)                                                       \
  for (int i = 0; i < 4; i++) {                                                 \
    const int64_t values[] = {0, 1, (int64_t)(most) - 1, (int64_t)(most)};      \
    config = good;                                                              \
    config.field = values[i];                                                   \
    begins_and_works(&config, #field, values[i]);                               \
  }
  ENDS(slice_ns, INT64_MAX)
  ENDS(maxprocs, INT32_MAX)
  ENDS(max_threads, INT32_MAX)
  ENDS(stack_size, most_stack)
  ENDS(g0_stack_size, most_stack)
}

static void bad_configurations(void) {
  gmx_config config, good;
  CHECK_STATUS(gmx_config_default(NULL), GMX_EINVAL);
  memset(&good, 0xff, sizeof good);
  CHECK_OK(gmx_config_default(&good));
  CHECK_EQ(good.struct_size, sizeof good);
  const struct {
    size_t offset, size;
  } fields[] = {
#define FIELD(name) {offsetof(gmx_config, name), sizeof good.name}
      FIELD(maxprocs), FIELD(flags), FIELD(stack_size), FIELD(g0_stack_size), FIELD(slice_ns), FIELD(max_threads)};
  for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
    for (size_t j = 0; j < fields[i].size; j++) CHECK_EQ(((const char *)&good)[fields[i].offset + j], 0);
  CHECK(good.report == NULL && good.report_arg == NULL);

  for (size_t size = 1; size < sizeof(size_t); size++) {
    config = good;
    config.struct_size = size;
    is_refused(&config);
  }
#define REFUSED(field, value) (config = good, config.field = (value), is_refused(&config))
  REFUSED(flags, GMX_CONFIG_GUARD_REQUIRED | GMX_CONFIG_GUARD_OPTIONAL);
  REFUSED(flags, 1u << 31);
  REFUSED(stack_size, ((size_t)1 << 30) + 1);
  REFUSED(stack_size, ~(size_t)0);
  REFUSED(g0_stack_size, ~(size_t)0);
  REFUSED(maxprocs, -1);
  REFUSED(maxprocs, INT32_MIN);
  REFUSED(slice_ns, -1);
  REFUSED(max_threads, -1);

  struct {
    gmx_config config;
    char tail[24];
  } later;
  memset(&later, 0, sizeof later);
  later.config = good;
  later.config.struct_size = sizeof later;
  for (size_t i = 0; i < sizeof later.tail; i++) {
    memset(later.tail, 0, sizeof later.tail);
    later.tail[i] = 1;
    is_refused(&later.config);
  }
  memset(later.tail, 0, sizeof later.tail);
  later.config.maxprocs = 2;
  CHECK_OK(gmx_init(&later.config));
  CHECK_EQ(gmx_gomaxprocs(0), 2);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));

  /* a caller that knows only maxprocs: the library does not read beyond it */
  memset(&config, 0xff, sizeof config);
  config.struct_size = offsetof(gmx_config, flags);
  config.maxprocs = 3;
  CHECK_OK(gmx_init(&config));
  CHECK_EQ(gmx_gomaxprocs(0), 3);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  nothing_runs();
}

static void a_second_start(void) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  CHECK_OK(gmx_init(NULL));
  CHECK_STATUS(gmx_init(NULL), GMX_EBUSY);
  int32_t procs = gmx_gomaxprocs(0);
  config.maxprocs = procs + 1;
  CHECK_STATUS(gmx_init(&config), GMX_EBUSY);
  CHECK_EQ(gmx_gomaxprocs(0), procs);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  CHECK_OK(gmx_spawn(nothing, NULL)); /* starts by itself */
  CHECK_STATUS(gmx_init(NULL), GMX_EBUSY);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
}

static int begin, others_run;

static void *calls_first(void *arg) {
  (void)arg;
  while (!load(&begin)) sched_yield();
  CHECK_OK(gmx_spawn(add_one, &others_run));
  return NULL;
}

/* Threads whose first calls come together start one runtime. */
static void many_first_calls(void) {
  for (int round = 1; round <= 30; round++) {
    pthread_t threads[6];
    store(&begin, 0);
    for (int i = 0; i < 6; i++) threads[i] = thread_start(calls_first, NULL);
    store(&begin, 1);
    join_threads(threads, 6);
    CHECK_OK(gmx_shutdown(GMX_FOREVER));
    CHECK_EQ(load(&others_run), 6 * round);
    nothing_runs();
  }
}

/* ---- main ---- */

static void main_g(void *arg) {
  CHECK(gmx_goid() != 0);
  add_one(arg);
  CHECK_STATUS(gmx_main(nothing, NULL), GMX_EPERM);
  CHECK_OK(gmx_yield());
}
static void main_exits(void *arg) {
  add_one(arg);
  gmx_goexit();
  FAIL("gmx_goexit came back");
}

static void main_runs_and_returns(void) {
  int ran = 0;
  CHECK_STATUS(gmx_main(NULL, NULL), GMX_EINVAL);
  for (int i = 1; i <= 20; i++) {
    CHECK_OK(gmx_main(main_g, &ran));
    CHECK_EQ(ran, i);
  }
  CHECK_OK(gmx_main(main_exits, &ran));
  CHECK_EQ(ran, 21);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
}

static gmx_g left;

static void leaves_one(void *arg) {
  left = go_joinable(parks, arg);
}

/* As in Go, main does not wait for the other goroutines. Unlike in Go, they continue. */
static void main_leaves_gs_behind(void) {
  gmx_g where = 0;
  CHECK_OK(gmx_main(leaves_one, &where));
  CHECK_STATUS(gmx_join(left, 0), GMX_ETIMEDOUT);
  wake_at(&where);
  join(left);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
}

static int reports;

static void counts_reports(void *arg, const char *text, size_t len) {
  CHECK(arg == &reports);
  CHECK(len > 0 && text[0] != 0);
  bump(&reports);
}

static gmx_g stuck_at;

static void gets_stuck(void *arg) {
  (void)arg;
  park_at(&stuck_at);
}

/* No G can run any more, and only the caller could change that. */
static void main_reports_a_deadlock(void) {
#ifdef __SANITIZE_THREAD__
  check_say("left out: ThreadSanitizer has a thread of its own, which might call in");
  return;
#endif
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.report = counts_reports;
  config.report_arg = &reports;
  CHECK_OK(gmx_init(&config));
  CHECK_STATUS(gmx_main(gets_stuck, NULL), GMX_EDEADLK);
  CHECK(load(&reports) >= 1);
  CHECK_STATUS(gmx_shutdown(MS), GMX_ETIMEDOUT);
  CHECK_OK(gmx_ready(load(&stuck_at))); /* the caller of main can, now that it is back */
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
}

static void naps(void *arg) {
  CHECK_OK(gmx_sleep(30 * MS));
  add_one(arg);
}
static void is_in_a_syscall(void *arg) {
  struct timespec nap = {0, 30 * MS};
  CHECK_OK(gmx_enter_syscall());
  nanosleep(&nap, NULL);
  CHECK_OK(gmx_exit_syscall());
  add_one(arg);
}

/* A G that sleeps or is in a syscall will run again. */
static void main_waits_for_gs_that_come_back(void) {
  int ran = 0;
  CHECK_OK(gmx_main(naps, &ran));
  CHECK_OK(gmx_main(is_in_a_syscall, &ran));
  CHECK_EQ(ran, 2);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
}

/* ---- end ---- */

static void shutdown_with_gs_alive(void) {
  gmx_g where = 0, g;
  int ran = 0;
  starts(2);
  g = go_joinable(parks, &where);
  CHECK_STATUS(gmx_shutdown(0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_shutdown(5 * MS), GMX_ETIMEDOUT);
  /* the runtime continues */
  CHECK_STATUS(gmx_init(NULL), GMX_EBUSY);
  on_g(add_one, &ran);
  CHECK_EQ(ran, 1);
  wake_at(&where);
  join(g);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  nothing_runs();
}

static gmx_g waker_where;

static void *wakes_later(void *arg) {
  struct timespec nap = {0, 5 * MS};
  (void)arg;
  nanosleep(&nap, NULL);
  wake_at(&waker_where);
  return NULL;
}

static void shutdown_waits(void) {
  for (int round = 0; round < 10; round++) {
    starts(2);
    store(&waker_where, 0);
    CHECK_OK(gmx_spawn(parks, &waker_where));
    pthread_t thread = thread_start(wakes_later, NULL);
    CHECK_OK(gmx_shutdown(GMX_FOREVER));
    CHECK_EQ(gmx_num_g(), 0);
    thread_join(thread);
    nothing_runs();
  }
}

static int detach_now, attached;

static void *stays_attached(void *arg) {
  (void)arg;
  CHECK_OK(gmx_attach_thread());
  CHECK_STATUS(gmx_shutdown(0), GMX_EDEADLK);
  store(&attached, 1);
  CHECK_OK(gmx_enter_syscall());
  while (!load(&detach_now)) sched_yield();
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_detach_thread());
  return NULL;
}

static void an_attached_thread_is_a_g_alive(void) {
  starts(2);
  pthread_t thread = thread_start(stays_attached, NULL);
  spin_until(load(&attached));
  CHECK_EQ(gmx_num_g(), 1);
  CHECK_STATUS(gmx_shutdown(5 * MS), GMX_ETIMEDOUT);
  store(&detach_now, 1);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  thread_join(thread);
  nothing_runs();
}

static void *shuts_down(void *arg) {
  (void)arg;
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  return NULL;
}

static void many_shutdowns(void) {
  for (int round = 0; round < 30; round++) {
    pthread_t threads[4];
    int ran = 0;
    starts(2);
    for (int i = 0; i < 100; i++) CHECK_OK(gmx_spawn(add_one, &ran));
    for (int i = 0; i < 4; i++) threads[i] = thread_start(shuts_down, NULL);
    join_threads(threads, 4);
    CHECK_EQ(ran, 100); /* shutdown waits for what was spawned, run or not */
    nothing_runs();
  }
}

static void tells_self(void *arg) { *(gmx_g *)arg = gmx_self(); }

/* After the end a runtime starts afresh. A handle of the former runtime is stale, and names no new object. */
static void life_after_the_end(void) {
  gmx_g old[20], parked = 0;
  for (int life = 0; life < 20; life++) {
    int ran = 0;
    starts(1 + life % 4);
    old[life] = 0;
    on_g(tells_self, &old[life]);
    gmx_g g = go_joinable(parks, &parked);
    for (int i = 0; i <= life; i++) {
      CHECK(life == i || old[life] != old[i]);
      CHECK_STATUS(gmx_join(old[i], 0), GMX_ESTALE);
      CHECK_STATUS(gmx_ready(old[i]), GMX_ESTALE);
      CHECK_STATUS(gmx_detach(old[i]), GMX_ESTALE);
    }
    for (int i = 0; i < 50; i++) CHECK_OK(gmx_spawn(add_one, &ran));
    wake_at(&parked);
    join(g);
    store(&parked, 0);
    CHECK_OK(gmx_shutdown(GMX_FOREVER));
    CHECK_EQ(ran, 50);
    CHECK_EQ(gmx_num_g(), 0);
    nothing_runs();
    CHECK_STATUS(gmx_join(old[life], 0), GMX_ESTALE);
    CHECK_OK(gmx_shutdown(GMX_FOREVER));
  }
}

struct visitor {
  int stop, turn, visits;
};

static void *visits_each_life(void *arg) {
  struct visitor *v = arg;
  for (int life = 1; !load(&v->stop); life++) {
    while (load(&v->turn) < life && !load(&v->stop)) sched_yield();
    CHECK_OK(gmx_callback(add_one, &v->visits));
    if (life % 2) {
      CHECK_OK(gmx_attach_thread());
      CHECK_OK(gmx_yield());
      CHECK_OK(gmx_detach_thread());
    }
    add_one(&v->visits);
  }
  return NULL;
}

/* A thread that is known from an earlier runtime is known in the next, and may end while none is up. */
static void threads_outlive_the_runtime(void) {
  for (int round = 0; round < 10; round++) {
    struct visitor v = {0, 0, 0};
    pthread_t thread = thread_start(visits_each_life, &v);
    for (int life = 1; life <= 5; life++) {
      store(&v.turn, life);
      spin_until(load(&v.visits) == 2 * life);
      CHECK_OK(gmx_shutdown(GMX_FOREVER));
      await_threads(2);
    }
    if (round % 2) CHECK_OK(gmx_init(NULL));
    store(&v.stop, 1);
    thread_join(thread);
    CHECK_OK(gmx_shutdown(GMX_FOREVER));
    nothing_runs();
  }
}

static uint32_t sema;
static int about_to_wait;

static void *waits_for_sema(void *arg) {
  store(&about_to_wait, 1);
  CHECK_OK(gmx_sema_acquire(&sema));
  add_one(arg);
  return NULL;
}

/* A plain thread that waits is not a G and does not delay the end; a later release wakes it. */
static void a_waiting_thread_outlives_the_runtime(void) {
  for (int round = 0; round < 20; round++) {
    struct timespec nap = {0, round % 4 * MS};
    int woken = 0;
    starts(2);
    store(&about_to_wait, 0);
    pthread_t thread = thread_start(waits_for_sema, &woken);
    spin_until(load(&about_to_wait));
    nanosleep(&nap, NULL);
    CHECK_OK(gmx_shutdown(GMX_FOREVER));
    CHECK_EQ(load(&woken), 0);
    CHECK_OK(gmx_sema_release(&sema));
    thread_join(thread);
    CHECK_EQ(woken, 1);
    CHECK_OK(gmx_shutdown(GMX_FOREVER));
    nothing_runs();
  }
}

struct race {
  int stop, spawned, ran, refused;
};

static void *spawns_all_the_time(void *arg) {
  struct race *r = arg;
  while (!load(&r->stop)) {
    gmx_status s = gmx_spawn(add_one, &r->ran);
    if (s == GMX_ESHUTDOWN) bump(&r->refused);
    else {
      CHECK_OK(s);
      bump(&r->spawned);
    }
  }
  return NULL;
}
static void *visits_all_the_time(void *arg) {
  struct race *r = arg;
  while (!load(&r->stop)) {
    gmx_status s = gmx_callback(add_one, &r->ran);
    if (s == GMX_ESHUTDOWN) bump(&r->refused);
    else {
      CHECK_OK(s);
      bump(&r->spawned);
    }
    s = gmx_attach_thread();
    if (s == GMX_ESHUTDOWN) {
      bump(&r->refused);
      continue;
    }
    CHECK_OK(s);
    CHECK_OK(gmx_yield());
    CHECK_OK(gmx_detach_thread());
  }
  return NULL;
}

/* Calls that come while the runtime goes down are refused, or start the next one; none is lost, none hangs. */
static void calls_race_the_end(void) {
  struct race r = {0, 0, 0, 0};
  pthread_t threads[3];
  threads[0] = thread_start(spawns_all_the_time, &r);
  threads[1] = thread_start(visits_all_the_time, &r);
  threads[2] = thread_start(visits_all_the_time, &r);
  int ended = 0;
  for (int64_t end = check_now() + 1000 * MS; check_now() < end;) {
    gmx_status s = gmx_shutdown(ended % 3 * MS); /* GMX_FOREVER might never return */
    if (s != GMX_ETIMEDOUT) CHECK_OK(s);
    ended += s == GMX_OK;
  }
  store(&r.stop, 1);
  join_threads(threads, 3);
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  CHECK_EQ(r.ran, r.spawned);
  check_say("%d ends, %d calls, %d refused", ended, r.spawned, r.refused);
  nothing_runs();
}

/* ---- Gs that end out of order ---- */

enum { PROCS = 4 };

struct meeting {
  int here;
};

/* The Gs do not yield: all are inside at once only if each has a P of its own. */
static void meets(void *arg) {
  struct meeting *m = arg;
  bump(&m->here);
  int64_t end = check_now() + 30000 * MS;
  while (load(&m->here) != PROCS) {
    if (check_now() > end) FAIL("after %s: only %d of %d Ps run", check_running, load(&m->here), PROCS);
    sched_yield(); /* the thread, not the G */
  }
}

/* Every P runs Gs, the world stops and starts, the barrier comes round. */
static void all_is_well(void) {
  struct meeting m = {0};
  gmx_g gs[PROCS];
  int ran = 0;
  for (int i = 0; i < PROCS; i++) gs[i] = go_joinable(meets, &m);
  join_all(gs, PROCS);
  CHECK_OK(gmx_stop_the_world("test"));
  CHECK_OK(gmx_start_the_world());
  CHECK_OK(gmx_for_each_p(add_one, &ran));
  CHECK_EQ(ran, PROCS);
  CHECK_EQ(gmx_gomaxprocs(PROCS + 1), PROCS);
  CHECK_EQ(gmx_gomaxprocs(PROCS), PROCS + 1);
  spin_until(gmx_num_g() == 0);
}

static void in_a_syscall(void *arg) {
  (void)arg;
  CHECK_OK(gmx_enter_syscall());
}
static void in_a_blocking_syscall(void *arg) {
  (void)arg;
  CHECK_OK(gmx_enter_syscall_blocking());
}
static void pinned(void *arg) {
  (void)arg;
  CHECK(gmx_pin() >= 0);
}
static void pinned_thrice(void *arg) {
  for (int i = 0; i < 3; i++) pinned(arg);
}
static void locked(void *arg) {
  (void)arg;
  CHECK_OK(gmx_lock_os_thread());
}
static void locked_thrice(void *arg) {
  for (int i = 0; i < 3; i++) locked(arg);
}
static void exits(void) {
  gmx_goexit();
  FAIL("gmx_goexit came back");
}
static void locked_and_exits(void *arg) {
  locked(arg);
  exits();
}
static void in_a_syscall_and_exits(void *arg) {
  in_a_syscall(arg);
  exits();
}
static void pinned_and_exits(void *arg) {
  pinned(arg);
  exits();
}
static void stopped_and_exits(void *arg) {
  (void)arg;
  CHECK_OK(gmx_stop_the_world("never started again"));
  exits();
}
static void locked_and_pinned(void *arg) {
  locked(arg);
  pinned(arg);
}
static void locked_in_a_syscall(void *arg) {
  locked(arg);
  in_a_syscall(arg);
}
static void with_the_world_stopped(void *arg) {
  (void)arg;
  CHECK_OK(gmx_stop_the_world("never started again"));
}
static void from_a_callback(void *arg) { CHECK_OK(gmx_callback(in_a_syscall, arg)); }
static void syscall_callback_syscall(void *arg) {
  in_a_syscall(arg);
  CHECK_OK(gmx_callback(in_a_syscall, arg));
}

static const struct {
  const char *name;
  void (*fn)(void *);
  bool exits; /* by gmx_goexit: not for threads of the host */
} ends[] = {
#define END(fn, exits) {#fn, fn, exits}
    END(in_a_syscall, false),
    END(in_a_blocking_syscall, false),
    END(in_a_syscall_and_exits, true),
    END(pinned, false),
    END(pinned_thrice, false),
    END(pinned_and_exits, true),
    END(locked, false),
    END(locked_thrice, false),
    END(locked_and_exits, true),
    END(locked_and_pinned, false),
    END(locked_in_a_syscall, false),
    END(with_the_world_stopped, false),
    END(stopped_and_exits, true),
    END(from_a_callback, false),
    END(syscall_callback_syscall, false),
};

/* The library closes the brackets that a G leaves open at its end. */
static void gs_that_end_out_of_order(void) {
  starts(PROCS);
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    check_running = ends[i].name;
    for (int round = 0; round < 20; round++) {
      on_g(ends[i].fn, NULL);
      for (int j = 0; j < 2; j++) CHECK_OK(gmx_spawn(ends[i].fn, NULL));
      spin_until(gmx_num_g() == 0);
      all_is_well();
    }
  }
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  nothing_runs();
}

static void attaches_and_ends(void *arg) {
  CHECK_OK(gmx_attach_thread());
  if (arg) (*(void (**)(void *))arg)(NULL);
}
static void attaches_and_detaches(void *arg) {
  attaches_and_ends(arg);
  CHECK_OK(gmx_detach_thread());
  CHECK_STATUS(gmx_detach_thread(), GMX_EPERM);
  CHECK_STATUS(gmx_exit_syscall(), GMX_EPERM);
  CHECK_STATUS(gmx_unpin(), GMX_EPERM);
  CHECK_STATUS(gmx_start_the_world(), GMX_EPERM);
  CHECK_EQ(gmx_self(), 0);
}
static void calls_back(void *arg) { CHECK_OK(gmx_callback(*(void (**)(void *))arg, NULL)); }

/* The same for foreign threads: they end without a detach, or return from a callback with a bracket open. */
static void threads_that_end_out_of_order(void) {
  starts(PROCS);
  on_thread(attaches_and_ends, NULL);
  all_is_well();
  for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
    if (ends[i].exits) continue;
    check_running = ends[i].name;
    void (*fn)(void *) = ends[i].fn;
    for (int round = 0; round < 10; round++) {
      on_thread(attaches_and_ends, &fn);
      all_is_well();
      on_thread(attaches_and_detaches, &fn);
      all_is_well();
      on_thread(calls_back, &fn);
      all_is_well();
    }
  }
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
  nothing_runs();
}

/* ---- exit from deep below ---- */

struct depth {
  int level, unwound, destroyed;
};
static gmx_key key;

static void count_destroyed(void *value) { bump(&((struct depth *)value)->destroyed); }

__attribute__((__noinline__)) static void goes_down(struct depth *d, int level) {
  char room[256];
  memset(room, level, sizeof room);
  __asm__ volatile("" : : "r"(room) : "memory");
  d->level = level;
  if (level < 100) goes_down(d, level + 1);
  else gmx_goexit();
  bump(&d->unwound);
}

static void exits_deep(void *arg) {
  CHECK_OK(gmx_key_set(key, arg));
  goes_down(arg, 1);
}
static void may_not_exit(void *arg) {
  bump((int *)arg);
  CHECK_STATUS(gmx_goexit(), GMX_EPERM);
}
static void exits_after_a_callback(void *arg) {
  int called = 0;
  CHECK_OK(gmx_callback(may_not_exit, &called));
  CHECK_OK(gmx_enter_syscall());
  CHECK_OK(gmx_callback(may_not_exit, &called)); /* the G must not drop the frames of the thread that called back */
  CHECK_OK(gmx_exit_syscall());
  CHECK_EQ(called, 2);
  exits_deep(arg);
}
static void exits_on_a_foreign_thread(void *arg) {
  (void)arg;
  CHECK_STATUS(gmx_goexit(), GMX_EPERM);
  CHECK_OK(gmx_attach_thread());
  CHECK_STATUS(gmx_goexit(), GMX_EPERM);
  CHECK_OK(gmx_enter_syscall());
  CHECK_STATUS(gmx_goexit(), GMX_EPERM);
  CHECK_OK(gmx_exit_syscall());
  CHECK(gmx_pin() >= 0);
  CHECK_STATUS(gmx_goexit(), GMX_EPERM);
  CHECK_OK(gmx_unpin());
  CHECK_OK(gmx_stop_the_world("exit"));
  CHECK_STATUS(gmx_goexit(), GMX_EPERM);
  CHECK_OK(gmx_start_the_world());
  CHECK_OK(gmx_detach_thread());
}

static void goexit_from_nested_calls(void) {
  starts(2);
  CHECK_OK(gmx_key_create(count_destroyed, &key));
  for (int i = 0; i < 500; i++) {
    struct depth d = {0, 0, 0};
    on_g(i % 2 ? exits_deep : exits_after_a_callback, &d);
    CHECK_EQ(d.level, 100);
    CHECK_EQ(d.unwound, 0);
    CHECK_EQ(d.destroyed, 1);
  }
  CHECK_STATUS(gmx_goexit(), GMX_EPERM);
  on_thread(exits_on_a_foreign_thread, NULL);
  CHECK_OK(gmx_key_delete(key));
  CHECK_OK(gmx_shutdown(GMX_FOREVER));
}

int main(void) {
  RUN(before_the_start);
  RUN(fields_at_their_ends);
  RUN(bad_configurations);
  RUN(a_second_start);
  RUN(many_first_calls);
  RUN(main_runs_and_returns);
  RUN(main_leaves_gs_behind);
  if (host_threads() == 0) RUN(main_reports_a_deadlock); /* a thread of the host might call in */
  RUN(main_waits_for_gs_that_come_back);
  RUN(shutdown_with_gs_alive);
  RUN(shutdown_waits);
  RUN(an_attached_thread_is_a_g_alive);
  RUN(many_shutdowns);
  RUN(life_after_the_end);
  RUN(threads_outlive_the_runtime);
  RUN(a_waiting_thread_outlives_the_runtime);
  RUN(calls_race_the_end);
  RUN(gs_that_end_out_of_order);
  RUN(threads_that_end_out_of_order);
  RUN(goexit_from_nested_calls);
  RUN(ends_clean);
  return 0;
}
