/* No goroutine can run because a thread or a stack is missing: the library reports that once, and gmx_main returns if
 * nothing can change it. */
/* timeout: 180 */
#include "child.h"
#include "gs.h"

#include <stdatomic.h>

static uint32_t sema_1, gate;
static gmx_waitgroup all;
static atomic_int at_work, told, ran;
static char last[1 << 14];

static void hears(void *arg, const char *text, size_t len) {
  (void)arg;
  size_t n = len < sizeof last - 1 ? len : sizeof last - 1;
  memcpy(last, text, n);
  last[n] = 0;
  atomic_fetch_add(&told, 1);
}

static void start(int threads) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.max_threads = threads;
  config.maxprocs = 4;
  config.report = hears;
  CHECK_OK(gmx_init(&config));
}

static void said(const char *words) {
  if (!strstr(last, words)) FAIL("\"%s\" is not in the report: %s", words, last);
}

/* ---- every thread waits for a G that has none ---- */

static void lets_them_go(void *arg) {
  (void)arg;
  atomic_fetch_add(&ran, 1);
  release(&sema_1, 2);
}

static void is_the_second(void) {
  if (atomic_fetch_add(&at_work, 1) == 1) go_with("no thread for it", 0, lets_them_go, NULL);
}

static void waits_locked(void *arg) {
  (void)arg;
  CHECK_OK(gmx_lock_os_thread());
  while (atomic_load(&at_work) < 1 && arg) CHECK_OK(gmx_yield());
  is_the_second();
  acquire(&sema_1, 1);
  CHECK_OK(gmx_unlock_os_thread());
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void waits_here(void *arg) {
  (void)arg;
  is_the_second();
  acquire(&sema_1, 1);
}

static void waits_in_a_callback(void *arg) {
  while (atomic_load(&at_work) < 1 && arg) CHECK_OK(gmx_yield());
  CHECK_OK(gmx_enter_syscall());
  CHECK_OK(gmx_callback(waits_here, NULL));
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void two_of(void *arg) {
  void (*f)(void *);
  memcpy(&f, arg, sizeof f);
  CHECK_OK(gmx_waitgroup_add(&all, 2));
  go_with("keeps a thread", 0, f, &all);
  go_with("keeps a thread", 0, f, NULL);
  CHECK_OK(gmx_waitgroup_wait(&all));
}

static void (*const kinds[])(void *) = {waits_locked, waits_in_a_callback};

static void two_threads(void *arg) {
  start(2);
  CHECK_STATUS(gmx_main(two_of, arg), GMX_EDEADLK);
  CHECK_EQ(atomic_load(&ran), 0);
  said("deadlock");
  said("wait for a thread: 1");
  said("2 (max_threads)");
  said("\"keeps a thread\" [semacquire");
  said("\"no thread for it\" [runnable]");
}

static void three_threads(void *arg) {
  start(3);
  CHECK_OK(gmx_main(two_of, arg));
  CHECK_EQ(atomic_load(&told), 0);
  end_runtime();
}

static void threads_taken_for_good_are_a_deadlock(void) {
#ifdef __SANITIZE_THREAD__
  check_say("left out: ThreadSanitizer has a thread of its own, which might call in");
  return;
#endif
  static child c;
  for (int i = 0; i < 2; i++) {
    child_run(&c, 30, two_threads, (void *)&kinds[i]);
    if (c.status) CHILD_FAIL(&c, "kind %d, two threads", i);
    child_run(&c, 30, three_threads, (void *)&kinds[i]);
    if (c.status) CHILD_FAIL(&c, "kind %d, three threads", i);
  }
}

/* ---- every thread is in a syscall, which may end some day ---- */

static int ends[2];

static void is_queued(void *arg) {
  (void)arg;
  atomic_fetch_add(&ran, 1);
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void reads(void *arg) {
  char byte;
  atomic_fetch_add(&at_work, 1);
  if (arg) go(is_queued, NULL); /* the other thread reads already */
  CHECK_OK(gmx_enter_syscall_blocking());
  while (read(ends[0], &byte, 1) < 0) CHECK_EQ(errno, EINTR);
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void *writes_when_told(void *arg) {
  int rounds = *(const int *)arg;
  for (int i = 1; i <= rounds; i++) {
    spin_until(atomic_load(&told) >= i);
    thread_nap(1500 * MS); /* and not again meanwhile */
    CHECK_EQ(atomic_load(&told), i);
    CHECK_EQ(atomic_load(&ran), i - 1);
    said("wait for a thread: 1");
    said("all 2 (max_threads) are taken");
    said("\"reads\" [syscall]");
    CHECK(write(ends[1], "12", 2) == 2);
    spin_until(atomic_load(&ran) == i);
  }
  return NULL;
}

static void reads_and_queues(void *arg) {
  for (int i = 0; i < *(const int *)arg; i++) {
    CHECK_OK(gmx_waitgroup_add(&all, 3));
    atomic_store(&at_work, 0);
    go_with("reads", 0, reads, NULL);
    while (atomic_load(&at_work) < 1) CHECK_OK(gmx_yield());
    go_with("reads", 0, reads, &all);
    CHECK_OK(gmx_waitgroup_wait(&all));
  }
}

static void syscalls_take_all(void *arg) {
  CHECK(pipe2(ends, O_CLOEXEC) == 0);
  start(2);
  pthread_t t = thread_start(writes_when_told, arg);
  CHECK_OK(gmx_main(reads_and_queues, arg));
  thread_join(t);
  end_runtime();
}

static void a_lack_of_threads_is_told_once_each_time(void) {
  int rounds = 2;
  RUN_CHILD(60, syscalls_take_all, &rounds);
}

/* ---- no memory for stacks ---- */

static void waits_with_its_stack(void *arg) {
  (void)arg;
  atomic_fetch_add(&ran, 1);
  acquire(&gate, 1);
}

static void stacks_take_all(void *arg) {
  enum { GS = 64 };
  (void)arg;
  start(4);
  go(lets_them_go, NULL);
  spin_until(gmx_num_g() == 0);
  atomic_store(&ran, 0);
  leave_only(40 << 20);
  gmx_spawn_opts o = {.struct_size = sizeof o, .stack_size = 4 << 20, .name = "large"};
  int spawned = 0;
  while (spawned < GS && gmx_spawn_with(&o, waits_with_its_stack, NULL, NULL) == GMX_OK) spawned++;
  CHECK_CMP(spawned, >, 12);
  spin_until(atomic_load(&told) == 1);
  CHECK_CMP(atomic_load(&ran), <, spawned);
  said("wait for memory for a stack");
  thread_nap(1500 * MS);
  CHECK_EQ(atomic_load(&told), 1);
  leave_all();
  spin_until(atomic_load(&ran) == spawned);
  release(&gate, spawned);
  end_runtime();
}

static void a_lack_of_stacks_is_told(void) {
#ifdef __SANITIZE_THREAD__
  check_say("left out: ThreadSanitizer takes from the address space what it needs for each goroutine");
  return;
#endif
  RUN_CHILD(60, stacks_take_all, NULL);
}

/* ---- no report while a goroutine runs ---- */

static void computes(void *arg) {
  (void)arg;
  int64_t until = check_now() + 3 * SECOND;
  while (check_now() < until) {
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void one_computes(void *arg) {
  (void)arg;
  CHECK_OK(gmx_waitgroup_add(&all, 3));
  go(is_queued, NULL);
  go(is_queued, NULL);
  go(computes, NULL);
  CHECK_OK(gmx_waitgroup_wait(&all));
}

static void one_thread_works(void *arg) {
  (void)arg;
  start(1);
  CHECK_OK(gmx_main(one_computes, NULL));
  CHECK_EQ(atomic_load(&told), 0);
  CHECK_EQ(atomic_load(&ran), 2);
  end_runtime();
}

static void work_is_no_lack(void) {
  RUN_CHILD(60, one_thread_works, NULL);
}

int main(void) {
  RUN(threads_taken_for_good_are_a_deadlock);
  RUN(a_lack_of_threads_is_told_once_each_time);
  RUN(a_lack_of_stacks_is_told);
  RUN(work_is_no_lack);
  return 0;
}
