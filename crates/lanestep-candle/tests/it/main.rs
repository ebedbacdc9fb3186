//! Bits are compared with those of lanestep's flat step.

mod behaviour;
mod bits;
mod errors;
mod files;
mod stack;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{VarBuilder, VarMap};

/// The numbers of many tensors, end to end.
fn numbers<'a>(tensors: impl IntoIterator<Item = &'a Tensor>) -> Result<Vec<f32>> {
    let one = |tensor: &Tensor| tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1();
    Ok(tensors.into_iter().map(one).collect::<Result<Vec<_>>>()?.concat())
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// Where candle keeps a variable.
fn address(var: &Var) -> usize {
    let (storage, _) = var.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(candle_core::CpuStorage::F32(numbers)) => numbers.as_ptr().addr(),
        _ => panic!("not f32 on the CPU"),
    }
}

fn random(shape: &[usize], dtype: DType, rng: &mut fastrand::Rng) -> Result<Tensor> {
    let numbers: Vec<f32> = (0..shape.iter().product()).map(|_| rng.f32() - 0.5).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu)?.to_dtype(dtype)
}

/// A store of these gradients, as a loss would leave it.
fn store<'a>(grads: impl IntoIterator<Item = (&'a Var, Tensor)>) -> Result<GradStore> {
    let mut store = Tensor::zeros((), DType::F32, &Device::Cpu)?.backward()?;
    for (var, grad) in grads {
        store.insert(var, grad);
    }
    Ok(store)
}

/// Two layers, whose names are in another order than they are made.
fn network(seed: u64) -> Result<(VarMap, impl Fn(&Tensor) -> Result<Tensor>)> {
    let varmap = VarMap::new();
    let vb = VarBuilder::from_varmap(&varmap, DType::F32, &Device::Cpu);
    let first = candle_nn::linear(5, 7, vb.pp("z"))?;
    let second = candle_nn::linear(7, 3, vb.pp("a"))?;
    let mut rng = fastrand::Rng::with_seed(seed);
    for (_, var) in sorted(&varmap) {
        var.set(&random(var.dims(), DType::F32, &mut rng)?)?;
    }
    let loss = move |input: &Tensor| {
        let hidden = input.apply(&first)?.tanh()?;
        hidden.apply(&second)?.sqr()?.mean_all()
    };
    Ok((varmap, loss))
}

fn sorted(varmap: &VarMap) -> Vec<(String, Var)> {
    let mut vars: Vec<_> =
        varmap.data().lock().unwrap().iter().map(|(name, var)| (name.clone(), var.clone())).collect();
    vars.sort_by(|(a, _), (b, _)| a.cmp(b));
    vars
}
