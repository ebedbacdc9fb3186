//! A training loop with all that this crate offers around the step, to copy from.
//!
//! ```text
//! cargo run --release --example trainer
//! ```
//!
//! A network with one hidden layer learns to read handwritten digits. One gradient is broken on purpose. It
//! fails if that is not found, or if too few of the digits that it has never seen are read right.

use fastrand::Rng;
use lanestep::{AdamW, Group, Health, Layout, NonFinite, Optimizer, Pipeline, Schedule, Stopping, Tensor};

const PIXELS: usize = 8 * 8;
const HIDDEN: usize = 64;
const DIGITS: usize = 10;
const EPOCHS: u64 = 30;
const BATCH: usize = 32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut rng = Rng::with_seed(0);
    let [mut train, validation, test] = load_digits(&mut rng);
    let mut network = Network { hidden: Linear::random(&mut rng), out: Linear::random(&mut rng) };

    let layout = Layout::new([
        ("hidden.weight", PIXELS * HIDDEN),
        ("hidden.bias", HIDDEN),
        ("out.weight", HIDDEN * DIGITS),
        ("out.bias", DIGITS),
    ])?;
    let is_bias = |name: &str| name.ends_with("bias");
    let weights = AdamW { lr: 1e-2, weight_decay: 0.1, ..AdamW::default() };
    let biases = AdamW { lr: weights.lr / 2.0, weight_decay: 0.0, ..weights };
    let (decayed, bare) = (layout.select(|name| !is_bias(name)), layout.select(is_bias));
    let groups = [Group::over(weights, decayed), Group::over(biases, bare)];
    let mut optimizer = Optimizer::with_groups(groups, layout)?;
    optimizer.set_ema(0.98)?;

    let batches = (train.len() / BATCH) as u64;
    let schedule = Schedule::cosine(weights.lr, (EPOCHS - 1) * batches).warmup(batches);
    schedule.check()?;
    let pipeline = Pipeline {
        scale: 1.0 / BATCH as f64, // the mean of what backpropagation has added up
        max_norm: Some(1.0),
        non_finite: NonFinite::Skip,
        measure_update: true,
        ..Pipeline::default()
    };
    let mut stopping = Stopping { patience: 3, tolerance: 1e-3, ..Stopping::default() };
    let (mut health, mut broken) = (Health::default(), None);

    for epoch in 1..=EPOCHS {
        rng.shuffle(&mut train);
        for batch in train.chunks_exact(BATCH) {
            batch.iter().for_each(|image| network.add_grads(image));
            if health.steps == 100 {
                // A fault on purpose. (`optimizer.steps()` would not count the step that is skipped for it.)
                network.out.weight_grad[7] = f32::NAN;
            }
            optimizer.set_lr(schedule.lr(optimizer.steps()))?; // biases keep to half of it
            let report = optimizer.step_with(&mut network.tensors(), &pipeline)?;
            health.record(&report);
            let first = report.first_non_finite();
            if let Some((tensor, place)) = first.and_then(|first| optimizer.layout().at(first)) {
                println!("A batch is skipped: the gradient of {tensor}[{place}] is not finite.");
                broken = Some((tensor.to_owned(), place));
            }
        }

        optimizer.swap_ema(&mut network.tensors())?; // the average of the weights in, to be judged,
        let (loss, _) = network.evaluate(&validation);
        optimizer.swap_ema(&mut network.tensors())?; // and out again, to go on
        let Health { clipped, skipped, .. } = health;
        let [norm, ratio] = [health.norm, health.update_ratio].map(Option::unwrap_or_default);
        println!(
            "epoch {epoch:>2}: loss {loss:.4}, norm {norm:.3}, moved {ratio:.4}, {clipped} clipped, {skipped} skipped"
        );
        if stopping.observe(loss) {
            println!("No progress for {} epochs.", stopping.waited);
            break;
        }
    }

    optimizer.swap_ema(&mut network.tensors())?; // for good: this is what has been trained
    let (_, accuracy) = network.evaluate(&test);
    println!("{:.1} % of the test's digits are read right.", 100.0 * accuracy);
    let found = (broken, health.skipped) == (Some(("out.weight".to_owned(), 7)), 1);
    if found && accuracy >= 0.94 { Ok(()) } else { Err("that is too few, or the NaN was not found".into()) }
}

type Image = ([f32; PIXELS], usize);

/// The 1797 images that ship with smartcore: to train on, to validate, and to test.
fn load_digits(rng: &mut Rng) -> [Vec<Image>; 3] {
    let dataset = smartcore::dataset::digits::load_dataset();
    let pixels = |row: &[f32]| std::array::from_fn(|i| row[i] / 16.0); // from 0..=16
    let rows = dataset.data.chunks_exact(PIXELS).zip(&dataset.target);
    let mut train: Vec<Image> = rows.map(|(row, &digit)| (pixels(row), digit as usize)).collect();
    rng.shuffle(&mut train);
    let test = train.split_off(train.len() * 4 / 5);
    let validation = train.split_off(train.len() * 3 / 4);
    [train, validation, test]
}

struct Network {
    hidden: Linear<PIXELS, HIDDEN>,
    out: Linear<HIDDEN, DIGITS>,
}

impl Network {
    /// In the order of the layout; an array on the stack, so that no step allocates.
    fn tensors(&mut self) -> [Tensor<'_>; 4] {
        let Self { hidden, out } = self;
        [
            Tensor::zeroing(&mut hidden.weight, &mut hidden.weight_grad).named("hidden.weight"),
            Tensor::zeroing(&mut hidden.bias, &mut hidden.bias_grad).named("hidden.bias"),
            Tensor::zeroing(&mut out.weight, &mut out.weight_grad).named("out.weight"),
            Tensor::zeroing(&mut out.bias, &mut out.bias_grad).named("out.bias"),
        ]
    }

    /// The hidden units, and the logarithms of the digits' probabilities.
    fn forward(&self, pixels: &[f32; PIXELS]) -> ([f32; HIDDEN], [f32; DIGITS]) {
        let hidden = self.hidden.forward(pixels).map(|unit| if unit < 0.0 { 0.0 } else { unit });
        let logits = self.out.forward(&hidden);
        let largest = logits[argmax(&logits)]; // taken off, so that `exp` cannot overflow
        let log_sum = logits.iter().map(|logit| (logit - largest).exp()).sum::<f32>().ln();
        (hidden, logits.map(|logit| logit - largest - log_sum))
    }

    /// Adds the gradients of an image's cross-entropy to those before.
    fn add_grads(&mut self, (pixels, digit): &Image) {
        let (hidden, log_probabilities) = self.forward(pixels);
        let mut logit_grads = log_probabilities.map(f32::exp);
        logit_grads[*digit] -= 1.0;
        let mut hidden_grads = self.out.backward(&hidden, &logit_grads);
        for (grad, unit) in hidden_grads.iter_mut().zip(hidden) {
            *grad = if unit > 0.0 { *grad } else { 0.0 };
        }
        self.hidden.backward(pixels, &hidden_grads);
    }

    /// The mean cross-entropy, and the share of images that are read right.
    fn evaluate(&self, images: &[Image]) -> (f64, f64) {
        let (mut loss, mut right) = (0.0, 0);
        for (pixels, digit) in images {
            let (_, log_probabilities) = self.forward(pixels);
            loss -= f64::from(log_probabilities[*digit]);
            right += usize::from(argmax(&log_probabilities) == *digit);
        }
        (loss / images.len() as f64, right as f64 / images.len() as f64)
    }
}

fn argmax(scores: &[f32; DIGITS]) -> usize {
    (0..DIGITS).max_by(|&a, &b| scores[a].total_cmp(&scores[b])).unwrap_or_default()
}

/// A layer with its gradients. Its weights are a matrix with a row for each input.
struct Linear<const INPUTS: usize, const OUTPUTS: usize> {
    weight: Vec<f32>,
    bias: Vec<f32>,
    weight_grad: Vec<f32>,
    bias_grad: Vec<f32>,
}

impl<const INPUTS: usize, const OUTPUTS: usize> Linear<INPUTS, OUTPUTS> {
    fn random(rng: &mut Rng) -> Self {
        let bound = (6.0 / INPUTS as f32).sqrt(); // He's initialization
        let weight: Vec<f32> = (0..INPUTS * OUTPUTS).map(|_| bound * (2.0 * rng.f32() - 1.0)).collect();
        let (weight_grad, zeros) = (vec![0.0; weight.len()], vec![0.0; OUTPUTS]);
        Self { weight, bias: zeros.clone(), weight_grad, bias_grad: zeros }
    }

    fn forward(&self, inputs: &[f32; INPUTS]) -> [f32; OUTPUTS] {
        let mut outputs = [0.0; OUTPUTS];
        outputs.copy_from_slice(&self.bias);
        for (input, row) in inputs.iter().zip(self.weight.chunks_exact(OUTPUTS)) {
            outputs.iter_mut().zip(row).for_each(|(output, weight)| *output += input * weight);
        }
        outputs
    }

    /// Adds to its gradients. Returns those of its inputs.
    fn backward(&mut self, inputs: &[f32; INPUTS], grads: &[f32; OUTPUTS]) -> [f32; INPUTS] {
        self.bias_grad.iter_mut().zip(grads).for_each(|(sum, grad)| *sum += grad);
        let rows = self.weight.chunks_exact(OUTPUTS).zip(self.weight_grad.chunks_exact_mut(OUTPUTS));
        let mut input_grads = [0.0; INPUTS];
        for ((input_grad, input), (row, sums)) in input_grads.iter_mut().zip(inputs).zip(rows) {
            *input_grad = row.iter().zip(grads).map(|(weight, grad)| weight * grad).sum();
            sums.iter_mut().zip(grads).for_each(|(sum, grad)| *sum += input * grad);
        }
        input_grads
    }
}
