//! Link settings of the shared library. Writes nothing, asks neither git nor the network, so that a distribution can
//! build from a plain tarball.
//!
//! - SONAME: a cargo cdylib has none, and without one a program would record the path that it was linked with. The
//!   number is the ABI's and moves only when the ABI breaks. cargo-c sets a SONAME of its own (feature `capi`).
//! - nodelete: `dlclose` must not unmap code that scheduler threads are running.
//! - rustc hides whatever is not `#[no_mangle]`, so there is no version script: `tests/header.rs` holds the exports to
//!   the header.

use std::env;

const SONAME: &str = "libgomax.so.0";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // the tests find the library that belongs to their own build by these two
    println!("cargo:rustc-env=GMX_BUILD_TARGET={}", env::var("TARGET").unwrap());
    println!("cargo:rustc-env=GMX_BUILD_HOST={}", env::var("HOST").unwrap());

    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    if env::var_os("CARGO_FEATURE_CAPI").is_none() {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    }
}
