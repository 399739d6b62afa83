//! The programs that `cargo xtask test` provides.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A Python with asyncua, pymodbus and cryptography.
pub fn python() -> String {
    required_var("PLATFORM_TEST_PLANT_PYTHON")
}

/// Mosquitto; `None` if it could not be installed.
pub fn mosquitto() -> Option<String> {
    let program = optional_var("PLATFORM_TEST_MOSQUITTO");
    if program.is_none() {
        let reason = "skipped: PLATFORM_TEST_MOSQUITTO is not set; run the tests with `cargo xtask test`";
        writeln!(std::io::stderr(), "{reason}").expect("standard error is open");
    }
    program
}

/// A script in `tests/plant-servers`.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/plant-servers").join(name)
}

/// Makes a certificate and returns its SHA-256.
pub fn make_certificate(kind: &str, dir: &Path, issuer_dir: Option<&Path>) -> String {
    let mut command = Command::new(python());
    command.arg(script("certificates.py")).arg(kind).arg(dir).args(issuer_dir).stderr(Stdio::inherit());
    let output = command.output().expect("python runs");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

fn required_var(name: &str) -> String {
    optional_var(name).unwrap_or_else(|| panic!("{name} is not set: run the tests with `cargo xtask test`"))
}

#[expect(clippy::disallowed_methods, reason = "the tests' programs come from whoever starts them")]
fn optional_var(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
