//! What annotations show on a page: form fields, text boxes and stamps, by their appearance or, where a file leaves
//! that to its viewer, by their value. Notes that pop up are comments, and left out.

use lopdf::{Dictionary, Object, ObjectId, Stream, decode_text_string};

use super::file::File;
use super::font::{dictionary, number};
use super::geometry::{Matrix, Rect};
use super::interpret::{Interpreter, array_matrix};

/// Most annotations of a page.
const MOST: usize = 2_000;
/// Steps up from a field's widget to the field that holds its value.
const MAX_PARENTS: usize = 8;
/// Hidden (bit 2) and no-view (bit 6) annotations are not shown.
const UNSEEN: u32 = 0b10_0010;
/// The field flag of a password (bit 14).
const PASSWORD: u32 = 1 << 13;

/// Runs the annotations of a page.
pub(super) fn show(file: &File, page: ObjectId, interpreter: &mut Interpreter<'_>) {
    let document = &file.document;
    let list =
        document.get_dictionary(page).and_then(|page| page.get_deref(b"Annots", document)).and_then(Object::as_array);
    for annotation in list.into_iter().flatten().take(MOST) {
        let Ok((_, Object::Dictionary(annotation))) = document.dereference(annotation) else { continue };
        let kind = annotation.get_deref(b"Subtype", document).and_then(Object::as_name).unwrap_or_default();
        let flags = number(document, annotation, b"F").unwrap_or(0.0) as u32;
        if !matches!(kind, b"Widget" | b"FreeText" | b"Stamp") || flags & UNSEEN != 0 {
            continue;
        }
        if let Some(form) = appearance(file, annotation) {
            if let Some(place) = appearance_place(file, annotation, &form.dict) {
                interpreter.form_at(form, place);
            }
        } else if let (Some(text), Some(area)) = (value(file, annotation, kind), corners(file, annotation, b"Rect")) {
            interpreter.caption(&text, &area);
        }
    }
}

/// The normal appearance; of one that depends on a state (a check box), that of the state.
fn appearance<'a>(file: &'a File, annotation: &'a Dictionary) -> Option<&'a Stream> {
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

/// The text of an annotation without an appearance: a text field's or a choice's value, or a text box's content.
fn value(file: &File, annotation: &Dictionary, kind: &[u8]) -> Option<String> {
    if kind == b"FreeText" {
        return text(file, annotation.get_deref(b"Contents", &file.document).ok()?);
    }
    let secret = inherited(file, annotation, b"Ff").and_then(|flags| flags.as_i64().ok()).unwrap_or(0);
    let kind = inherited(file, annotation, b"FT")?.as_name().ok()?;
    if !matches!(kind, b"Tx" | b"Ch") || secret as u32 & PASSWORD != 0 {
        return None;
    }
    text(file, inherited(file, annotation, b"V")?)
}

/// A text, or several of a choice, as lines.
fn text(file: &File, value: &Object) -> Option<String> {
    match value {
        Object::Array(items) => {
            let texts =
                items.iter().filter_map(|item| decode_text_string(file.document.dereference(item).ok()?.1).ok());
            Some(texts.collect::<Vec<_>>().join("\n"))
        }
        single => decode_text_string(single).ok(),
    }
}

/// An entry of a field, from the widget itself or from the fields above it.
fn inherited<'a>(file: &'a File, field: &'a Dictionary, key: &[u8]) -> Option<&'a Object> {
    let up = |field: &&'a Dictionary| dictionary(&file.document, field, b"Parent");
    std::iter::successors(Some(field), up).take(MAX_PARENTS).find_map(|field| field.get_deref(key, &file.document).ok())
}

/// Maps an appearance's box onto the annotation's rectangle (ISO 32000-1, 12.5.5).
fn appearance_place(file: &File, annotation: &Dictionary, form: &Dictionary) -> Option<Matrix> {
    let place = corners(file, annotation, b"Rect")?;
    let matrix = array_matrix(&file.document, form).unwrap_or(Matrix::IDENTITY);
    let own = matrix.apply_rect(&corners(file, form, b"BBox")?);
    let scale = |to: f32, from: f32| if from > 0.0 { to / from } else { 1.0 };
    let (a, d) = (scale(place.width(), own.width()), scale(place.height(), own.height()));
    Some(Matrix { a, b: 0.0, c: 0.0, d, e: place.x0 - own.x0 * a, f: place.y0 - own.y0 * d })
}

/// A rectangle given by two opposite corners.
fn corners(file: &File, dictionary: &Dictionary, key: &[u8]) -> Option<Rect> {
    let array = dictionary.get_deref(key, &file.document).and_then(Object::as_array).ok()?;
    let numbers: Vec<f32> = array.iter().filter_map(|item| item.as_float().ok()).collect();
    let [a, b, c, d] = numbers[..] else { return None };
    let mut area = Rect::EMPTY;
    area.include(a, b);
    area.include(c, d);
    Some(area)
}
