/* timeout: 120 */
/* env: GMX_MAXPROCS=3 */
/* gmx_after: the channel receives one time, not before it is due, and no firing reaches it after it is freed. */
#include "gs.h"

static gmx_chan *after(int64_t delay) {
  gmx_chan *c = NULL;
  CHECK_OK(gmx_after(delay, &c));
  CHECK(c != NULL);
  CHECK_EQ(gmx_chan_cap(c), 1);
  return c;
}

/* ---- one time ---- */

static void one_time(void *unused) {
  (void)unused;
  int64_t begin = gmx_now(), at = 0;
  gmx_chan *c = after(3 * MS);
  CHECK_OK(gmx_chan_recv(c, &at));
  CHECK_CMP(at, >=, begin + 3 * MS);
  CHECK_CMP(at, <=, gmx_now());
  CHECK_STATUS(gmx_chan_try_recv(c, &at), GMX_EAGAIN);
  CHECK_STATUS(gmx_chan_recv_timeout(c, &at, 2 * MS), GMX_ETIMEDOUT); /* the time does not come again */
  CHECK_OK(gmx_chan_free(c));
}
static void one_time_everywhere(void) {
  on_g(one_time, NULL);
  on_thread(one_time, NULL);
  one_time(NULL);
}

static void not_before(void) {
  gmx_chan *c = after(HOUR);
  int64_t at = 7;
  CHECK_STATUS(gmx_chan_try_recv(c, &at), GMX_EAGAIN);
  CHECK_STATUS(gmx_chan_recv_timeout(c, &at, MS), GMX_ETIMEDOUT);
  CHECK_EQ(at, 7);
  CHECK_EQ(gmx_chan_len(c), 0);
  CHECK_OK(gmx_chan_free(c));
}

/* A receiver that looks when it is due gets the time, though no other thread has come to fire it. */
static void due_is_seen(void *unused) {
  (void)unused;
  int64_t at = 0, begin = gmx_now();
  gmx_chan *c = after(100000);
  int64_t due = gmx_now() + 100000;
  while (gmx_now() <= due) { /* the one P has this thread */
  }
  CHECK_OK(gmx_chan_try_recv(c, &at));
  CHECK_CMP(at, >=, begin + 100000);
  CHECK_OK(gmx_chan_free(c));
}
static void due_is_seen_on_one_p(void) {
  CHECK_EQ(gmx_gomaxprocs(1), 3);
  for (int i = 0; i < 20; i++) on_g(due_is_seen, NULL);
  CHECK_EQ(gmx_gomaxprocs(3), 1);
}

static void at_once(void) {
  static const int64_t delays[] = {0, -1, INT64_MIN};
  for (int i = 0; i < 3; i++) {
    int64_t begin = gmx_now(), at = 0;
    gmx_chan *c = after(delays[i]);
    CHECK_EQ(gmx_chan_len(c), 1);
    CHECK_OK(gmx_chan_try_recv(c, &at));
    CHECK(at >= begin && at <= gmx_now());
    CHECK_STATUS(gmx_chan_try_recv(c, &at), GMX_EAGAIN);
    CHECK_OK(gmx_chan_free(c));
  }
}

static void forever(void) {
  gmx_chan *c = after(GMX_FOREVER);
  CHECK_STATUS(gmx_chan_recv_timeout(c, NULL, MS), GMX_ETIMEDOUT);
  CHECK_OK(gmx_chan_free(c));
  c = after(GMX_FOREVER - 1); /* beyond all times: as far as they go */
  CHECK_STATUS(gmx_chan_try_recv(c, NULL), GMX_EAGAIN);
  CHECK_OK(gmx_chan_free(c));
}

static void in_a_select(void) {
  gmx_chan *soon = after(2 * MS), *late = after(HOUR), *never = NULL;
  CHECK_OK(gmx_chan_new(8, 0, &never));
  int64_t at = 0;
  size_t chosen = 9;
  gmx_select_case cases[] = {GMX_RECV(late, NULL), GMX_RECV(never, NULL), GMX_RECV(soon, &at)};
  CHECK_STATUS(gmx_select(cases, 2, 0, &chosen), GMX_ETIMEDOUT);
  CHECK_OK(gmx_select(cases, 3, GMX_FOREVER, &chosen));
  CHECK_EQ(chosen, 2);
  CHECK(at > 0);
  CHECK_OK(gmx_chan_free(soon));
  CHECK_OK(gmx_chan_free(late));
  CHECK_OK(gmx_chan_free(never));
}

static void wrong_calls(void) {
  CHECK_STATUS(gmx_after(1, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_after(0, NULL), GMX_EINVAL);
}

/* ---- references ---- */

static void receives(void *arg) {
  int64_t at = 0;
  CHECK_OK(gmx_chan_recv(arg, &at));
  CHECK(at > 0);
}

/* The timer stays as long as any reference; and a free that is refused stops nothing. */
static void the_last_reference_ends_it(void) {
  int64_t begin = gmx_now(), delay = 20 * MS;
  gmx_chan *c = after(delay);
  CHECK_OK(gmx_chan_ref(c));
  CHECK_OK(gmx_chan_free(c));
  gmx_g g = go_joinable(receives, c);
  size_t receivers = 0;
  while (receivers == 0 && gmx_now() < begin + delay) {
    check_pause();
    CHECK_OK(gmx_chan_waiters(c, NULL, &receivers));
  }
  gmx_status s = receivers == 0 ? GMX_EBUSY : gmx_chan_free(c);
  if (s == GMX_OK) CHECK_CMP(gmx_now(), >=, begin + delay); /* the time has come meanwhile */
  else CHECK_STATUS(s, GMX_EBUSY);
  join(g);
  if (s != GMX_OK) CHECK_OK(gmx_chan_free(c));
}

static void closed_before_its_time(void) {
  gmx_chan *c = after(MS);
  CHECK_OK(gmx_chan_close(c));
  for (int i = 0; i < 3; i++) {
    int64_t at = 7;
    gmx_status s = gmx_chan_recv(c, &at);
    CHECK(s == GMX_ECLOSED || (i == 0 && s == GMX_OK));
    CHECK_OK(gmx_sleep(MS));
  }
  CHECK_OK(gmx_chan_free(c));
}

/* ---- freed at any moment ---- */

/* The next channel lies where the freed channel was: a late firing of the freed timer would send into it. */
enum { GS = 6, ROUNDS = 4000, FRESH = 32 };
static uint64_t turn;

static void frees_at_any_moment(void *arg) {
  gmx_chan *fresh[FRESH] = {NULL};
  uint64_t random = bump(&turn) * 7919 + 1;
  for (int i = 0; i < ROUNDS; i++) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    int64_t at = 0, begin = gmx_now(), delay = (int64_t)(random >> 33) % 30000;
    gmx_chan *c = after(delay);
    switch (random >> 60) {
      case 0:
        CHECK_OK(gmx_chan_recv(c, &at));
        CHECK_CMP(at, >=, begin + delay);
        break;
      case 1:
        while (gmx_now() < begin + delay - 1000) { /* until about the moment */
        }
        break;
      case 2: CHECK_OK(gmx_sleep(delay)); break;
      default: break;
    }
    CHECK_OK(gmx_chan_free(c));
    gmx_chan **one = &fresh[i % FRESH];
    if (*one != NULL) {
      CHECK_EQ(gmx_chan_len(*one), 0);
      CHECK_OK(gmx_chan_free(*one));
    }
    CHECK_OK(gmx_chan_new(8, 1, one));
  }
  for (int i = 0; i < FRESH; i++) {
    CHECK_EQ(gmx_chan_len(fresh[i]), 0);
    CHECK_OK(gmx_chan_free(fresh[i]));
  }
  (void)arg;
}
static void nothing_of_before(void) {
  gmx_g gs[GS];
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(frees_at_any_moment, NULL);
  on_thread(frees_at_any_moment, NULL);
  join_all(gs, GS);
}

/* The end of the runtime stops what has not fired, and the channel can be freed in the next. */
static void over_the_end(void) {
  gmx_chan *c = after(2 * MS), *due = after(0), *gone = after(HOUR);
  CHECK_OK(gmx_shutdown(INT64_C(30000000000)));
  CHECK_OK(gmx_chan_free(gone));
  CHECK_OK(gmx_sleep(5 * MS));
  CHECK_OK(gmx_chan_try_recv(due, NULL));
  int64_t at = 0;
  gmx_status s = gmx_chan_try_recv(c, &at); /* unless it fired before the end */
  CHECK(s == GMX_EAGAIN || s == GMX_OK);
  CHECK_OK(gmx_chan_free(c));
  CHECK_OK(gmx_chan_free(due));
}

int main(void) {
  RUN(wrong_calls);
  RUN(one_time_everywhere);
  RUN(not_before);
  RUN(due_is_seen_on_one_p);
  RUN(at_once);
  RUN(forever);
  RUN(in_a_select);
  RUN(the_last_reference_ends_it);
  RUN(closed_before_its_time);
  RUN(nothing_of_before);
  RUN(over_the_end);
  RUN(ends_clean);
  return 0;
}
