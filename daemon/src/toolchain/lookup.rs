//! Versions that only the module proxy knows: `latest`, and parts of versions that the table does not list.
//!
//! `go list -m` is asked, in the environment and folders of a build, so that GOPROXY, GOPRIVATE and credentials count as they
//! do there. An operation that somebody asked for does it; what it finds is held by the lock file.

use camino::Utf8PathBuf;
use serde::Deserialize;

use super::compat::{self, Compat, Gos, ToolTable};
use super::error::ToolchainError;
use super::go;
use super::go_command::not_downloaded;
use super::install::{Installer, blocking};
use super::pins::{Query, Resolved, Wanted, is_module_version};
use super::version::{GoVersion, ModuleVersion};

/// How many versions are tried until one works with the Go of the workspace.
const TRIED: usize = 12;

/// Asks the module proxy, as one workspace's Go does.
#[derive(Debug)]
pub(crate) struct Lookup<'a> {
    pub(crate) installer: &'a Installer,
    pub(crate) gos: Gos<'a>,
}

/// What `go list -m -json` prints, as far as it is used.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Listed {
    path: String,
    version: Option<String>,
    versions: Vec<String>,
    go_mod: Option<Utf8PathBuf>,
}

impl Lookup<'_> {
    /// The version that completes `wanted`.
    ///
    /// # Errors
    /// [`ToolchainError::Download`] where the proxy does not answer, [`ToolchainError::NoneUpstream`] where it has none that
    /// works.
    pub(crate) async fn resolve(&self, wanted: &Wanted, query: &Query) -> Result<Resolved, ToolchainError> {
        let listed = self.module(wanted).await?;
        let table = Compat::built_in().tools.get(&wanted.name).filter(|table| table.has_package(&wanted.package));
        let candidates = candidates(&listed.versions, query);
        for version in candidates.iter().take(TRIED) {
            if let Some(builder) = self.builder(&listed.path, version, table).await? {
                return Ok(Resolved { version: version.clone(), module: listed.path, builder });
            }
        }
        if candidates.is_empty() && query.prefixes.is_empty() {
            // A module without a release: the newest commit is its latest.
            let latest = self.list(&listed.path, "latest", false).await?;
            if let Some(version) = latest.version.filter(|version| is_module_version(version))
                && let Some(builder) = self.for_go_line_of(latest.go_mod).await?
            {
                return Ok(Resolved { version, module: listed.path, builder });
            }
        }
        Err(ToolchainError::NoneUpstream {
            tool: wanted.name.clone(),
            pin: wanted.version.clone(),
            module: listed.path,
            go: self.gos.own,
        })
    }

    /// The module that holds the tool's package, with its versions. Where it is not known, the longest path that is one.
    async fn module(&self, wanted: &Wanted) -> Result<Listed, ToolchainError> {
        if let Some(module) = &wanted.module {
            return self.list(module, "", true).await;
        }
        let mut path = wanted.package.as_str();
        let mut first_error = None;
        loop {
            match self.list(path, "latest", true).await {
                Ok(listed) => return Ok(listed),
                Err(error @ ToolchainError::Download { .. }) => {
                    let error = first_error.get_or_insert(error);
                    match path.rsplit_once('/') {
                        // A module's path begins with a host.
                        Some((parent, _)) if parent.contains('.') => path = parent,
                        _ => return Err(std::mem::replace(error, ToolchainError::Ending)),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The Go that builds the version; none where that takes a newer one than there is.
    async fn builder(
        &self,
        module: &str,
        version: &str,
        table: Option<&ToolTable>,
    ) -> Result<Option<GoVersion>, ToolchainError> {
        if let (Some(table), Ok(version)) = (table, version.parse::<ModuleVersion>())
            && table.has_row(&version)
        {
            return Ok(table.builder(&version, self.gos).ok());
        }
        self.for_go_line_of(self.list(module, version, false).await?.go_mod).await
    }

    /// The Go that builds a module with this go.mod. The file is read, since Go keeps the line to itself where it is newer than
    /// Go is.
    async fn for_go_line_of(&self, go_mod: Option<Utf8PathBuf>) -> Result<Option<GoVersion>, ToolchainError> {
        let needs = blocking(move || Ok(go_mod.and_then(|path| go::line_in(&path)))).await?;
        Ok(match needs {
            Some(needs) if needs > self.gos.own => compat::newest_for(needs, self.gos.fetchable),
            _ => Some(self.gos.own),
        })
    }

    async fn list(&self, module: &str, version: &str, versions: bool) -> Result<Listed, ToolchainError> {
        let query = if version.is_empty() { module.to_owned() } else { format!("{module}@{version}") };
        let mut args = vec!["list".to_owned(), "-m".to_owned(), "-json".to_owned()];
        args.extend(versions.then(|| "-versions".to_owned()));
        args.push(query);
        let told = if version.is_empty() { "latest" } else { version };
        let answer = self.installer.ask(args).await?.map_err(|said| not_downloaded(module, told, &said))?;
        serde_json::from_str(&answer).map_err(|error| not_downloaded(module, told, &error.to_string()))
    }
}

/// The released versions that `query` allows, newest first.
fn candidates(versions: &[String], query: &Query) -> Vec<String> {
    let mut candidates: Vec<(ModuleVersion, &String)> = versions
        .iter()
        .filter(|version| is_module_version(version) && query.allows(version))
        .filter_map(|version| Some((version.parse::<ModuleVersion>().ok()?, version)))
        .filter(|(parsed, _)| parsed.is_release())
        .collect();
    candidates.sort_by(|a, b| b.0.cmp(&a.0));
    candidates.into_iter().map(|(_, version)| version.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_that_fit_newest_first() {
        let versions = ["v0.9.0", "v0.10.0", "v0.10.1-rc.1", "v0.20.3", "v0.2.1", "v1.0.0-beta", "-x", "v0.10.1"];
        let versions = versions.map(str::to_owned);
        let of = |prefixes: &[&str]| {
            let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
            candidates(&versions, &Query { prefixes })
        };
        assert_eq!(of(&[]), ["v0.20.3", "v0.10.1", "v0.10.0", "v0.9.0", "v0.2.1"], "no pre-release is chosen unasked");
        assert_eq!(of(&["0.10"]), ["v0.10.1", "v0.10.0"]);
        assert_eq!(of(&["0.2"]), ["v0.2.1"], "a part of a version ends at a dot");
        assert_eq!(of(&["0", "0.9"]), ["v0.9.0"], "all pins count");
    }
}
