//! Finds the values of a tenant's patterns in a text.

use super::custom;
use super::detect::Hit;
use super::detect::email::Emails;
use super::detect::identifier::Identifiers;
use super::detect::ip_address::IpAddresses;
use super::detect::phone::Phones;
use super::folded::FoldedText;
use super::placeholder::placeholders_in;
use domain::privacy::{BuiltInPattern, CustomPattern};
use std::ops::Range;
use std::sync::Arc;

/// Maximum number of rounds. Each round hides what the earlier ones found; the search ends when a round finds nothing.
const MAX_ROUNDS: usize = 16;

/// The built-in patterns, compiled once for all tenants.
#[derive(Debug)]
pub struct BuiltInPatterns {
    emails: Emails,
    ip_addresses: IpAddresses,
    phones: Phones,
    serials: Identifiers,
    employees: Identifiers,
}

impl BuiltInPatterns {
    /// Compiles all of them, which takes a few milliseconds.
    ///
    /// # Errors
    /// If an expression does not compile, which is a bug.
    pub fn compile() -> Result<Self, regex::Error> {
        Ok(Self {
            emails: Emails::new()?,
            ip_addresses: IpAddresses::new()?,
            phones: Phones::new()?,
            serials: Identifiers::serials()?,
            employees: Identifiers::employees()?,
        })
    }

    fn find(&self, pattern: BuiltInPattern, text: &str) -> Vec<Hit> {
        match pattern {
            BuiltInPattern::Email => self.emails.find(text),
            BuiltInPattern::IpAddress => self.ip_addresses.find(text),
            BuiltInPattern::Phone => self.phones.find(text),
            BuiltInPattern::EquipmentSerial => self.serials.find(text),
            BuiltInPattern::EmployeeId => self.employees.find(text),
        }
    }
}

/// A value that a pattern found in a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding<'a> {
    /// Name of the pattern.
    pub pattern: &'a str,
    /// Byte range of the value in the text.
    pub range: Range<usize>,
    /// The value in its canonical form.
    pub(super) canonical: String,
}

/// The patterns of one tenant.
#[derive(Clone, Debug)]
pub struct Detector {
    built_in_patterns: Arc<BuiltInPatterns>,
    built_in: Vec<BuiltInPattern>,
    custom: Vec<CustomPattern>,
}

impl Detector {
    /// A detector of these patterns. If matches overlap, custom patterns take precedence, in their order, then the
    /// built-in ones in the order of [`BuiltInPattern`].
    #[must_use]
    pub fn new(compiled: Arc<BuiltInPatterns>, built_in: &[BuiltInPattern], custom: Vec<CustomPattern>) -> Self {
        let mut built_in = built_in.to_vec();
        built_in.sort_unstable();
        built_in.dedup();
        Self { built_in_patterns: compiled, built_in, custom }
    }

    /// The values in `text`, in order and without overlaps. Existing placeholders are ignored.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Finding<'_>> {
        let placeholders = placeholders_in(text);
        let mut findings: Vec<Finding<'_>> = Vec::new();
        for _ in 0..MAX_ROUNDS {
            let mut hidden = placeholders.clone();
            hidden.extend(findings.iter().map(|finding| finding.range.clone()));
            hidden.sort_unstable_by_key(|range| range.start);
            let new_findings = self.search_once(text, &hidden);
            if new_findings.is_empty() {
                break;
            }
            findings.extend(new_findings);
        }
        findings.sort_unstable_by_key(|finding| finding.range.start);
        findings
    }

    /// Searches the text once, with the `hidden` ranges replaced by barriers.
    fn search_once(&self, text: &str, hidden: &[Range<usize>]) -> Vec<Finding<'_>> {
        let folded = FoldedText::new(text, hidden);
        let mut candidates: Vec<Candidate<'_>> = Vec::new();
        for (rank, custom_pattern) in self.custom.iter().enumerate() {
            let hits = custom::find(custom_pattern, &folded.text).into_iter();
            candidates.extend(hits.map(|hit| Candidate { rank, pattern: custom_pattern.name(), hit }));
        }
        for (rank, built_in) in (self.custom.len()..).zip(&self.built_in) {
            let hits = self.built_in_patterns.find(*built_in, &folded.text).into_iter();
            candidates.extend(hits.map(|hit| Candidate { rank, pattern: built_in.as_str(), hit }));
        }
        candidates.retain(|candidate| {
            let value = folded.text.get(candidate.hit.range.clone()).unwrap_or_default();
            !value.trim().is_empty() && !value.contains(super::folded::BARRIER)
        });
        let finding = |Candidate { pattern, hit, .. }| {
            let range = folded.original_range(&hit.range);
            Finding { pattern, range, canonical: hit.canonical }
        };
        remove_overlaps(candidates).into_iter().map(finding).collect()
    }
}

struct Candidate<'a> {
    rank: usize,
    pattern: &'a str,
    hit: Hit,
}

/// Removes overlaps: of overlapping candidates, keeps the one with the lowest rank or, within a pattern, the longest.
fn remove_overlaps(mut candidates: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    let key = |candidate: &Candidate<'_>| (candidate.rank, std::cmp::Reverse(candidate.hit.range.len()));
    candidates.sort_by_key(|candidate| (key(candidate), candidate.hit.range.start));
    let mut kept_ranges: std::collections::BTreeMap<usize, usize> = std::collections::BTreeMap::new();
    candidates.retain(|candidate| {
        let Range { start, end } = candidate.hit.range;
        let is_free = kept_ranges.range(..end).next_back().is_none_or(|(_, last)| *last <= start);
        if is_free {
            kept_ranges.insert(start, end);
        }
        is_free
    });
    candidates
}
