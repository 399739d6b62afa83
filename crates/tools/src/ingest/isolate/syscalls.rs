//! Seccomp filters for Linux: allow the system calls that a document reader needs (memory, time, randomness, exit, and
//! its three pipes).
//!
//! All others fail with ENOSYS, so there are no sockets, files, programs, threads, signals to other processes or
//! executable memory.

use seccompiler::SeccompCmpArgLen::{Dword, Qword};
use seccompiler::SeccompCmpOp::{Eq, MaskedEq};
use seccompiler::{BackendError, BpfProgram, Error, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule};
use std::collections::BTreeMap;
use std::io;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// System calls that are allowed with any arguments.
const READER_SYSCALLS: [i64; 23] = [
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

/// Additionally allowed for an executed program, with any arguments: to start it, load libraries, and inspect files and
/// itself.
const PROGRAM_SYSCALLS: [i64; 25] = [
    libc::SYS_execve,
    libc::SYS_read,
    libc::SYS_pread64,
    libc::SYS_readv,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getppid,
    libc::SYS_getrusage,
    libc::SYS_times,
    libc::SYS_clock_getres,
    libc::SYS_ppoll,
    libc::SYS_fadvise64,
];

/// Additionally allowed for an executed program on this architecture.
#[cfg(target_arch = "x86_64")]
const PROGRAM_ARCH_SYSCALLS: [i64; 6] =
    [libc::SYS_arch_prctl, libc::SYS_access, libc::SYS_stat, libc::SYS_lstat, libc::SYS_readlink, libc::SYS_poll];
#[cfg(not(target_arch = "x86_64"))]
const PROGRAM_ARCH_SYSCALLS: [i64; 0] = [];

/// Installs the filter for a document reader. This process must be single-threaded. Does nothing if the kernel lacks
/// seccomp.
///
/// # Errors
/// When the kernel supports seccomp but rejects the filter.
pub(super) fn confine_reader() -> io::Result<()> {
    install(rules())
}

/// Installs the filter for a process that executes another program, which inherits it. In addition to a document
/// reader, it may execute programs, open files for reading, and map libraries. This process must be single-threaded.
///
/// # Errors
/// Same as [`confine_reader`].
pub(super) fn confine_executed_program() -> io::Result<()> {
    install(program_rules())
}

fn install(rules: Result<Rules, BackendError>) -> io::Result<()> {
    let program = rules.and_then(compile).map_err(io::Error::other)?;
    match seccompiler::apply_filter(&program) {
        Err(Error::Seccomp(error)) if [Some(libc::ENOSYS), Some(libc::EINVAL)].contains(&error.raw_os_error()) => {
            Ok(())
        }
        other => other.map_err(io::Error::other),
    }
}

fn compile(rules: Rules) -> Result<BpfProgram, BackendError> {
    // ENOSYS instead of EPERM, so that the C library falls back to older system calls that are allowed.
    let denial = SeccompAction::Errno(libc::ENOSYS as u32);
    SeccompFilter::new(rules, denial, SeccompAction::Allow, std::env::consts::ARCH.try_into()?)?.try_into()
}

fn rules() -> Result<Rules, BackendError> {
    let arg_eq = |argument, value: i32| SeccompCondition::new(argument, Dword, Eq, value as u64);
    let arg_masked_eq =
        |argument, bits: i32, value: i32| SeccompCondition::new(argument, Dword, MaskedEq(bits as u64), value as u64);
    let stdout_or_stderr =
        || Ok::<_, BackendError>(vec![SeccompRule::new(vec![arg_eq(0, 1)?])?, SeccompRule::new(vec![arg_eq(0, 2)?])?]);
    let (anonymous, executable) = (libc::MAP_ANONYMOUS, libc::PROT_EXEC);
    let mut rules: Rules = READER_SYSCALLS.into_iter().map(|number| (number, Vec::new())).collect();
    rules.insert(libc::SYS_read, vec![SeccompRule::new(vec![arg_eq(0, 0)?])?]);
    rules.insert(libc::SYS_write, stdout_or_stderr()?);
    rules.insert(libc::SYS_writev, stdout_or_stderr()?);
    let mapping = vec![arg_masked_eq(2, executable, 0)?, arg_masked_eq(3, anonymous, anonymous)?];
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(mapping)?]);
    rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![arg_masked_eq(2, executable, 0)?])?]);
    // `abort` sends a signal to its own process.
    rules.insert(libc::SYS_tgkill, vec![SeccompRule::new(vec![arg_eq(0, std::process::id() as i32)?])?]);
    Ok(rules)
}

fn program_rules() -> Result<Rules, BackendError> {
    let arg_eq = |argument, value: i32| SeccompCondition::new(argument, Dword, Eq, value as u64);
    let arg_bits_unset = |argument, bits: i32| SeccompCondition::new(argument, Dword, MaskedEq(bits as u64), 0);
    let mut rules = rules()?;
    rules.extend(PROGRAM_SYSCALLS.into_iter().chain(PROGRAM_ARCH_SYSCALLS).map(|number| (number, Vec::new())));
    // Files may be opened for reading only.
    let write_flags = libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND;
    rules.insert(libc::SYS_openat, vec![SeccompRule::new(vec![arg_bits_unset(2, write_flags)?])?]);
    // Memory may be mapped if it is not executable, or if it maps a file (a library) and is not writable.
    let non_executable = SeccompRule::new(vec![arg_bits_unset(2, libc::PROT_EXEC)?])?;
    let library =
        SeccompRule::new(vec![arg_bits_unset(2, libc::PROT_WRITE)?, arg_bits_unset(3, libc::MAP_ANONYMOUS)?])?;
    rules.insert(libc::SYS_mmap, vec![non_executable, library]);
    // A process may only read its own limits.
    let own_limits = vec![arg_eq(0, 0)?, SeccompCondition::new(2, Qword, Eq, 0)?];
    rules.insert(libc::SYS_prlimit64, vec![SeccompRule::new(own_limits)?]);
    let commands = [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL].into_iter();
    let rules_of_fcntl = commands.map(|command| SeccompRule::new(vec![arg_eq(1, command)?]));
    rules.insert(libc::SYS_fcntl, rules_of_fcntl.collect::<Result<_, BackendError>>()?);
    Ok(rules)
}
