//! AdamW as it is written with ndarray alone.

use ndarray::{ArrayD, Zip};

pub(crate) struct ZipAdamW {
    pub(crate) lr: f32,
    pub(crate) betas: (f32, f32),
    pub(crate) eps: f32,
    pub(crate) weight_decay: f32,
    powers: (f32, f32),
    averages: Vec<[ArrayD<f32>; 2]>,
}

impl ZipAdamW {
    /// With PyTorch's defaults.
    pub(crate) fn new(lr: f32, params: &[ArrayD<f32>]) -> Self {
        let averages = params.iter().map(|p| [(); 2].map(|()| ArrayD::zeros(p.raw_dim()))).collect();
        Self { lr, betas: (0.9, 0.999), eps: 1e-8, weight_decay: 1e-2, powers: (1.0, 1.0), averages }
    }

    /// One step, on one thread or over rayon.
    pub(crate) fn step(&mut self, params: &mut [ArrayD<f32>], grads: &[ArrayD<f32>], parallel: bool) {
        let Self { lr, betas: (beta1, beta2), eps, weight_decay, .. } = *self;
        self.powers = (self.powers.0 * beta1, self.powers.1 * beta2);
        let (step_size, root) = (lr / (1.0 - self.powers.0), (1.0 - self.powers.1).sqrt());
        let update = |p: &mut f32, &g: &f32, m: &mut f32, v: &mut f32| {
            *p *= 1.0 - lr * weight_decay;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *p -= step_size * *m / (v.sqrt() / root + eps);
        };
        for ((p, g), [m, v]) in params.iter_mut().zip(grads).zip(&mut self.averages) {
            let zip = Zip::from(p).and(g).and(m).and(v);
            if parallel { zip.par_for_each(update) } else { zip.for_each(update) }
        }
    }
}
