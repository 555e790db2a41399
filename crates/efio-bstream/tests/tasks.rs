//! The io traits of futures and tokio.
#![cfg(all(feature = "futures-io", feature = "tokio"))]

use std::pin::Pin;
use std::thread;

use efio_bstream::async_stream;

const TOTAL: usize = 300_000;

fn byte(position: usize) -> u8 {
    (position * 31 + position / 256) as u8
}

#[test]
fn futures_on_two_threads() {
    use futures::executor::block_on;
    use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
    use std::future::poll_fn;

    let (mut writer, mut reader) = async_stream(1000);
    let producer = thread::spawn(move || {
        block_on(async move {
            let mut position = 0;
            while position < TOTAL {
                let end = TOTAL.min(position + 1 + position % 777);
                let bytes: Vec<u8> = (position..end).map(byte).collect();
                position += poll_fn(|cx| Pin::new(&mut writer).poll_write(cx, &bytes))
                    .await
                    .unwrap();
            }
            poll_fn(|cx| Pin::new(&mut writer).poll_flush(cx))
                .await
                .unwrap();
            poll_fn(|cx| Pin::new(&mut writer).poll_close(cx))
                .await
                .unwrap();
            let after = poll_fn(|cx| Pin::new(&mut writer).poll_write(cx, b"x")).await;
            assert_eq!(after.unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
        });
    });
    block_on(async {
        let mut position = 0;
        let mut buf = [0; 300];
        loop {
            let count = if position % 2 == 0 {
                poll_fn(|cx| Pin::new(&mut reader).poll_read(cx, &mut buf))
                    .await
                    .unwrap()
            } else {
                let count = poll_fn(|cx| {
                    let bytes = std::task::ready!(Pin::new(&mut reader).poll_fill_buf(cx))?;
                    let count = bytes.len().min(buf.len());
                    buf[..count].copy_from_slice(&bytes[..count]);
                    std::task::Poll::Ready(std::io::Result::Ok(count))
                });
                let count = count.await.unwrap();
                Pin::new(&mut reader).consume(count);
                count
            };
            if count == 0 {
                break;
            }
            for (index, got) in buf[..count].iter().enumerate() {
                assert_eq!(*got, byte(position + index));
            }
            position += count;
        }
        assert_eq!(position, TOTAL);
    });
    producer.join().unwrap();
}

#[test]
fn tokio_copies_through_it() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    let (mut writer, mut reader) = async_stream(4096);
    let sent: Vec<u8> = (0..TOTAL).map(byte).collect();
    let expected = sent.clone();
    let got = runtime.block_on(async move {
        let producer = tokio::spawn(async move {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
        });
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.unwrap();
        producer.await.unwrap();
        got
    });
    assert!(got == expected);

    let (mut writer, reader) = async_stream(1);
    runtime.block_on(async move {
        writer.write_all(b"x").await.unwrap();
        let blocked = tokio::spawn(async move { writer.write_all(b"y").await });
        tokio::task::yield_now().await;
        drop(reader);
        let error = blocked.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    });
}
