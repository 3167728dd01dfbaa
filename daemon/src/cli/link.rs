//! A command line's connection that outlives the daemon: where one ends or is replaced, what only asks is asked of the
//! next one. Whoever watches a hook sees it through, as the hook itself goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use burrow_protocol::methods::Method;
use tokio::sync::Mutex;

use super::context::{Context, Start};
use crate::client::{Client, ClientError};

/// A daemon that ends more often than this while one command line waits does not get better by being asked again.
const MOST_RENEWALS: u32 = 5;

/// The connection of one command line.
#[derive(Debug)]
pub(crate) struct Link<'a> {
    context: &'a Context,
    client: Mutex<Arc<Client>>,
    renewals: AtomicU32,
}

impl<'a> Link<'a> {
    /// A connection that is bound to the workspace.
    pub(crate) async fn open(context: &'a Context, start: Start) -> Result<Self, ClientError> {
        context.connect(start).await.map(|client| Self::over(context, client))
    }

    /// Goes on with a connection that is there.
    pub(crate) fn over(context: &'a Context, client: Client) -> Self {
        Self { context, client: Mutex::new(Arc::new(client)), renewals: AtomicU32::new(0) }
    }

    /// Calls a method that may be called twice, of whichever daemon is there.
    ///
    /// # Errors
    /// As [`Client::call`]; [`ClientError::Stopped`] where the user has stopped the daemon meanwhile.
    pub(crate) async fn ask<M: Method>(&self, params: M::Params) -> Result<M::Result, ClientError>
    where
        M::Params: Clone,
    {
        self.ask_with::<M>(|| params.clone()).await
    }

    /// [`Self::ask`] with what holds at the time of each question.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub(crate) async fn ask_with<M: Method>(&self, params: impl Fn() -> M::Params) -> Result<M::Result, ClientError> {
        loop {
            let client = Arc::clone(&*self.client.lock().await);
            match client.call::<M>(params()).await {
                Err(lost @ ClientError::Connection { .. }) => self.renew(&client, lost).await?,
                answer => return answer,
            }
        }
    }

    /// Calls a method once.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub(crate) async fn call<M: Method>(&self, params: M::Params) -> Result<M::Result, ClientError> {
        let client = Arc::clone(&*self.client.lock().await);
        client.call::<M>(params).await
    }

    /// How often another daemon was found in the place of the last one.
    pub(crate) fn renewals(&self) -> u32 {
        self.renewals.load(Ordering::Relaxed)
    }

    /// Connects anew, unless somebody has done so since `gone` was the connection.
    async fn renew(&self, gone: &Arc<Client>, lost: ClientError) -> Result<(), ClientError> {
        let mut client = self.client.lock().await;
        if !Arc::ptr_eq(&client, gone) {
            return Ok(());
        }
        if self.renewals() == MOST_RENEWALS {
            return Err(lost);
        }
        *client = Arc::new(self.context.connect(Start::IfNeeded).await?);
        self.renewals.fetch_add(1, Ordering::Relaxed);
        self.context.printer.note("note: the daemon has ended, and another one is there; hooks go on");
        Ok(())
    }
}
