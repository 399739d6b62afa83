//! Checks each file with the tool that reads it: nginx, promtool, systemd-analyze, the shell and Compose; the
//! Dockerfile with hadolint. A tool that is not installed is reported and skipped.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::proc::Interrupt;
use crate::stack::{Certificate, ListenAddresses, write_nginx_configuration};
use crate::{debian, hadolint};

/// The errors that the tools report.
///
/// # Errors
/// If a temporary file cannot be written.
pub fn violations(root: &Path, interrupt: &Interrupt) -> Result<Vec<String>> {
    let deploy = root.join("deploy");
    let mut violations = Vec::new();
    interrupt.check()?;
    let mut run = |name: &str, arguments: &[&str], dir: &Path| {
        let Some(program) = debian::find(name) else {
            println!("deploy: {name} is not installed; its checks were skipped");
            return;
        };
        violations.extend(failure(Command::new(program).args(arguments).current_dir(dir)));
    };
    for script in ["setup", "certificate", "install", "postgres/archive-wal", "postgres/roles.sh"] {
        run("sh", &["-n", script], &deploy);
    }
    run("promtool", &["check", "config", "prometheus.yml"], &deploy.join("prometheus"));
    run("promtool", &["test", "rules", "tests/platform.yml"], &deploy.join("prometheus"));
    let scratch = tempfile::tempdir()?;
    if debian::find("openssl").is_some() && debian::find("nginx").is_some() {
        let dir = prepare_nginx(&deploy, scratch.path())?;
        run("nginx", &["-t", "-q", "-p", &dir, "-c", &format!("{dir}/nginx.conf")], scratch.path());
    }
    for unit in prepare_units(&deploy, scratch.path())? {
        run("systemd-analyze", &["verify", &unit], scratch.path());
    }
    if has_compose() {
        prepare_secrets(&deploy, scratch.path())?;
        for profile in ["development", "production"] {
            run("docker", &["compose", "--profile", profile, "config", "--quiet"], &scratch.path().join("compose"));
        }
    } else {
        println!("deploy: docker compose is not installed; compose.yaml was checked only by our own rules");
    }
    match hadolint::provision(interrupt)? {
        Some(program) => violations.extend(failure(Command::new(program).arg(deploy.join("Dockerfile")))),
        None => println!("deploy: hadolint is not installed; its check was skipped"),
    }
    Ok(violations)
}

/// The output of a command if it fails.
pub(super) fn failure(command: &mut Command) -> Option<String> {
    let name = format!("{command:?}");
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() && !has_warning(&output.stderr) => None,
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some(format!("{name}: {}", String::from_utf8_lossy(&text).trim()))
        }
        Err(error) => Some(format!("{name}: {error}")),
    }
}

/// Whether a command that succeeded reports a problem: systemd-analyze only warns about unknown directives.
fn has_warning(stderr: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stderr);
    text.contains("Unknown") || text.contains("[warn]") || text.contains("[emerg]")
}

fn prepare_nginx(deploy: &Path, scratch: &Path) -> Result<String> {
    let dir = scratch.join("nginx");
    let tls = scratch.join("tls");
    if let Some(error) = failure(Command::new(deploy.join("certificate")).arg(&tls).arg("localhost")) {
        println!("deploy: {error}");
    }
    let certificate = Certificate::in_dir(&tls);
    let listen = ListenAddresses { tls: "127.0.0.1:8443".to_owned(), plain: "127.0.0.1:8080".to_owned() };
    write_nginx_configuration(&dir, &listen, &[8001, 8002], &certificate)?;
    Ok(dir.display().to_string())
}

/// Copies the units and replaces the path of `platform-server`, which is not installed here, with an existing program.
fn prepare_units(deploy: &Path, scratch: &Path) -> Result<Vec<String>> {
    let mut units = Vec::new();
    for entry in std::fs::read_dir(deploy.join("systemd"))? {
        let entry = entry?;
        let text = std::fs::read_to_string(entry.path())?.replace("/usr/local/bin/platform-server", "/bin/true");
        let path = scratch.join(entry.file_name());
        std::fs::write(&path, text)?;
        units.push(path.display().to_string());
    }
    units.sort();
    Ok(units)
}

fn has_compose() -> bool {
    debian::find("docker")
        .and_then(|docker| Command::new(docker).args(["compose", "version"]).output().ok())
        .is_some_and(|output| output.status.success())
}

/// Copies the Compose file and the files beside it, and creates the secrets that it refers to.
fn prepare_secrets(deploy: &Path, scratch: &Path) -> Result<()> {
    let dir = scratch.join("compose");
    std::fs::create_dir_all(&dir)?;
    for file in ["compose.yaml", "platform.toml", "setup", "certificate"] {
        std::fs::copy(deploy.join(file), dir.join(file))?;
    }
    if let Some(error) = failure(Command::new(dir.join("setup")).current_dir(&dir)) {
        println!("deploy: {error}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_tool_and_an_ignored_directive_are_reported() {
        let shell = |script: &str| failure(Command::new("sh").args(["-c", script]));
        assert_eq!(shell("true"), None);
        assert!(shell("echo because; exit 3").unwrap().contains("because"));
        assert!(shell("echo \"Unknown key name 'Foo', ignoring\" >&2").unwrap().contains("Foo"));
    }
}
