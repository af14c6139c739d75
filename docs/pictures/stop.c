/* One goroutine stops the world: each P stops at the next call of what runs there. */
#include "scene.h"

#include <stdatomic.h>

static atomic_bool begun;

static void works(void *unused) {
  (void)unused;
  begun = true;
  for (int i = 0; i < 12; i++) {
    compute(50 * US);
    gmx_safepoint();
  }
}

static void stops(void *unused) {
  (void)unused;
  while (!begun) compute(10 * US);
  compute(120 * US);
  MUST(gmx_stop_the_world("a picture"));
  compute(100 * US);
  MUST(gmx_start_the_world());
  compute(50 * US);
}

static void starts(void *unused) {
  (void)unused;
  gmx_g g[] = {begin("works", works, NULL), begin("stops", stops, NULL)};
  for (int i = 0; i < 2; i++) MUST(gmx_join(g[i], GMX_FOREVER));
}

int main(int argc, char **argv) { return scene(argc, argv, 2, starts); }
