/* Examples of the manual: the host's loop. */
#include <gomax.h>

#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char shown[64];

/* example: gmx_post */
static void show(void *text) { // on the thread of the loop, the only one that may draw
  snprintf(shown, sizeof shown, "%s", (char *)text);
  free(text);
}

static gmx_status show_soon(const char *text) { // from any goroutine or thread
  char *copy = strdup(text);
  if (!copy) return GMX_ENOMEM;
  gmx_status status = gmx_post(show, copy); // does not wait for show
  if (status != GMX_OK) free(copy);
  return status;
}
/* end */

/* example: gmx_host_fd gmx_host_run */
#include <poll.h>

// The loop of a program: its own descriptor, and what goroutines have posted.
static gmx_status loop(int own, void (*on_own)(int), const bool *over) {
  int posts = gmx_host_fd(); // the library's: only to be watched
  if (posts < 0) return posts;
  while (!*over) {
    struct pollfd fds[] = {{own, POLLIN, 0}, {posts, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0) continue; // EINTR
    if (fds[0].revents) on_own(own);
    if (fds[1].revents) {
      gmx_status ran = gmx_host_run(64); // the rest makes it readable again
      if (ran < 0) return ran;
    }
  }
  return GMX_OK;
}
/* end */

static bool over;
static void ends(void *arg) { over = arg == NULL; }
static void on_own(int fd) { assert(fd < 0); }

static void works(void *arg) {
  (void)arg;
  assert(show_soon("50 %") == GMX_OK && gmx_post(ends, NULL) == GMX_OK);
}

int main(void) {
  assert(gmx_spawn(works, NULL) == GMX_OK);
  assert(loop(-1, on_own, &over) == GMX_OK && strcmp(shown, "50 %") == 0);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
