//! Reads an upload from a multipart form, chunk by chunk, and only as fast as the consumer of the upload's bytes.

use crate::body::{check_storable, parse_json, prefix_pointer};
use crate::error::ApiError;
use crate::fields;
use crate::file_name;
use crate::form_digest::FormDigest;
use crate::throttled_body::{ConsumedBytes, ThrottledBody};
use axum::body::{Body, Bytes};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use chrono::Datelike as _;
use domain::error::ErrorKind;
use domain::ids::{DocumentId, TeamId};
use domain::ports::{BlobError, ByteStream};
use domain::role::Classification;
use domain::text::{RevisionLabel, ShortText};
use domain::time::{Date, Timestamp};
use domain::upload::{FieldError, Upload, UploadForm};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Maximum size of a form field other than the file, in bytes.
const MAX_FIELD_BYTES: usize = 64 << 10;
/// Maximum number of form fields other than the file.
const MAX_FIELDS: usize = 64;
/// Names of the form fields other than `file`.
const FIELD_NAMES: [&str; 8] =
    ["team_id", "tags", "doc_type", "classification", "revision", "effective_from", "supersedes", "metadata"];

/// A form whose body has not been read yet.
pub(crate) struct FormReader {
    multipart: Multipart,
    progress: ReadProgress,
}

/// Digest and number of bytes read so far.
struct ReadProgress {
    /// Number of bytes that the parser has returned; limits how far it reads ahead.
    consumed_bytes: ConsumedBytes,
    digest: Option<FormDigest>,
}

/// Opens the form of a request. `digest` is finished once the form was read to its end.
pub(crate) async fn open(request: Request, digest: Option<FormDigest>) -> Result<FormReader, ApiError> {
    let (parts, body) = request.into_parts();
    let (throttled, consumed_bytes) = ThrottledBody::new(body);
    let request = Request::from_parts(parts, Body::from_stream(throttled));
    let multipart = Multipart::from_request(request, &()).await.map_err(|_| {
        let detail = "The request needs a form of type multipart/form-data with the field `file`.";
        ApiError::new(ErrorKind::UnsupportedType, detail)
    })?;
    Ok(FormReader { multipart, progress: ReadProgress { consumed_bytes, digest } })
}

/// A form that turned out to be for a team, read up to that field. The decision on the upload was made for another
/// space, so that upload ends there, and another one continues.
pub(crate) struct TeamForm {
    /// As the field names it.
    pub(crate) team: TeamId,
    reader: FormReader,
    form: PartialForm,
}

/// An upload, and what is left of its form if that names a team that the upload is not for.
pub(crate) struct FormUpload {
    /// Reads the form as its bytes are read.
    pub(crate) upload: Upload,
    /// Gets a value only if the upload fails for that reason.
    pub(crate) redirected: oneshot::Receiver<TeamForm>,
}

/// Converts a form to an upload into the space of `team`. The body is read only as the consumer reads the upload's
/// bytes.
///
/// An invalid field ends the byte stream; `Upload::form` then returns the error.
pub(crate) fn into_upload(reader: FormReader, max_bytes: u64, team: Option<TeamId>) -> FormUpload {
    start_upload(reader, max_bytes, PartialForm { team, ..PartialForm::default() })
}

/// Continues an upload in the space of the team that its form names.
pub(crate) fn continue_upload(form: TeamForm, max_bytes: u64) -> FormUpload {
    let TeamForm { team, reader, form } = form;
    start_upload(reader, max_bytes, PartialForm { team: Some(team), ..form })
}

fn start_upload(reader: FormReader, max_bytes: u64, form: PartialForm) -> FormUpload {
    let (sender, receiver) = oneshot::channel();
    let (redirect, redirected) = oneshot::channel();
    let bytes = file_bytes(reader, max_bytes, form, FormSenders { form: sender, redirect });
    FormUpload { upload: Upload { bytes, form: receive_form(receiver) }, redirected }
}

/// Reads a form only to compute its digest. Returns `None` if the body is interrupted, or larger than an upload may be.
pub(crate) async fn compute_digest(reader: FormReader, max_bytes: u64) -> Option<[u8; 32]> {
    let FormReader { mut multipart, mut progress } = reader;
    let mut remaining_bytes = max_bytes.saturating_add((MAX_FIELD_BYTES * MAX_FIELDS) as u64);
    while let Some(mut part) = multipart.next_field().await.ok()? {
        progress.open_part(&part);
        while let Some(chunk) = next_chunk(&mut part, &mut progress).await.ok()? {
            remaining_bytes = remaining_bytes.checked_sub(chunk.len() as u64)?;
        }
    }
    progress.finish()
}

/// Where the form goes at the end of the body, or when it names another team.
struct FormSenders {
    form: oneshot::Sender<Result<UploadForm, FieldError>>,
    redirect: oneshot::Sender<TeamForm>,
}

type FormReceiver = oneshot::Receiver<Result<UploadForm, FieldError>>;

fn receive_form(receiver: FormReceiver) -> BoxFuture<'static, Result<UploadForm, FieldError>> {
    receiver.map(|form| form.unwrap_or_else(|_| Err(field_error("/file", "was not received completely")))).boxed()
}

impl ReadProgress {
    fn open_part(&mut self, part: &Field<'_>) {
        if let Some(digest) = &mut self.digest {
            digest.open_part(part.name().unwrap_or_default(), part.file_name().unwrap_or_default());
        }
    }

    fn add(&mut self, chunk: &Bytes) {
        self.consumed_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        if let Some(digest) = &mut self.digest {
            digest.update(chunk);
        }
    }

    fn finish(&mut self) -> Option<[u8; 32]> {
        self.digest.as_mut().map(FormDigest::finish)
    }
}

/// Streams the bytes of the file. Parses the other fields as they arrive, and sends the form at the end of the body.
fn file_bytes(reader: FormReader, max_bytes: u64, mut form: PartialForm, senders: FormSenders) -> ByteStream {
    let FormReader { mut multipart, mut progress } = reader;
    Box::pin(async_stream::stream! {
        let mut remaining_bytes = max_bytes;
        let result = loop {
            let mut part = match multipart.next_field().await {
                Ok(Some(part)) => part,
                Ok(None) => {
                    progress.finish();
                    break std::mem::take(&mut form).finish().map_err(FormError::from);
                }
                Err(error) => break Err(interrupted(&error)),
            };
            progress.open_part(&part);
            if part.name() != Some("file") {
                match form.read_field(part, &mut progress).await {
                    Ok(()) => continue,
                    Err(error) => break Err(error),
                }
            }
            if let Err(error) = form.set_file_name(part.file_name()) {
                break Err(error.into());
            }
            let file_result = loop {
                match next_chunk(&mut part, &mut progress).await {
                    Ok(Some(chunk)) if chunk.len() as u64 > remaining_bytes => {
                        break Err(FormError::Body(BlobError::TooLarge { limit: max_bytes }));
                    }
                    Ok(Some(chunk)) => {
                        remaining_bytes -= chunk.len() as u64;
                        yield Ok(chunk);
                    }
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            };
            if let Err(error) = file_result {
                break Err(error);
            }
        };
        // Sending fails only if the receiver was dropped, in which case nobody needs the form.
        match result {
            Ok(form) => drop(senders.form.send(Ok(form))),
            Err(FormError::Field(error)) => drop(senders.form.send(Err(error))),
            Err(FormError::OtherTeam(team)) => {
                let reader = FormReader { multipart, progress };
                drop(senders.redirect.send(TeamForm { team, reader, form }));
                drop(senders.form.send(Err(field_error("/team_id", "names another space than the upload's"))));
            }
            Err(FormError::Body(error)) => yield Err(error),
        }
    })
}

/// Reason why a form cannot be read.
enum FormError {
    /// A field is invalid.
    Field(FieldError),
    /// The body was interrupted or is too large.
    Body(BlobError),
    /// The form is for this team, and the upload is not.
    OtherTeam(TeamId),
}

impl From<FieldError> for FormError {
    fn from(error: FieldError) -> Self {
        Self::Field(error)
    }
}

/// Fields that were read so far.
#[derive(Default)]
struct PartialForm {
    field_count: usize,
    /// The team that the upload is for.
    team: Option<TeamId>,
    filename: Option<String>,
    tags: Vec<ShortText>,
    doc_type: Option<ShortText>,
    classification: Option<Classification>,
    revision: Option<RevisionLabel>,
    effective_from: Option<Date>,
    supersedes: Option<DocumentId>,
    metadata: Option<Value>,
}

impl PartialForm {
    fn set_file_name(&mut self, name: Option<&str>) -> Result<(), FieldError> {
        if self.filename.is_some() {
            return Err(field_error("/file", "must be given once: one upload is one document"));
        }
        let name = name.ok_or_else(|| field_error("/file", "must be a file with a file name"))?;
        self.filename = Some(file_name::sanitize(name).map_err(|detail| field_error("/file", detail))?);
        Ok(())
    }

    async fn read_field(&mut self, mut part: Field<'_>, progress: &mut ReadProgress) -> Result<(), FormError> {
        let name = part.name().unwrap_or_default().to_owned();
        self.field_count += 1;
        if self.field_count > MAX_FIELDS {
            return Err(field_error("", format!("must have at most {MAX_FIELDS} fields")).into());
        }
        if !FIELD_NAMES.contains(&name.as_str()) {
            let name = truncate(&name);
            let detail = format!("unknown form field `{name}`; the form has {}", FIELD_NAMES.join(", "));
            return Err(field_error(&format!("/{name}"), detail).into());
        }
        let text = read_text(&mut part, &name, progress).await?;
        if name == "team_id" {
            return self.check_team(&text);
        }
        Ok(self.set_field(&name, &text)?)
    }

    /// Checks that the upload is for the team that the form names. A field before the file can still be followed.
    fn check_team(&self, text: &str) -> Result<(), FormError> {
        let id = text.trim().parse::<Uuid>();
        let team = TeamId::from_uuid(id.map_err(|_| field_error("/team_id", "must be the id of a team"))?);
        match self.team {
            Some(known) if known == team => Ok(()),
            Some(_) => Err(field_error("/team_id", "names another team than before").into()),
            None if self.filename.is_some() => {
                Err(field_error("/team_id", "must come before the file, or be a parameter of the query").into())
            }
            None => Err(FormError::OtherTeam(team)),
        }
    }

    fn set_field(&mut self, name: &str, text: &str) -> Result<(), FieldError> {
        match name {
            "tags" => {
                let tags = parse_tags(text)?;
                self.tags.extend(to_field_error(fields::parse_tags("/tags", &tags))?);
                if self.tags.len() > fields::MAX_TAGS {
                    return Err(field_error("/tags", format!("must be at most {} tags", fields::MAX_TAGS)));
                }
                Ok(())
            }
            "doc_type" => set_once(&mut self.doc_type, name, to_field_error(fields::parse_text("/doc_type", text))?),
            "classification" => {
                let parsed = text.trim().parse::<Classification>();
                let class = parsed.map_err(|error| field_error("/classification", truncate(&error.to_string())))?;
                set_once(&mut self.classification, name, class)
            }
            "revision" => set_once(&mut self.revision, name, to_field_error(fields::parse_text("/revision", text))?),
            "effective_from" => set_once(&mut self.effective_from, name, parse_date(text)?),
            "supersedes" => {
                let id = text.trim().parse::<Uuid>();
                let id = id.map_err(|_| field_error("/supersedes", "must be the id of a document"))?;
                set_once(&mut self.supersedes, name, id.into())
            }
            _ => set_once(&mut self.metadata, name, parse_metadata(text)?),
        }
    }

    fn finish(self) -> Result<UploadForm, FieldError> {
        Ok(UploadForm {
            filename: self.filename.ok_or_else(|| field_error("/file", "is missing"))?,
            tags: self.tags,
            doc_type: self.doc_type,
            classification: self.classification,
            revision: self.revision,
            effective_from: self.effective_from,
            supersedes: self.supersedes,
            metadata: self.metadata.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        })
    }
}

/// Reads a field of at most `MAX_FIELD_BYTES` as text.
async fn read_text(part: &mut Field<'_>, name: &str, progress: &mut ReadProgress) -> Result<String, FormError> {
    let pointer = format!("/{name}");
    let mut bytes = Vec::new();
    while let Some(chunk) = next_chunk(part, progress).await? {
        if bytes.len() + chunk.len() > MAX_FIELD_BYTES {
            let detail = format!("must be at most {} KiB long", MAX_FIELD_BYTES >> 10);
            return Err(field_error(&pointer, detail).into());
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| field_error(&pointer, "must be UTF-8 text").into())
}

async fn next_chunk(part: &mut Field<'_>, progress: &mut ReadProgress) -> Result<Option<Bytes>, FormError> {
    let chunk = part.chunk().await.map_err(|error| interrupted(&error))?;
    if let Some(chunk) = &chunk {
        progress.add(chunk);
    }
    Ok(chunk)
}

/// Parses tags: a JSON array of texts, or texts separated by commas.
fn parse_tags(text: &str) -> Result<Vec<String>, FieldError> {
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|_| field_error("/tags", "must be a JSON array of texts"));
    }
    let tags = text.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    Ok(tags.map(str::to_owned).collect())
}

/// Parses a date such as `2026-03-01`, or a timestamp (RFC 3339), whose date in UTC is used.
fn parse_date(text: &str) -> Result<Date, FieldError> {
    let text = text.trim();
    let date = text.parse::<Date>().or_else(|_| text.parse::<Timestamp>().map(|at| at.date_naive()));
    date.ok()
        .filter(|date| (1900..3000).contains(&date.year()))
        .ok_or_else(|| field_error("/effective_from", "must be a date such as 2026-03-01"))
}

fn parse_metadata(text: &str) -> Result<Value, FieldError> {
    let Ok(Value::Object(fields)) = parse_json(text.as_bytes()) else {
        return Err(field_error("/metadata", "must be a JSON object"));
    };
    let value = to_field_error(fields::parse_metadata("/metadata", fields))?;
    check_storable(&value).map_err(|error| prefix_pointer("metadata", error))?;
    Ok(value)
}

fn set_once<T>(field: &mut Option<T>, name: &str, value: T) -> Result<(), FieldError> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(field_error(&format!("/{name}"), "must be given once")),
    }
}

/// Converts an error of the parsers in [`fields`] to its first field error.
fn to_field_error<T>(parsed: Result<T, ApiError>) -> Result<T, FieldError> {
    parsed.map_err(|error| {
        let first = error.fields.into_iter().next();
        first.unwrap_or_else(|| field_error("", "is not allowed"))
    })
}

fn field_error(pointer: &str, detail: impl Into<String>) -> FieldError {
    FieldError { pointer: pointer.to_owned(), detail: detail.into() }
}

fn truncate(text: &str) -> String {
    text.chars().take(100).collect()
}

fn interrupted(error: &MultipartError) -> FormError {
    FormError::Body(BlobError::Interrupted { reason: error.status().to_string() })
}
