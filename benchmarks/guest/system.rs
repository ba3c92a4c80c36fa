//! The two systems under measurement, started by the same QEMU with the same disks, devices and Java command.

use crate::linux::{self, Addresses, Linux};
use anyhow::Result;
use images::cache::Cache;
use images::jdk::Jdk;
use images::kernel::Kernel;
use images::layers::{self, Layer};
use images::machine::{Disk, Machine};
use images::network::{Network, Publish};
use images::program;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// Which system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Side {
    /// This project's kernel.
    Demitasse,
    /// Debian's cloud kernel.
    Linux,
}

impl Side {
    /// Both, ours first.
    pub const BOTH: [Side; 2] = [Side::Demitasse, Side::Linux];

    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Side::Demitasse => "Demitasse",
            Side::Linux => "Linux",
        }
    }
}

/// What a machine runs.
#[derive(Clone, Debug)]
pub enum Program {
    /// `java` with these arguments.
    Java(Vec<String>),
    /// The executable of this name in the shared directory, with these arguments.
    Native(String, Vec<String>),
}

/// How a machine is connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Link {
    /// Not at all: there is no network device.
    #[default]
    None,
    /// QEMU's user networking: this port of the host's loopback leads to the guest's port 8080.
    User(u16),
    /// A tap device of this name; see [`TAP_HOST`].
    Tap(String),
    /// Whoever listens at this socket is the guest's network; the guest is [`GUEST`].
    Frames(PathBuf),
}

/// The port that servers in the guest listen at.
pub const SERVER_PORT: u16 = 8080;
/// At a tap: the host's address, which whoever made the tap has given it, and the guest's.
pub const TAP_HOST: &str = "10.77.0.1";
const TAP_GUEST: &str = "10.77.0.2";
/// The guest's address with user networking and with [`Link::Frames`].
pub const GUEST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);

impl Link {
    /// Where the host's own network finds the guest's server.
    pub fn server(&self) -> Option<SocketAddr> {
        match self {
            Link::None => None,
            Link::User(port) => Some(([127, 0, 0, 1], *port).into()),
            Link::Tap(_) => Some(SocketAddr::new(TAP_GUEST.parse().ok()?, SERVER_PORT)),
            Link::Frames(_) => None,
        }
    }

    /// What both guests are told, so that none needs a DHCP server.
    fn addresses(&self) -> Option<Addresses> {
        let own = GUEST.to_string();
        let (own, bits, gateway) = match self {
            Link::None => return None,
            // QEMU's own: docs/system/devices/net.rst.
            Link::User(_) => (own.as_str(), 24, "10.0.2.2"),
            Link::Tap(_) => (TAP_GUEST, 24, TAP_HOST),
            // All hosts are neighbours.
            Link::Frames(_) => (own.as_str(), 16, "10.0.2.2"),
        };
        Some(Addresses { own: format!("{own}/{bits}"), gateway: gateway.into() })
    }
}

/// What one run is.
#[derive(Clone, Debug)]
pub struct Plan {
    /// vCPUs.
    pub cpus: u32,
    /// Main memory, in bytes.
    pub memory_bytes: u64,
    /// What runs.
    pub program: Program,
    /// Executed instructions are counted (QEMU's record mode, one vCPU, no random instructions).
    pub is_counted: bool,
    /// The machine waits for gdb's protocol before its first instruction.
    pub is_debugged: bool,
    /// The network.
    pub link: Link,
    /// An ext4 file system in a file, which the guest has at [`VOLUME`] and writes to.
    pub volume: Option<PathBuf>,
    /// More for QEMU's `-cpu`, with a comma in front, or empty.
    pub cpu_features: &'static str,
}

const VOLUME_SERIAL: &str = "volume0";
/// Where guests have [`Plan::volume`].
pub const VOLUME: &str = "/data";

impl Plan {
    /// For wall time: 2 vCPUs, 2 GiB, nothing else.
    pub fn timed(program: Program) -> Plan {
        Plan {
            cpus: 2,
            memory_bytes: 2 << 30,
            program,
            is_counted: false,
            is_debugged: false,
            link: Link::None,
            volume: None,
            cpu_features: "",
        }
    }

    /// For instructions: one vCPU. QEMU counts each step of a string instruction; with ERMS and FSRM Linux would clear and copy
    /// byte by byte (../micro/README.md).
    pub fn counted(program: Program) -> Plan {
        Plan { cpus: 1, is_counted: true, cpu_features: ",erms=off,fsrm=off", ..Plan::timed(program) }
    }

    /// The optional parts of our kernel that it takes.
    fn kernel_parts(&self) -> Vec<&'static str> {
        let parts = [("network", self.link != Link::None), ("volumes", self.volume.is_some())];
        parts.into_iter().filter(|(_, is_needed)| *is_needed).map(|(name, _)| name).collect()
    }
}

/// Where one run's sockets and files are: a directory of its own.
pub struct Places<'a>(pub &'a Path);

impl Places<'_> {
    /// The program's standard output comes out of this socket.
    pub fn output(&self) -> PathBuf {
        self.0.join("output")
    }
    /// QEMU's monitor.
    pub fn monitor(&self) -> PathBuf {
        self.0.join("monitor")
    }
    /// gdb's protocol.
    pub fn gdb(&self) -> PathBuf {
        self.0.join("gdb")
    }
    /// The kernel's log of our side.
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }
    fn record(&self) -> PathBuf {
        self.0.join("record")
    }
    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// Everything that is built once.
pub struct Systems {
    linux: Linux,
    cache: Cache,
    layers: Vec<Layer>,
    jdk: Jdk,
}

impl Systems {
    /// Builds disks, and the kernel without optional parts if it is wanted. `classes` is the directory that the guest sees as /classes.
    pub fn prepare(classes: &Path, with_demitasse: bool) -> Result<Systems> {
        let cache = Cache::open()?;
        let jdk = Jdk::discover(None)?;
        let mut application = layers::Application::classes(classes);
        application.mount_points.push(VOLUME.into());
        let layers = vec![layers::application(&cache, &application)?, layers::base(&cache, Some(&jdk))?];
        let systems = Systems { linux: Linux::prepare(cache.directory())?, cache, layers, jdk };
        if with_demitasse {
            systems.demitasse(&[])?;
        }
        Ok(systems)
    }

    /// Sizes of the kernel files, in bytes.
    pub fn kernel_bytes(&self, side: Side) -> Result<u64> {
        let file = match side {
            Side::Linux => &self.linux.kernel.clone(),
            Side::Demitasse => &self.demitasse(&[])?.image,
        };
        Ok(fs::metadata(file)?.len())
    }

    /// Our kernel's ELF file with its symbols; of the kernel with these optional parts.
    pub fn unstripped(&self, parts: &[&str]) -> Result<PathBuf> {
        Ok(self.demitasse(parts)?.unstripped)
    }

    /// What was measured, for the report.
    pub fn description(&self) -> String {
        let java =
            self.jdk.release("JAVA_RUNTIME_VERSION").or_else(|| self.jdk.release("JAVA_VERSION")).unwrap_or_default();
        format!("Linux {} (`{}`), OpenJDK {java}", self.linux.version, linux::COMMAND_LINE)
    }

    /// The QEMU program and its arguments for one run.
    pub fn command(&self, side: Side, plan: &Plan, places: &Places<'_>) -> Result<(PathBuf, Vec<OsString>)> {
        let mut machine = match side {
            Side::Linux => {
                Machine::new(Kernel { image: self.linux.kernel.clone(), unstripped: self.linux.kernel.clone() })
            }
            Side::Demitasse => Machine::new(self.demitasse(&plan.kernel_parts())?),
        };
        match &plan.link {
            Link::None => {}
            Link::User(host) => {
                machine.network = Network::User;
                machine.publish =
                    vec![Publish { address: None, host: *host, machine: None, guest: SERVER_PORT, is_udp: false }];
            }
            Link::Tap(name) => machine.network = Network::Tap { name: name.clone(), queues: 1 },
            Link::Frames(path) => machine.network = Network::Frames { path: path.clone() },
        }
        machine.layers.clone_from(&self.layers);
        if let Some(file) = &plan.volume {
            machine.disks.push(Disk { file: file.clone(), serial: VOLUME_SERIAL.into(), is_writable: true });
        }
        machine.cpus = plan.cpus;
        machine.memory_bytes = plan.memory_bytes;
        machine.cpu_model = Some(
            format!("max,family=23{}", if plan.is_counted { ",rdrand=off,rdseed=off" } else { "" }) + plan.cpu_features,
        );
        if side == Side::Linux {
            machine.kernel_args.push(linux::COMMAND_LINE.into());
        }
        let mut args = machine.arguments();
        args.extend(["-qmp".into(), server(&places.monitor())]);
        if plan.is_counted {
            let mut icount = OsString::from("shift=0,rr=record,rrfile=");
            icount.push(places.record());
            // A fixed date on the virtual clock: nothing of the host's time reaches the guest.
            args.extend(["-icount".into(), icount, "-rtc".into(), "base=2026-01-01,clock=vm".into()]);
        }
        if plan.is_debugged {
            args.extend(["-gdb".into(), server(&places.gdb()), "-S".into()]);
        }
        match side {
            Side::Linux => self.linux_arguments(plan, places, &mut args)?,
            Side::Demitasse => self.demitasse_arguments(plan, places, &mut args)?,
        }
        Ok((machine.qemu, args))
    }

    fn program(&self, plan: &Plan) -> wire::Program {
        match &plan.program {
            Program::Java(arguments) => program::java(&self.jdk, arguments),
            Program::Native(name, arguments) => program::native(&Path::new("/classes").join(name), name, arguments),
        }
    }

    fn linux_arguments(&self, plan: &Plan, places: &Places<'_>, args: &mut Vec<OsString>) -> Result<()> {
        let initramfs = places.file("initramfs");
        let program = self.program(plan);
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        let environment: Vec<String> = program.env.iter().map(text).collect();
        let command: Vec<String> =
            [text(&program.exe)].into_iter().chain(program.argv.iter().skip(1).map(text)).collect();
        let root = linux::Root {
            layers: self.layers.len(),
            volume: plan.volume.as_ref().map(|_| VOLUME),
            network: plan.link.addresses(),
        };
        fs::write(&initramfs, self.linux.initramfs(&root, &command, &environment))?;
        args.extend(["-initrd".into(), initramfs.into(), "-serial".into(), server(&places.output())]);
        Ok(())
    }

    fn demitasse_arguments(&self, plan: &Plan, places: &Places<'_>, args: &mut Vec<OsString>) -> Result<()> {
        let mut manifest = program::manifest([self.program(plan)]);
        manifest.binds.extend(self.layers.iter().flat_map(|layer| layer.binds.iter().cloned()));
        if let Some(addresses) = plan.link.addresses() {
            let fixed = format!("{},gw={}", addresses.own, addresses.gateway);
            manifest.addresses = vec![fixed.parse().map_err(|why| anyhow::anyhow!("{why}"))?];
        }
        if plan.volume.is_some() {
            manifest.volumes.push(wire::Volume { serial: VOLUME_SERIAL.into(), path: VOLUME.into(), read_only: false });
        }
        let file = places.file("manifest");
        fs::write(&file, manifest.to_disk())?;
        let mut drive = OsString::from("if=none,id=manifest,format=raw,read-only=on,file=");
        drive.push(&file);
        args.extend(["-drive".into(), drive]);
        args.extend([
            "-device".into(),
            format!("virtio-blk-pci,disable-legacy=on,drive=manifest,serial={}", wire::MANIFEST_SERIAL).into(),
        ]);
        let mut log = OsString::from("file:");
        log.push(places.log());
        args.extend([
            "-serial".into(),
            log,
            "-device".into(),
            "virtio-serial-pci,disable-legacy=on,id=ports,max_ports=8".into(),
        ]);
        let ports = [wire::PORT_STDIN, wire::PORT_STDOUT, wire::PORT_STDERR, wire::PORT_CONTROL];
        for (index, name) in ports.into_iter().enumerate() {
            let chardev = match name {
                wire::PORT_STDOUT => {
                    let mut text = OsString::from(format!("socket,id=port{index},server=on,wait=on,path="));
                    text.push(places.output());
                    text
                }
                // Not `null`: that one never counts as open, and the guest waits for its host.
                _ => {
                    let mut text = OsString::from(format!("file,id=port{index},path="));
                    text.push(places.file(name));
                    text
                }
            };
            args.extend(["-chardev".into(), chardev]);
            args.extend([
                "-device".into(),
                format!("virtserialport,bus=ports.0,chardev=port{index},name={name}").into(),
            ]);
        }
        Ok(())
    }

    /// Our kernel with optional parts: from the cache, or built.
    fn demitasse(&self, parts: &[&str]) -> Result<Kernel> {
        Ok(Kernel::prepare_with(&self.cache, parts)?)
    }
}

/// A listening socket for `-qmp`, `-serial` and `-gdb`; QEMU waits for the peer where the first output would be lost.
fn server(path: &Path) -> OsString {
    let mut text = OsString::from("unix:");
    text.push(path);
    text.push(if path.ends_with("output") { ",server=on,wait=on" } else { ",server=on,wait=off" });
    text
}
