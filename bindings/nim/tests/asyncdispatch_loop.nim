## A loop of asyncdispatch on a plain thread, and goroutines beside it.
{.used.}
import std/[unittest, asyncdispatch, strutils]
import gomax, gomax/asyncloop

type Node = ref object
  n: int

proc fib(n: int): int {.gcsafe.} = (if n < 2: n else: fib(n - 1) + fib(n - 2))
proc fails(text: string) = raise newException(IOError, text)
proc makes(n: int): Node = Node(n: n)
proc nothing(n: int) = discard n
proc later(n: int): Future[string] {.async.} =
  await sleepAsync(1)
  if n == 3: raise newException(ValueError, "three")
  return "later " & $n
proc soon(): Future[void] {.async.} = await sleepAsync(0)
proc refuses(n: int): Future[int] = raise newException(KeyError, $n)
proc asks(n: int): string = onLoop(later(n))
proc asksNothing() = onLoop(soon())
proc asksRefused(): int = onLoop(refuses(1))
proc asksForLong(): string {.gcsafe.} =
  proc never(): Future[string] = newFuture[string]()
  withToken newToken(1.ms): result = onLoop(never())
proc sends(ch: Chan[string], n: int) =
  for i in 1 .. n: ch.send $i
  ch.close()

suite "asyncdispatch":
  test "not served":
    expect MisuseDefect: discard asFuture(go fib(1))
    proc onAGoroutine() = serveGoroutines()
    expect MisuseDefect: runMain onAGoroutine()

  test "the end of a goroutine is a future":
    serveGoroutines()
    serveGoroutines()
    proc main() {.async.} =
      check await(asFuture(go fib(15))) == 610
      await asFuture(go nothing(1))
      check (await asFuture(go makes(7))).n == 7
      try:
        await asFuture(go fails("of a goroutine"))
        check false
      except IOError as e: check e.msg.startsWith "of a goroutine" # in a debug build asyncdispatch adds a trace
      var many: seq[Future[int]]
      for i in 0 ..< 200: many.add asFuture(go fib(i mod 10))
      let all = await all(many)
      check all[199] == 34
      let never = newChan[int]()
      let late = recvFuture(never)
      check not await withTimeout(late, 1) # it waits on
      never.close()
      try:
        discard await late
        check false
      except ClosedError: discard
    waitFor main()

  test "a channel":
    proc main() {.async.} =
      let ch = newChan[string](0)
      go sends(ch, 20)
      for i in 1 .. 20: check await(recvFuture(ch)) == $i
      try:
        discard await recvFuture(ch)
        check false
      except ClosedError: discard
    waitFor main()

  test "a goroutine waits for a future":
    proc main() {.async.} =
      check await(asFuture(go asks(1))) == "later 1"
      await asFuture(go asksNothing())
      try:
        discard await asFuture(go asks(3))
        check false
      except LoopError as e: check e.msg.len > 0
      try:
        discard await asFuture(go asksRefused())
        check false
      except LoopError as e: check e.msg.startsWith "KeyError: 1"
      try:
        discard await asFuture(go asksForLong())
        check false
      except CanceledError: discard
      var many: seq[Future[string]]
      for i in 10 ..< 110: many.add asFuture(go asks(i))
      check (await all(many))[99] == "later 109"
    waitFor main()
