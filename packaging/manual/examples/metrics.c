/* Examples of the manual: metrics. */
#include <gomax.h>

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* example: gmx_metrics_text */
// The body of an answer to a scraper.
static gmx_status put(void *to, const char *text, size_t n) {
  return fwrite(text, 1, n, to) == n ? GMX_OK : GMX_EPIPE;
}

static gmx_status answer(FILE *to) {
  fputs("Content-Type: application/openmetrics-text; version=1.0.0\r\n\r\n", to);
  return gmx_metrics_text(put, to);
}
/* end */

/* example: gmx_metrics_read */
// Whether goroutines queue up while no P is free.
static bool overloaded(void) {
  gmx_metric m[2] = {{.name = "gomax_procs"}};
  m[1].name = "gomax_goroutines{state=\"runnable\"}";
  if (gmx_metrics_read(m, 2) != GMX_OK) return false;
  return m[1].value > 10 * m[0].value;
}
/* end */

/* example: gmx_metric_bounds */
// The time that so many percent of the durations do not exceed, in ns; known to a quarter.
static uint64_t percentile(const char *histogram, uint64_t percent) {
  uint64_t buckets[GMX_METRIC_BUCKETS], n = 0;
  gmx_metric m = {.name = histogram, .buckets = buckets};
  if (gmx_metrics_read(&m, 1) != GMX_OK || m.kind != GMX_METRIC_HISTOGRAM) return 0;
  size_t i = 0;
  for (; i < GMX_METRIC_BUCKETS - 1; i++)
    if ((n += buckets[i]) * 100 >= m.value * percent) break;
  return gmx_metric_bounds()[i];
}
/* end */

/* example: gmx_metric_info */
// All that is not 0, as a program prints it at its end.
static void print_all(FILE *to) {
  const gmx_metric_desc *d;
  for (size_t i = 0; (d = gmx_metric_info(i)) != NULL; i++) {
    gmx_metric m = {.name = d->name};
    if (gmx_metrics_read(&m, 1) == GMX_OK && m.value != 0)
      fprintf(to, "%s %" PRIu64 " # %s\n", d->name, m.value, d->help);
  }
}
/* end */

static void all(void *arg) {
  (void)arg;
  char *text;
  size_t size;
  assert(gmx_sleep(1000000) == GMX_OK);
  assert(!overloaded());
  assert(percentile("gomax_timer_lateness_seconds", 50) >= 128 && percentile("gomax_procs", 50) == 0);
  FILE *to = open_memstream(&text, &size);
  assert(to && answer(to) == GMX_OK);
  print_all(to);
  assert(fclose(to) == 0);
  assert(strstr(text, "\ngomax_goroutines{state=\"running\"} 1\n") && strstr(text, "# EOF\ngomax_uptime_seconds "));
  free(text);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
