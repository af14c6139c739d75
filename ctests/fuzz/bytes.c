/* The interface driven by bytes. An input is a program of calls, which the main goroutine runs; it hands parts of the
 * input to others. The arguments are right and wrong, with stale and forged handles and hostile sizes. For every input,
 * each call returns a status that exists, the process does not end, and all goroutines do.
 *
 * ctests/fuzz.c draws its programs from a seed and knows what each call may return in each context. This program knows
 * less, but a fuzzer that sees which bytes reach new code can shape its inputs, and an input that fails is a file.
 *
 * Built by ci/fuzz.sh with libFuzzer (FUZZER), or with the driver at the end of this file:
 *
 *   bytes CURRENT SECONDS      random inputs from GMX_SEED; each is written to the file CURRENT before it runs
 *   bytes FILE                 this input, a hundred times, since a seed does not fix how threads meet */
#include "../gs.h"
#include "../seed.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#ifdef FUZZER
/* A process that exits keeps no input: libFuzzer writes it when the process dies of a signal. */
#undef FAIL
#define FAIL(...) (check_say(__VA_ARGS__), abort())
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct bytes {
  const uint8_t *at, *end;
} bytes;

/* At the end of the input all is 0. */
static uint64_t take(bytes *b, int n) {
  uint64_t v = 0;
  for (int i = 0; i < n; i++) v |= (uint64_t)(b->at < b->end ? *b->at++ : 0) << (8 * i);
  return v;
}
static unsigned below(bytes *b, unsigned n) { return (unsigned)take(b, 1) % n; }
static int64_t moment(bytes *b) { return (int64_t)take(b, 2) * 4; } /* up to 262 us; nothing here waits longer */
static bytes part(bytes *b) {
  size_t n = take(b, 1), left = (size_t)(b->end - b->at);
  bytes p = {b->at, b->at + (n < left ? n : left)};
  b->at = p.end;
  return p;
}

/* A size that faulty code may take for a small one. */
static size_t hostile(bytes *b) {
  static const size_t sizes[] = {0,           1,          SIZE_MAX, SIZE_MAX - 7, SIZE_MAX / 2 + 1, (size_t)1 << 31, UINT32_MAX,
                                 (size_t)1 << 40, INT32_MAX, 16 << 10, 1 << 20,      (1 << 30) + 1};
  unsigned i = below(b, 24);
  return i < sizeof sizes / sizeof *sizes ? sizes[i] : (size_t)take(b, 1 + (int)(i & 7));
}

static gmx_status known(gmx_status s) {
  if (s > 1 || strncmp(gmx_err_name(s), "GMX_", 4) != 0) FAIL("a status that does not exist: %d", (int)s);
  return s;
}

/* ---- what the goroutines share; handles may be stale, references are not ---- */

enum { CHANS = 6, TIMERS = 4, TOKENS = 8, SCOPES = 4, KEYS = 6, GS = 32, WORDS = 4, MOST_ELEM = 64, MOST_GS = 200 };

typedef struct timed {
  gmx_timer timer;
  gmx_chan *times;
} timed;

static struct {
  _Atomic(gmx_chan *) chans[CHANS]; /* in use until the end of the input */
  _Atomic(timed *) timers[TIMERS];  /* the goroutine that takes a timer out owns it */
  atomic_ullong tokens[TOKENS], scopes[SCOPES], gs[GS];
  atomic_ullong parked[MOST_GS]; /* `ends` readies each at the latest */
  atomic_uint keys[KEYS], p_keys[KEYS];
  uint32_t semas[WORDS];
  gmx_mutex mutexes[WORDS];
  gmx_rwmutex rws[WORDS];
  gmx_cond conds[WORDS];
  gmx_waitgroup groups[WORDS];
  gmx_barrier barriers[WORDS];
  gmx_once onces[WORDS];
} all;
static atomic_int live;
static int nowhere;

static uint64_t handle(bytes *b, atomic_ullong *table, unsigned n) {
  uint64_t h = atomic_load(&table[below(b, n)]);
  switch (below(b, 8)) {
    case 0: return take(b, 8);
    case 1: return h ^ (uint64_t)1 << below(b, 64);
    case 2: return h + take(b, 2);
    default: return h;
  }
}

static void run(bytes *b, int depth);

typedef struct child {
  bytes program;
  int depth;
} child;

static child *new_child(bytes *b, int depth) {
  child *c = malloc(sizeof *c);
  CHECK(c != NULL);
  *c = (child){part(b), depth};
  return c;
}

static void in_child(child *c) {
  child mine = *c;
  free(c);
  run(&mine.program, mine.depth);
}
static void as_g(void *arg) {
  in_child(arg);
  atomic_fetch_sub(&live, 1);
}
static gmx_status as_member(void *arg) {
  child *c = arg;
  gmx_status s = c->program.at < c->program.end && *c->program.at & 1 ? GMX_EINVAL : GMX_OK;
  as_g(arg);
  return s;
}
static void as_callback(void *arg) { in_child(arg); }
static void counts(void *arg) { atomic_fetch_add((atomic_int *)arg, 1); }
/* Says where the handle is. Without a place for it the goroutine does not park. */
static bool commits(void *arg, gmx_g g) {
  for (int i = 0; i < MOST_GS; i++) {
    unsigned long long none = 0;
    *(int *)arg = i;
    if (atomic_compare_exchange_strong(&all.parked[i], &none, g)) return true;
  }
  *(int *)arg = -1;
  return false;
}
static void parks(void) {
  int place = -1;
  known(gmx_park(commits, &place, "bytes"));
  if (place >= 0) atomic_store(&all.parked[place], 0);
}
static void looks(void *arg, const gmx_g_info *info) { *(uint64_t *)arg += info->goid; }

static void spawn(bytes *b, int depth) {
  if (atomic_fetch_add(&live, 1) >= MOST_GS) {
    atomic_fetch_sub(&live, 1);
    return;
  }
  gmx_spawn_opts o;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o;
  unsigned kind = below(b, 8);
  if (kind & 1) o.flags = GMX_SPAWN_JOINABLE;
  if (kind & 2) o.flags |= GMX_SPAWN_CHILD_FIRST;
  if (kind == 4) o.stack_size = hostile(b) | 128 << 10; /* frames under a sanitizer are large */
  if (kind == 5) o.flags = (uint32_t)take(b, 4);
  if (kind == 6) o.name = "a name that is longer than the thirty-two bytes that are kept of it\n";
  child *c = new_child(b, depth);
  gmx_g g = 0;
  if (known(gmx_spawn_with(&o, as_g, c, &g)) == GMX_OK) {
    if (o.flags & GMX_SPAWN_JOINABLE) g = atomic_exchange(&all.gs[below(b, GS)], g);
    else g = 0;
    if (g) known(gmx_detach(g));
  } else {
    free(c);
    atomic_fetch_sub(&live, 1);
  }
}

static void channels(bytes *b) {
  char elem[MOST_ELEM] = {0};
  unsigned i = below(b, CHANS), op = below(b, 9);
  gmx_chan *c = atomic_load(&all.chans[i]), *none = NULL;
  if (op == 0 || c == NULL) {
    size_t size = hostile(b), capacity = below(b, 3) ? below(b, 9) : hostile(b);
    if (known(gmx_chan_new(size, capacity, &c)) != GMX_OK) return;
    if (size > MOST_ELEM || !atomic_compare_exchange_strong(&all.chans[i], &none, c)) known(gmx_chan_free(c));
    return;
  }
  switch (op) {
    case 1: known(gmx_chan_send_timeout(c, elem, moment(b))); return;
    case 2: known(gmx_chan_recv_timeout(c, elem, moment(b))); return;
    case 3: known(gmx_chan_try_send(c, elem)); return;
    case 4: known(gmx_chan_try_recv(c, elem)); return;
    case 5:
      if (below(b, 8) == 0) known(gmx_chan_close(c));
      return;
    case 6: known(gmx_chan_ref(c)), known(gmx_chan_free(c)); return;
    default: {
      gmx_select_case cases[6];
      char elems[6][MOST_ELEM];
      memset(cases, 0, sizeof cases);
      memset(elems, 0, sizeof elems);
      unsigned n = below(b, 7);
      for (unsigned k = 0; k < n; k++) {
        cases[k].chan = atomic_load(&all.chans[below(b, CHANS)]);
        cases[k].op = below(b, 16) ? below(b, 2) : (uint32_t)take(b, 4);
        cases[k].elem = below(b, 16) ? elems[k] : NULL;
      }
      size_t index;
      known(gmx_select(cases, below(b, 32) ? n : 0, moment(b), &index));
    }
  }
}

static void timers(bytes *b) {
  unsigned i = below(b, TIMERS), op = below(b, 8);
  timed *t = atomic_exchange(&all.timers[i], NULL), *none = NULL;
  if (t == NULL) {
    t = malloc(sizeof *t);
    CHECK(t != NULL);
    int64_t delay = below(b, 8) ? moment(b) : (int64_t)take(b, 8), period = below(b, 8) ? moment(b) : (int64_t)take(b, 8);
    if (known(gmx_timer_new(delay, period, &t->timer, &t->times)) != GMX_OK) {
      free(t);
      return;
    }
  }
  int64_t when;
  switch (op) {
    case 0: known(gmx_timer_reset(t->timer, (int64_t)take(b, 8), (int64_t)take(b, 8), NULL)); break;
    case 1: known(gmx_timer_reset(t->timer, moment(b), moment(b), NULL)); break;
    case 2: known(gmx_timer_stop(t->timer, NULL)); break;
    case 3: known(gmx_chan_recv_timeout(t->times, &when, moment(b))); break;
    case 4: known(gmx_timer_free(t->timer, NULL)); break; /* stale from here on */
    case 5: known(gmx_timer_stop(t->timer ^ take(b, 8), NULL)); break;
    default: break;
  }
  if (!atomic_compare_exchange_strong(&all.timers[i], &none, t)) {
    known(gmx_timer_free(t->timer, NULL));
    known(gmx_chan_free(t->times));
    free(t);
  }
}

static void tokens(bytes *b) {
  uint64_t t = handle(b, all.tokens, TOKENS);
  gmx_cancel out;
  switch (below(b, 7)) {
    case 0:
    case 1:
      if (known(gmx_cancel_new(t, below(b, 2) ? GMX_FOREVER : moment(b), &out)) == GMX_OK)
        if ((out = atomic_exchange(&all.tokens[below(b, TOKENS)], out)) != 0) known(gmx_cancel_free(out));
      return;
    case 2: known(gmx_cancel_now(t)); return;
    case 3: known(gmx_cancel_use(t, &out)); return;
    case 4: known(gmx_cancel_reason(t, &(gmx_status){0})); return;
    case 5: (void)gmx_cancel_is_canceled(t); return;
    default: known(gmx_cancel_free(t));
  }
}

static void scopes(bytes *b, int depth) {
  uint64_t s = handle(b, all.scopes, SCOPES);
  gmx_scope out;
  gmx_cancel token;
  gmx_status result;
  switch (below(b, 8)) {
    case 0:
    case 1:
      if (known(gmx_scope_new(below(b, 2) ? GMX_FOREVER : moment(b), &out)) == GMX_OK) {
        if ((out = atomic_exchange(&all.scopes[below(b, SCOPES)], out)) != 0 && known(gmx_scope_leave(out, moment(b), &result)) != GMX_OK)
          known(gmx_scope_cancel(out)); /* it stays until the end of the process */
      }
      return;
    case 2:
    case 3: {
      if (atomic_fetch_add(&live, 1) < MOST_GS) {
        child *c = new_child(b, depth);
        if (known(gmx_scope_spawn(s, as_member, c)) == GMX_OK) return;
        free(c);
      }
      atomic_fetch_sub(&live, 1);
      return;
    }
    case 4: known(gmx_scope_enter(s)); return;
    case 5: known(gmx_scope_leave(s, moment(b), &result)); return;
    case 6: known(gmx_scope_cancel(s)); return;
    default: known(gmx_scope_token(s, &token));
  }
}

static void keys(bytes *b) {
  unsigned i = below(b, KEYS);
  gmx_key k = below(b, 8) ? atomic_load(&all.keys[i]) : (gmx_key)take(b, 4), new;
  gmx_p_key pk = below(b, 8) ? atomic_load(&all.p_keys[i]) : (gmx_p_key)take(b, 4), p_new;
  switch (below(b, 9)) {
    case 0:
      if (known(gmx_key_create(below(b, 2) ? nothing : NULL, &new)) == GMX_OK)
        if ((new = atomic_exchange(&all.keys[i], new)) != 0) known(gmx_key_delete(new));
      return;
    case 1: known(gmx_key_set(k, &all)); return;
    case 2: (void)gmx_key_get(k); return;
    case 3: known(gmx_key_delete(k)); return;
    case 4:
      if (known(gmx_p_key_create(&p_new)) == GMX_OK)
        if ((p_new = atomic_exchange(&all.p_keys[i], p_new)) != 0) known(gmx_p_key_delete(p_new));
      return;
    case 5: known(gmx_p_set(pk, &all)); return;
    case 6: (void)gmx_p_get(pk); return;
    case 7: (void)gmx_p_get_of(pk, (int32_t)take(b, 4)); return;
    default: known(gmx_p_key_delete(pk));
  }
}

static void locks(bytes *b) {
  unsigned i = below(b, WORDS);
  switch (below(b, 21)) {
    case 0: known(below(b, 2) ? gmx_sema_release(&all.semas[i]) : gmx_sema_release_handoff(&all.semas[i])); return;
    case 1: known(gmx_sema_try_acquire(&all.semas[i])); return;
    case 2: known(gmx_sema_acquire_timeout(&all.semas[i], moment(b))); return;
    case 3: known(gmx_mutex_lock_timeout(&all.mutexes[i], moment(b))); return;
    case 4: known(gmx_mutex_try_lock(&all.mutexes[i])); return;
    case 5:
    case 6: known(gmx_mutex_unlock(&all.mutexes[i])); return;
    case 7: known(gmx_rwmutex_lock_timeout(&all.rws[i], moment(b))); return;
    case 8: known(gmx_rwmutex_rlock_timeout(&all.rws[i], moment(b))); return;
    case 9: known(gmx_rwmutex_try_lock(&all.rws[i])); return;
    case 10: known(gmx_rwmutex_try_rlock(&all.rws[i])); return;
    case 11: known(gmx_rwmutex_unlock(&all.rws[i])); return;
    case 12: known(gmx_rwmutex_runlock(&all.rws[i])); return;
    case 13: known(gmx_cond_signal(&all.conds[i])); return;
    case 14: known(gmx_cond_broadcast(&all.conds[i])); return;
    case 15: known(gmx_waitgroup_add(&all.groups[i], (int32_t)take(b, below(b, 8) ? 1 : 4))); return;
    case 16: known(gmx_waitgroup_done(&all.groups[i])); return;
    case 17: known(gmx_waitgroup_wait_timeout(&all.groups[i], moment(b))); return;
    case 18: known(gmx_once_do_timeout(&all.onces[i], nothing, NULL, moment(b))); return;
    case 19:
      all.barriers[i].n = i % 3 + 1; /* as it was */
      known(gmx_barrier_wait_timeout(&all.barriers[i], moment(b), NULL));
      return;
    default: known(gmx_sema_acquire_timeout(&all.semas[i], 0));
  }
}

/* Structs whose size field, and the bytes after them, come from the input. */
static void structs(bytes *b) {
  static _Thread_local union {
    size_t size;
    gmx_config config;
    gmx_spawn_opts opts;
    gmx_sched_stats sched;
    gmx_mem_stats mem;
    char room[4096 + 64];
  } u;
  memset(&u, 0, sizeof u);
  for (int i = 0; i < 96; i++) u.room[8 + i] = (char)take(b, 1);
  u.size = below(b, 2) ? below(b, 128) : hostile(b);
  switch (below(b, 4)) {
    case 0:
      u.config.report = NULL;
      if (known(gmx_init(&u.config)) == GMX_OK) FAIL("the runtime has been started twice");
      return;
    case 1:
      u.opts.name = NULL;
      /* the function and its argument are valid; the struct may not be */
      known(gmx_spawn_with(&u.opts, nothing, NULL, NULL));
      return;
    case 2: known(gmx_read_sched_stats(&u.sched)); return;
    default: known(gmx_read_mem_stats(&u.mem));
  }
}

static void run(bytes *b, int depth) {
  while (b->at < b->end) {
    atomic_int n = 0;
    uint64_t sum = 0;
    switch (below(b, 40)) {
      case 0:
      case 1:
      case 2: spawn(b, depth); break;
      case 3:
      case 4:
      case 5:
      case 6: channels(b); break;
      case 7:
      case 8: timers(b); break;
      case 9:
      case 10: tokens(b); break;
      case 11:
      case 12: scopes(b, depth); break;
      case 13: keys(b); break;
      case 14:
      case 15:
      case 16: locks(b); break;
      case 17: structs(b); break;
      case 18: known(gmx_join(handle(b, all.gs, GS), moment(b))); break;
      case 19: known(gmx_detach(handle(b, all.gs, GS))); break;
      case 20: known(gmx_ready(handle(b, below(b, 2) ? all.gs : all.parked, GS))); break;
      case 21: parks(); break;
      case 22: known(gmx_yield()); break;
      case 23: gmx_safepoint(); break;
      case 24: known(gmx_enter_syscall()); break;
      case 25: known(gmx_enter_syscall_blocking()); break;
      case 26:
      case 27: known(gmx_exit_syscall()); break;
      case 28: (void)gmx_pin(); break;
      case 29: known(gmx_unpin()); break;
      case 30: known(gmx_stop_the_world_timeout("bytes", moment(b))); break;
      case 31: known(gmx_start_the_world()); break;
      case 32:
        if (below(b, 4) == 0) known(gmx_for_each_p(counts, &n));
        break;
      case 33: known(gmx_for_each_g(looks, &sum)); break;
      case 34:
      case 35:
        if (depth < 4) {
          child *c = new_child(b, depth + 1);
          gmx_status (*in)(void (*)(void *), void *) = below(b, 2) ? gmx_callback : gmx_blocking;
          if (known(in(as_callback, c)) != GMX_OK) free(c);
        }
        break;
      case 36: known(below(b, 2) ? gmx_lock_os_thread() : gmx_unlock_os_thread()); break;
      case 37:
        if (below(b, 8) == 0) known(gmx_write_heap_dump(below(b, 2) ? nowhere : -1));
        else if (below(b, 8) == 0) known(gmx_release_memory());
        break;
      case 38: known(gmx_sleep(moment(b))); break;
      default: (void)gmx_gomaxprocs((int32_t)below(b, 8) - 1);
    }
  }
}

/* Readies all parked goroutines, the only ones that wait without a limit, until all have ended. */
static void ends(void) {
  int64_t end = check_now() + 120 * SECOND;
  while (atomic_load(&live) != 0 || gmx_num_g() != 0) {
    for (int i = 0; i < MOST_GS; i++)
      if (atomic_load(&all.parked[i])) known(gmx_ready(atomic_load(&all.parked[i])));
    if (check_now() > end) {
      gmx_write_heap_dump(2);
      FAIL("%d goroutines have not ended", atomic_load(&live));
    }
    thread_nap(MS / 20);
  }
  for (int i = 0; i < SCOPES; i++) {
    gmx_status result;
    known(gmx_scope_leave(atomic_load(&all.scopes[i]), 0, &result));
  }
  for (int i = 0; i < TIMERS; i++) {
    timed *t = atomic_load(&all.timers[i]);
    if (t == NULL) continue;
    known(gmx_timer_free(t->timer, NULL));
    known(gmx_chan_free(t->times));
    free(t);
  }
  for (int i = 0; i < TOKENS; i++) known(gmx_cancel_free(atomic_load(&all.tokens[i])));
  for (int i = 0; i < GS; i++) known(gmx_detach(atomic_load(&all.gs[i])));
  for (int i = 0; i < KEYS; i++) known(gmx_key_delete(atomic_load(&all.keys[i]))), known(gmx_p_key_delete(atomic_load(&all.p_keys[i])));
  for (int i = 0; i < CHANS; i++)
    if (atomic_load(&all.chans[i])) known(gmx_chan_free(atomic_load(&all.chans[i])));
  memset(&all, 0, sizeof all);
}

/* A foreign thread: attached for its whole life, or in a callback. */
static void *as_thread(void *arg) {
  child *c = arg;
  bool attached = c->program.at < c->program.end && *c->program.at & 1 && known(gmx_attach_thread()) == GMX_OK;
  if (attached) as_callback(c);
  else if (known(gmx_callback(as_callback, c)) != GMX_OK) FAIL("no callback on a thread of the host");
  atomic_fetch_sub(&live, 1);
  return NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static bool up;
  if (!up) {
    up = true;
    alarm(0); /* the fuzzer has a limit of its own */
    nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    /* The sanitizer has handlers of its own for faults. */
    gmx_config c = {.struct_size = sizeof c, .maxprocs = 3, .slice_ns = MS, .flags = GMX_CONFIG_NO_SIGSEGV};
    CHECK_OK(gmx_init(&c));
  }
  bytes b = {data, data + size};
  bool on_thread = below(&b, 4) == 0;
  child *c = malloc(sizeof *c);
  CHECK(c != NULL);
  *c = (child){b, 0};
  atomic_fetch_add(&live, 1);
  pthread_t t;
  if (on_thread) t = thread_start(as_thread, c);
  else CHECK_OK(gmx_spawn(as_g, c));
  ends();
  if (on_thread) thread_join(t);
  return 0;
}

#ifndef FUZZER
static void replay(const char *name) {
  static uint8_t data[1 << 16];
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) FAIL("%s: %s", name, strerror(errno));
  ssize_t n = read(fd, data, sizeof data);
  CHECK(n >= 0);
  close(fd);
  for (int i = 0; i < 100; i++) LLVMFuzzerTestOneInput(data, (size_t)n);
}

int main(int argc, char **argv) {
  if (argc == 2) {
    replay(argv[1]);
    return 0;
  }
  CHECK(argc == 3);
  int current = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  CHECK(current >= 0);
  const char *asked = getenv("GMX_SEED");
  uint64_t seed = asked ? strtoull(asked, NULL, 10) : (uint64_t)check_now();
  int64_t end = check_now() + (int64_t)(atof(argv[2]) * 1e9);
  long inputs = 0;
  do {
    static uint8_t data[2048];
    size_t n = next_random(&seed) >> 13 & (sizeof data - 1);
    for (size_t i = 0; i < n; i++) data[i] = (uint8_t)(next_random(&seed) >> 24);
    CHECK(pwrite(current, data, n, 0) == (ssize_t)n && ftruncate(current, (off_t)n) == 0);
    LLVMFuzzerTestOneInput(data, n);
    inputs++;
  } while (check_now() < end);
  check_say("%ld inputs", inputs);
  return 0;
}
#endif
