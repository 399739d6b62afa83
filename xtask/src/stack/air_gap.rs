//! `cargo xtask stack-test --air-gap`: runs the stack's test in a network namespace that has nothing but the loopback
//! interface. What would ask another machine, even for a name, fails there.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::Result;

use crate::debian;
use crate::proc::{self, Interrupt};
use crate::progress::print_status;
use crate::server::{self, BuildProfile};
use crate::{model, ui};

/// Brings up the loopback interface of the namespace, makes sure that there is no route, and runs the arguments.
const SCRIPT: &str = r#"set -eu
ip link set lo up
[ -z "$(ip route show)$(ip -6 route show default)" ] || { echo "the network namespace has a route" >&2; exit 1; }
exec "$@""#;

/// Provisions and builds everything, then runs `test` of the stack again in the namespace. `compile` builds the tests.
/// Prints a message and does nothing if this machine cannot create namespaces.
///
/// # Errors
/// If something cannot be provisioned, or the namespace cannot be created.
pub fn test(program: &Path, compile: impl FnOnce() -> Result<ExitCode>, interrupt: &Interrupt) -> Result<ExitCode> {
    if let Some(obstacle) = obstacle(rustix::process::geteuid().is_root(), |name| debian::find(name).is_some()) {
        print_status(&format!("skipped: {obstacle}"));
        return Ok(ExitCode::SUCCESS);
    }
    ui::build_if_possible(interrupt)?;
    model::provision(interrupt)?;
    server::build(BuildProfile::Dev, interrupt)?;
    let compiled = compile()?;
    if compiled != ExitCode::SUCCESS {
        return Ok(compiled);
    }
    print_status("running the test without a network …");
    let status = proc::run(&mut isolated_command(program), interrupt)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok(ExitCode::from(code))
}

fn isolated_command(program: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", SCRIPT, "sh"]).arg(program).arg("stack-test");
    // Cargo finds everything built; if it does not, it says so rather than waiting for the registry.
    command.env("CARGO_NET_OFFLINE", "true");
    command
}

/// Why this machine cannot run the test in a namespace.
fn obstacle(is_root: bool, is_installed: impl Fn(&str) -> bool) -> Option<String> {
    if !cfg!(target_os = "linux") {
        return Some("network namespaces need Linux".to_owned());
    }
    if !is_root {
        return Some("creating a network namespace needs root".to_owned());
    }
    let missing = [("unshare", "util-linux"), ("ip", "iproute2")].into_iter().find(|(name, _)| !is_installed(name));
    missing.map(|(name, package)| format!("the program {name} is missing: install the package {package}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_what_is_missing() {
        assert!(obstacle(false, |_| true).unwrap().contains("root"));
        assert!(obstacle(true, |name| name != "ip").unwrap().contains("iproute2"));
        assert_eq!(obstacle(true, |_| true), None);
    }

    /// Another machine cannot be reached in the namespace, and this one can. Needs root.
    #[test]
    fn the_namespace_has_only_the_loopback_interface() {
        if obstacle(rustix::process::geteuid().is_root(), |name| debian::find(name).is_some()).is_some() {
            return;
        }
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", SCRIPT, "sh", "ip", "-o", "link", "show", "up"]);
        let links = proc::checked_output(&mut command, "unshare").unwrap();
        assert!(links.lines().count() == 1 && links.contains(" lo: "), "{links}");
    }
}
