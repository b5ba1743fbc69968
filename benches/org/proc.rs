//! What `/proc` says of the processes of a run: who they are, what they hold and what they used.

use std::collections::BTreeMap;
use std::fs;

/// A process of a run.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Its pid.
    pub(crate) pid: u32,
    /// `supervise`, `agent`, `pane`, `mock` or `tmux`.
    pub(crate) role: String,
}

/// What a process holds, in MiB.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    /// Resident.
    pub(crate) rss: f64,
    /// Its proportional share.
    pub(crate) pss: f64,
}

/// What processes have used so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    /// Nanoseconds on a processor.
    pub(crate) cpu_ns: u64,
    /// Times that a thread went to sleep by itself, and so was woken.
    pub(crate) wakes: u64,
}

/// Every process whose command line names one of these: a run's directory or its tmux socket.
pub(crate) fn members(names: &[String]) -> Vec<Member> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<String> = line
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned())
            .collect();
        if !words.iter().any(|word| names.contains(word)) {
            continue;
        }
        let tmux = words[0].ends_with("tmux");
        let role = if tmux {
            "tmux"
        } else {
            words.get(1).map_or("", String::as_str)
        };
        found.push(Member {
            pid,
            role: role.to_owned(),
        });
    }
    found
}

/// What a process holds.
pub(crate) fn memory(pid: u32) -> Memory {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        number.unwrap_or(0.0) / 1024.0
    };
    Memory {
        rss: field("Rss:"),
        pss: field("Pss:"),
    }
}

/// What a process and its threads have used.
pub(crate) fn used(pid: u32) -> Used {
    let mut used = Used::default();
    let tasks = fs::read_dir(format!("/proc/{pid}/task"));
    for task in tasks.into_iter().flatten().flatten() {
        // `schedstat` counts nanoseconds; the ticks of `stat` are too coarse for what is idle.
        let clock = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let ns = clock
            .split_whitespace()
            .next()
            .and_then(|it| it.parse::<u64>().ok());
        used.cpu_ns += ns.unwrap_or(0);
        let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        used.wakes += line
            .and_then(|it| it.trim().parse::<u64>().ok())
            .unwrap_or(0);
    }
    used
}

/// What each has used, by pid.
pub(crate) fn usage(members: &[Member]) -> BTreeMap<u32, Used> {
    members.iter().map(|it| (it.pid, used(it.pid))).collect()
}
