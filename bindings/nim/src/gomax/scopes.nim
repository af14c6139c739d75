## Goroutines that belong together: a scope waits for all of them.
import std/macros
import required, abi, errors, gvars, handover, tasks

when NimMajor >= 2: {.push warning[BareExcept]: off.} # nothing may unwind into C

type
  ScopeState* = object  ## In the frame of `withScope`. Goroutines of the scope use it while the owner waits for them.
    failed: bool        ## The first failure is `error`. The owner reads it after all goroutines have ended.
    ended: bool         ## The scope's own token has ended a wait.
    error: ref Exception
  Scope* = object       ## The goroutines that a `withScope` waits for. Copies are the same scope.
    raw: Handle         ## Stale behind the block, so that the library refuses each call of it.
    state: ptr ScopeState
  ChildCell[T] = object ## what a goroutine and its `Child` share: the last one frees it, and the box around it
    refs: int
    free: proc (arg: pointer) {.nimcall, raises: [], gcsafe.}
    box: pointer
    ended: uint32       ## a semaphore
    returned: bool
    when T isnot void:
      value: T
  ChildBox[A, F, T] = object
    body: StatusBody    ## for nimStatusEntry
    cell: ChildCell[T]
    scope: Scope
    fn: F
    args: A
  Child*[T] = object    ## A goroutine of a scope that returns T. One that goes away changes nothing.
    cell: ptr ChildCell[T]

proc `=copy`*[T](a: var Child[T], b: Child[T]) {.error.}

proc release[T](cell: ptr ChildCell[T]) {.raises: [], gcsafe.} =
  if atomicDec(cell.refs) == 0: cell.free(cell.box)

proc `=destroy`*[T](c: var Child[T]) =
  if c.cell != nil: release(c.cell)
  c.cell = nil

proc freeChild[A, F, T](arg: pointer) {.nimcall, raises: [], gcsafe.} =
  {.cast(gcsafe), cast(raises: []).}: `=destroy`(cast[ptr ChildBox[A, F, T]](arg)[])
  dealloc(arg)

const left = "the scope was left, or never made"

proc token(scope: Scope): Handle =
  checkUse gmx_scope_token(scope.raw, addr result), left

proc openScope*(timeout: Timeout, state: ptr ScopeState): Scope =
  check gmx_scope_new(int64(timeout), addr result.raw)
  let status = gmx_scope_enter(result.raw)
  if status != OK:
    discard waits gmx_scope_leave(result.raw, 0, nil)
    raiseStatus(status)
  result.state = state

proc cancel*(scope: Scope) =
  ## Ends what its goroutines and its body wait for: that is no failure.
  checkUse gmx_scope_cancel(scope.raw), left

proc isCanceled*(scope: Scope): bool =
  ## By `cancel`, by the first failure, by its deadline, or with the token around it.
  gmx_cancel_is_canceled(scope.token)

proc abort() {.importc, header: "<stdlib.h>", noreturn.}

proc cannotWait(status: Status) {.noreturn, raises: [].} =
  ## The goroutines refer to what lies around the scope, so its owner must not continue before they end.
  try:
    stderr.write("gomax: a scope cannot be left where its owner cannot wait for its goroutines (" & $gmx_strerror(status) &
      "): put `withScope` around `withPin`, `blocking` and `withStoppedWorld`, not into them\n")
    stderr.flushFile()
  except CatchableError: discard
  abort()

proc letsOut*(scope: Scope, e: ref Exception): Status {.raises: [], gcsafe.} =
  ## What it means that a goroutine or the body lets e out. An error of a wait that the scope's own token ended is no
  ## failure.
  let state = scope.state
  if e of CanceledError:
    var token: Handle
    var reason = OK
    if gmx_scope_token(scope.raw, addr token) == OK and gmx_cancel_reason(token, addr reason) == OK and reason != OK:
      atomicStoreN(addr state.ended, true, ATOMIC_RELAXED)
      return OK
  {.cast(raises: []), cast(gcsafe).}:
    if not atomicTestAndSet(addr state.failed, ATOMIC_RELAXED): state.error = e
  ECANCELED

proc leaveScope*(scope: Scope) =
  ## Waits for all, and raises what there is to raise. The token around the scope is the caller's again.
  let state = scope.state
  var why = ScopeEnd(struct_size: csize_t(sizeof(ScopeEnd)))
  let status = waits gmx_scope_leave_why(scope.raw, forever, addr why)
  if status != OK: cannotWait(status)
  if state.error != nil: raise move state.error
  if not state.ended: return
  if gmx_cancel_is_canceled(0): raiseStatus(ECANCELED)
  if why.by == SCOPE_DEADLINE: raiseStatus(ETIMEDOUT)

template inScope*(timeout: Timeout, body: untyped) =
  ## What `withScope` comes to. No block and no loop is around body: its `break` and `continue` are the caller's.
  if true:
    var state: ScopeState
    let scope {.inject, used.} = openScope(timeout, addr state)
    var through = false
    try:
      body
      through = true
    except CatchableError, Defect:
      through = letsOut(scope, getCurrentException()) == OK
    finally:
      if not through: cancel(scope)
      leaveScope(scope)

macro withScope*(args: varargs[untyped]): untyped =
  ## `withScope: body` or `withScope(timeout): body` runs body with a `scope`, and waits for the goroutines that were
  ## spawned in it. The first failure, of one of them or of body, cancels the others and what body waits for, and is
  ## raised here. Leaving body early (`return`, `break`, `continue`) and `scope.cancel()` cancel all; that raises
  ## nothing. If the timeout ends a wait, `TimeoutError` is raised here; if the token around the scope does,
  ## `CanceledError`.
  ##
  ## .. code-block:: nim
  ##   withScope(10.sec):
  ##     var size = scope.spawn fetch(a)
  ##     scope.spawn fetch(b)
  ##     echo size.join()
  if args.len notin 1 .. 2: error("withScope: body, or withScope(timeout): body", args)
  newCall(bindSym"inScope", if args.len == 2: args[0] else: bindSym"forever", args[^1])

# ---- its goroutines

proc runChild[A, F, T](arg: pointer): Status {.cdecl, raises: [], gcsafe.} =
  let box = cast[ptr ChildBox[A, F, T]](arg)
  {.cast(raises: []), cast(gcsafe).}:
    try:
      when T is void: box.fn(box.args)
      else: box.cell.value = box.fn(box.args)
      box.cell.returned = true
    except Exception as e:
      result = box.scope.letsOut(e)
    reset(box.args)
  if box.cell.returned: handOver(T)
  else: handOverAll()
  if atomicLoadN(addr box.cell.refs, ATOMIC_RELAXED) > 1: discard gmx_sema_release(addr box.cell.ended) # it has a Child
  release(addr box.cell)

proc startInScope*[A, F](T: typedesc, scope: Scope, fn: F, args: sink A): Child[T] {.discardable.} =
  ## What `spawn` comes to.
  let box = cast[ptr ChildBox[A, F, T]](alloc0(sizeof(ChildBox[A, F, T])))
  if box == nil: raiseStatus(ENOMEM)
  box.body = runChild[A, F, T]
  box.cell.refs = 2
  box.cell.free = freeChild[A, F, T]
  box.cell.box = box
  box.scope = scope
  box.fn = fn
  box.args = args
  handOver(A)
  let status = gmx_scope_spawn(scope.raw, nimStatusEntry, box)
  if status != OK:
    freeChild[A, F, T](box) # it never ran
    if status == ESTALE: misuse(left)
    raiseStatus(status)
  result.cell = addr box.cell

macro spawn*(scope: Scope, args: varargs[untyped]): untyped =
  ## Starts a goroutine in the scope, as `go` does: `scope.spawn f(x)`, or `scope.spawn(x): body`. `var c = scope.spawn
  ## f(x)` gives a `Child`, to join within the scope or behind it. `MisuseDefect` if the scope was left.
  let (returns, fn, captured) = asProc(args)
  newCall(bindSym"startInScope", returns, scope, fn, captured)

proc join*[T](c: var Child[T], timeout: Timeout = forever): T =
  ## Waits for the goroutine, and returns what it returned. Its failure comes out of the scope: here that is a
  ## `CanceledError`, as is the end of a goroutine that was canceled. After a `TimeoutError`, and a `CanceledError` of
  ## the wait itself, it can be joined again: see `joined`.
  if c.cell == nil: misuse("the goroutine was joined, or never spawned")
  check waits(gmx_sema_acquire_timeout(addr c.cell.ended, int64(timeout)))
  let cell = move c.cell
  let returned = cell.returned
  when T isnot void: result = move cell.value
  release(cell)
  if not returned: raiseStatus(ECANCELED)

proc joined*[T](c: Child[T]): bool = c.cell == nil
