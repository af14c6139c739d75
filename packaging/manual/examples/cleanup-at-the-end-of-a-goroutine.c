/* Examples of the manual: cleanup at the end of a goroutine. */
#include <gomax.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int closed;
static void close_file(void *file) { closed += fclose(file) == 0; }

/* example: gmx_cleanup_push gmx_cleanup_pop */
// Counts lines; a line that is too long ends the goroutine, wherever it is.
static int count_lines(const char *path) {
  char line[80];
  int n = 0;
  FILE *file = fopen(path, "r");
  if (!file) return -1;
  gmx_cleanup cleanup; // in this frame: popped before the return
  gmx_cleanup_push(&cleanup, close_file, file);
  while (fgets(line, sizeof line, file)) {
    if (!strchr(line, '\n')) gmx_goexit(); // calls close_file
    n++;
  }
  gmx_cleanup_pop(&cleanup, true); // calls close_file too
  return n;
}
/* end */

struct count {
  const char *path;
  int n;
};

static void counts(void *arg) {
  struct count *count = arg;
  count->n = count_lines(count->path);
}

static void all(void *arg) {
  (void)arg;
  const char *paths[] = {"lines-short.tmp", "lines-long.tmp"};
  FILE *lines = fopen(paths[0], "w");
  fputs("one\ntwo\n", lines);
  fclose(lines);
  lines = fopen(paths[1], "w");
  for (int i = 0; i < 100; i++) fputs("long", lines);
  fclose(lines);
  struct count count[] = {{paths[0], 0}, {paths[1], 0}};
  gmx_waitgroup both = GMX_WAITGROUP_INIT;
  for (int i = 0; i < 2; i++) assert(gmx_waitgroup_go(&both, counts, &count[i]) == GMX_OK);
  gmx_waitgroup_wait(&both);
  assert(count[0].n == 2 && count[1].n == 0); // the second one did not come back
  assert(closed == 2);
  for (int i = 0; i < 2; i++) remove(paths[i]);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
