//! `AsyncFile` with the io traits of futures, on its own executor.
#![cfg(feature = "futures-io")]

mod common;

use common::Dir;
use efio_core::{AsyncFile, Engine, OpenOptions};
use futures::executor::block_on;
use futures_io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};
use std::future::poll_fn;
use std::io::{self, IoSlice, IoSliceMut, SeekFrom};
use std::pin::Pin;

async fn seek(file: &mut AsyncFile, to: SeekFrom) -> io::Result<u64> {
    poll_fn(|cx| Pin::new(&mut *file).poll_seek(cx, to)).await
}

#[test]
fn a_file_through_the_traits_of_futures() {
    block_on(async {
        let dir = Dir::new();
        let engine = Engine::builder().memory_budget(4 << 20).start().unwrap();
        let options = OpenOptions::new().read(true).write(true).create(true);
        let mut file = AsyncFile::open(&engine, dir.join("file"), &options)
            .await
            .unwrap();
        let bytes: Vec<u8> = (0..6_000_000u32).map(|n| (n / 3) as u8).collect();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let bufs = [&rest[..rest.len() / 2], &rest[rest.len() / 2..]].map(IoSlice::new);
            let file = &mut file;
            let n = poll_fn(|cx| Pin::new(&mut *file).poll_write_vectored(cx, &bufs)).await;
            rest = &rest[n.unwrap()..];
        }
        poll_fn(|cx| Pin::new(&mut file).poll_flush(cx))
            .await
            .unwrap();
        assert!(std::fs::read(dir.join("file")).unwrap() == bytes);
        file.sync().await.unwrap();

        assert_eq!(seek(&mut file, SeekFrom::Start(0)).await.unwrap(), 0);
        let mut seen: Vec<u8> = Vec::new();
        loop {
            let (mut a, mut b) = ([0; 1000], [0; 70_000]);
            let mut bufs = [&mut a[..], &mut b].map(IoSliceMut::new);
            let file = &mut file;
            let n = poll_fn(|cx| Pin::new(&mut *file).poll_read_vectored(cx, &mut bufs)).await;
            let n = n.unwrap();
            seen.extend(&a[..n.min(1000)]);
            seen.extend(&b[..n.saturating_sub(1000)]);
            let shown = poll_fn(|cx| {
                Pin::new(&mut *file)
                    .poll_fill_buf(cx)
                    .map_ok(<[u8]>::to_vec)
            });
            let shown = shown.await.unwrap();
            seen.extend(&shown);
            Pin::new(&mut *file).consume(shown.len());
            if n == 0 && shown.is_empty() {
                break;
            }
        }
        assert!(seen == bytes);
        assert_eq!(
            seek(&mut file, SeekFrom::Current(-10)).await.unwrap(),
            5_999_990
        );
        for by in [5, -10] {
            let at = seek(&mut file, SeekFrom::End(by)).await.unwrap();
            assert_eq!(at, 6_000_000_u64.checked_add_signed(by).unwrap());
        }
        let mut tail = [0; 20];
        let n = poll_fn(|cx| Pin::new(&mut file).poll_read(cx, &mut tail)).await;
        assert_eq!(n.unwrap(), 10);
        poll_fn(|cx| Pin::new(&mut file).poll_close(cx))
            .await
            .unwrap();
    });
}
