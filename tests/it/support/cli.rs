//! The command line `platform`, run as a separate program in its own home directory.

use super::api_client::ApiClient;
use super::app::TestApp;
use domain::role::Role;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// The home directory and the environment in which `platform` commands run, for one platform and one user.
pub struct Cli {
    url: String,
    token: Option<String>,
    home: TempDir,
}

/// What a command printed, and its exit code.
#[derive(Debug)]
pub struct Output {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Cli {
    /// An environment without a token.
    pub fn signed_out(app: &TestApp) -> Self {
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory under target/tmp");
        Self { url: app.base_url.clone(), token: None, home }
    }

    /// An environment with this token in `PLATFORM_TOKEN`.
    pub fn with_token(app: &TestApp, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..Self::signed_out(app) }
    }

    /// An environment with a token of this user in `PLATFORM_TOKEN`, and the same user as a client of the HTTP API.
    pub fn signed_in<'a>(app: &'a TestApp, tenant: &str, name: &str, role: Role) -> (Self, ApiClient<'a>) {
        let token = app.token(tenant, name, role);
        (Self::with_token(app, &token), app.with_token(&token))
    }

    /// The home directory, which is where commands run.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The file with the stored logins.
    pub fn credentials(&self) -> PathBuf {
        self.home().join(".local/state/platform/credentials.json")
    }

    /// Writes a file into the home directory.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.home().join(name), bytes).expect("written");
    }

    /// A command of `platform`, whose standard streams are pipes.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.program(&program());
        command.args(arguments);
        command
    }

    /// Another program, in the same environment and with `platform` in its path.
    pub fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", search_path()).env("HOME", self.home()).env("PLATFORM_URL", &self.url);
        command.env("NO_PROXY", "127.0.0.1").current_dir(self.home()).kill_on_drop(true);
        if let Some(token) = &self.token {
            command.env("PLATFORM_TOKEN", token);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command and waits until it ends.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        Output::wait_for(self.command(arguments).spawn().expect("it starts")).await
    }

    /// Runs a command with `input` on its standard input.
    pub async fn run_with_input(&self, arguments: &[&str], input: &str) -> Output {
        let child = self.command(arguments).stdin(Stdio::piped()).spawn();
        Output::wait_with_input(child.expect("it starts"), input).await
    }
}

impl Output {
    /// Waits until a program ends.
    pub async fn wait_for(child: Child) -> Self {
        let output = child.wait_with_output().await.expect("it ran");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Writes to a program, closes its standard input and waits for it.
    pub async fn wait_with_input(mut child: Child, input: &str) -> Self {
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input.as_bytes()).await.expect("it reads");
        drop(stdin);
        Self::wait_for(child).await
    }

    /// Asserts the exit code.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Parses standard output as one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Parses each line of standard output as a JSON document.
    pub fn json_lines(&self) -> Vec<Value> {
        let document = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:#?}"));
        self.out.lines().map(document).collect()
    }
}

/// Path of the `platform` program.
#[expect(clippy::disallowed_methods, reason = "the tests' settings come from whoever starts them")]
pub fn program() -> PathBuf {
    let path = std::env::var_os("PLATFORM_TEST_CLI");
    path.expect("PLATFORM_TEST_CLI is not set: run the tests with `cargo xtask test`").into()
}

/// `PATH` of this process, preceded by the program's directory.
#[expect(clippy::disallowed_methods, reason = "the tests' settings come from whoever starts them")]
fn search_path() -> std::ffi::OsString {
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let program_dir = program().parent().expect("a directory").to_owned();
    std::env::join_paths(std::iter::once(program_dir).chain(std::env::split_paths(&inherited))).expect("a path")
}
