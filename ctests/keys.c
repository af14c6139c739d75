/* env: GMX_MAXPROCS=3 */
/* G-local and P-local slots: which G or P sees which value, for how long, and what the destructors get. */
#include "gs.h"

enum { KEYS = 64 };

/* ---- G-local ---- */

static void there_are_64(void) {
  gmx_key keys[KEYS], extra = 4711;
  for (int i = 0; i < KEYS; i++) {
    CHECK_OK(gmx_key_create(NULL, &keys[i]));
    CHECK(keys[i] != 0);
    for (int j = 0; j < i; j++) CHECK(keys[i] != keys[j]);
  }
  CHECK_STATUS(gmx_key_create(NULL, &extra), GMX_EAGAIN);
  CHECK_EQ(extra, 4711);
  CHECK_OK(gmx_key_delete(keys[17]));
  CHECK_STATUS(gmx_key_delete(keys[17]), GMX_EINVAL);
  CHECK_OK(gmx_key_create(NULL, &keys[17]));
  CHECK_STATUS(gmx_key_create(NULL, &extra), GMX_EAGAIN);
  for (int i = 0; i < KEYS; i++) CHECK_OK(gmx_key_delete(keys[i]));
}

struct slots {
  gmx_key keys[KEYS];
  int destroyed, wrong, ended;
};
static struct slots shared;

static void destroy_count(void *value) {
  if (value == NULL) bump(&shared.wrong);
  bump(&shared.destroyed);
}

static void sets_all(void *arg) {
  uintptr_t id = (uintptr_t)arg * 1000;
  for (int i = 0; i < KEYS; i++) CHECK(gmx_key_get(shared.keys[i]) == NULL);
  for (int i = 0; i < KEYS; i++) CHECK_OK(gmx_key_set(shared.keys[i], (void *)(id + (uintptr_t)i)));
  for (int round = 0; round < 10; round++) {
    CHECK_OK(gmx_yield());
    for (int i = 0; i < KEYS; i++) CHECK(gmx_key_get(shared.keys[i]) == (void *)(id + (uintptr_t)i));
  }
  CHECK_OK(gmx_key_set(shared.keys[0], NULL)); /* a value that is NULL at the end is not destroyed */
}

static void each_g_has_its_own(void) {
  enum { GS = 100 };
  gmx_g gs[GS];
  memset(&shared, 0, sizeof shared);
  for (int i = 0; i < KEYS; i++) CHECK_OK(gmx_key_create(destroy_count, &shared.keys[i]));
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(sets_all, (void *)(uintptr_t)(i + 1));
  join_all(gs, GS);
  CHECK_EQ(shared.destroyed, GS * (KEYS - 1)); /* before the join comes back */
  CHECK_EQ(shared.wrong, 0);
  for (int i = 0; i < KEYS; i++) CHECK_OK(gmx_key_delete(shared.keys[i]));
}

static gmx_key key;
static gmx_g destroyer;
static void *destroyed_value;
static int destroyed;

static void destroy_on_the_g(void *value) {
  destroyer = gmx_self();
  destroyed_value = value;
  bump(&destroyed);
  CHECK(gmx_key_get(key) == NULL); /* taken out first */
  CHECK_OK(gmx_yield());           /* a destructor is code of the G's as any other */
  CHECK_OK(gmx_sleep(1000));
}

static void sets(void *arg) { CHECK_OK(gmx_key_set(key, arg)); }
static void sets_and_exits(void *arg) {
  sets(arg);
  gmx_goexit();
  FAIL("gmx_goexit came back");
}

static void is_destroyed_once(gmx_g g, void *value, int before) {
  CHECK_EQ(destroyed, before + 1);
  CHECK(destroyed_value == value);
  if (g) CHECK_EQ(destroyer, g);
}

static void destructors_run_on_the_g(void) {
  CHECK_OK(gmx_key_create(destroy_on_the_g, &key));
  int before = destroyed;
  gmx_g g = go_joinable(sets, &before);
  join(g);
  is_destroyed_once(g, &before, 0);
  g = go_joinable(sets_and_exits, &before);
  join(g);
  is_destroyed_once(g, &before, 1);
  g = go_joinable(nothing, NULL);
  join(g);
  CHECK_EQ(destroyed, 2);
}

static void attaches_and_sets(void *arg) {
  CHECK_OK(gmx_attach_thread());
  CHECK(gmx_key_get(key) == NULL);
  sets(arg);
  CHECK_OK(gmx_detach_thread());
  CHECK_EQ(destroyed, 3);
  CHECK_OK(gmx_attach_thread());
  CHECK(gmx_key_get(key) == NULL);
  CHECK_OK(gmx_detach_thread());
}
static void calls_back_and_sets(void *arg) {
  CHECK_OK(gmx_callback(sets, arg));
  CHECK_STATUS(gmx_key_set(key, arg), GMX_ENOTG);
}

static void has_no_value(void *arg) {
  (void)arg;
  CHECK(gmx_key_get(key) == NULL);
}
static void calls_back_and_looks(void *arg) { CHECK_OK(gmx_callback(has_no_value, arg)); }

static void detaching_ends_the_values_too(void) {
  int value;
  on_thread(attaches_and_sets, &value);
  is_destroyed_once(0, &value, 2);
  on_thread(calls_back_and_looks, NULL); /* with what the other thread had, but not with its values */
  on_thread(calls_back_and_sets, &value);
  is_destroyed_once(0, &value, 3);
  on_thread(calls_back_and_looks, NULL);
  CHECK_OK(gmx_key_delete(key));
}

static gmx_key again;
static int rounds;

static void destroy_and_set_again(void *value) {
  if (bump(&rounds) < 2) CHECK_OK(gmx_key_set(again, value));
}
static void sets_again(void *arg) { CHECK_OK(gmx_key_set(again, arg)); }

static void destroys_forever(void *value) {
  bump(&rounds);
  CHECK_OK(gmx_key_set(again, value));
}

/* As with pthread keys: a value that a destructor sets is destroyed in another round, but not forever. */
static void a_destructor_may_set(void) {
  CHECK_OK(gmx_key_create(destroy_and_set_again, &again));
  on_g(sets_again, &again);
  CHECK_EQ(rounds, 3);
  CHECK_OK(gmx_key_delete(again));
  CHECK_OK(gmx_key_create(destroys_forever, &again));
  on_g(sets_again, &again);
  CHECK(rounds > 3);
  CHECK_OK(gmx_key_delete(again));
}

struct holder {
  gmx_key key;
  gmx_g where;
  void *found;
};

static void holds(void *arg) {
  struct holder *h = arg;
  CHECK_OK(gmx_key_set(h->key, h));
  park_at(&h->where);
  h->found = gmx_key_get(h->key);
}

static void must_not_run(void *value) {
  (void)value;
  FAIL("the destructor of a deleted key was run");
}
static void must_not_see(void *value) {
  (void)value;
  FAIL("the value of a deleted key was given to the destructor of a new one");
}

/* A key is deleted while Gs hold values: no destructor runs, and a new key does not show old values. */
static void a_deleted_key_is_gone(void) {
  struct holder h = {0, 0, &h};
  gmx_key keys[KEYS];
  CHECK_OK(gmx_key_create(must_not_run, &h.key));
  gmx_g g = go_joinable(holds, &h);
  spin_until(load(&h.where) != 0);
  CHECK_OK(gmx_key_delete(h.key));
  for (int i = 0; i < KEYS; i++) { /* one of them has the slot */
    CHECK_OK(gmx_key_create(must_not_see, &keys[i]));
    CHECK(keys[i] != h.key);
  }
  CHECK_OK(gmx_ready(g));
  join(g);
  CHECK(h.found == NULL);
  for (int i = 0; i < KEYS; i++) CHECK_OK(gmx_key_delete(keys[i]));
}

static void uses_bad_keys(void *arg) {
  gmx_key gone, bad[] = {0, ~0u, 65, 1u << 16, 1u << 31, 0};
  CHECK_OK(gmx_key_create(NULL, &gone));
  CHECK_OK(gmx_key_delete(gone));
  bad[5] = gone;
  for (int i = 0; i < 6; i++) {
    CHECK_STATUS(gmx_key_set(bad[i], arg), GMX_EINVAL);
    CHECK(gmx_key_get(bad[i]) == NULL);
    CHECK_STATUS(gmx_key_delete(bad[i]), GMX_EINVAL);
  }
}
static void bad_keys(void) {
  int value;
  on_g(uses_bad_keys, &value);
}

/* ---- P-local ---- */

static gmx_p_key p_key;
static int slots[4096];

static void mark_p(void *arg) {
  int32_t p = gmx_pin();
  CHECK(p >= 0);
  CHECK(gmx_p_get(p_key) == NULL);
  CHECK_OK(gmx_p_set(p_key, &slots[p]));
  CHECK(gmx_p_get(p_key) == &slots[p]);
  CHECK_OK(gmx_unpin());
  bump((int *)arg);
}
static void look_at_p(void *arg) {
  (void)arg;
  int32_t p = gmx_pin();
  CHECK(p >= 0 && gmx_p_get(p_key) == &slots[p]);
  CHECK_OK(gmx_unpin());
}

static void each_p_has_its_own(void) {
  int32_t before = gmx_gomaxprocs(7);
  int marked = 0;
  CHECK_OK(gmx_p_key_create(&p_key));
  CHECK_OK(gmx_for_each_p(mark_p, &marked));
  CHECK_EQ(marked, 7);
  CHECK(gmx_p_count() >= 7);
  for (int32_t p = 0; p < 7; p++) CHECK(gmx_p_get_of(p_key, p) == &slots[p]);
  CHECK(gmx_p_get_of(p_key, 7) == NULL);
  for (int i = 0; i < 50; i++) on_g(look_at_p, NULL);

  /* Ps beyond the number are kept with what they hold, and come back with it */
  CHECK_EQ(gmx_gomaxprocs(2), 7);
  CHECK(gmx_p_count() >= 7);
  for (int32_t p = 0; p < 7; p++) CHECK(gmx_p_get_of(p_key, p) == &slots[p]);
  CHECK_EQ(gmx_gomaxprocs(7), 2);
  CHECK_OK(gmx_for_each_p(look_at_p, NULL));
  CHECK_EQ(gmx_gomaxprocs(before), 7);

  /* a new key in the same slot starts empty, on the Ps that are not in use too */
  CHECK_OK(gmx_p_key_delete(p_key));
  CHECK_STATUS(gmx_p_key_delete(p_key), GMX_EINVAL);
  for (int32_t p = 0; p < 7; p++) CHECK(gmx_p_get_of(p_key, p) == NULL);
  gmx_p_key keys[KEYS], extra = 4711;
  for (int i = 0; i < KEYS; i++) {
    CHECK_OK(gmx_p_key_create(&keys[i]));
    CHECK(keys[i] != 0);
    for (int32_t p = 0; p < 8; p++) CHECK(gmx_p_get_of(keys[i], p) == NULL);
  }
  CHECK_STATUS(gmx_p_key_create(&extra), GMX_EAGAIN);
  CHECK_EQ(extra, 4711);
  for (int i = 0; i < KEYS; i++) CHECK_OK(gmx_p_key_delete(keys[i]));
}

static void uses_bad_p_keys(void *arg) {
  gmx_p_key gone, bad[] = {0, ~0u, 65, 1u << 16, 1u << 31, 0};
  CHECK_OK(gmx_p_key_create(&gone));
  CHECK_OK(gmx_p_key_delete(gone));
  bad[5] = gone;
  CHECK(gmx_pin() >= 0);
  for (int i = 0; i < 6; i++) {
    CHECK_STATUS(gmx_p_set(bad[i], arg), GMX_EINVAL);
    CHECK(gmx_p_get(bad[i]) == NULL);
    CHECK(gmx_p_get_of(bad[i], 0) == NULL);
    CHECK_STATUS(gmx_p_key_delete(bad[i]), GMX_EINVAL);
  }
  CHECK_OK(gmx_unpin());
}
static void bad_p_keys(void) {
  int value;
  on_g(uses_bad_p_keys, &value);
}

static void keeps_p_value(void *arg) {
  CHECK(gmx_pin() >= 0);
  CHECK_OK(gmx_p_set(p_key, arg));
  CHECK(gmx_p_get(p_key) == arg);
  CHECK_OK(gmx_unpin());
}

/* A key is the host's until it deletes it, through an end and a new start too; what Ps held under it is not. */
static void keys_outlive_the_runtime(void) {
  int value, before;
  CHECK_OK(gmx_key_create(destroy_on_the_g, &key));
  CHECK_OK(gmx_p_key_create(&p_key));
  for (int life = 0; life < 3; life++) {
    before = destroyed;
    on_g(sets, &value);
    is_destroyed_once(0, &value, before);
    for (int32_t p = 0; p < gmx_p_count(); p++) CHECK(gmx_p_get_of(p_key, p) == NULL);
    on_g(keeps_p_value, &value);
    CHECK_OK(gmx_shutdown(GMX_FOREVER));
  }
  CHECK_OK(gmx_key_delete(key));
  CHECK_OK(gmx_p_key_delete(p_key));
}

int main(void) {
  RUN(there_are_64);
  RUN(each_g_has_its_own);
  RUN(destructors_run_on_the_g);
  RUN(detaching_ends_the_values_too);
  RUN(a_destructor_may_set);
  RUN(a_deleted_key_is_gone);
  RUN(bad_keys);
  RUN(each_p_has_its_own);
  RUN(bad_p_keys);
  RUN(keys_outlive_the_runtime);
  RUN(ends_clean);
  return 0;
}
