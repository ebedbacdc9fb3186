//! One step over a whole module.

use crate::lend::Plan;
use crate::{Error, Refused, layout};
use burn::module::Module;
use burn::optim::{GradientsParams, LearningRate};
use lanestep::{Optimizer, Pipeline, Report, Rule};

/// Optimizes a whole module in one step, as burn's own `ModuleOptimizer` does tensor by tensor.
///
/// Its state belongs to the parameters' paths, not to their ids: it fits every module with these paths and lengths.
#[derive(Debug)]
pub struct ModuleOptimizer<R> {
    /// The optimizer of all parameters, laid end to end as [`layout`] says: groups, formats, state, averages, files.
    pub inner: Optimizer<R>,
}

impl<R: Rule> ModuleOptimizer<R> {
    /// One rule for all parameters of the module that are [trained](layout), with zeros as state.
    ///
    /// # Errors
    /// As [`layout`] and [`Optimizer::new`].
    pub fn new<M: Module>(rule: R, module: &M) -> Result<Self, Error> {
        Ok(Optimizer::new(rule, layout(module)?)?.into())
    }

    /// One step: the module with its parameters updated by these gradients. The optimizer's learning rate is
    /// [set](Optimizer::set_lr) to `lr` before: the first group's, and others keep their proportion to it.
    ///
    /// A parameter without a gradient is left alone. A gradient of another module is not looked at.
    ///
    /// # Errors
    /// The module as it was, and why: [`Error::Missing`], [`Error::Unknown`], [`Error::DType`] or [`Error::Shape`] if the
    /// module or its gradients are not those of the layout; [`Error::Lanestep`] if the learning rate is out of range, and as
    /// [`Optimizer::step_with`]. All is as before then, but the learning rate may be set.
    ///
    /// # Panics
    /// Where burn does: if a device does not hand out its data, or a gradient was registered with another rank than its parameter's.
    pub fn step<M: Module>(
        &mut self,
        lr: LearningRate,
        module: M,
        grads: GradientsParams,
    ) -> Result<M, Refused<M>> {
        self.step_with(lr, module, grads, &Pipeline::default()).map(|(module, _)| module)
    }

    /// The same with what `pipeline` asks for on the way, and the report of it.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    ///
    /// # Panics
    /// As [`step`](Self::step).
    pub fn step_with<M: Module>(
        &mut self,
        lr: LearningRate,
        module: M,
        grads: GradientsParams,
        pipeline: &Pipeline,
    ) -> Result<(M, Report), Refused<M>> {
        let plan = Plan::new(&module, self.inner.layout(), &grads);
        match plan.and_then(|plan| self.inner.set_lr(lr).map(|()| plan).map_err(Error::from)) {
            Ok(plan) => plan.lend(module, grads, |tensors| self.inner.step_with(tensors, pipeline)),
            Err(error) => Err(Refused { module, error }),
        }
    }

    /// The module with the [average](Optimizer::set_ema) of its parameters in their place, and the parameters in the average's,
    /// until they are swapped back.
    ///
    /// # Errors
    /// The module as it was, and why: as [`step`](Self::step) and [`Optimizer::swap_ema`].
    ///
    /// # Panics
    /// If a device does not hand out its data.
    pub fn swap_ema<M: Module>(&mut self, module: M) -> Result<M, Refused<M>> {
        let grads = GradientsParams::new();
        match Plan::new(&module, self.inner.layout(), &grads) {
            Ok(plan) => {
                plan.lend(module, grads, |tensors| self.inner.swap_ema(tensors)).map(|(module, ())| module)
            }
            Err(error) => Err(Refused { module, error }),
        }
    }
}

/// Of an optimizer that was made from the module's [`layout`], or read from a file.
impl<R> From<Optimizer<R>> for ModuleOptimizer<R> {
    fn from(inner: Optimizer<R>) -> Self {
        Self { inner }
    }
}
