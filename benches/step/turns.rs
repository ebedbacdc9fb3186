//! A step in turns with others.

use criterion::BenchmarkGroup;
use criterion::measurement::WallTime;
use std::cell::{LazyCell, RefCell};
use std::time::Instant;

/// What a row is compared with: a name, and what is timed.
pub(crate) type Other<'a, T> = (&'a str, &'a mut dyn FnMut(&mut T));

/// A row that is timed in turns with others, as the machine's moods, and which pages the data are in, weigh more than what
/// is to be seen. Prints the ratio of its median to the best of theirs.
pub(crate) fn in_turns<T>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    ready: &LazyCell<RefCell<T>, impl FnOnce() -> RefCell<T>>,
    others: &mut [Other<'_, T>],
    step: &mut dyn FnMut(&mut T),
) {
    let (mut own, mut theirs) = (Vec::new(), vec![Vec::new(); others.len()]);
    group.bench_function(name, |b| {
        b.iter_custom(|iterations| {
            let ready = &mut *ready.borrow_mut();
            let before = own.len();
            for _ in 0..iterations {
                for ((_, other), times) in others.iter_mut().zip(&mut theirs) {
                    let start = Instant::now();
                    other(ready);
                    times.push(start.elapsed());
                }
                let start = Instant::now();
                step(ready);
                own.push(start.elapsed());
            }
            own[before..].iter().sum()
        });
    });
    if own.is_empty() {
        return;
    }
    let median = |times: &mut Vec<std::time::Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e6
    };
    let own = median(&mut own);
    let mut theirs: Vec<_> =
        others.iter().zip(&mut theirs).map(|((name, _), times)| (median(times), *name)).collect();
    theirs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let Some((best, than)) = theirs.first() else { return };
    let all: Vec<_> = theirs.iter().map(|(median, name)| format!("{name} {median:.1}")).collect();
    println!("{name}: {:.3} x {than}; medians in us: {own:.1}, {}", own / best, all.join(", "));
}
