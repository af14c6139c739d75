/* The whole interface in random order, with right and with wrong arguments, from every context and from contexts within
 * contexts: Gs, attached threads, threads of the host, syscalls, callbacks, the function of a barrier, the commit of a park,
 * a stopped world, the destructor of a key. Whatever is called gives one of the statuses that it may give there, nothing
 * hangs, and a runtime comes to its end.
 *
 *   fuzz [seed [seconds]]          or GMX_SEED=seed
 *
 * ctests/stress/fuzz.c is the same for GMX_STRESS minutes. A seed fixes the programs, not how they meet. Each runs in a child of its own, which has a time limit. */
/* timeout: 120 */
#include "child.h"
#include "gs.h"
#include "places.h"

#include <limits.h>

#ifndef FUZZ_SECONDS
#define FUZZ_SECONDS (getenv("GMX_SEED") ? 0 : 5.0) /* a seed by itself is one program */
#endif

/* ---- who acts, and where ---- */

typedef struct actor {
  uint64_t seed;
  int depth;      /* of contexts in contexts */
  bool worker;    /* on a G that the library made: it may end itself */
  bool g;         /* on a goroutine of any kind */
  bool attached;  /* its thread is */
  int callbacks;  /* in so many */
  bool syscall, stopped, sched;
  int pins;
  int32_t p; /* pinned to */
  long moves;
} actor;

enum where { ON_G, IN_SYSCALL, FOREIGN, SCHEDULER, STOPPED };

static enum where where(const actor *a) {
  return a->sched ? SCHEDULER : a->stopped ? STOPPED : a->syscall ? IN_SYSCALL : a->g ? ON_G : FOREIGN;
}

static uint64_t the_seed;
static atomic_int quit;
static atomic_long actors; /* that have not ended */

#define LOST(a, ...)                                                                                              \
  (check_say("seed %" PRIu64 ": depth %d, %s%s%s%s%s%s, %d callbacks, %d pins", the_seed, (a)->depth,             \
             (a)->worker ? "worker " : "thread ", (a)->g ? "G " : "", (a)->attached ? "attached " : "",           \
             (a)->syscall ? "syscall " : "", (a)->stopped ? "stopped " : "", (a)->sched ? "scheduler" : "",       \
             (a)->callbacks, (a)->pins),                                                                          \
   FAIL(__VA_ARGS__))

static uint64_t rnd(actor *a, uint64_t below) { return (gs_random(&a->seed) >> 11) % below; }
static bool one_in(actor *a, uint64_t n) { return rnd(a, n) == 0; }

/* ---- what may come back ---- */

static void among(const actor *a, const char *what, gmx_status got, const gmx_status *may) {
  for (; *may <= 0; may++)
    if (*may == got) return;
  LOST(a, "%s is %s (%d)", what, gmx_err_name(got), (int)got);
}
#define MAY(a, expr, ...) among(a, #expr, (expr), (const gmx_status[]){__VA_ARGS__, 1})
#define IS(a, expr, want)                                                                                  \
  do {                                                                                                     \
    gmx_status is_got = (expr), is_want = (want);                                                          \
    if (is_got != is_want) LOST(a, "%s is %s, not %s", #expr, gmx_err_name(is_got), gmx_err_name(is_want)); \
  } while (0)

/* What a call gives that may wait and has nothing else to complain of; GMX_OK: it waits. */
static gmx_status may_wait(const actor *a) {
  switch (where(a)) {
    case ON_G: return a->pins ? GMX_ENOTG : GMX_OK;
    case FOREIGN: return GMX_OK;
    case IN_SYSCALL: return GMX_EINSYSCALL;
    default: return GMX_ENOTG;
  }
}

/* A call that waits: what it may give, or what it gives where it may not. */
#define WAITS(a, expr, ...)                                \
  do {                                                     \
    gmx_status waits_want = may_wait(a);                   \
    if (waits_want != GMX_OK) IS(a, expr, waits_want);     \
    else MAY(a, expr, __VA_ARGS__);                        \
  } while (0)

/* The runtime may be ending for a thread that is not in it. */
#define DOWN(a) ((a)->g ? GMX_OK : GMX_ESHUTDOWN)

/* ---- what is shared ---- */

#define SEMAS 6
#define MUTEXES 64
#define GROUPS 3
#define HANDLES 512
#define KEYS 16
#define MOST_PS 4096
#define FEW_PS 24

static uint32_t semas[SEMAS + 1];
static gmx_mutex mutexes[MUTEXES];
static atomic_uint mutex_at;
static gmx_waitgroup groups[GROUPS];
static atomic_ullong handles[HANDLES]; /* of Gs, dead or alive */
static atomic_uint keys[KEYS], p_keys[KEYS];
static atomic_int pinned[MOST_PS]; /* P by P: whether somebody is pinned there */
static atomic_long moves;          /* made with a P */
static atomic_int worlds;          /* stopped: one at most */
static int nowhere;
static bool few_threads; /* then nobody keeps one to himself: who waits there for others waits for ever */

static gmx_g handle(actor *a) {
  switch (rnd(a, 12)) {
    case 0: return 0;
    case 1: return gs_random(&a->seed);
    case 2: return gmx_self();
    default: return (gmx_g)atomic_load(&handles[rnd(a, HANDLES)]);
  }
}
static void keep(actor *a, gmx_g g) {
  if (g) atomic_store(&handles[rnd(a, HANDLES)], g);
}
static uint32_t *sema(actor *a) { return &semas[rnd(a, SEMAS)]; }
static gmx_mutex *mutex(actor *a) { return &mutexes[(atomic_load(&mutex_at) + rnd(a, 3)) % MUTEXES]; }
static gmx_waitgroup *group(actor *a) { return &groups[rnd(a, GROUPS)]; }
static int64_t moment(actor *a) { return (int64_t)rnd(a, 200000) - 1; }
static int64_t wait_for(actor *a) { return (int64_t)rnd(a, 400000); }

static void step(actor *a);
static void steps(actor *a, uint64_t most) {
  if (a->depth > 5) return;
  a->depth++;
  for (uint64_t n = rnd(a, most + 1); n > 0; n--) step(a);
  a->depth--;
}

/* ---- states that last ---- */

static void pin(actor *a) {
  int32_t p = gmx_pin();
  switch (where(a)) {
    case IN_SYSCALL: IS(a, p, GMX_EINSYSCALL); return;
    case FOREIGN: IS(a, p, GMX_ENOTG); return;
    case STOPPED:
      if (!a->g) {
        IS(a, p, GMX_ENOTG);
        return;
      }
      break;
    case SCHEDULER:
      if (p == GMX_ENOTG) return; /* the commit of a thread that has no P */
      break;
    case ON_G: break;
  }
  if (p < 0 || p >= MOST_PS) LOST(a, "pinned to %d", (int)p);
  if (a->pins == 0) {
    a->p = p;
    if (atomic_exchange(&pinned[p], 1)) LOST(a, "two on P %d", (int)p);
  } else if (a->p != p) {
    LOST(a, "pinned to P %d, and now to %d", (int)a->p, (int)p);
  }
  a->pins++;
}

/* Before a pin ends by itself. */
static void unpins(actor *a) {
  if (a->pins) atomic_store(&pinned[a->p], 0);
  a->pins = 0;
}

static void unpin(actor *a) {
  if (where(a) == IN_SYSCALL) {
    IS(a, gmx_unpin(), GMX_EINSYSCALL);
    return;
  }
  if (a->pins == 0) {
    IS(a, gmx_unpin(), GMX_EPERM);
    return;
  }
  if (a->pins == 1) atomic_store(&pinned[a->p], 0);
  a->pins--;
  IS(a, gmx_unpin(), GMX_OK);
}

static void stop(actor *a) {
  gmx_status want = may_wait(a), s;
  bool limited = one_in(a, 2);
  s = limited ? gmx_stop_the_world_timeout(one_in(a, 2) ? "fuzz" : NULL, wait_for(a)) : gmx_stop_the_world("fuzz");
  if (want != GMX_OK) {
    IS(a, s, want);
    return;
  }
  MAY(a, s, GMX_OK, limited ? GMX_ETIMEDOUT : GMX_OK, GMX_ENOMEM, DOWN(a));
  if (s != GMX_OK) return;
  a->stopped = true;
  if (atomic_fetch_add(&worlds, 1) != 0) LOST(a, "two have stopped the world");
  a->moves = atomic_load(&moves);
}

/* Before the world starts. */
static void starts(actor *a) {
  if (!a->stopped) return;
  if (atomic_load(&moves) != a->moves) LOST(a, "somebody moved in a stopped world");
  atomic_fetch_sub(&worlds, 1);
  a->stopped = false;
}

static void start(actor *a) {
  if (where(a) != STOPPED) {
    IS(a, gmx_start_the_world(), GMX_EPERM);
    return;
  }
  starts(a);
  IS(a, gmx_start_the_world(), GMX_OK);
}

static void enter_syscall(actor *a) {
  gmx_status s = one_in(a, 3) ? gmx_enter_syscall_blocking() : gmx_enter_syscall();
  if (where(a) == ON_G && a->pins == 0) {
    IS(a, s, GMX_OK);
    a->syscall = true;
  } else {
    IS(a, s, where(a) == IN_SYSCALL ? GMX_EINSYSCALL : GMX_ENOTG);
  }
}

static void exit_syscall(actor *a) {
  bool was = where(a) == IN_SYSCALL;
  if (was) a->syscall = false;
  IS(a, gmx_exit_syscall(), was ? GMX_OK : GMX_EPERM);
}

static void attach(actor *a) {
  gmx_status s = gmx_attach_thread();
  switch (where(a)) {
    case FOREIGN:
      MAY(a, s, GMX_OK, GMX_ENOMEM, GMX_ESHUTDOWN);
      if (s == GMX_OK) a->g = a->attached = true;
      break;
    case ON_G: IS(a, s, GMX_EPERM); break;
    default: IS(a, s, where(a) == IN_SYSCALL ? GMX_EINSYSCALL : GMX_ENOTG);
  }
}

static void detach_thread(actor *a) {
  if (a->worker || !a->attached || a->callbacks) {
    IS(a, gmx_detach_thread(), GMX_EPERM);
    return;
  }
  if (a->sched) { /* of a barrier that runs on another thread nobody knows whose */
    MAY(a, gmx_detach_thread(), GMX_EPERM, GMX_ENOTG);
    return;
  }
  unpins(a);
  starts(a);
  a->syscall = a->g = a->attached = false;
  IS(a, gmx_detach_thread(), GMX_OK);
}

static void goexit(actor *a) {
  if (a->sched) {
    IS(a, gmx_goexit(), GMX_ENOTG);
    return;
  }
  if (!a->worker || a->callbacks) {
    IS(a, gmx_goexit(), GMX_EPERM);
    return;
  }
  if (!one_in(a, 8)) return;
  unpins(a);
  starts(a);
  atomic_fetch_sub(&actors, 1);
  gmx_goexit();
  LOST(a, "gmx_goexit came back");
}

/* Everything open is closed, by hand. */
static void tidy(actor *a) {
  while (a->pins && !a->syscall) unpin(a);
  if (a->stopped) start(a);
  if (a->syscall) exit_syscall(a);
}

/* ---- contexts in contexts ---- */

static void in_callback(void *arg) {
  actor *a = arg;
  steps(a, 4);
}

static void in_callback_tidy(void *arg) {
  actor *a = arg;
  steps(a, 4);
  tidy(a);
}

/* What is left open is closed where the callback was no plain call. */
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
  if (g && !a->stopped) a->syscall = false; /* whoever left it, and whatever came then */
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
  gmx_unpin(); /* one too many, or one of what was left */
}

static void barrier(actor *a) {
  if (one_in(a, 30)) IS(a, gmx_for_each_p(NULL, a), GMX_EINVAL);
  barrier_call *c = calloc(1, sizeof *c);
  CHECK(c != NULL);
  atomic_store(&c->seed, gs_random(&a->seed));
  gmx_status want = may_wait(a), s = gmx_for_each_p(in_barrier, c);
  if (want != GMX_OK) IS(a, s, want);
  else MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
  int n = 0;
  while (n < MOST_PS && atomic_load(&c->times[n])) n++;
  if ((s == GMX_OK) != (n > 0)) LOST(a, "a barrier over %d Ps is %s", n, gmx_err_name(s));
  for (int i = n; i < MOST_PS; i++) CHECK_EQ(atomic_load(&c->times[i]), 0);
  free(c);
}

/* Room for the handle of one who parks. */
static atomic_ullong parked[HANDLES];
#define CLAIMED (~0ull)

typedef struct commit_call {
  uint64_t seed;
  atomic_ullong *room;
} commit_call;

static bool commits(void *arg, gmx_g g) {
  commit_call c = *(commit_call *)arg; /* once it is known the G may run */
  CHECK(g != 0);
  if (c.seed % 2 == 0) in_scheduler(c.seed, true);
  if (c.seed % 3) atomic_store(c.room, g);
  return c.seed % 3 == 1; /* or it is known, and does not park */
}

static void park(actor *a) {
  commit_call c = {gs_random(&a->seed), &parked[rnd(a, HANDLES)]};
  unsigned long long nobody = 0;
  if (!atomic_compare_exchange_strong(c.room, &nobody, CLAIMED)) return;
  if (one_in(a, 6) && a->g && may_wait(a) == GMX_OK) {
    atomic_store(c.room, gmx_self());
    IS(a, gmx_park(NULL, NULL, NULL), GMX_OK);
  } else {
    WAITS(a, gmx_park(commits, &c, one_in(a, 2) ? "a reason" : NULL), GMX_OK, where(a) == FOREIGN ? GMX_ENOMEM : GMX_OK,
          DOWN(a));
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
  CHECK(gmx_goid() != 0);
  steps(&a, 3);
  tidy(&a);
}

/* ---- Gs ---- */

static void acts(actor *a) {
  for (uint64_t n = rnd(a, 30); n > 0 && !atomic_load(&quit); n--) step(a);
}

static void as_g(void *arg) {
  actor a;
  memset(&a, 0, sizeof a);
  a.seed = (uintptr_t)arg;
  a.worker = a.g = true;
  keep(&a, gmx_self());
  acts(&a);
  if (one_in(&a, 2)) tidy(&a);
  unpins(&a);
  starts(&a);
  atomic_fetch_sub(&actors, 1);
}

static void spawn(actor *a) {
  void *arg = (void *)(uintptr_t)gs_random(&a->seed);
  if (one_in(a, 20)) IS(a, gmx_spawn(NULL, arg), GMX_EINVAL);
  if (atomic_load(&quit) || atomic_load(&actors) > 200) return;
  atomic_fetch_add(&actors, 1);
  gmx_status s;
  if (one_in(a, 3)) {
    s = gmx_spawn(as_g, arg);
    MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
  } else {
    char bytes[8192]; /* what an option struct may be taken for */
    gmx_spawn_opts *o = (gmx_spawn_opts *)bytes;
    gmx_g g = 0, *out = one_in(a, 4) ? NULL : &g;
    memset(bytes, 0, sizeof bytes);
    static const size_t sizes[] = {sizeof *o, sizeof *o, sizeof *o, 8, 16, 4096, 7, 0, 5000, 40};
    o->struct_size = sizes[rnd(a, sizeof sizes / sizeof *sizes)];
    o->flags = (uint32_t)rnd(a, one_in(a, 10) ? 8 : 4);
    o->reserved = one_in(a, 20);
    o->stack_size = one_in(a, 10) ? (size_t)1 << rnd(a, 40) : rnd(a, 5) << 15;
    if (o->stack_size > 4 << 20 && o->stack_size <= (size_t)1 << 30) o->stack_size = 0;
    o->name = one_in(a, 2) ? "a name that is longer than what is kept of it" : NULL;
    if (o->stack_size && o->stack_size < 65536) o->stack_size = 65536; /* what it calls goes deep */
    if (one_in(a, 30)) bytes[sizeof *o + rnd(a, 4000)] = 1; /* what no library knows yet */
    bool wrong = o->struct_size < 8 || o->struct_size > 4096;
    for (size_t i = sizeof *o; i < o->struct_size && !wrong; i++) wrong = bytes[i] != 0;
    wrong |= o->struct_size >= 12 && o->flags > 3;
    wrong |= o->struct_size >= 16 && o->reserved != 0;
    wrong |= o->struct_size >= 24 && o->stack_size > (size_t)1 << 30;
    s = gmx_spawn_with(o, as_g, arg, out);
    if (wrong) IS(a, s, GMX_EINVAL);
    else MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
    if (out && (s == GMX_OK) != (g != 0)) LOST(a, "a spawn is %s, and its handle %llu", gmx_err_name(s), (unsigned long long)g);
    keep(a, g);
  }
  if (s != GMX_OK) atomic_fetch_sub(&actors, 1);
}

static void as_main(void *arg) {
  actor a;
  memset(&a, 0, sizeof a);
  a.seed = (uintptr_t)arg;
  a.worker = a.g = true;
  a.depth = 3;
  atomic_fetch_add(&actors, 1);
  steps(&a, 5);
  unpins(&a);
  starts(&a);
  atomic_fetch_sub(&actors, 1);
}

static void runtime(actor *a) {
  gmx_config c;
  switch (rnd(a, 4)) {
    case 0: IS(a, gmx_config_default(NULL), GMX_EINVAL); break;
    case 1: {
      IS(a, gmx_config_default(&c), GMX_OK);
      c.maxprocs = one_in(a, 4) ? -1 : (int32_t)rnd(a, 9);
      c.flags = one_in(a, 6);
      c.slice_ns = one_in(a, 6) ? -1 : 0;
      c.max_threads = one_in(a, 6) ? -3 : 0;
      if (one_in(a, 10)) c.struct_size = rnd(a, 8);
      /* it is up, or was brought down by another thread just now */
      MAY(a, gmx_init(one_in(a, 5) ? NULL : &c), GMX_EBUSY, GMX_EINVAL, DOWN(a) ? GMX_OK : GMX_EBUSY);
      break;
    }
    case 2: {
      gmx_status s = gmx_main(one_in(a, 5) ? NULL : as_main, (void *)(uintptr_t)gs_random(&a->seed));
      switch (where(a)) {
        case FOREIGN: MAY(a, s, GMX_OK, GMX_EINVAL, GMX_ENOMEM, GMX_ESHUTDOWN); break;
        case ON_G: MAY(a, s, GMX_EPERM, GMX_EINVAL); break;
        case IN_SYSCALL: MAY(a, s, GMX_EINSYSCALL, GMX_EINVAL); break;
        default: MAY(a, s, GMX_ENOTG, GMX_EINVAL);
      }
      break;
    }
    default: {
      gmx_status s = gmx_shutdown((int64_t)rnd(a, 100000));
      switch (where(a)) {
        case FOREIGN: MAY(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM); break;
        case ON_G: IS(a, s, a->pins ? GMX_ENOTG : GMX_EDEADLK); break;
        case IN_SYSCALL: IS(a, s, GMX_EINSYSCALL); break;
        default: IS(a, s, GMX_ENOTG);
      }
    }
  }
}

static void others(actor *a) {
  gmx_g g = handle(a);
  switch (rnd(a, 6)) {
    case 0:
    case 1: WAITS(a, gmx_join(g, wait_for(a)), GMX_OK, GMX_ETIMEDOUT, GMX_ESTALE, GMX_EINVAL, GMX_EDEADLK, GMX_ENOMEM, DOWN(a)); break;
    case 2: MAY(a, gmx_detach(g), GMX_OK, GMX_ESTALE, GMX_EINVAL, GMX_EBUSY, DOWN(a)); break;
    case 3:
      WAITS(a, gmx_yield(), GMX_OK, DOWN(a));
      break;
    default: MAY(a, gmx_ready(g), GMX_OK, GMX_EPERM, GMX_ESTALE, DOWN(a));
  }
}

static void locals(actor *a) {
  bool own = a->g && !a->sched;
  gmx_key k = one_in(a, 8) ? (gmx_key)gs_random(&a->seed) : atomic_load(&keys[rnd(a, KEYS)]), made = 0;
  switch (rnd(a, 8)) {
    case 0:
      if (gmx_key_create(one_in(a, 2) ? destroys : NULL, &made) == GMX_OK) {
        if (made == 0) LOST(a, "a key is 0");
        MAY(a, gmx_key_delete(atomic_exchange(&keys[rnd(a, KEYS)], made)), GMX_OK, GMX_EINVAL, DOWN(a));
      }
      break;
    case 1: IS(a, gmx_key_create(destroys, NULL), GMX_EINVAL); break;
    case 2: MAY(a, gmx_key_delete(one_in(a, 2) ? k : 0), GMX_OK, GMX_EINVAL, DOWN(a)); break;
    case 3:
    case 4:
      if (own) MAY(a, gmx_key_set(k, (void *)(uintptr_t)(gs_random(&a->seed) | 1)), GMX_OK, GMX_EINVAL, GMX_ENOMEM);
      else MAY(a, gmx_key_set(k, a), GMX_ENOTG, DOWN(a));
      break;
    default:
      if (gmx_key_get(k) != NULL && !own) LOST(a, "a value, and no goroutine");
  }
  if ((gmx_self() != 0) != own || (gmx_goid() != 0) != own) LOST(a, "gmx_self and gmx_goid");
  if (gmx_num_g() < 0) LOST(a, "gmx_num_g");
  if (few_threads) return;
  gmx_status s = one_in(a, 2) ? gmx_lock_os_thread() : gmx_unlock_os_thread();
  if (own && where(a) != IN_SYSCALL) MAY(a, s, GMX_OK, GMX_EPERM);
  else MAY(a, s, where(a) == IN_SYSCALL ? GMX_EINSYSCALL : GMX_ENOTG, DOWN(a));
}

/* ---- Ps ---- */

static void processors(actor *a) {
  gmx_p_key k = one_in(a, 8) ? (gmx_p_key)gs_random(&a->seed) : atomic_load(&p_keys[rnd(a, KEYS)]), made = 0;
  switch (rnd(a, 8)) {
    case 0: {
      static const int32_t wrong[] = {INT_MAX, 1 << 30};
      int32_t n = one_in(a, 20) ? wrong[rnd(a, 2)] : 1 + (int32_t)rnd(a, FEW_PS), old = gmx_gomaxprocs(n);
      if (may_wait(a) != GMX_OK) {
        if (old != n) IS(a, old, may_wait(a));
      } else if (old < 1) MAY(a, old, GMX_ENOMEM, DOWN(a));
      break;
    }
    case 1:
      if (gmx_gomaxprocs(-(int32_t)rnd(a, 3)) < 1 && where(a) != FOREIGN) LOST(a, "no Ps");
      if (gmx_num_cpu() < 1 || gmx_p_count() < 0) LOST(a, "fewer than none");
      break;
    case 2: WAITS(a, gmx_set_default_gomaxprocs(), GMX_OK, where(a) == FOREIGN ? GMX_ENOMEM : GMX_OK, DOWN(a)); break;
    case 3:
      if (gmx_p_key_create(&made) == GMX_OK) {
        if (made == 0) LOST(a, "a key is 0");
        MAY(a, gmx_p_key_delete(atomic_exchange(&p_keys[rnd(a, KEYS)], made)), GMX_OK, GMX_EINVAL, DOWN(a));
      }
      break;
    case 4: IS(a, gmx_p_key_create(NULL), GMX_EINVAL); break;
    case 5:
      gmx_p_get_of(k, (int32_t)rnd(a, 2 * FEW_PS) - 3);
      MAY(a, gmx_p_key_delete(0), GMX_EINVAL, DOWN(a));
      break;
    default: {
      gmx_status s = gmx_p_set(k, a);
      if (where(a) == IN_SYSCALL) IS(a, s, GMX_EINSYSCALL);
      else MAY(a, s, GMX_OK, GMX_EINVAL, GMX_ENOTG, DOWN(a));
      if (s == GMX_OK && a->pins) {
        void *v = gmx_p_get(k); /* another may have deleted the key, but not set another value */
        if (v != NULL && v != a) LOST(a, "another's value on a P");
      }
    }
  }
}

/* ---- waiting ---- */

static void semaphores(actor *a) {
  uint32_t *s = sema(a);
  switch (rnd(a, 7)) {
    case 0: MAY(a, gmx_sema_try_acquire(s), GMX_OK, GMX_EAGAIN, DOWN(a)); break;
    case 1: WAITS(a, gmx_sema_acquire(s), GMX_OK, DOWN(a)); break;
    case 2:
    case 3: WAITS(a, gmx_sema_acquire_timeout(s, wait_for(a)), GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a)); break;
    case 4: {
      uint32_t full = UINT32_MAX;
      MAY(a, gmx_sema_release(&full), GMX_EBUSY, DOWN(a));
      MAY(a, gmx_sema_release(NULL), GMX_EINVAL);
      MAY(a, gmx_sema_acquire((uint32_t *)((char *)semas + 1)), GMX_EINVAL);
      MAY(a, gmx_sema_try_acquire(NULL), GMX_EINVAL);
      MAY(a, gmx_sema_acquire_timeout(NULL, -1), GMX_EINVAL);
      break;
    }
    default: MAY(a, gmx_sema_release(s), GMX_OK, GMX_ENOMEM, DOWN(a));
  }
}

static void locks(actor *a) {
  gmx_mutex *m = mutex(a);
  switch (rnd(a, 6)) {
    case 0: MAY(a, gmx_mutex_try_lock(m), GMX_OK, GMX_EBUSY, DOWN(a)); break;
    case 1:
    case 2: WAITS(a, gmx_mutex_lock_timeout(m, wait_for(a)), GMX_OK, GMX_ETIMEDOUT, GMX_EDEADLK, GMX_ENOMEM, DOWN(a)); break;
    case 3:
      IS(a, gmx_mutex_lock(NULL), GMX_EINVAL);
      IS(a, gmx_mutex_unlock((gmx_mutex *)((char *)m + 1)), GMX_EINVAL);
      break;
    default: MAY(a, gmx_mutex_unlock(m), GMX_OK, GMX_EPERM, DOWN(a));
  }
}

static void wait_groups(actor *a) {
  gmx_waitgroup *w = group(a);
  switch (rnd(a, 6)) {
    case 0: MAY(a, gmx_waitgroup_add(w, (int32_t)rnd(a, 9) - 4), GMX_OK, GMX_EINVAL, GMX_ENOMEM, DOWN(a)); break;
    case 1: MAY(a, gmx_waitgroup_done(w), GMX_OK, GMX_EINVAL, GMX_ENOMEM, DOWN(a)); break;
    case 2: WAITS(a, gmx_waitgroup_wait(w), GMX_OK, DOWN(a)); break;
    case 3:
      MAY(a, gmx_waitgroup_add(w, INT_MIN), GMX_EINVAL, DOWN(a));
      IS(a, gmx_waitgroup_wait(NULL), GMX_EINVAL);
      IS(a, gmx_waitgroup_add(NULL, 1), GMX_EINVAL);
      break;
    default: WAITS(a, gmx_waitgroup_wait_timeout(w, wait_for(a)), GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
  }
}

/* ---- seeing inside ---- */

static void looks(void *arg, const gmx_g_info *info) {
  CHECK(info->g != 0 && info->goid != 0 && info->name != NULL);
  if (info->sp) CHECK(info->sp >= info->stack_lo && info->sp <= info->stack_hi);
  (*(int *)arg)++;
}

static void inside(actor *a) {
  int seen = 0;
  switch (rnd(a, 7)) {
    case 0: IS(a, gmx_for_each_g(looks, &seen), where(a) == STOPPED ? GMX_OK : GMX_EPERM); break;
    case 1: {
      gmx_mem_stats m;
      memset(&m, 0, sizeof m);
      m.struct_size = one_in(a, 4) ? rnd(a, 5000) : sizeof m;
      if (m.struct_size > sizeof m && m.struct_size <= 4096) m.struct_size = sizeof m;
      gmx_status s = gmx_read_mem_stats(&m), want = where(a) == STOPPED ? GMX_OK : may_wait(a);
      if (m.struct_size < 8 || m.struct_size > 4096) IS(a, s, GMX_EINVAL);
      else if (want != GMX_OK) IS(a, s, want);
      else MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
      break;
    }
    case 2: {
      gmx_sched_stats s;
      memset(&s, 0, sizeof s);
      s.struct_size = sizeof s;
      gmx_status got = gmx_read_sched_stats(&s);
      MAY(a, got, GMX_OK, where(a) == FOREIGN ? GMX_ENOMEM : GMX_OK, DOWN(a));
      if (got == GMX_OK && (s.gomaxprocs < 1 || s.idleprocs < 0 || s.spinning < 0 || s.threads < 0))
        LOST(a, "%d Ps, %d idle, %d spin, %d threads", (int)s.gomaxprocs, (int)s.idleprocs, (int)s.spinning, (int)s.threads);
      IS(a, gmx_read_sched_stats(NULL), GMX_EINVAL);
      break;
    }
    case 3: {
      gmx_status want = where(a) == STOPPED ? GMX_OK : may_wait(a), s = gmx_write_heap_dump(one_in(a, 4) ? -1 : nowhere);
      if (want != GMX_OK) IS(a, s, want);
      else MAY(a, s, GMX_OK, -EBADF, GMX_ENOMEM, DOWN(a));
      break;
    }
    case 4:
      CHECK(gmx_strerror((gmx_status)gs_random(&a->seed)) != NULL && gmx_err_name((gmx_status)gs_random(&a->seed)) != NULL);
      CHECK(gmx_version() != 0 && gmx_now() > 0);
      break;
    default:
      for (uint64_t n = rnd(a, 100); n > 0; n--) gmx_safepoint();
      IS(a, gmx_safepoint_slow(), GMX_OK);
  }
}

static void step(actor *a) {
  if (where(a) == ON_G) atomic_fetch_add(&moves, 1);
  switch (rnd(a, 22)) {
    case 0: stop(a); break;
    case 1:
    case 2: start(a); break;
    case 3: barrier(a); break;
    case 4: pin(a); break;
    case 5:
    case 6: unpin(a); break;
    case 7: enter_syscall(a); break;
    case 8:
    case 9: exit_syscall(a); break;
    case 10: one_in(a, 2) ? attach(a) : detach_thread(a); break;
    case 11: goexit(a); break;
    case 12: callback(a); break;
    case 13: blocking(a); break;
    case 14: park(a); break;
    case 15: spawn(a); break;
    case 16: one_in(a, 3) ? runtime(a) : others(a); break;
    case 17: one_in(a, 2) ? locals(a) : others(a); break;
    case 18: processors(a); break;
    case 19: semaphores(a); break;
    case 20: one_in(a, 2) ? locks(a) : wait_groups(a); break;
    default:
      if (one_in(a, 2)) inside(a);
      else WAITS(a, gmx_sleep(moment(a)), GMX_OK, GMX_ENOMEM, DOWN(a));
  }
  if (where(a) == ON_G) atomic_fetch_add(&moves, 1);
}

/* ---- threads ---- */

static void *as_thread(void *arg) {
  actor a;
  memset(&a, 0, sizeof a);
  a.seed = (uintptr_t)arg;
  acts(&a);
  if (one_in(&a, 2)) tidy(&a);
  if (one_in(&a, 2) && a.attached && !a.sched) detach_thread(&a);
  unpins(&a); /* the end of the thread ends the rest */
  starts(&a);
  return NULL;
}

/* One after the other, so that ends of threads are as many as beginnings. */
static void *threads(void *arg) {
  uint64_t seed = (uintptr_t)arg;
  while (!atomic_load(&quit)) thread_join(thread_start(as_thread, (void *)(uintptr_t)gs_random(&seed)));
  atomic_fetch_sub(&actors, 1);
  return NULL;
}

/* Whatever they wait for comes. */
static void help(void) {
  for (int i = 0; i < SEMAS; i++) {
    gmx_sema_release(&semas[i]);
    gmx_sema_release(&semas[i]);
  }
  for (int i = 0; i < GROUPS; i++)
    while (gmx_waitgroup_done(&groups[i]) == GMX_OK) {
    }
  for (int i = 0; i < HANDLES; i++) {
    gmx_g g = (gmx_g)atomic_load(&handles[i]), p = (gmx_g)atomic_load(&parked[i]);
    if (g) gmx_ready(g);
    if (p != 0 && p != CLAIMED) gmx_ready(p);
  }
  atomic_fetch_add(&mutex_at, 1);
}

static void program(void *arg) {
  actor a;
  memset(&a, 0, sizeof a);
  a.seed = the_seed = *(uint64_t *)arg;
  for (int i = 0; i < 4; i++) gs_random(&a.seed);
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = 1 + (int32_t)rnd(&a, FEW_PS);
  config.slice_ns = (int64_t)(10000u << rnd(&a, 11));
  few_threads = one_in(&a, 4);
  if (few_threads) config.max_threads = 2 + (int32_t)rnd(&a, 6);
  CHECK_OK(gmx_init(&config));
  int n_gs = 1 + (int)rnd(&a, 20), n_threads = (int)rnd(&a, 5);
  int64_t end = check_now() + (int64_t)(10 + rnd(&a, 150)) * MS;
  atomic_store(&actors, n_gs + n_threads);
  pthread_t t[5];
  for (int i = 0; i < n_gs; i++) CHECK_OK(gmx_spawn(as_g, (void *)(uintptr_t)gs_random(&a.seed)));
  for (int i = 0; i < n_threads; i++) t[i] = thread_start(threads, (void *)(uintptr_t)gs_random(&a.seed));
  while (check_now() < end) {
    help();
    thread_nap(MS / 2);
    /* those that ended are replaced */
    while (atomic_load(&actors) < n_gs + n_threads) {
      atomic_fetch_add(&actors, 1);
      gmx_status s = gmx_spawn(as_g, (void *)(uintptr_t)gs_random(&a.seed));
      if (s == GMX_OK) continue;
      CHECK_STATUS(s, GMX_ESHUTDOWN); /* by a thread of ours */
      atomic_fetch_sub(&actors, 1);
    }
  }
  atomic_store(&quit, 1);
  end = check_now() + 20 * SECOND;
  while (atomic_load(&actors) != 0 || gmx_num_g() != 0) {
    help();
    thread_nap(MS / 2);
    if (check_now() > end) {
      check_say("GMX_SEED=%" PRIu64 ": %ld actors and %" PRId64 " Gs have not ended", the_seed, atomic_load(&actors), gmx_num_g());
      gmx_write_heap_dump(2);
      pause();
    }
  }
  for (int i = 0; i < n_threads; i++) thread_join(t[i]);
  for (int i = 0; i < MOST_PS; i++) CHECK_EQ(atomic_load(&pinned[i]), 0);
  CHECK_EQ(atomic_load(&worlds), 0);
  gmx_mem_stats m;
  memset(&m, 0, sizeof m);
  m.struct_size = sizeof m;
  do CHECK_OK(gmx_read_mem_stats(&m));
  while (m.stacks_inuse != 0); /* the last G may not have left its stack yet */
  ends_clean();
}

int main(int argc, char **argv) {
  static child c;
  nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  CHECK(nowhere >= 0);
  const char *asked = argc > 1 ? argv[1] : getenv("GMX_SEED");
  uint64_t seed = asked ? strtoull(asked, NULL, 10) : (uint64_t)check_now();
  double seconds = argc > 2 ? atof(argv[2]) : argc > 1 ? 0 : FUZZ_SECONDS;
  alarm(0);
  int64_t end = check_now() + (int64_t)(seconds * 1e9);
  long programs = 0;
  do {
    the_seed = seed;
    child_run(&c, 60, program, &seed);
    if (c.status) CHILD_FAIL(&c, "GMX_SEED=%" PRIu64, seed);
    programs++;
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
  } while (check_now() < end);
  check_say("%ld programs from seed %s", programs, asked ? asked : "of the clock");
  close(nowhere);
  return 0;
}
