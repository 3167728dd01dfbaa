//! `burrow step NAME`: the steps that a hook's command may use instead of a command line (`uses`).
//!
//! Hidden: it runs as the command of a hook, under the shim, so that its output is in the hook's log and it outlives the
//! daemon like any other. It works in the folder in which it is called, with that environment and nothing added.

mod build;
mod go;
mod modules;
mod toolchain;

use anyhow::Result;

use super::context::Context;
use super::exit::ExitStatus;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which step
    #[arg(value_enum)]
    step: Step,
}

/// The names are those of `uses`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Step {
    /// The Go tools of the workspace are in order
    Toolchain,
    /// The modules are downloaded and verified
    Modules,
    /// All packages and tests are compiled once
    Build,
}

pub(crate) async fn run(args: &Args, context: &Context) -> Result<ExitStatus> {
    match args.step {
        Step::Toolchain => toolchain::run(context).await,
        Step::Modules => modules::run(context).await,
        Step::Build => build::run(context).await,
    }
}

#[cfg(test)]
mod tests {
    use burrow_protocol::settings::BuiltInStep;
    use clap::ValueEnum;

    use super::Step;

    #[test]
    fn every_step_of_the_settings_is_there() {
        let here = Step::value_variants().iter().map(|step| step.to_possible_value().unwrap().get_name().to_owned());
        assert_eq!(here.collect::<Vec<_>>(), BuiltInStep::ALL.map(BuiltInStep::as_str));
    }
}
