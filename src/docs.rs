//! The Registry's pages, made from the schemas of everything that is registered. Pure: pages in, nothing out.
