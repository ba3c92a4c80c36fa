//! The initial stack of a program: argument count, pointers, auxiliary vector and the strings that they point to.
//!
//! Pure: gives the bytes and where they go. The order of the parts is Linux's, because programs (ps, setproctitle, JVM
//! launchers that edit argv) rely on argv's and envp's strings being contiguous. Specification: System V ABI for x86-64,
//! section 3.4.1; what Linux adds above the strings is described in proc(5) and getauxval(3).

use alloc::vec::Vec;
use core::{fmt, ops::Range};

use crate::auxv::{AT_EXECFN, AT_NULL, AT_PLATFORM, AT_RANDOM, AuxEntry};

/// The longest single argument or environment string, NUL included (execve(2): MAX_ARG_STRLEN).
pub const STRING_MAX: usize = 128 << 10;
/// Strings and pointers together may take a quarter of the 8 MiB stack (execve(2)).
pub const TOTAL_MAX: usize = 2 << 20;
/// AT_PLATFORM on x86-64.
const PLATFORM: &[u8] = b"x86_64\0";

/// Why the strings do not fit (execve(2) would say E2BIG).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StackError {
    /// One string is longer than 128 KiB.
    StringTooLong,
    /// All together are larger than 2 MiB.
    TooLarge,
    /// A string holds a NUL byte.
    NulInside,
}

impl fmt::Display for StackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::StringTooLong => "an argument or environment string is longer than 128 KiB",
            Self::TooLarge => "arguments and environment together are larger than 2 MiB",
            Self::NulInside => "an argument or environment string holds a NUL byte",
        })
    }
}

/// What goes on the stack.
pub struct StackInput<'a> {
    pub argv: &'a [Vec<u8>],
    pub env: &'a [Vec<u8>],
    /// The path as it was given to "execve" (AT_EXECFN).
    pub exec_path: &'a [u8],
    /// 16 bytes for the C library's stack protector and pointer guard (AT_RANDOM).
    pub random: [u8; 16],
    /// All entries except those whose value is an address in this stack, without AT_NULL.
    pub aux: &'a [AuxEntry],
    /// Bytes left free between strings and pointers, as a random offset; below 8 KiB.
    pub jitter: u64,
}

/// The finished stack.
#[derive(Debug)]
pub struct InitialStack {
    /// Where `bytes` begins; the stack pointer at the entry point, a multiple of 16.
    pub pointer: u64,
    pub bytes: Vec<u8>,
    /// Addresses of argv's strings, for /proc/self/cmdline.
    pub argv: Range<u64>,
    /// Addresses of envp's strings, for /proc/self/environ.
    pub env: Range<u64>,
    /// The auxiliary vector as it is in memory, AT_NULL included, for /proc/self/auxv.
    pub auxv: Vec<u8>,
}

/// Lays the stack out so that it ends at `top`, which is a multiple of 16.
pub fn build(top: u64, input: &StackInput<'_>) -> Result<InitialStack, StackError> {
    let string_total = check(input)?;

    // Downward from the top, as Linux does it: 8 zero bytes, the path, the environment, the arguments.
    let path_at = top - 8 - (input.exec_path.len() as u64 + 1);
    let strings_at = path_at - string_total as u64;
    // Then the platform name and the random bytes, below a random gap.
    let platform_at = ((strings_at - input.jitter) & !15) - PLATFORM.len() as u64;
    let random_at = platform_at - 16;

    // argc, argv, NULL, envp, NULL, auxv with the three entries added here and AT_NULL.
    let words = 1 + input.argv.len() + 1 + input.env.len() + 1 + 2 * (input.aux.len() + 4);
    let pointer = (random_at - 8 * words as u64) & !15;

    let mut bytes = alloc::vec![0u8; (top - pointer) as usize];
    let mut words = WordWriter { bytes: &mut bytes, at: 0 };
    words.put(input.argv.len() as u64);
    let argv_end = put_pointers(&mut words, strings_at, input.argv);
    let env_end = put_pointers(&mut words, argv_end, input.env);
    let auxv_from = words.at;
    let own = [(AT_RANDOM, random_at), (AT_EXECFN, path_at), (AT_PLATFORM, platform_at), (AT_NULL, 0)];
    for &(kind, value) in input.aux.iter().chain(&own) {
        words.put(kind);
        words.put(value);
    }
    let auxv = bytes[auxv_from..auxv_from + 16 * (input.aux.len() + own.len())].to_vec();

    let mut place = |address: u64, what: &[u8]| {
        let from = (address - pointer) as usize;
        bytes[from..from + what.len()].copy_from_slice(what);
    };
    place(random_at, &input.random);
    place(platform_at, PLATFORM);
    place(path_at, input.exec_path);
    let mut at = strings_at;
    for string in input.argv.iter().chain(input.env) {
        place(at, string);
        at += string.len() as u64 + 1;
    }
    Ok(InitialStack { pointer, bytes, argv: strings_at..argv_end, env: argv_end..env_end, auxv })
}

/// Bytes of all strings with their NULs.
fn check(input: &StackInput<'_>) -> Result<usize, StackError> {
    let mut total = 0;
    for string in input.argv.iter().chain(input.env) {
        if string.len() >= STRING_MAX {
            return Err(StackError::StringTooLong);
        }
        if string.contains(&0) {
            return Err(StackError::NulInside);
        }
        total += string.len() + 1;
    }
    let pointers = 8 * (input.argv.len() + input.env.len());
    if total + pointers + input.exec_path.len() > TOTAL_MAX {
        return Err(StackError::TooLarge);
    }
    Ok(total)
}

struct WordWriter<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl WordWriter<'_> {
    fn put(&mut self, word: u64) {
        self.bytes[self.at..self.at + 8].copy_from_slice(&word.to_le_bytes());
        self.at += 8;
    }
}

/// Writes a NULL-terminated pointer array to strings that begin at `from`; gives the address behind the last one.
fn put_pointers(words: &mut WordWriter<'_>, from: u64, strings: &[Vec<u8>]) -> u64 {
    let mut at = from;
    for string in strings {
        words.put(at);
        at += string.len() as u64 + 1;
    }
    words.put(0);
    at
}

#[cfg(test)]
mod tests;
