//! `@requires`: expressions over what the JVM and the machine are
//! (<https://openjdk.org/jtreg/tag-spec.html#requires_names>; the names beyond it come from OpenJDK's `VMProps.java`).

use anyhow::{Result, bail};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The values of the names. `vm.opt.X` that is not here is null: the option was not given.
pub type Facts = BTreeMap<String, String>;

/// Whether `expression` holds.
pub fn holds(expression: &str, facts: &Facts) -> Result<bool> {
    let mut parser = Parser { tokens: tokens(expression), at: 0, facts };
    let value = parser.or()?;
    if parser.at < parser.tokens.len() {
        bail!("{:?} is left of {expression:?}", parser.tokens[parser.at]);
    }
    Ok(value == "true")
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '"' => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
            _ if ["==", "!=", "<=", ">=", "=~", "!~", "&&", "||"].iter().any(|two| rest.starts_with(two)) => 2,
            c if c.is_alphanumeric() => {
                rest.find(|c: char| !(c.is_alphanumeric() || "._-".contains(c))).unwrap_or(rest.len())
            }
            c => c.len_utf8(),
        };
        tokens.push(rest[..len].to_string());
        rest = rest[len..].trim_start();
    }
    tokens
}

struct Parser<'a> {
    tokens: Vec<String>,
    at: usize,
    facts: &'a Facts,
}

impl Parser<'_> {
    fn accept(&mut self, wanted: &[&str]) -> Option<String> {
        let token = self.tokens.get(self.at).filter(|token| wanted.contains(&token.as_str()))?.clone();
        self.at += 1;
        Some(token)
    }

    fn or(&mut self) -> Result<String> {
        let mut left = self.and()?;
        while self.accept(&["|", "||"]).is_some() {
            let right = self.and()?;
            left = (left == "true" || right == "true").to_string();
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<String> {
        let mut left = self.relation()?;
        while self.accept(&["&", "&&"]).is_some() {
            let right = self.relation()?;
            left = (left == "true" && right == "true").to_string();
        }
        Ok(left)
    }

    fn relation(&mut self) -> Result<String> {
        let left = self.term()?;
        let Some(operator) = self.accept(&["==", "!=", "<", "<=", ">", ">=", "=~", "!~"]) else {
            return Ok(left);
        };
        let right = self.term()?;
        let order = match (number(&left), number(&right)) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.cmp(&right),
        };
        let value = match operator.as_str() {
            "==" => order == Ordering::Equal,
            "!=" => order != Ordering::Equal,
            "<" => order == Ordering::Less,
            "<=" => order != Ordering::Greater,
            ">" => order == Ordering::Greater,
            ">=" => order != Ordering::Less,
            "=~" => matches(&left, &right)?,
            _ => !matches(&left, &right)?,
        };
        Ok(value.to_string())
    }

    fn term(&mut self) -> Result<String> {
        let Some(token) = self.tokens.get(self.at).cloned() else {
            bail!("the expression ends early");
        };
        self.at += 1;
        match token.as_str() {
            "(" => {
                let value = self.or()?;
                if self.accept(&[")"]).is_none() {
                    bail!("a parenthesis is not closed");
                }
                Ok(value)
            }
            "!" => Ok((self.term()? != "true").to_string()),
            "true" | "false" | "null" => Ok(token),
            text if text.starts_with('"') => Ok(text.trim_matches('"').to_string()),
            name if name.starts_with(|c: char| c.is_ascii_digit()) => Ok(token),
            name if self.facts.contains_key(name) => Ok(self.facts[name].clone()),
            name if name.starts_with("vm.opt.") => Ok("null".into()),
            name => bail!("the name {name:?} is not known"),
        }
    }
}

/// A number with a unit, as `4G`.
fn number(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G']);
    let shift = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_shl(shift)
}

/// The patterns that OpenJDK uses here: words with `.*` around them and `|` between.
fn matches(text: &str, pattern: &str) -> Result<bool> {
    let mut any = false;
    for choice in pattern.trim_matches(['(', ')']).split('|') {
        let parts: Vec<&str> = choice.split(".*").collect();
        if parts.iter().any(|part| part.contains(['[', '(', '*', '+', '?', '\\'])) {
            bail!("the pattern {pattern:?} is not handled");
        }
        let (first, last) = (parts[0], parts[parts.len() - 1]);
        let mut at = 0;
        let in_order = parts.iter().all(|part| {
            let found = text[at..].find(part);
            at += found.map_or(0, |found| found + part.len());
            found.is_some()
        });
        any |= in_order && text.starts_with(first) && text.ends_with(last) && (parts.len() > 1 || text == choice);
    }
    Ok(any)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_mean_what_jtreg_says() {
        let pairs = [("vm.gc.G1", "true"), ("os.family", "linux"), ("os.maxMemory", "4294967296"), ("vm.gc", "null")];
        let facts: Facts = pairs.map(|(name, value)| (name.to_string(), value.to_string())).into();
        for (expression, value) in [
            ("vm.gc.G1 & os.family == \"linux\"", true),
            ("!vm.gc.G1 | (os.maxMemory > 3G)", true),
            ("os.maxMemory > 4G", false),
            ("os.family != \"windows\" & !(os.family == \"linux\")", false),
            ("vm.opt.MaxHeapSize == null", true),
            ("vm.gc == \"null\" | vm.gc==\"Serial\"", true),
            ("os.family =~ \".*nu.*\"", true),
            ("os.family !~ \"lin.*|mac\"", false),
        ] {
            assert_eq!(holds(expression, &facts).unwrap(), value, "{expression}");
        }
        assert!(holds("vm.nonsense", &facts).is_err());
        assert!(holds("vm.gc.G1 vm.gc.G1", &facts).is_err());
    }
}
