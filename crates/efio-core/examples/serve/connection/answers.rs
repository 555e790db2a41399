//! From a request to its response: the job for the blocking pool, and what follows from its answer.

use super::{Connection, State};
use crate::blocking::{Answer, Job};
use crate::context::Context;
use crate::download;
use crate::flow::Flow;
use crate::page;
use crate::request::{Body, Method, Request, View};
use crate::response::{self, Head, Status};
use crate::root::{Found, Version};
use crate::upload::Upload;
use std::io;
use std::os::fd::OwnedFd;

impl Connection {
    pub(super) fn begin(&mut self, request: Request, cx: &mut Context) -> Flow {
        cx.counters.requests += 1;
        self.keep_alive = request.keep_alive && !cx.draining;
        self.with_body = request.method != Method::Head;
        let path = request.path.clone();
        let job = match (request.method, request.view) {
            (Method::Put, _) if request.directory => return self.refuse(Status::Conflict, cx),
            (Method::Put, _) if matches!(request.body, Body::Length(len) if len > cx.limits.body) =>
            {
                return self.refuse(Status::BodyTooLarge, cx);
            }
            (Method::Put, _) => Job::CheckTarget(path),
            // These methods need no body, and it would have to be read to reach the next request.
            _ if request.body != Body::Length(0) => return self.refuse(Status::BodyTooLarge, cx),
            (Method::Options, _) => {
                Head::new(Status::NoContent, self.keep_alive)
                    .field("Allow", response::ALLOW)
                    .end(&mut self.output);
                return self.turn_to(State::Flush, cx);
            }
            (Method::Delete, _) => Job::Remove(path),
            (Method::Get, View::Events) => {
                page::begin_events(&mut self.output);
                return self.turn_to(State::Events, cx);
            }
            (_, View::List) => Job::List(path),
            _ => Job::Look(path),
        };
        cx.pool.ask(self.id, job);
        self.turn_to(State::Blocking(Box::new(request)), cx)
    }

    /// Answers and ends the connection: what the client sends next cannot be understood, or would
    /// have to be read in vain.
    pub(super) fn refuse(&mut self, status: Status, cx: &mut Context) -> Flow {
        self.keep_alive = false;
        self.answer(status, cx)
    }

    pub(super) fn answer(&mut self, status: Status, cx: &mut Context) -> Flow {
        response::short(&mut self.output, status, self.keep_alive, self.with_body);
        self.turn_to(State::Flush, cx)
    }

    /// A blocking pool is done.
    pub fn answered(&mut self, answer: Answer, cx: &mut Context) {
        let request = match std::mem::replace(&mut self.state, State::Flush) {
            State::Blocking(request) => *request,
            State::Upload(upload) => {
                if let Answer::Published(result) = answer {
                    self.published(result, cx);
                } else {
                    self.state = State::Upload(upload);
                }
                return;
            }
            other => {
                self.state = other;
                return;
            }
        };
        self.measured = (cx.now, self.moved);
        let result = match answer {
            Answer::Found(Ok(Found::File(kernel, version))) => {
                self.send_file(&request, kernel, &version, cx)
            }
            Answer::Found(Ok(Found::Directory)) if request.directory => {
                page::send(&mut self.output, self.keep_alive, self.with_body);
                Ok(())
            }
            Answer::Found(Ok(Found::Directory)) => {
                page::redirect(&mut self.output, &request.path, self.keep_alive);
                Ok(())
            }
            Answer::Listed(Ok(json)) => {
                let kind = "application/json";
                let (output, body) = (&mut self.output, json.as_bytes());
                response::whole(
                    output,
                    Status::Ok,
                    self.keep_alive,
                    kind,
                    body,
                    self.with_body,
                );
                Ok(())
            }
            Answer::Target(Ok(())) => self.begin_upload(request, cx),
            Answer::Removed(Ok(())) => {
                self.answer(Status::NoContent, cx);
                Ok(())
            }
            Answer::Target(Err(error)) => {
                self.keep_alive = false;
                Err(error)
            }
            Answer::Found(Err(error))
            | Answer::Listed(Err(error))
            | Answer::Removed(Err(error)) => Err(error),
            Answer::Published(_) | Answer::Surveyed(..) | Answer::Discarded => Ok(()),
        };
        if let Err(error) = result {
            self.answer(Status::of_errno(error.raw_os_error()), cx);
        }
    }

    fn send_file(
        &mut self,
        request: &Request,
        kernel: OwnedFd,
        version: &Version,
        cx: &mut Context,
    ) -> io::Result<()> {
        if request.directory {
            return Err(io::Error::from_raw_os_error(libc::ENOENT));
        }
        let at = (&mut *cx, self.id);
        let output = &mut self.output;
        let download = download::begin(request, kernel, version, self.keep_alive, output, at)?;
        if let Some(download) = download {
            self.state = State::Download(Box::new(download));
        }
        Ok(())
    }

    fn begin_upload(&mut self, request: Request, cx: &mut Context) -> io::Result<()> {
        let begun = Upload::begin(request.path, request.body, &mut self.input, cx, self.id);
        // Should it fail, the body is not read.
        self.keep_alive &= begun.is_ok();
        let upload = begun?;
        if request.expects_continue && self.input.is_empty() {
            self.output
                .extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        self.state = State::Upload(Box::new(upload));
        Ok(())
    }

    fn published(&mut self, result: io::Result<bool>, cx: &mut Context) {
        let status = match result {
            Ok(true) => Status::Created,
            Ok(false) => Status::NoContent,
            Err(error) => Status::of_errno(error.raw_os_error()),
        };
        cx.counters.published += u64::from(matches!(status, Status::Created | Status::NoContent));
        self.answer(status, cx);
    }
}
