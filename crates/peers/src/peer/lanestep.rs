//! lanestep, called from outside of the pool, on slices and on buffers of its own.

use super::{About, Found, Peer, Run, time, version};
use crate::case::{Case, Format, MAX_NORM, Work};
use crate::data::{Numbers, Placed, placed};
use crate::truth::{BETAS, EPS, LR, WEIGHT_DECAY};
use anyhow::Result;
use half::bf16;
use lanestep::{AdamW, Buffer, Element, Optimizer, Pipeline, Tensor};
use std::ops::DerefMut;
use std::time::Duration;

pub(crate) const NAME: &str = "lanestep";

/// On memory that lanestep lays out.
pub(crate) const BUFFERS: &str = "lanestep, Buffers";

struct Lanestep {
    name: &'static str,
    format: Format,
}

pub(crate) fn all() -> Vec<Found> {
    let formats = [
        (NAME, Format::F32),
        (BUFFERS, Format::F32),
        ("lanestep, bf16 state", Format::Bf16State),
        ("lanestep, bf16", Format::Bf16),
        ("lanestep, 8-bit state", Format::Block8),
    ];
    formats.map(|(name, format)| (name, Ok(Box::new(Lanestep { name, format }) as Box<dyn Peer>))).into()
}

impl Peer for Lanestep {
    fn about(&self) -> About {
        let clips = self.name == NAME;
        About {
            name: self.name,
            version: version("lanestep", ""),
            format: self.format,
            clips,
            ..About::default()
        }
    }

    fn start(&mut self, case: &Case, numbers: &Numbers) -> Result<Box<dyn Run>> {
        let rule = AdamW { lr: LR, betas: BETAS, eps: EPS, weight_decay: WEIGHT_DECAY, ..AdamW::default() };
        let mut optimizer = Optimizer::new(rule, case.params())?;
        match self.format {
            Format::F32 => {}
            Format::Bf16State | Format::Bf16 => optimizer.set_state_format(None, lanestep::Format::Bf16)?,
            Format::Block8 => optimizer.set_state_format(None, lanestep::Format::Block8)?,
        }
        let max_norm = (case.work == Work::Clip).then_some(MAX_NORM);
        let pipeline = Pipeline { max_norm, ..Pipeline::default() };
        Ok(match self.format {
            Format::Bf16 => {
                Box::new(Tensors::new(optimizer, pipeline, numbers, bf16::from_f32, bf16::to_f32))
            }
            Format::F32 if self.name == BUFFERS => {
                let len = case.params();
                let [mut params, mut grads] = Buffer::together([len; 2])?;
                params.copy_from_slice(&numbers.params[0]);
                grads.copy_from_slice(&numbers.grads[0]);
                Box::new(Slice { optimizer, params, grads })
            }
            Format::F32 if case.work != Work::Clip && case.lens.len() == 1 => {
                let [mut params, mut grads] = [&numbers.params, &numbers.grads].map(|all| placed(all, |x| x));
                Box::new(Slice { optimizer, params: params.remove(0), grads: grads.remove(0) })
            }
            _ => Box::new(Tensors::new(optimizer, pipeline, numbers, |x| x, |x| x)),
        })
    }
}

struct Slice<B> {
    optimizer: Optimizer<AdamW>,
    params: B,
    grads: B,
}

impl<B: DerefMut<Target = [f32]>> Run for Slice<B> {
    fn steps(&mut self, count: usize) -> Result<Duration> {
        time(count, || Ok(self.optimizer.step(&mut self.params, &self.grads)?))
    }

    fn scale_grads(&mut self, factor: f32) -> Result<()> {
        self.grads.iter_mut().for_each(|g| *g *= factor);
        Ok(())
    }

    fn params(&mut self) -> Result<Vec<f32>> {
        Ok(self.params.to_vec())
    }
}

/// The list of tensors is made anew for each step, as it borrows them.
struct Tensors<T> {
    optimizer: Optimizer<AdamW>,
    pipeline: Pipeline,
    params: Vec<Placed<T>>,
    grads: Vec<Placed<T>>,
    from: fn(f32) -> T,
    to: fn(T) -> f32,
}

impl<T: Element + Copy + Default> Tensors<T> {
    fn new(
        optimizer: Optimizer<AdamW>,
        pipeline: Pipeline,
        numbers: &Numbers,
        from: fn(f32) -> T,
        to: fn(T) -> f32,
    ) -> Self {
        let [params, grads] = [&numbers.params, &numbers.grads].map(|tensors| placed(tensors, from));
        Self { optimizer, pipeline, params, grads, from, to }
    }
}

impl<T: Element + Copy + Default> Run for Tensors<T> {
    fn steps(&mut self, count: usize) -> Result<Duration> {
        time(count, || {
            let tensors = self.params.iter_mut().zip(&self.grads).map(|(p, g)| Tensor::new(p, g));
            self.optimizer.step_with(&mut tensors.collect::<Vec<_>>(), &self.pipeline)?;
            Ok(())
        })
    }

    fn scale_grads(&mut self, factor: f32) -> Result<()> {
        let grads = self.grads.iter_mut().flat_map(|tensor| tensor.iter_mut());
        grads.for_each(|g| *g = (self.from)((self.to)(*g) * factor));
        Ok(())
    }

    fn params(&mut self) -> Result<Vec<f32>> {
        Ok(self.params.iter().flat_map(|tensor| tensor.iter().map(|&p| (self.to)(p))).collect())
    }
}
