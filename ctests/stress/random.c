/* Random programs of Gs, threads and stops of the world, all at once, with invariants checked all the time.
 *
 *   random [seed [seconds]]        or GMX_SEED=seed; GMX_STRESS gives minutes if no seconds are given
 *
 * A seed fixes the programs, not how their threads meet. Each round of about a second has a runtime of its own, and
 * prints its seed first: that seed repeats the programs of the round. */
#include "../random/connections.h"
#include "../random/descriptors.h"
#include "../random/others.h"

#ifndef RANDOM_SECONDS
#define RANDOM_SECONDS (60 * atof(getenv("GMX_STRESS") ? getenv("GMX_STRESS") : "1"))
#endif

/* ---- tokens: a semaphore's count comes back ---- */

#define SEMAS 4
#define TOKENS 3
static uint32_t semas[SEMAS];
static atomic_int taken[SEMAS];

static void with_token(actor *a, void (*body)(actor *)) {
  size_t i = rnd(a, SEMAS);
  gmx_status s;
  switch (rnd(a, 3)) {
    case 0: s = gmx_sema_acquire(&semas[i]); break;
    case 1: s = gmx_sema_try_acquire(&semas[i]); break;
    default: s = gmx_sema_acquire_timeout(&semas[i], (int64_t)rnd(a, 200000));
  }
  if (s == GMX_EAGAIN || s == GMX_ETIMEDOUT) return;
  CHECK_OK(s);
  CHECK_CMP(atomic_fetch_add(&taken[i], 1), <, TOKENS);
  body(a);
  CHECK_CMP(atomic_fetch_sub(&taken[i], 1), >, 0);
  CHECK_OK(gmx_sema_release(&semas[i]));
}

/* ---- mutexes: plain counters stay whole ---- */

#define MUTEXES 3
static gmx_mutex mutexes[MUTEXES];
static long guarded[MUTEXES];
static atomic_long guarded_too[MUTEXES];

static void with_mutex(actor *a, void (*body)(actor *)) {
  size_t i = rnd(a, MUTEXES);
  gmx_status s;
  switch (rnd(a, 3)) {
    case 0: s = gmx_mutex_lock(&mutexes[i]); break;
    case 1: s = gmx_mutex_try_lock(&mutexes[i]); break;
    default: s = gmx_mutex_lock_timeout(&mutexes[i], (int64_t)rnd(a, 200000));
  }
  if (s == GMX_EBUSY || s == GMX_ETIMEDOUT) return;
  CHECK_OK(s);
  long n = guarded[i];
  body(a);
  guarded[i] = n + 1;
  atomic_fetch_add(&guarded_too[i], 1);
  CHECK_OK(gmx_mutex_unlock(&mutexes[i]));
}

/* ---- thread identity, and moves of Gs in a stopped world ---- */

static atomic_ullong owner_of[1 << 22]; /* by thread id: the goid that has it locked */
static atomic_long moves;               /* counted by Gs that hold a P */

static void moved(void) {
  int tid = thread_id();
  uint64_t id = gmx_goid(), owner = atomic_load(&owner_of[tid]);
  if (owner != 0 && owner != id)
    FAIL("G %llu runs on the thread of G %llu", (unsigned long long)id, (unsigned long long)owner);
  atomic_fetch_add(&moves, 1);
}

/* ---- small things, with or without something held ---- */

static void naps_in_syscall(actor *a) {
  if (!is_g()) return;
  CHECK_OK(rnd(a, 2) ? gmx_enter_syscall() : gmx_enter_syscall_blocking());
  if (rnd(a, 4) == 0) thread_nap((int64_t)rnd(a, 100000));
  CHECK_OK(gmx_exit_syscall());
  moved();
}

static void sleeps(actor *a) {
  int64_t ns = (int64_t)rnd(a, 150000), begin = gmx_now();
  CHECK_OK(gmx_sleep(ns));
  CHECK_CMP(gmx_now() - begin, >=, ns);
}

static void yields(actor *a) {
  for (uint64_t n = rnd(a, 10); n > 0; n--) {
    CHECK_OK(gmx_yield());
    if (is_g()) moved();
  }
}

static void polls(actor *a) {
  for (uint64_t n = rnd(a, 2000); n > 0; n--) gmx_safepoint();
  if (is_g()) moved();
}

/* A hog, for a moment. */
static void computes(actor *a) {
  for (uint64_t n = rnd(a, rnd(a, 20) ? 20000 : 2000000); n > 0; n--) __asm__ volatile("" ::: "memory");
}

static void small(actor *a) {
  switch (rnd(a, 7)) {
    case 0: naps_in_syscall(a); break;
    case 1: sleeps(a); break;
    case 2: yields(a); break;
    case 3: computes(a); break;
    case 4: talks(a, false); break;
    default: polls(a);
  }
}

/* ---- park and ready ---- */

#define SLOTS 16
static atomic_ullong slots[SLOTS]; /* handles of parked Gs */
static atomic_long parks_done, readies_done;

static bool publish(void *arg, gmx_g g) {
  unsigned long long empty = 0;
  return atomic_compare_exchange_strong((atomic_ullong *)arg, &empty, g); /* a veto if the slot is taken */
}

static void parks(actor *a) {
  if (atomic_load(&quit)) return;
  atomic_ullong *slot = &slots[rnd(a, SLOTS)];
  CHECK_OK(gmx_park(publish, slot, "a random slot"));
  atomic_fetch_add(&parks_done, 1);
  if (is_g()) moved();
}

static void readies_slot(size_t i) {
  gmx_g g = atomic_exchange(&slots[i], 0);
  if (g == 0) return;
  CHECK_OK(gmx_ready(g)); /* only the thread that takes the handle out may ready it */
  atomic_fetch_add(&readies_done, 1);
}

static void readies(actor *a) { readies_slot(rnd(a, SLOTS)); }

/* ---- spawn and join ---- */

static gmx_key key;
static atomic_long keys_set, keys_destroyed;

static void destroys(void *value) {
  CHECK_EQ((uintptr_t)value, 0x5eed);
  atomic_fetch_add(&keys_destroyed, 1);
}

static void step(actor *a);

static void child(void *arg) {
  actor *a = arg;
  actor mine = *a;
  free(a);
  moved();
  if (rnd(&mine, 4) == 0) {
    CHECK(gmx_key_get(key) == NULL);
    CHECK_OK(gmx_key_set(key, (void *)0x5eed));
    atomic_fetch_add(&keys_set, 1);
  }
  for (uint64_t n = rnd(&mine, 6); n > 0 && !atomic_load(&quit); n--) step(&mine);
  atomic_fetch_sub(&actors, 1);
  if (rnd(&mine, 8) == 0) gmx_goexit();
}

static void spawns(actor *a) {
  if (a->depth > 3 || atomic_load(&actors) > 2000 || atomic_load(&quit)) return;
  int n = 1 + (int)rnd(a, 8);
  gmx_g gs[8];
  bool joinable[8];
  for (int i = 0; i < n; i++) {
    actor *c = malloc(sizeof *c);
    CHECK(c != NULL);
    c->seed = next_random(&a->seed);
    c->depth = a->depth + 1;
    gmx_spawn_opts o;
    memset(&o, 0, sizeof o);
    o.struct_size = sizeof o;
    joinable[i] = rnd(a, 2);
    if (joinable[i]) o.flags |= GMX_SPAWN_JOINABLE;
    if (rnd(a, 4) == 0) o.flags |= GMX_SPAWN_CHILD_FIRST;
    if (rnd(a, 8) == 0) o.stack_size = (size_t)32 << (10 + rnd(a, 6));
    o.name = rnd(a, 2) ? "random child" : NULL;
    atomic_fetch_add(&actors, 1);
    CHECK_OK(gmx_spawn_with(&o, child, c, &gs[i]));
    CHECK(gs[i] != 0);
  }
  if (is_g()) moved();
  for (int i = 0; i < n; i++) {
    if (!joinable[i]) continue;
    if (rnd(a, 4) == 0) {
      CHECK_OK(gmx_detach(gs[i]));
      continue;
    }
    /* another G or thread has to ready the parked Gs */
    gmx_status s;
    while ((s = gmx_join(gs[i], (int64_t)rnd(a, 300000))) != GMX_OK) {
      CHECK_STATUS(s, GMX_ETIMEDOUT);
      readies(a);
    }
    CHECK_STATUS(gmx_join(gs[i], 0), GMX_ESTALE);
    CHECK_STATUS(gmx_ready(gs[i]), GMX_ESTALE);
  }
}

/* ---- threads ---- */

static void locks_thread(actor *a) {
  if (!is_g()) return;
  CHECK_OK(gmx_lock_os_thread());
  int tid = thread_id();
  unsigned long long before = atomic_exchange(&owner_of[tid], gmx_goid());
  CHECK(before == 0 || before == gmx_goid());
  for (uint64_t n = 1 + rnd(a, 5); n > 0; n--) {
    small(a);
    CHECK_EQ(thread_id(), tid);
  }
  atomic_store(&owner_of[tid], before);
  CHECK_OK(gmx_unlock_os_thread());
}

static void in_callback(void *arg) {
  actor *a = arg;
  CHECK(is_g());
  int tid = thread_id();
  uint64_t id = gmx_goid();
  for (uint64_t n = rnd(a, 4); n > 0; n--) {
    step(a);
    CHECK_EQ(thread_id(), tid);
    CHECK_EQ(gmx_goid(), id);
  }
}

static void in_callback_on_g(void *arg) {
  actor *a = arg;
  CHECK(is_g());
  small(a);
}

static void calls_back(actor *a) {
  if (a->depth > 5) return;
  a->depth++;
  if (is_g()) {
    CHECK_OK(gmx_callback(in_callback_on_g, a)); /* a plain call */
    CHECK_OK(gmx_enter_syscall());
    int tid = thread_id();
    CHECK_OK(gmx_callback(in_callback_on_g, a)); /* leaves the syscall for as long */
    CHECK_EQ(thread_id(), tid);
    CHECK_OK(gmx_exit_syscall());
  } else {
    CHECK_OK(gmx_callback(in_callback, a));
  }
  a->depth--;
}

static void blocks(void *arg) {
  actor *a = arg;
  if (rnd(a, 3) == 0) thread_nap((int64_t)rnd(a, 100000));
}

/* ---- the world ---- */

#define MOST_PS 64
static atomic_int world_stopped;

static void looks(void *arg, const gmx_g_info *info) {
  (*(long *)arg)++;
  CHECK(info->g != 0 && info->goid != 0);
  if (info->stack_lo && info->g != gmx_self()) CHECK(info->sp >= info->stack_lo && info->sp <= info->stack_hi);
}

static void stops(actor *a) {
  gmx_status s = rnd(a, 2) ? gmx_stop_the_world("random") : gmx_stop_the_world_timeout("random", 60 * SECOND);
  CHECK_OK(s);
  CHECK_EQ(atomic_fetch_add(&world_stopped, 1), 0);
  long before = atomic_load(&moves), seen = 0;
  if (rnd(a, 2)) CHECK_OK(gmx_for_each_g(looks, &seen));
  for (uint64_t n = rnd(a, 3000); n > 0; n--) __asm__ volatile("" ::: "memory");
  readies(a);
  CHECK_EQ(atomic_load(&moves), before);
  CHECK_EQ(atomic_fetch_sub(&world_stopped, 1), 1);
  CHECK_OK(gmx_start_the_world());
}

static long p_counters[MOST_PS][16];
static atomic_long pinned_counts;
static long merged; /* by one barrier at a time */

typedef struct barrier_call {
  atomic_int times[MOST_PS];
} barrier_call;

static void in_barrier(void *arg) {
  int32_t p = gmx_pin();
  CHECK(p >= 0 && p < MOST_PS);
  CHECK_EQ(atomic_fetch_add(&((barrier_call *)arg)->times[p], 1), 0);
  CHECK_EQ(atomic_load(&world_stopped), 0);
  __atomic_fetch_add(&merged, p_counters[p][0], __ATOMIC_RELAXED);
  p_counters[p][0] = 0;
  if (p % 4 == 0) readies_slot((size_t)p % SLOTS);
  gmx_unpin();
}

static void barrier(void) {
  barrier_call c;
  memset(&c, 0, sizeof c);
  CHECK_OK(gmx_for_each_p(in_barrier, &c));
  int n = 0;
  while (n < MOST_PS && atomic_load(&c.times[n])) n++;
  CHECK_CMP(n, >=, 1);
  for (int p = n; p < MOST_PS; p++) CHECK_EQ(atomic_load(&c.times[p]), 0);
}

static void pins(actor *a) {
  if (!is_g()) return;
  int32_t p = gmx_pin();
  CHECK(p >= 0 && p < MOST_PS);
  for (uint64_t n = rnd(a, 20); n > 0; n--) {
    long was = *(volatile long *)&p_counters[p][0];
    gmx_safepoint();
    *(volatile long *)&p_counters[p][0] = was + 1;
    atomic_fetch_add(&pinned_counts, 1);
  }
  CHECK_EQ(gmx_pin(), p);
  CHECK_OK(gmx_unpin());
  CHECK_OK(gmx_unpin());
}

static int nowhere;

static void inspects(actor *a) {
  switch (rnd(a, 3)) {
    case 0: {
      gmx_mem_stats m = mem_stats();
      CHECK_CMP(m.stacks_inuse_bytes, <=, m.stacks_reserved_bytes);
      CHECK(m.g_descriptors >= m.g_live);
      break;
    }
    case 1: {
      gmx_sched_stats s = sched_stats();
      CHECK(s.gomaxprocs >= 1 && s.gomaxprocs <= MOST_PS);
      CHECK(s.idleprocs >= 0 && s.idleprocs <= MOST_PS);
      CHECK_CMP(s.threads, >=, 1);
      break;
    }
    default: CHECK_OK(gmx_write_heap_dump(nowhere));
  }
}

/* ---- an actor ---- */

static void step(actor *a) {
  if (is_g()) moved();
  switch (rnd(a, 64)) {
    case 0: stops(a); break;
    case 1: barrier(); break;
    case 2: CHECK_CMP(gmx_gomaxprocs(1 + (int32_t)rnd(a, rnd(a, 4) ? 8 : MOST_PS)), >=, 1); break;
    case 3: inspects(a); break;
    case 4:
    case 5: locks_thread(a); break;
    case 6:
    case 7: calls_back(a); break;
    case 8: CHECK_OK(gmx_blocking(blocks, a)); break;
    case 9: {
      CHECK_CMP(gmx_num_g(), >=, 0);
      CHECK_STATUS(gmx_ready(a->seed | UINT64_C(1) << 63), GMX_ESTALE); /* the handle of no G */
      CHECK_STATUS(gmx_join(0, 0), GMX_ESTALE);
      break;
    }
    case 10:
    case 11:
    case 12:
    case 13: parks(a); break;
    case 14:
    case 15:
    case 16:
    case 17:
    case 18: readies(a); break;
    case 19:
    case 20:
    case 21: spawns(a); break;
    case 22:
    case 23:
    case 24: pins(a); break;
    case 25:
    case 26:
    case 27:
    case 28: with_token(a, small); break;
    case 29:
    case 30:
    case 31: with_mutex(a, small); break;
    case 32:
    case 33:
    case 34:
    case 35:
    case 36:
    case 37: talks(a, true); break;
    case 38: ends_talk(a); break;
    case 39: cancels(a); break;
    case 40: rings(a); break;
    case 41:
    case 42: hears(a); break;
    case 43:
    case 44: answers(a); break;
    case 45: asks(a); break;
    case 46: rnd(a, 8) ? asks(a) : listener_replace(); break;
    case 47: copies(a); break;
    case 48: looks_up(a); break;
    case 49:
    case 50: uses_file(a); break;
    case 51: if (rnd(a, 8) == 0) has_child(a); break;
    case 52: raises(); break;
    case 53: sees_one(); break;
    case 54: if (rnd(a, 4) == 0) notices(a); break;
    case 55: posts(); break;
    case 56: runs_posts(a); break;
    default: small(a);
  }
  if (is_g()) moved();
}

static void acts_as_g(void *arg) {
  actor a = {(uint64_t)(uintptr_t)arg, 0};
  while (!atomic_load(&quit)) step(&a);
  atomic_fetch_sub(&actors, 1);
}

/* Plain, attached for a while, and in callbacks, in turn. */
static void *acts_as_thread(void *arg) {
  actor a = {(uint64_t)(uintptr_t)arg, 0};
  while (!atomic_load(&quit)) {
    for (uint64_t n = rnd(&a, 20); n > 0 && !atomic_load(&quit); n--) step(&a);
    CHECK_OK(gmx_attach_thread());
    CHECK_STATUS(gmx_attach_thread(), GMX_EPERM);
    for (uint64_t n = rnd(&a, 20); n > 0 && !atomic_load(&quit); n--) step(&a);
    CHECK_OK(gmx_detach_thread());
    CHECK_STATUS(gmx_detach_thread(), GMX_EPERM);
  }
  atomic_fetch_sub(&actors, 1);
  return NULL;
}

/* ---- a round ---- */

static void one_round(uint64_t seed, int64_t ns) {
  actor a = {seed, 0};
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = 1 + (int32_t)rnd(&a, 16);
  config.slice_ns = (int64_t)(20000u << rnd(&a, 10));
  int gs = 1 + (int)rnd(&a, 60), threads = (int)rnd(&a, 6);
  check_say("seed %" PRIu64 ": %d Ps, slices of %d us, %d Gs, %d threads", seed, (int)config.maxprocs,
            (int)(config.slice_ns / 1000), gs, threads);
  CHECK_OK(gmx_init(&config));

  atomic_store(&quit, 0);
  memset(mutexes, 0, sizeof mutexes);
  memset(guarded, 0, sizeof guarded);
  memset(guarded_too, 0, sizeof guarded_too);
  memset(p_counters, 0, sizeof p_counters);
  merged = 0;
  atomic_store(&pinned_counts, 0);
  atomic_store(&keys_set, 0);
  atomic_store(&keys_destroyed, 0);
  atomic_store(&parks_done, 0);
  atomic_store(&readies_done, 0);
  for (int i = 0; i < SEMAS; i++) semas[i] = TOKENS;
  CHECK_OK(gmx_key_create(destroys, &key));
  talks_begin();
  descriptors_begin();
  others_begin();

  pthread_t t[6];
  atomic_store(&actors, gs + threads);
  for (int i = 0; i < gs; i++) go(acts_as_g, (void *)(uintptr_t)next_random(&a.seed));
  for (int i = 0; i < threads; i++) t[i] = thread_start(acts_as_thread, (void *)(uintptr_t)next_random(&a.seed));

  int64_t end = check_now() + ns;
  while (check_now() < end) {
    thread_nap(MS);
    for (size_t i = 0; i < SLOTS; i++) readies_slot(i);
    if (rnd(&a, 3) == 0) ends_a_talk(&a, rnd(&a, CONNECTIONS)); /* its waits may have no limit */
  }
  atomic_store(&quit, 1);
  int64_t last = check_now();
  while (atomic_load(&actors) != 0) {
    for (size_t i = 0; i < SLOTS; i++) readies_slot(i); /* the Gs that parked last */
    for (size_t i = 0; i < CONNECTIONS; i++) ends_a_talk(&a, i);
    thread_nap(MS / 10);
    if (check_now() - last > 60 * SECOND) {
      gmx_write_heap_dump(2);
      FAIL("seed %" PRIu64 ": %ld have not ended after 60 s", seed, atomic_load(&actors));
    }
  }
  join_threads(t, threads);
  spin_until(gmx_num_g() == 0);

  /* what went in came out */
  talks_end(&a);
  descriptors_end();
  others_end();
  forget_tokens();
  for (int i = 0; i < SEMAS; i++) {
    CHECK_EQ(semas[i], TOKENS);
    CHECK_EQ(atomic_load(&taken[i]), 0);
  }
  for (int i = 0; i < MUTEXES; i++) CHECK_EQ(guarded[i], atomic_load(&guarded_too[i]));
  CHECK_EQ(atomic_load(&keys_set), atomic_load(&keys_destroyed));
  CHECK_CMP(atomic_load(&readies_done), <=, atomic_load(&parks_done)); /* vetoes park and are not readied */
  CHECK_CMP(gmx_gomaxprocs(MOST_PS), >=, 1);
  barrier();
  CHECK_EQ(merged, atomic_load(&pinned_counts));
  CHECK_OK(gmx_key_delete(key));
  CHECK_OK(gmx_shutdown(60 * SECOND));
  check_say("  %lld bytes, %lld messages, %lld connections ended in order and %lld at once, %lld answers, %lld children",
            (long long)bytes_moved, (long long)messages_moved, (long long)ended_in_order, (long long)ended_at_once,
            (long long)asked, (long long)children_made);
  for (size_t i = 0; i < sizeof owner_of / sizeof owner_of[0]; i++) CHECK_EQ(atomic_load(&owner_of[i]), 0);
}

int main(int argc, char **argv) {
  const char *asked = argc > 1 ? argv[1] : getenv("GMX_SEED");
  uint64_t seed = asked ? strtoull(asked, NULL, 10) : (uint64_t)check_now();
  double seconds = argc > 2 ? atof(argv[2]) : RANDOM_SECONDS;
  int64_t end = check_now() + (int64_t)(seconds * 1e9);
  nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
  CHECK(nowhere >= 0);
  alarm((unsigned)seconds + 150);
  do {
    int64_t left = end - check_now();
    one_round(seed, left > SECOND ? SECOND : left > 0 ? left : 1);
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
  } while (check_now() < end);
  close(nowhere);
  return 0;
}
