//! Whether an installed binary still is what its manifest says. All functions block.
//!
//! Quick: the fingerprint (size, times, inode) against the manifest. Full: every byte, and what the binary says of its build.

use burrow_protocol::toolchain::{ToolState, VerifiedBy};
use camino::Utf8Path;

use super::buildinfo::{self, BuildInfo};
use super::environment;
use super::generations::{InstalledTool, Voucher};
use super::store::{Fingerprint, Store};

/// In what condition the binary and the link of an installed tool are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// As the manifest says.
    Sound,
    /// The binary is, its link is not.
    Unlinked,
    /// Its content is the recorded one, but it was touched since, or copied: this is its fingerprint now.
    Touched(Fingerprint),
    /// Its content is another.
    Changed,
    /// It is gone.
    Missing,
}

impl Condition {
    /// Whether the binary has the content that the manifest names.
    pub(crate) fn is_whole(&self) -> bool {
        match self {
            Self::Sound | Self::Unlinked | Self::Touched(_) => true,
            Self::Changed | Self::Missing => false,
        }
    }
}

/// How carefully a binary is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// By its fingerprint alone: where that differs, the binary counts as changed.
    Glance,
    /// By its fingerprint; read only where that differs.
    Quick,
    /// Every byte.
    Full,
}

/// The condition of the tool `name`, whose link lies in `bin`.
pub(crate) fn condition(store: &Store, bin: &Utf8Path, name: &str, tool: &InstalledTool, depth: Depth) -> Condition {
    let path = store.path(&tool.sha256, name);
    let Some(fingerprint) = Fingerprint::of(&path) else { return Condition::Missing };
    if fingerprint != tool.fingerprint && depth == Depth::Glance {
        return Condition::Changed;
    }
    if fingerprint != tool.fingerprint || depth == Depth::Full {
        match store.compare(&tool.sha256, name) {
            None => return Condition::Changed,
            Some(_) if depth == Depth::Full && check_build(&path, tool).is_err() => return Condition::Changed,
            Some(fingerprint) if fingerprint != tool.fingerprint => return Condition::Touched(fingerprint),
            Some(_) => {}
        }
    }
    if bin.join(name).read_link_utf8().is_ok_and(|target| target == path) {
        Condition::Sound
    } else {
        Condition::Unlinked
    }
}

/// Holds what the binary at `path` says of its build against what it should be.
///
/// # Errors
/// The first difference, in words.
pub(crate) fn check_build(path: &Utf8Path, tool: &InstalledTool) -> Result<(), String> {
    let info = buildinfo::read(path).map_err(|error| crate::coded::with_causes(&error))?;
    compare_build(&info, tool)
}

fn compare_build(info: &BuildInfo, tool: &InstalledTool) -> Result<(), String> {
    let setting = |name: &str| info.settings.get(name).map_or("", String::as_str);
    let level = if environment::goarch() == "arm64" { "GOARM64" } else { "GOAMD64" };
    for (what, found, expected) in [
        ("package", info.path.as_str(), tool.package.as_str()),
        ("module", &info.module.path, &tool.module),
        ("version", &info.module.version, &tool.version),
        ("sum", &info.module.sum, &tool.h1),
        ("Go", info.go.split(' ').next().unwrap_or_default(), &tool.built_with),
        ("GOOS", setting("GOOS"), std::env::consts::OS),
        ("GOARCH", setting("GOARCH"), environment::goarch()),
        ("CGO_ENABLED", setting("CGO_ENABLED"), "0"),
        ("-trimpath", setting("-trimpath"), "true"),
    ] {
        if found != expected {
            return Err(format!("its {what} is {found:?}, {expected:?} is expected"));
        }
    }
    // Go before 1.23 does not write the level for arm64.
    match setting(level) {
        "" => Ok(()),
        found if found == environment::arch_level() => Ok(()),
        found => Err(format!("its {level} is {found:?}, {:?} is expected", environment::arch_level())),
    }
}

/// What a sound tool's state rests on. `locked` is the lock file's row for this Go and platform.
pub(crate) fn standing(tool: &InstalledTool, locked: Option<&str>) -> (ToolState, Option<VerifiedBy>) {
    match tool.voucher {
        Voucher::Nobody => (ToolState::Unverified, None),
        _ if locked == Some(tool.sha256.as_str()) => (ToolState::Verified, Some(VerifiedBy::Sha256)),
        Voucher::Table | Voucher::ChecksumDatabase => (ToolState::Verified, Some(VerifiedBy::H1)),
        // Its row is gone from the lock file, and nothing else vouches for it.
        Voucher::LockFile => (ToolState::Unverified, None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::buildinfo::Module;
    use super::*;

    fn tool(voucher: Voucher) -> InstalledTool {
        let file = tempfile::NamedTempFile::new().unwrap();
        InstalledTool {
            module: "a".into(),
            package: "a/cmd".into(),
            version: "v1.2.3".into(),
            h1: "h1:x".into(),
            voucher,
            sha256: "ff".into(),
            built_with: "go1.26.8".into(),
            differs_from: None,
            fingerprint: Fingerprint::of(Utf8Path::from_path(file.path()).unwrap()).unwrap(),
        }
    }

    #[test]
    fn each_part_of_the_build_is_compared() {
        let good = BuildInfo {
            go: "go1.26.8 X:jsonv2".into(),
            path: "a/cmd".into(),
            module: Module { path: "a".into(), version: "v1.2.3".into(), sum: "h1:x".into() },
            dependencies: Vec::new(),
            settings: [
                ("GOOS", "linux"),
                ("GOARCH", environment::goarch()),
                ("CGO_ENABLED", "0"),
                ("-trimpath", "true"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        };
        let tool = tool(Voucher::Table);
        assert_eq!(compare_build(&good, &tool), Ok(()));
        type Change = fn(&mut BuildInfo);
        let changes: [(&str, Change); 6] = [
            ("package", |info| info.path = "evil".into()),
            ("version", |info| info.module.version = "v1.2.4".into()),
            ("sum", |info| info.module.sum = "h1:y".into()),
            ("Go", |info| info.go = "go1.26.7".into()),
            ("CGO_ENABLED", |info| {
                info.settings.insert("CGO_ENABLED".into(), "1".into());
            }),
            ("-trimpath", |info| {
                info.settings.remove("-trimpath");
            }),
        ];
        for (what, change) in changes {
            let mut other = good.clone();
            change(&mut other);
            let said = compare_build(&other, &tool).unwrap_err();
            assert!(said.starts_with(&format!("its {what} is ")), "{said}");
        }
    }

    #[test]
    fn what_a_tools_state_rests_on() {
        let by = |by| (ToolState::Verified, Some(by));
        for (voucher, locked, expected, why) in [
            (Voucher::Table, Some("ff"), by(VerifiedBy::Sha256), "the lock file names this binary"),
            (Voucher::Table, None, by(VerifiedBy::H1), "a missing platform row is no drift"),
            (Voucher::ChecksumDatabase, None, by(VerifiedBy::H1), "the database vouches for the module"),
            (Voucher::LockFile, Some("ff"), by(VerifiedBy::Sha256), "found in the store by the lock file"),
            (Voucher::LockFile, None, (ToolState::Unverified, None), "its row is gone"),
            (
                Voucher::Nobody,
                Some("ff"),
                (ToolState::Unverified, None),
                "a row that its own build wrote proves nothing",
            ),
        ] {
            assert_eq!(standing(&tool(voucher), locked), expected, "{why}");
        }
    }
}
