/*
 * The Boehm collector for goroutines:  gc [cost]
 *
 * The collector knows threads: it interrupts them by a signal and scans the stack of each. It does not know that a
 * thread is on the stack of a goroutine, nor that parked goroutines have stacks. So it must not collect by itself:
 *
 *   - GC_disable. Goroutines allocate by GC_malloc on any thread, and none of these threads is registered.
 *   - When enough is allocated, a goroutine asks for a collection and parks.
 *   - A thread of the host, which the collector knows, stops the world. gmx_stop_the_world waits until each goroutine
 *     is in a call of libgomax, and so out of GC_malloc: none holds the lock of the collector.
 *   - The thread notes the used part of each stack. It does so before it calls the collector, which interrupts other
 *     threads of the host, possibly in the middle of a call of libgomax.
 *   - Then it collects. The collector asks for more roots, and gets what was noted.
 *
 * What only a channel of libgomax holds, or a value under a key, the collector does not see: keep a reference elsewhere
 * (here the sender does, until it has an answer). Between gmx_enter_syscall and gmx_exit_syscall touch nothing of its
 * heap.
 *
 *   cc gc.c -lgomax -lgc && ./a.out
 */
#define GC_THREADS /* pthread_create registers the thread with the collector */
#include "each.h"

#include <gc/gc.h>
#include <gc/gc_mark.h>
#include <pthread.h>

enum { GOROUTINES = 64, LISTS = 30, NODES = 300, STACK = 64 << 10, ENOUGH = 1 << 20 };

/* ---- the collector ---- */

struct root {
  void *lo, *hi, *arg;
};
static struct root *roots;
static size_t nroots, room;
static GC_push_other_roots_proc other_roots;

static gmx_mutex asking;
static uint32_t asked, collected; /* semaphores */
static bool ended;

static void notes(void *arg, const gmx_g_info *g) {
  (void)arg;
  if (nroots == room) MUST((roots = realloc(roots, (room = 2 * room + 64) * sizeof *roots)));
  /* without a stack: it has not begun, or is on a thread of the host, whose stack the collector knows */
  roots[nroots++] = (struct root){g->sp, g->sp ? g->stack_hi : NULL, g->arg};
}

static void pushes(void) {
  if (other_roots) other_roots();
  for (size_t i = 0; i < nroots; i++) {
    GC_push_all_eager(roots[i].lo, roots[i].hi);
    GC_push_all_eager(&roots[i].arg, &roots[i].arg + 1);
  }
}

static void *collects(void *unused) {
  (void)unused;
  while (gmx_sema_acquire(&asked) == GMX_OK && !ended) {
    MUST(gmx_stop_the_world("collect") == GMX_OK);
    nroots = 0;
    MUST(gmx_for_each_g(notes, NULL) == GMX_OK);
    GC_enable();
    GC_gcollect();
    GC_disable();
    MUST(gmx_start_the_world() == GMX_OK);
    MUST(gmx_sema_release(&collected) == GMX_OK);
  }
  return NULL;
}

static void *allocates(size_t size) {
  if (GC_get_bytes_since_gc() > ENOUGH) {
    MUST(gmx_mutex_lock(&asking) == GMX_OK);
    if (GC_get_bytes_since_gc() > ENOUGH) { /* the first of those that asked */
      MUST(gmx_sema_release(&asked) == GMX_OK);
      MUST(gmx_sema_acquire(&collected) == GMX_OK);
    }
    MUST(gmx_mutex_unlock(&asking) == GMX_OK);
  }
  void *p = GC_malloc(size);
  MUST(p);
  return p;
}

/* ---- goroutines that allocate ---- */

struct node {
  struct node *next;
  int owner, number;
  char more[16];
};

/* Only the stack refers to the list. */
static void list(int owner) {
  struct node *head = NULL;
  for (int n = 0; n < NODES; n++) {
    struct node *new = allocates(sizeof *new);
    new->next = head, new->owner = owner, new->number = n;
    head = new;
    if (n % 100 == 0) gmx_yield();
  }
  int n = NODES;
  for (struct node *at = head; at; at = at->next) MUST(at->owner == owner && at->number == --n);
  MUST(n == 0);
}

static void makes_lists(int i) {
  for (int n = 0; n < LISTS; n++) list(i);
}

/* ---- what it costs ---- */

static void lists_on_thread(int i) { /* as the collector is used without goroutines */
  for (int l = 0; l < LISTS; l++) {
    struct node *head = NULL;
    for (int n = 0; n < NODES; n++) {
      struct node *new = GC_malloc(sizeof *new);
      new->next = head, new->owner = i, new->number = n;
      head = new;
    }
    int n = NODES;
    for (struct node *at = head; at; at = at->next) MUST(at->owner == i && at->number == --n);
  }
}

/* ---- */

static void run(void *arg) {
  if (arg) costs("goroutines", GOROUTINES, STACK, makes_lists);
  else each(GOROUTINES, STACK, makes_lists);
}

int main(int argc, char **argv) {
  bool cost = argc > 1 && strcmp(argv[1], "cost") == 0;
  pthread_t collector;
  GC_INIT();
  if (cost) costs("a thread", GOROUTINES, 0, lists_on_thread);
  GC_disable();
  other_roots = GC_get_push_other_roots();
  GC_set_push_other_roots(pushes);
  GC_word before = GC_get_gc_no();
  MUST(pthread_create(&collector, NULL, collects, NULL) == 0);
  MUST(gmx_main(run, cost ? &cost : NULL) == GMX_OK);
  ended = true;
  MUST(gmx_sema_release(&asked) == GMX_OK && pthread_join(collector, NULL) == 0);
  GC_word times = GC_get_gc_no() - before;
  if (!cost) printf("%d collections, %zu KiB of heap\n", (int)times, GC_get_heap_size() >> 10);
  MUST(times >= 10 && GC_get_heap_size() < 8 * ENOUGH);
  free(roots);
  return 0;
}
