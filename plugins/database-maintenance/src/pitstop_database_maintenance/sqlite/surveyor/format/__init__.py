"""SQLite's file formats: database, write-ahead log and its index, rollback journal. Bytes in, facts out."""
