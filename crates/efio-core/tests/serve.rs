//! The example server, driven from outside: by curl where it is installed, else by sockets only.
//!
//! `EFIO_SERVE_MIB` sets the size of the large upload (64 unless set).

mod common;

use common::server::{Answer, Server, curl, uploads};
use common::{Dir, pattern};
use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use std::thread;
use std::time::Instant;

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
                    assert_eq!((got.status, got.body.len()), (200, seed.len()));
                    assert!(got.body == *seed);
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
fn the_metrics_come_as_events() {
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
    let deadline = Instant::now() + common::TIMEOUT;
    while !event().contains("\"received\":10000,") {
        assert!(Instant::now() < deadline);
    }
}
