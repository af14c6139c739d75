/* One goroutine spawns eight; other Ps take half of what waits. */
#include "scene.h"

static void works(void *unused) {
  (void)unused;
  compute(100 * US);
}

static void spawns(void *unused) {
  static const char *names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
  gmx_g g[8];
  (void)unused;
  for (int i = 0; i < 8; i++) g[i] = begin(names[i], works, NULL);
  for (int i = 0; i < 8; i++) MUST(gmx_join(g[i], GMX_FOREVER));
}

int main(int argc, char **argv) { return scene(argc, argv, 2, spawns); }
