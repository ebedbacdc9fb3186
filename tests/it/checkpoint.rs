//! Optimizers that are saved and loaded.

use lanestep::Optimizer;
use lanestep::checkpoint::{Checkpoint, Error, Recorded, Snapshot};
use std::io::Cursor;

pub fn bytes<R: Recorded>(optimizer: &Optimizer<R>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Snapshot::of(optimizer).write(&mut bytes).unwrap();
    bytes
}

pub fn open(bytes: &[u8]) -> Result<Checkpoint<Cursor<&[u8]>>, Error> {
    Checkpoint::read(Cursor::new(bytes))
}

/// Another that goes on where this one is.
pub fn loaded<R: Recorded>(optimizer: &Optimizer<R>) -> Optimizer<R> {
    open(&bytes(optimizer)).unwrap().optimizer(optimizer.layout()).unwrap()
}
