// The least cost of a call into a shared library: it touches the words that a lock, a read lock and a pin must touch,
// finds its caller as libgomax does, and does no more. It checks no argument, no caller can wait, and it tells no wrong
// call from a right one.
#include <stdatomic.h>
#include <stdint.h>

struct thread {
  uint64_t id;
  uint64_t mode;
  _Atomic uint64_t *requests;
};

static _Atomic uint64_t requests;
static __thread struct thread only = {.id = 8};
static __thread struct thread *self __attribute__((tls_model("initial-exec")));

enum { NO = -1 };
static const uint64_t one = (uint64_t)1 << 32;

void floor_enter(void) {
  only.requests = &requests;
  self = &only;
}

int floor_wait(_Atomic uint64_t *count) {
  struct thread *t = self;
  if (!t || t->mode) return NO;
  return atomic_load_explicit(count, memory_order_acquire) ? NO : 0;
}

int floor_pin(void) {
  struct thread *t = self;
  if (!t || t->mode & 0xff) return NO;
  t->mode += one;
  return (int)atomic_load_explicit(t->requests, memory_order_relaxed);
}

int floor_unpin(void) {
  struct thread *t = self;
  if (!t || t->mode & 0xff || !t->mode) return NO;
  t->mode -= one;
  return (int)atomic_load_explicit(t->requests, memory_order_relaxed);
}

int floor_lock(_Atomic uint64_t *word) {
  struct thread *t = self;
  uint64_t from = 0;
  if (!t || t->mode) return NO;
  return atomic_compare_exchange_strong_explicit(word, &from, t->id, memory_order_acquire, memory_order_relaxed) ? 0 : NO;
}

int floor_unlock(_Atomic uint64_t *word) {
  struct thread *t = self;
  if (!t || t->mode) return NO;
  uint64_t from = t->id;
  return atomic_compare_exchange_strong_explicit(word, &from, 0, memory_order_release, memory_order_relaxed) ? 0 : NO;
}

int floor_read_lock(_Atomic uint64_t *word) {
  struct thread *t = self;
  if (!t || t->mode) return NO;
  return atomic_fetch_add_explicit(word, one, memory_order_acquire) & 7 ? NO : 0;
}

int floor_read_unlock(_Atomic uint64_t *word) {
  struct thread *t = self;
  if (!t || t->mode) return NO;
  return atomic_fetch_sub_explicit(word, one, memory_order_release) & 7 ? NO : 0;
}
