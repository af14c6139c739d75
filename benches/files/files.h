/*
 * What the two parts of the benchmark of files share: the job, its end, and places in the file.
 */
#ifndef GOMAX_FILES_BENCH_H
#define GOMAX_FILES_BENCH_H

#include "../net/load.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { BLOCK = 4096, MOST = 256 };

enum what { COLD, DIRECT, CACHED, SYNC, NAMES, SPAWN };

struct job {
  enum what what;
  int n, fd, own[MOST]; /* the file that is read; and for SYNC a file for each worker */
  int64_t end;
  uint64_t blocks;
  char *buffers;
  _Atomic int64_t done;
  _Atomic int64_t interrupted; /* waits of `beside` that ended with EINTR */
};

extern struct job job;

static inline bool goes_on(void) { return now() < job.end; }

/* A block of the file, at random. */
static inline off_t somewhere(uint64_t *seed, uint64_t blocks) {
  *seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
  return (off_t)(*seed % blocks) * BLOCK;
}

static inline uint64_t seed_of(int i) { return UINT64_C(88172645463325252) + (uint64_t)i * 7919; }

static inline char *buffer_of(int i) { return job.buffers + (size_t)i * BLOCK; }

enum { OWN_BLOCKS = 256 };

/* ring.c: the same by io_uring. */
void ring_alone(void);
void ring_of_gs(void *arg);
void ring_of_a_thread(void *arg);

#endif
