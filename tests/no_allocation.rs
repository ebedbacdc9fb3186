//! A step allocates nothing.

use lanestep::{
    AdamW, AnyRule, Group, Health, Level, NonFinite, Optimizer, Parallelism, Pipeline, Schedule, Stopping,
    Tensor, axpy,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(mut of: impl FnMut()) -> usize {
    let before = ALLOCATIONS.load(Relaxed);
    of();
    ALLOCATIONS.load(Relaxed) - before
}

fn main() {
    assert!(allocations(|| drop(std::hint::black_box(Box::new(1)))) > 0, "the counter counts");
    let cases =
        || AnyRule::all().into_iter().flat_map(|rule| Level::available().into_iter().map(move |l| (rule, l)));
    cases().for_each(|(rule, level)| serial(rule, level));
    cases().for_each(|(rule, level)| kept(rule, level, Parallelism::Serial));
    trainer();
    #[cfg(feature = "rayon")]
    from_outside();
    #[cfg(feature = "rayon")]
    rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap().install(|| {
        // A worker allocates when it first steals, so let both work at once.
        let both = std::sync::Barrier::new(2);
        rayon::join(|| both.wait(), || both.wait());
        cases().for_each(|(rule, level)| parallel(rule, level));
        cases().for_each(|(rule, level)| kept(rule, level, Parallelism::Rayon { grain: 64 }));
    });
    println!("no step allocated");
}

fn serial(rule: AnyRule, level: Level) {
    let mut optimizer = Optimizer::new(rule, 1000).unwrap();
    optimizer.set_level(level);
    optimizer.set_parallelism(Parallelism::Serial);
    let (mut params, grads) = (vec![0.5; 1000], vec![0.25; 1000]);
    let counted = allocations(|| {
        for _ in 0..100 {
            optimizer.step(&mut params, &grads).unwrap();
            optimizer.set_lr(0.01).unwrap();
            whole_pipeline(&mut optimizer, &mut params, &grads);
        }
        assert!(optimizer.step(&mut params, &grads[1..]).is_err());
    });
    assert_eq!(counted, 0, "{rule:?} {level}");
}

/// State in blocks and at random, parameters in halves, and a copy of them.
#[cfg(feature = "half")]
fn kept(rule: AnyRule, level: Level, parallelism: Parallelism) {
    use half::{bf16, f16};
    use lanestep::{Format, Rounding};
    const LEN: usize = 3000;
    for (format, split) in [(Format::Block8, true), (Format::Bf16, false), (Format::F16, true)] {
        let mut optimizer = Optimizer::new(rule, LEN).unwrap();
        optimizer.set_level(level);
        optimizer.set_parallelism(parallelism);
        optimizer.set_ema(0.5).unwrap();
        optimizer.set_state_format(None, format).unwrap();
        optimizer.set_rounding(Rounding::Stochastic { seed: 1 });
        optimizer.set_split(split).unwrap();
        let (mut params, mut copy, mut grads) = ([bf16::ONE; LEN], [f16::ONE; LEN], [bf16::ONE; LEN]);
        let mut masters = [0.0; LEN];
        let counted = allocations(|| {
            for _ in 0..3 {
                let tensor = Tensor::zeroing(&mut params, &mut grads).mirrored(&mut copy);
                let pipeline = Pipeline { measure_update: true, max_norm: Some(1.0), ..Pipeline::default() };
                optimizer.step_with(&mut [tensor], &pipeline).unwrap();
                if split {
                    optimizer.masters(&[Tensor::of(&mut params)], &mut masters).unwrap();
                    optimizer.set_masters(&masters, &mut [Tensor::of(&mut params)]).unwrap();
                    optimizer.swap_ema(&mut [Tensor::of(&mut params)]).unwrap();
                    optimizer.swap_ema(&mut [Tensor::of(&mut params)]).unwrap();
                }
            }
        });
        assert_eq!(counted, 0, "{rule:?} {level} {format}");
    }
}

#[cfg(not(feature = "half"))]
fn kept(_: AnyRule, _: Level, _: Parallelism) {}

/// All that a trainer does around its steps, of which every tenth is skipped.
fn trainer() {
    let layout = lanestep::Layout::new([("weight", 300), ("bias", 100)]).unwrap();
    let groups = ["weight", "bias"].map(|name| Group::over(AdamW::default(), layout.range(name)));
    let mut optimizer = Optimizer::with_groups(groups, layout).unwrap();
    optimizer.set_ema(0.9).unwrap();
    let schedule = Schedule::cosine(0.01, 50).warmup(10);
    let pipeline = Pipeline {
        max_norm: Some(1.0),
        non_finite: NonFinite::Skip,
        measure_update: true,
        ..Pipeline::default()
    };
    let (mut health, mut stopping) = (Health::default(), Stopping::default());
    let [mut weight, mut weight_grad] = [[0.5; 300]; 2];
    let [mut bias, mut bias_grad] = [[0.5; 100]; 2];
    let counted = allocations(|| {
        for step in 0..100 {
            bias_grad[7] = if step % 10 == 0 { f32::NAN } else { 1.0 };
            optimizer.set_lr(schedule.lr(optimizer.steps())).unwrap();
            let tensors = &mut [
                Tensor::zeroing(&mut weight, &mut weight_grad).named("weight"),
                Tensor::zeroing(&mut bias, &mut bias_grad).named("bias"),
            ];
            let report = optimizer.step_with(tensors, &pipeline).unwrap();
            health.record(&report);
            let first = report.grads.and_then(|grads| grads.first_non_finite);
            let broken = first.and_then(|first| optimizer.layout().at(first));
            assert_eq!(broken, report.skipped.then_some(("bias", 7)));
            if optimizer.ema().is_some() {
                optimizer.swap_ema(&mut [Tensor::of(&mut weight), Tensor::of(&mut bias)]).unwrap();
                stopping.observe(f64::from(weight[0]));
                optimizer.swap_ema(&mut [Tensor::of(&mut weight), Tensor::of(&mut bias)]).unwrap();
            }
        }
    });
    assert_eq!((counted, health.skipped, optimizer.steps()), (0, 10, 90));
}

/// To be called from within the pool, as rayon itself allocates when a call comes from outside.
#[cfg(feature = "rayon")]
fn parallel(rule: AnyRule, level: Level) {
    let mut optimizer = Optimizer::new(rule, 10_000).unwrap();
    optimizer.set_level(level);
    optimizer.set_parallelism(Parallelism::Rayon { grain: 64 });
    let (mut params, grads) = (vec![0.5; 10_000], vec![0.25; 10_000]);
    let counted = allocations(|| {
        for _ in 0..100 {
            optimizer.step(&mut params, &grads).unwrap();
            whole_pipeline(&mut optimizer, &mut params, &grads);
        }
    });
    assert_eq!(counted, 0, "{rule:?} {level}");
}

fn whole_pipeline(optimizer: &mut Optimizer<AnyRule>, params: &mut [f32], grads: &[f32]) {
    axpy(0.5, grads, params).unwrap();
    let pipeline = Pipeline {
        scale: 0.5,
        max_norm: Some(1.0),
        clip_value: Some(0.5),
        non_finite: NonFinite::Skip,
        min_param: Some(-2.0),
        max_param: Some(2.0),
        measure_grads: true,
        measure_update: true,
    };
    let (params, more_params) = params.split_at_mut(300);
    let (grads, more_grads) = grads.split_at(300);
    let tensors = &mut [Tensor::new(params, grads), Tensor::new(more_params, more_grads)];
    optimizer.step_with(tensors, &pipeline).unwrap();
}

/// From outside of the pool it is rayon that allocates: a job for each step that is shared, and a block of its queue now and
/// then.
#[cfg(feature = "rayon")]
fn from_outside() {
    const STEPS: usize = 200;
    let mut optimizer = Optimizer::new(AnyRule::all()[2], 1000).unwrap();
    let (mut params, grads) = (vec![0.5; 1000], vec![0.25; 1000]);
    let mut counted = |grain| {
        optimizer.set_parallelism(Parallelism::Rayon { grain });
        optimizer.step(&mut params, &grads).unwrap();
        allocations(|| (0..STEPS).for_each(|_| optimizer.step(&mut params, &grads).unwrap()))
    };
    assert_eq!(counted(1000), 0, "not shared");
    // One for each, and what a worker needs as it begins.
    assert!(counted(64) <= STEPS + STEPS / 8 + 16);
}
