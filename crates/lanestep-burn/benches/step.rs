//! One step of AdamW over ten million parameters: burn's own optimizer and lanestep's, each as its users call it.
//!
//! `cargo bench -p lanestep-burn` takes half a minute and 1 GB. The three take turns, so that what else the machine does is
//! shared by all; what is claimed are their ratios.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::{Device, Distribution, Tensor, TensorData};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lanestep::AdamW;
use lanestep_burn::{ModuleOptimizer, PerTensor};
use std::collections::HashMap;
use std::time::{Duration, Instant};

const LR: f64 = 1e-3;

/// The linear layers of three transformer blocks, and one more: 26 tensors of 512 to a million elements.
#[derive(Module, Debug)]
struct Net {
    layers: Vec<Linear>,
}

impl Net {
    fn new(width: usize) -> Self {
        let device = Device::flex().autodiff();
        let sizes = [(1, 3), (1, 1), (1, 4), (4, 1)].repeat(3).into_iter().chain([(1, 2)]);
        let layer = |(from, to)| LinearConfig::new(width * from, width * to).init(&device);
        Self { layers: sizes.map(layer).collect() }
    }
}

/// Draws numbers for gradients, and hands them out to each step anew: a step may use up what it is given.
#[derive(Default)]
struct Gradients {
    numbers: HashMap<burn::module::ParamId, TensorData>,
    handed_out: GradientsParams,
}

impl ModuleVisitor for Gradients {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let draw = || {
            let device = param.val().inner().device();
            Tensor::<D>::random(param.lazy_shape(), Distribution::Uniform(-1.0, 1.0), &device).into_data()
        };
        let numbers = self.numbers.entry(param.id).or_insert_with(draw).clone();
        self.handed_out.register(param.id, Tensor::<D>::from_data(numbers, &Device::flex()));
    }
}

impl Gradients {
    fn of(&mut self, net: &Net) -> GradientsParams {
        net.visit(self);
        std::mem::take(&mut self.handed_out)
    }
}

/// The largest difference between the parameters of two modules.
fn distance(one: &Net, other: &Net) -> f32 {
    let pairs = one.layers.iter().zip(&other.layers);
    let difference = |(one, other): (&Linear, &Linear)| {
        (one.weight.val().inner() - other.weight.val().inner()).abs().max().into_scalar::<f32>()
    };
    pairs.map(difference).fold(0.0, |most, next| if next > most { next } else { most })
}

/// With memory of its own.
struct Copy;

impl ModuleMapper for Copy {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let device = tensor.device();
            Tensor::from_data(tensor.to_data(), &device).require_grad()
        })
    }
}

struct Row {
    name: &'static str,
    step: Box<dyn FnMut(Net, GradientsParams) -> Net>,
    /// Of no layers while it is stepped.
    net: Net,
    times: Vec<Duration>,
}

impl Row {
    fn new(name: &'static str, net: &Net, step: impl FnMut(Net, GradientsParams) -> Net + 'static) -> Self {
        Self { name, step: Box::new(step), net: net.clone().map(&mut Copy), times: vec![] }
    }

    fn turn(&mut self, gradients: &mut Gradients) -> Duration {
        let grads = gradients.of(&self.net);
        let net = std::mem::replace(&mut self.net, Net { layers: vec![] });
        let start = Instant::now();
        self.net = (self.step)(net, grads);
        self.times.push(start.elapsed());
        start.elapsed()
    }

    fn median(&mut self) -> f64 {
        self.times.sort_unstable();
        1e3 * self.times[self.times.len() / 2].as_secs_f64()
    }
}

fn step(c: &mut Criterion) {
    // In debug, as a test, it is small.
    let net = Net::new(if cfg!(debug_assertions) { 16 } else { 512 });
    let rule = AdamW { lr: LR, eps: 1e-5, weight_decay: 1e-4, ..AdamW::default() };
    let mut burn = AdamWConfig::new().init();
    let mut per_tensor: burn::optim::ModuleOptimizer = PerTensor::new(rule).expect("a good rule").into();
    let mut whole = ModuleOptimizer::new(rule, &net).expect("memory");
    let mut gradients = Gradients::default();
    let mut rows = [
        Row::new("burn", &net, move |net, grads| burn.step(LR, net, grads)),
        Row::new("per-tensor", &net, move |net, grads| per_tensor.step(LR, net, grads)),
        Row::new("whole", &net, move |net, grads| whole.step(LR, net, grads).expect("the same module")),
    ];
    for _ in 0..3 {
        rows.iter_mut().for_each(|row| _ = row.turn(&mut gradients));
    }
    let [burn, others @ ..] = &rows;
    for row in others {
        let distance = distance(&burn.net, &row.net);
        assert!(distance < 1e-6, "{} is {distance} away from burn", row.name);
    }
    rows.iter_mut().for_each(|row| row.times.clear());

    let mut group = c.benchmark_group("AdamW");
    group.throughput(Throughput::Elements(net.num_params() as u64));
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(10));
    group.bench_function("whole, in turns", |b| {
        b.iter_custom(|iterations| {
            let turn = |_| rows.each_mut().map(|row| row.turn(&mut gradients))[2];
            (0..iterations).map(turn).sum()
        });
    });
    group.finish();
    if rows[0].times.is_empty() {
        return;
    }
    let [burn, per_tensor, whole] = rows.each_mut().map(Row::median);
    println!("medians in ms: burn {burn:.1}, per tensor {per_tensor:.1}, whole {whole:.1}");
    println!("burn takes {:.1} x the time of whole, {:.1} x of per tensor", burn / whole, burn / per_tensor);
}

criterion_group!(benches, step);
criterion_main!(benches);
