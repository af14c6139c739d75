/* Gs that come and go, and the state that each has of its own. */
#ifndef GOMAX_FUZZ_GOROUTINES_H
#define GOMAX_FUZZ_GOROUTINES_H

#include "contexts.h"

#define KEYS 16

static atomic_uint keys[KEYS];

static void acts(actor *a) {
  for (uint64_t n = rnd(a, 30); n > 0 && !atomic_load(&quit); n--) step(a);
}

/* A G that the library made. */
static actor worker(uint64_t seed, atomic_long *ended) {
  actor a;
  memset(&a, 0, sizeof a);
  a.seed = seed;
  a.worker = a.g = true;
  a.token = gmx_cancel_current();
  a.ended = ended;
  return a;
}

/* The library closes the brackets that the G leaves open. */
static void worker_ends(actor *a) {
  unpins(a);
  starts(a);
  if (a->ended) atomic_fetch_add(a->ended, 1);
}

static void acts_as_g(actor *a) {
  keep(a, gmx_self());
  acts(a);
  if (one_in(a, 2)) tidy(a);
  worker_ends(a);
}

static void as_g(void *arg) {
  actor a = worker((uintptr_t)arg, &gone);
  if (a.token) LOST(&a, "it begins with a token");
  acts_as_g(&a);
}

static void as_g_with_a_token(void *arg) {
  actor a = worker((uintptr_t)arg, &gone);
  if (!a.token) LOST(&a, "it begins without a token of its own");
  acts_as_g(&a);
}

/* No more Gs now. */
static bool crowded(void) { return atomic_load(&quit) || gmx_num_g() > 200; }

static void spawn(actor *a) {
  void *arg = (void *)(uintptr_t)next_random(&a->seed);
  if (one_in(a, 20)) IS(a, gmx_spawn(NULL, arg), GMX_EINVAL);
  if (crowded()) return;
  atomic_fetch_add(&actors, 1);
  gmx_status s;
  if (one_in(a, 3)) {
    s = gmx_spawn(as_g, arg);
    MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
  } else {
    char bytes[8192]; /* room for an option struct of any size */
    gmx_spawn_opts *o = (gmx_spawn_opts *)bytes;
    gmx_g g = 0, *out = one_in(a, 4) ? NULL : &g;
    memset(bytes, 0, sizeof bytes);
    static const size_t sizes[] = {sizeof *o, sizeof *o, sizeof *o, 8, 16, 4096, 7, 0, 5000, 40};
    o->struct_size = sizes[rnd(a, sizeof sizes / sizeof *sizes)];
    o->flags = (uint32_t)rnd(a, one_in(a, 10) ? 256 : 16);
    if (one_in(a, 4)) o->flags |= GMX_SPAWN_CANCELLABLE;
    if (o->flags < 128) o->flags &= ~(uint32_t)GMX_SPAWN_INHERIT; /* such Gs begin without a token, or with a token of their own */
    o->reserved = one_in(a, 20);
    o->stack_size = one_in(a, 10) ? (size_t)1 << rnd(a, 40) : rnd(a, 5) << 15;
    if (o->stack_size > 4 << 20 && o->stack_size <= (size_t)1 << 30) o->stack_size = 0;
    o->name = one_in(a, 2) ? "a name that is longer than what is kept of it" : NULL;
    if (o->stack_size && o->stack_size < 65536) o->stack_size = 65536; /* its calls need a deep stack */
    if (one_in(a, 30)) bytes[sizeof *o + rnd(a, 4000)] = 1; /* a field that the library does not know */
    size_t size = o->struct_size ? o->struct_size : sizeof *o;
    bool wrong = size < 8 || size > 4096;
    for (size_t i = sizeof *o; i < size && !wrong; i++) wrong = bytes[i] != 0;
    wrong |= size >= 12 && (o->flags > 127 || (o->flags & 10) == 10);
    wrong |= size >= 16 && o->reserved != 0;
    wrong |= size >= 24 && o->stack_size > (size_t)1 << 30;
    bool own = size >= 12 && o->flags & GMX_SPAWN_CANCELLABLE;
    s = gmx_spawn_with(o, own ? as_g_with_a_token : as_g, arg, out);
    if (wrong) IS(a, s, GMX_EINVAL);
    else MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
    if (out && (s == GMX_OK) != (g != 0)) LOST(a, "a spawn is %s, and its handle %llu", gmx_err_name(s), (unsigned long long)g);
    keep(a, g);
  }
  if (s != GMX_OK) atomic_fetch_add(&gone, 1);
}

static void acts_as_main(void *arg) {
  actor a = worker((uintptr_t)arg, &gone);
  a.depth = 3;
  atomic_fetch_add(&actors, 1);
  steps(&a, 5);
  worker_ends(&a);
}

static void others(actor *a) {
  gmx_g g = handle(a);
  switch (rnd(a, 8)) {
    case 0:
    case 1: WAITS(a, gmx_join(g, wait_for(a)), GMX_OK, GMX_ETIMEDOUT, GMX_ESTALE, GMX_EINVAL, GMX_EDEADLK, GMX_ENOMEM, DOWN(a)); break;
    case 2: MAY(a, gmx_detach(g), GMX_OK, GMX_ESTALE, GMX_EINVAL, GMX_EBUSY, DOWN(a)); break;
    case 3: WAITS_ON(a, gmx_yield(), GMX_OK, DOWN(a)); break;
    case 4:
      if (one_in(a, 4)) IS(a, gmx_cancel_g(g, (gmx_status)rnd(a, 3)), GMX_EINVAL);
      else MAY(a, gmx_cancel_g(g, GMX_EPIPE), GMX_OK, GMX_ESTALE, GMX_EPERM, DOWN(a));
      break;
    default: MAY(a, gmx_ready(g), GMX_OK, GMX_EPERM, GMX_ESTALE, DOWN(a));
  }
}

static void locals(actor *a) {
  bool own = a->g && !a->sched;
  gmx_key k = one_in(a, 8) ? (gmx_key)next_random(&a->seed) : atomic_load(&keys[rnd(a, KEYS)]), made = 0;
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
      if (own) MAY(a, gmx_key_set(k, (void *)(uintptr_t)(next_random(&a->seed) | 1)), GMX_OK, GMX_EINVAL, GMX_ENOMEM);
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

#endif /* GOMAX_FUZZ_GOROUTINES_H */
