//! Reads handwritten digits: a network with one hidden layer, and the images.
//!
//! All weights and biases are *one* flat slice, with gradients to match.

const INPUTS: usize = 8 * 8;
const HIDDEN: usize = 256;
const CLASSES: usize = 10;

// A layer is a matrix with a row for each input, and a last row, the bias, for an input that is always 1.
const HIDDEN_LAYER: usize = (INPUTS + 1) * HIDDEN;

pub(crate) struct Image {
    pixels: [f32; INPUTS],
    digit: usize,
}

pub(crate) struct Digits {
    pub(crate) train: Vec<Image>,
    pub(crate) test: Vec<Image>,
}

impl Digits {
    /// The 1797 images that ship with smartcore, of which a random fifth is held out.
    pub(crate) fn load() -> Self {
        let dataset = smartcore::dataset::digits::load_dataset();
        let rows = dataset.data.chunks_exact(INPUTS);
        let image = |(row, &target): (&[f32], &f32)| Image {
            pixels: std::array::from_fn(|i| row[i] / 16.0), // from 0..=16
            digit: target as usize,
        };
        let mut test: Vec<Image> = rows.zip(&dataset.target).map(image).collect();
        fastrand::Rng::with_seed(0).shuffle(&mut test);
        let train = test.split_off(test.len() / 5);
        Self { train, test }
    }
}

/// He's initialization, the same on every rank.
pub(crate) fn initial_params() -> Vec<f32> {
    let rng = &mut fastrand::Rng::with_seed(0);
    let mut params = Vec::new();
    for (inputs, outputs) in [(INPUTS, HIDDEN), (HIDDEN, CLASSES)] {
        let bound = (6.0 / inputs as f32).sqrt();
        params.extend((0..inputs * outputs).map(|_| bound * (2.0 * rng.f32() - 1.0)));
        params.resize(params.len() + outputs, 0.0);
    }
    params
}

/// Whole rows are added up, so that the compiler can use vectors without changing the order of any sum.
fn dense<const N: usize>(layer: &[f32], inputs: &[f32]) -> [f32; N] {
    let mut outputs = [0.0; N];
    for (row, input) in layer.chunks_exact(N).zip(inputs.iter().chain(&[1.0])) {
        for (output, weight) in outputs.iter_mut().zip(row) {
            *output += input * weight;
        }
    }
    outputs
}

/// Adds the gradient of a layer: the outer product of inputs and output gradients.
fn add_layer_grads(layer_grads: &mut [f32], inputs: &[f32], output_grads: &[f32]) {
    for (row, input) in layer_grads.chunks_exact_mut(output_grads.len()).zip(inputs.iter().chain(&[1.0])) {
        for (grad, output_grad) in row.iter_mut().zip(output_grads) {
            *grad += input * output_grad;
        }
    }
}

fn forward(params: &[f32], image: &Image) -> ([f32; HIDDEN], [f32; CLASSES]) {
    let (hidden_layer, output_layer) = params.split_at(HIDDEN_LAYER);
    let hidden = dense(hidden_layer, &image.pixels).map(|unit: f32| if unit < 0.0 { 0.0 } else { unit });
    (hidden, dense(output_layer, &hidden))
}

fn argmax(logits: &[f32; CLASSES]) -> usize {
    (0..CLASSES).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or_default()
}

/// Adds the gradient of one image's cross-entropy to `grads`.
pub(crate) fn add_grads(params: &[f32], image: &Image, grads: &mut [f32]) {
    let (hidden, logits) = forward(params, image);
    let largest = logits[argmax(&logits)];
    let exps = logits.map(|logit| (logit - largest).exp());
    let sum: f32 = exps.iter().sum();
    let mut logit_grads = exps.map(|exp| exp / sum);
    logit_grads[image.digit] -= 1.0;

    let mut hidden_grads = [0.0; HIDDEN];
    let rows = params[HIDDEN_LAYER..].chunks_exact(CLASSES);
    for ((grad, unit), row) in hidden_grads.iter_mut().zip(hidden).zip(rows) {
        if unit > 0.0 {
            *grad = row.iter().zip(logit_grads).map(|(weight, logit_grad)| weight * logit_grad).sum();
        }
    }
    let (hidden_layer_grads, output_layer_grads) = grads.split_at_mut(HIDDEN_LAYER);
    add_layer_grads(hidden_layer_grads, &image.pixels, &hidden_grads);
    add_layer_grads(output_layer_grads, &hidden, &logit_grads);
}

/// The share of images that are read right.
pub(crate) fn accuracy(params: &[f32], images: &[Image]) -> f64 {
    let right = images.iter().filter(|image| argmax(&forward(params, image).1) == image.digit).count();
    right as f64 / images.len() as f64
}
