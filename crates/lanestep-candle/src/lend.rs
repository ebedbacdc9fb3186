//! All variables at once.
//!
//! candle lends the numbers of one variable at a time, to an [`InplaceOp1`] for as long as it runs. So each of these borrows the
//! next variable while it runs, and the last one has them all.

use crate::numbers::{Numbers, OP};
use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, Error, InplaceOp1, Layout, Result, Var};
use core::cell::Cell;
use lanestep::{Element, Tensor};

// A level takes about 1 KiB where nothing is optimized.
const LEVEL: usize = 64 << 10;
const MORE: usize = 1 << 20;
// While a step waits for the rest of the pool, rayon may run other jobs of the caller's on this very stack.
const STEP: usize = 1 << 20;

/// A variable to be borrowed, with its gradient if it has one.
pub(crate) type Loan<'a> = (&'a Var, Option<Numbers<'a>>);

/// Hands all variables to `then`, as the tensors of a step. No two may share memory, with each other or with a gradient.
pub(crate) fn lend<T>(loans: &[Loan<'_>], then: impl FnOnce(&mut [Tensor<'_>]) -> T) -> Result<T> {
    let done = Cell::new(None);
    let then = Cell::new(Some(|tensors: &mut [Tensor<'_>]| done.set(Some(then(tensors)))));
    descend(Vec::with_capacity(loans.len()), loans, &then)?;
    drop(then);
    done.take().ok_or_else(|| Error::Msg(format!("{OP}: candle did not call back")))
}

fn descend<F>(mut held: Vec<Tensor<'_>>, rest: &[Loan<'_>], then: &Cell<Option<F>>) -> Result<()>
where
    F: FnOnce(&mut [Tensor<'_>]),
{
    let Some(((var, grads), rest)) = rest.split_first() else {
        if let Some(then) = then.take() {
            stacker::maybe_grow(STEP, 2 * STEP, || then(&mut held));
        }
        return Ok(());
    };
    let level = Level { held: Cell::new(held), grads: *grads, rest, then };
    stacker::maybe_grow(LEVEL, MORE, || var.inplace_op1(&level))
}

struct Level<'a, F> {
    held: Cell<Vec<Tensor<'a>>>,
    grads: Option<Numbers<'a>>,
    rest: &'a [Loan<'a>],
    then: &'a Cell<Option<F>>,
}

impl<F: FnOnce(&mut [Tensor<'_>])> InplaceOp1 for Level<'_, F> {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let (start, end) = layout.contiguous_offsets().ok_or(Error::RequiresContiguous { op: OP })?;
        let mut held = self.held.take();
        held.push(match storage {
            CpuStorage::F32(params) => tensor(&mut params[start..end], self.grads),
            CpuStorage::BF16(params) => tensor(&mut params[start..end], self.grads),
            CpuStorage::F16(params) => tensor(&mut params[start..end], self.grads),
            other => return Err(Error::UnsupportedDTypeForOp(other.dtype(), OP)),
        });
        descend(held, self.rest, self.then)
    }
}

fn tensor<'a, P: Element>(params: &'a mut [P], grads: Option<Numbers<'a>>) -> Tensor<'a> {
    match grads {
        None => Tensor::of(params),
        Some(Numbers::F32(grads)) => Tensor::new(params, grads),
        Some(Numbers::Bf16(grads)) => Tensor::new(params, grads),
        Some(Numbers::F16(grads)) => Tensor::new(params, grads),
    }
}
