//! Runs that are done twice: by all ranks together, and by each alone with an ordinary optimizer.

use half::{bf16, f16};
use lanestep::{
    AnyRule, Element, Format, Formula, Group, NonFinite, Optimizer, Pipeline, Report, Rounding, Rule, Tensor,
    WithFormula,
};
use lanestep_mpi::{Error, Sharded};
use mpi::topology::SimpleCommunicator;
use std::fmt::Debug;

/// What is trained, and how.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) seed: u64,
    pub(crate) groups: Vec<Group<AnyRule>>,
    /// The lengths of the slices, which are layers.
    pub(crate) tensors: Vec<usize>,
    pub(crate) micro_batches: usize,
    pub(crate) bucket: usize,
    pub(crate) format: Format,
    pub(crate) params: Format,
    pub(crate) rounding: Rounding,
    pub(crate) split: bool,
    pub(crate) ema: Option<f64>,
    /// One for each step.
    pub(crate) pipelines: Vec<Pipeline>,
}

/// Numbers that parameters may be.
pub(crate) trait Number: Element + Debug {
    fn of(number: f32) -> Self;
}

impl Number for f32 {
    fn of(number: f32) -> Self {
        number
    }
}

impl Number for bf16 {
    fn of(number: f32) -> Self {
        Self::from_f32(number)
    }
}

impl Number for f16 {
    fn of(number: f32) -> Self {
        Self::from_f32(number)
    }
}

/// The gradients of a micro-batch, which depend on nothing else.
pub(crate) fn gradient(seed: u64, step: usize, batch: usize, grads: &mut [f32]) {
    let mut rng = fastrand::Rng::with_seed(seed ^ (step * 1000 + batch) as u64);
    grads.iter_mut().for_each(|g| *g = rng.f32() - 0.5);
}

/// The sum over `width` micro-batches from the `first` on, of `batches` in all, from its definition.
pub(crate) fn summed(
    first: usize,
    width: usize,
    batches: usize,
    leaf: &dyn Fn(usize) -> Vec<f32>,
) -> Vec<f32> {
    if width == 1 {
        return leaf(first);
    }
    let half = width / 2;
    let left = summed(first, half, batches, leaf);
    if first + half >= batches {
        return left;
    }
    let right = summed(first + half, half, batches, leaf);
    left.iter().zip(&right).map(|(left, right)| left + right).collect()
}

pub(crate) fn layerwise(rule: &AnyRule) -> bool {
    struct Look;
    impl WithFormula for Look {
        type Output = bool;
        fn formula<F: Formula<S>, const S: usize>(self, _: F) -> bool {
            F::LAYERWISE
        }
    }
    rule.at(1, Look)
}

impl Model {
    pub(crate) fn len(&self) -> usize {
        self.tensors.iter().sum()
    }

    fn set(&self, optimizer: &mut Optimizer<AnyRule>) -> Result<(), lanestep::Error> {
        optimizer.set_state_format(None, self.format)?;
        optimizer.set_rounding(self.rounding);
        optimizer.set_split(self.split)?;
        optimizer.set_ema(self.ema)
    }

    fn gradient(&self, step: usize, batch: usize, grads: &mut [f32]) {
        gradient(self.seed, step, batch, grads);
        if self.pipelines[step].non_finite != NonFinite::Propagate && step == 1 && batch == 0 {
            grads[grads.len() / 2] = f32::NAN;
        }
    }

    /// Does both, and says where they differ.
    pub(crate) fn check(&self, world: &SimpleCommunicator) -> Result<(), String> {
        let found = match self.params {
            Format::Bf16 => self.check_in::<bf16>(world),
            Format::F16 => self.check_in::<f16>(world),
            _ => self.check_in::<f32>(world),
        };
        found.map_err(|what| format!("{what}\nin {self:?}"))
    }

    fn check_in<P: Number>(&self, world: &SimpleCommunicator) -> Result<(), String> {
        let (len, batches) = (self.len(), self.micro_batches);
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let mut rng = fastrand::Rng::with_seed(self.seed);
        let mut params: Vec<P> = (0..len).map(|_| P::of(rng.f32() - 0.5)).collect();
        let mut expected = params.clone();
        let groups = || self.groups.iter().cloned();
        // Without parameters there is but one group without any, which only `new` can make.
        let (mut optimizer, mut sharded) = if len == 0 {
            let rule = self.groups[0].rule;
            (Optimizer::new(rule, 0).map_err(|e| text(&e))?, Sharded::new(world, rule, 0, batches))
        } else {
            let optimizer = Optimizer::with_groups(groups(), len).map_err(|e| text(&e))?;
            (optimizer, Sharded::with_groups(world, groups(), len, batches))
        };
        let sharded = sharded.as_mut().map_err(|e| text(e))?;
        self.set(&mut optimizer).map_err(|e| text(&e))?;
        self.set(sharded.optimizer_mut()).map_err(|e| text(&e))?;
        sharded.set_bucket(self.bucket).map_err(|e| text(&e))?;
        let own = sharded.range();

        for (step, pipeline) in self.pipelines.iter().enumerate() {
            let leaf = |batch| {
                let mut grads = vec![0.0; len];
                self.gradient(step, batch, &mut grads);
                grads
            };
            let grads = summed(0, batches.next_power_of_two(), batches, &leaf);
            let in_one = optimizer.step_with(&mut tensors(&self.tensors, &mut expected, &grads), pipeline);

            for batch in sharded.micro_batches() {
                let grads = sharded.grads(batch).map_err(|e| text(&e))?;
                if grads.iter().any(|g| *g != 0.0) {
                    return Err(format!("step {step}: gradients do not begin with zeros"));
                }
                self.gradient(step, batch, grads);
            }
            let mut slices = slices(&self.tensors, &mut params);
            let in_all = sharded.step_tensors(&mut slices, pipeline);
            same_report(&in_one, &in_all).map_err(|what| format!("step {step}: {what}"))?;

            let bytes = |params: &[P]| bytemuck::cast_slice::<P, u8>(params).to_vec();
            if let Some(byte) = first(&bytes(&params), &bytes(&expected)) {
                return Err(format!("step {step}: the parameter at {}", byte / size_of::<P>()));
            }
            for name in optimizer.state_names() {
                let read = |optimizer: &Optimizer<AnyRule>| {
                    let mut numbers = vec![0.0_f32; optimizer.len()];
                    optimizer.read_state(name, &mut numbers).map_err(|e| text(&e))?;
                    Ok::<_, String>(numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>())
                };
                if let Some(place) = first(&read(sharded.optimizer())?, &read(&optimizer)?[own.clone()]) {
                    return Err(format!("step {step}: {name} at {}", own.start + place));
                }
            }
            let average = |optimizer: &Optimizer<AnyRule>| -> Vec<u32> {
                optimizer.ema().unwrap_or_default().iter().map(|x| x.to_bits()).collect()
            };
            let whole = average(&optimizer);
            let whole = if whole.is_empty() { &[] } else { &whole[own.clone()] };
            if let Some(place) = first(&average(sharded.optimizer()), whole) {
                return Err(format!("step {step}: the average at {}", own.start + place));
            }
            if sharded.optimizer().steps() != optimizer.steps() {
                return Err(format!("step {step}: is not counted alike"));
            }
        }
        Ok(())
    }
}

/// Where two lists differ.
fn first<T: PartialEq>(found: &[T], expected: &[T]) -> Option<usize> {
    let differs = found.iter().zip(expected).position(|(a, b)| a != b);
    differs.or((found.len() != expected.len()).then_some(found.len().min(expected.len())))
}

fn same_report(
    expected: &Result<Report, lanestep::Error>,
    found: &Result<Report, Error>,
) -> Result<(), String> {
    let (expected, found) = match (expected, found) {
        (Ok(expected), Ok(found)) => (format!("{expected:?}"), format!("{found:?}")),
        (Err(expected), Err(Error::Optimizer(found))) => (expected.to_string(), found.to_string()),
        (expected, found) => (format!("{expected:?}"), format!("{found:?}")),
    };
    if expected == found { Ok(()) } else { Err(format!("found {found}, expected {expected}")) }
}

fn slices<'a, P>(lens: &[usize], mut params: &'a mut [P]) -> Vec<&'a mut [P]> {
    lens.iter().map(|len| params.split_off_mut(..*len).expect("as long as all")).collect()
}

fn tensors<'a, P: Element>(lens: &[usize], params: &'a mut [P], mut grads: &'a [f32]) -> Vec<Tensor<'a>> {
    let tensor = |params: &'a mut [P]| {
        let grads = grads.split_off(..params.len()).expect("as long as the parameters");
        Tensor::new(params, grads)
    };
    slices(lens, params).into_iter().map(tensor).collect()
}
