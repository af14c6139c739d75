/* Examples of the manual: mutexes. */
#include <gomax.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* example: gmx_mutex_lock gmx_mutex_unlock */
static struct {
  gmx_mutex lock; // zero is unlocked
  long from, to;
} accounts;

static gmx_status transfer(long n) {
  gmx_mutex_lock(&accounts.lock); // has it on return: no token ends this wait
  gmx_status status = accounts.from >= n ? GMX_OK : GMX_EINVAL;
  if (status == GMX_OK) {
    accounts.from -= n;
    accounts.to += n;
  }
  gmx_mutex_unlock(&accounts.lock); // by the goroutine that has locked it
  return status;
}
/* end */

static gmx_mutex cache_lock;
static int cache_size;

/* example: gmx_mutex_lock_timeout */
static gmx_status answer(char *to, size_t size, int64_t timeout) {
  gmx_status status = gmx_mutex_lock_timeout(&cache_lock, timeout);
  if (status == GMX_ETIMEDOUT) snprintf(to, size, "busy"); // not locked: no unlock
  if (status != GMX_OK) return status;
  snprintf(to, size, "%d entries", cache_size);
  gmx_mutex_unlock(&cache_lock);
  return GMX_OK;
}
/* end */

/* example: gmx_mutex_try_lock gmx_mutex_waiters */
// Housekeeping that can wait: only when no goroutine uses the cache, or waits for it.
static bool shrink_cache(void) {
  if (gmx_mutex_try_lock(&cache_lock) != GMX_OK) return false; // GMX_EBUSY
  while (cache_size > 10 && gmx_mutex_waiters(&cache_lock) == 0) cache_size--;
  gmx_mutex_unlock(&cache_lock);
  return true;
}
/* end */

static void transfers(void *arg) {
  for (int i = 0; i < 100; i++) assert(transfer(1) == GMX_OK);
  (void)arg;
}

static void all(void *arg) {
  (void)arg;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  accounts.from = 1000;
  for (int i = 0; i < 10; i++) assert(gmx_waitgroup_go(&group, transfers, NULL) == GMX_OK);
  gmx_waitgroup_wait(&group);
  assert(accounts.from == 0 && accounts.to == 1000 && transfer(1) == GMX_EINVAL);

  cache_size = 50;
  assert(shrink_cache() && cache_size == 10);
}

static void answers_busy(void *arg) {
  char text[20];
  (void)arg;
  assert(answer(text, sizeof text, 0) == GMX_ETIMEDOUT && strcmp(text, "busy") == 0);
  assert(!shrink_cache());
}

static void asks(void *arg) {
  char text[20];
  (void)arg;
  assert(answer(text, sizeof text, GMX_FOREVER) == GMX_OK && strcmp(text, "10 entries") == 0);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_main(asks, NULL) == GMX_OK);
  gmx_mutex_lock(&cache_lock); // this thread
  assert(gmx_main(answers_busy, NULL) == GMX_OK);
  gmx_mutex_unlock(&cache_lock);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
