//! Files and lines for the addresses in a kernel panic, from the unstripped kernel.

use std::path::Path;

/// Adds ` (file:line)` to the backtrace lines among `lines` (`demitasse:   at 0xADDRESS ...`).
pub fn annotate(unstripped: &Path, lines: &[String]) -> Vec<String> {
    let loader = addr2line::Loader::new(unstripped).ok();
    let locate = |line: &String| {
        let address = address(line)?;
        let mut frames = loader.as_ref()?.find_frames(address).ok()?;
        // Innermost first: inlined functions explain more than the one that holds them.
        let mut places = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            let location = frame.location?;
            places.push(format!("{}:{}", short(location.file?), location.line.unwrap_or(0)));
        }
        (!places.is_empty()).then(|| format!("{line} ({})", places.join(" < ")))
    };
    lines.iter().map(|line| locate(line).unwrap_or_else(|| line.clone())).collect()
}

fn address(line: &str) -> Option<u64> {
    let rest = line.strip_prefix("demitasse:")?.trim_start().strip_prefix("at 0x")?;
    u64::from_str_radix(rest.split(' ').next()?, 16).ok()
}

/// The path from the workspace or crate on.
fn short(file: &str) -> &str {
    let cut = |marker: &str| file.find(marker).map(|at| &file[at + marker.len()..]);
    cut("/library/")
        .or_else(|| cut("/registry/src/"))
        .or_else(|| {
            let root = crate::kernel::source_root();
            file.strip_prefix(root.to_str()?)?.strip_prefix('/')
        })
        .unwrap_or(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_from_backtrace_lines_only() {
        assert_eq!(address("demitasse:   at 0xffffffff80001234 main+0x4"), Some(0xffff_ffff_8000_1234));
        assert_eq!(address("demitasse:      rip ffffffff80001234"), None);
        assert_eq!(address("at 0x12"), None);
    }

    #[test]
    fn lines_without_a_place_stay_as_they_are() {
        let lines = vec!["demitasse:   at 0x0000000000000001 x".to_string(), "other".to_string()];
        assert_eq!(annotate(Path::new("/no/such/file"), &lines), lines);
    }
}
