//! How many bytes may be under way: CUBIC (RFC 9438) in whole numbers, or Reno (RFC 5681).

/// Start, segments (RFC 6928).
const INITIAL: usize = 10;

/// A window, and how it grows.
pub(crate) struct Congestion {
    mss: usize,
    /// Bytes.
    pub window: usize,
    pub threshold: usize,
    pub reno: bool,
    /// Window at the last loss, segments; when growth from there began; milliseconds until it is reached again.
    w_max: u64,
    epoch_ns: u64,
    k_ms: u64,
    /// Bytes acknowledged towards the next segment.
    credit: usize,
}

/// The whole cube root.
fn cube_root(value: u64) -> u64 {
    let (mut low, mut high) = (0u64, 1 << 21);
    while low < high {
        let middle = (low + high).div_ceil(2);
        if middle.pow(3) <= value { low = middle } else { high = middle - 1 }
    }
    low
}

impl Congestion {
    pub fn new(mss: usize) -> Self {
        Self {
            mss,
            window: mss * INITIAL,
            threshold: usize::MAX,
            reno: false,
            w_max: 0,
            epoch_ns: 0,
            k_ms: 0,
            credit: 0,
        }
    }

    /// Whether so many bytes under way use the window: only one that is used grows.
    pub fn limits(&self, flight: usize) -> bool {
        flight + self.mss >= self.window || flight >= self.window / 2
    }

    /// Bytes were acknowledged while no loss is being repaired and the window was used.
    pub fn acknowledged(&mut self, bytes: usize, now_ns: u64) {
        if self.window < self.threshold {
            self.window += bytes.min(2 * self.mss);
            return;
        }
        let segments = (self.window / self.mss).max(1) as u64;
        let mut per_segment = self.window;
        if !self.reno {
            if self.epoch_ns == 0 {
                self.epoch_ns = now_ns;
                let gap = self.w_max.saturating_sub(segments);
                // K = cbrt(gap / 0.4) seconds.
                self.k_ms = cube_root(gap.saturating_mul(2_500_000_000));
                self.w_max = self.w_max.max(segments);
            }
            let t = now_ns.saturating_sub(self.epoch_ns) / 1_000_000;
            let distance = t.abs_diff(self.k_ms).min(1 << 20);
            let change = distance.pow(3) * 4 / 10_000_000_000;
            let target = if t < self.k_ms { self.w_max.saturating_sub(change) } else { self.w_max + change };
            // From here to the target within a round trip; never slower than Reno.
            if target > segments {
                per_segment = self.window / (target - segments).min(segments) as usize;
            }
        }
        self.credit += bytes;
        while self.credit >= per_segment.max(1) {
            self.credit -= per_segment.max(1);
            self.window += self.mss;
        }
    }

    /// A segment was lost with `flight` bytes under way.
    pub fn lost(&mut self, flight: usize) {
        let base = flight.max(self.mss);
        self.w_max = (base / self.mss) as u64;
        self.threshold = if self.reno { base / 2 } else { base / 10 * 7 }.max(2 * self.mss);
        self.window = self.threshold;
        self.epoch_ns = 0;
        self.credit = 0;
    }

    /// Nothing was heard for a whole timeout.
    pub fn timed_out(&mut self, flight: usize) {
        self.lost(flight);
        self.window = self.mss;
    }

    pub fn set_mss(&mut self, mss: usize) {
        self.mss = mss;
    }
}
