/* timeout: 120 */
/* The host closes the descriptors by which the library waits, as a program does that closes all it does not know. The
 * library notices, makes new ones, tells it once each time, and leaves the old numbers alone: they may be the host's.
 * A descriptor of a handle that the host has closed too is lost, and its calls get GMX_EBADF. */
#include "fds.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

/* ---- reports ---- */

static int told;

static void hears(void *unused, const char *text, size_t len) {
  (void)unused;
  (void)len;
  if (strstr(text, "has closed the epoll")) bump(&told);
  else check_say("%s", text);
}

static void begin(int procs) {
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.maxprocs = procs;
  config.report = hears;
  CHECK_OK(gmx_init(&config));
}

/* ---- the library's descriptors ---- */

enum what { EPOLL = 1, EVENTFD = 2, BOTH = 3 };

/* The number of the library's epoll or eventfd: the newest one that the test has not made. */
static int number_of(enum what what) {
  const char *wanted = what == EPOLL ? "anon_inode:[eventpoll]" : "anon_inode:[eventfd]";
  for (int fd = 4095; fd > 2; fd--) {
    char path[64], is[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(path, is, sizeof is - 1);
    if (n < 0) continue;
    is[n] = 0;
    if (strcmp(is, wanted) == 0) return fd;
  }
  return -1;
}

/* Closes them; or, if there is an instead, it has their numbers from here on. Returns the number of one of them. */
static int lose(enum what what, int instead) {
  int numbers[] = {what & EPOLL ? number_of(EPOLL) : -1, what & EVENTFD ? number_of(EVENTFD) : -1};
  int last = -1;
  for (int i = 0; i < 2; i++) {
    if (numbers[i] < 0) {
      CHECK(!(what & 1 << i));
      continue;
    }
    if (instead < 0) CHECK(close(numbers[i]) == 0);
    else CHECK_EQ(dup2(instead, numbers[i]), numbers[i]);
    last = numbers[i];
  }
  return last;
}

/* ---- Gs that wait ---- */

enum { GS = 16 };

struct reader {
  struct pair pair;
  gmx_g g;
  gmx_status status;
  int64_t timeout;
  int done;
};

static struct reader readers[GS];

static void reads(void *arg) {
  struct reader *r = arg;
  char c = 0;
  r->status = gmx_read(r->pair.p[0], &c, 1, r->timeout);
  if (r->status == 1) CHECK_EQ(c, 'x');
  store(&r->done, 1);
}

static void readers_wait(int64_t timeout) {
  for (int i = 0; i < GS; i++) {
    struct reader *r = &readers[i];
    fds_of(r->pair.fd, i % PAIR_KINDS);
    r->pair.p[0] = own_fd(r->pair.fd[0]);
    r->pair.p[1] = 0;
    r->timeout = timeout;
    r->done = 0;
    r->g = go_joinable(reads, r);
  }
  for (int i = 0; i < GS; i++) spin_until(load(&readers[i].done) || g_waits(readers[i].g));
}

static void readers_end(gmx_status wanted) {
  for (int i = 0; i < GS; i++) {
    join(readers[i].g);
    CHECK_EQ(readers[i].status, wanted);
  }
}

static void readers_close(void) {
  for (int i = 0; i < GS; i++) pair_close(&readers[i].pair);
}

static void all_are_fed(void) {
  for (int i = 0; i < GS; i++) feed(readers[i].pair.fd[1], "x", 1);
  readers_end(1);
  readers_close();
}

/* While a G waits and no other runs, a thread polls, and notices. */
static void is_told(int n) {
  struct reader r = {.pair = pair_of(UNIX), .timeout = GMX_FOREVER};
  r.g = go_joinable(reads, &r);
  while (load(&told) < n) CHECK_OK(gmx_sleep(10 * MS));
  feed(r.pair.fd[1], "x", 1);
  join(r.g);
  CHECK_EQ(r.status, 1);
  CHECK_EQ(load(&told), n);
  pair_close(&r.pair);
}

/* ---- tests ---- */

/* Each wait continues. */
static void lost(enum what what) {
  for (int i = 0; i < 2; i++) {
    readers_wait(GMX_FOREVER);
    int before = load(&told);
    lose(what, -1);
    if (i) is_told(before + 1);
    all_are_fed();
    is_told(before + 1);
  }
}
static void both_are_lost(void) { lost(BOTH); }
static void the_epoll_is_lost(void) { lost(EPOLL); }
static void the_eventfd_is_lost(void) { lost(EVENTFD); }

static void a_wait_with_a_timeout_ends(void) {
  int before = load(&told);
  readers_wait(50 * MS);
  lose(BOTH, -1);
  readers_end(GMX_ETIMEDOUT);
  readers_close();
  is_told(before + 1);
}

/* It is noticed although no G waits. */
static void lost_while_no_g_waits(void) {
  int before = load(&told);
  lose(BOTH, -1);
  readers_wait(GMX_FOREVER);
  all_are_fed();
  is_told(before + 1);
}

/* A file has the numbers: it is neither read nor written nor closed. */
static void a_file_has_the_numbers(void) {
  FILE *file = tmpfile();
  CHECK(file != NULL);
  int before = load(&told), fd = fileno(file);
  struct stat stat;
  CHECK_EQ(write(fd, "0123456789", 10), 10);
  CHECK_EQ(lseek(fd, 3, SEEK_SET), 3);
  readers_wait(GMX_FOREVER);
  int number = lose(BOTH, fd);
  all_are_fed();
  is_told(before + 1);
  CHECK(is_open(number));
  CHECK_EQ(lseek(number, 0, SEEK_CUR), 3);
  CHECK(fstat(number, &stat) == 0 && stat.st_size == 10);
  /* At both numbers. */
  for (int i = 3; i < 4096; i++) {
    struct stat other;
    if (i != fd && fstat(i, &other) == 0 && other.st_ino == stat.st_ino && other.st_dev == stat.st_dev) close(i);
  }
  fclose(file);
}

/* An epoll of the host has the number: it still reports on the host's descriptor, as the host asked for. */
static void an_epoll_has_the_number(void) {
  int before = load(&told);
  int host = epoll_create1(EPOLL_CLOEXEC), event = eventfd(0, EFD_CLOEXEC);
  struct epoll_event e = {.events = EPOLLIN, .data.u64 = 77}, got;
  CHECK(epoll_ctl(host, EPOLL_CTL_ADD, event, &e) == 0);
  readers_wait(GMX_FOREVER);
  int number = lose(EPOLL, host);
  all_are_fed();
  is_told(before + 1);
  feed(event, &(uint64_t){1}, 8);
  CHECK_EQ(epoll_wait(number, &got, 1, 0), 1);
  CHECK_EQ(got.data.u64, 77);
  CHECK(close(number) == 0 && close(host) == 0 && close(event) == 0);
}

/* The descriptors of the handles are closed as well, and a file of another kind gets one of the numbers. */
static void all_is_closed(void) {
  int before = load(&told), fd[GS];
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
  readers_wait(GMX_FOREVER);
  for (int i = 0; i < GS; i++) {
    fd[i] = readers[i].pair.fd[0];
    if (i % 2) CHECK(close(fd[i]) == 0);
    else CHECK_EQ(dup2(null, fd[i]), fd[i]);
  }
  lose(BOTH, -1);
  readers_end(GMX_EBADF);
  is_told(before + 1);
  for (int i = 0; i < GS; i++) {
    char c;
    CHECK_EQ(gmx_read(readers[i].pair.p[0], &c, 1, GMX_FOREVER), GMX_EBADF);
  }
  readers_close();
  /* The host's files are still there. */
  for (int i = 0; i < GS; i += 2) CHECK(close(fd[i]) == 0);
  CHECK(close(null) == 0);
}

/* The system has no descriptors for new ones: the waits go on when it has. */
static void there_are_none(void) {
  readers_wait(GMX_FOREVER);
  int before = load(&told);
  fds_none(); /* before: a thread that polls may notice at once */
  lose(BOTH, -1);
  for (int i = 0; i < GS; i++) feed(readers[i].pair.fd[1], "x", 1);
  CHECK_OK(gmx_sleep(1500 * MS)); /* it has tried by now, or tries later */
  CHECK_EQ(load(&told), before);
  fds_again();
  readers_end(1);
  readers_close();
  is_told(before + 1);
}

/* Afterwards all is as before. */
static void a_G_beside_another(void) {
  readers_wait(GMX_FOREVER);
  all_are_fed();
}

int main(void) {
  for (int procs = 1; procs <= 4; procs *= 4) {
    begin(procs);
    RUN_G(both_are_lost);
    RUN_G(the_epoll_is_lost);
    RUN_G(the_eventfd_is_lost);
    RUN_G(a_wait_with_a_timeout_ends);
    RUN_G(lost_while_no_g_waits);
    RUN_G(a_file_has_the_numbers);
    RUN_G(an_epoll_has_the_number);
    RUN_G(all_is_closed);
    RUN_G(there_are_none);
    RUN_G(a_G_beside_another);
    end_runtime();
  }
  return 0;
}
