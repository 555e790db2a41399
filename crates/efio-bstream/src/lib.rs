//! Buffered streams over byte chunks: Read, BufRead and Write with limits and framing.
