## Statuses of the library as exceptions, and timeouts.
from std/times import Duration, initDuration, inNanoseconds, inSeconds
import required, abi

export Duration, initDuration

type
  GomaxError* = object of CatchableError ## What a call of the library came to; `status` is gomax.h's.
    status*: int32
  ClosedError* = object of GomaxError    ## The channel is closed.
  TimeoutError* = object of GomaxError ## The timeout of the call has passed, or the deadline of the scope.
  CanceledError* = object of GomaxError  ## The caller's token was canceled: that of its scope, or one of `withToken`.
  DeadlockError* = object of GomaxError  ## It would wait forever.
  MisuseDefect* = object of Defect
    ## A wrong call, in every build, which has changed nothing: of an object that was declared and never made, the
    ## unlock of a lock that the caller does not have, a wait group counted below zero, a scope behind its block, a
    ## second join.
  Timeout* = distinct int64
    ## How long a call waits: nanoseconds, as `5.ms`, or a `Duration`. `forever`; 0, or less, only looks.

const forever* = high(int64) ## As a timeout: none.

proc ns*(n: int64): int64 {.inline.} = n
proc us*(n: int64): int64 {.inline.} = n * 1_000
proc ms*(n: int64): int64 {.inline.} = n * 1_000_000
proc sec*(n: int64): int64 {.inline.} = n * 1_000_000_000

converter toTimeout*(ns: int64): Timeout {.inline.} = Timeout(max(ns, 0))
converter toTimeout*(ns: int): Timeout {.inline.} = Timeout(max(ns, 0))
converter toTimeout*(d: Duration): Timeout =
  if d.inSeconds >= forever div 1_000_000_000: Timeout(forever) # 292 years
  else: Timeout(max(d.inNanoseconds, 0))

proc misuse*(text: string) {.noreturn, noinline.} =
  raise newException(MisuseDefect, "gomax: " & text)

proc raiseStatus*(status: Status) {.noreturn, noinline.} =
  template with(T: typedesc) =
    let e = newException(T, $gmx_strerror(status))
    e.status = status
    raise e
  case status
  of ECLOSED: with(ClosedError)
  of ETIMEDOUT: with(TimeoutError)
  of ECANCELED: with(CanceledError)
  of EDEADLK: with(DeadlockError)
  else: with(GomaxError)

# Templates: with --tlsEmulation:on each proc that may raise costs a call.

template check*(status: Status) =
  ## Nothing, or its exception.
  let came = status
  if came < 0: raiseStatus(came)

template checkUse*(status: Status, text: static string) =
  ## Nothing, or `MisuseDefect`: for a call that only a wrong caller makes fail.
  let came = status
  if came < 0: misuse(text)

template counted*(status: Status): int =
  ## The count that the status is, or its exception.
  let came = status
  if came < 0: raiseStatus(came)
  int(came)

proc unseen*(e: ref Exception) {.raises: [], gcsafe.} =
  ## For exceptions that nothing can get any more.
  try:
    let trace = e.getStackTrace()
    stderr.write("gomax: unhandled in goroutine " & $gmx_goid() & ": " & e.msg & " [" & $e.name & "]\n" & trace)
  except CatchableError:
    discard
