/* timeout: 120 */
/* flags: -lutil */
/* Calls that wait for descriptors: they park the G, wherever they are made, and return what the system says. Each kind
 * of descriptor has its events. */
#include "fds.h"

#include <pty.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>

/* ---- every call, in every place ---- */

static void each_call_returns_after_its_event(void) {
  for (int place = 0; place < PLACES; place++)
    for (int i = 0; i < FD_CALLS; i++) {
      const struct fd_call *call = &fd_calls[i];
      struct fd_state s;
      struct fd_waiter w;
      check_running = call->name;
      state_open(&s, call);
      wait_start(&w, place, call, &s, GMX_FOREVER, 0);
      CHECK(!load(&w.done)); /* otherwise it does not wait */
      call->event(&s);
      if (wait_end(&w) != call->wants) FAIL("%s %s: %s", call->name, place_names[place], gmx_err_name(w.status));
      state_close(&s);
    }
}

static void each_call_that_finds_its_event_does_not_wait(void) {
  for (int i = 0; i < FD_CALLS; i++) {
    const struct fd_call *call = &fd_calls[i];
    struct fd_state s;
    check_running = call->name;
    state_open(&s, call);
    CHECK_STATUS(call->call(&s, 0), GMX_ETIMEDOUT);
    CHECK_STATUS(call->call(&s, -1), GMX_ETIMEDOUT);
    CHECK_STATUS(call->call(&s, INT64_MIN), GMX_ETIMEDOUT);
    call->event(&s);
    if (call->direction == GMX_POLL_OUT || call->call == calls_accept) spin_until(is_ready(gmx_poll_fd(s.p), POLLIN | POLLOUT));
    CHECK_STATUS(call->call(&s, 0), call->wants);
    state_close(&s);
  }
}

/* A limit that is added to the present time without care is in the past. */
static void a_long_timeout_is_no_short_one(void) {
  static const int64_t long_[] = {INT64_MAX - 1, INT64_MAX / 2, HOUR, GMX_FOREVER};
  for (size_t i = 0; i < sizeof long_ / sizeof *long_; i++) {
    struct fd_state s;
    struct fd_waiter w;
    state_open(&s, &fd_calls[0]);
    wait_start(&w, ON_G, &fd_calls[0], &s, long_[i], 0);
    CHECK(!load(&w.done));
    comes(&s);
    CHECK_STATUS(wait_end(&w), 1);
    state_close(&s);
  }
}

/* Many more bytes than any queue holds, both ways at once, through one handle. */
enum { STREAM = 1 << 20 };

static void writes_a_stream(void *arg) {
  unsigned char bytes[8191];
  unsigned n = 0;
  for (size_t all = 0; all < STREAM;) {
    size_t piece = STREAM - all < sizeof bytes ? STREAM - all : sizeof bytes, done = 0;
    for (size_t i = 0; i < piece; i++) bytes[i] = (unsigned char)(n++ * 31u >> 3);
    CHECK_OK(gmx_write(*(gmx_poll *)arg, bytes, piece, GMX_FOREVER, &done));
    CHECK_EQ(done, piece);
    all += piece;
  }
}

static void reads_a_stream(void *arg) {
  unsigned char bytes[5003];
  unsigned n = 0;
  for (size_t all = 0; all < STREAM;) {
    size_t piece = STREAM - all < sizeof bytes ? STREAM - all : sizeof bytes;
    gmx_status got = gmx_read(*(gmx_poll *)arg, bytes, piece, GMX_FOREVER);
    CHECK_CMP(got, >, 0);
    for (int i = 0; i < got; i++) CHECK_EQ(bytes[i], (unsigned char)(n++ * 31u >> 3));
    all += (size_t)got;
  }
}

static void a_reader_and_a_writer_of_one_handle_are_independent(void) {
  for (int kind = UNIX; kind <= TCP; kind++) {
    struct pair pair = pair_of(kind);
    gmx_g g[4];
    for (int i = 0; i < 2; i++) {
      g[2 * i] = go_joinable(reads_a_stream, &pair.p[i]);
      g[2 * i + 1] = go_joinable(writes_a_stream, &pair.p[i]);
    }
    join_all(g, 4);
    pair_close(&pair);
  }
}

/* ---- many ---- */

enum { MANY = 1000 };
static struct pair many[MANY];
static int heard;

static void hears_its_number(void *arg) {
  int i = (int)(intptr_t)arg, number = -1;
  CHECK_EQ(gmx_read(many[i].p[0], &number, sizeof number, GMX_FOREVER), sizeof number);
  CHECK_EQ(number, i);
  bump(&heard);
  CHECK_EQ(gmx_read(many[i].p[0], &number, sizeof number, GMX_FOREVER), 0);
}

/* A short read says that nothing is left. The library may not know yet of what comes then: so a call that only tries
 * asks the system. */
static void a_call_that_only_tries_sees_what_has_just_come(void) {
  for (int kind = 0; kind < PAIR_KINDS; kind++) {
    struct pair pair = pair_of((enum pair_kind)kind);
    char text[16];
    CHECK_STATUS(gmx_read(pair.p[0], text, sizeof text, MS), GMX_ETIMEDOUT); /* it is watched now */
    for (int i = 0; i < 100; i++) {
      feed(pair.fd[1], "abc", 3);
      CHECK_EQ(gmx_read(pair.p[0], text, sizeof text, GMX_FOREVER), 3);
      feed(pair.fd[1], "x", 1);
      while (!is_ready(pair.fd[0], POLLIN)) continue;
      CHECK_EQ(gmx_read(pair.p[0], text, sizeof text, 0), 1);
      CHECK_STATUS(gmx_read(pair.p[0], text, sizeof text, 0), GMX_ETIMEDOUT);
    }
    pair_close(&pair);
  }
}

/* With a thread for each, it would be a thousand threads. */
static void a_thousand_readers_take_no_threads(void) {
  if (!more_fds(2 * MANY + 100)) SKIP("too few descriptors are allowed");
  for (int kind = PIPE; kind <= UNIX; kind++) {
    store(&heard, 0);
    gmx_g g[MANY];
    for (int i = 0; i < MANY; i++) {
      fds_of(many[i].fd, kind);
      many[i].p[0] = own_fd(many[i].fd[0]);
      many[i].p[1] = 0;
    }
    for (int i = 0; i < MANY; i++) g[i] = go_joinable(hears_its_number, (void *)(intptr_t)i);
    spin_until(count_waiting() == MANY);
    CHECK_EQ(load(&heard), 0);
    CHECK_CMP(count_threads(), <, 150);
    for (int i = MANY - 1; i >= 0; i--) {
      int number = (i * 7 + 3) % MANY;
      feed(many[number].fd[1], &number, sizeof number);
    }
    spin_until(load(&heard) == MANY);
    for (int i = 0; i < MANY; i++) {
      CHECK(close(many[i].fd[1]) == 0);
      many[i].fd[1] = -1;
    }
    join_all(g, MANY);
    for (int i = 0; i < MANY; i++) pair_close(&many[i]);
  }
}

/* ---- several at one handle ---- */

struct one_of {
  gmx_poll p;
  int begun, order;
  char byte;
};
static int order;

static void takes_a_byte(void *arg) {
  struct one_of *me = arg;
  CHECK_EQ(gmx_read(me->p, &me->byte, 1, GMX_FOREVER), 1);
  me->order = bump(&order);
}

/* A byte for each reader, so none may be left, and none gets two. */
static void readers_of_one_handle_take_turns(void) {
  enum { READERS = 20 };
  for (int kind = 0; kind < PAIR_KINDS; kind++)
    for (int at_once = 0; at_once < 2; at_once++) {
      struct pair pair = pair_of(kind);
      struct one_of readers[READERS];
      gmx_g g[READERS];
      store(&order, 0);
      for (int i = 0; i < READERS; i++) {
        readers[i] = (struct one_of){.p = pair.p[0]};
        g[i] = go_joinable(takes_a_byte, &readers[i]);
        spin_until(count_waiting() == i + 1);
      }
      for (int i = 0; !at_once && i < READERS; i++) {
        char byte = (char)('a' + i);
        feed(pair.fd[1], &byte, 1);
        spin_until(load(&order) == i + 1);
      }
      if (at_once) feed(pair.fd[1], "abcdefghijklmnopqrst", READERS);
      join_all(g, READERS);
      for (int i = 0; i < READERS; i++) CHECK_EQ(readers[i].byte, 'a' + i);
      CHECK_STATUS(gmx_read(pair.p[0], &readers[0].byte, 1, 0), GMX_ETIMEDOUT);
      pair_close(&pair);
    }
}

enum { WRITERS = 3, LONG = 1 << 19 };
struct writer {
  gmx_poll p;
  char letter;
};

static void writes_its_letter(void *arg) {
  struct writer *me = arg;
  char *text = malloc(LONG);
  CHECK(text != NULL);
  memset(text, me->letter, LONG);
  size_t done = 0;
  CHECK_OK(gmx_write(me->p, text, LONG, GMX_FOREVER, &done));
  CHECK_EQ(done, LONG);
  free(text);
}

/* Each message is longer than the queue of the system: writers that do not take turns mix their letters. */
static void messages_of_several_writers_do_not_mix(void) {
  for (int kind = 0; kind < PAIR_KINDS; kind++) {
    struct pair pair = pair_of(kind);
    struct writer writers[WRITERS];
    gmx_g g[WRITERS];
    static char text[LONG];
    for (int i = 0; i < WRITERS; i++) {
      writers[i] = (struct writer){kind == PIPE ? pair.p[1] : pair.p[0], (char)('a' + i)};
      g[i] = go_joinable(writes_its_letter, &writers[i]);
    }
    for (int i = 0; i < WRITERS; i++) {
      gmx_poll from = kind == PIPE ? pair.p[0] : pair.p[1];
      for (size_t got = 0; got < LONG;) {
        gmx_status n = gmx_read(from, text + got, LONG - got, GMX_FOREVER);
        CHECK_CMP(n, >, 0);
        got += (size_t)n;
      }
      for (size_t at = 0; at < LONG; at++) CHECK_EQ(text[at], text[0]);
    }
    join_all(g, WRITERS);
    pair_close(&pair);
  }
}

/* ---- what is ready ---- */

static uint32_t ready_now(gmx_poll p, uint32_t events) {
  uint32_t ready = 0;
  gmx_status status = gmx_poll_wait(p, events, 0, &ready);
  return status == GMX_ETIMEDOUT ? 0 : status == GMX_OK ? ready : (uint32_t)status;
}

static void what_is_ready_is_told(void) {
  struct pair pair = pair_of(UNIX);
  CHECK_EQ(ready_now(pair.p[0], FD_BOTH) & FD_BOTH, GMX_POLL_OUT);
  CHECK_EQ(ready_now(pair.p[0], GMX_POLL_OUT) & FD_BOTH, GMX_POLL_OUT);
  CHECK_EQ(ready_now(pair.p[0], GMX_POLL_IN), 0);
  feed(pair.fd[1], "x", 1);
  CHECK_EQ(ready_now(pair.p[0], FD_BOTH) & FD_BOTH, FD_BOTH);
  CHECK_EQ(ready_now(pair.p[0], GMX_POLL_IN) & GMX_POLL_IN, GMX_POLL_IN);
  CHECK_EQ(ready_now(pair.p[0], GMX_POLL_IN) & GMX_POLL_IN, GMX_POLL_IN); /* it is still there */
  CHECK_EQ(drain(pair.fd[0]), 1);
  CHECK_EQ(ready_now(pair.p[0], GMX_POLL_IN), 0);
  CHECK_OK(fd_shutdown(pair.p[1], SHUT_WR));
  CHECK_EQ(ready_now(pair.p[0], GMX_POLL_IN) & (GMX_POLL_IN | GMX_POLL_RDHUP), GMX_POLL_IN | GMX_POLL_RDHUP);
  CHECK_EQ(ready_now(pair.p[0], FD_BOTH) & GMX_POLL_OUT, GMX_POLL_OUT);
  pair_close(&pair);

  pair = pair_of(PIPE);
  CHECK_EQ(ready_now(pair.p[1], GMX_POLL_OUT) & GMX_POLL_OUT, GMX_POLL_OUT);
  close_fd(pair.p[0]);
  pair.p[0] = 0;
  pair.fd[0] = -1;
  CHECK_EQ(ready_now(pair.p[1], GMX_POLL_OUT) & GMX_POLL_ERR, GMX_POLL_ERR);
  pair_close(&pair);

  pair = pair_of(PIPE);
  close_fd(pair.p[1]);
  pair.p[1] = 0;
  pair.fd[1] = -1;
  CHECK_EQ(ready_now(pair.p[0], GMX_POLL_IN) & GMX_POLL_HUP, GMX_POLL_HUP);
  pair_close(&pair);
}

/* A wait for a number has no handle that would stay. */
static void waits_for_a_number(void *arg) {
  int fd = *(int *)arg;
  uint32_t ready = 0;
  CHECK_OK(gmx_wait_fd(fd, GMX_POLL_IN, GMX_FOREVER, &ready));
  CHECK(ready & GMX_POLL_IN);
}

static void a_number_can_be_waited_for(void) {
  for (int place = 0; place < PLACES; place++)
    for (int i = 0; i < 20; i++) {
      int fd[2];
      uint32_t ready = 0;
      struct placed at;
      fds_of(fd, i % PAIR_KINDS);
      CHECK_STATUS(gmx_wait_fd(fd[0], GMX_POLL_IN, 0, &ready), GMX_ETIMEDOUT);
      CHECK_STATUS(gmx_wait_fd(fd[0], GMX_POLL_IN, MS, &ready), GMX_ETIMEDOUT);
      place_start(&at, place, waits_for_a_number, &fd[0]);
      if (i % 2) spin_until(place != ON_G || count_waiting() > 0);
      feed(fd[1], "x", 1);
      place_join(&at);
      CHECK_EQ(drain(fd[0]), 1);
      CHECK(close(fd[0]) == 0 && close(fd[1]) == 0);
      CHECK_STATUS(gmx_wait_fd(fd[0], GMX_POLL_IN, 0, &ready), GMX_EBADF);
    }
  uint32_t ready;
  CHECK_STATUS(gmx_wait_fd(-1, GMX_POLL_IN, 0, &ready), GMX_EBADF);
}

/* Two waits for one number at once: a registration that one takes away is the other's too. */
static void two_waits_for_one_number(void) {
  for (int i = 0; i < 50; i++) {
    int fd[2];
    struct placed at[2];
    fds_of(fd, UNIX);
    for (int k = 0; k < 2; k++) place_start(&at[k], i % 2 && k ? ON_THREAD : ON_G, waits_for_a_number, &fd[0]);
    if (i % 3) spin_until(count_waiting() == (i % 2 ? 1 : 2));
    feed(fd[1], "x", 1);
    for (int k = 0; k < 2; k++) place_join(&at[k]);
    CHECK(close(fd[0]) == 0 && close(fd[1]) == 0);
  }
}

/* ---- kinds ---- */

static void files_are_always_ready(void) {
  char text[8] = "";
  size_t done = 0;
  int fd = memfd_create("file", MFD_CLOEXEC);
  gmx_poll p = own_fd(fd);
  CHECK_EQ(ready_now(p, FD_BOTH), FD_BOTH);
  CHECK_OK(gmx_write(p, "words", 5, GMX_FOREVER, &done));
  CHECK_EQ(done, 5);
  CHECK_EQ(gmx_read(p, text, sizeof text, GMX_FOREVER), 0);
  CHECK(lseek(fd, 0, SEEK_SET) == 0);
  CHECK_EQ(gmx_read(p, text, sizeof text, 0), 5);
  CHECK_STR(text, "words");
  close_fd(p);
  p = own_fd(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  CHECK_EQ(ready_now(p, GMX_POLL_IN), GMX_POLL_IN);
  CHECK_STATUS(gmx_read(p, text, sizeof text, GMX_FOREVER), -EISDIR);
  close_fd(p);
  p = own_fd(open("/dev/null", O_RDWR | O_CLOEXEC));
  CHECK_EQ(ready_now(p, FD_BOTH), FD_BOTH);
  CHECK_EQ(gmx_read(p, text, sizeof text, GMX_FOREVER), 0);
  CHECK_OK(gmx_write(p, text, sizeof text, GMX_FOREVER, &done));
  CHECK_EQ(done, sizeof text);
  close_fd(p);
  p = own_fd(open("/dev/zero", O_RDWR | O_CLOEXEC));
  memset(text, 'x', sizeof text);
  CHECK_EQ(gmx_read(p, text, sizeof text, GMX_FOREVER), sizeof text);
  CHECK_EQ(text[7], 0);
  close_fd(p);
}

struct reader {
  gmx_poll p;
  char bytes[1024];
  size_t n;
  gmx_status got;
};
static void reads(void *arg) {
  struct reader *r = arg;
  r->got = gmx_read(r->p, r->bytes, r->n, GMX_FOREVER);
}
static void start_reader(struct reader *r, struct placed *at, enum place place, gmx_poll p, size_t n) {
  memset(r, 0, sizeof *r);
  r->p = p;
  r->n = n;
  place_start(at, place, reads, r);
  if (place == ON_G) spin_until(count_waiting() == 1);
}

static void a_terminal_keeps_its_flags(void) {
  int main_fd, fd;
  struct termios raw;
  if (openpty(&main_fd, &fd, NULL, NULL, NULL) != 0) {
    check_say("there are no terminals: left out");
    return;
  }
  CHECK(tcgetattr(fd, &raw) == 0);
  int flags = fcntl(fd, F_GETFL);
  for (int place = 0; place < PLACES; place++) {
    gmx_poll p = borrow_fd(fd);
    struct reader r;
    struct placed at;
    start_reader(&r, &at, place, p, sizeof r.bytes);
    CHECK_EQ(fcntl(fd, F_GETFL), flags);
    feed(main_fd, "a line\n", 7);
    place_join(&at);
    CHECK_EQ(r.got, 7);
    CHECK(memcmp(r.bytes, "a line\n", 7) == 0);
    CHECK_OK(gmx_write(p, "an answer\n", 10, GMX_FOREVER, NULL));
    CHECK_EQ(fcntl(fd, F_GETFL), flags);
    CHECK_OK(gmx_close(p));
    CHECK_EQ(fcntl(fd, F_GETFL), flags);
  }
  CHECK(close(fd) == 0 && close(main_fd) == 0);
}

static void a_counter_is_read(void) {
  for (int place = 0; place < PLACES; place++) {
    uint64_t n = 0;
    struct reader r;
    struct placed at;
    int fd = eventfd(0, EFD_CLOEXEC);
    gmx_poll p = own_fd(fd);
    CHECK_STATUS(gmx_read(p, &n, sizeof n, 0), GMX_ETIMEDOUT);
    start_reader(&r, &at, place, p, sizeof n);
    n = 5;
    feed(fd, &n, sizeof n);
    place_join(&at);
    CHECK_EQ(r.got, sizeof n);
    memcpy(&n, r.bytes, sizeof n);
    CHECK_EQ(n, 5);
    n = UINT64_MAX - 1; /* now a writer has to wait */
    CHECK_OK(gmx_write(p, &n, sizeof n, GMX_FOREVER, NULL));
    CHECK_STATUS(gmx_write(p, &n, sizeof n, MS, NULL), GMX_ETIMEDOUT);
    CHECK_EQ(gmx_read(p, &n, sizeof n, GMX_FOREVER), sizeof n);
    CHECK_EQ(n, UINT64_MAX - 1);
    feed(fd, &n, sizeof n);
    CHECK_STATUS(gmx_read(p, &n, 4, GMX_FOREVER), GMX_EINVAL); /* as the system says */
    close_fd(p);
  }
}

/* A count of three that comes as one edge is three reads. */
static void each_post_of_a_semaphore_is_read(void) {
  uint64_t n = 3;
  int fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
  gmx_poll p = own_fd(fd);
  struct reader r;
  struct placed at;
  for (int round = 0; round < 3; round++) {
    start_reader(&r, &at, ON_G, p, sizeof n);
    n = 3;
    feed(fd, &n, sizeof n);
    place_join(&at);
    for (int i = 0; i < 2; i++) {
      CHECK_EQ(gmx_read(p, &n, sizeof n, GMX_FOREVER), sizeof n);
      CHECK_EQ(n, 1);
    }
    CHECK_STATUS(gmx_read(p, &n, sizeof n, 0), GMX_ETIMEDOUT);
  }
  close_fd(p);
}

static void a_timer_of_the_system_is_read(void) {
  uint64_t n = 0;
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  gmx_poll p = own_fd(fd);
  struct itimerspec once = {{0, 0}, {0, 5 * MS}}, often = {{0, MS}, {0, MS}};
  CHECK(timerfd_settime(fd, 0, &once, NULL) == 0);
  CHECK_EQ(gmx_read(p, &n, sizeof n, GMX_FOREVER), sizeof n);
  CHECK_EQ(n, 1);
  CHECK_STATUS(gmx_read(p, &n, sizeof n, 0), GMX_ETIMEDOUT);
  CHECK(timerfd_settime(fd, 0, &often, NULL) == 0);
  for (uint64_t all = 0; all < 5; all += n) CHECK_EQ(gmx_read(p, &n, sizeof n, GMX_FOREVER), sizeof n);
  close_fd(p);
}

/* SIGUSR2 is blocked in each thread: in main, before there are others. */
static void a_signal_is_read(void) {
  sigset_t set;
  struct signalfd_siginfo info;
  CHECK(sigemptyset(&set) == 0 && sigaddset(&set, SIGUSR2) == 0);
  int fd = signalfd(-1, &set, SFD_CLOEXEC);
  gmx_poll p = own_fd(fd);
  struct reader r;
  struct placed at;
  CHECK_STATUS(gmx_read(p, &info, sizeof info, 0), GMX_ETIMEDOUT);
  start_reader(&r, &at, ON_G, p, sizeof info);
  CHECK(kill(getpid(), SIGUSR2) == 0);
  place_join(&at);
  CHECK_EQ(r.got, sizeof info);
  memcpy(&info, r.bytes, sizeof info);
  CHECK_EQ(info.ssi_signo, SIGUSR2);
  close_fd(p);
}

static void a_change_of_a_directory_is_read(void) {
  char dir[] = "/tmp/gomax-fd-XXXXXX", path[64];
  CHECK(mkdtemp(dir) != NULL);
  snprintf(path, sizeof path, "%s/file", dir);
  int fd = inotify_init1(IN_CLOEXEC);
  CHECK_CMP(inotify_add_watch(fd, dir, IN_CREATE | IN_DELETE), >=, 0);
  gmx_poll p = own_fd(fd);
  struct reader r;
  struct placed at;
  start_reader(&r, &at, ON_G, p, sizeof r.bytes);
  int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  CHECK(file >= 0 && close(file) == 0 && unlink(path) == 0);
  place_join(&at);
  CHECK_CMP(r.got, >=, (int)sizeof(struct inotify_event));
  CHECK_STR(((struct inotify_event *)(void *)r.bytes)->name, "file");
  close_fd(p);
  CHECK(rmdir(dir) == 0);
}

static void the_end_of_a_process_is_waited_for(void) {
  int ends[2];
  uint32_t ready = 0;
  CHECK(pipe2(ends, O_CLOEXEC) == 0);
  pid_t pid = fork();
  CHECK(pid >= 0);
  if (pid == 0) {
    char byte;
    close(ends[1]);
    _exit(read(ends[0], &byte, 1) == 1 ? 7 : 8);
  }
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) check_say("pidfd_open: %s: left out", strerror(errno));
  feed(ends[1], "x", fd < 0);
  if (fd >= 0) {
    gmx_poll p = own_fd(fd);
    CHECK_STATUS(gmx_poll_wait(p, GMX_POLL_IN, 0, &ready), GMX_ETIMEDOUT);
    struct placed at;
    place_start(&at, ON_G, waits_for_a_number, &fd);
    spin_until(count_waiting() == 1);
    feed(ends[1], "x", 1);
    CHECK_OK(gmx_poll_wait(p, GMX_POLL_IN, GMX_FOREVER, &ready));
    CHECK(ready & GMX_POLL_IN);
    place_join(&at);
    close_fd(p);
  }
  int status = -1;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
  CHECK(close(ends[0]) == 0 && close(ends[1]) == 0);
}

/* ---- what is not valid ---- */

static void wrong_arguments_change_nothing(void) {
  gmx_poll p = 77;
  uint32_t ready = 77;
  char byte = 0;
  CHECK_STATUS(gmx_poll_open(-1, 0, &p), GMX_EBADF);
  CHECK_STATUS(gmx_poll_open(1 << 29, 0, &p), GMX_EBADF);
  CHECK_STATUS(gmx_poll_open(0, 0x40000000, &p), GMX_EINVAL);
  CHECK_STATUS(gmx_poll_open(0, 0, NULL), GMX_EINVAL);
  CHECK_EQ(p, 77);
  for (int i = 0; i < 3; i++) {
    gmx_poll none = i == 0 ? 0 : i == 1 ? ~(gmx_poll)0 : 12345;
    int fd = 77;
    size_t done = 0;
    CHECK_STATUS(gmx_poll_fd(none), GMX_EBADF);
    CHECK_STATUS(gmx_read(none, &byte, 1, GMX_FOREVER), GMX_EBADF);
    CHECK_STATUS(gmx_write(none, &byte, 1, GMX_FOREVER, &done), GMX_EBADF);
    CHECK_STATUS(gmx_poll_wait(none, GMX_POLL_IN, GMX_FOREVER, &ready), GMX_EBADF);
    CHECK_STATUS(gmx_poll_set_deadline(none, GMX_POLL_IN, 0), GMX_EBADF);
    CHECK_STATUS(gmx_poll_release(none, &fd), GMX_EBADF);
    CHECK_STATUS(gmx_close(none), GMX_EBADF);
    CHECK_STATUS(fd_shutdown(none, SHUT_RD), GMX_EBADF);
    CHECK_EQ(fd, 77);
  }
  struct pair pair = pair_of(PIPE);
  CHECK_STATUS(gmx_poll_wait(pair.p[0], 0, 0, &ready), GMX_EINVAL);
  CHECK_STATUS(gmx_poll_wait(pair.p[0], GMX_POLL_IN, 0, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_recv(pair.p[0], &byte, 1, 0, 0), -ENOTSOCK);
  CHECK_STATUS(gmx_send(pair.p[1], &byte, 1, 0, 0), -ENOTSOCK);
  CHECK_STATUS(fd_shutdown(pair.p[0], SHUT_RD), -ENOTSOCK);
  CHECK_STATUS(gmx_read(pair.p[1], &byte, 1, 0), GMX_EBADF); /* the wrong end */
  CHECK_STATUS(gmx_write(pair.p[0], &byte, 1, 0, NULL), GMX_EBADF);
  CHECK_EQ(ready, 77);
  feed(pair.fd[1], "x", 1);
  CHECK_STATUS(gmx_read(pair.p[0], (void *)8, 1, 0), -EFAULT);
  CHECK_EQ(gmx_read(pair.p[0], &byte, 1, 0), 1);
  pair_close(&pair);
}

/* ---- an attempt of nothing, and of too much ---- */

static void nothing_is_read_at_once(void) {
  for (int kind = 0; kind < PAIR_KINDS; kind++) {
    struct pair pair = pair_of(kind);
    char byte = 0;
    struct iovec v = {&byte, 0};
    size_t done = 77;
    CHECK_EQ(gmx_read(pair.p[0], &byte, 0, GMX_FOREVER), 0);
    CHECK_EQ(gmx_read(pair.p[0], NULL, 0, GMX_FOREVER), 0);
    CHECK_EQ(gmx_readv(pair.p[0], &v, 1, GMX_FOREVER), 0);
    CHECK_EQ(gmx_readv(pair.p[0], &v, 0, GMX_FOREVER), 0);
    CHECK_OK(gmx_write(pair.p[1], "", 0, GMX_FOREVER, &done));
    CHECK_EQ(done, 0);
    done = 77;
    CHECK_OK(gmx_writev(pair.p[1], &v, 1, GMX_FOREVER, &done));
    CHECK_EQ(done, 0);
    feed(pair.fd[1], "x", 1);
    CHECK_EQ(gmx_read(pair.p[0], &byte, 0, GMX_FOREVER), 0);
    CHECK_EQ(gmx_read(pair.p[0], &byte, 1, GMX_FOREVER), 1);
    pair_close(&pair);
  }
}

/* 3 GiB of addresses; of them only what there is to read is touched. */
static void a_huge_read_is_cut(void) {
  size_t size = (size_t)3 << 30;
  char *huge = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (huge == MAP_FAILED) {
    check_say("no room for 3 GiB of addresses: left out");
    return;
  }
  for (int kind = 0; kind < PAIR_KINDS; kind++) {
    struct pair pair = pair_of(kind);
    feed(pair.fd[1], "words", 5);
    spin_until(is_ready(pair.fd[0], POLLIN));
    CHECK_EQ(gmx_read(pair.p[0], huge, size, GMX_FOREVER), 5);
    CHECK(memcmp(huge, "words", 5) == 0);
    pair_close(&pair);
  }
  CHECK(munmap(huge, size) == 0);
}

int main(void) {
  sigset_t usr2;
  CHECK(sigemptyset(&usr2) == 0 && sigaddset(&usr2, SIGUSR2) == 0);
  CHECK(pthread_sigmask(SIG_BLOCK, &usr2, NULL) == 0);
  start_runtime(1, 0);
  RUN_G(a_call_that_only_tries_sees_what_has_just_come);
  RUN_G(a_thousand_readers_take_no_threads);
  WITH_SOME_PS {
    RUN_G(each_call_returns_after_its_event);
    RUN_G(each_call_that_finds_its_event_does_not_wait);
    RUN_G(a_long_timeout_is_no_short_one);
    RUN_G(a_reader_and_a_writer_of_one_handle_are_independent);
    RUN_G(readers_of_one_handle_take_turns);
    RUN_G(messages_of_several_writers_do_not_mix);
    RUN_G(what_is_ready_is_told);
    RUN_G(a_number_can_be_waited_for);
    RUN_G(two_waits_for_one_number);
    RUN_G(files_are_always_ready);
    RUN_G(a_terminal_keeps_its_flags);
    RUN_G(a_counter_is_read);
    RUN_G(each_post_of_a_semaphore_is_read);
    RUN_G(a_timer_of_the_system_is_read);
    RUN_G(a_signal_is_read);
    RUN_G(a_change_of_a_directory_is_read);
    RUN_G(the_end_of_a_process_is_waited_for);
    RUN_G(nothing_is_read_at_once);
    RUN_G(a_huge_read_is_cut);
    RUN_G(wrong_arguments_change_nothing);
  }
  RUN(each_call_that_finds_its_event_does_not_wait); /* on a thread that is no G */
  RUN(what_is_ready_is_told);
  RUN(files_are_always_ready);
  RUN(a_timer_of_the_system_is_read);
  RUN(nothing_is_read_at_once);
  RUN(wrong_arguments_change_nothing);
  ends_clean();
  return 0;
}
