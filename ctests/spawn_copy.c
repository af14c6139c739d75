/* env: GMX_MAXPROCS=2 */
/* The options of a spawn: copied arguments, a wait group that counts the goroutine, a place at the end of the queue. */
#include "gs.h"

/* ---- arguments that are copied ---- */

struct bytes {
  unsigned char byte[GMX_SPAWN_COPY_MAX];
};

static int ran, wrong;

/* A size to expect, and a pattern that begins with it. */
static void fill(unsigned char *byte, size_t size) {
  for (size_t i = 0; i < size; i++) byte[i] = (unsigned char)(size * 31 + i * 7);
}
static void looks(void *arg, size_t size) {
  unsigned char want[GMX_SPAWN_COPY_MAX];
  void *lo, *hi;
  fill(want, size);
  CHECK_OK(gmx_stack_bounds(&lo, &hi));
  bool ok = (uintptr_t)arg % 16 == 0 && arg > lo && arg < hi && memcmp(arg, want, size) == 0;
  CHECK_OK(gmx_yield());
  ok = ok && memcmp(arg, want, size) == 0;
  memset(arg, 0xee, size); /* the copy belongs to the goroutine */
  if (!ok) bump(&wrong);
  bump(&ran);
}
#define LOOKS(size) \
  static void looks_##size(void *arg) { looks(arg, size); }
LOOKS(0)
LOOKS(1)
LOOKS(8)
LOOKS(17)
LOOKS(64)
LOOKS(127)
LOOKS(128)

static void each_size_arrives(void) {
  static const struct {
    size_t size;
    void (*fn)(void *);
  } sizes[] = {{0, looks_0}, {1, looks_1}, {8, looks_8}, {17, looks_17}, {64, looks_64}, {127, looks_127}, {128, looks_128}};
  enum { ROUNDS = 200, SIZES = sizeof sizes / sizeof *sizes };
  ran = wrong = 0;
  for (int i = 0; i < ROUNDS; i++) {
    for (int j = 0; j < SIZES; j++) {
      struct bytes args; /* gone by the time that the goroutine runs */
      fill(args.byte, sizes[j].size);
      CHECK_OK(gmx_spawn_copy(sizes[j].fn, args.byte, sizes[j].size));
      memset(&args, 0xdd, sizeof args);
    }
  }
  spin_until(load(&ran) == ROUNDS * SIZES);
  CHECK_EQ(wrong, 0);
}

/* Also from an unaligned address, and from NULL for size 0. */
static void from_anywhere(void) {
  unsigned char odd[GMX_SPAWN_COPY_MAX + 1];
  ran = wrong = 0;
  fill(odd + 1, 17);
  CHECK_OK(gmx_spawn_copy(looks_17, odd + 1, 17));
  CHECK_OK(gmx_spawn_copy(looks_0, NULL, 0));
  spin_until(load(&ran) == 2);
  CHECK_EQ(wrong, 0);
}

static void wrong_calls(void) {
  struct bytes args = {{0}};
  CHECK_STATUS(gmx_spawn_copy(NULL, &args, 1), GMX_EINVAL);
  CHECK_STATUS(gmx_spawn_copy(looks_1, NULL, 1), GMX_EINVAL);
  CHECK_STATUS(gmx_spawn_copy(looks_128, &args, GMX_SPAWN_COPY_MAX + 1), GMX_EINVAL);
  CHECK_STATUS(gmx_spawn_copy(looks_128, &args, SIZE_MAX), GMX_EINVAL);
  spin_until(gmx_num_g() == (gmx_goid() != 0));
}

/* gmx_for_each_g shows the function of a goroutine, and the address of its arguments. */
static gmx_g parked_at;
struct told {
  gmx_g g;
  void (*fn)(void *);
  void *arg;
};
static void *own_arg;
static void parks(void *arg) {
  own_arg = arg;
  park_at(&parked_at);
}
static void tells(void *arg, const gmx_g_info *info) {
  struct told *told = arg;
  if (info->g == told->g) *told = (struct told){info->g, info->fn, info->arg};
}
static void is_told_by_its_own_function(void) {
  int args = 3;
  struct told told = {0};
  CHECK_OK(gmx_spawn_copy(parks, &args, sizeof args));
  spin_until((told.g = load(&parked_at)) != 0);
  CHECK_OK(gmx_stop_the_world("test"));
  CHECK_OK(gmx_for_each_g(tells, &told));
  CHECK_OK(gmx_start_the_world());
  CHECK(told.fn == parks && told.arg == own_arg);
  CHECK_OK(gmx_ready(told.g));
  spin_until(gmx_num_g() == (gmx_goid() != 0));
}

/* ---- goroutines that a wait group counts ---- */

static int ended;
static void ends(void *arg) {
  (void)arg;
  CHECK_OK(gmx_yield());
  bump(&ended);
}
static void exits(void *arg) {
  ends(arg);
  gmx_goexit();
  FAIL("still there");
}
static void counts_late(void *arg) {
  (void)arg;
  CHECK_OK(gmx_yield());
  bump(&ended);
}

static void counted_to_the_end(void) {
  gmx_key key;
  CHECK_OK(gmx_key_create(counts_late, &key));
  for (int i = 0; i < 300; i++) {
    gmx_waitgroup wg = {0}; /* gone with the round */
    ended = 0;
    for (int j = 0; j < 10; j++) CHECK_OK(gmx_waitgroup_go(&wg, j % 2 ? ends : exits, NULL));
    CHECK_OK(gmx_waitgroup_wait(&wg));
    CHECK_EQ(load(&ended), 10);
    memset(&wg, 0xff, sizeof wg);
  }
  CHECK_OK(gmx_key_delete(key));
}

static gmx_key late;
static void has_a_destructor(void *arg) { CHECK_OK(gmx_key_set(late, arg)); }
static void after_the_destructors(void) {
  gmx_waitgroup wg = {0};
  ended = 0;
  CHECK_OK(gmx_key_create(counts_late, &late));
  for (int i = 0; i < 20; i++) CHECK_OK(gmx_waitgroup_go(&wg, has_a_destructor, &late));
  CHECK_OK(gmx_waitgroup_wait(&wg));
  CHECK_EQ(load(&ended), 20);
  CHECK_OK(gmx_key_delete(late));
}

static void refused_changes_nothing(void) {
  gmx_waitgroup wg = {0};
  CHECK_STATUS(gmx_waitgroup_go(&wg, NULL, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_waitgroup_go(NULL, ends, NULL), GMX_EINVAL);
  CHECK_OK(gmx_waitgroup_wait(&wg));
  CHECK_OK(gmx_waitgroup_add(&wg, INT32_MAX));
  CHECK_STATUS(gmx_waitgroup_go(&wg, ends, NULL), GMX_EINVAL);
  CHECK_OK(gmx_waitgroup_add(&wg, -INT32_MAX));
  CHECK_OK(gmx_waitgroup_wait(&wg));
}

/* A goroutine of gmx_waitgroup_go counts the group down itself: the library's own count-down is refused, and does no
 * harm. */
static void downs(void *arg) { CHECK_OK(gmx_waitgroup_done(arg)); }
static void counted_down_by_hand(void) {
  static gmx_waitgroup wg;
  CHECK_OK(gmx_waitgroup_go(&wg, downs, &wg));
  spin_until(gmx_num_g() == (gmx_goid() != 0));
  CHECK_OK(gmx_waitgroup_wait(&wg));
}

static void all(void) {
  each_size_arrives();
  from_anywhere();
  wrong_calls();
  counted_to_the_end();
  after_the_destructors();
  refused_changes_nothing();
  counted_down_by_hand();
}
static void all_of_it(void *arg) {
  (void)arg;
  all();
}

static void from_threads(void) { all(); }
static void from_goroutines(void) { on_g(all_of_it, NULL); }

int main(void) {
  RUN(from_threads);
  RUN(from_goroutines);
  RUN(is_told_by_its_own_function);
  RUN(ends_clean);
  return 0;
}
