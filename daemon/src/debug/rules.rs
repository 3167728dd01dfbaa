//! What a workspace's settings say of its leases: who may connect, and how long an unclaimed one lives. Pure.

use std::time::Duration;

use burrow_protocol::settings::{DebugBind, DebugSettings};

use super::admission::{Admission, Network};
use super::error::DebugError;
use crate::duration;

/// How long an unclaimed lease lives, where no setting says so.
const UNCLAIMED: Duration = Duration::from_secs(10 * 60);

/// Timers end after two years.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// The rules of one lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long it waits for its first client.
    pub unclaimed: Duration,
    /// Who may connect.
    pub admission: Admission,
}

impl Rules {
    /// The rules that `settings` give for ports of the user `uid`.
    ///
    /// # Errors
    /// [`DebugError::Setting`]: what is not understood opens no port.
    pub fn read(settings: &DebugSettings, uid: u32) -> Result<Self, DebugError> {
        let bad = |name, value: &str, why| DebugError::Setting { name, value: value.to_owned(), why };
        let unclaimed = match &settings.idle_timeout {
            None => UNCLAIMED,
            Some(text) => {
                let time = duration::parse(text)
                    .map_err(|_| bad("debug.idleTimeout", text, "it is no time such as \"10m\""))?;
                time.min(LONGEST)
            }
        };
        let allow = settings.allow.iter().map(|text| {
            text.parse::<Network>().map_err(|()| bad("debug.allow", text, "it is no network such as 10.0.0.0/8"))
        });
        let allow = allow.collect::<Result<Vec<_>, _>>()?;
        Ok(Self { unclaimed, admission: Admission { uid, everywhere: settings.bind == DebugBind::All, allow } })
    }
}

#[cfg(test)]
mod tests {
    use burrow_protocol::settings::{DebugBind, DebugSettings};

    use super::{LONGEST, Rules};

    #[test]
    fn what_is_not_understood_opens_no_port() {
        let settings = |allow: &str, idle: &str| DebugSettings {
            bind: DebugBind::All,
            allow: vec![allow.to_owned()],
            idle_timeout: Some(idle.to_owned()),
        };
        assert!(Rules::read(&settings("10.0.0.0/8", "1s"), 1000).is_ok());
        let never = Rules::read(&settings("10.0.0.0/8", "9999999h"), 1000).expect("a long time");
        assert_eq!(never.unclaimed, LONGEST);
        assert!(Rules::read(&settings("10.0.0.0/33", "1s"), 1000).is_err());
        assert!(Rules::read(&settings("10.0.0.0/8", "soon"), 1000).is_err());
    }
}
