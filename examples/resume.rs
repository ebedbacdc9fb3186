//! Trains on handwritten digits, is killed half way, and resumes as if nothing had happened.
//!
//! ```text
//! cargo run --release --example resume
//! ```
//!
//! First a run is made without interruption. Then this program starts itself once more, to train the same, to save every
//! now and then, and to kill itself between two times. From the file that it leaves, the run goes on to its end, now on one
//! thread and at the portable level. It fails unless all that there is then has the same bits. At last so much is saved and
//! loaded that you can watch it.

use fastrand::Rng;
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use lanestep::checkpoint::{Checkpoint, Snapshot};
use lanestep::{AdamW, Group, Health, Layout, Level, Optimizer, Parallelism, Pipeline, Schedule, Tensor};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::process::{Command, abort, id};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const PIXELS: usize = 8 * 8;
const DIGITS: usize = 10;
const BATCH: usize = 32;
const STEPS: u64 = 1000;
const SAVE_EVERY: u64 = 70;
const KILLED_AT: u64 = 530;

// Beside the manifest, wherever cargo has been told to build.
const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/resume.safetensors");

fn main() -> Result<()> {
    let digits = load_digits();
    if std::env::args().any(|arg| arg == "--to-be-killed") {
        return be_killed(&digits);
    }
    let mut whole = Run::new(digits.len())?;
    #[cfg(feature = "rayon")]
    whole.optimizer.set_parallelism(Parallelism::Rayon { grain: 64 }); // by default, so few stay on one thread
    whole.train(&digits)?;
    let right = digits.iter().filter(|digit| whole.model.reads(digit)).count();
    println!("It reads {right} of {} digits right.", digits.len());

    std::fs::create_dir_all(TARGET)?;
    let status = Command::new(std::env::current_exe()?).arg("--to-be-killed").status()?;
    // On Unix, who has been killed has no code.
    let killed = if cfg!(unix) { status.code().is_none() } else { !status.success() };
    if !killed {
        return Err(format!("it was to be killed, but ended with {status}").into());
    }

    let mut resumed = Run::resume(FILE)?;
    println!("Killed after step {KILLED_AT}: {status}. The file is of step {}.", resumed.optimizer.steps());
    resumed.optimizer.set_level(Level::PORTABLE);
    resumed.optimizer.set_parallelism(Parallelism::Serial);
    resumed.train(&digits)?;
    compare(&resumed, &whole)?;
    save_much()?;
    Ok(std::fs::remove_file(FILE)?)
}

/// All of a run.
struct Run {
    optimizer: Optimizer<AdamW>,
    model: Model,
    extra: Extra,
    rng: Rng,
}

/// What it keeps beside its optimizer, parameters and random generator.
#[derive(PartialEq, Serialize, Deserialize)]
struct Extra {
    schedule: Schedule,
    health: Health,
    epoch: u64,
    /// The images in the order of this epoch, and how many of them have been seen.
    order: Vec<usize>,
    seen: usize,
}

impl Run {
    fn new(images: usize) -> Result<Self> {
        let layout = Model::layout()?;
        let weight = AdamW { lr: 1e-2, weight_decay: 0.1, ..AdamW::default() };
        let bias = AdamW { lr: 5e-3, weight_decay: 0.0, ..weight };
        let groups = [(weight, "weight"), (bias, "bias")]
            .map(|(rule, tensor)| Group::over(rule, layout.select(|name| name == tensor)));
        let mut optimizer = Optimizer::with_groups(groups, layout)?;
        optimizer.set_ema(0.99)?;
        let schedule = Schedule::cosine(weight.lr, STEPS - 100).warmup(100);
        schedule.check()?;
        let (health, order) = (Health::default(), (0..images).collect());
        let extra = Extra { schedule, health, epoch: 0, order, seen: images };
        Ok(Self { optimizer, model: Model::zeros(), extra, rng: Rng::with_seed(0) })
    }

    fn train(&mut self, digits: &[Image]) -> Result<()> {
        let (from, optimizer) = (self.optimizer.steps(), &self.optimizer);
        println!("Trains from step {from} to {STEPS}: {}, {:?}.", optimizer.level(), optimizer.parallelism());
        while self.optimizer.steps() < STEPS {
            self.step(digits)?;
        }
        Ok(())
    }

    fn step(&mut self, digits: &[Image]) -> Result<()> {
        let Self { optimizer, model, extra, rng } = self;
        if extra.seen + BATCH > digits.len() {
            rng.shuffle(&mut extra.order);
            (extra.epoch, extra.seen) = (extra.epoch + 1, 0);
        }
        for &image in &extra.order[extra.seen..][..BATCH] {
            model.add_grads(&digits[image]);
        }
        extra.seen += BATCH;
        optimizer.set_lr(extra.schedule.lr(optimizer.steps()))?;
        let pipeline = Pipeline { scale: 1.0 / BATCH as f64, max_norm: Some(1.0), ..Pipeline::default() };
        extra.health.record(&optimizer.step_with(&mut model.tensors(), &pipeline)?);
        Ok(())
    }

    fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let Model { weight, bias, .. } = &self.model;
        let params = [("weight", &weight[..]), ("bias", bias)];
        let extra = (&self.extra, self.rng.get_seed());
        Ok(Snapshot::of(&self.optimizer).params(params).extra(&extra).save(path)?)
    }

    fn resume(path: impl AsRef<Path>) -> Result<Self> {
        let mut checkpoint = Checkpoint::open(path)?;
        let optimizer = checkpoint.optimizer(Model::layout()?)?;
        let mut model = Model::zeros();
        checkpoint.params(&mut model.tensors())?;
        let (extra, seed) = checkpoint.extra()?;
        Ok(Self { optimizer, model, extra, rng: Rng::with_seed(seed) })
    }

    /// All numbers that training changes, and their names.
    fn bits(&self) -> Vec<(&str, Vec<u32>)> {
        let Self { optimizer, model, .. } = self;
        let average = optimizer.ema().unwrap_or_default();
        let mut numbers = vec![("weight", &*model.weight), ("bias", &model.bias), ("average", average)];
        numbers.extend(optimizer.state_names().filter_map(|name| Some((name, optimizer.state(name)?))));
        let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect();
        numbers.into_iter().map(|(name, numbers)| (name, bits(numbers))).collect()
    }
}

/// Trains and saves, and dies between two savings.
fn be_killed(digits: &[Image]) -> Result<()> {
    let mut run = Run::new(digits.len())?;
    while run.optimizer.steps() < STEPS {
        run.step(digits)?;
        if run.optimizer.steps() % SAVE_EVERY == 0 {
            run.save(FILE)?;
        }
        if run.optimizer.steps() == KILLED_AT {
            let _ = Command::new("kill").args(["-9", &id().to_string()]).status();
            abort(); // where there is no `kill`
        }
    }
    Ok(())
}

/// Fails at a bit that is another.
fn compare(resumed: &Run, whole: &Run) -> Result<()> {
    let (found, expected) = (resumed.bits(), whole.bits());
    if let Some((name, _)) = expected.iter().find(|numbers| !found.contains(numbers)) {
        return Err(format!("{name} has other bits").into());
    }
    if (&resumed.extra, resumed.rng.get_seed()) != (&whole.extra, whole.rng.get_seed()) {
        return Err("the bits are the same, but not what is kept beside them".into());
    }
    let count: usize = found.iter().map(|(_, bits)| bits.len()).sum();
    println!("Parameters, their average and state: all {count} numbers have the same bits.");
    Ok(())
}

/// The state of 32 million parameters, 256 MiB.
fn save_much() -> Result<()> {
    let optimizer = Optimizer::new(AdamW::default(), 1 << 25)?;
    Snapshot::of(&optimizer).on_progress(bar("saving")?).save(FILE)?;
    Checkpoint::open(FILE)?.on_progress(bar("loading")?).optimizer::<AdamW>(1 << 25)?;
    Ok(())
}

/// Shows how much is done.
fn bar(what: &'static str) -> Result<impl FnMut(u64, u64)> {
    let style = ProgressStyle::with_template("{prefix} {bar:40} {bytes} of {total_bytes}, {bytes_per_sec}")?;
    let bar = ProgressBar::new(0).with_style(style).with_prefix(what).with_finish(ProgressFinish::Abandon);
    Ok(move |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
}

type Image = ([f32; PIXELS], usize);

/// The 1797 images that ship with smartcore.
fn load_digits() -> Vec<Image> {
    let dataset = smartcore::dataset::digits::load_dataset();
    let pixels = |row: &[f32]| std::array::from_fn(|i| row[i] / 16.0); // from 0..=16
    let rows = dataset.data.chunks_exact(PIXELS).zip(&dataset.target);
    rows.map(|(row, &digit)| (pixels(row), digit as usize)).collect()
}

/// Softmax regression: a weight for each pixel and digit.
struct Model {
    weight: Vec<f32>,
    bias: Vec<f32>,
    weight_grad: Vec<f32>,
    bias_grad: Vec<f32>,
}

impl Model {
    fn zeros() -> Self {
        let (weight, bias) = (vec![0.0; PIXELS * DIGITS], vec![0.0; DIGITS]);
        Self { weight_grad: weight.clone(), bias_grad: bias.clone(), weight, bias }
    }

    fn layout() -> std::result::Result<Layout, lanestep::Error> {
        Layout::with_shapes([("weight", [PIXELS, DIGITS].to_vec()), ("bias", [DIGITS].to_vec())])
    }

    fn tensors(&mut self) -> [Tensor<'_>; 2] {
        [
            Tensor::zeroing(&mut self.weight, &mut self.weight_grad).named("weight"),
            Tensor::zeroing(&mut self.bias, &mut self.bias_grad).named("bias"),
        ]
    }

    /// The probabilities of the digits.
    fn forward(&self, pixels: &[f32; PIXELS]) -> [f32; DIGITS] {
        let mut logits = [0.0; DIGITS];
        logits.copy_from_slice(&self.bias);
        for (pixel, row) in pixels.iter().zip(self.weight.chunks_exact(DIGITS)) {
            logits.iter_mut().zip(row).for_each(|(logit, weight)| *logit += pixel * weight);
        }
        let exps = logits.map(f32::exp); // of pixels up to 1 and small weights: it cannot overflow
        let sum: f32 = exps.iter().sum();
        exps.map(|exp| exp / sum)
    }

    /// Adds the gradients of an image's cross-entropy to those before.
    fn add_grads(&mut self, (pixels, digit): &Image) {
        let mut grads = self.forward(pixels);
        grads[*digit] -= 1.0;
        self.bias_grad.iter_mut().zip(grads).for_each(|(sum, grad)| *sum += grad);
        for (pixel, sums) in pixels.iter().zip(self.weight_grad.chunks_exact_mut(DIGITS)) {
            sums.iter_mut().zip(grads).for_each(|(sum, grad)| *sum += pixel * grad);
        }
    }

    /// Whether a digit is read right.
    fn reads(&self, (pixels, digit): &Image) -> bool {
        let probabilities = self.forward(pixels);
        probabilities.iter().all(|other| *other <= probabilities[*digit])
    }
}
