/* A collector for mutators that call nothing: no poll, no barrier, no function of the library while they work. Only
 * GMX_STOP_ANYWHERE stops them. A collection is one stop: mark from every register and stack, then free the rest.
 *
 * A mutator may be held between any two of its instructions, so whatever it does must be right there:
 *   - There are no lists of free cells, which a held mutator might leave half changed. The mark of a cell is all there
 *     is: FREE, BUSY while a mutator makes an object of it, LIVE, and MARKED during a collection. A mutator takes a
 *     cell by changing FREE to BUSY, so two of them may search the same piece of the heap.
 *   - A reference is one word, written at once. There is no write barrier, as nothing runs while the collector marks.
 *   - The collector neither locks nor allocates while the world is stopped: it has mapped all that it needs before.
 *
 * A mutator without a free cell asks for a collection by setting a word, and computes until there is one. */
#include "gc.h"

#include <gomax.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CELL = 64, CELLS = 64 * 1024, PIECE = 1024, PIECES = CELLS / PIECE };
enum { FREE, BUSY, LIVE, MARKED };
enum { ROUNDS = 600, NODES = 200, DEPTH = 6, TREE = (1 << DEPTH) - 1 };

#define CHECK(what) ((what) ? (void)0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what), abort()))

typedef struct label {
  uint64_t owner, number;
} label;

static char *heap;
static _Atomic uint8_t *marks;
static object **grey; /* reached, not looked into */
static size_t ngrey;
static atomic_uint next_piece; /* where the next mutator searches */
static atomic_bool asked;
static atomic_bool ended;
static atomic_long done;
static gmx_g collector_g;
static _Atomic(object *) shelf[8]; /* roots, too: a mutator swaps its tree for the one there */

static struct {
  unsigned collections;
  size_t live, freed, in_registers;
} stats;

/* ---- what mutators do: they call nothing ---- */

typedef struct place { /* a mutator's own */
  size_t at, end;      /* the cells that it searches next */
} place;

static object *new_object(place *p, uint64_t owner, uint64_t number) {
  for (;; p->at++) {
    while (p->at == p->end) {
      size_t piece = atomic_fetch_add_explicit(&next_piece, 1, memory_order_relaxed);
      if (piece < PIECES) {
        p->at = piece * PIECE;
        p->end = p->at + PIECE;
        break;
      }
      atomic_store_explicit(&asked, true, memory_order_relaxed);
    }
    uint8_t was = FREE;
    if (!atomic_compare_exchange_strong_explicit(&marks[p->at], &was, BUSY, memory_order_acquire, memory_order_relaxed))
      continue;
    object *o = (object *)(heap + p->at * CELL);
    atomic_init(&o->refs[0], NULL);
    atomic_init(&o->refs[1], NULL);
    o->nrefs = 2;
    o->payload = sizeof(label);
    ((label *)gc_payload(o))->owner = owner;
    ((label *)gc_payload(o))->number = number;
    /* Release: a collector that sees it LIVE sees its references. From here on its address is in a register. */
    atomic_store_explicit(&marks[p->at++], LIVE, memory_order_release);
    return o;
  }
}

static void set(object *o, uint32_t at, object *to) { atomic_store_explicit(&o->refs[at], to, memory_order_release); }

static object *tree(place *p, uint64_t owner, uint64_t number, int depth) {
  object *o = new_object(p, owner, number);
  if (depth > 1) {
    set(o, 0, tree(p, owner, 2 * number, depth - 1));
    set(o, 1, tree(p, owner, 2 * number + 1, depth - 1));
  }
  return o;
}

/* The number of nodes; too many if one of them is not what it was. */
static uint64_t count(object *o, uint64_t number) {
  if (!o) return 0;
  const label *l = gc_payload(o);
  if (o->nrefs != 2 || l->number != number) return TREE + 1;
  return 1 + count(gc_read(o, 0), 2 * number) + count(gc_read(o, 1), 2 * number + 1);
}

/* Only registers, or this frame, refer to the list. */
static bool list(place *p, uint64_t owner) {
  object *head = new_object(p, owner, 1), *at = head;
  for (uint64_t i = 2; i <= NODES; i++) {
    object *next = new_object(p, owner, i);
    set(at, 0, next);
    at = next;
  }
  at = head;
  for (uint64_t i = 1; i <= NODES; i++, at = gc_read(at, 0)) {
    if (!at || at->nrefs != 2) return false;
    const label *l = gc_payload(at);
    if (l->owner != owner || l->number != i) return false;
  }
  return !at;
}

static void mutator(void *arg) {
  uint64_t me = (uint64_t)(uintptr_t)arg;
  place p = {0, 0};
  bool good = true;
  object *mine = tree(&p, me, 1, DEPTH);
  for (uint64_t round = 0; good && round < ROUNDS; round++) {
    good = list(&p, me) && count(mine, 1) == TREE;
    if (round % 8 == 7) {
      object *theirs = atomic_exchange(&shelf[(me + round) % 8], mine);
      good = good && (!theirs || count(theirs, 1) == TREE);
      mine = tree(&p, me, 1, DEPTH);
    }
  }
  CHECK(good);
  atomic_fetch_add(&done, 1);
}

/* ---- the collector ---- */

static bool shade(uintptr_t word) {
  size_t at = (word - (uintptr_t)heap) / CELL;
  if (word < (uintptr_t)heap || at >= CELLS) return false;
  if (atomic_load_explicit(&marks[at], memory_order_acquire) != LIVE) return false;
  atomic_store_explicit(&marks[at], MARKED, memory_order_relaxed);
  grey[ngrey++] = (object *)(heap + at * CELL);
  return true;
}

static size_t shade_all(const void *lo, const void *hi) {
  size_t n = 0;
  for (uintptr_t at = ((uintptr_t)lo + 7) & ~(uintptr_t)7; at + 8 <= (uintptr_t)hi; at += 8)
    n += shade(*(const uintptr_t *)at);
  return n;
}

static void mark(void) {
  while (ngrey > 0) {
    object *o = grey[--ngrey];
    for (uint32_t i = 0; i < o->nrefs; i++) shade((uintptr_t)gc_read(o, i));
  }
}

/* It marks G by G, registers last: what only they refer to is counted. */
static void scan_g(void *arg, const gmx_g_info *g) {
  (void)arg;
  if (!g->stack_lo || !g->sp) return; /* never ran, or is the collector */
  shade_all(g->sp, g->stack_hi);
  mark();
  stats.in_registers += shade_all(g->regs_lo, g->regs_hi);
  mark();
}

static void collect(void) {
  gmx_stop_opts opts = {.flags = GMX_STOP_ANYWHERE, .reason = "collection", .timeout = 60000000000};
  gmx_status status = gmx_stop_the_world_with(&opts);
  if (status == GMX_ENOTSUP) {
    printf("skipped: this system holds no thread\n");
    exit(77);
  }
  if (status != GMX_OK) abort();
  for (int i = 0; i < 8; i++) shade((uintptr_t)atomic_load(&shelf[i]));
  mark();
  if (gmx_for_each_g(scan_g, NULL) != GMX_OK) abort();
  stats.live = 0;
  for (size_t i = 0; i < CELLS; i++) {
    uint8_t now = atomic_load_explicit(&marks[i], memory_order_relaxed);
    if (now == MARKED) {
      stats.live++;
      atomic_store_explicit(&marks[i], LIVE, memory_order_relaxed);
    } else if (now == LIVE) {
      stats.freed++;
      memset(heap + i * CELL, 0xdd, CELL); /* so that a later use is noticed */
      atomic_store_explicit(&marks[i], FREE, memory_order_relaxed);
    }
  }
  atomic_store(&next_piece, 0);
  gmx_start_the_world();
  stats.collections++;
}

static void collector(void *arg) {
  (void)arg;
  while (!atomic_load(&ended)) {
    if (atomic_exchange(&asked, false)) collect();
    gmx_sleep(1000000);
  }
}

static void *mapped(size_t bytes) {
  void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (at == MAP_FAILED) abort();
  return at;
}

void anywhere(void *arg) {
  long gs = *(long *)arg;
  heap = mapped((size_t)CELLS * CELL);
  marks = mapped(CELLS);
  grey = mapped(CELLS * sizeof *grey);
  gmx_spawn_opts opts = {.flags = GMX_SPAWN_JOINABLE, .name = "collector"};
  CHECK(gmx_spawn_with(&opts, collector, NULL, &collector_g) == GMX_OK);
  for (long i = 1; i <= gs; i++) CHECK(gmx_spawn(mutator, (void *)(uintptr_t)i) == GMX_OK);
  while (atomic_load(&done) < gs) gmx_sleep(1000000);
  atomic_store(&ended, true);
  CHECK(gmx_join(collector_g, GMX_FOREVER) == GMX_OK);
  collect();
  collect(); /* frees what a stale word on a stack has kept in the first one */

  uint64_t shelved = 0;
  for (int i = 0; i < 8; i++) shelved += count(atomic_load(&shelf[i]), 1);
  printf("%ld Gs that call nothing on %d Ps: %u collections, %zu objects freed, %zu live, %llu on shelves, "
         "%zu found by registers\n",
         gs, (int)gmx_gomaxprocs(0), stats.collections, stats.freed, stats.live, (unsigned long long)shelved,
         stats.in_registers);
  CHECK(stats.freed + stats.live == (size_t)gs * (ROUNDS * NODES + TREE * (1 + ROUNDS / 8)));
  CHECK(shelved == 8 * TREE && stats.live >= shelved);
  CHECK(stats.live < shelved + 8 * TREE); /* a stray word or two on a stack may keep a structure */
  CHECK(stats.collections > 4 && stats.in_registers > 0);
  munmap(heap, (size_t)CELLS * CELL);
  munmap(marks, CELLS);
  munmap(grey, CELLS * sizeof *grey);
}
