/* A goroutine computes and calls nothing of the library: at the end of its slice it loses its P all the same. */
#include "scene.h"

static void computes(void *unused) {
  (void)unused;
  compute(35000 * US);
}

static void ticks(void *unused) {
  (void)unused;
  for (int i = 0; i < 20; i++) {
    compute(100 * US);
    MUST(gmx_sleep(1000 * US));
  }
}

static void starts(void *unused) {
  (void)unused;
  gmx_g g[] = {begin("ticks", ticks, NULL), begin("computes", computes, NULL)};
  for (int i = 0; i < 2; i++) MUST(gmx_join(g[i], GMX_FOREVER));
}

int main(int argc, char **argv) { return scene(argc, argv, 1, starts); }
