//! What `@requires` asks about: computed as OpenJDK's `test/jtreg-ext/requires/VMProps.java` does, for the JDK that runs the tests and a
//! machine as the guest is.

use super::requires::Facts;
use super::source::output;
use anyhow::Result;
use images::jdk::Jdk;
use std::collections::BTreeMap;
use std::process::Command;

/// Main memory that tests find, in bytes.
pub const MEMORY: u64 = 4 << 30;
/// Processors that tests find.
pub const CPUS: u32 = 2;

/// The facts.
pub fn collect(jdk: &Jdk) -> Result<Facts> {
    let unlock = ["-XX:+UnlockDiagnosticVMOptions", "-XX:+UnlockExperimentalVMOptions"];
    let text = output(Command::new(jdk.java()).args(unlock).args(["-XX:+PrintFlagsFinal", "-version"]))?;
    let mut flags = BTreeMap::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [_, name, "=", value, ..] = words[..] {
            flags.insert(name.to_string(), value.to_string());
        }
    }
    let has = |flag: &str| flags.contains_key(flag).to_string();
    let is_there = |file: &str| jdk.home().join(file).exists().to_string();
    let release = jdk.release("JAVA_VERSION").unwrap_or_default();
    let major = release.split('.').next().unwrap_or_default().to_string();
    let mut facts: Facts = [
        ("os.name", "Linux"),
        ("os.family", "linux"),
        ("os.simpleArch", "x64"),
        ("os.arch", "amd64"),
        ("sun.arch.data.model", "64"),
        ("vm.simpleArch", "x64"),
        ("vm.bits", "64"),
        ("vm.flavor", "server"),
        ("vm.compMode", "Xmixed"),
        ("vm.pageSize", "4096"),
        // No collector is chosen on the command line: tests may choose.
        ("vm.gc", "null"),
        ("vm.flagless", "true"),
        ("vm.debug", "false"),
        ("vm.emulatedClient", "false"),
        ("vm.musl", "false"),
        ("vm.rtm.cpu", "false"),
        ("vm.rtm.compiler", "false"),
        ("vm.graal.enabled", "false"),
        ("vm.jvmci.enabled", "false"),
        ("vm.hasDTrace", "false"),
        ("vm.jvmti", "true"),
        ("vm.cds", "true"),
        ("vm.cds.custom.loaders", "true"),
        ("vm.cds.write.archived.java.heap", "true"),
        ("container.support", "false"),
        ("docker.support", "false"),
        ("jdk.containerized", "false"),
        // Those that ask differ between processors, not between kernels.
        ("vm.cpu.features", ""),
    ]
    .map(|(name, value)| (name.to_string(), value.to_string()))
    .into();
    let implementor = jdk.release("IMPLEMENTOR").unwrap_or_default();
    for (name, value) in [
        ("os.maxMemory", MEMORY.to_string()),
        ("os.maxSwap", "0".into()),
        ("os.processors", CPUS.to_string()),
        ("java.version.major", major.clone()),
        ("jdk.version.major", major),
        ("java.runtime.name", "OpenJDK Runtime Environment".into()),
        ("release.implementor", implementor.trim_matches('"').into()),
        ("vm.jvmci", has("EnableJVMCI")),
        ("vm.compiler1.enabled", has("C1InlineStackLimit")),
        ("vm.compiler2.enabled", has("LoopUnrollLimit")),
        ("vm.hasSA", is_there("lib/libsaproc.so")),
        ("vm.hasJFR", has("FlightRecorder")),
        ("vm.flightRecorder", "false".into()),
        ("vm.opt.FlightRecorder", "null".into()),
    ] {
        facts.insert(name.into(), value);
    }
    for (gc, flag) in [
        ("G1", "UseG1GC"),
        ("Serial", "UseSerialGC"),
        ("Parallel", "UseParallelGC"),
        ("Shenandoah", "UseShenandoahGC"),
        ("Epsilon", "UseEpsilonGC"),
        ("Z", "UseZGC"),
    ] {
        facts.insert(format!("vm.gc.{gc}"), has(flag));
    }
    facts.extend(flags.into_iter().map(|(name, value)| (format!("vm.opt.final.{name}"), value)));
    Ok(facts)
}
