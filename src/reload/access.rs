//! Bounded access to the file system. Every read of the service and the commands goes through [`FileAccess`], and so does the
//! open of the audit log.
//!
//! Only regular files are read, each up to a size that depends on its use, so pipes, devices and endless files are errors.
//! Every call has a deadline, because a network file system can block in any of them. The call then stays on its thread,
//! which is abandoned: its path is not accessed again until the call returns, and the number of such threads is limited.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use zeroize::Zeroizing;

/// The longest time that one call to the file system can take.
const DEADLINE: Duration = Duration::from_secs(5);
/// The most abandoned threads. Further calls fail at once.
const MOST_HANGING: usize = 16;
/// The most abandoned threads of one directory, so that one file system cannot use up all threads.
const MOST_HANGING_PER_DIRECTORY: usize = 2;
/// The most entries of a directory.
const MOST_ENTRIES: usize = 65_536;
const MIB: u64 = 1 << 20;

/// The use of a file, which limits its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileUse {
    /// Access rules of Oathkeeper: 8 MiB.
    AccessRules,
    /// Certificates of TLS, or their private key: 1 MiB.
    Certificates,
    /// A configuration: 16 MiB.
    Configuration,
    /// A JWK Set or a private key: 4 MiB.
    Keys,
    /// Recorded cases in one file, for the command line: 1 GiB.
    RecordedCases,
    /// A caller secret: 1 MiB.
    Secret,
    /// A session, for the command line: 16 MiB.
    Session,
    /// A template, or a file beside it: 16 MiB.
    Template,
}

/// Opens the file at a path.
type Open = dyn Fn(&Path) -> io::Result<File> + Send + Sync;
type Job = Box<dyn FnOnce() + Send>;

/// Access to the file system, with limits for each call.
pub struct FileAccess {
    deadline: Duration,
    open: Arc<Open>,
    calls: Arc<Mutex<Calls>>,
}

#[derive(Default)]
struct Calls {
    /// The calls whose deadline has passed.
    hanging: Vec<Hanging>,
    /// Threads that wait for a job.
    idle: VecDeque<SyncSender<Job>>,
}

struct Hanging {
    path: PathBuf,
    directory: PathBuf,
}

/// The result of a call, until its caller has taken it.
enum Progress<T> {
    Running,
    Abandoned,
    Done(io::Result<T>),
}

impl FileUse {
    /// Returns the largest size in bytes.
    pub(crate) fn most(self) -> u64 {
        match self {
            FileUse::Certificates | FileUse::Secret => MIB,
            FileUse::Keys => 4 * MIB,
            FileUse::AccessRules => 8 * MIB,
            FileUse::Configuration | FileUse::Session | FileUse::Template => 16 * MIB,
            FileUse::RecordedCases => 1024 * MIB,
        }
    }
}

impl Default for FileAccess {
    fn default() -> Self {
        Self::with(DEADLINE, open_without_waiting)
    }
}

impl FileAccess {
    /// Returns an access whose calls fail after `deadline`. `open` opens files; tests pass one that hangs.
    fn with(deadline: Duration, open: impl Fn(&Path) -> io::Result<File> + Send + Sync + 'static) -> Self {
        Self { deadline, open: Arc::new(open), calls: Arc::default() }
    }

    /// Reads the regular file at `path`, and follows links.
    ///
    /// # Errors
    /// Fails for anything but a regular file, for a file larger than its use permits, and after the deadline.
    pub(crate) fn read(&self, path: &Path, file_use: FileUse) -> io::Result<Vec<u8>> {
        let (open, target) = (Arc::clone(&self.open), path.to_owned());
        let read = self.run(path, self.deadline, move || bytes_of(open(&target)?, file_use.most()).map(Zeroizing::new));
        read.map(|mut bytes| std::mem::take(&mut *bytes))
    }

    /// Reads a file at any depth below `directory`. Follows links, but not to targets outside the directory.
    ///
    /// # Errors
    /// Fails like [`FileAccess::read`], and for a target outside the directory.
    pub(crate) fn read_within(&self, directory: &Path, path: &Path) -> io::Result<Vec<u8>> {
        let (open, root, target) = (Arc::clone(&self.open), directory.to_owned(), path.to_owned());
        self.run_in(directory, path, self.deadline, move || {
            let file = open(&target)?;
            if !target_of(&file, &target)?.starts_with(fs::canonicalize(root)?) {
                let message = "a link that leads out of the templates directory";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, message));
            }
            bytes_of(file, FileUse::Template.most())
        })
    }

    /// Returns the sorted paths of all entries of a directory.
    ///
    /// # Errors
    /// Fails like [`fs::read_dir`], for too many entries, and after the deadline.
    pub(crate) fn entries(&self, root: &Path, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let target = directory.to_owned();
        self.run_in(root, directory, self.deadline, move || {
            let mut paths = Vec::new();
            for entry in fs::read_dir(target)? {
                if paths.len() == MOST_ENTRIES {
                    let message = format!("a directory with more than {MOST_ENTRIES} entries");
                    return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
                }
                paths.push(entry?.path());
            }
            paths.sort();
            Ok(paths)
        })
    }

    /// Opens the regular file at `path` to add bytes to its end, and follows links. Only its owner can read a new file.
    ///
    /// # Errors
    /// Fails for anything but a regular file, and after the deadline.
    pub(crate) fn append(&self, path: &Path) -> io::Result<File> {
        let target = path.to_owned();
        self.run(path, self.deadline, move || append_without_waiting(&target))
    }

    /// Returns the metadata of the file at `path`, and follows links.
    ///
    /// # Errors
    /// Fails like [`fs::metadata`], and after the deadline.
    pub(crate) fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let target = path.to_owned();
        self.run(path, self.deadline, move || fs::metadata(target))
    }

    /// Runs `job`, which accesses the file at `path`. If it does not return within `deadline`, it continues on a thread of
    /// its own.
    ///
    /// # Errors
    /// Fails like `job`, after the deadline, and if `path` already hangs.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        path: &Path,
        deadline: Duration,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.run_in(path.parent().unwrap_or(Path::new("")), path, deadline, job)
    }

    fn run_in<T: Send + 'static>(
        &self,
        directory: &Path,
        path: &Path,
        deadline: Duration,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let progress = Arc::new(Mutex::new(Progress::Running));
        let (done, finished) = mpsc::sync_channel(1);
        let worker = self.worker(directory, path)?;
        let (calls, shared, name) = (Arc::clone(&self.calls), Arc::clone(&progress), path.to_owned());
        let work: Job = Box::new(move || {
            let result = job();
            let mut progress = lock(&shared);
            if matches!(*progress, Progress::Abandoned) {
                let mut calls = lock(&calls);
                if let Some(index) = calls.hanging.iter().position(|call| call.path == name) {
                    calls.hanging.swap_remove(index);
                }
                return;
            }
            *progress = Progress::Done(result);
            drop(progress);
            let _ = done.send(());
        });
        worker.send(work).map_err(|_| io::Error::other("a thread that ended"))?;
        let waited = finished.recv_timeout(deadline);
        let mut progress = lock(&progress);
        match std::mem::replace(&mut *progress, Progress::Abandoned) {
            Progress::Done(result) => {
                lock(&self.calls).idle.push_back(worker);
                result
            }
            Progress::Running | Progress::Abandoned if waited == Err(RecvTimeoutError::Disconnected) => {
                Err(io::Error::other("a panic while reading; this is a bug in claimsmith"))
            }
            Progress::Running | Progress::Abandoned => {
                lock(&self.calls).hanging.push(Hanging { path: path.to_owned(), directory: directory.to_owned() });
                Err(hangs())
            }
        }
    }

    /// Returns a thread for a call at `path`.
    fn worker(&self, directory: &Path, path: &Path) -> io::Result<SyncSender<Job>> {
        let mut calls = lock(&self.calls);
        let in_directory = calls.hanging.iter().filter(|call| call.directory == directory).count();
        if in_directory >= MOST_HANGING_PER_DIRECTORY || calls.hanging.iter().any(|call| call.path == path) {
            return Err(hangs());
        }
        if calls.hanging.len() >= MOST_HANGING {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "too many files that do not respond"));
        }
        if let Some(idle) = calls.idle.pop_front() {
            return Ok(idle);
        }
        let (worker, jobs) = mpsc::sync_channel::<Job>(1);
        std::thread::Builder::new().name("files".to_owned()).spawn(move || jobs.into_iter().for_each(|job| job()))?;
        Ok(worker)
    }
}

/// Returns `true` if a file that was readable can fail with `error` although nobody removed or replaced its content: its
/// file system hangs or fails, or something that can be read without an end has its name.
///
/// Files that are missing, forbidden or directories are changes that an operator made, which are rejected as a whole. A lack
/// of descriptors or memory is not the fault of a file.
pub(super) fn is_obstruction(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, IsADirectory, NotADirectory, NotFound, OutOfMemory, PermissionDenied};
    #[cfg(unix)]
    if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) {
        return false;
    }
    !matches!(error.kind(), InvalidData | IsADirectory | NotADirectory | NotFound | OutOfMemory | PermissionDenied)
}

fn hangs() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "a file system that does not respond; check its mount")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads the regular file at `path` on this thread, without a deadline.
///
/// # Errors
/// Fails like [`FileAccess::read`].
pub(super) fn read_here(path: &Path, file_use: FileUse) -> io::Result<Vec<u8>> {
    bytes_of(open_without_waiting(path)?, file_use.most())
}

/// Opens a regular file. The open of a pipe would wait for a writer, and the open of a device can change its state.
fn open_without_waiting(path: &Path) -> io::Result<File> {
    require_regular(&fs::metadata(path)?)?;
    let mut options = OpenOptions::new();
    options.read(true);
    // Another file can have the name by now.
    never_wait(&mut options).open(path)
}

/// Opens a regular file, or creates one, to add bytes to its end.
fn append_without_waiting(path: &Path) -> io::Result<File> {
    match fs::metadata(path) {
        Ok(metadata) => require_regular(&metadata)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = never_wait(&mut options).open(path)?;
    require_regular(&file.metadata()?)?;
    Ok(file)
}

/// Makes the open of a pipe return at once.
pub(super) fn never_wait(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, libc::O_NONBLOCK | libc::O_NOCTTY);
    options
}

/// Fails for anything but a regular file.
///
/// # Errors
/// Says what was found.
pub(super) fn require_regular(metadata: &Metadata) -> io::Result<()> {
    let kind = match (metadata.is_file(), metadata.is_dir()) {
        (true, _) => return Ok(()),
        (false, true) => io::ErrorKind::IsADirectory,
        (false, false) => io::ErrorKind::InvalidInput,
    };
    Err(io::Error::new(kind, "something that is not a regular file"))
}

fn bytes_of(file: File, most: u64) -> io::Result<Vec<u8>> {
    let metadata = file.metadata()?;
    require_regular(&metadata)?;
    let too_large = || io::Error::new(io::ErrorKind::FileTooLarge, format!("a file of more than {} MiB", most / MIB));
    if metadata.len() > most {
        return Err(too_large());
    }
    // With this capacity, no copy of a secret stays behind in memory that was too small.
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default() + 1);
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large()) } else { Ok(bytes) }
}

/// Returns the path of `file`, which was opened as `path`, without links. Linux reports it for the open file, so that a link
/// swapped after the open cannot mislead the check.
fn target_of(file: &File, path: &Path) -> io::Result<PathBuf> {
    #[cfg(target_os = "linux")]
    if let Ok(target) = fs::read_link(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file))) {
        return Ok(target);
    }
    let _ = file;
    fs::canonicalize(path)
}

impl fmt::Debug for FileAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileAccess").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// A file system whose files hang while a test holds their names.
#[cfg(test)]
pub(super) mod testing {
    use std::sync::Condvar;

    use super::*;

    /// The names of files that hang.
    #[derive(Clone, Default)]
    pub(crate) struct Hangs(Arc<(Mutex<Vec<String>>, Condvar)>);

    impl Hangs {
        /// Returns an access on which these files hang. `deadline` must be longer than any other read takes.
        pub(crate) fn access(&self, deadline: Duration) -> FileAccess {
            let hangs = self.clone();
            FileAccess::with(deadline, move |path| {
                let (names, changed) = &*hangs.0;
                let is_hanging = |names: &mut Vec<String>| names.iter().any(|name| path.ends_with(name));
                drop(changed.wait_while(lock(names), is_hanging).unwrap());
                open_without_waiting(path)
            })
        }

        /// Lets exactly the files with these names hang.
        pub(crate) fn set(&self, names: &[&str]) {
            *lock(&self.0.0) = names.iter().map(|&name| name.to_owned()).collect();
            self.0.1.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Hangs;
    use super::*;

    const SHORT: Duration = Duration::from_millis(200);

    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("claimsmith-access-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    fn found(access: &FileAccess, path: &Path) -> String {
        match access.read(path, FileUse::Secret) {
            Ok(bytes) => format!("{} bytes", bytes.len()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn only_regular_files_of_limited_size_are_read() {
        let (here, access) = (directory("kinds"), FileAccess::default());
        let irregular = "something that is not a regular file";
        fs::write(here.join("good"), "1234").unwrap();
        File::create(here.join("sparse")).unwrap().set_len(2 << 30).unwrap();
        assert_eq!(found(&access, &here.join("good")), "4 bytes");
        assert_eq!(found(&access, &here.join("sparse")), "a file of more than 1 MiB");
        assert_eq!(found(&access, &here), irregular);
        #[cfg(unix)]
        {
            use std::os::unix::fs::symlink;
            let made = std::process::Command::new("mkfifo").arg(here.join("pipe")).status().unwrap();
            assert!(made.success());
            let _socket = std::os::unix::net::UnixListener::bind(here.join("socket")).unwrap();
            symlink("/dev/zero", here.join("endless")).unwrap();
            symlink("good", here.join("link")).unwrap();
            symlink("loop", here.join("loop")).unwrap();
            for name in ["pipe", "socket", "endless"] {
                assert_eq!(found(&access, &here.join(name)), irregular, "{name}");
            }
            assert_eq!(found(&access, &here.join("link")), "4 bytes");
            assert!(access.read(&here.join("loop"), FileUse::Secret).is_err());
        }
        fs::remove_dir_all(here).unwrap();
    }

    #[test]
    fn only_regular_files_are_appended_to() {
        let (here, access) = (directory("append"), FileAccess::default());
        let append = |name: &str| access.append(&here.join(name)).map_err(|error| error.to_string());
        let irregular = "something that is not a regular file";
        for text in ["a", "b"] {
            io::Write::write_all(&mut append("log").unwrap(), text.as_bytes()).unwrap();
        }
        assert_eq!(fs::read(here.join("log")).unwrap(), b"ab");
        assert_eq!(append("").unwrap_err(), irregular);
        assert!(append("missing/log").is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::{PermissionsExt as _, symlink};
            assert_eq!(fs::metadata(here.join("log")).unwrap().permissions().mode() & 0o077, 0);
            assert!(std::process::Command::new("mkfifo").arg(here.join("pipe")).status().unwrap().success());
            let _socket = std::os::unix::net::UnixListener::bind(here.join("socket")).unwrap();
            symlink("/dev/null", here.join("device")).unwrap();
            symlink("log", here.join("link")).unwrap();
            for name in ["pipe", "socket", "device"] {
                assert_eq!(append(name).unwrap_err(), irregular, "{name}");
            }
            assert!(append("link").is_ok());
        }
        fs::remove_dir_all(here).unwrap();
    }

    #[test]
    fn pipe_that_takes_the_name_after_the_check_does_not_block() {
        #[cfg(unix)]
        {
            let here = directory("race");
            assert!(std::process::Command::new("mkfifo").arg(here.join("pipe")).status().unwrap().success());
            let open = |path: &Path| never_wait(OpenOptions::new().read(true)).open(path);
            let access = FileAccess::with(DEADLINE, open);
            assert_eq!(found(&access, &here.join("pipe")), "something that is not a regular file");
            fs::remove_dir_all(here).unwrap();
        }
    }

    #[test]
    fn errors_of_a_file_system_are_obstructions() {
        // EIO, EAGAIN, ENODEV, EINVAL, ELOOP, ETIMEDOUT, ESTALE, EHOSTDOWN
        #[cfg(target_os = "linux")]
        for number in [5, 11, 19, 22, 40, 110, 116, 112] {
            assert!(is_obstruction(&io::Error::from_raw_os_error(number)), "{number}");
        }
        #[cfg(target_os = "linux")]
        for number in [2, 12, 13, 23, 24] {
            assert!(!is_obstruction(&io::Error::from_raw_os_error(number)), "{number}");
        }
        assert!(!is_obstruction(&FileAccess::default().read(Path::new("/"), FileUse::Secret).unwrap_err()));
    }

    #[test]
    fn hanging_file_is_not_opened_twice_and_recovers() {
        let (here, hangs) = (directory("hang"), Hangs::default());
        let access = hangs.access(SHORT);
        fs::write(here.join("a"), "1").unwrap();
        hangs.set(&["a"]);
        for _ in 0..20 {
            assert!(found(&access, &here.join("a")).contains("does not respond"));
            assert_eq!(lock(&access.calls).hanging.len(), 1);
        }
        hangs.set(&[]);
        while !lock(&access.calls).hanging.is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(found(&access, &here.join("a")), "1 bytes");
        fs::remove_dir_all(here).unwrap();
    }

    #[test]
    fn number_of_abandoned_threads_is_limited() {
        let (here, hangs) = (directory("most"), Hangs::default());
        let access = hangs.access(Duration::from_millis(5));
        hangs.set(&["x"]);
        let mut refused = 0;
        for directory in 0..MOST_HANGING {
            for depth in ["", "/1", "/2"] {
                let folder = here.join(format!("{directory}{depth}"));
                fs::create_dir_all(&folder).unwrap();
                let read = access.read_within(&here.join(directory.to_string()), &folder.join("x"));
                refused += usize::from(read.unwrap_err().to_string().starts_with("too many"));
                assert!(lock(&access.calls).hanging.len() <= MOST_HANGING);
            }
        }
        assert_eq!(lock(&access.calls).hanging.len(), MOST_HANGING);
        assert!(refused > 0);
        hangs.set(&[]);
        fs::remove_dir_all(here).unwrap();
    }
}
