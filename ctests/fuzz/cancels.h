/* Tokens of cancellation, and scopes: a canceled token stays canceled, and so do all tokens below it; no goroutine of a
 * scope outlives its leave. */
#ifndef GOMAX_FUZZ_CANCELS_H
#define GOMAX_FUZZ_CANCELS_H

#include "../objects.h"
#include "goroutines.h"

#define TOKENS 24
#define SCOPES 8

static atomic_ullong tokens[TOKENS];

static gmx_cancel token(actor *a) {
  switch (rnd(a, 12)) {
    case 0: return 0;
    case 1: return next_random(&a->seed);
    case 2: return gmx_cancel_current();
    default: return (gmx_cancel)atomic_load(&tokens[rnd(a, TOKENS)]);
  }
}

/* ---- the current token ---- */

/* The runtime forgets a foreign thread and its token when it goes down. */
static void check_current(actor *a) {
  gmx_cancel now = gmx_cancel_current(), want = a->sched || (a->stopped && !a->g) ? 0 : a->token;
  if (now == want || (!a->worker && now == 0)) return;
  LOST(a, "the current token is %#" PRIx64 ", not %#" PRIx64, now, want);
}

static bool may_use(const actor *a) { return !a->sched && (!a->stopped || a->g); }

static void use(actor *a, gmx_cancel t) {
  gmx_cancel before = 77;
  gmx_status s = gmx_cancel_use(t, one_in(a, 4) ? NULL : &before);
  if (!may_use(a)) {
    MAY(a, s, GMX_ENOTG, DOWN(a), a->sched ? GMX_ENOTG : GMX_ENOMEM);
    if (before != 77) LOST(a, "a token of before, and no goroutine");
    return;
  }
  MAY(a, s, GMX_OK, t ? GMX_ESTALE : GMX_OK, GMX_ENOMEM, DOWN(a));
  if (s == GMX_OK && before != 77 && before != a->token && (a->worker || before != 0))
    LOST(a, "the token of before is %#" PRIx64 ", not %#" PRIx64, before, a->token);
  if (s == GMX_OK) a->token = t;
  check_current(a);
}

/* ---- tokens ---- */

static void make(actor *a) {
  gmx_cancel t = 0, parent = token(a);
  gmx_status s = gmx_cancel_new(parent, one_in(a, 3) ? wait_for(a) - 1000 : GMX_FOREVER, &t);
  MAY(a, s, GMX_OK, parent ? GMX_ESTALE : GMX_OK, GMX_ENOMEM, DOWN(a));
  if ((s == GMX_OK) != (t != 0)) LOST(a, "a token is %#" PRIx64 ", and %s", t, gmx_err_name(s));
  if (s != GMX_OK) return;
  t = (gmx_cancel)atomic_exchange(&tokens[rnd(a, TOKENS)], t);
  if (t) MAY(a, gmx_cancel_free(t), GMX_OK, GMX_ESTALE, GMX_ENOMEM, DOWN(a));
}

static void cancels(actor *a, gmx_cancel t) {
  gmx_status s = gmx_cancel_now(t);
  MAY(a, s, GMX_OK, GMX_ESTALE, GMX_ENOMEM, DOWN(a));
  if (s != GMX_OK) return;
  if (!gmx_cancel_is_canceled(t)) LOST(a, "token %#" PRIx64 " was canceled, and is not", t);
}

/* A tree of tokens that no other actor knows. */
static void my_tree(actor *a) {
  gmx_cancel t[4], before = 0;
  gmx_status s = GMX_OK;
  size_t n = 0;
  if (!a->g || a->sched) return; /* the runtime stays up */
  for (; n < 4 && s == GMX_OK; n += s == GMX_OK) MAY(a, s = gmx_cancel_new(n ? t[rnd(a, n)] : 0, GMX_FOREVER, &t[n]), GMX_OK, GMX_ENOMEM);
  if (n == 4) {
    for (size_t i = 0; i < n; i++) {
      if (gmx_cancel_is_canceled(t[i])) LOST(a, "token %#" PRIx64 " is canceled", t[i]);
      IS(a, reason_of(t[i]), GMX_OK);
    }
    bool freed = one_in(a, 2);
    if (freed) IS(a, gmx_cancel_free(t[1]), GMX_OK);
    IS(a, gmx_cancel_use(t[3], &before), GMX_OK);
    if (before != a->token && (a->worker || before != 0))
      LOST(a, "the token of before is %#" PRIx64 ", not %#" PRIx64, before, a->token);
    a->token = before;
    IS(a, gmx_cancel_now(t[0]), GMX_OK);
    bool look = one_in(a, 2); /* a look helps the canceller */
    for (size_t i = 0; i < n && look; i++) {
      if (i == 1 && freed) continue; /* gone, unless it has children */
      if (!gmx_cancel_is_canceled(t[i])) LOST(a, "token %#" PRIx64 " was canceled, and is not", t[i]);
      IS(a, reason_of(t[i]), GMX_ECANCELED);
    }
    if (look) IS(a, reason_of(0), GMX_ECANCELED);
    uint32_t none = 0;
    gmx_status want = may_wait(a);
    if (want == GMX_OK) want = GMX_ECANCELED;
    IS(a, gmx_sleep(3600 * SECOND), want);
    IS(a, gmx_sema_acquire(&none), want);
    IS(a, gmx_select(NULL, 0, GMX_FOREVER, NULL), want);
    MAY(a, gmx_cancel_use(before, NULL), GMX_OK, before ? GMX_ESTALE : GMX_OK);
    if (gmx_cancel_current() != before) {
      IS(a, gmx_cancel_use(0, NULL), GMX_OK);
      a->token = 0;
    }
    if (freed) {
      IS(a, gmx_cancel_free(t[1]), GMX_ESTALE);
      t[1] = t[--n];
    }
  }
  while (n) IS(a, gmx_cancel_free(t[--n]), GMX_OK);
}

/* Once the answer is true it stays true, whatever happens to the token. */
static void once_canceled(actor *a, gmx_cancel t) {
  if (t == 0 || !gmx_cancel_is_canceled(t)) return;
  if (!gmx_cancel_is_canceled(t)) LOST(a, "token %#" PRIx64 " was canceled, and is not", t);
}

static void cancellation(actor *a) {
  gmx_cancel t = token(a), none;
  switch (rnd(a, 12)) {
    case 0:
    case 1: make(a); break;
    case 2: cancels(a, t); break;
    case 3: MAY(a, reason_of(t), GMX_OK, GMX_ECANCELED, GMX_ETIMEDOUT, GMX_EPIPE, GMX_ESTALE, GMX_ENOMEM, DOWN(a)); break;
    case 4: once_canceled(a, t); break;
    case 5: MAY(a, gmx_cancel_free(t), GMX_OK, GMX_ESTALE, GMX_ENOMEM, DOWN(a)); break;
    case 6: {
      IS(a, gmx_cancel_new(t, 1, NULL), GMX_EINVAL);
      MAY(a, gmx_cancel_now(0), GMX_ESTALE, GMX_ENOMEM, DOWN(a));
      MAY(a, gmx_cancel_free(0), GMX_ESTALE, GMX_ENOMEM, DOWN(a));
      MAY(a, gmx_cancel_new(~t, 1, &none), GMX_ESTALE, GMX_ENOMEM, DOWN(a));
      break;
    }
    case 7: check_current(a); break;
    case 8:
    case 9: use(a, 0); break; /* an actor under a canceled token does little, so it leaves the token often */
    case 10: my_tree(a); break;
    default: use(a, t);
  }
}

/* ---- scopes ---- */

/* A place holds one scope at a time; the record serves all scopes that it has held. */
typedef struct crew {
  atomic_ullong scope;
  atomic_long spawned, began, ended; /* of all scopes that this place has held */
  atomic_ullong seed;
} crew;

static crew crews[SCOPES];

static gmx_status in_scope(void *arg) {
  crew *r = arg;
  atomic_fetch_add(&r->began, 1);
  actor a = worker(atomic_fetch_add(&r->seed, 0x9e3779b97f4a7c15u), &r->ended);
  if (a.token == 0) LOST(&a, "it begins without its scope's token");
  a.depth = 2;
  keep(&a, gmx_self());
  steps(&a, 6);
  static const gmx_status results[] = {0, 0, 0, 5, GMX_EPERM, -7};
  gmx_status result = results[rnd(&a, 6)];
  worker_ends(&a);
  return result;
}

static gmx_status spawns(actor *a, gmx_scope scope, crew *r) {
  gmx_status s = gmx_scope_spawn(scope, in_scope, r);
  if (s == GMX_OK) atomic_fetch_add(&r->spawned, 1);
  else MAY(a, s, GMX_ESTALE, GMX_ENOMEM, DOWN(a));
  return s;
}

/* Tries to enter a scope. True: the caller is inside, and must leave it. */
static bool goes_inside(actor *a, gmx_scope scope, gmx_cancel *before) {
  gmx_cancel t = 0;
  *before = gmx_cancel_current();
  gmx_status s = gmx_scope_enter(scope);
  MAY(a, s, GMX_OK, GMX_EBUSY, GMX_EDEADLK, GMX_ESTALE, GMX_ENOMEM, DOWN(a));
  gmx_cancel now = gmx_cancel_current();
  if (s != GMX_OK) {
    if (now != *before) LOST(a, "not entered, and the current token is %#" PRIx64 ", not %#" PRIx64, now, *before);
    return false;
  }
  IS(a, gmx_scope_token(scope, &t), GMX_OK);
  if (now != t) LOST(a, "entered, and the current token is %#" PRIx64 ", not %#" PRIx64, now, t);
  IS(a, gmx_scope_enter(scope), GMX_EBUSY);
  return true;
}

/* Leaves a scope that the caller is inside. */
static void comes_out(actor *a, gmx_scope scope, gmx_cancel before) {
  gmx_status s, result = 7;
  if (one_in(a, 2)) {
    IS(a, gmx_scope_cancel(scope), GMX_OK);
    IS(a, gmx_sleep(3600 * SECOND), GMX_ECANCELED);
  }
  if (one_in(a, 4)) MAY(a, gmx_cancel_use(0, NULL), GMX_OK);
  while ((s = gmx_scope_leave(scope, one_in(a, 2) ? -1 : wait_for(a), &result)) != GMX_OK) MAY(a, s, GMX_ETIMEDOUT, GMX_ENOMEM);
  gmx_cancel now = gmx_cancel_current();
  if (now != before) LOST(a, "left, and the current token is %#" PRIx64 ", not %#" PRIx64, now, before);
}

/* Makes a scope that no other actor knows, fills it and leaves it. */
static void my_scope(actor *a) {
  crew mine;
  gmx_scope scope = 0;
  gmx_cancel t = 0, before = 0;
  gmx_status s, result = 7;
  if (!a->g || a->sched || crowded() || may_wait(a) != GMX_OK) return;
  memset(&mine, 0, sizeof mine);
  atomic_store(&mine.seed, next_random(&a->seed));
  s = gmx_scope_new(one_in(a, 2) ? wait_for(a) : GMX_FOREVER, &scope);
  MAY(a, s, GMX_OK, GMX_ENOMEM);
  if (s != GMX_OK) return;
  bool inside = one_in(a, 2) && goes_inside(a, scope, &before);
  for (uint64_t n = rnd(a, 5); n > 0; n--) spawns(a, scope, &mine);
  IS(a, gmx_scope_token(scope, &t), GMX_OK);
  if (one_in(a, 3)) {
    IS(a, gmx_scope_cancel(scope), GMX_OK);
    if (!gmx_cancel_is_canceled(t)) LOST(a, "the token %#" PRIx64 " of a scope was canceled, and is not", t);
  }
  if (inside) {
    if (one_in(a, 2)) {
      gmx_scope inner = 0;
      gmx_cancel outer = 0;
      MAY(a, s = gmx_scope_new(GMX_FOREVER, &inner), GMX_OK, GMX_ENOMEM);
      if (s == GMX_OK && goes_inside(a, inner, &outer)) comes_out(a, inner, outer);
      else if (s == GMX_OK) IS(a, gmx_scope_leave(inner, GMX_FOREVER, NULL), GMX_OK);
    }
    comes_out(a, scope, before);
    result = 0;
  } else {
    while ((s = gmx_scope_leave(scope, one_in(a, 2) ? -1 : wait_for(a), &result)) != GMX_OK) MAY(a, s, GMX_ETIMEDOUT, GMX_ENOMEM);
  }
  long spawned = atomic_load(&mine.spawned), ended = atomic_load(&mine.ended);
  if (atomic_load(&mine.began) != spawned || ended != spawned || result > 0)
    LOST(a, "%ld were spawned, %ld began, and %ld have ended; it says %d", spawned, atomic_load(&mine.began), ended, (int)result);
  IS(a, gmx_scope_leave(scope, 0, &result), GMX_ESTALE);
  MAY(a, gmx_scope_spawn(scope, in_scope, &mine), GMX_ESTALE);
}

static void scoped(actor *a) {
  crew *r = &crews[rnd(a, SCOPES)];
  gmx_scope h = (gmx_scope)atomic_load(&r->scope), made = 0;
  gmx_cancel t = 0;
  gmx_status s, result = 7;
  switch (rnd(a, 9)) {
    case 0:
      if (h || crowded()) break;
      s = gmx_scope_new(one_in(a, 3) ? wait_for(a) : GMX_FOREVER, &made);
      if (a->sched) {
        MAY(a, s, GMX_ENOTG);
        break;
      }
      MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
      if (s != GMX_OK) break;
      if (made == 0) LOST(a, "a scope is 0");
      unsigned long long none = 0;
      if (atomic_compare_exchange_strong(&r->scope, &none, made)) break;
      if (may_wait(a) == GMX_OK && a->g) IS(a, gmx_scope_leave(made, GMX_FOREVER, NULL), GMX_OK);
      break; /* or it would stay forever without an owner */
    case 1:
    case 2:
      if (!crowded()) spawns(a, h, r);
      break;
    case 3: MAY(a, gmx_scope_cancel(h), GMX_OK, GMX_ESTALE, GMX_ENOMEM, DOWN(a)); break;
    case 4:
      IS(a, gmx_scope_new(1, NULL), GMX_EINVAL);
      IS(a, gmx_scope_spawn(h, NULL, a), GMX_EINVAL);
      IS(a, gmx_scope_token(h, NULL), GMX_EINVAL);
      s = gmx_scope_token(h, &t);
      MAY(a, s, GMX_OK, GMX_ESTALE, GMX_ENOMEM, DOWN(a));
      if ((s == GMX_OK) != (t != 0)) LOST(a, "the token of a scope is %#" PRIx64, t);
      if (t && one_in(a, 8)) MAY(a, gmx_cancel_free(t), GMX_OK, GMX_ESTALE);
      break;
    case 5: my_scope(a); break;
    case 6:
      if (!a->g || a->sched || may_wait(a) != GMX_OK) {
        if (!may_use(a)) MAY(a, gmx_scope_enter(h), GMX_ENOTG, DOWN(a), a->sched ? GMX_ENOTG : GMX_ENOMEM);
      } else if (goes_inside(a, h, &t)) {
        comes_out(a, h, t);
        atomic_compare_exchange_strong(&r->scope, &h, 0);
      }
      break;
    default:
      s = gmx_scope_leave(h, one_in(a, 2) ? 0 : wait_for(a), &result);
      WAITS_ON(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_EBUSY, GMX_EPERM, GMX_EDEADLK, GMX_ESTALE, GMX_ENOMEM, DOWN(a));
      if ((s == GMX_OK) != (result <= 0)) LOST(a, "left, %s, and it says %d", gmx_err_name(s), (int)result);
      if (s == GMX_OK) atomic_compare_exchange_strong(&r->scope, &h, 0);
  }
}

/* ---- the end ---- */

/* When no other actor is left. */
static void free_cancels(actor *a) {
  for (int i = 0; i < TOKENS; i++) {
    gmx_cancel t = (gmx_cancel)atomic_exchange(&tokens[i], 0);
    if (t) MAY(a, gmx_cancel_free(t), GMX_OK, GMX_ESTALE);
  }
  for (int i = 0; i < SCOPES; i++) {
    crew *r = &crews[i];
    gmx_scope h = (gmx_scope)atomic_exchange(&r->scope, 0);
    if (h) IS(a, gmx_scope_leave(h, 30 * SECOND, NULL), GMX_OK);
    long spawned = atomic_load(&r->spawned), began = atomic_load(&r->began), ended = atomic_load(&r->ended);
    if (spawned != began || began != ended) LOST(a, "%ld were spawned, %ld began, and %ld have ended", spawned, began, ended);
  }
}

#endif /* GOMAX_FUZZ_CANCELS_H */
