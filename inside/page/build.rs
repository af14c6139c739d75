//! Link settings of libgomax_debug.so: its SONAME, by which libgomax asks for it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libgomax-debug.so.0");
    // Its threads run until the process ends.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
