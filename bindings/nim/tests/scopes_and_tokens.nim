## Scopes, tokens, and calls when a token is canceled.
{.used.}
import std/unittest
import gomax
from gomax/abi import Status
import counted

proc sleeper() =
  while true: sleep 1.sec
proc keep(c: Counted) = doAssert c.alive[] == 1
proc failing(text: string) =
  sleep 1.ms
  raise newException(IOError, text)

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

  test "a failure comes before a deadline and a cancellation":
    proc failsWhenCanceled(never: Chan[int]) =
      try: discard never.recv()
      except CanceledError: raise newException(IOError, "behind it")
    proc main() =
      let never = newChan[int]()
      expect IOError:
        withScope(1.ms):
          scope.spawn failsWhenCanceled(never)
          discard never.recv()
      let token = newToken()
      withToken token:
        expect IOError:
          withScope:
            scope.spawn failsWhenCanceled(never)
            while never.waiters.receivers < 1: yieldNow()
            token.cancel()
            discard never.recv()
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

suite "tokens":
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

  test "one goroutine is canceled":
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

  test "a call when a token is canceled":
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
      stderr.writeLine "(an unhandled exception follows)"
      var atOnce = onCancel(token, failing("at once"))
      while numG() > 1: yieldNow()
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
          var hook = onCancel(token, keep(Counted(alive: addr alive)))
          check alive == 1
          if stops: hook.stop() else: token.cancel()
          while numG() > 1: yieldNow()
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
