//! Tests that need a process of their own, for a limit, a filter, or to be killed: the test runs
//! its own binary again, with its own name.

use super::skip;
use std::process::Command;

const MARK: &str = "EFIO_TEST_CHILD";

/// The argument that the parent passed, if this process is a child.
pub fn child_arg() -> Option<String> {
    std::env::var(MARK).ok()
}

/// Returns the command that runs this binary for the test called `test`, with `what` as its
/// [`child_arg`].
pub fn child_command(test: &str, what: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        // A child's limits are for the backend that it chooses by itself.
        .env_remove("EFIO_BACKEND")
        .env(MARK, what);
    command
}

/// Runs a child, which must succeed, and prints its skips.
pub fn run_in_child(test: &str, what: &str) {
    run_child(&mut child_command(test, what), test);
}

/// Does the same for a command made by [`child_command`].
pub fn run_child(child: &mut Command, test: &str) {
    let output = child.output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{test}: {}\n{out}\n{err}",
        output.status
    );
    // A name that is not the test's would run nothing, and succeed.
    assert!(out.contains("1 passed"), "{test} is not a test: {out}");
    for line in err.lines().filter(|line| line.contains("SKIPPED")) {
        skip(line.trim_start_matches("SKIPPED: "));
    }
}

/// Lowers a limit of this process permanently. C libraries do not agree on the type of its number.
pub fn limit(resource: i32, most: u64) {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: a limit of this process, which exists for one test only.
    let result = unsafe { libc::setrlimit(resource as _, &raw const limit) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Makes `call` fail with `errno` from now on, in every thread of this process. Prints a skip and
/// returns `false` where filters are not available.
pub fn deny(call: libc::c_long, errno: i32) -> bool {
    let step = |code: u32, [jt, jf]: [u8; 2], k: u32| libc::sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    };
    let mut steps = [
        // The number of the call is the first word of what a filter sees.
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, [0, 0], 0),
        step(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            [0, 1],
            call as u32,
        ),
        step(
            libc::BPF_RET | libc::BPF_K,
            [0, 0],
            libc::SECCOMP_RET_ERRNO | errno as u32,
        ),
        step(libc::BPF_RET | libc::BPF_K, [0, 0], libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: steps.len() as u16,
        filter: steps.as_mut_ptr(),
    };
    // SAFETY: a filter that lives through the call; both calls take plain values otherwise, and the
    // process exists for one test only.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const program,
        )
    };
    if result != 0 {
        let why = std::io::Error::last_os_error();
        skip(&format!("a seccomp filter: {why}"));
    }
    result == 0
}
