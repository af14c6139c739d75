/* Examples of the manual: processors. */
#include <gomax.h>

#include <assert.h>
#include <stdint.h>

static int32_t seen;
static void look(void *arg) {
  (void)arg;
  seen = gmx_gomaxprocs(0);
}

/* example: gmx_gomaxprocs */
// A measurement without parallelism: the others take turns with it on one P.
static int32_t on_one_p(void (*measure)(void *), void *arg) {
  int32_t before = gmx_gomaxprocs(1); // what it was, or an error
  if (before < 0) return before;
  measure(arg);
  return gmx_gomaxprocs(before); // fixed from here on: it does not follow the machine
}
/* end */

/* example: gmx_num_cpu gmx_set_default_gomaxprocs */
// A batch job takes half of the machine by day, and all of it by night.
static gmx_status by_day(void) {
  int32_t half = gmx_num_cpu() / 2; // respects affinity and the quota of the container
  int32_t before = gmx_gomaxprocs(half > 0 ? half : 1);
  return before < 0 ? before : GMX_OK;
}

static gmx_status by_night(void) { return gmx_set_default_gomaxprocs(); }
/* end */

/* example: gmx_pin gmx_unpin gmx_p_set gmx_p_get */
static gmx_p_key hits; // for each P a count: neither atomics nor a shared cache line

static void count_hit(void) {
  if (gmx_pin() < 0) return; // no other goroutine is on this P until the unpin
  gmx_p_set(hits, (void *)((uintptr_t)gmx_p_get(hits) + 1));
  gmx_unpin();
}
/* end */

/* example: gmx_p_key_create gmx_p_key_delete gmx_p_count gmx_p_get_of */
static gmx_status count_begin(void) { return gmx_p_key_create(&hits); }

static uintptr_t count_end(void) {
  uintptr_t sum = 0;
  if (gmx_stop_the_world("count") != GMX_OK) return 0; // no P counts meanwhile
  // all that were ever made: a P that a smaller gomaxprocs left has its value still
  for (int32_t p = 0; p < gmx_p_count(); p++) sum += (uintptr_t)gmx_p_get_of(hits, p);
  gmx_start_the_world();
  gmx_p_key_delete(hits);
  return sum;
}
/* end */

static void counts(void *arg) {
  for (int i = 0; i < 1000; i++) {
    count_hit();
    if (i % 100 == 0) gmx_yield();
  }
  (void)arg;
}

static void all(void *arg) {
  (void)arg;
  int32_t procs = gmx_gomaxprocs(0);
  assert(on_one_p(look, NULL) == 1 && seen == 1 && gmx_gomaxprocs(0) == procs);
  assert(by_day() == GMX_OK && gmx_gomaxprocs(0) <= gmx_num_cpu());
  assert(by_night() == GMX_OK && gmx_gomaxprocs(4) >= 1);

  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  assert(count_begin() == GMX_OK);
  for (int i = 0; i < 8; i++) assert(gmx_waitgroup_go(&group, counts, NULL) == GMX_OK);
  gmx_waitgroup_wait(&group);
  assert(gmx_gomaxprocs(2) == 4 && count_end() == 8000);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
