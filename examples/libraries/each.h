/* What the programs of this folder share: a check, work on many goroutines, and what it costs. */
#include <gomax.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MUST(ok) ((ok) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #ok), exit(1)))

struct each {
  void (*work)(int i);
  int i;
  gmx_waitgroup *ends;
};

static void each_begins(void *arg) {
  struct each e = *(struct each *)arg;
  e.work(e.i);
  MUST(gmx_waitgroup_done(e.ends) == GMX_OK);
}

/* Runs work(0), work(1) to work(n - 1), each on a goroutine with a stack of so many bytes, and waits for all. */
static inline void each(int n, size_t stack_size, void (*work)(int i)) {
  gmx_spawn_opts room = GMX_SPAWN_OPTS_INIT;
  room.stack_size = stack_size;
  gmx_waitgroup ends = GMX_WAITGROUP_INIT;
  struct each *all = calloc((size_t)n, sizeof *all);
  MUST(all && gmx_waitgroup_add(&ends, n) == GMX_OK);
  for (int i = 0; i < n; i++) {
    all[i] = (struct each){work, i, &ends};
    MUST(gmx_spawn_with(&room, each_begins, &all[i], NULL) == GMX_OK);
  }
  MUST(gmx_waitgroup_wait(&ends) == GMX_OK);
  free(all);
}

/* The CPU time of the process, in milliseconds. */
static inline double cpu_ms(void) {
  struct timespec t;
  MUST(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Prints the least CPU time of five rounds of work(0) to work(n - 1): by each, or on this thread if the stack is 0. */
static inline void costs(const char *what, int n, size_t stack_size, void (*work)(int i)) {
  double least = 0;
  for (int round = 0; round < 5; round++) {
    double begin = cpu_ms();
    if (stack_size) each(n, stack_size, work);
    else
      for (int i = 0; i < n; i++) work(i);
    double took = cpu_ms() - begin;
    if (round == 0 || took < least) least = took;
  }
  printf("%-40s %8.1f ms\n", what, least);
}

struct painter {
  void (*work)(int i);
  size_t used;
};

static void paints(void *arg) {
  struct painter *p = arg;
  void *lo, *hi;
  MUST(gmx_stack_bounds(&lo, &hi) == GMX_OK);
  volatile unsigned char *at, *top = (unsigned char *)__builtin_frame_address(0) - 1024; /* below this frame */
  for (at = lo; at < top; at++) *at = 0xc5;
  p->work(0);
  for (at = lo; at < top && *at == 0xc5; at++) {
  }
  p->used = (size_t)((char *)hi - (char *)at);
}

/* Prints how much of its stack a goroutine uses that runs work(0). */
static inline void stack_used(const char *what, size_t stack_size, void (*work)(int i)) {
  struct painter p = {work, 0};
  gmx_spawn_opts room = GMX_SPAWN_OPTS_INIT;
  room.stack_size = stack_size, room.flags = GMX_SPAWN_JOINABLE;
  gmx_g g;
  MUST(gmx_spawn_with(&room, paints, &p, &g) == GMX_OK && gmx_join(g, GMX_FOREVER) == GMX_OK);
  printf("%-40s %8zu KiB of stack\n", what, p.used >> 10);
}
