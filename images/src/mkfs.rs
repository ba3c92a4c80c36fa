//! A [`Tree`] into an EROFS image, by mkfs.erofs.
//!
//! The tree is laid out as hard links (a copy where the file system or the owner does not allow them), so that the host's
//! modification times and file contents go in as they are: the JVM refuses a CDS archive when the time of a jar differs.
//! Uncompressed and without inline data every file is whole pages, which the guest maps from the image.

use crate::failure::{self, Failure};
use crate::interrupt;
use crate::tree::{Node, Tree};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// The same for every image: nothing identifies them by it.
const UUID: &str = "00000000-0000-4000-8000-64656d697461";
/// Modification time of what only the guest has: 2020-01-01, in seconds.
const OWN_TIME: i64 = 1_577_836_800;

/// Writes `tree` as an image to `image`, with a scratch folder beside it that goes again.
pub fn write(tree: &Tree, image: &Path) -> Result<(), Failure> {
    let scratch = image.with_extension("tree");
    fs::create_dir(&scratch).map_err(|error| Failure::own_file("create", &scratch, &error))?;
    let made = lay_out(tree, &scratch).and_then(|()| run_mkfs(image, &scratch));
    let removed = fs::remove_dir_all(&scratch).map_err(|error| Failure::own_file("remove", &scratch, &error));
    made.and(removed)
}

fn lay_out(tree: &Tree, root: &Path) -> Result<(), Failure> {
    let mut directories: Vec<(PathBuf, Option<&Path>)> = vec![(root.to_path_buf(), None)];
    for (index, (path, node)) in tree.nodes().enumerate() {
        if index % 64 == 0 {
            interrupt::check()?;
        }
        let to = root.join(path.strip_prefix("/").unwrap_or(path));
        let done = match node {
            Node::Directory(host) => {
                directories.push((to.clone(), host.as_deref()));
                fs::create_dir(&to)
            }
            Node::File(host) => place_file(host, &to),
            Node::Link(target) => symlink(target, &to).and_then(|()| set_time(&to, OWN_TIME, 0)),
            Node::Text(content) => fs::write(&to, content).and_then(|()| set_time(&to, OWN_TIME, 0)),
        };
        done.map_err(|error| match node {
            Node::File(host) if !failure::is_disk_full(&error) => Failure::file("read", host, &error),
            _ => Failure::own_file("write", &to, &error),
        })?;
    }
    // Filling a directory changes its time: the times come last, and modes that forbid writing too.
    for (to, host) in directories.iter().rev() {
        let (mode, time) = match host.and_then(|host| fs::symlink_metadata(host).ok()) {
            Some(meta) => (meta.mode() & 0o7777 | 0o500, (meta.mtime(), meta.mtime_nsec())),
            None => (0o755, (OWN_TIME, 0)),
        };
        let set = fs::set_permissions(to, fs::Permissions::from_mode(mode | 0o700))
            .and_then(|()| set_time(to, time.0, time.1));
        set.map_err(|error| Failure::own_file("write", to, &error))?;
    }
    Ok(())
}

/// A hard link where that is allowed (same file system, own file), else a copy with mode and time.
fn place_file(host: &Path, to: &Path) -> io::Result<()> {
    if fs::hard_link(host, to).is_ok() {
        return Ok(());
    }
    let meta = fs::metadata(host)?;
    fs::copy(host, to)?;
    set_time(to, meta.mtime(), meta.mtime_nsec())
}

fn set_time(path: &Path, seconds: i64, nanoseconds: i64) -> io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn run_mkfs(image: &Path, root: &Path) -> Result<(), Failure> {
    let mut command = Command::new("mkfs.erofs");
    command.args(["--quiet", "-Enoinline_data", "-x-1", "--all-root", "-U", UUID]).arg(image).arg(root);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // It lies in /usr/sbin on some systems, which is not on every user's PATH.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    let mut child = command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::usage("mkfs.erofs is missing; run: apt-get install erofs-utils"),
        _ => Failure::build(format!("cannot run mkfs.erofs: {}", failure::reason(&error))),
    })?;
    loop {
        match child.try_wait() {
            Ok(Some(_)) => break,
            Ok(None) => std::thread::sleep(Duration::from_millis(5)),
            Err(error) => {
                return Err(Failure::build(format!("mkfs.erofs: {}", failure::reason(&error))));
            }
        }
        if let Err(interrupted) = interrupt::check() {
            let _ = child.kill();
            let _ = child.wait();
            return Err(interrupted);
        }
    }
    let output =
        child.wait_with_output().map_err(|error| Failure::build(format!("mkfs.erofs: {}", failure::reason(&error))))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if text.contains("No space left") || disk_is_full(image) {
        return Err(Failure::disk_full(image));
    }
    let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no message").trim();
    Err(Failure::build(format!("mkfs.erofs failed ({}): {last}", output.status)))
}

/// mkfs.erofs 1.5 reports a full disk as an I/O error of another name.
fn disk_is_full(image: &Path) -> bool {
    let directory = image.parent().unwrap_or(Path::new("/"));
    rustix::fs::statvfs(directory).is_ok_and(|stat| stat.f_bavail.saturating_mul(stat.f_frsize) < 1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Limits, OutsideLinks};

    fn dump(image: &Path, path: &str) -> String {
        let output = Command::new("dump.erofs").arg(format!("--path={path}")).arg(image).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[test]
    fn files_links_texts_and_times_are_in_the_image() {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let source = dir.path().join("source");
        fs::create_dir(&source).unwrap();
        fs::write(source.join("file"), vec![7; 5000]).unwrap();
        set_time(&source.join("file"), 1_600_000_000, 123_456_789).unwrap();
        symlink("file", source.join("link")).unwrap();
        let mut tree = Tree::new();
        tree.add_directory(&source, Path::new("/data"), Limits::NONE, OutsideLinks::Keep, |_| false).ok().unwrap();
        tree.text(Path::new("/etc/hosts"), "127.0.0.1 localhost\n");
        let image = dir.path().join("image");
        write(&tree, &image).unwrap();
        assert!(Command::new("fsck.erofs").arg(&image).output().unwrap().status.success());
        let file = dump(&image, "/data/file");
        assert!(file.contains("Size: 5000") && file.contains("2020-09-13"), "{file}");
        assert!(dump(&image, "/data/link").contains("symlink"), "{}", dump(&image, "/data/link"));
        assert!(dump(&image, "/etc/hosts").contains("Size: 20"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "the scratch folder is gone");
    }
}
