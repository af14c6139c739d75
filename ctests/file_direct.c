/* Files with O_DIRECT: no read of theirs is made on its P, by whichever way the descriptor came. */
#define _GNU_SOURCE 1
#include "files.h"

enum { BLOCK = 4096, BLOCKS = 64, SIZE = BLOCK * BLOCKS };

static char bytes[SIZE] __attribute__((aligned(BLOCK))), got[SIZE] __attribute__((aligned(BLOCK)));
static gmx_poll plain, direct, adopted;

static void make_files(void) {
  struct path path = path_in("blocks");
  size_t done;
  gmx_status status = gmx_open(path.text, O_RDWR | O_CREAT | O_EXCL | O_DIRECT, 0600, &direct);
  if (status == GMX_EINVAL) SKIP("this file system has no O_DIRECT");
  CHECK_OK(status);
  plain = file_open(path.text, O_RDONLY);
  int fd = open(path.text, O_RDWR | O_DIRECT | O_CLOEXEC);
  CHECK(fd >= 0);
  CHECK_OK(gmx_poll_open(fd, 0, &adopted));
  CHECK_OK(gmx_unlink(path.text, 0));
  CHECK_OK(gmx_pwrite(direct, bytes, SIZE / 2, 0, &done));
  CHECK_EQ(done, SIZE / 2);
  CHECK_OK(gmx_pwrite(adopted, bytes + SIZE / 2, SIZE / 2, SIZE / 2, &done));
  CHECK_EQ(done, SIZE / 2);
}

static void every_read(gmx_poll p) {
  gmx_io_op ops[BLOCKS];
  memset(got, 0, SIZE);
  CHECK_EQ(gmx_pread(p, got, SIZE, 0), SIZE);
  same_bytes(got, bytes, SIZE);
  CHECK_EQ(gmx_pread(p, got, SIZE, BLOCK), SIZE - BLOCK);
  same_bytes(got, bytes + BLOCK, SIZE - BLOCK);
  CHECK_EQ(gmx_pread(p, got, BLOCK, SIZE), 0);

  struct iovec v[2] = {{got, BLOCK}, {got + BLOCK, BLOCK}};
  memset(got, 0, SIZE);
  CHECK_EQ(gmx_preadv(p, v, 2, BLOCK), 2 * BLOCK);
  same_bytes(got, bytes + BLOCK, 2 * BLOCK);

  CHECK_EQ(gmx_read(p, got, BLOCK, GMX_FOREVER), BLOCK);
  same_bytes(got, bytes, BLOCK);
  CHECK_EQ(gmx_read(p, got, BLOCK, GMX_FOREVER), BLOCK);
  same_bytes(got, bytes + BLOCK, BLOCK);
  CHECK(lseek(gmx_poll_fd(p), 0, SEEK_SET) == 0);

  memset(got, 0, SIZE);
  for (size_t i = 0; i < BLOCKS; i++)
    ops[i] = (gmx_io_op){GMX_IO_READ, 0, p, got + i * BLOCK, BLOCK, (int64_t)(i * BLOCK), 0};
  CHECK_OK(gmx_io_batch(ops, BLOCKS, GMX_FOREVER));
  for (size_t i = 0; i < BLOCKS; i++) CHECK(ops[i].status == GMX_OK && ops[i].done == BLOCK);
  same_bytes(got, bytes, SIZE);
}

static void read_all(void *arg) {
  (void)arg;
  every_read(direct);
  every_read(adopted);
}

static void read_on_a_g(void) { read_all(NULL); }

static void has_no_reads_without_waiting(void) {
  CHECK_STATUS(gmx_pread(plain, got, BLOCK, 0), -EIO);
}

static void close_files(void) {
  close_fd(plain);
  close_fd(direct);
  close_fd(adopted);
}

int main(void) {
  fill_random(bytes, SIZE, 3);
  dir_make();
  start_runtime(1, 0);
  RUN_G(make_files);
  RUN_G(read_on_a_g);
  /* Now each read without waiting fails: so no read of a direct file is one. */
  static const long calls[] = {SYS_preadv2};
  if (refuse(calls, 1, EIO)) {
    RUN_G(has_no_reads_without_waiting);
    for (enum place place = ON_G; place < PLACES; place++) {
      struct placed at;
      place_start(&at, place, read_all, NULL);
      place_join(&at);
    }
  }
  RUN_G(close_files);
  dir_remove();
  ends_clean();
  return 0;
}
