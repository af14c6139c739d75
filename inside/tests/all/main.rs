//! Traces that are built by hand.

mod accepts;
mod common;
mod formats;
mod refuses;
