//! What this repository says of itself.

use burrow::workspace::files::devcontainer;
use camino::Utf8Path;

use crate::sandbox::fixtures;

/// Every devcontainer.json of this repository says only what Burrow understands.
#[test]
fn own_devcontainers_are_valid() {
    let repository = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for folder in [repository, fixtures().join("hello-api")] {
        let settings = devcontainer::read(&folder);
        assert!(settings.file.is_some(), "{folder} has a devcontainer.json");
        assert_eq!(settings.problems, [], "{folder}");
        assert!(!settings.burrow.tools.is_empty(), "{folder} chooses its tools");
    }
}
