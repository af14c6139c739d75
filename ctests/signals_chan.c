/* timeout: 120 */
/* Signals as values in channels: what arrives, what the host's own handlers see, what is restored, and what becomes of
 * it when the runtime ends or the process forks. */
#include "child.h"
#include "fds.h"

#include <sys/wait.h>

static gmx_chan *chan_with(size_t capacity) {
  gmx_chan *c;
  CHECK_OK(gmx_chan_new(sizeof(gmx_siginfo), capacity, &c));
  return c;
}
static void notify(gmx_chan *c, int32_t sig) { CHECK_OK(gmx_signal_notify(c, &sig, 1)); }
static void stop(gmx_chan *c) { CHECK_OK(gmx_signal_stop(c)); }
static void end_chan(gmx_chan *c) {
  stop(c);
  CHECK_OK(gmx_chan_free(c));
}

/* The signal is handled here, before the return. */
static void raise_here(int sig) { thread_raise(sig); }

static gmx_siginfo next_of(gmx_chan *c) {
  gmx_siginfo info = {0};
  CHECK_OK(gmx_chan_recv(c, &info));
  CHECK_CMP(info.count, >=, 1);
  return info;
}
static bool is_empty(gmx_chan *c) { return gmx_chan_len(c) == 0; }
static struct sigaction disposition(int sig) {
  struct sigaction now;
  CHECK(sigaction(sig, NULL, &now) == 0);
  return now;
}

/* ---- what arrives ---- */

static void three_kinds(void) {
  static const int32_t sigs[] = {SIGUSR1, SIGUSR2, SIGWINCH};
  gmx_chan *c = chan_with(8);
  CHECK_OK(gmx_signal_notify(c, sigs, 3));
  for (int i = 0; i < 3; i++) {
    CHECK(kill(getpid(), sigs[i]) == 0);
    gmx_siginfo info = next_of(c);
    CHECK_EQ(info.signo, sigs[i]);
    CHECK_EQ(info.code, SI_USER);
    CHECK_EQ(info.pid, getpid());
    CHECK_EQ(info.count, 1);
  }
  end_chan(c);
  for (int i = 0; i < 3; i++) CHECK(disposition(sigs[i]).sa_handler == SIG_DFL);
}

static void each_is_seen(void) {
  gmx_chan *c = chan_with(1);
  notify(c, SIGUSR1);
  for (int i = 0; i < 1000; i++) {
    raise_here(SIGUSR1);
    CHECK_EQ(next_of(c).count, 1);
  }
  end_chan(c);
}

/* In quick succession the counts tell how many there were. */
static void counts_add_up(void) {
  enum { N = 20000 };
  gmx_chan *c = chan_with(GMX_UNBOUNDED);
  notify(c, SIGUSR1);
  for (int i = 0; i < N; i++) raise_here(SIGUSR1);
  for (unsigned seen = 0; seen < N; seen += next_of(c).count) {
  }
  CHECK(is_empty(c));
  end_chan(c);
}

static void receives(void *arg) {
  gmx_chan *c = arg;
  for (unsigned seen = 0; seen < 100; seen += next_of(c).count) {
  }
}
static void at_each_place(void) {
  for (enum place place = 0; place < PLACES; place++) {
    struct placed at;
    gmx_chan *c = chan_with(GMX_UNBOUNDED);
    notify(c, SIGUSR1);
    place_start(&at, place, receives, c);
    for (int i = 0; i < 100; i++) raise_here(SIGUSR1);
    place_join(&at);
    end_chan(c);
  }
}

/* ---- several channels ---- */

static void several_channels(void) {
  gmx_chan *a = chan_with(4), *b = chan_with(4);
  notify(a, SIGUSR1);
  notify(b, SIGUSR1);
  notify(b, SIGUSR2); /* and another one */
  raise_here(SIGUSR1);
  CHECK_EQ(next_of(a).signo, SIGUSR1);
  CHECK_EQ(next_of(b).signo, SIGUSR1);
  raise_here(SIGUSR2);
  CHECK_EQ(next_of(b).signo, SIGUSR2);
  CHECK(is_empty(a));
  stop(a);
  CHECK_STATUS(gmx_signal_stop(a), GMX_EINVAL);
  raise_here(SIGUSR1);
  CHECK_EQ(next_of(b).signo, SIGUSR1);
  CHECK(is_empty(a));
  CHECK_OK(gmx_chan_free(a));
  end_chan(b);
}

static void a_full_channel_does_without(void) {
  gmx_chan *full = chan_with(1), *all = chan_with(GMX_UNBOUNDED);
  notify(full, SIGUSR1);
  notify(all, SIGUSR1);
  for (int i = 0; i < 10; i++) {
    raise_here(SIGUSR1);
    CHECK_EQ(next_of(all).count, 1);
  }
  CHECK_EQ(gmx_chan_len(full), 1);
  CHECK_EQ(next_of(full).count, 1);
  CHECK(is_empty(full));
  CHECK_OK(gmx_chan_close(full));
  raise_here(SIGUSR1);
  CHECK_EQ(next_of(all).count, 1);
  end_chan(full);
  end_chan(all);
}

/* What came before the stop is in the channel after it. */
static void a_stop_delivers_first(void) {
  for (int i = 0; i < 1000; i++) {
    gmx_chan *c = chan_with(GMX_UNBOUNDED);
    notify(c, SIGUSR1);
    raise_here(SIGUSR1);
    stop(c);
    CHECK_EQ(gmx_chan_len(c), 1);
    CHECK_OK(gmx_chan_free(c));
  }
}

/* The library has a reference. */
static void a_channel_that_the_host_frees(void) {
  gmx_chan *c = chan_with(1);
  notify(c, SIGUSR1);
  CHECK_OK(gmx_chan_ref(c));
  CHECK_OK(gmx_chan_free(c));
  raise_here(SIGUSR1);
  CHECK_EQ(next_of(c).signo, SIGUSR1);
  end_chan(c);
}

/* ---- wrong calls ---- */

static void wrong_calls(void) {
  static const int32_t refused[] = {0, -1, 65, 1000, SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGURG, 32, 33, 34};
  gmx_chan *c = chan_with(1), *other;
  int32_t good[2] = {SIGUSR1, SIGKILL};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) CHECK_STATUS(gmx_signal_notify(c, &refused[i], 1), GMX_EINVAL);
  CHECK_STATUS(gmx_signal_notify(c, good, 2), GMX_EINVAL);
  CHECK(disposition(SIGUSR1).sa_handler == SIG_DFL);
  CHECK_STATUS(gmx_signal_notify(NULL, good, 1), GMX_EINVAL);
  CHECK_STATUS(gmx_signal_notify(c, NULL, 1), GMX_EINVAL);
  CHECK_STATUS(gmx_signal_notify(c, good, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_signal_stop(NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_signal_stop(c), GMX_EINVAL);
  CHECK_OK(gmx_chan_new(sizeof(int), 1, &other));
  CHECK_STATUS(gmx_signal_notify(other, good, 1), GMX_EINVAL);
  CHECK_OK(gmx_chan_free(other));
  CHECK_OK(gmx_chan_free(c));
}

/* ---- the host's handlers ---- */

static int handled, handled_code, handled_errno;
static void on_plain(int sig) {
  CHECK(sig == SIGUSR1);
  bump(&handled);
}
static void on_info(int sig, siginfo_t *info, void *context) {
  CHECK(sig == SIGUSR1 && context != NULL);
  handled_code = info->si_code;
  handled_errno = errno;
  bump(&handled);
}

static void the_hosts_handler_is_called_and_restored(void) {
  struct sigaction plain = {.sa_handler = on_plain, .sa_flags = SA_NODEFER},
                   info = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO | SA_RESTART}, old;
  sigaddset(&info.sa_mask, SIGUSR2);
  CHECK(sigaction(SIGUSR1, &plain, &old) == 0);
  gmx_chan *c = chan_with(4);
  for (int with_info = 0; with_info < 2; with_info++) {
    if (with_info) CHECK(sigaction(SIGUSR1, &info, NULL) == 0);
    store(&handled, 0);
    notify(c, SIGUSR1);
    errno_set();
    raise_here(SIGUSR1);
    CHECK_EQ(errno, FDS_ERRNO);
    CHECK_EQ(load(&handled), 1);
    CHECK_EQ(next_of(c).signo, SIGUSR1);
    stop(c);
    struct sigaction now = disposition(SIGUSR1);
    if (with_info) {
      CHECK_EQ(handled_code, SI_TKILL);
#ifndef __SANITIZE_THREAD__ /* which sets errno before it calls a handler */
      CHECK_EQ(handled_errno, FDS_ERRNO);
#endif
      CHECK(now.sa_sigaction == on_info && now.sa_flags & SA_RESTART && sigismember(&now.sa_mask, SIGUSR2) == 1);
    } else CHECK(now.sa_handler == on_plain && !(now.sa_flags & SA_RESTART) && now.sa_flags & SA_NODEFER);
    raise_here(SIGUSR1);
    CHECK_EQ(load(&handled), 2);
    CHECK(is_empty(c));
  }
  CHECK(sigaction(SIGUSR1, &old, NULL) == 0);
  CHECK_OK(gmx_chan_free(c));
}

static void a_handler_for_one_time(void) {
  struct sigaction once = {.sa_handler = on_plain, .sa_flags = (int)SA_RESETHAND}, old;
  CHECK(sigaction(SIGUSR1, &once, &old) == 0);
  store(&handled, 0);
  gmx_chan *c = chan_with(4);
  notify(c, SIGUSR1);
  for (int i = 0; i < 2; i++) {
    raise_here(SIGUSR1);
    next_of(c);
  }
  CHECK_EQ(load(&handled), 1);
  stop(c);
  CHECK(disposition(SIGUSR1).sa_handler == SIG_DFL);
  CHECK_OK(gmx_chan_free(c));
}

static void an_ignored_signal(void) {
  struct sigaction ignored = {.sa_handler = SIG_IGN}, old;
  CHECK(sigaction(SIGHUP, &ignored, &old) == 0);
  gmx_chan *c = chan_with(4);
  notify(c, SIGHUP);
  raise_here(SIGHUP);
  CHECK_EQ(next_of(c).signo, SIGHUP);
  end_chan(c);
  CHECK(disposition(SIGHUP).sa_handler == SIG_IGN);
  CHECK(sigaction(SIGHUP, &old, NULL) == 0);
}

/* The host puts its handler in front of the library's, and calls that. */
static struct sigaction found;
static void in_front(int sig, siginfo_t *info, void *context) {
  bump(&handled);
  if (found.sa_flags & SA_SIGINFO) found.sa_sigaction(sig, info, context);
}

static void a_later_handler_of_the_host(void) {
  struct sigaction later = {.sa_sigaction = in_front, .sa_flags = SA_SIGINFO}, old = disposition(SIGUSR2);
  gmx_chan *c = chan_with(4);
  store(&handled, 0);
  notify(c, SIGUSR2);
  CHECK(sigaction(SIGUSR2, &later, &found) == 0);
  raise_here(SIGUSR2);
  CHECK_EQ(next_of(c).signo, SIGUSR2);
  CHECK_EQ(load(&handled), 1);
  stop(c);
  CHECK(disposition(SIGUSR2).sa_sigaction == in_front);
  raise_here(SIGUSR2); /* the library is in the chain, and has no channel */
  CHECK_EQ(load(&handled), 2);
  CHECK(is_empty(c));
  notify(c, SIGUSR2); /* not in front of the handler that has it behind */
  CHECK(disposition(SIGUSR2).sa_sigaction == in_front);
  raise_here(SIGUSR2);
  CHECK_EQ(next_of(c).signo, SIGUSR2);
  CHECK_EQ(load(&handled), 3);
  end_chan(c);
  CHECK(sigaction(SIGUSR2, &old, NULL) == 0);
}

/* ---- while all Ps are busy; while nothing else happens ---- */

static int spins, spinning;
static void computes(void *arg) {
  (void)arg;
  bump(&spinning);
  while (load(&spins)) {
  }
}
static void while_every_p_is_busy(void) {
  gmx_chan *c = chan_with(4);
  notify(c, SIGUSR1);
  store(&spins, 1);
  store(&spinning, 0);
  for (int i = 0; i < 2; i++) go(computes, NULL);
  spin_until(load(&spinning) == 2);
  for (int i = 0; i < 10; i++) {
    raise_here(SIGUSR1);
    CHECK_EQ(next_of(c).signo, SIGUSR1);
  }
  store(&spins, 0);
  end_chan(c);
}

static void waits_for_a_signal(void *arg) {
  CHECK_EQ(next_of(arg).signo, SIGUSR1);
}
static void *signals_later(void *arg) {
  (void)arg;
  for (size_t receivers = 0; receivers == 0; check_pause()) CHECK_OK(gmx_chan_waiters(arg, NULL, &receivers));
  raise_here(SIGUSR1);
  return NULL;
}
static void no_deadlock(void) {
  gmx_chan *c = chan_with(1);
  notify(c, SIGUSR1);
  pthread_t thread = thread_start(signals_later, c);
  CHECK_OK(gmx_main(waits_for_a_signal, c));
  thread_join(thread);
  end_chan(c);
}

/* ---- beginnings and ends beside signals ---- */

static int over;
static void *sends_all_the_time(void *arg) {
  (void)arg;
  while (!load(&over)) raise_here(SIGUSR1);
  return NULL;
}
static void begins_and_ends(void *arg) {
  (void)arg;
  for (int i = 0; i < 300; i++) {
    gmx_chan *c = chan_with(1);
    notify(c, SIGUSR1);
    if (i % 3 == 0) CHECK_EQ(next_of(c).signo, SIGUSR1);
    end_chan(c);
  }
}
static void begins_and_ends_beside_signals(void) {
  struct sigaction plain = {.sa_handler = on_plain}, old;
  CHECK(sigaction(SIGUSR1, &plain, &old) == 0);
  store(&over, 0);
  pthread_t thread[2];
  gmx_g g[4];
  for (int i = 0; i < 2; i++) thread[i] = thread_start(sends_all_the_time, NULL);
  for (int i = 0; i < 4; i++) g[i] = go_joinable(begins_and_ends, NULL);
  join_all(g, 4);
  store(&over, 1);
  join_threads(thread, 2);
  CHECK(disposition(SIGUSR1).sa_handler == on_plain);
  CHECK(sigaction(SIGUSR1, &old, NULL) == 0);
}

/* ---- without a runtime; in a child ---- */

static void while_the_runtime_is_down(void) {
  gmx_chan *c = chan_with(GMX_UNBOUNDED);
  notify(c, SIGUSR1);
  spin_until(gmx_num_g() == 0);
  end_runtime();
  raise_here(SIGUSR1);
  raise_here(SIGUSR1);
  CHECK(is_empty(c));
  start_runtime(2, 0);
  unsigned seen = next_of(c).count;
  while (seen < 2) seen += next_of(c).count;
  raise_here(SIGUSR1);
  CHECK_EQ(next_of(c).count, 1);
  spin_until(gmx_num_g() == 0);
  end_runtime();
  raise_here(SIGUSR1);
  end_chan(c); /* delivers, and starts no runtime */
  CHECK(disposition(SIGUSR1).sa_handler == SIG_DFL);
  start_runtime(2, 0);
}

static void a_child_begins_anew(void) {
  gmx_chan *c = chan_with(4);
  notify(c, SIGUSR1);
  notify(c, SIGTERM);
  pid_t pid = fork();
  CHECK_CMP(pid, >=, 0);
  if (pid == 0) {
    CHECK(disposition(SIGUSR1).sa_handler == SIG_DFL);
    gmx_chan *own = chan_with(4);
    notify(own, SIGUSR1);
    raise_here(SIGUSR1);
    CHECK_EQ(next_of(own).pid, getpid());
    end_chan(own);
    raise_here(SIGTERM);
    _exit(1); /* not reached: the default */
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  CHECK(is_empty(c));
  raise_here(SIGTERM);
  CHECK_EQ(next_of(c).signo, SIGTERM);
  end_chan(c);
}

int main(void) {
  start_runtime(2, 0);
  RUN(wrong_calls);
  RUN(three_kinds);
  RUN(each_is_seen);
  RUN(counts_add_up);
  RUN(at_each_place);
  RUN(several_channels);
  RUN(a_full_channel_does_without);
  RUN(a_stop_delivers_first);
  RUN(a_channel_that_the_host_frees);
  RUN(the_hosts_handler_is_called_and_restored);
  RUN(a_handler_for_one_time);
  RUN(an_ignored_signal);
  RUN(a_later_handler_of_the_host);
  RUN(while_every_p_is_busy);
  RUN(no_deadlock);
  RUN(begins_and_ends_beside_signals);
  RUN(while_the_runtime_is_down);
  RUN(a_child_begins_anew);
  ends_clean();
  return 0;
}
