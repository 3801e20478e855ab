//! The built program as a child process.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tokio::net::TcpStream;

/// The program under measurement; stopped on drop.
pub struct Program {
    child: Child,
    pub address: SocketAddr,
    /// The time until it was ready.
    pub ready: Duration,
}

impl Program {
    /// Starts `dev` in a directory, and waits until it is ready.
    pub fn start(home: &Path) -> Self {
        Self::start_with(home, &[])
    }

    /// As [`start`](Self::start), with these variables of the environment.
    pub fn start_with(home: &Path, variables: &[(&str, &str)]) -> Self {
        let address = free_address();
        let started = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_tenantry"))
            .args(["dev", "--listen", &address.to_string()])
            .current_dir(home)
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        while !runtime.block_on(is_ready(address)) {
            assert!(started.elapsed() < Duration::from_secs(20), "the program is not ready");
        }
        Self { child, address, ready: started.elapsed() }
    }

    /// Resident memory in MiB.
    pub fn memory(&self) -> f64 {
        self.status("VmRSS")
    }

    /// Resident memory without the program's file, in MiB.
    pub fn own_memory(&self) -> f64 {
        self.status("RssAnon")
    }

    /// The CPU time that it has used.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("a process");
        let after_name = stat.rsplit(')').next().expect("its name");
        // The 14th and 15th field, in ticks of 10 ms.
        let ticks = after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks"));
        Duration::from_millis(ticks.sum::<u64>() * 10)
    }

    /// The peak resident memory, in MiB.
    pub fn peak(&self) -> f64 {
        self.status("VmHWM")
    }

    /// Resets the peak.
    pub fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("a child process");
    }

    fn status(&self, name: &str) -> f64 {
        memory_of(&self.child, name)
    }
}

/// A kind of memory of a process, in MiB.
pub fn memory_of(process: &Child, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("a process");
    let line = status.lines().find(|line| line.starts_with(name)).expect("its memory");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).expect("a number") / 1024.0
}

/// An address of this machine with a free port.
pub fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port")
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn is_ready(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address).await else { return false };
    let answer = super::exchange(&mut stream, &super::request("GET", "/readyz", "", "")).await;
    answer.is_some_and(|status| status == 200)
}
