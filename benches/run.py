#!/usr/bin/env python3
"""Runs the cases of gmxbench.c and of the peers in turn, and writes a table and JSON. benches/run.sh calls it.

In every round each case runs once for each peer, one after the other, so that the load of the machine meets all of them.
The table shows medians. A run during which other processes took CPU time is thrown away and repeated, a few times; if the
machine is never quiet, the median is marked with a ~.
"""
import argparse
import datetime
import html
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time

# title, case, Ps, arguments (N and M), arguments when quick, value
CASES = [
    ("yield, 2 Gs, 1 P", "yield", 1, "5000000 2", "1000000 2", "ns"),
    ("yield, 1000 Gs, 1 P", "yield", 1, "5000000 1000", "1000000 1000", "ns"),
    ("yield, 1000 Gs, 2 Ps", "yield", 2, "5000000 1000", "1000000 1000", "ns"),
    ("spawn + run + end, batches of 1000, 1 P", "spawn_batches", 1, "3000000 1000", "500000 1000", "ns"),
    ("spawn + run + end, batches of 1000, 2 Ps", "spawn_batches", 2, "3000000 1000", "500000 1000", "ns"),
    ("spawn {n:,} at once, 1 P", "spawn_batches", 1, "1000000 1000000", "200000 200000", "ns"),
    ("spawn {n:,} at once, 2 Ps", "spawn_batches", 2, "1000000 1000000", "200000 200000", "ns"),
    ("spawn + join, one at a time, 1 P", "spawn_join", 1, "2000000", "500000", "ns"),
    ("skynet, {n:,} leaves, parent first, 1 P", "skynet", 1, "1000000", "100000", "ms"),
    ("skynet, {n:,} leaves, parent first, 2 Ps", "skynet", 2, "1000000", "100000", "ms"),
    ("skynet, {n:,} leaves, child first, 1 P", "skynet_child_first", 1, "1000000", "100000", "ms"),
    ("skynet, {n:,} leaves, child first, 2 Ps", "skynet_child_first", 2, "1000000", "100000", "ms"),
    ("fib({n}), child first, 1 P", "fib_child_first", 1, "30", "25", "ms"),
    ("fib({n}), child first, 2 Ps", "fib_child_first", 2, "30", "25", "ms"),
    ("semaphore ping-pong, 1 P", "sema_pingpong", 1, "1000000", "300000", "ns"),
    ("semaphore ping-pong, 2 Ps", "sema_pingpong", 2, "1000000", "300000", "ns"),
    ("mutex, {n} Gs x {m}, 1 P", "mutex_contended", 1, "1000 1000", "1000 1000", "ns"),
    ("mutex, {n} Gs x {m}, 2 Ps", "mutex_contended", 2, "1000 1000", "1000 1000", "ns"),
    ("channel ping-pong, unbuffered, 1 P", "chan_pingpong", 1, "1000000", "300000", "ns"),
    ("channel ping-pong, unbuffered, 2 Ps", "chan_pingpong", 2, "1000000", "300000", "ns"),
    ("channel ping-pong, buffered, 1 P", "chan_pingpong_buffered", 1, "1000000", "300000", "ns"),
    ("channel ping-pong, buffered, 2 Ps", "chan_pingpong_buffered", 2, "1000000", "300000", "ns"),
    ("channel, producer + consumer, unbuffered, 1 P", "chan_prod_cons", 1, "3000000 1", "500000 1", "ns"),
    ("channel, producer + consumer, unbuffered, 2 Ps", "chan_prod_cons", 2, "3000000 1", "500000 1", "ns"),
    ("channel, producer + consumer, room for 10, 1 P", "chan_prod_cons", 1, "5000000 11", "1000000 11", "ns"),
    ("channel, producer + consumer, room for 10, 2 Ps", "chan_prod_cons", 2, "5000000 11", "1000000 11", "ns"),
    ("channel, producer + consumer, room for 100, 1 P", "chan_prod_cons", 1, "5000000 101", "1000000 101", "ns"),
    ("channel, producer + consumer, room for 100, 2 Ps", "chan_prod_cons", 2, "5000000 101", "1000000 101", "ns"),
    ("channel, {m} Gs to one, 1 P", "chan_fan_in", 1, "3000000 100", "500000 100", "ns"),
    ("channel, {m} Gs to one, 2 Ps", "chan_fan_in", 2, "3000000 100", "500000 100", "ns"),
    ("channel, send + receive, one G", "chan_uncontended", 1, "10000000 100", "2000000 100", "ns"),
    ("channel, try to receive in vain", "chan_try_recv", 1, "50000000", "10000000", "ns"),
    ("channel, select of 2, one ready, + send", "chan_select_uncontended", 1, "10000000", "2000000", "ns"),
    ("channel, select of 2 with default", "chan_select_default", 1, "10000000", "2000000", "ns"),
    ("channel, select producer + consumer, unbuffered, 1 P", "chan_select_prod_cons", 1, "2000000 1", "300000 1", "ns"),
    ("channel, select producer + consumer, unbuffered, 2 Ps", "chan_select_prod_cons", 2, "2000000 1", "300000 1", "ns"),
    ("channel, select producer + consumer, room for 100, 1 P", "chan_select_prod_cons", 1, "3000000 101", "500000 101", "ns"),
    ("channel, select producer + consumer, room for 100, 2 Ps", "chan_select_prod_cons", 2, "3000000 101", "500000 101", "ns"),
    ("mutex, uncontended", "mutex_uncontended", 1, "20000000", "5000000", "ns"),
    ("read lock, uncontended", "rlock_uncontended", 1, "20000000", "5000000", "ns"),
    ("rwmutex, {n} Gs x {m}, 1 of 100 writes, 2 Ps", "rwmutex_read_mostly", 2, "1000 1000", "1000 1000", "ns"),
    ("rwmutex, {n} Gs x {m}, 1 of 100 writes, 1 P", "rwmutex_read_mostly", 1, "1000 1000", "1000 1000", "ns"),
    ("cond, broadcast to {m}, 2 Ps", "cond_broadcast", 2, "100000 16", "30000 16", "ns"),
    ("cond ping-pong, 1 P", "cond_pingpong", 1, "1000000", "300000", "ns"),
    ("cond ping-pong, 2 Ps", "cond_pingpong", 2, "1000000", "300000", "ns"),
    ("once that is done", "once_fast", 1, "50000000", "10000000", "ns"),
    ("timer start + stop, 1 P", "timer_start_stop", 1, "3000000", "1000000", "ns"),
    ("timer start + stop beside {m:,}, 1 P", "timer_start_stop", 1, "3000000 100000", "1000000 100000", "ns"),
    ("timer reset, {m} timers, 1 P", "timer_reset", 1, "3000000 1000", "1000000 1000", "ns"),
    ("{n:,} timers fire within {m} ms, 2 Ps", "timers_fire", 2, "1000000 1000", "300000 300", "ms"),
    ("{n:,} timers started, then stopped, 2 Ps", "timers_stopped", 2, "1000000", "300000", "ns"),
    ("ticker, every {m} us, 2 Ps", "ticker", 2, "30000 50", "10000 50", "ns"),
    ("sleep {m} us, 2 Ps", "sleep_short", 2, "5000 100", "2000 100", "ns"),
    ("enter + exit syscall", "syscall_bracket", 1, "10000000", "2000000", "ns"),
    ("enter + getppid + exit syscall", "syscall_getppid", 1, "3000000", "1000000", "ns"),
    ("{n} Gs x {m} blocking calls of 10 ms, 2 Ps", "syscall_blocking", 2, "64 10", "64 10", "ms"),
    ("P of a blocking call runs another G, 1 P", "handoff_retaken", 1, "500", "100", "ns"),
    ("P handed on before a blocking call, 1 P", "handoff_at_once", 1, "3000", "1000", "ns"),
    ("callback on a known foreign thread, 2 Ps", "callback_known_thread", 2, "5000000", "500000", "ns"),
    ("first callback on a foreign thread, 2 Ps", "callback_first", 2, "2000", "300", "ns"),
    ("attach + detach thread, 2 Ps", "attach_detach", 2, "1000000", "100000", "ns"),
    ("ping-pong with a locked thread, 1 P", "locked_thread_pingpong", 1, "30000", "10000", "ns"),
    ("ping-pong with a locked thread, 2 Ps", "locked_thread_pingpong", 2, "30000", "10000", "ns"),
    ("{n:,} Gs sleep 1 to 1000 ms, 1 P", "sleep_storm", 1, "100000", "20000", "ms"),
    ("{n:,} Gs sleep 1 to 1000 ms, 2 Ps", "sleep_storm", 2, "1000000", "100000", "ms"),
    ("{n:,} Gs park, 1 P", "parked", 1, "1000000", "100000", "ns"),
    ("stacks of {m:,} parked Gs as text, 1 P", "dump_goroutines", 1, "5 100000", "3 10000", "ns"),
    ("stacks of {m:,} parked Gs as JSON, 1 P", "dump_goroutines_json", 1, "5 100000", "3 10000", "ns"),
    ("stacks of {m:,} parked Gs in groups, 1 P", "dump_goroutines_groups", 1, "5 100000", "3 10000", "ns"),
    ("stop + start the world, 2 Ps", "stop_start_world", 2, "30000", "10000", "ns"),
    ("stop + start the world, 1024 idle Ps", "stop_start_world", 1024, "2000", "500", "ns"),
    ("stop + start the world, 1 other P busy", "stop_start_busy_world", 2, "10000", "3000", "ns"),
    ("for each P, 2 Ps", "for_each_p", 2, "100000", "10000", "ns"),
    ("for each P, 1024 idle Ps", "for_each_p", 1024, "5000", "1000", "ns"),
    ("for each P, 1 other P busy", "for_each_busy_p", 2, "10000", "3000", "ns"),
    ("gomaxprocs 1 <-> 2", "gomaxprocs", 1, "30000 2", "10000 2", "ns"),
    ("gomaxprocs 2 <-> 1024", "gomaxprocs", 2, "500 1024", "100 1024", "ns"),
    ("read memory statistics, 2 Ps", "read_mem_stats", 2, "10000", "3000", "ns"),
    ("CPU when idle, 2 Ps", "idle_cpu", 2, "2000", "500", "us_per_s"),
    ("pin + unpin", "pin_unpin", 1, "20000000", "5000000", "ns"),
    # as Go's own benchmarks of runtime, sync and time (as_go.c)
    ("select, 4 that do not wait, 1 P", "select_nonblock", 1, "5000000", "1000000", "ns"),
    ("select, 4 that do not wait, 2 Ps", "select_nonblock", 2, "5000000", "1000000", "ns"),
    ("select of 3 and of 4, unbuffered, 1 P", "select_sync_contended", 1, "1000000", "200000", "ns"),
    ("select of 3 and of 4, unbuffered, 2 Ps", "select_sync_contended", 2, "1000000", "200000", "ns"),
    ("select of 2 + send, contended, 1 P", "select_async_contended", 1, "2000000", "300000", "ns"),
    ("select of 2 + send, contended, 2 Ps", "select_async_contended", 2, "2000000", "300000", "ns"),
    ("select of 3, producers + consumers with work, 1 P", "select_prod_cons", 1, "1000000", "200000", "ns"),
    ("select of 3, producers + consumers with work, 2 Ps", "select_prod_cons", 2, "1000000", "200000", "ns"),
    ("channel, 100 in, 100 out, contended, 1 P", "chan_contended", 1, "5000000", "1000000", "ns"),
    ("channel, 100 in, 100 out, contended, 2 Ps", "chan_contended", 2, "5000000", "1000000", "ns"),
    ("channel, two Gs in turn, 1 P", "chan_sync", 1, "1000000", "200000", "ns"),
    ("channel, two Gs in turn, 2 Ps", "chan_sync", 2, "1000000", "200000", "ns"),
    ("channel, two Gs in turn, work of {m}, 1 P", "chan_sync", 1, "100000 1001", "30000 1001", "ns"),
    ("channel, two Gs in turn, work of {m}, 2 Ps", "chan_sync", 2, "100000 1001", "30000 1001", "ns"),
    ("channel, producers + consumers with work, unbuffered, 1 P", "chan_prod_cons_work", 1, "1000000 1", "200000 1", "ns"),
    ("channel, producers + consumers with work, unbuffered, 2 Ps", "chan_prod_cons_work", 2, "1000000 1", "200000 1", "ns"),
    ("channel, producers + consumers with work, room for 10, 1 P", "chan_prod_cons_work", 1, "1000000 11", "200000 11", "ns"),
    ("channel, producers + consumers with work, room for 10, 2 Ps", "chan_prod_cons_work", 2, "1000000 11", "200000 11", "ns"),
    ("channel, producers + consumers with work, room for 100, 1 P", "chan_prod_cons_work", 1, "1000000 101", "200000 101", "ns"),
    ("channel, producers + consumers with work, room for 100, 2 Ps", "chan_prod_cons_work", 2, "1000000 101", "200000 101", "ns"),
    ("channel, receive what a closed one has left, 1 P", "chan_recv_closed", 1, "5000000", "1000000", "ns"),
    ("channel, receive what a closed one has left, 2 Ps", "chan_recv_closed", 2, "5000000", "1000000", "ns"),
    ("channel, look at a closed one, 1 P", "chan_closed", 1, "20000000", "3000000", "ns"),
    ("channel, look at a closed one, 2 Ps", "chan_closed", 2, "20000000", "3000000", "ns"),
    ("channel, make + send + receive, 1 P", "chan_creation", 1, "3000000", "500000", "ns"),
    ("channel, make + send + receive, 2 Ps", "chan_creation", 2, "3000000", "500000", "ns"),
    ("channel as a semaphore, 1 P", "chan_sem", 1, "5000000", "1000000", "ns"),
    ("channel as a semaphore, 2 Ps", "chan_sem", 2, "5000000", "1000000", "ns"),
    ("channel, 1000 Gs that select it and another, 1 P", "chan_popular", 1, "1000", "200", "ns"),
    ("channel, 1000 Gs that select it and another, 2 Ps", "chan_popular", 2, "1000", "200", "ns"),
    ("mutex, a G on every P, 1 P", "mutex_parallel", 1, "5000000", "1000000", "ns"),
    ("mutex, a G on every P, 2 Ps", "mutex_parallel", 2, "5000000", "1000000", "ns"),
    ("mutex, ten Gs for each P, 1 P", "mutex_slack", 1, "5000000", "1000000", "ns"),
    ("mutex, ten Gs for each P, 2 Ps", "mutex_slack", 2, "5000000", "1000000", "ns"),
    ("mutex, work between, 1 P", "mutex_work", 1, "1000000", "300000", "ns"),
    ("mutex, work between, 2 Ps", "mutex_work", 2, "1000000", "300000", "ns"),
    ("mutex, work between, ten Gs for each P, 1 P", "mutex_work_slack", 1, "1000000", "300000", "ns"),
    ("mutex, work between, ten Gs for each P, 2 Ps", "mutex_work_slack", 2, "1000000", "300000", "ns"),
    ("mutex, seldom, among much else, 1 P", "mutex_no_spin", 1, "200000", "30000", "ns"),
    ("mutex, seldom, among much else, 2 Ps", "mutex_no_spin", 2, "200000", "30000", "ns"),
    ("mutex, seldom, a G on every P, 1 P", "mutex_spin", 1, "20000", "5000", "ns"),
    ("mutex, seldom, a G on every P, 2 Ps", "mutex_spin", 2, "20000", "5000", "ns"),
    ("rwmutex, uncontended, two readers and a writer, 1 P", "rwmutex_uncontended", 1, "3000000", "500000", "ns"),
    ("rwmutex, uncontended, two readers and a writer, 2 Ps", "rwmutex_uncontended", 2, "3000000", "500000", "ns"),
    ("rwmutex, a G on every P, 1 of {m} writes, 1 P", "rwmutex_write", 1, "5000000 100", "1000000 100", "ns"),
    ("rwmutex, a G on every P, 1 of {m} writes, 2 Ps", "rwmutex_write", 2, "5000000 100", "1000000 100", "ns"),
    ("rwmutex, a G on every P, 1 of {m} writes, 1 P", "rwmutex_write", 1, "5000000 10", "1000000 10", "ns"),
    ("rwmutex, a G on every P, 1 of {m} writes, 2 Ps", "rwmutex_write", 2, "5000000 10", "1000000 10", "ns"),
    ("rwmutex, readers work, 1 of {m} writes, 1 P", "rwmutex_work_write", 1, "1000000 100", "200000 100", "ns"),
    ("rwmutex, readers work, 1 of {m} writes, 2 Ps", "rwmutex_work_write", 2, "1000000 100", "200000 100", "ns"),
    ("rwmutex, readers work, 1 of {m} writes, 1 P", "rwmutex_work_write", 1, "1000000 10", "200000 10", "ns"),
    ("rwmutex, readers work, 1 of {m} writes, 2 Ps", "rwmutex_work_write", 2, "1000000 10", "200000 10", "ns"),
    ("semaphore, uncontended, 1 P", "sema_hammer", 1, "5000000 1", "1000000 1", "ns"),
    ("semaphore, uncontended, 2 Ps", "sema_hammer", 2, "5000000 1", "1000000 1", "ns"),
    ("semaphore, {m} Gs, 1 P", "sema_hammer", 1, "5000000 2", "500000 2", "ns"),
    ("semaphore, {m} Gs, 2 Ps", "sema_hammer", 2, "5000000 2", "500000 2", "ns"),
    ("semaphore, {n} Gs wait at {m}, 1 P", "sema_collision", 1, "4000 1", "2000 1", "ns"),
    ("semaphore, {n} Gs wait at {m}, 2 Ps", "sema_collision", 2, "4000 1", "2000 1", "ns"),
    ("semaphore, {n} Gs wait at {m} that collide, 1 P", "sema_collision", 1, "4000 2", "2000 2", "ns"),
    ("semaphore, {n} Gs wait at {m} that collide, 2 Ps", "sema_collision", 2, "4000 2", "2000 2", "ns"),
    ("semaphore, {n} Gs wait at {m} that collide, 1 P", "sema_collision", 1, "4000 4000", "2000 2000", "ns"),
    ("semaphore, {n} Gs wait at {m} that collide, 2 Ps", "sema_collision", 2, "4000 4000", "2000 2000", "ns"),
    ("cond, rounds of {m}, 1 P", "cond_rounds", 1, "300000 1", "100000 1", "ns"),
    ("cond, rounds of {m}, 2 Ps", "cond_rounds", 2, "300000 1", "100000 1", "ns"),
    ("cond, rounds of {m}, 1 P", "cond_rounds", 1, "50000 8", "10000 8", "ns"),
    ("cond, rounds of {m}, 2 Ps", "cond_rounds", 2, "50000 8", "10000 8", "ns"),
    ("cond, rounds of {m}, 1 P", "cond_rounds", 1, "20000 32", "3000 32", "ns"),
    ("cond, rounds of {m}, 2 Ps", "cond_rounds", 2, "20000 32", "3000 32", "ns"),
    ("wait group, add + done + wait, 1 P", "waitgroup_uncontended", 1, "5000000", "1000000", "ns"),
    ("wait group, add + done + wait, 2 Ps", "waitgroup_uncontended", 2, "5000000", "1000000", "ns"),
    ("wait group, add + done, a G on every P, 1 P", "waitgroup_add_done", 1, "5000000", "1000000", "ns"),
    ("wait group, add + done, a G on every P, 2 Ps", "waitgroup_add_done", 2, "5000000", "1000000", "ns"),
    ("wait group, wait for nothing, 1 P", "waitgroup_wait", 1, "20000000", "3000000", "ns"),
    ("wait group, wait for nothing, 2 Ps", "waitgroup_wait", 2, "20000000", "3000000", "ns"),
    ("wait group, wait for a fresh G, 1 P", "waitgroup_actually_wait", 1, "1000000", "200000", "ns"),
    ("wait group, wait for a fresh G, 2 Ps", "waitgroup_actually_wait", 2, "1000000", "200000", "ns"),
    ("functions after no time, one after the other, 1 P", "after_func_chain", 1, "500000", "100000", "ns"),
    ("functions after no time, one after the other, 2 Ps", "after_func_chain", 2, "500000", "100000", "ns"),
    ("functions after no time, 1000 at once, 1 P", "after_func_at_once", 1, "1000000", "200000", "ns"),
    ("functions after no time, 1000 at once, 2 Ps", "after_func_at_once", 2, "1000000", "200000", "ns"),
    ("time out of a channel after 1 ns, 1 P", "timer_after", 1, "200000", "20000", "ns"),
    ("time out of a channel after 1 ns, 2 Ps", "timer_after", 2, "200000", "20000", "ns"),
    ("timer with a channel, start + stop, 1 P", "timer_stop_chan", 1, "1000000", "300000", "ns"),
    ("timer with a channel, start + stop, 2 Ps", "timer_stop_chan", 2, "1000000", "300000", "ns"),
    ("timer with a channel, reset, 1 P", "timer_reset_chan", 1, "5000000", "1000000", "ns"),
    ("timer with a channel, reset, 2 Ps", "timer_reset_chan", 2, "5000000", "1000000", "ns"),
    ("timers, start 1000, stop 1000, 1 P", "timer_start_stop_1000", 1, "3000000", "300000", "ns"),
    ("timers, start 1000, stop 1000, 2 Ps", "timer_start_stop_1000", 2, "3000000", "300000", "ns"),
    ("timers, start 1000, stop 1000, beside {m:,}, 1 P", "timer_start_stop_1000", 1, "3000000 10000", "300000 10000", "ns"),
    ("timers, start 1000, stop 1000, beside {m:,}, 2 Ps", "timer_start_stop_1000", 2, "3000000 10000", "300000 10000", "ns"),
    ("ticker, start + reset + stop, 1 P", "ticker_start_stop", 1, "1000000", "200000", "ns"),
    ("ticker, start + reset + stop, 2 Ps", "ticker_start_stop", 2, "1000000", "200000", "ns"),
    ("sleep 1 ns, 1000 Gs, 1 P", "sleep_1000", 1, "1000000", "200000", "ns"),
    ("sleep 1 ns, 1000 Gs, 2 Ps", "sleep_1000", 2, "1000000", "200000", "ns"),
    # descriptors, files, processes and names (io.c)
    ("pipe, there and back, 1 P", "pipe_pingpong", 1, "200000", "30000", "ns"),
    ("Unix socket, there and back, 1 P", "unix_pingpong", 1, "200000", "30000", "ns"),
    ("Unix socket, there and back, 2 Ps", "unix_pingpong", 2, "200000", "30000", "ns"),
    ("Unix socket, there and back with timeouts, 1 P", "unix_pingpong_timeout", 1, "200000", "30000", "ns"),
    ("deadline of a descriptor, set", "set_deadline", 1, "5000000", "1000000", "ns"),
    ("connect + echo + close, {m} at a time, 1 P", "connect_echo_close", 1, "50000 16", "5000 16", "ns"),
    ("connect + echo + close, {m} at a time, 2 Ps", "connect_echo_close", 2, "50000 16", "5000 16", "ns"),
    ("datagram of UDP, there and back, 1 P", "udp_pingpong", 1, "200000", "30000", "ns"),
    ("pread of 4 KiB, cached, 1 P", "pread_cached", 1, "1000000", "200000", "ns"),
    ("1 MiB from a file to a socket, 2 Ps", "file_to_socket", 2, "3000", "500", "ns"),
    ("process, start + wait, {m} Gs, 2 Ps", "spawn_true", 2, "2000 32", "320 32", "ns"),
    ("look up localhost, {m} Gs, 2 Ps", "look_up_localhost", 2, "10000 100", "2000 100", "ns"),
    # parts of the library by themselves (peers/parts)
    ("run queue, push + take the oldest", "queue_oldest", 1, "30000000", "3000000", "ns"),
    ("run queue, push + take the newest", "queue_newest", 1, "30000000", "3000000", "ns"),
    ("run queue, push + steal one by one", "queue_steal", 1, "30000000", "3000000", "ns"),
    ("run queue, push + steal halves", "queue_steal_half", 1, "30000000", "3000000", "ns"),
    ("run queue, beside a thief of halves, 2 threads", "queue_thief", 2, "30000000", "3000000", "ns"),
    ("lock of the library, uncontended", "lock_uncontended", 1, "30000000", "3000000", "ns"),
    ("lock of the library, contended, 2 threads", "lock_contended", 2, "30000000", "3000000", "ns"),
]
# the cases of the program peers/parts/src/own.rs
PARTS = {"queue_oldest", "queue_newest", "queue_steal", "queue_steal_half", "queue_thief", "lock_uncontended", "lock_contended"}
# the case that a peer runs instead, if it has only one order
SAME_AS = {"skynet_child_first": "skynet", "fib_child_first": "fib"}
GO_WITHOUT = {"spawn_join", "handoff_at_once", "attach_detach"}
GO_CALLBACK = {"callback_known_thread", "callback_first"}
# the name of each peer in the table, by its program
PEERS = {"boost": "Boost.Fiber", "tbb": "oneTBB", "pthreads": "pthreads", "tokio": "tokio", "may": "may",
         "bare_calls": "bare calls", "crossbeam": "crossbeam-deque"}
EXTRA = ("cpu_ns", "cpu_ms", "rss_mb", "rss_b", "threads", "p50_us", "p99_us", "p99_ns", "thread_ns")  # shown beside the value
CPU_OF = {"ns": "cpu_ns", "ms": "cpu_ms"}  # the CPU time that belongs to a value
HZ, CPUS = os.sysconf("SC_CLK_TCK"), os.cpu_count()


def busy_seconds():
    """CPU time that all processes have taken"""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq, steal = map(int, f.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / HZ


def run(command, env, limit):
    """({key: value}, None) or (None, why not); the values have `_others`, the share of the machine others took"""
    before, begin = busy_seconds(), time.monotonic()
    with tempfile.TemporaryFile("w+") as out:
        child = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT)
        end = begin + limit
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                child.kill()
                os.wait4(child.pid, 0)
                return None, f"still running after {limit} s"
            time.sleep(0.002)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - begin
        out.seek(0)
        text = out.read().strip()
    values = {key: float(value) for key, value in re.findall(r"(\w+)=(-?[\d.]+)", text)}
    if child.returncode or not values:
        return None, f"exit status {child.returncode}: {text[-200:]}"
    others = busy_seconds() - before - usage.ru_utime - usage.ru_stime
    # two ticks of the clock are too little to measure
    values["_others"] = max(0.0, others - 2 / HZ) / wall / CPUS
    return values, None


class Gomax:
    def __init__(self, name, program, lib, parts=None):
        self.name, self.program, self.env, self.parts = name, program, {**os.environ, "LD_LIBRARY_PATH": lib}, parts

    def command(self, case, ps, arguments, value):
        program = self.parts if case in PARTS else self.program
        return [program, case, str(ps), *arguments.split()] if program else None


class Go:
    name, env = "go", None

    def __init__(self, directory):
        self.programs = {p: os.path.join(directory, p) for p in ("gobench", "gocallback")}

    def command(self, case, ps, arguments, value):
        program = self.programs["gocallback" if case in GO_CALLBACK else "gobench"]
        if case in GO_WITHOUT or case in PARTS or not os.path.exists(program):
            return None
        return [program, SAME_AS.get(case, case), str(ps), *arguments.split()]


class Other:
    """A peer's program. Its --list prints its cases, and the largest N of each (0: any)."""

    env = None

    def __init__(self, program):
        self.program, self.name = program, PEERS.get(os.path.basename(program), os.path.basename(program))
        lines = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.splitlines()
        self.cases = {name: int(most) for name, most in map(str.split, lines)}

    def command(self, case, ps, arguments, value):
        if case not in self.cases:
            case = SAME_AS.get(case)
        if case not in self.cases:
            return None
        n, *m = arguments.split()
        most = self.cases[case] or int(n)
        if int(n) > most:
            # A smaller N still gives the time of one operation, but not the time of the whole.
            if value != "ns":
                return None
            m = [str(min(int(x), most)) for x in m]
        return [self.program, case, str(ps), str(min(int(n), most)), *m]


def measure(peers, cases, args):
    """{title: {peer: {"runs": [values], "failed": [why]}}}"""
    results = {title: {} for title, *_ in cases}
    slow = set()
    for number in range(args.rounds):
        for title, case, ps, arguments, value in cases:
            if title in slow and number >= (1 if args.quick else 3):
                continue
            # every other round in reverse order
            for peer in peers if number % 2 == 0 else reversed(peers):
                command = peer.command(case, ps, arguments, value)
                if not command:
                    continue
                result = results[title].setdefault(peer.name, {"runs": [], "failed": []})
                if len(result["failed"]) > 1:
                    continue
                begin = time.monotonic()
                for _ in range(1 if args.quick else 3):
                    values, failed = run(command, peer.env, args.limit)
                    if failed or values["_others"] < 0.05:
                        break
                if failed:
                    result["failed"].append(failed)
                    print(f"  {peer.name}: {' '.join(command[1:])}: {failed}", file=sys.stderr)
                else:
                    result["runs"].append(values)
                if time.monotonic() - begin > (0.7 if args.quick else 3):
                    slow.add(title)
            if sys.stderr.isatty():
                print(f"\r\033[Kround {number + 1} of {args.rounds}: {title}", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    return results


def summary(result, value):
    """medians, of the quiet runs if there are three"""
    if not result["runs"]:
        return {"failed": result["failed"]}
    quiet = [r for r in result["runs"] if r["_others"] < 0.05]
    taken = quiet if len(quiet) >= min(3, len(result["runs"])) else result["runs"]
    values = {key: statistics.median(r[key] for r in taken) for key in taken[0] if not key.startswith("_")}
    values |= {"min": min(r[value] for r in taken), "max": max(r[value] for r in taken), "rounds": len(taken)}
    values["noisy"] = taken is not quiet and len(quiet) < len(taken)
    if result["failed"]:
        values["failed"] = result["failed"]
    return values


def shown(values, key):
    if values is None:
        return "-"
    if key not in values:
        return "failed"
    v, unit = values[key], {"ns": "ns", "ms": "ms", "us_per_s": "us/s"}[key]
    if key == "ns" and v >= 10000:
        v, unit = (v / 1e3, "us") if v < 1e7 else (v / 1e6, "ms")
    digits = 0 if v >= 100 else 1 if v >= 10 else 2
    return f"{'~' if values['noisy'] else ''}{v:.{digits}f} {unit}"


def extras(values):
    if not values:
        return ""
    return " ".join(f"{key}={values[key]:.{0 if values[key] >= 100 else 1}f}" for key in EXTRA if values.get(key))


def show(table, others):
    """prints it; how many cases of ours failed"""
    others = [name for name in others if any(name in row["peers"] for row in table.values())]
    with_cpu = [name for name in others if name in ("base", "go")]
    width = max(map(len, table))
    heads = [f" {name:>{max(11, len(name))}} {'ratio':>6}" + (f" {'CPU':>6}" if name in with_cpu else "") for name in others]
    head = f"{'':{width}} {'gomax':>10}" + "".join(heads)
    print(head + "   also (gomax; go)\n" + "-" * (len(head) + 20))
    for title, row in table.items():
        by_peer, value = row["peers"], row["value"]
        line = f"{title:{width}} {shown(by_peer['gomax'], value):>10}"
        for name in others:
            theirs = by_peer.get(name)
            line += f" {shown(theirs, value):>{max(11, len(name))}}"
            for key in ("ratio", "cpu_ratio") if name in with_cpu else ("ratio",):
                ratio = (theirs or {}).get(key)
                line += f" {'' if ratio is None else f'{ratio:.2f}x':>6}"
        also = [e for e in (extras(by_peer["gomax"]), extras(by_peer.get("go"))) if e]
        print((line + "   " + "; ".join(also)).rstrip())
    print("\nratio: how many times as long the other takes; CPU: how many times as much CPU time. Medians.")
    print("~: the machine was never quiet: the CPU time says more then. -: it has no such thing, or cannot do so many.")
    return sum("failed" in row["peers"]["gomax"] for row in table.values())


# one colour for each that may be there
COLOURS = {
    "gomax": "#d62728", "go": "#00829b", "Boost.Fiber": "#9467bd", "tokio": "#8c564b", "may": "#e377c2", "oneTBB": "#7f7f7f",
    "pthreads": "#bcbd22", "bare calls": "#2ca02c", "crossbeam-deque": "#17becf", "parking_lot": "#ff7f0e", "base": "#1f77b4",
}


def chart(table, about):
    """SVG: a line for each case, and on it a dot for each peer, by how many times as long as gomax it takes"""
    rows = [(title, row) for title, row in table.items() if any("ratio" in p for n, p in row["peers"].items() if n != "gomax")]
    names = [n for n in COLOURS if any(n in row["peers"] for _, row in rows)]
    ratios = [p["ratio"] for _, row in rows for p in row["peers"].values() if "ratio" in p]
    low, high = min(0.5, *ratios), max(ratios)
    left, right, top, step = 350, 830, 64, 18
    height = top + step * len(rows) + 34

    def x(ratio):
        return left + (right - left) * math.log(ratio / low) / math.log(high / low)

    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{right + 30}" height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{right + 30}" height="{height}" fill="#fff"/>',
        '<text x="8" y="18" font-size="13">How many times as long as gomax each takes (to the right: slower)</text>',
    ]
    at = 8
    for name in names:
        out.append(f'<circle cx="{at + 5}" cy="36" r="4.5" fill="{COLOURS[name]}"/><text x="{at + 14}" y="40">{name}</text>')
        at += 30 + 7 * len(name)
    for tick in (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512):
        if low <= tick <= high:
            dark = "#888" if tick == 1 else "#ddd"
            out.append(f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{top - 8}" y2="{height - 30}" stroke="{dark}"/>')
            out.append(f'<text x="{x(tick):.1f}" y="{height - 16}" text-anchor="middle">{tick:g}x</text>')
    for i, (title, row) in enumerate(rows):
        y = top + step * i + 4
        mine = shown(row["peers"]["gomax"], row["value"])
        out.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{html.escape(title)} ({mine})</text>')
        for name in reversed(names):
            ratio = row["peers"].get(name, {}).get("ratio")
            if ratio:
                out.append(f'<circle cx="{x(ratio):.1f}" cy="{y}" r="4.5" fill="{COLOURS[name]}" fill-opacity="0.85"/>')
    machine = f'{about["cpu"]}, {about["cpus"]} CPUs, Linux {about["kernel"].split("-")[0]}, {about["date"][:10]}; medians of {about["rounds"]} rounds'
    out.append(f'<text x="8" y="{height - 3}" fill="#666">{machine}</text></svg>')
    return "\n".join(out) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gmxbench", required=True, help="the program")
    parser.add_argument("--lib", required=True, help="directory of libgomax.so.0")
    parser.add_argument("--base", help="directory of another libgomax.so.0, to compare with")
    parser.add_argument("--own", help="program with the library's parts by themselves")
    parser.add_argument("--go", help="directory of gobench and gocallback")
    parser.add_argument("--go-version", default="")
    parser.add_argument("--peer", action="append", default=[], help="program of another peer")
    parser.add_argument("--json", required=True)
    parser.add_argument("--svg", help="chart to write")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="small sizes and three rounds")
    parser.add_argument("--only", help="regular expression on titles and names of cases")
    parser.add_argument("--limit", type=float, default=120, help="seconds for one run")
    args = parser.parse_args()
    args.rounds = args.rounds or (3 if args.quick else 7)

    peers = [Gomax("gomax", args.gmxbench, args.lib, args.own)]
    if args.base:
        peers.append(Gomax("base", args.gmxbench, args.base))
    if args.go:
        peers.append(Go(args.go))
    peers += [Other(program) for program in args.peer]
    cases = []
    for title, case, ps, arguments, quick, value in CASES:
        if case in PARTS and not args.own:
            continue
        arguments = quick if args.quick else arguments
        n, m = map(int, (arguments + " 1").split()[:2])
        title = title.format(n=n, m=m)
        if not args.only or re.search(args.only, title) or re.search(args.only, case):
            cases.append((title, case, ps, arguments, value))

    results = measure(peers, cases, args)
    table = {}
    for title, case, ps, arguments, value in cases:
        by_peer = {name: summary(result, value) for name, result in results[title].items()}
        mine = by_peer["gomax"]
        for theirs in by_peer.values():
            for name, key in ("ratio", value), ("cpu_ratio", CPU_OF.get(value)):
                if theirs.get(key) and mine.get(key):
                    theirs[name] = theirs[key] / mine[key]
        table[title] = {"case": case, "procs": ps, "arguments": arguments, "value": value, "peers": by_peer}
    failures = show(table, [p.name for p in peers[1:]])

    cpu = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    about = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), "quick": args.quick,
        "rounds": args.rounds, "cpus": CPUS, "cpu": cpu.group(1) if cpu else platform.machine(), "kernel": platform.release(),
        "go": args.go_version, "load": os.getloadavg(),
    }
    with open(args.json, "w") as f:
        json.dump({"about": about, "cases": table}, f, indent=1)
    if args.svg:
        with open(args.svg, "w") as f:
            f.write(chart(table, about))
    print(f"written: {args.json}" + (f", {args.svg}" if args.svg else ""))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
