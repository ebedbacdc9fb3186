//! Trains a network on handwritten digits with burn's AdamW, and with lanestep's: the same curve, and what each takes.
//!
//! ```text
//! cargo run --release -p lanestep-burn --example digits
//! ```

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use lanestep::AdamW;
use lanestep_burn::ModuleOptimizer;
use smartcore::dataset::digits::load_dataset;
use std::error::Error;
use std::time::{Duration, Instant};

const EPOCHS: usize = 20;
const BATCH: usize = 32;
const LR: f64 = 2e-3;

#[derive(Module, Debug)]
struct Net {
    hidden: Linear,
    output: Linear,
}

impl Net {
    fn new(device: &Device) -> Self {
        Self {
            hidden: LinearConfig::new(64, 256).init(device),
            output: LinearConfig::new(256, 10).init(device),
        }
    }

    fn forward(&self, images: Tensor<2>) -> Tensor<2> {
        self.output.forward(relu(self.hidden.forward(images)))
    }

    fn loss(&self, (images, digits): Batch) -> Tensor<1> {
        CrossEntropyLossConfig::new().init(&images.device()).forward(self.forward(images), digits)
    }
}

type Batch = (Tensor<2>, Tensor<1, Int>);

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::flex().autodiff();
    device.seed(0);
    let (train_set, test_set) = digits(&device);
    let net = Net::new(&device);

    let mut optimizer = AdamWConfig::new().init();
    let step = |net, grads| Ok(optimizer.step(LR, net, grads));
    let burn = train(net.clone(), &train_set, &test_set, step)?;

    // burn's defaults, where they are not PyTorch's.
    let rule = AdamW { eps: 1e-5, weight_decay: 1e-4, ..AdamW::default() };
    let mut optimizer = ModuleOptimizer::new(rule, &net)?;
    let step = |net, grads| Ok(optimizer.step(LR, net, grads)?);
    let lanestep = train(net, &train_set, &test_set, step)?;

    println!("epoch   loss with burn's AdamW   with lanestep's");
    for (epoch, (burn, lanestep)) in burn.losses.iter().zip(&lanestep.losses).enumerate() {
        println!("{:>5}   {burn:>22.6}   {lanestep:>15.6}", epoch + 1);
    }
    for (name, run) in [("burn's", &burn), ("lanestep's", &lanestep)] {
        let micros = 1e6 * run.step_time.as_secs_f64();
        println!("{name:<10}  {:.2} % right, {micros:.0} us a step (median)", 100.0 * run.accuracy);
    }
    Ok(())
}

struct Run {
    /// The mean of each epoch.
    losses: Vec<f64>,
    /// On digits that were held out.
    accuracy: f64,
    step_time: Duration,
}

/// Only the time in the optimizer is taken.
fn train(
    mut net: Net,
    train_set: &[Batch],
    (images, digits): &Batch,
    mut step: impl FnMut(Net, GradientsParams) -> Result<Net, Box<dyn Error>>,
) -> Result<Run, Box<dyn Error>> {
    let (mut losses, mut times) = (vec![], vec![]);
    for _ in 0..EPOCHS {
        let mut sum = 0.0;
        for batch in train_set {
            let loss = net.loss(batch.clone());
            sum += f64::from(loss.clone().into_scalar::<f32>());
            let grads = GradientsParams::from_grads(loss.backward(), &net);
            let start = Instant::now();
            net = step(net, grads)?;
            times.push(start.elapsed());
        }
        losses.push(sum / train_set.len() as f64);
    }
    times.sort_unstable();
    let read = net.forward(images.clone()).argmax(1).flatten::<1>(0, 1);
    let right = read.equal(digits.clone()).int().sum().into_scalar::<i64>();
    let accuracy = right as f64 / digits.dims()[0] as f64;
    Ok(Run { losses, accuracy, step_time: times[times.len() / 2] })
}

/// Batches of the 1797 images that ship with smartcore, and a random fifth that is held out.
fn digits(device: &Device) -> (Vec<Batch>, Batch) {
    let dataset = load_dataset();
    let mut images: Vec<_> = dataset.data.chunks_exact(64).zip(&dataset.target).collect();
    fastrand::Rng::with_seed(0).shuffle(&mut images);
    let batch = |images: &[(&[f32], &f32)]| {
        let pixels = images.iter().flat_map(|(pixels, _)| pixels.iter().map(|pixel| pixel / 16.0)).collect();
        let digits: Vec<_> = images.iter().map(|(_, digit)| **digit as i64).collect();
        let len = images.len();
        let pixels: Vec<f32> = pixels;
        (
            Tensor::from_data(TensorData::new(pixels, [len, 64]), device),
            Tensor::from_data(TensorData::new(digits, [len]), device),
        )
    };
    let (test, train) = images.split_at(images.len() / 5);
    (train.chunks(BATCH).map(batch).collect(), batch(test))
}
