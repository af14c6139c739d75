/* env: GMX_MAXPROCS=3 */
/*
 * errno belongs to the G: it survives each parking call, and a move to another thread.
 *
 * Compilers treat the address of errno as constant within a function, so the test reads and writes it through functions
 * that are never inlined. A host must do the same, or include gomax_errno.h.
 */
#include "gs.h"

#include <sys/syscall.h>

__attribute__((__noinline__, __noclone__)) static int errno_get(void) {
  int *volatile p = &errno;
  return *p;
}
__attribute__((__noinline__, __noclone__)) static void errno_set(int value) {
  int *volatile p = &errno;
  *p = value;
}
__attribute__((__noinline__, __noclone__)) static long tid(void) { return syscall(SYS_gettid); }

struct mover {
  int id;
  gmx_g where;
};

static uint32_t sema, never;
static gmx_mutex mutex;
static gmx_waitgroup done;
static int64_t moves, stop;

static void wakes(void *arg) {
  struct mover *m = arg;
  CHECK_EQ(errno_get(), 0); /* a new G's is its own as well */
  wake_at(&m->where);
}

static void parks_every_way(struct mover *m, int way) {
  switch (way % 8) {
    case 0:
      CHECK_OK(gmx_yield());
      break;
    case 1:
      CHECK_OK(gmx_sleep(1000));
      break;
    case 2:
      CHECK_OK(gmx_sema_release(&sema));
      CHECK_OK(gmx_sema_acquire(&sema));
      break;
    case 3:
      CHECK_OK(gmx_mutex_lock(&mutex));
      CHECK_OK(gmx_yield());
      CHECK_OK(gmx_mutex_unlock(&mutex));
      break;
    case 4:
      errno_set(0); /* the G sees the errno that its thread sets in a syscall */
      CHECK_OK(gmx_enter_syscall_blocking());
      errno_set(m->id);
      CHECK_OK(gmx_exit_syscall());
      break;
    case 5:
      CHECK_STATUS(gmx_sema_acquire_timeout(&never, 1), GMX_ETIMEDOUT);
      break;
    case 6:
      store(&m->where, 0);
      CHECK_OK(gmx_spawn(wakes, m));
      park_at(&m->where);
      break;
    default:
      gmx_safepoint();
  }
}

static void moves_on(void *arg) {
  struct mover *m = arg;
  CHECK_EQ(errno_get(), 0);
  for (int i = 0; !load(&stop) || i < 200; i++) {
    long thread = tid();
    errno_set(m->id);
    parks_every_way(m, i);
    CHECK_EQ(errno_get(), m->id);
    if (tid() != thread) __atomic_fetch_add(&moves, 1, __ATOMIC_RELAXED);
    errno_set(-1); /* a trap for a G that reads the errno of this thread instead of its own */
  }
  CHECK_OK(gmx_waitgroup_done(&done));
}

static void every_g_has_its_own(void) {
  enum { GS = 20 };
  struct mover movers[GS];
  CHECK_OK(gmx_waitgroup_add(&done, GS));
  for (int i = 0; i < GS; i++) {
    movers[i] = (struct mover){1000 + i, 0};
    CHECK_OK(gmx_spawn(moves_on, &movers[i]));
  }
  spin_until(__atomic_load_n(&moves, __ATOMIC_RELAXED) > 100); /* otherwise nothing is shown */
  store(&stop, 1);
  CHECK_OK(gmx_waitgroup_wait(&done));
}

/* On foreign threads errno is the thread's, and the library's own system calls do not show in it. */
static void works(void *arg) {
  (void)arg;
  CHECK_OK(gmx_yield());
  errno_set(5);
  CHECK_OK(gmx_sleep(1000));
  CHECK_EQ(errno_get(), 5);
}
static void attaches(void *arg) {
  errno_set(3);
  CHECK_OK(gmx_sleep(1000));
  CHECK_EQ(errno_get(), 3);
  CHECK_STATUS(gmx_sema_acquire_timeout(arg, 1000), GMX_ETIMEDOUT);
  CHECK_EQ(errno_get(), 3);
  CHECK(gmx_write_heap_dump(-1) < 0);
  CHECK_EQ(errno_get(), 3);
  CHECK_OK(gmx_attach_thread());
  CHECK_EQ(errno_get(), 3);
  errno_set(4);
  works(NULL);
  CHECK_EQ(errno_get(), 5);
  CHECK_OK(gmx_detach_thread());
  CHECK_EQ(errno_get(), 5);
}
static void foreign_threads_keep_theirs(void) {
  uint32_t empty = 0;
  on_thread(attaches, &empty);
}

/* Several threads take and return stacks of one size at the same time, so that some of them sleep for the lock of the
 * pool. */
static void ends(void *arg) { (void)arg; }
static void *spawns(void *arg) {
  const gmx_spawn_opts small = {.struct_size = sizeof small, .stack_size = 32 << 10};
  int64_t *wrong = arg;
  for (int i = 0; i < 20000; i++) {
    errno_set(7);
    CHECK_OK(gmx_spawn_with(&small, ends, NULL, NULL));
    if (errno_get() != 7) ++*wrong;
  }
  return NULL;
}
static void threads_that_wait_for_a_lock_keep_theirs(void) {
  enum { THREADS = 4 };
  pthread_t threads[THREADS];
  int64_t wrong[THREADS] = {0}, all = 0;
  for (int i = 0; i < THREADS; i++) threads[i] = thread_start(spawns, &wrong[i]);
  for (int i = 0; i < THREADS; i++) thread_join(threads[i]), all += wrong[i];
  CHECK_EQ(all, 0);
}

int main(void) {
  RUN(every_g_has_its_own);
  RUN(threads_that_wait_for_a_lock_keep_theirs);
  RUN(foreign_threads_keep_theirs);
  RUN(ends_clean);
  return 0;
}
