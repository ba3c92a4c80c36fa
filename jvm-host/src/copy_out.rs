//! Files that the user wants back (`--get`): sent over the control channel when their program has ended.

use crate::control::Control;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use fs::{FileKind, FollowLast, Namespace, OpenFile, OpenFlags, SliceSink, StatusFlags};
use wire::GuestMessage;

/// Bytes that are read and sent at once.
const PIECE: usize = 64 * 1024;
/// Directories below the one that was asked for, at most.
const DEPTH: usize = 64;

/// Sends the file or the whole directory at `path`, or why it cannot be sent.
pub fn send(control: &Control, namespace: &Namespace, path: &[u8]) {
    if let Err(reason) = send_tree(control, namespace, path, DEPTH) {
        control.send(&GuestMessage::Missing { path: path.to_vec(), reason });
    }
}

fn send_tree(control: &Control, namespace: &Namespace, path: &[u8], depth: usize) -> Result<(), String> {
    let failed = |error: fs::FsError| format!("{error:?}");
    let metadata = namespace.metadata(namespace.root(), path, FollowLast::Yes).map_err(failed)?;
    match metadata.kind {
        FileKind::Regular => {
            let file = open(namespace, path)?;
            send_file(control, path, metadata.mode, &file);
            Ok(())
        }
        FileKind::Directory if depth == 0 => Err(format!("more than {DEPTH} directories deep")),
        FileKind::Directory => {
            control.send(&GuestMessage::Dir { path: path.to_vec(), mode: metadata.mode });
            let mut names: Vec<Vec<u8>> = Vec::new();
            open(namespace, path)?
                .readdir(&mut |entry| {
                    if !matches!(entry.name, b"." | b"..") {
                        names.push(entry.name.to_vec());
                    }
                    true
                })
                .map_err(failed)?;
            for name in names {
                let child = [path.strip_suffix(b"/").unwrap_or(path), b"/", &name].concat();
                if let Err(reason) = send_tree(control, namespace, &child, depth - 1) {
                    control.send(&GuestMessage::Missing { path: child, reason });
                }
            }
            Ok(())
        }
        other => Err(format!("neither a file nor a directory ({other:?})")),
    }
}

fn open(namespace: &Namespace, path: &[u8]) -> Result<Arc<OpenFile>, String> {
    namespace
        .open(namespace.root(), path, OpenFlags::empty(), StatusFlags::READ, 0)
        .map_err(|error| format!("{error:?}"))
}

fn send_file(control: &Control, path: &[u8], mode: u32, file: &OpenFile) {
    let len = file.metadata().size;
    control.send(&GuestMessage::File { path: path.to_vec(), mode, len });
    let mut buffer = alloc::vec![0; PIECE];
    let mut sent = 0;
    while sent < len {
        let want = PIECE.min((len - sent) as usize);
        let count = file.read_at(sent, &mut SliceSink::new(&mut buffer[..want])).unwrap_or(0);
        if count == 0 {
            // The length is announced already: what cannot be read arrives as zeros, and the log says so.
            log::error!("{} cannot be read from byte {sent} on: zeros are sent", String::from_utf8_lossy(path));
            buffer[..want].fill(0);
        }
        let count = if count == 0 { want } else { count };
        control.send_bytes(&buffer[..count]);
        sent += count as u64;
    }
}
