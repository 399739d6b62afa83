//! The listener on this machine to which the issuer redirects the browser (RFC 8252, section 7.3).

use super::issuer::AuthorizationResponse;
use crate::error::CliError;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

const PATH: &str = "/callback";
/// Maximum size of a request's head, in bytes.
const MAX_HEAD: usize = 16 << 10;
/// Timeout for a browser to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout for the user to sign in.
const SIGN_IN_TIMEOUT: Duration = Duration::from_secs(300);

/// A port on this machine that waits for the redirect.
pub struct LoopbackListener {
    listener: TcpListener,
    redirect_uri: Url,
}

impl LoopbackListener {
    /// Opens a free port on the loopback interface, which other machines cannot reach.
    ///
    /// # Errors
    /// If no port can be opened.
    pub async fn open() -> Result<Self, CliError> {
        let failed = |error: &dyn std::fmt::Display| CliError::failed_locally("cannot listen on a local port", error);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(|error| failed(&error))?;
        let port = listener.local_addr().map_err(|error| failed(&error))?.port();
        let redirect = Url::parse(&format!("http://127.0.0.1:{port}{PATH}")).map_err(|error| failed(&error))?;
        Ok(Self { listener, redirect_uri: redirect })
    }

    /// The redirect URI, with the port of this listener.
    pub fn redirect_uri(&self) -> Url {
        self.redirect_uri.clone()
    }

    /// Waits for the redirect. Other requests, such as for an icon, are answered and ignored.
    ///
    /// # Errors
    /// If it does not arrive in time.
    pub async fn wait_for_redirect(self) -> Result<AuthorizationResponse, CliError> {
        let redirect_future = async {
            loop {
                let accepted = self.listener.accept().await;
                let (stream, _peer) = accepted
                    .map_err(|error| CliError::failed_locally("the browser's redirect cannot be received", error))?;
                // A failed connection does not end the wait.
                if let Ok(Some(redirected)) = tokio::time::timeout(HEAD_TIMEOUT, answer(stream)).await {
                    return Ok(redirected);
                }
            }
        };
        let timeout_error = || CliError::NotSignedIn("nobody signed in within five minutes".to_owned());
        tokio::time::timeout(SIGN_IN_TIMEOUT, redirect_future).await.map_err(|_| timeout_error())?
    }
}

/// Answers a request; returns its parameters if it is the redirect.
async fn answer(mut stream: TcpStream) -> Option<AuthorizationResponse> {
    let head = read_head(&mut stream).await?;
    let redirected = parse_redirect(&head);
    let (status, words) = match redirected {
        Some(_) => ("200 OK", "You can close this window and return to the terminal."),
        None => ("404 Not Found", "There is nothing here."),
    };
    let length = words.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n{words}"
    );
    let _written = stream.write_all(answer.as_bytes()).await;
    let _closed = stream.shutdown().await;
    redirected
}

async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(head).ok()
}

/// Parses the parameters of the redirect; `None` for any other request.
fn parse_redirect(head: &str) -> Option<AuthorizationResponse> {
    let target = head.lines().next()?.strip_prefix("GET ")?.split(' ').next()?;
    let url = Url::parse("http://127.0.0.1").ok()?.join(target).ok()?;
    if url.path() != PATH {
        return None;
    }
    let mut redirected = AuthorizationResponse::default();
    for (name, value) in url.query_pairs() {
        redirected.set(&name, value.into_owned());
    }
    redirected.has_result().then_some(redirected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_with_a_code_or_an_error_is_the_redirect() {
        let head = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        assert!(parse_redirect(&head("/callback?code=c&state=s")).is_some());
        assert!(parse_redirect(&head("/callback?error=access_denied&state=s")).is_some());
        for other in ["/favicon.ico", "/callback", "/callback?state=s", "/?code=c", "//callback?code=c"] {
            assert!(parse_redirect(&head(other)).is_none(), "{other}");
        }
        assert!(parse_redirect("POST /callback?code=c HTTP/1.1\r\n\r\n").is_none());
    }

    #[tokio::test]
    async fn another_request_does_not_end_the_wait() {
        let loopback = LoopbackListener::open().await.unwrap();
        let redirect = loopback.redirect_uri();
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let browser = async {
            let icon = http.get(redirect.join("/favicon.ico").unwrap()).send().await.unwrap();
            assert_eq!(icon.status(), 404);
            http.get(format!("{redirect}?code=c&state=s")).send().await.unwrap().text().await.unwrap()
        };
        let (redirected, page) = tokio::join!(loopback.wait_for_redirect(), browser);
        assert!(redirected.unwrap().has_result());
        assert!(page.contains("close this window"), "{page}");
    }
}
