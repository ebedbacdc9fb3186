//! Races the optimizers to a minimum that is known exactly: least squares on real measurements of patients.
//!
//! ```text
//! cargo run --release --example linear_regression
//! ```
//!
//! Ten measurements are to predict how far a patient's diabetes will have progressed a year later
//! ([Efron, Hastie, Johnstone & Tibshirani](https://doi.org/10.1214/009053604000000067)). Weights and intercept
//! are *one* flat slice. The loss is a quadratic bowl, and long: some of the blood values nearly repeat others.
//! Where its bottom is, the normal equations say, in `f64`. Every rule starts from zero, sees the exact gradient
//! of all patients, and is shown at the learning rate of a grid that brings it near the minimum first. `AdamW`
//! never arrives: its weight decay keeps every parameter within `1 / weight_decay`, here 100
//! ([Xie & Li](https://arxiv.org/abs/2404.04454)), and the intercept would be 152.
//!
//! Prints a table of the rules, and draws how far above the minimum they are to `target/linear_regression.svg`.

#![allow(
    clippy::disallowed_methods,
    reason = "the model is not the optimizer: its last bits may differ between platforms"
)]

use std::error::Error;

use indicatif::{ProgressBar, ProgressStyle};
use lanestep::{Adam, AdamW, AnyRule, Optimizer, RmsProp, Rule, Sgd};
use plotters::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const FEATURES: usize = 10;
const PARAMS: usize = FEATURES + 1; // the last is the intercept, the weight of an input that is always 1

const STEPS: usize = 4000;
const LRS: [f64; 13] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0];

// Gaps are relative: a mean squared error of `(1 + gap)` times the least.
const NEAR: f64 = 1e-3;
const GOAL: f64 = 1e-10;
const GOAL_DISTANCE: f64 = 1e-5;

// Beside the manifest, wherever cargo has been told to build.
const TARGET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target");
const SVG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/linear_regression.svg");

/// Okabe and Ito's, which are told apart with any kind of color vision.
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
];

fn main() -> Result<()> {
    let patients = Patients::load();
    let minimum = Minimum::find(&patients)?;
    println!(
        "The least mean squared error is {:.4}, of a variance of {:.4}",
        minimum.loss,
        patients.variance()
    );

    let heavy_ball = Sgd { momentum: 0.9, ..Sgd::default() };
    let nesterov = Sgd { nesterov: true, ..heavy_ball };
    let runs = [
        race("SGD", Sgd::default(), &patients, &minimum)?,
        race("SGD, momentum", heavy_ball, &patients, &minimum)?,
        race("SGD, Nesterov", nesterov, &patients, &minimum)?,
        race("RMSprop", RmsProp::default(), &patients, &minimum)?,
        race("Adam", Adam::default(), &patients, &minimum)?,
        race("AdamW", AdamW::default(), &patients, &minimum)?,
    ];
    print_table(&runs);
    draw_gaps(&runs)?;
    println!("Gaps to the minimum: {SVG}");

    let best = runs.iter().min_by(|a, b| a.last_gap().total_cmp(&b.last_gap())).ok_or("nobody has run")?;
    println!("{} comes closest; its parameters, and the solution of the normal equations:", best.name);
    for ((name, param), exact) in patients.names.iter().zip(&best.params).zip(minimum.params) {
        println!("{name:>10} {param:>12.5} {exact:>12.5}");
    }
    if best.last_gap() < GOAL && best.distance < GOAL_DISTANCE {
        Ok(())
    } else {
        Err(format!("no rule comes within {GOAL} of the loss and {GOAL_DISTANCE} of the parameters").into())
    }
}

struct Patients {
    /// Standardized, and then 1.
    inputs: Vec<[f64; PARAMS]>,
    progression: Vec<f64>,
    names: Vec<String>,
}

impl Patients {
    /// The 442 patients that ship with smartcore.
    fn load() -> Self {
        let dataset = smartcore::dataset::diabetes::load_dataset();
        let rows = dataset.data.chunks_exact(FEATURES);
        let mut inputs: Vec<[f64; PARAMS]> =
            rows.map(|row| std::array::from_fn(|i| row.get(i).map_or(1.0, |&x| f64::from(x)))).collect();
        for feature in 0..FEATURES {
            standardize(&mut inputs, feature);
        }
        let progression = dataset.target.into_iter().map(f64::from).collect();
        let names = dataset.feature_names.into_iter().chain(["intercept".into()]).collect();
        Self { inputs, progression, names }
    }

    const fn len(&self) -> f64 {
        self.progression.len() as f64
    }

    fn variance(&self) -> f64 {
        let mean = self.progression.iter().sum::<f64>() / self.len();
        self.progression.iter().map(|y| (y - mean) * (y - mean)).sum::<f64>() / self.len()
    }

    /// The gradients of the mean squared error, rounded to `f32` only at the end: whatever keeps a rule from
    /// the minimum is its own doing.
    fn backward(&self, params: &[f32], grads: &mut [f32]) {
        let params: [f64; PARAMS] = std::array::from_fn(|i| f64::from(params[i]));
        let mut sums = [0.0; PARAMS];
        for (input, y) in self.inputs.iter().zip(&self.progression) {
            let residual = dot(input, &params) - y;
            for (sum, x) in sums.iter_mut().zip(input) {
                *sum += residual * x;
            }
        }
        for (grad, sum) in grads.iter_mut().zip(sums) {
            *grad = (2.0 * sum / self.len()) as f32;
        }
    }
}

/// To a mean of 0 and a variance of 1: age in years and cholesterol in mg/dl would make the bowl far longer.
fn standardize(inputs: &mut [[f64; PARAMS]], feature: usize) {
    let len = inputs.len() as f64;
    let mean = inputs.iter().map(|input| input[feature]).sum::<f64>() / len;
    let variance = inputs.iter().map(|input| (input[feature] - mean).powi(2)).sum::<f64>() / len;
    for input in inputs {
        input[feature] = (input[feature] - mean) / variance.sqrt();
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The bottom of the bowl.
struct Minimum {
    params: [f64; PARAMS],
    loss: f64,
    /// The mean of the outer products of inputs, half of the loss's second derivative.
    curvature: [[f64; PARAMS]; PARAMS],
}

impl Minimum {
    /// Solves the normal equations.
    fn find(patients: &Patients) -> Result<Self> {
        let mut curvature = [[0.0; PARAMS]; PARAMS];
        let mut moments = [0.0; PARAMS];
        for (input, y) in patients.inputs.iter().zip(&patients.progression) {
            for ((row, moment), x) in curvature.iter_mut().zip(&mut moments).zip(input) {
                *moment += x * y / patients.len();
                for (sum, other) in row.iter_mut().zip(input) {
                    *sum += x * other / patients.len();
                }
            }
        }
        let params = solve(&curvature, &moments).ok_or("the features depend on each other")?;
        let errors = patients.inputs.iter().zip(&patients.progression).map(|(x, y)| dot(x, &params) - y);
        let loss = errors.map(|error| error * error).sum::<f64>() / patients.len();
        Ok(Self { params, loss, curvature })
    }

    fn away(&self, params: &[f32]) -> [f64; PARAMS] {
        std::array::from_fn(|i| f64::from(params[i]) - self.params[i])
    }

    /// How much larger the loss is, relative to the least. In a bowl that depends only on how far away the
    /// parameters are, so that nothing is lost in the difference of two losses that are nearly the same.
    fn gap(&self, params: &[f32]) -> f64 {
        let away = self.away(params);
        self.curvature.iter().zip(away).map(|(row, x)| x * dot(row, &away)).sum::<f64>() / self.loss
    }

    fn distance(&self, params: &[f32]) -> f64 {
        let norm = |x: &[f64]| dot(x, x).sqrt();
        norm(&self.away(params)) / norm(&self.params)
    }
}

/// Solves `a x = b` by Cholesky's decomposition `a = l l'`; `None` if `a` is not positive definite.
fn solve(a: &[[f64; PARAMS]; PARAMS], b: &[f64; PARAMS]) -> Option<[f64; PARAMS]> {
    let mut l = [[0.0; PARAMS]; PARAMS];
    for i in 0..PARAMS {
        for j in 0..=i {
            let rest = a[i][j] - dot(&l[i][..j], &l[j][..j]);
            l[i][j] = if i == j { rest.sqrt() } else { rest / l[j][j] };
        }
        if !l[i][i].is_normal() {
            return None;
        }
    }
    let mut x = *b;
    for i in 0..PARAMS {
        x[i] = (x[i] - dot(&l[i][..i], &x[..i])) / l[i][i];
    }
    for i in (0..PARAMS).rev() {
        let known: f64 = (i + 1..PARAMS).map(|j| l[j][i] * x[j]).sum();
        x[i] = (x[i] - known) / l[i][i];
    }
    Some(x)
}

/// What became of one descent.
struct Run {
    name: String,
    lr: f64,
    params: Vec<f32>,
    /// Before the first step, and after each.
    gaps: Vec<f64>,
    distance: f64,
}

impl Run {
    /// The step from which on the gap is small and stays so.
    fn steps_until_near(&self) -> Option<usize> {
        let steps = self.gaps.iter().rposition(|&gap| !matches!(gap, ..NEAR)).map_or(0, |last| last + 1);
        (steps < self.gaps.len()).then_some(steps)
    }

    fn last_gap(&self) -> f64 {
        self.gaps[self.gaps.len() - 1]
    }
}

/// The descent that comes near first, of one for each learning rate.
fn race(name: &str, rule: impl Into<AnyRule>, patients: &Patients, minimum: &Minimum) -> Result<Run> {
    let rule = rule.into();
    let bar = progress_bar(name)?;
    let mut runs = Vec::new();
    for lr in LRS {
        bar.set_message(format!("lr {lr}"));
        let mut rule = rule;
        rule.set_lr(lr);
        runs.push(descend(name, rule, patients, minimum)?);
        bar.inc(1);
    }
    bar.finish();
    let steps = |run: &Run| run.steps_until_near().unwrap_or(usize::MAX);
    let first =
        runs.into_iter().min_by(|a, b| steps(a).cmp(&steps(b)).then(a.last_gap().total_cmp(&b.last_gap())));
    Ok(first.ok_or("no learning rates")?)
}

fn descend(name: &str, rule: AnyRule, patients: &Patients, minimum: &Minimum) -> Result<Run> {
    let mut optimizer = Optimizer::new(rule, PARAMS)?;
    let mut params = vec![0.0; PARAMS];
    let mut grads = vec![0.0; PARAMS];
    let mut gaps = vec![minimum.gap(&params)];
    for _ in 0..STEPS {
        patients.backward(&params, &mut grads);
        optimizer.step(&mut params, &grads)?;
        gaps.push(minimum.gap(&params));
    }
    let distance = minimum.distance(&params);
    Ok(Run { name: name.into(), lr: optimizer.lr(), params, gaps, distance })
}

fn progress_bar(name: &str) -> Result<ProgressBar> {
    let style = ProgressStyle::with_template("{prefix:16} {bar:40} run {pos}/{len} {msg}")?;
    Ok(ProgressBar::new(LRS.len() as u64).with_style(style).with_prefix(name.to_owned()))
}

fn print_table(runs: &[Run]) {
    println!("                              steps until gap              after {STEPS} steps");
    println!("rule               best lr    stays under {NEAR}         gap    distance of parameters");
    for run in runs {
        println!(
            "{:<15}  {:>9}  {:>18}  {:>10.1e}  {:>24.1e}",
            run.name,
            run.lr,
            run.steps_until_near().map_or("never".into(), |steps| steps.to_string()),
            run.last_gap(),
            run.distance,
        );
    }
}

/// Both scales logarithmic, and not deeper than the goal: further down, rounding flickers.
fn draw_gaps(runs: &[Run]) -> Result<()> {
    let highest = runs.iter().flat_map(|run| &run.gaps).copied().fold(GOAL, f64::max);
    std::fs::create_dir_all(TARGET)?;
    let root = SVGBackend::new(SVG, (1000, 600)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(20)
        .x_label_area_size(44)
        .y_label_area_size(80)
        .build_cartesian_2d((1..STEPS).log_scale(), (GOAL..highest).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .label_style(("sans-serif", 15))
        .y_label_formatter(&|gap| format!("{gap:.0e}"))
        .x_desc("step")
        .y_desc("loss above the minimum, relative to it")
        .draw()?;
    for (run, color) in runs.iter().zip(COLORS) {
        let style = color.stroke_width(2);
        let points = run.gaps.iter().copied().enumerate().skip(1).filter(|&(_, gap)| gap > GOAL);
        chart
            .draw_series(LineSeries::new(points, style))?
            .label(format!("{}, lr {}", run.name, run.lr))
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerLeft)
        .label_font(("sans-serif", 16))
        .background_style(WHITE)
        .border_style(BLACK)
        .draw()?;
    root.present()?;
    Ok(())
}
