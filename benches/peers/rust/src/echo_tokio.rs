//! The server of the echo benchmarks over tokio: `echo_tokio THREADS [yields N]`, as benches/net/echo.c.

use std::env;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn main() {
    let args: Vec<String> = env::args().collect();
    let threads: usize = args[1].parse().expect("THREADS");
    let mut runtime = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        runtime.worker_threads(threads);
    }
    runtime.enable_all().build().expect("a runtime").block_on(async {
        for _ in 0..args.get(3).map_or(0, |n| n.parse().expect("N")) {
            tokio::spawn(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
        }
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a listener");
        println!("{}", listener.local_addr().expect("a port").port());
        loop {
            let (mut conn, _) = listener.accept().await.expect("a connection");
            conn.set_nodelay(true).expect("TCP_NODELAY");
            tokio::spawn(async move {
                let mut text = [0; 4096];
                while let Ok(n) = conn.read(&mut text).await {
                    if n == 0 || conn.write_all(&text[..n]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
}
