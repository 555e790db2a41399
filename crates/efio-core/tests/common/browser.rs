//! Headless Chromium, driven over its DevTools protocol: JSON texts, each with a trailing NUL,
//! through a pair of pipes.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// One page of a browser that is killed with its test.
pub struct Browser {
    child: Child,
    requests: UnixStream,
    answers: BufReader<UnixStream>,
    session: Option<String>,
    last_id: u64,
    /// Events that were not taken yet.
    events: VecDeque<Value>,
}

/// The browser that is installed.
fn installed() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let candidates = names
        .iter()
        .flat_map(|name| std::env::split_paths(&paths).map(move |dir| dir.join(name)));
    candidates.into_iter().find(|path| path.is_file())
}

impl Browser {
    /// Starts the browser; prints a skip and returns `None` where there is none.
    pub fn start(profile: &Path) -> Option<Self> {
        let Some(program) = installed() else {
            super::skip("chromium is not installed");
            return None;
        };
        let (requests, its_input) = UnixStream::pair().unwrap();
        let (its_output, answers) = UnixStream::pair().unwrap();
        answers.set_read_timeout(Some(super::TIMEOUT)).unwrap();
        let mut command = Command::new(program);
        // No sandbox: tests may run as root, and see no page but their own.
        command
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--no-first-run",
            ])
            .args([
                "--remote-debugging-pipe",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
            ])
            .args(["--no-proxy-server", "--disable-background-networking"])
            .arg(format!("--user-data-dir={}", profile.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let ends = [OwnedFd::from(its_input), OwnedFd::from(its_output)];
        let (input, output) = (ends[0].as_raw_fd(), ends[1].as_raw_fd());
        // SAFETY: only dup2 and fcntl between fork and exec.
        unsafe { command.pre_exec(move || give(input, output)) };
        let child = command.spawn().unwrap();
        drop(ends);
        let mut browser = Self {
            child,
            requests,
            answers: BufReader::new(answers),
            session: None,
            last_id: 0,
            events: VecDeque::new(),
        };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        browser.call("Page.enable", json!({}));
        Some(browser)
    }

    /// Calls a method of the protocol and waits for its result.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut request = json!({ "id": id, "method": method, "params": params });
        if let (Some(session), false) = (&self.session, method.starts_with("Browser.")) {
            request["sessionId"] = json!(session);
        }
        let mut text = request.to_string().into_bytes();
        text.push(0);
        self.requests.write_all(&text).unwrap();
        loop {
            let mut message = self.read_message();
            if message["id"] == id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            if message["id"].is_null() {
                self.events.push_back(message);
            }
        }
    }

    fn read_message(&mut self) -> Value {
        let mut text = Vec::new();
        self.answers.read_until(0, &mut text).unwrap();
        assert_eq!(text.pop(), Some(0), "the browser has ended");
        serde_json::from_slice(&text).unwrap()
    }

    /// The parameters of the next event of that kind.
    pub fn event(&mut self, method: &str) -> Value {
        loop {
            while let Some(mut event) = self.events.pop_front() {
                if event["method"] == method {
                    return event["params"].take();
                }
            }
            let message = self.read_message();
            self.events.push_back(message);
        }
    }

    /// Goes to an address; back when all is loaded.
    pub fn open(&mut self, url: &str) {
        self.events.clear();
        self.call("Page.navigate", json!({ "url": url }));
        self.event("Page.loadEventFired");
    }

    /// The value of an expression in the page.
    pub fn eval(&mut self, script: &str) -> Value {
        let params = json!({ "expression": script, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", params);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is true.
    pub fn wait_for(&mut self, script: &str) {
        let deadline = Instant::now() + super::TIMEOUT;
        while self.eval(script) != json!(true) {
            let text = self.eval("document.body.innerText");
            assert!(Instant::now() < deadline, "never: {script}\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Chooses files as a user does in the dialog of an input.
    pub fn choose(&mut self, selector: &str, files: &[PathBuf]) {
        let document = self.call("DOM.getDocument", json!({}));
        let root = &document["root"]["nodeId"];
        let query = json!({ "nodeId": root, "selector": selector });
        let node = self.call("DOM.querySelector", query);
        let params = json!({ "nodeId": node["nodeId"], "files": files });
        self.call("DOM.setFileInputFiles", params);
    }

    /// Drags files of the desktop over an element; they stay there until they are dropped.
    pub fn drag(&mut self, step: &str, selector: &str, files: &[PathBuf]) {
        let place = self.eval(&format!(
            "(() => {{ const box = document.querySelector('{selector}').getBoundingClientRect();
                return [box.x + box.width / 2, box.y + box.height / 2]; }})()"
        ));
        let data = json!({ "items": [], "files": files, "dragOperationsMask": 1 });
        let params = json!({ "type": step, "x": place[0], "y": place[1], "data": data });
        self.call("Input.dispatchDragEvent", params);
    }

    /// Clicks on an element that opens a dialog, and confirms it.
    pub fn click_and_confirm(&mut self, selector: &str) -> String {
        // The click returns when the dialog is answered.
        self.eval(&format!(
            "setTimeout(() => document.querySelector('{selector}').click()), 0"
        ));
        let dialog = self.event("Page.javascriptDialogOpening");
        self.call("Page.handleJavaScriptDialog", json!({ "accept": true }));
        dialog["message"].as_str().unwrap().to_owned()
    }

    /// A window of that size, light or dark.
    pub fn dress(&mut self, width: u32, height: u32, scheme: &str) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1,
            "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        );
    }

    /// What the window shows, as a PNG in base64.
    pub fn picture(&mut self) -> String {
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        shot["data"].as_str().unwrap().to_owned()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It has ended already, or the test is over.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// In the child: the ends of the pipes get the numbers that the browser expects, 3 and 4.
fn give(input: RawFd, output: RawFd) -> io::Result<()> {
    // Out of the way first: they may have each other's number.
    // SAFETY: descriptors of this process, which is about to exec.
    let moved = unsafe { [input, output].map(|fd| libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 10)) };
    for (fd, number) in moved.into_iter().zip([3, 4]) {
        // SAFETY: as above; the copies are not closed by the exec.
        if fd < 0 || unsafe { libc::dup2(fd, number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
