//! The ledger: what is done, for which container or start of it. It alone decides what is due.
//!
//! State: `ledger.jsonl`, one line a change, the newest line of a key counts; [`Entries`] is the same in memory.
//! Invariants: a line that is torn or damaged costs that line and no other (the next one never continues it); entries of
//! a container are never dropped, those of a start only once another start is current.
//! Not here: logs and records of runs, which are pruned (`runs`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;

use burrow_protocol::hooks::{HookName, HookOrigin};
use burrow_protocol::model::ContainerStatus;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::fate::Fate;
use super::record::RunId;
use super::startup::Windows;
use crate::durable::{self, Appender, DurableError};

/// The version of a line.
const SCHEMA: u32 = 1;
/// A shorter ledger is not worth rewriting.
const COMPACT_ABOVE: usize = 512;

/// What a command is filed under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Key {
    /// The container's identity or its start: another one makes the command due again.
    pub(crate) scope: String,
    pub(crate) hook: HookName,
    pub(crate) origin: HookOrigin,
    pub(crate) command: String,
}

impl Key {
    pub(crate) fn new(container: &ContainerStatus, hook: HookName, origin: HookOrigin, command: &str) -> Self {
        Self { scope: scope(container, hook).to_owned(), hook, origin, command: command.to_owned() }
    }
}

/// What `hook` counts for: the container, or this start of it.
pub(crate) fn scope(container: &ContainerStatus, hook: HookName) -> &str {
    if is_once_a_container(hook) { &container.id } else { &container.start_id }
}

const fn is_once_a_container(hook: HookName) -> bool {
    match hook {
        HookName::OnCreate | HookName::UpdateContent | HookName::PostCreate => true,
        HookName::PostStart | HookName::PostAttach | HookName::OnStartup => false,
    }
}

/// How a command stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    #[serde(flatten)]
    pub(crate) key: Key,
    /// The hash of the command that ran; empty where it was passed over before it ever ran.
    pub(crate) hash: String,
    /// The run this speaks of; none where it never ran.
    pub(crate) run: Option<RunId>,
    /// How often it was started.
    pub(crate) attempt: u32,
    /// RFC 3339.
    pub(crate) started_at: Option<String>,
    pub(crate) fate: Fate,
    /// What else is to be said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) note: Option<String>,
    /// The run whose command called `burrow hook exec`: that one answers for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) within: Option<RunId>,
    /// Which start within its run, from 1: its folder bears the number.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub(crate) start: u32,
    /// Of a service: whether it was ready.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) ready: bool,
}

const fn first() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_first(start: &u32) -> bool {
    *start == first()
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    /// A command has a new standing.
    Command(Box<Entry>),
    /// A Dev Containers tool was seen at work in this container: it runs the standard hooks.
    Tool { tool: String },
    /// Windows came or went, or what they want was started.
    Windows { windows: Windows },
}

#[derive(Serialize, Deserialize)]
struct Envelope<L> {
    schema: u32,
    #[serde(flatten)]
    line: L,
}

/// The newest entry of each key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entries {
    commands: BTreeMap<Key, Entry>,
    tools: BTreeSet<String>,
    windows: Option<Windows>,
}

impl Entries {
    pub(crate) fn get(&self, key: &Key) -> Option<&Entry> {
        self.commands.get(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.commands.values()
    }

    pub(crate) fn has_tool(&self, container: &ContainerStatus) -> bool {
        self.tools.contains(&container.id)
    }

    pub(crate) const fn windows(&self) -> Option<&Windows> {
        self.windows.as_ref()
    }

    pub(crate) fn apply(&mut self, line: Line) {
        match line {
            Line::Command(entry) => {
                self.commands.insert(entry.key.clone(), *entry);
            }
            Line::Tool { tool } => {
                self.tools.insert(tool);
            }
            Line::Windows { windows } => self.windows = Some(windows),
        }
    }

    /// Takes a command's entry back: it was not recorded.
    pub(crate) fn restore(&mut self, key: &Key, before: Option<Entry>) {
        match before {
            Some(entry) => self.commands.insert(key.clone(), entry),
            None => self.commands.remove(key),
        };
    }

    /// The same in as few lines as it takes, without the starts that are over.
    fn compacted(&self, container: &ContainerStatus) -> Vec<Line> {
        let commands = self
            .commands
            .values()
            .filter(|entry| is_once_a_container(entry.key.hook) || entry.key.scope == container.start_id);
        let tools = self.tools.iter().map(|tool| Line::Tool { tool: tool.clone() });
        let windows = self.windows.iter().filter(|windows| windows.start == container.start_id);
        let windows = windows.map(|windows| Line::Windows { windows: windows.clone() });
        tools.chain(windows).chain(commands.cloned().map(|entry| Line::Command(Box::new(entry)))).collect()
    }
}

/// The file, open for what is added to it. Its methods block.
#[derive(Debug)]
pub(crate) struct Ledger {
    path: Utf8PathBuf,
    file: Option<Appender>,
    /// The file does not end in a newline.
    torn: bool,
    container: ContainerStatus,
    /// What the file says: as it was read, with all that was added since.
    written: Entries,
    /// How many lines it has.
    lines: usize,
    /// It is not worth rewriting before it has this many.
    compact_at: usize,
}

impl Ledger {
    /// Reads the ledger at `path`; none there is an empty one. A large one is rewritten.
    ///
    /// # Errors
    /// [`DurableError::Read`].
    pub(crate) fn load(path: &Utf8Path, container: &ContainerStatus) -> Result<(Self, Entries), DurableError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(DurableError::Read { path: path.to_owned(), source }),
        };
        let Parsed { entries, lines, damaged, torn } = parse(&bytes);
        if damaged > 0 {
            tracing::warn!(%path, damaged, "skipped lines of the ledger that are torn or damaged");
        }
        let mut ledger = Self {
            path: path.to_owned(),
            file: None,
            torn,
            container: container.clone(),
            written: entries,
            lines,
            compact_at: COMPACT_ABOVE,
        };
        ledger.compact();
        let entries = ledger.written.clone();
        Ok((ledger, entries))
    }

    /// Rewrites a file most of whose lines no longer count: one that was cut off in the middle of that is the old one or
    /// the new one, and they say the same. What cannot be rewritten stays as long as it is.
    pub(crate) fn compact(&mut self) {
        if self.lines <= self.compact_at {
            return;
        }
        let fewest = self.written.compacted(&self.container);
        self.compact_at = COMPACT_ABOVE.max(fewest.len() * 4);
        if self.lines <= self.compact_at {
            return;
        }
        if let Err(error) = durable::replace(&self.path, &render(&fewest)) {
            tracing::warn!(path = %self.path, %error, "left the ledger as long as it is");
            // What is wrong may take its time: no run waits for each try.
            self.compact_at = self.lines * 2;
            return;
        }
        // It has another file open.
        self.file = None;
        self.torn = false;
        self.lines = fewest.len();
        self.written = Entries::default();
        fewest.into_iter().for_each(|line| self.written.apply(line));
    }

    /// Adds `lines`; they are on disk when a later [`Self::sync`] returns.
    ///
    /// # Errors
    /// [`DurableError::Write`]; what was written of them is torn, and skipped by whoever reads it.
    pub(crate) fn append(&mut self, lines: &[Line]) -> Result<(), DurableError> {
        let mut bytes = if self.torn { vec![b'\n'] } else { Vec::new() };
        bytes.extend(render(lines));
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(Appender::open(&self.path)?),
        };
        let result = file.append(&bytes);
        self.torn = result.is_err();
        if result.is_ok() {
            self.lines += lines.len();
            lines.iter().for_each(|line| self.written.apply(line.clone()));
        }
        result
    }

    /// The runs whose commands, of this container or this start of it, did not succeed: somebody is still to look at them.
    pub(crate) fn open_runs(&self) -> impl Iterator<Item = RunId> {
        let is_current = |entry: &&Entry| entry.key.scope == scope(&self.container, entry.key.hook);
        self.written.iter().filter(|entry| entry.fate.is_bad()).filter(is_current).filter_map(|entry| entry.run)
    }

    /// What the file says.
    pub(crate) const fn written(&self) -> &Entries {
        &self.written
    }

    /// Returns once all that was appended is on disk.
    ///
    /// # Errors
    /// [`DurableError::Write`].
    pub(crate) fn sync(&mut self) -> Result<(), DurableError> {
        self.file.as_mut().map_or(Ok(()), Appender::sync)
    }
}

struct Parsed {
    entries: Entries,
    lines: usize,
    damaged: usize,
    torn: bool,
}

fn parse(bytes: &[u8]) -> Parsed {
    let torn = bytes.last().is_some_and(|last| *last != b'\n');
    let mut parsed = Parsed { entries: Entries::default(), lines: 0, damaged: 0, torn };
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        parsed.lines += 1;
        match serde_json::from_slice::<Envelope<Line>>(line) {
            Ok(envelope) => parsed.entries.apply(envelope.line),
            Err(_) => parsed.damaged += 1,
        }
    }
    parsed
}

fn render(lines: &[Line]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in lines {
        // Strings and numbers under string keys, into memory: this cannot fail.
        let _ = serde_json::to_writer(&mut bytes, &Envelope { schema: SCHEMA, line });
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use burrow_protocol::hooks::{HookName, HookOrigin};
    use burrow_protocol::model::{ContainerKind, ContainerStatus};
    use camino::Utf8PathBuf;
    use proptest::prelude::*;

    use super::{COMPACT_ABOVE, Entries, Entry, Key, Ledger, Line, parse, render};
    use crate::hooks::fate::{Failure, Fate};
    use crate::hooks::record::RunId;

    fn container() -> ContainerStatus {
        ContainerStatus { kind: ContainerKind::Docker, id: "c".to_owned(), start_id: "s".to_owned() }
    }

    fn entry(command: &str, number: u32, fate: Fate) -> Line {
        let hook = HookName::PostCreate;
        Line::Command(Box::new(Entry {
            key: Key::new(&container(), hook, HookOrigin::Burrow, command),
            hash: "h".to_owned(),
            run: Some(RunId { number, hook }),
            attempt: 1,
            started_at: Some("2026-01-01T00:00:00Z".to_owned()),
            fate,
            note: None,
            within: None,
            start: 1,
            ready: false,
        }))
    }

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(folder.path().to_owned()).unwrap();
        (folder, path)
    }

    fn applied(lines: &[Line]) -> Entries {
        lines.iter().cloned().fold(Entries::default(), |mut entries, line| {
            entries.apply(line);
            entries
        })
    }

    fn fates() -> impl Strategy<Value = Fate> {
        prop_oneof![
            Just(Fate::Running),
            Just(Fate::Interrupted),
            any::<u32>().prop_map(|duration_ms| Fate::Succeeded { duration_ms }),
            any::<i32>().prop_map(|code| Fate::Failed { failure: Failure::Exited { code }, duration_ms: 1 }),
            ".*".prop_map(Fate::not_started),
            proptest::option::of(".*").prop_map(|why| Fate::Skipped { why }),
        ]
    }

    fn lines() -> impl Strategy<Value = Vec<Line>> {
        let tool = "[a-z]{1,4}".prop_map(|tool| Line::Tool { tool });
        let command = (".{0,3}", any::<u32>(), fates()).prop_map(|(name, number, fate)| entry(&name, number, fate));
        proptest::collection::vec(prop_oneof![1 => tool, 5 => command], 0..12)
    }

    proptest! {
        /// Whatever was written reads back.
        #[test]
        fn what_is_written_reads_back(lines in lines()) {
            let parsed = parse(&render(&lines));
            prop_assert_eq!(parsed.entries, applied(&lines));
            prop_assert_eq!((parsed.damaged, parsed.torn), (0, false));
        }

        /// A write that was torn at any byte loses the line it was torn in, and the lines after it are read.
        #[test]
        fn a_torn_write_costs_its_own_line(before in lines(), torn in fates(), after in lines(), cut in any::<usize>()) {
            let (_keep, folder) = folder();
            let path = folder.join("ledger.jsonl");
            let last = render(&[entry("torn", 1, torn)]);
            // The newline alone may be what is missing; then the line itself is whole.
            let cut = cut % (last.len() - 1);
            let mut bytes = render(&before);
            bytes.extend(&last[..cut]);
            durable_write(&path, &bytes);

            let (mut ledger, entries) = Ledger::load(&path, &container()).unwrap();
            prop_assert_eq!(&entries, &applied(&before));
            ledger.append(&after).unwrap();

            let (_, entries) = Ledger::load(&path, &container()).unwrap();
            let all: Vec<_> = before.into_iter().chain(after).collect();
            prop_assert_eq!(entries, applied(&all));
        }
    }

    fn durable_write(path: &camino::Utf8Path, bytes: &[u8]) {
        crate::durable::replace(path, bytes).unwrap();
    }

    #[test]
    fn a_line_on_disk() {
        let text = String::from_utf8(render(&[entry("a", 12, Fate::Running)])).unwrap();
        let expected = concat!(
            r#"{"schema":1,"scope":"c","hook":"postCreate","origin":"burrow","command":"a","hash":"h","#,
            r#""run":"12-postCreate","attempt":1,"startedAt":"2026-01-01T00:00:00Z","fate":{"state":"running"}}"#,
            "\n"
        );
        assert_eq!(text, expected);
    }

    /// After any number of starts a postCreate is still done, and the file stays small.
    #[test]
    fn a_long_ledger_is_compacted_and_forgets_no_container() {
        let (_keep, folder) = folder();
        let path = folder.join("ledger.jsonl");
        let (mut ledger, _) = Ledger::load(&path, &container()).unwrap();
        let done = entry("", 1, Fate::Succeeded { duration_ms: 1 });
        ledger.append(std::slice::from_ref(&done)).unwrap();
        for start in 0..=COMPACT_ABOVE {
            let Line::Command(mut line) = done.clone() else { panic!("a command") };
            line.key.hook = HookName::PostStart;
            line.key.scope = format!("start {start}");
            ledger.append(&[Line::Command(line)]).unwrap();
        }
        let (_, entries) = Ledger::load(&path, &container()).unwrap();
        assert_eq!(entries, applied(&[done]));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 1);
    }

    /// A service that keeps ending writes a line with each start: the file stays small while it does, and says the same.
    #[test]
    fn a_ledger_that_grows_is_compacted_while_it_is_open() {
        let (_keep, folder) = folder();
        let path = folder.join("ledger.jsonl");
        let (mut ledger, _) = Ledger::load(&path, &container()).unwrap();
        let others: Vec<_> = (0..200).map(|name| entry(&name.to_string(), 1, Fate::Running)).collect();
        ledger.append(&others).unwrap();
        let mut longest = 0;
        for number in 0..5_000 {
            ledger.append(&[entry("again and again", number, Fate::Running)]).unwrap();
            ledger.compact();
            longest = longest.max(std::fs::read_to_string(&path).unwrap().lines().count());
        }
        assert!(longest <= 4 * 201 + 1, "{longest} lines");
        let (_, entries) = Ledger::load(&path, &container()).unwrap();
        assert_eq!(entries, applied(&[others, vec![entry("again and again", 4_999, Fate::Running)]].concat()));
    }

    #[test]
    fn a_ledger_that_cannot_be_rewritten_goes_on() {
        let (keep, folder) = folder();
        let path = folder.join("ledger.jsonl");
        let (mut ledger, _) = Ledger::load(&path, &container()).unwrap();
        let add = |ledger: &mut Ledger, number| ledger.append(&[entry("a", number, Fate::Running)]).unwrap();
        (0..600).for_each(|number| add(&mut ledger, number));
        // The file stays open, and nothing new can be made beside it.
        drop(keep);
        ledger.compact();
        add(&mut ledger, 600);
        assert_eq!((ledger.lines, ledger.written.iter().next().and_then(|entry| entry.run)), {
            let last = RunId { number: 600, hook: HookName::PostCreate };
            (601, Some(last))
        });
    }

    #[test]
    fn no_ledger_is_an_empty_one_and_is_not_made_by_reading() {
        let (_keep, folder) = folder();
        let path = folder.join("ledger.jsonl");
        let (_, entries) = Ledger::load(&path, &container()).unwrap();
        assert_eq!(entries, Entries::default());
        assert!(!path.exists());
    }
}
