//! `demitasse`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    images::cli::main(std::env::args_os())
}
