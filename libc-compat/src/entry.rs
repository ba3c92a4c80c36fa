//! Every way from the application into the kernel and back.
