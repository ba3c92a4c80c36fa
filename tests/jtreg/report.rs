//! The table: for each folder how many tests there are, which rules leave how many out, and how many pass.

use super::records::{Here, Host, Records};
use super::rules::Rule;
use super::suite::{FOLDERS, Suite};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The bar: of the tests that pass on Linux, so many in a hundred pass here.
pub const BAR: f64 = 97.0;

#[derive(Clone, Default)]
struct Row {
    found: u32,
    rules: BTreeMap<Rule, u32>,
    on_linux: u32,
    ran: u32,
    passed: u32,
}

/// The table, and whether what ran reaches the bar.
pub fn table(suite: &Suite, host: &Records<Host>, here: &Records<Here>) -> (String, bool) {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for (test, rule) in &suite.tests {
        let folder = FOLDERS.into_iter().find(|folder| test.name.starts_with(folder)).unwrap_or("others");
        let row = rows.entry(folder).or_default();
        row.found += 1;
        match (rule, host.get(&test.name)) {
            (Some(rule), _) | (None, Some(Host::Out(rule, _))) => *row.rules.entry(*rule).or_default() += 1,
            (None, Some(Host::Passed(_))) => row.on_linux += 1,
            (None, None) => {}
        }
        if rule.is_none()
            && let (Some(Host::Passed(_)), Some(end)) = (host.get(&test.name), here.get(&test.name))
        {
            row.ran += 1;
            row.passed += u32::from(end.is_good);
        }
    }
    let mut all = Row::default();
    let mut text = String::from(
        "| folder | tests | left out by rule | pass on Linux | run here | pass here | percent |\n|---|---|---|---|---|---|---|\n",
    );
    let percent = |row: &Row| 100.0 * f64::from(row.passed) / f64::from(row.ran.max(1));
    let mut line = |name: &str, row: &Row| {
        let out: u32 = row.rules.values().sum();
        let _ = writeln!(
            text,
            "| {name} | {} | {out} | {} | {} | {} | {:.1} |",
            row.found,
            row.on_linux,
            row.ran,
            row.passed,
            percent(row)
        );
    };
    for (name, row) in &rows {
        line(name, row);
        all.found += row.found;
        all.on_linux += row.on_linux;
        all.ran += row.ran;
        all.passed += row.passed;
        for (rule, count) in &row.rules {
            *all.rules.entry(*rule).or_default() += count;
        }
    }
    line("all", &all);
    text += "\n| left out because | tests |\n|---|---|\n";
    for (rule, count) in Rule::ALL.iter().filter_map(|rule| Some((rule, all.rules.get(rule)?))) {
        let _ = writeln!(text, "| {rule} | {count} |");
    }
    (text, all.ran > 0 && percent(&all) >= BAR)
}
