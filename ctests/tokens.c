/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* What tokens tell, and who is told: reasons, deadlines, channels, functions after them, and Gs that inherit them. */
#include "places.h"

#define MS INT64_C(1000000)
#define HOUR (INT64_C(3600000) * MS)

static gmx_cancel new_token(gmx_cancel parent, int64_t timeout) {
  gmx_cancel c = 0;
  CHECK_OK(gmx_cancel_new(parent, timeout, &c));
  return c;
}
static void free_token(gmx_cancel c) { CHECK_OK(gmx_cancel_free(c)); }

/* ---- reasons ---- */

static void reasons(void) {
  gmx_cancel top = new_token(0, GMX_FOREVER), low = new_token(top, GMX_FOREVER), own = new_token(top, GMX_FOREVER);
  gmx_status reason = 7;
  CHECK_OK(gmx_cancel_reason(0, &reason));
  CHECK_OK(reason);
  CHECK_OK(gmx_cancel_now_because(own, -2000));
  CHECK_STATUS(gmx_cancel_now_because(top, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_cancel_now_because(top, 1), GMX_EINVAL);
  CHECK_STATUS(gmx_cancel_now_because(0, -1), GMX_ESTALE);
  CHECK_OK(reason_of(top));
  CHECK_OK(gmx_cancel_now_because(top, -1000));
  CHECK_OK(gmx_cancel_now_because(top, -3000));
  CHECK_OK(gmx_cancel_now(top));
  CHECK_STATUS(reason_of(top), -1000); /* the first */
  CHECK_STATUS(reason_of(low), -1000); /* its parent's */
  CHECK_STATUS(reason_of(own), -2000); /* its own came first */
  gmx_cancel late = new_token(top, GMX_FOREVER);
  CHECK_STATUS(reason_of(late), -1000);
  CHECK_OK(gmx_cancel_use(low, NULL));
  CHECK_STATUS(gmx_sleep(1), GMX_ECANCELED); /* whatever the reason is */
  CHECK_STATUS(reason_of(0), -1000);
  CHECK_OK(gmx_cancel_use(0, NULL));
  reason = 7;
  free_token(own), free_token(low), free_token(late), free_token(top);
  CHECK_STATUS(gmx_cancel_reason(top, &reason), GMX_ESTALE);
  CHECK_EQ(reason, 7);
}

/* ---- deadlines ---- */

static int64_t deadline_of(gmx_cancel c) {
  int64_t when = 7;
  CHECK_OK(gmx_cancel_deadline(c, &when));
  return when;
}
static void deadlines(void) {
  int64_t begin = gmx_now(), when = 7;
  gmx_cancel top = new_token(0, HOUR), mid = new_token(top, GMX_FOREVER), sooner = new_token(mid, HOUR / 2);
  gmx_cancel later = new_token(sooner, 2 * HOUR), none = new_token(0, GMX_FOREVER);
  int64_t end = gmx_now();
  CHECK_EQ(deadline_of(0), INT64_MAX);
  CHECK_EQ(deadline_of(none), INT64_MAX);
  CHECK(deadline_of(top) >= begin + HOUR && deadline_of(top) <= end + HOUR);
  CHECK_EQ(deadline_of(mid), deadline_of(top));
  CHECK(deadline_of(sooner) >= begin + HOUR / 2 && deadline_of(sooner) <= end + HOUR / 2);
  CHECK_EQ(deadline_of(later), deadline_of(sooner));
  CHECK_OK(gmx_cancel_use(later, NULL));
  CHECK_EQ(deadline_of(0), deadline_of(sooner));
  CHECK_OK(gmx_cancel_now(top));
  CHECK_EQ(deadline_of(later), deadline_of(sooner)); /* a cancellation does not change it */
  CHECK_OK(gmx_cancel_use(0, NULL));
  free_token(later), free_token(sooner), free_token(mid), free_token(top), free_token(none);
  CHECK_STATUS(gmx_cancel_deadline(top, &when), GMX_ESTALE);
  CHECK_EQ(when, 7);
}

/* ---- inheritance ---- */

static gmx_g start_inheriting(uint32_t flags, void (*fn)(void *), void *arg) {
  gmx_spawn_opts o;
  gmx_g g = 0;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o;
  o.flags = GMX_SPAWN_JOINABLE | GMX_SPAWN_INHERIT | flags;
  CHECK_OK(gmx_spawn_with(&o, fn, arg, &g));
  return g;
}
static void is_under(void *arg) { CHECK_EQ(gmx_cancel_current(), *(gmx_cancel *)arg); }
static void sleeps_under_it(void *arg) {
  is_under(arg);
  CHECK_STATUS(gmx_sleep(HOUR), GMX_ECANCELED);
  CHECK_STATUS(reason_of(0), -1234);
}
static void inherits(void *unused) {
  (void)unused;
  static const uint32_t flags[] = {0, GMX_SPAWN_CHILD_FIRST, GMX_SPAWN_LAST, 0};
  gmx_cancel none = 0;
  for (int i = 0; i < 4; i++) {
    gmx_cancel top = new_token(0, GMX_FOREVER), low = new_token(top, GMX_FOREVER);
    g_join(start_inheriting(flags[i], is_under, &none)); /* the caller has none */
    CHECK_OK(gmx_cancel_use(low, NULL));
    on_g(is_under, &none); /* without the flag */
    g_join(start_inheriting(flags[i], is_under, &low));
    gmx_g g = start_inheriting(flags[i], sleeps_under_it, &low);
    if (i == 3) CHECK_OK(gmx_cancel_shield()); /* that is not inherited */
    gmx_g h = start_inheriting(flags[i], sleeps_under_it, &low);
    if (i == 3) CHECK_OK(gmx_cancel_unshield());
    CHECK_OK(gmx_cancel_use(0, NULL));
    free_token(low); /* it lives on with the two */
    CHECK_OK(gmx_cancel_now_because(top, -1234));
    g_join(g), g_join(h);
    free_token(top);
    CHECK_STATUS(gmx_cancel_use(low, NULL), GMX_ESTALE);
    on_g(is_under, &none);
  }
}
static void gs_inherit(void) {
  on_g(inherits, NULL);
  on_thread(inherits, NULL);
}

/* ---- channels ---- */

static gmx_chan *chan_of(gmx_cancel c) {
  gmx_chan *chan = NULL;
  CHECK_OK(gmx_cancel_chan(c, &chan));
  CHECK(chan != NULL);
  return chan;
}

struct chosen {
  gmx_chan *chans[3];
  size_t which;
  int ready;
};
static void selects(void *arg) {
  struct chosen *s = arg;
  gmx_select_case cases[3];
  memset(cases, 0, sizeof cases);
  for (int i = 0; i < 3; i++) cases[i].chan = s->chans[i];
  store(&s->ready, 1);
  CHECK_STATUS(gmx_select(cases, 3, HOUR, &s->which), GMX_ECLOSED);
}

/* Several tokens in one select. */
static void a_select_of_tokens(void) {
  for (int i = 0; i < 30; i++) {
    gmx_cancel top = new_token(0, i % 3 == 2 ? MS : GMX_FOREVER), low = new_token(top, GMX_FOREVER), other = new_token(0, GMX_FOREVER);
    struct chosen s = {{NULL, chan_of(other), chan_of(low)}, 7, 0};
    gmx_chan *again = chan_of(low);
    CHECK(again == s.chans[2]);
    gmx_g g = g_start(selects, &s);
    spin_until(load(&s.ready));
    if (i % 2) CHECK_OK(gmx_sleep(MS / 10));
    if (i % 3 != 2) CHECK_OK(gmx_cancel_now(i % 3 ? top : low));
    g_join(g);
    CHECK_EQ(s.which, 2);
    CHECK_STATUS(gmx_chan_recv(again, NULL), GMX_ECLOSED);
    gmx_chan *late = chan_of(low); /* of one that is cancelled */
    CHECK(late == again);
    CHECK_STATUS(gmx_chan_try_recv(s.chans[1], NULL), GMX_EAGAIN);
    free_token(low), free_token(top), free_token(other);
    CHECK_STATUS(gmx_chan_try_recv(again, NULL), GMX_ECLOSED); /* references outlive the token */
    CHECK_STATUS(gmx_chan_try_recv(s.chans[1], NULL), GMX_EAGAIN);
    gmx_chan *mine[4] = {again, late, s.chans[1], s.chans[2]};
    for (int k = 0; k < 4; k++) CHECK_OK(gmx_chan_free(mine[k]));
  }
}

static void a_channel_made_late_is_closed(void) {
  gmx_cancel top = new_token(0, GMX_FOREVER), low = new_token(top, GMX_FOREVER);
  CHECK_OK(gmx_cancel_now(top));
  gmx_chan *chan = chan_of(low);
  CHECK_STATUS(gmx_chan_recv(chan, NULL), GMX_ECLOSED);
  CHECK_OK(gmx_chan_free(chan));
  CHECK_OK(gmx_cancel_use(low, NULL));
  chan = chan_of(0); /* the current one */
  CHECK_STATUS(gmx_chan_try_recv(chan, NULL), GMX_ECLOSED);
  CHECK_OK(gmx_chan_free(chan));
  CHECK_OK(gmx_cancel_use(0, NULL));
  free_token(low), free_token(top);
  CHECK_STATUS(gmx_cancel_chan(low, &chan), GMX_ESTALE);
}

struct race {
  gmx_cancel token;
  int begun, ran, stopped, kept;
};
static void asks_and_receives(void *arg) {
  struct race *r = arg;
  bump(&r->begun);
  gmx_chan *chan = chan_of(r->token);
  CHECK_STATUS(gmx_chan_recv_timeout(chan, NULL, HOUR), GMX_ECLOSED);
  CHECK_OK(gmx_chan_free(chan));
}
/* Asked for by several while it is cancelled: each is told. */
static void channels_against_cancel(void) {
  for (int round = 0; round < 300; round++) {
    struct race r = {new_token(0, GMX_FOREVER), 0, 0, 0, 0};
    gmx_g g[3];
    for (int i = 0; i < 3; i++) g[i] = g_start(asks_and_receives, &r);
    spin_until(load(&r.begun) >= round % 4);
    CHECK_OK(gmx_cancel_now(r.token));
    for (int i = 0; i < 3; i++) g_join(g[i]);
    free_token(r.token);
  }
}

/* ---- functions after ---- */

static void runs(void *arg) {
  struct race *r = arg;
  CHECK_EQ(gmx_cancel_current(), 0);
  CHECK(gmx_goid() != 0);
  bump(&r->ran);
}
static gmx_cancel_hook hooked(gmx_cancel c, struct race *r) {
  gmx_cancel_hook hook = 0;
  CHECK_OK(gmx_cancel_after(c, runs, r, &hook));
  CHECK(hook != 0);
  return hook;
}
static bool stops(gmx_cancel_hook hook) {
  bool stopped = false;
  CHECK_OK(gmx_cancel_hook_stop(hook, &stopped));
  CHECK_STATUS(gmx_cancel_hook_stop(hook, &stopped), GMX_ESTALE);
  return stopped;
}

static void functions_run_after(void) {
  for (int way = 0; way < 4; way++) { /* by hand, from above, at a deadline, before */
    struct race r = {0, 0, 0, 0, 0};
    gmx_cancel top = new_token(0, way == 2 ? MS : GMX_FOREVER), low = new_token(top, GMX_FOREVER);
    if (way == 3) CHECK_OK(gmx_cancel_now(top));
    spin_until(gmx_num_g() == 0); /* one that was joined may count a little longer */
    gmx_cancel_hook hook = hooked(low, &r), other = hooked(low, &r);
    CHECK_OK(gmx_cancel_after(low, runs, &r, NULL));
    if (way < 2) {
      CHECK_EQ(gmx_num_g(), 0); /* what waits is no goroutine yet */
      CHECK_EQ(load(&r.ran), 0);
      CHECK(stops(other));
      other = hooked(low, &r);
    }
    if (way < 2) CHECK_OK(gmx_cancel_now(way ? top : low));
    free_token(low); /* hooks keep it */
    spin_until(load(&r.ran) == 3);
    CHECK(!stops(hook) && !stops(other));
    free_token(top);
    spin_until(gmx_num_g() == 0);
    CHECK_EQ(load(&r.ran), 3);
  }
}

static void the_token_lives_as_long_as_its_hooks(void) {
  struct race r = {0, 0, 0, 0, 0};
  gmx_cancel top = new_token(0, GMX_FOREVER), low = new_token(top, GMX_FOREVER);
  gmx_cancel_hook hook = hooked(low, &r);
  free_token(low);
  CHECK_OK(gmx_cancel_use(low, NULL)); /* it is there */
  CHECK_OK(gmx_cancel_use(0, NULL));
  CHECK(stops(hook));
  CHECK_STATUS(gmx_cancel_use(low, NULL), GMX_ESTALE);
  CHECK_OK(gmx_cancel_now(top));
  free_token(top);
  CHECK_EQ(load(&r.ran), 0);
}

static void *stops_meanwhile(void *arg) {
  struct race *r = arg;
  gmx_cancel_hook hooks[8];
  for (int i = 0; i < 8; i++) hooks[i] = hooked(r->token, r);
  store(&r->begun, 1);
  for (int i = 0; i < 8; i++) r->stopped += stops(hooks[i]);
  return NULL;
}
/* Each function has run, or was stopped: not both, and not neither. */
static void stops_against_cancel(void) {
  int some = 0;
  for (int round = 0; round < 500; round++) {
    struct race r = {new_token(0, GMX_FOREVER), 0, 0, 0, 0};
    pthread_t t = thread_start(stops_meanwhile, &r);
    if (round % 5) spin_until(load(&r.begun));
    CHECK_OK(gmx_cancel_now(r.token));
    thread_join(t);
    spin_until(load(&r.ran) + r.stopped == 8);
    spin_until(gmx_num_g() == 0);
    CHECK_EQ(load(&r.ran) + r.stopped, 8);
    some += r.stopped != 0 && r.ran != 0;
    free_token(r.token);
  }
  check_say("in %d of 500 rounds some ran and some were stopped", some);
}

int main(void) {
  RUN(reasons);
  RUN(deadlines);
  RUN(gs_inherit);
  RUN(a_select_of_tokens);
  RUN(a_channel_made_late_is_closed);
  RUN(channels_against_cancel);
  RUN(functions_run_after);
  RUN(the_token_lives_as_long_as_its_hooks);
  RUN(stops_against_cancel);
  RUN(ends_clean);
  return 0;
}
