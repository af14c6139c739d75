/* The baseline for the bindings: the same three cases in C. Prints `case ns` for each. */
#include <gomax.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { N = 100000 };

static void must(gmx_status status) {
  if (status == GMX_OK) return;
  fprintf(stderr, "bench: %s\n", gmx_strerror(status));
  exit(1);
}

static void nothing(void *arg) { (void)arg; }

static void spawn_join(void) {
  int64_t begin = gmx_now();
  for (int i = 0; i < N; i++) {
    gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = GMX_SPAWN_JOINABLE};
    gmx_g g;
    if (gmx_spawn_with(&opts, nothing, NULL, &g) == GMX_OK) must(gmx_join(g, GMX_FOREVER));
  }
  printf("spawn %.1f\n", (double)(gmx_now() - begin) / N);
}

static gmx_chan *ping, *pong;

static void echo(void *arg) {
  int64_t v;
  (void)arg;
  while (gmx_chan_recv(ping, &v) == GMX_OK) must(gmx_chan_send(pong, &v));
  gmx_chan_close(pong);
}

static void ping_pong(void) {
  must(gmx_chan_new(sizeof(int64_t), 0, &ping));
  must(gmx_chan_new(sizeof(int64_t), 0, &pong));
  must(gmx_spawn(echo, NULL));
  int64_t begin = gmx_now();
  for (int64_t i = 0, v; i < N; i++) {
    must(gmx_chan_send(ping, &i));
    must(gmx_chan_recv(pong, &v));
  }
  printf("pingpong %.1f\n", (double)(gmx_now() - begin) / N);
  gmx_chan_close(ping);
  int64_t v;
  if (gmx_chan_recv(pong, &v) != GMX_ECLOSED) exit(1);
}

static void *foreign(void *arg) {
  must(gmx_callback(nothing, NULL)); /* makes the thread known */
  int64_t begin = gmx_now();
  for (int i = 0; i < N; i++) must(gmx_callback(nothing, NULL));
  printf("callback %.1f\n", (double)(gmx_now() - begin) / N);
  return arg;
}

static void start(void *arg) {
  (void)arg;
  spawn_join();
  ping_pong();
}

int main(void) {
  gmx_config config = {.struct_size = sizeof config, .maxprocs = 1};
  pthread_t t;
  must(gmx_init(&config));
  must(gmx_main(start, NULL));
  pthread_create(&t, NULL, foreign, NULL);
  pthread_join(t, NULL);
  return 0;
}
