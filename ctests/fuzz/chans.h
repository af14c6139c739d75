/* Channels and selects: each value that was sent is received once, and no other value is; a closed channel takes no
 * value any more.
 *
 * Channels come and go. A few at a time stand in slots that all actors use. The last user of a channel that has left
 * its slot empties it, and then as many values must have come out as went in. */
#ifndef GOMAX_FUZZ_CHANS_H
#define GOMAX_FUZZ_CHANS_H

#include "contexts.h"

#define SLOTS 4
#define VALUES 4096
#define LARGEST 100

/* The state of a value. */
enum { NEVER, OFFERED, RECEIVED, WITHDRAWN };

typedef struct conduit {
  gmx_chan *chan;
  size_t size, cap;
  atomic_int users; /* actors with a reference, and the slot */
  atomic_bool closing, closed, once; /* once: by gmx_chan_close */
  atomic_long sent, got;
  atomic_uint next;
  atomic_uchar values[VALUES];
} conduit;

typedef struct slot {
  atomic_flag busy;
  conduit *pipe;
} slot;

static slot slots[SLOTS];
static atomic_long channels_made, channels_gone;

/* ---- values ---- */

/* Makes a new value to send. 0: the values of this channel are too small to tell apart, or all have been used. */
static unsigned value_new(conduit *p, unsigned char *elem) {
  memset(elem, 0xd0, LARGEST);
  if (p->size < 8) return 0;
  unsigned v = atomic_fetch_add(&p->next, 1) + 1;
  if (v >= VALUES) {
    memset(elem, 0, 8);
    return 0;
  }
  memcpy(elem, &(uint64_t){v}, 8);
  memset(elem + 8, (int)(v & 0xff), LARGEST - 8);
  atomic_store(&p->values[v], OFFERED);
  return v;
}

/* A send has ended. */
static void value_sent(actor *a, conduit *p, unsigned v, gmx_status s) {
  if (s == GMX_OK) {
    atomic_fetch_add(&p->sent, 1);
  } else if (v && atomic_exchange(&p->values[v], WITHDRAWN) != OFFERED) {
    LOST(a, "a send is %s, and its value was received", gmx_err_name(s));
  }
}

/* A receive has ended; elem is NULL, or was filled with 0xa5. */
static void value_got(actor *a, conduit *p, const unsigned char *elem, gmx_status s) {
  if (s == GMX_OK) atomic_fetch_add(&p->got, 1);
  if (!elem) return;
  size_t i = 0;
  if (s == GMX_OK && p->size >= 8) {
    uint64_t v;
    memcpy(&v, elem, 8);
    if (v >= VALUES) LOST(a, "value %#" PRIx64 " was never sent", v);
    for (i = 8; v && i < p->size; i++)
      if (elem[i] != (v & 0xff)) LOST(a, "byte %zu of value %u is %#x", i, (unsigned)v, elem[i]);
    int was = v ? atomic_exchange(&p->values[v], RECEIVED) : OFFERED;
    if (was != OFFERED) LOST(a, "value %u was %s", (unsigned)v, was == NEVER ? "never sent" : was == RECEIVED ? "received twice" : "not sent");
    i = p->size;
  } else if (s == GMX_OK || s == GMX_ECLOSED) {
    for (; i < p->size; i++)
      if (elem[i] != (s == GMX_OK ? 0xd0 : 0)) LOST(a, "byte %zu of what is %s is %#x", i, gmx_err_name(s), elem[i]);
  }
  for (; i < LARGEST; i++)
    if (elem[i] != 0xa5) LOST(a, "byte %zu behind what is %s is %#x", i, gmx_err_name(s), elem[i]);
}

/* ---- channels that come and go ---- */

/* The channel of a slot, with a reference. NULL if the slot is empty or another actor is at it. */
static conduit *borrow(actor *a, size_t i) {
  slot *s = &slots[i];
  conduit *p = NULL;
  if (atomic_flag_test_and_set(&s->busy)) return NULL;
  gmx_status got = GMX_OK;
  if (s->pipe) {
    got = gmx_chan_ref(s->pipe->chan);
    if (got == GMX_OK) atomic_fetch_add(&(p = s->pipe)->users, 1);
  }
  atomic_flag_clear(&s->busy);
  MAY(a, got, GMX_OK, GMX_ENOMEM, DOWN(a));
  return p;
}

/* Drops a reference. The last user has the channel alone, and takes out the values that are left. */
static void give_back(actor *a, conduit *p) {
  gmx_status s;
  gmx_chan *chan = p->chan;
  if (atomic_fetch_sub(&p->users, 1) != 1) { /* p belongs to the last user now */
    do MAY(a, s = gmx_chan_free(chan), GMX_OK, GMX_ENOMEM, DOWN(a));
    while (s != GMX_OK);
    return;
  }
  unsigned char elem[LARGEST];
  do {
    memset(elem, 0xa5, sizeof elem);
    MAY(a, s = gmx_chan_try_recv(p->chan, elem), GMX_OK, GMX_EAGAIN, GMX_ECLOSED, GMX_ENOMEM, DOWN(a));
    value_got(a, p, elem, s);
  } while (s == GMX_OK || s == GMX_ENOMEM || s == GMX_ESHUTDOWN);
  if (atomic_load(&p->sent) != atomic_load(&p->got))
    LOST(a, "%ld values were sent, and %ld received", atomic_load(&p->sent), atomic_load(&p->got));
  do MAY(a, s = gmx_chan_free(chan), GMX_OK, GMX_ENOMEM, DOWN(a));
  while (s != GMX_OK);
  free(p);
  atomic_fetch_add(&channels_gone, 1);
}

static void close_it(actor *a, conduit *p) {
  atomic_store(&p->closing, true);
  gmx_status s = gmx_chan_close(p->chan);
  MAY(a, s, GMX_OK, GMX_ECLOSED, GMX_ENOMEM, DOWN(a));
  if (s != GMX_OK && s != GMX_ECLOSED) return;
  if (s == GMX_OK && atomic_exchange(&p->once, true)) LOST(a, "closed twice");
  atomic_store(&p->closed, true);
}

typedef struct dropping {
  actor *a;
  conduit *p;
} dropping;

static void drops(void *arg, void *elem) {
  dropping *d = arg;
  unsigned char bytes[LARGEST];
  memset(bytes, 0xa5, sizeof bytes);
  memcpy(bytes, elem, d->p->size);
  value_got(d->a, d->p, bytes, GMX_OK);
}

static void close_and_drop(actor *a, conduit *p) {
  atomic_store(&p->closing, true);
  gmx_status s = gmx_chan_close_drop(p->chan, drops, &(dropping){a, p});
  MAY(a, s, GMX_OK, GMX_ENOMEM, DOWN(a));
  if (s != GMX_OK) return;
  atomic_store(&p->closed, true);
  if (!gmx_chan_is_closed(p->chan) || gmx_chan_len(p->chan) != 0) LOST(a, "%zu values were not dropped", gmx_chan_len(p->chan));
}

/* Puts a new channel, or none, into a slot. The old channel is closed first, so that no waiter stays there forever. */
static void renew(actor *a, size_t i, bool none) {
  static const size_t sizes[] = {0, 1, 8, 8, 16, LARGEST}, caps[] = {0, 0, 1, 2, 7, 100, GMX_UNBOUNDED};
  slot *s = &slots[i];
  conduit *p = NULL, *old = borrow(a, i);
  if (old) {
    close_it(a, old);
    give_back(a, old);
  }
  if (!none) {
    p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    p->size = sizes[rnd(a, 6)];
    p->cap = caps[rnd(a, 7)];
    atomic_store(&p->users, 1);
    gmx_status made = gmx_chan_new(p->size, p->cap, &p->chan);
    MAY(a, made, GMX_OK, GMX_ENOMEM, DOWN(a));
    if (made != GMX_OK) {
      free(p);
      return;
    }
    if (gmx_chan_cap(p->chan) != p->cap || gmx_chan_len(p->chan) != 0) LOST(a, "a new channel has room for %zu", gmx_chan_cap(p->chan));
    atomic_fetch_add(&channels_made, 1);
  }
  old = p;
  if (!atomic_flag_test_and_set(&s->busy)) {
    /* only a closed channel, to which no actor sends and at which none waits */
    if (!s->pipe || atomic_load(&s->pipe->closed)) {
      old = s->pipe;
      s->pipe = p;
    }
    atomic_flag_clear(&s->busy);
  }
  if (old) give_back(a, old);
}

/* ---- one after the other ---- */

static void sends(actor *a, conduit *p) {
  unsigned char elem[LARGEST];
  unsigned v = value_new(p, elem);
  bool was_closed = atomic_load(&p->closed);
  gmx_status s;
  switch (rnd(a, 4)) {
    case 0:
      s = gmx_chan_try_send(p->chan, elem);
      MAY(a, s, GMX_OK, GMX_EAGAIN, GMX_ECLOSED, GMX_ENOMEM, DOWN(a));
      break;
    case 1:
      s = gmx_chan_send(p->chan, elem);
      WAITS(a, s, GMX_OK, GMX_ECLOSED, DOWN(a), where(a) == FOREIGN ? GMX_ENOMEM : GMX_OK);
      break;
    default:
      s = gmx_chan_send_timeout(p->chan, elem, wait_for(a) - 1000);
      WAITS(a, s, GMX_OK, GMX_ECLOSED, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
  }
  value_sent(a, p, v, s);
  if (s == GMX_OK && was_closed) LOST(a, "sent to a closed channel");
  if (s == GMX_ECLOSED && !atomic_load(&p->closing)) LOST(a, "no call has closed it");
}

static void receives(actor *a, conduit *p) {
  unsigned char bytes[LARGEST], *elem = one_in(a, 8) ? NULL : bytes;
  memset(bytes, 0xa5, sizeof bytes);
  gmx_status s;
  switch (rnd(a, 4)) {
    case 0:
      s = gmx_chan_try_recv(p->chan, elem);
      MAY(a, s, GMX_OK, GMX_EAGAIN, GMX_ECLOSED, GMX_ENOMEM, DOWN(a));
      break;
    case 1:
      s = gmx_chan_recv(p->chan, elem);
      WAITS(a, s, GMX_OK, GMX_ECLOSED, DOWN(a), where(a) == FOREIGN ? GMX_ENOMEM : GMX_OK);
      break;
    default:
      s = gmx_chan_recv_timeout(p->chan, elem, wait_for(a) - 1000);
      WAITS(a, s, GMX_OK, GMX_ECLOSED, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
  }
  value_got(a, p, elem, s);
  if (s == GMX_ECLOSED && !atomic_load(&p->closing)) LOST(a, "no call has closed it");
}

static void wrongly(actor *a, conduit *p) {
  uint64_t nothing[64] = {0};
  gmx_chan *none = (gmx_chan *)nothing, *odd = (gmx_chan *)((char *)p->chan + 1), *made = NULL;
  gmx_status want = may_wait(a);
  switch (rnd(a, 4)) {
    case 0:
      MAY(a, gmx_chan_free(none), GMX_EINVAL, DOWN(a));
      MAY(a, gmx_chan_ref(odd), GMX_EINVAL, DOWN(a));
      MAY(a, gmx_chan_close(none), GMX_EINVAL, DOWN(a));
      MAY(a, gmx_chan_close_drop(odd, drops, NULL), GMX_EINVAL, DOWN(a));
      MAY(a, gmx_chan_waiters(none, NULL, NULL), GMX_EINVAL, DOWN(a));
      if (gmx_chan_is_closed(none) || gmx_chan_is_closed(odd)) LOST(a, "no channel is closed");
      MAY(a, gmx_chan_try_send(odd, nothing), GMX_EINVAL, DOWN(a));
      break;
    case 1:
      IS(a, gmx_chan_free(NULL), GMX_EINVAL);
      IS(a, gmx_chan_try_recv(NULL, nothing), GMX_EAGAIN);
      if (gmx_chan_len(NULL) || gmx_chan_cap(NULL)) LOST(a, "no channel, with room");
      WAITS(a, gmx_chan_recv_timeout(NULL, nothing, moment(a) + 1), GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
      break;
    case 2:
      if (want != GMX_OK) IS(a, gmx_chan_send(none, nothing), want);
      else MAY(a, gmx_chan_send(none, nothing), GMX_EINVAL, DOWN(a));
      if (p->size) MAY(a, gmx_chan_try_send(p->chan, NULL), GMX_EINVAL, DOWN(a));
      break;
    default:
      IS(a, gmx_chan_new(1, 1, NULL), GMX_EINVAL);
      MAY(a, gmx_chan_new(SIZE_MAX / 2, 3, &made), GMX_EINVAL, DOWN(a));
      MAY(a, gmx_chan_new(1, SIZE_MAX - 9, &made), GMX_EINVAL, DOWN(a));
      if (made) LOST(a, "a channel that cannot be");
  }
}

/* ---- select ---- */

#define MOST_CASES 70

typedef struct choice {
  gmx_select_case cases[MOST_CASES];
  unsigned char elems[MOST_CASES][LARGEST];
  conduit *pipes[MOST_CASES];
  unsigned values[MOST_CASES];
  bool was_closed[MOST_CASES];
} choice;

static void selects(actor *a) {
  size_t n = rnd(a, one_in(a, 20) ? MOST_CASES + 1 : 6), borrowed = 0, chosen = 1000000;
  choice *c = malloc(sizeof *c);
  CHECK(c != NULL);
  memset(c, 0xa5, sizeof *c);
  for (size_t i = 0; i < n; i++) {
    conduit *p = c->pipes[i] = one_in(a, 10) ? NULL : borrow(a, rnd(a, SLOTS));
    gmx_select_case *k = &c->cases[i];
    k->chan = p ? p->chan : NULL;
    k->op = one_in(a, 2) ? GMX_CASE_RECV : GMX_CASE_SEND;
    k->elem = c->elems[i];
    if (!p) continue;
    borrowed++;
    c->was_closed[i] = atomic_load(&p->closed);
    if (one_in(a, 5)) k->op = one_in(a, 2) ? GMX_CASE_RECV_READY : GMX_CASE_SEND_READY;
    else if (k->op == GMX_CASE_SEND) c->values[i] = value_new(p, c->elems[i]);
    else if (one_in(a, 8)) k->elem = NULL;
  }
  int64_t timeout = one_in(a, 3) ? -(int64_t)rnd(a, 3) : borrowed && one_in(a, 3) ? GMX_FOREVER : 1 + wait_for(a);
  size_t *out = one_in(a, 10) && !borrowed ? NULL : &chosen;
  bool wrong = n && one_in(a, 12);
  if (wrong) {
    gmx_select_case *k = &c->cases[rnd(a, n)];
    if (one_in(a, 2)) k->op = 4 + (uint32_t)rnd(a, 9);
    else k->chan = (gmx_chan *)((char *)c->elems + 1 + 8 * rnd(a, 9));
  }
  gmx_status s = gmx_select(n || one_in(a, 2) ? c->cases : NULL, n, timeout, out);
  if (timeout > 0 && may_wait(a) != GMX_OK) IS(a, s, may_wait(a));
  else if (wrong) MAY(a, s, GMX_EINVAL, DOWN(a));
  else if (timeout > 0) MAY(a, s, GMX_OK, GMX_ECLOSED, GMX_ETIMEDOUT, GMX_ENOMEM, CANCELED(a), DOWN(a));
  else MAY(a, s, GMX_OK, GMX_ECLOSED, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
  bool chose = s == GMX_OK || s == GMX_ECLOSED;
  if (chose ? chosen >= n || !c->pipes[chosen] : chosen != (out ? n : 1000000))
    LOST(a, "a select over %zu is %s, and chose %zu", n, gmx_err_name(s), chosen);
  for (size_t i = 0; i < n; i++) {
    conduit *p = c->pipes[i];
    if (!p) continue;
    gmx_status mine = chose && i == chosen ? s : GMX_EAGAIN;
    uint32_t op = c->cases[i].op;
    if (op == GMX_CASE_RECV_READY || op == GMX_CASE_SEND_READY) {
      if (mine == GMX_ECLOSED) LOST(a, "a case that only looks is told that it is closed");
      mine = GMX_EAGAIN; /* nothing was moved */
    }
    bool send = c->values[i] != 0xa5a5a5a5u;
    if (mine == GMX_ECLOSED && !atomic_load(&p->closing)) LOST(a, "no call has closed it");
    if (mine == GMX_OK && c->was_closed[i] && send) LOST(a, "sent to a closed channel");
    if (send) value_sent(a, p, c->values[i], mine);
    else value_got(a, p, c->cases[i].elem, mine);
    give_back(a, p);
  }
  free(c);
}

/* ---- all calls ---- */

static void channels(actor *a) {
  size_t i = rnd(a, SLOTS);
  if (one_in(a, 3)) {
    selects(a);
    return;
  }
  if (one_in(a, 12)) {
    renew(a, i, false);
    return;
  }
  conduit *p = borrow(a, i);
  if (!p) return;
  switch (rnd(a, 20)) {
    case 0: close_it(a, p); break;
    case 2: close_and_drop(a, p); break;
    case 1:
      if (gmx_chan_cap(p->chan) != p->cap || gmx_chan_len(p->chan) > p->cap) LOST(a, "%zu values in a channel", gmx_chan_len(p->chan));
      wrongly(a, p);
      break;
    default: one_in(a, 2) ? sends(a, p) : receives(a, p);
  }
  give_back(a, p);
}

/* Ends the waits at channels; at the end of the program no channel is left. */
static void help_channels(actor *a) {
  for (size_t i = 0; i < SLOTS; i++) {
    if (atomic_load(&quit)) {
      renew(a, i, true);
      continue;
    }
    conduit *p = borrow(a, i);
    if (!p) {
      renew(a, i, false);
      continue;
    }
    unsigned char elem[LARGEST];
    unsigned v = value_new(p, elem);
    value_sent(a, p, v, gmx_chan_try_send(p->chan, elem));
    memset(elem, 0xa5, sizeof elem);
    value_got(a, p, elem, gmx_chan_try_recv(p->chan, elem));
    bool full = atomic_load(&p->next) > VALUES / 2;
    give_back(a, p);
    if (full || one_in(a, 50)) renew(a, i, false);
  }
}

#endif /* GOMAX_FUZZ_CHANS_H */
