//! The memory ceiling of a row: the bytes of its streams, with next to no arithmetic.

use super::row::{Row, Touch, UNIT};
use super::widest::widest;
use std::array::from_fn;
use std::hint::black_box;

const STREAMS: usize = 5;

/// How far apart in their pages the streams begin: at the same place, or with a distance between each two.
pub(crate) const LAYOUTS: [usize; 3] = [0, 512, 832];

/// The units that one thread takes at a time, 2^15 parameters as in the crate.
const GRAIN: usize = (1 << 15) / UNIT;

/// A row's streams in one layout, for some units of parameters.
pub(crate) struct Ceiling {
    units: usize,
    streams: [Stream; STREAMS],
}

struct Stream {
    memory: Vec<u32>,
    start: usize,
    words: usize,
    touch: Touch,
}

impl Ceiling {
    pub(crate) fn new(row: &Row, n: usize, apart: usize) -> Self {
        const PAGE: usize = 4096;
        let (units, streams) = (n / UNIT, row.streams());
        let streams = from_fn(|k| {
            let Some(&(bytes, touch)) = streams.get(k) else {
                return Stream { memory: vec![], start: 0, words: 0, touch: Touch::Read };
            };
            // Ones, as pages that have never been written are all the same one.
            let memory = vec![1; (units * bytes + PAGE) / 4];
            let start = (PAGE + apart * k % PAGE - memory.as_ptr().addr() % PAGE) % PAGE / 4;
            Stream { memory, start, words: bytes / 4, touch }
        });
        assert!(row.streams().len() <= STREAMS);
        Self { units, streams }
    }

    /// Once over all memory.
    pub(crate) fn pass(&mut self) {
        let touches = self.streams.each_ref().map(|stream| (stream.words, stream.touch));
        let units = self.units;
        let slices =
            self.streams.each_mut().map(|stream| &mut stream.memory[stream.start..][..units * stream.words]);
        share(units, touches, slices);
    }
}

fn share(units: usize, touches: [(usize, Touch); STREAMS], slices: [&mut [u32]; STREAMS]) {
    if units <= GRAIN {
        return widest(
            #[inline(always)]
            || walk(units, touches, slices),
        );
    }
    let left = units / 2;
    let mut k = 0..;
    let mut halves = slices.map(|slice| slice.split_at_mut(left * touches[k.next().unwrap_or(0)].0));
    let [first, second] = [0, 1].map(|half| {
        halves.each_mut().map(|(first, second)| std::mem::take(if half == 0 { first } else { second }))
    });
    rayon::join(|| share(left, touches, first), || share(units - left, touches, second));
}

#[inline(always)]
fn walk(units: usize, touches: [(usize, Touch); STREAMS], mut slices: [&mut [u32]; STREAMS]) {
    let mut sums = [0_u32; 16];
    for unit in 0..units {
        for ((words, touch), slice) in touches.into_iter().zip(&mut slices) {
            let words = &mut slice[unit * words..][..words];
            match touch {
                Touch::Read => {
                    let (lines, tail) = words.as_chunks::<16>();
                    for line in lines {
                        (0..16).for_each(|k| sums[k] ^= line[k]);
                    }
                    tail.iter().for_each(|word| sums[0] ^= word);
                }
                Touch::Write => words.fill(unit as u32),
                Touch::Both => words.iter_mut().for_each(|word| *word = word.wrapping_add(1)),
            }
        }
    }
    black_box(sums);
}
