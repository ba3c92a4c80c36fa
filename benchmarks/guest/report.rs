//! The tables: both systems' figures, the ratio, the bar that was promised, and whether it is held.

use crate::stats::{Ratio, median, spread};
use std::fmt::Write;

/// One line of the report.
pub struct Row {
    /// What was measured, with its unit.
    pub what: String,
    /// Ours, in its unit.
    pub ours: Vec<f64>,
    /// Linux's; empty where there is none.
    pub linux: Vec<f64>,
    /// What is promised.
    pub bar: Bar,
}

/// A promise.
pub enum Bar {
    /// Our median is at most this.
    AtMost(f64),
    /// The ratio of the medians is at most this.
    Ratio(f64),
    /// The ratio of the medians is at least this.
    AtLeast(f64),
    /// Nothing.
    None,
}

impl Row {
    /// Whether the promise is kept; `None` without figures.
    pub fn is_held(&self) -> Option<bool> {
        if self.ours.is_empty() {
            return None;
        }
        match self.bar {
            Bar::AtMost(limit) => Some(median(&self.ours) <= limit),
            Bar::Ratio(limit) => self.ratio().map(|ratio| ratio.value <= limit),
            Bar::AtLeast(limit) => self.ratio().map(|ratio| ratio.value >= limit),
            Bar::None => None,
        }
    }

    fn ratio(&self) -> Option<Ratio> {
        (!self.ours.is_empty() && !self.linux.is_empty()).then(|| crate::stats::ratio(&self.ours, &self.linux))
    }
}

/// The report as Markdown.
pub fn markdown(title: &str, description: &str, rows: &[Row]) -> String {
    let mut text = format!(
        "# {title}, both systems in one run\n\n{description}. Medians; in brackets the 95 % bootstrap interval of the ratio.\n\n"
    );
    text += "| what | Demitasse | Linux | ratio | bar | held |\n|---|---|---|---|---|---|\n";
    for row in rows {
        let bar = match row.bar {
            Bar::AtMost(limit) => format!("at most {}", number(limit)),
            Bar::Ratio(limit) => format!("ratio at most {}", ratio_limit(limit)),
            Bar::AtLeast(limit) => format!("ratio at least {limit}"),
            Bar::None => "-".into(),
        };
        let ratio = row.ratio().map_or("-".to_string(), |ratio| ratio.to_string());
        let unknown = if matches!(row.bar, Bar::None) { "-" } else { "not measured" };
        let held = row.is_held().map_or(unknown, |held| if held { "yes" } else { "**NO**" });
        writeln!(text, "| {} | {} | {} | {ratio} | {bar} | {held} |", row.what, figure(&row.ours), figure(&row.linux))
            .expect("text grows");
    }
    text
}

fn figure(values: &[f64]) -> String {
    match values {
        [] => "-".into(),
        [one] => number(*one),
        many => format!("{} (n={}, spread {:.1} %)", number(median(many)), many.len(), spread(many) * 100.0),
    }
}

/// At most three digits behind the point.
fn ratio_limit(limit: f64) -> String {
    ((limit * 1000.0).round() / 1000.0).to_string()
}

/// With the digits that mean something.
fn number(value: f64) -> String {
    if value >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if value >= 10.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_bar_is_said_loudly() {
        let rows = [
            Row { what: "a, s".into(), ours: vec![1.0, 1.0, 1.0], linux: vec![4.0, 4.0, 4.0], bar: Bar::Ratio(0.3) },
            Row { what: "b, MiB".into(), ours: vec![70.0], linux: vec![], bar: Bar::AtMost(64.0) },
            Row { what: "c".into(), ours: vec![], linux: vec![1.0], bar: Bar::AtMost(1.0) },
        ];
        let text = markdown("t", "x", &rows);
        assert!(text.contains("| a, s | 1 (n=3, spread 0.0 %) | 4 (n=3, spread 0.0 %) | 0.250 [0.250, 0.250] | ratio at most 0.3 | yes |"), "{text}");
        assert!(text.contains("| b, MiB | 70 | - | - | at most 64 | **NO** |"), "{text}");
        assert!(text.contains("not measured"), "{text}");
    }
}
