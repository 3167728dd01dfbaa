//! The shim killed at each of its writes: no command runs twice, and none is taken for done that may not be.

use burrow::process::{End, Found};

use super::*;
use crate::faults::trace::{self, Fault, Write};

fn under_strace(stage: &Stage, arguments: &[String]) -> Child {
    let trace = stage.path("trace");
    let mut all: Vec<String> = ["-f", "-y", "-q", "-s", "0", "-o"].map(str::to_owned).into();
    all.push(trace.into_string());
    all.extend_from_slice(arguments);
    all.extend([BURROW.to_owned(), "shim".to_owned()]);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let (shim, _) = start_by("strace", &all, &stage.script("echo ran >> ran; echo out"));
    shim
}

fn root(stage: &Stage) -> Utf8PathBuf {
    stage.path("").as_str().trim_end_matches('/').into()
}

#[test]
fn shim_killed_at_any_write() {
    let stage = Stage::new();
    under_strace(&stage, &trace::all_writes()).wait().unwrap();
    let lines = std::fs::read_to_string(stage.path("trace")).unwrap();
    let writes = trace::writes(&lines, &root(&stage), "KEY");
    let names: Vec<_> = writes.iter().map(Write::to_string).collect();
    for name in ["write 1 of command/claim", "fsync 1 of command/reserve", "rename 1 of command/reserve"] {
        assert!(names.contains(&name.to_owned()), "{name} in {names:#?}");
    }
    for write in &writes {
        killed_at(write);
    }
}

fn killed_at(write: &Write) {
    let stage = Stage::new();
    let status = under_strace(&stage, &write.injection(Fault::Kill, &root(&stage), "KEY")).wait().unwrap();
    assert!(!status.success(), "it was killed at {write}");
    // The command itself may go on for a moment.
    stage.nothing_is_left();
    let ran = std::fs::read_to_string(stage.path("ran")).ok();
    assert!(ran.is_none() || ran.as_deref() == Some("ran\n"), "{ran:?} at {write}");

    match block_on(find(stage.folder().dir())).unwrap() {
        Found::Ended(outcome) => {
            assert_eq!((outcome.end, ran.as_deref()), (End::Exited { code: 0 }, Some("ran\n")), "{write}");
        }
        Found::Lost => assert_eq!(stage.folder().outcome().unwrap(), None, "{write}"),
        Found::Abandoned => assert_eq!(ran, None, "{write}"),
        Found::Alive(_) => panic!("the shim was killed at {write}"),
    }
    let again = block_on(begin(stage.script("echo ran >> ran")));
    assert!(matches!(again, Err(ProcessError::Claimed { .. })), "{again:?} at {write}");
    assert_eq!(std::fs::read_to_string(stage.path("ran")).ok(), ran, "not run again; killed at {write}");
}
