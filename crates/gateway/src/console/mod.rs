//! The browser console below `/ui/`: its files, and the page that starts it.

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

/// The page that starts the console.
const PAGE_FILE: &str = "index.html";

/// Where the console comes from, and what it offers beside the API. The default has neither files nor users.
#[derive(Clone, Default)]
pub struct ConsolePorts {
    /// The built files; without them there are no pages below `/ui/`.
    pub files: Option<Arc<dyn ConsoleFiles>>,
    /// Sign-in without an issuer; `None` outside development mode.
    pub development: Option<Arc<dyn DevelopmentSignIn>>,
}

/// The built files of the console.
pub trait ConsoleFiles: Send + Sync {
    /// The file at this path below `/ui/`, such as `assets/index-4f2a.js`.
    fn file(&self, path: &str) -> Option<ConsoleFile>;
}

/// One file, and what of it was compressed when it was built.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsoleFile {
    /// The bytes of the file.
    pub content: Cow<'static, [u8]>,
    /// The same bytes in `Content-Encoding: br`, if that is shorter.
    pub brotli: Option<Cow<'static, [u8]>>,
    /// The same bytes in `Content-Encoding: gzip`, if that is shorter.
    pub gzip: Option<Cow<'static, [u8]>>,
    /// Changes whenever the content does; without quotes.
    pub etag: String,
}

/// Signs in as a user of the demo tenant, without a password. Only a server in development mode has it.
#[async_trait]
pub trait DevelopmentSignIn: Send + Sync {
    /// The active users that [`Self::token`] accepts.
    async fn users(&self) -> Result<Vec<DevelopmentUser>, DevelopmentSignInError>;

    /// A token of the development issuer for this user; `None` if [`Self::users`] does not have the user.
    async fn token(&self, user: Uuid) -> Result<Option<DevelopmentToken>, DevelopmentSignInError>;
}

/// A user of the demo tenant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DevelopmentUser {
    /// The user's id on this platform.
    pub id: Uuid,
    /// Name for display.
    pub name: String,
    /// Role in the tenant: `admin`, `user` or `viewer`.
    pub role: &'static str,
}

/// A token of the development issuer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DevelopmentToken {
    /// The bearer token.
    pub access_token: String,
    /// How long it is valid.
    pub expires_in: Duration,
}

/// Why nobody can sign in at present. The message is for the log.
#[derive(Debug, thiserror::Error)]
#[error("the development sign-in failed: {0}")]
pub struct DevelopmentSignInError(pub String);

/// The part of the router's state that the console needs.
#[derive(Clone)]
pub(crate) struct ConsoleState {
    ports: ConsolePorts,
    ids: Arc<dyn IdGen>,
    /// The API's resources, such as `admin/users`, so that the console links to pages only where this server has them.
    resources: Arc<[String]>,
}

impl ConsoleState {
    pub(crate) fn new(ports: ConsolePorts, ids: Arc<dyn IdGen>, resources: Vec<String>) -> Self {
        Self { ports, ids, resources: resources.into() }
    }

    /// Sign-in without an issuer; `None` outside development mode.
    pub(crate) fn development(&self) -> Option<&Arc<dyn DevelopmentSignIn>> {
        self.ports.development.as_ref()
    }

    /// The response with a file; `None` if there is none at this path.
    pub(crate) fn file(&self, path: &str, request_headers: &HeaderMap) -> Option<Response> {
        let file = self.ports.files.as_ref().filter(|_| path != PAGE_FILE)?.file(path)?;
        Some(response::file_response(path, file, request_headers))
    }

    /// The page that starts the console; `None` if this server has no console.
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
