//! Protocol adapters. An adapter translates between its protocol and [`service`](crate::service), and decides nothing.

pub(crate) mod http;
