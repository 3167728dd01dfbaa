//! What is removed: the fourth generation, and binaries that nobody uses in any container.

use std::collections::BTreeSet;
use std::fs::File;
use std::time::{Duration, SystemTime};

use camino::Utf8Path;
use serde_json::Value;

use super::proxy::{Built, LOCK, copy_binaries, installed, tools};
use crate::sandbox::{Sandbox, eventually};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// As if it had been written that long ago.
fn age(path: &Utf8Path, age: Duration) {
    File::open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
}

/// The lock file's rows of a version.
fn rows(version: &'static str) -> Value {
    let sandbox = Built::at(version).ask_for(version, Sandbox::new());
    serde_json::from_str(&sandbox.read(LOCK).unwrap()).unwrap()
}

/// The names of what lies in `folder`.
fn names(folder: &Utf8Path) -> BTreeSet<String> {
    folder.read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned()).collect()
}

/// The digest of a tool in a lock file.
fn digest(rows: &Value, tool: &str) -> String {
    let binaries = rows["tools"][tool]["binaries"].as_object().unwrap();
    binaries.values().next().unwrap().as_str().unwrap().to_owned()
}

/// Asks for the `newer` tools at v1.1.0 and for the others at v1.0.0, and brings them in order: a generation more.
fn switch(sandbox: Sandbox, newer: &[&str]) -> Sandbox {
    let (mut lock, new_rows) = (rows("v1.0.0"), rows("v1.1.0"));
    let (mut pins, new_pins) = (tools("v1.0.0"), tools("v1.1.0"));
    for name in newer {
        lock["tools"][*name] = new_rows["tools"][*name].clone();
        pins[*name] = new_pins[*name].clone();
    }
    let sandbox = sandbox.setting("tools", pins).write(LOCK, &lock.to_string());
    sandbox.burrow(["tools", "repair"]).exits(0);
    sandbox
}

/// A container that is there goes on holding its tools, though nothing about them changes.
#[test]
fn a_hold_is_renewed_by_a_start_and_by_each_operation() {
    let sandbox = installed();
    let holds = sandbox.store_dir().join("holds");
    let hold = holds.join(names(&holds).first().unwrap());
    for command in [["restart"].as_slice(), &["tools", "repair"]] {
        age(&hold, DAY * 31);
        sandbox.burrow(command.iter().copied()).exits(0);
        eventually("the hold is renewed", Duration::from_secs(30), || {
            let age = hold.metadata().unwrap().modified().unwrap().elapsed().unwrap();
            if age < DAY { Ok(()) } else { Err(format!("{age:?} after {command:?}")) }
        });
    }
}

#[test]
fn three_generations_are_kept_and_what_others_use() {
    let volume = tempfile::TempDir::new().unwrap();
    let shared = Utf8Path::from_path(volume.path()).unwrap().join("store");
    let (old, new) = (rows("v1.0.0"), rows("v1.1.0"));
    let one = Built::at("v1.0.0").ask_for("v1.0.0", Sandbox::new().limit(Duration::from_secs(400)));
    copy_binaries(&one.store_dir(), &shared);
    let one = Built::at("v1.1.0").ask_for("v1.1.0", one);
    copy_binaries(&one.store_dir(), &shared);
    let all = names(&shared.join("tools"));
    assert_eq!(all.len(), 6);
    // What came in today is left alone, whoever uses it.
    all.iter().for_each(|digest| age(&shared.join("tools").join(digest), DAY * 2));

    let two = Built::at("v1.0.0").ask_for("v1.0.0", Sandbox::new()).env("BURROW_STORE_DIR", shared.as_str());
    two.burrow(["tools", "repair"]).exits(0);
    let holds = names(&shared.join("holds"));
    let mut one = one.env("BURROW_STORE_DIR", shared.as_str());
    for newer in [&[][..], &["dlv"], &["dlv", "goimports"], &["dlv", "goimports", "gopls"]] {
        one = switch(one, newer);
    }
    let generations = one.state_dir().join("current").canonicalize_utf8().unwrap();
    let generations = generations.parent().unwrap().parent().unwrap().to_owned();
    assert_eq!(names(&generations), ["2", "3", "4"].map(str::to_owned).into(), "the newest three");
    assert_eq!(names(&shared.join("tools")), all, "the other container uses what this one let go");
    two.burrow(["tools", "verify", "--full"]).exits(0);

    // The other container has not been heard of for a month.
    holds.iter().for_each(|name| age(&shared.join("holds").join(name), DAY * 31));
    one = switch(one, &["dlv", "gopls"]);
    assert_eq!(names(&generations), ["3", "4", "5"].map(str::to_owned).into());
    let mut left = all.clone();
    left.remove(&digest(&old, "dlv"));
    assert_eq!(names(&shared.join("tools")), left, "all but the binary that is in no generation");
    assert!(left.contains(&digest(&new, "dlv")));
    one.burrow(["tools", "verify", "--full"]).exits(0);

    // Should it come back, it finds out, and what it can have is brought in order.
    two.burrow(["tools", "verify"]).exits(3).says("dlv        v1.0.0  missing").says("goimports  v1.0.0  verified");
}
