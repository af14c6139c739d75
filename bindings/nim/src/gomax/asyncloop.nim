## The loop of std/asyncdispatch beside goroutines: `import gomax/asyncloop`, for a thread that runs the loop, as
## `waitFor` and `runForever` do.
##
## Problem. A Future and what refers to it belong to the thread of the loop, since counts of references are not atomic.
## A goroutine must not touch them, and the loop must not wait in the library.
##
## Protocol. What goes to the loop is a box, by `gmx_post`. The loop watches the descriptor of `gmx_host_fd` and opens
## the boxes on its own thread. A box holds the Future by a count that only the loop changes; a goroutine moves its
## result into the box before it posts it.
##
## Invariants. Boxes are opened on the thread that called `serveGoroutines`, and on no goroutine, whose thread may
## change between two of them. The last user of a box frees it.
import std/[asyncdispatch, macros]
import required, abi, errors, gvars, handover, tasks, chans

when NimMajor >= 2: {.push warning[BareExcept]: off.} # nothing may unwind into C

var serving {.threadvar.}: bool

proc serveGoroutines*() =
  ## Has the loop of the calling thread serve goroutines, which the calls below need. Not on a goroutine.
  if gmx_self() != 0: misuse("a loop of asyncdispatch is served on a plain thread: not within runMain")
  if serving: return
  let fd = AsyncFD(counted gmx_host_fd())
  register(fd)
  addRead(fd, proc (fd: AsyncFD): bool {.gcsafe.} =
    discard counted(waits gmx_host_run(64)) # what is left makes the descriptor readable again
    false)
  serving = true

proc needServing() =
  if not serving: misuse("the loop does not serve goroutines: serveGoroutines")

proc postBox(fn: Fn, box: pointer) {.raises: [], gcsafe.} =
  while gmx_post(fn, box) != OK: discard waits gmx_sleep(1_000_000) # there is no memory for the moment

# ---- the end of a goroutine as a Future

type FutureBox[T] = object
  body: Body # for nimEntry
  future: pointer # the loop's
  task: Task[T]
  error: ref Exception
  when T isnot void:
    value: T

proc settle[T](arg: pointer) {.cdecl, raises: [], gcsafe.} = # on the loop
  let box = cast[ptr FutureBox[T]](arg)
  {.cast(raises: []), cast(gcsafe).}:
    block:
      let future = cast[Future[T]](box.future)
      GC_unref(future)
      if not future.finished:
        if box.error != nil: future.fail(move box.error)
        elif true:
          when T is void: future.complete()
          else: future.complete(move box.value)
    reset(box[])
  dealloc(box)

proc joinsFor[T](arg: pointer) {.cdecl, raises: [], gcsafe.} = # on a goroutine
  let box = cast[ptr FutureBox[T]](arg)
  {.cast(raises: []), cast(gcsafe).}:
    try:
      when T is void: box.task.join()
      else: box.value = box.task.join()
    except Exception as e:
      box.error = e
  handOverAll()
  postBox(settle[T], box)

proc asFuture*[T](task: sink Task[T]): Future[T] =
  ## A Future that completes, or fails, when the goroutine ends: `await asFuture(go fib(30))`. On the loop's thread.
  needServing()
  let box = cast[ptr FutureBox[T]](alloc0(sizeof(FutureBox[T])))
  if box == nil: raiseStatus(ENOMEM)
  result = newFuture[T]("gomax.asFuture")
  GC_ref(result)
  box.body = joinsFor[T]
  box.future = cast[pointer](result)
  box.task = task
  let status = gmx_spawn(nimEntry, box)
  if status != OK:
    GC_unref(result)
    reset(box[])
    dealloc(box)
    raiseStatus(status)

proc receives[T](ch: Chan[T]): T = ch.recv()
proc recvFuture*[T](ch: Chan[T]): Future[T] =
  ## A Future that completes with the next value of a channel, or fails with `ClosedError`. A goroutine receives for it:
  ## the value is its own from then on, whether something still waits for the Future or not.
  asFuture(go receives(ch))

# ---- a call on the loop, for which a goroutine waits

type
  LoopError* = object of CatchableError
    ## What `onLoop` raises if the Future fails: the name and the text of the exception, which itself stays on the loop.
  LoopBox[A, F, T] = object ## the goroutine's and the loop's
    refs: int
    done: uint32 # a semaphore
    fn: F
    args: A
    failed: bool
    why: string
    when T isnot void:
      value: T

proc release[A, F, T](box: ptr LoopBox[A, F, T]) {.raises: [], gcsafe.} =
  if atomicDec(box.refs) > 0: return
  {.cast(raises: []), cast(gcsafe).}: reset(box[])
  dealloc(box)

proc finish[A, F, T](box: ptr LoopBox[A, F, T], error: ref Exception) {.raises: [], gcsafe.} =
  if error != nil:
    box.failed = true
    box.why = $error.name & ": " & error.msg
  discard gmx_sema_release(addr box.done)
  release(box)

proc callHere[A, F, T](arg: pointer) {.cdecl, raises: [], gcsafe.} = # on the loop
  let box = cast[ptr LoopBox[A, F, T]](arg)
  {.cast(raises: []), cast(gcsafe).}:
    try:
      let future = box.fn(box.args)
      reset(box.args)
      future.addCallback proc (future: Future[T]) {.gcsafe.} =
        when T isnot void:
          if not future.failed: box.value = future.read()
        finish(box, if future.failed: future.readError() else: nil)
    except Exception as e:
      finish(box, e)

proc startOnLoop*[A, F, T](future: typedesc[Future[T]], fn: F, args: sink A): T =
  ## What `onLoop` comes to.
  when T isnot void and holdsRefs(T):
    {.error: "gomax: the Future of onLoop holds a ref, which stays on the loop".}
  let box = cast[ptr LoopBox[A, F, T]](alloc0(sizeof(LoopBox[A, F, T])))
  if box == nil: raiseStatus(ENOMEM)
  box.refs = 2
  box.fn = fn
  box.args = args
  handOver(A)
  var status = gmx_post(callHere[A, F, T], box)
  if status != OK:
    reset(box[])
    dealloc(box)
    raiseStatus(status)
  status = waits gmx_sema_acquire_timeout(addr box.done, forever)
  if status != OK: # canceled: the call continues, and its result is dropped
    release(box)
    raiseStatus(status)
  let failed = box.failed
  let why = move box.why
  when T isnot void: result = move box.value
  release(box)
  if failed: raise newException(LoopError, why)

macro onLoop*(args: varargs[untyped]): untyped =
  ## For goroutines: calls a proc that returns a Future, on the thread of the loop, and waits until the Future has
  ## completed: `let page = onLoop(fetch(url))`. Its arguments go there as those of `go` do. It raises `LoopError` if
  ## the Future fails, and `CanceledError` if the caller's token is canceled.
  let (returns, fn, captured) = asProc(args)
  newCall(bindSym"startOnLoop", returns, fn, captured)
