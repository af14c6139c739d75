/* timeout: 180 */
/* env: GMX_MAXPROCS=2 */
/* Foreign threads: they come and go, attached, in callbacks, and as plain threads that wait. */
#include "gs.h"

/* ---- come and go ---- */

struct visit {
  gmx_mutex mutex;
  int64_t count; /* under mutex */
  uint32_t sema;
  int spawned;
};

static void works_as_a_g(void *arg) {
  struct visit *v = arg;
  pthread_t thread = pthread_self();
  uint64_t goid = gmx_goid();
  CHECK(goid != 0);
  CHECK_OK(gmx_spawn(add_one, &v->spawned));
  CHECK_OK(gmx_mutex_lock(&v->mutex));
  v->count++;
  CHECK_OK(gmx_mutex_unlock(&v->mutex));
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_sema_release(&v->sema));
  CHECK_OK(gmx_sema_acquire(&v->sema));
  CHECK(pthread_equal(thread, pthread_self()));
  CHECK_EQ(gmx_goid(), goid);
}

static void visits(void *arg) {
  CHECK_EQ(gmx_goid(), 0);
  for (int i = 0; i < 3; i++) {
    CHECK_OK(gmx_callback(works_as_a_g, arg));
    CHECK_EQ(gmx_goid(), 0);
    CHECK_OK(gmx_attach_thread());
    CHECK_STATUS(gmx_attach_thread(), GMX_EPERM);
    works_as_a_g(arg);
    CHECK_OK(gmx_callback(works_as_a_g, arg)); /* the same G */
    CHECK_OK(gmx_detach_thread());
    CHECK_STATUS(gmx_detach_thread(), GMX_EPERM);
    CHECK_EQ(gmx_self(), 0);
  }
}
static void *visitor(void *arg) {
  visits(arg);
  return NULL;
}

static void a_thousand_threads(void) {
  enum { WAVES = 50, THREADS = 20 };
  struct visit v;
  memset(&v, 0, sizeof v);
  for (int wave = 0; wave < WAVES; wave++) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) threads[i] = thread_start(visitor, &v);
    join_threads(threads, THREADS);
  }
  spin_until(load(&v.spawned) == WAVES * THREADS * 9);
  CHECK_EQ(v.count, WAVES * THREADS * 9);
  spin_until(gmx_num_g() == 0);
}

static void works_as_a_thread(void *arg) {
  struct visit *v = arg;
  CHECK_OK(gmx_mutex_lock(&v->mutex));
  v->count++;
  CHECK_OK(gmx_mutex_unlock(&v->mutex));
  CHECK_OK(gmx_spawn(add_one, &v->spawned));
  join(go_joinable(works_as_a_g, v));
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_sleep(1000));
}
static void *plain_visitor(void *arg) {
  works_as_a_thread(arg);
  return NULL;
}

/* Without ever becoming a G. */
static void plain_threads(void) {
  enum { THREADS = 200 };
  struct visit v;
  pthread_t threads[THREADS];
  memset(&v, 0, sizeof v);
  for (int i = 0; i < THREADS; i++) threads[i] = thread_start(plain_visitor, &v);
  join_threads(threads, THREADS);
  spin_until(load(&v.spawned) == 2 * THREADS);
  CHECK_EQ(v.count, 2 * THREADS);
  spin_until(gmx_num_g() == 0);
}

/* ---- counted and seen ---- */

static int attached, leave;

static void *stays(void *arg) {
  (void)arg;
  CHECK_OK(gmx_attach_thread());
  bump(&attached);
  CHECK_OK(gmx_enter_syscall());
  while (!load(&leave)) sched_yield();
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_detach_thread());
  return NULL;
}

/* More attached threads than Ps; each is a G alive. */
static void attached_threads_are_gs(void) {
  enum { THREADS = 10 };
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) threads[i] = thread_start(stays, NULL);
  spin_until(load(&attached) == THREADS);
  CHECK_EQ(gmx_num_g(), THREADS);
  store(&leave, 1);
  join_threads(threads, THREADS);
  CHECK_EQ(gmx_num_g(), 0);
}

static int called_back, counted, ended_there;

static void is_counted(void *arg) {
  CHECK_CMP(gmx_num_g(), >=, 1);
  bump(&called_back);
  if (arg) CHECK_OK(gmx_callback(is_counted, NULL)); /* the same G */
  while (!load(&counted)) CHECK_OK(gmx_sleep(1000));
}

static void *comes_for_a_callback(void *arg) {
  CHECK_OK(gmx_callback(is_counted, arg));
  bump(&ended_there);
  while (load(&ended_there) < 8) sched_yield(); /* a thread outside does not count */
  CHECK_EQ(gmx_num_g(), 0);
  return NULL;
}

static void threads_in_a_callback_are_gs(void) {
  enum { THREADS = 8 };
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) threads[i] = thread_start(comes_for_a_callback, i % 2 ? &counted : NULL);
  spin_until(load(&called_back) == THREADS + THREADS / 2);
  CHECK_EQ(gmx_num_g(), THREADS);
  CHECK_STATUS(gmx_shutdown(0), GMX_ETIMEDOUT);
  store(&counted, 1);
  join_threads(threads, THREADS);
}

static void *ends_a_callback_later(void *arg) {
  CHECK_OK(gmx_callback(is_counted, arg));
  return NULL;
}

/* The end of a callback ends the wait for it, though no P is taken from its thread for as long as a slice lasts. */
static void a_shutdown_waits_for_callbacks(void) {
  store(&counted, 0);
  store(&called_back, 0);
  CHECK_OK(gmx_shutdown(30 * INT64_C(1000000000)));
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.slice_ns = INT64_C(1) << 60;
  CHECK_OK(gmx_init(&config));
  pthread_t t = thread_start(ends_a_callback_later, NULL);
  spin_until(load(&called_back) == 1);
  CHECK_STATUS(gmx_shutdown(20000000), GMX_ETIMEDOUT);
  store(&counted, 1);
  CHECK_OK(gmx_shutdown(30 * INT64_C(1000000000)));
  thread_join(t);
}

/* ---- parking ---- */

struct pair {
  int turn, rounds;
};

static void plays(struct pair *p, int me) {
  for (int i = 0; i < p->rounds; i++) {
    while (load(&p->turn) != me) CHECK_OK(gmx_yield());
    store(&p->turn, !me);
  }
}
static void plays_0(void *arg) { plays(arg, 0); }
static void plays_1(void *arg) { plays(arg, 1); }
static void plays_1_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  plays_1(arg);
  CHECK_OK(gmx_detach_thread());
}

/* With one P, the attached thread and the G have it in turn. */
static void attached_threads_share_one_p(void) {
  int32_t procs = gmx_gomaxprocs(1);
  struct pair p = {0, 300};
  gmx_g g = go_joinable(plays_0, &p);
  on_thread(plays_1_attached, &p);
  join(g);
  CHECK_EQ(gmx_gomaxprocs(procs), 1);
}

static gmx_g parked_at;
static int parks_left;

static void parks_many_times(void *arg) {
  (void)arg;
  pthread_t thread = pthread_self();
  while (load(&parks_left) > 0) {
    park_at(&parked_at);
    __atomic_fetch_sub(&parks_left, 1, __ATOMIC_ACQ_REL);
  }
  CHECK(pthread_equal(thread, pthread_self()));
}
static void parks_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  parks_many_times(arg);
  CHECK_OK(gmx_detach_thread());
}
static void *parks_as_a_thread(void *arg) {
  parks_many_times(arg);
  return NULL;
}
static void *parks_as_an_attached_thread(void *arg) {
  parks_attached(arg);
  return NULL;
}

static void readies_many_times(void *arg) {
  (void)arg;
  int n = load(&parks_left);
  for (int i = 0; i < n; i++) {
    gmx_g g;
    spin_until((g = load(&parked_at)) != 0);
    store(&parked_at, 0);
    CHECK_OK(gmx_ready(g));
    spin_until(load(&parks_left) < n - i);
  }
}

/* gmx_park and gmx_ready between threads, attached or not, and Gs. */
static void threads_park_and_are_readied(void) {
  for (int way = 0; way < 4; way++) {
    store(&parks_left, 200);
    store(&parked_at, 0);
    pthread_t thread = thread_start(way % 2 ? parks_as_a_thread : parks_as_an_attached_thread, NULL);
    if (way / 2) on_g(readies_many_times, NULL);
    else readies_many_times(NULL);
    thread_join(thread);
  }
}

/* ---- callbacks within callbacks ---- */

struct deep {
  int level, levels;
};

static void *thread_inside(void *arg);

static void goes_deeper(void *arg) {
  struct deep *d = arg;
  uint64_t goid = gmx_goid();
  pthread_t thread = pthread_self();
  if (++d->level < d->levels) {
    CHECK_OK(gmx_callback(goes_deeper, d)); /* on a G: a plain call */
    CHECK_OK(gmx_yield());
  } else {
    /* the host's code below starts a thread, which calls in itself, and waits for it */
    struct deep inner = {0, 3};
    if (d->levels > 3) {
      CHECK_OK(gmx_enter_syscall_blocking());
      thread_join(thread_start(thread_inside, &inner));
      CHECK_OK(gmx_exit_syscall());
    }
  }
  CHECK_EQ(gmx_goid(), goid);
  CHECK(pthread_equal(thread, pthread_self()));
}
static void *thread_inside(void *arg) {
  CHECK_OK(gmx_callback(goes_deeper, arg));
  return NULL;
}

static void callbacks_within_callbacks(void) {
  for (int round = 0; round < 50; round++) {
    struct deep d = {0, 30};
    thread_join(thread_start(thread_inside, &d));
    CHECK_EQ(d.level, 30);
  }
  spin_until(gmx_num_g() == 0);
}

/* ---- threads that end ---- */

struct leaver {
  gmx_g parked;
  bool calls_from_the_commit;
};

static bool commits_outside(void *arg, gmx_g g) {
  struct leaver *l = arg;
  if (l->calls_from_the_commit) CHECK_STATUS(gmx_ready(0), GMX_ESTALE);
  store(&l->parked, g);
  return true;
}

static void *leaves_a_p_and_parks(void *arg) {
  for (int i = 0; i < 200; i++) {
    CHECK_OK(gmx_callback(nothing, NULL));
    CHECK_OK(gmx_park(commits_outside, arg, "without a P"));
  }
  return NULL;
}

/* The P of the last callback is as in a syscall while the thread waits, whatever the commit of the host does. */
static void a_parked_thread_holds_no_p(void) {
  for (int calls = 0; calls < 2; calls++) {
    struct leaver l = {0, calls};
    pthread_t thread = thread_start(leaves_a_p_and_parks, &l);
    for (int i = 0; i < 200; i++) {
      gmx_g parked = 0;
      spin_until((parked = load(&l.parked)) != 0);
      store(&l.parked, 0);
      CHECK_OK(gmx_stop_the_world_timeout("beside a parked thread", 10 * SECOND));
      CHECK_OK(gmx_start_the_world());
      CHECK_OK(gmx_ready(parked));
    }
    thread_join(thread);
  }
}

static int destroyed;
static pthread_key_t late;

static void calls_in_late(void *value) {
  CHECK_OK(gmx_callback(add_one, value));
  if (bump(&destroyed) % 3 == 0) pthread_setspecific(late, value); /* and once more, in the next round */
}

static void *ends_with_a_destructor(void *arg) {
  CHECK(pthread_setspecific(late, arg) == 0);
  CHECK_OK(gmx_callback(add_one, arg));
  return NULL;
}
static void *ends_attached(void *arg) {
  CHECK(pthread_setspecific(late, arg) == 0);
  CHECK_OK(gmx_attach_thread());
  add_one(arg);
  return NULL;
}

/* Destructors of the thread's own keys may call in, before ours has run and after; nothing is left of the thread. */
static void the_last_call_comes_from_a_destructor(void) {
  int ran = 0;
  CHECK(pthread_key_create(&late, calls_in_late) == 0);
  for (int i = 0; i < 50; i++) {
    thread_join(thread_start(ends_with_a_destructor, &ran));
    thread_join(thread_start(ends_attached, &ran));
    spin_until(gmx_num_g() == 0);
  }
  CHECK_CMP(ran, >=, 200);
  CHECK_EQ(ran, 100 + destroyed);
  pthread_key_delete(late);
}

/* ---- detaching in a syscall ---- */

static int in_syscall, may_detach, detached;

static void detaches_in_a_syscall(void *arg) {
  (void)arg;
  CHECK_OK(gmx_attach_thread());
  CHECK_OK(gmx_enter_syscall());
  bump(&in_syscall);
  spin_until(load(&may_detach));
  CHECK_OK(gmx_detach_thread());
  CHECK_STATUS(gmx_exit_syscall(), GMX_EPERM);
  CHECK_STATUS(gmx_detach_thread(), GMX_EPERM);
  bump(&detached);
}
static void *detaches_in_a_syscall_thread(void *arg) {
  detaches_in_a_syscall(arg);
  spin_until(load(&may_detach) == 2);
  CHECK_OK(gmx_attach_thread()); /* and as ever afterwards */
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_detach_thread());
  return NULL;
}

/* A detach in a syscall needs no P: here no thread can have a P until all have detached. */
static void detaching_in_a_syscall_waits_for_no_thread(void) {
  enum { N = 4 };
  pthread_t threads[N];
  in_syscall = detached = may_detach = 0;
  for (int i = 0; i < N; i++) threads[i] = thread_start(detaches_in_a_syscall_thread, NULL);
  spin_until(load(&in_syscall) == N);
  CHECK_OK(gmx_stop_the_world("until they have detached"));
  CHECK_EQ(gmx_num_g(), N);
  store(&may_detach, 1);
  spin_until(load(&detached) == N);
  CHECK_EQ(gmx_num_g(), 0);
  CHECK_OK(gmx_start_the_world());
  store(&may_detach, 2);
  join_threads(threads, N);
}

/* The P that the thread had before its syscall is not lost. */
static void detaching_in_a_syscall_gives_the_p_on(void) {
  int before = gmx_gomaxprocs(1);
  store(&may_detach, 1);
  for (int i = 0; i < 1000; i++) {
    int ran = 0;
    CHECK_OK(gmx_attach_thread());
    CHECK_OK(gmx_spawn(add_one, &ran)); /* in the queue of the only P */
    CHECK_OK(gmx_enter_syscall());
    CHECK_OK(gmx_detach_thread());
    spin_until(load(&ran));
    spin_until(gmx_num_g() == 0);
  }
  gmx_gomaxprocs(before);
}

static int key_ran;
static void key_ends(void *value) {
  CHECK(gmx_self() != 0);
  CHECK_OK(gmx_yield());
  key_ran += value == &key_ran;
}

/* If a destructor has to run, the thread leaves the syscall first. */
static void detaching_in_a_syscall_runs_destructors(void) {
  gmx_key key = 0;
  CHECK_OK(gmx_key_create(key_ends, &key));
  CHECK_OK(gmx_attach_thread());
  CHECK_OK(gmx_key_set(key, &key_ran));
  CHECK_OK(gmx_enter_syscall());
  CHECK_OK(gmx_detach_thread());
  CHECK_EQ(key_ran, 1);
  CHECK_OK(gmx_attach_thread());
  CHECK(gmx_key_get(key) == NULL);
  CHECK_OK(gmx_detach_thread());
  CHECK_OK(gmx_key_delete(key));
}

static void only_calls_in(void *arg) {
  CHECK_OK(gmx_callback(nothing, arg));
  CHECK_OK(gmx_attach_thread());
  CHECK_OK(gmx_detach_thread());
}

/* Later threads reuse the memory of earlier threads. */
static void threads_leave_nothing(void) {
  for (int i = 0; i < 100; i++) on_thread(only_calls_in, NULL);
  gmx_mem_stats before = mem_stats();
  for (int i = 0; i < 2000; i++) on_thread(only_calls_in, NULL);
  gmx_mem_stats after = mem_stats();
  CHECK_CMP(after.m_total, <=, before.m_total + 50);
  CHECK_CMP(after.g_descriptors, <=, before.g_descriptors + 500);
}

int main(void) {
  CHECK_OK(gmx_init(NULL));
  RUN(a_thousand_threads);
  RUN(plain_threads);
  RUN(attached_threads_are_gs);
  RUN(threads_in_a_callback_are_gs);
  RUN(a_shutdown_waits_for_callbacks);
  RUN(attached_threads_share_one_p);
  RUN(threads_park_and_are_readied);
  RUN(a_parked_thread_holds_no_p);
  RUN(callbacks_within_callbacks);
  RUN(the_last_call_comes_from_a_destructor);
  RUN(detaching_in_a_syscall_waits_for_no_thread);
  RUN(detaching_in_a_syscall_gives_the_p_on);
  RUN(detaching_in_a_syscall_runs_destructors);
  RUN(threads_leave_nothing);
  RUN(ends_clean);
  return 0;
}
