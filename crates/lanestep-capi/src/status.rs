//! What calls say: a number for programs, and a text for people.

use lanestep::checkpoint;
use std::any::Any;
use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a call says: 0 is success. Of all else `lanestep_last_error` has the words. Unless it says so itself, a call that
/// fails has written nothing, but for the message.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub enum LanestepStatus {
    /// Done.
    Ok = 0,
    /// A pointer is null that must not be.
    Null = 1,
    /// A pointer is not aligned to what it points to.
    Alignment = 2,
    /// There are too many elements or too few, or more than memory can have.
    Length = 3,
    /// Memory that is written is also another tensor's, or another part of the same one.
    Overlap = 4,
    /// A number is out of its range: a hyperparameter, an option of the pipeline, an enumeration.
    Value = 5,
    /// A text is not UTF-8, or not the JSON that it must be.
    Text = 6,
    /// There is nothing of this name or number, or two of one name.
    Name = 7,
    /// Groups do not hold every parameter once.
    Groups = 8,
    /// Parameters are kept in another format than the call takes.
    Format = 9,
    /// The optimizer is not in a state for this: there is no average yet, or it is in the place of the parameters.
    State = 10,
    /// Gradients are not finite, and the pipeline makes an error of them.
    NonFinite = 11,
    /// There is no room in memory.
    Memory = 12,
    /// A file could not be opened, read or written.
    File = 13,
    /// A file is no checkpoint, or a broken one, or of something else.
    Checkpoint = 14,
    /// Another thread is in a call with the same optimizer.
    Busy = 15,
    /// The system gives no threads.
    Threads = 16,
    /// An error that has no number here yet.
    Other = 17,
    /// A bug in the library. Parameters and state may be half written.
    Panic = 18,
}

/// Why a call fails.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: LanestepStatus,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(status: LanestepStatus, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }
}

impl From<lanestep::Error> for Failure {
    fn from(error: lanestep::Error) -> Self {
        Self { status: category(&error), message: error.to_string() }
    }
}

fn category(error: &lanestep::Error) -> LanestepStatus {
    use lanestep::Error as E;
    match error {
        E::Group { error, .. } => category(error),
        E::Length { .. }
        | E::Tensor { .. }
        | E::Mirror { .. }
        | E::TensorLength { .. }
        | E::TensorCount { .. }
        | E::TooManyElements { .. } => LanestepStatus::Length,
        E::Hyperparameter { .. } | E::Stateless { .. } | E::TooManySlots { .. } | E::Cautious { .. } => {
            LanestepStatus::Value
        }
        E::TensorName { .. } | E::Name { .. } | E::NoState { .. } | E::NoGroup { .. } => LanestepStatus::Name,
        E::EmptyGroup { .. }
        | E::EmptyRange { .. }
        | E::OutOfRange { .. }
        | E::Overlap { .. }
        | E::Gap { .. } => LanestepStatus::Groups,
        E::Split { .. } | E::SwapFormat => LanestepStatus::Format,
        E::NoSplit | E::NoEma | E::Swapped => LanestepStatus::State,
        E::NonFinite { .. } => LanestepStatus::NonFinite,
        E::Memory { .. } => LanestepStatus::Memory,
        _ => LanestepStatus::Other,
    }
}

impl From<checkpoint::Error> for Failure {
    fn from(error: checkpoint::Error) -> Self {
        let status = match &error {
            checkpoint::Error::Optimizer(error) => category(error),
            checkpoint::Error::File { .. } | checkpoint::Error::Io(_) => LanestepStatus::File,
            _ => LanestepStatus::Checkpoint,
        };
        Self { status, message: error.to_string() }
    }
}

thread_local! {
    static LAST: RefCell<CString> = RefCell::default();
}

/// The message of this thread's last call that failed; empty if none has. It is valid until the thread's next call that fails.
#[unsafe(no_mangle)]
#[must_use]
pub extern "C" fn lanestep_last_error() -> *const c_char {
    LAST.try_with(|last| last.borrow().as_ptr()).unwrap_or(c"the thread is ending".as_ptr())
}

/// Runs what a function does: no panic goes beyond it, and of a failure the message is kept.
pub(crate) fn enter(body: impl FnOnce() -> Result<(), Failure>) -> LanestepStatus {
    let Failure { status, message } = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return LanestepStatus::Ok,
        Ok(Err(failure)) => failure,
        Err(payload) => Failure::new(LanestepStatus::Panic, format!("a panic: {}", words(&*payload))),
    };
    let message = CString::new(message.replace('\0', "\u{fffd}")).unwrap_or_default();
    // A thread that is ending has no place for it any more.
    let _ = LAST.try_with(|last| *last.borrow_mut() = message);
    status
}

fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;

    fn last() -> String {
        // SAFETY: it is valid until the next failure.
        unsafe { CStr::from_ptr(lanestep_last_error()) }.to_str().unwrap().to_owned()
    }

    #[test]
    fn panics_stay_inside_and_messages_with_their_thread() {
        assert_eq!((enter(|| Ok(())), last()), (LanestepStatus::Ok, String::new()));
        assert_eq!(enter(|| panic!("so {}", "what")), LanestepStatus::Panic);
        assert_eq!(last(), "a panic: so what");
        assert_eq!(enter(|| Err(Failure::new(LanestepStatus::Name, "a\0b"))), LanestepStatus::Name);
        assert_eq!(enter(|| Ok(())), LanestepStatus::Ok);
        assert_eq!(last(), "a\u{fffd}b");
        std::thread::spawn(|| assert_eq!(last(), "")).join().unwrap();
    }
}
