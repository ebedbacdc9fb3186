//! However many variables there are, and however small the stack.

use crate::{bits, numbers, random, store};
use candle_core::{DType, Result, Tensor, Var};
use candle_nn::Optimizer as _;
use lanestep_candle::{AdamW, lanestep};
use std::thread;

fn many(count: usize) -> Result<()> {
    let mut rng = fastrand::Rng::with_seed(11);
    let start = random(&[count, 3], DType::F32, &mut rng)?;
    let row = |tensor: &Tensor, index| tensor.get(index);
    let vars = (0..count).map(|i| Var::from_tensor(&row(&start, i)?)).collect::<Result<Vec<_>>>()?;
    let mut adamw = AdamW::new(vars.clone(), lanestep::AdamW::default())?;
    let mut flat = numbers([&start])?;
    let mut expected = lanestep::Optimizer::new(lanestep::AdamW::default(), flat.len()).unwrap();
    for _ in 0..2 {
        let grad = random(&[count, 3], DType::F32, &mut rng)?;
        let grads = (0..count).map(|i| row(&grad, i)).collect::<Result<Vec<_>>>()?;
        adamw.step(&store(vars.iter().zip(grads))?)?;
        expected.step(&mut flat, &numbers([&grad])?).unwrap();
    }
    assert_eq!(bits(&numbers(vars.iter().map(Var::as_tensor))?), bits(&flat));
    Ok(())
}

#[test]
fn a_thread_of_512_kib_steps_thousands() {
    for count in [1000, 20_000] {
        let thread = thread::Builder::new().stack_size(512 << 10);
        thread.spawn(move || many(count)).unwrap().join().unwrap().unwrap();
    }
}

#[test]
fn so_does_a_thread_of_a_pool() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).stack_size(512 << 10).build().unwrap();
    pool.install(|| many(20_000)).unwrap();
}
