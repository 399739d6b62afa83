//! Confines a child before it reads its first byte.
//!
//! A child that executes another program keeps what that program needs: reading its own file, libraries and data, and
//! the system calls for that.
//!
//! On all systems it limits address space, processor time, core dumps, writing files and creating processes. On Linux
//! it also forbids gaining privileges, accessing paths and ports (Landlock, since kernel 5.13), and all system calls
//! that reading a document does not need (seccomp). Features that the kernel lacks are skipped; a feature that it has
//! and refuses is an error.

use super::frame::ChildLimits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::path::PathBuf;

/// Stack size in bytes, whatever the parent's limit is; ends deep recursion.
const STACK: u64 = 8 << 20;

/// Confines this process permanently.
///
/// # Errors
/// When the system refuses a limit that it supports.
pub(super) fn confine(limits: &ChildLimits) -> io::Result<()> {
    // Landlock needs a file descriptor, so it must run before the limit of open files.
    #[cfg(target_os = "linux")]
    linux::restrict_paths(&AllowedPaths::default())?;
    limit(limits, 0)?;
    #[cfg(target_os = "linux")]
    super::syscalls::filter()?;
    Ok(())
}

/// Paths that stay accessible; those that do not exist are skipped.
#[derive(Default)]
pub(super) struct AllowedPaths {
    /// Files that may be executed.
    pub(super) run: Vec<PathBuf>,
    /// Files, and folders with everything below them, that may be read.
    pub(super) read: Vec<PathBuf>,
}

/// Open files allowed to a program that loads its libraries.
const PROGRAM_FILES: u64 = 64;

/// Confines this process permanently, except that it may execute the programs in `allowed`.
///
/// # Errors
/// When the system refuses a limit that it supports.
pub(super) fn confine_program(limits: &ChildLimits, allowed: &AllowedPaths) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    linux::restrict_paths(allowed)?;
    limit(limits, PROGRAM_FILES)?;
    #[cfg(target_os = "linux")]
    super::syscalls::filter_program()?;
    Ok(())
}

fn limit(limits: &ChildLimits, files: u64) -> io::Result<()> {
    let cpu = limits.cpu.as_secs();
    // SIGXCPU tells the parent why the child died; SIGKILL follows one second later in case it is ignored.
    lower(Resource::Cpu, cpu, cpu + 1)?;
    for (resource, max) in [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, files),
        (Resource::Nproc, 0),
        (Resource::Stack, STACK),
        (Resource::As, limits.memory_bytes),
    ] {
        lower(resource, max, max)?;
    }
    Ok(())
}

/// Sets a limit unless the current one is lower.
fn lower(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let now = getrlimit(resource);
    let at_most = |wanted: u64, now: Option<u64>| Some(now.map_or(wanted, |now| now.min(wanted)));
    let maximum = at_most(hard, now.maximum);
    let current = at_most(soft, now.current.or(now.maximum)).min(maximum);
    match setrlimit(resource, Rlimit { current, maximum }) {
        // macOS knows the name of this limit but does not support it.
        Err(_) if cfg!(not(target_os = "linux")) && resource == Resource::As => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use super::AllowedPaths;
    use landlock::{
        ABI, Access as _, AccessFs, AccessNet, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, Scope,
        path_beneath_rules,
    };
    use std::io;

    /// Forbids all paths except the allowed ones, all ports, and signals to other processes. Also sets
    /// `no_new_privs`.
    pub(super) fn restrict_paths(allowed: &AllowedPaths) -> io::Result<()> {
        rustix::thread::set_no_new_privs(true)?;
        ruleset(allowed).map_err(io::Error::other)
    }

    fn ruleset(allowed: &AllowedPaths) -> Result<(), RulesetError> {
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
