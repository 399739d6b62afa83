//! Finds the values of a tenant's patterns in a text.

use super::custom;
use super::detect::FoldedMatch;
use super::detect::email::EmailMatcher;
use super::detect::identifier::IdentifierMatcher;
use super::detect::ip_address::IpAddressMatcher;
use super::detect::phone::PhoneMatcher;
use super::folded::FoldedText;
use super::placeholder::placeholders_in;
use domain::privacy::{BuiltInPattern, CustomPattern};
use std::ops::Range;
use std::sync::Arc;

/// Maximum number of passes over a text. Of overlapping matches one pass keeps only one, so the next pass, with the
/// kept values masked, may find values beside them. The search ends when a pass finds nothing.
const MAX_PASSES: usize = 16;

/// The built-in patterns, compiled once for all tenants.
#[derive(Debug)]
pub struct BuiltInPatterns {
    emails: EmailMatcher,
    ip_addresses: IpAddressMatcher,
    phones: PhoneMatcher,
    equipment_serials: IdentifierMatcher,
    employee_ids: IdentifierMatcher,
}

impl BuiltInPatterns {
    /// Compiles all of them, which takes a few milliseconds.
    ///
    /// # Errors
    /// If an expression does not compile, which is a bug.
    pub fn compile() -> Result<Self, regex::Error> {
        Ok(Self {
            emails: EmailMatcher::new()?,
            ip_addresses: IpAddressMatcher::new()?,
            phones: PhoneMatcher::new()?,
            equipment_serials: IdentifierMatcher::equipment_serials()?,
            employee_ids: IdentifierMatcher::employee_ids()?,
        })
    }

    fn find(&self, pattern: BuiltInPattern, text: &str) -> Vec<FoldedMatch> {
        match pattern {
            BuiltInPattern::Email => self.emails.find(text),
            BuiltInPattern::IpAddress => self.ip_addresses.find(text),
            BuiltInPattern::Phone => self.phones.find(text),
            BuiltInPattern::EquipmentSerial => self.equipment_serials.find(text),
            BuiltInPattern::EmployeeId => self.employee_ids.find(text),
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
    compiled_built_ins: Arc<BuiltInPatterns>,
    enabled_built_ins: Vec<BuiltInPattern>,
    custom: Vec<CustomPattern>,
}

impl Detector {
    /// A detector of these patterns. If matches overlap, custom patterns take precedence, in their order, then the
    /// built-in ones in the order of [`BuiltInPattern`].
    #[must_use]
    pub fn new(
        compiled_built_ins: Arc<BuiltInPatterns>,
        enabled_built_ins: &[BuiltInPattern],
        custom: Vec<CustomPattern>,
    ) -> Self {
        let mut enabled_built_ins = enabled_built_ins.to_vec();
        enabled_built_ins.sort_unstable();
        enabled_built_ins.dedup();
        Self { compiled_built_ins, enabled_built_ins, custom }
    }

    /// The values in `text`, in order and without overlaps. Existing placeholders are ignored.
    #[must_use]
    pub fn find(&self, text: &str) -> Vec<Finding<'_>> {
        let placeholders = placeholders_in(text);
        let mut findings: Vec<Finding<'_>> = Vec::new();
        for _ in 0..MAX_PASSES {
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

    /// Searches the text once, with each `hidden` range replaced by one [`BARRIER`](super::folded::BARRIER) character,
    /// which no pattern matches.
    fn search_once(&self, text: &str, hidden: &[Range<usize>]) -> Vec<Finding<'_>> {
        let folded = FoldedText::new(text, hidden);
        let mut candidates: Vec<Candidate<'_>> = Vec::new();
        for (precedence, custom_pattern) in self.custom.iter().enumerate() {
            let matches = custom::find(custom_pattern, &folded.text).into_iter();
            candidates.extend(matches.map(|folded_match| Candidate {
                precedence,
                pattern: custom_pattern.name(),
                folded_match,
            }));
        }
        for (precedence, built_in) in (self.custom.len()..).zip(&self.enabled_built_ins) {
            let matches = self.compiled_built_ins.find(*built_in, &folded.text).into_iter();
            candidates.extend(matches.map(|folded_match| Candidate {
                precedence,
                pattern: built_in.as_str(),
                folded_match,
            }));
        }
        candidates.retain(|candidate| {
            let value = folded.text.get(candidate.folded_match.range.clone()).unwrap_or_default();
            !value.trim().is_empty() && !value.contains(super::folded::BARRIER)
        });
        let finding = |Candidate { pattern, folded_match, .. }| {
            let range = folded.original_range(&folded_match.range);
            Finding { pattern, range, canonical: folded_match.canonical }
        };
        remove_overlaps(candidates).into_iter().map(finding).collect()
    }
}

struct Candidate<'a> {
    /// Position of the pattern among the detector's patterns; of overlapping candidates, the lowest one is kept.
    precedence: usize,
    pattern: &'a str,
    folded_match: FoldedMatch,
}

/// Removes overlaps: of overlapping candidates, keeps the one of the pattern that comes first or, within a pattern, the
/// longest.
fn remove_overlaps(mut candidates: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    let key = |candidate: &Candidate<'_>| (candidate.precedence, std::cmp::Reverse(candidate.folded_match.range.len()));
    candidates.sort_by_key(|candidate| (key(candidate), candidate.folded_match.range.start));
    let mut kept_ranges: std::collections::BTreeMap<usize, usize> = std::collections::BTreeMap::new();
    candidates.retain(|candidate| {
        let Range { start, end } = candidate.folded_match.range;
        let is_free = kept_ranges.range(..end).next_back().is_none_or(|(_, last)| *last <= start);
        if is_free {
            kept_ranges.insert(start, end);
        }
        is_free
    });
    candidates
}
