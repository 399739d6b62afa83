//! Packing, overlap and tables, by example and by property.

use proptest::prelude::*;

use super::super::readers::{Block, BlockKind, Format, Limits, Page, read};
use super::*;

fn count_words(text: &str) -> usize {
    text.split_whitespace().count()
}

fn document(pages: Vec<Vec<Block>>) -> ParsedDocument {
    let pages = (1..).zip(pages).map(|(number, blocks)| Page { number: Some(number), blocks, ..Page::default() });
    ParsedDocument { pages: pages.collect(), ..ParsedDocument::default() }
}

fn heading(level: u8, text: &str) -> Block {
    Block::new(BlockKind::Heading { level }, text)
}

fn paragraph(text: impl Into<String>) -> Block {
    Block::new(BlockKind::Paragraph, text)
}

fn sentences(count: usize) -> String {
    (0..count).map(|n| format!("Sentence number {n} has six words.")).collect::<Vec<_>>().join(" ")
}

fn params(max_tokens: usize, overlap_tokens: usize, min_tokens: usize) -> ChunkParams {
    ChunkParams { max_tokens, overlap_tokens, min_tokens }
}

#[test]
fn each_chunk_has_its_page_and_heading_path() {
    let document = document(vec![
        vec![heading(1, "Pump"), heading(2, "Start-up"), paragraph(sentences(4))],
        vec![paragraph(sentences(3)), heading(2, "Shut-down"), paragraph(sentences(3))],
    ]);
    let chunks = chunk(&document, &params(100, 0, 5), &count_words);
    let pages_and_sections: Vec<_> = chunks.iter().map(|chunk| (chunk.page, chunk.section.as_deref())).collect();
    let (start, stop) = (Some("Pump > Start-up"), Some("Pump > Shut-down"));
    assert_eq!(pages_and_sections, [(Some(1), start), (Some(2), start), (Some(2), stop)]);
    assert!(chunks[0].content.starts_with("Pump\nStart-up\nSentence"));
}

#[test]
fn neighboring_chunks_of_a_section_overlap_by_whole_sentences() {
    let document = document(vec![vec![paragraph(sentences(12))]]);
    let chunks = chunk(&document, &params(30, 6, 5), &count_words);
    assert!(chunks.len() > 2);
    for pair in chunks.windows(2) {
        let last = pair[0].content.rsplit(". ").next().unwrap();
        assert!(pair[1].content.starts_with(last), "{:?} then {:?}", pair[0].content, pair[1].content);
    }
}

#[test]
fn every_chunk_of_a_table_has_its_header_row() {
    let row = |header, text: String| Block::new(BlockKind::TableRow { header }, text);
    let mut blocks = vec![row(true, "Tag | Range".into())];
    blocks.extend((0..20).map(|n| row(false, format!("PIT-{n} | 0 to {n} bar"))));
    let chunks = chunk(&document(vec![blocks]), &params(30, 10, 5), &count_words);
    assert!(chunks.len() > 2);
    assert!(chunks.iter().all(|chunk| chunk.content.starts_with("Tag | Range\nPIT-")));
    assert_eq!(
        chunks.iter().flat_map(|chunk| chunk.content.lines()).filter(|line| line.starts_with("PIT-")).count(),
        20
    );
}

#[test]
fn a_caption_goes_with_its_table_into_every_chunk() {
    let row = |header, text: String| Block::new(BlockKind::TableRow { header }, text);
    let mut blocks = vec![paragraph(sentences(4)), paragraph("Table 3-1 Data"), row(true, "Tag | Range".into())];
    blocks.extend((0..20).map(|n| row(false, format!("PIT-{n} | 0 to {n} bar"))));
    let chunks = chunk(&document(vec![blocks]), &params(30, 0, 5), &count_words);
    let tables = &chunks[1..];
    assert!(tables.len() > 2);
    assert!(tables.iter().all(|chunk| chunk.content.starts_with("Table 3-1 Data\nTag | Range\nPIT-")), "{tables:?}");
}

#[test]
fn small_chunks_are_merged_and_a_heading_stays_with_its_text() {
    let document = document(vec![vec![
        heading(2, "Note"),
        paragraph("Short."),
        heading(2, "Details"),
        paragraph(sentences(5)),
        heading(4, "Deep"),
        paragraph(sentences(3)),
    ]]);
    let chunks = chunk(&document, &params(34, 0, 10), &count_words);
    assert!(chunks[0].content.starts_with("Note\nShort.\nDetails\nSentence"));
    assert_eq!(chunks[0].section.as_deref(), Some("Details"));
    assert!(chunks.iter().all(|chunk| !chunk.content.ends_with("Deep")));
}

#[test]
fn the_embedded_text_starts_with_title_and_section_and_the_content_does_not() {
    let document = document(vec![vec![heading(1, "Seals"), paragraph("Replace yearly.")]]);
    let chunk = &chunk(&document, &ChunkParams::default(), &count_words)[0];
    assert_eq!(chunk.embedded_text("Pump manual"), "Pump manual | Seals\nSeals\nReplace yearly.");
    assert_eq!(chunk.content, "Seals\nReplace yearly.");
}

#[test]
fn a_sentence_larger_than_a_chunk_is_split() {
    let long = vec!["word"; 100].join(" ");
    let chunks = chunk(&document(vec![vec![paragraph(long)]]), &params(30, 5, 5), &count_words);
    assert_eq!(chunks.iter().map(|chunk| count_words(&chunk.content)).sum::<usize>(), 100);
    assert!(chunks.iter().all(|chunk| chunk.token_count <= 30));
}

/// The chunks of a table that is read from CSV.
fn table_chunks(rows: &[Vec<String>], max: usize) -> Vec<Chunk> {
    let csv = rows.iter().map(|row| row.join(";")).collect::<Vec<_>>().join("\n");
    let document = read(Format::Csv, csv.as_bytes(), "table.csv", &Limits::default()).unwrap();
    chunk(&document, &params(max, 0, 4), &count_words)
}

#[test]
fn chunks_of_a_sheet_name_their_cells_and_repeat_caption_and_header() {
    let mut rows = vec![vec!["Tag".to_owned(), "Description".into(), "Range".into()]];
    rows.extend((1001..1021).map(|n| vec![format!("PIT-{n}"), "Discharge pressure".into(), "0..16 bar".into()]));
    let chunks = table_chunks(&rows, 40);
    assert!(chunks.len() > 2);
    assert_eq!(chunks[0].section.as_deref(), Some("A2:C6"));
    assert!(chunks[0].content.starts_with("Tag | Description | Range\nPIT-1001 | Discharge pressure | 0..16 bar\n"));
    assert!(chunks.iter().all(|chunk| chunk.content.starts_with("Tag | Description | Range\nPIT-")), "{chunks:#?}");
    assert!(chunks.last().unwrap().section.as_ref().unwrap().ends_with(":C21"));
}

#[test]
fn a_row_that_does_not_fit_below_its_header_names_its_columns() {
    let header = (0..30).map(|n| format!("Column {n} label")).collect::<Vec<_>>();
    let row = (0..30).map(|n| format!("value {n}")).collect::<Vec<_>>();
    let chunks = table_chunks(&[header, row.clone(), row], 30);
    let records: Vec<&Chunk> = chunks.iter().filter(|chunk| chunk.content.contains("value")).collect();
    assert!(records.len() > 4);
    assert!(records.iter().all(|chunk| chunk.content.starts_with("Column 0 label: value 0 | ")), "{records:#?}");
    assert!(records.iter().any(|chunk| chunk.content.contains("Column 29 label: value 29")));
    assert_eq!(records[0].section.as_deref(), Some("A2:AD2"));
}

fn block() -> impl Strategy<Value = Block> {
    let text = prop::collection::vec("[a-zA-Z0-9äß-]{1,12}[.!?,]?", 1..60).prop_map(|words| words.join(" "));
    let kind = prop_oneof![
        (1..=6_u8).prop_map(|level| BlockKind::Heading { level }),
        Just(BlockKind::Paragraph),
        Just(BlockKind::ListItem),
        any::<bool>().prop_map(|header| BlockKind::TableRow { header }),
        Just(BlockKind::Code),
    ];
    (kind, text).prop_map(|(kind, text)| Block::new(kind, text))
}

/// Counts the occurrences of each word.
fn occurrences<'a>(texts: impl Iterator<Item = &'a str>) -> std::collections::BTreeMap<&'a str, usize> {
    let mut counts = std::collections::BTreeMap::new();
    texts.flat_map(str::split_whitespace).for_each(|word| *counts.entry(word).or_default() += 1);
    counts
}

proptest! {
    #[test]
    fn each_cell_of_a_table_is_in_a_chunk_within_the_limit(
        header in prop::collection::vec("[A-Z][a-z]{1,6}( [a-z]{1,5}){0,3}", 1..12),
        rows in prop::collection::vec(prop::collection::vec("([a-z0-9]{1,6}( [a-z0-9]{1,6}){0,12})?", 1..12), 1..20),
        max in 8_usize..60,
    ) {
        let table: Vec<Vec<String>> = [header].into_iter().chain(rows).collect();
        let chunks = table_chunks(&table, max);
        for chunk in &chunks {
            prop_assert!(chunk.token_count <= max, "{} > {max}: {}", chunk.token_count, chunk.content);
            prop_assert!(chunk.section.is_some());
        }
        let found = occurrences(chunks.iter().map(|chunk| chunk.content.as_str()));
        for word in table.iter().flatten().flat_map(|cell| cell.split_whitespace()) {
            prop_assert!(found.contains_key(word), "{word} is missing in {chunks:#?}");
        }
    }

    #[test]
    fn chunks_cover_all_text_within_the_limit_page_by_page(
        pages in prop::collection::vec(prop::collection::vec(block(), 0..12), 0..5),
        max in 8_usize..80,
        overlap in 0_usize..10,
        min in 0_usize..20,
    ) {
        let document = document(pages);
        let chunks = chunk(&document, &params(max, overlap, min), &count_words);
        for (at, chunk) in chunks.iter().enumerate() {
            prop_assert_eq!(chunk.index as usize, at);
            prop_assert!(chunk.token_count <= max, "{} > {max}", chunk.token_count);
            prop_assert_eq!(chunk.token_count, count_words(&chunk.content));
        }
        let order: Vec<_> = chunks.iter().map(|chunk| chunk.page).collect();
        prop_assert!(order.is_sorted());
        for page in &document.pages {
            let page_chunks = chunks.iter().filter(|chunk| chunk.page == page.number);
            let found = occurrences(page_chunks.map(|chunk| chunk.content.as_str()));
            for (word, count) in occurrences(page.blocks.iter().map(|block| block.text.as_str())) {
                prop_assert!(found.get(word).is_some_and(|found| *found >= count), "{word} is missing");
            }
        }
    }
}
