//! Percent escapes: any bytes as part of an ASCII line.
//!
//! Bytes 0x21..=0x7e except `%` stand for themselves; so does the space where the value is the rest of the line
//! ([`rest`]), not where it is one of several words ([`word`]). Everything else is `%` and two hexadecimal digits.

use alloc::string::String;
use alloc::vec::Vec;

/// A `%` that two hexadecimal digits do not follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadEscape;

/// Appends `bytes` as the rest of a line: spaces stay readable.
pub fn rest(out: &mut String, bytes: &[u8]) {
    encode(out, bytes, |b| b == b' ');
}

/// Appends `bytes` as one word of a line: spaces are escaped too.
pub fn word(out: &mut String, bytes: &[u8]) {
    encode(out, bytes, |_| false);
}

fn encode(out: &mut String, bytes: &[u8], also_plain: impl Fn(u8) -> bool) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len());
    for &b in bytes {
        if (b.is_ascii_graphic() && b != b'%') || also_plain(b) {
            out.push(b as char);
        } else {
            out.push('%');
            out.push(HEX[usize::from(b >> 4)] as char);
            out.push(HEX[usize::from(b & 15)] as char);
        }
    }
}

/// The bytes that [`rest`] or [`word`] wrote as `text`.
pub fn decode(text: &str) -> Result<Vec<u8>, BadEscape> {
    let bytes = text.as_bytes();
    if !bytes.contains(&b'%') {
        return Ok(bytes.to_vec());
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&b) = bytes.get(at) {
        if b == b'%' {
            let high = bytes.get(at + 1).and_then(hex).ok_or(BadEscape)?;
            let low = bytes.get(at + 2).and_then(hex).ok_or(BadEscape)?;
            out.push(high << 4 | low);
            at += 3;
        } else {
            out.push(b);
            at += 1;
        }
    }
    Ok(out)
}

fn hex(digit: &u8) -> Option<u8> {
    (*digit as char).to_digit(16).map(|d| d as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_byte_string_comes_back(bytes: Vec<u8>) {
            for write in [rest, word] {
                let mut text = String::new();
                write(&mut text, &bytes);
                prop_assert!(text.is_ascii() && !text.contains(['\n', '\r', '\0']));
                prop_assert_eq!(decode(&text), Ok(bytes.clone()));
            }
        }

        #[test]
        fn decoding_never_panics(text: String) {
            let _ = decode(&text);
        }
    }

    #[test]
    fn a_word_has_no_space() {
        let mut text = String::new();
        word(&mut text, b"a b%");
        assert_eq!(text, "a%20b%25");
    }

    #[test]
    fn cut_escapes_are_errors() {
        for bad in ["%", "%4", "x%zz"] {
            assert_eq!(decode(bad), Err(BadEscape), "{bad}");
        }
    }
}
