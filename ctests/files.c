/* Files: opened, read, written and changed from every kind of thread; and the bound on threads. */
/* timeout: 180 */
/* env: GMXDEBUG=filecalls=4 */
#define _GNU_SOURCE 1
#include "files.h"

#include <signal.h>

enum { CALLS = 4, SIZE = 3 << 20 };

static char bytes[SIZE], got[SIZE];

/* ---- each call, in each place ---- */

static void all_calls(void *arg) {
  struct path one = path_in("one"), two = path_in("two"), sub = path_in("sub");
  char some[16];
  struct statx what;
  size_t done;
  (void)arg;
  gmx_poll p = 0;
  CHECK_STATUS(gmx_open(one.text, O_RDONLY, 0, &p), -ENOENT);
  CHECK(p == 0);
  p = file_open(one.text, O_RDWR | O_CREAT);
  CHECK_STATUS(gmx_open(one.text, O_RDWR | O_CREAT | O_EXCL, 0600, &p), -EEXIST);

  CHECK_OK(gmx_pwrite(p, "0123456789", 10, 0, &done));
  CHECK_EQ(done, 10);
  CHECK_OK(gmx_pwrite(p, NULL, 0, 0, &done));
  CHECK_EQ(done, 0);
  CHECK_EQ(gmx_pread(p, some, sizeof some, 0), 10);
  same_bytes(some, "0123456789", 10);
  CHECK_EQ(gmx_pread(p, some, 3, 4), 3);
  same_bytes(some, "456", 3);
  CHECK_EQ(gmx_pread(p, some, sizeof some, 10), 0);
  CHECK_EQ(gmx_pread(p, some, sizeof some, 1000), 0);
  CHECK_EQ(gmx_pread(p, some, 0, 0), 0);

  struct iovec v[3] = {{some, 2}, {NULL, 0}, {some + 2, 3}};
  CHECK_EQ(gmx_preadv(p, v, 3, 5), 5);
  same_bytes(some, "56789", 5);
  CHECK_OK(gmx_pwritev(p, v, 3, 1, &done));
  CHECK_EQ(done, 5);
  CHECK_EQ(gmx_pread(p, some, 10, 0), 10);
  same_bytes(some, "0567896789", 10);

  /* the place of the file has not moved */
  CHECK_EQ(gmx_read(p, some, 3, GMX_FOREVER), 3);
  same_bytes(some, "056", 3);
  CHECK_OK(gmx_write(p, "xy", 2, GMX_FOREVER, &done));
  CHECK_EQ(gmx_read(p, some, sizeof some, GMX_FOREVER), 5);
  same_bytes(some, "96789", 5);
  CHECK_EQ(gmx_read(p, some, sizeof some, GMX_FOREVER), 0);
  CHECK_EQ(gmx_read(p, some, sizeof some, 0), 0);

  CHECK_OK(gmx_fsync(p));
  CHECK_OK(gmx_fdatasync(p));
  CHECK_OK(gmx_ftruncate(p, 4));
  CHECK_EQ(gmx_pread(p, some, sizeof some, 0), 4);
  CHECK_STATUS(gmx_ftruncate(p, -1), GMX_EINVAL);
  gmx_status status = gmx_fallocate(p, 0, 0, 100);
  CHECK(status == GMX_OK || status == GMX_ENOTSUP);
  if (status == GMX_OK) {
    CHECK_OK(gmx_statx(p, NULL, 0, STATX_SIZE, &what));
    CHECK_EQ(what.stx_size, 100);
  }

  CHECK_OK(gmx_statx(0, one.text, 0, STATX_BASIC_STATS, &what));
  CHECK((what.stx_mode & S_IFMT) == S_IFREG);
  gmx_poll dir = file_open(files_dir, O_RDONLY | O_DIRECTORY);
  CHECK_OK(gmx_statx(dir, "one", 0, STATX_TYPE, &what));
  CHECK_STATUS(gmx_statx(dir, "two", 0, STATX_TYPE, &what), -ENOENT);
  CHECK_EQ(gmx_read(dir, some, 1, GMX_FOREVER), -EISDIR);
  CHECK_OK(gmx_rename(one.text, two.text, 0));
  CHECK_STATUS(gmx_rename(one.text, two.text, 0), -ENOENT);
  CHECK_OK(gmx_mkdir(sub.text, 0700));
  CHECK_STATUS(gmx_mkdir(sub.text, 0700), -EEXIST);
  CHECK_OK(gmx_unlink(sub.text, AT_REMOVEDIR));
  CHECK_OK(gmx_unlink(two.text, 0));
  CHECK_STATUS(gmx_unlink(two.text, 0), -ENOENT);
  close_fd(dir);
  close_fd(p);

  /* closed */
  CHECK_EQ(gmx_pread(p, some, 1, 0), GMX_EBADF);
  CHECK_STATUS(gmx_pwrite(p, some, 1, 0, &done), GMX_EBADF);
  CHECK_STATUS(gmx_fsync(p), GMX_EBADF);
  CHECK_STATUS(gmx_ftruncate(p, 0), GMX_EBADF);
  CHECK_STATUS(gmx_statx(p, NULL, 0, STATX_SIZE, &what), GMX_EBADF);
}

static void every_call_works_everywhere(void) {
  for (enum place place = ON_G; place < PLACES; place++) {
    struct placed at;
    place_start(&at, place, all_calls, NULL);
    place_join(&at);
  }
}

static void wrong_calls_change_nothing(void) {
  gmx_poll p = file_with("abc", 3), q = 7;
  char c = 'x';
  size_t done = 5;
  struct iovec v = {&c, 1};
  struct statx what;
  CHECK_STATUS(gmx_open(NULL, O_RDONLY, 0, &q), GMX_EINVAL);
  CHECK_STATUS(gmx_open("/", O_RDONLY, 0, NULL), GMX_EINVAL);
  CHECK(q == 7);
  CHECK_STATUS(gmx_pread(p, NULL, 1, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_pread(p, &c, 1, -1), GMX_EINVAL);
  CHECK_STATUS(gmx_preadv(p, NULL, 1, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_preadv(p, &v, -1, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_preadv(p, &v, 1, -1), GMX_EINVAL);
  CHECK_STATUS(gmx_pwrite(p, NULL, 1, 0, &done), GMX_EINVAL);
  CHECK_EQ(done, 0);
  CHECK_STATUS(gmx_pwrite(p, &c, 1, -1, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_pwritev(p, &v, 1, INT64_MIN, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_statx(0, NULL, 0, STATX_SIZE, &what), GMX_EINVAL);
  CHECK_STATUS(gmx_statx(p, NULL, 0, STATX_SIZE, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_rename(NULL, "a", 0), GMX_EINVAL);
  CHECK_STATUS(gmx_rename("a", NULL, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_unlink(NULL, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_mkdir(NULL, 0), GMX_EINVAL);
  CHECK_EQ(gmx_pread(p, got, SIZE, 0), 3);
  same_bytes(got, "abc", 3);
  close_fd(p);

  struct pair pair = pair_of(PIPE);
  CHECK_STATUS(gmx_pread(pair.p[0], &c, 1, 0), -ESPIPE);
  CHECK_STATUS(gmx_pwrite(pair.p[1], &c, 1, 0, &done), -ESPIPE);
  pair_close(&pair);
  p = file_open("/dev/null", O_RDONLY);
  CHECK_STATUS(gmx_pwrite(p, &c, 1, 0, &done), GMX_EBADF);
  close_fd(p);
}

/* ---- bytes ---- */

static void large_files_have_their_bytes(void) {
  gmx_poll p = file_with(bytes, SIZE);
  CHECK_EQ(gmx_pread(p, got, SIZE, 0), SIZE);
  same_bytes(got, bytes, SIZE);
  /* from the disk, where the file system lets go of it */
  CHECK_OK(gmx_fsync(p));
  CHECK(posix_fadvise(gmx_poll_fd(p), 0, 0, POSIX_FADV_DONTNEED) == 0);
  memset(got, 0, SIZE);
  CHECK_EQ(gmx_pread(p, got, SIZE, 0), SIZE);
  same_bytes(got, bytes, SIZE);
  /* half of it in memory */
  CHECK(posix_fadvise(gmx_poll_fd(p), SIZE / 2, 0, POSIX_FADV_DONTNEED) == 0);
  memset(got, 0, SIZE);
  CHECK_EQ(gmx_read(p, got, SIZE, GMX_FOREVER), SIZE);
  same_bytes(got, bytes, SIZE);
  /* beyond 4 GiB */
  const int64_t far = (INT64_C(1) << 32) + 12345;
  CHECK_OK(gmx_pwrite(p, bytes, 1000, far, NULL));
  CHECK_EQ(gmx_pread(p, got, SIZE, far), 1000);
  same_bytes(got, bytes, 1000);
  close_fd(p);
}

static void many_parts_are_read_and_written(void) {
  enum { PARTS = 1500, PART = 7 };
  static struct iovec v[PARTS];
  gmx_poll p = file_with("", 0);
  size_t done;
  for (int i = 0; i < PARTS; i++) v[i] = (struct iovec){bytes + i * PART, i % 100 == 3 ? 0 : PART};
  CHECK_OK(gmx_pwritev(p, v, PARTS, 100, &done));
  CHECK_EQ(done, (PARTS - PARTS / 100) * PART);
  for (int i = 0; i < PARTS; i++) v[i].iov_base = got + i * PART;
  memset(got, 0, PARTS * PART);
  CHECK_EQ(gmx_preadv(p, v, PARTS, 100), done);
  for (int i = 0; i < PARTS; i++) same_bytes(v[i].iov_base, bytes + i * PART, v[i].iov_len);
  close_fd(p);
}

/* ---- many Gs ---- */

enum { GS = 64, PIECE = 4096 };

struct piece {
  gmx_poll p;
  int number;
};

static void writes_reads_syncs(void *arg) {
  struct piece *piece = (struct piece *)arg;
  char mine[PIECE];
  const int64_t at = (int64_t)piece->number * PIECE;
  for (int i = 0; i < 20; i++) {
    CHECK_OK(gmx_pwrite(piece->p, bytes + at, PIECE, at, NULL));
    if (i % 10 == 0) CHECK_OK(gmx_fdatasync(piece->p));
    CHECK_EQ(gmx_pread(piece->p, mine, PIECE, at), PIECE);
    same_bytes(mine, bytes + at, PIECE);
  }
}

static void many_gs_share_a_file(void) {
  gmx_poll p = file_with("", 0);
  struct piece pieces[GS];
  gmx_g gs[GS];
  for (int i = 0; i < GS; i++) {
    pieces[i] = (struct piece){p, i};
    gs[i] = go_joinable(writes_reads_syncs, &pieces[i]);
  }
  join_all(gs, GS);
  CHECK_EQ(gmx_pread(p, got, SIZE, 0), GS * PIECE);
  same_bytes(got, bytes, GS * PIECE);
  close_fd(p);
}

static int opened;

static void opens_fifo(void *arg) {
  close_fd(file_open((const char *)arg, O_RDONLY));
  bump(&opened);
}

/* The open of a FIFO takes its thread until there is another end. */
static void blocked_calls_take_few_threads(void) {
  struct path fifo = path_in("fifo");
  gmx_g gs[GS];
  CHECK(mkfifo(fifo.text, 0600) == 0);
  opened = 0;
  const int before = count_threads(), most = before + gmx_gomaxprocs(0) + CALLS + 2;
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(opens_fifo, fifo.text);
  spin_until(waiting("turn for a blocking call") == GS - CALLS);
  CHECK_CMP(count_threads(), <=, most);
  CHECK_EQ(load(&opened), 0);
  int far = open(fifo.text, O_RDWR | O_CLOEXEC); /* does not wait */
  CHECK_CMP(far, >=, 0);
  join_all(gs, GS);
  CHECK_EQ(opened, GS);
  CHECK_CMP(count_threads(), <=, most);
  CHECK(close(far) == 0 && unlink(fifo.text) == 0);
}

static void closes(void *arg) { close_fd(*(gmx_poll *)arg); }

/* A handle is closed under its users: each has its bytes, or GMX_EBADF. */
static void reads_until_closed(void *arg) {
  gmx_poll p = *(gmx_poll *)arg;
  char mine[PIECE];
  for (gmx_status n; (n = gmx_pread(p, mine, PIECE, PIECE)) != GMX_EBADF;) {
    CHECK_EQ(n, PIECE);
    same_bytes(mine, bytes + PIECE, PIECE);
  }
}

static void a_close_waits_for_the_calls(void) {
  for (int round = 0; round < 20; round++) {
    gmx_poll p = file_with(bytes, PIECE * 4);
    gmx_g gs[8];
    for (int i = 0; i < 8; i++) gs[i] = go_joinable(reads_until_closed, &p);
    for (int i = 0; i < round; i++) CHECK_OK(gmx_yield());
    on_g(closes, &p);
    join_all(gs, 8);
  }
}

/* ---- what fails ---- */

static void errors_of_the_system_are_told(void) {
  size_t done = 9;
  gmx_poll p = file_open("/dev/full", O_WRONLY);
  CHECK_STATUS(gmx_write(p, "abc", 3, GMX_FOREVER, &done), -ENOSPC);
  CHECK_EQ(done, 0);
  close_fd(p);
  fds_left(0);
  CHECK_STATUS(gmx_open("/dev/null", O_RDONLY, 0, &p), -EMFILE);
  fds_again();
  CHECK_STATUS(gmx_open("/", O_WRONLY, 0, &p), -EISDIR);
}

static int interrupts;
static void interrupted(int number) { (void)number, bump(&interrupts); }

static int opener;
static void opens_on_thread(void *arg) {
  store(&opener, thread_id());
  opens_fifo(arg);
}

/* The system interrupts the open of a FIFO, and it is made again. */
static void a_signal_does_not_end_a_call(void) {
#ifdef __SANITIZE_THREAD__
  check_say("  left out: ThreadSanitizer delivers a signal at its own calls only");
  return;
#endif
  struct sigaction action, before;
  struct path fifo = path_in("fifo");
  struct placed at;
  memset(&action, 0, sizeof action);
  action.sa_handler = interrupted; /* without SA_RESTART */
  CHECK(sigaction(SIGUSR1, &action, &before) == 0);
  CHECK(mkfifo(fifo.text, 0600) == 0);
  interrupts = opened = opener = 0;
  place_start(&at, ON_THREAD, opens_on_thread, fifo.text);
  for (int i = 0; i < 10; i++) {
    spin_until(load(&opener) && thread_state(load(&opener)) == 'S');
    CHECK(pthread_kill(at.thread, SIGUSR1) == 0);
    spin_until(load(&interrupts) == i + 1);
    CHECK_EQ(load(&opened), 0);
  }
  int far = open(fifo.text, O_RDWR | O_CLOEXEC);
  CHECK_CMP(far, >=, 0);
  place_join(&at);
  CHECK_EQ(opened, 1);
  CHECK(close(far) == 0 && unlink(fifo.text) == 0);
  CHECK(sigaction(SIGUSR1, &before, NULL) == 0);
}

/* A token that is canceled ends none of these calls. */
static void under_a_token(void *arg) {
  gmx_cancel token, before;
  (void)arg;
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &token));
  CHECK_OK(gmx_cancel_use(token, &before));
  CHECK_OK(gmx_cancel_now(token));
  all_calls(NULL);
  CHECK_OK(gmx_cancel_use(before, NULL));
  CHECK_OK(gmx_cancel_free(token));
}
static void a_token_ends_nothing(void) { on_g(under_a_token, NULL); }

static void all_tests(void) {
  WITH_SOME_PS {
    RUN_G(every_call_works_everywhere);
    RUN_G(wrong_calls_change_nothing);
    RUN_G(large_files_have_their_bytes);
    RUN_G(many_parts_are_read_and_written);
    RUN_G(many_gs_share_a_file);
    RUN_G(blocked_calls_take_few_threads);
    RUN_G(a_close_waits_for_the_calls);
    RUN_G(errors_of_the_system_are_told);
    RUN_G(a_signal_does_not_end_a_call);
    RUN_G(a_token_ends_nothing);
  }
}

int main(void) {
  fill_random(bytes, SIZE, 1);
  dir_make();
  start_runtime(1, 0);
  long before = open_fds();
  all_tests();
  /* a system without reads that do not wait */
  static const long calls[] = {SYS_preadv2};
  if (refuse(calls, 1, ENOSYS)) all_tests();
  CHECK_CMP(open_fds(), <=, before + 2); /* the poller's */
  dir_remove();
  ends_clean();
  return 0;
}
