//! Runs in files, of which each rank writes and reads its own part.

use crate::Error;
use crate::agree::{Intent, agree, elsewhere, from_first};
use crate::pieces::{Pieces, of_range};
use crate::sharded::Sharded;
use atomic_write_file::AtomicWriteFile;
use lanestep::checkpoint::{Checkpoint, Recorded, Snapshot};
use lanestep::{Element, Layout};
use mpi::traits::Communicator;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{read_to_string, remove_file};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

const VERSION: u64 = 1;

/// What is at the path of a checkpoint, in JSON: which files have its parts, each a checkpoint of `lanestep`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    version: u64,
    /// How often it has been written. Names of files have it, so that none is of the time before.
    generation: u64,
    parts: Vec<Part>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    /// Its name, beside the index.
    file: String,
    /// The places of its parameters.
    start: usize,
    end: usize,
}

impl<R: Recorded> Sharded<R> {
    /// Writes the run to files, between two steps: the parameters, which all ranks have, and all of the optimizer. All ranks call it
    /// together, with one path that they all see; each writes its own part.
    ///
    /// The file at `path` is a list of the parts, which lie beside it under its name and a number. It is replaced when all of them are on the
    /// disk, and those of the time before are removed after that: at any moment there is the old checkpoint or the new one, whole. Any number of
    /// ranks [loads](Self::load) it. So does one process without MPI, by [`parts`] and
    /// [`open_parts`](lanestep::checkpoint::Checkpoint::open_parts).
    ///
    /// # Errors
    /// [`Error::Checkpoint`] and [`Error::File`] if a file cannot be written, [`Error::Optimizer`] if the parameters are not as many as
    /// the optimizer's; [`Error::Unlike`] and [`Error::Elsewhere`] as [`step`](Self::step). What was there is as it was.
    pub fn save<P: Element>(&self, path: impl AsRef<Path>, params: &[P]) -> Result<(), Error> {
        self.save_with(path, &[params], &())
    }

    /// The same with parameters in many slices, and with something of the trainer's, as
    /// [`Snapshot::extra`](lanestep::checkpoint::Snapshot::extra): that of rank 0.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub fn save_with<P: Element>(
        &self,
        path: impl AsRef<Path>,
        params: &[&[P]],
        extra: &impl Serialize,
    ) -> Result<(), Error> {
        let (world, path, own) = (self.world(), path.as_ref(), self.range());
        let first = world.rank() == 0;
        let intent = self.check_lens(&params.iter().map(|slice| slice.len()).collect::<Vec<_>>());
        let intent = intent.and_then(|()| Ok(Intent { digest: self.record()?.0, params: 0 }));
        agree(world, intent, || Ok(self.record()?.1))?;

        // What is no index is replaced, as any file.
        let old = from_first(world, || Ok(read(path).ok().map(|index| index.generation)))?;
        let generation = old.unwrap_or(0).wrapping_add(1);
        let file = |rank: usize| format!("{}.{generation}.{rank}", name(path));
        let own_file = beside(path, &file(world.rank() as usize));
        let saved = if writes(world.rank() as usize, &own) {
            let snapshot = Snapshot::of(self.optimizer()).params(of_range(params, &own));
            let snapshot = if first { snapshot.extra(extra) } else { snapshot };
            snapshot.save(&own_file).map_err(Error::from)
        } else {
            Ok(())
        };
        let index = || {
            let ranges = self.ranges().into_iter().enumerate().filter(|(rank, own)| writes(*rank, own));
            let part = |(rank, own): (usize, Range<usize>)| Part {
                file: file(rank),
                start: own.start,
                end: own.end,
            };
            Index { version: VERSION, generation, parts: ranges.map(part).collect() }
        };
        let before = if first { read(path).ok() } else { None };
        let written = elsewhere(world, saved)
            .and_then(|()| elsewhere(world, if first { write(path, &index()) } else { Ok(()) }));
        if written.is_err() {
            let _ = remove_file(own_file);
        } else if let Some(before) = before {
            before.parts.iter().for_each(|part| drop(remove_file(beside(path, &part.file))));
        }
        written
    }

    /// The run that was [saved](Self::save), by whatever number of ranks: the next step has the same bits as if there had been no
    /// interruption. All ranks call it together; `params` become those that were saved, on all of them.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Index`] if there is no checkpoint at the path, [`Error::Checkpoint`] if a part is not what it must be,
    /// or has other parameters or another rule; else as [`new`](Self::new). Parameters may have been written then.
    pub fn load<P: Element>(
        world: &impl Communicator,
        path: impl AsRef<Path>,
        layout: impl Into<Layout>,
        micro_batches: usize,
        params: &mut [P],
    ) -> Result<Self, Error> {
        let loaded = Self::load_with::<P, ()>(world, path, layout, micro_batches, &mut [params]);
        loaded.map(|(sharded, ())| sharded)
    }

    /// The same with parameters in many slices, and what the trainer of rank 0 had [added](Self::save_with).
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with<P: Element, T: DeserializeOwned>(
        world: &impl Communicator,
        path: impl AsRef<Path>,
        layout: impl Into<Layout>,
        micro_batches: usize,
        params: &mut [&mut [P]],
    ) -> Result<(Self, T), Error> {
        let (path, layout) = (path.as_ref(), layout.into());
        let index = from_first(&world.duplicate(), || read(path))?;
        let first = beside(path, &index.parts[0].file);
        let open = |own: &Range<usize>| -> Result<_, Error> {
            // Not all files of all ranks.
            let has = |part: &&Part| part.start < own.end && own.start < part.end;
            let mut files: Vec<_> =
                index.parts.iter().filter(has).map(|part| beside(path, &part.file)).collect();
            if files.is_empty() {
                files.push(first.clone());
            }
            Ok(Checkpoint::open_parts(files)?)
        };
        let make = |part: Layout| Ok(open(&part.places())?.optimizer(part)?);
        let mut sharded = Self::of(world, layout, micro_batches, make)?;
        let (mut pieces, own) = (Pieces::new(params), sharded.range());
        let mut read = || {
            sharded.check_lens(&pieces.lens())?;
            open(&own)?.params_of(sharded.optimizer().layout(), &mut pieces.alone(own.clone()))?;
            Ok(Checkpoint::open(&first)?.extra()?)
        };
        let extra = read();
        let extra = elsewhere(sharded.world(), extra)?;
        sharded.gather(&mut pieces);
        Ok((sharded, extra))
    }
}

/// The files that have the parts of a checkpoint: for one process without ranks, to
/// [open](lanestep::checkpoint::Checkpoint::open_parts).
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use lanestep::checkpoint::Checkpoint;
/// use lanestep::{AdamW, Optimizer, Tensor};
/// let mut params = vec![0.0_f32; 1_000_000];
/// let mut checkpoint = Checkpoint::open_parts(lanestep_mpi::parts("run")?)?;
/// let optimizer: Optimizer<AdamW> = checkpoint.optimizer(params.len())?;
/// checkpoint.params(&mut [Tensor::of(&mut params)])?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`Error::File`] and [`Error::Index`] if there is no checkpoint at the path.
pub fn parts(path: impl AsRef<Path>) -> Result<Vec<PathBuf>, Error> {
    let path = path.as_ref();
    Ok(read(path)?.parts.iter().map(|part| beside(path, &part.file)).collect())
}

/// Whether a rank has a file of its own. The first has what the trainer adds.
fn writes(rank: usize, own: &Range<usize>) -> bool {
    rank == 0 || !own.is_empty()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn beside(path: &Path, file: &str) -> PathBuf {
    path.with_file_name(file)
}

fn of_file(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::File { path: path.to_owned(), source }
}

fn read(path: &Path) -> Result<Index, Error> {
    let failed = |reason: String| Error::Index { path: path.to_owned(), reason };
    let text = read_to_string(path).map_err(of_file(path))?;
    let index: Index = serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    if index.version != VERSION {
        return Err(failed(format!("version {}, but {VERSION} is known", index.version)));
    }
    if index.parts.is_empty() {
        return Err(failed("it has no parts".to_owned()));
    }
    // It names files of its own folder, and no others.
    match index.parts.iter().find(|part| Path::new(&part.file).file_name() != Some(part.file.as_ref())) {
        Some(part) => Err(failed(format!("{:?} is no name of a file", part.file))),
        None => Ok(index),
    }
}

fn write(path: &Path, index: &Index) -> Result<(), Error> {
    let text = serde_json::to_string_pretty(index).map_err(io::Error::from).map_err(of_file(path))?;
    let write = || {
        let mut file = AtomicWriteFile::open(path)?;
        file.write_all(text.as_bytes())?;
        file.commit()
    };
    write().map_err(of_file(path))
}
