//! Formats of numbers, and how they are rounded.

use crate::handle::LanestepOptimizer;
use crate::input::{Out, optional_text, text};
use crate::status::{Failure, LanestepStatus, enter};
use lanestep::{Format, Rounding};
use std::ffi::c_char;

/// What numbers are kept as. They are computed with as `f32` in any case.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LanestepFormat {
    /// `float`.
    F32 = 0,
    /// The upper half of a `float`, in 2 bytes.
    Bf16 = 1,
    /// IEEE 754's half precision, in 2 bytes.
    F16 = 2,
    /// One byte, and a `float` for every 256 of them. For state alone.
    Block8 = 3,
}

/// How what is kept in less than 32 bits is rounded.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LanestepRounding {
    /// To the nearest number, to the even one of two.
    Nearest = 0,
    /// Up or down at random, so that the mean is exact.
    Stochastic = 1,
}

/// The format of a number.
pub(crate) fn format(found: i32) -> Result<Format, Failure> {
    match found {
        0 => Ok(Format::F32),
        1 => Ok(Format::Bf16),
        2 => Ok(Format::F16),
        3 => Ok(Format::Block8),
        _ => Err(Failure::new(LanestepStatus::Value, format!("{found} is no LanestepFormat"))),
    }
}

fn number(format: Format) -> Result<i32, Failure> {
    let known = match format {
        Format::F32 => LanestepFormat::F32,
        Format::Bf16 => LanestepFormat::Bf16,
        Format::F16 => LanestepFormat::F16,
        Format::Block8 => LanestepFormat::Block8,
        _ => return Err(Failure::new(LanestepStatus::Other, format!("{format} has no number here yet"))),
    };
    Ok(known as i32)
}

/// Keeps the state of a name in another format from now on; where `name` is null all state, also that which another rule adds
/// later. What there is by then is rounded once. `format` is a `LanestepFormat`.
///
/// Errors: `VALUE`, `NAME`, `MEMORY`, `TEXT`.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `name` is null or ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_set_state_format(
    optimizer: *mut LanestepOptimizer,
    name: *const c_char,
    format: i32,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        // SAFETY: the caller's word.
        let name = unsafe { optional_text("name", name) }?;
        Ok(optimizer.inner.set_state_format(name, self::format(format)?)?)
    })
}

/// What the state of a name is kept as: a `LanestepFormat`.
///
/// Errors: `NAME`, `TEXT`.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `name` ends with a zero; `format` can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_state_format(
    optimizer: *const LanestepOptimizer,
    name: *const c_char,
    format: *mut i32,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let name = unsafe { text("name", name) }?;
        // SAFETY: the caller's word.
        let out = unsafe { Out::new("format", format) }?;
        out.put(number(optimizer.format_of(name)?)?);
        Ok(())
    })
}

/// Rounds state, and parameters that are not `float`, so from the next step on. `rounding` is a `LanestepRounding`; `seed` is
/// for the stochastic one alone: another one for each run.
///
/// Errors: `VALUE`.
///
/// # Safety
/// `optimizer` is of this library and was not freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_set_rounding(
    optimizer: *mut LanestepOptimizer,
    rounding: i32,
    seed: u64,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let mut optimizer = unsafe { LanestepOptimizer::write(optimizer) }?;
        let rounding = match rounding {
            0 => Rounding::Nearest,
            1 => Rounding::Stochastic { seed },
            _ => {
                let message = format!("{rounding} is no LanestepRounding");
                return Err(Failure::new(LanestepStatus::Value, message));
            }
        };
        optimizer.inner.set_rounding(rounding);
        Ok(())
    })
}

/// How it rounds: a `LanestepRounding`, and the seed, 0 if there is none. Either may be null.
///
/// # Safety
/// `optimizer` is of this library and was not freed; `rounding` and `seed` are null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn lanestep_rounding(
    optimizer: *const LanestepOptimizer,
    rounding: *mut i32,
    seed: *mut u64,
) -> LanestepStatus {
    enter(|| {
        // SAFETY: the caller's word.
        let optimizer = unsafe { LanestepOptimizer::read(optimizer) }?;
        // SAFETY: the caller's word.
        let rounding = unsafe { Out::optional("rounding", rounding) }?;
        // SAFETY: the caller's word.
        let seed = unsafe { Out::optional("seed", seed) }?;
        let (kind, number) = match optimizer.inner.rounding() {
            Rounding::Nearest => (LanestepRounding::Nearest, 0),
            Rounding::Stochastic { seed } => (LanestepRounding::Stochastic, seed),
            other => {
                let message = format!("{other:?} has no number here yet");
                return Err(Failure::new(LanestepStatus::Other, message));
            }
        };
        rounding.into_iter().for_each(|rounding| rounding.put(kind as i32));
        seed.into_iter().for_each(|seed| seed.put(number));
        Ok(())
    })
}
