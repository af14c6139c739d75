## Channels of one type, and timers, which tell by a channel.
import std/options
import required, abi, errors, gvars, handover

type
  ChanBox = object
    refs: int
    raw: RawChan
    drain: proc (raw: RawChan) {.nimcall, raises: [], gcsafe.}
      ## Nim 1.6 has one `=destroy` for all Chan[T]: it cannot know T
  Chan*[T] = object
    ## A channel. Copies are the same channel. What is sent is moved: no other goroutine may keep a ref into it.
    box: ptr ChanBox

proc `=destroy`*[T](c: var Chan[T]) =
  if c.box != nil and atomicDec(c.box.refs) == 0:
    c.box.drain(c.box.raw)
    discard gmx_chan_free(c.box.raw)
    dealloc(c.box)
  c.box = nil

proc `=copy`*[T](a: var Chan[T], b: Chan[T]) =
  if a.box == b.box: return
  if b.box != nil: discard atomicInc(b.box.refs)
  `=destroy`(a)
  a.box = b.box

proc drain[T](raw: RawChan) {.nimcall, raises: [], gcsafe.} = # destroys what is left in it
  {.cast(raises: []), cast(gcsafe).}:
    while true:
      var value: T
      if waits(gmx_chan_try_recv(raw, addr value)) != OK: break

proc wrapChan*[T](raw: RawChan): Chan[T] =
  ## With the caller's reference.
  result.box = cast[ptr ChanBox](alloc0(sizeof(ChanBox)))
  result.box.refs = 1
  result.box.raw = raw
  result.box.drain = drain[T]

const unbounded* = high(int)
  ## A capacity: sends never wait for room, and raise if there is no memory for a value.

proc newChan*[T](capacity = 0): Chan[T] =
  ## Room for so many values; 0: sender and receiver meet; `unbounded`.
  var raw: RawChan
  let room = if capacity == unbounded: high(csize_t) else: csize_t(capacity)
  check gmx_chan_new(csize_t(sizeof(T)), room, addr raw)
  wrapChan[T](raw)

template elemOf*[T](c: Chan[T]): typedesc = T

template raw[T](c: Chan[T]): RawChan =
  if c.box == nil: misuse("the channel was never made: newChan")
  c.box.raw
proc rawChan*[T](c: Chan[T]): RawChan = c.raw

proc sendMoved*[T](c: Chan[T], value: sink T, timeout: Timeout) =
  ## What `send` comes to.
  var mine = value
  let raw = c.raw
  handOver(T)
  let status = waits gmx_chan_send_timeout(raw, addr mine, int64(timeout))
  if status != OK: raiseStatus(status)
  wasMoved(mine)

proc trySendMoved*[T](c: Chan[T], value: sink T): bool =
  ## What `trySend` comes to.
  var mine = value
  let raw = c.raw
  handOver(T)
  let status = waits gmx_chan_try_send(raw, addr mine)
  if status == EAGAIN: return false
  check status
  wasMoved(mine)
  true

template send*[T](c: Chan[T], value: untyped, timeout: Timeout = forever) =
  ## Raises `ClosedError`, `TimeoutError`, `CanceledError`; the value is destroyed then: `give` keeps it. A value that
  ## holds a `ref` is an expression that nothing else refers to, `isolate(...)`, or `unsafeIsolate(move x)`.
  sendMoved(c, isolated(elemOf(c), value), timeout)

template trySend*[T](c: Chan[T], value: untyped): bool =
  ## As `send`, and false if it would have to wait: the value is destroyed then; `tryGive` keeps it.
  trySendMoved(c, isolated(elemOf(c), value))

template givable*(T, Given: typedesc) =
  when Given isnot Isolated and holdsRefs(T):
    {.error: "gomax: what holds a ref is given as a variable of Isolated[" & $T & "]".}

proc give*[T](c: Chan[T], value: var (T | Isolated[T]), timeout: Timeout = forever) =
  ## As `send`, and moves out of the variable only what was sent: after an exception it has its value.
  givable(T, typeof(value))
  let raw = c.raw
  handOver(T)
  check waits(gmx_chan_send_timeout(raw, addr value, int64(timeout)))
  wasMoved(value)

proc tryGive*[T](c: Chan[T], value: var (T | Isolated[T])): bool =
  ## As `trySend`, and moves out of the variable only what was sent: if it gives false, the variable has its value.
  givable(T, typeof(value))
  let raw = c.raw
  handOver(T)
  let status = waits gmx_chan_try_send(raw, addr value)
  if status == EAGAIN: return false
  check status
  wasMoved(value)
  true

proc recv*[T](c: Chan[T], timeout: Timeout = forever): T =
  ## Raises `ClosedError` when it is closed and empty; `TimeoutError`, `CanceledError`.
  var value: T
  check waits(gmx_chan_recv_timeout(c.raw, addr value, int64(timeout)))
  result = move value

proc next*[T](c: Chan[T]): Option[T] =
  ## The next value, or none when the channel is closed and empty.
  var value: T
  let status = waits gmx_chan_recv_timeout(c.raw, addr value, forever)
  if status == ECLOSED: return none(T)
  check status
  some(move value)

proc tryRecv*[T](c: Chan[T], value: var T): bool =
  ## false if it would have to wait.
  var mine: T
  let status = waits gmx_chan_try_recv(c.raw, addr mine)
  if status == EAGAIN: return false
  check status
  value = move mine
  true

iterator items*[T](c: Chan[T]): T =
  ## Until the channel is closed and empty.
  while true:
    var value = c.next()
    if value.isNone: break
    yield move value.get

proc close*[T](c: Chan[T]) =
  ## Nothing can be sent any more; what is in it can be received. `ClosedError` if it is closed already.
  check gmx_chan_close(c.raw)

proc dropOne[T](arg, elem: pointer) {.cdecl, raises: [], gcsafe.} =
  {.cast(raises: []), cast(gcsafe).}:
    var value: T # destroyed at the end
    copyMem(addr value, elem, sizeof(T))

proc closeDrop*[T](c: Chan[T]) =
  ## Closes it from the receivers' side: what is left in it is destroyed, and receivers are told at once. So it is with
  ## one that is closed already.
  discard waits gmx_chan_close_drop(c.raw, dropOne[T], nil)

proc len*[T](c: Chan[T]): int = int(gmx_chan_len(c.raw))
proc cap*[T](c: Chan[T]): int =
  let room = gmx_chan_cap(c.raw)
  if room > csize_t(high(int)): unbounded else: int(room)
proc isClosed*[T](c: Chan[T]): bool = gmx_chan_is_closed(c.raw) ## Values that are left in it can still be received.

proc waiters*[T](c: Chan[T]): tuple[senders, receivers: int] =
  ## How many goroutines and threads wait there: for tests and metrics. A select counts once for each of its cases.
  var senders, receivers: csize_t
  check gmx_chan_waiters(c.raw, addr senders, addr receivers)
  (int(senders), int(receivers))

# ---- timers

type Timer* = object
  ## Sends the time of `now` to `ch` when it fires. There is room for one: a slow receiver loses some.
  raw: Handle
  ch*: Chan[int64]

proc `=copy`*(a: var Timer, b: Timer) {.error.}

proc `=destroy`*(t: var Timer) =
  if t.raw != 0: discard gmx_timer_free(t.raw, nil)
  t.raw = 0
  `=destroy`(t.ch)

proc newTimer*(delay: Timeout, period: Timeout = 0): Timer =
  ## Fires after so many nanoseconds (`forever`: not before `reset`), and then every period; 0: once.
  var raw: RawChan
  check gmx_timer_new(int64(delay), int64(period), addr result.raw, addr raw)
  result.ch = wrapChan[int64](raw)

proc newTicker*(period: Timeout): Timer = newTimer(period, period)

proc afterChan*(delay: Timeout): Chan[int64] =
  ## A channel that gets the time of `now` once, after so many nanoseconds (`forever`: never). Its timer goes with it.
  var raw: RawChan
  check gmx_after(int64(delay), addr raw)
  wrapChan[int64](raw)

proc rawTimer(t: Timer): Handle =
  if t.raw == 0: misuse("the timer was never made: newTimer")
  t.raw

proc stop*(t: Timer): bool {.discardable.} =
  ## Whether it prevented something: no time of before can be received afterwards.
  check gmx_timer_stop(t.rawTimer, addr result)

proc reset*(t: Timer, delay: Timeout, period: Timeout = 0): bool {.discardable.} =
  check gmx_timer_reset(t.rawTimer, int64(delay), int64(period), addr result)
