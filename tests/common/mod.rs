//! Shared by the tests that run C and C++: the shared library as a C program meets it, and the compilers.

// Each test uses a part of this.
#![allow(dead_code)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

pub const TARGET: &str = env!("GMX_BUILD_TARGET");
pub const HOST: &str = env!("GMX_BUILD_HOST");

/// Scratch space under the target directory.
pub fn scratch(name: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display()));
    dir
}

pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// libgomax.so with libgomax.so.0 beside it: `GMX_LIB` if that is set, else one built now with the profile of this
/// test.
///
/// Built apart from what `cargo test` builds: that has the same file name, but unwinds on panic where the library that
/// ships aborts, and cargo does not notice when one has overwritten the other.
pub fn shared_library() -> &'static Path {
    static LIB: OnceLock<PathBuf> = OnceLock::new();
    LIB.get_or_init(|| {
        let lib = match env::var_os("GMX_LIB") {
            Some(lib) => std::fs::canonicalize(&lib).unwrap_or_else(|e| panic!("GMX_LIB={lib:?}: {e}")),
            None => build("cdylib", "libgomax.so"),
        };
        let link = lib.with_file_name("libgomax.so.0");
        if !link.exists() {
            let _ = std::fs::remove_file(&link);
            if let Err(e) = std::os::unix::fs::symlink(lib.file_name().unwrap(), &link) {
                // another test program may have made it meanwhile
                assert!(link.exists(), "{}: {e}", link.display());
            }
        }
        lib
    })
}

/// libgomax.a: the one beside `GMX_LIB` if that is set, else one built now.
pub fn static_library() -> &'static Path {
    static LIB: OnceLock<PathBuf> = OnceLock::new();
    LIB.get_or_init(|| match env::var_os("GMX_LIB") {
        Some(lib) => std::fs::canonicalize(lib).unwrap().with_file_name("libgomax.a"),
        None => build("staticlib", "libgomax.a"),
    })
}

fn build(kind: &str, name: &str) -> PathBuf {
    let target_dir = scratch("lib");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["rustc", "--quiet", "--lib", "--crate-type", kind, "--manifest-path"]).arg(source("Cargo.toml"));
    cargo.arg("--target-dir").arg(&target_dir);
    let mut dir = target_dir;
    if TARGET != HOST {
        cargo.args(["--target", TARGET]);
        dir.push(TARGET);
    }
    if cfg!(debug_assertions) {
        dir.push("debug");
    } else {
        cargo.arg("--release");
        dir.push("release");
    }
    let status = cargo.stdin(Stdio::null()).status().expect("cargo cannot be run");
    assert!(status.success(), "building {name}: {status}");
    dir.join(name)
}

/// The system's C or C++ compiler as the `cc` crate finds it (`CC`, `CXX` and `CFLAGS` count), or why there is none.
/// `GMX_CC` and `GMX_CXX` are taken as they are: a cross compiler for the machine of `GMX_LIB`.
pub fn compiler(cpp: bool) -> Result<Command, String> {
    if let Some(cc) = env::var_os(if cpp { "GMX_CXX" } else { "GMX_CC" }) {
        return Ok(Command::new(cc));
    }
    let tool = cc::Build::new()
        .cpp(cpp)
        .target(TARGET)
        .host(HOST)
        .opt_level(2)
        .debug(true)
        .cargo_metadata(false)
        .cargo_warnings(false)
        .try_get_compiler()
        .map_err(|e| e.to_string())?;
    let works = tool.to_command().arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match works {
        Ok(status) if status.success() => Ok(tool.to_command()),
        _ => Err(format!("no {} compiler ({})", if cpp { "C++" } else { "C" }, tool.path().display())),
    }
}

pub fn have(program: &str) -> bool {
    let mut run = Command::new(program);
    run.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    matches!(run.status(), Ok(status) if status.success())
}
