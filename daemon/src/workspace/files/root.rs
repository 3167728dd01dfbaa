//! Which folder is the workspace, when a command is called somewhere inside it.

use camino::{Utf8Path, Utf8PathBuf};

/// What makes a folder a workspace, the stronger sign first: the nearest folder with the strongest sign counts.
const SIGNS: [&[&str]; 4] = [&[".devcontainer", ".devcontainer.json"], &["go.work"], &[".git"], &["go.mod"]];

/// The workspace that `start` (an absolute path) lies in; `start` itself where no folder upward bears a sign.
#[must_use]
pub fn find(start: &Utf8Path) -> Utf8PathBuf {
    SIGNS
        .iter()
        .find_map(|names| start.ancestors().find(|folder| names.iter().any(|name| folder.join(name).exists())))
        .unwrap_or(start)
        .to_owned()
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::find;

    #[test]
    fn the_stronger_sign_wins_over_the_nearer_one() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let inner = root.join("service/cmd");
        std::fs::create_dir_all(&inner).unwrap();
        std::fs::create_dir(root.join("service/go.mod")).unwrap();
        assert_eq!(find(&inner), root.join("service"), "a module is a workspace");
        std::fs::create_dir(root.join(".git")).unwrap();
        assert_eq!(find(&inner), root, "a repository holds its modules");
        std::fs::create_dir(root.join("service/.devcontainer")).unwrap();
        assert_eq!(find(&inner), root.join("service"), "a dev container says it outright");
    }
}
