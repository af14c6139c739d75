/* Every P runs Gs that one G submits; no G runs twice or is forgotten. */
#include "gs.h"

#include <stdatomic.h>

#define MOST 8

/* ---- all Ps at once ---- */

static int procs;
static atomic_int arrived, done;
static int p_of[MOST], tid_of[MOST];

/* Keeps its P until everybody is there: that takes as many threads with a P each as there are Gs. */
static void meets(void *arg) {
  int id = (int)(intptr_t)arg;
  int p = gmx_pin();
  CHECK_CMP(p, >=, 0);
  p_of[id] = p;
  tid_of[id] = thread_id();
  atomic_fetch_add(&arrived, 1);
  while (atomic_load(&arrived) < procs) sched_yield();
  CHECK_EQ(gmx_pin(), p);
  CHECK_OK(gmx_unpin());
  CHECK_OK(gmx_unpin());
  atomic_fetch_add(&done, 1);
}

static void all_meet(void) {
  atomic_store(&arrived, 0);
  atomic_store(&done, 0);
  for (int i = 1; i < procs; i++) go(meets, (void *)(intptr_t)i);
  meets((void *)0);
  spin_until(atomic_load(&done) == procs);
  for (int i = 0; i < procs; i++) {
    CHECK(p_of[i] >= 0 && p_of[i] < procs);
    for (int j = 0; j < i; j++) {
      CHECK(p_of[i] != p_of[j]);
      CHECK(tid_of[i] != tid_of[j]);
    }
  }
}

/* The last spawned G is in the runnext of a P that is busy with its spawner: another P must take it from there. */
static void every_p_takes_part(void) {
  for (int round = 0; round < 50; round++) all_meet();
}

static void *submits_meeting(void *arg) {
  for (int i = 0; i < procs; i++) go(meets, (void *)(intptr_t)i);
  return arg;
}

/* The submitter is a foreign thread and occupies no P: every P takes part. */
static void foreign_work_reaches_every_p(void) {
  for (int round = 0; round < 20; round++) {
    atomic_store(&arrived, 0);
    atomic_store(&done, 0);
    thread_join(thread_start(submits_meeting, NULL));
    spin_until(atomic_load(&done) == procs);
  }
}

/* ---- child first ---- */

static void parent_meets(void *arg) {
  int id = (int)(intptr_t)arg;
  if (id + 1 < procs) go_with(NULL, GMX_SPAWN_CHILD_FIRST, parent_meets, (void *)(intptr_t)(id + 1));
  meets(arg);
}

/* Each parent is left behind on its P by a child that keeps it, so each must be stolen. */
static void parents_are_stolen(void) {
  for (int round = 0; round < 20; round++) {
    atomic_store(&arrived, 0);
    atomic_store(&done, 0);
    go(parent_meets, (void *)0);
    spin_until(atomic_load(&done) == procs);
  }
}

typedef struct fib_arg {
  int n;
  long result;
} fib_arg;

static void fib(void *arg) {
  fib_arg *f = arg;
  if (f->n < 2) {
    f->result = f->n;
    return;
  }
  fib_arg a = {f->n - 1, 0}, b = {f->n - 2, 0};
  gmx_g g = go_with(NULL, GMX_SPAWN_JOINABLE | (f->n % 3 ? GMX_SPAWN_CHILD_FIRST : 0), fib, &a);
  fib(&b);
  join(g);
  f->result = a.result + b.result;
}

static void fib_is_right(void) {
  fib_arg f = {20, 0};
  fib(&f);
  CHECK_EQ(f.result, 6765);
}

/* ---- from a P whose G is in a syscall ---- */

static int wake_up[2];

static void writes(void *arg) {
  (void)arg;
  CHECK_EQ(write(wake_up[1], "x", 1), 1);
}

static void reads(void *arg) {
  (void)arg;
  char c;
  CHECK_EQ(read(wake_up[0], &c, 1), 1);
}

/* The writer is in runnext of this P, and the G that waits for it sits in a read: only another P can run the writer. */
static void runnext_of_a_p_in_a_syscall_is_run(void) {
  CHECK(pipe(wake_up) == 0);
  for (int round = 0; round < 50; round++) {
    go(writes, NULL);
    CHECK_OK(gmx_enter_syscall());
    reads(NULL);
    CHECK_OK(gmx_exit_syscall());

    go(writes, NULL);
    CHECK_OK(gmx_enter_syscall_blocking());
    reads(NULL);
    CHECK_OK(gmx_exit_syscall());

    go(writes, NULL);
    CHECK_OK(gmx_blocking(reads, NULL));
  }
  close(wake_up[0]);
  close(wake_up[1]);
}

/* ---- each once ---- */

#define GS 100000
#define SPAWNERS 10
static atomic_uchar ran[GS];
static unsigned char turns[GS];
static gmx_waitgroup all;

static void runs_once(void *arg) {
  size_t id = (size_t)(uintptr_t)arg;
  CHECK_EQ(atomic_fetch_add(&ran[id], 1), 0);
  for (size_t i = 0; i < id % 4; i++) {
    turns[id]++; /* a plain increment: two runs at once would lose one */
    CHECK_OK(gmx_yield());
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void spawns_its_share(void *arg) {
  uintptr_t share = (uintptr_t)arg;
  for (uintptr_t i = 0; i < GS / SPAWNERS; i++) go(runs_once, (void *)(share * (GS / SPAWNERS) + i));
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void *spawns_as_a_thread(void *arg) {
  spawns_its_share(arg);
  return NULL;
}

static void nothing_runs_twice(void) {
  memset(ran, 0, sizeof ran);
  memset(turns, 0, sizeof turns);
  CHECK_OK(gmx_waitgroup_add(&all, GS + SPAWNERS));
  pthread_t foreign = thread_start(spawns_as_a_thread, (void *)0);
  for (uintptr_t i = 1; i < SPAWNERS; i++) go(spawns_its_share, (void *)i);
  CHECK_OK(gmx_waitgroup_wait(&all));
  thread_join(foreign);
  for (size_t i = 0; i < GS; i++) {
    CHECK_EQ(ran[i], 1);
    CHECK_EQ(turns[i], i % 4);
  }
}

/* ---- one that yields straight to another ---- */

static atomic_int went_on;

static void waits_for_it(void *arg) {
  (void)arg;
  while (!atomic_load(&went_on)) continue; /* keeps its P */
}

/* A G that yields is in no queue for a moment, and a searcher finds no G then. */
static void one_that_yields_is_found(void) {
  if (procs < 2) return;
  for (int i = 0; i < 500; i++) {
    atomic_store(&went_on, 0);
    gmx_g g = go_with("waits", GMX_SPAWN_JOINABLE, waits_for_it, NULL);
    CHECK_OK(gmx_yield());
    atomic_store(&went_on, 1);
    join(g);
  }
}

static void with_procs(int n) {
  check_say("%d Ps", n);
  procs = n;
  start_runtime(n, 0);
  RUN_G(every_p_takes_part);
  RUN(foreign_work_reaches_every_p);
  RUN(parents_are_stolen);
  RUN_G(fib_is_right);
  RUN_G(runnext_of_a_p_in_a_syscall_is_run);
  RUN_G(one_that_yields_is_found);
  RUN_G(nothing_runs_twice);
  end_runtime();
}

int main(void) {
  with_procs(1);
  with_procs(2);
  with_procs(8);
  return 0;
}
