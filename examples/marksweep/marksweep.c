/* marksweep anywhere [GS] [PS]: the collector of anywhere.c, and mutators that call nothing.
 * marksweep [GS] [PS]: mutators build, change and drop structures while the collector runs. Each checks that none of
 * its live objects was freed; at the end the program checks that nearly all others were. */
#include "gc.h"

#include <gomax.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 12, NODES = 60, SHELVES = 16 };

static long gs = 2000;
static gmx_waitgroup mutators;
static _Atomic(object *) shelf[SHELVES]; /* global roots; a mutator swaps its structure for the one there */

typedef struct label {
  uint64_t owner, number;
} label;

#define CHECK(what) ((what) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what), abort()))

static object *node(uint64_t owner, uint64_t number) {
  object *o = gc_new(2, sizeof(label));
  CHECK(o);
  label *l = gc_payload(o);
  l->owner = owner;
  l->number = number;
  return o;
}

/* A tree of 2^depth - 1 nodes, numbered as in a heap. While it grows only this stack refers to it. */
static object *tree(uint64_t owner, uint64_t number, int depth) {
  object *o = node(owner, number);
  if (depth > 1) {
    object *left = tree(owner, 2 * number, depth - 1);
    object *right = tree(owner, 2 * number + 1, depth - 1);
    gc_write(o, 0, left);
    gc_write(o, 1, right);
  }
  return o;
}

static uint64_t count(object *o, uint64_t owner, uint64_t number) {
  if (!o) return 0;
  label *l = gc_payload(o);
  CHECK(o->nrefs == 2 && l->number == number && (owner == 0 || l->owner == owner));
  owner = l->owner;
  gmx_safepoint();
  return 1 + count(gc_read(o, 0), owner, 2 * number) + count(gc_read(o, 1), owner, 2 * number + 1);
}

static void sleeps(void *arg) {
  struct timespec t = {.tv_nsec = 200000};
  (void)arg;
  nanosleep(&t, NULL);
}

/* Takes half of its tree off, waits, and puts it back: a collector that starts at the root meanwhile does not find that
 * half. */
static void prune(object *root, uint32_t at) {
  object *half = gc_read(root, at);
  gc_write(root, at, NULL);
  gmx_yield();
  gc_write(root, at, half);
}

static void list(uint64_t owner, uint64_t seed) {
  object *head = node(owner, 1);
  object *at = head;
  for (uint64_t i = 2; i <= NODES; i++) {
    object *next = node(owner, i);
    gc_write(at, 0, next);
    at = next;
    if (i % 16 == seed % 16) gmx_yield();
  }
  at = head;
  for (uint64_t i = 1; i <= NODES; i++) {
    CHECK(at && at->nrefs == 2);
    label *l = gc_payload(at);
    CHECK(l->owner == owner && l->number == i);
    at = gc_read(at, 0);
  }
  CHECK(!at);
}

static void mutator(void *arg) {
  uint64_t me = (uint64_t)(uintptr_t)arg;
  object *mine = tree(me, 1, 5);
  for (uint64_t round = 0; round < ROUNDS; round++) {
    list(me, round + me);
    if ((me + round) % 7 == 0) gmx_sleep((int64_t)(me % 5) * 100000);
    if ((me + round) % 97 == 0) gc_syscall(sleeps, NULL);
    prune(mine, round % 2);
    CHECK(count(mine, me, 1) == 31);
    if (round % 4 == 3) { /* swaps its structure with a shelf's: it owns that one now */
      object *theirs = atomic_exchange(&shelf[(me + round) % SHELVES], mine);
      if (theirs) CHECK(count(theirs, 0, 1) == 31);
      mine = tree(me, 1, 5);
    }
  }
  gmx_waitgroup_done(&mutators);
}

static void program(void *arg) {
  (void)arg;
  CHECK(gc_init(48 << 20));
  for (int i = 0; i < SHELVES; i++) gc_root(&shelf[i]);
  for (long i = 1; i <= gs; i++) {
    gmx_waitgroup_add(&mutators, 1);
    CHECK(gmx_spawn(mutator, (void *)(uintptr_t)i) == GMX_OK);
  }
  for (int i = 0; i < 5; i++) gc_collect(); /* with nothing else to do it would collect by size only */
  gmx_waitgroup_wait(&mutators);
  gc_collect();
  gc_collect(); /* frees what a stale word on a stack has kept in the first one */

  gc_stats s = gc_read_stats();
  uint64_t shelved = 0;
  for (int i = 0; i < SHELVES; i++) shelved += count(atomic_load(&shelf[i]), 0, 1);
  printf("%ld Gs on %d Ps: %llu collections, %llu objects made, %llu freed, %llu live, %llu on shelves, %llu rescued, "
         "longest stop %.1f ms\n",
         gs, (int)gmx_gomaxprocs(0), (unsigned long long)s.collections, (unsigned long long)s.allocated,
         (unsigned long long)s.freed, (unsigned long long)s.live, (unsigned long long)shelved,
         (unsigned long long)s.rescued, (double)s.longest_stop / 1e6);
  /* each mutator makes a tree, three more for shelves, and ROUNDS lists */
  CHECK(s.allocated == (uint64_t)gs * (31 * (1 + ROUNDS / 4) + ROUNDS * NODES));
  CHECK(s.live >= shelved && s.allocated == s.live + s.freed);
  CHECK(s.live < shelved + 31 * 64); /* a stray word or two on a stack may keep a structure */
  gc_end();
}

int main(int argc, char **argv) {
  void (*fn)(void *) = program;
  if (argc > 1 && strcmp(argv[1], "anywhere") == 0) {
    fn = anywhere;
    gs = 8;
    argc--;
    argv++;
  }
  if (argc > 1) gs = atol(argv[1]);
  gmx_config config = {.struct_size = sizeof config, .maxprocs = argc > 2 ? atoi(argv[2]) : 4};
  if (gmx_init(&config) != GMX_OK) return 1;
  gmx_status status = gmx_main(fn, &gs);
  if (status == GMX_OK) status = gmx_shutdown(GMX_FOREVER);
  if (status != GMX_OK) fprintf(stderr, "marksweep: %s\n", gmx_strerror(status));
  return status == GMX_OK ? 0 : 1;
}
