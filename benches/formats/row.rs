//! What is compared: how numbers are kept, and the bytes that this takes.

use lanestep::Format;
use lanestep::Format::{Bf16, Block8, F16, F32};

/// Parameters that have whole bytes and words in every format.
pub(crate) const UNIT: usize = 256;

#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) params: Format,
    pub(crate) grads: Format,
    pub(crate) state: Format,
    pub(crate) stochastic: bool,
    pub(crate) beside: Beside,
}

/// What else there is of parameters.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Beside {
    Nothing,
    /// A copy in `bf16`.
    Mirror,
    /// Their lower halves.
    Lower,
}

/// What a step does with a stream.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Touch {
    Read,
    Write,
    Both,
}

const fn row(name: &'static str, params: Format, grads: Format, state: Format) -> Row {
    Row { name, params, grads, state, stochastic: false, beside: Beside::Nothing }
}

impl Row {
    pub(crate) const ALL: [Self; 13] = [
        row("f32", F32, F32, F32),
        row("bf16 state", F32, F32, Bf16),
        row("bf16 state, stochastic", F32, F32, Bf16).stochastic(),
        row("bf16 state and gradients", F32, Bf16, Bf16),
        row("bf16 throughout", Bf16, Bf16, Bf16),
        row("bf16 throughout, stochastic", Bf16, Bf16, Bf16).stochastic(),
        row("f16 state", F32, F32, F16),
        row("f16 gradients", F32, F16, F32),
        row("8-bit state", F32, F32, Block8),
        row("8-bit state, else bf16, stochastic", Bf16, Bf16, Block8).stochastic(),
        row("bf16 mirror", F32, F32, F32).beside(Beside::Mirror),
        row("split masters", Bf16, F32, F32).beside(Beside::Lower),
        row("split masters, bf16 gradients", Bf16, Bf16, F32).beside(Beside::Lower),
    ];

    const fn stochastic(self) -> Self {
        Self { stochastic: true, ..self }
    }

    const fn beside(self, beside: Beside) -> Self {
        Self { beside, ..self }
    }

    /// The bytes of a unit of each stream, and what is done with it.
    pub(crate) fn streams(&self) -> Vec<(usize, Touch)> {
        let [params, grads, state] = [self.params, self.grads, self.state].map(bytes);
        let beside = match self.beside {
            Beside::Nothing => None,
            Beside::Mirror => Some((bytes(Bf16), Touch::Write)),
            Beside::Lower => Some((bytes(Bf16), Touch::Both)),
        };
        let streams =
            [(params, Touch::Both), (grads, Touch::Read), (state, Touch::Both), (state, Touch::Both)];
        streams.into_iter().chain(beside).collect()
    }

    /// The bytes of a parameter that a step reads, and those that it writes.
    pub(crate) fn moved(&self) -> f64 {
        self.sum(|touch| if touch == Touch::Both { 2 } else { 1 })
    }

    /// Those that go over the bus: what is written is read before, with its line of the cache, also where nobody asks for it.
    pub(crate) fn on_the_bus(&self) -> f64 {
        self.sum(|touch| if touch == Touch::Read { 1 } else { 2 })
    }

    /// Those that stay in memory between steps.
    pub(crate) fn kept(&self) -> f64 {
        self.sum(|touch| usize::from(touch != Touch::Read))
    }

    fn sum(&self, times: impl Fn(Touch) -> usize) -> f64 {
        let bytes: usize = self.streams().into_iter().map(|(bytes, touch)| bytes * times(touch)).sum();
        bytes as f64 / UNIT as f64
    }
}

/// Of a unit.
fn bytes(format: Format) -> usize {
    match format {
        Block8 => UNIT + 4,
        Bf16 | F16 => 2 * UNIT,
        _ => 4 * UNIT,
    }
}
