//! Sizes as people write them: `512M`, `2g`, `1.5GiB`, plain bytes.

/// Bytes that `text` means. K, M, G, T are powers of 1024, in either case, with or without `B` or `iB`.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("\"{text}\" is not a size; write for example 512M or 2G");
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    let unit_bytes = 1u64 << shift;
    let too_large = || format!("\"{text}\" is too large");
    match number.split_once('.') {
        None => {
            let count: u64 = number.parse().map_err(|_| wrong())?;
            count.checked_mul(unit_bytes).ok_or_else(too_large)
        }
        Some((whole, fraction)) => {
            let whole: u64 = whole.parse().map_err(|_| wrong())?;
            if fraction.is_empty() || fraction.len() > 9 {
                return Err(wrong());
            }
            let numerator: u64 = fraction.parse().map_err(|_| wrong())?;
            let denominator = 10u128.pow(fraction.len() as u32);
            let part =
                u64::try_from(u128::from(numerator) * u128::from(unit_bytes) / denominator).map_err(|_| too_large())?;
            whole.checked_mul(unit_bytes).and_then(|bytes| bytes.checked_add(part)).ok_or_else(too_large)
        }
    }
}

/// `bytes` with the largest unit that leaves no fraction worth showing.
pub fn show(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        0x10_0000..0x4000_0000 if !bytes.is_multiple_of(1 << 20) => {
            format!("{:.1} MiB", bytes as f64 / (1u64 << 20) as f64)
        }
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / (1u64 << 30) as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn people_write_sizes_in_many_ways() {
        let cases = [
            ("0", 0),
            ("4096", 4096),
            ("64M", 64 << 20),
            ("64MiB", 64 << 20),
            ("2g", 2 << 30),
            ("1.5G", 3 << 29),
            ("512KB", 512 << 10),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "M", "-1M", "1..5G", "1.G", "12Q", "1 G", "99999999T", "18446744073709551616"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_answer_or_an_error(text: String) {
            let _ = parse(&text);
        }

        #[test]
        fn whole_mebibytes_come_back(count in 0u64..1 << 40) {
            prop_assert_eq!(parse(&format!("{count}M")), Ok(count << 20));
        }
    }
}
