//! Tests of what a descriptor does, on the host backend.

mod console;
mod descriptors;
mod epoll;
mod events;
mod generated;
mod locks;
mod pipes;
pub(crate) mod support;
