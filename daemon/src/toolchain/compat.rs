//! The compatibility table: which version of a tool works with which Go. Pure; the data is `data/compat.toml`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::{Deserialize, Deserializer};

use super::version::{GoVersion, ModuleVersion};

/// The table of this build.
static BUILT_IN: LazyLock<Compat> = LazyLock::new(|| {
    // A test reads it strictly, so the empty table is never seen.
    toml::from_str(include_str!("../../data/compat.toml")).unwrap_or_default()
});

/// The table.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Compat {
    /// The format's version.
    #[cfg_attr(not(test), expect(dead_code, reason = "the file is part of the build: only its test reads this"))]
    schema: u32,
    /// The Go that is fetched to build what the workspace's own is too old for.
    #[serde(deserialize_with = "all_from_text")]
    pub(crate) builders: Vec<GoVersion>,
    /// The tools that are known, by name.
    pub(crate) tools: BTreeMap<String, ToolTable>,
}

/// One tool.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolTable {
    /// The module's path.
    module: String,
    /// The main package's path.
    package: String,
    /// The paths before a major version moved the module.
    older: Option<OlderPaths>,
    /// Other names under which people know it.
    #[serde(default)]
    also: Vec<String>,
    /// Whether only those workspaces get it that name it.
    #[serde(default)]
    pub(crate) optional: bool,
    /// Whether a version that only a newer Go can build is chosen where one can be fetched.
    #[serde(default)]
    newer_builder: bool,
    /// Names of releases that are no versions of the module.
    #[serde(default)]
    releases: BTreeMap<String, String>,
    ranges: Vec<Range>,
    sums: BTreeMap<String, String>,
}

/// Where the versions before a new major version lie.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OlderPaths {
    #[serde(deserialize_with = "from_text")]
    before: ModuleVersion,
    module: String,
    package: String,
}

/// The Go versions that a choice has to please.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gos<'a> {
    /// The Go of each module of the workspace.
    pub(crate) served: &'a [GoVersion],
    /// The newest of them, which builds where it can.
    pub(crate) own: GoVersion,
    /// Newer ones that may be fetched to build.
    pub(crate) fetchable: &'a [GoVersion],
}

/// A listed version that works, with the Go that builds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fitting<'a> {
    pub(crate) version: &'a str,
    pub(crate) builder: GoVersion,
}

/// Versions with the same needs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Range {
    #[serde(deserialize_with = "from_text")]
    from: ModuleVersion,
    #[serde(deserialize_with = "from_text")]
    to: ModuleVersion,
    builds: GoRange,
    #[serde(default)]
    serves: GoRange,
    /// Where the row comes from.
    #[cfg_attr(not(test), expect(dead_code, reason = "written for those who read and check the file"))]
    source: String,
}

/// Versions of Go; an end that is not given is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GoRange {
    #[serde(default, deserialize_with = "from_text")]
    from: Option<GoVersion>,
    /// All patch releases of this line are in the range.
    #[serde(default, deserialize_with = "from_text")]
    to: Option<GoVersion>,
}

impl GoRange {
    fn holds(self, go: GoVersion) -> bool {
        // A candidate of a line counts as that line: `1.27rc1` is newer than the language version 1.27 already.
        self.from.is_none_or(|from| go >= from) && self.to.is_none_or(|to| go.language() <= to.language())
    }
}

impl fmt::Display for GoRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (Some(from), Some(to)) => write!(f, "Go {from} to {to}"),
            (Some(from), None) => write!(f, "Go {from} and newer"),
            (None, Some(to)) => write!(f, "Go up to {to}"),
            (None, None) => write!(f, "any Go"),
        }
    }
}

/// Why a version does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// That Go cannot build it.
    Builds(GoRange, GoVersion),
    /// It does not work for programs of that Go.
    Serves(GoRange, GoVersion),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builds(range, go) => write!(f, "{range} can build it, and the workspace has Go {go}"),
            Self::Serves(range, go) => write!(f, "it works for {range}, and the workspace has Go {go}"),
        }
    }
}

impl Compat {
    /// The table of this build.
    pub(crate) fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// The h1 sum of the module at `version`, where one of its tools lists it.
    pub(crate) fn sum_of(&self, module: &str, version: &str) -> Option<&str> {
        self.tools.values().find(|tool| tool.module == module)?.sum(version)
    }

    /// The names of its tools, for messages.
    pub(crate) fn names(&self) -> String {
        self.tools.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// The table's name of the tool that is known as `name` elsewhere.
    pub(crate) fn name_of(&self, name: &str) -> Option<&str> {
        let known = |(own, table): &(&String, &ToolTable)| *own == name || table.also.iter().any(|also| also == name);
        self.tools.iter().find(known).map(|(own, _)| own.as_str())
    }

    /// The name of the tool with the main package `package`.
    pub(crate) fn name_of_package(&self, package: &str) -> Option<&str> {
        self.tools.iter().find(|(_, table)| table.has_package(package)).map(|(name, _)| name.as_str())
    }
}

/// The newest of the Gos that can be fetched, where it meets a module's `go` line.
pub(crate) fn newest_for(line: GoVersion, fetchable: &[GoVersion]) -> Option<GoVersion> {
    fetchable.iter().copied().max().filter(|go| *go >= line)
}

impl ToolTable {
    /// Whether `package` is the main package of one of its versions.
    pub(crate) fn has_package(&self, package: &str) -> bool {
        self.package == package || self.older.as_ref().is_some_and(|older| older.package == package)
    }

    /// The module's and the main package's paths at `version`; of the newest where that is no version.
    pub(crate) fn paths(&self, version: &str) -> (&str, &str) {
        let version = version.parse::<ModuleVersion>().ok();
        match &self.older {
            Some(older) if version.is_some_and(|version| version < older.before) => (&older.module, &older.package),
            _ => (&self.module, &self.package),
        }
    }

    /// The version of the release that is called `name` elsewhere.
    pub(crate) fn release(&self, name: &str) -> Option<&str> {
        self.releases.get(name).map(String::as_str)
    }

    /// The Go that builds `version`: the workspace's own, else the newest that can be fetched; or why it does not work.
    /// What the table does not know it does not refuse.
    pub(crate) fn builder(&self, version: &ModuleVersion, gos: Gos<'_>) -> Result<GoVersion, Misfit> {
        let range = self.ranges.iter().find(|range| range.from <= *version && *version <= range.to);
        let Some(range) = range else { return Ok(gos.own) };
        if let Some(not_served) = gos.served.iter().find(|go| !range.serves.holds(**go)) {
            return Err(Misfit::Serves(range.serves, *not_served));
        }
        if range.builds.holds(gos.own) {
            return Ok(gos.own);
        }
        let newer = gos.fetchable.iter().filter(|go| **go > gos.own && range.builds.holds(**go)).max();
        newer.copied().ok_or(Misfit::Builds(range.builds, gos.own))
    }

    /// The listed versions that work, newest first.
    pub(crate) fn fitting(&self, gos: Gos<'_>) -> Vec<Fitting<'_>> {
        let mut fitting: Vec<_> = self
            .sums
            .keys()
            .filter_map(|text| Some((text.parse::<ModuleVersion>().ok()?, text.as_str())))
            .filter_map(|(parsed, version)| {
                let builder = self.builder(&parsed, gos).ok()?;
                Some((parsed, Fitting { version, builder }))
            })
            .collect();
        fitting.sort_by(|a, b| b.0.cmp(&a.0));
        fitting.into_iter().map(|(_, fitting)| fitting).collect()
    }

    /// Whether a row speaks of `version`.
    pub(crate) fn has_row(&self, version: &ModuleVersion) -> bool {
        self.ranges.iter().any(|range| range.from <= *version && *version <= range.to)
    }

    /// Whether it lists a version that `is_meant`.
    pub(crate) fn knows(&self, is_meant: impl Fn(&str) -> bool) -> bool {
        self.sums.keys().any(|version| is_meant(version))
    }

    /// Whether a version is chosen with a newer Go in mind, unasked.
    pub(crate) fn takes_newer_builder(&self) -> bool {
        self.newer_builder
    }

    /// The h1 sum of `version`'s module, where it is listed.
    pub(crate) fn sum(&self, version: &str) -> Option<&str> {
        self.sums.get(version).map(String::as_str)
    }
}

fn from_text<'de, D: Deserializer<'de>, T: FromText>(deserializer: D) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    T::from_text(&text).map_err(serde::de::Error::custom)
}

fn all_from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<GoVersion>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    texts.iter().map(|text| text.parse().map_err(serde::de::Error::custom)).collect()
}

/// What `from_text` makes of a string.
trait FromText: Sized {
    fn from_text(text: &str) -> Result<Self, super::version::VersionError>;
}

impl FromText for ModuleVersion {
    fn from_text(text: &str) -> Result<Self, super::version::VersionError> {
        text.parse()
    }
}

impl FromText for Option<GoVersion> {
    fn from_text(text: &str) -> Result<Self, super::version::VersionError> {
        text.parse().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go(text: &str) -> GoVersion {
        text.parse().unwrap()
    }

    fn alone(served: &[GoVersion]) -> Gos<'_> {
        Gos { served, own: served[0], fetchable: &[] }
    }

    #[test]
    fn the_table_is_whole() {
        let table: Compat = toml::from_str(include_str!("../../data/compat.toml")).expect("it reads strictly");
        assert_eq!(table.schema, 1);
        let everywhere: Vec<_> = table.tools.iter().filter(|(_, tool)| !tool.optional).map(|(name, _)| name).collect();
        assert_eq!(everywhere, ["dlv", "goimports", "gopls"]);
        for builder in &table.builders {
            assert!(builder.released() == *builder, "{builder} can be fetched");
        }
        for (name, tool) in &table.tools {
            for version in tool.sums.keys().chain(tool.releases.values()) {
                let (module, package) = tool.paths(version);
                assert!(package.starts_with(module), "{name}: a package lies in its module");
                assert!(tool.sums.contains_key(version), "{name} {version}: a release has its sum");
                let of_major = module.rsplit_once("/v").and_then(|(_, major)| major.parse::<u32>().ok());
                let major = version[1..].split('.').next().and_then(|major| major.parse::<u32>().ok());
                assert_eq!(of_major, major.filter(|major| *major > 1), "{name} {version} lies in {module}");
            }
            for pair in tool.ranges.windows(2) {
                assert!(pair[0].to < pair[1].from, "{name}: ranges rise and do not overlap");
            }
            for range in &tool.ranges {
                assert!(range.from <= range.to && !range.source.is_empty(), "{name}: each row has its source");
            }
            for (version, sum) in &tool.sums {
                assert!(sum.starts_with("h1:") && sum.len() == 47, "{name} {version} has a sum");
                let version = version.parse().unwrap();
                assert!(
                    tool.ranges.iter().any(|range| range.from <= version && version <= range.to),
                    "{name} {version:?}: what is listed has a range"
                );
            }
        }
    }

    /// The choices that were computed from the tags of golang/tools and go-delve/delve.
    #[test]
    fn the_newest_that_fits_each_go() {
        for (version, gopls, gopls_of_newer, dlv, goimports) in [
            ("1.18.10", "v0.14.2", "v0.14.2", "v1.21.0", "v0.18.0"),
            ("1.19.13", "v0.15.3", "v0.15.3", "v1.22.1", "v0.24.1"),
            ("1.20.14", "v0.15.3", "v0.15.3", "v1.22.1", "v0.24.1"),
            ("1.21.13", "v0.16.2", "v0.17.1", "v1.25.0", "v0.24.1"),
            ("1.22.12", "v0.16.2", "v0.17.1", "v1.25.2", "v0.30.0"),
            ("1.23.12", "v0.18.1", "v0.20.0", "v1.25.2", "v0.36.0"),
            ("1.24.13", "v0.20.0", "v0.21.1", "v1.26.3", "v0.42.0"),
            ("1.25.11", "v0.21.1", "v0.23.0", "v1.27.1", "v0.49.0"),
            ("1.26.8", "v0.23.0", "v0.23.0", "v1.27.1", "v0.49.0"),
            ("1.27.0", "v0.23.0", "v0.23.0", "v1.27.1", "v0.49.0"),
        ] {
            let table = Compat::built_in();
            let served = [go(version)];
            for (tool, expected) in [("gopls", gopls), ("dlv", dlv), ("goimports", goimports)] {
                let fitting = table.tools[tool].fitting(alone(&served));
                assert_eq!(fitting.first().map(|fitting| fitting.version), Some(expected), "{tool} for Go {version}");
            }
            // Before Go 1.21 no other toolchain can be fetched.
            if served[0] >= go("1.21") {
                let gos = Gos { fetchable: &table.builders, ..alone(&served) };
                let newest = table.tools["gopls"].fitting(gos)[0];
                assert_eq!(newest.version, gopls_of_newer, "gopls for Go {version}, built by a newer one");
                assert!(newest.builder >= served[0]);
            }
        }
    }

    #[test]
    fn both_ends_of_a_range_are_held() {
        let table = Compat::built_in();
        for (tool, version, with, fits, why) in [
            ("dlv", "v1.27.1", "1.24.13", false, "today's newest dlv rejects a program of Go 1.24"),
            ("dlv", "v1.27.1", "1.25.0", true, "the lower end is in"),
            ("dlv", "v1.26.3", "1.26.99", true, "the upper end holds all patch releases"),
            ("dlv", "v1.26.3", "1.27.0", false, "beyond the upper end"),
            ("dlv", "v1.26.3", "1.27rc1", false, "a candidate counts as its line"),
            ("gopls", "v0.18.1", "1.24.9", true, "the last Go that compiles it"),
            ("gopls", "v0.18.1", "1.25.0", false, "golang/go#74462"),
            ("gopls", "v0.20.0", "1.24.1", false, "its go line is 1.24.2"),
            ("gopls", "v0.20.0", "1.24.2", true, "its go line is met"),
            ("gopls", "v9.0.0", "1.18", true, "what the table does not know it does not refuse"),
            ("staticcheck", "v0.5.1", "1.25.0", false, "an old golang.org/x/tools is in it"),
            ("golangci-lint", "v2.15.0", "1.25.14", false, "its go line is 1.26.0"),
        ] {
            let served = [go(with)];
            let builder = table.tools[tool].builder(&version.parse().unwrap(), alone(&served));
            assert_eq!(builder.is_ok(), fits, "{tool} {version} with Go {with}: {why}");
        }
    }

    #[test]
    fn every_module_is_served_and_the_builder_is_never_older() {
        let table = Compat::built_in();
        for (served, tool, newest, builder, why) in [
            (&["1.26.8", "1.24.1"][..], "dlv", Some("v1.26.3"), "1.26.8", "one dlv debugs both"),
            (&["1.26.8", "1.22.12"][..], "dlv", None, "", "no dlv debugs both"),
            (&["1.24.13"][..], "gopls", Some("v0.21.1"), "1.27.4", "a newer Go builds it"),
            (&["1.22.12"][..], "gopls", Some("v0.17.1"), "1.24.13", "the newest Go that can build it"),
        ] {
            let served: Vec<_> = served.iter().map(|text| go(text)).collect();
            let gos = Gos { served: &served, own: served[0], fetchable: &table.builders };
            let first = table.tools[tool].fitting(gos).first().copied();
            let expected = newest.map(|version| Fitting { version, builder: go(builder) });
            assert_eq!(first, expected, "{why}");
        }
    }

    #[test]
    fn names_and_paths() {
        let table = Compat::built_in();
        assert_eq!(table.name_of("delve"), Some("dlv"), "the name that version managers use");
        assert_eq!(table.name_of("node"), None);
        let lint = &table.tools["golangci-lint"];
        for (version, module) in [
            ("v1.64.8", "github.com/golangci/golangci-lint"),
            ("v2.0.2", "github.com/golangci/golangci-lint/v2"),
            ("latest", "github.com/golangci/golangci-lint/v2"),
        ] {
            let (found, package) = lint.paths(version);
            assert_eq!(found, module);
            assert_eq!(table.name_of_package(package), Some("golangci-lint"));
        }
        assert_eq!(table.tools["staticcheck"].release("2025.1.1"), Some("v0.6.1"));
    }
}
