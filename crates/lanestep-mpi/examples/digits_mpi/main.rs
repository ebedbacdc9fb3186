//! Trains a small neural network on real handwritten digits, data-parallel over the ranks of an MPI job.
//!
//! ```text
//! mpirun -np 2 cargo run --release -p lanestep-mpi --example digits_mpi
//! ```
//!
//! Each batch is cut into 8 micro-batches, which are shared out over the ranks; gradients are summed, clipped by their norm and stepped
//! by AdamW, of whose state each rank keeps its part. Then rank 0 trains the same alone, and the job fails unless it arrives at the
//! same bits.
//!
//! With `--save PATH`, a place that all ranks see, it saves the run after each epoch. Stop it, and go on with any number of ranks:
//!
//! ```text
//! mpirun -np 3 cargo run --release -p lanestep-mpi --example digits_mpi -- --resume PATH
//! ```

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
        let mut args = std::env::args().skip(1);
        let (resume, path) = match (args.next().as_deref(), args.next(), args.next()) {
            (None, ..) => (false, None),
            (Some("--save"), Some(path), None) => (false, Some(path)),
            (Some("--resume"), Some(path), None) => (true, Some(path)),
            _ => return Err("usage: digits_mpi [--save PATH | --resume PATH]".into()),
        };
        let digits = Digits::load();
        let mut params = initial_params();
        let sharded = match &path {
            Some(path) if resume => Sharded::load(world, path, params.len(), MICRO_BATCHES, &mut params)?,
            _ => begin(world, params.len())?,
        };
        train(world, sharded, &mut params, &digits, path.as_deref())?;
        if world.rank() == 0 { compare(world.size(), &params, &digits) } else { Ok(()) }
    });
}

fn begin(world: &SimpleCommunicator, params: usize) -> Result<Sharded<AdamW>> {
    let rule = AdamW { weight_decay: 0.1, ..AdamW::default() };
    Ok(Sharded::new(world, rule, params, MICRO_BATCHES)?)
}

/// With what rank 0 arrives at alone.
fn compare(ranks: i32, params: &[f32], digits: &Digits) -> Result<()> {
    let (me, mut alone) = (SimpleCommunicator::self_comm(), initial_params());
    train(&me, begin(&me, alone.len())?, &mut alone, digits, None)?;
    if !params.iter().map(|p| p.to_bits()).eq(alone.iter().map(|p| p.to_bits())) {
        return Err(format!("-np {ranks} has other parameters than -np 1").into());
    }
    println!("With -np {ranks}, the {} parameters have the bits of -np 1.", params.len());
    let accuracy = accuracy(params, &digits.test);
    println!("{:.2} % of the held-out digits are read right.", 100.0 * accuracy);
    if accuracy < GOAL { Err("that is too little".into()) } else { Ok(()) }
}

/// From where the run stands to the last epoch, after each of which it is saved, if a path is given.
fn train(
    world: &SimpleCommunicator,
    mut sharded: Sharded<AdamW>,
    params: &mut [f32],
    digits: &Digits,
    path: Option<&str>,
) -> Result<()> {
    let steps_per_epoch = (digits.train.len() / BATCH) as u64;
    let schedule = Schedule::cosine(5e-3, EPOCHS * steps_per_epoch).warmup(steps_per_epoch);
    let mean = Pipeline { scale: 1.0 / BATCH as f64, max_norm: Some(1.0), ..Pipeline::default() };
    let begun = sharded.optimizer().steps() / steps_per_epoch;
    let bar = progress_bar(world)?;
    bar.set_position(begun);
    for epoch in begun..EPOCHS {
        let mut images: Vec<&Image> = digits.train.iter().collect();
        fastrand::Rng::with_seed(epoch).shuffle(&mut images); // alike on all ranks
        let mut norm = 0.0;
        for batch in images.chunks_exact(BATCH) {
            for micro_batch in sharded.micro_batches() {
                let grads = sharded.grads(micro_batch)?;
                for image in &batch[micro_batch * MICRO_BATCH..][..MICRO_BATCH] {
                    add_grads(params, image, grads);
                }
            }
            sharded.set_lr(schedule.lr(sharded.optimizer().steps()))?;
            let report = sharded.step(params, &mean)?;
            norm = report.grads.map_or(f64::NAN, |grads| grads.norm);
        }
        if let Some(path) = path {
            sharded.save(path, params)?;
        }
        bar.set_message(format!("gradient norm {norm:.3}"));
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

/// Of rank 0 alone, on stdout: that is a terminal under mpirun, and stderr is not.
fn progress_bar(world: &SimpleCommunicator) -> Result<ProgressBar> {
    let target = if world.rank() == 0 { ProgressDrawTarget::stdout() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{prefix:8} {bar:40} epoch {pos}/{len} {msg}")?;
    let bar = ProgressBar::with_draw_target(Some(EPOCHS), target).with_style(style);
    Ok(bar.with_prefix(format!("-np {}", world.size())))
}
