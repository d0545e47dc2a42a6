//! Interrupted by the user, once or twice.
