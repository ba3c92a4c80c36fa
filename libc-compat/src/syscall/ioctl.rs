//! ioctl: what terminals, pipes, sockets and descriptors in general understand (ioctl_tty(2), ioctl_list(2)).

use super::{Call, Errno, Row, Support::*, SysResult, row};
use crate::terminal::{self, Termios, WindowSize};
use crate::unsupported;
use fs::{FileKind, FsError, OnExec, OpenFile, StatusFlags};
use linux_raw_sys::{general as linux, ioctl as codes};

/// The rows of this family.
pub const ROWS: &[Row] = &[row(linux::__NR_ioctl, "ioctl", "dxx", ioctl, Partial, "ioctl(2)")];

fn ioctl(call: &mut Call<'_>) -> SysResult {
    let files = &call.process().files;
    let fd = call.int(0);
    let file = files.get(fd)?;
    match call.uint(1) {
        codes::FIOCLEX => files.fds.set_on_exec(fd, OnExec::Close)?,
        codes::FIONCLEX => files.fds.set_on_exec(fd, OnExec::Keep)?,
        codes::FIONBIO => set_flag(call, &file, StatusFlags::NONBLOCK)?,
        codes::FIOASYNC => set_flag(call, &file, StatusFlags::ASYNC)?,
        codes::FIONREAD => call.ptr::<i32>(2).write(pending(&file)?)?,
        // How much a terminal has not sent yet: nothing stays here.
        codes::TIOCOUTQ if file.file().is_terminal() => call.ptr::<i32>(2).write(0)?,
        codes::FIGETBSZ => call.ptr::<i32>(2).write(file.metadata().block_bytes as i32)?,
        request if file.file().is_terminal() => return terminal_request(call, request),
        request => {
            let socket = file.downcast::<net::SocketFile>().map(net::SocketFile::socket);
            let answer = socket.and_then(|socket| super::interface::request(call, &**socket, request));
            return answer.unwrap_or_else(|| Err(refusal(&file, request)));
        }
    }
    Ok(0)
}

fn set_flag(call: &Call<'_>, file: &OpenFile, flag: StatusFlags) -> Result<(), Errno> {
    let on = call.ptr::<i32>(2).read()? != 0;
    let mut status = file.status();
    status.set(flag, on);
    file.set_status(status);
    Ok(())
}

/// FIONREAD: bytes that a read gives now; of a regular file, how far the end is from the position, negative behind it
/// (the low half of the difference, as on Linux).
fn pending(file: &OpenFile) -> Result<i32, Errno> {
    match file.file().pending_bytes() {
        Ok(count) => Ok(count.min(i32::MAX as usize) as i32),
        Err(FsError::NotTty) if file.metadata().kind == FileKind::Regular => {
            Ok(file.metadata().size.wrapping_sub(file.position()) as i32)
        }
        Err(error) => Err(error.into()),
    }
}

fn terminal_request(call: &Call<'_>, request: u32) -> SysResult {
    match request {
        codes::TCGETS => call.ptr::<Termios>(2).write(terminal::modes())?,
        codes::TCSETS | codes::TCSETSW | codes::TCSETSF => terminal::set_modes(call.ptr::<Termios>(2).read()?),
        codes::TIOCGWINSZ => {
            let WindowSize { columns, rows } = terminal::size();
            call.ptr::<[u16; 4]>(2).write([rows, columns, 0, 0])?;
        }
        codes::TIOCSWINSZ => {
            let [rows, columns, ..] = call.ptr::<[u16; 4]>(2).read()?;
            terminal::set_size(WindowSize { columns, rows });
        }
        // The one process is the foreground group and leads the session.
        codes::TIOCGPGRP | codes::TIOCGSID => call.ptr::<u32>(2).write(call.process().pid())?,
        codes::TIOCSPGRP => {
            if call.ptr::<u32>(2).read()? != call.process().pid() {
                return Err(Errno::EPERM);
            }
        }
        codes::TIOCSCTTY | codes::TIOCNOTTY | codes::TCFLSH | codes::TCXONC | codes::TCSBRK => {}
        _ => {
            unsupported!("ioctl on a terminal", request);
            return Err(Errno::ENOTTY);
        }
    }
    Ok(0)
}

/// ENOTTY, the general "no such request"; a few that programs probe with have other answers.
fn refusal(file: &OpenFile, request: u32) -> Errno {
    match request {
        // isatty(3), and whether a file system keeps flags or shares blocks: asked everywhere, refused on most systems.
        codes::TCGETS | codes::TIOCGWINSZ | codes::FS_IOC_GETFLAGS | codes::FS_IOC_SETFLAGS => Errno::ENOTTY,
        codes::FICLONE | codes::FICLONERANGE => Errno::EOPNOTSUPP,
        codes::FS_IOC_FIEMAP => Errno::EOPNOTSUPP,
        _ => {
            let socket = file.metadata().kind == FileKind::Socket;
            if socket {
                unsupported!("ioctl on a socket", request);
            } else {
                unsupported!("ioctl", request);
            }
            Errno::ENOTTY
        }
    }
}
