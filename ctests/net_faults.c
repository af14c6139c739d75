/* timeout: 120 */
/* flags: -ldl */
/* The system refuses a socket, an option, a place in the epoll: each call that makes or waits for descriptors returns
 * the status for that, leaves no descriptor behind, and works when it is called again. */
#include "faults.h"
#include "fds.h"

static int kind;

/* The call works, now or after one refusal. */
#define WORKS(expr, want)                                                                                 \
  do {                                                                                                    \
    gmx_status works_got = (expr);                                                                        \
    if (works_got == -fault_errors[kind] && atomic_load(&fault_failed) > 0) works_got = (expr);            \
    if (works_got != (want)) FAIL("%s: %s is %s", fault_names[kind], #expr, gmx_err_name(works_got));      \
  } while (0)

static void listens_dials_and_waits(void *unused) {
  (void)unused;
  gmx_poll l = 0, p = 0, other = 0, u = 0;
  struct sockaddr_storage at;
  socklen_t size = sizeof at;
  char port[8], name[64], byte = 0;
  WORKS(gmx_listen_tcp(NULL, "0", NULL, &l), GMX_OK);
  CHECK(getsockname(gmx_poll_fd(l), (struct sockaddr *)&at, &size) == 0);
  snprintf(port, sizeof port, "%d", ntohs(((struct sockaddr_in *)&at)->sin_port)); /* at the same place in both families */
  WORKS(gmx_dial("tcp", "127.0.0.1", port, NULL, GMX_FOREVER, &p), GMX_OK);
  WORKS(gmx_accept(l, &other, NULL, NULL, GMX_FOREVER), GMX_OK);
  WORKS(gmx_read(p, &byte, 1, 1000), GMX_ETIMEDOUT);
  struct pollfd fds[3] = {{gmx_poll_fd(p), POLLIN, 0}, {gmx_poll_fd(other), POLLIN, 0}, {gmx_poll_fd(l), POLLIN, 0}};
  WORKS(gmx_poll_many(fds, 3, 1000), GMX_ETIMEDOUT);
  uint32_t ready;
  WORKS(gmx_wait_fd(fds[1].fd, GMX_POLL_IN, 1000, &ready), GMX_ETIMEDOUT);
  close_fd(p), close_fd(other), close_fd(l);
  WORKS(gmx_udp_open("127.0.0.1", "0", &(gmx_listen_opts){.flags = GMX_LISTEN_REUSEPORT}, &u), GMX_OK);
  close_fd(u);
  snprintf(name, sizeof name, "@gomax-net-faults-%d", (int)getpid());
  WORKS(gmx_listen_unix(name, NULL, &l), GMX_OK);
  WORKS(gmx_dial("unix", name, NULL, NULL, GMX_FOREVER, &p), GMX_OK);
  close_fd(p), close_fd(l);
}

/* The library opens its own descriptors at the first use. */
static void the_first_use_may_fail(void) {
  gmx_poll l = 0;
  long before = open_fds();
  fault_arm(FAULT_epoll_create1, 1, 1);
  CHECK_STATUS(gmx_listen_tcp("127.0.0.1", "0", NULL, &l), -EMFILE);
  fault_arm(FAULT_eventfd, 1, 1);
  CHECK_STATUS(gmx_listen_tcp("127.0.0.1", "0", NULL, &l), -ENFILE);
  CHECK_EQ(atomic_load(&fault_failed), 2);
  CHECK_EQ(open_fds(), before);
  fault_arm(-1, 0, 0);
  CHECK_OK(gmx_listen_tcp("127.0.0.1", "0", NULL, &l));
  close_fd(l);
}

static void each_refusal_is_told_and_leaves_nothing(void) {
  static const int kinds[] = {FAULT_socket, FAULT_socket_family, FAULT_setsockopt, FAULT_listen, FAULT_epoll_ctl};
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
    for (int place = 0; place < PLACES; place++)
      for (long n = 1; n <= 12; n++) {
        struct placed placed;
        long before = open_fds();
        kind = kinds[k];
        atomic_store(&fault_failed, 0);
        fault_arm(kind, atomic_load(&fault_calls[kind]) + n, 1);
        place_start(&placed, place, listens_dials_and_waits, NULL);
        place_join(&placed);
        if (n == 1) CHECK_EQ(atomic_load(&fault_failed), 1);
        fault_arm(-1, 0, 0);
        CHECK_EQ(open_fds(), before);
      }
}

int main(void) {
  if (fault_lo == 0) SKIP("the library's code is not to be found");
  CHECK(more_fds(1000));
  start_runtime(2, 0);
  RUN_G(the_first_use_may_fail);
  RUN_G(each_refusal_is_told_and_leaves_nothing);
  ends_clean();
  return 0;
}
