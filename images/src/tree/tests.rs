use super::*;
use std::os::unix::fs::symlink;

fn paths(tree: &Tree) -> Vec<String> {
    tree.nodes().map(|(path, _)| path.display().to_string()).collect()
}

#[test]
fn links_come_along_with_what_they_lead_to() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    let root = dir.path().canonicalize().unwrap();
    fs::create_dir(root.join("real")).unwrap();
    fs::write(root.join("real/file"), "x").unwrap();
    symlink("real", root.join("alias")).unwrap();
    symlink("../alias/file", root.join("real/again")).unwrap();
    let mut tree = Tree::new();
    assert_eq!(tree.add_host(&root.join("alias/again")).unwrap(), root.join("real/file"));
    for part in ["alias", "real", "real/file", "real/again"] {
        assert!(tree.contains(&root.join(part)), "{part}");
    }
    assert!(tree.inputs().any(|path| path == root.join("alias")));
}

#[test]
fn a_loop_of_links_is_an_error() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    symlink("b", dir.path().join("a")).unwrap();
    symlink("a", dir.path().join("b")).unwrap();
    assert!(Tree::new().add_host(&dir.path().join("a")).is_err());
}

#[test]
fn what_lies_in_the_guests_own_directories_is_bound() {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    fs::create_dir(dir.path().join("lib")).unwrap();
    fs::write(dir.path().join("lib/a.jar"), "x").unwrap();
    fs::write(dir.path().join("app.jar"), "x").unwrap();
    let mut tree = Tree::new();
    tree.add_host(&dir.path().join("app.jar")).unwrap();
    let one: Vec<_> = tree.binds();
    assert_eq!(one.len(), 1);
    assert_eq!(one[0].to, bytes(&dir.path().join("app.jar")));
    tree.add_directory(dir.path(), dir.path(), Limits::NONE, OutsideLinks::Keep, |_| false).ok().unwrap();
    let binds = tree.binds();
    assert_eq!(binds.len(), 1, "the directory covers the jar: {binds:?}");
    assert_eq!(binds[0].to, bytes(dir.path()));
    assert!(paths(&tree).iter().all(|path| path.starts_with("/demitasse")), "{:?}", paths(&tree));
}

#[test]
fn a_huge_directory_adds_nothing() {
    let dir = tempfile::tempdir_in("/var/tmp").unwrap();
    for n in 0..10 {
        fs::write(dir.path().join(n.to_string()), [0; 100]).unwrap();
    }
    let mut tree = Tree::new();
    for limits in [Limits { entries: 5, bytes: u64::MAX }, Limits { entries: 100, bytes: 500 }] {
        let result = tree.add_directory(dir.path(), Path::new("/x"), limits, OutsideLinks::Keep, |_| false);
        assert!(matches!(result, Err(Oversize::Huge)));
    }
    assert_eq!(tree.nodes().count(), 0);
}

#[test]
fn stamps_tell_changes() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f");
    assert_eq!(stamp(&file), "absent");
    fs::write(&file, "a").unwrap();
    let before = stamp(&file);
    fs::write(&file, "ab").unwrap();
    assert_ne!(stamp(&file), before);
}
