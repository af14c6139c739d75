/* The actor of a call, its context, and the statuses that the call may return there. */
#ifndef GOMAX_FUZZ_ACTOR_H
#define GOMAX_FUZZ_ACTOR_H

#include "../gs.h"
#include "../seed.h"

#include <limits.h>
#include <stdatomic.h>

/* A G, a thread, or code in a context that is neither (a scheduler's callback), and what the model knows of it. */
typedef struct actor {
  uint64_t seed;
  int depth;     /* of nested contexts */
  bool worker;   /* on a G that the library made: it may end itself */
  bool g;        /* on a goroutine of any kind */
  bool attached; /* its thread is attached */
  int callbacks; /* number of nested callbacks */
  bool syscall, stopped, sched;
  int pins;
  int32_t p; /* the P that it is pinned to */
  long moves;
  gmx_cancel token;   /* the current token */
  int onces;          /* number of onces whose function it is inside */
  atomic_long *ended; /* incremented at its end, however it ends */
} actor;

enum where { ON_G, IN_SYSCALL, FOREIGN, SCHEDULER, STOPPED };

static enum where where(const actor *a) {
  return a->sched ? SCHEDULER : a->stopped ? STOPPED : a->syscall ? IN_SYSCALL : a->g ? ON_G : FOREIGN;
}

static uint64_t the_seed;
static atomic_int quit;
static atomic_long actors; /* that have begun */
static atomic_long gone;   /* that have ended */
static atomic_long downs;  /* how often the runtime was brought down meanwhile */
static bool few_threads;   /* then no actor keeps a thread: an actor that waits there for others would wait forever */

static long alive(void) { return atomic_load(&actors) - atomic_load(&gone); }

#define LOST(a, ...)                                                                                              \
  (check_say("seed %" PRIu64 ": depth %d, %s%s%s%s%s%s%s, %d callbacks, %d pins, %d onces", the_seed, (a)->depth, \
             (a)->worker ? "worker " : "thread ", (a)->g ? "G " : "", (a)->attached ? "attached " : "",           \
             (a)->syscall ? "syscall " : "", (a)->stopped ? "stopped " : "", (a)->sched ? "scheduler " : "",      \
             (a)->token ? "token" : "", (a)->callbacks, (a)->pins, (a)->onces),                                   \
   FAIL(__VA_ARGS__))

static uint64_t rnd(actor *a, uint64_t below) { return random_below(&a->seed, below); }
static bool one_in(actor *a, uint64_t n) { return rnd(a, n) == 0; }
static int64_t moment(actor *a) { return (int64_t)rnd(a, 200000) - 1; }
static int64_t wait_for(actor *a) { return (int64_t)rnd(a, 400000); }

/* ---- the statuses that a call may return ---- */

static void among(const actor *a, const char *in, const char *what, gmx_status got, const gmx_status *may) {
  for (; *may <= 0; may++)
    if (*may == got) return;
  LOST(a, "%s: %s is %s (%d)", in, what, gmx_err_name(got), (int)got);
}
#define MAY(a, expr, ...) among(a, __func__, #expr, (expr), (const gmx_status[]){__VA_ARGS__, 1})
/* A call that returns 1, 0 or an error. */
static gmx_status yes_is_ok(gmx_status s) { return s == 1 ? GMX_OK : s; }
#define YES_OR_NO(a, expr, ...) among(a, __func__, #expr, yes_is_ok(expr), (const gmx_status[]){GMX_OK, __VA_ARGS__, 1})
#define IS(a, expr, want)                                                                                      \
  do {                                                                                                         \
    gmx_status is_got = (expr), is_want = (want);                                                              \
    if (is_got != is_want)                                                                                     \
      LOST(a, "%s is %s (%d), not %s (%d)", #expr, gmx_err_name(is_got), (int)is_got, gmx_err_name(is_want), (int)is_want); \
  } while (0)

/* The status of a call that may wait and is valid otherwise. GMX_OK: it waits. */
static gmx_status may_wait(const actor *a) {
  switch (where(a)) {
    case ON_G: return a->pins ? GMX_ENOTG : GMX_OK;
    case FOREIGN: return GMX_OK;
    case IN_SYSCALL: return GMX_EINSYSCALL;
    default: return GMX_ENOTG;
  }
}

/* For a thread outside of the runtime the runtime may be ending. */
#define DOWN(a) ((a)->g ? GMX_OK : GMX_ESHUTDOWN)
/* Under a token a wait may be canceled. */
#define CANCELED(a) ((a)->token ? GMX_ECANCELED : GMX_OK)

/* A call that waits and honors a token: the statuses that it may return, or the status where it may not wait. */
#define WAITS(a, expr, ...) WAITS_ON(a, expr, CANCELED(a), __VA_ARGS__)
/* A call that waits and honors no token. */
#define WAITS_ON(a, expr, ...)                             \
  do {                                                     \
    gmx_status waits_want = may_wait(a);                   \
    if (waits_want != GMX_OK) IS(a, expr, waits_want);     \
    else MAY(a, expr, __VA_ARGS__);                        \
  } while (0)

/* ---- known Gs ---- */

#define HANDLES 512
static atomic_ullong handles[HANDLES]; /* of Gs, dead or alive */

static gmx_g handle(actor *a) {
  switch (rnd(a, 12)) {
    case 0: return 0;
    case 1: return next_random(&a->seed);
    case 2: return gmx_self();
    default: return (gmx_g)atomic_load(&handles[rnd(a, HANDLES)]);
  }
}
static void keep(actor *a, gmx_g g) {
  if (g) atomic_store(&handles[rnd(a, HANDLES)], g);
}

/* ---- the steps of an actor ---- */

static void step(actor *a);
static void steps(actor *a, uint64_t most) {
  if (a->depth > 5) return;
  a->depth++;
  for (uint64_t n = rnd(a, most + 1); n > 0; n--) step(a);
  a->depth--;
}

#endif /* GOMAX_FUZZ_ACTOR_H */
