//! Which version is chosen, by pins, lock file, table and Go.

use super::super::sources::{FilePin, Level};
use super::*;

const GOPLS: &str = "golang.org/x/tools/gopls";

fn row(module: &str, package: &str, version: &str, h1: &str) -> LockedTool {
    LockedTool {
        module: module.into(),
        package: package.into(),
        version: version.into(),
        h1: h1.into(),
        binaries: [(lock::build_key("go1.26.8"), "ff00".to_owned())].into(),
    }
}

/// What is given; by default nothing is pinned, and no Go can be fetched.
#[derive(Default)]
struct Given {
    settings: BTreeMap<String, ToolSetting>,
    levels: [Level; 3],
    row: Option<LockedTool>,
    fetches: bool,
}

impl Given {
    fn setting(pin: Option<ToolSetting>, name: &str) -> Self {
        Self { settings: pin.map(|pin| (name.to_owned(), pin)).into_iter().collect(), ..Self::default() }
    }

    fn file(mut self, level: usize, name: &str, version: &str, from: &str) -> Self {
        let pin = FilePin { version: version.into(), package: None, from: from.into() };
        self.levels[level].entry(name.to_owned()).or_default().push(pin);
        self
    }

    fn choose(self, name: &str, gos: &[&str]) -> Result<Wanted, ToolchainError> {
        let served: Vec<GoVersion> = gos.iter().map(|go| go.parse().unwrap()).collect();
        let compat = Compat::built_in();
        let lock = self.row.map(|row| LockFile { schema: 1, tools: [(name.to_owned(), row)].into() });
        let fetchable = if self.fetches { compat.builders.as_slice() } else { &[] };
        let words = gos.iter().map(|go| format!("Go {go}")).collect::<Vec<_>>().join(" and ");
        let inputs = Inputs {
            settings: &self.settings,
            files: &FilePins { levels: self.levels.into() },
            lock: lock.as_ref(),
            compat,
            gos: Gos { served: &served, own: served[0], fetchable },
            served: &words,
        };
        choose(inputs).into_iter().find(|choice| choice.name == name).unwrap().wanted
    }
}

fn choice(name: &str, pin: Option<ToolSetting>, row: Option<LockedTool>, go: &str) -> Result<Wanted, ToolchainError> {
    Given { row, ..Given::setting(pin, name) }.choose(name, &[go])
}

fn version(text: &str) -> Option<ToolSetting> {
    Some(ToolSetting::Version(text.to_owned()))
}

fn dlv(version: &str) -> Option<LockedTool> {
    let table = &Compat::built_in().tools["dlv"];
    let (module, package) = table.paths(version);
    Some(row(module, package, version, table.sum(version).unwrap_or("h1:unknown")))
}

#[test]
fn pin_then_lock_then_table() {
    for (pin, lock, go, expected, why) in [
        (None, None, "1.26.8", Ok("v1.27.1"), "the table's newest"),
        (version("auto"), None, "1.24.3", Ok("v1.26.3"), "the newest for that Go"),
        (version("v1.27.0"), None, "1.26.8", Ok("v1.27.0"), "an exact pin"),
        (version("1.27.0"), None, "1.26.8", Ok("v1.27.0"), "without its v"),
        (version("1.26"), None, "1.26.8", Ok("v1.26.3"), "a partial pin"),
        (version("1"), None, "1.26.8", Ok("v1.27.1"), "a major version alone"),
        (version("v1.2"), None, "1.26.8", Ok("open v1.2"), "a partial pin ends at a dot: the table has no v1.2.x"),
        (version("v1.28"), None, "1.26.8", Ok("open v1.28"), "newer than the table"),
        (version("v1.21"), None, "1.26.8", Err("PIN"), "what the table knows of it does not work"),
        (version("v1.28.0"), None, "1.28.0", Ok("v1.28.0"), "a version newer than the table may be pinned"),
        (version("v1.27.1"), None, "1.24.3", Err("PIN"), "today's newest dlv is refused for a Go that it rejects"),
        (version("v1.27.1"), dlv("v1.27.1"), "1.24.3", Err("PIN"), "locked or not: an update would not mend it"),
        (version("latest"), None, "1.26.8", Ok("open latest"), "upstream's newest is looked up"),
        (version("latest"), dlv("v1.27.0"), "1.26.8", Ok("v1.27.0"), "and then held by the lock"),
        (None, None, "1.30.0", Err("FITS"), "no version of the table knows that Go"),
        (None, dlv("v1.27.0"), "1.26.8", Ok("v1.27.0"), "the lock is kept, newer or not"),
        (version("1.27"), dlv("v1.27.0"), "1.26.8", Ok("v1.27.0"), "the lock satisfies the pin"),
        (version("1.26"), dlv("v1.27.0"), "1.26.8", Err("DRIFT"), "the lock does not satisfy the pin"),
        (None, dlv("v1.27.1"), "1.24.3", Err("DRIFT"), "the lock does not work with this Go"),
        (version("newest"), None, "1.26.8", Err("INVALID"), "no version"),
        (version("-x"), None, "1.26.8", Err("INVALID"), "no flag"),
        (version("v1.27.1/../x"), None, "1.26.8", Err("INVALID"), "no path"),
    ] {
        let found = match choice("dlv", pin, lock, go) {
            Ok(wanted) if wanted.open.is_some() => Ok(format!("open {}", wanted.version)),
            Ok(wanted) => Ok(wanted.version),
            Err(ToolchainError::PinCannotWork { fitting, .. }) if !fitting.is_empty() => Err("PIN"),
            Err(ToolchainError::NoVersionFits { .. }) => Err("FITS"),
            Err(ToolchainError::Drifted { .. }) => Err("DRIFT"),
            Err(ToolchainError::PinInvalid { .. }) => Err("INVALID"),
            Err(other) => panic!("{why}: {other}"),
        };
        assert_eq!(found.as_deref().map_err(|error| *error), expected, "{why}");
    }
}

#[test]
fn the_stronger_kind_of_pin_decides() {
    let all = || {
        Given::setting(version("v0.22.0"), "gopls")
            .file(0, "gopls", "v0.21.1", "go.mod")
            .file(1, "gopls", "v0.20.0", ".bingo/gopls.mod")
            .file(2, "gopls", "0.19", "mise.toml")
    };
    let mut given = all();
    assert_eq!(given.choose("gopls", &["1.26.8"]).unwrap().version, "v0.22.0");
    let expected =
        [("v0.21.1", "pinned in go.mod"), ("v0.20.0", "pinned in .bingo/gopls.mod"), ("v0.19.1", "mise.toml")];
    for (level, (version, why)) in expected.into_iter().enumerate() {
        given = all();
        given.settings.clear();
        given.levels[..level].iter_mut().for_each(BTreeMap::clear);
        let wanted = given.choose("gopls", &["1.26.8"]).unwrap();
        assert_eq!(wanted.version, version);
        assert!(wanted.why.contains(why), "{}", wanted.why);
    }
    given = all();
    given.settings.insert("gopls".to_owned(), ToolSetting::Version("auto".to_owned()));
    assert_eq!(given.choose("gopls", &["1.26.8"]).unwrap().version, "v0.23.0", "auto says that files do not count");
    let wanted = Given::default().file(2, "staticcheck", "2025.1.1", ".tool-versions");
    assert_eq!(wanted.choose("staticcheck", &["1.24.3"]).unwrap().version, "v0.6.1", "a release by its own name");
}

#[test]
fn modules_that_want_different_tools() {
    let both =
        |a: &str, b: &str| Given::default().file(0, "goimports", a, "a/go.mod").file(0, "goimports", b, "b/go.mod");
    assert_eq!(both("v0.36.0", "v0.36.0").choose("goimports", &["1.26.8"]).unwrap().version, "v0.36.0");
    let conflict = both("v0.36.0", "v0.42.0").choose("goimports", &["1.26.8"]).unwrap_err();
    assert_eq!(
        conflict.to_string(),
        "choose a version of goimports: v0.36.0 in a/go.mod and v0.42.0 in b/go.mod exclude each other"
    );
    let none = Given::default().choose("dlv", &["1.26.8", "1.22.12"]).unwrap_err();
    assert!(none.to_string().contains("Go 1.26.8 and Go 1.22.12"), "{none}");
    assert_eq!(Given::default().choose("dlv", &["1.26.8", "1.24.1"]).unwrap().version, "v1.26.3", "one set for both");
}

#[test]
fn a_newer_go_builds_where_one_can_be_fetched() {
    let wanted = |fetches: bool, name: &str, pin: Option<ToolSetting>| {
        Given { fetches, ..Given::setting(pin, name) }.choose(name, &["1.24.3"])
    };
    let fetched = wanted(true, "gopls", None).unwrap();
    assert_eq!((fetched.version.as_str(), fetched.builder.name().as_str()), ("v0.21.1", "go1.27.4"));
    assert!(fetched.why.ends_with("built by go1.27.4, which is fetched for it"), "{}", fetched.why);
    let local = wanted(false, "gopls", None).unwrap();
    assert_eq!((local.version.as_str(), local.builder.name().as_str()), ("v0.20.0", "go1.24.3"));
    assert!(local.why.contains("v0.21.1 needs a newer Go to build it"), "{}", local.why);
    let unasked = wanted(true, "goimports", None).unwrap();
    assert_eq!(unasked.builder.name(), "go1.24.3", "no Go is fetched for what gains nothing by it");
    let pinned = wanted(true, "goimports", version("v0.49.0")).unwrap();
    assert_eq!(pinned.builder.name(), "go1.27.4", "but for what is pinned");
    assert!(matches!(wanted(false, "goimports", version("0.49")), Err(ToolchainError::PinCannotWork { .. })));
}

#[test]
fn the_table_is_the_root_of_trust_for_its_tools() {
    let (module, package) = Compat::built_in().tools["dlv"].paths("v1.27.1");
    let forged = row(module, package, "v1.27.1", "h1:forged");
    assert!(matches!(choice("dlv", None, Some(forged), "1.26.8"), Err(ToolchainError::ChecksumMismatch { .. })));
    let elsewhere = row("evil.example/dlv", "evil.example/dlv", "v1.27.1", "h1:x");
    assert!(matches!(choice("dlv", None, Some(elsewhere), "1.26.8"), Err(ToolchainError::Drifted { .. })));
    let wanted = choice("dlv", None, dlv("v1.27.1"), "1.26.8").unwrap();
    assert!(wanted.h1.unwrap().from_table);
    assert_eq!(wanted.sha256.as_deref(), Some("ff00"), "the row of this Go and platform");
}

#[test]
fn tools_of_the_users_own() {
    let package =
        |version: &str| Some(ToolSetting::Package { package: "a.example/t/cmd/t".into(), version: version.to_owned() });
    let wanted = choice("t", package("v1.2.3"), None, "1.26.8").unwrap();
    assert_eq!((wanted.module, wanted.h1), (None, None), "nothing is known of it yet");
    let locked = || row("a.example/t", "a.example/t/cmd/t", "v1.2.3", "h1:x");
    let wanted = choice("t", package("v1.2.3"), Some(locked()), "1.26.8").unwrap();
    assert_eq!(wanted.module.as_deref(), Some("a.example/t"));
    assert!(!wanted.h1.unwrap().from_table, "a lock file is no root of trust");
    for text in ["latest", "auto", "v1.2"] {
        let open = choice("t", package(text), None, "1.26.8").unwrap().open.unwrap();
        assert!(open.allows("v1.2.9"), "{text}");
        assert_eq!(open.allows("v1.20.0"), text != "v1.2", "{text}");
        assert_eq!(choice("t", package(text), Some(locked()), "1.26.8").unwrap().version, "v1.2.3", "{text}");
    }
    assert!(matches!(choice("t", version("v1.2.3"), None, "1.26.8"), Err(ToolchainError::ToolUnknown { .. })));
    for (name, package) in [
        ("t", "-toolexec=x"),
        ("t", "./local"),
        ("t", "a.example/../x"),
        ("../t", "a.example/t"),
        ("t", "a.example/t@v2"),
    ] {
        let pin = ToolSetting::Package { package: package.to_owned(), version: "v1.2.3".to_owned() };
        let refused = choice(name, Some(pin), None, "1.26.8");
        assert!(matches!(refused, Err(ToolchainError::PinInvalid { .. })), "{name} from {package}");
    }
    // The name of a known tool with another package is another tool: the table does not vouch for it.
    let own = choice("gopls", package("v1.2.3"), None, "1.26.8").unwrap();
    assert_eq!((own.package.as_str(), own.h1), ("a.example/t/cmd/t", None));
}

#[test]
fn both_major_versions_of_a_tool_have_their_paths() {
    let path = |text: &str| {
        let wanted = choice("golangci-lint", version(text), None, "1.26.8").unwrap();
        (wanted.module.unwrap(), wanted.version)
    };
    let v1 = "github.com/golangci/golangci-lint";
    let v2 = "github.com/golangci/golangci-lint/v2";
    for (pin, module, chosen) in [
        ("auto", v2, "v2.15.0"),
        ("1", v1, "v1.64.8"),
        ("v1.64.8", v1, "v1.64.8"),
        ("2.11", v2, "v2.11.4"),
        ("1.65", v1, "1.65"),
        ("2.99", v2, "2.99"),
        ("latest", v2, "latest"),
    ] {
        assert_eq!(path(pin), (module.to_owned(), chosen.to_owned()), "{pin}");
    }
    // Named by its old path, the tool stays on it.
    let old = ToolSetting::Package { package: format!("{v1}/cmd/golangci-lint"), version: "auto".to_owned() };
    assert_eq!(choice("golangci-lint", Some(old), None, "1.26.8").unwrap().version, "v1.64.8");
}

#[test]
fn what_was_looked_up_completes_a_choice() {
    let compat = Compat::built_in();
    let go: GoVersion = "1.26.8".parse().unwrap();
    let mut wanted = choice("gopls", version("latest"), None, "1.26.8").unwrap();
    let resolved = Resolved { version: "v0.22.0".into(), module: GOPLS.into(), builder: go };
    complete(&mut wanted, resolved, compat, go);
    assert_eq!((wanted.version.as_str(), wanted.open.as_ref()), ("v0.22.0", None));
    assert!(wanted.h1.unwrap().from_table, "the table vouches for what it lists");
}
