//! rlx-optim with its feature `parallel`: as it is by default, with arithmetic in `f64`, and with that of PyTorch.

use super::{About, Found, Peer, Run, time, version};
use crate::case::{Case, MAX_NORM, Work};
use crate::data::{Numbers, Placed, concat, placed, scale};
use crate::truth::{BETAS, EPS, LR, WEIGHT_DECAY};
use anyhow::Result;
use rlx_optim::{AdamW, Optimizer, clip_grad_norm_torch};
use std::time::Duration;

struct Rlx {
    torch: bool,
}

pub(crate) fn peer(torch: bool) -> Found {
    let peer = Rlx { torch };
    (peer.about().name, Ok(Box::new(peer)))
}

impl Peer for Rlx {
    fn about(&self) -> About {
        let name = if self.torch { "rlx-optim, torch" } else { "rlx-optim" };
        About { name, version: version("rlx-optim", ""), clips: true, ..About::default() }
    }

    fn start(&mut self, case: &Case, numbers: &Numbers) -> Result<Box<dyn Run>> {
        let optimizer = if self.torch {
            AdamW::torch(LR, BETAS, WEIGHT_DECAY)
        } else {
            AdamW::new(LR as f32)
                .with_betas(BETAS.0 as f32, BETAS.1 as f32)
                .with_weight_decay(WEIGHT_DECAY as f32)
        };
        let [params, grads] = [&numbers.params, &numbers.grads].map(|tensors| placed(tensors, |x| x));
        let names = (0..params.len()).map(|k| format!("layers.{k}.weight")).collect();
        let optimizer = optimizer.with_eps(EPS as f32);
        Ok(Box::new(Named { optimizer, clip: case.work == Work::Clip, names, params, grads }))
    }
}

struct Named {
    optimizer: AdamW,
    clip: bool,
    names: Vec<String>,
    params: Vec<Placed<f32>>,
    grads: Vec<Placed<f32>>,
}

impl Run for Named {
    fn steps(&mut self, count: usize) -> Result<Duration> {
        time(count, || {
            if self.clip {
                let mut grads: Vec<&mut [f32]> = self.grads.iter_mut().map(|grads| &mut **grads).collect();
                clip_grad_norm_torch(&mut grads, MAX_NORM);
            }
            for ((name, params), grads) in self.names.iter().zip(&mut self.params).zip(&self.grads) {
                let shape = [params.len()];
                self.optimizer.step(name, &shape, params, grads);
            }
            self.optimizer.end_iteration();
            Ok(())
        })
    }

    fn scale_grads(&mut self, factor: f32) -> Result<()> {
        scale(&mut self.grads, factor);
        Ok(())
    }

    fn params(&mut self) -> Result<Vec<f32>> {
        Ok(concat(&self.params))
    }
}
