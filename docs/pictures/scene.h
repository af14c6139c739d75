/* What the scenes of docs/scheduler.md share. A scene is run with GMXDEBUG=trace=FILE, and its trace is drawn. */
#ifndef SCENE_H
#define SCENE_H

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

static inline void scene(int ps, void (*fn)(void *)) {
  gmx_config config = GMX_CONFIG_INIT;
  config.maxprocs = ps;
  MUST(gmx_init(&config));
  MUST(gmx_main(fn, NULL));
}

#endif
