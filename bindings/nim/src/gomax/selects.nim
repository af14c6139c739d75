## `select`: one of several sends and receives.
import std/[macros, options]
import required, abi, errors, gvars, handover, chans

proc fillCase[T](at: var SelectCase, c: Chan[T], value: var T, op: uint32) =
  at.chan = c.rawChan
  at.elem = addr value
  at.op = op

proc handOverCase[T](c: Chan[T]) {.inline.} = handOver(T)

proc doSelect(cases: ptr SelectCase, n: int, timeout: Timeout): tuple[chosen: int, closed: bool] =
  var chosen: csize_t
  let status = waits gmx_select(cases, csize_t(n), int64(timeout), addr chosen)
  if status == ETIMEDOUT: return (-1, false)
  if status != ECLOSED: check status
  (int(chosen), status == ECLOSED)

macro select*(branches: untyped): untyped =
  ## Does one of the branches, waiting until one can be done. `break`, `continue` and `return` in a branch are those of
  ## what is around the `select`.
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
        var `at`: elemOf(`ch`) = isolated(elemOf(`ch`), `value`)
        handOverCase(`ch`)
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
    if true: # no block: a `break` of the user's would leave it
      var `cases`: array[`count`, SelectCase]
      `setup`
      let (`chosen`, `closed`) = doSelect(addr `cases`[0], `used`, `timeout`)
      `dispatch`

# ---- of so many as there are at run time

type
  Case* = object ## One send or receive of a `selectFrom`, which may use it again and again.
    at: SelectCase
    target, slot: pointer # of what `done` and `free` know the type
    ready, done: proc (c: var Case, closed: bool) {.nimcall, raises: [], gcsafe.}
    free: proc (slot: pointer) {.nimcall, raises: [], gcsafe.}
  Slot[T] = object
    ch: Chan[T] # is there as long as the case
    value: T    # where a receive puts it

proc `=copy`*(a: var Case, b: Case) {.error.}
proc `=destroy`*(c: var Case) =
  if c.slot != nil: c.free(c.slot)
  c.slot = nil

proc freeSlot[T](slot: pointer) {.nimcall, raises: [], gcsafe.} =
  {.cast(raises: []), cast(gcsafe).}: reset(cast[ptr Slot[T]](slot)[])
  dealloc(slot)

proc newCase[T](ch: Chan[T], op: uint32, target: pointer): Case =
  let raw = ch.rawChan
  let slot = cast[ptr Slot[T]](alloc0(sizeof(Slot[T])))
  slot.ch = ch
  result.slot = slot
  result.free = freeSlot[T]
  result.target = target
  result.at = SelectCase(chan: raw, op: op, elem: if op == CASE_RECV: pointer(addr slot.value) else: target)

proc recvCase*[T](ch: Chan[T], value: ptr Option[T]): Case =
  ## Receives into the variable, which is there as long as the case: none if the channel is closed and empty.
  result = newCase(ch, CASE_RECV, value)
  result.ready = nil
  result.done = proc (c: var Case, closed: bool) {.nimcall, raises: [], gcsafe.} =
    {.cast(raises: []), cast(gcsafe).}:
      cast[ptr Option[T]](c.target)[] =
        if closed: none(T) else: some(move cast[ptr Slot[T]](c.slot).value)

proc sendCase*[T](ch: Chan[T], value: ptr (T | Isolated[T])): Case =
  ## Moves the value of the variable, which is there as long as the case, when the case is chosen, and not before.
  givable(T, typeof(value[]))
  type Given = typeof(value[])
  result = newCase(ch, CASE_SEND, value)
  result.ready = proc (c: var Case, closed: bool) {.nimcall, raises: [], gcsafe.} = handOver(T)
  result.done = proc (c: var Case, closed: bool) {.nimcall, raises: [], gcsafe.} =
    if not closed: wasMoved(cast[ptr Given](c.target)[])

proc selectFrom*(cases: var openArray[Case], timeout: Timeout = forever): int {.discardable.} =
  ## Does one of the cases, at random among those that can be done, and says which. `TimeoutError`, `CanceledError`, and
  ## `ClosedError` for a send to a closed channel: the variable has its value then.
  var raws = newSeq[SelectCase](max(cases.len, 1))
  for i in 0 ..< cases.len:
    if cases[i].slot == nil: misuse("the case was never made: recvCase, sendCase")
    if cases[i].ready != nil: cases[i].ready(cases[i], false)
    raws[i] = cases[i].at
  let (chosen, closed) = doSelect(addr raws[0], cases.len, timeout)
  if chosen < 0: raiseStatus(ETIMEDOUT)
  cases[chosen].done(cases[chosen], closed)
  if closed and raws[chosen].op == CASE_SEND: raiseStatus(ECLOSED)
  chosen

proc recvAny*[T](chans: openArray[Chan[T]], timeout: Timeout = forever): tuple[index: int, value: Option[T]] =
  ## Receives from one of the channels, at random among those that are ready, and says from which; the value is none if
  ## that one is closed and empty. `TimeoutError`, `CanceledError`.
  var raws = newSeq[SelectCase](max(chans.len, 1))
  var value: T
  for i, ch in chans: fillCase(raws[i], ch, value, CASE_RECV)
  let (chosen, closed) = doSelect(addr raws[0], chans.len, timeout)
  if chosen < 0: raiseStatus(ETIMEDOUT)
  result.index = chosen
  if not closed: result.value = some(move value)
