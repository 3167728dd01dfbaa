//! `uses: modules`: what the modules need is downloaded, and is what go.sum says.
//!
//! Where Go takes packages from `vendor/`, there is nothing to download: then that folder must agree with go.mod.

use anyhow::Result;
use burrow_protocol::error::ErrorCode;

use super::go::{Go, Unit, told};
use crate::cli::context::Context;
use crate::cli::exit::ExitStatus;

/// How Go says that `vendor/modules.txt` is another list than that of go.mod.
const INCONSISTENT: &str = "inconsistent vendoring";

pub(super) async fn run(context: &Context) -> Result<ExitStatus> {
    let go = Go::new(context);
    for unit in go.units().await? {
        let has_vendor = unit.folder.join("vendor/modules.txt").is_file();
        match unit.env.mod_flag() {
            None if has_vendor => check_vendor(&go, &unit).await?,
            Some("vendor") => check_vendor(&go, &unit).await?,
            Some(flag) if has_vendor => {
                go.tell(&format!("{} does not count: GOFLAGS says -mod={flag}", unit.folder.join("vendor")));
                download(&go, &unit).await?;
            }
            _ => download(&go, &unit).await?,
        }
    }
    Ok(ExitStatus::Success)
}

async fn download(go: &Go, unit: &Unit) -> Result<()> {
    if !go.run(&unit.folder, &["mod", "download"]).await?.success() {
        return Err(told(
            ErrorCode::Download,
            format!("not all modules of {} could be downloaded", unit.folder),
            "look at the network, GOPROXY and GOPRIVATE. A private module may need what only your window has: \
             call `burrow hook retry` in a terminal of it",
        ));
    }
    if !go.run(&unit.folder, &["mod", "verify"]).await?.success() {
        return Err(told(
            ErrorCode::ChecksumMismatch,
            format!("modules of {} are not what go.sum says", unit.folder),
            "somebody changed the module cache: `go clean -modcache`, then run the hook again",
        ));
    }
    Ok(())
}

async fn check_vendor(go: &Go, unit: &Unit) -> Result<()> {
    let vendor = unit.folder.join("vendor");
    for module in &unit.modules {
        // Loading packages is what makes Go compare the two lists.
        let output = go.output(module, &["list", "-mod=vendor", "-e", "./..."]).await?;
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains(INCONSISTENT) {
            said.lines().for_each(|line| go.tell(line));
            let vendoring = if unit.modules.len() > 1 { "go work vendor" } else { "go mod vendor" };
            return Err(told(
                ErrorCode::VendorDisagrees,
                format!("{vendor} does not agree with go.mod"),
                &format!("run `{vendoring}` in {}, and commit what it changes", unit.folder),
            ));
        }
        if !output.status.success() {
            return Err(told(
                ErrorCode::GoModSyntax,
                format!("the packages of {module} cannot be loaded: {}", said.trim()),
                "correct what Go complains of",
            ));
        }
    }
    go.tell(&format!("{vendor} agrees with go.mod: nothing is downloaded"));
    Ok(())
}
