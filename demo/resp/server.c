/*
 * resp: a server that speaks the protocol of Redis. A goroutine for each connection, and none of them is a thread.
 *
 *     make build && demo/resp/check.sh        builds it, and runs it beside its own client and, if installed, Redis
 *
 * How it works:
 *   - main makes a listener, and gives it to the library (gmx_poll_open). A goroutine accepts (gmx_accept).
 *   - The goroutine of a connection reads what is there (gmx_read), carries out each command that is whole, collects
 *     the answers, and writes them at once (gmx_write): a pipeline of a hundred commands is one read and one write.
 *   - The keys are in SHARDS tables, each behind a gmx_mutex. Expired keys go when a command meets them, and a
 *     goroutine sweeps one shard at a time for those that none meets.
 *   - A channel has a list of its subscribers. The publisher writes a message to each: gmx_write does not mix the bytes
 *     of several writers, so it needs no lock for that. A subscriber that does not read for SLOW is closed.
 */
#include <gomax.h>

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum { SHARDS = 64, MANY = 1 << 20, LONGEST = 512 << 20, PIECE = 16 << 10 };
#define SLOW (5 * (int64_t)1000000000)

static void *must_have(void *memory) {
  if (!memory) errx(1, "out of memory");
  return memory;
}
static gmx_status must(gmx_status status) {
  if (status < 0) errx(1, "%s", gmx_strerror(status));
  return status;
}

/* ---- bytes ---- */

struct bytes {
  char *at;
  size_t n, room;
};

static char *bytes_more(struct bytes *b, size_t n) {
  if (b->n + n > b->room) {
    while (b->n + n > b->room) b->room = b->room ? 2 * b->room : 256;
    b->at = must_have(realloc(b->at, b->room));
  }
  return b->at + b->n;
}
static void bytes_add(struct bytes *b, const void *from, size_t n) {
  memcpy(bytes_more(b, n + 1), from, n);
  b->n += n;
}
__attribute__((__format__(__printf__, 2, 3))) static void bytes_say(struct bytes *b, const char *format, ...) {
  va_list args;
  va_start(args, format);
  int n = vsnprintf(bytes_more(b, 256), 256, format, args); /* the answers to errors are short */
  va_end(args);
  b->n += (size_t)(n < 256 ? n : 255);
}

/* ---- words: parts of what was read ---- */

struct word {
  const char *at;
  size_t n;
};

static bool is(struct word w, const char *name) { return strlen(name) == w.n && strncasecmp(w.at, name, w.n) == 0; }

/* As Redis: no blanks, no sign but a minus. */
static bool number(struct word w, int64_t *out) {
  char text[24], *end;
  if (w.n == 0 || w.n >= sizeof text) return false;
  memcpy(text, w.at, w.n);
  text[w.n] = 0;
  const char *digits = text + (text[0] == '-');
  if (*digits < '0' || *digits > '9' || (*digits == '0' && w.n > 1)) return false;
  errno = 0;
  *out = strtoll(text, &end, 10);
  return !errno && !*end;
}

/* ---- the keys ---- */

struct entry {
  struct entry *next;
  char *value;
  size_t key_n, value_n;
  int64_t expires; /* on the clock of gmx_now; GMX_FOREVER */
  uint32_t hash;
  char key[];
};

static struct shard {
  gmx_mutex mutex; /* of all below */
  struct entry **heads;
  size_t size, used; /* size: 0 or a power of two */
} shards[SHARDS];

static uint32_t hash_of(struct word key) {
  uint32_t hash = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < key.n; i++) hash = (hash ^ (unsigned char)key.at[i]) * 16777619u;
  return hash;
}

static struct shard *shard_lock(uint32_t hash) {
  struct shard *s = &shards[hash % SHARDS];
  must(gmx_mutex_lock(&s->mutex));
  return s;
}
static void shard_unlock(struct shard *s) { must(gmx_mutex_unlock(&s->mutex)); }

static void drop(struct shard *s, struct entry **at) {
  struct entry *e = *at;
  *at = e->next;
  s->used--;
  free(e->value);
  free(e);
}

/* Where the key is, or where it would be linked. An expired one is dropped on the way. */
static struct entry **find(struct shard *s, struct word key, uint32_t hash) {
  static struct entry *none;
  if (!s->size) return &none;
  struct entry **at = &s->heads[hash / SHARDS & (s->size - 1)];
  for (; *at; at = &(*at)->next)
    if ((*at)->hash == hash && (*at)->key_n == key.n && memcmp((*at)->key, key.at, key.n) == 0) {
      if ((*at)->expires > gmx_now()) return at;
      drop(s, at);
      return find(s, key, hash);
    }
  return at;
}

static struct entry *put(struct shard *s, struct word key, uint32_t hash, struct word value) {
  if (s->used >= s->size) {
    size_t size = s->size ? 2 * s->size : 64;
    struct entry **heads = must_have(calloc(size, sizeof *heads));
    for (size_t i = 0; i < s->size; i++)
      for (struct entry *e = s->heads[i], *next; e; e = next) {
        struct entry **to = &heads[e->hash / SHARDS & (size - 1)];
        next = e->next;
        e->next = *to;
        *to = e;
      }
    free(s->heads);
    s->heads = heads;
    s->size = size;
  }
  struct entry **at = find(s, key, hash), *e = *at;
  if (!e) {
    e = must_have(calloc(1, sizeof *e + key.n));
    memcpy(e->key, key.at, key.n);
    e->key_n = key.n;
    e->hash = hash;
    *at = e;
    s->used++;
  }
  char *copy = must_have(malloc(value.n + 1));
  memcpy(copy, value.at, value.n);
  free(e->value);
  e->value = copy;
  e->value_n = value.n;
  e->expires = GMX_FOREVER;
  return e;
}

/* Drops what has expired, a shard every 10 ms. */
static void sweeps(void *unused) {
  (void)unused;
  for (uint32_t i = 0;; i++) {
    must(gmx_sleep(10000000));
    struct shard *s = shard_lock(i);
    for (size_t k = 0; k < s->size; k++)
      for (struct entry **at = &s->heads[k]; *at;)
        if ((*at)->expires <= gmx_now()) drop(s, at);
        else at = &(*at)->next;
    shard_unlock(s);
  }
}

/* ---- connections and channels ---- */

struct client {
  gmx_poll conn;
  struct bytes in, out; /* its own goroutine's */
  struct subscription *subs;
  size_t nsubs;
  bool quit;
};

/* A client that hears a channel: in the list of both. */
struct subscription {
  struct subscription *next_of_client, *next_of_channel;
  struct client *client;
  size_t n;
  char channel[];
};
static struct subscription *channels[256]; /* by the hash of the channel */
static gmx_rwmutex subscribing;            /* of channels and of the lists of clients: publishers read them */

static void say_bulk(struct bytes *out, const char *at, size_t n) {
  bytes_say(out, "$%zu\r\n", n);
  bytes_add(out, at, n);
  bytes_add(out, "\r\n", 2);
}

static void flush(struct client *c) {
  if (c->out.n && gmx_write(c->conn, c->out.at, c->out.n, SLOW, NULL) != GMX_OK) c->quit = true;
  c->out.n = 0;
}

/* The answer is written before a publisher can find the client, so that no message comes before it. */
static void subscribe(struct client *c, struct word name) {
  struct subscription *s;
  must(gmx_rwmutex_lock(&subscribing));
  for (s = c->subs; s; s = s->next_of_client)
    if (s->n == name.n && memcmp(s->channel, name.at, name.n) == 0) break;
  if (!s) {
    struct subscription **head = &channels[hash_of(name) % 256];
    s = must_have(calloc(1, sizeof *s + name.n));
    memcpy(s->channel, name.at, name.n);
    s->n = name.n;
    s->client = c;
    s->next_of_client = c->subs;
    s->next_of_channel = *head;
    c->subs = *head = s;
    c->nsubs++;
  }
  bytes_say(&c->out, "*3\r\n$9\r\nsubscribe\r\n");
  say_bulk(&c->out, name.at, name.n);
  bytes_say(&c->out, ":%zu\r\n", c->nsubs);
  flush(c);
  must(gmx_rwmutex_unlock(&subscribing));
}

static void unsubscribe_all(struct client *c) {
  must(gmx_rwmutex_lock(&subscribing));
  while (c->subs) {
    struct subscription *s = c->subs, **at = &channels[hash_of((struct word){s->channel, s->n}) % 256];
    while (*at != s) at = &(*at)->next_of_channel;
    *at = s->next_of_channel;
    c->subs = s->next_of_client;
    free(s);
  }
  must(gmx_rwmutex_unlock(&subscribing));
}

/* Under the lock no subscriber's handle is closed. */
static int publish(struct word name, struct word text) {
  struct bytes message = {0};
  int heard = 0;
  bytes_say(&message, "*3\r\n$7\r\nmessage\r\n");
  say_bulk(&message, name.at, name.n);
  say_bulk(&message, text.at, text.n);
  must(gmx_rwmutex_rlock(&subscribing));
  for (struct subscription *s = channels[hash_of(name) % 256]; s; s = s->next_of_channel) {
    if (s->n != name.n || memcmp(s->channel, name.at, name.n) != 0) continue;
    heard++;
    if (gmx_write(s->client->conn, message.at, message.n, SLOW, NULL) != GMX_OK)
      gmx_poll_shutdown(s->client->conn, SHUT_RDWR); /* its goroutine reads the end, and closes it */
  }
  must(gmx_rwmutex_runlock(&subscribing));
  free(message.at);
  return heard;
}

/* ---- commands ---- */

static gmx_poll listener;

static void command(struct client *c, const struct word *w, size_t n) {
  struct bytes *out = &c->out;
  struct word key = n > 1 ? w[1] : (struct word){"", 0};
  uint32_t hash = hash_of(key);
  struct shard *s;
  struct entry **at, *e;
  int64_t value = 0;
  static const struct {
    const char *name;
    size_t least, most; /* words */
  } known[] = {{"get", 2, 2},         {"set", 3, MANY},    {"ping", 1, 2},      {"incr", 2, 2},     {"mget", 2, MANY},
               {"del", 2, MANY},      {"exists", 2, MANY}, {"expire", 3, 3},    {"ttl", 2, 2},      {"echo", 2, 2},
               {"publish", 3, 3},     {"quit", 1, MANY},   {"command", 1, MANY}, {"config", 2, MANY}, {"dbsize", 1, 1},
               {"subscribe", 2, MANY}, {"flushall", 1, MANY}, {"shutdown", 1, 2}};
  enum { GET, SET, PING, INCR, MGET, DEL, EXISTS, EXPIRE, TTL, ECHO, PUBLISH, QUIT, COMMAND, CONFIG, DBSIZE, SUBSCRIBE,
         FLUSHALL, SHUTDOWN, KNOWN };
  int which = 0;
  while (which < KNOWN && !is(w[0], known[which].name)) which++;
  if (which == KNOWN) {
    size_t from = out->n;
    bytes_say(out, "-ERR unknown command '%.*s', with args beginning with: ", (int)(w[0].n < 128 ? w[0].n : 128), w[0].at);
    for (size_t i = 1; i < n && i < 4; i++) bytes_say(out, "'%.*s' ", (int)(w[i].n < 64 ? w[i].n : 64), w[i].at);
    for (size_t i = from; i < out->n; i++)
      if (out->at[i] == '\r' || out->at[i] == '\n') out->at[i] = ' '; /* an error is one line */
    bytes_add(out, "\r\n", 2);
    return;
  }
  if (n < known[which].least || n > known[which].most) {
    bytes_say(out, "-ERR wrong number of arguments for '%s' command\r\n", known[which].name);
    return;
  }
  switch (which) {
    case PING:
      if (c->nsubs) {
        bytes_say(out, "*2\r\n$4\r\npong\r\n");
        say_bulk(out, key.at, key.n);
      } else if (n == 1) bytes_add(out, "+PONG\r\n", 7);
      else say_bulk(out, key.at, key.n);
      break;
    case ECHO: say_bulk(out, key.at, key.n); break;
    case GET:
    case MGET:
      if (which == MGET) bytes_say(out, "*%zu\r\n", n - 1);
      for (size_t i = 1; i < n; i++) {
        s = shard_lock(hash = hash_of(w[i]));
        e = *find(s, w[i], hash);
        if (e) say_bulk(out, e->value, e->value_n);
        else bytes_add(out, "$-1\r\n", 5);
        shard_unlock(s);
      }
      break;
    case SET: {
      int64_t unit = 0;
      bool bad = false, xx = false, nx = false, done = true;
      for (size_t i = 3; i < n && !bad; i++) {
        if (is(w[i], "ex") || is(w[i], "px")) {
          unit = is(w[i], "ex") ? 1000000000 : 1000000;
          if (++i == n) bad = true;
          else if (!number(w[i], &value)) {
            bytes_say(out, "-ERR value is not an integer or out of range\r\n");
            return;
          } else if (value <= 0 || value > (INT64_MAX / 2 - gmx_now()) / unit) {
            bytes_say(out, "-ERR invalid expire time in 'set' command\r\n");
            return;
          }
        } else if (is(w[i], "nx")) nx = true;
        else if (is(w[i], "xx")) xx = true;
        else bad = true;
      }
      if (bad || (nx && xx)) {
        bytes_say(out, "-ERR syntax error\r\n");
        return;
      }
      s = shard_lock(hash);
      if (nx || xx) done = (*find(s, key, hash) != NULL) == xx;
      if (done) {
        e = put(s, key, hash, w[2]);
        if (unit) e->expires = gmx_now() + value * unit;
      }
      shard_unlock(s);
      if (done) bytes_add(out, "+OK\r\n", 5);
      else bytes_add(out, "$-1\r\n", 5);
      break;
    }
    case INCR: {
      char text[24];
      s = shard_lock(hash);
      e = *find(s, key, hash);
      bool bad = e && !number((struct word){e->value, e->value_n}, &value), most = value == INT64_MAX;
      if (!bad && !most) {
        int64_t expires = e ? e->expires : GMX_FOREVER;
        int len = snprintf(text, sizeof text, "%lld", (long long)++value);
        put(s, key, hash, (struct word){text, (size_t)len})->expires = expires;
      }
      shard_unlock(s);
      if (bad) bytes_say(out, "-ERR value is not an integer or out of range\r\n");
      else if (most) bytes_say(out, "-ERR increment or decrement would overflow\r\n");
      else bytes_say(out, ":%lld\r\n", (long long)value);
      break;
    }
    case DEL:
    case EXISTS: {
      int found = 0;
      for (size_t i = 1; i < n; i++) {
        s = shard_lock(hash = hash_of(w[i]));
        at = find(s, w[i], hash);
        found += *at != NULL;
        if (*at && which == DEL) drop(s, at);
        shard_unlock(s);
      }
      bytes_say(out, ":%d\r\n", found);
      break;
    }
    case EXPIRE:
      if (!number(w[2], &value)) {
        bytes_say(out, "-ERR value is not an integer or out of range\r\n");
        break;
      }
      if (value > INT64_MAX / 2000 || value < INT64_MIN / 1000) {
        bytes_say(out, "-ERR invalid expire time in 'expire' command\r\n");
        break;
      }
      s = shard_lock(hash);
      at = find(s, key, hash);
      bool is_there = *at != NULL;
      if (is_there && value <= 0) drop(s, at);
      else if (is_there) (*at)->expires = gmx_now() + (value > 1000000000 ? 1000000000 : value) * 1000000000;
      shard_unlock(s);
      bytes_say(out, ":%d\r\n", is_there);
      break;
    case TTL:
      s = shard_lock(hash);
      e = *find(s, key, hash);
      value = !e ? -2 : e->expires == GMX_FOREVER ? -1 : (e->expires - gmx_now() + 500000000) / 1000000000;
      shard_unlock(s);
      bytes_say(out, ":%lld\r\n", (long long)value);
      break;
    case SUBSCRIBE:
      for (size_t i = 1; i < n; i++) subscribe(c, w[i]);
      break;
    case PUBLISH: bytes_say(out, ":%d\r\n", publish(key, w[2])); break;
    case COMMAND:
    case CONFIG: bytes_add(out, "*0\r\n", 4); break;
    case DBSIZE:
    case FLUSHALL: {
      size_t keys = 0;
      if (n > 2 || (n == 2 && !is(key, "async") && !is(key, "sync"))) {
        bytes_say(out, "-ERR syntax error\r\n");
        break;
      }
      for (uint32_t i = 0; i < SHARDS; i++) {
        s = shard_lock(i);
        for (size_t k = 0; k < s->size && which == FLUSHALL; k++)
          while (s->heads[k]) drop(s, &s->heads[k]);
        keys += s->used;
        shard_unlock(s);
      }
      if (which == DBSIZE) bytes_say(out, ":%zu\r\n", keys);
      else bytes_add(out, "+OK\r\n", 5);
      break;
    }
    case SHUTDOWN: gmx_close(listener); /* and no answer, as Redis */ /* fall through */
    case QUIT:
      if (which == QUIT) bytes_add(out, "+OK\r\n", 5);
      c->quit = true;
      break;
  }
}

/* ---- the protocol ---- */

/* A line of the protocol that begins with a sign and a number. 1: there it is, and *at is behind it. */
static int line_number(const char **at, const char *end, int64_t *out) {
  const char *cr = memchr(*at, '\r', (size_t)(end - *at));
  if (!cr) return end - *at > 64 ? -1 : 0;
  if (cr + 1 == end) return 0;
  if (!number((struct word){*at + 1, (size_t)(cr - *at - 1)}, out)) return -1;
  *at = cr + 2;
  return 1;
}

struct words {
  struct word *at;
  size_t n, room, need; /* need: nothing more is whole before so many bytes are there */
};

static void word_add(struct words *w, const char *at, size_t n) {
  if (w->n == w->room) w->at = must_have(realloc(w->at, (w->room = w->room ? 2 * w->room : 8) * sizeof *w->at));
  w->at[w->n++] = (struct word){at, n};
}

/* Splits the first command of the text into words. Returns how many bytes it has; 0: it is not whole; -1: it is wrong,
 * and out says why. */
static int64_t parse(const char *text, size_t n, struct words *w, struct bytes *out) {
  const char *at = text, *end = text + n;
  int64_t count, size;
  w->n = w->need = 0;
  if (*at != '*') { /* a line of words: for people with a terminal */
    const char *nl = memchr(at, '\n', n);
    if (!nl) {
      if (n <= 64 << 10) return 0;
      bytes_say(out, "-ERR Protocol error: too big inline request\r\n");
      return -1;
    }
    const char *stop = nl > at && nl[-1] == '\r' ? nl - 1 : nl;
    while (at < stop) {
      const char *from = at;
      while (at < stop && *at != ' ' && *at != '\t') at++;
      if (at > from) word_add(w, from, (size_t)(at - from));
      else at++;
    }
    return nl + 1 - text;
  }
  int r = line_number(&at, end, &count);
  if (r == 0) return 0;
  if (r < 0 || count > MANY) {
    bytes_say(out, "-ERR Protocol error: invalid multibulk length\r\n");
    return -1;
  }
  for (; count > 0; count--) {
    if (at == end) return 0;
    if (*at != '$') {
      bytes_say(out, "-ERR Protocol error: expected '$', got '%c'\r\n", *at);
      return -1;
    }
    r = line_number(&at, end, &size);
    if (r == 0) return 0;
    if (r < 0 || size < 0 || size > LONGEST) {
      bytes_say(out, "-ERR Protocol error: invalid bulk length\r\n");
      return -1;
    }
    if (end - at < size + 2) {
      w->need = (size_t)(at - text) + (size_t)size + 2;
      return 0;
    }
    word_add(w, at, (size_t)size);
    at += size + 2;
  }
  return at - text;
}

static void serves(void *arg) {
  struct client c = {.conn = (gmx_poll)(uintptr_t)arg};
  struct words words = {0};
  while (!c.quit) {
    char *to = bytes_more(&c.in, PIECE);
    gmx_status got = gmx_read(c.conn, to, c.in.room - c.in.n, GMX_FOREVER);
    if (got <= 0) break;
    c.in.n += (size_t)got;
    size_t done = 0;
    while (!c.quit && done < c.in.n && c.in.n >= words.need) {
      int64_t n = parse(c.in.at + done, c.in.n - done, &words, &c.out);
      if (n < 0) c.quit = true;
      if (n <= 0) break;
      if (words.n) command(&c, words.at, words.n);
      done += (size_t)n;
    }
    flush(&c); /* all answers of this read */
    memmove(c.in.at, c.in.at + done, c.in.n - done);
    c.in.n -= done;
  }
  unsubscribe_all(&c);
  gmx_close(c.conn);
  free(c.in.at);
  free(c.out.at);
  free(words.at);
}

/* ---- main ---- */

static void accepts(void *unused) {
  (void)unused;
  must(gmx_spawn(sweeps, NULL));
  for (gmx_poll conn;;) {
    gmx_status status = gmx_accept(listener, &conn, NULL, NULL, GMX_FOREVER);
    if (status == GMX_EBADF) return; /* SHUTDOWN */
    if (status != GMX_OK) {          /* too many connections: the next one waits */
      must(gmx_sleep(10000000));
      continue;
    }
    setsockopt(gmx_poll_fd(conn), IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (gmx_spawn(serves, (void *)(uintptr_t)conn) != GMX_OK) gmx_close(conn);
  }
}

int main(int argc, char **argv) {
  int port = argc > 1 ? atoi(argv[1]) : 6380, procs = argc > 2 ? atoi(argv[2]) : 0;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (argc > 3 || port < 0 || port > 65535) errx(2, "usage: server [port [Ps]]; port 0: any that is free");
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) != 0) err(1, "socket");
  if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 1024) != 0) err(1, "port %d", port);
  if (getsockname(fd, (struct sockaddr *)&at, &size) != 0) err(1, "getsockname");
  if (procs > 0) must(gmx_gomaxprocs(procs));
  must(gmx_poll_open(fd, 0, &listener));
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  must(gmx_main(accepts, NULL));
  return 0; /* connections end with the process */
}
