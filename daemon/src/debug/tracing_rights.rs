//! Why the kernel lets no process be traced: judged by what the process may, read from `/proc`, and not by dlv's words
//! alone, which are the same for a missing capability, a seccomp filter and Yama.

/// The words that dlv passes on from the kernel: EPERM, and ENOSYS where ptrace is emulated.
const REFUSED: &str = "operation not permitted";
const NOT_THERE: &str = "function not implemented";

/// `CAP_SYS_PTRACE`, by its number in `linux/capability.h`.
const CAP_SYS_PTRACE: u32 = 19;

/// What a process may trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tracing {
    /// It has `CAP_SYS_PTRACE`.
    capable: bool,
    /// A seccomp filter judges its system calls.
    filtered: bool,
    /// `/proc/sys/kernel/yama/ptrace_scope`: 0 to 3; 0 where there is no Yama.
    scope: u8,
}

/// Whether dlv's words say that the kernel refused to trace.
pub(crate) fn refuses_tracing(said: &str) -> bool {
    let about_process = ["could not launch process", "could not attach to pid", "Failed to launch", "Failed to attach"];
    (said.contains(REFUSED) && about_process.iter().any(|words| said.contains(words))) || said.contains(NOT_THERE)
}

impl Tracing {
    /// What `pid` may trace, dlv where it still lives; else what this process may, which started it.
    pub(crate) fn of(pid: Option<u32>) -> Self {
        let of = |pid: &str| fs_err::read_to_string(format!("/proc/{pid}/status")).ok();
        let status = pid.and_then(|pid| of(&pid.to_string())).or_else(|| of("self")).unwrap_or_default();
        let scope = fs_err::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
        Self::read(&status, &scope)
    }

    fn read(status: &str, scope: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.unwrap_or_default().trim()
        };
        let capabilities = u64::from_str_radix(field("CapEff"), 16).unwrap_or_default();
        Self {
            capable: capabilities >> CAP_SYS_PTRACE & 1 == 1,
            filtered: field("Seccomp") == "2",
            scope: scope.trim().parse().unwrap_or_default(),
        }
    }

    /// Whether a process that the tracer did not start can be traced.
    pub(crate) const fn may_attach(self) -> bool {
        self.scope == 0 || (self.capable && self.scope < 3)
    }

    /// What to do where dlv said `said`; `None` where that is not about tracing.
    pub(crate) fn hint(self, said: &str) -> Option<String> {
        if said.contains(NOT_THERE) {
            let hint =
                "this image is emulated (amd64 on Apple Silicon): dlv needs one of the machine's own architecture";
            return Some(hint.to_owned());
        }
        if !said.contains(REFUSED) {
            return None;
        }
        let attaches = said.contains("attach");
        Some(match self {
            Self { scope: 3, .. } => "kernel.yama.ptrace_scope is 3: no process of this machine may be traced until it \
                restarts with a lower one"
                .to_owned(),
            Self { scope: 2, capable: false, .. } => "kernel.yama.ptrace_scope is 2 and dlv has no CAP_SYS_PTRACE: run the \
                container with `--cap-add=SYS_PTRACE`"
                .to_owned(),
            Self { scope: 1, capable: false, .. } if attaches => "kernel.yama.ptrace_scope is 1 and dlv has no \
                CAP_SYS_PTRACE, so it may trace only what it starts: run the container with `--cap-add=SYS_PTRACE`, or launch \
                the program instead of attaching"
                .to_owned(),
            Self { capable: false, filtered: true, .. } => "a seccomp filter is on and dlv has no CAP_SYS_PTRACE: run the \
                container with `--cap-add=SYS_PTRACE`, and with `--security-opt seccomp=unconfined` where that is not enough"
                .to_owned(),
            Self { capable: true, filtered: true, .. } => "dlv has CAP_SYS_PTRACE, so it is the seccomp filter that refuses: \
                run the container with `--security-opt seccomp=unconfined`"
                .to_owned(),
            Self { .. } if attaches => "the process belongs to another user, or is traced already".to_owned(),
            Self { .. } => "neither capabilities, seccomp nor Yama refuse to trace: look for a security module (AppArmor, \
                SELinux), and whether the program may be executed at all"
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Tracing, refuses_tracing};

    const LAUNCH: &str = "could not launch process: fork/exec ./x: operation not permitted";
    const ATTACH: &str = "Failed to attach: could not attach to pid 7: operation not permitted";

    #[test]
    fn refusals() {
        let status =
            |capabilities: &str, seccomp: u8| format!("Name:\tdlv\nCapEff:\t{capabilities}\nSeccomp:\t{seccomp}\n");
        let (none, ptrace) = ("00000000a80425fb", "0000000000080000");
        for (capabilities, seccomp, scope, said, expected, why) in [
            (none, 2, "3", LAUNCH, "ptrace_scope is 3", "nothing helps but the machine's own setting"),
            (ptrace, 0, "3", LAUNCH, "ptrace_scope is 3", "also with the capability"),
            (none, 0, "2", LAUNCH, "ptrace_scope is 2", "the capability is asked for"),
            (none, 0, "1", ATTACH, "ptrace_scope is 1", "a process that it did not start"),
            (none, 2, "1", LAUNCH, "a seccomp filter is on", "its own child: Yama lets it"),
            (none, 2, "", ATTACH, "a seccomp filter is on", "there is no Yama"),
            (ptrace, 2, "0", LAUNCH, "it is the seccomp filter", "the capability is there"),
            (none, 0, "0", ATTACH, "another user", "nothing else refuses"),
            (ptrace, 0, "0", LAUNCH, "neither capabilities", "nothing that we can see refuses"),
        ] {
            let hint = Tracing::read(&status(capabilities, seccomp), scope).hint(said).expect("a hint");
            assert!(hint.contains(expected), "{why}: {hint}");
        }
        let free = Tracing::read("", "");
        assert!(free.hint("function not implemented").expect("a hint").contains("emulated"));
        assert_eq!(free.hint("Build Error: exit status 1"), None);
    }

    #[test]
    fn what_is_not_about_tracing() {
        assert!(refuses_tracing(LAUNCH) && refuses_tracing(ATTACH));
        assert!(!refuses_tracing("open /etc/shadow: operation not permitted"), "a file");
        assert!(!refuses_tracing("could not launch process: not an executable file"));
    }
}
