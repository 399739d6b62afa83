//! Packs units into chunks that are as full as allowed: consecutive chunks overlap by whole sentences, chunks that
//! continue a table repeat its header, and small chunks are merged with a neighbor.

use std::collections::HashMap;

use super::super::readers::CellRange;
use super::params::ChunkParams;
use super::units::{Unit, UnitKind};

/// A chunk that has no index and page yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Draft {
    pub section: Option<String>,
    /// The cells that the content comes from, without those of a repeated header.
    pub cells: Option<CellRange>,
    pub content: String,
    pub tokens: usize,
}

/// Packs the sections of one page.
pub(super) struct Packer<'a> {
    pub params: &'a ChunkParams,
    pub count_tokens: &'a dyn Fn(&str) -> usize,
}

impl Packer<'_> {
    pub fn pack(&self, sections: Vec<Vec<Unit>>) -> Vec<Draft> {
        let drafts =
            self.join_small_sections(sections).into_iter().flat_map(|units| self.pack_section(&units)).collect();
        self.merge_small(drafts)
    }

    /// Joins each section that is smaller than [`ChunkParams::min_tokens`] with the following section.
    fn join_small_sections(&self, sections: Vec<Vec<Unit>>) -> Vec<Vec<Unit>> {
        let mut out: Vec<Vec<Unit>> = Vec::new();
        for units in sections {
            let token_sum = |units: &Vec<Unit>| units.iter().map(|unit| unit.tokens).sum::<usize>();
            match out.last_mut() {
                Some(last) if token_sum(last) < self.params.min_tokens => last.extend(units),
                _ => out.push(units),
            }
        }
        out
    }

    fn pack_section(&self, units: &[Unit]) -> Vec<Draft> {
        let mut headers: HashMap<usize, Vec<Unit>> = HashMap::new();
        for unit in units {
            if let UnitKind::Row { table, header: true } = unit.kind {
                headers.entry(table).or_default().push(unit.clone());
            }
        }
        let mut drafts = Vec::new();
        let mut start = 0;
        let mut overlap = 0;
        while start < units.len() {
            let leading_units = match units[start].kind {
                UnitKind::Row { table, header: false } => headers.get(&table).map_or(&[][..], Vec::as_slice),
                _ => &units[start - overlap..start],
            };
            let leading_units = self.usable_leading_units(leading_units, &units[start]);
            let end = self.chunk_end(leading_units, units, start);
            drafts.push(self.draft(leading_units, &units[start..end]));
            overlap = self.overlap(&units[start..end]);
            start = end;
        }
        drafts
    }

    /// Returns `leading_units`, the units to repeat at the start of a chunk (the header of a continued table, or the
    /// last sentences of the previous chunk). Returns nothing if they would leave no room for `first` or fill more than
    /// half of the chunk.
    fn usable_leading_units<'u>(&self, leading_units: &'u [Unit], first: &Unit) -> &'u [Unit] {
        let tokens: usize = leading_units.iter().map(|unit| unit.tokens).sum();
        let fits = self.count_joined_tokens(leading_units, std::slice::from_ref(first)) <= self.params.max_tokens;
        if fits && tokens * 2 <= self.params.max_tokens { leading_units } else { &[] }
    }

    /// Returns the end of the range of units from `start` that fit into a chunk after `leading_units`; at least one
    /// unit is taken. The sum of the units' tokens is an estimate, which is then corrected by counting the joined text.
    fn chunk_end(&self, leading_units: &[Unit], units: &[Unit], start: usize) -> usize {
        let max = self.params.max_tokens;
        let mut tokens: usize = leading_units.iter().map(|unit| unit.tokens).sum();
        let mut end = start;
        while end < units.len() && (end == start || tokens + units[end].tokens <= max) {
            tokens += units[end].tokens;
            end += 1;
        }
        while end > start + 1 && self.count_joined_tokens(leading_units, &units[start..end]) > max {
            end -= 1;
        }
        // Avoid a tiny last chunk: leave more units for it.
        let min = self.params.min_tokens.min(max / 3);
        while end > start + 1 && is_too_small(&units[end..], min) {
            end -= 1;
        }
        // A header without a row of its table says nothing.
        let is_header = |unit: &Unit| matches!(unit.kind, UnitKind::Row { header: true, .. });
        while end < units.len()
            && units[start..end].iter().all(is_header)
            && self.count_joined_tokens(leading_units, &units[start..=end]) <= max
        {
            end += 1;
        }
        // Keep a heading together with the text below it.
        let mut end_before_heading = end;
        while end < units.len()
            && end_before_heading > start + 1
            && units[end_before_heading - 1].kind == UnitKind::Heading
        {
            end_before_heading -= 1;
        }
        if units[start..end_before_heading].iter().all(|unit| unit.kind == UnitKind::Heading) {
            end
        } else {
            end_before_heading
        }
    }

    /// Number of units at the end of a chunk that the next chunk repeats: whole sentences of together at most
    /// [`ChunkParams::overlap_tokens`], and never all units.
    fn overlap(&self, units: &[Unit]) -> usize {
        let mut tokens = 0;
        let units_from_end = units.iter().rev().take(units.len().saturating_sub(1));
        units_from_end
            .take_while(|unit| {
                tokens += unit.tokens;
                unit.kind == UnitKind::Sentence && tokens <= self.params.overlap_tokens
            })
            .count()
    }

    fn count_joined_tokens(&self, leading_units: &[Unit], units: &[Unit]) -> usize {
        (self.count_tokens)(&join(leading_units, units))
    }

    fn draft(&self, leading_units: &[Unit], units: &[Unit]) -> Draft {
        let content = join(leading_units, units);
        let tokens = (self.count_tokens)(&content);
        Draft { section: section_of(units), cells: cells_of(units), content, tokens }
    }

    /// Merges each chunk smaller than [`ChunkParams::min_tokens`] with a neighbor if both fit into one chunk.
    fn merge_small(&self, drafts: Vec<Draft>) -> Vec<Draft> {
        let mut out: Vec<Draft> = Vec::new();
        for draft in drafts {
            let is_small = |draft: &Draft| draft.tokens < self.params.min_tokens;
            match out.last_mut() {
                Some(last) if is_small(last) || is_small(&draft) => match self.try_merge(last, &draft) {
                    Some(merged) => *last = merged,
                    None => out.push(draft),
                },
                _ => out.push(draft),
            }
        }
        out
    }

    /// Merges two chunks; the result has the heading path of the larger one. `None` if they do not fit into one chunk.
    fn try_merge(&self, first: &Draft, second: &Draft) -> Option<Draft> {
        let content = format!("{}\n{}", first.content, second.content);
        let tokens = (self.count_tokens)(&content);
        let section = if first.tokens > second.tokens { &first.section } else { &second.section };
        let cells = match (first.cells, second.cells) {
            (Some(first), Some(second)) => Some(first.union(second)),
            (first, second) => first.or(second),
        };
        (tokens <= self.params.max_tokens).then(|| Draft { section: section.clone(), cells, content, tokens })
    }
}

/// Whether `units` is not empty and has fewer than `min` tokens in total.
fn is_too_small(units: &[Unit], min: usize) -> bool {
    let mut tokens = 0;
    !units.is_empty()
        && units.iter().all(|unit| {
            tokens += unit.tokens;
            tokens < min
        })
}

/// The heading path of a chunk: the path of at least 60 % of the tokens, else the common prefix of all paths, else the
/// path with the most tokens.
fn section_of(units: &[Unit]) -> Option<String> {
    let mut tokens_by_section: Vec<(Option<&str>, usize)> = Vec::new();
    for unit in units {
        let section = unit.section.as_deref();
        match tokens_by_section.iter_mut().find(|(other, _)| *other == section) {
            Some((_, share)) => *share += unit.tokens,
            None => tokens_by_section.push((section, unit.tokens)),
        }
    }
    let total: usize = tokens_by_section.iter().map(|(_, share)| share).sum();
    let (largest, share) = tokens_by_section.iter().copied().max_by_key(|(_, share)| *share)?;
    if share * 5 >= total * 3 {
        return largest.map(str::to_owned);
    }
    let paths: Vec<Vec<&str>> = tokens_by_section
        .iter()
        .map(|(section, _)| section.map_or(Vec::new(), |path| path.split(" > ").collect()))
        .collect();
    let common_depth = (0..)
        .take_while(|at| paths[0].get(*at).is_some_and(|part| paths.iter().all(|path| path.get(*at) == Some(part))))
        .count();
    if common_depth > 0 { Some(paths[0][..common_depth].join(" > ")) } else { largest.map(str::to_owned) }
}

/// The cells of the rows of data, or of the header if there are no others.
fn cells_of(units: &[Unit]) -> Option<CellRange> {
    let is_header = |unit: &&Unit| matches!(unit.kind, UnitKind::Row { header: true, .. });
    let data = units.iter().filter(|unit| !is_header(unit)).filter_map(|unit| unit.cells).reduce(CellRange::union);
    data.or_else(|| units.iter().filter_map(|unit| unit.cells).reduce(CellRange::union))
}

fn join(leading_units: &[Unit], units: &[Unit]) -> String {
    let mut out = String::new();
    for unit in leading_units.iter().chain(units) {
        if !out.is_empty() {
            out.push_str(unit.separator);
        }
        out.push_str(&unit.text);
    }
    out
}
