//! Trains two networks with their numbers kept in nine ways, and says which of them cost quality.
//!
//! ```text
//! cargo run --release --example formats
//! ```
//!
//! The network of the example `digits`, and a smaller one of the example `lstm`, each from five seeds, with AdamW and a learning
//! rate that falls to zero along a cosine. There, steps get smaller than the gaps between numbers in `bf16`, and what
//! is rounded to the nearest stands still. A way is within the spread if its mean training loss is no farther from that
//! of `f32` than one standard deviation over the seeds.
//!
//! With split masters, an optimizer that has all in `f32` takes the same gradients, and must hold the same bits after training.
//!
//! Both networks fit into the cache: the time of a step is that of its arithmetic, on one thread. What fewer bytes save in
//! memory, `cargo bench --bench formats` says.
//!
//! Prints a table for each, and draws held-out losses to `target/formats.svg`, of which `docs/formats.svg` is a copy.

#[path = "../models/digits.rs"]
mod digits;
mod draw;
#[path = "../models/lstm.rs"]
mod lstm;
mod tasks;
mod way;

use std::error::Error;
use std::time::{Duration, Instant};

use fastrand::Rng;
use indicatif::{ProgressBar, ProgressStyle};
use lanestep::{Format, Pipeline, Schedule};
use rayon::prelude::*;
use tasks::Task;
use way::{Kept, Params, WAYS, Way};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const SEEDS: u64 = 5;
/// How often the held-out loss is looked at.
const LOOKS: usize = 25;
const TIMED: usize = 400;

fn main() -> Result<()> {
    let results = [compare(&digits::Digits::load())?, compare(&tasks::Cicero::load())?];
    results.iter().for_each(Comparison::print);
    draw::losses(&results)?;
    println!("\nHeld-out losses: {}", draw::SVG);
    results.iter().try_for_each(Comparison::check)
}

/// What became of one training.
struct Run {
    train_loss: f64,
    test_loss: f64,
    accuracy: Option<f64>,
    /// Held-out losses on the way.
    curve: Vec<f64>,
}

struct Comparison {
    name: &'static str,
    params: usize,
    steps: usize,
    /// Of each way, by seeds.
    runs: Vec<Vec<Run>>,
    times: Vec<Duration>,
}

fn compare<T: Task>(task: &T) -> Result<Comparison> {
    let style = ProgressStyle::with_template("{prefix:8} {bar:40} training {pos}/{len}")?;
    let bar = ProgressBar::new(SEEDS * WAYS.len() as u64).with_style(style).with_prefix(T::NAME);
    let jobs: Vec<(Way, u64)> =
        WAYS.iter().flat_map(|&way| (0..SEEDS).map(move |seed| (way, seed))).collect();
    let run = |&(way, seed): &(Way, u64)| train(task, way, seed).inspect(|_| bar.inc(1));
    let mut runs = jobs.par_iter().map(run).collect::<Result<Vec<_>>>()?.into_iter();
    bar.finish();
    let start = task.start(&mut Rng::with_seed(0));
    Ok(Comparison {
        name: T::NAME,
        params: start.len(),
        steps: T::STEPS,
        runs: WAYS.iter().map(|_| runs.by_ref().take(SEEDS as usize).collect()).collect(),
        times: time(&start)?,
    })
}

/// Of a seed, whatever the way, the first weights and all batches are the same.
fn train<T: Task>(task: &T, way: Way, seed: u64) -> Result<Run> {
    let mut rng = Rng::with_seed(seed);
    let mut seen = task.start(&mut rng);
    let mut kept = Kept::new(way, &seen, seed)?;
    let mut twin = (way.params == Params::Split).then(|| Kept::new(WAYS[0], &seen, seed)).transpose()?;
    let mut grads = vec![0.0; seen.len()];
    let warmup = T::STEPS as u64 / 20;
    let schedule = Schedule::cosine(T::LR, T::STEPS as u64 - warmup).warmup(warmup);
    let pipeline = Pipeline { scale: T::SCALE, max_norm: Some(1.0), ..Pipeline::default() };
    let mut curve = Vec::new();
    kept.show(&mut seen);
    for step in 1..=T::STEPS {
        task.backward(&seen, &mut rng, &mut grads);
        let lr = schedule.lr(step as u64);
        kept.step(lr, &grads, &pipeline)?;
        if let Some(twin) = &mut twin {
            twin.step(lr, &grads, &pipeline)?;
        }
        kept.show(&mut seen);
        if step % (T::STEPS / LOOKS) == 0 {
            curve.push(task.test(&seen).0);
        }
    }
    if let Some(mut twin) = twin
        && twin.bits()? != kept.bits()?
    {
        return Err(format!("{}: split masters do not have the bits of f32", T::NAME).into());
    }
    let (test_loss, accuracy) = task.test(&seen);
    Ok(Run { train_loss: task.train_loss(&seen), test_loss, accuracy, curve })
}

/// The median of a step in each way, all in turns.
fn time(start: &[f32]) -> Result<Vec<Duration>> {
    let mut rng = Rng::with_seed(0);
    let grads: Vec<f32> = start.iter().map(|_| rng.f32() - 0.5).collect();
    let mut kept =
        WAYS.iter().map(|&way| Kept::new(way, start, 0)).collect::<std::result::Result<Vec<_>, _>>()?;
    let mut times = vec![Vec::with_capacity(TIMED); WAYS.len()];
    for _ in 0..TIMED {
        for (kept, times) in kept.iter_mut().zip(&mut times) {
            let begin = Instant::now();
            kept.step(1e-3, &grads, &Pipeline::default())?;
            times.push(begin.elapsed());
        }
    }
    let median = |mut times: Vec<Duration>| *times.select_nth_unstable(TIMED / 2).1;
    Ok(times.into_iter().map(median).collect())
}

/// Mean, and standard deviation over the seeds.
fn spread(runs: &[Run], value: impl Fn(&Run) -> f64) -> (f64, f64) {
    let mean = runs.iter().map(&value).sum::<f64>() / runs.len() as f64;
    let squares = runs.iter().map(|run| (value(run) - mean) * (value(run) - mean)).sum::<f64>();
    (mean, (squares / (runs.len() - 1) as f64).sqrt())
}

impl Comparison {
    /// How many of `f32`'s standard deviations a way's mean training loss is above that of `f32`.
    fn deviations(&self, runs: &[Run]) -> f64 {
        let (mean, deviation) = spread(&self.runs[0], |run| run.train_loss);
        (spread(runs, |run| run.train_loss).0 - mean) / deviation
    }

    fn print(&self) {
        let Self { name, params, steps, .. } = self;
        println!(
            "\n{name}: {params} parameters, {steps} steps, mean and standard deviation of {SEEDS} seeds"
        );
        println!(
            "                           training loss      held-out loss        accuracy  bytes a    ms a   from f32, in"
        );
        println!(
            "way                                                                          parameter  step   its deviations"
        );
        for ((way, runs), time) in WAYS.iter().zip(&self.runs).zip(&self.times) {
            let (train, train_spread) = spread(runs, |run| run.train_loss);
            let (test, test_spread) = spread(runs, |run| run.test_loss);
            let accuracy = if runs.iter().all(|run| run.accuracy.is_some()) {
                let (mean, deviation) = spread(runs, |run| 100.0 * run.accuracy.unwrap_or_default());
                format!("{mean:.2} ± {deviation:.2} %")
            } else {
                String::new()
            };
            let deviations = self.deviations(runs);
            let verdict = if deviations.abs() <= 1.0 { "within" } else { "OUTSIDE" };
            println!(
                "{:<23} {train:>7.4} ± {train_spread:.4}  {test:>7.4} ± {test_spread:.4}  {accuracy:>14} {:>9.2} {:>7.4}  {deviations:>+6.1} {verdict}",
                way.name,
                way.bytes(),
                1e3 * time.as_secs_f64(),
            );
        }
    }

    /// That what is recommended for its few bytes trains as well as `f32`.
    fn check(&self) -> Result<()> {
        let (f32_loss, _) = spread(&self.runs[0], |run| run.train_loss);
        for (way, runs) in WAYS.iter().zip(&self.runs) {
            let worse = spread(runs, |run| run.train_loss).0 > 1.05 * f32_loss && self.deviations(runs) > 3.0;
            if worse && (way.stochastic || way.state == Format::Block8) {
                return Err(
                    format!("{}: {} has come to a far higher loss than f32", self.name, way.name).into()
                );
            }
        }
        Ok(())
    }
}
