/* Examples of the manual: wait groups. */
#include <gomax.h>

#include <assert.h>
#include <stdatomic.h>

/* example: gmx_waitgroup_go gmx_waitgroup_wait */
struct part {
  const int *v;
  int n;
  long sum;
};

static void add_part(void *arg) {
  struct part *part = arg;
  for (int i = 0; i < part->n; i++) part->sum += part->v[i];
}

static long add_up(struct part *parts, int n) {
  gmx_waitgroup all = GMX_WAITGROUP_INIT;
  long sum = 0;
  for (int i = 0; i < n; i++)
    if (gmx_waitgroup_go(&all, add_part, &parts[i]) != GMX_OK) add_part(&parts[i]);
  gmx_waitgroup_wait(&all); // always: the goroutines use parts and all
  for (int i = 0; i < n; i++) sum += parts[i].sum;
  return sum;
}
/* end */

static gmx_chan *requests;
static atomic_int answered;

/* example: gmx_waitgroup_add gmx_waitgroup_done */
static gmx_waitgroup pending; // requests, which are no goroutines of their own

static gmx_status submit(int request) {
  gmx_waitgroup_add(&pending, 1); // before a goroutine can take it
  gmx_status status = gmx_chan_send(requests, &request);
  if (status != GMX_OK) gmx_waitgroup_done(&pending); // no goroutine will
  return status;
}

static void worker(void *arg) {
  (void)arg;
  for (int request; gmx_chan_recv(requests, &request) == GMX_OK;) {
    atomic_fetch_add(&answered, request);
    gmx_waitgroup_done(&pending); // the worker lives on
  }
}
/* end */

/* example: gmx_waitgroup_wait_timeout */
static bool drained(int64_t timeout) { // before an end: is all that was begun done?
  return gmx_waitgroup_wait_timeout(&pending, timeout) == GMX_OK; // or GMX_ETIMEDOUT
}
/* end */

static void all(void *arg) {
  (void)arg;
  int v[] = {1, 2, 3, 4, 5};
  struct part parts[] = {{v, 2, 0}, {v + 2, 3, 0}};
  assert(add_up(parts, 2) == 15);

  gmx_waitgroup workers = GMX_WAITGROUP_INIT;
  assert(gmx_chan_new(sizeof(int), 100, &requests) == GMX_OK);
  for (int i = 1; i <= 50; i++) assert(submit(i) == GMX_OK);
  assert(!drained(0));
  for (int i = 0; i < 3; i++) assert(gmx_waitgroup_go(&workers, worker, NULL) == GMX_OK);
  assert(drained(GMX_FOREVER) && atomic_load(&answered) == 1275);
  gmx_chan_close(requests);
  assert(submit(1) == GMX_ECLOSED && drained(0));
  gmx_waitgroup_wait(&workers);
  gmx_chan_free(requests);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
