/*
 * libcurl on goroutines, by its multi interface:  curl [cost]
 *
 * curl_easy_perform waits in poll(2), which takes a thread. `performs` is the same call for a goroutine: libcurl says
 * which sockets it watches and when it wants to be called again, and the goroutine waits for that by gmx_poll_many,
 * outside of libcurl. So none changes its thread in the middle of a call of libcurl or of its TLS library.
 *
 * A goroutine has a multi handle of its own, and with it a pool of connections: the second transfer to a host uses the
 * connection of the first.
 *
 * The server is in this program: it answers each request with as many bytes as the path says.
 *
 *   cc curl.c -lgomax -lcurl && ./a.out
 */
#include "each.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>

enum { CLIENTS = 40, TRANSFERS = 5, SOCKETS = 16, STACK = 128 << 10 };

/* ---- curl_easy_perform for goroutines ---- */

struct transfers { /* of one goroutine */
  CURLM *multi;
  struct pollfd fds[SOCKETS];
  size_t n;
  int64_t next; /* when libcurl wants to be called; -1: only for its sockets */
};

static int watches(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused) {
  (void)easy, (void)unused;
  struct transfers *t = arg;
  size_t i = 0;
  while (i < t->n && t->fds[i].fd != fd) i++;
  if (what == CURL_POLL_REMOVE) {
    if (i < t->n) t->fds[i] = t->fds[--t->n];
    return 0;
  }
  if (i == SOCKETS) return -1;
  if (i == t->n) t->n++;
  short in = what & CURL_POLL_IN ? POLLIN : 0, out = what & CURL_POLL_OUT ? POLLOUT : 0;
  t->fds[i] = (struct pollfd){fd, (short)(in | out), 0};
  return 0;
}

static int sets_time(CURLM *multi, long ms, void *arg) {
  (void)multi;
  ((struct transfers *)arg)->next = ms < 0 ? -1 : gmx_now() + ms * 1000000;
  return 0;
}

static void transfers_begin(struct transfers *t) {
  *t = (struct transfers){.multi = curl_multi_init(), .next = -1};
  MUST(t->multi);
  curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, watches);
  curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
  curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, sets_time);
  curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
}

static CURLcode performs(struct transfers *t, CURL *easy) {
  CURLcode result = CURLE_FAILED_INIT;
  if (curl_multi_add_handle(t->multi, easy) != CURLM_OK) return result;
  for (int running = 1; running;) {
    struct pollfd ready[SOCKETS]; /* libcurl changes t->fds while it is told */
    size_t n = t->n;
    memcpy(ready, t->fds, n * sizeof *ready);
    gmx_status s = gmx_poll_many(ready, n, t->next < 0 ? GMX_FOREVER : gmx_time_left(t->next));
    if (s < 0 && s != GMX_ETIMEDOUT) break; /* a token was canceled: the transfer ends, and its connection */
    if (s == GMX_ETIMEDOUT) {
      t->next = -1;
      curl_multi_socket_action(t->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    for (size_t i = 0; i < n; i++) {
      short is = ready[i].revents;
      int what = (is & POLLIN ? CURL_CSELECT_IN : 0) | (is & POLLOUT ? CURL_CSELECT_OUT : 0) |
                 (is & (POLLERR | POLLHUP | POLLNVAL) ? CURL_CSELECT_ERR : 0);
      if (what) curl_multi_socket_action(t->multi, ready[i].fd, what, &running);
    }
  }
  int left;
  for (CURLMsg *m; (m = curl_multi_info_read(t->multi, &left));)
    if (m->msg == CURLMSG_DONE && m->easy_handle == easy) result = m->data.result;
  curl_multi_remove_handle(t->multi, easy);
  return result;
}

/* ---- clients ---- */

static int port;
static atomic_long connections;

static size_t counts(char *data, size_t size, size_t n, void *arg) {
  for (size_t i = 0; i < size * n; i++) MUST(data[i] == 'x');
  *(size_t *)arg += size * n;
  return size * n;
}

static void fetches(int i, bool parks) {
  struct transfers t;
  CURL *easy = curl_easy_init();
  MUST(easy);
  transfers_begin(&t);
  for (int n = 0; n < TRANSFERS; n++) {
    size_t wanted = (size_t)i * 5000 + (size_t)n, got = 0;
    long new = 0;
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%zu", port, wanted);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L); /* a signal belongs to the process */
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, counts);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &got);
    MUST((parks ? performs(&t, easy) : curl_easy_perform(easy)) == CURLE_OK && got == wanted);
    MUST(curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &new) == CURLE_OK);
    atomic_fetch_add(&connections, new);
  }
  curl_easy_cleanup(easy);
  curl_multi_cleanup(t.multi);
}
static void fetches_by_multi(int i) { fetches(i, true); }
static void fetches_by_easy(int i) { fetches(i, false); }

/* ---- a server ---- */

static char body[200000];

static void answers(void *arg) {
  gmx_poll conn = (gmx_poll)(uintptr_t)arg;
  char request[4096], head[128];
  size_t have = 0, left;
  for (gmx_status n; (n = gmx_read(conn, request + have, sizeof request - 1 - have, GMX_FOREVER)) > 0;) {
    have += (size_t)n;
    request[have] = 0;
    if (!strstr(request, "\r\n\r\n")) continue;
    MUST(sscanf(request, "GET /%zu ", &left) == 1 && left <= sizeof body);
    have = 0;
    int size = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", left);
    MUST(gmx_write(conn, head, (size_t)size, GMX_FOREVER, NULL) == GMX_OK);
    if (left) MUST(gmx_write(conn, body, left, GMX_FOREVER, NULL) == GMX_OK);
  }
  gmx_close(conn);
}

static void serves(void *arg) {
  gmx_poll listener = (gmx_poll)(uintptr_t)arg, conn;
  while (gmx_accept(listener, &conn, NULL, NULL, GMX_FOREVER) == GMX_OK)
    MUST(gmx_spawn(answers, (void *)(uintptr_t)conn) == GMX_OK);
}

static void run(void *arg) {
  gmx_poll listener;
  struct sockaddr_in at;
  socklen_t len = sizeof at;
  memset(body, 'x', sizeof body);
  MUST(gmx_listen_tcp("127.0.0.1", "0", NULL, &listener) == GMX_OK);
  MUST(getsockname(gmx_poll_fd(listener), (struct sockaddr *)&at, &len) == 0);
  port = ntohs(at.sin_port);
  MUST(gmx_spawn(serves, (void *)(uintptr_t)listener) == GMX_OK);
  if (arg) {
    costs("goroutines, the multi interface", CLIENTS, STACK, fetches_by_multi);
    costs("goroutines, curl_easy_perform", CLIENTS, STACK, fetches_by_easy);
    stack_used("a transfer", STACK, fetches_by_multi);
  } else {
    each(CLIENTS, STACK, fetches_by_multi);
    MUST(atomic_load(&connections) == CLIENTS);
  }
  gmx_close(listener);
}

int main(int argc, char **argv) {
  bool cost = argc > 1 && strcmp(argv[1], "cost") == 0;
  MUST(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); /* before the first goroutine */
  MUST(gmx_main(run, cost ? &cost : NULL) == GMX_OK && gmx_shutdown(GMX_FOREVER) == GMX_OK);
  curl_global_cleanup();
  if (!cost) printf("%d transfers by %ld connections\n", CLIENTS * TRANSFERS, atomic_load(&connections));
  return 0;
}
