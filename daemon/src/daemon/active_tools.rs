//! What the services need of each other: debugging and hot reload work with the dlv and the Go of an open workspace, and
//! debugging has hot reload build. They know traits of their own; the core answers.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, Weak};

use camino::Utf8Path;

use super::Core;
use crate::coded::with_causes;
use crate::debug::{DlvSource, DlvTools, Locating, Rebuilder};
use crate::process::Caller;
use crate::rebuild::{RebuildOrder, Rebuilds};
use crate::reload::{Finding, GoSource};

/// The open workspaces' own dlv and Go. Empty until there is a core, which itself has the broker that asks.
#[derive(Default)]
pub(super) struct ActiveTools(pub(super) OnceLock<Weak<Core>>);

impl DlvSource for ActiveTools {
    fn locate<'a>(&'a self, workspace: &'a Utf8Path, env: &'a BTreeMap<String, String>) -> Locating<'a> {
        Box::pin(async move {
            let workspace = self.0.get().and_then(Weak::upgrade).and_then(|core| core.workspace(workspace));
            let toolchain = workspace.ok_or_else(|| "it is not open".to_owned())?.toolchain;
            let dlv = toolchain.tool_path("dlv").await.map_err(|error| with_causes(&error))?;
            let caller = Caller { env: Arc::new(env.clone()), ..Caller::default() };
            // Without it dlv takes the caller's Go, and says what is wrong with that one.
            let go_bin = toolchain.go(&caller).await.ok().map(|go| go.bin());
            Ok(DlvTools { dlv, go_bin })
        })
    }
}

impl Rebuilder for ActiveTools {
    fn begin(&self, order: RebuildOrder) -> Rebuilds {
        let core = self.0.get().and_then(Weak::upgrade);
        let workspace = core.as_ref().and_then(|core| core.workspace(&order.workspace));
        match core.zip(workspace) {
            Some((core, workspace)) => core.reload.rebuild(order, workspace.settings().burrow.reload.clone()),
            // Closed: nothing is ever built.
            None => tokio::sync::mpsc::channel(1).1,
        }
    }
}

impl GoSource for ActiveTools {
    fn go_bin<'a>(&'a self, workspace: &'a Utf8Path, env: &'a BTreeMap<String, String>) -> Finding<'a> {
        Box::pin(async move {
            let workspace = self.0.get().and_then(Weak::upgrade).and_then(|core| core.workspace(workspace))?;
            let caller = Caller { env: Arc::new(env.clone()), ..Caller::default() };
            workspace.toolchain.go(&caller).await.ok().map(|go| go.bin())
        })
    }
}
