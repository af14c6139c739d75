/* Two goroutines hand a value to and fro, beside others that compute. */
#include "scene.h"

static gmx_chan *there, *back;

static void pings(void *unused) {
  (void)unused;
  for (int i = 0; i < 4; i++) {
    compute(20 * US);
    MUST(gmx_chan_send(there, &i));
    MUST(gmx_chan_recv(back, &i));
  }
}

static void pongs(void *unused) {
  (void)unused;
  for (int i = 0; i < 4; i++) {
    int value;
    MUST(gmx_chan_recv(there, &value));
    compute(20 * US);
    MUST(gmx_chan_send(back, &value));
  }
}

static void other(void *unused) {
  (void)unused;
  for (int i = 0; i < 6; i++) {
    compute(20 * US);
    MUST(gmx_yield());
  }
}

static void starts(void *unused) {
  (void)unused;
  MUST(gmx_chan_new(sizeof(int), 0, &there));
  MUST(gmx_chan_new(sizeof(int), 0, &back));
  gmx_g g[] = {begin("other", other, NULL), begin("pong", pongs, NULL), begin("ping", pings, NULL)};
  for (int i = 0; i < 3; i++) MUST(gmx_join(g[i], GMX_FOREVER));
}

int main(int argc, char **argv) { return scene(argc, argv, 1, starts); }
