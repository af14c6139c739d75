/* What programs that were linked with libgomax.so.0 rely on. Written and compared by ci/abi.sh. */
#include <gomax.h>

_Static_assert(GMX_OK == 0, "GMX_OK");
_Static_assert(GMX_EPERM == -1, "GMX_EPERM");
_Static_assert(GMX_EINTR == -4, "GMX_EINTR");
_Static_assert(GMX_EBADF == -9, "GMX_EBADF");
_Static_assert(GMX_EAGAIN == -11, "GMX_EAGAIN");
_Static_assert(GMX_ENOMEM == -12, "GMX_ENOMEM");
_Static_assert(GMX_EBUSY == -16, "GMX_EBUSY");
_Static_assert(GMX_EINVAL == -22, "GMX_EINVAL");
_Static_assert(GMX_EPIPE == -32, "GMX_EPIPE");
_Static_assert(GMX_EDEADLK == -35, "GMX_EDEADLK");
_Static_assert(GMX_ENOTSUP == -95, "GMX_ENOTSUP");
_Static_assert(GMX_ETIMEDOUT == -110, "GMX_ETIMEDOUT");
_Static_assert(GMX_ECANCELED == -125, "GMX_ECANCELED");
_Static_assert(GMX_ENOTG == -1001, "GMX_ENOTG");
_Static_assert(GMX_EINSYSCALL == -1002, "GMX_EINSYSCALL");
_Static_assert(GMX_ESHUTDOWN == -1003, "GMX_ESHUTDOWN");
_Static_assert(GMX_ESTALE == -1004, "GMX_ESTALE");
_Static_assert(GMX_ECLOSED == -1005, "GMX_ECLOSED");
_Static_assert(GMX_CONFIG_NO_SIGSEGV == 1, "GMX_CONFIG_NO_SIGSEGV");
_Static_assert(GMX_CONFIG_NO_MEMBARRIER == 4, "GMX_CONFIG_NO_MEMBARRIER");
_Static_assert(GMX_CONFIG_NO_FILES == 8, "GMX_CONFIG_NO_FILES");
_Static_assert(GMX_CONFIG_ALL_AT_START == 16, "GMX_CONFIG_ALL_AT_START");
_Static_assert(GMX_CONFIG_GUARD_REQUIRED == 2, "GMX_CONFIG_GUARD_REQUIRED");
_Static_assert(GMX_CONFIG_GUARD_OPTIONAL == 32, "GMX_CONFIG_GUARD_OPTIONAL");
_Static_assert(GMX_CONFIG_NO_STACK_DUMP == 64, "GMX_CONFIG_NO_STACK_DUMP");
_Static_assert(GMX_CONFIG_ADDRESSES == 128, "GMX_CONFIG_ADDRESSES");
_Static_assert(GMX_SPAWN_JOINABLE == 1, "GMX_SPAWN_JOINABLE");
_Static_assert(GMX_SPAWN_CHILD_FIRST == 2, "GMX_SPAWN_CHILD_FIRST");
_Static_assert(GMX_SPAWN_WIPE == 4, "GMX_SPAWN_WIPE");
_Static_assert(GMX_SPAWN_LAST == 8, "GMX_SPAWN_LAST");
_Static_assert(GMX_SPAWN_INHERIT == 16, "GMX_SPAWN_INHERIT");
_Static_assert(GMX_SPAWN_CANCELLABLE == 32, "GMX_SPAWN_CANCELLABLE");
_Static_assert(GMX_SPAWN_COPY_MAX == 128, "GMX_SPAWN_COPY_MAX");
_Static_assert(GMX_G_RUNNABLE == 1, "GMX_G_RUNNABLE");
_Static_assert(GMX_G_RUNNING == 2, "GMX_G_RUNNING");
_Static_assert(GMX_G_SYSCALL == 3, "GMX_G_SYSCALL");
_Static_assert(GMX_G_WAITING == 4, "GMX_G_WAITING");
_Static_assert(GMX_G_PARKED == 5, "GMX_G_PARKED");
_Static_assert(GMX_WAKE_ALL == 4294967295, "GMX_WAKE_ALL");
_Static_assert(GMX_SCOPE_ITSELF == 0, "GMX_SCOPE_ITSELF");
_Static_assert(GMX_SCOPE_FAILURE == 1, "GMX_SCOPE_FAILURE");
_Static_assert(GMX_SCOPE_DEADLINE == 2, "GMX_SCOPE_DEADLINE");
_Static_assert(GMX_SCOPE_CANCEL == 3, "GMX_SCOPE_CANCEL");
_Static_assert(GMX_CASE_RECV == 0, "GMX_CASE_RECV");
_Static_assert(GMX_CASE_SEND == 1, "GMX_CASE_SEND");
_Static_assert(GMX_CASE_RECV_READY == 2, "GMX_CASE_RECV_READY");
_Static_assert(GMX_CASE_SEND_READY == 3, "GMX_CASE_SEND_READY");

_Static_assert(sizeof(gmx_config) >= 104 && _Alignof(gmx_config) == 8, "gmx_config");
_Static_assert(offsetof(gmx_config, struct_size) == 0 && sizeof(((gmx_config *)0)->struct_size) == 8, "gmx_config.struct_size");
_Static_assert(offsetof(gmx_config, maxprocs) == 8 && sizeof(((gmx_config *)0)->maxprocs) == 4, "gmx_config.maxprocs");
_Static_assert(offsetof(gmx_config, flags) == 12 && sizeof(((gmx_config *)0)->flags) == 4, "gmx_config.flags");
_Static_assert(offsetof(gmx_config, stack_size) == 16 && sizeof(((gmx_config *)0)->stack_size) == 8, "gmx_config.stack_size");
_Static_assert(offsetof(gmx_config, g0_stack_size) == 24 && sizeof(((gmx_config *)0)->g0_stack_size) == 8, "gmx_config.g0_stack_size");
_Static_assert(offsetof(gmx_config, slice_ns) == 32 && sizeof(((gmx_config *)0)->slice_ns) == 8, "gmx_config.slice_ns");
_Static_assert(offsetof(gmx_config, max_threads) == 40 && sizeof(((gmx_config *)0)->max_threads) == 4, "gmx_config.max_threads");
_Static_assert(offsetof(gmx_config, report) == 48 && sizeof(((gmx_config *)0)->report) == 8, "gmx_config.report");
_Static_assert(offsetof(gmx_config, report_arg) == 56 && sizeof(((gmx_config *)0)->report_arg) == 8, "gmx_config.report_arg");
_Static_assert(offsetof(gmx_config, max_goroutines) == 64 && sizeof(((gmx_config *)0)->max_goroutines) == 8, "gmx_config.max_goroutines");
_Static_assert(offsetof(gmx_config, on_preempt) == 72 && sizeof(((gmx_config *)0)->on_preempt) == 8, "gmx_config.on_preempt");
_Static_assert(offsetof(gmx_config, on_thread_start) == 80 && sizeof(((gmx_config *)0)->on_thread_start) == 8, "gmx_config.on_thread_start");
_Static_assert(offsetof(gmx_config, on_thread_end) == 88 && sizeof(((gmx_config *)0)->on_thread_end) == 8, "gmx_config.on_thread_end");
_Static_assert(offsetof(gmx_config, on_arg) == 96 && sizeof(((gmx_config *)0)->on_arg) == 8, "gmx_config.on_arg");

_Static_assert(sizeof(gmx_spawn_opts) >= 32 && _Alignof(gmx_spawn_opts) == 8, "gmx_spawn_opts");
_Static_assert(offsetof(gmx_spawn_opts, struct_size) == 0 && sizeof(((gmx_spawn_opts *)0)->struct_size) == 8, "gmx_spawn_opts.struct_size");
_Static_assert(offsetof(gmx_spawn_opts, flags) == 8 && sizeof(((gmx_spawn_opts *)0)->flags) == 4, "gmx_spawn_opts.flags");
_Static_assert(offsetof(gmx_spawn_opts, reserved) == 12 && sizeof(((gmx_spawn_opts *)0)->reserved) == 4, "gmx_spawn_opts.reserved");
_Static_assert(offsetof(gmx_spawn_opts, stack_size) == 16 && sizeof(((gmx_spawn_opts *)0)->stack_size) == 8, "gmx_spawn_opts.stack_size");
_Static_assert(offsetof(gmx_spawn_opts, name) == 24 && sizeof(((gmx_spawn_opts *)0)->name) == 8, "gmx_spawn_opts.name");

_Static_assert(sizeof(gmx_cleanup) == 24 && _Alignof(gmx_cleanup) == 8, "gmx_cleanup");
_Static_assert(offsetof(gmx_cleanup, fn) == 0 && sizeof(((gmx_cleanup *)0)->fn) == 8, "gmx_cleanup.fn");
_Static_assert(offsetof(gmx_cleanup, arg) == 8 && sizeof(((gmx_cleanup *)0)->arg) == 8, "gmx_cleanup.arg");
_Static_assert(offsetof(gmx_cleanup, below) == 16 && sizeof(((gmx_cleanup *)0)->below) == 8, "gmx_cleanup.below");

_Static_assert(sizeof(gmx_g_info) >= 104 && _Alignof(gmx_g_info) == 8, "gmx_g_info");
_Static_assert(offsetof(gmx_g_info, struct_size) == 0 && sizeof(((gmx_g_info *)0)->struct_size) == 8, "gmx_g_info.struct_size");
_Static_assert(offsetof(gmx_g_info, g) == 8 && sizeof(((gmx_g_info *)0)->g) == 8, "gmx_g_info.g");
_Static_assert(offsetof(gmx_g_info, goid) == 16 && sizeof(((gmx_g_info *)0)->goid) == 8, "gmx_g_info.goid");
_Static_assert(offsetof(gmx_g_info, name) == 24 && sizeof(((gmx_g_info *)0)->name) == 8, "gmx_g_info.name");
_Static_assert(offsetof(gmx_g_info, status) == 32 && sizeof(((gmx_g_info *)0)->status) == 4, "gmx_g_info.status");
_Static_assert(offsetof(gmx_g_info, wait_reason) == 40 && sizeof(((gmx_g_info *)0)->wait_reason) == 8, "gmx_g_info.wait_reason");
_Static_assert(offsetof(gmx_g_info, since_ns) == 48 && sizeof(((gmx_g_info *)0)->since_ns) == 8, "gmx_g_info.since_ns");
_Static_assert(offsetof(gmx_g_info, stack_lo) == 56 && sizeof(((gmx_g_info *)0)->stack_lo) == 8, "gmx_g_info.stack_lo");
_Static_assert(offsetof(gmx_g_info, stack_hi) == 64 && sizeof(((gmx_g_info *)0)->stack_hi) == 8, "gmx_g_info.stack_hi");
_Static_assert(offsetof(gmx_g_info, sp) == 72 && sizeof(((gmx_g_info *)0)->sp) == 8, "gmx_g_info.sp");
_Static_assert(offsetof(gmx_g_info, fn) == 80 && sizeof(((gmx_g_info *)0)->fn) == 8, "gmx_g_info.fn");
_Static_assert(offsetof(gmx_g_info, arg) == 88 && sizeof(((gmx_g_info *)0)->arg) == 8, "gmx_g_info.arg");
_Static_assert(offsetof(gmx_g_info, thread) == 96 && sizeof(((gmx_g_info *)0)->thread) == 4, "gmx_g_info.thread");
_Static_assert(offsetof(gmx_g_info, reserved) == 100 && sizeof(((gmx_g_info *)0)->reserved) == 4, "gmx_g_info.reserved");

_Static_assert(sizeof(gmx_mutex) == 16 && _Alignof(gmx_mutex) == 8, "gmx_mutex");
_Static_assert(offsetof(gmx_mutex, state) == 0 && sizeof(((gmx_mutex *)0)->state) == 8, "gmx_mutex.state");
_Static_assert(offsetof(gmx_mutex, reserved) == 8 && sizeof(((gmx_mutex *)0)->reserved) == 8, "gmx_mutex.reserved");

_Static_assert(sizeof(gmx_rmutex) == 24 && _Alignof(gmx_rmutex) == 8, "gmx_rmutex");
_Static_assert(offsetof(gmx_rmutex, mutex) == 0 && sizeof(((gmx_rmutex *)0)->mutex) == 16, "gmx_rmutex.mutex");
_Static_assert(offsetof(gmx_rmutex, again) == 16 && sizeof(((gmx_rmutex *)0)->again) == 8, "gmx_rmutex.again");

_Static_assert(sizeof(gmx_rwmutex) == 32 && _Alignof(gmx_rwmutex) == 8, "gmx_rwmutex");
_Static_assert(offsetof(gmx_rwmutex, writers) == 0 && sizeof(((gmx_rwmutex *)0)->writers) == 16, "gmx_rwmutex.writers");
_Static_assert(offsetof(gmx_rwmutex, state) == 16 && sizeof(((gmx_rwmutex *)0)->state) == 8, "gmx_rwmutex.state");
_Static_assert(offsetof(gmx_rwmutex, reserved) == 24 && sizeof(((gmx_rwmutex *)0)->reserved) == 8, "gmx_rwmutex.reserved");

_Static_assert(sizeof(gmx_cond) == 16 && _Alignof(gmx_cond) == 8, "gmx_cond");
_Static_assert(offsetof(gmx_cond, mutex) == 0 && sizeof(((gmx_cond *)0)->mutex) == 8, "gmx_cond.mutex");
_Static_assert(offsetof(gmx_cond, home) == 8 && sizeof(((gmx_cond *)0)->home) == 8, "gmx_cond.home");

_Static_assert(sizeof(gmx_waitgroup) == 16 && _Alignof(gmx_waitgroup) == 8, "gmx_waitgroup");
_Static_assert(offsetof(gmx_waitgroup, state) == 0 && sizeof(((gmx_waitgroup *)0)->state) == 8, "gmx_waitgroup.state");
_Static_assert(offsetof(gmx_waitgroup, sema) == 8 && sizeof(((gmx_waitgroup *)0)->sema) == 4, "gmx_waitgroup.sema");
_Static_assert(offsetof(gmx_waitgroup, reserved) == 12 && sizeof(((gmx_waitgroup *)0)->reserved) == 4, "gmx_waitgroup.reserved");

_Static_assert(sizeof(gmx_barrier) == 16 && _Alignof(gmx_barrier) == 8, "gmx_barrier");
_Static_assert(offsetof(gmx_barrier, n) == 0 && sizeof(((gmx_barrier *)0)->n) == 4, "gmx_barrier.n");
_Static_assert(offsetof(gmx_barrier, arrived) == 4 && sizeof(((gmx_barrier *)0)->arrived) == 4, "gmx_barrier.arrived");
_Static_assert(offsetof(gmx_barrier, reserved) == 8 && sizeof(((gmx_barrier *)0)->reserved) == 8, "gmx_barrier.reserved");

_Static_assert(sizeof(gmx_once) == 16 && _Alignof(gmx_once) == 8, "gmx_once");
_Static_assert(offsetof(gmx_once, state) == 0 && sizeof(((gmx_once *)0)->state) == 4, "gmx_once.state");
_Static_assert(offsetof(gmx_once, reserved) == 4 && sizeof(((gmx_once *)0)->reserved) == 4, "gmx_once.reserved");
_Static_assert(offsetof(gmx_once, owner) == 8 && sizeof(((gmx_once *)0)->owner) == 8, "gmx_once.owner");

_Static_assert(sizeof(gmx_scope_end) >= 24 && _Alignof(gmx_scope_end) == 8, "gmx_scope_end");
_Static_assert(offsetof(gmx_scope_end, struct_size) == 0 && sizeof(((gmx_scope_end *)0)->struct_size) == 8, "gmx_scope_end.struct_size");
_Static_assert(offsetof(gmx_scope_end, by) == 8 && sizeof(((gmx_scope_end *)0)->by) == 4, "gmx_scope_end.by");
_Static_assert(offsetof(gmx_scope_end, status) == 12 && sizeof(((gmx_scope_end *)0)->status) == 4, "gmx_scope_end.status");
_Static_assert(offsetof(gmx_scope_end, g) == 16 && sizeof(((gmx_scope_end *)0)->g) == 8, "gmx_scope_end.g");

_Static_assert(sizeof(gmx_select_case) == 64 && _Alignof(gmx_select_case) == 8, "gmx_select_case");
_Static_assert(offsetof(gmx_select_case, chan) == 0 && sizeof(((gmx_select_case *)0)->chan) == 8, "gmx_select_case.chan");
_Static_assert(offsetof(gmx_select_case, elem) == 8 && sizeof(((gmx_select_case *)0)->elem) == 8, "gmx_select_case.elem");
_Static_assert(offsetof(gmx_select_case, op) == 16 && sizeof(((gmx_select_case *)0)->op) == 4, "gmx_select_case.op");
_Static_assert(offsetof(gmx_select_case, reserved0) == 20 && sizeof(((gmx_select_case *)0)->reserved0) == 4, "gmx_select_case.reserved0");
_Static_assert(offsetof(gmx_select_case, reserved) == 24 && sizeof(((gmx_select_case *)0)->reserved) == 40, "gmx_select_case.reserved");

_Static_assert(sizeof(gmx_mem_stats) >= 120 && _Alignof(gmx_mem_stats) == 8, "gmx_mem_stats");
_Static_assert(offsetof(gmx_mem_stats, struct_size) == 0 && sizeof(((gmx_mem_stats *)0)->struct_size) == 8, "gmx_mem_stats.struct_size");
_Static_assert(offsetof(gmx_mem_stats, stacks_reserved_bytes) == 8 && sizeof(((gmx_mem_stats *)0)->stacks_reserved_bytes) == 8, "gmx_mem_stats.stacks_reserved_bytes");
_Static_assert(offsetof(gmx_mem_stats, stacks_inuse_bytes) == 16 && sizeof(((gmx_mem_stats *)0)->stacks_inuse_bytes) == 8, "gmx_mem_stats.stacks_inuse_bytes");
_Static_assert(offsetof(gmx_mem_stats, stacks_cached_bytes) == 24 && sizeof(((gmx_mem_stats *)0)->stacks_cached_bytes) == 8, "gmx_mem_stats.stacks_cached_bytes");
_Static_assert(offsetof(gmx_mem_stats, stacks_inuse) == 32 && sizeof(((gmx_mem_stats *)0)->stacks_inuse) == 8, "gmx_mem_stats.stacks_inuse");
_Static_assert(offsetof(gmx_mem_stats, stacks_cached) == 40 && sizeof(((gmx_mem_stats *)0)->stacks_cached) == 8, "gmx_mem_stats.stacks_cached");
_Static_assert(offsetof(gmx_mem_stats, g_descriptors) == 48 && sizeof(((gmx_mem_stats *)0)->g_descriptors) == 8, "gmx_mem_stats.g_descriptors");
_Static_assert(offsetof(gmx_mem_stats, g_live) == 56 && sizeof(((gmx_mem_stats *)0)->g_live) == 8, "gmx_mem_stats.g_live");
_Static_assert(offsetof(gmx_mem_stats, m_total) == 64 && sizeof(((gmx_mem_stats *)0)->m_total) == 8, "gmx_mem_stats.m_total");
_Static_assert(offsetof(gmx_mem_stats, p_total) == 72 && sizeof(((gmx_mem_stats *)0)->p_total) == 8, "gmx_mem_stats.p_total");
_Static_assert(offsetof(gmx_mem_stats, descriptor_bytes) == 80 && sizeof(((gmx_mem_stats *)0)->descriptor_bytes) == 8, "gmx_mem_stats.descriptor_bytes");
_Static_assert(offsetof(gmx_mem_stats, guard_kind) == 88 && sizeof(((gmx_mem_stats *)0)->guard_kind) == 4, "gmx_mem_stats.guard_kind");
_Static_assert(offsetof(gmx_mem_stats, reserved) == 92 && sizeof(((gmx_mem_stats *)0)->reserved) == 4, "gmx_mem_stats.reserved");
_Static_assert(offsetof(gmx_mem_stats, stacks_warm) == 96 && sizeof(((gmx_mem_stats *)0)->stacks_warm) == 8, "gmx_mem_stats.stacks_warm");
_Static_assert(offsetof(gmx_mem_stats, stacks_released) == 104 && sizeof(((gmx_mem_stats *)0)->stacks_released) == 8, "gmx_mem_stats.stacks_released");
_Static_assert(offsetof(gmx_mem_stats, stacks_unguarded) == 112 && sizeof(((gmx_mem_stats *)0)->stacks_unguarded) == 8, "gmx_mem_stats.stacks_unguarded");

_Static_assert(sizeof(gmx_sched_stats) >= 192 && _Alignof(gmx_sched_stats) == 8, "gmx_sched_stats");
_Static_assert(offsetof(gmx_sched_stats, struct_size) == 0 && sizeof(((gmx_sched_stats *)0)->struct_size) == 8, "gmx_sched_stats.struct_size");
_Static_assert(offsetof(gmx_sched_stats, uptime_ns) == 8 && sizeof(((gmx_sched_stats *)0)->uptime_ns) == 8, "gmx_sched_stats.uptime_ns");
_Static_assert(offsetof(gmx_sched_stats, gomaxprocs) == 16 && sizeof(((gmx_sched_stats *)0)->gomaxprocs) == 4, "gmx_sched_stats.gomaxprocs");
_Static_assert(offsetof(gmx_sched_stats, idleprocs) == 20 && sizeof(((gmx_sched_stats *)0)->idleprocs) == 4, "gmx_sched_stats.idleprocs");
_Static_assert(offsetof(gmx_sched_stats, threads) == 24 && sizeof(((gmx_sched_stats *)0)->threads) == 4, "gmx_sched_stats.threads");
_Static_assert(offsetof(gmx_sched_stats, idlethreads) == 28 && sizeof(((gmx_sched_stats *)0)->idlethreads) == 4, "gmx_sched_stats.idlethreads");
_Static_assert(offsetof(gmx_sched_stats, spinning) == 32 && sizeof(((gmx_sched_stats *)0)->spinning) == 4, "gmx_sched_stats.spinning");
_Static_assert(offsetof(gmx_sched_stats, extra_threads) == 36 && sizeof(((gmx_sched_stats *)0)->extra_threads) == 4, "gmx_sched_stats.extra_threads");
_Static_assert(offsetof(gmx_sched_stats, g_live) == 40 && sizeof(((gmx_sched_stats *)0)->g_live) == 8, "gmx_sched_stats.g_live");
_Static_assert(offsetof(gmx_sched_stats, g_running) == 48 && sizeof(((gmx_sched_stats *)0)->g_running) == 8, "gmx_sched_stats.g_running");
_Static_assert(offsetof(gmx_sched_stats, g_runnable) == 56 && sizeof(((gmx_sched_stats *)0)->g_runnable) == 8, "gmx_sched_stats.g_runnable");
_Static_assert(offsetof(gmx_sched_stats, g_waiting) == 64 && sizeof(((gmx_sched_stats *)0)->g_waiting) == 8, "gmx_sched_stats.g_waiting");
_Static_assert(offsetof(gmx_sched_stats, g_syscall) == 72 && sizeof(((gmx_sched_stats *)0)->g_syscall) == 8, "gmx_sched_stats.g_syscall");
_Static_assert(offsetof(gmx_sched_stats, spawned) == 80 && sizeof(((gmx_sched_stats *)0)->spawned) == 8, "gmx_sched_stats.spawned");
_Static_assert(offsetof(gmx_sched_stats, ended) == 88 && sizeof(((gmx_sched_stats *)0)->ended) == 8, "gmx_sched_stats.ended");
_Static_assert(offsetof(gmx_sched_stats, switches) == 96 && sizeof(((gmx_sched_stats *)0)->switches) == 8, "gmx_sched_stats.switches");
_Static_assert(offsetof(gmx_sched_stats, steals) == 104 && sizeof(((gmx_sched_stats *)0)->steals) == 8, "gmx_sched_stats.steals");
_Static_assert(offsetof(gmx_sched_stats, parks) == 112 && sizeof(((gmx_sched_stats *)0)->parks) == 8, "gmx_sched_stats.parks");
_Static_assert(offsetof(gmx_sched_stats, wakes) == 120 && sizeof(((gmx_sched_stats *)0)->wakes) == 8, "gmx_sched_stats.wakes");
_Static_assert(offsetof(gmx_sched_stats, handoffs) == 128 && sizeof(((gmx_sched_stats *)0)->handoffs) == 8, "gmx_sched_stats.handoffs");
_Static_assert(offsetof(gmx_sched_stats, retakes) == 136 && sizeof(((gmx_sched_stats *)0)->retakes) == 8, "gmx_sched_stats.retakes");
_Static_assert(offsetof(gmx_sched_stats, preempts) == 144 && sizeof(((gmx_sched_stats *)0)->preempts) == 8, "gmx_sched_stats.preempts");
_Static_assert(offsetof(gmx_sched_stats, stops) == 152 && sizeof(((gmx_sched_stats *)0)->stops) == 8, "gmx_sched_stats.stops");
_Static_assert(offsetof(gmx_sched_stats, stop_ns_total) == 160 && sizeof(((gmx_sched_stats *)0)->stop_ns_total) == 8, "gmx_sched_stats.stop_ns_total");
_Static_assert(offsetof(gmx_sched_stats, stop_ns_max) == 168 && sizeof(((gmx_sched_stats *)0)->stop_ns_max) == 8, "gmx_sched_stats.stop_ns_max");
_Static_assert(offsetof(gmx_sched_stats, barriers) == 176 && sizeof(((gmx_sched_stats *)0)->barriers) == 8, "gmx_sched_stats.barriers");
_Static_assert(offsetof(gmx_sched_stats, runqueue) == 184 && sizeof(((gmx_sched_stats *)0)->runqueue) == 8, "gmx_sched_stats.runqueue");

gmx_status gmx_after(int64_t delay, gmx_chan **out);
gmx_status gmx_after_func(int64_t delay, void (*fn)(void*), void *arg, gmx_timer *out);
gmx_status gmx_attach_thread(void);
gmx_status gmx_barrier_wait(struct gmx_barrier *b, bool *serial);
gmx_status gmx_barrier_wait_timeout(struct gmx_barrier *b, int64_t timeout, bool *serial);
uint32_t gmx_barrier_waiters(const struct gmx_barrier *b);
gmx_status gmx_blocking(void (*fn)(void*), void *arg);
gmx_status gmx_blocking_in(gmx_class class_, void (*fn)(void*), void *arg, int64_t timeout);
gmx_status gmx_callback(void (*fn)(void*), void *arg);
gmx_status gmx_cancel_after(gmx_cancel token, void (*fn)(void*), void *arg, gmx_cancel_hook *hook);
gmx_status gmx_cancel_chan(gmx_cancel token, gmx_chan **out);
gmx_cancel gmx_cancel_current(void);
gmx_status gmx_cancel_deadline(gmx_cancel token, int64_t *deadline);
gmx_status gmx_cancel_free(gmx_cancel token);
gmx_status gmx_cancel_g(gmx_g g, gmx_status reason);
gmx_status gmx_cancel_hook_stop(gmx_cancel_hook hook, bool *stopped);
bool gmx_cancel_is_canceled(gmx_cancel token);
bool gmx_cancel_locks(bool too);
gmx_status gmx_cancel_new(gmx_cancel parent, int64_t timeout, gmx_cancel *out);
gmx_status gmx_cancel_now(gmx_cancel token);
gmx_status gmx_cancel_now_because(gmx_cancel token, gmx_status reason);
gmx_status gmx_cancel_reason(gmx_cancel token, gmx_status *reason);
gmx_status gmx_cancel_shield(void);
gmx_status gmx_cancel_unshield(void);
gmx_status gmx_cancel_use(gmx_cancel token, gmx_cancel *previous);
size_t gmx_chan_cap(struct gmx_chan *chan);
gmx_status gmx_chan_close(struct gmx_chan *chan);
gmx_status gmx_chan_close_drop(struct gmx_chan *chan, void (*drop)(void*, void*), void *arg);
gmx_status gmx_chan_free(struct gmx_chan *chan);
bool gmx_chan_is_closed(struct gmx_chan *chan);
size_t gmx_chan_len(struct gmx_chan *chan);
gmx_status gmx_chan_new(size_t elem_size, size_t capacity, struct gmx_chan **chan);
gmx_status gmx_chan_new_refs(size_t elem_size, size_t capacity, uint32_t refs, struct gmx_chan **chan);
gmx_status gmx_chan_recv(struct gmx_chan *chan, void *elem);
gmx_status gmx_chan_recv_timeout(struct gmx_chan *chan, void *elem, int64_t timeout);
gmx_status gmx_chan_ref(struct gmx_chan *chan);
gmx_status gmx_chan_send(struct gmx_chan *chan, const void *elem);
gmx_status gmx_chan_send_timeout(struct gmx_chan *chan, const void *elem, int64_t timeout);
gmx_status gmx_chan_try_recv(struct gmx_chan *chan, void *elem);
gmx_status gmx_chan_try_send(struct gmx_chan *chan, const void *elem);
gmx_status gmx_chan_waiters(struct gmx_chan *chan, size_t *senders, size_t *receivers);
gmx_status gmx_class_free(gmx_class class_);
gmx_status gmx_class_new(uint32_t limit, const char *name, gmx_class *out);
gmx_status gmx_cleanup_pop(struct gmx_cleanup *c, bool run);
gmx_status gmx_cleanup_push(struct gmx_cleanup *c, void (*fn)(void*), void *arg);
gmx_status gmx_cond_broadcast(struct gmx_cond *c);
gmx_status gmx_cond_signal(struct gmx_cond *c);
gmx_status gmx_cond_wait(struct gmx_cond *c, gmx_mutex *m);
gmx_status gmx_cond_wait_timeout(struct gmx_cond *c, gmx_mutex *m, int64_t timeout);
uint32_t gmx_cond_waiters(const struct gmx_cond *c);
gmx_status gmx_config_default(struct gmx_config *out);
gmx_status gmx_coro_free(gmx_coro co);
gmx_status gmx_coro_new(void (*fn)(void*), void *arg, const gmx_spawn_opts *opts, gmx_coro *co);
gmx_status gmx_coro_switch(gmx_coro co);
int64_t gmx_deadline(int64_t timeout);
gmx_status gmx_detach(gmx_g g);
gmx_status gmx_detach_thread(void);
gmx_status gmx_enter_syscall(void);
gmx_status gmx_enter_syscall_blocking(void);
const char *gmx_err_name(gmx_status status);
gmx_status gmx_exit_syscall(void);
gmx_status gmx_for_each_g(void (*fn)(void*, const struct gmx_g_info*), void *arg);
gmx_status gmx_for_each_p(void (*fn)(void*), void *arg);
gmx_status gmx_goexit(void);
uint64_t gmx_goid(void);
int32_t gmx_gomaxprocs(int32_t n);
gmx_status gmx_init(const struct gmx_config *config);
gmx_status gmx_join(gmx_g g, int64_t timeout);
gmx_status gmx_key_create(void (*destructor)(void*), gmx_key *out);
gmx_status gmx_key_delete(gmx_key key);
void *gmx_key_get(gmx_key key);
gmx_status gmx_key_set(gmx_key key, void *value);
gmx_status gmx_lock_os_thread(void);
gmx_status gmx_main(void (*fn)(void*), void *arg);
gmx_status gmx_mutex_lock(struct gmx_mutex *m);
gmx_status gmx_mutex_lock_timeout(struct gmx_mutex *m, int64_t timeout);
gmx_status gmx_mutex_try_lock(struct gmx_mutex *m);
gmx_status gmx_mutex_unlock(struct gmx_mutex *m);
uint32_t gmx_mutex_waiters(const struct gmx_mutex *m);
int64_t gmx_now(void);
int32_t gmx_num_cpu(void);
int64_t gmx_num_g(void);
gmx_status gmx_once_do(struct gmx_once *once, void (*fn)(void*), void *arg);
gmx_status gmx_once_do_timeout(struct gmx_once *once, void (*fn)(void*), void *arg, int64_t timeout);
int32_t gmx_p_count(void);
void *gmx_p_get(gmx_p_key key);
void *gmx_p_get_of(gmx_p_key key, int32_t p);
gmx_status gmx_p_key_create(gmx_p_key *out);
gmx_status gmx_p_key_delete(gmx_p_key key);
gmx_status gmx_p_set(gmx_p_key key, void *value);
gmx_status gmx_parallel_for(int64_t n, int64_t grain, void (*fn)(void*, int64_t, int64_t), void *arg);
gmx_status gmx_park(bool (*commit)(void*, gmx_g), void *arg, const char *reason);
gmx_status gmx_park_timeout(bool (*commit)(void*, gmx_g), void *arg, const char *reason, int64_t timeout);
int32_t gmx_pin(void);
void gmx_poll_slow(void);
void gmx_poll_slow_tied(void);
const uint32_t *gmx_preempt_word(void);
gmx_status gmx_read_mem_stats(struct gmx_mem_stats *out);
gmx_status gmx_read_sched_stats(struct gmx_sched_stats *out);
gmx_status gmx_ready(gmx_g g);
gmx_status gmx_release_memory(void);
gmx_status gmx_rmutex_lock(struct gmx_rmutex *m, int64_t timeout);
gmx_status gmx_rmutex_try_lock(struct gmx_rmutex *m);
gmx_status gmx_rmutex_unlock(struct gmx_rmutex *m);
uint32_t gmx_rmutex_waiters(const struct gmx_rmutex *m);
gmx_status gmx_rwmutex_lock(struct gmx_rwmutex *m);
gmx_status gmx_rwmutex_lock_timeout(struct gmx_rwmutex *m, int64_t timeout);
gmx_status gmx_rwmutex_rlock(struct gmx_rwmutex *m);
gmx_status gmx_rwmutex_rlock_timeout(struct gmx_rwmutex *m, int64_t timeout);
gmx_status gmx_rwmutex_runlock(struct gmx_rwmutex *m);
gmx_status gmx_rwmutex_try_lock(struct gmx_rwmutex *m);
gmx_status gmx_rwmutex_try_rlock(struct gmx_rwmutex *m);
gmx_status gmx_rwmutex_unlock(struct gmx_rwmutex *m);
uint32_t gmx_rwmutex_waiters(const struct gmx_rwmutex *m);
void gmx_safepoint(void);
gmx_status gmx_safepoint_slow(void);
gmx_status gmx_scope_cancel(gmx_scope scope);
gmx_status gmx_scope_enter(gmx_scope scope);
gmx_status gmx_scope_leave(gmx_scope scope, int64_t timeout, gmx_status *result);
gmx_status gmx_scope_leave_why(gmx_scope scope, int64_t timeout, struct gmx_scope_end *end);
gmx_status gmx_scope_new(int64_t timeout, gmx_scope *out);
gmx_status gmx_scope_spawn(gmx_scope scope, gmx_status (*fn)(void*), void *arg);
gmx_status gmx_scope_token(gmx_scope scope, gmx_cancel *out);
gmx_status gmx_select(struct gmx_select_case *cases, size_t n, int64_t timeout, size_t *chosen);
gmx_g gmx_self(void);
gmx_status gmx_sema_acquire(uint32_t *s);
gmx_status gmx_sema_acquire_timeout(uint32_t *s, int64_t timeout);
gmx_status gmx_sema_release(uint32_t *s);
gmx_status gmx_sema_release_handoff(uint32_t *s);
gmx_status gmx_sema_try_acquire(uint32_t *s);
uint32_t gmx_sema_waiters(const uint32_t *s);
gmx_status gmx_set_default_gomaxprocs(void);
gmx_status gmx_shutdown(int64_t timeout);
gmx_status gmx_sleep(int64_t ns);
gmx_status gmx_spawn(void (*fn)(void*), void *arg);
gmx_status gmx_spawn_copy(void (*fn)(void*), const void *args, size_t size);
gmx_status gmx_spawn_with(const struct gmx_spawn_opts *opts, void (*fn)(void*), void *arg, gmx_g *g);
gmx_status gmx_stack_bounds(void **lo, void **hi);
gmx_status gmx_start_the_world(void);
gmx_status gmx_stop_the_world(const char *reason);
gmx_status gmx_stop_the_world_timeout(const char *reason, int64_t timeout);
const char *gmx_strerror(gmx_status status);
gmx_status gmx_ticker_new(int64_t period, gmx_timer *out, gmx_chan **chan);
gmx_status gmx_ticker_reset(gmx_timer timer, int64_t period, bool *stopped);
int64_t gmx_time_left(int64_t deadline);
gmx_status gmx_timer_free(gmx_timer timer, bool *stopped);
gmx_status gmx_timer_new(int64_t delay, int64_t period, gmx_timer *out, gmx_chan **chan);
gmx_status gmx_timer_reset(gmx_timer timer, int64_t delay, int64_t period, bool *stopped);
gmx_status gmx_timer_stop(gmx_timer timer, bool *stopped);
gmx_status gmx_unlock_os_thread(void);
gmx_status gmx_unpin(void);
uint32_t gmx_version(void);
gmx_status gmx_wait_on_address(const void *addr, const void *expected, size_t size, int64_t timeout);
gmx_status gmx_waitgroup_add(struct gmx_waitgroup *wg, int32_t delta);
gmx_status gmx_waitgroup_done(struct gmx_waitgroup *wg);
gmx_status gmx_waitgroup_go(struct gmx_waitgroup *wg, void (*fn)(void*), void *arg);
gmx_status gmx_waitgroup_wait(struct gmx_waitgroup *wg);
gmx_status gmx_waitgroup_wait_timeout(struct gmx_waitgroup *wg, int64_t timeout);
gmx_status gmx_wake_address(const void *addr, uint32_t n);
gmx_status gmx_write_heap_dump(int32_t fd);
gmx_status gmx_yield(void);
extern volatile uint32_t gmx_poll_word;

typedef void (*abi_function)(void);
abi_function const abi_functions[] = {
  (abi_function)gmx_after,
  (abi_function)gmx_after_func,
  (abi_function)gmx_attach_thread,
  (abi_function)gmx_barrier_wait,
  (abi_function)gmx_barrier_wait_timeout,
  (abi_function)gmx_barrier_waiters,
  (abi_function)gmx_blocking,
  (abi_function)gmx_blocking_in,
  (abi_function)gmx_callback,
  (abi_function)gmx_cancel_after,
  (abi_function)gmx_cancel_chan,
  (abi_function)gmx_cancel_current,
  (abi_function)gmx_cancel_deadline,
  (abi_function)gmx_cancel_free,
  (abi_function)gmx_cancel_g,
  (abi_function)gmx_cancel_hook_stop,
  (abi_function)gmx_cancel_is_canceled,
  (abi_function)gmx_cancel_locks,
  (abi_function)gmx_cancel_new,
  (abi_function)gmx_cancel_now,
  (abi_function)gmx_cancel_now_because,
  (abi_function)gmx_cancel_reason,
  (abi_function)gmx_cancel_shield,
  (abi_function)gmx_cancel_unshield,
  (abi_function)gmx_cancel_use,
  (abi_function)gmx_chan_cap,
  (abi_function)gmx_chan_close,
  (abi_function)gmx_chan_close_drop,
  (abi_function)gmx_chan_free,
  (abi_function)gmx_chan_is_closed,
  (abi_function)gmx_chan_len,
  (abi_function)gmx_chan_new,
  (abi_function)gmx_chan_new_refs,
  (abi_function)gmx_chan_recv,
  (abi_function)gmx_chan_recv_timeout,
  (abi_function)gmx_chan_ref,
  (abi_function)gmx_chan_send,
  (abi_function)gmx_chan_send_timeout,
  (abi_function)gmx_chan_try_recv,
  (abi_function)gmx_chan_try_send,
  (abi_function)gmx_chan_waiters,
  (abi_function)gmx_class_free,
  (abi_function)gmx_class_new,
  (abi_function)gmx_cleanup_pop,
  (abi_function)gmx_cleanup_push,
  (abi_function)gmx_cond_broadcast,
  (abi_function)gmx_cond_signal,
  (abi_function)gmx_cond_wait,
  (abi_function)gmx_cond_wait_timeout,
  (abi_function)gmx_cond_waiters,
  (abi_function)gmx_config_default,
  (abi_function)gmx_coro_free,
  (abi_function)gmx_coro_new,
  (abi_function)gmx_coro_switch,
  (abi_function)gmx_deadline,
  (abi_function)gmx_detach,
  (abi_function)gmx_detach_thread,
  (abi_function)gmx_enter_syscall,
  (abi_function)gmx_enter_syscall_blocking,
  (abi_function)gmx_err_name,
  (abi_function)gmx_exit_syscall,
  (abi_function)gmx_for_each_g,
  (abi_function)gmx_for_each_p,
  (abi_function)gmx_goexit,
  (abi_function)gmx_goid,
  (abi_function)gmx_gomaxprocs,
  (abi_function)gmx_init,
  (abi_function)gmx_join,
  (abi_function)gmx_key_create,
  (abi_function)gmx_key_delete,
  (abi_function)gmx_key_get,
  (abi_function)gmx_key_set,
  (abi_function)gmx_lock_os_thread,
  (abi_function)gmx_main,
  (abi_function)gmx_mutex_lock,
  (abi_function)gmx_mutex_lock_timeout,
  (abi_function)gmx_mutex_try_lock,
  (abi_function)gmx_mutex_unlock,
  (abi_function)gmx_mutex_waiters,
  (abi_function)gmx_now,
  (abi_function)gmx_num_cpu,
  (abi_function)gmx_num_g,
  (abi_function)gmx_once_do,
  (abi_function)gmx_once_do_timeout,
  (abi_function)gmx_p_count,
  (abi_function)gmx_p_get,
  (abi_function)gmx_p_get_of,
  (abi_function)gmx_p_key_create,
  (abi_function)gmx_p_key_delete,
  (abi_function)gmx_p_set,
  (abi_function)gmx_parallel_for,
  (abi_function)gmx_park,
  (abi_function)gmx_park_timeout,
  (abi_function)gmx_pin,
  (abi_function)gmx_poll_slow,
  (abi_function)gmx_poll_slow_tied,
  (abi_function)gmx_preempt_word,
  (abi_function)gmx_read_mem_stats,
  (abi_function)gmx_read_sched_stats,
  (abi_function)gmx_ready,
  (abi_function)gmx_release_memory,
  (abi_function)gmx_rmutex_lock,
  (abi_function)gmx_rmutex_try_lock,
  (abi_function)gmx_rmutex_unlock,
  (abi_function)gmx_rmutex_waiters,
  (abi_function)gmx_rwmutex_lock,
  (abi_function)gmx_rwmutex_lock_timeout,
  (abi_function)gmx_rwmutex_rlock,
  (abi_function)gmx_rwmutex_rlock_timeout,
  (abi_function)gmx_rwmutex_runlock,
  (abi_function)gmx_rwmutex_try_lock,
  (abi_function)gmx_rwmutex_try_rlock,
  (abi_function)gmx_rwmutex_unlock,
  (abi_function)gmx_rwmutex_waiters,
  (abi_function)gmx_safepoint,
  (abi_function)gmx_safepoint_slow,
  (abi_function)gmx_scope_cancel,
  (abi_function)gmx_scope_enter,
  (abi_function)gmx_scope_leave,
  (abi_function)gmx_scope_leave_why,
  (abi_function)gmx_scope_new,
  (abi_function)gmx_scope_spawn,
  (abi_function)gmx_scope_token,
  (abi_function)gmx_select,
  (abi_function)gmx_self,
  (abi_function)gmx_sema_acquire,
  (abi_function)gmx_sema_acquire_timeout,
  (abi_function)gmx_sema_release,
  (abi_function)gmx_sema_release_handoff,
  (abi_function)gmx_sema_try_acquire,
  (abi_function)gmx_sema_waiters,
  (abi_function)gmx_set_default_gomaxprocs,
  (abi_function)gmx_shutdown,
  (abi_function)gmx_sleep,
  (abi_function)gmx_spawn,
  (abi_function)gmx_spawn_copy,
  (abi_function)gmx_spawn_with,
  (abi_function)gmx_stack_bounds,
  (abi_function)gmx_start_the_world,
  (abi_function)gmx_stop_the_world,
  (abi_function)gmx_stop_the_world_timeout,
  (abi_function)gmx_strerror,
  (abi_function)gmx_ticker_new,
  (abi_function)gmx_ticker_reset,
  (abi_function)gmx_time_left,
  (abi_function)gmx_timer_free,
  (abi_function)gmx_timer_new,
  (abi_function)gmx_timer_reset,
  (abi_function)gmx_timer_stop,
  (abi_function)gmx_unlock_os_thread,
  (abi_function)gmx_unpin,
  (abi_function)gmx_version,
  (abi_function)gmx_wait_on_address,
  (abi_function)gmx_waitgroup_add,
  (abi_function)gmx_waitgroup_done,
  (abi_function)gmx_waitgroup_go,
  (abi_function)gmx_waitgroup_wait,
  (abi_function)gmx_waitgroup_wait_timeout,
  (abi_function)gmx_wake_address,
  (abi_function)gmx_write_heap_dump,
  (abi_function)gmx_yield,
};

int main(void) { return abi_functions[0] == 0 || gmx_poll_word != 0; }
