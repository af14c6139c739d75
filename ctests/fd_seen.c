/* Descriptors in what the library tells about itself: the numbers of the scheduler, and the text of a dump. */
#include "fds.h"

#include <ctype.h>

enum { GS = 8 };

struct reader {
  gmx_poll p;
  gmx_g g;
  uint32_t events; /* 0: a read */
};

static void reads(void *arg) {
  struct reader *r = arg;
  char c;
  uint32_t ready;
  if (r->events) CHECK_OK(gmx_poll_wait(r->p, r->events, GMX_FOREVER, &ready));
  else CHECK_EQ(gmx_read(r->p, &c, 1, GMX_FOREVER), 1);
}

static void starts(struct reader *r, gmx_poll p, uint32_t events) {
  r->p = p;
  r->events = events;
  r->g = go_joinable(reads, r);
  spin_until(g_waits(r->g));
}

/* ---- numbers ---- */

static void numbers(void) {
  struct pair pair[GS];
  struct reader r[GS];
  gmx_sched_stats before = sched_stats();
  CHECK_EQ(before.io_waiting, 0);
  for (int i = 0; i < GS; i++) {
    pair[i] = pair_of(i % PAIR_KINDS);
    starts(&r[i], pair[i].p[0], 0);
  }
  gmx_sched_stats waiting = sched_stats();
  CHECK_EQ(waiting.io_waiting, GS);
  CHECK_EQ(waiting.fds_open, before.fds_open + 2 * GS);
  CHECK_EQ(waiting.io_readied, before.io_readied);
  for (int i = 0; i < GS; i++) {
    feed(pair[i].fd[1], "x", 1);
    join(r[i].g);
    pair_close(&pair[i]);
  }
  gmx_sched_stats after = sched_stats();
  CHECK_EQ(after.io_waiting, 0);
  CHECK_EQ(after.fds_open, before.fds_open);
  CHECK_CMP(after.io_readied, >=, before.io_readied + GS);
  CHECK_CMP(after.polls, >, before.polls);
  CHECK_CMP(after.poll_breaks, >=, before.poll_breaks);
}

/* ---- the dump ---- */

static char text[1 << 18];

static void dump(void) {
  FILE *file = tmpfile();
  CHECK(file != NULL);
  CHECK_OK(gmx_write_heap_dump(fileno(file)));
  rewind(file);
  text[fread(text, 1, sizeof text - 1, file)] = 0;
  fclose(file);
}

/* A G waits so, as far as the time. */
static void is_seen(const char *reason, int fd, const char *rest) {
  char wanted[300];
  snprintf(wanted, sizeof wanted, "[%s, fd %d%s, ", reason, fd, rest);
  const char *at = strstr(text, wanted);
  if (!at || !isdigit((unsigned char)at[strlen(wanted)])) FAIL("no \"%s\" in\n%s", wanted, text);
}

static void a_dump(void) {
  struct sockaddr_in at;
  struct sockaddr_un un = {.sun_family = AF_UNIX};
  snprintf(un.sun_path, sizeof un.sun_path, "/tmp/gmx \"%d", (int)getpid());
  int l = listener(&at, 4), near = connect_to(&at), far = accept4(l, NULL, NULL, SOCK_CLOEXEC);
  int u = new_socket(AF_UNIX, SOCK_STREAM), pipes[2], pair[2], gone[2], files[2];
  CHECK(far >= 0 && bind(u, (struct sockaddr *)&un, sizeof un) == 0 && listen(u, 1) == 0);
  fds_of(pipes, PIPE);
  fds_of(pair, UNIX);
  fds_of(gone, UNIX);
  fds_of(files, UNIX);
  struct reader r[7];
  starts(&r[0], borrow_fd(near), 0);
  starts(&r[1], borrow_fd(pipes[0]), 0);
  starts(&r[2], borrow_fd(pair[0]), 0);
  starts(&r[3], borrow_fd(l), GMX_POLL_IN);
  starts(&r[4], borrow_fd(u), GMX_POLL_IN);
  starts(&r[5], borrow_fd(gone[0]), 0);
  starts(&r[6], borrow_fd(files[0]), 0);
  /* Closed by the host; and the number of another file. Both files live on in their copies. */
  int kept[2] = {dup(gone[0]), dup(files[0])};
  CHECK(close(gone[0]) == 0 && dup2(pipes[1], files[0]) == files[0]);
  dump();
  char peer[64];
  snprintf(peer, sizeof peer, " tcp 127.0.0.1:%d", ntohs(at.sin_port));
  is_seen("IO wait: read", near, peer);
  is_seen("IO wait: read", pipes[0], " pipe");
  is_seen("IO wait: read", pair[0], " unix");
  snprintf(peer, sizeof peer, " tcp at 127.0.0.1:%d", ntohs(at.sin_port));
  is_seen("IO wait", l, peer);
  snprintf(peer, sizeof peer, " unix at /tmp/gmx \\\"%d", (int)getpid());
  is_seen("IO wait", u, peer);
  is_seen("IO wait: read", gone[0], "");
  is_seen("IO wait: read", files[0], "");
  /* As they were. */
  CHECK(dup2(kept[0], gone[0]) == gone[0] && dup2(kept[1], files[0]) == files[0]);
  feed(far, "x", 1);
  feed(pipes[1], "x", 1);
  feed(pair[1], "x", 1);
  feed(gone[1], "x", 1);
  feed(files[1], "x", 1);
  int one = connect_to(&at), other = new_socket(AF_UNIX, SOCK_STREAM);
  CHECK(connect(other, (struct sockaddr *)&un, sizeof un) == 0);
  for (int i = 0; i < 7; i++) {
    join(r[i].g);
    close_fd(r[i].p);
  }
  int all[] = {near,    far,     l,       u,        pipes[0], pipes[1], pair[0], pair[1], gone[0],
               gone[1], kept[0], kept[1], files[0], files[1], one,      other};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) CHECK(close(all[i]) == 0);
  unlink(un.sun_path);
}

int main(void) {
  for (int procs = 1; procs <= 4; procs *= 4) {
    start_runtime(procs, 0);
    RUN_G(numbers);
    RUN_G(a_dump);
    end_runtime();
  }
  return 0;
}
