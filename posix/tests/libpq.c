/*
 * libpq as it is, on goroutines:  libpq CONNINFO
 *
 * Sleeps, COPY in both directions, a cancel, notifications, and a server that ends a connection. ci/posix.sh runs it
 * with a server of its own.
 */
#include "shim.h"

#include <libpq-fe.h>

enum { SLEEPERS = 20, ROWS = 200000 };
static const char *conninfo;
static int done;

static PGconn *connects_to(void) {
  PGconn *conn = PQconnectdb(conninfo);
  if (PQstatus(conn) != CONNECTION_OK) FAIL("%s", PQerrorMessage(conn));
  return conn;
}
static PGresult *expects(PGconn *conn, PGresult *result, ExecStatusType status) {
  if (PQresultStatus(result) != status) FAIL("%s: %s", PQresStatus(PQresultStatus(result)), PQerrorMessage(conn));
  return result;
}
static void runs(PGconn *conn, const char *command) {
  PQclear(expects(conn, PQexec(conn, command), PGRES_COMMAND_OK));
}
static long number(PGconn *conn, const char *query) {
  PGresult *result = expects(conn, PQexec(conn, query), PGRES_TUPLES_OK);
  long n = atol(PQgetvalue(result, 0, 0));
  PQclear(result);
  return n;
}

/* ---- queries that take long wait at the same time: the server says so ---- */

static int asleep, waking;

static void sleeps(void *unused) {
  (void)unused;
  PGconn *conn = connects_to();
  /* Each waits for a lock that the observer holds: no time decides. */
  bump(&asleep);
  CHECK_EQ(number(conn, "SELECT 7 FROM (SELECT pg_advisory_lock_shared(1)) AS locked"), 7);
  bump(&waking);
  PQfinish(conn);
}
static void all_queries_wait_at_the_same_time(void) {
  PGconn *conn = connects_to();
  gmx_g gs[SLEEPERS];
  runs(conn, "SET application_name TO observer");
  CHECK_EQ(number(conn, "SELECT 1 FROM (SELECT pg_advisory_lock(1)) AS locked"), 1);
  int threads = count_threads();
  for (int i = 0; i < SLEEPERS; i++) gs[i] = go_joinable(sleeps, NULL);
  spin_until(number(conn, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'") == SLEEPERS);
  CHECK_EQ(load(&asleep), SLEEPERS);
  CHECK_EQ(load(&waking), 0);
  check_few_threads(threads);
  CHECK_EQ(number(conn, "SELECT 1 FROM (SELECT pg_advisory_unlock(1)) AS unlocked"), 1);
  join_all(gs, SLEEPERS);
  CHECK_EQ(load(&waking), SLEEPERS);
  PQfinish(conn);
}

/* ---- COPY ---- */

static void copies(void *unused) {
  PGconn *conn = connects_to();
  (void)unused;
  runs(conn, "CREATE TEMPORARY TABLE rows (n int8, text text)");
  PQclear(expects(conn, PQexec(conn, "COPY rows FROM STDIN"), PGRES_COPY_IN));
  for (int i = 0; i < ROWS; i++) {
    char line[128];
    int size = snprintf(line, sizeof line, "%d\t%060d\n", i, i);
    CHECK_EQ(PQputCopyData(conn, line, size), 1);
  }
  CHECK_EQ(PQputCopyEnd(conn, NULL), 1);
  PQclear(expects(conn, PQgetResult(conn), PGRES_COMMAND_OK));
  CHECK(PQgetResult(conn) == NULL);
  PQclear(expects(conn, PQexec(conn, "COPY (SELECT n FROM rows ORDER BY n) TO STDOUT"), PGRES_COPY_OUT));
  char *line;
  int rows = 0;
  while (PQgetCopyData(conn, &line, 0) > 0) {
    CHECK_EQ(atoi(line), rows);
    rows++;
    PQfreemem(line);
  }
  CHECK_EQ(rows, ROWS);
  PQclear(expects(conn, PQgetResult(conn), PGRES_COMMAND_OK));
  CHECK(PQgetResult(conn) == NULL);
  PQfinish(conn);
}
static void two_copies_run_beside_each_other(void) {
  gmx_g a = go_joinable(copies, NULL), b = go_joinable(copies, NULL);
  join(a);
  join(b);
}

/* ---- a query is canceled by another G, as is a wait by its token ---- */

static PGconn *slow;

static void is_stopped(void *unused) {
  (void)unused;
  PGresult *result = expects(slow, PQexec(slow, "SELECT pg_sleep(3600)"), PGRES_FATAL_ERROR);
  CHECK_STR(PQresultErrorField(result, PG_DIAG_SQLSTATE), "57014");
  PQclear(result);
  store(&done, 1);
}
static void a_query_is_canceled(void) {
  PGconn *conn = connects_to();
  char why[256];
  slow = connects_to();
  store(&done, 0);
  gmx_g g = go_joinable(is_stopped, NULL);
  spin_until(number(conn, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 1);
  CHECK_EQ(load(&done), 0);
  PGcancel *cancel = PQgetCancel(slow);
  /* It keeps the address of errno over calls that wait: errno_check.py. */
  CHECK_OK(gmx_posix_hold());
  int ok = PQcancel(cancel, why, sizeof why);
  CHECK_OK(gmx_posix_release());
  if (!ok) FAIL("PQcancel: %s", why);
  PQfreeCancel(cancel);
  join(g);
  CHECK_EQ(number(slow, "SELECT 5"), 5);
  PQfinish(slow);
  PQfinish(conn);
}

/* ---- notifications: the host's own poll, between calls of libpq ---- */

static void listens(void *ready) {
  PGconn *conn = connects_to();
  PGnotify *note = NULL;
  runs(conn, "LISTEN news");
  store((int *)ready, 1);
  while (!(note = PQnotifies(conn))) {
    struct pollfd f = {PQsocket(conn), POLLIN, 0};
    CHECK_EQ(poll(&f, 1, -1), 1);
    CHECK_EQ(PQconsumeInput(conn), 1);
  }
  CHECK_STR(note->extra, "it works");
  PQfreemem(note);
  PQfinish(conn);
}
static void notifications_come(void) {
  PGconn *conn = connects_to();
  int ready = 0;
  gmx_g g = go_joinable(listens, &ready);
  spin_until(load(&ready));
  runs(conn, "NOTIFY news, 'it works'");
  join(g);
  PQfinish(conn);
}

/* ---- the server ends a connection ---- */

static void is_ended(void *unused) {
  (void)unused;
  PQclear(expects(slow, PQexec(slow, "SELECT pg_sleep(3600)"), PGRES_FATAL_ERROR));
  CHECK_EQ(PQstatus(slow), CONNECTION_BAD);
}
static void an_ended_connection_is_told(void) {
  PGconn *conn = connects_to();
  char query[128];
  slow = connects_to();
  gmx_g g = go_joinable(is_ended, NULL);
  spin_until(number(conn, "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'") == 1);
  snprintf(query, sizeof query, "SELECT pg_terminate_backend(%d)::int", PQbackendPID(slow));
  number(conn, query);
  join(g);
  PQfinish(slow);
  PQfinish(conn);
}

static void all(int groups) {
  CHECK_OK(gmx_posix_enable((uint32_t)groups));
  RUN_G(all_queries_wait_at_the_same_time);
  asleep = waking = 0;
  RUN_G(two_copies_run_beside_each_other);
  RUN_G(a_query_is_canceled);
  RUN_G(notifications_come);
  RUN_G(an_ended_connection_is_told);
}

int main(int argc, char **argv) {
  if (argc != 2) SKIP("usage: libpq CONNINFO");
  conninfo = argv[1];
  begin_parked();
  all(GMX_POSIX_POLL | GMX_POSIX_NAMES);
  all(GMX_POSIX_ALL);
  end_all();
  begin_shared(4);
  all(GMX_POSIX_POLL | GMX_POSIX_NAMES);
  all(GMX_POSIX_ALL | GMX_POSIX_LOCKS);
  end_all();
  return 0;
}
