/* The library's own memory: without memory from the system a call says GMX_ENOMEM and changes nothing, freed blocks are
 * used again, a spike goes back to the system, and a child of fork finds the lists whole. */
/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* flags: -ldl */
#include "child.h"
#include "faults.h"
#include "gs.h"
#include "objects.h"

#include <limits.h>

static void no_mappings(void) { fault_arm(FAULT_mmap, 0, LONG_MAX); } /* from here on */
static void mappings(void) { fault_arm(-1, 0, 0); }
static long maps(void) { return atomic_load(&fault_calls[FAULT_mmap]); }

/* ---- no memory ---- */

enum { MOST = 2000000 };
static union {
  gmx_chan *chans[MOST];
  gmx_timer timers[MOST];
  gmx_cancel tokens[MOST];
  gmx_scope scopes[MOST];
} made;

/* Makes objects until there is no memory; then frees all of them, and can make as many again. */
static void until_refused(const char *what, gmx_status (*make)(long), void (*unmake)(long)) {
  long n[2] = {0, 0};
  for (int round = 0; round < 2; round++) {
    gmx_status s = GMX_OK;
    no_mappings();
    while (n[round] < MOST && (s = make(n[round])) == GMX_OK) n[round]++;
    mappings();
    CHECK_STATUS(s, GMX_ENOMEM);
    CHECK_OK(make(n[round])); /* and now there is memory */
    unmake(n[round]);
    for (long i = 0; i < n[round]; i++) unmake(i);
  }
  check_say("  %s: %ld, then %ld", what, n[0], n[1]);
  CHECK_CMP(n[1], >=, n[0]);
}

static gmx_status makes_chan(long i) { return gmx_chan_new(8, 100, &made.chans[i]); }
static gmx_status makes_large_chan(long i) { return gmx_chan_new(8, 100000, &made.chans[i]); }
static void frees_chan(long i) { CHECK_OK(gmx_chan_free(made.chans[i])); }
static gmx_status makes_timer(long i) { return gmx_after_func(HOUR, nothing, NULL, &made.timers[i]); }
static void frees_timer(long i) { timer_free(made.timers[i]); }
static gmx_status makes_token(long i) { return gmx_cancel_new(0, HOUR, &made.tokens[i]); }
static void frees_token(long i) { CHECK_OK(gmx_cancel_free(made.tokens[i])); }
static gmx_status makes_scope(long i) { return gmx_scope_new(GMX_FOREVER, &made.scopes[i]); }
static void leaves_scope(long i) {
  gmx_status result;
  CHECK_OK(gmx_scope_leave(made.scopes[i], GMX_FOREVER, &result));
}

static void no_memory_is_a_status(void) {
  until_refused("channels", makes_chan, frees_chan);
  until_refused("large channels", makes_large_chan, frees_chan);
  until_refused("timers", makes_timer, frees_timer);
  until_refused("tokens", makes_token, frees_token);
  until_refused("scopes", makes_scope, leaves_scope);
}

/* ---- what is freed is used again ---- */

enum { PAIRS = 500 };

static void pairs(size_t cap) {
  for (int i = 0; i < PAIRS; i++) {
    gmx_chan *c = chan_of(8, cap);
    CHECK_OK(gmx_chan_free(c));
  }
}

static void a_pair_calls_nothing(void) {
  CHECK_CMP(gmx_pin(), >=, 0); /* each P keeps blocks of its own */
  for (size_t cap = 1; cap < 100000; cap = cap * 3 + 1) {
    pairs(cap);
    long before = maps(), advice = atomic_load(&fault_calls[FAULT_madvise]);
    pairs(cap);
    /* a thread that begins meanwhile makes a few */
    CHECK_CMP(maps() - before, <, PAIRS / 10);
    CHECK_CMP(atomic_load(&fault_calls[FAULT_madvise]) - advice, <, PAIRS / 10);
  }
  CHECK_OK(gmx_unpin());
}

/* ---- a spike ---- */

enum { VALUES = 600000 };

static void spike(gmx_chan *c) {
  uint64_t got;
  CHECK_OK(gmx_release_memory());
  int64_t before = resident();
  for (uint64_t v = 0; v < VALUES; v++) CHECK_OK(gmx_chan_send(c, &v));
  int64_t peak = resident() - before;
  CHECK_CMP(peak, >, VALUES * 6); /* some of it was there */
  CHECK_CMP(peak, <, VALUES * 9);
  for (uint64_t v = 0; v < VALUES; v++) {
    CHECK_OK(gmx_chan_recv(c, &got));
    CHECK_EQ(got, v);
  }
  CHECK_CMP(resident() - before, <, peak / 2);
}

static void a_spike_goes_back(void) {
  gmx_chan *c = chan_of(8, GMX_UNBOUNDED);
  spike(c);
  int64_t before = address_space();
  spike(c); /* in the same one */
  CHECK_CMP(address_space() - before, <, VALUES * 8 / 2);
  CHECK_OK(gmx_chan_free(c));
}

/* What the program has freed last stays at hand, until it asks. */
static void the_rest_goes_back_when_it_is_asked_for(void) {
  enum { EACH = 30000 };
  static gmx_chan *some[64];
  int64_t before = resident();
  for (int i = 0; i < 64; i++) {
    static char value[EACH];
    some[i] = chan_of(EACH, 1);
    CHECK_OK(gmx_chan_send(some[i], value));
  }
  for (int i = 0; i < 64; i++) CHECK_OK(gmx_chan_free(some[i]));
  CHECK_OK(gmx_release_memory());
  CHECK_CMP(resident() - before, <, 64 * EACH / 4);
}

/* ---- forks ---- */

static uint32_t stop;

static void *makes_and_frees(void *arg) {
  while (!load(&stop)) {
    gmx_chan *some[40];
    for (size_t i = 0; i < 40; i++) some[i] = chan_of(1 + i * 16, 7);
    for (size_t i = 0; i < 40; i++) CHECK_OK(gmx_chan_free(some[i]));
  }
  return arg;
}
static void in_the_child(void *unused) {
  (void)unused;
  for (size_t round = 0; round < 20; round++) {
    gmx_chan *some[40];
    for (size_t i = 0; i < 40; i++) some[i] = chan_of(1 + i * 16, 7);
    for (size_t i = 0; i < 40; i++) CHECK_OK(gmx_chan_free(some[i]));
  }
}
static void a_child_finds_it_whole(void) {
  static child c;
  pthread_t threads[2];
  for (int i = 0; i < 2; i++) threads[i] = thread_start(makes_and_frees, NULL);
  for (int i = 0; i < 60; i++) {
    child_run(&c, 30, in_the_child, NULL);
    CHILD_OK(&c);
  }
  store(&stop, 1);
  join_threads(threads, 2);
}

int main(void) {
  RUN_G(no_memory_is_a_status);
  RUN_G(a_pair_calls_nothing);
  RUN_G(a_spike_goes_back);
  RUN_G(the_rest_goes_back_when_it_is_asked_for);
  RUN(a_child_finds_it_whole);
  RUN(ends_clean);
  return 0;
}
