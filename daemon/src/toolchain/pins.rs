//! Which version of each tool a workspace is to have, and why. Pure.
//!
//! A pin (`customizations.burrow.tools`) says what is allowed. The lock file says which allowed version it is. Without a row
//! there, the compatibility table chooses the newest that fits the effective Go. A locked version that is not allowed, or does
//! not work with this Go, is drift: nothing is installed for it until `tools update`.

use std::collections::{BTreeMap, BTreeSet};

use burrow_protocol::lock::{LockFile, LockedTool};
use burrow_protocol::settings::ToolSetting;

use super::compat::{Compat, ToolTable};
use super::error::ToolchainError;
use super::lock;
use super::version::{GoVersion, ModuleVersion};

/// A tool as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The tool's name, and its binary's.
    pub(crate) name: String,
    /// The module's path; none where only the package is known, and the module has yet to be found.
    pub(crate) module: Option<String>,
    /// The main package's path.
    pub(crate) package: String,
    /// The exact version.
    pub(crate) version: String,
    /// The sum that the module must have, with who says so.
    pub(crate) h1: Option<ExpectedSum>,
    /// The Go that has to build it: the workspace's own, or a newer one that it may fetch.
    pub(crate) builder: GoVersion,
    /// The SHA-256 of the binary, where the lock file has a row for that Go and this platform.
    pub(crate) sha256: Option<String>,
    /// Why this version, in a few words.
    pub(crate) why: String,
}

/// A sum that a module must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExpectedSum {
    /// `h1:...`.
    pub(crate) sum: String,
    /// Whether this binary's own table vouches for it; else the lock file only says so.
    pub(crate) from_table: bool,
}

/// A tool with its choice, or why there is none.
#[derive(Debug)]
pub(crate) struct Choice {
    /// The tool's name.
    pub(crate) name: String,
    /// What is to be installed.
    pub(crate) wanted: Result<Wanted, ToolchainError>,
}

/// All that choices depend on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inputs<'a> {
    pub(crate) pins: &'a BTreeMap<String, ToolSetting>,
    pub(crate) lock: Option<&'a LockFile>,
    pub(crate) compat: &'a Compat,
    pub(crate) go: GoVersion,
}

/// Chooses a version for each tool of the workspace: those of the table, and those that are pinned besides.
pub(crate) fn choose(inputs: Inputs<'_>) -> Vec<Choice> {
    let names: BTreeSet<&String> = inputs.compat.tools.keys().chain(inputs.pins.keys()).collect();
    names.into_iter().map(|name| Choice { name: name.clone(), wanted: inputs.choose(name) }).collect()
}

/// What a pin allows.
enum Pin<'a> {
    /// Whatever works: no pin, or `auto`.
    Any,
    /// Versions that begin so: `v0.23`.
    Prefix(&'a str),
    /// One version.
    Exact(String),
}

/// A tool as the settings and the table name it.
struct Subject<'a> {
    name: &'a str,
    package: &'a str,
    pin: Pin<'a>,
    /// As written, for messages.
    pin_text: &'a str,
    /// Its rows in the table, unless it comes from another package.
    table: Option<&'a ToolTable>,
}

impl Inputs<'_> {
    fn choose(&self, name: &str) -> Result<Wanted, ToolchainError> {
        let subject = self.subject(name)?;
        let pinned = if let Pin::Any = subject.pin { "" } else { ", as pinned" };
        if let Some(row) = self.lock.and_then(|lock| lock.tools.get(name)) {
            self.check_locked(&subject, row)?;
            return Ok(Wanted { why: format!("locked{pinned}"), ..self.wanted(&subject, &row.version, Some(row)) });
        }
        let version = self.version(&subject)?;
        let why = match subject.pin {
            Pin::Any => format!("newest that works with Go {}", self.go),
            Pin::Prefix(prefix) => format!("newest of {prefix} that works with Go {}", self.go),
            Pin::Exact(_) => "pinned in devcontainer.json".to_owned(),
        };
        Ok(Wanted { why, ..self.wanted(&subject, &version, None) })
    }

    fn subject<'a>(&'a self, name: &'a str) -> Result<Subject<'a>, ToolchainError> {
        let table = self.compat.tools.get(name);
        let (package, text) = match self.pins.get(name) {
            None => (None, "auto"),
            Some(ToolSetting::Version(version)) => (None, version.as_str()),
            Some(ToolSetting::Package { package, version }) => (Some(package.as_str()), version.as_str()),
        };
        let table = table.filter(|table| package.is_none_or(|package| package == table.package));
        let Some(package) = package.or(table.map(|table| table.package.as_str())) else {
            return Err(ToolchainError::ToolUnknown { tool: name.to_owned(), known: self.compat.names() });
        };
        for (text, is_good, expected) in [
            (name, is_tool_name(name), "a name of letters, digits, `-`, `_` and `.`"),
            (package, is_package_path(package), "a package path such as \"honnef.co/go/tools/cmd/staticcheck\""),
        ] {
            if !is_good {
                return Err(ToolchainError::PinInvalid { tool: name.to_owned(), pin: text.to_owned(), expected });
            }
        }
        let pin = read_pin(text).filter(|pin| table.is_some() || matches!(pin, Pin::Exact(_)));
        let pin = pin.ok_or_else(|| ToolchainError::PinInvalid {
            tool: name.to_owned(),
            pin: text.to_owned(),
            expected: if table.is_some() {
                "\"auto\", or a version such as \"v0.23.0\" or \"v0.23\""
            } else {
                "an exact version"
            },
        })?;
        Ok(Subject { name, package, pin, pin_text: text, table })
    }

    /// The version without a lock file.
    fn version(&self, subject: &Subject<'_>) -> Result<String, ToolchainError> {
        if let Pin::Exact(version) = &subject.pin {
            if let Some(why) = self.misfit(subject, version) {
                return Err(self.cannot_work(subject, subject.pin_text, &why));
            }
            return Ok(version.clone());
        }
        let fitting = subject.table.map(|table| table.fitting(self.go)).unwrap_or_default();
        if let Some(version) = fitting.iter().find(|version| subject.pin.allows(version)) {
            return Ok((*version).to_owned());
        }
        match subject.pin {
            Pin::Prefix(prefix) => {
                let why = format!("no known version of it works with Go {}", self.go);
                Err(self.cannot_work(subject, prefix, &why))
            }
            Pin::Any | Pin::Exact(_) => {
                Err(ToolchainError::NoVersionFits { tool: subject.name.to_owned(), go: self.go })
            }
        }
    }

    fn check_locked(&self, subject: &Subject<'_>, row: &LockedTool) -> Result<(), ToolchainError> {
        let drifted = |why| Err(ToolchainError::Drifted { tool: subject.name.to_owned(), why });
        let inside = |module: &str| {
            row.package.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if row.package != subject.package
            || subject.table.map_or(!inside(&row.module), |table| table.module != row.module)
        {
            return drifted(format!("the lock file has {}, and {} is asked for", row.package, subject.package));
        }
        if !is_module_version(&row.version) {
            return drifted(format!("{:?} in the lock file is no version", row.version));
        }
        if !subject.pin.allows(&row.version) {
            return drifted(format!("the lock file has {}, and {} is pinned", row.version, subject.pin_text));
        }
        if let Some(why) = self.misfit(subject, &row.version) {
            return drifted(format!(
                "the lock file has {}, but {why}, and the workspace has Go {}",
                row.version, self.go
            ));
        }
        match subject.table.and_then(|table| table.sum(&row.version)) {
            Some(sum) if sum != row.h1 => Err(ToolchainError::ChecksumMismatch {
                what: format!("the lock file's row of {} {}", subject.name, row.version),
                found: row.h1.clone(),
                expected: sum.to_owned(),
                by: "the compatibility table".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn wanted(&self, subject: &Subject<'_>, version: &str, row: Option<&LockedTool>) -> Wanted {
        let from_table = subject.table.and_then(|table| table.sum(version));
        let h1 = from_table.map(|sum| ExpectedSum { sum: sum.to_owned(), from_table: true });
        Wanted {
            name: subject.name.to_owned(),
            module: subject.table.map(|table| table.module.clone()).or_else(|| row.map(|row| row.module.clone())),
            package: subject.package.to_owned(),
            version: version.to_owned(),
            h1: h1.or_else(|| row.map(|row| ExpectedSum { sum: row.h1.clone(), from_table: false })),
            builder: self.go,
            sha256: row.and_then(|row| row.binaries.get(&lock::build_key(&self.go.name())).cloned()),
            why: String::new(),
        }
    }

    fn misfit(&self, subject: &Subject<'_>, version: &str) -> Option<String> {
        let misfit = subject.table?.misfit(&version.parse().ok()?, self.go)?;
        Some(misfit.to_string())
    }

    fn cannot_work(&self, subject: &Subject<'_>, pin: &str, why: &str) -> ToolchainError {
        let fitting = subject.table.map(|table| table.fitting(self.go)).unwrap_or_default();
        ToolchainError::PinCannotWork {
            tool: subject.name.to_owned(),
            pin: pin.to_owned(),
            why: format!("{why}, and the workspace has Go {}", self.go),
            fitting: fitting.into_iter().map(str::to_owned).collect(),
        }
    }
}

impl Pin<'_> {
    fn allows(&self, version: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == version,
            // `v0.2` allows v0.2.9 and not v0.23.0.
            Self::Prefix(prefix) => version
                .strip_prefix('v')
                .and_then(|version| version.strip_prefix(prefix.strip_prefix('v').unwrap_or(prefix)))
                .is_some_and(|rest| rest.starts_with('.')),
        }
    }
}

fn read_pin(text: &str) -> Option<Pin<'_>> {
    if text == "auto" {
        return Some(Pin::Any);
    }
    if is_module_version(text) {
        let bare = text.strip_prefix('v').unwrap_or(text);
        return Some(Pin::Exact(format!("v{bare}")));
    }
    let bare = text.strip_prefix('v').unwrap_or(text);
    let numbers = bare.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    numbers.then_some(Pin::Prefix(text))
}

/// Whether `text` is a whole version that is safe to hand to Go: nothing of it is a flag, a path or a query.
fn is_module_version(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    text.chars().all(safe) && text.parse::<ModuleVersion>().is_ok()
}

/// Whether `text` can be the name of a link in the folder of tools.
fn is_tool_name(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.len() <= 64 && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(safe)
}

/// Whether `text` is a path of a package of some module, and neither a flag nor a file to Go.
fn is_package_path(text: &str) -> bool {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '~' | '/' | '+');
    let (host, _) = text.split_once('/').unwrap_or((text, ""));
    host.contains('.')
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(safe)
        && text.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(module: &str, package: &str, version: &str, h1: &str) -> LockedTool {
        LockedTool {
            module: module.into(),
            package: package.into(),
            version: version.into(),
            h1: h1.into(),
            binaries: [(lock::build_key("go1.26.8"), "ff00".to_owned())].into(),
        }
    }

    fn choice(
        name: &str,
        pin: Option<ToolSetting>,
        row: Option<LockedTool>,
        go: &str,
    ) -> Result<Wanted, ToolchainError> {
        let pins = pin.map(|pin| (name.to_owned(), pin)).into_iter().collect();
        let lock = row.map(|row| LockFile { schema: 1, tools: [(name.to_owned(), row)].into() });
        let compat = Compat::built_in();
        let inputs = Inputs { pins: &pins, lock: lock.as_ref(), compat, go: go.parse().unwrap() };
        choose(inputs).into_iter().find(|choice| choice.name == name).unwrap().wanted
    }

    fn version(text: &str) -> Option<ToolSetting> {
        Some(ToolSetting::Version(text.to_owned()))
    }

    fn dlv(version: &str) -> Option<LockedTool> {
        let table = &Compat::built_in().tools["dlv"];
        let h1 = table.sum(version).unwrap_or("h1:unknown");
        Some(row(&table.module, &table.package, version, h1))
    }

    #[test]
    fn pin_then_lock_then_table() {
        for (pin, lock, go, expected, why) in [
            (None, None, "1.26.8", Ok("v1.27.1"), "the table's newest"),
            (version("auto"), None, "1.24.3", Ok("v1.26.3"), "the newest for that Go"),
            (version("v1.27.0"), None, "1.26.8", Ok("v1.27.0"), "an exact pin"),
            (version("1.27.0"), None, "1.26.8", Ok("v1.27.0"), "without its v"),
            (version("1.26"), None, "1.26.8", Ok("v1.26.3"), "a partial pin"),
            (version("v1.2"), None, "1.26.8", Err("PIN"), "a partial pin ends at a dot"),
            (version("v1.28.0"), None, "1.28.0", Ok("v1.28.0"), "a version newer than the table may be pinned"),
            (version("v1.27.1"), None, "1.24.3", Err("PIN"), "today's newest dlv is refused for a Go that it rejects"),
            (None, None, "1.30.0", Err("FITS"), "no version of the table knows that Go"),
            (None, dlv("v1.27.0"), "1.26.8", Ok("v1.27.0"), "the lock is kept, newer or not"),
            (version("1.27"), dlv("v1.27.0"), "1.26.8", Ok("v1.27.0"), "the lock satisfies the pin"),
            (version("1.26"), dlv("v1.27.0"), "1.26.8", Err("DRIFT"), "the lock does not satisfy the pin"),
            (None, dlv("v1.27.1"), "1.24.3", Err("DRIFT"), "the lock does not work with this Go"),
            (version("latest"), None, "1.26.8", Err("INVALID"), "no version"),
            (version("-x"), None, "1.26.8", Err("INVALID"), "no flag"),
            (version("v1.27.1/../x"), None, "1.26.8", Err("INVALID"), "no path"),
        ] {
            let found = match choice("dlv", pin, lock, go) {
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
    fn the_table_is_the_root_of_trust_for_its_tools() {
        let table = &Compat::built_in().tools["dlv"];
        let forged = row(&table.module, &table.package, "v1.27.1", "h1:forged");
        assert!(matches!(choice("dlv", None, Some(forged), "1.26.8"), Err(ToolchainError::ChecksumMismatch { .. })));
        let elsewhere = row("evil.example/dlv", "evil.example/dlv", "v1.27.1", "h1:x");
        assert!(matches!(choice("dlv", None, Some(elsewhere), "1.26.8"), Err(ToolchainError::Drifted { .. })));
        let wanted = choice("dlv", None, dlv("v1.27.1"), "1.26.8").unwrap();
        assert!(wanted.h1.unwrap().from_table);
        assert_eq!(wanted.sha256.as_deref(), Some("ff00"), "the row of this Go and platform");
    }

    #[test]
    fn tools_of_the_users_own() {
        let package = |version: &str| {
            Some(ToolSetting::Package { package: "a.example/t/cmd/t".into(), version: version.to_owned() })
        };
        let wanted = choice("t", package("v1.2.3"), None, "1.26.8").unwrap();
        assert_eq!((wanted.module, wanted.h1), (None, None), "nothing is known of it yet");
        let locked = row("a.example/t", "a.example/t/cmd/t", "v1.2.3", "h1:x");
        let wanted = choice("t", package("v1.2.3"), Some(locked), "1.26.8").unwrap();
        assert_eq!(wanted.module.as_deref(), Some("a.example/t"));
        assert!(!wanted.h1.unwrap().from_table, "a lock file is no root of trust");
        assert!(matches!(choice("t", package("v1.2"), None, "1.26.8"), Err(ToolchainError::PinInvalid { .. })));
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
}
