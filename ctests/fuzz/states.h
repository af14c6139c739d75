/* States that last: a pin, a stopped world, a syscall, an attached thread. */
#ifndef GOMAX_FUZZ_STATES_H
#define GOMAX_FUZZ_STATES_H

#include "actor.h"

#define MOST_PS 4096

static atomic_int pinned[MOST_PS]; /* for each P: whether an actor is pinned there */
static atomic_long moves;          /* steps made with a P */
static atomic_int worlds;          /* stopped worlds: at most one */

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

/* For a pin that the library ends. */
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

/* Before the world starts again: checks that no actor moved. */
static void starts(actor *a) {
  if (!a->stopped) return;
  if (atomic_load(&moves) != a->moves) LOST(a, "a goroutine moved in a stopped world");
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
  if (a->sched) { /* the function of a barrier may run on any thread, attached or not */
    MAY(a, gmx_detach_thread(), GMX_EPERM, GMX_ENOTG);
    return;
  }
  unpins(a);
  starts(a);
  a->syscall = a->g = a->attached = false;
  IS(a, gmx_detach_thread(), GMX_OK);
  a->token = 0;
  gmx_cancel left = gmx_cancel_current();
  if (left) LOST(a, "a detached thread has the token %#" PRIx64, left);
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
  if (a->ended) atomic_fetch_add(a->ended, 1);
  gmx_goexit();
  LOST(a, "gmx_goexit came back");
}

/* The actor closes all its brackets itself. */
static void tidy(actor *a) {
  while (a->pins && !a->syscall) unpin(a);
  if (a->stopped) start(a);
  if (a->syscall) exit_syscall(a);
}

#endif /* GOMAX_FUZZ_STATES_H */
