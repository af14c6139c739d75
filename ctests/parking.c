/* timeout: 120 */
/* gmx_park under a token, and gmx_park_timeout: exactly one of gmx_ready, the deadline and the token ends a park,
 * commit runs in any case, and nothing of a park reaches the next wait. */
#include "gs.h"
#include "objects.h"

static uint32_t done;

struct spot {
  gmx_g g;
  int committed;
  gmx_cancel token;
  int64_t timeout;
  gmx_status ready; /* of the commit itself */
  bool veto, readies, cancels;
  uint32_t hold;
};

static bool commits(void *arg, gmx_g g) {
  struct spot *s = arg;
  s->committed++;
  if (s->cancels) CHECK_OK(gmx_cancel_now(s->token));
  if (s->readies) s->ready = gmx_ready(g);
  store(&s->g, g);
  return !s->veto;
}

/* ---- by itself, on a G and on a thread, attached or not ---- */

static void comes_back_at_once(void *arg) {
  (void)arg;
  struct spot s = {.veto = true};
  static const int64_t times[] = {INT64_MIN, -1, 0, 1, HOUR, GMX_FOREVER};
  for (int i = 0; i < 6; i++) {
    s.veto = true, s.readies = false;
    CHECK_OK(gmx_park_timeout(commits, &s, NULL, times[i]));
    s.veto = false, s.readies = true;
    if (i == 3) continue; /* the time may pass while commit runs */
    CHECK_OK(gmx_park_timeout(commits, &s, NULL, times[i]));
    CHECK_OK(s.ready);
  }
  CHECK_EQ(s.committed, 11);
  s.readies = false;
  for (int i = 0; i < 4; i++) CHECK_STATUS(gmx_park_timeout(commits, &s, NULL, times[i]), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_park_timeout(NULL, NULL, NULL, MS), GMX_ETIMEDOUT);
  CHECK_EQ(s.committed, 15);
}

/* Under a token that is canceled already, commit runs all the same, and a veto is a success. */
static void under_a_canceled_token(void *arg) {
  (void)arg;
  struct spot s = {.token = new_token(0, GMX_FOREVER)};
  CHECK_OK(gmx_cancel_now(s.token));
  CHECK_OK(gmx_cancel_use(s.token, NULL));
  CHECK_STATUS(gmx_park(commits, &s, NULL), GMX_ECANCELED);
  CHECK_STATUS(gmx_park_timeout(commits, &s, NULL, HOUR), GMX_ECANCELED);
  CHECK_STATUS(gmx_park_timeout(commits, &s, NULL, 0), GMX_ETIMEDOUT);
  CHECK_EQ(s.committed, 3);
  s.veto = true;
  CHECK_OK(gmx_park(commits, &s, NULL));
  s.veto = false, s.readies = true;
  CHECK_STATUS(gmx_park(commits, &s, NULL), GMX_ECANCELED);
  CHECK_STATUS(s.ready, GMX_EPERM); /* another was faster */
  CHECK_OK(gmx_cancel_shield());
  CHECK_OK(gmx_park(commits, &s, NULL));
  CHECK_OK(s.ready);
  CHECK_OK(gmx_cancel_unshield());
  CHECK_OK(gmx_cancel_use(0, NULL));
  CHECK_OK(gmx_cancel_free(s.token));
}

/* The commit cancels the token and then readies the G: the second of the two fails. */
static void canceled_in_its_commit(void *arg) {
  (void)arg;
  struct spot s = {.token = new_token(0, GMX_FOREVER), .cancels = true, .readies = true};
  CHECK_OK(gmx_cancel_use(s.token, NULL));
  CHECK_STATUS(gmx_park(commits, &s, NULL), GMX_ECANCELED);
  CHECK_STATUS(s.ready, GMX_EPERM);
  CHECK_OK(gmx_cancel_use(0, NULL));
  CHECK_OK(gmx_cancel_free(s.token));
}

/* A veto leaves neither timer nor registration: the token, and the time, find the next wait to be another one. */
static void a_veto_leaves_nothing(void *arg) {
  (void)arg;
  for (int i = 0; i < 200; i++) {
    struct spot s = {.veto = true, .token = new_token(0, GMX_FOREVER)};
    CHECK_OK(gmx_cancel_use(s.token, NULL));
    CHECK_OK(gmx_park_timeout(commits, &s, NULL, 20000));
    CHECK_OK(gmx_cancel_use(0, NULL));
    CHECK_OK(gmx_cancel_now(s.token));
    CHECK_STATUS(gmx_sema_acquire_timeout(&s.hold, 50000), GMX_ETIMEDOUT);
    CHECK_OK(gmx_cancel_free(s.token));
  }
}

static void (*const alone[])(void *) = {comes_back_at_once, under_a_canceled_token, canceled_in_its_commit, a_veto_leaves_nothing};
static void *attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  ((void (*)(void *))(uintptr_t)arg)(NULL);
  CHECK_OK(gmx_detach_thread());
  return NULL;
}
static void each_alone(void) {
  for (size_t i = 0; i < sizeof alone / sizeof *alone; i++) {
    alone[i](NULL);
    on_g(alone[i], NULL);
    thread_join(thread_start(attached, (void *)(uintptr_t)alone[i]));
  }
}

/* ---- one P, and slices without an end ---- */

static void parks_under(void *arg) {
  struct spot *s = arg;
  if (s->token) CHECK_OK(gmx_cancel_use(s->token, NULL));
  gmx_status got = gmx_park_timeout(commits, s, "spot", s->timeout);
  if (s->token) CHECK_OK(gmx_cancel_use(0, NULL));
  s->ready = got;
  release(&done, 1);
  acquire(&s->hold, 1); /* alive, and not parked */
}

static void ready_ends_it(void) {
  struct spot s = {.token = new_token(0, GMX_FOREVER), .timeout = HOUR};
  go(parks_under, &s);
  CHECK_OK(gmx_yield());
  CHECK_EQ(waiting("spot"), 0); /* the G is parked, and does not merely wait */
  CHECK_OK(gmx_ready(s.g));
  CHECK_STATUS(gmx_ready(s.g), GMX_EPERM);
  CHECK_OK(gmx_cancel_now(s.token)); /* too late */
  acquire(&done, 1);
  CHECK_OK(s.ready);
  CHECK_STATUS(gmx_ready(s.g), GMX_EPERM);
  release(&s.hold, 1);
  spin_until(gmx_num_g() == 1);
  CHECK_STATUS(gmx_ready(s.g), GMX_ESTALE);
  CHECK_OK(gmx_cancel_free(s.token));
}

static void the_token_ends_it(void) {
  struct spot s = {.token = new_token(0, GMX_FOREVER), .timeout = GMX_FOREVER};
  go(parks_under, &s);
  CHECK_OK(gmx_yield());
  CHECK_EQ(s.committed, 1);
  CHECK_OK(gmx_cancel_now(s.token));
  CHECK_STATUS(gmx_ready(s.g), GMX_EPERM); /* it has not run yet */
  acquire(&done, 1);
  CHECK_STATUS(s.ready, GMX_ECANCELED);
  release(&s.hold, 1);
  spin_until(gmx_num_g() == 1);
  CHECK_OK(gmx_cancel_free(s.token));
}

static void time_ends_it(void) {
  struct spot s = {.timeout = MS};
  go(parks_under, &s);
  acquire(&done, 1);
  CHECK_STATUS(s.ready, GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_ready(s.g), GMX_EPERM);
  release(&s.hold, 1);
  spin_until(gmx_num_g() == 1);
}

/* A G that waits for something else is not parked, though its wait may be claimed too. */
static gmx_chan *nothing_comes;
static void receives(void *arg) {
  long v;
  gmx_select_case cases[] = {GMX_RECV(nothing_comes, &v)};
  struct spot *s = arg;
  s->g = gmx_self();
  CHECK_STATUS(gmx_park_timeout(NULL, NULL, NULL, MS), GMX_ETIMEDOUT); /* a park before */
  release(&done, 1);
  CHECK_STATUS(gmx_chan_recv_timeout(nothing_comes, &v, HOUR), GMX_ECLOSED);
  CHECK_STATUS(gmx_select(cases, 1, HOUR, NULL), GMX_ECLOSED);
  release(&done, 1);
}
static void ready_ends_no_receive(void) {
  struct spot s = {0};
  CHECK_OK(gmx_chan_new(sizeof(long), 0, &nothing_comes));
  go(receives, &s);
  acquire(&done, 1);
  spin_until(waiting("chan receive") == 1);
  for (int i = 0; i < 3; i++) CHECK_STATUS(gmx_ready(s.g), GMX_EPERM);
  CHECK_EQ(waiting("chan receive"), 1);
  CHECK_OK(gmx_chan_close(nothing_comes));
  acquire(&done, 1);
  CHECK_OK(gmx_chan_free(nothing_comes));
}

/* ---- several Ps: ready, the time and the token against each other; then the next park ---- */

enum { ROUNDS = 4000 };
struct race {
  gmx_g first, second;
  gmx_cancel token;
  int readied, over;
  int64_t timeout;
  gmx_status end;
};

static void parks_twice(void *arg) {
  struct race *r = arg;
  CHECK_OK(gmx_cancel_use(r->token, NULL));
  r->end = gmx_park_timeout(tell_parked, &r->first, "first", r->timeout);
  CHECK_OK(gmx_cancel_use(0, NULL));
  CHECK_OK(gmx_park_timeout(tell_parked, &r->second, "second", HOUR)); /* no token, and no time that passes */
  store(&r->over, 1);
}
static void *parks_twice_as_thread(void *arg) {
  parks_twice(arg);
  return NULL;
}
static void cancels(void *arg) {
  struct race *r = arg;
  spin_until(load(&r->first) != 0);
  CHECK_OK(gmx_cancel_now(r->token));
  release(&done, 1);
}
static void readies(void *arg) {
  struct race *r = arg;
  spin_until(load(&r->first) != 0);
  if (gmx_ready(load(&r->first)) == GMX_OK) bump(&r->readied); /* this park, or the next */
  release(&done, 1);
}
static void one_ends_it(void) {
  int64_t ok = 0, timed_out = 0, canceled = 0;
  for (int i = 0; i < ROUNDS; i++) {
    struct race r = {.token = new_token(0, GMX_FOREVER), .timeout = i % 3 ? i % 40 * 1000 : HOUR};
    bool thread = i % 8 == 0, by_ready = i % 2 == 0;
    pthread_t t = 0;
    gmx_g g = 0;
    if (thread) t = thread_start(parks_twice_as_thread, &r);
    else g = go_joinable(parks_twice, &r);
    go(cancels, &r);
    if (by_ready) go(readies, &r);
    acquire(&done, by_ready ? 2 : 1);
    spin_until(load(&r.second) != 0);
    while (!load(&r.over)) {
      if (gmx_ready(r.second) == GMX_OK) bump(&r.readied);
      else check_pause();
    }
    if (thread) thread_join(t);
    else join(g);
    CHECK_EQ(r.readied, 1 + (r.end == GMX_OK)); /* each that was told so has ended a park, and no other has */
    CHECK(r.end == GMX_OK || r.end == GMX_ETIMEDOUT || r.end == GMX_ECANCELED);
    if (!by_ready) CHECK(r.end != GMX_OK);
    ok += r.end == GMX_OK;
    timed_out += r.end == GMX_ETIMEDOUT;
    canceled += r.end == GMX_ECANCELED;
    CHECK_OK(gmx_cancel_free(r.token));
  }
  check_say("  %" PRId64 " readied, %" PRId64 " timed out, %" PRId64 " canceled", ok, timed_out, canceled);
}

int main(void) {
  start_runtime(2, 0);
  RUN(each_alone);
  end_runtime();
  start_runtime(1, NO_SLICES);
  RUN_G(ready_ends_it);
  RUN_G(the_token_ends_it);
  RUN_G(time_ends_it);
  RUN_G(ready_ends_no_receive);
  end_runtime();
  start_runtime(4, 0);
  RUN_G(one_ends_it);
  end_runtime();
  return 0;
}
