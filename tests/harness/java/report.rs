//! What of a crash report (hs_err) must be equal on both systems: the signal, where it happened, who called, which sections
//! there are, and that the report is whole. Addresses, times and sizes differ between two runs on one system too.

/// The lines that count, in order.
pub fn essence(report: &str) -> Vec<String> {
    report.lines().filter_map(line).collect()
}

/// Lines of the stack and of the summary that begin so are taken as they are.
const WHOLE: [&str; 9] = ["siginfo:", "# C ", "# V ", "# Problematic", "C  [libcrash", "j  ", "J ", "----", "END."];

fn line(line: &str) -> Option<String> {
    let line = line.trim_end();
    let whole = WHOLE.iter().any(|start| line.starts_with(start));
    if line.starts_with("#  SIG") || line.starts_with("#  Internal Error") || line.starts_with("#  fatal") {
        return Some(
            line.split(" at pc=").next().unwrap_or_default().split(", pid=").next().unwrap_or_default().into(),
        );
    }
    whole.then(|| addresses_out(line))
}

/// Addresses of 12 and more digits that move from run to run become a word; small ones and kernel-like ones stay.
fn addresses_out(line: &str) -> String {
    let is_moving = |word: &str| {
        let digits = word.trim_end_matches([',', ']', ')']).strip_prefix("0x").unwrap_or_default();
        digits.trim_start_matches('0').len() >= 11 && digits.trim_start_matches('0').starts_with(['7', '5'])
    };
    line.split(' ').map(|word| if is_moving(word) { "ADDRESS" } else { word }).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_runs_is_left_out() {
        let report = "#  SIGSEGV (0xb) at pc=0x00007f12, pid=3, tid=4\nTime: now\n\
                      siginfo: si_signo: 11 (SIGSEGV), si_code: 1 (SEGV_MAPERR), si_addr: 0x0000000000000000\n\
                      siginfo: si_addr: 0x00007f1234567000\n---- T\nEND.\n";
        let expected = [
            "#  SIGSEGV (0xb)",
            "siginfo: si_signo: 11 (SIGSEGV), si_code: 1 (SEGV_MAPERR), si_addr: 0x0000000000000000",
            "siginfo: si_addr: ADDRESS",
            "---- T",
            "END.",
        ];
        assert_eq!(essence(report), expected);
    }
}
