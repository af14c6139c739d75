/* The runtime as a whole: its beginning and end, its Ps, its statistics and dumps. */
#ifndef GOMAX_FUZZ_RUNTIME_H
#define GOMAX_FUZZ_RUNTIME_H

#include "goroutines.h"

#define FEW_PS 24

static atomic_uint p_keys[KEYS];
static int nowhere;

static void runtime(actor *a) {
  gmx_config c;
  switch (rnd(a, 4)) {
    case 0: IS(a, gmx_config_default(NULL), GMX_EINVAL); break;
    case 1: {
      IS(a, gmx_config_default(&c), GMX_OK);
      c.maxprocs = one_in(a, 4) ? -1 : (int32_t)rnd(a, 9);
      c.flags = one_in(a, 6);
      static const int64_t slices[] = {-1, INT64_MIN, 0, 0, 0, 1, INT64_MAX - 1, INT64_MAX};
      static const int32_t threads[] = {-3, INT32_MIN, 0, 0, 0, 0, INT32_MAX - 1, INT32_MAX};
      static const size_t stacks[] = {SIZE_MAX, ((size_t)1 << 30) + 1, 0, 0, 0, 0, 1, 64 << 10};
      c.slice_ns = slices[rnd(a, 8)];
      c.max_threads = threads[rnd(a, 8)];
      c.stack_size = stacks[rnd(a, 8)];
      c.g0_stack_size = stacks[rnd(a, 8)];
      if (one_in(a, 10)) c.struct_size = rnd(a, 8);
      /* it is up, or was brought down by another thread just now */
      MAY(a, gmx_init(one_in(a, 5) ? NULL : &c), GMX_EBUSY, GMX_EINVAL, DOWN(a) ? GMX_OK : GMX_EBUSY, DOWN(a) ? GMX_ESHUTDOWN : GMX_EBUSY);
      break;
    }
    case 2: {
      gmx_status s = gmx_main(one_in(a, 5) ? NULL : acts_as_main, (void *)(uintptr_t)next_random(&a->seed));
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
      if (s == GMX_OK) atomic_fetch_add(&downs, 1);
      switch (where(a)) {
        case FOREIGN: MAY(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM); break;
        case ON_G: IS(a, s, a->pins ? GMX_ENOTG : GMX_EDEADLK); break;
        case IN_SYSCALL: IS(a, s, GMX_EINSYSCALL); break;
        default: IS(a, s, GMX_ENOTG);
      }
    }
  }
}

/* ---- Ps ---- */

static void processors(actor *a) {
  gmx_p_key k = one_in(a, 8) ? (gmx_p_key)next_random(&a->seed) : atomic_load(&p_keys[rnd(a, KEYS)]), made = 0;
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
    case 2: WAITS_ON(a, gmx_set_default_gomaxprocs(), GMX_OK, where(a) == FOREIGN ? GMX_ENOMEM : GMX_OK, DOWN(a)); break;
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
        void *v = gmx_p_get(k); /* another actor may have deleted the key, but not set another value */
        if (v != NULL && v != a) LOST(a, "another's value on a P");
      }
    }
  }
}

/* ---- seeing inside ---- */

static void looks(void *arg, const gmx_g_info *info) {
  CHECK(info->g != 0 && info->goid != 0 && info->name != NULL);
  if (info->sp) CHECK(info->sp >= info->stack_lo && info->sp <= info->stack_hi);
  (*(int *)arg)++;
}

/* No library of the page is beside the one under test, or it is: other actors stop what it serves. */
static void pages(actor *a) {
  gmx_debug_opts o;
  gmx_status want = may_wait(a), s;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o;
  o.flags = 2;
  IS(a, gmx_debug_serve("127.0.0.1:0", &o), GMX_EINVAL);
  IS(a, gmx_debug_serve(NULL, NULL), GMX_EINVAL);
  s = gmx_debug_serve("192.0.2.1:0", NULL);
  if (want != GMX_OK) IS(a, s, want);
  else MAY(a, s, GMX_ENOTSUP, GMX_EINVAL, DOWN(a));
  s = gmx_debug_stop();
  if (want != GMX_OK) IS(a, s, want);
  else MAY(a, s, GMX_EPERM, GMX_OK, DOWN(a));
}

/* Other actors start and stop it, too. */
static void traces(actor *a) {
  gmx_trace_opts o;
  gmx_status want = may_wait(a), s;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o;
  o.flags = 1;
  IS(a, gmx_trace_start(&o), GMX_EINVAL);
  o.flags = 0;
  o.ring_bytes = 4096;
  s = gmx_trace_start(&o);
  if (want != GMX_OK) {
    IS(a, s, want);
    IS(a, gmx_trace_snapshot(nowhere), want);
    IS(a, gmx_trace_stop(-1), want);
    return;
  }
  MAY(a, s, GMX_OK, GMX_EBUSY, GMX_ENOMEM, DOWN(a));
  s = gmx_trace_snapshot(one_in(a, 4) ? -1 : nowhere);
  MAY(a, s, GMX_OK, GMX_EPERM, GMX_EBADF, GMX_ENOMEM, DOWN(a));
  s = gmx_trace_stop(one_in(a, 4) ? -1 : nowhere);
  MAY(a, s, GMX_OK, GMX_EPERM, GMX_ENOMEM, DOWN(a));
}

/* With and without a trace; and ends without a beginning. */
static void says(actor *a) {
  uint64_t task = 0;
  gmx_status want = where(a) == IN_SYSCALL ? GMX_EINSYSCALL : gmx_self() != 0 ? GMX_OK : GMX_ENOTG;
  IS(a, gmx_trace_task_begin("task", rnd(a, 3), &task), want);
  if ((task != 0) != (want == GMX_OK)) LOST(a, "task %d", (int)task);
  IS(a, gmx_trace_region_begin(task, "a region whose name is longer than a record"), want);
  IS(a, gmx_trace_log(task, gmx_trace_is_on() ? "line" : ""), want);
  for (uint64_t n = rnd(a, 3); n > 0; n--) IS(a, gmx_trace_region_end(), want);
  if (one_in(a, 2)) IS(a, gmx_trace_task_end(task + 1), want);
  IS(a, gmx_trace_task_end(0), GMX_EINVAL);
}

static gmx_status takes(void *arg, const char *text, size_t n) {
  CHECK(n > 6 && memcmp(text + n - 6, "# EOF\n", 6) == 0);
  return *(gmx_status *)arg;
}

static gmx_status takes_stacks(void *arg, const char *text, size_t n) {
  CHECK(n == 0 || text[n - 1] == '\n');
  return *(gmx_status *)arg;
}

/* A known name or not, with or without buckets. */
static void metrics(actor *a) {
  static _Thread_local uint64_t buckets[GMX_METRIC_BUCKETS];
  const gmx_metric_desc *d = gmx_metric_info(rnd(a, 60));
  gmx_metric m[2] = {{.name = d ? d->name : "gomax_", .buckets = NULL}, {.name = "gomax_timer_lateness_seconds", .buckets = buckets}};
  gmx_status want = one_in(a, 2) ? GMX_OK : GMX_EPIPE, lack = where(a) == FOREIGN ? GMX_ENOMEM : GMX_OK;
  MAY(a, gmx_metrics_read(m, 2), GMX_OK, lack);
  if (m[0].kind != GMX_METRIC_NONE && (!d || m[0].kind != d->kind)) LOST(a, "%s is of kind %d", m[0].name, (int)m[0].kind);
  MAY(a, gmx_metrics_text(takes, &want), want, GMX_ENOMEM);
  IS(a, gmx_metrics_read(NULL, 1), GMX_EINVAL);
  CHECK(gmx_metric_bounds()[0] == 128);
  MAY(a, gmx_dump_goroutines(takes_stacks, &want, (uint32_t)rnd(a, 4)), want, GMX_ENOMEM);
  IS(a, gmx_dump_goroutines(takes_stacks, &want, 4), GMX_EINVAL);
}

static void inside(actor *a) {
  int seen = 0;
  switch (rnd(a, 8)) {
    case 0: IS(a, gmx_for_each_g(looks, &seen), where(a) == STOPPED ? GMX_OK : GMX_EPERM); break;
    case 1: {
      gmx_mem_stats m;
      memset(&m, 0, sizeof m);
      m.struct_size = one_in(a, 4) ? rnd(a, 5000) : sizeof m;
      if (m.struct_size > sizeof m && m.struct_size <= 4096) m.struct_size = sizeof m;
      size_t size = m.struct_size;
      gmx_status s = gmx_read_mem_stats(&m), want = where(a) == STOPPED ? GMX_OK : may_wait(a);
      if ((size != 0 && size < 8) || size > 4096) IS(a, s, GMX_EINVAL); /* 0 is the size of the header's version */
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
      CHECK(gmx_strerror((gmx_status)next_random(&a->seed)) != NULL && gmx_err_name((gmx_status)next_random(&a->seed)) != NULL);
      CHECK(gmx_version() != 0 && gmx_now() > 0);
      break;
    case 5: one_in(a, 3) ? pages(a) : one_in(a, 2) ? traces(a) : says(a); break;
    case 6: metrics(a); break;
    default:
      for (uint64_t n = rnd(a, 100); n > 0; n--) gmx_safepoint();
      IS(a, gmx_safepoint_slow(), GMX_OK);
  }
}

#endif /* GOMAX_FUZZ_RUNTIME_H */
