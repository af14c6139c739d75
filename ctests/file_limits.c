/* A file that may grow no more, by RLIMIT_FSIZE: writes, copies and batches tell how much went. (A full device is in
 * files.c.) The host ignores SIGXFSZ, which would end it. */
#include "files.h"

#include <sys/resource.h>

enum { LIMIT = 10000 };
static char bytes[3 * LIMIT], got[3 * LIMIT];

static void limit_to(rlim_t most) {
  struct rlimit limit;
  CHECK(getrlimit(RLIMIT_FSIZE, &limit) == 0);
  limit.rlim_cur = most;
  CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static gmx_poll limited_file(void) {
  gmx_poll p = file_with("", 0);
  limit_to(LIMIT);
  return p;
}

/* The limit is as before, and the file has so many of the bytes. */
static void has_only(gmx_poll p, size_t n) {
  limit_to(RLIM_INFINITY);
  memset(got, 0, sizeof got);
  CHECK_EQ(gmx_pread(p, got, sizeof got, 0), n);
  same_bytes(got, bytes, n);
}

static void a_write_tells_how_much_went(void) {
  gmx_poll p = limited_file();
  size_t done = 0;
  CHECK_STATUS(gmx_pwrite(p, bytes, 2 * LIMIT, 0, &done), -EFBIG);
  CHECK_EQ(done, LIMIT);
  CHECK_STATUS(gmx_pwrite(p, bytes, 1, LIMIT, &done), -EFBIG);
  CHECK_EQ(done, 0);
  CHECK_STATUS(gmx_ftruncate(p, LIMIT + 1), -EFBIG);
  has_only(p, LIMIT);
  CHECK_OK(gmx_ftruncate(p, 0));
  limit_to(LIMIT);
  struct iovec v[] = {{bytes, 100}, {bytes + 100, 2 * LIMIT}};
  CHECK_STATUS(gmx_writev(p, v, 2, GMX_FOREVER, &done), -EFBIG);
  CHECK_EQ(done, LIMIT);
  has_only(p, LIMIT);
  close_fd(p);
}

static void an_operation_that_fails_leaves_the_others(void) {
  gmx_poll p = limited_file();
  gmx_io_op ops[] = {{GMX_IO_WRITE, 1, p, bytes, 100, 0, 0}, {GMX_IO_WRITE, 1, p, bytes + 100, 2 * LIMIT, 100, 0}};
  CHECK_OK(gmx_io_batch(ops, 2, GMX_FOREVER));
  CHECK_OK(ops[0].status);
  CHECK_EQ(ops[0].done, 100);
  CHECK_STATUS(ops[1].status, -EFBIG);
  CHECK_EQ(ops[1].done, LIMIT - 100);
  has_only(p, LIMIT);
  close_fd(p);
}

/* From a file, from a stream, and from a pipe. */
static void a_copy_tells_how_much_went(void) {
  for (int kind = -1; kind < PAIR_KINDS; kind++) {
    struct pair pair = {{-1, -1}, {0, 0}};
    gmx_poll from;
    uint64_t done = 0;
    if (kind < 0) {
      from = file_with(bytes, sizeof bytes);
    } else {
      pair = pair_of((enum pair_kind)kind);
      feed(pair.fd[1], bytes, sizeof bytes);
      from = pair.p[0];
    }
    gmx_poll to = limited_file();
    CHECK_STATUS(gmx_copy(from, to, sizeof bytes, &done, GMX_FOREVER), -EFBIG);
    CHECK_EQ(done, LIMIT);
    has_only(to, LIMIT);
    close_fd(to);
    if (kind < 0) {
      CHECK_EQ(gmx_read(from, got, 1, GMX_FOREVER), 1); /* it stays behind what was copied */
      CHECK_EQ(got[0], bytes[LIMIT]);
      close_fd(from);
    } else {
      pair_close(&pair);
    }
  }
}

int main(void) {
  struct sigaction ignores;
  memset(&ignores, 0, sizeof ignores);
  ignores.sa_handler = SIG_IGN;
  CHECK(sigaction(SIGXFSZ, &ignores, NULL) == 0);
  fill_random(bytes, sizeof bytes, 7);
  dir_make();
  RUN_G(a_write_tells_how_much_went);
  RUN_G(an_operation_that_fails_leaves_the_others);
  RUN_G(a_copy_tells_how_much_went);
  dir_remove();
  ends_clean();
  return 0;
}
