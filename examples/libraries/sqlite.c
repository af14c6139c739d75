/*
 * SQLite on goroutines, in the two ways that are right:  sqlite [cost]
 *
 * SQLite locks recursive mutexes, and calls the system and the functions of the program while it holds them. A pthread
 * mutex belongs to a thread; so no goroutine may wait there.
 *
 * 1. Brackets. Each call of SQLite stands between gmx_enter_syscall and gmx_exit_syscall. SQLite waits as on a thread,
 *    also for a lock of its file, and others have the P. Its callbacks must not wait as goroutines: libgomax refuses it
 *    (GMX_EINSYSCALL).
 * 2. Mutexes of goroutines. SQLite is given gmx_rmutex for its mutexes and gmx_sleep for its sleep. Its calls need no
 *    bracket, and must not have one: gmx_rmutex_lock is not allowed there. Busy handlers and functions may wait.
 *
 * A process has one kind of mutex: sqlite3_config comes before sqlite3_initialize, or after sqlite3_shutdown.
 *
 *   cc sqlite.c -lgomax -lsqlite3 && ./a.out
 */
#include "each.h"

#include <limits.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <unistd.h>

enum { WRITERS = 12, ADDS = 5, STACK = 128 << 10 };
static char directory[] = "/tmp/sqlite-XXXXXX", file[sizeof directory + 8];

/* ---- a bracket for each call ---- */

#define BRACKET(call)                       \
  __extension__({                           \
    MUST(gmx_enter_syscall() == GMX_OK);    \
    int r_ = (call);                        \
    MUST(gmx_exit_syscall() == GMX_OK);     \
    r_; /* perhaps on another thread now */ \
  })

static void in_bracket(sqlite3 *db, const char *sql) {
  MUST(BRACKET(sqlite3_exec(db, sql, NULL, NULL, NULL)) == SQLITE_OK);
}

static void adds_in_brackets(int i) {
  (void)i;
  sqlite3 *db;
  MUST(BRACKET(sqlite3_open(file, &db)) == SQLITE_OK);
  sqlite3_busy_timeout(db, INT_MAX); /* SQLite sleeps on the thread */
  in_bracket(db, "PRAGMA synchronous = OFF");
  for (int n = 0; n < ADDS; n++) { /* between the calls SQLite holds no mutex: each may be on another thread */
    in_bracket(db, "BEGIN IMMEDIATE; UPDATE total SET n = n + 1");
    gmx_yield(); /* in the transaction: others find the file locked */
    in_bracket(db, "COMMIT");
  }
  MUST(BRACKET(sqlite3_close(db)) == SQLITE_OK);
}

/* ---- mutexes and sleeps of goroutines ---- */

struct sqlite3_mutex {
  gmx_rmutex m;
};
static sqlite3_mutex of_library[32]; /* the mutexes that SQLite makes once, by their numbers */

static int nothing(void) { return SQLITE_OK; }
static sqlite3_mutex *makes(int kind) {
  if (kind == SQLITE_MUTEX_FAST || kind == SQLITE_MUTEX_RECURSIVE) return calloc(1, sizeof(sqlite3_mutex));
  return kind < 32 ? &of_library[kind] : NULL;
}
static void frees(sqlite3_mutex *m) { free(m); }
static void enters(sqlite3_mutex *m) { MUST(gmx_rmutex_lock(&m->m, GMX_FOREVER) == GMX_OK); }
static int tries(sqlite3_mutex *m) { return gmx_rmutex_try_lock(&m->m) == GMX_OK ? SQLITE_OK : SQLITE_BUSY; }
static void leaves(sqlite3_mutex *m) { MUST(gmx_rmutex_unlock(&m->m) == GMX_OK); }

static const sqlite3_mutex_methods of_goroutines = {
    nothing, nothing, makes, frees, enters, tries, leaves, NULL, NULL, /* the last two: only with SQLITE_DEBUG */
};

static int sleeps(sqlite3_vfs *vfs, int us) {
  (void)vfs;
  gmx_sleep((int64_t)us * 1000);
  return us;
}

static void use_goroutines(void) { /* no connection may be open */
  static sqlite3_vfs vfs;
  MUST(sqlite3_shutdown() == SQLITE_OK && sqlite3_config(SQLITE_CONFIG_MUTEX, &of_goroutines) == SQLITE_OK);
  MUST(sqlite3_initialize() == SQLITE_OK);
  vfs = *sqlite3_vfs_find(NULL);
  vfs.zName = "goroutines", vfs.pNext = NULL, vfs.xSleep = sleeps;
  MUST(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
}

static int sleeps_on_the_goroutine(void *arg, int before) {
  (void)arg, (void)before;
  return gmx_sleep(1000000) == GMX_OK; /* 0, which ends the call with SQLITE_BUSY, if the token is canceled */
}

/* With it a stop of the world does not wait for the end of a statement. It may park: for the second way only. */
static int polls(void *unused) {
  (void)unused;
  gmx_safepoint();
  return 0; /* SQLite continues */
}

static void run_sql(sqlite3 *db, const char *sql) { MUST(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK); }

static void adds(int i) {
  sqlite3 *db;
  MUST(sqlite3_open(file, &db) == SQLITE_OK);
  if (i % 2) sqlite3_busy_handler(db, sleeps_on_the_goroutine, NULL);
  else sqlite3_busy_timeout(db, INT_MAX); /* SQLite's own handler, which calls xSleep */
  sqlite3_progress_handler(db, 1000, polls, NULL);
  run_sql(db, "PRAGMA synchronous = OFF");
  for (int n = 0; n < ADDS; n++) {
    run_sql(db, "BEGIN IMMEDIATE; UPDATE total SET n = n + 1");
    gmx_yield();
    run_sql(db, "COMMIT");
  }
  MUST(sqlite3_close(db) == SQLITE_OK);
}

/* One connection for all. A function of the program waits, in the middle of sqlite3_step and so in its mutex. */
static sqlite3 *shared;
static atomic_int inside;

static void alone(sqlite3_context *context, int n, sqlite3_value **values) {
  (void)n, (void)values;
  MUST(atomic_fetch_add(&inside, 1) == 0);
  gmx_sleep(1000);
  MUST(atomic_fetch_sub(&inside, 1) == 1);
  sqlite3_result_int(context, 1);
}

static void asks_alone(int i) {
  (void)i;
  for (int n = 0; n < ADDS; n++) run_sql(shared, "SELECT alone()");
}

/* ---- what it costs ---- */

static void fills(int brackets) {
  sqlite3 *db;
  MUST(sqlite3_open(":memory:", &db) == SQLITE_OK);
  run_sql(db, "CREATE TABLE t (a INTEGER PRIMARY KEY, b)");
  for (int n = 0; n < 4000; n++) {
    if (brackets) in_bracket(db, "INSERT INTO t (b) VALUES ('a line of text')");
    else run_sql(db, "INSERT INTO t (b) VALUES ('a line of text')");
  }
  MUST(sqlite3_close(db) == SQLITE_OK);
}
static void fills_plain(int i) { (void)i, fills(0); }
static void fills_in_brackets(int i) { (void)i, fills(1); }

/* ---- */

static int count(void) {
  sqlite3 *db;
  sqlite3_stmt *s;
  MUST(sqlite3_open(file, &db) == SQLITE_OK);
  MUST(sqlite3_prepare_v2(db, "SELECT n FROM total", -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW);
  int n = sqlite3_column_int(s, 0);
  MUST(sqlite3_finalize(s) == SQLITE_OK && sqlite3_close(db) == SQLITE_OK);
  return n;
}

static void run(void *arg) {
  if (arg) {
    costs("goroutines, as it is", 8, STACK, fills_plain);
    costs("goroutines, a bracket for each call", 8, STACK, fills_in_brackets);
    use_goroutines();
    costs("goroutines, gmx_rmutex", 8, STACK, fills_plain);
    stack_used("a table of 4000 rows", STACK, fills_plain);
    return;
  }
  sqlite3 *db;
  MUST(sqlite3_open(file, &db) == SQLITE_OK); /* nothing to wait for yet */
  run_sql(db, "CREATE TABLE total (n); INSERT INTO total VALUES (0)");
  MUST(sqlite3_close(db) == SQLITE_OK);
  each(WRITERS, STACK, adds_in_brackets);

  use_goroutines();
  MUST(sqlite3_open(":memory:", &shared) == SQLITE_OK);
  MUST(sqlite3_create_function(shared, "alone", 0, SQLITE_UTF8, NULL, alone, NULL, NULL) == SQLITE_OK);
  each(WRITERS, STACK, asks_alone);
  MUST(sqlite3_close(shared) == SQLITE_OK);

  MUST(count() == WRITERS * ADDS);
  each(WRITERS, STACK, adds);
  MUST(count() == 2 * WRITERS * ADDS && sqlite3_shutdown() == SQLITE_OK);
}

int main(int argc, char **argv) {
  bool cost = argc > 1 && strcmp(argv[1], "cost") == 0;
  MUST(sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) == SQLITE_OK); /* saves a lock for each malloc */
  if (cost) costs("a thread", 8, 0, fills_plain);
  MUST(mkdtemp(directory));
  snprintf(file, sizeof file, "%s/db", directory);
  MUST(gmx_main(run, cost ? &cost : NULL) == GMX_OK);
  unlink(file);
  rmdir(directory);
  if (!cost) printf("%d transactions, and one goroutine at a time in a connection\n", 2 * WRITERS * ADDS);
  return 0;
}
