/*
 * Measures how late timers, wakes, hand-offs and new Gs come while Gs compute:  gmxlatency CASE HOGS N [PS]
 *
 * Two Ps, and HOGS Gs that compute all the time and poll; with PS so many Ps, and the HOGS do not poll: they call
 * nothing of the library. Prints N times in nanoseconds, a line each. The same program in Go is ../peers/go/latency;
 * ../latency.py compares the two.
 */
#include <gomax.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

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

/* ---- beside code that calls nothing ---- */

static bool deaf;
static uint64_t volatile turns;
static void deaf_hog(void *arg) {
  (void)arg;
  for (;;) turns = turns + 1;
}

/* How long each takes that needs the Ps: a barrier, and three that stop the world. */
static void nothing(void *arg) { (void)arg; }
static void barrier(void) {
  for (long i = 0; i < n; i++) {
    must(gmx_sleep(MS));
    int64_t begin = gmx_now();
    must(gmx_for_each_p(nothing, NULL));
    came(begin);
  }
}
static void resize(void) {
  for (long i = 0; i < n; i++) {
    must(gmx_sleep(MS));
    int64_t begin = gmx_now();
    must(gmx_gomaxprocs(i % 2 ? 2 : 3));
    came(begin);
  }
}
static void mem_stats(void) {
  for (long i = 0; i < n; i++) {
    gmx_mem_stats stats = {.struct_size = sizeof stats};
    must(gmx_sleep(MS));
    int64_t begin = gmx_now();
    must(gmx_read_mem_stats(&stats));
    came(begin);
  }
}

static void heap_dump(void) {
  int fd = open("/dev/null", O_WRONLY);
  if (fd < 0) exit(1);
  for (long i = 0; i < n; i++) {
    must(gmx_sleep(MS));
    int64_t begin = gmx_now();
    must(gmx_write_heap_dump(fd));
    came(begin);
  }
}

/* A thread of the host spawns a G: how late it begins. */
static void *spawns(void *arg) {
  for (long i = 0; i < n; i++) {
    int64_t now = gmx_now();
    long before = got;
    must(gmx_spawn(comes, &now));
    while (got == before) nanosleep(&(struct timespec){0, MS}, NULL);
  }
  return arg;
}
static void from_host(void) {
  pthread_t thread;
  must(gmx_waitgroup_add(&done, n));
  if (pthread_create(&thread, NULL, spawns, NULL)) exit(1);
  must(gmx_waitgroup_wait(&done));
}

/* A G reads from an empty pipe, to which the next G in the queue writes: from before the read to a P again. */
static int fds[2];
static void writes(void *arg) {
  (void)arg;
  if (write(fds[1], "x", 1) != 1) exit(1);
}
static void reads(bool bracket) {
  char byte;
  if (pipe(fds) != 0) exit(1);
  for (long i = 0; i < n; i++) {
    must(gmx_spawn(writes, NULL));
    int64_t begin = gmx_now();
    if (bracket) must(gmx_enter_syscall());
    if (read(fds[0], &byte, 1) != 1) exit(1);
    if (bracket) must(gmx_exit_syscall());
    must(gmx_yield());
    came(begin);
  }
}
static void plain_read(void) { reads(false); }
static void bracketed_read(void) { reads(true); }

/* The turns of a hog beside a ticker of 1 ms, for each turn without it, in millionths; both for each second of the
 * CPU time of the process. */
static int64_t cpu_time(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (int64_t)t.tv_sec * 1000 * MS + t.tv_nsec;
}
static double rate(bool ticks) {
  int64_t begin = cpu_time(), until = gmx_now() + 500 * MS;
  uint64_t before = turns;
  if (ticks)
    while (gmx_now() < until) must(gmx_sleep(MS));
  else
    must(gmx_sleep(500 * MS));
  return (double)(turns - before) / (double)(cpu_time() - begin);
}
static void throughput(void) {
  for (long i = 0; i < n; i++) {
    double alone = rate(false);
    late[got] = (int64_t)(1e6 * rate(true) / alone);
    got = got + 1;
  }
}

static const struct {
  const char *name;
  void (*run)(void);
} CASES[] = {{"timer", timer}, {"after_func", after_func}, {"wake", wake}, {"hand_off", hand_off}, {"first_run", first_run},
             {"barrier", barrier}, {"resize", resize}, {"mem_stats", mem_stats}, {"heap_dump", heap_dump},
             {"from_host", from_host}, {"plain_read", plain_read}, {"bracketed_read", bracketed_read},
             {"throughput", throughput}};

static int hogs;
static void all(void *arg) {
  for (int i = 0; i < hogs; i++) must(gmx_spawn(deaf ? deaf_hog : hog, NULL));
  must(gmx_sleep(20 * MS));
  (*(void (*const *)(void))arg)();
  for (long i = 0; i < n; i++) printf("%lld\n", (long long)late[i]);
  fflush(stdout);
  _Exit(0);
}

int main(int argc, char **argv) {
  if (argc != 4 && argc != 5) return 2;
  deaf = argc == 5;
  hogs = atoi(argv[2]);
  n = atol(argv[3]);
  late = calloc((size_t)n, sizeof *late);
  if (!late) return 1;
  gmx_config config;
  must(gmx_config_default(&config));
  config.maxprocs = deaf ? atoi(argv[4]) : 2;
  must(gmx_init(&config));
  for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
    if (strcmp(argv[1], CASES[i].name) == 0) must(gmx_main(all, (void *)&CASES[i].run));
  return 2;
}
