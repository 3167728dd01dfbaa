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
    /// The tools that every workspace gets, by name.
    pub(crate) tools: BTreeMap<String, ToolTable>,
}

/// One tool.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolTable {
    /// The module's path.
    pub(crate) module: String,
    /// The main package's path.
    pub(crate) package: String,
    ranges: Vec<Range>,
    sums: BTreeMap<String, String>,
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

/// Why a version does not work with a Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// That Go cannot build it.
    Builds(GoRange),
    /// It does not work for programs of that Go.
    Serves(GoRange),
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Builds(range) => write!(f, "{range} can build it"),
            Self::Serves(range) => write!(f, "it works for {range}"),
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
}

impl ToolTable {
    /// Why `version` does not work with `go`, which also builds it. None where it does, or where the table does not know.
    pub(crate) fn misfit(&self, version: &ModuleVersion, go: GoVersion) -> Option<Misfit> {
        let range = self.ranges.iter().find(|range| range.from <= *version && *version <= range.to)?;
        if !range.serves.holds(go) {
            Some(Misfit::Serves(range.serves))
        } else if !range.builds.holds(go) {
            Some(Misfit::Builds(range.builds))
        } else {
            None
        }
    }

    /// The listed versions that work with `go`, newest first.
    pub(crate) fn fitting(&self, go: GoVersion) -> Vec<&str> {
        let mut fitting: Vec<_> = self
            .sums
            .keys()
            .filter_map(|text| Some((text.parse::<ModuleVersion>().ok()?, text.as_str())))
            .filter(|(version, _)| self.misfit(version, go).is_none())
            .collect();
        fitting.sort_by(|a, b| b.0.cmp(&a.0));
        fitting.into_iter().map(|(_, text)| text).collect()
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

    #[test]
    fn the_table_is_whole() {
        let table: Compat = toml::from_str(include_str!("../../data/compat.toml")).expect("it reads strictly");
        assert_eq!(table.schema, 1);
        assert_eq!(table.names(), "dlv, goimports, gopls");
        for (name, tool) in &table.tools {
            assert!(tool.package.starts_with(&tool.module), "{name}: a package lies in its module");
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
        for (version, gopls, dlv, goimports) in [
            ("1.18.10", "v0.14.2", "v1.21.0", "v0.18.0"),
            ("1.19.13", "v0.15.3", "v1.22.1", "v0.24.1"),
            ("1.20.14", "v0.15.3", "v1.22.1", "v0.24.1"),
            ("1.21.13", "v0.16.2", "v1.25.0", "v0.24.1"),
            ("1.22.12", "v0.16.2", "v1.25.2", "v0.30.0"),
            ("1.23.12", "v0.18.1", "v1.25.2", "v0.36.0"),
            ("1.24.13", "v0.20.0", "v1.26.3", "v0.42.0"),
            ("1.25.11", "v0.21.1", "v1.27.1", "v0.49.0"),
            ("1.26.8", "v0.23.0", "v1.27.1", "v0.49.0"),
            ("1.27.0", "v0.23.0", "v1.27.1", "v0.49.0"),
        ] {
            for (tool, expected) in [("gopls", gopls), ("dlv", dlv), ("goimports", goimports)] {
                let fitting = Compat::built_in().tools[tool].fitting(go(version));
                assert_eq!(fitting.first(), Some(&expected), "{tool} for Go {version}");
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
        ] {
            let misfit = table.tools[tool].misfit(&version.parse().unwrap(), go(with));
            assert_eq!(misfit.is_none(), fits, "{tool} {version} with Go {with}: {why}");
        }
    }
}
