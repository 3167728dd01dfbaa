//! JSON Schemas of the files that users write, in the draft that editors know best.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

/// The schema of `T`, called `title`.
pub(super) fn write<T: JsonSchema>(title: &str) -> String {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<T>();
    RecursiveTransform(leave_out_nulls).transform(&mut schema);
    schema.insert("title".to_owned(), title.into());
    format!("{:#}\n", schema.as_value())
}

/// A field that may be left out is simply not `required`: `null` and default values would only be offered as
/// completions that nobody wants to have in the file.
fn leave_out_nulls(schema: &mut Schema) {
    schema.remove("default");
    if let Some(Value::Array(mut forms)) = schema.get("anyOf").cloned() {
        forms.retain(|form| form.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = forms.as_slice() {
            schema.remove("anyOf");
            // draft-07 ignores what stands beside a `$ref`.
            if only.contains_key("$ref") {
                schema.insert("allOf".to_owned(), forms.into());
            } else {
                for (key, value) in only.clone() {
                    schema.insert(key, value);
                }
            }
        }
    }
}
