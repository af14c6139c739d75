/*
 * Channels, tokens and timers, each call as one expression: chan_of makes a channel, new_token a token, reason_of says
 * why a token is canceled; timer_stop, timer_free, timer_reset and ticker_reset say whether they prevented a firing.
 */
#ifndef GOMAX_OBJECTS_H
#define GOMAX_OBJECTS_H

#include "check.h"

/* ---- channels ---- */

CHECK_UNUSED static gmx_chan *chan_of(size_t size, size_t cap) {
  gmx_chan *c = NULL;
  CHECK_OK(gmx_chan_new(size, cap, &c));
  CHECK(c != NULL);
  CHECK_EQ(gmx_chan_cap(c), cap);
  CHECK_EQ(gmx_chan_len(c), 0);
  return c;
}

/* ---- tokens ---- */

CHECK_UNUSED static gmx_cancel new_token(gmx_cancel parent, int64_t timeout) {
  gmx_cancel c = 0;
  CHECK_OK(gmx_cancel_new(parent, timeout, &c));
  CHECK(c != 0);
  return c;
}

/* Why a token is canceled, or why the reason cannot be told. */
CHECK_UNUSED static gmx_status reason_of(gmx_cancel token) {
  gmx_status reason = GMX_OK, status = gmx_cancel_reason(token, &reason);
  return status == GMX_OK ? reason : status;
}

/* ---- timers: 1 if the call prevented a firing, 0 if not, or an error ---- */

CHECK_UNUSED static gmx_status prevented(gmx_status s, bool stopped) { return s == GMX_OK ? stopped : s; }
CHECK_UNUSED static gmx_status timer_stop(gmx_timer t) {
  bool stopped = false;
  gmx_status s = gmx_timer_stop(t, &stopped);
  return prevented(s, stopped);
}
CHECK_UNUSED static gmx_status timer_free(gmx_timer t) {
  bool stopped = false;
  gmx_status s = gmx_timer_free(t, &stopped);
  return prevented(s, stopped);
}
CHECK_UNUSED static gmx_status timer_reset(gmx_timer t, int64_t delay, int64_t period) {
  bool stopped = false;
  gmx_status s = gmx_timer_reset(t, delay, period, &stopped);
  return prevented(s, stopped);
}
CHECK_UNUSED static gmx_status ticker_reset(gmx_timer t, int64_t period) {
  bool stopped = false;
  gmx_status s = gmx_ticker_reset(t, period, &stopped);
  return prevented(s, stopped);
}

#endif /* GOMAX_OBJECTS_H */
