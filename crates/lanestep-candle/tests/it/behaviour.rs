//! What candle's own optimizers are expected to do, these do.

use candle_core::{DType, Device, Module, Result, Tensor, Var};
use candle_nn::{Linear, Optimizer};
use lanestep_candle::{AdamW, Sgd, lanestep};

/// Fits `y = 3 a + b - 2` to four points, from zero.
fn regression<O: Optimizer>(config: O::Config, steps: usize) -> Result<[f32; 3]> {
    let inputs = Tensor::new(&[[2_f32, 1.0], [7.0, 4.0], [-4.0, 12.0], [5.0, 8.0]], &Device::Cpu)?;
    let truth =
        Linear::new(Tensor::new(&[[3_f32, 1.0]], &Device::Cpu)?, Some(Tensor::new(-2_f32, &Device::Cpu)?));
    let targets = truth.forward(&inputs)?;
    let weight = Var::zeros((1, 2), DType::F32, &Device::Cpu)?;
    let bias = Var::zeros((), DType::F32, &Device::Cpu)?;
    let model = Linear::new(weight.as_tensor().clone(), Some(bias.as_tensor().clone()));
    let mut optimizer = O::new(vec![weight.clone(), bias.clone()], config)?;
    for _ in 0..steps {
        optimizer.backward_step(&(model.forward(&inputs)? - &targets)?.sqr()?.sum_all()?)?;
    }
    let weights = weight.flatten_all()?.to_vec1()?;
    Ok([weights[0], weights[1], bias.to_scalar()?])
}

fn close(found: [f32; 3], expected: [f32; 3], within: f32) {
    assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= within), "{found:?}, not {expected:?}");
}

#[test]
fn sgd_goes_to_the_least_square() -> Result<()> {
    let x = Var::new(0_f32, &Device::Cpu)?;
    let mut sgd = Sgd::new(vec![x.clone()], lanestep::Sgd { lr: 0.1, ..lanestep::Sgd::default() })?;
    for _ in 0..100 {
        sgd.backward_step(&(x.as_tensor() - 4.2)?.sqr()?)?;
    }
    assert!((x.to_scalar::<f32>()? - 4.199999).abs() < 1e-6);
    Ok(())
}

/// With the values that PyTorch arrives at, too.
#[test]
fn sgd_fits_a_line() -> Result<()> {
    let ours = regression::<Sgd>(lanestep::Sgd { lr: 0.004, ..lanestep::Sgd::default() }, 1000)?;
    close(ours, [2.9983196, 0.99790204, -1.9796902], 1e-6);
    close(ours, regression::<candle_nn::SGD>(0.004, 1000)?, 1e-6);
    Ok(())
}

/// A rate at which it swings further and further: with the values that PyTorch arrives at.
#[test]
fn sgd_with_nesterov_swings() -> Result<()> {
    let rule = lanestep::Sgd { lr: 0.004, momentum: 0.1, nesterov: true, ..lanestep::Sgd::default() };
    close(regression::<Sgd>(rule, 100)?, [1.07495, -9.90416, -1.8961483], 1e-4);
    Ok(())
}

#[test]
fn adamw_fits_a_line() -> Result<()> {
    let ours = regression::<AdamW>(lanestep::AdamW { lr: 0.1, ..lanestep::AdamW::default() }, 100)?;
    close(ours, [2.7257, 0.7097, 0.7873], 5e-5);
    let params = candle_nn::ParamsAdamW { lr: 0.1, ..candle_nn::ParamsAdamW::default() };
    close(ours, regression::<candle_nn::AdamW>(params, 100)?, 1e-5);
    Ok(())
}

#[test]
fn defaults_are_those_of_candle() {
    let (ours, theirs) = (lanestep::AdamW::default(), candle_nn::ParamsAdamW::default());
    assert_eq!(
        (ours.lr, ours.betas, ours.eps, ours.weight_decay),
        (theirs.lr, [theirs.beta1, theirs.beta2].into(), theirs.eps, theirs.weight_decay)
    );
}
