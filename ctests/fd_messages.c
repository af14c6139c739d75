/* timeout: 120 */
/* Calls that move more than one run of bytes: all of a length, many messages, descriptors. */
#include "fds.h"

#include <sys/mman.h>
#include <sys/stat.h>

/* ---- all of a length ---- */

enum { LONG = 300000 };

static char out[LONG], in[LONG];

static void writes_in_pieces(void *arg) {
  gmx_poll p = *(gmx_poll *)arg;
  for (size_t at = 0, piece = 1; at < LONG; at += piece, piece = piece * 3 % 40961 + 1) {
    if (piece > LONG - at) piece = LONG - at;
    CHECK_OK(gmx_write(p, out + at, piece, GMX_FOREVER, NULL));
    CHECK_OK(gmx_yield());
  }
}

static void a_full_read_is_full(void) {
  for (size_t i = 0; i < LONG; i++) out[i] = (char)(i * 7 + i / 256);
  for (enum pair_kind kind = 0; kind < PAIR_KINDS; kind++) {
    struct pair pair = pair_of(kind);
    memset(in, 0, LONG);
    gmx_g g = go_joinable(writes_in_pieces, &pair.p[1]);
    size_t done = 1;
    CHECK_OK(gmx_read_full(pair.p[0], in, LONG, GMX_FOREVER, &done));
    CHECK_EQ(done, LONG);
    CHECK(memcmp(in, out, LONG) == 0);
    join(g);
    /* What there was is told, and it is gone. */
    CHECK_OK(gmx_write(pair.p[1], "abc", 3, GMX_FOREVER, NULL));
    CHECK_STATUS(gmx_read_full(pair.p[0], in, 5, 5 * MS, &done), GMX_ETIMEDOUT);
    CHECK_EQ(done, 3);
    CHECK_STATUS(gmx_read_full(pair.p[0], in, 5, 0, &done), GMX_ETIMEDOUT);
    CHECK_EQ(done, 0);
    CHECK_OK(gmx_read_full(pair.p[0], NULL, 0, 0, &done));
    /* The end comes early. */
    CHECK_OK(gmx_write(pair.p[1], "de", 2, GMX_FOREVER, NULL));
    close_fd(pair.p[1]);
    CHECK_STATUS(gmx_read_full(pair.p[0], in, 5, GMX_FOREVER, &done), GMX_EPIPE);
    CHECK_EQ(done, 2);
    CHECK_STATUS(gmx_read_full(pair.p[0], in, 5, GMX_FOREVER, NULL), GMX_EPIPE);
    pair.p[1] = 0;
    pair.fd[1] = -1;
    pair_close(&pair);
  }
}

struct reader {
  gmx_poll p;
  int first[4096], n;
};

static void reads_records(void *arg) {
  struct reader *r = arg;
  int record[64];
  for (gmx_status status; (status = gmx_read_full(r->p, record, sizeof record, GMX_FOREVER, NULL)) != GMX_EPIPE;) {
    CHECK_OK(status);
    for (int i = 1; i < 64; i++) CHECK_EQ(record[i], record[0]);
    r->first[r->n++] = record[0];
  }
}

/* Several readers: none of them gets a piece of a record of another one. */
static void full_reads_do_not_mix(void) {
  enum { READERS = 4, RECORDS = 2000 };
  static struct reader r[READERS];
  static bool seen[RECORDS];
  struct pair pair = pair_of(TCP);
  gmx_g g[READERS];
  memset(r, 0, sizeof r);
  memset(seen, 0, sizeof seen);
  for (int i = 0; i < READERS; i++) {
    r[i].p = pair.p[0];
    g[i] = go_joinable(reads_records, &r[i]);
  }
  for (int i = 0; i < RECORDS; i++) {
    int record[64];
    for (int k = 0; k < 64; k++) record[k] = i;
    size_t cut = (size_t)i * 37 % sizeof record;
    CHECK_OK(gmx_write(pair.p[1], record, cut, GMX_FOREVER, NULL));
    if (i % 3 == 0) CHECK_OK(gmx_yield());
    CHECK_OK(gmx_write(pair.p[1], (char *)record + cut, sizeof record - cut, GMX_FOREVER, NULL));
  }
  CHECK_OK(fd_shutdown(pair.p[1], SHUT_WR));
  join_all(g, READERS);
  int all = 0;
  for (int i = 0; i < READERS; i++)
    for (int k = 0; k < r[i].n; k++, all++) {
      CHECK(!seen[r[i].first[k]]);
      seen[r[i].first[k]] = true;
    }
  CHECK_EQ(all, RECORDS);
  pair_close(&pair);
}

/* ---- many messages ---- */

enum { MANY = 32 };

struct messages {
  struct mmsghdr msgs[MANY];
  struct iovec v[MANY];
  char text[MANY][8];
};

static void make_messages(struct messages *m) {
  memset(m, 0, sizeof *m);
  for (int i = 0; i < MANY; i++) {
    m->v[i] = (struct iovec){m->text[i], sizeof m->text[i]};
    m->msgs[i].msg_hdr = (struct msghdr){.msg_iov = &m->v[i], .msg_iovlen = 1};
  }
}

static void sends_many(void *arg) {
  struct messages m;
  make_messages(&m);
  for (int i = 0; i < MANY; i++) m.v[i].iov_len = (size_t)snprintf(m.text[i], sizeof m.text[i], "%d", i);
  for (size_t sent = 0; sent < MANY;) {
    gmx_status n = gmx_sendmmsg(*(gmx_poll *)arg, m.msgs + sent, MANY - sent, 0, GMX_FOREVER);
    CHECK_CMP(n, >, 0);
    sent += (size_t)n;
  }
}

static void many_messages_are_moved(void *unused) {
  (void)unused;
  int fd[2];
  CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fd) == 0);
  gmx_poll p[2] = {own_fd(fd[0]), own_fd(fd[1])};
  struct messages m;
  struct placed sender;
  place_start(&sender, gmx_goid() ? ON_G : ON_THREAD, sends_many, &p[0]);
  make_messages(&m);
  for (int got = 0; got < MANY;) {
    gmx_status n = gmx_recvmmsg(p[1], m.msgs + got, (size_t)(MANY - got), 0, GMX_FOREVER);
    CHECK_CMP(n, >, 0);
    got += n;
  }
  place_join(&sender);
  for (int i = 0; i < MANY; i++) {
    char want[8];
    CHECK_EQ(m.msgs[i].msg_len, snprintf(want, sizeof want, "%d", i));
    CHECK(memcmp(m.text[i], want, m.msgs[i].msg_len) == 0);
  }
  CHECK_STATUS(gmx_recvmmsg(p[1], m.msgs, MANY, 0, 0), GMX_ETIMEDOUT);
  CHECK_EQ(gmx_recvmmsg(p[1], NULL, 0, 0, 0), 0);
  CHECK_EQ(gmx_sendmmsg(p[1], NULL, 0, 0, 0), 0);
  close_fd(p[0]);
  CHECK_STATUS(gmx_sendmmsg(p[1], m.msgs, MANY, 0, GMX_FOREVER), -ECONNREFUSED);
  close_fd(p[1]);
}

static void many_messages_everywhere(void) {
  for (int place = 0; place < PLACES; place++) {
    struct placed placed;
    place_start(&placed, place, many_messages_are_moved, NULL);
    place_join(&placed);
  }
}

/* ---- descriptors ---- */

enum { FDS = 253 };

static bool same_file(int a, int b) {
  struct stat x, y;
  return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

static void descriptors_are_passed(void) {
  static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
  int made[2] = {memfd_create("one", 0), memfd_create("two", 0)}, fds[FDS + 1], got[FDS];
  CHECK(made[0] >= 0 && made[1] >= 0);
  for (int i = 0; i <= FDS; i++) fds[i] = made[i % 2];
  for (int type = 0; type < 3; type++) {
    int fd[2];
    CHECK(socketpair(AF_UNIX, types[type] | SOCK_CLOEXEC, 0, fd) == 0);
    gmx_poll p[2] = {own_fd(fd[0]), own_fd(fd[1])};
    char text[8];
    size_t n;
    long before = open_fds();
    for (size_t many = 1; many <= FDS; many = many < 4 ? many + 1 : many * 3 > FDS && many < FDS ? FDS : many * 3) {
      CHECK_EQ(gmx_send_fds(p[0], fds, many, "abc", 3, GMX_FOREVER), 3);
      n = many;
      CHECK_EQ(gmx_recv_fds(p[1], got, &n, text, sizeof text, GMX_FOREVER), 3);
      CHECK_EQ(n, many);
      for (size_t i = 0; i < n; i++) {
        CHECK(same_file(got[i], fds[i]));
        CHECK(fcntl(got[i], F_GETFD) & FD_CLOEXEC);
        CHECK(close(got[i]) == 0);
      }
      /* There is room for one less: none stays open. */
      CHECK_EQ(gmx_send_fds(p[0], fds, many, "abc", 3, GMX_FOREVER), 3);
      n = many - 1;
      CHECK_STATUS(gmx_recv_fds(p[1], got, &n, text, sizeof text, GMX_FOREVER), GMX_EMSGSIZE);
      CHECK_EQ(n, many - 1);
      CHECK_EQ(open_fds(), before);
    }
    /* Bytes alone. */
    CHECK_OK(gmx_write(p[0], "x", 1, GMX_FOREVER, NULL));
    n = 5;
    CHECK_EQ(gmx_recv_fds(p[1], got, &n, text, sizeof text, GMX_FOREVER), 1);
    CHECK_EQ(n, 0);
    /* One of them is not open. */
    int closed[2] = {made[0], 1000000};
    CHECK_STATUS(gmx_send_fds(p[0], closed, 2, "x", 1, GMX_FOREVER), GMX_EBADF);
    close_fd(p[0]);
    n = 5;
    if (types[type] != SOCK_DGRAM) CHECK_EQ(gmx_recv_fds(p[1], got, &n, text, sizeof text, GMX_FOREVER), 0);
    close_fd(p[1]);
  }
  CHECK(close(made[0]) == 0 && close(made[1]) == 0);
}

/* The process has no room for what comes: nothing leaks, and the next message is received. */
static void without_descriptors_none_leaks(void) {
  struct pair pair = pair_of(UNIX);
  int made[3], got[3];
  char c;
  for (int i = 0; i < 3; i++) CHECK_CMP(made[i] = memfd_create("made", 0), >=, 0);
  CHECK_EQ(gmx_send_fds(pair.p[0], made, 3, "x", 1, GMX_FOREVER), 1);
  long before = open_fds();
  fds_left(1);
  size_t n = 3;
  CHECK_STATUS(gmx_recv_fds(pair.p[1], got, &n, &c, 1, GMX_FOREVER), GMX_EMSGSIZE);
  fds_again();
  CHECK_EQ(open_fds(), before);
  CHECK_EQ(gmx_send_fds(pair.p[0], made, 1, "y", 1, GMX_FOREVER), 1);
  CHECK_EQ(gmx_recv_fds(pair.p[1], got, &n, &c, 1, GMX_FOREVER), 1);
  CHECK_EQ(n, 1);
  CHECK(close(got[0]) == 0);
  for (int i = 0; i < 3; i++) CHECK(close(made[i]) == 0);
  pair_close(&pair);
}

int main(void) {
  CHECK(more_fds(1000));
  start_runtime(1, 0);
  WITH_SOME_PS {
    RUN_G(a_full_read_is_full);
    RUN_G(full_reads_do_not_mix);
    RUN_G(many_messages_everywhere);
    RUN_G(descriptors_are_passed);
    RUN_G(without_descriptors_none_leaks);
  }
  ends_clean();
  return 0;
}
