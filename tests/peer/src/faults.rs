//! What a bad link does to packets: smoltcp's own fault injector loses and changes them; some are held back so that others
//! overtake them, some come twice.

use crate::host::{Came, Goes, capabilities, now};
use smoltcp::phy::{Device, DeviceCapabilities, FaultInjector, RxToken};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// Chances in percent, each way by itself, and where their numbers begin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// Lost.
    pub drop: u8,
    /// One bit is another.
    pub corrupt: u8,
    /// The next one comes first.
    pub reorder: u8,
    /// Comes twice.
    pub double: u8,
    /// The same seed gives the same faults for the same packets.
    pub seed: u32,
}

/// Packets that suffered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// All that came.
    pub packets: u64,
    /// Lost.
    pub dropped: u64,
    /// Changed.
    pub corrupted: u64,
    /// Overtaken.
    pub reordered: u64,
    /// Doubled.
    pub doubled: u64,
}

/// A packet that is held back goes on after so long, whatever comes.
const HELD_MAX: Duration = Duration::from_millis(20);

/// What the injector looks at.
struct Tray {
    packets: Receiver<Vec<u8>>,
    /// Nothing is sent here.
    sent: Vec<Vec<u8>>,
}

impl Device for Tray {
    type RxToken<'a> = Came;
    type TxToken<'a> = Goes<'a>;

    fn receive(&mut self, _: smoltcp::time::Instant) -> Option<(Came, Goes<'_>)> {
        Some((Came(self.packets.try_recv().ok()?), Goes(&mut self.sent)))
    }

    fn transmit(&mut self, _: smoltcp::time::Instant) -> Option<Goes<'_>> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities()
    }
}

/// One way of a link.
pub(crate) struct Way {
    faults: Faults,
    tray: Sender<Vec<u8>>,
    /// smoltcp's injector changes what is sent before it is written (0.14.0), so both ways are receptions here.
    injector: FaultInjector<Tray>,
    random: u32,
    held: Option<(Vec<u8>, Instant)>,
    pub(crate) seen: Seen,
}

impl Way {
    pub(crate) fn new(faults: Faults) -> Self {
        // The generator knows no 0.
        let seed = faults.seed.wrapping_mul(0x9e37_79b9) | 1;
        let (tray, packets) = channel();
        let mut injector = FaultInjector::new(Tray { packets, sent: Vec::new() }, seed);
        injector.set_drop_chance(faults.drop);
        injector.set_corrupt_chance(faults.corrupt);
        Self { faults, tray, injector, random: seed ^ 0x5555_5554, held: None, seen: Seen::default() }
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random % 100 < u32::from(percent)
    }

    /// What arrives now that `packet` was sent.
    pub(crate) fn pass(&mut self, packet: Vec<u8>) -> Vec<Vec<u8>> {
        self.seen.packets += 1;
        let (reorder, double) = (self.faults.reorder, self.faults.double);
        if self.faults.drop == 0 && self.faults.corrupt == 0 && reorder == 0 && double == 0 {
            return vec![packet];
        }
        let is_there = self.tray.send(packet.clone()).is_ok();
        let passed = self.injector.receive(now()).map(|(packet, _)| packet.consume(<[u8]>::to_vec));
        let Some(passed) = passed.filter(|_| is_there) else {
            self.seen.dropped += 1;
            return Vec::new();
        };
        self.seen.corrupted += u64::from(passed != packet);
        if self.held.is_none() && self.chance(reorder) {
            self.seen.reordered += 1;
            self.held = Some((passed, Instant::now()));
            return Vec::new();
        }
        let mut arrives = vec![passed];
        if self.chance(double) {
            self.seen.doubled += 1;
            arrives.push(arrives[0].clone());
        }
        arrives.extend(self.held.take().map(|(packet, _)| packet));
        arrives
    }

    /// The packet that was held back for too long.
    pub(crate) fn late(&mut self) -> Option<Vec<u8>> {
        self.held.take_if(|(_, since)| since.elapsed() > HELD_MAX).map(|(packet, _)| packet)
    }

    /// Other faults from now on; a packet that is held back is lost.
    pub(crate) fn change(&mut self, faults: Faults) {
        *self = Self { seen: self.seen, ..Self::new(faults) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_comes_as_often_as_it_was_asked_for() {
        let mut way = Way::new(Faults { drop: 10, corrupt: 5, reorder: 4, double: 3, seed: 7 });
        let mut arrived = 0;
        for number in 0..20_000_u32 {
            arrived += way.pass(number.to_be_bytes().repeat(10)).len();
        }
        arrived += usize::from(way.held.is_some());
        let Seen { packets, dropped, corrupted, reordered, doubled } = way.seen;
        assert_eq!((packets, arrived as u64), (20_000, packets - dropped + doubled));
        for (count, least, most) in
            [(dropped, 1800, 2200), (corrupted, 700, 1100), (reordered, 500, 900), (doubled, 350, 700)]
        {
            assert!((least..most).contains(&count), "{:?}", way.seen);
        }
    }

    #[test]
    fn without_faults_packets_pass_in_order() {
        let mut way = Way::new(Faults::default());
        assert_eq!(
            (0..9).flat_map(|n| way.pass(vec![n])).collect::<Vec<_>>(),
            (0..9).map(|n| vec![n]).collect::<Vec<_>>()
        );
    }
}
