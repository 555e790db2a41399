//! Opens and closes, and descriptors that are stale.

use super::noise::noise;
use super::oracle::Oracle;
use super::steps::{Closing, FILES, Opening, PATHS};
use super::user::{Open, User, path};
use efio_core::{Fd, File, OpenOptions};

impl User {
    pub fn open(&mut self, opening: &Opening) {
        let busy = |path: u8| self.files.iter().any(|open| open.path == path);
        let Some(number) = (0..PATHS)
            .map(|next| (opening.path + next) % PATHS)
            .find(|&number| !busy(number))
        else {
            return;
        };
        let place = &mut self.places[usize::from(number)];
        if let (None, Some((len, start))) = (&place.content, opening.exists) {
            let content = noise(start, len as usize);
            place.content = Some(content.to_vec());
            self.store.put(&path(number), content);
        }
        let exists = place.content.is_some();
        let mut options = OpenOptions::new()
            .read(opening.read)
            .write(opening.write)
            .append(opening.append)
            .create(opening.create)
            .create_new(opening.create_new)
            .truncate(opening.truncate)
            .prefetch(opening.prefetch);
        if let Some(mode) = opening.io_mode {
            options = options.io_mode(mode);
        }
        let nonsense = opening.contradicts();
        let full = self.files.len() >= FILES as usize;
        match self.engine.open(path(number), &options) {
            Ok(file) => {
                // Inside of a callback a file may be closed whose event is still to come.
                let closing = self.files.iter().any(|open| open.file.is_none());
                let room = !full || (self.is_inside && closing);
                assert!(room && !nonsense, "{opening:?}, full: {full}");
                self.opened(file, number, opening, exists);
            }
            Err(error) => {
                let expected = if nonsense { libc::EINVAL } else { libc::EMFILE };
                assert!(full || nonsense, "{error}");
                assert_eq!(error.raw_os_error(), Some(expected), "F5, F37: {opening:?}");
            }
        }
    }

    pub fn opened(&mut self, file: File, path: u8, opening: &Opening, exists: bool) {
        let place = &mut self.places[usize::from(path)];
        let content = match &place.content {
            Some(content) if !opening.truncate => content.clone(),
            _ => Vec::new(),
        };
        let creates = opening.create || opening.create_new;
        let nameless = self.trouble.name_errors > 0;
        let refusal = match exists {
            true if opening.create_new => Some(libc::EEXIST),
            false if !creates => Some(libc::ENOENT),
            _ => None,
        };
        self.files.push(Open {
            fd: file.fd(),
            file: Some(file),
            path,
            oracle: Oracle::new(content, opening.append, creates && !exists, nameless),
            readable: opening.read,
            writable: opening.write || opening.append,
            close_sync: false,
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
            Closing::Close => file.close(),
            Closing::CloseSync => {
                open.close_sync = true;
                file.close_sync()
            }
        };
        if let Err(error) = result {
            assert!(error.raw_os_error().is_some(), "{error}");
        }
    }

    /// F8, F9.
    pub fn use_stale(&mut self, which: u8, bits: u64) {
        let Some(&fd) = self.stale.get(usize::from(which) % self.stale.len().max(1)) else {
            return;
        };
        let engine = &self.engine;
        for result in [
            engine.write(fd, b"stale").map(drop),
            engine.read(fd, &mut [0; 10]).map(drop),
            engine.seek(fd, 0),
            engine.sync(fd).map(drop),
            engine.close(fd),
            engine.close_sync(fd),
            engine.progress(fd).map(drop),
            engine.open_status(fd).map(drop),
            engine.failure(fd).map(drop),
            engine
                .read(Fd::from_bits(bits | 1 << 31), &mut [0])
                .map(drop),
        ] {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EBADF));
        }
    }
}

impl Opening {
    /// F5.
    pub fn contradicts(&self) -> bool {
        let writes = self.write || self.append;
        let makes = self.create || self.create_new;
        let truncates = self.truncate && !self.create_new;
        let allowed = writes || (self.read && !makes);
        !allowed || (truncates && (!self.write || self.append))
    }
}
