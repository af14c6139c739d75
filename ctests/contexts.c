/* timeout: 180 */
/* env: GMX_MAXPROCS=3 */
/* env: GMXDEBUG=strict=1 */
/*
 * Calls every function of the header in every context. A call that the context allows works; any other returns its
 * status and changes nothing.
 *
 * The table below is the test. A row is a call, a column is a context, and a cell is the status that the call must
 * return. `n_a` means that the call is not made there: it would wait forever, or not return.
 *
 * GMXDEBUG=strict=1 reports each kind of wrong call once, with the name of the function that was called.
 */
#include "gs.h"
#include "objects.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum {
  ok = GMX_OK,
  notg = GMX_ENOTG,
  insys = GMX_EINSYSCALL,
  perm = GMX_EPERM,
  busy = GMX_EBUSY,
  inval = GMX_EINVAL,
  again = GMX_EAGAIN,
  tmout = GMX_ETIMEDOUT,
  dlock = GMX_EDEADLK,
  stale = GMX_ESTALE,
  closed = GMX_ECLOSED,
  badf = GMX_EBADF,
  n_a = 1
};

/* G    on a G                                   FEP  in the function of gmx_for_each_p
 * SYS  on a G between enter and exit_syscall    COM  in the commit of gmx_park
 * ATT  on an attached thread                    STW  on a G that has stopped the world
 * CB   in a gmx_callback on a foreign thread    FSTW on a foreign thread that has stopped the world
 * FOR  on a foreign thread                      PIN  on a pinned G
 */
enum column { G, SYS, ATT, CB, FOR, FEP, COM, STW, FSTW, PIN, COLUMNS };

#define EVERYWHERE(s) s, s, s, s, s, s, s, s, s, s
/* The row of a call that waits: it is valid on Gs, and on foreign threads, which block. */
#define BLOCKS(s) s, insys, s, s, s, notg, notg, notg, notg, notg

/*    call                  G      SYS    ATT    CB     FOR    FEP    COM    STW    FSTW   PIN */
#define TABLE(X)                                                                                    \
  /* runtime */                                                                                     \
  X(config_default,         EVERYWHERE(ok))                                                         \
  X(config_default_null,    EVERYWHERE(inval))                                                      \
  X(init_again,             EVERYWHERE(busy))                                                       \
  X(main_fn,                perm,  insys, perm,  perm,  ok,    notg,  notg,  notg,  notg,  perm)    \
  X(main_null,              EVERYWHERE(inval))                                                      \
  X(shutdown_now,           dlock, insys, dlock, dlock, tmout, notg,  notg,  notg,  notg,  notg)    \
  X(preempt_word,           EVERYWHERE(ok))                                                         \
  X(version_and_names,      EVERYWHERE(ok))                                                         \
  /* Gs */                                                                                          \
  X(spawn,                  EVERYWHERE(ok))                                                         \
  X(spawn_null,             EVERYWHERE(inval))                                                      \
  X(spawn_with_all,         EVERYWHERE(ok))                                                         \
  X(spawn_with_nothing,     EVERYWHERE(ok))                                                         \
  X(spawn_child_first,      EVERYWHERE(ok))                                                         \
  X(spawn_last,             EVERYWHERE(ok))                                                         \
  X(spawn_last_and_first,   EVERYWHERE(inval))                                                      \
  X(spawn_copy,             EVERYWHERE(ok))                                                         \
  X(spawn_copy_too_much,    EVERYWHERE(inval))                                                      \
  X(spawn_with_null,        EVERYWHERE(inval))                                                      \
  X(spawn_size_0,           EVERYWHERE(ok))                                                         \
  X(spawn_size_1,           EVERYWHERE(inval))                                                      \
  X(spawn_huge_stack,       EVERYWHERE(inval))                                                      \
  X(spawn_unknown_flag,     EVERYWHERE(inval))                                                      \
  X(join_ended,             BLOCKS(ok))                                                             \
  X(join_parked,            BLOCKS(tmout))                                                          \
  X(detach_ended,           EVERYWHERE(ok))                                                         \
  X(detach_none,            EVERYWHERE(stale))                                                      \
  X(yield,                  BLOCKS(ok))                                                             \
  X(goexit,                 n_a,   n_a,   perm,  perm,  perm,  notg,  notg,  n_a,   perm,  n_a)    \
  X(self_and_goid,          ok,    ok,    ok,    ok,    notg,  notg,  notg,  ok,    notg,  ok)      \
  X(num_g,                  EVERYWHERE(ok))                                                         \
  X(stack_bounds,           EVERYWHERE(ok))                                                         \
  X(stack_bounds_null,      EVERYWHERE(inval))                                                      \
  X(park_vetoed,            BLOCKS(ok))                                                             \
  X(park_readied,           BLOCKS(ok))                                                             \
  X(park_timeout_vetoed,    BLOCKS(ok))                                                             \
  X(park_timeout_readied,   BLOCKS(ok))                                                             \
  X(park_times_out,         BLOCKS(tmout))                                                          \
  X(ready_parked,           EVERYWHERE(ok))                                                         \
  X(ready_not_parked,       EVERYWHERE(perm))                                                       \
  X(ready_none,             EVERYWHERE(stale))                                                      \
  X(lock_os_thread,         ok,    insys, ok,    ok,    notg,  notg,  notg,  ok,    notg,  ok)      \
  X(unlock_os_thread,       perm,  insys, perm,  perm,  notg,  notg,  notg,  perm,  notg,  perm)    \
  X(key_create,             EVERYWHERE(ok))                                                         \
  X(key_create_null,        EVERYWHERE(inval))                                                      \
  X(key_delete_0,           EVERYWHERE(inval))                                                      \
  X(key_set,                ok,    ok,    ok,    ok,    notg,  notg,  notg,  ok,    notg,  ok)      \
  X(key_get_0,              EVERYWHERE(ok))                                                         \
  X(cleanup_push_pop,       ok,    ok,    ok,    ok,    notg,  notg,  notg,  ok,    notg,  ok)      \
  X(cleanup_null,           EVERYWHERE(inval))                                                      \
  X(cleanup_pop_other,      perm,  perm,  perm,  perm,  notg,  notg,  notg,  perm,  notg,  perm)    \
  X(coro_new,               EVERYWHERE(ok))                                                         \
  X(coro_new_null,          EVERYWHERE(inval))                                                      \
  X(coro_switch,            BLOCKS(ok))                                                             \
  X(coro_switch_none,       BLOCKS(stale))                                                          \
  X(coro_switch_no_coro,    BLOCKS(inval))                                                          \
  X(coro_free_none,         BLOCKS(stale))                                                          \
  /* Ps */                                                                                          \
  X(gomaxprocs_ask,         EVERYWHERE(ok))                                                         \
  X(gomaxprocs_set,         BLOCKS(ok))                                                             \
  X(num_cpu,                EVERYWHERE(ok))                                                         \
  X(set_default_gomaxprocs, BLOCKS(ok))                                                             \
  X(pin,                    ok,    insys, ok,    ok,    notg,  ok,    ok,    ok,    notg,  ok)      \
  X(unpin,                  perm,  insys, perm,  perm,  perm,  perm,  perm,  perm,  perm,  ok)      \
  X(p_key_create,           EVERYWHERE(ok))                                                         \
  X(p_key_create_null,      EVERYWHERE(inval))                                                      \
  X(p_key_delete_0,         EVERYWHERE(inval))                                                      \
  X(p_set,                  ok,    insys, ok,    ok,    notg,  ok,    ok,    ok,    notg,  ok)      \
  X(p_get_of,               EVERYWHERE(ok))                                                         \
  /* syscalls */                                                                                    \
  X(enter_syscall,          ok,    insys, ok,    ok,    notg,  notg,  notg,  notg,  notg,  notg)    \
  X(enter_syscall_blocking, ok,    insys, ok,    ok,    notg,  notg,  notg,  notg,  notg,  notg)    \
  X(exit_syscall,           perm,  ok,    perm,  perm,  perm,  perm,  perm,  perm,  perm,  perm)    \
  X(blocking,               BLOCKS(ok))                                                             \
  X(blocking_null,          EVERYWHERE(inval))                                                      \
  X(class_new_free,         EVERYWHERE(ok))                                                         \
  X(class_new_null,         EVERYWHERE(inval))                                                      \
  X(class_free_none,        EVERYWHERE(stale))                                                      \
  X(blocking_in,            BLOCKS(ok))                                                             \
  X(blocking_in_null,       EVERYWHERE(inval))                                                      \
  X(blocking_in_none,       BLOCKS(stale))                                                          \
  /* world */                                                                                       \
  X(stop_the_world,         BLOCKS(ok))                                                             \
  X(stop_the_world_timeout, BLOCKS(ok))                                                             \
  X(stop_the_world_with,    BLOCKS(ok))                                                             \
  X(stop_the_world_unknown, EVERYWHERE(inval))                                                      \
  X(start_the_world,        perm,  perm,  perm,  perm,  perm,  perm,  perm,  ok,    ok,    perm)    \
  X(for_each_p,             BLOCKS(ok))                                                             \
  X(for_each_p_null,        EVERYWHERE(inval))                                                      \
  X(for_each_g,             perm,  perm,  perm,  perm,  perm,  perm,  perm,  ok,    ok,    perm)    \
  X(for_each_g_null,        EVERYWHERE(inval))                                                      \
  X(safepoint,              EVERYWHERE(ok))                                                         \
  X(safepoint_slow,         EVERYWHERE(ok))                                                         \
  X(poll_slow,              EVERYWHERE(ok))                                                         \
  X(poll_slow_tied,         EVERYWHERE(ok))                                                         \
  /* foreign threads */                                                                             \
  X(attach_thread,          perm,  insys, perm,  perm,  ok,    notg,  notg,  notg,  notg,  perm)    \
  X(detach_thread,          perm,  perm,  ok,    perm,  perm,  perm,  perm,  perm,  perm,  perm)    \
  X(callback,               ok,    ok,    ok,    ok,    ok,    notg,  notg,  notg,  notg,  ok)      \
  X(callback_null,          EVERYWHERE(inval))                                                      \
  /* waiting */                                                                                     \
  X(sema_acquire_1,         BLOCKS(ok))                                                             \
  X(sema_acquire_0,         n_a,   insys, n_a,   n_a,   n_a,   notg,  notg,  notg,  notg,  notg)    \
  X(sema_acquire_null,      EVERYWHERE(inval))                                                      \
  X(sema_try_acquire_1,     EVERYWHERE(ok))                                                         \
  X(sema_try_acquire_0,     EVERYWHERE(again))                                                      \
  X(sema_acquire_timeout,   BLOCKS(tmout))                                                          \
  X(sema_release,           EVERYWHERE(ok))                                                         \
  X(sema_release_null,      EVERYWHERE(inval))                                                      \
  X(sema_release_handoff,   EVERYWHERE(ok))                                                         \
  X(sema_handoff_null,      EVERYWHERE(inval))                                                      \
  X(waiters,                EVERYWHERE(ok))                                                         \
  X(waiters_null,           EVERYWHERE(ok))                                                         \
  X(mutex_lock_free,        BLOCKS(ok))                                                             \
  X(mutex_lock_taken,       n_a,   insys, n_a,   n_a,   n_a,   notg,  notg,  notg,  notg,  notg)    \
  X(mutex_lock_null,        EVERYWHERE(inval))                                                      \
  X(mutex_lock_twice,       BLOCKS(dlock))                                                          \
  X(mutex_lock_timeout,     BLOCKS(tmout))                                                          \
  X(mutex_try_lock_free,    EVERYWHERE(ok))                                                         \
  X(mutex_try_lock_taken,   EVERYWHERE(busy))                                                       \
  X(mutex_try_lock_twice,   EVERYWHERE(busy))                                                       \
  X(mutex_unlock_free,      EVERYWHERE(perm))                                                       \
  X(mutex_unlock_anothers,  EVERYWHERE(perm))                                                       \
  X(mutex_unlock_null,      EVERYWHERE(inval))                                                      \
  X(rmutex_lock_again,      BLOCKS(ok))                                                             \
  X(rmutex_lock_taken,      BLOCKS(tmout))                                                          \
  X(rmutex_try_lock,        EVERYWHERE(ok))                                                         \
  X(rmutex_try_lock_taken,  EVERYWHERE(busy))                                                       \
  X(rmutex_unlock_free,     EVERYWHERE(perm))                                                       \
  X(rmutex_null,            EVERYWHERE(inval))                                                      \
  X(wait_on_address,        BLOCKS(tmout))                                                          \
  X(wait_on_address_other,  BLOCKS(again))                                                          \
  X(wait_on_address_null,   EVERYWHERE(inval))                                                      \
  X(wake_address,           EVERYWHERE(ok))                                                         \
  X(wake_address_null,      EVERYWHERE(inval))                                                      \
  X(parallel_for,           BLOCKS(ok))                                                             \
  X(parallel_for_null,      EVERYWHERE(inval))                                                      \
  X(waitgroup_add_done,     EVERYWHERE(ok))                                                         \
  X(waitgroup_below_0,      EVERYWHERE(inval))                                                      \
  X(waitgroup_null,         EVERYWHERE(inval))                                                      \
  X(waitgroup_go,           EVERYWHERE(ok))                                                         \
  X(waitgroup_go_null,      EVERYWHERE(inval))                                                      \
  X(waitgroup_wait_0,       BLOCKS(ok))                                                             \
  X(waitgroup_wait_1,       n_a,   insys, n_a,   n_a,   n_a,   notg,  notg,  notg,  notg,  notg)    \
  X(waitgroup_wait_timeout, BLOCKS(tmout))                                                          \
  X(barrier_wait_last,      BLOCKS(ok))                                                             \
  X(barrier_wait,           n_a,   insys, n_a,   n_a,   n_a,   notg,  notg,  notg,  notg,  notg)    \
  X(barrier_wait_timeout,   BLOCKS(tmout))                                                          \
  X(barrier_null,           EVERYWHERE(inval))                                                      \
  X(barrier_of_0,           BLOCKS(inval))                                                          \
  X(chan_tries,             EVERYWHERE(ok))                                                         \
  X(chan_unbounded,         EVERYWHERE(ok))                                                         \
  X(chan_null,              EVERYWHERE(inval))                                                      \
  X(chan_try_null,          EVERYWHERE(again))                                                      \
  X(chan_send_and_recv,     BLOCKS(ok))                                                             \
  X(chan_recv_timeout,      BLOCKS(tmout))                                                          \
  X(chan_recv_timeout_0,    BLOCKS(tmout))                                                          \
  X(chan_send_null,         BLOCKS(tmout))                                                          \
  X(chan_send_closed,       BLOCKS(closed))                                                         \
  X(chan_close_drop,        EVERYWHERE(ok))                                                         \
  X(chan_close_drop_null,   EVERYWHERE(inval))                                                      \
  X(chan_waiters,           EVERYWHERE(ok))                                                         \
  X(chan_waiters_null,      EVERYWHERE(inval))                                                      \
  X(select_ready_default,   EVERYWHERE(tmout))                                                      \
  X(select_ready_timeout,   BLOCKS(tmout))                                                          \
  X(select_default,         EVERYWHERE(tmout))                                                      \
  X(select_timeout,         BLOCKS(tmout))                                                          \
  X(select_ready,           BLOCKS(ok))                                                             \
  X(select_nothing,         BLOCKS(tmout))                                                          \
  X(select_wrong,           EVERYWHERE(inval))                                                      \
  X(rwmutex_lock,            BLOCKS(ok))                                                            \
  X(rwmutex_rlock,           BLOCKS(ok))                                                            \
  X(rwmutex_lock_timeout,    BLOCKS(tmout))                                                         \
  X(rwmutex_rlock_timeout,    BLOCKS(ok))                                                           \
  X(rwmutex_rlock_own,        BLOCKS(dlock))                                                        \
  X(rwmutex_try_lock,        EVERYWHERE(ok))                                                        \
  X(rwmutex_try_rlock,       EVERYWHERE(ok))                                                        \
  X(rwmutex_unlock_free,     EVERYWHERE(perm))                                                      \
  X(rwmutex_runlock_free,    EVERYWHERE(perm))                                                      \
  X(rwmutex_null,            EVERYWHERE(inval))                                                     \
  X(cond_wait_unlocked,      BLOCKS(perm))                                                          \
  X(cond_wait_timeout,        BLOCKS(tmout))                                                        \
  X(cond_signal,             EVERYWHERE(ok))                                                        \
  X(cond_broadcast,          EVERYWHERE(ok))                                                        \
  X(cond_null,               EVERYWHERE(inval))                                                     \
  X(once_first,              BLOCKS(ok))                                                            \
  X(once_first_timeout,       BLOCKS(ok))                                                           \
  X(once_done,               EVERYWHERE(ok))                                                        \
  X(once_null,               EVERYWHERE(inval))                                                     \
  X(cancel_new,              EVERYWHERE(ok))                                                        \
  X(cancel_new_null,         EVERYWHERE(inval))                                                     \
  X(cancel_none,             EVERYWHERE(stale))                                                     \
  X(cancel_locks,            EVERYWHERE(ok))                                                        \
  X(cancel_shield,           ok,    ok,    ok,    ok,    ok,    notg,  notg,  ok,    notg,  ok)     \
  X(cancel_unshield_none,    perm,  perm,  perm,  perm,  perm,  notg,  notg,  perm,  notg,  perm)   \
  X(cancel_because,          EVERYWHERE(ok))                                                        \
  X(cancel_g_of_none,        EVERYWHERE(stale))                                                     \
  X(cancel_g_because_of_0,   EVERYWHERE(inval))                                                     \
  X(cancel_because_of_0,     EVERYWHERE(inval))                                                     \
  X(cancel_reason_null,      EVERYWHERE(inval))                                                     \
  X(cancel_deadline,         EVERYWHERE(ok))                                                        \
  X(cancel_chan,             EVERYWHERE(ok))                                                        \
  X(cancel_chan_none,        EVERYWHERE(stale))                                                     \
  X(cancel_after_and_stop,   EVERYWHERE(ok))                                                        \
  X(cancel_after_canceled,  EVERYWHERE(ok))                                                        \
  X(cancel_after_null,       EVERYWHERE(inval))                                                     \
  X(cancel_hook_stop_none,   EVERYWHERE(stale))                                                     \
  X(spawn_inherits,          EVERYWHERE(ok))                                                        \
  X(cancel_use,              ok,    ok,    ok,    ok,    ok,    notg,  notg,  ok,    notg,  ok)     \
  X(scope_new_null,          EVERYWHERE(inval))                                                     \
  X(scope_spawn_none,        EVERYWHERE(stale))                                                     \
  X(scope_enter_none,        stale, stale, stale, stale, stale, notg,  notg,  stale, notg,  stale)  \
  X(scope_leave_none,        BLOCKS(stale))                                                         \
  X(scope_leave_why_none,    BLOCKS(stale))                                                         \
  X(scope_leave_why_null,    EVERYWHERE(inval))                                                     \
  X(scope_cancel_none,       EVERYWHERE(stale))                                                     \
  X(scope_token_none,         EVERYWHERE(stale))                                                    \
  X(scope_round,             ok,    ok,    ok,    ok,    ok,    notg,  notg,  ok,    ok,    ok)     \
  /* time */                                                                                        \
  X(after_func,              EVERYWHERE(ok))                                                        \
  X(after_func_null,         EVERYWHERE(inval))                                                     \
  X(timer_once,              EVERYWHERE(ok))                                                        \
  X(timer_channel,           EVERYWHERE(ok))                                                        \
  X(after,                   EVERYWHERE(ok))                                                        \
  X(after_null,              EVERYWHERE(inval))                                                     \
  X(timer_none,              EVERYWHERE(stale))                                                     \
  X(ticker_0,                EVERYWHERE(inval))                                                     \
  X(now,                    EVERYWHERE(ok))                                                         \
  X(sleep_1ns,              BLOCKS(ok))                                                             \
  X(sleep_0,                BLOCKS(ok))                                                             \
  /* descriptors */                                                                                   \
  X(poll_open,              EVERYWHERE(ok))                                                           \
  X(poll_open_wrong,        EVERYWHERE(inval))                                                        \
  X(poll_open_none,         EVERYWHERE(badf))                                                         \
  X(poll_fd,                EVERYWHERE(ok))                                                           \
  X(poll_fd_none,           EVERYWHERE(badf))                                                         \
  X(poll_wait,              BLOCKS(tmout))                                                            \
  X(poll_wait_wrong,        EVERYWHERE(inval))                                                        \
  X(poll_set_deadline,      EVERYWHERE(ok))                                                           \
  X(poll_set_deadline_wrong,EVERYWHERE(inval))                                                        \
  X(poll_release,           BLOCKS(ok))                                                               \
  X(poll_release_null,      EVERYWHERE(inval))                                                        \
  X(close_none,             BLOCKS(badf))                                                             \
  X(wait_fd,                BLOCKS(tmout))                                                            \
  X(wait_fd_wrong,          EVERYWHERE(inval))                                                        \
  X(read_timeout,           BLOCKS(tmout))                                                            \
  X(read_none,              BLOCKS(badf))                                                             \
  X(write_some,             BLOCKS(ok))                                                               \
  X(readv_timeout,          BLOCKS(tmout))                                                            \
  X(writev_some,            BLOCKS(ok))                                                               \
  X(recv_and_so_on,         BLOCKS(tmout))                                                            \
  X(send_and_so_on,         BLOCKS(ok))                                                               \
  X(transfers_null,         EVERYWHERE(inval))                                                        \
  X(poll_shutdown,          EVERYWHERE(ok))                                                           \
  X(connect_none,           BLOCKS(badf))                                                             \
  X(poll_many,              BLOCKS(tmout))                                                            \
  X(poll_many_null,         EVERYWHERE(inval))                                                        \
  X(listen_tcp,             BLOCKS(ok))                                                               \
  X(udp_open,               BLOCKS(ok))                                                               \
  X(listen_unix,            EVERYWHERE(-ENAMETOOLONG))                                                \
  X(listen_inherit,         EVERYWHERE(-ENOENT))                                                      \
  X(listen_wrong,           EVERYWHERE(inval))                                                        \
  X(getaddrinfo_number,     BLOCKS(ok))                                                               \
  X(getaddrinfo_null,       EVERYWHERE(inval))                                                        \
  X(dial_none,              BLOCKS(-ECONNREFUSED))                                                    \
  X(dial_wrong,             EVERYWHERE(inval))                                                        \
  X(accept_none,            BLOCKS(badf))                                                             \
  X(connect_null,           EVERYWHERE(inval))                                                        \
  /* processes */                                                                                   \
  X(spawn_process,          BLOCKS(ok))                                                             \
  X(spawn_process_null,     EVERYWHERE(inval))                                                      \
  X(process_wait_none,      BLOCKS(stale))                                                          \
  X(process_wait_null,      EVERYWHERE(inval))                                                      \
  X(process_none,           EVERYWHERE(stale))                                                      \
  X(process_release_none,   BLOCKS(stale))                                                          \
  /* signals */                                                                                     \
  X(signal_notify_and_stop, EVERYWHERE(ok))                                                         \
  X(signal_notify_wrong,    EVERYWHERE(inval))                                                      \
  X(signal_stop_none,       EVERYWHERE(inval))                                                      \
  /* the host's loop */                                                                             \
  X(post_and_fd,            EVERYWHERE(ok))                                                         \
  X(post_null,              EVERYWHERE(inval))                                                      \
  X(host_run,               BLOCKS(ok))                                                             \
  X(open_read_close,        BLOCKS(ok))                                                               \
  X(file_none,              BLOCKS(badf))                                                             \
  X(file_null,              EVERYWHERE(inval))                                                        \
  X(paths_none,             BLOCKS(-ENOENT))                                                          \
  X(copy_none,              BLOCKS(badf))                                                             \
  X(copy_no_bytes,          BLOCKS(ok))                                                               \
  X(io_batch,               BLOCKS(ok))                                                               \
  X(io_batch_null,          EVERYWHERE(inval))                                                        \
  /* seeing inside */                                                                               \
  X(read_sched_stats,       EVERYWHERE(ok))                                                         \
  X(read_sched_stats_null,  EVERYWHERE(inval))                                                      \
  X(read_sched_stats_0,     EVERYWHERE(ok))                                                         \
  X(read_mem_stats,         ok,    insys, ok,    ok,    ok,    notg,  notg,  ok,    ok,    notg)    \
  X(read_mem_stats_null,    EVERYWHERE(inval))                                                      \
  X(release_memory,         EVERYWHERE(ok))                                                         \
  X(write_heap_dump,        ok,    insys, ok,    ok,    ok,    notg,  notg,  ok,    ok,    notg)    \
  X(dump_goroutines,        EVERYWHERE(ok))                                                         \
  X(dump_goroutines_null,   EVERYWHERE(inval))                                                      \
  /* traces */                                                                                      \
  X(trace_start_and_stop,   BLOCKS(ok))                                                             \
  X(trace_wrong_opts,       EVERYWHERE(inval))                                                      \
  X(trace_snapshot_none,    BLOCKS(perm))                                                           \
  X(trace_stop_none,        BLOCKS(perm))                                                           \
  X(debug_serve,            BLOCKS(-ENOENT))                                                        \
  X(debug_wrong_opts,       EVERYWHERE(inval))                                                      \
  X(debug_stop_none,        BLOCKS(perm))                                                           \
  X(trace_task,             ok,    insys, ok,    ok,    notg,  notg,  notg,  ok,    notg,  ok)      \
  X(trace_region,           ok,    insys, ok,    ok,    notg,  notg,  notg,  ok,    notg,  ok)      \
  X(trace_log,              ok,    insys, ok,    ok,    notg,  notg,  notg,  ok,    notg,  ok)      \
  X(trace_null,             EVERYWHERE(inval))                                                      \
  X(metrics_read,           EVERYWHERE(ok))                                                         \
  X(metrics_read_null,      EVERYWHERE(inval))                                                      \
  X(metrics_read_no_name,   EVERYWHERE(inval))                                                      \
  X(metrics_text,           EVERYWHERE(ok))                                                         \
  X(metrics_text_null,      EVERYWHERE(inval))                                                      \
  X(metric_info_and_bounds, EVERYWHERE(ok))

/* ---- what the calls work on ---- */

struct words { /* compared as bytes: no call that fails may touch them */
  uint32_t one, zero, hold;
  uint32_t ran;       /* functions of ours that were run */
  uint32_t committed; /* commits that were run */
  uint32_t reserved;
  gmx_mutex free, taken;
  gmx_rmutex again, taken_again;
  gmx_waitgroup none, some;
  gmx_g g;
  gmx_key key;
  gmx_p_key p_key;
  gmx_config config;
  gmx_sched_stats sched;
  gmx_mem_stats mem;
};

struct fixture {
  struct words w;
  gmx_g ended;    /* joinable, at its end */
  gmx_g parked;   /* joinable, parked by gmx_park, owns w.taken */
  gmx_g waiting;  /* joinable, waits for w.hold: not parked by gmx_park */
  gmx_coro coro;  /* stands still */
  gmx_g where;    /* where parked tells that it is */
  gmx_waitgroup counted; /* goroutines of gmx_waitgroup_go */
  gmx_poll near, far, opened; /* two ends of a pair, and what the call has opened */
  uint32_t spawned;
  bool joined, readied; /* whether the call has joined `ended`, readied `parked` */
};

static int32_t procs;
static int null_fd;

static void note_run(void *arg) { bump(&((struct fixture *)arg)->w.ran); }

static void end_at_once(void *arg) { (void)arg; }

static void own_and_park(void *arg) {
  struct fixture *f = arg;
  CHECK_OK(gmx_mutex_lock(&f->w.taken));
  CHECK_OK(gmx_rmutex_try_lock(&f->w.taken_again));
  park_at(&f->where);
  CHECK_OK(gmx_mutex_unlock(&f->w.taken));
  CHECK_OK(gmx_rmutex_unlock(&f->w.taken_again));
}

static void wait_for_hold(void *arg) { CHECK_OK(gmx_sema_acquire(&((struct fixture *)arg)->w.hold)); }

static void yields(void *arg) {
  (void)arg;
  while (gmx_coro_switch(gmx_self()) == GMX_OK) {
  }
}

static void fixture_make(struct fixture *f) {
  memset(f, 0, sizeof *f);
  f->w.one = 1;
  f->w.g = ~(gmx_g)0;
  f->w.key = f->w.p_key = ~0u;
  f->w.sched.struct_size = sizeof f->w.sched;
  f->w.mem.struct_size = sizeof f->w.mem;
  CHECK_OK(gmx_waitgroup_add(&f->w.some, 1));
  CHECK_OK(gmx_coro_new(yields, f, NULL, &f->coro));
  int pair[2];
  CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  CHECK_OK(gmx_poll_open(pair[0], 0, &f->near));
  CHECK_OK(gmx_poll_open(pair[1], 0, &f->far));
  f->parked = go_joinable(own_and_park, f);
  f->waiting = go_joinable(wait_for_hold, f);
  f->ended = go_joinable(end_at_once, f);
  spin_until(load(&f->where) != 0);
  spin_until(gmx_num_g() == 3); /* ended is at its end */
}

/* Each refused call must have left the Gs of the fixture as they were. */
static void fixture_end(struct fixture *f) {
  CHECK_OK(gmx_coro_free(f->coro));
  if (f->near) CHECK_OK(gmx_close(f->near));
  CHECK_OK(gmx_close(f->far));
  if (f->opened) CHECK_OK(gmx_close(f->opened));
  if (!f->readied) CHECK_OK(gmx_ready(f->parked));
  join(f->parked);
  CHECK_STATUS(gmx_join(f->ended, GMX_FOREVER), f->joined ? GMX_ESTALE : GMX_OK);
  CHECK_OK(gmx_sema_release(&f->w.hold));
  join(f->waiting);
  CHECK_OK(gmx_waitgroup_done(&f->w.some));
  spin_until(load(&f->w.ran) >= f->spawned);
  CHECK_OK(gmx_waitgroup_wait(&f->counted));
  spin_until(gmx_num_g() == 0);
  CHECK_EQ(gmx_gomaxprocs(0), procs);
}

/* ---- the calls: each leaves its context as it found it, also when it is allowed ---- */

#define CALL(name) static gmx_status name(struct fixture *f)
#define USED (void)f

CALL(config_default) {
  gmx_status s = gmx_config_default(&f->w.config);
  CHECK_EQ(f->w.config.struct_size, sizeof(gmx_config));
  return s;
}
CALL(config_default_null) { return USED, gmx_config_default(NULL); }
CALL(init_again) { return USED, gmx_init(NULL); }
CALL(main_fn) {
  gmx_status s = gmx_main(note_run, f);
  if (s == GMX_OK) CHECK_EQ(load(&f->w.ran), 1);
  return s;
}
CALL(main_null) { return gmx_main(NULL, f); }
CALL(shutdown_now) { return USED, gmx_shutdown(1000000); }
CALL(preempt_word) {
  USED;
  const uint32_t *word = gmx_preempt_word();
  CHECK(word != NULL && word == gmx_preempt_word() && __atomic_load_n(word, __ATOMIC_RELAXED) <= 1);
  return GMX_OK;
}
CALL(version_and_names) {
  USED;
  CHECK_EQ(gmx_version(), GMX_VERSION);
  CHECK_STR(gmx_err_name(GMX_ENOTG), "GMX_ENOTG");
  CHECK(gmx_strerror(GMX_ENOTG)[0] != 0);
  return GMX_OK;
}

static gmx_status spawned(struct fixture *f, gmx_status s) {
  if (s == GMX_OK) f->spawned++;
  return s;
}
static gmx_status spawn_opts(struct fixture *f, uint32_t flags, size_t stack_size, size_t struct_size) {
  gmx_spawn_opts opts = {.struct_size = struct_size, .flags = flags, .stack_size = stack_size, .name = "spawned"};
  gmx_status s = spawned(f, gmx_spawn_with(&opts, note_run, f, &f->w.g));
  if (s == GMX_OK && (flags & GMX_SPAWN_JOINABLE)) CHECK_OK(gmx_detach(f->w.g));
  return s;
}
CALL(spawn) { return spawned(f, gmx_spawn(note_run, f)); }
CALL(spawn_null) { return gmx_spawn(NULL, f); }
CALL(spawn_with_all) { return spawn_opts(f, GMX_SPAWN_JOINABLE | GMX_SPAWN_WIPE, 65536, sizeof(gmx_spawn_opts)); }
CALL(spawn_with_nothing) { return spawned(f, gmx_spawn_with(NULL, note_run, f, NULL)); }
CALL(spawn_child_first) { return spawn_opts(f, GMX_SPAWN_CHILD_FIRST, 0, sizeof(gmx_spawn_opts)); }
CALL(spawn_last) { return spawn_opts(f, GMX_SPAWN_LAST, 0, sizeof(gmx_spawn_opts)); }
CALL(spawn_last_and_first) { return spawn_opts(f, GMX_SPAWN_LAST | GMX_SPAWN_CHILD_FIRST, 0, sizeof(gmx_spawn_opts)); }
static void note_run_of(void *arg) { note_run(*(struct fixture **)arg); }
CALL(spawn_copy) { return spawned(f, gmx_spawn_copy(note_run_of, &f, sizeof f)); }
CALL(spawn_copy_too_much) {
  CHECK_STATUS(gmx_spawn_copy(NULL, &f, sizeof f), GMX_EINVAL);
  CHECK_STATUS(gmx_spawn_copy(note_run, NULL, 1), GMX_EINVAL);
  return gmx_spawn_copy(note_run, f, GMX_SPAWN_COPY_MAX + 1);
}
CALL(spawn_with_null) { return gmx_spawn_with(NULL, NULL, f, &f->w.g); }
CALL(spawn_size_0) { return spawn_opts(f, 0, 0, 0); }
CALL(spawn_size_1) { return spawn_opts(f, 0, 0, 1); }
CALL(spawn_huge_stack) { return spawn_opts(f, 0, ((size_t)1 << 30) + 1, sizeof(gmx_spawn_opts)); }
CALL(spawn_unknown_flag) { return spawn_opts(f, 1u << 31, 0, sizeof(gmx_spawn_opts)); }

CALL(join_ended) {
  gmx_status s = gmx_join(f->ended, GMX_FOREVER);
  f->joined = s == GMX_OK;
  return s;
}
CALL(join_parked) { return gmx_join(f->parked, 1000000); }
CALL(detach_ended) {
  gmx_status s = gmx_detach(f->ended);
  f->joined = s == GMX_OK;
  return s;
}
CALL(detach_none) { return USED, gmx_detach(0); }
CALL(yield) { return USED, gmx_yield(); }
CALL(goexit) { return USED, gmx_goexit(); }
CALL(self_and_goid) {
  USED;
  CHECK_EQ(gmx_self() != 0, gmx_goid() != 0);
  return gmx_self() != 0 ? GMX_OK : GMX_ENOTG;
}
CALL(stack_bounds) {
  void *lo, *hi;
  USED;
  gmx_status s = gmx_stack_bounds(&lo, &hi);
  CHECK((char *)lo < (char *)__builtin_frame_address(0) && (char *)__builtin_frame_address(0) < (char *)hi);
  return s;
}
CALL(stack_bounds_null) {
  void *one;
  USED;
  CHECK_STATUS(gmx_stack_bounds(&one, NULL), GMX_EINVAL);
  return gmx_stack_bounds(NULL, &one);
}
CALL(num_g) {
  USED;
  CHECK(gmx_num_g() >= 2);
  return GMX_OK;
}

static bool commit_veto(void *arg, gmx_g g) {
  CHECK(g != 0);
  bump(&((struct fixture *)arg)->w.committed);
  return false;
}
static bool commit_ready(void *arg, gmx_g g) {
  bump(&((struct fixture *)arg)->w.committed);
  CHECK_OK(gmx_ready(g));
  return true;
}
CALL(park_vetoed) {
  gmx_status s = gmx_park(commit_veto, f, "veto");
  if (s == GMX_OK) CHECK_EQ(f->w.committed, 1);
  return s;
}
CALL(park_readied) {
  gmx_status s = gmx_park(commit_ready, f, "ready");
  if (s == GMX_OK) CHECK_EQ(f->w.committed, 1);
  return s;
}
CALL(park_timeout_vetoed) {
  gmx_status s = gmx_park_timeout(commit_veto, f, "veto", INT64_C(3600000000000));
  if (s == GMX_OK) CHECK_EQ(f->w.committed, 1);
  return s;
}
CALL(park_timeout_readied) {
  gmx_status s = gmx_park_timeout(commit_ready, f, "ready", INT64_C(3600000000000));
  if (s == GMX_OK) CHECK_EQ(f->w.committed, 1);
  return s;
}
CALL(park_times_out) {
  USED;
  gmx_status s = gmx_park_timeout(NULL, NULL, NULL, 0);
  CHECK_STATUS(gmx_park_timeout(NULL, NULL, NULL, 1000000), s);
  return s;
}
CALL(ready_parked) {
  gmx_status s = gmx_ready(f->parked);
  f->readied = s == GMX_OK;
  return s;
}
CALL(ready_not_parked) { return gmx_ready(f->waiting); }
CALL(ready_none) { return USED, gmx_ready(0); }
CALL(lock_os_thread) {
  USED;
  gmx_status s = gmx_lock_os_thread();
  if (s == GMX_OK) CHECK_OK(gmx_unlock_os_thread());
  return s;
}
CALL(unlock_os_thread) { return USED, gmx_unlock_os_thread(); }

CALL(key_create) {
  gmx_status s = gmx_key_create(NULL, &f->w.key);
  if (s == GMX_OK) CHECK_OK(gmx_key_delete(f->w.key));
  return s;
}
CALL(key_create_null) { return USED, gmx_key_create(NULL, NULL); }
CALL(key_delete_0) { return USED, gmx_key_delete(0); }
CALL(key_set) {
  gmx_key key;
  CHECK_OK(gmx_key_create(NULL, &key));
  gmx_status s = gmx_key_set(key, f);
  CHECK(gmx_key_get(key) == (s == GMX_OK ? f : NULL));
  CHECK_OK(gmx_key_delete(key));
  return s;
}
CALL(key_get_0) {
  USED;
  CHECK(gmx_key_get(0) == NULL);
  CHECK(gmx_key_get(~0u) == NULL);
  return GMX_OK;
}

CALL(cleanup_push_pop) {
  gmx_cleanup one, two;
  uint32_t before = load(&f->w.ran);
  gmx_status s = gmx_cleanup_push(&one, note_run, f);
  if (s != GMX_OK) return s;
  CHECK_STATUS(gmx_cleanup_push(&one, note_run, f), GMX_EINVAL);
  CHECK_OK(gmx_cleanup_push(&two, note_run, f));
  CHECK_STATUS(gmx_cleanup_pop(&one, true), GMX_EPERM);
  CHECK_OK(gmx_cleanup_pop(&two, false));
  CHECK_EQ(load(&f->w.ran), before);
  s = gmx_cleanup_pop(&one, true);
  CHECK_EQ(load(&f->w.ran), before + 1);
  return s;
}
CALL(cleanup_null) {
  gmx_cleanup one;
  CHECK_STATUS(gmx_cleanup_push(NULL, note_run, f), GMX_EINVAL);
  CHECK_STATUS(gmx_cleanup_push(&one, NULL, f), GMX_EINVAL);
  return gmx_cleanup_pop(NULL, true);
}
CALL(cleanup_pop_other) {
  USED;
  gmx_cleanup one = {0};
  return gmx_cleanup_pop(&one, true);
}
/* A goroutine frees the coroutine, since this context may not allow a free. */
static void free_coro(void *arg) { CHECK_OK(gmx_coro_free((gmx_coro)(uintptr_t)arg)); }
CALL(coro_new) {
  gmx_coro co;
  gmx_status s = gmx_coro_new(yields, f, NULL, &co);
  if (s == GMX_OK) CHECK_OK(gmx_spawn(free_coro, (void *)(uintptr_t)co));
  return s;
}
CALL(coro_new_null) {
  gmx_coro co;
  USED;
  CHECK_STATUS(gmx_coro_new(NULL, NULL, NULL, &co), GMX_EINVAL);
  return gmx_coro_new(yields, NULL, NULL, NULL);
}
CALL(coro_switch) { return gmx_coro_switch(f->coro); }
CALL(coro_switch_none) { return USED, gmx_coro_switch(0); }
CALL(coro_switch_no_coro) { return gmx_coro_switch(f->parked); }
CALL(coro_free_none) { return USED, gmx_coro_free(0); }

CALL(gomaxprocs_ask) {
  USED;
  CHECK_EQ(gmx_gomaxprocs(0), procs);
  CHECK_EQ(gmx_gomaxprocs(-7), procs);
  return GMX_OK;
}
CALL(gomaxprocs_set) {
  USED;
  int32_t n = gmx_gomaxprocs(procs + 1);
  if (n < 0) return n;
  CHECK_EQ(n, procs);
  CHECK_EQ(gmx_gomaxprocs(procs), procs + 1);
  return GMX_OK;
}
CALL(num_cpu) {
  USED;
  CHECK(gmx_num_cpu() > 0);
  return GMX_OK;
}
CALL(set_default_gomaxprocs) {
  USED;
  gmx_status s = gmx_set_default_gomaxprocs();
  if (s == GMX_OK) CHECK(gmx_gomaxprocs(procs) > 0);
  return s;
}
CALL(pin) {
  USED;
  int32_t p = gmx_pin();
  if (p < 0) return p;
  CHECK(p < procs);
  CHECK_EQ(gmx_pin(), p);
  CHECK_OK(gmx_unpin());
  CHECK_OK(gmx_unpin());
  return GMX_OK;
}
CALL(unpin) {
  USED;
  gmx_status s = gmx_unpin();
  if (s == GMX_OK) CHECK(gmx_pin() >= 0);
  return s;
}
CALL(p_key_create) {
  gmx_status s = gmx_p_key_create(&f->w.p_key);
  if (s == GMX_OK) CHECK_OK(gmx_p_key_delete(f->w.p_key));
  return s;
}
CALL(p_key_create_null) { return USED, gmx_p_key_create(NULL); }
CALL(p_key_delete_0) { return USED, gmx_p_key_delete(0); }
CALL(p_set) {
  gmx_p_key key;
  CHECK_OK(gmx_p_key_create(&key));
  gmx_status s = gmx_p_set(key, f);
  int found = 0;
  for (int32_t p = 0; p < gmx_p_count(); p++) found += gmx_p_get_of(key, p) == f;
  CHECK_EQ(found, s == GMX_OK);
  if (s != GMX_OK) CHECK(gmx_p_get(key) == NULL);
  CHECK_OK(gmx_p_key_delete(key));
  return s;
}
CALL(p_get_of) {
  USED;
  CHECK(gmx_p_count() >= procs);
  CHECK(gmx_p_get_of(0, 0) == NULL);
  CHECK(gmx_p_get_of(~0u, 0) == NULL);
  CHECK(gmx_p_get_of(1, -1) == NULL);
  CHECK(gmx_p_get_of(1, INT32_MAX) == NULL);
  return GMX_OK;
}

CALL(enter_syscall) {
  USED;
  gmx_status s = gmx_enter_syscall();
  if (s == GMX_OK) CHECK_OK(gmx_exit_syscall());
  return s;
}
CALL(enter_syscall_blocking) {
  USED;
  gmx_status s = gmx_enter_syscall_blocking();
  if (s == GMX_OK) CHECK_OK(gmx_exit_syscall());
  return s;
}
CALL(exit_syscall) {
  USED;
  gmx_status s = gmx_exit_syscall();
  if (s == GMX_OK) CHECK_OK(gmx_enter_syscall());
  return s;
}
CALL(blocking) {
  gmx_status s = gmx_blocking(note_run, f);
  if (s == GMX_OK) CHECK_EQ(load(&f->w.ran), 1);
  return s;
}
CALL(blocking_null) { return gmx_blocking(NULL, f); }

CALL(class_new_free) {
  gmx_class c;
  USED;
  CHECK_OK(gmx_class_new(1, "class", &c));
  CHECK_OK(gmx_class_free(c));
  CHECK_STATUS(gmx_class_free(c), GMX_ESTALE);
  return GMX_OK;
}
CALL(class_new_null) {
  gmx_class c;
  USED;
  CHECK_STATUS(gmx_class_new(0, NULL, &c), GMX_EINVAL);
  return gmx_class_new(1, NULL, NULL);
}
CALL(class_free_none) { return USED, gmx_class_free(0); }
CALL(blocking_in) {
  gmx_class c;
  uint32_t before = load(&f->w.ran);
  CHECK_OK(gmx_class_new(1, NULL, &c));
  gmx_status s = gmx_blocking_in(c, note_run, f, GMX_FOREVER);
  CHECK_EQ(load(&f->w.ran), before + (s == GMX_OK));
  CHECK_OK(gmx_class_free(c));
  return s;
}
CALL(blocking_in_null) { return USED, gmx_blocking_in(0, NULL, NULL, 0); }
CALL(blocking_in_none) { return gmx_blocking_in(0, note_run, f, GMX_FOREVER); }
CALL(stop_the_world) {
  USED;
  gmx_status s = gmx_stop_the_world("test");
  if (s == GMX_OK) CHECK_OK(gmx_start_the_world());
  return s;
}
CALL(stop_the_world_timeout) {
  USED;
  gmx_status s = gmx_stop_the_world_timeout("test", GMX_FOREVER);
  if (s == GMX_OK) CHECK_OK(gmx_start_the_world());
  return s;
}
CALL(stop_the_world_with) {
  USED;
  gmx_status s = gmx_stop_the_world_with(NULL);
  if (s == GMX_OK) CHECK_OK(gmx_start_the_world());
  return s;
}
CALL(stop_the_world_unknown) {
  gmx_stop_opts opts = {.struct_size = sizeof opts, .flags = ~GMX_STOP_ANYWHERE};
  return USED, gmx_stop_the_world_with(&opts);
}
CALL(start_the_world) {
  USED;
  gmx_status s = gmx_start_the_world();
  if (s == GMX_OK) CHECK_OK(gmx_stop_the_world("again"));
  return s;
}
CALL(for_each_p) {
  gmx_status s = gmx_for_each_p(note_run, f);
  if (s == GMX_OK) CHECK_EQ(load(&f->w.ran), procs);
  return s;
}
CALL(for_each_p_null) { return gmx_for_each_p(NULL, f); }
static void note_info(void *arg, const gmx_g_info *info) {
  CHECK(info->struct_size >= sizeof(gmx_g_info));
  note_run(arg);
}
CALL(for_each_g) {
  gmx_status s = gmx_for_each_g(note_info, f);
  if (s == GMX_OK && load(&f->w.ran) != gmx_num_g()) return GMX_ECANCELED;
  return s;
}
CALL(for_each_g_null) { return gmx_for_each_g(NULL, f); }
CALL(safepoint) {
  USED;
  gmx_safepoint();
  return GMX_OK;
}

CALL(safepoint_slow) { return USED, gmx_safepoint_slow(); }
CALL(poll_slow) { return USED, gmx_poll_slow(), GMX_OK; }
CALL(poll_slow_tied) { return USED, gmx_poll_slow_tied(), GMX_OK; }

CALL(attach_thread) {
  USED;
  gmx_status s = gmx_attach_thread();
  if (s == GMX_OK) CHECK_OK(gmx_detach_thread());
  return s;
}
CALL(detach_thread) {
  USED;
  gmx_status s = gmx_detach_thread();
  if (s == GMX_OK) CHECK_OK(gmx_attach_thread());
  return s;
}
static void note_on_g(void *arg) {
  CHECK(gmx_self() != 0);
  note_run(arg);
}
CALL(callback) {
  gmx_status s = gmx_callback(note_on_g, f);
  if (s == GMX_OK) CHECK_EQ(load(&f->w.ran), 1);
  return s;
}
CALL(callback_null) { return gmx_callback(NULL, f); }

CALL(sema_acquire_1) {
  gmx_status s = gmx_sema_acquire(&f->w.one);
  if (s == GMX_OK) CHECK_EQ(load(&f->w.one), 0);
  return s;
}
CALL(sema_acquire_0) { return gmx_sema_acquire(&f->w.zero); }
CALL(sema_acquire_null) {
  USED;
  CHECK_STATUS(gmx_sema_try_acquire(NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_sema_acquire_timeout(NULL, 0), GMX_EINVAL);
  return gmx_sema_acquire(NULL);
}
CALL(sema_try_acquire_1) {
  gmx_status s = gmx_sema_try_acquire(&f->w.one);
  if (s == GMX_OK) CHECK_EQ(load(&f->w.one), 0);
  return s;
}
CALL(sema_try_acquire_0) { return gmx_sema_try_acquire(&f->w.zero); }
CALL(sema_acquire_timeout) { return gmx_sema_acquire_timeout(&f->w.zero, 1000000); }
CALL(sema_release) {
  gmx_status s = gmx_sema_release(&f->w.one);
  if (s == GMX_OK) CHECK_EQ(load(&f->w.one), 2);
  return s;
}
CALL(sema_release_null) { return USED, gmx_sema_release(NULL); }
CALL(sema_release_handoff) {
  gmx_status s = gmx_sema_release_handoff(&f->w.one);
  if (s == GMX_OK) CHECK_OK(gmx_sema_try_acquire(&f->w.one));
  return s;
}
CALL(sema_handoff_null) { return USED, gmx_sema_release_handoff(NULL); }
CALL(waiters) {
  gmx_rwmutex rw = {0};
  gmx_cond c = {0};
  CHECK_CMP(gmx_sema_waiters(&f->w.hold), <=, 1); /* the waiter may be on its way */
  CHECK_EQ(gmx_sema_waiters(&f->w.one), 0);
  CHECK_EQ(gmx_mutex_waiters(&f->w.taken), 0);
  CHECK_EQ(gmx_rmutex_waiters(&f->w.again), 0);
  CHECK_EQ(gmx_rwmutex_waiters(&rw), 0);
  return (gmx_status)gmx_cond_waiters(&c);
}
CALL(waiters_null) {
  USED;
  CHECK_EQ(gmx_sema_waiters(NULL), 0);
  CHECK_EQ(gmx_mutex_waiters(NULL), 0);
  CHECK_EQ(gmx_rmutex_waiters(NULL), 0);
  CHECK_EQ(gmx_rwmutex_waiters(NULL), 0);
  return (gmx_status)gmx_cond_waiters(NULL);
}

static gmx_status unlock_after(struct fixture *f, gmx_status s) {
  if (s == GMX_OK) CHECK_OK(gmx_mutex_unlock(&f->w.free));
  return s;
}
CALL(mutex_lock_free) { return unlock_after(f, gmx_mutex_lock(&f->w.free)); }
CALL(mutex_lock_taken) { return gmx_mutex_lock(&f->w.taken); }
CALL(mutex_lock_null) {
  USED;
  CHECK_STATUS(gmx_mutex_try_lock(NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_mutex_lock_timeout(NULL, 0), GMX_EINVAL);
  return gmx_mutex_lock(NULL);
}
CALL(mutex_lock_twice) {
  CHECK_OK(gmx_mutex_try_lock(&f->w.free));
  gmx_status s = gmx_mutex_lock(&f->w.free);
  CHECK_STATUS(gmx_mutex_lock_timeout(&f->w.free, 0), s);
  CHECK_OK(gmx_mutex_unlock(&f->w.free));
  return s;
}
CALL(mutex_lock_timeout) { return gmx_mutex_lock_timeout(&f->w.taken, 1000000); }
CALL(mutex_try_lock_free) { return unlock_after(f, gmx_mutex_try_lock(&f->w.free)); }
CALL(mutex_try_lock_taken) { return gmx_mutex_try_lock(&f->w.taken); }
CALL(mutex_try_lock_twice) {
  CHECK_OK(gmx_mutex_try_lock(&f->w.free));
  gmx_status s = gmx_mutex_try_lock(&f->w.free);
  CHECK_OK(gmx_mutex_unlock(&f->w.free));
  return s;
}
CALL(mutex_unlock_free) { return gmx_mutex_unlock(&f->w.free); }
CALL(mutex_unlock_anothers) { return gmx_mutex_unlock(&f->w.taken); }
CALL(mutex_unlock_null) { return USED, gmx_mutex_unlock(NULL); }

static gmx_status unlock_again(struct fixture *f, gmx_status s) {
  if (s == GMX_OK) CHECK_OK(gmx_rmutex_unlock(&f->w.again));
  return s;
}
CALL(rmutex_lock_again) {
  CHECK_OK(gmx_rmutex_try_lock(&f->w.again));
  gmx_status s = unlock_again(f, gmx_rmutex_lock(&f->w.again, 3600000000000));
  CHECK_OK(gmx_rmutex_unlock(&f->w.again));
  return s;
}
CALL(rmutex_lock_taken) { return gmx_rmutex_lock(&f->w.taken_again, 1000000); }
CALL(rmutex_try_lock) { return unlock_again(f, gmx_rmutex_try_lock(&f->w.again)); }
CALL(rmutex_try_lock_taken) { return gmx_rmutex_try_lock(&f->w.taken_again); }
CALL(rmutex_unlock_free) { return gmx_rmutex_unlock(&f->w.again); }
CALL(rmutex_null) {
  USED;
  CHECK_STATUS(gmx_rmutex_lock(NULL, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_rmutex_try_lock(NULL), GMX_EINVAL);
  return gmx_rmutex_unlock(NULL);
}

CALL(wait_on_address) {
  uint32_t zero = 0;
  return gmx_wait_on_address(&f->w.zero, &zero, sizeof zero, 1000000);
}
CALL(wait_on_address_other) {
  uint32_t one = 1;
  return gmx_wait_on_address(&f->w.zero, &one, sizeof one, 1000000);
}
CALL(wait_on_address_null) { return gmx_wait_on_address(NULL, &f->w.zero, 4, 0); }
CALL(wake_address) { return gmx_wake_address(&f->w.zero, GMX_WAKE_ALL); }
CALL(wake_address_null) { return USED, gmx_wake_address(NULL, 1); }

static void note_range(void *arg, int64_t begin, int64_t end) {
  for (; begin < end; begin++) note_run(arg);
}
CALL(parallel_for) {
  gmx_status s = gmx_parallel_for(10, 1, note_range, f);
  CHECK_EQ(load(&f->w.ran), s == GMX_OK ? 10 : 0);
  return s;
}
CALL(parallel_for_null) { return gmx_parallel_for(10, 1, NULL, f); }

CALL(waitgroup_add_done) {
  gmx_status s = gmx_waitgroup_add(&f->w.none, 2);
  if (s != GMX_OK) return s;
  CHECK_OK(gmx_waitgroup_done(&f->w.none));
  CHECK_OK(gmx_waitgroup_add(&f->w.none, -1));
  return gmx_waitgroup_add(&f->w.none, 0);
}
CALL(waitgroup_below_0) {
  CHECK_STATUS(gmx_waitgroup_add(&f->w.some, -2), GMX_EINVAL);
  return gmx_waitgroup_done(&f->w.none);
}
CALL(waitgroup_null) {
  USED;
  CHECK_STATUS(gmx_waitgroup_add(NULL, 1), GMX_EINVAL);
  CHECK_STATUS(gmx_waitgroup_wait(NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_waitgroup_wait_timeout(NULL, 0), GMX_EINVAL);
  return gmx_waitgroup_done(NULL);
}
CALL(waitgroup_go) { return spawned(f, gmx_waitgroup_go(&f->counted, note_run, f)); }
CALL(waitgroup_go_null) {
  CHECK_STATUS(gmx_waitgroup_go(NULL, note_run, f), GMX_EINVAL);
  return gmx_waitgroup_go(&f->counted, NULL, f);
}
CALL(waitgroup_wait_0) { return gmx_waitgroup_wait(&f->w.none); }
CALL(waitgroup_wait_1) { return gmx_waitgroup_wait(&f->w.some); }
CALL(waitgroup_wait_timeout) { return gmx_waitgroup_wait_timeout(&f->w.some, 1000000); }

/* A channel with room for one, in which there is one value or none; freed when `s` is known. */
static gmx_chan *a_chan(bool full) {
  gmx_chan *c = NULL;
  uint64_t v = 7;
  CHECK_OK(gmx_chan_new(sizeof v, 1, &c));
  if (full) CHECK_OK(gmx_chan_try_send(c, &v));
  return c;
}
static gmx_status and_free(gmx_chan *c, gmx_status s) {
  CHECK_OK(gmx_chan_free(c));
  return s;
}
CALL(barrier_wait_last) {
  gmx_barrier b = GMX_BARRIER_INIT(1);
  bool serial = false;
  gmx_status s = gmx_barrier_wait(&b, &serial);
  USED;
  CHECK_EQ(serial, s == GMX_OK);
  return s;
}
CALL(barrier_wait) {
  gmx_barrier b = GMX_BARRIER_INIT(2);
  return USED, gmx_barrier_wait(&b, NULL);
}
CALL(barrier_wait_timeout) {
  gmx_barrier b = GMX_BARRIER_INIT(2);
  USED;
  gmx_status s = gmx_barrier_wait_timeout(&b, 0, NULL);
  CHECK_STATUS(gmx_barrier_wait_timeout(&b, 1000000, NULL), s);
  CHECK_EQ(b.arrived, 0);
  CHECK_EQ(gmx_barrier_waiters(&b), 0);
  return s;
}
CALL(barrier_null) {
  USED;
  CHECK_STATUS(gmx_barrier_wait_timeout(NULL, 0, NULL), GMX_EINVAL);
  CHECK_EQ(gmx_barrier_waiters(NULL), 0);
  return gmx_barrier_wait(NULL, NULL);
}
CALL(barrier_of_0) {
  gmx_barrier b = GMX_BARRIER_INIT(0);
  return USED, gmx_barrier_wait(&b, NULL);
}
CALL(chan_tries) {
  USED;
  uint64_t v = 0;
  gmx_chan *c = a_chan(true);
  CHECK_EQ(gmx_chan_len(c), 1);
  CHECK_EQ(gmx_chan_cap(c), 1);
  CHECK_STATUS(gmx_chan_try_send(c, &v), GMX_EAGAIN);
  CHECK_OK(gmx_chan_try_recv(c, &v));
  CHECK_EQ(v, 7);
  CHECK_STATUS(gmx_chan_try_recv(c, &v), GMX_EAGAIN);
  CHECK_OK(gmx_chan_ref(c));
  gmx_chan *twice = NULL;
  CHECK_OK(gmx_chan_new_refs(sizeof v, 1, 2, &twice));
  CHECK_OK(gmx_chan_free(twice));
  CHECK_OK(gmx_chan_free(twice));
  CHECK_OK(gmx_chan_free(c));
  CHECK(!gmx_chan_is_closed(c));
  CHECK_OK(gmx_chan_close(c));
  CHECK(gmx_chan_is_closed(c));
  CHECK_STATUS(gmx_chan_close(c), GMX_ECLOSED);
  CHECK_STATUS(gmx_chan_try_send(c, &v), GMX_ECLOSED);
  return and_free(c, GMX_OK);
}
CALL(chan_unbounded) {
  USED;
  uint64_t v;
  gmx_chan *c = NULL;
  gmx_status s = gmx_chan_new(sizeof v, GMX_UNBOUNDED, &c);
  for (v = 0; v < 300; v++) CHECK_OK(gmx_chan_try_send(c, &v));
  CHECK_EQ(gmx_chan_cap(c), GMX_UNBOUNDED);
  for (uint64_t i = 0; i < 200; i++) {
    CHECK_OK(gmx_chan_try_recv(c, &v));
    CHECK_EQ(v, i);
  }
  CHECK_EQ(gmx_chan_len(c), 100);
  return and_free(c, s);
}
CALL(chan_null) {
  USED;
  CHECK_STATUS(gmx_chan_new(1, 1, NULL), GMX_EINVAL);
  gmx_chan *c = NULL;
  CHECK_STATUS(gmx_chan_new_refs(1, 1, 0, &c), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_new_refs(1, 1, 1, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_ref(NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_chan_free(NULL), GMX_EINVAL);
  return gmx_chan_close(NULL);
}
CALL(chan_try_null) {
  USED;
  CHECK_STATUS(gmx_chan_try_send(NULL, NULL), GMX_EAGAIN);
  return gmx_chan_try_recv(NULL, NULL);
}
CALL(chan_send_and_recv) {
  USED;
  uint64_t v = 1;
  gmx_chan *c = a_chan(false);
  gmx_status s = gmx_chan_send(c, &v), t = gmx_chan_recv(c, &v);
  CHECK_STATUS(t, s);
  return and_free(c, s);
}
CALL(chan_recv_timeout) {
  USED;
  gmx_chan *c = a_chan(false);
  return and_free(c, gmx_chan_recv_timeout(c, NULL, 100000));
}
CALL(chan_recv_timeout_0) {
  USED;
  gmx_chan *c = a_chan(false);
  return and_free(c, gmx_chan_recv_timeout(c, NULL, 0));
}
CALL(chan_send_null) {
  USED;
  return gmx_chan_send_timeout(NULL, NULL, 100000);
}
CALL(chan_send_closed) {
  USED;
  uint64_t v = 1;
  gmx_chan *c = a_chan(true);
  CHECK_OK(gmx_chan_close(c));
  return and_free(c, gmx_chan_send(c, &v));
}
static void count_drop(void *arg, void *elem) {
  (void)elem;
  bump((int *)arg);
}
CALL(chan_close_drop) {
  USED;
  int drops = 0;
  gmx_chan *c = a_chan(true);
  gmx_status s = gmx_chan_close_drop(c, count_drop, &drops);
  CHECK_EQ(drops, 1);
  CHECK_STATUS(gmx_chan_try_recv(c, NULL), GMX_ECLOSED);
  return and_free(c, s);
}
CALL(chan_close_drop_null) { return USED, gmx_chan_close_drop(NULL, NULL, NULL); }
CALL(chan_waiters) {
  USED;
  gmx_chan *c = a_chan(true);
  size_t senders = 7, receivers = 7;
  gmx_status s = gmx_chan_waiters(c, &senders, &receivers);
  CHECK(senders == 0 && receivers == 0);
  return and_free(c, s);
}
CALL(chan_waiters_null) {
  USED;
  size_t senders = 7;
  CHECK(!gmx_chan_is_closed(NULL));
  gmx_status s = gmx_chan_waiters(NULL, &senders, NULL);
  CHECK_EQ(senders, 7);
  return s;
}
/* Two cases: receive from one that is empty, and from this one. */
static gmx_status select_two(bool full, int64_t timeout) {
  uint64_t v = 0;
  size_t chosen = 9;
  gmx_select_case cases[2];
  memset(cases, 0, sizeof cases);
  cases[0].chan = a_chan(false);
  cases[1].chan = a_chan(full);
  cases[0].elem = cases[1].elem = &v;
  gmx_status s = gmx_select(cases, 2, timeout, &chosen);
  CHECK_EQ(chosen, s == GMX_OK ? 1 : 2);
  CHECK_EQ(v, s == GMX_OK ? 7 : 0);
  CHECK_OK(gmx_chan_free(cases[0].chan));
  return and_free(cases[1].chan, s);
}
/* A case that only looks whether there is a value. */
static gmx_status select_watch(bool full, int64_t timeout) {
  size_t chosen = 9;
  gmx_select_case cases[] = {GMX_SEND_READY(a_chan(true)), GMX_RECV_READY(a_chan(full))};
  gmx_status s = gmx_select(cases, 2, timeout, &chosen);
  CHECK_EQ(chosen, s == GMX_OK ? 1 : 2);
  CHECK_EQ(gmx_chan_len(cases[1].chan), full);
  CHECK_OK(gmx_chan_free(cases[0].chan));
  return and_free(cases[1].chan, s);
}
CALL(select_ready_default) {
  USED;
  CHECK_OK(select_watch(true, 0));
  return select_watch(false, 0);
}
CALL(select_ready_timeout) {
  USED;
  return select_watch(false, 100000);
}
CALL(select_default) {
  USED;
  CHECK_OK(select_two(true, 0));
  return select_two(false, 0);
}
CALL(select_timeout) {
  USED;
  return select_two(false, 100000);
}
CALL(select_ready) {
  USED;
  return select_two(true, GMX_FOREVER);
}
CALL(select_nothing) {
  USED;
  return gmx_select(NULL, 0, 100000, NULL);
}
CALL(select_wrong) {
  USED;
  return gmx_select(NULL, 1, 0, NULL);
}

/* ---- read-write mutexes, condition variables, once ---- */

static gmx_status then_must(gmx_status s, gmx_status (*undo)(gmx_rwmutex *), gmx_rwmutex *rw) {
  if (s == GMX_OK) CHECK_OK(undo(rw));
  return s;
}
CALL(rwmutex_lock) {
  gmx_rwmutex rw = {0};
  return USED, then_must(gmx_rwmutex_lock(&rw), gmx_rwmutex_unlock, &rw);
}
CALL(rwmutex_rlock) {
  gmx_rwmutex rw = {0};
  return USED, then_must(gmx_rwmutex_rlock(&rw), gmx_rwmutex_runlock, &rw);
}
CALL(rwmutex_lock_timeout) {
  gmx_rwmutex rw = {0};
  USED;
  CHECK_OK(gmx_rwmutex_try_rlock(&rw));
  gmx_status s = gmx_rwmutex_lock_timeout(&rw, 1000000);
  CHECK_OK(gmx_rwmutex_runlock(&rw));
  return s;
}
CALL(rwmutex_rlock_timeout) {
  gmx_rwmutex rw = {0};
  return USED, then_must(gmx_rwmutex_rlock_timeout(&rw, 1000000), gmx_rwmutex_runlock, &rw);
}
CALL(rwmutex_rlock_own) {
  gmx_rwmutex rw = {0};
  USED;
  CHECK_OK(gmx_rwmutex_try_lock(&rw));
  gmx_status s = gmx_rwmutex_rlock_timeout(&rw, 1000000);
  CHECK_OK(gmx_rwmutex_unlock(&rw));
  return s;
}
CALL(rwmutex_try_lock) {
  gmx_rwmutex rw = {0};
  return USED, then_must(gmx_rwmutex_try_lock(&rw), gmx_rwmutex_unlock, &rw);
}
CALL(rwmutex_try_rlock) {
  gmx_rwmutex rw = {0};
  return USED, then_must(gmx_rwmutex_try_rlock(&rw), gmx_rwmutex_runlock, &rw);
}
CALL(rwmutex_unlock_free) {
  gmx_rwmutex rw = {0};
  return USED, gmx_rwmutex_unlock(&rw);
}
CALL(rwmutex_runlock_free) {
  gmx_rwmutex rw = {0};
  return USED, gmx_rwmutex_runlock(&rw);
}
CALL(rwmutex_null) { return USED, gmx_rwmutex_rlock(NULL); }
CALL(cond_wait_unlocked) {
  gmx_cond c = {0};
  gmx_mutex m = {0};
  return USED, gmx_cond_wait(&c, &m);
}
CALL(cond_wait_timeout) {
  gmx_cond c = {0};
  gmx_mutex m = {0};
  USED;
  CHECK_OK(gmx_mutex_try_lock(&m));
  gmx_status s = gmx_cond_wait_timeout(&c, &m, 1000000);
  CHECK_OK(gmx_mutex_unlock(&m)); /* it is the caller's again, whatever came */
  return s;
}
CALL(cond_signal) {
  gmx_cond c = {0};
  return USED, gmx_cond_signal(&c);
}
CALL(cond_broadcast) {
  gmx_cond c = {0};
  return USED, gmx_cond_broadcast(&c);
}
CALL(cond_null) { return USED, gmx_cond_signal(NULL); }
CALL(once_first) {
  gmx_once once = {0};
  gmx_status s = gmx_once_do(&once, note_run, f);
  CHECK_EQ(load(&f->w.ran), s == GMX_OK);
  return s;
}
CALL(once_first_timeout) {
  gmx_once once = {0};
  gmx_status s = gmx_once_do_timeout(&once, note_run, f, 1000000);
  CHECK_EQ(load(&f->w.ran), s == GMX_OK);
  return s;
}
static gmx_once done_once;
static void do_once(void *unused) { CHECK_OK(gmx_once_do(&done_once, end_at_once, unused)); }
CALL(once_done) { return gmx_once_do(&done_once, note_run, f); }
CALL(once_null) { return gmx_once_do(NULL, note_run, f); }

/* ---- cancellation and scopes ---- */

CALL(cancel_new) {
  gmx_cancel c = 0, d = 0;
  USED;
  gmx_status s = gmx_cancel_new(0, GMX_FOREVER, &c);
  CHECK_OK(s);
  CHECK_OK(gmx_cancel_new(c, 3600000000000, &d));
  CHECK_OK(gmx_cancel_now(c));
  CHECK_STATUS(reason_of(d), GMX_ECANCELED);
  CHECK(!gmx_cancel_is_canceled(0));
  CHECK_EQ(gmx_cancel_current(), 0);
  CHECK_OK(gmx_cancel_free(c));
  CHECK_OK(gmx_cancel_free(d));
  return s;
}
CALL(cancel_new_null) { return USED, gmx_cancel_new(0, GMX_FOREVER, NULL); }
CALL(cancel_none) { return USED, gmx_cancel_now(0); }
CALL(cancel_locks) {
  USED;
  bool where = gmx_cancel_locks(true);
  CHECK(!where);
  gmx_cancel_locks(false);
  return GMX_OK;
}
CALL(cancel_shield) {
  USED;
  gmx_status s = gmx_cancel_shield();
  if (s == GMX_OK) CHECK_OK(gmx_cancel_unshield());
  return s;
}
CALL(cancel_unshield_none) { return USED, gmx_cancel_unshield(); }
static gmx_cancel a_token(void) {
  gmx_cancel c = 0;
  CHECK_OK(gmx_cancel_new(0, GMX_FOREVER, &c));
  return c;
}
static void runs_after(void *arg) { (void)arg; }
CALL(cancel_because) {
  gmx_cancel c = a_token();
  USED;
  gmx_status s = gmx_cancel_now_because(c, -4711);
  CHECK_STATUS(reason_of(c), -4711);
  CHECK_OK(gmx_cancel_free(c));
  return s;
}
CALL(cancel_g_of_none) { return USED, gmx_cancel_g(0, -1); }
CALL(cancel_g_because_of_0) { return USED, gmx_cancel_g(0, 0); }
CALL(cancel_because_of_0) { return USED, gmx_cancel_now_because(0, 0); }
CALL(cancel_reason_null) { return USED, gmx_cancel_reason(0, NULL); }
CALL(cancel_deadline) {
  int64_t when = 0;
  USED;
  CHECK_STATUS(gmx_cancel_deadline(0, NULL), GMX_EINVAL);
  gmx_status s = gmx_cancel_deadline(0, &when);
  CHECK_EQ(when, GMX_FOREVER);
  return s;
}
CALL(cancel_chan) {
  gmx_cancel c = a_token();
  gmx_chan *chan = NULL;
  USED;
  gmx_status s = gmx_cancel_chan(c, &chan);
  CHECK_STATUS(gmx_chan_try_recv(chan, NULL), GMX_EAGAIN);
  CHECK_OK(gmx_cancel_now(c));
  CHECK_STATUS(gmx_chan_try_recv(chan, NULL), GMX_ECLOSED);
  CHECK_OK(gmx_cancel_free(c));
  CHECK_OK(gmx_chan_free(chan));
  return s;
}
CALL(cancel_chan_none) {
  gmx_chan *chan = NULL;
  USED;
  CHECK_STATUS(gmx_cancel_chan(0, NULL), GMX_EINVAL);
  return gmx_cancel_chan(0, &chan);
}
CALL(cancel_after_and_stop) {
  gmx_cancel c = a_token();
  gmx_cancel_hook hook = 0;
  bool stopped = false;
  USED;
  CHECK_OK(gmx_cancel_after(c, runs_after, NULL, &hook));
  gmx_status s = gmx_cancel_hook_stop(hook, &stopped);
  CHECK(stopped);
  CHECK_OK(gmx_cancel_free(c));
  return s;
}
CALL(cancel_after_canceled) {
  gmx_cancel c = a_token();
  USED;
  CHECK_OK(gmx_cancel_after(c, runs_after, NULL, NULL));
  CHECK_OK(gmx_cancel_now(c));
  gmx_status s = gmx_cancel_after(c, runs_after, NULL, NULL);
  CHECK_OK(gmx_cancel_free(c));
  return s;
}
CALL(cancel_after_null) { return USED, gmx_cancel_after(0, NULL, NULL, NULL); }
CALL(cancel_hook_stop_none) { return USED, gmx_cancel_hook_stop(0, NULL); }
CALL(spawn_inherits) {
  gmx_spawn_opts o;
  USED;
  memset(&o, 0, sizeof o);
  o.struct_size = sizeof o;
  o.flags = GMX_SPAWN_INHERIT;
  return gmx_spawn_with(&o, runs_after, NULL, NULL);
}
CALL(cancel_use) {
  gmx_cancel before = 7;
  USED;
  gmx_status s = gmx_cancel_use(0, &before);
  CHECK_EQ(before, s == GMX_OK ? 0 : 7);
  return s;
}
static gmx_status child(void *arg) { return (void)arg, GMX_OK; }
CALL(scope_new_null) { return USED, gmx_scope_new(GMX_FOREVER, NULL); }
CALL(scope_spawn_none) { return USED, gmx_scope_spawn(0, child, NULL); }
CALL(scope_enter_none) { return USED, gmx_scope_enter(0); }
CALL(scope_leave_none) { return USED, gmx_scope_leave(0, GMX_FOREVER, NULL); }
CALL(scope_leave_why_none) {
  gmx_scope_end end;
  USED;
  memset(&end, 0, sizeof end);
  end.struct_size = sizeof end;
  return gmx_scope_leave_why(0, GMX_FOREVER, &end);
}
CALL(scope_leave_why_null) { return USED, gmx_scope_leave_why(0, GMX_FOREVER, NULL); }
CALL(scope_token_none) {
  gmx_cancel token = 7;
  USED;
  gmx_status s = gmx_scope_token(0, &token);
  CHECK_EQ(token, 7);
  return s;
}
static void *leaves(void *arg) {
  CHECK_OK(gmx_scope_leave(*(gmx_scope *)arg, GMX_FOREVER, NULL));
  return NULL;
}
CALL(scope_round) {
  gmx_scope scope = 0;
  gmx_cancel token = 0;
  USED;
  gmx_status s = gmx_scope_new(GMX_FOREVER, &scope);
  if (s != GMX_OK) return s;
  CHECK_OK(gmx_scope_token(scope, &token));
  CHECK(!gmx_cancel_is_canceled(token));
  CHECK_OK(gmx_scope_cancel(scope));
  CHECK(gmx_cancel_is_canceled(token));
  thread_join(thread_start(leaves, &scope)); /* the scope has no children, so the leave needs no scheduler */
  return s;
}
CALL(scope_cancel_none) { return USED, gmx_scope_cancel(0); }

/* ---- timers ---- */

CALL(after_func) {
  gmx_timer t = 0;
  gmx_status s = gmx_after_func(3600000000000, note_run, f, &t);
  CHECK_OK(s);
  CHECK_EQ(timer_reset(t, 3600000000000, 0), 1);
  CHECK_EQ(timer_stop(t), 1);
  CHECK_EQ(timer_free(t), 0);
  return s;
}
CALL(after_func_null) { return gmx_after_func(0, NULL, f, NULL); }
CALL(timer_once) {
  gmx_timer t = 0;
  gmx_chan *c = NULL;
  USED;
  gmx_status s = gmx_timer_new(3600000000000, 0, &t, &c);
  CHECK_OK(s);
  CHECK_EQ(timer_free(t), 1);
  CHECK_OK(gmx_chan_free(c));
  return s;
}
CALL(timer_channel) {
  gmx_timer t = 0;
  gmx_chan *c = NULL;
  USED;
  gmx_status s = gmx_ticker_new(3600000000000, &t, &c);
  CHECK_OK(s);
  CHECK_EQ(ticker_reset(t, 1800000000000), 1);
  CHECK_EQ(timer_free(t), 1);
  CHECK_OK(gmx_chan_free(c));
  return s;
}
CALL(after) {
  USED;
  gmx_chan *now = NULL, *later = NULL;
  CHECK_OK(gmx_after(0, &now));
  CHECK_OK(gmx_chan_try_recv(now, NULL));
  gmx_status s = gmx_after(3600000000000, &later);
  CHECK_STATUS(gmx_chan_try_recv(later, NULL), GMX_EAGAIN);
  CHECK_OK(gmx_chan_free(now));
  return and_free(later, s);
}
CALL(after_null) { return USED, gmx_after(0, NULL); }
CALL(timer_none) { return USED, timer_stop(0); }
CALL(ticker_0) {
  gmx_timer t = 0;
  gmx_chan *c = NULL;
  return USED, gmx_ticker_new(0, &t, &c);
}

CALL(now) {
  USED;
  int64_t then = gmx_now();
  CHECK(then > 0 && gmx_now() >= then);
  CHECK(gmx_deadline(1000) > then);
  CHECK(gmx_time_left(GMX_FOREVER) == GMX_FOREVER);
  return GMX_OK;
}
CALL(sleep_1ns) { return USED, gmx_sleep(1); }
CALL(sleep_0) { return USED, gmx_sleep(0); }

CALL(poll_open) { return gmx_poll_open(null_fd, GMX_POLL_BORROW, &f->opened); }
CALL(poll_open_wrong) {
  CHECK_STATUS(gmx_poll_open(null_fd, 0, NULL), GMX_EINVAL);
  return gmx_poll_open(null_fd, 4, &f->opened);
}
CALL(poll_open_none) { return gmx_poll_open(-1, 0, &f->opened); }
CALL(poll_fd) { return gmx_poll_fd(f->near) >= 0 ? GMX_OK : gmx_poll_fd(f->near); }
CALL(poll_fd_none) {
  USED;
  CHECK_STATUS(gmx_poll_set_deadline(0, GMX_POLL_IN, 0), GMX_EBADF);
  CHECK_STATUS(gmx_poll_shutdown(0, SHUT_RD), GMX_EBADF);
  return gmx_poll_fd(0);
}
CALL(poll_wait) {
  uint32_t ready;
  return gmx_poll_wait(f->near, GMX_POLL_IN, 1000000, &ready);
}
CALL(poll_wait_wrong) {
  uint32_t ready;
  CHECK_STATUS(gmx_poll_wait(f->near, 0, 0, &ready), GMX_EINVAL);
  CHECK_STATUS(gmx_poll_wait(f->near, GMX_POLL_IN | 2, 0, &ready), GMX_EINVAL);
  return gmx_poll_wait(f->near, GMX_POLL_IN, 0, NULL);
}
CALL(poll_set_deadline) { return gmx_poll_set_deadline(f->near, GMX_POLL_IN | GMX_POLL_OUT, GMX_FOREVER); }
CALL(poll_set_deadline_wrong) {
  CHECK_STATUS(gmx_poll_set_deadline(f->near, GMX_POLL_ERR, 0), GMX_EINVAL);
  return gmx_poll_set_deadline(f->near, 0, 0);
}
CALL(poll_release) {
  int fd;
  gmx_status s = gmx_poll_release(f->near, &fd);
  if (s != GMX_OK) return s;
  CHECK_STATUS(gmx_close(f->near), GMX_EBADF);
  f->near = 0;
  CHECK_EQ(close(fd), 0);
  return s;
}
CALL(poll_release_null) { return gmx_poll_release(f->near, NULL); }
CALL(close_none) { return USED, gmx_close(0); }
CALL(wait_fd) {
  uint32_t ready;
  return gmx_wait_fd(gmx_poll_fd(f->near), GMX_POLL_IN, 1000000, &ready);
}
CALL(wait_fd_wrong) {
  uint32_t ready;
  USED;
  CHECK_STATUS(gmx_wait_fd(null_fd, 0, 0, &ready), GMX_EINVAL);
  return gmx_wait_fd(null_fd, GMX_POLL_IN, 0, NULL);
}
CALL(read_timeout) {
  char c;
  return gmx_read(f->near, &c, 1, 1000000);
}
CALL(read_none) {
  char c;
  USED;
  return gmx_read(0, &c, 1, GMX_FOREVER);
}
CALL(write_some) { return gmx_write(f->near, "x", 1, GMX_FOREVER, NULL); }
CALL(readv_timeout) {
  char c;
  struct iovec v = {&c, 1};
  return gmx_readv(f->near, &v, 1, 1000000);
}
CALL(writev_some) {
  char c = 'x';
  struct iovec v = {&c, 1};
  size_t done = 7;
  gmx_status s = gmx_writev(f->near, &v, 1, GMX_FOREVER, &done);
  CHECK_EQ(done, s == GMX_OK);
  return s;
}
CALL(recv_and_so_on) {
  char c;
  struct iovec v = {&c, 1};
  struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
  gmx_status s = gmx_recv(f->near, &c, 1, 0, 1000000);
  CHECK_STATUS(gmx_recvfrom(f->near, &c, 1, 0, NULL, NULL, 0), s);
  CHECK_STATUS(gmx_recvmsg(f->near, &msg, 0, 0), s);
  struct mmsghdr many = {.msg_hdr = msg};
  int fd;
  size_t n = 1;
  CHECK_STATUS(gmx_read_full(f->near, &c, 1, 0, NULL), s);
  CHECK_STATUS(gmx_recvmmsg(f->near, &many, 1, 0, 0), s);
  CHECK_STATUS(gmx_recv_fds(f->near, &fd, &n, &c, 1, 0), s);
  return s;
}
CALL(poll_many) {
  struct pollfd at = {gmx_poll_fd(f->near), POLLIN, 7};
  return gmx_poll_many(&at, 1, 1000000);
}
CALL(poll_many_null) { return USED, gmx_poll_many(NULL, 1, 0); }
CALL(send_and_so_on) {
  char c = 'x';
  struct iovec v = {&c, 1};
  struct msghdr msg = {.msg_iov = &v, .msg_iovlen = 1};
  gmx_status s = gmx_send(f->near, &c, 1, 0, GMX_FOREVER);
  CHECK_STATUS(gmx_sendto(f->near, &c, 1, 0, NULL, 0, GMX_FOREVER), s);
  CHECK_STATUS(gmx_sendmsg(f->near, &msg, 0, GMX_FOREVER), s);
  struct mmsghdr many = {.msg_hdr = msg};
  CHECK_STATUS(gmx_sendmmsg(f->near, &many, 1, 0, GMX_FOREVER), s);
  CHECK_STATUS(gmx_send_fds(f->near, &null_fd, 1, &c, 1, GMX_FOREVER), s);
  return s == 1 ? GMX_OK : s;
}
CALL(transfers_null) {
  struct sockaddr addr;
  CHECK_STATUS(gmx_read(f->near, NULL, 1, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_write(f->near, NULL, 1, 0, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_readv(f->near, NULL, 1, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_writev(f->near, NULL, 1, 0, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_recv(f->near, NULL, 1, 0, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_send(f->near, NULL, 1, 0, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_recvmsg(f->near, NULL, 0, 0), GMX_EINVAL);
  char c;
  int fd;
  size_t n = 1;
  CHECK_STATUS(gmx_read_full(f->near, NULL, 1, 0, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_recvmmsg(f->near, NULL, 1, 0, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_sendmmsg(f->near, NULL, 1, 0, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_send_fds(f->near, NULL, 1, "", 1, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_send_fds(f->near, &null_fd, 0, "", 1, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_send_fds(f->near, &null_fd, 254, "", 1, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_send_fds(f->near, &null_fd, 1, "", 0, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_recv_fds(f->near, NULL, &n, &c, 1, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_recv_fds(f->near, &fd, NULL, &c, 1, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_recv_fds(f->near, &fd, &n, NULL, 1, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_sendmsg(f->near, NULL, 0, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_recvfrom(f->near, NULL, 0, 0, &addr, NULL, 0), GMX_EINVAL);
  return gmx_sendto(f->near, NULL, 1, 0, NULL, 0, 0);
}
CALL(poll_shutdown) { return gmx_poll_shutdown(f->near, SHUT_RD); }
CALL(connect_none) {
  struct sockaddr addr = {0};
  USED;
  return gmx_connect(0, &addr, sizeof addr, 1000000);
}
CALL(accept_none) {
  gmx_poll conn;
  USED;
  return gmx_accept(0, &conn, NULL, NULL, 1000000);
}
CALL(listen_tcp) { return gmx_listen_tcp("127.0.0.1", "0", NULL, &f->opened); }
CALL(udp_open) { return gmx_udp_open("127.0.0.1", "0", NULL, &f->opened); }
CALL(listen_unix) { return gmx_listen_unix("", NULL, &f->opened); }
CALL(listen_inherit) { return gmx_listen_inherit(SIZE_MAX, &f->opened); }
CALL(listen_wrong) {
  gmx_listen_opts wrong = {.flags = 1};
  gmx_poll *p = &f->opened;
  CHECK_STATUS(gmx_listen_tcp("127.0.0.1", "0", NULL, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_listen_tcp("127.0.0.1", NULL, NULL, p), GMX_EINVAL);
  CHECK_STATUS(gmx_listen_tcp("127.0.0.1", "0", &wrong, p), GMX_EINVAL);
  CHECK_STATUS(gmx_udp_open("127.0.0.1", "0", NULL, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_udp_open("127.0.0.1", "0", &wrong, p), GMX_EINVAL);
  CHECK_STATUS(gmx_listen_unix(NULL, NULL, p), GMX_EINVAL);
  CHECK_STATUS(gmx_listen_unix("@x", &wrong, p), GMX_EINVAL);
  CHECK_STATUS(gmx_listen_unix("@x", NULL, NULL), GMX_EINVAL);
  return gmx_listen_inherit(0, NULL);
}
CALL(getaddrinfo_number) {
  USED;
  struct addrinfo *list = NULL;
  gmx_status s = gmx_getaddrinfo("127.0.0.1", "80", NULL, &list, 0);
  if (s == GMX_OK) freeaddrinfo(list);
  return s;
}
CALL(getaddrinfo_null) { return USED, gmx_getaddrinfo("127.0.0.1", "80", NULL, NULL, 0); }
CALL(dial_none) {
  gmx_poll p = 0;
  USED;
  return gmx_dial("unix", "@nothing listens at gomax contexts", NULL, NULL, GMX_FOREVER, &p);
}
CALL(dial_wrong) {
  gmx_dial_opts wrong = {.delay = -1};
  gmx_poll *p = &f->opened;
  CHECK_STATUS(gmx_dial(NULL, "127.0.0.1", "1", NULL, 0, p), GMX_EINVAL);
  CHECK_STATUS(gmx_dial("tcp5", "127.0.0.1", "1", NULL, 0, p), GMX_EINVAL);
  CHECK_STATUS(gmx_dial("tcp", "127.0.0.1", NULL, NULL, 0, p), GMX_EINVAL);
  CHECK_STATUS(gmx_dial("tcp", "127.0.0.1", "1", &wrong, 0, p), GMX_EINVAL);
  CHECK_STATUS(gmx_dial("unix", NULL, NULL, NULL, 0, p), GMX_EINVAL);
  CHECK_STATUS(gmx_dial("unix", "@x", "1", NULL, 0, p), GMX_EINVAL);
  return gmx_dial("tcp", "127.0.0.1", "1", NULL, 0, NULL);
}
CALL(connect_null) {
  struct sockaddr addr;
  gmx_poll conn;
  CHECK_STATUS(gmx_accept(f->near, NULL, NULL, NULL, 0), GMX_EINVAL);
  CHECK_STATUS(gmx_accept(f->near, &conn, &addr, NULL, 0), GMX_EINVAL);
  return gmx_connect(f->near, NULL, 0, 0);
}

CALL(spawn_process) {
  gmx_process p = 0;
  int status = 1;
  gmx_process_opts opts = {.path = "/bin/true"};
  USED;
  gmx_status s = gmx_spawn_process(&opts, &p);
  CHECK_EQ(p != 0, s == GMX_OK);
  if (s != GMX_OK) return s;
  CHECK_CMP(gmx_process_pid(p), >, 0);
  CHECK_OK(gmx_process_kill(p, 0));
  CHECK_OK(gmx_process_wait(p, &status, GMX_FOREVER));
  CHECK_EQ(status, 0);
  return gmx_process_release(p);
}
CALL(spawn_process_null) {
  gmx_process p = 0;
  USED;
  CHECK_STATUS(gmx_spawn_process(NULL, &p), GMX_EINVAL);
  gmx_process_opts opts = {.path = NULL};
  return gmx_spawn_process(&opts, &p);
}
CALL(process_wait_none) {
  int status;
  USED;
  return gmx_process_wait(0, &status, 1000000);
}
CALL(process_wait_null) { return USED, gmx_process_wait(0, NULL, 0); }
CALL(process_none) {
  USED;
  CHECK_STATUS(gmx_process_pid(0), GMX_ESTALE);
  CHECK_STATUS(gmx_process_pidfd(0), GMX_ESTALE);
  return gmx_process_kill(0, 0);
}
CALL(process_release_none) { return USED, gmx_process_release(0); }

CALL(signal_notify_and_stop) {
  gmx_chan *c = NULL;
  int32_t sig = SIGUSR2;
  USED;
  CHECK_OK(gmx_chan_new(sizeof(gmx_siginfo), 1, &c));
  gmx_status s = gmx_signal_notify(c, &sig, 1);
  if (s == GMX_OK) s = gmx_signal_stop(c);
  return and_free(c, s);
}
CALL(signal_notify_wrong) {
  int32_t sig = SIGKILL;
  USED;
  return gmx_signal_notify(NULL, &sig, 1);
}
CALL(signal_stop_none) { return USED, gmx_signal_stop(NULL); }

static void posted(void *arg) { (void)arg; }
CALL(post_and_fd) {
  USED;
  CHECK_CMP(gmx_host_fd(), >=, 0);
  return gmx_post(posted, NULL);
}
CALL(post_null) { return USED, gmx_post(NULL, NULL); }
CALL(host_run) {
  USED;
  CHECK_OK(gmx_post(posted, NULL));
  gmx_status s = gmx_host_run(0);
  if (s < 0) return s;
  CHECK_EQ(gmx_host_run(0), 0);
  return s > 0 ? GMX_OK : s;
}
CALL(open_read_close) {
  gmx_poll p;
  char c;
  struct iovec v = {&c, 1};
  USED;
  gmx_status s = gmx_open("/proc/self/exe", O_RDONLY, 0, &p);
  if (s != GMX_OK) return s;
  CHECK_EQ(gmx_pread(p, &c, 1, 1), 1);
  CHECK_EQ(gmx_preadv(p, &v, 1, 2), 1);
  return gmx_close(p);
}
/* The same status from each of these calls. */
static gmx_status all_say(const gmx_status *statuses, int n) {
  for (int i = 1; i < n; i++) CHECK_STATUS(statuses[i], statuses[0]);
  return statuses[0];
}
CALL(file_none) {
  char c = 0, what[512];
  struct iovec v = {&c, 1};
  USED;
  const gmx_status all[] = {
      gmx_pread(0, &c, 1, 0),  gmx_preadv(0, &v, 1, 0), gmx_pwrite(0, &c, 1, 0, NULL),
      gmx_pwritev(0, &v, 1, 0, NULL), gmx_fsync(0),            gmx_fdatasync(0),
      gmx_ftruncate(0, 0),     gmx_fallocate(0, 0, 0, 1), gmx_statx(1, NULL, 0, 0, (struct statx *)what),
      gmx_readdir(0, what, sizeof what),
  };
  return all_say(all, sizeof all / sizeof *all);
}
CALL(file_null) {
  gmx_poll p;
  char what[512];
  USED;
  const gmx_status all[] = {
      gmx_open(NULL, 0, 0, &p), gmx_open("/", 0, 0, NULL), gmx_pread(0, NULL, 1, 0), gmx_preadv(0, NULL, 1, 0),
      gmx_pwrite(0, NULL, 1, 0, NULL), gmx_pwritev(0, NULL, 1, 0, NULL), gmx_statx(0, "/", 0, 0, NULL),
      gmx_statx(0, NULL, 0, 0, (struct statx *)what), gmx_rename(NULL, "/", 0), gmx_rename("/", NULL, 0),
      gmx_unlink(NULL, 0), gmx_mkdir(NULL, 0), gmx_readdir(0, NULL, 8),
  };
  return all_say(all, sizeof all / sizeof *all);
}
CALL(paths_none) {
  gmx_poll p;
  char what[512];
  USED;
  const gmx_status all[] = {
      gmx_open("/nowhere/a", 0, 0, &p), gmx_rename("/nowhere/a", "/nowhere/b", 0), gmx_unlink("/nowhere/a", 0),
      gmx_mkdir("/nowhere/a", 0), gmx_statx(0, "/nowhere/a", 0, 0, (struct statx *)what),
  };
  return all_say(all, sizeof all / sizeof *all);
}
CALL(copy_none) {
  uint64_t done = 1;
  gmx_status s = gmx_copy(f->near, 0, 1, &done, GMX_FOREVER);
  CHECK_EQ(done, 0);
  return s;
}
CALL(copy_no_bytes) { return gmx_copy(f->near, f->near, 0, NULL, GMX_FOREVER); }
CALL(io_batch) {
  char c;
  gmx_io_op op = {GMX_IO_READ, GMX_OK, f->near, &c, 1, 0, 7};
  gmx_status s = gmx_io_batch(&op, 1, GMX_FOREVER);
  if (s == GMX_OK) CHECK(op.status == -ESPIPE && op.done == 0);
  else CHECK(op.status == GMX_OK && op.done == 7);
  return s;
}
CALL(io_batch_null) { return USED, gmx_io_batch(NULL, 1, 0); }

CALL(read_sched_stats) {
  gmx_status s = gmx_read_sched_stats(&f->w.sched);
  if (s == GMX_OK) CHECK_EQ(f->w.sched.gomaxprocs, procs);
  return s;
}
CALL(read_sched_stats_null) { return USED, gmx_read_sched_stats(NULL); }
CALL(read_sched_stats_0) {
  f->w.sched.struct_size = 0;
  gmx_status s = gmx_read_sched_stats(&f->w.sched);
  if (s == GMX_OK) CHECK_EQ(f->w.sched.gomaxprocs, procs);
  f->w.sched.struct_size = sizeof f->w.sched;
  return s;
}
CALL(read_mem_stats) {
  gmx_status s = gmx_read_mem_stats(&f->w.mem);
  if (s == GMX_OK) CHECK(f->w.mem.g_live >= 2 && f->w.mem.p_total >= (uint64_t)procs);
  return s;
}
CALL(release_memory) { return USED, gmx_release_memory(); }
CALL(read_mem_stats_null) { return USED, gmx_read_mem_stats(NULL); }
CALL(write_heap_dump) { return USED, gmx_write_heap_dump(null_fd); }
static gmx_status takes_stacks(void *ran, const char *text, size_t n) {
  CHECK(n == 0 || memcmp(text, "goroutine ", 10) == 0);
  bump((uint32_t *)ran);
  return GMX_OK;
}
CALL(dump_goroutines) {
  uint32_t before = load(&f->w.ran);
  gmx_status s = gmx_dump_goroutines(takes_stacks, &f->w.ran, 0);
  CHECK_EQ(load(&f->w.ran) - before, s == GMX_OK);
  return s;
}
CALL(dump_goroutines_null) { return USED, gmx_dump_goroutines(NULL, NULL, 0); }
CALL(metrics_read) {
  gmx_metric m = {.name = "gomax_procs", .reserved = 0};
  gmx_status s = gmx_metrics_read(&m, 1);
  if (s == GMX_OK) CHECK_EQ(m.value, procs);
  return USED, s;
}
CALL(metrics_read_null) { return USED, gmx_metrics_read(NULL, 1); }
CALL(metrics_read_no_name) {
  gmx_metric m = {.name = NULL, .value = 7};
  gmx_status s = gmx_metrics_read(&m, 1);
  CHECK_EQ(m.value, 7);
  return USED, s;
}
static gmx_status takes_text(void *ran, const char *text, size_t n) {
  CHECK(n > 6 && memcmp(text + n - 6, "# EOF\n", 6) == 0);
  bump((uint32_t *)ran);
  return GMX_OK;
}
CALL(metrics_text) {
  uint32_t before = load(&f->w.ran);
  gmx_status s = gmx_metrics_text(takes_text, &f->w.ran);
  CHECK_EQ(load(&f->w.ran) - before, s == GMX_OK);
  return s;
}
CALL(metrics_text_null) { return USED, gmx_metrics_text(NULL, NULL); }
CALL(metric_info_and_bounds) {
  CHECK(gmx_metric_info(0) != NULL && gmx_metric_info(SIZE_MAX) == NULL && gmx_metric_bounds()[0] == 128);
  return USED, GMX_OK;
}

CALL(trace_start_and_stop) {
  USED;
  gmx_status s = gmx_trace_start(NULL);
  if (s != GMX_OK) return s;
  CHECK_STATUS(gmx_trace_start(NULL), GMX_EBUSY);
  CHECK_STATUS(gmx_trace_snapshot(-1), GMX_EBADF);
  CHECK_STATUS(gmx_trace_stop(1 << 20), GMX_EBADF);
  CHECK_OK(gmx_trace_snapshot(null_fd));
  CHECK_OK(gmx_trace_stop(null_fd));
  return s;
}
/* refused before the second library is loaded: the host may have the loader's lock, and wait for this call */
CALL(debug_serve) { return USED, gmx_debug_serve("unix", NULL); }
CALL(debug_wrong_opts) {
  char url[256];
  gmx_debug_opts opts = {.struct_size = sizeof opts, .flags = 2};
  CHECK_STATUS(gmx_debug_serve("unix", &opts), GMX_EINVAL);
  opts.flags = 0, opts.url = url;
  CHECK_STATUS(gmx_debug_serve("unix", &opts), GMX_EINVAL);
  opts.url_size = sizeof url, opts.reserved = 1;
  CHECK_STATUS(gmx_debug_serve("unix", &opts), GMX_EINVAL);
  return USED, gmx_debug_serve(NULL, NULL);
}
CALL(debug_stop_none) { return USED, gmx_debug_stop(); }
CALL(trace_wrong_opts) {
  gmx_trace_opts opts = {.struct_size = sizeof opts, .ring_bytes = 4095};
  CHECK_STATUS(gmx_trace_start(&opts), GMX_EINVAL);
  opts.ring_bytes = 0;
  opts.flags = 1;
  return USED, gmx_trace_start(&opts);
}
CALL(trace_snapshot_none) { return USED, gmx_trace_snapshot(null_fd); }
CALL(trace_stop_none) { return USED, gmx_trace_stop(-1); }
CALL(trace_task) {
  USED;
  uint64_t task = 0;
  gmx_status s = gmx_trace_task_begin("task", 0, &task);
  CHECK((s == GMX_OK) == (task != 0));
  CHECK_STATUS(gmx_trace_task_end(1), s);
  return s;
}
CALL(trace_region) {
  USED;
  gmx_status s = gmx_trace_region_begin(0, "region");
  CHECK_STATUS(gmx_trace_region_end(), s);
  return s;
}
CALL(trace_log) { return USED, gmx_trace_log(0, gmx_trace_is_on() ? "on" : "off"); }
CALL(trace_null) {
  USED;
  uint64_t task = 7;
  CHECK_STATUS(gmx_trace_task_begin(NULL, 0, &task), GMX_EINVAL);
  CHECK_STATUS(gmx_trace_task_begin("task", 0, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_trace_region_begin(0, NULL), GMX_EINVAL);
  CHECK_STATUS(gmx_trace_task_end(0), GMX_EINVAL);
  CHECK_EQ(task, 7);
  return gmx_trace_log(0, NULL);
}

/* ---- the places ---- */

struct row {
  const char *name;
  gmx_status (*call)(struct fixture *f);
  gmx_status want[COLUMNS];
};

#define ROW(name, ...) {#name, name, {__VA_ARGS__}},
static const struct row rows[] = {TABLE(ROW)};

struct probe {
  const struct row *row;
  const char *place;
  enum column column;
  struct fixture *f;
  int turn, turns; /* for gmx_for_each_p: the P for which the call is made */
};

struct seen { /* state that a failed call must not change */
  struct words words;
  gmx_g self;
  uint64_t goid, spawned, stops, barriers;
  int64_t num_g;
  int32_t procs, p_count;
};

static void look(struct seen *seen, const struct fixture *f) {
  gmx_sched_stats stats = {.struct_size = sizeof stats};
  memset(seen, 0, sizeof *seen);
  memcpy(&seen->words, &f->w, sizeof f->w);
  CHECK_OK(gmx_read_sched_stats(&stats));
  seen->self = gmx_self();
  seen->goid = gmx_goid();
  seen->spawned = stats.spawned;
  seen->stops = stats.stops;
  seen->barriers = stats.barriers;
  seen->num_g = gmx_num_g();
  seen->procs = gmx_gomaxprocs(0);
  seen->p_count = gmx_p_count();
}

static int wrong; /* cells of the table */

/* ---- the reports of wrong calls ---- */

static struct {
  const struct row *row; /* whose call was reported; NULL: a fixture's */
  char function[48], status[24];
} reports[1024];
static uint32_t nreports;
static const struct row *called;

static void hears(void *arg, const char *text, size_t len) {
  (void)arg;
  char line[160];
  size_t n = len < sizeof line - 1 ? len : sizeof line - 1;
  memcpy(line, text, n);
  line[n] = 0;
  if (strstr(line, "has waited for") != NULL) return; /* a machine that has much to do is slow to stop */
  uint32_t i = __atomic_fetch_add(&nreports, 1, __ATOMIC_ACQ_REL);
  CHECK_CMP(i, <, 1024);
  if (sscanf(line, "libgomax: wrong call: %47s returns %23s", reports[i].function, reports[i].status) != 2)
    FAIL("reported: %s", line);
  reports[i].row = called;
}

/* ---- the calls ---- */

static void probe(void *arg) {
  const struct probe *p = arg;
  struct seen before, after;
  gmx_status want = p->row->want[p->column];
  look(&before, p->f);
  called = p->row;
  gmx_status got = p->row->call(p->f);
  called = NULL;
  look(&after, p->f);
  if (got != want) {
    bump(&wrong);
    check_say("%s %s: %s (%d), not %s (%d)", p->row->name, p->place, gmx_err_name(got), (int)got, gmx_err_name(want),
              (int)want);
  }
  if (got >= 0) return;
  /* a wait that timed out may have left a mark in the object */
  if (memcmp(&before.words, &after.words, sizeof before.words) != 0 && got != tmout) {
    bump(&wrong);
    check_say("%s %s: changed its arguments", p->row->name, p->place);
  }
#define SAME(what)                                                                                                   \
  if (before.what != after.what) {                                                                                   \
    bump(&wrong);                                                                                                    \
    check_say("%s %s: " #what " was %lld, is %lld", p->row->name, p->place, (long long)before.what, (long long)after.what); \
  }
  SAME(self)
  SAME(goid)
  SAME(spawned)
  SAME(stops)
  SAME(barriers)
  SAME(num_g)
  SAME(procs)
  SAME(p_count)
}

static void syscall_probe(void *arg) {
  CHECK_OK(gmx_enter_syscall());
  probe(arg);
  CHECK_OK(gmx_exit_syscall());
}
static void syscall_blocking_probe(void *arg) {
  CHECK_OK(gmx_enter_syscall_blocking());
  probe(arg);
  CHECK_OK(gmx_exit_syscall());
}
static void blocking_probe(void *arg) { CHECK_OK(gmx_blocking(probe, arg)); }
static void locked_probe(void *arg) {
  CHECK_OK(gmx_lock_os_thread());
  pthread_t thread = pthread_self();
  probe(arg);
  CHECK(pthread_equal(thread, pthread_self()));
  CHECK_OK(gmx_unlock_os_thread());
}
static void attached_probe(void *arg) {
  CHECK_OK(gmx_attach_thread());
  probe(arg);
  CHECK_OK(gmx_detach_thread());
}
static void attached_syscall_probe(void *arg) {
  CHECK_OK(gmx_attach_thread());
  syscall_probe(arg);
  CHECK_OK(gmx_detach_thread());
}
static void callback_probe(void *arg) { CHECK_OK(gmx_callback(probe, arg)); }
static void callback_of_syscall_probe(void *arg) {
  CHECK_OK(gmx_enter_syscall());
  CHECK_OK(gmx_callback(probe, arg));
  CHECK_OK(gmx_exit_syscall());
}
static void attached_callback_probe(void *arg) {
  CHECK_OK(gmx_attach_thread());
  callback_probe(arg);
  CHECK_OK(gmx_detach_thread());
}
static void for_one_p(void *arg) {
  struct probe *p = arg;
  if (__atomic_fetch_add(&p->turns, 1, __ATOMIC_ACQ_REL) == p->turn) probe(arg);
}
static void for_each_p_probe(void *arg) {
  struct probe *p = arg;
  store(&p->turns, 0);
  CHECK_OK(gmx_for_each_p(for_one_p, arg));
  CHECK_EQ(load(&p->turns), procs);
}
static bool commit_probe_veto(void *arg, gmx_g g) {
  CHECK(g != 0);
  probe(arg);
  return false;
}
static void commit_probe(void *arg) { CHECK_OK(gmx_park(commit_probe_veto, arg, "probe")); }
static void stopped_probe(void *arg) {
  CHECK_OK(gmx_stop_the_world("probe"));
  probe(arg);
  CHECK_OK(gmx_start_the_world());
}
static void attached_stopped_probe(void *arg) {
  CHECK_OK(gmx_attach_thread());
  stopped_probe(arg);
  CHECK_OK(gmx_detach_thread());
}
static void pinned_probe(void *arg) {
  CHECK(gmx_pin() >= 0);
  probe(arg);
  CHECK_OK(gmx_unpin());
}
static void attached_pinned_probe(void *arg) {
  CHECK_OK(gmx_attach_thread());
  pinned_probe(arg);
  CHECK_OK(gmx_detach_thread());
}

struct place {
  const char *name;
  enum column column;
  void (*start)(void (*fn)(void *), void *arg); /* on a G or on a thread */
  void (*enter)(void *probe);
  bool attached; /* and in another state besides */
};

static const struct place places[] = {
    {"on a G", G, on_g, probe, false},
    {"on a G locked to its thread", G, on_g, locked_probe, false},
    {"in a syscall", SYS, on_g, syscall_probe, false},
    {"in a blocking syscall", SYS, on_g, syscall_blocking_probe, false},
    {"in gmx_blocking", SYS, on_g, blocking_probe, false},
    {"in a syscall of an attached thread", SYS, on_thread, attached_syscall_probe, true},
    {"on an attached thread", ATT, on_thread, attached_probe, false},
    {"in a callback on a foreign thread", CB, on_thread, callback_probe, false},
    {"in a callback from a syscall", CB, on_g, callback_of_syscall_probe, false},
    {"in a callback on an attached thread", CB, on_thread, attached_callback_probe, false},
    {"in a callback on a G", CB, on_g, callback_probe, false},
    {"on a foreign thread", FOR, on_thread, probe, false},
    {"in gmx_for_each_p", FEP, on_g, for_each_p_probe, false},
    {"in gmx_for_each_p of a foreign thread", FEP, on_thread, for_each_p_probe, false},
    {"in a park commit", COM, on_g, commit_probe, false},
    {"in the stopped world", STW, on_g, stopped_probe, false},
    {"in the world that an attached thread stopped", STW, on_thread, attached_stopped_probe, true},
    {"in the world that a foreign thread stopped", FSTW, on_thread, stopped_probe, false},
    {"on a pinned G", PIN, on_g, pinned_probe, false},
    {"on a pinned attached thread", PIN, on_thread, attached_pinned_probe, true},
};

static void every_call_in(const struct place *place) {
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    const struct row *row = &rows[i];
    if (row->want[place->column] == n_a) continue;
    /* where the call is valid, and leaves the context: see lifecycle.c */
    if (row->call == unlock_os_thread && place->enter == locked_probe) continue;
    if (row->call == detach_thread && place->attached) continue;
    for (int turn = 0; turn < (place->column == FEP ? procs : 1); turn++) {
      struct fixture f;
      struct probe p = {row, place->name, place->column, &f, turn, 0};
      fixture_make(&f);
      place->start(place->enter, &p);
      fixture_end(&f);
    }
  }
}

static void every_call_in_every_place(void) {
  procs = gmx_gomaxprocs(0);
  CHECK_EQ(procs, 3);
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) every_call_in(&places[i]);
}

/* Whether a row may call a function: both are about the same kind of object, as mutex_lock_null and gmx_mutex_lock. */
static bool may_call(const char *row, const char *function) {
  static const char *const more[][2] = {{"transfers_", ""}, {"recv_and_", ""}, {"send_and_", ""}, {"file_", ""}, {"paths_", ""}, {"listen_wrong", "gmx_udp_open"},
                                        {"ticker", "gmx_timer"}, {"timer", "gmx_ticker"}, {"poll_release", "gmx_close"},
                                        {"connect", "gmx_accept"}, {"open_read_close", "gmx_"}};
  size_t n = strcspn(function + 4, "_");
  if (strncmp(row, function + 4, n) == 0 && (row[n] == 0 || row[n] == '_')) return true;
  for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
    if (strstr(row, more[i][0]) == row && strstr(function, more[i][1]) == function) return true;
  return false;
}

/* Whether the call of a row is wrong if it returns this. For gmx_ready and gmx_cancel_g a goroutine may just have
 * ended, and gmx_self has no status. */
static bool is_wrong_call(const char *row, gmx_status s) {
  if (strstr(row, "ready_") == row || strstr(row, "self_") == row) return false;
  if (strstr(row, "cancel_g") == row && s == stale) return false;
  return s == inval || s == perm || s == badf || s == dlock || s == stale || s == notg || s == insys;
}

static void every_wrong_call_is_reported(void) {
  for (uint32_t i = 0; i < nreports; i++) {
    for (uint32_t j = 0; j < i; j++)
      if (!strcmp(reports[i].function, reports[j].function) && !strcmp(reports[i].status, reports[j].status))
        FAIL("%s, %s was reported twice", reports[i].function, reports[i].status);
    if (!reports[i].row) continue;
    const char *row = reports[i].row->name;
    if (!may_call(row, reports[i].function)) FAIL("%s was reported in the row %s", reports[i].function, row);
    if (strstr(row, "ready_") == row || (!strcmp(reports[i].function, "gmx_cancel_g") && !strcmp(reports[i].status, "GMX_ESTALE")))
      FAIL("%s in the row %s is no wrong call", reports[i].function, row);
  }
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    for (size_t j = 0; j < sizeof places / sizeof places[0]; j++) {
      gmx_status s = rows[i].want[places[j].column];
      if (!is_wrong_call(rows[i].name, s)) continue;
      bool found = false;
      for (uint32_t k = 0; k < nreports && !found; k++)
        found = !strcmp(reports[k].status, gmx_err_name(s)) && may_call(rows[i].name, reports[k].function);
      if (!found) FAIL("%s %s: %s was not reported", rows[i].name, places[j].name, gmx_err_name(s));
    }
  }
  check_say("  %u kinds", nreports);
}

static uint32_t hogs_stop, hogs_run;

static void hog(void *arg) {
  (void)arg;
  bump(&hogs_run);
  while (!load(&hogs_stop)) {
    gmx_safepoint();
    sched_yield(); /* the thread, not the G */
  }
}

/* Once more where the function of the barrier runs on the thread of a busy P instead of for an idle one. */
static void the_barrier_over_busy_ps(void) {
  for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
    if (places[i].column != FEP) continue;
    for (size_t j = 0; j < sizeof rows / sizeof rows[0]; j++) {
      for (int turn = 0; turn < procs; turn++) {
        struct fixture f;
        struct probe p = {&rows[j], places[i].name, FEP, &f, turn, 0};
        if (rows[j].want[FEP] == n_a) continue;
        fixture_make(&f);
        store(&hogs_stop, 0);
        store(&hogs_run, 0);
        gmx_g first = go_joinable(hog, NULL), second = go_joinable(hog, NULL);
        spin_until(load(&hogs_run) == 2);
        places[i].start(places[i].enter, &p);
        store(&hogs_stop, 1);
        join(first);
        join(second);
        fixture_end(&f);
      }
    }
  }
}

int main(void) {
  null_fd = open("/dev/null", O_WRONLY);
  CHECK(null_fd >= 0);
  CHECK(unsetenv("XDG_RUNTIME_DIR") == 0); /* for debug_serve */
  gmx_config config;
  CHECK_OK(gmx_config_default(&config));
  config.report = hears;
  CHECK_OK(gmx_init(&config));
  do_once(NULL);
  RUN(every_call_in_every_place);
  RUN(every_wrong_call_is_reported);
  RUN(the_barrier_over_busy_ps);
  CHECK_EQ(wrong, 0);
  RUN(ends_clean);
  return 0;
}
