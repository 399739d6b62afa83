//! Schemas of fields that are a text or something else.

use crate::wire;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn null() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Null)
}

/// Who speaks.
pub(super) fn roles() -> RefOr<Schema> {
    wire::words(["system", "developer", "user", "assistant", "tool"].into_iter(), false)
}

/// The one kind of tool.
pub(super) fn function() -> RefOr<Schema> {
    wire::words(["function"].into_iter(), false)
}

/// A text, parts of type text, or null.
pub(super) fn content() -> RefOr<Schema> {
    let part = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("type", wire::words(["text"].into_iter(), false))
        .property("text", text())
        .required("type")
        .required("text");
    Schema::OneOf(OneOfBuilder::new().item(text()).item(ArrayBuilder::new().items(part)).item(null()).build()).into()
}

/// A text, up to four, or null.
pub(super) fn texts() -> RefOr<Schema> {
    let text = || text().min_length(Some(1));
    let several = ArrayBuilder::new().items(text()).max_items(Some(4));
    Schema::OneOf(OneOfBuilder::new().item(text()).item(several).item(null()).build()).into()
}

/// Texts to be embedded.
pub(crate) fn input() -> RefOr<Schema> {
    let text = || text().min_length(Some(1)).max_length(Some(32_000));
    let several = ArrayBuilder::new().items(text()).min_items(Some(1)).max_items(Some(256));
    Schema::OneOf(OneOfBuilder::new().item(text()).item(several).build()).into()
}

/// A word, an object that names a tool, or null.
pub(super) fn tool_choice() -> RefOr<Schema> {
    let words = wire::words(["none", "auto", "required"].into_iter(), false);
    let one = ObjectBuilder::new().schema_type(Type::Object);
    Schema::OneOf(OneOfBuilder::new().item(words).item(one).item(null()).build()).into()
}

/// An object as OpenAI has it, or null.
pub(super) fn any_object() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Object, Type::Null])).build().into()
}

/// Floats or their bytes.
pub(crate) fn encoding_format() -> RefOr<Schema> {
    wire::words(["float", "base64"].into_iter(), true)
}

/// What an embedding is for.
pub(crate) fn input_type() -> RefOr<Schema> {
    wire::words(["query", "document"].into_iter(), true)
}

/// A vector: numbers, or their bytes in base64.
pub(crate) fn vector() -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Number);
    Schema::OneOf(OneOfBuilder::new().item(ArrayBuilder::new().items(number)).item(text()).build()).into()
}
