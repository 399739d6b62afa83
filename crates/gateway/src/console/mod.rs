//! The browser console under `/ui/`: its built files, and the page that loads it.

mod page;
mod response;

use page::PageSettings;
pub use page::{ConsoleClient, ConsoleSettings};

use async_trait::async_trait;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use domain::ports::IdGen;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// File name of the page that loads the console.
const PAGE_FILE: &str = "index.html";

/// The ports of the browser console. By default, a server has neither a console nor the development sign-in.
#[derive(Clone, Default)]
pub struct ConsolePorts {
    /// The built files; if `None`, nothing is served under `/ui/`.
    pub files: Option<Arc<dyn ConsoleFiles>>,
    /// Sign-in without an identity provider; `None` outside development mode.
    pub development: Option<Arc<dyn DevelopmentSignIn>>,
}

/// The source of the console's built files.
pub trait ConsoleFiles: Send + Sync {
    /// Returns the file at this path under `/ui/`, such as `assets/index-4f2a.js`; `None` if there is none.
    fn file(&self, path: &str) -> Option<ConsoleFile>;
}

/// A built file, with the compressed versions that were created at build time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsoleFile {
    /// The uncompressed bytes.
    pub content: Cow<'static, [u8]>,
    /// The same bytes in `Content-Encoding: br`, if that is shorter.
    pub brotli: Option<Cow<'static, [u8]>>,
    /// The same bytes in `Content-Encoding: gzip`, if that is shorter.
    pub gzip: Option<Cow<'static, [u8]>>,
    /// Value of the `ETag` header, without quotes. Changes whenever the content changes.
    pub etag: String,
}

/// Issues tokens for users of the demo tenant without a password. Only available in development mode.
#[async_trait]
pub trait DevelopmentSignIn: Send + Sync {
    /// Lists the active users that [`Self::token`] accepts.
    async fn users(&self) -> Result<Vec<DevelopmentUser>, DevelopmentSignInError>;

    /// Issues a token of the development issuer for this user; `None` if [`Self::users`] does not list the user.
    async fn token(&self, user: Uuid) -> Result<Option<DevelopmentToken>, DevelopmentSignInError>;
}

/// A user of the demo tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DevelopmentUser {
    /// The user's id on this platform.
    pub id: Uuid,
    /// Name, for display only.
    pub name: String,
    /// Role in the tenant: `admin`, `user` or `viewer`.
    pub role: &'static str,
}

/// A token that the development sign-in has issued.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DevelopmentToken {
    /// The bearer token.
    pub access_token: String,
    /// Time until the token expires.
    pub expires_in: Duration,
}

/// The development sign-in failed. The message is for the log, not for the client.
#[derive(Debug, thiserror::Error)]
#[error("the development sign-in failed: {0}")]
pub struct DevelopmentSignInError(pub String);

/// The part of the router's state that the console needs.
#[derive(Clone)]
pub(crate) struct ConsoleState {
    ports: ConsolePorts,
    ids: Arc<dyn IdGen>,
    /// The API's resources, such as `admin/users`. The console links only to pages whose resource is listed here.
    resources: Arc<[String]>,
}

impl ConsoleState {
    pub(crate) fn new(ports: ConsolePorts, ids: Arc<dyn IdGen>, resources: Vec<String>) -> Self {
        Self { ports, ids, resources: resources.into() }
    }

    /// Sign-in without an identity provider; `None` outside development mode.
    pub(crate) fn development(&self) -> Option<&Arc<dyn DevelopmentSignIn>> {
        self.ports.development.as_ref()
    }

    /// Returns the response with the built file at `path`; `None` if there is none, or for the page itself, which only
    /// [`Self::page`] serves.
    pub(crate) fn file(&self, path: &str, request_headers: &HeaderMap) -> Option<Response> {
        let file = self.ports.files.as_ref().filter(|_| path != PAGE_FILE)?.file(path)?;
        Some(response::file_response(path, file, request_headers))
    }

    /// Renders the page that loads the console; `None` if this server has no console.
    pub(crate) fn page(&self, settings: &ConsoleSettings) -> Option<Response> {
        let file = self.ports.files.as_ref()?.file(PAGE_FILE)?;
        let nonce = page::nonce(&[self.ids.uuid(), self.ids.uuid()]);
        let page_settings = PageSettings {
            sign_in: settings.sign_in.as_ref(),
            development: self.ports.development.is_some(),
            resources: &self.resources,
        };
        Some(page::render(&String::from_utf8_lossy(&file.content), &nonce, &page_settings).into_response())
    }
}
