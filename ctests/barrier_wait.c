/* timeout: 120 */
/* gmx_barrier: no thread passes before all have arrived, one is the serial thread, and a thread that times out or is
 * canceled does not count. */
#include "gs.h"
#include "seed.h"

#include <stdatomic.h>

static uint32_t done;

/* ---- alone ---- */

static void wrong_calls(void) {
  gmx_barrier b[2] = {GMX_BARRIER_INIT(2), GMX_BARRIER_INIT(2)};
  gmx_barrier *odd = (void *)((char *)b + 1), none = GMX_BARRIER_INIT(0), zero;
  bool serial = true;
  memset(&zero, 0, sizeof zero);
  CHECK_STATUS(gmx_barrier_wait(NULL, &serial), GMX_EINVAL);
  CHECK_STATUS(gmx_barrier_wait(odd, &serial), GMX_EINVAL);
  CHECK_STATUS(gmx_barrier_wait(&none, &serial), GMX_EINVAL);
  CHECK_STATUS(gmx_barrier_wait(&zero, &serial), GMX_EINVAL);
  CHECK_STATUS(gmx_barrier_wait_timeout(NULL, 0, &serial), GMX_EINVAL);
  CHECK_STATUS(gmx_barrier_wait_timeout(odd, 0, &serial), GMX_EINVAL);
  CHECK_STATUS(gmx_barrier_wait_timeout(&none, 0, &serial), GMX_EINVAL);
  CHECK(serial);
  CHECK_EQ(gmx_barrier_waiters(NULL), 0);
  CHECK_EQ(gmx_barrier_waiters(odd), 0);
  CHECK_EQ(b[0].arrived + b[1].arrived + none.arrived + zero.arrived, 0);
}

static void one_meets_itself(void) {
  gmx_barrier b = GMX_BARRIER_INIT(1);
  for (int i = 0; i < 10; i++) {
    bool serial = false;
    CHECK_OK(i % 2 ? gmx_barrier_wait(&b, &serial) : gmx_barrier_wait_timeout(&b, i % 3 - 1, &serial));
    CHECK(serial);
  }
  CHECK_OK(gmx_barrier_wait(&b, NULL));
}

static void too_few_time_out(void) {
  gmx_barrier b = GMX_BARRIER_INIT(2);
  static const int64_t times[] = {INT64_MIN, -1, 0, 1, MS};
  bool serial = true;
  for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
    CHECK_STATUS(gmx_barrier_wait_timeout(&b, times[i], &serial), GMX_ETIMEDOUT);
    CHECK_EQ(b.arrived, 0);
    CHECK(serial);
  }
}

/* ---- one P, and slices without an end: a G that was let run waits when the caller runs again ---- */

enum { GS = 9 };
static gmx_barrier nine = GMX_BARRIER_INIT(GS);
static int serials, through;

static void meets(void *arg) {
  bool serial;
  CHECK_OK(gmx_barrier_wait(arg, &serial));
  serials += serial;
  through++;
  release(&done, 1);
}
static void let_meet(int n) {
  for (int i = 0; i < n; i++) {
    go(meets, &nine);
    CHECK_OK(gmx_yield());
    CHECK_EQ(gmx_barrier_waiters(&nine), i + 1);
  }
}

static void the_last_one_is_serial(void) {
  for (int round = 0; round < 5; round++) {
    bool serial = false;
    serials = through = 0;
    let_meet(GS - 1);
    CHECK_EQ(waiting("barrier"), GS - 1);
    CHECK_EQ(through, 0);
    CHECK_OK(round % 2 ? gmx_barrier_wait(&nine, &serial) : gmx_barrier_wait_timeout(&nine, 0, &serial));
    CHECK(serial);
    CHECK_EQ(through, 0); /* it did not wait */
    CHECK_EQ(gmx_barrier_waiters(&nine), 0);
    acquire(&done, GS - 1);
    CHECK_EQ(through, GS - 1);
    CHECK_EQ(serials, 0);
  }
}

/* A caller without time to wait does not count as arrived. */
static void one_that_is_late_does_not_count(void) {
  bool serial;
  serials = through = 0;
  let_meet(GS - 2);
  CHECK_STATUS(gmx_barrier_wait_timeout(&nine, 0, &serial), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_barrier_wait_timeout(&nine, MS, &serial), GMX_ETIMEDOUT);
  CHECK_EQ(gmx_barrier_waiters(&nine), GS - 2);
  go(meets, &nine);
  CHECK_OK(gmx_yield());
  CHECK_EQ(through, 0);
  CHECK_EQ(gmx_barrier_waiters(&nine), GS - 1);
  CHECK_OK(gmx_barrier_wait(&nine, &serial));
  CHECK(serial);
  acquire(&done, GS - 1);
}

static void is_canceled(void *arg) {
  bool serial = true;
  CHECK_OK(gmx_cancel_use(*(gmx_cancel *)arg, NULL));
  CHECK_STATUS(gmx_barrier_wait(&nine, &serial), GMX_ECANCELED);
  CHECK_STATUS(gmx_barrier_wait(&nine, &serial), GMX_ECANCELED);
  CHECK(serial);
  release(&done, 1);
}
static void one_that_is_canceled_does_not_count(void) {
  gmx_cancel token;
  bool serial;
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &token));
  serials = through = 0;
  let_meet(3);
  for (int i = 0; i < 3; i++) go(is_canceled, &token);
  spin_until(gmx_barrier_waiters(&nine) == 6);
  for (int i = 0; i < 2; i++) go(meets, &nine);
  spin_until(gmx_barrier_waiters(&nine) == GS - 1);
  CHECK_OK(gmx_cancel_now(token));
  CHECK_EQ(gmx_barrier_waiters(&nine), 5);
  acquire(&done, 3);
  CHECK_EQ(through, 0);
  for (int i = 0; i < 3; i++) go(meets, &nine);
  spin_until(gmx_barrier_waiters(&nine) == GS - 1);
  CHECK_EQ(through, 0);
  /* the last thread of a round passes though its token is canceled: it need not wait */
  CHECK_OK(gmx_cancel_use(token, NULL));
  CHECK_OK(gmx_barrier_wait(&nine, &serial));
  CHECK(serial);
  CHECK_STATUS(gmx_barrier_wait(&nine, &serial), GMX_ECANCELED);
  CHECK_OK(gmx_cancel_use(0, NULL));
  CHECK_OK(gmx_cancel_free(token));
  acquire(&done, GS - 1);
  CHECK_EQ(serials, 0);
}

/* A goroutine of a scope fails before it arrives: the scope ends, though the others wait at the barrier. */
static gmx_barrier never_complete = GMX_BARRIER_INIT(4);
static gmx_status arrives(void *arg) {
  (void)arg;
  return gmx_barrier_wait(&never_complete, NULL);
}
static gmx_status fails(void *arg) {
  (void)arg;
  spin_until(gmx_barrier_waiters(&never_complete) == 3);
  return GMX_EPERM;
}
static void a_scope_is_not_held_up(void) {
  gmx_scope scope;
  gmx_status first = GMX_OK;
  CHECK_OK(gmx_scope_new(GMX_FOREVER, &scope));
  for (int i = 0; i < 3; i++) CHECK_OK(gmx_scope_spawn(scope, arrives, NULL));
  CHECK_OK(gmx_scope_spawn(scope, fails, NULL));
  CHECK_OK(gmx_scope_leave(scope, GMX_FOREVER, &first));
  CHECK_EQ(first, GMX_EPERM);
  CHECK_EQ(never_complete.arrived, 0);
}

/* Within a shield no token ends the wait. */
static void shielded(void *arg) {
  CHECK_OK(gmx_cancel_use(*(gmx_cancel *)arg, NULL));
  CHECK_OK(gmx_cancel_shield());
  meets(&nine);
  CHECK_OK(gmx_cancel_unshield());
}
static void a_shield_holds(void) {
  gmx_cancel token;
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &token));
  CHECK_OK(gmx_cancel_now(token));
  go(shielded, &token);
  CHECK_OK(gmx_yield());
  CHECK_EQ(gmx_barrier_waiters(&nine), 1);
  for (int i = 0; i < GS - 2; i++) go(meets, &nine);
  CHECK_OK(gmx_barrier_wait(&nine, NULL));
  acquire(&done, GS - 1);
  CHECK_OK(gmx_cancel_free(token));
}

/* A copy is seen while one of the two has waiters, and changes nothing for them. */
static void copies_are_seen(void) {
  bool serial = false;
  let_meet(GS - 1);
  gmx_barrier copy = nine;
  CHECK_STATUS(gmx_barrier_wait(&copy, &serial), GMX_EINVAL);
  CHECK_EQ(copy.arrived, GS - 1);
  CHECK(!serial);
  CHECK_EQ(gmx_barrier_waiters(&nine), GS - 1);
  gmx_barrier fewer = nine;
  nine.n = GS - 1; /* not while there are waiters */
  CHECK_STATUS(gmx_barrier_wait(&nine, &serial), GMX_EINVAL);
  nine = fewer;
  CHECK_OK(gmx_barrier_wait(&nine, &serial));
  CHECK(serial);
  acquire(&done, GS - 1);
  copy = nine; /* the barrier has no waiters any more */
  copy.n = 1;
  CHECK_OK(gmx_barrier_wait(&copy, &serial));
}

/* n may be another one in the next round. */
static void n_may_change(void) {
  for (uint32_t n = 2; n < GS; n++) {
    nine.n = n;
    let_meet((int)n - 1);
    CHECK_OK(gmx_barrier_wait(&nine, NULL));
    acquire(&done, (int)n - 1);
  }
  nine.n = GS;
}

/* ---- several Ps, Gs and threads: round after round ---- */

enum { USERS = 7, ROUNDS = 1500 };
static gmx_barrier all = GMX_BARRIER_INIT(USERS);
static atomic_int arrived, serial_ones;
static int steps[USERS]; /* each writes its own, all read all behind the barrier */

static void goes_round(void *arg) {
  int me = (int)(intptr_t)arg;
  uint64_t seed = (uint64_t)me + 1;
  for (int r = 0; r < ROUNDS; r++) {
    bool serial;
    steps[me] = r;
    atomic_fetch_add(&arrived, 1);
    for (;;) {
      uint64_t chance = me == 2 || me == USERS - 1 ? next_random(&seed) % 4 : 0;
      gmx_status s = gmx_barrier_wait_timeout(&all, chance == 1 ? 0 : chance ? (int64_t)chance * 3000 : GMX_FOREVER, &serial);
      if (s == GMX_OK) break;
      CHECK_STATUS(s, GMX_ETIMEDOUT);
    }
    CHECK_CMP(atomic_load(&arrived), >=, USERS * (r + 1));
    for (int i = 0; i < USERS; i++) CHECK_EQ(steps[i], r); /* the next step is behind the next barrier */
    atomic_fetch_add(&serial_ones, serial);
    CHECK_OK(gmx_barrier_wait(&all, &serial));
    atomic_fetch_add(&serial_ones, serial);
  }
  release(&done, 1);
}
static void *goes_round_as_thread(void *arg) {
  goes_round(arg);
  return NULL;
}
static void *goes_round_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  goes_round(arg);
  CHECK_OK(gmx_detach_thread());
  return NULL;
}
static void round_and_round(void) {
  pthread_t threads[3];
  for (int i = 0; i < 4; i++) go(goes_round, (void *)(intptr_t)i);
  for (int i = 0; i < 3; i++) {
    void *me = (void *)(intptr_t)(4 + i);
    threads[i] = thread_start(i == 0 ? goes_round_attached : goes_round_as_thread, me);
  }
  acquire(&done, USERS);
  join_threads(threads, 3);
  CHECK_EQ(atomic_load(&serial_ones), 2 * ROUNDS);
  CHECK_EQ(atomic_load(&arrived), USERS * ROUNDS);
  CHECK_EQ(all.arrived, 0);
}

int main(void) {
  RUN(wrong_calls);
  RUN(one_meets_itself);
  RUN(too_few_time_out);
  CHECK_OK(gmx_shutdown(30 * SECOND));
  start_runtime(1, NO_SLICES);
  RUN_G(wrong_calls);
  RUN_G(one_meets_itself);
  RUN_G(too_few_time_out);
  RUN_G(the_last_one_is_serial);
  RUN_G(one_that_is_late_does_not_count);
  RUN_G(one_that_is_canceled_does_not_count);
  RUN_G(a_scope_is_not_held_up);
  RUN_G(a_shield_holds);
  RUN_G(copies_are_seen);
  RUN_G(n_may_change);
  end_runtime();
  start_runtime(3, 0);
  RUN_G(round_and_round);
  end_runtime();
  return 0;
}
