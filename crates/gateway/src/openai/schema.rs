//! OpenAPI schemas of fields that accept several types, or only certain strings.

use crate::fields;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

fn null() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::Null)
}

/// Roles of a message.
pub(super) fn roles() -> RefOr<Schema> {
    fields::enum_schema(["system", "developer", "user", "assistant", "tool"].into_iter(), false)
}

/// The only type of tool that is supported.
pub(super) fn function() -> RefOr<Schema> {
    fields::enum_schema(["function"].into_iter(), false)
}

/// Content of a message: a string, a list of text parts, or null.
pub(super) fn content() -> RefOr<Schema> {
    let part = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("type", fields::enum_schema(["text"].into_iter(), false))
        .property("text", text())
        .required("type")
        .required("text");
    Schema::OneOf(OneOfBuilder::new().item(text()).item(ArrayBuilder::new().items(part)).item(null()).build()).into()
}

/// Stop sequences: a string, up to four strings, or null.
pub(super) fn stop() -> RefOr<Schema> {
    let text = || text().min_length(Some(1));
    let list = ArrayBuilder::new().items(text()).max_items(Some(4));
    Schema::OneOf(OneOfBuilder::new().item(text()).item(list).item(null()).build()).into()
}

/// Input of an embedding request: a string or a list of strings. Each string may be replaced by its token ids.
pub(crate) fn embedding_input() -> RefOr<Schema> {
    let text = || text().min_length(Some(1)).max_length(Some(32_000));
    let tokens = || {
        let token = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)).maximum(Some(100_255));
        ArrayBuilder::new().items(token).min_items(Some(1)).max_items(Some(32_000))
    };
    let texts = ArrayBuilder::new().items(text()).min_items(Some(1)).max_items(Some(256));
    let lists = ArrayBuilder::new().items(tokens()).min_items(Some(1)).max_items(Some(256));
    let forms = OneOfBuilder::new().item(text()).item(texts).item(tokens()).item(lists);
    Schema::OneOf(forms.build()).into()
}

/// `none`, `auto`, `required`, an object that names a tool, or null.
pub(super) fn tool_choice() -> RefOr<Schema> {
    let words = fields::enum_schema(["none", "auto", "required"].into_iter(), false);
    let named = ObjectBuilder::new().schema_type(Type::Object);
    Schema::OneOf(OneOfBuilder::new().item(words).item(named).item(null()).build()).into()
}

/// An object with any fields, or null.
pub(super) fn object_or_null() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Object, Type::Null])).build().into()
}

/// Encoding of embedding vectors, or null.
pub(crate) fn encoding_format() -> RefOr<Schema> {
    fields::enum_schema(["float", "base64"].into_iter(), true)
}

/// Purpose of an embedding, or null.
pub(crate) fn input_type() -> RefOr<Schema> {
    fields::enum_schema(["query", "document"].into_iter(), true)
}

/// An embedding vector: a list of numbers, or base64.
pub(crate) fn embedding_vector() -> RefOr<Schema> {
    let number = ObjectBuilder::new().schema_type(Type::Number);
    Schema::OneOf(OneOfBuilder::new().item(ArrayBuilder::new().items(number)).item(text()).build()).into()
}
