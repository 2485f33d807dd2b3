//! The one place where control and data connections of WSP find each other, whatever threads they live on.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::Addr;

use crate::connection::Link;
use crate::meter::Active;
use crate::rtsp::session::RtspSession;

/// Numbers up to this are whole in the doubles of a page's script: 53 bits. A channel can be joined once, within seconds, by
/// its own user: nobody guesses that.
const MAX_ID: u64 = (1 << 53) - 1;

/// Who asks: path and user must be the same for both connections of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// Canonical path of the websocket's URL.
    pub path: String,
    /// `None` while the hub asks nobody for a name.
    pub user: Option<String>,
}

/// All channels. There are at most as many as control connections, which `limits.connections` bounds: each has one.
#[derive(Debug, Default)]
pub struct Channels(Mutex<HashMap<u64, Entry>>);

#[derive(Debug)]
struct Entry {
    owner: Owner,
    joined: bool,
    control: Joinable,
}

/// What a data connection gets of the control connection that it joins.
#[derive(Debug, Clone)]
pub(crate) struct Joinable {
    pub(crate) session: Addr<RtspSession>,
    pub(crate) link: Arc<Link>,
    /// The session counts as active until both connections are gone.
    pub(crate) _counted: Arc<Active>,
}

/// Why a data connection cannot join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JoinError {
    /// Not told apart: whoever guesses must not learn which channels there are.
    #[error("no such channel of this path and user")]
    Unknown,
    #[error("the channel is joined already")]
    Joined,
}

impl Channels {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Entry>> {
        // Every change below is a single call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new channel, until the guard is dropped.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn open(self: &Arc<Self>, owner: Owner, control: Joinable) -> Result<Channel, getrandom::Error> {
        let mut entries = self.lock();
        let id = loop {
            let id = getrandom::u64()? & MAX_ID;
            if !entries.contains_key(&id) {
                break id;
            }
        };
        entries.insert(id, Entry { owner, joined: false, control });
        drop(entries);
        Ok(Channel { id, channels: Arc::clone(self) })
    }

    /// Takes a channel for a data connection.
    pub(crate) fn join(&self, id: u64, owner: &Owner) -> Result<Joinable, JoinError> {
        match self.lock().get_mut(&id).filter(|entry| entry.owner == *owner) {
            None => Err(JoinError::Unknown),
            Some(entry) if entry.joined => Err(JoinError::Joined),
            Some(entry) => {
                entry.joined = true;
                Ok(entry.control.clone())
            }
        }
    }

    /// Ends the control connection of a channel whose data connection is lost; nothing if it is ending by itself.
    pub(crate) fn lose(&self, id: u64, reason: &str) {
        let entry = self.lock().remove(&id);
        if let Some(entry) = entry {
            entry.control.link.kill(reason);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// True if there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A control connection's claim on its channel.
#[derive(Debug)]
pub(crate) struct Channel {
    pub(crate) id: u64,
    channels: Arc<Channels>,
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.channels.lock().remove(&self.id);
    }
}
