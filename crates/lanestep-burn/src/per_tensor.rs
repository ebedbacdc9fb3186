//! A rule in the place of one of burn's own.

use crate::numbers;
use burn::optim::{LearningRate, RecordState, StateSink, StateSource};
use burn::tensor::{Device, Tensor, TensorData};
use lanestep::{Error, Optimizer, Pipeline, Rule};

/// A rule as burn's [`Optimizer`](burn::optim::Optimizer), for its own `ModuleOptimizer` and what is built on that, such as
/// burn-train's `Learner`, with burn's groups, clipping and records.
///
/// It is called for one tensor at a time: what needs to see all of them, such as clipping by the global norm, only
/// [`ModuleOptimizer`](crate::ModuleOptimizer) has.
///
/// ```
/// # fn main() -> Result<(), lanestep::Error> {
/// use burn::optim::ModuleOptimizer;
/// use lanestep::Lion;
/// use lanestep_burn::PerTensor;
/// let optimizer: ModuleOptimizer = PerTensor::new(Lion::default())?.into(); // in the place of `LionConfig::new().init()`
/// # Ok(()) }
/// ```
///
/// # Panics
/// burn leaves no way to return an error from a step. So a step panics with what is wrong: a learning rate that is out of
/// range, numbers that are not in F32, BF16 or F16, a gradient of another length, a record of another rule, no memory for
/// state.
#[derive(Clone, Debug)]
pub struct PerTensor<R> {
    rule: R,
}

impl<R: Rule> PerTensor<R> {
    /// Steps by this rule, but with the learning rate that burn gives.
    ///
    /// # Errors
    /// What is wrong with the rule's hyperparameters.
    pub fn new(rule: R) -> Result<Self, Error> {
        Optimizer::new(rule.clone(), 0)?;
        Ok(Self { rule })
    }
}

/// What burn keeps for one tensor.
#[derive(Debug)]
pub struct State<R>(Kept<R>);

#[derive(Debug)]
enum Kept<R> {
    Running(Box<Optimizer<R>>),
    /// From a record, which knows no rule.
    Recorded {
        steps: u64,
        slots: Vec<TensorData>,
    },
}

impl<R: Rule> State<R> {
    fn optimizer(self, rule: &R, len: usize) -> Result<Optimizer<R>, Error> {
        let (steps, slots) = match self.0 {
            Kept::Running(optimizer) => return Ok(*optimizer),
            Kept::Recorded { steps, slots } => (steps, slots),
        };
        let mut optimizer = Optimizer::new(rule.clone(), len)?;
        let names: Vec<_> = optimizer.state_names().collect();
        if names.len() != slots.len() {
            return Err(Error::Slots { expected: names.len(), found: slots.len() });
        }
        for (name, slot) in names.into_iter().zip(slots) {
            optimizer.set_state(name, slot.convert::<f32>().as_slice().unwrap_or_default())?;
        }
        optimizer.set_steps(steps);
        optimizer.set_group_steps(0, steps)?; // which rules count
        Ok(optimizer)
    }
}

impl<R: Rule + 'static> burn::optim::Optimizer for PerTensor<R> {
    type State<const D: usize> = State<R>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<State<R>>,
    ) -> (Tensor<D>, Option<State<R>>) {
        let (device, dtype) = (tensor.device(), tensor.dtype());
        let (mut params, grads) = (tensor.into_data(), grad.into_data());
        let step = |params: &mut TensorData| -> Result<_, Box<dyn std::error::Error>> {
            let len = params.num_elements();
            let mut optimizer = match state {
                Some(state) => state.optimizer(&self.rule, len)?,
                None => Optimizer::new(self.rule.clone(), len)?,
            };
            optimizer.set_lr(lr)?;
            optimizer.step_with(&mut [numbers::tensor(params, Some(&grads))?], &Pipeline::default())?;
            Ok(optimizer)
        };
        match step(&mut params) {
            Ok(optimizer) => {
                let tensor = Tensor::from_data(params, (&device, dtype));
                (tensor, Some(State(Kept::Running(Box::new(optimizer)))))
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// It is always in the host's memory.
    fn to_device<const D: usize>(state: State<R>, _device: &Device) -> State<R> {
        state
    }
}

/// Where burn clones its optimizer.
impl<R: Rule> Clone for State<R> {
    fn clone(&self) -> Self {
        Self(match &self.0 {
            Kept::Running(optimizer) => match optimizer.try_clone() {
                Ok(optimizer) => Kept::Running(Box::new(optimizer)),
                Err(error) => panic!("{error}"),
            },
            Kept::Recorded { steps, slots } => Kept::Recorded { steps: *steps, slots: slots.clone() },
        })
    }
}

/// Slots are numbered in a record, as a rule's names are not known where it is read.
impl<R: Rule + 'static> RecordState for State<R> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        let (steps, slots) = match &self.0 {
            Kept::Recorded { steps, slots } => (*steps, slots.clone()),
            Kept::Running(optimizer) => {
                let slots = optimizer.state_names().filter_map(|name| optimizer.state(name));
                let data = slots.map(|slot| TensorData::new(slot.to_vec(), [slot.len()]));
                (optimizer.steps(), data.collect())
            }
        };
        out.push_scalar(prefix, "steps", steps.into());
        for (slot, data) in slots.into_iter().enumerate() {
            out.push_tensor(prefix, &slot.to_string(), data);
        }
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, _device: &Device) -> Option<Self> {
        let steps = src.take_scalar(prefix, "steps")?.try_into().ok()?;
        let slots = (0..).map_while(|slot: usize| src.take_tensor(prefix, &slot.to_string())).collect();
        Some(Self(Kept::Recorded { steps, slots }))
    }
}
