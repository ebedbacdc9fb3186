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

#[path = "models/digits.rs"]
mod model;

use std::error::Error;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use lanestep::{Adam, AdamW, AnyRule, Level, Optimizer, Parallelism, RmsProp, Rule, Sgd};
use model::{Digits, Image, PARAMS, Score, backward, evaluate, initial_params};
use plotters::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

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
