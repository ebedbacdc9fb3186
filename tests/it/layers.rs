//! Formulas that depend on sums over their layer.

use crate::bare::Bare;
use crate::cases::parallelisms;
use core::ops::Range;
use lanestep::formula::{Cautious, Decoupled, Factor, Layer};
use lanestep::{Formula, Lane, Layout, Level, OpenLeaf, Optimizer, Pipeline, Tensor, reference};
use std::sync::Mutex;

/// Steps by the norm of what it measures, which is the parameter if it does not say.
#[derive(Clone, Copy)]
struct ByNorm {
    norm: f32,
}

impl Formula<0> for ByNorm {
    const LAYERWISE: bool = true;

    fn of_layer(self, layer: Layer) -> Self {
        Self { norm: layer.measured.sqrt() as f32 }
    }

    fn update<L: Lane>(&self, p: L, _g: L, []: [L; 0]) -> (L, [L; 0]) {
        (p - self.norm, [])
    }
}

#[test]
fn a_measure_sees_the_parameter_that_the_update_sees() {
    let formula = Decoupled { by: Factor::new(0.5), then: ByNorm { norm: 0.0 } };
    assert_eq!((formula.measure(3.0_f32, 7.0, []), formula.then.measure(3.0_f32, 7.0, [])), (1.5, 3.0));
    let of_five = formula.of_layer(Layer { measured: 25.0, ..Layer::default() });
    assert_eq!(of_five.update(4.0_f32, 7.0, []).0, -3.0);
}

#[test]
fn a_cautious_formula_steps_as_far_as_its_own_until_it_knows_its_layer() {
    let formula = Cautious::new(ByNorm { norm: 2.0 });
    assert_eq!((formula.update(1.0_f32, 1.0, []).0, formula.update(1.0_f32, -1.0, []).0), (-1.0, 1.0));
}

/// Writes down what it is told of its layers, of which it measures the gradients.
#[derive(Clone, Copy)]
struct Told<'a>(&'a Mutex<Vec<Layer>>);

impl Formula<0> for Told<'_> {
    const LAYERWISE: bool = true;

    fn measure<L: Lane>(&self, _p: L, g: L, []: [L; 0]) -> L {
        g
    }

    fn of_layer(self, layer: Layer) -> Self {
        self.0.lock().unwrap().push(layer);
        self
    }

    fn update<L: Lane>(&self, p: L, _g: L, []: [L; 0]) -> (L, [L; 0]) {
        (p, [])
    }
}

/// To the last bit, which a step in single precision hides. Squares of numbers on a grid would add up without rounding.
#[test]
fn a_layer_is_told_the_sums_of_the_reference() {
    let rng = &mut fastrand::Rng::with_seed(9);
    let mut numbers = |len| -> Vec<f32> { (0..len).map(|_| (rng.f32() - 0.5) * rng.f32()).collect() };
    let sum = |x: &[f32]| reference::sum(&x.iter().map(|&x| f64::from(x).powi(2)).collect::<Vec<_>>());
    for (len, level) in [1, 31, 333, 1 << 14, 40_000].into_iter().zip(Level::available().into_iter().cycle())
    {
        for parallelism in parallelisms() {
            let told = Mutex::new(vec![]);
            let mut optimizer = Optimizer::new(Bare(Told(&told)), len + 5).unwrap();
            optimizer.set_level(level);
            optimizer.set_parallelism(parallelism);
            let (mut few, mut params, grads) = ([0.5; 5], numbers(len), numbers(len));
            let tensors = &mut [Tensor::new(&mut few, &[0.25; 5]), Tensor::new(&mut params, &grads)];
            optimizer.step_with(tensors, &Pipeline::default()).unwrap();
            drop(optimizer);
            let told = told.into_inner().unwrap();
            let layer = told.iter().find(|layer| layer.len == len).unwrap();
            assert_eq!(told.len(), 2);
            assert_eq!(
                (layer.params.to_bits(), layer.measured.to_bits()),
                (sum(&params).to_bits(), sum(&grads).to_bits())
            );
        }
    }
}

/// The same of layers that are cut, in the middle of a leaf and of a lane.
#[test]
fn a_layer_in_parts_is_told_the_sums_of_the_reference() {
    let rng = &mut fastrand::Rng::with_seed(10);
    let lens = [5, 3 * Layout::LEAF + 100, 7, 2 * Layout::LEAF];
    let len: usize = lens.iter().sum();
    let mut numbers = || -> Vec<f32> { (0..len).map(|_| (rng.f32() - 0.5) * rng.f32()).collect() };
    let (params, grads, layout) = (numbers(), numbers(), Layout::from(len));
    let sum = |x: &[f32]| reference::sum(&x.iter().map(|&x| f64::from(x).powi(2)).collect::<Vec<_>>());
    let told = Mutex::new(vec![]);
    let parts = [0..2, 2..3, 3..5].map(|leaves| leaves.start * Layout::LEAF..leaves.end * Layout::LEAF);
    let [first, second, last] = parts;
    let parts = [first, second, last.start..len];
    let of_part = |part: &Range<usize>| Optimizer::new(Bare(Told(&told)), layout.part(part.clone()).unwrap());
    let mut optimizers = parts.each_ref().map(|part| of_part(part).unwrap());

    let (mut before, mut leaves) = (OpenLeaf::default(), vec![]);
    let pipeline = Pipeline::default();
    for survey in [true, false] {
        for (part, optimizer) in parts.iter().zip(&mut optimizers) {
            let mut start = 0;
            let mut own = params[part.clone()].to_vec();
            let (mut rest, mut tensors) = (&mut own[..], vec![]);
            for len in lens {
                let here = part.start.max(start)..part.end.min(start + len);
                if !here.is_empty() {
                    tensors.push(Tensor::new(rest.split_off_mut(..here.len()).unwrap(), &grads[here]));
                }
                start += len;
            }
            let mut step = optimizer.in_parts(&pipeline).unwrap();
            step.set_layers(&lens).unwrap();
            if survey {
                leaves.extend(step.layer_leaves(&tensors, &before).unwrap());
                before = step.open_leaf(&tensors).unwrap();
            } else {
                step.know_layers(&leaves).unwrap();
                step.step(part.start, &mut tensors).unwrap();
            }
        }
    }
    drop(optimizers);
    let told = told.into_inner().unwrap();
    let (mut start, mut times) = (0, 0);
    for len in lens {
        let here = start..start + len;
        start = here.end;
        let expected = (sum(&params[here.clone()]).to_bits(), sum(&grads[here]).to_bits());
        for layer in told.iter().filter(|layer| layer.len == len) {
            assert_eq!((layer.params.to_bits(), layer.measured.to_bits()), expected, "{len}");
            times += 1;
        }
    }
    assert_eq!((told.len(), times), (6, 6)); // the second in all parts, the others in one
}
