//! The scheduler's loop, the begin and end of threads and goroutines, the watchdog, and operations that need every P.

pub mod find;
pub mod keys;
pub mod life;
pub mod run;
pub mod sysmon;
pub mod template;
pub mod tracing;
pub mod turns;
pub mod world;
