/* gmx_copy between all kinds of descriptors: the bytes, the counts, and each way in which it ends. */
/* timeout: 240 */
#define _GNU_SOURCE 1
#include "files.h"

#include <signal.h>

enum { SIZE = (1 << 20) + 1 };

static char bytes[SIZE];

/* What is copied from, or to: one end is a handle, the other one the test's. */
enum kind { FILE_, PIPE_, UNIX_, TCP_, BORROWED_, NULL_, KINDS };
static const char *const kind_names[] = {"file", "pipe", "unix", "tcp", "borrowed", "null"};

struct side {
  enum kind kind;
  gmx_poll p; /* the copy's */
  int far;    /* -1: none */
};

/* With so many bytes to come if it is a file. */
static struct side source(enum kind kind, size_t n) {
  struct side s = {kind, 0, -1};
  int fd[2];
  if (kind == FILE_) s.p = file_with(bytes, n);
  else if (kind == NULL_) s.p = file_open("/dev/zero", O_RDONLY);
  else {
    fds_of(fd, kind == PIPE_ ? PIPE : kind == UNIX_ ? UNIX : TCP);
    s.p = kind == BORROWED_ ? borrow_fd(fd[0]) : own_fd(fd[0]);
    s.far = fd[1];
  }
  return s;
}

static struct side target(enum kind kind) {
  struct side s = {kind, 0, -1};
  int fd[2];
  if (kind == FILE_) s.p = file_with("", 0);
  else if (kind == NULL_) s.p = file_open("/dev/null", O_WRONLY);
  else {
    fds_of(fd, kind == PIPE_ ? PIPE : kind == UNIX_ ? UNIX : TCP);
    s.p = kind == BORROWED_ ? borrow_fd(fd[1]) : own_fd(fd[1]);
    s.far = fd[0];
  }
  return s;
}

static void end(struct side *s) {
  int fd = gmx_poll_fd(s->p);
  close_fd(s->p);
  if (s->kind == BORROWED_) CHECK(close(fd) == 0);
  if (s->far >= 0) CHECK(close(s->far) == 0);
}

/* ---- the bytes, for all pairs ---- */

struct feeder {
  int fd;
  size_t n;
};

static void *feeds(void *arg) {
  struct feeder *f = (struct feeder *)arg;
  for (size_t done = 0; done < f->n;) {
    size_t piece = (done % 7 + 1) * 9000, left = f->n - done;
    ssize_t n = write(f->fd, bytes + done, piece < left ? piece : left);
    CHECK_CMP(n, >, 0);
    done += (size_t)n;
  }
  CHECK(close(f->fd) == 0);
  return NULL;
}

static void *takes(void *arg) {
  struct feeder *f = (struct feeder *)arg;
  char *got = malloc(f->n + 1);
  CHECK(got != NULL);
  size_t done = 0;
  for (ssize_t n; done < f->n + 1 && (n = read(f->fd, got + done, f->n + 1 - done)) > 0;) done += (size_t)n;
  CHECK_EQ(done, f->n);
  same_bytes(got, bytes, f->n);
  free(got);
  return NULL;
}

static void copies(enum kind a, enum kind b, size_t n, uint64_t asked) {
  struct side from = source(a, n), to = target(b);
  struct feeder feeder = {from.far, n}, taker = {to.far, n};
  pthread_t feeds_it = 0, takes_it = 0;
  if (from.far >= 0) feeds_it = thread_start(feeds, &feeder);
  if (to.far >= 0) takes_it = thread_start(takes, &taker);
  uint64_t done = 7;
  gmx_status status = gmx_copy(from.p, to.p, asked, &done, 60 * SECOND);
  if (status != GMX_OK || done != n)
    FAIL("%s to %s: %s, %" PRIu64 " of %zu bytes", kind_names[a], kind_names[b], gmx_err_name(status), done, n);
  if (from.far >= 0) thread_join(feeds_it);
  from.far = -1;
  if (b == FILE_) {
    char *got = malloc(n + 1);
    CHECK(got != NULL);
    CHECK_EQ(gmx_pread(to.p, got, n + 1, 0), n);
    if (a != NULL_) same_bytes(got, bytes, n);
    free(got);
  }
  if (a == FILE_) CHECK_EQ(lseek(gmx_poll_fd(from.p), 0, SEEK_CUR), n);
  int far = to.far;
  to.far = -1;
  end(&to); /* the end of the data for the taker */
  if (far >= 0) {
    thread_join(takes_it);
    CHECK(close(far) == 0);
  }
  end(&from);
}

static void all_pairs_have_their_bytes(void *arg) {
  static const size_t sizes[] = {0, 1, 4095, SIZE};
  (void)arg;
  for (enum kind a = FILE_; a < NULL_; a++)
    for (enum kind b = FILE_; b < KINDS; b++)
      for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        copies(a, b, sizes[i], UINT64_MAX);
        copies(a, b, sizes[i], sizes[i]);
      }
  copies(NULL_, FILE_, SIZE, SIZE);
  copies(NULL_, NULL_, SIZE, SIZE);
}

static void the_bytes_arrive(void) {
  for (enum place place = ON_G; place < PLACES; place++) {
    struct placed at;
    place_start(&at, place, all_pairs_have_their_bytes, NULL);
    place_join(&at);
  }
}

/* ---- ends ---- */

static void a_part_is_copied_and_the_rest_stays(void) {
  for (enum kind a = FILE_; a < NULL_; a++)
    for (enum kind b = FILE_; b < KINDS; b++) {
      struct side from = source(a, 1000), to = target(b);
      char rest[1000];
      uint64_t done;
      if (from.far >= 0) feed(from.far, bytes, 1000);
      CHECK_OK(gmx_copy(from.p, to.p, 300, &done, GMX_FOREVER));
      CHECK_EQ(done, 300);
      CHECK_EQ(gmx_read(from.p, rest, sizeof rest, GMX_FOREVER), 700);
      same_bytes(rest, bytes + 300, 700);
      CHECK_OK(gmx_copy(from.p, to.p, 0, &done, 0));
      CHECK_EQ(done, 0);
      end(&from);
      end(&to);
    }
}

/* 5,000 bytes are there, and no end. */
static void a_timeout_tells_how_much_went(void) {
  for (enum kind a = PIPE_; a < NULL_; a++)
    for (enum kind b = FILE_; b < KINDS; b++)
      for (int64_t timeout = 0; timeout <= 2 * MS; timeout += 2 * MS) {
        struct side from = source(a, 0), to = target(b);
        uint64_t done = 0;
        feed(from.far, bytes, 5000);
        CHECK_STATUS(gmx_copy(from.p, to.p, 9000, &done, timeout), GMX_ETIMEDOUT);
        CHECK_EQ(done, 5000);
        end(&from);
        end(&to);
      }
}

/* The other end takes nothing: a file stays behind what went. */
static void a_full_target_ends_by_timeout(void) {
  for (enum kind b = PIPE_; b < NULL_; b++) {
    const size_t size = 32 << 20;
    struct side from = source(FILE_, 0), to = target(b);
    uint64_t done = 0;
    CHECK_OK(gmx_ftruncate(from.p, (int64_t)size));
    CHECK_STATUS(gmx_copy(from.p, to.p, UINT64_MAX, &done, 5 * MS), GMX_ETIMEDOUT);
    CHECK(done > 0 && done < size);
    CHECK_EQ(lseek(gmx_poll_fd(from.p), 0, SEEK_CUR), done);
    end(&from);
    end(&to);
  }
}

static int signals_seen;
static void sees_signal(int number) { (void)number, bump(&signals_seen); }

static void a_gone_reader_raises_no_signal(void) {
  for (enum kind a = FILE_; a < NULL_; a++)
    for (enum kind b = PIPE_; b < NULL_; b++) {
      struct side from = source(a, SIZE), to = target(b);
      uint64_t done = 7;
      if (from.far >= 0) feed(from.far, bytes, 10);
      CHECK(close(to.far) == 0);
      to.far = -1;
      /* a socket may take some bytes before it knows */
      gmx_status status = gmx_copy(from.p, to.p, UINT64_MAX, &done, SECOND / 50);
      for (int i = 0; i < 100 && (status == GMX_ETIMEDOUT || (status == GMX_OK && from.far < 0)); i++) {
        if (from.far >= 0) feed(from.far, bytes, 10);
        else CHECK_EQ(lseek(gmx_poll_fd(from.p), 0, SEEK_SET), 0);
        status = gmx_copy(from.p, to.p, UINT64_MAX, &done, SECOND / 50);
      }
      if (status != GMX_EPIPE && status != -ECONNRESET)
        FAIL("%s to %s: %s", kind_names[a], kind_names[b], gmx_err_name(status));
      end(&from);
      end(&to);
    }
  CHECK_EQ(load(&signals_seen), 0);
}

/* ---- closed, canceled, or with a deadline, while it waits ---- */

struct waiting_copy {
  gmx_poll from, to;
  uint64_t done;
  gmx_cancel token;
  gmx_status status;
};

static void waits_in_copy(void *arg) {
  struct waiting_copy *w = (struct waiting_copy *)arg;
  gmx_cancel before;
  if (w->token) CHECK_OK(gmx_cancel_use(w->token, &before));
  w->status = gmx_copy(w->from, w->to, UINT64_MAX, &w->done, GMX_FOREVER);
  if (w->token) CHECK_OK(gmx_cancel_use(before, NULL));
}

enum how { CLOSE_FROM, CLOSE_TO, DEADLINE_FROM, DEADLINE_TO, CANCEL, HOWS };

/* It waits for the source, or for room. */
static void a_waiting_copy_ends(bool full) {
  for (enum kind a = PIPE_; a < NULL_; a++)
    for (enum kind b = PIPE_; b < NULL_; b++)
      for (enum how how = CLOSE_FROM; how < HOWS; how++) {
        if (full && a != PIPE_) continue;
        struct side from = source(full ? FILE_ : a, 0), to = target(b);
        struct waiting_copy w = {from.p, to.p, 0, 0, 0};
        if (full) CHECK_OK(gmx_ftruncate(from.p, 32 << 20));
        if (how == CANCEL) CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &w.token));
        gmx_g g = go_joinable(waits_in_copy, &w);
        spin_until(waiting(full ? "IO wait: write" : "IO wait: read") == 1);
        gmx_status wanted = GMX_EBADF;
        if (how == CLOSE_FROM || how == CLOSE_TO) {
          struct side *s = how == CLOSE_FROM ? &from : &to;
          int fd = gmx_poll_fd(s->p);
          close_fd(s->p);
          if (s->kind == BORROWED_) CHECK(close(fd) == 0);
          s->p = 0;
        } else if (how == CANCEL) {
          CHECK_OK(gmx_cancel_now(w.token));
          wanted = GMX_ECANCELED;
        } else {
          CHECK_OK(gmx_poll_set_deadline(how == DEADLINE_FROM ? from.p : to.p, FD_BOTH, 1));
          wanted = GMX_ETIMEDOUT;
        }
        join(g);
        CHECK_STATUS(w.status, wanted);
        if (how == CANCEL) CHECK_OK(gmx_cancel_free(w.token));
        struct side *sides[2] = {&from, &to};
        for (int i = 0; i < 2; i++) {
          if (sides[i]->p) end(sides[i]);
          else if (sides[i]->far >= 0) CHECK(close(sides[i]->far) == 0);
        }
      }
}
static void a_copy_that_waits_for_bytes_ends(void) { a_waiting_copy_ends(false); }
static void a_copy_that_waits_for_room_ends(void) { a_waiting_copy_ends(true); }

/* ---- beside others ---- */

static int turns;
static void counts_turns(void *arg) {
  while (!load((int *)arg)) {
    bump(&turns);
    CHECK_OK(gmx_yield());
  }
}

static void others_run_beside_a_large_copy(void) {
  const int64_t size = 256 << 20;
  gmx_poll from = file_with("", 0), to = file_open("/dev/null", O_WRONLY);
  int stop = 0;
  uint64_t done;
  turns = 0;
  CHECK_OK(gmx_ftruncate(from, size));
  gmx_g g = go_joinable(counts_turns, &stop);
  CHECK_OK(gmx_copy(from, to, UINT64_MAX, &done, GMX_FOREVER));
  CHECK_EQ(done, size);
  store(&stop, 1);
  join(g);
  CHECK_CMP(turns, >, 5);
  close_fd(from);
  close_fd(to);
}

/* A file at whose end the system writes: copy_file_range refuses it. /proc: its files have no size. */
static void odd_files_are_copied(void) {
  gmx_poll from = file_with(bytes, 5000), to = file_open(path_in("log").text, O_RDWR | O_CREAT | O_APPEND);
  char got[10001];
  uint64_t done;
  for (int i = 0; i < 2; i++) {
    CHECK_EQ(lseek(gmx_poll_fd(from), 0, SEEK_SET), 0);
    CHECK_OK(gmx_copy(from, to, UINT64_MAX, &done, GMX_FOREVER));
    CHECK_EQ(done, 5000);
  }
  CHECK_EQ(gmx_pread(to, got, sizeof got, 0), 10000);
  same_bytes(got, bytes, 5000);
  same_bytes(got + 5000, bytes, 5000);
  close_fd(to);
  CHECK_OK(gmx_unlink(path_in("log").text, 0));
  close_fd(from);

  from = file_open("/proc/self/status", O_RDONLY);
  to = file_with("", 0);
  CHECK_OK(gmx_copy(from, to, UINT64_MAX, &done, GMX_FOREVER));
  CHECK_CMP(done, >, 100);
  CHECK_EQ(gmx_pread(to, got, 5, 0), 5);
  same_bytes(got, "Name:", 5);
  close_fd(from);
  close_fd(to);
}

/* The system has no descriptors for the pipe between two sockets. */
static void a_copy_without_a_pipe_reads_and_writes(void) {
  struct side from = source(UNIX_, 0), to = target(TCP_);
  char got[5000];
  uint64_t done;
  feed(from.far, bytes, sizeof got);
  fds_left(0);
  CHECK_OK(gmx_copy(from.p, to.p, sizeof got, &done, GMX_FOREVER));
  fds_again();
  CHECK_EQ(done, sizeof got);
  take(to.far, got, sizeof got);
  same_bytes(got, bytes, sizeof got);
  end(&from);
  end(&to);
}

static void wrong_copies_change_nothing(void) {
  gmx_poll p = file_with(bytes, 100), only_read = file_open("/dev/null", O_RDONLY);
  uint64_t done = 7;
  CHECK_STATUS(gmx_copy(0, p, 1, &done, GMX_FOREVER), GMX_EBADF);
  CHECK_EQ(done, 0);
  CHECK_STATUS(gmx_copy(p, 0, 1, &done, GMX_FOREVER), GMX_EBADF);
  CHECK_STATUS(gmx_copy(p, only_read, 10, &done, GMX_FOREVER), GMX_EBADF);
  CHECK_EQ(done, 0);
  CHECK_EQ(lseek(gmx_poll_fd(p), 0, SEEK_CUR), 0);
  CHECK_OK(gmx_copy(p, p, 0, NULL, 0));
  close_fd(p);
  close_fd(only_read);
}

static void all_tests(void) {
  WITH_SOME_PS {
    RUN_G(the_bytes_arrive);
    RUN_G(a_part_is_copied_and_the_rest_stays);
    RUN_G(a_timeout_tells_how_much_went);
    RUN_G(a_full_target_ends_by_timeout);
    RUN_G(a_gone_reader_raises_no_signal);
    RUN_G(a_copy_that_waits_for_bytes_ends);
    RUN_G(a_copy_that_waits_for_room_ends);
    RUN_G(others_run_beside_a_large_copy);
    RUN_G(odd_files_are_copied);
    RUN_G(a_copy_without_a_pipe_reads_and_writes);
    RUN_G(wrong_copies_change_nothing);
  }
}

int main(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = sees_signal;
  CHECK(sigaction(SIGPIPE, &action, NULL) == 0);
  fill_random(bytes, SIZE, 2);
  dir_make();
  start_runtime(1, 0);
  long before = open_fds();
  all_tests();
  CHECK_CMP(open_fds(), <=, before + 2); /* the poller's */
  /* a system that reads and writes only */
  static const long calls[] = {SYS_copy_file_range, SYS_sendfile, SYS_splice};
  if (refuse(calls, 3, ENOSYS)) all_tests();
  dir_remove();
  ends_clean();
  return 0;
}
