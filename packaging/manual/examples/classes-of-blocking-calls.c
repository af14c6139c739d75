/* Examples of the manual: classes of blocking calls. */
#include <gomax.h>

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>

static atomic_int running, most;
static uint32_t finish;

static int db_query(const char *sql) {
  int n = atomic_fetch_add(&running, 1) + 1;
  if (n > atomic_load(&most)) atomic_store(&most, n);
  while (!__atomic_load_n(&finish, __ATOMIC_ACQUIRE)) {
  }
  atomic_fetch_sub(&running, 1);
  return sql[0];
}

/* example: gmx_class_new gmx_blocking_in gmx_class_free */
static gmx_class database; // its library blocks, and the server allows two at a time

static gmx_status database_open(void) { return gmx_class_new(2, "database", &database); }

static gmx_status database_close(void) { return gmx_class_free(database); }

struct query {
  const char *sql;
  int result;
};

static void ask(void *arg) {
  struct query *query = arg;
  query->result = db_query(query->sql);
}

static gmx_status run_query(struct query *query) {
  // a caller beyond the two parks, and takes no thread
  gmx_status status = gmx_blocking_in(database, ask, query, 5000000000);
  if (status == GMX_ETIMEDOUT) fprintf(stderr, "the database is overloaded\n");
  return status;
}
/* end */

static void queries(void *query) {
  if (run_query(query) != GMX_OK) ((struct query *)query)->result = -1;
}

static void all(void *arg) {
  (void)arg;
  struct query query[6];
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  assert(database_open() == GMX_OK);
  for (int i = 0; i < 6; i++) {
    query[i] = (struct query){"select", 0};
    assert(gmx_waitgroup_go(&group, queries, &query[i]) == GMX_OK);
  }
  while (atomic_load(&running) < 2) gmx_yield();
  assert(database_close() == GMX_EBUSY);
  __atomic_store_n(&finish, 1, __ATOMIC_RELEASE);
  gmx_waitgroup_wait(&group);
  for (int i = 0; i < 6; i++) assert(query[i].result == 's');
  assert(atomic_load(&most) == 2 && database_close() == GMX_OK);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
