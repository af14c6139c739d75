## The thread variables of Nim (the current exception, its error flag, frames of stack traces, every `{.threadvar.}`) as
## variables of the goroutine.
##
## With `--tlsEmulation:on` they are one block, found by way of a pthread key. Each goroutine has its block at the foot
## of its own stack. A goroutine that may have moved to another thread shows the block to that thread before any other
## code of Nim looks.
##
## What may run without a block is in C, since Nim looks for its error flag at the beginning of nearly every proc. All
## that the library calls is `nimEntry`, `nimStatusEntry` or `nimRangeEntry`: they make a block and go on to the proc of
## Nim that the first word of their argument points to. `nimHere` does so with a block that is there.
import required, handover
from system {.all.} import globalsSlot, GetThreadLocalVars # the key, and where Nim finds the block by it

type
  Body* = proc (arg: pointer) {.cdecl, gcsafe.} ## Must not raise.
  RangeBody* = proc (arg: pointer, first, last: int64) {.cdecl, gcsafe.}
  StatusBody* = proc (arg: pointer): int32 {.cdecl, gcsafe.}

{.emit: ["""/*INCLUDESECTION*/
#include <pthread.h>
#include <string.h>
#include <gomax.h>
"""].}
proc endVars() {.exportc: "gomax_nim_end_vars", cdecl, raises: [], gcsafe.} = handOverAll()

when defined(gcOrc):
  {.emit: "#define END_VARS() gomax_nim_end_vars()".} # the list of suspects goes with the block
else:
  {.emit: "#define END_VARS()".}
{.emit: ["""
extern pthread_key_t """, globalsSlot, """;
NI NimThreadVarsSize(void);

void *gomax_nim_vars(void) { return pthread_getspecific(""", globalsSlot, """); }
void gomax_nim_use(void *vars) { pthread_setspecific(""", globalsSlot, """, vars); }

#define WITH_OWN_VARS(call) \
  void *before = gomax_nim_vars(); \
  char vars[(NimThreadVarsSize() + 63) & ~(NI)63] __attribute__((aligned(64))); \
  memset(vars, 0, sizeof vars); \
  gomax_nim_use(vars); \
  call; \
  END_VARS(); \
  gomax_nim_use(before)

void gomax_nim_entry(void *arg) { WITH_OWN_VARS((*(void (**)(void *))arg)(arg)); }
int32_t gomax_nim_status_entry(void *arg) {
  int32_t status;
  WITH_OWN_VARS(status = (*(int32_t (**)(void *))arg)(arg));
  return status;
}
void gomax_nim_range_entry(void *arg, int64_t first, int64_t last) {
  WITH_OWN_VARS((*(void (**)(void *, int64_t, int64_t))arg)(arg, first, last));
}
// a call of the caller's own, perhaps on another thread than the one it came on
void gomax_nim_here(void *arg) {
  struct { void (*body)(void *); void *vars; } *call = arg;
  gomax_nim_use(call->vars);
  call->body(arg);
}
int32_t gomax_nim_callback(void *arg) { return gmx_callback(gomax_nim_entry, arg); }
"""].}

proc nimEntry*(arg: pointer) {.importc: "gomax_nim_entry", cdecl, gcsafe, raises: [].}
proc nimStatusEntry*(arg: pointer): int32 {.importc: "gomax_nim_status_entry", cdecl, gcsafe, raises: [].}
proc nimRangeEntry*(arg: pointer, first, last: int64) {.importc: "gomax_nim_range_entry", cdecl, gcsafe, raises: [].}
proc nimHere*(arg: pointer) {.importc: "gomax_nim_here", cdecl, gcsafe, raises: [].}
  ## For a call by the caller itself that comes after a wait: the first words of arg are a Body and the caller's
  ## `gvars`.
proc nimCallback*(arg: pointer): int32 {.importc: "gomax_nim_callback", cdecl, gcsafe, raises: [].}
proc gvars*(): pointer {.importc: "gomax_nim_vars", cdecl, gcsafe, raises: [].}
proc useGvars*(vars: pointer) {.importc: "gomax_nim_use", cdecl, gcsafe, raises: [].}

template waits*(call: untyped): untyped =
  ## A call of the library after which the goroutine may be on another thread.
  block:
    let mine = gvars()
    let status = call
    useGvars(mine)
    status

# the block is all that there is behind the key
doAssert GetThreadLocalVars() == gvars()
