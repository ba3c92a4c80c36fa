//! JVM options that fit the heap to a machine whose memory is all Java's.
//!
//! HotSpot takes a quarter of the machine by default, because on other systems it has neighbours. Here it has none. The option goes
//! into the launcher's argv before the user's: the environment variables for options print a line on stderr.
//! `MaxRAMPercentage` is the mildest way: it changes neither the choice of the collector nor the initial heap, and any
//! `-Xmx` wins over it wherever it comes from (an @argfile, a JAR's manifest).
//! Sources: `java` man page; HotSpot's `Arguments::set_heap_size` for the order of precedence.

use alloc::{format, vec::Vec};

/// Below this much memory HotSpot's own rule for small machines (half of it) is already right: metaspace, code cache and
/// stacks do not shrink with the machine.
const SMALL_MACHINE: u64 = 256 << 20;
/// Share of the memory that HotSpot sees (sysinfo's totalram: what the kernel leaves), in percent. The rest is for
/// metaspace, code cache, thread stacks, direct buffers and the page cache.
const HEAP_PERCENT: u64 = 70;
/// A heap just above 32 GiB loses compressed oops and holds less than one just below: up to `OOPS_WORTH_LOSING` stay below.
const COMPRESSED_OOPS_MAX: u64 = 31 << 30;
const OOPS_WORTH_LOSING: u64 = 45 << 30;

/// Options by which a user sizes the heap. A prefix match.
const HEAP_OPTIONS: [&[u8]; 9] = [
    b"-Xmx",
    b"-mx",
    b"-XX:MaxHeapSize=",
    b"-XX:MaxRAM",
    b"-XX:MinRAM",
    b"-XX:+AggressiveHeap",
    b"-XX:Flags=",
    b"-XX:VMOptionsFile=",
    b"-XX:SoftMaxHeapSize=",
];
/// Variables from which the launcher or libjvm take more options.
const OPTION_VARIABLES: [&[u8]; 3] = [b"JDK_JAVA_OPTIONS=", b"JAVA_TOOL_OPTIONS=", b"_JAVA_OPTIONS="];

/// The arguments to put behind argv[0]; empty when the user sized the heap or nothing needs saying.
pub fn for_machine(argv: &[Vec<u8>], env: &[Vec<u8>], memory_bytes: u64) -> Vec<Vec<u8>> {
    if memory_bytes < SMALL_MACHINE || user_sized_heap(argv, env) {
        return Vec::new();
    }
    let heap = memory_bytes / 100 * HEAP_PERCENT;
    let heap = if (COMPRESSED_OOPS_MAX..OOPS_WORTH_LOSING).contains(&heap) { COMPRESSED_OOPS_MAX } else { heap };
    // One decimal; HotSpot reads it as a double.
    let (heap, memory) = (heap >> 20, memory_bytes >> 20);
    let permille = (heap * 1000 + memory / 2) / memory;
    Vec::from([format!("-XX:MaxRAMPercentage={}.{}", permille / 10, permille % 10).into_bytes()])
}

fn user_sized_heap(argv: &[Vec<u8>], env: &[Vec<u8>]) -> bool {
    let sizes_heap = |word: &[u8]| HEAP_OPTIONS.iter().any(|option| word.starts_with(option));
    argv.iter().skip(1).any(|arg| sizes_heap(arg))
        || env.iter().any(|variable| {
            OPTION_VARIABLES.iter().any(|name| {
                variable.strip_prefix(*name).is_some_and(|value| value.split(u8::is_ascii_whitespace).any(sizes_heap))
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn words(list: &[&str]) -> Vec<Vec<u8>> {
        list.iter().map(|s| s.as_bytes().to_vec()).collect()
    }
    fn option(argv: &[&str], env: &[&str], memory: u64) -> Option<alloc::string::String> {
        for_machine(&words(argv), &words(env), memory).pop().map(|o| alloc::string::String::from_utf8(o).unwrap())
    }

    #[test]
    fn a_machine_of_java_alone_gives_it_most_memory() {
        assert_eq!(option(&["java", "-jar", "a.jar"], &[], 2 * GIB).unwrap(), "-XX:MaxRAMPercentage=70.0");
        assert_eq!(option(&["java", "A"], &["LANG=C"], 512 * GIB).unwrap(), "-XX:MaxRAMPercentage=70.0");
    }

    #[test]
    fn compressed_oops_are_kept_where_losing_them_buys_nothing() {
        assert_eq!(option(&["java", "A"], &[], 48 * GIB).unwrap(), "-XX:MaxRAMPercentage=64.6");
    }

    #[test]
    fn the_users_choice_stands() {
        for arg in ["-Xmx64m", "-XX:MaxRAMPercentage=50", "-XX:MaxHeapSize=1g", "-mx1g"] {
            assert_eq!(option(&["java", arg, "A"], &[], 2 * GIB), None, "{arg}");
        }
        assert_eq!(option(&["java", "A"], &["JAVA_TOOL_OPTIONS=-ea -Xmx1g"], 2 * GIB), None);
        assert_eq!(option(&["java", "A"], &[], 64 << 20), None);
    }
}
