## What the module promises, from Gs, from plain threads, and from threads that neither Nim nor the library made.
import std/[strutils, tables, unittest]
import gomax
from gomax/abi import Status
import bodies, handing_over, host, model, wrong_calls

# ---- Gs

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

  test "deadlock, and what waits goes on when it can":
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

# ---- exceptions that survive a wait, on whatever thread it goes on

var threads {.threadvar.}: int # of the G

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

# ---- channels

type Message = object
  id: int
  text: string
  more: seq[int]

proc produce(ch: Chan[Message], n: int) =
  for i in 0 ..< n: ch.send Message(id: i, text: "hello " & $i, more: @[i, i + 1])
  ch.close()

suite "channels":
  test "values are moved through":
    proc main() =
      for room in [0, 1, 16]:
        let ch = newChan[Message](room)
        check ch.cap == room
        go produce(ch, 100)
        var i = 0
        for m in ch:
          check m.id == i and m.text == "hello " & $i and m.more == @[i, i + 1]
          inc i
        check i == 100
        check ch.isClosed
        expect ClosedError: discard ch.recv()
        expect ClosedError: ch.send Message()
        check ch.next().isNone
    runMain main()

  test "try, timeouts, what is left in one":
    proc main() =
      let ch = newChan[string](2)
      var s: string
      check not ch.tryRecv(s)
      check ch.trySend("a")
      ch.send "b"
      check not ch.trySend("c")
      expect TimeoutError: ch.send("c", 1.ms)
      check ch.len == 2
      check ch.waiters == (0, 0)
      check ch.tryRecv(s) and s == "a"
      check ch.recv(1.sec) == "b"
      expect TimeoutError: discard ch.recv(1.ms)
      ch.send repeat("left", 100) # freed with the channel
    runMain main()

  test "without a bound":
    proc main() =
      let ch = newChan[string](unbounded)
      check ch.cap == unbounded
      for i in 0 ..< 1000: ch.send $i
      check ch.len == 1000
      for i in 0 ..< 900: check ch.recv() == $i # the others are freed with the channel
    runMain main()

  test "the side that receives ends first":
    type Thing = object
      alive: ptr int
    proc `=destroy`(t: var Thing) =
      if t.alive != nil: dec t.alive[]
    proc main() =
      var alive = 3
      let ch = newChan[Thing](3)
      for _ in 0 ..< 3: ch.send Thing(alive: addr alive)
      check alive == 3
      ch.closeDrop()
      check alive == 0 and ch.len == 0 and ch.isClosed
      expect ClosedError: discard ch.recv()
      let texts = newChan[string](2)
      texts.send repeat("left", 100)
      texts.close()
      texts.closeDrop()
      expect ClosedError: discard texts.recv()
    runMain main()

  test "how many wait":
    proc main() =
      let ch = newChan[int]()
      proc sends(ch: Chan[int]) = ch.send 1
      check not ch.isClosed
      go sends(ch)
      while ch.waiters != (1, 0): yieldNow()
      check ch.recv() == 1
      check ch.waiters == (0, 0)
    runMain main()

  test "a ref goes from G to G":
    type Node = ref object
      next: Node
      n: int
    proc main() =
      let ch = newChan[Node]()
      proc make(ch: Chan[Node]) =
        for i in 0 ..< 200:
          var list: Node
          for n in 0 .. i: list = Node(next: move list, n: n)
          ch.send unsafeIsolate(move list)
        ch.close()
      go make(ch)
      var sum = 0
      for list in ch:
        var at = list
        while at != nil:
          sum += 1
          at = at.next
      check sum == 200 * 201 div 2
    runMain main()

  test "select":
    proc main() =
      let a = newChan[int](1)
      let b = newChan[string](1)
      var got = ""
      select:
        a.recv as x: got = "a"
        otherwise: got = "none"
      check got == "none"
      select:
        a.recv: got = "a"
        timeout(1.ms): got = "late"
      check got == "late"
      b.send "text"
      select:
        a.recv as x: got = $x.get
        b.recv as x: got = x.get
      check got == "text"
      select:
        a.send(5): got = "sent"
        b.recv as x: got = x.get
      check got == "sent"
      check a.recv() == 5
      a.close()
      select:
        a.recv as x: check x.isNone
      expect ClosedError:
        select:
          a.send(1): discard

      let left = newChan[Message]()
      let right = newChan[Message]()
      go produce(left, 200)
      go produce(right, 300)
      var (lefts, rights) = (0, 0)
      while lefts < 200 or rights < 300:
        select:
          left.recv as m:
            if m.isSome: inc lefts
          right.recv as m:
            if m.isSome: inc rights
      check (lefts, rights) == (200, 300)
    runMain main()

# ---- locks

suite "locks":
  test "mutex, condition, rwmutex, semaphore":
    type Guarded = object
      m: Mutex
      rw: RwMutex
      more: Condition
      n: int
    proc main() =
      var g: Guarded
      proc work(g: ptr Guarded) =
        for _ in 0 ..< 100:
          withLock g.m:
            inc g.n
            g.more.signal()
      for _ in 0 ..< 50: go work(addr g)
      withLock g.m:
        while g.n < 5000: g.more.wait(g.m)
        expect DeadlockError: g.m.lock()
        expect TimeoutError: g.more.wait(g.m, 1.ms)
        proc other(m: ptr Mutex): bool =
          try: m[].unlock() # another has it
          except MisuseDefect: discard
          m[].tryLock()
        check not join(go other(addr g.m))
      proc readers(g: ptr Guarded): int =
        withSharedLock g.rw: result = g.n
      withSharedLock g.rw:
        var a = go readers(addr g)
        check a.join() == 5000
        check not g.rw.tryLock()
      withLock g.rw: check not g.rw.tryLockShared()
      var s = Semaphore(count: 1)
      s.acquire()
      check not s.tryAcquire()
      expect TimeoutError: s.acquire(1.ms)
      s.release()
      check s.count == 1
      s.acquire()
      check s.waiters == 0
      proc takes(s: ptr Semaphore) = s[].acquire()
      var third = go takes(addr s)
      while s.waiters == 0: yieldNow()
      s.releaseHandoff()
      check not s.tryAcquire()
      third.join()
      var meeting = initBarrier(4)
      proc meets(b: ptr Barrier): bool = b[].wait()
      var others: array[3, Task[bool]]
      for i in 0 .. 2: others[i] = go meets(addr meeting)
      while meeting.waiters < 3: yieldNow()
      check meeting.wait()
      for other in others.mitems: check not other.join()
      expect TimeoutError: meeting.wait(1.ms)
      check (g.m.waiters, g.rw.waiters, g.more.waiters) == (0, 0, 0)
    runMain main()

  test "once":
    proc main() =
      var once: Once
      var n {.global.} = 0
      withScope:
        let at = addr once
        for _ in 0 ..< 10:
          scope.spawn(at):
            at[].perform(proc () {.nimcall, gcsafe.} = (sleep 1.ms; n += 1))
            doAssert n == 1
      var failed: Once
      proc fails() {.nimcall, gcsafe.} = raise newException(IOError, "once")
      expect IOError: failed.perform(fails)
      failed.perform(fails)
      type Slow = object
        once: Once
        begun, ended: Semaphore
      var slow {.global.}: Slow
      proc waits(at: ptr Slow) =
        at.once.perform(proc () {.nimcall, gcsafe.} = (slow.begun.release(); slow.ended.acquire()))
      var first = go waits(addr slow)
      slow.begun.acquire()
      expect TimeoutError: slow.once.perform(fails, 1.ms)
      slow.ended.release()
      first.join()
    runMain main()

# ---- scopes, tokens, time

proc sleeper() =
  while true: sleep 1.sec
proc failing(text: string) =
  sleep 1.ms
  raise newException(IOError, text)

type Noted = object
  alive: ptr int
proc `=copy`(a: var Noted, b: Noted) {.error.}
proc `=destroy`(n: var Noted) =
  if n.alive != nil: dec n.alive[]
  n.alive = nil
proc keep(n: Noted) = doAssert n.alive[] == 1

suite "scopes":
  test "the first exception cancels the others":
    proc main() =
      var text = ""
      try:
        withScope:
          for _ in 0 ..< 10: scope.spawn sleeper()
          scope.spawn failing("first")
      except IOError as e: text = e.msg
      check text == "first"
      while numG() > 1: yieldNow() # the last one may be on its way out
    runMain main()

  test "whether it is canceled":
    proc main() =
      withScope:
        check not scope.isCanceled
        scope.cancel()
        check scope.isCanceled
    runMain main()

  test "deadline, exception of the body, return":
    proc early(): int =
      withScope:
        scope.spawn sleeper()
        return 5
    proc main() =
      expect TimeoutError:
        withScope(2.ms): scope.spawn sleeper()
      expect KeyError:
        withScope:
          scope.spawn sleeper()
          raise newException(KeyError, "mine")
      check early() == 5
      while numG() > 1: yieldNow()
    runMain main()

  test "what the body waits for ends with the rest":
    proc main() =
      let never = newChan[int]()
      expect TimeoutError:
        withScope(2.ms): discard never.recv()
      expect TimeoutError:
        withScope(2.ms):
          expect CanceledError:
            withScope: discard never.recv()
          sleep 1.sec
      var text = ""
      try:
        withScope:
          for _ in 0 ..< 10: scope.spawn sleeper()
          scope.spawn failing("first")
          discard never.recv()
      except IOError as e: text = e.msg
      check text == "first"
      var through = 0
      for i in 0 ..< 3:
        withScope:
          if i == 1: continue
          scope.cancel()
          expect CanceledError: sleep 1.sec
          inc through
      check through == 2
      sleep 1.us
      check not canceled()
    runMain main()

  test "results of a scope":
    proc waitsFor(ch: Chan[int]): string = $ch.recv()
    proc main() =
      let ch = newChan[int](1)
      var child, late: Child[string]
      withScope:
        child = scope.spawn waitsFor(ch)
        expect TimeoutError: discard child.join(1.ms)
        check not child.joined
        ch.send 1
        check child.join() == "1" and child.joined
        late = scope.spawn waitsFor(ch)
        ch.send 2
      check late.join() == "2"
      var failed, canceled: Child[string]
      proc fails(): string = raise newException(IOError, "failed")
      expect IOError:
        withScope:
          canceled = scope.spawn waitsFor(ch)
          failed = scope.spawn fails()
          expect CanceledError: discard failed.join() # the scope tells why
          sleep 1.sec
      expect CanceledError: discard canceled.join()
      withScope: # one that goes away changes nothing
        discard scope.spawn waitsFor(ch)
        ch.send 3
    runMain main()

  test "the first failure, and what is left early":
    proc leavesAndFails(): int =
      withScope:
        scope.spawn failing("child")
        sleep 1.sec # until it has failed
        return 1
    proc main() =
      var text = ""
      try: discard leavesAndFails()
      except IOError as e: text = e.msg
      check text == "child"
      text = ""
      try:
        withScope:
          scope.spawn sleeper()
          raise newException(IOError, "body")
      except IOError as e: text = e.msg
      check text == "body"
      shielded: # a scope that waits in a shield
        withScope: scope.spawn yieldNow()
    runMain main()

  test "timeouts as durations":
    proc main() =
      let ch = newChan[int](1)
      expect TimeoutError: discard ch.recv(initDuration(milliseconds = 1))
      expect TimeoutError: discard ch.recv(initDuration(milliseconds = -1))
      expect TimeoutError: discard ch.recv(-5.sec)
      sleep initDuration(microseconds = 1)
      ch.send 1
      check ch.recv(initDuration(weeks = 1_000_000)) == 1 # above what an int64 has of nanoseconds
      expect TimeoutError:
        withScope(initDuration(milliseconds = 1)): sleep 1.sec
    runMain main()

  test "tokens":
    proc main() =
      let token = newToken()
      check not token.isCanceled
      withToken token:
        let under = newToken()
        token.cancel()
        check under.isCanceled and canceled()
        expect CanceledError: sleep 1.sec
        shielded: sleep 1.us
      check not canceled()
      check newToken(0).timedOut
      let because = newToken()
      check because.reason == Status(0) and because.deadline == high(int64)
      check newToken(3600.sec).deadline < high(int64)
      because.cancel(Status(-2001))
      check because.reason == Status(-2001)
    runMain main()

  test "a goroutine under its maker's token":
    proc waits(never: Chan[int]) = discard never.recv()
    proc main() =
      let (token, never) = (newToken(), newChan[int]())
      var under, beside: Task[void]
      withToken token:
        under = goWith(GoOptions(inherit: true), waits(never))
        beside = go waits(never)
      while never.waiters.receivers < 2: yieldNow()
      token.cancel()
      expect CanceledError: under.join()
      never.send 1
      beside.join()
    runMain main()

  test "one goroutine is cancelled":
    proc waits(never: Chan[int]) = discard never.recv()
    proc main() =
      let never = newChan[int]()
      var one = goWith(GoOptions(cancellable: true), waits(never))
      var plain = go waits(never)
      check one.cancel
      one.cancel # whether it has ended by now is open
      expect CanceledError: one.join()
      check not one.cancel
      expect GomaxError: discard plain.cancel
      never.send 1
      plain.join()
    runMain main()

  test "the channel of a token":
    proc main() =
      let (token, other, ch) = (newToken(), newToken(), newChan[int](1))
      var which = ""
      template choose() =
        select:
          token.done.recv: which = "token"
          other.done.recv as gone: which = if gone.isNone: "other" else: "?"
          ch.recv: which = "ch"
          timeout(1.ms): which = "timeout"
      choose()
      check which == "timeout"
      ch.send 1
      choose()
      check which == "ch"
      let done = other.done
      check not done.isClosed
      other.cancel()
      choose()
      check which == "other"
      check done.isClosed and other.done.isClosed and not token.done.isClosed
      expect ClosedError: discard done.recv()
    runMain main()

  test "a call when a token is cancelled":
    proc cancelIt(token: ptr Token) = token[].cancel()
    proc tell(ch: Chan[string], text: string) = ch.send text
    proc main() =
      let ch = newChan[string](3)
      let token = newToken()
      var call = onCancel(token, tell(ch, "call"))
      let text = "block"
      var blockOf = onCancel(token, ch, text):
        ch.send text
      var never = onCancel(token, tell(ch, "never"))
      check never.stop() and not never.stop()
      block:
        var gone {.used.} = onCancel(token, tell(ch, "gone"))
      check ch.len == 0
      token.cancel()
      var told = [ch.recv(), ch.recv()]
      check "call" in told and "block" in told
      check not call.stop() and not blockOf.stop()
      stderr.writeLine "(an exception that nobody gets follows)"
      var atOnce = onCancel(token, failing("at once"))
      while numG() > 1: sleep 1.ms
      check not atOnce.stop()
      check ch.len == 0
      withScope: # that of the caller's own token
        var own {.used.} = onCancel(newToken(), tell(ch, "scope"))
        scope.cancel()
        shielded: check ch.recv() == "scope"
      for stops in [true, false]: # what it takes along is destroyed once
        var alive = 1
        block:
          let token = newToken()
          var hook = onCancel(token, keep(Noted(alive: addr alive)))
          check alive == 1
          if stops: hook.stop() else: token.cancel()
          while numG() > 1: sleep 1.ms
          check alive == 0
        check alive == 0
      for i in 0 ..< 300: # one of the two
        let (token, ran) = (newToken(), newChan[string](1))
        var hook = onCancel(token, tell(ran, $i))
        var canceler = go cancelIt(unsafeAddr token)
        let stopped = hook.stop()
        canceler.join()
        while numG() > 1: yieldNow()
        check ran.len == (if stopped: 0 else: 1)
    runMain main()

  test "time":
    proc main() =
      let before = now()
      sleep 2.ms
      check now() - before >= 2.ms
      let t = newTimer(1.ms)
      check t.ch.recv() >= before + 3.ms
      check not t.stop()
      let ticker = newTicker(1.ms)
      for _ in 0 ..< 3: discard ticker.ch.recv()
      check ticker.stop()
      let (never, late) = (afterChan(forever), afterChan(1.ms))
      select:
        never.recv: check false
        late.recv as time: check time.get > before
      var time: int64
      check not late.tryRecv(time)
    runMain main()

  test "after a time":
    proc main() =
      let ch = newChan[string](3)
      proc tell(ch: Chan[string], text: string) = ch.send text
      after(1.ms, tell(ch, "call"))
      check ch.recv() == "call"
      let text = "block"
      var late = after(0, ch, text):
        ch.send text
      check ch.recv() == "block"
      check not late.stop()
      var never = after(3600.sec, ch):
        ch.send "never"
      check never.stop() and not never.stop()
      for i in 0 ..< 300: # all at the same moment
        var atOnce = after(int64(i mod 3).us, ch):
          if ch.len > 5: yieldNow()
        if i mod 2 == 0: atOnce.stop()
      stderr.writeLine "(an exception that nobody gets follows)"
      after(0, failing("of a timer"))
      while numG() > 1: sleep 1.ms
      check ch.len == 0
    runMain main()

shutdown 10.sec # nothing is left behind
