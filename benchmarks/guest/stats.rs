//! Medians, spreads, and the bootstrap interval of a ratio of medians.

/// The middle value; of an even number, the mean of the middle two. Empty: not a number.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => sorted[n / 2],
        n => (sorted[n / 2 - 1] + sorted[n / 2]) / 2.0,
    }
}

/// The least value that so large a share (0 to 1) of all does not exceed. Empty: not a number.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(at.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// (largest - smallest) / median.
pub fn spread(values: &[f64]) -> f64 {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (high - low) / median(values)
}

/// The ratio of two medians with its 95 % interval.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    /// Ratio of the medians.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// median(`ours`) / median(`theirs`); the interval by the percentile bootstrap, 10,000 resamples of each side, fixed seed.
pub fn ratio(ours: &[f64], theirs: &[f64]) -> Ratio {
    const RESAMPLES: usize = 10_000;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut ratios: Vec<f64> =
        (0..RESAMPLES).map(|_| median(&random.resample(ours)) / median(&random.resample(theirs))).collect();
    ratios.sort_by(f64::total_cmp);
    let at = |share: usize| ratios[RESAMPLES * share / 1000];
    Ratio { value: median(ours) / median(theirs), low: at(25), high: at(975) }
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} [{:.3}, {:.3}]", self.value, self.low, self.high)
    }
}

/// xorshift64*: the same resamples in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn resample(&mut self, values: &[f64]) -> Vec<f64> {
        (0..values.len()).map(|_| values[usize::try_from(self.next() >> 33).expect("31 bits") % values.len()]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| quantile(&values, share)), [1.0, 100.0, 198.0, 200.0]);
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn the_interval_holds_the_ratio_and_shrinks_with_the_spread() {
        let noisy = ratio(&[1.0, 1.2, 0.9, 1.1, 1.0, 1.3, 0.8, 1.0, 1.1, 0.9, 1.0], &[2.0; 11]);
        assert!(noisy.low <= noisy.value && noisy.value <= noisy.high, "{noisy}");
        assert!(noisy.high - noisy.low < 0.2, "{noisy}");
        let exact = ratio(&[1.0; 11], &[4.0; 11]);
        assert_eq!((exact.low, exact.value, exact.high), (0.25, 0.25, 0.25));
    }
}
