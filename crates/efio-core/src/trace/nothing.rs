//! The events without the feature `tracing`: they do nothing.

use crate::backend::BackendInfo;
use crate::error::{Errno, Failure};
use crate::fd::Fd;
use crate::op::{FileFacts, OpenSpec};
use crate::shutdown_report::ShutdownReport;

#[inline(always)]
pub fn backend(_: &BackendInfo) {}
#[inline(always)]
pub fn opening(_: Fd, _: &OpenSpec) {}
#[inline(always)]
pub fn opened(_: Fd, _: &FileFacts) {}
#[inline(always)]
pub fn fell_back(_: Fd) {}
#[inline(always)]
pub fn failed(_: Fd, _: &Failure) {}
#[inline(always)]
pub fn closed(_: Fd, _: Option<Errno>) {}
#[inline(always)]
pub fn shut_down(_: &ShutdownReport) {}
