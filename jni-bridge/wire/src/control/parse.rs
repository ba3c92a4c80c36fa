//! From lines to messages.

use super::{ExitReason, GuestMessage, HostMessage, WireError};
use crate::escape;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

pub(super) fn guest(line: &str) -> Result<GuestMessage, String> {
    let (verb, mut rest) = cut(line);
    let message = match verb {
        "start" => GuestMessage::Start { program: number(&mut rest)? },
        "exit" => return exit(rest),
        "file" => GuestMessage::File { path: bytes(&mut rest)?, mode: octal(&mut rest)?, len: number(&mut rest)? },
        "dir" => GuestMessage::Dir { path: bytes(&mut rest)?, mode: octal(&mut rest)? },
        "missing" => {
            return Ok(GuestMessage::Missing { path: bytes(&mut rest)?, reason: text(rest)? });
        }
        "note" => return Ok(GuestMessage::Note(text(rest)?)),
        "done" => GuestMessage::Done,
        _ => return Err("unknown message".into()),
    };
    finish(message, rest)
}

pub(super) fn host(line: &str) -> Result<HostMessage, String> {
    let (verb, mut rest) = cut(line);
    let message = match verb {
        "signal" => HostMessage::Signal(number(&mut rest)?),
        "window" => HostMessage::Window { columns: number(&mut rest)?, rows: number(&mut rest)? },
        "ack" => HostMessage::Ack,
        _ => return Err("unknown message".into()),
    };
    finish(message, rest)
}

fn exit(mut rest: &str) -> Result<GuestMessage, String> {
    let program = number(&mut rest)?;
    let kind = take(&mut rest);
    let value: Option<u8> = match kind {
        "code" | "signal" => Some(number(&mut rest)?),
        _ => None,
    };
    let stdout_bytes = counted(&mut rest, "out=")?;
    let stderr_bytes = counted(&mut rest, "err=")?;
    let reason = match (kind, value) {
        ("code", Some(code)) => ExitReason::Code(code),
        ("signal", Some(signal)) => ExitReason::Signal(signal),
        ("deadlock", _) => ExitReason::Deadlock(text(rest)?),
        ("memory", _) => ExitReason::OutOfMemory(text(rest)?),
        ("timeout", _) => ExitReason::TimedOut(text(rest)?),
        ("failed", _) => ExitReason::Failed(text(rest)?),
        _ => return Err(format!("unknown end \"{kind}\"")),
    };
    if value.is_some() && !rest.is_empty() {
        return Err("text after the end of the message".into());
    }
    Ok(GuestMessage::Exit { program, reason, stdout_bytes, stderr_bytes })
}

fn cut(line: &str) -> (&str, &str) {
    line.split_once(' ').unwrap_or((line, ""))
}

fn take<'a>(rest: &mut &'a str) -> &'a str {
    let (first, tail) = cut(rest);
    *rest = tail;
    first
}

fn number<N: core::str::FromStr>(rest: &mut &str) -> Result<N, String> {
    let digits = take(rest);
    digits.parse().map_err(|_| format!("\"{digits}\" is not a number in range"))
}

fn octal(rest: &mut &str) -> Result<u32, String> {
    let digits = take(rest);
    u32::from_str_radix(digits, 8).map_err(|_| format!("\"{digits}\" is not an octal mode"))
}

fn counted(rest: &mut &str, key: &str) -> Result<u64, String> {
    let field = take(rest);
    let digits = field.strip_prefix(key).ok_or_else(|| format!("expected {key}, found \"{field}\""))?;
    digits.parse().map_err(|_| format!("\"{digits}\" is not a byte count"))
}

fn bytes(rest: &mut &str) -> Result<Vec<u8>, String> {
    escape::decode(take(rest)).map_err(|_| "a % must be followed by two hexadecimal digits".into())
}

/// Text for people: what is not UTF-8 is shown as U+FFFD.
fn text(rest: &str) -> Result<String, String> {
    let bytes = escape::decode(rest).map_err(|_| "a % must be followed by two hexadecimal digits")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn finish<M>(message: M, rest: &str) -> Result<M, String> {
    if rest.is_empty() { Ok(message) } else { Err("text after the end of the message".into()) }
}

pub(super) fn error(line: &str, problem: &str) -> WireError {
    let shown: String = line.chars().take(80).flat_map(char::escape_debug).collect();
    WireError(format!("{problem}: \"{shown}\""))
}
