//! The live metrics.

use crate::context::Context;
use crate::json;
use crate::timing::Call;

/// One server-sent event. `marks` are those of the uploads in progress.
pub fn event(cx: &Context, connections: usize, marks: (u64, u64, u64)) -> String {
    let stats = cx.engine.stats();
    let (p999, longest, undisturbed) = cx.timings.worst();
    let turn = cx.timings.of(Call::Turn);
    let (accepted, written, durable) = marks;
    let counters = &cx.counters;
    let fields = [
        ("uptime", counters.since.elapsed().as_secs_f64()),
        ("connections", connections as f64),
        ("requests", counters.requests as f64),
        ("uploads", counters.published as f64),
        ("downloads", counters.downloads as f64),
        ("received", counters.accepted as f64),
        ("sent", counters.sent as f64),
        ("call_p999", p999),
        ("call_longest", longest),
        ("call_undisturbed", undisturbed),
        ("turn_p999", turn.all_but(0.001)),
        ("turn_longest", turn.longest()),
        ("accepted", accepted as f64),
        ("written", written as f64),
        ("durable", durable as f64),
        ("durable_total", (counters.durable + durable) as f64),
        ("pages_resident", counters.pages.0 as f64),
        ("pages_total", counters.pages.1 as f64),
        ("read_direct", stats.read.direct as f64),
        ("read_buffered", stats.read.buffered() as f64),
        ("written_direct", stats.written.direct as f64),
        ("written_buffered", stats.written.buffered() as f64),
        ("fallbacks", stats.fallbacks as f64),
    ];
    let mut event = String::from("data: {");
    for (name, value) in fields {
        event.push_str(&format!("\"{name}\":{},", (value * 10.0).round() / 10.0));
    }
    let info = cx.engine.backend();
    let backend = format!("{:?}: {}", info.kind, info.reason);
    event.push_str(&format!("\"backend\":{}}}\n\n", json::string(&backend)));
    event
}
