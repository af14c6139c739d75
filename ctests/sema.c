/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* Semaphores: no permit is lost and none is made, whichever Gs and threads acquire and release. */
#include "gs.h"

struct permits {
  uint32_t sema;
  int rounds, waiting;
  uint64_t taken, given, timed_out;
  int64_t timeout;
};

static void acquires(void *arg) {
  struct permits *p = arg;
  for (int i = 0; i < p->rounds; i++) {
    CHECK_OK(gmx_sema_acquire(&p->sema));
    bump(&p->taken);
  }
}
static void releases(void *arg) {
  struct permits *p = arg;
  for (int i = 0; i < p->rounds; i++) {
    bump(&p->given);
    CHECK_OK(gmx_sema_release(&p->sema));
    if (i % 8 == 0) CHECK_OK(gmx_yield());
  }
}
static void *acquires_as_thread(void *arg) {
  acquires(arg);
  return NULL;
}
static void *releases_as_thread(void *arg) {
  releases(arg);
  return NULL;
}

static void counts_up_and_down(void) {
  uint32_t s = 0;
  CHECK_STATUS(gmx_sema_try_acquire(&s), GMX_EAGAIN);
  for (uint32_t i = 1; i <= 100; i++) {
    CHECK_OK(gmx_sema_release(&s));
    CHECK_EQ(s, i);
  }
  CHECK_OK(gmx_sema_acquire(&s));
  CHECK_OK(gmx_sema_try_acquire(&s));
  CHECK_OK(gmx_sema_acquire_timeout(&s, 0));
  CHECK_OK(gmx_sema_acquire_timeout(&s, GMX_FOREVER));
  CHECK_EQ(s, 96);
  s = 3; /* the host may begin with any count */
  for (int i = 0; i < 3; i++) CHECK_OK(gmx_sema_acquire(&s));
  CHECK_STATUS(gmx_sema_acquire_timeout(&s, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_sema_acquire_timeout(&s, 1000000), GMX_ETIMEDOUT);
  CHECK_EQ(s, 0);
}
/* A release of a full count is refused, and does not wrap it. */
static void no_more_than_fits(void) {
  uint32_t s = UINT32_MAX - 1;
  CHECK_OK(gmx_sema_release(&s));
  CHECK_STATUS(gmx_sema_release(&s), GMX_EBUSY);
  CHECK_EQ(s, UINT32_MAX);
  CHECK_OK(gmx_sema_acquire(&s));
  CHECK_EQ(s, UINT32_MAX - 1);
}

static void only_aligned_words(void) {
  uint32_t words[2] = {1, 1};
  for (int i = 1; i < 4; i++) {
    uint32_t *s = (void *)((char *)words + i);
    CHECK_STATUS(gmx_sema_acquire(s), GMX_EINVAL);
    CHECK_STATUS(gmx_sema_try_acquire(s), GMX_EINVAL);
    CHECK_STATUS(gmx_sema_acquire_timeout(s, 0), GMX_EINVAL);
    CHECK_STATUS(gmx_sema_release(s), GMX_EINVAL);
  }
  CHECK_EQ(words[0], 1);
  CHECK_EQ(words[1], 1);
}

static void counts_up_and_down_on_a_g(void *arg) {
  (void)arg;
  counts_up_and_down();
}
static void counts_on_gs(void) { on_g(counts_up_and_down_on_a_g, NULL); }

static void gs_and_threads_share(void) {
  enum { GS = 8, THREADS = 3, ROUNDS = 3000 };
  struct permits p = {.rounds = ROUNDS};
  gmx_g gs[2 * GS];
  pthread_t threads[2 * THREADS];
  for (int i = 0; i < GS; i++) {
    gs[2 * i] = go_joinable(acquires, &p);
    gs[2 * i + 1] = go_joinable(releases, &p);
  }
  for (int i = 0; i < THREADS; i++) {
    threads[2 * i] = thread_start(acquires_as_thread, &p);
    threads[2 * i + 1] = thread_start(releases_as_thread, &p);
  }
  join_all(gs, 2 * GS);
  join_threads(threads, 2 * THREADS);
  CHECK_EQ(p.taken, (GS + THREADS) * ROUNDS);
  CHECK_EQ(p.given, (GS + THREADS) * ROUNDS);
  CHECK_EQ(p.sema, 0);
}

static void acquires_in_a_hurry(void *arg) {
  struct permits *p = arg;
  for (int i = 0; i < p->rounds; i++) {
    gmx_status s = gmx_sema_acquire_timeout(&p->sema, p->timeout * (i % 7));
    if (s == GMX_OK) bump(&p->taken);
    else if (s == GMX_ETIMEDOUT) bump(&p->timed_out);
    else FAIL("gmx_sema_acquire_timeout is %s", gmx_err_name(s));
  }
}
static void *acquires_in_a_hurry_as_thread(void *arg) {
  acquires_in_a_hurry(arg);
  return NULL;
}

/* A permit released to a waiter just when it times out must not be lost. */
static void time_outs_lose_nothing(void) {
  enum { GS = 8, ROUNDS = 1000 };
  struct permits p = {.rounds = ROUNDS, .timeout = 7000};
  gmx_g gs[GS], giver[2];
  pthread_t threads[2];
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(acquires_in_a_hurry, &p);
  for (int i = 0; i < 2; i++) giver[i] = go_joinable(releases, &p);
  for (int i = 0; i < 2; i++) threads[i] = thread_start(acquires_in_a_hurry_as_thread, &p);
  join_all(gs, GS);
  join_all(giver, 2);
  join_threads(threads, 2);
  CHECK_EQ(p.taken + p.timed_out, (GS + 2) * ROUNDS);
  CHECK_EQ(p.taken + p.sema, p.given);
  check_say("%" PRIu64 " acquired, %" PRIu64 " timed out, %u left", p.taken, p.timed_out, p.sema);
}

static void waits_once(void *arg) {
  struct permits *p = arg;
  bump(&p->waiting);
  CHECK_OK(gmx_sema_acquire_timeout(&p->sema, p->timeout));
  bump(&p->taken);
}

static void each_release_wakes_one(void) {
  enum { GS = 50 };
  struct permits p = {.timeout = GMX_FOREVER};
  gmx_g gs[GS];
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(waits_once, &p);
  spin_until(load(&p.waiting) == GS);
  for (uint64_t i = 1; i <= GS; i++) {
    CHECK_OK(gmx_sema_release(&p.sema));
    spin_until(load(&p.taken) == i);
  }
  join_all(gs, GS);
  CHECK_EQ(p.sema, 0);
}

struct place {
  struct permits *p;
  uint64_t order;
};

static void notes_its_turn(void *arg) {
  struct place *place = arg;
  CHECK_OK(gmx_sema_acquire(&place->p->sema));
  store(&place->order, bump(&place->p->taken) + 1);
}

static void the_longest_waiter_is_first(void) {
  enum { GS = 30 };
  struct permits p = {.timeout = GMX_FOREVER};
  struct place places[GS];
  gmx_g gs[GS];
  for (int i = 0; i < GS; i++) {
    places[i] = (struct place){&p, 0};
    gs[i] = go_joinable(notes_its_turn, &places[i]);
    spin_until(count_waiting() == i + 1);
  }
  for (int i = 0; i < GS; i++) {
    CHECK_OK(gmx_sema_release(&p.sema));
    join(gs[i]);
    CHECK_EQ(places[i].order, i + 1);
  }
}

static void releases_in_callback(void *arg) { CHECK_OK(gmx_sema_release(&((struct permits *)arg)->sema)); }

/* Release is for every context: the function of a barrier runs on the scheduler's stack. */
static void the_scheduler_may_release(void) {
  enum { GS = 9 };
  struct permits p = {.timeout = GMX_FOREVER};
  gmx_g gs[GS];
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(waits_once, &p);
  spin_until(load(&p.waiting) == GS);
  for (int i = 0; i < GS / 3; i++) CHECK_OK(gmx_for_each_p(releases_in_callback, &p));
  join_all(gs, GS);
  CHECK_OK(gmx_stop_the_world("release"));
  CHECK_OK(gmx_sema_release(&p.sema));
  CHECK_OK(gmx_start_the_world());
  CHECK_EQ(p.sema, 1);
}

static void a_long_time_out_is_no_short_one(void) {
  struct permits p = {.timeout = INT64_MAX};
  gmx_g g = go_joinable(waits_once, &p);
  spin_until(load(&p.waiting) == 1);
  CHECK_OK(gmx_sleep(20000000));
  CHECK_EQ(load(&p.taken), 0);
  CHECK_OK(gmx_sema_release(&p.sema));
  join(g);
}

/* Each address is a semaphore of its own, however many there are. */
static void many_semaphores(void) {
  enum { N = 2000 };
  struct permits *all = calloc(N, sizeof *all);
  gmx_g *gs = calloc(N, sizeof *gs);
  for (int i = 0; i < N; i++) {
    all[i].timeout = GMX_FOREVER;
    gs[i] = go_joinable(waits_once, &all[i]);
  }
  for (int i = 0; i < N; i++) spin_until(load(&all[i].waiting) == 1);
  for (int i = N - 1; i >= 0; i--) {
    CHECK_EQ(load(&all[i].taken), 0);
    CHECK_OK(gmx_sema_release(&all[i].sema));
    if (i % 100 == 0) spin_until(load(&all[i].taken) == 1);
  }
  join_all(gs, N);
  for (int i = 0; i < N; i++) CHECK_EQ(all[i].taken, 1);
  free(gs);
  free(all);
}

int main(void) {
  RUN(counts_up_and_down);
  RUN(no_more_than_fits);
  RUN(only_aligned_words);
  RUN(counts_on_gs);
  RUN(gs_and_threads_share);
  RUN(time_outs_lose_nothing);
  RUN(each_release_wakes_one);
  RUN(the_longest_waiter_is_first);
  RUN(the_scheduler_may_release);
  RUN(a_long_time_out_is_no_short_one);
  RUN(many_semaphores);
  RUN(ends_clean);
  return 0;
}
