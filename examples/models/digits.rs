//! Reads handwritten digits: a network with one hidden layer, and the images.
//!
//! All weights and biases are *one* flat slice, with gradients to match.

const INPUTS: usize = 8 * 8;
const HIDDEN: usize = 256;
const CLASSES: usize = 10;

// A layer is a matrix with a row for each input, and a last row, the bias, for an input that is always 1.
const HIDDEN_LAYER: usize = (INPUTS + 1) * HIDDEN;
const OUTPUT_LAYER: usize = (HIDDEN + 1) * CLASSES;
pub(crate) const PARAMS: usize = HIDDEN_LAYER + OUTPUT_LAYER;

const SEED: u64 = 0;

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
        fastrand::Rng::with_seed(SEED).shuffle(&mut test);
        let train = test.split_off(test.len() / 5);
        Self { train, test }
    }
}

/// He's initialization: activations keep their scale through the layers, although half are cut to zero.
pub(crate) fn initial_params(rng: &mut fastrand::Rng) -> Vec<f32> {
    let mut params = Vec::with_capacity(PARAMS);
    for (inputs, outputs) in [(INPUTS, HIDDEN), (HIDDEN, CLASSES)] {
        let bound = (6.0 / inputs as f32).sqrt();
        params.extend((0..inputs * outputs).map(|_| bound * (2.0 * rng.f32() - 1.0)));
        params.resize(params.len() + outputs, 0.0);
    }
    params
}

/// The outputs of a layer. Adding up whole rows, instead of one dot product for each output, lets the
/// compiler use vectors without changing the order of any sum.
fn dense(layer: &[f32], inputs: &[f32], outputs: &mut [f32]) {
    outputs.fill(0.0);
    for (row, input) in layer.chunks_exact(outputs.len()).zip(inputs.iter().chain(&[1.0])) {
        for (output, weight) in outputs.iter_mut().zip(row) {
            *output += input * weight;
        }
    }
}

/// Adds one image's gradient of a layer to `layer_grads`: the outer product of inputs and output gradients.
fn add_layer_grads(layer_grads: &mut [f32], inputs: &[f32], output_grads: &[f32]) {
    for (row, input) in layer_grads.chunks_exact_mut(output_grads.len()).zip(inputs.iter().chain(&[1.0])) {
        for (grad, output_grad) in row.iter_mut().zip(output_grads) {
            *grad += input * output_grad;
        }
    }
}

fn forward(params: &[f32], image: &Image) -> ([f32; HIDDEN], [f32; CLASSES]) {
    let (hidden_layer, output_layer) = params.split_at(HIDDEN_LAYER);
    let (mut hidden, mut logits) = ([0.0; HIDDEN], [0.0; CLASSES]);
    dense(hidden_layer, &image.pixels, &mut hidden);
    for unit in &mut hidden {
        if *unit < 0.0 {
            *unit = 0.0; // so that a NaN stays one, where `max` would hide it
        }
    }
    dense(output_layer, &hidden, &mut logits);
    (hidden, logits)
}

fn argmax(logits: &[f32; CLASSES]) -> usize {
    (0..CLASSES).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or_default()
}

/// The logarithms of the softmax. The largest logit is taken off so that `exp` cannot overflow, and a
/// probability too small for `f32` still has a logarithm.
fn log_softmax(logits: &[f32; CLASSES]) -> [f32; CLASSES] {
    let largest = logits[argmax(logits)];
    let log_sum = logits.iter().map(|logit| (logit - largest).exp()).sum::<f32>().ln();
    logits.map(|logit| logit - largest - log_sum)
}

/// The gradients of the mean cross-entropy over the batch.
pub(crate) fn backward(params: &[f32], batch: &[&Image], grads: &mut [f32]) {
    grads.fill(0.0);
    let (hidden_layer_grads, output_layer_grads) = grads.split_at_mut(HIDDEN_LAYER);
    for image in batch {
        let (hidden, logits) = forward(params, image);
        let mut logit_grads = log_softmax(&logits).map(f32::exp);
        logit_grads[image.digit] -= 1.0;
        let logit_grads = logit_grads.map(|grad| grad / batch.len() as f32);
        add_layer_grads(output_layer_grads, &hidden, &logit_grads);

        let mut hidden_grads = [0.0; HIDDEN];
        let rows = params[HIDDEN_LAYER..].chunks_exact(CLASSES);
        for ((grad, unit), row) in hidden_grads.iter_mut().zip(hidden).zip(rows) {
            if unit > 0.0 {
                *grad = row.iter().zip(logit_grads).map(|(weight, logit_grad)| weight * logit_grad).sum();
            }
        }
        add_layer_grads(hidden_layer_grads, &image.pixels, &hidden_grads);
    }
}

pub(crate) struct Score {
    pub(crate) loss: f64,
    pub(crate) accuracy: f64,
}

pub(crate) fn evaluate(params: &[f32], images: &[Image]) -> Score {
    let (mut loss, mut correct) = (0.0, 0);
    for image in images {
        let (_, logits) = forward(params, image);
        loss -= f64::from(log_softmax(&logits)[image.digit]);
        correct += usize::from(argmax(&logits) == image.digit);
    }
    Score { loss: loss / images.len() as f64, accuracy: correct as f64 / images.len() as f64 }
}
