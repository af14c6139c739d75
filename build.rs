//! Link settings of the shared library. Asks neither git nor the network, so that a distribution can build from a plain
//! tarball; and writes below `OUT_DIR` only.
//!
//! - A system for which the library is not made is refused here, before a compiler reports what is missing.
//! - SONAME: a cargo cdylib has none, and without one a program would record the path that it was linked with. The
//!   number is the ABI's and moves only when the ABI breaks. cargo-c sets a SONAME of its own (feature `capi`).
//! - nodelete: `dlclose` must not unmap code that scheduler threads are running.
//! - rustc hides whatever is not `#[no_mangle]`, so there is no version script: `tests/header.rs` holds the exports to
//!   the header.
//!
//! It also writes down in which lines of `src/capi` each function stands, for `GMXDEBUG=strict` (src/rt/strict.rs).

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const SONAME: &str = "libgomax.so.0";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // the tests find the library that belongs to their own build by these two
    println!("cargo:rustc-env=GMX_BUILD_TARGET={}", env::var("TARGET").unwrap());
    println!("cargo:rustc-env=GMX_BUILD_HOST={}", env::var("HOST").unwrap());
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap());
    functions(&out.join("functions.txt")).unwrap_or_else(|e| panic!("src/capi: {e}"));

    let target = ["OS", "ENV", "ARCH", "POINTER_WIDTH", "ENDIAN"]
        .map(|what| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default());
    if !matches!(target.each_ref().map(String::as_str), ["linux", "gnu" | "musl", "x86_64" | "aarch64", "64", "little"])
    {
        println!(
            "cargo::error=libgomax is for Linux on x86-64 and AArch64 (64 bits, little-endian), with glibc or musl, and \
             not for {}",
            env::var("TARGET").unwrap()
        );
        return;
    }
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    if env::var_os("CARGO_FEATURE_CAPI").is_none() {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    } else {
        let out = PathBuf::from(env::var_os("OUT_DIR").unwrap()).join("capi/prefix");
        for_cargo_c(&out).unwrap_or_else(|e| panic!("{}: {e}", out.display()));
    }
}

/// The statuses that a wrong call returns.
const WRONG: [&str; 7] =
    ["GMX_EINVAL", "GMX_EPERM", "GMX_EBADF", "GMX_EDEADLK", "GMX_ESTALE", "GMX_ENOTG", "GMX_EINSYSCALL"];

/// The sections of a function's documentation that are of use here, and those behind them.
const SECTIONS: [&str; 8] =
    ["Blocks:", "Call from:", "Safepoint:", "Migrates:", "Cancellable:", "Owns:", "Returns:", "Since:"];

/// Writes a line for each function of `src/capi`: the file, the line, the name if it is exported, and what its
/// documentation says: from where it may be called, and why it returns the statuses of wrong calls.
fn functions(to: &Path) -> io::Result<()> {
    println!("cargo:rerun-if-changed=src/capi");
    let mut files = fs::read_dir("src/capi")?.map(|f| Ok(f?.path())).collect::<io::Result<Vec<_>>>()?;
    files.sort();
    struct Row {
        place: String,
        name: String,
        from: String,
        whys: Vec<String>,
        like: Option<String>,
    }
    let mut rows = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        let mut doc = String::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim_start();
            if let Some(words) = line.strip_prefix("///") {
                let words = words.trim();
                let begins = SECTIONS.iter().any(|section| words.starts_with(section));
                doc.push_str(if begins { "\n" } else { " " });
                doc.push_str(words);
            } else if let Some(name) = function(line) {
                let exported = line.contains("extern ") && name.starts_with("gmx_");
                let section = |of| doc.lines().find_map(|line| line.strip_prefix(of)).unwrap_or_default().trim();
                let returns = section("Returns:").replace(", GMX_", "; GMX_").replace(", and GMX_", "; GMX_");
                let like =
                    returns.split_once("as gmx_").map(|(_, rest)| rest.split(|c: char| !is_word(c)).next().unwrap());
                // "GMX_EINVAL if m is NULL", also with a comma or a colon behind the status.
                let why = |part: &str| {
                    let (status, words) = part.trim().trim_end_matches('.').split_once(' ')?;
                    let status = status.trim_end_matches([',', ':']);
                    (WRONG.contains(&status) && !words.starts_with("as gmx_")).then(|| format!("{status} {words}"))
                };
                rows.push(Row {
                    place: format!("{}\t{}", file.file_name().unwrap().to_str().unwrap(), i + 1),
                    name: if exported { name.to_string() } else { String::new() },
                    from: section("Call from:").trim_end_matches('.').to_string(),
                    whys: returns.split(';').filter_map(why).collect(),
                    like: like.map(|rest| format!("gmx_{rest}")),
                });
                doc.clear();
            } else if !line.starts_with('#') {
                doc.clear();
            }
        }
    }
    let mut all = String::new();
    for row in &rows {
        // What it says itself comes first.
        let like = rows.iter().filter(|other| row.like.as_ref() == Some(&other.name)).flat_map(|other| &other.whys);
        let whys: Vec<_> = row.whys.iter().chain(like).map(String::as_str).collect();
        let (from, whys) = if row.name.is_empty() { ("", String::new()) } else { (&row.from[..], whys.join(";")) };
        all += &format!("{}\t{}\t{from}\t{whys}\n", row.place, row.name);
    }
    fs::write(to, all)
}

/// The name of the function that begins in this line.
fn function(line: &str) -> Option<&str> {
    const BEFORE: [&str; 6] = ["pub", "pub(super)", "unsafe", "extern", "\"C\"", "const"];
    let (before, after) = line.split_once("fn ")?;
    let begins = before.split_whitespace().all(|word| BEFORE.contains(&word));
    begins.then(|| after.split(|c| !is_word(c)).next().unwrap())
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Writes what cargo-c cannot make, as it is to lie below the prefix: the CMake package and the gdb script, as `make
/// install` does. cargo-c does not tell a build where that will be, so the variables of `make install` do.
fn for_cargo_c(out: &Path) -> io::Result<()> {
    let var = |name: &str, default: String| {
        println!("cargo:rerun-if-env-changed={name}");
        env::var(name).unwrap_or(default)
    };
    let prefix = var("PREFIX", "/usr/local".into());
    let libdir = var("LIBDIR", format!("{prefix}/lib"));
    let includedir = var("INCLUDEDIR", format!("{prefix}/include"));
    let version = env::var("CARGO_PKG_VERSION").unwrap();
    let below = |path: &str| match Path::new(path).strip_prefix(&prefix) {
        Ok(path) => out.join(path),
        Err(_) => panic!("{path} does not lie below PREFIX={prefix}"),
    };

    if out.exists() {
        fs::remove_dir_all(out)?; // of other directories
    }
    let (cmake, gdb) = (below(&libdir).join("cmake/gomax"), out.join(format!("share/gdb/auto-load{libdir}")));
    fs::create_dir_all(&cmake)?;
    fs::create_dir_all(&gdb)?;
    for name in ["gomaxConfig.cmake", "gomaxConfigVersion.cmake"] {
        let from = format!("packaging/{name}.in");
        println!("cargo:rerun-if-changed={from}");
        let text = fs::read_to_string(from)?
            .replace("@LIBDIR@", &libdir)
            .replace("@INCLUDEDIR@", &includedir)
            .replace("@VERSION@", &version)
            .replace("@SONAME@", SONAME);
        fs::write(cmake.join(name), text)?;
    }
    println!("cargo:rerun-if-changed=packaging/gomax-gdb.py");
    fs::copy("packaging/gomax-gdb.py", gdb.join(format!("libgomax.so.{version}-gdb.py")))?;
    Ok(())
}
