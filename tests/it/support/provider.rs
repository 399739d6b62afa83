//! A certified OpenID provider (npm `oidc-provider`) as a child process, and users who sign in to it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

/// The audience of the provider's access tokens.
pub const AUDIENCE: &str = "api://plant-agent-platform";

/// A running provider. Dropping it kills the process.
pub struct OidcProvider {
    /// Issuer identifier, which is also the URL of the provider; the value for `OIDC_ISSUER`.
    pub issuer: String,
    child: Child,
    /// Kept open, because a process that writes to a closed pipe is terminated.
    _output: Lines<BufReader<ChildStdout>>,
}

/// The tokens that a user gets by signing in.
pub struct Tokens {
    /// The access token, for the API.
    pub access_token: String,
    /// The ID token, which is only for the client.
    pub id_token: String,
}

impl OidcProvider {
    /// Starts a provider with a new key.
    pub async fn start() -> Self {
        let mut command = tokio::process::Command::from(node_command("provider.mjs"));
        command.arg(required_variable("PLATFORM_TEST_OIDC_PACKAGES")).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().expect("node starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = lines.next_line().await.expect("readable").expect("the provider ended before it served");
        let issuer = line.strip_prefix("issuer ").expect("its issuer").to_owned();
        Self { issuer, child, _output: lines }
    }

    /// Signs a user in with the authorization code flow and PKCE, without a browser.
    pub async fn sign_in(&self, user: &str) -> Tokens {
        let output = tokio::process::Command::from(node_command("login.mjs")).args([&self.issuer, user]).output().await;
        let output = output.expect("node starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tokens: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let token = |name: &str| tokens[name].as_str().unwrap_or_else(|| panic!("no {name}: {tokens}")).to_owned();
        Tokens { access_token: token("access_token"), id_token: token("id_token") }
    }

    /// Opens a URL of the provider with a simulated browser, signs in as this user, and enters a code if a page asks
    /// for one. Returns the text of the last page.
    pub async fn visit(&self, url: &str, user: &str, code: &str) -> String {
        let output = tokio::process::Command::from(node_command("visit.mjs")).args([url, user, code]).output().await;
        let output = output.expect("node starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Replaces the provider's signing key.
    pub async fn rotate_key(&self, http: &reqwest::Client) {
        let answer = http.post(format!("{}/control/rotate", self.issuer)).send().await;
        assert_eq!(answer.expect("it serves").status(), 200);
    }

    /// Kills the provider's process.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("it ran");
    }
}

fn node_command(script: &str) -> Command {
    let scripts: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc-provider");
    let mut command = Command::new(required_variable("PLATFORM_TEST_NODE"));
    command.arg(scripts.join(script));
    command
}

#[expect(clippy::disallowed_methods, reason = "the tests' settings come from whoever starts them")]
fn required_variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with `cargo xtask test`"))
}
