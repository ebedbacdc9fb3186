//! Optimizers that know their tensors by name.

use lanestep::{AdamW, AnyRule, Error, Group, Layout, NonFinite, Optimizer, Pipeline, Sgd, Tensor};

fn layout() -> Layout {
    Layout::new([("weight", 6), ("none", 0), ("bias", 2), ("gain", 2)]).unwrap()
}

fn descent() -> Sgd {
    Sgd { lr: 1.0, ..Sgd::default() }
}

/// A step over tensors of these lengths, some with names; what it said, if it left everything as it was.
fn refused(tensors: &[(usize, Option<&str>)]) -> Error {
    let mut optimizer = Optimizer::new(descent(), layout()).unwrap();
    let mut params: Vec<Vec<f32>> = tensors.iter().map(|(len, _)| vec![1.0; *len]).collect();
    let grads = params.clone();
    let mut call: Vec<Tensor<'_>> = params.iter_mut().zip(&grads).map(|(p, g)| Tensor::new(p, g)).collect();
    for (tensor, (_, name)) in call.iter_mut().zip(tensors) {
        if let Some(name) = name {
            *tensor = std::mem::take(tensor).named(name);
        }
    }
    let error = optimizer.step_with(&mut call, &Pipeline::default()).unwrap_err();
    assert_eq!((params, optimizer.steps()), (grads, 0));
    error
}

#[test]
fn tensors_in_another_order_are_refused() {
    let length = |index, name: &str, expected, found| Error::TensorLength {
        index,
        name: name.into(),
        expected,
        found,
    };
    let name = |index, expected: &str, found: &str| Error::TensorName {
        index,
        expected: expected.into(),
        found: found.into(),
    };
    let (bare, named) = (|len| (len, None), |len, name| (len, Some(name)));
    assert_eq!(refused(&[bare(2), bare(0), bare(6), bare(2)]), length(0, "weight", 6, 2));
    assert_eq!(refused(&[bare(6), bare(2), bare(2)]), length(1, "none", 0, 2));
    // Of one length, so that only a name can tell.
    let swapped = [named(6, "weight"), bare(0), named(2, "gain"), named(2, "bias")];
    assert_eq!(refused(&swapped), name(2, "bias", "gain"));
    assert_eq!(refused(&[bare(6), bare(0), bare(2)]), Error::TensorCount { expected: 4, found: 3 });
    assert_eq!(
        refused(&[bare(6), bare(0), bare(2), bare(2), bare(0)]),
        Error::TensorCount { expected: 4, found: 5 }
    );
    assert_eq!(refused(&[]), Error::TensorCount { expected: 4, found: 0 });
    assert_eq!(refused(&[named(10, "weight")]), length(0, "weight", 6, 10));
    assert_eq!(refused(&[bare(9)]), length(0, "weight", 6, 9));
}

#[test]
fn the_right_tensors_are_taken_and_so_is_one_slice_of_all() {
    let mut optimizer = Optimizer::new(descent(), layout()).unwrap();
    let grads = [0.25_f32; 10];
    let mut params = [1.0_f32; 10];
    optimizer.step(&mut params, &grads).unwrap();
    optimizer.step_with(&mut [Tensor::new(&mut params, &grads)], &Pipeline::default()).unwrap();
    let (weight, rest) = params.split_at_mut(6);
    let (bias, gain) = rest.split_at_mut(2);
    let tensors = &mut [
        Tensor::new(weight, &grads[..6]).named("weight"),
        Tensor::default(),
        Tensor::new(bias, &grads[6..8]),
        Tensor::new(gain, &grads[8..]).named("gain"),
    ];
    optimizer.step_with(tensors, &Pipeline::default()).unwrap();
    assert_eq!((params, optimizer.steps()), ([0.25; 10], 3));
    assert_eq!(optimizer.layout(), &layout());

    // A name says nothing to an optimizer that knows none.
    let mut optimizer = Optimizer::new(descent(), 2).unwrap();
    optimizer
        .step_with(&mut [Tensor::new(&mut [0.0; 2], &[1.0; 2]).named("any")], &Pipeline::default())
        .unwrap();
    assert_eq!(optimizer.layout(), &Layout::from(2));
}

/// The average is not put into tensors of another order.
#[test]
fn the_average_knows_its_tensors_too() {
    let mut optimizer = Optimizer::new(descent(), Layout::new([("left", 3), ("right", 3)]).unwrap()).unwrap();
    optimizer.set_ema(0.5).unwrap();
    optimizer.step(&mut [1.0; 6], &[0.5; 6]).unwrap();
    let (mut left, mut right) = ([0.0; 3], [0.0; 3]);
    let swapped = &mut [Tensor::of(&mut right).named("right"), Tensor::of(&mut left).named("left")];
    let error = optimizer.swap_ema(swapped).unwrap_err();
    assert_eq!(error, Error::TensorName { index: 0, expected: "left".into(), found: "right".into() });
    let count = Error::TensorCount { expected: 2, found: 1 };
    assert_eq!(optimizer.swap_ema(&mut [Tensor::of(&mut left)]), Err(count));
    assert_eq!((left, optimizer.ema()), ([0.0; 3], Some(&[0.5; 6][..])));
    optimizer.swap_ema(&mut [Tensor::of(&mut left).named("left"), Tensor::of(&mut right)]).unwrap();
    assert_eq!((left, right, optimizer.ema()), ([0.5; 3], [0.5; 3], None));
}

/// What a trainer hands to its user.
#[test]
fn errors_name_the_tensor_and_the_group() {
    let layout = layout();
    let group = |name: &'static str| Group::over(descent(), layout.select(|of| of == name));
    let text = |groups: Vec<Group<Sgd>>| Optimizer::with_groups(groups, &layout).unwrap_err().to_string();
    assert_eq!(text(vec![group("weight"), group("gain")]), "parameters 6..8 (in \"bias\") are in no group");
    assert_eq!(
        text(vec![group("weight"), group("bias"), group("bias"), group("gain")]),
        "parameters 6..8 (in \"bias\") are in group 1 and in group 2"
    );
    assert_eq!(
        text(vec![group("weight"), group("bias "), group("gain")]),
        "group 1 has no parameters: is there a name that it selects?"
    );
    let bad = Group { rule: Sgd { momentum: -1.0, ..descent() }, ..group("bias") };
    assert_eq!(
        text(vec![group("weight"), bad]),
        "group 1 (\"bias\"): momentum is -1, but must be in [0, f32::MAX]"
    );
    let mut optimizer = Optimizer::new(AnyRule::from(AdamW::default()), &layout).unwrap();
    let mut grads = [0.0; 10];
    grads[7] = f32::NAN;
    let strict = Pipeline { non_finite: NonFinite::Error, ..Pipeline::default() };
    let error = optimizer.step_with(&mut [Tensor::new(&mut [0.0; 10], &grads)], &strict).unwrap_err();
    assert_eq!(error.to_string(), "gradients are not finite: 1 in all, the first at 7 (in \"bias\")");
    let (mut weight, mut bias) = ([0.0; 6], [0.0; 2]);
    let weight = Tensor::new(&mut weight, &[0.0; 6]);
    let tensors = &mut [weight, Tensor::default(), Tensor::new::<_, f32>(&mut bias, &[])];
    let error = optimizer.step_with(tensors, &strict).unwrap_err();
    assert_eq!(error.to_string(), "tensor 2 (\"bias\") has 2 parameters, but 0 gradients");
}
