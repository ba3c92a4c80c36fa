use super::support::{read, write};
use crate::console::{Console, Terminal};
use crate::{File, FsError, OpenFile, PollRequest, Readiness, StatusFlags, poll};
use hal::hil::testing::TestPort;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

#[test]
fn output_is_counted_and_a_closed_port_is_a_broken_pipe() {
    let port = Arc::new(TestPort::new("out", 1 << 20));
    let console = Console::new(port.clone(), Terminal::No);
    let file = OpenFile::anonymous(console.clone(), StatusFlags::WRITE);
    let bytes: Vec<u8> = (0..5000u32).map(|value| value as u8).collect();
    assert_eq!(write(&file, &bytes), Ok(5000));
    assert_eq!(console.bytes_written(), 5000);
    assert!(port.host_take() == bytes);
    assert!(!console.is_terminal());
    port.host_close();
    assert_eq!(write(&file, b"x"), Err(FsError::BrokenPipe));
    assert_eq!(console.bytes_written(), 5000);
}

#[test]
fn input_can_be_polled_and_ends() {
    let port = Arc::new(TestPort::new("in", 16));
    let console = Console::new(port.clone(), Terminal::Yes);
    let file = OpenFile::anonymous(console, StatusFlags::READ);
    let waiting = thread::spawn({
        let file = file.clone();
        move || {
            let mut request = [PollRequest { file: Some(file), interest: Readiness::READ, ready: Readiness::empty() }];
            poll(&mut request, None)
        }
    });
    thread::sleep(Duration::from_millis(20));
    port.host_send(b"line\n");
    assert_eq!(waiting.join().expect("no panic"), Ok(1));
    assert_eq!(read(&file, 100), Ok(b"line\n".to_vec()));
    port.host_send(b"rest");
    port.host_close();
    assert_eq!(read(&file, 2), Ok(b"re".to_vec()));
    assert_eq!(read(&file, 100), Ok(b"st".to_vec()));
    assert_eq!(read(&file, 100), Ok(vec![]));
    assert!(file.file().is_terminal());
}
