/* Calls of the system that block, on the only P and without gmx_enter_syscall: another G runs meanwhile. It makes the
 * event that ends the call, so a P that is not taken hangs the test. The call returns what it would have without the
 * library, and neither it nor errno tells of the library. */
#include <stdint.h>

static uint32_t flags;
#define RUNTIME_FLAGS flags
#include "gs.h"
#include "objects.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* ---- the calls: prepare, call, the event that ends it, clean up ---- */

static int fds[2], other_fd;

static void open_pipe(void) { CHECK(pipe2(fds, O_CLOEXEC) == 0); }
static void close_both(void) { CHECK(close(fds[0]) == 0 && close(fds[1]) == 0); }
static void write_byte(void) { CHECK_EQ(write(fds[1], "x", 1), 1); }
static void take_byte(void) {
  char byte = 0;
  CHECK_EQ(read(fds[0], &byte, 1), 1);
  CHECK_EQ(byte, 'x');
}

static void wait_in_poll(void) {
  struct pollfd p = {fds[0], POLLIN, 0};
  CHECK_EQ(poll(&p, 1, -1), 1);
  CHECK_EQ(p.revents, POLLIN);
}

static void open_epoll(void) {
  struct epoll_event event = {.events = EPOLLIN, .data = {.u64 = 77}};
  open_pipe();
  CHECK_CMP(other_fd = epoll_create1(EPOLL_CLOEXEC), >=, 0);
  CHECK(epoll_ctl(other_fd, EPOLL_CTL_ADD, fds[0], &event) == 0);
}
static void wait_in_epoll(void) {
  struct epoll_event event;
  CHECK_EQ(epoll_wait(other_fd, &event, 1, -1), 1);
  CHECK_EQ(event.data.u64, 77);
}
static void close_epoll(void) {
  CHECK(close(other_fd) == 0);
  close_both();
}

/* Writes more than there is room for. */
static char filling[1 << 18];
static void fill_pipe(void) { CHECK_EQ(write(fds[1], filling, sizeof filling), sizeof filling); }
static void empty_pipe(void) {
  static char drained[sizeof filling];
  for (size_t n = 0; n < sizeof filling;) {
    ssize_t more = read(fds[0], drained, sizeof drained);
    CHECK_CMP(more, >, 0);
    n += (size_t)more;
  }
}

static struct sockaddr_in address;
static void listen_(void) {
  socklen_t size = sizeof address;
  memset(&address, 0, sizeof address);
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  CHECK_CMP(fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), >=, 0);
  CHECK(bind(fds[0], (struct sockaddr *)&address, size) == 0 && listen(fds[0], 1) == 0);
  CHECK(getsockname(fds[0], (struct sockaddr *)&address, &size) == 0);
}
static void accept_(void) {
  int fd = accept(fds[0], NULL, NULL);
  CHECK_CMP(fd, >=, 0);
  CHECK(close(fd) == 0);
}
static void connect_(void) {
  CHECK_CMP(fds[1] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), >=, 0);
  CHECK(connect(fds[1], (struct sockaddr *)&address, sizeof address) == 0);
}

static void open_sockets(void) { CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0); }
static void receive(void) {
  char byte = 0;
  CHECK_EQ(recv(fds[0], &byte, 1, 0), 1);
  CHECK_EQ(byte, 'x');
}
static void receive_end(void) {
  char byte;
  CHECK_EQ(recv(fds[0], &byte, 1, 0), 0);
}
static void shut_down(void) { CHECK(shutdown(fds[1], SHUT_WR) == 0); }

/* Two open files of one file, of which one has the lock. */
static void lock_file(void) {
  char path[64];
  CHECK_CMP(fds[0] = memfd_create("locked", MFD_CLOEXEC), >=, 0);
  snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
  CHECK_CMP(fds[1] = open(path, O_RDWR | O_CLOEXEC), >=, 0);
  CHECK(flock(fds[0], LOCK_EX) == 0);
}
static void lock_too(void) { CHECK_EQ(flock(fds[1], LOCK_EX), 0); }
static void unlock_file(void) { CHECK(flock(fds[0], LOCK_UN) == 0); }

/* A thread of the host has the mutex until it is told to unlock it. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static sem_t locked, told;
static pthread_t owner;
static int guarded;
static void *owns(void *arg) {
  CHECK(pthread_mutex_lock(&mutex) == 0);
  guarded = 0;
  CHECK(sem_post(&locked) == 0);
  while (sem_wait(&told) != 0) CHECK_EQ(errno, EINTR);
  guarded = 1;
  CHECK(pthread_mutex_unlock(&mutex) == 0);
  return arg;
}
static void lock_elsewhere(void) {
  CHECK(sem_init(&locked, 0, 0) == 0 && sem_init(&told, 0, 0) == 0);
  owner = thread_start(owns, NULL);
  CHECK(sem_wait(&locked) == 0);
}
static void lock_mutex(void) {
  CHECK_EQ(pthread_mutex_lock(&mutex), 0);
  CHECK_EQ(guarded, 1);
  CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
}
static void tell(void) { CHECK(sem_post(&told) == 0); }
static void end_owner(void) { thread_join(owner); }

static void join_owner(void) { CHECK_EQ(pthread_join(owner, NULL), 0); }

static void no_signal_yet(void) { guarded = 0; }
static void wait_for_signal(void) {
  CHECK_EQ(pthread_mutex_lock(&mutex), 0);
  while (!guarded) CHECK_EQ(pthread_cond_wait(&cond, &mutex), 0);
  CHECK_EQ(pthread_mutex_unlock(&mutex), 0);
}
static void signal_(void) {
  CHECK(pthread_mutex_lock(&mutex) == 0);
  guarded = 1;
  CHECK(pthread_cond_signal(&cond) == 0);
  CHECK(pthread_mutex_unlock(&mutex) == 0);
}

static void init_sem(void) { CHECK(sem_init(&told, 0, 0) == 0); }
/* musl's sem_wait tries once before it waits, and leaves the errno of that. */
static void wait_for_sem(void) {
  int kept = errno;
  CHECK_EQ(sem_wait(&told), 0);
  errno = kept;
}
static void wait_long_for_sem(void) {
  struct timespec at;
  CHECK(clock_gettime(CLOCK_REALTIME, &at) == 0);
  at.tv_sec += 3600;
  int kept = errno;
  CHECK_EQ(sem_timedwait(&told, &at), 0);
  errno = kept;
}

static uint32_t word;
static void zero_word(void) { word = 0; }
static void wait_for_word(void) { CHECK_EQ(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0), 0); }
static void wake_word(void) {
  while (syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0) == 0) CHECK_OK(gmx_yield());
}

static void open_counter(void) { CHECK_CMP(fds[0] = eventfd(0, EFD_CLOEXEC), >=, 0); }
static void wait_for_count(void) {
  eventfd_t n = 0;
  CHECK_EQ(eventfd_read(fds[0], &n), 0);
  CHECK_EQ(n, 5);
}
static void count(void) { CHECK(eventfd_write(fds[0], 5) == 0); }
static void close_first(void) { CHECK(close(fds[0]) == 0); }

/* A child process that ends when it is told to. */
static pid_t child;
static void start_child(void) {
  open_pipe();
  child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    char byte;
    close(fds[1]);
    _exit(read(fds[0], &byte, 1) == 1 ? 7 : 8);
  }
}
static void wait_for_child(void) {
  int status = -1;
  CHECK_EQ(waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}
static void wait_for_its_end(void) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  CHECK_EQ(waitid(P_PID, (id_t)child, &info, WEXITED), 0);
  CHECK(info.si_pid == child && info.si_status == 7);
}

static sigset_t usr1;
static void block_usr1(void) {
  CHECK(sigemptyset(&usr1) == 0 && sigaddset(&usr1, SIGUSR1) == 0);
  CHECK(pthread_sigmask(SIG_BLOCK, &usr1, NULL) == 0);
}
static int waiter_id;
static void wait_for_usr1(void) {
  CHECK(pthread_sigmask(SIG_BLOCK, &usr1, NULL) == 0); /* the G may have moved since */
  store(&waiter_id, thread_id());
  CHECK_EQ(sigwaitinfo(&usr1, NULL), SIGUSR1);
  CHECK(pthread_sigmask(SIG_UNBLOCK, &usr1, NULL) == 0);
}
static void send_usr1(void) {
  spin_until(load(&waiter_id) != 0);
  CHECK(syscall(SYS_tgkill, getpid(), load(&waiter_id), SIGUSR1) == 0);
}
static void unblock_usr1(void) {
  CHECK(pthread_sigmask(SIG_UNBLOCK, &usr1, NULL) == 0);
  waiter_id = 0;
}

static void no_preparation(void) {}

static const struct call {
  const char *name;
  void (*prepare)(void), (*call)(void), (*event)(void), (*clean_up)(void);
} calls[] = {
    {"read of a pipe", open_pipe, take_byte, write_byte, close_both},
    {"write to a full pipe", open_pipe, fill_pipe, empty_pipe, close_both},
    {"read of a counter", open_counter, wait_for_count, count, close_first},
    {"recv", open_sockets, receive, write_byte, close_both},
    {"recv of the end", open_sockets, receive_end, shut_down, close_both},
    {"accept", listen_, accept_, connect_, close_both},
    {"poll", open_pipe, wait_in_poll, write_byte, close_both},
    {"epoll_wait", open_epoll, wait_in_epoll, write_byte, close_epoll},
    {"flock", lock_file, lock_too, unlock_file, close_both},
    {"pthread_mutex_lock", lock_elsewhere, lock_mutex, tell, end_owner},
    {"pthread_cond_wait", no_signal_yet, wait_for_signal, signal_, no_preparation},
    {"pthread_join", lock_elsewhere, join_owner, tell, no_preparation},
    {"sem_wait", init_sem, wait_for_sem, tell, no_preparation},
    {"sem_timedwait", init_sem, wait_long_for_sem, tell, no_preparation},
    {"futex", zero_word, wait_for_word, wake_word, no_preparation},
    {"waitpid", start_child, wait_for_child, write_byte, close_both},
    {"waitid", start_child, wait_for_its_end, write_byte, close_both},
    {"sigwaitinfo", block_usr1, wait_for_usr1, send_usr1, unblock_usr1},
};
#define CALLS (sizeof calls / sizeof *calls)

/* ---- on the only P ---- */

static const struct call *now_called;
static bool needs_ps;
static int events;

static void makes_the_event(void *arg) {
  (void)arg;
  if (needs_ps) {
    int ps = 0;
    CHECK_OK(gmx_for_each_p(add_one, &ps));
    CHECK_EQ(load(&ps), 1);
    CHECK_EQ(gmx_gomaxprocs(2), 1);
    CHECK_EQ(gmx_gomaxprocs(1), 2);
    CHECK_CMP(mem_stats().g_live, >=, 2);
  }
  bump(&events);
  now_called->event();
}

/* A G that waits, and hears of it by a channel. */
static void receives_one(void *c) {
  int n = 0;
  CHECK_OK(gmx_chan_recv(c, &n));
  CHECK_EQ(n, 1);
}

/* Each kind of call of the library: one that needs no P, one that needs it, one that wakes another G, and a wait. */
static void the_library_works(void) {
  int n = 1;
  gmx_chan *c = chan_of(sizeof n, 0);
  gmx_g g = go_joinable(receives_one, c);
  CHECK(gmx_self() != 0);
  CHECK_EQ(gmx_pin(), 0);
  CHECK_OK(gmx_unpin());
  CHECK_OK(gmx_chan_send(c, &n));
  join(g);
  CHECK_OK(gmx_sleep(1));
  CHECK_OK(gmx_chan_free(c));
}

#define KEPT 4321
static void blocks(void *arg) {
  (void)arg;
  go(makes_the_event, NULL);
  pthread_t thread = pthread_self();
  errno = KEPT;
  now_called->call();
  CHECK_EQ(errno, KEPT);
  CHECK(pthread_equal(pthread_self(), thread));
  CHECK_EQ(load(&events), 1);
  the_library_works();
}

static void each_call(void) {
  for (size_t i = 0; i < CALLS; i++) {
    now_called = &calls[i];
    check_running = now_called->name;
    store(&events, 0);
    now_called->prepare();
    on_g(blocks, NULL);
    now_called->clean_up();
  }
}

static void another_g_ends_each_call(void) {
  needs_ps = false;
  each_call();
}

static void others_get_the_p_meanwhile(void) {
  needs_ps = true;
  each_call();
}

/* ---- sleeps, which end by themselves ---- */

static void naps(void) {
  struct timespec t = {0, 20 * MS};
  CHECK_EQ(nanosleep(&t, NULL), 0);
}
static void naps_until(void) {
  int64_t at = check_now() + 20 * MS;
  struct timespec t = {(time_t)(at / SECOND), (long)(at % SECOND)};
  CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
  CHECK_CMP(check_now(), >=, at);
}
static void sleeps(void) { CHECK_EQ(sleep(1), 0); }
static void sleeps_less(void) { CHECK_EQ(usleep(20000), 0); }
static void polls_nothing(void) { CHECK_EQ(poll(NULL, 0, 20), 0); }

static void (*const sleepers[])(void) = {naps, naps_until, sleeps, sleeps_less, polls_nothing};

static int asleep, came;
static void comes_while_it_sleeps(void *arg) {
  (void)arg;
  if (load(&asleep)) store(&came, 1);
}

/* On a busy machine the sleep may be over before the others come: then it sleeps again. */
static void sleeps_until_another_came(void *arg) {
  void (*sleeps)(void) = *(void (*const *)(void))arg;
  for (store(&came, 0); !load(&came);) {
    go(comes_while_it_sleeps, NULL);
    store(&asleep, 1);
    errno = KEPT;
    sleeps();
    CHECK_EQ(errno, KEPT);
    store(&asleep, 0);
    the_library_works();
  }
}

static void another_g_begins_in_each_sleep(void) {
  for (size_t i = 0; i < sizeof sleepers / sizeof *sleepers; i++)
    on_g(sleeps_until_another_came, (void *)&sleepers[i]);
}

/* ---- many at once ---- */

#define READERS 20
static int pipes[READERS][2], reading, done_reading;

static void reads_its_pipe(void *arg) {
  char byte = 0;
  bump(&reading);
  CHECK_EQ(read(*(int *)arg, &byte, 1), 1);
  CHECK_EQ(byte, 'r');
  CHECK_OK(gmx_yield());
  bump(&done_reading);
}

/* All are in their calls at the same time, on one P. */
static void many_block_at_once(void) {
  gmx_g g[READERS];
  for (int i = 0; i < READERS; i++) {
    CHECK(pipe2(pipes[i], O_CLOEXEC) == 0);
    g[i] = go_joinable(reads_its_pipe, &pipes[i][0]);
  }
  spin_until(load(&reading) == READERS);
  CHECK_EQ(load(&done_reading), 0);
  for (int i = READERS - 1; i >= 0; i--) {
    CHECK_EQ(write(pipes[i][1], "r", 1), 1);
    spin_until(load(&done_reading) == READERS - i);
  }
  join_all(g, READERS);
  for (int i = 0; i < READERS; i++) CHECK(close(pipes[i][0]) == 0 && close(pipes[i][1]) == 0);
}

/* ---- a syscall without a P ---- */

/* The P is gone while the G sleeps, and its new owner keeps it until the G is in a syscall: so no way into a syscall
 * may wait for a P. (The G may have a lock of the host that the new owner waits for, as that of an interpreter.) With
 * signals the G could be held before it gets there, on a machine that is slow enough. */
static int sleeping[2], holds, is_in;

static void keeps_the_p(void *arg) {
  (void)arg;
  store(&holds, 1);
  CHECK_EQ(write(sleeping[1], "r", 1), 1);
  while (!load(&is_in)) continue;
}

static void says_it_is_in(void *arg) {
  (void)arg;
  store(&is_in, 1);
}

static void by_bracket(void) {
  CHECK_OK(gmx_enter_syscall());
  store(&is_in, 1);
  CHECK_OK(gmx_exit_syscall());
}

static void by_bracket_blocking(void) {
  CHECK_OK(gmx_enter_syscall_blocking());
  store(&is_in, 1);
  CHECK_OK(gmx_exit_syscall());
}

static void by_function(void) { CHECK_OK(gmx_blocking(says_it_is_in, NULL)); }

static void the_way_into_a_syscall_needs_no_p(void) {
  void (*ways[])(void) = {by_bracket, by_bracket_blocking, by_function};
  CHECK(pipe2(sleeping, O_CLOEXEC) == 0);
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    char byte;
    store(&is_in, 0);
    store(&holds, 0);
    gmx_g g = go_with("keeper", GMX_SPAWN_JOINABLE | GMX_SPAWN_NO_PREEMPT, keeps_the_p, NULL);
    CHECK_EQ(read(sleeping[0], &byte, 1), 1);
    CHECK(load(&holds));
    ways[i]();
    the_library_works();
    join(g);
  }
  CHECK(close(sleeping[0]) == 0 && close(sleeping[1]) == 0);
}

int main(void) {
  start_runtime(1, 0);
  RUN_G(another_g_ends_each_call);
  RUN_G(others_get_the_p_meanwhile);
  RUN_G(another_g_begins_in_each_sleep);
  RUN_G(many_block_at_once);
  ends_clean();
  flags = GMX_CONFIG_PREEMPT_NO_SIGNAL;
  start_runtime(1, 0);
  RUN_G(the_way_into_a_syscall_needs_no_p);
  ends_clean();
  return 0;
}
