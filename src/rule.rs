//! What a user writes down, and which formula it means at step `t`.

#[macro_use]
mod shared;

mod any;
mod cautious;
mod correction;
#[cfg(feature = "serde")]
mod options;
pub mod range;
mod schedule_free;

#[cfg(feature = "checkpoint")]
pub(crate) use options::SWITCHES;

pub use cautious::Cautious;
pub use correction::bias_correction;
pub use shared::Shared;

use crate::{Error, WithFormula};

// A new rule, of which CONTRIBUTING.md says more:
// - its file in src/rule: essay, hyperparameters, formula, `impl Rule` (with `non_negative`, where slots have names of their own), an example;
// - its line here: module, type, and its class in PyTorch or what its paper calls it;
// - its twin in src/reference.rs, a function named after the module;
// - its trajectory in tests/golden, or its paper in tests/it/papers and in `papers!` of tests/it/papers.rs;
// - its section in docs/rules.md, its name in a row of README.md, a line in CHANGELOG.md;
// - `cargo run --release --example gallery && cp target/gallery.svg docs/`.
// Levels, threads, state, groups, dictionaries of options, tests, benches and fuzz targets take it from this list.
any::rules! {
    sgd::Sgd as "SGD",
    rmsprop::RmsProp as "RMSprop",
    adam::Adam as "Adam",
    adamw::AdamW as "AdamW",
    adagrad::Adagrad as "Adagrad",
    adadelta::Adadelta as "Adadelta",
    adamax::Adamax as "Adamax",
    radam::RAdam as "RAdam",
    nadam::NAdam as "NAdam",
    rprop::Rprop as "Rprop",
    asgd::Asgd as "ASGD",
    lion::Lion as "Lion",
    signum::Signum as "Signum",
    tiger::Tiger as "Tiger",
    yogi::Yogi as "Yogi",
    adabelief::AdaBelief as "AdaBelief",
    qhadam::QHAdam as "QHAdam",
    adopt::Adopt as "ADOPT",
    adan::Adan as "Adan",
    ademamix::AdEmaMix as "AdEMAMix",
    sgd_schedule_free::SgdScheduleFree as "SGDScheduleFree",
    adamw_schedule_free::AdamWScheduleFree as "AdamWScheduleFree",
    lamb::Lamb as "LAMB",
    lars::Lars as "LARS",
    cautious_adamw::CautiousAdamW as "CautiousAdamW",
    cautious_lion::CautiousLion as "CautiousLion",
}

/// An optimizer: its hyperparameters, and the formula they mean at each step.
///
/// Hyperparameters are `f64` and carry PyTorch's names. [`at`](Self::at) computes the coefficients of a step from
/// them in `f64` and rounds each once. Options pick a *type* there, so that no loop ever branches on them.
///
/// This is AddSign without its decay (Bello et al., <https://arxiv.org/abs/1709.07417>): twice the gradient where it agrees
/// with its average, and nothing where it does not.
///
/// ```
/// use lanestep::formula::{Blend, Factor};
/// use lanestep::{Error, Formula, Lane, Optimizer, Rule, WithFormula, rule::{Shared, range}};
///
/// #[derive(Clone)]
/// struct AddSign {
///     lr: f64,
///     beta: f64,
/// }
///
/// #[derive(Clone, Copy)]
/// struct Step {
///     lr: Factor,
///     mean: Blend,
/// }
///
/// impl Formula<1> for Step {
///     #[inline(always)] // or else it is not compiled for the CPU's vectors, and ten times slower
///     fn update<L: Lane>(&self, p: L, g: L, [m]: [L; 1]) -> (L, [L; 1]) {
///         let m = self.mean.update(m, g);
///         (p - self.lr.times(g) * (g.sign() * m.sign() + 1.0), [m])
///     }
/// }
///
/// impl Rule for AddSign {
///     fn slots(&self) -> &'static [&'static str] {
///         &["exp_avg"]
///     }
///     fn check(&self) -> Result<(), Error> {
///         range::non_negative("lr", self.lr)?;
///         range::fraction("beta", self.beta)
///     }
///     fn shared(&self) -> Shared {
///         Shared::new(self.lr)
///     }
///     fn set_lr(&mut self, lr: f64) {
///         self.lr = lr;
///     }
///     fn at<W: WithFormula>(&self, _t: u64, with: W) -> W::Output {
///         with.formula(Step { lr: Factor::new(self.lr), mean: Blend::new(self.beta) })
///     }
/// }
///
/// let mut optimizer = Optimizer::new(AddSign { lr: 0.25, beta: 0.9 }, 2)?;
/// let mut params = [1.0, 1.0];
/// optimizer.step(&mut params, &[0.5, -2.0])?;
/// assert_eq!(params, [0.75, 2.0]);
/// optimizer.step(&mut params, &[0.5, 1.0])?; // the second is against its average
/// assert_eq!(params, [0.5, 2.0]);
/// # Ok::<(), Error>(())
/// ```
pub trait Rule: Clone + Send + Sync {
    /// Names of the state slots, in the order in which the formula takes them. They may depend on the
    /// hyperparameters, but not on the learning rate. An optimizer has room for sixteen.
    fn slots(&self) -> &'static [&'static str];

    /// What a slot holds, in words that rules share: on a [switch](crate::Optimizer::set_rule), state goes on under
    /// another name of the same meaning, and not under the same name with another. By default, its name.
    fn meaning(&self, slot: &'static str) -> &'static str {
        slot
    }

    /// Whether a slot never holds a negative number, as what a step divides by. In [`Format::Block8`](crate::Format::Block8) it has codes
    /// without a sign then, which span squares of gradients (a number that is negative all the same loses its sign), and there and in
    /// [`Format::F16`](crate::Format::F16) what is not zero is never kept as zero. By default, whether it is named `exp_avg_sq`,
    /// `exp_avg_var`, `exp_inf`, `square_avg`, or `max_` with one of these.
    fn non_negative(&self, slot: &'static str) -> bool {
        let slot = slot.strip_prefix("max_").unwrap_or(slot);
        matches!(slot, "exp_avg_sq" | "exp_avg_var" | "exp_inf" | "square_avg")
    }

    /// Whether the hyperparameters make sense.
    ///
    /// # Errors
    /// [`Error::Hyperparameter`] names the first that does not.
    fn check(&self) -> Result<(), Error>;

    /// What the rule has of the options that every optimizer shares; they are done around its formula. A rule
    /// without any says `Shared::new(self.lr)`.
    fn shared(&self) -> Shared;

    /// Changes the learning rate. It need not be checked here.
    fn set_lr(&mut self, lr: f64);

    /// Hands the formula of step `t` to `with`, bare of what [`shared`](Self::shared) asks for. The first step is 1; there
    /// is no step 0.
    fn at<W: WithFormula>(&self, t: u64, with: W) -> W::Output;
}
