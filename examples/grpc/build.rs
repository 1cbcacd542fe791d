//! Makes Rust of the protocol, without `protoc`.
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(["proto/orders.proto"], ["proto"])?;
    Ok(tonic_prost_build::compile_fds(files)?)
}
