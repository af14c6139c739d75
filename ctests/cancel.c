/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* Tokens of cancellation end each wait for an event, and end waits for locks or for the ends of goroutines only if the
 * program asks for that. A canceled wait changes nothing else. */
#include "gs.h"
#include "objects.h"

/* ---- each call that waits ---- */

struct world {
  uint32_t sema;
  gmx_mutex mutex;
  gmx_rwmutex rw;
  gmx_waitgroup group;
  gmx_barrier barrier;
  gmx_g parked, where;
};

static gmx_status waits_sema(struct world *w) { return gmx_sema_acquire(&w->sema); }
static gmx_status waits_sema_timeout(struct world *w) { return gmx_sema_acquire_timeout(&w->sema, 3600000 * MS); }
static gmx_status waits_mutex(struct world *w) { return gmx_mutex_lock(&w->mutex); }
static gmx_status waits_mutex_timeout(struct world *w) { return gmx_mutex_lock_timeout(&w->mutex, 3600000 * MS); }
static gmx_status waits_group(struct world *w) { return gmx_waitgroup_wait(&w->group); }
static gmx_status waits_group_timeout(struct world *w) { return gmx_waitgroup_wait_timeout(&w->group, 3600000 * MS); }
static gmx_status waits_join(struct world *w) { return gmx_join(w->parked, GMX_FOREVER); }
static gmx_status waits_join_timeout(struct world *w) { return gmx_join(w->parked, 3600000 * MS); }
static gmx_status waits_write(struct world *w) { return gmx_rwmutex_lock(&w->rw); }
static gmx_status waits_write_timeout(struct world *w) { return gmx_rwmutex_lock_timeout(&w->rw, 3600000 * MS); }
static gmx_status waits_read(struct world *w) { return gmx_rwmutex_rlock(&w->rw); }
static gmx_status waits_read_timeout(struct world *w) { return gmx_rwmutex_rlock_timeout(&w->rw, 3600000 * MS); }
static gmx_status waits_barrier(struct world *w) { return gmx_barrier_wait(&w->barrier, NULL); }
static gmx_status waits_barrier_timeout(struct world *w) { return gmx_barrier_wait_timeout(&w->barrier, 3600000 * MS, NULL); }
static gmx_status sleeps(struct world *w) { return (void)w, gmx_sleep(3600000 * MS); }

static gmx_status (*const waits[])(struct world *) = {
    waits_sema,          waits_sema_timeout, sleeps,      waits_barrier, waits_barrier_timeout, /* for events */
    waits_mutex,         waits_mutex_timeout, waits_group, /* for locks and ends */
    waits_group_timeout, waits_join,          waits_join_timeout, waits_write, waits_write_timeout, waits_read, waits_read_timeout,
};
enum { WAITS = sizeof waits / sizeof waits[0], EVENTS = 5 };

static void parks(void *arg) { park_at(arg); }

static void world_make(struct world *w) {
  memset(w, 0, sizeof *w);
  CHECK_OK(gmx_mutex_lock(&w->mutex));
  CHECK_OK(gmx_rwmutex_lock(&w->rw));
  CHECK_OK(gmx_waitgroup_add(&w->group, 1));
  w->barrier.n = 2;
  w->parked = go_joinable(parks, &w->where);
  spin_until(load(&w->where) != 0);
}

/* The object of a canceled wait is unchanged: a later wait can still take it, once. */
static void world_end(struct world *w) {
  CHECK_EQ(w->sema, 0);
  CHECK_OK(gmx_sema_release(&w->sema));
  CHECK_OK(gmx_sema_try_acquire(&w->sema));
  CHECK_STATUS(gmx_sema_try_acquire(&w->sema), GMX_EAGAIN);
  CHECK_OK(gmx_mutex_unlock(&w->mutex));
  CHECK_OK(gmx_mutex_lock_timeout(&w->mutex, 3600000 * MS));
  CHECK_OK(gmx_mutex_unlock(&w->mutex));
  CHECK_OK(gmx_rwmutex_unlock(&w->rw));
  CHECK_OK(gmx_rwmutex_lock_timeout(&w->rw, 3600000 * MS));
  CHECK_OK(gmx_rwmutex_unlock(&w->rw));
  CHECK_OK(gmx_waitgroup_done(&w->group));
  CHECK_OK(gmx_waitgroup_wait(&w->group));
  CHECK_STATUS(gmx_barrier_wait_timeout(&w->barrier, 0, NULL), GMX_ETIMEDOUT);
  CHECK_OK(gmx_ready(w->where));
  CHECK_OK(gmx_join(w->parked, GMX_FOREVER));
}

struct waiter {
  struct world *world;
  gmx_status (*wait)(struct world *);
  gmx_cancel token;
  bool locks;
  int ready, done;
};

static void is_canceled(void *arg) {
  struct waiter *w = arg;
  gmx_cancel before = ~(gmx_cancel)0;
  CHECK_OK(gmx_cancel_use(w->token, &before));
  CHECK_EQ(before, 0);
  CHECK_EQ(gmx_cancel_current(), w->token);
  if (w->locks) CHECK(!gmx_cancel_locks(true));
  store(&w->ready, 1);
  CHECK_STATUS(w->wait(w->world), GMX_ECANCELED);
  CHECK_STATUS(w->wait(w->world), GMX_ECANCELED); /* forever */
  if (w->locks) CHECK(gmx_cancel_locks(false));
  CHECK(gmx_cancel_is_canceled(0));
  CHECK_OK(gmx_cancel_use(0, &before));
  CHECK_EQ(before, w->token);
  CHECK_EQ(gmx_cancel_current(), 0);
  store(&w->done, 1);
}
static void is_canceled_in_callback(void *arg) { CHECK_OK(gmx_callback(is_canceled, arg)); }
static void is_canceled_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  is_canceled(arg);
  CHECK_OK(gmx_detach_thread());
}

enum way { BY_HAND, ABOVE, FAR_ABOVE, DEADLINE, DEADLINE_ABOVE, BEFORE, WAYS };

static void cancels(int place, int wait, enum way way) {
  static void (*const on[])(void *) = {is_canceled, is_canceled, is_canceled_in_callback, is_canceled_attached};
  struct world world;
  world_make(&world);
  gmx_cancel top = new_token(0, way == DEADLINE_ABOVE ? 2 * MS : GMX_FOREVER);
  gmx_cancel mid = new_token(top, GMX_FOREVER);
  gmx_cancel low = new_token(mid, way == DEADLINE ? 2 * MS : GMX_FOREVER);
  struct waiter w = {&world, waits[wait], low, wait >= EVENTS, 0, 0};
  if (way == BEFORE) CHECK_OK(gmx_cancel_now(low));
  gmx_g g = 0;
  pthread_t t = 0;
  struct thread_call call = {on[place], &w};
  if (place == 0) g = go_joinable(is_canceled, &w);
  else t = thread_start(thread_calls, &call);
  spin_until(load(&w.ready));
  if ((wait + place) % 2) CHECK_OK(gmx_sleep(MS)); /* the G waits, most likely; otherwise it is about to */
  if (way == BY_HAND) CHECK_OK(gmx_cancel_now(low));
  if (way == ABOVE) CHECK_OK(gmx_cancel_now(mid));
  if (way == FAR_ABOVE) CHECK_OK(gmx_cancel_now(top));
  if (place == 0) join(g);
  else thread_join(t);
  CHECK(w.done);
  CHECK_STATUS(reason_of(low), way == DEADLINE || way == DEADLINE_ABOVE ? GMX_ETIMEDOUT : GMX_ECANCELED);
  CHECK_EQ(gmx_cancel_is_canceled(mid), way == ABOVE || way == FAR_ABOVE || way == DEADLINE_ABOVE);
  CHECK_EQ(gmx_cancel_is_canceled(top), way == FAR_ABOVE || way == DEADLINE_ABOVE);
  CHECK_OK(gmx_cancel_free(mid));
  CHECK_OK(gmx_cancel_free(low));
  CHECK_OK(gmx_cancel_free(top));
  world_end(&world);
}

static void every_wait_ends_in_every_place(void) {
  for (int place = 0; place < 4; place++)
    for (int wait = 0; wait < WAITS; wait++)
      for (enum way way = 0; way < WAYS; way++) cancels(place, wait, way);
}

/* ---- what no token ends ---- */

struct steady {
  gmx_mutex mutex;
  gmx_rwmutex rw;
  gmx_waitgroup group;
  gmx_once once;
  gmx_cond cond;
  gmx_g joined;
  uint32_t hold;
  gmx_cancel token;
  int at, began, doing;
};

static void holds_once(void *arg) {
  struct steady *s = arg;
  store(&s->doing, 1);
  CHECK_OK(gmx_sema_acquire(&s->hold));
}
static void does_once(void *arg) { CHECK_OK(gmx_once_do(&((struct steady *)arg)->once, holds_once, arg)); }
static void ends_later(void *arg) { CHECK_OK(gmx_sema_acquire(&((struct steady *)arg)->hold)); }

static gmx_status steady_mutex(struct steady *s, int64_t t) { return gmx_mutex_lock_timeout(&s->mutex, t); }
static gmx_status steady_write(struct steady *s, int64_t t) { return gmx_rwmutex_lock_timeout(&s->rw, t); }
static gmx_status steady_read(struct steady *s, int64_t t) { return gmx_rwmutex_rlock_timeout(&s->rw, t); }
static gmx_status steady_group(struct steady *s, int64_t t) { return gmx_waitgroup_wait_timeout(&s->group, t); }
static gmx_status steady_once(struct steady *s, int64_t t) { return gmx_once_do_timeout(&s->once, holds_once, s, t); }
static gmx_status steady_join(struct steady *s, int64_t t) { return gmx_join(s->joined, t); }
static gmx_status (*const steadies[])(struct steady *, int64_t) = {steady_mutex, steady_write, steady_read,
                                                                   steady_group, steady_once,  steady_join};
enum { STEADIES = sizeof steadies / sizeof steadies[0] };

static void waits_steadily(void *arg) {
  struct steady *s = arg;
  CHECK_OK(gmx_cancel_use(s->token, NULL));
  CHECK_STATUS(steadies[s->at](s, MS), GMX_ETIMEDOUT);
  store(&s->began, 1);
  CHECK_OK(steadies[s->at](s, 3600000 * MS));
  CHECK_STATUS(gmx_sleep(1), GMX_ECANCELED);
  if (s->at == 0) CHECK_OK(gmx_mutex_unlock(&s->mutex));
  if (s->at == 1) CHECK_OK(gmx_rwmutex_unlock(&s->rw));
  if (s->at == 2) CHECK_OK(gmx_rwmutex_runlock(&s->rw));
}

/* Under a token that is canceled before or during a wait, the wait returns with what it waited for. */
static void locks_and_ends_are_waited_for(void) {
  for (int i = 0; i < STEADIES * 4; i++) {
    struct steady s;
    gmx_g doer = 0, g = 0;
    pthread_t t = 0;
    struct thread_call call = {waits_steadily, &s};
    memset(&s, 0, sizeof s);
    s.at = i / 4;
    s.token = new_token(0, i % 2 ? 0 : GMX_FOREVER);
    CHECK_OK(gmx_mutex_lock(&s.mutex));
    CHECK_OK(gmx_rwmutex_lock(&s.rw));
    CHECK_OK(gmx_waitgroup_add(&s.group, 1));
    doer = go_joinable(does_once, &s);
    spin_until(load(&s.doing));
    s.joined = go_joinable(ends_later, &s);
    if (i / 2 % 2) t = thread_start(thread_calls, &call);
    else g = go_joinable(waits_steadily, &s);
    spin_until(load(&s.began));
    CHECK_OK(gmx_cancel_now(s.token));
    CHECK_OK(gmx_sleep(MS)); /* a wait that were canceled would be over now, most likely */
    CHECK_OK(gmx_mutex_unlock(&s.mutex));
    CHECK_OK(gmx_rwmutex_unlock(&s.rw));
    CHECK_OK(gmx_waitgroup_done(&s.group));
    CHECK_OK(gmx_sema_release(&s.hold));
    CHECK_OK(gmx_sema_release(&s.hold));
    if (g) join(g);
    else thread_join(t);
    join(doer);
    if (s.at != 5) join(s.joined);
    CHECK_OK(gmx_cancel_free(s.token));
  }
}

/* A scope whose members lock without a look at the status: one fails, and the others still exclude each other. */
static gmx_mutex counted;
static int inside, additions /* under the mutex */, so_far;
static gmx_status adds(void *unused) {
  (void)unused;
  for (int i = 0; i < 200; i++) {
    gmx_mutex_lock(&counted);
    CHECK_EQ(bump(&inside), 0);
    int before = additions;
    CHECK_OK(gmx_yield());
    additions = before + 1;
    bump(&so_far);
    __atomic_fetch_sub(&inside, 1, __ATOMIC_ACQ_REL);
    CHECK_OK(gmx_mutex_unlock(&counted));
  }
  return GMX_OK;
}
static gmx_status fails(void *unused) {
  (void)unused;
  spin_until(load(&so_far) > 50);
  return -777;
}
static void a_failing_scope_keeps_its_locks(void) {
  gmx_scope s;
  gmx_status first = GMX_OK;
  CHECK_OK(gmx_scope_new(GMX_FOREVER, &s));
  for (int i = 0; i < 5; i++) CHECK_OK(gmx_scope_spawn(s, adds, NULL));
  CHECK_OK(gmx_scope_spawn(s, fails, NULL));
  CHECK_OK(gmx_scope_leave(s, GMX_FOREVER, &first));
  CHECK_STATUS(first, -777);
  CHECK_EQ(additions, 1000);
}

/* The same for a join: the child writes into the frame of its parent. */
static void writes_later(void *arg) {
  CHECK_OK(gmx_sleep(2 * MS));
  *(int *)arg = 1;
}
static gmx_status forks_and_joins(void *unused) {
  int written = 0;
  (void)unused;
  spin_until(gmx_cancel_is_canceled(0));
  gmx_g g = go_joinable(writes_later, &written);
  gmx_status joined = gmx_join(g, 3600000 * MS);
  CHECK_EQ(written, 1);
  CHECK_OK(joined);
  return GMX_OK;
}
static void a_canceled_scope_keeps_its_joins(void) {
  gmx_scope s;
  CHECK_OK(gmx_scope_new(GMX_FOREVER, &s));
  CHECK_OK(gmx_scope_spawn(s, forks_and_joins, NULL));
  CHECK_OK(gmx_scope_cancel(s));
  CHECK_OK(gmx_scope_leave(s, GMX_FOREVER, NULL));
}

/* A condition variable: the wait for the signal ends, the wait for the mutex behind it does not. */
static void waits_for_a_signal(void *arg) {
  struct steady *s = arg;
  CHECK_OK(gmx_cancel_use(s->token, NULL));
  CHECK_OK(gmx_mutex_lock(&s->mutex));
  store(&s->began, 1);
  CHECK_STATUS(gmx_cond_wait(&s->cond, &s->mutex), GMX_ECANCELED);
  CHECK_EQ(load(&s->doing), 1); /* the other has given the mutex up */
  CHECK_OK(gmx_mutex_unlock(&s->mutex));
}
static void a_canceled_wait_for_a_signal_locks_again(void) {
  struct steady s;
  memset(&s, 0, sizeof s);
  s.token = new_token(0, GMX_FOREVER);
  gmx_g g = go_joinable(waits_for_a_signal, &s);
  spin_until(load(&s.began));
  CHECK_OK(gmx_mutex_lock(&s.mutex)); /* it waits by now */
  CHECK_OK(gmx_cancel_now(s.token));
  CHECK_OK(gmx_sleep(MS));
  store(&s.doing, 1);
  CHECK_OK(gmx_mutex_unlock(&s.mutex));
  join(g);
  CHECK_OK(gmx_cancel_free(s.token));
}

/* ---- shields ---- */

static void waits_within_shields(void *arg) {
  struct steady *s = arg;
  CHECK_STATUS(gmx_cancel_unshield(), GMX_EPERM);
  CHECK_OK(gmx_cancel_use(s->token, NULL));
  CHECK_OK(gmx_cancel_shield());
  CHECK_OK(gmx_cancel_shield());
  store(&s->began, 1);
  gmx_cancel_locks(true);
  CHECK_OK(gmx_sema_acquire(&s->hold)); /* canceled meanwhile, or before */
  CHECK_OK(gmx_mutex_lock(&s->mutex));
  CHECK_OK(gmx_sleep(1));
  CHECK_OK(gmx_cancel_unshield());
  CHECK_STATUS(gmx_sema_acquire_timeout(&s->hold, 1), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_select(NULL, 0, 1, NULL), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_cond_wait_timeout(&s->cond, &s->mutex, 1), GMX_ETIMEDOUT);
  CHECK_STATUS(reason_of(0), GMX_ECANCELED); /* it is canceled all the same */
  CHECK_EQ(gmx_cancel_current(), s->token);
  CHECK_OK(gmx_mutex_unlock(&s->mutex));
  CHECK_OK(gmx_cancel_unshield());
  CHECK_STATUS(gmx_sema_acquire(&s->hold), GMX_ECANCELED);
  CHECK_STATUS(gmx_sleep(1), GMX_ECANCELED);
  CHECK_STATUS(gmx_select(NULL, 0, GMX_FOREVER, NULL), GMX_ECANCELED);
  CHECK_STATUS(gmx_cancel_unshield(), GMX_EPERM);
  gmx_cancel_locks(false);
  CHECK_OK(gmx_cancel_use(0, NULL));
}
static void no_token_ends_a_wait_within_shields(void) {
  for (int i = 0; i < 8; i++) {
    struct steady s;
    gmx_g g = 0;
    pthread_t t = 0;
    struct thread_call call = {waits_within_shields, &s};
    memset(&s, 0, sizeof s);
    s.token = new_token(0, GMX_FOREVER);
    if (i / 4) CHECK_OK(gmx_cancel_now(s.token));
    CHECK_OK(gmx_mutex_lock(&s.mutex));
    if (i % 2) t = thread_start(thread_calls, &call);
    else g = go_joinable(waits_within_shields, &s);
    spin_until(load(&s.began));
    CHECK_OK(gmx_cancel_now(s.token));
    CHECK_OK(gmx_sleep(MS)); /* a wait that were canceled would be over now, most likely */
    CHECK_OK(gmx_sema_release(&s.hold));
    CHECK_OK(gmx_mutex_unlock(&s.mutex));
    if (g) join(g);
    else thread_join(t);
    CHECK_OK(gmx_cancel_free(s.token));
  }
}

static void has_no_shield(void *unused) {
  (void)unused;
  gmx_cancel c = new_token(0, 0);
  CHECK_STATUS(gmx_cancel_unshield(), GMX_EPERM);
  CHECK_OK(gmx_cancel_use(c, NULL));
  CHECK_STATUS(gmx_sleep(1), GMX_ECANCELED);
  CHECK_OK(gmx_cancel_free(c));
}
static void leaves_two_shields(void *arg) {
  CHECK_OK(gmx_cancel_shield());
  CHECK_OK(gmx_cancel_shield());
  on_g(has_no_shield, NULL); /* a new G does not inherit the shields */
  if (arg) CHECK_OK(gmx_goexit());
}
/* A goroutine that ends, or a thread that is detached, within a shield ends the shield. */
static void shields_end_with_their_owner(void) {
  for (int i = 0; i < 20; i++) {
    on_g(leaves_two_shields, i % 2 ? &i : NULL);
    on_g(has_no_shield, NULL);
    on_thread(leaves_two_shields, NULL);
    on_thread(has_no_shield, NULL);
  }
  CHECK_OK(gmx_attach_thread());
  leaves_two_shields(NULL);
  CHECK_OK(gmx_detach_thread());
  has_no_shield(NULL);
  CHECK_OK(gmx_cancel_use(0, NULL));
}

/* gmx_cancel_locks is the caller's own, and ends with it. */
static void has_not_asked(void *unused) {
  (void)unused;
  CHECK(!gmx_cancel_locks(true));
  CHECK(gmx_cancel_locks(true));
}
static void locks_are_asked_for_by_each(void) {
  for (int i = 0; i < 10; i++) {
    on_g(has_not_asked, NULL);
    on_thread(has_not_asked, NULL);
  }
  CHECK(!gmx_cancel_locks(true));
  CHECK_OK(gmx_attach_thread());
  CHECK(gmx_cancel_locks(true));
  CHECK_OK(gmx_detach_thread());
  CHECK(!gmx_cancel_locks(false));
}

/* ---- the rules of tokens ---- */

static void handles(void) {
  gmx_cancel c = 7, d;
  CHECK_STATUS(gmx_cancel_new(0, GMX_FOREVER, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_cancel_new(12345, GMX_FOREVER, &c), GMX_ESTALE);
  CHECK_EQ(c, 7);
  CHECK_STATUS(gmx_cancel_now(0), GMX_ESTALE);
  CHECK_STATUS(gmx_cancel_free(0), GMX_ESTALE);
  CHECK_OK(reason_of(0));
  CHECK(!gmx_cancel_is_canceled(0));
  c = new_token(0, GMX_FOREVER);
  CHECK_OK(reason_of(c));
  CHECK(!gmx_cancel_is_canceled(c));
  CHECK_OK(gmx_cancel_now(c));
  CHECK(gmx_cancel_is_canceled(c));
  CHECK_OK(gmx_cancel_now(c));
  CHECK_STATUS(reason_of(c), GMX_ECANCELED);
  CHECK_OK(gmx_cancel_free(c));
  CHECK_STATUS(gmx_cancel_free(c), GMX_ESTALE);
  CHECK_STATUS(gmx_cancel_now(c), GMX_ESTALE);
  CHECK_STATUS(reason_of(c), GMX_ESTALE);
  CHECK(gmx_cancel_is_canceled(c)); /* once true, it stays true */
  CHECK(gmx_cancel_is_canceled(12345));
  CHECK_STATUS(gmx_cancel_use(c, NULL), GMX_ESTALE);
  d = new_token(0, GMX_FOREVER);
  CHECK(d != c);
  CHECK_OK(reason_of(d)); /* nothing of the first is left */
  CHECK_OK(gmx_cancel_free(d));
}

/* A token that is freed while in use cancels as before, and goes with its last user. */
static void a_freed_token_lives_on(void) {
  gmx_cancel top = new_token(0, GMX_FOREVER), c = new_token(top, GMX_FOREVER), previous = 7;
  CHECK_OK(gmx_cancel_use(c, &previous));
  CHECK_EQ(previous, 0);
  CHECK_OK(gmx_cancel_free(c));
  CHECK_STATUS(gmx_cancel_free(c), GMX_ESTALE);
  CHECK_STATUS(gmx_cancel_now(c), GMX_ESTALE);
  CHECK_EQ(gmx_cancel_current(), c);
  gmx_cancel other = new_token(c == 0 ? 0 : top, GMX_FOREVER);
  CHECK_OK(gmx_cancel_use(c, &previous)); /* still its own: again is fine */
  CHECK_EQ(previous, c);
  CHECK_OK(gmx_cancel_now(top));
  CHECK_STATUS(reason_of(0), GMX_ECANCELED);
  CHECK_STATUS(gmx_sleep(3600000 * MS), GMX_ECANCELED);
  CHECK_OK(gmx_cancel_use(0, &previous));
  CHECK_EQ(previous, c);
  CHECK_STATUS(gmx_cancel_use(c, NULL), GMX_ESTALE);
  CHECK_OK(gmx_cancel_free(other));
  CHECK_OK(gmx_cancel_free(top));
}

static void a_child_outlives_its_parents_handle(void) {
  gmx_cancel top = new_token(0, 20 * MS), mid = new_token(top, GMX_FOREVER), low = new_token(mid, GMX_FOREVER);
  CHECK_OK(gmx_cancel_free(top));
  CHECK_OK(gmx_cancel_free(mid));
  CHECK_STATUS(gmx_cancel_use(low, NULL), GMX_OK);
  CHECK_STATUS(gmx_sleep(3600000 * MS), GMX_ECANCELED);
  CHECK_STATUS(reason_of(low), GMX_ETIMEDOUT);
  CHECK_OK(gmx_cancel_use(0, NULL));
  CHECK_OK(gmx_cancel_free(low));
}

static void attaches_under(void *token) {
  CHECK_OK(gmx_attach_thread());
  CHECK_OK(gmx_cancel_use(*(gmx_cancel *)token, NULL));
  CHECK_OK(gmx_cancel_free(*(gmx_cancel *)token)); /* the current use keeps the token alive */
}

/* After a detach neither the plain thread nor its next G has the token that the attached thread had. */
static void a_detached_thread_has_none(void) {
  for (int way = 0; way < 3; way++) {
    gmx_cancel c = new_token(0, GMX_FOREVER), kept = new_token(c, GMX_FOREVER);
    attaches_under(&kept);
    if (way == 1) CHECK_OK(gmx_enter_syscall());
    if (way == 2) CHECK_OK(gmx_stop_the_world(NULL));
    CHECK_EQ(gmx_cancel_current(), kept);
    CHECK_OK(gmx_detach_thread());
    CHECK_EQ(gmx_cancel_current(), 0);
    CHECK_STATUS(gmx_cancel_use(kept, NULL), GMX_ESTALE); /* its last count was dropped */
    CHECK_OK(gmx_cancel_now(c));
    CHECK_OK(gmx_attach_thread());
    CHECK_EQ(gmx_cancel_current(), 0);
    CHECK_OK(gmx_sleep(1));
    CHECK_OK(gmx_detach_thread());
    CHECK_OK(gmx_cancel_free(c));
  }
}

static void born_canceled(void) {
  gmx_cancel top = new_token(0, 0);
  CHECK_STATUS(reason_of(top), GMX_ETIMEDOUT);
  gmx_cancel low = new_token(top, GMX_FOREVER);
  CHECK_STATUS(reason_of(low), GMX_ETIMEDOUT);
  CHECK_OK(gmx_cancel_now(low));
  CHECK_STATUS(reason_of(low), GMX_ETIMEDOUT); /* the first reason stays */
  CHECK_OK(gmx_cancel_free(low));
  CHECK_OK(gmx_cancel_free(top));
}

/* A call that need not wait is not canceled. */
static void what_is_there_is_had(void *unused) {
  (void)unused;
  uint32_t sema = 1;
  gmx_mutex mutex = {0};
  gmx_waitgroup none = {0};
  gmx_cancel c = new_token(0, 0);
  CHECK_OK(gmx_cancel_use(c, NULL));
  CHECK_OK(gmx_sema_acquire(&sema));
  CHECK_OK(gmx_mutex_lock(&mutex));
  CHECK_OK(gmx_mutex_unlock(&mutex));
  CHECK_OK(gmx_waitgroup_wait(&none));
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_stop_the_world("test"));
  CHECK_OK(gmx_start_the_world());
  CHECK_OK(gmx_cancel_use(0, NULL));
  CHECK_OK(gmx_cancel_free(c));
}
static void what_is_there_is_had_anyway(void) {
  on_g(what_is_there_is_had, NULL);
  on_thread(what_is_there_is_had, NULL);
}

static void has_none(void *unused) {
  (void)unused;
  CHECK_EQ(gmx_cancel_current(), 0);
}
static void spawns_one(void *unused) {
  (void)unused;
  gmx_cancel c = new_token(0, GMX_FOREVER);
  CHECK_OK(gmx_cancel_use(c, NULL));
  CHECK_OK(gmx_cancel_free(c));
  on_g(has_none, NULL);
  /* ends with its own: the next on this descriptor has none */
}
static void goexits(void *unused) {
  spawns_one(unused);
  CHECK_OK(gmx_goexit());
}
static void it_is_the_gs_own(void) {
  for (int i = 0; i < 100; i++) {
    on_g(i % 2 ? spawns_one : goexits, NULL);
    on_g(has_none, NULL);
    on_thread(spawns_one, NULL);
    on_thread(has_none, NULL);
  }
}

/* ---- many at once ---- */

struct crowd {
  uint32_t sema;
  gmx_cancel token;
  int taken, canceled, ready;
};

static void takes_or_is_canceled(void *arg) {
  struct crowd *c = arg;
  CHECK_OK(gmx_cancel_use(c->token, NULL));
  bump(&c->ready);
  gmx_status s = gmx_sema_acquire_timeout(&c->sema, gmx_goid() % 3 ? GMX_FOREVER : 3600000 * MS);
  if (s != GMX_OK) CHECK_STATUS(s, GMX_ECANCELED);
  bump(s == GMX_OK ? &c->taken : &c->canceled);
}
static void *takes_as_thread(void *arg) {
  takes_or_is_canceled(arg);
  return NULL;
}
static void releases_some(void *arg) {
  struct crowd *c = arg;
  for (int i = 0; i < 7; i++) CHECK_OK(gmx_sema_release(&c->sema));
}

/* Each permit is taken once or is still there, whether the release or the cancel came first. */
static void cancel_races_releases(void) {
  enum { GS = 20, THREADS = 2 };
  int both = 0;
  for (int round = 0; round < 300; round++) {
    struct crowd c = {0, new_token(0, round % 3 ? GMX_FOREVER : 1000 * (round % 40)), 0, 0, 0};
    gmx_g gs[GS + 1];
    pthread_t threads[THREADS];
    for (int i = 0; i < GS; i++) gs[i] = go_joinable(takes_or_is_canceled, &c);
    for (int i = 0; i < THREADS; i++) threads[i] = thread_start(takes_as_thread, &c);
    spin_until(load(&c.ready) == GS + THREADS);
    gs[GS] = go_joinable(releases_some, &c);
    CHECK_OK(gmx_cancel_now(c.token));
    join_all(gs, GS + 1);
    join_threads(threads, THREADS);
    CHECK_EQ(c.taken + c.canceled, GS + THREADS);
    CHECK_EQ(c.taken + (int)c.sema, 7);
    both += c.taken && c.canceled;
    CHECK_OK(gmx_cancel_free(c.token));
  }
  check_say("in %d of 300 rounds some took and some were canceled", both);
}

static void makes_and_frees(void *arg) {
  gmx_cancel top = *(gmx_cancel *)arg;
  for (int i = 0; i < 2000; i++) {
    gmx_cancel a = new_token(top, i % 5 == 0 ? 100000 : GMX_FOREVER), b = new_token(a, GMX_FOREVER);
    CHECK_OK(gmx_cancel_use(b, NULL));
    if (i % 3 == 0) CHECK_OK(gmx_cancel_now(a));
    CHECK_OK(gmx_cancel_free(a));
    if (i % 3 == 0) CHECK_STATUS(reason_of(0), GMX_ECANCELED == reason_of(b) ? GMX_ECANCELED : GMX_ETIMEDOUT);
    CHECK_OK(gmx_cancel_free(b));
    CHECK_OK(gmx_cancel_use(0, NULL));
  }
}

/* Several Ps grow and free trees of tokens while another cancels the root. */
static void trees_come_and_go(void) {
  for (int round = 0; round < 10; round++) {
    gmx_cancel top = new_token(0, round % 2 ? 3 * MS : GMX_FOREVER);
    gmx_g gs[6];
    for (int i = 0; i < 6; i++) gs[i] = go_joinable(makes_and_frees, &top);
    CHECK_OK(gmx_sleep(2 * MS));
    CHECK_OK(gmx_cancel_now(top));
    join_all(gs, 6);
    CHECK_OK(gmx_cancel_free(top));
  }
}

static gmx_cancel wide_top, wide_last;
static int wide_begun;

static void *cancels_and_looks(void *unused) {
  (void)unused;
  bump(&wide_begun);
  while (load(&wide_begun) < 2) sched_yield(); /* both at once */
  CHECK_OK(gmx_cancel_now(wide_top));
  CHECK_STATUS(reason_of(wide_last), GMX_ECANCELED);
  return NULL;
}

/* A second canceller, while the first is still walking the tree, finds every token canceled when it returns. */
static void two_cancel_the_same(void) {
  enum { N = 3000 };
  static gmx_cancel c[N];
  for (int round = 0; round < 30; round++) {
    wide_top = new_token(0, GMX_FOREVER);
    for (int i = 0; i < N; i++) c[i] = new_token(wide_top, GMX_FOREVER);
    wide_last = c[0]; /* the canceller comes to it last */
    store(&wide_begun, 0);
    pthread_t t = thread_start(cancels_and_looks, NULL);
    cancels_and_looks(NULL);
    thread_join(t);
    for (int i = 0; i < N; i++) CHECK_OK(gmx_cancel_free(c[i]));
    CHECK_OK(gmx_cancel_free(wide_top));
  }
}

/* A chain that is deeper than any stack, and a wide one. */
static void deep_and_wide(void) {
  enum { N = 100000 };
  gmx_cancel *c = calloc(N, sizeof *c), top = new_token(0, GMX_FOREVER);
  CHECK(c != NULL);
  for (int i = 0; i < N; i++) c[i] = new_token(i ? c[i - 1] : top, GMX_FOREVER);
  for (int i = 0; i < N - 1; i++) CHECK_OK(gmx_cancel_free(c[i]));
  CHECK_OK(gmx_cancel_now(top));
  CHECK_STATUS(reason_of(c[N - 1]), GMX_ECANCELED);
  CHECK_OK(gmx_cancel_free(c[N - 1])); /* ends them all */
  CHECK_OK(gmx_cancel_free(top));
  top = new_token(0, GMX_FOREVER);
  for (int i = 0; i < N; i++) c[i] = new_token(top, i % 2 ? GMX_FOREVER : 3600000 * MS);
  CHECK_OK(gmx_cancel_now(top));
  for (int i = 0; i < N; i++) {
    CHECK_STATUS(reason_of(c[i]), GMX_ECANCELED);
    CHECK_OK(gmx_cancel_free(c[i]));
  }
  CHECK_OK(gmx_cancel_free(top));
  free(c);
}

/* ---- deadlines ---- */

static void sleeps_under(void *arg) {
  CHECK_OK(gmx_cancel_use(*(gmx_cancel *)arg, NULL));
  CHECK_STATUS(gmx_sleep(3600000 * MS), GMX_ECANCELED);
  CHECK_STATUS(reason_of(0), GMX_ETIMEDOUT);
}

/* A deadline of a thread without a P, made and stopped while Ps come and go. */
static void deadlines_follow_resizes(void) {
  gmx_g gs[40];
  gmx_cancel tokens[40], never[40];
  for (int i = 0; i < 40; i++) {
    CHECK(gmx_gomaxprocs(1 + i % 4) > 0);
    tokens[i] = new_token(0, (i + 1) * MS);
    never[i] = new_token(0, 3600000 * MS);
    gs[i] = go_joinable(sleeps_under, &tokens[i]);
    if (i) CHECK_OK(gmx_cancel_free(never[i - 1]));
  }
  CHECK(gmx_gomaxprocs(3) > 0);
  CHECK_OK(gmx_cancel_free(never[39]));
  for (int i = 0; i < 40; i++) {
    join(gs[i]);
    CHECK_OK(gmx_cancel_free(tokens[i]));
  }
}

/* A sleep under a token that is not canceled ends when its time is over. */
static void sleeps_a_little(void *arg) {
  CHECK_OK(gmx_cancel_use(*(gmx_cancel *)arg, NULL));
  int64_t begin = gmx_now();
  CHECK_OK(gmx_sleep(MS));
  CHECK_CMP(gmx_now() - begin, >=, MS);
  uint32_t sema = 0;
  CHECK_STATUS(gmx_sema_acquire_timeout(&sema, MS), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_sema_acquire_timeout(&sema, 0), GMX_ETIMEDOUT);
}
static void uncanceled_waits_end_as_ever(void) {
  gmx_cancel c = new_token(0, 3600000 * MS);
  on_g(sleeps_a_little, &c);
  on_thread(sleeps_a_little, &c);
  CHECK_OK(gmx_cancel_free(c));
  CHECK_EQ(count_waiting(), 0);
}

int main(void) {
  RUN(handles);
  RUN(a_detached_thread_has_none);
  RUN(born_canceled);
  RUN(a_freed_token_lives_on);
  RUN(a_child_outlives_its_parents_handle);
  RUN(what_is_there_is_had_anyway);
  RUN(it_is_the_gs_own);
  RUN(every_wait_ends_in_every_place);
  RUN(locks_and_ends_are_waited_for);
  RUN(a_failing_scope_keeps_its_locks);
  RUN(a_canceled_scope_keeps_its_joins);
  RUN(a_canceled_wait_for_a_signal_locks_again);
  RUN(locks_are_asked_for_by_each);
  RUN(no_token_ends_a_wait_within_shields);
  RUN(shields_end_with_their_owner);
  RUN(cancel_races_releases);
  RUN(trees_come_and_go);
  RUN(two_cancel_the_same);
  RUN(deep_and_wide);
  RUN(deadlines_follow_resizes);
  RUN(uncanceled_waits_end_as_ever);
  RUN(ends_clean);
  return 0;
}
