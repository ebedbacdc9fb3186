//! The arithmetic of one step.

mod average;
mod cautious;
mod decay;
mod factor;
mod layer;
mod scale;

pub use average::{Average, AverageSquare, Blend};
pub use cautious::Cautious;
pub use decay::{Decoupled, L2};
pub use factor::{Factor, square};
pub use layer::Layer;
pub use scale::Scale;

use crate::Lane;

/// The arithmetic of one step for one element with `S` numbers of state.
///
/// The fields of a formula are the coefficients of the step, already rounded to `f32`. It is written once, over
/// [`Lane`]s, and knows nothing of widths, memory, threads or step counts.
///
/// State never arrives subnormal: what a formula leaves subnormal is stored as zero. A gradient may be. [`Factor`],
/// [`square`], [`Average`], [`Blend`] and [`AverageSquare`] do not multiply what would make a subnormal product.
///
/// A formula may depend on the norms of its [`Layer`], as that of [`Lamb`](crate::Lamb) does. It is
/// [`LAYERWISE`](Self::LAYERWISE) then: over each layer [`measure`](Self::measure) goes first, [`of_layer`](Self::of_layer)
/// makes of the sums the formula for this layer, and that one updates it.
pub trait Formula<const S: usize>: Copy + Send + Sync {
    /// Whether the formula depends on sums over its layer, which take a pass of their own.
    const LAYERWISE: bool = false;

    /// The slots in which the formula never leaves a subnormal number, whatever the gradient: those need no look before
    /// they are stored. An [`AverageSquare`] is such a number, as it is never negative.
    const NORMAL: [bool; S] = [false; S];

    /// Whether [`update`](Self::update) returns the parameter plus a step that depends on gradient and state alone, so that
    /// the step can be had without the parameter: [`Cautious`](crate::rule::Cautious) rules are made of such formulas.
    const SHIFTS: bool = false;

    /// Takes the parameter, its gradient and its state; returns the new parameter and the new state.
    ///
    /// Mark it `#[inline(always)]`, and every function and closure of lanes that it calls: only what is inlined into the
    /// loop is compiled for the vectors of the CPU. Otherwise a step is right but about ten times slower. To find what
    /// was forgotten, look into a release build for x86-64 that was not stripped, with feature `dispatch`:
    ///
    /// ```sh
    /// nm -C target/release/program | grep __fearless_simd_kernel
    /// ```
    ///
    /// prints the operations on lanes that are called and not inlined. There should be none.
    fn update<L: Lane>(&self, p: L, g: L, s: [L; S]) -> (L, [L; S]);

    /// What is squared and added up over the layer, beside the parameters. It sees what [`update`](Self::update) will
    /// see, and nothing is written.
    #[inline(always)]
    #[must_use]
    fn measure<L: Lane>(&self, p: L, _g: L, _s: [L; S]) -> L {
        p
    }

    /// The formula for this layer.
    #[must_use]
    fn of_layer(self, _layer: Layer) -> Self {
        self
    }
}

/// What is to be done with a formula whose type the caller does not know.
///
/// A [`Rule`](crate::Rule) hands its formula over through this, so that options such as `nesterov` pick a type, and
/// the compiler sees one straight loop for each. A generic callback, as in `pulp::WithSimd`.
pub trait WithFormula {
    /// The result.
    type Output;

    /// Receives the formula a rule chose. The engine implements this; a rule only calls `with.formula(..)`.
    fn formula<F: Formula<S>, const S: usize>(self, formula: F) -> Self::Output;
}
