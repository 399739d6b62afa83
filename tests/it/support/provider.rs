//! A certified OpenID provider (npm `oidc-provider`) as a child process, and people who sign in at it.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout};

/// The audience of its access tokens.
pub const AUDIENCE: &str = "api://plant-agent-platform";

/// The provider; it is killed when it is dropped.
pub struct Provider {
    /// Its name and address, for `OIDC_ISSUER`.
    pub issuer: String,
    child: Child,
    /// Held, since a process that writes to a closed pipe ends.
    _output: Lines<BufReader<ChildStdout>>,
}

/// What somebody who signed in got.
pub struct Tokens {
    /// For the API.
    pub access: String,
    /// For the client alone.
    pub id: String,
}

impl Provider {
    /// Starts it with a new key.
    pub async fn start() -> Self {
        let mut command = tokio::process::Command::from(node("provider.mjs"));
        command.arg(variable("PLATFORM_TEST_OIDC_PACKAGES")).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().expect("node starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let line = lines.next_line().await.expect("readable").expect("the provider ended before it served");
        let issuer = line.strip_prefix("issuer ").expect("its issuer").to_owned();
        Self { issuer, child, _output: lines }
    }

    /// Signs somebody in: authorization code with PKCE, without a browser.
    pub async fn sign_in(&self, user: &str) -> Tokens {
        let output = tokio::process::Command::from(node("login.mjs")).args([&self.issuer, user]).output().await;
        let output = output.expect("node starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let tokens: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let token = |name: &str| tokens[name].as_str().unwrap_or_else(|| panic!("no {name}: {tokens}")).to_owned();
        Tokens { access: token("access_token"), id: token("id_token") }
    }

    /// Replaces its key by another.
    pub async fn rotate(&self, http: &reqwest::Client) {
        let answer = http.post(format!("{}/control/rotate", self.issuer)).send().await;
        assert_eq!(answer.expect("it serves").status(), 200);
    }

    /// Kills the provider's process.
    pub async fn kill(&mut self) {
        self.child.kill().await.expect("it ran");
    }
}

fn node(script: &str) -> Command {
    let scripts: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("oidc-provider");
    let mut command = Command::new(variable("PLATFORM_TEST_NODE"));
    command.arg(scripts.join(script));
    command
}

#[expect(clippy::disallowed_methods, reason = "the tests' settings come from whoever starts them")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with `cargo xtask test`"))
}
