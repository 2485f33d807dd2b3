//! Small and read-only disks: a tmpfs in a mount namespace that only one process sees.

use std::path::Path;
use std::process::Command;

use super::process::wrapped;

/// How to come into such a namespace: as root, or as a user who is root in a namespace of its own.
fn namespace() -> Option<&'static str> {
    let works = |flags: &&str| {
        let output = Command::new("unshare").args([flags, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
        output.is_ok_and(|output| output.status.success())
    };
    ["-m", "-rm"].into_iter().find(works)
}

/// Whether this machine lets a test mount; prints why a test is skipped where not.
pub fn is_allowed(test: &str) -> bool {
    let allowed = namespace().is_some();
    if !allowed {
        println!(
            "{test} is SKIPPED: mounting needs root or user namespaces (`unshare -rm`), and neither is allowed here"
        );
    }
    allowed
}

/// The command with a new disk at `folder`, which must exist.
pub fn mounted(folder: &Path, options: &str, command: &Command) -> Command {
    let mut outer = Command::new("unshare");
    outer.arg(namespace().expect("asked before"));
    outer.args(["sh", "-c", r#"mount -t tmpfs -o "$1" tmpfs "$0" && shift && exec "$@""#]).arg(folder).arg(options);
    wrapped(outer, command)
}
