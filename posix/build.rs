//! Link settings of libgomax_posix.so: its SONAME, and libgomax, which lies in the directory GMX_LIBDIR.

use std::env;

const SONAME: &str = "libgomax_posix.so.0";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=GMX_LIBDIR");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    // The functions here stay in the tables of every library that is bound to them.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    if let Ok(dir) = env::var("GMX_LIBDIR") {
        println!("cargo:rustc-link-search=native={dir}");
    }
    println!("cargo:rustc-link-lib=dylib=gomax");
}
