//! Adds constraints to the schemas of requests that utoipa cannot derive: strings must not contain U+0000, client data
//! must be storable, and parameters may be missing but not `null`.

use crate::fields::NOT_BLANK;
use domain::json_value::MAX_NUMBER;
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, Parameter};
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, ArrayItems, Components, Object, ObjectBuilder, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Required, Schema};

/// Pattern of text without U+0000, which PostgreSQL cannot store.
const NO_NUL: &str = r"^[^\x00]*$";
/// Pattern of a cursor: 24 bytes in base64url.
const CURSOR: &str = r"^[A-Za-z0-9_-]{32}$";
/// Pattern of `If-Match`: the entity tag of a version, or `*`.
const IF_MATCH: &str = r#"^("[0-9]{1,18}"|\*)$"#;
/// Maximum length of a tag, in characters.
const MAX_TAG_CHARS: usize = 128;

/// The schema of a value in client data (`metadata`): any JSON value that PostgreSQL can store.
pub(super) struct ClientValue;

impl ToSchema for ClientValue {
    fn name() -> std::borrow::Cow<'static, str> {
        "ClientValue".into()
    }
}

impl PartialSchema for ClientValue {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(Type::String).pattern(Some(NO_NUL));
        let number =
            ObjectBuilder::new().schema_type(Type::Number).minimum(Some(-MAX_NUMBER)).maximum(Some(MAX_NUMBER));
        let other = ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::Boolean, Type::Null]));
        let list = ArrayBuilder::new().items(Ref::from_schema_name("ClientValue"));
        let mut fields = ObjectBuilder::new().schema_type(Type::Object).build();
        set_client_value_schemas(&mut fields);
        let any_of = AnyOfBuilder::new().item(text).item(number).item(other).item(list).item(Schema::Object(fields));
        Schema::AnyOf(any_of.description(Some("A JSON value without U+0000")).build()).into()
    }
}

fn set_client_value_schemas(object: &mut Object) {
    let value = AdditionalProperties::RefOr(Ref::from_schema_name("ClientValue").into());
    object.additional_properties = Some(Box::new(value));
    let name = ObjectBuilder::new().schema_type(Type::String).pattern(Some(NO_NUL)).build();
    object.property_names = Some(Box::new(Schema::Object(name)));
}

pub(super) fn complete_parameters(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter {
            complete_parameter(parameter);
        }
    }
}

fn complete_parameter(parameter: &mut Parameter) {
    let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema else { return };
    if let SchemaType::Array(types) = &schema.schema_type
        && let Some(non_null) = types.iter().find(|kind| **kind != Type::Null)
    {
        schema.schema_type = SchemaType::Type(non_null.clone());
        parameter.required = Required::False;
    }
    let pattern = match parameter.name.as_str() {
        "cursor" => Some(CURSOR),
        "If-Match" => Some(IF_MATCH),
        _ => None,
    };
    if let Some(pattern) = pattern {
        schema.pattern = Some(pattern.to_owned());
    }
    set_text_pattern(schema);
}

/// Completes the schema of an operation's body, and the schemas that it references.
pub(super) fn complete_body(operation: &Operation, components: &mut Components) {
    let Some(body) = &operation.request_body else { return };
    let RefOr::T(body) = body else { return };
    for (media_type, content) in &body.content {
        let RefOr::T(content) = content else { continue };
        let Some(RefOr::Ref(reference)) = &content.schema else { continue };
        complete_component(&reference.ref_location, components);
        if media_type == "multipart/form-data" {
            forbid_unknown_fields(&reference.ref_location, components);
        }
    }
}

/// Forbids unknown fields in a form. JSON bodies use serde's `deny_unknown_fields` instead.
fn forbid_unknown_fields(location: &str, components: &mut Components) {
    let schema = location.rsplit('/').next().and_then(|name| components.schemas.get_mut(name));
    if let Some(RefOr::T(Schema::Object(form))) = schema {
        form.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    }
}

fn complete_component(location: &str, components: &mut Components) {
    let Some(name) = location.rsplit('/').next() else { return };
    let Some(mut schema) = components.schemas.get(name).cloned() else { return };
    let mut references = Vec::new();
    if let RefOr::T(schema) = &mut schema {
        complete_schema("", schema, &mut references);
    }
    components.schemas.insert(name.to_owned(), schema);
    for location in references {
        complete_component(&location, components);
    }
}

fn complete_ref_or_schema(name: &str, schema: &mut RefOr<Schema>, references: &mut Vec<String>) {
    match schema {
        RefOr::Ref(reference) => references.push(reference.ref_location.clone()),
        RefOr::T(schema) => complete_schema(name, schema, references),
    }
}

fn complete_schema(name: &str, schema: &mut Schema, references: &mut Vec<String>) {
    match schema {
        Schema::Object(object) => complete_object(name, object, references),
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                if let RefOr::T(Schema::Object(item)) = items.as_mut()
                    && name == "tags"
                {
                    item.min_length = Some(1);
                    item.max_length = Some(MAX_TAG_CHARS);
                }
                complete_ref_or_schema("", items, references);
            }
        }
        Schema::OneOf(one_of) => {
            one_of.items.iter_mut().for_each(|item| complete_ref_or_schema(name, item, references))
        }
        Schema::AnyOf(any_of) => {
            any_of.items.iter_mut().for_each(|item| complete_ref_or_schema(name, item, references))
        }
        Schema::AllOf(all_of) => {
            all_of.items.iter_mut().for_each(|item| complete_ref_or_schema(name, item, references))
        }
        _ => {}
    }
}

fn complete_object(name: &str, object: &mut Object, references: &mut Vec<String>) {
    if name == "metadata" && accepts_type(object, &Type::Object) {
        set_client_value_schemas(object);
        return;
    }
    set_text_pattern(object);
    for (name, property) in &mut object.properties {
        complete_ref_or_schema(name, property, references);
    }
}

/// Sets the pattern of free text, that is, of a string without enum values, format or pattern.
fn set_text_pattern(object: &mut Object) {
    let is_free_text = object.enum_values.is_none() && object.format.is_none() && object.pattern.is_none();
    if is_free_text && accepts_type(object, &Type::String) {
        let pattern = if object.min_length.unwrap_or(0) > 0 { NOT_BLANK } else { NO_NUL };
        object.pattern = Some(pattern.to_owned());
    }
}

fn accepts_type(object: &Object, kind: &Type) -> bool {
    match &object.schema_type {
        SchemaType::Type(single_type) => single_type == kind,
        SchemaType::Array(types) => types.contains(kind),
        SchemaType::AnyValue => false,
    }
}
