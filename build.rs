//! Link settings of the shared library. Asks neither git nor the network, so that a distribution can build from a plain
//! tarball; and writes nothing but what cargo-c is to install.
//!
//! - A system for which the library is not made is refused here, before a compiler reports what is missing.
//! - SONAME: a cargo cdylib has none, and without one a program would record the path that it was linked with. The
//!   number is the ABI's and moves only when the ABI breaks. cargo-c sets a SONAME of its own (feature `capi`).
//! - nodelete: `dlclose` must not unmap code that scheduler threads are running.
//! - rustc hides whatever is not `#[no_mangle]`, so there is no version script: `tests/header.rs` holds the exports to
//!   the header.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

const SONAME: &str = "libgomax.so.0";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // the tests find the library that belongs to their own build by these two
    println!("cargo:rustc-env=GMX_BUILD_TARGET={}", env::var("TARGET").unwrap());
    println!("cargo:rustc-env=GMX_BUILD_HOST={}", env::var("HOST").unwrap());

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
