//! The secret that signs tokens. It is made at the first start and kept in the data folder, for its owner only.

use std::io;
use std::path::{Path, PathBuf};

use super::{hex, random};
use crate::store::file_replace;

/// Its name in the data folder.
const FILE: &str = "secret.key";
/// Bytes of a secret at least: fewer can be guessed.
pub const MIN_SECRET: usize = 16;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum SecretError {
    #[error(
        "{}: {source}; the hub keeps the secret of its tokens there: name another folder with --data-dir, or set auth_secret, \
         or users.provider = \"memory\"",
        file.display()
    )]
    Io { file: PathBuf, source: io::Error },
    #[error("{}: {len} characters, expected {MIN_SECRET} or more; remove it, and a new one is made", file.display())]
    Short { file: PathBuf, len: usize },
}

/// The secret of the data folder, made if there is none.
pub(super) fn of_folder(folder: &Path) -> Result<Vec<u8>, SecretError> {
    let file = folder.join(FILE);
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            let text = text.trim();
            if text.len() < MIN_SECRET {
                return Err(SecretError::Short { file, len: text.len() });
            }
            Ok(text.as_bytes().to_vec())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let secret = new();
            file_replace(&file, &secret).map_err(|source| SecretError::Io { file: file.clone(), source })?;
            log::info!("{}: made the secret of this hub's tokens", file.display());
            Ok(secret)
        }
        Err(source) => Err(SecretError::Io { file, source }),
    }
}

/// A new one.
pub(super) fn new() -> Vec<u8> {
    hex(&random::<32>()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_for_its_owner_only() {
        let folder = std::env::temp_dir().join(format!("ipchub-secret-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let secret = of_folder(&folder).expect("it is made");
        assert_eq!((secret.len(), of_folder(&folder).expect("it is read")), (64, secret));
        let data = std::fs::metadata(folder.join(FILE)).expect("there");
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o777, 0o600);
        std::fs::write(folder.join(FILE), "short").expect("it can be written");
        assert!(matches!(of_folder(&folder), Err(SecretError::Short { len: 5, .. })));
        std::fs::remove_dir_all(folder).expect("it is ours");
    }
}
