/* Child processes, signals, and the host's loop: each child is reaped, each signal that an actor raises reaches the
 * channel that is there for all, and each function that was posted runs once. */
#ifndef GOMAX_FUZZ_OUTSIDE_H
#define GOMAX_FUZZ_OUTSIDE_H

#include "../objects.h"
#include "descriptors.h"

#include <sys/wait.h>

/* ---- child processes ---- */

#define CHILDREN 6
static atomic_ullong children[CHILDREN];

static gmx_process any_child(actor *a) {
  gmx_process p = (gmx_process)atomic_load(&children[rnd(a, CHILDREN)]);
  return one_in(a, 8) ? next_random(&a->seed) : one_in(a, 8) ? p ^ UINT64_C(1) << (48 + rnd(a, 16)) : p;
}

static void releases(actor *a, gmx_process p) {
  WAITS_ON(a, gmx_process_release(p), GMX_OK, GMX_ESTALE, GMX_ENOMEM, DOWN(a));
}

static void spawns_process(actor *a) {
  atomic_ullong *place = &children[rnd(a, CHILDREN)];
  gmx_process_opts o;
  gmx_process p = 0;
  gmx_poll out = 0;
  unsigned long long before = atomic_load(place);
  memset(&o, 0, sizeof o);
  o.struct_size = one_in(a, 8) ? 0 : sizeof o;
  o.path = one_in(a, 6) ? "/nowhere/at/all" : "true";
  o.flags = one_in(a, 6) ? (uint32_t)rnd(a, 16) : GMX_PROCESS_SEARCH;
  o.stdio[1].kind = one_in(a, 6) ? (uint32_t)rnd(a, 7) : GMX_STDIO_PIPE;
  if (o.stdio[1].kind == GMX_STDIO_FD) o.stdio[1].fd = 2;
  o.stdio[1].pipe = one_in(a, 20) ? NULL : &out;
  gmx_status s = gmx_spawn_process(&o, &p);
  if (s != GMX_EINVAL) WAITS_ON(a, s, GMX_OK, -ENOENT, GMX_ENOMEM, DOWN(a));
  if ((s == GMX_OK) != (p != 0)) LOST(a, "a child is %#" PRIx64 ", and %s", p, gmx_err_name(s));
  if ((s == GMX_OK && o.stdio[1].kind == GMX_STDIO_PIPE) != (out != 0)) LOST(a, "a pipe is %#" PRIx64, out);
  if (out) keeps(a, out);
  if (s != GMX_OK) return;
  if (atomic_compare_exchange_strong(place, &before, p)) {
    if (before) releases(a, before);
  } else {
    releases(a, p);
  }
}

static void processes(actor *a) {
  gmx_process p = any_child(a);
  int32_t status = -1;
  switch (rnd(a, 10)) {
    case 0:
      if (one_in(a, 4)) spawns_process(a);
      break;
    case 1:
      IS(a, gmx_spawn_process(NULL, &p), GMX_EINVAL);
      IS(a, gmx_process_wait(p, NULL, 0), GMX_EINVAL);
      MAY(a, gmx_process_kill(0, 0), GMX_ESTALE, GMX_ENOMEM, DOWN(a));
      break;
    case 2: MAY(a, gmx_process_kill(p, one_in(a, 2) ? 0 : SIGTERM), GMX_OK, -ESRCH, GMX_ESTALE, GMX_ENOMEM, DOWN(a)); break;
    case 3: NEVER_WAITS(a, gmx_process_pid(p), GMX_ESTALE); break;
    case 4: NEVER_WAITS(a, gmx_process_pidfd(p), GMX_ESTALE, GMX_ENOTSUP); break;
    case 5: releases(a, p); break;
    default: {
      gmx_status s = gmx_process_wait(p, &status, wait_for(a));
      WAITS(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_ESTALE, GMX_ENOMEM, DOWN(a));
      if (s == GMX_OK && status != 0 && status != SIGTERM) LOST(a, "a child ended with %#x", (unsigned)status);
    }
  }
}

static bool has_children(void) {
  siginfo_t info;
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* ---- signals ---- */

static gmx_chan *signals;
static atomic_llong raised, seen;

static void sees(actor *a) {
  gmx_siginfo info;
  gmx_status s = gmx_chan_try_recv(signals, &info);
  NEVER_WAITS(a, s, GMX_EAGAIN);
  if (s != GMX_OK) return;
  if (info.signo != SIGUSR1 || info.count < 1) LOST(a, "signal %d, %u times", (int)info.signo, info.count);
  atomic_fetch_add(&seen, info.count);
}

static void notices(actor *a) {
  int32_t sigs[] = {SIGWINCH, SIGUSR1, 0}, wrong[] = {SIGSEGV, SIGKILL, -1, 65, 33};
  gmx_chan *c = NULL, *other = NULL;
  if (gmx_chan_new(sizeof(gmx_siginfo), rnd(a, 3), &c) != GMX_OK) return;
  if (gmx_chan_new(sizeof(gmx_siginfo) + 1, 1, &other) == GMX_OK) {
    IS(a, gmx_signal_notify(other, sigs, 1), GMX_EINVAL);
    IS(a, gmx_chan_free(other), GMX_OK);
  }
  IS(a, gmx_signal_notify(c, &wrong[rnd(a, 5)], 1), GMX_EINVAL);
  IS(a, gmx_signal_notify(c, sigs, 3), GMX_EINVAL);
  IS(a, gmx_signal_notify(c, sigs, 0), GMX_EINVAL);
  IS(a, gmx_signal_notify(c, NULL, 1), GMX_EINVAL);
  MAY(a, gmx_signal_stop(c), GMX_EINVAL, DOWN(a), GMX_ENOMEM);
  gmx_status s = gmx_signal_notify(c, sigs, 1 + rnd(a, 2));
  MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
  if (s == GMX_OK) {
    if (one_in(a, 2)) CHECK(raise(SIGWINCH) == 0);
    do s = gmx_signal_stop(c);
    while (s == GMX_ESHUTDOWN || s == GMX_ENOMEM);
    IS(a, s, GMX_OK);
    MAY(a, gmx_signal_stop(c), GMX_EINVAL, DOWN(a), GMX_ENOMEM);
  }
  do s = gmx_chan_free(c);
  while (s == GMX_ESHUTDOWN || s == GMX_ENOMEM);
  IS(a, s, GMX_OK);
}

/* ---- posts ---- */

static atomic_llong posted, posts_run;

static void runs_post(void *arg) {
  CHECK(arg == &posted);
  atomic_fetch_add(&posts_run, 1);
}

static void posts(actor *a) {
  switch (rnd(a, 6)) {
    case 0: NEVER_WAITS(a, gmx_host_fd(), GMX_OK); break;
    case 1: IS(a, gmx_post(NULL, a), GMX_EINVAL); break;
    case 2:
    case 3: {
      gmx_status s = gmx_post(runs_post, &posted);
      MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
      if (s == GMX_OK) atomic_fetch_add(&posted, 1);
      break;
    }
    default: WAITS_ON(a, some(gmx_host_run((int32_t)rnd(a, 9) - 2)), GMX_OK, GMX_ENOMEM, DOWN(a));
  }
}

static void outside(actor *a) {
  switch (rnd(a, 8)) {
    case 0: if (one_in(a, 3)) notices(a); break;
    case 1:
      thread_raise(SIGUSR1); /* on this thread, so it was handled when the call returns, also if a host blocks it */
      atomic_fetch_add(&raised, 1);
      break;
    case 2: sees(a); break;
    case 3:
    case 4: posts(a); break;
    default: processes(a);
  }
}

/* ---- of a program ---- */

static void outside_begin(void) {
  int32_t sig = SIGUSR1;
  signals = chan_of(sizeof(gmx_siginfo), GMX_UNBOUNDED);
  CHECK_OK(gmx_signal_notify(signals, &sig, 1));
}

/* When no other actor is left. */
static void outside_end(actor *a) {
  for (int i = 0; i < CHILDREN; i++) {
    gmx_process p = (gmx_process)atomic_exchange(&children[i], 0);
    if (p) MAY(a, gmx_process_release(p), GMX_OK, GMX_ESTALE);
  }
  spin_until(!has_children());
  IS(a, gmx_signal_stop(signals), GMX_OK);
  while (gmx_chan_len(signals) != 0) sees(a);
  if (atomic_load(&raised) != atomic_load(&seen)) LOST(a, "%lld signals, and %lld are seen", (long long)raised, (long long)seen);
  IS(a, gmx_chan_free(signals), GMX_OK);
  while (gmx_host_run(0) > 0) continue;
  if (atomic_load(&posted) != atomic_load(&posts_run)) LOST(a, "%lld posts, and %lld ran", (long long)posted, (long long)posts_run);
}

#endif /* GOMAX_FUZZ_OUTSIDE_H */
