## What a goroutine gives to another: values are moved, and nothing of the giver refers to them any more.
##
## Counts of references are not atomic, so a `ref` belongs to one goroutine at a time. A type that holds none is handed
## over freely. For one that does the compiler proves that the expression is isolated (std/isolation), or the caller
## answers for it by `unsafeIsolate`.
##
## The cycle collector of `--mm:orc` keeps a list of cells that may be roots of cycles. The list is a thread variable,
## so each goroutine has its own (gvars), and a cell knows its place in it. A cell that goes to another goroutine must
## stand in no list: otherwise the receiver takes it out of a list that it is not in, and the giver's collector looks at
## cells that it no longer owns. So the giver runs its collector before a value goes that may hold a `ref`: that empties
## the list.
import std/[isolation, macros]
import required

export Isolated, isolate, unsafeIsolate, extract

proc holdsRefs(t: NimNode, seen: var seq[string]): bool {.compileTime.} =
  case t.kind
  of nnkPtrTy, nnkEnumTy, nnkEmpty, nnkNilLit: false
  of nnkProcTy:
    for pragma in t[1]:
      if pragma.kind in {nnkIdent, nnkSym} and $pragma in ["nimcall", "cdecl", "noconv", "stdcall", "inline"]: return false
    true # a closure
  of nnkSym, nnkBracketExpr:
    if t.kind == nnkBracketExpr:
      if t[0].eqIdent("ref"): return true
      if t[0].eqIdent("ptr"): return false
      if t[0].eqIdent("seq") or t[0].eqIdent("array") or t[0].eqIdent("sink") or t[0].eqIdent("lent"):
        return holdsRefs(t[^1], seen)
    let name = t.getTypeInst.repr & (if t.kind == nnkSym: t.signatureHash else: "")
    if name in seen: return false
    seen.add name
    let impl = t.getTypeImpl
    if impl.kind == nnkSym: return false # int, string, pointer
    if impl.kind == nnkBracketExpr and $impl[0] notin ["ref", "ptr", "seq", "array"]: return false # set[char], range
    holdsRefs(impl, seen)
  of nnkObjectTy: holdsRefs(t[1], seen) or holdsRefs(t[2], seen)
  of nnkOfInherit, nnkDistinctTy, nnkElse: holdsRefs(t[0], seen)
  of nnkIdentDefs: holdsRefs(t[^2], seen)
  of nnkOfBranch: holdsRefs(t[^1], seen)
  of nnkRecList, nnkRecCase, nnkTupleTy, nnkTupleConstr, nnkPar:
    for part in t:
      if holdsRefs(part, seen): return true
    false
  else: true

macro holdsRefs*(T: typedesc): bool =
  ## Whether a value of the type may hold a `ref` or a closure, in itself or in a seq.
  var seen: seq[string]
  newLit(holdsRefs(getTypeInst(T)[1], seen))

template proves(T: typedesc): bool =
  ## Whether the compiler's check looks into a T: it does not look into a seq.
  not compiles((var value: T; discard isolate(value)))

template isolated*(T: typedesc, value: untyped): untyped =
  ## The value, if it may be handed over; otherwise it does not compile.
  when value is Isolated and T isnot Isolated:
    (var taken: Isolated[T] = value; extract(taken))
  elif not holdsRefs(T) or T is Isolated:
    when typeof(value) is T: value
    else: T(value) # a literal
  elif not proves(T) or not compiles(isolate(T(value))):
    {.error: "gomax: `" & astToStr(value) & "` holds a ref that something else may still refer to: give the expression that" &
      " makes it, an `isolate(...)`, or `unsafeIsolate(move x)` if nothing else refers to it".}
  else:
    (var taken = isolate(T(value)); extract(taken))

proc leave() {.raises: [], gcsafe.} =
  when defined(gcOrc):
    {.cast(raises: []), cast(gcsafe).}:
      while GC_prepareOrc() > 0: GC_runOrc() # a destructor that it calls may make new suspects

template handOver*(T: typedesc) =
  ## Before a T of the caller's becomes another goroutine's.
  when defined(gcOrc) and holdsRefs(T): leave()

proc handOverAll*() {.raises: [], gcsafe.} = leave()
  ## Before an exception becomes another goroutine's, or the thread variables go.
