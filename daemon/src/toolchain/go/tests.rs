//! Which Go is used, by example.

use super::*;

fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(folder.path().canonicalize().unwrap()).unwrap();
    (folder, path)
}

fn write(path: &Utf8Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    crate::durable::replace(path, text.as_bytes()).unwrap();
}

fn go(text: &str) -> GoVersion {
    text.parse().unwrap()
}

#[test]
fn the_choice_follows_gotoolchain() {
    for (local, setting, go_line, toolchain, expected, why) in [
        ("1.26.8", "local", Some("1.26.0"), None, Ok("1.26.8"), "the local Go is new enough"),
        ("1.26.8", "local", Some("1.27"), None, Err("1.27"), "older than asked, and may not fetch"),
        ("1.26.8", "local", Some("1.26"), Some("go1.27.1"), Ok("1.26.8"), "a toolchain line is advice there"),
        ("1.26.8", "auto", Some("1.26"), Some("go1.27.1"), Ok("1.27.1"), "a toolchain line is followed"),
        ("1.26.8", "auto", Some("1.27.2"), Some("go1.27.1"), Ok("1.27.2"), "the higher line counts"),
        ("1.26.8", "auto", Some("1.28"), None, Ok("1.28.0"), "a language version is fetched as its release"),
        ("1.26.8", "path", Some("1.27.0"), None, Ok("1.27.0"), "from PATH only, but allowed"),
        ("1.26.8", "go1.25.3", Some("1.25"), None, Ok("1.25.3"), "a fixed version replaces the local one"),
        ("1.26.8", "go1.25.3", Some("1.26"), None, Err("1.26"), "and is refused where it is too old"),
        ("1.26.8", "go1.25.3+auto", Some("1.26.1"), None, Ok("1.26.1"), "unless it may fetch"),
        ("1.26.8", "", None, None, Ok("1.26.8"), "nothing is asked for"),
        ("1.21.0", "auto", Some("1.22"), None, Ok("1.22.0"), "the first Go that switches"),
        ("1.20.14", "auto", Some("1.24"), None, Err("1.24"), "a Go that never switches"),
        ("1.20.14", "auto", Some("1.20"), Some("go1.24.1"), Ok("1.20.14"), "and knows no toolchain line"),
        ("1.20.14", "go1.24.1", Some("1.20"), None, Ok("1.20.14"), "nor a version that is set"),
    ] {
        let asked = Unit {
            file: "go.mod".into(),
            go: go_line.map(|text| (go(text), "go.mod".into())),
            toolchain: toolchain.map(|text| (go(text), "go.mod".into())),
        };
        let local = GoInstall { root: "/go".into(), version: go(local) };
        let chosen = choose(&local, &asked, Switching::of(&local, Some(setting)));
        match (chosen, expected) {
            (Ok(chosen), Ok(expected)) => assert_eq!(chosen, go(expected), "{why}"),
            (Err(error @ ToolchainError::GoTooOld { asked, .. }), Err(expected)) => {
                assert_eq!(asked, go(expected), "{why}");
                let advised = crate::coded::Coded::hint(&error).is_some_and(|hint| hint.contains("GOTOOLCHAIN"));
                assert_eq!(advised, local.version >= go("1.21"), "{why}");
            }
            (chosen, _) => panic!("{chosen:?}: {why}"),
        }
    }
    let local = GoInstall { root: "/go".into(), version: go("1.26.8") };
    let of = |setting| Switching::of(&local, setting);
    assert_eq!(of(None), of(Some("local")), "unset is as local");
    for (setting, fetches) in
        [("auto", true), ("go1.25.3+auto", true), ("path", false), ("go1.25.3+path", false), ("local", false)]
    {
        assert_eq!(of(Some(setting)).fetches, fetches, "{setting}");
    }
}

/// What is asked for with this Go on hand, in an environment of `pairs`.
fn look(root: &Utf8Path, pairs: &[(&str, &str)]) -> Result<(WorkspaceGo, Vec<Module>), ToolchainError> {
    let mut env: BTreeMap<_, _> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    env.insert("GOENV".to_owned(), "off".to_owned());
    let local = GoInstall { root: "/nowhere".into(), version: go("1.26.8") };
    let files = files(root, &env, Some(&local));
    of(root, &env, local, files)
}

fn folders(modules: &[Module]) -> Vec<&Utf8Path> {
    modules.iter().map(|module| module.folder.as_path()).collect()
}

#[test]
fn the_highest_line_of_a_family_of_modules_counts() {
    let (_keep, root) = folder();
    write(&root.join("go.work"), "go 1.24\nuse (\n\t./a\n\t./b\n\t./gone\n)\n");
    write(&root.join("a/go.mod"), "module a\ngo 1.25.3\ntoolchain go1.26.0\n");
    write(&root.join("b/go.mod"), "module b\ngo 1.23\n");
    let (found, modules) = look(&root, &[]).unwrap();
    assert_eq!(folders(&modules), [root.join("./a"), root.join("./b")]);
    assert_eq!(found.served, [(go("1.26.8"), root.join("go.work"))], "one Go for all of them");
    let (found, _) = look(&root.join("a"), &[("GOTOOLCHAIN", "go1.24.0+auto")]).unwrap();
    assert_eq!(found.go.version, go("1.26.0"), "a go.work above the folder counts");
    let (found, modules) = look(&root.join("a"), &[("GOTOOLCHAIN", "go1.24.0+auto"), ("GOWORK", "off")]).unwrap();
    assert_eq!((found.go.version, modules.len()), (go("1.26.0"), 1), "unless it is switched off");
    let elsewhere = root.join("go.work");
    let (_, modules) = look(&root.join("gone"), &[("GOWORK", elsewhere.as_str())]).unwrap();
    assert_eq!(modules.len(), 2, "or named");
}

#[test]
fn each_module_without_a_work_file_has_its_own_go() {
    let (_keep, root) = folder();
    write(&root.join("go.mod"), "module m\ngo 1.24\n");
    write(&root.join("new/go.mod"), "module new\ngo 1.27.1\n");
    write(&root.join("odd/go.mod"), "module odd\ngo\n");
    let (found, modules) = look(&root, &[("GOTOOLCHAIN", "auto")]).unwrap();
    assert_eq!(found.served, [(go("1.27.1"), root.join("new/go.mod")), (go("1.26.8"), root.join("go.mod"))]);
    assert_eq!(folders(&modules), [root.clone(), root.join("new")]);
    assert!(matches!(found.left_out.as_slice(), [ToolchainError::GoModSyntax { .. }]), "{:?}", found.left_out);
    assert!(found.fetches);
    let (found, _) = look(&root, &[("GOTOOLCHAIN", "local")]).unwrap();
    assert_eq!(found.served, [(go("1.26.8"), root.join("go.mod"))], "what can be served is");
    assert!(matches!(found.left_out.as_slice(), [_, ToolchainError::GoTooOld { .. }]), "the other is told");
    assert!(!found.fetches);
    let (found, _) = look(&root, &[("GOTOOLCHAIN", "auto"), ("GOPROXY", "off")]).unwrap();
    assert!(!found.fetches, "there is nowhere to fetch from");
    // The folder of a package lies in the module above.
    let (_, modules) = look(&root.join("cmd"), &[]).unwrap();
    assert_eq!(folders(&modules), [root.as_path()]);
}

#[test]
fn modules_below_are_found_and_none_is_told() {
    let (_keep, root) = folder();
    assert!(matches!(look(&root, &[]), Err(ToolchainError::NoModule { .. })));
    for (file, counts) in [
        ("services/api/go.mod", true),
        ("a/b/c/d/go.mod", true),
        ("a/b/c/d/e/go.mod", false),
        ("vendor/x/go.mod", false),
        (".cache/go.mod", false),
        ("x/testdata/go.mod", false),
    ] {
        write(&root.join(file), "module m\ngo 1.22\n");
        let files = files(&root, &BTreeMap::new(), None);
        let folder = root.join(file).parent().unwrap().to_owned();
        assert_eq!(folders(&files.modules).contains(&folder.as_path()), counts, "{file}");
        assert_eq!(files.looked_at.contains(&root.join(file)), counts, "{file}");
    }
}

#[test]
fn go_is_found_by_its_version_file_and_never_in_the_workspace() {
    let (_keep, root) = folder();
    let workspace = root.join("work");
    let program = |home: &str, version: Option<&str>| {
        let go = root.join(home).join("bin/go");
        write(&go, "#!/bin/sh\nexit 1\n");
        std::fs::set_permissions(&go, PermissionsExt::from_mode(0o755)).unwrap();
        if let Some(version) = version {
            write(&root.join(home).join("VERSION"), version);
        }
        go.parent().unwrap().to_owned()
    };
    let shim = program("shims", None);
    let inside = program("work/go", Some("go1.99.0\n"));
    let real = program("sdk", Some("go1.26.8\ntime 2026-08-28T16:20:06Z\n"));
    let linked = root.join("usr/bin");
    std::fs::create_dir_all(&linked).unwrap();
    std::os::unix::fs::symlink(real.join("go"), linked.join("go")).unwrap();

    let unknown = |_: &Utf8Path| Err("it is not asked".to_owned());
    let found = find(&format!("bin:{inside}:{shim}:/nonexistent:{linked}"), &workspace, unknown).unwrap();
    assert_eq!(found, GoInstall { root: root.join("sdk"), version: go("1.26.8") });
    let only_shim = find(&format!("{inside}:{shim}"), &workspace, unknown);
    let expected = shim.join("go");
    assert!(matches!(only_shim, Err(ToolchainError::GoUnknown { program, .. }) if program == expected));
    assert!(matches!(find(inside.as_str(), &workspace, unknown), Err(ToolchainError::NoGo)));
    assert!(matches!(find("", &workspace, unknown), Err(ToolchainError::NoGo)));
    let answered = GoInstall { root: "/asked".into(), version: go("1.25.3") };
    let asked = find(&format!("{inside}:{shim}:{linked}"), &workspace, |program| {
        assert_eq!(program, expected, "nothing of the workspace is asked");
        Ok(answered.clone())
    });
    assert_eq!(asked.unwrap(), answered, "the first `go` on PATH is the one that a terminal runs");
}
