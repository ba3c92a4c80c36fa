//! A virtual machine, as a QEMU command line.

use crate::accel::Accel;
use crate::failure::Failure;
use crate::kernel::Kernel;
use crate::layers::Layer;
use crate::network::{self, Network, Publish};
use crate::ports::GuestEnds;
use std::ffi::OsString;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

mod qemu;
pub use qemu::Qemu;

/// Smallest memory in which Java says Hello (SerialGC, C1, -Xmx16m), in bytes.
pub const MEMORY_MIN: u64 = 28 << 20;
/// Largest number of vCPUs that the kernel can use.
pub const CPUS_MAX: u32 = 64;

/// Machine types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// A PC with PCI Express.
    Q35,
    /// A minimal machine without PCI: the quickest to start.
    Microvm,
}

/// A raw disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Its file.
    pub file: PathBuf,
    /// By which the guest knows it (at most 20 bytes).
    pub serial: String,
    /// Whether the guest may write.
    pub is_writable: bool,
}

/// All that decides the QEMU command line, except the connections to this process.
#[derive(Clone, Debug)]
pub struct Machine {
    /// What is booted.
    pub kernel: Kernel,
    /// The root's layers, first priority first.
    pub layers: Vec<Layer>,
    /// Further disks.
    pub disks: Vec<Disk>,
    /// How it is connected.
    pub network: Network,
    /// Ports of this computer that lead to it; only with [`Network::User`].
    pub publish: Vec<Publish>,
    /// Machine type.
    pub kind: Kind,
    /// How the processor is made.
    pub accel: Accel,
    /// The QEMU to run.
    pub qemu: PathBuf,
    /// `-cpu`; `None`: the best for `accel`.
    pub cpu_model: Option<String>,
    /// Main memory, in bytes.
    pub memory_bytes: u64,
    /// vCPUs.
    pub cpus: u32,
    /// The kernel's command line.
    pub kernel_args: Vec<String>,
    /// Put at the end of the command line as they are (for example `-icount shift=0`).
    pub qemu_args: Vec<OsString>,
    /// Waits for a debugger at TCP port 1234 before the first instruction.
    pub waits_for_gdb: bool,
}

impl Machine {
    /// A q35 without a network, with 1 GiB and 2 vCPUs under software emulation.
    pub fn new(kernel: Kernel) -> Machine {
        Machine {
            kernel,
            layers: Vec::new(),
            disks: Vec::new(),
            network: Network::None,
            publish: Vec::new(),
            kind: Kind::Q35,
            accel: Accel::Tcg,
            qemu: PathBuf::from(qemu::PROGRAM),
            cpu_model: None,
            memory_bytes: 1 << 30,
            cpus: 2,
            kernel_args: Vec::new(),
            qemu_args: Vec::new(),
            waits_for_gdb: false,
        }
    }

    /// Adds a layer below those that are there.
    ///
    /// # Panics
    /// With more layers than the guest looks for: the programs would miss files for no visible reason.
    pub fn add_layer(&mut self, layer: Layer) {
        let max = wire::LAYER_SERIALS.len();
        assert!(self.layers.len() < max, "a machine has at most {max} layers");
        self.layers.push(layer);
    }

    /// The arguments that describe the machine: everything but the connections.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut args = Arguments(Vec::new());
        let (machine, cpu) = (
            match self.kind {
                Kind::Q35 => "q35,usb=off,vmport=off,smbus=off",
                Kind::Microvm => "microvm",
            },
            match (&self.cpu_model, self.accel) {
                (Some(model), _) => model.as_str(),
                (None, Accel::Kvm) => "host",
                // Plain `max` makes HotSpot take the CPU for an old AMD one with slow vector loads.
                (None, Accel::Tcg) => "max,family=23",
            },
        );
        args.pair("-machine", format!("{machine},memory-backend=ram"));
        args.pair("-accel", self.accel.qemu_name());
        args.pair("-cpu", cpu);
        args.pair("-smp", self.cpus.to_string());
        args.pair("-m", format!("{}k", self.memory_bytes / 1024));
        // Unreserved: a guest larger than the host's free memory starts, and uses what it touches.
        args.pair("-object", format!("memory-backend-ram,id=ram,size={}k,reserve=off", self.memory_bytes / 1024));
        for fixed in ["-nodefaults", "-no-user-config", "-no-reboot"] {
            args.one(fixed);
        }
        args.pair("-display", "none");
        if self.kind == Kind::Microvm {
            args.pair("-global", "virtio-mmio.force-legacy=false");
        }
        args.pair("-device", "isa-debug-exit,iobase=0x501,iosize=4");
        args.pair("-object", "rng-random,id=entropy,filename=/dev/urandom");
        args.pair("-device", format!("{},rng=entropy", self.device("virtio-rng")));
        for (layer, serial) in self.layers.iter().zip(wire::LAYER_SERIALS) {
            self.disk(&mut args, serial, &layer.image, false);
        }
        for disk in &self.disks {
            self.disk(&mut args, &disk.serial, &disk.file, disk.is_writable);
        }
        let nic = self.device("virtio-net");
        for [name, value] in network::arguments(&self.network, &self.publish, &nic, self.kind == Kind::Q35) {
            args.pair(&name, value);
        }
        args.pair("-kernel", &self.kernel.image);
        if !self.kernel_args.is_empty() {
            args.pair("-append", self.kernel_args.join(" "));
        }
        if self.waits_for_gdb {
            args.pair("-gdb", "tcp::1234");
            args.one("-S");
        }
        args.0
    }

    /// The arguments that connect the machine to this process by inherited descriptors.
    pub fn connections(&self, ends: &GuestEnds) -> Vec<OsString> {
        let mut args = Arguments(Vec::new());
        args.pair("-add-fd", format!("fd={},set=2", ends.log.as_raw_fd()));
        args.pair("-chardev", "file,id=log,path=/dev/fdset/2,append=on");
        args.pair("-serial", "chardev:log");
        args.pair("-device", format!("{},id=ports,max_ports=8", self.device("virtio-serial")));
        for (id, name, end) in ends.ports() {
            args.pair("-chardev", format!("socket,id={id},fd={}", end.as_raw_fd()));
            args.pair("-device", format!("virtserialport,bus=ports.0,chardev={id},name={name}"));
        }
        if let Some(manifest) = &ends.manifest {
            args.pair("-add-fd", format!("fd={},set=1", manifest.as_raw_fd()));
            let serial = wire::MANIFEST_SERIAL;
            args.pair(
                "-drive",
                format!("if=none,id={serial},format=raw,read-only=on,file=/dev/fdset/1,file.locking=off"),
            );
            args.pair("-device", format!("{},drive={serial},serial={serial}", self.device("virtio-blk")));
        }
        args.0.extend(self.qemu_args.iter().cloned());
        args.0
    }

    fn disk(&self, args: &mut Arguments, serial: &str, file: &Path, is_writable: bool) {
        let read_only = if is_writable { "off" } else { "on" };
        // What the guest has deleted becomes a hole in the file.
        let discard = if is_writable { ",discard=unmap" } else { "" };
        let mut drive = OsString::from(format!("if=none,id={serial},format=raw,read-only={read_only}{discard},file="));
        drive.push(double_commas(file));
        args.pair("-drive", drive);
        let queues = if is_writable { format!(",num-queues={}", self.cpus) } else { String::new() };
        args.pair("-device", format!("{},drive={serial},serial={serial}{queues}", self.device("virtio-blk")));
    }

    pub(crate) fn device(&self, name: &str) -> String {
        match self.kind {
            Kind::Q35 => format!("{name}-pci,disable-legacy=on"),
            Kind::Microvm => format!("{name}-device"),
        }
    }

    /// See [`check_sizes`].
    pub fn check(&self) -> Result<(), Failure> {
        check_sizes(self.memory_bytes, self.cpus)
    }
}

/// Refuses sizes with which no program could start.
pub fn check_sizes(memory_bytes: u64, cpus: u32) -> Result<(), Failure> {
    if memory_bytes < MEMORY_MIN {
        let (given, least) = (crate::size::show(memory_bytes), crate::size::show(MEMORY_MIN));
        return Err(Failure::usage(format!("--memory {given} is too small to start; the least is {least}")));
    }
    if cpus == 0 || cpus > CPUS_MAX {
        return Err(Failure::usage(format!("--cpus {cpus} is not between 1 and {CPUS_MAX}")));
    }
    Ok(())
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn one(&mut self, argument: impl Into<OsString>) {
        self.0.push(argument.into());
    }

    fn pair(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.push(name.into());
        self.0.push(value.into());
    }
}

/// A comma ends a value in QEMU's options unless it is doubled.
fn double_commas(path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let bytes = path
        .as_os_str()
        .as_bytes()
        .iter()
        .flat_map(|&byte| std::iter::repeat_n(byte, if byte == b',' { 2 } else { 1 }));
    OsString::from_vec(bytes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine() -> Machine {
        Machine::new(Kernel { image: "/k,e.elf".into(), unstripped: "/k".into() })
    }

    #[test]
    fn layers_become_disks_with_serials_and_commas_are_doubled() {
        let mut machine = machine();
        machine.add_layer(Layer { image: "/a,b".into(), binds: vec![], warnings: vec![], is_new: false });
        let text = machine.arguments().join(std::ffi::OsStr::new(" ")).into_string().unwrap();
        assert!(
            text.contains("file=/a,,b -device virtio-blk-pci,disable-legacy=on,drive=root0,serial=root0"),
            "{text}"
        );
        assert!(text.contains("-kernel /k,e.elf"), "{text}");
        machine.kind = Kind::Microvm;
        let text = machine.arguments().join(std::ffi::OsStr::new(" ")).into_string().unwrap();
        assert!(text.contains("virtio-blk-device,drive=root0"), "{text}");
    }

    #[test]
    fn sizes_that_cannot_work_are_refused() {
        let mut machine = machine();
        assert!(machine.check().is_ok());
        machine.memory_bytes = 1 << 20;
        assert!(machine.check().unwrap_err().message.contains("too small"));
        machine.memory_bytes = 1 << 30;
        machine.cpus = 65;
        assert!(machine.check().is_err());
    }
}
