## Locks, conditions, semaphores, barriers, calls that are done once.
{.used.}
import std/unittest
import gomax

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
