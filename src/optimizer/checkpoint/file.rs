//! Safetensors files in which every byte is under a checksum. They know nothing of optimizers.

use super::Error;
use super::record::{Pairs, Record};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;
use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use twox_hash::XxHash3_64;

/// What the header is under, as it cannot tell its own checksum.
pub(super) const CHECKSUM: &str = "checksum";
const KEY: &str = "lanestep";
const METADATA: &str = "__metadata__";
/// What safetensors allows.
const LONGEST_HEADER: u64 = 100_000_000;
/// So many bytes are checked, and reported, at a time: they stay in the cache meanwhile.
const CHUNK: usize = 1 << 20;

/// Bytes done, and bytes in all.
pub(super) type Progress<'a> = Box<dyn FnMut(u64, u64) + Send + 'a>;

/// A tensor to be written, in pieces that lie end to end in the file.
pub(super) struct Entry<'a> {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) pieces: Vec<Cow<'a, [u8]>>,
}

impl Entry<'_> {
    fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }

    fn checksum(&self) -> u64 {
        let mut hasher = XxHash3_64::new();
        self.pieces.iter().for_each(|piece| hasher.write(piece));
        hasher.finish()
    }
}

/// Writes a file. The same record and tensors make the same bytes.
pub(super) fn write(
    out: &mut impl Write,
    mut record: Record,
    mut entries: Vec<Entry<'_>>,
    progress: &mut Progress<'_>,
) -> Result<(), Error> {
    let sum = |sum: u64| vec![Cow::Owned(sum.to_le_bytes().to_vec())];
    entries.push(Entry { name: CHECKSUM.to_owned(), dtype: Dtype::U8, shape: vec![8], pieces: sum(0) });
    if let Some(name) = doubled(entries.iter().map(|entry| &*entry.name)) {
        return Err(Error::Doubled { name });
    }
    // As safetensors' own writers have them.
    entries.sort_by(|a, b| b.dtype.cmp(&a.dtype).then_with(|| a.name.cmp(&b.name)));

    let others = entries.iter().filter(|entry| entry.name != CHECKSUM);
    let sums = others.map(|entry| (entry.name.clone(), format!("{:016x}", entry.checksum())));
    record.checksums = Some(Pairs(sums.collect()));
    let record =
        serde_json::to_string(&record).map_err(|error| Error::Record { reason: error.to_string() })?;
    let (header, total) = header(record, &entries)?;
    if let Some(entry) = entries.iter_mut().find(|entry| entry.name == CHECKSUM) {
        entry.pieces = sum(of_header(&header));
    }

    let mut out = BufWriter::with_capacity(CHUNK, out);
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(&header)?;
    let mut done = 0;
    for chunk in entries.iter().flat_map(|entry| &entry.pieces).flat_map(|piece| piece.chunks(CHUNK)) {
        out.write_all(chunk)?;
        done += chunk.len() as u64;
        progress(done, total);
    }
    Ok(out.flush()?)
}

/// The header, and how many bytes there are behind it.
fn header(record: String, entries: &[Entry<'_>]) -> Result<(Vec<u8>, u64), Error> {
    let mut end = 0;
    let infos = entries.iter().map(|entry| {
        let start = end;
        end += entry.len();
        let info = TensorInfo { dtype: entry.dtype, shape: entry.shape.clone(), data_offsets: (start, end) };
        (entry.name.clone(), info)
    });
    let infos = infos.collect();
    // One key: of several, the order would be another in each run.
    let metadata = Some([(KEY.to_owned(), record)].into_iter().collect());
    let metadata =
        Metadata::new(metadata, infos).map_err(|error| Error::Header { reason: error.to_string() })?;
    let mut header = serde_json::to_vec(&metadata).map_err(not_a_header)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let found = header.len() as u64;
    let allowed = LONGEST_HEADER;
    if found <= allowed { Ok((header, end as u64)) } else { Err(Error::HeaderLength { allowed, found }) }
}

/// The checksum of all that is before the tensors.
fn of_header(header: &[u8]) -> u64 {
    let mut hasher = XxHash3_64::new();
    hasher.write(&(header.len() as u64).to_le_bytes());
    hasher.write(header);
    hasher.finish()
}

fn not_a_header(error: serde_json::Error) -> Error {
    Error::Header { reason: error.to_string() }
}

fn doubled<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut seen = std::collections::HashSet::new();
    names.into_iter().find(|name| !seen.insert(*name)).map(str::to_owned)
}

/// The tensors of a file whose header does not contradict itself.
pub(super) struct Tensors<F> {
    source: F,
    /// Where they begin.
    start: u64,
    infos: BTreeMap<String, TensorInfo>,
    /// Of each, or of none.
    checksums: HashMap<String, u64>,
    pub(super) progress: Progress<'static>,
    done: u64,
    pub(super) total: u64,
}

/// Reads the header of a file.
pub(super) fn read<F: Read + Seek>(mut source: F) -> Result<(Record, Tensors<F>), Error> {
    let found = source.seek(SeekFrom::End(0))?;
    source.rewind()?;
    if found < 8 {
        return Err(Error::FileLength { expected: 8, found });
    }
    let mut length = [0; 8];
    source.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > LONGEST_HEADER {
        return Err(Error::HeaderLength { allowed: LONGEST_HEADER, found: length });
    }
    let start = 8 + length;
    if start > found {
        return Err(Error::FileLength { expected: start, found });
    }
    let mut header = vec![0; length as usize];
    source.read_exact(&mut header)?;
    let (metadata, infos) = parse(&header)?;
    let total = infos.last().map_or(0, |(_, info)| info.data_offsets.1 as u64);
    if found - start != total {
        return Err(Error::FileLength { expected: start.saturating_add(total), found });
    }

    let (infos, checksums) = (infos.into_iter().collect(), HashMap::new());
    let mut tensors =
        Tensors { source, start, infos, checksums, progress: Box::new(|_, _| ()), done: 0, total };
    if tensors.has(CHECKSUM) {
        tensors.expect(CHECKSUM, Dtype::U8, &[8])?;
        let mut expected = [0_u8; 8];
        tensors.get(CHECKSUM, 0, &mut [&mut expected], |_| ())?;
        same(CHECKSUM, u64::from_le_bytes(expected), of_header(&header))?;
    }
    let (_, record) = metadata.0.into_iter().find(|(key, _)| key == KEY).ok_or(Error::NoRecord)?;
    let mut record = Record::parse(&record)?;
    if let Some(checksums) = record.checksums.take() {
        tensors.set_checksums(checksums)?;
    }
    Ok((record, tensors))
}

impl<F: Read + Seek> Tensors<F> {
    /// There must be one for each tensor, but that of the header.
    fn set_checksums(&mut self, Pairs(sums): Pairs<String>) -> Result<(), Error> {
        if let Some(name) = doubled(sums.iter().map(|(name, _)| &**name)) {
            return Err(Error::Doubled { name });
        }
        for (name, sum) in sums {
            if !self.has(&name) {
                return Err(Error::Missing { name });
            }
            let digits = sum.len() == 16 && sum.bytes().all(|digit| digit.is_ascii_hexdigit());
            let parsed = Some(&sum).filter(|_| digits).and_then(|sum| u64::from_str_radix(sum, 16).ok());
            let reason = || format!("the checksum of {name:?} is {sum:?}, not sixteen hexadecimal digits");
            let parsed = parsed.ok_or_else(|| Error::Record { reason: reason() })?;
            self.checksums.insert(name, parsed);
        }
        match self.names().find(|name| *name != CHECKSUM && !self.checksums.contains_key(*name)) {
            Some(name) => Err(Error::Record { reason: format!("there is no checksum of {name:?}") }),
            None => Ok(()),
        }
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.infos.keys().map(String::as_str)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.infos.contains_key(name)
    }

    pub(super) fn dtype(&self, name: &str) -> Option<Dtype> {
        self.infos.get(name).map(|info| info.dtype)
    }

    /// How many bytes a tensor has.
    pub(super) fn len(&self, name: &str) -> Result<usize, Error> {
        self.info(name).map(|info| info.data_offsets.1 - info.data_offsets.0)
    }

    fn info(&self, name: &str) -> Result<&TensorInfo, Error> {
        self.infos.get(name).ok_or_else(|| Error::Missing { name: name.to_owned() })
    }

    /// Whether a tensor is there, and of this kind.
    pub(super) fn expect(&self, name: &str, dtype: Dtype, shape: &[usize]) -> Result<(), Error> {
        let info = self.info(name)?;
        let name = || name.to_owned();
        if info.dtype != dtype {
            let (expected, found) = (dtype.to_string(), info.dtype.to_string());
            return Err(Error::Dtype { name: name(), expected, found });
        }
        if info.shape != shape {
            let (expected, found) = (shape.to_owned(), info.shape.clone());
            return Err(Error::Shape { name: name(), expected, found });
        }
        Ok(())
    }

    /// Reads a tensor, from so many bytes on, into pieces. `then` gets each chunk while it is in the cache.
    pub(super) fn get<T: bytemuck::Pod>(
        &mut self,
        name: &str,
        first: usize,
        pieces: &mut [&mut [T]],
        mut then: impl FnMut(&mut [T]),
    ) -> Result<(), Error> {
        let (mut hasher, len) = (self.begin(name)?, self.len(name)?);
        // What is large is read past the buffer.
        let mut source = BufReader::with_capacity(CHUNK.min(len), (&mut self.source).take(len as u64));
        pass(&mut source, &mut hasher, first)?;
        let mut read = first;
        for chunk in pieces.iter_mut().flat_map(|piece| piece.chunks_mut(CHUNK / size_of::<T>())) {
            let bytes = bytemuck::cast_slice_mut(chunk);
            source.read_exact(bytes)?;
            hasher.write(bytes);
            read += bytes.len();
            self.done += bytes.len() as u64;
            (self.progress)(self.done, self.total);
            then(chunk);
        }
        pass(&mut source, &mut hasher, len - read)?;
        self.end(name, &hasher)
    }

    /// Whether a tensor can be read, and its bytes are those that were written.
    pub(super) fn verify(&mut self, name: &str) -> Result<(), Error> {
        let (mut hasher, len) = (self.begin(name)?, self.len(name)?);
        pass(&mut self.source, &mut hasher, len)?;
        self.end(name, &hasher)
    }

    fn begin(&mut self, name: &str) -> Result<XxHash3_64, Error> {
        let start = self.start + self.info(name)?.data_offsets.0 as u64;
        self.source.seek(SeekFrom::Start(start))?;
        Ok(XxHash3_64::new())
    }

    fn end(&self, name: &str, hasher: &XxHash3_64) -> Result<(), Error> {
        self.checksums.get(name).map_or(Ok(()), |&expected| same(name, expected, hasher.finish()))
    }
}

/// Reads what nobody has asked for.
fn pass(source: &mut impl Read, hasher: &mut XxHash3_64, len: usize) -> Result<(), Error> {
    let (mut rest, mut chunk) = (len, vec![0; len.min(CHUNK)]);
    while rest > 0 {
        let bytes = &mut chunk[..rest.min(CHUNK)];
        source.read_exact(bytes)?;
        hasher.write(bytes);
        rest -= bytes.len();
    }
    Ok(())
}

fn same(name: &str, expected: u64, found: u64) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Checksum { name: name.to_owned(), expected, found }) }
}

type Infos = Vec<(String, TensorInfo)>;

/// What the metadata says, and the tensors in the order in which they lie behind the header, without gaps.
fn parse(header: &[u8]) -> Result<(Pairs<String>, Infos), Error> {
    let Pairs(entries) = serde_json::from_slice::<Pairs<&RawValue>>(header).map_err(not_a_header)?;
    if let Some(name) = doubled(entries.iter().map(|(name, _)| &**name)) {
        return Err(Error::Doubled { name });
    }
    let (mut metadata, mut infos) = (Pairs::default(), Vec::new());
    for (name, value) in entries {
        if name == METADATA {
            metadata = serde_json::from_str(value.get()).map_err(not_a_header)?;
        } else {
            let info: TensorInfo = serde_json::from_str(value.get()).map_err(not_a_header)?;
            infos.push((name, info));
        }
    }
    if let Some(name) = doubled(metadata.0.iter().map(|(key, _)| &**key)) {
        return Err(Error::Doubled { name });
    }
    infos.sort_by_key(|(_, info)| info.data_offsets);
    Metadata::new(None, infos.clone()).map_err(|error| Error::Header { reason: error.to_string() })?;
    Ok((metadata, infos))
}
