//! Whose turn it is when memory runs out, and whether it ran out.

use std::fs;

/// How much likelier than the shim the command is to be killed for want of memory, in thousandths of all memory.
const RAISE: i32 = 200;
const SCORE_FILE: &str = "/proc/self/oom_score_adj";

/// Runs `start` with a raised `oom_score_adj`, which the started process inherits, and lowers our own again: the kernel
/// picks the command before the shim and the daemon. Where that is not allowed, nothing is changed.
pub(super) fn start_killable<T>(start: impl FnOnce() -> T) -> T {
    let own: Option<i32> = fs::read_to_string(SCORE_FILE).ok().and_then(|score| score.trim().parse().ok());
    let Some(own) = own else { return start() };
    set_score((own + RAISE).min(1000));
    let started = start();
    set_score(own);
    started
}

#[expect(clippy::disallowed_methods, reason = "a file of /proc is no state")]
fn set_score(score: i32) {
    // Without it the kernel chooses by size alone: no reason not to run.
    let _ = fs::write(SCORE_FILE, score.to_string());
}

/// How many processes of our control group the kernel has killed for want of memory, by now.
pub(super) fn kills() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let candidates = groups.lines().filter_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        match controllers {
            "" => Some(format!("/sys/fs/cgroup{path}/memory.events")),
            controllers if controllers.split(',').any(|name| name == "memory") => {
                Some(format!("/sys/fs/cgroup/memory{path}/memory.oom_control"))
            }
            _ => None,
        }
    });
    // In a container without a cgroup namespace the path is the host's; what is mounted is the container's own. The root
    // group of a machine counts nothing: there the whole machine's number has to do.
    candidates
        .chain(
            ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control", "/proc/vmstat"]
                .map(str::to_owned),
        )
        .find_map(|file| count(&fs::read_to_string(file).ok()?))
}

/// The `oom_kill N` line, which both versions of control groups have.
fn count(events: &str) -> Option<u64> {
    events.lines().find_map(|line| line.strip_prefix("oom_kill "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_counted_in_both_versions() {
        assert_eq!(count("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n"), Some(2), "version 2");
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"), Some(5), "version 1");
        assert_eq!(count("oom_kill 7\nnuma_hit 12\n"), Some(7), "the whole machine's");
        assert_eq!(count("oom_kill_disable 0\nunder_oom 0\n"), None, "an old kernel does not count");
    }
}
