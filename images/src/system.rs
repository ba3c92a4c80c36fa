//! What programs open by name: libraries, name services, locales, fonts, time zones, and /etc.
//!
//! All of it is optional: what the host has comes along. The first half goes into the base layer, which changes only when
//! the host is updated; /etc goes into the application layer.

use crate::closure::Resolver;
use crate::failure::Failure;
use crate::ldcache;
use crate::tree::{Limits, OutsideLinks, Tree};
use std::path::Path;
use walkdir::DirEntry;

/// Opened with dlopen by glibc (thread exit, name services), the JDK (fonts, NUMA) and programs linked before glibc 2.34.
const LIBRARIES: [&str; 16] = [
    "libgcc_s.so.1",
    "libstdc++.so.6",
    "libm.so.6",
    "libz.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libutil.so.1",
    "libresolv.so.2",
    "libanl.so.1",
    "libnss_files.so.2",
    "libnss_dns.so.2",
    "libnss_compat.so.2",
    "libfreetype.so.6",
    "libfontconfig.so.1",
    "libnuma.so.1",
];

/// In the base layer with all that is in them.
const DIRECTORIES: [&str; 7] = [
    "/usr/lib/x86_64-linux-gnu/gconv",
    "/usr/lib64/gconv",
    "/usr/lib/locale/C.utf8",
    "/usr/share/zoneinfo",
    "/usr/share/fontconfig",
    "/etc/fonts",
    "/var/cache/fontconfig",
];
/// Fonts, the first of these that the host has: one family is enough for programs that draw text.
const FONTS: [&str; 3] =
    ["/usr/share/fonts/truetype/dejavu", "/usr/share/fonts/truetype/liberation", "/usr/share/fonts/truetype"];
/// Larger font directories are left out.
const FONTS_MAX: Limits = Limits { entries: 1000, bytes: 64 << 20 };

/// In the application layer.
const ETC: [&str; 15] = [
    "/etc/passwd",
    "/etc/group",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/localtime",
    "/etc/timezone",
    "/etc/protocols",
    "/etc/services",
    "/etc/networks",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/debian_version",
    "/etc/ssl/certs/ca-certificates.crt",
];

/// Directories that must exist for the guest to mount on, or because programs take them for granted.
const EMPTY: [&str; 12] =
    ["/proc", "/sys", "/dev", "/tmp", "/run", "/root", "/home", "/mnt", "/opt", "/srv", "/var/lib", "/var/log"];

/// Names come from files and from DNS: the services that a desktop adds are not there to be asked.
const NSSWITCH: &str = "\
passwd: files
group: files
shadow: files
hosts: files dns
networks: files
protocols: files
services: files
ethers: files
rpc: files
";

/// The base layer's part.
pub fn add_base(tree: &mut Tree, resolver: &Resolver, locales: &[String]) -> Result<(), Failure> {
    for directory in EMPTY {
        tree.directory(Path::new(directory));
    }
    tree.link(Path::new("/var/tmp"), Path::new("/tmp"));
    tree.link(Path::new("/var/run"), Path::new("/run"));
    // The loader finds libraries by these; a change of any means that another library may be the right one.
    tree.depends_on(Path::new(ldcache::PATH));
    tree.depends_on(Path::new("/usr/lib/x86_64-linux-gnu"));
    for link in ["/lib", "/lib64"] {
        let _ = tree.add_host(Path::new(link));
    }
    for name in LIBRARIES {
        add_library(tree, resolver, name)?;
    }
    for directory in DIRECTORIES {
        let zone_copies = |entry: &DirEntry| {
            entry.depth() == 1
                && directory.ends_with("zoneinfo")
                && ["right", "posix"].iter().any(|name| entry.file_name() == *name)
        };
        add_directory(tree, Path::new(directory), Limits::NONE, zone_copies);
    }
    if let Some(fonts) = FONTS.iter().map(Path::new).find(|path| path.is_dir()) {
        add_directory(tree, fonts, FONTS_MAX, |_| false);
    }
    for name in ["/usr/share/locale/locale.alias", "/etc/locale.alias"] {
        let _ = tree.add_host(Path::new(name));
    }
    add_locales(tree, locales);
    Ok(())
}

/// The data of the locales in use, from the archive or from a directory of their own.
fn add_locales(tree: &mut Tree, locales: &[String]) {
    let beyond_c = locales.iter().filter(|name| !matches!(name.split('.').next(), Some("C" | "POSIX" | "")));
    let mut uses_archive = false;
    for name in beyond_c {
        uses_archive = true;
        let (language, codeset) = name.split_once('.').unwrap_or((name, ""));
        // glibc's directories have the code set in lower case without punctuation: en_US.utf8.
        let codeset: String =
            codeset.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
        for directory in [format!("/usr/lib/locale/{language}.{codeset}"), format!("/usr/lib/locale/{language}")] {
            add_directory(tree, Path::new(&directory), Limits::NONE, |_| false);
        }
    }
    if uses_archive {
        let _ = tree.add_host(Path::new("/usr/lib/locale/locale-archive"));
    }
}

/// The application layer's part: /etc as the host has it, with the guest's own name in /etc/hosts and its own ways to look up names.
pub fn add_etc(tree: &mut Tree, hostname: &str) -> Result<(), Failure> {
    for file in ETC {
        let _ = tree.add_host(Path::new(file));
    }
    tree.text(Path::new("/etc/nsswitch.conf"), NSSWITCH);
    // The guest shows its own file here, made from what DHCP says.
    tree.text(Path::new("/etc/resolv.conf"), "");
    tree.text(Path::new("/etc/hostname"), format!("{hostname}\n"));
    let hosts = Path::new("/etc/hosts");
    tree.depends_on(hosts);
    tree.text(hosts, hosts_file(&std::fs::read_to_string(hosts).unwrap_or_default(), hostname));
    Ok(())
}

/// `host`, the host's /etc/hosts, with `hostname` in it: getLocalHost then answers at once.
fn hosts_file(host: &str, hostname: &str) -> String {
    let names = |line: &str| {
        line.split('#').next().unwrap_or("").split_ascii_whitespace().skip(1).map(String::from).collect::<Vec<_>>()
    };
    let knows = |name: &str| host.lines().any(|line| names(line).iter().any(|known| known == name));
    let mut text = host.to_string();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    if !knows("localhost") {
        text.push_str("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n");
    }
    if !knows(hostname) {
        text.push_str(&format!("127.0.1.1\t{hostname}\n"));
    }
    text
}

fn add_library(tree: &mut Tree, resolver: &Resolver, name: &str) -> Result<(), Failure> {
    if let Some(path) = resolver.find_by_name(name) {
        for object in resolver.closure([path])?.objects {
            let _ = tree.add_host(&object);
        }
    }
    Ok(())
}

fn add_directory(tree: &mut Tree, directory: &Path, limits: Limits, skip: impl Fn(&DirEntry) -> bool) {
    tree.depends_on(directory);
    if let Ok(real) = tree.add_host(directory) {
        // Optional data: what cannot be read or is too large stays behind.
        let _ = tree.add_directory(&real, &real, limits, OutsideLinks::Follow, skip);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_file_gets_what_it_lacks() {
        assert_eq!(
            hosts_file("127.0.0.1 localhost # me\n127.0.1.1 cup", "cup"),
            "127.0.0.1 localhost # me\n127.0.1.1 cup\n"
        );
        let text = hosts_file("", "cup");
        assert!(text.contains("127.0.0.1\tlocalhost\n") && text.ends_with("127.0.1.1\tcup\n"));
        assert!(hosts_file("10.0.0.1 other # cup\n", "cup").ends_with("127.0.1.1\tcup\n"));
    }

    #[test]
    fn a_base_has_libc_and_zones() {
        let mut tree = Tree::new();
        add_base(&mut tree, &Resolver::new(""), &[]).unwrap();
        for path in ["/usr/share/zoneinfo/Etc/UTC", "/proc", "/tmp"] {
            assert!(tree.contains(Path::new(path)), "{path}");
        }
        assert!(tree.nodes().any(|(path, _)| path.ends_with("libc.so.6")));
    }
}
