//! The example server under faults: bad requests, clients that are slow or gone, a full disk, a
//! crash, and the end.

mod common;

use common::mount;
use common::server::{Answer, Server, binary, uploads, wait_until};
use common::{Dir, TIMEOUT, pattern};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

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

    // Bodies beyond the limit: known by their length, and found while they are received.
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

/// White space around a length or a coding is blanks and tabs. Proxies take Unicode's other white
/// space as part of the value, and two readers that disagree about a body's end are a security
/// hole.
#[test]
fn no_white_space_but_blanks_and_tabs_is_trimmed() {
    let dir = Dir::new();
    let server = Server::start(&dir.join(""), &[]);
    let put = |field: String, body: &str| {
        let field = format!("{field}\r\n");
        server.ask("PUT", "/file", &field, body.as_bytes()).status
    };
    let chunked = "5\r\nhello\r\n0\r\n\r\n";
    for blank in [" ", "\t", " \t "] {
        let coding = format!("Transfer-Encoding:{blank}chunked{blank}");
        assert!(matches!(put(coding, chunked), 201 | 204), "{blank:?}");
        let length = format!("Content-Length:{blank}5{blank}");
        assert!(matches!(put(length, "hello"), 201 | 204), "{blank:?}");
    }
    std::fs::remove_file(dir.join("file")).unwrap();
    let strange = [
        "\u{a0}", "\u{85}", "\u{3000}", "\u{2003}", "\u{feff}", "\u{b}", "\u{c}",
    ];
    for blank in strange {
        for (before, after) in [(blank, ""), ("", blank)] {
            let coding = format!("Transfer-Encoding: {before}chunked{after}");
            assert!(matches!(put(coding, chunked), 400 | 501), "{blank:?}");
            let length = format!("Content-Length: {before}5{after}");
            assert_eq!(put(length, "hello"), 400, "{blank:?}");
        }
    }
    assert!(!dir.join("file").exists());
}

#[test]
fn a_client_that_expects_continue_is_answered_first() {
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

/// Waits until the server has no connection except the one of this request.
fn wait_until_alone(server: &Server) {
    let mut watcher = server.connect();
    watcher
        .write_all(b"GET /?events HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let deadline = Instant::now() + TIMEOUT;
    let mut lines = BufReader::new(watcher).lines();
    while !lines
        .next()
        .unwrap()
        .unwrap()
        .contains("\"connections\":1,")
    {
        assert!(Instant::now() < deadline, "others are connected still");
    }
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
    wait_until_alone(&server);
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
    let Some(disk) = mount::memory(4 << 20) else {
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
fn requests_in_flight_are_finished_when_the_server_is_asked_to_end() {
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
