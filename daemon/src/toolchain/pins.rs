//! Which version of each tool a workspace is to have, and why. Pure.
//!
//! A pin says what is allowed: `customizations.burrow.tools` before go.mod's `tool` lines, these before bingo's files, these
//! before those of version managers. The lock file says which allowed version it is. Without a row there, the compatibility
//! table chooses the newest that works for every Go of the workspace. A locked version that is not allowed, or does not work
//! there, is drift: nothing is installed for it until `tools update`.
//!
//! What only the module proxy knows (`latest`, a part of a version of a tool that the table does not list) is left open here,
//! to be looked up by the operation that installs it.

use std::collections::{BTreeMap, BTreeSet};

use burrow_protocol::lock::{LockFile, LockedTool};
use burrow_protocol::settings::ToolSetting;

use super::compat::{Compat, Fitting, Gos, ToolTable};
use super::error::ToolchainError;
use super::lock;
use super::sources::FilePins;
use super::version::{GoVersion, ModuleVersion};

/// Where the settings' pins stand, in words.
pub(super) const SETTINGS: &str = "devcontainer.json";

/// A tool as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The tool's name, and its binary's.
    pub(crate) name: String,
    /// The module's path; none where only the package is known, and the module has yet to be found.
    pub(crate) module: Option<String>,
    /// The main package's path.
    pub(crate) package: String,
    /// The exact version; what was written where it has yet to be looked up.
    pub(crate) version: String,
    /// What the version has yet to satisfy.
    pub(crate) open: Option<Query>,
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

/// What a version has to satisfy that only the module proxy can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// What its beginning has to be, without the `v`; none allows any.
    pub(crate) prefixes: Vec<String>,
}

impl Query {
    /// Whether `version` is one that is asked for.
    pub(crate) fn allows(&self, version: &str) -> bool {
        self.prefixes.iter().all(|prefix| has_prefix(version, prefix))
    }
}

impl Wanted {
    /// Whether the table says which Go builds it.
    pub(crate) fn builder_is_known(&self) -> bool {
        let table = Compat::built_in().tools.get(&self.name).filter(|table| table.has_package(&self.package));
        table.zip(self.version.parse().ok()).is_some_and(|(table, version)| table.has_row(&version))
    }
}

/// A version that was looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) version: String,
    pub(crate) module: String,
    pub(crate) builder: GoVersion,
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
    pub(crate) settings: &'a BTreeMap<String, ToolSetting>,
    pub(crate) files: &'a FilePins,
    pub(crate) lock: Option<&'a LockFile>,
    pub(crate) compat: &'a Compat,
    pub(crate) gos: Gos<'a>,
    /// The versions of the workspace's Go, each with a file that has it, in words.
    pub(crate) served: &'a str,
}

/// Chooses a version for each tool of the workspace: those that everybody gets, and those that it names.
pub(crate) fn choose(inputs: Inputs<'_>) -> Vec<Choice> {
    let everywhere = inputs.compat.tools.iter().filter(|(_, table)| !table.optional).map(|(name, _)| name);
    let named = inputs.files.levels.iter().flat_map(BTreeMap::keys).chain(inputs.settings.keys());
    let names: BTreeSet<&String> = everywhere.chain(named).collect();
    names.into_iter().map(|name| Choice { name: name.clone(), wanted: inputs.choose(name) }).collect()
}

/// What a pin allows.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Pin {
    /// Whatever works: no pin, or `auto`.
    Any,
    /// The newest that upstream has.
    Latest,
    /// Versions that begin so: `0.23`, without the `v`.
    Prefix(String),
    /// One version.
    Exact(String),
}

/// A pin that counts, with where it stands.
#[derive(Clone, Debug)]
struct Deciding {
    pin: Pin,
    /// As written.
    text: String,
    from: String,
}

/// A tool as the pins and the table name it.
struct Subject<'a> {
    name: &'a str,
    /// The main package, where a pin names it.
    package: Option<&'a str>,
    /// Pins of equal strength: all of them have to be satisfied. None where nothing is pinned.
    pins: Vec<Deciding>,
    /// Its rows in the table, unless it comes from another package.
    table: Option<&'a ToolTable>,
}

impl Inputs<'_> {
    fn choose(&self, name: &str) -> Result<Wanted, ToolchainError> {
        let subject = self.subject(name)?;
        let exact = subject.exact()?;
        if let Some((version, pin)) = exact {
            // What can never work is no drift: no update of the lock file would mend it.
            self.builder(&subject, version).map_err(|why| self.cannot_work(&subject, pin, &why))?;
        }
        let pinned = subject.told();
        if let Some(row) = self.lock.and_then(|lock| lock.tools.get(name)) {
            let builder = self.check_locked(&subject, row)?;
            let why = if pinned.is_empty() { "locked".to_owned() } else { format!("locked, as pinned in {pinned}") };
            return Ok(self.wanted(&subject, &row.version, builder, Some(row), why));
        }
        if let Some((version, _)) = exact {
            let builder = self.builder(&subject, version).unwrap_or(self.gos.own);
            return Ok(self.wanted(&subject, version, builder, None, format!("pinned in {pinned}")));
        }
        self.newest(&subject, &pinned)
    }

    fn subject<'a>(&'a self, name: &'a str) -> Result<Subject<'a>, ToolchainError> {
        let table = self.compat.tools.get(name);
        let (mut package, mut pins) = (None, Vec::new());
        match self.settings.get(name) {
            Some(ToolSetting::Version(version)) => pins.push((version.as_str(), SETTINGS)),
            Some(ToolSetting::Package { package: named, version }) => {
                package = Some(named.as_str());
                pins.push((version.as_str(), SETTINGS));
            }
            None => {
                let level = self.files.levels.iter().find_map(|level| level.get(name));
                pins.extend(level.into_iter().flatten().map(|pin| (pin.version.as_str(), pin.from.as_str())));
            }
        }
        let table = table.filter(|table| package.is_none_or(|package| table.has_package(package)));
        if package.is_none() && table.is_none() {
            return Err(ToolchainError::ToolUnknown { tool: name.to_owned(), known: self.compat.names() });
        }
        for (text, is_good, expected) in [
            (name, is_tool_name(name), "a name of letters, digits, `-`, `_` and `.`"),
            (
                package.unwrap_or(name),
                package.is_none_or(is_package_path),
                "a package path such as \"honnef.co/go/tools/cmd/staticcheck\"",
            ),
        ] {
            if !is_good {
                return Err(self.invalid(name, text, SETTINGS, expected));
            }
        }
        let read = |(text, from): (&str, &str)| {
            let release = table.and_then(|table| table.release(text));
            let pin = release.map(|version| Pin::Exact(version.to_owned())).or_else(|| read_pin(text));
            let expected = "\"auto\", \"latest\", or a version such as \"v0.23.0\" or \"v0.23\"";
            let pin = pin.ok_or_else(|| self.invalid(name, text, from, expected))?;
            Ok::<_, ToolchainError>(Deciding { pin, text: text.to_owned(), from: from.to_owned() })
        };
        let pins = pins.into_iter().map(read).collect::<Result<Vec<_>, ToolchainError>>()?;
        Ok(Subject { name, package, pins, table })
    }

    /// The newest version that the pins allow, where none of them is exact.
    fn newest(&self, subject: &Subject<'_>, pinned: &str) -> Result<Wanted, ToolchainError> {
        let latest = subject.pins.iter().any(|decided| decided.pin == Pin::Latest);
        let Some(table) = subject.table.filter(|_| !latest) else { return Ok(self.open(subject, pinned)) };
        let fitting = table.fitting(self.gos);
        let allowed = fitting.iter().filter(|fitting| subject.allows(fitting.version));
        // A version that needs another Go is taken where the tool gains by it, or where the pin leaves no other.
        let own = |fitting: &&Fitting<'_>| table.takes_newer_builder() || fitting.builder == self.gos.own;
        let chosen = allowed.clone().find(own).or_else(|| allowed.clone().find(|_| subject.is_pinned()));
        if let Some(chosen) = chosen {
            let works = format!("that works with {}", self.served);
            let mut why = match subject.prefixes().as_slice() {
                [] => format!("newest {works}"),
                prefixes => format!("newest of {} {works}, as pinned in {pinned}", prefixes.join(" and ")),
            };
            if let Some(newer) = self.out_of_reach(subject, table, chosen) {
                why.push_str(&newer);
            }
            return Ok(self.wanted(subject, chosen.version, chosen.builder, None, why));
        }
        match subject.pins.iter().find(|decided| matches!(decided.pin, Pin::Prefix(_))) {
            // The table lists some of it, so what it says is what there is.
            Some(pin) if table.knows(|version| subject.allows(version)) => {
                let why = format!("no known version of it works with {}", self.served);
                Err(self.cannot_work(subject, pin, &why))
            }
            Some(_) => Ok(self.open(subject, pinned)),
            None => Err(ToolchainError::NoVersionFits {
                tool: subject.name.to_owned(),
                go: self.served.to_owned(),
                many: self.gos.served.len() > 1,
            }),
        }
    }

    /// The newer version that was passed over because no other Go can be fetched, in words.
    fn out_of_reach(&self, subject: &Subject<'_>, table: &ToolTable, chosen: &Fitting<'_>) -> Option<String> {
        if !self.gos.fetchable.is_empty() || !table.takes_newer_builder() {
            return None;
        }
        let all = table.fitting(Gos { fetchable: &self.compat.builders, ..self.gos });
        let newest = all.into_iter().find(|fitting| subject.allows(fitting.version))?;
        let needs = format!(
            "; {} needs a newer Go to build it, and GOTOOLCHAIN or GOPROXY lets none be fetched",
            newest.version
        );
        (newest.version != chosen.version).then_some(needs)
    }

    /// A choice that only the module proxy can complete.
    fn open(&self, subject: &Subject<'_>, pinned: &str) -> Wanted {
        let prefixes = subject.prefixes();
        let text = prefixes.last().map_or("latest", String::as_str).to_owned();
        let why = format!("newest of upstream's {text}, as pinned in {pinned}");
        let query = Query { prefixes: prefixes.iter().map(|prefix| bare(prefix).to_owned()).collect() };
        // A part of a version tells the major version, and with it the path.
        let like = query.prefixes.last().map_or_else(|| "latest".to_owned(), |prefix| whole(prefix));
        let mut wanted = self.wanted(subject, &like, self.gos.own, None, why);
        wanted.version = text;
        wanted.h1 = None;
        wanted.open = Some(query);
        wanted
    }

    /// The Go that builds the row's version, once all of the row is well.
    fn check_locked(&self, subject: &Subject<'_>, row: &LockedTool) -> Result<GoVersion, ToolchainError> {
        let drifted = |why| Err(ToolchainError::Drifted { tool: subject.name.to_owned(), why });
        let inside = |module: &str| {
            row.package.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let (is_same, asked) = match subject.table {
            Some(table) => {
                let (module, package) = table.paths(&row.version);
                (row.module == module && row.package == package && subject.has_package(package), package)
            }
            None => (subject.has_package(&row.package) && inside(&row.module), subject.package.unwrap_or_default()),
        };
        if !is_same {
            return drifted(format!("the lock file has {}, and {asked} is asked for", row.package));
        }
        if !is_module_version(&row.version) {
            return drifted(format!("{:?} in the lock file is no version", row.version));
        }
        if let Some(pin) = subject.pins.iter().find(|decided| !decided.allows(&row.version)) {
            return drifted(format!("the lock file has {}, and {} is pinned in {}", row.version, pin.text, pin.from));
        }
        let builder = match self.builder(subject, &row.version) {
            Ok(builder) => builder,
            Err(why) => return drifted(format!("the lock file has {}, but {why}", row.version)),
        };
        match subject.table.and_then(|table| table.sum(&row.version)) {
            Some(sum) if sum != row.h1 => Err(ToolchainError::ChecksumMismatch {
                what: format!("the lock file's row of {} {}", subject.name, row.version),
                found: row.h1.clone(),
                expected: sum.to_owned(),
                by: "the compatibility table".to_owned(),
            }),
            _ => Ok(self.locked_builder(subject, row).unwrap_or(builder)),
        }
    }

    /// The Go that the row says, for a version that the table does not know: it was looked up when the row was written.
    fn locked_builder(&self, subject: &Subject<'_>, row: &LockedTool) -> Option<GoVersion> {
        if subject.table.is_some_and(|table| table.sum(&row.version).is_some()) {
            return None;
        }
        let has = |go: &GoVersion| row.binaries.contains_key(&lock::build_key(&go.name()));
        let newer = self.gos.fetchable.iter().copied().filter(|go| *go > self.gos.own && has(go)).max();
        newer.filter(|_| !has(&self.gos.own))
    }

    fn wanted(
        &self,
        subject: &Subject<'_>,
        version: &str,
        builder: GoVersion,
        row: Option<&LockedTool>,
        mut why: String,
    ) -> Wanted {
        let from_table = subject.table.and_then(|table| table.sum(version));
        let h1 = from_table.map(|sum| ExpectedSum { sum: sum.to_owned(), from_table: true });
        let paths = subject.table.map(|table| table.paths(version));
        if builder != self.gos.own {
            why.push_str(&format!("; built by {}, which is fetched for it", builder.name()));
        }
        Wanted {
            name: subject.name.to_owned(),
            module: paths.map(|(module, _)| module.to_owned()).or_else(|| row.map(|row| row.module.clone())),
            package: paths.map(|(_, package)| package).or(subject.package).unwrap_or_default().to_owned(),
            version: version.to_owned(),
            open: None,
            h1: h1.or_else(|| row.map(|row| ExpectedSum { sum: row.h1.clone(), from_table: false })),
            builder,
            sha256: row.and_then(|row| row.binaries.get(&lock::build_key(&builder.name())).cloned()),
            why,
        }
    }

    /// The Go that builds `version`, or why it does not work.
    fn builder(&self, subject: &Subject<'_>, version: &str) -> Result<GoVersion, String> {
        match (subject.table, version.parse::<ModuleVersion>()) {
            (Some(table), Ok(version)) => table.builder(&version, self.gos).map_err(|misfit| misfit.to_string()),
            _ => Ok(self.gos.own),
        }
    }

    fn cannot_work(&self, subject: &Subject<'_>, pin: &Deciding, why: &str) -> ToolchainError {
        let fitting = subject.table.map(|table| table.fitting(self.gos)).unwrap_or_default();
        ToolchainError::PinCannotWork {
            tool: subject.name.to_owned(),
            pin: pin.text.clone(),
            from: pin.from.clone(),
            why: why.to_owned(),
            fitting: fitting.into_iter().map(|fitting| fitting.version.to_owned()).collect(),
        }
    }

    fn invalid(&self, name: &str, pin: &str, from: &str, expected: &'static str) -> ToolchainError {
        ToolchainError::PinInvalid { tool: name.to_owned(), pin: pin.to_owned(), from: from.to_owned(), expected }
    }
}

/// Completes a choice that was open with what was looked up.
pub(crate) fn complete(wanted: &mut Wanted, resolved: Resolved, compat: &Compat, own: GoVersion) {
    let table = compat.tools.get(&wanted.name).filter(|table| table.has_package(&wanted.package));
    if let Some(table) = table {
        let (module, package) = table.paths(&resolved.version);
        (wanted.module, wanted.package) = (Some(module.to_owned()), package.to_owned());
        let listed = table.sum(&resolved.version);
        wanted.h1 = listed.map(|sum| ExpectedSum { sum: sum.to_owned(), from_table: true });
    } else {
        wanted.module = Some(resolved.module);
    }
    if resolved.builder != own {
        wanted.why.push_str(&format!("; built by {}, which is fetched for it", resolved.builder.name()));
    }
    wanted.version = resolved.version;
    wanted.builder = resolved.builder;
    wanted.open = None;
}

impl Subject<'_> {
    /// The one version that is allowed, with its pin, if there is one.
    fn exact(&self) -> Result<Option<(&str, &Deciding)>, ToolchainError> {
        let exact = self.pins.iter().find_map(|decided| match &decided.pin {
            Pin::Exact(version) => Some((version.as_str(), decided)),
            Pin::Any | Pin::Latest | Pin::Prefix(_) => None,
        });
        let Some((version, pin)) = exact else { return Ok(None) };
        match self.pins.iter().find(|decided| !decided.allows(version)) {
            Some(other) => Err(ToolchainError::PinsConflict {
                tool: self.name.to_owned(),
                pins: [pin, other].map(|pin| format!("{} in {}", pin.text, pin.from)).join(" and "),
            }),
            None => Ok(exact),
        }
    }

    fn prefixes(&self) -> Vec<String> {
        let prefixes = self.pins.iter().filter(|decided| matches!(decided.pin, Pin::Prefix(_)));
        prefixes.map(|decided| decided.text.clone()).collect()
    }

    fn is_pinned(&self) -> bool {
        self.pins.iter().any(|decided| decided.pin != Pin::Any)
    }

    fn allows(&self, version: &str) -> bool {
        let package = self.table.map(|table| table.paths(version).1);
        self.pins.iter().all(|decided| decided.allows(version))
            && package.is_none_or(|package| self.has_package(package))
    }

    fn has_package(&self, package: &str) -> bool {
        self.package.is_none_or(|asked| asked == package)
    }

    /// Where the pins stand that say more than that anything is allowed.
    fn told(&self) -> String {
        let from: BTreeSet<&str> =
            self.pins.iter().filter(|decided| decided.pin != Pin::Any).map(|decided| decided.from.as_str()).collect();
        from.into_iter().collect::<Vec<_>>().join(" and ")
    }
}

impl Deciding {
    fn allows(&self, version: &str) -> bool {
        match &self.pin {
            Pin::Any | Pin::Latest => true,
            Pin::Exact(exact) => exact == version,
            Pin::Prefix(prefix) => has_prefix(version, prefix),
        }
    }
}

/// `v0.2` is a prefix of v0.2.9 and not of v0.23.0.
fn has_prefix(version: &str, prefix: &str) -> bool {
    bare(version).strip_prefix(bare(prefix)).is_some_and(|rest| rest.starts_with('.'))
}

fn bare(version: &str) -> &str {
    version.strip_prefix('v').unwrap_or(version)
}

/// The first version that `prefix` allows: `2` stands for `v2.0.0`.
fn whole(prefix: &str) -> String {
    let missing = 2_usize.saturating_sub(prefix.matches('.').count());
    format!("v{prefix}{}", ".0".repeat(missing))
}

fn read_pin(text: &str) -> Option<Pin> {
    match text {
        "auto" => return Some(Pin::Any),
        "latest" => return Some(Pin::Latest),
        _ => {}
    }
    let bare = bare(text);
    if is_module_version(text) {
        return Some(Pin::Exact(format!("v{bare}")));
    }
    let mut parts = bare.split('.');
    let numbers = parts.all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    (numbers && bare.matches('.').count() < 2).then(|| Pin::Prefix(bare.to_owned()))
}

/// Whether `text` is a whole version that is safe to hand to Go: nothing of it is a flag, a path or a query.
pub(crate) fn is_module_version(text: &str) -> bool {
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
mod tests;
