//! Figures of the process and of the machine, from /proc and /sys.

use efio_benches::record::Machine;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Counters at one moment.
#[derive(Clone, Copy)]
pub struct Snapshot {
    pub at: Instant,
    /// Processor seconds of this process.
    pub cpu: f64,
    /// Processor seconds of the machine that were not idle, and those that the host took.
    pub machine: f64,
    pub stolen: f64,
    /// Bytes that the device of the directory read and wrote.
    pub device: (u64, u64),
}

impl Snapshot {
    pub fn take(dir: &Path) -> io::Result<Self> {
        let (machine, stolen) = machine_cpu()?;
        Ok(Self {
            at: Instant::now(),
            cpu: process_cpu(),
            machine,
            stolen,
            device: device_bytes(dir).unwrap_or_default(),
        })
    }
}

fn process_cpu() -> f64 {
    // SAFETY: room for the answer; all zeros are a valid value of it.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

/// Busy and stolen seconds of all processors.
pub fn machine_cpu() -> io::Result<(f64, f64)> {
    let stat = fs::read_to_string("/proc/stat")?;
    let ticks: Vec<f64> = stat
        .lines()
        .next()
        .into_iter()
        .flat_map(|line| line.split_whitespace().skip(1))
        .filter_map(|field| field.parse().ok())
        .collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = ticks[..] else {
        return Err(io::Error::other("/proc/stat is not as expected"));
    };
    // SAFETY: no pointers.
    let hertz = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    Ok((
        (user + nice + system + irq + softirq) / hertz,
        steal / hertz,
    ))
}

fn device(dir: &Path) -> io::Result<String> {
    let device = fs::metadata(dir)?.dev();
    Ok(format!(
        "/sys/dev/block/{}:{}",
        libc::major(device),
        libc::minor(device)
    ))
}

/// Bytes that the device read and wrote since it was found. None of a file system without one.
fn device_bytes(dir: &Path) -> io::Result<(u64, u64)> {
    let stat = fs::read_to_string(device(dir)? + "/stat")?;
    let fields: Vec<u64> = stat
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    match fields[..] {
        [_, _, read, _, _, _, wrote, ..] => Ok((read * 512, wrote * 512)),
        _ => Err(io::Error::other("the device's stat is not as expected")),
    }
}

/// The most memory of this process that was resident. Unlike `ru_maxrss`, it does not begin with
/// that of the process that started this one.
pub fn peak_memory() -> u64 {
    field("/proc/self/status", "VmHWM:").unwrap_or(0) * 1024
}

fn field(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What the figures depend on.
pub fn machine(dir: &Path) -> Machine {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo").lines().find_map(|line| {
        Some(
            line.strip_prefix("model name")?
                .split_once(':')?
                .1
                .trim()
                .to_owned(),
        )
    });
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Machine {
        processor: format!("{processors} × {}", model.unwrap_or_default()),
        memory: field("/proc/meminfo", "MemTotal:").unwrap_or(0) * 1024,
        kernel: release(&read("/proc/sys/kernel/osrelease")).to_owned(),
        storage: storage(dir).unwrap_or_default(),
    }
}

/// The kernel's version, without what its builder called it.
fn release(text: &str) -> &str {
    text.trim().split('-').next().unwrap_or("")
}

/// The last commit that changed efio or this program, with a plus sign when they were changed
/// since.
pub fn version() -> String {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .args(["-C", env!("CARGO_MANIFEST_DIR")])
            .args(arguments);
        let output = command.args(["--", "../crates", "src"]).output().ok()?;
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let commit = git(&["log", "-1", "--format=%h"]).unwrap_or_default();
    let changes = git(&["status", "--porcelain"]).unwrap_or_default();
    let changed = if changes.is_empty() { "" } else { "+" };
    commit + changed
}

fn storage(dir: &Path) -> io::Result<String> {
    let device = device(dir)?;
    let name = fs::canonicalize(&device)?;
    let name = name
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let scheduler = fs::read_to_string(device + "/queue/scheduler").unwrap_or_default();
    let chosen = scheduler
        .split(['[', ']'])
        .nth(1)
        .unwrap_or("no")
        .to_owned();
    Ok(format!(
        "{} on {name}, {chosen} scheduler",
        file_system(dir)?
    ))
}

fn file_system(dir: &Path) -> io::Result<&'static str> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(dir.as_os_str().as_bytes())?;
    // SAFETY: a C string, and room for the answer.
    let kind = unsafe {
        let mut stat: libc::statfs = std::mem::zeroed();
        libc::statfs(path.as_ptr(), &raw mut stat);
        stat.f_type
    };
    Ok(match kind {
        libc::EXT4_SUPER_MAGIC => "ext4",
        libc::XFS_SUPER_MAGIC => "xfs",
        libc::BTRFS_SUPER_MAGIC => "btrfs",
        libc::TMPFS_MAGIC => "tmpfs",
        _ => "an unknown file system",
    })
}
