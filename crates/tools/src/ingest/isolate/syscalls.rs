//! The system calls that reading a document needs (Linux): memory, time, randomness, ending, and its three pipes.
//!
//! Everything else answers that there is no such call: no socket, no file, no program, no thread, no signal to others,
//! no executable memory.

use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{BackendError, BpfProgram, Error, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule};
use std::collections::BTreeMap;
use std::io;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Allowed whatever their arguments.
const FREE: [i64; 23] = [
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_gettimeofday,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_restart_syscall,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_set_robust_list,
    libc::SYS_close,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Installs the filter for this process, which must have one thread. A kernel without seccomp is left as it is.
///
/// # Errors
/// Where the kernel refuses it for another reason.
pub(super) fn filter() -> io::Result<()> {
    let program = program().map_err(io::Error::other)?;
    match seccompiler::apply_filter(&program) {
        Err(Error::Seccomp(error)) if [Some(libc::ENOSYS), Some(libc::EINVAL)].contains(&error.raw_os_error()) => {
            Ok(())
        }
        other => other.map_err(io::Error::other),
    }
}

fn program() -> Result<BpfProgram, BackendError> {
    // "No such call" and not "not permitted": the C library then falls back to what is allowed.
    let refused = SeccompAction::Errno(libc::ENOSYS as u32);
    SeccompFilter::new(rules()?, refused, SeccompAction::Allow, std::env::consts::ARCH.try_into()?)?.try_into()
}

fn rules() -> Result<Rules, BackendError> {
    let is = |argument, value: i32| SeccompCondition::new(argument, Dword, Eq, value as u64);
    let has =
        |argument, bits: i32, value: i32| SeccompCondition::new(argument, Dword, MaskedEq(bits as u64), value as u64);
    let outputs =
        || Ok::<_, BackendError>(vec![SeccompRule::new(vec![is(0, 1)?])?, SeccompRule::new(vec![is(0, 2)?])?]);
    let (anonymous, executable) = (libc::MAP_ANONYMOUS, libc::PROT_EXEC);
    let mut rules: Rules = FREE.into_iter().map(|number| (number, Vec::new())).collect();
    rules.insert(libc::SYS_read, vec![SeccompRule::new(vec![is(0, 0)?])?]);
    rules.insert(libc::SYS_write, outputs()?);
    rules.insert(libc::SYS_writev, outputs()?);
    let mapping = vec![has(2, executable, 0)?, has(3, anonymous, anonymous)?];
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(mapping)?]);
    rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![has(2, executable, 0)?])?]);
    // An abort is a signal that the process sends itself.
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![is(0, std::process::id() as i32)?])?]);
    Ok(rules)
}
