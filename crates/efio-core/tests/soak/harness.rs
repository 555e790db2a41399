//! What all scenarios share: directories, disks and tokio's runtime.

use crate::common::Dir;
use crate::common::mount::{Kind, Mount, memory};

pub struct Harness {
    pub dir: Dir,
    /// A disk that can be frozen.
    pub disk: Option<Mount>,
    /// One that is soon full.
    pub full: Option<Mount>,
    pub runtime: tokio::runtime::Runtime,
}

impl Harness {
    /// Has what the wanted actors need.
    pub fn new(is_wanted: &dyn Fn(&str) -> bool) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        Self {
            dir: Dir::new(),
            disk: is_wanted("frozen")
                .then(|| Mount::new(Kind::Ext4, 512 << 20))
                .flatten(),
            full: is_wanted("failures").then(|| memory(4 << 20)).flatten(),
            runtime,
        }
    }
}
