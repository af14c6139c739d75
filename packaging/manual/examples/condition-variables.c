/* Examples of the manual: condition variables. */
#include <gomax.h>

#include <assert.h>

/* example: gmx_cond_wait gmx_cond_signal */
static struct {
  gmx_mutex lock;
  gmx_cond not_empty;
  int job[100], n;
} stack; // zero is ready

static void push(int job) {
  gmx_mutex_lock(&stack.lock);
  stack.job[stack.n++] = job;
  gmx_cond_signal(&stack.not_empty); // wakes one: one job is for one goroutine
  gmx_mutex_unlock(&stack.lock);
}

static gmx_status pop(int *job) {
  gmx_status status = GMX_OK;
  gmx_mutex_lock(&stack.lock);
  while (stack.n == 0 && status == GMX_OK) // a loop: another one may have been faster
    status = gmx_cond_wait(&stack.not_empty, &stack.lock);
  if (status == GMX_OK) *job = stack.job[--stack.n];
  gmx_mutex_unlock(&stack.lock); // it has the lock also after GMX_ECANCELED
  return status;
}
/* end */

/* example: gmx_cond_wait_timeout gmx_cond_broadcast gmx_cond_waiters */
static struct {
  gmx_mutex lock;
  gmx_cond changed;
  bool open;
} gate;

static gmx_status gate_pass(int64_t timeout) {
  int64_t end = gmx_deadline(timeout); // one end for all waits of the loop
  gmx_status status = GMX_OK;
  gmx_mutex_lock(&gate.lock);
  while (!gate.open && status == GMX_OK)
    status = gmx_cond_wait_timeout(&gate.changed, &gate.lock, gmx_time_left(end));
  gmx_mutex_unlock(&gate.lock);
  return status;
}

static uint32_t gate_open(void) { // how many it lets in
  gmx_mutex_lock(&gate.lock);
  uint32_t waiting = gmx_cond_waiters(&gate.changed); // exact: the lock is held
  gate.open = true;
  gmx_cond_broadcast(&gate.changed); // all may pass
  gmx_mutex_unlock(&gate.lock);
  return waiting;
}
/* end */

static int sum;
static void pops(void *arg) {
  int job = 0;
  assert(pop(&job) == GMX_OK);
  __atomic_fetch_add((int *)arg, job, __ATOMIC_RELAXED);
}

static void passes(void *arg) {
  (void)arg;
  assert(gate_pass(GMX_FOREVER) == GMX_OK);
}

static void all(void *arg) {
  (void)arg;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  for (int i = 0; i < 10; i++) assert(gmx_waitgroup_go(&group, pops, &sum) == GMX_OK);
  while (gmx_cond_waiters(&stack.not_empty) < 10) gmx_yield();
  for (int i = 0; i < 10; i++) push(i);
  gmx_waitgroup_wait(&group);
  assert(sum == 45 && stack.n == 0);

  assert(gate_pass(0) == GMX_ETIMEDOUT);
  for (int i = 0; i < 3; i++) assert(gmx_waitgroup_go(&group, passes, NULL) == GMX_OK);
  while (gmx_cond_waiters(&gate.changed) < 3) gmx_yield();
  assert(gate_open() == 3);
  gmx_waitgroup_wait(&group);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
