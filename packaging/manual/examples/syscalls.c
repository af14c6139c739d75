/* Examples of the manual: syscalls. */
#include <gomax.h>

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* example: gmx_enter_syscall gmx_exit_syscall */
// Locks a file, for which it may have to wait for another process.
static int lock_file(const char *path) {
  gmx_enter_syscall(); // from here on nothing that waits in the library
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  int error = fd < 0 || flock(fd, LOCK_EX) != 0 ? errno : 0; // before it may migrate
  gmx_exit_syscall();
  if (!error) return fd;
  if (fd >= 0) close(fd);
  return -error;
}
/* end */

/* example: gmx_enter_syscall_blocking */
// Waits for another process, which posts a semaphore in shared memory.
static int wait_for_post(sem_t *shared) {
  int error = 0;
  gmx_enter_syscall_blocking(); // sure to wait: another thread gets the P at once
  while (sem_wait(shared) != 0 && (error = errno) == EINTR) error = 0;
  gmx_exit_syscall();
  return -error;
}
/* end */

/* example: gmx_blocking */
struct lookup { // arguments and result of the blocking call
  uid_t uid;
  char name[64];
};

static void look_up(void *arg) { // may ask a server; runs on the stack of the goroutine
  struct lookup *lookup = arg;
  struct passwd entry, *found = NULL;
  char buffer[4096];
  getpwuid_r(lookup->uid, &entry, buffer, sizeof buffer, &found);
  snprintf(lookup->name, sizeof lookup->name, "%s", found ? found->pw_name : "?");
}

static gmx_status name_of_user(struct lookup *lookup) {
  return gmx_blocking(look_up, lookup); // other goroutines have the P meanwhile
}
/* end */

static sem_t shared;
static void posts(void *arg) {
  (void)arg;
  sem_post(&shared);
}

static void all(void *arg) {
  (void)arg;
  int fd = lock_file("syscalls.tmp");
  assert(fd >= 0 && close(fd) == 0 && unlink("syscalls.tmp") == 0);
  assert(lock_file("/nowhere/at/all") == -ENOENT);
  assert(sem_init(&shared, 0, 0) == 0 && gmx_spawn(posts, NULL) == GMX_OK);
  assert(wait_for_post(&shared) == 0);
  struct lookup root = {.uid = 0};
  assert(name_of_user(&root) == GMX_OK && strcmp(root.name, "root") == 0);
}

int main(void) {
  assert(gmx_main(all, NULL) == GMX_OK);
  assert(gmx_shutdown(GMX_FOREVER) == GMX_OK);
}
