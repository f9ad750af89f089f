"""The store that keeps jobs in one SQLite file. It may import contracts, jobs and logs; no other store imports it."""
