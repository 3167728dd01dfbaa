//! What strace is asked, and what it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use camino::Utf8Path;

/// The calls that change what is on disk, or wait until it is there.
const CALLS: &str = "write,pwrite64,writev,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,\
                     mkdir,mkdirat,ftruncate,fsync,fdatasync";

/// Stands for a file with a random name, as each has until it is renamed into its place.
const NEW_FILE: &str = "(a new file)";

/// What happens at a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The process ends.
    Kill,
    /// The call fails with this error.
    Error(&'static str),
}

/// A write of the daemon, by what is the same in every run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Write {
    /// Below the sandbox's root, with `KEY` for the workspace's own folder.
    path: String,
    call: String,
    /// The how-manieth call of its kind on this path, counted a thread, as strace does; on any path for a new file, since strace
    /// cannot aim at a name that it does not know.
    nth: u32,
}

impl fmt::Display for Write {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {} of {}", self.call, self.nth, self.path)
    }
}

impl Write {
    /// The `nth` call of that kind on `path`.
    pub(crate) fn new(path: &str, call: &str, nth: u32) -> Self {
        Self { path: path.to_owned(), call: call.to_owned(), nth }
    }

    /// Whether it is about what hooks leave on disk.
    pub(crate) fn is_of_hooks(&self) -> bool {
        self.path.ends_with("/ledger.jsonl") || self.path.contains("/KEY/runs")
    }

    /// Whether it is about a file that has yet to get its name.
    pub(crate) fn is_of_new_file(&self) -> bool {
        self.path == NEW_FILE
    }

    /// The file, below the sandbox's root.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// strace's arguments that let `fault` happen as the daemon is about to make this write.
    pub(crate) fn injection(&self, fault: Fault, root: &Utf8Path, key: &str) -> Vec<String> {
        self.injection_with(fault, root, &[("KEY", key.to_owned())])
    }

    /// The same, where `names` are what differs from sandbox to sandbox, each with the word that stands for it.
    pub(crate) fn injection_with(&self, fault: Fault, root: &Utf8Path, names: &[(&str, String)]) -> Vec<String> {
        let Self { path, call, nth } = self;
        let fault = match fault {
            Fault::Kill => "signal=KILL".to_owned(),
            Fault::Error(name) => format!("error={name}"),
        };
        let mut arguments = vec![format!("--trace={call}"), format!("--inject={call}:{fault}:when={nth}")];
        if !self.is_of_new_file() {
            let path = names.iter().fold(path.clone(), |path, (word, name)| path.replace(word, name));
            arguments.extend(["-P".to_owned(), root.join(path).into_string()]);
        }
        arguments
    }
}

/// strace's arguments that list all writes, and which process is which.
pub(crate) fn all_writes() -> Vec<String> {
    vec![format!("--trace=execve,{CALLS}")]
}

/// The daemon's writes in a trace, without those to its log and to files that have yet to get their name: another process may be
/// met at such a one.
pub(crate) fn writes(trace: &str, root: &Utf8Path, key: &str) -> Vec<Write> {
    let all = writes_with(trace, root, &[("KEY", key.to_owned())]);
    all.into_iter().filter(|write| !write.is_of_new_file()).collect()
}

/// The daemon's writes, where `names` are what differs from sandbox to sandbox, each with the word that stands for it.
pub(crate) fn writes_with(trace: &str, root: &Utf8Path, names: &[(&str, String)]) -> Vec<Write> {
    let mut started = BTreeSet::new();
    let mut counts = BTreeMap::<(&str, &str, String), u32>::new();
    let mut syncs = BTreeMap::<(&str, &str), u32>::new();
    let mut of_new_files = BTreeSet::new();
    let mut first = None;
    for line in trace.lines() {
        let Some((thread, event)) = line.split_once(' ') else { continue };
        let Some((call, arguments)) = event.trim_start().split_once('(') else { continue };
        if call == "execve" {
            // The first is the daemon's own; every other makes its thread another program.
            if *first.get_or_insert(thread) != thread {
                started.insert(thread);
            }
        } else if !started.contains(thread)
            && let Some(path) = path_of(call, arguments, root)
        {
            let is_sync = matches!(call, "fsync" | "fdatasync");
            let nth = syncs.entry((thread, call)).or_default();
            *nth += 1;
            if path.contains("/.burrow-") {
                // What fails as it is written fails as it is synced: that stands for both, and others sync nothing.
                if is_sync {
                    of_new_files.insert(Write::new(NEW_FILE, call, *nth));
                }
                continue;
            }
            let path = names.iter().fold(path, |path, (word, name)| path.replace(name, word));
            *counts.entry((thread, call, path)).or_default() += 1;
        }
    }
    let known = counts.into_iter().flat_map(|((_, call, path), count)| {
        (1..=count).map(move |nth| Write { path: path.clone(), call: call.to_owned(), nth })
    });
    known.collect::<BTreeSet<_>>().into_iter().chain(of_new_files).collect()
}

/// The file that a call is about, below `root`. Of two names it is the last where the first says nothing: a file that is renamed
/// into its place had a random one, and the first of a symlink is only its text. strace goes by either, but for rename(2), where
/// it knows the first alone.
fn path_of(call: &str, arguments: &str, root: &Utf8Path) -> Option<String> {
    let name = if call.starts_with("rename") || call.starts_with("symlink") {
        let mut names = arguments.split('"').skip(1).step_by(2).filter(|name| name.starts_with('/'));
        let first = names.next()?;
        let says_nothing = first.contains("/.burrow-") || call.starts_with("symlink");
        names.last().filter(|_| says_nothing).unwrap_or(first)
    } else {
        // `12</path>` for a descriptor, `"/path"` for a name.
        let mut parts = arguments.split(['<', '"']).skip(1).filter_map(|part| part.split(['>', '"']).next());
        parts.find(|name| name.starts_with('/'))?
    };
    let path = Utf8Path::new(name).strip_prefix(root).ok()?;
    let log = path.as_str() == "state/daemon.log";
    (!log && path.as_str() != "trace").then(|| path.to_string())
}

#[cfg(test)]
mod tests {
    use super::{Fault, Write, writes, writes_with};

    #[test]
    fn the_daemons_own_writes_are_found() {
        let trace = r#"
7 execve("/bin/burrow", ...) = 0
7 mkdir("/s/state", 0700) = 0
8 write(5</s/state/5a10/ledger.jsonl>, ""..., 10) = 10
8 write(5</s/state/5a10/ledger.jsonl>, ""..., 10 <unfinished ...>
7 write(5</s/state/5a10/ledger.jsonl>, ""..., 10) = 10
8 <... write resumed>) = 10
8 fsync(6</s/state/.burrow-x1>) = 0
8 rename("/s/state/.burrow-x1", "/s/state/daemon.json") = 0
7 write(2</s/state/daemon.log>, ""..., 10) = 10
7 write(2<UNIX:[1]>, ""..., 10) = 10
9 execve("/bin/burrow", ...) = 0
9 write(5</s/state/run/claim>, ""..., 10) = 10
"#;
        let found: Vec<_> = writes(trace, "/s".into(), "5a10").iter().map(Write::to_string).collect();
        assert_eq!(
            found,
            [
                "mkdir 1 of state",
                "write 1 of state/KEY/ledger.jsonl",
                "write 2 of state/KEY/ledger.jsonl",
                "rename 1 of state/daemon.json"
            ],
            "what is renamed goes by the name that it gets"
        );
        let all = writes_with(trace, "/s".into(), &[]);
        let new = all.iter().find(|write| write.is_of_new_file()).unwrap();
        assert_eq!(
            new.injection(Fault::Error("EIO"), "/s".into(), ""),
            ["--trace=fsync", "--inject=fsync:error=EIO:when=1"],
            "its name is not known before"
        );
    }
}
