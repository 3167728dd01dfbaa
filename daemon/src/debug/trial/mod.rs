//! `burrow debug try`: the self-test. It debugs a program of the workspace through a leased port, as an editor would.
//!
//! State: one conversation, for as long as the test lasts. It runs in the command line's process, not in the daemon's.
//! Invariants: nothing is faked: the client speaks to the relay's port, and dlv builds and starts the program; every
//! step has a deadline, and its time is told.
//! Not here: leasing and its end (`cli`, through the client), printing (`cli`).

mod conversation; // launch, breakpoint, stopped frame, goodbye
mod error;
mod listen; // where the program listens
mod program; // which main package
mod request; // one HTTP request
mod target; // where to stop

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use burrow_protocol::debug::{HttpResponse, Stop, TrialStep};
use camino::Utf8Path;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

pub use error::TrialError;
pub use program::{MainPackage, find_packages, select_package};
pub use request::HttpRequest;
pub use target::Target;

use conversation::Conversation;

/// How long the program may take from its start to the breakpoint, and to its answer.
const RUN_DEADLINE: Duration = Duration::from_secs(60);
/// Stops that are reported; a breakpoint in a loop is passed silently from then on.
const MAX_STOPS: usize = 4;

/// What to try.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The program.
    pub program: MainPackage,
    /// Where to stop.
    pub target: Target,
    /// What to ask the program, where it is a server.
    pub request: Option<HttpRequest>,
    /// dlv, whose descendant the program is.
    pub dlv_pid: Option<u32>,
}

/// How a trial went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Where the program stopped, in order.
    pub stops: Vec<Stop>,
    /// What the program answered.
    pub response: Option<HttpResponse>,
    /// What was done, and how long it took.
    pub steps: Vec<TrialStep>,
}

/// Measures steps.
#[derive(Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// The step that ends now; the next one begins.
    pub fn lap(&mut self, name: &str) -> TrialStep {
        let now = Instant::now();
        let duration_ms = u32::try_from(now.duration_since(self.0).as_millis()).unwrap_or(u32::MAX);
        self.0 = now;
        TrialStep { name: name.to_owned(), duration_ms }
    }
}

impl Trial {
    /// Debugs the program over `stream`, a connection to a leased port, and says goodbye.
    ///
    /// # Errors
    /// [`TrialError`]. The stream is closed then, which ends dlv and the program.
    pub async fn run(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<Findings, TrialError> {
        let mut findings = Findings::default();
        let mut watch = Stopwatch::start();
        let mut talk = Conversation::open(stream, self.dlv_pid).await?;
        talk.launch(&self.program).await?;
        findings.steps.push(watch.lap("build and launch"));
        talk.stop_at(&self.target).await?;
        match &self.request {
            None => {
                findings.stops.push(timeout(RUN_DEADLINE, talk.stopped()).await.map_err(|_| self.not_hit(&talk))??.1);
                findings.steps.push(watch.lap("run to the breakpoint"));
            }
            Some(request) => {
                let served = timeout(RUN_DEADLINE, self.serve_request(&mut talk, request, &mut findings));
                served.await.map_err(|_| self.not_hit(&talk))??;
                if findings.stops.is_empty() {
                    return Err(self.not_hit(&talk));
                }
                findings.steps.push(watch.lap("request, breakpoint, response"));
            }
        }
        talk.goodbye().await?;
        findings.steps.push(watch.lap("disconnect"));
        Ok(findings)
    }

    /// Sends the request once the program listens; tells every stop on the way and lets the program go on.
    async fn serve_request(
        &self,
        talk: &mut Conversation<impl AsyncRead + AsyncWrite + Unpin>,
        request: &HttpRequest,
        findings: &mut Findings,
    ) -> Result<(), TrialError> {
        let dlv = self.dlv_pid.ok_or(TrialError::NoProcess)?;
        let exchange = async {
            let address: SocketAddr = listen::address_of(dlv).await;
            request.send(address).await
        };
        tokio::pin!(exchange);
        loop {
            tokio::select! {
                stopped = talk.stopped() => {
                    let (thread, stop) = stopped?;
                    if findings.stops.len() < MAX_STOPS {
                        findings.stops.push(stop);
                    }
                    talk.go_on(thread).await?;
                }
                response = &mut exchange => {
                    findings.response = Some(response?);
                    return Ok(());
                }
            }
        }
    }

    fn not_hit<S: AsyncRead + AsyncWrite + Unpin>(&self, talk: &Conversation<S>) -> TrialError {
        TrialError::NotHit { target: self.target.to_string(), output: talk.program_output() }
    }
}

/// The line `number` of a file, without the space around it.
fn source_line(file: &Utf8Path, number: u32) -> Option<String> {
    let text = fs_err::read_to_string(file).ok()?;
    text.lines().nth(usize::try_from(number).ok()?.checked_sub(1)?).map(|line| line.trim().to_owned())
}
