//! What counts as equal.

use crate::Outcome;
use crate::table::Normalise;

/// How `guest` differs from `host` within the tolerances; `None`: not at all.
pub fn difference(host: &Outcome, guest: &Outcome, tolerances: &[Normalise]) -> Option<String> {
    let mut text = String::new();
    if host.status != guest.status {
        text += &format!("status: {} on Linux, {} here\n", host.status, guest.status);
    }
    for (name, host, guest) in [("stdout", &host.stdout, &guest.stdout), ("stderr", &host.stderr, &guest.stderr)] {
        if host == guest {
            continue;
        }
        if tolerances.is_empty() {
            text += &lines(name, &plain(host), &plain(guest));
        } else {
            let (host, mut guest) = (normalised(host, tolerances), normalised(guest, tolerances));
            for percent in tolerances.iter().filter_map(|t| if let Normalise::About(n) = t { Some(*n) } else { None }) {
                take_over_close_numbers(&host, &mut guest, percent);
            }
            if host != guest {
                text += &lines(name, &host, &guest);
            }
        }
    }
    (!text.is_empty()).then_some(text)
}

/// Differing lines that a report shows at most.
const SHOWN_MAX: usize = 12;

fn lines(name: &str, host: &[String], guest: &[String]) -> String {
    let mut text = format!("{name} differs:\n");
    let mut shown = 0;
    let mut differing = 0;
    for index in 0..host.len().max(guest.len()) {
        let (linux, here) = (host.get(index), guest.get(index));
        if linux == here {
            continue;
        }
        differing += 1;
        if shown < SHOWN_MAX {
            shown += 1;
            let show = |line: Option<&String>| line.map_or("(no line)".into(), |line| format!("{line:?}"));
            text += &format!(
                "  line {}: Linux {}\n{:width$} here {}\n",
                index + 1,
                show(linux),
                "",
                show(here),
                width = 10 + (index + 1).to_string().len()
            );
        }
    }
    if differing > shown {
        text += &format!("  and {} more lines\n", differing - shown);
    }
    if differing == 0 {
        text += "  only in the end of the last line\n";
    }
    text
}

fn plain(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes).lines().map(String::from).collect()
}

fn normalised(bytes: &[u8], tolerances: &[Normalise]) -> Vec<String> {
    let keeps =
        |line: &String| !tolerances.iter().any(|t| matches!(t, Normalise::Drop(part) if line.contains(part.as_str())));
    let change = |mut line: String| {
        for tolerance in tolerances {
            match tolerance {
                Normalise::Digits => line = without_digits(&line),
                Normalise::Line(start) if line.starts_with(start.as_str()) => line.clone_from(start),
                Normalise::Line(_) | Normalise::Drop(_) | Normalise::AnyOrder | Normalise::About(_) => {}
            }
        }
        line
    };
    let mut lines: Vec<String> = plain(bytes).into_iter().filter(keeps).map(change).collect();
    if tolerances.contains(&Normalise::AnyOrder) {
        lines.sort();
    }
    lines
}

/// Lines that differ only in numbers which are about equal become equal.
fn take_over_close_numbers(host: &[String], guest: &mut [String], percent: u64) {
    let numbers = |line: &str| -> Vec<u64> {
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
    };
    for (linux, here) in host.iter().zip(guest) {
        let (ours, theirs) = (numbers(here), numbers(linux));
        let is_close = |(a, b): (&u64, &u64)| a.abs_diff(*b).saturating_mul(100) <= (*a.max(b)).saturating_mul(percent);
        if without_digits(linux) == without_digits(here) && ours.iter().zip(&theirs).all(is_close) {
            here.clone_from(linux);
        }
    }
}

fn without_digits(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for character in line.chars() {
        if !character.is_ascii_digit() {
            text.push(character);
        } else if !text.ends_with('N') {
            text.push('N');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(stdout: &str, status: u8) -> Outcome {
        Outcome { stdout: stdout.into(), stderr: vec![], status }
    }

    #[test]
    fn equal_is_equal_to_the_last_byte() {
        assert_eq!(difference(&outcome("a\n", 0), &outcome("a\n", 0), &[]), None);
        assert!(difference(&outcome("a\n", 0), &outcome("a", 0), &[]).unwrap().contains("end of the last line"));
        assert!(
            difference(&outcome("a\n", 0), &outcome("a\n", 1), &[]).unwrap().contains("status: 0 on Linux, 1 here")
        );
        assert!(difference(&outcome("a\nb\n", 0), &outcome("a\nc\n", 0), &[]).unwrap().contains("line 2: Linux \"b\""));
    }

    #[test]
    fn only_declared_tolerances_hold() {
        let (linux, here) = (outcome("n=12 x\nos=6.1\nWARN a\n", 0), outcome("n=7 x\nos=7\n", 0));
        assert!(difference(&linux, &here, &[Normalise::Digits]).is_some());
        let all = [Normalise::Digits, Normalise::Line("os=".into()), Normalise::Drop("WARN".into())];
        assert_eq!(difference(&linux, &here, &all), None);
        let about = [Normalise::About(2)];
        assert_eq!(difference(&outcome("a 100 b 7\n", 0), &outcome("a 98 b 7\n", 0), &about), None);
        assert!(difference(&outcome("a 100 b 7\n", 0), &outcome("a 97 b 7\n", 0), &about).is_some());
        assert!(difference(&linux, &outcome("n= x\nos=7\n", 0), &all).is_some());
    }
}
