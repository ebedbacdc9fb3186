//! Fifty steps of a run that began in PyTorch, and goes on there.
//!
//! ```text
//! cargo run --release --example pytorch --features checkpoint -- from.safetensors to.safetensors
//! ```
//!
//! Neither the rule nor the model is known here: all of it is in the file. `lanestep.py` beside this file writes and reads
//! it in Python, and `run.py` holds the whole way to PyTorch's own.

use lanestep::checkpoint::{Checkpoint, Snapshot};
use lanestep::{AnyRule, Optimizer, Tensor};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut paths = std::env::args().skip(1);
    let (Some(from), Some(to)) = (paths.next(), paths.next()) else {
        return Err("two files are missing: one to read, one to write".into());
    };
    let mut checkpoint = Checkpoint::open(from)?;
    let layout = checkpoint.layout().clone();
    let mut params = vec![0.0; layout.len()];
    checkpoint.params(&mut [Tensor::of(&mut params)])?;
    let mut optimizer: Optimizer<AnyRule> = checkpoint.optimizer(layout)?;
    for _ in 0..50 {
        let grads = gradients(optimizer.steps(), params.len());
        optimizer.step(&mut params, &grads)?;
    }
    Snapshot::of(&optimizer).params([&params[..]]).save(to)?;
    Ok(())
}

/// In the place of a model: numbers that Python computes to the same bits.
fn gradients(step: u64, len: usize) -> Vec<f32> {
    let gradient = |i: u64| {
        let thousandths = (7919 * i + 104_729 * step) % 2001;
        (thousandths as f32 - 1000.0) / (1024 << (i % 4)) as f32
    };
    (0..len as u64).map(gradient).collect()
}
