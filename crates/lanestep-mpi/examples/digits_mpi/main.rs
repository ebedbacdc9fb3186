//! Trains a small neural network on real handwritten digits, data-parallel over the ranks of an MPI job.
//!
//! ```text
//! mpirun -np 2 cargo run --release -p lanestep-mpi --example digits_mpi
//! ```
//!
//! Each batch is cut into 8 micro-batches, which are shared out over the ranks; gradients are summed, clipped by their norm and stepped
//! by AdamW, of whose state each rank keeps its part. Then rank 0 trains the same alone, and the job fails unless it arrives at the
//! same bits.

mod model;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lanestep::{AdamW, Pipeline, Schedule};
use lanestep_mpi::{Sharded, run};
use model::{Digits, Image, accuracy, add_grads, initial_params};
use mpi::topology::SimpleCommunicator;
use mpi::traits::Communicator;
use std::error::Error;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const EPOCHS: u64 = 4;
const BATCH: usize = 64;
/// Whatever the number of ranks, as the bits depend on it.
const MICRO_BATCHES: usize = 8;
const MICRO_BATCH: usize = BATCH / MICRO_BATCHES;
const GOAL: f64 = 0.95;

fn main() {
    run(|world| -> Result<()> {
        let digits = Digits::load();
        let params = train(world, &digits)?;
        if world.rank() > 0 {
            return Ok(());
        }
        let alone = train(&SimpleCommunicator::self_comm(), &digits)?;
        let ranks = world.size();
        if !params.iter().map(|p| p.to_bits()).eq(alone.iter().map(|p| p.to_bits())) {
            return Err(format!("-np {ranks} has other parameters than -np 1").into());
        }
        println!("With -np {ranks}, the {} parameters have the bits of -np 1.", params.len());
        let accuracy = accuracy(&params, &digits.test);
        println!("{:.2} % of the held-out digits are read right.", 100.0 * accuracy);
        if accuracy < GOAL {
            return Err("that is too little".into());
        }
        Ok(())
    });
}

/// The trained parameters, which all ranks of the communicator have.
fn train(world: &SimpleCommunicator, digits: &Digits) -> Result<Vec<f32>> {
    let rule = AdamW { weight_decay: 0.1, ..AdamW::default() };
    let steps_per_epoch = digits.train.len() / BATCH;
    let schedule = Schedule::cosine(5e-3, EPOCHS * steps_per_epoch as u64).warmup(steps_per_epoch as u64);
    let mean = Pipeline { scale: 1.0 / BATCH as f64, max_norm: Some(1.0), ..Pipeline::default() };

    let mut params = initial_params();
    let mut sharded = Sharded::new(world, rule, params.len(), MICRO_BATCHES)?;
    let bar = progress_bar(world)?;
    for epoch in 0..EPOCHS {
        let mut images: Vec<&Image> = digits.train.iter().collect();
        fastrand::Rng::with_seed(epoch).shuffle(&mut images); // alike on all ranks
        let mut norm = 0.0;
        for batch in images.chunks_exact(BATCH) {
            for micro_batch in sharded.micro_batches() {
                let grads = sharded.grads(micro_batch)?;
                for image in &batch[micro_batch * MICRO_BATCH..][..MICRO_BATCH] {
                    add_grads(&params, image, grads);
                }
            }
            sharded.set_lr(schedule.lr(sharded.optimizer().steps()))?;
            let report = sharded.step(&mut params, &mean)?;
            norm = report.grads.map_or(f64::NAN, |grads| grads.norm);
        }
        bar.set_message(format!("gradient norm {norm:.3}"));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(params)
}

/// Of rank 0 alone, on stdout: that is a terminal under mpirun, and stderr is not.
fn progress_bar(world: &SimpleCommunicator) -> Result<ProgressBar> {
    let target = if world.rank() == 0 { ProgressDrawTarget::stdout() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{prefix:8} {bar:40} epoch {pos}/{len} {msg}")?;
    let bar = ProgressBar::with_draw_target(Some(EPOCHS), target).with_style(style);
    Ok(bar.with_prefix(format!("-np {}", world.size())))
}
