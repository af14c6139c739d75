/* Examples of the manual: semaphores. */
#include <gomax.h>

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

static atomic_int fetching, most, fetched;
static gmx_status fetch(const char *url) {
  int n = atomic_fetch_add(&fetching, 1) + 1;
  if (n > atomic_load(&most)) atomic_store(&most, n);
  gmx_yield();
  atomic_fetch_sub(&fetching, 1);
  atomic_fetch_add(&fetched, 1);
  return strlen(url) ? GMX_OK : GMX_EINVAL;
}

/* example: gmx_sema_acquire gmx_sema_release */
static uint32_t connections = 3; // any uint32_t; its value is what is left

static gmx_status fetch_in_turn(const char *url) {
  gmx_status status = gmx_sema_acquire(&connections);
  if (status != GMX_OK) return status; // GMX_ECANCELED: nothing was taken
  status = fetch(url);
  gmx_sema_release(&connections); // by any goroutine: a permit has no owner
  return status;
}
/* end */

/* example: gmx_sema_acquire_timeout gmx_sema_try_acquire */
static gmx_status fetch_soon(const char *url, uint32_t *local, uint32_t *remote) {
  uint32_t *taken = local; // prefers the local server, if it has a place now
  if (gmx_sema_try_acquire(local) != GMX_OK) {
    gmx_status status = gmx_sema_acquire_timeout(remote, 100000000);
    if (status != GMX_OK) return status; // GMX_ETIMEDOUT: both are busy
    taken = remote;
  }
  gmx_status status = fetch(url);
  gmx_sema_release(taken);
  return status;
}
/* end */

static char printed[10];
static void print_page(char name) { printed[strlen(printed)] = name; }

/* example: gmx_sema_release_handoff */
static uint32_t printer = 1;

// Others that wait get the printer between two pages, and not after the last one.
static gmx_status print_pages(char name, int n) {
  for (int i = 0; i < n; i++) {
    gmx_status status = gmx_sema_acquire(&printer);
    if (status != GMX_OK) return status;
    print_page(name);
    gmx_sema_release_handoff(&printer); // after a plain release this one might be first
  }
  return GMX_OK;
}
/* end */

/* example: gmx_sema_waiters */
// For a test: the release must wake both, so both must wait first. No sleep guesses.
static void release_both(uint32_t *start) {
  while (gmx_sema_waiters(start) < 2) gmx_yield();
  gmx_sema_release(start);
  gmx_sema_release(start);
}
/* end */

static void fetches(void *url) { assert(fetch_in_turn(url) == GMX_OK); }

static uint32_t start;
static void starts(void *arg) {
  assert(gmx_sema_acquire(&start) == GMX_OK);
  ++*(int *)arg;
}

static void long_job(void *arg) {
  (void)arg;
  assert(print_pages('a', 3) == GMX_OK);
}

static void short_job(void *arg) {
  (void)arg;
  assert(print_pages('b', 1) == GMX_OK);
}

static void all(void *arg) {
  (void)arg;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  static char url[] = "gomax.test";
  for (int i = 0; i < 20; i++) assert(gmx_waitgroup_go(&group, fetches, url) == GMX_OK);
  gmx_waitgroup_wait(&group);
  assert(atomic_load(&fetched) == 20 && atomic_load(&most) <= 3 && connections == 3);

  uint32_t one = 1, none = 0, local = 0, remote = 1;
  assert(fetch_soon(url, &one, &none) == GMX_OK && one == 1);
  assert(fetch_soon(url, &local, &remote) == GMX_OK && local == 0 && remote == 1);
  assert(fetch_soon(url, &local, &none) == GMX_ETIMEDOUT);

  int started = 0;
  gmx_gomaxprocs(1);
  for (int i = 0; i < 2; i++) assert(gmx_waitgroup_go(&group, starts, &started) == GMX_OK);
  release_both(&start);
  gmx_waitgroup_wait(&group);
  assert(started == 2);

  assert(gmx_sema_acquire(&printer) == GMX_OK && gmx_waitgroup_go(&group, long_job, NULL) == GMX_OK);
  while (gmx_sema_waiters(&printer) < 1) gmx_yield();
  assert(gmx_waitgroup_go(&group, short_job, NULL) == GMX_OK);
  while (gmx_sema_waiters(&printer) < 2) gmx_yield();
  gmx_sema_release(&printer);
  gmx_waitgroup_wait(&group);
  assert(strcmp(printed, "abaa") == 0);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
