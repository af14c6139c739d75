//! The library calls each function of the host through `sys::call`, which no exception passes.
//!
//! ctests/cxx_throws.cpp shows that for each function of the header that takes a callback. The tests here check that
//! its list is complete, and that no other place in the sources calls a function of the host.

#![cfg(not(any(loom, shuttle)))]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(source(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Whether a name stands in a text as a whole word.
fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].chars().next_back().is_some_and(part) && !text[at + word.len()..].chars().next().is_some_and(part)
    })
}

#[test]
fn each_function_that_takes_one_of_the_hosts_is_tried_with_a_throw() {
    let (header, tried) = (text("include/gomax.h"), text("ctests/cxx_throws.cpp"));
    let mut n = 0;
    for declaration in header.split("GMX_API ").skip(1) {
        let Some((declaration, _)) = declaration.split_once(';') else { continue };
        if !declaration.contains("(*") {
            continue;
        }
        let name = declaration.split('(').next().unwrap().split_whitespace().last().unwrap();
        n += 1;
        assert!(has_word(&tried, name), "{name} takes a function, and ctests/cxx_throws.cpp does not try it");
    }
    assert!(n >= 12, "only {n} functions of the header take one: has its form changed?");
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// The files that name the type of a C function pointer, and how they call such a function.
const POINTERS: &[(&str, &str)] = &[
    ("block/batch.rs", ""), // what a G runs
    ("block/cleanup.rs", "call::plain"),
    ("block/hook.rs", ""),  // what a G runs
    ("block/names.rs", ""), // the same
    ("block/parallel.rs", "call::ranges"),
    ("block/parking.rs", "call::commit"),
    ("block/scope.rs", "call::child"),
    ("block/spawn.rs", "call::plain"),
    ("block/timer.rs", "call::plain"),
    ("capi/chan.rs", "call::dropped"),
    ("capi/class.rs", ""), // by gmx_blocking
    ("capi/coro.rs", ""),  // a G's function
    ("capi/foreign.rs", "call::plain"),
    ("capi/g.rs", ""), // given to block/parking.rs
    ("capi/metrics.rs", "call::text"),
    ("capi/once.rs", "call::plain"),
    ("capi/parallel.rs", ""),
    ("rt/page.rs", ""),   // those of the second library, which is no code of the host
    ("rt/table.rs", ""),  // the same
    ("rt/notify.rs", ""), // the host's handlers, as in rt/nudge.rs
    ("rt/nudge.rs", ""),  // the host's handler of a signal, as in fiber/signals.rs
    ("capi/post.rs", "call::plain"),
    ("capi/runtime.rs", ""), // kept only
    ("capi/scope.rs", ""),
    ("capi/stats.rs", "call::text"),
    ("capi/syscall.rs", "call::plain"),
    ("capi/timer.rs", ""),
    ("capi/token.rs", ""),
    ("capi/cleanup.rs", "call::plain"),
    ("capi/waitgroup.rs", ""),
    ("capi/world.rs", "call::look"),
    ("fiber/host.rs", ""),     // the C++ runtime's own accessor
    ("fiber/overflow.rs", ""), // our own handler
    ("fiber/signals.rs", ""),  // the host's handlers of signals: see there
    ("fiber/sanitize.rs", ""), // the sanitizers' own functions
    ("gmp/config.rs", ""),
    ("gmp/keys.rs", ""),
    ("gmp/posts.rs", ""), // kept only
    ("protocol/preempt.rs", "call::plain"),
    ("rt/config.rs", ""),
    ("rt/mod.rs", ""), // what runs at the load
    ("rt/report.rs", "call::report"),
    ("sched/run.rs", ""), // a G's function, the last frame of its stack
    ("sched/keys.rs", "call::plain"),
    ("sys/arch/aarch64.rs", ""), // where a G begins
    ("sys/arch/x86_64.rs", ""),
    ("sys/call.rs", "gmx_arch_call"),
    ("sys/linux.rs", ""),        // what the library does at the end of the process
    ("sys/linux_name.rs", ""),   // getsockname and getpeername
    ("sys/linux_thread.rs", ""), // the library's own threads, and the C library
];

/// Types of the host's functions that have a name.
const NAMED: &[&str] = &["Child", "Destructor", "PFn", "RangeFn", "Report"];

#[test]
fn no_other_place_calls_one() {
    let listed: BTreeMap<_, _> = POINTERS.iter().copied().collect();
    let mut files = Vec::new();
    rust_files(&source("src"), &mut files);
    let mut seen = 0;
    for file in files {
        let name = file.strip_prefix(source("src")).unwrap().to_str().unwrap().to_string();
        if name.starts_with("models/") || name.ends_with("tests.rs") {
            continue;
        }
        let all = fs::read_to_string(&file).unwrap();
        let code = all.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines = || code.lines().map(|l| l.split("//").next().unwrap());
        let calls = listed.get(name.as_str()).copied();
        if lines().any(|l| l.contains("extern \"C\" fn(")) {
            assert!(calls.is_some(), "src/{name} names the type of a C function: how is it called? see POINTERS");
        }
        if let Some(by) = calls {
            seen += 1;
            assert!(by.is_empty() || lines().any(|l| l.contains(by)), "src/{name} does not use {by} any more");
        }
        // What has such a type comes out of a transmute or an Option, and is called by a short name.
        for line in lines() {
            let casts = line.contains("extern \"C\" fn(") || NAMED.iter().any(|t| has_word(line, t));
            let direct = line.contains("transmute") && casts && line.contains(")(");
            assert!(!direct || name == "fiber/signals.rs", "src/{name} calls a C function directly: {line}");
            let direct = ["f(arg)", "f(arg,", "f(value)", "destructor(value)", "commit(arg"].iter().any(|c| {
                line.match_indices(c).any(|(at, _)| {
                    !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '.')
                })
            });
            assert!(
                !direct || name.starts_with("sys/call"),
                "src/{name} calls a function of the host directly: {line}"
            );
        }
    }
    assert_eq!(seen, POINTERS.len(), "a file of POINTERS is gone");
    // The only function that may.
    assert!(text("src/sched/run.rs").contains("f(gp.arg.get());"));
}
