//! A small network of ndarray's arrays learns handwritten digits, by AdamW as one writes it with `Zip`, and by lanestep's.
//!
//! ```text
//! cargo run --release -p lanestep-ndarray --example digits
//! ```
//!
//! Both see the same batches from the same start. Prints their losses, which agree to rounding, and what the steps took.

#![allow(
    clippy::disallowed_methods,
    reason = "the model is not the optimizer: its last bits may differ between platforms"
)]

mod zip;

use lanestep::{AdamW, Optimizer, Pipeline};
use lanestep_ndarray::tensors;
use ndarray::{Array2, ArrayD, Axis, Ix1, Ix2, s};
use std::error::Error;
use std::time::{Duration, Instant};
use zip::ZipAdamW;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const INPUTS: usize = 8 * 8;
const HIDDEN: usize = 256;
const CLASSES: usize = 10;
const BATCH: usize = 32;
const EPOCHS: usize = 20;
const LR: f64 = 2e-3;

/// The images that ship with smartcore, shuffled, and which digits they are.
fn digits() -> Result<(Array2<f32>, Vec<usize>)> {
    let dataset = smartcore::dataset::digits::load_dataset();
    let mut order: Vec<usize> = (0..dataset.target.len()).collect();
    fastrand::Rng::with_seed(0).shuffle(&mut order);
    let pixels: Vec<f32> = dataset.data.iter().map(|pixel| pixel / 16.0).collect();
    let images = Array2::from_shape_vec((order.len(), INPUTS), pixels)?.select(Axis(0), &order);
    Ok((images, order.iter().map(|&i| dataset.target[i] as usize).collect()))
}

/// Weights and biases of two layers.
fn network() -> Vec<ArrayD<f32>> {
    let rng = &mut fastrand::Rng::with_seed(1);
    let mut params = vec![];
    for (inputs, outputs) in [(INPUTS, HIDDEN), (HIDDEN, CLASSES)] {
        let bound = (6.0 / inputs as f32).sqrt();
        let mut weight = Array2::zeros((inputs, outputs));
        weight.mapv_inplace(|_: f32| bound * (2.0 * rng.f32() - 1.0));
        params.extend([weight.into_dyn(), ArrayD::zeros(vec![outputs])]);
    }
    params
}

/// The mean loss over a batch, and its gradients.
fn backward(params: &[ArrayD<f32>], x: &Array2<f32>, digits: &[usize]) -> Result<(f64, Vec<ArrayD<f32>>)> {
    let weight = |i: usize| params[i].view().into_dimensionality::<Ix2>();
    let bias = |i: usize| params[i].view().into_dimensionality::<Ix1>();
    let hidden = (x.dot(&weight(0)?) + bias(1)?).mapv_into(|h| if h < 0.0 { 0.0 } else { h });
    let mut d_logits = hidden.dot(&weight(2)?) + bias(3)?;
    let mut loss = 0.0;
    for (mut row, &digit) in d_logits.outer_iter_mut().zip(digits) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.mapv_inplace(|logit| (logit - largest).exp());
        let sum = row.sum();
        row /= sum;
        loss -= f64::from(row[digit].ln());
        row[digit] -= 1.0;
    }
    let count = digits.len() as f32;
    d_logits /= count;
    let mut d_hidden = d_logits.dot(&weight(2)?.t());
    d_hidden.zip_mut_with(&hidden, |d, &h| *d = if h > 0.0 { *d } else { 0.0 });
    let grads = [(x, &d_hidden), (&hidden, &d_logits)];
    let grads = grads.map(|(inputs, d)| [inputs.t().dot(d).into_dyn(), d.sum_axis(Axis(0)).into_dyn()]);
    Ok((loss / f64::from(count), grads.into_iter().flatten().collect()))
}

fn main() -> Result<()> {
    let (images, targets) = digits()?;
    let [mut params, mut plain] = [network(), network()];
    let len = params.iter().map(ArrayD::len).sum::<usize>();
    let mut optimizer = Optimizer::new(AdamW { lr: LR, ..AdamW::default() }, len)?;
    let mut zip = ZipAdamW::new(LR as f32, &plain);
    let mut times = [Duration::ZERO; 2];
    println!("{len} parameters\n\nepoch   loss with Zip   with lanestep");
    for epoch in 1..=EPOCHS {
        let mut losses = [0.0; 2];
        let batches = targets.len() / BATCH;
        for (i, digits) in targets.chunks_exact(BATCH).enumerate() {
            let x = images.slice(s![i * BATCH..(i + 1) * BATCH, ..]).to_owned();
            let (loss, grads) = backward(&plain, &x, digits)?;
            losses[0] += loss / batches as f64;
            let begun = Instant::now();
            zip.step(&mut plain, &grads, false);
            times[0] += begun.elapsed();

            let (loss, grads) = backward(&params, &x, digits)?;
            losses[1] += loss / batches as f64;
            let begun = Instant::now();
            let views = params.iter_mut().map(|p| p.view_mut());
            optimizer
                .step_with(&mut tensors(views, grads.iter().map(|g| g.view()))?, &Pipeline::default())?;
            times[1] += begun.elapsed();
        }
        if epoch == 1 || epoch % 5 == 0 {
            println!("{epoch:5} {:15.6} {:15.6}", losses[0], losses[1]);
        }
        let [a, b] = losses;
        assert!((a - b).abs() <= 0.05 * a + 1e-3, "the losses are {a} and {b}");
    }
    println!("\nall steps: {:.1?} with Zip, {:.1?} with lanestep, on one thread each", times[0], times[1]);
    Ok(())
}
