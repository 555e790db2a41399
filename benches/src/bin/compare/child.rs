//! One turn: one peer, one scenario, a process of its own.

use crate::measure::cache;
use crate::options::Options;
use crate::scenarios::{self, Case, Sampler};
use efio_benches::record::Figures;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;

/// What the process says at its end.
#[derive(Serialize, Deserialize)]
pub enum Answer {
    Done { steal: f64, figures: Box<Figures> },
    Absent(String),
    Failed(String),
}

/// Runs the turn that the options name, and prints the answer.
pub fn turn(options: &Options, number: usize) -> io::Result<()> {
    let (scenario, peer) = (options.scenarios()?[0], options.peers()?[0]);
    let files = options.files.first().copied().unwrap_or(scenario.files[0]);
    let case = Case {
        scenario,
        files,
        quick: options.quick,
        input: options.input_dir(scenario, files),
        output: options.output_dir((scenario, files), peer, number),
    };
    many_descriptors();
    // The caches were dropped, and parts of this program with them.
    io::copy(&mut File::open(std::env::current_exe()?)?, &mut io::sink())?;
    let mut sampler = Sampler::new(&options.dir);
    let answer = match (peer.run)(&case, &mut sampler) {
        Ok(()) => finish(&case, sampler).unwrap_or_else(|error| Answer::Failed(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            Answer::Absent(error.to_string())
        }
        Err(error) => Answer::Failed(error.to_string()),
    };
    serde_json::to_writer(io::stdout(), &answer)?;
    Ok(())
}

/// Checks the files that the turn wrote, and what is cached.
fn finish(case: &Case, sampler: Sampler) -> io::Result<Answer> {
    let (steal, mut figures) = sampler.finish();
    for path in case.paths()? {
        let (resident, pages) = cache::resident(&path)?;
        figures.resident.0 += resident;
        figures.resident.1 += pages;
    }
    scenarios::verify(case)?;
    Ok(Answer::Done {
        steal,
        figures: Box::new(figures),
    })
}

/// As many descriptors as efio may have files, or as this process may have.
fn many_descriptors() {
    const MANY: libc::rlim_t = 65_536;
    // SAFETY: room for the answer, and a structure that is only read.
    unsafe {
        let many = libc::rlimit {
            rlim_cur: MANY,
            rlim_max: MANY,
        };
        let mut limit = many;
        libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit);
        if limit.rlim_max > MANY || libc::setrlimit(libc::RLIMIT_NOFILE, &raw const many) < 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
