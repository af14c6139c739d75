/* Examples of the manual: recursive mutexes. */
#include <gomax.h>

#include <assert.h>

/* example: gmx_rmutex_lock gmx_rmutex_unlock */
static struct {
  gmx_rmutex lock;
  int level;
  void (*changed)(int level); // may call tank_add itself
} tank;

static gmx_status tank_add(int n) {
  gmx_status status = gmx_rmutex_lock(&tank.lock, 1000000000); // its owner never waits
  if (status != GMX_OK) return status;
  tank.level += n;
  if (tank.changed) tank.changed(tank.level);
  return gmx_rmutex_unlock(&tank.lock); // others, after as many unlocks as locks
}
/* end */

/* example: gmx_rmutex_try_lock */
// For a display: what is true now, or the old value.
static int tank_glance(int old) {
  if (gmx_rmutex_try_lock(&tank.lock) != GMX_OK) return old; // GMX_EBUSY
  int level = tank.level;
  gmx_rmutex_unlock(&tank.lock);
  return level;
}
/* end */

/* example: gmx_rmutex_waiters */
// A long change gives those that wait a chance, where nothing is half done.
static gmx_status tank_fill(int n) {
  gmx_status status = gmx_rmutex_lock(&tank.lock, GMX_FOREVER);
  for (int i = 0; i < n && status == GMX_OK; i++) {
    tank.level++;
    if (gmx_rmutex_waiters(&tank.lock) == 0) continue;
    gmx_rmutex_unlock(&tank.lock);
    status = gmx_rmutex_lock(&tank.lock, GMX_FOREVER);
  }
  return status == GMX_OK ? gmx_rmutex_unlock(&tank.lock) : status;
}
/* end */

static void overflows(int level) {
  if (level > 100) assert(tank_add(100 - level) == GMX_OK);
}

static void fills(void *arg) {
  (void)arg;
  assert(tank_fill(50) == GMX_OK);
}

static void all(void *arg) {
  (void)arg;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  assert(gmx_rmutex_lock(&tank.lock, GMX_FOREVER) == GMX_OK);
  assert(gmx_waitgroup_go(&group, fills, NULL) == GMX_OK && gmx_waitgroup_go(&group, fills, NULL) == GMX_OK);
  while (gmx_rmutex_waiters(&tank.lock) < 2) gmx_yield();
  gmx_rmutex_unlock(&tank.lock);
  gmx_waitgroup_wait(&group);
  assert(tank_glance(-1) == 100);
  tank.changed = overflows;
  assert(tank_add(20) == GMX_OK && tank_glance(-1) == 100);
}

static void glances(void *arg) {
  (void)arg;
  assert(tank_glance(-1) == -1);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_rmutex_lock(&tank.lock, GMX_FOREVER) == GMX_OK);
  assert(gmx_main(glances, NULL) == GMX_OK);
  gmx_rmutex_unlock(&tank.lock);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
