//! candle: its own AdamW, and that of candle-optimisers, which takes an earlier candle.

use super::{About, Found, Peer, Run, time, version};
use crate::case::Case;
use crate::data::Numbers;
use crate::truth::{BETAS, EPS, LR, WEIGHT_DECAY};
use anyhow::Result;
use std::time::Duration;

pub(crate) fn all() -> Vec<Found> {
    let nn: Box<dyn Peer> = Box::new(Nn);
    let optimisers: Box<dyn Peer> = Box::new(Optimisers);
    vec![("candle-nn", Ok(nn)), ("candle-optimisers", Ok(optimisers))]
}

/// A peer on one version of candle.
macro_rules! peer {
    ($peer:ident, $run:ident, $name:literal, $version:expr, $core:ident, $nn:ident, $optimizer:ty, $config:expr) => {
        struct $peer;

        impl Peer for $peer {
            fn about(&self) -> About {
                About { name: $name, version: $version, ..About::default() }
            }

            fn start(&mut self, _: &Case, numbers: &Numbers) -> Result<Box<dyn Run>> {
                use $core::{DType, Device, Tensor, Var};
                let tensor = |numbers: &Vec<f32>| Tensor::new(&**numbers, &Device::Cpu);
                let mut grads = Tensor::zeros((), DType::F32, &Device::Cpu)?.backward()?;
                let mut vars = vec![];
                for (params, grad) in numbers.params.iter().zip(&numbers.grads) {
                    let var = Var::from_tensor(&tensor(params)?)?;
                    grads.insert(&var, tensor(grad)?);
                    vars.push(var);
                }
                let optimizer = $nn::Optimizer::new(vars.clone(), $config)?;
                Ok(Box::new($run { vars, grads, optimizer }))
            }
        }

        struct $run {
            vars: Vec<$core::Var>,
            grads: $core::backprop::GradStore,
            optimizer: $optimizer,
        }

        impl Run for $run {
            fn steps(&mut self, count: usize) -> Result<Duration> {
                time(count, || Ok($nn::Optimizer::step(&mut self.optimizer, &self.grads)?))
            }

            fn scale_grads(&mut self, factor: f32) -> Result<()> {
                for var in &self.vars {
                    if let Some(grad) = self.grads.remove(var) {
                        self.grads.insert(var, (grad * f64::from(factor))?);
                    }
                }
                Ok(())
            }

            fn params(&mut self) -> Result<Vec<f32>> {
                let tensors: $core::Result<Vec<_>> =
                    self.vars.iter().map(|var| var.to_vec1::<f32>()).collect();
                Ok(tensors?.concat())
            }
        }
    };
}

peer! {
    Nn, NnRun, "candle-nn", version("candle-nn", "0.11"), candle_core, candle_nn, candle_nn::AdamW,
    candle_nn::ParamsAdamW { lr: LR, beta1: BETAS.0, beta2: BETAS.1, eps: EPS, weight_decay: WEIGHT_DECAY }
}

peer! {
    Optimisers, OptimisersRun, "candle-optimisers",
    format!("{} on candle {}", version("candle-optimisers", ""), version("candle-core", "0.10")),
    candle_core_010, candle_nn_010, candle_optimisers::adam::Adam,
    candle_optimisers::adam::ParamsAdam {
        lr: LR, beta_1: BETAS.0, beta_2: BETAS.1, eps: EPS,
        weight_decay: Some(candle_optimisers::Decay::DecoupledWeightDecay(WEIGHT_DECAY)), amsgrad: false,
    }
}
