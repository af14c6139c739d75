//! tokio: tasks without stacks, so what a G does with a call is an await here.

mod common;

use common::*;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering::*};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, Mutex, Notify, Semaphore};

struct WaitGroup {
    left: AtomicI64,
    over: Notify,
}

impl WaitGroup {
    fn new(n: i64) -> Arc<WaitGroup> {
        Arc::new(WaitGroup { left: AtomicI64::new(n), over: Notify::new() })
    }
    fn done(&self) {
        if self.left.fetch_sub(1, AcqRel) == 1 {
            self.over.notify_one();
        }
    }
    async fn wait(&self) {
        self.over.notified().await
    }
}

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

fn skynet(up: Arc<WaitGroup>, out: Arc<AtomicI64>, first: i64, size: i64) -> Task<()> {
    Box::pin(async move {
        if size == 1 {
            out.fetch_add(first, Relaxed);
        } else {
            let (children, sum) = (WaitGroup::new(10), Arc::new(AtomicI64::new(0)));
            for i in 0..10 {
                tokio::spawn(skynet(children.clone(), sum.clone(), first + i * (size / 10), size / 10));
            }
            children.wait().await;
            out.fetch_add(sum.load(Relaxed), Relaxed);
        }
        up.done();
    })
}

fn fib(k: i64) -> Task<i64> {
    Box::pin(async move {
        if k < 2 {
            return k;
        }
        let left = tokio::spawn(fib(k - 1));
        let right = fib(k - 2).await;
        left.await.unwrap() + right
    })
}

async fn pingpong(n: i64) {
    // tokio's smallest channel has room for one.
    let (to, mut there) = mpsc::channel(1);
    let (back, mut from) = mpsc::channel(1);
    let partner = tokio::spawn(async move {
        while let Some(v) = there.recv().await {
            back.send(v).await.unwrap();
        }
    });
    let begin = start();
    for i in 0..n {
        to.send(i).await.unwrap();
        check(from.recv().await.unwrap(), i);
    }
    begin.each(n);
    drop(to);
    partner.await.unwrap();
}

async fn sema_pingpong(n: i64) {
    let (a, b) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (a2, b2) = (a.clone(), b.clone());
    tokio::spawn(async move {
        for _ in 0..n {
            a2.acquire().await.unwrap().forget();
            b2.add_permits(1);
        }
    });
    let begin = start();
    for _ in 0..n {
        a.add_permits(1);
        b.acquire().await.unwrap().forget();
    }
    begin.each(n);
}

async fn run(a: Args) {
    let (n, m) = (a.n, a.m);
    match a.case.as_str() {
        "yield" => {
            let all = WaitGroup::new(m);
            let begin = start();
            for _ in 0..m {
                let all = all.clone();
                tokio::spawn(async move {
                    for _ in 0..n / m {
                        tokio::task::yield_now().await;
                    }
                    all.done();
                });
            }
            all.wait().await;
            begin.each(n / m * m);
        }
        "spawn_batches" => {
            let begin = start();
            for _ in 0..n / m {
                let batch = WaitGroup::new(m);
                for _ in 0..m {
                    let batch = batch.clone();
                    tokio::spawn(async move { batch.done() });
                }
                batch.wait().await;
            }
            begin.each(n / m * m);
        }
        "spawn_join" => {
            let begin = start();
            for _ in 0..n {
                tokio::spawn(async {}).await.unwrap();
            }
            begin.each(n);
        }
        "skynet" => {
            let (root, sum) = (WaitGroup::new(1), Arc::new(AtomicI64::new(0)));
            let begin = start();
            tokio::spawn(skynet(root.clone(), sum.clone(), 0, n));
            root.wait().await;
            begin.whole();
            check(sum.load(Relaxed), n * (n - 1) / 2);
        }
        "fib" => {
            let begin = start();
            let result = fib(n).await;
            begin.whole();
            check(result, (0..n).fold((0, 1), |(a, b), _| (b, a + b)).0);
        }
        "chan_pingpong" => pingpong(n).await,
        "sema_pingpong" => sema_pingpong(n).await,
        "mutex_contended" => {
            let (all, mutex) = (WaitGroup::new(n), Arc::new(Mutex::new(0)));
            let begin = start();
            for _ in 0..n {
                let (all, mutex) = (all.clone(), mutex.clone());
                tokio::spawn(async move {
                    for _ in 0..m {
                        *mutex.lock().await += 1;
                    }
                    all.done();
                });
            }
            all.wait().await;
            begin.each(n * m);
            check(*mutex.lock().await, n * m);
        }
        "parked" => {
            let before = status_kb("VmRSS");
            let (started, gate) = (WaitGroup::new(n), Arc::new(Notify::new()));
            let begin = start();
            for _ in 0..n {
                let (started, gate) = (started.clone(), gate.clone());
                tokio::spawn(async move {
                    started.done();
                    gate.notified().await;
                });
            }
            started.wait().await;
            begin.parked(n, before);
        }
        "sleep_storm" => {
            let late: Arc<Vec<AtomicI64>> = Arc::new((0..n).map(|_| AtomicI64::new(0)).collect());
            let all = WaitGroup::new(n);
            let begin = start();
            for i in 0..n {
                let (all, late) = (all.clone(), late.clone());
                tokio::spawn(async move {
                    let (at, time) = (Instant::now(), Duration::from_millis(sleep_ms(i)));
                    tokio::time::sleep(time).await;
                    late[i as usize].store(at.elapsed().as_nanos() as i64 - time.as_nanos() as i64, Relaxed);
                    all.done();
                });
            }
            all.wait().await;
            begin.late(&mut late.iter().map(|l| l.load(Relaxed)).collect::<Vec<_>>());
        }
        _ => {
            // syscall_blocking: in tokio's pool of blocking threads.
            let all = WaitGroup::new(n);
            let begin = start();
            for _ in 0..n {
                let all = all.clone();
                tokio::spawn(async move {
                    for _ in 0..m {
                        tokio::task::spawn_blocking(|| std::thread::sleep(Duration::from_millis(10))).await.unwrap();
                    }
                    all.done();
                });
            }
            all.wait().await;
            begin.whole();
        }
    }
    finish();
}

fn main() {
    const CASES: &[(&str, u64)] = &[
        ("yield", 0),
        ("spawn_batches", 0),
        ("spawn_join", 0),
        ("skynet", 0),
        ("fib", 0),
        ("chan_pingpong", 0),
        ("sema_pingpong", 0),
        ("mutex_contended", 0),
        ("parked", 0),
        ("sleep_storm", 0),
        ("syscall_blocking", 0),
    ];
    let Some(a) = args(CASES) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(a.workers).enable_time().build().unwrap();
    // The case runs on a worker, as with the other peers.
    runtime.block_on(async { tokio::spawn(run(a)).await.unwrap() });
}
