//! Trains a small network on real handwritten digits, once with candle's AdamW and once, with one line changed, with lanestep's.
//!
//! ```text
//! cargo run --release -p lanestep-candle --example digits
//! ```
//!
//! Prints the losses and what the optimizers have taken: the curves are the same to rounding.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::{Module, Optimizer, ParamsAdamW, Sequential, VarBuilder, VarMap, linear, loss, seq};
use lanestep_candle::lanestep;
use std::time::{Duration, Instant};

const EPOCHS: usize = 5;
const BATCH: usize = 32;
const PIXELS: usize = 8 * 8;
const HIDDEN: usize = 256;
const CLASSES: usize = 10;

fn main() -> Result<()> {
    let digits = Digits::load()?;
    let (lr, weight_decay) = (5e-4, 0.1);
    let theirs = train(&digits, |vars| {
        candle_nn::AdamW::new(vars.all_vars(), ParamsAdamW { lr, weight_decay, ..Default::default() })
    })?;
    let ours = train(&digits, |vars| {
        lanestep_candle::AdamW::new(
            vars.all_vars(),
            lanestep::AdamW { lr, weight_decay, ..Default::default() },
        )
    })?;

    println!("epoch   candle's loss   lanestep's loss");
    for (epoch, (theirs, ours)) in theirs.losses.iter().zip(&ours.losses).enumerate() {
        println!("{epoch:>5}   {theirs:>13.6}   {ours:>15.6}");
    }
    println!("held out: {:.2} % and {:.2} % are read right", 100.0 * theirs.accuracy, 100.0 * ours.accuracy);
    let ratio = theirs.time.as_secs_f64() / ours.time.as_secs_f64();
    println!("in the optimizer, a step: {:.1?} and {:.1?}, {ratio:.1} x", theirs.time, ours.time);

    let apart = theirs.losses.iter().zip(&ours.losses).any(|(a, b)| (a - b).abs() > 0.02 * a);
    if apart || ours.accuracy < 0.95 {
        return Err(candle_core::Error::Msg("the curves are not the same".into()));
    }
    Ok(())
}

struct Run {
    /// Before training, and after each epoch, on what is trained on.
    losses: Vec<f32>,
    /// On what is not.
    accuracy: f32,
    /// Of a step, within the optimizer: the median.
    time: Duration,
}

/// From the same weights, on the same batches.
fn train<O: Optimizer>(digits: &Digits, optimizer: impl FnOnce(&VarMap) -> Result<O>) -> Result<Run> {
    let varmap = VarMap::new();
    let model = model(&varmap)?;
    let mut optimizer = optimizer(&varmap)?;
    let mut rng = fastrand::Rng::with_seed(2);
    let mut order: Vec<u32> = (0..digits.train.1.dim(0)? as u32).collect();
    let measure = |(images, labels): &(Tensor, Tensor)| loss::cross_entropy(&model.forward(images)?, labels);
    let mut losses = vec![measure(&digits.train)?.to_scalar()?];
    let mut times = Vec::new();
    for _ in 0..EPOCHS {
        rng.shuffle(&mut order);
        for batch in order.chunks(BATCH) {
            let batch = Tensor::new(batch, &Device::Cpu)?;
            let [images, labels] =
                [&digits.train.0, &digits.train.1].map(|of_all| of_all.index_select(&batch, 0));
            let grads = measure(&(images?, labels?))?.backward()?;
            let start = Instant::now();
            optimizer.step(&grads)?;
            times.push(start.elapsed());
        }
        losses.push(measure(&digits.train)?.to_scalar()?);
    }
    let (images, labels) = &digits.test;
    let right = model.forward(images)?.argmax(1)?.eq(labels)?.to_dtype(DType::F32)?;
    times.sort_unstable();
    Ok(Run { losses, accuracy: right.mean_all()?.to_scalar()?, time: times[times.len() / 2] })
}

/// candle starts from random weights; these are random too, and the same each time.
fn model(varmap: &VarMap) -> Result<Sequential> {
    let vb = VarBuilder::from_varmap(varmap, DType::F32, &Device::Cpu);
    let model = seq()
        .add(linear(PIXELS, HIDDEN, vb.pp("1"))?)
        .add_fn(|hidden| hidden.relu())
        .add(linear(HIDDEN, HIDDEN, vb.pp("2"))?)
        .add_fn(|hidden| hidden.relu())
        .add(linear(HIDDEN, CLASSES, vb.pp("3"))?);
    let mut rng = fastrand::Rng::with_seed(1);
    for name in ["1.weight", "2.weight", "3.weight", "1.bias", "2.bias", "3.bias"] {
        let vars = varmap.data().lock().expect("no thread has panicked");
        let var = &vars[name];
        // He's bound; biases start at zero.
        let bound = var.dims().get(1).map_or(0.0, |inputs| (6.0 / *inputs as f32).sqrt());
        let start: Vec<f32> = (0..var.elem_count()).map(|_| bound * (2.0 * rng.f32() - 1.0)).collect();
        var.set(&Tensor::from_vec(start, var.shape(), &Device::Cpu)?)?;
    }
    Ok(model)
}

/// Images with labels.
struct Digits {
    train: (Tensor, Tensor),
    test: (Tensor, Tensor),
}

impl Digits {
    /// The 1797 images that ship with smartcore, of which a random fifth is held out.
    fn load() -> Result<Self> {
        let dataset = smartcore::dataset::digits::load_dataset();
        let mut order: Vec<usize> = (0..dataset.target.len()).collect();
        fastrand::Rng::with_seed(0).shuffle(&mut order);
        let (test, train) = order.split_at(order.len() / 5);
        let part = |places: &[usize]| -> Result<(Tensor, Tensor)> {
            let pixels = places.iter().flat_map(|i| &dataset.data[i * PIXELS..(i + 1) * PIXELS]);
            let pixels: Vec<f32> = pixels.map(|pixel| pixel / 16.0).collect(); // from 0..=16
            let labels: Vec<u32> = places.iter().map(|&i| dataset.target[i] as u32).collect();
            Ok((
                Tensor::from_vec(pixels, (places.len(), PIXELS), &Device::Cpu)?,
                Tensor::from_vec(labels, places.len(), &Device::Cpu)?,
            ))
        };
        Ok(Self { train: part(train)?, test: part(test)? })
    }
}
