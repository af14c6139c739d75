/* Random numbers from a seed, by xorshift64*: small, and each G or thread has a state of its own. */
#ifndef GOMAX_SEED_H
#define GOMAX_SEED_H

#include "check.h"

CHECK_UNUSED static uint64_t next_random(uint64_t *state) {
  uint64_t x = *state ? *state : 88172645463325252u;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return x * 2685821657736338717u;
}

CHECK_UNUSED static uint64_t random_below(uint64_t *state, uint64_t below) { return (next_random(state) >> 11) % below; }

#endif /* GOMAX_SEED_H */
