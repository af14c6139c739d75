/*
 * Requests with replies over channels, and the ownership of their references.
 *
 * The rule: each user of a channel has a reference of its own, and frees it when it will not use the channel any more.
 * A reference in a message belongs to the receiver of the message. So a client may time out while the server still
 * works for it, and no user needs to know which is the last:
 *
 *   client   makes the reply's channel with two references, one for itself and one that travels with the request
 *   server   takes the request, and the reference with it; sends the reply, which never waits since there is room for
 *            one; frees
 *   client   receives the reply, or gives up after a while; frees
 *
 * If the request cannot be sent, the client keeps both references. The closer of the channel of requests takes the
 * requests out that are left in it, and frees the reference in each.
 *
 *   cc -o request_reply request_reply.c $(pkg-config --cflags --libs gomax)
 */
#include <gomax.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct request {
  int64_t n;
  gmx_chan *reply; /* a reference of the server's */
};

static gmx_chan *requests;
static int64_t answered, given_up, refused;

static void must(gmx_status s, const char *what) {
  if (s >= 0) return;
  fprintf(stderr, "%s: %s\n", what, gmx_strerror(s));
  exit(1);
}

static void count(int64_t *n) { __atomic_fetch_add(n, 1, __ATOMIC_RELAXED); }

/* Answers until the channel of requests is closed and empty, so it also takes out the requests that are left. */
static void server(void *arg) {
  struct request ask;
  (void)arg;
  while (gmx_chan_recv(requests, &ask) == GMX_OK) {
    int64_t square = ask.n * ask.n;
    if (ask.n % 3 == 0) gmx_sleep(200000); /* slow: some clients give up meanwhile */
    must(gmx_chan_send(ask.reply, &square), "reply");
    must(gmx_chan_free(ask.reply), "free");
  }
  must(gmx_chan_free(requests), "free");
}

/* Returns GMX_OK and the square of n, or the status of the failure. */
static gmx_status square_of(int64_t n, int64_t timeout, int64_t *square) {
  struct request ask = {n, NULL};
  gmx_status s = gmx_chan_new_refs(sizeof *square, 1, 2, &ask.reply);
  if (s != GMX_OK) return s;
  s = gmx_chan_send_timeout(requests, &ask, timeout);
  if (s == GMX_OK)
    s = gmx_chan_recv_timeout(ask.reply, square, timeout);
  else
    must(gmx_chan_free(ask.reply), "free"); /* the server's: it did not travel */
  must(gmx_chan_free(ask.reply), "free");
  return s;
}

static void client(void *arg) {
  int64_t first = (int64_t)(intptr_t)arg, square;
  for (int64_t n = first; n < first + 50; n++) {
    gmx_status s = square_of(n, n % 2 ? 100000 : 10000000000, &square);
    if (s == GMX_OK && square != n * n) must(GMX_EINVAL, "a wrong answer");
    count(s == GMX_OK ? &answered : s == GMX_ETIMEDOUT ? &given_up : &refused);
  }
  must(gmx_chan_free(requests), "free");
}

static void run(void *arg) {
  gmx_waitgroup clients = {0};
  (void)arg;
  enum { CLIENTS = 8, SERVERS = 2 };
  /* One reference for each user, and one for this function. */
  must(gmx_chan_new_refs(sizeof(struct request), 4, CLIENTS + SERVERS + 1, &requests), "channel");
  for (int i = 0; i < SERVERS; i++) must(gmx_spawn(server, NULL), "spawn");
  for (int i = 0; i < CLIENTS; i++) must(gmx_waitgroup_go(&clients, client, (void *)(intptr_t)(i * 50)), "spawn");
  must(gmx_waitgroup_wait(&clients), "wait");
  must(gmx_chan_close(requests), "close");
  must(gmx_chan_free(requests), "free");
}

int main(void) {
  must(gmx_main(run, NULL), "main");
  must(gmx_shutdown(INT64_C(10000000000)), "shutdown"); /* the servers have ended too */
  printf("%" PRId64 " answered, %" PRId64 " given up, %" PRId64 " refused\n", answered, given_up, refused);
  return answered + given_up + refused == 400 && refused == 0 ? 0 : 1;
}
