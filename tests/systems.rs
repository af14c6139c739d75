//! What the build script says of each system, asked as cargo asks it: most systems have no standard library here.

#![cfg(not(any(loom, shuttle)))]

mod common;

use common::{scratch, source};
use std::process::Command;

/// A target as `rustc --print target-list` names it, and the cfgs of `rustc --print cfg --target` that count.
const TARGETS: &[(&str, [&str; 5], bool)] = &[
    ("x86_64-unknown-linux-gnu", ["linux", "gnu", "x86_64", "64", "little"], true),
    ("x86_64-unknown-linux-musl", ["linux", "musl", "x86_64", "64", "little"], true),
    ("aarch64-unknown-linux-gnu", ["linux", "gnu", "aarch64", "64", "little"], true),
    ("aarch64-unknown-linux-musl", ["linux", "musl", "aarch64", "64", "little"], true),
    ("i686-unknown-linux-gnu", ["linux", "gnu", "x86", "32", "little"], false),
    ("armv7-unknown-linux-gnueabihf", ["linux", "gnu", "arm", "32", "little"], false),
    ("riscv64gc-unknown-linux-gnu", ["linux", "gnu", "riscv64", "64", "little"], false),
    ("s390x-unknown-linux-gnu", ["linux", "gnu", "s390x", "64", "big"], false),
    ("x86_64-unknown-linux-gnux32", ["linux", "gnu", "x86_64", "32", "little"], false),
    ("aarch64_be-unknown-linux-gnu", ["linux", "gnu", "aarch64", "64", "big"], false),
    ("x86_64-unknown-linux-ohos", ["linux", "ohos", "x86_64", "64", "little"], false),
    ("aarch64-linux-android", ["android", "", "aarch64", "64", "little"], false),
    ("x86_64-unknown-freebsd", ["freebsd", "", "x86_64", "64", "little"], false),
    ("aarch64-apple-darwin", ["macos", "", "aarch64", "64", "little"], false),
    ("x86_64-pc-windows-msvc", ["windows", "msvc", "x86_64", "64", "little"], false),
];
const CFGS: [&str; 5] = ["os", "env", "arch", "pointer_width", "endian"];

#[test]
fn the_cfgs_are_those_of_the_compiler() {
    for (target, cfgs, _) in TARGETS {
        let said = Command::new("rustc").args(["--print", "cfg", "--target", target]).output().unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        for (name, value) in CFGS.iter().zip(cfgs) {
            assert!(said.contains(&format!("target_{name}=\"{value}\"\n")), "{target}: {name}");
        }
    }
}

#[test]
fn other_systems_are_refused_in_one_sentence() {
    let out = scratch("systems");
    let script = out.join("build");
    let mut rustc = Command::new("rustc");
    rustc.args(["--edition=2024", "-o"]).arg(&script).arg(source("build.rs"));
    assert!(rustc.status().unwrap().success());
    for (target, cfgs, accepted) in TARGETS {
        let mut run = Command::new(&script);
        run.env_clear().env("TARGET", target).env("HOST", common::HOST).env("OUT_DIR", &out);
        for (name, value) in CFGS.iter().zip(cfgs) {
            run.env(format!("CARGO_CFG_TARGET_{}", name.to_uppercase()), value);
        }
        let said = run.output().unwrap();
        assert!(said.status.success() && said.stderr.is_empty(), "{target}: {said:?}");
        let said = String::from_utf8(said.stdout).unwrap();
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("cargo::error=")).collect();
        assert_eq!(errors.len(), usize::from(!accepted), "{target}: {said}");
        assert!(errors.iter().all(|e| e.ends_with(&format!("not for {target}"))), "{errors:?}");
        assert_eq!(said.contains("-soname,libgomax.so.0"), *accepted, "{target}: {said}");
    }
}
