/* env: GMX_MAXPROCS=2 */
/* At the end of a goroutine, however it comes, the functions that it has pushed run, the last first. A function that
 * was popped does not run. */
#include "child.h"
#include "gs.h"

static int order[16], called;
static gmx_g self;

static void note(void *arg) {
  CHECK_EQ(gmx_self(), self);
  order[called++] = (int)(intptr_t)arg;
}
static void *number(int n) { return (void *)(intptr_t)n; }
static void was_called(const int *want, int n) {
  CHECK_EQ(called, n);
  for (int i = 0; i < n; i++) CHECK_EQ(order[i], want[i]);
  called = 0;
}
static void begins(void) {
  self = gmx_self();
  called = 0;
}

/* ---- in the middle of it all ---- */

static void ends_in(int depth) {
  gmx_cleanup c;
  CHECK_OK(gmx_cleanup_push(&c, note, number(depth)));
  if (depth < 5) ends_in(depth + 1);
  gmx_goexit();
  CHECK_OK(gmx_cleanup_pop(&c, false)); /* not reached */
}
static void deep(void *arg) {
  (void)arg;
  begins();
  ends_in(1);
  FAIL("came back");
}
static void by_goexit(void) {
  on_g(deep, NULL);
  was_called((int[]){5, 4, 3, 2, 1}, 5);
}

/* ---- popped, run or not ---- */

static void pops(void *arg) {
  gmx_cleanup a, b, c;
  begins();
  CHECK_OK(gmx_cleanup_push(&a, note, number(1)));
  CHECK_OK(gmx_cleanup_push(&b, note, number(2)));
  CHECK_OK(gmx_cleanup_push(&c, note, number(3)));
  CHECK_OK(gmx_cleanup_pop(&c, true));
  CHECK_STATUS(gmx_cleanup_pop(&a, true), GMX_EPERM);
  CHECK_OK(gmx_cleanup_pop(&b, false));
  CHECK_STATUS(gmx_cleanup_pop(&b, true), GMX_EPERM);
  if (arg) gmx_goexit();
  CHECK_OK(gmx_cleanup_pop(&a, true));
}
static void what_was_popped_is_not_called(void) {
  on_g(pops, NULL);
  was_called((int[]){3, 1}, 2);
  on_g(pops, &called);
  was_called((int[]){3, 1}, 2);
}

/* ---- at the return ---- */

static gmx_cleanup kept[2];
static void leaves_it(void *arg) {
  (void)arg;
  begins();
  CHECK_OK(gmx_cleanup_push(&kept[0], note, number(1)));
  CHECK_OK(gmx_cleanup_push(&kept[1], note, number(2)));
}
static void by_return(void) {
  on_g(leaves_it, NULL);
  was_called((int[]){2, 1}, 2);
}

struct job {
  gmx_cleanup c;
  int *ended;
};
static void job_ends(void *arg) { bump(((struct job *)arg)->ended); }
static void job_runs(void *arg) {
  struct job *job = arg;
  CHECK_OK(gmx_cleanup_push(&job->c, job_ends, job));
  CHECK_OK(gmx_yield());
}
static void among_copied_arguments(void) {
  static int ended;
  struct job job = {.ended = &ended};
  for (int i = 0; i < 100; i++) CHECK_OK(gmx_spawn_copy(job_runs, &job, sizeof job));
  spin_until(load(&ended) == 100);
}

/* ---- what it may do, and when ---- */

static gmx_key key;
static void destructor(void *arg) { note(arg); }
static void waits_and_pushes(void *arg) {
  gmx_cleanup c;
  CHECK_STATUS(gmx_goexit(), GMX_EPERM);
  CHECK_OK(gmx_sleep(1000000));
  CHECK_OK(gmx_cleanup_push(&c, note, number(7)));
  CHECK_OK(gmx_cleanup_pop(&c, true));
  note(arg);
}
static void ends_pinned(void *arg) {
  gmx_cleanup c;
  begins();
  CHECK_OK(gmx_key_set(key, number(9)));
  CHECK_OK(gmx_cleanup_push(&c, waits_and_pushes, number(8)));
  if (arg) CHECK_OK(gmx_enter_syscall());
  else CHECK_CMP(gmx_pin(), >=, 0);
  gmx_goexit();
}
static void before_the_destructors_and_free_to_wait(void) {
  CHECK_OK(gmx_key_create(destructor, &key));
  on_g(ends_pinned, NULL);
  was_called((int[]){7, 8, 9}, 3);
  on_g(ends_pinned, &key);
  was_called((int[]){7, 8, 9}, 3);
  CHECK_OK(gmx_key_delete(key));
}

static gmx_status child_ends(void *arg) {
  gmx_cleanup c;
  begins();
  CHECK_OK(gmx_cleanup_push(&c, note, arg));
  gmx_goexit();
  return GMX_OK;
}
static void child_of_a_scope(void) {
  gmx_scope scope;
  CHECK_OK(gmx_scope_new(GMX_FOREVER, &scope));
  CHECK_OK(gmx_scope_spawn(scope, child_ends, number(4)));
  CHECK_OK(gmx_scope_leave(scope, GMX_FOREVER, NULL));
  was_called((int[]){4}, 1);
}

/* ---- attached threads ---- */

static void attached(void *arg) {
  gmx_cleanup c, none;
  (void)arg;
  CHECK_STATUS(gmx_cleanup_push(&none, note, NULL), GMX_ENOTG);
  CHECK_OK(gmx_attach_thread());
  begins();
  CHECK_OK(gmx_cleanup_push(&c, note, number(1)));
  CHECK_OK(gmx_cleanup_pop(&c, true));
  CHECK_OK(gmx_cleanup_push(&c, note, number(2)));
  CHECK_OK(gmx_detach_thread());
  memset(&c, 0xff, sizeof c);
  CHECK_OK(gmx_attach_thread());
  CHECK_STATUS(gmx_cleanup_pop(&none, true), GMX_EPERM);
  CHECK_OK(gmx_cleanup_push(&c, note, number(3)));
  CHECK_OK(gmx_cleanup_pop(&c, false));
  CHECK_OK(gmx_detach_thread());
}
static void on_an_attached_thread(void) {
  on_thread(attached, NULL);
  was_called((int[]){1}, 1);
}

/* ---- a frame that is gone ---- */

static void forgets(void *arg) {
  gmx_cleanup c;
  CHECK_OK(gmx_cleanup_push(&c, note, arg));
}
static void in_a_main(void *arg) { CHECK_OK(gmx_main(forgets, arg)); }
static void copies_to_a_main(void *arg) {
  CHECK_OK(gmx_spawn_copy(forgets, &arg, sizeof arg));
  CHECK_OK(gmx_sleep(INT64_C(10000000000)));
}
static void a_frame_that_is_gone_is_told(void) {
  static child c;
  void (*fns[])(void *) = {in_a_main, copies_to_a_main};
  for (int i = 0; i < 2; i++) {
    child_run(&c, 60, fns[i], NULL);
    if (!WIFSIGNALED(c.status) || WTERMSIG(c.status) != SIGABRT) CHILD_FAIL(&c, "it should have died by SIGABRT");
    CHILD_SAID(&c, "gmx_cleanup");
  }
}

int main(void) {
  RUN(a_frame_that_is_gone_is_told);
  RUN(by_goexit);
  RUN(what_was_popped_is_not_called);
  RUN(by_return);
  RUN(among_copied_arguments);
  RUN(before_the_destructors_and_free_to_wait);
  RUN(child_of_a_scope);
  RUN(on_an_attached_thread);
  RUN(ends_clean);
  return 0;
}
