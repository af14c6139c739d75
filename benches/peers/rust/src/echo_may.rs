//! The server of the echo benchmarks over may: `echo_may THREADS [yields N]`, as benches/net/echo.c.

use may::go;
use std::env;
use std::io::{Read, Write};

fn main() {
    let args: Vec<String> = env::args().collect();
    // Its default stack of 4 KiB has no room for the buffer.
    may::config().set_workers(args[1].parse().expect("THREADS")).set_stack_size(0x1000);
    let server = go!(move || {
        for _ in 0..args.get(3).map_or(0, |n| n.parse().expect("N")) {
            go!(|| loop {
                may::coroutine::yield_now();
            });
        }
        let listener = may::net::TcpListener::bind(("127.0.0.1", 0)).expect("a listener");
        println!("{}", listener.local_addr().expect("a port").port());
        for conn in listener.incoming() {
            let mut conn = conn.expect("a connection");
            conn.set_nodelay(true).expect("TCP_NODELAY");
            go!(move || {
                let mut text = [0; 4096];
                while let Ok(n) = conn.read(&mut text) {
                    if n == 0 || conn.write_all(&text[..n]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    server.join().expect("the server");
}
