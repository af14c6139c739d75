/*
 * Checks that a repeated operation takes no more resources of the process: resident memory, memory of malloc, threads,
 * descriptors, mappings. RATCHET(cycle, n) runs a cycle n times, measures, and runs it n times more, until nothing has
 * grown.
 */
#ifndef GOMAX_RATCHETS_H
#define GOMAX_RATCHETS_H

#include "gs.h"

#include <fcntl.h>
#include <malloc.h>
#include <sys/wait.h>

typedef struct has {
  long resident, heap; /* KiB */
  long threads, descriptors, mappings;
} has;

static has ratchet_look(void) {
  static char text[1 << 20];
  has h = {0};
  h.resident = (long)(resident() / 1024);
  h.heap = (long)(mallinfo2().uordblks / 1024);
  h.threads = count_entries("/proc/self/task");
  h.descriptors = count_entries("/proc/self/fd");
  FILE *f = fopen("/proc/self/maps", "re");
  CHECK(f != NULL);
  for (size_t n; (n = fread(text, 1, sizeof text, f)) > 0;)
    for (size_t i = 0; i < n; i++) h.mappings += text[i] == '\n';
  fclose(f);
  return h;
}

/* A thread that has been joined may be listed a little longer, and one that was started may not have begun to nap. */
static has ratchet_quiet(void) {
  has before = ratchet_look();
  for (int same = 0; same < 3;) {
    thread_nap(2 * MS);
    has now = ratchet_look();
    same = now.threads == before.threads && now.mappings == before.mappings ? same + 1 : 0;
    before = now;
  }
  return before;
}

static bool ratchet_grew(const has *a, const has *b) {
  return b->resident > a->resident + 64 || b->heap > a->heap + 8 || b->threads > a->threads ||
         b->descriptors > a->descriptors || b->mappings > a->mappings;
}

/* How many objects of a kind exist at a time differs from one batch of n to the next, until a batch has reached the
 * maximum. A leak grows in every batch, by dozens. */
static void ratchet(const char *name, void (*cycle)(void), int n) {
  enum { BATCHES = 12 };
  has all[BATCHES + 1];
  for (int batch = 0; batch <= BATCHES; batch++) {
    for (int i = 0; i < n; i++) cycle();
    all[batch] = ratchet_quiet();
    if (batch > 0 && !ratchet_grew(&all[batch - 1], &all[batch])) {
      check_say("  %s: no more after %d times: resident %ld KiB, malloc %ld KiB, threads %ld, descriptors %ld, mappings %ld", name,
                batch * n, all[batch].resident, all[batch].heap, all[batch].threads, all[batch].descriptors,
                all[batch].mappings);
      return;
    }
  }
  for (int batch = 0; batch <= BATCHES; batch++)
    check_say("  after %d times: resident %ld KiB, malloc %ld KiB, threads %ld, descriptors %ld, mappings %ld", (batch + 1) * n,
              all[batch].resident, all[batch].heap, all[batch].threads, all[batch].descriptors, all[batch].mappings);
  FAIL("%s takes more each time", name);
}

#define RATCHET(cycle, n) ratchet(#cycle, cycle, n)

#endif /* GOMAX_RATCHETS_H */
