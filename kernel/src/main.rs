//! The kernel binary.
#![no_std]
#![no_main]
