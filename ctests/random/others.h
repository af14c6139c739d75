/* Files, child processes, signals and posts: what goes in comes out. */
#ifndef GOMAX_RANDOM_OTHERS_H
#define GOMAX_RANDOM_OTHERS_H

#include "../files.h"
#include "../processes.h"
#include "actor.h"

/* ---- a file: each part of it has what was written last ---- */

#define PARTS 16
#define PART 1500

static gmx_poll file;
static struct part {
  atomic_int taken; /* an actor uses it */
  unsigned char version;
} parts[PARTS];

static int take_part(actor *a) {
  int i = (int)rnd(a, PARTS);
  return atomic_exchange(&parts[i].taken, 1) ? -1 : i;
}

static void check_part(int i, const unsigned char *bytes, size_t n) {
  for (size_t k = 0; k < n; k++) CHECK_EQ(bytes[k], parts[i].version);
}

static void uses_file(actor *a) {
  int i = take_part(a), j = take_part(a);
  unsigned char bytes[2][PART];
  struct iovec v[] = {{bytes[0], 700}, {bytes[0] + 700, PART - 700}};
  size_t done = 0;
  if (i >= 0) {
    switch (rnd(a, 6)) {
      case 0:
      case 1:
        parts[i].version++;
        memset(bytes[0], parts[i].version, PART);
        if (rnd(a, 2)) CHECK_OK(gmx_pwrite(file, bytes[0], PART, (int64_t)i * PART, &done));
        else CHECK_OK(gmx_pwritev(file, v, 2, (int64_t)i * PART, &done));
        CHECK_EQ(done, PART);
        break;
      case 2: CHECK_OK(rnd(a, 4) ? gmx_fdatasync(file) : gmx_fsync(file)); break;
      case 3:
        if (j < 0) break;
        parts[j].version++;
        memset(bytes[1], parts[j].version, PART);
        gmx_io_op ops[] = {{GMX_IO_READ, 1, file, bytes[0], PART, (int64_t)i * PART, 0},
                           {GMX_IO_WRITE, 1, file, bytes[1], PART, (int64_t)j * PART, 0},
                           {GMX_IO_FDATASYNC, 1, file, NULL, 0, 0, 0}};
        CHECK_OK(gmx_io_batch(ops, 3, GMX_FOREVER));
        for (int k = 0; k < 3; k++) CHECK_OK(ops[k].status);
        CHECK(ops[0].done == PART && ops[1].done == PART);
        check_part(i, bytes[0], PART);
        break;
      default:
        if (rnd(a, 2)) CHECK_EQ(gmx_pread(file, bytes[0], PART, (int64_t)i * PART), PART);
        else CHECK_EQ(gmx_preadv(file, v, 2, (int64_t)i * PART), PART);
        check_part(i, bytes[0], PART);
    }
    atomic_store(&parts[i].taken, 0);
  }
  if (j >= 0) atomic_store(&parts[j].taken, 0);
}

/* ---- child processes ---- */

static atomic_int children; /* at a time */
static atomic_llong children_made;

static void has_child(actor *a) {
  char *argv[] = {(char *)"true", NULL};
  gmx_process_opts o;
  memset(&o, 0, sizeof o);
  o.path = "/bin/true";
  o.argv = argv;
  gmx_poll out = 0;
  bool pipe = rnd(a, 2);
  if (pipe) pipe_at(&o, 1, &out);
  if (atomic_fetch_add(&children, 1) < 3) {
    gmx_process p = spawned(&o);
    int status = -1;
    gmx_status s = GMX_ETIMEDOUT;
    atomic_fetch_add(&children_made, 1);
    if (pipe) {
      char byte;
      CHECK_EQ(gmx_read(out, &byte, 1, GMX_FOREVER), 0);
      close_fd(out);
    }
    for (uint64_t n = rnd(a, 4); n > 0 && s != GMX_OK; n--) {
      under token = token_begins(a);
      s = gmx_process_wait(p, &status, rnd(a, 4) ? (int64_t)rnd(a, 2 * MS) : GMX_FOREVER);
      token_ends(token);
      if (s != GMX_OK && !(s == GMX_ECANCELED && token.token)) CHECK_STATUS(s, GMX_ETIMEDOUT);
    }
    if (s == GMX_OK) EXITED(status, 0);
    if (s == GMX_OK) CHECK_STATUS(gmx_process_kill(p, SIGTERM), -ESRCH);
    CHECK_OK(gmx_process_release(p)); /* also of one that runs */
    CHECK_STATUS(gmx_process_wait(p, &status, 0), GMX_ESTALE);
  }
  atomic_fetch_sub(&children, 1);
}

static bool has_no_children(void) {
  siginfo_t info;
  return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD;
}

/* ---- signals ---- */

static gmx_chan *signals;
static atomic_llong raised, seen, handled;

static void handles(int sig) {
  (void)sig;
  atomic_fetch_add(&handled, 1);
}

/* The thread gets its own signal before the call returns. */
static void raises(void) {
  thread_raise(SIGUSR1); /* a host may have blocked it */
  atomic_fetch_add(&raised, 1);
}

static bool sees_one(void) {
  gmx_siginfo info;
  gmx_status s = gmx_chan_try_recv(signals, &info);
  if (s != GMX_OK) {
    CHECK_STATUS(s, GMX_EAGAIN);
    return false;
  }
  CHECK_EQ(info.signo, SIGUSR1);
  CHECK_CMP(info.count, >=, 1);
  atomic_fetch_add(&seen, info.count);
  return true;
}

/* Another channel, for a moment. */
static void notices(actor *a) {
  int32_t sigs[] = {SIGUSR1, SIGWINCH};
  gmx_chan *c = chan_of(sizeof(gmx_siginfo), 1 + rnd(a, 3));
  gmx_siginfo info;
  CHECK_OK(gmx_signal_notify(c, sigs, 1 + rnd(a, 2)));
  if (rnd(a, 2)) raises();
  if (rnd(a, 2)) CHECK(kill(getpid(), SIGWINCH) == 0);
  for (gmx_status s = GMX_OK; s == GMX_OK;) {
    s = gmx_chan_recv_timeout(c, &info, (int64_t)rnd(a, 100000));
    if (s != GMX_OK) CHECK_STATUS(s, GMX_ETIMEDOUT);
    else CHECK(info.signo == SIGUSR1 || info.signo == SIGWINCH);
  }
  CHECK_OK(gmx_signal_stop(c));
  CHECK_STATUS(gmx_signal_stop(c), GMX_EINVAL);
  CHECK_OK(gmx_chan_free(c));
}

/* ---- posts ---- */

static atomic_llong posted, posts_run;

static void runs_post(void *arg) {
  CHECK(arg == &posted);
  atomic_fetch_add(&posts_run, 1);
}

static void posts(void) {
  CHECK_OK(gmx_post(runs_post, &posted));
  atomic_fetch_add(&posted, 1);
}

static void runs_posts(actor *a) { CHECK_CMP(gmx_host_run((int32_t)rnd(a, 20)), >=, 0); }

/* ---- of a round ---- */

static void others_begin(void) {
  int32_t sig = SIGUSR1;
  static unsigned char zeros[PARTS * PART];
  dir_make();
  file = file_with(zeros, sizeof zeros);
  memset(parts, 0, sizeof parts);
  atomic_store(&children_made, 0);
  atomic_store(&raised, 0);
  atomic_store(&seen, 0);
  atomic_store(&handled, 0);
  atomic_store(&posted, 0);
  atomic_store(&posts_run, 0);
  struct sigaction host;
  memset(&host, 0, sizeof host);
  host.sa_handler = handles;
  host.sa_flags = SA_RESTART | SA_ONSTACK;
  CHECK(sigaction(SIGUSR1, &host, NULL) == 0);
  signals = chan_of(sizeof(gmx_siginfo), GMX_UNBOUNDED);
  CHECK_OK(gmx_signal_notify(signals, &sig, 1));
}

static void others_end(void) {
  unsigned char bytes[PART];
  for (int i = 0; i < PARTS; i++) {
    CHECK_EQ(gmx_pread(file, bytes, PART, (int64_t)i * PART), PART);
    check_part(i, bytes, PART);
  }
  close_fd(file);
  dir_remove();
  spin_until(has_no_children());
  CHECK_OK(gmx_signal_stop(signals));
  while (sees_one()) continue;
  CHECK_EQ(seen, raised);
  CHECK_EQ(handled, raised);
  CHECK_OK(gmx_chan_free(signals));
  while (gmx_host_run(0) > 0) continue;
  CHECK_EQ(posts_run, posted);
  CHECK(!is_ready(gmx_host_fd(), POLLIN));
}

#endif /* GOMAX_RANDOM_OTHERS_H */
