//! Cassandra under power cuts: the example's configuration, with commitlog_sync batch, and a client in the same VM.

use super::{Extent, Load, kernel, mount_points};
use crate::build::{folder, root};
use crate::databases::{self, Databases};
use anyhow::{Context, Result, ensure};
use images::jdk::Jdk;
use images::program;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where its volume is: one node a machine.
const DIRECTORY: &str = "/mnt/0";

/// Cassandra's jars, the load and the configuration.
pub(super) struct Cassandra {
    databases: Databases,
    conf: PathBuf,
}

impl Cassandra {
    /// Fetches the jars that the example names, once, and compiles the load.
    pub(super) fn prepare() -> Result<Cassandra> {
        let example = root().join("examples/cassandra");
        let source = folder().join("databases/cassandra");
        let databases = Databases::prepare_from("guest-cassandra", &example.join("pom.xml"), &source)?;
        let conf = databases.folder().join("conf");
        configure(&conf)?;
        Ok(Cassandra { databases, conf })
    }

    /// The load, on a volume of 1 GiB.
    pub(super) fn load<'a>(&'a self, jdk: &'a Jdk, extent: Extent) -> Result<Load<'a>> {
        let [jars, classes] = self.databases.additions();
        let mut machine = databases::machine(jdk, &[jars, classes, self.conf.clone()], &mount_points())?;
        machine.kernel = kernel(extent)?;
        machine.memory_bytes = 3 << 30;
        let java = self.words();
        let program = Box::new(move |words: &[String]| {
            let words: Vec<&String> = java.iter().chain(words).collect();
            program::java(jdk, &words)
        });
        // Where the guest had them: Cassandra's logs of what it does with files name whole paths. A network of its own: nobody else's
        // ports, and no one to talk to.
        let on_linux = Box::new(move |data: &Path, words: &[&str]| {
            let script = "ip link set lo up && mount -t tmpfs none /mnt && mkdir \"$0\" && mount --bind \"$1\" \"$0\" && shift && exec \"$@\"";
            let mut command = Command::new("unshare");
            command.args(["--user", "--map-root-user", "--mount", "--net", "sh", "-c", script, DIRECTORY]);
            command.arg(data).arg(jdk.java()).args(self.words()).args(words).arg(DIRECTORY);
            command
        });
        // It writes one row after the other: a later one is not there without those before it.
        let is_in_step = |found, last, _acked| last == found;
        let limit = Duration::from_secs(1800);
        Ok(Load {
            machine,
            program,
            is_in_step,
            size: 1 << 30,
            limit,
            together: 1,
            cuts_start: false,
            on_linux: Some(on_linux),
            stumbles_over: Some(unfinished),
        })
    }

    /// Words for `java` before the program's own.
    fn words(&self) -> Vec<String> {
        let [jars, classes] = self.databases.additions();
        let path = format!("{}:{}:{}/*", self.conf.display(), classes.display(), jars.display());
        vec![
            format!("@{}/jvm.options", self.conf.display()),
            "-Xmx1g".into(),
            format!("-javaagent:{}/jamm-0.4.0.jar", jars.display()),
            format!("-Dcassandra.storagedir={DIRECTORY}"),
            "-cp".into(),
            path,
            "CassandraCut".into(),
        ]
    }
}

/// Cassandra 5.0.5 calls fsync(2) for a transaction's log before it writes to it: `FileUtils.write` forces the channel while the bytes
/// are still in a BufferedWriter (`strace` of `FileUtils.appendAndSync` on Linux: openat, fsync, write). After a power cut such a log can be empty on
/// any file system; Cassandra then takes the transaction's files for whole and does not start. These are that log, and what it would have
/// named: SSTables without a table of contents, which is written last. Their rows are in the commit log.
fn unfinished(data: &Path) -> Result<Vec<PathBuf>> {
    let mut unfinished = Vec::new();
    for keyspace in fs::read_dir(data.join("sstables"))? {
        for table in fs::read_dir(keyspace?.path())? {
            let table = table?.path();
            let files: Vec<(String, u64)> = fs::read_dir(&table)?
                .map(|entry| {
                    let entry = entry?;
                    Ok((entry.file_name().to_string_lossy().into_owned(), entry.metadata()?.len()))
                })
                .collect::<Result<_>>()?;
            let is_log = |name: &str| name.contains("_txn_");
            if !files.iter().any(|(name, len)| is_log(name) && *len == 0) {
                continue;
            }
            // "nb-1-big-Data.db"
            let is_whole = |name: &str| {
                let contents = name.rsplit_once('-').map(|(stem, _)| format!("{stem}-TOC.txt"));
                files.iter().any(|(other, len)| Some(other) == contents.as_ref() && *len > 0)
            };
            let names = files.iter().map(|(name, _)| name);
            let names = names.filter(|name| is_log(name) || name.starts_with("nb-") && !is_whole(name));
            unfinished.extend(names.map(|name| table.join(name)));
        }
    }
    Ok(unfinished)
}

/// Writes the example's configuration for a node alone to `conf`, with its files in [`DIRECTORY`].
fn configure(conf: &Path) -> Result<()> {
    let mut script = Command::new(root().join("examples/cassandra/configure.sh"));
    let status = script.arg(conf).args([DIRECTORY, "127.0.0.1", "127.0.0.1"]).status().context("configure.sh")?;
    ensure!(status.success(), "configure.sh exits with {status}");
    // Its standard output is the acknowledgements alone.
    fs::copy(folder().join("databases/logback.xml"), conf.join("logback.xml"))?;
    Ok(())
}
