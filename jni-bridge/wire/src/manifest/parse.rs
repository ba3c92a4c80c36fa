//! From text to [`Manifest`], with errors that say which line is wrong and what was expected.

use super::{Bind, HEADER, Kind, Manifest, ManifestError, Program, Stdin, Volume, WindowSize};
use crate::escape;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    let text = core::str::from_utf8(&bytes[..end])
        .map_err(|e| at(0, format!("byte {} is not UTF-8; other bytes are written as %xx", e.valid_up_to())))?;
    let mut lines = text.split('\n').enumerate().map(|(index, line)| (index + 1, line));
    match lines.next() {
        Some((_, HEADER)) => {}
        Some((_, other)) => {
            return Err(at(1, format!("expected \"{HEADER}\", found \"{}\"", shorten(other))));
        }
        None => return Err(at(0, "it is empty".into())),
    }
    let mut manifest = Manifest::default();
    for (number, line) in lines {
        if !line.is_empty() && !line.starts_with('#') {
            setting(&mut manifest, line).map_err(|problem| at(number, problem))?;
        }
    }
    for (index, program) in manifest.programs.iter().enumerate() {
        let problem = match program {
            Program { exe, .. } if exe.first() != Some(&b'/') => "has no absolute exe path",
            Program { argv, .. } if argv.is_empty() => "has no arg line (argv[0] is one)",
            Program { cwd, .. } if !cwd.is_empty() && cwd[0] != b'/' => "has a cwd that is not absolute",
            _ => continue,
        };
        return Err(at(0, format!("program {index} {problem}")));
    }
    Ok(manifest)
}

fn setting(manifest: &mut Manifest, line: &str) -> Result<(), String> {
    let (key, value) = line.split_once(' ').unwrap_or((line, ""));
    match key {
        "hostname" => manifest.hostname = Some(utf8(value)?),
        "epoch-ns" => manifest.epoch_ns = Some(number(value)?),
        "ip" => manifest.addresses.push(value.parse()?),
        "bind" => {
            let (from, to) = value.split_once(' ').ok_or("expected two paths after bind")?;
            manifest.binds.push(Bind { from: path(from)?, to: path(to)? });
        }
        "volume" => {
            let mut words = value.split(' ');
            let (Some(serial), Some(place), Some(mode), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err("expected a serial, a path, and rw or ro after volume".into());
            };
            let read_only = match mode {
                "rw" => false,
                "ro" => true,
                other => {
                    return Err(format!("expected rw or ro after the volume's path, found \"{}\"", shorten(other)));
                }
            };
            manifest.volumes.push(Volume { serial: utf8(serial)?, path: path(place)?, read_only });
        }
        "option" => {
            let bytes = decode(value)?;
            let equals = bytes.iter().position(|&b| b == b'=').ok_or("expected KEY=VALUE after option")?;
            let name = core::str::from_utf8(&bytes[..equals]).map_err(|_| "the option's name is not UTF-8")?;
            manifest.options.push((name.to_string(), bytes[equals + 1..].to_vec()));
        }
        "program" => manifest.programs.push(Program {
            kind: match value {
                "java" => Kind::Java,
                "native" => Kind::Native,
                other => {
                    return Err(format!("expected java or native after program, found \"{}\"", shorten(other)));
                }
            },
            ..Program::default()
        }),
        _ => match manifest.programs.last_mut() {
            Some(program) => program_setting(program, key, value)?,
            None => {
                return Err(format!("unknown setting \"{}\" before the first program", shorten(key)));
            }
        },
    }
    Ok(())
}

fn program_setting(program: &mut Program, key: &str, value: &str) -> Result<(), String> {
    match key {
        "exe" => program.exe = path(value)?,
        "arg" => program.argv.push(decode(value)?),
        "env" => program.env.push(decode(value)?),
        "cwd" => program.cwd = path(value)?,
        "stdin" => {
            program.stdin = match value {
                "port" => Stdin::Port,
                "none" => Stdin::None,
                other => {
                    return Err(format!("expected port or none after stdin, found \"{}\"", shorten(other)));
                }
            }
        }
        "tty" => {
            for stream in value.split(' ') {
                *match stream {
                    "stdin" => &mut program.ttys.stdin,
                    "stdout" => &mut program.ttys.stdout,
                    "stderr" => &mut program.ttys.stderr,
                    other => {
                        return Err(format!(
                            "expected stdin, stdout or stderr after tty, found \"{}\"",
                            shorten(other)
                        ));
                    }
                } = true;
            }
        }
        "window" => {
            let (columns, rows) = value.split_once(' ').ok_or("expected columns and rows after window")?;
            program.window = Some(WindowSize { columns: number(columns)?, rows: number(rows)? });
        }
        "timeout-ms" => program.timeout_ms = Some(number(value)?),
        "get" => program.get.push(path(value)?),
        _ => return Err(format!("unknown setting \"{}\"", shorten(key))),
    }
    Ok(())
}

fn decode(value: &str) -> Result<Vec<u8>, String> {
    let bytes = escape::decode(value).map_err(|_| "a % must be followed by two hexadecimal digits")?;
    if bytes.contains(&0) {
        return Err("a value must not contain %00".into());
    }
    Ok(bytes)
}

fn path(value: &str) -> Result<Vec<u8>, String> {
    let bytes = decode(value)?;
    match bytes.first() {
        Some(b'/') => Ok(bytes),
        _ => Err(format!("expected an absolute path, found \"{}\"", shorten(value))),
    }
}

fn utf8(value: &str) -> Result<String, String> {
    String::from_utf8(decode(value)?).map_err(|_| "the value is not UTF-8".into())
}

fn number<N: core::str::FromStr>(value: &str) -> Result<N, String> {
    value.parse().map_err(|_| format!("\"{}\" is not a number in range", shorten(value)))
}

/// A message must stay one readable line whatever the text is.
fn shorten(text: &str) -> String {
    text.chars().take(60).flat_map(char::escape_debug).collect()
}

fn at(line: usize, problem: String) -> ManifestError {
    ManifestError { line, problem }
}
