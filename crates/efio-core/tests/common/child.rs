//! Tests that need a process of their own, for a limit, a filter, or to be killed: the test runs its
//! own binary again, with its own name.

use super::skip;
use std::process::Command;

const MARK: &str = "EFIO_TEST_CHILD";

/// What the parent said, if this is a child.
pub fn told() -> Option<String> {
    std::env::var(MARK).ok()
}

/// This binary again, for the test called `test`, which then is [`told`] `what`.
pub fn again(test: &str, what: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        // What is denied to a child is denied to the backend that it would have by itself.
        .env_remove("EFIO_BACKEND")
        .env(MARK, what);
    command
}

/// Runs a child to its end, which must be a good one; passes its skips on.
pub fn run_again(test: &str, what: &str) {
    let output = again(test, what).output().unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success(),
        "{test} {what}: {}\n{out}\n{err}",
        output.status
    );
    // A name that is not the test's would run nothing, and succeed.
    assert!(out.contains("1 passed"), "{test} is not a test: {out}");
    for line in err.lines().filter(|line| line.contains("SKIPPED")) {
        skip(line.trim_start_matches("SKIPPED: "));
    }
}

/// Lowers a limit of this process, for good.
pub fn limit(resource: libc::__rlimit_resource_t, most: u64) {
    let limit = libc::rlimit {
        rlim_cur: most,
        rlim_max: most,
    };
    // SAFETY: a limit of this process, which exists for one test alone.
    let result = unsafe { libc::setrlimit(resource, &raw const limit) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}
