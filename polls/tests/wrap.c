/* Linked into the tests of another project with -Wl,--wrap=main: its main runs as a goroutine, while a thread stops the
 * world again and again. */
#include <gomax.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int __real_main(int argc, char **argv, char **environment);

static struct main {
  int argc, result;
  char **argv, **environment;
} run;
static atomic_int ended, stops;

static void runs(void *arg) {
  struct main *m = arg;
  m->result = __real_main(m->argc, m->argv, m->environment);
}

static void *asks(void *arg) {
  while (!atomic_load(&ended)) {
    nanosleep(&(struct timespec){0, 300000}, NULL);
    if (gmx_stop_the_world_timeout("polls", 10000000) == GMX_OK) {
      atomic_fetch_add(&stops, 1);
      gmx_start_the_world();
    }
  }
  return arg;
}

static void tell(void) { fprintf(stderr, "%d stops\n", atomic_load(&stops)); }

int __wrap_main(int argc, char **argv, char **environment) {
  gmx_config config;
  gmx_spawn_opts opts;
  gmx_g g;
  pthread_t thread;
  memset(&opts, 0, sizeof opts);
  opts.flags = GMX_SPAWN_JOINABLE;
  opts.stack_size = 8 << 20;
  if (gmx_config_default(&config) != GMX_OK) return 99;
  config.maxprocs = 2;
  run = (struct main){argc, 0, argv, environment};
  atexit(tell);
  if (gmx_init(&config) != GMX_OK || gmx_spawn_with(&opts, runs, &run, &g) != GMX_OK) return 99;
  if (pthread_create(&thread, NULL, asks, NULL)) return 99;
  if (gmx_join(g, GMX_FOREVER) != GMX_OK) return 99;
  atomic_store(&ended, 1);
  pthread_join(thread, NULL);
  return run.result;
}
