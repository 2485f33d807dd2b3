//! Users, their passwords, tokens and rights.
//!
//! [`Accounts`] is the actor that changes users and logs them in. [`Gate`] is what everybody else asks who may do what: it
//! reads snapshots and waits for nobody. Passwords are hashed off the actors' threads, two at once.

mod actor;
mod attempts;
pub mod credentials;
mod ended;
mod gate;
pub mod masks;
mod secret;
pub mod tokens;
pub mod users;

pub use actor::{Accounts, UserChangeError};
pub use gate::{Denied, Gate, Login, Refusal, Right};
pub use secret::{MIN_SECRET, SecretError};

use crate::store::{Kept, Provider, StoreError};
use ended::Ended;
use users::Users;

/// What the hub must know to have accounts.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data folder.
    pub folder: std::path::PathBuf,
    /// Where users and tokens are kept.
    pub provider: Provider,
    /// Signs tokens; empty: one is made and kept in the data folder.
    pub auth_secret: String,
    /// Streams ask for rights.
    pub auth: bool,
}

/// Why there are no accounts.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum AccountsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secret(#[from] SecretError),
}

/// The users that are kept.
pub fn open(config: &Config) -> Result<Kept<Users>, StoreError> {
    Kept::open(config.provider.store(config.folder.join(users::FILE)))
}

/// The ended tokens that are kept.
fn open_ended(config: &Config) -> Result<Kept<Ended>, StoreError> {
    Kept::open(config.provider.store(config.folder.join(ended::FILE)))
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness nothing here may go on.
    getrandom::fill(&mut bytes).expect("the system has random numbers");
    bytes
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
