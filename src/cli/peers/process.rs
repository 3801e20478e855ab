//! A server as a child process, in a shell that ends it with this process.

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use tokio::time::sleep;

use super::programs::{Runner, command};

/// The script of the shell.
const SCRIPT: &str = include_str!("peer.sh");
/// How many ports are tried: another program may take one before the server does.
const ATTEMPTS: usize = 3;
/// How long a start may take.
const START: Duration = Duration::from_secs(60);
/// How long an end may take.
const END: Duration = Duration::from_secs(10);
/// How often is looked whether a server has started or ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What is started.
#[derive(Clone, Copy)]
pub(super) struct Plan<'a> {
    /// The name, for errors.
    pub name: &'static str,
    /// The kind, for the script.
    pub kind: &'static str,
    /// The program, or the directory of the programs.
    pub program: &'a Path,
    pub runner: Runner,
    /// The first line of the input of the script.
    pub secret: &'a str,
}

/// A running server. It ends when this is dropped, and when this process ends.
pub(super) struct Process {
    child: Child,
    /// The server ends with this pipe.
    input: Option<ChildStdin>,
    directory: PathBuf,
    port: u16,
}

impl Process {
    /// Starts a server and waits until it is ready.
    pub async fn start(plan: Plan<'_>, mut is_ready: impl AsyncFnMut(&Self) -> bool) -> anyhow::Result<Self> {
        let Plan { name, .. } = plan;
        let mut said = String::new();
        for _ in 0..ATTEMPTS {
            let mut process = Self::spawn(plan).with_context(|| format!("cannot start {name}"))?;
            let until = Instant::now() + START;
            loop {
                if let Some(text) = process.ended() {
                    said = text;
                    break;
                }
                if is_ready(&process).await {
                    return Ok(process);
                }
                ensure!(Instant::now() < until, "{name} did not start within {} s", START.as_secs());
                sleep(LOOK_EVERY).await;
            }
        }
        bail!("{name} did not start: {said}")
    }

    fn spawn(plan: Plan<'_>) -> anyhow::Result<Self> {
        let Plan { kind, program, runner, secret, .. } = plan;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        // Short, and where every user may create a directory.
        let directory = PathBuf::from(format!("/tmp/tenantry-{kind}-{}", uuid::Uuid::new_v4().simple()));
        let mut child = command(runner, "sh")
            .args(["-c", SCRIPT, "sh", kind])
            .args([program, &directory])
            .arg(port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C ends this process, which uses the server until its own end.
            .process_group(0)
            .spawn()?;
        let mut input = child.stdin.take();
        if let Some(input) = &mut input {
            writeln!(input, "{secret}")?;
        }
        Ok(Self { child, input, directory, port })
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The content of a file of the server, if it exists.
    pub fn file(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.directory.join(name)).ok()
    }

    /// What the server wrote last, if it has ended.
    fn ended(&mut self) -> Option<String> {
        if matches!(self.child.try_wait(), Ok(None)) {
            return None;
        }
        self.input = None;
        let mut said = String::new();
        if let Some(mut errors) = self.child.stderr.take() {
            // What was read before a failure is shown.
            let _ = errors.read_to_string(&mut said);
        }
        Some(said.trim().to_owned())
    }

    /// Ends the server, and waits for that.
    pub async fn end(mut self) {
        self.input = None;
        let until = Instant::now() + END;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() >= until {
                tracing::warn!(pid = self.child.id(), "a server that was started with this one has not ended yet");
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
