//! The pages that explain the problem types (RFC 9457, `type`). The server provides them itself, because plants often
//! have no internet access.

use crate::error::{ApiError, status};
use crate::problem::ProblemDocument;
use crate::problem_kind::{METHOD_NOT_ALLOWED_DETAIL, METHOD_NOT_ALLOWED_TITLE, default_detail, slug, title};
use crate::state::AppState;
use axum::extract::Path;
use domain::error::ErrorKind;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// Explains a problem type.
#[utoipa::path(
    get, path = "/problems/{type}", tag = "health",
    params(("type" = String, Path, description = "The last part of a problem's `type`", example = "not-found")),
    responses(
        (status = 200, description = "An explanation", body = String, content_type = "text/plain"),
        (status = 404, description = "No such problem type", body = ProblemDocument,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many requests from this IP address", body = ProblemDocument,
            content_type = "application/problem+json"),
    )
)]
async fn explain(Path(name): Path<String>) -> Result<String, ApiError> {
    if name == "method-not-allowed" {
        return Ok(format!("405 {METHOD_NOT_ALLOWED_TITLE}\n\n{METHOD_NOT_ALLOWED_DETAIL}\n"));
    }
    ErrorKind::ALL
        .into_iter()
        .find(|kind| slug(*kind) == name)
        .map(|kind| format!("{} {}\n\n{}\n", status(kind).as_u16(), title(kind), default_detail(kind)))
        .ok_or_else(|| ApiError::from_kind(ErrorKind::NotFound))
}
