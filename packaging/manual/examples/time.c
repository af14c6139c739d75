/* Examples of the manual: time. */
#include <gomax.h>

#include <assert.h>

/* example: gmx_now */
static int64_t duration(void (*fn)(void *), void *arg) {
  int64_t begin = gmx_now(); // of a monotonic clock: never negative
  fn(arg);
  return gmx_now() - begin;
}
/* end */

static int tries;
static gmx_status try_once(void) { return ++tries < 4 ? GMX_EAGAIN : GMX_OK; }

/* example: gmx_sleep */
// Tries again after 1 ms, 2 ms, 4 ms and so on.
static gmx_status try_often(int times) {
  gmx_status status = try_once();
  for (int64_t pause = 1000000; status == GMX_EAGAIN && --times > 0; pause *= 2) {
    status = gmx_sleep(pause);
    if (status != GMX_OK) return status; // GMX_ECANCELED: there was no full sleep
    status = try_once();
  }
  return status;
}
/* end */

/* example: gmx_deadline gmx_time_left */
// Receives n values; the timeout is for all of them together, not for each.
static gmx_status recv_many(gmx_chan *from, long *values, int n, int64_t timeout) {
  int64_t end = gmx_deadline(timeout);
  gmx_status status = GMX_OK;
  for (int i = 0; i < n && status == GMX_OK; i++)
    status = gmx_chan_recv_timeout(from, &values[i], gmx_time_left(end));
  return status;
}
/* end */

static void tries_often(void *status) { *(gmx_status *)status = try_often(10); }

static void all(void *arg) {
  (void)arg;
  gmx_status status = GMX_EINVAL;
  assert(duration(tries_often, &status) >= 7000000 && status == GMX_OK && tries == 4);
  tries = 0;
  assert(try_often(2) == GMX_EAGAIN);

  long values[2] = {0, 0}, value = 5;
  gmx_chan *from;
  assert(gmx_chan_new(sizeof(long), 2, &from) == GMX_OK);
  assert(gmx_chan_send(from, &value) == GMX_OK);
  assert(recv_many(from, values, 2, 0) == GMX_ETIMEDOUT && values[0] == 5);
  for (int i = 0; i < 2; i++) assert(gmx_chan_send(from, &value) == GMX_OK);
  assert(recv_many(from, values, 2, GMX_FOREVER) == GMX_OK && values[1] == 5);
  gmx_chan_free(from);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
