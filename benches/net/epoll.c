/*
 * The floor of the echo benchmarks: one thread with epoll, and no goroutine. Prints its port.
 */
#include "load.h"

int main(void) {
  int listens = listener(), poll = epoll_create1(EPOLL_CLOEXEC);
  struct epoll_event e = {.events = EPOLLIN, .data.fd = listens}, events[256];
  must(poll >= 0 && epoll_ctl(poll, EPOLL_CTL_ADD, listens, &e) == 0, "epoll");
  for (;;) {
    int ready = epoll_wait(poll, events, 256, -1);
    for (int i = 0; i < ready; i++) {
      int fd = events[i].data.fd;
      if (fd == listens) {
        e.data.fd = accept4(listens, NULL, NULL, SOCK_CLOEXEC);
        must(e.data.fd >= 0 && epoll_ctl(poll, EPOLL_CTL_ADD, e.data.fd, &e) == 0, "accept");
        no_delay(e.data.fd);
        continue;
      }
      char text[4096];
      ssize_t n = read(fd, text, sizeof text);
      if (n <= 0 || write(fd, text, (size_t)n) != n) close(fd);
    }
  }
}
