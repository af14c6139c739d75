/*
 * Measures how late timers, wakes, hand-offs and new Gs come while Gs compute:  gmxlatency CASE HOGS N
 *
 * Two Ps, and HOGS Gs that compute all the time and poll. Prints N times in nanoseconds, a line each. The same program
 * in Go is ../peers/go/latency; ../latency.py compares the two.
 */
#include <gomax.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MS INT64_C(1000000)

static long n;
static int64_t *late;
static long volatile got;
static gmx_chan *stamps;
static gmx_waitgroup done;

static void must(gmx_status status) {
  if (status >= 0) return;
  fprintf(stderr, "%s\n", gmx_strerror(status));
  exit(1);
}

static void compute(int64_t ns) {
  for (int64_t until = gmx_now() + ns; gmx_now() < until;) gmx_safepoint();
}
static void hog(void *arg) {
  (void)arg;
  for (;;) compute(MS);
}

static void came(int64_t due) {
  late[got] = gmx_now() - due;
  got = got + 1;
}
static void comes(void *due) {
  came(*(int64_t *)due);
  must(gmx_waitgroup_done(&done));
}

static void timer(void) {
  for (long i = 0; i < n; i++) {
    int64_t due = gmx_now() + MS;
    must(gmx_sleep(MS));
    came(due);
  }
}

/* A G arms the timer and then computes. */
static void after_func(void) {
  for (long i = 0; i < n; i++) {
    must(gmx_waitgroup_add(&done, 1));
    int64_t due = gmx_now() + MS;
    must(gmx_after_func(MS, comes, &due, NULL));
    compute(10 * MS);
    must(gmx_waitgroup_wait(&done));
  }
}

static void receives(void *arg) {
  (void)arg;
  int64_t sent;
  for (long i = 0; i < n; i++) {
    must(gmx_chan_recv(stamps, &sent));
    came(sent);
    must(gmx_waitgroup_done(&done));
  }
}
/* The waker continues to compute. */
static void wake(void) {
  must(gmx_chan_new(sizeof(int64_t), 1, &stamps));
  must(gmx_spawn(receives, NULL));
  for (long i = 0; i < n; i++) {
    must(gmx_sleep(MS));
    must(gmx_waitgroup_add(&done, 1));
    int64_t now = gmx_now();
    must(gmx_chan_send(stamps, &now));
    compute(10 * MS);
    must(gmx_waitgroup_wait(&done));
  }
}

/* A G waits in the queue of a P whose G has entered a blocking call. */
static void hand_off(void) {
  for (long i = 0; i < n; i++) {
    must(gmx_waitgroup_add(&done, 1));
    int64_t now = gmx_now();
    must(gmx_spawn(comes, &now));
    must(gmx_enter_syscall());
    struct timespec t = {0, 3 * MS};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &t) == EINTR) {
    }
    must(gmx_exit_syscall());
    must(gmx_waitgroup_wait(&done));
  }
}

/* The parent of the new G continues to compute. */
static void first_run(void) {
  for (long i = 0; i < n; i++) {
    must(gmx_waitgroup_add(&done, 1));
    int64_t now = gmx_now();
    must(gmx_spawn(comes, &now));
    compute(10 * MS);
    must(gmx_waitgroup_wait(&done));
  }
}

static const struct {
  const char *name;
  void (*run)(void);
} CASES[] = {{"timer", timer}, {"after_func", after_func}, {"wake", wake}, {"hand_off", hand_off}, {"first_run", first_run}};

static int hogs;
static void all(void *arg) {
  for (int i = 0; i < hogs; i++) must(gmx_spawn(hog, NULL));
  must(gmx_sleep(20 * MS));
  (*(void (*const *)(void))arg)();
  for (long i = 0; i < n; i++) printf("%lld\n", (long long)late[i]);
  fflush(stdout);
  _Exit(0);
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  hogs = atoi(argv[2]);
  n = atol(argv[3]);
  late = calloc((size_t)n, sizeof *late);
  if (!late) return 1;
  gmx_config config;
  must(gmx_config_default(&config));
  config.maxprocs = 2;
  must(gmx_init(&config));
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
    if (strcmp(argv[1], CASES[i].name) == 0) must(gmx_main(all, (void *)&CASES[i].run));
  return 2;
}
