//! The loop, where threads and goroutines begin and end, the watchdog, and what needs every P.

pub mod find;
pub mod keys;
pub mod life;
pub mod run;
pub mod sysmon;
pub mod template;
pub mod world;
