//! What a child gives up before it reads the first byte.
//!
//! A child that becomes another program keeps what that one needs: reading its own file, libraries and data, and the
//! system calls for it.
//!
//! Everywhere: address space, processor time, core dumps, files of its own, further processes. On Linux also: gaining
//! privileges, every path and port (Landlock, from kernel 5.13 on), and every system call that reading a document does
//! not need (seccomp). What a kernel does not know is left out; what it knows and refuses is an error.

use super::frame::ChildLimits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::path::PathBuf;

/// Bytes of stack, whatever the parent was given: deep recursion must end.
const STACK: u64 = 8 << 20;

/// Confines this process for good.
///
/// # Errors
/// Where the system refuses a limit that it knows.
pub(super) fn confine(limits: &ChildLimits) -> io::Result<()> {
    // Landlock needs a descriptor for a moment, so it comes before there may be none.
    #[cfg(target_os = "linux")]
    linux::forget_paths(&Allowed::default())?;
    limit(limits, 0)?;
    #[cfg(target_os = "linux")]
    super::syscalls::filter()?;
    Ok(())
}

/// The paths that are left; those that do not exist are passed over.
#[derive(Default)]
pub(super) struct Allowed {
    /// Files that may be run.
    pub(super) run: Vec<PathBuf>,
    /// Files that may be read, and folders beneath which all may.
    pub(super) read: Vec<PathBuf>,
}

/// Files open at a time in a program that loads its libraries.
const PROGRAM_FILES: u64 = 64;

/// Confines this process for good, but for becoming one of the programs in `allowed`.
///
/// # Errors
/// Where the system refuses a limit that it knows.
pub(super) fn confine_program(limits: &ChildLimits, allowed: &Allowed) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    linux::forget_paths(allowed)?;
    limit(limits, PROGRAM_FILES)?;
    #[cfg(target_os = "linux")]
    super::syscalls::filter_program()?;
    Ok(())
}

fn limit(limits: &ChildLimits, files: u64) -> io::Result<()> {
    let cpu = limits.cpu.as_secs();
    // One second between SIGXCPU, which says why, and SIGKILL, which nothing outlives.
    lower(Resource::Cpu, cpu, cpu + 1)?;
    for (resource, most) in [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, files),
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
    use super::Allowed;
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope,
        path_beneath_rules,
    };
    use std::io;

    /// No path but those that are allowed, no port, no process outside. Also sets `no_new_privs`.
    pub(super) fn forget_paths(allowed: &Allowed) -> io::Result<()> {
        rustix::thread::set_no_new_privs(true)?;
        ruleset(allowed).map_err(io::Error::other)
    }

    fn ruleset(allowed: &Allowed) -> Result<(), RulesetError> {
        const KNOWN: ABI = ABI::V6;
        Ruleset::default()
            .handle_access(AccessFs::from_all(KNOWN))?
            .handle_access(AccessNet::from_all(KNOWN))?
            .scope(Scope::from_all(KNOWN))?
            .create()?
            .add_rules(path_beneath_rules(&allowed.run, AccessFs::Execute | AccessFs::ReadFile))?
            .add_rules(path_beneath_rules(&allowed.read, AccessFs::ReadFile))?
            .restrict_self()?;
        Ok(())
    }
}
