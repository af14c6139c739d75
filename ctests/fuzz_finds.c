/* The faults that ctests/fuzz.c has found, each as a test of its own. */
#include "gs.h"

#include <stdatomic.h>

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
  CHECK_OK(gmx_stop_the_world("forever"));
}

static void destructors_of_a_thread_that_stopped_the_world(void) {
  CHECK_OK(gmx_key_create(destroys, &key));
  on_thread(stops_and_ends, NULL);
  CHECK_EQ(atomic_load(&destroyed), 1);
  CHECK_OK(gmx_stop_the_world("it runs again"));
  CHECK_OK(gmx_start_the_world());
  CHECK_OK(gmx_key_delete(key));
}

static bool i_refuse;

/* A G is readied by its handle, which was known before, while its commit still uses what lies on its stack. */
typedef struct frame {
  atomic_ullong g;
  atomic_int in_commit, readied, left, after;
} frame;

static bool takes_its_time(void *arg, gmx_g g) {
  frame *f = arg;
  atomic_store(&f->g, g);
  atomic_store(&f->in_commit, 1);
  int64_t end = check_now() + 30 * SECOND;
  while (!atomic_load(&f->readied)) {
    sched_yield(); /* in a real-time class on one CPU the thread that readies would never run */
    CHECK_CMP(check_now(), <, end);
  }
  for (int i = 0; i < 100; i++) sched_yield();
  CHECK_EQ(atomic_load(&f->left), 0);
  atomic_store(&f->after, 1);
  return !i_refuse;
}

static frame *shown;

static void parks_and_continues(void *arg) {
  frame f;
  (void)arg;
  memset(&f, 0, sizeof f);
  __atomic_store_n(&shown, &f, __ATOMIC_RELEASE);
  CHECK_OK(gmx_park(takes_its_time, &f, NULL));
  atomic_store(&f.left, 1);
  CHECK_EQ(atomic_load(&f.after), 1);
}

static void *readies_early(void *arg) {
  (void)arg;
  frame *f;
  spin_until((f = __atomic_load_n(&shown, __ATOMIC_ACQUIRE)) != NULL);
  spin_until(atomic_load(&f->in_commit));
  gmx_g g = (gmx_g)atomic_load(&f->g);
  CHECK_OK(gmx_ready(g));
  CHECK_STATUS(gmx_ready(g), GMX_EPERM); /* once */
  atomic_store(&f->readied, 1);
  return NULL;
}

static void attached_parks(void *arg) {
  CHECK_OK(gmx_attach_thread());
  parks_and_continues(arg);
  CHECK_OK(gmx_detach_thread());
}

static void ready_while_the_commit_runs(void) {
  for (int i = 0; i < 6; i++) {
    shown = NULL;
    i_refuse = i % 2;
    pthread_t t = thread_start(readies_early, NULL);
    if (i / 2 == 0) on_g(parks_and_continues, NULL);
    else on_thread(i / 2 == 1 ? parks_and_continues : attached_parks, NULL);
    thread_join(t);
  }
}

/* Only gmx_main may join or detach the main G; otherwise gmx_main would return while it runs. */
static atomic_int main_ran;

static void lets_itself_go(void *arg) {
  (void)arg;
  CHECK_STATUS(gmx_detach(gmx_self()), GMX_EINVAL);
  CHECK_STATUS(gmx_join(gmx_self(), 0), GMX_EINVAL);
  CHECK_OK(gmx_sleep(MS));
  atomic_store(&main_ran, 1);
}

static void only_gmx_main_lets_main_go(void) {
  CHECK_OK(gmx_main(lets_itself_go, NULL));
  CHECK_EQ(atomic_load(&main_ran), 1);
}

int main(void) {
  RUN(only_gmx_main_lets_main_go);
  RUN(ready_while_the_commit_runs);
  RUN(destructors_of_a_thread_that_stopped_the_world);
  RUN(ends_clean);
  return 0;
}
