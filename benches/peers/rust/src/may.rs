//! may: coroutines with stacks, on several threads.

mod common;

use common::*;
use may::go;
use may::sync::{mpsc, Mutex, Semphore};
use std::sync::atomic::{AtomicI64, Ordering::*};
use std::sync::Arc;
use std::time::{Duration, Instant};

struct WaitGroup {
    left: AtomicI64,
    over: Semphore,
}

impl WaitGroup {
    fn new(n: i64) -> Arc<WaitGroup> {
        Arc::new(WaitGroup { left: AtomicI64::new(n), over: Semphore::new(0) })
    }
    fn done(&self) {
        if self.left.fetch_sub(1, AcqRel) == 1 {
            self.over.post();
        }
    }
    fn wait(&self) {
        self.over.wait();
    }
}

fn spawn(f: impl FnOnce() + Send + 'static) {
    drop(go!(f));
}

fn skynet(up: Arc<WaitGroup>, out: Arc<AtomicI64>, first: i64, size: i64) {
    if size == 1 {
        out.fetch_add(first, Relaxed);
    } else {
        let (children, sum) = (WaitGroup::new(10), Arc::new(AtomicI64::new(0)));
        for i in 0..10 {
            let (children, sum) = (children.clone(), sum.clone());
            spawn(move || skynet(children, sum, first + i * (size / 10), size / 10));
        }
        children.wait();
        out.fetch_add(sum.load(Relaxed), Relaxed);
    }
    up.done();
}

fn run(a: Args) {
    let (n, m) = (a.n, a.m);
    match a.case.as_str() {
        "yield" => {
            let all = WaitGroup::new(m);
            let begin = start();
            for _ in 0..m {
                let all = all.clone();
                spawn(move || {
                    for _ in 0..n / m {
                        may::coroutine::yield_now();
                    }
                    all.done();
                });
            }
            all.wait();
            begin.each(n / m * m);
        }
        "spawn_batches" => {
            let begin = start();
            for _ in 0..n / m {
                let batch = WaitGroup::new(m);
                for _ in 0..m {
                    let batch = batch.clone();
                    spawn(move || batch.done());
                }
                batch.wait();
            }
            begin.each(n / m * m);
        }
        "spawn_join" => {
            let begin = start();
            for _ in 0..n {
                go!(|| ()).join().unwrap();
            }
            begin.each(n);
        }
        "skynet" => {
            let (root, sum) = (WaitGroup::new(1), Arc::new(AtomicI64::new(0)));
            let begin = start();
            let (up, out) = (root.clone(), sum.clone());
            spawn(move || skynet(up, out, 0, n));
            root.wait();
            begin.whole();
            check(sum.load(Relaxed), n * (n - 1) / 2);
        }
        "chan_pingpong" => {
            // may's nearest channel has no bound.
            let (to, there) = mpsc::channel();
            let (back, from) = mpsc::channel();
            spawn(move || {
                while let Ok(v) = there.recv() {
                    back.send(v).unwrap();
                }
            });
            let begin = start();
            for i in 0..n {
                to.send(i).unwrap();
                check(from.recv().unwrap(), i);
            }
            begin.each(n);
        }
        "sema_pingpong" => {
            let (x, y) = (Arc::new(Semphore::new(0)), Arc::new(Semphore::new(0)));
            let (x2, y2) = (x.clone(), y.clone());
            spawn(move || {
                for _ in 0..n {
                    x2.wait();
                    y2.post();
                }
            });
            let begin = start();
            for _ in 0..n {
                x.post();
                y.wait();
            }
            begin.each(n);
        }
        "mutex_contended" => {
            let (all, mutex) = (WaitGroup::new(n), Arc::new(Mutex::new(0)));
            let begin = start();
            for _ in 0..n {
                let (all, mutex) = (all.clone(), mutex.clone());
                spawn(move || {
                    for _ in 0..m {
                        *mutex.lock().unwrap() += 1;
                    }
                    all.done();
                });
            }
            all.wait();
            begin.each(n * m);
            check(*mutex.lock().unwrap(), n * m);
        }
        "parked" => {
            let before = status_kb("VmRSS");
            let (started, gate) = (WaitGroup::new(n), Arc::new(Semphore::new(0)));
            let begin = start();
            for _ in 0..n {
                let (started, gate) = (started.clone(), gate.clone());
                spawn(move || {
                    started.done();
                    gate.wait();
                });
            }
            started.wait();
            begin.parked(n, before);
        }
        _ => {
            // sleep_storm
            let late: Arc<Vec<AtomicI64>> = Arc::new((0..n).map(|_| AtomicI64::new(0)).collect());
            let all = WaitGroup::new(n);
            let begin = start();
            for i in 0..n {
                let (all, late) = (all.clone(), late.clone());
                spawn(move || {
                    let (at, time) = (Instant::now(), Duration::from_millis(sleep_ms(i)));
                    may::coroutine::sleep(time);
                    late[i as usize].store(at.elapsed().as_nanos() as i64 - time.as_nanos() as i64, Relaxed);
                    all.done();
                });
            }
            all.wait();
            begin.late(&mut late.iter().map(|l| l.load(Relaxed)).collect::<Vec<_>>());
        }
    }
    finish();
}

fn main() {
    // Each of may's stacks takes two mappings, and a process has 65,530.
    const CASES: &[(&str, u64)] = &[
        ("yield", 0),
        ("spawn_batches", 30_000),
        ("spawn_join", 0),
        ("skynet", 10_000),
        ("chan_pingpong", 0),
        ("sema_pingpong", 0),
        ("mutex_contended", 0),
        ("parked", 30_000),
        ("sleep_storm", 30_000),
    ];
    let Some(a) = args(CASES) else { return };
    may::config().set_workers(a.workers);
    go!(move || run(a)).join().unwrap();
}
