//! The Linux side, set up as a person would who wants it fast: Debian's cloud kernel, the modules that its root needs and
//! nothing else, a busybox script that mounts the same read-only disks and starts java.

use crate::initramfs::Archive;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// In the order in which they are loaded.
const MODULES: [&str; 9] = [
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "libcrc32c",
    "erofs",
    "overlay",
];

/// For a network device, after those.
const NETWORK_MODULES: [&str; 3] = ["failover", "net_failover", "virtio_net"];
/// For a volume, after those: ext4 itself is in the kernel.
const VOLUME_MODULES: [&str; 1] = ["crc32c-intel"];

/// What the kernel is told. TSC: on HPET, which it falls back to under `-cpu max`, its clock reads cost five times more.
/// panic=-1: with `-no-reboot` a panic ends the machine.
pub const COMMAND_LINE: &str = "console=ttyS0 quiet mitigations=off tsc=reliable panic=-1";

/// An installed kernel.
pub struct Linux {
    /// The compressed kernel.
    pub kernel: PathBuf,
    /// Its version, for the report.
    pub version: String,
    modules: Vec<(String, Vec<u8>)>,
    busybox: Vec<u8>,
}

impl Linux {
    /// Fetches and unpacks Debian's packages into `cache`, once.
    pub fn prepare(cache: &Path) -> Result<Linux> {
        let unpacked = cache.join("linux/unpacked");
        if !unpacked.join("complete").exists() {
            fetch(&cache.join("linux"), &unpacked)?;
        }
        let boot = unpacked.join("boot");
        let name = |entry: fs::DirEntry| entry.file_name().into_string().ok();
        let version = fs::read_dir(&boot)?
            .filter_map(|entry| name(entry.ok()?)?.strip_prefix("vmlinuz-").map(String::from))
            .next()
            .context("no kernel in the package")?;
        let tree = unpacked.join("lib/modules").join(&version).join("kernel");
        let modules = MODULES
            .iter()
            .chain(&NETWORK_MODULES)
            .chain(&VOLUME_MODULES)
            .map(|module| {
                let file = find(&tree, &format!("{module}.ko"))
                    .with_context(|| format!("no module {module} in the package"))?;
                Ok((format!("{module}.ko"), fs::read(file)?))
            })
            .collect::<Result<_>>()?;
        Ok(Linux {
            kernel: boot.join(format!("vmlinuz-{version}")),
            version,
            modules,
            busybox: fs::read(unpacked.join("bin/busybox"))?,
        })
    }

    /// An initial file system that makes `root`, runs `command` in `/` there, then powers off.
    /// Its parts are stored uncompressed: unpacking is not what is measured.
    pub fn initramfs(&self, root: &Root, command: &[String], environment: &[String]) -> Vec<u8> {
        let mut archive = Archive::default();
        for directory in ["bin", "dev", "modules", "root"] {
            archive.directory(directory);
        }
        archive.file("bin/busybox", &self.busybox);
        for (name, content) in &self.modules {
            archive.file(&format!("modules/{name}"), content);
        }
        // For programs with a volume: Cassandra asks for its host's address.
        archive.directory("own");
        archive.directory("own/etc");
        archive.file("own/etc/hosts", b"127.0.0.1 localhost\n");
        archive.file("init", script(root, command, environment).as_bytes());
        archive.finish()
    }
}

/// How the guest's network is set up by hand: no DHCP client has to run.
pub struct Addresses {
    /// The guest's own, with the bits of its network.
    pub own: String,
    /// Where everything else goes.
    pub gateway: String,
}

/// What the program finds.
pub struct Root<'a> {
    /// Disks that are its root, the first with priority.
    pub layers: usize,
    /// Where the disk behind those is mounted: ext4, with the options of Debian's installer (none of its own).
    pub volume: Option<&'a str>,
    /// The loopback and the first Ethernet device come up.
    pub network: Option<Addresses>,
}

fn script(root: &Root, command: &[String], environment: &[String]) -> String {
    let mut text = String::from("#!/bin/busybox sh\nb=/bin/busybox\n$b mount -t devtmpfs dev /dev\n");
    let layers = root.layers;
    let mut further: Vec<&str> = Vec::new();
    further.extend(root.network.iter().flat_map(|_| NETWORK_MODULES));
    further.extend(root.volume.iter().flat_map(|_| VOLUME_MODULES));
    for module in MODULES.into_iter().chain(further) {
        text += &format!("$b insmod /modules/{module}.ko\n");
    }
    text += "$b ip link set lo up\n";
    // As systemd's services have it: ten thousand connections need as many descriptors.
    text += "ulimit -Hn 524288\n";
    if let Some(Addresses { own, gateway }) = &root.network {
        text += &format!("$b ip link set eth0 up\n$b ip addr add {own} dev eth0\n");
        text += &format!("$b ip route add default via {gateway}\n");
    }
    let disk = |index: usize| char::from(b'a' + u8::try_from(index).expect("few disks"));
    for index in 0..layers {
        text += &format!("$b mkdir /layer{index}\n$b mount -t erofs -o ro /dev/vd{} /layer{index}\n", disk(index));
    }
    let lower: Vec<String> = (0..layers).map(|index| format!("/layer{index}")).collect();
    match lower.as_slice() {
        [one] => text += &format!("$b mount -o bind {one} /root\n"),
        all => {
            // Where it is not needed, Linux neither sets a name nor looks through one more layer: that would be measured too.
            let own = if root.volume.is_some() { "/own:" } else { "" };
            text += &format!("$b mount -t overlay -o ro,lowerdir={own}{} overlay /root\n", all.join(":"));
        }
    }
    text += "$b mount -t proc proc /root/proc\n$b mount -t sysfs sys /root/sys\n$b mount -o move /dev /root/dev\n";
    text += "$b mount -t tmpfs tmp /root/tmp\n";
    if let Some(path) = root.volume {
        text += "$b hostname localhost\n";
        text += &format!("$b mount -t ext4 /root/dev/vd{} /root{path}\n", disk(layers));
    }
    let quote = |words: &[String]| {
        words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect::<Vec<_>>().join(" ")
    };
    // busybox's own env: the image of the JDK need not hold one.
    text += &format!("$b env -i {} $b chroot /root {}\n$b poweroff -f\n", quote(environment), quote(command));
    text
}

fn fetch(directory: &Path, unpacked: &Path) -> Result<()> {
    fs::create_dir_all(directory)?;
    let package = kernel_package()?;
    eprintln!("fetching {package} and busybox-static");
    run(Command::new("apt-get").args(["download", "-q", &package, "busybox-static"]).current_dir(directory))?;
    let _ = fs::remove_dir_all(unpacked);
    fs::create_dir_all(unpacked)?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "deb") {
            run(Command::new("dpkg-deb").arg("-x").arg(&path).arg(unpacked))?;
        }
    }
    fs::write(unpacked.join("complete"), "")?;
    Ok(())
}

/// The newest kernel, which the package linux-image-cloud-amd64 depends on.
fn kernel_package() -> Result<String> {
    let depends = || -> Result<Option<String>> {
        let output = Command::new("apt-cache").args(["depends", "linux-image-cloud-amd64"]).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(text.lines().find_map(|line| {
            line.trim().strip_prefix("Depends: linux-image-").map(|rest| format!("linux-image-{rest}"))
        }))
    };
    if let Some(package) = depends()? {
        return Ok(package);
    }
    run(Command::new("apt-get").args(["update", "-q"]))?;
    depends()?.context("apt knows no package linux-image-cloud-amd64")
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(directory).ok()?.filter_map(Result::ok).find_map(|entry| {
        let path = entry.path();
        if path.is_dir() { find(&path, name) } else { (entry.file_name() == name).then_some(path) }
    })
}

#[cfg(test)]
mod tests {
    use super::{Addresses, Root, script};

    #[test]
    fn the_script_quotes_and_orders() {
        let network = Addresses { own: "10.0.2.15/24".into(), gateway: "10.0.2.2".into() };
        let root = Root { layers: 2, volume: Some("/data"), network: Some(network) };
        let text = script(&root, &["/x/java".into(), "-Dq='1'".into()], &["LANG=C".into()]);
        assert!(text.contains("$b mount -t ext4 /root/dev/vdc /root/data"), "{text}");
        assert!(text.contains("lowerdir=/own:/layer0:/layer1 overlay /root"), "{text}");
        assert!(text.contains("$b env -i 'LANG=C' $b chroot /root '/x/java' '-Dq='\\''1'\\'''"), "{text}");
        let plain = script(&Root { layers: 2, volume: None, network: None }, &[], &[]);
        assert!(plain.contains("lowerdir=/layer0:/layer1 overlay /root") && !plain.contains("hostname"), "{plain}");
        assert!(text.find("virtio_ring").unwrap() < text.find("virtio_blk").unwrap());
        assert!(text.find("virtio_net").unwrap() < text.find("ip addr add 10.0.2.15/24 dev eth0").unwrap());
    }
}
