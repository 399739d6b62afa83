//! An upload as a multipart form, read piece by piece and only as far as the layer below asks for it.

use crate::body::{check_texts, parse};
use crate::error::ApiError;
use crate::file_name;
use crate::wire;
use axum::body::Bytes;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use domain::command::UploadForm;
use domain::ports::{BlobError, ByteStream};
use domain::role::Classification;
use domain::text::Label;
use domain::upload::{FieldError, Upload};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use tokio::sync::oneshot;

/// Largest form field beside the file, in bytes.
const MAX_FIELD: usize = 64 << 10;
/// The fields of the form, for the answer to an unknown one.
const KNOWN: &str = "file, tags, doc_type, classification, metadata";

/// Makes an upload of a form. Nothing is read before the upload's bytes are asked for.
///
/// A field that is not allowed ends the bytes at once; the form then says what was wrong.
pub(crate) fn upload(multipart: Multipart, max_bytes: u64) -> Upload {
    let (send, receive) = oneshot::channel();
    Upload {
        bytes: read(multipart, max_bytes, send),
        form: result(receive),
    }
}

type FormSender = oneshot::Sender<Result<UploadForm, FieldError>>;

fn result(receive: oneshot::Receiver<Result<UploadForm, FieldError>>) -> BoxFuture<'static, Result<UploadForm, FieldError>> {
    receive
        .map(|form| form.unwrap_or_else(|_| Err(field("/file", "did not arrive whole"))))
        .boxed()
}

fn read(mut multipart: Multipart, max_bytes: u64, send: FormSender) -> ByteStream {
    Box::pin(async_stream::stream! {
        let mut form = Form::default();
        let mut left = max_bytes;
        loop {
            let part = match multipart.next_field().await {
                Ok(Some(part)) => part,
                Ok(None) => break,
                Err(error) => {
                    yield Err(broken_off(&error));
                    return;
                }
            };
            if part.name() != Some("file") {
                match form.take(part).await {
                    Ok(()) => continue,
                    Err(Stop::Refused(error)) => {
                        // A closed receiver has lost interest in the form.
                        let _ = send.send(Err(error));
                        return;
                    }
                    Err(Stop::BrokenOff(error)) => {
                        yield Err(error);
                        return;
                    }
                }
            }
            if let Err(error) = form.open_file(part.file_name()) {
                let _ = send.send(Err(error));
                return;
            }
            let mut part = part;
            loop {
                match part.chunk().await {
                    Ok(Some(piece)) if piece.len() as u64 > left => {
                        yield Err(BlobError::TooLarge { limit: max_bytes });
                        return;
                    }
                    Ok(Some(piece)) => {
                        left -= piece.len() as u64;
                        yield Ok(piece);
                    }
                    Ok(None) => break,
                    Err(error) => {
                        yield Err(broken_off(&error));
                        return;
                    }
                }
            }
        }
        let _ = send.send(form.finish());
    })
}

/// Why reading ends early.
enum Stop {
    Refused(FieldError),
    BrokenOff(BlobError),
}

impl From<FieldError> for Stop {
    fn from(error: FieldError) -> Self {
        Self::Refused(error)
    }
}

/// The form as far as it was read.
#[derive(Default)]
struct Form {
    filename: Option<String>,
    tags: Vec<Label>,
    doc_type: Option<Label>,
    classification: Option<Classification>,
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

    async fn take(&mut self, part: Field<'_>) -> Result<(), Stop> {
        let name = part.name().unwrap_or_default().to_owned();
        match name.as_str() {
            "tags" => {
                let given = tag_list(&text(part, &name).await?)?;
                self.tags.extend(first_field(wire::tags("/tags", &given))?);
            }
            "doc_type" => {
                let given = text(part, &name).await?;
                once(&mut self.doc_type, &name, first_field(wire::text("/doc_type", &given))?)?;
            }
            "classification" => {
                let given = text(part, &name).await?;
                let parsed = given.trim().parse::<Classification>();
                let word = parsed.map_err(|error| field("/classification", shorten(&error.to_string())))?;
                once(&mut self.classification, &name, word)?;
            }
            "metadata" => {
                let given = text(part, &name).await?;
                once(&mut self.metadata, &name, metadata(&given)?)?;
            }
            unknown => {
                let pointer = format!("/{}", shorten(unknown));
                return Err(field(&pointer, format!("is no field of this form; it has {KNOWN}")).into());
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<UploadForm, FieldError> {
        Ok(UploadForm {
            filename: self.filename.ok_or_else(|| field("/file", "is missing"))?,
            tags: self.tags,
            doc_type: self.doc_type,
            classification: self.classification,
            metadata: self.metadata.unwrap_or_else(|| Value::Object(serde_json::Map::new())),
        })
    }
}

/// Reads a field as text, bounded.
async fn text(mut part: Field<'_>, name: &str) -> Result<String, Stop> {
    let mut bytes = Vec::new();
    while let Some(piece) = next(&mut part).await? {
        if bytes.len() + piece.len() > MAX_FIELD {
            let detail = format!("must be at most {} KiB long", MAX_FIELD >> 10);
            return Err(field(&format!("/{name}"), detail).into());
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| field(&format!("/{name}"), "must be UTF-8 text").into())
}

async fn next(part: &mut Field<'_>) -> Result<Option<Bytes>, Stop> {
    part.chunk().await.map_err(|error| Stop::BrokenOff(broken_off(&error)))
}

/// Tags: a JSON array of texts, or texts separated by commas.
fn tag_list(given: &str) -> Result<Vec<String>, FieldError> {
    if given.trim_start().starts_with('[') {
        return serde_json::from_str(given).map_err(|_| field("/tags", "is no JSON array of texts"));
    }
    let tags = given.split(',').map(str::trim).filter(|tag| !tag.is_empty());
    Ok(tags.map(str::to_owned).collect())
}

fn metadata(given: &str) -> Result<Value, FieldError> {
    let Ok(Value::Object(fields)) = parse(given.as_bytes()) else {
        return Err(field("/metadata", "must be a JSON object"));
    };
    let value = first_field(wire::metadata("/metadata", fields))?;
    check_texts(&value).map_err(|error| crate::body::below("metadata", error))?;
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
    FieldError {
        pointer: pointer.to_owned(),
        detail: detail.into(),
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}

fn broken_off(error: &MultipartError) -> BlobError {
    BlobError::BrokenOff {
        reason: error.status().to_string(),
    }
}
