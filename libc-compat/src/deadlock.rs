//! The end of a process whose threads all wait for each other.
