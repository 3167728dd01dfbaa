//! The first look of a daemon at what is installed, before anybody asks. Blocks.

use serde::{Deserialize, Serialize};

use super::ToolchainContext;
use super::generations::Generations;
use super::observe;
use super::verify::Depth;
use super::view::{self, View};
use crate::coded::with_causes;
use crate::durable;

/// The format of `verified.json`.
const SCHEMA: u32 = 1;

/// Looks at what the glance left in doubt, and at every byte where this start of the container has not
/// seen that yet. Nothing where neither is needed.
pub(super) fn first_look(context: &ToolchainContext, in_doubt: bool) -> Option<View> {
    let layout = context.layout();
    let (generations, store) = (Generations::new(layout.clone()), context.store());
    let number = generations.active()?.0;
    let now = Verified { schema: SCHEMA, start_id: context.container.start_id.clone(), generation: number };
    let depth = match durable::read_json::<Verified>(&layout.verified()) {
        Ok(Some(seen)) if seen == now && !in_doubt => return None,
        Ok(Some(seen)) if seen == now => Depth::Quick,
        _ => Depth::Full,
    };
    let mut active = observe::active(&generations, &store, depth)?;
    if active.conditions.values().any(|condition| !condition.is_whole()) {
        generations.distrust(&mut active, &store);
    } else if depth == Depth::Full {
        if let Err(error) = durable::replace_for_now(&layout.verified(), &now) {
            tracing::warn!(error = with_causes(&error), "the tools will be read again by the next daemon");
        }
        tracing::info!(workspace = %context.workspace, generation = number, "every byte of the tools is as recorded");
    }
    Some(view::installed(Some(&active), &generations.active_bin()))
}

/// What of the tools was read as a whole, in which start of the container.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Verified {
    schema: u32,
    start_id: String,
    generation: u32,
}
