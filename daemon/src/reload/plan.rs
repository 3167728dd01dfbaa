//! What a reload builds, runs and watches: the call, `customizations.burrow.reload` and `.air.toml`, put together. Pure but
//! for looking where a folder really is.
//!
//! What is named in the call goes before `.air.toml`: with packages named, of that file only what it says about watching
//! counts. The settings of devcontainer.json are added to both.

use std::collections::BTreeMap;
use std::time::Duration;

use burrow_protocol::reload::ReloadProgram;
use burrow_protocol::settings::{ReloadSettings, SingleCommand};
use camino::{Utf8Path, Utf8PathBuf};

use super::error::ReloadError;
use super::messages::ReloadOrder;
use crate::duration;
use crate::watch::{Rule, Scope};
use crate::workspace::files::air::{AirFile, AirProgram};
use crate::workspace::files::glob;
use crate::workspace::files::lexical::clean;

/// After the last change. An editor's "save all" is over by then.
const DELAY: Duration = Duration::from_millis(100);
/// Between TERM and KILL.
const GRACE: Duration = Duration::from_secs(5);
/// What a Go program is built from, and what it commonly reads.
const EXTENSIONS: [&str; 12] = ["go", "mod", "sum", "work", "c", "h", "s", "cc", "cpp", "tpl", "tmpl", "html"];

/// What a reload builds, runs and watches.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) programs: Vec<Program>,
    pub(super) scope: Scope,
    /// After the last change.
    pub(super) delay: Duration,
    /// Looked at so often, instead of by inotify.
    pub(super) poll: Option<Duration>,
    /// Read before each build.
    pub(super) env_files: Vec<Utf8PathBuf>,
    /// Run at the end.
    pub(super) last: Vec<Step>,
    /// What is wrong with the settings.
    pub(super) problems: Vec<String>,
}

/// One program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) recipe: Recipe,
    /// Between the first signal and KILL.
    pub(super) grace: Duration,
    /// INT first, instead of TERM.
    pub(super) interrupt: bool,
    /// A build that fails ends the old program.
    pub(super) stop_on_error: bool,
    args: Vec<String>,
    cwd: Utf8PathBuf,
}

/// How a program is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Recipe {
    /// `go build` of the package in a folder.
    Go { dir: Utf8PathBuf },
    /// The command of the settings.
    Setting { command: SingleCommand, workspace: Utf8PathBuf, dir: Utf8PathBuf },
    /// What a `.air.toml` says.
    Air { steps: Vec<Step>, run: AirProgram },
}

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) argv: Vec<String>,
    pub(super) cwd: Utf8PathBuf,
    /// On top of the environment.
    pub(super) env: BTreeMap<String, String>,
    /// It takes INT as a request to clear up and end; a shell may not.
    pub(super) interrupt: bool,
}

impl Step {
    fn shell(line: &str, cwd: &Utf8Path) -> Self {
        let argv = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
        Self { argv, cwd: cwd.to_owned(), env: BTreeMap::new(), interrupt: false }
    }
}

impl Recipe {
    /// Whether it is a plain `go build`.
    pub(super) const fn is_go(&self) -> bool {
        matches!(self, Self::Go { .. })
    }

    /// Whether what it builds lies where it is told to.
    pub(super) const fn has_output(&self) -> bool {
        !matches!(self, Self::Air { .. })
    }
}

impl Program {
    /// The commands that build it, to the file `output`. `flags` has the caller's own GOFLAGS.
    pub(super) fn build(&self, output: &Utf8Path, flags: &str) -> Vec<Step> {
        match &self.recipe {
            Recipe::Go { dir } => {
                let mut argv = ["go", "build", "-o", output.as_str(), "-buildvcs=false"].map(str::to_owned).to_vec();
                // Nobody debugs this one, and without DWARF it is linked sooner. What is on the command line takes the
                // place of the same flag in GOFLAGS.
                if !flags.contains("-ldflags") {
                    argv.push("-ldflags=-w".to_owned());
                }
                argv.push(".".to_owned());
                vec![Step { argv, cwd: dir.clone(), env: BTreeMap::new(), interrupt: true }]
            }
            Recipe::Setting { command, workspace, dir } => {
                let mut step = match command {
                    SingleCommand::Shell(line) => Step::shell(line, workspace),
                    SingleCommand::Exec(argv) => Step { argv: argv.clone(), ..Step::shell("", workspace) },
                };
                step.env.insert("BURROW_PACKAGE".to_owned(), dir.to_string());
                step.env.insert("BURROW_OUTPUT".to_owned(), output.to_string());
                vec![step]
            }
            Recipe::Air { steps, .. } => steps.clone(),
        }
    }

    /// The command that runs it, where it was built to `output`.
    pub(super) fn run(&self, output: &Utf8Path) -> Step {
        let mut step = match &self.recipe {
            Recipe::Go { .. } | Recipe::Setting { .. } => {
                Step { argv: vec![output.to_string()], ..Step::shell("", &self.cwd) }
            }
            Recipe::Air { run: AirProgram::Shell(line), .. } => {
                let args = self.args.iter().map(|arg| format!(" {}", quoted(arg)));
                return Step::shell(&format!("{line}{}", args.collect::<String>()), &self.cwd);
            }
            Recipe::Air { run: AirProgram::Exec(argv), .. } => {
                let mut argv = argv.clone();
                if let Some(program) = argv.first_mut().filter(|program| program.contains('/')) {
                    *program = self.cwd.join(&*program).into_string();
                }
                Step { argv, ..Step::shell("", &self.cwd) }
            }
        };
        step.argv.extend(self.args.iter().cloned());
        step
    }
}

/// The command that builds a package for a debugger. What the client's flags or GOFLAGS say goes before ours.
pub(super) fn debug_build(
    cwd: &Utf8Path,
    package: &str,
    test: bool,
    flags: &[String],
    go_flags: Option<&String>,
    output: &Utf8Path,
) -> Step {
    let verb: &[&str] = if test { &["test", "-c"] } else { &["build"] };
    let mut argv: Vec<_> = std::iter::once("go").chain(verb.iter().copied()).map(str::to_owned).collect();
    argv.extend(["-o".to_owned(), output.to_string()]);
    let said = |name: &str| {
        let of_client = flags.iter().any(|flag| flag.trim_start_matches('-').starts_with(name));
        of_client || go_flags.is_some_and(|all| all.contains(&format!("-{name}")))
    };
    for (name, flag) in [
        ("buildvcs", "-buildvcs=false"),
        // As dlv builds: every variable is there, and every line can be stopped at. Of a program with net/http, saved anew
        // (medians of 5 in turns, processor time, Go 1.26, Delve 1.27.1): `all` 0.70 s, the module's packages alone 0.67 s
        // to build, and 0.62 and 0.61 s for dlv to the first stop. That is not worth a library without its variables.
        ("gcflags", "-gcflags=all=-N -l"),
        // dlv would have to unpack it at each start: 0.71 s to the first stop, and 0.62 s without. To build: no difference.
        ("ldflags", "-ldflags=-compressdwarf=false"),
    ] {
        if !said(name) {
            argv.push(flag.to_owned());
        }
    }
    argv.extend(flags.iter().cloned());
    argv.push(package.to_owned());
    Step { argv, cwd: cwd.to_owned(), env: BTreeMap::new(), interrupt: true }
}

/// As a word of a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// Puts together what `order` and `air`, the file in a folder, say.
///
/// # Errors
/// [`ReloadError::Settings`].
pub(super) fn plan(order: &ReloadOrder, air: Option<(&Utf8Path, AirFile)>) -> Result<Plan, ReloadError> {
    let settings = &order.settings;
    let mut plan = match air {
        Some((folder, file)) => with_air(order, folder, file)?,
        None => Plan {
            programs: Vec::new(),
            scope: Scope {
                base: order.workspace.clone(),
                roots: vec![order.workspace.clone()],
                extensions: EXTENSIONS.map(str::to_owned).to_vec(),
                exclude: vec![Rule::Relative(pattern("*_test.go")?)],
                ..Scope::default()
            },
            delay: DELAY,
            poll: None,
            env_files: Vec::new(),
            last: Vec::new(),
            problems: Vec::new(),
        },
    };
    if !order.programs.is_empty() {
        plan.programs = order.programs.iter().map(|program| go_program(order, program)).collect();
        plan.last.clear();
    }
    if plan.programs.is_empty() {
        return Err(ReloadError::Settings { why: "there is no program to run".to_owned() });
    }
    add_settings(&mut plan, settings)?;
    Ok(plan)
}

fn add_settings(plan: &mut Plan, settings: &ReloadSettings) -> Result<(), ReloadError> {
    for include in &settings.include {
        plan.scope.include.push(Rule::Relative(pattern(include)?));
    }
    for exclude in &settings.exclude {
        plan.scope.exclude.push(Rule::Relative(pattern(exclude)?));
    }
    if let Some(delay) = &settings.delay {
        plan.delay = duration::parse(delay).map_err(|why| ReloadError::Settings { why: format!("`delay`: {why}") })?;
    }
    Ok(())
}

fn go_program(order: &ReloadOrder, program: &ReloadProgram) -> Program {
    let dir = Utf8PathBuf::from(&program.dir);
    let recipe = match &order.settings.build {
        Some(command) => Recipe::Setting { command: command.clone(), workspace: order.workspace.clone(), dir },
        None => Recipe::Go { dir },
    };
    Program {
        name: program.name.clone(),
        recipe,
        grace: GRACE,
        interrupt: false,
        stop_on_error: false,
        args: order.args.clone(),
        cwd: order.caller.cwd.clone(),
    }
}

fn with_air(order: &ReloadOrder, folder: &Utf8Path, file: AirFile) -> Result<Plan, ReloadError> {
    let root = folder.join(&file.root);
    let root =
        root.canonicalize_utf8().map_err(|error| ReloadError::Settings { why: format!("root {root}: {error}") })?;
    let below = |paths: &[String]| -> Vec<Utf8PathBuf> {
        let named = paths.iter().map(|path| path.trim().trim_end_matches('/')).filter(|path| !path.is_empty());
        named.map(|path| clean(&root.join(path))).collect()
    };
    let mut problems = file.problems;
    let mut exclude = Vec::new();
    for text in &file.exclude_regex {
        match regex_lite::Regex::new(text) {
            Ok(regex) => exclude.push(Rule::Absolute(regex)),
            Err(error) => problems.push(format!("`build.exclude_regex`: `{text}`: {error}")),
        }
    }
    for text in &file.exclude_file {
        match glob::anchored(text) {
            Ok(regex) => exclude.push(Rule::Relative(regex)),
            Err(why) => problems.push(format!("`build.exclude_file`: {why}")),
        }
    }
    let roots = if file.include_dir.is_empty() { vec![root.clone()] } else { below(&file.include_dir) };
    let skipped = below(&file.exclude_dir).into_iter().chain(below(&[file.tmp_dir, file.testdata_dir]));
    let skipped = skipped.filter(|folder| *folder != root).collect();
    let binary = match &file.program {
        AirProgram::Shell(line) => line.split_whitespace().next().unwrap_or_default().to_owned(),
        AirProgram::Exec(argv) => argv.first().cloned().unwrap_or_default(),
    };
    let name = Utf8Path::new(&binary).file_name().unwrap_or("program").to_owned();
    // With `*` every file counts, and this one is written by each build.
    exclude.push(Rule::Absolute(exactly(&clean(&root.join(&binary)))?));
    let steps = file.pre_cmd.iter().chain([&file.cmd]).map(|line| Step::shell(line, &root)).collect();
    let program = Program {
        name,
        recipe: Recipe::Air { steps, run: file.program },
        grace: if file.kill_delay.is_zero() { GRACE } else { file.kill_delay },
        interrupt: file.send_interrupt,
        stop_on_error: file.stop_on_error,
        args: order.args.clone(),
        cwd: root.clone(),
    };
    Ok(Plan {
        programs: vec![program],
        scope: Scope {
            roots,
            skipped,
            extensions: file.include_ext.iter().map(|ext| ext.trim().trim_start_matches('.').to_owned()).collect(),
            files: below(&file.include_file).into_iter().collect(),
            include: Vec::new(),
            exclude,
            base: root.clone(),
        },
        delay: file.delay,
        poll: file.poll,
        env_files: below(&file.env_files),
        last: file.post_cmd.iter().map(|line| Step::shell(line, &root)).collect(),
        problems,
    })
}

/// A pattern of the settings for files that do not count.
///
/// # Errors
/// [`ReloadError::Settings`].
pub(super) fn excluded(text: &str) -> Result<Rule, ReloadError> {
    Ok(Rule::Relative(pattern(text)?))
}

fn pattern(text: &str) -> Result<regex_lite::Regex, ReloadError> {
    glob::anywhere(text).map_err(|why| ReloadError::Settings { why })
}

fn exactly(path: &Utf8Path) -> Result<regex_lite::Regex, ReloadError> {
    let text = format!("^{}$", regex_lite::escape(path.as_str()));
    regex_lite::Regex::new(&text).map_err(|error| ReloadError::Settings { why: error.to_string() })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use burrow_protocol::reload::ReloadProgram;
    use burrow_protocol::settings::{ReloadSettings, SingleCommand};
    use camino::{Utf8Path, Utf8PathBuf};
    use tokio_util::sync::CancellationToken;

    use super::{Plan, plan};
    use crate::process::Caller;
    use crate::reload::messages::ReloadOrder;
    use crate::workspace::files::air;

    fn order(programs: &[&str]) -> ReloadOrder {
        let programs = programs.iter();
        ReloadOrder {
            workspace: "/w".into(),
            programs: programs
                .map(|name| ReloadProgram { name: (*name).to_owned(), dir: format!("/w/{name}") })
                .collect(),
            config: None,
            args: vec!["-v".to_owned(), "it's".to_owned()],
            settings: ReloadSettings::default(),
            secrets: Vec::new(),
            caller: Caller { env: Arc::default(), cwd: "/here".into(), trusted: true },
            closed: CancellationToken::new(),
        }
    }

    fn with_air(order: &ReloadOrder, text: &str) -> (Plan, Utf8PathBuf, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
        let plan = plan(order, Some((&root, air::parse(text).unwrap()))).unwrap();
        (plan, root, folder)
    }

    #[test]
    fn a_package_is_built_by_go_where_it_lies_and_runs_where_it_was_called() {
        let plan = plan(&order(&["cmd/a"]), None).unwrap();
        let [program] = plan.programs.as_slice() else { panic!("one program") };
        let [build] = &program.build(Utf8Path::new("/out/a"), "")[..] else { panic!("one command") };
        assert_eq!(build.argv, ["go", "build", "-o", "/out/a", "-buildvcs=false", "-ldflags=-w", "."]);
        assert_eq!(build.cwd, "/w/cmd/a");
        let own = program.build(Utf8Path::new("/out/a"), "-ldflags=-X=main.version=1");
        assert!(!own[0].argv.contains(&"-ldflags=-w".to_owned()), "the caller's own flags count");
        let run = program.run(Utf8Path::new("/out/a"));
        assert_eq!((run.argv, run.cwd), (["/out/a", "-v", "it's"].map(str::to_owned).to_vec(), "/here".into()));
        assert!(!plan.scope.matters("/w/a_test.go".into()), "a test is no part of a program");
    }

    #[test]
    fn settings_are_heard() {
        let mut order = order(&["a"]);
        order.settings = ReloadSettings {
            build: Some(SingleCommand::Shell("make".to_owned())),
            include: vec!["*.sql".to_owned()],
            exclude: vec!["gen/**".to_owned()],
            delay: Some("7ms".to_owned()),
            ..ReloadSettings::default()
        };
        let plan = plan(&order, None).unwrap();
        let build = &plan.programs[0].build(Utf8Path::new("/out/a"), "")[0];
        assert_eq!((build.argv[2].as_str(), build.cwd.as_str()), ("make", "/w"));
        assert_eq!((build.env["BURROW_PACKAGE"].as_str(), build.env["BURROW_OUTPUT"].as_str()), ("/w/a", "/out/a"));
        assert!(plan.scope.matters("/w/db/q.sql".into()) && !plan.scope.matters("/w/gen/x.go".into()));
        assert_eq!(plan.delay, Duration::from_millis(7));
        order.settings.delay = Some("soon".to_owned());
        assert!(super::plan(&order, None).unwrap_err().to_string().contains("soon"));
    }

    #[test]
    fn air_toml_says_what_is_built_run_and_watched() {
        let (plan, root, _folder) = with_air(
            &order(&[]),
            "tmp_dir = 'out'\nenv_files = ['.env']\n[build]\npre_cmd = ['one']\ncmd = 'two'\npost_cmd = ['three']\n\
             entrypoint = ['./out/app', 'x']\ninclude_ext = ['*']\nexclude_dir = ['web/']\nexclude_file = ['a*.go']\n\
             exclude_regex = ['_gen.go', '(']\ninclude_file = ['web/conf.json']\nkill_delay = '2s'\nsend_interrupt = true\n\
             stop_on_error = true\ndelay = 5\n",
        );
        let [program] = plan.programs.as_slice() else { panic!("one program") };
        assert_eq!(program.name, "app");
        let lines: Vec<_> = program.build("/unused".into(), "").iter().map(|step| step.argv[2].clone()).collect();
        assert_eq!(lines, ["one", "two"]);
        let app = root.join("./out/app").into_string();
        assert_eq!(program.run("/unused".into()).argv, [app.as_str(), "x", "-v", "it's"]);
        assert_eq!((program.grace, program.interrupt, program.stop_on_error), (Duration::from_secs(2), true, true));
        assert_eq!((plan.delay, plan.last.len()), (Duration::from_millis(5), 1));
        assert_eq!(plan.env_files, [root.join(".env")]);
        for (file, expected, why) in [
            ("x.css", true, "`*` is every extension"),
            ("web/conf.json", true, "named outright"),
            ("abc.go", false, "excluded by a pattern"),
            ("cmd/abc.go", true, "which is one for the root"),
            ("x_gen.go", false, "excluded by a regular expression"),
            ("out/app", false, "what the build writes"),
        ] {
            assert_eq!(plan.scope.matters(&root.join(file)), expected, "{file}: {why}");
        }
        assert!(!plan.scope.enters(&root.join("out")) && !plan.scope.enters(&root.join("web")));
        assert_eq!(plan.problems.len(), 1, "a pattern that is none is told: {:?}", plan.problems);
    }

    #[test]
    fn a_line_of_air_gets_its_arguments_quoted() {
        let (plan, _, _folder) = with_air(&order(&[]), "[build]\nfull_bin = 'A=1 ./tmp/main'\n");
        let run = plan.programs[0].run("/unused".into());
        assert_eq!(run.argv[2], "A=1 ./tmp/main '-v' 'it'\\''s'");
    }

    #[test]
    fn packages_that_are_named_go_before_what_air_builds() {
        let (plan, _, _folder) = with_air(&order(&["a", "b"]), "[build]\ncmd = 'make'\npost_cmd = ['x']\ndelay = 5\n");
        assert_eq!(plan.programs.len(), 2);
        assert_eq!((plan.delay, plan.last.len()), (Duration::from_millis(5), 0));
    }

    #[test]
    fn a_build_for_a_debugger_keeps_the_flags_of_its_client() {
        let build = |flags: &[&str], test: bool| {
            let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            super::debug_build("/w".into(), "./a", test, &flags, None, "/out/p".into()).argv.join(" ")
        };
        assert_eq!(
            build(&["-tags=x"], false),
            "go build -o /out/p -buildvcs=false -gcflags=all=-N -l -ldflags=-compressdwarf=false -tags=x ./a"
        );
        let own = build(&["-gcflags=all=-N", "-ldflags=-X=main.v=1"], true);
        assert_eq!(own, "go test -c -o /out/p -buildvcs=false -gcflags=all=-N -ldflags=-X=main.v=1 ./a");
    }

    #[test]
    fn nothing_to_run_is_an_error() {
        assert!(plan(&order(&[]), None).is_err());
    }
}
