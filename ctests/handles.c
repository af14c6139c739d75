/* timeout: 120 */
/* env: GMX_MAXPROCS=2 */
/* Handles of Gs: joined, detached, stale and made-up handles; and one gmx_ready wakes one park. */
#include "gs.h"

static void parks(void *arg) { park_at((gmx_g *)arg); }

static gmx_g start_with(uint32_t flags, void (*fn)(void *), void *arg) {
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = flags};
  gmx_g g = 0;
  CHECK_OK(gmx_spawn_with(&opts, fn, arg, &g));
  return g;
}

static void is_stale(gmx_g g) {
  CHECK_STATUS(gmx_join(g, GMX_FOREVER), GMX_ESTALE);
  CHECK_STATUS(gmx_join(g, 0), GMX_ESTALE);
  CHECK_STATUS(gmx_detach(g), GMX_ESTALE);
  CHECK_STATUS(gmx_ready(g), GMX_ESTALE);
}

/* ---- join ---- */

static void join_waits_for_the_end(void) {
  int ran = 0;
  for (int i = 1; i <= 1000; i++) {
    gmx_g g = go_joinable(add_one, &ran);
    join(g);
    CHECK_EQ(load(&ran), i);
    is_stale(g);
  }
}

static void join_times_out_and_may_be_tried_again(void) {
  gmx_g where = 0, g = go_joinable(parks, &where);
  CHECK_STATUS(gmx_join(g, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_join(g, 1000000), GMX_ETIMEDOUT);
  wake_at(&where);
  CHECK_EQ(where, g);
  CHECK_OK(gmx_join(g, GMX_FOREVER));
  is_stale(g);
}

static void times_out_on_a_g(void *arg) {
  (void)arg;
  join_waits_for_the_end();
  join_times_out_and_may_be_tried_again();
}
static void joins_on_a_g(void) { on_g(times_out_on_a_g, NULL); }

/* A join that times out while the G ends: OK or a time-out, and after a time-out the handle still joins. */
static void join_races_the_end(void) {
  for (int i = 0; i < 2000; i++) {
    gmx_g g = go_joinable(nothing, NULL);
    gmx_status s = gmx_join(g, i * 10);
    if (s == GMX_ETIMEDOUT) s = gmx_join(g, GMX_FOREVER);
    CHECK_OK(s);
    is_stale(g);
  }
}

static void joins_itself(void *arg) {
  (void)arg;
  CHECK_STATUS(gmx_join(gmx_self(), GMX_FOREVER), GMX_EDEADLK);
  CHECK_STATUS(gmx_join(gmx_self(), 0), GMX_EDEADLK);
}
static void join_of_itself(void) { on_g(joins_itself, NULL); }

static void only_joinable_ones(void) {
  gmx_g where = 0, g = start_with(0, parks, &where);
  CHECK_STATUS(gmx_join(g, GMX_FOREVER), GMX_EINVAL);
  CHECK_STATUS(gmx_detach(g), GMX_EINVAL);
  wake_at(&where);
  spin_until(gmx_ready(g) == GMX_ESTALE); /* it counts as ended a moment before its handle is stale */
  is_stale(g);
}

struct joiners {
  gmx_g g;
  int won, stale, waiting;
};

static void joins(void *arg) {
  struct joiners *j = arg;
  bump(&j->waiting);
  gmx_status s = gmx_join(j->g, GMX_FOREVER);
  if (s == GMX_OK) bump(&j->won);
  else if (s == GMX_ESTALE) bump(&j->stale);
  else FAIL("a joiner among many got %s", gmx_err_name(s));
}
static void *joins_as_thread(void *arg) {
  joins(arg);
  return NULL;
}

/* Gs and threads join one G: each call returns, and at least one has joined it. */
static void join_by_many(void) {
  for (int round = 0; round < 50; round++) {
    gmx_g where = 0;
    struct joiners j = {go_joinable(parks, &where), 0, 0, 0};
    gmx_g gs[8];
    pthread_t threads[4];
    for (int i = 0; i < 8; i++) gs[i] = go_joinable(joins, &j);
    for (int i = 0; i < 4; i++) threads[i] = thread_start(joins_as_thread, &j);
    spin_until(load(&j.waiting) == 12);
    wake_at(&where);
    join_all(gs, 8);
    join_threads(threads, 4);
    CHECK_EQ(j.won + j.stale, 12);
    CHECK(j.won >= 1);
    is_stale(j.g);
  }
}

/* ---- detach ---- */

static void detach_before_and_after_the_end(void) {
  gmx_g where = 0, g = go_joinable(parks, &where);
  CHECK_OK(gmx_detach(g));
  CHECK(gmx_join(g, GMX_FOREVER) < 0);
  CHECK(gmx_detach(g) < 0);
  wake_at(&where);
  spin_until(gmx_ready(g) == GMX_ESTALE); /* it counts as ended a moment before its handle is stale */
  is_stale(g);

  g = go_joinable(nothing, NULL);
  spin_until(gmx_num_g() == 0);
  CHECK_OK(gmx_detach(g));
  is_stale(g);
}

/* A G that a joiner waits for cannot be detached. */
static void no_detach_while_a_g_joins(void) {
  gmx_g where = 0;
  struct joiners j = {go_joinable(parks, &where), 0, 0, 0};
  gmx_g joiner = go_joinable(joins, &j);
  spin_until(count_waiting() == 2);
  CHECK_STATUS(gmx_detach(j.g), GMX_EBUSY);
  wake_at(&where);
  join(joiner);
  CHECK_EQ(j.won, 1);
  is_stale(j.g);
}

static void detach_races_the_end(void) {
  for (int i = 0; i < 2000; i++) {
    gmx_g g = go_joinable(nothing, NULL);
    for (volatile int spin = 0; spin < i % 300; spin++) {
    }
    CHECK_OK(gmx_detach(g));
  }
  spin_until(gmx_num_g() == 0);
}

static uint64_t descriptors(void) { return mem_stats().g_descriptors; }

/* The descriptor of a G that has ended, and was joined or detached, is used again. */
static void ended_gs_cost_nothing(void) {
  for (int i = 0; i < 1000; i++) join(go_joinable(nothing, NULL));
  uint64_t before = descriptors();
  for (int i = 0; i < 20000; i++) {
    gmx_g g = go_joinable(nothing, NULL);
    if (i % 2) join(g);
    else CHECK_OK(gmx_detach(g));
    if (i % 64 == 0) spin_until(gmx_num_g() == 0);
  }
  CHECK_CMP(descriptors(), <, before + 8000); /* each P keeps a few thousand; either way leaked is 10000 */
}

/* ---- handles that never were ---- */

static void made_up_handles(void) {
  gmx_g where = 0, g = go_joinable(parks, &where);
  spin_until(load(&where) != 0); /* the only G, so that any other handle names none */
  is_stale(0);
  is_stale(~(gmx_g)0);
  for (int bit = 0; bit < 64; bit++) is_stale(g ^ ((gmx_g)1 << bit));
  for (int shift = 0; shift < 64; shift += 8) {
    is_stale(g + ((gmx_g)1 << shift));
    is_stale(g - ((gmx_g)1 << shift));
    is_stale(~(gmx_g)0 << shift);
    is_stale(~(gmx_g)0 >> shift);
  }
  is_stale((g & 0xffffffffu) | 0xffffffff00000000u);
  is_stale(g | 0xffffffffu);
  uint64_t random = 88172645463325252u;
  for (int i = 0; i < 200000; i++) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    gmx_g h = i % 2 ? random : (g & 0xffffffff00000000u) | (random & 0xffffffffu);
    if (h != g) CHECK_STATUS(gmx_ready(h), GMX_ESTALE);
  }
  CHECK_OK(gmx_ready(g));
  join(g);
}

enum { MANY = 50000 };

static int compare(const void *a, const void *b) {
  gmx_g x = *(const gmx_g *)a, y = *(const gmx_g *)b;
  return x < y ? -1 : x > y;
}

static void no_handle_comes_twice(void) {
  gmx_g *all = calloc(MANY, sizeof *all);
  for (int i = 0; i < MANY; i++) {
    all[i] = go_joinable(nothing, NULL);
    join(all[i]);
  }
  gmx_g where = 0, g = go_joinable(parks, &where);
  for (int i = 0; i < MANY; i++) CHECK_STATUS(gmx_ready(all[i]), GMX_ESTALE);
  qsort(all, MANY, sizeof *all, compare);
  for (int i = 1; i < MANY; i++) CHECK(all[i] != all[i - 1]);
  wake_at(&where);
  join(g);
  free(all);
}

static void tells_self(void *arg) { *(gmx_g *)arg = gmx_self(); }

static void self_is_the_handle(void) {
  gmx_g self = 0, g = go_joinable(tells_self, &self);
  join(g);
  CHECK_EQ(self, g);
}

static void tells_goid(void *arg) { *(uint64_t *)arg = gmx_goid(); }

static void ids_are_small_and_unique(void) {
  enum { GS = 3000 };
  static uint64_t ids[GS];
  static gmx_g gs[GS];
  uint64_t first = 0;
  on_g(tells_goid, &first);
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(tells_goid, &ids[i]);
  join_all(gs, GS);
  qsort(ids, GS, sizeof *ids, compare);
  CHECK(ids[0] != 0);
  for (int i = 1; i < GS; i++) CHECK(ids[i] != ids[i - 1]);
  CHECK_CMP(ids[GS - 1], <, first + GS + 100000); /* taken in batches, not thrown away */
}

/* ---- ready ---- */

static void ready_wants_a_parked_g(void) {
  gmx_g where = 0, g = go_joinable(parks, &where);
  wake_at(&where);
  gmx_status s = gmx_ready(g); /* the G runs, or has ended and is not joined yet */
  CHECK(s == GMX_EPERM || s == GMX_ESTALE);
  join(g);
}

enum { PARKS = 3000, WAKERS = 3 };

struct ring {
  gmx_g where;
  int wakes, parks, done;
};

static void parks_often(void *arg) {
  struct ring *r = arg;
  for (int i = 0; i < PARKS; i++) {
    CHECK_OK(gmx_park(tell_parked, &r->where, "often"));
    bump(&r->parks);
  }
  store(&r->done, 1);
}

static void wakes_often(void *arg) {
  struct ring *r = arg;
  while (!load(&r->done)) {
    gmx_g g = load(&r->where);
    gmx_status s = g ? gmx_ready(g) : GMX_EPERM;
    if (s == GMX_OK) bump(&r->wakes);
    else if (s != GMX_EPERM && s != GMX_ESTALE) FAIL("gmx_ready is %s", gmx_err_name(s));
    else check_pause();
  }
}
static void *wakes_as_thread(void *arg) {
  wakes_often(arg);
  return NULL;
}

/* Many wakers ready one G over and over, also while its commit still runs: each park takes exactly one ready. */
static void one_ready_wakes_one_park(void) {
  struct ring r = {0, 0, 0, 0};
  pthread_t thread = thread_start(wakes_as_thread, &r);
  gmx_g wakers[WAKERS];
  for (int i = 0; i < WAKERS; i++) wakers[i] = go_joinable(wakes_often, &r);
  gmx_g g = go_joinable(parks_often, &r);
  join(g);
  join_all(wakers, WAKERS);
  thread_join(thread);
  CHECK_EQ(r.parks, PARKS);
  CHECK_EQ(r.wakes, PARKS);
}

static bool never(void *arg, gmx_g g) {
  CHECK(g == *(gmx_g *)arg);
  return false;
}

static void vetoes(void *arg) {
  gmx_g self = gmx_self();
  for (int i = 0; i < 1000; i++) CHECK_OK(gmx_park(never, &self, NULL));
  CHECK_STATUS(gmx_ready(self), GMX_EPERM);
  bump((int *)arg);
}

static void a_commit_may_refuse(void) {
  int done = 0;
  on_g(vetoes, &done);
  CHECK_EQ(done, 1);
}

/* ---- the caller's struct ---- */

static void spawn_options(void) {
  struct {
    gmx_spawn_opts opts;
    uint64_t tail;
  } later;
  int ran = 0;
  gmx_g g = 77;
  memset(&later, 0, sizeof later);
  later.opts.struct_size = sizeof later;
  later.tail = 1;
  CHECK_STATUS(gmx_spawn_with(&later.opts, add_one, &ran, &g), GMX_EINVAL);
  CHECK_EQ(g, 77);
  later.tail = 0;
  CHECK_OK(gmx_spawn_with(&later.opts, add_one, &ran, NULL));
  /* a caller that knows only the flags: the library does not read beyond them */
  later.opts.struct_size = offsetof(gmx_spawn_opts, reserved);
  later.opts.flags = GMX_SPAWN_JOINABLE;
  later.opts.stack_size = ~(size_t)0;
  later.opts.name = (const char *)1;
  CHECK_OK(gmx_spawn_with(&later.opts, add_one, &ran, &g));
  join(g);
  spin_until(load(&ran) == 2);

  gmx_spawn_opts opts = {.struct_size = sizeof opts};
  for (size_t size = 1; size < sizeof(size_t); size++) {
    opts.struct_size = size;
    CHECK_STATUS(gmx_spawn_with(&opts, add_one, &ran, NULL), GMX_EINVAL);
  }
  opts.struct_size = sizeof opts;
  for (int bit = 7; bit < 32; bit++) {
    opts.flags = 1u << bit;
    CHECK_STATUS(gmx_spawn_with(&opts, add_one, &ran, NULL), GMX_EINVAL);
  }
  opts.flags = 0;
  opts.reserved = 1;
  CHECK_STATUS(gmx_spawn_with(&opts, add_one, &ran, NULL), GMX_EINVAL);
  opts.reserved = 0;
  const size_t absurd[] = {((size_t)1 << 30) + 1, (size_t)1 << 40, ~(size_t)0, ~(size_t)0 - 4095};
  for (int i = 0; i < 4; i++) {
    opts.stack_size = absurd[i];
    CHECK_STATUS(gmx_spawn_with(&opts, add_one, &ran, NULL), GMX_EINVAL);
  }
  const size_t fine[] = {1, 4096, 65536 + 1, (size_t)1 << 20, (size_t)64 << 20};
  for (int i = 0; i < 5; i++) {
    opts.stack_size = fine[i];
    CHECK_OK(gmx_spawn_with(&opts, add_one, &ran, NULL));
  }
  char name[1000];
  memset(name, 'x', sizeof name - 1);
  name[sizeof name - 1] = 0;
  opts.stack_size = 0;
  opts.name = name;
  CHECK_OK(gmx_spawn_with(&opts, add_one, &ran, NULL));
  spin_until(load(&ran) == 8);
}

static void uses_its_stack(void *arg) {
  char block[900 * 1024];
  memset(block, 1, sizeof block);
  __asm__ volatile("" : : "r"(block) : "memory");
  bump((int *)arg);
}

static void a_stack_is_as_big_as_asked(void) {
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .stack_size = 1 << 20};
  int ran = 0;
  for (int i = 0; i < 20; i++) CHECK_OK(gmx_spawn_with(&opts, uses_its_stack, &ran, NULL));
  spin_until(load(&ran) == 20);
}

int main(void) {
  RUN(join_waits_for_the_end);
  RUN(join_times_out_and_may_be_tried_again);
  RUN(joins_on_a_g);
  RUN(join_races_the_end);
  RUN(join_of_itself);
  RUN(only_joinable_ones);
  RUN(join_by_many);
  RUN(detach_before_and_after_the_end);
  RUN(no_detach_while_a_g_joins);
  RUN(detach_races_the_end);
  RUN(ended_gs_cost_nothing);
  RUN(made_up_handles);
  RUN(no_handle_comes_twice);
  RUN(self_is_the_handle);
  RUN(ids_are_small_and_unique);
  RUN(ready_wants_a_parked_g);
  RUN(one_ready_wakes_one_park);
  RUN(a_commit_may_refuse);
  RUN(spawn_options);
  RUN(a_stack_is_as_big_as_asked);
  RUN(ends_clean);
  return 0;
}
