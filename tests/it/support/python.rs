//! Python programs of `tests/`, which drive unmodified clients against the platform.

use super::files;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;

/// A command that runs a program of `tests/` with a Python that has its packages.
pub fn script(python: &str, path: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(files::repository_root().join("tests").join(path)).kill_on_drop(true);
    remove_proxy_variables(&mut command);
    command
}

/// A program beside a Python in its virtual environment.
pub fn program_beside(python: &str, name: &str) -> Command {
    let mut command = Command::new(Path::new(python).with_file_name(name));
    command.kill_on_drop(true);
    remove_proxy_variables(&mut command);
    command
}

fn remove_proxy_variables(command: &mut Command) {
    for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
}

/// Runs a command to its end, which must be a success, and returns what it printed.
pub async fn output(mut command: Command, title: &str, limit: Duration) -> String {
    let ended = tokio::time::timeout(limit, command.output()).await.expect("it ends in time");
    let output = ended.expect("python starts");
    assert!(output.status.success(), "{title}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The value of a variable that `cargo xtask` sets.
#[expect(clippy::disallowed_methods, reason = "the tests' settings come from whoever starts them")]
pub fn setting(name: &str, command: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with `{command}`"))
}
