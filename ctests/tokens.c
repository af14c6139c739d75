/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* What tokens tell, and to whom: reasons, deadlines, channels, functions that run after a cancel, Gs that inherit
 * them. */
#include "gs.h"
#include "objects.h"

#include <stdatomic.h>

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
    join(start_inheriting(flags[i], is_under, &none)); /* the caller has none */
    CHECK_OK(gmx_cancel_use(low, NULL));
    on_g(is_under, &none); /* without the flag */
    join(start_inheriting(flags[i], is_under, &low));
    gmx_g g = start_inheriting(flags[i], sleeps_under_it, &low);
    if (i == 3) CHECK_OK(gmx_cancel_shield()); /* that is not inherited */
    gmx_g h = start_inheriting(flags[i], sleeps_under_it, &low);
    if (i == 3) CHECK_OK(gmx_cancel_unshield());
    CHECK_OK(gmx_cancel_use(0, NULL));
    free_token(low); /* it lives on with the two */
    CHECK_OK(gmx_cancel_now_because(top, -1234));
    join(g), join(h);
    free_token(top);
    CHECK_STATUS(gmx_cancel_use(low, NULL), GMX_ESTALE);
    on_g(is_under, &none);
  }
}
static void gs_inherit(void) {
  on_g(inherits, NULL);
  on_thread(inherits, NULL);
}

/* ---- a goroutine's own ---- */

static gmx_g start_cancellable(uint32_t flags, void (*fn)(void *), void *arg) {
  gmx_spawn_opts o = {.flags = GMX_SPAWN_JOINABLE | GMX_SPAWN_CANCELLABLE | flags};
  gmx_g g = 0;
  CHECK_OK(gmx_spawn_with(&o, fn, arg, &g));
  return g;
}

/* The answers of a goroutine about itself. */
struct own {
  uint32_t there, go_on, done;
  gmx_cancel token;
};
static void sleeps_until_canceled(void *arg) {
  struct own *o = arg;
  o->token = gmx_cancel_current();
  CHECK(o->token != 0);
  store(&o->there, 1);
  CHECK_STATUS(gmx_sleep(HOUR), GMX_ECANCELED);
  CHECK_STATUS(gmx_sleep(HOUR), GMX_ECANCELED);
  CHECK_STATUS(reason_of(0), -77);
  spin_until(load(&o->go_on));
  store(&o->done, 1);
}
static void is_canceled_by_its_handle(void *unused) {
  static const uint32_t flags[] = {0, GMX_SPAWN_CHILD_FIRST, GMX_SPAWN_LAST, GMX_SPAWN_WIPE};
  (void)unused;
  for (int i = 0; i < 4; i++) {
    struct own o = {0};
    gmx_g g = start_cancellable(flags[i], sleeps_until_canceled, &o);
    CHECK_STATUS(gmx_cancel_g(g, 0), GMX_EINVAL);
    CHECK_STATUS(gmx_cancel_g(g, 1), GMX_EINVAL);
    if (i % 2) spin_until(load(&o.there)); /* otherwise perhaps before it has begun */
    CHECK_OK(gmx_cancel_g(g, -77));
    CHECK_OK(gmx_cancel_g(g, -78)); /* the first one counts */
    store(&o.go_on, 1);
    spin_until(load(&o.done) && gmx_cancel_g(g, -79) == GMX_ESTALE); /* ended, and not joined yet */
    CHECK_STATUS(gmx_cancel_use(o.token, NULL), GMX_ESTALE);
    join(g);
    CHECK_STATUS(gmx_cancel_g(g, -79), GMX_ESTALE);
  }
  CHECK_STATUS(gmx_cancel_g(0, -1), GMX_ESTALE);
  CHECK_STATUS(gmx_cancel_g(~UINT64_C(0), -1), GMX_ESTALE);
}

static void waits_until_canceled(void *arg) {
  struct own *o = arg;
  store(&o->there, 1);
  spin_until(load(&o->go_on));
  store(&o->done, gmx_sleep(MS) == GMX_ECANCELED ? 2 : 1);
}
static void its_token_and_others(void *unused) {
  (void)unused;
  gmx_cancel top = new_token(0, GMX_FOREVER);
  CHECK_OK(gmx_cancel_use(top, NULL));
  for (int i = 0; i < 4; i++) {
    /* below the caller's token with the option only, and nothing that it does goes up */
    struct own o = {0}, p = {0};
    gmx_g g = start_cancellable(i % 2 ? GMX_SPAWN_INHERIT : 0, waits_until_canceled, &o);
    gmx_g h = start_cancellable(GMX_SPAWN_INHERIT, waits_until_canceled, &p);
    spin_until(load(&o.there) && load(&p.there));
    if (i == 3) CHECK_OK(gmx_cancel_now(top));
    if (i == 2) CHECK_OK(gmx_cancel_g(h, -5));
    store(&o.go_on, 1), store(&p.go_on, 1);
    join(g), join(h);
    CHECK_EQ(o.done, i == 3 ? 2 : 1);
    CHECK_EQ(p.done, i >= 2 ? 2 : 1);
    CHECK_EQ(gmx_cancel_is_canceled(top), i == 3);
  }
  CHECK_OK(gmx_cancel_use(0, NULL));
  free_token(top);
}

static void leaves_its_token(void *arg) {
  struct own *o = arg;
  gmx_cancel own = 0;
  CHECK_OK(gmx_cancel_use(0, &own));
  store(&o->there, 1);
  spin_until(load(&o->go_on));
  CHECK_OK(gmx_sleep(MS));
  CHECK_OK(gmx_cancel_use(own, NULL));
  CHECK_STATUS(gmx_sleep(HOUR), GMX_ECANCELED);
}
static void gives_its_token_back(void *arg) {
  struct own *o = arg;
  free_token(gmx_cancel_current()); /* wrong, and harmless: the goroutine itself counts for it */
  store(&o->there, 1);
  CHECK_STATUS(gmx_sleep(HOUR), GMX_ECANCELED);
}
static void it_uses_its_token_as_it_likes(void *unused) {
  (void)unused;
  void (*const users[])(void *) = {leaves_its_token, gives_its_token_back};
  for (int i = 0; i < 2; i++) {
    struct own o = {0};
    gmx_g g = start_cancellable(0, users[i], &o);
    spin_until(load(&o.there));
    CHECK_OK(gmx_cancel_g(g, -1));
    store(&o.go_on, 1);
    join(g);
  }
  gmx_g plain = go_joinable(nothing, NULL);
  CHECK_STATUS(gmx_cancel_g(plain, -1), GMX_EPERM);
  join(plain);
}
static void gs_are_canceled(void) {
  void (*const tests[])(void *) = {is_canceled_by_its_handle, its_token_and_others, it_uses_its_token_as_it_likes};
  for (int i = 0; i < 3; i++) on_g(tests[i], NULL), on_thread(tests[i], NULL);
}

/* Descriptors and the memory of tokens serve one goroutine after another: a late cancel reaches none of the later. */
static _Atomic gmx_g former;
static uint32_t enough;

static void *cancels_former_ones(void *arg) {
  int *met = arg;
  while (!load(&enough)) *met += gmx_cancel_g(atomic_load(&former), -1) == GMX_OK;
  return NULL;
}
static void is_not_canceled(void *arg) {
  for (int i = 0; i < 3; i++) CHECK_OK(gmx_yield());
  CHECK(!gmx_cancel_is_canceled(0));
  (void)arg;
}
static void former_gs_are_canceled(void *unused) {
  (void)unused;
  int met = 0;
  pthread_t t = thread_start(cancels_former_ones, &met);
  for (int i = 0; i < 20000; i++) {
    gmx_g g = start_cancellable(i % 2 ? GMX_SPAWN_CHILD_FIRST : 0, is_not_canceled, NULL);
    join(g);
    atomic_store(&former, g);
  }
  store(&enough, 1);
  thread_join(t);
  CHECK_EQ(met, 0);
}
static void a_late_cancel_meets_none(void) { on_g(former_gs_are_canceled, NULL); }

/* ---- channels ---- */

static gmx_chan *chan_of_token(gmx_cancel c) {
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
    struct chosen s = {{NULL, chan_of_token(other), chan_of_token(low)}, 7, 0};
    gmx_chan *again = chan_of_token(low);
    CHECK(again == s.chans[2]);
    gmx_g g = go_joinable(selects, &s);
    spin_until(load(&s.ready));
    if (i % 2) CHECK_OK(gmx_sleep(MS / 10));
    if (i % 3 != 2) CHECK_OK(gmx_cancel_now(i % 3 ? top : low));
    join(g);
    CHECK_EQ(s.which, 2);
    CHECK_STATUS(gmx_chan_recv(again, NULL), GMX_ECLOSED);
    gmx_chan *late = chan_of_token(low); /* of a canceled token */
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
  gmx_chan *chan = chan_of_token(low);
  CHECK_STATUS(gmx_chan_recv(chan, NULL), GMX_ECLOSED);
  CHECK_OK(gmx_chan_free(chan));
  CHECK_OK(gmx_cancel_use(low, NULL));
  chan = chan_of_token(0); /* the current one */
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
  gmx_chan *chan = chan_of_token(r->token);
  CHECK_STATUS(gmx_chan_recv_timeout(chan, NULL, HOUR), GMX_ECLOSED);
  CHECK_OK(gmx_chan_free(chan));
}
/* Several threads ask for the channel of a token while it is canceled: each is told. */
static void channels_against_cancel(void) {
  for (int round = 0; round < 300; round++) {
    struct race r = {new_token(0, GMX_FOREVER), 0, 0, 0, 0};
    gmx_g g[3];
    for (int i = 0; i < 3; i++) g[i] = go_joinable(asks_and_receives, &r);
    spin_until(load(&r.begun) >= round % 4);
    CHECK_OK(gmx_cancel_now(r.token));
    join_all(g, 3);
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
      CHECK_EQ(gmx_num_g(), 0); /* a hook that waits is not a goroutine yet */
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
  RUN(gs_are_canceled);
  RUN(a_late_cancel_meets_none);
  RUN(a_select_of_tokens);
  RUN(a_channel_made_late_is_closed);
  RUN(channels_against_cancel);
  RUN(functions_run_after);
  RUN(the_token_lives_as_long_as_its_hooks);
  RUN(stops_against_cancel);
  RUN(ends_clean);
  return 0;
}
