## Wrong calls are `MisuseDefect`, and change nothing; an object that was declared and never made is one too.
{.used.}
import std/unittest
import gomax
from gomax/abi import Status
import counted

template refused(body: untyped) =
  expect MisuseDefect: body

proc keep(c: Counted) = discard

suite "wrong calls":
  test "a channel that was never made":
    proc main() =
      var ch: Chan[string]
      var text = "mine"
      refused: ch.send "a"
      refused: ch.send("a", 0)
      refused: discard ch.trySend("a")
      refused: ch.give text
      refused: discard ch.tryGive(text)
      check text == "mine"
      refused: discard ch.recv()
      refused: discard ch.next()
      refused: discard ch.tryRecv(text)
      refused:
        for value in ch: discard
      refused: ch.close()
      refused: ch.closeDrop()
      refused: discard ch.len
      refused: discard ch.cap
      refused: discard ch.isClosed
      refused: discard ch.waiters
      refused:
        select:
          ch.recv: discard
          otherwise: discard
      refused:
        select:
          ch.send("a"): discard
          otherwise: discard
      refused: discard recvAny([ch], 0)
      var value: Option[string]
      refused: discard recvCase(ch, addr value)
      refused: discard sendCase(ch, addr text)
      var cases = newSeq[Case](1)
      refused: selectFrom(cases, 0)
      let copy = ch
      refused: copy.close()
    runMain main()

  test "other objects that were never made":
    proc main() =
      var task: Task[int]
      refused: discard task.join()
      refused: task.cancel()
      var child: Child[int]
      refused: discard child.join()
      var token: Token
      refused: token.cancel()
      refused: token.cancel(Status(-125))
      refused: discard token.isCanceled
      refused: discard token.reason
      refused: discard token.deadline
      refused: discard token.done
      refused:
        withToken token: discard
      refused:
        var hook {.used.} = onCancel(token, yieldNow())
      var timer: Timer
      refused: timer.stop()
      refused: timer.reset(1.ms)
      refused: discard timer.ch.recv()
      var scope: Scope
      refused: scope.cancel()
      refused: discard scope.isCanceled
      refused: scope.spawn yieldNow()
      var class: BlockingClass
      refused: blockingIn(class, yieldNow())
      var perP: PerP[int]
      refused: discard perP.get()
      refused: perP.set(nil)
      refused: discard perP[0]
      var barrier: Barrier
      refused: barrier.wait()
      var after: After
      check not after.stop()
      var hook: CancelHook
      check not hook.stop()
    runMain main()

  test "unlock of a lock that is free, or another's":
    proc main() =
      var m: Mutex
      var rw: RwMutex
      var r: RecursiveMutex
      refused: m.unlock()
      refused: rw.unlock()
      refused: rw.unlockShared()
      refused: r.unlock()
      m.lock()
      rw.lock()
      r.lock()
      proc other(m: ptr Mutex, rw: ptr RwMutex, r: ptr RecursiveMutex) =
        refused: m[].unlock()
        refused: rw[].unlock()
        refused: r[].unlock()
      join(go other(addr m, addr rw, addr r))
      check not rw.tryLock()
      m.unlock()
      rw.unlock()
      r.unlock()
      rw.lockShared()
      refused: rw.unlock()
      rw.unlockShared()
      m.lock() # all as they should be
      rw.lock()
      r.lock()
    runMain main()

  test "a count below zero":
    proc main() =
      var wg: WaitGroup
      refused: wg.done()
      refused: wg.add(-1)
      wg.add 2
      refused: wg.add(-3)
      wg.done()
      wg.done()
      wg.wait(0)
    runMain main()

  test "a scope behind its block":
    proc main() =
      var kept: Scope
      withScope: kept = scope
      var other = kept
      for _ in 0 ..< 100: # the frame and the heap are used by others meanwhile
        withScope: scope.spawn yieldNow()
      refused: kept.spawn yieldNow()
      refused: other.cancel()
      refused: discard other.isCanceled
      let text = "taken along"
      refused: kept.spawn(text): doAssert text.len > 0
      var alive = 0
      refused: kept.spawn keep(newCounted(addr alive))
      check alive == 0
    runMain main()

  test "a second join":
    proc main() =
      proc one(): int = 1
      var task = go one()
      check task.join() == 1
      refused: discard task.join()
      var child: Child[int]
      withScope:
        child = scope.spawn one()
        check child.join() == 1
        refused: discard child.join()
      check child.joined
      refused: discard child.join()
    runMain main()

  test "a channel is closed once":
    proc main() =
      let ch = newChan[int](1)
      ch.close()
      expect ClosedError: ch.close()
      ch.closeDrop()
      ch.closeDrop()
    runMain main()
