//! `.air.toml`, the settings of Air, as far as Burrow acts on them. Pure.
//! Source: `runner/config.go` of github.com/air-verse/air v1.67.4, and its `air_example.toml`.
//!
//! Invariants: a mistake in one key does not hide the others; a key that nobody knows is told, and so is one that Air
//! acts on and Burrow does not. What only says how Air looks is passed over in silence.

use std::time::Duration;

use toml::{Table, Value};

/// What a `.air.toml` says, Air's own defaults for the rest. Paths are as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AirFile {
    /// `root`: what the other paths are relative to; itself relative to the file's folder.
    pub root: String,
    /// `tmp_dir`: not watched.
    pub tmp_dir: String,
    /// `testdata_dir`: not watched.
    pub testdata_dir: String,
    /// `env_files`: read before a build and a run; those that are not there are passed over.
    pub env_files: Vec<String>,
    /// `build.pre_cmd`: run before each build.
    pub pre_cmd: Vec<String>,
    /// `build.cmd`: builds.
    pub cmd: String,
    /// `build.post_cmd`: run at the end.
    pub post_cmd: Vec<String>,
    /// `build.bin`, `build.full_bin` or `build.entrypoint`, and `build.args_bin`: what is run.
    pub program: AirProgram,
    /// `build.include_ext`.
    pub include_ext: Vec<String>,
    /// `build.include_dir`: only these, where there are any.
    pub include_dir: Vec<String>,
    /// `build.include_file`.
    pub include_file: Vec<String>,
    /// `build.exclude_dir`.
    pub exclude_dir: Vec<String>,
    /// `build.exclude_file`: patterns.
    pub exclude_file: Vec<String>,
    /// `build.exclude_regex`.
    pub exclude_regex: Vec<String>,
    /// `build.exclude_unchanged`. Burrow never counts a file whose content is the same.
    pub exclude_unchanged: bool,
    /// `build.delay`: after the last change.
    pub delay: Duration,
    /// `build.kill_delay`: between the first signal and KILL; zero where it is not said.
    pub kill_delay: Duration,
    /// `build.send_interrupt`: INT first.
    pub send_interrupt: bool,
    /// `build.stop_on_error`: a build that fails ends the old program.
    pub stop_on_error: bool,
    /// `build.poll`, with `build.poll_interval`.
    pub poll: Option<Duration>,
    /// What is wrong, unknown or not acted on, each in a sentence.
    pub problems: Vec<String>,
}

/// What Air runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AirProgram {
    /// A line for `/bin/sh -c`.
    Shell(String),
    /// A program, relative to the root unless it is a bare name, and its arguments.
    Exec(Vec<String>),
}

impl Default for AirFile {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            root: ".".to_owned(),
            tmp_dir: "tmp".to_owned(),
            testdata_dir: "testdata".to_owned(),
            env_files: Vec::new(),
            pre_cmd: Vec::new(),
            cmd: "go build -o ./tmp/main .".to_owned(),
            post_cmd: Vec::new(),
            program: AirProgram::Shell("./tmp/main".to_owned()),
            include_ext: texts(&["go", "tpl", "tmpl", "html"]),
            include_dir: Vec::new(),
            include_file: Vec::new(),
            exclude_dir: texts(&["assets", "tmp", "vendor", "testdata"]),
            exclude_file: Vec::new(),
            exclude_regex: texts(&["_test.go"]),
            exclude_unchanged: false,
            delay: Duration::from_millis(1000),
            kill_delay: Duration::ZERO,
            send_interrupt: false,
            stop_on_error: false,
            poll: None,
            problems: Vec::new(),
        }
    }
}

/// Air's shortest, and its default.
const POLL: Duration = Duration::from_millis(500);

/// Tables that only say how Air looks.
const LOOKS: [&str; 4] = ["color", "log", "misc", "screen"];

/// Reads `text`.
///
/// # Errors
/// It is no TOML; in words, with line and column.
pub fn parse(text: &str) -> Result<AirFile, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| {
        let offset = error.span().map_or(0, |span| span.start).min(text.len());
        let before = text.get(..offset).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{line}:{column}: {}", error.message())
    })?;
    let default = AirFile::default();
    let mut top = Keys { table, place: String::new(), problems: Vec::new() };
    for looks in LOOKS {
        top.table.remove(looks);
    }
    let build = top.table("build");
    let mut proxy = Keys { table: top.table("proxy"), place: "proxy.".to_owned(), problems: Vec::new() };
    if proxy.flag("enabled").unwrap_or_default() {
        proxy.problems.push("`proxy` is not acted on: reload the browser yourself".to_owned());
    }
    for key in ["proxy_port", "app_port", "app_start_timeout"] {
        proxy.table.remove(key);
    }
    let mut build = Keys { table: build, place: "build.".to_owned(), problems: Vec::new() };
    // Air lets a table of the platform's override the common keys; this one is Linux.
    let linux = build.table("linux");
    build.table.extend(linux);
    for other in ["windows", "darwin", "log", "ignore_dangerous_root_dir", "rerun_delay"] {
        build.table.remove(other);
    }
    if build.table.remove("rules").is_some_and(|rules| rules.as_array().is_some_and(|rules| !rules.is_empty())) {
        build.problems.push("`build.rules` are not acted on: run such commands in `build.pre_cmd`".to_owned());
    }
    for (key, instead) in [
        ("rerun", "a program that ends by itself is started again with the next change"),
        ("follow_symlink", "name the folders behind links in `build.include_dir`"),
    ] {
        if build.flag(key).unwrap_or_default() {
            build.problems.push(format!("`build.{key}` is not acted on: {instead}"));
        }
    }
    let program = program(&mut build, default.program);
    let every = build.number("poll_interval").map(Duration::from_millis);
    let poll = build.flag("poll").unwrap_or_default().then(|| every.unwrap_or(POLL).max(POLL));
    let mut file = AirFile {
        root: top.text("root").filter(|root| !root.is_empty()).unwrap_or(default.root),
        tmp_dir: top.text("tmp_dir").filter(|tmp| !tmp.is_empty()).unwrap_or(default.tmp_dir),
        testdata_dir: top.text("testdata_dir").filter(|dir| !dir.is_empty()).unwrap_or(default.testdata_dir),
        env_files: top.texts("env_files").unwrap_or_default(),
        pre_cmd: build.texts("pre_cmd").unwrap_or_default(),
        cmd: build.text("cmd").filter(|cmd| !cmd.is_empty()).unwrap_or(default.cmd),
        post_cmd: build.texts("post_cmd").unwrap_or_default(),
        program,
        // In Air an empty list is the default one.
        include_ext: build.texts("include_ext").filter(|ext| !ext.is_empty()).unwrap_or(default.include_ext),
        include_dir: build.texts("include_dir").unwrap_or_default(),
        include_file: build.texts("include_file").unwrap_or_default(),
        exclude_dir: build.texts("exclude_dir").unwrap_or(default.exclude_dir),
        exclude_file: build.texts("exclude_file").unwrap_or_default(),
        exclude_regex: build.texts("exclude_regex").unwrap_or(default.exclude_regex),
        exclude_unchanged: build.flag("exclude_unchanged").unwrap_or_default(),
        delay: build.number("delay").map_or(default.delay, Duration::from_millis),
        kill_delay: build.kill_delay().unwrap_or_default(),
        send_interrupt: build.flag("send_interrupt").unwrap_or_default(),
        stop_on_error: build.flag("stop_on_error").unwrap_or_default(),
        poll,
        problems: Vec::new(),
    };
    file.problems = [top, build, proxy].into_iter().flat_map(Keys::finish).collect();
    Ok(file)
}

/// `full_bin` goes before `entrypoint`, and that before `bin`, as in Air.
fn program(build: &mut Keys, default: AirProgram) -> AirProgram {
    let bin = build.text("bin").filter(|bin| !bin.is_empty());
    let full_bin = build.text("full_bin").filter(|bin| !bin.is_empty());
    let entrypoint = build.text_or_texts("entrypoint").filter(|entrypoint| !entrypoint.is_empty());
    let args = build.texts("args_bin").unwrap_or_default();
    match (full_bin, entrypoint, bin) {
        (Some(line), _, _) | (None, None, Some(line)) => {
            AirProgram::Shell(std::iter::once(line).chain(args).collect::<Vec<_>>().join(" "))
        }
        (None, Some(argv), _) => AirProgram::Exec(argv.into_iter().chain(args).collect()),
        (None, None, None) => match default {
            AirProgram::Shell(line) => {
                AirProgram::Shell(std::iter::once(line).chain(args).collect::<Vec<_>>().join(" "))
            }
            exec @ AirProgram::Exec(_) => exec,
        },
    }
}

/// One table, key by key; what is left at the end is unknown.
struct Keys {
    table: Table,
    /// `build.`, before a key.
    place: String,
    problems: Vec<String>,
}

impl Keys {
    fn take<T>(&mut self, key: &str, shape: &str, read: impl FnOnce(Value) -> Option<T>) -> Option<T> {
        let value = self.table.remove(key)?;
        let read = read(value);
        if read.is_none() {
            self.problems.push(format!("`{}{key}` is to be {shape}", self.place));
        }
        read
    }

    fn table(&mut self, key: &str) -> Table {
        self.take(key, "a table", |value| match value {
            Value::Table(table) => Some(table),
            _ => None,
        })
        .unwrap_or_default()
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.take(key, "a string", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    fn texts(&mut self, key: &str) -> Option<Vec<String>> {
        self.take(key, "a list of strings", texts)
    }

    fn text_or_texts(&mut self, key: &str) -> Option<Vec<String>> {
        self.take(key, "a string or a list of strings", |value| match value {
            Value::String(text) => Some(vec![text]),
            other => texts(other),
        })
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        self.take(key, "true or false", |value| value.as_bool())
    }

    fn number(&mut self, key: &str) -> Option<u64> {
        self.take(key, "a number, not below 0", |value| u64::try_from(value.as_integer()?).ok())
    }

    /// A number of nanoseconds, or a text such as `500ms`. Below a millisecond it means milliseconds, as in Air.
    fn kill_delay(&mut self) -> Option<Duration> {
        self.take("kill_delay", "a time such as `500ms`, or a number of nanoseconds", |value| {
            let nanos = match value {
                Value::Integer(nanos) => u64::try_from(nanos).ok()?,
                Value::String(text) => go_nanoseconds(&text)?,
                _ => return None,
            };
            Some(if nanos < 1_000_000 { Duration::from_millis(nanos) } else { Duration::from_nanos(nanos) })
        })
    }

    fn finish(self) -> Vec<String> {
        let unknown = self.table.keys().map(|key| format!("`{}{key}`: there is no such key", self.place));
        let unknown: Vec<_> = unknown.collect();
        self.problems.into_iter().chain(unknown).collect()
    }
}

fn texts(value: Value) -> Option<Vec<String>> {
    let Value::Array(values) = value else { return None };
    values
        .into_iter()
        .map(|value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
        .collect()
}

/// A time as Go's `time.ParseDuration` reads it: `1m30s`, `1.5s`.
fn go_nanoseconds(text: &str) -> Option<u64> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total = 0.0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|one: char| !one.is_ascii_digit() && one != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let length = rest.find(|one: char| one.is_ascii_digit() || one == '.').unwrap_or(rest.len());
        let unit = match &rest[..length] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        total += number * unit;
        rest = &rest[length..];
    }
    // A float that is too large becomes the largest number.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is not below 0, and it saturates")]
    Some(total as u64)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{AirFile, AirProgram, parse};

    /// All keys and values that `air init` of v1.67.4 writes.
    const OF_AIR_INIT: &str = r##"
        env_files = []
        root = "."
        testdata_dir = "testdata"
        tmp_dir = "tmp"
        [build]
        args_bin = []
        bin = "./tmp/main"
        cmd = "go build -o ./tmp/main ."
        delay = 1000
        entrypoint = ["./tmp/main"]
        exclude_dir = ["assets", "tmp", "vendor", "testdata"]
        exclude_file = []
        exclude_regex = ["_test.go"]
        exclude_unchanged = false
        follow_symlink = false
        full_bin = ""
        ignore_dangerous_root_dir = false
        include_dir = []
        include_ext = ["go", "tpl", "tmpl", "html"]
        include_file = []
        kill_delay = "0s"
        log = "build-errors.log"
        poll = false
        poll_interval = 0
        post_cmd = []
        pre_cmd = []
        rerun = false
        rerun_delay = 500
        send_interrupt = false
        stop_on_error = false
        [color]
        app = ""
        build = "yellow"
        mode = ""
        [log]
        main_only = false
        silent = false
        [misc]
        clean_on_exit = false
        [proxy]
        app_port = 0
        app_start_timeout = 0
        enabled = false
        proxy_port = 0
        [screen]
        clear_on_rebuild = false
        keep_scroll = true
    "##;

    fn program(text: &str) -> AirProgram {
        parse(text).unwrap().program
    }

    #[test]
    fn the_file_that_air_writes_says_what_air_does_by_default() {
        let expected = AirFile { program: AirProgram::Exec(vec!["./tmp/main".to_owned()]), ..AirFile::default() };
        assert_eq!(parse(OF_AIR_INIT).unwrap(), expected);
        assert_eq!(parse("").unwrap(), AirFile::default(), "and so does an empty one");
    }

    #[test]
    fn what_is_run() {
        let shell = |line: &str| AirProgram::Shell(line.to_owned());
        let exec = |argv: &[&str]| AirProgram::Exec(argv.iter().map(|&word| word.to_owned()).collect());
        for (text, expected, why) in [
            ("bin = './b'", shell("./b"), "a line, as Air runs it"),
            ("bin = './b'\nargs_bin = ['x', 'y z']", shell("./b x y z"), "its arguments are part of the line"),
            (
                "bin = './b'\nentrypoint = ['./e', 'x']\nargs_bin = ['y z']",
                exec(&["./e", "x", "y z"]),
                "in place of bin",
            ),
            ("entrypoint = './e'", exec(&["./e"]), "one string"),
            ("entrypoint = ['./e']\nfull_bin = 'A=1 ./f'", shell("A=1 ./f"), "full_bin goes before all"),
            ("args_bin = ['x']", shell("./tmp/main x"), "the default with arguments"),
            ("bin = 'a'\n[build.linux]\nbin = 'b'", shell("b"), "the platform's table"),
        ] {
            assert_eq!(program(&format!("[build]\n{text}\n")), expected, "{why}");
        }
    }

    #[test]
    fn mistakes_are_told_and_hide_nothing() {
        let file = parse(
            "tmpdir = 'x'\nroot = 3\n[build]\ncmd = 'make'\ndelay = -1\ninclude_ext = 'go'\nrerun = true\nspeed = 1\n\
             [[build.rules]]\ncmd = 'npm'\n[proxy]\nenabled = true\nport = 1\n[color]\nwhatever = 1\n",
        )
        .unwrap();
        assert_eq!(file.cmd, "make");
        assert_eq!(file.delay, AirFile::default().delay);
        let told = file.problems.join("\n");
        for part in [
            "`root` is to be a string",
            "`tmpdir`: there is no such key",
            "`build.rules` are not acted on",
            "`build.rerun` is not acted on",
            "`build.include_ext` is to be a list of strings",
            "`build.delay` is to be a number, not below 0",
            "`build.speed`: there is no such key",
            "`proxy` is not acted on",
            "`proxy.port`: there is no such key",
        ] {
            assert!(told.contains(part), "{part} is among\n{told}");
        }
        assert_eq!(file.problems.len(), 9, "{told}");
    }

    #[test]
    fn a_file_that_is_no_toml_is_told_with_its_place() {
        let error = parse("[build]\ncmd = \"x\n").unwrap_err();
        assert!(error.starts_with("2:"), "{error}");
    }

    #[test]
    fn kill_delays() {
        for (value, millis, why) in [
            ("500", 500, "below a millisecond it means milliseconds"),
            ("2000000", 2, "nanoseconds"),
            ("'1.5s'", 1500, "a time of Go's"),
            ("'1m2s'", 62_000, "of several parts"),
            ("'0'", 0, "none"),
        ] {
            let file = parse(&format!("[build]\nkill_delay = {value}\n")).unwrap();
            assert_eq!((file.kill_delay, file.problems), (Duration::from_millis(millis), vec![]), "{why}");
        }
        for wrong in ["'soon'", "''", "true", "-1", "'5'"] {
            let file = parse(&format!("[build]\nkill_delay = {wrong}\n")).unwrap();
            assert_eq!(file.problems.len(), 1, "{wrong}");
        }
    }

    #[test]
    fn polling() {
        let poll = |text: &str| parse(&format!("[build]\n{text}\n")).unwrap().poll;
        assert_eq!(poll("poll_interval = 900"), None);
        assert_eq!(poll("poll = true\npoll_interval = 900"), Some(Duration::from_millis(900)));
        assert_eq!(poll("poll = true\npoll_interval = 1"), Some(Duration::from_millis(500)), "Air's shortest");
    }

    proptest! {
        /// No text makes it panic, and every unknown key of a table is told.
        #[test]
        fn hostile_texts(text in "\\PC{0,200}", key in "[a-z]{8,12}", number in any::<i64>()) {
            let _ = parse(&text);
            let text = format!("[build]\ndelay = {number}\nkill_delay = {number}\npoll_interval = {number}\n{key}x = 1\n");
            let file = parse(&text).unwrap();
            let told = format!("`build.{key}x`: there is no such key");
            prop_assert!(file.problems.contains(&told), "{:?}", file.problems);
        }

        #[test]
        fn hostile_times(text in "[0-9.smhnu]{0,30}") {
            let file = parse(&format!("[build]\nkill_delay = '{text}'\n")).unwrap();
            prop_assert!(file.problems.len() <= 1);
        }
    }
}
