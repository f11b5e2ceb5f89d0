//! What the fuzz targets share: template trials, and checks that tests of the service use too.

pub mod extra_cache;
pub mod faults;
pub mod shown;
pub mod trial;
