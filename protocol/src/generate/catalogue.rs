//! Every type that crosses the wire, by its name in TypeScript.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::Value;
use ts_rs::{Config, TS, TypeVisitor};

use super::layout::{comment, lay_out};
use crate::{debug, error, methods, model, session, toolchain};

/// Types and what they refer to. ts-rs gives the declarations, schemars the words about an enum's variants, which
/// ts-rs leaves out.
pub struct Catalogue {
    config: Config,
    types: BTreeMap<String, Declaration>,
    schemas: SchemaGenerator,
}

/// A type as TypeScript has it.
struct Declaration {
    docs: String,
    /// What stands after `type Name =`, as ts-rs writes it.
    body: String,
}

impl Catalogue {
    pub(super) fn of_the_wire() -> Self {
        let schemas = SchemaSettings::draft2020_12().into_generator();
        let mut catalogue = Self { config: Config::new(), types: BTreeMap::new(), schemas };
        methods::collect_types(&mut catalogue);
        catalogue.add::<model::ModelChanged>();
        catalogue.add::<toolchain::ToolsSwitched>();
        catalogue.add::<session::Rendezvous>();
        catalogue.add::<session::ClientOptions>();
        catalogue.add::<session::ServerDetails>();
        catalogue.add::<error::ErrorData>();
        catalogue.add::<debug::TrialReport>();
        catalogue
    }

    /// Adds a type and all that it refers to.
    pub(crate) fn add<T: TS + JsonSchema + 'static>(&mut self) {
        self.schemas.subschema_for::<T>();
        self.visit::<T>();
    }

    /// The names of all types, sorted.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// `type Name = ...;` with its documentation above it.
    pub(super) fn declaration(&self, name: &str, export: &str) -> String {
        let Some(Declaration { docs, body }) = self.types.get(name) else {
            return format!("// {name} is not part of the wire\n");
        };
        let body = self.variants(name).unwrap_or_else(|| format!(" {}", lay_out(body)));
        format!("{}\n{export}type {name} ={body};\n", comment(docs, ""))
    }

    /// The right side of an enum of plain words, each with what it means.
    fn variants(&self, name: &str) -> Option<String> {
        let words = self.schemas.definitions().get(name)?.get("oneOf")?.as_array()?;
        let mut text = String::new();
        for word in words {
            let value = word.get("const")?;
            let docs = word.get("description").and_then(Value::as_str)?;
            text.push_str(&format!("\n  {}\n  | {value}", comment(docs, "  ")));
        }
        Some(text)
    }
}

impl TypeVisitor for Catalogue {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        let name = T::name(&self.config);
        if T::output_path().is_some() {
            if self.types.contains_key(&name) {
                return;
            }
            let declaration = T::decl(&self.config);
            let body = declaration.split_once(" = ").map_or("unknown", |(_, body)| body).trim_end_matches(';');
            let docs = T::docs().unwrap_or_default();
            self.types.insert(name, Declaration { docs, body: body.to_owned() });
        }
        T::visit_dependencies(self);
        T::visit_generics(self);
    }
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_set().entries(self.types.keys()).finish()
    }
}
