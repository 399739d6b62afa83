//! The HTTP client that requests to the platform and to the issuer share.

use crate::args::GlobalOptions;
use crate::error::CliError;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};
use std::time::Duration;

/// Timeout for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout of a request whose response is not streamed.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

/// Maximum time without a byte of the response: three times the interval of the keep-alive comments in a stream, and
/// more than [`ANSWER_TIMEOUT`] leaves a request that streams nothing.
const READ_TIMEOUT: Duration = Duration::from_secs(150);

/// Builds the client. It does not follow redirects, since they could send a token to another server.
///
/// # Errors
/// If the file with additional certificates cannot be read, is not PEM or contains no certificate, or the client cannot
/// be set up.
pub fn client(options: &GlobalOptions) -> Result<Client, CliError> {
    let mut builder = Client::builder()
        .user_agent(concat!("platform-cli/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(Policy::none());
    if let Some(file) = &options.ca_file {
        let ca_file_error = |error: &dyn std::fmt::Display| CliError::Usage(format!("{}: {error}", file.display()));
        let pem = std::fs::read(file).map_err(|error| ca_file_error(&error))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| ca_file_error(&error))?;
        if certificates.is_empty() {
            return Err(ca_file_error(&"it contains no certificate"));
        }
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|error| CliError::failed_locally("the HTTP client cannot be set up", error))
}
