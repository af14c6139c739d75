/* Examples of the manual: barriers. */
#include <gomax.h>

#include <assert.h>

/* example: gmx_barrier_wait */
enum { PARTS = 4, STEPS = 20, CELLS = 400 };
static int cell[2][CELLS]; // a step reads one row and writes the other
static gmx_barrier step_done = GMX_BARRIER_INIT(PARTS);
static int steps_done;

static void spread(void *arg) { // each part has its cells
  int first = *(int *)arg * (CELLS / PARTS);
  for (int step = 0; step < STEPS; step++) {
    const int *from = cell[step % 2];
    int *to = cell[1 - step % 2];
    for (int i = first; i < first + CELLS / PARTS; i++)
      to[i] = from[i] + (i > 0 ? from[i - 1] : 0);
    bool serial; // the others may read these cells only when all parts are there
    if (gmx_barrier_wait(&step_done, &serial) != GMX_OK) return;
    if (serial) steps_done++; // one part, the last one to come
  }
}
/* end */

static gmx_barrier meeting = GMX_BARRIER_INIT(3);

/* example: gmx_barrier_wait_timeout gmx_barrier_waiters */
static gmx_status meet(int64_t timeout, uint32_t *missing) {
  gmx_status status = gmx_barrier_wait_timeout(&meeting, timeout, NULL);
  if (status == GMX_ETIMEDOUT) // this caller has not arrived: it counts as missing too
    *missing = meeting.n - gmx_barrier_waiters(&meeting);
  return status;
}
/* end */

static int met;
static void meets(void *arg) {
  uint32_t missing = 0;
  assert(meet(GMX_FOREVER, &missing) == GMX_OK && missing == 0);
  __atomic_fetch_add((int *)arg, 1, __ATOMIC_RELAXED);
}

static void all(void *arg) {
  (void)arg;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  int part[PARTS];
  cell[0][0] = 1;
  for (int i = 0; i < PARTS; i++) {
    part[i] = i;
    assert(gmx_waitgroup_go(&group, spread, &part[i]) == GMX_OK);
  }
  gmx_waitgroup_wait(&group);
  assert(steps_done == STEPS && cell[0][0] == 1 && cell[0][1] == 20 && cell[0][2] == 190);

  uint32_t missing = 0;
  assert(gmx_waitgroup_go(&group, meets, &met) == GMX_OK);
  while (gmx_barrier_waiters(&meeting) < 1) gmx_yield();
  assert(meet(0, &missing) == GMX_ETIMEDOUT && missing == 2);
  assert(gmx_waitgroup_go(&group, meets, &met) == GMX_OK);
  meets(&met);
  gmx_waitgroup_wait(&group);
  assert(met == 3);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
