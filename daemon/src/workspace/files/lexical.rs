//! Paths by their words alone: nothing is looked up, so that what is not there counts as well.

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

/// `a/./b/../c` as `a/c`, as the go command reads it.
#[must_use]
pub fn clean(path: &Utf8Path) -> Utf8PathBuf {
    let mut cleaned = Utf8PathBuf::new();
    for part in path.components() {
        match part {
            Utf8Component::CurDir => {}
            Utf8Component::ParentDir => {
                cleaned.pop();
            }
            part => cleaned.push(part),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn forms() {
        for (path, expected, why) in [
            ("/a/./b/../c", "/a/c", "both kinds of dots"),
            ("/..", "/", "nothing is above the root"),
            ("a//b/", "a/b", "a path has one spelling"),
        ] {
            assert_eq!(clean(path.into()), expected, "{why}");
        }
    }
}
