/* A thread of the host calls in: for the time of its callback it has a P, as a goroutine has. */
#include "scene.h"

#include <pthread.h>

static gmx_chan *asked;

static void callback(void *n) {
  compute(50 * US);
  MUST(gmx_chan_send(asked, n));
  compute(50 * US);
}

static void *of_the_host(void *unused) {
  (void)unused;
  for (int i = 0; i < 3; i++) {
    MUST(gmx_callback(callback, &i));
    compute(100 * US); /* without a P */
  }
  return NULL;
}

static void answers(void *unused) {
  (void)unused;
  for (int i = 0, n; i < 3; i++) {
    MUST(gmx_chan_recv(asked, &n));
    compute(80 * US);
  }
}

static void works(void *unused) {
  (void)unused;
  for (int i = 0; i < 12; i++) {
    compute(50 * US);
    MUST(gmx_yield());
  }
}

static void starts(void *unused) {
  pthread_t t;
  (void)unused;
  MUST(gmx_chan_new(sizeof(int), 0, &asked));
  gmx_g g[] = {begin("works", works, NULL), begin("answers", answers, NULL)};
  if (pthread_create(&t, NULL, of_the_host, NULL) != 0) exit(1);
  for (int i = 0; i < 2; i++) MUST(gmx_join(g[i], GMX_FOREVER));
  pthread_join(t, NULL);
}

int main(int argc, char **argv) { return scene(argc, argv, 2, starts); }
