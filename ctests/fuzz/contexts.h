/* Contexts in contexts: callbacks, blocking calls, the function of a barrier, the commit of a park, destructors. */
#ifndef GOMAX_FUZZ_CONTEXTS_H
#define GOMAX_FUZZ_CONTEXTS_H

#include "states.h"

static void in_callback(void *arg) {
  actor *a = arg;
  steps(a, 4);
}

static void in_callback_tidy(void *arg) {
  actor *a = arg;
  steps(a, 4);
  tidy(a);
}

/* From a syscall or a foreign thread a callback may leave brackets open: the library closes them when it returns. */
static void in_callback_untidy(void *arg) {
  actor *a = arg;
  steps(a, 4);
  unpins(a);
  starts(a);
}

static void callback(actor *a) {
  if (a->depth > 4) return;
  if (one_in(a, 30)) IS(a, gmx_callback(NULL, a), GMX_EINVAL);
  enum where at = where(a);
  if (at == IN_SYSCALL && few_threads) return;
  if (at == ON_G) {
    a->callbacks++;
    IS(a, gmx_callback(in_callback, a), GMX_OK);
    a->callbacks--;
  } else if (at == IN_SYSCALL || at == FOREIGN) {
    actor inner = *a;
    inner.callbacks++;
    inner.syscall = false;
    inner.g = true;
    gmx_status s = gmx_callback(one_in(a, 2) ? in_callback_tidy : in_callback_untidy, &inner);
    MAY(a, s, GMX_OK, at == FOREIGN ? GMX_ENOMEM : GMX_OK, DOWN(a));
    a->seed = inner.seed;
    a->token = inner.token;
  } else {
    IS(a, gmx_callback(in_callback, a), GMX_ENOTG);
  }
}

static void in_blocking(void *arg) {
  actor *a = arg;
  if (one_in(a, 3)) thread_nap(moment(a));
  steps(a, 3);
}

static void blocking(actor *a) {
  if (a->depth > 4) return;
  if (may_wait(a) != GMX_OK) {
    IS(a, gmx_blocking(in_blocking, a), may_wait(a));
    return;
  }
  bool g = a->g;
  if (g) a->syscall = true;
  IS(a, gmx_blocking(in_blocking, a), GMX_OK);
  if (g && !a->stopped) a->syscall = false; /* whichever call left it, and whatever followed */
}

typedef struct barrier_call {
  atomic_ullong seed;
  atomic_int times[MOST_PS];
} barrier_call;

static void in_scheduler(uint64_t seed, bool attached) {
  actor a;
  memset(&a, 0, sizeof a);
  a.seed = seed;
  a.sched = true;
  a.attached = attached;
  a.depth = 3;
  steps(&a, 3);
  unpins(&a);
}

static void in_barrier(void *arg) {
  barrier_call *c = arg;
  int32_t p = gmx_pin();
  CHECK(p >= 0 && p < MOST_PS);
  CHECK_EQ(atomic_fetch_add(&c->times[p], 1), 0);
  CHECK_EQ(atomic_load(&pinned[p]), 0);
  CHECK_EQ(atomic_load(&worlds), 0);
  CHECK_OK(gmx_unpin());
  in_scheduler(atomic_fetch_add(&c->seed, 0x9e3779b97f4a7c15u), true);
  gmx_unpin(); /* one too many, or one of the pins that were left */
}

static void barrier(actor *a) {
  if (one_in(a, 30)) IS(a, gmx_for_each_p(NULL, a), GMX_EINVAL);
  barrier_call *c = calloc(1, sizeof *c);
  CHECK(c != NULL);
  atomic_store(&c->seed, next_random(&a->seed));
  gmx_status want = may_wait(a), s = gmx_for_each_p(in_barrier, c);
  if (want != GMX_OK) IS(a, s, want);
  else MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
  int n = 0;
  while (n < MOST_PS && atomic_load(&c->times[n])) n++;
  if ((s == GMX_OK) != (n > 0)) LOST(a, "a barrier over %d Ps is %s", n, gmx_err_name(s));
  for (int i = n; i < MOST_PS; i++) CHECK_EQ(atomic_load(&c->times[i]), 0);
  free(c);
}

/* Room for the handles of parked Gs. */
static atomic_ullong parked[HANDLES];
#define CLAIMED (~0ull)

typedef struct commit_call {
  uint64_t seed;
  atomic_ullong *room;
} commit_call;

static bool commits(void *arg, gmx_g g) {
  commit_call c = *(commit_call *)arg; /* a copy: once the handle is published the G may run */
  CHECK(g != 0);
  if (c.seed % 2 == 0) in_scheduler(c.seed, true);
  if (c.seed % 3) atomic_store(c.room, g);
  return c.seed % 3 == 1; /* a veto otherwise, also after the handle is published */
}

static void park(actor *a) {
  commit_call c = {next_random(&a->seed), &parked[rnd(a, HANDLES)]};
  unsigned long long empty = 0;
  if (!atomic_compare_exchange_strong(c.room, &empty, CLAIMED)) return;
  if (one_in(a, 6) && a->g && may_wait(a) == GMX_OK) {
    atomic_store(c.room, gmx_self());
    MAY(a, gmx_park(NULL, NULL, NULL), GMX_OK, CANCELED(a));
  } else {
    const char *reason = one_in(a, 2) ? "a reason" : NULL;
    gmx_status s = one_in(a, 2) ? gmx_park(commits, &c, reason) : gmx_park_timeout(commits, &c, reason, wait_for(a));
    WAITS(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
  }
  atomic_store(c.room, 0);
}

static void destroys(void *value) {
  actor a;
  memset(&a, 0, sizeof a);
  a.seed = (uintptr_t)value;
  a.g = true;
  a.attached = true;
  a.callbacks = 1;
  a.depth = 4;
  a.token = gmx_cancel_current();
  CHECK(gmx_goid() != 0);
  steps(&a, 3);
  tidy(&a);
}

#endif /* GOMAX_FUZZ_CONTEXTS_H */
