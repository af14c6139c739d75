/* gmx_io_batch: many operations at a time, each with its own result. */
/* timeout: 120 */
#define _GNU_SOURCE 1
#include "files.h"

enum { MOST = 10000, PIECE = 512, SIZE = MOST * PIECE };

static char bytes[SIZE], got[SIZE];
static gmx_io_op ops[MOST];

static gmx_io_op op_of(uint32_t what, gmx_poll p, void *buf, size_t n, int64_t offset) {
  gmx_io_op op = {what, 77, p, buf, n, offset, 99};
  return op;
}

static void forget(gmx_poll p) {
  CHECK_OK(gmx_fsync(p));
  CHECK(posix_fadvise(gmx_poll_fd(p), 0, 0, POSIX_FADV_DONTNEED) == 0);
}

static void written_and_read(size_t n) {
  gmx_poll p = file_with("", 0);
  for (size_t i = 0; i < n; i++)
    ops[i] = op_of(GMX_IO_WRITE, p, bytes + i * PIECE, PIECE, (int64_t)(i * PIECE));
  CHECK_OK(gmx_io_batch(ops, n, GMX_FOREVER));
  for (size_t i = 0; i < n; i++) {
    CHECK_OK(ops[i].status);
    CHECK_EQ(ops[i].done, PIECE);
  }
  for (int cold = 0; cold < 2; cold++) {
    if (cold) forget(p);
    memset(got, 0, n * PIECE);
    for (size_t i = 0; i < n; i++)
      ops[i] = op_of(GMX_IO_READ, p, got + i * PIECE, PIECE, (int64_t)(i * PIECE));
    CHECK_OK(gmx_io_batch(ops, n, GMX_FOREVER));
    for (size_t i = 0; i < n; i++) CHECK(ops[i].status == GMX_OK && ops[i].done == PIECE);
    same_bytes(got, bytes, n * PIECE);
  }
  close_fd(p);
}

static void any_number(void *arg) {
  static const size_t sizes[] = {0, 1, 2, 33, MOST};
  (void)arg;
  CHECK_OK(gmx_io_batch(NULL, 0, GMX_FOREVER));
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) written_and_read(sizes[i]);
}

static void any_number_is_done_everywhere(void) {
  for (enum place place = ON_G; place < PLACES; place++) {
    struct placed at;
    place_start(&at, place, any_number, NULL);
    place_join(&at);
  }
}

static void an_error_in_one_leaves_the_others(void) {
  gmx_poll p = file_with(bytes, 1000), full = file_open("/dev/full", O_WRONLY), closed = file_with("", 0);
  close_fd(closed);
  char a[100], b[100], c[2000];
  gmx_io_op some[] = {
      op_of(GMX_IO_READ, p, a, sizeof a, 0),       op_of(GMX_IO_READ, closed, a, 1, 0),
      op_of(GMX_IO_READ, p, c, sizeof c, 0),       op_of(GMX_IO_READ, p, NULL, 1, 0),
      op_of(GMX_IO_READ, p, b, sizeof b, -1),      op_of(99, p, b, sizeof b, 0),
      op_of(GMX_IO_WRITE, full, bytes, 10, 0),     op_of(GMX_IO_WRITE, p, bytes, 0, 0),
      op_of(GMX_IO_FSYNC, p, NULL, 0, 0),          op_of(GMX_IO_FDATASYNC, p, NULL, 0, 0),
      op_of(GMX_IO_FSYNC, closed, NULL, 0, 0),     op_of(GMX_IO_READ, p, b, sizeof b, 950),
      op_of(GMX_IO_READ, p, b, 0, 0),
  };
  static const struct {
    gmx_status status;
    size_t done;
  } wanted[] = {
      {GMX_OK, 100},    {GMX_EBADF, 0}, {GMX_OK, 1000}, {GMX_EINVAL, 0}, {GMX_EINVAL, 0}, {GMX_EINVAL, 0}, {-ENOSPC, 0},
      {GMX_OK, 0}, {GMX_OK, 0},    {GMX_OK, 0},    {GMX_EBADF, 0},  {GMX_OK, 50},    {GMX_OK, 0},
  };
  CHECK_OK(gmx_io_batch(some, sizeof some / sizeof *some, GMX_FOREVER));
  for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
    if (some[i].status != wanted[i].status || some[i].done != wanted[i].done)
      FAIL("operation %zu: %s, %zu bytes", i, gmx_err_name(some[i].status), some[i].done);
  }
  same_bytes(a, bytes, 100);
  same_bytes(c, bytes, 1000);
  same_bytes(b, bytes + 950, 50);
  CHECK_STATUS(gmx_io_batch(NULL, 1, GMX_FOREVER), GMX_EINVAL);
  close_fd(p);
  close_fd(full);
}

/* What is in memory is read, and nothing else begins. */
static void after_the_timeout_nothing_begins(void) {
  gmx_poll p = file_with(bytes, SIZE);
  size_t late = 0;
  for (size_t i = 0; i < 100; i++)
    ops[i] = op_of(i % 2 ? GMX_IO_READ : GMX_IO_WRITE, p, got, PIECE, (int64_t)(i * PIECE));
  memset(got, 1, PIECE);
  CHECK_STATUS(gmx_io_batch(ops, 100, 0), GMX_ETIMEDOUT);
  for (size_t i = 0; i < 100; i++) {
    if (ops[i].status == GMX_ETIMEDOUT) {
      late++;
      CHECK_EQ(ops[i].done, 0);
    } else CHECK(i % 2 && ops[i].status == GMX_OK && ops[i].done == PIECE);
  }
  CHECK_CMP(late, >=, 50);
  CHECK_EQ(gmx_pread(p, got, SIZE, 0), SIZE);
  same_bytes(got, bytes, SIZE);
  close_fd(p);
}

static void many_batches(void *arg) {
  gmx_poll p = *(gmx_poll *)arg;
  char mine[8][PIECE];
  gmx_io_op eight[8];
  for (int i = 0; i < 50; i++) {
    for (int k = 0; k < 8; k++) eight[k] = op_of(GMX_IO_READ, p, mine[k], PIECE, (i * 8 + k) * PIECE);
    CHECK_OK(gmx_io_batch(eight, 8, GMX_FOREVER));
    for (int k = 0; k < 8; k++) same_bytes(mine[k], bytes + (i * 8 + k) * PIECE, PIECE);
  }
}

static int all_done;
static void *stops_again_and_again(void *arg) {
  while (!load(&all_done)) {
    CHECK_OK(gmx_stop_the_world("batches"));
    CHECK_OK(gmx_start_the_world());
  }
  return arg;
}

/* After a stop their Gs continue on other threads, in the middle of a batch as well. */
static void many_batches_run_at_a_time(void) {
  gmx_poll p = file_with(bytes, SIZE);
  gmx_g gs[40];
  forget(p);
  store(&all_done, 0);
  pthread_t stopper = thread_start(stops_again_and_again, NULL);
  for (int i = 0; i < 40; i++) gs[i] = go_joinable(many_batches, &p);
  join_all(gs, 40);
  store(&all_done, 1);
  /* A stop waits for a goroutine that is in a call of the system without the library's knowledge. */
  CHECK_OK(gmx_enter_syscall_blocking());
  thread_join(stopper);
  CHECK_OK(gmx_exit_syscall());
  close_fd(p);
}

static void all_tests(void) {
  WITH_SOME_PS {
    RUN_G(any_number_is_done_everywhere);
    RUN_G(an_error_in_one_leaves_the_others);
    RUN_G(after_the_timeout_nothing_begins);
    RUN_G(many_batches_run_at_a_time);
  }
}

int main(void) {
  fill_random(bytes, SIZE, 3);
  dir_make();
  start_runtime(1, 0);
  all_tests();
  static const long calls[] = {SYS_preadv2};
  if (refuse(calls, 1, ENOSYS)) all_tests();
  dir_remove();
  ends_clean();
  return 0;
}
