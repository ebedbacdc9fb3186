//! burn's AdamW on its CPU backend, Flex: the optimizer of a module, which it takes and gives back.

use super::{About, Found, Peer, Run, version};
use crate::case::{Case, MAX_NORM, Work};
use crate::data::Numbers;
use crate::truth::{BETAS, EPS, LR, WEIGHT_DECAY};
use anyhow::{Context, Result};
use burn::grad_clipping::GradientClippingConfig;
use burn::module::{Module, Param};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use std::time::{Duration, Instant};

struct Burn;

pub(crate) fn peer() -> Found {
    ("burn", Ok(Box::new(Burn)))
}

#[derive(Module, Debug)]
struct Net {
    tensors: Vec<Param<Tensor<1>>>,
}

impl Peer for Burn {
    fn about(&self) -> About {
        // It clips each tensor by the norm of its own; the cases that clip have one.
        About { name: "burn", version: version("burn", ""), clips: true, ..About::default() }
    }

    fn start(&mut self, case: &Case, numbers: &Numbers) -> Result<Box<dyn Run>> {
        let device = Device::flex().autodiff();
        let param = |numbers: &Vec<f32>| Param::from_data(data(numbers.clone()), &device);
        let net = Net { tensors: numbers.params.iter().map(param).collect() };
        let clip = (case.work == Work::Clip).then_some(GradientClippingConfig::Norm(MAX_NORM as f32));
        let optimizer = AdamWConfig::new()
            .with_beta_1(BETAS.0 as f32)
            .with_beta_2(BETAS.1 as f32)
            .with_epsilon(EPS as f32)
            .with_weight_decay(WEIGHT_DECAY as f32)
            .with_grad_clipping(clip)
            .init();
        Ok(Box::new(Training { net: Some(net), grads: numbers.grads.clone(), optimizer }))
    }
}

fn data(numbers: Vec<f32>) -> TensorData {
    let len = numbers.len();
    TensorData::new(numbers, [len])
}

struct Training {
    /// Gone after a step that failed.
    net: Option<Net>,
    grads: Vec<Vec<f32>>,
    optimizer: ModuleOptimizer,
}

impl Training {
    fn grads(&self, net: &Net) -> GradientsParams {
        let mut grads = GradientsParams::new();
        for (param, numbers) in net.tensors.iter().zip(&self.grads) {
            grads.register(param.id, Tensor::<1>::from_data(data(numbers.clone()), &Device::flex()));
        }
        grads
    }
}

impl Run for Training {
    /// A step uses up gradients: they are made before each, untimed.
    fn steps(&mut self, count: usize) -> Result<Duration> {
        let mut took = Duration::ZERO;
        for _ in 0..count {
            let net = self.net.take().context("a step before failed")?;
            let grads = self.grads(&net);
            let start = Instant::now();
            let net = self.optimizer.step(LR, net, grads);
            took += start.elapsed();
            self.net = Some(net);
        }
        Ok(took)
    }

    fn scale_grads(&mut self, factor: f32) -> Result<()> {
        self.grads.iter_mut().flatten().for_each(|g| *g *= factor);
        Ok(())
    }

    fn params(&mut self) -> Result<Vec<f32>> {
        let net = self.net.as_ref().context("a step before failed")?;
        let mut all = vec![];
        for param in &net.tensors {
            all.extend(param.val().into_data().try_to_vec::<f32>()?);
        }
        Ok(all)
    }
}
