//! A step allocates nothing.

use lanestep::{AnyRule, Level, NonFinite, Optimizer, Parallelism, Pipeline, Tensor, axpy};
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
    #[cfg(feature = "rayon")]
    from_outside();
    #[cfg(feature = "rayon")]
    rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap().install(|| {
        // A worker allocates when it first steals, so let both work at once.
        let both = std::sync::Barrier::new(2);
        rayon::join(|| both.wait(), || both.wait());
        cases().for_each(|(rule, level)| parallel(rule, level));
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
