//! Sockets.

use super::Row;

/// The rows of this family.
pub const ROWS: &[Row] = &[];
