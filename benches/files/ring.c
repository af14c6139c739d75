/*
 * Reads, writes and syncs by io_uring, to compare with what the library does: docs/measurements.md has the figures, and
 * why the library has no ring.
 *
 * ring         one thread, nothing else: what the kernel can do
 * ring_gs      goroutines that submit each for itself and park; one waits for the descriptor of the ring, takes what is
 *              completed, and readies them
 * ring_thread  goroutines that park, and one thread beside the runtime that submits and completes for all, as
 *              SINGLE_ISSUER and DEFER_TASKRUN want it
 *
 * A goroutine may be seized at any place, so more than one may be here at a time, even with one P: hence the lock.
 */
#define _GNU_SOURCE 1
#include "files.h"

#include <gomax.h>

#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { ENTRIES = 512 };
#define SINGLE_ISSUER (1u << 12) /* IORING_SETUP_..., which older headers lack */
#define DEFER_TASKRUN (1u << 13)

static struct {
  int fd;
  unsigned *sq_tail, *sq_array, sq_mask, *cq_head, *cq_tail, cq_mask;
  struct io_uring_sqe *sqes;
  struct io_uring_cqe *cqes;
  unsigned queued;
} ring;

static atomic_flag held = ATOMIC_FLAG_INIT;

static void lock(void) {
  while (atomic_flag_test_and_set_explicit(&held, memory_order_acquire)) sched_yield();
}

static void unlock(void) { atomic_flag_clear_explicit(&held, memory_order_release); }

static void ring_open(unsigned flags) {
  struct io_uring_params p = {.flags = flags | IORING_SETUP_CQSIZE, .cq_entries = 4 * ENTRIES};
  ring.fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &p);
  must(ring.fd >= 0, "io_uring_setup");
  size_t sq = p.sq_off.array + p.sq_entries * sizeof(unsigned), cq = p.cq_off.cqes + p.cq_entries * sizeof *ring.cqes;
  int prot = PROT_READ | PROT_WRITE, how = MAP_SHARED | MAP_POPULATE;
  char *both = mmap(NULL, sq > cq ? sq : cq, prot, how, ring.fd, IORING_OFF_SQ_RING);
  ring.sqes = mmap(NULL, p.sq_entries * sizeof *ring.sqes, prot, how, ring.fd, IORING_OFF_SQES);
  must(both != MAP_FAILED && (void *)ring.sqes != MAP_FAILED, "mmap");
  ring.sq_tail = (unsigned *)(both + p.sq_off.tail), ring.sq_array = (unsigned *)(both + p.sq_off.array);
  ring.cq_head = (unsigned *)(both + p.cq_off.head), ring.cq_tail = (unsigned *)(both + p.cq_off.tail);
  ring.sq_mask = p.sq_entries - 1, ring.cq_mask = p.cq_entries - 1;
  ring.cqes = (struct io_uring_cqe *)(both + p.cq_off.cqes);
}

static void put(struct io_uring_sqe what) {
  unsigned tail = *ring.sq_tail, at = tail & ring.sq_mask;
  ring.sqes[at] = what;
  ring.sq_array[at] = at;
  __atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
  ring.queued++;
}

/* Submits what was put, and waits until so many are completed. */
static void enter(unsigned least) {
  long n = syscall(SYS_io_uring_enter, ring.fd, ring.queued, least, least ? IORING_ENTER_GETEVENTS : 0, NULL, 0);
  must(n >= 0 || errno == EINTR, "io_uring_enter");
  if (n > 0) ring.queued -= (unsigned)n;
}

static bool take(struct io_uring_cqe *out) {
  unsigned head = *ring.cq_head;
  if (head == __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE)) return false;
  *out = ring.cqes[head & ring.cq_mask];
  __atomic_store_n(ring.cq_head, head + 1, __ATOMIC_RELEASE);
  return true;
}

/* What worker `i` does next: a read; or a write, and then the sync. */
static struct io_uring_sqe step(int i, bool sync, uint64_t *seed) {
  struct io_uring_sqe s = {.opcode = IORING_OP_READ, .fd = job.fd, .addr = (uintptr_t)buffer_of(i), .len = BLOCK};
  if (job.what != SYNC) s.off = (uint64_t)somewhere(seed, job.blocks);
  else if (sync) s = (struct io_uring_sqe){.opcode = IORING_OP_FSYNC, .fd = job.own[i], .fsync_flags = IORING_FSYNC_DATASYNC};
  else s.opcode = IORING_OP_WRITE, s.fd = job.own[i], s.off = (uint64_t)somewhere(seed, OWN_BLOCKS);
  return s;
}

static void is_done(int result, bool sync) {
  errno = result < 0 ? -result : EIO;
  must(result == (sync ? 0 : BLOCK), "io_uring");
}

/* ---- one thread ---- */

void ring_alone(void) {
  static bool synced[MOST];
  uint64_t seed = seed_of(0);
  struct io_uring_cqe got;
  ring_open(0);
  for (int i = 0; i < job.n; i++) {
    struct io_uring_sqe s = step(i, false, &seed);
    s.user_data = (uint64_t)i;
    put(s);
  }
  for (int left = job.n; left;) {
    enter(1);
    while (take(&got)) {
      int i = (int)got.user_data;
      is_done(got.res, synced[i]);
      synced[i] = job.what == SYNC && !synced[i];
      if (!synced[i]) {
        job.done++;
        if (!goes_on()) {
          left--;
          continue;
        }
      }
      struct io_uring_sqe s = step(i, synced[i], &seed);
      s.user_data = (uint64_t)i;
      put(s);
    }
  }
}

/* ---- goroutines ---- */

struct op {
  struct io_uring_sqe what;
  gmx_g g;
  int result;
  struct op *next;
};

static bool by_thread, over;
static struct op *waiting;
static bool asleep;
static int bell;
static gmx_waitgroup workers = GMX_WAITGROUP_INIT;

static void ring_bell(void) { must(eventfd_write(bell, 1) == 0, "eventfd"); }

static bool hand_over(void *arg, gmx_g g) {
  struct op *op = arg;
  bool ring_it = false;
  (void)g;
  lock();
  if (by_thread) {
    op->next = waiting;
    waiting = op;
    ring_it = asleep;
    asleep = false;
  } else {
    put(op->what);
    enter(0);
  }
  unlock();
  if (ring_it) ring_bell();
  return true;
}

static void do_step(struct io_uring_sqe what) {
  struct op op = {.what = what, .g = gmx_self()};
  op.what.user_data = (uintptr_t)&op;
  must(gmx_park(hand_over, &op, "ring") == GMX_OK, "gmx_park");
  is_done(op.result, what.opcode == IORING_OP_FSYNC);
}

static void g_works(void *arg) {
  int i = (int)(intptr_t)arg;
  uint64_t seed = seed_of(i);
  for (; goes_on(); job.done++) {
    do_step(step(i, false, &seed));
    if (job.what == SYNC) do_step(step(i, true, &seed));
  }
}

/* Returns how many were completed. */
static int complete(void) {
  struct io_uring_cqe got;
  int n = 0;
  for (; take(&got); n++) {
    if (!got.user_data) continue; /* the bell */
    struct op *op = (struct op *)(uintptr_t)got.user_data;
    gmx_g g = op->g;
    op->result = got.res;
    while (gmx_ready(g) != GMX_OK) sched_yield(); /* it is about to park */
  }
  return n;
}

static void reaps(void *arg) {
  gmx_poll p;
  uint32_t ready;
  (void)arg;
  must(gmx_poll_open(ring.fd, GMX_POLL_BORROW, &p) == GMX_OK, "gmx_poll_open");
  while (!over) {
    gmx_status status = complete() ? gmx_yield() : gmx_poll_wait(p, GMX_POLL_IN, 50000000, &ready);
    must(status == GMX_OK || status == GMX_ETIMEDOUT, "gmx_poll_wait");
  }
}

static void *issues(void *arg) {
  uint64_t rung;
  (void)arg;
  ring_open(SINGLE_ISSUER | DEFER_TASKRUN);
  for (bool armed = false; !over;) {
    lock();
    struct op *op = waiting;
    waiting = NULL;
    asleep = op == NULL;
    unlock();
    for (struct op *next; op; op = next) {
      next = op->next;
      put(op->what);
    }
    if (!armed) put((struct io_uring_sqe){.opcode = IORING_OP_READ, .fd = bell, .addr = (uintptr_t)&rung, .len = sizeof rung});
    armed = true;
    rung = 0;
    enter(1);
    lock();
    asleep = false;
    unlock();
    complete();
    armed = rung == 0;
  }
  return NULL;
}

static void work(void) {
  for (int i = 0; i < job.n; i++) must(gmx_waitgroup_go(&workers, g_works, (void *)(intptr_t)i) == GMX_OK, "gmx_waitgroup_go");
  must(gmx_waitgroup_wait(&workers) == GMX_OK, "gmx_waitgroup_wait");
  over = true;
}

void ring_of_gs(void *arg) {
  gmx_waitgroup reaper = GMX_WAITGROUP_INIT;
  (void)arg;
  ring_open(0);
  must(gmx_waitgroup_go(&reaper, reaps, NULL) == GMX_OK, "gmx_waitgroup_go");
  work();
  must(gmx_waitgroup_wait(&reaper) == GMX_OK, "gmx_waitgroup_wait");
}

void ring_of_a_thread(void *arg) {
  pthread_t thread;
  (void)arg;
  by_thread = true;
  bell = eventfd(0, EFD_CLOEXEC);
  must(bell >= 0 && pthread_create(&thread, NULL, issues, NULL) == 0, "thread");
  work();
  ring_bell();
  pthread_join(thread, NULL);
}
