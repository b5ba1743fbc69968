//! Git: values in, values out. Knows no events.
