//! Reads, checks and converts the traces of libgomax. docs/inside.md tells how to use the tool; the format is
//! src/trace/raw.rs of the library.
//!
//! `input` reads the file, `order` puts its records in order and checks them, `begin` finds out what was there before
//! the first record. The rest shows the ordered records: to people (`report`), and to other tools (`go`, `picture` for
//! `perfetto`, `chrome` and `svg`), with names of functions from `symbols`. `goread` reads what `go` has written.

pub mod begin;
pub mod chrome;
pub mod go;
pub mod goread;
pub mod input;
pub mod order;
pub mod perfetto;
pub mod picture;
#[path = "../../src/trace/raw.rs"]
pub mod raw;
pub mod report;
pub mod svg;
pub mod symbols;
