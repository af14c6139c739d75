/*
 * pool: many goroutines ask a PostgreSQL server through a few connections, by libpq as it is.
 *
 *     pool CONNINFO [connections [goroutines [queries]]]
 *
 * libpq knows nothing of goroutines. It waits for the server in poll(2), which libgomax_posix makes a park: so 20
 * queries that take long wait at the same time on a thread or two, and the code that asks reads as blocking code does.
 *
 * How it works:
 *   - A connection is used by one goroutine at a time, as libpq demands. The pool is a channel of connections: to take
 *     one is to receive, and to give it back is to send.
 *   - Each connection is opened by a goroutine of its own, all at the same time.
 *   - Each goroutine takes a connection for a transaction, and gives it back.
 *   - GMX_POSIX_POLL and GMX_POSIX_NAMES are on, and no other group. libpq sets its sockets to O_NONBLOCK, so poll is
 *     the only call in which it waits. None of its functions keeps the address of errno over a call of these two
 *     groups, as posix/errno_check.py tells. PQcancel is another matter: it connects and receives as blocking calls do.
 */
#include <gomax_posix.h>

#include <libpq-fe.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONNECTIONS = 20, GOROUTINES = 2000, QUERIES = 5 };

static const char *conninfo;
static gmx_chan *pool;
static gmx_waitgroup done;
static int queries = QUERIES;
static int64_t sum;
static int failures;

static void fails(const char *what, PGconn *conn) {
  fprintf(stderr, "%s: %s", what, PQerrorMessage(conn));
  __atomic_fetch_add(&failures, 1, __ATOMIC_RELAXED);
}

/* Opens a connection and puts it into the pool. */
static void opens(void *unused) {
  (void)unused;
  PGconn *conn = PQconnectdb(conninfo);
  if (PQstatus(conn) != CONNECTION_OK) fails("connect", conn);
  if (gmx_chan_send(pool, &conn) != GMX_OK) abort();
  if (gmx_waitgroup_done(&done) != GMX_OK) abort();
}

/* The number that a query answers; 0 if it fails. */
static int64_t asks(PGconn *conn, const char *query, const char *argument) {
  int64_t number = 0;
  PGresult *result = PQexecParams(conn, query, 1, NULL, &argument, NULL, NULL, 0);
  if (PQresultStatus(result) == PGRES_TUPLES_OK) number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
  else fails(query, conn);
  PQclear(result);
  return number;
}

/* A client: a connection for a transaction of a few queries. */
static void works(void *index) {
  char n[24];
  PGconn *conn;
  snprintf(n, sizeof n, "%d", (int)(intptr_t)index);
  if (gmx_chan_recv(pool, &conn) != GMX_OK) abort();
  PQclear(PQexec(conn, "BEGIN"));
  int64_t own = 0;
  for (int i = 0; i < queries; i++) own += asks(conn, "SELECT $1::int8 * 2", n);
  PQclear(PQexec(conn, "COMMIT"));
  if (gmx_chan_send(pool, &conn) != GMX_OK) abort();
  __atomic_fetch_add(&sum, own, __ATOMIC_RELAXED);
  if (gmx_waitgroup_done(&done) != GMX_OK) abort();
}

static int from(int argc, char **argv, int i, int otherwise) {
  int n = argc > i ? atoi(argv[i]) : otherwise;
  return n > 0 ? n : otherwise;
}

struct sizes {
  int connections, goroutines;
};

static void work(void *arg) {
  struct sizes *n = arg;
  if (gmx_waitgroup_add(&done, n->connections) != GMX_OK) abort();
  for (int i = 0; i < n->connections; i++) {
    if (gmx_spawn(opens, NULL) != GMX_OK) abort();
  }
  if (gmx_waitgroup_wait(&done) != GMX_OK || failures) return;

  int64_t begin = gmx_now();
  if (gmx_waitgroup_add(&done, n->goroutines) != GMX_OK) abort();
  for (int i = 0; i < n->goroutines; i++) {
    if (gmx_spawn(works, (void *)(intptr_t)i) != GMX_OK) abort();
  }
  if (gmx_waitgroup_wait(&done) != GMX_OK) return;
  double seconds = (double)(gmx_now() - begin) / 1e9;
  printf("%d goroutines, %d connections: %.0f transactions in a second\n", n->goroutines, n->connections,
         n->goroutines / seconds);

  int64_t expected = (int64_t)n->goroutines * (n->goroutines - 1) * queries;
  if (sum != expected) {
    fprintf(stderr, "the sum is %lld, not %lld\n", (long long)sum, (long long)expected);
    failures++;
  }
  PGconn *conn;
  for (int i = 0; i < n->connections && gmx_chan_recv(pool, &conn) == GMX_OK; i++) PQfinish(conn);
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: %s CONNINFO [connections [goroutines [queries]]]\n", argv[0]);
    return 2;
  }
  struct sizes n = {from(argc, argv, 2, CONNECTIONS), from(argc, argv, 3, GOROUTINES)};
  queries = from(argc, argv, 4, QUERIES);
  conninfo = argv[1];
  gmx_status status = gmx_posix_enable(GMX_POSIX_POLL | GMX_POSIX_NAMES);
  if (status == GMX_OK) status = gmx_chan_new(sizeof(PGconn *), (size_t)n.connections, &pool);
  if (status == GMX_OK) status = gmx_main(work, &n);
  if (status != GMX_OK) fprintf(stderr, "%s\n", gmx_strerror(status));
  return status == GMX_OK && failures == 0 ? 0 : 1;
}
