//! The OpenAPI document, and the page that shows it.

mod requests;

use crate::openai;
use crate::openai::error::{ErrorBody, ErrorObject};
use crate::problem::{FieldProblem, ProblemDocument};
use crate::routes;
use crate::sse::{
    MessageDelta, MessageReasoning, RunFailed, RunFinished, RunStarted, StreamEvent, ToolFinished, ToolStarted,
};
use crate::state::AppState;
use crate::wire::CitationBody;
use axum::Router;
use requests::ClientValue;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, ParameterIn, PathItem};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, HeaderBuilder, Ref, RefOr, ResponseBuilder};
use utoipa_swagger_ui::{Config, SwaggerUi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Plant agent platform",
        description = "Questions to plant documents, answered with citations. Every request but those under `health` \
            carries a bearer token. Failures are problem documents (RFC 9457). A POST that changes something may carry \
            an `Idempotency-Key` (1 to 255 printable characters): sent again within 24 hours by the same user, the same \
            request has no further effect and gets the same answer, with `Idempotency-Replayed: true`; 409 while the \
            first is at work, 422 if the key was used with another request.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(
        ProblemDocument, FieldProblem, CitationBody, RunStarted, MessageReasoning, MessageDelta, ToolStarted, ToolFinished, RunFinished,
        RunFailed, StreamEvent, ClientValue, ErrorBody, ErrorObject,
    )),
    tags(
        (name = "conversations", description = "Conversations and their messages"),
        (name = "chat", description = "Answers, streamed or whole"),
        (name = "documents", description = "What answers rest on"),
        (name = "search", description = "Search without a model"),
        (name = "openai", description = "For clients of OpenAI's: base URL `/openai/v1`; failures in OpenAI's shape"),
        (name = "memories", description = "What you asked to remember"),
        (name = "audit", description = "Who did what"),
        (name = "account", description = "Who you are here"),
        (name = "usage", description = "What calls to models came to, and the budgets"),
        (name = "tokens", description = "Personal access tokens, for machines"),
        (name = "admin", description = "Users and tenants"),
        (name = "health", description = "Whether the server lives and can work; no token needed"),
    ),
)]
struct Head;

/// The name of the security scheme.
const BEARER: &str = "bearer";

/// The OpenAPI 3.1 document of every route.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = Head::openapi();
    let (_, open) = routes::probes().merge(routes::pages()).split_for_parts();
    let (_, mut protected) = routes::effects().merge(routes::reads()).split_for_parts();
    for (path, item) in &mut protected.paths.paths {
        for operation in operations(item) {
            complete(operation, openai::is_beneath(path));
        }
    }
    for operation in protected.paths.paths.values_mut().flat_map(operations) {
        requests::parameters(operation);
        if let Some(components) = protected.components.as_mut() {
            requests::body(operation, components);
        }
    }
    document.merge(open);
    document.merge(protected);
    let scheme = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("A token of a configured issuer, or a personal access token."))
        .build();
    if let Some(components) = document.components.as_mut() {
        components.add_security_scheme(BEARER, SecurityScheme::Http(scheme));
    }
    document
}

/// The document at `/openapi.json` and the page at `/docs`, which loads nothing from elsewhere.
pub(crate) fn pages() -> Router<AppState> {
    let config = Config::default().validator_url("none").persist_authorization(true);
    SwaggerUi::new("/docs").config(config).url("/openapi.json", openapi()).into()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}

/// Adds what all operations behind authentication have in common: the scheme, and the failures that follow from their
/// shape. Those of the OpenAI-compatible surface are written in OpenAI's.
fn complete(operation: &mut Operation, in_openai_shape: bool) {
    operation.security = Some(vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]);
    let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    });
    let (mut named, mut asked) = (false, false);
    for parameter in parameters {
        named |= parameter.parameter_in == ParameterIn::Path;
        asked |= matches!(parameter.parameter_in, ParameterIn::Query | ParameterIn::Header);
    }
    let with_body = operation.request_body.is_some();
    let failures = [
        ("400", "The body cannot be read", with_body || (asked && in_openai_shape)),
        ("401", "No valid token", true),
        ("403", "Known, and not allowed", true),
        ("404", "Absent, or not for you to know of", true),
        ("409", "Not possible at present", with_body || named),
        ("413", "Larger than allowed", with_body),
        ("415", "A type of content that is not taken", with_body),
        ("422", "A field is not allowed; `errors` names it", (with_body || asked) && !in_openai_shape),
        ("429", "More requests than your limit", true),
        ("503", "A part that this needs is down", true),
    ];
    for (status, description, applies) in failures {
        if applies {
            let entry = operation.responses.responses.entry(status.to_owned());
            entry.or_insert_with(|| failure(status, description, in_openai_shape).into());
        }
    }
}

fn failure(status: &str, description: &str, in_openai_shape: bool) -> utoipa::openapi::Response {
    let (schema, media_type) =
        if in_openai_shape { ("OpenAiError", "application/json") } else { ("Problem", "application/problem+json") };
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    let mut response = ResponseBuilder::new().description(description).content(media_type, content);
    if matches!(status, "429" | "503") {
        let seconds = HeaderBuilder::new().description(Some("Seconds to wait")).build();
        response = response.header("Retry-After", seconds);
    }
    response.build()
}
