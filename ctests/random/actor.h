/* An actor of ctests/stress/random.c, and what all its subjects share. */
#ifndef GOMAX_RANDOM_ACTOR_H
#define GOMAX_RANDOM_ACTOR_H

#include "../gs.h"
#include "../seed.h"

#include <stdatomic.h>

static atomic_int quit;
static atomic_long actors; /* Gs and threads of this round that have not ended */

typedef struct actor {
  uint64_t seed;
  int depth;
} actor;

static uint64_t rnd(actor *a, uint64_t below) { return random_below(&a->seed, below); }

static bool is_g(void) { return gmx_goid() != 0; }

/* ---- a token around a call ---- */

#define TOKEN_PLACES 8
static atomic_ullong token_places[TOKEN_PLACES]; /* tokens that any actor may cancel; also stale ones */

typedef struct under {
  gmx_cancel token, before; /* token: 0 if there is none */
} under;

/* Sometimes begins to use a token, which ends by its deadline or by another actor. */
static under token_begins(actor *a) {
  under u = {0, 0};
  if (rnd(a, 6) != 0) return u;
  CHECK_OK(gmx_cancel_new(gmx_cancel_current(), rnd(a, 2) ? (int64_t)rnd(a, 300000) : GMX_FOREVER, &u.token));
  CHECK_OK(gmx_cancel_use(u.token, &u.before));
  atomic_store(&token_places[rnd(a, TOKEN_PLACES)], u.token);
  return u;
}

static void token_ends(under u) {
  if (u.token == 0) return;
  CHECK_OK(gmx_cancel_use(u.before, NULL));
  CHECK_OK(gmx_cancel_free(u.token));
}

static void cancels(actor *a) {
  gmx_cancel token = (gmx_cancel)atomic_exchange(&token_places[rnd(a, TOKEN_PLACES)], 0);
  if (token == 0) return;
  gmx_status s = gmx_cancel_now(token);
  if (s != GMX_ESTALE) CHECK_OK(s);
}

/* After the last actor of a round. */
static void forget_tokens(void) {
  for (int i = 0; i < TOKEN_PLACES; i++) atomic_store(&token_places[i], 0);
}

#endif /* GOMAX_RANDOM_ACTOR_H */
