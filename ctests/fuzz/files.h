/* Files: calls on handles of any kind and on names, copies and batches. A file that only one actor knows has what was
 * written to it. */
#ifndef GOMAX_FUZZ_FILES_H
#define GOMAX_FUZZ_FILES_H

#include "descriptors.h"

#include <sys/stat.h>

static char files_dir[40];

struct file_name {
  char text[60];
};

static struct file_name file_name(actor *a) {
  struct file_name name;
  snprintf(name.text, sizeof name.text, "%s/%c", files_dir, (int)('a' + rnd(a, 4)));
  return name;
}

#define NAMED(a, expr) \
  WAITS_ON(a, some(expr), GMX_OK, GMX_ENOMEM, DOWN(a), -ENOENT, -EEXIST, -ENOTDIR, -EISDIR, -ENOTEMPTY, -ENXIO, GMX_EINVAL, GMX_EBADF)
#define ON_FILE(a, expr) WAITS_ON(a, some(expr), GMX_OK, GMX_ENOMEM, DOWN(a), -ENODEV, -EAGAIN, IO_ERRORS)

static void names_of_files(actor *a) {
  struct file_name one = file_name(a), other = file_name(a);
  gmx_poll p = 0;
  struct statx what;
  switch (rnd(a, 8)) {
    case 0:
    case 1:
    case 2: {
      static const int flags[] = {O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_EXCL, O_RDONLY, O_WRONLY | O_CREAT | O_APPEND, O_RDONLY | O_DIRECTORY};
      gmx_status s = gmx_open(one.text, flags[rnd(a, 5)], 0600, &p);
      NAMED(a, s);
      if ((s == GMX_OK) != (p != 0)) LOST(a, "a file is %#" PRIx64 ", and %s", p, gmx_err_name(s));
      if (p) keeps(a, p);
      break;
    }
    case 3: NAMED(a, gmx_rename(one.text, other.text, one_in(a, 3))); break;
    case 4: NAMED(a, gmx_unlink(one.text, one_in(a, 4) ? AT_REMOVEDIR : 0)); break;
    case 5: NAMED(a, gmx_mkdir(one.text, 0700)); break;
    case 6: NAMED(a, gmx_statx(one_in(a, 3) ? descriptor(a) : 0, one.text, 0, STATX_BASIC_STATS, &what)); break;
    default:
      IS(a, gmx_open(NULL, O_RDONLY, 0, &p), GMX_EINVAL);
      IS(a, gmx_open(one.text, O_RDONLY, 0, NULL), GMX_EINVAL);
      IS(a, gmx_rename(one.text, NULL, 0), GMX_EINVAL);
      IS(a, gmx_rename(NULL, one.text, 0), GMX_EINVAL);
      IS(a, gmx_unlink(NULL, 0), GMX_EINVAL);
      IS(a, gmx_mkdir(NULL, 0), GMX_EINVAL);
      IS(a, gmx_statx(0, NULL, 0, 0, &what), GMX_EINVAL);
      IS(a, gmx_statx(0, one.text, 0, 0, NULL), GMX_EINVAL);
  }
}

static void at_places(actor *a) {
  gmx_poll p = descriptor(a), q = descriptor(a);
  char bytes[600];
  size_t n = rnd(a, sizeof bytes), half = rnd(a, n + 1), done = 0;
  uint64_t copied = 0;
  struct iovec v[] = {{bytes, half}, {bytes + half, n - half}};
  int64_t at = (int64_t)rnd(a, 5000);
  memset(bytes, 0, sizeof bytes);
  if (p == atomic_load(&counter) || q == atomic_load(&counter)) return;
  switch (rnd(a, 13)) {
    case 0: ON_FILE(a, gmx_pread(p, bytes, n, at)); break;
    case 11: WAITS_ON(a, some(gmx_readdir(p, bytes, n)), GMX_OK, GMX_ENOMEM, DOWN(a), -ENOTDIR, -ENOENT, IO_ERRORS); break;
    case 1: ON_FILE(a, gmx_preadv(p, v, 2, at)); break;
    case 2: ON_FILE(a, gmx_pwrite(p, bytes, n, at, &done)); break;
    case 3: ON_FILE(a, gmx_pwritev(p, v, 2, at, &done)); break;
    case 4: ON_FILE(a, gmx_fsync(p)); break;
    case 5: ON_FILE(a, gmx_fdatasync(p)); break;
    case 6: ON_FILE(a, gmx_ftruncate(p, one_in(a, 8) ? -at : at)); break;
    case 7: ON_FILE(a, gmx_fallocate(p, one_in(a, 8) ? 99 : 0, at, (int64_t)n)); break;
    case 8: {
      gmx_status s = gmx_copy(p, q, n, &copied, wait_for(a));
      WAITS(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a), -EAGAIN, IO_ERRORS);
      if (copied > n) LOST(a, "%" PRIu64 " of %zu bytes are copied", copied, n);
      break;
    }
    case 9: {
      gmx_io_op ops[] = {{(uint32_t)rnd(a, 6), 7, p, bytes, half, at, 9}, {(uint32_t)rnd(a, 4), 7, q, bytes + half, n - half, at, 9}};
      gmx_status s = gmx_io_batch(ops, rnd(a, 3), one_in(a, 3) ? -1 : wait_for(a));
      WAITS_ON(a, s, GMX_OK, GMX_ETIMEDOUT, GMX_ENOMEM, DOWN(a));
      break;
    }
    case 10: {
      gmx_poll none = next_random(&a->seed);
      IS_STALE(a, gmx_pread(none, bytes, 1, 0));
      IS_STALE(a, gmx_fsync(none));
      IS_STALE(a, gmx_copy(none, none, 1, NULL, 0));
      break;
    }
    default:
      IS(a, gmx_pread(p, NULL, 1, 0), GMX_EINVAL);
      IS(a, gmx_pread(p, bytes, 1, -1), GMX_EINVAL);
      IS(a, gmx_preadv(p, v, -1, 0), GMX_EINVAL);
      IS(a, gmx_pwrite(p, NULL, 1, 0, &done), GMX_EINVAL);
      IS(a, gmx_pwritev(p, NULL, 1, 0, &done), GMX_EINVAL);
      IS(a, gmx_io_batch(NULL, 1, 0), GMX_EINVAL);
      IS(a, gmx_readdir(p, NULL, 1), GMX_EINVAL);
  }
}

/* No other actor knows this file. */
static void my_own_file(actor *a) {
  if (!a->g || a->sched || may_wait(a) != GMX_OK) return; /* the runtime stays up */
  gmx_poll p = 0;
  char out[500], in[500];
  size_t n = 1 + rnd(a, sizeof out), done = 0;
  int64_t at = (int64_t)rnd(a, 10000);
  struct statx what;
  int fd = memfd_create("own", MFD_CLOEXEC);
  gmx_status s = gmx_poll_open(fd, 0, &p);
  MAY(a, s, GMX_OK, GMX_ENOMEM);
  if (s != GMX_OK) {
    CHECK(close(fd) == 0);
    return;
  }
  for (size_t i = 0; i < n; i++) out[i] = (char)next_random(&a->seed);
  IS(a, gmx_pwrite(p, out, n, at, &done), GMX_OK);
  IS(a, gmx_statx(p, NULL, 0, STATX_SIZE, &what), GMX_OK);
  if (done != n || what.stx_size != n + (size_t)at) LOST(a, "a file has %d bytes", (int)what.stx_size);
  if (one_in(a, 2)) {
    IS(a, gmx_pread(p, in, sizeof in, at), (gmx_status)n);
  } else {
    gmx_io_op op = {GMX_IO_READ, 1, p, in, sizeof in, at, 0};
    IS(a, gmx_io_batch(&op, 1, GMX_FOREVER), GMX_OK);
    IS(a, op.status, GMX_OK);
    if (op.done != n) LOST(a, "%zu bytes of %zu", op.done, n);
  }
  if (memcmp(in, out, n) != 0) LOST(a, "other bytes");
  IS(a, gmx_pread(p, in, 1, at + (int64_t)n), 0);
  IS(a, gmx_ftruncate(p, 1), GMX_OK);
  IS(a, gmx_pread(p, in, 2, 0), 1);
  CHECK(closes_own(a, p));
  IS(a, gmx_fsync(p), GMX_EBADF);
}

static void files(actor *a) {
  switch (rnd(a, 5)) {
    case 0: my_own_file(a); break;
    case 1: names_of_files(a); break;
    default: at_places(a);
  }
}

static void files_begin(void) {
  strcpy(files_dir, "/tmp/gomax-fuzz-XXXXXX");
  CHECK(mkdtemp(files_dir) != NULL);
}

static void files_end(void) {
  for (char c = 'a'; c < 'e'; c++) {
    char name[60];
    snprintf(name, sizeof name, "%s/%c", files_dir, c);
    if (unlink(name) != 0) rmdir(name);
  }
  CHECK(rmdir(files_dir) == 0);
}

#endif /* GOMAX_FUZZ_FILES_H */
