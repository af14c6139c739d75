/* What ctests/fuzz.c has found, each by itself. */
#include "gs.h"
#include "places.h"

static gmx_key key;
static atomic_int destroyed;

static void destroys(void *value) {
  (void)value;
  CHECK(gmx_goid() != 0);
  atomic_fetch_add(&destroyed, 1);
}

static void sets(void *arg) {
  (void)arg;
  CHECK_OK(gmx_key_set(key, &key));
}

/* A thread of the host ends with the world stopped, and has values of keys from a callback before. */
static void stops_and_ends(void *arg) {
  CHECK_OK(gmx_callback(sets, arg));
  CHECK_OK(gmx_stop_the_world("for ever"));
}

static void destructors_of_a_thread_that_stopped_the_world(void) {
  CHECK_OK(gmx_key_create(destroys, &key));
  on_thread(stops_and_ends, NULL);
  CHECK_EQ(atomic_load(&destroyed), 1);
  CHECK_OK(gmx_stop_the_world("it runs again"));
  CHECK_OK(gmx_start_the_world());
  CHECK_OK(gmx_key_delete(key));
}

int main(void) {
  RUN(destructors_of_a_thread_that_stopped_the_world);
  RUN(ends_clean);
  return 0;
}
