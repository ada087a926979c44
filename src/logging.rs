//! The log: its level, its format, and the thread that writes its lines to standard error or to a
//! file.
//!
//! Nobody who is served waits for a line. Lines gather in memory and are written many at once. Where
//! nobody reads them, as from a pipe that a parent process forgot, the emulator goes on: lines that
//! no longer fit are dropped and counted.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use swr_emulator::config::{Config, LogFormat, LogLevel};
use swr_emulator::internal::LinesForPeople;
use tracing::level_filters::LevelFilter;
use tracing::warn;

/// How many bytes of lines may wait to be written.
const ROOM: usize = 1024 * 1024;
/// How many of them keep their memory for the next lines.
const KEPT_ROOM: usize = 64 * 1024;
/// How long lines gather after some were written.
const PAUSE: Duration = Duration::from_millis(2);
/// How long the end of the program waits for the last lines to be read.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The running log.
pub(crate) struct Log(Arc<Lines>);

impl Log {
    /// Starts the log of this process.
    pub(crate) fn start(config: &Config) -> io::Result<Self> {
        let lines = Arc::new(Lines::default());
        let (mut out, has_colors): (Box<dyn Write + Send>, bool) = match &config.log_file {
            None => (Box::new(io::stderr()), io::stderr().is_terminal()),
            Some(path) => (Box::new(open(path)?), false),
        };
        let written = Arc::clone(&lines);
        thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || written.write_to(&mut out))?;
        let level = match config.log_level {
            LogLevel::Off => LevelFilter::OFF,
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        };
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_writer(Arc::clone(&lines))
            .with_ansi(has_colors);
        match config.log_format {
            // Which part of a program wrote a line helps those who look into the program.
            LogFormat::Text => subscriber
                .event_format(LinesForPeople {
                    has_target: level > LevelFilter::INFO,
                })
                .init(),
            LogFormat::Json => subscriber.json().flatten_event(true).init(),
        }
        Ok(Self(lines))
    }

    /// Returns once all lines are written, or after a second in which nobody read them.
    pub(crate) fn end(self) {
        let mut gathered = self.0.gathered.lock();
        gathered.has_ended = true;
        self.0.there_are_more.notify_one();
        self.0.all_are_written.wait_while_for(
            &mut gathered,
            |gathered| !gathered.is_written,
            LAST_LINES,
        );
    }
}

/// Opens a log file; lines of earlier runs stay.
fn open(path: &Path) -> io::Result<File> {
    let opened = File::options().create(true).append(true).open(path);
    opened.map_err(|error| {
        let path = path.display();
        io::Error::other(format!("cannot write to the log file {path}: {error}"))
    })
}

/// Lines on their way to where they are written.
#[derive(Default)]
struct Lines {
    gathered: Mutex<Gathered>,
    there_are_more: Condvar,
    all_are_written: Condvar,
}

#[derive(Default)]
struct Gathered {
    text: Vec<u8>,
    dropped: u64,
    /// Whether nobody adds lines any more, and whether all were written since.
    has_ended: bool,
    is_written: bool,
}

impl Lines {
    /// Writes lines as they come, until the log has ended.
    fn write_to(&self, out: &mut impl Write) {
        let mut text = Vec::new();
        while let Some(dropped) = self.take(&mut text) {
            // That nobody reads the log is no failure; to tell it in the log would be one.
            let _ = out.write_all(&text).and_then(|()| out.flush());
            text.clear();
            text.shrink_to(KEPT_ROOM);
            if dropped > 0 {
                warn!(
                    dropped,
                    "Dropped lines of the log: they were not read in time"
                );
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits for lines and takes all that there are; tells how many were dropped. Nothing once the
    /// log has ended.
    fn take(&self, text: &mut Vec<u8>) -> Option<u64> {
        let mut gathered = self.gathered.lock();
        self.there_are_more.wait_while(&mut gathered, |gathered| {
            gathered.text.is_empty() && !gathered.has_ended
        });
        if gathered.text.is_empty() {
            gathered.is_written = true;
            self.all_are_written.notify_all();
            return None;
        }
        std::mem::swap(text, &mut gathered.text);
        Some(std::mem::take(&mut gathered.dropped))
    }
}

/// Takes a line, or drops it where there is no room.
impl Write for &Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut gathered = self.gathered.lock();
        if gathered.text.len() + line.len() > ROOM {
            gathered.dropped += 1;
        } else {
            gathered.text.extend_from_slice(line);
            self.there_are_more.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Where each text that is written has to be asked for.
    struct Slow {
        asked: mpsc::Receiver<()>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Slow {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.asked.recv().map_err(io::Error::other)?;
            self.written.send(text.to_vec()).map_err(io::Error::other)?;
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_reads_hold_nobody_up_and_those_with_room_are_written_in_their_order() {
        let lines = Arc::new(Lines::default());
        let (ask, asked) = mpsc::channel();
        let (written, read) = mpsc::channel();
        let writing = Arc::clone(&lines);
        let writer = thread::spawn(move || writing.write_to(&mut Slow { asked, written }));
        let number = |at: usize| format!("{at:07}\n").into_bytes();
        // Three times as many as there is room for, while nothing is written.
        let count = 3 * ROOM / number(0).len();
        for at in 0..count {
            let line = number(at);
            assert_eq!((&*lines).write(&line).expect("taken"), line.len());
        }
        let dropped = lines.gathered.lock().dropped;
        assert!(dropped > 0);
        lines.gathered.lock().has_ended = true;
        // What was taken before, and the rest.
        for _ in 0..2 {
            ask.send(()).expect("asked");
        }
        writer.join().expect("it ends");
        let all: Vec<u8> = read.iter().flatten().collect();
        let kept = count - usize::try_from(dropped).expect("a number");
        assert_eq!(all.len(), kept * number(0).len());
        assert!(all.chunks_exact(8).is_sorted());
        assert!(lines.gathered.lock().is_written);
    }
}
