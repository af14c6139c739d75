/* gmx_readdir: each entry of a directory once, from every kind of thread; and what is no directory. */
#define _GNU_SOURCE 1
#include "files.h"

#include <dirent.h>

enum { NAMES = 1000, LARGEST = 280 };

static bool seen[NAMES];
static struct dirent64 entries[16];

static struct path numbered(int i) {
  char name[32];
  snprintf(name, sizeof name, "entry-%d", i);
  return path_in(name);
}

/* Returns how many of the test's own entries it has seen. */
static int look_at(const struct dirent64 *entry) {
  int i;
  if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) return 0;
  CHECK(sscanf(entry->d_name, "entry-%d", &i) == 1 && i >= 0 && i < NAMES);
  CHECK(!seen[i]);
  seen[i] = true;
  return 1;
}

static int read_on(gmx_poll p, size_t room) {
  int all = 0;
  gmx_status n;
  while ((n = gmx_readdir(p, entries, room)) > 0) {
    CHECK_CMP(n, <=, (gmx_status)room);
    for (gmx_status at = 0; at < n;) {
      const struct dirent64 *entry = (const struct dirent64 *)((const char *)entries + at);
      all += look_at(entry);
      at += entry->d_reclen;
    }
  }
  CHECK_OK(n);
  return all;
}

static void each_entry_once(void *arg) {
  gmx_poll p = file_open(files_dir, O_RDONLY | O_DIRECTORY);
  (void)arg;
  for (size_t room = LARGEST; room <= sizeof entries; room += 1000) {
    memset(seen, 0, sizeof seen);
    CHECK_EQ(read_on(p, room), NAMES);
    /* it is at its end, and stays there */
    CHECK_EQ(gmx_readdir(p, entries, sizeof entries), 0);
    CHECK(lseek(gmx_poll_fd(p), 0, SEEK_SET) == 0);
  }
  CHECK_STATUS(gmx_readdir(p, entries, 8), GMX_EINVAL);
  CHECK_STATUS(gmx_readdir(p, entries, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_readdir(p, NULL, 100), GMX_EINVAL);
  /* which has changed nothing */
  memset(seen, 0, sizeof seen);
  CHECK_EQ(read_on(p, sizeof entries), NAMES);
  close_fd(p);
  CHECK_STATUS(gmx_readdir(p, entries, sizeof entries), GMX_EBADF);
}

static void what_is_no_directory(void *arg) {
  int ends[2];
  (void)arg;
  gmx_poll file = file_open(numbered(0).text, O_RDONLY);
  CHECK_STATUS(gmx_readdir(file, entries, sizeof entries), -ENOTDIR);
  close_fd(file);
  CHECK(pipe2(ends, O_CLOEXEC) == 0);
  gmx_poll p;
  CHECK_OK(gmx_poll_open(ends[0], 0, &p));
  CHECK_STATUS(gmx_readdir(p, entries, sizeof entries), -ENOTDIR);
  close_fd(p);
  close(ends[1]);
  CHECK_STATUS(gmx_readdir(0, entries, sizeof entries), GMX_EBADF);
}

/* Two of them share the place: each entry is read by one. */
static gmx_poll shared;
static _Atomic int both;

static void reads_a_share(void *arg) {
  struct dirent64 some[4];
  gmx_status n;
  (void)arg;
  while ((n = gmx_readdir(shared, some, sizeof some)) > 0)
    for (gmx_status at = 0; at < n; at += ((const struct dirent64 *)((const char *)some + at))->d_reclen) both++;
  CHECK_OK(n);
}

static void gs_share_a_directory(void) {
  gmx_waitgroup all = GMX_WAITGROUP_INIT;
  shared = file_open(files_dir, O_RDONLY | O_DIRECTORY);
  for (int i = 0; i < 8; i++) CHECK_OK(gmx_waitgroup_go(&all, reads_a_share, NULL));
  CHECK_OK(gmx_waitgroup_wait(&all));
  CHECK_EQ(both, NAMES + 2);
  close_fd(shared);
}

int main(void) {
  dir_make();
  for (int i = 0; i < NAMES; i++) CHECK(close(open(numbered(i).text, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600)) == 0);
  start_runtime(2, 0);
  for (enum place place = ON_G; place < PLACES; place++) {
    struct placed at;
    place_start(&at, place, each_entry_once, NULL);
    place_join(&at);
    place_start(&at, place, what_is_no_directory, NULL);
    place_join(&at);
  }
  RUN_G(gs_share_a_directory);
  for (int i = 0; i < NAMES; i++) CHECK(unlink(numbered(i).text) == 0);
  dir_remove();
  ends_clean();
  return 0;
}
