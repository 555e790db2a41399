//! The example server as a process, and a client for it.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

/// A server that runs; killed with its test.
pub struct Server {
    pub child: Child,
    output: BufReader<ChildStdout>,
    pub address: String,
}

/// The example as the sources are now: cargo builds the examples only where all tests are run.
pub fn binary() -> PathBuf {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        let profile = (!cfg!(debug_assertions)).then_some("--release");
        let status = Command::new(env!("CARGO"))
            .args(["build", "-q", "-p", "efio-core", "--example", "serve"])
            .args(profile)
            .status()
            .unwrap();
        assert!(status.success(), "the example does not build");
    });
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples/serve")
}

impl Server {
    pub fn start(root: &Path, options: &[&str]) -> Self {
        let mut child = Command::new(binary())
            .args(["--listen", "127.0.0.1:0", "--root"])
            .arg(root)
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains("http://") {
            line.clear();
            assert_ne!(
                output.read_line(&mut line).unwrap(),
                0,
                "the server did not start"
            );
        }
        let address = line.split("http://").nth(1).unwrap();
        let address = address.split('/').next().unwrap().to_owned();
        Self {
            child,
            output,
            address,
        }
    }

    pub fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(super::TIMEOUT)).unwrap();
        socket.set_write_timeout(Some(super::TIMEOUT)).unwrap();
        socket
    }

    /// Sends `request` on a connection of its own; everything that comes back.
    pub fn exchange(&self, request: &[u8]) -> Vec<u8> {
        let mut socket = self.connect();
        // A server that refuses early may close before it has all.
        let _ = socket.write_all(request);
        let mut answer = Vec::new();
        if let Err(error) = socket.read_to_end(&mut answer) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{request:?}");
        }
        answer
    }

    /// A request that ends its connection; status, head and body.
    pub fn ask(&self, method: &str, target: &str, fields: &str, body: &[u8]) -> Answer {
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        Answer::parse(&self.exchange(&request))
    }

    pub fn put(&self, target: &str, body: &[u8]) -> u16 {
        let length = format!("Content-Length: {}\r\n", body.len());
        self.ask("PUT", target, &length, body).status
    }

    pub fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "", b"")
    }

    /// Asks it to end; what it printed from here on.
    pub fn end(mut self) -> String {
        // SAFETY: our own child, which was not waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        let mut output = String::new();
        self.output.read_to_string(&mut output).unwrap();
        assert!(self.child.wait().unwrap().success(), "{output}");
        output
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already, or the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn parse(bytes: &[u8]) -> Self {
        let split = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let split =
            split.unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(bytes)));
        let head = String::from_utf8(bytes[..split].to_vec()).unwrap();
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            body: bytes[split + 4..].to_vec(),
            head,
        }
    }

    pub fn field(&self, name: &str) -> String {
        let field = self
            .head
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        field
            .unwrap_or_else(|| panic!("no {name} in {}", self.head))
            .to_owned()
    }
}

/// Counts the uploads in progress or left behind.
pub fn uploads(root: &Path) -> usize {
    std::fs::read_dir(root.join(".efio-uploads"))
        .unwrap()
        .count()
}

/// Waits until `holds`.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + super::TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

pub fn curl() -> Option<Command> {
    let mut curl = Command::new("curl");
    let there = curl
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if there.is_err() {
        super::skip("curl is not installed");
        return None;
    }
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--noproxy", "*", "--max-time", "300", "-o"]);
    Some(curl)
}
