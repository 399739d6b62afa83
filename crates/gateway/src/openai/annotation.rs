//! Citations in OpenAI's format: annotations of the answer's text, each with the position of its `[n]` marker.

use chrono::TimeDelta;
use domain::conversation::{Citation, DocumentCitation, ReadingCitation};
use domain::plant::{Aggregate, SeriesPeriod, chart_path};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// Maximum length of a marker, in bytes. Longer text in brackets is not a marker.
const MAX_MARKER_BYTES: usize = 32;

/// A citation in the text of an answer.
#[derive(Serialize, ToSchema, Clone, Debug)]
#[schema(as = UrlCitationAnnotation)]
pub(crate) struct Annotation {
    /// `url_citation`
    #[serde(rename = "type")]
    kind: &'static str,
    url_citation: UrlCitation,
}

/// The cited document or reading, and the position of the citation in the text.
#[derive(Serialize, ToSchema, Clone, Debug)]
pub(crate) struct UrlCitation {
    /// URL of the document's file, relative to this server. The fragment contains the page and the passage, so that
    /// each passage has its own URL: clients merge sources that have the same URL. For a reading, the URL of its chart.
    url: String,
    /// The document's title; for a reading, its tag, value, quality and time.
    title: String,
    /// Position of the first character of the marker `[n]`, counted from 0.
    start_index: usize,
    /// Position of the first character after the marker.
    end_index: usize,
}

/// Returns the annotation of a citation. `text` is the answer so far. If it has no marker for the citation, the
/// position is the end of the text.
pub(crate) fn to_annotation(citation: &Citation, text: &str) -> Annotation {
    let (start_index, end_index) = find_marker(text, citation.n()).unwrap_or_else(|| {
        let end = text.chars().count();
        (end, end)
    });
    let url_citation = UrlCitation { url: url(citation), title: title(citation), start_index, end_index };
    Annotation { kind: "url_citation", url_citation }
}

/// Returns the citation as a `source` event of Open WebUI. It is sent in a field that other clients ignore.
pub(crate) fn source_event(citation: &Citation) -> Value {
    let (url, name) = (url(citation), title(citation));
    match citation {
        Citation::Document(citation) => json!({
            "type": "source",
            "data": {
                "source": { "id": citation.document_id, "name": name, "url": url },
                "document": [citation.quote],
                "metadata": [{
                    "source": url, "name": name, "file_name": citation.file_name, "page": citation.page,
                    "section": citation.section, "n": citation.n,
                }],
                "distances": [citation.score],
            },
        }),
        Citation::Reading(citation) => json!({
            "type": "source",
            "data": {
                "source": { "id": format!("{}/{}", citation.source, citation.tag), "name": name, "url": url },
                "document": [name],
                "metadata": [{
                    "source": url, "name": name, "n": citation.n, "kind": "reading", "tag": citation.tag,
                    "value": citation.value, "unit": citation.unit, "quality": citation.quality,
                    "at": citation.at, "plant_source": citation.source,
                }],
            },
        }),
    }
}

/// Returns the document's title, or the reading in words.
fn title(citation: &Citation) -> String {
    match citation {
        Citation::Document(citation) => citation.title.clone(),
        Citation::Reading(citation) => format!("{}: {}", citation.tag, citation.in_words()),
    }
}

fn url(citation: &Citation) -> String {
    match citation {
        Citation::Document(citation) => document_url(citation),
        Citation::Reading(citation) => reading_url(citation),
    }
}

/// Returns the URL of the document's file, with page and passage in the fragment.
fn document_url(citation: &DocumentCitation) -> String {
    let page = citation.page.map_or_else(String::new, |page| format!("page={page}&"));
    format!("/v1/documents/{}/content#{page}passage={}", citation.document_id, citation.chunk_id)
}

/// Returns the URL of the chart of a reading's series, or of the hour before a single reading.
fn reading_url(citation: &ReadingCitation) -> String {
    citation.chart().unwrap_or_else(|| {
        let to = citation.at + TimeDelta::seconds(1);
        let period = SeriesPeriod { from: to - TimeDelta::hours(1), to };
        chart_path(&citation.tag, period, Aggregate::Avg)
    })
}

/// Returns the start and end, in characters, of the first marker that contains the number `n`. A marker may contain
/// several numbers, as in `[1, 2]`.
fn find_marker(text: &str, n: u32) -> Option<(usize, usize)> {
    let mut search_start = 0;
    while let Some(open) = text[search_start..].find('[').map(|offset| offset + search_start) {
        search_start = open + 1;
        let Some(close) = text[search_start..].find(']').map(|offset| offset + search_start) else { continue };
        if close - open > MAX_MARKER_BYTES {
            continue;
        }
        let mut numbers = text[search_start..close].split([',', ';']).map(str::trim);
        if numbers.any(|number| number.parse() == Ok(n)) {
            let start = text[..open].chars().count();
            return Some((start, start + text[open..=close].chars().count()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_found_by_its_number_and_its_position_is_in_characters() {
        assert_eq!(find_marker("Größe 5 µm [1].", 1), Some((11, 14)));
        assert_eq!(find_marker("see [a] and [12], [1, 2]", 2), Some((18, 24)));
        assert_eq!(find_marker("see [ 3 ]", 3), Some((4, 9)));
        assert_eq!(find_marker("open [1", 1), None);
        assert_eq!(find_marker("[10]", 1), None);
        assert_eq!(find_marker(&format!("[{}] [1]", "x".repeat(40)), 1), Some((43, 46)));
    }
}
