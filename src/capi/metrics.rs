//! Metrics
//!
//! The numbers that a dashboard shows: how many goroutines there are and what they do, how long stops, barriers and
//! slices take, how late timers are. A look stops nothing, and may come from every context and at any time. Each metric
//! has a name that stays, and later versions have more of them; docs/metrics.md has the table.
//!
//! ```c
//! static gmx_status put(void *arg, const char *text, size_t n) {
//!   return fwrite(text, 1, n, arg) == n ? GMX_OK : GMX_EPIPE;
//! }
//! ...
//! gmx_status status = gmx_metrics_text(put, stdout);
//! ```
//!
//! Histograms have the same buckets everywhere: gmx_metric_bounds.

use super::*;
use crate::ds::histogram::{BOUNDS, BUCKETS};
use crate::rt::metrics::{self, Look, METRICS, Metric};
use std::ffi::{CStr, c_char, c_void};

/// No metric has this name: the version of the library is older, or the name is wrong.
pub const GMX_METRIC_NONE: i32 = 0;
/// A count that only rises, until the process ends.
pub const GMX_METRIC_COUNTER: i32 = 1;
/// A number that rises and falls.
pub const GMX_METRIC_GAUGE: i32 = 2;
/// Counts of durations, by their length.
pub const GMX_METRIC_HISTOGRAM: i32 = 3;

/// The buckets of a histogram.
pub const GMX_METRIC_BUCKETS: u32 = 118;

const _: () = assert!(GMX_METRIC_BUCKETS as usize == BUCKETS);

/// What a metric is.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_metric_desc {
    /// Its name, with labels if there are several of its family: gomax_goroutines{state="running"}.
    pub name: *const c_char,
    /// What it counts, in a sentence.
    pub help: *const c_char,
    /// "ns", "bytes" or "".
    pub unit: *const c_char,
    /// GMX_METRIC_*.
    pub kind: i32,
    /// 0.
    pub reserved: u32,
}

/// A metric that is read.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gmx_metric {
    /// Which one. The caller's.
    pub name: *const c_char,
    /// For a histogram: room for GMX_METRIC_BUCKETS counts, or NULL. The caller's.
    pub buckets: *mut u64,
    /// GMX_METRIC_*, as read; GMX_METRIC_NONE if there is no such metric, and then all the rest is 0.
    pub kind: i32,
    /// 0.
    pub reserved: u32,
    /// Its value; of a histogram the number of durations.
    pub value: u64,
    /// Of a histogram: all durations together, in ns.
    pub sum: u64,
}

const DESCS: &[gmx_metric_desc; METRICS.len()] = &{
    let mut all = [desc(&METRICS[0]); METRICS.len()];
    let mut i = 1;
    while i < all.len() {
        all[i] = desc(&METRICS[i]);
        i += 1;
    }
    all
};

const fn desc(m: &Metric) -> gmx_metric_desc {
    gmx_metric_desc {
        name: m.name.as_ptr(),
        help: m.help.as_ptr(),
        unit: m.unit.text().as_ptr(),
        kind: m.kind as i32,
        reserved: 0,
    }
}

/// Metric i of the table, from 0; NULL behind the last.
///
/// ```c
/// const gmx_metric_desc *d;
/// for (size_t i = 0; (d = gmx_metric_info(i)) != NULL; i++) printf("%s: %s\n", d->name, d->help);
/// ```
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: what it returns is the library's, and stays.
/// Returns: the metric, or NULL.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_metric_info(i: usize) -> *const gmx_metric_desc {
    DESCS.get(i).map_or(std::ptr::null(), std::ptr::from_ref)
}

/// The upper bounds of the GMX_METRIC_BUCKETS buckets of each histogram, in ns. A bucket counts the durations above the
/// bound before and up to its own. The first bound is 128, the last but one 2^36 (69 s), with four for each power of
/// two; the last is UINT64_MAX.
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: what it returns is the library's, and stays.
/// Returns: the bounds, never NULL.
/// Since: 0.2
#[unsafe(no_mangle)]
pub extern "C" fn gmx_metric_bounds() -> *const u64 {
    const ALL: &[u64; BUCKETS] = &BOUNDS;
    ALL.as_ptr()
}

/// Reads n metrics by their names. A name that is not known is no error: its kind says so. Nothing stops for it; the
/// metrics of one call are read one after the other. Those of goroutines by state walk over all goroutines.
///
/// ```c
/// gmx_metric m[] = {{.name = "gomax_stops_total"}, {.name = "gomax_goroutines{state=\"runnable\"}"}};
/// gmx_status status = gmx_metrics_read(m, 2);
/// if (status == GMX_OK && m[0].kind == GMX_METRIC_COUNTER) printf("%llu stops\n", (unsigned long long)m[0].value);
/// ```
///
/// Blocks: never.
/// Call from: every context; it does not start the runtime.
/// Safepoint: no.
/// Migrates: no.
/// Cancellable: no.
/// Owns: nothing.
/// Returns: GMX_OK; GMX_EINVAL if metrics is NULL and n is not 0, if a name is NULL, or a reserved field is not 0;
/// GMX_ENOMEM.
/// Since: 0.2
///
/// # Safety
/// `metrics` is null or points to `n` entries, whose names are terminated and whose buckets have room.
#[must_use]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gmx_metrics_read(metrics: *mut gmx_metric, n: usize) -> gmx_status {
    if n == 0 {
        return GMX_OK;
    }
    if metrics.is_null() || !metrics.is_aligned() {
        return wrong(GMX_EINVAL);
    }
    // SAFETY: the caller's promise.
    let metrics = unsafe { std::slice::from_raw_parts_mut(metrics, n) };
    if metrics.iter().any(|m| m.name.is_null() || m.reserved != 0) {
        return wrong(GMX_EINVAL);
    }
    let m = match any() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let mut look = Look::new(m.sched());
    for out in metrics {
        // SAFETY: the caller's promise.
        let known = metrics::find(unsafe { CStr::from_ptr(out.name) });
        (out.kind, out.value, out.sum) = (GMX_METRIC_NONE, 0, 0);
        let Some(metric) = known else { continue };
        out.kind = metric.kind as i32;
        if let Some(value) = look.value(metric) {
            out.value = value;
            continue;
        }
        // SAFETY: the caller's promise.
        let counts = unsafe { out.buckets.cast::<[u64; BUCKETS]>().as_mut() };
        (out.value, out.sum) = look.durations(metric, counts);
    }
    GMX_OK
}

/// Calls write(arg, text, n) once, with all metrics as OpenMetrics text: what a server answers to a scraper, with
/// Content-Type application/openmetrics-text; version=1.0.0; charset=utf-8. Durations are in seconds, and histograms
/// have a bucket for each power of two.
///
/// write runs as the caller's own code, after the look: it may do what the caller may. It must return. The text is not
/// terminated.
///
/// Blocks: as write does.
/// Call from: every context; it does not start the runtime.
/// Safepoint: as write is.
/// Migrates: as write does.
/// Cancellable: as write is.
/// Owns: the text is the library's, good during the call.
/// Returns: what write returns, GMX_OK if all went well; GMX_EINVAL if write is NULL; GMX_ENOMEM.
/// Since: 0.2
#[must_use]
#[unsafe(no_mangle)]
pub extern "C" fn gmx_metrics_text(
    write: Option<extern "C" fn(*mut c_void, *const c_char, usize) -> gmx_status>,
    arg: *mut c_void,
) -> gmx_status {
    let Some(write) = write else { return wrong(GMX_EINVAL) };
    let m = match any() {
        Ok(m) => m,
        Err(status) => return status,
    };
    let Some(text) = metrics::text(m.sched()) else { return GMX_ENOMEM };
    drop(m);
    let status = crate::sys::call::text(write, arg, text.as_bytes());
    // The heap's lock must not be held by a thread that is held itself. (It may be another thread by now.)
    let _inside = MRef::current().map(Inside::enter);
    drop(text);
    status
}
