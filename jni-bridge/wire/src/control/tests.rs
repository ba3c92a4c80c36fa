use super::*;
use proptest::prelude::*;

fn reason() -> impl Strategy<Value = ExitReason> {
    prop_oneof![
        any::<u8>().prop_map(ExitReason::Code),
        any::<u8>().prop_map(ExitReason::Signal),
        any::<String>().prop_map(ExitReason::Deadlock),
        any::<String>().prop_map(ExitReason::OutOfMemory),
        any::<String>().prop_map(ExitReason::TimedOut),
        any::<String>().prop_map(ExitReason::Failed),
    ]
}

fn guest() -> impl Strategy<Value = GuestMessage> {
    prop_oneof![
        any::<u32>().prop_map(|program| GuestMessage::Start { program }),
        (any::<u32>(), reason(), any::<u64>(), any::<u64>()).prop_map(
            |(program, reason, stdout_bytes, stderr_bytes)| {
                GuestMessage::Exit { program, reason, stdout_bytes, stderr_bytes }
            }
        ),
        (any::<Vec<u8>>(), any::<u32>()).prop_map(|(path, mode)| GuestMessage::Dir { path, mode }),
        (any::<Vec<u8>>(), any::<String>()).prop_map(|(path, reason)| GuestMessage::Missing { path, reason }),
        any::<String>().prop_map(GuestMessage::Note),
        Just(GuestMessage::Done),
    ]
}

proptest! {
    #[test]
    fn guest_messages_come_back(message in guest()) {
        let line = message.to_string();
        prop_assert!(line.is_ascii());
        prop_assert_eq!(GuestMessage::parse(line.strip_suffix('\n').unwrap()), Ok(message));
    }

    #[test]
    fn host_messages_come_back(signal: u8, columns: u16, rows: u16) {
        for message in [HostMessage::Signal(signal), HostMessage::Window { columns, rows }, HostMessage::Ack] {
            let line = message.to_string();
            prop_assert_eq!(HostMessage::parse(line.strip_suffix('\n').unwrap()), Ok(message));
        }
    }

    #[test]
    fn garbage_is_an_error_not_a_panic(line: String, tail in "(exit|file|dir|missing|start) [ -~]{0,20}") {
        for text in [line, tail] {
            let _ = GuestMessage::parse(&text);
            let _ = HostMessage::parse(&text);
        }
    }

    /// However the stream is cut, the same messages and file bytes come out.
    #[test]
    fn the_decoder_does_not_care_how_reads_are_cut(
        items in proptest::collection::vec((guest(), proptest::collection::vec(any::<u8>(), 0..50)), 0..8),
        step in 1usize..40,
    ) {
        let mut stream = Vec::new();
        let mut expected = Vec::new();
        let mut contents = Vec::new();
        for (message, content) in items {
            stream.extend_from_slice(message.to_string().as_bytes());
            let file = GuestMessage::File { path: b"/x y".to_vec(), mode: 0o644, len: content.len() as u64 };
            stream.extend_from_slice(file.to_string().as_bytes());
            stream.extend_from_slice(&content);
            contents.extend_from_slice(&content);
            expected.extend([message, file]);
        }
        let (mut decoder, mut messages, mut bytes) = (Decoder::new(), Vec::new(), Vec::new());
        for chunk in stream.chunks(step) {
            decoder.push(chunk);
            while let Some(event) = decoder.next_event() {
                match event.unwrap() {
                    Event::Message(message) => messages.push(message),
                    Event::FileBytes(more) => bytes.extend(more),
                }
            }
        }
        prop_assert!(!decoder.inside_file());
        prop_assert_eq!(messages, expected);
        prop_assert_eq!(bytes, contents);
    }
}

#[test]
fn lines_look_as_documented() {
    let exit = GuestMessage::Exit { program: 0, reason: ExitReason::Code(3), stdout_bytes: 12, stderr_bytes: 0 };
    assert_eq!(exit.to_string(), "exit 0 code 3 out=12 err=0\n");
    let dead = GuestMessage::Exit {
        program: 1,
        reason: ExitReason::Deadlock("all wait".into()),
        stdout_bytes: 0,
        stderr_bytes: 0,
    };
    assert_eq!(dead.to_string(), "exit 1 deadlock out=0 err=0 all wait\n");
}

#[test]
fn an_endless_line_is_dropped_and_reported_once() {
    let mut decoder = Decoder::new();
    let mut errors = 0;
    for _ in 0..5 {
        decoder.push(&[b'x'; 40_000]);
        while let Some(event) = decoder.next_event() {
            errors += usize::from(event.is_err());
        }
    }
    decoder.push(b"tail\ndone\n");
    assert_eq!(decoder.next_event(), Some(Ok(Event::Message(GuestMessage::Done))));
    assert_eq!(errors, 1);
}

#[test]
fn errors_quote_the_line() {
    let error = GuestMessage::parse("exit 0 vanished out=1 err=2").unwrap_err();
    assert_eq!(error.to_string(), "control channel: unknown end \"vanished\": \"exit 0 vanished out=1 err=2\"");
}
