/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* gmx_cond: no signal is lost, the first waiter is woken first, and the mutex is held whatever the wait returns. */
#include "gs.h"

static const gmx_mutex unlocked;
static const gmx_cond no_waiters;

/* ---- a queue of numbers, as everybody writes it ---- */

struct queue {
  gmx_mutex mutex;
  gmx_cond not_empty, not_full;
  int64_t sum;
  int n, cap, made, taken, rounds;
  bool broadcast;
};

static void wake(struct queue *q, gmx_cond *c) {
  CHECK_OK(q->broadcast ? gmx_cond_broadcast(c) : gmx_cond_signal(c));
}

static void waits(struct queue *q, gmx_cond *c, int i) {
  gmx_status s = i % 3 ? gmx_cond_wait(c, &q->mutex) : gmx_cond_wait_timeout(c, &q->mutex, 50000);
  CHECK(s == GMX_OK || (i % 3 == 0 && s == GMX_ETIMEDOUT));
}

static void makes(void *arg) {
  struct queue *q = arg;
  for (int i = 0; i < q->rounds; i++) {
    CHECK_OK(gmx_mutex_lock(&q->mutex));
    while (q->n == q->cap) waits(q, &q->not_full, i);
    q->n++;
    q->sum += ++q->made;
    if (i % 2) wake(q, &q->not_empty);
    CHECK_OK(gmx_mutex_unlock(&q->mutex));
    if (i % 2 == 0) wake(q, &q->not_empty);
  }
}
static void takes(void *arg) {
  struct queue *q = arg;
  for (int i = 0; i < q->rounds; i++) {
    CHECK_OK(gmx_mutex_lock(&q->mutex));
    while (q->n == 0) waits(q, &q->not_empty, i + 1);
    q->n--;
    q->sum -= ++q->taken;
    CHECK_OK(gmx_mutex_unlock(&q->mutex));
    wake(q, &q->not_full);
  }
}

static void makers_and_takers(void) {
  enum { N = 8 };
  for (int way = 0; way < 4; way++) {
    struct queue q = {unlocked, no_waiters, no_waiters, 0, 0, way % 2 ? 1 : 5, 0, 0, 3000, way / 2};
    gmx_g gs[2 * N];
    struct thread_call calls[4] = {{makes, &q}, {takes, &q}, {makes, &q}, {takes, &q}};
    pthread_t threads[4];
    for (int i = 0; i < 2 * N; i++) gs[i] = go_joinable(i % 2 ? makes : takes, &q);
    for (int i = 0; i < 4; i++) threads[i] = thread_start(thread_calls, &calls[i]);
    join_all(gs, 2 * N);
    join_threads(threads, 4);
    CHECK_EQ(q.n, 0);
    CHECK_EQ(q.sum, 0);
  }
}

/* ---- in the order of waiting ---- */

static int order[64], ordered;

struct ticket {
  gmx_mutex *mutex;
  gmx_cond *cond;
  int number;
  gmx_cancel token;
};

static void draws(void *arg) {
  struct ticket *t = arg;
  CHECK_OK(gmx_cancel_use(t->token, NULL));
  CHECK_OK(gmx_mutex_lock(t->mutex));
  CHECK_STATUS(gmx_cond_wait(t->cond, t->mutex), t->token ? GMX_ECANCELED : GMX_OK);
  if (!t->token) order[ordered++] = t->number;
  CHECK_OK(gmx_mutex_unlock(t->mutex));
}

/* Every third waiter is canceled before the signals: the signals go to the others, in turn. */
static void served_in_turn(void *unused) {
  (void)unused;
  enum { N = 12 };
  gmx_mutex mutex = unlocked;
  gmx_cond cond = no_waiters;
  struct ticket t[N];
  gmx_g g[N];
  ordered = 0;
  gmx_cancel c;
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &c));
  for (int i = 0; i < N; i++) {
    t[i] = (struct ticket){&mutex, &cond, i, i % 3 == 1 ? c : 0};
    g[i] = go_joinable(draws, &t[i]);
    spin_until(count_waiting() == i + 1);
  }
  CHECK_OK(gmx_cancel_now(c));
  CHECK_OK(gmx_cancel_free(c));
  for (int i = 1; i < N; i += 3) join(g[i]);
  for (int i = 0; i < N; i++) {
    int before = ordered;
    CHECK_OK(gmx_cond_signal(&cond)); /* the last few find no waiter */
    if (i < N - N / 3) spin_until(load(&ordered) == before + 1);
  }
  for (int i = 0; i < N; i++)
    if (i % 3 != 1) join(g[i]);
  CHECK_EQ(ordered, N - N / 3);
  for (int i = 1; i < ordered; i++) CHECK_CMP(order[i - 1], <, order[i]);
}
static void in_the_order_of_waiting(void) {
  CHECK_EQ(gmx_gomaxprocs(1), 3);
  for (int i = 0; i < 5; i++) on_g(served_in_turn, NULL);
  CHECK_EQ(gmx_gomaxprocs(3), 1);
}

/* ---- signals against deadlines and cancellation: none is lost ---- */

struct crowd {
  gmx_mutex mutex;
  gmx_cond cond;
  gmx_cancel token;
  int tickets, ready, woken, late, canceled;
  int64_t timeout;
};

static void joins_in(void *arg) {
  struct crowd *c = arg;
  if (gmx_goid() % 3 == 0) CHECK_OK(gmx_cancel_use(c->token, NULL));
  CHECK_OK(gmx_mutex_lock(&c->mutex));
  c->ready++;
  gmx_status s = gmx_cond_wait_timeout(&c->cond, &c->mutex, gmx_goid() % 3 == 1 ? c->timeout : GMX_FOREVER);
  CHECK_STATUS(gmx_mutex_lock(&c->mutex), GMX_EDEADLK); /* it is held */
  if (s == GMX_OK) c->woken++;
  if (s == GMX_ETIMEDOUT) c->late++;
  if (s == GMX_ECANCELED) c->canceled++;
  CHECK_OK(gmx_mutex_unlock(&c->mutex));
}
static void cancels(void *arg) { CHECK_OK(gmx_cancel_now(((struct crowd *)arg)->token)); }

static void no_signal_is_lost(void) {
  enum { N = 18, SIGNALS = 6 };
  int mixed = 0;
  for (int round = 0; round < 300; round++) {
    struct crowd c = {unlocked, no_waiters, 0, 0, 0, 0, 0, 0, 1000 * (round % 60)};
    CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &c.token));
    gmx_g g[N + 1];
    for (int i = 0; i < N; i++) g[i] = go_joinable(joins_in, &c);
    for (bool all = false; !all;) {
      CHECK_OK(gmx_mutex_lock(&c.mutex));
      all = c.ready == N;
      CHECK_OK(gmx_mutex_unlock(&c.mutex));
    }
    g[N] = go_joinable(cancels, &c);
    for (int i = 0; i < SIGNALS; i++) CHECK_OK(gmx_cond_signal(&c.cond));
    join(g[N]);
    /* signals wake those that still wait: with enough of them each has woken one */
    for (bool all = false; !all;) {
      CHECK_OK(gmx_mutex_lock(&c.mutex));
      all = c.woken >= SIGNALS || c.late + c.canceled + c.woken == N;
      CHECK_OK(gmx_mutex_unlock(&c.mutex));
      if (!all) (void)gmx_sleep(50000);
    }
    CHECK_OK(gmx_cond_broadcast(&c.cond));
    join_all(g, N);
    CHECK_EQ(c.woken + c.late + c.canceled, N);
    CHECK_CMP(c.woken, >=, SIGNALS);
    mixed += c.late && c.canceled;
    CHECK_OK(gmx_cancel_free(c.token));
  }
  check_say("in %d of 300 rounds some were late and some canceled", mixed);
}

/* ---- wrong calls ---- */

struct two {
  gmx_cond *cond;
  gmx_mutex *mutex;
  int ready;
};
static void waits_with_it(void *arg) {
  struct two *t = arg;
  CHECK_OK(gmx_mutex_lock(t->mutex));
  store(&t->ready, 1);
  CHECK_OK(gmx_cond_wait(t->cond, t->mutex));
  CHECK_OK(gmx_mutex_unlock(t->mutex));
}

static void is_wrong(void *unused) {
  (void)unused;
  gmx_mutex mutex = unlocked, other = unlocked;
  gmx_cond cond = no_waiters;
  CHECK_STATUS(gmx_cond_wait(NULL, &mutex), GMX_EINVAL);
  CHECK_STATUS(gmx_cond_wait(&cond, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_cond_wait((gmx_cond *)((char *)&cond + 1), &mutex), GMX_EINVAL);
  CHECK_STATUS(gmx_cond_signal(NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_cond_broadcast(NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_cond_wait(&cond, &mutex), GMX_EPERM);
  CHECK_STATUS(gmx_cond_wait_timeout(&cond, &mutex, 0), GMX_EPERM);
  CHECK_OK(gmx_cond_signal(&cond));
  CHECK_OK(gmx_mutex_lock(&mutex));
  CHECK_STATUS(gmx_cond_wait_timeout(&cond, &mutex, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_cond_wait_timeout(&cond, &mutex, MS), GMX_ETIMEDOUT); /* the signal found no waiter, and is gone */
  CHECK_OK(gmx_mutex_unlock(&mutex));
  struct two t = {&cond, &mutex, 0};
  gmx_g g = go_joinable(waits_with_it, &t);
  spin_until(load(&t.ready));
  CHECK_OK(gmx_mutex_lock(&mutex)); /* so it waits */
  CHECK_OK(gmx_mutex_lock(&other));
  CHECK_STATUS(gmx_cond_wait(&cond, &other), GMX_EINVAL);
  CHECK_STATUS(gmx_mutex_lock(&other), GMX_EDEADLK); /* nothing has changed */
  gmx_cond copy = cond;
  CHECK_STATUS(gmx_cond_wait(&copy, &mutex), GMX_EINVAL);
  CHECK_STATUS(gmx_cond_signal(&copy), GMX_EINVAL);
  CHECK_STATUS(gmx_cond_broadcast(&copy), GMX_EINVAL);
  CHECK_OK(gmx_mutex_unlock(&mutex));
  CHECK_OK(gmx_cond_signal(&cond));
  join(g);
  CHECK_STATUS(gmx_cond_wait_timeout(&cond, &other, 0), GMX_ETIMEDOUT); /* another mutex, now that no thread waits */
  CHECK_OK(gmx_mutex_unlock(&other));
}
static void wrong_calls(void) {
  on_g(is_wrong, NULL);
  on_thread(is_wrong, NULL);
  is_wrong(NULL);
}

static void is_canceled_already(void *unused) {
  (void)unused;
  gmx_mutex mutex = unlocked;
  gmx_cond cond = no_waiters;
  gmx_cancel c;
  CHECK_OK(gmx_cancel_new(0, 0, &c));
  CHECK_OK(gmx_cancel_use(c, NULL));
  CHECK_OK(gmx_cancel_free(c));
  CHECK_OK(gmx_mutex_lock(&mutex));
  CHECK_STATUS(gmx_cond_wait(&cond, &mutex), GMX_ECANCELED);
  CHECK_OK(gmx_mutex_unlock(&mutex));
  CHECK_OK(gmx_cancel_use(0, NULL));
}
static void canceled_already(void) {
  on_g(is_canceled_already, NULL);
  on_thread(is_canceled_already, NULL);
}

int main(void) {
  RUN(wrong_calls);
  RUN(canceled_already);
  RUN(in_the_order_of_waiting);
  RUN(makers_and_takers);
  RUN(no_signal_is_lost);
  RUN(ends_clean);
  return 0;
}
