//! Reads visible annotations: form fields, text boxes and stamps. Their text comes from the appearance stream, or from
//! the value if the file leaves the appearance to the viewer. Pop-up notes are comments and are omitted.

use lopdf::{Dictionary, Object, ObjectId, Stream, decode_text_string};

use super::dictionary::{dictionary, number};
use super::file::PdfFile;
use super::geometry::{Matrix, Rect};
use super::interpret::{Interpreter, form_matrix};

/// Maximum number of annotations processed per page; the rest are ignored.
const MAX_ANNOTATIONS: usize = 2_000;
/// Maximum number of ancestors of a form field that are searched for an inherited entry, including the field itself.
const MAX_PARENTS: usize = 8;
/// Annotation flags Hidden (bit 2) and NoView (bit 6).
const HIDDEN_OR_NO_VIEW: u32 = 0b10_0010;
/// Field flag Password of a text field (bit 14).
const PASSWORD_FLAG: u32 = 1 << 13;

/// Interprets the visible annotations of a page.
pub(super) fn interpret_annotations(file: &PdfFile, page: ObjectId, interpreter: &mut Interpreter<'_>) {
    let document = &file.document;
    let list =
        document.get_dictionary(page).and_then(|page| page.get_deref(b"Annots", document)).and_then(Object::as_array);
    for annotation in list.into_iter().flatten().take(MAX_ANNOTATIONS) {
        let Ok((_, Object::Dictionary(annotation))) = document.dereference(annotation) else { continue };
        let kind = annotation.get_deref(b"Subtype", document).and_then(Object::as_name).unwrap_or_default();
        let flags = number(document, annotation, b"F").unwrap_or(0.0) as u32;
        if !matches!(kind, b"Widget" | b"FreeText" | b"Stamp") || flags & HIDDEN_OR_NO_VIEW != 0 {
            continue;
        }
        if let Some(form) = appearance(file, annotation) {
            if let Some(matrix) = appearance_matrix(file, annotation, &form.dict) {
                interpreter.draw_form(form, matrix);
            }
        } else if let (Some(text), Some(area)) =
            (annotation_text(file, annotation, kind), rect_entry(file, annotation, b"Rect"))
        {
            interpreter.draw_text_in(&text, &area);
        }
    }
}

/// The normal appearance stream of an annotation. If there is one per state, as for a check box, returns that of the
/// current state.
fn appearance<'a>(file: &'a PdfFile, annotation: &'a Dictionary) -> Option<&'a Stream> {
    let document = &file.document;
    match dictionary(document, annotation, b"AP")?.get_deref(b"N", document).ok()? {
        Object::Stream(form) => Some(form),
        Object::Dictionary(states) => {
            let state = annotation.get_deref(b"AS", document).and_then(Object::as_name).ok()?;
            states.get_deref(state, document).and_then(Object::as_stream).ok()
        }
        _ => None,
    }
}

/// The text of an annotation without an appearance stream: the value of a text or choice field, or the content of a
/// text box. `None` for password fields.
fn annotation_text(file: &PdfFile, annotation: &Dictionary, kind: &[u8]) -> Option<String> {
    if kind == b"FreeText" {
        return decode_text(file, annotation.get_deref(b"Contents", &file.document).ok()?);
    }
    let field_flags = inherited(file, annotation, b"Ff").and_then(|flags| flags.as_i64().ok()).unwrap_or(0);
    let kind = inherited(file, annotation, b"FT")?.as_name().ok()?;
    if !matches!(kind, b"Tx" | b"Ch") || field_flags as u32 & PASSWORD_FLAG != 0 {
        return None;
    }
    decode_text(file, inherited(file, annotation, b"V")?)
}

/// Decodes a text string, or the selected strings of a choice field, one per line.
fn decode_text(file: &PdfFile, value: &Object) -> Option<String> {
    match value {
        Object::Array(items) => {
            let texts =
                items.iter().filter_map(|item| decode_text_string(file.document.dereference(item).ok()?.1).ok());
            Some(texts.collect::<Vec<_>>().join("\n"))
        }
        single => decode_text_string(single).ok(),
    }
}

/// An entry of a form field, from the field itself or inherited from an ancestor.
fn inherited<'a>(file: &'a PdfFile, field: &'a Dictionary, key: &[u8]) -> Option<&'a Object> {
    let parent = |field: &&'a Dictionary| dictionary(&file.document, field, b"Parent");
    std::iter::successors(Some(field), parent)
        .take(MAX_PARENTS)
        .find_map(|field| field.get_deref(key, &file.document).ok())
}

/// The matrix that maps the appearance's bounding box to the annotation's rectangle (ISO 32000-1, 12.5.5).
fn appearance_matrix(file: &PdfFile, annotation: &Dictionary, form: &Dictionary) -> Option<Matrix> {
    let rect = rect_entry(file, annotation, b"Rect")?;
    let matrix = form_matrix(&file.document, form).unwrap_or(Matrix::IDENTITY);
    let bbox = matrix.apply_rect(&rect_entry(file, form, b"BBox")?);
    let scale = |to: f32, from: f32| if from > 0.0 { to / from } else { 1.0 };
    let (a, d) = (scale(rect.width(), bbox.width()), scale(rect.height(), bbox.height()));
    Some(Matrix { a, b: 0.0, c: 0.0, d, e: rect.x0 - bbox.x0 * a, f: rect.y0 - bbox.y0 * d })
}

/// Reads an entry that gives a rectangle by two opposite corners.
fn rect_entry(file: &PdfFile, dictionary: &Dictionary, key: &[u8]) -> Option<Rect> {
    let array = dictionary.get_deref(key, &file.document).and_then(Object::as_array).ok()?;
    let numbers: Vec<f32> = array.iter().filter_map(|item| item.as_float().ok()).collect();
    let [a, b, c, d] = numbers[..] else { return None };
    let mut area = Rect::EMPTY;
    area.include(a, b);
    area.include(c, d);
    Some(area)
}
