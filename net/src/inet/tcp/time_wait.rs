//! Connections that are over but may hear late segments: a short record each, and no buffers.

use super::engine::head::{ACK, FIN, Head, RST, SYN};
use super::engine::{Rules, STRAY_NS, Tcb, before};
use super::secret::Keyed;
use super::wire::Way;
use crate::inet::address::Tuple;
use crate::inet::ports::TIME_WAIT_NS;
use alloc::collections::VecDeque;
use hal::sync::SpinLock;
use hashbrown::HashMap;

/// Most records; the oldest goes for a new one.
const RECORDS_MAX: usize = 16_384;

/// What is left of a connection.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    way: Way,
    seq: u32,
    ack: u32,
    until_ns: u64,
    /// When a segment without bytes was answered last.
    answered_ns: u64,
}

impl Record {
    pub(super) fn of(tcb: &Tcb, way: Way, rules: &Rules) -> Self {
        Self { way, seq: tcb.nxt, ack: tcb.rcv_nxt, until_ns: rules.now_ns + TIME_WAIT_NS, answered_ns: 0 }
    }
}

#[derive(Default)]
struct Table {
    records: HashMap<Tuple, Record, Keyed>,
    /// In the order of their ends, which is the order in which they came.
    order: VecDeque<(u64, Tuple)>,
}

static TABLE: SpinLock<Option<Table>> = SpinLock::new(None);

pub(super) fn add(tuple: Tuple, record: Record) {
    let mut table = TABLE.lock();
    let table = table.get_or_insert_default();
    while let Some(&(until_ns, old)) = table.order.front() {
        if until_ns > hal::clock::now_ns() && table.order.len() < RECORDS_MAX {
            break;
        }
        table.order.pop_front();
        if table.records.get(&old).is_some_and(|known| known.until_ns == until_ns) {
            table.records.remove(&old);
        }
    }
    table.records.insert(tuple, record);
    table.order.push_back((record.until_ns, tuple));
}

/// Records that there are.
#[cfg(test)]
pub(crate) fn count() -> usize {
    TABLE.lock().as_ref().map_or(0, |table| table.order.len())
}

/// Whether a port may not be bound, or a tuple not be used again yet.
pub(super) fn contains(tuple: &Tuple) -> bool {
    let table = TABLE.lock();
    let known = table.as_ref().and_then(|table| table.records.get(tuple));
    known.is_some_and(|record| record.until_ns > hal::clock::now_ns())
}

/// A segment for a record; false if there is none, or it is a new connection's first segment, for which the record goes.
pub(super) fn segment(tuple: &Tuple, head: &Head, is_empty: bool) -> bool {
    let record = {
        let mut table = TABLE.lock();
        let Some(table) = table.as_mut() else { return false };
        let Some(known) = table.records.get_mut(tuple) else { return false };
        let record = *known;
        let now_ns = hal::clock::now_ns();
        let fresh = head.has(SYN) && !head.has(ACK) && before(record.ack, head.seq);
        if fresh || record.until_ns <= now_ns {
            table.records.remove(tuple);
            return false;
        }
        // What a right acknowledgement says is known; one that is wrong is answered now and then only, since its answer
        // may be answered too, for ever (RFC 9293, 3.10.7.4; tcp_invalid_ratelimit).
        if is_empty && !head.has(FIN | SYN) {
            if head.seq == record.ack || now_ns.saturating_sub(record.answered_ns) < STRAY_NS {
                return true;
            }
            known.answered_ns = now_ns;
        }
        record
    };
    if !head.has(RST) {
        let answer = Head { seq: record.seq, ack: record.ack, flags: ACK, window: 0xffff, ..Head::default() };
        let mut way = record.way;
        way.send_alone(&answer);
    }
    true
}
