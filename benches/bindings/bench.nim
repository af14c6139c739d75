## The cases of bench.c in Nim.
import gomax

const n = 100_000

proc show(name: string, begin: int64) = echo name, " ", float(now() - begin) / n

proc nothing() = discard

proc spawnJoin() =
  let begin = now()
  for _ in 0 ..< n:
    var t = go nothing()
    t.join()
  show("spawn", begin)

proc echoes(ping, pong: Chan[int64]) =
  for v in ping: pong.send v

proc pingPong() =
  let ping = newChan[int64]()
  let pong = newChan[int64]()
  var t = go echoes(ping, pong)
  let begin = now()
  for i in 0 ..< n:
    ping.send i
    discard pong.recv()
  show("pingpong", begin)
  ping.close()
  t.join()

proc start() =
  setMaxprocs 1
  spawnJoin()
  pingPong()

proc onEvent() {.gomaxCallback.} = discard

{.emit: """
#include <pthread.h>
#include <stdio.h>
#include <gomax.h>
static void *bench_thread(void *fn) {
  ((void (*)(void))fn)();
  long long begin = gmx_now();
  for (int i = 0; i < 100000; i++) ((void (*)(void))fn)();
  printf("callback %.1f\n", (double)(gmx_now() - begin) / 100000);
  fflush(stdout);
  return 0;
}
static void bench_threads(void *fn) {
  pthread_t t;
  pthread_create(&t, 0, bench_thread, fn);
  pthread_join(t, 0);
}
""".}
proc threads(fn: proc () {.cdecl, gcsafe, raises: [].}) {.importc: "bench_threads", nodecl.}

runMain start()
threads(onEvent)
