//! Signals to the process, which are the command's.
//!
//! The command is in the same process group, so Ctrl-C, Ctrl-\ and the end of the terminal reach it
//! by themselves, and passing them on would count them twice: many programs take a second Ctrl-C
//! for impatience. What a process sends here is for this one only, and is passed on. The system
//! says for each signal which of the two it is. Ctrl-Z stops both and `fg` continues both, without
//! our doing. A signal that is ignored at the start, as under `nohup`, stays so, for the command too.

pub(super) use system::Signals;

#[cfg(unix)]
mod system {
    use std::ffi::c_int;
    use std::{future, io, thread};

    use rustix::process::{Pid, Signal as SignalNumber, kill_process};
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    use signal_hook::iterator::SignalsInfo;
    use signal_hook::iterator::exfiltrator::WithOrigin;
    use tokio::process::Child;
    use tokio::sync::mpsc::{self, Receiver};

    use super::super::SIGNALED;

    const CAUGHT: [c_int; 6] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2];
    /// How many may wait for their turn; the system itself keeps one of a kind.
    const ROOM: usize = 16;

    /// The signals that arrive.
    pub(in super::super) struct Signals(Receiver<Signal>);

    /// One that arrived.
    pub(in super::super) struct Signal {
        number: c_int,
        /// Whether a process sent it, and not the terminal.
        is_sent: bool,
    }

    impl Signals {
        /// Catches them from now on.
        pub(in super::super) fn listen() -> io::Result<Self> {
            let ignored = ignored();
            let caught = CAUGHT
                .into_iter()
                .filter(|number| ignored & bit(*number) == 0);
            let mut signals = SignalsInfo::<WithOrigin>::new(caught)?;
            let (sender, receiver) = mpsc::channel(ROOM);
            let pass = move || {
                for origin in &mut signals {
                    let signal = Signal {
                        number: origin.signal,
                        is_sent: origin.process.is_some(),
                    };
                    if sender.blocking_send(signal).is_err() {
                        break;
                    }
                }
            };
            thread::Builder::new()
                .name("signals".to_owned())
                .spawn(pass)?;
            Ok(Self(receiver))
        }

        /// What the process ends with if a signal has arrived before there is a command.
        pub(in super::super) fn arrived(&mut self) -> Option<u8> {
            let signal = self.0.try_recv().ok()?;
            Some(SIGNALED | u8::try_from(signal.number).unwrap_or_default())
        }

        /// Waits for the next one.
        pub(in super::super) async fn next(&mut self) -> Signal {
            match self.0.recv().await {
                Some(signal) => signal,
                None => future::pending().await,
            }
        }
    }

    impl Signal {
        /// Passes it on, unless the command has it from the terminal.
        pub(in super::super) fn forward(&self, child: &Child) {
            let pid = child.id().and_then(|id| i32::try_from(id).ok());
            let pid = pid.and_then(Pid::from_raw);
            let number = SignalNumber::from_named_raw(self.number);
            if let (true, Some(pid), Some(number)) = (self.is_sent, pid, number) {
                // It fails if the command has just ended.
                let _ = kill_process(pid, number);
            }
        }
    }

    /// The signals that are ignored, a bit each; where the system does not tell, none.
    fn ignored() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let bits = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        bits.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
            .unwrap_or_default()
    }

    fn bit(number: c_int) -> u64 {
        1 << (number - 1)
    }
}

/// Elsewhere there is Ctrl-C only, which reaches the command by itself.
#[cfg(not(unix))]
mod system {
    use std::io;

    use tokio::process::Child;

    pub(in super::super) struct Signals;

    pub(in super::super) struct Signal;

    impl Signals {
        #[expect(clippy::unnecessary_wraps, reason = "as on Unix")]
        pub(in super::super) fn listen() -> io::Result<Self> {
            Ok(Self)
        }

        pub(in super::super) fn arrived(&mut self) -> Option<u8> {
            None
        }

        pub(in super::super) async fn next(&mut self) -> Signal {
            match tokio::signal::ctrl_c().await {
                Ok(()) => Signal,
                Err(_) => std::future::pending().await,
            }
        }
    }

    impl Signal {
        pub(in super::super) fn forward(&self, _: &Child) {}
    }
}
