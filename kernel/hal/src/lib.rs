#![cfg_attr(feature = "bare", no_std)]
