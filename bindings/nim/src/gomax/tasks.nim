## Goroutines with typed arguments and results.
import std/macros
import required, abi, errors, gvars, handover

when NimMajor >= 2: {.push warning[BareExcept]: off.} # nothing may unwind into C

type
  Cell[T] = object ## what a goroutine and its task share: the last user frees it, and the box around it
    refs: int
    free: proc (arg: pointer) {.nimcall, raises: [], gcsafe.}
    box: pointer
    error: ref Exception
    when T isnot void:
      value: T
  Box[A, F, T] = object ## F is proc (args: var A): T {.nimcall, gcsafe.}
    body: Body           ## for nimEntry
    cell: Cell[T]
    fn: F
    args: A
  Task*[T] = object ## A goroutine that returns T. Joined once; a task that goes away lets its goroutine run on.
    g: Handle
    cell: ptr Cell[T]
  GoOptions* = object
    name*: string      ## shown in reports and dumps
    stackSize*: int    ## usable bytes; 0: 256 KiB
    childFirst*: bool  ## the new goroutine runs at once, and the caller can be stolen
    last*: bool  ## it goes behind all others of the caller's P
    inherit*: bool ## it is under the caller's token, as what `withScope` spawns is
    cancellable*: bool ## for `cancel`
    wipe*: bool  ## its stack is wiped at its end; arguments and result are elsewhere

proc release[T](cell: ptr Cell[T]) {.raises: [], gcsafe.} =
  if atomicDec(cell.refs) > 0: return
  if cell.error != nil: unseen(cell.error)
  cell.free(cell.box)

proc freeBox[A, F, T](arg: pointer) {.nimcall, raises: [], gcsafe.} =
  {.cast(gcsafe), cast(raises: []).}: reset(cast[ptr Box[A, F, T]](arg)[])
  dealloc(arg)

proc `=copy`*[T](a: var Task[T], b: Task[T]) {.error.}

proc `=destroy`*[T](t: var Task[T]) =
  if t.cell != nil:
    discard gmx_detach(t.g)
    release(t.cell)
    t.cell = nil

proc runBox[A, F, T](arg: pointer) {.cdecl, raises: [], gcsafe.} =
  let box = cast[ptr Box[A, F, T]](arg)
  {.cast(raises: []).}:
    try:
      when T is void: box.fn(box.args)
      else: box.cell.value = box.fn(box.args)
    except Exception as e:
      box.cell.error = e
    {.cast(gcsafe).}: reset(box.args)
  if box.cell.error == nil: handOver(T)
  else: handOverAll()
  release(addr box.cell)

proc newBox[A, F](T: typedesc, fn: F, args: sink A): ptr Box[A, F, T] =
  result = cast[ptr Box[A, F, T]](alloc0(sizeof(Box[A, F, T])))
  if result == nil: raiseStatus(ENOMEM)
  result.body = runBox[A, F, T]
  result.cell.free = freeBox[A, F, T]
  result.cell.refs = 2
  result.cell.box = result
  result.fn = fn
  result.args = args
  handOver(A)

proc take[T](cell: ptr Cell[T]): T =
  let e = move cell.error
  when T isnot void: result = move cell.value
  release(cell)
  if e != nil: raise e

proc startTask*[A, F](T: typedesc, options: GoOptions, fn: F, args: sink A): Task[T] {.discardable.} =
  ## What `go` comes to.
  let box = newBox(T, fn, args)
  var opts = SpawnOpts(struct_size: csize_t(sizeof(SpawnOpts)), flags: SPAWN_JOINABLE, stack_size: csize_t(options.stackSize))
  if options.name.len > 0: opts.name = cstring(options.name)
  if options.childFirst: opts.flags = opts.flags or SPAWN_CHILD_FIRST
  if options.last: opts.flags = opts.flags or SPAWN_LAST
  if options.inherit: opts.flags = opts.flags or SPAWN_INHERIT
  if options.cancellable: opts.flags = opts.flags or SPAWN_CANCELLABLE
  if options.wipe: opts.flags = opts.flags or SPAWN_WIPE
  var g: Handle
  let status = waits gmx_spawn_with(addr opts, nimEntry, box, addr g)
  if status != OK:
    freeBox[A, F, T](box) # it never ran
    raiseStatus(status)
  result.g = g
  result.cell = addr box.cell

proc startMain*[A, F](T: typedesc, fn: F, args: sink A): T =
  ## What `runMain` comes to.
  let box = newBox(T, fn, args)
  let status = waits gmx_main(nimEntry, box)
  if status != OK:
    if status == EDEADLK: release(addr box.cell) # the goroutine still waits, and may continue later
    else: freeBox[A, F, T](box) # it never ran
    raiseStatus(status)
  take(addr box.cell)

proc join*[T](t: var Task[T], timeout: Timeout = forever): T =
  ## Waits for the goroutine, and returns what it returned or raises what it raised. If the wait itself ends early
  ## (`TimeoutError`) the task can be joined again: see `joined`. `MisuseDefect` if it was joined.
  if t.cell == nil: misuse("the task was joined, or never started")
  check waits(gmx_join(t.g, int64(timeout)))
  let cell = t.cell
  t.cell = nil
  take(cell)

proc join*[T](t: sink Task[T]): T =
  var mine = t
  join(mine, forever)

proc joined*[T](t: Task[T]): bool = t.cell == nil

proc cancel*[T](t: Task[T]): bool {.discardable.} =
  ## Ends its waits for events by `CanceledError`; `GoOptions.cancellable` says that this may be. False: it has ended.
  if t.g == 0: misuse("the task was never started")
  let status = gmx_cancel_g(t.g, ECANCELED)
  if status != ESTALE: check status
  status == OK

template plain(value: untyped): untyped =
  when value is Isolated: (var whole = value; extract(whole))
  else: value
template taken(value: untyped): untyped = isolated(typeof(plain(value)), value) # an argument of a goroutine

proc asProc*(args: NimNode): tuple[returns, fn, captured: NimNode] {.compileTime.} =
  ## `f(x, y)` or `x, y` and a block, as a proc of its own and the tuple of what it takes along. The proc is nimcall: a
  ## body that uses what it was not given does not compile. What is given as `Isolated[T]` is a T there.
  let params = genSym(nskParam, "args")
  let captured = newNimNode(nnkTupleConstr)
  let types = newNimNode(nnkTupleConstr)
  proc moved(value: NimNode): NimNode =
    captured.add newCall(bindSym"taken", value)
    types.add newCall(bindSym"typeof", newCall(bindSym"plain", value))
    newCall(bindSym"move", nnkBracketExpr.newTree(params, newLit(captured.len - 1)))
  var body, result_type: NimNode
  if args.len > 0 and args[^1].kind == nnkStmtList:
    body = newStmtList()
    for i in 0 ..< args.len - 1:
      if args[i].kind != nnkIdent: error("name a variable that the goroutine shall have", args[i])
      body.add nnkVarSection.newTree(nnkIdentDefs.newTree(args[i], newEmptyNode(), moved(args[i])))
    body.add args[^1]
    result_type = ident"void"
  elif args.len == 1 and args[0].kind in {nnkCall, nnkCommand}:
    let call = args[0]
    body = newCall(call[0])
    let example = newCall(call[0])
    for i in 1 ..< call.len:
      let named = call[i].kind == nnkExprEqExpr
      let value = if named: call[i][1] else: call[i]
      proc argument(part: NimNode): NimNode = (if named: nnkExprEqExpr.newTree(call[i][0], part) else: part)
      if value.kind in nnkLiterals:
        body.add call[i]
        example.add call[i]
      else:
        body.add argument(moved(value))
        example.add argument(newCall(bindSym"plain", value))
    result_type = newCall(bindSym"typeof", example)
  else:
    error("a call, or variables and a block", args)
  if captured.len == 0:
    captured.add newLit(0'i8)
    types.add bindSym"int8"
  let formal = nnkFormalParams.newTree(result_type,
    nnkIdentDefs.newTree(params, nnkVarTy.newTree(types), newEmptyNode()))
  let fn = nnkLambda.newTree(newEmptyNode(), newEmptyNode(), newEmptyNode(), formal,
    nnkPragma.newTree(ident"nimcall", ident"gcsafe"), newEmptyNode(), body)
  # A constant, since Nim 2.2 takes a proc in a loop for each yield of the iterator (walkDirRec has several), and puts
  # the destructors into it again each time: strings are freed while they are used.
  let name = genSym(nskConst, "goroutine")
  (result_type, nnkStmtListExpr.newTree(newConstStmt(name, fn), name), captured)

macro go*(args: varargs[untyped]): untyped =
  ## Starts a goroutine. `let t = go f(x, y)` gives a task to join. `go(x, y): body` takes x and y along, moved if they
  ## are not used afterwards, else copied; `go: body` takes nothing.
  let (returns, fn, captured) = asProc(args)
  newCall(bindSym"startTask", returns, newCall(bindSym"GoOptions"), fn, captured)

macro goWith*(options: GoOptions, args: varargs[untyped]): untyped =
  ## As `go`, with options: `goWith(GoOptions(name: "reader"), read(file))`.
  let (returns, fn, captured) = asProc(args)
  newCall(bindSym"startTask", returns, options, fn, captured)

# ---- after a time

type
  LateBox[A, F] = object ## what a timer's goroutine and its `After` share: the last user frees it
    body: Body           ## for nimEntry
    refs: int
    timer: Handle
    fn: F
    args: A
  After* = object ## What `after` gives. One that goes away lets it come.
    timer: Handle
    box: pointer
    release: proc (box: pointer) {.nimcall, raises: [], gcsafe.}

proc releaseLate[A, F](arg: pointer) {.nimcall, raises: [], gcsafe.} =
  let box = cast[ptr LateBox[A, F]](arg)
  if atomicDec(box.refs) > 0: return
  discard gmx_timer_free(box.timer, nil)
  {.cast(gcsafe), cast(raises: []).}: reset(box[])
  dealloc(box)

proc runLate[A, F](arg: pointer) {.cdecl, raises: [], gcsafe.} =
  let box = cast[ptr LateBox[A, F]](arg)
  {.cast(raises: []).}:
    try: box.fn(box.args)
    except Exception as e: unseen(e)
    {.cast(gcsafe).}: reset(box.args)
  releaseLate[A, F](box)

proc `=copy`*(a: var After, b: After) {.error.}
proc `=destroy`*(a: var After) =
  if a.box != nil: a.release(a.box)
  a.box = nil

proc stop*(a: var After): bool {.discardable.} =
  ## Keeps it from running, if it has not begun. Whether it did.
  var stopped = false
  if a.box == nil or gmx_timer_stop(a.timer, addr stopped) != OK or not stopped: return false
  a.release(a.box) # in its place: it will never run
  `=destroy`(a)
  true

proc startLate*[A, F](delay: Timeout, fn: F, args: sink A): After {.discardable.} =
  ## What `after` comes to.
  let box = cast[ptr LateBox[A, F]](alloc0(sizeof(LateBox[A, F])))
  if box == nil: raiseStatus(ENOMEM)
  box.body = runLate[A, F]
  box.refs = 2
  box.fn = fn
  box.args = args
  handOver(A)
  let status = gmx_after_func(int64(delay), nimEntry, box, addr box.timer)
  if status != OK:
    reset(box[])
    dealloc(box)
    raiseStatus(status)
  result.timer = box.timer
  result.box = box
  result.release = releaseLate[A, F]

macro after*(delay: Timeout, args: varargs[untyped]): untyped =
  ## Runs a call or a block on a goroutine of its own after so many nanoseconds: `after(5.ms, f(x))`, `after(5.ms, x):
  ## body`. It returns nothing. `var late = after(...)` may `late.stop()` it.
  let (_, fn, captured) = asProc(args)
  newCall(bindSym"startLate", delay, fn, captured)

# ---- so many at a time

type
  BlockingClass* = object ## Calls that block or compute for long, of which no more than so many run at a time.
    raw: Handle
  Turn* = object ## A turn in a class, and how long the caller waits for it.
    raw: Handle
    timeout: Timeout
  ClassCall[A, F, T] = object
    body: Body # for nimHere
    vars: pointer
    fn: F
    args: A
    error: ref Exception
    when T isnot void:
      value: T

proc `=copy`*(a: var BlockingClass, b: BlockingClass) {.error.}
proc `=destroy`*(class: var BlockingClass) =
  if class.raw != 0: discard gmx_class_free(class.raw)
  class.raw = 0

proc newBlockingClass*(limit: Positive, name = ""): BlockingClass =
  ## The name is shown in dumps as what the callers without a turn wait for. The class outlives its calls.
  check gmx_class_new(uint32(min(limit, int(high(uint32)))), cstring(name), addr result.raw)

proc within*(class: BlockingClass, timeout: Timeout): Turn = Turn(raw: class.raw, timeout: timeout)
proc turn*(class: BlockingClass): Turn =
  if class.raw == 0: misuse("the class was never made: newBlockingClass")
  class.within(forever)
proc turn*(turn: Turn): Turn = turn

proc runClassCall[A, F, T](arg: pointer) {.cdecl, raises: [], gcsafe.} =
  let call = cast[ptr ClassCall[A, F, T]](arg)
  {.cast(raises: []).}:
    try:
      when T is void: call.fn(call.args)
      else: call.value = call.fn(call.args)
    except Exception as e: call.error = e

proc callInTurn*[A, F](T: typedesc, turn: Turn, fn: F, args: sink A): T =
  ## What `blockingIn` comes to.
  var call = ClassCall[A, F, T](body: runClassCall[A, F, T], vars: gvars(), fn: fn, args: args)
  check waits(gmx_blocking_in(turn.raw, nimHere, addr call, int64(turn.timeout)))
  if call.error != nil: raise move call.error
  when T isnot void: result = move call.value

macro blockingIn*(class: untyped, args: varargs[untyped]): untyped =
  ## As `blocking`, when it is the caller's turn: `blockingIn(blas, multiply(a, b))` gives what the call returns, and
  ## `blockingIn(blas, x): body` takes x along, as `go` does. `blockingIn(blas.within(5.ms), f(x))` gives up with
  ## `TimeoutError`; the caller's token ends the wait for the turn too. Nothing was called then.
  let (returns, fn, captured) = asProc(args)
  newCall(bindSym"callInTurn", returns, newCall(bindSym"turn", class), fn, captured)

# ---- numbers side by side

type RangeCall[T] = object
  body: RangeBody # for nimRangeEntry
  fn: proc (first, last: int64, arg: ptr T) {.nimcall, gcsafe.}
  arg: ptr T
  failed: bool
  error: ref Exception

proc runRange[T](arg: pointer, first, last: int64) {.cdecl, raises: [], gcsafe.} =
  let call = cast[ptr RangeCall[T]](arg)
  {.cast(raises: []).}:
    try: call.fn(first, last, call.arg)
    except Exception as e:
      if atomicTestAndSet(addr call.failed, ATOMIC_RELAXED): unseen(e)
      else: call.error = e # read when all calls have returned
  handOverAll()

proc parallelFor*[T](n: int64, fn: proc (first, last: int64, arg: ptr T) {.nimcall, gcsafe.}, arg: ptr T, grain = 0'i64) =
  ## Calls fn for ranges, `first ..< last`, that together are `0 ..< n`, on as many goroutines as Ps have nothing else
  ## to do, and returns when all have returned. `grain`: the most numbers of one call; 0: found out. It raises what the
  ## first one raised, and `CanceledError` if numbers were left out because the caller's token was canceled.
  var call = RangeCall[T](body: runRange[T], fn: fn, arg: arg)
  let status = waits gmx_parallel_for(n, grain, nimRangeEntry, addr call)
  if call.error != nil: raise move call.error
  check status

macro runMain*(args: varargs[untyped]): untyped =
  ## Runs a call or a block as the main goroutine, and returns or raises what it does; the thread waits. `DeadlockError`
  ## when nothing could ever run again; a report on stderr says what waits where.
  let (returns, fn, captured) = asProc(args)
  newCall(bindSym"startMain", returns, fn, captured)
