//! Generations: the sets of tools that a workspace had, the newest three kept; one of them is active.
//!
//! `generations/<n>/manifest.json` says what is in it, `generations/<n>/bin/<tool>` are links into the store, and the link
//! `current` names the active one. The manifest is written last: a folder without one was never finished and does not count.
//! Switching is one rename, so a reader sees the old or the new set. All functions block.
//!
//! Going back is somebody's choice, and `rollback.json` says to which generation and away from what: it holds while that
//! generation is the active one and the same is asked for. Whatever else is made active ends it.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::error::ToolchainError;
use super::observe::Active;
use super::store::{Fingerprint, Store};
use super::verify::Condition;
use crate::durable::{self, WorkspaceLayout};

/// How many are kept, the active one included.
const KEPT: usize = 3;
const SCHEMA: u32 = 1;

/// What is in a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The format's version.
    schema: u32,
    /// The tools by name.
    pub(crate) tools: BTreeMap<String, InstalledTool>,
}

/// A rollback that somebody chose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rollback {
    schema: u32,
    /// The generation that it went back to.
    pub(crate) generation: u32,
    /// What was asked for at that time: the version of each tool. None where nobody could say.
    pub(crate) asked: Option<BTreeMap<String, String>>,
}

/// A binary of a generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct InstalledTool {
    pub(crate) module: String,
    pub(crate) package: String,
    pub(crate) version: String,
    /// The module's sum.
    pub(crate) h1: String,
    /// Who vouches for the module's sum.
    pub(crate) voucher: Voucher,
    pub(crate) sha256: String,
    /// The Go that built it: `go1.26.8`.
    pub(crate) built_with: String,
    /// The lock file's row where this build turned out different from it: the same sources, built by another Go of that name.
    pub(crate) differs_from: Option<String>,
    /// Its binary does not count although its file looks as recorded: every byte was read, or its sources were built again,
    /// and it turned out to be another.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) refuted: bool,
    pub(crate) fingerprint: Fingerprint,
}

/// Who vouches for a module's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Voucher {
    /// The compatibility table of this binary: the zip that was built had its sum.
    Table,
    /// The checksum database that the user's Go asks.
    ChecksumDatabase,
    /// The lock file, which names this very binary.
    LockFile,
    /// Nobody.
    Nobody,
}

impl Manifest {
    pub(crate) fn new(tools: BTreeMap<String, InstalledTool>) -> Self {
        Self { schema: SCHEMA, tools }
    }
}

impl Manifest {
    /// Whether it has the same binaries under the same names.
    pub(crate) fn has_the_binaries_of(&self, other: &Self) -> bool {
        let binaries = |manifest: &Self| -> Vec<(String, String)> {
            manifest.tools.iter().map(|(name, tool)| (name.clone(), tool.sha256.clone())).collect()
        };
        binaries(self) == binaries(other)
    }
}

/// The generations of one workspace.
#[derive(Clone, Debug)]
pub(crate) struct Generations {
    layout: WorkspaceLayout,
}

impl Generations {
    pub(crate) fn new(layout: WorkspaceLayout) -> Self {
        Self { layout }
    }

    /// The folder with the links of generation `number`.
    pub(crate) fn bin(&self, number: u32) -> Utf8PathBuf {
        self.folder(number).join("bin")
    }

    /// The folder with the active generation's links, whichever that is.
    pub(crate) fn active_bin(&self) -> Utf8PathBuf {
        self.layout.current().join("bin")
    }

    /// The number of the active generation, if it is whole.
    pub(crate) fn active(&self) -> Option<(u32, Manifest)> {
        let target = self.layout.current().read_link_utf8().ok()?;
        let number = target.file_name()?.parse().ok()?;
        Some((number, self.manifest(number)?))
    }

    /// The whole generations, newest first.
    pub(crate) fn all(&self) -> Vec<(u32, Manifest)> {
        let mut numbers = self.numbers();
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers.into_iter().filter_map(|number| Some((number, self.manifest(number)?))).collect()
    }

    /// Makes a generation; it is not active yet.
    pub(crate) fn create(&self, manifest: &Manifest, store: &Store) -> Result<u32, ToolchainError> {
        let number = self.numbers().into_iter().max().unwrap_or(0) + 1;
        durable::create_dir(&self.bin(number))?;
        self.relink(number, manifest, store)?;
        self.write(number, manifest)?;
        Ok(number)
    }

    /// Replaces the manifest of a generation, as after a comparison gave it new fingerprints.
    pub(crate) fn write(&self, number: u32, manifest: &Manifest) -> Result<(), ToolchainError> {
        Ok(durable::replace_json(&self.manifest_file(number), manifest)?)
    }

    /// Leaves a mark on the tools whose content is another although nothing about their files tells: from here on they count as
    /// changed to everybody. What cannot be written is found again by the next full comparison.
    pub(crate) fn distrust(&self, active: &mut Active, store: &Store) {
        let Active { number, manifest, conditions, .. } = active;
        let mut marked = false;
        for (name, tool) in &mut manifest.tools {
            let looks_sound = Fingerprint::of(&store.path(&tool.sha256, name)).as_ref() == Some(&tool.fingerprint);
            if looks_sound && conditions.get(name) == Some(&Condition::Changed) && !tool.refuted {
                tool.refuted = true;
                marked = true;
            }
        }
        if marked && let Err(error) = self.write(*number, manifest) {
            tracing::warn!(number = *number, error = crate::coded::with_causes(&error), "a changed tool is not marked");
        }
    }

    /// Makes the links of a generation anew.
    pub(crate) fn relink(&self, number: u32, manifest: &Manifest, store: &Store) -> Result<(), ToolchainError> {
        let bin = self.bin(number);
        durable::create_dir(&bin)?;
        for (name, tool) in &manifest.tools {
            let link = bin.join(name);
            let target = store.path(&tool.sha256, name);
            if link.read_link_utf8().ok().as_ref() != Some(&target) {
                // A folder in the link's place is in nobody's interest, and a rename does not replace it.
                if link.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                    durable::remove_dir(&link)?;
                }
                durable::replace_link(&target, &link)?;
            }
        }
        Ok(())
    }

    /// The digests of all binaries that a generation has, also of one that is not whole.
    pub(crate) fn digests(&self) -> std::collections::BTreeSet<String> {
        self.all().into_iter().flat_map(|(_, manifest)| manifest.tools.into_values()).map(|tool| tool.sha256).collect()
    }

    /// Makes generation `number` the active one, and ends a rollback.
    pub(crate) fn activate(&self, number: u32) -> Result<(), ToolchainError> {
        durable::remove_file(&self.layout.rollback())?;
        self.switch(number)
    }

    /// Makes generation `number` the active one, as somebody chose who was asked for other tools.
    pub(crate) fn roll_back(&self, number: u32, asked: Option<BTreeMap<String, String>>) -> Result<(), ToolchainError> {
        // Written first: without its generation being active it says nothing.
        let rollback = Rollback { schema: SCHEMA, generation: number, asked };
        durable::replace_json(&self.layout.rollback(), &rollback)?;
        self.switch(number)
    }

    /// The rollback that led to the active generation, if one did.
    pub(crate) fn rollback(&self) -> Option<Rollback> {
        // One that cannot be read is none: then what is active is shown as drift.
        let rollback = durable::read_json::<Rollback>(&self.layout.rollback()).ok().flatten()?;
        let active = self.active()?.0;
        (rollback.schema == SCHEMA && rollback.generation == active).then_some(rollback)
    }

    fn switch(&self, number: u32) -> Result<(), ToolchainError> {
        let target = Utf8Path::new("generations").join(number.to_string());
        Ok(durable::replace_link(&target, &self.layout.current())?)
    }

    /// The generations that are no longer kept: all but the active one and the newest others, and what was never finished.
    pub(crate) fn surplus(&self) -> Vec<u32> {
        let active = self.active().map(|(number, _)| number);
        let whole: Vec<u32> = self.all().into_iter().map(|(number, _)| number).collect();
        let others = whole.iter().filter(|number| Some(**number) != active);
        let room = KEPT - usize::from(active.is_some());
        let kept: Vec<u32> = others.take(room).copied().chain(active).collect();
        self.numbers().into_iter().filter(|number| !kept.contains(number)).collect()
    }

    /// Removes generation `number`.
    pub(crate) fn remove(&self, number: u32) -> Result<(), ToolchainError> {
        // Without its manifest it does not count, whatever becomes of the rest.
        durable::remove_file(&self.manifest_file(number))?;
        Ok(durable::remove_dir(&self.folder(number))?)
    }

    fn numbers(&self) -> Vec<u32> {
        let Ok(entries) = self.layout.generations().read_dir_utf8() else { return Vec::new() };
        entries.flatten().filter_map(|entry| entry.file_name().parse().ok()).collect()
    }

    fn manifest(&self, number: u32) -> Option<Manifest> {
        match durable::read_json::<Manifest>(&self.manifest_file(number)) {
            Ok(manifest) => manifest.filter(|manifest| manifest.schema == SCHEMA),
            Err(error) => {
                tracing::warn!(number, error = crate::coded::with_causes(&error), "a generation does not count");
                None
            }
        }
    }

    fn folder(&self, number: u32) -> Utf8PathBuf {
        self.layout.generations().join(number.to_string())
    }

    fn manifest_file(&self, number: u32) -> Utf8PathBuf {
        self.folder(number).join("manifest.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::StateLayout;

    struct Place {
        _keep: tempfile::TempDir,
        root: Utf8PathBuf,
        store: Store,
        generations: Generations,
    }

    fn place() -> Place {
        let keep = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(keep.path().to_owned()).unwrap();
        let layout = StateLayout::new(root.join("state")).workspace("/work".into());
        Place {
            store: Store::new(root.join("store"), "own".to_owned(), true),
            generations: Generations::new(layout),
            root,
            _keep: keep,
        }
    }

    fn manifest(place: &Place, content: &str) -> Manifest {
        let built = place.root.join("built");
        durable::replace(&built, content.as_bytes()).unwrap();
        let sha256 = crate::toolchain::dirhash::sha256_of_file(&built).unwrap();
        let fingerprint = place.store.add(&built, &sha256, "gopls").unwrap();
        let tool = InstalledTool {
            module: "m".into(),
            package: "m/cmd".into(),
            version: content.into(),
            h1: "h1:x".into(),
            voucher: Voucher::Table,
            sha256,
            built_with: "go1.26.8".into(),
            differs_from: None,
            refuted: false,
            fingerprint,
        };
        Manifest::new([("gopls".to_owned(), tool)].into())
    }

    #[test]
    fn a_generation_is_active_as_a_whole() {
        let place = place();
        assert_eq!(place.generations.active(), None);
        for content in ["v1", "v2"] {
            let manifest = manifest(&place, content);
            let number = place.generations.create(&manifest, &place.store).unwrap();
            place.generations.activate(number).unwrap();
            assert_eq!(place.generations.active(), Some((number, manifest)));
            let binary = place.generations.active_bin().join("gopls");
            assert_eq!(std::fs::read_to_string(binary).unwrap(), content);
        }
    }

    #[test]
    fn three_are_kept_and_the_active_one_always() {
        let place = place();
        for number in 1..=5 {
            let content = format!("v{number}");
            place.generations.create(&manifest(&place, &content), &place.store).unwrap();
        }
        place.generations.activate(2).unwrap();
        // A folder that a dead daemon never finished.
        durable::create_dir(&place.generations.bin(6)).unwrap();
        let mut surplus = place.generations.surplus();
        surplus.sort_unstable();
        assert_eq!(surplus, [1, 3, 6], "the active one, the newest two, nothing unfinished");
        for number in surplus {
            place.generations.remove(number).unwrap();
        }
        assert!(place.generations.surplus().is_empty());
        let left: Vec<u32> = place.generations.all().into_iter().map(|(number, _)| number).collect();
        assert_eq!(left, [5, 4, 2], "newest first");
    }

    #[test]
    fn links_are_made_anew_and_damage_does_not_count() {
        let place = place();
        let manifest = manifest(&place, "v1");
        let number = place.generations.create(&manifest, &place.store).unwrap();
        place.generations.activate(number).unwrap();
        let link = place.generations.bin(number).join("gopls");
        durable::remove_file(&link).unwrap();
        durable::create_dir(&link.join("in the way")).unwrap();
        place.generations.relink(number, &manifest, &place.store).unwrap();
        assert_eq!(std::fs::read_to_string(&link).unwrap(), "v1");
        durable::replace(&place.generations.manifest_file(number), b"{\"schema\": 1, ").unwrap();
        assert_eq!(place.generations.active(), None, "a damaged manifest");
        assert_eq!(place.generations.surplus(), [number]);
    }
}
