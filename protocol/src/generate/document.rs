//! `PROTOCOL.md`: the wire for people who write a client.

use super::Catalogue;
use super::typescript::type_name;
use crate::error::ErrorCode;
use crate::framing::{MAX_BODY_BYTES, MAX_HEADER_BYTES};
use crate::methods::{METHODS, NOTIFICATIONS};
use crate::{OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION};

pub(super) fn write(catalogue: &Catalogue) -> String {
    [conversation(), requests(), notifications(), types(catalogue), errors()].concat()
}

fn conversation() -> String {
    format!(
        "<!-- Generated from the types of this crate by `make generate`. Do not edit. -->\n\
         # Burrow's protocol, version {PROTOCOL_VERSION}\n\n\
         JSON-RPC 2.0 over a Unix socket, in the base framing of the Language Server Protocol. Any LSP client library can \
         speak it.\n\n\
         ## Finding the daemon\n\n\
         `daemon.json` in the state directory ([`Rendezvous`](#rendezvous)) names the socket. The state directory is `BURROW_STATE_DIR`, else \
         `/var/lib/burrow/UID` if that is there, else `/var/tmp/burrow-UID`. A client goes on only if the directory is no \
         symbolic link, has mode 0700 and belongs to the user whose daemon it looks for.\n\n\
         ## Framing\n\n\
         `Content-Length: N`, a blank line (both ended by CR LF), then N bytes of UTF-8 JSON. A header of more than \
         {MAX_HEADER_BYTES} bytes, a frame of more than {MAX_BODY_BYTES} bytes, or a first frame that takes more than 10 s \
         ends the connection.\n\n\
         Integers are at most 2^53 - 1, times are RFC 3339, durations are milliseconds. What may be absent is `null`. A \
         receiver ignores fields that it does not know.\n\n\
         ## Starting\n\n\
         1. The client sends `initialize`. Its `workspaceFolders` (else `rootUri`) are the workspaces that the session is \
         bound to. Its `initializationOptions` are [`ClientOptions`](#clientoptions).\n\
         2. The answer's `capabilities.experimental` is [`ServerDetails`](#serverdetails).\n\
         3. The client sends `initialized`. From then on it may send the requests below.\n\n\
         `shutdown` and `exit` end the session, not the daemon, and no work that the session started. `$/cancelRequest` \
         ends the waiting for an answer, not the work. `$/progress` tells how far queued work is: `begin`, `report` and \
         `end` as in LSP, the token is the operation's name.\n\n\
         ## Versions\n\n\
         The client says the newest version that it speaks, the daemon answers with the version that both use. It serves \
         {OLDEST_PROTOCOL_VERSION} to {PROTOCOL_VERSION}; with no version in common `initialize` fails with \
         [BUR108](#errors). Within a version, fields, methods and words of an enum are only added, and none changes its \
         meaning.\n\n\
         ## Following the status\n\n\
         `burrow/model/subscribe` answers with everything and a number. Each `burrow/model/changed` after it carries the \
         next number and one part of the status, whole. A number that is not the next one means that changes were dropped: \
         subscribe again.\n"
    )
}

fn requests() -> String {
    let mut text = "\n## Requests\n".to_owned();
    for row in METHODS {
        let (params, result) = (link(type_name(row.params)), link(type_name(row.result)));
        text.push_str(&format!("\n### `{}`\n\n{}\n\nTakes {params}, answers {result}.\n", row.name, row.doc.trim()));
    }
    text
}

fn notifications() -> String {
    let mut text = "\n## Notifications of the daemon\n".to_owned();
    for row in NOTIFICATIONS {
        let params = link(type_name(row.params));
        text.push_str(&format!("\n### `{}`\n\n{}\n\nCarries {params}.\n", row.name, row.doc.trim()));
    }
    text
}

fn types(catalogue: &Catalogue) -> String {
    let mut text = "\n## Types\n\nIn TypeScript, by name.\n".to_owned();
    for name in catalogue.names() {
        text.push_str(&format!("\n### {name}\n\n```ts\n{}```\n", catalogue.declaration(name, "")));
    }
    text
}

fn errors() -> String {
    let mut text = format!(
        "\n## Errors\n\n\
         `error.data` is {}; clients go by its `code`, which never changes its meaning. JSON-RPC's own `error.code` is \
         -33000 minus the number: -33101 for BUR101.\n\n\
         | Code | In words | Meaning |\n|---|---|---|\n",
        link("ErrorData")
    );
    for code in ErrorCode::ALL {
        text.push_str(&format!("| {} | `{}` | {} |\n", code.code(), code.slug(), code.meaning().trim()));
    }
    text
}

/// A link to the heading of a type: its anchor is the name in lower case.
fn link(name: &str) -> String {
    format!("[`{name}`](#{})", name.to_lowercase())
}
