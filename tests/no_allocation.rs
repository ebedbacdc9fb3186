//! A step allocates nothing.

use lanestep::{AnyRule, Level, Optimizer, Parallelism};
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
    rayon::ThreadPoolBuilder::new().num_threads(2).build().unwrap().install(|| {
        // A worker allocates when it first steals, so let both work at once.
        let both = std::sync::Barrier::new(2);
        rayon::join(|| both.wait(), || both.wait());
        cases().for_each(|(rule, level)| parallel(rule, level));
    });
    println!("no step allocated");
}

fn serial(rule: AnyRule, level: Level) {
    let mut optimizer =
        Optimizer::new(rule, 1000).unwrap().with_level(level).with_parallelism(Parallelism::Serial);
    let (mut params, grads) = (vec![0.5; 1000], vec![0.25; 1000]);
    let counted = allocations(|| {
        for _ in 0..100 {
            optimizer.step(&mut params, &grads).unwrap();
            optimizer.set_lr(0.01).unwrap();
        }
        assert!(optimizer.step(&mut params, &grads[1..]).is_err());
    });
    assert_eq!(counted, 0, "{rule:?} {level}");
}

/// To be called from within the pool, as rayon itself allocates when a call comes from outside.
#[cfg(feature = "rayon")]
fn parallel(rule: AnyRule, level: Level) {
    let mut optimizer = Optimizer::new(rule, 10_000).unwrap().with_level(level);
    optimizer = optimizer.with_parallelism(Parallelism::Rayon { grain: 64 });
    let (mut params, grads) = (vec![0.5; 10_000], vec![0.25; 10_000]);
    let counted = allocations(|| {
        for _ in 0..100 {
            optimizer.step(&mut params, &grads).unwrap();
        }
    });
    assert_eq!(counted, 0, "{rule:?} {level}");
}
