//! Descriptors.

use crate::gmp::g::GList;
use crate::gmp::sched::Sched;

/// NETPOLL-B1 for the descriptor with this key.
pub fn event(_: &Sched, _: u64, _: u32, _: &mut GList) {}
