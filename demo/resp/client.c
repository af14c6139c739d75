/*
 * client: what demo/resp/check.sh asks a server of Redis' protocol with. Its connections are goroutines too.
 *
 *     client PORT answers                  known requests and their answers, whole, byte by byte, and in one pipeline
 *     client PORT counts                   50 connections count up one key; none of the steps is lost
 *     client PORT channels                 20 subscribers hear each message of 5 publishers, in the order of each
 *     client PORT expires                  keys go when their time is over, also those that no command meets
 *     client PORT compare OTHER N SEED     N random commands have the same answers at both ports
 *     client PORT bench CONNECTIONS PIPELINE SECONDS COMMAND...      requests in a second
 *     client PORT stop                     SHUTDOWN
 */
#include <gomax.h>

#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static int port, words_n;
static char **words;

static gmx_status must(gmx_status status) {
  if (status < 0) errx(1, "%s", gmx_strerror(status));
  return status;
}

/* ---- a connection ---- */

struct conn {
  gmx_poll p;
  char *in;
  size_t n, room, taken;
};

static void conn_open(struct conn *c, int to) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)to), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) err(1, "socket");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
  *c = (struct conn){.room = 1 << 16, .in = malloc(1 << 16)};
  if (!c->in) errx(1, "out of memory");
  must(gmx_poll_open(fd, 0, &c->p));
  must(gmx_connect(c->p, (struct sockaddr *)&at, sizeof at, 5000000000));
}

static void conn_close(struct conn *c) {
  gmx_close(c->p);
  free(c->in);
}

static void ask(struct conn *c, const char *text, size_t n) { must(gmx_write(c->p, text, n, 30000000000, NULL)); }

/* The length of the first answer in a text, 0 if it is not whole. */
static size_t answer_length(const char *text, size_t n) {
  const char *nl = n ? memchr(text, '\n', n) : NULL;
  if (!nl) return 0;
  size_t line = (size_t)(nl - text) + 1, all = line;
  long size = atol(text + 1);
  if (*text == '$' && size >= 0) return n >= line + (size_t)size + 2 ? line + (size_t)size + 2 : 0;
  if (*text == '*')
    for (long i = 0; i < size; i++) {
      size_t part = answer_length(text + all, n - all);
      if (!part) return 0;
      all += part;
    }
  return all;
}

/* The next answer; it stays until the next call. Its length, 0 if the server has closed the connection. */
static size_t answer(struct conn *c, const char **text) {
  memmove(c->in, c->in + c->taken, c->n - c->taken);
  c->n -= c->taken;
  c->taken = 0;
  for (;;) {
    size_t length = answer_length(c->in, c->n);
    *text = c->in;
    if (length) return c->taken = length;
    if (c->n == c->room && !(c->in = realloc(c->in, c->room *= 2))) errx(1, "out of memory");
    gmx_status got = gmx_read(c->p, c->in + c->n, c->room - c->n, 30000000000);
    if (got == 0) return 0;
    c->n += (size_t)must(got);
  }
}

static void expect(struct conn *c, const char *want, const char *asked) {
  const char *text;
  size_t n = answer(c, &text);
  if (n != strlen(want) || memcmp(text, want, n) != 0)
    errx(1, "%.60s: the answer is \"%.*s\", not \"%s\"", asked, (int)n, text, want);
}

/* ---- known answers ---- */

static const struct known {
  const char *ask, *want;
} known[] = {
    {"*1\r\n$8\r\nflushall\r\n", "+OK\r\n"},
    {"PING\r\n", "+PONG\r\n"},
    {"ping hello\n", "$5\r\nhello\r\n"},
    {"*2\r\n$4\r\nECHO\r\n$3\r\na b\r\n", "$3\r\na b\r\n"},
    {"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", "$0\r\n\r\n"},
    {"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n\r\n\r\n", "+OK\r\n"},
    {"GET k\r\n", "$4\r\n\r\n\r\n\r\n"},
    {"GET none\r\n", "$-1\r\n"},
    {"  set   a\t1  \r\n", "+OK\r\n"},
    {"INCR a\r\n", ":2\r\n"},
    {"INCR new\r\n", ":1\r\n"},
    {"INCR k\r\n", "-ERR value is not an integer or out of range\r\n"},
    {"SET big 9223372036854775807\r\n", "+OK\r\n"},
    {"INCR big\r\n", "-ERR increment or decrement would overflow\r\n"},
    {"MGET a none new\r\n", "*3\r\n$1\r\n2\r\n$-1\r\n$1\r\n1\r\n"},
    {"EXISTS a a none\r\n", ":2\r\n"},
    {"DBSIZE\r\n", ":4\r\n"},
    {"DEL a k none\r\n", ":2\r\n"},
    {"TTL new\r\n", ":-1\r\n"},
    {"TTL none\r\n", ":-2\r\n"},
    {"EXPIRE none 10\r\n", ":0\r\n"},
    {"EXPIRE new 100\r\n", ":1\r\n"},
    {"TTL new\r\n", ":100\r\n"},
    {"INCR new\r\n", ":2\r\n"},
    {"TTL new\r\n", ":100\r\n"},
    {"SET new 1\r\n", "+OK\r\n"},
    {"TTL new\r\n", ":-1\r\n"},
    {"EXPIRE new -1\r\n", ":1\r\n"},
    {"GET new\r\n", "$-1\r\n"},
    {"SET x 1 EX 50 NX\r\n", "+OK\r\n"},
    {"SET x 2 NX\r\n", "$-1\r\n"},
    {"SET y 2 XX\r\n", "$-1\r\n"},
    {"SET x 2 XX\r\n", "+OK\r\n"},
    {"SET x 2 EX 0\r\n", "-ERR invalid expire time in 'set' command\r\n"},
    {"SET x 2 EX\r\n", "-ERR syntax error\r\n"},
    {"GET\r\n", "-ERR wrong number of arguments for 'get' command\r\n"},
    {"CONFIG GET save\r\n", NULL}, /* of any kind */
    {"PUBLISH none text\r\n", ":0\r\n"},
    {"FLUSHALL\r\n", "+OK\r\n"},
    {"DBSIZE\r\n", ":0\r\n"},
};
enum { KNOWN = sizeof known / sizeof *known };

static void known_answer(struct conn *c, const struct known *k) {
  const char *text;
  if (k->want) expect(c, k->want, k->ask);
  else if (!answer(c, &text)) errx(1, "%.20s: no answer", k->ask);
}

static void answers(void) {
  struct conn c;
  conn_open(&c, port);
  for (int i = 0; i < KNOWN; i++) {
    ask(&c, known[i].ask, strlen(known[i].ask));
    known_answer(&c, &known[i]);
  }
  for (int i = 0; i < KNOWN; i++) {
    for (const char *at = known[i].ask; *at; at++) {
      ask(&c, at, 1);
      must(gmx_yield());
    }
    known_answer(&c, &known[i]);
  }
  static char all[KNOWN * 80];
  for (int i = 0; i < KNOWN; i++) strcat(all, known[i].ask);
  ask(&c, all, strlen(all));
  for (int i = 0; i < KNOWN; i++) known_answer(&c, &known[i]);
  /* A large value, in a request of many pieces. */
  enum { LARGE = 5000000 };
  char *large = malloc(LARGE + 100);
  if (!large) errx(1, "out of memory");
  int head = sprintf(large, "*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$%d\r\n", LARGE);
  for (int i = 0; i < LARGE; i++) large[head + i] = (char)('a' + i % 23);
  memcpy(large + head + LARGE, "\r\n", 2);
  ask(&c, large, (size_t)head + LARGE + 2);
  expect(&c, "+OK\r\n", "SET of a large value");
  ask(&c, "GET large\r\nQUIT\r\n", 17);
  const char *text;
  size_t n = answer(&c, &text);
  if (n != LARGE + 12 || memcmp(text + 10, large + head, LARGE) != 0) errx(1, "a large value came back as %zu bytes", n);
  expect(&c, "+OK\r\n", "QUIT");
  if (answer(&c, &text) != 0) errx(1, "QUIT left the connection open");
  free(large);
  conn_close(&c);
  for (int i = 0; i < 4; i++) { /* what is no request ends the connection */
    static const char *const wrong[] = {"*x\r\n", "*1\r\n:1\r\n", "*1\r\n$-5\r\n", "*1\r\n$x\r\n"};
    conn_open(&c, port);
    ask(&c, wrong[i], strlen(wrong[i]));
    if (answer(&c, &text) == 0 || *text != '-') errx(1, "%s: no error", wrong[i]);
    if (answer(&c, &text) != 0) errx(1, "%s: the connection is open", wrong[i]);
    conn_close(&c);
  }
}

/* ---- many connections ---- */

static gmx_waitgroup all;
#define EACH(n, fn)                                                                                   \
  do {                                                                                                \
    for (long each = 0; each < (n); each++) must(gmx_waitgroup_go(&all, fn, (void *)(intptr_t)each)); \
    must(gmx_waitgroup_wait(&all));                                                                   \
  } while (0)

static void counts_up(void *unused) {
  struct conn c;
  const char *text;
  (void)unused;
  conn_open(&c, port);
  for (int i = 0; i < 20; i++) {
    char batch[50 * 12] = "";
    for (int k = 0; k < 50; k++) strcat(batch, "INCR count\r\n");
    ask(&c, batch, strlen(batch));
    for (int k = 0; k < 50; k++)
      if (!answer(&c, &text) || *text != ':') errx(1, "INCR: no number");
  }
  conn_close(&c);
}

static void counts(void) {
  struct conn c;
  conn_open(&c, port);
  ask(&c, "DEL count\r\nPING\r\n", 17);
  const char *text;
  answer(&c, &text);
  expect(&c, "+PONG\r\n", "PING");
  EACH(50, counts_up);
  ask(&c, "GET count\r\n", 11);
  expect(&c, "$5\r\n50000\r\n", "GET count");
  conn_close(&c);
}

enum { SUBSCRIBERS = 20, PUBLISHERS = 5, MESSAGES = 100 };
static uint32_t ready;

static void hears(void *arg) {
  struct conn c;
  const char *text;
  int next[PUBLISHERS] = {0};
  conn_open(&c, port);
  ask(&c, "SUBSCRIBE news other\r\n", 22);
  expect(&c, "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n", "SUBSCRIBE");
  expect(&c, "*3\r\n$9\r\nsubscribe\r\n$5\r\nother\r\n:2\r\n", "SUBSCRIBE");
  must(gmx_sema_release(&ready));
  for (int i = 0; i < PUBLISHERS * MESSAGES; i++) {
    int from = -1, number = -1;
    if (!answer(&c, &text)) errx(1, "a subscriber was closed");
    if (sscanf(text, "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$%*d\r\n%d:%d", &from, &number) != 2) errx(1, "no message: %.60s", text);
    if (from < 0 || from >= PUBLISHERS || number != next[from]++) errx(1, "subscriber %ld: %d came as %d:%d", (long)(intptr_t)arg, i, from, number);
  }
  conn_close(&c);
}

static void publishes(void *arg) {
  struct conn c;
  char text[64];
  conn_open(&c, port);
  for (int i = 0; i < MESSAGES; i++) {
    int n = snprintf(text, sizeof text, "PUBLISH news %ld:%d\r\n", (long)(intptr_t)arg, i);
    ask(&c, text, (size_t)n);
    snprintf(text, sizeof text, ":%d\r\n", SUBSCRIBERS);
    expect(&c, text, "PUBLISH");
  }
  conn_close(&c);
}

static void channels(void) {
  for (long i = 0; i < SUBSCRIBERS; i++) must(gmx_waitgroup_go(&all, hears, (void *)(intptr_t)i));
  for (int i = 0; i < SUBSCRIBERS; i++) must(gmx_sema_acquire(&ready));
  EACH(PUBLISHERS, publishes);
}

static void expires(void) {
  struct conn c;
  const char *text;
  conn_open(&c, port);
  ask(&c, "FLUSHALL\r\n", 10);
  expect(&c, "+OK\r\n", "FLUSHALL");
  for (int i = 0; i < 100; i++) {
    char set[64];
    ask(&c, set, (size_t)snprintf(set, sizeof set, "SET e%d x PX 30\r\n", i));
    expect(&c, "+OK\r\n", "SET PX");
  }
  ask(&c, "SET stays x PX 100000\r\n", 23);
  expect(&c, "+OK\r\n", "SET PX");
  for (int i = 0; i < 2; i++) /* by a look, and by the sweeper */
    for (;;) {
      ask(&c, i ? "DBSIZE\r\n" : "GET e0\r\n", 8);
      answer(&c, &text);
      if (memcmp(text, i ? ":1\r" : "$-1", 3) == 0) break;
      must(gmx_sleep(5000000));
    }
  conn_close(&c);
}

/* ---- the same as Redis ---- */

static uint64_t seed;
static unsigned below(unsigned n) {
  seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
  return (unsigned)(seed % n);
}

static size_t random_request(char *to) {
  static const char *const commands[] = {"GET", "SET", "SET", "DEL", "EXISTS", "INCR", "INCR", "EXPIRE", "TTL", "MGET", "PING",
                                         "ECHO", "DBSIZE", "PUBLISH", "GET", "set", "FLUSHALL", "nonsense"};
  static const char *const values[] = {"1", "0", "-1", "17", "words and more", "", "9223372036854775807", "007", "\r\n", "10",
                                       "NX", "XX", "EX", "EX", "1000", "x"};
  /* Either no key expires during the comparison, or it does at once. */
  static const char *const lives[] = {"1000", "20000", "-1", "0", "x", "9223372036854775807"};
  unsigned which = below(sizeof commands / sizeof *commands);
  if (which == 16 && below(20)) which = 0;
  unsigned args = 1 + below(2) * below(3);
  if (which == 10 || which == 12) args = below(2) * below(2);
  if (which == 1 || which == 15) args = 2 + below(3) * below(2);
  if (which == 2 || which == 7 || which == 13) args = 2;
  if (below(40) == 0) args = below(which == 7 ? 3 : 4); /* the server knows no options of EXPIRE */
  size_t n = (size_t)sprintf(to, "*%u\r\n$%zu\r\n%s\r\n", args + 1, strlen(commands[which]), commands[which]);
  const char *word = "";
  for (unsigned i = 0; i < args; i++) {
    char key[16];
    bool is_life = (which == 7 && i == 1) || strcmp(word, "EX") == 0;
    snprintf(key, sizeof key, "k%u", below(20));
    word = i == 0 || which == 9 || which == 3 || which == 4 ? key : is_life ? lives[below(6)] : values[below(16)];
    n += (size_t)sprintf(to + n, "$%zu\r\n%s\r\n", strlen(word), word);
  }
  return n;
}

static void compare(void) {
  struct conn a, b;
  int n = words_n > 1 ? atoi(words[1]) : 5000, same = 0;
  seed = words_n > 2 ? strtoull(words[2], NULL, 10) : 88172645463325252u;
  if (words_n < 1) errx(2, "compare with which port?");
  conn_open(&a, port);
  conn_open(&b, atoi(words[0]));
  for (int done = 0; done < n;) {
    char text[64 * 300];
    size_t size = 0, at[65];
    unsigned batch = 1 + below(below(2) ? 1 : 64);
    const char *x, *y;
    for (unsigned i = 0; i < batch; i++) at[i] = size, size += random_request(text + size);
    at[batch] = size;
    ask(&a, text, size);
    ask(&b, text, size);
    for (unsigned i = 0; i < batch; i++, done++) {
      size_t p = answer(&a, &x), q = answer(&b, &y);
      bool rounded = *x == ':' && *y == ':' && memcmp(text + at[i], "*2\r\n$3\r\nTTL", 11) == 0 && abs(atoi(x + 1) - atoi(y + 1)) < 2;
      if (!rounded && (p != q || memcmp(x, y, p) != 0))
        errx(1, "after %d commands: to \"%.*s\" the answers are \"%.*s\" and \"%.*s\"", done, (int)(at[i + 1] - at[i]), text + at[i],
             (int)p, x, (int)q, y);
      same++;
    }
  }
  printf("%d answers are the same\n", same);
  conn_close(&a);
  conn_close(&b);
}

/* ---- how fast ---- */

static struct {
  char *text;
  size_t size;
  int pipeline;
  int64_t end;
  long done;
} load;

static void loads(void *unused) {
  struct conn c;
  const char *text;
  long done = 0;
  (void)unused;
  conn_open(&c, port);
  while (gmx_now() < load.end) {
    ask(&c, load.text, load.size);
    for (int i = 0; i < load.pipeline; i++)
      if (!answer(&c, &text)) errx(1, "the server has closed the connection");
    done += load.pipeline;
  }
  __atomic_fetch_add(&load.done, done, __ATOMIC_RELAXED);
  conn_close(&c);
}

static void bench(void) {
  if (words_n < 4) errx(2, "bench CONNECTIONS PIPELINE SECONDS COMMAND...");
  int connections = atoi(words[0]);
  load.pipeline = atoi(words[1]);
  int64_t begin = gmx_now();
  load.end = begin + (int64_t)(atof(words[2]) * 1e9);
  char one[1000] = "";
  for (int i = 3; i < words_n; i++) strcat(strcat(one, words[i]), i + 1 < words_n ? " " : "\r\n");
  load.text = calloc((size_t)load.pipeline, strlen(one) + 1);
  if (!load.text) errx(1, "out of memory");
  for (int i = 0; i < load.pipeline; i++) load.size += (size_t)sprintf(load.text + load.size, "%s", one);
  EACH(connections, loads);
  printf("%.0f\n", (double)load.done * 1e9 / (double)(gmx_now() - begin));
  free(load.text);
}

static void stop(void) {
  struct conn c;
  conn_open(&c, port);
  ask(&c, "SHUTDOWN NOSAVE\r\n", 17);
  conn_close(&c);
}

static void run(void *arg) {
  static const struct {
    const char *name;
    void (*fn)(void);
  } modes[] = {{"answers", answers}, {"counts", counts}, {"channels", channels}, {"expires", expires}, {"compare", compare}, {"bench", bench}, {"stop", stop}};
  for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
    if (strcmp(arg, modes[i].name) == 0) {
      modes[i].fn();
      return;
    }
  errx(2, "the first lines of client.c say what it can do");
}

int main(int argc, char **argv) {
  if (argc < 3) errx(2, "usage: client PORT MODE ...");
  port = atoi(argv[1]);
  words = argv + 3;
  words_n = argc - 3;
  must(gmx_main(run, argv[2]));
  return 0;
}
