//! What Linux tells about CPU time, memory and the machine itself.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

/// CPU time that each thread of a process has had.
pub(crate) struct CpuTime(BTreeMap<String, Duration>);

impl CpuTime {
    /// What a process has had until now; threads that have ended are not in it.
    pub(crate) fn of(pid: u32) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
        let names = threads.map(|thread| thread.unwrap().file_name().into_string().unwrap());
        Self(
            names.filter_map(|tid| Some((tid.clone(), spent(&format!("/proc/{pid}/task/{tid}/schedstat"))?))).collect(),
        )
    }

    /// CPU time since `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Duration {
        let of = |(tid, now): (&String, &Duration)| now.saturating_sub(earlier.0.get(tid).copied().unwrap_or_default());
        self.0.iter().map(of).sum()
    }
}

/// CPU time of the calling thread. The kernel brings the figure up to date when the thread gives way, so it does.
pub(crate) fn thread_cpu() -> Duration {
    std::thread::yield_now();
    spent("/proc/thread-self/schedstat").expect("a thread that runs has its statistics")
}

/// The first figure of a `schedstat`: nanoseconds on a CPU.
fn spent(path: &str) -> Option<Duration> {
    let text = fs::read_to_string(path).ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

/// Memory of a process that is in use, in KiB.
pub(crate) fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The machine, the compiler and what the product is built of, on one line.
pub(crate) fn description() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name\t: ")).unwrap_or("unknown CPU");
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default().trim().to_owned();
    let rust = std::process::Command::new("rustc").arg("--version").output().ok();
    let rust = rust.and_then(|output| String::from_utf8(output.stdout).ok()).unwrap_or_default();
    let rust = rust.split(' ').nth(1).unwrap_or("of unknown version").to_owned();
    let crates = ["actix-web", "aws-lc-rs", "openssl-src"].map(|name| format!("{name} {}", locked(name)));
    format!("{model}, {cores} cores, Linux {kernel}; Rust {rust}, {}", crates.join(", "))
}

/// The version of a dependency.
fn locked(name: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let package = lock.split("[[package]]\n").find(|package| package.starts_with(&format!("name = \"{name}\"\n")));
    package.and_then(|package| package.split('"').nth(3)).unwrap_or("none")
}
