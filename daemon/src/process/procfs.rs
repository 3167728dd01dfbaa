//! What `/proc` says of processes.

/// The start of a living process in clock ticks since boot; `None`: there is none, or it is a zombie.
///
/// With the pid it names a process for good: a pid is used again, a pair is not.
pub(super) fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Stat::parse(&stat).filter(|stat| !stat.dead).map(|stat| stat.start_ticks)
}

/// The part of `/proc/PID/stat` that we use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// The program's name, at most 15 bytes.
    pub(super) name: String,
    /// A zombie, or about to vanish.
    pub(super) dead: bool,
    pub(super) parent: u32,
    pub(super) group: u32,
    pub(super) start_ticks: u64,
}

impl Stat {
    /// Reads one line of proc(5)'s `stat`. The name is in parentheses and may itself hold any character.
    fn parse(line: &str) -> Option<Self> {
        let (before, after) = line.rsplit_once(')')?;
        let (_, name) = before.split_once('(')?;
        let mut fields = after.split_ascii_whitespace();
        let dead = matches!(fields.next()?, "Z" | "X" | "x");
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        // starttime is field 22, and the group was field 5.
        let start_ticks = fields.nth(16)?.parse().ok()?;
        Some(Self { name: name.to_owned(), dead, parent, group, start_ticks })
    }
}
