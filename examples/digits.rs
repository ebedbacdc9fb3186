//! Trains a small neural network on real handwritten digits with every rule, and takes lanestep at its word.
//!
//! ```text
//! cargo run --release --example digits
//! ```
//!
//! All weights and biases are *one* flat slice, with gradients to match: that is all lanestep wants to know
//! of a model. Beside each optimizer, the scalar reference takes the same gradients to a copy of the
//! parameters. It shows what plain loops cost, and after training both must hold the same bits. `AdamW` is
//! then trained again at every SIMD level of this CPU, on one thread and over rayon, and must arrive at the
//! same bits again.
//!
//! Prints a table of the rules, and draws their losses to `target/digits.svg`.

use std::error::Error;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use lanestep::{Adam, AdamW, AnyRule, Level, Optimizer, Parallelism, RmsProp, Rule, Sgd};
use plotters::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const INPUTS: usize = 8 * 8;
const HIDDEN: usize = 256;
const CLASSES: usize = 10;

// A layer is a matrix with a row for each input, and a last row, the bias, for an input that is always 1.
const HIDDEN_LAYER: usize = (INPUTS + 1) * HIDDEN;
const OUTPUT_LAYER: usize = (HIDDEN + 1) * CLASSES;
const PARAMS: usize = HIDDEN_LAYER + OUTPUT_LAYER;

const EPOCHS: usize = 30;
const BATCH: usize = 32;
const SEED: u64 = 0;
const GOAL: f64 = 0.97;

// Beside the manifest, wherever cargo has been told to build.
const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");
const SVG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/digits.svg");

const PARALLELISMS: &[(&str, Parallelism)] = &[
    ("serial", Parallelism::Serial),
    // The default grain is larger than this whole network: no other thread would ever be woken.
    #[cfg(feature = "rayon")]
    ("rayon", Parallelism::Rayon { grain: 1 << 10 }),
];

/// Okabe and Ito's, which are told apart with any kind of color vision.
const COLORS: [RGBColor; 5] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
];

fn main() -> Result<()> {
    let digits = Digits::load();
    let sgd = Sgd { lr: 0.2, ..Sgd::default() };
    let nesterov = Sgd { lr: 0.05, momentum: 0.9, nesterov: true, ..Sgd::default() };
    let rmsprop = RmsProp { lr: 1e-3, ..RmsProp::default() };
    let adam = Adam { lr: 2e-3, ..Adam::default() };
    let adamw = AdamW { lr: 2e-3, weight_decay: 0.1, ..AdamW::default() };
    let runs = [
        train("SGD", optimizer(sgd)?, &digits)?,
        train("SGD, Nesterov", optimizer(nesterov)?, &digits)?,
        train("RMSprop", optimizer(rmsprop)?, &digits)?,
        train("Adam", optimizer(adam)?, &digits)?,
        train("AdamW", optimizer(adamw)?, &digits)?,
    ];
    print_table(&runs);

    let [.., trained] = &runs;
    retrain(adamw, &trained.params, &digits)?;
    draw_losses(&runs)?;
    println!("Losses: {SVG}");

    let accuracy = trained.test[EPOCHS].accuracy;
    if accuracy < GOAL {
        return Err(format!("AdamW reads only {:.2} % of the held-out digits right", 100.0 * accuracy).into());
    }
    Ok(())
}

/// Trains at every level, serial and parallel, and expects the same parameters each time.
fn retrain(rule: AdamW, expected: &[f32], digits: &Digits) -> Result<()> {
    let mut ways = Vec::new();
    for level in Level::available() {
        for &(threads, parallelism) in PARALLELISMS {
            let way = format!("{level} {threads}");
            let mut optimizer = optimizer(rule)?;
            optimizer.set_level(level);
            optimizer.set_parallelism(parallelism);
            let run = train(&format!("AdamW, {way}"), optimizer, digits)?;
            expect_same_bits(&run.name, &run.params, expected)?;
            ways.push(way);
        }
    }
    println!("AdamW arrives at the same bits with: {}", ways.join(", "));
    Ok(())
}

fn optimizer(rule: impl Into<AnyRule>) -> Result<Optimizer<AnyRule>> {
    Ok(Optimizer::new(rule.into(), PARAMS)?)
}

fn expect_same_bits(name: &str, found: &[f32], expected: &[f32]) -> Result<()> {
    if found.iter().map(|x| x.to_bits()).eq(expected.iter().map(|x| x.to_bits())) {
        Ok(())
    } else {
        Err(format!("{name}: the trained parameters are not the same bits").into())
    }
}

struct Image {
    pixels: [f32; INPUTS],
    digit: usize,
}

struct Digits {
    train: Vec<Image>,
    test: Vec<Image>,
}

impl Digits {
    /// The 1797 images that ship with smartcore, of which a random fifth is held out.
    fn load() -> Self {
        let dataset = smartcore::dataset::digits::load_dataset();
        let rows = dataset.data.chunks_exact(INPUTS);
        let image = |(row, &target): (&[f32], &f32)| Image {
            pixels: std::array::from_fn(|i| row[i] / 16.0), // from 0..=16
            digit: target as usize,
        };
        let mut test: Vec<Image> = rows.zip(&dataset.target).map(image).collect();
        fastrand::Rng::with_seed(SEED).shuffle(&mut test);
        let train = test.split_off(test.len() / 5);
        Self { train, test }
    }
}

/// He's initialization: activations keep their scale through the layers, although half are cut to zero.
fn initial_params(rng: &mut fastrand::Rng) -> Vec<f32> {
    let mut params = Vec::with_capacity(PARAMS);
    for (inputs, outputs) in [(INPUTS, HIDDEN), (HIDDEN, CLASSES)] {
        let bound = (6.0 / inputs as f32).sqrt();
        params.extend((0..inputs * outputs).map(|_| bound * (2.0 * rng.f32() - 1.0)));
        params.resize(params.len() + outputs, 0.0);
    }
    params
}

/// The outputs of a layer. Adding up whole rows, instead of one dot product for each output, lets the
/// compiler use vectors without changing the order of any sum.
fn dense(layer: &[f32], inputs: &[f32], outputs: &mut [f32]) {
    outputs.fill(0.0);
    for (row, input) in layer.chunks_exact(outputs.len()).zip(inputs.iter().chain(&[1.0])) {
        for (output, weight) in outputs.iter_mut().zip(row) {
            *output += input * weight;
        }
    }
}

/// Adds one image's gradient of a layer to `layer_grads`: the outer product of inputs and output gradients.
fn add_layer_grads(layer_grads: &mut [f32], inputs: &[f32], output_grads: &[f32]) {
    for (row, input) in layer_grads.chunks_exact_mut(output_grads.len()).zip(inputs.iter().chain(&[1.0])) {
        for (grad, output_grad) in row.iter_mut().zip(output_grads) {
            *grad += input * output_grad;
        }
    }
}

fn forward(params: &[f32], image: &Image) -> ([f32; HIDDEN], [f32; CLASSES]) {
    let (hidden_layer, output_layer) = params.split_at(HIDDEN_LAYER);
    let (mut hidden, mut logits) = ([0.0; HIDDEN], [0.0; CLASSES]);
    dense(hidden_layer, &image.pixels, &mut hidden);
    for unit in &mut hidden {
        if *unit < 0.0 {
            *unit = 0.0; // so that a NaN stays one, where `max` would hide it
        }
    }
    dense(output_layer, &hidden, &mut logits);
    (hidden, logits)
}

fn argmax(logits: &[f32; CLASSES]) -> usize {
    (0..CLASSES).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or_default()
}

/// The logarithms of the softmax. The largest logit is taken off so that `exp` cannot overflow, and a
/// probability too small for `f32` still has a logarithm.
fn log_softmax(logits: &[f32; CLASSES]) -> [f32; CLASSES] {
    let largest = logits[argmax(logits)];
    let log_sum = logits.iter().map(|logit| (logit - largest).exp()).sum::<f32>().ln();
    logits.map(|logit| logit - largest - log_sum)
}

/// The gradients of the mean cross-entropy over the batch.
fn backward(params: &[f32], batch: &[&Image], grads: &mut [f32]) {
    grads.fill(0.0);
    let (hidden_layer_grads, output_layer_grads) = grads.split_at_mut(HIDDEN_LAYER);
    for image in batch {
        let (hidden, logits) = forward(params, image);
        let mut logit_grads = log_softmax(&logits).map(f32::exp);
        logit_grads[image.digit] -= 1.0;
        let logit_grads = logit_grads.map(|grad| grad / batch.len() as f32);
        add_layer_grads(output_layer_grads, &hidden, &logit_grads);

        let mut hidden_grads = [0.0; HIDDEN];
        let rows = params[HIDDEN_LAYER..].chunks_exact(CLASSES);
        for ((grad, unit), row) in hidden_grads.iter_mut().zip(hidden).zip(rows) {
            if unit > 0.0 {
                *grad = row.iter().zip(logit_grads).map(|(weight, logit_grad)| weight * logit_grad).sum();
            }
        }
        add_layer_grads(hidden_layer_grads, &image.pixels, &hidden_grads);
    }
}

struct Score {
    loss: f64,
    accuracy: f64,
}

fn evaluate(params: &[f32], images: &[Image]) -> Score {
    let (mut loss, mut correct) = (0.0, 0);
    for image in images {
        let (_, logits) = forward(params, image);
        loss -= f64::from(log_softmax(&logits)[image.digit]);
        correct += usize::from(argmax(&logits) == image.digit);
    }
    Score { loss: loss / images.len() as f64, accuracy: correct as f64 / images.len() as f64 }
}

/// What became of one training.
struct Run {
    name: String,
    params: Vec<f32>,
    /// Before training, and after each epoch; so is `test`.
    train: Vec<Score>,
    test: Vec<Score>,
    reference_time: Duration,
    lanestep_time: Duration,
}

/// Trains from the same weights, on the same batches in the same order, whatever the optimizer. Only the time
/// within the optimizer is taken; its median, as another process may interrupt any step.
fn train(name: &str, mut optimizer: Optimizer<AnyRule>, digits: &Digits) -> Result<Run> {
    let rule = *optimizer.rule();
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut params = initial_params(&mut rng);
    let mut grads = vec![0.0; params.len()];
    let mut reference_params = params.clone();
    let mut reference_state = vec![vec![0.0; params.len()]; rule.slots().len()];
    let (mut reference_times, mut lanestep_times) = (Vec::new(), Vec::new());

    let mut shuffled: Vec<&Image> = digits.train.iter().collect();
    let mut train_scores = vec![evaluate(&params, &digits.train)];
    let mut test_scores = vec![evaluate(&params, &digits.test)];
    let bar = progress_bar(name)?;
    for _ in 0..EPOCHS {
        rng.shuffle(&mut shuffled);
        for batch in shuffled.chunks(BATCH) {
            backward(&params, batch, &mut grads);
            let start = Instant::now();
            optimizer.step(&mut params, &grads)?;
            lanestep_times.push(start.elapsed());
            let start = Instant::now();
            rule.reference(optimizer.steps(), &mut reference_params, &grads, &mut reference_state);
            reference_times.push(start.elapsed());
        }
        let score = evaluate(&params, &digits.train);
        bar.set_message(format!("loss {:.4}", score.loss));
        bar.inc(1);
        train_scores.push(score);
        test_scores.push(evaluate(&params, &digits.test));
    }
    bar.finish();
    expect_same_bits(name, &params, &reference_params)?;
    Ok(Run {
        name: name.into(),
        params,
        train: train_scores,
        test: test_scores,
        reference_time: median(reference_times),
        lanestep_time: median(lanestep_times),
    })
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn progress_bar(name: &str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{prefix:24} {bar:40} epoch {pos}/{len} {msg}")?;
    Ok(ProgressBar::new(EPOCHS as u64).with_style(style).with_prefix(name.to_owned()))
}

fn print_table(runs: &[Run]) {
    println!("                                                      ms per step in the optimizer");
    println!("rule             train loss   test loss   accuracy    reference    lanestep    ratio");
    for run in runs {
        let (train, test) = (&run.train[EPOCHS], &run.test[EPOCHS]);
        let [reference, lanestep] =
            [run.reference_time, run.lanestep_time].map(|time| 1e3 * time.as_secs_f64());
        println!(
            "{:<15}  {:>10.4}  {:>10.4}  {:>7.2} %  {reference:>11.5}  {lanestep:>10.5}  {:>7.1}",
            run.name,
            train.loss,
            test.loss,
            100.0 * test.accuracy,
            reference / lanestep,
        );
    }
}

fn draw_losses(runs: &[Run]) -> Result<()> {
    type Curve = fn(&Run) -> &[Score];
    let panels: [(&str, Curve); 2] =
        [("training images", |run| &run.train), ("held-out images", |run| &run.test)];
    let losses = runs.iter().flat_map(|run| run.train.iter().chain(&run.test)).map(|score| score.loss);
    let limits = losses.clone().fold(f64::INFINITY, f64::min)..losses.fold(0.0, f64::max);

    std::fs::create_dir_all(TARGET)?;
    let root = SVGBackend::new(SVG, (1200, 500)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (title, scores)) in root.split_evenly((1, 2)).iter().zip(panels) {
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0..EPOCHS, limits.clone().log_scale())?;
        chart
            .configure_mesh()
            .label_style(("sans-serif", 15))
            .x_desc("epoch")
            .y_desc("mean cross-entropy")
            .draw()?;
        for (run, color) in runs.iter().zip(COLORS) {
            let style = color.stroke_width(2);
            let losses = scores(run).iter().map(|score| score.loss).enumerate();
            chart
                .draw_series(LineSeries::new(losses, style))?
                .label(&run.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .label_font(("sans-serif", 16))
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
    }
    root.present()?;
    Ok(())
}
