//! Opens and closes, and calls on stale descriptors.

use super::client::{Client, Open, path, user_data};
use super::oracle::Oracle;
use super::payload::payload;
use super::steps::{Closing, FILES, Opening, PATHS};
use super::task::Task;
use super::tasks::drop_close;
use efio_core::sim::open_while_wanted;
use efio_core::{AsyncFile, Fd, File, OpenOptions};

impl Client {
    pub fn open(&mut self, opening: &Opening) {
        let busy = |path: u8| self.files.iter().any(|open| open.path == path);
        let again = self.closing().filter(|_| opening.reopens);
        let Some(number) = again.or_else(|| {
            let mut paths = (0..PATHS).map(|next| (opening.path + next) % PATHS);
            paths.find(|&number| !busy(number))
        }) else {
            return;
        };
        let is_alone = !busy(number);
        let state = &mut self.paths[usize::from(number)];
        if let (None, Some((len, start)), true) = (&state.content, opening.exists, is_alone) {
            let content = payload(start, len as usize);
            state.content = Some(content.to_vec());
            self.store.put(&path(number), content);
        }
        // The effects of the opens before it are not known yet.
        let exists = is_alone.then_some(state.content.is_some());
        self.opens += 1;
        let mut options = OpenOptions::new()
            .read(opening.read)
            .write(opening.write)
            .append(opening.append)
            .create(opening.create)
            .create_new(opening.create_new)
            .truncate(opening.truncate)
            .prefetch(opening.prefetch)
            .mode(self.opens)
            .user_data(user_data(self.opens));
        if let Some(mode) = opening.io_mode {
            options = options.io_mode(mode);
        }
        let is_invalid = opening.contradicts();
        let full = self.files.len() >= FILES as usize;
        let result = if opening.is_future {
            let result = open_while_wanted(&self.engine, path(number), &options);
            result.map(|(file, future)| (file, Some(future)))
        } else {
            let result = self.engine.open(path(number), &options);
            result.map(|file| (file, None))
        };
        match result {
            Ok((file, future)) => {
                // Inside a callback a file may be closed whose event is still pending.
                let closing = self.files.iter().any(|open| open.file.is_none());
                let room = !full || (self.is_inside && closing);
                assert!(room && !is_invalid, "{opening:?}, full: {full}");
                self.opened(file, number, opening, exists);
                self.files.last_mut().expect("just opened").future = future;
            }
            Err(error) => {
                let expected = if is_invalid {
                    libc::EINVAL
                } else {
                    libc::EMFILE
                };
                assert!(full || is_invalid, "{error}");
                assert_eq!(error.raw_os_error(), Some(expected), "F5, F37: {opening:?}");
            }
        }
    }

    pub fn opened(&mut self, file: File, path: u8, opening: &Opening, exists: Option<bool>) {
        let content = if opening.truncate {
            Vec::new()
        } else {
            self.will_be(path)
        };
        let creates = opening.create || opening.create_new;
        let nameless = self.faults.name_errors > 0;
        let refusal = match exists {
            Some(true) if opening.create_new => Some(libc::EEXIST),
            Some(false) if !creates => Some(libc::ENOENT),
            _ => None,
        };
        // Reads in flight are not ordered with the new descriptor.
        for open in self.files.iter_mut().filter(|open| open.path == path) {
            open.oracle.expect_anything();
            // The kernel may create the file before it finds that it does not exist.
            open.refusal = open
                .refusal
                .filter(|&errno| !creates || errno != libc::ENOENT);
        }
        self.files.push(Open {
            fd: file.fd(),
            file: Some(AsyncFile::from(file)),
            task: Task::default(),
            path,
            oracle: Oracle::new(self.opens, content, opening.append, nameless),
            readable: opening.read,
            writable: opening.write || opening.append,
            close_sync: false,
            truncates: opening.truncate,
            future: None,
            waits_for_close: exists.is_none(),
            is_cancelled: false,
            is_overtaken: false,
            refusal,
        });
    }

    pub fn close(&mut self, index: usize, how: Closing) {
        let open = &mut self.files[index];
        let file = open.file.take().unwrap();
        self.stale.push(open.fd);
        let result = match how {
            Closing::Drop => {
                drop(file);
                return;
            }
            Closing::Future => return drop_close(file),
            Closing::Close => file.into_inner().close(),
            Closing::CloseSync => {
                open.close_sync = true;
                file.into_inner().close_sync()
            }
        };
        if let Err(error) = result {
            assert!(error.raw_os_error().is_some(), "{error}");
        }
    }

    /// Asserts that calls on a closed descriptor fail (F8, F9).
    pub fn use_stale(&mut self, which: u8, bits: u64) {
        let Some(&fd) = self.stale.get(usize::from(which) % self.stale.len().max(1)) else {
            return;
        };
        let engine = &self.engine;
        for result in [
            engine.file(fd).write(b"stale").map(drop),
            engine.file(fd).read(&mut [0; 10]).map(drop),
            engine.file(fd).set_position(0),
            engine.file(fd).sync().map(drop),
            engine.file(fd).close(),
            engine.file(fd).close_sync(),
            engine.file(fd).progress().map(drop),
            engine.file(fd).open_status().map(drop),
            engine.file(fd).failure().map(drop),
            engine
                .file(Fd::from_bits(bits | 1 << 31))
                .read(&mut [0])
                .map(drop),
        ] {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
        }
    }
}

impl Opening {
    /// Whether the combination of options is invalid (F5).
    pub fn contradicts(&self) -> bool {
        let writes = self.write || self.append;
        let makes = self.create || self.create_new;
        let truncates = self.truncate && !self.create_new;
        let allowed = writes || (self.read && !makes);
        !allowed || (truncates && (!self.write || self.append))
    }
}
