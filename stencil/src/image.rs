//! Finalized functions -> one image of code that can be changed (feature `image`).
