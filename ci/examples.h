/*
 * Declarations that the examples in gomax.h rely on. ci/readme.sh compiles each example after this file, with
 * EXAMPLE_ and the name of its function defined. The names belong to an imaginary program around the example; nothing
 * is linked.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* what the system has beyond the standard of C */
#endif
#include <gomax.h>

#include <stdio.h>
#include <stdlib.h>

#ifdef EXAMPLE_gmx_spawn_copy
struct job { int from, to; };
void work(void *job);
#endif

#ifdef EXAMPLE_gmx_park_timeout
extern struct waiter { gmx_g g; } w;
extern int64_t timeout;
bool enqueue(void *waiter, gmx_g g);
void dequeue(struct waiter *waiter);
#endif

#ifdef EXAMPLE_gmx_cleanup_push
extern size_t size;
void parse(char *text);
#endif

#ifdef EXAMPLE_gmx_coro_new
struct squares;
extern struct squares s;
extern gmx_coro co;
#endif

#ifdef EXAMPLE_gmx_class_new
extern float matrices[2][16];
void multiply(void *matrices);
#endif

#ifdef EXAMPLE_gmx_preempt_word
extern size_t n;
void work(size_t i);
#endif

#ifdef EXAMPLE_gmx_sema_waiters
extern uint32_t ready;
#endif

#ifdef EXAMPLE_gmx_sema_release_handoff
extern uint32_t turn;
void take_a_turn(void);
#endif

#ifdef EXAMPLE_gmx_select
extern gmx_chan *frames, *stop;
extern void *frame;
void *newest_frame(void);
#endif

#ifdef EXAMPLE_gmx_wait_on_address
#include <stdatomic.h>
extern _Atomic(uint32_t) word;
#endif

#ifdef EXAMPLE_gmx_waitgroup_go
extern int n;
extern struct { int number; } jobs[];
void work(void *job);
#endif

#ifdef EXAMPLE_gmx_barrier_wait
extern gmx_barrier step;
extern int steps;
void compute(int i);
void report(int i);
#endif

#ifdef EXAMPLE_gmx_cancel_g
struct job;
extern struct job *job;
void work(void *job);
bool too_late(void);
#endif

#ifdef EXAMPLE_gmx_cancel_locks
extern gmx_mutex m;
#endif

#ifdef EXAMPLE_gmx_cancel_shield
extern gmx_chan *out, *spare;
extern char block[512];
#endif

#ifdef EXAMPLE_gmx_scope_leave_why
extern gmx_scope scope;
extern int64_t timeout;
gmx_status late(void);
gmx_status failed(gmx_status status);
#endif

#ifdef EXAMPLE_gmx_parallel_for
extern float *v;
extern int64_t count;
#endif

#ifdef EXAMPLE_gmx_chan_new_refs
extern struct { gmx_chan *reply; } ask;
extern gmx_chan *requests;
extern int64_t answer, timeout;
#endif

#ifdef EXAMPLE_gmx_chan_close_drop
extern gmx_chan *lines;
#endif

#ifdef EXAMPLE_gmx_chan_waiters
extern gmx_chan *c;
#endif

#ifdef EXAMPLE_gmx_cancel_chan
extern gmx_chan *jobs, *canceled;
extern int job;
extern int64_t timeout;
extern size_t chosen;
#endif

#ifdef EXAMPLE_gmx_cancel_after
extern struct reader { int fd; } reader;
void wakes_the_reader(void *reader);
void read_all(struct reader *reader);
#endif

#ifdef EXAMPLE_gmx_after
extern gmx_chan *answers;
extern int answer;
extern size_t chosen;
#endif

#ifdef EXAMPLE_gmx_deadline
extern gmx_cond c;
extern gmx_mutex m;
extern bool done;
extern gmx_status s;
extern int64_t timeout;
#endif

#ifdef EXAMPLE_gmx_after
extern gmx_chan *answers;
extern int answer;
extern size_t chosen;
#endif

#ifdef EXAMPLE_gmx_poll_set_deadline
extern gmx_poll conn;
#endif

#ifdef EXAMPLE_gmx_wait_fd
extern int fd;
#endif

#ifdef EXAMPLE_gmx_poll_many
#include <poll.h>
extern int from, to;
#endif

#ifdef EXAMPLE_gmx_recv_fds
extern gmx_poll conn;
#endif

#ifdef EXAMPLE_gmx_getaddrinfo
#include <netdb.h>
#endif

#ifdef EXAMPLE_gmx_statx
#include <sys/stat.h>
extern gmx_poll file;
#endif

#ifdef EXAMPLE_gmx_readdir
#include <dirent.h>
extern gmx_poll directory;
#endif

#ifdef EXAMPLE_gmx_copy
extern gmx_poll file, conn;
#endif

#ifdef EXAMPLE_gmx_io_batch
extern gmx_poll file;
extern char head[64], tail[64];
extern int64_t at;
#endif

#ifdef EXAMPLE_gmx_process_wait
#include <signal.h>
extern gmx_process child;
#endif

#ifdef EXAMPLE_gmx_signal_notify
#include <signal.h>
extern gmx_chan *resized;
#endif

#ifdef EXAMPLE_gmx_post
extern char *text;
void show(void *text);
#endif

#ifdef EXAMPLE_gmx_trace_snapshot
#include <fcntl.h>
extern int64_t latency, limit;
#endif

#ifdef EXAMPLE_gmx_trace_task_begin
void read_file(void);
#endif

#ifdef EXAMPLE_gmx_trace_log
#include <stdio.h>
extern uint64_t task;
extern int rows;
#endif

#ifdef EXAMPLE_gmx_host_fd
void watch(int fd, void (*fn)(void *loop, int fd));
void on_readable(void *loop, int fd);
#endif
