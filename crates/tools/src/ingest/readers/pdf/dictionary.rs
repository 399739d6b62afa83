//! Typed access to the entries of PDF dictionaries.

use lopdf::{Dictionary, Document, Object, Stream};

/// Maximum decompressed size of a font stream, in bytes.
const MAX_FONT_STREAM_BYTES: usize = 32 << 20;

/// The value of an entry that is a name.
pub(super) fn name_of(document: &Document, dictionary: &Dictionary, key: &[u8]) -> Option<String> {
    let name = dictionary.get_deref(key, document).and_then(Object::as_name).ok()?;
    Some(String::from_utf8_lossy(name).into_owned())
}

/// The value of an entry that is a dictionary, or the dictionary of one that is a stream.
pub(super) fn dictionary<'a>(document: &'a Document, parent: &'a Dictionary, key: &[u8]) -> Option<&'a Dictionary> {
    match parent.get_deref(key, document).ok()? {
        Object::Dictionary(dictionary) => Some(dictionary),
        Object::Stream(stream) => Some(&stream.dict),
        _ => None,
    }
}

/// The value of an entry that is a finite number.
pub(super) fn number(document: &Document, dictionary: &Dictionary, key: &[u8]) -> Option<f32> {
    dictionary.get_deref(key, document).and_then(Object::as_float).ok().filter(|number| number.is_finite())
}

/// The value of an entry that is a stream.
pub(super) fn stream<'a>(document: &'a Document, parent: &'a Dictionary, key: &[u8]) -> Option<&'a Stream> {
    parent.get_deref(key, document).and_then(Object::as_stream).ok()
}

/// Decompresses a stream of a font; `None` if it cannot be decoded or is too large.
pub(super) fn inflate_font_stream(stream: &Stream) -> Option<Vec<u8>> {
    stream.get_plain_content_with_limit(MAX_FONT_STREAM_BYTES).ok()
}
