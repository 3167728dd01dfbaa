//! One file a method, in one folder a service: `burrow/hooks/run` is `hooks/run.rs`.
//!
//! A handler converts, enqueues, converts back; it decides nothing. Here is the table that leads to them.

mod daemon;
mod debug;
mod hooks;
mod model;
mod reload;
mod toolchain;

use std::time::Duration;

use burrow_protocol::methods::{self as wire, Method};
use tower_lsp::LspServiceBuilder;

use super::Session;

/// A client that is gone must not keep a task for longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// How long a client wants to wait, in milliseconds, as far as it may.
fn wait_of(wait_ms: u32) -> Duration {
    Duration::from_millis(wait_ms.into()).min(LONGEST_WAIT)
}

/// Names of methods and where they lead. The registry in `protocol` has the same names: a test holds them equal.
macro_rules! table {
    ($($method:ident => $handler:path,)*) => {
        /// Leads every method to its handler.
        pub(super) fn register(builder: LspServiceBuilder<Session>) -> LspServiceBuilder<Session> {
            builder$(.custom_method(wire::$method::NAME, {
                async fn call(
                    session: &Session,
                    params: <wire::$method as Method>::Params,
                ) -> tower_lsp::jsonrpc::Result<<wire::$method as Method>::Result> {
                    Ok($handler(session, params).await?)
                }
                call
            }))*
        }

        #[cfg(test)]
        const REGISTERED: &[&str] = &[$(wire::$method::NAME),*];
    };
}

table! {
    DaemonStop => daemon::stop::handle,
    ModelStatus => model::status::handle,
    ModelSubscribe => model::subscribe::handle,
    HooksUp => hooks::up::handle,
    HooksRun => hooks::run::handle,
    HooksExec => hooks::exec::handle,
    HooksRetry => hooks::retry::handle,
    HooksSkip => hooks::skip::handle,
    HooksCancel => hooks::cancel::handle,
    HooksInput => hooks::input::handle,
    HooksResize => hooks::resize::handle,
    HooksAwait => hooks::r#await::handle,
    HooksRuns => hooks::runs::handle,
    HooksReadLog => hooks::read_log::handle,
    ToolchainList => toolchain::list::handle,
    ToolchainPlan => toolchain::plan::handle,
    ToolchainRepair => toolchain::repair::handle,
    ToolchainUpdate => toolchain::update::handle,
    ToolchainAwait => toolchain::r#await::handle,
    ToolchainCancel => toolchain::cancel::handle,
    ToolchainRebuild => toolchain::rebuild::handle,
    ToolchainCheckSums => toolchain::check_sums::handle,
    ToolchainVerify => toolchain::verify::handle,
    ToolchainRollback => toolchain::rollback::handle,
    DebugLease => debug::lease::handle,
    DebugRelease => debug::release::handle,
    DebugReclaim => debug::reclaim::handle,
    DebugProcesses => debug::processes::handle,
    DebugReadLog => debug::read_log::handle,
    ReloadStart => reload::start::handle,
    ReloadFollow => reload::follow::handle,
    ReloadStop => reload::stop::handle,
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_table_is_the_registry() {
        let registry: Vec<_> = burrow_protocol::methods::METHODS.iter().map(|row| row.name).collect();
        assert_eq!(super::REGISTERED, registry, "every method of the registry has a handler, in the same order");
    }
}
