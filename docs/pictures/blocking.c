/* A goroutine sleeps in the system, on one P: the P goes to another thread, and the others run on. */
#include "scene.h"

static void sleeps(void *unused) {
  (void)unused;
  nanosleep(&(struct timespec){0, 1500 * 1000}, NULL);
}

static void blocks(void *unused) {
  (void)unused;
  compute(50 * US);
  MUST(gmx_blocking(sleeps, NULL));
  compute(50 * US);
}

static void works(void *unused) {
  (void)unused;
  for (int i = 0; i < 6; i++) {
    compute(150 * US);
    MUST(gmx_yield());
  }
}

static void starts(void *unused) {
  (void)unused;
  gmx_g g[] = {begin("x", works, NULL), begin("y", works, NULL), begin("blocks", blocks, NULL)};
  for (int i = 0; i < 3; i++) MUST(gmx_join(g[i], GMX_FOREVER));
}

int main(int argc, char **argv) { return scene(argc, argv, 1, starts); }
