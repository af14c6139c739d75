/* fork: the child has one thread and no runtime, and may start a runtime of its own; the parent's continues. */
#include "gs.h"

#include <stdatomic.h>
#include <sys/wait.h>

static atomic_int quit, ran;
static gmx_waitgroup all;

static void runs(void *arg) {
  (void)arg;
  atomic_fetch_add(&ran, 1);
}

static void sleeps_and_yields(void *arg) {
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_sleep(MS / 10));
  CHECK_OK(gmx_enter_syscall());
  CHECK_OK(gmx_exit_syscall());
  atomic_fetch_add(&ran, 1);
  CHECK_OK(gmx_sema_release(arg));
}

static void main_of_child(void *arg) {
  spin_until(gmx_num_g() == 1); /* the parent's Gs are not here */
  gmx_key key;
  CHECK_OK(gmx_key_create(NULL, &key));
  CHECK_OK(gmx_key_set(key, &key));
  CHECK(gmx_key_get(key) == &key);
  for (int i = 0; i < 10; i++) go(sleeps_and_yields, arg);
  acquire(arg, 10);
  CHECK_CMP(gmx_gomaxprocs(3), >=, 1);
  CHECK_OK(gmx_stop_the_world("in a child"));
  CHECK_OK(gmx_start_the_world());
  CHECK_OK(gmx_for_each_p(runs, NULL));
}

static void is_called_back(void *arg) {
  CHECK(gmx_goid() != 0);
  CHECK_OK(gmx_yield());
  runs(arg);
}

static void *calls_back(void *arg) {
  CHECK_OK(gmx_callback(is_called_back, NULL));
  return arg;
}

static gmx_g parents_g;

/* All that a fresh process could do. */
static void in_child(void) {
  alarm(100);
  uint32_t sema = 0;
  CHECK_EQ(gmx_goid(), 0); /* whatever it was in the parent */
  CHECK_EQ(gmx_self(), 0);
  CHECK_EQ(gmx_num_g(), 0);
  if (parents_g) CHECK_STATUS(gmx_join(parents_g, 0), GMX_ESTALE);
  CHECK_STATUS(gmx_exit_syscall(), GMX_EPERM);
  CHECK_STATUS(gmx_start_the_world(), GMX_EPERM);
  CHECK_STATUS(gmx_detach_thread(), GMX_EPERM);
  atomic_store(&ran, 0);
  CHECK_OK(gmx_spawn(sleeps_and_yields, &sema)); /* starts it, with defaults */
  CHECK_OK(gmx_sema_acquire(&sema));
  CHECK_STATUS(gmx_init(NULL), GMX_EBUSY);
  CHECK_OK(gmx_main(main_of_child, &sema));
  CHECK_EQ(atomic_load(&ran), 11 + 3);
  thread_join(thread_start(calls_back, NULL));
  CHECK_EQ(atomic_load(&ran), 15);
  CHECK_OK(gmx_callback(is_called_back, NULL));
  end_runtime();
  start_runtime(2, 0);
  CHECK_OK(gmx_main(is_called_back, NULL));
  end_runtime();
  _exit(0);
}

static void forks(void) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) in_child();
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  if (status != 0) FAIL("the child's wait status is %#x", status);
}

/* ---- from everywhere, while everything runs ---- */

static void works(void *arg) {
  uintptr_t id = (uintptr_t)arg;
  while (!atomic_load(&quit)) {
    switch (id % 4) {
      case 0:
        join(go_with("short", GMX_SPAWN_JOINABLE, runs, NULL));
        break;
      case 1: CHECK_OK(gmx_sleep(10000)); break;
      case 2:
        CHECK_OK(gmx_enter_syscall_blocking());
        CHECK_OK(gmx_exit_syscall());
        break;
      default: CHECK_OK(gmx_for_each_p(runs, NULL));
    }
  }
  CHECK_OK(gmx_waitgroup_done(&all));
}

static void works_start(void) {
  atomic_store(&quit, 0);
  CHECK_OK(gmx_waitgroup_add(&all, 12));
  for (uintptr_t i = 0; i < 12; i++) go(works, (void *)i);
}

static void works_end(void) {
  atomic_store(&quit, 1);
  CHECK_OK(gmx_waitgroup_wait(&all));
  atomic_store(&ran, 0);
  go(runs, NULL);
  spin_until(atomic_load(&ran) == 1);
}

static void *forks_as_thread(void *arg) {
  for (int i = 0; i < (int)(intptr_t)arg; i++) forks();
  return NULL;
}

static void *forks_attached(void *arg) {
  CHECK_OK(gmx_attach_thread());
  forks_as_thread(arg);
  CHECK_OK(gmx_detach_thread());
  return NULL;
}

static void callback(void *arg) { forks_as_thread(arg); }

static void *forks_in_a_callback(void *arg) {
  CHECK_OK(gmx_callback(callback, arg));
  forks(); /* known, but not inside */
  return NULL;
}

static void a_plain_thread_forks(void) {
  works_start();
  thread_join(thread_start(forks_as_thread, (void *)15));
  works_end();
}

static void an_attached_thread_forks(void) {
  works_start();
  thread_join(thread_start(forks_attached, (void *)5));
  thread_join(thread_start(forks_in_a_callback, (void *)5));
  works_end();
}

static void a_g_forks(void) {
  works_start();
  for (int i = 0; i < 5; i++) forks();
  CHECK_OK(gmx_enter_syscall());
  forks();
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_stop_the_world("to fork"));
  forks();
  CHECK_OK(gmx_start_the_world());
  CHECK_CMP(gmx_pin(), >=, 0);
  forks();
  CHECK_OK(gmx_unpin());
  works_end();
}

/* ---- locks that are held over a fork ---- */

static gmx_mutex mine, theirs;
static gmx_rwmutex my_rw, their_rw;
static atomic_int came_back, tried;

static void wants_theirs(void *arg) {
  CHECK_STATUS(gmx_mutex_unlock(&theirs), GMX_EPERM);
  CHECK_STATUS(gmx_rwmutex_unlock(&their_rw), GMX_EPERM);
  CHECK_STATUS(gmx_mutex_try_lock(&theirs), GMX_EBUSY);
  CHECK_STATUS(gmx_rwmutex_try_lock(&their_rw), GMX_EBUSY);
  CHECK_STATUS(gmx_mutex_unlock(&mine), GMX_EPERM);
  atomic_fetch_add(&tried, 1);
  /* Their owners are not in this process, so this wait must not return. */
  if (arg) gmx_mutex_lock(&theirs);
  else gmx_rwmutex_lock(&their_rw);
  atomic_fetch_add(&came_back, 1);
}

static void in_child_with_locks(void) {
  enum { GS = 2000 };
  alarm(100);
  start_runtime(2, 0);
  for (int i = 0; i < GS; i++) go(wants_theirs, (void *)(intptr_t)(i % 2));
  spin_until(atomic_load(&tried) == GS);
  CHECK_EQ(atomic_load(&came_back), 0);
  /* The thread that forked still owns its locks. */
  CHECK_STATUS(gmx_mutex_lock(&mine), GMX_EDEADLK);
  CHECK_OK(gmx_mutex_unlock(&mine));
  CHECK_OK(gmx_mutex_lock(&mine));
  CHECK_OK(gmx_rwmutex_unlock(&my_rw));
  CHECK_STATUS(gmx_mutex_unlock(&theirs), GMX_EPERM);
  CHECK_STATUS(gmx_mutex_try_lock(&theirs), GMX_EBUSY);
  CHECK_EQ(atomic_load(&came_back), 0);
  _exit(0);
}

static uint32_t locked, may_unlock;

static void holds_locks(void *arg) {
  CHECK_OK(gmx_mutex_lock(&theirs));
  CHECK_OK(gmx_rwmutex_lock(&their_rw));
  release(&locked, 1);
  acquire(&may_unlock, 1);
  CHECK_OK(gmx_mutex_unlock(&theirs));
  CHECK_OK(gmx_rwmutex_unlock(&their_rw));
  (void)arg;
}

static void forks_with_locks(void *arg) {
  gmx_g g = go_with("holds", GMX_SPAWN_JOINABLE, holds_locks, NULL);
  acquire(&locked, 1);
  CHECK_OK(gmx_mutex_lock(&mine));
  CHECK_OK(gmx_rwmutex_lock(&my_rw));
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) in_child_with_locks();
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  if (status != 0) FAIL("the child's wait status is %#x", status);
  CHECK_OK(gmx_mutex_unlock(&mine));
  CHECK_OK(gmx_rwmutex_unlock(&my_rw));
  release(&may_unlock, 1);
  join(g);
  (void)arg;
}

static void *forks_with_locks_as_thread(void *arg) {
  forks_with_locks(arg);
  return arg;
}

static void locks_are_held_over_a_fork(void) {
  CHECK_OK(gmx_main(forks_with_locks, NULL));
  forks_with_locks(NULL);
  thread_join(thread_start(forks_with_locks_as_thread, NULL));
  CHECK_OK(gmx_callback(forks_with_locks, NULL));
}

/* ---- while another thread begins ---- */

static void *begins_and_ends(void *arg) {
  while (!atomic_load(&quit)) {
    CHECK_OK(gmx_callback(runs, NULL));
    end_runtime();
  }
  return arg;
}

/* A child that finds the lock of another thread's beginning or end held must not wait for it. */
static void a_thread_begins_meanwhile(void) {
  atomic_store(&quit, 0);
  pthread_t t = thread_start(begins_and_ends, NULL);
  for (int i = 0; i < 100; i++) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      alarm(50);
      CHECK_OK(gmx_main(runs, NULL));
      end_runtime();
      _exit(0);
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    if (status != 0) FAIL("the child's wait status is %#x", status);
  }
  atomic_store(&quit, 1);
  thread_join(t);
}

static void *begins_for_the_first_time(void *arg) {
  atomic_store((atomic_int *)arg, 1);
  CHECK_OK(gmx_main(runs, NULL));
  return NULL;
}

/* In a process that has not used the library before: nothing was registered by an earlier call. */
static void forks_beside_the_first_call(void) {
  for (int i = 0; i < 40; i++) {
    pid_t fresh = fork();
    CHECK(fresh >= 0);
    if (fresh == 0) {
      alarm(50);
      atomic_int about = 0;
      pthread_t t = thread_start(begins_for_the_first_time, &about);
      while (!atomic_load(&about)) sched_yield();
      for (int spin = 0; spin < i * 75; spin++) __asm__ volatile("");
      for (int j = 0; j < 10; j++) {
        pid_t pid = fork();
        if (pid == 0) {
          alarm(20);
          CHECK_OK(gmx_main(runs, NULL));
          _exit(0);
        }
        int status = 0;
        CHECK(waitpid(pid, &status, 0) == pid);
        if (status != 0) FAIL("a child that was forked beside the first call: wait status %#x", status);
      }
      thread_join(t);
      _exit(0);
    }
    int status = 0;
    CHECK(waitpid(fresh, &status, 0) == fresh);
    CHECK_EQ(status, 0);
  }
}

static void grandchild(void) {
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    CHECK_OK(gmx_main(runs, NULL));
    forks();
    _exit(0);
  }
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(status, 0);
}

/* A child that does nothing with the library, as before exec. */
static void a_child_may_ignore_it(void) {
  for (int i = 0; i < 20; i++) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) _exit(7);
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_EQ(WEXITSTATUS(status), 7);
  }
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) exit(8); /* with all that runs at exit */
  int status = 0;
  CHECK(waitpid(pid, &status, 0) == pid);
  CHECK_EQ(WEXITSTATUS(status), 8);
}

int main(void) {
  RUN(forks_beside_the_first_call);
  RUN(forks); /* before there is a runtime */
  start_runtime(4, 0);
  parents_g = go_with("parent's", GMX_SPAWN_JOINABLE, runs, NULL);
  RUN(a_plain_thread_forks);
  RUN(an_attached_thread_forks);
  RUN_G(a_g_forks);
  RUN(grandchild);
  RUN(a_child_may_ignore_it);
  RUN(locks_are_held_over_a_fork);
  join(parents_g);
  end_runtime();
  parents_g = 0;
  RUN(a_thread_begins_meanwhile);
  return 0;
}
