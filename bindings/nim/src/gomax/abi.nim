## The interface of gomax.h, all of it. The C compiler checks each call against the header (`-I` where it is, if it is
## not installed). Where `gomax` has a proc, use that: a wait must go through `gvars.waits`, and what C calls must
## begin with `gvars.nimEntry`.
import required

{.passL: "-lgomax".}

type
  Status* = int32
  Handle* = uint64
  Fn* = proc (arg: pointer) {.cdecl.}
  ChanObj* {.importc: "gmx_chan", header: "<gomax.h>", incompleteStruct.} = object
  RawChan* = ptr ChanObj
  Config* {.importc: "gmx_config", header: "<gomax.h>".} = object
    struct_size*: csize_t
    maxprocs*: int32
    flags*: uint32
    stack_size*, g0_stack_size*: csize_t
    slice_ns*: int64
    max_threads*: int32
    report*: proc (arg: pointer, text: cstring, len: csize_t) {.cdecl.} ## knows nothing of Nim: it runs without a block
    report_arg*: pointer
    max_goroutines*: csize_t
    on_preempt*: proc (arg: pointer, g: Handle) {.cdecl.} ## as report
    on_thread_start*, on_thread_end*: proc (arg: pointer) {.cdecl.}
    on_arg*: pointer
  SpawnOpts* {.importc: "gmx_spawn_opts", header: "<gomax.h>".} = object
    struct_size*: csize_t
    flags*: uint32
    stack_size*: csize_t
    name*: cstring
  SelectCase* {.importc: "gmx_select_case", header: "<gomax.h>".} = object
    chan*: RawChan
    elem*: pointer
    op*: uint32
  GInfo* {.importc: "gmx_g_info", header: "<gomax.h>".} = object
    g*: Handle
    goid*: uint64
    name*: cstring
    status*: int32
    wait_reason*: cstring
    since_ns*: int64
    stack_lo*, stack_hi*, sp*: pointer
    fn*: Fn
    arg*: pointer
    thread*: int32
  SchedStats* {.importc: "gmx_sched_stats", header: "<gomax.h>".} = object
    struct_size*: csize_t
    uptime_ns*: int64
    gomaxprocs*, idleprocs*, threads*, idlethreads*, spinning*, extra_threads*: int32
    g_live*, g_running*, g_runnable*, g_waiting*, g_syscall*: int64
    spawned*, ended*, switches*, steals*, parks*, wakes*, handoffs*, retakes*, preempts*, stops*: uint64
    stop_ns_total*, stop_ns_max*, barriers*: uint64
    runqueue*: int64
  MemStats* {.importc: "gmx_mem_stats", header: "<gomax.h>".} = object
    struct_size*: csize_t
    stacks_reserved_bytes*, stacks_inuse_bytes*, stacks_cached_bytes*, stacks_inuse*, stacks_cached*: uint64
    g_descriptors*, g_live*, m_total*, p_total*, descriptor_bytes*: uint64
    guard_kind*, reserved*: uint32
    stacks_warm*, stacks_released*, stacks_unguarded*: uint64
  ScopeEnd* {.importc: "gmx_scope_end", header: "<gomax.h>".} = object
    struct_size*: csize_t
    by*: uint32
    status*: Status
    g*: Handle
  RawMutex* {.importc: "gmx_mutex", header: "<gomax.h>".} = object
  RawRMutex* {.importc: "gmx_rmutex", header: "<gomax.h>".} = object
  RawRwMutex* {.importc: "gmx_rwmutex", header: "<gomax.h>".} = object
  RawCond* {.importc: "gmx_cond", header: "<gomax.h>".} = object
  RawWaitGroup* {.importc: "gmx_waitgroup", header: "<gomax.h>".} = object
  RawCleanup* {.importc: "gmx_cleanup", header: "<gomax.h>".} = object
  RawOnce* {.importc: "gmx_once", header: "<gomax.h>".} = object
  RawBarrier* {.importc: "gmx_barrier", header: "<gomax.h>".} = object
    n*, arrived*: uint32
    reserved*: uint64

const
  OK* = 0'i32
  EPERM* = -1'i32
  EINTR* = -4'i32
  EBADF* = -9'i32
  EAGAIN* = -11'i32
  ENOMEM* = -12'i32
  EBUSY* = -16'i32
  EINVAL* = -22'i32
  EPIPE* = -32'i32
  EDEADLK* = -35'i32
  ENOTSUP* = -95'i32
  ETIMEDOUT* = -110'i32
  ECANCELED* = -125'i32
  ENOTG* = -1001'i32
  EINSYSCALL* = -1002'i32
  ESHUTDOWN* = -1003'i32
  ESTALE* = -1004'i32
  ECLOSED* = -1005'i32
  SPAWN_JOINABLE* = 1'u32
  SPAWN_CHILD_FIRST* = 2'u32
  SPAWN_WIPE* = 4'u32
  SPAWN_LAST* = 8'u32
  SPAWN_INHERIT* = 16'u32
  SPAWN_CANCELLABLE* = 32'u32
  WAKE_ALL* = high(uint32)
  CASE_RECV* = 0'u32
  CASE_SEND* = 1'u32
  CASE_RECV_READY* = 2'u32
  CASE_SEND_READY* = 3'u32
  SCOPE_DEADLINE* = 2'u32

{.emit: """/*INCLUDESECTION*/
#include <gomax.h>
_Static_assert(GMX_EPERM == -1 && GMX_EINTR == -4 && GMX_EBADF == -9 && GMX_EAGAIN == -11 && GMX_ENOMEM == -12 &&
  GMX_EBUSY == -16 && GMX_EINVAL == -22 && GMX_EPIPE == -32 && GMX_EDEADLK == -35 && GMX_ENOTSUP == -95 && GMX_ETIMEDOUT == -110 &&
  GMX_ECANCELED == -125 && GMX_ENOTG == -1001 && GMX_EINSYSCALL == -1002 && GMX_ESHUTDOWN == -1003 && GMX_ESTALE == -1004 &&
  GMX_ECLOSED == -1005 && GMX_FOREVER == INT64_MAX &&
  GMX_SPAWN_JOINABLE == 1 && GMX_SPAWN_CHILD_FIRST == 2 && GMX_SPAWN_WIPE == 4 && GMX_SPAWN_LAST == 8 && GMX_SPAWN_INHERIT == 16 && GMX_SPAWN_CANCELLABLE == 32 && GMX_UNBOUNDED == SIZE_MAX && GMX_CASE_RECV == 0 && GMX_CASE_SEND == 1 &&
  GMX_CASE_RECV_READY == 2 && GMX_CASE_SEND_READY == 3 && GMX_SCOPE_DEADLINE == 2,
  "gomax.h is not the one of this module");
""".}

{.push importc, cdecl, header: "<gomax.h>", gcsafe, raises: [].}
proc gmx_strerror*(status: Status): cstring
proc gmx_err_name*(status: Status): cstring
proc gmx_config_default*(config: ptr Config): Status
proc gmx_init*(config: ptr Config): Status
proc gmx_main*(fn: Fn, arg: pointer): Status
proc gmx_shutdown*(timeout: int64): Status
proc gmx_preempt_word*(): ptr uint32
proc gmx_class_new*(limit: uint32, name: cstring, o: ptr Handle): Status
proc gmx_class_free*(class: Handle): Status
proc gmx_blocking_in*(class: Handle, fn: Fn, arg: pointer, timeout: int64): Status
proc gmx_version*(): uint32
proc gmx_spawn*(fn: Fn, arg: pointer): Status
proc gmx_spawn_copy*(fn: Fn, args: pointer, size: csize_t): Status
proc gmx_spawn_with*(opts: ptr SpawnOpts, fn: Fn, arg: pointer, g: ptr Handle): Status
proc gmx_join*(g: Handle, timeout: int64): Status
proc gmx_detach*(g: Handle): Status
proc gmx_yield*(): Status
proc gmx_goexit*(): Status
proc gmx_self*(): Handle
proc gmx_goid*(): uint64
proc gmx_stack_bounds*(lo, hi: ptr pointer): Status
proc gmx_num_g*(): int64
proc gmx_park_timeout*(commit: proc (arg: pointer, g: Handle): bool {.cdecl.}, arg: pointer, reason: cstring, timeout: int64): Status
proc gmx_park*(commit: proc (arg: pointer, g: Handle): bool {.cdecl.}, arg: pointer, reason: cstring): Status
proc gmx_ready*(g: Handle): Status
proc gmx_lock_os_thread*(): Status
proc gmx_unlock_os_thread*(): Status
proc gmx_cleanup_push*(c: ptr RawCleanup, fn: Fn, arg: pointer): Status
proc gmx_cleanup_pop*(c: ptr RawCleanup, run: bool): Status
proc gmx_key_create*(destructor: Fn, key: ptr uint32): Status
proc gmx_key_delete*(key: uint32): Status
proc gmx_key_set*(key: uint32, value: pointer): Status
proc gmx_key_get*(key: uint32): pointer
proc gmx_coro_new*(fn: Fn, arg: pointer, opts: ptr SpawnOpts, co: ptr Handle): Status
proc gmx_coro_switch*(co: Handle): Status
proc gmx_coro_free*(co: Handle): Status
proc gmx_gomaxprocs*(n: int32): int32
proc gmx_num_cpu*(): int32
proc gmx_set_default_gomaxprocs*(): Status
proc gmx_pin*(): int32
proc gmx_unpin*(): Status
proc gmx_p_key_create*(key: ptr uint32): Status
proc gmx_p_key_delete*(key: uint32): Status
proc gmx_p_set*(key: uint32, value: pointer): Status
proc gmx_p_get*(key: uint32): pointer
proc gmx_p_get_of*(key: uint32, p: int32): pointer
proc gmx_p_count*(): int32
proc gmx_enter_syscall*(): Status
proc gmx_exit_syscall*(): Status
proc gmx_enter_syscall_blocking*(): Status
proc gmx_blocking*(fn: Fn, arg: pointer): Status
proc gmx_stop_the_world*(reason: cstring): Status
proc gmx_stop_the_world_timeout*(reason: cstring, timeout: int64): Status
proc gmx_start_the_world*(): Status
proc gmx_for_each_p*(fn: Fn, arg: pointer): Status
proc gmx_for_each_g*(fn: proc (arg: pointer, info: ptr GInfo) {.cdecl.}, arg: pointer): Status
proc gmx_safepoint_slow*(): Status
proc gmx_attach_thread*(): Status
proc gmx_detach_thread*(): Status
proc gmx_callback*(fn: Fn, arg: pointer): Status
proc gmx_sema_acquire*(s: ptr uint32): Status
proc gmx_sema_acquire_timeout*(s: ptr uint32, timeout: int64): Status
proc gmx_sema_try_acquire*(s: ptr uint32): Status
proc gmx_sema_release*(s: ptr uint32): Status
proc gmx_sema_release_handoff*(s: ptr uint32): Status
proc gmx_sema_waiters*(s: ptr uint32): uint32
proc gmx_wait_on_address*(address, expected: pointer, size: csize_t, timeout: int64): Status
proc gmx_wake_address*(address: pointer, n: uint32): Status
proc gmx_mutex_lock*(m: ptr RawMutex): Status
proc gmx_mutex_lock_timeout*(m: ptr RawMutex, timeout: int64): Status
proc gmx_mutex_try_lock*(m: ptr RawMutex): Status
proc gmx_mutex_unlock*(m: ptr RawMutex): Status
proc gmx_mutex_waiters*(m: ptr RawMutex): uint32
proc gmx_rmutex_lock*(m: ptr RawRMutex, timeout: int64): Status
proc gmx_rmutex_try_lock*(m: ptr RawRMutex): Status
proc gmx_rmutex_unlock*(m: ptr RawRMutex): Status
proc gmx_rmutex_waiters*(m: ptr RawRMutex): uint32
proc gmx_rwmutex_lock*(m: ptr RawRwMutex): Status
proc gmx_rwmutex_lock_timeout*(m: ptr RawRwMutex, timeout: int64): Status
proc gmx_rwmutex_try_lock*(m: ptr RawRwMutex): Status
proc gmx_rwmutex_unlock*(m: ptr RawRwMutex): Status
proc gmx_rwmutex_rlock*(m: ptr RawRwMutex): Status
proc gmx_rwmutex_rlock_timeout*(m: ptr RawRwMutex, timeout: int64): Status
proc gmx_rwmutex_try_rlock*(m: ptr RawRwMutex): Status
proc gmx_rwmutex_runlock*(m: ptr RawRwMutex): Status
proc gmx_rwmutex_waiters*(m: ptr RawRwMutex): uint32
proc gmx_cond_wait*(c: ptr RawCond, m: ptr RawMutex): Status
proc gmx_cond_wait_timeout*(c: ptr RawCond, m: ptr RawMutex, timeout: int64): Status
proc gmx_cond_signal*(c: ptr RawCond): Status
proc gmx_cond_broadcast*(c: ptr RawCond): Status
proc gmx_cond_waiters*(c: ptr RawCond): uint32
proc gmx_waitgroup_add*(wg: ptr RawWaitGroup, delta: int32): Status
proc gmx_waitgroup_go*(wg: ptr RawWaitGroup, fn: Fn, arg: pointer): Status
proc gmx_waitgroup_done*(wg: ptr RawWaitGroup): Status
proc gmx_waitgroup_wait*(wg: ptr RawWaitGroup): Status
proc gmx_waitgroup_wait_timeout*(wg: ptr RawWaitGroup, timeout: int64): Status
proc gmx_barrier_wait*(b: ptr RawBarrier, serial: ptr bool): Status
proc gmx_barrier_wait_timeout*(b: ptr RawBarrier, timeout: int64, serial: ptr bool): Status
proc gmx_barrier_waiters*(b: ptr RawBarrier): uint32
proc gmx_once_do*(once: ptr RawOnce, fn: Fn, arg: pointer): Status
proc gmx_once_do_timeout*(once: ptr RawOnce, fn: Fn, arg: pointer, timeout: int64): Status
proc gmx_cancel_new*(parent: Handle, timeout: int64, token: ptr Handle): Status
proc gmx_cancel_now*(token: Handle): Status
proc gmx_cancel_now_because*(token: Handle, reason: Status): Status
proc gmx_cancel_g*(g: Handle, reason: Status): Status
proc gmx_cancel_reason*(token: Handle, reason: ptr Status): Status
proc gmx_cancel_deadline*(token: Handle, deadline: ptr int64): Status
proc gmx_cancel_chan*(token: Handle, chan: ptr RawChan): Status
proc gmx_cancel_after*(token: Handle, fn: Fn, arg: pointer, hook: ptr Handle): Status
proc gmx_cancel_hook_stop*(hook: Handle, stopped: ptr bool): Status
proc gmx_cancel_is_canceled*(token: Handle): bool
proc gmx_cancel_locks*(too: bool): bool
proc gmx_cancel_shield*(): Status
proc gmx_cancel_unshield*(): Status
proc gmx_cancel_use*(token: Handle, previous: ptr Handle): Status
proc gmx_cancel_current*(): Handle
proc gmx_cancel_free*(token: Handle): Status
proc gmx_scope_new*(timeout: int64, scope: ptr Handle): Status
proc gmx_scope_spawn*(scope: Handle, fn: proc (arg: pointer): Status {.cdecl.}, arg: pointer): Status
proc gmx_scope_enter*(scope: Handle): Status
proc gmx_scope_leave*(scope: Handle, timeout: int64, status: ptr Status): Status
proc gmx_scope_leave_why*(scope: Handle, timeout: int64, `end`: ptr ScopeEnd): Status
proc gmx_scope_cancel*(scope: Handle): Status
proc gmx_scope_token*(scope: Handle, token: ptr Handle): Status
proc gmx_parallel_for*(n, grain: int64, fn: proc (arg: pointer, first, last: int64) {.cdecl.}, arg: pointer): Status
proc gmx_chan_new*(elem_size, capacity: csize_t, chan: ptr RawChan): Status
proc gmx_chan_new_refs*(elem_size, capacity: csize_t, refs: uint32, chan: ptr RawChan): Status
proc gmx_chan_ref*(chan: RawChan): Status
proc gmx_chan_free*(chan: RawChan): Status
proc gmx_chan_send*(chan: RawChan, elem: pointer): Status
proc gmx_chan_recv*(chan: RawChan, elem: pointer): Status
proc gmx_chan_try_send*(chan: RawChan, elem: pointer): Status
proc gmx_chan_try_recv*(chan: RawChan, elem: pointer): Status
proc gmx_chan_send_timeout*(chan: RawChan, elem: pointer, timeout: int64): Status
proc gmx_chan_recv_timeout*(chan: RawChan, elem: pointer, timeout: int64): Status
proc gmx_chan_close*(chan: RawChan): Status
proc gmx_chan_close_drop*(chan: RawChan, drop: proc (arg, elem: pointer) {.cdecl.}, arg: pointer): Status
proc gmx_chan_len*(chan: RawChan): csize_t
proc gmx_chan_cap*(chan: RawChan): csize_t
proc gmx_chan_is_closed*(chan: RawChan): bool
proc gmx_chan_waiters*(chan: RawChan, senders, receivers: ptr csize_t): Status
proc gmx_select*(cases: ptr SelectCase, n: csize_t, timeout: int64, chosen: ptr csize_t): Status
proc gmx_now*(): int64
proc gmx_deadline*(timeout: int64): int64
proc gmx_time_left*(deadline: int64): int64
proc gmx_sleep*(ns: int64): Status
proc gmx_after*(delay: int64, chan: ptr RawChan): Status
proc gmx_after_func*(delay: int64, fn: Fn, arg: pointer, timer: ptr Handle): Status
proc gmx_timer_new*(delay, period: int64, timer: ptr Handle, chan: ptr RawChan): Status
proc gmx_ticker_new*(period: int64, timer: ptr Handle, chan: ptr RawChan): Status
proc gmx_timer_reset*(timer: Handle, delay, period: int64, stopped: ptr bool): Status
proc gmx_ticker_reset*(timer: Handle, period: int64, stopped: ptr bool): Status
proc gmx_timer_stop*(timer: Handle, stopped: ptr bool): Status
proc gmx_timer_free*(timer: Handle, stopped: ptr bool): Status
proc gmx_read_mem_stats*(stats: ptr MemStats): Status
proc gmx_release_memory*(): Status
proc gmx_read_sched_stats*(stats: ptr SchedStats): Status
proc gmx_write_heap_dump*(fd: int32): Status
proc gmx_safepoint*()
{.pop.}
