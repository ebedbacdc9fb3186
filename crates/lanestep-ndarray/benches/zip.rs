//! AdamW over arrays, beside the same written with ndarray's own `Zip`, on one thread and over rayon.
//!
//! `cargo bench -p lanestep-ndarray` takes half a minute and 300 MB. The arrays are matrices of 512 by 512, 10 million parameters in all, or
//! 10,000 vectors of 16. All of a size are timed in turns. Ratios are of medians; in parentheses are the least and the largest of a
//! round. Once, the results are compared, to the rounding of another order of operations.

#[path = "../examples/digits/zip.rs"]
mod zip;

use lanestep::{AdamW, Optimizer, Parallelism, Pipeline};
use lanestep_ndarray::tensors;
use ndarray::{ArrayD, IxDyn};
use std::time::Instant;
use zip::ZipAdamW;

const LR: f64 = 1e-3;

/// Parameters and gradients.
type Step = Box<dyn FnMut(&mut [ArrayD<f32>], &[ArrayD<f32>])>;

/// What is timed, with arrays of its own.
struct Row {
    name: &'static str,
    params: Vec<ArrayD<f32>>,
    step: Step,
    times: Vec<f64>,
}

fn rows(params: &[ArrayD<f32>]) -> [Row; 4] {
    let zip = |parallel| {
        let mut zip = ZipAdamW::new(LR as f32, params);
        move |params: &mut [ArrayD<f32>], grads: &[ArrayD<f32>]| zip.step(params, grads, parallel)
    };
    let own = |parallelism| {
        let len = params.iter().map(ArrayD::len).sum::<usize>();
        let mut optimizer = Optimizer::new(AdamW { lr: LR, ..AdamW::default() }, len).expect("memory");
        optimizer.set_parallelism(parallelism);
        move |params: &mut [ArrayD<f32>], grads: &[ArrayD<f32>]| {
            let list = tensors(params.iter_mut().map(|p| p.view_mut()), grads.iter().map(|g| g.view()));
            optimizer.step_with(&mut list.expect("pairs"), &Pipeline::default()).expect("its parameters");
        }
    };
    let row = |name, step| Row { name, params: params.to_vec(), step, times: vec![] };
    [
        row("Zip::for_each", Box::new(zip(false))),
        row("lanestep, one thread", Box::new(own(Parallelism::Serial))),
        row("Zip::par_for_each", Box::new(zip(true))),
        row("lanestep", Box::new(own(Parallelism::default()))),
    ]
}

fn check(rows: &[Row]) {
    for row in &rows[1..] {
        let pairs = row.params.iter().flatten().zip(rows[0].params.iter().flatten());
        for (found, expected) in pairs {
            assert!((found - expected).abs() < 1e-6, "{}: {found}, but Zip has {expected}", row.name);
        }
    }
}

fn size(name: &str, count: usize, shape: &[usize], rounds: usize) {
    let rng = &mut fastrand::Rng::with_seed(1);
    let mut arrays = || -> Vec<ArrayD<f32>> {
        let mut array = || ArrayD::from_shape_simple_fn(IxDyn(shape), || rng.f32() - 0.5);
        (0..count).map(|_| array()).collect()
    };
    let (params, grads) = (arrays(), arrays());
    let mut rows = rows(&params);
    // The first round does not count: memory is new to the machine.
    for round in 0..=rounds {
        for row in &mut rows {
            let start = Instant::now();
            (row.step)(&mut row.params, &grads);
            row.times.push(start.elapsed().as_secs_f64());
        }
        if round == 0 {
            check(&rows);
            rows.iter_mut().for_each(|row| row.times.clear());
        }
    }
    if rounds == 0 {
        return;
    }
    println!("{name}");
    for row in &rows {
        let median = |times: &mut Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let mut ratios: Vec<f64> =
            rows[3].times.iter().zip(&row.times).map(|(own, time)| time / own).collect();
        let time = median(&mut row.times.clone()) * 1e9 / (grads.len() * grads[0].len()) as f64;
        let ratio = median(&mut ratios);
        let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
        println!(
            "  {:22} {time:6.2} ns a parameter, {ratio:5.2} ({least:.2} to {most:.2}) x lanestep's",
            row.name
        );
    }
}

fn main() {
    let asked: Vec<String> = std::env::args().collect();
    if asked.iter().any(|arg| arg == "--test") || !asked.iter().any(|arg| arg == "--bench") {
        return [(3, &[8, 8][..]), (20, &[3][..])]
            .iter()
            .for_each(|&(count, shape)| size("test", count, shape, 0));
    }
    size("40 matrices of 512 x 512", 40, &[512, 512], 31);
    size("10,000 vectors of 16", 10_000, &[16], 301);
}
