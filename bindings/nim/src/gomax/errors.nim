## Statuses of the library as exceptions.
import required, abi

type
  GomaxError* = object of CatchableError ## What a call of the library came to; `status` is gomax.h's.
    status*: int32
  ClosedError* = object of GomaxError    ## The channel is closed.
  TimeoutError* = object of GomaxError   ## The time is up.
  CanceledError* = object of GomaxError  ## The caller's token was cancelled: that of its scope, or one of `withToken`.
  DeadlockError* = object of GomaxError  ## It would wait for ever.

const forever* = high(int64) ## As a timeout: none.

proc ns*(n: int64): int64 {.inline.} = n
proc us*(n: int64): int64 {.inline.} = n * 1_000
proc ms*(n: int64): int64 {.inline.} = n * 1_000_000
proc sec*(n: int64): int64 {.inline.} = n * 1_000_000_000

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

proc check*(status: Status) {.inline.} =
  ## Nothing, or its exception.
  if status < 0: raiseStatus(status)

proc counted*(status: Status): int {.inline.} =
  ## The count that the status is, or its exception.
  if status < 0: raiseStatus(status)
  int(status)

proc unseen*(e: ref Exception) {.raises: [], gcsafe.} =
  ## For exceptions that nobody can get any more.
  try:
    let trace = e.getStackTrace()
    stderr.write("gomax: unhandled in goroutine " & $gmx_goid() & ": " & e.msg & " [" & $e.name & "]\n" & trace)
  except CatchableError:
    discard
