/* timeout: 120 */
/* Coroutines: values in order, ends, wrong callers, every kind of resumer, and coroutines under stops and short
 * slices. */
#include "gs.h"

struct gen {
  gmx_coro co;
  int n;        /* the value */
  int last;     /* yields so many, then ends; below 0: never ends by itself */
  int canceled; /* how often a yield has said so */
  int done;     /* its function has come to its end */
};

static void count_up(void *arg) {
  struct gen *g = arg;
  for (int i = 0; i != g->last; i++) {
    g->n = i;
    gmx_status s = gmx_coro_switch(gmx_self());
    if (s == GMX_OK) continue;
    CHECK_STATUS(s, GMX_ECANCELED);
    g->canceled++;
    CHECK_STATUS(gmx_coro_switch(gmx_self()), GMX_ECANCELED); /* from then on at once */
    break;
  }
  g->done++;
}

static struct gen *gen_new(struct gen *g, int last) {
  memset(g, 0, sizeof *g);
  g->n = -1;
  g->last = last;
  CHECK_OK(gmx_coro_new(count_up, g, NULL, &g->co));
  CHECK(g->co != 0);
  return g;
}

static void values_in_order(void) {
  struct gen g;
  gen_new(&g, 1000);
  CHECK_EQ(g.n, -1); /* it has not begun */
  for (int i = 0; i < 1000; i++) {
    CHECK_OK(gmx_coro_switch(g.co));
    CHECK_EQ(g.n, i);
  }
  CHECK_EQ(g.done, 0);
  CHECK_STATUS(gmx_coro_switch(g.co), GMX_ECLOSED);
  CHECK_EQ(g.done, 1);
  CHECK_STATUS(gmx_coro_switch(g.co), GMX_ESTALE);
  CHECK_STATUS(gmx_coro_free(g.co), GMX_ESTALE);
}

static void freed_early(void) {
  struct gen g;
  gen_new(&g, -1);
  CHECK_OK(gmx_coro_free(g.co)); /* it never ran */
  CHECK_EQ(g.done, 0);
  CHECK_STATUS(gmx_coro_switch(g.co), GMX_ESTALE);

  gen_new(&g, -1);
  CHECK_OK(gmx_coro_switch(g.co));
  CHECK_OK(gmx_coro_free(g.co));
  CHECK_EQ(g.n, 0); /* the free told it at its yield */
  CHECK_EQ(g.canceled, 1);
  CHECK_EQ(g.done, 1);
  CHECK_STATUS(gmx_coro_free(g.co), GMX_ESTALE);
  CHECK_STATUS(gmx_coro_free(0), GMX_ESTALE);
}

/* ---- wrong callers ---- */

static void frees_itself(void *arg) {
  struct gen *g = arg;
  CHECK_STATUS(gmx_coro_free(gmx_self()), GMX_EDEADLK);
  g->done = 1;
}

static struct gen inner;

static void resumes_inner(void *arg) {
  struct gen *g = arg;
  CHECK_STATUS(gmx_coro_switch(inner.co), GMX_ECLOSED);
  CHECK_EQ(inner.done, 1);
  g->done = 1;
}

static void wrong_callers(void) {
  struct gen g;
  gmx_coro co = 7;
  CHECK_STATUS(gmx_coro_new(NULL, NULL, NULL, &co), GMX_EINVAL);
  CHECK_STATUS(gmx_coro_new(count_up, NULL, NULL, NULL), GMX_EINVAL);
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = GMX_SPAWN_JOINABLE};
  CHECK_STATUS(gmx_coro_new(count_up, NULL, &opts, &co), GMX_EINVAL);
  opts.flags = 0;
  opts.stack_size = (size_t)2 << 30;
  CHECK_STATUS(gmx_coro_new(count_up, NULL, &opts, &co), GMX_EINVAL);
  CHECK_EQ(co, 7);

  CHECK_STATUS(gmx_coro_switch(gmx_self()), GMX_EINVAL); /* this is no coroutine */
  CHECK_STATUS(gmx_coro_free(gmx_self()), GMX_EINVAL);
  CHECK_STATUS(gmx_coro_switch(0), GMX_ESTALE);
  CHECK_STATUS(gmx_coro_switch(~(gmx_coro)0), GMX_ESTALE);

  memset(&g, 0, sizeof g);
  CHECK_OK(gmx_coro_new(frees_itself, &g, NULL, &g.co));
  CHECK_STATUS(gmx_join(g.co, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_ready(g.co), GMX_EPERM);
  CHECK_STATUS(gmx_coro_switch(g.co), GMX_ECLOSED);
  CHECK_EQ(g.done, 1);

  memset(&g, 0, sizeof g);
  memset(&inner, 0, sizeof inner);
  CHECK_OK(gmx_coro_new(resumes_inner, &g, NULL, &g.co));
  CHECK_OK(gmx_coro_new(frees_itself, &inner, NULL, &inner.co));
  CHECK_STATUS(gmx_coro_switch(g.co), GMX_ECLOSED);
  CHECK_EQ(g.done, 1);
}

struct loop {
  gmx_coro first, second;
  int seen;
};

static void calls_back(void *arg) {
  struct loop *l = arg;
  CHECK_STATUS(gmx_coro_switch(l->first), GMX_EBUSY);
  CHECK_STATUS(gmx_coro_free(l->first), GMX_EBUSY);
  l->seen++;
}
static void calls_second(void *arg) {
  struct loop *l = arg;
  CHECK_STATUS(gmx_coro_switch(l->second), GMX_ECLOSED);
  l->seen++;
}

/* Two coroutines cannot wait for each other. */
static void no_circle(void) {
  struct loop l = {0, 0, 0};
  CHECK_OK(gmx_coro_new(calls_second, &l, NULL, &l.first));
  CHECK_OK(gmx_coro_new(calls_back, &l, NULL, &l.second));
  CHECK_STATUS(gmx_coro_switch(l.first), GMX_ECLOSED);
  CHECK_EQ(l.seen, 2);
}

/* ---- what a coroutine may do ---- */

static uint32_t go_on, waits;

static void waits_in_between(void *arg) {
  struct gen *g = arg;
  store(&waits, 1);
  CHECK_OK(gmx_sema_acquire(&go_on));
  g->n = 1;
  CHECK_OK(gmx_coro_switch(gmx_self()));
  gmx_goexit();
}

static void resume_twice(void *arg) {
  struct gen *g = arg;
  CHECK_OK(gmx_coro_switch(g->co));
  CHECK_EQ(g->n, 1);
  CHECK_STATUS(gmx_coro_switch(g->co), GMX_ECLOSED); /* gmx_goexit is an end too */
}

static void waits_for_others(void) {
  struct gen g = {0, 0, 0, 0, 0};
  store(&waits, 0);
  CHECK_OK(gmx_coro_new(waits_in_between, &g, NULL, &g.co));
  gmx_g resumer = go_joinable(resume_twice, &g);
  spin_until(load(&waits));
  CHECK_STATUS(gmx_coro_switch(g.co), GMX_EBUSY); /* another resumes it */
  CHECK_STATUS(gmx_coro_free(g.co), GMX_EBUSY);
  CHECK_OK(gmx_sema_release(&go_on));
  join(resumer);
  CHECK_STATUS(gmx_coro_free(g.co), GMX_ESTALE);
}

static void nested(void *arg) { /* yields the sums of what its own coroutine yields */
  struct gen *g = arg, low;
  gen_new(&low, 10);
  while (gmx_coro_switch(low.co) == GMX_OK) {
    g->n += low.n;
    CHECK_OK(gmx_coro_switch(g->co));
  }
}

static void nested_coroutines(void) {
  struct gen g = {0, 0, 0, 0, 0};
  int want = 0;
  CHECK_OK(gmx_coro_new(nested, &g, NULL, &g.co));
  for (int i = 0; i < 10; i++) {
    CHECK_OK(gmx_coro_switch(g.co));
    CHECK_EQ(g.n, want += i);
  }
  CHECK_STATUS(gmx_coro_switch(g.co), GMX_ECLOSED);
}

static void keeps_errno(void *arg) {
  (void)arg;
  errno = 5;
  CHECK_OK(gmx_coro_switch(gmx_self()));
  CHECK_EQ(errno, 5);
}

static void errno_is_its_own(void) {
  gmx_coro co;
  CHECK_OK(gmx_coro_new(keeps_errno, NULL, NULL, &co));
  errno = 7;
  CHECK_OK(gmx_coro_switch(co));
  CHECK_EQ(errno, 7);
  CHECK_STATUS(gmx_coro_switch(co), GMX_ECLOSED);
}

/* ---- every kind of resumer ---- */

static void pull_some(void *arg) {
  struct gen *g = arg;
  for (int i = 0; i < 100; i++) {
    int n = g->n;
    CHECK_OK(gmx_coro_switch(g->co));
    CHECK_EQ(g->n, n + 1);
  }
}

static void pull_locked(void *arg) {
  CHECK_OK(gmx_lock_os_thread());
  int tid = thread_id();
  pull_some(arg);
  CHECK_EQ(thread_id(), tid);
  CHECK_OK(gmx_unlock_os_thread());
}

static void pull_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  pull_some(arg);
  CHECK_OK(gmx_detach_thread());
}

static void pull_in_callback(void *arg) { CHECK_OK(gmx_callback(pull_some, arg)); }

static void locks_itself(void *arg) {
  struct gen *g = arg;
  CHECK_OK(gmx_lock_os_thread());
  int tid = thread_id();
  for (int i = 0;; i++) {
    g->n = i;
    gmx_status s = gmx_coro_switch(gmx_self());
    CHECK_EQ(thread_id(), tid);
    if (s != GMX_OK) break;
  }
  CHECK_OK(gmx_unlock_os_thread());
}

static void resumers(struct gen *g) {
  for (int round = 0; round < 3; round++) {
    on_g(pull_some, g);
    on_g(pull_locked, g);
    on_thread(pull_some, g);
    on_thread(pull_attached, g);
    on_thread(pull_in_callback, g);
  }
  CHECK_EQ(g->n, 1499);
}

static void every_resumer(void) {
  struct gen g;
  resumers(gen_new(&g, -1));
  CHECK_OK(gmx_coro_free(g.co));
  CHECK_EQ(g.done, 1);
  g.n = -1;
  CHECK_OK(gmx_coro_new(locks_itself, &g, NULL, &g.co));
  resumers(&g);
  CHECK_OK(gmx_coro_free(g.co));
}

/* Several threads resume one coroutine: each value comes once, and a resumer that comes at the wrong time is told
 * so. */
static void ticket(void *arg) {
  int *n = arg;
  while (gmx_coro_switch(gmx_self()) == GMX_OK) ++*n;
}

struct crowd {
  gmx_coro co;
  int n;
  uint32_t got;
};

static void take_tickets(void *arg) {
  struct crowd *c = arg;
  for (int got = 0; got < 2000;) {
    gmx_status s = gmx_coro_switch(c->co);
    if (s == GMX_OK) {
      got++;
      __atomic_fetch_add(&c->got, 1, __ATOMIC_RELAXED);
    } else {
      CHECK_STATUS(s, GMX_EBUSY);
    }
  }
}

static void *take_tickets_thread(void *arg) { return take_tickets(arg), NULL; }

static void crowd(void) {
  struct crowd c = {0, 0, 0};
  CHECK_OK(gmx_coro_new(ticket, &c.n, NULL, &c.co));
  gmx_g gs[3];
  for (int i = 0; i < 3; i++) gs[i] = go_joinable(take_tickets, &c);
  pthread_t thread = thread_start(take_tickets_thread, &c);
  join_all(gs, 3);
  thread_join(thread);
  CHECK_EQ(c.got, 8000);
  CHECK_EQ(c.n, 7999); /* the first switch only began it */
  CHECK_OK(gmx_coro_free(c.co));
}

/* ---- stops, barriers, slices, dumps ---- */

static int stop;

static void pull_until_stop(void *arg) {
  struct gen g;
  (void)arg;
  gen_new(&g, -1);
  int i = 0;
  for (; !load(&stop); i++) {
    CHECK_OK(gmx_coro_switch(g.co));
    CHECK_EQ(g.n, i);
  }
  CHECK_OK(gmx_coro_free(g.co));
}

struct tally {
  int coros, running;
};

static void tally(void *arg, const gmx_g_info *info) {
  struct tally *t = arg;
  CHECK(info->status >= GMX_G_RUNNABLE && info->status <= GMX_G_PARKED);
  if (info->status == GMX_G_WAITING && strcmp(info->wait_reason, "coroutine") == 0) {
    t->coros++;
    CHECK(info->since_ns > 0);
  }
}

/* Of each pair exactly one waits for the other whenever the world stands still. */
static void stops_and_barriers(void) {
  enum { PAIRS = 4 };
  gmx_g gs[PAIRS];
  store(&stop, 0);
  for (int i = 0; i < PAIRS; i++) gs[i] = go_joinable(pull_until_stop, NULL);
  spin_until(gmx_num_g() >= 2 * PAIRS + 1);
  for (int i = 0; i < 200; i++) {
    struct tally t = {0, 0};
    CHECK_OK(gmx_stop_the_world("tally"));
    CHECK_OK(gmx_for_each_g(tally, &t));
    CHECK_OK(gmx_start_the_world());
    CHECK_EQ(t.coros, PAIRS);
    CHECK_OK(gmx_for_each_p(nothing, NULL));
  }
  CHECK(gmx_write_heap_dump(2) == GMX_OK);
  store(&stop, 1);
  join_all(gs, PAIRS);
}

static void say_stop(void *arg) {
  (void)arg;
  store(&stop, 1);
}

/* With one P, a pair of coroutines that never leaves it shares one slice. When the slice is over other Gs run, and
 * timers fire. */
static void pair_lets_others_run(void) {
  int32_t procs = gmx_gomaxprocs(1);
  store(&stop, 0);
  go(say_stop, NULL);
  pull_until_stop(NULL);
  store(&stop, 0);
  CHECK_OK(gmx_after_func(1000000, say_stop, NULL, NULL));
  pull_until_stop(NULL);
  CHECK_EQ(gmx_gomaxprocs(procs), 1);
}

static void inside(void *arg) {
  (void)arg;
  RUN(values_in_order);
  RUN(freed_early);
  RUN(wrong_callers);
  RUN(no_circle);
  RUN(waits_for_others);
  RUN(nested_coroutines);
  RUN(errno_is_its_own);
  RUN(pair_lets_others_run);
  RUN(stops_and_barriers);
}

/* A suspended coroutine counts as a live goroutine. */
static void keeps_shutdown_waiting(void) {
  struct gen g;
  spin_until(gmx_num_g() == 0); /* those before are at their ends */
  gen_new(&g, -1);
  CHECK_OK(gmx_coro_switch(g.co));
  CHECK_EQ(gmx_num_g(), 1);
  CHECK_STATUS(gmx_shutdown(1000000), GMX_ETIMEDOUT);
  CHECK_OK(gmx_coro_free(g.co));
  spin_until(gmx_num_g() == 0);
  gen_new(&g, -1);
  CHECK_EQ(gmx_num_g(), 1);
  CHECK_OK(gmx_coro_free(g.co));
  CHECK_EQ(gmx_num_g(), 0);
}

int main(void) {
  start_runtime(3, SECOND / 100);
  CHECK_OK(gmx_main(inside, NULL));
  RUN(every_resumer);
  RUN(crowd);
  RUN(values_in_order);
  RUN(freed_early);
  RUN(keeps_shutdown_waiting);
  ends_clean();
  return 0;
}
