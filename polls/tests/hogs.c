#include "hogs.h"

#include <errno.h>
#include <fenv.h>

#define NOINLINE __attribute__((noinline))

void hog_loop(struct hog *h) {
  while (!h->end) h->turns++;
}

void hog_nested(struct hog *h) {
  while (!h->end) {
    for (volatile int i = 0; i < 100000 && !h->end; i++) {
    }
    h->turns++;
  }
}

void hog_jumps(struct hog *h) {
  static const void *const to[] = {&&a, &&b, &&out};
  goto *to[h->turns & 1];
a:
  h->turns++;
  goto *to[h->end ? 2 : h->turns & 1];
b:
  h->turns += 3;
  goto *to[h->end ? 2 : h->turns & 1];
out:
  return;
}

static NOINLINE uint64_t recurs(struct hog *h, unsigned depth) {
  if (h->end) return 0;
  if (depth == 0) return ++h->turns;
  return recurs(h, depth - 1) + 1 + recurs(h, depth - 1);
}

/* (2^60 calls are not made in a test) */
void hog_recursion(struct hog *h) { recurs(h, 60); }

typedef uint64_t (*step)(struct hog *, unsigned);
static uint64_t ping(struct hog *h, unsigned depth), pong(struct hog *h, unsigned depth);
step hog_steps[] = {ping, pong};

static uint64_t ping(struct hog *h, unsigned depth) {
  if (h->end || !depth) return h->turns++;
  return hog_steps[1](h, depth - 1) + hog_steps[depth & 1](h, depth - 1) + 1;
}

static uint64_t pong(struct hog *h, unsigned depth) {
  if (h->end || !depth) return h->turns++;
  return hog_steps[0](h, depth - 1) + hog_steps[depth & 1](h, depth - 1) + 2;
}

void hog_by_pointer(struct hog *h) { ping(h, 60); }

__attribute__((annotate("gmx_no_poll"))) void hog_not_polling(struct hog *h) {
  while (!h->end) h->turns++;
}

__attribute__((annotate("gmx_poll_tied"))) void hog_tied(struct hog *h) {
  while (!h->end) h->turns++;
}

/* The compiler computes the address of `own` once. */
static __thread volatile uint64_t own[8];

void hog_thread_local(struct hog *h, int (*thread)(void), int *moved) {
  int here = thread();
  for (unsigned i = 0; !h->end; i++) {
    own[i & 7]++;
    h->turns++;
  }
  *moved = here != thread();
}

static NOINLINE void some_turns(struct hog *h) {
  for (int i = 0; i < 20000 && !h->end; i++) h->turns++;
}

/* Whatever it may change, the compiler does not see it. */
static void (*volatile turns)(struct hog *) = some_turns;

/* errno goes with the goroutine; its address does not. */
void hog_errno(struct hog *h, int value, int *wrong) {
  errno = value;
  while (!h->end) {
    turns(h);
    if (errno != value) ++*wrong;
  }
}

static volatile double one = 1, little = 1e-30;

static NOINLINE int rounds_up(void) {
  double sum = one + little;
  return sum > 1;
}

/* One of these rounds up, another as usual: the modes must not mix. `*wrong` says which: at first it is 0 or 1. */
void hog_rounding(struct hog *h, int *wrong) {
  int up = *wrong;
  *wrong = 0;
  if (up) fesetround(FE_UPWARD);
  while (!h->end) {
    if (rounds_up() != up) ++*wrong;
    h->turns++;
  }
  if (up) fesetround(FE_TONEAREST);
}

void hog_leaf(struct hog *h, int *wrong) {
  volatile uint64_t kept[14];
  for (int i = 0; i < 14; i++) kept[i] = (uintptr_t)h + (unsigned)i;
  while (!h->end) {
    for (int i = 0; i < 14; i++) *wrong += kept[i] != (uintptr_t)h + (unsigned)i;
    h->turns++;
  }
}

void hog_takes_turns(void *taker) {
  struct turns *t = ((struct taker *)taker)->turns;
  int me = ((struct taker *)taker)->me;
  while (t->of[0] < t->wanted || t->of[1] < t->wanted) {
    if (t->whose == me) continue;
    t->whose = me;
    t->of[me]++;
  }
}

/* More values live at the poll than there are registers of each kind. */
static NOINLINE uint64_t mixes(uint64_t seed, unsigned n) {
  uint64_t a = seed, b = a * 3, c = a + 7, d = ~a, e = a << 1, f = a >> 1, g = a ^ 99, i = a - 1, j = b + 1, k = c * 5;
  uint64_t l = d ^ a, m = e + b, o = f - c, p = g * 9;
  double u = 1.5, v = 2.5, w = 3.25, x = 0.5, y = 7, z = 9;
  float s = 1, t = 2, q[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  long double r = 1.25L;
  for (unsigned turn = 0; turn < n; turn++) {
    a += b ^ turn, b += c, c ^= d, d += e, e ^= f, f += g, g += i, i ^= j, j += k, k ^= l, l += m, m ^= o, o += p, p ^= a;
    u = u * 0.5 + v, v = v * 0.25 + w, w = w * 0.5 + x, x = x * 0.75 + y, y = y * 0.5 + z, z = z * 0.25 + 1;
    s = s * 0.5f + t, t = t * 0.5f + 1, r = r * 0.5L + turn;
    for (int at = 0; at < 8; at++) q[at] = q[at] * 0.5f + (float)at;
  }
  uint64_t sum = a + b + c + d + e + f + g + i + j + k + l + m + o + p;
  double all = u + v + w + x + y + z + (double)s + (double)t + (double)r;
  for (int at = 0; at < 8; at++) all += (double)q[at];
  return sum ^ (uint64_t)(all * 1048576);
}

uint64_t hog_registers(struct hog *h) {
  uint64_t seed = (uintptr_t)h, first = mixes(seed, 5000), wrong = 0;
  while (!h->end) {
    wrong += mixes(seed, 5000) != first;
    h->turns++;
  }
  return wrong;
}

uint64_t hot_sum(const uint32_t *p, size_t n) {
  uint64_t sum = 0;
  for (size_t i = 0; i < n; i++) sum += p[i];
  return sum;
}

void hot_scale(double *p, double by, size_t n) {
  for (size_t i = 0; i < n; i++) p[i] *= by;
}

uint64_t hot_hash(const uint8_t *p, size_t n) {
  uint64_t h = 14695981039346656037u;
  for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 1099511628211u;
  return h;
}
