## Channels of one type, select, and timers, which tell by a channel.
import std/[macros, options]
import required, abi, errors, gvars

type
  ChanBox = object
    refs: int
    raw: RawChan
    drain: proc (raw: RawChan) {.nimcall, raises: [], gcsafe.} ## Nim 1.6 has one `=destroy` for all Chan[T]: it cannot know T
  Chan*[T] = object ## A channel. Copies are the same channel. What is sent is moved: no other G may keep a ref into it.
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
      if gmx_chan_try_recv(raw, addr value) != OK: break

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

proc send*[T](c: Chan[T], value: sink T, timeout = forever) =
  ## Raises `ClosedError`, `TimeoutError`, `CanceledError`; the value is gone then.
  var mine = value
  let status = waits gmx_chan_send_timeout(c.box.raw, addr mine, timeout)
  if status != OK: raiseStatus(status)
  wasMoved(mine)

proc trySend*[T](c: Chan[T], value: sink T): bool =
  ## false if it would have to wait.
  var mine = value
  let status = gmx_chan_try_send(c.box.raw, addr mine)
  if status == EAGAIN: return false
  check status
  wasMoved(mine)
  true

proc recv*[T](c: Chan[T], timeout = forever): T =
  ## Raises `ClosedError` when it is closed and empty; `TimeoutError`, `CanceledError`.
  var value: T
  check waits(gmx_chan_recv_timeout(c.box.raw, addr value, timeout))
  result = move value

proc next*[T](c: Chan[T]): Option[T] =
  ## The next value, or none when the channel is closed and empty.
  var value: T
  let status = waits gmx_chan_recv_timeout(c.box.raw, addr value, forever)
  if status == ECLOSED: return none(T)
  check status
  some(move value)

proc tryRecv*[T](c: Chan[T], value: var T): bool =
  ## false if it would have to wait.
  var mine: T
  let status = gmx_chan_try_recv(c.box.raw, addr mine)
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
  ## Nothing can be sent any more; what is in it can be received. A second close has no effect.
  discard gmx_chan_close(c.box.raw)

proc dropOne[T](arg, elem: pointer) {.cdecl, raises: [], gcsafe.} =
  {.cast(raises: []), cast(gcsafe).}:
    var value: T # destroyed at the end
    copyMem(addr value, elem, sizeof(T))

proc closeDrop*[T](c: Chan[T]) =
  ## Closes it from the receivers' side: what is left in it is destroyed, and receivers are told at once. So it is with one
  ## that is closed already.
  discard gmx_chan_close_drop(c.box.raw, dropOne[T], nil)

proc len*[T](c: Chan[T]): int = int(gmx_chan_len(c.box.raw))
proc cap*[T](c: Chan[T]): int =
  let room = gmx_chan_cap(c.box.raw)
  if room > csize_t(high(int)): unbounded else: int(room)
proc isClosed*[T](c: Chan[T]): bool = gmx_chan_is_closed(c.box.raw) ## Values that are left in it can still be received.

proc waiters*[T](c: Chan[T]): tuple[senders, receivers: int] =
  ## How many Gs and threads wait there: for tests and metrics. A select counts once for each of its cases.
  var senders, receivers: csize_t
  check gmx_chan_waiters(c.box.raw, addr senders, addr receivers)
  (int(senders), int(receivers))

# ---- select

template elemOf[T](c: Chan[T]): typedesc = T

proc fillCase[T](at: var SelectCase, c: Chan[T], value: var T, op: uint32) =
  at.chan = c.box.raw
  at.elem = addr value
  at.op = op

proc doSelect(cases: ptr SelectCase, n: int, timeout: int64): tuple[chosen: int, closed: bool] =
  var chosen: csize_t
  let status = waits gmx_select(cases, csize_t(n), timeout, addr chosen)
  if status == ETIMEDOUT: return (-1, false)
  if status != ECLOSED: check status
  (int(chosen), status == ECLOSED)

macro select*(branches: untyped): untyped =
  ## Does one of the branches, waiting until one can be done.
  ##
  ## .. code-block:: nim
  ##   select:
  ##     jobs.recv as job: ...      # an Option: none when jobs is closed
  ##     results.send(value): ...   # ClosedError when results is closed
  ##     timeout(5.ms): ...
  ##     otherwise: ...             # does not wait
  let cases = genSym(nskVar, "cases")
  let (chosen, closed) = (genSym(nskLet, "chosen"), genSym(nskLet, "closed"))
  let setup = newStmtList()
  let dispatch = nnkCaseStmt.newTree(chosen)
  var timeout: NimNode = bindSym"forever"
  var otherwise = nnkDiscardStmt.newTree(newEmptyNode())
  var n = 0
  for branch in branches:
    var head, name, body, value: NimNode
    if branch.kind == nnkInfix and branch[0].eqIdent("as"):
      (head, name, body) = (branch[1], branch[2], branch[3])
    elif branch.kind in {nnkCall, nnkCommand} and branch[^1].kind == nnkStmtList:
      body = branch[^1]
      if branch[0].eqIdent("otherwise") and branch.len == 2:
        (timeout, otherwise) = (newLit(0'i64), body)
        continue
      if branch[0].eqIdent("timeout") and branch.len == 3:
        (timeout, otherwise) = (branch[1], body)
        continue
      head = branch[0]
      if branch.len == 3: value = branch[1]
    if head == nil or head.kind != nnkDotExpr or not (head[1].eqIdent("recv") or head[1].eqIdent("send")) or
        head[1].eqIdent("send") != (value != nil):
      error("`ch.recv as x:`, `ch.recv:`, `ch.send(x):`, `timeout(ns):` or `otherwise:`", branch)
    let (ch, at) = (genSym(nskLet, "ch"), genSym(nskVar, "value"))
    let source = head[0]
    let index = newLit(n)
    let final = newStmtList()
    if value == nil:
      setup.add quote do:
        let `ch` = `source`
        var `at`: elemOf(`ch`)
        fillCase(`cases`[`index`], `ch`, `at`, CASE_RECV)
      if name != nil:
        final.add quote do:
          let `name` = if `closed`: none(elemOf(`ch`)) else: some(move `at`)
    else:
      setup.add quote do:
        let `ch` = `source`
        var `at`: elemOf(`ch`) = `value`
        fillCase(`cases`[`index`], `ch`, `at`, CASE_SEND)
      final.add quote do:
        if `closed`: raiseStatus(ECLOSED)
        wasMoved(`at`)
    final.add body
    dispatch.add nnkOfBranch.newTree(index, final)
    inc n
  dispatch.add nnkElse.newTree(otherwise)
  let count = newLit(max(n, 1))
  let used = newLit(n)
  result = quote do:
    block:
      var `cases`: array[`count`, SelectCase]
      `setup`
      let (`chosen`, `closed`) = doSelect(addr `cases`[0], `used`, `timeout`)
      `dispatch`

# ---- timers

type Timer* = object ## Sends the time of `now` to `ch` when it fires. There is room for one: who is slow loses some.
  raw: Handle
  ch*: Chan[int64]

proc `=copy`*(a: var Timer, b: Timer) {.error.}

proc `=destroy`*(t: var Timer) =
  if t.raw != 0: discard gmx_timer_free(t.raw, nil)
  t.raw = 0
  `=destroy`(t.ch)

proc newTimer*(delay: int64, period = 0'i64): Timer =
  ## Fires after so many nanoseconds (`forever`: not before `reset`), and then every period; 0: once.
  var raw: RawChan
  check gmx_timer_new(delay, period, addr result.raw, addr raw)
  result.ch = wrapChan[int64](raw)

proc newTicker*(period: int64): Timer = newTimer(period, period)

proc afterChan*(delay: int64): Chan[int64] =
  ## A channel that gets the time of `now` once, after so many nanoseconds (`forever`: never). Its timer goes with it.
  var raw: RawChan
  check gmx_after(delay, addr raw)
  wrapChan[int64](raw)

proc stop*(t: Timer): bool {.discardable.} =
  ## Whether it prevented something: no time of before can be received afterwards.
  check gmx_timer_stop(t.raw, addr result)

proc reset*(t: Timer, delay: int64, period = 0'i64): bool {.discardable.} =
  check gmx_timer_reset(t.raw, delay, period, addr result)
