/*
 * Many workers on files, and other calls that block:  files HOW WHAT N MS [FILE]
 *
 * HOW: gomax (a goroutine for each of the N workers), batch (gmx_io_batch of N), threads (a thread for each), nowait
 * (threads that read by preadv2 with RWF_NOWAIT first); and by io_uring, ring (one thread, N operations at a time),
 * ring_gs, ring_thread (ring.c).
 * WHAT: cold, direct or cached (reads of 4 KiB at random places of FILE), sync (a write of 4 KiB and fdatasync, each
 * worker on a file of its own beside FILE), names (getaddrinfo of localhost), spawn (/bin/true, and the wait for it).
 *
 * For goroutines, GOMAXPROCS says how many Ps there are. With BESIDE=N, N goroutines wait in epoll_wait all the time,
 * each in a syscall. Prints how many operations were done, in how many ns, the CPU time of that in ns, and how many of
 * those waits ended with EINTR although the program has no signals.
 */
#define _GNU_SOURCE 1
#include "files.h"

#include <gomax.h>

#include <netdb.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>

struct job job;

static gmx_poll handle, own[MOST];
static gmx_waitgroup all = GMX_WAITGROUP_INIT;

static void ok(gmx_status status) {
  if (status >= 0) return;
  fprintf(stderr, "%s\n", gmx_strerror(status));
  exit(1);
}

static void resolve(bool on_g) {
  struct addrinfo *got = NULL, hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
  if (on_g) ok(gmx_getaddrinfo("localhost", NULL, &hints, &got, GMX_FOREVER));
  else must(getaddrinfo("localhost", NULL, &hints, &got) == 0, "getaddrinfo");
  freeaddrinfo(got);
}

static char *const argv_true[] = {"/bin/true", NULL};

static void starts_true(bool on_g) {
  if (on_g) {
    gmx_process_opts opts = {.path = argv_true[0]};
    gmx_process child;
    int32_t status;
    ok(gmx_spawn_process(&opts, &child));
    ok(gmx_process_wait(child, &status, GMX_FOREVER));
    ok(gmx_process_release(child));
    return;
  }
  pid_t child;
  int status;
  must(posix_spawn(&child, argv_true[0], NULL, NULL, argv_true, NULL) == 0, "posix_spawn");
  must(waitpid(child, &status, 0) == child, "waitpid");
}

/* ---- goroutines ---- */

static void g_works(void *arg) {
  int i = (int)(intptr_t)arg;
  uint64_t seed = seed_of(i);
  for (; goes_on(); job.done++) switch (job.what) {
      case SYNC:
        ok(gmx_pwrite(own[i], buffer_of(i), BLOCK, somewhere(&seed, OWN_BLOCKS), NULL));
        ok(gmx_fdatasync(own[i]));
        break;
      case NAMES: resolve(true); break;
      case SPAWN: starts_true(true); break;
      default: must(gmx_pread(handle, buffer_of(i), BLOCK, somewhere(&seed, job.blocks)) == BLOCK, "gmx_pread");
    }
}

static void batches(void) {
  static gmx_io_op ops[MOST];
  uint64_t seed = seed_of(0);
  for (; goes_on(); job.done += job.n) {
    for (int i = 0; i < job.n; i++)
      ops[i] = job.what == SYNC
                   ? (gmx_io_op){GMX_IO_WRITE, 0, own[i], buffer_of(i), BLOCK, somewhere(&seed, OWN_BLOCKS), 0}
                   : (gmx_io_op){GMX_IO_READ, 0, handle, buffer_of(i), BLOCK, somewhere(&seed, job.blocks), 0};
    ok(gmx_io_batch(ops, (size_t)job.n, GMX_FOREVER));
    for (int i = 0; i < job.n; i++) must(ops[i].done == BLOCK, "gmx_io_batch");
    if (job.what != SYNC) continue;
    for (int i = 0; i < job.n; i++) ops[i].op = GMX_IO_FDATASYNC;
    ok(gmx_io_batch(ops, (size_t)job.n, GMX_FOREVER));
    for (int i = 0; i < job.n; i++) ok(ops[i].status);
  }
}

/* A library of the host that waits by itself. */
static void waits_beside(void *arg) {
  struct epoll_event event;
  int fd = epoll_create1(EPOLL_CLOEXEC);
  (void)arg;
  must(fd >= 0, "epoll_create1");
  while (goes_on()) {
    ok(gmx_enter_syscall());
    bool interrupted = epoll_wait(fd, &event, 1, 20) < 0 && errno == EINTR;
    ok(gmx_exit_syscall());
    job.interrupted += interrupted;
  }
  close(fd);
}

static void gs(void *arg) {
  (void)arg;
  for (int i = 0; i < job.n; i++) ok(gmx_waitgroup_go(&all, g_works, (void *)(intptr_t)i));
}

static void batch(void *arg) {
  (void)arg;
  batches();
}

static const struct way {
  const char *name;
  void (*fn)(void *);
} ways[] = {{"gomax", gs}, {"batch", batch}, {"ring_gs", ring_of_gs}, {"ring_thread", ring_of_a_thread}};

static void main_g(void *arg) {
  const struct way *way = arg;
  const char *beside = getenv("BESIDE");
  if (job.fd >= 0) ok(gmx_poll_open(job.fd, GMX_POLL_BORROW, &handle));
  if (job.what == SYNC)
    for (int i = 0; i < job.n; i++) ok(gmx_poll_open(job.own[i], GMX_POLL_BORROW, &own[i]));
  for (int i = 0; beside && i < atoi(beside); i++) ok(gmx_waitgroup_go(&all, waits_beside, NULL));
  way->fn(NULL);
  ok(gmx_waitgroup_wait(&all));
}

/* ---- threads ---- */

static bool nowait;

static void thread_reads(char *buffer, off_t at) {
  struct iovec v = {buffer, BLOCK};
  if (nowait && preadv2(job.fd, &v, 1, at, RWF_NOWAIT) == BLOCK) return;
  must(pread(job.fd, buffer, BLOCK, at) == BLOCK, "pread");
}

static void *thread_works(void *arg) {
  int i = (int)(intptr_t)arg;
  uint64_t seed = seed_of(i);
  for (; goes_on(); job.done++) switch (job.what) {
      case SYNC:
        must(pwrite(job.own[i], buffer_of(i), BLOCK, somewhere(&seed, OWN_BLOCKS)) == BLOCK, "pwrite");
        must(fdatasync(job.own[i]) == 0, "fdatasync");
        break;
      case NAMES: resolve(false); break;
      case SPAWN: starts_true(false); break;
      default: thread_reads(buffer_of(i), somewhere(&seed, job.blocks));
    }
  return NULL;
}

static void threads(void) {
  pthread_t thread[MOST];
  for (int i = 0; i < job.n; i++) must(pthread_create(&thread[i], NULL, thread_works, (void *)(intptr_t)i) == 0, "pthread_create");
  for (int i = 0; i < job.n; i++) pthread_join(thread[i], NULL);
}

/* ---- the program ---- */

/* CPU time of this process and of the children that it has waited for. */
static int64_t cpu(void) {
  int64_t us = 0;
  for (int of = RUSAGE_CHILDREN; of <= RUSAGE_SELF; of++) {
    struct rusage used;
    must(getrusage(of, &used) == 0, "getrusage");
    us += (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * INT64_C(1000000) + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
  }
  return us * 1000;
}

static void open_files(const char *path) {
  char name[4096];
  struct stat stat;
  job.fd = open(path, O_RDONLY | O_CLOEXEC | (job.what == DIRECT ? O_DIRECT : 0));
  must(job.fd >= 0 && fstat(job.fd, &stat) == 0 && stat.st_size >= BLOCK, path);
  job.blocks = (uint64_t)stat.st_size / BLOCK;
  if (job.what == CACHED) {
    /* what fits beside everything else */
    job.blocks = job.blocks < 16384 ? job.blocks : 16384;
    for (uint64_t i = 0; i < job.blocks; i++) must(pread(job.fd, job.buffers, BLOCK, (off_t)(i * BLOCK)) == BLOCK, "pread");
  } else {
    posix_fadvise(job.fd, 0, 0, POSIX_FADV_DONTNEED);
    posix_fadvise(job.fd, 0, 0, POSIX_FADV_RANDOM);
  }
  for (int i = 0; job.what == SYNC && i < job.n; i++) {
    snprintf(name, sizeof name, "%s.%d", path, i);
    job.own[i] = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    must(job.own[i] >= 0 && unlink(name) == 0, name);
    for (int block = 0; block < OWN_BLOCKS; block++)
      must(pwrite(job.own[i], buffer_of(i), BLOCK, (off_t)block * BLOCK) == BLOCK, "pwrite");
    must(fdatasync(job.own[i]) == 0, "fdatasync");
  }
}

int main(int argc, char **argv) {
  static const char *const names[] = {"cold", "direct", "cached", "sync", "names", "spawn"};
  if (argc < 5) return 2;
  while (job.what <= SPAWN && strcmp(names[job.what], argv[2]) != 0) job.what++;
  job.n = atoi(argv[3]);
  job.fd = -1;
  if (job.what > SPAWN || job.n < 1 || job.n > MOST) return 2;
  job.buffers = mmap(NULL, MOST * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  must(job.buffers != MAP_FAILED, "mmap");
  if (argc > 5) open_files(argv[5]);
  int64_t begin = now(), before = cpu();
  job.end = begin + atoi(argv[4]) * INT64_C(1000000);
  nowait = strcmp(argv[1], "nowait") == 0;
  if (nowait || strcmp(argv[1], "threads") == 0) threads();
  else if (strcmp(argv[1], "ring") == 0) ring_alone();
  else {
    const struct way *way = ways;
    while (strcmp(way->name, argv[1]) != 0)
      if (++way == ways + sizeof ways / sizeof *ways) return 2;
    ok(gmx_main(main_g, (void *)(uintptr_t)way));
  }
  printf("%lld %lld %lld %lld\n", (long long)job.done, (long long)(now() - begin), (long long)(cpu() - before),
         (long long)job.interrupted);
  return 0;
}
