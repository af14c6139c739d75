/* timeout: 60 */
/* env: GMX_MAXPROCS=3 */
/* gmx_once: the function runs once, and each other caller waits until it has run. A call from within the function gets
 * an error and does not hang. */
#include "gs.h"

static const gmx_once fresh;

struct job {
  gmx_once once;
  int begun, ended, ready;
  gmx_status inside;
  uint32_t hold;
};

static void do_it(void *arg) {
  struct job *j = arg;
  CHECK_EQ(bump(&j->begun), 0);
  for (int i = 0; i < 5; i++) (void)gmx_yield();
  CHECK_OK(gmx_sleep(100000));
  store(&j->ended, 1);
}
static void asks(void *arg) {
  struct job *j = arg;
  if (gmx_goid() % 4 == 0) {
    gmx_status s;
    while ((s = gmx_once_do_timeout(&j->once, do_it, j, 10000)) == GMX_ETIMEDOUT) {
    }
    CHECK_OK(s);
  } else {
    CHECK_OK(gmx_once_do(&j->once, do_it, j));
  }
  CHECK_EQ(load(&j->ended), 1);
  CHECK_OK(gmx_once_do(&j->once, do_it, j));
}

static void done_once(void) {
  enum { GS = 10, THREADS = 3 };
  for (int round = 0; round < 30; round++) {
    struct job j = {fresh, 0, 0, 0, 0, 0};
    gmx_g g[GS];
    pthread_t t[THREADS];
    struct thread_call call = {asks, &j};
    for (int i = 0; i < THREADS; i++) t[i] = thread_start(thread_calls, &call);
    for (int i = 0; i < GS; i++) g[i] = go_joinable(asks, &j);
    join_all(g, GS);
    join_threads(t, THREADS);
    CHECK_EQ(j.begun, 1);
  }
}

static void asks_again(void *arg) {
  struct job *j = arg;
  bump(&j->begun);
  j->inside = gmx_once_do(&j->once, asks_again, j);
}
static void within(void *unused) {
  (void)unused;
  struct job j = {fresh, 0, 0, 0, 0, 0};
  CHECK_OK(gmx_once_do(&j.once, asks_again, &j));
  CHECK_STATUS(j.inside, GMX_EDEADLK);
  CHECK_EQ(j.begun, 1);
  CHECK_STATUS(gmx_once_do(NULL, do_it, &j), GMX_EINVAL);
  CHECK_STATUS(gmx_once_do(&j.once, NULL, &j), GMX_EINVAL);
  CHECK_STATUS(gmx_once_do((gmx_once *)((char *)&j.once + 1), do_it, &j), GMX_EINVAL);
}
static void from_within(void) {
  on_g(within, NULL);
  on_thread(within, NULL);
  within(NULL);
}

/* ---- what stands in the header, inline, says what the function says ---- */

static gmx_status (*volatile function)(gmx_once *, void (*)(void *), void *) = gmx_once_do;

static void inline_or_not(void) {
  struct job j = {fresh, 0, 0, 0, 0, 0};
  CHECK_OK(gmx_once_do(&j.once, do_it, &j));
  CHECK_OK(gmx_once_do(&j.once, do_it, &j));
  CHECK_OK(function(&j.once, do_it, &j));
  CHECK_EQ(j.begun, 1);
  CHECK_STATUS(gmx_once_do(&j.once, NULL, &j), GMX_EINVAL);
  CHECK_STATUS(function(&j.once, NULL, &j), GMX_EINVAL);

  /* an unaligned copy of a once that is done is refused too */
  char room[2 * sizeof j.once];
  char *volatile at = room + ((uintptr_t)room % 8 == 7 ? 2 : 1);
  memcpy(at, &j.once, sizeof j.once);
  CHECK_STATUS(gmx_once_do((gmx_once *)at, do_it, &j), GMX_EINVAL);
  CHECK_STATUS(function((gmx_once *)at, do_it, &j), GMX_EINVAL);
}

/* ---- waiting for another's ---- */

static void holds(void *arg) {
  struct job *j = arg;
  store(&j->ready, 1);
  CHECK_OK(gmx_sema_acquire(&j->hold));
}
static void does_and_holds(void *arg) {
  struct job *j = arg;
  CHECK_OK(gmx_once_do(&j->once, holds, j));
}
static void gives_up(void *arg) {
  struct job *j = arg;
  gmx_cancel c;
  CHECK_STATUS(gmx_once_do_timeout(&j->once, do_it, j, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_once_do_timeout(&j->once, do_it, j, MS), GMX_ETIMEDOUT);
  CHECK_OK(gmx_cancel_new(0, MS, &c));
  CHECK_OK(gmx_cancel_use(c, NULL));
  CHECK_OK(gmx_cancel_free(c));
  gmx_cancel_locks(true);
  CHECK_STATUS(gmx_once_do(&j->once, do_it, j), GMX_ECANCELED);
  gmx_cancel_locks(false);
  CHECK_OK(gmx_cancel_use(0, NULL));
}
static void giving_up_changes_nothing(void) {
  struct job j = {fresh, 0, 0, 0, 0, 0};
  gmx_g g = go_joinable(does_and_holds, &j);
  spin_until(load(&j.ready));
  on_g(gives_up, &j);
  on_thread(gives_up, &j);
  CHECK_OK(gmx_sema_release(&j.hold));
  join(g);
  CHECK_OK(gmx_once_do(&j.once, do_it, &j));
  CHECK_EQ(j.begun, 0);
}

/* ---- a G that ends within ---- */

static void ends(void *arg) {
  struct job *j = arg;
  bump(&j->begun);
  CHECK_OK(gmx_sema_acquire(&j->hold));
  CHECK_OK(gmx_goexit());
}
static void ends_deep(void *arg) {
  struct job *j = arg;
  CHECK_OK(gmx_once_do(&j[1].once, ends, &j[1]));
}
static void ends_within(void *arg) {
  struct job *j = arg;
  CHECK_OK(gmx_once_do(&j->once, ends_deep, j));
}
static void waits_for_both(void *arg) {
  struct job *j = arg;
  CHECK_OK(gmx_once_do(&j[0].once, do_it, &j[0]));
  CHECK_OK(gmx_once_do(&j[1].once, do_it, &j[1]));
}
static void an_end_within_is_the_end(void) {
  for (int i = 0; i < 50; i++) {
    struct job j[2] = {{fresh, 0, 0, 0, 0, 0}, {fresh, 0, 0, 0, 0, 0}};
    gmx_g a = go_joinable(ends_within, j);
    spin_until(load(&j[1].begun) == 1);
    gmx_g b = go_joinable(waits_for_both, j);
    CHECK_OK(gmx_sema_release(&j[1].hold));
    join(a);
    join(b);
    CHECK_EQ(j[0].begun, 0);
    CHECK_EQ(j[1].begun, 1);
  }
}

int main(void) {
  RUN(from_within);
  RUN(inline_or_not);
  RUN(done_once);
  RUN(giving_up_changes_nothing);
  RUN(an_end_within_is_the_end);
  RUN(ends_clean);
  return 0;
}
