//! C++ programs that link their C++ runtime, the library or everything statically. An exception moves with its G, and
//! an exception that would leave the library ends at the throw, as in programs that are linked dynamically
//! (`ctests/cxx_*.cpp`).

#![cfg(not(any(loom, shuttle)))]

mod common;

use common::{compiler, scratch, shared_library, source, static_library};
use std::path::PathBuf;
use std::process::{Command, Stdio};

enum Library {
    Shared,
    Archive,
}

/// None: this machine cannot link in that way.
fn build(test: &str, library: &Library, flags: &[&str]) -> Option<PathBuf> {
    let kind = if matches!(library, Library::Shared) { "shared" } else { "archive" };
    let exe = scratch("static").join(format!("{test}-{kind}{}", flags.concat()));
    let mut cc = compiler(true).ok()?;
    cc.args(["-std=c++17", "-D_GNU_SOURCE", "-O1", "-g", "-pthread"]).args(flags).arg("-o").arg(&exe);
    cc.arg("-I").arg(source("include")).arg("-I").arg(source("ctests")).arg(source(&format!("ctests/{test}.cpp")));
    match library {
        Library::Shared => {
            let dir = shared_library().parent().unwrap();
            cc.arg("-L").arg(dir).arg("-lgomax").arg(format!("-Wl,-rpath,{}", dir.display()));
        }
        Library::Archive => drop(cc.arg(static_library()).args(["-lrt", "-lm", "-ldl"])),
    }
    let result = cc.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&result.stderr);
    let lacks = ["cannot find -l", "unable to find library", "unrecognized command"].iter().any(|w| said.contains(w));
    assert!(result.status.success() || lacks, "{kind} {flags:?}: {said}");
    result.status.success().then_some(exe)
}

/// With `-static-libgcc` a `pthread_exit` aborts, with this library or without: `cxx_throws` is left out.
fn run(library: Library, flags: &[&str]) {
    let throws = !flags.contains(&"-static-libgcc");
    for test in ["cxx_exceptions"].into_iter().chain(throws.then_some("cxx_throws")) {
        let Some(exe) = build(test, &library, flags) else {
            eprintln!("{flags:?}: not on this machine");
            return;
        };
        let mut program = Command::new("timeout");
        program.arg("120").arg(&exe).env_remove("LD_LIBRARY_PATH").env("GMX_MAXPROCS", "3");
        let result = program.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&result.stderr);
        assert!(result.status.success(), "{test} {flags:?}: {}\n{said}", result.status);
    }
}

#[test]
fn with_the_archive() {
    run(Library::Archive, &[]);
}

#[test]
fn with_everything_static() {
    run(Library::Archive, &["-static"]);
}

#[test]
fn with_everything_static_and_position_independent() {
    run(Library::Archive, &["-static-pie"]);
}

#[test]
fn with_the_archive_and_a_static_cxx_runtime() {
    run(Library::Archive, &["-static-libstdc++", "-static-libgcc"]);
}

#[test]
fn with_the_shared_library_and_a_static_cxx_runtime() {
    run(Library::Shared, &["-static-libstdc++"]);
    run(Library::Shared, &["-static-libstdc++", "-static-libgcc"]);
}
