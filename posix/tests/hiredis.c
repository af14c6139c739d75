/*
 * hiredis as it is, on goroutines:  hiredis PORT
 *
 * A server of the protocol of Redis listens at the port. 100 Gs, each with a connection: commands one by one, in
 * pipelines, and commands that wait for each other.
 */
#include "shim.h"

#include <hiredis/hiredis.h>

enum { GS = 100, COMMANDS = 50, PIPELINE = 500 };
static int port;

static redisContext *connects_to(void) {
  redisContext *c = redisConnect("127.0.0.1", port);
  if (!c || c->err) FAIL("%s", c ? c->errstr : "no memory");
  return c;
}
static redisReply *answer(redisContext *c, redisReply *reply, int type) {
  if (!reply) FAIL("%s", c->errstr);
  if (reply->type != type) FAIL("type %d: %s", reply->type, reply->str ? reply->str : "");
  return reply;
}

static void commands(void *index) {
  redisContext *c = connects_to();
  int own = (int)(intptr_t)index;
  for (int i = 0; i < COMMANDS; i++) {
    freeReplyObject(answer(c, redisCommand(c, "SET key:%d %d", own, i), REDIS_REPLY_STATUS));
    redisReply *reply = answer(c, redisCommand(c, "GET key:%d", own), REDIS_REPLY_STRING);
    CHECK_EQ(atoi(reply->str), i);
    freeReplyObject(reply);
  }
  redisFree(c);
}
static void pipelines(void *index) {
  redisContext *c = connects_to();
  int own = (int)(intptr_t)index;
  freeReplyObject(answer(c, redisCommand(c, "SET count:%d 0", own), REDIS_REPLY_STATUS));
  for (int i = 0; i < PIPELINE; i++) CHECK_EQ(redisAppendCommand(c, "INCR count:%d", own), REDIS_OK);
  for (int i = 0; i < PIPELINE; i++) {
    void *reply = NULL;
    if (redisGetReply(c, &reply) != REDIS_OK) FAIL("%s", c->errstr);
    CHECK_EQ(answer(c, reply, REDIS_REPLY_INTEGER)->integer, i + 1);
    freeReplyObject(reply);
  }
  redisFree(c);
}

/* A subscriber waits in recv for as long as it takes. */
static int listening;
static void subscribes(void *unused) {
  redisContext *c = connects_to();
  void *reply = NULL;
  (void)unused;
  freeReplyObject(answer(c, redisCommand(c, "SUBSCRIBE news"), REDIS_REPLY_ARRAY));
  bump(&listening);
  if (redisGetReply(c, &reply) != REDIS_OK) FAIL("%s", c->errstr);
  redisReply *message = answer(c, reply, REDIS_REPLY_ARRAY);
  CHECK_STR(message->element[2]->str, "it works");
  freeReplyObject(reply);
  redisFree(c);
}

/* hiredis' own timeout is one of the socket. */
static void times_out(void *unused) {
  redisContext *c = connects_to();
  void *reply = NULL;
  (void)unused;
  freeReplyObject(answer(c, redisCommand(c, "SUBSCRIBE nothing"), REDIS_REPLY_ARRAY));
  CHECK_EQ(redisSetTimeout(c, (struct timeval){0, 20000}), REDIS_OK);
  CHECK_EQ(redisGetReply(c, &reply), REDIS_ERR);
  CHECK_EQ(c->err, REDIS_ERR_IO);
  redisFree(c);
}

static void on_all(void (*fn)(void *)) {
  gmx_g gs[GS];
  for (intptr_t i = 0; i < GS; i++) gs[i] = go_joinable(fn, (void *)i);
  join_all(gs, GS);
}
static void a_hundred_ask(void) { on_all(commands); }
static void a_hundred_pipelines(void) { on_all(pipelines); }
static void timeouts_of_hiredis_are_kept(void) { on_all(times_out); }
static void subscribers_wait(void) {
  gmx_g gs[GS];
  int threads = count_threads();
  store(&listening, 0);
  for (int i = 0; i < GS; i++) gs[i] = go_joinable(subscribes, NULL);
  spin_until(load(&listening) == GS);
  when_waiting(GS);
  check_few_threads(threads);
  redisContext *c = connects_to();
  redisReply *reply = answer(c, redisCommand(c, "PUBLISH news %s", "it works"), REDIS_REPLY_INTEGER);
  CHECK_EQ(reply->integer, GS);
  freeReplyObject(reply);
  join_all(gs, GS);
  redisFree(c);
}

int main(int argc, char **argv) {
  if (argc != 2) SKIP("usage: hiredis PORT");
  port = atoi(argv[1]);
  begin_parked();
  RUN_G(a_hundred_ask);
  RUN_G(a_hundred_pipelines);
  RUN_G(subscribers_wait);
  RUN_G(timeouts_of_hiredis_are_kept);
  CHECK_OK(gmx_shutdown(30 * SECOND));
  begin_shared(4);
  RUN_G(a_hundred_ask);
  RUN_G(a_hundred_pipelines);
  RUN_G(subscribers_wait);
  end_all();
  return 0;
}
