/* timeout: 60 */
/* env: GMX_MAXPROCS=3 */
/* gmx_scope: the leave waits for all goroutines and returns the first error, which cancels the others. */
#include "gs.h"
#include "objects.h"

static gmx_scope new_scope(int64_t timeout) {
  gmx_scope s = 0;
  CHECK_OK(gmx_scope_new(timeout, &s));
  CHECK(s != 0);
  return s;
}
static gmx_status leave(gmx_scope s) {
  gmx_status result = 7;
  CHECK_OK(gmx_scope_leave(s, GMX_FOREVER, &result));
  CHECK(result <= 0);
  CHECK_STATUS(gmx_scope_leave(s, GMX_FOREVER, &result), GMX_ESTALE);
  return result;
}

static int count;
static gmx_status counts(void *unused) {
  (void)unused;
  (void)gmx_yield();
  bump(&count);
  return GMX_OK;
}
static gmx_status returns(void *arg) { return (gmx_status)(intptr_t)arg; }
static gmx_status sleeps(void *unused) {
  (void)unused;
  gmx_status s = gmx_sleep(HOUR);
  bump(&count);
  return s;
}
static gmx_status fails_late(void *arg) {
  CHECK_OK(gmx_sleep(2 * MS));
  return (gmx_status)(intptr_t)arg;
}
static gmx_status goexits(void *unused) {
  (void)unused;
  bump(&count);
  CHECK_OK(gmx_goexit());
  return GMX_EINVAL;
}

static void spawn(gmx_scope s, gmx_status (*fn)(void *), intptr_t arg) { CHECK_OK(gmx_scope_spawn(s, fn, (void *)arg)); }

static void rules(void *unused) {
  (void)unused;
  /* no goroutine; goroutines that all succeed; goroutines that still run when the scope is left */
  CHECK_OK(leave(new_scope(GMX_FOREVER)));
  store(&count, 0);
  gmx_scope s = new_scope(GMX_FOREVER);
  for (int i = 0; i < 100; i++) spawn(s, counts, 0);
  for (int i = 0; i < 10; i++) spawn(s, goexits, 0);
  spawn(s, returns, 5); /* a count is no error */
  CHECK_OK(leave(s));
  CHECK_EQ(count, 110);

  /* the first error ends the others */
  store(&count, 0);
  s = new_scope(GMX_FOREVER);
  for (int i = 0; i < 20; i++) spawn(s, sleeps, 0);
  spawn(s, fails_late, GMX_EPERM);
  CHECK_STATUS(leave(s), GMX_EPERM);
  CHECK_EQ(count, 20);

  /* by hand, by its time, by the token above it */
  for (int way = 0; way < 3; way++) {
    gmx_cancel c;
    store(&count, 0);
    CHECK_OK(gmx_cancel_new(0, way == 2 ? 2 * MS : GMX_FOREVER, &c));
    CHECK_OK(gmx_cancel_use(c, NULL));
    s = new_scope(way == 1 ? 2 * MS : GMX_FOREVER);
    for (int i = 0; i < 5; i++) spawn(s, sleeps, 0);
    if (way == 0) CHECK_OK(gmx_scope_cancel(s));
    gmx_cancel t;
    CHECK_OK(gmx_scope_token(s, &t));
    CHECK_STATUS(leave(s), GMX_ECANCELED);
    CHECK_EQ(count, 5);
    CHECK_STATUS(reason_of(t), GMX_ESTALE);
    CHECK_OK(gmx_cancel_use(0, NULL));
    CHECK_OK(gmx_cancel_free(c));
  }

  /* no longer than so long */
  gmx_status result = 7;
  s = new_scope(GMX_FOREVER);
  spawn(s, sleeps, 0);
  CHECK_STATUS(gmx_scope_leave(s, 0, &result), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_scope_leave(s, MS, &result), GMX_ETIMEDOUT);
  CHECK_EQ(result, 7);
  spawn(s, counts, 0); /* it is still there */
  CHECK_OK(gmx_scope_cancel(s));
  CHECK_STATUS(leave(s), GMX_ECANCELED);
}
static void the_rules(void) {
  on_g(rules, NULL);
  on_thread(rules, NULL);
  rules(NULL);
}

/* ---- within and without ---- */

static gmx_status leaves_its_own(void *arg) {
  gmx_scope s = *(gmx_scope *)arg;
  CHECK_STATUS(gmx_scope_leave(s, GMX_FOREVER, NULL), GMX_EDEADLK);
  gmx_scope inner = new_scope(GMX_FOREVER);
  CHECK_OK(gmx_scope_leave(inner, GMX_FOREVER, NULL));
  return GMX_OK;
}
static gmx_status nests(void *arg) {
  gmx_scope inner = new_scope(GMX_FOREVER);
  CHECK_OK(gmx_scope_spawn(inner, leaves_its_own, arg)); /* the outer one, from a child of a child */
  spawn(inner, sleeps, 0);
  spawn(inner, sleeps, 0);
  CHECK_OK(gmx_scope_spawn(*(gmx_scope *)arg, counts, NULL)); /* a child may add to its own scope */
  return leave(inner);
}
static void nested(void) {
  for (int i = 0; i < 30; i++) {
    store(&count, 0);
    gmx_scope s = new_scope(GMX_FOREVER);
    spawn(s, leaves_its_own, (intptr_t)&s);
    for (int k = 0; k < 4; k++) spawn(s, nests, (intptr_t)&s);
    spawn(s, fails_late, GMX_EBUSY);
    CHECK_STATUS(leave(s), GMX_EBUSY); /* reaches the sleepers of the inner scopes */
    CHECK_EQ(count, 12);
  }
}

struct leaver {
  gmx_scope s;
  int ready;
};
static void leaves_and_waits(void *arg) {
  struct leaver *l = arg;
  store(&l->ready, 1);
  CHECK_OK(gmx_scope_leave(l->s, GMX_FOREVER, NULL));
}
static void one_leaves(void) {
  struct leaver l = {new_scope(GMX_FOREVER), 0};
  spawn(l.s, sleeps, 0);
  gmx_g g = go_joinable(leaves_and_waits, &l);
  spin_until(load(&l.ready));
  CHECK_OK(gmx_sleep(5 * MS));
  CHECK_STATUS(gmx_scope_leave(l.s, 0, NULL), GMX_EBUSY);
  CHECK_OK(gmx_scope_cancel(l.s));
  join(g);
}

static void wrong_calls(void) {
  gmx_scope s = new_scope(GMX_FOREVER);
  gmx_cancel c = 7;
  CHECK_STATUS(gmx_scope_new(GMX_FOREVER, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_scope_spawn(s, NULL, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_scope_token(s, NULL), GMX_EINVAL);
  CHECK_OK(gmx_scope_token(s, &c));
  CHECK_OK(gmx_cancel_free(c)); /* the host need not free it, and the free harms no other user */
  spawn(s, sleeps, 0);
  CHECK_OK(gmx_scope_cancel(s));
  CHECK_STATUS(leave(s), GMX_ECANCELED);
  for (int i = 0; i < 2; i++, s = 0) {
    CHECK_STATUS(gmx_scope_spawn(s, counts, NULL), GMX_ESTALE);
    CHECK_STATUS(gmx_scope_cancel(s), GMX_ESTALE);
    CHECK_STATUS(gmx_scope_leave(s, GMX_FOREVER, NULL), GMX_ESTALE);
    c = 7;
    CHECK_STATUS(gmx_scope_token(s, &c), GMX_ESTALE);
    CHECK_EQ(c, 7);
  }
}

/* ---- many ---- */

static gmx_status tree(void *arg) {
  intptr_t depth = (intptr_t)arg;
  bump(&count);
  if (depth == 0) return GMX_OK;
  gmx_scope s = new_scope(GMX_FOREVER);
  for (int i = 0; i < 4; i++) spawn(s, tree, depth - 1);
  return leave(s);
}
static void trees(void) {
  for (int i = 0; i < 20; i++) {
    store(&count, 0);
    CHECK_OK(tree((void *)5));
    CHECK_EQ(count, 1 + 4 + 16 + 64 + 256 + 1024);
  }
}

static void many_at_once(void *unused) {
  (void)unused;
  for (int i = 0; i < 300; i++) {
    gmx_scope s = new_scope(i % 3 ? GMX_FOREVER : 100000);
    for (int k = 0; k < 8; k++) spawn(s, i % 2 ? returns : sleeps, k == 5 ? GMX_EPERM : 0);
    if (i % 2 == 0) CHECK_OK(gmx_scope_cancel(s));
    gmx_status want = i % 2 ? GMX_EPERM : GMX_ECANCELED;
    CHECK_STATUS(leave(s), want);
  }
}
static void several_at_once(void) {
  gmx_g g[6];
  pthread_t t;
  struct thread_call call = {many_at_once, NULL};
  for (int i = 0; i < 6; i++) g[i] = go_joinable(many_at_once, NULL);
  t = thread_start(thread_calls, &call);
  join_all(g, 6);
  thread_join(t);
}

/* ---- by what it ended ---- */

static gmx_scope_end why(gmx_scope s) {
  gmx_scope_end end;
  memset(&end, 0x55, sizeof end);
  end.struct_size = 3;
  CHECK_STATUS(gmx_scope_leave_why(s, GMX_FOREVER, &end), GMX_EINVAL);
  CHECK_STATUS(gmx_scope_leave_why(s, GMX_FOREVER, NULL), GMX_EINVAL);
  end.struct_size = sizeof end;
  CHECK_OK(gmx_scope_leave_why(s, GMX_FOREVER, &end));
  CHECK_EQ(end.struct_size, sizeof end);
  CHECK_STATUS(gmx_scope_leave_why(s, GMX_FOREVER, &end), GMX_ESTALE);
  return end;
}
static gmx_g failing;
static gmx_status fails_itself(void *arg) {
  store(&failing, gmx_self());
  return (gmx_status)(intptr_t)arg;
}
static void is_by(gmx_scope_end end, uint32_t by, gmx_status status, gmx_g g) {
  CHECK_EQ(end.by, by);
  CHECK_STATUS(end.status, status);
  CHECK_EQ(end.g, g);
}
static void says_by_what_it_ended(void *unused) {
  (void)unused;
  is_by(why(new_scope(GMX_FOREVER)), GMX_SCOPE_ITSELF, GMX_OK, 0);
  gmx_scope s = new_scope(HOUR);
  spawn(s, counts, 0);
  is_by(why(s), GMX_SCOPE_ITSELF, GMX_OK, 0);

  s = new_scope(GMX_FOREVER); /* a failure, also with a status that looks like a deadline; the others end by it */
  for (int i = 0; i < 3; i++) spawn(s, sleeps, 0);
  spawn(s, fails_itself, GMX_ETIMEDOUT);
  gmx_scope_end end = why(s);
  is_by(end, GMX_SCOPE_FAILURE, GMX_ETIMEDOUT, load(&failing));

  s = new_scope(MS); /* the deadline: what its goroutines return for it is no failure */
  spawn(s, sleeps, 0);
  is_by(why(s), GMX_SCOPE_DEADLINE, GMX_ETIMEDOUT, 0);

  s = new_scope(GMX_FOREVER);
  spawn(s, sleeps, 0);
  CHECK_OK(gmx_scope_cancel(s));
  is_by(why(s), GMX_SCOPE_CANCEL, GMX_ECANCELED, 0);

  gmx_cancel above = 0, token = 0; /* from above, with a reason, and the body inside */
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &above));
  CHECK_OK(gmx_cancel_use(above, NULL));
  s = new_scope(GMX_FOREVER);
  CHECK_OK(gmx_scope_enter(s));
  spawn(s, sleeps, 0);
  CHECK_OK(gmx_cancel_now_because(above, -2002));
  CHECK_STATUS(gmx_sleep(HOUR), GMX_ECANCELED);
  is_by(why(s), GMX_SCOPE_CANCEL, -2002, 0);
  CHECK_OK(gmx_cancel_use(0, NULL));
  CHECK_OK(gmx_cancel_free(above));

  s = new_scope(GMX_FOREVER); /* a failure that comes second is none of its end */
  CHECK_OK(gmx_scope_token(s, &token));
  CHECK_OK(gmx_cancel_now_because(token, -2003));
  spawn(s, fails_itself, GMX_EPERM);
  is_by(why(s), GMX_SCOPE_CANCEL, -2003, 0);
}
static void by_what(void) {
  on_g(says_by_what_it_ended, NULL);
  on_thread(says_by_what_it_ended, NULL);
}

int main(void) {
  RUN(wrong_calls);
  RUN(the_rules);
  RUN(nested);
  RUN(one_leaves);
  RUN(trees);
  RUN(several_at_once);
  RUN(by_what);
  RUN(ends_clean);
  return 0;
}
