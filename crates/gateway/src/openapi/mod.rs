//! The OpenAPI document and the documentation page.

mod requests;

use crate::fields::{CitationBody, DocumentCitationBody, ReadingCitationBody};
use crate::openai;
use crate::openai::error::{ErrorBody, ErrorObject};
use crate::problem::{FieldProblem, ProblemDocument};
use crate::routes;
use crate::sse::{
    ApprovalRequired, MessageDelta, MessageReasoning, RunFailed, RunFinished, RunStarted, RunWarning, StepFinished,
    StepStarted, StreamEvent, ToolFinished, ToolStarted,
};
use crate::state::AppState;
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
        description = "Answers questions about plant documents, with citations. All requests need a bearer token, \
            except those tagged `health` or `development`. Errors are problem documents (RFC 9457). A POST request \
            that changes something may have an `Idempotency-Key` (1 to 255 printable ASCII characters). If the same \
            user repeats the request with the same key within 24 hours, it has no further effect and gets the same \
            response, with `Idempotency-Replayed: true`. The response is 409 while the first request is still being \
            processed, and 422 if the key was used with a different request.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(
        ProblemDocument, FieldProblem, CitationBody, DocumentCitationBody, ReadingCitationBody, RunStarted, RunWarning,
        MessageReasoning, MessageDelta, ToolStarted, ToolFinished, ApprovalRequired, StepStarted, StepFinished,
        RunFinished, RunFailed, StreamEvent, ClientValue, ErrorBody, ErrorObject,
    )),
    tags(
        (name = "conversations", description = "Conversations, their messages, and feedback on answers"),
        (name = "chat", description = "Chat turns and their event streams"),
        (name = "documents", description = "The documents that answers are based on"),
        (name = "search", description = "Document search without a generated answer"),
        (name = "openai", description = "OpenAI-compatible API: base URL `/openai/v1`, errors in OpenAI's format"),
        (name = "memories", description = "Facts that the platform remembers about you"),
        (name = "teams", description = "Teams, their members, and invitations of other tenants' users"),
        (name = "tools", description = "Tools, and approvals of what they write"),
        (name = "goals", description = "Goals, their plans and steps, and the agents that execute them"),
        (name = "plant", description = "Connectors to plant systems, work orders, and the plant mode"),
        (name = "audit", description = "The audit log"),
        (name = "account", description = "Your own account"),
        (name = "usage", description = "Usage of models, and budgets"),
        (name = "sessions", description = "Sign-in sessions"),
        (name = "tokens", description = "Personal access tokens, for machine clients"),
        (name = "admin", description = "Administration of users, tenants and settings"),
        (name = "development", description = "Sign-in without an identity provider, in development mode only"),
        (name = "health", description = "Liveness, readiness, and explanations of problem types; no token needed"),
    ),
)]
struct ApiDoc;

/// Name of the security scheme in the document.
const BEARER: &str = "bearer";

/// Builds the OpenAPI 3.1 document of all routes.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = ApiDoc::openapi();
    let (_, public) = routes::probes().merge(routes::public_routes()).split_for_parts();
    let (_, mut protected) = routes::idempotent_routes().merge(routes::read_only_routes()).split_for_parts();
    for (path, item) in &mut protected.paths.paths {
        for operation in operations(item) {
            add_common_parts(operation, openai::is_openai_path(path));
        }
    }
    for operation in protected.paths.paths.values_mut().flat_map(operations) {
        requests::complete_parameters(operation);
        if let Some(components) = protected.components.as_mut() {
            requests::complete_body(operation, components);
        }
    }
    document.merge(public);
    document.merge(protected);
    set_operation_ids(&mut document);
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

/// Sets the ids of all operations to method and path, as in `get_v1_documents_id`. OpenAPI requires unique ids, and the
/// default, the handler's name, is unique only within its module.
fn set_operation_ids(document: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let words: Vec<_> = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
        let path = words.join("_");
        let methods = [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("put", &mut item.put),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ];
        for (method, operation) in methods {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}_{path}"));
            }
        }
    }
}

/// Returns the document's paths that have no parameters, without the prefix `/v1/`: `admin/users`, for instance.
pub(crate) fn resources() -> Vec<String> {
    let paths = openapi().paths.paths.into_keys().filter(|path| !path.contains('{'));
    paths.filter_map(|path| path.strip_prefix("/v1/").map(str::to_owned)).collect()
}

/// Routes of the document at `/openapi.json`, and of Swagger UI at `/docs`, which loads nothing from other servers.
pub(crate) fn docs_routes() -> Router<AppState> {
    let config = Config::default().validator_url("none").persist_authorization(true);
    SwaggerUi::new("/docs").config(config).url("/openapi.json", openapi()).into()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}

/// Adds what all operations behind authentication have in common: the security scheme, and the error responses that
/// their parameters and body can cause.
fn add_common_parts(operation: &mut Operation, in_openai_format: bool) {
    operation.security = Some(vec![SecurityRequirement::new(BEARER, Vec::<String>::new())]);
    let parameters = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    });
    let (mut has_path_parameter, mut has_other_parameter) = (false, false);
    for parameter in parameters {
        has_path_parameter |= parameter.parameter_in == ParameterIn::Path;
        has_other_parameter |= matches!(parameter.parameter_in, ParameterIn::Query | ParameterIn::Header);
    }
    let has_body = operation.request_body.is_some();
    let errors = [
        ("400", "Malformed request", has_body || (has_other_parameter && in_openai_format)),
        ("401", "No valid bearer token", true),
        ("403", "The operation is not allowed", true),
        ("404", "Does not exist, or is hidden from you", true),
        ("409", "Not possible in the current state", has_body || has_path_parameter),
        ("413", "The body is too large", has_body),
        ("415", "The content type is not supported", has_body),
        ("422", "A field is invalid; `errors` names it", (has_body || has_other_parameter) && !in_openai_format),
        ("429", "You have exceeded a rate limit or quota", true),
        ("503", "A required component is unavailable", true),
    ];
    for (status, description, applies) in errors {
        if applies {
            let entry = operation.responses.responses.entry(status.to_owned());
            entry.or_insert_with(|| error_response(status, description, in_openai_format).into());
        }
    }
}

fn error_response(status: &str, description: &str, in_openai_format: bool) -> utoipa::openapi::Response {
    let (schema, media_type) =
        if in_openai_format { ("OpenAiError", "application/json") } else { ("Problem", "application/problem+json") };
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(schema))).build();
    let mut response = ResponseBuilder::new().description(description).content(media_type, content);
    if matches!(status, "429" | "503") {
        let seconds = HeaderBuilder::new().description(Some("Seconds to wait before the next attempt")).build();
        response = response.header("Retry-After", seconds);
    }
    response.build()
}
