## Threads that neither Nim nor the library made, what blocks them, Ps, the world, addresses; and the interface of C.
{.used.}
import std/[macros, os, strutils, unittest]
import gomax
import gomax/abi except OK

proc add(a, b: int): int = a + b

{.emit: """
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>
static long gomax_test_tid(void) { return syscall(SYS_gettid); } // getThreadId is the G's
static void *gomax_test_thread(void *arg) {
  void **call = arg;
  for (long i = 0; i < 100; i++) ((void (*)(long, void *))call[0])(i, call[1]);
  return 0;
}
static void gomax_test_threads(void *fn, void *arg) {
  pthread_t t[4];
  void *call[2] = {fn, arg};
  for (int i = 0; i < 4; i++) pthread_create(&t[i], 0, gomax_test_thread, call);
  for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
}
""".}
proc threadsOfC(fn: proc (n: clong, arg: pointer) {.cdecl, gcsafe, raises: [].}, arg: pointer) {.importc: "gomax_test_threads", nodecl.}

proc tid(): clong {.importc: "gomax_test_tid", nodecl.}

type Sum = object
  m: Mutex
  n, raised: int

proc onEvent(n: clong, arg: pointer) {.gomaxCallback.} =
  let sum = cast[ptr Sum](arg)
  try:
    sleep 10.us
    if n mod 2 == 1: raise newException(ValueError, "odd " & $n)
    withLock sum.m: sum.n += int(n)
  except ValueError as e:
    doAssert e.msg == "odd " & $n
    withLock sum.m: inc sum.raised

suite "threads, Ps, the world":
  test "a proc that C calls on its own threads":
    proc main() =
      var sum: Sum
      blocking: threadsOfC(onEvent, addr sum)
      check sum.n == 4 * 2450
      check sum.raised == 200
    runMain main()
    var sum: Sum
    threadsOfC(onEvent, addr sum)
    check sum.n == 4 * 2450

  test "sleep beside std/os":
    proc main() =
      let token = newToken()
      token.cancel()
      withToken token:
        expect CanceledError: sleep 1.us
        expect CanceledError: sleep initDuration(microseconds = 1)
    runMain main()

  test "what blocks the thread":
    proc errnoIs(n: int): int =
      blocking: result = n
    proc main() =
      check errnoIs(3) == 3
      blocking:
        expect GomaxError: sleep 1.ms
        expect GomaxError:
          mayBlock: discard
      mayBlock:
        expect GomaxError: yieldNow()
      expect ValueError:
        mayBlock: raise newException(ValueError, "out of it")
      yieldNow()
    runMain main()
    check errnoIs(4) == 4 # a plain thread just does it
    mayBlock: yieldNow()

  test "so many at a time":
    type Count = object
      inside, most, calls: int
    proc compute(count: ptr Count, gate: ptr uint32): int =
      doAssert getCurrentExceptionMsg() == "mine"
      let now = atomicAddFetch(addr count.inside, 1, ATOMIC_SEQ_CST)
      var seen = atomicLoadN(addr count.most, ATOMIC_SEQ_CST)
      while now > seen and not atomicCompareExchangeN(addr count.most, addr seen, now, false, ATOMIC_SEQ_CST, ATOMIC_SEQ_CST):
        discard
      while atomicLoadN(gate, ATOMIC_ACQUIRE) == 0: discard
      discard atomicAddFetch(addr count.inside, -1, ATOMIC_SEQ_CST)
      atomicAddFetch(addr count.calls, 1, ATOMIC_SEQ_CST)
    proc odd(n: int): string =
      if n mod 2 == 1: raise newException(ValueError, "odd " & $n)
      $n
    var count: Count
    var gate: uint32
    var class = newBlockingClass(2, "tests")
    proc caller(class: ptr BlockingClass, count: ptr Count, gate: ptr uint32): int =
      try: # an exception of the caller's own, over the wait for the turn
        raise newException(KeyError, "mine")
      except KeyError:
        result = blockingIn(class[], compute(count, gate))
        doAssert getCurrentExceptionMsg() == "mine"
    proc main(class: ptr BlockingClass, count: ptr Count, gate: ptr uint32) =
      var tasks: seq[Task[int]]
      for _ in 0 ..< 6: tasks.add go caller(class, count, gate)
      while atomicLoadN(addr count.inside, ATOMIC_SEQ_CST) < 2: sleep 10.us
      expect TimeoutError: discard blockingIn(class[].within(0), odd(2))
      expect TimeoutError: discard blockingIn(class[].within(1.ms), odd(2))
      withScope:
        scope.cancel()
        expect CanceledError: discard blockingIn(class[], odd(2))
      atomicStoreN(gate, 1'u32, ATOMIC_RELEASE)
      var sum = 0
      for t in tasks.mitems: sum += t.join()
      check sum == 21
      check count.most == 2
      check blockingIn(class[], odd(2)) == "2"
      expect ValueError: discard blockingIn(class[], odd(3))
      let text = "taken along"
      blockingIn(class[], text, count):
        if text == "taken along": inc count.calls
      check count.calls == 7
    runMain main(addr class, addr count, addr gate)
    check blockingIn(class, odd(4)) == "4" # a plain thread

  test "numbers side by side":
    proc mark(first, last: int64, seen: ptr array[1000, int32]) =
      for i in first ..< last: discard atomicAddFetch(addr seen[i], 1'i32, ATOMIC_RELAXED)
    proc fails(first, last: int64, seen: ptr array[1000, int32]) =
      raise newException(ValueError, "at " & $first)
    var seen: array[1000, int32]
    proc main(seen: ptr array[1000, int32]) =
      parallelFor(1000, mark, seen)
      parallelFor(1000, mark, seen, grain = 7)
      parallelFor(0, fails, seen)
      expect ValueError: parallelFor(1, fails, seen)
      withScope:
        scope.cancel()
        expect CanceledError: parallelFor(1000, mark, seen, grain = 1)
    runMain main(addr seen)
    for n in seen: check n >= 2
    parallelFor(10, mark, addr seen) # a plain thread

  test "numbers and dumps":
    proc main() =
      check gomaxVersion().major == 0
      let before = schedStats()
      check join(go add(1, 2)) == 3
      check schedStats().spawned > before.spawned
      check memStats().stacks_inuse >= 1
      releaseMemory()
      var here: int
      let (lo, hi) = stackBounds()
      check cast[uint](lo) < cast[uint](addr here) and cast[uint](addr here) < cast[uint](hi)
      let (path, number) = (getTempDir() / "gomax-dump-" & $getCurrentProcessId(), goid())
      let file = open(path, fmWrite)
      writeHeapDump file.getFileHandle()
      close file
      check ("goroutine " & $number) in readFile(path)
      removeFile path
      expect GomaxError: writeHeapDump(-1)
    runMain main()

  test "Ps":
    proc main() =
      setDefaultMaxprocs()
      check maxprocs() == numCpu()
      setMaxprocs 3
      check maxprocs() == 3
      var hits: array[3, int]
      proc hit(p: int, arg: pointer) {.nimcall, gcsafe, raises: [].} = inc cast[ptr array[3, int]](arg)[p]
      forEachP(hit, addr hits)
      check hits == [1, 1, 1]
      var slots = newPerP[int]()
      let each = (addr hits, addr slots)
      proc take(p: int, arg: pointer) {.nimcall, gcsafe, raises: [].} =
        let to = cast[ptr typeof(each)](arg)
        try: to[1][].set(addr to[0][p])
        except GomaxError: discard
      forEachP(take, unsafeAddr each)
      withPin p:
        check p in 0 .. 2
        expect GomaxError: sleep 1.ms
        check slots.get() == addr hits[p]
      var seen = 0
      withStoppedWorld("test", 10.sec):
        proc look(info: ptr GInfo, arg: pointer) {.nimcall, gcsafe, raises: [].} = inc cast[ptr int](arg)[]
        forEachG(look, addr seen)
        for p in 0 ..< 3: check slots[p] == addr hits[p]
        check countP() >= 3
      check seen == 1
    runMain main()

  test "a loop that polls lets others run":
    proc main() =
      var stop = false
      proc polls(stop: ptr bool) =
        while not atomicLoadN(stop, ATOMIC_RELAXED): safepoint()
      var t = go polls(addr stop)
      for _ in 0 ..< 20:
        withStoppedWorld("test", 10.sec): discard
      atomicStoreN(addr stop, true, ATOMIC_RELAXED)
      t.join()
      lockedToThread:
        let id = tid()
        for _ in 0 ..< 20: sleep 10.us
        check id == tid()
    runMain main()

  test "errno, asked for at once":
    proc errnos(n: int): bool =
      for i in 0 ..< 50:
        if tryRemoveFile("/proc/no such file/" & $n) == false: discard
        try:
          discard readFile("/nowhere/" & $n)
          return false
        except IOError: discard
        if i mod 4 == 0: sleep 1.us else: yieldNow()
      true
    proc main() =
      var tasks: array[20, Task[bool]]
      for n in 0 ..< 20: tasks[n] = go errnos(n)
      for t in tasks.mitems: check t.join()
    runMain main()

suite "addresses":
  test "a futex, and a recursive mutex":
    proc main() =
      var word = createShared(uint32)
      proc waitFor(word: ptr uint32) =
        while atomicLoadN(word, ATOMIC_ACQUIRE) == 0: waitOnAddress(word, 0'u32)
      var t = go waitFor(word)
      expect TimeoutError: waitOnAddress(word, 0'u32, 1.ms)
      atomicStoreN(word, 1'u32, ATOMIC_RELEASE)
      wakeAddress(word)
      t.join()
      waitOnAddress(word, 0'u32) # it differs
      freeShared(word)
      var m: RecursiveMutex
      withLock m:
        lock m
        check m.tryLock()
        m.unlock()
        m.unlock()
    runMain main()

# ---- the interface of C: each line of abi.nim is one that the C compiler accepts

macro callsAll(): untyped =
  result = newStmtList()
  for line in splitLines(staticRead("../src/gomax/abi.nim")):
    if not line.startsWith("proc gmx_"): continue
    let declared = parseStmt(line)[0]
    let call = newCall(declared[0][1])
    for params in declared.params[1 .. ^1]:
      for _ in 0 ..< params.len - 2:
        call.add(if params[^2].kind == nnkProcTy: newNilLit() else: newCall(ident"default", params[^2]))
    result.add(if declared.params[0].kind == nnkEmpty: call else: nnkDiscardStmt.newTree(call))

proc calls() {.used, exportc.} = callsAll() # compiled, and never called
