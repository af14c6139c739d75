## A body that the user hands to a template keeps its `break`, `continue` and `return`, and an exception leaves it: each
## is done from each body, and what the template took is given back.
{.used.}
import std/unittest
import gomax

type Way = enum
  breaks, continues, returns, raises, ends

template leaves(way: Way, wrap: untyped): string =
  ## Where the body that `wrap` has around `act` goes, from a loop in a loop in a proc.
  (proc (chosen: Way): string {.nimcall, gcsafe.} =
    result = "" # what is passed
    try:
      for outer in 1 .. 2:
        for inner in 1 .. 2:
          template act() {.used.} =
            case chosen
            of breaks: break
            of continues: continue
            of returns: return result & "r"
            of raises: raise newException(ValueError, "out")
            of ends: discard
          wrap
          result.add "i"
        result.add "o"
    except ValueError: result.add "x")(way)

template everyWay(name: string, wrap: untyped) =
  test name:
    proc main() =
      check leaves(breaks, wrap) == "oo"
      check leaves(continues, wrap) == "oo"
      check leaves(returns, wrap) == "r"
      check leaves(raises, wrap) == "x"
      check leaves(ends, wrap) == "iioiio"
    runMain main()

suite "the bodies of templates":
  everyWay("withScope"):
    withScope: act()
  everyWay("withScope with a deadline"):
    withScope(10.sec): act()
  everyWay("withPin"):
    withPin p: act()
  everyWay("withToken"):
    let token = newToken()
    withToken token: act()
  everyWay("shielded"):
    shielded: act()
  everyWay("blocking"):
    blocking: act()
  everyWay("mayBlock"):
    mayBlock: act()
  everyWay("lockedToThread"):
    lockedToThread: act()
  everyWay("withStoppedWorld"):
    withStoppedWorld("test", 10.sec): act()
  everyWay("select, a receive"):
    let ch = newChan[int](1)
    ch.send 1
    select:
      ch.recv: act()
  everyWay("select, a receive with a name"):
    let ch = newChan[int](1)
    ch.send 1
    select:
      ch.recv as v:
        doAssert v.get == 1
        act()
  everyWay("select, a send"):
    let ch = newChan[string](1)
    select:
      ch.send("text"): act()
  everyWay("select, a timeout"):
    let ch = newChan[int](1)
    select:
      ch.recv: discard
      timeout(0): act()
  everyWay("select, none"):
    let ch = newChan[int](1)
    select:
      ch.recv: discard
      otherwise: act()

  test "a lock is free behind its body":
    template everyLock(wrap: untyped) =
      check leaves(breaks, wrap) == "oo"
      check leaves(continues, wrap) == "oo"
      check leaves(returns, wrap) == "r"
      check leaves(raises, wrap) == "x"
    proc main() =
      everyLock:
        var m: Mutex
        withLock m: act()
      everyLock:
        var rw: RwMutex
        withLock rw: act()
      everyLock:
        var rw: RwMutex
        withSharedLock rw: act()
      everyLock:
        var r: RecursiveMutex
        withLock r: act()
    runMain main()
    for way in Way:
      proc leave(m: ptr Mutex, rw: ptr RwMutex, way: Way): int {.gcsafe.} =
        for i in 0 .. 1:
          try:
            withLock m[]:
              withSharedLock rw[]:
                case way
                of breaks: break
                of continues: continue
                of returns: return
                of raises: raise newException(ValueError, "out")
                of ends: discard
          except ValueError: discard
        0
      proc main() =
        var (m, rw) = (Mutex(), RwMutex())
        discard leave(addr m, addr rw, way)
        check m.tryLock() and rw.tryLock()
      main()

  test "attached":
    var thread: Thread[void]
    proc body() {.thread.} =
      for way in Way:
        let left {.used.} = leaves(way):
          attached: act()
        doAssert goid() == 0
    createThread(thread, body)
    joinThread thread

  test "what surrounds the body is as before":
    proc main() =
      let token = newToken()
      token.cancel()
      for way in Way:
        let left {.used.} = leaves(way):
          let token = newToken()
          token.cancel()
          withToken token:
            shielded:
              withPin p: act()
        sleep 1.us # under no token, pinned to no P
        withToken token:
          expect CanceledError: sleep 1.sec # in no shield
    runMain main()

  test "a select in a loop ends the loop":
    proc main() =
      let ch = newChan[int](3)
      for i in 1 .. 3: ch.send i
      ch.close()
      var (turns, sum) = (0, 0)
      while true:
        inc turns
        select:
          ch.recv as v:
            if v.isNone: break
            sum += v.get
      check (turns, sum) == (4, 6)
    runMain main()
