/* Examples of the manual: files. */
#include <gomax.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* example: gmx_open gmx_pwrite gmx_fsync gmx_rename gmx_unlink */
#include <fcntl.h>

// Replaces a file so that a crash leaves the old one or the new one, and never a half.
static gmx_status save(const char *path, const char *fresh, const void *text, size_t n) {
  gmx_poll file; // a handle as that of a socket; gmx_close ends it
  gmx_status status = gmx_open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0600, &file);
  if (status != GMX_OK) return status; // -EACCES and so on
  status = gmx_pwrite(file, text, n, 0, NULL); // all of it, or an error: -ENOSPC
  if (status == GMX_OK) status = gmx_fsync(file); // on the disk before it has the name
  gmx_close(file);
  if (status == GMX_OK) status = gmx_rename(fresh, path, 0);
  if (status != GMX_OK) (void)!gmx_unlink(fresh, 0);
  return status;
}
/* end */

struct record {
  char name[12];
  int value;
};

/* example: gmx_pread */
// Any number of goroutines may do this at once: the file has no place that moves.
static gmx_status read_record(gmx_poll file, int64_t number, struct record *to) {
  const int64_t size = sizeof *to;
  gmx_status n = gmx_pread(file, to, sizeof *to, number * size);
  if (n == 0) return -ENOENT;              // the file ends there
  return n == size ? GMX_OK : n < 0 ? n : GMX_EINVAL; // it ends in the record
}
/* end */

/* example: gmx_pwritev gmx_preadv gmx_fdatasync */
#include <sys/uio.h>

struct log_head {
  uint32_t size, sum;
};

// Writes an entry at the end of a log; it survives a crash when the call returns.
static gmx_status log_append(gmx_poll log, int64_t *end, struct log_head head, void *body) {
  struct iovec parts[] = {{&head, sizeof head}, {body, head.size}};
  gmx_status status = gmx_pwritev(log, parts, 2, *end, NULL);
  if (status == GMX_OK) status = gmx_fdatasync(log); // its size too, but not its times
  if (status == GMX_OK) *end += (int64_t)(sizeof head + head.size);
  return status; // after an error the next entry takes the same place
}

static bool log_read(gmx_poll log, int64_t at, struct log_head *head, void *to,
                     size_t room) {
  struct iovec parts[] = {{head, sizeof *head}, {to, room}};
  gmx_status n = gmx_preadv(log, parts, 2, at); // perhaps more than this entry
  return n >= (gmx_status)sizeof *head && (size_t)n - sizeof *head >= head->size;
}
/* end */

/* example: gmx_ftruncate */
// After a crash: cuts off what does not make a whole record.
static gmx_status repair(gmx_poll file, int64_t size) {
  return gmx_ftruncate(file, size - size % (int64_t)sizeof(struct record));
}
/* end */

/* example: gmx_fallocate */
// Takes the room for a download first: it then does not end half way, with ENOSPC.
static gmx_status reserve(gmx_poll file, int64_t size) {
  gmx_status status = gmx_fallocate(file, 0, 0, size);
  return status == GMX_ENOTSUP ? GMX_OK : status; // this file system promises nothing
}
/* end */

/* example: gmx_statx */
#include <sys/stat.h>

static int64_t size_of(const char *path) {
  struct statx what;
  gmx_status status = gmx_statx(0, path, 0, STATX_SIZE | STATX_TYPE, &what);
  if (status != GMX_OK) return status; // -ENOENT
  return S_ISREG(what.stx_mode) ? (int64_t)what.stx_size : GMX_EINVAL;
}
/* end */

/* example: gmx_mkdir */
// For "a/b/file" makes the directories a and a/b. Changes path, and changes it back.
static gmx_status make_path(char *path) {
  gmx_status status = GMX_OK;
  for (char *at = path; status == GMX_OK && (at = strchr(at + 1, '/')) != NULL; *at = '/') {
    *at = 0;
    status = gmx_mkdir(path, 0700);
    if (status == -EEXIST) status = GMX_OK; // it was there, or another one was faster
  }
  return status;
}
/* end */

/* example: gmx_readdir */
#include <dirent.h>

static int count_files(const char *path) {
  struct dirent64 entries[16]; // as many as fit, and often more: names are short
  int files = 0;
  gmx_poll directory;
  gmx_status n = gmx_open(path, O_RDONLY | O_DIRECTORY, 0, &directory);
  if (n != GMX_OK) return n;
  while ((n = gmx_readdir(directory, entries, sizeof entries)) > 0)
    for (gmx_status at = 0; at < n;) {
      struct dirent64 *entry = (struct dirent64 *)((char *)entries + at);
      files += entry->d_type == DT_REG; // "." and ".." are directories
      at += entry->d_reclen;
    }
  gmx_close(directory);
  return n < 0 ? n : files;
}
/* end */

/* example: gmx_copy */
// Sends a file; the system moves the bytes, and this process does not see them.
static gmx_status send_file(const char *path, gmx_poll conn, uint64_t *sent) {
  gmx_poll file;
  *sent = 0;
  gmx_status status = gmx_open(path, O_RDONLY, 0, &file);
  if (status != GMX_OK) return status;
  status = gmx_copy(file, conn, UINT64_MAX, sent, 30000000000); // UINT64_MAX: all
  gmx_close(file);
  return status; // GMX_EPIPE: the client has gone, after *sent bytes
}
/* end */

/* example: gmx_io_batch */
// Reads scattered records at the same time: a disk serves many sooner than one by one.
static gmx_status read_records(gmx_poll file, const int64_t *numbers, int n,
                               struct record *to) {
  gmx_io_op ops[32];
  const size_t size = sizeof *to;
  if (n > 32) return GMX_EINVAL;
  for (int i = 0; i < n; i++)
    ops[i] = (gmx_io_op){.op = GMX_IO_READ, .p = file, .buf = &to[i], .n = size,
                         .offset = numbers[i] * (int64_t)size};
  gmx_status status = gmx_io_batch(ops, (size_t)n, 5000000000);
  for (int i = 0; i < n && status == GMX_OK; i++) { // each has a status of its own
    status = ops[i].status;
    if (status == GMX_OK && ops[i].done != size) status = -ENOENT;
  }
  return status;
}
/* end */

static void all(void *arg) {
  (void)arg;
  static char path[] = "files.tmp/a/b/", one[] = "files.tmp/a/b/one", two[] = "files.tmp/a/b/two";
  struct record records[3] = {{"one", 1}, {"two", 2}, {"three", 3}}, got[2];
  const int64_t size = sizeof records[0];
  assert(make_path(path) == GMX_OK && make_path(path) == GMX_OK);
  assert(save(one, two, records, sizeof records) == GMX_OK && size_of(one) == sizeof records);
  assert(save(two, one, "x", 1) == GMX_OK && count_files(path) == 1 && size_of(one) == -ENOENT);
  assert(save(two, "files.tmp/none/x", "x", 1) == -ENOENT && save(path, one, "x", 1) < 0);
  assert(size_of(one) == -ENOENT && size_of(path) == GMX_EINVAL);

  gmx_poll file;
  int64_t end = 0;
  assert(save(one, two, records, sizeof records) == GMX_OK);
  assert(gmx_open(one, O_RDWR, 0, &file) == GMX_OK);
  assert(read_record(file, 2, got) == GMX_OK && got[0].value == 3 && read_record(file, 3, got) == -ENOENT);
  assert(read_records(file, (int64_t[]){2, 0}, 2, got) == GMX_OK && got[0].value == 3 && got[1].value == 1);
  assert(read_records(file, (int64_t[]){2, 9}, 2, got) == -ENOENT);
  assert(repair(file, 3 * size - 1) == GMX_OK && size_of(one) == 2 * size);
  assert(reserve(file, 4 * size) == GMX_OK && size_of(one) % size == 0);
  assert(repair(file, 0) == GMX_OK && size_of(one) == 0);

  struct log_head head = {5, 1};
  char text[8] = "";
  static char hello[] = "hello";
  assert(log_append(file, &end, head, hello) == GMX_OK && end == 13);
  assert(log_append(file, &end, head, hello) == GMX_OK && end == 26);
  memset(&head, 0, sizeof head);
  assert(log_read(file, 13, &head, text, sizeof text) && head.size == 5 && strcmp(text, "hello") == 0);
  assert(!log_read(file, 26, &head, text, sizeof text));
  gmx_close(file);

  int fds[2];
  gmx_poll a, b;
  uint64_t sent;
  assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  assert(gmx_poll_open(fds[0], 0, &a) == GMX_OK && gmx_poll_open(fds[1], 0, &b) == GMX_OK);
  assert(send_file(one, a, &sent) == GMX_OK && sent == 26);
  gmx_close(b);
  assert(send_file(one, a, &sent) == GMX_EPIPE && sent == 0);
  gmx_close(a);

  const char *const directories[] = {"files.tmp/a/b", "files.tmp/a", "files.tmp"};
  assert(gmx_unlink(one, 0) == GMX_OK);
  for (int i = 0; i < 3; i++) assert(gmx_unlink(directories[i], AT_REMOVEDIR) == GMX_OK);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
