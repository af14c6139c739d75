/* Examples of the manual: status codes. */
#include <gomax.h>

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* example: gmx_strerror gmx_err_name */
// The text is for people, the name for logs and searches.
static void complain(FILE *log, const char *what, gmx_status status) {
  if (status >= 0) return; // also a count, such as bytes read, is no error
  fprintf(log, "%s: %s (%s)\n", what, gmx_strerror(status), gmx_err_name(status));
}
/* end */

int main(void) {
  char *text;
  size_t size;
  FILE *log = open_memstream(&text, &size);
  complain(log, "settings", -ENOENT);
  complain(log, "answers", GMX_ECLOSED);
  complain(log, "bytes", 100);
  fclose(log);
  assert(strcmp(text, "settings: no such file or directory (ENOENT)\n"
                      "answers: the channel is closed (GMX_ECLOSED)\n") == 0);
  free(text);
}
