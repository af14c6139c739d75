/* Examples of the manual: cancellation. */
#include <gomax.h>

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

/* example: gmx_cancel_new gmx_cancel_use gmx_cancel_current gmx_cancel_free */
// Runs fn with a limit on all that it waits for, however many waits that are.
static gmx_status within(int64_t timeout, gmx_status (*fn)(void *), void *arg) {
  gmx_cancel limit, before;
  // below the caller's token: what cancels the caller cancels fn as well
  gmx_status status = gmx_cancel_new(gmx_cancel_current(), timeout, &limit);
  if (status != GMX_OK) return status;
  gmx_cancel_use(limit, &before);
  status = fn(arg); // GMX_ECANCELED if it was too slow
  gmx_cancel_use(before, NULL);
  gmx_cancel_free(limit);
  return status;
}
/* end */

static uint32_t never;
static atomic_int ended;
static void serve(void *arg) {
  atomic_fetch_add(&ended, gmx_sema_acquire(&never) == GMX_ECANCELED);
  (void)arg;
}

/* example: gmx_cancel_now */
static struct {
  gmx_cancel token;
  gmx_g g[4];
} service;

static gmx_status service_start(void) {
  gmx_spawn_opts opts = {.flags = GMX_SPAWN_JOINABLE | GMX_SPAWN_INHERIT};
  gmx_cancel before = 0;
  gmx_status status = gmx_cancel_new(0, GMX_FOREVER, &service.token);
  if (status == GMX_OK) gmx_cancel_use(service.token, &before); // what the four inherit
  for (int i = 0; i < 4 && status == GMX_OK; i++)
    status = gmx_spawn_with(&opts, serve, NULL, &service.g[i]);
  gmx_cancel_use(before, NULL);
  return status;
}

static gmx_status service_stop(void) {
  gmx_status status = GMX_OK;
  gmx_cancel_now(service.token); // asks: each goroutine ends when its function returns
  for (int i = 0; i < 4; i++)
    if (service.g[i]) status = gmx_join(service.g[i], GMX_FOREVER);
  gmx_cancel_free(service.token);
  return status;
}
/* end */

/* example: gmx_cancel_now_because gmx_cancel_reason */
enum { REPLACED = -20001 }; // any number below 0 may be a reason

static void replace(gmx_cancel search) { gmx_cancel_now_because(search, REPLACED); }

static const char *why_it_ended(void) { // for the goroutine whose wait was canceled
  gmx_status reason; // the wait itself says GMX_ECANCELED in each case
  if (gmx_cancel_reason(0, &reason) != GMX_OK) return "no token";
  if (reason == REPLACED) return "the user types on";
  if (reason == GMX_ETIMEDOUT) return "the search took too long";
  return gmx_strerror(reason);
}
/* end */

/* example: gmx_cancel_deadline */
// How long another server may take for its part of this request, in milliseconds.
static int64_t budget(int64_t most) {
  int64_t end; // the earliest of the token's own and of those above it
  if (gmx_cancel_deadline(0, &end) != GMX_OK || end == INT64_MAX) return most;
  int64_t left = gmx_time_left(end) / 1000000;
  return left < most ? left : most;
}
/* end */

/* example: gmx_cancel_is_canceled */
static gmx_status collatz(uint64_t *n, uint64_t *steps) {
  for (; *n != 1; *n = *n % 2 ? 3 * *n + 1 : *n / 2, ++*steps)
    if (gmx_cancel_is_canceled(0)) return GMX_ECANCELED; // it waits for nothing
  return GMX_OK;
}
/* end */

/* example: gmx_cancel_locks */
// For an interpreter: a signal cancels its token, and must end a wait for a lock too.
static gmx_status lock_interruptible(gmx_mutex *lock) {
  bool before = gmx_cancel_locks(true);
  gmx_status status = gmx_mutex_lock(lock); // GMX_ECANCELED: it is not locked
  gmx_cancel_locks(before); // other code does not look at what a lock returns
  return status;
}
/* end */

static gmx_status work_on(char *block) { return block[0] ? gmx_sema_acquire(&never) : GMX_OK; }

/* example: gmx_cancel_shield gmx_cancel_unshield */
static gmx_status with_block(gmx_chan *pool) {
  char *block;
  gmx_status status = gmx_chan_recv(pool, &block);
  if (status != GMX_OK) return status;
  status = work_on(block); // perhaps GMX_ECANCELED: every later wait would be too
  gmx_cancel_shield();
  gmx_status back = gmx_chan_send(pool, &block); // may wait all the same
  gmx_cancel_unshield();
  return status != GMX_OK ? status : back;
}
/* end */

/* example: gmx_cancel_g */
// Waits no longer than timeout for a job, then ends that job, and only that one.
static gmx_status run_job(void (*job)(void *), void *arg, int64_t timeout) {
  gmx_spawn_opts opts = {.flags = GMX_SPAWN_JOINABLE | GMX_SPAWN_CANCELLABLE};
  gmx_g g;
  gmx_status status = gmx_spawn_with(&opts, job, arg, &g);
  if (status != GMX_OK) return status;
  status = gmx_join(g, timeout);
  if (status != GMX_ETIMEDOUT) return status;
  gmx_cancel_g(g, GMX_ETIMEDOUT); // GMX_ESTALE: it has just ended
  gmx_status joined = gmx_join(g, GMX_FOREVER); // not before this is arg free
  return joined == GMX_OK ? GMX_ETIMEDOUT : joined;
}
/* end */

static gmx_status acquires(void *arg) {
  assert(budget(2) <= 2);
  gmx_status status = gmx_sema_acquire(arg);
  assert(strcmp(why_it_ended(), "the search took too long") == 0 && budget(2) == 0);
  return status;
}

static void all(void *arg) {
  (void)arg;
  gmx_cancel before, token;
  assert(budget(2) == 2);
  assert(within(1000000, acquires, &never) == GMX_ECANCELED && gmx_cancel_current() == 0);
  assert(service_start() == GMX_OK && service_stop() == GMX_OK && atomic_load(&ended) == 4);

  uint64_t n = 27, steps = 0;
  gmx_chan *pool;
  char blocks[2] = {0, 1}, *block = &blocks[0];
  assert(gmx_chan_new(sizeof block, 1, &pool) == GMX_OK && gmx_chan_send(pool, &block) == GMX_OK);
  assert(with_block(pool) == GMX_OK && collatz(&n, &steps) == GMX_OK && steps == 111);

  assert(gmx_cancel_new(0, GMX_FOREVER, &token) == GMX_OK && gmx_cancel_use(token, &before) == GMX_OK);
  assert(strcmp(why_it_ended(), "no error") == 0);
  assert(gmx_chan_recv(pool, &block) == GMX_OK);
  block = &blocks[1];
  assert(gmx_chan_send(pool, &block) == GMX_OK);
  replace(token);
  assert(strcmp(why_it_ended(), "the user types on") == 0);
  assert(with_block(pool) == GMX_ECANCELED && gmx_chan_len(pool) == 1);
  n = 27, steps = 0;
  assert(collatz(&n, &steps) == GMX_ECANCELED && steps == 0);
  gmx_cancel_use(before, NULL);
  gmx_cancel_free(token);
  gmx_chan_free(pool);

  atomic_store(&ended, 0);
  assert(run_job(serve, NULL, 0) == GMX_ETIMEDOUT && atomic_load(&ended) == 1);
}

static gmx_mutex busy;
static void locks(void *arg) {
  (void)arg;
  gmx_cancel token, before;
  assert(gmx_cancel_new(0, 0, &token) == GMX_OK && gmx_cancel_use(token, &before) == GMX_OK);
  assert(lock_interruptible(&busy) == GMX_ECANCELED);
  gmx_cancel_use(before, NULL);
  gmx_cancel_free(token);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  gmx_mutex_lock(&busy);
  assert(gmx_main(locks, NULL) == GMX_OK);
  gmx_mutex_unlock(&busy);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
