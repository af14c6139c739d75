/*
 * Connections between actors, of which each byte is accounted for.
 *
 * A connection is a pair: a pipe, a stream of the Unix domain or of TCP, or a socket of messages. Any actor may read,
 * write, wait, set a deadline or end it, at the same time as others, and with handles that are closed meanwhile.
 *
 * The bytes of a stream follow from their places, so that each reader knows what it must get. One actor at a time
 * writes and one at a time reads in each direction: otherwise none of them would know its place. Messages have many
 * senders and many receivers, and are counted.
 *
 * A connection ends in one of two ways. In order: its writers stop, and what is on its way is read to the end; then as
 * much was received as was sent. Or at once: then no more was received than was sent. Its handles are closed while
 * calls wait there, and each of these calls says so.
 */
#ifndef GOMAX_RANDOM_CONNECTIONS_H
#define GOMAX_RANDOM_CONNECTIONS_H

#include "../fds.h"
#include "actor.h"

#define CONNECTIONS 12
#define MOST 3000 /* bytes of one call */
#define MESSAGES PAIR_KINDS

/* One direction of a stream. */
typedef struct way {
  atomic_int writes, reads; /* an actor does */
  uint64_t sent, got;       /* owner: the writer; the reader */
  atomic_bool ended;        /* the reader has seen the end */
} way;

typedef struct message {
  uint64_t id, check;
  char rest[48];
} message;

typedef struct connection {
  atomic_int users; /* 0: the place is free. -1: it is being made or has ended. The place itself counts as 1 */
  atomic_int ending, in_order, dated;
  int kind;
  int fd[2];
  gmx_poll p[2];
  way ways[2]; /* ways[i] is written at end i and read at the other one */
  atomic_llong sent, sent_ids, received, received_ids;
} connection;

static connection connections[CONNECTIONS];
static atomic_ullong last_id;
static atomic_llong bytes_moved, messages_moved, ended_in_order, ended_at_once;

static bool is_way(const connection *c, int from) { return c->kind != MESSAGES && (c->kind != PIPE || from == 1); }

/* ---- the life of a connection ---- */

static void connection_make(actor *a, connection *c) {
  memset(c->ways, 0, sizeof c->ways);
  atomic_store(&c->ending, 0);
  atomic_store(&c->in_order, 0);
  atomic_store(&c->dated, 0);
  atomic_store(&c->sent, 0);
  atomic_store(&c->sent_ids, 0);
  atomic_store(&c->received, 0);
  atomic_store(&c->received_ids, 0);
  c->kind = (int)rnd(a, MESSAGES + 1);
  if (c->kind == MESSAGES) CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, c->fd) == 0);
  else fds_of(c->fd, (enum pair_kind)c->kind);
  if (rnd(a, 2)) { /* so that writers wait */
    int little = 4096;
    if (c->kind == PIPE) CHECK_CMP(fcntl(c->fd[1], F_SETPIPE_SZ, little), >=, little);
    else
      for (int i = 0; i < 2; i++) CHECK(setsockopt(c->fd[i], SOL_SOCKET, SO_SNDBUF, &little, sizeof little) == 0);
  }
  for (int i = 0; i < 2; i++) c->p[i] = own_fd(c->fd[i]);
}

/* A connection that stays until it is left; NULL: there is none in the place that was chosen. */
static connection *connection_enter(actor *a) {
  connection *c = &connections[rnd(a, CONNECTIONS)];
  int users = atomic_load(&c->users);
  while (users >= 0) {
    bool is_new = users == 0;
    if (is_new && atomic_load(&quit)) return NULL;
    if (!atomic_compare_exchange_weak(&c->users, &users, is_new ? -1 : users + 1)) continue;
    if (is_new) {
      connection_make(a, c);
      atomic_store(&c->users, 2);
    }
    return c;
  }
  return NULL;
}

/* After the last call: no count changes any more. */
static void connection_check(connection *c) {
  bool exact = atomic_load(&c->in_order);
  for (int i = 0; i < 2; i++) {
    way *w = &c->ways[i];
    if (!is_way(c, i)) continue;
    CHECK_EQ(w->reads, 0);
    CHECK_EQ(w->writes, 0);
    CHECK_CMP(w->got, <=, w->sent);
    if (exact) CHECK_EQ(w->got, w->sent);
    atomic_fetch_add(&bytes_moved, (long long)w->got);
  }
  CHECK_CMP(c->received, <=, c->sent);
  if (exact) {
    CHECK_EQ(c->received, c->sent);
    CHECK_EQ(c->received_ids, c->sent_ids);
  }
  atomic_fetch_add(&messages_moved, c->received);
  atomic_fetch_add(exact ? &ended_in_order : &ended_at_once, 1);
}

static void connection_leave(connection *c) {
  int users = atomic_load(&c->users);
  while (!atomic_compare_exchange_weak(&c->users, &users, users == 1 ? -1 : users - 1)) continue;
  if (users != 1) return;
  connection_check(c);
  atomic_store(&c->users, 0);
}

/* ---- what a call may return ---- */

/* How a call was made, and what follows for its status. */
typedef struct limits {
  under token;
  int64_t timeout, begin;
  bool was_dated;
} limits;

static limits limits_of(actor *a, connection *c, bool may_be_long) {
  limits l;
  switch (rnd(a, 4)) {
    case 0: l.timeout = 0; break;
    case 1: l.timeout = may_be_long && !atomic_load(&quit) ? GMX_FOREVER : (int64_t)rnd(a, 100000); break;
    default: l.timeout = (int64_t)rnd(a, 400000) - 1;
  }
  l.token = token_begins(a);
  l.was_dated = atomic_load(&c->dated);
  l.begin = gmx_now();
  return l;
}

static void check_end(connection *c, limits l, gmx_status s, const char *call) {
  bool ending = atomic_load(&c->ending), dated = l.was_dated || atomic_load(&c->dated);
  token_ends(l.token);
  bool may = s >= 0;
  if (s == GMX_ETIMEDOUT) {
    may = dated || l.timeout != GMX_FOREVER;
    if (!dated && l.timeout > 0) CHECK_CMP(gmx_now() - l.begin, >=, l.timeout);
  }
  if (s == GMX_ECANCELED) may = l.token.token != 0;
  if (s == GMX_EBADF || s == GMX_EPIPE || s == -ECONNRESET) may = ending;
  if (!may)
    FAIL("%s of a %s is %s: timeout %" PRId64 ", %s%s%s", call, c->kind == MESSAGES ? "message" : pair_names[c->kind],
         gmx_err_name(s), l.timeout, ending ? "ending " : "", dated ? "dated " : "", l.token.token ? "token" : "");
}
#define CHECK_END(c, l, call) check_end(c, l, call, #call)

/* ---- streams ---- */

static unsigned char byte_at(uint64_t place) { return (unsigned char)(place * 167 + (place >> 8) * 13); }

static void stream_writes(actor *a, connection *c, int i, bool may_be_long) {
  way *w = &c->ways[i];
  if (atomic_exchange(&w->writes, 1)) return;
  unsigned char bytes[MOST];
  size_t n = 1 + rnd(a, rnd(a, 4) ? 200 : MOST), done = ~(size_t)0, half = rnd(a, n + 1);
  for (size_t k = 0; k < n; k++) bytes[k] = byte_at(w->sent + k);
  struct iovec v[] = {{bytes, half}, {bytes + half, n - half}};
  limits l = limits_of(a, c, may_be_long);
  gmx_status s;
  switch (rnd(a, 4)) {
    case 0: s = gmx_writev(c->p[i], v, 2, l.timeout, &done); break;
    case 1:
      if (c->kind == PIPE) goto writes;
      s = gmx_send(c->p[i], bytes, n, 0, l.timeout);
      done = s > 0 ? (size_t)s : 0;
      n = s > 0 ? done : n;
      break;
    default: writes: s = gmx_write(c->p[i], bytes, n, l.timeout, &done);
  }
  CHECK_END(c, l, s);
  if (done == ~(size_t)0) { /* nothing was tried */
    CHECK_STATUS(s, GMX_EBADF);
    done = 0;
  }
  if (s >= 0) CHECK_EQ(done, n);
  else CHECK_CMP(done, <, n);
  w->sent += done;
  atomic_store(&w->writes, 0);
}

/* At most so long. The caller has the right to read. */
static gmx_status stream_reads_some(actor *a, connection *c, int i, limits l) {
  way *w = &c->ways[i];
  unsigned char bytes[MOST];
  size_t n = 1 + rnd(a, rnd(a, 4) ? 300 : MOST), done = ~(size_t)0, half = rnd(a, n + 1);
  struct iovec v[] = {{bytes, half}, {bytes + half, n - half}};
  gmx_status s;
  switch (rnd(a, 4)) {
    case 0: s = gmx_readv(c->p[1 - i], v, 2, l.timeout); break;
    case 1:
      s = gmx_read_full(c->p[1 - i], bytes, n, l.timeout, &done);
      if (s == GMX_OK) CHECK_EQ(done, n);
      break;
    default: s = gmx_read(c->p[1 - i], bytes, n, l.timeout);
  }
  size_t got = done != ~(size_t)0 ? done : s > 0 ? (size_t)s : 0;
  CHECK_CMP(got, <=, n);
  for (size_t k = 0; k < got; k++)
    if (bytes[k] != byte_at(w->got + k)) FAIL("byte %" PRIu64 " of a %s is another", w->got + k, pair_names[c->kind]);
  w->got += got;
  bool end = done == ~(size_t)0 ? s == 0 : s == GMX_EPIPE;
  if (end) {
    CHECK(atomic_load(&c->ending));
    atomic_store(&w->ended, true);
  }
  return s;
}

static void stream_reads(actor *a, connection *c, int i, bool may_be_long) {
  if (atomic_exchange(&c->ways[i].reads, 1)) return;
  limits l = limits_of(a, c, may_be_long);
  CHECK_END(c, l, stream_reads_some(a, c, i, l));
  atomic_store(&c->ways[i].reads, 0);
}

/* ---- messages ---- */

static size_t message_make(actor *a, message *m) {
  m->id = atomic_fetch_add(&last_id, 1) + 1;
  m->check = ~m->id * 3;
  memset(m->rest, (int)m->id, sizeof m->rest);
  return sizeof *m - rnd(a, sizeof m->rest);
}

static void message_came(connection *c, const message *m, size_t n) {
  CHECK_CMP(n, >=, sizeof *m - sizeof m->rest);
  CHECK_EQ(m->check, ~m->id * 3);
  for (size_t k = 0; k < n - offsetof(message, rest); k++) CHECK_EQ((unsigned char)m->rest[k], (unsigned char)m->id);
  atomic_fetch_add(&c->received, 1);
  atomic_fetch_add(&c->received_ids, (long long)m->id);
}

static void message_sends(actor *a, connection *c, int i, bool may_be_long) {
  message m[3];
  struct iovec v[3];
  struct mmsghdr many[3];
  memset(many, 0, sizeof many);
  int n = 0;
  size_t done = 0;
  for (int k = 0; k < 3; k++) {
    v[k].iov_base = &m[k];
    v[k].iov_len = message_make(a, &m[k]);
    many[k].msg_hdr.msg_iov = &v[k];
    many[k].msg_hdr.msg_iovlen = 1;
  }
  limits l = limits_of(a, c, may_be_long);
  gmx_status s;
  switch (rnd(a, 4)) {
    case 0:
      s = gmx_sendmmsg(c->p[i], many, 3, 0, l.timeout);
      n = s > 0 ? s : 0;
      break;
    case 1:
      s = gmx_sendmsg(c->p[i], &many[0].msg_hdr, 0, l.timeout);
      n = s > 0;
      if (n) CHECK_EQ(s, v[0].iov_len);
      break;
    case 2:
      s = gmx_sendto(c->p[i], &m[0], v[0].iov_len, 0, NULL, 0, l.timeout);
      n = s > 0;
      break;
    default:
      s = gmx_write(c->p[i], &m[0], v[0].iov_len, l.timeout, &done);
      n = s == GMX_OK;
      if (s == GMX_OK) CHECK_EQ(done, v[0].iov_len);
  }
  CHECK_END(c, l, s);
  for (int k = 0; k < n; k++) atomic_fetch_add(&c->sent_ids, (long long)m[k].id);
  atomic_fetch_add(&c->sent, n);
}

/* At most so long. */
static gmx_status message_receives_some(actor *a, connection *c, int i, limits l) {
  message m[2];
  struct iovec v[] = {{&m[0], sizeof m[0]}, {&m[1], sizeof m[1]}};
  struct mmsghdr many[2];
  memset(many, 0, sizeof many);
  gmx_status s;
  switch (rnd(a, 4)) {
    case 0:
      for (int k = 0; k < 2; k++) many[k].msg_hdr.msg_iov = &v[k], many[k].msg_hdr.msg_iovlen = 1;
      s = gmx_recvmmsg(c->p[i], many, 2, 0, l.timeout);
      for (int k = 0; k < s; k++)
        if (many[k].msg_len == 0) return k; /* the end */
        else message_came(c, &m[k], many[k].msg_len);
      return s;
    case 1: s = gmx_recv(c->p[i], &m[0], sizeof m[0], 0, l.timeout); break;
    case 2: s = gmx_recvfrom(c->p[i], &m[0], sizeof m[0], 0, NULL, NULL, l.timeout); break;
    default: s = gmx_read(c->p[i], &m[0], sizeof m[0], l.timeout);
  }
  if (s > 0) message_came(c, &m[0], (size_t)s);
  return s;
}

static void message_receives(actor *a, connection *c, int i, bool may_be_long) {
  limits l = limits_of(a, c, may_be_long);
  gmx_status s = message_receives_some(a, c, i, l);
  if (s == 0) CHECK(atomic_load(&c->ending));
  CHECK_END(c, l, s);
}

/* ---- waits and deadlines ---- */

static void connection_waits(actor *a, connection *c, bool may_be_long) {
  uint32_t events = 1 + (uint32_t)rnd(a, 3), ready = 0;
  events = (events & 1 ? GMX_POLL_IN : 0) | (events & 2 ? GMX_POLL_OUT : 0);
  limits l = limits_of(a, c, may_be_long);
  gmx_status s = gmx_poll_wait(c->p[rnd(a, 2)], events, l.timeout, &ready);
  if (s == GMX_OK) CHECK(ready != 0 && (ready & ~(events | GMX_POLL_ERR | GMX_POLL_HUP | GMX_POLL_RDHUP)) == 0);
  CHECK_END(c, l, s);
}

static void connection_dates(actor *a, connection *c) {
  uint32_t which = 1 + (uint32_t)rnd(a, 3);
  which = (which & 1 ? GMX_POLL_IN : 0) | (which & 2 ? GMX_POLL_OUT : 0);
  int64_t when = rnd(a, 2) ? GMX_FOREVER : gmx_now() + (int64_t)rnd(a, 400000) - 100000;
  atomic_store(&c->dated, 1);
  gmx_status s = gmx_poll_set_deadline(c->p[rnd(a, 2)], which, when);
  if (s != GMX_OK) {
    CHECK_STATUS(s, GMX_EBADF);
    CHECK(atomic_load(&c->ending));
  }
}

/* ---- the end ---- */

static void closes_end(actor *a, connection *c, int i) {
  int fd = -1;
  if (rnd(a, 4)) {
    CHECK_OK(gmx_close(c->p[i]));
  } else {
    CHECK_OK(gmx_poll_release(c->p[i], &fd));
    CHECK_EQ(fd, c->fd[i]);
    CHECK(close(fd) == 0);
  }
  CHECK_STATUS(gmx_close(c->p[i]), GMX_EBADF);
}

/* Reads until the end: what is on its way, and what others read meanwhile. */
static void reads_to_the_end(actor *a, connection *c, int i) {
  way *w = &c->ways[i];
  limits l = {{0, 0}, 200000, 0, false};
  for (;;) {
    CHECK_OK(gmx_poll_set_deadline(c->p[1 - i], GMX_POLL_IN, GMX_FOREVER)); /* another actor may set it again */
    if (c->kind == MESSAGES) {
      if (message_receives_some(a, c, 1 - i, l) == 0) return;
    } else {
      if (atomic_load(&w->ended)) return;
      if (atomic_exchange(&w->reads, 1) == 0) {
        stream_reads_some(a, c, i, l);
        atomic_store(&w->reads, 0);
      } else {
        check_pause();
      }
    }
  }
}

/* False: another actor ends it. */
static bool connection_ends(actor *a, connection *c, bool in_order) {
  if (atomic_exchange(&c->ending, 1)) return false;
  if (in_order) {
    bool reads[2] = {c->kind != PIPE, true};
    if (c->kind == PIPE) closes_end(a, c, 1);
    else
      for (int i = 0; i < 2; i++) CHECK_OK(fd_shutdown(c->p[i], SHUT_WR));
    for (int i = 0; i < 2; i++)
      if (reads[i]) reads_to_the_end(a, c, i);
    atomic_store(&c->in_order, 1);
    closes_end(a, c, 0);
    if (c->kind != PIPE) closes_end(a, c, 1);
  } else {
    int first = (int)rnd(a, 2);
    closes_end(a, c, first);
    closes_end(a, c, 1 - first);
  }
  connection_leave(c); /* the place's */
  return true;
}

/* ---- what an actor does ---- */

static void talks(actor *a, bool may_be_long) {
  connection *c = connection_enter(a);
  if (c == NULL) return;
  for (uint64_t n = 1 + rnd(a, 4); n > 0; n--) {
    int i = (int)rnd(a, 2);
    bool writes = rnd(a, 2);
    if (c->kind == PIPE) i = 1;
    switch (rnd(a, 8)) {
      case 0: connection_waits(a, c, may_be_long); break;
      case 1: connection_dates(a, c); break;
      default:
        if (c->kind == MESSAGES) writes ? message_sends(a, c, i, may_be_long) : message_receives(a, c, i, may_be_long);
        else writes ? stream_writes(a, c, i, may_be_long) : stream_reads(a, c, i, may_be_long);
    }
  }
  connection_leave(c);
}

static void ends_talk(actor *a) {
  connection *c = connection_enter(a);
  if (c == NULL) return;
  connection_ends(a, c, rnd(a, 2));
  connection_leave(c);
}

/* From outside, so that each wait ends. */
static void ends_a_talk(actor *a, size_t i) {
  connection *c = &connections[i];
  int users = atomic_load(&c->users);
  while (users > 0) {
    if (!atomic_compare_exchange_weak(&c->users, &users, users + 1)) continue;
    connection_ends(a, c, false);
    connection_leave(c);
    return;
  }
}

/* Of a round. No other actor is left. */
static void talks_begin(void) {
  atomic_store(&bytes_moved, 0);
  atomic_store(&messages_moved, 0);
  atomic_store(&ended_in_order, 0);
  atomic_store(&ended_at_once, 0);
}

static void talks_end(actor *a) {
  for (size_t i = 0; i < CONNECTIONS; i++) {
    ends_a_talk(a, i);
    CHECK_EQ(atomic_load(&connections[i].users), 0);
  }
}

#endif /* GOMAX_RANDOM_CONNECTIONS_H */
