//! The default number of Ps of a process: as many as it may use CPUs.
//!
//! That is the number of CPUs in the affinity mask (which contains cpusets), or less if a cgroup limits CPU time. As in
//! Go since 1.25, a limit of 2.1 CPUs makes 3 Ps, because 2 could not use it up; and no limit makes fewer than 2,
//! because with a single P the throttling of one goroutine would stop all. Go reads only the cgroup of the process;
//! here every visible ancestor counts too, because a pod's limit is often set above the container's own cgroup.
//!
//! These files hold the limits (all of them may exist at once, and the tightest counts):
//!
//! ```text
//! /proc/self/cgroup        0::/a/b                  the process is in /a/b of the v2 tree,
//!                          4:cpu,cpuacct:/c         and in /c of the v1 tree that has the cpu controller
//! /proc/self/mountinfo     ... ROOT MOUNT ... - cgroup2 ...      ROOT of that tree is what shows at MOUNT
//! MOUNT/(/a/b - ROOT)/cpu.max, MOUNT/(/a - ROOT)/cpu.max, ...    "150000 100000" = 1.5 CPUs, or "max 100000"
//! MOUNT/(/c - ROOT)/cpu.cfs_quota_us and cpu.cfs_period_us, ...  v1; a quota of -1 is none
//! ```
//!
//! The template thread asks once a second. So [`Procs`] keeps the file names that it found, and looks for them again
//! only when the process has moved to another cgroup or a file has gone. Nothing here fails: a file that cannot be read
//! or understood sets no limit. Sizes that come from outside are capped, and all memory is requested in ways that may
//! be refused.

use super::array::{Array, Full};
use super::c;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::fd::FromRawFd;

/// Otherwise a limit below one CPU would put everything behind one throttled P.
const FEWEST_BY_QUOTA: u64 = 2;

/// The most files that are read, with one or two reads each. A host may have thousands of bind mounts of the same tree.
const MOST_LIMITS: usize = 64;

const MOST_CGROUP: usize = 64 << 10;
const MOST_MOUNTINFO: usize = 16 << 20;
/// A path has at most 4096 bytes, each of them four characters when escaped.
const MOST_LINE: usize = 64 << 10;

/// The default number of Ps at this moment, by the affinity of a thread. A caller that asks repeatedly keeps a
/// [`Procs`].
pub fn default_procs(thread: i32) -> i32 {
    Procs::of(thread).current()
}

/// The sources of the facts.
#[derive(Default)]
pub struct Source {
    /// Empty, or a directory that looks like `/`.
    pub root: Vec<u8>,
    /// CPUs in the affinity mask; `None` asks the kernel.
    pub cpus: Option<i32>,
    /// The thread whose affinity counts; 0 is the calling one.
    pub thread: i32,
}

impl Source {
    fn path(&self, absolute: &[u8]) -> Result<Name, Trouble> {
        Name::of(&[&self.root, absolute])
    }
}

/// The name of a file, with a single NUL at its end.
#[derive(PartialEq)]
struct Name(Array<u8>);

impl Name {
    fn of(parts: &[&[u8]]) -> Result<Name, Trouble> {
        let mut name = Array::new();
        name.reserve_exact(parts.iter().map(|p| p.len()).sum::<usize>() + 1)?;
        parts.iter().copied().flatten().for_each(|&b| name.put(b));
        name.put(0);
        Ok(Name(name))
    }
}

/// The default number of Ps, kept up to date.
pub struct Procs {
    source: Source,
    /// `/proc/self/cgroup` as it was when `limits` was made. `None` makes `limits` anew.
    seen: Option<Array<u8>>,
    limits: Array<Limit>,
    /// The last answer. It stays valid while the files cannot be read.
    limit: Option<u64>,
    /// Kept so that a request allocates nothing.
    buf: Array<u8>,
}

impl Procs {
    pub fn of(thread: i32) -> Procs {
        Procs::with(Source { thread, ..Source::default() })
    }

    pub fn with(source: Source) -> Procs {
        Procs { source, seen: None, limits: Array::new(), limit: None, buf: Array::new() }
    }

    /// At least 1, at most the CPUs of the affinity mask.
    pub fn current(&mut self) -> i32 {
        let errno = Errno::save();
        let cpus = self.source.cpus.unwrap_or_else(|| affinity(self.source.thread)).max(1);
        let procs = if cpus as u64 <= FEWEST_BY_QUOTA || !super::without::may_open() {
            cpus // no limit can make it less, or none may be read
        } else {
            if let Ok(limit) = self.tightest() {
                self.limit = limit;
            }
            self.limit.map_or(cpus, |limit| limit.max(FEWEST_BY_QUOTA).min(cpus as u64) as i32)
        };
        errno.restore();
        procs
    }

    /// The smallest limit in whole CPUs, rounded up.
    fn tightest(&mut self) -> Result<Option<u64>, Trouble> {
        if !read_capped(&self.source.path(b"/proc/self/cgroup")?, MOST_CGROUP, &mut self.buf)? {
            return Ok(None);
        }
        if self.seen.as_ref() != Some(&self.buf) {
            self.resolve()?;
        }
        match self.read_limits() {
            Err(Trouble::Gone) => {
                self.resolve()?;
                self.read_limits() // none of the files is known from before, so none can be gone
            }
            limit => limit,
        }
    }

    fn resolve(&mut self) -> Result<(), Trouble> {
        self.seen = None;
        self.limits = resolve(&self.source, &self.buf)?;
        self.seen = copy(&self.buf);
        Ok(())
    }

    fn read_limits(&mut self) -> Result<Option<u64>, Trouble> {
        let mut tightest = None;
        for limit in self.limits.iter_mut() {
            if let Some(cpus) = limit.read()? {
                tightest = Some(tightest.map_or(cpus, |t: u64| t.min(cpus)));
            }
        }
        Ok(tightest)
    }
}

/// One cgroup's limit.
struct Limit {
    files: Files,
    was_there: bool,
}

#[derive(PartialEq)]
enum Files {
    V2 { max: Name },
    V1 { quota: Name, period: Name },
}

enum Trouble {
    /// A file has disappeared: it was unmounted, or moved while the name of the cgroup stayed the same.
    Gone,
    /// The host is out of file descriptors or memory. If that counted as "no limit", a busy server would get all CPUs
    /// just then.
    NotNow,
}

impl From<Full> for Trouble {
    fn from(_: Full) -> Trouble {
        Trouble::NotNow
    }
}

impl Limit {
    /// Whole CPUs, rounded up. `None` means no limit.
    fn read(&mut self) -> Result<Option<u64>, Trouble> {
        let (mut first, mut second) = ([0; 128], [0; 128]);
        let (text, period) = match &self.files {
            Files::V2 { max } => (read_small(max, &mut first)?, None),
            Files::V1 { quota, period } => (read_small(quota, &mut first)?, read_small(period, &mut second)?),
        };
        // Most ancestors have no such file: the controller is not enabled there, or it is the root.
        let was_there = std::mem::replace(&mut self.was_there, text.is_some());
        let Some(text) = text else { return if was_there { Err(Trouble::Gone) } else { Ok(None) } };
        let mut words = words(text).chain(words(period.unwrap_or(b"")));
        let (quota, period) = (words.next(), words.next());
        Ok(match (quota.and_then(number), period.and_then(number)) {
            (Some(quota), Some(period)) if quota > 0 && period > 0 => Some(quota.div_ceil(period)),
            _ => None,
        })
    }
}

/// Finds every file that may hold a limit for a process whose `/proc/self/cgroup` is `cgroup`.
fn resolve(source: &Source, cgroup: &[u8]) -> Result<Array<Limit>, Trouble> {
    let mut limits = Array::new();
    let (v2, v1) = memberships(cgroup);
    let mut mountinfo = Array::new();
    if !read_capped(&source.path(b"/proc/self/mountinfo")?, MOST_MOUNTINFO, &mut mountinfo)? {
        return Ok(limits);
    }
    for mount in lines(&mountinfo).filter_map(Mount::parse) {
        let Some(path) = (if mount.v2 { v2 } else { v1 }) else { continue };
        let (root, point) = (unescape(mount.root)?, unescape(mount.point)?);
        let Some(mut below) = below(path, &root) else { continue };
        loop {
            let file = |name| Name::of(&[&source.root, &point, if below.is_empty() { b"" } else { b"/" }, below, name]);
            let files = match mount.v2 {
                true => Files::V2 { max: file(b"/cpu.max")? },
                false => Files::V1 { quota: file(b"/cpu.cfs_quota_us")?, period: file(b"/cpu.cfs_period_us")? },
            };
            if limits.len() >= MOST_LIMITS || limits.reserve(1).is_err() {
                return Ok(limits);
            }
            if !limits.iter().any(|limit: &Limit| limit.files == files) {
                limits.put(Limit { files, was_there: false });
            }
            if below.is_empty() {
                break;
            }
            // Up, to the mount itself.
            below = &below[..below.iter().rposition(|&c| c == b'/').unwrap_or(0)];
        }
    }
    Ok(limits)
}

/// The place of the process in the v2 tree and in the v1 tree of the cpu controller.
fn memberships(cgroup: &[u8]) -> (Option<&[u8]>, Option<&[u8]>) {
    let (mut v2, mut v1) = (None, None);
    for line in lines(cgroup) {
        let mut fields = line.splitn(3, |&c| c == b':'); // the path may hold more of them
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        if !path.starts_with(b"/") {
            continue;
        }
        if id == b"0" && controllers.is_empty() {
            v2 = Some(path);
        } else if controllers.split(|&c| c == b',').any(|c| c == b"cpu") {
            v1 = Some(path);
        }
    }
    (v2, v1)
}

/// A line of mountinfo that shows a tree with CPU limits.
struct Mount<'a> {
    v2: bool,
    /// Escaped.
    root: &'a [u8],
    /// Escaped.
    point: &'a [u8],
}

impl Mount<'_> {
    /// `36 35 98:0 /root /mount/point rw,nosuid shared:1 ... - cgroup source rw,cpu`
    fn parse(line: &[u8]) -> Option<Mount<'_>> {
        let mut fields = line.split(|&c| c == b' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        fields.next()?;
        fields.find(|&field| field == b"-")?; // after any number of optional fields
        let kind = fields.next()?;
        let options = fields.last()?; // after the source, which may be empty
        let v2 = kind == b"cgroup2";
        let v1 = kind == b"cgroup" && options.split(|&c| c == b',').any(|option| option == b"cpu");
        (v1 || v2).then_some(Mount { v2, root, point })
    }
}

/// The place at which a mount of `root` shows `path`, without a leading slash.
///
/// Both are as seen from the root of the caller's cgroup namespace, so either may begin with `..`: `/..` as a mount's
/// root is the parent of the namespace's root, whose own name cannot be known.
fn below<'a>(path: &'a [u8], root: &[u8]) -> Option<&'a [u8]> {
    let root = root.strip_suffix(b"/").unwrap_or(root);
    let up = |path: &[u8]| components(path).take_while(|&c| c == b"..").count();
    if let Some(rest) = path.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with(b"/")) {
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        return if components(rest).any(|c| c == b"..") { None } else { Some(rest) };
    }
    // The mount begins above this process: the limit at its top applies, and the way down is unknown.
    let all_up = components(root).all(|c| c == b"..");
    if all_up && up(path) < up(root) { Some(b"") } else { None }
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&c| c == b'/').filter(|c| !c.is_empty())
}

/// `\040` and the like, as the kernel writes space, tab, newline and backslash.
fn unescape(text: &[u8]) -> Result<Array<u8>, Trouble> {
    let mut out = Array::new();
    out.reserve_exact(text.len())?;
    let mut rest = text;
    while let Some((&first, tail)) = rest.split_first() {
        if let (b'\\', &[a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) = (first, tail) {
            out.put((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
            rest = &tail[3..];
        } else {
            out.put(first);
            rest = tail;
        }
    }
    Ok(out)
}

/// Whole lines only: the last one may have been cut off.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|&c| c == b'\n').filter_map(|line| line.strip_suffix(b"\n")).filter(|l| l.len() <= MOST_LINE)
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|c| c.is_ascii_whitespace()).filter(|word| !word.is_empty())
}

/// "max", "-1", garbage and numbers that do not fit count as no number.
fn number(word: &[u8]) -> Option<u64> {
    word.iter().try_fold(0u64, |n, &c| match c {
        b'0'..=b'9' => n.checked_mul(10)?.checked_add(u64::from(c - b'0')),
        _ => None,
    })
}

fn copy(text: &[u8]) -> Option<Array<u8>> {
    Array::of(text.len(), |i| text[i])
}

fn open(path: &Name) -> Result<Option<File>, Trouble> {
    // SAFETY: the name ends with NUL.
    let fd = unsafe { libc::open(path.0.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC, 0) };
    if fd >= 0 {
        // SAFETY: just opened, and owned by no other code.
        return Ok(Some(unsafe { File::from_raw_fd(fd) }));
    }
    if is_passing(&std::io::Error::last_os_error()) { Err(Trouble::NotNow) } else { Ok(None) }
}

fn is_passing(e: &std::io::Error) -> bool {
    matches!(e.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EINTR))
}

/// `None` if there is no such file. Empty if it does not fit, so that half a number is never read as one.
fn read_small<'a>(path: &Name, buf: &'a mut [u8; 128]) -> Result<Option<&'a [u8]>, Trouble> {
    let Some(mut file) = open(path)? else { return Ok(None) };
    let mut len = 0;
    while len < buf.len() {
        match file.read(&mut buf[len..]) {
            Ok(0) => return Ok(Some(&buf[..len])),
            Ok(n) => len += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if is_passing(&e) => return Err(Trouble::NotNow),
            Err(_) => return Ok(None), // ENODEV: the cgroup went in between
        }
    }
    Ok(Some(b""))
}

/// Fills `buf` with at most `most` bytes of the file. Returns whether the file exists.
fn read_capped(path: &Name, most: usize, buf: &mut Array<u8>) -> Result<bool, Trouble> {
    const CHUNK: usize = 4096;
    buf.clear();
    let Some(mut file) = open(path)? else { return Ok(false) };
    let mut len = 0;
    while len < most {
        if buf.len() < len + CHUNK {
            buf.reserve(CHUNK)?;
            buf.pad(len + CHUNK, 0);
        }
        match file.read(&mut buf[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if is_passing(&e) => return Err(Trouble::NotNow),
            Err(_) => return Ok(false),
        }
    }
    buf.truncate(len);
    Ok(true)
}

/// The number of CPUs on which the thread may run.
fn affinity(thread: i32) -> i32 {
    let mut small = [0u64; 16];
    let mut large = Array::new();
    let mut mask = &mut small[..];
    loop {
        // SAFETY: the kernel writes at most the bytes that it is told of, all of them ours, and any bits are a u64.
        let rc = unsafe { libc::sched_getaffinity(thread, size_of_val(mask), mask.as_mut_ptr().cast()) };
        if rc == 0 {
            let cpus: u32 = mask.iter().map(|word| word.count_ones()).sum();
            return i32::try_from(cpus).unwrap_or(i32::MAX).max(1);
        }
        // EINVAL: the machine has more CPUs than the mask has bits.
        let words = mask.len() * 2;
        let too_small = std::io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL);
        if !too_small || words > 1 << 16 || large.reserve_exact(words - large.len()).is_err() {
            let online = c::sysconf(libc::_SC_NPROCESSORS_ONLN);
            return i32::try_from(online).unwrap_or(1).max(1);
        }
        large.clear();
        large.pad(words, 0u64);
        mask = &mut large;
    }
}

/// `errno` of the calling thread, restored afterwards: it belongs to the G.
struct Errno(i32);

impl Errno {
    fn save() -> Errno {
        Errno(c::errno())
    }

    fn restore(self) {
        c::set_errno(self.0);
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A directory that looks like `/`.
    struct Tree(PathBuf);

    impl Tree {
        fn new() -> Tree {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!("gomax-ncpu-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let root = std::env::temp_dir().join(name);
            fs::create_dir_all(&root).unwrap();
            Tree(root)
        }

        fn file(self, path: &str, text: &str) -> Tree {
            self.write(path, text.as_bytes());
            self
        }

        fn write(&self, path: &str, text: &[u8]) {
            let path = self.0.join(path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn source(&self, cpus: i32) -> Source {
            Source { root: self.0.as_os_str().as_bytes().to_vec(), cpus: Some(cpus), thread: 0 }
        }

        fn procs(&self, cpus: i32) -> i32 {
            Procs::with(self.source(cpus)).current()
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const V2_MOUNT: &str = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";

    fn v2(cpu_max: &str) -> Tree {
        Tree::new()
            .file("/proc/self/cgroup", "0::/app\n")
            .file("/proc/self/mountinfo", V2_MOUNT)
            .file("/sys/fs/cgroup/app/cpu.max", cpu_max)
    }

    fn v1(quota: &str, period: &str) -> Tree {
        Tree::new()
            .file("/proc/self/cgroup", "5:devices:/x\n4:cpu,cpuacct:/app\n0::/\n")
            .file(
                "/proc/self/mountinfo",
                "40 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                 32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw master:9 shared:2 - cgroup cgroup rw,cpu,cpuacct\n",
            )
            .file("/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", quota)
            .file("/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", period)
            .file("/sys/fs/cgroup/cpuset/app/cpu.cfs_quota_us", "200000\n")
            .file("/sys/fs/cgroup/cpuset/app/cpu.cfs_period_us", "100000\n")
    }

    #[test]
    fn quota_is_rounded_up_and_makes_no_fewer_than_two() {
        for (quota, procs) in [(10_000, 2), (50_000, 2), (100_000, 2), (150_000, 2), (200_000, 2), (210_000, 3)] {
            assert_eq!(v2(&format!("{quota} 100000\n")).procs(8), procs, "v2 {quota}");
            assert_eq!(v1(&format!("{quota}\n"), "100000\n").procs(8), procs, "v1 {quota}");
        }
    }

    #[test]
    fn quota_never_makes_more_than_the_cpus() {
        assert_eq!(v2("400000 100000\n").procs(1), 1);
        assert_eq!(v2("50000 100000\n").procs(1), 1);
        assert_eq!(v2("400000 100000\n").procs(3), 3);
        assert_eq!(v2("400000 100000\n").procs(4), 4);
        assert_eq!(v2("400000 100000\n").procs(5), 4);
        assert_eq!(v2("18446744073709551615 1\n").procs(64), 64);
    }

    #[test]
    fn no_limit() {
        assert_eq!(v2("max 100000\n").procs(8), 8);
        assert_eq!(v1("-1\n", "100000\n").procs(8), 8);
        assert_eq!(Tree::new().procs(8), 8);
        assert_eq!(Tree::new().file("/proc/self/cgroup", "0::/app\n").procs(8), 8);
        assert_eq!(Tree::new().file("/proc/self/mountinfo", V2_MOUNT).procs(8), 8);
        let no_file = Tree::new().file("/proc/self/cgroup", "0::/app\n").file("/proc/self/mountinfo", V2_MOUNT);
        assert_eq!(no_file.procs(8), 8);
        let no_period = Tree::new()
            .file("/proc/self/cgroup", "4:cpu:/\n")
            .file("/proc/self/mountinfo", "32 31 0:29 / /cpu rw - cgroup cgroup rw,cpu\n")
            .file("/cpu/cpu.cfs_quota_us", "100000\n");
        assert_eq!(no_period.procs(8), 8);
    }

    #[test]
    fn garbage_is_no_limit() {
        let zeros = "0".repeat(200) + "3 1\n";
        for text in [
            "",
            "\n",
            "3",
            "3\n",
            "x y\n",
            "300000 0\n",
            "0 100000\n",
            "-5 100000\n",
            "3e5 100000\n",
            "1.5 1\n",
            "99999999999999999999 100000\n",
            "3\0 1\n",
            "\u{fffd} 100000\n",
            &zeros,
        ] {
            assert_eq!(v2(text).procs(8), 8, "{text:?}");
        }
        assert_eq!(v2("  300000\t100000  more\n").procs(8), 3);
        assert_eq!(v1("x\n", "100000\n").procs(8), 8);
        assert_eq!(v1("300000\n", "0\n").procs(8), 8);

        let tree = v2("300000 100000\n");
        for cgroup in ["", "\n", ":", "::", "0::", "0::app\n", "0:/app\n", "0::/app", "x\n\n::\n"] {
            tree.write("/proc/self/cgroup", cgroup.as_bytes());
            assert_eq!(tree.procs(8), 8, "{cgroup:?}");
        }
        tree.write("/proc/self/cgroup", b"\xff\xfe:\n0::/app\n");
        assert_eq!(tree.procs(8), 3);
        for mountinfo in ["", "\n", "- cgroup2", " - \n", "1 2 3 / /m rw - cgroup2\n", "1 2 3 / /m rw - - - -\n"] {
            tree.write("/proc/self/mountinfo", mountinfo.as_bytes());
            assert_eq!(tree.procs(8), 8, "{mountinfo:?}");
        }
    }

    #[test]
    fn long_files_are_cut() {
        let tree = v2("300000 100000\n");
        let mut mountinfo = vec![b'x'; MOST_LINE * 3];
        mountinfo.extend_from_slice(b" - cgroup2 a b\n");
        mountinfo.extend_from_slice(V2_MOUNT.as_bytes());
        tree.write("/proc/self/mountinfo", &mountinfo);
        assert_eq!(tree.procs(8), 3);
        let mounts: String = (0..5000).map(|i| V2_MOUNT.replace("/sys/fs/cgroup ", &format!("/m{i} "))).collect();
        tree.write("/proc/self/mountinfo", mounts.as_bytes());
        let mut procs = Procs::with(tree.source(8));
        assert_eq!(procs.current(), 8);
        assert_eq!(procs.limits.len(), MOST_LIMITS);
        tree.write("/proc/self/cgroup", &vec![b'0'; MOST_CGROUP * 2]);
        assert_eq!(tree.procs(8), 8);
    }

    #[test]
    fn tightest_ancestor_counts() {
        let tree = Tree::new()
            .file("/proc/self/cgroup", "0::/pod/box/job\n")
            .file("/proc/self/mountinfo", V2_MOUNT)
            .file("/sys/fs/cgroup/pod/cpu.max", "300000 100000\n")
            .file("/sys/fs/cgroup/pod/box/cpu.max", "max 100000\n")
            .file("/sys/fs/cgroup/pod/box/job/cpu.max", "600000 100000\n")
            .file("/sys/fs/cgroup/pod/other/cpu.max", "200000 100000\n");
        assert_eq!(tree.procs(8), 3);
        tree.write("/sys/fs/cgroup/pod/cpu.max", b"700000 100000\n");
        assert_eq!(tree.procs(8), 6);

        let tree = v1("600000\n", "100000\n")
            .file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "450000\n")
            .file("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
        assert_eq!(tree.procs(8), 5);
    }

    #[test]
    fn hybrid_takes_the_tighter_tree() {
        let tree = |v2_max: &str, v1_quota: &str| {
            Tree::new()
                .file("/proc/self/cgroup", "4:cpu:/a\n1:name=systemd:/s\n0::/b\n")
                .file(
                    "/proc/self/mountinfo",
                    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                     41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
                )
                .file("/sys/fs/cgroup/unified/b/cpu.max", v2_max)
                .file("/sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", v1_quota)
                .file("/sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000\n")
        };
        assert_eq!(tree("500000 100000\n", "300000\n").procs(8), 3);
        assert_eq!(tree("300000 100000\n", "500000\n").procs(8), 3);
        assert_eq!(tree("max 100000\n", "500000\n").procs(8), 5);
    }

    #[test]
    fn mount_that_shows_a_part_of_the_tree() {
        // a container without a cgroup namespace: its own cgroup is the root of what is mounted
        let tree = |root: &str, path: &str| {
            Tree::new()
                .file("/proc/self/cgroup", &format!("0::{path}\n"))
                .file("/proc/self/mountinfo", &V2_MOUNT.replace(" / ", &format!(" {root} ")))
                .file("/sys/fs/cgroup/cpu.max", "300000 100000\n")
                .file("/sys/fs/cgroup/job/cpu.max", "250000 50000\n")
                .file("/sys/fs/cgroup/docker/cpu.max", "200000 100000\n")
        };
        assert_eq!(tree("/docker/abc", "/docker/abc").procs(8), 3);
        assert_eq!(tree("/docker/abc", "/docker/abc/job").procs(8), 3);
        assert_eq!(tree("/docker/ab", "/docker/abc").procs(8), 8, "a name is not its prefix");
        assert_eq!(tree("/docker/abc", "/docker").procs(8), 8, "the mount begins below us");
        // mounted from outside the cgroup namespace
        assert_eq!(tree("/..", "/").procs(8), 3, "the namespace's parent limits us");
        assert_eq!(tree("/../..", "/../docker").procs(8), 3);
        assert_eq!(tree("/..", "/../docker").procs(8), 2);
        assert_eq!(tree("/..", "/../../docker").procs(8), 8);
        assert_eq!(tree("/", "/../docker").procs(8), 8, "the process is outside of its namespace");
    }

    #[test]
    fn several_mounts_of_one_tree() {
        let tree = v2("500000 100000\n").file("/other/place/cpu.max", "300000 100000\n");
        let bind = V2_MOUNT.replace(" / /sys/fs/cgroup ", " /app /other/place ");
        tree.write("/proc/self/mountinfo", format!("{bind}{V2_MOUNT}{bind}").as_bytes());
        let mut procs = Procs::with(tree.source(8));
        assert_eq!(procs.current(), 3);
        assert_eq!(procs.limits.len(), 3, "the same file once");
    }

    #[test]
    fn escaped_names() {
        let tree = Tree::new()
            .file("/proc/self/cgroup", "0::/a b\\x/c:d\n")
            .file("/proc/self/mountinfo", "31 23 0:28 /a\\040b\\134x /m\\011t\\012\\\\9 rw - cgroup2  rw\n")
            .file("/m\tt\n\\\\9/c:d/cpu.max", "300000 100000\n");
        assert_eq!(tree.procs(8), 3);
        assert!(unescape(b"\\").is_ok_and(|t| *t == *b"\\"));
        assert!(unescape(b"\\04").is_ok_and(|t| *t == *b"\\04"));
        assert!(unescape(b"\\400\\377").is_ok_and(|t| *t == *b"\\400\xff"));
    }

    #[test]
    fn changes_are_seen() {
        let tree = v2("300000 100000\n").file("/sys/fs/cgroup/b/cpu.max", "400000 100000\n");
        let mut procs = Procs::with(tree.source(8));
        assert_eq!(procs.current(), 3);
        tree.write("/sys/fs/cgroup/app/cpu.max", b"500000 100000\n");
        assert_eq!(procs.current(), 5);
        tree.write("/proc/self/cgroup", b"0::/b\n");
        assert_eq!(procs.current(), 4);
        // a controller that is enabled later
        tree.write("/sys/fs/cgroup/cpu.max", b"300000 100000\n");
        assert_eq!(procs.current(), 3);
        fs::remove_file(tree.0.join("sys/fs/cgroup/cpu.max")).unwrap();
        assert_eq!(procs.current(), 4);
        // mounted elsewhere, same cgroup
        fs::rename(tree.0.join("sys/fs/cgroup"), tree.0.join("sys/fs/elsewhere")).unwrap();
        tree.write("/proc/self/mountinfo", V2_MOUNT.replace("fs/cgroup", "fs/elsewhere").as_bytes());
        assert_eq!(procs.current(), 4);
        fs::remove_file(tree.0.join("proc/self/cgroup")).unwrap();
        assert_eq!(procs.current(), 8);
    }

    #[test]
    fn no_descriptors_is_not_no_limit() {
        let tree = v2("300000 100000\n");
        let mut procs = Procs::with(tree.source(8));
        assert_eq!(procs.current(), 3);
        // in a child, because the limit would be that of all tests of this process
        // SAFETY: the child only opens and reads files, compares numbers and leaves with _exit.
        match unsafe { libc::fork() } {
            0 => {
                let none = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
                // SAFETY: `none` outlives the call, which keeps no pointer.
                let rc = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &none) };
                let kept = procs.current() == 3;
                // SAFETY: ends the child at once, without destructors, which would remove the parent's tree.
                unsafe { libc::_exit(if rc == 0 && kept { 0 } else { 1 }) }
            }
            child => {
                let mut status = -1;
                // SAFETY: `status` outlives the call.
                let waited = unsafe { libc::waitpid(child, &mut status, 0) };
                assert_eq!((waited, status), (child, 0));
            }
        }
    }

    #[test]
    fn this_machine() {
        let procs = default_procs(0);
        assert!(procs >= 1 && procs <= affinity(0));
        assert!(procs as usize >= std::thread::available_parallelism().unwrap().get());

        c::set_errno(1234);
        Procs::with(Source { root: b"/nowhere".to_vec(), cpus: Some(8), thread: 0 }).current();
        assert_eq!(c::errno(), 1234);
    }
}
