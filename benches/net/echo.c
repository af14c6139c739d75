/*
 * The server of the echo benchmarks, a goroutine for each connection:  netecho PS [yields N | hogs N | late]
 *
 * yields: beside N goroutines that yield all the time. hogs: beside N that compute and call nothing. late: takes memory
 * for the text when there is something to read, and gives it back: an idle connection has none. Prints its port.
 */
#include "load.h"

#include <gomax.h>

static void ok(gmx_status status) {
  if (status >= 0) return;
  fprintf(stderr, "%s\n", gmx_strerror(status));
  exit(1);
}

static void echoes(void *arg) {
  gmx_poll conn = (gmx_poll)(uintptr_t)arg;
  char text[4096];
  gmx_status n;
  while ((n = gmx_read(conn, text, sizeof text, GMX_FOREVER)) > 0)
    if (gmx_write(conn, text, (size_t)n, GMX_FOREVER, NULL) != GMX_OK) break;
  gmx_close(conn);
}

static void echoes_late(void *arg) {
  gmx_poll conn = (gmx_poll)(uintptr_t)arg;
  uint32_t ready;
  gmx_status n = GMX_OK;
  while (n == GMX_OK && gmx_poll_wait(conn, GMX_POLL_IN, GMX_FOREVER, &ready) == GMX_OK) {
    char *text = malloc(4096);
    must(text != NULL, "memory");
    n = gmx_read(conn, text, 4096, GMX_FOREVER);
    n = n > 0 ? gmx_write(conn, text, (size_t)n, GMX_FOREVER, NULL) : GMX_EPIPE;
    free(text);
  }
  gmx_close(conn);
}

static void yields(void *arg) {
  (void)arg;
  for (;;) ok(gmx_yield());
}

static void computes(void *arg) {
  (void)arg;
  for (volatile long n = 0;; n++) {
  }
}

static char **args;

static void serves(void *arg) {
  (void)arg;
  void (*serve)(void *) = echoes;
  if (args[2] && args[3]) {
    for (int n = atoi(args[3]); n > 0; n--) ok(gmx_spawn(strcmp(args[2], "hogs") ? yields : computes, NULL));
  } else if (args[2]) {
    serve = echoes_late;
  }
  gmx_poll listens, conn;
  ok(gmx_poll_open(listener(), 0, &listens));
  for (;;) {
    ok(gmx_accept(listens, &conn, NULL, NULL, GMX_FOREVER));
    no_delay(gmx_poll_fd(conn));
    ok(gmx_spawn(serve, (void *)(uintptr_t)conn));
  }
}

int main(int argc, char **argv) {
  must(argc >= 2, "PS [yields N | hogs N | late]");
  args = argv;
  gmx_config config;
  ok(gmx_config_default(&config));
  config.maxprocs = atoi(argv[1]);
  ok(gmx_init(&config));
  ok(gmx_main(serves, NULL));
}
