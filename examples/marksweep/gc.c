/* The heap is a row of blocks, each cut into cells of one size. Each cell has a mark byte: FREE, or one of two colours.
 * Collections use the colours in turn: an object of the other colour has not been reached.
 *
 * A collection:
 *   C1  Change the colour, switch the write barrier on, and call a ragged barrier. When it returns, every running G has
 *       passed a safe point: each new object has the new colour, and each overwritten reference is noted. The world is
 *       not stopped.
 *   C2  Stop the world and mark the roots: the global variables, and the stack of every G, word by word.
 *   C3  Mark while the program runs. The collector finds each object that was reachable at C2, since gc_write notes a
 *       reference that is overwritten before the collector has seen it. New objects have the new colour from the start.
 *   C4  Stop the world, mark from the references that the Ps have noted, and switch the write barrier off.
 *   C5  Free the cells of the old colour, while the program runs.
 *
 * A caller reaches the data of its P (free cells, notes, counts) by `gmx_pin` and `gmx_p_get`, without a lock. */
#include "gc.h"

#include <gomax.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BLOCK = 64 * 1024, CLASSES = 4, SMALLEST = 32, NOTES = 256, BATCH = 64 };
enum { FREE = 0 };

typedef struct block {
  uint32_t cell; /* bytes; 0: not in use */
  _Atomic uint8_t *marks;
} block;

typedef struct cell {
  struct cell *next;
} cell;

typedef struct notes {
  struct notes *next;
  int n;
  object *old[NOTES];
} notes;

typedef struct local { /* a P's own */
  cell *free[CLASSES];
  notes *notes;
  uint64_t allocated;
} local;

static char *heap;
static block *blocks;
static size_t nblocks, used_blocks;
static gmx_mutex lock; /* used_blocks, shared */
static cell *shared[CLASSES];
static gmx_p_key key;

static _Atomic uint8_t colour = 1;
static atomic_bool marking;
static atomic_bool ending;
static uint32_t wanted; /* semaphore: collections */
static atomic_bool asked;
static gmx_mutex done_lock;
static gmx_cond done;
static uint64_t begun, finished; /* collections, under done_lock */
static gmx_g collector_g;

static _Atomic(object *) *roots[64];
static int nroots;
static gc_stats stats; /* written by the collector, except allocated */
static atomic_uint_fast64_t allocated;
static atomic_uint_fast64_t since; /* bytes since the last collection */

static object **grey; /* reached, not looked into; the collector's */
static size_t ngrey, grey_room;

/* ---- cells */

static int class_of(size_t bytes) {
  int c = 0;
  for (size_t cell = SMALLEST; cell < bytes; cell *= 2) c++;
  return c;
}

/* The object that a word points into, if it is one: any address within a cell counts. */
static object *object_at(uintptr_t word, _Atomic uint8_t **mark) {
  uintptr_t at = word - (uintptr_t)heap;
  if (at >= nblocks * BLOCK) return NULL;
  block *b = &blocks[at / BLOCK];
  uint32_t size = __atomic_load_n(&b->cell, __ATOMIC_ACQUIRE); /* pairs with the Release in new_block */
  if (size == 0) return NULL;
  uint32_t i = at % BLOCK / size;
  *mark = &b->marks[i];
  /* Acquire pairs with the Release in gc_new: a reader of the colour sees the object's header. */
  if (atomic_load_explicit(*mark, memory_order_acquire) == FREE) return NULL;
  return (object *)(heap + at / BLOCK * BLOCK + (size_t)i * size);
}

static bool new_block(int class) { /* under lock */
  if (used_blocks == nblocks) return false;
  block *b = &blocks[used_blocks];
  uint32_t size = (uint32_t)SMALLEST << class;
  b->marks = calloc(BLOCK / size, 1);
  if (!b->marks) return false;
  char *base = heap + used_blocks++ * BLOCK;
  for (uint32_t i = BLOCK / size; i-- > 0;) {
    cell *c = (cell *)(base + (size_t)i * size);
    c->next = shared[class];
    shared[class] = c;
  }
  __atomic_store_n(&b->cell, size, __ATOMIC_RELEASE);
  return true;
}

static cell *refill(int class) { /* a batch of free cells; may wait, so it is not called pinned */
  cell *first = NULL;
  gmx_mutex_lock(&lock);
  if (shared[class] || new_block(class)) {
    first = shared[class];
    cell *last = first;
    for (int i = 1; i < BATCH && last->next; i++) last = last->next;
    shared[class] = last->next;
    last->next = NULL;
  }
  gmx_mutex_unlock(&lock);
  return first;
}

static local *mine(void) { /* pinned */
  local *l = gmx_p_get(key);
  if (!l && (l = calloc(1, sizeof *l)) && gmx_p_set(key, l) != GMX_OK) abort();
  if (!l) abort();
  return l;
}

/* ---- what the language calls */

object *gc_new(uint32_t nrefs, uint32_t payload) {
  size_t bytes = sizeof(object) + nrefs * sizeof(object *) + payload;
  int class = class_of(bytes);
  if (class >= CLASSES) return NULL;
  size_t size = (size_t)SMALLEST << class;
  if (atomic_fetch_add_explicit(&since, size, memory_order_relaxed) > nblocks * BLOCK / 4 && !atomic_exchange(&asked, true))
    gmx_sema_release(&wanted);
  for (int tries = 0;; tries++) {
    gmx_pin();
    local *l = mine();
    cell *c = l->free[class];
    if (c) {
      l->free[class] = c->next;
      l->allocated++;
      object *o = (object *)c;
      memset(o, 0, size);
      o->nrefs = nrefs;
      o->payload = payload;
      block *b = &blocks[((char *)c - heap) / BLOCK];
      /* Release: see object_at. The colour is read here, still pinned: C1 waits for this P. */
      atomic_store_explicit(&b->marks[((char *)c - heap) % BLOCK / size],
                            atomic_load_explicit(&colour, memory_order_relaxed), memory_order_release);
      gmx_unpin();
      return o; /* in a register or on the stack, so C2 finds it */
    }
    gmx_unpin();
    c = refill(class);
    if (c) { /* for the P that we are on now */
      gmx_pin();
      l = mine();
      cell *last = c;
      while (last->next) last = last->next;
      last->next = l->free[class];
      l->free[class] = c;
      gmx_unpin();
    } else if (tries < 3) {
      gc_collect();
    } else {
      return NULL;
    }
  }
}

void gc_write(object *o, uint32_t at, object *to) {
  gmx_pin(); /* no safe point between the look at `marking` and the store */
  if (atomic_load_explicit(&marking, memory_order_relaxed)) {
    object *old = gc_read(o, at);
    if (old) {
      local *l = mine();
      if (!l->notes || l->notes->n == NOTES) {
        notes *more = malloc(sizeof *more);
        if (!more) abort();
        more->next = l->notes;
        more->n = 0;
        l->notes = more;
      }
      l->notes->old[l->notes->n++] = old;
    }
  }
  /* Release: the collector looks into `to` after it has seen it here. */
  atomic_store_explicit(&o->refs[at], to, memory_order_release);
  gmx_unpin();
}

void gc_root(_Atomic(object *) *variable) {
  gmx_mutex_lock(&lock);
  if (nroots == (int)(sizeof roots / sizeof *roots)) abort();
  roots[nroots++] = variable;
  gmx_mutex_unlock(&lock);
}

/* The registers that a C function keeps for its caller may hold references. They are saved to this frame, which the
 * collector sees, before the G enters the syscall. */
__attribute__((noinline)) void gc_syscall(void (*fn)(void *), void *arg) {
  __builtin_unwind_init();
  gmx_enter_syscall();
  fn(arg);
  gmx_exit_syscall();
}

void gc_collect(void) {
  gmx_mutex_lock(&done_lock);
  uint64_t mine_is = begun + 1; /* a collection under way may still keep objects that the caller has dropped */
  if (!atomic_exchange(&asked, true)) gmx_sema_release(&wanted);
  gmx_cancel_shield(); /* a canceled goroutine waits for its collection, too */
  while (finished < mine_is) {
    if (gmx_cond_wait(&done, &done_lock) != GMX_OK) abort();
    if (finished < mine_is && !atomic_exchange(&asked, true)) gmx_sema_release(&wanted);
  }
  gmx_cancel_unshield();
  gmx_mutex_unlock(&done_lock);
}

/* ---- the collector */

static bool shade(uintptr_t word) {
  _Atomic uint8_t *mark;
  object *o = object_at(word, &mark);
  uint8_t now = atomic_load_explicit(&colour, memory_order_relaxed);
  if (!o || atomic_load_explicit(mark, memory_order_relaxed) == now) return false;
  atomic_store_explicit(mark, now, memory_order_relaxed);
  if (ngrey == grey_room) {
    grey_room = grey_room ? 2 * grey_room : 4096;
    grey = realloc(grey, grey_room * sizeof *grey);
    if (!grey) abort();
  }
  grey[ngrey++] = o;
  return true;
}

static void mark_all(bool polls) {
  while (ngrey > 0) {
    object *o = grey[--ngrey];
    for (uint32_t i = 0; i < o->nrefs; i++) /* Acquire pairs with the Release in gc_write */
      shade((uintptr_t)atomic_load_explicit(&o->refs[i], memory_order_acquire));
    if (polls) gmx_safepoint();
  }
}

static void scan_g(void *arg, const gmx_g_info *g) {
  shade((uintptr_t)g->arg);    /* the only root of a G that never ran */
  if (g->g == collector_g) return; /* ours holds nothing of the language */
  if (!g->stack_lo || !g->sp) return;
  for (uintptr_t at = ((uintptr_t)g->sp + 7) & ~(uintptr_t)7; at + 8 <= (uintptr_t)g->stack_hi; at += 8)
    shade(*(const uintptr_t *)at);
  (void)arg;
}

static void count_p(void *arg) { /* C1, on each P or in its place */
  local *l = gmx_p_get(key);
  (void)arg;
  if (!l) return;
  atomic_fetch_add_explicit(&allocated, l->allocated, memory_order_relaxed);
  l->allocated = 0;
}

static void flush_notes(void) { /* C4: the world is stopped. All Ps that ever were: a removed P keeps its values */
  for (int32_t p = 0; p < gmx_p_count(); p++) {
    local *l = gmx_p_get_of(key, p);
    while (l && l->notes) {
      notes *n = l->notes;
      l->notes = n->next;
      for (int i = 0; i < n->n; i++) stats.rescued += shade((uintptr_t)n->old[i]);
      free(n);
    }
  }
}

static int64_t stopped_at;
static void stop(void) {
  stopped_at = gmx_now();
  /* with a limit, so that a loop without a safe point is reported, and does not hold up the program forever */
  if (gmx_stop_the_world_timeout("collection", 20000000000) != GMX_OK) abort();
}
static void start(void) {
  gmx_start_the_world();
  int64_t took = gmx_now() - stopped_at;
  if (took > stats.longest_stop) stats.longest_stop = took;
}

static void sweep(void) {
  uint8_t now = atomic_load_explicit(&colour, memory_order_relaxed);
  stats.live = 0;
  gmx_mutex_lock(&lock);
  size_t n = used_blocks;
  gmx_mutex_unlock(&lock);
  for (size_t b = 0; b < n; b++) {
    uint32_t size = blocks[b].cell;
    cell *first = NULL, *last = NULL;
    for (uint32_t i = 0; i < BLOCK / size; i++) {
      uint8_t mark = atomic_load_explicit(&blocks[b].marks[i], memory_order_relaxed);
      if (mark == now) stats.live++;
      if (mark == now || mark == FREE) continue;
      cell *c = (cell *)(heap + b * BLOCK + (size_t)i * size);
      memset(c, 0xdd, size); /* so that a later use is noticed */
      atomic_store_explicit(&blocks[b].marks[i], FREE, memory_order_relaxed);
      c->next = first;
      first = c;
      if (!last) last = c;
      stats.freed++;
    }
    if (first) {
      gmx_mutex_lock(&lock); /* its unlock publishes the cells, and their marks, to the next refill */
      last->next = shared[class_of(size)];
      shared[class_of(size)] = first;
      gmx_mutex_unlock(&lock);
    }
    gmx_safepoint();
  }
}

static void collect(void) {
  atomic_store(&since, 0);
  atomic_store(&colour, 3 - atomic_load(&colour)); /* C1 */
  atomic_store(&marking, true);
  if (gmx_for_each_p(count_p, NULL) != GMX_OK) abort();

  stop(); /* C2 */
  for (int i = 0; i < nroots; i++) shade((uintptr_t)atomic_load(roots[i]));
  if (gmx_for_each_g(scan_g, NULL) != GMX_OK) abort();
  start();

  mark_all(true); /* C3 */

  stop(); /* C4 */
  flush_notes();
  mark_all(false);
  atomic_store(&marking, false);
  start();

  sweep(); /* C5 */
  stats.collections++;
}

static void collector(void *arg) {
  (void)arg;
  for (;;) {
    if (gmx_sema_acquire(&wanted) != GMX_OK) abort();
    if (atomic_load(&ending)) return;
    atomic_store(&asked, false);
    gmx_mutex_lock(&done_lock);
    begun++;
    gmx_mutex_unlock(&done_lock);
    collect();
    gmx_mutex_lock(&done_lock);
    finished++;
    gmx_cond_broadcast(&done);
    gmx_mutex_unlock(&done_lock);
  }
}

bool gc_init(size_t heap_bytes) {
  nblocks = heap_bytes / BLOCK;
  heap = mmap(NULL, nblocks * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  blocks = calloc(nblocks, sizeof *blocks);
  gmx_spawn_opts opts = {.struct_size = sizeof opts, .flags = GMX_SPAWN_JOINABLE, .name = "collector"};
  return heap != MAP_FAILED && blocks && gmx_p_key_create(&key) == GMX_OK &&
         gmx_spawn_with(&opts, collector, NULL, &collector_g) == GMX_OK;
}

void gc_end(void) {
  atomic_store(&ending, true);
  gmx_sema_release(&wanted);
  if (gmx_join(collector_g, GMX_FOREVER) != GMX_OK) abort();
  for (int32_t p = 0; p < gmx_p_count(); p++) free(gmx_p_get_of(key, p));
  gmx_p_key_delete(key);
  for (size_t b = 0; b < used_blocks; b++) free(blocks[b].marks);
  free(blocks);
  free(grey);
  munmap(heap, nblocks * BLOCK);
}

gc_stats gc_read_stats(void) {
  gc_stats now = stats;
  now.allocated = atomic_load(&allocated);
  return now;
}
