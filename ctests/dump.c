/* env: GMX_MAXPROCS=2 */
/* flags: -rdynamic -fomit-frame-pointer */
/* The stacks of all goroutines, taken while everything runs. */
#include "gs.h"

#include <ctype.h>
#include <limits.h>

enum { KINDS = 3, EACH = 20 };

/* The name of a goroutine, with bytes that text and JSON must not show as they are. */
#define NAME "a\"b\\c\n\x01\xff"

static gmx_chan *never;

/* Three ways to the same wait, each through functions of its own. (Exported, hence known by name.) */
#define WAY(name)                                                                \
  __attribute__((noinline)) void name##_inner(void) {                            \
    long v;                                                                      \
    (void)!gmx_chan_recv(never, &v);                                             \
    __asm__ volatile("");                                                        \
  }                                                                              \
  __attribute__((noinline)) void name##_outer(void *unused) {                    \
    (void)unused;                                                                \
    name##_inner();                                                              \
    __asm__ volatile("");                                                        \
  }
WAY(red)
WAY(green)
WAY(blue)

struct text {
  char *at;
  size_t n;
};

static gmx_status put(void *arg, const char *text, size_t n) {
  struct text *to = arg;
  to->at = malloc(n + 1);
  CHECK(to->at != NULL);
  memcpy(to->at, text, n);
  to->at[n] = 0;
  to->n = n;
  return GMX_OK;
}

static int count(const char *text, const char *word) {
  int n = 0;
  while ((text = strstr(text, word)) != NULL) n++, text++;
  return n;
}

static struct text dump(uint32_t flags) {
  struct text text = {0};
  CHECK_STATUS(gmx_dump_goroutines(put, &text, flags), GMX_OK);
  return text;
}

static const char *const inner[KINDS] = {"red_inner", "green_inner", "blue_inner"};
static const char *const outer[KINDS] = {"red_outer", "green_outer", "blue_outer"};

/* Where a word followed by a character is; NULL if it is not in the text. */
static const char *find(const char *text, const char *word, char then) {
  size_t n = strlen(word);
  for (; (text = strstr(text, word)) != NULL; text++)
    if (text[n] == then) return text;
  return NULL;
}

/* The kind of a goroutine; -1 if it is none of them. One of a kind shows its own functions, in their order, and those
 * of no other kind. `then` follows each name. */
static int kind_of(const char *text, char then) {
  int kind = -1;
  for (int k = 0; k < KINDS; k++) {
    if (find(text, outer[k], then) == NULL) continue;
    CHECK_EQ(kind, -1);
    kind = k;
    CHECK(strstr(text, "chan receive") != NULL);
    CHECK(find(text, inner[k], then) != NULL);
    /* (Not there if it has left its frame to another function of the library.) */
    const char *call = strstr(text, "gmx_chan_recv");
    CHECK_EQ(count(text, "gmx_chan_recv"), call != NULL);
    if (call != NULL) CHECK_CMP(call, <, strstr(text, inner[k]));
    CHECK_CMP(strstr(text, inner[k]), <, strstr(text, outer[k]));
  }
  for (int k = 0; k < KINDS; k++) CHECK_EQ(count(text, inner[k]), k == kind);
  return kind;
}

/* The next paragraph, terminated; NULL at the end. */
static char *paragraph(char **rest) {
  char *at = *rest;
  if (*at == 0) return NULL;
  char *end = strstr(at, "\n\n");
  CHECK(end != NULL);
  *end = 0;
  *rest = end + 2;
  return at;
}

static void check_text(void) {
  struct text text = dump(0);
  int seen[KINDS] = {0};
  for (char *at, *rest = text.at; (at = paragraph(&rest)) != NULL;) {
    CHECK(strncmp(at, "goroutine ", 10) == 0);
    CHECK(strstr(at, "]:") != NULL);
    int kind = kind_of(at, ' ');
    if (kind >= 0) seen[kind]++;
  }
  free(text.at);
  for (int k = 0; k < KINDS; k++) CHECK_EQ(seen[k], EACH);
}

static void check_groups(void) {
  struct text text = dump(GMX_DUMP_GROUPS);
  int seen[KINDS] = {0};
  long last = LONG_MAX;
  for (char *at, *rest = text.at; (at = paragraph(&rest)) != NULL;) {
    char *after;
    long n = strtol(at, &after, 10);
    CHECK_CMP(n, >, 0);
    CHECK_CMP(n, <=, last);
    CHECK(strncmp(after, n == 1 ? " goroutine [" : " goroutines [", n == 1 ? 12 : 13) == 0);
    last = n;
    int kind = kind_of(at, ' ');
    if (kind < 0) continue;
    CHECK_EQ(n, EACH);
    CHECK(strstr(at, ", the longest is goroutine ") != NULL);
    seen[kind]++;
  }
  free(text.at);
  for (int k = 0; k < KINDS; k++) CHECK_EQ(seen[k], 1);
}

/* ---- JSON ---- */

static const char *blanks(const char *at) { return at + strspn(at, " \t\r\n"); }

static const char *word(const char *at, const char *word) {
  CHECK(strncmp(at, word, strlen(word)) == 0);
  return at + strlen(word);
}

/* A string of UTF-8 by the rules of RFC 8259. */
static const char *string(const char *at) {
  for (at = word(at, "\""); *at != '"';) {
    unsigned char c = (unsigned char)*at++;
    CHECK(c >= 0x20);
    if (c == '\\') {
      CHECK(*at != 0 && strchr("\"\\/bfnrtu", *at) != NULL);
      if (*at++ == 'u')
        for (int i = 0; i < 4; i++) CHECK(isxdigit((unsigned char)*at++));
    }
    CHECK(c < 0x80 || (c >= 0xc2 && c < 0xf5));
    for (int more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3; more > 0; more--) CHECK((*at++ & 0xc0) == 0x80);
  }
  return at + 1;
}

/* Behind a value. */
static const char *value(const char *at) {
  if (*at == '"') return string(at);
  if (*at == 'n') return word(at, "null");
  if (*at == '[' || *at == '{') {
    char end = *at == '[' ? ']' : '}';
    if (*(at = blanks(at + 1)) == end) return at + 1;
    for (;; at = blanks(at + 1)) {
      if (end == '}') at = blanks(word(blanks(string(at)), ":"));
      at = blanks(value(at));
      if (*at == end) return at + 1;
      CHECK(*at == ',');
    }
  }
  size_t digits = strspn(at, "0123456789");
  CHECK(digits > 0 && (digits == 1 || *at != '0'));
  return at + digits;
}

static void check_json(uint32_t flags) {
  bool groups = flags & GMX_DUMP_GROUPS;
  struct text text = dump(GMX_DUMP_JSON | flags);
  CHECK(*blanks(value(text.at)) == 0);
  /* A line for each object. */
  char *line = strchr(text.at, '\n'), *end;
  int seen[KINDS] = {0};
  for (line++; *line == '{'; line = end) {
    end = strchr(line, '\n');
    CHECK(end != NULL);
    *end++ = 0;
    CHECK_EQ(strncmp(line, "{\"count\":", 9) == 0, groups);
    static const char *const keys[] = {"id", "name", "state", "reason", "waited_ms", "thread", "frames", "began_in"};
    const char *at = line;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
      CHECK((at = find(at, keys[i], '"')) != NULL);
      if (strcmp(keys[i], "waited_ms") == 0) CHECK(isdigit((unsigned char)at[11]) || strncmp(at + 11, "null", 4) == 0);
    }
    int kind = kind_of(line, '"');
    if (kind < 0) continue;
    seen[kind]++;
    CHECK(strstr(line, "\"state\":\"waiting\",\"reason\":\"chan receive\"") != NULL);
    if (groups) CHECK_EQ(strtol(line + 9, NULL, 10), EACH);
  }
  CHECK(strcmp(line, "]\n") == 0);
  free(text.at);
  for (int k = 0; k < KINDS; k++) CHECK_EQ(seen[k], groups ? 1 : EACH);
}

static void check(void) {
  check_text();
  check_groups();
  check_json(0);
  check_json(GMX_DUMP_GROUPS);
}

/* A name is shown, and cannot end the line or the string that it is in. */
static void names(void) {
  struct text text = dump(0);
  CHECK_EQ(count(text.at, " \"a\\\"b\\\\c\\n\\u{1}\\xff\" ["), 1);
  free(text.at);
  text = dump(GMX_DUMP_JSON);
  CHECK_EQ(count(text.at, ",\"name\":\"a\\\"b\\\\c\\u000a\\u0001\xef\xbf\xbd\",\"state\":"), 1);
  free(text.at);
}

static uint32_t stop;
static uint64_t rounds;

static void begins_and_ends(void *unused) { (void)unused; }

static void churns(void *arg) {
  gmx_chan **c = arg;
  for (long v = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); v++) {
    CHECK_STATUS(gmx_chan_send(*c, &v), GMX_OK);
    CHECK_STATUS(gmx_spawn(begins_and_ends, NULL), GMX_OK);
    __atomic_fetch_add(&rounds, 1, __ATOMIC_RELAXED);
    gmx_yield();
  }
  gmx_chan_close(*c);
}

static void takes(void *arg) {
  gmx_chan **c = arg;
  long v;
  while (gmx_chan_recv(*c, &v) == GMX_OK) {}
}

static void wrong_calls(void) {
  struct text text = {0};
  CHECK_STATUS(gmx_dump_goroutines(NULL, NULL, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_dump_goroutines(put, &text, GMX_DUMP_GROUPS << 1), GMX_EINVAL);
  CHECK_STATUS(gmx_dump_goroutines(put, &text, UINT32_MAX), GMX_EINVAL);
  CHECK(text.at == NULL);
}

static uint32_t end;

static void waits_for_end(void *unused) {
  (void)unused;
  CHECK_OK(gmx_sema_acquire(&end));
}

static void dumps(void *unused) {
  (void)unused;
  check();
}

int main(void) {
  wrong_calls();
  CHECK_STATUS(gmx_chan_new(sizeof(long), 0, &never), GMX_OK);
  for (int i = 0; i < EACH; i++) {
    CHECK_STATUS(gmx_spawn(red_outer, NULL), GMX_OK);
    CHECK_STATUS(gmx_spawn(green_outer, NULL), GMX_OK);
    CHECK_STATUS(gmx_spawn(blue_outer, NULL), GMX_OK);
  }
  spin_until(sched_stats().g_waiting == KINDS * EACH);
  check();
  join(go_joinable(dumps, NULL));
  CHECK_STATUS(gmx_stop_the_world("a dump"), GMX_OK);
  check();
  CHECK_STATUS(gmx_start_the_world(), GMX_OK);

  gmx_g named = go_with(NAME, GMX_SPAWN_JOINABLE, waits_for_end, NULL);
  spin_until(gmx_sema_waiters(&end) == 1);
  names();
  CHECK_OK(gmx_sema_release(&end));
  join(named);

  gmx_chan *c;
  CHECK_STATUS(gmx_chan_new(sizeof(long), 0, &c), GMX_OK);
  gmx_g a = go_joinable(churns, &c), b = go_joinable(takes, &c);
  for (int i = 0; i < 50; i++) check();
  CHECK_CMP(__atomic_load_n(&rounds, __ATOMIC_RELAXED), >, 0);
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  join(a);
  join(b);
  gmx_chan_close(never);
  spin_until(gmx_num_g() == 0);
  return 0;
}
