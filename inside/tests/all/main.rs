//! Traces that are built by hand.

mod accepts;
mod common;
mod edits;
mod formats;
mod refuses;
