//! Records in files of JSON.

use serde::de::DeserializeOwned;
use std::io;
use std::path::Path;

/// Reads a record; an empty one if there is no such file.
pub fn load<T: Default + DeserializeOwned>(path: &Path) -> io::Result<T> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error),
    }
}
