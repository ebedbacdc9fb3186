//! What is learned: to read digits, and to write like Cicero.

use crate::{digits, lstm};
use digits::Digits;
use fastrand::Rng;
use lstm::{Lstm, Text, WINDOW};

pub(crate) trait Task: Sync {
    const NAME: &str;
    const STEPS: usize;
    /// At the end of the warm-up, from which it falls along a cosine to 0.
    const LR: f64;
    /// What brings the gradients of a batch to their mean.
    const SCALE: f64;

    fn start(&self, rng: &mut Rng) -> Vec<f32>;
    fn backward(&self, params: &[f32], rng: &mut Rng, grads: &mut [f32]);
    fn train_loss(&self, params: &[f32]) -> f64;
    /// Held-out loss, and accuracy where there is one.
    fn test(&self, params: &[f32]) -> (f64, Option<f64>);
}

impl Task for Digits {
    const NAME: &str = "digits";
    const STEPS: usize = 1000;
    const LR: f64 = 1e-3;
    const SCALE: f64 = 1.0;

    fn start(&self, rng: &mut Rng) -> Vec<f32> {
        digits::initial_params(rng)
    }

    fn backward(&self, params: &[f32], rng: &mut Rng, grads: &mut [f32]) {
        let batch = [(); 32].map(|()| &self.train[rng.usize(..self.train.len())]);
        digits::backward(params, &batch, grads);
    }

    fn train_loss(&self, params: &[f32]) -> f64 {
        digits::evaluate(params, &self.train).loss
    }

    fn test(&self, params: &[f32]) -> (f64, Option<f64>) {
        let score = digits::evaluate(params, &self.test);
        (score.loss, Some(score.accuracy))
    }
}

pub(crate) struct Cicero {
    text: Text,
    lstm: Lstm,
}

impl Cicero {
    const BATCH: usize = 4;

    pub(crate) fn load() -> Self {
        let text = Text::load();
        Self { lstm: Lstm { vocab: text.alphabet.len(), hidden: 64 }, text }
    }
}

impl Task for Cicero {
    const NAME: &str = "LSTM";
    const STEPS: usize = 600;
    const LR: f64 = 5e-3;
    const SCALE: f64 = 1.0 / (Self::BATCH * WINDOW) as f64;

    fn start(&self, rng: &mut Rng) -> Vec<f32> {
        self.lstm.initial_params(rng)
    }

    fn backward(&self, params: &[f32], rng: &mut Rng, grads: &mut [f32]) {
        grads.fill(0.0);
        for _ in 0..Self::BATCH {
            let start = rng.usize(..self.text.train.len() - WINDOW);
            self.lstm.add_grads(params, &self.text.train[start..=start + WINDOW], grads);
        }
    }

    fn train_loss(&self, params: &[f32]) -> f64 {
        self.lstm.evaluate(params, &self.text.train)
    }

    fn test(&self, params: &[f32]) -> (f64, Option<f64>) {
        (self.lstm.evaluate(params, &self.text.test), None)
    }
}
