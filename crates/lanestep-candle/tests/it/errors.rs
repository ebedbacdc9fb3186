//! What is refused, with nothing written.

use crate::{random, sorted, store};
use candle_core::{DType, Device, Result, Tensor, Var};
use candle_nn::{Optimizer as _, VarMap};
use lanestep_candle::{AdamW, Error, Sgd, lanestep};

fn ones(count: usize) -> Result<Vec<Var>> {
    (0..count).map(|_| Var::ones((2, 3), DType::F32, &Device::Cpu)).collect()
}

fn refused(vars: Vec<Var>) -> String {
    let error = AdamW::new(vars, lanestep::AdamW::default()).unwrap_err();
    Error::of(&error).expect("an error of this crate").to_string()
}

#[test]
fn a_variable_twice() -> Result<()> {
    let vars = ones(2)?;
    assert_eq!(
        refused([&vars[..], &vars[..1]].concat()),
        r#"the variables "0" and "2" are one, or share memory: leave one of them out"#
    );
    let varmap = VarMap::new();
    for name in ["tied", "head"] {
        varmap.data().lock().unwrap().insert(name.to_owned(), vars[0].clone());
    }
    let error = AdamW::from_varmap(&varmap, lanestep::AdamW::default()).unwrap_err();
    assert!(matches!(error, Error::Shared { first, second } if (&*first, &*second) == ("head", "tied")));
    Ok(())
}

#[test]
fn other_floats() -> Result<()> {
    let mut vars = ones(1)?;
    vars.push(Var::zeros(3, DType::F64, &Device::Cpu)?);
    assert_eq!(refused(vars), r#"the variable "1" is of F64, but must be of F32, BF16 or F16"#);
    Ok(())
}

#[test]
fn hyperparameters() -> Result<()> {
    let error = Sgd::new(ones(1)?, lanestep::Sgd { lr: -1.0, ..lanestep::Sgd::default() }).unwrap_err();
    let found = Error::of(&error);
    assert!(
        matches!(found, Some(Error::Step(lanestep::Error::Hyperparameter { name: "lr", .. }))),
        "{error}"
    );
    Ok(())
}

/// Each with the second of two variables, so that the first could have been written.
#[test]
fn gradients_of_another_kind() -> Result<()> {
    let vars = ones(2)?;
    let mut adamw = AdamW::new(vars.clone(), lanestep::AdamW::default())?;
    let other = random(&[3, 2], DType::F32, &mut fastrand::Rng::with_seed(1))?;
    let expected = [
        (other, r#"the gradient of "1" has the shape [3, 2], but must have [2, 3]"#),
        (
            Tensor::ones((2, 3), DType::F64, &Device::Cpu)?,
            r#"the gradient of "1" is of F64, but must be of F32, BF16 or F16"#,
        ),
        (vars[0].detach(), r#"the gradient of "1" shares the memory of the variable "0": copy it"#),
        (vars[1].detach(), r#"the gradient of "1" shares the memory of the variable "1": copy it"#),
    ];
    for (grad, expected) in expected {
        let grads = store([(&vars[0], Tensor::ones((2, 3), DType::F32, &Device::Cpu)?), (&vars[1], grad)])?;
        let error = adamw.step(&grads).unwrap_err();
        assert_eq!(Error::of(&error).unwrap().to_string(), expected);
    }
    for var in &vars {
        assert_eq!(var.to_vec2::<f32>()?, [[1.0; 3]; 2]);
    }
    assert_eq!(adamw.optimizer().steps(), 0);
    Ok(())
}

#[test]
fn a_learning_rate_that_is_none() -> Result<()> {
    let vars = ones(1)?;
    let mut sgd = Sgd::new(vars.clone(), lanestep::Sgd { lr: 0.5, ..lanestep::Sgd::default() })?;
    sgd.set_learning_rate(f64::NAN);
    assert_eq!(sgd.learning_rate().to_bits(), 0.5_f64.to_bits());
    for _ in 0..2 {
        let error = sgd.backward_step(&vars[0].sum_all()?).unwrap_err();
        assert!(error.to_string().contains("lr is NaN"), "{error}");
    }
    assert_eq!(vars[0].to_vec2::<f32>()?, [[1.0; 3]; 2]);
    sgd.set_learning_rate(0.25);
    sgd.backward_step(&vars[0].sum_all()?)?;
    assert_eq!(vars[0].to_vec2::<f32>()?, [[0.75; 3]; 2]);
    Ok(())
}

/// Context and paths that others put around it do not hide it.
#[test]
fn an_error_is_found_in_candles() {
    let error = candle_core::Error::from(Error::NoNames).context("in the trainer").with_path("here");
    assert!(matches!(Error::of(&error), Some(Error::NoNames)));
    let candles = candle_core::Error::Msg("no more".into());
    assert!(Error::of(&candles).is_none());
    assert_eq!(candle_core::Error::from(Error::Candle(candles)).to_string(), "no more");
}

#[test]
fn groups_that_leave_something_out() -> Result<()> {
    let (varmap, _) = crate::network(2)?;
    let of_z = |layout: &lanestep::Layout| {
        [lanestep::Group::over(lanestep::Sgd::default(), layout.select(|name| name.starts_with('z')))]
    };
    let error = Sgd::with_groups(&varmap, of_z).unwrap_err();
    assert_eq!(error.to_string(), r#"parameters 0..24 (in "a.bias") are in no group"#);
    assert_eq!(sorted(&varmap).len(), 4);
    Ok(())
}

/// A rule that panics leaves nothing locked.
#[test]
fn a_panic_lets_go_of_the_variables() -> Result<()> {
    #[derive(Clone)]
    struct Panics;

    impl lanestep::Rule for Panics {
        fn slots(&self) -> &'static [&'static str] {
            &[]
        }
        fn check(&self) -> std::result::Result<(), lanestep::Error> {
            Ok(())
        }
        fn shared(&self) -> lanestep::rule::Shared {
            lanestep::rule::Shared::new(0.0)
        }
        fn set_lr(&mut self, _lr: f64) {}
        fn at<W: lanestep::WithFormula>(&self, t: u64, with: W) -> W::Output {
            assert!(t < 2, "the second step");
            lanestep::Rule::at(&lanestep::Sgd::default(), t, with)
        }
    }

    let vars = ones(2)?;
    let mut optimizer = lanestep_candle::Optimizer::new(vars.clone(), Panics)?;
    optimizer.backward_step(&vars[0].sum_all()?)?;
    let loss = vars[0].sum_all()?;
    let step = std::panic::AssertUnwindSafe(|| optimizer.backward_step(&loss));
    assert!(std::panic::catch_unwind(step).is_err());
    vars[0].set(&Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?)
}
