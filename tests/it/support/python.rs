//! Runs the Python scripts in `tests/`, which use unmodified clients against the platform.

use super::files;
use std::path::Path;
use std::time::Duration;
use tokio::process::Command;

/// A command that runs a script in `tests/` with a Python interpreter that has the packages it needs.
pub fn script(python: &str, path: &str) -> Command {
    let mut command = Command::new(python);
    command.arg(files::repository_root().join("tests").join(path)).kill_on_drop(true);
    remove_proxy_variables(&mut command);
    command
}

/// A program in the same virtual environment as a Python interpreter.
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

/// Runs a command and returns its standard output; panics if it fails or exceeds `limit`.
pub async fn output(mut command: Command, title: &str, limit: Duration) -> String {
    let ended = tokio::time::timeout(limit, command.output()).await.expect("it ends in time");
    let output = ended.expect("python starts");
    assert!(output.status.success(), "{title}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The value of an environment variable that `command` sets, such as `cargo xtask test`.
#[expect(clippy::disallowed_methods, reason = "the tests' settings come from whoever starts them")]
pub fn required_var(name: &str, command: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with `{command}`"))
}
