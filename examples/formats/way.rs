//! Ways to keep the numbers of a training.

use half::{bf16, slice::HalfFloatSliceExt};
use lanestep::{AdamW, Error, Format, Optimizer, Parallelism, Pipeline, Rounding, Tensor};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Params {
    F32,
    /// In `f32`, and copied as `bf16` for the network.
    Mirrored,
    Bf16,
    /// In `bf16`, whose lower halves the optimizer keeps.
    Split,
}

#[derive(Clone, Copy)]
pub(crate) struct Way {
    pub(crate) name: &'static str,
    pub(crate) params: Params,
    pub(crate) state: Format,
    pub(crate) stochastic: bool,
}

impl Way {
    const fn new(name: &'static str, params: Params, state: Format) -> Self {
        Self { name, params, state, stochastic: false }
    }

    const fn stochastic(self) -> Self {
        Self { stochastic: true, ..self }
    }

    /// Of parameters and state, for each parameter.
    pub(crate) fn bytes(self) -> f64 {
        let params = match self.params {
            Params::F32 | Params::Split => 4.0,
            Params::Mirrored => 6.0,
            Params::Bf16 => 2.0,
        };
        let slot = match self.state {
            Format::Bf16 => 2.0,
            Format::Block8 => 1.0 + 4.0 / 256.0,
            _ => 4.0,
        };
        params + 2.0 * slot
    }
}

/// The first is what the others are compared with.
pub(crate) const WAYS: [Way; 9] = [
    Way::new("f32", Params::F32, Format::F32),
    Way::new("bf16 state, nearest", Params::F32, Format::Bf16),
    Way::new("bf16 state, stochastic", Params::F32, Format::Bf16).stochastic(),
    Way::new("8-bit state", Params::F32, Format::Block8).stochastic(),
    Way::new("f32 with bf16 copy", Params::Mirrored, Format::F32),
    Way::new("bf16, split masters", Params::Split, Format::F32),
    Way::new("bf16, nearest", Params::Bf16, Format::F32),
    Way::new("bf16, stochastic", Params::Bf16, Format::F32).stochastic(),
    Way::new("same, 8-bit state", Params::Bf16, Format::Block8).stochastic(),
];

/// Parameters and their optimizer.
pub(crate) struct Kept {
    params: Params,
    optimizer: Optimizer<AdamW>,
    whole: Vec<f32>,
    halves: Vec<bf16>,
}

impl Kept {
    pub(crate) fn new(way: Way, start: &[f32], seed: u64) -> Result<Self, Error> {
        let mut optimizer = Optimizer::new(AdamW::default(), start.len())?;
        optimizer.set_parallelism(Parallelism::Serial);
        optimizer.set_state_format(None, way.state)?;
        if way.stochastic {
            optimizer.set_rounding(Rounding::Stochastic { seed });
        }
        let mut halves: Vec<bf16> = start.iter().copied().map(bf16::from_f32).collect();
        if way.params == Params::Split {
            optimizer.set_split(true)?;
            optimizer.set_masters(start, &mut [Tensor::of(&mut halves)])?;
        }
        Ok(Self { params: way.params, optimizer, whole: start.to_vec(), halves })
    }

    pub(crate) fn step(&mut self, lr: f64, grads: &[f32], pipeline: &Pipeline) -> Result<(), Error> {
        let Self { params, optimizer, whole, halves } = self;
        optimizer.set_lr(lr)?;
        let tensor = match params {
            Params::F32 => Tensor::new(whole, grads),
            Params::Mirrored => Tensor::new(whole, grads).mirrored(halves),
            Params::Bf16 | Params::Split => Tensor::new(halves, grads),
        };
        optimizer.step_with(&mut [tensor], pipeline)?;
        Ok(())
    }

    /// The parameters as the network computes with them.
    pub(crate) fn show(&self, seen: &mut [f32]) {
        match self.params {
            Params::F32 => seen.copy_from_slice(&self.whole),
            _ => self.halves.convert_to_f32_slice(seen),
        }
    }

    /// The bits of the parameters as the optimizer knows them.
    pub(crate) fn bits(&mut self) -> Result<Vec<u32>, Error> {
        let Self { params, optimizer, whole, halves } = self;
        match params {
            Params::F32 | Params::Mirrored => {}
            Params::Bf16 => halves.convert_to_f32_slice(whole),
            Params::Split => optimizer.masters(&[Tensor::of(halves)], whole)?,
        }
        Ok(whole.iter().map(|x| x.to_bits()).collect())
    }
}
