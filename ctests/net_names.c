/* timeout: 120 */
/* Names: numbers are answered at once, names on another thread, which a caller whose time is over leaves behind. This
 * program has a resolver of its own, which can be held; it asks that of the C library for all but a few names. */
#include "fds.h"

#include <dlfcn.h>
#include <netdb.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);
typedef void dropper(struct addrinfo *);

static resolver *asks;
static dropper *drops;
static int held, inside, most, asked, lists; /* lists that are not freed */

static void look_for_the_real_ones(void) {
  asks = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
  drops = (dropper *)dlsym(RTLD_NEXT, "freeaddrinfo");
  CHECK(asks && drops);
}

/* "held" is answered when the test lets go, "quick" at once; both as 127.0.0.9. */
__attribute__((__visibility__("default"))) int getaddrinfo(const char *node, const char *service,
                                                           const struct addrinfo *hints, struct addrinfo **res) {
  int number = hints ? hints->ai_flags & AI_NUMERICHOST : 0;
  bool is_held = node && strcmp(node, "held") == 0, is_quick = node && strcmp(node, "quick") == 0;
  if (!number) {
    bump(&asked);
    int n = __atomic_add_fetch(&inside, 1, __ATOMIC_SEQ_CST);
    for (int m = load(&most); n > m && !__atomic_compare_exchange_n(&most, &m, n, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);) {
    }
    if (is_held) spin_until(!load(&held));
    if (is_held || is_quick) node = "127.0.0.9";
  }
  int r = asks(node, service, hints, res);
  if (r == 0) __atomic_add_fetch(&lists, 1, __ATOMIC_SEQ_CST);
  if (!number) __atomic_sub_fetch(&inside, 1, __ATOMIC_SEQ_CST);
  errno = 5;
  return r;
}

__attribute__((__visibility__("default"))) void freeaddrinfo(struct addrinfo *list) {
  __atomic_sub_fetch(&lists, 1, __ATOMIC_SEQ_CST);
  drops(list);
}

static const struct addrinfo stream = {.ai_socktype = SOCK_STREAM};

static gmx_status ask(const char *node, const char *service, const struct addrinfo *hints, int64_t timeout) {
  struct addrinfo *list = NULL;
  gmx_status status = gmx_getaddrinfo(node, service, hints, &list, timeout);
  CHECK_EQ(list != NULL, status == GMX_OK);
  if (list) freeaddrinfo(list);
  return status;
}

/* ---- answers ---- */

static bool same(const struct addrinfo *a, const struct addrinfo *b) {
  for (; a && b; a = a->ai_next, b = b->ai_next)
    if (a->ai_family != b->ai_family || a->ai_socktype != b->ai_socktype || a->ai_protocol != b->ai_protocol ||
        a->ai_addrlen != b->ai_addrlen || memcmp(a->ai_addr, b->ai_addr, a->ai_addrlen) != 0)
      return false;
  return !a && !b;
}

static const struct {
  const char *node, *service;
  int flags, family, type;
  bool number;
} questions[] = {
    {"127.0.0.1", "80", 0, 0, 0, true},
    {"127.0.0.1", NULL, 0, AF_INET, SOCK_STREAM, true},
    {"::1", "80", 0, AF_INET6, SOCK_DGRAM, true},
    {NULL, "80", AI_PASSIVE, AF_INET, SOCK_STREAM, true},
    {NULL, "80", 0, 0, SOCK_STREAM, true},
    {"127.0.0.1", "80", AI_NUMERICHOST | AI_NUMERICSERV, 0, SOCK_STREAM, true},
    {"localhost", "80", AI_NUMERICHOST, 0, SOCK_STREAM, true}, /* refused */
    {"::1", "80", 0, AF_INET, SOCK_STREAM, false},             /* refused, perhaps after a look */
    {"127.0.0.1", "80", 1 << 30, 0, SOCK_STREAM, true},        /* wrong flags */
    {"127.0.0.1", "80", 0, 12345, SOCK_STREAM, true},
    {"127.0.0.1", "80", 0, 0, 99, true},
    {NULL, NULL, 0, 0, 0, false},
    {"localhost", "80", 0, 0, SOCK_STREAM, false},
    {"localhost", NULL, 0, AF_INET, SOCK_STREAM, false},
    {"127.0.0.1", "http", 0, AF_INET, SOCK_STREAM, false},
    {"127.0.0.1", "no such service", 0, AF_INET, SOCK_STREAM, false},
};

/* What the library says is what the C library says. */
static void the_answers_are_those_of_the_system(void *unused) {
  (void)unused;
  for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
    struct addrinfo hints, *want = NULL, *got = NULL;
    memset(&hints, 0, sizeof hints);
    hints.ai_flags = questions[i].flags;
    hints.ai_family = questions[i].family;
    hints.ai_socktype = questions[i].type;
    int r = asks(questions[i].node, questions[i].service, &hints, &want), before = load(&asked);
    gmx_status status = gmx_getaddrinfo(questions[i].node, questions[i].service, &hints, &got, GMX_FOREVER);
    if (r == 0) CHECK_OK(status);
    else if (status != -1100 + r) FAIL("question %zu is %s, not %s", i, gmx_strerror(status), gai_strerror(r));
    if (questions[i].number) CHECK_EQ(load(&asked), before);
    CHECK(same(got, want));
    if (want) drops(want);
    if (got) freeaddrinfo(got);
  }
  CHECK_OK(ask("127.0.0.1", "80", NULL, 0));
  CHECK_OK(ask("quick", NULL, NULL, GMX_FOREVER));
  CHECK_STATUS(ask("quick", NULL, NULL, 0), GMX_ETIMEDOUT);
  CHECK_STATUS(gmx_getaddrinfo("quick", NULL, NULL, NULL, 0), GMX_EINVAL);
  CHECK_STR(gmx_err_name(-1100 + EAI_NONAME), "GMX_EAI_NONAME");
  CHECK_STR(gmx_err_name(-1100 + EAI_SERVICE), "GMX_EAI_SERVICE");
  CHECK_STR(gmx_err_name(-1100 + EAI_AGAIN), "GMX_EAI_AGAIN");
}

static void answers_everywhere(void) {
  for (int place = 0; place < PLACES; place++) {
    struct placed placed;
    place_start(&placed, place, the_answers_are_those_of_the_system, NULL);
    place_join(&placed);
  }
  CHECK_EQ(load(&lists), 0);
}

/* ---- callers that leave ---- */

struct asker {
  const char *node;
  int64_t timeout;
  gmx_cancel token;
  gmx_status status;
  int done;
};

static void asks_for_it(void *arg) {
  struct asker *a = arg;
  gmx_cancel before;
  if (a->token) CHECK_OK(gmx_cancel_use(a->token, &before));
  a->status = ask(a->node, "80", &stream, a->timeout);
  if (a->token) CHECK_OK(gmx_cancel_use(before, NULL));
  store(&a->done, 1);
}

static void a_caller_leaves_the_resolver_behind(void) {
  for (int place = 0; place < PLACES; place++) {
    struct placed placed;
    store(&held, 1);
    struct asker late = {"held", 2 * MS, 0, 0, 0};
    place_start(&placed, place, asks_for_it, &late);
    place_join(&placed);
    CHECK_STATUS(late.status, GMX_ETIMEDOUT);
    gmx_poll l;
    CHECK_STATUS(gmx_listen_tcp("held", "0", &(gmx_listen_opts){.timeout = MS}, &l), GMX_ETIMEDOUT);
    CHECK_STATUS(gmx_dial("tcp", "held", "1", NULL, MS, &l), GMX_ETIMEDOUT);
    if (place == ON_G || place == ON_ATTACHED) {
      int before = load(&asked);
      struct asker canceled = {"held", GMX_FOREVER, new_token(0, GMX_FOREVER), 0, 0};
      place_start(&placed, place, asks_for_it, &canceled);
      spin_until(load(&asked) > before);
      CHECK_OK(gmx_cancel_now(canceled.token));
      place_join(&placed);
      CHECK_STATUS(canceled.status, GMX_ECANCELED);
      CHECK_OK(gmx_cancel_free(canceled.token));
    }
    store(&held, 0);
    spin_until(load(&inside) == 0 && load(&lists) == 0); /* what came late is freed */
    struct asker waits = {"held", GMX_FOREVER, 0, 1, 0};
    place_start(&placed, place, asks_for_it, &waits);
    place_join(&placed);
    CHECK_OK(waits.status);
  }
}

/* More questions than may be under way: the others wait, other Gs run, and all are answered. */
static void questions_wait_for_their_turn(void) {
  enum { ASKERS = 100 };
  static struct asker a[ASKERS];
  gmx_g g[ASKERS];
  int before = load(&asked);
  store(&held, 1);
  store(&most, 0);
  for (int i = 0; i < ASKERS; i++) {
    a[i] = (struct asker){i % 3 ? "held" : "quick", i % 10 == 9 ? MS : GMX_FOREVER, 0, 1, 0};
    g[i] = go_joinable(asks_for_it, &a[i]);
  }
  spin_until(load(&most) == 16);
  for (int i = 9; i < ASKERS; i += 10) {
    join(g[i]);
    CHECK(a[i].status == GMX_ETIMEDOUT || a[i].status == GMX_OK);
  }
  CHECK_OK(gmx_sleep(MS)); /* the P is free */
  store(&held, 0);
  for (int i = 0; i < ASKERS; i++)
    if (i % 10 != 9) {
      join(g[i]);
      CHECK_OK(a[i].status);
    }
  CHECK_EQ(load(&most), 16);
  CHECK_CMP(load(&asked) - before, >=, ASKERS * 9 / 10);
  spin_until(load(&inside) == 0 && load(&lists) == 0);
}

/* The answer comes at the moment at which the caller's time ends: one of the two has it. */
static void an_answer_has_one_owner(void) {
  for (int i = 0; i < 2000; i++) {
    gmx_status status = ask("quick", "80", &stream, 1000 + i % 50 * 1000);
    CHECK(status == GMX_OK || status == GMX_ETIMEDOUT);
  }
  spin_until(load(&inside) == 0 && load(&lists) == 0);
}

int main(void) {
  look_for_the_real_ones();
  start_runtime(1, 0);
  WITH_SOME_PS {
    RUN_G(answers_everywhere);
    RUN_G(a_caller_leaves_the_resolver_behind);
    RUN_G(questions_wait_for_their_turn);
    RUN_G(an_answer_has_one_owner);
  }
  ends_clean();
  return 0;
}
