//! A real iptables-restore takes the rules, where there is one and where network namespaces
//! may be made.

use super::kube_proxy::{input, recordings};
use cloud::rules::iptables;
use std::io::Write;
use std::process::{Command, Stdio};

const PROGRAMS: [&str; 3] = [
    "iptables-restore",
    "iptables-nft-restore",
    "iptables-legacy-restore",
];

/// Whether a program takes rules, in a network of its own; `None` if it cannot be asked.
fn takes(program: &str, rules: &str) -> Option<bool> {
    let mut child = Command::new("unshare")
        .args(["--map-root-user", "--net", program, "--test"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let mut pipe = child.stdin.take()?;
    // A program that gives up early closes its end.
    let _ = pipe.write_all(rules.as_bytes());
    drop(pipe);
    Some(child.wait().ok()?.success())
}

#[expect(
    clippy::print_stderr,
    reason = "whoever reads the tests' output should know what was not tested"
)]
fn skip(why: &str) {
    eprintln!("skipped: {why}");
}

#[test]
fn iptables_restore_takes_the_rules() {
    let simple = "*nat\n:KUBE-SERVICES - [0:0]\nCOMMIT\n";
    let mut programs = PROGRAMS
        .into_iter()
        .filter(|program| takes(program, simple) == Some(true));
    let Some(program) = programs.next() else {
        return skip("no iptables-restore works in a network of its own");
    };
    let broken = "*nat\n:KUBE-SERVICES - [0:0]\n-A KUBE-SERVICES --nonsense\nCOMMIT\n";
    assert_eq!(takes(program, broken), Some(false), "it does look at rules");
    for folder in recordings() {
        let rules = iptables::restore(&iptables::generate(&input(&folder)));
        assert_eq!(takes(program, &rules), Some(true), "{folder:?}");
    }
}
