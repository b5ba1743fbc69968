//! The truth on disk: the layout of `runs/<id>/`, the log, blobs and mailboxes. Nobody else knows a
//! file name in there.
