//! The example server, driven from outside: by curl where it is installed, else by sockets alone.
//!
//! `EFIO_SERVE_MIB` sets the size of the large upload (64 unless set).

mod common;

use common::{Dir, Tmpfs, pattern};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

/// A server that runs; killed with its test.
struct Server {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
    address: String,
}

/// The example as the sources are now: cargo builds the examples only where all tests are run.
fn binary() -> PathBuf {
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
    fn start(root: &Path, options: &[&str]) -> Self {
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

    fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(common::PATIENCE)).unwrap();
        socket.set_write_timeout(Some(common::PATIENCE)).unwrap();
        socket
    }

    /// Sends `request` on a connection of its own; everything that comes back.
    fn exchange(&self, request: &[u8]) -> Vec<u8> {
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
    fn ask(&self, method: &str, target: &str, fields: &str, body: &[u8]) -> Answer {
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{fields}\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        Answer::parse(&self.exchange(&request))
    }

    fn put(&self, target: &str, body: &[u8]) -> u16 {
        let length = format!("Content-Length: {}\r\n", body.len());
        self.ask("PUT", target, &length, body).status
    }

    fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "", b"")
    }

    /// Asks it to end; what it printed from here on.
    fn end(mut self) -> String {
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

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
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

    fn field(&self, name: &str) -> String {
        let field = self
            .head
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")));
        field
            .unwrap_or_else(|| panic!("no {name} in {}", self.head))
            .to_owned()
    }
}

/// Uploads under way, or left behind.
fn uploads(root: &Path) -> usize {
    std::fs::read_dir(root.join(".efio-uploads"))
        .unwrap()
        .count()
}

/// Waits until `holds`.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + common::PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn curl() -> Option<Command> {
    let mut curl = Command::new("curl");
    let there = curl
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if there.is_err() {
        eprintln!("SKIPPED: curl is not installed");
        return None;
    }
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--noproxy", "*", "--max-time", "120", "-o"]);
    Some(curl)
}

#[test]
fn curl_puts_and_gets_a_large_file_and_resumes() {
    let Some(mut put) = curl() else { return };
    let mib = std::env::var("EFIO_SERVE_MIB").map_or(64, |mib| mib.parse().unwrap());
    let dir = Dir::new();
    let root = dir.join("root");
    let bytes = pattern(mib << 20);
    let source = dir.join("source");
    std::fs::write(&source, &bytes).unwrap();
    let server = Server::start(&root, &[]);
    let url = format!("http://{}/large", server.address);
    let run = |curl: &mut Command| {
        let output = curl.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    run(put.args(["/dev/null", "-f", "-T"]).arg(&source).arg(&url));
    assert!(std::fs::read(root.join("large")).unwrap() == bytes);

    let target = dir.join("target");
    run(curl().unwrap().arg(&target).args(["-f", &url]));
    assert!(std::fs::read(&target).unwrap() == bytes);

    // A download that broke off, resumed.
    std::fs::write(&target, &bytes[..bytes.len() / 3]).unwrap();
    run(curl().unwrap().arg(&target).args(["-f", "-C", "-", &url]));
    assert!(std::fs::read(&target).unwrap() == bytes);

    let chunked = ["/dev/null", "-f", "-H", "Transfer-Encoding: chunked", "-T"];
    run(curl().unwrap().args(chunked).arg(&source).arg(&url));
    assert!(std::fs::read(root.join("large")).unwrap() == bytes);
    let said = server.end();
    assert!(said.contains("nothing was left"), "{said}");
    println!("{said}");
}

#[test]
fn a_part_is_what_was_asked_for_and_of_one_version() {
    let dir = Dir::new();
    let server = Server::start(dir.path(), &[]);
    let bytes = pattern(100_000);
    assert_eq!(server.put("/file", &bytes), 201);
    let whole = server.get("/file");
    assert!(whole.status == 200 && whole.body == bytes);
    let (tag, date) = (whole.field("ETag"), whole.field("Last-Modified"));

    let range = |range: &str| server.ask("GET", "/file", &format!("Range: {range}\r\n"), b"");
    for (asked, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=4095-4096", 4095..4097),
        ("bytes=99999-", 99_999..100_000),
        ("bytes=50000-5000000", 50_000..100_000),
        ("bytes=-1", 99_999..100_000),
        ("bytes=-5000000", 0..100_000),
    ] {
        let answer = range(asked);
        assert_eq!(answer.status, 206, "{asked}");
        let said = format!("bytes {}-{}/100000", part.start, part.end - 1);
        assert_eq!(answer.field("Content-Range"), said);
        assert!(answer.body == bytes[part], "{asked}");
    }
    for outside in ["bytes=100000-", "bytes=-0"] {
        let answer = range(outside);
        assert_eq!(
            (answer.status, answer.field("Content-Range").as_str()),
            (416, "bytes */100000")
        );
    }
    for nonsense in [
        "bytes=5-1",
        "lines=0-1",
        "bytes=1-2,5-6",
        "bytes=+1-2",
        "bytes=a-",
        "bytes=-",
    ] {
        assert_eq!(range(nonsense).status, 200, "{nonsense}");
    }

    let head = server.ask("HEAD", "/file", "", b"");
    assert_eq!(
        (head.status, head.field("Content-Length").as_str()),
        (200, "100000")
    );
    assert!(head.body.is_empty());

    let if_range = |validator: &str| {
        server
            .ask(
                "GET",
                "/file",
                &format!("Range: bytes=9-\r\nIf-Range: {validator}\r\n"),
                b"",
            )
            .status
    };
    assert_eq!((if_range(&tag), if_range("\"other\"")), (206, 200));
    // A date names a version only once its second is over.
    assert_eq!(if_range(&date), 200);
    let unchanged = server.ask("GET", "/file", &format!("If-None-Match: {tag}\r\n"), b"");
    assert!(unchanged.status == 304 && unchanged.body.is_empty());

    // Another upload of the same bytes is another version: a resumed download starts anew.
    assert_eq!(server.put("/file", &bytes), 204);
    assert_eq!(if_range(&tag), 200);
}

#[test]
fn requests_are_answered_in_order_on_one_connection() {
    let dir = Dir::new();
    let server = Server::start(dir.path(), &[]);
    let mut requests = Vec::new();
    for number in 0..20 {
        let body = pattern(number * 997);
        let put = format!(
            "PUT /{number} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        requests.extend_from_slice(put.as_bytes());
        requests.extend_from_slice(&body);
        requests.extend_from_slice(format!("GET /{number} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
    }
    let chunked = b"PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
        5;ext=1\r\nhello\r\n0\r\nTrailer: 1\r\n\r\nGET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    requests.extend_from_slice(chunked);
    let answers = server.exchange(&requests);
    let mut rest = answers.as_slice();
    for number in 0..20 {
        let body = pattern(number * 997);
        let created = Answer::parse(rest);
        assert_eq!(created.status, 201, "{number}");
        let len = created.field("Content-Length").parse::<usize>().unwrap();
        rest = &rest[created.head.len() + 4 + len..];
        let got = Answer::parse(rest);
        assert_eq!(got.status, 200, "{number}");
        assert!(got.body[..body.len()] == body, "{number}");
        rest = &rest[got.head.len() + 4 + body.len()..];
    }
    let rest = String::from_utf8_lossy(rest);
    assert!(
        rest.starts_with("HTTP/1.1 201") && rest.ends_with("\r\n\r\nhello"),
        "{rest}"
    );
}

#[test]
fn what_is_wrong_is_refused_with_its_status() {
    let dir = Dir::new();
    std::fs::create_dir_all(dir.join("root/directory")).unwrap();
    std::fs::write(dir.join("secret"), "secret").unwrap();
    let root = dir.join("root");
    std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
    std::os::unix::fs::symlink("..", root.join("up")).unwrap();
    let server = Server::start(&root, &["--max-body", "1000"]);
    let get = |target: &str| server.get(target).status;
    for (target, status) in [
        ("/../secret", 400),
        ("/%2e%2e/secret", 400),
        ("/directory/..%2f..%2fsecret", 400),
        ("//etc/passwd", 400),
        ("/%00", 400),
        ("/%zz", 400),
        ("/out", 403),
        ("/up/secret", 403),
        ("/up/?list", 403),
        ("/.efio-uploads/?list", 404),
        ("/%2eefio-uploads/1", 404),
        ("/absent", 404),
        ("/directory", 301),
        ("/directory/", 200),
        ("/absent/", 404),
        ("http://test/directory/", 200),
    ] {
        assert_eq!(get(target), status, "{target}");
    }
    for (target, status) in [
        ("/up/new", 403),
        ("/absent/new", 404),
        ("/directory", 409),
        ("/directory/", 409),
    ] {
        assert_eq!(server.put(target, b"x"), status, "{target}");
    }
    assert!(!dir.join("new").exists());
    assert_eq!(server.ask("DELETE", "/up/secret", "", b"").status, 403);
    assert_eq!(server.ask("DELETE", "/directory", "", b"").status, 409);
    assert_eq!(server.ask("DELETE", "/absent", "", b"").status, 404);

    // Bodies beyond the limit, told before and found out on the way.
    assert_eq!(server.put("/large", &pattern(1001)), 413);
    let chunked = b"3e8\r\n"
        .iter()
        .chain(&[b'x'; 1000])
        .chain(b"\r\n1\r\nx\r\n0\r\n\r\n");
    let chunked: Vec<u8> = chunked.copied().collect();
    let answer = server.ask("PUT", "/large", "Transfer-Encoding: chunked\r\n", &chunked);
    assert_eq!(answer.status, 413);
    assert_eq!(server.put("/small", &pattern(1000)), 201);

    for (request, status) in [
        (&b"GARBAGE\r\n\r\n"[..], 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"POST / HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"PUT /x HTTP/1.1\r\nHost: a\r\n\r\n", 411),
        (b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        (b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400),
        (b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", 400),
        (b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: wonders\r\n\r\n", 417),
    ] {
        let answer = Answer::parse(&server.exchange(request));
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(request));
    }
    let endless = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 70_000]].concat();
    assert_eq!(Answer::parse(&server.exchange(&endless)).status, 431);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(100));
    assert_eq!(Answer::parse(&server.exchange(many.as_bytes())).status, 431);
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x/".repeat(5000));
    assert_eq!(Answer::parse(&server.exchange(long.as_bytes())).status, 414);
    wait_until("something is left behind", || uploads(&root) == 0);
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on_or_not() {
    let dir = Dir::new();
    let server = Server::start(dir.path(), &["--max-body", "1000"]);
    let mut socket = server.connect();
    let head = "PUT /file HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: ";
    write!(socket, "{head}5\r\n\r\n").unwrap();
    let mut interim = [0; 25];
    socket.read_exact(&mut interim).unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    socket.write_all(b"hello").unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert_eq!(Answer::parse(&answer).status, 201);
    let refused = server.exchange(format!("{head}1001\r\n\r\n").as_bytes());
    assert_eq!(Answer::parse(&refused).status, 413);
}

#[test]
fn many_clients_at_once() {
    let dir = Dir::new();
    let server = Server::start(dir.path(), &["--memory", "8"]);
    let seed = pattern(300_000);
    assert_eq!(server.put("/seed", &seed), 201);
    thread::scope(|scope| {
        for number in 0..200 {
            let (server, seed) = (&server, &seed);
            scope.spawn(move || {
                if number % 2 == 0 {
                    let got = server.get("/seed");
                    assert!(got.status == 200 && got.body == *seed);
                } else {
                    let body = pattern(100_000 + number);
                    assert_eq!(server.put(&format!("/{number}"), &body), 201);
                    let got = server.get(&format!("/{number}"));
                    assert!(got.status == 200 && got.body == body);
                }
            });
        }
    });
    assert_eq!(uploads(dir.path()), 0);
    let listed = String::from_utf8(server.get("/?list").body).unwrap();
    assert_eq!(listed.matches("\"name\"").count(), 101);
    server.end();
}

#[test]
fn slow_clients_are_cut_off_and_vanished_ones_leave_nothing() {
    let dir = Dir::new();
    let limits = ["--head-time", "1", "--idle-time", "1", "--stall-time", "1"];
    let server = Server::start(dir.path(), &limits);
    assert_eq!(server.put("/large", &pattern(40 << 20)), 201);
    let read = |mut socket: TcpStream| {
        let mut answer = Vec::new();
        // Cut off in the middle.
        let _ = socket.read_to_end(&mut answer);
        answer
    };
    let begin = Instant::now();
    let mut half_head = server.connect();
    half_head.write_all(b"GET / HT").unwrap();
    let idle = server.connect();
    let mut half_body = server.connect();
    let put = b"PUT /half HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nsome";
    half_body.write_all(put).unwrap();
    let mut takes_nothing = server.connect();
    takes_nothing
        .write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    wait_until("the upload does not begin", || uploads(dir.path()) == 1);
    assert_eq!(Answer::parse(&read(half_head)).status, 408);
    assert_eq!(Answer::parse(&read(half_body)).status, 408);
    assert!(read(idle).is_empty());
    assert!(begin.elapsed() >= Duration::from_secs(1));
    thread::sleep(Duration::from_millis(2500));
    assert!(
        read(takes_nothing).len() < 40 << 20,
        "it should have been cut off"
    );

    for kind in ["Content-Length: 9000000", "Transfer-Encoding: chunked"] {
        let mut vanishing = server.connect();
        write!(
            vanishing,
            "PUT /half HTTP/1.1\r\nHost: x\r\n{kind}\r\n\r\n800000\r\n"
        )
        .unwrap();
        vanishing.write_all(&pattern(1 << 20)).unwrap();
        wait_until("the upload does not begin", || uploads(dir.path()) == 1);
        drop(vanishing);
        wait_until("half an upload is left", || uploads(dir.path()) == 0);
    }
    assert_eq!(server.get("/half").status, 404);
}

#[test]
fn a_crash_leaves_nothing_that_a_start_does_not_remove() {
    let dir = Dir::new();
    let mut server = Server::start(dir.path(), &[]);
    let mut upload = server.connect();
    upload
        .write_all(b"PUT /half HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        .unwrap();
    wait_until("the upload does not begin", || uploads(dir.path()) == 1);
    // Two servers on one directory would remove each other's uploads.
    let second = Command::new(binary())
        .args(["--listen", "127.0.0.1:0", "--root"])
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(!second.status.success());
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    assert_eq!(uploads(dir.path()), 1);
    let server = Server::start(dir.path(), &[]);
    assert_eq!((uploads(dir.path()), server.get("/half").status), (0, 404));
}

#[test]
fn a_full_disk_fails_the_upload_that_filled_it_and_no_other() {
    let Some(disk) = Tmpfs::new(4 << 20) else {
        return;
    };
    let root = disk.join("root");
    let server = Server::start(&root, &[]);
    let small = pattern(100_000);
    assert_eq!(server.put("/before", &small), 201);
    assert_eq!(server.put("/large", &pattern(9 << 20)), 507);
    wait_until("the upload is left", || uploads(&root) == 0);
    assert_eq!(server.get("/large").status, 404);
    assert_eq!(server.put("/after", &small), 201);
    for name in ["/before", "/after"] {
        assert!(server.get(name).body == small, "{name}");
    }
    server.end();
}

#[test]
fn what_is_under_way_is_finished_when_the_server_is_asked_to_end() {
    let dir = Dir::new();
    let server = Server::start(dir.path(), &[]);
    let mut upload = server.connect();
    upload
        .write_all(b"PUT /file HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
        .unwrap();
    wait_until("the upload does not begin", || uploads(dir.path()) == 1);
    let ending = thread::spawn(|| server.end());
    thread::sleep(Duration::from_millis(300));
    upload.write_all(b"llo").unwrap();
    let mut answer = Vec::new();
    upload.read_to_end(&mut answer).unwrap();
    assert_eq!(Answer::parse(&answer).status, 201);
    assert!(ending.join().unwrap().contains("nothing was left"));
    assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"hello");
}

#[test]
fn what_cannot_be_finished_in_time_is_given_up() {
    let dir = Dir::new();
    let server = Server::start(dir.path(), &["--drain-time", "1"]);
    let mut upload = server.connect();
    upload
        .write_all(b"PUT /file HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe")
        .unwrap();
    wait_until("the upload does not begin", || uploads(dir.path()) == 1);
    assert!(server.end().contains("1 given up"));
    assert!(uploads(dir.path()) == 0 && !dir.join("file").exists());
}

#[test]
fn the_figures_come_as_events() {
    let dir = Dir::new();
    let server = Server::start(dir.path(), &[]);
    let mut watcher = server.connect();
    watcher
        .write_all(b"GET /?events HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let mut lines = BufReader::new(watcher).lines();
    let mut event = move || loop {
        let line = lines.next().unwrap().unwrap();
        if let Some(event) = line.strip_prefix("data: ") {
            return event.to_owned();
        }
    };
    assert!(event().contains("\"uploads\":0,"));
    assert_eq!(server.put("/file", &pattern(10_000)), 201);
    let deadline = Instant::now() + common::PATIENCE;
    while !event().contains("\"received\":10000,") {
        assert!(Instant::now() < deadline);
    }
}
