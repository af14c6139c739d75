/* A host that forbids all system calls except a list, once the runtime has started. From then on the library needs only
 * the calls that SECURITY.md lists, and far fewer if it has made all its threads and stacks at the start.
 * tests/sources.rs compares the lists. */
/* timeout: 120 */
#define _GNU_SOURCE 1
#include "child.h"
#include "gs.h"
#include "objects.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#if defined __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#else
#define ARCH AUDIT_ARCH_AARCH64
#endif

#define LIST                                                                                                          \
  X(brk) X(clock_gettime) X(clone) X(clone3) X(close) X(exit) X(exit_group) X(fstat) X(futex) X(getdents64) X(getrandom) X(gettid)     \
  X(madvise) X(membarrier) X(mincore) X(mmap) X(mprotect) X(mremap) X(munmap) X(newfstatat) X(openat) X(ppoll)        \
  X(prctl) X(prlimit64) X(process_madvise) X(pwritev2) X(read) X(restart_syscall) X(rseq) X(rt_sigaction)             \
  X(rt_sigpending) X(rt_sigprocmask) X(rt_sigreturn) X(rt_sigtimedwait) X(sched_getaffinity) X(sched_yield)           \
  X(set_robust_list) X(sigaltstack) X(sysinfo) X(timer_create) X(timer_delete) X(timer_settime) X(uname) X(write)

static void is_not_in_the_list(int sig, siginfo_t *info, void *context) {
  (void)sig, (void)context;
  char text[64] = "system call 0000 is not in the list\n";
  for (int i = 15, n = info->si_syscall; i > 11; i--, n /= 10) text[i] = (char)('0' + n % 10);
  if (write(2, text, strlen(text)) < 0) _exit(3);
  _exit(2);
}

/* After a start with GMX_CONFIG_ALL_AT_START, GMX_CONFIG_NO_FILES and GMX_CONFIG_NO_MEMBARRIER. */
#define SEALED                                                                                                        \
  Y(brk) Y(exit) Y(exit_group) Y(futex) Y(gettid) Y(madvise) Y(munmap) Y(ppoll) Y(process_madvise) Y(pwritev2) Y(read)          \
  Y(restart_syscall) Y(rt_sigaction) Y(rt_sigpending) Y(rt_sigprocmask) Y(rt_sigreturn) Y(rt_sigtimedwait)            \
  Y(sched_yield) Y(write)

/* Where descriptors have handles, also. */
#define DESCRIPTORS                                                                                                    \
  Z(accept4) Z(bind) Z(connect) Z(epoll_create1) Z(epoll_ctl) Z(epoll_pwait) Z(epoll_pwait2) Z(eventfd2) Z(fcntl)      \
  Z(getpeername) Z(getpid) Z(getsockname) Z(getsockopt) Z(listen) Z(preadv2) Z(readv) Z(recvfrom) Z(recvmmsg)          \
  Z(recvmsg) Z(sendmmsg) Z(sendmsg) Z(sendto) Z(setsockopt) Z(shutdown) Z(socket) Z(unlinkat) Z(writev)

/* Where files have handles or are copied, also. */
#define FILES                                                                                                         \
  V(copy_file_range) V(fallocate) V(fdatasync) V(fsync) V(ftruncate) V(getdents64) V(lseek) V(mkdirat) V(pipe2)       \
  V(preadv) V(pwritev) V(renameat2) V(sendfile) V(splice) V(statx) V(unlinkat)

enum { MOST = 112 };

/* Every call that is not in the list ends in `otherwise`. */
static void allow(const long *list, unsigned n, uint32_t otherwise) {
  struct sigaction act = {.sa_sigaction = is_not_in_the_list, .sa_flags = SA_SIGINFO};
  CHECK(sigaction(SIGSYS, &act, NULL) == 0);
  struct sock_filter f[MOST + 6] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
  };
  CHECK(n <= MOST);
  for (unsigned i = 0; i < n; i++)
    f[4 + i] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)list[i], (uint8_t)(n - i), 0);
  f[4 + n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise);
  f[5 + n] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog program = {.len = (unsigned short)(n + 6), .filter = f};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) _exit(77);
}

static void allow_the_list(bool descriptors) {
  static const long list[] = {
#define X(name) SYS_##name,
      LIST
#ifdef SYS_poll
      SYS_poll,
#endif
#ifndef __GLIBC__
      SYS_open, SYS_fcntl,
#endif
#undef X
#define Z(name) SYS_##name,
      DESCRIPTORS
#ifdef SYS_epoll_wait
      SYS_epoll_wait,
#endif
#ifdef SYS_unlink
      SYS_unlink, SYS_lstat,
#endif
#undef Z
#define V(name) SYS_##name,
      FILES
#undef V
  };
  /* those of the descriptors come last */
  unsigned without = 0;
  while (list[without] != SYS_accept4) without++;
  allow(list, descriptors ? sizeof list / sizeof *list : without, SECCOMP_RET_TRAP);
}

/* The kernel kills the process for anything else. */
static void allow_no_more_than_sealed(void) {
  static const long list[] = {
#define Y(name) SYS_##name,
      SEALED
#ifdef SYS_poll
      SYS_poll,
#endif
#ifndef __GLIBC__
      SYS_mmap,
#endif
#undef Y
  };
  allow(list, sizeof list / sizeof *list, getenv("GMX_TRAP") ? SECCOMP_RET_TRAP : SECCOMP_RET_KILL_PROCESS);
}

/* membarrier alone is refused. */
static void refuse_membarrier(void) {
  struct sock_filter f[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {.len = sizeof f / sizeof *f, .filter = f};
  CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0) _exit(77);
}

/* ---- what a program does ---- */

static gmx_chan *values;
static uint32_t turn;

static void sends(void *arg) {
  CHECK_OK(gmx_sleep(1 + (int64_t)(intptr_t)arg % MS));
  int v = 1;
  CHECK_OK(gmx_chan_send(values, &v));
}

static void blocks(void *arg) {
  (void)arg;
  CHECK_OK(gmx_enter_syscall_blocking());
  sched_yield();
  CHECK_OK(gmx_exit_syscall());
}

static void comes_back(void *arg) { CHECK_OK(gmx_sema_release(arg)); }

static void *thread_of_the_host(void *arg) {
  CHECK_OK(gmx_attach_thread());
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_detach_thread());
  CHECK_OK(gmx_callback(comes_back, &turn));
  return arg;
}

static void counts(void *arg) { atomic_fetch_add((atomic_int *)arg, 1); }

static void joins(void *thread) { thread_join(*(pthread_t *)thread); }

static void works(void *arg) {
  (void)arg;
  enum { N = 2000 };
  CHECK_OK(gmx_chan_new(sizeof(int), 4, &values));
  for (int i = 0; i < N; i++) go(sends, (void *)(intptr_t)(i * 1000));
  for (int i = 0, v; i < N; i++) CHECK_OK(gmx_chan_recv(values, &v));
  for (size_t size = 16 << 10; size <= 4 << 20; size *= 4) {
    gmx_spawn_opts o = {.struct_size = sizeof o, .stack_size = size, .flags = GMX_SPAWN_JOINABLE | GMX_SPAWN_WIPE};
    gmx_g g;
    CHECK_OK(gmx_spawn_with(&o, blocks, NULL, &g));
    join(g);
  }
  CHECK_OK(gmx_blocking(nothing, NULL));
  pthread_t t = thread_start(thread_of_the_host, NULL);
  acquire(&turn, 1);
  CHECK_OK(gmx_blocking(joins, &t));
  atomic_int n = 0;
  CHECK_OK(gmx_for_each_p(counts, &n));
  CHECK_EQ(atomic_load(&n), gmx_gomaxprocs(0));
  CHECK_CMP(gmx_gomaxprocs(9), >=, 1);
  CHECK_OK(gmx_stop_the_world("sandbox"));
  CHECK_OK(gmx_start_the_world());
  CHECK_OK(gmx_write_heap_dump(1));
  CHECK_OK(gmx_release_memory());
  CHECK_OK(gmx_chan_free(values));
  CHECK_OK(gmx_sleep(1200 * MS)); /* the machine is looked at once a second */
}

static void waits_forever(void *arg) { CHECK_OK(gmx_park(NULL, NULL, arg)); }

static void in_the_sandbox(void *arg) {
  unsetenv("GMX_MAXPROCS");
  CHECK_OK(gmx_init(NULL));
  allow_the_list(false);
  CHECK_OK(gmx_main(works, NULL));
  if (arg) CHECK_STATUS(gmx_main(waits_forever, "the end"), GMX_EDEADLK); /* threads are counted, a report is written */
  else CHECK_OK(gmx_shutdown(60000 * MS));
}

/* ---- descriptors ---- */

static struct {
  int near, far, listener, client, from, to, ends[2];
  struct sockaddr_in addr;
  char dir[64];
} fds;

static void make_descriptors(void) {
  int two[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, two), 0);
  fds.near = two[0], fds.far = two[1];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, fds.ends), 0);
  snprintf(fds.dir, sizeof fds.dir, "/tmp/gomax-sandbox-%d", (int)getpid());
  CHECK_EQ(pipe(two), 0);
  fds.from = two[0], fds.to = two[1];
  fds.listener = socket(AF_INET, SOCK_STREAM, 0);
  fds.client = socket(AF_INET, SOCK_STREAM, 0);
  fds.addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof fds.addr;
  CHECK_EQ(bind(fds.listener, (struct sockaddr *)&fds.addr, len), 0);
  CHECK_EQ(listen(fds.listener, 1), 0);
  CHECK_EQ(getsockname(fds.listener, (struct sockaddr *)&fds.addr, &len), 0);
}

static gmx_poll handle_of(int fd, uint32_t flags) {
  gmx_poll p;
  CHECK_OK(gmx_poll_open(fd, flags, &p));
  return p;
}

static void sends_back(void *arg) {
  gmx_poll p = *(gmx_poll *)arg;
  char c;
  struct iovec v = {&c, 1};
  for (gmx_status n; (n = gmx_readv(p, &v, 1, GMX_FOREVER)) > 0;) CHECK_OK(gmx_writev(p, &v, 1, GMX_FOREVER, NULL));
}

static void there_and_back(gmx_poll near, gmx_poll far) {
  gmx_g g = go_joinable(sends_back, &far);
  char c = 'a';
  struct iovec v = {&c, 1};
  struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
  for (int i = 0; i < 10; i++) {
    CHECK_OK(gmx_write(near, &c, 1, GMX_FOREVER, NULL));
    CHECK_EQ(gmx_read(near, &c, 1, GMX_FOREVER), 1);
    CHECK_EQ(gmx_sendmsg(near, &msg, 0, GMX_FOREVER), 1);
    CHECK_EQ(gmx_recvmsg(near, &msg, 0, GMX_FOREVER), 1);
    CHECK_EQ(gmx_send(near, &c, 1, 0, GMX_FOREVER), 1);
    CHECK_EQ(gmx_recv(near, &c, 1, 0, GMX_FOREVER), 1);
    CHECK_EQ(gmx_sendto(near, &c, 1, 0, NULL, 0, GMX_FOREVER), 1);
    CHECK_EQ(gmx_recvfrom(near, &c, 1, 0, NULL, NULL, GMX_FOREVER), 1);
    struct mmsghdr many = {.msg_hdr = msg};
    CHECK_EQ(gmx_sendmmsg(near, &many, 1, 0, GMX_FOREVER), 1);
    CHECK_EQ(gmx_recvmmsg(near, &many, 1, 0, GMX_FOREVER), 1);
  }
  CHECK_OK(gmx_poll_shutdown(near, SHUT_RDWR));
  join(g);
  CHECK_OK(gmx_close(near));
  CHECK_OK(gmx_close(far));
}

static void connects(void *arg) {
  CHECK_OK(gmx_connect(*(gmx_poll *)arg, (struct sockaddr *)&fds.addr, sizeof fds.addr, GMX_FOREVER));
}

static char socket_path[64];

static void listens_and_dials(void) {
  gmx_listen_opts unlinks = {.flags = GMX_LISTEN_UNLINK};
  gmx_poll listener, client, conn;
  CHECK_OK(gmx_listen_tcp("127.0.0.1", "0", NULL, &listener));
  CHECK_STATUS(gmx_dial("tcp", "127.0.0.1", "1", NULL, GMX_FOREVER, &client), -ECONNREFUSED);
  CHECK_OK(gmx_close(listener));
  CHECK_OK(gmx_udp_open("127.0.0.1", "0", NULL, &listener));
  CHECK_OK(gmx_close(listener));
  CHECK_STATUS(gmx_listen_inherit(0, &listener), -ENOENT);
  CHECK_OK(gmx_listen_unix(socket_path, &unlinks, &listener));
  CHECK_OK(gmx_close(listener));
  CHECK_OK(gmx_listen_unix(socket_path, &unlinks, &listener));
  CHECK_OK(gmx_dial("unix", socket_path, NULL, NULL, GMX_FOREVER, &client));
  CHECK_OK(gmx_accept(listener, &conn, NULL, NULL, GMX_FOREVER));
  there_and_back(client, conn);
  CHECK_OK(gmx_close(listener));
}

static void uses_files(void) {
  char name[80], other[80], c = 'f', entries[512];
  struct statx what;
  struct iovec v = {&c, 1};
  uint64_t n;
  gmx_poll file, copy;
  snprintf(name, sizeof name, "%s/a", fds.dir);
  snprintf(other, sizeof other, "%s/b", fds.dir);
  CHECK_OK(gmx_mkdir(fds.dir, 0700));
  CHECK_OK(gmx_open(name, O_RDWR | O_CREAT, 0600, &file));
  CHECK_OK(gmx_rename(name, other, 0));
  CHECK_OK(gmx_open(name, O_RDWR | O_CREAT, 0600, &copy));
  gmx_status status = gmx_fallocate(file, 0, 0, 100);
  CHECK(status == GMX_OK || status == GMX_ENOTSUP);
  CHECK_OK(gmx_ftruncate(file, 3));
  CHECK_OK(gmx_pwritev(file, &v, 1, 0, NULL));
  CHECK_EQ(gmx_preadv(file, &v, 1, 0), 1);
  CHECK_EQ(gmx_pread(file, &c, 1, 3), 0);
  CHECK_OK(gmx_fsync(file));
  CHECK_OK(gmx_fdatasync(file));
  CHECK_OK(gmx_statx(file, NULL, 0, STATX_SIZE, &what));
  CHECK_OK(gmx_copy(file, copy, 2, &n, GMX_FOREVER));
  gmx_poll near = handle_of(fds.ends[0], 0), far = handle_of(fds.ends[1], 0);
  CHECK_OK(gmx_copy(file, near, 1, &n, GMX_FOREVER));
  CHECK_OK(gmx_copy(far, far, 1, &n, GMX_FOREVER));
  CHECK_EQ(gmx_read(near, &c, 1, GMX_FOREVER), 1);
  CHECK_OK(gmx_close(near));
  CHECK_OK(gmx_close(far));
  CHECK_OK(gmx_close(file));
  CHECK_OK(gmx_close(copy));
  CHECK_OK(gmx_open(fds.dir, O_RDONLY | O_DIRECTORY, 0, &file));
  CHECK_CMP(gmx_readdir(file, entries, sizeof entries), >, 0);
  CHECK_OK(gmx_close(file));
  CHECK_OK(gmx_unlink(name, 0));
  CHECK_OK(gmx_unlink(other, 0));
  CHECK_OK(gmx_unlink(fds.dir, AT_REMOVEDIR));
}

static void uses_descriptors(void *arg) {
  (void)arg;
  listens_and_dials();
  there_and_back(handle_of(fds.near, 0), handle_of(fds.far, GMX_POLL_BORROW));
  gmx_poll listener = handle_of(fds.listener, 0), client = handle_of(fds.client, 0), conn;
  gmx_g g = go_joinable(connects, &client);
  CHECK_OK(gmx_accept(listener, &conn, NULL, NULL, GMX_FOREVER));
  join(g);
  there_and_back(client, conn);
  CHECK_OK(gmx_close(listener));
  for (uint32_t flags = GMX_POLL_BORROW;; flags = 0) {
    gmx_poll from = handle_of(fds.from, flags), to = handle_of(fds.to, flags);
    char c = 'b';
    struct iovec v = {&c, 1};
    CHECK_STATUS(gmx_read(from, &c, 1, MS), GMX_ETIMEDOUT);
    CHECK_OK(gmx_write(to, &c, 1, GMX_FOREVER, NULL));
    CHECK_OK(gmx_writev(to, &v, 1, GMX_FOREVER, NULL));
    CHECK_EQ(gmx_readv(from, &v, 1, GMX_FOREVER), 1);
    CHECK_EQ(gmx_read(from, &c, 1, GMX_FOREVER), 1);
    uint32_t ready;
    CHECK_STATUS(gmx_wait_fd(gmx_poll_fd(from), GMX_POLL_IN, MS, &ready), GMX_ETIMEDOUT);
    struct pollfd many = {gmx_poll_fd(from), POLLIN, 0};
    CHECK_STATUS(gmx_poll_many(&many, 1, MS), GMX_ETIMEDOUT);
    CHECK_OK(gmx_close(from));
    CHECK_OK(gmx_close(to));
    if (flags == 0) break;
  }
  uses_files();
}

static void uses_signals_and_posts(void) {
  gmx_chan *signals;
  int32_t sig = SIGUSR1;
  CHECK_OK(gmx_chan_new(sizeof(gmx_siginfo), 1, &signals));
  CHECK_OK(gmx_signal_notify(signals, &sig, 1));
  CHECK_OK(gmx_signal_stop(signals));
  CHECK_OK(gmx_chan_free(signals));
  CHECK(gmx_host_fd() >= 0);
  CHECK_OK(gmx_post(nothing, NULL));
  CHECK_EQ(gmx_host_run(0), 1);
}

static void has_descriptors_in_the_sandbox(void *arg) {
  (void)arg;
  snprintf(socket_path, sizeof socket_path, "/tmp/gomax-sandbox-%d.socket", (int)getpid());
  make_descriptors();
  CHECK_OK(gmx_init(NULL));
  allow_the_list(true);
  CHECK_OK(gmx_main(uses_descriptors, NULL));
  CHECK(unlink(socket_path) == 0);
  uses_signals_and_posts();
  CHECK_OK(gmx_shutdown(60000 * MS));
}

static void runs_in(void (*sandbox)(void *), void *arg) {
  static child c;
  child_run(&c, 100, sandbox, arg);
  if (WIFEXITED(c.status) && WEXITSTATUS(c.status) == 77) {
    check_say("  no filter can be installed here");
    exit(77);
  }
  if (c.status != 0) FAIL("status %#x; it said: %s", (unsigned)c.status, c.text);
}

/* ---- all at the start ---- */

enum { PROCS = 2, THREADS = 6, GOROUTINES = 2100 };

static int gate[2];
static atomic_int inside, most_inside;
static uint32_t over, open_now;

static void waits_in_a_call(void *arg) {
  (void)arg;
  char c;
  CHECK_OK(gmx_enter_syscall_blocking());
  int n = atomic_fetch_add(&inside, 1) + 1, most = atomic_load(&most_inside);
  while (n > most && !atomic_compare_exchange_weak(&most_inside, &most, n)) {
  }
  CHECK(read(gate[0], &c, 1) == 1);
  atomic_fetch_sub(&inside, 1);
  CHECK_OK(gmx_exit_syscall());
  CHECK_OK(gmx_sema_release(&over));
}

static void waits_for_its_end(void *arg) {
  (void)arg;
  CHECK_OK(gmx_sema_acquire(&open_now));
  CHECK_OK(gmx_sema_release(&over));
}

static atomic_int host_stage;

/* Made before the start, as every thread of such a host. */
static void *opens_the_gate(void *arg) {
  while (atomic_load(&host_stage) == 0) sched_yield();
  CHECK_OK(gmx_attach_thread());
  CHECK_OK(gmx_yield());
  CHECK_OK(gmx_detach_thread());
  CHECK_OK(gmx_callback(comes_back, &turn));
  while (atomic_load(&inside) < THREADS) sched_yield();
  static const char words[2 * THREADS];
  CHECK(write(gate[1], words, sizeof words) == sizeof words);
  return arg;
}

static void works_within_the_numbers(void *arg) {
  (void)arg;
  enum { N = 2000 };
  CHECK_OK(gmx_chan_new(sizeof(int), 4, &values));
  for (int i = 0; i < N; i++) go(sends, (void *)(intptr_t)(i * 1000));
  for (int i = 0, v; i < N; i++) CHECK_OK(gmx_chan_recv(values, &v));
  /* a smaller stack is taken from the stacks made at the start; a larger one is refused */
  for (size_t size = 16 << 10; size <= 4 << 20; size *= 4) {
    gmx_spawn_opts o = {.struct_size = sizeof o, .stack_size = size, .flags = GMX_SPAWN_JOINABLE};
    gmx_g g;
    gmx_status status = gmx_spawn_with(&o, blocks, NULL, &g);
    CHECK_EQ(status, size <= 256 << 10 ? GMX_OK : GMX_ENOMEM);
    if (status == GMX_OK) join(g);
  }
  CHECK_OK(gmx_blocking(nothing, NULL));
  atomic_store(&host_stage, 1);
  acquire(&turn, 1);
  /* more calls than threads: the others wait for a thread */
  for (int i = 0; i < 2 * THREADS; i++) go(waits_in_a_call, NULL);
  acquire(&over, 2 * THREADS);
  CHECK_EQ(atomic_load(&most_inside), THREADS);
  gmx_timer t;
  gmx_chan *times;
  int64_t when;
  CHECK_OK(gmx_timer_new(MS, MS, &t, &times));
  for (int i = 0; i < 3; i++) CHECK_OK(gmx_chan_recv(times, &when));
  CHECK_CMP(timer_free(t), >=, 0);
  CHECK_OK(gmx_chan_free(times));
  atomic_int n = 0;
  CHECK_OK(gmx_for_each_p(counts, &n));
  CHECK_EQ(atomic_load(&n), PROCS);
  CHECK_OK(gmx_stop_the_world("sandbox"));
  CHECK_OK(gmx_start_the_world());
  /* more goroutines than were asked for */
  int live = 0;
  gmx_status status;
  while ((status = gmx_spawn(waits_for_its_end, NULL)) == GMX_OK) live++;
  CHECK_STATUS(status, GMX_ENOMEM);
  CHECK_CMP(live, >=, GOROUTINES - 1);
  CHECK_OK(gmx_yield());
  release(&open_now, live);
  acquire(&over, live);
  CHECK_OK(gmx_write_heap_dump(1));
  CHECK_OK(gmx_release_memory());
  CHECK_OK(gmx_chan_free(values));
  CHECK_OK(gmx_sleep(2500 * MS)); /* the machine is looked at once a second, and memory every other second */
}

static atomic_int alt_stacks;

/* In place of the C library's, and slow: gmx_init waits for it on each thread. */
int sigaltstack(const stack_t *new, stack_t *old) {
  for (int i = 0; i < 2000; i++) sched_yield();
  int result = (int)syscall(SYS_sigaltstack, new, old);
  atomic_fetch_add(&alt_stacks, 1);
  return result;
}

/* The same for the name of the watchdog, slower still: if gmx_init did not wait for it, it would come behind the
 * filter. */
int prctl(int option, ...) {
  va_list more;
  va_start(more, option);
  unsigned long a = va_arg(more, unsigned long), b = va_arg(more, unsigned long), c = va_arg(more, unsigned long),
                d = va_arg(more, unsigned long);
  va_end(more);
  if (option == PR_SET_NAME && strcmp((const char *)a, "gomax-sysmon") == 0)
    for (int64_t end = check_now() + 200 * MS; check_now() < end;) sched_yield();
  return (int)syscall(SYS_prctl, option, a, b, c, d);
}

static void sealed(void *arg) {
  (void)arg;
  CHECK(pipe(gate) == 0);
  /* malloc is the host's: one arena, which grows by brk */
  CHECK(mallopt(M_ARENA_MAX, 1) == 1 && mallopt(M_MMAP_MAX, 0) == 1);
  pthread_t t = thread_start(opens_the_gate, NULL);
  gmx_config c = {.struct_size = sizeof c, .maxprocs = PROCS, .max_threads = THREADS, .max_goroutines = GOROUTINES};
  c.flags = GMX_CONFIG_ALL_AT_START | GMX_CONFIG_NO_FILES | GMX_CONFIG_NO_MEMBARRIER;
  CHECK_OK(gmx_init(&c));
  /* (none is seen where this program is a shared object) */
  CHECK(atomic_load(&alt_stacks) == 0 || atomic_load(&alt_stacks) == 2 * THREADS);
  allow_no_more_than_sealed();
  CHECK_OK(gmx_main(works_within_the_numbers, NULL));
  thread_join(t);
  CHECK_OK(gmx_shutdown(60000 * MS));
}

/* Options that need one another, and what cannot be. */
static void numbers_must_fit(void *arg) {
  (void)arg;
  gmx_config c = {.struct_size = sizeof c, .maxprocs = 2, .max_threads = 2, .max_goroutines = 1};
  CHECK_STATUS(gmx_init(&c), GMX_EINVAL); /* without the flag */
  c.flags = GMX_CONFIG_ALL_AT_START;
  c.max_threads = 1;
  CHECK_STATUS(gmx_init(&c), GMX_EINVAL);
  c.max_threads = 2, c.maxprocs = 0;
  CHECK_STATUS(gmx_init(&c), GMX_EINVAL);
  c.maxprocs = 2, c.max_goroutines = 0;
  CHECK_STATUS(gmx_init(&c), GMX_EINVAL);
  c.max_goroutines = SIZE_MAX;
  CHECK_STATUS(gmx_init(&c), GMX_EINVAL);
  c.struct_size = offsetof(gmx_config, max_goroutines);
  CHECK_STATUS(gmx_init(&c), GMX_EINVAL); /* an older header's cannot ask for it */
  struct rlimit few = {(rlim_t)256 << 20, (rlim_t)256 << 20}, before;
  CHECK(getrlimit(RLIMIT_AS, &before) == 0);
  c.struct_size = sizeof c, c.max_goroutines = 100000, few.rlim_max = before.rlim_max;
  CHECK(setrlimit(RLIMIT_AS, &few) == 0);
  CHECK_STATUS(gmx_init(&c), GMX_ENOMEM); /* all or nothing */
  CHECK(setrlimit(RLIMIT_AS, &before) == 0);
  c.max_goroutines = 10;
  for (int i = 0; i < 3; i++) {
    CHECK_OK(gmx_init(&c));
    CHECK_OK(gmx_main(nothing, NULL));
    CHECK_OK(gmx_shutdown(60000 * MS));
  }
  /* the next start has options of its own */
  CHECK_OK(gmx_main(works, NULL));
  CHECK_OK(gmx_shutdown(60000 * MS));
}

/* ---- membarrier is refused ---- */

static atomic_int entered, leave;

static void is_in_a_call(void *arg) {
  (void)arg;
  CHECK_OK(gmx_enter_syscall());
  atomic_store(&entered, 1);
  while (!atomic_load(&leave)) sched_yield();
  CHECK_OK(gmx_exit_syscall());
}

static atomic_int fence_told;

static void hears(void *arg, const char *text, size_t len) {
  (void)arg;
  static const char told[] = "membarrier has been forbidden since the start";
  if (memmem(text, len, told, sizeof told - 1)) atomic_fetch_add(&fence_told, 1);
}

static void stops(void *arg) {
  (void)arg;
  /* A third P is idle, and nothing waits: the watchdog has no reason to take the P of this call while it still can. */
  go(is_in_a_call, NULL);
  while (!atomic_load(&entered)) sched_yield();
  refuse_membarrier();
  /* That call began before. Its end is not fenced, so its P cannot be taken. */
  CHECK_STATUS(gmx_stop_the_world_timeout("too early", 50 * MS), GMX_ETIMEDOUT);
  atomic_store(&leave, 1);
  CHECK_OK(gmx_stop_the_world("that call is over"));
  CHECK_OK(gmx_start_the_world());
  for (int i = 0; i < 3; i++) {
    atomic_store(&entered, 0);
    atomic_store(&leave, 0);
    go(is_in_a_call, NULL);
    while (!atomic_load(&entered)) CHECK_OK(gmx_yield());
    CHECK_OK(gmx_stop_the_world("its P is taken"));
    CHECK_OK(gmx_start_the_world());
    atomic_int n = 0;
    CHECK_OK(gmx_for_each_p(counts, &n));
    CHECK_EQ(atomic_load(&n), 3);
    atomic_store(&leave, 1);
  }
  works(NULL);
  /* The watchdog reports it; it sleeps while no P is used. */
  while (atomic_load(&fence_told) == 0) CHECK_OK(gmx_sleep(MS));
}

static void membarrier_goes(void *arg) {
  (void)arg;
  gmx_config c = {.struct_size = sizeof c, .maxprocs = 3, .slice_ns = NO_SLICES, .report = hears};
  CHECK_OK(gmx_init(&c));
  CHECK_OK(gmx_main(stops, NULL));
  CHECK_OK(gmx_shutdown(60000 * MS));
  CHECK_EQ(atomic_load(&fence_told), 1);
}

static void no_files_are_opened(void *arg) {
  gmx_config c = {.struct_size = sizeof c, .flags = GMX_CONFIG_NO_FILES};
  static const long list[] = {
#define X(name) SYS_##name,
      LIST
#ifdef SYS_poll
      SYS_poll,
#endif
#undef X
      SYS_sched_setaffinity, SYS_sched_getscheduler, SYS_sched_getparam, SYS_sched_setscheduler, SYS_getpriority,
      SYS_setpriority, SYS_seccomp, SYS_getpid, SYS_process_vm_readv,
  };
  long but[MOST];
  unsigned n = 0;
  for (unsigned i = 0; i < sizeof list / sizeof *list; i++)
    if (list[i] != SYS_openat && list[i] != SYS_getdents64) but[n++] = list[i];
  allow(but, n, SECCOMP_RET_KILL_PROCESS);
  CHECK_OK(gmx_init(&c));
  CHECK_OK(gmx_main(works, arg));
  void *lo, *hi;
  CHECK_STATUS(gmx_stack_bounds(&lo, &hi), GMX_ENOTSUP); /* the main thread's is in a file */
  CHECK_OK(gmx_shutdown(60000 * MS));
}

static child ran;

static void runs_well(void (*fn)(void *)) {
  child_run(&ran, 100, fn, NULL);
  if (WIFEXITED(ran.status) && WEXITSTATUS(ran.status) == 77) exit(77);
  const char *last = ran.len > 300 ? ran.text + ran.len - 300 : ran.text;
  if (ran.status != 0) FAIL("status %#x; at last it said: %s", (unsigned)ran.status, last);
}

static void all_is_made_at_the_start(void) { runs_well(sealed); }
static void the_numbers_must_fit(void) { runs_well(numbers_must_fit); }
static void no_file_is_opened(void) { runs_well(no_files_are_opened); }
static void membarrier_may_go(void) {
  runs_well(membarrier_goes);
}

static void a_program_runs_and_shuts_down(void) { runs_in(in_the_sandbox, NULL); }
static void a_deadlock_is_told(void) { runs_in(in_the_sandbox, &turn); }
static void descriptors_have_handles(void) { runs_in(has_descriptors_in_the_sandbox, NULL); }

int main(void) {
  RUN(a_program_runs_and_shuts_down);
  RUN(a_deadlock_is_told);
  RUN(descriptors_have_handles);
  RUN(all_is_made_at_the_start);
  RUN(the_numbers_must_fit);
  RUN(no_file_is_opened);
  RUN(membarrier_may_go);
  return 0;
}
