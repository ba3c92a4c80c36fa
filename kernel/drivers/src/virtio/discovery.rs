//! Where virtio devices are: on PCI, on the kernel's command line, and in the DSDT.
//!
//! QEMU's microvm names its memory-mapped devices in the DSDT, or, without ACPI, in `virtio_mmio.device=` words that it
//! appends to the command line. The DSDT is scanned for the resource bytes behind the device's id; AML is not interpreted.

use super::transport::Transport;
use super::transport::mmio::{MmioPlace, MmioTransport};
use super::transport::pci::PciTransport;
use super::{VirtioError, block, console, device_type, entropy, net};
use crate::pci;
use alloc::{format, string::String, sync::Arc, vec::Vec};
use hal::addr::PhysAddr;
use hal::irq::Trigger;

/// ACPI's id of a virtio-mmio device.
const ACPI_ID: &[u8] = b"LNRO0005";
/// Its resources stand within this many bytes after the id.
const ACPI_DEVICE_BYTES: usize = 160;
const DEFAULT_BYTES: u64 = 512;

/// Whether this kernel drives network devices.
const HAS_NETWORK: bool = cfg!(any(test, feature = "network"));

/// Finds every virtio device, starts those that have a driver and registers them in `hal::hil`. Sleeps; to be called
/// once, in a thread, before anybody looks for devices.
pub fn probe_all() {
    let mut started = Started::default();
    for function in pci::functions() {
        log::debug!("pci {} {:04x}:{:04x}", function.address, function.vendor, function.device);
        if let Some(kind) = PciTransport::recognise(&function) {
            let place = format!("pci {}", function.address);
            if HAS_NETWORK && kind == device_type::NET {
                net::register(net::Found::Pci(function));
                continue;
            }
            match PciTransport::new(&function) {
                Ok(transport) => started.start(&place, Arc::new(transport)),
                Err(error) => report(&place, error),
            }
        }
    }
    for found in mmio_places() {
        let place = format!("mmio {}", found.start);
        match MmioTransport::new(&found) {
            Ok(Some(transport)) => started.start(&place, Arc::new(transport)),
            Ok(None) => {}
            Err(error) => report(&place, error),
        }
    }
}

/// How many devices of a kind were started, for their names.
#[derive(Default)]
struct Started {
    blocks: usize,
}

impl Started {
    fn start(&mut self, place: &str, transport: Arc<dyn Transport>) {
        let result = match transport.device_type() {
            device_type::BLOCK => {
                let name = disk_name(self.blocks);
                let result = block::start(&name, transport.clone());
                self.blocks += usize::from(result.is_ok());
                result
            }
            device_type::NET if HAS_NETWORK => {
                net::register(net::Found::Ready(transport));
                return;
            }
            device_type::CONSOLE => console::start(transport.clone()),
            device_type::ENTROPY => entropy::start(transport.clone()),
            other => {
                log::debug!("virtio {place}: no driver for device type {other}");
                return;
            }
        };
        match result {
            Ok(summary) => log::debug!("virtio {place}: {summary}"),
            Err(error) => {
                super::start::fail(&*transport);
                report(place, error);
            }
        }
    }
}

fn report(place: &str, error: VirtioError) {
    log::warn!("virtio {place}: {error}");
}

/// vda to vdz, then vdaa and so on, as Linux names them.
fn disk_name(index: usize) -> String {
    let mut letters = Vec::new();
    let mut rest = index + 1;
    while rest > 0 {
        rest -= 1;
        letters.push(char::from(b'a' + (rest % 26) as u8));
        rest /= 26;
    }
    ["vd"].into_iter().map(String::from).chain(letters.iter().rev().map(|letter| String::from(*letter))).collect()
}

/// All places of memory-mapped devices, each once.
fn mmio_places() -> Vec<MmioPlace> {
    let mut places: Vec<_> = hal::boot_info::get().cmdline.split_ascii_whitespace().filter_map(parse_word).collect();
    if let Some(aml) = hal::acpi::get().and_then(|tables| tables.dsdt) {
        for place in scan_aml(aml) {
            if places.iter().all(|known| known.start != place.start) {
                places.push(place);
            }
        }
    }
    places
}

/// Parses `virtio_mmio.device=512@0xfeb00000:5` (size with K or M, optional id after a second colon).
fn parse_word(word: &str) -> Option<MmioPlace> {
    let (size, rest) = word.strip_prefix("virtio_mmio.device=")?.split_once('@')?;
    let mut fields = rest.split(':');
    let start = parse_number(fields.next()?)?;
    let gsi = u32::try_from(parse_number(fields.next()?)?).ok()?;
    let len_bytes = match size.as_bytes().last()? {
        b'K' | b'k' => parse_number(&size[..size.len() - 1])?.checked_mul(1 << 10)?,
        b'M' | b'm' => parse_number(&size[..size.len() - 1])?.checked_mul(1 << 20)?,
        _ => parse_number(size)?,
    };
    let len_bytes = if len_bytes == 0 { DEFAULT_BYTES } else { len_bytes };
    // The line is level-triggered inside; as an edge it works too, because an acknowledged cause lowers it.
    Some(MmioPlace { start: PhysAddr(start), len_bytes, gsi, trigger: Trigger::EdgeHigh })
}

fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Finds the devices' resources in AML: behind each id a Memory32Fixed (86 09 00) and an Extended Interrupt (89 06 00)
/// descriptor (ACPI 6.5 sections 6.4.3.4 and 6.4.3.6).
fn scan_aml(aml: &[u8]) -> Vec<MmioPlace> {
    let mut places = Vec::new();
    let mut rest = aml;
    while let Some(at) = rest.windows(ACPI_ID.len()).position(|window| window == ACPI_ID) {
        rest = &rest[at + ACPI_ID.len()..];
        let next = rest.windows(ACPI_ID.len()).position(|window| window == ACPI_ID).unwrap_or(rest.len());
        let device = &rest[..next.min(ACPI_DEVICE_BYTES)];
        places.extend(resources(device));
    }
    places
}

fn resources(device: &[u8]) -> Option<MmioPlace> {
    let behind = |marker: &[u8]| {
        let at = device.windows(marker.len()).position(|window| window == marker)?;
        device.get(at + marker.len()..)
    };
    let number = |bytes: &[u8], at: usize| bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes);
    let memory = behind(&[0x86, 9, 0])?;
    let interrupt = behind(&[0x89, 6, 0])?;
    // Interrupt flags: bit 1 edge, bit 2 active low. Then the count of interrupts, then the first of them.
    let flags = *interrupt.first()?;
    let trigger = match (flags & 2 != 0, flags & 4 != 0) {
        (true, _) => Trigger::EdgeHigh,
        (false, true) => Trigger::LevelLow,
        (false, false) => Trigger::LevelHigh,
    };
    Some(MmioPlace {
        start: PhysAddr(u64::from(number(memory, 1)?)),
        len_bytes: u64::from(number(memory, 5)?),
        gsi: number(interrupt, 2)?,
        trigger,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_words_give_places() {
        let place =
            |start, len_bytes, gsi| MmioPlace { start: PhysAddr(start), len_bytes, gsi, trigger: Trigger::EdgeHigh };
        assert_eq!(parse_word("virtio_mmio.device=512@0xfeb00000:5"), Some(place(0xfeb0_0000, 512, 5)));
        assert_eq!(parse_word("virtio_mmio.device=4K@0xd0000000:12:3"), Some(place(0xd000_0000, 4096, 12)));
        for bad in [
            "virtio_mmio.device=512@0xfeb00000",
            "virtio_mmio.device=@0xfeb00000:5",
            "virtio_mmio.device=512@:5",
            "virtio_mmio.device=512@0xfeb00000:x",
            "virtio_mmio.device=17592186044416M@0:1",
            "virtio_mmio.device=",
            "virtio",
        ] {
            assert_eq!(parse_word(bad), None, "{bad}");
        }
    }

    #[test]
    fn aml_resources_give_places_and_cuts_give_none() {
        let mut aml = b"\x5b\x82VR00\x08_HID\x0dLNRO0005\0\x08_UID\0\x08_CRS\x11\x1a\x0a\x17".to_vec();
        aml.extend([0x86, 9, 0, 1, 0, 0xe, 0xb0, 0xfe, 0, 2, 0, 0, 0x89, 6, 0, 1, 1, 23, 0, 0, 0, 0x79, 0]);
        let place = MmioPlace { start: PhysAddr(0xfeb0_0e00), len_bytes: 512, gsi: 23, trigger: Trigger::LevelHigh };
        assert_eq!(scan_aml(&aml), [place]);
        assert_eq!(scan_aml(&[aml.clone(), aml.clone()].concat()), [place, place]);
        for len in 0..aml.len() - 2 {
            assert_eq!(scan_aml(&aml[..len]), []);
        }
    }

    #[test]
    fn disks_are_named_as_linux_names_them() {
        assert_eq!([0, 1, 25, 26, 27].map(disk_name), ["vda", "vdb", "vdz", "vdaa", "vdab"]);
    }
}
