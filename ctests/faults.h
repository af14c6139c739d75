/*
 * Makes calls of the C library fail that libgomax.so makes, and no others. The includer stands before the C library in
 * the order of symbol lookup: it is the program, or a library that LD_PRELOAD names (ci/faults.sh).
 *
 *   GMX_FAULT=mmap:3       the third call of mmap fails
 *   GMX_FAULT=mmap:3:2     the third and the fourth fail
 *   GMX_FAULT=count        none fails; at the end of the process each name is printed with the number of its calls
 */
#ifndef GOMAX_FAULTS_H
#define GOMAX_FAULTS_H

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* X(name, what it says when it fails) */
#define FAULTS(X)                          \
  X(malloc, ENOMEM)                        \
  X(calloc, ENOMEM)                        \
  X(realloc, ENOMEM)                       \
  X(posix_memalign, ENOMEM)                \
  X(mmap, ENOMEM)                          \
  X(mremap, ENOMEM)                        \
  X(munmap, ENOMEM)                        \
  X(madvise, ENOMEM)                       \
  X(madvise_again, EAGAIN)                 \
  X(process_madvise, EPERM)                \
  X(mprotect, ENOMEM)                      \
  X(pthread_create, EAGAIN)                \
  X(pthread_attr_init, ENOMEM)             \
  X(pthread_key_create, EAGAIN)            \
  X(pthread_setspecific, ENOMEM)           \
  X(__register_atfork, ENOMEM)             \
  X(sigaltstack, ENOMEM)                   \
  X(sigaction, EINVAL)                     \
  X(futex_wait, EINTR)                     \
  X(futex_wait_again, EAGAIN)              \
  X(open, EMFILE)                          \
  X(read, EIO)                             \
  X(read_again, EINTR)                     \
  X(getdents64, ENOENT)                    \
  X(write, EIO)                            \
  X(write_again, EINTR)                    \
  X(poll, EINTR)                           \
  X(clock_nanosleep, EINTR)                \
  X(timer_create, EAGAIN)                  \
  X(timer_settime, EINVAL)                 \
  X(membarrier, EPERM)                     \
  X(cpu_clock, EINVAL)                     \
  X(sched_getaffinity, EPERM)              \
  X(dlopen, ENOMEM)                        \
  X(prctl, EPERM)                          \
  X(socket, EMFILE)                        \
  X(socket_family, EAFNOSUPPORT)           \
  X(setsockopt, ENOPROTOOPT)               \
  X(listen, ENOBUFS)                       \
  X(epoll_create1, EMFILE)                 \
  X(eventfd, ENFILE)                       \
  X(epoll_ctl, ENOSPC)

#define FAULT_NAME(name, error) FAULT_##name,
enum fault { FAULTS(FAULT_NAME) FAULT_KINDS };
#undef FAULT_NAME

#define FAULT_TEXT(name, error) #name,
static const char *const fault_names[] = {FAULTS(FAULT_TEXT)};
#undef FAULT_TEXT

#define FAULT_ERROR(name, error) error,
static const int fault_errors[] = {FAULTS(FAULT_ERROR)};
#undef FAULT_ERROR

/* ---- which calls ---- */

static atomic_long fault_calls[FAULT_KINDS]; /* made by the library so far */
static int fault_kind = -1;
static long fault_first, fault_many;
static atomic_long fault_failed; /* how many were failed */
static uintptr_t fault_lo, fault_hi; /* the library's code */

static void fault_arm(int kind, long first, long many) {
  fault_kind = kind;
  fault_first = first;
  fault_many = many;
}

static int fault_find(struct dl_phdr_info *info, size_t size, void *arg) {
  (void)size;
  (void)arg;
  if (!strstr(info->dlpi_name, "libgomax.so")) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    if (p->p_type != PT_LOAD || !(p->p_flags & PF_X)) continue;
    fault_lo = info->dlpi_addr + p->p_vaddr;
    fault_hi = fault_lo + p->p_memsz;
  }
  return 1;
}

static void fault_tell(void) {
  for (int k = 0; k < FAULT_KINDS; k++) {
    char text[64];
    int n = snprintf(text, sizeof text, "GMX_FAULT %s %ld\n", fault_names[k], atomic_load(&fault_calls[k]));
    if (syscall(SYS_write, 2, text, n) < 0) return;
  }
}

__attribute__((__constructor__(101))) static void fault_start(void) {
  dl_iterate_phdr(fault_find, NULL);
  const char *asked = getenv("GMX_FAULT");
  if (!asked) return;
  if (strcmp(asked, "count") == 0) {
    atexit(fault_tell);
    return;
  }
  char name[32];
  long first = 0, many = 1;
  if (sscanf(asked, "%31[^:]:%ld:%ld", name, &first, &many) < 2) return;
  for (int k = 0; k < FAULT_KINDS; k++)
    if (strcmp(name, fault_names[k]) == 0) fault_arm(k, first, many);
}

/* Counts a call of the library, and returns whether it must fail. */
static bool fault_at(int kind, const void *caller) {
  if ((uintptr_t)caller < fault_lo || (uintptr_t)caller >= fault_hi) return false;
  long n = atomic_fetch_add(&fault_calls[kind], 1) + 1;
  if (kind != fault_kind || n < fault_first || n - fault_first >= fault_many) return false;
  atomic_fetch_add(&fault_failed, 1);
  return true;
}

#define FAILS(kind) fault_at(FAULT_##kind, __builtin_return_address(0))
#define FAILS_WITH_ERRNO(kind) (FAILS(kind) && (errno = fault_errors[FAULT_##kind], true))

/* The next definition in the order of lookup: the C library's. */
#define FAULT_NEXT(name)                                                     \
  static __typeof__(&name) next;                                             \
  if (!__atomic_load_n(&next, __ATOMIC_RELAXED)) {                           \
    void *found = dlsym(RTLD_NEXT, #name);                                   \
    __atomic_store_n(&next, (__typeof__(&name))found, __ATOMIC_RELAXED);     \
  }

/* ---- memory ---- */

/* Not through dlsym, which allocates. */
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t n) { return FAILS_WITH_ERRNO(malloc) ? NULL : __libc_malloc(n); }
void *calloc(size_t n, size_t each) { return FAILS_WITH_ERRNO(calloc) ? NULL : __libc_calloc(n, each); }
void *realloc(void *p, size_t n) { return FAILS_WITH_ERRNO(realloc) ? NULL : __libc_realloc(p, n); }
int posix_memalign(void **out, size_t align, size_t n) {
  if (FAILS(posix_memalign)) return fault_errors[FAULT_posix_memalign];
  void *p = __libc_memalign(align, n);
  if (!p) return ENOMEM;
  *out = p;
  return 0;
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset) {
  if (FAILS_WITH_ERRNO(mmap)) return MAP_FAILED;
  return (void *)syscall(SYS_mmap, at, len, prot, flags, fd, offset);
}
#undef mmap64 /* in musl a macro, mmap */
void *mmap64(void *at, size_t len, int prot, int flags, int fd, off_t offset) {
  if (FAILS_WITH_ERRNO(mmap)) return MAP_FAILED;
  return (void *)syscall(SYS_mmap, at, len, prot, flags, fd, offset);
}
void *mremap(void *at, size_t old, size_t len, int flags, ...) {
  if (FAILS_WITH_ERRNO(mremap)) return MAP_FAILED;
  return (void *)syscall(SYS_mremap, at, old, len, flags, 0);
}
int munmap(void *at, size_t len) { return FAILS_WITH_ERRNO(munmap) ? -1 : (int)syscall(SYS_munmap, at, len); }
int madvise(void *at, size_t len, int advice) {
  if (FAILS_WITH_ERRNO(madvise_again) || FAILS_WITH_ERRNO(madvise)) return -1;
  return (int)syscall(SYS_madvise, at, len, advice);
}
int mprotect(void *at, size_t len, int prot) {
  return FAILS_WITH_ERRNO(mprotect) ? -1 : (int)syscall(SYS_mprotect, at, len, prot);
}

/* ---- threads ---- */

int pthread_create(pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg) {
  if (FAILS(pthread_create)) return fault_errors[FAULT_pthread_create];
  FAULT_NEXT(pthread_create)
  return next(t, attr, fn, arg);
}
int pthread_attr_init(pthread_attr_t *attr) {
  if (FAILS(pthread_attr_init)) return fault_errors[FAULT_pthread_attr_init];
  FAULT_NEXT(pthread_attr_init)
  return next(attr);
}
int pthread_key_create(pthread_key_t *key, void (*destructor)(void *)) {
  if (FAILS(pthread_key_create)) return fault_errors[FAULT_pthread_key_create];
  FAULT_NEXT(pthread_key_create)
  return next(key, destructor);
}
int pthread_setspecific(pthread_key_t key, const void *value) {
  if (FAILS(pthread_setspecific)) return fault_errors[FAULT_pthread_setspecific];
  FAULT_NEXT(pthread_setspecific)
  return next(key, value);
}
/* what pthread_atfork calls, which is linked into each library */
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso);
int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso) {
  if (FAILS(__register_atfork)) return fault_errors[FAULT___register_atfork];
  FAULT_NEXT(__register_atfork)
  return next(prepare, parent, child, dso);
}

/* ---- system calls that std and the library make by number ---- */

long syscall(long number, ...) {
  static long (*next)(long, ...);
  if (!__atomic_load_n(&next, __ATOMIC_RELAXED)) {
    void *found = dlsym(RTLD_NEXT, "syscall");
    __atomic_store_n(&next, (long (*)(long, ...))found, __ATOMIC_RELAXED);
  }
  va_list args;
  va_start(args, number);
  long a[6];
  for (int i = 0; i < 6; i++) a[i] = va_arg(args, long);
  va_end(args);
  if (number == SYS_futex) {
    int op = (int)a[1] & FUTEX_CMD_MASK;
    bool waits = op == FUTEX_WAIT || op == FUTEX_WAIT_BITSET;
    if (waits && (FAILS_WITH_ERRNO(futex_wait_again) || FAILS_WITH_ERRNO(futex_wait))) return -1;
  }
  if (number == SYS_process_madvise && FAILS_WITH_ERRNO(process_madvise)) return -1;
  if (number == SYS_getdents64 && FAILS_WITH_ERRNO(getdents64)) return -1;
  if (number == SYS_timer_create && FAILS_WITH_ERRNO(timer_create)) return -1;
  if (number == SYS_timer_settime && FAILS_WITH_ERRNO(timer_settime)) return -1;
  if (number == SYS_membarrier && FAILS_WITH_ERRNO(membarrier)) return -1;
  return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
/* Only the clocks of threads' CPU time can fail: their numbers are negative. */
int clock_gettime(clockid_t clock, struct timespec *time) {
  if (clock < 0 && FAILS_WITH_ERRNO(cpu_clock)) return -1;
  FAULT_NEXT(clock_gettime)
  return next(clock, time);
}
int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left) {
  if (FAILS(clock_nanosleep)) return fault_errors[FAULT_clock_nanosleep];
  FAULT_NEXT(clock_nanosleep)
  return next(clock, flags, time, left);
}

/* ---- signals ---- */

int sigaltstack(const stack_t *new, stack_t *old) {
  return FAILS_WITH_ERRNO(sigaltstack) ? -1 : (int)syscall(SYS_sigaltstack, new, old);
}
int sigaction(int number, const struct sigaction *new, struct sigaction *old) {
  if (FAILS_WITH_ERRNO(sigaction)) return -1;
  FAULT_NEXT(sigaction)
  return next(number, new, old);
}

/* ---- files ---- */

#define FAULT_OPEN(name)                                                  \
  int name(const char *path, int flags, ...) {                            \
    va_list args;                                                         \
    va_start(args, flags);                                                \
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;     \
    va_end(args);                                                         \
    if (FAILS_WITH_ERRNO(open)) return -1;                                \
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);         \
  }
FAULT_OPEN(open)
#undef open64 /* in musl a macro, open */
FAULT_OPEN(open64)
#undef FAULT_OPEN
ssize_t read(int fd, void *to, size_t n) {
  return FAILS_WITH_ERRNO(read_again) || FAILS_WITH_ERRNO(read) ? -1 : syscall(SYS_read, fd, to, n);
}
ssize_t write(int fd, const void *from, size_t n) {
  return FAILS_WITH_ERRNO(write_again) || FAILS_WITH_ERRNO(write) ? -1 : syscall(SYS_write, fd, from, n);
}
int poll(struct pollfd *fds, nfds_t n, int ms) {
  if (FAILS_WITH_ERRNO(poll)) return -1;
  FAULT_NEXT(poll)
  return next(fds, n, ms);
}
void *dlopen(const char *name, int flags) {
  if (FAILS(dlopen)) return NULL;
  FAULT_NEXT(dlopen)
  return next(name, flags);
}
int prctl(int option, ...) {
  va_list args;
  va_start(args, option);
  unsigned long a[4];
  for (int i = 0; i < 4; i++) a[i] = va_arg(args, unsigned long);
  va_end(args);
  return FAILS_WITH_ERRNO(prctl) ? -1 : (int)syscall(SYS_prctl, option, a[0], a[1], a[2], a[3]);
}

/* ---- sockets and what is ready ---- */

int socket(int family, int type, int protocol) {
  if (FAILS_WITH_ERRNO(socket_family) || FAILS_WITH_ERRNO(socket)) return -1;
  return (int)syscall(SYS_socket, family, type, protocol);
}
int setsockopt(int fd, int level, int name, const void *value, socklen_t size) {
  return FAILS_WITH_ERRNO(setsockopt) ? -1 : (int)syscall(SYS_setsockopt, fd, level, name, value, size);
}
int listen(int fd, int backlog) { return FAILS_WITH_ERRNO(listen) ? -1 : (int)syscall(SYS_listen, fd, backlog); }
int epoll_create1(int flags) {
  return FAILS_WITH_ERRNO(epoll_create1) ? -1 : (int)syscall(SYS_epoll_create1, flags);
}
int eventfd(unsigned begin, int flags) { return FAILS_WITH_ERRNO(eventfd) ? -1 : (int)syscall(SYS_eventfd2, begin, flags); }
int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event) {
  if (what == EPOLL_CTL_ADD && FAILS_WITH_ERRNO(epoll_ctl)) return -1; /* ENOSPC is of this one alone */
  return (int)syscall(SYS_epoll_ctl, epoll, what, fd, event);
}

/* A machine with more than two CPUs, so that the library reads the limits of control groups. */
int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set) {
  if (FAILS_WITH_ERRNO(sched_getaffinity)) return -1;
  FAULT_NEXT(sched_getaffinity)
  int r = next(pid, size, set);
  uintptr_t caller = (uintptr_t)__builtin_return_address(0);
  if (r == 0 && caller >= fault_lo && caller < fault_hi)
    for (int i = 0; i < 4; i++) CPU_SET_S(i, size, set);
  return r;
}

#endif /* GOMAX_FAULTS_H */
