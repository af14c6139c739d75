//! Code that the sources of the library must not contain, read as text: a compiler accepts it, and a review overlooks
//! it.

#![cfg(not(any(loom, shuttle)))]

mod source;

use std::fs;
use std::path::Path;

use source::{Source, places, sources};

/// A lock of std changes the `errno` of its caller, cannot be opened in a child of fork and has no rank; a thread of
/// std ends the process if there is no memory and lets signals in; its macros wait for the reader of stderr.
#[test]
fn nothing_of_std_that_locks_waits_or_aborts() {
    const FORBIDDEN: [&str; 16] = [
        "std::sync::Mutex",
        "std::sync::RwLock",
        "std::sync::Condvar",
        "std::sync::Barrier",
        "std::sync::Once",
        "std::sync::LazyLock",
        "std::sync::mpsc",
        "OnceLock",
        "LazyLock",
        "std::sync::{",
        "std::thread",
        "println!",
        "eprint!",
        "print!",
        "std::io::stderr",
        "std::io::stdout",
    ];
    let sources = sources();
    assert!(sources.len() > 50);
    let found: Vec<String> = FORBIDDEN
        .iter()
        .flat_map(|word| places(&sources, word).map(move |(s, place)| (s, word, place)))
        // The checks of lock ranks and of system calls under locks are in debug builds only, and print when they fail.
        .filter(|(s, ..)| s.name != "sync/rank.rs" && s.name != "sys/held.rs" && s.name != "ds/rng.rs")
        .map(|(_, word, place)| format!("{place}: {word}"))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

/// The C library reads the arguments of a variadic function whether they are passed or not: the kernel, and valgrind,
/// then see what a register happened to hold.
#[test]
fn variadic_calls_pass_all_their_arguments() {
    // prctl takes five arguments. syscall takes those of its system call; a call with fewer than six stands in this
    // list.
    let least = |name: &str, first: &str| match name {
        "prctl" => 5,
        "fcntl" | "ioctl" | "open" => 3,
        "openat" => 4,
        "syscall" => {
            1 + match first.rsplit("::").next().unwrap() {
                "SYS_gettid" => 0,
                "SYS_pidfd_open" => 2,
                "SYS_pidfd_send_signal" => 4,
                "SYS_waitid" => 5,
                "SYS_timer_delete" | "SYS_sched_getscheduler" => 1,
                "SYS_sched_getparam" => 2,
                "SYS_sched_setscheduler" => 3,
                "SYS_membarrier" | "SYS_getdents64" | "SYS_timer_create" => 3,
                "SYS_timer_settime" => 4,
                "SYS_process_madvise" => 5,
                "SYS_futex" | "SYS_pwritev2" | "SYS_epoll_pwait2" => 6,
                "SYS_connect" => 3,
                "SYS_ppoll" => 5,
                // sys/linux_io.rs: any
                "what" => 6,
                other => panic!("tell this test how many arguments {other} has"),
            }
        }
        _ => unreachable!(),
    };
    let sources = sources();
    let mut seen = 0;
    for name in ["prctl", "syscall", "fcntl", "ioctl", "open", "openat"] {
        let call = format!("libc::{name}(");
        for s in &sources {
            for (at, _) in s.code.match_indices(&call) {
                let args = arguments(&s.code[at + call.len()..]);
                seen += 1;
                let line = s.code[..at].lines().count();
                assert!(args.len() == least(name, &args[0]), "{}:{line}: {name}({})", s.name, args.join(", "));
                // A literal is an int: the upper half of its register need not be zero.
                let ints = args[1..].iter().any(|a| name == "prctl" && a.chars().all(|c| c.is_ascii_digit()));
                assert!(!ints, "{}:{line}: prctl takes unsigned long: {}", s.name, args.join(", "));
            }
        }
    }
    assert!(seen > 8);
}

/// The starter of a process decides its environment. So the library reads it in one place, which checks it, and not at
/// all in a process that has more rights than its starter.
#[test]
fn one_file_alone_reads_the_environment() {
    // Variables of debug builds and tests.
    let elsewhere = ["sync/rank.rs", "ds/rng.rs"];
    // It passes the environment on to a child, and reads nothing of it.
    let elsewhere = [&elsewhere[..], &["sys/linux_proc.rs"]].concat();
    let ways = ["getenv", "env::var", "env::vars", "var_os(", "environ", "/proc/self/environ"];
    let sources = sources();
    let reads = |s: &&Source| !elsewhere.contains(&s.name.as_str()) && ways.iter().any(|way| s.code.contains(way));
    let readers: Vec<&Source> = sources.iter().filter(reads).collect();
    assert_eq!(readers.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["rt/config.rs"]);
    assert!(!readers[0].code.replace("secure_getenv", "").contains("getenv"), "rt/config.rs uses getenv");
}

/// A report that waited for its reader would hold up the scheduler.
#[test]
fn one_file_alone_writes_to_stderr() {
    let sources = sources();
    let writers: Vec<&str> = sources
        .iter()
        .filter(|s| ["write_all(2", "write(2", "STDERR"].iter().any(|way| s.code.contains(way)))
        .map(|s| s.name.as_str())
        .collect();
    assert!(writers.is_empty(), "{writers:?}");
    let by_number: Vec<&str> =
        sources.iter().filter(|s| s.code.contains("SYS_write")).map(|s| s.name.as_str()).collect();
    assert_eq!(by_number, ["sys/linux_file.rs", "sys/linux_io.rs"], "the descriptors of the host");
    let raw: Vec<&str> = sources.iter().filter(|s| s.code.contains("libc::write")).map(|s| s.name.as_str()).collect();
    let known = ["sys/linux.rs", "sys/linux_event.rs", "sys/stderr.rs"];
    assert_eq!(raw, known, "write_all, for dumps; eventfds of the library's; and stderr");
}

/// The arguments of a call whose opening parenthesis has been read.
fn arguments(rest: &str) -> Vec<String> {
    let (mut depth, mut args, mut arg) = (0, Vec::new(), String::new());
    for c in rest.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => break,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if c == ',' && depth == 0 {
            args.push(std::mem::take(&mut arg));
        } else {
            arg.push(c);
        }
    }
    args.push(arg);
    let words = |arg: &String| arg.split_whitespace().collect::<Vec<_>>().join(" ");
    args.iter().map(words).filter(|arg| !arg.is_empty()).collect()
}

/// The lists of system calls in the manual equal the lists that the test of the sandbox allows.
#[test]
fn the_sandbox_allows_what_the_manual_lists() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let test = fs::read_to_string(top.join("ctests/sandbox.c")).unwrap();
    let manual = fs::read_to_string(top.join("SECURITY.md")).unwrap();
    for (mark, begin) in [
        ("X(", "> `brk`"),
        ("Y(", "> after a sealed start: `brk`"),
        ("Z(", "> with descriptors, also: `accept4`"),
        ("V(", "> with files, also: `copy_file_range`"),
    ] {
        let marked = test.split(mark).skip(1).filter_map(|rest| rest.split_once(')')).map(|(name, _)| name);
        // The definition of the macro has its parameter there.
        let allowed: Vec<&str> = marked.filter(|&name| name != "name").collect();
        let list = manual.lines().find(|line| line.starts_with(begin)).expect("the list of system calls");
        let listed: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        assert_eq!(listed, allowed);
    }
}

/// Each mutation's text stands in its file. Otherwise only a run of ci/mutations.py would notice that it is gone.
#[test]
fn mutations_have_their_places() {
    let out = std::process::Command::new(std::env::var_os("PYTHON").unwrap_or("python3".into()))
        .args(["ci/mutations.py", "--list"])
        .output()
        .expect("python3");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    assert!(out.stdout.iter().filter(|&&c| c == b'\n').count() > 100);
}
