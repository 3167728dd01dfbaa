//! The extension's view of the wire: every type, which request takes what, the error codes.

use super::Catalogue;
use super::layout::comment;
use crate::error::ErrorCode;
use crate::methods::{METHODS, MethodRow, NOTIFICATIONS};
use crate::{OLDEST_PROTOCOL_VERSION, PROTOCOL_VERSION};

pub(super) fn write(catalogue: &Catalogue) -> String {
    let mut text = format!(
        "// Generated from protocol/ by `make generate`. Do not edit.\n\n\
         /** The protocol that these types describe. */\n\
         export const PROTOCOL_VERSION = {PROTOCOL_VERSION};\n\
         /** The oldest protocol that a daemon of this build serves. */\n\
         export const OLDEST_PROTOCOL_VERSION = {OLDEST_PROTOCOL_VERSION};\n"
    );
    for name in catalogue.names() {
        text.push('\n');
        text.push_str(&catalogue.declaration(name, "export "));
    }
    text.push_str(&table("Every request: what it takes and what it answers.", "Requests", METHODS, |row| {
        format!("{{ params: {}; result: {} }}", type_name(row.params), type_name(row.result))
    }));
    text.push_str(&table("Every notification of the daemon.", "Notifications", NOTIFICATIONS, |row| {
        type_name(row.params).to_owned()
    }));
    text.push_str(&error_codes());
    text
}

/// The last part of a path, as the registry's tables have it: `Status` of `model :: Status`.
pub(super) fn type_name(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path).trim()
}

fn table(docs: &str, name: &str, rows: &[MethodRow], value: impl Fn(&MethodRow) -> String) -> String {
    let mut text = format!("\n{}\nexport interface {name} {{\n", comment(docs, ""));
    for row in rows {
        text.push_str(&format!("  {}\n  \"{}\": {};\n", comment(row.doc, "  "), row.name, value(row)));
    }
    text.push_str("}\n");
    text
}

fn error_codes() -> String {
    let mut text = "\n/** What can go wrong: `error.data.code`, and the code in words. */\n\
                    export const ERROR_CODES = {\n"
        .to_owned();
    for code in ErrorCode::ALL {
        let line = format!("  {}\n  {}: \"{}\",\n", comment(code.meaning(), "  "), code.code(), code.slug());
        text.push_str(&line);
    }
    text.push_str("} as const;\n\n/** A code of the registry. */\nexport type ErrorCode = keyof typeof ERROR_CODES;\n");
    text
}
