//! What the system says of itself, as far as it does.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::fs::{read_dir, read_to_string};
use std::thread::available_parallelism;

use lanestep::Level;

pub(crate) struct Machine {
    cpu: Option<String>,
    cores: usize,
    /// That a step runs on.
    pub(crate) threads: usize,
    nodes: usize,
    /// Of each level, a size and how many there are.
    caches: [(usize, usize); 3],
    total: Option<usize>,
    free: Option<usize>,
    huge_pages: Option<String>,
    load: Option<String>,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let info = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let cpu =
            info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split(':').nth(1));
        let nodes = read_dir("/sys/devices/system/node").into_iter().flatten().flatten();
        let nodes = nodes.filter(|entry| {
            let name = entry.file_name();
            name.to_string_lossy().strip_prefix("node").is_some_and(|rest| rest.parse::<usize>().is_ok())
        });
        let cores = available_parallelism().map_or(1, usize::from);
        // What a container may have counts, in either version of control groups.
        let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        let limit = limits.iter().filter_map(|path| read_to_string(path).ok()?.trim().parse().ok()).min();
        let limited = |bytes: usize| limit.map_or(bytes, |limit| bytes.min(limit));
        let load = read_to_string("/proc/loadavg").ok();
        let modes = read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok();
        Self {
            cpu: cpu.map(|name| name.trim().to_owned()),
            cores,
            threads: if cfg!(feature = "rayon") { rayon::current_num_threads() } else { 1 },
            nodes: nodes.count(),
            caches: [1, 2, 3].map(caches),
            total: kilobytes("/proc/meminfo", "MemTotal:"),
            free: kilobytes("/proc/meminfo", "MemAvailable:").map(limited),
            huge_pages: modes.and_then(|modes| Some(modes.split(['[', ']']).nth(1)?.to_owned())),
            load: load.and_then(|load| Some(load.split(' ').next()?.to_owned())),
        }
    }

    /// The bytes that are free.
    pub(crate) fn memory(&self) -> Option<usize> {
        self.free
    }

    /// The bytes of all caches of the last level.
    pub(crate) fn last_cache(&self) -> usize {
        self.caches.iter().map(|(size, count)| size * count).max().unwrap_or(0)
    }
}

/// The size of a data cache of a level, and how many of them there are.
fn caches(level: usize) -> (usize, usize) {
    let (mut size, mut sharing) = (0, BTreeSet::new());
    for cpu in read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten() {
        for cache in read_dir(cpu.path().join("cache")).into_iter().flatten().flatten() {
            let read =
                |name: &str| read_to_string(cache.path().join(name)).unwrap_or_default().trim().to_owned();
            if read("level") == level.to_string() && read("type") != "Instruction" {
                size = read("size").trim_end_matches('K').parse::<usize>().unwrap_or(0) << 10;
                sharing.insert(read("shared_cpu_list"));
            }
        }
    }
    (size, sharing.len())
}

/// The bytes that a file of the system has under a name.
pub(crate) fn kilobytes(path: &str, name: &str) -> Option<usize> {
    let text = read_to_string(path).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.split_whitespace().next()?.parse::<usize>().ok()? << 10)
}

/// Of what vectors are made from, those that the compiler may use everywhere.
fn target_features() -> String {
    let features = [
        ("sse2", cfg!(target_feature = "sse2")),
        ("sse4.2", cfg!(target_feature = "sse4.2")),
        ("avx", cfg!(target_feature = "avx")),
        ("avx2", cfg!(target_feature = "avx2")),
        ("fma", cfg!(target_feature = "fma")),
        ("avx512f", cfg!(target_feature = "avx512f")),
        ("neon", cfg!(target_feature = "neon")),
        ("simd128", cfg!(target_feature = "simd128")),
    ];
    features.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

impl Display for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let unknown = || String::from("unknown");
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        writeln!(
            f,
            "lanestep {} on {os} {arch}, built for {}",
            env!("CARGO_PKG_VERSION"),
            target_features()
        )?;
        let cpu = self.cpu.as_deref().unwrap_or(arch);
        writeln!(f, "CPU         {cpu}, {} cores, {} rayon threads", self.cores, self.threads)?;
        let levels: Vec<_> = Level::available().iter().map(ToString::to_string).collect();
        writeln!(f, "levels      {}", levels.join(", "))?;
        let known = (1..).zip(self.caches).filter(|(_, (size, _))| *size > 0);
        let caches: Vec<_> =
            known.map(|(level, (size, n))| format!("L{level} {} KiB x {n}", size >> 10)).collect();
        writeln!(f, "caches      {}", if caches.is_empty() { unknown() } else { caches.join(", ") })?;
        let gib = |bytes: Option<usize>| {
            bytes.map_or_else(unknown, |n| format!("{:.1} GiB", n as f64 / f64::from(1 << 30)))
        };
        writeln!(
            f,
            "memory      {}, {} to be had; NUMA nodes: {}",
            gib(self.total),
            gib(self.free),
            self.nodes
        )?;
        if self.nodes > 1 {
            writeln!(f, "            what is measured is on one node; on all with numactl --interleave=all")?;
        }
        writeln!(f, "huge pages  {}", self.huge_pages.clone().unwrap_or_else(unknown))?;
        write!(
            f,
            "load        {} before this; beside other programs, figures are rough",
            self.load.clone().unwrap_or_else(unknown)
        )
    }
}
