//! The same bits as the flat step, in place.

use crate::{address, bits, network, numbers, random, sorted, store};
use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::Optimizer as _;
use half::{bf16, f16};
use lanestep::{AnyRule, Group, NonFinite, Pipeline, Rule};
use lanestep_candle::{AdamW, Error, Optimizer, Sgd, lanestep};

const SHAPES: [&[usize]; 5] = [&[30, 20], &[], &[0, 4], &[7], &[3, 2, 5]];

/// Variables, and flat copies of them.
fn vars(dtype: DType, rng: &mut fastrand::Rng) -> Result<(Vec<Var>, Vec<f32>)> {
    let tensors = SHAPES.iter().map(|shape| random(shape, dtype, rng)).collect::<Result<Vec<_>>>()?;
    let vars = tensors.iter().map(Var::from_tensor).collect::<Result<Vec<_>>>()?;
    Ok((vars, numbers(&tensors)?))
}

fn grads(vars: &[Var], dtype: DType, rng: &mut fastrand::Rng) -> Result<Vec<Tensor>> {
    vars.iter().map(|var| random(var.dims(), dtype, rng)).collect()
}

#[test]
fn every_rule_steps_in_place_as_the_flat_step() -> Result<()> {
    for rule in AnyRule::all() {
        let mut rng = fastrand::Rng::with_seed(1);
        let (vars, mut flat) = vars(DType::F32, &mut rng)?;
        let places: Vec<_> = vars.iter().map(address).collect();
        let mut optimizer = Optimizer::new(vars.clone(), rule)?;
        let mut expected = lanestep::Optimizer::new(rule, flat.len()).unwrap();
        for _ in 0..5 {
            let grads = grads(&vars, DType::F32, &mut rng)?;
            let flat_grads = numbers(&grads)?;
            optimizer.step(&store(vars.iter().zip(grads))?)?;
            // Of a layerwise rule, each tensor is a layer.
            let (mut params, mut grads) = (&mut flat[..], &flat_grads[..]);
            let mut tensors = Vec::new();
            for shape in SHAPES {
                let len = shape.iter().product();
                let params = params.split_off_mut(..len).unwrap();
                tensors.push(lanestep::Tensor::new(params, grads.split_off(..len).unwrap()));
            }
            expected.step_with(&mut tensors, &Pipeline::default()).unwrap();
        }
        assert_eq!(bits(&numbers(vars.iter().map(Var::as_tensor))?), bits(&flat), "{}", rule.name());
        assert_eq!(vars.iter().map(address).collect::<Vec<_>>(), places, "{}", rule.name());
        for name in rule.slots() {
            assert_eq!(optimizer.optimizer().state(name), expected.state(name), "{}", rule.name());
        }
    }
    Ok(())
}

#[test]
fn parameters_and_gradients_of_16_bits() -> Result<()> {
    let rule = lanestep::AdamW { lr: 0.1, ..lanestep::AdamW::default() };
    for (dtype, of_grads) in [
        (DType::BF16, DType::BF16),
        (DType::BF16, DType::F32),
        (DType::F16, DType::F16),
        (DType::F32, DType::F16),
        (DType::F16, DType::BF16),
        (DType::F32, DType::BF16),
    ] {
        let mut rng = fastrand::Rng::with_seed(2);
        let (vars, mut flat) = vars(dtype, &mut rng)?;
        let mut optimizer = AdamW::new(vars.clone(), rule)?;
        let mut expected = lanestep::Optimizer::new(rule, flat.len()).unwrap();
        let mut step = |params: lanestep::Tensor<'_>| {
            expected.step_with(&mut [params], &Pipeline::default()).unwrap();
        };
        for _ in 0..3 {
            let grads = grads(&vars, of_grads, &mut rng)?;
            // Gradients of 16 bits are numbers in f32 too.
            let flat_grads = numbers(&grads)?;
            optimizer.step(&store(vars.iter().zip(grads))?)?;
            match dtype {
                DType::BF16 => {
                    let mut params: Vec<bf16> = flat.iter().copied().map(bf16::from_f32).collect();
                    step(lanestep::Tensor::new(&mut params, &flat_grads));
                    flat = params.iter().map(|param| param.to_f32()).collect();
                }
                DType::F16 => {
                    let mut params: Vec<f16> = flat.iter().copied().map(f16::from_f32).collect();
                    step(lanestep::Tensor::new(&mut params, &flat_grads));
                    flat = params.iter().map(|param| param.to_f32()).collect();
                }
                _ => step(lanestep::Tensor::new(&mut flat, &flat_grads)),
            }
        }
        assert_eq!(bits(&numbers(vars.iter().map(Var::as_tensor))?), bits(&flat), "{dtype:?}, {of_grads:?}");
    }
    Ok(())
}

#[test]
fn the_pipeline_is_that_of_the_flat_step() -> Result<()> {
    let (varmap, loss) = network(3)?;
    let rule = lanestep::AdamW { lr: 0.1, ..lanestep::AdamW::default() };
    let mut optimizer = AdamW::from_varmap(&varmap, rule)?;
    optimizer.pipeline = Pipeline { max_norm: Some(0.01), scale: 0.5, ..Pipeline::default() };
    let vars: Vec<Var> = sorted(&varmap).into_iter().map(|(_, var)| var).collect();
    let mut flat = numbers(vars.iter().map(Var::as_tensor))?;
    let mut expected = lanestep::Optimizer::new(rule, flat.len()).unwrap();
    let input = random(&[4, 5], DType::F32, &mut fastrand::Rng::with_seed(4))?;
    for step in 0..6 {
        let grads = loss(&input)?.backward()?;
        let flat_grads = numbers(vars.iter().map(|var| grads.get(var).unwrap()))?;
        let pipeline = Pipeline { measure_update: true, ..optimizer.pipeline };
        let report = match step % 2 {
            0 => Some(optimizer.step_with(&grads, &pipeline)?),
            _ => optimizer.backward_step(&loss(&input)?).map(|()| None)?,
        };
        let tensors = &mut [lanestep::Tensor::new(&mut flat, &flat_grads)];
        let found = expected.step_with(tensors, &pipeline).unwrap();
        assert!(found.clipped() && report.is_none_or(|report| report == found));
        assert_eq!(bits(&numbers(vars.iter().map(Var::as_tensor))?), bits(&flat));
    }
    Ok(())
}

#[test]
fn a_skipped_step_writes_nothing() -> Result<()> {
    let var = Var::new(&[1_f32, 2.0], &Device::Cpu)?;
    let mut sgd = Sgd::new(vec![var.clone()], lanestep::Sgd::default())?;
    let grads = store([(&var, Tensor::new(&[f32::NAN, 1.0], &Device::Cpu)?)])?;
    let skip = Pipeline { non_finite: NonFinite::Skip, ..Pipeline::default() };
    assert!(sgd.step_with(&grads, &skip)?.skipped);
    let fail = Pipeline { non_finite: NonFinite::Error, ..Pipeline::default() };
    let error = sgd.step_with(&grads, &fail).unwrap_err();
    assert!(matches!(error, Error::Step(lanestep::Error::NonFinite { first: 0, .. })), "{error}");
    assert_eq!((var.to_vec1::<f32>()?, sgd.optimizer().steps()), (vec![1.0, 2.0], 0));
    Ok(())
}

#[test]
fn without_a_gradient_a_variable_is_left_alone() -> Result<()> {
    let [used, unused] = [0, 1].map(|_| Var::new(&[1_f32, 2.0], &Device::Cpu).unwrap());
    let rule = lanestep::AdamW { lr: 0.1, weight_decay: 0.5, ..lanestep::AdamW::default() };
    let mut adamw = AdamW::new(vec![unused.clone(), used.clone()], rule)?;
    adamw.backward_step(&used.sqr()?.sum_all()?)?;
    assert_eq!(unused.to_vec1::<f32>()?, [1.0, 2.0]);
    assert!(used.to_vec1::<f32>()?[0] < 1.0);
    let moments = adamw.optimizer().state("exp_avg").unwrap();
    assert!(moments[..2] == [0.0; 2] && moments[2] > 0.0);
    // Both are in one group, whose steps go on.
    assert_eq!(adamw.optimizer().group_steps(0), Some(1));
    Ok(())
}

#[test]
fn gradients_that_are_not_contiguous_are_put_in_order() -> Result<()> {
    let mut rng = fastrand::Rng::with_seed(5);
    let start = random(&[4, 3], DType::F32, &mut rng)?;
    let expanded = Tensor::new(0.5_f32, &Device::Cpu)?.broadcast_as((4, 3))?;
    let transposed = random(&[3, 4], DType::F32, &mut rng)?.t()?;
    let narrow = random(&[4, 6], DType::F32, &mut rng)?.narrow(1, 2, 3)?;
    let of_a_batch = random(&[2, 4, 3], DType::F32, &mut rng)?.get(1)?; // contiguous, but not from the beginning
    assert!(of_a_batch.is_contiguous() && of_a_batch.layout().start_offset() == 12);
    for grad in [expanded, transposed, narrow, of_a_batch] {
        let var = Var::from_tensor(&start)?;
        let mut sgd = Sgd::new(vec![var.clone()], lanestep::Sgd { lr: 0.5, ..lanestep::Sgd::default() })?;
        let mut flat = numbers([&start])?;
        let mut expected = lanestep::Optimizer::new(*sgd.optimizer().rule(), 12).unwrap();
        expected.step(&mut flat, &numbers([&grad])?).unwrap();
        sgd.step(&store([(&var, grad)])?)?;
        assert_eq!(bits(&numbers([var.as_tensor()])?), bits(&flat));
    }
    Ok(())
}

#[test]
fn gradients_may_share_memory_with_each_other() -> Result<()> {
    let [a, b] = [1_f32, 2.0].map(|start| Var::new(&[start; 3], &Device::Cpu).unwrap());
    let grad = Tensor::new(&[0.5_f32; 3], &Device::Cpu)?;
    let mut sgd =
        Sgd::new(vec![a.clone(), b.clone()], lanestep::Sgd { lr: 1.0, ..lanestep::Sgd::default() })?;
    sgd.step(&store([(&a, grad.clone()), (&b, grad)])?)?;
    assert_eq!([a.to_vec1::<f32>()?, b.to_vec1::<f32>()?], [[0.5; 3], [1.5; 3]]);
    Ok(())
}

#[test]
fn groups_are_picked_by_name() -> Result<()> {
    let (varmap, loss) = network(6)?;
    let sgd = lanestep::Sgd { lr: 0.5, ..lanestep::Sgd::default() };
    let mut optimizer = Sgd::with_groups(&varmap, |layout| {
        let [weights, biases] = [".weight", ".bias"].map(|end| layout.select(|name| name.ends_with(end)));
        [Group::over(sgd, weights), Group::over(lanestep::Sgd { lr: 0.25, ..sgd }, biases)]
    })?;
    let names: Vec<_> = optimizer.vars().map(|(name, _)| name).collect();
    assert_eq!(names, ["a.bias", "a.weight", "z.bias", "z.weight"]);
    assert_eq!(optimizer.optimizer().layout().shape("z.weight"), Some(&[7, 5][..]));
    optimizer.set_learning_rate(1.0);
    assert_eq!(optimizer.learning_rate().to_bits(), 1_f64.to_bits());
    let input = random(&[4, 5], DType::F32, &mut fastrand::Rng::with_seed(7))?;
    let grads = loss(&input)?.backward()?;
    let before: Vec<_> =
        sorted(&varmap).iter().map(|(_, var)| numbers([var.as_tensor()])).collect::<Result<_>>()?;
    optimizer.step(&grads)?;
    for ((name, var), before) in sorted(&varmap).iter().zip(before) {
        let lr = if name.ends_with("bias") { 0.5 } else { 1.0 };
        let grads = numbers(grads.get(var))?;
        let expected: Vec<f32> = before.iter().zip(&grads).map(|(param, grad)| param - lr * grad).collect();
        assert_eq!(bits(&numbers([var.as_tensor()])?), bits(&expected), "{name}");
    }
    Ok(())
}

#[test]
fn the_average_changes_places_and_back() -> Result<()> {
    let (varmap, loss) = network(8)?;
    let mut optimizer = AdamW::from_varmap(&varmap, lanestep::AdamW::default())?;
    optimizer.optimizer_mut().set_ema(0.5).unwrap();
    let input = random(&[4, 5], DType::F32, &mut fastrand::Rng::with_seed(9))?;
    for _ in 0..3 {
        optimizer.backward_step(&loss(&input)?)?;
    }
    let now = || numbers(sorted(&varmap).iter().map(|(_, var)| var.as_tensor()));
    let (params, average) = (now()?, optimizer.optimizer().ema().unwrap().to_vec());
    assert_ne!(params, average);
    optimizer.swap_ema()?;
    assert_eq!(bits(&now()?), bits(&average));
    let error = optimizer.backward_step(&loss(&input)?).unwrap_err();
    assert!(matches!(Error::of(&error), Some(Error::Step(lanestep::Error::Swapped))), "{error}");
    optimizer.swap_ema()?;
    assert_eq!(bits(&now()?), bits(&params));
    Ok(())
}

#[test]
fn what_is_no_float_is_left_out() -> Result<()> {
    let (weight, count) = (Var::new(1_f32, &Device::Cpu)?, Var::new(3_u32, &Device::Cpu)?);
    let mut sgd =
        Sgd::new(vec![count.clone(), weight.clone()], lanestep::Sgd { lr: 0.5, ..lanestep::Sgd::default() })?;
    sgd.backward_step(&weight)?;
    assert_eq!((weight.to_scalar::<f32>()?, count.to_scalar::<u32>()?), (0.5, 3));
    assert_eq!(sgd.vars().map(|(name, _)| name).collect::<Vec<_>>(), ["1"]);
    Sgd::empty(lanestep::Sgd::default())?.backward_step(&weight)
}

#[test]
fn bits_are_the_same_in_any_pool() -> Result<()> {
    let mut results = Vec::new();
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        results.push(pool.install(|| {
            let mut rng = fastrand::Rng::with_seed(10);
            let var = Var::from_tensor(&random(&[300, 400], DType::F32, &mut rng)?)?;
            let mut adamw = AdamW::new(vec![var.clone()], lanestep::AdamW::default())?;
            for _ in 0..2 {
                adamw.step(&store([(&var, random(&[300, 400], DType::F32, &mut rng)?)])?)?;
            }
            numbers([var.as_tensor()])
        })?);
    }
    assert_eq!(bits(&results[0]), bits(&results[1]));
    Ok(())
}
