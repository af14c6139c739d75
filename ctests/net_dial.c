/* timeout: 180 */
/* A connection to a name: refused, silent and open addresses in every order, both families. The addresses of a name are
 * what this program's own resolver says. */
#include "fds.h"

#include <arpa/inet.h>
#include <netdb.h>

/* ---- addresses ---- */

enum { ADDRESSES = 80 };

static struct {
  struct sockaddr_in6 at[ADDRESSES]; /* of either family */
  int n;
} answer;
/* A question that was left behind may be answered while the test makes the next answer. */
static pthread_mutex_t answering = PTHREAD_MUTEX_INITIALIZER;

/* Every name has the addresses of `answer`. Numbers are numbers. */
__attribute__((__visibility__("default"))) int getaddrinfo(const char *node, const char *service,
                                                           const struct addrinfo *hints, struct addrinfo **res) {
  struct addrinfo *list = NULL;
  if (!node || !hints || strcmp(node, "host") != 0) return node && inet_addr(node) != INADDR_NONE ? EAI_FAIL : EAI_NONAME;
  if (hints->ai_flags & AI_NUMERICHOST) return EAI_NONAME;
  (void)service;
  CHECK(pthread_mutex_lock(&answering) == 0);
  for (int i = answer.n - 1; i >= 0; i--) {
    struct sockaddr *at = (struct sockaddr *)&answer.at[i];
    if (hints->ai_family != AF_UNSPEC && hints->ai_family != at->sa_family) continue;
    struct addrinfo *a = calloc(1, sizeof *a + sizeof answer.at[i]);
    CHECK(a != NULL);
    a->ai_family = at->sa_family;
    a->ai_socktype = hints->ai_socktype;
    a->ai_addr = memcpy(a + 1, at, sizeof answer.at[i]);
    a->ai_addrlen = at->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    a->ai_next = list;
    list = a;
  }
  CHECK(pthread_mutex_unlock(&answering) == 0);
  if (!list) return EAI_NONAME;
  *res = list;
  return 0;
}

__attribute__((__visibility__("default"))) void freeaddrinfo(struct addrinfo *list) {
  while (list) {
    struct addrinfo *next = list->ai_next;
    free(list);
    list = next;
  }
}

/* Kinds of addresses: a letter each, a capital one for IPv6. */
static struct sockaddr_in open4, refused4, silent4;
static struct sockaddr_in6 open6, refused6, silent6;
static int silent_fds[64], silents;
static gmx_poll listener4, listener6;
static bool v6;

static struct sockaddr_in6 v6_of(const struct sockaddr_in *at) {
  struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  six.sin6_port = at->sin_port;
  return six;
}

static int listens6(struct sockaddr_in6 *at, int backlog) {
  socklen_t size = sizeof *at;
  int fd = new_socket(AF_INET6, SOCK_STREAM);
  *at = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  CHECK(bind(fd, (struct sockaddr *)at, size) == 0 && listen(fd, backlog) == 0);
  CHECK(getsockname(fd, (struct sockaddr *)at, &size) == 0);
  return fd;
}

/* A listener whose queue is full does not answer. */
static void fills_queue(int l, const struct sockaddr *at, socklen_t size, int family) {
  silent_fds[silents++] = l;
  for (;;) {
    CHECK_CMP(silents, <, 60);
    int fd = silent_fds[silents++] = new_socket(family, SOCK_STREAM);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    CHECK(connect(fd, at, size) == 0 || errno == EINPROGRESS);
    struct pollfd f = {fd, POLLOUT, 0};
    if (poll(&f, 1, 30) == 0) break;
  }
}

static void make_addresses(void) {
  int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  v6 = fd >= 0 && bind(fd, (struct sockaddr *)&any, sizeof any) == 0;
  if (fd >= 0) CHECK(close(fd) == 0);
  listener4 = own_fd(listener(&open4, 128));
  fd = listener(&refused4, 1);
  CHECK(close(fd) == 0);
  fd = listener(&silent4, 0);
  fills_queue(fd, (struct sockaddr *)&silent4, sizeof silent4, AF_INET);
  refused6 = v6_of(&refused4);
  if (!v6) return;
  listener6 = own_fd(listens6(&open6, 128));
  fd = listens6(&silent6, 0);
  fills_queue(fd, (struct sockaddr *)&silent6, sizeof silent6, AF_INET6);
}

static void drop_addresses(void) {
  close_fd(listener4);
  if (v6) close_fd(listener6);
  for (int i = 0; i < silents; i++) CHECK(close(silent_fds[i]) == 0);
  silents = 0;
}

static void answers_are(const char *kinds) {
  CHECK(pthread_mutex_lock(&answering) == 0);
  memset(&answer, 0, sizeof answer);
  for (; *kinds; kinds++) {
    struct sockaddr_in6 *at = &answer.at[answer.n++];
    switch (*kinds) {
      case 'o': memcpy(at, &open4, sizeof open4); break;
      case 'r': memcpy(at, &refused4, sizeof refused4); break;
      case 's': memcpy(at, &silent4, sizeof silent4); break;
      case 'O': *at = open6; break;
      case 'R': *at = refused6; break;
      case 'S': *at = silent6; break;
      default: FAIL("no such kind of address");
    }
  }
  CHECK(pthread_mutex_unlock(&answering) == 0);
}

/* ---- dials ---- */

static gmx_status dials_with(const char *network, const char *kinds, int64_t delay, int64_t timeout, gmx_poll *p) {
  gmx_dial_opts opts = {.delay = delay};
  answers_are(kinds);
  return gmx_dial(network, "host", "1", &opts, timeout, p);
}

/* The connection is there, to a listener of this family. */
static void is_connected(gmx_poll p, int family) {
  struct sockaddr_storage at;
  socklen_t size = sizeof at;
  gmx_poll other = 0;
  char byte = 0;
  int fd = gmx_poll_fd(p);
  CHECK(getpeername(fd, (struct sockaddr *)&at, &size) == 0);
  CHECK_EQ(at.ss_family, family);
  CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
  CHECK_OK(gmx_accept(family == AF_INET ? listener4 : listener6, &other, NULL, NULL, GMX_FOREVER));
  CHECK_OK(gmx_write(p, "x", 1, GMX_FOREVER, NULL));
  CHECK_EQ(gmx_read(other, &byte, 1, GMX_FOREVER), 1);
  close_fd(other);
  close_fd(p);
}

struct row {
  const char *network, *kinds;
  int family;        /* of the connection; 0: there is none */
  gmx_status status; /* then */
};

static const struct row rows[] = {
    {"tcp", "o", AF_INET, 0},       {"tcp", "ro", AF_INET, 0},     {"tcp", "so", AF_INET, 0},
    {"tcp", "rsro", AF_INET, 0},    {"tcp4", "o", AF_INET, 0},     {"tcp4", "sso", AF_INET, 0},
    {"tcp", "r", 0, -ECONNREFUSED}, {"tcp", "rrr", 0, -ECONNREFUSED}, {"tcp6", "o", 0, GMX_EAI_NONAME},
};
static const struct row rows6[] = {
    {"tcp", "O", AF_INET6, 0},   {"tcp", "Or", AF_INET6, 0},    {"tcp", "Ro", AF_INET, 0},    {"tcp", "So", AF_INET, 0},
    {"tcp", "rO", AF_INET6, 0},  {"tcp", "sO", AF_INET6, 0},    {"tcp", "SSSSo", AF_INET, 0}, {"tcp", "RRRo", AF_INET, 0},
    {"tcp6", "oO", AF_INET6, 0}, {"tcp4", "OOOo", AF_INET, 0},  {"tcp", "SRsrO", AF_INET6, 0}, {"tcp6", "SO", AF_INET6, 0},
    {"tcp", "Rr", 0, -ECONNREFUSED}, {"tcp4", "OO", 0, GMX_EAI_NONAME},
};

static void dials(void *unused) {
  (void)unused;
  long before = open_fds();
  for (size_t i = 0; i < sizeof rows / sizeof *rows + (v6 ? sizeof rows6 / sizeof *rows6 : 0); i++) {
    const struct row *row = i < sizeof rows / sizeof *rows ? &rows[i] : &rows6[i - sizeof rows / sizeof *rows];
    gmx_poll p = 0;
    gmx_status status = dials_with(row->network, row->kinds, MS, GMX_FOREVER, &p);
    if (row->family) {
      if (status != GMX_OK) FAIL("%s %s: %s", row->network, row->kinds, gmx_err_name(status));
      is_connected(p, row->family);
    } else if (status != row->status) FAIL("%s %s: %s", row->network, row->kinds, gmx_err_name(status));
    CHECK_EQ(open_fds(), before);
  }
}

static void dials_everywhere(void) {
  for (int place = 0; place < PLACES; place++) {
    struct placed placed;
    place_start(&placed, place, dials, NULL);
    place_join(&placed);
  }
}

/* The families take turns: one silent family does not stand before the other. The second attempt is the first of the
 * other family, and with so long a delay there is no third one. */
static void families_take_turns(void) {
  if (!v6) {
    check_say("  there is no IPv6 here");
    return;
  }
  gmx_poll p = 0;
  int64_t begin = gmx_now();
  CHECK_OK(dials_with("tcp", "SSSSSSSSo", 20 * MS, GMX_FOREVER, &p));
  CHECK_CMP(gmx_now() - begin, >=, 20 * MS); /* not before its turn */
  is_connected(p, AF_INET);
  CHECK_OK(dials_with("tcp", "ssssssssO", MS, GMX_FOREVER, &p));
  is_connected(p, AF_INET6);
  /* A refusal does not wait for the delay. */
  CHECK_OK(dials_with("tcp", "RrRo", HOUR, GMX_FOREVER, &p));
  is_connected(p, AF_INET);
}

struct dialer {
  const char *kinds;
  int64_t timeout;
  gmx_cancel token;
  gmx_status status;
};

static void dials_in_vain(void *arg) {
  struct dialer *d = arg;
  gmx_cancel before;
  gmx_poll p = 0;
  if (d->token) CHECK_OK(gmx_cancel_use(d->token, &before));
  d->status = dials_with("tcp", d->kinds, MS, d->timeout, &p);
  if (d->token) CHECK_OK(gmx_cancel_use(before, NULL));
  CHECK_EQ(p, 0);
}

static void an_attempt_without_an_answer_ends(void) {
  long before = open_fds();
  for (int place = 0; place < PLACES; place++) {
    struct placed placed;
    struct dialer d = {"srssr", 20 * MS, 0, 0};
    place_start(&placed, place, dials_in_vain, &d);
    place_join(&placed);
    CHECK_STATUS(d.status, GMX_ETIMEDOUT);
    CHECK_EQ(open_fds(), before);
    if (place != ON_G && place != ON_ATTACHED) continue;
    d = (struct dialer){"ss", GMX_FOREVER, new_token(0, GMX_FOREVER), 0};
    place_start(&placed, place, dials_in_vain, &d);
    if (place == ON_G) spin_until(g_waits(placed.g));
    CHECK_OK(gmx_cancel_now(d.token));
    place_join(&placed);
    CHECK_STATUS(d.status, GMX_ECANCELED);
    CHECK_OK(gmx_cancel_free(d.token));
    CHECK_EQ(open_fds(), before);
  }
}

/* More addresses than are tried. */
static void many_addresses_are_no_problem(void) {
  static char kinds[ADDRESSES + 1];
  gmx_poll p = 0;
  long before = open_fds();
  memset(kinds, 'r', ADDRESSES);
  CHECK_STATUS(dials_with("tcp", kinds, MS, GMX_FOREVER, &p), -ECONNREFUSED);
  memset(kinds, 's', ADDRESSES);
  CHECK_STATUS(dials_with("tcp", kinds, 1, 20 * MS, &p), GMX_ETIMEDOUT);
  CHECK_EQ(open_fds(), before);
}

static void drops_all(void *arg) {
  gmx_poll l = *(gmx_poll *)arg, p;
  for (gmx_status status; (status = gmx_accept(l, &p, NULL, NULL, GMX_FOREVER)) != GMX_EBADF;) {
    CHECK_OK(status);
    close_fd(p);
  }
}

/* The cancellation comes at the moment of the success: the caller has the connection, or nothing is left of it. */
static void a_late_success_leaves_nothing(void) {
  struct sockaddr_in before_ = open4;
  gmx_poll l = own_fd(listener(&open4, 128));
  gmx_g g = go_joinable(drops_all, &l);
  long before = open_fds();
  int ok = 0, canceled = 0;
  for (int i = 0; i < 300; i++) {
    gmx_poll p = 0;
    gmx_cancel token = new_token(0, 1000 * (i % 100)), own;
    CHECK_OK(gmx_cancel_use(token, &own));
    gmx_status status = dials_with("tcp", i % 2 ? "so" : "o", 1000, GMX_FOREVER, &p);
    CHECK_OK(gmx_cancel_use(own, NULL));
    CHECK(status == GMX_OK || status == GMX_ECANCELED);
    if (status == GMX_OK) {
      ok++;
      close_fd(p);
    } else canceled++;
    CHECK_OK(gmx_cancel_free(token));
  }
  check_say("  %d connections, %d cancellations", ok, canceled);
  spin_until(open_fds() <= before);
  close_fd(l);
  join(g);
  open4 = before_;
}

/* ---- other networks ---- */

static void datagrams_and_unix_sockets_are_dialed(void) {
  gmx_poll l, p, other, packets;
  char text[8], name[64];
  struct sockaddr_in at;
  socklen_t size = sizeof at;
  long before = open_fds();
  int fd = new_socket(AF_INET, SOCK_DGRAM);
  at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  CHECK(bind(fd, (struct sockaddr *)&at, size) == 0 && getsockname(fd, (struct sockaddr *)&at, &size) == 0);
  l = own_fd(fd);
  struct sockaddr_in before_ = open4;
  open4 = at;
  answers_are("o");
  open4 = before_;
  CHECK_OK(gmx_dial("udp", "host", "1", NULL, GMX_FOREVER, &p));
  CHECK_EQ(gmx_send(p, "abc", 3, 0, GMX_FOREVER), 3);
  CHECK_EQ(gmx_recv(l, text, sizeof text, 0, GMX_FOREVER), 3);
  close_fd(p);
  CHECK_STATUS(gmx_dial("udp6", "host", "1", NULL, GMX_FOREVER, &p), GMX_EAI_NONAME);
  close_fd(l);
  snprintf(name, sizeof name, "@gomax-net-dial-%d", (int)getpid());
  CHECK_STATUS(gmx_dial("unix", name, NULL, NULL, GMX_FOREVER, &p), -ECONNREFUSED);
  CHECK_OK(gmx_listen_unix(name, NULL, &l));
  CHECK_OK(gmx_dial("unix", name, NULL, NULL, GMX_FOREVER, &p));
  CHECK_OK(gmx_accept(l, &other, NULL, NULL, GMX_FOREVER));
  CHECK_OK(gmx_write(p, "abc", 3, GMX_FOREVER, NULL));
  CHECK_EQ(gmx_read(other, text, sizeof text, GMX_FOREVER), 3);
  CHECK_STATUS(gmx_dial("unixpacket", name, NULL, NULL, GMX_FOREVER, &packets), -ECONNREFUSED);
  CHECK_STATUS(gmx_dial("unixgram", name, NULL, NULL, GMX_FOREVER, &packets), -ECONNREFUSED);
  CHECK_STATUS(gmx_dial("unix", "/no/such/path", NULL, NULL, GMX_FOREVER, &packets), -ENOENT);
  CHECK_STATUS(gmx_dial("unix", "", NULL, NULL, GMX_FOREVER, &packets), -ENAMETOOLONG);
  close_fd(p), close_fd(other), close_fd(l);
  CHECK_EQ(open_fds(), before);
}

int main(void) {
  CHECK(more_fds(1000));
  start_runtime(1, 0);
  WITH_SOME_PS {
    RUN_G(make_addresses);
    RUN_G(dials_everywhere);
    RUN_G(families_take_turns);
    RUN_G(an_attempt_without_an_answer_ends);
    RUN_G(many_addresses_are_no_problem);
    RUN_G(a_late_success_leaves_nothing);
    RUN_G(datagrams_and_unix_sockets_are_dialed);
    RUN_G(drop_addresses);
  }
  ends_clean();
  return 0;
}
