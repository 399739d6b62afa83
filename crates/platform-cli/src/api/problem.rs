//! Converts error responses to the errors of this program, which decide the exit code.

use crate::error::CliError;
use reqwest::StatusCode;
use serde::Deserialize;

/// Code of a refusal that only asks for a more recent sign-in.
const STEP_UP: &str = "step_up_required";

/// A problem document (RFC 9457) of the platform.
#[derive(Debug, Deserialize)]
pub struct Problem {
    /// The HTTP status, which decides the exit code.
    pub status: u16,
    /// A stable code for programs.
    pub code: String,
    /// A sentence about this occurrence.
    pub detail: String,
    /// The invalid fields of the request, if any.
    #[serde(default)]
    pub errors: Vec<FieldProblem>,
    /// Id of the request, which helps an administrator to find it in the log.
    #[serde(default)]
    pub request_id: Option<String>,
}

/// What is wrong with a field of the request.
#[derive(Debug, Deserialize)]
pub struct FieldProblem {
    /// JSON pointer to the field.
    pub pointer: String,
    /// What the value should be.
    pub detail: String,
}

impl Problem {
    /// Converts the problem to an error of this program.
    pub fn into_error(self) -> CliError {
        let mut text = self.detail.trim_end_matches('.').to_owned();
        for field in &self.errors {
            text += &format!("; {} {}", field.pointer.trim_start_matches('/'), field.detail);
        }
        text += &format!(" ({}", self.code);
        if let Some(id) = &self.request_id {
            text += &format!(", request {id}");
        }
        text.push(')');
        match self.status {
            401 if self.code == STEP_UP => {
                CliError::StepUpRequired(format!("{text}; sign in again with `platform login`, and repeat the command"))
            }
            401 => CliError::NotSignedIn(format!("{text}; sign in with `platform login`")),
            403 => CliError::Refused(text),
            _ => CliError::Failed(text),
        }
    }
}

/// Returns the error for an error response. A body that is not a problem document comes from a proxy; its 502, 503 or
/// 504 means that the platform is not reachable.
pub fn error_from_response(status: StatusCode, body: &[u8]) -> CliError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => problem.into_error(),
        Err(_) => match status.as_u16() {
            401 => CliError::NotSignedIn("the server requires a token; sign in with `platform login`".to_owned()),
            403 => CliError::Refused("the request was refused before it reached the platform".to_owned()),
            502..=504 => CliError::NotReachable(format!("the platform is not reachable: its proxy returned {status}")),
            _ => CliError::Failed(format!("the server returned {status} without a problem document; check the URL")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::ExitCode;

    fn exit_code_of(status: u16, body: &str) -> ExitCode {
        error_from_response(StatusCode::from_u16(status).unwrap(), body.as_bytes()).exit_code()
    }

    fn problem_body(status: u16) -> String {
        format!(r#"{{"status":{status},"code":"some_code","detail":"What happened.","request_id":"r-1"}}"#)
    }

    #[test]
    fn the_status_of_a_problem_decides_the_exit_code() {
        for (status, exit) in [(401, 3), (403, 4), (404, 1), (409, 1), (422, 1), (429, 1), (503, 1), (500, 1)] {
            assert_eq!(exit_code_of(status, &problem_body(status)), ExitCode::from(exit), "{status}");
        }
    }

    #[test]
    fn a_refusal_that_asks_for_a_recent_sign_in_is_told_apart() {
        let body = problem_body(401).replace("some_code", "step_up_required");
        let error = error_from_response(StatusCode::UNAUTHORIZED, body.as_bytes());
        assert!(matches!(error, CliError::StepUpRequired(_)), "{error}");
        assert_eq!(error.exit_code(), ExitCode::from(3));
    }

    #[test]
    fn a_gateway_error_of_a_proxy_means_not_reachable() {
        for (status, exit) in [(502, 5), (503, 5), (504, 5), (404, 1), (401, 3), (302, 1)] {
            assert_eq!(exit_code_of(status, "<html>"), ExitCode::from(exit), "{status}");
        }
    }

    #[test]
    fn the_error_message_contains_the_invalid_fields_and_the_request_id() {
        let body = r#"{"status":422,"code":"validation","detail":"A field is not allowed.","request_id":"r-1",
            "errors":[{"pointer":"/top_k","detail":"must be at most 50"}]}"#;
        let text = error_from_response(StatusCode::UNPROCESSABLE_ENTITY, body.as_bytes()).to_string();
        assert_eq!(text, "A field is not allowed; top_k must be at most 50 (validation, request r-1)");
    }
}
