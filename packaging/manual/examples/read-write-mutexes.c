/* Examples of the manual: read-write mutexes. */
#include <gomax.h>

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

/* example: gmx_rwmutex_rlock gmx_rwmutex_runlock gmx_rwmutex_lock gmx_rwmutex_unlock */
static struct {
  gmx_rwmutex lock;
  int n;
  struct route {
    char to[16];
    int gate;
  } route[100];
} routes; // looked up all the time, rarely changed

static int route_find(const char *to) { // beside other readers
  int gate = -1;
  gmx_rwmutex_rlock(&routes.lock);
  for (int i = 0; i < routes.n && gate < 0; i++)
    if (strcmp(routes.route[i].to, to) == 0) gate = routes.route[i].gate;
  gmx_rwmutex_runlock(&routes.lock); // a reader must not lock it to write meanwhile
  return gate;
}

static void route_add(const struct route *route) {
  gmx_rwmutex_lock(&routes.lock); // readers that come now wait behind
  if (routes.n < 100) routes.route[routes.n++] = *route;
  gmx_rwmutex_unlock(&routes.lock);
}
/* end */

/* example: gmx_rwmutex_lock_timeout gmx_rwmutex_rlock_timeout */
static gmx_status route_count(int *n, int64_t timeout) {
  gmx_status status = gmx_rwmutex_rlock_timeout(&routes.lock, timeout);
  if (status != GMX_OK) return status; // GMX_ETIMEDOUT: a writer has it, or waits for it
  *n = routes.n;
  return gmx_rwmutex_runlock(&routes.lock);
}

static gmx_status route_clear(int64_t timeout) {
  gmx_status status = gmx_rwmutex_lock_timeout(&routes.lock, timeout);
  if (status != GMX_OK) return status; // readers that it kept out continue
  routes.n = 0;
  return gmx_rwmutex_unlock(&routes.lock);
}
/* end */

/* example: gmx_rwmutex_try_lock gmx_rwmutex_try_rlock gmx_rwmutex_waiters */
// Shortens the table, unless that keeps a goroutine waiting.
static void route_trim(int to) {
  if (gmx_rwmutex_try_lock(&routes.lock) != GMX_OK) return; // GMX_EBUSY
  while (routes.n > to && gmx_rwmutex_waiters(&routes.lock) == 0) routes.n--;
  gmx_rwmutex_unlock(&routes.lock);
}

// For a hint that may be left out.
static bool route_full(void) {
  if (gmx_rwmutex_try_rlock(&routes.lock) != GMX_OK) return false;
  bool full = routes.n == 100;
  gmx_rwmutex_runlock(&routes.lock);
  return full;
}
/* end */

static atomic_int found;
static void finds(void *arg) { atomic_fetch_add(&found, route_find(arg)); }

static void all(void *arg) {
  (void)arg;
  static char rome[] = "Rome";
  int n = -1;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  route_add(&(struct route){"Oslo", 3});
  route_add(&(struct route){"Rome", 4});
  for (int i = 0; i < 5; i++) assert(gmx_waitgroup_go(&group, finds, rome) == GMX_OK);
  gmx_waitgroup_wait(&group);
  assert(atomic_load(&found) == 20 && route_find("Bonn") == -1);
  assert(route_count(&n, GMX_FOREVER) == GMX_OK && n == 2);
  assert(!route_full());
  for (int i = n; i < 100; i++) route_add(&(struct route){"Bonn", i});
  assert(route_full());
  route_trim(1);
  assert(routes.n == 1 && route_find("Rome") == -1 && route_find("Oslo") == 3);
}

static void while_it_is_read(void *arg) {
  (void)arg;
  int n = 0;
  assert(route_count(&n, 0) == GMX_OK && n == 1);
  assert(route_clear(0) == GMX_ETIMEDOUT);
  route_trim(0);
  assert(routes.n == 1);
}

static void while_it_is_written(void *arg) {
  (void)arg;
  int n = 0;
  assert(route_count(&n, 0) == GMX_ETIMEDOUT && !route_full());
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  gmx_rwmutex_rlock(&routes.lock);
  assert(gmx_main(while_it_is_read, NULL) == GMX_OK);
  gmx_rwmutex_runlock(&routes.lock);
  gmx_rwmutex_lock(&routes.lock);
  assert(gmx_main(while_it_is_written, NULL) == GMX_OK);
  gmx_rwmutex_unlock(&routes.lock);
  assert(route_clear(GMX_FOREVER) == GMX_OK && routes.n == 0);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
