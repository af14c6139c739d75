/*
 * httpd: an HTTP/1.1 server of the files below a folder. A goroutine for each connection, and none of them is a thread.
 *
 *     httpd DIR [--port N] [--ps N] [--connections N] [--head-ms N] [--idle-ms N] [--slow-ms N]
 *
 * It prints its port, and ends on SIGTERM or SIGINT without losing a request that has reached it.
 *
 * How it works:
 *   - A connection waits for the first byte of a request with nothing but its goroutine: its buffer comes with that
 *     byte (gmx_poll_wait), and is freed when the last request in it is answered. So idle connections are small.
 *   - The head of a request has a deadline for the whole of it (gmx_poll_set_deadline): a client that sends a byte now
 *     and then keeps nothing for long.
 *   - A file goes out by gmx_copy: the system moves its bytes, and they never come into this program.
 *   - SIGTERM comes through a channel (gmx_signal_notify). Then the listener is emptied and closed; a token ends the
 *     waits of the idle connections (gmx_cancel_use); and each connection answers what it has received, with
 *     "Connection: close".
 */
#include <gomax.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MS INT64_C(1000000)
enum { HEAD = 8 << 10, MOST_BODY = 64 << 10 };

static struct {
  int root, port, ps, connections;
  int64_t head, idle, slow; /* how long a head, an idle connection and a write without progress may last */
} config = {.port = 0, .ps = 0, .connections = 20000, .head = 10000 * MS, .idle = 60000 * MS, .slow = 30000 * MS};

static gmx_cancel ending; /* canceled when the server is to end */
static gmx_waitgroup open_connections;
static uint32_t free_connections; /* a semaphore */

static gmx_status must(gmx_status status) {
  if (status < 0) errx(1, "%s", gmx_strerror(status));
  return status;
}

/* ---- a request ---- */

struct request {
  char *method, *target;
  int minor;       /* of HTTP/1.minor */
  bool keep_alive; /* the connection is to stay */
  bool chunked, has_host;
  int64_t body;
  const char *range, *if_range, *if_none_match, *if_modified_since;
};

static char *trim(char *s) {
  s += strspn(s, " \t");
  char *end = s + strlen(s);
  while (end > s && (end[-1] == ' ' || end[-1] == '\t')) end--;
  *end = 0;
  return s;
}

/* Whether a list such as "keep-alive, Upgrade" has this word. */
static bool lists(const char *list, const char *word) {
  size_t n = strlen(word);
  while (*list) {
    list += strspn(list, " \t,");
    size_t has = strcspn(list, " \t,");
    if (has == n && strncasecmp(list, word, n) == 0) return true;
    list += has;
  }
  return false;
}

/* A number of digits and nothing else, at most 2^62; -1 otherwise. */
static int64_t digits(const char *s, const char *end) {
  int64_t n = 0;
  if (s == end) return -1;
  for (; s < end; s++) {
    if (*s < '0' || *s > '9' || n > INT64_MAX / 20) return -1;
    n = n * 10 + (*s - '0');
  }
  return n;
}

static const char TOKEN[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* Takes the head apart, in place. 0, or the status of the answer. */
static int parse(char *head, size_t n, struct request *r) {
  *r = (struct request){0};
  if (memchr(head, 0, n)) return 400;
  char *line = head, *next = strstr(line, "\r\n");
  *next = 0;
  r->method = line;
  line += strspn(line, TOKEN);
  if (line == r->method || *line != ' ') return 400;
  *line++ = 0;
  r->target = line;
  line += strcspn(line, " ");
  if (line == r->target || *line != ' ') return 400;
  *line++ = 0;
  if (strncmp(line, "HTTP/", 5) || strlen(line) != 8 || line[6] != '.') return 400;
  if (line[5] != '1') return 505;
  if (line[7] < '0' || line[7] > '9') return 400;
  r->minor = line[7] - '0';
  r->keep_alive = r->minor > 0;
  bool has_length = false;
  for (line = next + 2; *line; line = next + 2) {
    next = strstr(line, "\r\n");
    *next = 0;
    char *colon = line + strspn(line, TOKEN);
    if (colon == line || *colon != ':') return 400; /* also a line that continues the one before */
    *colon = 0;
    char *value = trim(colon + 1);
    for (const char *c = value; *c; c++)
      if ((unsigned char)*c < ' ' && *c != '\t') return 400;
    if (strcasecmp(line, "host") == 0) {
      if (r->has_host) return 400;
      r->has_host = true;
    } else if (strcasecmp(line, "connection") == 0) {
      if (lists(value, "close")) r->keep_alive = false;
      else if (r->minor == 0 && lists(value, "keep-alive")) r->keep_alive = true;
    } else if (strcasecmp(line, "content-length") == 0) {
      int64_t body = digits(value, value + strlen(value));
      if (body < 0 || (has_length && body != r->body)) return 400;
      has_length = true;
      r->body = body;
    } else if (strcasecmp(line, "transfer-encoding") == 0) {
      r->chunked = true;
    } else if (strcasecmp(line, "range") == 0) {
      r->range = value;
    } else if (strcasecmp(line, "if-range") == 0) {
      r->if_range = value;
    } else if (strcasecmp(line, "if-none-match") == 0) {
      r->if_none_match = value;
    } else if (strcasecmp(line, "if-modified-since") == 0) {
      r->if_modified_since = value;
    }
  }
  if (r->chunked && has_length) return 400; /* two lengths: a proxy might have read the other one */
  if (r->chunked) return 501;
  if (r->minor > 0 && !r->has_host) return 400;
  return r->body > MOST_BODY ? 413 : 0;
}

static int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1; }

/* The path of a file below the root, in place: without the query, decoded. NULL: it is none, or leads out. */
static char *path_of(char *target) {
  if (strncasecmp(target, "http://", 7) == 0 && !(target = strchr(target + 7, '/'))) return NULL;
  if (*target != '/') return NULL;
  target[strcspn(target, "?#")] = 0;
  char *to = target;
  for (const char *from = target; *from; from++) {
    char c = *from;
    if (c == '%') {
      int high = hex(from[1]), low = high < 0 ? -1 : hex(from[2]);
      if (low < 0 || high * 16 + low == 0) return NULL;
      c = (char)(high * 16 + low);
      from += 2;
    }
    *to++ = c;
  }
  *to = 0;
  for (char *part = target; part; part = strchr(part + 1, '/'))
    if (part[1] == '.') return NULL; /* "..", and files that are hidden */
  return target + strspn(target, "/");
}

/* ---- an answer ---- */

static const char *reason_of(int status) {
  switch (status) {
    case 200: return "OK";
    case 206: return "Partial Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 413: return "Content Too Large";
    case 416: return "Range Not Satisfiable";
    case 431: return "Request Header Fields Too Large";
    case 501: return "Not Implemented";
    case 505: return "HTTP Version Not Supported";
    default: return "Internal Server Error";
  }
}

static const char *type_of(const char *path) {
  static const char *const types[][2] = {
      {".html", "text/html; charset=utf-8"}, {".css", "text/css; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"},
      {".txt", "text/plain; charset=utf-8"}, {".json", "application/json"},       {".svg", "image/svg+xml"},
      {".png", "image/png"},                 {".jpg", "image/jpeg"},              {".wasm", "application/wasm"},
  };
  const char *dot = strrchr(path, '.');
  for (size_t i = 0; dot && i < sizeof types / sizeof *types; i++)
    if (strcasecmp(dot, types[i][0]) == 0) return types[i][1];
  return "application/octet-stream";
}

struct text {
  size_t n;
  char at[1024];
};

__attribute__((__format__(__printf__, 2, 3))) static void say(struct text *t, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(t->at + t->n, sizeof t->at - t->n, format, args); /* all parts together are shorter */
  va_end(args);
  t->n += (size_t)n;
}

static void say_time(struct text *t, const char *name, time_t when) {
  struct tm tm;
  char date[40];
  strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&when, &tm));
  say(t, "%s: %s\r\n", name, date);
}

static void begin(struct text *t, int status, bool stays) {
  t->n = 0;
  say(t, "HTTP/1.1 %d %s\r\n", status, reason_of(status));
  say_time(t, "Date", time(NULL));
  if (!stays) say(t, "Connection: close\r\n");
}

static bool sends(gmx_poll conn, const struct text *t, int flags) {
  for (size_t done = 0; done < t->n;) {
    gmx_status n = gmx_send(conn, t->at + done, t->n - done, flags, config.slow);
    if (n <= 0) return false;
    done += (size_t)n;
  }
  return true;
}

/* Whether the connection stays. */
static bool answers_error(gmx_poll conn, int status, bool stays, bool with_body) {
  struct text t;
  const char *reason = reason_of(status);
  begin(&t, status, stays);
  if (status == 405) say(&t, "Allow: GET, HEAD\r\n");
  if (status != 304) say(&t, "Content-Type: text/plain\r\nContent-Length: %zu\r\n", strlen(reason) + 1);
  say(&t, "\r\n");
  if (with_body && status != 304) say(&t, "%s\n", reason);
  return sends(conn, &t, 0) && stays;
}

/* "bytes=FROM-TO" of a file of this size. 206; 416; or 200: not understood, or several, and the whole file is right. */
static int range_of(const char *range, int64_t size, int64_t *from, int64_t *to) {
  const char *dash;
  if (!range || strncasecmp(range, "bytes=", 6) || !(dash = strchr(range += 6, '-')) || strchr(range, ',')) return 200;
  const char *end = dash + strlen(dash);
  if (dash == range) { /* the last bytes */
    int64_t last = digits(dash + 1, end);
    if (last < 0) return 200;
    if (last == 0 || size == 0) return 416;
    *from = last < size ? size - last : 0;
    *to = size - 1;
    return 206;
  }
  int64_t first = digits(range, dash), last = dash + 1 == end ? INT64_MAX : digits(dash + 1, end);
  if (first < 0 || last < first) return 200;
  if (first >= size) return 416;
  *from = first;
  *to = last < size ? last : size - 1;
  return 206;
}

static bool answers_file(gmx_poll conn, const struct request *r, const char *path, int fd, const struct stat *st, bool stays) {
  char etag[48];
  snprintf(etag, sizeof etag, "\"%llx-%llx-%llx\"", (long long)st->st_mtim.tv_sec, (long long)st->st_mtim.tv_nsec, (long long)st->st_size);
  struct tm tm = {0};
  bool same = r->if_none_match ? strcmp(r->if_none_match, "*") == 0 || lists(r->if_none_match, etag)
              : r->if_modified_since && strptime(r->if_modified_since, "%a, %d %b %Y %H:%M:%S GMT", &tm) && timegm(&tm) >= st->st_mtim.tv_sec;
  int64_t from = 0, to = st->st_size - 1;
  int status = same ? 304 : r->if_range && strcmp(r->if_range, etag) ? 200 : range_of(r->range, st->st_size, &from, &to);
  struct text t;
  begin(&t, status, stays);
  say_time(&t, "Last-Modified", st->st_mtim.tv_sec);
  say(&t, "ETag: %s\r\nAccept-Ranges: bytes\r\n", etag);
  if (status == 416) say(&t, "Content-Range: bytes */%lld\r\n", (long long)st->st_size);
  if (status == 206) say(&t, "Content-Range: bytes %lld-%lld/%lld\r\n", (long long)from, (long long)to, (long long)st->st_size);
  int64_t n = status == 416 ? 0 : to - from + 1;
  if (status != 304) say(&t, "Content-Type: %s\r\nContent-Length: %lld\r\n", type_of(path), (long long)n);
  say(&t, "\r\n");
  bool body = status != 304 && n > 0 && strcmp(r->method, "HEAD");
  if (!sends(conn, &t, body ? MSG_MORE : 0)) return false;
  gmx_poll file;
  if (!body) return stays;
  if (lseek(fd, from, SEEK_SET) != from || gmx_poll_open(fd, GMX_POLL_BORROW, &file) != GMX_OK) return false;
  while (n > 0) { /* in parts, so that a slow client has its time for each */
    uint64_t done = 0, part = n < 1 << 20 ? (uint64_t)n : 1 << 20;
    gmx_status s = gmx_copy(file, conn, part, &done, config.slow);
    n -= (int64_t)done;
    if (s != GMX_OK || done == 0) break; /* the client has gone, or the file has become shorter */
  }
  gmx_close(file);
  return n == 0 && stays;
}

/* Answers a request whose head and body have come. Whether the connection stays. */
static bool answers(gmx_poll conn, struct request *r, bool stays) {
  bool get = strcmp(r->method, "GET") == 0, head = strcmp(r->method, "HEAD") == 0;
  if (!get && !head) return answers_error(conn, 405, stays, true);
  char *path = path_of(r->target);
  if (!path) return answers_error(conn, 400, stays, get);
  struct stat st;
  int fd = openat(config.root, *path ? path : ".", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
    int index = openat(fd, path = "index.html", O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    close(fd);
    fd = index;
  }
  if (fd < 0) return answers_error(conn, errno == EACCES ? 403 : errno == EMFILE || errno == ENFILE ? 500 : 404, stays, get);
  bool more = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? answers_file(conn, r, path, fd, &st, stays)
                                                        : answers_error(conn, 404, stays, get);
  close(fd);
  return more;
}

/* ---- a connection ---- */

/* Waits for the first byte of a request. False: none comes. */
static bool waits(gmx_poll conn) {
  uint32_t ready;
  gmx_cancel_use(ending, NULL);
  gmx_status s = gmx_poll_wait(conn, GMX_POLL_IN, config.idle, &ready);
  gmx_cancel_use(0, NULL);
  /* A request may have come in the moment in which the server was told to end. */
  if (s == GMX_ECANCELED) s = gmx_poll_wait(conn, GMX_POLL_IN, 0, &ready);
  return s == GMX_OK;
}

/* The length of the head in what has come, with its empty line; 0: it is not whole. */
static size_t head_in(const char *at, size_t n) {
  const char *end = memmem(at, n, "\r\n\r\n", 4);
  return end ? (size_t)(end - at) + 4 : 0;
}

/* Answers the requests that come until the buffer is empty. Whether the connection stays. */
static bool serves_some(gmx_poll conn, char *buffer) {
  size_t n = 0;
  bool stays = true;
  do {
    size_t head;
    if (gmx_poll_set_deadline(conn, GMX_POLL_IN, gmx_now() + config.head) != GMX_OK) return false;
    for (;;) {
      while (n >= 2 && memcmp(buffer, "\r\n", 2) == 0) memmove(buffer, buffer + 2, n -= 2); /* some clients end a body so */
      if ((head = head_in(buffer, n)) != 0) break;
      if (n == HEAD) return answers_error(conn, 431, false, true);
      gmx_status got = gmx_read(conn, buffer + n, HEAD - n, GMX_FOREVER);
      if (got == GMX_ETIMEDOUT && n > 0) return answers_error(conn, 408, false, true);
      if (got <= 0) return false;
      n += (size_t)got;
    }
    buffer[head - 2] = 0; /* the head is a string, and its last line ends with CR LF */
    struct request r;
    int wrong = parse(buffer, head - 2, &r);
    if (wrong) return answers_error(conn, wrong, false, true);
    for (int64_t body = r.body; body > 0;) { /* no file wants one */
      size_t has = n - head < (size_t)body ? n - head : (size_t)body;
      memmove(buffer + head, buffer + head + has, n - head - has);
      n -= has;
      if ((body -= (int64_t)has) == 0) break;
      gmx_status got = gmx_read(conn, buffer + head, HEAD - head, GMX_FOREVER);
      if (got <= 0) return false;
      n = head + (size_t)got;
    }
    stays = r.keep_alive && !gmx_cancel_is_canceled(ending);
    stays = answers(conn, &r, stays);
    memmove(buffer, buffer + head, n - head);
    n -= head;
  } while (stays && n > 0);
  return stays;
}

static void serves(void *arg) {
  gmx_poll conn = (gmx_poll)(uintptr_t)arg;
  setsockopt(gmx_poll_fd(conn), IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  bool stays = true, spoke = false;
  while (stays && waits(conn)) {
    char *buffer = malloc(HEAD);
    if (!buffer) break;
    spoke = true;
    stays = serves_some(conn, buffer);
    free(buffer);
  }
  if (spoke && gmx_poll_shutdown(conn, SHUT_WR) == GMX_OK) {
    /* Bytes of the client that are left unread would have the system drop the answer: they are read for a while. */
    char rest[512];
    if (gmx_poll_set_deadline(conn, GMX_POLL_IN, gmx_now() + 1000 * MS) == GMX_OK)
      while (gmx_read(conn, rest, sizeof rest, GMX_FOREVER) > 0) {
      }
  }
  gmx_close(conn);
  gmx_sema_release(&free_connections);
}

/* ---- the server ---- */

static void accepts(void *arg) { /* until the server is to end: then those that have come, too */
  gmx_poll listener = (gmx_poll)(uintptr_t)arg, conn;
  for (;;) {
    gmx_cancel_use(ending, NULL);
    gmx_status s = gmx_sema_acquire(&free_connections);
    if (s == GMX_OK) {
      s = gmx_accept(listener, &conn, NULL, NULL, GMX_FOREVER);
      if (s != GMX_OK) gmx_sema_release(&free_connections);
    }
    gmx_cancel_use(0, NULL);
    if (s == GMX_ECANCELED) {
      if (gmx_accept(listener, &conn, NULL, NULL, 0) != GMX_OK) break;
    } else if (s != GMX_OK) { /* no descriptor, for now */
      gmx_sleep(5 * MS);
      continue;
    }
    if (gmx_waitgroup_go(&open_connections, serves, (void *)(uintptr_t)conn) != GMX_OK) {
      gmx_close(conn);
      gmx_sema_release(&free_connections);
    }
  }
  gmx_close(listener);
}

static void runs(void *arg) {
  int fd = *(int *)arg;
  gmx_poll listener;
  gmx_chan *signals;
  struct gmx_siginfo which;
  gmx_waitgroup acceptors;
  memset(&acceptors, 0, sizeof acceptors);
  must(gmx_cancel_new(0, GMX_FOREVER, &ending));
  must(gmx_chan_new(sizeof which, 1, &signals));
  must(gmx_signal_notify(signals, (const int32_t[]){SIGTERM, SIGINT}, 2));
  must(gmx_poll_open(fd, 0, &listener));
  must(gmx_waitgroup_go(&acceptors, accepts, (void *)(uintptr_t)listener));
  must(gmx_chan_recv(signals, &which));
  must(gmx_cancel_now(ending));
  must(gmx_waitgroup_wait(&acceptors));
  if (gmx_waitgroup_wait_timeout(&open_connections, config.slow) != GMX_OK) warnx("some clients do not read their answers");
  must(gmx_signal_stop(signals));
  exit(0);
}

int main(int argc, char **argv) {
  if (argc < 2) errx(2, "usage: httpd DIR [--port N] [--ps N] [--connections N] [--head-ms N] [--idle-ms N] [--slow-ms N]");
  for (int i = 2; i < argc; i += 2) {
    long n = i + 1 < argc ? strtol(argv[i + 1], NULL, 10) : -1;
    if (n < 0) errx(2, "%s needs a number", argv[i]);
    if (strcmp(argv[i], "--port") == 0) config.port = (int)n;
    else if (strcmp(argv[i], "--ps") == 0) config.ps = (int)n;
    else if (strcmp(argv[i], "--connections") == 0) config.connections = (int)n;
    else if (strcmp(argv[i], "--head-ms") == 0) config.head = n * MS;
    else if (strcmp(argv[i], "--idle-ms") == 0) config.idle = n * MS;
    else if (strcmp(argv[i], "--slow-ms") == 0) config.slow = n * MS;
    else errx(2, "%s is unknown", argv[i]);
  }
  config.root = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (config.root < 0) err(1, "%s", argv[1]);
  free_connections = (uint32_t)config.connections;

  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)config.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) || bind(fd, (struct sockaddr *)&at, len) ||
      listen(fd, SOMAXCONN) || getsockname(fd, (struct sockaddr *)&at, &len))
    err(1, "port %d", config.port);
  printf("port %d\n", ntohs(at.sin_port));
  fflush(stdout);

  gmx_config c;
  must(gmx_config_default(&c));
  if (config.ps) c.maxprocs = config.ps;
  must(gmx_init(&c));
  must(gmx_main(runs, &fd));
}
