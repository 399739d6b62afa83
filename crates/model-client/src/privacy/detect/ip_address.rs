//! Finds IPv4 and IPv6 addresses. A version or section number with four parts looks like an IPv4 address; the words
//! before it, a port after it and its address range decide.

use super::FoldedMatch;
use super::context::{follows_word, last_match_end, precedes_word, text_after, text_before};
use super::words::{NETWORK_WORDS, STATE_WORDS, VERSION_WORDS, any_of};
use regex::Regex;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// Length of the text before a candidate that is searched for words, in bytes.
const LOOKBEHIND_BYTES: usize = 48;

/// Finds IP addresses.
#[derive(Debug)]
pub(in super::super) struct IpAddressMatcher {
    ipv4_candidate: Regex,
    ipv6_candidate: Regex,
    network_words: Regex,
    version_words: Regex,
    version_word_directly_before: Regex,
    port_or_mask: Regex,
    state_words_after: Regex,
}

impl IpAddressMatcher {
    pub(in super::super) fn new() -> Result<Self, regex::Error> {
        let number = format!(r"(?i)(?:\b{}\b|(?:version|software|firmware|release)\p{{L}}*|§)", any_of(VERSION_WORDS));
        Ok(Self {
            ipv4_candidate: Regex::new(r"[0-9]+(?:(?:\.|\[\.\]|\(\.\))[0-9]+)+(?:\.[ \t]*\r?\n[ \t]*[0-9]{1,3}\b)?")?,
            ipv6_candidate: Regex::new(r"[0-9A-Fa-f]*:[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*")?,
            network_words: Regex::new(&format!(
                r"(?i)\b{}\b|-(?:server|ip|adresse|gateway)\b|//|@",
                any_of(NETWORK_WORDS)
            ))?,
            version_words: Regex::new(&number)?,
            version_word_directly_before: Regex::new(&format!(
                r"{number}[\s.:=-]*(?:(?:is|ist|from|to|von|auf|nach|number|nr\.?|no\.?|v)[\s:]+)?$"
            ))?,
            state_words_after: Regex::new(&format!(
                r"(?i)^[ \t]+(?:(?:is|was|ist|war|not|nicht)[ \t]+){{0,2}}{}\b",
                any_of(STATE_WORDS)
            ))?,
            port_or_mask: Regex::new(r"^(?::[0-9]{2,5}|/[0-9]{1,2})(?:[^0-9:.]|$)")?,
        })
    }

    pub(in super::super) fn find(&self, text: &str) -> Vec<FoldedMatch> {
        let ipv4_matches = self.ipv4_candidate.find_iter(text).filter_map(|run| self.ipv4_match(text, run.range()));
        let ipv6_matches = self.ipv6_candidate.find_iter(text).filter_map(|run| ipv6_match(text, run.range()));
        ipv6_matches.chain(ipv4_matches).collect()
    }

    fn ipv4_match(&self, text: &str, range: Range<usize>) -> Option<FoldedMatch> {
        let run = &text[range.clone()];
        let has_line_break = run.contains('\n');
        let compact: String =
            run.chars().filter(|char| !char.is_whitespace() && !matches!(char, '[' | ']' | '(' | ')')).collect();
        let Some(address) = parse_ipv4(&compact) else {
            // The line break may have joined a complete address with the number of the next line.
            let (first, _) = run.split_once(['\n', '\r'])?;
            let first = first.trim_end().trim_end_matches('.');
            return self.ipv4_match(text, range.start..range.start + first.len());
        };
        let tail = text_after(text, range.end, 40);
        let continues_with_digit =
            tail.strip_prefix('.').is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()));
        if follows_word(text, range.start) || precedes_word(text, range.end) || continues_with_digit {
            return None;
        }
        let follows_dotted_number = text[..range.start].ends_with(['.', ','])
            && text[..range.start - 1].ends_with(|char: char| char.is_ascii_digit());
        if follows_dotted_number || (has_line_break && !is_unlike_a_version(address)) {
            return None;
        }
        let is_address = self.is_address(text_before(text, range.start, LOOKBEHIND_BYTES), tail, address);
        is_address.then(|| FoldedMatch { range, canonical: address.to_string() })
    }

    fn is_address(&self, head: &str, tail: &str, address: Ipv4Addr) -> bool {
        if self.port_or_mask.is_match(tail) || is_unlike_a_version(address) {
            return true;
        }
        if self.version_word_directly_before.is_match(head) {
            return false;
        }
        let (network, number) = (last_match_end(&self.network_words, head), last_match_end(&self.version_words, head));
        match (network, number) {
            (Some(network), Some(number)) => network > number,
            (Some(_), None) => true,
            (None, Some(_)) => exceeds_version_numbers(address),
            (None, None) => {
                address.is_private() || exceeds_version_numbers(address) || self.state_words_after.is_match(tail)
            }
        }
    }
}

/// Whether the address is in a range that versions do not use.
fn is_unlike_a_version(address: Ipv4Addr) -> bool {
    let is_private = address.is_private() && address.octets()[0] != 10;
    is_private || address.is_loopback() || address.is_link_local() || address.octets()[0] == 255
}

/// Whether the numbers are too large for a version or section.
fn exceeds_version_numbers(address: Ipv4Addr) -> bool {
    let octets = address.octets();
    octets[0] >= 20 && octets.iter().any(|octet| *octet >= 100)
}

/// Parses four numbers up to 255, each without leading zeros or padded to three digits.
fn parse_ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<_> = text.split('.').collect();
    let octet = |part: &str| {
        let has_valid_padding = part.len() == 3 || part == "0" || !part.starts_with('0');
        part.parse::<u8>().ok().filter(|_| has_valid_padding)
    };
    let octets: Option<Vec<u8>> = parts.into_iter().map(octet).collect();
    let octets: [u8; 4] = octets?.try_into().ok()?;
    Some(Ipv4Addr::from(octets))
}

fn ipv6_match(text: &str, range: Range<usize>) -> Option<FoldedMatch> {
    let run = &text[range.clone()];
    let run = if run.ends_with("::") { run } else { run.trim_end_matches([':', '.']) };
    let range = range.start..range.start + run.len();
    if follows_word(text, range.start) || precedes_word(text, range.end) || run.len() > 45 {
        return None;
    }
    let address: Ipv6Addr = run.parse().ok()?;
    let groups = run.split(':').filter(|group| !group.is_empty()).count();
    let has_known_prefix = address.is_loopback()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || address.to_ipv4_mapped().is_some()
        || address.segments()[0] & 0xE000 == 0x2000;
    (groups >= 4 || (has_known_prefix && run.len() >= 3)).then(|| FoldedMatch { range, canonical: address.to_string() })
}
