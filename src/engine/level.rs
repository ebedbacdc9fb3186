//! Which vectors this CPU has.

use crate::lane::Wide;
use core::{fmt, mem};

#[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
use fearless_simd::{
    Simd,
    x86::{Avx2, Avx512},
};

/// The vectors a step is computed with: portable, AVX2 (x86-64-v3), or AVX-512 as Ice Lake and Zen 4 have it. Its result
/// never depends on them.
///
/// Only detection makes a level, so every value is a proof that this CPU has its instructions.
#[derive(Clone, Copy)]
pub struct Level(Isa);

#[derive(Clone, Copy)]
enum Isa {
    Portable,
    #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
    Avx2(Avx2),
    #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
    Avx512(Avx512),
}

impl Level {
    /// The vectors that the build enables: SSE2 on x86-64, NEON on aarch64, unless the build was told more.
    pub const PORTABLE: Self = Self(Isa::Portable);

    /// All levels of this CPU, slowest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[allow(unused_mut, reason = "there is nothing to detect in some builds")]
        let mut levels = vec![Self::PORTABLE];
        #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
        {
            let cpu = fearless_simd::Level::new();
            levels.extend(cpu.as_avx2().map(|proof| Self(Isa::Avx2(proof))));
            levels.extend(cpu.as_avx512().map(|proof| Self(Isa::Avx512(proof))));
        }
        levels
    }

    /// The fastest level of this CPU.
    #[must_use]
    pub fn best() -> Self {
        #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
        {
            let cpu = fearless_simd::Level::new();
            if let Some(proof) = cpu.as_avx512() {
                return Self(Isa::Avx512(proof));
            }
            if let Some(proof) = cpu.as_avx2() {
                return Self(Isa::Avx2(proof));
            }
        }
        Self::PORTABLE
    }

    /// Calls `f`, compiled for the instructions of the level as far as it is inlined.
    #[inline(always)]
    pub(super) fn run<R>(self, f: impl FnOnce() -> R) -> R {
        match self.0 {
            Isa::Portable => f(),
            #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
            Isa::Avx2(proof) => proof.vectorize(f),
            #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
            Isa::Avx512(proof) => proof.vectorize(f),
        }
    }

    /// Runs `pass` over the vectors of the level.
    #[inline(always)]
    pub(super) fn pass(self, pass: impl Pass) {
        match self.0 {
            Isa::Portable => pass.run::<wide::f32x16>(()),
            #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
            Isa::Avx2(proof) => vectorized(proof, pass),
            #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
            Isa::Avx512(proof) => vectorized(proof, pass),
        }
    }

    /// `portable`, `avx2` or `avx512`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.0 {
            Isa::Portable => "portable",
            #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
            Isa::Avx2(_) => "avx2",
            #[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
            Isa::Avx512(_) => "avx512",
        }
    }
}

/// A loop over lanes of any kind.
pub(super) trait Pass {
    /// To be inlined, or else it is not compiled for the instructions of the vectors.
    fn run<V: Wide>(self, proof: V::Proof);
}

/// In a function of its own that is compiled for the instructions `proof` stands for.
#[cfg(all(feature = "dispatch", target_arch = "x86_64"))]
#[inline(always)]
fn vectorized<V: Simd>(proof: V, pass: impl Pass)
where
    fearless_simd::f32x16<V>: Wide<Proof = V>,
{
    proof.vectorize(
        #[inline(always)]
        || pass.run::<fearless_simd::f32x16<V>>(proof),
    );
}

impl PartialEq for Level {
    fn eq(&self, other: &Self) -> bool {
        mem::discriminant(&self.0) == mem::discriminant(&other.0)
    }
}

impl Eq for Level {}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Level({})", self.name())
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
