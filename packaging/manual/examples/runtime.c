/* Examples of the manual: runtime. */
#include <gomax.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* example: gmx_config_default gmx_init */
static void report(void *log, const char *text, size_t len) {
  fwrite(text, 1, len, log); // text is not terminated
}

static gmx_status start_with(int32_t procs, FILE *log) {
  gmx_config config;
  gmx_status status = gmx_config_default(&config);
  if (status != GMX_OK) return status;
  config.maxprocs = procs;
  config.report = report; // instead of stderr
  config.report_arg = log;
  status = gmx_init(&config);
  return status == GMX_EBUSY ? GMX_OK : status; // it is up, with other options
}
/* end */

static uint32_t never;

/* example: gmx_main */
static void serve(void *arg) {
  if (gmx_sema_acquire(&never) == GMX_OK) *(int *)arg = 1;
}

static int serve_until_it_ends(void) {
  static int served; // after GMX_EDEADLK serve is still there, and its argument too
  gmx_status status = gmx_main(serve, &served);
  if (status == GMX_EDEADLK) return 2; // serve still waits; the report says where
  return status == GMX_OK && served ? 0 : 1;
}
/* end */

static void release(void *arg) {
  (void)arg;
  gmx_sema_release(&never);
}

/* example: gmx_shutdown */
static gmx_cancel service; // the token under which all goroutines of the service wait

static gmx_status unload(void) {
  gmx_cancel_now(service); // gmx_shutdown waits for goroutines, and ends none
  gmx_status status = gmx_shutdown(5000000000);
  if (status == GMX_ETIMEDOUT) gmx_write_heap_dump(2); // which ones are still there?
  return status;
}
/* end */

static void waits_for_long(void *arg) {
  gmx_cancel_use(service, NULL);
  *(gmx_status *)arg = gmx_sleep(GMX_FOREVER);
}

/* example: gmx_version */
// Before 1.0 a minor version may break the interface.
static bool library_fits_header(void) {
  return gmx_version() >> 8 == GMX_VERSION >> 8 && gmx_version() >= GMX_VERSION;
}
/* end */

int main(void) {
  char *text;
  size_t size;
  FILE *log = open_memstream(&text, &size);
  assert(library_fits_header());
  assert(start_with(2, log) == GMX_OK && start_with(3, log) == GMX_OK && gmx_gomaxprocs(0) == 2);
  assert(serve_until_it_ends() == 2);
  fflush(log);
  assert(strstr(text, "deadlock"));
  gmx_status woken = GMX_OK;
  assert(gmx_cancel_new(0, GMX_FOREVER, &service) == GMX_OK);
  assert(gmx_spawn(waits_for_long, &woken) == GMX_OK);
  release(NULL);
  assert(unload() == GMX_OK && woken == GMX_ECANCELED);
  fclose(log);
  free(text);
}
