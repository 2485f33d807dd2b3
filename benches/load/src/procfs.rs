//! What /proc says of the server under load, of ourselves and of the machine.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result, ensure};

/// Ticks a second in /proc; Linux shows 100 to user space on every machine that this runs on.
const TICKS: f64 = 100.0;

/// A process at one moment. Differences of two are what is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Process {
    /// Nanoseconds on a core of each living thread, user and system.
    threads: HashMap<u32, u64>,
    /// Milliseconds in user space and in the kernel, all threads, also ended ones.
    pub(crate) user_ms: f64,
    pub(crate) system_ms: f64,
    /// Context switches of living threads, voluntary and not.
    switches: [u64; 2],
    /// Its share of memory, see `Pss` in proc(5).
    pub(crate) pss_kib: u64,
}

impl Process {
    /// Reads everything; the error names the file.
    pub(crate) fn read(pid: u32) -> Result<Self> {
        let mut process = Self::default();
        let stat = read(&format!("/proc/{pid}/stat"))?;
        // The command's name, in parentheses, may hold anything.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |i: usize| fields.get(i).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        // A process that was not yet waited for has ended all the same.
        ensure!(!matches!(fields.first(), Some(&"Z" | &"X")), "process {pid} has ended");
        process.user_ms = ticks(11) * 1e3 / TICKS;
        process.system_ms = ticks(12) * 1e3 / TICKS;
        for thread in threads(pid)? {
            // One that ends meanwhile is left out.
            let file = |name: &str| fs::read_to_string(format!("/proc/{pid}/task/{thread}/{name}")).unwrap_or_default();
            if let Some(nanos) = file("schedstat").split_whitespace().next().and_then(|word| word.parse().ok()) {
                process.threads.insert(thread, nanos);
            }
            let status = file("status");
            process.switches[0] += field(&status, "voluntary_ctxt_switches:");
            process.switches[1] += field(&status, "nonvoluntary_ctxt_switches:");
        }
        process.pss_kib = field(&read(&format!("/proc/{pid}/smaps_rollup"))?, "Pss:");
        Ok(process)
    }

    /// Milliseconds on a core since `before`. Threads that ended in between are missing; where the kernel has no
    /// `schedstat`, ticks count.
    pub(crate) fn cpu_ms_since(&self, before: &Self) -> f64 {
        if self.threads.is_empty() {
            return self.user_ms + self.system_ms - before.user_ms - before.system_ms;
        }
        let since = |(thread, nanos): (&u32, &u64)| nanos.saturating_sub(*before.threads.get(thread).unwrap_or(&0));
        self.threads.iter().map(since).sum::<u64>() as f64 / 1e6
    }

    /// Context switches since `before`: voluntary, involuntary.
    pub(crate) fn switches_since(&self, before: &Self) -> [u64; 2] {
        [0, 1].map(|i| self.switches[i].saturating_sub(before.switches[i]))
    }

    /// Living threads.
    pub(crate) fn thread_count(&self) -> usize {
        self.threads.len()
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("{path}: is the process there, and ours?"))
}

fn threads(pid: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task");
    let entries = fs::read_dir(&path).with_context(|| format!("{path}: is the process there, and ours?"))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// The number behind a name at the start of a line; 0 if there is none.
fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Seconds that all cores together were busy since the machine started.
pub(crate) fn busy_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = line.split_whitespace().skip(1).filter_map(|word| word.parse().ok()).collect();
    // user, nice, system, irq, softirq
    [0, 1, 2, 5, 6].iter().filter_map(|i| ticks.get(*i)).sum::<f64>() / TICKS
}

/// Refuses a run that needs more open files than this process may have.
pub(crate) fn ensure_files(needed: usize) -> Result<()> {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()?.parse::<usize>().ok());
    if let Some(soft) = soft {
        ensure!(needed <= soft, "{needed} open files are needed and {soft} are allowed: ulimit -n {needed}");
    }
    Ok(())
}

/// What the machine is, in one line: cores, CPU, kernel.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": unknown CPU");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} cores, {}, Linux {}", model.trim_start_matches([' ', '\t', ':']), kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_figures_grow_with_work() {
        let pid = std::process::id();
        let before = Process::read(pid).expect("Linux");
        let end = std::time::Instant::now() + std::time::Duration::from_millis(50);
        let mut sum = 0u64;
        while std::time::Instant::now() < end {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        let after = Process::read(pid).expect("Linux");
        assert!(after.cpu_ms_since(&before) > 1.0, "{}", after.cpu_ms_since(&before));
        assert!(after.pss_kib > 100 && after.thread_count() > 0);
        assert!(busy_seconds() > 0.0 && machine().contains("Linux"));
    }

    #[test]
    fn who_is_not_there_is_named() {
        let error = format!("{:#}", Process::read(u32::MAX).expect_err("no such process"));
        assert!(error.contains("/proc/4294967295/stat"), "{error}");
        assert!(ensure_files(usize::MAX).is_err());
        ensure_files(1).expect("more than one");
    }

    #[test]
    fn fields_of_status_files() {
        let text = "Name:\ta\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\nPss:     456 kB\n";
        assert_eq!(field(text, "voluntary_ctxt_switches:"), 12);
        assert_eq!(field(text, "nonvoluntary_ctxt_switches:"), 3);
        assert_eq!((field(text, "Pss:"), field(text, "Rss:")), (456, 0));
    }
}
