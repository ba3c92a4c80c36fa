//! Three JDKs, every collector, every probe, HotSpot's features: the same program of the same JDK on Linux and in the guest.
//!
//! * [`jdks`]: which JDKs, found on this machine or fetched
//! * [`matrix`]: which programs with which options (`guest/java/matrix.txt`), all of them or the sample of the daily run
//! * [`archive`]: class-data archives of one's own, written and used
//! * [`crash`]: crashes in native code and what HotSpot leaves behind
//! * [`report`]: what of a crash report must equal Linux's
//! * [`stress`]: the long run under load

use crate::build::Built;
use crate::differential;
use crate::guest::Guest;
use crate::table::Test;
use crate::tally::Tally;
use anyhow::Result;
use images::cache::Cache;
use images::jdk::Jdk;

pub mod archive;
pub mod crash;
pub mod jdks;
pub mod matrix;
pub mod report;
pub mod stress;

/// How much is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A few minutes.
    Sample,
    /// Everything: an hour.
    Full,
}

/// Runs what passes `filter`, JDK by JDK.
pub fn run(filter: &dyn Fn(&str) -> bool, extent: Extent, built: &Built, tally: &mut Tally) -> Result<()> {
    let cache = Cache::open()?;
    for version in jdks::Version::ALL {
        let rows: Vec<matrix::Run> = matrix::runs(&built.matrix, version, extent);
        let mut rows: Vec<matrix::Run> = rows.into_iter().filter(|run| filter(&run.test.name)).collect();
        let names = [archive::name(version), crash::NAMES_START.to_string() + version.name()];
        let is_wanted = |name: &String| filter(name) || crash::names(version).iter().any(|name| filter(name));
        let is_sampled = extent == Extent::Full || version == jdks::Version::V17;
        if rows.is_empty() && !(is_sampled && names.iter().any(is_wanted)) {
            continue;
        }
        let jdk = match jdks::find(version, extent, &cache) {
            Ok(jdk) => jdk,
            Err(why) => {
                tally.skip(&format!("jdk{}", version.name()), &format!("NO JDK {}: {why:#}", version.name()));
                continue;
            }
        };
        skip_what_lacks_a_module(&mut rows, &jdk, tally);
        let guest = Guest::prepare(built, &jdk)?;
        let tests: Vec<&Test> = rows.iter().map(|run| &run.test).collect();
        differential::run(&tests, built, &jdk, &guest, tally)?;
        if extent == Extent::Full && filter(&archive::name(version)) {
            tally.check(&archive::name(version), archive::check(version, built, &jdk, &guest));
        }
        crash::run(filter, version, extent, built, &jdk, &guest, tally);
    }
    Ok(())
}

/// A runtime may have fewer modules than a whole JDK: by that list alone, programs are left out.
fn skip_what_lacks_a_module(rows: &mut Vec<matrix::Run>, jdk: &Jdk, tally: &mut Tally) {
    let Some(modules) = jdk.release("MODULES") else { return };
    rows.retain(|run| {
        let missing = run.needs.iter().find(|needed| !modules.split(' ').any(|module| module == needed.as_str()));
        if let Some(module) = missing {
            tally.skip(&run.test.name, &format!("this JDK has no module {module}"));
        }
        missing.is_none()
    });
}
