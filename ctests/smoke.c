/* The least that must work: the library loads, knows its version and its errors, and a goroutine runs. */
#include "check.h"

static void version_is_the_headers(void) { CHECK_EQ(gmx_version(), GMX_VERSION); }

static void errors_have_names(void) {
  CHECK_STR(gmx_err_name(GMX_OK), "GMX_OK");
  CHECK_STR(gmx_err_name(GMX_EINVAL), "GMX_EINVAL");
  CHECK_STR(gmx_err_name(-123456), "GMX_EUNKNOWN");
  CHECK(strlen(gmx_strerror(GMX_EINVAL)) > 0);
}

static uint32_t done;
static uint64_t seen_goid;

static void hello(void *arg) {
  seen_goid = gmx_goid();
  CHECK(arg == &done);
  CHECK_OK(gmx_sema_release(&done));
}

static void a_g_runs(void) {
  CHECK_EQ(gmx_goid(), 0);
  CHECK_OK(gmx_spawn(hello, &done));
  CHECK_OK(gmx_sema_acquire(&done));
  CHECK(seen_goid != 0);
  CHECK_STATUS(gmx_spawn(NULL, NULL), GMX_EINVAL);
}

static void safepoint_costs_nothing(void) {
  for (int i = 0; i < 1000; i++) gmx_safepoint();
}

static void runtime_ends(void) {
  CHECK_OK(gmx_shutdown(INT64_C(10000000000)));
  CHECK_OK(gmx_shutdown(0)); /* not running any more */
}

int main(void) {
  RUN(version_is_the_headers);
  RUN(errors_have_names);
  RUN(a_g_runs);
  RUN(safepoint_costs_nothing);
  RUN(runtime_ends);
  return 0;
}
