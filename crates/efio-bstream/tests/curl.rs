//! curl uploads in chunks to a little server made of these streams, which sends the body back in
//! chunks: both directions against an implementation that is not ours.

use std::io::{BufRead, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread;

use efio_bstream::{Chunked, ChunkedDecoder, FrameReader, SinkWriter, SourceReader, fill_from};
use efio_chunks::byte_stream;

fn serve(connection: TcpStream) -> std::io::Result<Vec<u8>> {
    let mut socket = SourceReader::new(connection.try_clone()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(
            socket.read_line(&mut head)?,
            0,
            "the request ends early: {head:?}"
        );
    }
    assert!(
        head.to_ascii_lowercase()
            .contains("transfer-encoding: chunked"),
        "{head}"
    );
    if head.to_ascii_lowercase().contains("100-continue") {
        (&connection).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }

    // What came with the head goes before what is still to come, without a copy.
    let (mut source, mut early) = socket.into_parts();
    let (mut writer, reader) = byte_stream();
    writer.transfer_from(&mut early);
    let mut request = FrameReader::new(reader, ChunkedDecoder::new());
    let mut body = Vec::new();
    loop {
        match request.read_to_end(&mut body) {
            Ok(_) => break,
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
        }
        assert_ne!(
            fill_from(&mut writer, &mut source)?,
            0,
            "the body ends early"
        );
    }

    (&connection)
        .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n")?;
    let mut response = SinkWriter::new(connection, Chunked, 64 << 10);
    for (index, part) in body.chunks(33_333).enumerate() {
        response.write_all(part)?;
        if index % 2 == 0 {
            response.flush()?;
        }
    }
    response.finish()?;
    Ok(body)
}

#[test]
fn curl_uploads_and_gets_it_back() {
    if Command::new("curl")
        .arg("--version")
        .stdout(Stdio::null())
        .status()
        .is_err()
    {
        eprintln!("SKIPPED: curl is not installed, so the chunked coding was not tried against it");
        return;
    }
    for len in [0, 1, 4096, 1_000_003] {
        let sent: Vec<u8> = (0..len).map(|i| (i ^ (i >> 8)) as u8).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/upload", listener.local_addr().unwrap());
        let server = thread::spawn(move || serve(listener.accept().unwrap().0));
        let mut curl = Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--noproxy",
                "*",
                "--max-time",
                // Beyond is a hang, also on a busy machine.
                "300",
                "-T",
                "-",
            ])
            .args(["-H", "Transfer-Encoding: chunked", &url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = curl.stdin.take().unwrap();
        let upload = sent.clone();
        let feeder = thread::spawn(move || {
            for part in upload.chunks(7777) {
                stdin.write_all(part).unwrap();
            }
        });
        let output = curl.wait_with_output().unwrap();
        feeder.join().unwrap();
        assert!(output.status.success(), "curl: {}", output.status);
        assert!(server.join().unwrap().unwrap() == sent, "upload of {len}");
        assert!(output.stdout == sent, "download of {len}");
    }
}
