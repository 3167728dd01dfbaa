//! What a client's `launch` says of reloading, and what dlv is told instead. Pure.

use burrow_protocol::settings::WhenStopped;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use crate::debug::launch::forget_remote_output;

/// A launch that is to reload.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wish {
    /// The client's request.
    pub(super) launch: Value,
    /// The package, as the client named it.
    pub(super) package: String,
    /// Whether its tests are meant.
    pub(super) test: bool,
    /// dlv's folder, from which the package counts.
    pub(super) cwd: Utf8PathBuf,
    /// The build's flags.
    pub(super) flags: Vec<String>,
    /// The build's environment, on top of dlv's.
    pub(super) env: Vec<(String, Option<String>)>,
    /// Whether it runs under a debugger.
    pub(super) debugs: bool,
    /// What the client says of a program that stands at a breakpoint.
    pub(super) when_stopped: Option<WhenStopped>,
}

/// What `frame`, a request, wishes; none where it is no launch that can be built again, or does not ask for it.
/// `by_default`: whether one that says nothing of `reload` does. `cwd` is dlv's folder.
pub(super) fn read(frame: &[u8], by_default: bool, cwd: &Utf8Path) -> Option<Wish> {
    let launch: Value = serde_json::from_slice(frame).ok().filter(|message: &Value| message["command"] == "launch")?;
    let arguments = &launch["arguments"];
    let (wanted, when_stopped) = match &arguments["reload"] {
        Value::Null => (by_default, None),
        Value::Bool(wanted) => (*wanted, None),
        // `{ "whenStopped": "ask" }`
        object @ Value::Object(_) => (true, serde_json::from_value(object["whenStopped"].clone()).ok()),
        _ => (false, None),
    };
    let mode = arguments["mode"].as_str().filter(|mode| !mode.is_empty()).unwrap_or("debug");
    let debugs = arguments["noDebug"] != true;
    let package = arguments["program"].as_str().filter(|program| !program.is_empty())?;
    if !wanted || !matches!(mode, "debug" | "test") {
        return None;
    }
    let flags = match &arguments["buildFlags"] {
        Value::String(text) => words(text),
        Value::Array(values) => values.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    let env = arguments["env"].as_object().into_iter().flatten();
    let env = env.map(|(name, value)| (name.clone(), value.as_str().map(str::to_owned))).collect();
    let folder = arguments["dlvCwd"].as_str().filter(|folder| !folder.is_empty());
    Some(Wish {
        package: package.to_owned(),
        test: mode == "test",
        cwd: folder.map_or_else(|| cwd.to_owned(), |folder| cwd.join(folder)),
        flags,
        env,
        debugs,
        when_stopped,
        launch,
    })
}

impl Wish {
    /// What dlv is told: to launch the binary at `program`.
    pub(super) fn to_dlv(&self, program: &Utf8Path) -> Value {
        let mut launch = self.launch.clone();
        launch["arguments"] = self.arguments(program);
        launch
    }

    /// What dlv is told to restart with.
    pub(super) fn restart(&self, program: &Utf8Path) -> Value {
        let mut arguments = self.arguments(program);
        arguments["request"] = json!("launch");
        arguments["rebuild"] = json!(false);
        json!({ "arguments": arguments })
    }

    fn arguments(&self, program: &Utf8Path) -> Value {
        let mut arguments = self.launch["arguments"].clone();
        if let Some(arguments) = arguments.as_object_mut() {
            for built in ["reload", "buildFlags", "output"] {
                arguments.remove(built);
            }
        }
        forget_remote_output(&mut arguments);
        arguments["mode"] = json!("exec");
        arguments["program"] = json!(program);
        // Where dlv itself runs a package's tests.
        if self.test && arguments["cwd"].as_str().is_none_or(str::is_empty) {
            arguments["cwd"] = json!(self.cwd.join(&self.package));
        }
        arguments
    }
}

/// A line of flags as dlv takes it: words, quotes around those with blanks.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quote, mut open) = (String::new(), None, false);
    for character in line.chars() {
        match (quote, character) {
            (Some(end), _) if character == end => quote = None,
            (None, '\'' | '"') => {
                quote = Some(character);
                open = true;
            }
            (None, _) if character.is_whitespace() => {
                if open || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            (Some(_) | None, _) => word.push(character),
        }
    }
    if open || !word.is_empty() {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use burrow_protocol::settings::WhenStopped;
    use serde_json::{Value, json};

    use super::{read, words};

    fn launch(arguments: &Value) -> Vec<u8> {
        json!({ "seq": 2, "type": "request", "command": "launch", "arguments": arguments }).to_string().into_bytes()
    }

    #[test]
    fn who_is_reloaded() {
        for (arguments, by_default, expected, why) in [
            (json!({ "program": ".", "reload": true }), false, true, "it asks for it"),
            (json!({ "program": ".", "reload": { "whenStopped": "ask" } }), false, true, "with an object, too"),
            (json!({ "program": "." }), false, false, "it does not"),
            (json!({ "program": "." }), true, true, "all do"),
            (json!({ "program": ".", "reload": false }), true, false, "this one does not want it"),
            (json!({ "program": ".", "mode": "test" }), true, true, "tests are built, too"),
            (json!({ "program": "./x", "mode": "exec", "reload": true }), false, false, "nobody knows how it is built"),
            (json!({ "program": ".", "noDebug": true, "reload": true }), false, true, "it is started anew"),
            (json!({ "reload": true }), false, false, "nothing to build"),
            (json!("nonsense"), true, false, "nothing that we understand"),
        ] {
            assert_eq!(read(&launch(&arguments), by_default, "/w".into()).is_some(), expected, "{why}");
        }
        assert_eq!(read(b"[}", true, "/w".into()), None);
        let asks = read(&launch(&json!({ "program": ".", "reload": { "whenStopped": "ask" } })), false, "/w".into());
        assert_eq!(asks.and_then(|wish| wish.when_stopped), Some(WhenStopped::Ask));
    }

    #[test]
    fn what_dlv_is_told() {
        let arguments = json!({
            "program": "./cmd", "mode": "test", "reload": true, "buildFlags": "-tags='a b'", "output": "x",
            "dlvCwd": "sub", "args": ["-v"], "stopOnEntry": true, "env": { "A": "1", "B": null }, "outputMode": "remote",
        });
        let wish = read(&launch(&arguments), false, "/w".into()).expect("a wish");
        assert_eq!((wish.cwd.as_str(), wish.flags.as_slice()), ("/w/sub", &["-tags=a b".to_owned()][..]));
        assert_eq!(wish.env, [("A".to_owned(), Some("1".to_owned())), ("B".to_owned(), None)]);
        let expected = json!({
            "program": "/out/p", "mode": "exec", "dlvCwd": "sub", "args": ["-v"], "stopOnEntry": true,
            "env": { "A": "1", "B": null }, "cwd": "/w/sub/./cmd",
        });
        let told = wish.to_dlv("/out/p".into());
        assert_eq!((&told["arguments"], &told["seq"]), (&expected, &json!(2)), "the answer finds its request");
        let restart = wish.restart("/out/p".into());
        assert_eq!(
            (&restart["arguments"]["rebuild"], &restart["arguments"]["request"]),
            (&json!(false), &json!("launch"))
        );
    }

    #[test]
    fn flags_are_words() {
        assert_eq!(
            words(r#"-tags=a  -ldflags='-X main.v=1 2' "x y" ''"#),
            ["-tags=a", "-ldflags=-X main.v=1 2", "x y", ""]
        );
    }
}
