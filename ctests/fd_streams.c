/* timeout: 120 */
/* Streams and datagrams: their ends, their halves, resets, full queues, and what the system tells of them. */
#include "fds.h"
#include "seed.h"

/* ---- the end of a stream ---- */

/* The bytes and the end are one event if both come before the first look. A reader that takes a short read for "all is
 * read, wait for the next event" waits forever. */
static void bytes_and_end_that_come_together_are_both_read(void) {
  for (int kind = 0; kind < PAIR_KINDS; kind++)
    for (int size = 1; size <= 7; size++)
      for (int known = 0; known < 3; known++) {
        struct pair pair = pair_of(kind);
        char text[8] = "";
        int got = 0;
        /* The handle is registered before, after a wait in vain, after a wait that succeeded, or not at all. */
        if (known == 1) CHECK_STATUS(gmx_read(pair.p[0], text, 1, MS), GMX_ETIMEDOUT);
        if (known == 2) {
          struct fd_state s = {.p = pair.p[0], .far = pair.fd[1]};
          struct fd_waiter w;
          wait_start(&w, ON_G, &fd_calls[0], &s, GMX_FOREVER, 0);
          comes(&s);
          CHECK_STATUS(wait_end(&w), 1);
        }
        feed(pair.fd[1], "words", 5);
        CHECK_OK(gmx_close(pair.p[1]));
        pair.p[1] = 0;
        pair.fd[1] = -1;
        for (gmx_status n = 1; n != 0; got += n) {
          size_t room = sizeof text - (size_t)got;
          n = gmx_read(pair.p[0], text + got, (size_t)size < room ? (size_t)size : room, GMX_FOREVER);
          CHECK_CMP(n, >=, 0);
        }
        CHECK_EQ(got, 5);
        CHECK_STR(text, "words");
        CHECK_EQ(gmx_read(pair.p[0], text, 1, GMX_FOREVER), 0);
        pair_close(&pair);
      }
}

/* A hang-up without bytes is an event of its own. */
static void the_end_wakes_a_reader(void) {
  for (int kind = 0; kind < PAIR_KINDS; kind++)
    for (int place = 0; place < PLACES; place++)
      for (int how = 0; how < 2; how++) {
        struct pair pair = pair_of(kind);
        struct fd_state s = {.p = pair.p[0], .far = pair.fd[1]};
        struct fd_waiter w;
        wait_start(&w, place, &fd_calls[how ? 7 : 0], &s, GMX_FOREVER, 0);
        if (how) { /* a wait for IN, which sees no IN of a pipe */
          CHECK_OK(gmx_close(pair.p[1]));
          place_join(&w.placed);
        } else {
          CHECK_OK(gmx_close(pair.p[1]));
          CHECK_STATUS(wait_end(&w), 0);
        }
        pair.p[1] = 0;
        pair.fd[1] = -1;
        pair_close(&pair);
      }
}

static void half_a_connection_goes_on(void) {
  for (int kind = UNIX; kind <= TCP; kind++) {
    struct pair pair = pair_of(kind);
    char byte = 0;
    CHECK_OK(fd_shutdown(pair.p[1], SHUT_WR));
    CHECK_EQ(gmx_read(pair.p[0], &byte, 1, GMX_FOREVER), 0);
    CHECK_EQ(gmx_read(pair.p[0], &byte, 1, GMX_FOREVER), 0);
    for (int i = 0; i < 100; i++) {
      CHECK_OK(gmx_write(pair.p[0], "y", 1, GMX_FOREVER, NULL));
      CHECK_EQ(gmx_read(pair.p[1], &byte, 1, GMX_FOREVER), 1);
      CHECK_EQ(byte, 'y');
    }
    /* With a full queue the writer waits: the closed half is no reason to look again and again. */
    struct fd_state s = {.p = pair.p[0], .far = pair.fd[1]};
    struct fd_waiter w;
    for (;;) {
      fill(pair.fd[0]);
      wait_start(&w, ON_G, &fd_calls[9], &s, GMX_FOREVER, 0);
      uint64_t before = sched_stats().switches;
      CHECK_OK(gmx_sleep(20 * MS));
      CHECK_CMP(sched_stats().switches - before, <, 1000); /* a writer that spins switches far more often */
      if (!load(&w.done)) break;
      CHECK_STATUS(wait_end(&w), GMX_OK); /* the system had moved bytes on once more */
    }
    while (!load(&w.done)) {
      drain(pair.fd[1]);
      check_pause();
    }
    CHECK_STATUS(wait_end(&w), GMX_OK);
    pair_close(&pair);
  }
}

/* ---- resets, and writes to nothing ---- */

static void a_reset_ends_reads_and_writes(void) {
  for (int writes = 0; writes < 2; writes++)
    for (int place = 0; place < PLACES; place++) {
      int fd[2];
      char byte;
      struct fd_waiter w;
      fds_of(fd, TCP);
      struct fd_state s = {.p = own_fd(fd[0]), .far = fd[1]};
      for (;;) {
        if (writes) fill(fd[0]);
        wait_start(&w, place, &fd_calls[writes ? 9 : 0], &s, GMX_FOREVER, 0);
        if (!load(&w.done)) break;
        CHECK_STATUS(wait_end(&w), GMX_OK); /* the system had moved bytes on once more */
      }
      close_by_reset(fd[1]);
      gmx_status status = wait_end(&w), next = gmx_read(s.p, &byte, 1, GMX_FOREVER);
      if (writes && status == GMX_OK) status = -ECONNRESET; /* as above, just now */
      CHECK(status == -ECONNRESET || (writes && status == GMX_EPIPE));
      CHECK(next == 0 || next == -ECONNRESET);
      CHECK_STATUS(gmx_write(s.p, "x", 1, GMX_FOREVER, NULL), GMX_EPIPE);
      close_fd(s.p);
    }
}

static int pipe_signals;
static void counts_signal(int number) {
  (void)number;
  bump(&pipe_signals);
}

static void writes_to_nothing(void *arg) {
  (void)arg;
  for (int kind = 0; kind < PAIR_KINDS; kind++) {
    struct pair pair = pair_of(kind);
    gmx_poll p = kind == PIPE ? pair.p[1] : pair.p[0];
    int other = kind == PIPE ? 0 : 1;
    size_t done = 77;
    close_fd(pair.p[other]);
    pair.p[other] = 0;
    pair.fd[other] = -1;
    struct iovec v = {(void *)"words", 5};
    gmx_status status = gmx_write(p, "words", 5, GMX_FOREVER, &done);
    for (int i = 0; kind == TCP && status == GMX_OK && i < 100000; i++) { /* the answer of the other end comes later */
      check_pause();
      status = gmx_write(p, "words", 5, GMX_FOREVER, &done);
    }
    if (kind == TCP && status == -ECONNRESET) status = gmx_write(p, "words", 5, GMX_FOREVER, &done);
    CHECK_STATUS(status, GMX_EPIPE);
    CHECK_EQ(done, 0);
    CHECK_STATUS(gmx_writev(p, &v, 1, GMX_FOREVER, &done), GMX_EPIPE);
    CHECK_EQ(done, 0);
    if (kind != PIPE) {
      struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
      CHECK_STATUS(gmx_send(p, "x", 1, 0, GMX_FOREVER), GMX_EPIPE);
      CHECK_STATUS(gmx_sendmsg(p, &msg, 0, GMX_FOREVER), GMX_EPIPE);
      CHECK_STATUS(gmx_sendto(p, "x", 1, 0, NULL, 0, GMX_FOREVER), GMX_EPIPE);
    }
    pair_close(&pair);
  }
}

static void a_write_to_nothing_raises_no_signal(void) {
  struct sigaction count, before;
  memset(&count, 0, sizeof count);
  count.sa_handler = counts_signal;
  CHECK(sigaction(SIGPIPE, &count, &before) == 0);
  for (int place = 0; place < PLACES; place++) {
    struct placed at;
    place_start(&at, place, writes_to_nothing, NULL);
    place_join(&at);
    CHECK_EQ(load(&pipe_signals), 0);
  }
  /* The host's own writes raise it as before. */
  int fd[2];
  fds_of(fd, PIPE);
  CHECK(close(fd[0]) == 0);
  CHECK(write(fd[1], "x", 1) == -1 && errno == EPIPE);
  CHECK_EQ(load(&pipe_signals), 1);
  store(&pipe_signals, 0);
  CHECK(close(fd[1]) == 0);
  CHECK(sigaction(SIGPIPE, &before, NULL) == 0);
}

/* ---- full queues ---- */

enum { BIG = 8 << 20 };
static char *big;

struct big_writer {
  gmx_poll p;
  int64_t timeout;
  gmx_cancel token;
  size_t done;
  gmx_status status;
};
static void writes_big(void *arg) {
  struct big_writer *w = arg;
  CHECK_OK(gmx_cancel_use(w->token, NULL));
  w->status = gmx_write(w->p, big, BIG, w->timeout, &w->done);
}
static void writes_big_in_parts(void *arg) {
  struct big_writer *w = arg;
  enum { PARTS = 1500 }; /* more than the system takes at once */
  static struct iovec v[PARTS];
  size_t at = 0;
  for (int i = 0; i < PARTS; i++) {
    size_t n = i + 1 == PARTS ? BIG - at : i % 7 ? BIG / PARTS : 0;
    v[i] = (struct iovec){big + at, n};
    at += n;
  }
  w->status = gmx_writev(w->p, v, PARTS, w->timeout, &w->done);
}

static void a_slow_reader_gets_all(void) {
  for (int kind = 0; kind < PAIR_KINDS; kind++)
    for (int parts = 0; parts < 2; parts++) {
      struct pair pair = pair_of(kind);
      struct big_writer w = {kind == PIPE ? pair.p[1] : pair.p[0], GMX_FOREVER, 0, 0, 0};
      gmx_poll from = kind == PIPE ? pair.p[0] : pair.p[1];
      static char text[100000];
      gmx_g g = go_joinable(parts ? writes_big_in_parts : writes_big, &w);
      for (size_t got = 0; got < BIG;) {
        if (got % 3 == 0) CHECK_OK(gmx_sleep(10000));
        gmx_status n = gmx_read(from, text, sizeof text, GMX_FOREVER);
        CHECK_CMP(n, >, 0);
        CHECK(memcmp(text, big + got, (size_t)n) == 0);
        got += (size_t)n;
      }
      join(g);
      CHECK_OK(w.status);
      CHECK_EQ(w.done, BIG);
      CHECK_STATUS(gmx_read(from, text, 1, 0), GMX_ETIMEDOUT);
      pair_close(&pair);
    }
}

/* The number of bytes that a write that fails has written is exact: the reader finds so many. */
static void a_write_that_ends_early_tells_how_much_went(void) {
  for (int kind = 0; kind < PAIR_KINDS; kind++)
    for (int how = 0; how < 4; how++) {
      struct pair pair = pair_of(kind);
      int from = kind == PIPE ? 0 : 1;
      gmx_cancel token = how == 1 ? new_token(0, GMX_FOREVER) : 0;
      struct big_writer w = {kind == PIPE ? pair.p[1] : pair.p[0], how == 0 ? 5 * MS : GMX_FOREVER, token, 0, 0};
      gmx_g g = go_joinable(writes_big, &w);
      if (how > 0) spin_until(count_waiting() == 1); /* it has filled the buffers */
      if (how == 1) CHECK_OK(gmx_cancel_now(token));
      if (how == 2) CHECK_OK(gmx_poll_set_deadline(w.p, GMX_POLL_OUT, gmx_now() - 1));
      if (how == 3) {
        CHECK_OK(gmx_close(w.p));
        if (kind == PIPE) pair.p[1] = 0, pair.fd[1] = -1;
        else pair.p[0] = 0, pair.fd[0] = -1;
      }
      join(g);
      if (how == 1) CHECK_OK(gmx_cancel_free(token));
      CHECK_STATUS(w.status, how == 1 ? GMX_ECANCELED : how == 3 ? GMX_EBADF : GMX_ETIMEDOUT);
      CHECK_CMP(w.done, >, 0);
      CHECK_CMP(w.done, <, BIG);
      static char text[1 << 16];
      size_t got = 0;
      for (gmx_status n; got < w.done && (n = gmx_read(pair.p[from], text, sizeof text, GMX_FOREVER)) > 0; got += (size_t)n)
        CHECK(memcmp(text, big + got, (size_t)n) == 0);
      CHECK_EQ(got, w.done);
      if (how < 3) CHECK_STATUS(gmx_read(pair.p[from], text, 1, 0), GMX_ETIMEDOUT);
      pair_close(&pair);
    }
}

static void many_parts_are_read_and_written(void) {
  enum { PARTS = 1025 };
  static const int counts[] = {1, 1024, PARTS};
  for (int kind = 0; kind < PAIR_KINDS; kind++)
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
      static char out[PARTS], in[PARTS];
      static struct iovec v[PARTS], to[PARTS];
      struct pair pair = pair_of(kind);
      gmx_poll w = kind == PIPE ? pair.p[1] : pair.p[0], r = kind == PIPE ? pair.p[0] : pair.p[1];
      size_t done = 0, n = (size_t)counts[c];
      memset(in, 0, sizeof in);
      for (size_t i = 0; i < n; i++) {
        out[i] = (char)(i * 7);
        v[i] = (struct iovec){&out[i], 1};
        to[i] = (struct iovec){&in[i], 1};
      }
      CHECK_OK(gmx_writev(w, v, (int)n, GMX_FOREVER, &done));
      CHECK_EQ(done, n);
      for (size_t got = 0; got < n;) {
        gmx_status more = gmx_readv(r, to + got, (int)(n - got), GMX_FOREVER);
        if (more == GMX_EINVAL && n - got > 1024) { /* as readv(2) */
          more = gmx_readv(r, to + got, 1024, GMX_FOREVER);
        }
        CHECK_CMP(more, >, 0);
        got += (size_t)more;
      }
      CHECK(memcmp(in, out, n) == 0);
      pair_close(&pair);
    }
}

/* ---- at random ---- */

/* Pieces, pauses and the end at random, and a reader whose buffers are sometimes larger, sometimes smaller: what it
 * reads is what was written. Each wrong guess that a queue is empty, or is not, hangs it sooner or later. */
struct stream {
  struct pair pair;
  enum pair_kind kind;
  uint64_t seed;
  size_t size;
};
static unsigned char stream_byte(size_t at) { return (unsigned char)((at * 2654435761u) >> 13); }

static void writes_at_random(void *arg) {
  struct stream *s = arg;
  uint64_t seed = s->seed;
  gmx_poll p = s->kind == PIPE ? s->pair.p[1] : s->pair.p[0];
  unsigned char text[3000];
  for (size_t at = 0; at < s->size;) {
    size_t n = 1 + random_below(&seed, random_below(&seed, 3) ? 20 : sizeof text), done = 0;
    if (n > s->size - at) n = s->size - at;
    for (size_t i = 0; i < n; i++) text[i] = stream_byte(at + i);
    CHECK_OK(gmx_write(p, text, n, GMX_FOREVER, &done));
    CHECK_EQ(done, n);
    at += n;
    switch (random_below(&seed, 6)) {
      case 0: CHECK_OK(gmx_yield()); break;
      case 1: CHECK_OK(gmx_sleep((int64_t)random_below(&seed, 20000))); break;
    }
  }
  if (random_below(&seed, 2) && s->kind != PIPE) CHECK_OK(fd_shutdown(p, SHUT_WR));
  else {
    CHECK_OK(gmx_close(p));
    int mine = s->kind == PIPE;
    s->pair.p[mine] = 0;
    s->pair.fd[mine] = -1;
  }
}

static void reads_at_random(void *arg) {
  struct stream *s = arg;
  uint64_t seed = s->seed + 1;
  gmx_poll p = s->kind == PIPE ? s->pair.p[0] : s->pair.p[1];
  unsigned char text[5000];
  size_t at = 0;
  for (;;) {
    size_t n = 1 + random_below(&seed, random_below(&seed, 2) ? 30 : sizeof text);
    uint32_t ready;
    gmx_status got;
    int way = (int)random_below(&seed, 4);
    if (way == 0) CHECK_OK(gmx_poll_wait(p, GMX_POLL_IN, GMX_FOREVER, &ready));
    if (way == 1 && s->kind != PIPE) got = gmx_recv(p, text, n, 0, GMX_FOREVER);
    else if (way == 2) {
      struct iovec v[2] = {{text, n / 2}, {text + n / 2, n - n / 2}};
      got = gmx_readv(p, v, 2, GMX_FOREVER);
    } else got = gmx_read(p, text, n, way == 3 ? (int64_t)random_below(&seed, 30000) : GMX_FOREVER);
    if (got == GMX_ETIMEDOUT && way == 3) continue;
    CHECK_CMP(got, >=, 0);
    if (got == 0) break;
    for (size_t i = 0; i < (size_t)got; i++) CHECK_EQ(text[i], stream_byte(at + i));
    at += (size_t)got;
  }
  CHECK_EQ(at, s->size);
}

static void a_stream_in_random_pieces_arrives(void) {
  enum { STREAMS = 12, ROUNDS = 8 };
  uint64_t seed = (uint64_t)check_now();
  for (int round = 0; round < ROUNDS; round++) {
    static struct stream s[STREAMS];
    struct placed r[STREAMS], w[STREAMS];
    for (int i = 0; i < STREAMS; i++) {
      s[i].kind = (enum pair_kind)(i % PAIR_KINDS);
      s[i].pair = pair_of(s[i].kind);
      s[i].seed = next_random(&seed);
      s[i].size = random_below(&seed, 60000);
      place_start(&r[i], i == 5 ? ON_ATTACHED : ON_G, reads_at_random, &s[i]);
      place_start(&w[i], i == 6 ? ON_ATTACHED : ON_G, writes_at_random, &s[i]);
    }
    for (int i = 0; i < STREAMS; i++) {
      place_join(&w[i]);
      place_join(&r[i]);
      pair_close(&s[i].pair);
    }
  }
}

/* ---- datagrams ---- */

static void datagrams_keep_their_ends(void) {
  for (int kind = 0; kind < 3; kind++) {
    int fd[2];
    if (kind < 2) CHECK(socketpair(AF_UNIX, (kind ? SOCK_SEQPACKET : SOCK_DGRAM) | SOCK_CLOEXEC, 0, fd) == 0);
    else {
      struct sockaddr_in at[2];
      socklen_t size = sizeof at[0];
      for (int i = 0; i < 2; i++) {
        memset(&at[i], 0, sizeof at[i]);
        at[i].sin_family = AF_INET;
        at[i].sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd[i] = new_socket(AF_INET, SOCK_DGRAM);
        CHECK(bind(fd[i], (struct sockaddr *)&at[i], size) == 0);
        CHECK(getsockname(fd[i], (struct sockaddr *)&at[i], &size) == 0);
      }
      for (int i = 0; i < 2; i++) CHECK(connect(fd[i], (struct sockaddr *)&at[1 - i], size) == 0);
    }
    gmx_poll p = own_fd(fd[0]), q = own_fd(fd[1]);
    char text[16];
    CHECK_STATUS(gmx_recv(q, text, sizeof text, 0, 0), GMX_ETIMEDOUT);
    CHECK_EQ(gmx_send(p, "first", 5, 0, GMX_FOREVER), 5);
    if (kind != 1) CHECK_EQ(gmx_send(p, "", 0, 0, GMX_FOREVER), 0); /* a packet, not the end */
    CHECK_EQ(gmx_send(p, "the second", 10, 0, GMX_FOREVER), 10);
    CHECK_EQ(gmx_send(p, "3", 1, 0, GMX_FOREVER), 1);
    CHECK_EQ(gmx_recv(q, text, sizeof text, 0, GMX_FOREVER), 5);
    if (kind != 1) CHECK_EQ(gmx_recv(q, text, sizeof text, 0, GMX_FOREVER), 0);
    /* A datagram that does not fit is cut, and that is told. A short read of one is no empty queue. */
    struct iovec v = {text, 3};
    struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
    CHECK_EQ(gmx_recvmsg(q, &msg, 0, GMX_FOREVER), 3);
    CHECK(msg.msg_flags & MSG_TRUNC);
    CHECK_EQ(gmx_recv(q, text, sizeof text, 0, GMX_FOREVER), 1);
    CHECK_STATUS(gmx_recv(q, text, sizeof text, 0, 0), GMX_ETIMEDOUT);
    for (int place = 0; place < PLACES; place++) { /* a parked reader, one packet each, several at once */
      struct fd_state s = {.p = q, .far = fd[0]};
      struct fd_waiter w;
      wait_start(&w, place, &fd_calls[4], &s, GMX_FOREVER, 0);
      CHECK_EQ(gmx_send(p, "x", 1, 0, GMX_FOREVER), 1);
      CHECK_EQ(gmx_send(p, "yy", 2, 0, GMX_FOREVER), 2);
      CHECK_STATUS(wait_end(&w), 1);
      CHECK_EQ(gmx_read(q, text, sizeof text, GMX_FOREVER), 2);
      CHECK_OK(gmx_write(p, "zzz", 3, GMX_FOREVER, NULL));
      CHECK_EQ(gmx_read(q, text, 2, GMX_FOREVER), 2);
      CHECK_STATUS(gmx_read(q, text, sizeof text, 0), GMX_ETIMEDOUT);
    }
    close_fd(p);
    close_fd(q);
  }
}

/* More packets than the queue of the receiver holds: the sender waits, if the system lets it. */
static void sends_numbers(void *arg) {
  for (int i = 0; i < 500; i++) CHECK_EQ(gmx_send(*(gmx_poll *)arg, &i, sizeof i, 0, GMX_FOREVER), sizeof i);
}

static void a_sender_of_datagrams_waits_for_room(void) {
  for (int kind = 0; kind < 2; kind++) {
    int fd[2], number = -1;
    CHECK(socketpair(AF_UNIX, (kind ? SOCK_SEQPACKET : SOCK_DGRAM) | SOCK_CLOEXEC, 0, fd) == 0);
    gmx_poll p = own_fd(fd[0]), q = own_fd(fd[1]);
    gmx_g g = go_joinable(sends_numbers, &p);
    for (int i = 0; i < 500; i++) {
      if (i % 20 == 0) CHECK_OK(gmx_sleep(10000));
      CHECK_EQ(gmx_recv(q, &number, sizeof number, 0, GMX_FOREVER), sizeof number);
      CHECK_EQ(number, i);
    }
    join(g);
    close_fd(p);
    close_fd(q);
  }
}

int main(void) {
  CHECK((big = malloc(BIG)) != NULL);
  for (size_t i = 0; i < BIG; i++) big[i] = (char)stream_byte(i);
  start_runtime(1, 0);
  WITH_SOME_PS {
    RUN_G(bytes_and_end_that_come_together_are_both_read);
    RUN_G(the_end_wakes_a_reader);
    RUN_G(half_a_connection_goes_on);
    RUN_G(a_reset_ends_reads_and_writes);
    RUN_G(a_write_to_nothing_raises_no_signal);
    RUN_G(a_slow_reader_gets_all);
    RUN_G(a_write_that_ends_early_tells_how_much_went);
    RUN_G(many_parts_are_read_and_written);
    RUN_G(a_stream_in_random_pieces_arrives);
    RUN_G(datagrams_keep_their_ends);
    RUN_G(a_sender_of_datagrams_waits_for_room);
  }
  free(big);
  ends_clean();
  return 0;
}
