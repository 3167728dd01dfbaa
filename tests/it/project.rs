//! What this repository says of itself.

use burrow::workspace::files::devcontainer;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::sandbox::fixtures;

/// Where the paths that the documents name begin.
const FOLDERS: [&str; 5] = ["daemon/", "protocol/", "tests/", "vscode-extension/", ".cargo/"];

/// Every devcontainer.json of this repository says only what Burrow understands.
#[test]
fn own_devcontainers_are_valid() {
    for folder in [repository(), fixtures().join("hello-api")] {
        let settings = devcontainer::read(&folder);
        assert!(settings.file.is_some(), "{folder} has a devcontainer.json");
        assert_eq!(settings.problems, [], "{folder}");
        assert!(!settings.burrow.tools.is_empty(), "{folder} chooses its tools");
    }
}

/// The Feature has the Go extension take Burrow's tools, and not look after them itself.
#[test]
fn feature_leaves_the_tools_to_burrow() {
    let path = repository().join(".devcontainer/features/burrow/devcontainer-feature.json");
    let feature: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let settings = &feature["customizations"]["vscode"]["settings"];
    for tool in ["dlv", "goimports", "gopls"] {
        assert_eq!(settings["go.alternateTools"][tool], format!("/usr/local/share/burrow/tools/{tool}"));
    }
    assert_eq!(settings["go.toolsManagement.autoUpdate"], false);
    assert_eq!(settings["go.toolsManagement.checkForUpdates"], "off");
    // Where the editor looks is where the container's terminals look.
    let path = feature["containerEnv"]["PATH"].as_str().unwrap();
    assert!(path.starts_with("/usr/local/share/burrow/tools:"), "{path}");
}

/// Every path of this repository that a document names is there.
#[test]
fn documents_name_what_exists() {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(repository().join(document)).unwrap();
        let code = text.split('`').skip(1).step_by(2);
        // A word in capitals stands for any name.
        let paths =
            code.filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder)) && !word.contains("/SERVICE/"));
        for path in paths.filter(|path| !path.contains(char::is_whitespace)) {
            assert!(repository().join(path).exists(), "{document} names {path}");
        }
        // Links and pictures: `[text](path)`.
        let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        for link in links.filter(|link| !link.is_empty() && !link.contains("://")) {
            assert!(repository().join(link).exists(), "{document} links to {link}");
        }
    }
}

fn repository() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
