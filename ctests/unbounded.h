/* Channels without a bound: unbounded makes one, select_send sends to it by a select, and comes_in_order checks the
 * values that gmx_chan_close_drop passes on. */
#ifndef GOMAX_TEST_UNBOUNDED_H
#define GOMAX_TEST_UNBOUNDED_H

#include "gs.h"
#include "objects.h"

static gmx_chan *unbounded(size_t size) { return chan_of(size, GMX_UNBOUNDED); }

static gmx_status select_send(gmx_chan *c, gmx_chan *other, uint64_t *v, int64_t timeout, size_t *chosen) {
  gmx_select_case cases[2];
  memset(cases, 0, sizeof cases);
  cases[0].chan = other;
  cases[0].op = GMX_CASE_RECV;
  cases[1].chan = c;
  cases[1].elem = v;
  cases[1].op = GMX_CASE_SEND;
  return gmx_select(cases, 2, timeout, chosen);
}

/* What gmx_chan_close_drop passes on: it comes in order. */
struct dropped {
  uint64_t next, n;
};
static void comes_in_order(void *arg, void *elem) {
  struct dropped *d = arg;
  uint64_t v;
  memcpy(&v, elem, sizeof v);
  CHECK_EQ(v, d->next);
  d->next++;
  d->n++;
}

#endif
