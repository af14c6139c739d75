/*
 * What the calls cost, in nanoseconds: the least of several rounds. Built twice, with libgomax_posix and without
 * (ci/posix.sh cost): a line is the name of a case and its time.
 */
#ifdef WITH_SHIM
#include "shim.h"
#else
#include "fds.h"
#endif

/* Many and short: the least is not disturbed by the load of the machine. */
enum { ROUNDS = 400 };
static int fd[2], back[2];

static void says(const char *name, void (*fn)(long n), long n) {
  int64_t least = INT64_MAX;
  for (int i = 0; i < ROUNDS; i++) {
    int64_t begin = check_now();
    fn(n);
    int64_t time = check_now() - begin;
    if (time < least) least = time;
  }
  printf("%-44s %8.1f\n", name, (double)least / (double)n);
}

/* ---- one call ---- */

static void bad_recv(long n) {
  char c;
  for (long i = 0; i < n; i++) (void)!recv(-1, &c, 1, 0);
}
static void send_recv(long n) {
  char c = 0;
  for (long i = 0; i < n; i++) {
    CHECK(send(fd[1], &c, 1, 0) == 1);
    CHECK(recv(fd[0], &c, 1, 0) == 1);
  }
}
static void write_read(long n) {
  char c = 0;
  for (long i = 0; i < n; i++) {
    CHECK(write(fd[1], &c, 1) == 1);
    CHECK(read(fd[0], &c, 1) == 1);
  }
}
static void lock_unlock(long n) {
  static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  for (long i = 0; i < n; i++) {
    pthread_mutex_lock(&mutex);
    pthread_mutex_unlock(&mutex);
  }
}
static void open_close(long n) {
  for (long i = 0; i < n; i++) close(dup(fd[0]));
}
static void calls(void) {
  fds_of(fd, UNIX);
  says("recv of no descriptor", bad_recv, 500);
  says("send and recv, unix socket", send_recv, 300);
  says("write and read, unix socket", write_read, 300);
  says("pthread mutex, lock and unlock", lock_unlock, 5000);
  says("dup and close", open_close, 300);
  close(fd[0]);
  close(fd[1]);
  fds_of(fd, PIPE);
  says("write and read, pipe", write_read, 300);
  close(fd[0]);
  close(fd[1]);
}

/* ---- there and back: each of the two waits each time ---- */

static long turns;
static void (*wait_for)(int from);

static void by_recv(int from) {
  char c;
  CHECK(recv(from, &c, 1, 0) == 1);
}
static void by_poll(int from) {
  struct pollfd f = {from, POLLIN, 0};
  CHECK(poll(&f, 1, -1) == 1);
  by_recv(from);
}
static void answers(void *unused) {
  (void)unused;
  for (long i = 0; i < turns; i++) {
    wait_for(fd[0]);
    CHECK(send(back[1], "x", 1, 0) == 1);
  }
}
static void *answers_on_thread(void *unused) {
  answers(unused);
  return NULL;
}
static void there_and_back(long n) {
  turns = n;
  gmx_g g = 0;
  pthread_t thread = pthread_self();
  if (gmx_goid()) g = go_joinable(answers, NULL);
  else thread = thread_start(answers_on_thread, NULL);
  for (long i = 0; i < n; i++) {
    CHECK(send(fd[1], "x", 1, 0) == 1);
    wait_for(back[0]);
  }
  if (g) join(g);
  else thread_join(thread);
}
static void waits(void) {
  fds_of(fd, UNIX);
  fds_of(back, UNIX);
  wait_for = by_recv;
  says("there and back, recv", there_and_back, 50);
  wait_for = by_poll;
  says("there and back, poll and recv", there_and_back, 50);
  for (int i = 0; i < 2; i++) {
    close(fd[i]);
    close(back[i]);
  }
}

#ifdef WITH_SHIM
static gmx_poll near, far;
static void handle_answers(void *unused) {
  char c;
  (void)unused;
  for (long i = 0; i < turns; i++) {
    CHECK(gmx_read(far, &c, 1, GMX_FOREVER) == 1);
    CHECK(gmx_write(far, &c, 1, GMX_FOREVER, NULL) == GMX_OK);
  }
}
static void handles(long n) {
  char c = 0;
  turns = n;
  gmx_g g = go_joinable(handle_answers, NULL);
  for (long i = 0; i < n; i++) {
    CHECK(gmx_write(near, &c, 1, GMX_FOREVER, NULL) == GMX_OK);
    CHECK(gmx_read(near, &c, 1, GMX_FOREVER) == 1);
  }
  join(g);
}
static void on_a_g(void) {
  calls();
  waits();
  fds_of(fd, UNIX);
  near = own_fd(fd[0]);
  far = own_fd(fd[1]);
  says("there and back, gmx_read of handles", handles, 50);
}
#endif

int main(int argc, char **argv) {
#ifdef WITH_SHIM
  if (argc > 1) {
    begin_shared(1);
    if (strcmp(argv[1], "off") == 0) CHECK_OK(gmx_posix_enable(0));
    if (strcmp(argv[1], "on") == 0) as_main(on_a_g);
    else calls();
    return 0;
  }
#else
  (void)argc, (void)argv;
#endif
  calls();
  waits();
  return 0;
}
