//! The memory ceiling of a row: the bytes of its streams, with next to no arithmetic.

use super::row::{Row, Touch, UNIT};
use super::widest::widest;
use lanestep::Buffer;
use std::array::from_fn;
use std::hint::black_box;
use std::mem::take;
use std::ops::DerefMut;

/// Parameters, gradients, two slots of state, and what is beside them.
const STREAMS: usize = 5;

/// How far apart in their pages the streams begin, at the same place or with a distance between each two, and from which stream
/// on they are in huge pages: none, state, all.
pub(crate) const LAYOUTS: [(usize, usize); 5] =
    [(0, STREAMS), (512, STREAMS), (832, STREAMS), (512, 2), (512, 0)];

/// The units that one thread takes at a time, 2^15 parameters as in the crate.
const GRAIN: usize = (1 << 15) / UNIT;

/// A row's streams in one layout.
pub(crate) struct Ceiling {
    units: usize,
    memory: [Memory; STREAMS],
    starts: [usize; STREAMS],
    streams: Streams,
}

/// Words in a `Vec`, or in the huge pages of a buffer.
type Memory = Box<dyn DerefMut<Target = [f32]> + Send>;

/// The words of a unit of each, and whether nobody reads the last.
#[derive(Clone, Copy)]
struct Streams {
    words: [usize; STREAMS],
    write_only: bool,
}

impl Ceiling {
    pub(crate) fn new(row: &Row, n: usize, (apart, first_huge): (usize, usize)) -> Self {
        const PAGE: usize = 4096;
        let (units, streams) = (n / UNIT, row.streams());
        assert!(streams.len() <= STREAMS);
        let words = from_fn(|k| streams.get(k).map_or(0, |(bytes, _)| bytes / 4));
        let memory: [Memory; STREAMS] = from_fn(|k| {
            let len = units * words[k] + PAGE / 4;
            let mut memory: Memory = if k >= first_huge {
                Box::new(Buffer::zeroed(len).expect("memory"))
            } else {
                Box::new(vec![0.0; len])
            };
            // As pages that have never been written are all the same one.
            memory.fill(1.0);
            memory
        });
        let start = |k: usize| (PAGE + apart * k % PAGE - memory[k].as_ptr().addr() % PAGE) % PAGE / 4;
        let write_only = streams.get(4).is_some_and(|(_, touch)| *touch == Touch::Write);
        Self { units, starts: from_fn(start), memory, streams: Streams { words, write_only } }
    }

    /// Once over all of it.
    pub(crate) fn pass(&mut self) {
        let mut starts = self.starts.into_iter();
        let slices = self.memory.each_mut().map(|memory| {
            let words: &mut [u32] = bytemuck::cast_slice_mut(memory);
            &mut words[starts.next().unwrap_or(0)..]
        });
        share(self.units, self.streams, slices);
    }
}

fn share(units: usize, streams: Streams, slices: [&mut [u32]; STREAMS]) {
    if units <= GRAIN {
        return widest(
            #[inline(always)]
            || walk(units, streams, slices),
        );
    }
    let left = units / 2;
    let mut words = streams.words.into_iter();
    let mut halves = slices.map(|slice| slice.split_at_mut(left * words.next().unwrap_or(0)));
    let first = halves.each_mut().map(|(first, _)| take(first));
    let second = halves.map(|(_, second)| second);
    rayon::join(|| share(left, streams, first), || share(units - left, streams, second));
}

/// A loop for each width of parameters, gradients, state and what is beside.
#[inline(always)]
fn walk(units: usize, streams: Streams, slices: [&mut [u32]; STREAMS]) {
    macro_rules! of_widths {
        ($([$p:literal, $g:literal, $s:literal, $b:literal])*) => {
            match streams.words.map(|words| words / 4) {
                $([$p, $g, $s, $s, $b] => of_width::<$p, $g, $s, $b>(units, streams, slices),)*
                other => panic!("no row has {other:?}"),
            }
        };
    }
    of_widths! {
        [64, 64, 64, 0] [64, 64, 32, 0] [64, 32, 32, 0] [32, 32, 32, 0] [64, 32, 64, 0]
        [64, 64, 16, 0] [32, 32, 16, 0] [64, 64, 64, 32] [32, 64, 64, 32] [32, 32, 64, 32]
    }
}

/// A quarter of a unit of each stream in turn: of what has four bytes, four lines of the cache. A scale is beside its block.
#[inline(always)]
fn of_width<const P: usize, const G: usize, const S: usize, const B: usize>(
    units: usize,
    streams: Streams,
    slices: [&mut [u32]; STREAMS],
) {
    let [p, g, first, second, beside] = slices;
    let words = streams.words;
    let mut sum = 0;
    for unit in 0..units {
        let p = quarters::<P>(&mut p[unit * words[0]..]);
        let g = quarters::<G>(&mut g[unit * words[1]..]);
        let (first, second) = (&mut first[unit * words[2]..], &mut second[unit * words[3]..]);
        let scales = words[2] % 4;
        add(&mut first[..scales]);
        add(&mut second[..scales]);
        let [first, second] = [first, second].map(|slot| quarters::<S>(&mut slot[scales..]));
        let mut beside = &mut beside[unit * words[4]..];
        for k in 0..4 {
            sum ^= g[k].iter().fold(0, |sum, word| sum ^ word);
            add(&mut p[k]);
            add(&mut first[k]);
            add(&mut second[k]);
            if B > 0 {
                let quarter = beside.split_off_mut(..B).expect("a unit");
                if streams.write_only { quarter.fill(unit as u32) } else { add(quarter) }
            }
        }
    }
    black_box(sum);
}

#[inline(always)]
fn quarters<const N: usize>(words: &mut [u32]) -> &mut [[u32; N]; 4] {
    words.as_chunks_mut().0.first_chunk_mut().expect("a unit")
}

#[inline(always)]
fn add(words: &mut [u32]) {
    words.iter_mut().for_each(|word| *word = word.wrapping_add(1));
}
