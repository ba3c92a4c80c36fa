//! All rows in one dispatch table, made at compile time.

use super::{Call, Errno, Handler, Row, SysResult, unsupported};

/// One more than the highest number that the table holds.
pub const SIZE: usize = 512;

const FAMILIES: &[&[Row]] = &[
    super::attr::ROWS,
    super::copy::ROWS,
    super::dir::ROWS,
    super::event::ROWS,
    super::fd::ROWS,
    super::file::ROWS,
    super::futex::ROWS,
    super::ioctl::ROWS,
    super::limits::ROWS,
    super::lock::ROWS,
    super::memory::ROWS,
    super::open::ROWS,
    super::poll::ROWS,
    super::process::ROWS,
    super::sched_params::ROWS,
    super::signal::ROWS,
    super::signalfd::ROWS,
    super::socket::ROWS,
    super::space::ROWS,
    super::stat::ROWS,
    super::system::ROWS,
    super::thread::ROWS,
    super::time::ROWS,
    super::timer::ROWS,
    super::usage::ROWS,
    super::xattr::ROWS,
];

static HANDLERS: [Handler; SIZE] = handlers();

const fn handlers() -> [Handler; SIZE] {
    let mut table: [Handler; SIZE] = [missing; SIZE];
    let mut taken = [false; SIZE];
    let mut family = 0;
    while family < FAMILIES.len() {
        let mut i = 0;
        while i < FAMILIES[family].len() {
            let number = FAMILIES[family][i].number as usize;
            assert!(!taken[number], "a system call has two rows");
            taken[number] = true;
            table[number] = FAMILIES[family][i].handler;
            i += 1;
        }
        family += 1;
    }
    table
}

/// What carries out call `number`.
#[inline(always)]
pub fn handler(number: u64) -> Handler {
    match HANDLERS.get(number as usize) {
        Some(&handler) => handler,
        None => missing,
    }
}

/// A call that has no row: counted, and ENOSYS as on a Linux that was built without it.
fn missing(call: &mut Call<'_>) -> SysResult {
    unsupported::note_call(call.number());
    Err(Errno::ENOSYS)
}

/// Every row, by family.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    FAMILIES.iter().flat_map(|family| family.iter())
}

/// The row of call `number`.
pub fn row_of(number: u64) -> Option<&'static Row> {
    rows().find(|row| row.number as u64 == number)
}
