/* A collector for a language whose threads are Gs: conservative about stacks, exact about objects, marks while the
 * program runs. docs/runtimes.md explains it. */
#ifndef GC_H
#define GC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct object object;
struct object { /* nrefs references, then the payload */
  uint32_t nrefs;
  uint32_t payload;
  _Atomic(object *) refs[];
};

typedef struct gc_stats {
  uint64_t collections;
  uint64_t allocated;   /* objects, ever */
  uint64_t freed;       /* objects, ever */
  uint64_t live;        /* objects that the last collection found */
  uint64_t rescued;     /* objects that only the write barrier knew of */
  int64_t longest_stop; /* nanoseconds */
} gc_stats;

bool gc_init(size_t heap_bytes); /* starts the collector's G */
void gc_end(void);               /* ends it; no G of the language lives any more */

object *gc_new(uint32_t nrefs, uint32_t payload); /* all zero; NULL if a collection has not made room either */
void gc_write(object *o, uint32_t at, object *to); /* the write barrier */
void gc_root(_Atomic(object *) *variable);         /* a global variable */
void gc_syscall(void (*fn)(void *), void *arg);    /* fn may block, and touches no object */
void gc_collect(void);                             /* returns after a whole collection */
gc_stats gc_read_stats(void);

static inline object *gc_read(object *o, uint32_t at) {
  return atomic_load_explicit(&o->refs[at], memory_order_relaxed);
}
static inline void *gc_payload(object *o) { return &o->refs[o->nrefs]; }

void anywhere(void *gs); /* another collector, with mutators of its own: see anywhere.c */

#endif
