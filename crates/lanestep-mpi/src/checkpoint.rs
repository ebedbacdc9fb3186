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
use serde_json::Value;
use std::fs::{metadata, read_to_string, remove_file};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

const VERSION: u64 = 1;

/// What is at the path of a checkpoint, in JSON: which files have its parts, each a checkpoint of `lanestep`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Index {
    version: u64,
    /// How often it has been written. Names of files have it, so that none is of the time before.
    generation: u64,
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
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
    /// The file at `path` is a list of the parts, which lie beside it under its name and numbers: they are moved and copied together. It is replaced when
    /// all of them are on the disk, and those of the time before are removed after that: at any moment there is the old checkpoint or the new
    /// one, whole. Parts of a save that was killed stay. Any number of ranks [loads](Self::load) it. So does one process without MPI, by [`parts`] and
    /// [`open_parts`](lanestep::checkpoint::Checkpoint::open_parts), which opens all files at once.
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
        let (world, path, own) = (self.world(), place(path.as_ref()), self.range());
        let (rank, first) = (world.rank() as usize, world.rank() == 0);
        let lens: Vec<_> = params.iter().map(|slice| slice.len()).collect();
        let text = || self.at::<P>(&path, &lens);
        let intent = self.check(&lens).and_then(|()| Ok(Intent::of(&text()?)));
        agree(world, intent, text)?;

        let generation = from_first(world, || Ok(next_generation(&path)))?;
        let file = |rank: usize| format!("{}.{generation}.{rank}", name(&path));
        let own_file = beside(&path, &file(rank));
        let saved = if writes(rank, &own) {
            let snapshot = Snapshot::of(self.optimizer()).params(of_range(params, &own));
            let snapshot = if first { snapshot.extra(extra) } else { snapshot };
            snapshot.save(&own_file).map_err(Error::from)
        } else {
            Ok(())
        };
        if let Err(error) = elsewhere(world, saved) {
            let _ = remove_file(own_file);
            return Err(error);
        }
        let ranges = self.ranges().into_iter().enumerate().filter(|(rank, own)| writes(*rank, own));
        let part =
            |(rank, own): (usize, Range<usize>)| Part { file: file(rank), start: own.start, end: own.end };
        let index = Index { version: VERSION, generation, parts: ranges.map(part).collect() };
        let before = if first { read(&path).ok() } else { None };
        let written = if first { write(&path, &index) } else { Ok(()) };
        // It may be there all the same: renamed, but perhaps not on the disk.
        let there = from_first(world, || Ok(written.is_ok() || read(&path).is_ok_and(|now| now == index)))?;
        if !there {
            let _ = remove_file(own_file);
        }
        elsewhere(world, written)?;
        for part in before.into_iter().flat_map(|before| before.parts) {
            let _ = remove_file(beside(&path, &part.file));
        }
        Ok(())
    }

    /// What must be alike where all save or load.
    fn at<P>(&self, path: &Path, lens: &[usize]) -> Result<Value, Error> {
        let mut text = self.described::<P>(lens)?;
        text["path"] = path.to_string_lossy().into();
        Ok(text)
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
        let (path, layout) = (&place(path.as_ref()), layout.into());
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
        let lens = pieces.lens();
        let text = || sharded.at::<P>(path, &lens);
        let intent = sharded.check(&lens).and_then(|()| Ok(Intent::of(&text()?)));
        agree(sharded.world(), intent, text)?;
        let mut read = || {
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
    let path = place(path.as_ref());
    Ok(read(&path)?.parts.iter().map(|part| beside(&path, &part.file)).collect())
}

/// Whether a rank has a file of its own. The first has what the trainer adds.
fn writes(rank: usize, own: &Range<usize>) -> bool {
    rank == 0 || !own.is_empty()
}

/// Where a link leads to. The parts lie there.
fn place(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// One of which there is no part yet, as the index of another may have been moved away, or be unreadable.
fn next_generation(path: &Path) -> u64 {
    let mut last = read(path).map_or(0, |index| index.generation);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let start = format!("{}.", name(path));
    for entry in folder.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(&start));
        let generation = rest.and_then(|rest| rest.split('.').next()?.parse().ok());
        last = generation.map_or(last, |generation| last.max(generation));
    }
    last.saturating_add(1)
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

/// Replaces the index by one whose parts are there.
fn write(path: &Path, index: &Index) -> Result<(), Error> {
    for part in &index.parts {
        let file = beside(path, &part.file);
        metadata(&file).map_err(of_file(&file))?;
    }
    let text = serde_json::to_string_pretty(index).map_err(io::Error::from).map_err(of_file(path))?;
    let write = || {
        let mut file = AtomicWriteFile::open(path)?;
        file.write_all(text.as_bytes())?;
        file.commit()
    };
    write().map_err(of_file(path))
}
