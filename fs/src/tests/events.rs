use super::support::{read, write};
use crate::event::{Absolute, CounterMode, EventFd, TimerClock, TimerFd, TimerSetting};
use crate::{FsError, OpenFile, Readiness, StatusFlags};

fn number(file: &OpenFile) -> Result<u64, FsError> {
    read(file, 8).map(|bytes| u64::from_ne_bytes(bytes.try_into().expect("8 bytes")))
}

#[test]
fn a_counter_gives_all_or_one() {
    let all = EventFd::open(2, CounterMode::All, StatusFlags::NONBLOCK);
    write(&all, &3u64.to_ne_bytes()).expect("room");
    assert_eq!(number(&all), Ok(5));
    assert_eq!(number(&all), Err(FsError::WouldBlock));
    assert_eq!(read(&all, 7), Err(FsError::Invalid));
    assert_eq!(write(&all, &u64::MAX.to_ne_bytes()), Err(FsError::Invalid));
    assert_eq!(write(&all, &(u64::MAX - 1).to_ne_bytes()), Ok(8));
    assert_eq!(write(&all, &1u64.to_ne_bytes()), Err(FsError::WouldBlock));
    assert_eq!(all.file().poll(), Readiness::READ);
    let one = EventFd::open(2, CounterMode::One, StatusFlags::NONBLOCK);
    assert_eq!((number(&one), number(&one), number(&one)), (Ok(1), Ok(1), Err(FsError::WouldBlock)));
}

#[test]
fn a_timer_counts_its_expirations() {
    let file = TimerFd::open(TimerClock::Monotonic, StatusFlags::empty());
    let timer = file.downcast::<TimerFd>().expect("a timer");
    assert_eq!(timer.get(), TimerSetting::default());
    timer.set(TimerSetting { value_ns: 5_000_000, interval_ns: 2_000_000 }, Absolute::No);
    assert_eq!(timer.get().interval_ns, 2_000_000);
    assert!(number(&file).expect("fires") >= 1);
    assert!(number(&file).expect("fires again") >= 1);
    timer.set(TimerSetting::default(), Absolute::No);
    file.set_status(StatusFlags::NONBLOCK);
    assert_eq!(number(&file), Err(FsError::WouldBlock));
    let past = TimerSetting { value_ns: 1, interval_ns: 0 };
    timer.set(past, Absolute::Yes);
    assert_eq!(file.file().poll(), Readiness::READ);
    assert_eq!(number(&file), Ok(1));
}
