"""Where jobs run: implementations of `Runner`. Each gets ids and calls `run_job`; none of them writes or reads a job."""
