//! What a child gives up before it reads the first byte.
//!
//! Everywhere: address space, processor time, core dumps, files of its own, further processes. On Linux also: gaining
//! privileges, every path and port (Landlock, from kernel 5.13 on), and every system call that reading a document does
//! not need (seccomp). What a kernel does not know is left out; what it knows and refuses is an error.

use super::frame::ChildLimits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;

/// Bytes of stack, whatever the parent was given: deep recursion must end.
const STACK: u64 = 8 << 20;

/// Confines this process for good.
///
/// # Errors
/// Where the system refuses a limit that it knows.
pub(super) fn confine(limits: &ChildLimits) -> io::Result<()> {
    // Landlock needs a descriptor for a moment, so it comes before there may be none.
    #[cfg(target_os = "linux")]
    linux::forget_paths()?;
    limit(limits)?;
    #[cfg(target_os = "linux")]
    super::syscalls::filter()?;
    Ok(())
}

fn limit(limits: &ChildLimits) -> io::Result<()> {
    let cpu = limits.cpu.as_secs();
    // One second between SIGXCPU, which says why, and SIGKILL, which nothing outlives.
    lower(Resource::Cpu, cpu, cpu + 1)?;
    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, 0),
        (Resource::Nproc, 0),
        (Resource::Stack, STACK),
        (Resource::As, limits.memory_bytes),
    ] {
        lower(resource, most, most)?;
    }
    Ok(())
}

/// Sets a limit, or leaves one that is lower already.
fn lower(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let now = getrlimit(resource);
    let at_most = |wanted: u64, now: Option<u64>| Some(now.map_or(wanted, |now| now.min(wanted)));
    let maximum = at_most(hard, now.maximum);
    let current = at_most(soft, now.current.or(now.maximum)).min(maximum);
    match setrlimit(resource, Rlimit { current, maximum }) {
        // macOS has a name for the address space and no limit to it.
        Err(_) if cfg!(not(target_os = "linux")) && resource == Resource::As => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use landlock::{ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetError, Scope};
    use std::io;

    /// No path, no port, no process outside: a ruleset without a single rule. Also sets `no_new_privs`.
    pub(super) fn forget_paths() -> io::Result<()> {
        rustix::thread::set_no_new_privs(true)?;
        ruleset().map_err(io::Error::other)
    }

    fn ruleset() -> Result<(), RulesetError> {
        const KNOWN: ABI = ABI::V6;
        Ruleset::default()
            .handle_access(AccessFs::from_all(KNOWN))?
            .handle_access(AccessNet::from_all(KNOWN))?
            .scope(Scope::from_all(KNOWN))?
            .create()?
            .restrict_self()?;
        Ok(())
    }
}
