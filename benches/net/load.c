/*
 * The client of the echo benchmarks:  netload PORT CONNECTIONS BYTES MILLISECONDS
 *
 * One thread with epoll. Each connection sends BYTES, waits until as many have come back, and sends again. Prints how
 * many came back; how many in the time, without its beginning; and the 50th and 99th percentile of the time that one of
 * these took, in nanoseconds. With 0 MILLISECONDS each connection has one echo; the client then prints the time of all,
 * keeps the connections and waits for the end of its input.
 */
#include "load.h"

static int by_value(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  must(argc == 5, "PORT CONNECTIONS BYTES MILLISECONDS");
  int port = atoi(argv[1]), n = atoi(argv[2]), bytes = atoi(argv[3]);
  int64_t length = atoll(argv[4]) * 1000000, begin = now();
  struct connection {
    int fd, got;
    int64_t sent;
  } *conns = calloc((size_t)n, sizeof *conns);
  char *text = calloc(1, (size_t)bytes), *buffer = malloc((size_t)bytes);
  size_t all = 0, count = 0, room = 1 << 16;
  int64_t *times = malloc(room * sizeof *times);
  int poll = epoll_create1(EPOLL_CLOEXEC);
  must(conns && text && buffer && times && poll >= 0, "begin");

  struct sockaddr_in to = loopback(port);
  for (int i = 0; i < n; i++) {
    conns[i].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(conns[i].fd >= 0 && connect(conns[i].fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
    no_delay(conns[i].fd);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = &conns[i]};
    must(epoll_ctl(poll, EPOLL_CTL_ADD, conns[i].fd, &e) == 0, "epoll_ctl");
  }
  /* The first echoes of a server are not those of the others. */
  int64_t from = length ? now() + length / 5 : now(), until = from + length;
  for (int i = 0; i < n; i++) {
    conns[i].sent = now();
    must(write(conns[i].fd, text, (size_t)bytes) == bytes, "write");
  }
  int left = n;
  while (length ? now() < until : left > 0) {
    struct epoll_event events[256];
    int ready = epoll_wait(poll, events, 256, 10000);
    must(ready > 0, "the server stands still");
    for (int i = 0; i < ready; i++) {
      struct connection *c = events[i].data.ptr;
      ssize_t got = recv(c->fd, buffer, (size_t)bytes, MSG_DONTWAIT);
      must(got > 0, "recv");
      if ((c->got += (int)got) < bytes) continue;
      c->got = 0;
      if (!length) {
        left--;
        continue;
      }
      int64_t at = now();
      all++;
      if (c->sent >= from) {
        if (count == room) must((times = realloc(times, (room *= 2) * sizeof *times)) != NULL, "memory");
        times[count++] = at - c->sent;
      }
      c->sent = at;
      must(write(c->fd, text, (size_t)bytes) == bytes, "write");
    }
  }
  if (length) {
    must(count > 0, "no echo came back");
    qsort(times, count, sizeof *times, by_value);
    printf("%zu %zu %lld %lld\n", all, count, (long long)times[count / 2], (long long)times[count * 99 / 100]);
  } else {
    printf("%lld\n", (long long)(now() - begin));
    fflush(stdout);
    while (getchar() != EOF) {
    }
  }
  return 0;
}
