//! An upload as a multipart form, read piece by piece and only as far as the layer below asks for it.

use crate::body::{check_values, parse};
use crate::error::ApiError;
use crate::file_name;
use crate::form_digest::FormDigest;
use crate::throttled::{Consumed, ThrottledBody};
use crate::wire;
use axum::body::{Body, Bytes};
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{FromRequest, Request};
use chrono::Datelike as _;
use domain::command::UploadForm;
use domain::error::ErrorKind;
use domain::ids::DocumentId;
use domain::ports::{BlobError, ByteStream};
use domain::role::Classification;
use domain::text::{Label, RevisionLabel};
use domain::time::{Date, Timestamp};
use domain::upload::{FieldError, Upload};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use std::sync::atomic::Ordering;
use tokio::sync::oneshot;
use uuid::Uuid;

/// Largest form field beside the file, in bytes.
const MAX_FIELD: usize = 64 << 10;
/// Most parts of a form.
const MAX_PARTS: usize = 64;
/// The fields of the form beside the file.
const KNOWN: [&str; 7] = ["tags", "doc_type", "classification", "revision", "effective_from", "supersedes", "metadata"];

/// A form that has not been read yet.
pub(crate) struct Source {
    multipart: Multipart,
    meter: Meter,
}

/// What passes: how much was taken out of the parser, and a digest of it if somebody wants one.
struct Meter {
    taken: Consumed,
    digest: Option<FormDigest>,
}

/// Opens the form of a request; `digest` gets to know what is in it once it was read to its end.
pub(crate) async fn open(request: Request, digest: Option<FormDigest>) -> Result<Source, ApiError> {
    let (parts, body) = request.into_parts();
    let (throttled, taken) = ThrottledBody::new(body);
    let request = Request::from_parts(parts, Body::from_stream(throttled));
    let multipart = Multipart::from_request(request, &()).await.map_err(|_| {
        let detail = "This address takes a form of type multipart/form-data with the field `file`.";
        ApiError::new(ErrorKind::UnsupportedType, detail)
    })?;
    Ok(Source { multipart, meter: Meter { taken, digest } })
}

/// Makes an upload of a form. Nothing is read before the upload's bytes are asked for.
///
/// A field that is not allowed ends the bytes at once; the form then says what was wrong.
pub(crate) fn upload(source: Source, max_bytes: u64) -> Upload {
    let (send, receive) = oneshot::channel();
    Upload { bytes: read(source, max_bytes, send), form: result(receive) }
}

/// Reads a form to its end for its digest alone. `None`: it broke off, or is larger than an upload may be.
pub(crate) async fn digest(source: Source, max_bytes: u64) -> Option<[u8; 32]> {
    let Source { mut multipart, mut meter } = source;
    let mut left = max_bytes.saturating_add((MAX_FIELD * MAX_PARTS) as u64);
    while let Some(mut part) = multipart.next_field().await.ok()? {
        meter.open(&part);
        while let Some(piece) = next(&mut part, &mut meter).await.ok()? {
            left = left.checked_sub(piece.len() as u64)?;
        }
    }
    meter.finish()
}

type FormSender = oneshot::Sender<Result<UploadForm, FieldError>>;

fn result(
    receive: oneshot::Receiver<Result<UploadForm, FieldError>>,
) -> BoxFuture<'static, Result<UploadForm, FieldError>> {
    receive.map(|form| form.unwrap_or_else(|_| Err(field("/file", "did not arrive whole")))).boxed()
}

impl Meter {
    fn open(&mut self, part: &Field<'_>) {
        if let Some(digest) = &mut self.digest {
            digest.open(part.name().unwrap_or_default(), part.file_name().unwrap_or_default());
        }
    }

    fn finish(&mut self) -> Option<[u8; 32]> {
        self.digest.as_mut().map(FormDigest::finish)
    }
}

fn read(source: Source, max_bytes: u64, send: FormSender) -> ByteStream {
    let Source { mut multipart, mut meter } = source;
    Box::pin(async_stream::stream! {
        let mut form = Form::default();
        let mut left = max_bytes;
        let end = loop {
            let mut part = match multipart.next_field().await {
                Ok(Some(part)) => part,
                Ok(None) => {
                    meter.finish();
                    break form.finish().map_err(Stop::from);
                }
                Err(error) => break Err(broken_off(&error)),
            };
            meter.open(&part);
            if part.name() != Some("file") {
                match form.take(part, &mut meter).await {
                    Ok(()) => continue,
                    Err(stop) => break Err(stop),
                }
            }
            if let Err(error) = form.open_file(part.file_name()) {
                break Err(error.into());
            }
            let whole = loop {
                match next(&mut part, &mut meter).await {
                    Ok(Some(piece)) if piece.len() as u64 > left => {
                        break Err(Stop::Unreadable(BlobError::TooLarge { limit: max_bytes }));
                    }
                    Ok(Some(piece)) => {
                        left -= piece.len() as u64;
                        yield Ok(piece);
                    }
                    Ok(None) => break Ok(()),
                    Err(stop) => break Err(stop),
                }
            };
            if let Err(stop) = whole {
                break Err(stop);
            }
        };
        // Whoever dropped the receiver has lost interest in the form.
        match end {
            Ok(form) => drop(send.send(Ok(form))),
            Err(Stop::Refused(error)) => drop(send.send(Err(error))),
            Err(Stop::Unreadable(error)) => yield Err(error),
        }
    })
}

/// Why reading ends early.
enum Stop {
    /// A field is not allowed.
    Refused(FieldError),
    /// The body broke off, or is too large.
    Unreadable(BlobError),
}

impl From<FieldError> for Stop {
    fn from(error: FieldError) -> Self {
        Self::Refused(error)
    }
}

/// The form as far as it was read.
#[derive(Default)]
struct Form {
    parts: usize,
    filename: Option<String>,
    tags: Vec<Label>,
    doc_type: Option<Label>,
    classification: Option<Classification>,
    revision: Option<RevisionLabel>,
    effective_from: Option<Date>,
    supersedes: Option<DocumentId>,
    metadata: Option<Value>,
}

impl Form {
    fn open_file(&mut self, name: Option<&str>) -> Result<(), FieldError> {
        if self.filename.is_some() {
            return Err(field("/file", "must be there once: one upload is one document"));
        }
        let name = name.ok_or_else(|| field("/file", "must be a file with a file name"))?;
        self.filename = Some(file_name::clean(name).map_err(|detail| field("/file", detail))?);
        Ok(())
    }

    async fn take(&mut self, mut part: Field<'_>, meter: &mut Meter) -> Result<(), Stop> {
        let name = part.name().unwrap_or_default().to_owned();
        self.parts += 1;
        if self.parts > MAX_PARTS {
            return Err(field("", format!("must have at most {MAX_PARTS} fields")).into());
        }
        if !KNOWN.contains(&name.as_str()) {
            let pointer = format!("/{}", shorten(&name));
            let detail = format!("is no field of this form; it has {}", KNOWN.join(", "));
            return Err(field(&pointer, detail).into());
        }
        let given = text(&mut part, &name, meter).await?;
        Ok(self.set(&name, &given)?)
    }

    fn set(&mut self, name: &str, given: &str) -> Result<(), FieldError> {
        match name {
            "tags" => {
                let tags = tag_list(given)?;
                self.tags.extend(first_field(wire::tags("/tags", &tags))?);
                if self.tags.len() > wire::MAX_TAGS {
                    return Err(field("/tags", format!("must be at most {} tags", wire::MAX_TAGS)));
                }
                Ok(())
            }
            "doc_type" => once(&mut self.doc_type, name, first_field(wire::text("/doc_type", given))?),
            "classification" => {
                let word = given.trim().parse::<Classification>();
                let word = word.map_err(|error| field("/classification", shorten(&error.to_string())))?;
                once(&mut self.classification, name, word)
            }
            "revision" => once(&mut self.revision, name, first_field(wire::text("/revision", given))?),
            "effective_from" => once(&mut self.effective_from, name, day(given)?),
            "supersedes" => {
                let id = given.trim().parse::<Uuid>().map_err(|_| field("/supersedes", "must be a document's id"))?;
                once(&mut self.supersedes, name, id.into())
            }
            _ => once(&mut self.metadata, name, metadata(given)?),
        }
    }

    fn finish(self) -> Result<UploadForm, FieldError> {
        Ok(UploadForm {
            filename: self.filename.ok_or_else(|| field("/file", "is missing"))?,
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

/// Reads a field as text, bounded.
async fn text(part: &mut Field<'_>, name: &str, meter: &mut Meter) -> Result<String, Stop> {
    let pointer = format!("/{name}");
    let mut bytes = Vec::new();
    while let Some(piece) = next(part, meter).await? {
        if bytes.len() + piece.len() > MAX_FIELD {
            return Err(field(&pointer, format!("must be at most {} KiB long", MAX_FIELD >> 10)).into());
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| field(&pointer, "must be UTF-8 text").into())
}

async fn next(part: &mut Field<'_>, meter: &mut Meter) -> Result<Option<Bytes>, Stop> {
    let piece = part.chunk().await.map_err(|error| broken_off(&error))?;
    if let Some(piece) = &piece {
        meter.taken.fetch_add(piece.len() as u64, Ordering::Relaxed);
        if let Some(digest) = &mut meter.digest {
            digest.piece(piece);
        }
    }
    Ok(piece)
}

/// Tags: a JSON array of texts, or texts separated by commas.
fn tag_list(given: &str) -> Result<Vec<String>, FieldError> {
    if given.trim_start().starts_with('[') {
        return serde_json::from_str(given).map_err(|_| field("/tags", "is no JSON array of texts"));
    }
    let tags = given.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    Ok(tags.map(str::to_owned).collect())
}

/// A day, `2026-03-01`; of a point in time (RFC 3339) its day in UTC.
fn day(given: &str) -> Result<Date, FieldError> {
    let given = given.trim();
    let day = given.parse::<Date>().or_else(|_| given.parse::<Timestamp>().map(|at| at.date_naive()));
    day.ok()
        .filter(|day| (1900..3000).contains(&day.year()))
        .ok_or_else(|| field("/effective_from", "must be a day such as 2026-03-01"))
}

fn metadata(given: &str) -> Result<Value, FieldError> {
    let Ok(Value::Object(fields)) = parse(given.as_bytes()) else {
        return Err(field("/metadata", "must be a JSON object"));
    };
    let value = first_field(wire::metadata("/metadata", fields))?;
    check_values(&value).map_err(|error| crate::body::below("metadata", error))?;
    Ok(value)
}

fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), FieldError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(field(&format!("/{name}"), "must be there once")),
    }
}

/// The field error in an error of the shared parsers.
fn first_field<T>(parsed: Result<T, ApiError>) -> Result<T, FieldError> {
    parsed.map_err(|error| {
        let first = error.fields.into_iter().next();
        first.unwrap_or_else(|| field("", "is not allowed"))
    })
}

fn field(pointer: &str, detail: impl Into<String>) -> FieldError {
    FieldError { pointer: pointer.to_owned(), detail: detail.into() }
}

fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}

fn broken_off(error: &MultipartError) -> Stop {
    Stop::Unreadable(BlobError::Interrupted { reason: error.status().to_string() })
}
