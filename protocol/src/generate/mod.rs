//! What others read of this crate: TypeScript types, JSON Schemas, `PROTOCOL.md`.
//!
//! Everything here is a function of the types and tables of this crate, so two runs write the same bytes.
//! Not here: anything the daemon links; the feature `generate` is on for the generator and its test only.

mod catalogue; // every type of the wire, by name
mod document; // PROTOCOL.md
mod layout; // pure: ts-rs's text, made readable
mod schema; // the JSON Schemas of the files that users write
mod typescript; // the extension's types

pub use catalogue::Catalogue;

use std::path::PathBuf;

use crate::lock::LockFile;
use crate::settings::BurrowSettings;

/// A generated file, as it should be.
#[derive(Clone, Debug)]
pub struct GeneratedFile {
    /// Where it lies, from the repository's root.
    pub path: &'static str,
    /// What it should hold.
    pub text: String,
}

/// Every file that is generated from this crate.
#[must_use]
pub fn files() -> Vec<GeneratedFile> {
    let catalogue = Catalogue::of_the_wire();
    vec![
        GeneratedFile { path: "vscode-extension/src/generated/protocol.ts", text: typescript::write(&catalogue) },
        GeneratedFile { path: "protocol/PROTOCOL.md", text: document::write(&catalogue) },
        GeneratedFile {
            path: "protocol/schema/settings.schema.json",
            text: schema::write::<BurrowSettings>("customizations.burrow"),
        },
        GeneratedFile {
            path: "protocol/schema/lock.schema.json",
            text: schema::write::<LockFile>(".devcontainer/burrow-lock.json"),
        },
    ]
}

impl GeneratedFile {
    fn absolute(&self) -> PathBuf {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(self.path)
    }

    /// Whether the file on disk is what it should be.
    #[must_use]
    pub fn is_current(&self) -> bool {
        std::fs::read(self.absolute()).is_ok_and(|bytes| bytes == self.text.as_bytes())
    }

    /// Writes the file.
    ///
    /// # Errors
    /// Those of creating its folder and of writing it.
    #[expect(clippy::disallowed_methods, reason = "a developer's tool writes the source tree; there is no state here")]
    pub fn write(&self) -> std::io::Result<()> {
        let path = self.absolute();
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, &self.text)
    }
}

#[cfg(test)]
mod tests {
    /// What is checked in is what the types of today give.
    #[test]
    fn generated_files_are_current() {
        let stale: Vec<_> =
            super::files().into_iter().filter(|file| !file.is_current()).map(|file| file.path).collect();
        assert!(stale.is_empty(), "stale: {}; run `make generate`", stale.join(", "));
    }
}
