/*
 * Files for tests.
 *
 *   dir_make dir_remove path_in     a directory of the test's own, and names in it
 *   file_open file_with             a handle of a file, new and empty or with bytes
 *   fill_random same_bytes          bytes that differ everywhere, and their comparison
 *   refuse                          the system has these calls no more, for the rest of the program
 *
 * Each call of the interface here also checks that errno of the caller is what it was.
 */
#ifndef GOMAX_FILES_H
#define GOMAX_FILES_H

#include "fds.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define gmx_open(...) KEEPS_ERRNO(gmx_open, __VA_ARGS__)
#define gmx_pread(...) KEEPS_ERRNO(gmx_pread, __VA_ARGS__)
#define gmx_preadv(...) KEEPS_ERRNO(gmx_preadv, __VA_ARGS__)
#define gmx_pwrite(...) KEEPS_ERRNO(gmx_pwrite, __VA_ARGS__)
#define gmx_pwritev(...) KEEPS_ERRNO(gmx_pwritev, __VA_ARGS__)
#define gmx_fsync(...) KEEPS_ERRNO(gmx_fsync, __VA_ARGS__)
#define gmx_fdatasync(...) KEEPS_ERRNO(gmx_fdatasync, __VA_ARGS__)
#define gmx_ftruncate(...) KEEPS_ERRNO(gmx_ftruncate, __VA_ARGS__)
#define gmx_fallocate(...) KEEPS_ERRNO(gmx_fallocate, __VA_ARGS__)
#define gmx_statx(...) KEEPS_ERRNO(gmx_statx, __VA_ARGS__)
#define gmx_readdir(...) KEEPS_ERRNO(gmx_readdir, __VA_ARGS__)
#define gmx_rename(...) KEEPS_ERRNO(gmx_rename, __VA_ARGS__)
#define gmx_unlink(...) KEEPS_ERRNO(gmx_unlink, __VA_ARGS__)
#define gmx_mkdir(...) KEEPS_ERRNO(gmx_mkdir, __VA_ARGS__)
#define gmx_copy(...) KEEPS_ERRNO(gmx_copy, __VA_ARGS__)
#define gmx_io_batch(...) KEEPS_ERRNO(gmx_io_batch, __VA_ARGS__)

static char files_dir[64];

struct path {
  char text[128];
};

CHECK_UNUSED static struct path path_in(const char *name) {
  struct path path;
  snprintf(path.text, sizeof path.text, "%s/%s", files_dir, name);
  return path;
}

CHECK_UNUSED static void dir_make(void) {
  strcpy(files_dir, "/tmp/gomax-files-XXXXXX");
  CHECK(mkdtemp(files_dir) != NULL);
}

/* It is empty. */
CHECK_UNUSED static void dir_remove(void) { CHECK(rmdir(files_dir) == 0); }

CHECK_UNUSED static gmx_poll file_open(const char *path, int flags) {
  gmx_poll p = 0;
  CHECK_OK(gmx_open(path, flags, 0600, &p));
  CHECK(p != 0 && fcntl(gmx_poll_fd(p), F_GETFD) == FD_CLOEXEC);
  return p;
}

/* A file without a name, at its beginning. */
CHECK_UNUSED static gmx_poll file_with(const void *bytes, size_t n) {
  gmx_poll p = file_open(path_in("nameless").text, O_RDWR | O_CREAT | O_EXCL);
  CHECK_OK(gmx_unlink(path_in("nameless").text, 0));
  size_t done = 1;
  CHECK_OK(gmx_pwrite(p, bytes, n, 0, &done));
  CHECK_EQ(done, n);
  return p;
}

CHECK_UNUSED static void fill_random(void *bytes, size_t n, uint64_t seed) {
  unsigned char *p = (unsigned char *)bytes;
  for (uint64_t x = seed * 2 + 1; n; n--) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    *p++ = (unsigned char)(x >> 24);
  }
}

CHECK_UNUSED static void same_bytes(const void *got, const void *want, size_t n) {
  const unsigned char *a = (const unsigned char *)got, *b = (const unsigned char *)want;
  for (size_t i = 0; i < n; i++)
    if (a[i] != b[i]) FAIL("byte %zu of %zu is %d, not %d", i, n, a[i], b[i]);
}

/* Every thread gets `error` from these calls. False: there are no filters here. */
CHECK_UNUSED static bool refuse(const long *calls, unsigned n, int error) {
  struct sock_filter f[16] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
  CHECK(n <= 12);
  for (unsigned i = 0; i < n; i++)
    f[1 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i], (uint8_t)(n - i), 0);
  f[1 + n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  f[2 + n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error);
  struct sock_fprog program = {(unsigned short)(n + 3), f};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

#endif /* GOMAX_FILES_H */
