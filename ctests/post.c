/* timeout: 120 */
/* Functions that are posted to the host's loop: their order, the descriptor that says that there are some, posts and
 * runs at the same time, the runtime down and begun again, a child of fork, and a loop that a goroutine drives. */
#include "child.h"
#include "fds.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

/* ---- a loop of the host ---- */

static bool is_posted(void) { return is_ready(gmx_host_fd(), POLLIN); }

static int loop_of(int fd) {
  struct epoll_event event = {EPOLLIN, {.fd = fd}};
  int loop = epoll_create1(EPOLL_CLOEXEC);
  CHECK_CMP(loop, >=, 0);
  CHECK(epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event) == 0);
  return loop;
}

/* One turn of the loop: sleeps until something is posted, and runs at most so many. */
static int turn(int loop, int max) {
  struct epoll_event event;
  int n = epoll_wait(loop, &event, 1, -1);
  if (n < 0 && errno == EINTR) return 0;
  CHECK_EQ(n, 1);
  return gmx_host_run(max);
}

/* ---- order and readiness ---- */

static long order[8];
static int ran;
static void notes(void *arg) { order[ran++] = (long)(intptr_t)arg; }

static void in_order_as_many_as_allowed(void) {
  ran = 0;
  CHECK_EQ(gmx_host_run(0), 0);
  int fd = gmx_host_fd();
  CHECK_CMP(fd, >=, 0);
  CHECK_EQ(gmx_host_fd(), fd);
  CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
  CHECK(!is_posted());
  CHECK_STATUS(gmx_post(NULL, NULL), GMX_EINVAL);
  for (intptr_t i = 0; i < 5; i++) CHECK_OK(gmx_post(notes, (void *)i));
  CHECK(is_posted());
  CHECK_EQ(gmx_host_run(2), 2);
  CHECK(is_posted());
  CHECK_EQ(gmx_host_run(-1), 3);
  CHECK(!is_posted());
  CHECK_EQ(gmx_host_run(10), 0);
  CHECK_EQ(ran, 5);
  for (int i = 0; i < 5; i++) CHECK_EQ(order[i], i);
}

/* Two threads that run functions at once may leave such a signal. */
static void a_signal_for_nothing_goes_with_the_next_run(void) {
  uint64_t one = 1;
  CHECK_EQ(write(gmx_host_fd(), &one, sizeof one), sizeof one);
  CHECK(is_posted());
  CHECK_EQ(gmx_host_run(0), 0);
  CHECK(!is_posted());
}

static int again_left;
static void again(void *arg) {
  if (again_left-- > 0) CHECK_OK(gmx_post(again, arg));
}

static void what_posts_itself_waits_for_the_next_turn(void) {
  again_left = 3;
  CHECK_OK(gmx_post(again, NULL));
  for (int i = 0; i < 4; i++) {
    CHECK(is_posted());
    CHECK_EQ(gmx_host_run(0), 1);
  }
  CHECK(!is_posted());
}

static int inner;
static void runs_the_rest(void *arg) {
  (void)arg;
  CHECK(is_posted());
  inner = gmx_host_run(0);
  CHECK(!is_posted());
  CHECK_OK(gmx_post(notes, NULL));
  CHECK(is_posted());
}

static void a_loop_within_the_loop(void) {
  ran = 0;
  CHECK_OK(gmx_post(runs_the_rest, NULL));
  CHECK_OK(gmx_post(notes, NULL));
  CHECK_OK(gmx_post(notes, NULL));
  CHECK_EQ(gmx_host_run(1), 1);
  CHECK_EQ(inner, 2);
  CHECK(is_posted());
  CHECK_EQ(gmx_host_run(0), 1);
  CHECK_EQ(ran, 3);
}

static void errno_stays(void) {
  errno_set();
  CHECK_OK(gmx_post(notes, NULL));
  CHECK_CMP(gmx_host_fd(), >=, 0);
  ran = 0;
  CHECK_EQ(gmx_host_run(0), 1);
  CHECK_EQ(errno, FDS_ERRNO);
}

/* ---- goroutines post, the host runs ---- */

enum { POSTERS = 64, EACH = 2000 };
static int served, per_poster[POSTERS];
static pthread_t host;

struct note {
  int from, number;
};

static void serves(void *arg) {
  struct note *note = arg;
  CHECK(pthread_equal(pthread_self(), host));
  CHECK_EQ(per_poster[note->from]++, note->number);
  free(note);
  served++;
}

static void posts(void *arg) {
  for (int i = 0; i < EACH; i++) {
    struct note *note = malloc(sizeof *note);
    CHECK(note != NULL);
    *note = (struct note){(int)(intptr_t)arg, i};
    CHECK_OK(gmx_post(serves, note));
    if (i % 16 == 0) CHECK_OK(gmx_yield());
  }
}

/* The loop sleeps without a limit: a lost signal would leave it there. */
static void no_post_is_lost(void) {
  host = pthread_self();
  int loop = loop_of(gmx_host_fd());
  for (intptr_t i = 0; i < POSTERS; i++) go(posts, (void *)i);
  while (served < POSTERS * EACH) CHECK_CMP(turn(loop, 7), >=, 0);
  CHECK(!is_posted());
  CHECK_EQ(gmx_host_run(0), 0);
  CHECK(close(loop) == 0);
}

/* Each waits until the host has answered: the list is empty most of the time, so each post and each clear meet. */
static void answers(void *sema) { release(sema, 1); }
static int asking;
static void asks(void *arg) {
  uint32_t answered = 0;
  for (long i = 0; i < (long)(intptr_t)arg; i++) {
    CHECK_OK(gmx_post(answers, &answered));
    acquire(&answered, 1);
  }
  bump(&asking);
}
static void last(void *arg) { (void)arg; }

static void *asks_on_a_thread(void *arg) {
  asks(arg);
  CHECK_OK(gmx_post(last, NULL));
  return NULL;
}

static void question_and_answer(void) {
  enum { ROUNDS = 20000 };
  int loop = loop_of(gmx_host_fd());
  store(&asking, 0);
  go(asks, (void *)(intptr_t)ROUNDS);
  go(asks, (void *)(intptr_t)ROUNDS);
  pthread_t thread = thread_start(asks_on_a_thread, (void *)(intptr_t)(ROUNDS / 10));
  for (int n = 0; n < 2 * ROUNDS + ROUNDS / 10 + 1;) n += turn(loop, 0);
  thread_join(thread);
  spin_until(load(&asking) == 3);
  CHECK(!is_posted());
  CHECK(close(loop) == 0);
}

/* ---- where ---- */

static int on_goroutines;
static void counts_goroutine(void *arg) {
  (void)arg;
  CHECK(gmx_goid() != 0);
  CHECK_OK(gmx_sleep(1)); /* the goroutine may go elsewhere */
  bump(&on_goroutines);
}
static void runs_on_g(void *arg) {
  (void)arg;
  for (int i = 0; i < 10; i++) CHECK_OK(gmx_post(counts_goroutine, NULL));
  for (int n = 0; n < 10;) n += gmx_host_run(3);
}
static void posts_for_p(void *arg) {
  CHECK_STATUS(gmx_host_run(0), GMX_ENOTG);
  CHECK_OK(gmx_post(notes, arg));
}
static void from_callbacks(void *arg) {
  CHECK_OK(gmx_for_each_p(posts_for_p, arg));
  CHECK_OK(gmx_enter_syscall());
  CHECK_OK(gmx_post(notes, arg));
  CHECK_STATUS(gmx_host_run(0), GMX_EINSYSCALL);
  CHECK_OK(gmx_exit_syscall());
}

static void on_goroutines_and_in_callbacks(void) {
  on_g(runs_on_g, NULL);
  CHECK_EQ(load(&on_goroutines), 10);
  ran = 0;
  on_g(from_callbacks, NULL);
  CHECK_EQ(gmx_host_run(0), gmx_gomaxprocs(0) + 1);
}

/* ---- a goroutine drives the loop of the host ---- */

static uint32_t done;
static int other; /* another descriptor of the loop */
static int turns;

static void drives(void *arg) {
  int loop = *(int *)arg;
  for (bool more = true; more;) {
    uint32_t ready = 0;
    CHECK_OK(gmx_wait_fd(loop, GMX_POLL_IN, GMX_FOREVER, &ready));
    struct epoll_event events[4];
    int n = epoll_wait(loop, events, 4, 0); /* it does not wait: the goroutine has */
    CHECK_CMP(n, >=, 0);
    for (int i = 0; i < n; i++) {
      uint64_t value;
      if (events[i].data.fd == gmx_host_fd()) {
        CHECK_CMP(gmx_host_run(8), >=, 0);
      } else {
        CHECK_EQ(read(other, &value, sizeof value), sizeof value);
        more = false;
      }
    }
    turns++;
  }
  release(&done, 1);
}

static void a_goroutine_drives_the_loop(void) {
  int loop = loop_of(gmx_host_fd());
  CHECK_CMP(other = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), >=, 0);
  struct epoll_event event = {EPOLLIN, {.fd = other}};
  CHECK(epoll_ctl(loop, EPOLL_CTL_ADD, other, &event) == 0);
  uint32_t answered = 0;
  go(drives, &loop);
  for (int i = 0; i < 100; i++) {
    CHECK_OK(gmx_post(answers, &answered));
    acquire(&answered, 1);
  }
  feed(other, &(uint64_t){1}, 8);
  acquire(&done, 1);
  CHECK_CMP(turns, >, 1);
  CHECK(close(loop) == 0);
  CHECK(close(other) == 0);
}

/* ---- begin, end, fork ---- */

static void without_a_runtime(void) {
  spin_until(gmx_num_g() == 0);
  int fd = gmx_host_fd();
  end_runtime();
  ran = 0;
  CHECK_OK(gmx_post(notes, NULL));
  CHECK(is_posted());
  CHECK_EQ(gmx_host_run(0), 1);
  CHECK_OK(gmx_post(notes, NULL));
  start_runtime(2, 0);
  CHECK_EQ(gmx_host_fd(), fd);
  CHECK(is_posted());
  CHECK_EQ(gmx_host_run(0), 1);
  CHECK_EQ(ran, 2);
}

static void in_child(void) {
  ran = 0;
  CHECK_EQ(gmx_host_run(0), 0);
  CHECK_OK(gmx_post(notes, NULL));
  CHECK(is_posted()); /* a descriptor that is made with a function waiting */
  CHECK_EQ(gmx_host_run(0), 1);
  CHECK(!is_posted());
}

static void a_child_has_its_own(void) {
  int fd = gmx_host_fd();
  CHECK_OK(gmx_post(notes, NULL));
  CHECK(is_posted());
  pid_t pid = fork();
  CHECK_CMP(pid, >=, 0);
  if (pid == 0) {
    CHECK(!is_open(fd));
    in_child();
    _exit(0);
  }
  int status;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(is_posted()); /* the child has cleared only its own */
  CHECK_EQ(gmx_host_run(0), 1);
}

/* The first function forks: the child, which comes back from it, runs none of the parent's. */
static pid_t forked;
static void forks(void *arg) {
  (void)arg;
  CHECK_CMP(forked = fork(), >=, 0);
}
static void a_function_that_forks(void) {
  ran = 0;
  CHECK_OK(gmx_post(forks, NULL));
  CHECK_OK(gmx_post(notes, NULL));
  int n = gmx_host_run(0);
  if (forked == 0) _exit(n == 1 && ran == 0 ? 0 : 1);
  int status;
  CHECK_EQ(n, 2);
  CHECK_EQ(waitpid(forked, &status, 0), forked);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Before the descriptor is made: what waits makes it readable. */
static void posts_before_the_descriptor(void) {
  ran = 0;
  CHECK_OK(gmx_post(notes, NULL));
  CHECK_OK(gmx_post(notes, NULL));
  CHECK(is_posted());
  CHECK_EQ(gmx_host_run(0), 2);
  CHECK(!is_posted());
}

static void none_to_be_had(void) {
  struct rlimit before, limit;
  CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
  limit = before;
  limit.rlim_cur = 0;
  CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK_STATUS(gmx_host_fd(), -EMFILE);
  CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK_CMP(gmx_host_fd(), >=, 0);
}

int main(void) {
  RUN(none_to_be_had);
  RUN(posts_before_the_descriptor);
  RUN(in_order_as_many_as_allowed);
  RUN(a_signal_for_nothing_goes_with_the_next_run);
  RUN(what_posts_itself_waits_for_the_next_turn);
  RUN(a_loop_within_the_loop);
  RUN(errno_stays);
  start_runtime(2, 0);
  RUN(no_post_is_lost);
  RUN(question_and_answer);
  RUN(on_goroutines_and_in_callbacks);
  RUN(a_goroutine_drives_the_loop);
  RUN(without_a_runtime);
  RUN(a_child_has_its_own);
  RUN(a_function_that_forks);
  ends_clean();
  return 0;
}
