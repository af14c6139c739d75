/* timeout: 120 */
/* A timer fires when there is no memory for the G of its function: the library calls the function when there is memory
 * again. */
#include "child.h"
#include "gs.h"
#include "objects.h"

#include <stdatomic.h>

static atomic_int fired, ticked, not_to_be;
static uint32_t gate;

static void fires(void *count) { atomic_fetch_add((atomic_int *)count, 1); }
static void waits(void *unused) {
  (void)unused;
  CHECK_OK(gmx_sema_acquire(&gate));
}

static void without_memory(void) {
  gmx_timer once, periodic, stopped, ticker, room[20];
  gmx_chan *ticks;
  int64_t at;
  CHECK_OK(gmx_timer_new(GMX_FOREVER, 0, &ticker, &ticks));
  for (int i = 0; i < 20; i++) CHECK_OK(gmx_after_func(3600 * SECOND, fires, &not_to_be, &room[i]));
  for (int i = 0; i < 20; i++) CHECK_EQ(timer_free(room[i]), 1);
  leave_only(0);
  int n = 0;
  while (gmx_spawn(waits, NULL) == GMX_OK) n++;
  CHECK_CMP(n, >, 0);

  /* from here on there is room for what was there before, and no more */
  CHECK_OK(gmx_after_func(2 * MS, fires, &fired, &once));
  CHECK_OK(gmx_after_func(2 * MS, fires, &fired, NULL));
  CHECK_OK(gmx_after_func(GMX_FOREVER, fires, &ticked, &periodic));
  CHECK_OK(timer_reset(periodic, 2 * MS, MS));
  CHECK_OK(gmx_after_func(2 * MS, fires, &not_to_be, &stopped));
  CHECK_OK(timer_reset(ticker, 10 * MS, 10 * MS));

  /* all are in the heap of the one P: when a time comes at 10 ms the others have tried, several times by the third */
  for (int i = 0; i < 3; i++) {
    CHECK_OK(gmx_chan_recv(ticks, &at));
    CHECK_EQ(atomic_load(&fired), 0);
    CHECK_EQ(atomic_load(&ticked), 0);
  }
  CHECK_EQ(timer_stop(stopped), 1);
  CHECK_EQ(timer_stop(stopped), 0);

  /* the Gs that took it all end, but there is no more memory than before */
  release(&gate, n);
  while (atomic_load(&fired) < 2 || atomic_load(&ticked) < 3) CHECK_OK(gmx_chan_recv(ticks, &at));
  CHECK_EQ(timer_free(once), 0);
  CHECK_CMP(timer_free(periodic), >=, 0);
  CHECK_EQ(timer_free(stopped), 0);
  CHECK_CMP(timer_free(ticker), >=, 0);
  CHECK_OK(gmx_chan_free(ticks));
  CHECK_EQ(atomic_load(&fired), 2);
  CHECK_EQ(atomic_load(&not_to_be), 0);
}

static void of_the_child(void *unused) {
  (void)unused;
  start_runtime(1, NO_SLICES);
  RUN_G(without_memory);
  leave_all();
  end_runtime();
}

static void a_firing_is_not_lost(void) {
  RUN_CHILD(60, of_the_child, NULL);
}

int main(void) {
  RUN(a_firing_is_not_lost);
  return 0;
}
