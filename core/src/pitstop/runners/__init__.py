"""Where jobs run: implementations of `Runner`. Each gets ids and calls `run_job`; none writes or reads a job."""
