//! Whether git is changing files just now.

use camino::{Utf8Path, Utf8PathBuf};

/// What git holds while it changes the files around `folder`. Blocks.
pub(super) fn lock(folder: &Utf8Path) -> Option<Utf8PathBuf> {
    let (around, git) = folder.ancestors().map(|around| (around, around.join(".git"))).find(|(_, git)| git.exists())?;
    if git.is_dir() {
        return Some(git.join("index.lock"));
    }
    // A worktree or a submodule: the file says where its folder is.
    let text = fs_err::read_to_string(&git).ok()?;
    Some(around.join(text.strip_prefix("gitdir:")?.trim()).join("index.lock"))
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::lock;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test writes what git does")]
    fn the_lock_lies_where_git_says() {
        let temporary = tempfile::tempdir().expect("folder");
        let root = Utf8Path::from_path(temporary.path()).expect("UTF-8");
        std::fs::create_dir_all(root.join("main/.git")).expect("folder");
        std::fs::create_dir_all(root.join("main/cmd/api")).expect("folder");
        for (name, says) in
            [("tree", format!("gitdir: {root}/main/.git/worktrees/tree\n")), ("sub", "gitdir: ../x".to_owned())]
        {
            std::fs::create_dir_all(root.join(name)).expect("folder");
            std::fs::write(root.join(name).join(".git"), says).expect("file");
        }
        for (folder, expected, why) in [
            ("main/cmd/api", "main/.git/index.lock", "a clone, from within"),
            ("tree", "main/.git/worktrees/tree/index.lock", "a worktree"),
            ("sub", "sub/../x/index.lock", "a submodule's path is relative"),
        ] {
            assert_eq!(lock(&root.join(folder)), Some(root.join(expected)), "{why}");
        }
    }
}
