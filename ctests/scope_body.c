/* timeout: 60 */
/* env: GMX_MAXPROCS=3 */
/* gmx_scope_enter: an event that ends the waits of a scope's goroutines also ends those of its body, until the
 * leave. */
#include "gs.h"
#include "objects.h"

static gmx_scope entered(int64_t timeout) {
  gmx_scope s = 0;
  CHECK_OK(gmx_scope_new(timeout, &s));
  CHECK_OK(gmx_scope_enter(s));
  return s;
}
static gmx_cancel token_of(gmx_scope s) {
  gmx_cancel t = 0;
  CHECK_OK(gmx_scope_token(s, &t));
  return t;
}
static gmx_status leave(gmx_scope s) {
  gmx_status result = 7;
  CHECK_OK(gmx_scope_leave(s, GMX_FOREVER, &result));
  CHECK_STATUS(gmx_scope_enter(s), GMX_ESTALE);
  return result;
}
static gmx_status fails(void *arg) { return (gmx_status)(intptr_t)arg; }
static gmx_status sleeps(void *arg) {
  gmx_status s = gmx_sleep(HOUR);
  bump((int *)arg);
  return s;
}

/* ---- waits of the body ---- */

static gmx_chan *empty, *full, *nil;
static long value;

static gmx_status receives(void) { return gmx_chan_recv(empty, &value); }
static gmx_status sends(void) { return gmx_chan_send(full, &value); }
static gmx_status waits_for_nil(void) { return gmx_chan_recv(nil, &value); }
static gmx_status receives_for_an_hour(void) { return gmx_chan_recv_timeout(empty, &value, HOUR); }
static gmx_status selects(void) {
  gmx_select_case cases[2] = {{.chan = empty, .elem = &value, .op = GMX_CASE_RECV}, {.chan = full, .elem = &value, .op = GMX_CASE_SEND}};
  return gmx_select(cases, 2, GMX_FOREVER, NULL);
}
static gmx_status naps(void) { return gmx_sleep(HOUR); }
static gmx_status acquires(void) {
  static uint32_t sema;
  return gmx_sema_acquire(&sema);
}
static gmx_status waits_on_a_condition(void) {
  static gmx_mutex m;
  static gmx_cond c;
  while (gmx_mutex_try_lock(&m) != GMX_OK) check_pause();
  gmx_status s = gmx_cond_wait(&c, &m);
  CHECK_OK(gmx_mutex_unlock(&m));
  return s;
}
static gmx_status (*const waits[])(void) = {
    receives, sends, waits_for_nil, receives_for_an_hour, selects, naps, acquires, waits_on_a_condition,
};
#define WAITS (sizeof waits / sizeof waits[0])

/* How a scope may come to an end before its body does. */
enum { BY_DEADLINE, BY_ERROR, BY_HAND, FROM_ABOVE, WAYS };

static gmx_status cancels(void *arg) {
  CHECK_OK(gmx_scope_cancel(*(gmx_scope *)arg));
  return GMX_OK;
}
static gmx_status cancels_token(void *arg) {
  CHECK_OK(gmx_cancel_now(*(gmx_cancel *)arg));
  return GMX_OK;
}

static void body_waits(void *unused) {
  (void)unused;
  for (int way = 0; way < WAYS; way++) {
    for (size_t w = 0; w < WAITS; w++) {
      gmx_cancel above = 0;
      int slept = 0;
      CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &above));
      CHECK_OK(gmx_cancel_use(above, NULL));
      gmx_scope s = entered(way == BY_DEADLINE ? 2 * MS : GMX_FOREVER);
      CHECK_EQ(gmx_cancel_current(), token_of(s));
      for (int i = 0; i < 3; i++) CHECK_OK(gmx_scope_spawn(s, sleeps, &slept));
      if (way == BY_ERROR) CHECK_OK(gmx_scope_spawn(s, fails, (void *)GMX_EPERM));
      if (way == BY_HAND) CHECK_OK(gmx_scope_spawn(s, cancels, &s));
      if (way == FROM_ABOVE) CHECK_OK(gmx_scope_spawn(s, cancels_token, &above));
      CHECK_STATUS(waits[w](), GMX_ECANCELED);
      CHECK_STATUS(reason_of(0), way == BY_DEADLINE ? GMX_ETIMEDOUT : GMX_ECANCELED);
      CHECK_STATUS(receives(), GMX_ECANCELED); /* and so do the next ones */
      /* leaving waits for all of them nevertheless */
      CHECK_STATUS(leave(s), way == BY_ERROR ? GMX_EPERM : GMX_ECANCELED);
      CHECK_EQ(load(&slept), 3);
      CHECK_EQ(gmx_cancel_current(), above);
      if (way != FROM_ABOVE) CHECK_OK(gmx_sleep(1)); /* the body's own waits are as before */
      else CHECK_STATUS(gmx_sleep(1), GMX_ECANCELED);
      CHECK_OK(gmx_cancel_use(0, NULL));
      CHECK_OK(gmx_cancel_free(above));
    }
  }
}
static void attached_waits(void *unused) {
  CHECK_OK(gmx_attach_thread());
  body_waits(unused);
  CHECK_OK(gmx_detach_thread());
}
static void *as_attached(void *unused) { return attached_waits(unused), NULL; }

static void what_the_body_waits_for_ends(void) {
  long v = 1;
  CHECK_OK(gmx_chan_new(sizeof v, 0, &empty));
  CHECK_OK(gmx_chan_new(sizeof v, 1, &full));
  CHECK_OK(gmx_chan_send(full, &v));
  on_g(body_waits, NULL);
  on_thread(body_waits, NULL);
  thread_join(thread_start(as_attached, NULL));
  body_waits(NULL);
}

/* The children still have work to do when the scope is canceled; the caller waits for each. */
static uint32_t go_on;

static gmx_status tidies_up(void *arg) {
  CHECK_STATUS(gmx_sleep(HOUR), GMX_ECANCELED);
  CHECK_OK(gmx_cancel_use(0, NULL));
  CHECK_OK(gmx_sema_acquire(&go_on));
  bump((int *)arg);
  return GMX_OK;
}
static void lets_them(void *unused) {
  (void)unused;
  CHECK_OK(gmx_sleep(MS));
  for (int i = 0; i < 5; i++) CHECK_OK(gmx_sema_release(&go_on));
}
static void leaving_waits(void *unused) {
  (void)unused;
  for (int i = 0; i < 20; i++) {
    int ended = 0;
    gmx_scope s = entered(i % 2 ? MS : GMX_FOREVER);
    for (int k = 0; k < 5; k++) CHECK_OK(gmx_scope_spawn(s, tidies_up, &ended));
    if (i % 2 == 0) CHECK_OK(gmx_scope_cancel(s));
    CHECK_STATUS(receives(), GMX_ECANCELED);
    /* a wait that runs into its end leaves the caller inside */
    CHECK_STATUS(gmx_scope_leave(s, 0, NULL), GMX_ETIMEDOUT);
    CHECK_EQ(gmx_cancel_current(), token_of(s));
    CHECK_OK(gmx_spawn(lets_them, NULL));
    CHECK_OK(leave(s));
    CHECK_EQ(load(&ended), 5);
    CHECK_EQ(gmx_cancel_current(), 0);
  }
}
static void leaving_waits_for_all(void) {
  on_g(leaving_waits, NULL);
  leaving_waits(NULL);
}

/* ---- nested, and in any order ---- */

#define DEPTH 4

/* Enters DEPTH scopes and leaves them in one of their 24 orders: each time the current token is that of the innermost
 * one in which the body still is. */
static void leave_in_order(const int *order) {
  gmx_cancel own = 0, tokens[DEPTH];
  gmx_scope s[DEPTH];
  bool in[DEPTH];
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &own));
  CHECK_OK(gmx_cancel_use(own, NULL));
  for (int i = 0; i < DEPTH; i++) {
    s[i] = entered(GMX_FOREVER);
    tokens[i] = token_of(s[i]);
    in[i] = true;
    CHECK_EQ(gmx_cancel_current(), tokens[i]);
  }
  for (int k = 0; k < DEPTH; k++) {
    CHECK_OK(leave(s[order[k]]));
    in[order[k]] = false;
    int last = DEPTH - 1;
    while (last >= 0 && !in[last]) last--;
    CHECK_EQ(gmx_cancel_current(), last < 0 ? own : tokens[last]);
  }
  /* the tokens of all scopes are gone: no saved token keeps one */
  for (int i = 0; i < DEPTH; i++) CHECK_STATUS(reason_of(tokens[i]), GMX_ESTALE);
  CHECK_OK(gmx_cancel_use(0, NULL));
  CHECK_OK(gmx_cancel_free(own));
  CHECK_STATUS(reason_of(own), GMX_ESTALE);
}
static void orders(void *unused) {
  (void)unused;
  for (int n = 0; n < 4 * 4 * 4 * 4; n++) {
    int order[DEPTH] = {n % 4, n / 4 % 4, n / 16 % 4, n / 64};
    bool once = true;
    for (int i = 0; i < DEPTH; i++)
      for (int k = 0; k < i; k++) once = once && order[i] != order[k];
    if (once) leave_in_order(order);
  }
}
static void scopes_are_left_in_any_order(void) {
  on_g(orders, NULL);
  on_thread(orders, NULL);
}

static void the_inner_body_ends_with_the_outer(void) {
  gmx_scope outer = entered(GMX_FOREVER), inner = entered(GMX_FOREVER);
  CHECK_OK(gmx_scope_spawn(outer, fails, (void *)GMX_EBUSY));
  CHECK_STATUS(receives(), GMX_ECANCELED);
  CHECK_OK(leave(inner));
  CHECK_STATUS(receives(), GMX_ECANCELED);
  CHECK_STATUS(leave(outer), GMX_EBUSY);
  /* and not the other way round */
  outer = entered(GMX_FOREVER), inner = entered(GMX_FOREVER);
  CHECK_OK(gmx_scope_spawn(inner, fails, (void *)GMX_EBUSY));
  CHECK_STATUS(receives(), GMX_ECANCELED);
  CHECK_STATUS(leave(inner), GMX_EBUSY);
  CHECK_OK(gmx_sleep(1));
  CHECK_OK(leave(outer));
}

/* A token that the body uses and does not put back is gone when the scope is left. */
static void leaving_forgets_what_the_body_uses(void) {
  gmx_cancel t = 0, own = 0, before = 7;
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &own));
  CHECK_OK(gmx_cancel_use(own, NULL));
  gmx_scope s = entered(GMX_FOREVER);
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &t));
  CHECK_OK(gmx_cancel_use(t, &before));
  CHECK_EQ(before, token_of(s));
  CHECK_OK(gmx_scope_cancel(s));
  CHECK_OK(gmx_sleep(1)); /* shielded */
  CHECK_OK(leave(s));
  CHECK_EQ(gmx_cancel_current(), own);
  CHECK_OK(gmx_cancel_free(own)); /* lives on as the current one */
  s = entered(GMX_FOREVER);
  CHECK_OK(leave(s));
  CHECK_EQ(gmx_cancel_current(), own);
  CHECK_OK(gmx_cancel_use(0, NULL));
  CHECK_STATUS(reason_of(own), GMX_ESTALE);
  CHECK_OK(gmx_cancel_free(t));
}

/* ---- which callers may ---- */

static gmx_status enters_its_own(void *arg) {
  CHECK_STATUS(gmx_scope_enter(*(gmx_scope *)arg), GMX_EDEADLK);
  CHECK_EQ(gmx_cancel_current(), token_of(*(gmx_scope *)arg));
  gmx_scope mine = entered(GMX_FOREVER);
  CHECK_OK(leave(mine));
  return GMX_OK;
}
static void other_meets(void *arg) {
  gmx_scope s = *(gmx_scope *)arg;
  CHECK_STATUS(gmx_scope_enter(s), GMX_EBUSY);
  CHECK_STATUS(gmx_scope_leave(s, GMX_FOREVER, NULL), GMX_EPERM);
  CHECK_STATUS(gmx_scope_leave(s, 0, NULL), GMX_EPERM);
  CHECK_EQ(gmx_cancel_current(), 0);
}
static void one_is_inside(void) {
  CHECK_STATUS(gmx_scope_enter(0), GMX_ESTALE);
  gmx_scope s = entered(GMX_FOREVER);
  CHECK_STATUS(gmx_scope_enter(s), GMX_EBUSY);
  CHECK_OK(gmx_scope_spawn(s, enters_its_own, &s));
  on_g(other_meets, &s);
  on_thread(other_meets, &s);
  CHECK_OK(leave(s));
  CHECK_EQ(gmx_cancel_current(), 0);
}

/* A body that ends without leaving: another leaves it, and the tokens are gone. */
struct ends {
  gmx_scope s[2];
  gmx_cancel own, tokens[2];
  bool by_goexit;
};
static void ends_inside(void *arg) {
  struct ends *e = arg;
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &e->own));
  CHECK_OK(gmx_cancel_use(e->own, NULL));
  for (int i = 0; i < 2; i++) e->tokens[i] = token_of(e->s[i] = entered(GMX_FOREVER));
  CHECK_OK(gmx_cancel_free(e->own));
  if (e->by_goexit) CHECK_OK(gmx_goexit());
}
static void *detaches_inside(void *arg) {
  struct ends *e = arg;
  CHECK_OK(gmx_attach_thread());
  ends_inside(e);
  CHECK_OK(gmx_detach_thread());
  CHECK_EQ(gmx_cancel_current(), 0);
  for (int i = 0; i < 2; i++) CHECK_OK(gmx_scope_enter(e->s[i])); /* no G is inside it */
  return NULL;
}
static void *ends_inside_as_thread(void *arg) { return ends_inside(arg), NULL; }
static void a_body_may_end_inside(void) {
  for (int i = 0; i < 40; i++) {
    struct ends e = {.by_goexit = i % 4 == 0};
    if (i % 4 < 2) on_g(ends_inside, &e);
    else thread_join(thread_start(i % 4 == 2 ? ends_inside_as_thread : detaches_inside, &e));
    gmx_scope mine = entered(GMX_FOREVER);
    CHECK_OK(gmx_scope_enter(e.s[1]));
    CHECK_OK(gmx_scope_cancel(e.s[0]));
    CHECK_STATUS(receives(), GMX_ECANCELED); /* under the token of the outer one */
    CHECK_OK(leave(e.s[0]));
    CHECK_OK(leave(e.s[1]));
    CHECK_OK(leave(mine));
    CHECK_EQ(gmx_cancel_current(), 0);
    CHECK_STATUS(reason_of(e.own), GMX_ESTALE);
    for (int k = 0; k < 2; k++) CHECK_STATUS(reason_of(e.tokens[k]), GMX_ESTALE);
  }
}

/* ---- many ---- */

static gmx_status tree(void *arg) {
  intptr_t depth = (intptr_t)arg;
  gmx_scope s = entered(depth == 2 ? MS / 10 : -1);
  for (int i = 0; depth && i < 3; i++) CHECK_OK(gmx_scope_spawn(s, tree, (void *)(depth - 1)));
  gmx_status waited = depth == 0 ? gmx_sleep(HOUR) : GMX_OK;
  gmx_status result = 7;
  CHECK_OK(gmx_scope_leave(s, GMX_FOREVER, &result));
  if (depth == 0) return waited;
  CHECK_STATUS(result, depth == 1 ? GMX_ECANCELED : GMX_OK);
  return GMX_OK;
}
static void trees_end_at_their_deadline(void) {
  for (int i = 0; i < 30; i++) {
    gmx_scope s = entered(GMX_FOREVER);
    for (int k = 0; k < 3; k++) CHECK_OK(gmx_scope_spawn(s, tree, (void *)4));
    gmx_status result = leave(s);
    CHECK(result == GMX_OK || result == GMX_ECANCELED);
  }
}

int main(void) {
  RUN(what_the_body_waits_for_ends);
  RUN(leaving_waits_for_all);
  RUN(scopes_are_left_in_any_order);
  RUN(the_inner_body_ends_with_the_outer);
  RUN(leaving_forgets_what_the_body_uses);
  RUN(one_is_inside);
  RUN(a_body_may_end_inside);
  RUN(trees_end_at_their_deadline);
  CHECK_OK(gmx_chan_free(empty));
  CHECK_OK(gmx_chan_free(full));
  RUN(ends_clean);
  return 0;
}
