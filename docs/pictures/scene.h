/* What the scenes of docs/scheduler.md share. A scene writes its trace to the file that it is told, and
 * `gomax-trace draw` makes a picture of that. */
#ifndef SCENE_H
#define SCENE_H

#include <fcntl.h>
#include <gomax.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define US INT64_C(1000)
#define MUST(call)                                                   \
  do {                                                               \
    if ((call) < 0) fprintf(stderr, "%s failed\n", #call), exit(1); \
  } while (0)

/* Computes for so long, and calls nothing of the library. */
static inline void compute(int64_t ns) {
  struct timespec at;
  int64_t end = 0;
  for (;;) {
    clock_gettime(CLOCK_MONOTONIC, &at);
    int64_t now = at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
    if (end == 0) end = now + ns;
    if (now >= end) return;
  }
}

static inline gmx_g begin(const char *name, void (*fn)(void *), void *arg) {
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = GMX_SPAWN_JOINABLE, .name = name};
  gmx_g g;
  MUST(gmx_spawn_with(&opts, fn, arg, &g));
  return g;
}

static inline void keep_busy(void *unused) {
  (void)unused;
  compute(3000 * US);
}

/* So that the threads are there when the scene begins. */
static inline void warm_up(void *ps) {
  gmx_g g[4];
  int n = *(int *)ps + 1;
  for (int i = 0; i < n; i++) g[i] = begin(NULL, keep_busy, NULL);
  for (int i = 0; i < n; i++) MUST(gmx_join(g[i], GMX_FOREVER));
}

static inline int scene(int argc, char **argv, int ps, void (*fn)(void *)) {
  gmx_config config = GMX_CONFIG_INIT;
  config.maxprocs = ps;
  int fd = argc == 2 ? open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0600) : -1;
  if (fd < 0) return 2;
  MUST(gmx_init(&config));
  MUST(gmx_main(warm_up, &ps));
  MUST(gmx_trace_start(NULL));
  MUST(gmx_main(fn, NULL));
  MUST(gmx_trace_stop(fd));
  return 0;
}

#endif
