//! Files that are replaced as a whole.

use super::Error;
use atomic_write_file::AtomicWriteFile;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf, absolute};

/// Puts what `write` writes in the place of a file, or leaves that as it was.
pub(super) fn replace(
    path: &Path,
    write: impl FnOnce(&mut AtomicWriteFile) -> Result<(), Error>,
) -> Result<(), Error> {
    let place = place(path)?;
    let mut file = AtomicWriteFile::open(&place)?;
    write(&mut file)?;
    Ok(commit(file, &place)?)
}

/// Where the file is to be. A link may lead to what is not there yet; what is there must be a file, as it will be replaced.
fn place(path: &Path) -> io::Result<PathBuf> {
    match path.canonicalize() {
        Ok(place) if place.is_dir() => Err(ErrorKind::IsADirectory.into()),
        Ok(place) if !place.is_file() => Err(io::Error::new(ErrorKind::InvalidInput, "not a file")),
        Err(error) if error.kind() == ErrorKind::NotFound => match path.read_link() {
            Ok(target) => place(&path.with_file_name(target)),
            Err(_) => absolute(path), // so that the name of a file alone has a folder too
        },
        other => other,
    }
}

/// Replaces the file. Where that is not allowed, what was written does not stay beside it.
#[cfg_attr(not(unix), allow(unused_variables, reason = "only there it is known which file was written"))]
fn commit(file: AtomicWriteFile, place: &Path) -> io::Result<()> {
    // Open until the end, so that no other file can be taken for it.
    #[cfg(unix)]
    let written = file.try_clone()?;
    let committed = file.commit();
    #[cfg(unix)]
    if committed.is_err() {
        remove_beside(place, &written.metadata()?);
    }
    committed
}

/// Removes a file where it has another name in a folder.
#[cfg(unix)]
fn remove_beside(place: &Path, file: &std::fs::Metadata) {
    use std::os::unix::fs::MetadataExt;
    for entry in place.with_file_name("").read_dir().into_iter().flatten().flatten() {
        let same = |found: std::fs::Metadata| (found.dev(), found.ino()) == (file.dev(), file.ino());
        if entry.path() != place && entry.metadata().is_ok_and(same) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}
