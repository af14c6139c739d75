## Time, Ps, threads and the world.
import std/macros
import required, abi, errors, gvars

when NimMajor >= 2: {.push warning[BareExcept]: off.} # nothing may unwind into C

proc sleep*(time: Timeout) = check waits(gmx_sleep(int64(time))) ## `sleep 5.ms`
proc sleep*(ns: int64) = sleep(toTimeout(ns))
  ## Beside `std/os`, whose `sleep` counts milliseconds in an `int`: Nim 2 would take that one for `sleep 5.ms`.
proc yieldNow*() = check waits(gmx_yield())         ## lets other goroutines run first
proc now*(): int64 = gmx_now()                      ## the monotonic clock, in nanoseconds
proc deadline*(timeout: Timeout): int64 = gmx_deadline(int64(timeout)) ## when a timeout ends that begins now
proc timeLeft*(deadline: int64): int64 = gmx_time_left(deadline) ## what is left of it
proc goid*(): uint64 = gmx_goid()                   ## the number of the calling goroutine; 0 outside of goroutines
proc numG*(): int = int(gmx_num_g())                ## how many goroutines are alive
proc maxprocs*(): int = int(waits gmx_gomaxprocs(0))      ## how many goroutines run at the same time
proc setMaxprocs*(n: Positive): int {.discardable.} = counted(waits gmx_gomaxprocs(int32(n)))
proc setDefaultMaxprocs*() = check waits(gmx_set_default_gomaxprocs()) ## it follows the machine, as at the beginning
proc numCpu*(): int = int(gmx_num_cpu())            ## what the default for it is
proc shutdown*(timeout: Timeout = forever) = check waits(gmx_shutdown(int64(timeout)))
  ## Waits until no goroutine is alive, and ends all threads.

proc initGomax*(maxprocs = 0, stackSize = 0, g0StackSize = 0, slice: Timeout = 0, maxThreads = 0, preempt = true) =
  ## Starts the runtime with other than the defaults, before anything else does. Without `preempt` a goroutine that
  ## calls nothing of the library keeps its P for as long as it runs.
  var config = Config(struct_size: csize_t(sizeof(Config)), maxprocs: int32(maxprocs), stack_size: csize_t(stackSize),
    g0_stack_size: csize_t(g0StackSize), slice_ns: int64(slice), max_threads: int32(maxThreads),
    flags: if preempt: 0'u32 else: CONFIG_PREEMPT_OFF)
  check gmx_init(addr config)

proc gomaxVersion*(): tuple[major, minor, patch: int] =
  ## Of the library.
  let v = int(gmx_version())
  (v shr 16, v shr 8 and 255, v and 255)

proc schedStats*(): SchedStats =
  ## The scheduler in numbers; nothing stops for it.
  result.struct_size = csize_t(sizeof(SchedStats))
  check gmx_read_sched_stats(addr result)

proc memStats*(): MemStats =
  ## The library's memory, read in a world that is stopped for the moment.
  result.struct_size = csize_t(sizeof(MemStats))
  check waits(gmx_read_mem_stats(addr result))

proc releaseMemory*() = check waits(gmx_release_memory())
  ## Gives the memory of all stacks that are kept for the next goroutines to the system at once.

proc stackBounds*(): tuple[lo, hi: pointer] =
  ## The bounds of the stack that the caller runs on: its goroutine's, or its thread's.
  check gmx_stack_bounds(addr result.lo, addr result.hi)

proc writeHeapDump*(fd: cint) = check waits(gmx_write_heap_dump(fd))
  ## Writes what every P, thread and goroutine does to a file, as text.

var pollWord {.importc: "gmx_poll_word", header: "<gomax.h>".}: uint32

proc safepoint*() {.inline, raises: [], gcsafe.} =
  ## For loops that call nothing of the library: a load and a branch while nothing is asked.
  if pollWord != 0: discard waits gmx_safepoint_slow()

template bracketed(enter, body: untyped) =
  let onG = gmx_self() != 0 # a thread of the host just does it
  if onG: check enter
  try: body
  finally:
    if onG: discard waits gmx_exit_syscall()

template blocking*(body: untyped) =
  ## Around what blocks the thread: the P goes to others at once. No call that waits for goroutines in there.
  bracketed(gmx_enter_syscall_blocking(), body)

template mayBlock*(body: untyped) =
  ## As `blocking`, for what mostly returns at once: the P stays within reach, and goes to others when it lasts.
  bracketed(gmx_enter_syscall(), body)

template withPin*(p: untyped, body: untyped) =
  ## The goroutine stays on P number `p`, which no other goroutine uses; body does not wait.
  if true: # no block: a `break` of the user's would leave it
    let p {.used.} = counted(waits gmx_pin())
    try: body
    finally: discard waits gmx_unpin()

template lockedToThread*(body: untyped) =
  ## The goroutine stays on its thread.
  check gmx_lock_os_thread()
  try: body
  finally: discard gmx_unlock_os_thread()

template withStoppedWorld*(reason: string, timeout: Timeout, body: untyped) =
  ## No other goroutine runs meanwhile; body does not wait.
  check waits(gmx_stop_the_world_timeout(cstring(reason), int64(timeout)))
  try: body
  finally: discard gmx_start_the_world()

type
  EachG* = proc (info: ptr GInfo, arg: pointer) {.nimcall, gcsafe, raises: [].}
  EachP* = proc (p: int, arg: pointer) {.nimcall, gcsafe, raises: [].}
  Each[F] = object
    body: Body # for nimEntry
    fn: F
    arg: pointer

proc eachG(arg: pointer, info: ptr GInfo) {.cdecl, raises: [], gcsafe.} =
  let each = cast[ptr Each[EachG]](arg) # by the caller itself, with its variables
  each.fn(info, each.arg)

proc forEachG*(fn: EachG, arg: pointer = nil) =
  ## In `withStoppedWorld`: calls fn for every goroutine.
  var each = Each[EachG](fn: fn, arg: arg)
  check gmx_for_each_g(eachG, addr each)

proc eachP(arg: pointer) {.cdecl, raises: [], gcsafe.} =
  let each = cast[ptr Each[EachP]](arg)
  let p = waits gmx_pin()
  each.fn(int(p), each.arg)
  discard waits gmx_unpin()

proc forEachP*(fn: EachP, arg: pointer = nil) =
  ## Calls fn once for every P, on several threads at the same time. It must be short and must not wait.
  var each = Each[EachP](body: eachP, fn: fn, arg: arg)
  check waits(gmx_for_each_p(nimEntry, addr each))

type PerP*[T] = object ## A pointer that every P has for itself, nil at first: for callers in `withPin` or `forEachP`.
  key: uint32

proc `=copy`*[T](a: var PerP[T], b: PerP[T]) {.error.}
proc `=destroy`*[T](x: var PerP[T]) =
  if x.key != 0: discard gmx_p_key_delete(x.key)
  x.key = 0

proc newPerP*[T](): PerP[T] = check gmx_p_key_create(addr result.key)
proc made[T](x: PerP[T]): uint32 =
  if x.key == 0: misuse("the PerP was never made: newPerP")
  x.key
proc get*[T](x: PerP[T]): ptr T = cast[ptr T](gmx_p_get(x.made))
proc set*[T](x: PerP[T], value: ptr T) = check gmx_p_set(x.made, value)
proc `[]`*[T](x: PerP[T], p: int): ptr T = cast[ptr T](gmx_p_get_of(x.made, int32(p)))
  ## That of P number p, from 0 to `countP() - 1`: for a stopped world.
proc countP*(): int = int(gmx_p_count()) ## how many Ps were ever made

template attached*(body: untyped) =
  ## Makes a thread of Nim a goroutine for the time of body.
  check gmx_attach_thread()
  try: body
  finally: discard gmx_detach_thread()

proc raisedInCallback*(e: ref Exception) {.raises: [], gcsafe.} = unseen(e)

macro gomaxCallback*(prc: untyped): untyped =
  ## For a proc that C calls, from whatever thread: it runs as a goroutine on that very thread, with thread variables of
  ## its own. It returns nothing; what it raises is told on stderr.
  ##
  ## .. code-block:: nim
  ##   proc onEvent(kind: cint, data: pointer) {.gomaxCallback.} = ...
  ##   registerHandler(onEvent)
  expectKind(prc, nnkProcDef)
  if prc.params[0].kind != nnkEmpty: error("a callback returns nothing", prc)
  let (inner, guarded) = (genSym(nskProc, "inner"), genSym(nskProc, "guarded"))
  let types = newNimNode(nnkTupleConstr)
  let values = newNimNode(nnkTupleConstr)
  types.add bindSym"Body"
  values.add guarded
  let call = newCall(inner)
  let args = genSym(nskLet, "args")
  for i in 1 ..< prc.params.len:
    for j in 0 ..< prc.params[i].len - 2:
      call.add nnkBracketExpr.newTree(nnkDerefExpr.newTree(args), newLit(values.len))
      values.add prc.params[i][j]
      types.add prc.params[i][^2]
  let body = copyNimTree(prc)
  body[0] = inner
  body[4] = nnkPragma.newTree(ident"nimcall", ident"gcsafe")
  # C calls this one, perhaps on a thread without thread variables: it does nothing but gather its arguments
  let outer = copyNimTree(prc)
  outer[4] = nnkPragma.newTree(ident"cdecl", ident"gcsafe", nnkExprColonExpr.newTree(ident"raises", newNimNode(nnkBracket)),
    nnkExprColonExpr.newTree(ident"stackTrace", ident"off"))
  outer[6] = quote do:
    var mine: `types` = `values`
    discard nimCallback(addr mine)
  result = newStmtList(body)
  result.add quote do:
    proc `guarded`(arg: pointer) {.cdecl, gcsafe, raises: [].} =
      let `args` = cast[ptr `types`](arg)
      {.cast(raises: []).}:
        try: `call`
        except Exception as e: raisedInCallback(e)
  result.add outer
