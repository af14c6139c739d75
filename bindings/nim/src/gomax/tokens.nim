## Cancellation: tokens, what runs when one is canceled, and sections that none reaches.
import std/macros
import required, abi, errors, gvars, handover, tasks, chans

when NimMajor >= 2: {.push warning[BareExcept]: off.} # nothing may unwind into C

type Token* = object ## A wait under it ends with `CanceledError` when it is canceled.
  raw: Handle

proc `=copy`*(a: var Token, b: Token) {.error.}
proc `=destroy`*(t: var Token) =
  if t.raw != 0: discard gmx_cancel_free(t.raw) # which does not cancel it
  t.raw = 0

proc newToken*(timeout: Timeout = forever): Token =
  ## Is canceled after so long, by `cancel`, or with the caller's current token.
  check gmx_cancel_new(gmx_cancel_current(), int64(timeout), addr result.raw)

proc handle(t: Token): Handle {.inline.} =
  if t.raw == 0: misuse("the token was never made: newToken")
  t.raw

proc cancel*(t: Token) = discard gmx_cancel_now(t.handle)
proc isCanceled*(t: Token): bool = gmx_cancel_is_canceled(t.handle)
proc cancel*(t: Token, reason: Status) =
  ## With a reason of the caller's, a status below 0.
  check gmx_cancel_now_because(t.handle, reason)
proc reason*(t: Token): Status =
  ## `OK` if it is not canceled; `ECANCELED`; `ETIMEDOUT` by its timeout; or what `cancel` was given.
  check gmx_cancel_reason(t.handle, addr result)
proc deadline*(t: Token): int64 =
  ## On the clock of `now`, the earliest of its own and those above it; `high(int64)` if there is none.
  check gmx_cancel_deadline(t.handle, addr result)
proc timedOut*(t: Token): bool = t.reason == ETIMEDOUT
proc canceled*(): bool =
  ## Whether the caller's current token is: for loops that do not wait.
  gmx_cancel_is_canceled(0)

proc useToken*(t: Token): Handle =
  check gmx_cancel_use(t.handle, addr result)
proc restoreToken*(before: Handle) = discard gmx_cancel_use(before, nil)

proc beginShield*() = check gmx_cancel_shield()
proc endShield*() = discard gmx_cancel_unshield()

type Cancellation* = object ## What is never sent by the channel of a token.

proc done*(t: Token): Chan[Cancellation] =
  ## Is closed when the token is canceled, for `select`: `token.done.recv: ...`.
  var raw: RawChan
  check gmx_cancel_chan(t.handle, addr raw)
  wrapChan[Cancellation](raw)

type
  HookBox[A, F] = object ## what the goroutine and its `CancelHook` share: the last user frees it
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
  ## Keeps it from running, if it has not begun: true if so. A call that runs already is not waited for.
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
  let token = t.handle
  let box = cast[ptr HookBox[A, F]](alloc0(sizeof(HookBox[A, F])))
  if box == nil: raiseStatus(ENOMEM)
  box.body = runHook[A, F]
  box.refs = 2
  box.fn = fn
  box.args = args
  handOver(A)
  let status = gmx_cancel_after(token, nimEntry, box, addr result.hook)
  if status != OK:
    reset(box[])
    dealloc(box)
    raiseStatus(status)
  result.box = box
  result.release = releaseHook[A, F]

macro onCancel*(token: Token, args: varargs[untyped]): untyped =
  ## Runs a call or a block on a goroutine of its own when the token is canceled, at once if it is: for code that ends
  ## a wait outside the library. `var hook = onCancel(token, closeSocket(fd))`, `onCancel(token, fd): body`;
  ## it returns nothing. The end of `hook` stops it. `newToken()` is canceled with the caller's own, if that is to be
  ## followed.
  let (_, fn, captured) = asProc(args)
  newCall(bindSym"startHook", token, fn, captured)

template withToken*(t: Token, body: untyped) =
  ## The waits of body are under the token.
  let before = useToken(t)
  try: body
  finally: restoreToken(before)

template shielded*(body: untyped) =
  ## No token ends what body waits for: for what has to be tidied up.
  beginShield()
  try: body
  finally: endShield()
