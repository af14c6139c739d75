/* env: GMX_MAXPROCS=2 */
/* Calls of a class: as many at a time as the class allows, in the order of their arrival. */
#include "gs.h"

static gmx_class two;
static gmx_waitgroup all;
static int inside, most, calls, order[64], gate;

static void computes(void *arg) {
  (void)arg;
  int now = bump(&inside) + 1, seen = load(&most);
  while (now > seen && !__atomic_compare_exchange_n(&most, &seen, now, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
  }
  usleep(500);
  bump(&calls);
  __atomic_fetch_sub(&inside, 1, __ATOMIC_ACQ_REL);
}
static void calls_it(void *arg) {
  (void)arg;
  for (int i = 0; i < 5; i++) CHECK_OK(gmx_blocking_in(two, computes, NULL, GMX_FOREVER));
}
static void never_more_than_its_limit(void) {
  pthread_t threads[3];
  struct thread_call call = {calls_it, NULL};
  for (int i = 0; i < 40; i++) CHECK_OK(gmx_waitgroup_go(&all, calls_it, NULL));
  for (int i = 0; i < 3; i++) threads[i] = thread_start(thread_calls, &call);
  CHECK_OK(gmx_waitgroup_wait(&all));
  join_threads(threads, 3);
  CHECK_EQ(load(&calls), 43 * 5);
  CHECK_EQ(load(&most), 2);
}

/* ---- one after the other ---- */

static gmx_class one;
static int n;
static void holds(void *arg) {
  (void)arg;
  bump(&inside);
  while (!load(&gate)) usleep(100);
  __atomic_fetch_sub(&inside, 1, __ATOMIC_ACQ_REL);
}
static void holds_it(void *arg) {
  (void)arg;
  CHECK_OK(gmx_blocking_in(one, holds, NULL, GMX_FOREVER));
}
static void notes(void *arg) { order[n++] = (int)(intptr_t)arg; }
static void waits_its_turn(void *arg) { CHECK_OK(gmx_blocking_in(one, notes, arg, GMX_FOREVER)); }

static void hold(void) {
  store(&gate, 0);
  CHECK_OK(gmx_waitgroup_go(&all, holds_it, NULL));
  spin_until(load(&inside) == 1);
}
static void let_go(void) {
  store(&gate, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
}

static void in_order(void) {
  hold();
  for (int i = 0; i < 20; i++) {
    CHECK_OK(gmx_waitgroup_go(&all, waits_its_turn, (void *)(intptr_t)i));
    spin_until(waiting("the only one") == i + 1);
  }
  CHECK_STATUS(gmx_class_free(one), GMX_EBUSY);
  let_go();
  CHECK_EQ(n, 20);
  for (int i = 0; i < n; i++) CHECK_EQ(order[i], i);
}

/* ---- a wait that ends ---- */

static void is_canceled(void *arg) {
  gmx_cancel token = *(gmx_cancel *)arg;
  CHECK_OK(gmx_cancel_use(token, NULL));
  CHECK_STATUS(gmx_blocking_in(one, notes, NULL, GMX_FOREVER), GMX_ECANCELED);
  CHECK_OK(gmx_cancel_use(0, NULL));
}
static void gives_up(void) {
  gmx_cancel token;
  n = 0;
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &token));
  hold();
  CHECK_STATUS(gmx_blocking_in(one, notes, NULL, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_blocking_in(one, notes, NULL, 1000000), GMX_ETIMEDOUT);
  CHECK_OK(gmx_waitgroup_go(&all, is_canceled, &token));
  spin_until(waiting("the only one") == 1);
  CHECK_OK(gmx_cancel_now(token));
  spin_until(gmx_num_g() == 1);
  let_go();
  CHECK_EQ(n, 0);
  CHECK_OK(gmx_cancel_free(token));
}

/* ---- goroutines that end in it, and what they leave on their list ---- */

static void ends(void *arg) {
  (void)arg;
  gmx_goexit();
}
static void leaves(void *arg) {
  gmx_cleanup c;
  CHECK_OK(gmx_cleanup_push(&c, notes, arg));
}
static void ends_in_it(void *arg) {
  CHECK_OK(gmx_blocking_in(one, leaves, arg, GMX_FOREVER));
  gmx_status status = gmx_blocking_in(one, ends, arg, GMX_FOREVER);
  FAIL("came back with %s", gmx_err_name(status));
}
static void its_turn_comes_back(void) {
  n = 0;
  for (int i = 0; i < 10; i++) CHECK_OK(gmx_waitgroup_go(&all, ends_in_it, NULL));
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_EQ(n, 0);
  CHECK_OK(gmx_class_free(one));
  CHECK_STATUS(gmx_class_free(one), GMX_ESTALE);
  CHECK_STATUS(gmx_blocking_in(one, notes, NULL, GMX_FOREVER), GMX_ESTALE);
  CHECK_OK(gmx_class_free(two));
}

int main(void) {
  CHECK_OK(gmx_class_new(2, NULL, &two));
  CHECK_OK(gmx_class_new(1, "the only one", &one));
  RUN(never_more_than_its_limit);
  RUN(in_order);
  RUN(gives_up);
  RUN(its_turn_comes_back);
  RUN(ends_clean);
  return 0;
}
