//! Trains an LSTM to write like Cicero, twice, at a learning rate that only works with clipped gradients.
//!
//! ```text
//! cargo run --release --example lstm
//! ```
//!
//! The loss of a recurrent network has cliffs, as backpropagation through time multiplies by the same weights
//! at every character. A few plain steps at this learning rate lead to one: the norm of the gradient goes from
//! 0.3 to 1000, and a step as long as that throws the weights so far that training does not come back. Clipping
//! by the global norm shortens such a step and keeps its direction
//! ([Pascanu, Mikolov & Bengio](https://arxiv.org/abs/1211.5063)). Both runs start from the same weights and see
//! the same batches. The learning rate and the bound are the defaults of PyTorch's example of a word language
//! model, which takes plain SGD steps, too. A learning rate of 4 needs no clipping here, but has learned less by
//! the same step.
//!
//! All weights are *one* flat slice, with gradients to match. These are first checked against finite
//! differences of an LSTM written a second time, in `f64` and without any tricks.
//!
//! Prints a table and what the trained model writes, and draws losses and norms to `target/lstm.svg`.

#![allow(
    clippy::disallowed_methods,
    reason = "the model is not the optimizer: its last bits may differ between platforms"
)]

#[path = "models/lstm.rs"]
mod model;

use std::error::Error;

use indicatif::{ProgressBar, ProgressStyle};
use lanestep::{Optimizer, Pipeline, Sgd, Tensor};
use model::{Lstm, Text, WINDOW};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// A value to compare with, and its name.
type Mark = (&'static str, f64);
type Result<T> = std::result::Result<T, Box<dyn Error>>;

const HIDDEN: usize = 128;
const BATCH: usize = 8;
const STEPS: usize = 800;
const SEED: u64 = 0;

const LR: f64 = 20.0;
const MAX_NORM: f64 = 0.25;

// The share of the loss of guessing by frequency that must not be left after training.
const GOAL: f64 = 0.6;

// Beside the manifest, wherever cargo has been told to build.
const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");
const SVG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/lstm.svg");

// Okabe and Ito's, which are told apart with any kind of color vision.
const VERMILION: RGBColor = RGBColor(213, 94, 0);
const BLUE: RGBColor = RGBColor(0, 114, 178);

fn main() -> Result<()> {
    check_gradients()?;
    let text = Text::load();
    let lstm = Lstm { vocab: text.alphabet.len(), hidden: HIDDEN };
    let baselines = [("uniform", uniform_loss(&text)), ("frequencies", frequency_loss(&text))];
    let [(_, uniform), (_, frequency)] = baselines;

    let unclipped = train("not clipped", None, &lstm, &text)?;
    let clipped = train(&format!("clipped to {MAX_NORM}"), Some(MAX_NORM), &lstm, &text)?;
    let runs = [&unclipped, &clipped];
    print_table(&runs, &baselines);
    println!("\nThe clipped model writes:\n{}", generate(&lstm, &clipped.params, &text, 480));
    draw(&runs, &baselines)?;
    println!("Losses and norms: {SVG}");

    let learned = clipped.train_loss < GOAL * frequency;
    if !learned {
        return Err(format!("the clipped run has only come to a loss of {:.3}", clipped.train_loss).into());
    }
    if let Some(step) = clipped.exploded_after(uniform) {
        return Err(format!("the clipped run has exploded after {step} steps").into());
    }
    if unclipped.exploded_after(uniform).is_none() {
        return Err("the run that is not clipped has not exploded".into());
    }
    Ok(())
}

/// The loss of a model that knows no more than the alphabet.
fn uniform_loss(text: &Text) -> f64 {
    (text.alphabet.len() as f64).ln()
}

/// The loss of the best model that does not look at what came before: the entropy of the characters.
fn frequency_loss(text: &Text) -> f64 {
    let mut counts = vec![0_u32; text.alphabet.len()];
    for &char in &text.train {
        counts[char] += 1;
    }
    let shares = counts.iter().map(|&count| f64::from(count) / text.train.len() as f64);
    shares.filter(|&share| share > 0.0).map(|share| -share * share.ln()).sum()
}

/// The same loss as of [`Lstm::add_grads`], from the equations of the cell as they are printed.
fn reference_loss(lstm: &Lstm, params: &[f64], window: &[usize]) -> f64 {
    let &Lstm { vocab, hidden: units } = lstm;
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let (mut cell, mut hidden) = (vec![0.0; units], vec![0.0; units]);
    let mut loss = 0.0;
    for pair in window.windows(2) {
        let before = hidden.clone();
        for unit in 0..units {
            let [i, f, o, g] = [0, 1, 2, 3].map(|gate| {
                let weight = |row: usize| params[row * 4 * units + 4 * unit + gate];
                let recurrent: f64 = (0..units).map(|other| weight(vocab + other) * before[other]).sum();
                weight(pair[0]) + recurrent + weight(vocab + units)
            });
            cell[unit] = sigmoid(f) * cell[unit] + sigmoid(i) * g.tanh();
            hidden[unit] = sigmoid(o) * cell[unit].tanh();
        }
        let logit = |char: usize| {
            let weight = |row: usize| params[lstm.gates_len() + row * vocab + char];
            (0..units).map(|unit| weight(unit) * hidden[unit]).sum::<f64>() + weight(units)
        };
        loss += (0..vocab).map(|char| logit(char).exp()).sum::<f64>().ln() - logit(pair[1]);
    }
    loss
}

/// Backpropagation against central differences, for every parameter of a network small enough for that.
fn check_gradients() -> Result<()> {
    const H: f64 = 1e-5;
    const TOLERANCE: f64 = 1e-5;
    let lstm = Lstm { vocab: 5, hidden: 11 };
    let mut rng = fastrand::Rng::with_seed(SEED);
    let params: Vec<f32> = (0..lstm.len()).map(|_| 2.0 * rng.f32() - 1.0).collect();
    let window: Vec<usize> = (0..20).map(|_| rng.usize(..lstm.vocab)).collect();
    let mut grads = vec![0.0; lstm.len()];
    lstm.add_grads(&params, &window, &mut grads);

    let mut params: Vec<f64> = params.iter().copied().map(f64::from).collect();
    let (mut errors, mut squares) = (0.0, 0.0); // sums of squares, which no NaN gets past
    for (index, &grad) in grads.iter().enumerate() {
        let param = params[index];
        let [above, below] = [param + H, param - H].map(|moved| {
            params[index] = moved;
            reference_loss(&lstm, &params, &window)
        });
        params[index] = param;
        let difference = (above - below) / (2.0 * H);
        errors += (f64::from(grad) - difference).powi(2);
        squares += difference.powi(2);
    }
    let error = (errors / squares).sqrt();
    println!("The gradient is within {error:.1e} of finite differences, relative to its norm");
    if error < TOLERANCE { Ok(()) } else { Err("backpropagation is wrong".into()) }
}

/// What became of one training.
struct Run {
    name: String,
    params: Vec<f32>,
    /// Of each step's batch; so is `norms`, the gradient's before clipping.
    losses: Vec<f64>,
    norms: Vec<f64>,
    clipped_steps: usize,
    train_loss: f64,
    test_loss: f64,
}

impl Run {
    /// After how many steps the loss was twice that of blind guessing for the first time, or not a number.
    fn exploded_after(&self, uniform_loss: f64) -> Option<usize> {
        let tame = |&loss: &f64| loss < 2.0 * uniform_loss;
        self.losses.iter().position(|loss| !tame(loss))
    }
}

/// Trains from the same weights on the same batches, whatever the bound.
fn train(name: &str, max_norm: Option<f64>, lstm: &Lstm, text: &Text) -> Result<Run> {
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut params = lstm.initial_params(&mut rng);
    let mut grads = vec![0.0; lstm.len()];
    let mut optimizer = Optimizer::new(Sgd { lr: LR, ..Sgd::default() }, lstm.len())?;
    // The loss is a sum over characters: the scale makes it the mean. A bound of infinity only measures.
    let scale = 1.0 / (BATCH * WINDOW) as f64;
    let pipeline = Pipeline { scale, max_norm, measure_grads: true, ..Pipeline::default() };
    let (mut losses, mut norms, mut clipped_steps) = (Vec::new(), Vec::new(), 0);

    let bar = progress_bar(name)?;
    for _ in 0..STEPS {
        grads.fill(0.0);
        let mut loss = 0.0;
        for _ in 0..BATCH {
            let start = rng.usize(..text.train.len() - WINDOW);
            let window = &text.train[start..=start + WINDOW];
            loss += lstm.add_grads(&params, window, &mut grads);
        }
        let report = optimizer.step_with(&mut [Tensor::new(&mut params, &grads)], &pipeline)?;
        losses.push(pipeline.scale * loss);
        norms.extend(report.grads.map(|grads| grads.norm));
        clipped_steps += usize::from(report.clip_factor < 1.0);
        bar.set_message(format!("loss {:.3}", losses[losses.len() - 1]));
        bar.inc(1);
    }
    bar.finish();
    let (train_loss, test_loss) = (lstm.evaluate(&params, &text.train), lstm.evaluate(&params, &text.test));
    Ok(Run { name: name.into(), params, losses, norms, clipped_steps, train_loss, test_loss })
}

/// Draws one character after the other from the model's own distribution, and lets it read what it wrote.
fn generate(lstm: &Lstm, params: &[f32], text: &Text, length: usize) -> String {
    let mut rng = fastrand::Rng::with_seed(SEED);
    let (mut state, mut char) = (lstm.blank(), text.train[0]);
    let (mut written, mut column) = (String::from("    "), 0);
    for _ in 0..length {
        column += 1;
        match text.alphabet[char] {
            ' ' if column > 90 => {
                written.push_str("\n    ");
                column = 0;
            }
            char => written.push(char),
        }
        let moment = lstm.read(params, &state, char);
        let mut rest = rng.f32();
        let drawn = moment.log_probs.iter().position(|log_prob| {
            rest -= log_prob.exp();
            rest < 0.0
        });
        char = drawn.unwrap_or(char); // rounding may leave a rest
        state = moment.state;
    }
    written
}

fn progress_bar(name: &str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{prefix:16} {bar:40} step {pos}/{len} {msg}")?;
    Ok(ProgressBar::new(STEPS as u64).with_style(style).with_prefix(name.to_owned()))
}

fn print_table(runs: &[&Run], baselines: &[Mark]) {
    let bits = |loss: f64| loss / std::f64::consts::LN_2;
    let uniform = baselines[0].1;
    println!(
        "                 training text            held out             largest     clipped    exploded after"
    );
    println!(
        "run                loss  bits/char     loss  bits/char   gradient norm       steps             steps"
    );
    for run in runs {
        println!(
            "{:<15} {:>7.3}  {:>9.3}  {:>7.3}  {:>9.3}  {:>14.1e}  {:>10}  {:>16}",
            run.name,
            run.train_loss,
            bits(run.train_loss),
            run.test_loss,
            bits(run.test_loss),
            run.norms.iter().copied().fold(0.0, f64::max),
            run.clipped_steps,
            run.exploded_after(uniform).map_or("never".into(), |step| step.to_string()),
        );
    }
    for (name, loss) in baselines {
        println!("{name:<15} {loss:>7.3}  {:>9.3}", bits(*loss));
    }
}

/// Losses and norms over the steps, on logarithmic scales, with a gray line for what to compare them with.
fn draw(runs: &[&Run], baselines: &[Mark]) -> Result<()> {
    type Curve = fn(&Run) -> &[f64];
    let bound = [("the bound", MAX_NORM)];
    let panels: [(&str, Curve, &[Mark]); 2] = [
        ("mean cross-entropy of the batch", |run| &run.losses, baselines),
        ("norm of the gradient before clipping", |run| &run.norms, &bound),
    ];
    std::fs::create_dir_all(TARGET)?;
    let root = SVGBackend::new(SVG, (1200, 500)).into_drawing_area();
    root.fill(&WHITE)?;
    for (area, (title, curve, lines)) in root.split_evenly((1, 2)).iter().zip(panels) {
        let values = runs.iter().flat_map(|run| curve(run)).copied().filter(|value| value.is_finite());
        let limits = values.clone().fold(f64::INFINITY, f64::min)..values.fold(0.0, f64::max);
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 20))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d(0..STEPS, limits.log_scale())?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .label_style(("sans-serif", 15))
            .x_desc("step")
            .draw()?;
        for (run, color) in runs.iter().zip([VERMILION, BLUE]) {
            let points = curve(run).iter().copied().enumerate().filter(|(_, value)| value.is_finite());
            chart
                .draw_series(LineSeries::new(points, color))?
                .label(&run.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
        }
        for &(name, value) in lines {
            chart.draw_series(LineSeries::new([(0, value), (STEPS, value)], BLACK.mix(0.5)))?;
            let above = Pos::new(HPos::Right, VPos::Bottom);
            let style = ("sans-serif", 15).into_font().color(&BLACK).pos(above);
            chart.draw_series([plotters::element::Text::new(name, (STEPS, value), style)])?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::MiddleRight)
            .label_font(("sans-serif", 16))
            .background_style(WHITE)
            .border_style(BLACK)
            .draw()?;
    }
    root.present()?;
    Ok(())
}
