//! Views become tensors whose elements are paired by their place in the array, or errors.

use lanestep::{AdamW, Optimizer, Pipeline, Tensor};
use lanestep_ndarray::{Error, alone, tensor, tensors, zeroing};
use ndarray::{Array1, Array2, ArrayD, ArrayViewD, ArrayViewMutD, Axis, IxDyn, ShapeBuilder, arr0, s};

fn optimizer(len: usize) -> Optimizer<AdamW> {
    Optimizer::new(AdamW { lr: 0.1, ..AdamW::default() }, len).unwrap()
}

fn step(tensors: &mut [Tensor<'_>], len: usize) {
    optimizer(len).step_with(tensors, &Pipeline::default()).unwrap();
}

fn random(rng: &mut fastrand::Rng, shape: &[usize]) -> ArrayD<f32> {
    ArrayD::from_shape_simple_fn(IxDyn(shape), || rng.f32() - 0.5)
}

/// Axes in another order, some of them backwards.
fn turn(
    rng: &mut fastrand::Rng,
    mut views: [ArrayViewMutD<'_, f32>; 2],
    then: impl FnOnce([ArrayViewMutD<'_, f32>; 2]),
) {
    let mut axes: Vec<usize> = (0..views[0].ndim()).collect();
    rng.shuffle(&mut axes);
    let backwards: Vec<bool> = axes.iter().map(|_| rng.bool()).collect();
    views = views.map(|view| {
        let mut view = view.permuted_axes(&axes[..]);
        for (axis, _) in backwards.iter().enumerate().filter(|(_, backwards)| **backwards) {
            view.invert_axis(Axis(axis));
        }
        view
    });
    then(views);
}

#[test]
fn however_axes_lie_elements_meet_their_gradients() {
    let rng = &mut fastrand::Rng::with_seed(1);
    for _ in 0..2000 {
        let shape: Vec<usize> = (0..rng.usize(..5)).map(|_| rng.usize(1..5)).collect();
        let (mut params, mut grads) = (random(rng, &shape), random(rng, &shape));
        let mut expected: Vec<f32> = params.iter().copied().collect();
        let flat: Vec<f32> = grads.iter().copied().collect();
        optimizer(flat.len()).step(&mut expected, &flat).unwrap();
        turn(rng, [params.view_mut(), grads.view_mut()], |[params, grads]| {
            step(&mut [tensor(params, grads.view()).unwrap()], flat.len());
        });
        let found: Vec<f32> = params.into_iter().collect();
        assert!(found.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{shape:?}");
    }
}

#[test]
fn other_strides_are_refused_but_for_axes_of_one() {
    let mut params = Array2::<f32>::zeros((3, 4));
    let grads = Array2::<f32>::ones((3, 4).f());
    let error = tensor(params.view_mut(), grads.view()).unwrap_err();
    assert_eq!(error, Error::Strides { params: vec![4, 1], grads: vec![1, 3] });
    let backwards = Array2::<f32>::ones((3, 4));
    let error = tensor(params.view_mut(), backwards.slice(s![..;-1, ..])).unwrap_err();
    assert_eq!(error, Error::Strides { params: vec![4, 1], grads: vec![-4, 1] });
    let mut column = Array2::<f32>::zeros((3, 1));
    let grads = Array2::<f32>::ones((3, 1).f());
    assert_ne!(column.strides(), grads.strides());
    step(&mut [tensor(column.view_mut(), grads.view()).unwrap()], 3);
    assert!(column.iter().all(|&p| p < 0.0));
}

#[test]
fn other_shapes_are_refused() {
    let mut params = Array2::<f32>::zeros((3, 4));
    let grads = Array2::<f32>::zeros((4, 3));
    let error = tensor(params.view_mut(), grads.view()).unwrap_err();
    assert_eq!(error, Error::Shape { params: vec![3, 4], grads: vec![4, 3] });
    assert_eq!(error.to_string(), "parameters have the shape [3, 4], but gradients [4, 3]");
}

#[test]
fn holes_and_folds_are_refused() {
    let (mut params, mut grads) = (Array2::<f32>::zeros((3, 4)), Array2::<f32>::zeros((3, 4)));
    let columns = s![.., ..;2];
    let error = tensor(params.slice_mut(columns), grads.slice(columns)).unwrap_err();
    let holes = |of| Error::Holes { of, shape: vec![3, 2], strides: vec![4, 2] };
    assert_eq!(error, holes("parameters"));
    assert_eq!(
        zeroing(params.slice_mut(columns), grads.slice_mut(columns)).unwrap_err(),
        holes("parameters")
    );
    assert_eq!(alone(params.slice_mut(columns)).unwrap_err(), holes("parameters"));
    // What is broadcast has other strides; where it has not, for there is one element, it has no folds.
    let one = arr0(1.0_f32);
    let error = tensor(params.view_mut(), one.broadcast((3, 4)).unwrap()).unwrap_err();
    assert_eq!(error, Error::Strides { params: vec![4, 1], grads: vec![0, 0] });
    // Rows are whole.
    let grads = Array2::<f32>::ones((2, 4));
    step(&mut [tensor(params.slice_mut(s![1..3, ..]), grads.view()).unwrap()], 8);
    assert!(params.row(0).iter().all(|&p| p == 0.0) && params.row(2).iter().all(|&p| p < 0.0));
}

/// Whatever strides they have.
#[test]
fn empty_views_are_empty_tensors() {
    let (mut params, grads) = (Array2::<f32>::zeros((3, 4)), Array2::<f32>::zeros((4, 3)));
    let (params, grads) = (params.slice_mut(s![1..1, ..;2]), grads.t().slice_move(s![2..2, ..;2]));
    assert!(params.as_slice_memory_order().is_none() && params.strides() != grads.strides());
    step(&mut [tensor(params, grads).unwrap()], 0);
}

#[test]
fn lists_are_of_pairs() {
    let shapes = [&[2, 3][..], &[], &[5]];
    let rng = &mut fastrand::Rng::with_seed(2);
    let mut params = shapes.map(|shape| random(rng, shape));
    let grads = shapes.map(|shape| random(rng, shape));
    let mut expected: Vec<f32> = params.iter().flatten().copied().collect();
    let flat: Vec<f32> = grads.iter().flatten().copied().collect();
    optimizer(12).step(&mut expected, &flat).unwrap();
    let views: Vec<ArrayViewD<'_, f32>> = grads.iter().map(|g| g.view()).collect();
    step(&mut tensors(params.iter_mut().map(|p| p.view_mut()), views.clone()).unwrap(), 12);
    assert_eq!(params.iter().flatten().copied().collect::<Vec<f32>>(), expected);

    for (taken, of) in [(2, 3), (3, 1), (0, 3)] {
        let error = tensors(params.iter_mut().take(taken).map(|p| p.view_mut()), views[..of].to_vec());
        assert_eq!(error.unwrap_err(), Error::Count { params: taken, grads: of });
    }
    let [a, b, _] = &views[..] else { panic!() };
    let error = tensors(params.iter_mut().map(|p| p.view_mut()), [a, b, b].map(Clone::clone)).unwrap_err();
    let source = Box::new(Error::Shape { params: vec![5], grads: vec![] });
    assert_eq!(error, Error::At { index: 2, source });
    assert_eq!(error.to_string(), "arrays at index 2: parameters have the shape [5], but gradients []");
}

#[test]
fn gradients_are_set_to_zero_where_they_lie() {
    let mut all = Array2::<f32>::ones((4, 3));
    let (mut params, mut grads) = (Array2::<f32>::zeros((2, 3)), all.slice_mut(s![1..3, ..]));
    step(&mut [zeroing(params.view_mut(), grads.view_mut()).unwrap()], 6);
    assert!(params.iter().all(|&p| p < 0.0));
    assert_eq!(all.sum_axis(Axis(1)).to_vec(), [3.0, 0.0, 0.0, 3.0]);
}

#[test]
fn parameters_alone_are_left_alone() {
    let mut params = [Array1::<f32>::ones(3), Array1::ones(2)];
    let [a, b] = &mut params;
    step(
        &mut [tensor(a.view_mut(), Array1::<f32>::ones(3).view()).unwrap(), alone(b.view_mut()).unwrap()],
        5,
    );
    assert!(params[0][0] < 1.0 && params[1] == Array1::<f32>::ones(2));
}

#[cfg(feature = "half")]
#[test]
fn arrays_may_be_of_sixteen_bits() {
    use half::bf16;
    let mut params = Array2::from_elem((2, 2), bf16::ONE);
    step(&mut [tensor(params.view_mut(), Array2::<f32>::ones((2, 2)).view()).unwrap()], 4);
    assert!(params.iter().all(|&p| p < bf16::ONE));
}
