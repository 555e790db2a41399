//! Asynchronous buffered file IO for event loops: reads from memory or would-block, writes behind your back, errors kept.
