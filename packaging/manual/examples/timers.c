/* Examples of the manual: timers. */
#include <gomax.h>

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static atomic_int forgotten;
static void forget(void *name) {
  free(name);
  atomic_fetch_add(&forgotten, 1);
}

/* example: gmx_after_func */
static gmx_status remember(const char *name, int64_t lifetime) {
  char *copy = strdup(name);
  if (!copy) return GMX_ENOMEM;
  // no handle: it cannot be stopped, and there is nothing to free
  gmx_status status = gmx_after_func(lifetime, forget, copy, NULL);
  if (status != GMX_OK) free(copy); // forget will not run
  return status;
}
/* end */

static atomic_int closed;

/* example: gmx_timer_stop gmx_timer_reset gmx_timer_free */
struct session {
  gmx_timer idle;
  gmx_waitgroup closing; // 1 until the timer has called close_idle, or never will
};

static void close_idle(void *arg) {
  struct session *s = arg;
  atomic_fetch_add(&closed, 1);
  gmx_waitgroup_done(&s->closing);
}

static gmx_status session_begin(struct session *s, int64_t idle) {
  *s = (struct session){0};
  gmx_waitgroup_add(&s->closing, 1);
  return gmx_after_func(idle, close_idle, s, &s->idle);
}

static bool session_used(struct session *s, int64_t idle) {
  bool stopped;
  gmx_timer_stop(s->idle, &stopped);
  if (stopped && gmx_timer_reset(s->idle, idle, 0, NULL) == GMX_OK) return true;
  if (stopped) close_idle(s); // no memory for the timer
  return false; // it is closed, or close_idle has begun
}

static void session_end(struct session *s) {
  bool stopped;
  gmx_timer_free(s->idle, &stopped);
  if (!stopped) gmx_waitgroup_wait(&s->closing); // close_idle has begun, and uses s
}
/* end */

static atomic_int saved;

/* example: gmx_timer_new gmx_timer_reset */
// Saves when changes have paused, and not at each of them.
static gmx_status save_changes(gmx_chan *changes, int64_t pause) {
  gmx_timer timer;
  gmx_chan *due;
  gmx_status status = gmx_timer_new(GMX_FOREVER, 0, &timer, &due); // not set yet
  if (status != GMX_OK) return status;
  while (status == GMX_OK) {
    gmx_select_case cases[] = {GMX_RECV(changes, NULL), GMX_RECV(due, NULL)};
    size_t chosen;
    status = gmx_select(cases, 2, GMX_FOREVER, &chosen);
    if (status == GMX_OK && chosen == 0) status = gmx_timer_reset(timer, pause, 0, NULL);
    else if (status == GMX_OK) saved++;
  }
  bool left; // true: it was set, or its time was not received
  gmx_timer_free(timer, &left);
  if (left) saved++;
  gmx_chan_free(due);
  return status == GMX_ECLOSED ? GMX_OK : status;
}
/* end */

/* example: gmx_after */
// Waits for two answers, which come in any order, no longer than timeout in all.
static gmx_status both(gmx_chan *one, gmx_chan *two, long answer[2], int64_t timeout) {
  gmx_chan *late; // gets its value once: one moment for several selects
  gmx_status status = gmx_after(timeout, &late);
  if (status != GMX_OK) return status;
  for (int missing = 2; missing > 0 && status == GMX_OK; missing--) {
    gmx_select_case cases[] = {
        GMX_RECV(one, &answer[0]), GMX_RECV(two, &answer[1]), GMX_RECV(late, NULL)};
    size_t chosen;
    status = gmx_select(cases, 3, GMX_FOREVER, &chosen);
    if (chosen == 0) one = NULL; // a case with NULL is never ready
    if (chosen == 1) two = NULL;
    if (status == GMX_OK && chosen == 2) status = GMX_ETIMEDOUT;
  }
  gmx_chan_free(late); // and its timer
  return status;
}
/* end */

static atomic_int load;
static bool print_load(int64_t at) { return at > 0 && atomic_fetch_sub(&load, 1) > 1; }

/* example: gmx_ticker_new gmx_ticker_reset */
static gmx_status print_loads(int64_t period) {
  gmx_timer ticker;
  gmx_chan *ticks;
  int64_t at;
  gmx_status status = gmx_ticker_new(period, &ticker, &ticks);
  if (status != GMX_OK) return status;
  while (status == GMX_OK && (status = gmx_chan_recv(ticks, &at)) == GMX_OK) {
    if (!print_load(at)) break;
    if (atomic_load(&load) < 2) // less is new when there is little load
      status = gmx_ticker_reset(ticker, 10 * period, NULL);
  }
  gmx_timer_free(ticker, NULL); // stops it; the channel remains
  gmx_chan_free(ticks);
  return status;
}
/* end */

static void saves(void *arg) { assert(save_changes(arg, GMX_FOREVER - 1) == GMX_OK); }

static void all(void *arg) {
  (void)arg;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  assert(remember("name", 1000000) == GMX_OK);

  struct session s;
  assert(session_begin(&s, 3600000000000) == GMX_OK && session_used(&s, 0));
  gmx_waitgroup_wait(&s.closing);
  session_end(&s);
  assert(atomic_load(&closed) == 1);
  assert(session_begin(&s, 3600000000000) == GMX_OK);
  session_end(&s);
  assert(atomic_load(&closed) == 1);

  gmx_chan *changes;
  assert(gmx_chan_new(0, 0, &changes) == GMX_OK && gmx_waitgroup_go(&group, saves, changes) == GMX_OK);
  for (int i = 0; i < 5; i++) assert(gmx_chan_send(changes, NULL) == GMX_OK);
  gmx_chan_close(changes);
  gmx_waitgroup_wait(&group);
  assert(saved == 1 && gmx_chan_free(changes) == GMX_OK);

  gmx_chan *one, *two;
  long answer[2] = {0, 0}, value = 5;
  assert(gmx_chan_new(sizeof value, 1, &one) == GMX_OK && gmx_chan_new(sizeof value, 1, &two) == GMX_OK);
  assert(gmx_chan_send(one, &value) == GMX_OK && both(one, two, answer, 1000000) == GMX_ETIMEDOUT);
  assert(gmx_chan_send(one, &value) == GMX_OK && gmx_chan_send(two, &value) == GMX_OK);
  assert(both(one, two, answer, GMX_FOREVER) == GMX_OK && answer[0] == 5 && answer[1] == 5);
  gmx_chan_free(one);
  gmx_chan_free(two);

  atomic_store(&load, 3);
  assert(print_loads(100000) == GMX_OK && atomic_load(&load) == 0);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  while (atomic_load(&forgotten) == 0) gmx_yield();
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
