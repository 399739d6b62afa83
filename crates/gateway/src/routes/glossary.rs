//! Routes of the tenant's own glossary, as JSON and as CSV.

use super::settings::expected_version;
use crate::body::ApiJson;
use crate::caller::AuthenticatedRequest;
use crate::csv;
use crate::csv_body::{self, CsvBody, MAX_LINE_ERRORS, line_error, malformed};
use crate::error::ApiError;
use crate::file_name::attachment_disposition;
use crate::query::ApiQuery;
use crate::state::AppState;
use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderName};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use domain::command::{ExportGlossary, ImportGlossary, ReadGlossary, ReplaceGlossary};
use domain::error::ErrorKind;
use domain::glossary::{Concept, Concepts, GlossaryLanguage, GlossaryVersion};
use domain::upload::FieldError;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

/// The columns of a CSV file.
const COLUMNS: [&str; 3] = ["concept", "language", "term"];

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(get, put)).routes(routes!(import)).routes(routes!(export))
}

/// A new version of the glossary.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "concepts": [{"name": "isolation", "terms": {"en": ["blank off"], "de": ["Steckscheibe setzen"]}}],
}))]
struct NewGlossary {
    /// All concepts, with at most 10,000 terms together.
    #[schema(max_items = 2000)]
    concepts: Vec<ConceptBody>,
}

/// A concept, and the words and phrases that name it.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = GlossaryConcept)]
struct ConceptBody {
    /// Unique within the glossary, regardless of case. A concept with the name of a built-in one extends that.
    #[schema(min_length = 1, max_length = 128)]
    name: String,
    terms: TermsBody,
}

/// Words and phrases of at most 128 characters that mean the same, by language (ISO 639-1).
#[derive(Default, Deserialize, Serialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
#[schema(as = GlossaryTerms)]
struct TermsBody {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    en: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    de: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    es: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    fr: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    it: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    nl: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pt: Vec<String>,
}

/// The tenant's glossary.
#[derive(Serialize, ToSchema)]
#[schema(as = Glossary)]
struct GlossaryBody {
    /// 0 if there is none yet; one more with each change. Also sent as `ETag`.
    version: i64,
    concepts: Vec<ConceptBody>,
    /// User who made the change; null for version 0.
    changed_by: Option<Uuid>,
    changed_at: Option<DateTime<Utc>>,
}

/// What an import did.
#[derive(Serialize, ToSchema)]
#[schema(as = GlossaryImport)]
struct ImportBody {
    /// Number of concepts in the file.
    imported: usize,
    /// Number of concepts that the glossary has now.
    concepts: usize,
    /// The new version. Also sent as `ETag`.
    version: i64,
}

/// Which version to return.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct GlossaryQuery {
    /// Number of an earlier version; the last 20 are kept.
    #[param(minimum = 1)]
    version: Option<i64>,
}

type WithEtag<T> = ([(HeaderName, String); 1], Json<T>);

fn with_etag<T>(version: i64, body: T) -> WithEtag<T> {
    ([(ETAG, format!("\"{version}\""))], Json(body))
}

impl TermsBody {
    fn terms_mut(&mut self, language: GlossaryLanguage) -> &mut Vec<String> {
        match language {
            GlossaryLanguage::English => &mut self.en,
            GlossaryLanguage::German => &mut self.de,
            GlossaryLanguage::Spanish => &mut self.es,
            GlossaryLanguage::French => &mut self.fr,
            GlossaryLanguage::Italian => &mut self.it,
            GlossaryLanguage::Dutch => &mut self.nl,
            GlossaryLanguage::Portuguese => &mut self.pt,
        }
    }
}

impl From<ConceptBody> for Concept {
    fn from(ConceptBody { name, mut terms }: ConceptBody) -> Self {
        let languages = GlossaryLanguage::ALL.iter();
        let terms = languages.map(|language| (*language, std::mem::take(terms.terms_mut(*language))));
        Self { name, terms: terms.collect() }
    }
}

impl From<Concept> for ConceptBody {
    fn from(concept: Concept) -> Self {
        let mut terms = TermsBody::default();
        for (language, of_language) in concept.terms {
            *terms.terms_mut(language) = of_language;
        }
        Self { name: concept.name, terms }
    }
}

impl From<GlossaryVersion> for GlossaryBody {
    fn from(version: GlossaryVersion) -> Self {
        Self {
            version: version.version,
            concepts: version.concepts.into_vec().into_iter().map(Into::into).collect(),
            changed_by: version.changed_by.map(|id| id.as_uuid()),
            changed_at: version.changed_at,
        }
    }
}

/// Returns your tenant's glossary. It extends the built-in one, which is not part of it.
#[utoipa::path(
    get, path = "/v1/admin/glossary", tag = "admin", params(GlossaryQuery),
    responses((status = 200, body = GlossaryBody, headers(("etag" = String))))
)]
async fn get(
    call: AuthenticatedRequest,
    ApiQuery(query): ApiQuery<GlossaryQuery>,
) -> Result<WithEtag<GlossaryBody>, ApiError> {
    if query.version.is_some_and(|version| version < 1) {
        return Err(ApiError::invalid_field("/version", "must be at least 1"));
    }
    let found = call.execute(ReadGlossary { version: query.version }).await?;
    Ok(with_etag(found.version, found.into()))
}

/// Replaces your tenant's glossary. Searches use the new version at once.
///
/// If the glossary no longer has the version in `If-Match`, the response is 409 `stale_version`.
#[utoipa::path(
    put, path = "/v1/admin/glossary", tag = "admin", request_body = NewGlossary,
    params(("If-Match" = Option<String>, Header, description = "`ETag` of your last read")),
    responses((status = 200, body = GlossaryBody, headers(("etag" = String))))
)]
async fn put(
    call: AuthenticatedRequest,
    headers: HeaderMap,
    ApiJson(body): ApiJson<NewGlossary>,
) -> Result<WithEtag<GlossaryBody>, ApiError> {
    let at = |cause: FieldError| FieldError { pointer: format!("/concepts{}", cause.pointer), ..cause };
    let concepts = Concepts::parse(body.concepts.into_iter().map(Into::into).collect()).map_err(at)?;
    let changed = call.execute(ReplaceGlossary { concepts, expected: expected_version(&headers)? }).await?.after;
    Ok(with_etag(changed.version, changed.into()))
}

/// Adds the concepts of a CSV file to your tenant's glossary, and replaces those of the same name. Either all lines are
/// imported, or none.
///
/// The first line names the columns `concept`, `language` and `term`, separated by commas or semicolons, in UTF-8. Each
/// further line is one term. If the glossary no longer has the version in `If-Match`, the response is 409
/// `stale_version`.
#[utoipa::path(
    post, path = "/v1/admin/glossary/import", tag = "admin",
    params(("If-Match" = Option<String>, Header, description = "`ETag` of your last read")),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = ImportBody, headers(("etag" = String))))
)]
async fn import(
    call: AuthenticatedRequest,
    headers: HeaderMap,
    CsvBody(bytes): CsvBody,
) -> Result<WithEtag<ImportBody>, ApiError> {
    let concepts = parse_csv(&bytes)?;
    let imported = concepts.as_slice().len();
    let changed = call.execute(ImportGlossary { concepts, expected: expected_version(&headers)? }).await?.after;
    let body = ImportBody { imported, concepts: changed.concepts.as_slice().len(), version: changed.version };
    Ok(with_etag(changed.version, body))
}

/// Exports your tenant's glossary as comma-separated values, as an import takes them.
#[utoipa::path(
    get, path = "/v1/admin/glossary/export", tag = "admin",
    responses((status = 200, description = "The file", body = String, content_type = "text/csv"))
)]
async fn export(call: AuthenticatedRequest) -> Result<Response, ApiError> {
    let exported = call.execute(ExportGlossary).await?;
    let headers = [
        (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (CONTENT_DISPOSITION, attachment_disposition("glossary.csv")),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox".to_owned()),
        (CACHE_CONTROL, "private, no-cache".to_owned()),
    ];
    Ok((headers, to_csv(exported.concepts.as_slice())).into_response())
}

fn to_csv(concepts: &[Concept]) -> String {
    let mut text = String::new();
    csv::push_row(&mut text, COLUMNS);
    for concept in concepts {
        for (language, terms) in &concept.terms {
            for term in terms {
                csv::push_row(&mut text, [concept.name.as_str(), language.as_str(), term.as_str()]);
            }
        }
    }
    text
}

/// A line of a CSV file.
struct TermLine<'a> {
    line: u64,
    concept: &'a str,
    language: GlossaryLanguage,
    term: &'a str,
}

/// Parses a CSV file. Lines of one concept may be anywhere in it.
fn parse_csv(bytes: &[u8]) -> Result<Concepts, ApiError> {
    let text = csv_body::decode(bytes)?;
    let mut reader = csv_body::reader(&text);
    let header = reader.headers().map_err(|error| malformed(&error))?.clone();
    let columns = csv_body::parse_header(&header, &COLUMNS, &COLUMNS)?;
    let (mut file, mut errors) = (GlossaryFile::default(), Vec::new());
    for record in reader.records() {
        let record = record.map_err(|error| malformed(&error))?;
        let added = parse_line(&record, &columns).and_then(|line| file.add(&line));
        errors.extend(added.err());
        if errors.len() >= MAX_LINE_ERRORS {
            break;
        }
    }
    if !errors.is_empty() {
        return Err(ApiError { fields: errors, ..ApiError::from_kind(ErrorKind::InvalidField) });
    }
    if file.concepts.is_empty() {
        return Err(ApiError::invalid_field("/lines/2", "the file has no terms below its first line"));
    }
    let GlossaryFile { concepts, lines, .. } = file;
    Concepts::parse(concepts).map_err(|error| at_line(error, &lines).into())
}

fn parse_line<'r>(
    record: &'r csv_body::Record,
    columns: &HashMap<&'static str, usize>,
) -> Result<TermLine<'r>, FieldError> {
    let line = record.position().map_or(0, csv_body::line_of);
    let cell = |column: &str| columns.get(column).and_then(|index| record.get(*index)).unwrap_or_default();
    if record.len() > columns.len() {
        let detail = format!("is in a line of {} cells, not {}", record.len(), columns.len());
        return Err(line_error(line, "term", &detail));
    }
    let language = cell("language").to_lowercase();
    let language = language
        .parse::<GlossaryLanguage>()
        .map_err(|cause| line_error(line, "language", &format!("must be one of {}", cause.expected)))?;
    let (concept, term) = (without_apostrophe(cell("concept")), without_apostrophe(cell("term")));
    for (column, text) in [("concept", concept), ("term", term)] {
        if text.is_empty() {
            return Err(line_error(line, column, "must not be empty"));
        }
    }
    Ok(TermLine { line, concept, language, term })
}

/// The text of a cell without the apostrophe that an export puts before what a spreadsheet would take for a formula.
fn without_apostrophe(cell: &str) -> &str {
    let rest = cell.strip_prefix('\'').unwrap_or(cell);
    if csv::begins_formula(rest) { rest } else { cell }
}

/// The concepts of a file, and where each of their terms was.
#[derive(Default)]
struct GlossaryFile {
    concepts: Vec<Concept>,
    positions: HashMap<String, usize>,
    lines: HashMap<TermPosition, u64>,
}

/// Position of a term: the index of its concept, its language, and its index among the terms of both.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct TermPosition {
    concept: usize,
    language: GlossaryLanguage,
    term: usize,
}

impl GlossaryFile {
    /// Adds a term. Fails if there are more concepts than a glossary may have.
    fn add(&mut self, line: &TermLine<'_>) -> Result<(), FieldError> {
        let new = Concept { name: line.concept.to_owned(), terms: BTreeMap::new() };
        let index = *self.positions.entry(new.key()).or_insert(self.concepts.len());
        if index == self.concepts.len() {
            if index == Concepts::MAX {
                let detail = format!("is one more than the {} that a glossary may have", Concepts::MAX);
                return Err(line_error(line.line, "concept", &detail));
            }
            self.concepts.push(new);
        }
        let terms = self.concepts[index].terms.entry(line.language).or_default();
        let position = TermPosition { concept: index, language: line.language, term: terms.len() };
        terms.push(line.term.to_owned());
        self.lines.insert(position, line.line);
        Ok(())
    }
}

/// Replaces the position of a term or concept, as in `/0/terms/de/1`, by that of its line.
fn at_line(error: FieldError, lines: &HashMap<TermPosition, u64>) -> FieldError {
    let mut segments = error.pointer.split('/').skip(1);
    let concept = segments.next().and_then(|index| index.parse::<usize>().ok());
    let language = segments.nth(1).and_then(|code| code.parse::<GlossaryLanguage>().ok());
    let term = segments.next().and_then(|index| index.parse::<usize>().ok());
    let column = if language.is_some() { "term" } else { "concept" };
    let is_wanted = |position: &TermPosition| {
        Some(position.concept) == concept
            && language.is_none_or(|language| position.language == language)
            && term.is_none_or(|term| position.term == term)
    };
    let line = lines.iter().filter(|(position, _)| is_wanted(position)).map(|(_, line)| *line).min();
    line.map_or_else(|| error.clone(), |line| line_error(line, column, &error.detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointers(csv: &str) -> Vec<String> {
        match parse_csv(csv.as_bytes()) {
            Ok(concepts) => concepts
                .as_slice()
                .iter()
                .map(|concept| format!("{} {:?}", concept.name, concept.terms.values().flatten().collect::<Vec<_>>()))
                .collect(),
            Err(error) if error.fields.is_empty() => vec![error.detail.unwrap_or_default()],
            Err(error) => error.fields.into_iter().map(|field| field.pointer).collect(),
        }
    }

    #[test]
    fn lines_of_one_concept_are_put_together() {
        let file =
            "\u{feff}Concept;Language;Term\r\nBlind;de;Steckscheibe\r\nFlare;en;flare\r\nblind;DE;Blinddeckel\r\n";
        assert_eq!(pointers(file), [r#"Blind ["Steckscheibe", "Blinddeckel"]"#, r#"Flare ["flare"]"#]);
    }

    #[test]
    fn each_wrong_line_is_named() {
        let file = "concept,language,term\n,de,a\nA,xx,a\nA,de,\nA,de,a,b\nA,de,a\n";
        assert_eq!(pointers(file), ["/lines/2/concept", "/lines/3/language", "/lines/4/term", "/lines/5/term"]);
        assert_eq!(pointers("concept,language,term\nA,de,a\nB,de,b\nA,de,A\n"), ["/lines/4/term"]);
        let long = format!("concept,language,term\nA,de,a\n{},de,b\n", "x".repeat(129));
        assert_eq!(pointers(&long), ["/lines/3/concept"]);
        assert_eq!(pointers("concept,language,term\n"), ["/lines/2"]);
        assert_eq!(pointers("concept,language\nA,de\n"), ["/lines/1"]);
        assert_eq!(pointers("concept,sprache,term\nA,de,a\n"), ["/lines/1"]);
    }

    #[test]
    fn there_may_be_as_many_concepts_as_a_glossary_has() {
        let lines = |count: usize| (0..count).map(|n| format!("c{n},en,t\n")).collect::<String>();
        let file = |count| format!("concept,language,term\n{}", lines(count));
        assert_eq!(pointers(&file(Concepts::MAX)).len(), Concepts::MAX);
        assert_eq!(pointers(&file(Concepts::MAX + 1)), [format!("/lines/{}/concept", Concepts::MAX + 2)]);
    }

    #[test]
    fn what_is_exported_can_be_imported() {
        let file = "concept,language,term\r\n\"a, b\",de,\"say \"\"x\"\"\"\r\n'=sum,en,'-20\r\nc,fr,l'eau\r\n";
        let concepts = parse_csv(file.as_bytes()).expect("valid");
        assert_eq!(concepts.as_slice()[1].name, "=sum");
        let exported = to_csv(concepts.as_slice());
        assert!(exported.contains("\"'=sum\",\"en\",\"'-20\""), "{exported}");
        assert_eq!(parse_csv(exported.as_bytes()).expect("valid"), concepts);
    }
}
