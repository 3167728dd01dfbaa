//! JSON with comments, read so that every value keeps its place in the file: a mistake is told with line and column.
//!
//! Not here: what the values mean (`devcontainer`, `hooks`).

use jsonc_parser::ast::{ObjectProp, Value as Syntax};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::errors::ParseError;
use jsonc_parser::{CollectOptions, ParseOptions};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Comments, and the trailing commas that occur in the wild: more than that is no devcontainer.json.
const DIALECT: ParseOptions = ParseOptions {
    allow_comments: true,
    allow_trailing_commas: true,
    allow_loose_object_property_names: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// Line and column, both from 1; a column counts characters.
pub type Place = (u32, u32);

/// A file's text and its values.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a str,
    root: Syntax<'a>,
}

/// A value at its place in a document.
#[derive(Clone, Debug)]
pub struct Node<'d> {
    text: &'d str,
    value: &'d Syntax<'d>,
    /// `customizations.burrow.secrets`; empty for the document itself.
    pub path: String,
}

/// A value that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The property, from the document down.
    pub path: String,
    /// What is wrong.
    pub why: String,
    /// Where it stands.
    pub place: Place,
}

/// A text that is no JSON with comments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxFault {
    /// What is wrong.
    pub why: String,
    /// Where.
    pub place: Place,
}

impl<'a> Document<'a> {
    /// Reads `text`.
    ///
    /// # Errors
    /// [`SyntaxFault`].
    pub fn parse(text: &'a str) -> Result<Self, SyntaxFault> {
        let fault =
            |error: ParseError| SyntaxFault { why: error.kind().to_string(), place: place(text, error.range().start) };
        let parsed = jsonc_parser::parse_to_ast(text, &CollectOptions::default(), &DIALECT).map_err(fault)?;
        let empty = || Syntax::NullKeyword(jsonc_parser::ast::NullKeyword { range: Range::new(0, 0) });
        Ok(Self { text, root: parsed.value.unwrap_or_else(empty) })
    }

    /// The value of the whole.
    #[must_use]
    pub fn root(&self) -> Node<'_> {
        Node { text: self.text, value: &self.root, path: String::new() }
    }
}

impl<'d> Node<'d> {
    /// The properties in the order of the file, `null` ones left out; none where it is no object. Of two with one name the
    /// later counts, in the place of the first.
    #[must_use]
    pub fn properties(&self) -> Option<Vec<(&'d str, Node<'d>)>> {
        let object = self.value.as_object()?;
        let mut properties: Vec<(&str, Node<'_>)> = Vec::with_capacity(object.properties.len());
        for property in &object.properties {
            let name = property.name.as_str();
            let node = self.child(property);
            match properties.iter_mut().find(|(other, _)| *other == name) {
                Some(earlier) => earlier.1 = node,
                None => properties.push((name, node)),
            }
        }
        properties.retain(|(_, node)| !matches!(node.value, Syntax::NullKeyword(_)));
        Some(properties)
    }

    /// One property of an object; none where it is absent or `null`, or this is no object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Node<'d>> {
        let object = self.value.as_object()?;
        let property = object.properties.iter().rev().find(|property| property.name.as_str() == name)?;
        Some(self.child(property)).filter(|node| !matches!(node.value, Syntax::NullKeyword(_)))
    }

    /// The elements of an array; none where it is no array.
    #[must_use]
    pub fn elements(&self) -> Option<Vec<Node<'d>>> {
        let array = self.value.as_array()?;
        let element = |(index, value)| Node { text: self.text, value, path: format!("{}[{index}]", self.path) };
        Some(array.elements.iter().enumerate().map(element).collect())
    }

    /// The text of a string.
    #[must_use]
    pub fn string(&self) -> Option<&'d str> {
        self.value.as_string_lit().map(|string| string.value.as_ref())
    }

    /// Whether it is an object.
    #[must_use]
    pub const fn is_object(&self) -> bool {
        matches!(self.value, Syntax::Object(_))
    }

    /// The value as a type. A fault names the innermost value that does not fit.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_value(to_json(self.value)).map_err(|error| self.fault(error.to_string()))
    }

    /// [`Self::decode`] for each element of an array.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn decode_list<T: DeserializeOwned>(&self) -> Result<Vec<T>, Fault> {
        let elements = self.elements().ok_or_else(|| self.fault("an array is wanted here"))?;
        elements.iter().map(Self::decode).collect()
    }

    /// [`Self::decode`] for each property of an object, `null` ones too.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn decode_map<T: DeserializeOwned, M: FromIterator<(String, T)>>(&self) -> Result<M, Fault> {
        self.entries()?.into_iter().map(|(name, node)| Ok((name.to_owned(), node.decode()?))).collect()
    }

    /// All properties as they stand in the file, `null` ones too.
    ///
    /// # Errors
    /// [`Fault`] where it is no object.
    pub fn entries(&self) -> Result<Vec<(&'d str, Self)>, Fault> {
        let object = self.value.as_object().ok_or_else(|| self.fault("an object is wanted here"))?;
        Ok(object.properties.iter().map(|property| (property.name.as_str(), self.child(property))).collect())
    }

    /// Something that is wrong with this value.
    #[must_use]
    pub fn fault(&self, why: impl Into<String>) -> Fault {
        Fault { path: self.path.clone(), why: why.into(), place: place(self.text, self.value.range().start) }
    }

    fn child(&self, property: &'d ObjectProp<'d>) -> Self {
        let name = property.name.as_str();
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Node { text: self.text, value: &property.value, path }
    }
}

fn to_json(value: &Syntax<'_>) -> Value {
    match value {
        Syntax::StringLit(string) => Value::String(string.value.to_string()),
        // One that no number type can hold stays a text, which nothing takes for a number.
        Syntax::NumberLit(number) => serde_json::from_str(number.value).unwrap_or_else(|_| number.value.into()),
        Syntax::BooleanLit(boolean) => Value::Bool(boolean.value),
        Syntax::Object(object) => {
            let pair = |property: &ObjectProp<'_>| (property.name.as_str().to_owned(), to_json(&property.value));
            Value::Object(object.properties.iter().map(pair).collect())
        }
        Syntax::Array(array) => Value::Array(array.elements.iter().map(to_json).collect()),
        Syntax::NullKeyword(_) => Value::Null,
    }
}

/// As editors count: a line feed ends a line, and so does a carriage return, alone or before it.
fn place(text: &str, byte: usize) -> Place {
    let bytes = text.as_bytes();
    let ends_line = |at: &usize| bytes[*at] == b'\n' || (bytes[*at] == b'\r' && bytes.get(at + 1) != Some(&b'\n'));
    let ends: Vec<_> = (0..byte).filter(ends_line).collect();
    let line = &text[ends.last().map_or(0, |end| end + 1)..byte];
    (narrow(ends.len() + 1), narrow(line.chars().count() + 1))
}

fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::Document;

    #[test]
    fn a_wrong_value_has_its_own_place() {
        let text = "{\n  \"a\": {\"ö\": [\"x\", 7]}, // seven\n  \"b\": {\"c\": 1, \"d\": \"e\"}\n}";
        let document = Document::parse(text).unwrap();
        let root = document.root();
        let list = root.get("a").unwrap().get("ö").unwrap();
        let fault = list.decode_list::<String>().unwrap_err();
        assert_eq!((fault.path.as_str(), fault.place), ("a.ö[1]", (2, 20)), "{}", fault.why);
        let fault = root.get("b").unwrap().decode_map::<u32, BTreeMap<_, _>>().unwrap_err();
        assert_eq!((fault.path.as_str(), fault.place), ("b.d", (3, 22)), "{}", fault.why);
    }

    #[test]
    fn lines_end_as_in_an_editor() {
        for (text, wrong, broken) in [("{\n\n \"a\": 1}", (3, 7), (3, 2)), ("{\r\r\n \"a\": 1}", (3, 7), (3, 2))] {
            let document = Document::parse(text).unwrap();
            let fault = document.root().get("a").unwrap().decode::<String>().unwrap_err();
            assert_eq!(fault.place, wrong, "{text:?}");
            let fault = Document::parse(&text.replace('"', "'")).unwrap_err();
            assert_eq!(fault.place, broken, "{text:?}: {}", fault.why);
        }
    }

    #[test]
    fn properties_as_json_has_them() {
        let document = Document::parse(r#"{"a": 1, "b": null, "c": 2, "a": 3}"#).unwrap();
        let properties = document.root().properties().unwrap();
        let values: Vec<(&str, u32)> = properties.iter().map(|(name, node)| (*name, node.decode().unwrap())).collect();
        assert_eq!(values, [("a", 3), ("c", 2)], "the later of two counts, null is absence");
        assert_eq!(document.root().get("a").unwrap().decode::<u32>().unwrap(), 3);
        assert!(document.root().get("b").is_none());
    }

    #[test]
    fn an_empty_text_is_no_object() {
        assert!(!Document::parse("// nothing\n").unwrap().root().is_object());
    }

    /// Any JSON value.
    fn value() -> impl Strategy<Value = Value> {
        let text = "[a-z\"\\\\/é😀\n\t]{0,6}";
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((text, inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    /// Writes `value` with what JSONC allows between its parts; `noise` is taken in turn.
    fn write(value: &Value, noise: &mut impl Iterator<Item = &'static str>, to: &mut String) {
        let list = |open,
                    close,
                    parts: Vec<(Option<&String>, &Value)>,
                    noise: &mut dyn Iterator<Item = &'static str>,
                    to: &mut String| {
            let mut noise = noise;
            to.push(open);
            let count = parts.len();
            for (index, (key, value)) in parts.into_iter().enumerate() {
                to.push_str(noise.next().unwrap());
                if let Some(key) = key {
                    to.push_str(&Value::from(key.as_str()).to_string());
                    to.push_str(noise.next().unwrap());
                    to.push(':');
                }
                write(value, &mut noise, to);
                // A comma after the last is what occurs in the wild.
                if index + 1 < count || noise.next().unwrap().len().is_multiple_of(2) {
                    to.push(',');
                }
            }
            to.push_str(noise.next().unwrap());
            to.push(close);
        };
        to.push_str(noise.next().unwrap());
        match value {
            Value::Array(elements) => list('[', ']', elements.iter().map(|it| (None, it)).collect(), noise, to),
            Value::Object(pairs) => list('{', '}', pairs.iter().map(|(key, it)| (Some(key), it)).collect(), noise, to),
            leaf => to.push_str(&leaf.to_string()),
        }
        to.push_str(noise.next().unwrap());
    }

    const NOISE: [&str; 7] = ["", " ", "\n", "\r\n\t", "// } \"x\" é\n", "/* ] , \n */", "/**/"];

    proptest! {
        #[test]
        fn comments_and_trailing_commas_change_nothing(value in value(), noise in prop::collection::vec(prop::sample::select(&NOISE[..]), 1..16)) {
            let mut text = String::new();
            write(&value, &mut noise.into_iter().cycle(), &mut text);
            let document = Document::parse(&text);
            prop_assert!(document.is_ok(), "{text:?}: {document:?}");
            let read: Value = document.unwrap().root().decode().unwrap();
            prop_assert_eq!(read, value, "{}", text);
        }

        /// The first character that cannot be read is where the mistake is.
        #[test]
        fn a_mistake_is_told_where_it_is(before in prop::collection::vec(prop::sample::select(&NOISE[..]), 0..6)) {
            let before = before.concat();
            let text = format!("{{{before}\"a\": @}}");
            let at = text.find('@').unwrap();
            let fault = Document::parse(&text).unwrap_err();
            prop_assert_eq!(fault.place, super::place(&text, at), "{:?}: {}", text, fault.why);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(\\{|\\}|\\[|\\]|,|:|\"|\\\\|u00e9|//|/\\*|\\*/|null|-|1e|é|😀|\n|\r| ){0,32}") {
            if let Ok(document) = Document::parse(&text) {
                let _ = document.root().decode::<Value>();
            }
        }
    }
}
