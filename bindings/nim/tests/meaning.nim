## The scenarios of docs/meaning.md: prints their names, or with a name as its argument runs that one and prints its
## outcome. ci/meaning.py reads it.
import std/os
import gomax

type Failed = object of CatchableError

proc fail(n: int) = raise newException(Failed, $n)

template outcome(body: untyped): string =
  ## What body comes to, in the words of the table.
  block:
    var came = "ok"
    try: body
    except Failed as e: came = "failed " & e.msg
    except CanceledError: came = "canceled"
    except TimeoutError: came = "timeout"
    except ClosedError: came = "closed"
    except MisuseDefect: came = "misuse"
    came

template value(body: untyped): string =
  ## As `outcome`; what body gives instead of ok.
  var got = ""
  let came = outcome: got = $body
  if came == "ok": got else: came

proc waits(never: Chan[int]) = discard never.recv()
proc fails(n: int) = fail n
proc seven(): int = 7

proc failsWhenCanceled(never: Chan[int], n: int) =
  try: discard never.recv()
  except CanceledError: fail n

proc receivers(ch: Chan[int], n: int) =
  ## Returns when so many wait there.
  while ch.waiters.receivers < n: yieldNow()

proc cancelWhenWaiting(ch: Chan[int], token: ptr Token) =
  ch.receivers 1
  token[].cancel()

type
  Scenario = proc (): string {.nimcall, gcsafe.}
var all: seq[(string, Scenario)]

template scenario(name: string, body: untyped) =
  proc run(): string {.gensym, nimcall, gcsafe.} = body
  all.add (name, Scenario(run))

template never(): Chan[int] = newChan[int]()

# ---- scopes

scenario "scope-all-end":
  outcome:
    withScope:
      for _ in 1 .. 3: scope.spawn yieldNow()

scenario "scope-child-fails":
  outcome:
    withScope:
      scope.spawn waits(never)
      scope.spawn fails(1)

scenario "scope-child-fails-body-waits":
  outcome:
    withScope:
      scope.spawn fails(1)
      waits never

scenario "scope-body-fails":
  outcome:
    withScope:
      scope.spawn waits(never)
      fail 1

scenario "scope-first-failure":
  outcome:
    let ch = never
    withScope:
      scope.spawn failsWhenCanceled(ch, 2)
      ch.receivers 1
      scope.spawn fails(1)

scenario "scope-cancel-child":
  outcome:
    let ch = never
    withScope:
      scope.spawn waits(ch)
      ch.receivers 1
      scope.cancel()

scenario "scope-cancel-body":
  outcome:
    let ch = never
    withScope:
      scope.spawn(ch, scope):
        ch.receivers 1
        scope.cancel()
      waits ch

scenario "scope-cancel-then-failure":
  outcome:
    let ch = never
    withScope:
      scope.spawn failsWhenCanceled(ch, 1)
      ch.receivers 1
      scope.cancel()

scenario "scope-deadline-child":
  outcome:
    withScope(1.ms): scope.spawn waits(never)

scenario "scope-deadline-body":
  outcome:
    withScope(1.ms): waits never

scenario "scope-deadline-unneeded":
  outcome:
    withScope(1.ms):
      scope.spawn:
        while not canceled(): safepoint()

scenario "scope-deadline-handled":
  outcome:
    withScope(1.ms):
      let ch = never
      scope.spawn(ch):
        try: waits ch
        except CanceledError: discard

scenario "scope-deadline-and-failure":
  outcome:
    withScope(1.ms): scope.spawn failsWhenCanceled(never, 1)

scenario "scope-deadline-meets-failure":
  outcome:
    let ch = never
    withScope(1.ms):
      scope.spawn waits(ch)
      scope.spawn failsWhenCanceled(ch, 1)
      waits ch

template innerScope(said: var string, body: untyped) =
  try:
    withScope: body
    said = "ok"
  except CanceledError:
    said = "canceled"
    raise
  except TimeoutError:
    said = "timeout"
    raise

scenario "scope-outer-canceled":
  var said = ""
  let ch = never
  let outer = outcome:
    withScope:
      scope.spawn(ch, scope):
        ch.receivers 1
        scope.cancel()
      innerScope(said): waits ch
  said & ", " & outer

scenario "scope-outer-deadline":
  var said = ""
  let outer = outcome:
    withScope(1.ms):
      innerScope(said): waits never
  said & ", " & outer

scenario "scope-outer-deadline-child":
  var said = ""
  let outer = outcome:
    withScope(1.ms):
      innerScope(said): scope.spawn waits(never)
  said & ", " & outer

scenario "scope-foreign-cancel":
  outcome:
    withScope:
      scope.spawn:
        let token = newToken()
        token.cancel()
        withToken token: waits never

scenario "scope-go-after-leave":
  var kept: Scope
  withScope: kept = scope
  outcome: kept.spawn yieldNow()

scenario "scope-leave-pinned":
  outcome:
    withPin p:
      withScope: scope.spawn waits(never)

scenario "scope-result":
  var child: Child[int]
  withScope: child = scope.spawn seven()
  $child.join()

# ---- tasks

scenario "join-value":
  var task = go seven()
  value: task.join()

scenario "join-failed":
  var task = go fails(1)
  outcome: task.join()

scenario "join-canceled":
  let ch = never
  var task = goWith(GoOptions(cancellable: true), waits(ch))
  ch.receivers 1
  task.cancel()
  outcome: task.join()

scenario "join-timeout":
  let ch = never
  proc waitsThen7(ch: Chan[int]): int =
    discard ch.recv()
    7
  var task = go waitsThen7(ch)
  let first = value: task.join(1.ms)
  ch.send 0
  first & ", " & $task.join()

# ---- channels

scenario "recv-zero-timeout":
  let ch = newChan[int](1)
  let empty = value: ch.recv(0)
  ch.send 7
  empty & ", " & $ch.recv(0)

scenario "recv-timeout":
  value: never.recv(1.ms)

scenario "recv-past-moment":
  value: never.recv(timeLeft(low(int64)))

scenario "recv-canceled":
  let ch = never
  let token = newToken()
  go cancelWhenWaiting(ch, unsafeAddr token)
  outcome:
    withToken token: waits ch

scenario "recv-canceled-first":
  outcome:
    let token = newToken()
    token.cancel()
    withToken token: waits never

scenario "recv-token-deadline":
  let token = newToken(1.ms)
  let wait = outcome:
    withToken token: waits never
  wait & ", " & (if token.timedOut: "timeout" else: $token.reason)

scenario "recv-closed":
  let ch = never
  ch.close()
  value: ch.recv()

scenario "recv-left":
  let ch = newChan[int](1)
  ch.send 7
  ch.close()
  let first = ch.recv()
  let second = value: ch.recv()
  $first & ", " & second

scenario "recv-iterate":
  let ch = newChan[int](2)
  ch.send 3
  ch.send 4
  ch.close()
  var sum = 0
  for n in ch: sum += n
  $sum

scenario "send-closed":
  let ch = never
  ch.close()
  outcome: ch.send 1

scenario "send-timeout":
  let ch = newChan[int](1)
  ch.send 1
  outcome: ch.send(2, 1.ms)

scenario "close-twice":
  let ch = never
  ch.close()
  outcome: ch.close()

scenario "try-recv":
  var n: int
  if never.tryRecv(n): $n else: "not now"

scenario "try-send":
  let ch = newChan[int](1)
  ch.send 1
  if ch.trySend(2): "ok" else: "not now"

scenario "select-default":
  let (a, b) = (never, never)
  select:
    a.recv: result = "a"
    b.recv: result = "b"
    otherwise: result = "not now"

scenario "select-timeout":
  let (a, b) = (never, never)
  select:
    a.recv: result = "a"
    b.recv: result = "b"
    timeout(1.ms): result = "timeout"

scenario "select-closed":
  let (a, b) = (never, never)
  b.close()
  select:
    a.recv: result = "a"
    b.recv as v: result = if v.isNone: "closed" else: "b"

scenario "select-canceled":
  let (a, b) = (never, never)
  let token = newToken()
  go cancelWhenWaiting(a, unsafeAddr token)
  outcome:
    withToken token:
      select:
        a.recv: discard
        b.recv: discard

scenario "select-even":
  var ready, idle: seq[Chan[int]]
  for _ in 0 ..< 2: ready.add newChan[int](1)
  for _ in 0 ..< 8: idle.add never
  var count: array[2, int]
  for ch in ready: ch.send 1
  for _ in 0 ..< 2000:
    let (index, _) = recvAny(ready & idle)
    inc count[index]
    ready[index].send 1
  if count[0] in 800 .. 1200: "even" else: $count

# ---- locks

scenario "lock-canceled":
  var m: Mutex
  let token = newToken()
  token.cancel()
  outcome:
    withToken token:
      withLock m: doAssert not m.tryLock()
    doAssert m.tryLock()

scenario "lock-body-fails":
  var m: Mutex
  let body = outcome:
    withLock m: fail 1
  body & ", " & (if m.tryLock(): "ok" else: "taken")

scenario "unlock-free":
  var m: Mutex
  outcome: m.unlock()

scenario "unlock-foreign":
  var m: Mutex
  m.lock()
  proc unlocks(m: ptr Mutex): string =
    outcome: m[].unlock()
  result = join(go unlocks(addr m))
  m.unlock() # it is the caller's still

scenario "waitgroup-below-zero":
  var wg: WaitGroup
  outcome: wg.done()

scenario "semaphore-canceled":
  var s: Semaphore
  let token = newToken()
  proc cancels(s: ptr Semaphore, token: ptr Token) =
    while s[].waiters < 1: yieldNow()
    token[].cancel()
  go cancels(addr s, unsafeAddr token)
  outcome:
    withToken token: s.acquire()

# ---- the rest

scenario "shield":
  let token = newToken()
  token.cancel()
  withToken token:
    var first = ""
    shielded: first = value never.recv(1.ms)
    let second = value never.recv()
    result = first & ", " & second

scenario "world-body-fails":
  let body = outcome:
    withStoppedWorld("meaning", 10.sec): fail 1
  var task = go yieldNow()
  body & ", " & outcome(task.join())

scenario "hook-fails":
  let token = newToken()
  let done = newChan[int](1)
  var hook {.used.} = onCancel(token, done):
    defer: done.send 1
    fail 1
  token.cancel()
  outcome: discard done.recv()

scenario "once-fails":
  var once: Once
  proc fails() {.nimcall, gcsafe.} = fail 1
  let first = outcome: once.perform(fails)
  first & ", " & outcome(once.perform(fails))

if paramCount() == 0:
  for (name, _) in all: echo name
else:
  for (name, run) in all:
    if name == paramStr(1): echo runMain run()
