//! Load averages (proc(5), /proc/loadavg) without a periodic sample.

/// Unit of the averages.
pub const SCALE: u64 = 2048;

const STEP_NS: u64 = 5_000_000_000;
/// exp(-5 s / 1, 5, 15 min) in units of 1/65536.
const DECAY: [u64; 3] = [60_296, 64_453, 65_173];
/// After so many steps (an hour) the past no longer shows.
const MAX_STEPS: u64 = 720;
/// Fraction bits of the state: more than [`SCALE`] has, so that small loads do not round away step by step.
const STATE_SHIFT: u32 = 20;

/// Exponentially decaying averages of the number of runnable threads.
pub(super) struct LoadAverage {
    averages: [u64; 3],
    sampled_ns: u64,
    integral_ns: u64,
}

impl LoadAverage {
    /// No load since time 0.
    pub const fn new() -> Self {
        Self { averages: [0; 3], sampled_ns: 0, integral_ns: 0 }
    }

    /// The averages at `now_ns`; `integral_ns` is the number of runnable threads integrated over time. Between two calls
    /// the load counts as even.
    pub fn update(&mut self, now_ns: u64, integral_ns: u64) -> [u64; 3] {
        let steps = now_ns.saturating_sub(self.sampled_ns) / STEP_NS;
        if steps > 0 {
            let span_ns = now_ns - self.sampled_ns;
            let busy_ns = integral_ns.saturating_sub(self.integral_ns);
            let load = ((u128::from(busy_ns) << STATE_SHIFT) / u128::from(span_ns)) as u64;
            for (average, decay) in self.averages.iter_mut().zip(DECAY) {
                for _ in 0..steps.min(MAX_STEPS) {
                    *average = (*average * decay + load * (65_536 - decay)) >> 16;
                }
            }
            self.sampled_ns = now_ns;
            self.integral_ns = integral_ns;
        }
        self.averages.map(|average| (average * SCALE) >> STATE_SHIFT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_load_shows_after_a_while_and_fades() {
        let mut load = LoadAverage::new();
        let minute = 60_000_000_000;
        // Two threads for a minute: 1 - 1/e of the way.
        let [one, five, fifteen] = load.update(minute, 2 * minute);
        assert!(one.abs_diff(2 * SCALE * 632 / 1000) < 20, "{one}");
        assert!(one > five && five > fifteen && fifteen > 0);
        let [one, ..] = load.update(60 * minute, 2 * 60 * minute);
        assert!(one.abs_diff(2 * SCALE) < 20, "{one}");
        assert!(load.update(200 * minute, 2 * 60 * minute).iter().all(|&average| average < SCALE / 10));
    }

    #[test]
    fn less_than_a_step_changes_nothing() {
        let mut load = LoadAverage::new();
        assert_eq!(load.update(1_000_000, 64_000_000), [0; 3]);
    }
}
