//! A rule with its state, over candle's variables.

use crate::Error;
use crate::lend::{Loan, lend};
use crate::numbers::{Numbers, OP, not_here, place};
use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, Var};
use candle_nn::VarMap;
use lanestep::{Group, Layout, Pipeline, Report, Rule};
use std::collections::HashMap;
use std::fmt;
use std::sync::PoisonError;

/// An optimizer of candle's, [`candle_nn::Optimizer`], by any [`Rule`] of lanestep's. [`AdamW`](crate::AdamW) and its like are this.
///
/// It steps variables of `f32`, `bf16` and `f16` in place, where candle keeps them. What is no float is left out, as candle's own
/// optimizers do. A variable without a gradient is left alone, decay and all; but the steps that the rule counts for its bias
/// correction are those of its group, so they go on, as candle's do.
///
/// # Locks
/// candle keeps each variable behind a lock, and a step holds all of them. So no other thread may take two variables in one
/// operation meanwhile, nor step some of the same ones: the two could wait for each other. And mind
/// [what lanestep says](lanestep::Optimizer::step) of a step in a job of rayon, where other jobs compute with these variables.
pub struct Optimizer<R> {
    /// What is done to gradients on their way into each [`step`](candle_nn::Optimizer::step): scaled, clipped, looked through for
    /// NaN. By default nothing is.
    pub pipeline: Pipeline,
    pub(crate) vars: Vec<(String, Var)>,
    /// Which variable lies where.
    places: HashMap<usize, usize>,
    pub(crate) optimizer: lanestep::Optimizer<R>,
    /// Why the last learning rate was not taken.
    pub(crate) refused: Option<lanestep::Error>,
}

impl<R: Rule> Optimizer<R> {
    /// Steps all variables of a map by one rule. They are in the order of their names.
    ///
    /// # Errors
    /// [`Error::DType`] if a variable is of another float than `f32`, `bf16` and `f16`, [`Error::Shared`] if two are one,
    /// [`Error::Candle`] if one is not on the CPU or not contiguous, [`Error::Step`] if the rule does not allow its hyperparameters or
    /// there is no room for the state.
    pub fn from_varmap(varmap: &VarMap, rule: R) -> Result<Self, Error> {
        Self::over(named(varmap), |layout| lanestep::Optimizer::new(rule, layout))
    }

    /// Steps the variables of a map in groups, each by a rule of its own. The groups are picked from a [`Layout`] of the names.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Result};
    /// use candle_nn::{Optimizer as _, VarBuilder, VarMap};
    /// use lanestep_candle::{AdamW, lanestep::{self, Group}};
    /// # fn main() -> Result<()> {
    /// let varmap = VarMap::new();
    /// let vb = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
    /// let layer = candle_nn::linear(6, 2, vb.pp("layer"))?;
    ///
    /// let adamw = lanestep::AdamW { lr: 1e-2, ..lanestep::AdamW::default() };
    /// let optimizer = AdamW::with_groups(&varmap, |layout| {
    ///     let bare = |name: &str| name.ends_with("bias");
    ///     let biases = lanestep::AdamW { weight_decay: 0.0, ..adamw };
    ///     [Group::over(adamw, layout.select(|name| !bare(name))), Group::over(biases, layout.select(bare))]
    /// })?;
    /// assert_eq!(optimizer.learning_rate(), 1e-2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`from_varmap`](Self::from_varmap), or [`Error::Step`] if the groups do not hold each variable once.
    pub fn with_groups<G: IntoIterator<Item = Group<R>>>(
        varmap: &VarMap,
        groups: impl FnOnce(&Layout) -> G,
    ) -> Result<Self, Error> {
        Self::over(named(varmap), |layout| lanestep::Optimizer::with_groups(groups(&layout), layout))
    }

    fn over(
        mut vars: Vec<(String, Var)>,
        optimizer: impl FnOnce(Layout) -> Result<lanestep::Optimizer<R>, lanestep::Error>,
    ) -> Result<Self, Error> {
        vars.retain(|(_, var)| var.dtype().is_float());
        let mut places = HashMap::new();
        for (index, (name, var)) in vars.iter().enumerate() {
            check_numbers("the variable", name, var)?;
            if !var.is_contiguous() {
                return Err(candle_core::Error::RequiresContiguous { op: OP }.into());
            }
            if let Some(first) = places.insert(place(var), index) {
                return Err(Error::Shared { first: vars[first].0.clone(), second: name.clone() });
            }
        }
        let layout = Layout::with_shapes(vars.iter().map(|(name, var)| (name, var.dims())))?;
        let optimizer = optimizer(layout)?;
        Ok(Self { pipeline: Pipeline::default(), vars, places, optimizer, refused: None })
    }

    /// One step by the gradients of a loss, with what another pipeline than [the optimizer's own](Self::pipeline) asks for, and what
    /// was found on the way.
    ///
    /// Nothing is copied but gradients that are not contiguous, such as those that candle has expanded.
    ///
    /// # Errors
    /// [`Error::DType`], [`Error::Shape`], [`Error::SharedGradient`] or [`Error::Candle`] if a gradient is not one of its variable,
    /// or as [`lanestep::Optimizer::step_with`]. After a learning rate that the rule does not allow, that is the error, until there
    /// is another.
    pub fn step_with(&mut self, grads: &GradStore, pipeline: &Pipeline) -> Result<Report, Error> {
        if let Some(error) = &self.refused {
            return Err(error.clone().into());
        }
        let gradient = |(name, var): &(String, Var)| self.gradient(name, var, grads);
        let grads = self.vars.iter().map(gradient).collect::<Result<Vec<_>, Error>>()?;
        let mut guards = HashMap::new();
        for (place, grad) in grads.iter().flatten() {
            // Once for all that share memory: a lock that another thread waits to write to cannot be read twice.
            guards.entry(*place).or_insert_with(|| grad.storage_and_layout().0);
        }
        let mut loans: Vec<Loan<'_>> = Vec::with_capacity(grads.len());
        for ((_, var), grad) in self.vars.iter().zip(&grads) {
            let numbers = grad.as_ref().map(|(place, grad)| Numbers::of(&guards[place], grad.layout()));
            loans.push((var, numbers.transpose()?));
        }
        Ok(lend(&loans, |tensors| self.optimizer.step_with(tensors, pipeline))??)
    }

    /// Where the gradient of a variable lies, if it has one, and what it is in row-major order.
    fn gradient(&self, name: &str, var: &Var, grads: &GradStore) -> Result<Option<(usize, Tensor)>, Error> {
        let Some(grad) = grads.get(var) else { return Ok(None) };
        check_numbers("the gradient of", name, grad)?;
        let name = || name.to_owned();
        if grad.shape() != var.shape() {
            let (expected, found) = (var.shape().clone(), grad.shape().clone());
            return Err(Error::Shape { name: name(), expected, found });
        }
        let grad = grad.contiguous()?;
        let place = place(&grad);
        if let Some(&variable) = self.places.get(&place) {
            return Err(Error::SharedGradient { name: name(), variable: self.vars[variable].0.clone() });
        }
        Ok(Some((place, grad)))
    }

    /// Lets the variables and their [average](lanestep::Optimizer::set_ema) change places, to evaluate or save the average; the second
    /// call puts both back. Steps are an error in between.
    ///
    /// # Errors
    /// As [`lanestep::Optimizer::swap_ema`].
    pub fn swap_ema(&mut self) -> Result<(), Error> {
        let loans: Vec<Loan<'_>> = self.vars.iter().map(|(_, var)| (var, None)).collect();
        Ok(lend(&loans, |tensors| self.optimizer.swap_ema(tensors))??)
    }
}

impl<R> Optimizer<R> {
    /// The variables with their names, in the order in which lanestep has them. Without names, they are called by their places in the
    /// list that was given, from 0.
    #[must_use]
    pub fn vars(&self) -> impl ExactSizeIterator<Item = (&str, &Var)> {
        self.vars.iter().map(|(name, var)| (&**name, var))
    }

    /// The optimizer of lanestep's that all is done by: its state, its groups, its steps.
    #[must_use]
    pub const fn optimizer(&self) -> &lanestep::Optimizer<R> {
        &self.optimizer
    }

    /// The same, to change learning rates of groups, freeze them, keep an average or keep state in less memory.
    pub const fn optimizer_mut(&mut self) -> &mut lanestep::Optimizer<R> {
        &mut self.optimizer
    }
}

/// With lanestep's rule as what candle calls the config. What goes wrong is an [`Error`](enum@Error) within candle's.
impl<R: Rule> candle_nn::Optimizer for Optimizer<R> {
    type Config = R;

    /// Steps these variables by one rule. They have no names, so [files](Self::save) take [`from_varmap`](Self::from_varmap).
    fn new(vars: Vec<Var>, rule: R) -> candle_core::Result<Self> {
        let named = vars.into_iter().enumerate().map(|(index, var)| (index.to_string(), var)).collect();
        Ok(Self::over(named, |layout| lanestep::Optimizer::new(rule, layout.len()))?)
    }

    fn step(&mut self, grads: &GradStore) -> candle_core::Result<()> {
        let pipeline = self.pipeline;
        self.step_with(grads, &pipeline)?;
        Ok(())
    }

    /// That of the first group.
    fn learning_rate(&self) -> f64 {
        self.optimizer.lr()
    }

    /// Groups keep their [proportions](lanestep::Optimizer::set_lr). A rate that the rule does not allow is not taken, and
    /// is the error of every step until another is set here, or a file is loaded.
    fn set_learning_rate(&mut self, lr: f64) {
        self.refused = self.optimizer.set_lr(lr).err();
    }
}

impl<R: fmt::Debug> fmt::Debug for Optimizer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Optimizer")
            .field("pipeline", &self.pipeline)
            .field("vars", &self.vars.len())
            .field("optimizer", &self.optimizer)
            .finish_non_exhaustive()
    }
}

/// By their names, as a map has them in another order each time.
fn named(varmap: &VarMap) -> Vec<(String, Var)> {
    let vars = varmap.data().lock().unwrap_or_else(PoisonError::into_inner);
    let mut vars: Vec<_> = vars.iter().map(|(name, var)| (name.clone(), var.clone())).collect();
    vars.sort_by(|(a, _), (b, _)| a.cmp(b));
    vars
}

fn check_numbers(what: &'static str, name: &str, tensor: &Tensor) -> Result<(), Error> {
    if !matches!(tensor.dtype(), DType::F32 | DType::BF16 | DType::F16) {
        return Err(Error::DType { what, name: name.to_owned(), found: tensor.dtype() });
    }
    if tensor.device().is_cpu() { Ok(()) } else { Err(not_here(tensor.device()).into()) }
}
