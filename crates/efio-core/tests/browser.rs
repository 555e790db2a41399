//! The page of the example server in a real browser: Chromium, where it is installed.
//!
//! With `EFIO_PICTURES` set to a directory, pictures of the page are left there: on a phone and on
//! a desktop, light and dark.

mod common;

use common::browser::Browser;
use common::server::{Server, uploads, wait_until};
use common::{Dir, pattern};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};

/// The text of an element by its id.
fn text(browser: &mut Browser, id: &str) -> String {
    let text = browser.eval(&format!("document.getElementById('{id}').textContent"));
    text.as_str().unwrap().to_owned()
}

/// Waits until the page shows an upload as durable and the list contains it.
fn wait_for_upload(browser: &mut Browser, name: &str) {
    browser.wait_for(&format!(
        "[...document.querySelectorAll('#uploads li.done')].some(row => row.textContent.includes('{name}'))"
    ));
    browser.wait_for(&is_listed(name));
}

fn is_listed(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('#files a.name')].some(link => link.textContent === '{name}')"
    )
}

#[test]
fn the_page_uploads_lists_downloads_and_deletes() {
    let dir = Dir::new();
    let (root, desktop) = (dir.join("root"), dir.join("desktop"));
    std::fs::create_dir(&desktop).unwrap();
    let (chosen, dropped) = (pattern(5_000_001), pattern(300_000));
    std::fs::write(desktop.join("chosen ä&.bin"), &chosen).unwrap();
    std::fs::write(desktop.join("dropped.bin"), &dropped).unwrap();
    std::fs::write(desktop.join("empty"), "").unwrap();
    let Some(mut browser) = Browser::start(&dir.join("profile")) else {
        return;
    };
    let server = Server::start(&root, &[]);
    browser.open(&format!("http://{}/", server.address));
    browser.wait_for("document.getElementById('files').textContent === 'Nothing here yet.'");
    browser.wait_for("document.getElementById('live').textContent.startsWith('up ')");
    assert_eq!(text(&mut browser, "received"), "0 B");

    // By the dialog, two at once; the metrics change.
    browser.choose(
        "#chooser",
        &[desktop.join("chosen ä&.bin"), desktop.join("empty")],
    );
    wait_for_upload(&mut browser, "chosen ä&.bin");
    wait_for_upload(&mut browser, "empty");
    assert!(std::fs::read(root.join("chosen ä&.bin")).unwrap() == chosen);
    browser.wait_for("document.getElementById('received').textContent === '5.00 MB'");
    assert_ne!(text(&mut browser, "call_longest"), "–");

    // From the desktop.
    let drop = "document.getElementById('drop').classList.contains('over')";
    browser.drag("dragEnter", "#drop", &[desktop.join("dropped.bin")]);
    browser.drag("dragOver", "#drop", &[desktop.join("dropped.bin")]);
    browser.wait_for(drop);
    browser.drag("drop", "#drop", &[desktop.join("dropped.bin")]);
    wait_for_upload(&mut browser, "dropped.bin");
    assert_eq!(browser.eval(drop), json!(false));
    assert!(std::fs::read(root.join("dropped.bin")).unwrap() == dropped);

    // A click on a name downloads it.
    let downloads = dir.join("downloads");
    let behavior = json!({ "behavior": "allow", "downloadPath": downloads });
    browser.call("Browser.setDownloadBehavior", behavior);
    browser.eval("[...document.querySelectorAll('#files a.name')].find(link => link.textContent.startsWith('chosen')).click()");
    let target = downloads.join("chosen ä&.bin");
    wait_until("the download does not come", || target.exists());
    assert!(std::fs::read(&target).unwrap() == chosen);

    pictures(&mut browser);

    let question = browser.click_and_confirm("button[aria-label=\"Delete dropped.bin\"]");
    assert_eq!(question, "Delete dropped.bin?");
    browser.wait_for(&format!("!{}", is_listed("dropped.bin")));
    assert!(!root.join("dropped.bin").exists());
    drop_everything(browser, &server, &root);
}

/// When a page is closed its connections end, and no partial upload is left.
fn drop_everything(mut browser: Browser, server: &Server, root: &Path) {
    browser.open("about:blank");
    assert_eq!(uploads(root), 0);
    assert_eq!(server.get("/empty").status, 200);
}

#[test]
fn an_upload_that_fails_says_why() {
    let dir = Dir::new();
    let root = dir.join("root");
    std::fs::write(dir.join("large"), pattern(2_000_000)).unwrap();
    let Some(mut browser) = Browser::start(&dir.join("profile")) else {
        return;
    };
    let server = Server::start(&root, &["--max-body", "1000000"]);
    browser.open(&format!("http://{}/", server.address));
    browser.choose("#chooser", &[dir.join("large")]);
    browser.wait_for("document.querySelector('#uploads li.bad') !== null");
    let said = browser.eval("document.querySelector('#uploads li.bad .state').textContent");
    assert!(
        said.as_str().unwrap().starts_with("413"),
        "the reason is not shown: {said}"
    );
    assert!(!root.join("large").exists());
}

/// Leaves pictures of the page if `EFIO_PICTURES` names a directory.
fn pictures(browser: &mut Browser) {
    let Some(place) = std::env::var_os("EFIO_PICTURES") else {
        return;
    };
    for (name, width, height) in [("phone", 390, 844), ("desktop", 1280, 800)] {
        for scheme in ["light", "dark"] {
            browser.dress(width, height, scheme);
            // Animations have ended.
            std::thread::sleep(std::time::Duration::from_millis(400));
            let picture = browser.picture();
            let file =
                std::fs::File::create(Path::new(&place).join(format!("{name}-{scheme}.png")));
            let mut decoder = Command::new("base64")
                .arg("-d")
                .stdin(Stdio::piped())
                .stdout(file.unwrap())
                .spawn()
                .unwrap();
            let mut input = decoder.stdin.take().unwrap();
            std::io::Write::write_all(&mut input, picture.as_bytes()).unwrap();
            drop(input);
            assert!(decoder.wait().unwrap().success());
        }
    }
}
