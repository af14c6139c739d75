/*
 * OpenMP (GCC's libgomp) on goroutines:  openmp [cost]
 *
 * Each thread that comes to a parallel region keeps a team of threads for the next one. A goroutine may be on any
 * thread, so soon all workers have teams: threads in threads. So let one goroutine, which is locked to its thread, run
 * the regions for all. It gives its P away meanwhile, since its team takes the CPUs.
 *
 *   - In a region call nothing that migrates: what the first thread of the team knows about the team is its thread's.
 *     (The others are threads of the host. They may call what those may.)
 *   - omp_set_num_threads sets a variable of the thread, so a goroutine cannot rely on it. Use the clause num_threads
 *     or the environment.
 *
 *   cc -fopenmp openmp.c -lgomax && ./a.out
 */
#include "each.h"

#include <dirent.h>
#include <omp.h>
#include <stdatomic.h>

enum { GOROUTINES = 32, TEAM = 3, N = 100000, STACK = 64 << 10 };

static atomic_int in_teams; /* how many threads have ever been in a team */
static _Thread_local int counted;

static void sums(void *result) {
  long sum = 0;
#pragma omp parallel num_threads(TEAM) reduction(+ : sum)
  {
    if (!counted++) atomic_fetch_add(&in_teams, 1);
#pragma omp for
    for (int i = 0; i < N; i++) sum += i % 7;
  }
  *(long *)result = sum;
}

/* ---- a goroutine that runs the regions of all ---- */

struct job {
  void (*fn)(void *);
  void *arg;
  uint32_t done; /* semaphore */
};
static gmx_chan *jobs; /* of pointers */

static void runs_jobs(void *unused) {
  (void)unused;
  struct job *j;
  MUST(gmx_lock_os_thread() == GMX_OK);
  while (gmx_chan_recv(jobs, &j) == GMX_OK) {
    MUST(gmx_blocking(j->fn, j->arg) == GMX_OK);
    MUST(gmx_sema_release(&j->done) == GMX_OK);
  }
  MUST(gmx_unlock_os_thread() == GMX_OK);
}

static void runs(void (*fn)(void *), void *arg) {
  struct job j = {fn, arg, 0}, *p = &j;
  MUST(gmx_chan_send(jobs, &p) == GMX_OK && gmx_sema_acquire(&j.done) == GMX_OK);
}

/* ---- */

static long expected;

static void by_the_one(int i) {
  (void)i;
  long sum = 0;
  for (int n = 0; n < 5; n++) {
    runs(sums, &sum);
    MUST(sum == expected);
  }
}

static void as_it_is(int i) {
  (void)i;
  long sum = 0;
  for (int n = 0; n < 5; n++) {
    sums(&sum);
    MUST(sum == expected);
    gmx_yield();
  }
}

static void in_brackets(int i) {
  (void)i;
  long sum = 0;
  for (int n = 0; n < 5; n++) MUST(gmx_blocking(sums, &sum) == GMX_OK && sum == expected);
}

static void threads_so_far(void) {
  int n = -2; /* . and .. */
  DIR *tasks = opendir("/proc/self/task");
  MUST(tasks);
  while (readdir(tasks)) n++;
  closedir(tasks);
  printf("%-40s %8d\n", "  threads by now", n);
}

static void run(void *arg) {
  gmx_waitgroup server = GMX_WAITGROUP_INIT;
  MUST(gmx_chan_new(sizeof(struct job *), 0, &jobs) == GMX_OK);
  MUST(gmx_waitgroup_go(&server, runs_jobs, NULL) == GMX_OK);
  if (arg) {
    costs("goroutines, one for the regions", GOROUTINES, STACK, by_the_one), threads_so_far();
    costs("goroutines, as it is", GOROUTINES, STACK, as_it_is), threads_so_far();
    costs("goroutines, gmx_blocking", GOROUTINES, STACK, in_brackets), threads_so_far();
  } else {
    each(GOROUTINES, STACK, by_the_one);
    MUST(atomic_load(&in_teams) == TEAM);
  }
  MUST(gmx_chan_close(jobs) == GMX_OK && gmx_waitgroup_wait(&server) == GMX_OK && gmx_chan_free(jobs) == GMX_OK);
}

int main(int argc, char **argv) {
  bool cost = argc > 1 && strcmp(argv[1], "cost") == 0;
  for (int i = 0; i < N; i++) expected += i % 7;
  if (cost) costs("a thread", GOROUTINES, 0, as_it_is), threads_so_far();
  MUST(gmx_main(run, cost ? &cost : NULL) == GMX_OK);
  if (!cost) printf("%d regions, a team of %d\n", 5 * GOROUTINES, TEAM);
  return 0;
}
