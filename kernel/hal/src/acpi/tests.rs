use super::*;
use crate::irq::Trigger;
use std::{collections::BTreeMap, vec::Vec};

/// Physical memory in which only the tables exist.
#[derive(Default)]
struct Memory(BTreeMap<u64, &'static [u8]>);

impl Memory {
    fn put(&mut self, address: u64, bytes: Vec<u8>) -> u64 {
        self.0.insert(address, bytes.leak());
        address
    }
    fn read(&self, address: PhysAddr, len: usize) -> Option<&'static [u8]> {
        let (start, bytes) = self.0.range(..=address.0).next_back()?;
        let at = (address.0 - start) as usize;
        bytes.get(at..at.checked_add(len)?)
    }
    fn parse(&self, rsdp: u64) -> Result<Tables, AcpiError> {
        parse(PhysAddr(rsdp), |address, len| self.read(address, len))
    }
}

fn seal(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] = 0;
    bytes[at] = bytes.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
    bytes
}

fn table(signature: &[u8; 4], contents: &[u8]) -> Vec<u8> {
    let mut bytes = signature.to_vec();
    bytes.extend(((HEADER_BYTES + contents.len()) as u32).to_le_bytes());
    bytes.resize(HEADER_BYTES, 0);
    bytes.extend(contents);
    seal(bytes, 9)
}

fn rsdp(rsdt: u32, xsdt: u64) -> Vec<u8> {
    let mut bytes = b"RSD PTR ".to_vec();
    bytes.resize(36, 0);
    bytes[15] = if xsdt == 0 { 0 } else { 2 };
    bytes[16..20].copy_from_slice(&rsdt.to_le_bytes());
    bytes[20] = 36;
    bytes[24..32].copy_from_slice(&xsdt.to_le_bytes());
    let first = seal(bytes[..20].to_vec(), 8);
    bytes[..20].copy_from_slice(&first);
    seal(bytes, 32)
}

fn madt() -> Vec<u8> {
    let mut contents = 0xfee0_0000u32.to_le_bytes().to_vec();
    contents.extend(1u32.to_le_bytes());
    contents.extend([0, 8, 0, 0, 1, 0, 0, 0]); // CPU 0
    contents.extend([0, 8, 1, 1, 1, 0, 0, 0]); // CPU 1
    contents.extend([0, 8, 2, 2, 0, 0, 0, 0]); // disabled
    contents.extend([0, 8, 3, 3, 2, 0, 0, 0]); // only to be plugged in
    contents.extend([9, 16, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]); // CPU 1 again
    contents.extend([9, 16, 0, 0, 0, 2, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0]); // CPU 0x200
    contents.extend([1, 12, 7, 0, 0, 0, 0xc0, 0xfe, 24, 0, 0, 0]);
    contents.extend([2, 10, 0, 0, 2, 0, 0, 0, 0, 0]);
    contents.extend([2, 10, 0, 9, 9, 0, 0, 0, 0xd, 0]);
    contents.extend([5, 12, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    table(b"APIC", &contents)
}

fn fadt(dsdt: u32, flags: u32, sleep_control: u64) -> Vec<u8> {
    let mut contents = std::vec![0; 268 - HEADER_BYTES];
    let mut set = |at: usize, bytes: &[u8]| contents[at - HEADER_BYTES..][..bytes.len()].copy_from_slice(bytes);
    set(40, &dsdt.to_le_bytes());
    set(46, &9u16.to_le_bytes());
    set(64, &0x604u32.to_le_bytes());
    set(76, &0x608u32.to_le_bytes());
    set(112, &flags.to_le_bytes());
    set(116, &[1, 8, 0, 1, 0xf9, 0x0c]);
    set(128, &[15]);
    set(244, &[0, 8, 0, 1]);
    set(248, &sleep_control.to_le_bytes());
    table(b"FACP", &contents)
}

const S5_OF_QEMU: &[u8] = b"\x5b\x82\x10_S5_ \x08_S5_\x12\x06\x04\x00\x00\x00\x00";

fn machine() -> Memory {
    let mut memory = Memory::default();
    let dsdt = memory.put(0x4000, table(b"DSDT", S5_OF_QEMU)) as u32;
    let facp = memory.put(0x3000, fadt(dsdt, 1 << 10 | 1 << 8, 0));
    let apic = memory.put(0x2000, madt());
    let mut contents = std::vec![0; 8];
    contents.extend(0xb000_0000u64.to_le_bytes());
    contents.extend([0, 0, 0, 255, 0, 0, 0, 0]);
    let mcfg = memory.put(0x2800, table(b"MCFG", &contents));
    let mut contents = std::vec![0; 4];
    contents.extend([0, 64, 0, 0, 0, 0, 0xd0, 0xfe, 0, 0, 0, 0, 0, 0, 0, 0]);
    let hpet = memory.put(0x2c00, table(b"HPET", &contents));
    let entries = [facp, 0x7_0000, apic, mcfg, hpet];
    let rsdt = memory.put(0x1000, table(b"RSDT", &entries.map(|entry| (entry as u32).to_le_bytes()).concat()));
    let xsdt = memory.put(0x1800, table(b"XSDT", &entries.map(u64::to_le_bytes).concat()));
    memory.put(0xf_0010, rsdp(rsdt as u32, 0));
    memory.put(0x500, rsdp(0, xsdt));
    memory
}

#[test]
fn both_root_tables_lead_to_the_same_machine() {
    let memory = machine();
    for root in [0xf_0010, 0x500] {
        let tables = memory.parse(root).expect("sound tables");
        let madt = tables.madt.expect("has a MADT");
        assert_eq!(&*madt.cpus, [0, 1, 0x200]);
        assert_eq!(&*madt.io_apics, [IoApic { id: 7, base: PhysAddr(0xfec0_0000), first_gsi: 24 }]);
        assert_eq!(madt.isa_route(0), (2, Trigger::EdgeHigh));
        assert_eq!(madt.isa_route(9), (9, Trigger::LevelHigh));
        assert_eq!(madt.isa_route(4), (4, Trigger::EdgeHigh));
        assert_eq!(madt.local_apic, PhysAddr(0x1_0000_0000));
        assert!(madt.has_8259);
        assert_eq!(tables.ecam, Some(Ecam { base: PhysAddr(0xb000_0000), first_bus: 0, last_bus: 255 }));
        assert_eq!(tables.hpet, Some(Hpet { base: PhysAddr(0xfed0_0000) }));
        let fadt = tables.fadt.expect("has a FADT");
        assert_eq!(tables.dsdt.and_then(s5_sleep_type), Some(0));
        let pm1a = Register { space: AddressSpace::Port, address: 0x604, access_bits: 16 };
        assert_eq!(&*fadt.power_off_writes(Some(5)), [RegisterWrite { register: pm1a, value: 0x3400 }]);
        assert_eq!(&*fadt.power_off_writes(None), [RegisterWrite { register: pm1a, value: 0x2000 }]);
        let reset = fadt.reset.expect("has a reset register");
        assert_eq!((reset.register.address, reset.value), (0xcf9, 15));
        assert_eq!((fadt.pm_timer.map(|timer| timer.address), fadt.pm_timer_bits), (Some(0x608), 32));
    }
}

#[test]
fn hardware_reduced_machines_sleep_by_their_own_register() {
    let mut memory = Memory::default();
    let facp = memory.put(0x3000, fadt(0, 1 << 20, 0xfea0_0000));
    let rsdt = memory.put(0x1000, table(b"RSDT", &(facp as u32).to_le_bytes()));
    memory.put(0x500, rsdp(rsdt as u32, 0));
    let tables = memory.parse(0x500).expect("sound tables");
    let writes = tables.fadt.expect("has a FADT").power_off_writes(None);
    let register = Register { space: AddressSpace::Memory, address: 0xfea0_0000, access_bits: 8 };
    assert_eq!(&*writes, [RegisterWrite { register, value: 5 << 2 | 1 << 5 }]);
    assert!(tables.dsdt.is_none());
}

#[test]
fn the_root_pointer_is_found_in_the_bios_area() {
    let mut area = std::vec![0; 0x2_0000];
    area[0x1_5230..0x1_5254].copy_from_slice(&rsdp(0x1000, 0));
    let mut memory = Memory::default();
    memory.put(0xe_0000, area);
    assert_eq!(find_root_pointer(|at, len| memory.read(at, len)), Some(PhysAddr(0xf_5230)));
    assert_eq!(find_root_pointer(|_, _| None), None);
}

#[test]
fn sleep_types_of_either_encoding_are_read() {
    assert_eq!(s5_sleep_type(b"\x08\\_S5_\x12\x08\x04\x0a\x05\x0a\x05\x00\x00"), Some(5));
    assert_eq!(s5_sleep_type(b"\x08_S5_\x12\x46\x00\x04\x01\x00"), Some(1));
    assert_eq!(s5_sleep_type(b"\x08_S5_\x12\x06\x04\x0a"), None);
    assert_eq!(s5_sleep_type(b"_S5_\x12\x06\x04\x01"), None);
    assert_eq!(s5_sleep_type(b"\x08_S5_"), None);
    assert_eq!(s5_sleep_type(b""), None);
}

#[test]
fn tables_cut_anywhere_never_panic() {
    let whole = machine();
    for (&address, &bytes) in &whole.0 {
        for len in 0..bytes.len() {
            let mut memory = Memory(whole.0.clone());
            memory.put(address, bytes[..len].to_vec());
            let _ = memory.parse(0xf_0010);
            let _ = memory.parse(0x500);
            // Cut with a length and checksum that agree.
            if len >= HEADER_BYTES && !bytes.starts_with(b"RSD PTR ") {
                let mut cut = bytes[..len].to_vec();
                cut[4..8].copy_from_slice(&(len as u32).to_le_bytes());
                memory.put(address, seal(cut, 9));
                memory.parse(0xf_0010).expect("the root is whole, or ends between two entries");
            }
        }
    }
}

#[test]
fn flipped_bytes_never_panic() {
    let whole = machine();
    for (&address, &bytes) in &whole.0 {
        for at in 0..bytes.len() {
            for value in [0, 0x7f, 0xff] {
                let mut memory = Memory(whole.0.clone());
                let mut changed = bytes.to_vec();
                changed[at] = value;
                let changed = if bytes.starts_with(b"RSD PTR ") { changed } else { seal(changed, 9) };
                memory.put(address, changed);
                let _ = memory.parse(0xf_0010).map(|tables| tables.dsdt.and_then(s5_sleep_type));
                let _ = memory.parse(0x500);
            }
        }
    }
}
