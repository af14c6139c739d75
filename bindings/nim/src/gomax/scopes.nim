## Cancellation, and Gs that belong together.
import std/macros
import required, abi, errors, gvars, tasks, chans

type Token* = object ## Who waits under it goes on with `CanceledError` when it is cancelled.
  raw: Handle

proc `=copy`*(a: var Token, b: Token) {.error.}
proc `=destroy`*(t: var Token) =
  if t.raw != 0: discard gmx_cancel_free(t.raw) # which does not cancel it
  t.raw = 0

proc newToken*(timeout = forever): Token =
  ## Is cancelled after so many nanoseconds, by `cancel`, or with the caller's current token.
  check gmx_cancel_new(gmx_cancel_current(), timeout, addr result.raw)

proc cancel*(t: Token) = discard gmx_cancel_now(t.raw)
proc isCanceled*(t: Token): bool = gmx_cancel_is_cancelled(t.raw)
proc cancel*(t: Token, reason: Status) =
  ## With a reason of one's own, a status below 0.
  check gmx_cancel_now_because(t.raw, reason)
proc reason*(t: Token): Status =
  ## `OK` if it is not cancelled; `ECANCELED`; `ETIMEDOUT` by its timeout; or what `cancel` was given.
  check gmx_cancel_reason(t.raw, addr result)
proc deadline*(t: Token): int64 =
  ## On the clock of `now`, the earliest of its own and those above it; `high(int64)` if there is none.
  check gmx_cancel_deadline(t.raw, addr result)
proc timedOut*(t: Token): bool = t.reason == ETIMEDOUT
proc canceled*(): bool =
  ## Whether the caller's current token is: for loops that do not wait.
  gmx_cancel_is_cancelled(0)

proc useToken*(raw: Handle): Handle =
  check gmx_cancel_use(raw, addr result)

proc beginShield*() = check gmx_cancel_shield()
proc endShield*() = discard gmx_cancel_unshield()

type Cancellation* = object ## What is never sent by the channel of a token.

proc done*(t: Token): Chan[Cancellation] =
  ## Is closed when the token is cancelled, for `select`: `token.done.recv: ...`.
  var raw: RawChan
  check gmx_cancel_chan(t.raw, addr raw)
  wrapChan[Cancellation](raw)

type
  HookBox[A, F] = object ## what the G and its `CancelHook` share: the one that comes last frees it
    body: Body           ## for nimEntry
    refs: int
    fn: F
    args: A
  CancelHook* = object ## What `onCancel` gives. One that goes away stops it.
    hook: Handle
    box: pointer
    release: proc (box: pointer) {.nimcall, raises: [], gcsafe.}

proc releaseHook[A, F](arg: pointer) {.nimcall, raises: [], gcsafe.} =
  let box = cast[ptr HookBox[A, F]](arg)
  if atomicDec(box.refs) > 0: return
  {.cast(gcsafe), cast(raises: []).}: reset(box[])
  dealloc(box)

proc runHook[A, F](arg: pointer) {.cdecl, raises: [], gcsafe.} =
  let box = cast[ptr HookBox[A, F]](arg)
  {.cast(raises: []).}:
    try: box.fn(box.args)
    except Exception as e: unseen(e)
    {.cast(gcsafe).}: reset(box.args)
  releaseHook[A, F](box)

proc stop*(h: var CancelHook): bool {.discardable.} =
  ## Keeps it from running, if it has not begun. Whether it did. It is not waited for.
  if h.box == nil: return false
  var stopped = false
  discard gmx_cancel_hook_stop(h.hook, addr stopped)
  if stopped: h.release(h.box) # in its place: it will never run
  h.release(h.box)
  h.box = nil
  stopped

proc `=copy`*(a: var CancelHook, b: CancelHook) {.error.}
proc `=destroy`*(h: var CancelHook) = discard stop(h)

proc startHook*[A, F](t: Token, fn: F, args: sink A): CancelHook =
  ## What `onCancel` comes to.
  let box = cast[ptr HookBox[A, F]](alloc0(sizeof(HookBox[A, F])))
  if box == nil: raiseStatus(ENOMEM)
  box.body = runHook[A, F]
  box.refs = 2
  box.fn = fn
  box.args = args
  let status = gmx_cancel_after(t.raw, nimEntry, box, addr result.hook)
  if status != OK:
    reset(box[])
    dealloc(box)
    raiseStatus(status)
  result.box = box
  result.release = releaseHook[A, F]

macro onCancel*(token: Token, args: varargs[untyped]): untyped =
  ## Runs a call or a block on a G of its own when the token is cancelled, at once if it is: for what has to end a wait that is
  ## none of the library's. `var hook = onCancel(token, closeSocket(fd))`, `onCancel(token, fd): body`; it returns nothing. The
  ## end of `hook` stops it. `newToken()` is cancelled with the caller's own, if that is to be followed.
  let (_, fn, captured) = asProc(args)
  newCall(bindSym"startHook", token, fn, captured)

template withToken*(t: Token, body: untyped) =
  let before = useToken(t.raw)
  try: body
  finally: discard useToken(before)

template shielded*(body: untyped) =
  ## No token ends what body waits for: for what has to be tidied up.
  beginShield()
  try: body
  finally: endShield()

type
  ScopeState* = object
    raw: Handle
    failed: bool
    error: ref Exception
  Scope* = ptr ScopeState ## Gs that `withScope` waits for.
  ScopeBox[A] = object
    body: StatusBody # for nimStatusEntry
    scope: Scope
    fn: proc (args: var A) {.nimcall, gcsafe.}
    args: A

proc openScope*(timeout: int64): ScopeState =
  check gmx_scope_new(timeout, addr result.raw)
  let status = gmx_scope_enter(result.raw)
  if status != OK:
    discard gmx_scope_leave(result.raw, 0, nil)
    raiseStatus(status)

proc cancel*(scope: Scope) = discard gmx_scope_cancel(scope.raw)
proc isCanceled*(scope: Scope): bool =
  ## By `cancel`, by the first exception, or by its timeout.
  var token: Handle
  gmx_scope_token(scope.raw, addr token) == OK and gmx_cancel_is_cancelled(token)

proc leaveScope*(scope: Scope, early: bool) =
  if early: cancel(scope)
  check waits(gmx_scope_leave(scope.raw, forever, nil))

proc rethrow*(scope: Scope) =
  if scope.error != nil: raise move scope.error

proc runInScope[A](arg: pointer): Status {.cdecl, raises: [], gcsafe.} =
  let box = cast[ptr ScopeBox[A]](arg)
  {.cast(raises: []), cast(gcsafe).}:
    try:
      box.fn(box.args)
    except Exception as e:
      result = ECANCELED
      # the first one's; whoever reads it has left the scope, which comes after all of its Gs
      if not atomicTestAndSet(addr box.scope.failed, ATOMIC_RELAXED): box.scope.error = e
    reset(box[])
  dealloc(box)

proc startInScope*[A](scope: Scope, fn: proc (args: var A) {.nimcall, gcsafe.}, args: sink A) =
  let box = cast[ptr ScopeBox[A]](alloc0(sizeof(ScopeBox[A])))
  if box == nil: raiseStatus(ENOMEM)
  box.body = runInScope[A]
  box.scope = scope
  box.fn = fn
  box.args = args
  let status = gmx_scope_spawn(scope.raw, nimStatusEntry, box)
  if status != OK:
    reset(box[])
    dealloc(box)
    raiseStatus(status)

macro spawn*(scope: Scope, args: varargs[untyped]): untyped =
  ## Starts a G in the scope: `scope.spawn f(x)`, or `scope.spawn(x): body`, as `go` does. It returns nothing.
  let (_, fn, captured) = asProc(args)
  newCall(bindSym"startInScope", scope, fn, captured)

template inScope*(timeout: int64, body: untyped) =
  ## What `withScope` comes to.
  block:
    var state = openScope(timeout)
    let scope {.inject, used.}: Scope = addr state
    var through = false
    try:
      try:
        body
        through = true
      finally:
        leaveScope(scope, not through)
    except CanceledError:
      rethrow(scope) # what the wait of the body was canceled for
      raise
    rethrow(scope)

macro withScope*(args: varargs[untyped]): untyped =
  ## `withScope: body` or `withScope(timeout): body` runs body with a `scope`, and waits for the Gs that were spawned in it.
  ## The first exception of one of them cancels the others and is raised here; one of the body, or leaving it early,
  ## cancels all. So does the timeout. What the body waits for is canceled with the rest.
  if args.len notin 1 .. 2: error("withScope: body, or withScope(timeout): body", args)
  newCall(bindSym"inScope", if args.len == 2: args[0] else: bindSym"forever", args[^1])
