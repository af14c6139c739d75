/* Sleeps, and timers of all kinds: a firing comes once or was prevented, and no time is from before the last reset. */
#ifndef GOMAX_FUZZ_TIMERS_H
#define GOMAX_FUZZ_TIMERS_H

#include "../objects.h"
#include "goroutines.h"

#define TIMERS 32

/* A timer that calls a function once each time that it is set. */
typedef struct bell {
  atomic_ullong timer; /* 0: none, or not yet published */
  atomic_long set, prevented, calls;
  atomic_ullong seed;
} bell;

static bell bells[TIMERS];
static atomic_ullong tickers[TIMERS];
static atomic_long ticks;
static atomic_long unnamed_set, unnamed_calls; /* of timers without a handle */

/* ---- functions ---- */

static void rings(void *arg) {
  bell *t = arg;
  long calls = atomic_fetch_add(&t->calls, 1) + 1;
  actor a = worker(atomic_fetch_add(&t->seed, 0x9e3779b97f4a7c15u), NULL);
  if (a.token) LOST(&a, "a timer's goroutine begins with a token");
  if (calls > atomic_load(&t->set)) LOST(&a, "set %ld times, and called %ld times", atomic_load(&t->set), calls);
  a.depth = 3;
  if (!crowded()) steps(&a, 3);
  worker_ends(&a);
}

static void rings_unnamed(void *arg) {
  (void)arg;
  atomic_fetch_add(&unnamed_calls, 1);
}

static void ticks_away(void *arg) {
  (void)arg;
  atomic_fetch_add(&ticks, 1);
}

/* ---- once ---- */

/* Counts the result of a stop or a reset. It counts after the call, so for a moment more firings seem due than are. */
static void prevents(actor *a, bell *t, const char *what, gmx_status s) {
  if (s == 1) atomic_fetch_add(&t->prevented, 1);
  else if (s != 0 && s != GMX_ESTALE && s != GMX_ENOMEM && s != DOWN(a)) LOST(a, "%s is %s", what, gmx_err_name(s));
}

static void calls_once(actor *a) {
  bell *t = &bells[rnd(a, TIMERS)];
  gmx_timer h = (gmx_timer)atomic_load(&t->timer), made = 0;
  gmx_status s;
  int64_t delay = one_in(a, 6) ? GMX_FOREVER : wait_for(a) - 1000;
  switch (rnd(a, 6)) {
    case 0:
    case 1:
      if (h || crowded()) break;
      atomic_fetch_add(&t->set, delay != GMX_FOREVER);
      s = gmx_after_func(delay, rings, t, &made);
      MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
      if (s != GMX_OK) {
        if (delay != GMX_FOREVER) atomic_fetch_sub(&t->set, 1);
        break;
      }
      if (made == 0) LOST(a, "a timer is 0");
      unsigned long long none = 0;
      if (atomic_compare_exchange_strong(&t->timer, &none, made)) break;
      s = timer_free(made);
      if (s == GMX_ESTALE) LOST(a, "a timer is freed before its handle was stored");
      prevents(a, t, "gmx_timer_free", s);
      break;
    case 2:
      if (!atomic_compare_exchange_strong(&t->timer, &h, 0)) break; /* only one actor frees it, so no reset of ours comes too late */
      prevents(a, t, "gmx_timer_free", timer_free(h));
      break;
    case 3: prevents(a, t, "gmx_timer_stop", timer_stop(h)); break;
    default:
      if (crowded()) break;
      atomic_fetch_add(&t->set, delay != GMX_FOREVER);
      s = timer_reset(h, delay, 0);
      if (s < 0 && delay != GMX_FOREVER) atomic_fetch_sub(&t->set, 1);
      prevents(a, t, "gmx_timer_reset", s);
  }
}

/* ---- again and again ---- */

static void calls_again(actor *a) {
  atomic_ullong *place = &tickers[rnd(a, TIMERS)];
  gmx_timer h = (gmx_timer)atomic_load(place), made = 0;
  gmx_chan *c = NULL;
  gmx_status s;
  int64_t period = 20000 + wait_for(a);
  switch (rnd(a, 8)) {
    case 0:
    case 1:
      if (h || crowded()) break;
      if (one_in(a, 2)) s = gmx_after_func(one_in(a, 2) ? -1 : period, ticks_away, NULL, &made);
      else s = one_in(a, 2) ? gmx_ticker_new(period, &made, &c) : gmx_timer_new(wait_for(a), period, &made, &c);
      MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
      if (s != GMX_OK) break;
      if (c) {
        int64_t when = 0;
        for (uint64_t n = rnd(a, 3); n > 0 && may_wait(a) == GMX_OK; n--)
          if (gmx_chan_recv_timeout(c, &when, wait_for(a)) == GMX_OK && when > gmx_now()) LOST(a, "a time that is to come");
        do MAY(a, s = gmx_chan_free(c), GMX_OK, GMX_ENOMEM, DOWN(a)); /* the timer has one more */
        while (s != GMX_OK);
      }
      made = (gmx_timer)atomic_exchange(place, made);
      if (made) YES_OR_NO(a, timer_free(made), GMX_ESTALE, GMX_ENOMEM, DOWN(a));
      break;
    case 2: {
      gmx_status got = timer_free(h);
      YES_OR_NO(a, got, GMX_ESTALE, GMX_ENOMEM, DOWN(a));
      if (got >= 0) atomic_compare_exchange_strong(place, &h, 0);
      break;
    }
    case 3:
      IS(a, gmx_after_func(1, NULL, a, &made), GMX_EINVAL);
      IS(a, gmx_after_func(GMX_FOREVER, rings_unnamed, NULL, NULL), GMX_EINVAL);
      IS(a, gmx_timer_new(0, -1, &made, &c), GMX_EINVAL);
      IS(a, gmx_timer_new(0, 0, NULL, &c), GMX_EINVAL);
      IS(a, gmx_ticker_new(0, &made, &c), GMX_EINVAL);
      IS(a, timer_reset(h, 1, -1), GMX_EINVAL);
      IS(a, ticker_reset(h, 0), GMX_EINVAL);
      MAY(a, timer_stop(0), GMX_ESTALE, DOWN(a), GMX_ENOMEM);
      MAY(a, timer_free(next_random(&a->seed)), GMX_ESTALE, DOWN(a), GMX_ENOMEM);
      break;
    case 4: s = timer_stop(h); goto known;
    case 5: s = timer_reset(h, wait_for(a), period); goto known;
    default: s = ticker_reset(h, period);
    known:
      YES_OR_NO(a, s, GMX_ESTALE, GMX_ENOMEM, DOWN(a));
  }
}

/* ---- a timer of the actor's own ---- */

/* No other actor knows this timer, so this actor knows each time that it sends. */
static void my_own(actor *a) {
  gmx_timer t;
  gmx_chan *c;
  if (!a->g || a->sched) return; /* the runtime stays up */
  int64_t begin = gmx_now(), delay = (int64_t)rnd(a, 100000), when = 0;
  gmx_status s = gmx_timer_new(delay, one_in(a, 2) ? 20000 : 0, &t, &c);
  MAY(a, s, GMX_OK, GMX_ENOMEM);
  if (s != GMX_OK) return;
  for (uint64_t n = rnd(a, 4); n > 0; n--) {
    if (may_wait(a) == GMX_OK) MAY(a, s = gmx_chan_recv_timeout(c, &when, wait_for(a)), GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, CANCELED(a));
    else MAY(a, s = gmx_chan_try_recv(c, &when), GMX_OK, GMX_EAGAIN);
    if (s == GMX_OK && (when < begin + delay || when > gmx_now()))
      LOST(a, "set for %" PRId64 ", received %" PRId64 " at %" PRId64, begin + delay, when, gmx_now());
    if (one_in(a, 2)) continue;
    begin = gmx_now();
    delay = (int64_t)rnd(a, 100000);
    s = timer_reset(t, delay, one_in(a, 2) ? 30000 : 0);
    YES_OR_NO(a, s, GMX_ENOMEM);
    if (s < 0) break;
  }
  s = timer_stop(t);
  YES_OR_NO(a, s, GMX_OK);
  IS(a, gmx_chan_try_recv(c, &when), GMX_EAGAIN);
  IS(a, timer_stop(t), 0);
  bool channel_first = one_in(a, 2);
  if (channel_first) IS(a, gmx_chan_free(c), GMX_OK);
  IS(a, timer_free(t), 0);
  IS(a, timer_free(t), GMX_ESTALE);
  if (channel_first) return;
  IS(a, gmx_chan_try_recv(c, &when), GMX_EAGAIN);
  IS(a, gmx_chan_free(c), GMX_OK);
}

/* ---- all calls ---- */

static void timers(actor *a) {
  gmx_status s;
  switch (rnd(a, 8)) {
    case 0:
      if (crowded()) break;
      atomic_fetch_add(&unnamed_set, 1);
      s = gmx_after_func(moment(a) + 1, rings_unnamed, NULL, NULL);
      MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
      if (s != GMX_OK) atomic_fetch_sub(&unnamed_set, 1);
      break;
    case 1: my_own(a); break;
    case 2:
    case 3: calls_again(a); break;
    case 4: WAITS(a, gmx_sleep(moment(a)), GMX_OK, GMX_ENOMEM, DOWN(a)); break;
    default: calls_once(a);
  }
}

/* At the end, from a foreign thread, when no other actor is left: disarms all timers. */
static void free_timers(actor *a) {
  for (int i = 0; i < TIMERS; i++) {
    gmx_timer h = (gmx_timer)atomic_exchange(&tickers[i], 0);
    if (h) timer_free(h);
    h = (gmx_timer)atomic_exchange(&bells[i].timer, 0);
    if (h) prevents(a, &bells[i], "gmx_timer_free", timer_free(h));
  }
}

static bool timers_are_done(void) {
  return atomic_load(&downs) != 0 || atomic_load(&unnamed_set) == atomic_load(&unnamed_calls);
}

/* When no other actor is left. An end of the runtime has stopped all timers that were set. */
static void check_timers(actor *a) {
  for (int i = 0; i < TIMERS; i++) {
    bell *t = &bells[i];
    long due = atomic_load(&t->set) - atomic_load(&t->prevented), calls = atomic_load(&t->calls);
    if (atomic_load(&downs) ? calls > due : calls != due)
      LOST(a, "a timer was set %ld times, %ld were prevented, and %ld calls came", atomic_load(&t->set), atomic_load(&t->prevented), calls);
  }
  if (atomic_load(&unnamed_calls) > atomic_load(&unnamed_set)) LOST(a, "more calls than timers");
}

#endif /* GOMAX_FUZZ_TIMERS_H */
