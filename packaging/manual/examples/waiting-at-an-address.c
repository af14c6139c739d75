/* Examples of the manual: waiting at an address. */
#include <gomax.h>

#include <assert.h>
#include <stdatomic.h>

/* example: gmx_wait_on_address gmx_wake_address */
struct latch { // opens when it was counted down to 0; smaller than a wait group
  _Atomic uint32_t left;
};

static void latch_count_down(struct latch *latch) {
  if (atomic_fetch_sub(&latch->left, 1) == 1) // changes the word first
    gmx_wake_address(&latch->left, GMX_WAKE_ALL); // and is a name here: memory may be gone
}

static gmx_status latch_wait(struct latch *latch) {
  for (uint32_t left; (left = atomic_load(&latch->left)) != 0;) {
    gmx_status status =
        gmx_wait_on_address(&latch->left, &left, sizeof left, GMX_FOREVER);
    // GMX_EAGAIN: it has changed before the wait; look again, as after a wake
    if (status != GMX_OK && status != GMX_EAGAIN) return status;
  }
  return GMX_OK;
}
/* end */

static struct latch latch = {3};
static atomic_int through;
static void counts_down(void *arg) {
  (void)arg;
  latch_count_down(&latch);
  assert(latch_wait(&latch) == GMX_OK);
  atomic_fetch_add(&through, 1);
}

static void all(void *arg) {
  (void)arg;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  for (int i = 0; i < 2; i++) assert(gmx_waitgroup_go(&group, counts_down, NULL) == GMX_OK);
  while (atomic_load(&latch.left) > 1) gmx_yield();
  assert(atomic_load(&through) == 0);
  latch_count_down(&latch);
  gmx_waitgroup_wait(&group);
  assert(atomic_load(&through) == 2);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
