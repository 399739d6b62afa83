//! Sandboxes a child process before it reads its first byte.
//!
//! On all systems, resource limits restrict address space, CPU time, core dumps, file writes and new processes. On
//! Linux the sandbox also forbids gaining privileges, accessing paths and TCP ports (Landlock; paths since kernel
//! 5.13, ports since 6.7), and all system calls that reading a document does not need (seccomp). Features that the
//! kernel lacks are skipped; if a feature is supported but cannot be enabled, that is an error.
//!
//! A child that executes another program may additionally read that program's file, libraries and data, and use the
//! system calls for that.

use super::frame::ChildLimits;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use std::path::PathBuf;

/// Maximum stack size in bytes, independent of the parent's limit, so that deep recursion fails early.
const MAX_STACK_BYTES: u64 = 8 << 20;

/// Sandboxes this process permanently.
///
/// # Errors
/// When the system supports a restriction but cannot enable it.
pub(super) fn confine(limits: &ChildLimits) -> io::Result<()> {
    // Landlock opens a file descriptor, so it must run before the number of open files is limited to 0.
    #[cfg(target_os = "linux")]
    linux::restrict_access(&AllowedPaths::default())?;
    set_limits(limits, 0)?;
    #[cfg(target_os = "linux")]
    super::syscalls::confine_reader()?;
    Ok(())
}

/// Paths that stay accessible in the sandbox; paths that do not exist are skipped.
#[derive(Default)]
pub(super) struct AllowedPaths {
    /// Files that may be executed.
    pub(super) executable: Vec<PathBuf>,
    /// Files that may be read, and directories whose files may be read at any depth.
    pub(super) readable: Vec<PathBuf>,
}

/// Maximum number of open files of an executed program, which must load its libraries.
const MAX_PROGRAM_FILES: u64 = 64;

/// Sandboxes this process permanently, except that it may access the paths in `allowed` and execute a program.
///
/// # Errors
/// When the system supports a restriction but cannot enable it.
pub(super) fn confine_program(limits: &ChildLimits, allowed: &AllowedPaths) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    linux::restrict_access(allowed)?;
    set_limits(limits, MAX_PROGRAM_FILES)?;
    #[cfg(target_os = "linux")]
    super::syscalls::confine_executed_program()?;
    Ok(())
}

fn set_limits(limits: &ChildLimits, max_open_files: u64) -> io::Result<()> {
    let cpu = limits.cpu_time.as_secs();
    // SIGXCPU tells the parent why the child died; SIGKILL follows one second later in case SIGXCPU is ignored.
    lower_limit(Resource::Cpu, cpu, cpu + 1)?;
    for (resource, max) in [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, max_open_files),
        (Resource::Nproc, 0),
        (Resource::Stack, MAX_STACK_BYTES),
        (Resource::As, limits.memory_bytes),
    ] {
        lower_limit(resource, max, max)?;
    }
    Ok(())
}

/// Lowers the soft and hard limit of a resource; never raises them.
fn lower_limit(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let existing = getrlimit(resource);
    let at_most = |wanted: u64, now: Option<u64>| Some(now.map_or(wanted, |now| now.min(wanted)));
    let maximum = at_most(hard, existing.maximum);
    let current = at_most(soft, existing.current.or(existing.maximum)).min(maximum);
    match setrlimit(resource, Rlimit { current, maximum }) {
        // macOS defines RLIMIT_AS but does not support it.
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

    /// Sets `no_new_privs`. Forbids all TCP ports, signals to other processes, and access to any path except `allowed`.
    pub(super) fn restrict_access(allowed: &AllowedPaths) -> io::Result<()> {
        rustix::thread::set_no_new_privs(true)?;
        ruleset(allowed).map_err(io::Error::other)
    }

    fn ruleset(allowed: &AllowedPaths) -> Result<(), RulesetError> {
        const TARGET_ABI: ABI = ABI::V6;
        Ruleset::default()
            .handle_access(AccessFs::from_all(TARGET_ABI))?
            .handle_access(AccessNet::from_all(TARGET_ABI))?
            .scope(Scope::from_all(TARGET_ABI))?
            .create()?
            .add_rules(path_beneath_rules(&allowed.executable, AccessFs::Execute | AccessFs::ReadFile))?
            .add_rules(path_beneath_rules(&allowed.readable, AccessFs::ReadFile))?
            .restrict_self()?;
        Ok(())
    }
}
