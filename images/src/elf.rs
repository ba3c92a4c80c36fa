//! What the dynamic loader would read from an executable or library.

use crate::failure::Failure;
use goblin::elf::Elf;
use goblin::elf::dynamic::{DT_RPATH, DT_RUNPATH};
use goblin::elf::header::{ELFCLASS64, ELFDATA2LSB, EM_X86_64, ET_DYN, ET_EXEC};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The loader's view of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// The dynamic loader that it asks for (`PT_INTERP`); executables only.
    pub interpreter: Option<PathBuf>,
    /// Names of the libraries that it needs.
    pub needed: Vec<String>,
    /// Search path that holds for what it loads too (`DT_RPATH`).
    pub rpath: Vec<String>,
    /// Search path that holds for its own needs (`DT_RUNPATH`).
    pub runpath: Vec<String>,
}

/// Whether `head`, the start of a file, is that of a 64-bit x86 object for Linux; else what it is.
pub fn identify(head: &[u8]) -> Result<(), &'static str> {
    let is = |magic: &[u8]| head.starts_with(magic);
    match () {
        () if head.is_empty() => Err("it is empty"),
        () if is(b"#!") => Err("it is a script; name its interpreter and add the script with --add"),
        () if is(b"MZ") => Err("it is a Windows executable"),
        () if is(b"PK\x03\x04") => Err("it is a jar or zip file; run it without --exec"),
        () if is(b"\xcf\xfa\xed\xfe") || is(b"\xca\xfe\xba\xbe") => Err("it is a macOS executable or a Java class"),
        () if !is(b"\x7fELF") || head.len() < 20 => Err("it is not an executable"),
        () if head[4] != ELFCLASS64 => Err("it is a 32-bit executable; only 64-bit ones run"),
        () if head[5] != ELFDATA2LSB || u16::from_le_bytes([head[18], head[19]]) != EM_X86_64 => {
            Err("it is for another processor than x86-64")
        }
        () if !matches!(u16::from_le_bytes([head[16], head[17]]), ET_EXEC | ET_DYN) => {
            Err("it is an object file or core dump, not an executable")
        }
        () => Ok(()),
    }
}

/// Looks at the start of the file at `path` only. Not an object that runs here: status 2.
pub fn check(path: &Path) -> Result<(), Failure> {
    let mut head = [0; 20];
    let read = File::open(path).and_then(|mut file| file.read(&mut head));
    let len = read.map_err(|error| Failure::file("read", path, &error))?;
    identify(&head[..len]).map_err(|why| refusal(path, why))
}

/// Whether the file at `path` starts as a 64-bit x86 object does.
pub fn is_object(path: &Path) -> bool {
    check(path).is_ok()
}

fn refusal(path: &Path, why: &str) -> Failure {
    Failure::usage(format!("cannot run {}: {why}", path.display()))
}

/// The loader's view of the file at `path`.
pub fn read(path: &Path) -> Result<Object, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
    identify(&bytes).map_err(|why| refusal(path, why))?;
    parse(&bytes).map_err(|error| refusal(path, &format!("it is damaged ({error})")))
}

fn parse(bytes: &[u8]) -> Result<Object, goblin::error::Error> {
    let elf = Elf::parse(bytes)?;
    let tagged = |tag| {
        let dynamic = elf.dynamic.iter().flat_map(|dynamic| &dynamic.dyns);
        let texts = dynamic.filter(move |entry| entry.d_tag == tag);
        let texts = texts.filter_map(|entry| elf.dynstrtab.get_at(usize::try_from(entry.d_val).ok()?));
        texts.flat_map(|text| text.split(':')).filter(|part| !part.is_empty()).map(String::from).collect()
    };
    Ok(Object {
        interpreter: elf.interpreter.map(PathBuf::from),
        needed: elf.libraries.iter().map(|name| name.to_string()).collect(),
        rpath: tagged(DT_RPATH),
        runpath: tagged(DT_RUNPATH),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn this_very_test_is_an_executable() {
        let object = read(&std::env::current_exe().unwrap()).unwrap();
        assert!(object.interpreter.is_some());
        assert!(object.needed.iter().any(|name| name == "libc.so.6"), "{:?}", object.needed);
    }

    #[test]
    fn others_are_told_apart() {
        let mut wrong = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x03\0".to_vec();
        assert!(identify(&wrong).unwrap_err().contains("32-bit"));
        wrong[4] = 2;
        wrong[18] = 183;
        assert!(identify(&wrong).unwrap_err().contains("another processor"));
        assert!(identify(b"#!/bin/sh\n").unwrap_err().contains("script"));
        assert!(identify(b"PK\x03\x04").unwrap_err().contains("jar"));
        assert!(identify(b"hello").is_err() && identify(b"").is_err());
    }

    proptest! {
        #[test]
        fn damaged_objects_are_errors(flips in proptest::collection::vec((0usize..4096, any::<u8>()), 1..40)) {
            use std::io::Read;
            let mut bytes = Vec::new();
            std::fs::File::open("/proc/self/exe").unwrap().take(1 << 16).read_to_end(&mut bytes).unwrap();
            for (at, value) in flips {
                bytes[at] = value;
            }
            let _ = parse(&bytes);
        }
    }
}
