## Tasks, and what goes with a goroutine from thread to thread: exceptions and thread variables.
{.used.}
import std/[strutils, tables, unittest]
import gomax

proc add(a, b: int): int = a + b
proc half(n: int): int =
  if n mod 2 == 1: raise newException(ValueError, "odd: " & $n)
  n div 2
proc join3(parts: seq[string], sep: string): string = parts.join(sep)

suite "goroutines":
  test "results, exceptions, moved arguments":
    proc main() =
      var t = go add(2, 3)
      check t.join() == 5
      check t.joined
      expect MisuseDefect: discard t.join()
      check join(go half(8)) == 4
      var odd = goWith(GoOptions(name: "odd", stackSize: 64 * 1024, childFirst: true, wipe: true), half(7))
      try:
        discard odd.join()
        check false
      except ValueError as e:
        check e.msg == "odd: 7"
      var parts = @["a", "b", "c"]
      check join(go join3(move parts, sep = "-")) == "a-b-c"
      check parts.len == 0
    runMain main()

  test "a block takes along what it names":
    proc main() =
      let done = newChan[string]()
      for i in 0 ..< 3:
        let text = "n" & $i
        go(done, text):
          done.send(text & "!")
      var all: seq[string]
      for _ in 0 ..< 3: all.add done.recv()
      check "n0!" in all and "n1!" in all and "n2!" in all
    runMain main()

  test "in a loop over an iterator with several yields":
    iterator several(): int =
      for i in 0 .. 3:
        if i mod 2 == 0: yield i
        else: yield i
    proc xs(n: int): string =
      if n < 0: raise newException(ValueError, "below 0")
      repeat('x', n)
    proc main() =
      let counts = newChan[int](4)
      for i in several():
        go(i, counts):
          var text: string
          try: text = xs(45 + i)
          finally: yieldNow()
          counts.send text.count('x') # Nim 2.2 frees it before
      for i in 0 .. 3: check counts.recv() in 45 .. 48
    runMain main()

  test "join may time out, a task may go away":
    proc main() =
      let ch = newChan[int]()
      proc get(ch: Chan[int]): int = ch.recv()
      var t = go get(ch)
      expect TimeoutError: discard t.join(1.ms)
      check not t.joined
      ch.send 9
      check t.join(forever) == 9
      block:
        let gone {.used.} = go get(ch)
      ch.send 1
      while numG() > 1: yieldNow()
    runMain main()

  test "ten thousand":
    proc main() =
      var wg: WaitGroup
      var n = 0
      proc count(n: ptr int, wg: ptr WaitGroup) =
        atomicInc n[]
        wg[].done()
      for _ in 0 ..< 10_000:
        wg.add
        go count(addr n, addr wg)
      wg.wait()
      check n == 10_000
    runMain main()

  test "from a plain thread":
    check join(go add(40, 2)) == 42
    var shared = newChan[int](1)
    var thread: Thread[Chan[int]]
    proc body(ch: Chan[int]) {.thread.} =
      ch.send 1 # waits as a thread
      attached:
        sleep 1.ms
        ch.send int(goid())
    createThread(thread, body, shared)
    check shared.recv() == 1
    check shared.recv() > 0
    joinThread thread

  test "deadlock, and a waiter continues when it can":
    shutdown 10.sec
    initGomax(maxprocs = 2, slice = 5.ms)
    expect GomaxError: initGomax()
    check maxprocs() == 2
    let never = newChan[int]()
    proc waits(ch: Chan[int]): int = ch.recv()
    stderr.writeLine "(a report of a deadlock follows)"
    expect DeadlockError: discard runMain waits(never)
    never.close()
    shutdown 10.sec

# ---- exceptions that survive a wait, on whichever thread the goroutine continues

var threads {.threadvar.}: int # of the goroutine

proc nested(depth, id: int): int =
  ## Waits in try, except and finally, and knows afterwards which exception it was at.
  try:
    if depth == 0:
      sleep 20.us
      raise newException(KeyError, "key " & $id)
    result = nested(depth - 1, id)
  except KeyError as e:
    yieldNow()
    if getCurrentException() != e or e.msg != "key " & $id: return -1000
    if depth < 3:
      sleep 10.us
      raise
    try:
      yieldNow()
      raise newException(ValueError, "value " & $id)
    except ValueError as inner:
      sleep 10.us
      if getCurrentExceptionMsg() != "value " & $id or inner.msg != "value " & $id: return -2000
    if getCurrentExceptionMsg() != "key " & $id: return -3000
    result = depth
  finally:
    yieldNow()
    inc threads

proc onlyThese(id: int): string =
  ## Raises after a wait in a callee, and looks at its own error flag then.
  var seen = initTable[string, int]()
  for i in 0 ..< 30:
    try:
      sleep int64(i mod 3) * 5.us
      if i mod 3 == 0: discard parseInt("x" & $i)
      seen.mgetOrPut("none", 0).inc
    except ValueError:
      seen.mgetOrPut("some", 0).inc
    threads += 1
    yieldNow()
  if threads != 30: return "another's thread variable: " & $threads
  if seen["none"] != 20 or seen["some"] != 10: return $seen

suite "exceptions and thread variables go with the G":
  test "nested, over waits":
    proc main() =
      withScope:
        for id in 0 ..< 40:
          scope.spawn(id):
            for _ in 0 ..< 25:
              threads = 0
              let got = nested(8, id)
              if got != 3: raise newException(AssertionDefect, "got " & $got)
              if threads != 9: raise newException(AssertionDefect, "threads " & $threads)
    runMain main()

  test "the error flag":
    proc main() =
      var tasks: array[40, Task[string]]
      for id in 0 ..< 40: tasks[id] = go onlyThese(id)
      for t in tasks.mitems: check t.join() == ""
    runMain main()

  test "stack traces end where the G began":
    proc main() =
      proc deep(n: int): string =
        if n == 0:
          yieldNow()
          return getStackTrace()
        deep(n - 1)
      let trace = join(go deep(5))
      when compileOption("stackTrace"):
        check trace.count("deep") == 6
        check "runMain" notin trace
    runMain main()
