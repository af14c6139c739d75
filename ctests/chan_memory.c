/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* env: GMXDEBUG=malloc=1 */
/* flags: -ldl */
/* The memory of channels without a bound: received values release their memory, a channel that stays short does not
 * allocate, and a send that finds no memory changes nothing. The library takes its memory from malloc here, where each
 * block can be counted, and refused. */
#include "faults.h"

#include "unbounded.h"

#include <limits.h>
#include <malloc.h>
#include <stdatomic.h>

/* The memory that the process has from malloc. Freed memory that malloc keeps for a thread counts, so comparisons allow
 * for some. */
enum { KEPT = 24 * 1024 };
static size_t in_use(void) {
  struct mallinfo2 m = mallinfo2();
  return m.uordblks + m.hblkhd;
}

/* Calls of malloc and posix_memalign by the library. */
static long allocations(void) {
  return atomic_load(&fault_calls[FAULT_malloc]) + atomic_load(&fault_calls[FAULT_posix_memalign]);
}

/* ---- what was received ---- */

enum { MANY = 1000000 };

static void a_million_and_back(void *unused) {
  (void)unused;
  size_t before = in_use();
  gmx_chan *c = unbounded(sizeof(uint64_t));
  uint64_t v;
  for (int round = 0; round < 2; round++) {
    for (v = 0; v < MANY; v++) CHECK_OK(gmx_chan_send(c, &v));
    CHECK_EQ(gmx_chan_len(c), MANY);
    CHECK_CMP(in_use() - before, >=, MANY * sizeof v);
    CHECK_CMP(in_use() - before, <, MANY * sizeof v * 5 / 4);
    for (uint64_t i = 0; i < MANY; i++) {
      CHECK_OK(gmx_chan_recv(c, &v));
      CHECK_EQ(v, i);
    }
    CHECK_STATUS(gmx_chan_try_recv(c, &v), GMX_EAGAIN);
    CHECK_CMP(in_use(), <, before + KEPT);
  }
  CHECK_OK(gmx_chan_free(c));
}
static void gives_its_memory_back(void) { on_g(a_million_and_back, NULL); }

/* With any number of values in it: after some segments have been made nothing is allocated. */
static void a_queue_does_not_allocate(void) {
  for (uint64_t kept = 0; kept < 400; kept = kept * 2 + 1) {
    gmx_chan *c = unbounded(8);
    uint64_t in = 0, out = 0, v;
    for (; in < kept; in++) CHECK_OK(gmx_chan_send(c, &in));
    long before = 0;
    for (int i = 0; i < 3000; i++) {
      if (i == 1000) before = allocations();
      CHECK_OK(gmx_chan_send(c, &in));
      in++;
      CHECK_OK(gmx_chan_recv(c, &v));
      CHECK_EQ(v, out);
      out++;
    }
    CHECK_EQ(allocations(), before);
    CHECK_EQ(gmx_chan_len(c), kept);
    CHECK_OK(gmx_chan_free(c)); /* with what is left in it */
  }
}

/* ---- no memory ---- */

static void without_memory(void *unused) {
  (void)unused;
  gmx_chan *c = unbounded(8), *never = NULL;
  CHECK_OK(gmx_chan_new(8, 0, &never));
  uint64_t v = 1, n = 0;
  size_t chosen = 9;
  long failed = 0;
  fault_arm(FAULT_malloc, 0, LONG_MAX); /* all from here on */
  for (int way = 0; way < 5; way++) {
    CHECK_EQ(gmx_chan_len(c), n);
    chosen = 9;
    gmx_status s = way == 0   ? gmx_chan_send(c, &v)
                   : way == 1 ? gmx_chan_try_send(c, &v)
                   : way == 2 ? gmx_chan_send_timeout(c, &v, 0)
                   : way == 3 ? select_send(c, never, &v, GMX_FOREVER, &chosen)
                              : select_send(c, never, &v, 0, &chosen);
    CHECK_STATUS(s, GMX_ENOMEM);
    if (way > 2) CHECK_EQ(chosen, 2);
    CHECK_EQ(gmx_chan_len(c), n);
    CHECK_CMP(atomic_load(&fault_failed), >, failed);
    failed = atomic_load(&fault_failed);
  }
  CHECK_STATUS(gmx_chan_try_recv(c, &v), GMX_EAGAIN);
  fault_arm(-1, 0, 0);
  CHECK_OK(gmx_chan_send(c, &v));
  n++;
  fault_arm(FAULT_malloc, 0, LONG_MAX);
  gmx_status s;
  while ((v = n, s = gmx_chan_send(c, &v)) == GMX_OK) n++; /* until its segment is full */
  CHECK_STATUS(s, GMX_ENOMEM);
  CHECK_CMP(n, >, 10);
  CHECK_EQ(gmx_chan_len(c), n);
  CHECK_OK(gmx_chan_try_recv(c, &v));
  CHECK_STATUS(gmx_chan_try_send(c, &v), GMX_ENOMEM);
  fault_arm(-1, 0, 0);
  v = n;
  CHECK_OK(gmx_chan_send(c, &v));
  for (uint64_t i = 1; i <= n; i++) {
    CHECK_OK(gmx_chan_recv(c, &v));
    CHECK_EQ(v, i);
  }
  CHECK_OK(gmx_chan_close(c));
  fault_arm(FAULT_malloc, 0, LONG_MAX);
  CHECK_STATUS(gmx_chan_send(c, &v), GMX_ECLOSED);
  fault_arm(-1, 0, 0);
  CHECK_OK(gmx_chan_free(c));
  CHECK_OK(gmx_chan_free(never));
}
static void no_memory_changes_nothing(void) { on_g(without_memory, NULL); }

/* ---- what was not received ---- */

static void close_with_values_left(int drops) {
  gmx_chan *c = unbounded(8);
  uint64_t v;
  for (v = 0; v < 1000; v++) CHECK_OK(gmx_chan_send(c, &v));
  for (v = 0; v < 300; v++) CHECK_OK(gmx_chan_recv(c, NULL));
  CHECK_OK(drops ? gmx_chan_close_drop(c, NULL, NULL) : gmx_chan_close(c));
  CHECK_OK(gmx_chan_free(c));
}
static void nothing_is_left(void) {
  size_t memory = in_use();
  for (int i = 0; i < 40; i++) close_with_values_left(i % 2);
  CHECK_CMP(in_use(), <, memory + KEPT);
}

static void ends_at_the_200th(void *arg, void *elem) {
  comes_in_order(arg, elem);
  if (((struct dropped *)arg)->n == 200) gmx_goexit();
}
struct ending {
  gmx_chan *c;
  struct dropped d;
};
static void closes_and_ends(void *arg) {
  struct ending *e = arg;
  gmx_chan_close_drop(e->c, ends_at_the_200th, &e->d);
  FAIL("drop did not return");
}
static void drop_need_not_return(void) {
  size_t memory = in_use();
  for (int round = 0; round < 20; round++) {
    struct ending e = {unbounded(8), {0, 0}};
    for (uint64_t v = 0; v < 1000; v++) CHECK_OK(gmx_chan_send(e.c, &v));
    on_g(closes_and_ends, &e);
    CHECK_EQ(e.d.n, 200);
    CHECK_STATUS(gmx_chan_recv(e.c, NULL), GMX_ECLOSED);
    CHECK_OK(gmx_chan_free(e.c)); /* and the segments behind it */
  }
  CHECK_CMP(in_use(), <, memory + KEPT);
}

int main(void) {
  RUN(gives_its_memory_back);
  RUN(a_queue_does_not_allocate);
  RUN(no_memory_changes_nothing);
  RUN(nothing_is_left);
  RUN(drop_need_not_return);
  RUN(ends_clean);
  return 0;
}
