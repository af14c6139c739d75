/* Examples of the manual: being told of a cancellation. */
#include <gomax.h>

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* example: gmx_cancel_chan */
// Takes jobs until there are no more, or either of two tokens is canceled.
static gmx_status work(gmx_chan *jobs, gmx_cancel mine, gmx_cancel server, int *done) {
  gmx_chan *tired, *closing = NULL; // closed when the token is canceled
  gmx_status status = gmx_cancel_chan(mine, &tired);
  if (status != GMX_OK) return status;
  status = gmx_cancel_chan(server, &closing);
  while (status == GMX_OK) {
    gmx_select_case cases[] = {
        GMX_RECV(jobs, NULL), GMX_RECV(tired, NULL), GMX_RECV(closing, NULL)};
    status = gmx_select(cases, 3, GMX_FOREVER, NULL);
    if (status == GMX_OK) ++*done; // GMX_ECLOSED: one of the three is closed
  }
  gmx_chan_free(tired); // also when the token is gone
  gmx_chan_free(closing);
  return status == GMX_ECLOSED ? GMX_OK : status;
}
/* end */

/* example: gmx_cancel_after gmx_cancel_hook_stop */
struct hang_up {
  int fd;
  gmx_waitgroup done;
};

static void hang_up(void *arg) { // when the token is canceled, on a goroutine of its own
  struct hang_up *h = arg;
  shutdown(h->fd, SHUT_RDWR); // ends the recv of another goroutine
  gmx_waitgroup_done(&h->done);
}

static gmx_status recv_cancellable(int fd, void *to, size_t n) {
  struct hang_up h = {.fd = fd};
  gmx_cancel_hook hook;
  bool stopped;
  gmx_waitgroup_add(&h.done, 1);
  gmx_status status = gmx_cancel_after(0, hang_up, &h, &hook); // 0: the current token
  if (status != GMX_OK) return status; // GMX_ESTALE: there is none
  gmx_enter_syscall_blocking(); // a wait outside of the library, which no token ends
  ssize_t got = recv(fd, to, n, MSG_WAITALL);
  if (got < 0) got = -errno; // before the goroutine may be on another thread
  gmx_exit_syscall();
  gmx_cancel_hook_stop(hook, &stopped);
  if (!stopped) gmx_waitgroup_wait(&h.done); // it runs, or will: h must last
  return stopped ? (gmx_status)got : GMX_ECANCELED;
}
/* end */

static int ends[2];
static uint32_t received;
static void receives(void *arg) {
  char text[5];
  gmx_cancel token = *(gmx_cancel *)arg;
  gmx_cancel_use(token, NULL);
  assert(recv_cancellable(ends[0], text, 5) == 5);
  gmx_sema_release(&received);
  gmx_status status = recv_cancellable(ends[0], text, 5);
  assert(status == GMX_ECANCELED);
}

static void all(void *arg) {
  (void)arg;
  gmx_waitgroup group = GMX_WAITGROUP_INIT;
  gmx_cancel mine, server;
  gmx_chan *jobs;
  int done = 0;
  assert(gmx_cancel_new(0, GMX_FOREVER, &mine) == GMX_OK && gmx_cancel_new(0, GMX_FOREVER, &server) == GMX_OK);
  assert(gmx_chan_new(0, 3, &jobs) == GMX_OK);
  for (int i = 0; i < 3; i++) assert(gmx_chan_send(jobs, NULL) == GMX_OK);
  gmx_chan_close(jobs);
  assert(work(jobs, mine, server, &done) == GMX_OK && done == 3);
  gmx_chan_free(jobs);

  assert(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0 && write(ends[1], "hello", 5) == 5);
  assert(gmx_waitgroup_go(&group, receives, &mine) == GMX_OK);
  gmx_cancel_free(server);
  assert(gmx_sema_acquire(&received) == GMX_OK);
  gmx_cancel_now(mine);
  gmx_waitgroup_wait(&group);
  assert(gmx_chan_new(0, 0, &jobs) == GMX_OK && work(jobs, mine, mine, &done) == GMX_OK && done == 3);
  gmx_chan_free(jobs);
  gmx_cancel_free(mine);
  close(ends[0]);
  close(ends[1]);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
