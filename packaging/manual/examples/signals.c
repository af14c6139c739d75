/* Examples of the manual: signals. */
#include <gomax.h>

#include <assert.h>
#include <signal.h>
#include <unistd.h>

static int reloads;
static void reload(void) {
  reloads++;
  kill(getpid(), SIGTERM);
}

/* example: gmx_signal_notify gmx_signal_stop */
#include <signal.h>

// Serves until SIGTERM or SIGINT; SIGHUP reads the settings again.
static gmx_status until_stopped(void) {
  const int32_t signals[] = {SIGTERM, SIGINT, SIGHUP};
  gmx_chan *came; // room for one of each: the library does not wait for a receiver
  gmx_siginfo info = {0};
  gmx_status status = gmx_chan_new(sizeof info, 3, &came);
  if (status != GMX_OK) return status;
  status = gmx_signal_notify(came, signals, 3); // they end the process no more
  while (status == GMX_OK && info.signo != SIGTERM && info.signo != SIGINT) {
    status = gmx_chan_recv(came, &info);
    if (status == GMX_OK && info.signo == SIGHUP) reload();
  }
  gmx_signal_stop(came); // a second SIGTERM ends the process, if the end takes long
  gmx_chan_free(came);
  return status;
}
/* end */

static gmx_status served = GMX_EINVAL;
static void serves(void *arg) {
  (void)arg;
  served = until_stopped();
}

int main(void) {
  gmx_sched_stats stats = {.g_waiting = 0};
  struct sigaction before;
  sigaction(SIGHUP, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
  assert(gmx_spawn(serves, NULL) == GMX_OK);
  while (stats.g_waiting == 0) assert(gmx_read_sched_stats(&stats) == GMX_OK); // for a signal
  kill(getpid(), SIGHUP);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
  assert(served == GMX_OK && reloads == 1);
  sigaction(SIGHUP, NULL, &before);
  assert(before.sa_handler == SIG_IGN);
}
